//! The real daemon, its two sockets and its command line, as a platform and an administrator meet them.

use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup, artifacts, body};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running `billhook serve`; ended with its test.
pub(crate) struct Daemon {
    child: Child,
    folder: PathBuf,
    log: Receiver<String>,
}

impl Daemon {
    pub(crate) fn start(rig: &Rig) -> Self {
        let mut child = Command::new(artifacts::path("billhook"))
            .args(["--config".as_ref(), rig.config_path().as_os_str(), "serve".as_ref()])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its log"));
        let mut log = String::new();
        // The log says when it is ready; if it ends before, the log says why.
        loop {
            let from = log.len();
            assert!(lines.read_line(&mut log).expect("the log is read") > 0, "the daemon ended: {log}");
            if log[from..].contains("ready") {
                break;
            }
        }
        let (sender, log) = channel();
        std::thread::spawn(move || {
            // Read to its end also when nobody listens: a full pipe would stop the daemon.
            for line in lines.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, folder: rig.folder.path().to_owned(), log }
    }

    /// What it wrote since, up to a line with this text.
    pub(crate) fn log_until(&self, text: &str) -> String {
        let mut log = String::new();
        while !log.contains(text) {
            log.push_str(&self.log.recv().unwrap_or_else(|_| panic!("the daemon ended without {text:?}: {log}")));
            log.push('\n');
        }
        log
    }

    /// Sends a signal, `HUP` or `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    pub(crate) fn hook_socket(&self) -> PathBuf {
        self.folder.join("hook.sock")
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    fn cli(&self, args: &[&str]) -> Output {
        Command::new(artifacts::path("billhook"))
            .arg("--config")
            .arg(self.folder.join("billhook.toml"))
            .args(args)
            .output()
            .expect("the command runs")
    }

    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "a stop in order ends with success, not {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

pub(crate) fn call(socket: &Path, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: billhook\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    stream.write_all(request.as_bytes()).expect("the request is written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the answer is read");
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let body = if rest.is_empty() { Value::Null } else { serde_json::from_str(rest).expect("a JSON body") };
    Answer { status, head: head.to_ascii_lowercase(), body }
}

/// A panel whose builds are done at once, and a host for which this user is the platform.
fn rig() -> Rig {
    let rig = Rig::with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
    rig.panel().tune(|knobs| {
        knobs.build_start_ms = 0;
        knobs.build_ms = 0;
    });
    rig
}

pub(crate) fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").expect("a process").uid()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_and_an_administrator_see_what_is_theirs() {
    let rig = rig();
    let daemon = Daemon::start(&rig);
    let hook = daemon.hook_socket();
    let admin = daemon.admin_socket();

    let create = body(Hook::Create, "1007").to_string();
    let key = [("Idempotency-Key", "order-881:create"), ("Prefer", "wait=60")];
    let created = call(&hook, "POST", "/v1/hooks/create", &key, Some(&create));
    assert_eq!(created.status, 200, "{}", created.body);
    assert_eq!(created.body["operation"]["state"], "succeeded");
    let remote_id = rig.panel().servers()[0].id.to_string();
    assert_eq!(created.body["result"]["remote_id"], json!(remote_id));
    let password = created.body["result"]["secrets"]["root_password"].as_str().expect("the password").to_owned();
    let id = created.body["operation"]["id"].as_str().expect("an id").to_owned();

    // The same request again: the same operation, the same answer.
    let again = call(&hook, "POST", "/v1/hooks/create", &key, Some(&create));
    assert_eq!((again.status, &again.body["operation"]["id"]), (200, &json!(id)));
    assert_eq!(rig.panel().servers().len(), 1);

    // Others never see the password: neither the administrator, nor the log, nor the command line.
    let seen = call(&admin, "GET", &format!("/v1/operations/{id}"), &[], None);
    assert_eq!(seen.status, 200);
    let mut others = vec![seen.body.to_string()];
    for path in ["/v1/log", &format!("/v1/log/{id}"), "/v1/operations", "/v1/providers", "/v1/servers", "/v1/products"]
    {
        let answer = call(&admin, "GET", path, &[], None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        others.push(answer.body.to_string());
    }
    for args in [
        &["log", "list"][..],
        &["log", "show", &id, "--bodies"],
        &["log", "search", "1007", "create"],
        &["log", "export", "--with-bodies"],
        &["log", "export", "--format", "csv"],
        &["ops", "show", &id],
        &["ops", "watch", &id],
        &["ops", "list"],
        &["services", "list"],
        &["services", "show", "shop/1007"],
        &["services", "timeline", "shop/1007"],
        &["servers", "list"],
        &["servers", "show", "panel"],
        &["plugins"],
    ] {
        let output = daemon.cli(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        others.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let shown = others.iter().find(|text| text.contains("/servers")).expect("exchanges are shown");
    assert!(shown.contains("masked"), "what was masked is marked");
    for text in &others {
        assert!(!text.contains(&password), "the password is shown: {text}");
        assert!(!text.contains(rig.running.token()), "the token is shown: {text}");
    }

    // What only an administrator may do is refused on the hook socket, with the way out.
    for (method, path) in [("GET", "/v1/log".to_owned()), ("POST", format!("/v1/operations/{id}/retry"))] {
        let refused = call(&hook, method, &path, &[], None);
        assert_eq!(refused.status, 403, "{path}");
        assert_eq!(refused.body["type"], "urn:billhook:problem:not_allowed");
        assert!(refused.body["remedy"].as_str().is_some_and(|text| text.contains("admin.sock")), "{}", refused.body);
    }

    // Acknowledged, the secrets are gone; the repeat succeeds and says so.
    let acknowledged = call(&hook, "POST", &format!("/v1/operations/{id}/acknowledge"), &[], None);
    assert!((200..300).contains(&acknowledged.status), "{}", acknowledged.body);
    let after = call(&hook, "POST", "/v1/hooks/create", &key, Some(&create));
    assert_eq!(after.status, 200);
    assert_eq!(after.body["result"]["secrets"], "credentials_acknowledged");

    for (name, path) in
        [("suspend", "suspend"), ("unsuspend", "unsuspend"), ("renew", "renew"), ("terminate", "terminate")]
    {
        let hook_body = body(Hook::parse(name).expect("a hook"), "1007").to_string();
        let answer = call(&hook, "POST", &format!("/v1/hooks/{path}"), &[("Prefer", "wait=60")], Some(&hook_body));
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    assert!(rig.panel().servers().is_empty());
    let test = call(&hook, "POST", "/v1/hooks/test", &[], Some(r#"{"server":"panel"}"#));
    assert_eq!(test.status, 200, "{}", test.body);
    daemon.stop();
    assert!(!hook.exists() && !admin.exists(), "a stopped daemon takes its sockets away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_get_a_problem_with_its_place_and_remedy() {
    let rig = rig();
    let daemon = Daemon::start(&rig);
    let hook = daemon.hook_socket();
    let table = [
        ("/v1/hooks/create", "{", 400, "invalid_request", None),
        (
            "/v1/hooks/create",
            r#"{"service":{"id":7},"product":{"id":"vps"}}"#,
            400,
            "invalid_request",
            Some("/service/id"),
        ),
        (
            "/v1/hooks/create",
            r#"{"service":{"id":"7"},"product":{"id":"vps"},"x":1}"#,
            400,
            "invalid_request",
            Some("/x"),
        ),
        ("/v1/hooks/create", r#"{"service":{"id":"7"}}"#, 400, "invalid_request", Some("/product")),
        (
            "/v1/hooks/create",
            r#"{"service":{"id":"7"},"product":{"id":"none"}}"#,
            422,
            "not_configured",
            Some("/product/id"),
        ),
        (
            "/v1/hooks/create",
            r#"{"service":{"id":"7"},"product":{"id":"vps","options":{"default_ipv4":"two"}}}"#,
            400,
            "invalid_request",
            Some("/product/options/default_ipv4"),
        ),
        (
            "/v1/hooks/create",
            r#"{"service":{"id":"7"},"product":{"id":"vps","options":{"colour":1}}}"#,
            400,
            "invalid_request",
            Some("/product/options"),
        ),
        ("/v1/hooks/suspend", r#"{"service":{"id":"unknown"}}"#, 404, "unknown_service", None),
        ("/v1/hooks/dance", r#"{"service":{"id":"7"}}"#, 404, "not_found", None),
        ("/v1/hooks/test", r#"{"server":"none"}"#, 422, "not_configured", None),
    ];
    for (path, body, status, kind, place) in table {
        let answer = call(&hook, "POST", path, &[], Some(body));
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(answer.body["type"], json!(format!("urn:billhook:problem:{kind}")), "{body}");
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
        if let Some(place) = place {
            assert_eq!(answer.body["path"], json!(place), "{body}: {}", answer.body);
        }
    }
    assert!(rig.panel().ledger().is_empty(), "nothing was sent for them");
    let log = call(&daemon.admin_socket(), "GET", "/v1/log", &[], None);
    assert_eq!(log.body["items"].as_array().map(Vec::len), Some(0), "nothing was stored for them");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_daemons_sockets_are_taken_over_and_a_live_ones_never() {
    let rig = rig();
    let mut first = Daemon::start(&rig);
    let second = Command::new(artifacts::path("billhook"))
        .args(["--config".as_ref(), rig.config_path().as_os_str(), "serve".as_ref()])
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(call(&first.hook_socket(), "GET", "/healthz", &[], None).status, 200, "the first one still serves");

    first.child.kill().expect("it is killed");
    first.child.wait().expect("it ends");
    assert!(first.hook_socket().exists(), "a killed daemon leaves its sockets behind");

    let next = Daemon::start(&rig);
    assert_eq!(call(&next.hook_socket(), "GET", "/healthz", &[], None).status, 200);
    next.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_speaks_for_no_platform_is_refused() {
    let rig = Rig::new();
    let daemon = Daemon::start(&rig);

    let refused = call(&daemon.hook_socket(), "POST", "/v1/hooks/test", &[], Some(r#"{"server":"panel"}"#));

    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(
        refused.body["detail"].as_str().is_some_and(|text| text.contains(&own_uid().to_string())),
        "{}",
        refused.body
    );
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_sends_a_hook_and_its_exit_code_tells_the_end() {
    let rig = rig();
    let daemon = Daemon::start(&rig);

    let create = daemon.cli(&[
        "hook",
        "create",
        "--service",
        "1007",
        "--client-id",
        "77",
        "--client-name",
        "Acme Ltd",
        "--email",
        "ops@acme.example",
        "--product",
        "vps",
        "--wait",
        "60",
    ]);
    assert_eq!(create.status.code(), Some(0), "{}", String::from_utf8_lossy(&create.stderr));
    assert_eq!(rig.panel().servers().len(), 1);

    let unknown = daemon.cli(&["hook", "suspend", "--service", "none"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no such service"));
    assert_eq!(daemon.cli(&["hook"]).status.code(), Some(2));
    let json = daemon.cli(&["--json", "ops", "list"]);
    let list: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(list["items"][0]["state"], "succeeded");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_finds_follows_and_exports_what_happened() {
    let rig = rig();
    let daemon = Daemon::start(&rig);
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let mut tail = Command::new(artifacts::path("billhook"))
        .arg("--config")
        .arg(daemon.folder.join("billhook.toml"))
        .args(["--json", "log", "tail", "--service", "1008"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tail starts");
    for service in ["1007", "1008"] {
        let create = ["hook", "create", "--service", service, "--client-id", "77", "--client-name", "Acme Ltd"];
        let rest = ["--email", "ops@acme.example", "--product", "vps", "--domain", "svc.acme.example"];
        let output = daemon.cli(&[&create[..], &rest[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }

    // The tail may have begun before, between or after: it shows the entry in any case, and no other.
    let mut lines = BufReader::new(tail.stdout.take().expect("its rows"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a row");
    let row: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(row["service_id"], "1008");
    tail.kill().expect("it is ended");
    tail.wait().expect("it ends");

    let found = text(&daemon.cli(&["log", "search", "svc.acme.example", "--service", "1007"]));
    assert_eq!(found.lines().filter(|line| line.contains("op_")).count(), 1, "{found}");
    assert!(text(&daemon.cli(&["log", "search", "no such words"])).contains("nothing in the log"));
    let exported = text(&daemon.cli(&["log", "export", "--with-bodies", "--from", "1h"]));
    let entries: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry["exchanges"].as_array().is_some_and(|all| !all.is_empty())));
    let table = text(&daemon.cli(&["log", "export", "--format", "csv"]));
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("id,started_at,ended_at,"));
    assert_eq!(daemon.cli(&["log", "export", "--format", "csv", "--with-bodies"]).status.code(), Some(2));
    let timeline = text(&daemon.cli(&["services", "timeline", "shop/1007"]));
    assert!(timeline.contains("create  succeeded  op_"), "{timeline}");
    assert!(text(&daemon.cli(&["servers", "show", "panel"])).starts_with("panel  ready"));
    assert!(text(&daemon.cli(&["servers", "pause", "panel"])).starts_with("panel  paused"));
    assert!(text(&daemon.cli(&["servers", "test", "panel"])).contains("ok"), "who looks at it need not wait");
    assert!(text(&daemon.cli(&["servers", "resume", "panel"])).starts_with("panel  ready"));
    for command in ["show", "pause", "resume", "test"] {
        let refused = daemon.cli(&["servers", command, "none"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("billhook servers list"), "{refused:?}");
    }
    assert!(text(&daemon.cli(&["completions", "fish"])).contains("timeline"));
    daemon.stop();
}
