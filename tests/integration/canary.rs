//! Planted secrets are nowhere in clear: whichever hook brought them or was answered with them, whatever a panel shouts, and
//! whoever asks afterwards, in whatever way.

use crate::secrets::{contains, forms, left_behind};
use aho_corasick::AhoCorasick;
use billhook::engine::Decision;
use billhook::operation::State;
use billhook::server::Server;
use billhook::store::OperationId;
use billhook_plugin_api::Hook;
use billhook_tests::harness::daemon::{Answer, answer, own_uid, request};
use billhook_tests::harness::description::Description;
use billhook_tests::harness::front::{Conduct, Front};
use billhook_tests::harness::{Host, Provider, Rig, Setup, artifacts, body};
use billhook_tests::solidcp::SolidCp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tracing_subscriber::fmt::MakeWriter;

const SERVICE: &str = "1007";
/// With every character that some form of writing changes.
const PASSWORD: &str = "c4nary-Passw\"ord-Ü7&<x>/q+z";
const VISIBLE: &str = "canary-that-is-no-secret";

/// What the host says of itself while it works.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A host with its sockets, and everything that was said to anybody.
struct House<P: Provider> {
    rig: Rig<P>,
    host: Host,
    server: Server,
    said: Vec<(String, Vec<u8>)>,
    /// What a platform was told as the result of its own hook, and nobody else may know.
    told: BTreeSet<String>,
    /// Calls of the API that were made.
    made: BTreeSet<String>,
    operations: Vec<String>,
    entries: Vec<String>,
}

impl<P: Provider> House<P> {
    async fn new(rig: Rig<P>) -> Self {
        let host = rig.host().await;
        let server = Server::start(host.engine.clone(), host.engine.config()).await.unwrap();
        let (said, told, made) = Default::default();
        Self { rig, host, server, said, told, made, operations: Vec::new(), entries: Vec::new() }
    }

    fn sockets(&self) -> [PathBuf; 2] {
        let config = self.host.engine.config();
        [config.socket.hook_socket(), config.socket.admin_socket()]
    }

    /// Makes a call and notes what was said, but for the credentials of a platform's own hook.
    async fn call(&mut self, socket: &Path, line: &str, body: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let headers = [("Content-Type", "application/json"), ("Prefer", "respond-async")];
        stream.write_all(&request(line, &headers[usize::from(body.is_empty())..], body)).await.unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let answer = answer(&text).0;
        let (method, path) = line.split_once(' ').unwrap();
        self.made.extend(Description::checked_in().call(method, path));

        let mut public = answer.body.clone();
        let is_platform = socket.ends_with("hook.sock");
        if is_platform && let Some(secrets) = public.pointer_mut("/result/secrets").map(Value::take) {
            let values = secrets.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
            self.told.extend(values.map(str::to_owned));
        }
        let whole = if public.is_null() { text.clone() } else { format!("{}\n{public}", answer.head) };
        // The last event of a platform's own operation is the same answer once more.
        let is_own_stream = is_platform && path.ends_with("/events");
        if !is_own_stream {
            self.said.push((line.to_owned(), whole.into_bytes()));
        }
        answer
    }

    /// A hook, carried to its end; its result is fetched as a platform would.
    async fn hook(&mut self, hook: Hook, body: &Value) -> Answer {
        let [socket, _] = self.sockets();
        let mut answer = self.call(&socket, &format!("POST /v1/hooks/{hook}"), body.to_string().as_bytes()).await;
        self.entries.extend(answer.body["log_ref"].as_str().map(str::to_owned));
        if let Some(id) = answer.body["operation"]["id"].as_str().map(str::to_owned) {
            let known = OperationId(id.clone());
            if self.host.drive(&known).await.state == State::Attention {
                // The next one would wait behind it.
                let given_up = Decision::GiveUp { reason: "nobody can say".to_owned() };
                self.host.engine.decide(&known, &given_up, "uid 0").await.unwrap();
                self.host.drive(&known).await;
            }
            answer = self.call(&socket, &format!("GET /v1/operations/{id}"), b"").await;
            self.operations.push(id);
        }
        answer
    }

    /// Every call that reads, on both sockets; then what the command line prints, and what is left in the folder.
    async fn ask_everybody(&mut self) {
        self.host.engine.env().store.flush().await.unwrap();
        let [hook, admin] = self.sockets();
        let mut paths: Vec<String> = [
            "/v1/operations",
            "/v1/services",
            "/v1/log",
            "/v1/providers",
            "/v1/servers",
            "/v1/servers/panel",
            "/v1/products",
            "/v1/hosts",
            "/v1/openapi.json",
            "/healthz",
            "/readyz",
            "/metrics",
        ]
        .map(str::to_owned)
        .to_vec();
        paths.push(format!("/v1/log?q={VISIBLE}"));
        paths.push(format!("/v1/services/shop/{SERVICE}"));
        paths.push(format!("/v1/services/shop/{SERVICE}/timeline"));
        for id in self.operations.clone() {
            paths.push(format!("/v1/operations/{id}"));
            paths.push(format!("/v1/operations/{id}/events"));
        }
        paths.extend(self.entries.iter().map(|id| format!("/v1/log/{id}")));
        for path in &paths {
            // A platform that asks again for what it was told has it as long as it is kept.
            for socket in [&hook, &admin] {
                self.call(socket, &format!("GET {path}"), b"").await;
            }
        }
        let first = self.entries[0].clone();
        let tail = self.tail(&admin, &first).await;
        assert!(contains(&tail, b"event: row"), "{}", String::from_utf8_lossy(&tail));
        self.said.push(("the tail".to_owned(), tail));
        for id in self.operations.clone() {
            self.call(&hook, &format!("POST /v1/operations/{id}/acknowledge"), b"").await;
        }

        let one = self.operations[0].clone();
        for line in ["retry", "cancel", "settle"] {
            self.call(&admin, &format!("POST /v1/operations/{one}/{line}"), br#"{"decision":"absent"}"#).await;
        }
        for line in ["test", "pause", "resume"] {
            self.call(&admin, &format!("POST /v1/servers/panel/{line}"), b"").await;
        }
        self.call(&admin, "POST /v1/log/prune?dry_run=true", b"").await;
        self.call(&admin, "POST /v1/store/release", b"").await;
        self.call(&admin, "POST /v1/hosts/none/dead", b"").await;
        self.call(&admin, "GET /v1/servers/panel/options/package_id", b"").await;
        self.call(&admin, "GET /v1/servers/panel/capacity/vps", b"").await;
        assert_eq!(self.made, Description::checked_in().calls(), "every call is made");

        let service = format!("shop/{SERVICE}");
        for args in [
            &["log", "list"] as &[&str],
            &["log", "search", VISIBLE],
            &["log", "export", "--with-bodies"],
            &["log", "export", "--format", "csv"],
            &["ops", "list"],
            &["services", "list"],
            &["services", "show", &service],
            &["services", "timeline", &service],
            &["servers", "list"],
            &["servers", "show", "panel"],
            &["hosts"],
            &["plugins"],
            &["store", "check"],
            &["check"],
        ] {
            let output = tokio::process::Command::new(artifacts::path("billhook"))
                .arg("--config")
                .arg(self.rig.config_path())
                .args(args)
                .output()
                .await
                .unwrap();
            let words = format!("billhook {}", args.join(" "));
            let text = [output.stdout, output.stderr].concat();
            assert!(output.status.code().is_some_and(|code| code < 2), "{words}: {}", String::from_utf8_lossy(&text));
            self.said.push((words, text));
        }
        self.host.engine.env().store.flush().await.unwrap();
        self.said.extend(left_behind(self.rig.folder.path()));
    }

    /// What a tail that begins after this entry says first.
    async fn tail(&mut self, socket: &Path, after: &str) -> Vec<u8> {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        stream.write_all(&request("GET /v1/log/tail", &[("Last-Event-ID", after)], b"")).await.unwrap();
        self.made.extend(Description::checked_in().call("GET", "/v1/log/tail"));
        let mut text = Vec::new();
        while !contains(&text, b"}\n\n") {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0, "the tail ended");
        }
        text
    }

    /// That no secret, in no form, was said to anybody.
    fn assert_silent(&self, log: &Log, mut secrets: Vec<String>) {
        secrets.push(PASSWORD.to_owned());
        secrets.extend(self.told.iter().cloned());
        secrets.retain(|secret| secret.len() >= 8);
        let needles: BTreeSet<(String, Vec<u8>)> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let needles: Vec<(String, Vec<u8>)> = needles.into_iter().collect();
        // All at once: what was said is megabytes.
        let search = AhoCorasick::new(needles.iter().map(|(_, needle)| needle)).unwrap();
        let log = log.text();
        assert!(contains(&log, b"a host key is made"), "the log is heard");
        let places = self.said.iter().map(|(place, text)| (place.as_str(), text.as_slice()));
        let mut seen = 0;
        for (place, text) in places.chain([("the host's own log", log.as_slice())]) {
            seen += usize::from(contains(text, VISIBLE.as_bytes()));
            if let Some(found) = search.find(text) {
                let form = &needles[found.pattern()].0;
                let around = &text[found.start().saturating_sub(120)..(found.end() + 40).min(text.len())];
                panic!("a secret stands in {place}, as {form}: {}", String::from_utf8_lossy(around));
            }
        }
        assert!(seen > 5, "the check itself is broken: clear text was found in {seen} places");
    }

    async fn stop(self) {
        self.server.stop().await;
        self.host.stop().await;
    }
}

/// The bodies of a hook, each with the secrets that it may carry.
fn bodies(hook: Hook) -> Vec<Value> {
    let mut plain = body(hook, SERVICE);
    match hook {
        Hook::Create | Hook::ChangePassword | Hook::Reinstall => {
            plain["service"]["domain"] = json!(format!("{VISIBLE}.example.net"));
            plain["password"] = json!(PASSWORD);
            if hook == Hook::Create {
                // Where none belongs, too.
                plain["client"]["name"] = json!(format!("my password is {PASSWORD}"));
            }
            // A panel that makes passwords itself takes none.
            let mut without = body(hook, SERVICE);
            without["service"]["domain"] = plain["service"]["domain"].clone();
            vec![plain, without]
        }
        Hook::List => vec![json!({ "server": "panel" })],
        Hook::Capacity => vec![json!({ "server": "panel", "product": { "id": "vps" } })],
        Hook::Options => ["package_id", "osid", "plans", "os", "plan"]
            .map(|field| json!({ "server": "panel", "field": field }))
            .to_vec(),
        Hook::Action => ["templates", "backups", "traffic", "close_console", "dance"]
            .map(|name| json!({ "service": { "id": SERVICE }, "action": name }))
            .to_vec(),
        Hook::ChangePackage => {
            plain["product"] = json!({ "id": "vps-large" });
            vec![plain]
        }
        Hook::Power => ["stop", "start", "reboot"]
            .map(|word| {
                plain["power"] = json!(word);
                plain.clone()
            })
            .to_vec(),
        _ => vec![plain],
    }
}

/// Bodies that are refused, each with a secret near the place of the mistake.
fn refused() -> Vec<(Hook, String)> {
    let word = Value::from(PASSWORD).to_string();
    let member = |text: String| format!(r#"{{"service":{{"id":"{SERVICE}"}},{text}}}"#);
    vec![
        (Hook::Create, member(format!(r#""password":[{word}]"#))),
        (Hook::Create, member(format!(r#""password":{{"value":{word}}}"#))),
        (Hook::Create, member(format!(r#""password":{word}"#))),
        (Hook::Create, member(format!(r#""password":{word}"#)).replace('}', "")),
        (Hook::Create, member(format!(r#""product":{{"id":{word}}},"password":{word}"#))),
        (
            Hook::Create,
            member(format!(r#""product":{{"id":"vps","options":{{"os_template_id":{word}}}}},"password":{word}"#)),
        ),
        (Hook::Suspend, member(format!(r#""password":{word}"#))),
        (Hook::ChangePassword, member(format!(r#""target":{word}"#))),
        (Hook::Action, member(format!(r#""action":"rename","params":{{"password":{word}}}"#))),
        (Hook::Power, member(format!(r#""power":{word}"#))),
    ]
}

fn listen(log: &Log) -> tracing::subscriber::DefaultGuard {
    let filter = tracing_subscriber::EnvFilter::new("warn,billhook=trace");
    let subscriber =
        tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).with_env_filter(filter).finish();
    tracing::subscriber::set_default(subscriber)
}

async fn live_and_ask<P: Provider>(house: &mut House<P>) {
    let (mut done, mut hooks) = (0, BTreeSet::new());
    // What ends the service comes last.
    let order = Hook::ALL.into_iter().filter(|hook| *hook != Hook::Terminate).chain([Hook::Terminate]);
    for hook in [Hook::Create].into_iter().chain(order) {
        for mut body in bodies(hook) {
            if P::NAME == SolidCp::NAME && hook == Hook::Create {
                // This panel keeps the name and tells it to every later hook, when the word in it is no password any more.
                body["client"]["name"] = json!("A Name");
            }
            let answer = house.hook(hook, &body).await;
            hooks.insert(hook);
            done += usize::from(answer.status == 200);
        }
    }
    assert_eq!(hooks.len(), Hook::ALL.len());
    assert!(done >= 12, "{done} hooks were done");
    let [hook_socket, _] = house.sockets();
    for (hook, body) in refused() {
        let answer = house.call(&hook_socket, &format!("POST /v1/hooks/{hook}"), body.as_bytes()).await;
        if let Some(id) = answer.body["operation"]["id"].as_str() {
            house.host.drive(&OperationId(id.to_owned())).await;
        }
        house.entries.extend(answer.body["log_ref"].as_str().map(str::to_owned));
    }
    house.ask_everybody().await;
}

// One thread, which is where what the host says is heard.
#[tokio::test]
async fn whatever_virtfusion_was_told_or_made_is_nowhere() {
    let log = Log::default();
    let _heard = listen(&log);
    let rig = Rig::with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
    let text = std::fs::read_to_string(rig.config_path()).unwrap();
    let text = text.replace("settings = { token", "settings = { panel_url = \"https://cp.example.com\", token");
    std::fs::write(rig.config_path(), text).unwrap();
    rig.panel().tune(|knobs| knobs.rebuilds_expected = true);
    let mut house = House::new(rig).await;

    live_and_ask(&mut house).await;

    assert!(house.told.len() >= 4, "{} secrets were told", house.told.len());
    house.assert_silent(&log, house.rig.panel().secrets());
    house.stop().await;
}

#[tokio::test]
async fn whatever_rootpanel_was_told_or_made_is_nowhere() {
    let log = Log::default();
    let _heard = listen(&log);
    let rig = Rig::rootpanel_with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
    let mut house = House::new(rig).await;

    live_and_ask(&mut house).await;

    assert!(!house.told.is_empty(), "secrets were told");
    house.assert_silent(&log, house.rig.panel().secrets());
    house.stop().await;
}

#[tokio::test]
async fn whatever_solidcp_was_told_or_made_is_nowhere() {
    let log = Log::default();
    let _heard = listen(&log);
    let settings = Some("portal_url = \"https://cp.example.com\"".to_owned());
    let rig = Rig::solidcp_with(Setup { uid: Some(own_uid()), settings, ..Setup::default() }, |_| {});
    let mut house = House::new(rig).await;

    live_and_ask(&mut house).await;

    assert!(house.told.len() >= 4, "{} secrets were told", house.told.len());
    house.assert_silent(&log, house.rig.panel().secrets());
    house.stop().await;
}

#[tokio::test]
async fn whatever_dcimanager_was_told_or_made_is_nowhere() {
    let log = Log::default();
    let _heard = listen(&log);
    let mut house = House::new(Rig::dcimanager_with(let_in(), |_| {})).await;

    live_and_ask(&mut house).await;

    assert!(house.told.len() >= 2, "{} secrets were told", house.told.len());
    house.assert_silent(&log, house.rig.panel().secrets());
    house.stop().await;
}

#[tokio::test]
async fn whatever_apiscp_was_told_or_made_is_nowhere() {
    let log = Log::default();
    let _heard = listen(&log);
    let mut house = House::new(Rig::apiscp_with(let_in(), |_| {})).await;

    live_and_ask(&mut house).await;

    assert!(house.told.len() >= 2, "{} secrets were told", house.told.len());
    house.assert_silent(&log, house.rig.panel().secrets());
    house.stop().await;
}

/// A panel that answers every call with what it was sent, the head with the token included, as its complaint.
async fn what_is_shouted_back_is_nowhere<P: Provider>(mut rig: Rig<P>) {
    let log = Log::default();
    let _heard = listen(&log);
    let front = Front::before(&rig).await;
    rig.stand_behind(front.base_url());
    let mut house = House::new(rig).await;
    for kind in ["application/json", "text/html"] {
        for hook in Hook::ALL {
            for body in bodies(hook) {
                front.plan(0, false, Conduct::Echoes(kind));
                house.hook(hook, &body).await;
            }
        }
    }

    house.ask_everybody().await;

    let is_heard = house.said.iter().any(|(_, text)| contains(text, b"user-agent: "));
    assert!(is_heard, "it was heard what the panel shouted");
    house.assert_silent(&log, house.rig.panel().secrets());
    house.stop().await;
}

fn let_in() -> Setup {
    Setup { uid: Some(own_uid()), ..Setup::default() }
}

#[tokio::test]
async fn what_virtfusion_shouts_back_is_nowhere() {
    what_is_shouted_back_is_nowhere(Rig::with(let_in(), |_| {})).await;
}

#[tokio::test]
async fn what_rootpanel_shouts_back_is_nowhere() {
    what_is_shouted_back_is_nowhere(Rig::rootpanel_with(let_in(), |_| {})).await;
}

#[tokio::test]
async fn what_solidcp_shouts_back_is_nowhere() {
    what_is_shouted_back_is_nowhere(Rig::solidcp_with(let_in(), |_| {})).await;
}

#[tokio::test]
async fn what_dcimanager_shouts_back_is_nowhere() {
    what_is_shouted_back_is_nowhere(Rig::dcimanager_with(let_in(), |_| {})).await;
}

#[tokio::test]
async fn what_apiscp_shouts_back_is_nowhere() {
    what_is_shouted_back_is_nowhere(Rig::apiscp_with(let_in(), |_| {})).await;
}
