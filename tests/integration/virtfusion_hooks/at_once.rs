//! Many callers at the same moment: one effect where the event is a state, one for each key where it is an order.

use super::*;

/// Sends the same hook under so many keys at the same moment, and drives every operation to its end.
async fn at_once(host: &Host, hook: Hook, body: &Value, keys: usize) {
    let sent = (0..keys).map(|n| async move {
        let key = format!("{hook}-{n}");
        match host.send_with(hook, body.clone(), Some(&key)).await {
            Ok(id) => id,
            Err(problem) => panic!("{hook} is refused: {problem}"),
        }
    });
    let ids = futures_util::future::join_all(sent).await;
    for ended in host.drive_all(&ids).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_changes_to_one_package_are_one() {
    let (rig, host) = started().await;
    at_once(&host, Hook::ChangePackage, &package("vps-custom"), 50).await;
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::PackageChanged(_))), 1);
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::Modified(_))), 2);
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::AddressesAdded(_))), 1);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_stops_are_one_and_so_are_fifty_starts() {
    let (rig, host) = started().await;
    for (n, action) in [(1, PowerAction::Stop), (2, PowerAction::Start), (3, PowerAction::Shutdown)] {
        let body = power(action);
        let sent = (0..50).map(|key| host.send_with(Hook::Power, body.clone(), Some(format!("{action}-{key}").leak())));
        let ids: Vec<_> = futures_util::future::join_all(sent).await.into_iter().map(Result::unwrap).collect();
        host.drive_all(&ids).await;
        assert_eq!(count(&rig, |effect| matches!(effect, Effect::PowerQueued(_))), n, "{action}");
    }
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_each_key_is_carried_out() {
    const KEYS: usize = 5;
    for (hook, body, wanted) in [
        (Hook::OrderAddons, addons(), (|effect| matches!(effect, Effect::TrafficAdded(_))) as fn(Effect) -> bool),
        (Hook::OrderAddons, addons(), |effect| matches!(effect, Effect::AddressesAdded(_))),
        (Hook::ChangePassword, password("root"), |effect| matches!(effect, Effect::PasswordReset(_))),
        (Hook::ChangePassword, password("account"), |effect| matches!(effect, Effect::UserChanged(_))),
        (Hook::Power, power(PowerAction::Reboot), |effect| matches!(effect, Effect::PowerQueued(_))),
        // The create built it once already.
        (Hook::Reinstall, reinstall(), |effect| matches!(effect, Effect::BuildQueued(_))),
    ] {
        let (rig, host) = started().await;
        let before = count(&rig, wanted);
        at_once(&host, hook, &body, KEYS).await;
        assert_eq!(count(&rig, wanted) - before, KEYS, "{hook}");
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_event_however_often_it_comes() {
    for (hook, body, wanted) in [
        (Hook::OrderAddons, addons(), (|effect| matches!(effect, Effect::TrafficAdded(_))) as fn(Effect) -> bool),
        (Hook::ChangePassword, password("root"), |effect| matches!(effect, Effect::PasswordReset(_))),
        (Hook::Power, power(PowerAction::Reset), |effect| matches!(effect, Effect::PowerQueued(_))),
        (Hook::Power, power(PowerAction::Reboot), |effect| matches!(effect, Effect::PowerQueued(_))),
        (Hook::Reinstall, reinstall(), |effect| matches!(effect, Effect::BuildQueued(_))),
    ] {
        let (rig, host) = started().await;
        let before = count(&rig, wanted);
        let sent = (0..50).map(|_| host.send_with(hook, body.clone(), Some("event-1")));
        let mut ids: Vec<_> = futures_util::future::join_all(sent).await.into_iter().map(Result::unwrap).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{hook}");
        host.drive_all(&ids).await;
        let is_reset = body["power"] == "reset";
        assert_eq!(count(&rig, wanted) - before, if is_reset { 2 } else { 1 }, "{body}");
        finish(&rig, host).await;
    }
}
