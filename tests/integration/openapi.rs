//! Real answers of every call, held against the API's description: a member, a status or a media type that it does not have is
//! a difference, and so is a call that nobody makes here.

use billhook_plugin_api::Hook;
use billhook_tests::harness::daemon::{Answer, Daemon, answer, exchange, own_uid, request};
use billhook_tests::harness::description::Description;
use billhook_tests::harness::{Rig, Setup, body};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const SERVICE: &str = "1007";

/// A daemon, and which calls were made to it.
struct House {
    _rig: Rig,
    daemon: Daemon,
    made: BTreeSet<String>,
    wrong: Vec<String>,
}

impl House {
    fn new() -> Self {
        let rig = Rig::with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
        rig.panel().tune(|knobs| {
            knobs.build_start_ms = 0;
            knobs.build_ms = 0;
        });
        let daemon = Daemon::start(&rig);
        Self { _rig: rig, daemon, made: BTreeSet::new(), wrong: Vec::new() }
    }

    fn hook(&mut self, hook: Hook, body: &Value, prefer: &str) -> Answer {
        let headers = [("Content-Type", "application/json"), ("Prefer", prefer)];
        let socket = self.daemon.hook_socket();
        self.call(&socket, &format!("POST /v1/hooks/{hook}"), &headers, body.to_string().as_bytes())
    }

    fn call(&mut self, socket: &Path, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = answer(&exchange(socket, &request(line, headers, body))).0;
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let media_type = answer.head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        let description = Description::checked_in();
        self.wrong.extend(description.complaint(method, path, answer.status, media_type, &answer.body));
        self.made.extend(description.call(method, path));
        answer
    }

    /// Holds the events of a stream against what the call says of them.
    fn events(&mut self, path: &str, text: &str) -> Vec<String> {
        let mut names = Vec::new();
        // An event is written in one piece, so that the framing of the body stands between events alone.
        for event in text.split("\n\n") {
            let line = |word: &str| event.lines().find_map(|line| line.strip_prefix(word));
            let (Some(name), Some(data)) = (line("event: "), line("data: ")) else { continue };
            let data = serde_json::from_str(data).unwrap();
            self.wrong.extend(Description::checked_in().event_complaint(path, name, &data));
            names.push(name.to_owned());
        }
        names
    }

    /// The first row of a tail that begins after this entry.
    fn tail(&mut self, after: &str) -> Vec<String> {
        let mut stream = UnixStream::connect(self.daemon.admin_socket()).unwrap();
        stream.write_all(&request("GET /v1/log/tail", &[("Last-Event-ID", after)], b"")).unwrap();
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains("}\n\n") {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&piece[..count]);
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("text/event-stream"), "{text}");
        self.made.extend(Description::checked_in().call("GET", "/v1/log/tail"));
        self.events("/v1/log/tail", &text)
    }
}

fn body_of(hook: Hook) -> Value {
    match hook {
        Hook::List => json!({ "server": "panel" }),
        Hook::Options => json!({ "server": "panel", "field": "package_id" }),
        Hook::Capacity => json!({ "server": "panel", "product": { "id": "vps" } }),
        Hook::Action => json!({ "service": { "id": SERVICE }, "action": "dance" }),
        hook => body(hook, SERVICE),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_answers_as_it_is_described() {
    let mut house = House::new();
    let (hook, admin): (PathBuf, PathBuf) = (house.daemon.hook_socket(), house.daemon.admin_socket());
    let created = house.hook(Hook::Create, &body_of(Hook::Create), "wait=60");
    assert_eq!(created.status, 200, "{}", created.text);
    let id = created.body["log_ref"].as_str().unwrap().to_owned();
    let one = format!("/v1/operations/{id}");
    let read = house.hook(Hook::Status, &body_of(Hook::Status), "");
    assert_eq!(read.body["result"]["state"], "active", "{}", read.text);
    let last = read.body["log_ref"].as_str().unwrap().to_owned();

    for (socket, line, status) in [
        (&hook, "GET /v1/operations?limit=1&state=succeeded".to_owned(), 200),
        (&hook, format!("GET {one}?wait=0"), 200),
        (&admin, format!("GET {one}"), 200),
        (&hook, format!("GET {one}/events"), 200),
        (&hook, "GET /v1/services?status=active".to_owned(), 200),
        (&hook, format!("GET /v1/services/shop/{SERVICE}"), 200),
        (&admin, format!("GET /v1/services/shop/{SERVICE}/timeline?limit=1"), 200),
        (&hook, "GET /v1/services/shop/none/timeline".to_owned(), 404),
        (&admin, "GET /v1/log?hook=create&q=svc1007&from=2020-01-01T00:00:00Z".to_owned(), 200),
        (&admin, format!("GET /v1/log/{id}"), 200),
        (&admin, format!("GET /v1/log/{last}"), 200),
        (&admin, "POST /v1/log/prune?before=2020-01-01T00:00:00Z&dry_run=true".to_owned(), 200),
        (&admin, "POST /v1/log/prune?dry_run=perhaps".to_owned(), 400),
        (&admin, "GET /v1/providers".to_owned(), 200),
        (&admin, "GET /v1/servers".to_owned(), 200),
        (&admin, "POST /v1/servers/panel/test".to_owned(), 200),
        (&admin, "GET /v1/servers/panel/options/package_id".to_owned(), 200),
        (&admin, "GET /v1/servers/panel/options/nothing".to_owned(), 400),
        (&admin, "GET /v1/servers/panel/capacity/vps".to_owned(), 200),
        (&admin, "GET /v1/servers/panel/capacity/nothing".to_owned(), 400),
        (&admin, "POST /v1/servers/panel/pause".to_owned(), 200),
        (&admin, "GET /v1/servers/panel".to_owned(), 200),
        (&admin, "POST /v1/servers/panel/resume".to_owned(), 200),
        (&admin, "POST /v1/servers/none/pause".to_owned(), 404),
        (&admin, "GET /v1/products".to_owned(), 200),
        (&admin, "POST /v1/store/release".to_owned(), 200),
        (&admin, "GET /v1/hosts".to_owned(), 200),
        (&admin, "POST /v1/hosts/none/dead".to_owned(), 404),
        (&admin, "GET /v1/openapi.json".to_owned(), 200),
        (&admin, "GET /healthz".to_owned(), 200),
        (&admin, "GET /readyz".to_owned(), 200),
        (&admin, "GET /metrics".to_owned(), 200),
        (&hook, format!("POST {one}/acknowledge"), 200),
        (&admin, format!("POST {one}/retry"), 409),
        (&admin, format!("POST {one}/cancel"), 409),
    ] {
        let answer = house.call(socket, &line, &[], b"");
        assert_eq!(answer.status, status, "{line}: {}", answer.text);
        if line.ends_with("/events") {
            assert_eq!(house.events(&format!("{one}/events"), &answer.text), ["state", "end"], "{}", answer.text);
        }
    }
    let again = house.call(&hook, &format!("GET {one}/events"), &[("Last-Event-ID", "end")], b"");
    assert_eq!(again.status, 204);
    let settle = house.call(
        &admin,
        &format!("POST {one}/settle"),
        &[("Content-Type", "application/json")],
        br#"{"decision":"absent"}"#,
    );
    assert_eq!(settle.status, 409, "{}", settle.text);
    assert!(house.tail(&id).contains(&"row".to_owned()));
    for hook in Hook::ALL {
        house.hook(hook, &body_of(hook), "respond-async");
    }

    assert!(house.wrong.is_empty(), "{}", house.wrong.join("\n"));
    assert_eq!(house.made, Description::checked_in().calls());
    house.daemon.stop();
}
