//! Several hosts on one store.

use billhook::attempt::{Moment, Tap, TapFuture};
use billhook::operation::State;
use billhook::store::{HostEnd, Operation, OperationId};
use billhook_plugin_api::Hook;
use billhook_tests::harness::daemon::{Daemon, answer, exchange, own_uid, request};
use billhook_tests::harness::{Host, Rig, Setup, StoreOn, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Looks often, so that nobody waits for a look.
const LINES: &str = "poll = \"20ms\"\n";

fn rig(lines: &str) -> Rig {
    let setup = Setup {
        store: StoreOn::Postgres,
        store_lines: format!("{LINES}{lines}"),
        uid: Some(own_uid()),
        ..Setup::default()
    };
    let rig = Rig::with(setup, |_| {});
    rig.panel().tune(|knobs| {
        knobs.build_start_ms = 0;
        knobs.build_ms = 0;
    });
    rig
}

/// A create for a customer who has nothing else.
fn of_own_client(service: &str) -> Value {
    let mut body = body(Hook::Create, service);
    body["service"]["client_id"] = json!(service);
    body["client"]["email"] = json!(format!("c{service}@acme.example"));
    body
}

fn servers_made(rig: &Rig) -> usize {
    rig.panel().count_effects(|effect| matches!(effect, Effect::ServerCreated(_)))
}

/// Stands at a host's exchanges, and holds one of them back, or with zero all.
#[derive(Default)]
struct Gate {
    at: u64,
    there: AtomicUsize,
    is_open: watch::Sender<bool>,
}

impl Gate {
    fn at(at: u64) -> Arc<Self> {
        Arc::new(Self { at, ..Self::default() })
    }

    async fn reached(&self) {
        self.reached_by(1).await;
    }

    async fn reached_by(&self, many: usize) {
        while self.there.load(Ordering::SeqCst) < many {
            tokio::task::yield_now().await;
        }
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Tap for Gate {
    fn exchange(&self, moment: Moment, n: u64) -> TapFuture {
        if moment != Moment::Before || (self.at > 0 && n != self.at) {
            return Box::pin(std::future::ready(()));
        }
        self.there.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.subscribe();
        Box::pin(async move {
            let _ = is_open.wait_for(|is_open| *is_open).await;
        })
    }
}

/// Which exchange of a create is its order.
async fn number_of_the_order() -> u64 {
    let rig = rig("");
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;
    let calls = rig.panel().ledger();
    let order = calls.iter().position(|call| call.method == "POST" && call.bare_path().ends_with("/servers")).unwrap();
    host.stop().await;
    order as u64 + 1
}

/// Moves time for these hosts, whoever of them runs the operation, until it is final or needs a person.
async fn drive(hosts: &[&Host], id: &OperationId) -> Operation {
    loop {
        let operation = hosts[0].operation(id).await;
        if operation.state.is_final() || operation.state == State::Attention {
            return operation;
        }
        let is_idle = hosts.iter().all(|host| host.engine.is_idle());
        match hosts.iter().filter_map(|host| host.engine.next_due()).min() {
            // What runs is in the hands of a host that stands still.
            Some(at) if is_idle && operation.state != State::Running => {
                let now = billhook::clock::Clock::monotonic(hosts[0].clock());
                hosts[0].advance(at.saturating_sub(now));
            }
            _ => tokio::task::yield_now().await,
        }
    }
}

/// As if a host had given no sign for longer than its lease, by its own clock and by the server's.
fn freeze(rig: &Rig, name: &str) {
    rig.clock.suspend(Duration::from_secs(31));
    let database = rig.database.as_ref().unwrap();
    database
        .change(&format!("UPDATE billhook.host SET until = 0, lease_ms = 0 WHERE name = '{name}' AND ended IS NULL"));
}

async fn until_lost(host: &Host, name: &str) {
    let is_lost = async || {
        let hosts = host.engine.hosts().await.unwrap();
        hosts.iter().any(|(host, _)| host.name == name && host.ended == Some(HostEnd::Expired))
    };
    until(is_lost).await;
}

/// Others do something meanwhile.
async fn until(is_so: impl AsyncFn() -> bool) {
    while !is_so().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_one_host_waits_for_what_another_one_runs() {
    let rig = rig("");
    let gate = Gate::at(1);
    let a = rig.join("a", Some(gate.clone())).await;
    let b = rig.join("b", None).await;
    let id = a.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    gate.reached().await;
    let waiting = tokio::spawn({
        let (engine, id) = (Arc::clone(&b.engine), id.clone());
        async move { engine.wait(id.into(), Duration::from_secs(60)).await }
    });
    // The same hook at the other host is the same operation.
    assert_eq!(b.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap(), id);
    assert!(!waiting.is_finished());

    gate.open();
    drive(&[&a, &b], &id).await;

    let seen = waiting.await.unwrap().unwrap();
    assert_eq!(seen.state, State::Succeeded, "{seen:#?}");
    assert_eq!(servers_made(&rig), 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_on_at_whichever_host_is_there() {
    let rig = rig("");
    let a = rig.join("a", None).await;
    let b = rig.join("b", None).await;
    rig.panel().arm(Plan::on("GET", "/users/{user}/byExtRelation", Fault::StatusBeforeEffect(503)));
    let first = a.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    until(async || a.operation(&first).await.state == State::Waiting).await;
    a.stop().await;

    let created = drive(&[&b], &first).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(servers_made(&rig), 1);
    b.stop().await;
}

/// A host stands still in the moment before its order leaves; another one takes its work over.
async fn frozen_before_its_order(is_said_by_a_person: bool) {
    let order = number_of_the_order().await;
    let rig = rig("");
    let gate = Gate::at(order);
    let a = rig.join("a", Some(gate.clone())).await;
    let b = rig.join("b", None).await;
    let id = a.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    gate.reached().await;

    freeze(&rig, "a");
    until_lost(&b, "a").await;
    let doubted = drive(&[&b], &id).await;
    assert_eq!(doubted.state, State::Attention, "{doubted:#?}");
    assert!(doubted.reason.as_ref().unwrap().contains("billhook hosts dead"), "{:?}", doubted.reason);
    assert_eq!(servers_made(&rig), 0);

    if is_said_by_a_person {
        b.engine.host_is_dead("a", "uid 0").await.unwrap();
    }
    // It wakes, and sends nothing more; the other one has its work.
    gate.open();
    a.engine.env().store.is_over().await;
    a.rest().await;
    assert_eq!(servers_made(&rig), 0, "it was held back");
    a.stop().await;
    // Either way its end is proven by now.
    until(async || b.operation(&id).await.state != State::Attention).await;
    let created = drive(&[&b], &id).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(servers_made(&rig), 1);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_wakes_after_its_lease_sends_nothing_and_its_goodbye_lets_its_orders_go_on() {
    frozen_before_its_order(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_word_of_a_person_lets_the_orders_of_a_lost_host_go_on() {
    frozen_before_its_order(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_a_lost_host_that_is_on_the_panel_is_found() {
    let order = number_of_the_order().await;
    let rig = rig("");
    // It reaches the panel, and the host stands still before the answer.
    rig.panel().arm(Plan::nth_call(u32::try_from(order).unwrap(), Fault::Hang { effect: true }));
    let a = rig.join("a", None).await;
    let b = rig.join("b", None).await;
    let id = a.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    rig.panel().wait_stalled().await;

    freeze(&rig, "a");
    until_lost(&b, "a").await;
    let created = drive(&[&b], &id).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    rig.panel().release();
    a.engine.env().store.is_over().await;
    a.rest().await;
    assert_eq!(b.operation(&id).await.attempts, created.attempts, "what comes late changes nothing");
    assert_eq!(servers_made(&rig), 1);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_stood_still_and_was_not_missed_goes_on() {
    let order = number_of_the_order().await;
    let rig = rig("");
    let gate = Gate::at(order);
    let a = rig.join("a", Some(gate.clone())).await;
    let id = a.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    gate.reached().await;
    rig.clock.suspend(Duration::from_secs(3_600));
    gate.open();

    let created = drive(&[&a], &id).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(servers_made(&rig), 1);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_at_one_host_holds_at_all() {
    let rig = rig("");
    let a = rig.join("a", None).await;
    let b = rig.join("b", None).await;
    a.engine.pause("panel", "uid 0").await.unwrap();
    until(async || b.engine.held("panel").is_some()).await;
    let id = b.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    b.rest().await;
    assert_eq!(b.operation(&id).await.state, State::Queued);

    b.engine.resume("panel", "uid 0").await.unwrap();

    let created = drive(&[&a, &b], &id).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    until(async || a.engine.held("panel").is_none()).await;
    assert_eq!(servers_made(&rig), 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_takes_is_shared_and_so_is_the_work() {
    let rig = rig("");
    let gates = [Gate::at(0), Gate::at(0)];
    let a = rig.join("a", Some(gates[0].clone())).await;
    let b = rig.join("b", Some(gates[1].clone())).await;
    // The first learns of the second by a notice.
    until(async || [&a, &b].iter().all(|host| host.engine.share() >= 2)).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(a.send(Hook::Create, of_own_client(&format!("20{n}"))).await.unwrap());
    }

    // Four at once on this server: two here, and two that the other one has taken from the line.
    gates[1].reached_by(2).await;
    gates[0].reached_by(2).await;
    let running = [&a, &b].map(|host| host.engine.lane("panel").unwrap().running);
    assert_eq!(running, [2, 2]);

    gates.iter().for_each(|gate| gate.open());
    for id in &ids {
        let created = drive(&[&a, &b], id).await;
        assert_eq!(created.state, State::Succeeded, "{created:#?}");
    }
    assert_eq!(servers_made(&rig), 8);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    a.stop().await;
    b.stop().await;
}

fn ask(daemon: &Daemon, line: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let socket = if line.contains("/v1/hosts") { daemon.admin_socket() } else { daemon.hook_socket() };
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = answer(&exchange(&socket, &request(line, headers, &bytes))).0;
    assert!(answer.status < 300, "{line}: {} {}", answer.status, answer.text);
    answer.body
}

fn create(daemon: &Daemon, service: &str, wait: &str) -> Value {
    let headers = [("Content-Type", "application/json"), ("Prefer", wait)];
    ask(daemon, "POST /v1/hooks/create", &headers, &of_own_client(service))
}

/// Waits at this daemon until the operation is over.
fn outlast(daemon: &Daemon, id: &str) -> Value {
    loop {
        let seen = ask(daemon, &format!("GET /v1/operations/{id}?wait=20"), &[], &Value::Null);
        match seen["operation"]["state"].as_str().unwrap() {
            "succeeded" | "failed" | "attention" | "cancelled" => return seen["operation"].clone(),
            _ => {}
        }
    }
}

/// Real processes and the machine's clock, with short leases.
const SHORT: &str = "lease = \"2s\"\nlease_stop = \"1s\"\nlease_renew = \"200ms\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_real_hosts_one_is_killed_and_one_frozen_and_each_hook_has_one_effect() {
    let rig = rig(SHORT);
    rig.panel().arm(Plan::nth_call(1, Fault::Hang { effect: false }));
    let a = Daemon::join(&rig, "a");
    let b = Daemon::join(&rig, "b");
    let c = Daemon::join(&rig, "c");
    let names = |daemon: &Daemon| {
        let hosts = ask(daemon, "GET /v1/hosts", &[], &Value::Null)["items"].clone();
        let rows = hosts.as_array().unwrap().iter();
        rows.map(|host| (host["name"].as_str().unwrap().to_owned(), host["state"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&c), ["a", "b", "c"].map(|name| (name.to_owned(), json!("alive"))));

    // Killed while it asks the panel: its machine shows that it has ended, and another one goes on at once.
    let first = create(&a, "1001", "wait=0")["operation"]["id"].as_str().unwrap().to_owned();
    rig.panel().wait_stalled().await;
    a.kill();
    assert_eq!(outlast(&c, &first)["state"], "succeeded");

    // Frozen while it asks the panel: its lease runs out.
    rig.panel().arm(Plan::nth_call(1, Fault::Hang { effect: false }));
    let second = create(&b, "1002", "wait=0")["operation"]["id"].as_str().unwrap().to_owned();
    rig.panel().wait_stalled().await;
    b.signal("STOP");
    let seen = outlast(&c, &second);
    assert_eq!(seen["state"], "succeeded", "{seen:#}");
    assert_eq!(names(&c)[1].1, "lost");

    // It wakes, finds that it was taken for dead, and ends; which proves its end.
    rig.panel().release();
    b.signal("CONT");
    assert!(!b.ends(), "so that a supervisor starts it again");
    assert_eq!(names(&c)[1].1, "ended");
    assert_eq!(outlast(&c, &second)["attempts"], 2);
    assert_eq!(servers_made(&rig), 2);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    println!("2 hooks, 1 host killed, 1 frozen and woken: 2 servers made, none lost");
    c.stop();
}
