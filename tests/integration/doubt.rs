//! Doubt that meets a second accident.

use crate::loader::bench::Bench;
use crate::loader::edit::Plugin;
use billhook::operation::{Effects, State};
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::harness::{Rig, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan};

fn servers_made(rig: &Rig) -> usize {
    rig.panel().count_effects(|effect| matches!(effect, Effect::ServerCreated(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_for_the_second_sending_proves_nothing_of_the_first() {
    let rig = Rig::new();
    let host = rig.host().await;
    // The panel is slower than it ever should be: the first order comes true when the host has just given up on it.
    rig.panel().arm(Plan::on("POST", "/servers", Fault::LateEffect { after_ms: 155_000 }));
    rig.panel().arm(Plan::on("POST", "/servers", Fault::TooMany { retry_after_s: Some(30) }).nth(2));

    let created = host.run(Hook::Create, "1007").await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(rig.panel().unfired(), 0, "both accidents happened");
    assert_eq!(servers_made(&rig), 1);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_lost_twice_is_still_one_server() {
    for (first, second) in [
        (Fault::DropBeforeEffect, Fault::DropAfterEffect),
        (Fault::StatusBeforeEffect(502), Fault::LateEffect { after_ms: 5_000 }),
        (Fault::LateEffect { after_ms: 5_000 }, Fault::DropAfterEffect),
        (Fault::Html200BeforeEffect, Fault::Garbage),
    ] {
        let rig = Rig::new();
        let host = rig.host().await;
        rig.panel().arm(Plan::on("POST", "/servers", first));
        rig.panel().arm(Plan::on("POST", "/servers", second).nth(2));

        let created = host.run(Hook::Create, "1007").await;

        assert_eq!(created.state, State::Succeeded, "{} then {}: {created:#?}", first.name(), second.name());
        assert_eq!(servers_made(&rig), 1, "{} then {}", first.name(), second.name());
        assert_eq!(rig.panel().check(), Vec::<String>::new());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_runs_out_is_shown_to_a_person_who_may_let_it_go_on() {
    let rig = Rig::new();
    rig.panel().tune(|knobs| knobs.build_ms = 5_000_000);
    let host = rig.host().await;

    let stuck = host.run(Hook::Create, "1007").await;
    assert_eq!(stuck.state, State::Attention, "{stuck:#?}");
    host.engine.decide(&stuck.id, &billhook::engine::Decision::Retry, "uid 0").await.unwrap();
    let stuck = host.drive(&stuck.id).await;
    assert_eq!(stuck.state, State::Attention, "another half hour");
    host.engine.decide(&stuck.id, &billhook::engine::Decision::Retry, "uid 0").await.unwrap();
    let created = host.drive(&stuck.id).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(servers_made(&rig), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_suspend_keeps_the_service_still_until_it_cannot_come_late() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;
    // The suspend is lost and comes true later; the customer has paid meanwhile.
    rig.panel().arm(Plan::on("POST", "/servers/{server}/suspend", Fault::LateEffect { after_ms: 50_000 }));
    let suspend = host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await.unwrap();
    host.rest().await;
    let unsuspend = host.send(Hook::Unsuspend, body(Hook::Unsuspend, "1007")).await.unwrap();

    let ended = host.drive_all(&[suspend, unsuspend]).await;

    assert_eq!(ended[1].state, State::Succeeded, "{ended:#?}");
    assert!(!rig.panel().servers()[0].suspended, "the last word is the platform's");
    host.stop().await;
}

/// Nothing of it can have reached the panel: no person need look there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_a_method_that_is_none_has_never_left() {
    let mut bench = Bench::new();
    bench.install("fixture", &Plugin::good());
    bench.server("good", "fixture", "garbles = true");
    let host = bench.start().await;

    let id = host.create("good", "1007").await;
    let ended = host.drive(&id).await;

    assert_eq!((ended.state, ended.effects), (State::Failed, Effects::default()), "{ended:#?}");
    assert_eq!(ended.fault.map(|fault| fault.class), Some(FaultClass::PluginBug));
    host.stop().await;
}
