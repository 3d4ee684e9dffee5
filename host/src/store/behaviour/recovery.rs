//! What a host finds that comes after a dead one.

use super::samples::*;
use crate::journal::{Doubt, DoubtCause, Kind, Stage};
use crate::operation::State;
use crate::store::model::*;
use billhook_plugin_api::Hook;

on_both![
    what_was_answered_is_there_after_a_drop_without_close,
    what_a_dead_host_was_running_is_queued_and_its_steps_are_doubted,
    many_are_rescued_while_hooks_are_served,
    a_run_that_ended_without_a_word_is_taken_up_again,
];

async fn what_was_answered_is_there_after_a_drop_without_close(on: On) {
    let (place, store) = store(on).await;
    running(&store, "1", "42").await;
    drop(store);

    let store = place.open().await;

    assert_eq!(state(&store, "1").await, State::Running);
    assert!(store.taken(&id("1")).await.unwrap().is_some());
}

async fn what_a_dead_host_was_running_is_queued_and_its_steps_are_doubted(on: On) {
    let (place, store) = store(on).await;
    running(&store, "1", "41").await;
    store.begin(begin("1", 1, "server")).await.unwrap();
    let looked = Doubt { looks: 2, waited_ms: 70, why: DoubtCause::ReplyLost, ..Doubt::default() };
    let mut again = begin("1", 1, "disk");
    (again.position, again.entry.doubt) = (1, Some(looked));
    store.begin(again).await.unwrap();
    let mut record = begin("1", 1, "password");
    (record.position, record.entry.kind) = (2, Kind::Record);
    store.begin(record).await.unwrap();
    let touching = ClaimMark { touches: true, ..mark() };
    let suspend = NewOperation { hook: Hook::Suspend, claim: Some(touching), ..new("2", "42") };
    store.accept(suspend).await.unwrap();
    running(&store, "3", "43").await;
    store.accept(new("4", "44")).await.unwrap();
    let attempt = Attempt { owner: "op_1".into(), run: 1, started_at: NOW, ended_at: None, end: None, fault: None };
    store.record(Evidence { attempts: vec![attempt], ..Evidence::default() });
    store.close().await;

    let store = place.open().await;
    running(&store, "5", "45").await;
    let mut rescued = store.rescue(NOW + 7, |server| if server == "vf1" { 60_000 } else { 1 }).await.unwrap();
    rescued.sort();

    assert_eq!(rescued, [id("1"), id("2"), id("3")]);
    assert_eq!(state(&store, "5").await, State::Running, "ours is alive");
    let first = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!((first.state, first.active, first.effects), (State::Queued, true, DOUBT));
    let journal = store.journal(&id("1")).await.unwrap();
    let stages: Vec<_> = journal.iter().map(|entry| (entry.stage, entry.doubt)).collect();
    let fresh = Doubt { why: DoubtCause::HostEnded, by: store.host_number(), ..Doubt::default() };
    assert_eq!(stages, [(Stage::Doubted, Some(fresh)), (Stage::Doubted, Some(looked)), (Stage::Begun, None)]);
    for (service, unsettled) in [("41", 0), ("42", 60_000), ("43", 0)] {
        assert_eq!(store.service(&key(service)).await.unwrap().unwrap().unsettled_ms, unsettled, "{service}");
    }
    let (row, detail) = store.log_detail("op_1").await.unwrap().unwrap();
    assert_eq!(row.state, State::Queued);
    assert_eq!((detail.attempts[0].end.as_deref(), detail.attempts[0].ended_at), (Some("lost"), Some(NOW + 7)));
    assert!(store.rescue(NOW, |_| 0).await.unwrap().is_empty());
    assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));
}

async fn many_are_rescued_while_hooks_are_served(on: On) {
    let (place, store) = store(on).await;
    let all = (0..450).map(|n| {
        let new = NewOperation { claim: Some(mark()), ..new(&format!("{n}"), &format!("{n}")) };
        store.accept(new)
    });
    futures_util::future::join_all(all).await;
    store.close().await;

    let store = place.open().await;
    let (rescued, accepted) = tokio::join!(store.rescue(NOW, |_| 0), store.accept(new("x", "x")));

    assert_eq!(rescued.unwrap().len(), 450);
    assert!(matches!(accepted, Ok(Accepted::Stored { .. })));
    assert!(store.commits() >= 3, "in several commits");
}

async fn a_run_that_ended_without_a_word_is_taken_up_again(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "41").await;
    store.begin(begin("1", 1, "server")).await.unwrap();
    running(&store, "2", "42").await;

    assert!(!store.reclaim(&id("1"), 2, 60_000, NOW + 5).await.unwrap(), "another run has it");
    assert_eq!(state(&store, "1").await, State::Running);
    assert!(store.reclaim(&id("1"), 1, 60_000, NOW + 5).await.unwrap());
    assert!(!store.reclaim(&id("1"), 1, 60_000, NOW + 6).await.unwrap(), "it has moved");

    assert_eq!((state(&store, "1").await, state(&store, "2").await), (State::Queued, State::Running));
    let journal = store.journal(&id("1")).await.unwrap();
    assert_eq!(journal[0].stage, Stage::Doubted);
    let doubt = Doubt { why: DoubtCause::HostEnded, by: store.host_number(), ..Doubt::default() };
    assert_eq!(journal[0].doubt, Some(doubt));
    assert_eq!(store.claim(&id("1"), 1, mark(), NOW + 7).await.unwrap(), Some(2));
}
