//! Many callers at the same moment.

use super::*;
use billhook::store::OperationId;
use billhook_tests::solidcp::{Fault, Plan};

/// Sends these bodies at the same moment, and drives every operation that answered to its end.
async fn all_at_once(host: &Host, hook: Hook, requests: Vec<(Value, Option<String>)>) -> Vec<OperationId> {
    let sent = requests.into_iter().map(|(body, key)| async move { host.send_with(hook, body, key.as_deref()).await });
    let mut ids: Vec<OperationId> =
        futures_util::future::join_all(sent).await.into_iter().map(|sent| sent.expect("no hook is refused")).collect();
    ids.sort();
    ids.dedup();
    for ended in host.drive_all(&ids).await {
        assert!(matches!(ended.state, State::Succeeded | State::Cancelled), "{ended:#?}");
    }
    ids
}

/// Fifty callers with as many keys as `keys` says.
fn fifty(hook: Hook, keys: usize) -> Vec<(Value, Option<String>)> {
    (0..50).map(|n| (body(hook, SERVICE), (keys > 0).then(|| format!("event-{}", n % keys.max(1))))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_make_one_machine() {
    for keys in [0, 1, 50] {
        let rig = rig(setup(), |_| {});
        let host = rig.host().await;

        let ids = all_at_once(&host, Hook::Create, fifty(Hook::Create, keys)).await;

        assert_eq!(ids.len(), 1, "one operation answers for all");
        let made = [
            count(&rig, |effect| matches!(effect, Effect::UserAdded(_))),
            count(&rig, |effect| matches!(effect, Effect::SpaceAdded(_))),
            count(&rig, |effect| matches!(effect, Effect::MachineCreated(_))),
        ];
        assert_eq!(made, [1, 1, 1]);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_at_once_are_one_switch() {
    for (hook, before, effect) in [
        (Hook::Suspend, None, (|effect| matches!(effect, Effect::SpaceStatus(_, 2))) as fn(Effect) -> bool),
        (Hook::Unsuspend, Some(Hook::Suspend), |effect| matches!(effect, Effect::SpaceStatus(_, 1))),
        (Hook::Terminate, None, |effect| matches!(effect, Effect::SpaceDeleted(_))),
    ] {
        let (rig, host) = created().await;
        if let Some(before) = before {
            run(&host, before).await;
        }

        all_at_once(&host, hook, fifty(hook, 50)).await;

        assert_eq!(count(&rig, effect), 1, "{hook}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_wanted_twice_happens_once_for_each_key() {
    for (hook, effect) in [
        (Hook::Power, (|effect| matches!(effect, Effect::Powered(..))) as fn(Effect) -> bool),
        (Hook::Reinstall, |effect| matches!(effect, Effect::Reinstalled(_))),
    ] {
        let (rig, host) = created().await;

        let ids = all_at_once(&host, hook, fifty(hook, 2)).await;

        assert_eq!((ids.len(), count(&rig, effect)), (2, 2), "{hook}");
        assert_clean(&rig);
        host.stop().await;
    }
}

/// The panel gives one address to two who ask at the same moment, whether they ask for it or get it with their space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_at_once_never_share_an_address() {
    for (assigns_addresses, call) in [(false, "AllocatePackageIPAddresses"), (true, "AddPackageWithResources")] {
        let rig = rig(setup(), |panel| panel.knobs.assigns_addresses = assigns_addresses);
        let host = rig.host().await;
        rig.panel().expect_services(4);
        // The first is held by the panel, with its work done, while the others come.
        rig.panel().arm(Plan::on("POST", call, Fault::Hang { effect: true }));

        let mut ids = Vec::new();
        for service in ["1", "2", "3", "4"] {
            ids.push(host.send(Hook::Create, body(Hook::Create, service)).await.unwrap());
        }
        let ended = host.drive_all(&ids).await;

        assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{call}: {ended:#?}");
        let mut addresses: Vec<String> =
            rig.panel().machines().into_iter().flat_map(|machine| machine.addresses).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 4, "{call}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_order_never_takes_the_neighbours() {
    for (first, second) in [
        (Fault::DropAfterEffect, Fault::DropBeforeEffect),
        (Fault::DropBeforeEffect, Fault::DropAfterEffect),
        (Fault::LateEffect { after_ms: 5_000 }, Fault::DropAfterEffect),
    ] {
        for call in ["AddPackageWithResources", "CreateNewVirtualMachine"] {
            let what = format!("{call}: {} and {}", first.name(), second.name());
            let rig = rig(setup(), |_| {});
            let host = rig.host().await;
            rig.panel().expect_services(2);
            rig.panel().arm(Plan::on("POST", call, first));
            rig.panel().arm(Plan::on("POST", call, second).nth(2));
            let mut large = body(Hook::Create, "2");
            large["product"] = json!({ "id": "vps-large" });

            let one = host.send(Hook::Create, body(Hook::Create, "1")).await.unwrap();
            let two = host.send(Hook::Create, large).await.unwrap();
            let ended = host.drive_all(&[one, two]).await;

            assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{what}: {ended:#?}");
            let mut sizes: Vec<(i32, usize)> =
                rig.panel().machines().iter().map(|machine| (machine.ram_mb, machine.addresses.len())).collect();
            sizes.sort_unstable();
            assert_eq!(sizes, [(4096, 1), (8192, 1)], "{what}");
            assert_clean(&rig);
            host.stop().await;
        }
    }
}
