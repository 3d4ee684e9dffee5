//! Many callers at once, and a second client of the panel beside us.

use super::*;
use billhook::store::OperationId;
use billhook_tests::dcimanager::{Fault, Plan, ServerSeed, Theft};

/// Sends these bodies at the same moment, and drives every operation that answered to its end.
async fn all_at_once(host: &Host, hook: Hook, requests: Vec<(Value, Option<String>)>) -> Vec<Operation> {
    let sent = requests.into_iter().map(|(body, key)| async move { host.send_with(hook, body, key.as_deref()).await });
    let mut ids: Vec<OperationId> =
        futures_util::future::join_all(sent).await.into_iter().map(|sent| sent.expect("no hook is refused")).collect();
    ids.sort();
    ids.dedup();
    host.drive_all(&ids).await
}

/// Fifty callers with as many keys as `keys` says; without a key where that is none.
fn fifty(body: &Value, keys: usize) -> Vec<(Value, Option<String>)> {
    (0..50).map(|n| (body.clone(), (keys > 0).then(|| format!("event-{}", n % keys.max(1))))).collect()
}

fn count(rig: &Rig<DciManager>, wanted: fn(u64) -> Effect) -> usize {
    rig.panel().count_effects(|effect| effect.server_id().is_some_and(|id| effect == wanted(id)))
}

/// The panel with the machines of these ids alone.
fn only(ids: &'static [u64]) -> impl FnOnce(&mut Config) {
    move |panel| panel.servers.retain(|server| ids.contains(&server.id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_sell_one_machine() {
    for keys in [0, 1, 50] {
        let rig = Rig::dcimanager();
        let host = rig.host().await;

        let ended = all_at_once(&host, Hook::Create, fifty(&body(Hook::Create, SERVICE), keys)).await;

        assert_eq!(ended.len(), 1, "one operation answers for all");
        assert_eq!(ended[0].state, State::Succeeded, "{ended:#?}");
        assert_eq!((count(&rig, Effect::Claimed), count(&rig, Effect::Installed)), (1, 1));
        assert_eq!(rig.panel().sold().len(), 1);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_happen_once_for_each_key() {
    for (hook, sent, before, effect, times) in [
        (Hook::Suspend, body(Hook::Suspend, SERVICE), None, Effect::Disabled as fn(u64) -> Effect, 1),
        (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE), Some(Hook::Suspend), Effect::Enabled, 1),
        (Hook::Power, power("reboot"), None, Effect::Rebooted, 2),
        (Hook::Reinstall, reinstall(CENTOS), None, Effect::Installed, 3),
        (Hook::Terminate, body(Hook::Terminate, SERVICE), None, Effect::Released, 1),
    ] {
        let (rig, host) = created().await;
        rig.panel().expect_installs(machine(&rig, &host, SERVICE).await.id, 3);
        if let Some(before) = before {
            run(&host, before, body(before, SERVICE)).await;
        }

        for ended in all_at_once(&host, hook, fifty(&sent, 2)).await {
            assert!(matches!(ended.state, State::Succeeded | State::Cancelled), "{hook}: {ended:#?}");
        }

        assert_eq!(count(&rig, effect), times, "{hook}\n{}", trace(&rig));
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_orders_for_the_last_machine_one_gets_it_and_the_other_says_why_not() {
    for clients in [["77", "77"], ["77", "78"]] {
        let rig = Rig::dcimanager_with(prefixed(), only(&[41, 42, 43, 45]));
        rig.panel().expect_accounts(2);
        let host = rig.host().await;
        let order = |service: &str, client: &str| {
            let mut body = body(Hook::Create, service);
            body["service"]["client_id"] = json!(client);
            (body, None)
        };

        let ended = all_at_once(&host, Hook::Create, vec![order("1", clients[0]), order("2", clients[1])]).await;

        let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(|done| done.state == State::Succeeded);
        assert_eq!((won.len(), lost.len()), (1, 1), "{lost:#?}");
        let fault = lost[0].fault.as_ref().unwrap();
        assert_eq!((lost[0].state, fault.class), (State::Attention, FaultClass::Capacity), "{fault}");
        assert_eq!(rig.panel().sold().len(), 1);
        assert_eq!((count(&rig, Effect::Claimed), count(&rig, Effect::Installed)), (1, 1));
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_at_once_get_a_machine_each() {
    let rig = Rig::dcimanager_with(prefixed(), |panel| {
        panel.servers.extend((70..76).map(ServerSeed::free));
    });
    rig.panel().expect_servers(8);
    let host = rig.host().await;
    let services: Vec<String> = (1..=8).map(|n| n.to_string()).collect();

    let orders = services.iter().map(|service| (body(Hook::Create, service), None)).collect();
    let ended = all_at_once(&host, Hook::Create, orders).await;

    assert!(ended.iter().all(|done| done.state == State::Succeeded), "{ended:#?}");
    for service in &services {
        let made = machine(&rig, &host, service).await;
        assert_eq!(made.hostname, format!("svc{service}.example.net"));
        assert_eq!(made.root_password, secret(&host, service, "root_password").await);
    }
    assert_eq!((rig.panel().sold().len(), rig.panel().made_accounts().len()), (8, 1));
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reservation_never_takes_the_neighbours() {
    for (first, second) in [
        (Fault::DropAfterEffect, Fault::DropBeforeEffect),
        (Fault::DropBeforeEffect, Fault::DropAfterEffect),
        (Fault::DropAfterEffect, Fault::DropAfterEffect),
        (Fault::LateEffect { after_ms: 5_000 }, Fault::DropAfterEffect),
    ] {
        let what = format!("{} and {}", first.name(), second.name());
        let rig = Rig::dcimanager_with(prefixed(), |_| {});
        rig.panel().expect_servers(2);
        let host = rig.host().await;
        rig.panel().arm(Plan::on("POST", "server.edit/ok", first));
        rig.panel().arm(Plan::on("POST", "server.edit/ok", second).nth(2));

        let orders = ["1", "2"].map(|service| (body(Hook::Create, service), None)).to_vec();
        let ended = all_at_once(&host, Hook::Create, orders).await;

        assert!(ended.iter().all(|done| done.state == State::Succeeded), "{what}: {ended:#?}");
        let (one, two) = (machine(&rig, &host, "1").await, machine(&rig, &host, "2").await);
        assert_ne!(one.id, two.id, "{what}");
        assert_eq!((&*one.hostname, &*two.hostname), ("svc1.example.net", "svc2.example.net"), "{what}");
        assert_eq!(rig.panel().sold().len(), 2, "{what}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_a_second_client_takes_between_two_calls_is_left_to_it() {
    // After the list: the look at the form shows it. After our writing: the look at our mark does.
    let thefts = [
        ("a stranger after the list", Theft::after("server", 1)),
        ("a stranger after the writing", Theft::after("server.edit/ok", 1)),
        ("one of ours after the list", Theft::after("server", 1).by("whmcs").noting("[svc:other/9 op:zz]")),
        ("one of ours after the writing", Theft::after("server.edit/ok", 1).by("whmcs").noting("[svc:other/9 op:zz]")),
        ("a person after the writing", Theft::after("server.edit/ok", 1).by("operator").noting("for the lab")),
    ];
    for (what, theft) in thefts {
        for machines in [&[42, 44][..], &[42]] {
            let what = format!("{what}, {machines:?}");
            let rig = Rig::dcimanager_with(Setup::default(), only(machines));
            let host = rig.host().await;
            rig.panel().steal(theft.clone());

            let ended = send(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

            assert_eq!(rig.panel().unstolen(), 0, "{what}");
            assert_clean(&rig);
            if ended.state == State::Succeeded {
                assert_eq!(machines.len(), 2, "{what}: there was no other");
                assert_eq!(rig.panel().sold().len(), 1, "{what}");
            } else {
                assert_eq!((ended.state, machines.len()), (State::Attention, 1), "{what}: {ended:#?}");
                assert_eq!(ended.fault.unwrap().class, FaultClass::Capacity, "{what}");
                assert!(rig.panel().held().is_empty(), "{what}");
            }
            assert_eq!(count(&rig, Effect::Installed), machines.len() - 1, "{what}");
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_taken_away_during_the_preparation_is_not_installed_or_handed_over() {
    for (call, nth) in
        [("server.poweron", 1), ("iplist.edit/ok", 1), ("iplist.edit/new", 1), ("server.operations/ok", 1)]
    {
        let rig = Rig::dcimanager_with(product("IP = 1\n"), |_| {});
        let host = rig.host().await;
        rig.panel().steal(Theft::after(call, nth));

        let ended = send(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

        assert_eq!(rig.panel().unstolen(), 0, "{call}");
        assert_ne!(ended.state, State::Succeeded, "{call}: {ended:#?}");
        assert!(rig.panel().sold().is_empty(), "{call}");
        assert_clean(&rig);
        host.stop().await;
    }
}
