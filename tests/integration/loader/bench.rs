//! A folder with plugins, and hosts that start on it: no panel, since the fixture has none.

use super::edit::Plugin;
use billhook::clock::ManualClock;
use billhook::config::Config;
use billhook::engine::{Engine, EngineOptions, HookOptions};
use billhook::operation::State;
use billhook::plugin::{self, LoadError, LoadPolicy, Loaded, Prober, Sha256};
use billhook::request::HookBody;
use billhook::store::{Operation, OperationId};
use billhook_plugin_api::Hook;
use billhook_tests::harness::{PLATFORM, artifacts, temp_folder};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub struct Bench {
    pub folder: TempDir,
    pub clock: ManualClock,
    /// The program that probes.
    pub prober: PathBuf,
    servers: String,
}

impl Bench {
    /// An empty folder of plugins, and no server.
    pub fn new() -> Self {
        let folder = temp_folder();
        fs::create_dir(folder.path().join("lib")).unwrap();
        set_mode(&folder.path().join("lib"), 0o755);
        Self {
            folder,
            clock: ManualClock::new(1_830_297_600_000),
            prober: artifacts::path("billhook").to_owned(),
            servers: String::new(),
        }
    }

    pub fn plugin_path(&self, provider: &str) -> PathBuf {
        self.folder.path().join("lib").join(plugin::file_name(provider))
    }

    /// Puts a plugin where hosts look for it, as a package manager does: under its name it is whole.
    pub fn install(&self, provider: &str, plugin: &Plugin) -> PathBuf {
        let path = self.plugin_path(provider);
        let beside = path.with_extension("new");
        fs::write(&beside, &plugin.0).unwrap();
        set_mode(&beside, 0o644);
        fs::rename(&beside, &path).unwrap();
        path
    }

    /// Puts a prober of `tests/plugins` beside the `billhook` that it calls, in place of an earlier one.
    pub fn install_prober(&self, script: &str) -> PathBuf {
        let (program, billhook) = (self.folder.path().join(script), self.folder.path().join("billhook"));
        if !billhook.exists() {
            std::os::unix::fs::symlink(artifacts::path("billhook"), billhook).unwrap();
        }
        // Written by another process: one that this process forks meanwhile would hold the file open, and a file that is open
        // for writing cannot be run.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins").join(script);
        let copied = Command::new("cp").args(["-p", "--remove-destination"]).arg(source).arg(&program).status();
        assert!(copied.unwrap().success());
        program
    }

    /// Configures a server, which sells the product of its name.
    pub fn server(&mut self, name: &str, provider: &str, settings: &str) {
        self.server_at("127.0.0.1:9", name, provider, settings);
    }

    /// The same, with something behind it.
    pub fn server_at(&mut self, address: &str, name: &str, provider: &str, settings: &str) {
        let _ = write!(
            self.servers,
            "[servers.{name}]\nprovider = \"{provider}\"\nbase_url = \"http://{address}\"\nallow_http = true\n\
             settings = {{ {settings} }}\n[products.{name}]\nserver = \"{name}\"\n"
        );
    }

    /// Pins a plugin.
    pub fn pin(&mut self, provider: &str, sha256: Sha256) {
        let _ = write!(self.servers, "[plugins.pinned]\n{provider} = \"{sha256}\"\n");
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("billhook.toml")
    }

    pub fn config(&self) -> Arc<Config> {
        let folder = self.folder.path().display();
        let text = format!(
            "[socket]\nfolder = \"{folder}\"\n[store]\nurl = \"sqlite://{folder}/billhook.db\"\n[seal]\nkey_file = \
             \"{folder}/host.key\"\n[plugins]\nfolder = \"{folder}/lib\"\n[platforms.{PLATFORM}]\nuids = \
             [12345]\nhooks = \"all\"\n{}",
            self.servers
        );
        fs::write(self.config_path(), text).unwrap();
        set_mode(&self.config_path(), 0o600);
        Arc::new(Config::load(Some(&self.config_path()), std::iter::empty()).unwrap())
    }

    /// Where hosts of this bench keep copies and verdicts.
    pub fn staging(&self) -> PathBuf {
        self.folder.path().join("staged")
    }

    pub async fn start(&self) -> Host {
        let options = EngineOptions {
            staging: Some(self.staging()),
            prober: Some(self.prober.clone()),
            ..EngineOptions::by(self.clock.shared())
        };
        Host { engine: Engine::start(self.config(), options).await.unwrap(), clock: self.clock.clone() }
    }

    pub fn policy(&self) -> LoadPolicy {
        LoadPolicy { built_with_host: true, ..LoadPolicy::new(self.staging()) }
    }

    pub fn prober(&self) -> Prober {
        Prober::new(Some(self.prober.clone()), self.clock.shared())
    }

    pub async fn load(&self, path: &Path) -> Result<Loaded, LoadError> {
        plugin::load(path, &self.policy(), &self.prober()).await
    }

    /// Where the verdict on a plugin is remembered.
    pub fn record(&self, plugin: &Plugin) -> PathBuf {
        self.staging().join(format!("{}.probe.json", Sha256::of(&plugin.0)))
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// One life of a host.
pub struct Host {
    pub engine: Arc<Engine>,
    clock: ManualClock,
}

impl Host {
    /// Sends a create of the server's product.
    pub async fn create(&self, server: &str, service: &str) -> OperationId {
        let body = json!({ "service": { "id": service }, "product": { "id": server } }).to_string();
        let body = HookBody::parse(body.as_bytes()).unwrap();
        self.engine.accept(PLATFORM, Hook::Create, body, HookOptions::default()).await.unwrap().id
    }

    /// Lets everything under way come to rest without moving time.
    pub async fn rest(&self) {
        loop {
            let mut activity = self.engine.activity();
            if self.engine.is_idle() {
                return;
            }
            activity.changed().await.unwrap();
        }
    }

    /// Moves time until the operation is final or needs a person.
    pub async fn drive(&self, id: &OperationId) -> Operation {
        loop {
            self.rest().await;
            let operation = self.engine.operation(id).await.unwrap();
            if operation.state.is_final() || operation.state == State::Attention {
                return operation;
            }
            let at = self.engine.next_due().expect("something is left to wait for");
            self.clock.advance(at.saturating_sub(billhook::clock::Clock::monotonic(&self.clock)));
        }
    }

    /// The content that drives the provider's new operations.
    pub fn configured(&self, provider: &str) -> String {
        self.engine.in_force().providers[provider].sha256.clone()
    }

    pub async fn stop(self) {
        self.engine.stop(Duration::from_secs(5)).await;
    }
}
