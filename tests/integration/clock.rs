//! The wall clock is set while hooks wait, are due and are tried again: nothing is early, doubled, stuck or given up for that.

use billhook::clock::Clock as _;
use billhook::operation::State;
use billhook::store::OperationId;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Host, Rig, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan};
use std::time::Duration;

const HOUR: i64 = 3_600_000;

/// By how much it is set.
const JUMPS: [i64; 4] = [HOUR, -HOUR, 24 * HOUR, -24 * HOUR];

/// Longer than anything here takes, by far less than a jump.
const PATIENCE: Duration = Duration::from_secs(1_800);

fn jump(rig: &Rig, by: i64) {
    rig.clock.set_wall(rig.clock.unix_ms().checked_add_signed(by).unwrap());
}

/// Drives it to its end, within the time that this takes whatever the wall clock shows.
async fn end(rig: &Rig, host: &Host, id: &OperationId, by: i64) {
    let from = rig.clock.monotonic();
    let ended = host.drive(id).await;
    assert_eq!(ended.state, State::Succeeded, "{by}: {ended:#?}");
    assert!(rig.clock.monotonic() - from < PATIENCE, "{by}: it took {:?}", rig.clock.monotonic() - from);
}

fn servers_made(rig: &Rig) -> usize {
    rig.panel().count_effects(|effect| matches!(effect, Effect::ServerCreated(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_again_is_tried_at_its_time() {
    for by in JUMPS {
        let rig = Rig::new();
        let host = rig.host().await;
        for n in 1..=2 {
            rig.panel().arm(Plan::on("POST", "/servers", Fault::TooMany { retry_after_s: Some(300) }).nth(n));
        }
        let create = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
        host.rest().await;
        assert_eq!(host.operation(&create).await.state, State::Waiting);
        let due = host.engine.next_due().unwrap();

        jump(&rig, by);
        // Somebody looks at the service meanwhile.
        let console = host.send(Hook::Renew, body(Hook::Renew, "1007")).await;
        host.rest().await;

        let waits = host.operation(&create).await;
        assert_eq!((waits.state, waits.run), (State::Waiting, 1), "{by}: early");
        assert!(host.engine.next_due().unwrap() <= due, "{by}");
        assert!(rig.clock.monotonic() < due);
        end(&rig, &host, &create, by).await;
        drop(console);
        assert_eq!((servers_made(&rig), rig.panel().unfired()), (1, 0), "{by}");
        assert_eq!(rig.panel().check(), Vec::<String>::new());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_panel_neither_runs_out_nor_sleeps_on() {
    for by in JUMPS {
        let rig = Rig::new();
        let host = rig.host().await;
        let create = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
        host.rest().await;
        assert_eq!(host.operation(&create).await.state, State::Waiting);

        jump(&rig, by);

        end(&rig, &host, &create, by).await;
        assert_eq!(servers_made(&rig), 1);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_doubt_is_looked_for_and_not_sent_twice() {
    for by in JUMPS {
        for fault in [Fault::DropAfterEffect, Fault::LateEffect { after_ms: 50_000 }] {
            let rig = Rig::new();
            let host = rig.host().await;
            rig.panel().arm(Plan::on("POST", "/servers", fault));
            let create = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
            host.rest().await;

            jump(&rig, by);

            end(&rig, &host, &create, by).await;
            assert_eq!((servers_made(&rig), rig.panel().unfired()), (1, 0), "{by} {}", fault.name());
            assert_eq!(rig.panel().check(), Vec::<String>::new());
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_set_while_no_host_was_there_holds_nobody_up() {
    for by in JUMPS {
        let rig = Rig::new();
        rig.panel().expect_servers("77", 2);
        let host = rig.host().await;
        rig.panel().arm(Plan::on("POST", "/servers", Fault::TooMany { retry_after_s: Some(300) }));
        let retried = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
        host.rest().await;
        let built = host.send(Hook::Create, body(Hook::Create, "1008")).await.unwrap();
        host.rest().await;
        host.stop().await;

        jump(&rig, by);

        let host = rig.host().await;
        for id in [&retried, &built] {
            let from = rig.clock.monotonic();
            let ended = host.drive(id).await;
            // A wait of an earlier host may be over by the clock: then a person is asked, and nothing is sent twice.
            let over = by > 0 && ended.state == State::Attention && ended.reason.is_some();
            assert!(ended.state == State::Succeeded || over, "{by}: {ended:#?}");
            assert!(rig.clock.monotonic() - from < PATIENCE, "{by}: it took {:?}", rig.clock.monotonic() - from);
        }
        assert!(servers_made(&rig) <= 2);
        assert_eq!(rig.panel().check(), Vec::<String>::new());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_later_stands_later_whatever_the_clock_shows() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;
    let mut ids = Vec::new();
    for by in JUMPS {
        for _ in 0..2 {
            let key = format!("reboot-{}", ids.len());
            ids.push(host.send_with(Hook::Power, body(Hook::Power, "1007"), Some(&key)).await.unwrap());
            jump(&rig, by);
        }
    }
    assert!(ids.is_sorted_by(|a, b| a.0 < b.0), "{ids:?}");
    let ended = host.drive_all(&ids).await;
    assert!(ended.iter().all(|one| one.state == State::Succeeded), "{ended:#?}");
    assert!(ended.is_sorted_by_key(|one| one.seq));
    host.stop().await;
}
