//! Which library drives what: the configured one of each provider, and an older one where it began an operation.
//!
//! New code must not interpret steps that it does not know. So an operation that has changed something goes on with the
//! content that began it, whose copy is kept staged, unless the configured library says that it can continue the journal.

use super::start::{chain, make_panel};
use super::{Engine, lock};
use crate::config::Config;
use crate::panel::{Panel, Provider};
use crate::plugin::{self, LoadError, LoadPolicy, Loaded, Prober, Sha256};
use crate::store::Operation;
use billhook_plugin_api::Manifest;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// The staged copies, and what was loaded of them beside the configured libraries.
pub(super) struct Libraries {
    staging: PathBuf,
    prober: Prober,
    /// Servers as older libraries drive them, by server and content.
    older: Mutex<HashMap<(String, Sha256), Opened>>,
}

/// Opened when first needed, once.
type Opened = Arc<OnceCell<Arc<Panel>>>;

impl Libraries {
    pub(super) fn new(staging: PathBuf, prober: Prober) -> Self {
        Self { staging, prober, older: Mutex::default() }
    }

    /// The server's entry has changed: what older libraries have of it is made anew when it is next needed.
    pub(super) fn forget(&self, server: &str) {
        lock(&self.older).retain(|(name, _), _| name != server);
    }

    /// The provider as its file in the plugins' folder has it now.
    pub(super) async fn configured(&self, config: &Config, provider: &str) -> Result<Provider, String> {
        let file = plugin_file(config, provider);
        let loaded = plugin::load(&file, &plugin_policy(config, provider, &self.staging), &self.prober).await;
        ready(provider, &file, loaded.map_err(told)?)
    }

    /// The provider as the kept copy of this content has it.
    async fn kept(&self, config: &Config, provider: &str, sha256: Sha256) -> Result<Provider, String> {
        let policy = plugin_policy(config, provider, &self.staging);
        let loaded = plugin::load_kept(sha256, &policy, &self.prober).await.map_err(told)?;
        let copy = loaded.staged_path.clone();
        ready(provider, &copy, loaded)
    }
}

impl Engine {
    /// The operation's server, with the library that may run the operation; or why a person must decide.
    pub(super) async fn panel_for(&self, operation: &Operation) -> Result<Arc<Panel>, String> {
        let in_force = self.in_force();
        let configured = in_force.panels.get(&operation.server);
        let stays = |panel: &Panel| {
            if panel.identity == operation.panel {
                return Ok(());
            }
            Err(format!(
                "this operation is on {}, and the server {} now names {}; nothing was sent",
                operation.panel, panel.name, panel.identity
            ))
        };
        if let Some(panel) = configured {
            stays(panel)?;
            if may_run(&panel.provider, operation) {
                return Ok(Arc::clone(panel));
            }
        }
        let refused = || match configured {
            Some(panel) => format!(
                "it was begun by another library of {} (journal version {}), which this one does not continue",
                panel.provider.manifest.name, operation.journal_version
            ),
            None => {
                let reason = in_force.unready.get(&operation.server).map_or("it is not configured", String::as_str);
                format!("the server {} cannot be used: {reason}", operation.server)
            }
        };
        let begun_by = operation.library.as_ref().filter(|_| operation.effects.touched);
        let Some(begun_by) = begun_by.and_then(|library| library.parse().ok()) else { return Err(refused()) };
        match self.older_panel(&in_force.config, &operation.server, begun_by).await {
            Ok(panel) => {
                stays(&panel)?;
                Ok(panel)
            }
            // The server's settings may be what is wrong, with whatever library.
            Err(reason) if refused().contains(&reason) => Err(refused()),
            Err(reason) => Err(format!("{}; and the library that began it cannot be used: {reason}", refused())),
        }
    }

    /// The server as the kept library of this content drives it, beside the configured one and in the same lane.
    async fn older_panel(&self, config: &Config, name: &str, sha256: Sha256) -> Result<Arc<Panel>, String> {
        let Some(server) = config.servers.get(name) else { return Err("its server is not configured".to_owned()) };
        let cell = Arc::clone(lock(&self.libraries.older).entry((name.to_owned(), sha256)).or_default());
        // A failure is not kept: whoever mends the cause lets the operation run again.
        let panel = cell.get_or_try_init(|| async {
            let provider = Arc::new(self.libraries.kept(config, &server.provider, sha256).await?);
            let (env, longest_run) = (&self.env, config.attempt.longest_run);
            let panel = make_panel(name, server, &provider, &env.desk, &self.lanes, &env.clock, longest_run)?;
            let version = &provider.manifest.version;
            tracing::info!(server = name, %version, %sha256, "an older library goes on with what it began");
            Ok::<_, String>(Arc::new(panel))
        });
        panel.await.cloned()
    }
}

/// Whether this library may run the operation: it is new to all, or its own, or its journal is understood.
fn may_run(provider: &Provider, operation: &Operation) -> bool {
    !operation.effects.touched
        || operation.library.as_ref().is_none_or(|library| *library == provider.sha256)
        || provider.manifest.can_continue(operation.journal_version)
}

/// Where the plugin of a provider is looked for.
pub(crate) fn plugin_file(config: &Config, provider: &str) -> PathBuf {
    config.plugins.folder.join(plugin::file_name(provider))
}

/// How the plugin of a provider is trusted.
pub(crate) fn plugin_policy(config: &Config, provider: &str, staging: &Path) -> LoadPolicy {
    LoadPolicy {
        name: Some(provider.to_owned()),
        pinned: config.plugins.pinned.get(provider).copied().map(Sha256::from),
        built_with_host: config.plugins.trust_built_with_host,
        ..LoadPolicy::new(staging)
    }
}

/// A refusal as one line: which file, why, what helps.
fn told(error: LoadError) -> String {
    format!("{}; {}", chain(&error), error.refusal.remedy())
}

/// Reads what a loaded library says of itself.
fn ready(name: &str, file: &Path, loaded: Loaded) -> Result<Provider, String> {
    let refused = |why: String| format!("cannot use the plugin {}: {why}; report it to its author", file.display());
    let mut manifest: Manifest = serde_json::from_str(&loaded.manifest_json)
        .map_err(|error| refused(format!("its manifest cannot be read: {error}")))?;
    manifest.version.clone_from(&loaded.version);
    if manifest.name != name {
        return Err(refused(format!("its manifest names the provider {}, its file {name}", manifest.name)));
    }
    let schema = |schema: &Value, what: &str| {
        jsonschema::validator_for(schema)
            .map_err(|error| refused(format!("its schema of {what} settings is not usable: {error}")))
    };
    let reply_secrets = manifest
        .reply_secrets
        .iter()
        .map(|path| {
            path.parse().map_err(|error| refused(format!("its manifest names a secret path that is none: {error}")))
        })
        .collect::<Result<_, String>>()?;
    Ok(Provider {
        server_schema: schema(&manifest.server_schema, "server")?,
        product_schema: schema(&manifest.product_schema, "product")?,
        reply_secrets,
        sha256: loaded.sha256.to_string(),
        manifest,
        loaded,
    })
}
