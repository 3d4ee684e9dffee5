//! The router on an engine without servers, and the sockets themselves.

mod following;
mod keeping;

use super::caller::Caller;
use super::{Server, api, connection};
use crate::clock::{ManualClock, SharedClock};
use crate::config::{Config, Database, PlatformConfig, PlatformHooks};
use crate::engine::{Engine, EngineOptions};
use crate::operation::{Effects, State};
use crate::store::{
    Accepted, ClaimMark, Evidence, Finish, Finished, JsonText, NewOperation, OperationId, ServiceChange, ServiceKey,
    ServiceStatus,
};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use billhook_plugin_api::protocol::HookCall;
use billhook_plugin_api::{Fault, FaultClass, Hook};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const START_MS: u64 = 1_770_000_000_000;
const JSON: (&str, &str) = ("content-type", "application/json");

/// Caller, method and path, headers, body; status, type and place of the problem.
type Row<'a> = (&'a Caller, &'a str, &'a [(&'a str, &'a str)], &'a str, (u16, &'a str, Option<&'a str>));

struct House {
    engine: Arc<Engine>,
    config: Arc<Config>,
    clock: ManualClock,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The last word of the problem's type, its place, and `json` as a check of the media type.
    fn problem(&self) -> (u16, &str, Option<&str>) {
        assert_eq!(self.headers.get("content-type").unwrap(), "application/problem+json", "{}", self.body);
        assert_eq!(self.body["status"], self.status);
        let kind = self.body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:billhook:problem:"));
        (self.status, kind.unwrap(), self.body["path"].as_str())
    }
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None, [("HOME".to_owned(), "/nowhere".to_owned())]).unwrap();
        config.socket.folder = dir.path().join("run");
        config.socket.max_body = 4_096;
        config.store.database = Database::Sqlite { path: dir.path().join("data/billhook.db") };
        config.seal.key_file = dir.path().join("data/host.key");
        config.plugins.folder = dir.path().join("plugins");
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let own = rustix::process::geteuid().as_raw();
        let these = PlatformHooks::These(["suspend".to_owned()].into());
        for (name, uid, hooks) in [("whmcs", own, PlatformHooks::All), ("shop", own + 1, these)] {
            config.platforms.insert(name.to_owned(), PlatformConfig { uids: [uid].into(), hooks });
        }
        change(&mut config);
        let clock = ManualClock::new(START_MS);
        let shared: SharedClock = clock.shared();
        let options = EngineOptions::by(shared);
        let config = Arc::new(config);
        let engine = Engine::start(Arc::clone(&config), options).await.unwrap();
        Self { engine, config, clock, _dir: dir }
    }

    async fn send(&self, caller: &Caller, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let router = api::router(Arc::new(api::Api::new(Arc::clone(&self.engine))));
        let request = request.body(body.into()).unwrap();
        let response = connection::answer(router, Arc::new(caller.clone()), request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, caller: &Caller, path: &str) -> Answer {
        self.send(caller, &format!("GET {path}"), &[], "").await
    }

    async fn post(&self, caller: &Caller, path: &str, body: &str) -> Answer {
        self.send(caller, &format!("POST {path}"), &[JSON], body.to_owned()).await
    }

    /// A stored operation of `platform`, claimed by this host so that its worker leaves it alone.
    async fn running(&self, platform: &str, n: u8) -> (OperationId, u64) {
        let id = OperationId(format!("op_01J000000000000000000000{n:02}"));
        let service = ServiceKey { platform: platform.to_owned(), service_id: format!("svc/{n}") };
        let mark = ClaimMark { library: "l".into(), journal_version: 1, touches: false, counts: true, passes: vec![] };
        let new = NewOperation {
            id: id.clone(),
            service,
            service_version: None,
            client_id: None,
            username: None,
            domain: None,
            epoch: 1,
            hook: Hook::Create,
            action: None,
            key: Some(format!("key-{n}")),
            fingerprint: "f".into(),
            provider: "none".into(),
            server: "nowhere".into(),
            panel: "https://panel.example".into(),
            product: "vps".into(),
            placement: None,
            most: None,
            renew_to: None,
            shown: JsonText::of(&json!({ "request": {}, "product": {} })),
            call: HookCall::default(),
            expires_at: None,
            claim: Some(mark),
            cancels: vec![],
            summary: "create: accepted".into(),
            now: START_MS,
        };
        match self.engine.env().store.accept(new).await.unwrap() {
            Accepted::Stored { run, .. } => (id, run.unwrap_or_default()),
            Accepted::Moved => panic!("the service is there already"),
        }
    }

    /// A stored operation whose attempt has ended.
    async fn ended(&self, platform: &str, n: u8, state: State) -> OperationId {
        let (id, run) = self.running(platform, n).await;
        let succeeded = state == State::Succeeded;
        let secrets = [("root_password".to_owned(), "correct horse battery".to_owned().into())];
        let service = ServiceKey { platform: platform.to_owned(), service_id: format!("svc/{n}") };
        let change = ServiceChange { status: Some(ServiceStatus::Active), ..ServiceChange::default() };
        let finish = Finish {
            id: id.clone(),
            run,
            state,
            next_at: None,
            attempts: 1,
            effects: Effects::default(),
            fault: (state == State::Failed).then(|| Fault::new(FaultClass::Quota, "no room").for_customer("sold out")),
            reason: None,
            outcome: succeeded.then(|| json!({ "remote_id": "4711", "ips": ["192.0.2.7"] })),
            secrets: if succeeded { secrets.into() } else { [].into() },
            service: Some((service, change)),
            has_steps: true,
            placement: None,
            moves: None,
            end_passed: None,
            summary: "create: over".into(),
            now: START_MS,
        };
        let end = self.engine.env().store.finish(finish, Evidence::default()).await.unwrap();
        assert!(matches!(end, Finished::Stored { .. }));
        id
    }
}

fn whmcs() -> Caller {
    Caller::Platform("whmcs".into())
}

fn shop() -> Caller {
    Caller::Platform("shop".into())
}

fn admin() -> Caller {
    Caller::Admin("uid 0 (root)".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_request_ends_in_a_problem_with_its_place() {
    let house = House::new().await;
    let create = "POST /v1/hooks/create";
    let good = r#"{"service":{"id":"1"},"product":{"id":"vps"}}"#;
    let long = format!(r#"{{"service":{{"id":"1","domain":"{}"}}}}"#, "d".repeat(5_000));
    let long_key = "k".repeat(256);
    let stranger = Caller::Stranger(99);
    let settle = "POST /v1/operations/op_01J00000000000000000000000/settle";
    let rows: &[Row<'_>] = &[
        (&whmcs(), create, &[], good, (415, "unsupported_media_type", Some("Content-Type"))),
        (
            &whmcs(),
            create,
            &[("content-type", "text/plain")],
            good,
            (415, "unsupported_media_type", Some("Content-Type")),
        ),
        (&whmcs(), create, &[JSON], "", (400, "invalid_request", Some(""))),
        (&whmcs(), create, &[JSON], "{", (400, "invalid_request", Some(""))),
        (&whmcs(), create, &[JSON], r#"[{"id":"1"}]"#, (400, "invalid_request", Some(""))),
        (&whmcs(), create, &[JSON], r#"{"colour":1}"#, (400, "invalid_request", Some("/colour"))),
        (&whmcs(), create, &[JSON], r#"{"service":{"id":7}}"#, (400, "invalid_request", Some("/service/id"))),
        (&whmcs(), create, &[JSON], r#"{"service":{"id":"1"}}"#, (400, "invalid_request", Some("/product"))),
        (&whmcs(), create, &[JSON], &long, (413, "too_large", None)),
        (&whmcs(), create, &[JSON], good, (422, "not_configured", Some("/product/id"))),
        (&whmcs(), create, &[JSON, ("idempotency-key", "")], good, (400, "invalid_request", Some("Idempotency-Key"))),
        (
            &whmcs(),
            create,
            &[JSON, ("idempotency-key", &long_key)],
            good,
            (400, "invalid_request", Some("Idempotency-Key")),
        ),
        (&whmcs(), create, &[JSON, ("prefer", "wait=soon")], good, (400, "invalid_request", Some("Prefer"))),
        (&whmcs(), create, &[JSON, ("expires", "soon")], good, (400, "invalid_request", Some("Expires"))),
        (&whmcs(), create, &[JSON, ("expires", "2020-01-01T00:00:00Z")], good, (410, "expired", None)),
        (&whmcs(), create, &[JSON, ("billhook-platform", "shop")], good, (403, "not_allowed", None)),
        (&shop(), create, &[JSON], good, (403, "hook_not_allowed", None)),
        (&stranger, create, &[JSON], good, (403, "not_allowed", None)),
        (&admin(), create, &[JSON], good, (400, "invalid_request", Some("Billhook-Platform"))),
        (
            &admin(),
            create,
            &[JSON, ("billhook-platform", "x")],
            good,
            (422, "not_configured", Some("Billhook-Platform")),
        ),
        (&whmcs(), "POST /v1/hooks/explode", &[JSON], good, (404, "not_found", None)),
        (&whmcs(), "POST /v1/hooks/suspend", &[JSON], r#"{"service":{"id":"1"}}"#, (404, "unknown_service", None)),
        (&whmcs(), "POST /v1/hooks/status", &[JSON], r#"{"service":{"id":"1"}}"#, (404, "unknown_service", None)),
        (&whmcs(), "POST /v1/hooks/test", &[JSON], r#"{"server":"s"}"#, (422, "not_configured", None)),
        (&admin(), "POST /v1/hooks/test", &[JSON], r#"{}"#, (400, "invalid_request", Some("/server"))),
        (&whmcs(), "GET /v1/hooks/create", &[], "", (405, "method_not_allowed", None)),
        (&whmcs(), "DELETE /v1/operations", &[], "", (405, "method_not_allowed", None)),
        (&whmcs(), "GET /", &[], "", (404, "not_found", None)),
        (&whmcs(), "GET /v2/operations", &[], "", (404, "not_found", None)),
        (&whmcs(), "GET /v1/operations/%ff", &[], "", (404, "not_found", None)),
        (&whmcs(), "GET /v1/operations/op_1", &[], "", (404, "not_found", None)),
        (&whmcs(), "GET /v1/operations/op_01J00000000000000000000000", &[], "", (404, "not_found", None)),
        (&whmcs(), "GET /v1/operations?state=broken", &[], "", (400, "invalid_request", Some("?state"))),
        (&whmcs(), "GET /v1/operations?limit=0", &[], "", (400, "invalid_request", Some("?limit"))),
        (&whmcs(), "GET /v1/operations?colour=red", &[], "", (400, "invalid_request", Some("?colour"))),
        (&whmcs(), "GET /v1/services/whmcs/none", &[], "", (404, "not_found", None)),
        (&stranger, "GET /v1/operations", &[], "", (403, "not_allowed", None)),
        (&whmcs(), "GET /v1/log", &[], "", (403, "not_allowed", None)),
        (&whmcs(), "GET /v1/log/rd_01J00000000000000000000000", &[], "", (403, "not_allowed", None)),
        (&whmcs(), "GET /v1/providers", &[], "", (403, "not_allowed", None)),
        (&whmcs(), "GET /v1/servers", &[], "", (403, "not_allowed", None)),
        (&whmcs(), "GET /v1/products", &[], "", (403, "not_allowed", None)),
        (&whmcs(), settle, &[JSON], r#"{"decision":"absent"}"#, (403, "not_allowed", None)),
        (&admin(), settle, &[JSON], r#"{"decision":"absent"}"#, (404, "not_found", None)),
        (&admin(), settle, &[JSON], r#"{"decision":"perhaps"}"#, (400, "invalid_request", Some("/decision"))),
        (&admin(), "GET /v1/log/op_01J00000000000000000000000", &[], "", (404, "not_found", None)),
    ];

    for (caller, line, headers, body, expected) in rows {
        let answer = house.send(caller, line, headers, (*body).to_owned()).await;
        assert_eq!(answer.problem(), *expected, "{caller:?} {line} {headers:?} {body} -> {}", answer.body);
        assert_eq!(answer.headers.get("cache-control").unwrap(), "no-store");
    }

    assert!(
        house
            .engine
            .env()
            .store
            .log(&crate::store::LogFilter { limit: 9, ..Default::default() })
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    let wrong = house.get(&whmcs(), "/v1/hooks/create").await;
    assert_eq!(wrong.headers.get("allow").unwrap(), "POST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_sees_its_own_and_nothing_else() {
    let house = House::new().await;
    let own = house.running("whmcs", 1).await.0;
    let other = house.running("shop", 2).await.0;

    assert_eq!(house.get(&whmcs(), &format!("/v1/operations/{own}")).await.status, 200);
    for path in [format!("/v1/operations/{other}"), format!("/v1/operations/{other}?wait=60")] {
        let missing = house.get(&whmcs(), "/v1/operations/op_01J00000000000000000000099").await;
        let hidden = house.get(&whmcs(), &path).await;
        assert_eq!((hidden.status, hidden.body), (404, missing.body));
    }
    assert_eq!(house.post(&whmcs(), &format!("/v1/operations/{other}/acknowledge"), "").await.status, 404);
    assert_eq!(house.get(&whmcs(), "/v1/services/shop/svc%2F2").await.status, 404);
    let service = house.get(&whmcs(), "/v1/services/whmcs/svc%2F1").await;
    assert_eq!((service.status, &service.body["unfinished"][0]["id"]), (200, &json!(own)));

    let ids = |answer: Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap().clone();
        items.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(house.get(&whmcs(), "/v1/operations").await), std::slice::from_ref(&own.0));
    assert_eq!(ids(house.get(&whmcs(), "/v1/operations?platform=shop").await), [""; 0]);
    assert_eq!(
        ids(house.get(&admin(), "/v1/operations?state=running&state=failed").await),
        [other.0.clone(), own.0.clone()]
    );
    let page = house.get(&admin(), "/v1/operations?limit=1").await;
    assert_eq!(page.body["next"], json!(other));
    assert_eq!(ids(house.get(&admin(), &format!("/v1/operations?limit=1&before={other}")).await), [own.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_shown_to_their_platform_until_it_has_them() {
    let house = House::new().await;
    let id = house.ended("whmcs", 1, State::Succeeded).await;
    let path = format!("/v1/operations/{id}");

    let shown = house.get(&whmcs(), &path).await;
    assert_eq!(shown.body["result"]["secrets"], json!({ "root_password": "correct horse battery" }));
    assert_eq!(shown.body["result"]["remote_id"], "4711");
    for path in [path.clone(), format!("/v1/log/{id}"), "/v1/log".to_owned(), "/v1/operations".to_owned()] {
        let seen = house.get(&admin(), &path).await;
        assert_eq!(seen.status, 200);
        assert!(!seen.body.to_string().contains("horse"), "{path}");
    }
    assert_eq!(house.get(&admin(), &path).await.body["result"]["secrets"], "kept");

    for _ in 0..2 {
        let acknowledged = house.post(&whmcs(), &format!("{path}/acknowledge"), "").await;
        assert_eq!(acknowledged.status, 200);
        assert_eq!(acknowledged.body["result"]["secrets"], "credentials_acknowledged");
    }
    assert_eq!(house.get(&whmcs(), &path).await.body["result"]["secrets"], "credentials_acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_hook_says_how_it_ended() {
    let house = House::new().await;
    let api = api::Api::new(Arc::clone(&house.engine));
    let view = super::caller::View { only: Some("whmcs".into()) };
    let (running, _) = house.running("whmcs", 1).await;
    let failed = house.ended("whmcs", 2, State::Failed).await;
    let cancelled = house.ended("whmcs", 3, State::Cancelled).await;
    let succeeded = house.ended("whmcs", 4, State::Succeeded).await;

    for (id, status, word) in [
        (&running, 202, "running"),
        (&failed, 422, "failed"),
        (&cancelled, 409, "cancelled"),
        (&succeeded, 200, "succeeded"),
    ] {
        let operation = house.engine.operation(id).await.unwrap();
        let (parts, body) = super::answer::of_hook(&api, &view, &operation).await.unwrap().into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!((parts.status.as_u16(), body["operation"]["state"].as_str()), (status, Some(word)), "{body}");
        assert_eq!(parts.headers.contains_key("location"), status == 202);
        if status == 422 {
            assert_eq!(body["type"], "urn:billhook:problem:hook_failed");
            assert_eq!(body["fault"]["class"], "quota");
            assert_eq!(body["message"], json!({ "staff": "no room", "customer": "sold out" }));
            assert_eq!(body["operation_id"], json!(failed));
            let read: crate::views::FailureView = serde_json::from_value(body).unwrap();
            assert_eq!(read.operation.unwrap().id, failed.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_decides_only_what_the_table_allows() {
    let house = House::new().await;
    let id = house.ended("whmcs", 1, State::Attention).await;
    let path = format!("/v1/operations/{id}");

    let seen = house.get(&admin(), &path).await;
    assert_eq!(seen.body["operation"]["decisions"], json!(["retry", "cancel", "give_up"]));
    let refused = house.post(&admin(), &format!("{path}/settle"), r#"{"decision":"absent"}"#).await;
    assert_eq!(refused.problem(), (409, "wrong_state", None));
    assert_eq!(refused.body["operation_id"], json!(id));
    let early = house.post(&whmcs(), &format!("{path}/acknowledge"), "").await;
    assert_eq!(early.problem(), (409, "wrong_state", None));

    let cancelled = house.post(&admin(), &format!("{path}/cancel"), "").await;
    assert_eq!((cancelled.status, &cancelled.body["operation"]["state"]), (200, &json!("cancelled")));
    let entry = house.get(&admin(), &format!("/v1/log/{id}")).await;
    let notes = entry.body["notes"].to_string();
    assert!(notes.contains("uid 0 (root)"), "the decision names who made it: {notes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_for_whoever_may_open_the_socket() {
    let house = House::new().await;
    for caller in [whmcs(), admin(), Caller::Stranger(99)] {
        assert_eq!(house.get(&caller, "/healthz").await.body["status"], "ok");
        assert_eq!(house.get(&caller, "/readyz").await.status, 200);
    }
    house.engine.stop(Duration::ZERO).await;
    assert_eq!(house.get(&whmcs(), "/healthz").await.status, 200);
    assert_eq!(house.get(&whmcs(), "/readyz").await.problem(), (503, "unavailable", None));
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let broken: axum::Router =
        axum::Router::new().route("/", axum::routing::get(async || -> &'static str { panic!("no") }));
    let request = Request::builder().uri("/").body(Body::empty()).unwrap();

    let response = connection::answer(broken, Arc::new(admin()), request).await;

    assert_eq!(response.status(), 500);
    assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_those_who_wait() {
    let house = House::new().await;
    let server = Server::start(Arc::clone(&house.engine), Arc::clone(&house.config)).await.unwrap();
    let (id, _) = house.running("whmcs", 1).await;
    let mut stream = UnixStream::connect(house.config.socket.hook_socket()).await.unwrap();
    let request = format!("GET /v1/operations/{id}?wait=5 HTTP/1.1\r\nHost: billhook\r\n\r\n");
    let wait_end = Duration::from_secs(5);
    assert!(house.clock.next_deadline().is_none_or(|at| at > wait_end), "nothing else is due so soon");
    stream.write_all(request.as_bytes()).await.unwrap();
    // The wait has begun once something sleeps until its end.
    house.clock.until(|clock| clock.next_deadline().is_some_and(|at| at <= wait_end)).await;

    server.stop().await;

    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains(r#""state":"running""#), "{text}");
    assert!(!house.config.socket.hook_socket().exists());
    assert!(!house.config.socket.admin_socket().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_and_the_uid_decide_what_a_connection_may() {
    let house = House::new().await;
    let server = Server::start(Arc::clone(&house.engine), Arc::clone(&house.config)).await.unwrap();
    let ask = async |socket, path: &str| {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: billhook\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        // A connection that is closed on what was not read ends in an error, after its answer.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    };

    assert!(ask(house.config.socket.hook_socket(), "/v1/operations").await.starts_with("HTTP/1.1 200 "));
    assert!(ask(house.config.socket.hook_socket(), "/v1/log").await.starts_with("HTTP/1.1 403 "));
    assert!(ask(house.config.socket.admin_socket(), "/v1/log").await.starts_with("HTTP/1.1 200 "));
    let long = format!("/v1/operations?before={}", "x".repeat(20_000));
    assert!(ask(house.config.socket.hook_socket(), &long).await.starts_with("HTTP/1.1 431 "));
    let mut stream = UnixStream::connect(house.config.socket.hook_socket()).await.unwrap();
    let head =
        "POST /v1/hooks/create HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: 12000\r\n";
    stream.write_all(format!("{head}Connection: close\r\n\r\n{}", " ".repeat(12_000)).as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("too_large"), "{text}");
    let again = Server::start(Arc::clone(&house.engine), Arc::clone(&house.config)).await;
    assert!(matches!(again, Err(super::ServeError::SocketInUse { .. })));
    server.stop().await;
}
