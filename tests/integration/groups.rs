//! Servers in groups: which of them takes an order, and that a full one is passed over before anything is made on it.

mod cut;

use super::lanes::at_once;
use billhook::engine::Decision;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::{Operation, OperationId};
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use billhook_tests::virtfusion::{Fault, Plan};
use serde_json::{Value, json};
use std::time::Duration;

/// Three panels in a group, in this order; the first is the rig's own.
const NAMES: [&str; 3] = ["panel", "second", "third"];

/// Panels in one group, and the host that sells on them.
struct Cluster {
    rig: Rig,
    others: Vec<Rig>,
}

/// What differs from three panels with room, filled one after the other.
#[derive(Clone, Copy)]
struct Plans<'a> {
    fill: &'a str,
    /// Lines of each server's entry.
    servers: [&'a str; 3],
    /// For how many servers each panel has room.
    rooms: [usize; 3],
    /// The members of the group.
    members: &'a [&'a str],
}

impl Default for Plans<'_> {
    fn default() -> Self {
        Self { fill: "fill_first", servers: [""; 3], rooms: [100; 3], members: &NAMES }
    }
}

impl Cluster {
    fn new(plans: Plans<'_>) -> Self {
        let room =
            |n: usize| move |config: &mut billhook_tests::virtfusion::Config| config.groups[0].room = plans.rooms[n];
        let others: Vec<Rig> = (1..3).map(|n| Rig::with(Setup::default(), room(n))).collect();
        let rig = Rig::with(setup(plans, &others), room(0));
        let cluster = Self { rig, others };
        cluster.rigs().for_each(at_once);
        cluster
    }

    fn rigs(&self) -> impl Iterator<Item = &Rig> {
        [&self.rig].into_iter().chain(&self.others)
    }

    /// How many servers each panel has.
    fn servers(&self) -> Vec<usize> {
        self.rigs().map(|rig| rig.panel().servers().len()).collect()
    }

    /// Calls that were made to each panel.
    fn calls(&self) -> Vec<usize> {
        self.rigs().map(|rig| rig.panel().ledger().len()).collect()
    }

    /// Calls to each panel that could change something.
    fn changes(&self) -> Vec<usize> {
        self.rigs().map(|rig| rig.panel().ledger().iter().filter(|call| !call.is_read).count()).collect()
    }

    fn assert_sound(&self) {
        for rig in self.rigs() {
            assert_eq!(rig.panel().check(), Vec::<String>::new());
        }
    }
}

fn setup(plans: Plans<'_>, others: &[Rig]) -> Setup {
    let mut extra = String::new();
    for (n, other) in others.iter().enumerate() {
        extra.push_str(&format!(
            "[servers.{name}]\nprovider = \"virtfusion\"\nbase_url = \"{base_url}\"\nallow_http = true\n\
             settings = {{ token = {{ file = \"{folder}/token\" }} }}\n{lines}\n",
            name = NAMES[n + 1],
            base_url = other.running.base_url(),
            folder = other.folder.path().display(),
            lines = plans.servers[n + 1],
        ));
    }
    extra.push_str(&format!(
        "[groups.nodes]\nservers = {members:?}\nfill = \"{fill}\"\n\
         [products.node]\ngroup = \"nodes\"\n[products.node.settings]\n\
         package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\n\
         [products.bigger]\ngroup = \"nodes\"\n[products.bigger.settings]\n\
         package_id = 2\nhypervisor_group_id = 1\nos_template_id = 10\n",
        members = plans.members,
        fill = plans.fill,
    ));
    Setup { extra, server: plans.servers[0].to_owned(), ..Setup::default() }
}

/// An order of a customer of its own: the panel allows an owner one order at a time.
fn order(service: &str) -> Value {
    let mut order = body(Hook::Create, service);
    order["product"] = json!({ "id": "node" });
    order["service"]["client_id"] = json!(format!("5{service}"));
    order["client"]["email"] = json!(format!("c{service}@acme.example"));
    order
}

async fn send(host: &Host, service: &str) -> OperationId {
    host.send(Hook::Create, order(service)).await.unwrap()
}

async fn create(host: &Host, service: &str) -> Operation {
    let created = host.drive(&send(host, service).await).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    created
}

/// Server and reason of what an operation has passed over.
fn passed(operation: &Operation) -> Vec<(String, String)> {
    let placement = operation.placement.as_ref().expect("it was placed");
    placement.passed.iter().map(|one| (one.server.clone(), one.reason.clone())).collect()
}

async fn notes(host: &Host, id: &OperationId) -> Vec<String> {
    host.engine.env().store.flush().await.unwrap();
    let (_, detail) = host.engine.env().store.log_detail(&id.0).await.unwrap().expect("it is in the log");
    detail.notes.into_iter().map(|note| note.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fill_first_fills_one_server_after_the_other() {
    let cluster = Cluster::new(Plans { servers: ["capacity = 2", "capacity = 2", ""], ..Plans::default() });
    let host = cluster.rig.host().await;

    let mut servers = Vec::new();
    for service in ["1", "2", "3", "4", "5"] {
        servers.push(create(&host, service).await.server);
    }

    assert_eq!(servers, ["panel", "panel", "second", "second", "third"]);
    assert_eq!(cluster.servers(), [2, 2, 1]);
    let last = host.service("5").await.unwrap();
    assert_eq!(
        (last.server.as_str(), last.panel.as_str()),
        ("third", host.engine.in_force().panels["third"].identity.as_str())
    );
    cluster.assert_sound();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_used_spreads_by_the_share_of_what_a_server_can_hold() {
    for (servers, expected) in [([""; 3], [3, 3, 3]), (["capacity = 8", "capacity = 4", "capacity = 6"], [4, 2, 3])] {
        let cluster = Cluster::new(Plans { fill: "least_used", servers, ..Plans::default() });
        let host = cluster.rig.host().await;
        for n in 0..9 {
            create(&host, &n.to_string()).await;
        }
        assert_eq!(cluster.servers(), expected, "{servers:?}");

        // What is gone makes room again.
        let gone = host.run(Hook::Terminate, "0").await;
        assert_eq!(gone.state, State::Succeeded, "{gone:#?}");
        assert_eq!(create(&host, "10").await.server, "panel");
        cluster.assert_sound();
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_arrive_at_once_do_not_overfill_a_server() {
    let cluster = Cluster::new(Plans { servers: ["capacity = 3", "capacity = 4", "capacity = 5"], ..Plans::default() });
    let host = cluster.rig.host().await;
    let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();

    let ids = futures_util::future::join_all(names.iter().map(|name| send(&host, name))).await;

    for ended in host.drive_all(&ids).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }
    assert_eq!(cluster.servers(), [3, 4, 5]);
    cluster.assert_sound();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_panel_is_passed_over_before_any_change_reaches_it() {
    let cluster = Cluster::new(Plans { rooms: [0, 0, 5], ..Plans::default() });
    let host = cluster.rig.host().await;

    let created = create(&host, "1").await;

    assert_eq!((created.server.as_str(), cluster.servers()), ("third", vec![0, 0, 1]));
    assert_eq!(cluster.changes()[..2], [0, 0], "nothing but reads reached the full ones");
    assert!(cluster.calls()[..2].iter().all(|calls| (1..=2).contains(calls)), "{:?}", cluster.calls());
    assert!(cluster.rigs().take(2).all(|rig| rig.panel().users().is_empty()));
    let passed = passed(&created);
    assert_eq!(passed.iter().map(|(server, _)| server.as_str()).collect::<Vec<_>>(), ["panel", "second"]);
    assert!(passed[0].1.contains("its panel has no room: hypervisor group 1"), "{passed:?}");
    assert_eq!(created.attempts, 1, "to look elsewhere is no failed attempt");
    let notes = notes(&host, &created.id).await;
    for (from, to) in [("panel", "second"), ("second", "third")] {
        let said = notes.iter().find(|note| note.contains(&format!("the server {from} is passed over: "))).unwrap();
        assert!(said.ends_with(&format!("the next one of the group nodes is {to}")), "{said}");
    }
    cluster.assert_sound();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_is_the_same_operation_on_the_same_server() {
    let cluster = Cluster::new(Plans { rooms: [0, 5, 5], ..Plans::default() });
    let host = cluster.rig.host().await;
    let first = host.send_with(Hook::Create, order("1"), Some("event-1")).await.unwrap();
    let created = host.drive(&first).await;
    assert_eq!((created.state, created.server.as_str()), (State::Succeeded, "second"));
    // There is room again where it would have gone.
    cluster.rig.panel().set_room(1, 5);
    let before = cluster.calls();

    let again = host.send_with(Hook::Create, order("1"), Some("event-1")).await.unwrap();
    let without_key = host.send(Hook::Create, order("1")).await.unwrap();

    assert_eq!((&again, &without_key), (&first, &first));
    assert_eq!(host.operation(&again).await.server, "second");
    assert_eq!(cluster.calls(), before);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_and_a_restart_keep_the_server() {
    let mut cluster = Cluster::new(Plans { rooms: [0, 5, 5], ..Plans::default() });
    let host = cluster.rig.host().await;
    cluster.others[0].running.go_offline().await;
    let id = send(&host, "1").await;
    host.rest().await;
    let waiting = host.operation(&id).await;
    assert_eq!((waiting.state, waiting.server.as_str()), (State::Waiting, "second"));
    assert_eq!(waiting.fault.unwrap().class, FaultClass::Unreachable);
    cluster.rig.panel().set_room(1, 5);
    host.stop().await;

    let host = cluster.rig.host().await;
    host.rest().await;
    cluster.others[0].running.go_online().unwrap();
    let created = host.drive(&id).await;

    // Unreachable is not full: the order stays, and nothing is made twice.
    assert_eq!((created.state, created.server.as_str()), (State::Succeeded, "second"));
    assert_eq!(cluster.servers(), [0, 1, 0]);
    cluster.assert_sound();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_server_has_room_every_one_is_named_with_its_reason_and_all_are_asked_again() {
    let plans = Plans { rooms: [0, 0, 0], servers: ["", "", "capacity = 1"], ..Plans::default() };
    let cluster = Cluster::new(plans);
    let host = cluster.rig.host().await;
    cluster.others[1].panel().set_room(1, 9);
    assert_eq!(create(&host, "0").await.server, "third");
    let before = cluster.changes();

    let id = send(&host, "1").await;
    host.rest().await;

    let waiting = host.operation(&id).await;
    assert_eq!((waiting.state, waiting.attempts), (State::Waiting, 1), "{waiting:#?}");
    let fault = waiting.fault.clone().unwrap();
    assert_eq!(fault.class, FaultClass::Capacity);
    for text in [
        "panel: its panel has no room",
        "second: its panel has no room",
        "third: it has 1 services, and its `capacity` is 1",
        "add a server to the group",
    ] {
        assert!(fault.staff.contains(text), "{}", fault.staff);
    }
    assert_eq!(cluster.changes(), before, "nothing was sent that changes anything");

    // Nobody makes room: a person is asked, and nothing was made meanwhile.
    let ended = host.drive(&id).await;
    assert_eq!((ended.state, ended.fault.unwrap().class), (State::Attention, FaultClass::Capacity));
    assert_eq!(cluster.changes(), before);

    // The first server of the group has room again, though the last one was asked last.
    cluster.rig.panel().set_room(1, 1);
    host.engine.decide(&id, &Decision::Retry, "uid 0").await.unwrap();
    let created = host.drive(&id).await;
    assert_eq!((created.state, created.server.as_str()), (State::Succeeded, "panel"), "{created:#?}");
    assert_eq!(cluster.servers(), [1, 0, 1]);
    cluster.assert_sound();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_wait_for_a_place_get_one_each() {
    let plans = Plans { servers: ["capacity = 1"; 3], members: &["panel"], ..Plans::default() };
    let cluster = Cluster::new(plans);
    let host = cluster.rig.host().await;
    create(&host, "0").await;
    let first = send(&host, "1").await;
    // Ids sort by the clock's time.
    host.advance(Duration::from_millis(5));
    let waiting = [first, send(&host, "2").await];
    host.rest().await;
    assert_eq!(cluster.servers()[0], 1);
    assert!(passed(&host.operation(&waiting[0]).await)[0].1.contains("`capacity` is 1"));

    assert_eq!(host.run(Hook::Terminate, "0").await.state, State::Succeeded);
    let first = host.drive(&waiting[0]).await;

    assert_eq!(first.state, State::Succeeded, "{first:#?}");
    assert_ne!(host.operation(&waiting[1]).await.state, State::Succeeded, "there was one place");
    assert_eq!(cluster.servers()[0], 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_paused_or_left_alone_is_passed_over() {
    let mut cluster =
        Cluster::new(Plans { servers: ["", "breaker_after = 1\nbreaker_delays = [\"1h\"]", ""], ..Plans::default() });
    let host = cluster.rig.host().await;
    host.engine.pause("panel", "uid 0 (root)").await.unwrap();
    cluster.others[0].running.go_offline().await;
    let test = HookBody::parse(br#"{"server":"second"}"#).unwrap();
    assert!(host.engine.read_hook(PLATFORM, Hook::Test, test).await.is_err());

    let created = create(&host, "1").await;

    let expected = [("panel", "it is paused"), ("second", "it does not answer and is left alone")];
    assert_eq!(created.server, "third");
    assert_eq!(passed(&created), expected.map(|(server, reason)| (server.to_owned(), reason.to_owned())));
    assert_eq!(cluster.calls()[0], 0);

    // With all of them held back an order is kept, and goes on by itself.
    host.engine.pause("third", "uid 0 (root)").await.unwrap();
    let id = send(&host, "2").await;
    host.rest().await;
    let held = host.operation(&id).await;
    assert_eq!((held.state, held.server.as_str()), (State::Queued, "panel"));
    host.engine.resume("panel", "uid 0 (root)").await.unwrap();
    let created = host.drive(&id).await;
    assert_eq!((created.state, created.server.as_str()), (State::Succeeded, "panel"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stays_on_its_server_whatever_becomes_of_the_group() {
    let plans = Plans { rooms: [0, 5, 5], ..Plans::default() };
    let mut cluster = Cluster::new(plans);
    let host = cluster.rig.host().await;
    assert_eq!(create(&host, "1").await.server, "second");
    cluster.rig.panel().set_room(1, 5);

    // A reload takes the server out of the group, and gives the group another rule.
    let other = Plans { members: &["third", "panel"], fill: "least_used", ..plans };
    cluster.rig.reconfigure(setup(other, &cluster.others));
    let config = cluster.rig.config();
    host.engine.reload((*config).clone()).await.unwrap();

    assert_eq!(create(&host, "2").await.server, "third", "the new order holds for what comes now");
    for hook in [Hook::Suspend, Hook::Unsuspend, Hook::Renew] {
        let done = host.run(hook, "1").await;
        assert_eq!((done.state, done.server.as_str()), (State::Succeeded, "second"), "{hook}: {done:#?}");
    }
    let mut change = body(Hook::ChangePackage, "1");
    change["product"] = json!({ "id": "bigger" });
    let refused = host.send(Hook::ChangePackage, change.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("in the group nodes, the service on second"), "{refused}");
    change["product"] = json!({ "id": "node", "options": { "memory_mb": 2048 } });
    let changed = host.drive(&host.send(Hook::ChangePackage, change).await.unwrap()).await;
    assert_eq!((changed.state, changed.server.as_str()), (State::Succeeded, "second"), "{changed:#?}");
    let ended = host.run(Hook::Terminate, "1").await;
    assert_eq!((ended.state, ended.server.as_str()), (State::Succeeded, "second"));
    assert_eq!(cluster.servers(), [0, 0, 1]);

    // Its next life is an order like any other.
    assert_eq!(create(&host, "1").await.server, "panel");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_of_the_same_group_is_changed_to_where_the_service_is() {
    let cluster = Cluster::new(Plans { rooms: [0, 5, 5], ..Plans::default() });
    let host = cluster.rig.host().await;
    create(&host, "1").await;
    let mut change = body(Hook::ChangePackage, "1");
    change["product"] = json!({ "id": "bigger" });

    let changed = host.drive(&host.send(Hook::ChangePackage, change).await.unwrap()).await;

    assert_eq!((changed.state, changed.server.as_str()), (State::Succeeded, "second"), "{changed:#?}");
    assert!(changed.placement.is_none(), "there was nothing to choose");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_that_cannot_be_read_is_no_reason_to_sell_nothing() {
    let cluster = Cluster::new(Plans::default());
    let host = cluster.rig.host().await;
    // The token may not read the hypervisors.
    cluster.rig.panel().arm(Plan::nth_call(1, Fault::StatusBeforeEffect(403)));

    let created = create(&host, "1").await;

    assert_eq!(created.server, "panel");
    let notes = notes(&host, &created.id).await;
    assert!(notes.iter().any(|note| note.contains("whether panel has room could not be read")), "{notes:?}");
    cluster.assert_sound();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_read_is_asked_for_once_more() {
    for fault in [Fault::Garbage, Fault::StatusBeforeEffect(500), Fault::Html200BeforeEffect, Fault::DropAfterEffect] {
        let cluster = Cluster::new(Plans { rooms: [0, 5, 5], ..Plans::default() });
        let host = cluster.rig.host().await;
        cluster.rig.panel().arm(Plan::nth_call(1, fault));

        let created = create(&host, "1").await;

        assert_eq!((created.server.as_str(), cluster.changes()[0]), ("second", 0), "{}", fault.name());
        cluster.assert_sound();
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_of_one_server_is_made_there_without_a_question() {
    let cluster = Cluster::new(Plans { servers: ["capacity = 1", "", ""], ..Plans::default() });
    let host = cluster.rig.host().await;
    for service in ["1", "2"] {
        let mut order = order(service);
        order["product"] = json!({ "id": "vps" });
        let created = host.drive(&host.send(Hook::Create, order).await.unwrap()).await;
        assert_eq!((created.state, created.server.as_str()), (State::Succeeded, "panel"));
        assert!(created.placement.is_none());
    }
    let asked = cluster.rig.panel().calls_to("GET", "/compute/hypervisors/groups/{group}/resources");
    assert!(asked.is_empty(), "{asked:?}");
    // They count all the same.
    assert_eq!(create(&host, "3").await.server, "second");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_moves_takes_along_what_came_in_behind_it() {
    let cluster = Cluster::new(Plans { rooms: [0, 5, 5], ..Plans::default() });
    let host = cluster.rig.host().await;
    cluster.rig.panel().arm(Plan::nth_call(1, Fault::Hang { effect: false }));
    let created = send(&host, "1").await;
    cluster.rig.panel().wait_stalled().await;
    let renewed = host.send(Hook::Renew, body(Hook::Renew, "1")).await.unwrap();
    assert_eq!(host.operation(&renewed).await.server, "panel");
    cluster.rig.panel().disarm();
    cluster.rig.panel().release();

    let ended = host.drive_all(&[created, renewed]).await;

    for one in ended {
        assert_eq!((one.state, one.server.as_str()), (State::Succeeded, "second"), "{one:#?}");
    }
    assert_eq!(cluster.changes()[0], 0);
    cluster.assert_sound();
    host.stop().await;
}

mod solidcp {
    //! A panel that says only within a create that it is full: its plugin looks for a place before it makes anything.

    use super::*;
    use billhook_tests::solidcp::SolidCp;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_create_that_finds_no_room_and_has_made_nothing_goes_to_the_next_server() {
        let second = Rig::<SolidCp>::solidcp();
        let product = "plans = [11]\ncpu_cores = 2\nmemory_mb = 4096\ndisk_gb = 60\nos_template = \"win2022.vhdx\"\n";
        let extra = format!(
            "[servers.second]\nprovider = \"solidcp\"\nbase_url = \"{base_url}\"\nallow_http = true\ncreate_timeout = \"60s\"\n\
             settings = {{ login = \"{login}\", password = {{ file = \"{folder}/token\" }}, machine_domain = \"vm.example.test\" }}\n\
             [groups.nodes]\nservers = [\"panel\", \"second\"]\nfill = \"fill_first\"\n\
             [products.node]\ngroup = \"nodes\"\n[products.node.settings]\n{product}",
            base_url = second.running.base_url(),
            login = second.running.account().username,
            folder = second.folder.path().display(),
        );
        let rig = Rig::solidcp_with(Setup { extra, ..Setup::default() }, |_| {});
        rig.panel().rewrite(|nodes, _| nodes[0].memory_mb = 5_000);
        let host = rig.host().await;
        let mut order = body(Hook::Create, "1007");
        order["product"] = json!({ "id": "node" });

        let id = host.send(Hook::Create, order).await.unwrap();
        // The other panel has a clock of its own.
        let created = loop {
            host.rest().await;
            let operation = host.operation(&id).await;
            if operation.state.is_final() || operation.state == State::Attention {
                break operation;
            }
            second.panel_clock.advance(Duration::from_secs(60));
            host.pass_time().await;
        };

        assert_eq!((created.state, created.server.as_str()), (State::Succeeded, "second"), "{created:#?}");
        let changes = rig.panel().ledger().iter().filter(|call| !call.is_read).count();
        assert_eq!(changes, 0, "nothing reached the full panel but questions");
        assert!(passed(&created)[0].1.contains("none of the product's plans has room"), "{created:#?}");
        assert_eq!((rig.panel().machines().len(), second.panel().machines().len()), (0, 1));
        let steps = host.engine.env().store.journal(&id).await.unwrap();
        assert_eq!(steps.iter().filter(|step| step.name == "place").count(), 1, "the first server's choice is gone");
        assert_eq!(second.panel().check(), Vec::<String>::new());
        host.stop().await;
    }
}
