//! The configuration: shipped defaults, then a file, then the environment, read once into plain values.
//!
//! `configs/billhook.toml` names every key and is compiled in. Whatever is not known, contradicts itself or would leak a
//! secret is refused at start, all of it at once, each with its place and its remedy.

mod base_url;
mod contradictions;
mod finding;
mod folders;
mod layers;
mod reader;
mod secret;
mod sections;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::base_url::{BaseUrl, BaseUrlError};
pub use self::finding::{ConfigError, Finding};
pub use self::secret::{SecretSetting, SecretText, Settings};

use self::folders::Folders;
use self::layers::Layers;
use self::reader::Reader;
use crate::lane::LaneLimits;
use crate::placement::Fill;
use crate::retention::Retention;
use crate::store::LeaseTimes;

/// The shipped `billhook.toml`: every key with its meaning, unit and default.
pub const SHIPPED: &str = layers::SHIPPED;

/// Everything that an operator can set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The two sockets.
    pub socket: SocketConfig,
    /// The database.
    pub store: StoreConfig,
    /// Encryption at rest.
    pub seal: SealConfig,
    /// Which libraries are loaded.
    pub plugins: PluginsConfig,
    /// Billing systems, by name.
    pub platforms: BTreeMap<String, PlatformConfig>,
    /// Panels, by name.
    pub servers: BTreeMap<String, ServerConfig>,
    /// Servers that can take the same products, by name.
    pub groups: BTreeMap<String, GroupConfig>,
    /// What is sold, by the id that billing sends.
    pub products: BTreeMap<String, ProductConfig>,
    /// When a failed operation is tried again.
    pub retry: RetryConfig,
    /// Bounds of one attempt.
    pub attempt: AttemptConfig,
    /// Bounds of the whole daemon.
    pub limits: LimitsConfig,
    /// How long results keep their secrets.
    pub secrets: SecretsConfig,
    /// What the daemon writes about itself.
    pub log: LogConfig,
    /// What is doubtful and was not refused, such as short secrets.
    pub warnings: Vec<Finding>,
}

impl Config {
    /// Reads `path`, if there is one, over the shipped defaults, and the variables of `env` over both.
    ///
    /// `env` is the whole environment: it also holds the secrets that settings name by `{ env = … }`, and the folders of an
    /// ordinary user. Reads the secret files that are named; writes nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that was found. A file that cannot be read or parsed is the only finding.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let uid = rustix::process::geteuid().as_raw();
        Self::load_as(uid, path, &env.into_iter().collect())
    }

    /// Where the file is looked for when none is named; `None` when the environment does not tell. It need not exist.
    pub fn default_file(env: impl IntoIterator<Item = (String, String)>) -> Option<PathBuf> {
        let uid = rustix::process::geteuid().as_raw();
        let folder = Folders::of(uid, &env.into_iter().collect()).configuration?;
        Some(folder.join("billhook.toml"))
    }

    /// The servers that a product of this place can be made on, in their order; all of one provider.
    pub fn servers_of<'a>(&'a self, place: &'a Place) -> &'a [String] {
        match place {
            Place::Server(name) => std::slice::from_ref(name),
            Place::Group(name) => self.groups.get(name).map_or(&[], |group| &group.servers),
        }
    }

    fn load_as(uid: u32, path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let layers = Layers::read(path, env).map_err(|finding| ConfigError { findings: vec![finding] })?;
        let reader = Reader::new(&layers, env);
        let mut config = sections::config(reader.root(), &Folders::of(uid, env));
        if reader.is_clean() {
            contradictions::check(&config, &reader);
        }
        let (findings, warnings) = reader.into_findings();
        if !findings.is_empty() {
            return Err(ConfigError { findings });
        }
        config.warnings = warnings;
        Ok(config)
    }
}

/// `[socket]`: where and for whom the API is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// The folder of both sockets.
    pub folder: PathBuf,
    /// Group of `hook.sock`, name or number.
    pub group: Option<String>,
    /// Rights on `hook.sock`.
    pub hook_mode: u32,
    /// Group of `admin.sock`, name or number.
    pub admin_group: Option<String>,
    /// Rights on `admin.sock`.
    pub admin_mode: u32,
    /// The longest request body, in bytes.
    pub max_body: usize,
    /// The longest head of a request (its line and its headers), in bytes; at least 8 KiB.
    pub max_head: usize,
    /// Headers of a request.
    pub max_headers: u32,
    /// Connections that each socket holds at once.
    pub max_connections: u32,
    /// Of these, connections of one user.
    pub max_connections_per_user: u32,
    /// A connection on which no request begins for this long is closed.
    pub idle_timeout: Duration,
    /// For the head of a request to arrive, from its first byte.
    pub head_timeout: Duration,
    /// For the body of a request to arrive, from the end of its head.
    pub body_timeout: Duration,
    /// A connection whose peer takes nothing of an answer for this long is closed.
    pub write_timeout: Duration,
}

impl SocketConfig {
    /// For billing platforms.
    pub fn hook_socket(&self) -> PathBuf {
        self.folder.join("hook.sock")
    }

    /// For admins.
    pub fn admin_socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }
}

/// `[store]`: where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Which database, from `url`.
    pub database: Database,
    /// The longest body that is kept whole, in bytes.
    pub body_cap: usize,
    /// How long a write waits for a server that is away.
    pub patience: Duration,
    /// How people call this host, where a store has several; its machine's name when absent.
    pub host: Option<String>,
    /// How long a host of several may work without a sign of life.
    pub lease: LeaseTimes,
    /// How often a host of several looks for what no notice told it.
    pub poll: Duration,
    /// Free space on its disk that is left to what is under way, bytes.
    pub reserve: u64,
    /// How long the module log keeps what.
    pub retention: Retention,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// One file on this machine.
    Sqlite {
        /// The file, absolute.
        path: PathBuf,
    },
    /// A database on a Postgres server.
    Postgres {
        /// Its address, without a password.
        url: String,
        /// The role's.
        password: Option<SecretText>,
        /// For what is kept beside a database.
        folder: PathBuf,
    },
}

impl Database {
    /// The address as the store takes it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { path } => format!("sqlite://{}", path.display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    /// Where files stand that belong to it.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Sqlite { path } => path.parent().unwrap_or(Path::new("/")),
            Self::Postgres { folder, .. } => folder,
        }
    }
}

/// `[seal]`: encryption at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealConfig {
    /// The host's key.
    pub key_file: PathBuf,
}

/// `[plugins]`: what may be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginsConfig {
    /// Where the libraries are.
    pub folder: PathBuf,
    /// Whether plugins built with the host run without a pin.
    pub trust_built_with_host: bool,
    /// SHA-256 of the library file, by provider.
    pub pinned: BTreeMap<String, [u8; 32]>,
}

/// `[platforms.NAME]`: one billing system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformConfig {
    /// The users that speak for it; no user speaks for two platforms.
    pub uids: BTreeSet<u32>,
    /// What it may send.
    pub hooks: PlatformHooks,
}

/// The hooks that a platform may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformHooks {
    /// Every one.
    All,
    /// These, by name. The names were not checked: a provider may have hooks of its own.
    These(BTreeSet<String>),
}

impl PlatformHooks {
    /// Whether `hook` is among them.
    pub fn allows(&self, hook: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(hook),
        }
    }
}

/// `[servers.NAME]`: one panel.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The plugin that drives it.
    pub provider: String,
    /// Its API.
    pub base_url: BaseUrl,
    /// Whether the address may be http; it is then a loopback one.
    pub allow_http: bool,
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the one certificate (DER) to trust; never together with `ca_file`.
    pub pin_sha256: Option<[u8; 32]>,
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// For a whole exchange.
    pub timeout: Duration,
    /// For a whole exchange that makes a server or an account.
    pub create_timeout: Duration,
    /// The longest reply, unpacked, in bytes.
    pub max_reply: usize,
    /// Who may work on it, and how often.
    pub lane: LaneLimits,
    /// The most services that are placed here out of a group.
    pub capacity: Option<u32>,
    /// For the provider.
    pub settings: Settings,
}

/// `[groups.NAME]`: servers of one provider that can take the same products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// In their order, each once; all of [`Config::servers`].
    pub servers: Vec<String>,
    /// Which of them takes the next service.
    pub fill: Fill,
}

/// Where a product is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this server, one of [`Config::servers`].
    Server(String),
    /// On a server of this group, one of [`Config::groups`].
    Group(String),
}

/// `[products.NAME]`: one thing that is sold.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductConfig {
    /// Where it is made.
    pub place: Place,
    /// For the provider.
    pub settings: Settings,
}

/// `[retry]`: when a failed operation is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryConfig {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// How long after its arrival an operation is still tried.
    pub age: Duration,
    /// Before the second, third, … attempt; the last one from there on. At least one.
    pub delays: Vec<Duration>,
    /// Share of a delay by which it is made longer or shorter, 0 to 1.
    pub jitter: f64,
}

/// `[attempt]`: bounds of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptConfig {
    /// An attempt is ended after this.
    pub deadline: Duration,
    /// The longest that a panel may go on after a call was cut off.
    pub longest_run: Duration,
    /// Between two looks at what a panel will carry out later.
    pub pending_poll: Duration,
}

/// `[limits]`: bounds of the whole daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The longest that a caller may wait for a result.
    pub wait_max: Duration,
    /// Attempts at once, over all servers.
    pub concurrency: u32,
    /// Whether threads that have worked look out for more for a moment before they sleep.
    pub stay_awake: bool,
}

/// `[secrets]`: what becomes of generated credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsConfig {
    /// How long they are kept for a caller that has not acknowledged them.
    pub keep: Duration,
}

/// `[log]`: what the daemon writes about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or a filter as tracing-subscriber reads it; not checked here.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[cfg(test)]
mod tests;
