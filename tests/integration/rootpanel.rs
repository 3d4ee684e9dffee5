//! ROOTPANEL's hooks through the host: on a healthy panel, by many callers at once, and where the panel puts off what it
//! has accepted.

use billhook::operation::State;
use billhook::store::{Operation, OperationId};
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Host, Rig, Setup, body};
use billhook_tests::rootpanel::{Dates, Effect, Fault, Money, OrderSeed, Plan, RootPanel, Scalars};
use serde_json::{Value, json};

fn count(rig: &Rig<RootPanel>, wanted: fn(u64) -> Effect) -> usize {
    rig.panel().count_effects(|effect| effect.order_id().is_some_and(|id| effect == wanted(id)))
}

#[track_caller]
fn assert_clean(rig: &Rig<RootPanel>) {
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    assert_eq!(rig.panel().check(), Vec::<String>::new());
}

async fn run(host: &Host, hook: Hook) -> Operation {
    let done = host.run(hook, "1007").await;
    assert_eq!(done.state, State::Succeeded, "{hook}: {done:#?}");
    done
}

/// A created service.
async fn created() -> (Rig<RootPanel>, Host) {
    let rig = Rig::rootpanel();
    let host = rig.host().await;
    run(&host, Hook::Create).await;
    (rig, host)
}

/// Every changing hook once, in every way in which a panel may write its answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_service_reaches_the_panel_whatever_its_answers_look_like() {
    let looks = [
        (Scalars::Strings, false, Dates::Iso, false, None),
        (Scalars::Numbers, true, Dates::Unix, true, None),
        (Scalars::Mixed, true, Dates::Dotted, true, Some("php")),
        (Scalars::Numbers, false, Dates::IsoTime, false, Some("php")),
    ];
    for (scalars, keyed_lists, dates, is_wrapped, format) in looks {
        let settings = format.map(|format| format!("format = \"{format}\""));
        let rig = Rig::rootpanel_with(Setup { settings, ..Setup::default() }, |panel| {
            let manners = &mut panel.knobs.manners;
            (manners.scalars, manners.keyed_lists, manners.dates, manners.is_wrapped) =
                (scalars, keyed_lists, dates, is_wrapped);
        });
        let host = rig.host().await;
        let order = || rig.panel().orders().pop().unwrap();

        run(&host, Hook::Create).await;
        assert_eq!(order().status, 1);
        let service = host.service("1007").await.unwrap();
        assert_eq!(service.remote_id, Some(order().id.to_string()));
        let first_password = order().password;
        run(&host, Hook::Suspend).await;
        assert!(order().suspended);
        run(&host, Hook::Unsuspend).await;
        assert!(!order().suspended);
        let paid_until = order().paid_until;
        run(&host, Hook::Renew).await;
        assert!(order().paid_until > paid_until);
        run(&host, Hook::OrderAddons).await;
        assert_eq!(order().addons, [7, 9]);
        run(&host, Hook::Power).await;
        run(&host, Hook::Reinstall).await;
        assert_ne!(order().password, first_password);
        assert_eq!(order().status, 1);
        let ended = run(&host, Hook::Terminate).await;
        assert!(order().suspended);
        assert_eq!(ended.outcome.unwrap()["gone"], json!(false));

        // The order, a month, and the add-on for what was left.
        assert_eq!(rig.panel().charges().len(), 3);
        assert_clean(&rig);
        host.stop().await;
    }
}

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

/// Fifty callers with as many keys as `keys` says, one without a key among them.
fn fifty(hook: Hook, keys: usize) -> Vec<(Value, Option<String>)> {
    (0..50).map(|n| (body(hook, "1007"), (keys > 0).then(|| format!("event-{}", n % keys.max(1))))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_creates_order_one_server() {
    for keys in [0, 1, 50] {
        let rig = Rig::rootpanel();
        let host = rig.host().await;

        let ids = all_at_once(&host, Hook::Create, fifty(Hook::Create, keys)).await;

        assert_eq!(ids.len(), 1, "one operation answers for all");
        assert_eq!(count(&rig, Effect::Ordered), 1);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_renews_to_one_date_are_paid_once() {
    for keys in [0, 50] {
        let (rig, host) = created().await;

        let ids = all_at_once(&host, Hook::Renew, fifty(Hook::Renew, keys)).await;

        assert_eq!(ids.len(), 1);
        assert_eq!(count(&rig, Effect::Renewed), 1);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_at_once_are_one_switch() {
    for (hook, before, effect) in [
        (Hook::Suspend, None, Effect::Suspended as fn(u64) -> Effect),
        (Hook::Unsuspend, Some(Hook::Suspend), Effect::Unsuspended),
        (Hook::Terminate, None, Effect::Suspended),
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
        (Hook::OrderAddons, Effect::AddonsOrdered as fn(u64) -> Effect),
        (Hook::Power, Effect::Rebooted),
        (Hook::Reinstall, Effect::Reinstalled),
    ] {
        let (rig, host) = created().await;
        rig.panel().expect_addons(rig.panel().orders()[0].id, 2);

        let ids = all_at_once(&host, hook, fifty(hook, 2)).await;

        assert_eq!((ids.len(), count(&rig, effect)), (2, 2), "{hook}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_order_never_takes_the_neighbours() {
    for (first, second) in [
        (Fault::DropAfterEffect, Fault::DropBeforeEffect),
        (Fault::DropBeforeEffect, Fault::DropAfterEffect),
        (Fault::DropAfterEffect, Fault::DropAfterEffect),
        (Fault::LateEffect { after_ms: 5_000 }, Fault::DropAfterEffect),
    ] {
        let what = format!("{} and {}", first.name(), second.name());
        let rig = Rig::rootpanel();
        let host = rig.host().await;
        rig.panel().expect_orders("reseller", 2);
        rig.panel().arm(Plan::on("POST", "createOrder", first));
        rig.panel().arm(Plan::on("POST", "createOrder", second).nth(2));
        let mut large = body(Hook::Create, "2");
        large["product"] = json!({ "id": "vps-large" });

        let one = host.send(Hook::Create, body(Hook::Create, "1")).await.unwrap();
        let two = host.send(Hook::Create, large).await.unwrap();
        let ended = host.drive_all(&[one, two]).await;

        assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{what}: {ended:#?}");
        for (service, addons) in [("1", &[7][..]), ("2", &[9, 9, 8])] {
            let id = host.service(service).await.unwrap().remote_id.unwrap();
            let order = rig.panel().orders().into_iter().find(|order| order.id.to_string() == id).unwrap();
            assert_eq!(order.addons, addons, "{what}: service {service} has what it ordered");
        }
        assert_eq!(count(&rig, Effect::Ordered), 2, "{what}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_there_before_is_never_taken_for_the_lost_one() {
    let rig = Rig::rootpanel();
    let host = rig.host().await;
    let seed = OrderSeed { login: "reseller".into(), plan_id: 12, ours: false };
    let theirs = rig.panel().seed_order(seed);
    rig.panel().arm(Plan::on("POST", "createOrder", Fault::DropBeforeEffect));

    run(&host, Hook::Create).await;

    assert_ne!(host.service("1007").await.unwrap().remote_id, Some(theirs.to_string()));
    assert_eq!(count(&rig, Effect::Ordered), 1);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_money_nothing_is_ordered_unless_the_product_says_so() {
    let empty = |panel: &mut billhook_tests::rootpanel::Config| panel.users[0].balance = Money::cents(948);
    let rig = Rig::rootpanel_with(Setup::default(), empty);
    let host = rig.host().await;
    let refused = host.run(Hook::Create, "1007").await;
    assert_eq!(refused.state, State::Failed, "{refused:#?}");
    assert_eq!(refused.fault.unwrap().class, billhook_plugin_api::FaultClass::InsufficientFunds);
    assert!(rig.panel().calls_to("POST", "createOrder").is_empty());
    host.stop().await;

    let product = "tarifid = 12\nperiod = 1\nosid = 7\nallow_unpaid_orders = true\n".to_owned();
    let rig = Rig::rootpanel_with(Setup { product: Some(product), ..Setup::default() }, empty);
    let host = rig.host().await;
    let put_off = run(&host, Hook::Create).await;
    assert!(put_off.outcome.unwrap()["pending"].is_string());
    assert!(rig.panel().charges().is_empty());

    // The customer of the panel pays; a poll sees what becomes of it.
    rig.panel().top_up("reseller", Money::cents(100));
    while host.service("1007").await.unwrap().pending.is_some() {
        host.pass_time().await;
    }
    assert_eq!(rig.panel().orders()[0].status, 1);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_left_to_staff_without_an_id_is_known_once_it_is_listed_and_blocks_no_other_for_ever() {
    let rig = Rig::rootpanel_with(Setup::default(), |panel| {
        panel.knobs.by_hand = true;
        panel.knobs.names_put_off_orders = false;
        panel.knobs.lists_put_off_orders = false;
    });
    let host = rig.host().await;
    rig.panel().expect_orders("reseller", 2);
    let first = host.send(Hook::Create, body(Hook::Create, "1")).await.unwrap();
    host.rest().await;
    assert_eq!(host.operation(&first).await.state, State::Waiting);
    let second = host.send(Hook::Create, body(Hook::Create, "2")).await.unwrap();
    for _ in 0..3 {
        host.pass_time().await;
    }
    assert_eq!(count(&rig, Effect::Ordered), 1, "while one order has no id, no other is placed");

    rig.panel().tune(|knobs| knobs.by_hand = false);
    rig.panel().handle(rig.panel().orders()[0].id);
    let ended = host.drive_all(&[first, second]).await;

    assert!(ended.iter().all(|operation| operation.state == State::Succeeded), "{ended:#?}");
    let (one, two) = (host.service("1").await.unwrap().remote_id, host.service("2").await.unwrap().remote_id);
    assert!(one.is_some() && two.is_some() && one != two, "{one:?} {two:?}");
    assert_eq!(count(&rig, Effect::Ordered), 2);
    assert_clean(&rig);
    host.stop().await;
}
