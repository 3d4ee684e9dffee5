//! Builds each part of the configuration out of its table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::base_url::BaseUrl;
use super::finding::{Problem, nearest};
use super::folders::Folders;
use super::reader::{self, Raw, Section};
use super::secret::Settings;
use super::{
    AttemptConfig, Config, Database, GroupConfig, LimitsConfig, LogConfig, LogFormat, Place, PlatformConfig,
    PlatformHooks, PluginsConfig, ProductConfig, RetryConfig, SealConfig, SecretsConfig, ServerConfig, SocketConfig,
    StoreConfig,
};
use crate::body::MAX_STORED_BYTES;
use crate::lane::{BreakerLimits, LaneLimits};
use crate::placement::Fill;
use crate::retention::Retention;
use crate::store::LeaseTimes;

/// The kernel takes 107 bytes for a socket's path, of which the file's name needs some.
const MAX_SOCKET_FOLDER_BYTES: usize = 90;

// What a server has when its table does not say. The shipped file shows the same values.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
const CREATE_TIMEOUT: Duration = Duration::from_secs(90);
const MAX_REPLY: usize = 8 * 1024 * 1024;
const CONCURRENCY: u32 = 4;
const BREAKER_AFTER: u32 = 5;
const BREAKER_DELAYS: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
];

/// Reads all sections. What is returned is of use only if the reader found nothing to refuse.
pub(super) fn config(mut root: Section<'_>, folders: &Folders) -> Config {
    let server_names: BTreeSet<String> = root.names("servers");
    let group_names: BTreeSet<String> = root.names("groups");
    let config = Config {
        socket: socket(root.table("socket"), folders),
        store: store(root.table("store"), folders),
        seal: seal(root.table("seal"), folders),
        plugins: plugins(root.table("plugins"), folders),
        platforms: named(root.named_tables("platforms"), platform),
        servers: named(root.named_tables("servers"), server),
        groups: named(root.named_tables("groups"), |section| group(section, &server_names)),
        products: named(root.named_tables("products"), |section| product(section, &server_names, &group_names)),
        retry: retry(root.table("retry")),
        attempt: attempt(root.table("attempt")),
        limits: limits(root.table("limits")),
        secrets: secrets(root.table("secrets")),
        log: log(root.table("log")),
        warnings: Vec::new(),
    };
    root.finish();
    config
}

fn named<T>(tables: Vec<(String, Section<'_>)>, read: impl Fn(Section<'_>) -> Option<T>) -> BTreeMap<String, T> {
    tables.into_iter().filter_map(|(name, section)| Some((name, read(section)?))).collect()
}

fn socket(mut section: Section<'_>, folders: &Folders) -> SocketConfig {
    let config = SocketConfig {
        folder: place(&mut section, "folder", folders.sockets.as_deref()),
        group: section.optional("group", reader::text),
        hook_mode: section.value("hook_mode", reader::socket_mode),
        admin_group: section.optional("admin_group", reader::text),
        admin_mode: section.value("admin_mode", reader::socket_mode),
        max_body: section.value("max_body", reader::size),
        max_head: section.value("max_head", head_size),
        max_headers: section.value("max_headers", header_count),
        max_connections: section.value("max_connections", reader::count),
        max_connections_per_user: section.value("max_connections_per_user", reader::count),
        idle_timeout: section.value("idle_timeout", reader::duration),
        head_timeout: section.value("head_timeout", reader::duration),
        body_timeout: section.value("body_timeout", reader::duration),
        write_timeout: section.value("write_timeout", reader::duration),
    };
    if config.folder.as_os_str().len() > MAX_SOCKET_FOLDER_BYTES {
        let problem = format!("is longer than {MAX_SOCKET_FOLDER_BYTES} bytes, too long for the path of a socket");
        section.reader().refuse(&section.key("folder"), Problem::new(problem, "name a shorter folder"));
    }
    section.finish();
    config
}

/// The HTTP parser reads in pieces of at least 8 KiB, and needs no room for megabytes of headers on each connection.
fn head_size(raw: Raw) -> Result<usize, Problem> {
    reader::size(raw).and_then(|bytes| match bytes {
        8_192..=1_048_576 => Ok(bytes),
        _ => Err(Problem::new("is not between 8KiB and 1MiB", "write a size between them, such as \"16KiB\"")),
    })
}

fn header_count(raw: Raw) -> Result<u32, Problem> {
    reader::count(raw).and_then(|count| match count {
        8..=1_024 => Ok(count),
        _ => Err(Problem::new("is not between 8 and 1024", "write a number between them, such as 64")),
    })
}

fn store(mut section: Section<'_>, folders: &Folders) -> StoreConfig {
    let password = section.secret("password");
    let database = if section.is_set("url") {
        let database = section.optional("url", database);
        match database {
            Some(Database::Postgres { url, .. }) => {
                let folder = folders.data.clone().or_else(|| no_default(&section, "url")).unwrap_or_default();
                Some(Database::Postgres { url, password, folder })
            }
            other => {
                if password.is_some() && other.is_some() {
                    let problem =
                        Problem::new("is for a Postgres server, and `url` names a file", "leave one of the two");
                    section.reader().refuse(&section.key("password"), problem);
                }
                other
            }
        }
    } else {
        // Asked all the same, so that it counts as known.
        section.optional("url", database).or_else(|| {
            let path = folders.data.as_ref().map(|data| data.join("billhook.db"));
            path.or_else(|| no_default(&section, "url")).map(|path| Database::Sqlite { path })
        })
    };
    let config = StoreConfig {
        database: database.unwrap_or(Database::Sqlite { path: PathBuf::new() }),
        body_cap: section.value("body_cap", body_cap),
        patience: section.value("patience", reader::duration),
        host: section.optional("host", reader::text),
        lease: LeaseTimes {
            lease: section.value("lease", reader::duration),
            renew: section.value("lease_renew", reader::duration),
            stop: section.value("lease_stop", reader::duration),
        },
        poll: section.value("poll", reader::duration),
        reserve: section.value("reserve", |raw| Ok(reader::size(raw)? as u64)),
        retention: retention(section.table("retention")),
    };
    section.finish();
    config
}

fn retention(mut section: Section<'_>) -> Retention {
    let retention = Retention {
        bodies: section.value("bodies", reader::duration),
        failed_bodies: section.value("failed_bodies", reader::duration),
        reads: section.value("reads", reader::duration),
        operations: section.value("operations", reader::duration),
        failures: section.value("failures", reader::duration),
        budget: section.value("budget", budget),
    };
    section.finish();
    retention
}

/// Less is taken by the tables themselves and what is unfinished, and the log would be empty most of the time.
fn budget(raw: Raw) -> Result<u64, Problem> {
    const LEAST: u64 = 64 << 20;
    let bytes = reader::size(raw)?;
    u64::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes >= LEAST)
        .ok_or_else(|| Problem::new("is less than 64MiB", "write more, such as \"1GiB\""))
}

fn database(raw: Raw) -> Result<Database, Problem> {
    const REMEDY: &str = "write sqlite:// and the whole path of the file, such as sqlite:///var/lib/billhook/billhook.db, or \
                          postgres://role@server/database";
    // Not quoted: it may hold a password.
    let text = reader::text(raw)?;
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return server_database(text);
    }
    let Some(path) = text.strip_prefix("sqlite://") else {
        return Err(Problem::new("is not the URL of a SQLite or Postgres database", REMEDY));
    };
    if !path.starts_with('/') || path.ends_with('/') || path.contains(['?', '#', '%']) {
        return Err(Problem::new("does not name a file by its whole path", REMEDY));
    }
    Ok(Database::Sqlite { path: PathBuf::from(path) })
}

/// Password and folder are put in by whoever asked.
fn server_database(text: String) -> Result<Database, Problem> {
    const REMEDY: &str = "write postgres://role@server/database, or for a socket \
                          postgres:///database?host=/run/postgresql&user=role";
    let url = url::Url::parse(&text).map_err(|_| Problem::new("is not a URL that can be read", REMEDY))?;
    if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
        return Err(Problem::new(
            "holds a password in clear",
            "put it into a file that only its owner can read and write password = { file = \"/path\" } beside the url; then \
             change it on the server, since it may have been seen",
        ));
    }
    if url.path().trim_start_matches('/').is_empty() {
        return Err(Problem::new("names no database", REMEDY));
    }
    Ok(Database::Postgres { url: text, password: None, folder: PathBuf::new() })
}

fn body_cap(raw: Raw) -> Result<usize, Problem> {
    reader::size(raw).and_then(|bytes| match bytes {
        1_024..=MAX_STORED_BYTES => Ok(bytes),
        _ => Err(Problem::new("is not between 1KiB and 16MiB", "write a size between them, such as \"256KiB\"")),
    })
}

fn seal(mut section: Section<'_>, folders: &Folders) -> SealConfig {
    let default = folders.configuration.as_ref().map(|folder| folder.join("host.key"));
    let config = SealConfig { key_file: place(&mut section, "key_file", default.as_deref()) };
    section.finish();
    config
}

fn plugins(mut section: Section<'_>, folders: &Folders) -> PluginsConfig {
    let folder = place(&mut section, "folder", folders.plugins.as_deref());
    let trust_built_with_host = section.value("trust_built_with_host", reader::flag);
    let mut pinned = BTreeMap::new();
    for (name, value) in section.take_table("pinned") {
        match reader::sha256(Raw::of(value)) {
            Ok(hash) => {
                pinned.insert(name, hash);
            }
            Err(problem) => section.reader().refuse(&section.key(&format!("pinned.{name}")), problem),
        }
    }
    section.finish();
    PluginsConfig { folder, trust_built_with_host, pinned }
}

fn platform(mut section: Section<'_>) -> Option<PlatformConfig> {
    let uids = section.required("uids", reader::uids);
    let hooks = section.required("hooks", platform_hooks);
    section.finish();
    Some(PlatformConfig { uids: uids?.into_iter().collect(), hooks: hooks? })
}

fn platform_hooks(raw: Raw) -> Result<PlatformHooks, Problem> {
    if raw.is("all") {
        return Ok(PlatformHooks::All);
    }
    let refused =
        |_| Problem::new("is neither \"all\" nor a list of hooks", "write \"all\", or [\"create\", \"suspend\"]");
    reader::texts(raw).map_err(refused).map(|names| PlatformHooks::These(names.into_iter().collect()))
}

fn server(mut section: Section<'_>) -> Option<ServerConfig> {
    let provider = section.required("provider", reader::text);
    let allow_http = section.value_or("allow_http", reader::flag, false);
    let address = section.required("base_url", reader::text);
    let base_url = address.and_then(|address| {
        let refuse = |error: super::BaseUrlError| {
            let text = error.to_string();
            let (problem, remedy) = text.split_once("; ").unwrap_or((&text, "mend it"));
            section.reader().refuse(&section.key("base_url"), Problem::new(problem, remedy));
        };
        BaseUrl::parse(&address, allow_http).map_err(refuse).ok()
    });
    let ca_file = section.optional("ca_file", reader::path);
    let pin_sha256 = section.optional("pin_sha256", reader::sha256);
    let connect_timeout = section.value_or("connect_timeout", reader::duration, CONNECT_TIMEOUT);
    let timeout = section.value_or("timeout", reader::duration, TIMEOUT);
    let create_timeout = section.value_or("create_timeout", reader::duration, CREATE_TIMEOUT);
    let max_reply = section.value_or("max_reply", reader::size, MAX_REPLY);
    let lane = lane(&mut section);
    let capacity = section.optional("capacity", reader::count);
    let settings = settings(&mut section);
    section.finish();
    Some(ServerConfig {
        provider: provider?,
        base_url: base_url?,
        allow_http,
        ca_file,
        pin_sha256,
        connect_timeout,
        timeout,
        create_timeout,
        max_reply,
        lane,
        capacity,
        settings,
    })
}

fn lane(section: &mut Section<'_>) -> LaneLimits {
    LaneLimits {
        concurrency: section.value_or("concurrency", reader::count, CONCURRENCY),
        rate: section.optional("rate", reader::rate),
        breaker: BreakerLimits {
            after: section.value_or("breaker_after", reader::count, BREAKER_AFTER),
            delays: section.value_or("breaker_delays", reader::durations, BREAKER_DELAYS.to_vec()),
        },
    }
}

fn group(mut section: Section<'_>, known: &BTreeSet<String>) -> Option<GroupConfig> {
    let servers = section.required("servers", reader::texts);
    let key = section.key("servers");
    let mut seen = BTreeSet::new();
    for name in servers.iter().flatten() {
        refuse_unknown(&section, &key, "server", name, known);
        if !seen.insert(name) {
            let problem = format!("names the server {name:?} twice");
            section.reader().refuse(&key, Problem::new(problem, "name each server once"));
        }
    }
    let fill = section.required("fill", fill);
    section.finish();
    Some(GroupConfig { servers: servers?, fill: fill? })
}

fn fill(raw: Raw) -> Result<Fill, Problem> {
    let word = reader::text(raw)?;
    let known = Fill::ALL.map(Fill::as_str);
    Fill::parse(&word).ok_or_else(|| {
        let remedy = match nearest(&word, known) {
            Some(guess) => format!("did you mean {guess:?}?"),
            None => format!("write {:?} or {:?}", known[0], known[1]),
        };
        Problem::new(format!("{word:?} is no rule to fill a group by"), remedy)
    })
}

fn product(mut section: Section<'_>, servers: &BTreeSet<String>, groups: &BTreeSet<String>) -> Option<ProductConfig> {
    section.knows("server");
    section.knows("group");
    let place = match (section.is_set("server"), section.is_set("group")) {
        (true, true) => {
            let remedy = "leave the group, or the one server";
            let problem = Problem::new("a product is made on one server or in a group, and both are named", remedy);
            section.reader().refuse_both(&section.key("server"), &section.key("group"), problem);
            section.optional("server", reader::text);
            section.optional("group", reader::text);
            None
        }
        (_, true) => section.optional("group", reader::text).map(|name| {
            refuse_unknown(&section, &section.key("group"), "group", &name, groups);
            Place::Group(name)
        }),
        (true, false) => section.optional("server", reader::text).map(|name| {
            refuse_unknown(&section, &section.key("server"), "server", &name, servers);
            Place::Server(name)
        }),
        (false, false) => {
            let problem = Problem::new("`server` is missing", "set it, or `group` for one of several servers");
            section.reader().refuse(&section.key("server"), problem);
            None
        }
    };
    let settings = settings(&mut section);
    section.finish();
    Some(ProductConfig { place: place?, settings })
}

/// Refuses the name of a server or group that is not there.
fn refuse_unknown(section: &Section<'_>, key: &str, what: &str, name: &str, known: &BTreeSet<String>) {
    if known.contains(name) {
        return;
    }
    let remedy = match nearest(name, known.iter().map(String::as_str)) {
        Some(guess) => format!("did you mean {guess:?}?"),
        None => format!("add a table [{what}s.{name}]"),
    };
    section.reader().refuse(key, Problem::new(format!("there is no {what} {name:?}"), remedy));
}

fn settings(section: &mut Section<'_>) -> Settings {
    let table = section.take_table("settings");
    Settings::resolve(section.reader(), &section.key("settings"), table)
}

fn retry(mut section: Section<'_>) -> RetryConfig {
    let config = RetryConfig {
        attempts: section.value("attempts", reader::count),
        age: section.value("age", reader::duration),
        delays: section.value("delays", reader::durations),
        jitter: section.value("jitter", reader::share),
    };
    section.finish();
    config
}

fn attempt(mut section: Section<'_>) -> AttemptConfig {
    let config = AttemptConfig {
        deadline: section.value("deadline", reader::duration),
        longest_run: section.value("longest_run", reader::duration),
        pending_poll: section.value("pending_poll", reader::duration),
    };
    section.finish();
    config
}

fn limits(mut section: Section<'_>) -> LimitsConfig {
    let config = LimitsConfig {
        wait_max: section.value("wait_max", reader::duration),
        concurrency: section.value("concurrency", reader::count),
        stay_awake: section.value("stay_awake", reader::flag),
    };
    section.finish();
    config
}

fn secrets(mut section: Section<'_>) -> SecretsConfig {
    let config = SecretsConfig { keep: section.value("keep", reader::duration) };
    section.finish();
    config
}

fn log(mut section: Section<'_>) -> LogConfig {
    let config = LogConfig {
        level: section.value("level", reader::text),
        format: section.required("format", log_format).unwrap_or(LogFormat::Text),
    };
    section.finish();
    config
}

fn log_format(raw: Raw) -> Result<LogFormat, Problem> {
    match reader::text(raw)?.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(Problem::new(format!("{other:?} is no format"), "write \"text\" or \"json\"")),
    }
}

/// A path that has a default for most users.
fn place(section: &mut Section<'_>, key: &'static str, default: Option<&Path>) -> PathBuf {
    let is_set = section.is_set(key);
    match section.optional(key, reader::path) {
        Some(path) => path,
        // Refused already.
        None if is_set => PathBuf::new(),
        None => default.map(Path::to_owned).or_else(|| no_default(section, key)).unwrap_or_default(),
    }
}

fn no_default<T>(section: &Section<'_>, key: &str) -> Option<T> {
    section.reader().refuse(
        &section.key(key),
        Problem::new(
            format!("`{key}` has no default here: the environment has no HOME or no XDG folder for it"),
            "set the key, or XDG_RUNTIME_DIR, XDG_DATA_HOME and XDG_CONFIG_HOME",
        ),
    );
    None
}
