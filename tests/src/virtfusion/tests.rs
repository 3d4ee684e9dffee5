use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::panel::client::{self, Reply};

/// A panel, its clock, and a client that does everything right unless told otherwise.
struct Bench {
    running: Running,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::default();
        let running = VirtFusion::start(Config::at(&clock)).unwrap();
        Self { running, clock }
    }

    fn panel(&self) -> &Panel {
        self.running.panel()
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    async fn try_call(&self, method: &str, path: &str, body: Option<Value>) -> io::Result<Reply> {
        let bearer = format!("authorization: Bearer {}", self.running.token());
        let mut headers = vec!["accept: application/json", bearer.as_str()];
        if body.is_some() {
            headers.push("content-type: application/json");
        }
        let body = body.map_or(String::new(), |body| body.to_string());
        let path = format!("/api/v1{path}");
        client::send(self.running.address(), method, &path, &headers, &body).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_call(method, path, body).await.unwrap()
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    async fn post(&self, path: &str) -> Reply {
        self.call("POST", path, None).await
    }

    /// A user with relation 42.
    async fn user(&self) -> u64 {
        let body = json!({ "name": "Ada Lovelace", "email": "ada@example.com", "extRelationId": 42 });
        let reply = self.call("POST", "/users", Some(body)).await;
        assert_eq!(reply.status, 201);
        reply.data()["id"].as_u64().unwrap()
    }

    async fn allocated(&self) -> u64 {
        let user = self.user().await;
        let reply = self.call("POST", "/servers", Some(order(user))).await;
        assert_eq!(reply.status, 201);
        reply.data()["id"].as_u64().unwrap()
    }

    async fn built(&self) -> u64 {
        let id = self.allocated().await;
        let reply = self.call("POST", &format!("/servers/{id}/build"), Some(build())).await;
        assert_eq!(reply.status, 200);
        self.pass(20_000);
        id
    }

    fn state(&self) -> &'static str {
        self.panel().servers()[0].state
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.panel().violations(), Vec::<String>::new());
        assert_eq!(self.panel().check(), Vec::<String>::new());
    }
}

fn order(user: u64) -> Value {
    json!({ "packageId": 1, "userId": user, "hypervisorId": 1, "ipv4": 1 })
}

fn build() -> Value {
    json!({ "operatingSystemId": 10, "name": "web-1", "hostname": "web-1.example.com" })
}

#[tokio::test]
async fn a_server_lives_from_order_to_delete() {
    let bench = Bench::new();
    let id = bench.allocated().await;
    let path = format!("/servers/{id}");
    let read = async || bench.get(&path).await.data();
    let order = read().await;
    assert_eq!((&order["state"], &order["built"], &order["name"]), (&json!("allocated"), &json!(null), &json!("")));

    let reply = bench.call("POST", &format!("{path}/build"), Some(build())).await;
    assert_eq!(reply.data()["state"], "queued");
    assert_eq!(reply.data()["tasks"]["active"], true);
    assert!(reply.data()["settings"]["decryptedPassword"].is_string());
    bench.pass(1_000);
    assert_eq!(read().await["state"], "building");
    bench.pass(19_000);
    let done = read().await;
    assert_eq!((&done["state"], &done["commissionStatus"]), (&json!("complete"), &json!(3)));
    assert_eq!(done["tasks"]["active"], false);
    assert!(done["built"].is_string());
    assert!(done["settings"].get("decryptedPassword").is_none());
    let remote = bench.get(&format!("{path}?remoteState=true")).await.data();
    assert_eq!(remote["remoteState"]["state"], "running");

    for (verb, suspended) in [("suspend", true), ("suspend", true), ("unsuspend", false)] {
        let reply = bench.post(&format!("{path}/{verb}")).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{verb}");
        assert_eq!(read().await["suspended"], suspended, "{verb}");
    }

    assert_eq!(bench.call("DELETE", &format!("{path}?delay=5"), None).await.status, 204);
    assert_eq!(bench.get(&path).await.status, 200);
    bench.pass(5 * 60_000);
    let gone = bench.get(&path).await;
    assert_eq!((gone.status, gone.json()), (404, json!({ "msg": "server not found" })));

    assert_eq!(bench.panel().count_effects(|effect| effect == Effect::Suspended(id)), 1);
    assert_eq!(bench.panel().all_servers_ever().len(), 1);
    assert!(bench.panel().servers().is_empty());
    bench.assert_clean();
}

#[tokio::test]
async fn what_the_panel_shows_matches_the_vendor_s_examples() {
    if contract().is_none() {
        eprintln!("skipped: no OpenAPI file at hand");
        return;
    }
    let bench = Bench::new();
    let id = bench.built().await;
    let user = bench.panel().users()[0].id;
    let calls = [
        ("GET", "/connect".to_owned(), None, 200),
        ("GET", "/packages".into(), None, 200),
        ("GET", "/packages/1".into(), None, 200),
        ("GET", "/compute/hypervisors/groups?results=1".into(), None, 200),
        ("GET", "/compute/hypervisors/groups/1".into(), None, 200),
        ("GET", "/compute/hypervisors/groups/1/resources".into(), None, 200),
        ("GET", "/media/templates/fromServerPackageSpec/1".into(), None, 200),
        ("GET", "/users/42/byExtRelation".into(), None, 200),
        ("PUT", "/users/42/byExtRelation".into(), Some(json!({ "name": "Ada L." })), 201),
        ("POST", "/users/42/byExtRelation/resetPassword".into(), None, 201),
        ("POST", "/users/42/authenticationTokens".into(), None, 200),
        ("POST", format!("/users/42/serverAuthenticationTokens/{id}"), None, 200),
        ("GET", "/servers?type=simple&results=200&page=1".into(), None, 200),
        ("GET", format!("/servers/user/{user}"), None, 200),
        ("GET", format!("/servers/{id}/templates"), None, 200),
        ("GET", format!("/servers/{id}/traffic"), None, 200),
        ("POST", format!("/servers/{id}/traffic/blocks"), Some(json!({ "month": 1, "amount": 5 })), 201),
        ("GET", format!("/servers/{id}/traffic/blocks"), None, 200),
        ("GET", format!("/servers/{id}/vnc"), None, 200),
        ("POST", format!("/servers/{id}/vnc"), Some(json!({ "action": "enable" })), 200),
        ("GET", format!("/backups/server/{id}"), None, 200),
        ("PUT", format!("/servers/{id}/modify/name"), Some(json!({ "name": "web-2" })), 201),
        ("PUT", format!("/servers/{id}/modify/memory"), Some(json!({ "memory": 2048 })), 201),
        ("PUT", format!("/servers/{id}/modify/cpuCores"), Some(json!({ "cores": 2 })), 201),
        ("PUT", format!("/servers/{id}/modify/traffic"), Some(json!({ "traffic": 300 })), 201),
        ("PUT", format!("/servers/{id}/modify/cpuThrottle?sync=true"), Some(json!({ "percent": 5 })), 201),
        ("PUT", format!("/servers/{id}/package/2"), None, 200),
        ("PUT", format!("/servers/{id}/backups/plan/3"), None, 201),
        ("PUT", format!("/servers/{id}/owner/{user}"), None, 201),
        ("POST", format!("/servers/{id}/ipv4Qty"), Some(json!({ "interface": "primary", "quantity": 2 })), 200),
        ("DELETE", format!("/servers/{id}/ipv4"), Some(json!({ "interface": "primary", "ip": ["10.40.0.10"] })), 204),
        ("POST", format!("/servers/{id}/ipv4"), Some(json!({ "interface": "primary", "ip": ["10.40.0.10"] })), 204),
        ("POST", format!("/servers/{id}/resetPassword"), Some(json!({ "user": "root" })), 200),
        ("GET", "/queue/90001".into(), None, 200),
    ];
    for (method, path, body, status) in calls {
        let reply = bench.call(method, &path, body).await;
        assert_eq!(reply.status, status, "{method} {path} {:?}", String::from_utf8_lossy(&reply.body));
    }
    bench.pass(3_000);
    assert_eq!(bench.post(&format!("/servers/{id}/power/restart")).await.status, 200);
    bench.pass(3_000);
    assert_eq!(bench.get("/queue/90002").await.data()["progress"], 100);

    bench.assert_clean();
}

#[tokio::test]
async fn a_careless_request_is_refused_and_remembered() {
    let bench = Bench::new();
    let id = bench.built().await;
    let user = bench.panel().users()[0].id;
    let with = |name: &str, value: Value| {
        let mut body = order(user);
        body[name] = value;
        Some(body)
    };
    let cases = [
        ("POST", "/servers".to_owned(), with("colour", json!("red")), 422, true),
        ("POST", "/servers".into(), with("packageId", json!("1")), 422, true),
        ("POST", "/servers".into(), with("packageId", json!(77)), 422, false),
        ("POST", "/servers".into(), with("packageId", json!(9)), 422, false),
        ("POST", "/servers".into(), with("hypervisorId", json!(2)), 422, false),
        ("POST", "/servers".into(), Some(json!({ "packageId": 1, "ipv4": 1 })), 422, true),
        ("POST", "/servers".into(), None, 422, true),
        ("POST", "/users".into(), Some(json!({ "name": "Al", "email": "al@example.com" })), 422, false),
        ("POST", "/users".into(), Some(json!({ "name": "Ada", "email": "ADA@example.com" })), 409, false),
        ("POST", format!("/servers/{id}/suspend"), Some(json!({})), 422, true),
        ("GET", format!("/servers/{id}"), Some(json!([])), 422, true),
        ("GET", format!("/servers/{id}?remote=1"), None, 422, true),
        ("DELETE", format!("/servers/{id}"), None, 422, true),
        ("DELETE", format!("/servers/{id}?delay=soon"), None, 422, true),
        ("DELETE", format!("/servers/{id}?delay=43800"), None, 422, false),
        ("PATCH", format!("/servers/{id}"), None, 405, true),
        ("GET", "/servers/abc".into(), None, 404, true),
        ("POST", format!("/servers/{id}/build"), Some(json!({ "operatingSystemId": 12 })), 422, false),
        ("POST", format!("/servers/{id}/vnc"), Some(json!({ "vnc": true })), 422, true),
        ("PUT", format!("/servers/{id}/modify/cpuCores"), Some(json!({ "cpuCores": 2 })), 422, true),
        ("GET", "/servers/1".into(), None, 404, false),
        ("GET", "/users/7/byExtRelation".into(), None, 404, false),
    ];
    for (method, path, body, status, is_bug) in cases {
        let before = bench.panel().violations().len();

        let reply = bench.call(method, &path, body.clone()).await;

        assert_eq!(reply.status, status, "{method} {path} {body:?}");
        let grew = bench.panel().violations().len() > before;
        assert_eq!(grew, is_bug, "{method} {path} {body:?} {:?}", bench.panel().violations());
    }
    assert_eq!(bench.panel().servers().len(), 1);
    assert_eq!(bench.panel().check(), Vec::<String>::new());
}

#[tokio::test]
async fn headers_are_demanded_and_a_wrong_token_learns_nothing() {
    let bench = Bench::new();
    let bearer = format!("authorization: Bearer {}", bench.running.token());
    let bearer = bearer.as_str();
    let json = "accept: application/json";
    let cases: [(&str, &[&str], &str, u16, bool); 6] = [
        ("/api/v1/connect", &[json, bearer], "", 200, false),
        ("/api/v1/connect", &[bearer], "", 406, true),
        ("/api/v1/connect", &[json], "", 401, true),
        ("/api/v1/connect", &[json, "authorization: Bearer wrong"], "", 401, false),
        ("/connect", &[json, bearer], "", 404, false),
        ("/api/v1/connect", &[json, bearer], "[]", 422, true),
    ];
    for (path, headers, body, status, is_bug) in cases {
        let before = bench.panel().violations().len();

        let reply = client::send(bench.running.address(), "GET", path, headers, body).await.unwrap();

        assert_eq!(reply.status, status, "{path} {headers:?}");
        let grew = bench.panel().violations().len() > before;
        assert_eq!(grew, is_bug, "{path} {headers:?}");
        if status == 401 {
            assert!(reply.body.is_empty());
        }
        if status == 404 {
            assert!(reply.head.contains("text/html"));
        }
    }
    let bearers: Vec<bool> = bench.panel().ledger().iter().map(|call| call.is_authentic).collect();
    assert_eq!(bearers, [true, true, false, false, false, true]);
}

#[tokio::test]
async fn a_busy_server_is_locked_and_that_is_no_violation() {
    let bench = Bench::new();
    let id = bench.allocated().await;
    let path = format!("/servers/{id}");
    bench.call("POST", &format!("{path}/build"), Some(build())).await;

    let cases = [
        ("POST", "/build", Some(build()), 423),
        ("DELETE", "?delay=0", None, 423),
        ("POST", "/power/boot", None, 423),
        ("POST", "/unsuspend", None, 423),
        ("POST", "/suspend", None, 204),
        ("POST", "/unsuspend", None, 409),
    ];
    for (method, tail, body, status) in cases {
        assert_eq!(bench.call(method, &format!("{path}{tail}"), body).await.status, status, "{tail}");
    }
    assert!(!bench.panel().servers()[0].suspended);
    bench.pass(20_000);
    assert!(bench.panel().servers()[0].suspended);
    assert_eq!(bench.call("POST", &format!("{path}/build"), Some(build())).await.status, 423);
    bench.panel().tune(|knobs| knobs.do_not_disturb = true);
    let refused = bench.call("DELETE", &format!("{path}?delay=0"), None).await;
    assert_eq!(refused.json()["msg"], "do not disturb mode is active");
    bench.panel().tune(|knobs| knobs.maintenance = true);
    assert_eq!(bench.post(&format!("{path}/power/boot")).await.status, 503);

    bench.assert_clean();
}

#[tokio::test]
async fn a_build_ends_as_the_knob_says() {
    for (outcome, state, build_failed) in [
        (BuildOutcome::Succeeds, "complete", false),
        (BuildOutcome::Fails, "failed", true),
        (BuildOutcome::FailsQuietly, "failed", false),
        (BuildOutcome::NeverEnds, "building", false),
    ] {
        let bench = Bench::new();
        bench.panel().tune(|knobs| knobs.build_outcome = outcome);

        let id = bench.built().await;

        let found = bench.get(&format!("/servers/{id}")).await.data();
        assert_eq!(found["state"], state);
        assert_eq!(found["buildFailed"], build_failed, "{outcome:?}");
        bench.assert_clean();
    }
}

#[tokio::test]
async fn every_fault_has_its_effect_when_it_says() {
    for (name, fault) in Fault::catalogue().filter(|(_, fault)| !matches!(fault, Fault::Hang { .. })) {
        let bench = Bench::new();
        let user = bench.user().await;
        bench.panel().arm(Plan::on("POST", "/servers", fault));

        let reply = bench.try_call("POST", "/servers", Some(order(user))).await;

        let count = bench.panel().servers().len();
        let expected = usize::from(fault.effect() == EffectTiming::Done);
        assert_eq!(count, expected, "{name}");
        let usable = reply.as_ref().is_ok_and(|reply| {
            let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
            reply.status == 201 && body.is_some_and(|body| body["data"]["id"].is_u64())
        });
        assert!(!usable, "{name} gave a usable answer");
        let call = bench.panel().ledger().pop().unwrap();
        assert_eq!(call.fault, Some(name));
        assert_eq!(call.effect != Effect::None, fault.effect() == EffectTiming::Done, "{name}");
        match reply {
            Ok(reply) => assert_eq!(call.outcome, Outcome::Answered(reply.status), "{name}"),
            Err(_) => assert!(matches!(call.outcome, Outcome::Closed | Outcome::Answered(201)), "{name}"),
        }

        bench.pass(5_000);
        let expected = usize::from(fault.effect() != EffectTiming::Never);
        assert_eq!(bench.panel().servers().len(), expected, "{name} later");
        assert_eq!(bench.panel().unfired(), 0);
        bench.assert_clean();
    }
}

#[tokio::test]
async fn a_late_effect_comes_when_its_time_has_passed_and_at_that_time() {
    let bench = Bench::new();
    let user = bench.user().await;
    bench.panel().arm(Plan::nth_call(1, Fault::LateEffect { after_ms: 5_000 }));
    let ordered_ms = bench.clock.now_ms();

    assert!(bench.try_call("POST", "/servers", Some(order(user))).await.is_err());

    bench.pass(4_999);
    assert!(bench.panel().servers().is_empty());
    assert_eq!(bench.panel().late_effects(), 1);
    bench.pass(60_000);
    let server = bench.panel().servers().pop().unwrap();
    assert_eq!(server.created_at, ordered_ms + 5_000);
    assert_eq!(bench.panel().ledger().pop().unwrap().effect, Effect::ServerCreated(server.id));
}

#[tokio::test]
async fn a_held_call_goes_on_when_released() {
    for (effect, status, count) in [(true, 201, 1), (false, 504, 0)] {
        let bench = Bench::new();
        let user = bench.user().await;
        bench.panel().arm(Plan::on("POST", "/servers", Fault::Hang { effect }));

        let (reply, ()) = tokio::join!(bench.call("POST", "/servers", Some(order(user))), async {
            bench.panel().wait_stalled().await;
            assert_eq!(bench.panel().servers().len(), count);
            assert_eq!(bench.panel().ledger().pop().unwrap().outcome, Outcome::Held);
            bench.panel().release();
        });

        assert_eq!(reply.status, status);
        assert_eq!(bench.panel().servers().len(), count);
        assert_eq!(bench.panel().ledger().pop().unwrap().outcome, Outcome::Answered(status));
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_held_call_is_noticed() {
    let bench = Bench::new();
    bench.panel().arm(Plan::nth_call(1, Fault::Hang { effect: true }));

    tokio::select! {
        _ = bench.get("/connect") => panic!("the call was answered"),
        () = bench.panel().wait_stalled() => {}
    }

    let mut stalled = bench.panel().stalled();
    let left = stalled.wait_for(|count| *count == 0);
    #[expect(clippy::disallowed_methods, reason = "a deadline that only fails")]
    let left = tokio::time::timeout(Duration::from_secs(30), left);
    left.await.unwrap().unwrap();
    assert_eq!(bench.panel().ledger()[0].outcome, Outcome::ClientLeft);
}

#[tokio::test]
async fn a_double_order_is_found_unless_it_was_expected() {
    let bench = Bench::new();
    let user = bench.user().await;
    for _ in 0..2 {
        bench.call("POST", "/servers", Some(order(user))).await;
    }

    assert_eq!(bench.panel().check().len(), 1);
    bench.panel().expect_servers("42", 2);
    assert_eq!(bench.panel().check(), Vec::<String>::new());
    bench.panel().expect_servers("42", 1);
    assert_eq!(bench.panel().check().len(), 2);
}

#[tokio::test]
async fn an_order_after_the_end_of_its_like_is_no_double() {
    let bench = Bench::new();
    let id = bench.built().await;
    bench.call("DELETE", &format!("/servers/{id}?delay=0"), None).await;

    let reply = bench.call("POST", "/servers", Some(order(bench.panel().users()[0].id))).await;

    assert_ne!(reply.data()["id"], id);
    bench.assert_clean();
}

#[tokio::test]
async fn a_second_build_and_a_stranger_s_server_are_found() {
    let bench = Bench::new();
    let id = bench.built().await;
    let seed = UserSeed { name: "Eve".into(), email: "eve@example.com".into(), ..UserSeed::default() };
    let owner_id = bench.panel().seed_user(seed);
    let foreign = bench.panel().seed_server(ServerSeed { owner_id, name: "hers".into(), ours: false });
    bench.assert_clean();

    bench.call("POST", &format!("/servers/{id}/build"), Some(build())).await;
    bench.post(&format!("/servers/{foreign}/suspend")).await;

    let broken = bench.panel().check();
    assert_eq!(broken.len(), 2, "{broken:?}");
}

#[tokio::test]
async fn a_relation_text_and_an_integer_relation_do_not_meet() {
    let bench = Bench::new();
    let body = json!({ "name": "Ada Lovelace", "email": "ada@example.com", "relStr": "whmcs-42" });
    let created = bench.call("POST", "/users", Some(body)).await.data();
    assert_eq!(created["extRelationId"], json!(null));

    assert_eq!(bench.get("/users/whmcs-42/byExtRelation?relStr=true").await.data()["id"], created["id"]);
    assert_eq!(bench.get("/users/whmcs-42/byExtRelation").await.status, 404);
    assert_eq!(bench.get("/users/42/byExtRelation").await.json()["msg"], "ext_relation_id not found");
    assert!(bench.panel().secrets().contains(&created["password"].as_str().unwrap().to_owned()));
    bench.assert_clean();
}

#[tokio::test]
async fn a_forbidden_call_is_refused_and_does_nothing() {
    let bench = Bench::new();
    let id = bench.built().await;
    bench.panel().tune(|knobs| knobs.forbidden.push("POST /servers/{server}/suspend".into()));

    assert_eq!(bench.post(&format!("/servers/{id}/suspend")).await.status, 403);

    assert!(!bench.panel().servers()[0].suspended);
    bench.assert_clean();
}

#[tokio::test]
async fn an_offline_panel_refuses_connections_and_comes_back_with_its_state() {
    let mut bench = Bench::new();
    bench.built().await;

    bench.running.go_offline().await;
    let refused = bench.try_call("GET", "/connect", None).await.unwrap_err();
    bench.running.go_online().unwrap();

    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(bench.get("/connect").await.status, 200);
    assert_eq!(bench.state(), "complete");
}

#[tokio::test]
async fn a_bare_panel_knows_no_prefix() {
    let config = Config { prefix: Prefix::Bare, ..Config::default() };
    let running = VirtFusion::start(config).unwrap();
    let bearer = format!("authorization: Bearer {}", running.token());
    let headers = ["accept: application/json", bearer.as_str()];

    for (path, status) in [("/connect", 200), ("/api/v1/connect", 404)] {
        let reply = client::send(running.address(), "GET", path, &headers, "").await.unwrap();
        assert_eq!(reply.status, status, "{path}");
    }
}

#[tokio::test]
async fn the_side_door_plans_a_fault_and_stays_off_the_ledger() {
    let running = VirtFusion::start(Config { control: true, ..Config::default() }).unwrap();
    let plan = json!({ "method": "GET", "path": "/connect", "fault": "locked" }).to_string();
    let at = running.address();

    let armed = client::send(at, "POST", "/_panel/fault", &[], &plan).await.unwrap();
    let bearer = format!("authorization: Bearer {}", running.token());
    let headers = ["accept: application/json", bearer.as_str()];
    let struck = client::send(at, "GET", "/api/v1/connect", &headers, "").await.unwrap();
    let ledger = client::send(at, "GET", "/_panel/ledger", &[], "").await.unwrap();

    assert_eq!((armed.status, struck.status), (200, 423));
    assert_eq!(ledger.json().as_array().unwrap().len(), 1);
    assert_eq!(ledger.json()[0]["fault"], "locked");
}

#[tokio::test]
async fn one_connection_carries_many_calls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let bench = Bench::new();
    let mut stream = tokio::net::TcpStream::connect(bench.running.address()).await.unwrap();
    let call = format!(
        "GET /api/v1/connect HTTP/1.1\r\naccept: application/json\r\nauthorization: Bearer {}\r\n\r\n",
        bench.running.token()
    );
    // Two at once, then one in chunks of its own, which a GET must not have.
    stream.write_all(call.repeat(2).as_bytes()).await.unwrap();
    let chunked = call.replacen("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n", 1);
    stream.write_all(format!("{chunked}2\r\n[]\r\n0\r\n\r\n").as_bytes()).await.unwrap();

    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();

    // A body ends without a line break, so the next status line follows on its heels.
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "422"]);
}

#[tokio::test]
async fn slow_suspends_and_deletes_come_true_in_their_time() {
    let bench = Bench::new();
    let id = bench.built().await;
    let path = format!("/servers/{id}");
    bench.panel().tune(|knobs| {
        knobs.suspend_ms = 2_000;
        knobs.delete_ms = 4_000;
    });
    let suspended = || bench.panel().servers()[0].suspended;

    assert_eq!(bench.post(&format!("{path}/suspend")).await.status, 204);
    assert!(!suspended());
    assert_eq!(bench.post(&format!("{path}/unsuspend")).await.status, 409);
    bench.pass(2_000);
    assert!(suspended());
    assert_eq!(bench.post(&format!("{path}/unsuspend")).await.status, 204);
    assert!(suspended());
    bench.pass(2_000);
    assert!(!suspended());

    assert_eq!(bench.call("DELETE", &format!("{path}?delay=0"), None).await.status, 204);
    assert!(bench.panel().servers()[0].delete_at.is_some());
    bench.pass(4_000);
    assert!(bench.panel().servers().is_empty());
    assert_eq!(bench.panel().ledger().pop().unwrap().effect, Effect::DeleteScheduled(id));
    bench.assert_clean();
}

#[tokio::test]
async fn a_second_delete_shortens_the_delay_only_where_the_panel_allows_it() {
    for (shortens, live) in [(false, 1), (true, 0)] {
        let bench = Bench::new();
        let id = bench.built().await;
        bench.panel().tune(|knobs| knobs.second_delete_shortens = shortens);

        for delay in [60, 0] {
            let path = format!("/servers/{id}?delay={delay}");
            assert_eq!(bench.call("DELETE", &path, None).await.status, 204);
        }

        assert_eq!(bench.panel().servers().len(), live);
    }
}

#[tokio::test]
async fn the_stricter_manners_refuse_what_the_default_ones_take() {
    let bench = Bench::new();
    let id = bench.allocated().await;
    let suspend = format!("/servers/{id}/suspend");
    bench.panel().tune(|knobs| {
        knobs.busy_suspend = BusySuspend::Refused;
        knobs.repeated_suspend_conflicts = true;
        knobs.relations = Relations::IdsOnly;
    });

    bench.call("POST", &format!("/servers/{id}/build"), Some(build())).await;
    assert_eq!(bench.post(&suspend).await.status, 423);
    bench.pass(20_000);
    assert_eq!(bench.post(&suspend).await.status, 204);
    assert_eq!(bench.post(&suspend).await.status, 409);
    assert_eq!(bench.get("/users/a-42/byExtRelation?relStr=true").await.status, 422);

    bench.assert_clean();
}

#[tokio::test]
async fn a_list_is_paged_by_number() {
    let bench = Bench::new();
    let user = bench.user().await;
    bench.panel().expect_servers("42", 5);
    for _ in 0..5 {
        bench.call("POST", "/servers", Some(order(user))).await;
    }

    let mut ids = Vec::new();
    for page in 1..=3 {
        let shown = bench.get(&format!("/servers?results=2&page={page}")).await.json();
        assert_eq!((&shown["last_page"], &shown["total"]), (&json!(3), &json!(5)));
        ids.extend(shown["data"].as_array().unwrap().iter().map(|row| row["id"].clone()));
    }

    let expected: Vec<Value> = bench.panel().servers().iter().map(|server| json!(server.id)).collect();
    assert_eq!(ids, expected);
    bench.assert_clean();
}

#[tokio::test]
async fn a_dry_run_makes_nothing() {
    let bench = Bench::new();
    let user = bench.user().await;

    let reply = bench.call("POST", "/servers?dryRun=true", Some(order(user))).await;

    assert_eq!((reply.status, reply.data()["id"].clone()), (200, json!(null)));
    assert!(bench.panel().all_servers_ever().is_empty());
    bench.assert_clean();
}

#[tokio::test]
async fn every_secret_of_an_answer_is_known() {
    let bench = Bench::new();
    let id = bench.built().await;
    let replies = [
        bench.get(&format!("/servers/{id}/vnc")).await.data()["vnc"]["password"].clone(),
        bench.get(&format!("/servers/{id}")).await.data()["settings"]["encryptedPassword"].clone(),
        bench.post(&format!("/users/42/serverAuthenticationTokens/{id}")).await.data()["authentication"]["tokens"]["2"]
            .clone(),
        json!(bench.running.token()),
    ];

    for secret in replies {
        let secret = secret.as_str().unwrap().to_owned();
        assert!(bench.panel().secrets().contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_request_are_a_violation() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let bench = Bench::new();
    let mut stream = tokio::net::TcpStream::connect(bench.running.address()).await.unwrap();

    stream.write_all(b"GET /api/v1/connect\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;

    assert!(answer.is_empty());
    assert_eq!(bench.panel().violations(), ["malformed request: request line"]);
    assert!(bench.panel().ledger().is_empty());
}

#[tokio::test]
async fn every_fault_can_strike_every_call_of_a_life() {
    let life = async |bench: &Bench| {
        let body = json!({ "name": "Ada Lovelace", "email": "ada@example.com", "extRelationId": 42 });
        let _ = bench.try_call("POST", "/users", Some(body)).await;
        let user = bench.panel().users().first().map_or(1, |user| user.id);
        let _ = bench.try_call("POST", "/servers", Some(order(user))).await;
        let id = bench.panel().servers().first().map_or(1, |server| server.id);
        let _ = bench.try_call("POST", &format!("/servers/{id}/build"), Some(build())).await;
        bench.pass(20_000);
        let _ = bench.try_call("POST", &format!("/servers/{id}/suspend"), None).await;
        let _ = bench.try_call("POST", &format!("/servers/{id}/unsuspend"), None).await;
        let _ = bench.try_call("DELETE", &format!("/servers/{id}?delay=0"), None).await;
    };
    for (name, fault) in Fault::catalogue().filter(|(_, fault)| !matches!(fault, Fault::Hang { .. })) {
        for n in 1..=6 {
            let bench = Bench::new();
            bench.panel().arm(Plan::nth_call(n, fault));

            life(&bench).await;

            let ledger = bench.panel().ledger();
            let struck: Vec<u64> =
                ledger.iter().filter(|call| call.fault == Some(name)).map(|call| call.number).collect();
            assert_eq!(struck, [u64::from(n)], "{name}");
            bench.assert_clean();
        }
    }
}
