//! Many callers at the same moment: one effect where the event is a state, one for each key where it is an order.

use super::*;
use billhook::store::OperationId;

/// Sends these bodies at the same moment, each under its key, and drives every operation that answered to its end.
async fn at_once(host: &Host, hook: Hook, requests: Vec<(Value, String)>) -> Vec<Operation> {
    let sent = requests.into_iter().map(|(body, key)| async move {
        host.send_with(hook, body, Some(&key)).await.unwrap_or_else(|problem| panic!("{hook} is refused: {problem}"))
    });
    let mut ids: Vec<OperationId> = futures_util::future::join_all(sent).await;
    ids.sort();
    ids.dedup();
    host.drive_all(&ids).await
}

fn fifty(body: &Value, keys: usize) -> Vec<(Value, String)> {
    (0..50).map(|n| (body.clone(), format!("event-{}", n % keys))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_make_one_site() {
    for keys in [1, 50] {
        let rig = Rig::apiscp();
        let host = rig.host().await;

        let ended = at_once(&host, Hook::Create, fifty(&body(Hook::Create, SERVICE), keys)).await;

        assert_eq!(ended.len(), 1, "one operation answers for all");
        assert_eq!((ended[0].state, rig.panel().sites().len()), (State::Succeeded, 1));
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_services_for_one_domain_one_has_it_and_the_other_is_told() {
    let rig = Rig::apiscp();
    let host = rig.host().await;
    let order = |service: &str| {
        let mut order = body(Hook::Create, service);
        order["service"]["domain"] = json!(DOMAIN);
        (order, format!("event-{service}"))
    };

    let ended = at_once(&host, Hook::Create, vec![order("1"), order("2")]).await;

    let (won, lost): (Vec<_>, Vec<_>) = ended.iter().partition(|operation| operation.state == State::Succeeded);
    assert_eq!((won.len(), lost.len()), (1, 1), "{ended:#?}");
    assert_eq!(lost[0].fault.as_ref().unwrap().class, FaultClass::AlreadyExists, "{lost:#?}");
    assert_eq!(rig.panel().sites().len(), 1);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_services_have_thirty_sites() {
    let rig = Rig::apiscp();
    let host = rig.host().await;
    rig.panel().expect_sites(30);
    let orders = (0..30).map(|n| (body(Hook::Create, &format!("{}", 2_000 + n)), format!("event-{n}")));

    let ended = at_once(&host, Hook::Create, orders.collect()).await;

    assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{ended:#?}");
    for site in rig.panel().sites() {
        let id = site.domain.trim_start_matches("svc").split('.').next().unwrap().to_owned();
        assert_eq!(host.service(&id).await.unwrap().remote_id, Some(site.name()));
        assert_eq!(site.invoice, Some(format!("billhook-shop-{id}")));
    }
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_times_a_state_is_one_change() {
    type Wanted = fn(Effect) -> bool;
    for (hook, asked, before, wanted) in [
        (
            Hook::Suspend,
            body(Hook::Suspend, SERVICE),
            None,
            (|effect| matches!(effect, Effect::Suspended(_))) as Wanted,
        ),
        (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE), Some(Hook::Suspend), |effect| {
            matches!(effect, Effect::Activated(_))
        }),
        (Hook::ChangePackage, package("vps-large"), None, |effect| matches!(effect, Effect::PlanChanged(_))),
        (Hook::ChangePassword, password(), None, |effect| matches!(effect, Effect::PasswordSet(_))),
        (Hook::Terminate, body(Hook::Terminate, SERVICE), None, |effect| matches!(effect, Effect::Deleted(_))),
    ] {
        let (rig, host) = started().await;
        if let Some(before) = before {
            run(&host, before, body(before, SERVICE), "before").await;
        }

        let ended = at_once(&host, hook, fifty(&asked, 50)).await;

        // A terminate that comes when the service has ended already finds nothing to end, and says so.
        let is_late = |operation: &Operation| {
            hook == Hook::Terminate && operation.fault.as_ref().is_some_and(|fault| fault.class == FaultClass::NotFound)
        };
        assert!(
            ended.iter().all(|operation| {
                matches!(operation.state, State::Succeeded | State::Cancelled) || is_late(operation)
            }),
            "{hook}: {ended:#?}"
        );
        assert!(ended.iter().any(|operation| operation.state == State::Succeeded), "{hook}: {ended:#?}");
        assert_eq!(count(&rig, wanted), 1, "{hook}");
        finish(&rig, host).await;
    }
}
