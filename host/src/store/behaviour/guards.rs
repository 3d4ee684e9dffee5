//! What must not both happen.

use super::samples::*;
use crate::journal::{Kind, Stage};
use crate::operation::State;
use crate::store::model::*;
use crate::store::{Store, StoreError, StoreOptions};
use billhook_plugin_api::Hook;
use futures_util::future::{self, join_all};
use serde_json::json;
use std::sync::Arc;

on_both![
    of_fifty_hooks_for_one_service_that_arrive_at_once_one_is_stored,
    a_key_names_one_operation_of_its_platform,
    a_hook_decided_on_an_older_read_is_refused,
    one_operation_of_a_service_is_active,
    two_of_one_service_that_are_claimed_at_once_do_not_both_run,
    a_claim_needs_the_run_that_was_read,
    of_two_steps_of_one_scope_one_begins,
    whoever_lost_the_lease_writes_nothing_but_evidence,
    a_cancel_and_a_begin_meet_in_either_order,
    a_cancel_and_a_begin_at_once_never_both_win,
    what_has_begun_nothing_is_cancelled_by_what_comes_after,
    a_claim_that_touches_stays_touched_until_it_is_taken_back,
    records_and_waits_are_no_effects,
    a_remote_id_belongs_to_one_live_service_of_a_panel,
    one_that_cannot_be_stored_hurts_nobody_else,
    neighbours_share_a_commit,
    a_step_and_the_end_after_it_share_a_commit_in_their_order,
    what_has_begun_something_is_neither_cancelled_nor_called_so,
    only_what_waits_or_needs_attention_is_passed,
];

async fn of_fifty_hooks_for_one_service_that_arrive_at_once_one_is_stored(on: On) {
    let (_place, store) = store(on).await;
    let all = (0..50).map(|n| store.accept(new(&format!("{n}"), "42")));

    let answers = join_all(all).await;

    let stored = answers.iter().filter(|answer| matches!(answer, Ok(Accepted::Stored { .. }))).count();
    let moved = answers.iter().filter(|answer| matches!(answer, Ok(Accepted::Moved))).count();
    assert_eq!((stored, moved), (1, 49));
}

async fn a_key_names_one_operation_of_its_platform(on: On) {
    let (_place, store) = store(on).await;
    let keyed = |name: &str, service: &str| NewOperation { key: Some("k".into()), ..new(name, service) };
    let other_platform =
        NewOperation { service: ServiceKey { platform: "blesta".into(), service_id: "42".into() }, ..keyed("3", "42") };

    let answers = join_all([keyed("1", "41"), keyed("2", "42"), other_platform].map(|new| store.accept(new))).await;

    let stored: Vec<bool> = answers.iter().map(|answer| matches!(answer, Ok(Accepted::Stored { .. }))).collect();
    assert_eq!(stored, [true, false, true]);
    assert!(matches!(answers[1], Ok(Accepted::Moved)), "{:?}", answers[1]);
    assert_eq!(store.service(&key("42")).await.unwrap(), None, "a refused hook leaves nothing");
}

async fn a_hook_decided_on_an_older_read_is_refused(on: On) {
    let (_place, store) = store(on).await;
    store.accept(new("1", "42")).await.unwrap();
    for version in [None, Some(0), Some(2)] {
        let stale = NewOperation { service_version: version, ..new("2", "42") };
        assert_eq!(store.accept(stale).await.unwrap(), Accepted::Moved, "{version:?}");
    }
    let fresh = store.accept(hook("2", "42", 1, Hook::Suspend)).await.unwrap();
    assert_eq!(fresh, Accepted::Stored { seq: 2, run: None, cancelled: vec![] });
}

async fn one_operation_of_a_service_is_active(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    let second = NewOperation { claim: Some(mark()), ..hook("2", "42", 1, Hook::Renew) };

    let accepted = store.accept(second).await.unwrap();

    assert_eq!(accepted, Accepted::Stored { seq: 2, run: None, cancelled: vec![] }, "stored, not claimed");
    assert_eq!(store.claim(&id("2"), 0, mark(), NOW).await.unwrap(), None);
    store.finish(finish("1", 1, State::Waiting), Evidence::default()).await.unwrap();
    assert_eq!(store.claim(&id("2"), 0, mark(), NOW).await.unwrap(), None, "a waiting one keeps its place");
    assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));
    store.finish(finish("1", 2, State::Succeeded), Evidence::default()).await.unwrap();
    assert_eq!(store.claim(&id("2"), 0, mark(), NOW).await.unwrap(), Some(1));
}

async fn two_of_one_service_that_are_claimed_at_once_do_not_both_run(on: On) {
    let (_place, store) = store(on).await;
    for n in 0..8 {
        let version = (n > 0).then_some(n);
        store.accept(NewOperation { service_version: version, ..new(&format!("{n}"), "42") }).await.unwrap();
    }
    let before = store.commits();

    let ids: Vec<_> = (0..8).map(|n| id(&format!("{n}"))).collect();
    let claims = join_all(ids.iter().map(|id| store.claim(id, 0, mark(), NOW))).await;

    assert_eq!(claims.iter().filter(|claim| matches!(claim, Ok(Some(1)))).count(), 1);
    assert!(claims.iter().all(Result::is_ok));
    assert!(store.commits() - before <= 3, "nobody is tried alone");
}

async fn a_claim_needs_the_run_that_was_read(on: On) {
    let (_place, store) = store(on).await;
    store.accept(new("1", "42")).await.unwrap();

    assert_eq!(store.claim(&id("nobody"), 0, mark(), NOW).await.unwrap(), None);
    let id = id("1");
    assert_eq!(store.claim(&id, 1, mark(), NOW).await.unwrap(), None, "read at another run");
    let claims = join_all((0..10).map(|_| store.claim(&id, 0, mark(), NOW))).await;

    assert_eq!(claims.iter().filter(|claim| matches!(claim, Ok(Some(1)))).count(), 1);
}

async fn of_two_steps_of_one_scope_one_begins(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "41").await;
    running(&store, "2", "42").await;

    let (first, second) =
        tokio::join!(store.begin(begin_in("1", "server", "s", 0)), store.begin(begin_in("2", "server", "s", 0)));

    assert_eq!((first.unwrap(), second.unwrap()), (Begun::Yes, Begun::ScopeBusy));
    assert_eq!(store.scope("s").await.unwrap(), (1, Some((id("1"), "server".into()))));
    assert!(store.journal(&id("2")).await.unwrap().is_empty());
    assert_eq!(store.operation(&id("2")).await.unwrap().unwrap().effects, NOTHING);

    let mut write = done("1", 1, "server", json!(7));
    write.entry.scope = Some("s".into());
    write.release = true;
    store.write_step(write).await.unwrap();

    assert_eq!(store.scope("s").await.unwrap(), (2, None));
    assert_eq!(store.begin(begin_in("2", "server", "s", 1)).await.unwrap(), Begun::ScopeMoved);
    assert_eq!(store.begin(begin_in("2", "server", "s", 2)).await.unwrap(), Begun::Yes);
    // Begun again with the scope that it holds.
    let mut held = begin_in("2", "server", "s", 0);
    held.take = None;
    assert_eq!(store.begin(held.clone()).await.unwrap(), Begun::Yes);
    assert_eq!(store.scope("s").await.unwrap().0, 3);
    held.id = id("1");
    assert_eq!(store.begin(held).await.unwrap(), Begun::ScopeBusy, "a scope is not held because somebody says so");
}

async fn whoever_lost_the_lease_writes_nothing_but_evidence(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    store.finish(finish("1", 1, State::Waiting), Evidence::default()).await.unwrap();
    assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));

    assert_eq!(store.begin(begin_in("1", "server", "s", 0)).await.unwrap(), Begun::LeaseLost);
    let mut write = done("1", 1, "server", json!(7));
    write.remote_id = Some("7".into());
    assert_eq!(store.write_step(write).await.unwrap(), Written::LeaseLost);
    let note = Note { owner: "op_1".into(), run: 1, at: NOW, kind: "note".into(), text: "late".into() };
    let evidence = Evidence { notes: vec![note.clone()], ..Evidence::default() };
    let change = ServiceChange { status: Some(ServiceStatus::Active), ..ServiceChange::default() };
    let late =
        Finish { service: Some((key("42"), change)), secrets: secret("a", "b"), ..finish("1", 1, State::Succeeded) };
    assert_eq!(store.finish(late, evidence).await.unwrap(), Finished::LeaseLost);

    assert!(store.journal(&id("1")).await.unwrap().is_empty());
    assert_eq!(store.scope("s").await.unwrap(), (0, None));
    assert!(store.result_secrets(&id("1")).await.unwrap().is_empty());
    let service = store.service(&key("42")).await.unwrap().unwrap();
    assert_eq!((service.remote_id, service.status, service.version), (None, ServiceStatus::Empty, 1));
    let (row, detail) = store.log_detail("op_1").await.unwrap().unwrap();
    assert_eq!((row.state, row.summary.as_str()), (State::Running, "1 waiting"));
    assert_eq!(detail.notes, [note]);
}

async fn a_cancel_and_a_begin_meet_in_either_order(on: On) {
    for cancel_first in [true, false] {
        let (_place, store) = store(on).await;
        running(&store, "1", "42").await;
        let terminate = NewOperation { cancels: vec![id("1")], ..hook("2", "42", 1, Hook::Terminate) };
        let (cancel, start) = (store.accept(terminate), store.begin(begin("1", 1, "server")));

        let begun = if cancel_first {
            cancel.await.unwrap();
            start.await.unwrap()
        } else {
            let begun = start.await.unwrap();
            cancel.await.unwrap();
            begun
        };

        let read = store.operation(&id("1")).await.unwrap().unwrap();
        assert_eq!(read.cancel_asked, cancel_first, "what has begun something goes on");
        assert_eq!(begun == Begun::Yes, !cancel_first);
        assert_eq!(read.effects.touched, !cancel_first);
    }
}

async fn a_cancel_and_a_begin_at_once_never_both_win(on: On) {
    for _ in 0..10 {
        let (_place, store) = store(on).await;
        running(&store, "1", "42").await;
        let terminate = NewOperation { cancels: vec![id("1")], ..hook("2", "42", 1, Hook::Terminate) };

        let (begun, accepted) = tokio::join!(store.begin(begin("1", 1, "server")), store.accept(terminate));

        assert!(matches!(accepted, Ok(Accepted::Stored { .. })));
        let read = store.operation(&id("1")).await.unwrap().unwrap();
        assert_ne!(begun.unwrap() == Begun::Yes, read.cancel_asked);
    }
}

async fn what_has_begun_nothing_is_cancelled_by_what_comes_after(on: On) {
    let (_place, store) = store(on).await;
    store.accept(new("1", "42")).await.unwrap();
    store.accept(hook("2", "42", 1, Hook::Suspend)).await.unwrap();
    let cancels = vec![id("1"), id("2"), id("nobody")];

    let terminate = NewOperation { claim: Some(mark()), cancels, ..hook("3", "42", 2, Hook::Terminate) };
    let accepted = store.accept(terminate).await.unwrap();

    assert_eq!(accepted, Accepted::Stored { seq: 3, run: Some(1), cancelled: vec![id("1"), id("2")] });
    let first = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!((first.state, first.finished_at), (State::Cancelled, Some(NOW)));
    let row = store.log_detail("op_1").await.unwrap().unwrap().0;
    assert_eq!((row.state, row.ended_at), (State::Cancelled, Some(NOW)));
}

async fn a_claim_that_touches_stays_touched_until_it_is_taken_back(on: On) {
    let (_place, store) = store(on).await;
    let touching = ClaimMark { touches: true, ..mark() };
    store.accept(NewOperation { claim: Some(touching), ..new("1", "42") }).await.unwrap();
    let mut write = done("1", 1, "wait", json!(null));
    write.entry.kind = Kind::Wait;
    write.effects = NOTHING;
    store.write_step(write).await.unwrap();
    assert_eq!(store.operation(&id("1")).await.unwrap().unwrap().effects, DONE);

    store.finish(finish("1", 1, State::Waiting), Evidence::default()).await.unwrap();

    assert_eq!(store.operation(&id("1")).await.unwrap().unwrap().effects, NOTHING);
}

async fn records_and_waits_are_no_effects(on: On) {
    for kind in [Kind::Record, Kind::Wait, Kind::Undo] {
        let (_place, store) = store(on).await;
        running(&store, "1", "42").await;
        let mut begin = begin("1", 1, "x");
        begin.entry.kind = kind;
        assert_eq!(store.begin(begin).await.unwrap(), Begun::Yes);
        assert_eq!(store.operation(&id("1")).await.unwrap().unwrap().effects, NOTHING, "{kind:?}");
    }
}

async fn a_remote_id_belongs_to_one_live_service_of_a_panel(on: On) {
    let (_place, store) = store(on).await;
    for n in 1..=3 {
        let new = NewOperation { claim: Some(mark()), ..new(&n.to_string(), &format!("4{n}")) };
        let panel = if n == 3 { "https://other".to_owned() } else { new.panel.clone() };
        store.accept(NewOperation { panel, ..new }).await.unwrap();
    }
    let write = |n: &str| StepWrite { remote_id: Some("7".into()), ..done(n, 1, "server", json!(7)) };

    let (first, second, third) =
        tokio::join!(store.write_step(write("1")), store.write_step(write("2")), store.write_step(write("3")));

    assert_eq!(first.unwrap(), Written::Yes);
    assert_eq!(second.unwrap(), Written::RemoteIdTaken(key("41")));
    assert_eq!(third.unwrap(), Written::Yes);
    assert_eq!(store.service(&key("42")).await.unwrap().unwrap().remote_id, None);
    assert_eq!(store.journal(&id("2")).await.unwrap()[0].stage, Stage::Done, "the step is kept all the same");
    let change =
        ServiceChange { remote_id: Some("7".into()), status: Some(ServiceStatus::Active), ..ServiceChange::default() };
    let end = Finish { service: Some((key("42"), change)), ..finish("2", 1, State::Succeeded) };
    assert_eq!(store.finish(end, Evidence::default()).await.unwrap(), Finished::Stored { others: false });
    let service = store.service(&key("42")).await.unwrap().unwrap();
    assert_eq!((service.remote_id, service.status), (None, ServiceStatus::Active));
}

async fn one_that_cannot_be_stored_hurts_nobody_else(on: On) {
    let (_place, store) = store(on).await;
    store.accept(new("0", "40")).await.unwrap();
    // The id is taken, which no guard answers for: the database refuses it.
    let mut all: Vec<_> = (1..20).map(|n| new(&n.to_string(), &format!("5{n}"))).collect();
    all[7].id = id("0");

    let answers = join_all(all.into_iter().map(|new| store.accept(new))).await;

    for (n, answer) in answers.iter().enumerate() {
        match n {
            7 => assert!(matches!(answer, Err(StoreError::Rejected(_))), "{answer:?}"),
            _ => assert!(matches!(answer, Ok(Accepted::Stored { .. })), "{n}: {answer:?}"),
        }
    }
    assert_eq!(store.service(&key("58")).await.unwrap(), None, "nothing is left of it");
}

/// What `work` sends comes while the commit of a note is held up. In how many commits it was written.
async fn behind_another<T>(gate: &Gate, store: &Store, work: impl Future<Output = T>) -> (T, u64) {
    gate.shut();
    let note = Note { owner: "op_0".into(), run: 1, at: NOW, kind: "note".into(), text: "held".into() };
    store.record(Evidence { notes: vec![note], ..Evidence::default() });
    let held = tokio::spawn({
        let store = store.clone();
        async move { store.flush().await }
    });
    gate.holds().await;
    let before = store.commits();
    let (done, ()) = tokio::join!(work, async { gate.open() });
    held.await.unwrap().unwrap();
    (done, store.commits() - before - 1)
}

async fn gated(on: On) -> (Place, Store, Arc<Gate>) {
    let (place, gate) = (Place::new(on).await, Arc::<Gate>::default());
    let options = StoreOptions { tap: Some(gate.clone()), ..StoreOptions::default() };
    let store = Store::open(&place.url(), place.sealer(), options).await.unwrap();
    (place, store, gate)
}

async fn neighbours_share_a_commit(on: On) {
    let (_place, store, gate) = gated(on).await;

    let accepts = (0..30).map(|n| {
        let new = NewOperation { claim: Some(mark()), ..new(&n.to_string(), &format!("{n}")) };
        store.accept(new)
    });
    let (accepted, commits) = behind_another(&gate, &store, join_all(accepts)).await;
    assert!(accepted.iter().all(|answer| matches!(answer, Ok(Accepted::Stored { run: Some(1), .. }))));
    assert_eq!(commits, 1);

    let ends = (0..30).map(|n| store.finish(finish(&n.to_string(), 1, State::Succeeded), Evidence::default()));
    let (ended, commits) = behind_another(&gate, &store, join_all(ends)).await;
    assert!(ended.iter().all(|answer| matches!(answer, Ok(Finished::Stored { .. }))));
    assert_eq!(commits, 1);
}

async fn a_step_and_the_end_after_it_share_a_commit_in_their_order(on: On) {
    let (_place, store, gate) = gated(on).await;
    running(&store, "1", "42").await;
    store.begin(begin("1", 1, "server")).await.unwrap();

    let end = Finish { effects: DONE, ..finish("1", 1, State::Succeeded) };
    let work = future::join(store.write_step(done("1", 1, "server", json!(7))), store.finish(end, Evidence::default()));
    let ((written, ended), commits) = behind_another(&gate, &store, work).await;

    assert_eq!((written.unwrap(), ended.unwrap()), (Written::Yes, Finished::Stored { others: false }));
    assert_eq!(commits, 1);
}

async fn what_has_begun_something_is_neither_cancelled_nor_called_so(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    store.begin(begin("1", 1, "server")).await.unwrap();
    store.finish(Finish { effects: DOUBT, ..finish("1", 1, State::Waiting) }, Evidence::default()).await.unwrap();

    let terminate = NewOperation { claim: Some(mark()), cancels: vec![id("1")], ..hook("2", "42", 1, Hook::Terminate) };
    let accepted = store.accept(terminate).await.unwrap();

    assert_eq!(accepted, Accepted::Stored { seq: 2, run: None, cancelled: vec![] });
    assert_eq!(state(&store, "1").await, State::Waiting);
}

async fn only_what_waits_or_needs_attention_is_passed(on: On) {
    for (state, passed) in [(State::Waiting, true), (State::Attention, true), (State::Running, false)] {
        for at_accept in [true, false] {
            let (_place, store) = store(on).await;
            running(&store, "1", "42").await;
            if state != State::Running {
                store.finish(finish("1", 1, state), Evidence::default()).await.unwrap();
            }
            let claim = ClaimMark { passes: vec![id("1")], ..mark() };
            let suspend = hook("2", "42", 1, Hook::Suspend);

            let run = if at_accept {
                match store.accept(NewOperation { claim: Some(claim), ..suspend }).await.unwrap() {
                    Accepted::Stored { run, .. } => run,
                    Accepted::Moved => None,
                }
            } else {
                store.accept(suspend).await.unwrap();
                store.claim(&id("2"), 0, claim, NOW).await.unwrap()
            };

            assert_eq!(run.is_some(), passed, "{state} at accept: {at_accept}");
            let first = store.operation(&id("1")).await.unwrap().unwrap();
            assert_eq!((first.active, first.passed_by.is_some()), (!passed, passed));
        }
    }
}
