use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;
use crate::store::LeaseTimes;

/// A folder with a configuration file and secrets, gone at the end of the test.
struct Desk {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Self { folder, env: BTreeMap::new() };
        desk.file("token", "panel-token-of-some-length\n", 0o600);
        desk
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        path
    }

    /// Loads `text` as root would; `DIR/` stands for the folder.
    fn load(&self, text: &str) -> Result<Config, ConfigError> {
        let path = self.file("billhook.toml", &text.replace("DIR/", &self.path("")), 0o644);
        Config::load_as(0, Some(&path), &self.env)
    }

    fn findings(&self, text: &str) -> Vec<Finding> {
        self.load(text).expect_err(text).findings
    }
}

const SERVER: &str = "[servers.a]\nprovider = \"virtfusion\"\nbase_url = \"https://cp.example.com/api/v1\"\n";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The shipped file with its examples switched on.
fn shipped_with_examples() -> String {
    let is_example = |line: &str| {
        line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
    };
    SHIPPED.lines().map(|line| if is_example(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_gives_the_documented_defaults() {
    let config = Config::load_as(0, None, &BTreeMap::new()).expect("the shipped file");
    let expected = Config {
        socket: SocketConfig {
            folder: "/run/billhook".into(),
            group: None,
            hook_mode: 0o660,
            admin_group: None,
            admin_mode: 0o600,
            max_body: 1 << 20,
            max_head: 16 << 10,
            max_headers: 64,
            max_connections: 256,
            max_connections_per_user: 192,
            idle_timeout: seconds(60),
            head_timeout: seconds(10),
            body_timeout: seconds(30),
            write_timeout: seconds(30),
        },
        store: StoreConfig {
            database: Database::Sqlite { path: "/var/lib/billhook/billhook.db".into() },
            body_cap: 256 << 10,
            patience: seconds(30),
            host: None,
            lease: LeaseTimes::default(),
            poll: seconds(1),
            reserve: 64 << 20,
            retention: Retention {
                bodies: seconds(30 * 86_400),
                failed_bodies: seconds(180 * 86_400),
                reads: seconds(30 * 86_400),
                operations: seconds(365 * 86_400),
                failures: seconds(730 * 86_400),
                budget: 10 << 30,
            },
        },
        seal: SealConfig { key_file: "/etc/billhook/host.key".into() },
        plugins: PluginsConfig {
            folder: "/usr/lib/billhook/plugins".into(),
            trust_built_with_host: true,
            pinned: BTreeMap::new(),
        },
        platforms: BTreeMap::new(),
        servers: BTreeMap::new(),
        groups: BTreeMap::new(),
        products: BTreeMap::new(),
        retry: RetryConfig {
            attempts: 10,
            age: seconds(86_400),
            delays: [10, 60, 300, 1_800, 7_200].map(seconds).into(),
            jitter: 0.2,
        },
        attempt: AttemptConfig { deadline: seconds(120), longest_run: seconds(60), pending_poll: seconds(300) },
        limits: LimitsConfig { wait_max: seconds(120), concurrency: 64, stay_awake: true },
        secrets: SecretsConfig { keep: seconds(7 * 86_400) },
        log: LogConfig { level: "info".into(), format: LogFormat::Text },
        warnings: Vec::new(),
    };
    assert_eq!(config, expected);
    assert_eq!(config.socket.hook_socket(), Path::new("/run/billhook/hook.sock"));
}

#[test]
fn every_key_that_is_read_stands_in_the_shipped_file_and_the_other_way_round() {
    let desk = Desk::new();
    let path = desk.file("billhook.toml", &shipped_with_examples(), 0o644);
    let layers = Layers::read(Some(&path), &desk.env).expect("the examples are valid TOML");
    let reader = Reader::new(&layers, &desk.env);

    sections::config(reader.root(), &Folders::of(0, &desk.env));

    for key in reader.asked.borrow().iter() {
        let pointer = format!("/{}", key.replace('.', "/"));
        assert!(Value::Object(layers.tree.clone()).pointer(&pointer).is_some(), "{key} is not in the shipped file");
    }
    let (findings, _) = reader.into_findings();
    let unexpected: Vec<_> = findings.iter().filter(|finding| !finding.problem.contains("secret file")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn the_servers_defaults_are_those_that_the_shipped_file_shows() {
    let desk = Desk::new();
    let bare = desk.load(SERVER).expect("a server").servers["a"].clone();
    let shown = shipped_with_examples().replace("/etc/billhook/panel-1.token", &desk.path("token"));
    let without_pin: String =
        shown.lines().filter(|line| !line.starts_with("pin_sha256")).map(|line| format!("{line}\n")).collect();
    // It shows a file, and beside it what is for a server alone.
    let without_pin = without_pin
        .replace("url = \"sqlite:///var/lib/billhook/billhook.db\"", "url = \"postgres://u@h/d\"")
        .replace("/etc/billhook/postgres.password", &desk.path("token"));
    let config = desk
        .load(&without_pin.replace("#admin", "").replace("admin_mode = \"0600\"", "admin_mode = \"0660\""))
        .expect("the examples");
    let shown = config.servers["panel-1"].clone();

    let times = |server: &ServerConfig| {
        (
            server.allow_http,
            server.connect_timeout,
            server.timeout,
            server.create_timeout,
            server.max_reply,
            LaneLimits { rate: None, ..server.lane.clone() },
        )
    };
    // It shows how a rate is written; there is none by default.
    assert_eq!((bare.lane.rate, shown.lane.rate.is_some()), (None, true));
    assert_eq!(times(&bare), times(&shown));
    assert_eq!(config.products["vps-small"].settings.value(), &json!({ "package_id": 1, "hypervisor_group_id": 1 }));
    assert_eq!(config.platforms["whmcs"], PlatformConfig { uids: [33].into(), hooks: PlatformHooks::All });
}

#[test]
fn the_password_for_a_server_comes_as_other_secrets_do() {
    let desk = Desk::new().env("PASSWORD_OF_IT", "hunter2-hunter2");
    let text = "[store]\nurl = \"postgres://u@h/d\"\npassword = { env = \"PASSWORD_OF_IT\" }\npatience = \"5s\"";

    let config = desk.load(text).expect("a store on a server");

    let Database::Postgres { url, password, folder } = &config.store.database else { panic!("{:?}", config.store) };
    assert_eq!((url.as_str(), folder.as_path()), ("postgres://u@h/d", Path::new("/var/lib/billhook")));
    assert_eq!(password.as_ref().map(SecretText::expose), Some("hunter2-hunter2"));
    assert_eq!(config.store.patience, seconds(5));
    assert!(!format!("{config:?}").contains("hunter2"));
    let refused = desk.findings("[store]\nurl = \"sqlite:///x/y.db\"\npassword = { env = \"PASSWORD_OF_IT\" }");
    assert!(refused.iter().any(|finding| finding.problem.contains("`url` names a file")), "{refused:?}");
}

#[test]
fn an_ordinary_user_has_folders_of_their_own() {
    let env = [("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let config = Config::load_as(1000, None, &env).expect("defaults");
    assert_eq!(config.socket.folder, Path::new("/run/user/1000/billhook"));
    assert_eq!(config.store.database, Database::Sqlite { path: "/home/ada/.local/share/billhook/billhook.db".into() });
    assert_eq!(config.seal.key_file, Path::new("/home/ada/.config/billhook/host.key"));

    let nowhere = Config::load_as(1000, None, &BTreeMap::new()).expect_err("no folders").findings;
    let places: Vec<_> = nowhere.iter().map(|finding| finding.place.as_str()).collect();
    assert_eq!(places, ["socket.folder", "store.url", "seal.key_file", "plugins.folder"]);
}

#[test]
fn variables_of_every_kind_stand_above_the_file() {
    let desk = Desk::new()
        .env("BILLHOOK__RETRY__ATTEMPTS", "3")
        .env("BILLHOOK__RETRY__JITTER", "0.5")
        .env("BILLHOOK__RETRY__DELAYS", "1s, 2s")
        .env("BILLHOOK__PLUGINS__TRUST_BUILT_WITH_HOST", "false")
        .env("BILLHOOK__PLATFORMS__OWN__UIDS", "33,34")
        .env("BILLHOOK__PLATFORMS__OWN__HOOKS", "create,suspend")
        .env("BILLHOOK__SERVERS__A__TIMEOUT", "20s")
        .env("BILLHOOK__SERVERS__A__SETTINGS__TOKEN", "token-from-the-environment")
        .env("BILLHOOK__SERVERS__A__SETTINGS__GROUP_ID", "7")
        .env("BILLHOOK__SERVERS__A__SETTINGS__PREFIX", "007");
    let config = desk.load(&format!("{SERVER}timeout = \"15s\"\n[retry]\nattempts = 4\n")).expect("variables");

    assert_eq!((config.retry.attempts, config.retry.jitter), (3, 0.5));
    assert_eq!(config.retry.delays, [seconds(1), seconds(2)]);
    assert!(!config.plugins.trust_built_with_host);
    assert_eq!(config.platforms["own"].uids, [33, 34].into());
    assert!(config.platforms["own"].hooks.allows("suspend") && !config.platforms["own"].hooks.allows("terminate"));
    assert_eq!(config.servers["a"].timeout, seconds(20));
    let settings = &config.servers["a"].settings;
    assert_eq!(settings.value(), &json!({ "token": "token-from-the-environment", "group_id": 7, "prefix": "007" }));
    assert_eq!(settings.secrets()[0].pointer, "/token");
}

#[test]
fn secrets_come_from_files_and_variables_and_are_listed() {
    let desk = Desk::new().env("PANEL_PASSWORD", "password-of-some-length");
    let config = desk
        .load(&format!("{SERVER}[servers.a.settings]\ntoken = {{ file = \"DIR/token\" }}\nlogin = \"acme\"\nnested = [{{ env = \"PANEL_PASSWORD\" }}]\n"))
        .expect("secrets");

    let settings = &config.servers["a"].settings;
    assert_eq!(
        settings.value(),
        &json!({ "token": "panel-token-of-some-length", "login": "acme", "nested": ["password-of-some-length"] })
    );
    let found: Vec<_> = settings.secrets().iter().map(|s| (s.pointer.as_str(), s.secret.expose())).collect();
    assert!(
        found.contains(&("/token", "panel-token-of-some-length"))
            && found.contains(&("/nested/0", "password-of-some-length"))
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("some-length") && shown.contains("acme"), "{shown}");
}

#[test]
fn a_short_secret_is_warned_about_and_not_shown() {
    let desk = Desk::new().env("PIN", "1234567");
    let config =
        desk.load(&format!("{SERVER}[servers.a.settings]\npin = {{ env = \"PIN\" }}\n")).expect("a warning only");
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(warning.place.ends_with("billhook.toml:5 servers.a.settings.pin"), "{warning}");
    assert!(warning.problem.contains("fewer than 8") && !warning.to_string().contains("1234567"), "{warning}");
}

#[test]
fn each_bad_setting_is_refused_with_its_place_and_remedy() {
    let desk = Desk::new().env("EMPTY", " ");
    desk.file("open", "hunter2-hunter2", 0o644);
    let settings = |line: &str| format!("{SERVER}[servers.a.settings]\n{line}\n");
    let server = |line: &str| format!("{SERVER}{line}\n");
    for (text, place, problem, remedy) in [
        // Unknown keys and tables.
        ("[retry]\natempts = 3".to_owned(), ":2 retry.atempts", "`atempts` is not known", "did you mean `attempts`?"),
        ("[retri]\nattempts = 3".to_owned(), ":1 retri", "`retri` is not known", "did you mean `retry`?"),
        (server("verify_tls = false"), ":4 servers.a.verify_tls", "`verify_tls` is not known", "known here: provider"),
        // Kinds.
        (server("rate = \"60/1m\""), ":4 servers.a.rate", "is not a rate", "60 per 1m"),
        ("[retry]\nattempts = \"3\"".to_owned(), ":2 retry.attempts", "whole number", "without quotes"),
        ("[retry]\nattempts = 0".to_owned(), ":2 retry.attempts", "whole number", "write one"),
        ("[retry]\nage = 30".to_owned(), ":2 retry.age", "\"30\" is not a duration", "\"30s\""),
        ("[retry]\ndelays = []".to_owned(), ":2 retry.delays", "empty list", "at least one"),
        ("[retry]\ndelays = \"1s\"".to_owned(), ":2 retry.delays", "not a list", "brackets"),
        ("[retry]\njitter = 1.5".to_owned(), ":2 retry.jitter", "from 0 to 1", "0.2"),
        ("retry = 3".to_owned(), ":1 retry", "not a table", "[retry]"),
        ("[socket]\nmax_body = \"1MB\"".to_owned(), ":2 socket.max_body", "\"1MB\" is not a size", "\"1MiB\""),
        ("[socket]\nhook_mode = \"0666\"".to_owned(), ":2 socket.hook_mode", "more than reading", "0660"),
        ("[socket]\nfolder = \"run\"".to_owned(), ":2 socket.folder", "relative", "from / on"),
        (format!("[socket]\nfolder = \"/{}\"", "x".repeat(100)), ":2 socket.folder", "too long", "shorter"),
        ("[store]\nurl = \"postgres://u:hunter2@h/d\"".to_owned(), ":2 store.url", "holds a password", "{ file ="),
        (
            "[store]\nurl = \"postgres:///d?host=/run&password=hunter2\"".to_owned(),
            ":2 store.url",
            "holds a password",
            "change it",
        ),
        ("[store]\nurl = \"postgres://u@h:hunter2/d\"".to_owned(), ":2 store.url", "not a URL", "postgres://role@"),
        ("[store]\nurl = \"postgres://u@h\"".to_owned(), ":2 store.url", "names no database", "postgres://role@"),
        ("[store]\nurl = \"mysql://u:hunter2@h/d\"".to_owned(), ":2 store.url", "not the URL of a", "sqlite:///"),
        (
            "[store]\nurl = \"postgres://u@h/d\"\npassword = \"hunter2-hunter2\"".to_owned(),
            ":3 store.password",
            "written in clear",
            "{ file =",
        ),
        (
            "[store]\nurl = \"postgres://u@h/d\"\npassword = true".to_owned(),
            ":3 store.password",
            "no secret",
            "{ file =",
        ),
        ("[store]\nurl = \"sqlite://billhook.db\"".to_owned(), ":2 store.url", "whole path", "sqlite:///"),
        ("[store]\nbody_cap = \"1GiB\"".to_owned(), ":2 store.body_cap", "between 1KiB and 16MiB", "256KiB"),
        ("[plugins.pinned]\nx = \"abc\"".to_owned(), ":2 plugins.pinned.x", "not a SHA-256", "64 hex"),
        ("[log]\nformat = \"xml\"".to_owned(), ":2 log.format", "no format", "json"),
        ("[log]\nlevel = \"\"".to_owned(), ":2 log.level", "empty", "value"),
        // Names, platforms, products.
        (
            "[servers.\"A b\"]\nprovider = \"x\"\nbase_url = \"https://h\"".to_owned(),
            ":1 servers.A b",
            "no name",
            "lower-case",
        ),
        ("[platforms.x]\nuids = [33]".to_owned(), ":1 platforms.x.hooks", "`hooks` is missing", "set it"),
        (
            "[platforms.x]\nuids = [\"www-data\"]\nhooks = \"all\"".to_owned(),
            ":2 platforms.x.uids",
            "user numbers",
            "id -u",
        ),
        (
            "[platforms.x]\nuids = [33]\nhooks = \"some\"".to_owned(),
            ":3 platforms.x.hooks",
            "neither \"all\"",
            "create",
        ),
        (server("[products.p]\nserver = \"b\""), ":5 products.p.server", "no server \"b\"", "did you mean \"a\"?"),
        (server("[products.p]\nserver = \"other\""), ":5 products.p.server", "no server \"other\"", "[servers.other]"),
        // Groups.
        (server("[products.p.settings]\nx = 1"), ":4 products.p.server", "`server` is missing", "or `group`"),
        (
            server("[products.p]\nserver = \"a\"\ngroup = \"g\"\n[groups.g]\nservers = [\"a\"]\nfill = \"fill_first\""),
            ":6 products.p.group",
            "both are named",
            "leave the group",
        ),
        (server("[products.p]\ngroup = \"g\""), ":5 products.p.group", "no group \"g\"", "[groups.g]"),
        (
            server("[groups.g]\nservers = [\"b\"]\nfill = \"fill_first\""),
            ":5 groups.g.servers",
            "no server \"b\"",
            "did you mean \"a\"?",
        ),
        (
            server("[groups.g]\nservers = [\"a\", \"a\"]\nfill = \"fill_first\""),
            ":5 groups.g.servers",
            "names the server \"a\" twice",
            "each server once",
        ),
        (
            server("[groups.g]\nservers = []\nfill = \"fill_first\""),
            ":5 groups.g.servers",
            "empty list",
            "at least one",
        ),
        (server("[groups.g]\nservers = [\"a\"]"), ":4 groups.g.fill", "`fill` is missing", "set it"),
        (
            server("[groups.g]\nservers = [\"a\"]\nfill = \"least-used\""),
            ":6 groups.g.fill",
            "no rule to fill a group by",
            "did you mean \"least_used\"?",
        ),
        (
            server("[groups.g]\nservers = [\"a\"]\nfill = \"random\""),
            ":6 groups.g.fill",
            "no rule to fill a group by",
            "\"least_used\" or \"fill_first\"",
        ),
        (
            server(
                "[servers.b]\nprovider = \"rootpanel\"\nbase_url = \"https://b.example.com\"\n\
                 [groups.g]\nservers = [\"a\", \"b\"]\nfill = \"fill_first\"",
            ),
            ":5 servers.b.provider",
            "a is driven by virtfusion, b by rootpanel",
            "a group of its own",
        ),
        (server("capacity = 0"), ":4 servers.a.capacity", "from 1 to 1000000", "without quotes"),
        // Addresses.
        ("[servers.a]\nprovider = \"x\"".to_owned(), ":1 servers.a.base_url", "`base_url` is missing", "set it"),
        (
            "[servers.a]\nprovider = \"x\"\nbase_url = \"http://panel.example\"".to_owned(),
            ":3 servers.a.base_url",
            "another machine",
            "https",
        ),
        (
            "[servers.a]\nprovider = \"x\"\nbase_url = \"http://127.0.0.1\"".to_owned(),
            ":3 servers.a.base_url",
            "is http",
            "allow_http = true",
        ),
        (
            "[servers.a]\nprovider = \"x\"\nbase_url = \"https://u:hunter2@h\"".to_owned(),
            ":3 servers.a.base_url",
            "user or password",
            "settings",
        ),
        // Secrets.
        (settings("token = \"hunter2\""), ":5 servers.a.settings.token", "in clear", "{ file = \"/path\" }"),
        (settings("api_key = 123456"), ":5 servers.a.settings.api_key", "in clear", "{ env = \"NAME\" }"),
        (
            settings("deep = { root_password = \"hunter2\" }"),
            ":5 servers.a.settings.deep.root_password",
            "in clear",
            "change it",
        ),
        (settings("token = { file = \"DIR/open\" }"), ":5 servers.a.settings.token", "mode 0644", "0600"),
        (
            settings("token = { file = \"DIR/none\" }"),
            ":5 servers.a.settings.token",
            "No such file",
            "file of this user",
        ),
        (settings("token = { file = \"token\" }"), ":5 servers.a.settings.token", "relative", "from / on"),
        (
            settings("token = { env = \"UNSET\" }"),
            ":5 servers.a.settings.token",
            "\"UNSET\", which is not set",
            "set it",
        ),
        (settings("token = { env = \"EMPTY\" }"), ":5 servers.a.settings.token", "empty secret", "put the secret"),
        (settings("token = { env = \"A\", file = \"/b\" }"), ":5 servers.a.settings.token", "both", "one of the two"),
        (settings("token = { file = 3 }"), ":5 servers.a.settings.token", "no file and no variable", "{ file"),
        // Text that is no TOML; the line may hold a secret.
        ("[retry]\nage = \"1h\"\ntoken = hunter2\n".to_owned(), "billhook.toml:3", "not valid TOML", "mend that line"),
        ("[retry]\nage = \"1h\"\nage = \"2h\"\n".to_owned(), "billhook.toml:3", "duplicate key", "only once"),
    ] {
        let findings = desk.findings(&text);
        let [finding] = findings.as_slice() else { panic!("{text}\n{findings:#?}") };
        assert!(finding.place.ends_with(place), "{text}\n{finding}");
        assert!(finding.problem.contains(problem), "{text}\n{finding}");
        assert!(finding.remedy.contains(remedy), "{text}\n{finding}");
        assert!(!finding.to_string().contains("hunter2"), "{finding}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_with_both_names() {
    let desk = Desk::new();
    let pin = "ab".repeat(32);
    let server = |line: &str| format!("{SERVER}{line}\n");
    for (text, first, second) in [
        (
            server(&format!("ca_file = \"/ca.pem\"\npin_sha256 = \"{pin}\"")),
            "servers.a.ca_file",
            "servers.a.pin_sha256",
        ),
        (server("connect_timeout = \"31s\""), "servers.a.connect_timeout", "servers.a.timeout"),
        (
            server("timeout = \"100s\"\nconnect_timeout = \"91s\""),
            "servers.a.connect_timeout",
            "servers.a.create_timeout",
        ),
        (server("rate = \"60 per 1h\""), "servers.a.rate", "attempt.deadline"),
        (server("create_timeout = \"121s\""), "servers.a.create_timeout", "attempt.deadline"),
        (server("timeout = \"3m\""), "servers.a.timeout", "attempt.deadline"),
        (
            "[servers.a]\nprovider = \"x\"\nbase_url = \"http://localhost\"\nallow_http = true\nca_file = \"/ca.pem\""
                .to_owned(),
            "servers.a.base_url",
            "servers.a.ca_file",
        ),
        ("[retry]\nage = \"1h\"".to_owned(), "retry.delays", "retry.age"),
        ("[socket]\ngroup = \"www-data\"\nhook_mode = \"0600\"".to_owned(), "socket.group", "socket.hook_mode"),
        ("[socket]\nadmin_group = \"admin\"".to_owned(), "socket.admin_group", "socket.admin_mode"),
        ("[socket]\nadmin_mode = \"0660\"".to_owned(), "socket.admin_mode", "socket.admin_group"),
        (
            "[platforms.one]\nuids = [33, 34]\nhooks = \"all\"\n[platforms.two]\nuids = [34]\nhooks = \"all\""
                .to_owned(),
            "platforms.one.uids",
            "platforms.two.uids",
        ),
    ] {
        let findings = desk.findings(&text);
        let [finding] = findings.as_slice() else { panic!("{text}\n{findings:#?}") };
        let (one, other) = finding.place.split_once(" and ").expect("two places");
        assert!(one.ends_with(first) && other.ends_with(second), "{text}\n{finding}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let desk = Desk::new().env("BILLHOOK__LOG__FORMAT", "xml");
    let error =
        desk.load("[retry]\nage = \"x\"\nx = 1\n[servers.a]\nprovider = \"x\"\nbase_url = \"?\"\n").expect_err("four");
    let places: Vec<_> =
        error.findings.iter().map(|finding| finding.place.rsplit(' ').next().expect("a key")).collect();
    assert_eq!(places, ["servers.a.base_url", "retry.age", "retry.x", "BILLHOOK__LOG__FORMAT"]);
    assert!(error.to_string().starts_with("the configuration is refused for 4 reasons:\n  "), "{error}");
}

#[test]
fn a_file_that_others_can_change_or_that_is_missing_is_refused() {
    let desk = Desk::new();
    for mode in [0o664, 0o646, 0o777] {
        let path = desk.file("billhook.toml", "", mode);
        let error = Config::load_as(0, Some(&path), &desk.env).expect_err("open to others");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
    let error = Config::load_as(0, Some(Path::new("/nonexistent.toml")), &desk.env).expect_err("missing");
    assert!(error.to_string().contains("/nonexistent.toml"), "{error}");
}
