//! From a configuration to a running engine.

use super::agenda::{Activity, Agenda, Busy, Errand};
use super::lanes::{Lanes, ServerLane};
use super::libraries::Libraries;
use super::resolve::schema_text;
use super::{Engine, InForce};
use crate::attempt::{Crew, Desk, Env, EnvParts, Tap, times};
use crate::awake::Awake;
use crate::clock::SharedClock;
use crate::config::{Config, Database, ServerConfig, StoreConfig};
use crate::mask::{Fingerprinter, SecretSet};
use crate::panel::{Panel, Provider, millis};
use crate::plugin::Prober;
use crate::retry::RetryPolicy;
use crate::seal::{HostKey, KeyError, Sealer, ring};
use crate::store::{self, CommitTap, Due, Life, ServiceKey, Store, StoreError, StoreOptions};
use crate::wire::{Auth, Target, Wire};
use billhook_plugin_api::{AuthScheme, SECRET_MARK, Secret};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

/// How many services are looked at together: as many as have something to read with, and some that wait for the writer.
const LOOKS: usize = 32;

/// What a start needs beside the configuration.
pub struct EngineOptions {
    /// The only clock.
    pub clock: SharedClock,
    /// Called around each exchange; only tests have one.
    pub tap: Option<Arc<dyn Tap>>,
    /// Called around each commit; only tests have one.
    pub commit_tap: Option<Arc<dyn CommitTap>>,
    /// Where plugins are staged; beside the store when absent.
    pub staging: Option<PathBuf>,
    /// The program that opens never-seen plugins in a process of its own; this very program when absent. A test's own is
    /// not `billhook`.
    pub prober: Option<PathBuf>,
    /// Tells this host from every other; found out when absent.
    pub life: Option<Life>,
}

impl EngineOptions {
    /// With nothing but a clock.
    pub fn by(clock: SharedClock) -> Self {
        Self { clock, tap: None, commit_tap: None, staging: None, prober: None, life: None }
    }
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The host key.
    #[error("cannot use the host key {path}; if it is lost, what was sealed with it cannot be read", path = path.display())]
    Key {
        /// Where it is looked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The runtime for plugins.
    #[error("cannot start the plugins' runtime")]
    Runtime(#[from] std::io::Error),
}

impl Engine {
    /// Opens the store, loads the plugins, makes the servers ready, and begins to work. Work that an earlier run left is
    /// recovered in the background.
    ///
    /// A server that cannot be made ready does not keep the others from starting; see [`Engine::unready`].
    ///
    /// # Errors
    ///
    /// [`StartError`]: without a store or a key there is nothing to start.
    pub async fn start(config: Arc<Config>, options: EngineOptions) -> Result<Arc<Self>, StartError> {
        let EngineOptions { clock, tap, commit_tap, staging, prober, life } = options;
        let url = config.store.database.url();
        let own = store_options(&config.store);
        let awake = Awake::default();
        awake.set(config.limits.stay_awake);
        let own = StoreOptions { awake: awake.clone(), ..own };
        let store_options = StoreOptions { tap: commit_tap, life, clock: Some(Arc::clone(&clock)), ..own };
        let sealer = host_keys(&config.seal.key_file, &config.store.database, &store_options).await?;
        let prints = Fingerprinter::new(&sealer.prints());
        let store = Store::open(&url, sealer, store_options).await?;
        // A database on a server needs none; the copies of plugins do.
        store::make_folder(config.store.database.folder())?;

        let desk = Arc::new(Desk::default());
        let crew = Crew::start(2, awake.clone())?;
        let activity = Arc::<Activity>::default();
        let (lanes, signals) = Lanes::new(Arc::clone(&clock), Arc::clone(&activity), config.limits.concurrency);
        lanes.set_bounds(config.limits.concurrency, config.servers.iter().map(|(name, server)| (name, &server.lane)));
        if store.facts().recovering {
            lanes.set_recovering(true);
            tracing::warn!("the store is a restored copy: all changes are held back until `billhook store release`");
        }
        for (server, pause) in store.pauses().await? {
            lanes.set_pause(&server, Some(pause));
        }
        let libraries = Libraries::new(
            staging.unwrap_or_else(|| beside(config.store.database.folder())),
            Prober::new(prober, Arc::clone(&clock)),
        );
        let names = config.servers.values().map(|server| server.provider.clone()).collect();
        let (providers, unready_providers) = load_providers(&config, &libraries, names).await;
        let mut panels = BTreeMap::new();
        let mut unready = BTreeMap::new();
        for (name, server) in &config.servers {
            let ready = match providers.get(&server.provider) {
                Some(provider) => make_panel(name, server, provider, &desk, &lanes, &clock, config.attempt.longest_run),
                None => Err(no_provider(&server.provider, &unready_providers)),
            };
            match ready {
                Ok(panel) => {
                    panels.insert(name.clone(), Arc::new(panel));
                }
                Err(reason) => {
                    tracing::error!(server = %name, %reason, "a server is not ready");
                    unready.insert(name.clone(), reason);
                }
            }
        }

        let parts = EnvParts {
            store,
            clock: Arc::clone(&clock),
            desk,
            crew,
            awake,
            prints,
            policy: policy(&config),
            poll_interval: config.attempt.pending_poll,
            tap,
        };
        let engine = Arc::new(Self {
            env: Arc::new(Env::new(parts)),
            in_force: RwLock::new(Arc::new(InForce { config, providers, panels, unready })),
            reloading: tokio::sync::Mutex::new(()),
            pausing: tokio::sync::Mutex::new(()),
            pruning: tokio::sync::Mutex::new(()),
            libraries,
            agenda: Agenda::new(clock, Arc::clone(&activity)),
            lanes,
            activity,
            watchers: Mutex::new(HashMap::new()),
            blocked: Mutex::new(HashMap::new()),
            early: Mutex::new(HashSet::new()),
            ids: Mutex::default(),
            looking: Arc::new(Semaphore::new(LOOKS)),
            unsettled: Mutex::new(HashMap::new()),
            company: AtomicBool::new(false),
            is_first: AtomicBool::new(true),
            disk: Mutex::default(),
            tasks: TaskTracker::new(),
        });
        if engine.env.store.host_id().is_some() {
            engine.see_hosts().await?;
        }
        tokio::spawn(Arc::clone(&engine).work());
        tokio::spawn(Arc::clone(&engine).follow_lanes(signals));
        let busy = Busy::begin(&engine.activity);
        let recovering = Arc::clone(&engine);
        engine.tasks.spawn(async move {
            // From here on, so that nothing is missed that others do while this one reads.
            let elsewhere = recovering.env.store.elsewhere();
            Arc::clone(&recovering).recover().await;
            if recovering.env.store.host_id().is_some() {
                tokio::spawn(Arc::clone(&recovering).keep_company(elsewhere));
            }
            recovering.reseal().await;
            drop(busy);
        });
        Ok(engine)
    }

    /// Puts down what waits, in pages: there may be more than is good to hold at once. One errand for each service and time.
    async fn recover_waiting(&self, now: u64) -> Result<(), StoreError> {
        const PAGE: u32 = 500;
        let (mut last, mut seen): (Option<Due>, HashSet<ServiceKey>) = (None, HashSet::new());
        loop {
            let page = self.env.store.due_after(last.as_ref(), PAGE).await?;
            let is_over = page.len() < PAGE as usize;
            for due in page {
                // Whatever the clock was set to meanwhile.
                let after = due.next_at.map_or(0, |at| times::left(at, now, at.saturating_sub(due.updated_at)));
                if after > 0 || seen.insert(due.service.clone()) {
                    self.agenda.put(Duration::from_millis(after), Errand::Advance(due.service.clone()));
                }
                last = Some(due);
            }
            if is_over {
                return Ok(());
            }
        }
    }

    /// Takes up what an earlier run left. Serving does not wait for this: what a new hook needs of the past, it reads.
    async fn recover(self: Arc<Self>) {
        let now = self.env.clock.unix_ms();
        match self.env.store.rescue(now, self.settle_of_servers()).await {
            Ok(rescued) if rescued.is_empty() => {}
            Ok(rescued) => tracing::info!(count = rescued.len(), "operations of an earlier run go on"),
            Err(error) => {
                tracing::error!(error = %error, "what an earlier run left could not be taken up");
                return;
            }
        }
        if let Err(error) = self.recover_waiting(now).await {
            tracing::error!(error = %error, "waiting operations could not be read");
        }
        match self.env.store.due_polls(u32::MAX).await {
            Ok(due) => {
                for due in due {
                    let after = due.poll_at.saturating_sub(now);
                    self.agenda.put(Duration::from_millis(after), Errand::Poll(due.service));
                }
            }
            Err(error) => tracing::error!(error = %error, "waiting polls could not be read"),
        }
        self.agenda.put(Duration::from_secs(60), Errand::ExpireSecrets);
        self.agenda.put(Duration::from_secs(600), Errand::KeepBounds);
    }
}

/// How the store is opened that this describes.
pub(crate) fn store_options(config: &StoreConfig) -> StoreOptions {
    let password = match &config.database {
        Database::Postgres { password, .. } => password.as_ref().map(|secret| Secret::new(secret.expose().to_owned())),
        Database::Sqlite { .. } => None,
    };
    StoreOptions {
        body_cap: config.body_cap,
        password,
        patience: config.patience,
        name: config.host.clone(),
        lease: config.lease,
        poll: config.poll,
        ..StoreOptions::default()
    }
}

/// The keys; a new one is made only where nothing can be sealed with another.
async fn host_keys(path: &Path, database: &Database, options: &StoreOptions) -> Result<Sealer, StartError> {
    let wrap = |source| StartError::Key { path: path.to_owned(), source };
    let is_made = match database {
        Database::Sqlite { path } => path.exists(),
        Database::Postgres { .. } if path.exists() => true,
        Database::Postgres { url, .. } => Store::look_at(url, options).await?.facts.is_some(),
    };
    if path.exists() || is_made {
        return ring::load(path).map_err(wrap);
    }
    tracing::info!(path = %path.display(), "a host key is made; keep a copy of it apart from the backups of the store");
    HostKey::create(path).and_then(|key| Sealer::new(key, Vec::new())).map_err(wrap)
}

fn policy(config: &Config) -> RetryPolicy {
    RetryPolicy {
        attempts: config.retry.attempts,
        age_ms: millis(config.retry.age),
        delays_ms: config.retry.delays.iter().copied().map(millis).collect(),
        jitter: config.retry.jitter,
    }
}

/// Loads the plugins of these providers, all at once, since a probe waits for a process; the second are the reasons of
/// those that could not be.
pub(super) async fn load_providers(
    config: &Config,
    libraries: &Libraries,
    names: BTreeSet<String>,
) -> (BTreeMap<String, Arc<Provider>>, HashMap<String, String>) {
    let loading = names.into_iter().map(|name| async move {
        let provider = libraries.configured(config, &name).await;
        (name, provider)
    });
    let mut loaded = BTreeMap::new();
    let mut failed = HashMap::new();
    for (name, provider) in futures_util::future::join_all(loading).await {
        match provider {
            Ok(provider) => {
                loaded.insert(name, Arc::new(provider));
            }
            Err(reason) => {
                tracing::error!(provider = %name, %reason, "a plugin is not loaded");
                failed.insert(name, reason);
            }
        }
    }
    (loaded, failed)
}

/// Beside the store: the daemon's own folder, on a file system that is there.
pub(crate) fn beside(folder: &Path) -> PathBuf {
    folder.join("plugins")
}

/// Why a server has no provider.
pub(super) fn no_provider(name: &str, failed: &HashMap<String, String>) -> String {
    failed.get(name).cloned().unwrap_or_else(|| format!("no plugin for the provider {name}"))
}

pub(super) fn make_panel(
    name: &str,
    server: &ServerConfig,
    provider: &Arc<Provider>,
    desk: &Arc<Desk>,
    lanes: &Arc<Lanes>,
    clock: &SharedClock,
    longest_run: Duration,
) -> Result<Panel, String> {
    let settings = server.settings.value();
    if let Err(error) = provider.server_schema.validate(settings) {
        let place = error.instance_path().to_string().replace('/', ".");
        return Err(format!("servers.{name}.settings{place}: {}", schema_text(&error)));
    }
    let declared = secret_pointers(&provider.manifest.server_schema);
    let literal = server.settings.literal_secrets(declared.iter().map(String::as_str));
    if let Some(first) = literal.first() {
        return Err(format!(
            "servers.{name}.settings{}: a secret stands in the configuration; give it as {{ file = \"…\" }} or {{ env = \"…\" }}",
            first.replace('/', ".")
        ));
    }
    let text = |setting: &str| {
        settings
            .get(setting)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| format!("servers.{name}.settings.{setting} is missing, and requests are signed with it"))
    };
    let auth = match &provider.manifest.auth {
        AuthScheme::None => None,
        AuthScheme::Bearer { setting } => Some(Auth::Bearer(text(setting)?.trim().to_owned().into())),
        AuthScheme::Basic { user, password } => Some(Auth::Basic(text(user)?, text(password)?.into())),
    };
    let login = provider.manifest.login_setting.as_deref().map(text).transpose()?;
    let target = Target {
        base_url: server.base_url.url().clone(),
        allow_http: server.allow_http,
        ca_file: server.ca_file.clone(),
        pin_sha256: server.pin_sha256,
        connect_timeout: server.connect_timeout,
        max_reply_bytes: server.max_reply,
        idle_connections: server.lane.concurrency as usize,
        user_agent: format!("Billhook/{}", env!("CARGO_PKG_VERSION")),
    };
    let wire = Wire::new(target, Arc::clone(clock)).map_err(|error| format!("servers.{name}: {}", chain(&error)))?;
    let bytes = Zeroizing::new(serde_json::to_vec(settings).map_err(|error| error.to_string())?);
    let plugin = provider
        .loaded
        .open(desk.host_object(), &bytes)
        .map_err(|failure| format!("the plugin refuses the server's settings: {}", failure.message))?;
    let mut secrets = SecretSet::new();
    for one in server.settings.secrets() {
        secrets.insert(one.secret.expose());
    }
    Ok(Panel {
        name: name.to_owned(),
        provider: Arc::clone(provider),
        identity: server.base_url.panel_identity(login.as_deref()),
        base_url: server.base_url.url().clone(),
        wire,
        auth,
        plugin,
        secrets: Arc::new(secrets),
        timeout: server.timeout,
        create_timeout: server.create_timeout,
        longest_run: longest_run.max(Duration::from_secs(u64::from(provider.manifest.longest_run_s))),
        lane: ServerLane::new(lanes, name),
    })
}

/// JSON pointers of the settings that a schema marks as secret; top-level members only, as settings are flat.
fn secret_pointers(schema: &Value) -> Vec<String> {
    let Some(members) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let is_secret = |member: &Value| {
        let marked = |value: &Value| value.get(SECRET_MARK).is_some_and(|mark| mark == true);
        marked(member)
            || member.get("anyOf").and_then(Value::as_array).is_some_and(|options| options.iter().any(marked))
    };
    members.iter().filter(|(_, member)| is_secret(member)).map(|(name, _)| format!("/{name}")).collect()
}

/// An error with its sources, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let next = inner.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = inner.source();
    }
    text
}
