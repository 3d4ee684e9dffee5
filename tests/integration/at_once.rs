//! Many callers at the same moment.

use billhook::operation::State;
use billhook::store::{OperationId, ServiceStatus};
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Host, Rig, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan, ServerSeed};
use serde_json::{Value, json};

/// Sends these bodies at the same moment, and drives every operation that answered to its end.
async fn all_at_once(host: &Host, hook: Hook, requests: Vec<(Value, Option<String>)>) -> Vec<OperationId> {
    let sent = requests.into_iter().map(|(body, key)| async move { host.send_with(hook, body, key.as_deref()).await });
    let mut ids: Vec<OperationId> =
        futures_util::future::join_all(sent).await.into_iter().map(|sent| sent.expect("no hook is refused")).collect();
    ids.sort();
    ids.dedup();
    for id in &ids {
        let ended = host.drive(id).await;
        assert!(matches!(ended.state, State::Succeeded | State::Cancelled), "{ended:#?}");
    }
    ids
}

fn servers_made(rig: &Rig) -> usize {
    rig.panel().count_effects(|effect| matches!(effect, Effect::ServerCreated(_)))
}

async fn fifty_creates(key: impl Fn(usize) -> Option<String>) {
    let rig = Rig::new();
    let host = rig.host().await;

    let requests = (0..50).map(|n| (body(Hook::Create, "1007"), key(n))).collect();
    let ids = all_at_once(&host, Hook::Create, requests).await;

    assert_eq!(ids.len(), 1, "one operation answers for all");
    assert_eq!(servers_made(&rig), 1);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_with_one_key_make_one_server() {
    fifty_creates(|_| Some("order-881:create".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_with_fifty_keys_make_one_server() {
    fifty_creates(|n| Some(format!("order-881:create:{n}"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_without_a_key_make_one_server() {
    fifty_creates(|_| None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_renews_to_one_date_are_one() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;

    let requests = (0..50).map(|n| (body(Hook::Renew, "1007"), (n % 2 == 0).then(|| format!("renew-{n}")))).collect();
    let ids = all_at_once(&host, Hook::Renew, requests).await;

    assert_eq!(ids.len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspend_unsuspend_suspend_each_after_the_other_are_three_effects() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;

    for hook in [Hook::Suspend, Hook::Unsuspend, Hook::Suspend] {
        assert_eq!(host.run(hook, "1007").await.state, State::Succeeded);
    }

    let panel = rig.panel();
    assert_eq!(panel.count_effects(|effect| matches!(effect, Effect::Suspended(_))), 2);
    assert_eq!(panel.count_effects(|effect| matches!(effect, Effect::Unsuspended(_))), 1);
    assert!(panel.servers()[0].suspended);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspend_unsuspend_suspend_all_at_once_end_as_the_last_one_says() {
    for last in [Hook::Suspend, Hook::Unsuspend] {
        let rig = Rig::new();
        let host = rig.host().await;
        host.run(Hook::Create, "1007").await;
        // The first one is held by the panel while the others arrive.
        rig.panel().arm(Plan::nth_call(1, Fault::Hang { effect: true }));
        let mut ids = vec![host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await.unwrap()];
        rig.panel().wait_stalled().await;

        let rest = if last == Hook::Suspend { &[Hook::Unsuspend, Hook::Suspend][..] } else { &[Hook::Unsuspend][..] };
        for &hook in rest {
            ids.push(host.send(hook, body(hook, "1007")).await.unwrap());
        }
        rig.panel().release();
        host.drive_all(&ids).await;

        assert_eq!(rig.panel().servers()[0].suspended, last == Hook::Suspend, "the last was {last}");
        host.stop().await;
    }
}

/// The second one comes when it is too late to take its place, and finds nothing left to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminate_behind_the_one_that_ends_the_service_has_nothing_to_do() {
    let rig = Rig::new();
    let host = rig.host().await;
    let server = host.run(Hook::Create, "1007").await.outcome.unwrap()["remote_id"].as_str().unwrap().to_owned();
    rig.panel().arm(Plan::on("DELETE", &format!("/servers/{server}"), Fault::Hang { effect: true }));
    let first = host.send_with(Hook::Terminate, body(Hook::Terminate, "1007"), Some("event-1")).await.unwrap();
    rig.panel().wait_stalled().await;

    let second = host.send_with(Hook::Terminate, body(Hook::Terminate, "1007"), Some("event-2")).await.unwrap();
    let create = host.send_with(Hook::Create, body(Hook::Create, "1007"), Some("event-3")).await;
    rig.panel().release();
    let ended = host.drive_all(&[first.clone(), second.clone()]).await;

    assert_ne!(first, second);
    assert!(create.is_err(), "nothing of a life that ends is promised");
    for operation in ended {
        assert_eq!(operation.state, State::Succeeded, "{operation:#?}");
        assert_eq!(operation.outcome.unwrap()["gone"], true);
    }
    assert_eq!(rig.panel().count_effects(|effect| matches!(effect, Effect::Deleted(_))), 1);
    let service = host.service("1007").await.unwrap();
    assert_eq!((service.epoch, service.status), (2, ServiceStatus::Terminated));
    let create = host.send_with(Hook::Create, body(Hook::Create, "1007"), Some("event-3")).await.unwrap();
    assert_eq!(host.drive(&create).await.state, State::Succeeded);
    assert_eq!((servers_made(&rig), rig.panel().servers().len()), (2, 1));
    host.stop().await;
}

/// Two services of one customer share one owner on the panel, so only the difference between lists tells their orders
/// apart.
fn of_owner(service: &str) -> Value {
    let mut body = body(Hook::Create, service);
    body["service"]["client_id"] = json!("77");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_order_never_takes_the_neighbours_server() {
    for fault in [Fault::DropAfterEffect, Fault::DropBeforeEffect, Fault::LateEffect { after_ms: 5_000 }] {
        let rig = Rig::new();
        let host = rig.host().await;
        rig.panel().expect_servers("77", 2);
        rig.panel().arm(Plan::on("POST", "/servers", fault));

        let first = host.send(Hook::Create, of_owner("1")).await.unwrap();
        let second = host.send(Hook::Create, of_owner("2")).await.unwrap();
        let ended = host.drive_all(&[first, second]).await;

        assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{}: {ended:#?}", fault.name());
        let one = host.service("1").await.unwrap().remote_id.unwrap();
        let two = host.service("2").await.unwrap().remote_id.unwrap();
        assert_ne!(one, two, "{}", fault.name());
        assert_eq!(servers_made(&rig), 2, "{}", fault.name());
        assert_eq!(rig.panel().check(), Vec::<String>::new(), "{}", fault.name());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_had_asked_what_exists_before_the_other_began_asks_again() {
    let rig = Rig::new();
    let host = rig.host().await;
    rig.panel().expect_servers("77", 2);
    // An owner that both find, so that both come to their lists.
    let seeded = host.run(Hook::Create, "0").await;
    assert_eq!(seeded.state, State::Succeeded);
    rig.panel().expect_servers("77", 3);

    // The second asks for its list, and the answer is held: it says what was before the first began.
    rig.panel().arm(Plan::on("GET", "/servers/user/{user}", Fault::Hang { effect: true }));
    let second = host.send(Hook::Create, of_owner("2")).await.unwrap();
    rig.panel().wait_stalled().await;
    // Now the first orders, its answer is lost, and its server is there.
    rig.panel().arm(Plan::on("POST", "/servers", Fault::DropAfterEffect));
    let first = host.send(Hook::Create, of_owner("1")).await.unwrap();
    while servers_made(&rig) < 2 {
        tokio::task::yield_now().await;
    }
    rig.panel().release();

    let ended = host.drive_all(&[first, second]).await;

    assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{ended:#?}");
    let one = host.service("1").await.unwrap().remote_id.unwrap();
    let two = host.service("2").await.unwrap().remote_id.unwrap();
    assert_ne!(one, two);
    assert_eq!(servers_made(&rig), 3);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lost_orders_of_one_owner_never_find_each_others_server() {
    for (first, second) in [
        (Fault::DropBeforeEffect, Fault::DropAfterEffect),
        (Fault::DropAfterEffect, Fault::DropBeforeEffect),
        (Fault::DropAfterEffect, Fault::DropAfterEffect),
    ] {
        let what = format!("{} and {}", first.name(), second.name());
        let rig = Rig::new();
        let host = rig.host().await;
        // The owner is there, so that both come to their orders at once.
        host.run(Hook::Create, "0").await;
        rig.panel().expect_servers("77", 3);
        rig.panel().arm(Plan::on("POST", "/servers", first));
        rig.panel().arm(Plan::on("POST", "/servers", second).nth(2));
        let mut large = of_owner("2");
        large["product"] = json!({ "id": "vps-large" });

        let one = host.send(Hook::Create, of_owner("1")).await.unwrap();
        let two = host.send(Hook::Create, large).await.unwrap();
        let ended = host.drive_all(&[one, two]).await;

        assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{what}: {ended:#?}");
        for (service, package) in [("1", 1), ("2", 2)] {
            let id = host.service(service).await.unwrap().remote_id.unwrap();
            let servers = rig.panel().servers();
            let server = servers.iter().find(|server| server.id.to_string() == id).unwrap();
            assert_eq!(server.package_id, package, "{what}: service {service} has what it ordered");
        }
        assert_eq!(servers_made(&rig), 3, "{what}");
        assert_eq!(rig.panel().check(), Vec::<String>::new(), "{what}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_there_before_is_never_taken_for_the_lost_one() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "0").await;
    rig.panel().expect_servers("77", 3);
    // Staff made one by hand for the same customer: new, without a name, and nobody's service.
    let owner = rig.panel().servers()[0].owner_id;
    let theirs = rig.panel().seed_server(ServerSeed { owner_id: owner, name: String::new(), ours: false });
    rig.panel().arm(Plan::on("POST", "/servers", Fault::DropBeforeEffect));

    let created = host.run(Hook::Create, "1007").await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_ne!(host.service("1007").await.unwrap().remote_id, Some(theirs.to_string()));
    assert_eq!(servers_made(&rig), 2);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}
