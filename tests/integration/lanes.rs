//! One server's troubles are its own: who works on it, how often it is asked, and when it is left alone.

use billhook::clock::Clock as _;
use billhook::engine::{ReadAnswer, ReadFailure};
use billhook::lane::{BreakerState, Held};
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::OperationId;
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use billhook_tests::virtfusion::{Fault, Plan};
use serde_json::{Value, json};
use std::time::Duration;

/// A rig whose server has these lines in its entry, and whose builds need no time.
fn rig(server: &str) -> Rig {
    let rig = Rig::with(Setup { server: server.to_owned(), ..Setup::default() }, |_| {});
    at_once(&rig);
    rig
}

/// Builds need no time: a panel whose clock nobody moves is never done otherwise.
pub(crate) fn at_once(rig: &Rig) {
    rig.panel().tune(|knobs| {
        knobs.build_start_ms = 0;
        knobs.build_ms = 0;
    });
}

/// A second server and a product on it, for the configuration of another rig.
pub(crate) fn second_server(of: &Rig) -> String {
    format!(
        r#"
[servers.second]
provider = "virtfusion"
base_url = "{base_url}"
allow_http = true
settings = {{ token = {{ file = "{folder}/token" }} }}
[products.second]
server = "second"
[products.second.settings]
package_id = 1
hypervisor_group_id = 1
os_template_id = 10
"#,
        base_url = of.running.base_url(),
        folder = of.folder.path().display(),
    )
}

async fn create(host: &Host, service: &str) -> OperationId {
    let mut order = body(Hook::Create, service);
    // Each for a customer of its own: the panel allows an owner one order at a time.
    order["service"]["client_id"] = json!(format!("5{service}"));
    order["client"]["email"] = json!(format!("c{service}@acme.example"));
    host.send(Hook::Create, order).await.unwrap()
}

async fn read(host: &Host, hook: Hook, body: Value) -> Result<ReadAnswer, ReadFailure> {
    host.engine.read_hook(PLATFORM, hook, HookBody::parse(body.to_string().as_bytes()).unwrap()).await
}

async fn attempts(host: &Host, ids: &[OperationId]) -> Vec<u32> {
    let mut attempts = Vec::new();
    for id in ids {
        attempts.push(host.operation(id).await.attempts);
    }
    attempts
}

/// The names of the servers in the order in which the panel was asked for them.
fn ordered(rig: &Rig) -> Vec<String> {
    let calls = rig.panel().calls_to("POST", "/servers/{id}/build");
    let name = |body: Option<String>| -> Value { serde_json::from_str(&body.unwrap_or_default()).unwrap_or_default() };
    calls.into_iter().map(|call| name(call.body)["hostname"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_holds_its_operations_over_a_restart_and_releases_them_in_order() {
    let rig = rig("concurrency = 1");
    let host = rig.host().await;
    host.engine.pause("panel", "uid 0 (root)").await.unwrap();
    let mut ids = Vec::new();
    for service in ["30", "10", "20"] {
        ids.push(create(&host, service).await);
        // Ids sort by the clock's time.
        host.advance(Duration::from_millis(5));
    }
    host.rest().await;
    assert!(rig.panel().ledger().is_empty(), "nothing was sent");
    assert_eq!(host.engine.lane("panel").unwrap().waiting, 3);
    host.stop().await;

    let host = rig.host().await;
    host.rest().await;
    let Some(Held::Paused(pause)) = host.engine.held("panel") else { panic!("a restart ended the pause") };
    assert_eq!(pause.by, "uid 0 (root)");
    for id in &ids {
        let held = host.operation(id).await;
        assert_eq!((held.state, held.attempts), (State::Queued, 0));
    }
    // Who looks at it need not wait.
    assert!(read(&host, Hook::Test, json!({ "server": "panel" })).await.is_ok());

    host.engine.resume("panel", "uid 0 (root)").await.unwrap();
    for ended in host.drive_all(&ids).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }
    assert_eq!(ordered(&rig), ["svc30.example.net", "svc10.example.net", "svc20.example.net"]);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_left_alone_and_uses_up_no_attempts() {
    let mut rig = rig("breaker_after = 2\nbreaker_delays = [\"10m\"]\nconcurrency = 1");
    let host = rig.host().await;
    host.run(Hook::Create, "1000").await;
    rig.running.go_offline().await;
    let mut ids = Vec::new();
    for service in ["1", "2", "3", "4", "5"] {
        ids.push(create(&host, service).await);
        host.rest().await;
    }

    // Two found out, the others wait.
    assert_eq!(attempts(&host, &ids).await, [1, 1, 0, 0, 0]);
    assert!(matches!(host.engine.held("panel"), Some(Held::Unreachable(_))));
    host.advance(Duration::from_secs(9 * 60));
    host.rest().await;
    assert_eq!(attempts(&host, &ids).await.iter().sum::<u32>(), 2, "nothing was tried for nine minutes");

    // A caller who waits hears it at once, and it is in the log.
    let Err(ReadFailure::Fault { id, fault }) = read(&host, Hook::Status, json!({ "service": { "id": "1000" } })).await
    else {
        panic!("it was read")
    };
    assert_eq!(fault.class, FaultClass::Unreachable);
    assert!(fault.staff.contains("left alone"), "{fault}");
    host.engine.env().store.flush().await.unwrap();
    let (_, detail) = host.engine.env().store.log_detail(&id).await.unwrap().expect("it is in the log");
    assert!(detail.exchanges.is_empty());

    // One tries, in vain.
    host.advance(Duration::from_secs(60));
    host.rest().await;
    assert_eq!(attempts(&host, &ids).await.iter().sum::<u32>(), 3);
    assert!(matches!(host.engine.lane("panel").unwrap().breaker, BreakerState::Open { .. }));

    // One tries, and all go on.
    rig.running.go_online().unwrap();
    for ended in host.drive_all(&ids).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }
    assert_eq!(host.engine.lane("panel").unwrap().breaker, BreakerState::Closed);
    assert_eq!(rig.panel().servers().len(), 6);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_tries_a_server_that_is_left_alone_and_its_answer_lets_the_others_go() {
    let mut rig = rig("breaker_after = 1\nbreaker_delays = [\"1h\"]");
    let host = rig.host().await;
    rig.running.go_offline().await;
    let id = create(&host, "1").await;
    host.rest().await;
    let test = || read(&host, Hook::Test, json!({ "server": "panel" }));
    assert!(test().await.is_err());
    let sight = host.engine.lane("panel").unwrap();
    assert!(sight.last_test.is_some_and(|test| !test.ok) && sight.last_exchange.is_some_and(|seen| !seen.ok));

    rig.running.go_online().unwrap();
    assert!(test().await.is_ok());

    assert_eq!(host.engine.held("panel"), None);
    assert_eq!(host.drive(&id).await.state, State::Succeeded);
    let sight = host.engine.lane("panel").unwrap();
    assert!(sight.last_test.is_some_and(|test| test.ok) && sight.last_exchange.is_some_and(|seen| seen.ok));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_panel_never_delays_another() {
    let other = rig("");
    let setup = Setup { extra: second_server(&other), server: "concurrency = 2".to_owned(), ..Setup::default() };
    let rig = Rig::with(setup, |_| {});
    let host = rig.host().await;
    rig.panel().arm(Plan::nth_call(1, Fault::Hang { effect: false }).repeat(10));
    for n in 0..10 {
        create(&host, &n.to_string()).await;
    }
    rig.panel().wait_stalled().await;

    // No time passes, and the other panel's order is carried out.
    let mut order = body(Hook::Create, "elsewhere");
    order["product"]["id"] = json!("second");
    let id = host.send(Hook::Create, order).await.unwrap();
    let ended = host.engine.wait(id.into(), Duration::from_secs(120)).await.unwrap();

    assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    let sight = host.engine.lane("panel").unwrap();
    assert_eq!((sight.running, sight.waiting), (2, 8));
    rig.panel().disarm();
    rig.panel().release();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panel_never_gets_more_requests_than_its_rate_allows() {
    let rig = rig("rate = \"2 per 10s\"");
    let host = rig.host().await;

    // Five exchanges, reads all of them.
    let mut tested = Box::pin(read(&host, Hook::Test, json!({ "server": "panel" })));
    let answer = loop {
        // Everything else that sleeps sleeps for longer than a turn lasts.
        let turn = rig
            .clock
            .until(|clock| clock.next_deadline().is_some_and(|at| at <= clock.monotonic() + Duration::from_secs(10)));
        tokio::select! {
            answer = &mut tested => break answer,
            () = turn => host.advance(Duration::from_secs(10)),
        }
    };

    drop(tested);
    assert!(answer.is_ok(), "{answer:?}");
    let times: Vec<u64> = rig.panel().ledger().iter().map(|call| call.at_ms).collect();
    assert_eq!(times.len(), 5);
    for three in times.windows(3) {
        assert!(three[2] - three[0] >= 10_000, "{times:?}");
    }
    host.stop().await;
}
