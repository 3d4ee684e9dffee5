//! Several hosts on one store.

use super::samples::*;
use super::{Store, StoreError, StoreOptions};
use crate::clock::ManualClock;
use crate::journal::{DoubtCause, Stage};
use crate::operation::State;
use crate::seal::{HostKey, Sealer};
use crate::store::model::*;
use crate::store::schema;
use crate::store::{EndSaid, Heard, HostEnd, HostFacts, LeaseTimes, Life};
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::time::Duration;

/// Another host on the same store. All of a test's are of this process, which lives: none proves the end of another.
async fn join(place: &Place, name: &str) -> Store {
    with(place, name, StoreOptions::default()).await
}

async fn with(place: &Place, name: &str, options: StoreOptions) -> Store {
    let options = StoreOptions { name: Some(name.into()), ..options };
    Store::open(&place.url(), place.sealer(), options).await.unwrap()
}

async fn two() -> (Place, Store, Store) {
    let place = Place::new(On::Postgres).await;
    let (a, b) = (join(&place, "a").await, join(&place, "b").await);
    (place, a, b)
}

/// As if the host had given no sign for longer than its lease.
async fn silence(place: &Place, name: &str) {
    place.run("", &format!("UPDATE host SET until = 0, lease_ms = 0 WHERE name = '{name}'")).await;
}

async fn facts(store: &Store, name: &str) -> HostFacts {
    store.hosts().await.unwrap().into_iter().rfind(|host| host.name == name).unwrap()
}

#[tokio::test]
async fn hosts_share_a_store_and_leave_each_others_work_alone() {
    let (_place, a, b) = two().await;
    running(&a, "1", "41").await;
    a.accept(new("2", "42")).await.unwrap();

    assert!(b.rescue(NOW, |_| 0).await.unwrap().is_empty());
    assert_eq!(b.claim(&id("1"), 1, mark(), NOW).await.unwrap(), None);
    assert_eq!(b.claim(&id("2"), 0, mark(), NOW).await.unwrap(), Some(1));
    assert_eq!(a.claim(&id("2"), 0, mark(), NOW).await.unwrap(), None, "one of them has it");
    let late = NewOperation { claim: Some(mark()), ..hook("3", "42", 1, billhook_plugin_api::Hook::Renew) };
    assert_eq!(a.accept(late).await.unwrap(), Accepted::Stored { seq: 2, run: None, cancelled: vec![] });
    assert_eq!(a.begin(begin_in("1", "server", "s", 0)).await.unwrap(), Begun::Yes);
    assert_eq!(b.begin(begin_in("2", "server", "s", 0)).await.unwrap(), Begun::ScopeBusy, "a scope is of all hosts");
    let work = a.work_of_hosts().await.unwrap();
    assert_eq!([&a, &b].map(|store| work[store.host_id().unwrap()].running), [1, 1]);
    let names: Vec<String> = b.look_at_hosts().await.unwrap().into_iter().map(|host| host.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn what_a_host_leaves_that_says_goodbye_is_taken_up_at_once() {
    let (_place, a, b) = two().await;
    running(&a, "1", "41").await;
    a.begin(begin("1", 1, "server")).await.unwrap();

    a.close().await;

    assert_eq!(facts(&b, "a").await.ended, Some(HostEnd::Exit));
    assert_eq!(b.rescue(NOW, |_| 0).await.unwrap(), [id("1")]);
    let doubt = b.journal(&id("1")).await.unwrap()[0].doubt.unwrap();
    assert_eq!((doubt.why, doubt.by), (DoubtCause::HostEnded, b.host_number()));
    assert!(b.work_of_hosts().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_whose_lease_is_over_is_fenced_and_its_begun_steps_wait_for_a_proof() {
    let (place, a, b) = two().await;
    running(&a, "1", "41").await;
    a.begin(begin("1", 1, "server")).await.unwrap();
    running(&a, "2", "42").await;
    assert_eq!(b.end_host(a.host_id().unwrap(), HostEnd::Expired, "b").await.unwrap(), EndSaid::Lives);
    assert_eq!(b.end_host(a.host_id().unwrap(), HostEnd::Word, "root").await.unwrap(), EndSaid::Lives);
    silence(&place, "a").await;

    b.look_at_hosts().await.unwrap();
    let mut rescued = b.rescue(NOW + 5, |_| 0).await.unwrap();

    rescued.sort();
    assert_eq!(rescued, [id("1"), id("2")]);
    assert_eq!(facts(&b, "a").await.ended, Some(HostEnd::Expired));
    let journal = b.journal(&id("1")).await.unwrap();
    assert_eq!((journal[0].stage, journal[0].doubt.unwrap().why), (Stage::Doubted, DoubtCause::HostUnproven));
    let (_, detail) = b.log_detail("op_1").await.unwrap().unwrap();
    assert!(detail.notes[0].text.contains("lost with the host a"), "{:?}", detail.notes);
    let unproven = b.work_of_hosts().await.unwrap()[a.host_id().unwrap()].unproven;
    assert_eq!(unproven, 1, "what had begun nothing simply goes on");

    // It wakes: it may write nothing but evidence, and learns of it.
    let note = Note { owner: "op_1".into(), run: 1, at: NOW, kind: "note".into(), text: "late".into() };
    let evidence = Evidence { notes: vec![note], ..Evidence::default() };
    assert_eq!(a.write_step(done("1", 1, "server", 7.into())).await.unwrap(), Written::LeaseLost);
    assert_eq!(a.finish(finish("1", 1, State::Succeeded), evidence).await.unwrap(), Finished::LeaseLost);
    assert_eq!(a.claim(&id("2"), 1, mark(), NOW).await.unwrap(), None);
    assert!(a.may_change().now_or_never().unwrap(), "by its own clock no time has passed");
    assert!(!a.renew().await.unwrap() && !a.may_change().await);
    assert_eq!(a.over().as_deref(), Some("b"));

    // To a person, and on by itself when the end is proven.
    assert_eq!(b.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));
    b.finish(Finish { effects: DOUBT, ..finish("1", 2, State::Attention) }, Evidence::default()).await.unwrap();
    assert!(b.settle_proven(NOW).await.unwrap().is_empty(), "nothing is proven");
    assert_eq!(state(&b, "1").await, State::Attention);
    assert_eq!(b.end_host(a.host_id().unwrap(), HostEnd::Word, "root").await.unwrap(), EndSaid::Taken);
    assert_eq!(b.end_host(a.host_id().unwrap(), HostEnd::Word, "root").await.unwrap(), EndSaid::Known);
    assert_eq!(b.settle_proven(NOW).await.unwrap(), [id("1")]);
    assert_eq!(state(&b, "1").await, State::Queued);
    assert_eq!(b.log_detail("op_1").await.unwrap().unwrap().0.state, State::Queued);
    assert_eq!(b.journal(&id("1")).await.unwrap()[0].doubt.unwrap().why, DoubtCause::HostEnded);
    assert!(b.settle_proven(NOW).await.unwrap().is_empty(), "once");
}

#[tokio::test]
async fn a_goodbye_that_comes_late_is_a_proof_as_well() {
    let (place, a, b) = two().await;
    running(&a, "1", "41").await;
    a.begin(begin("1", 1, "server")).await.unwrap();
    silence(&place, "a").await;
    b.look_at_hosts().await.unwrap();
    b.rescue(NOW, |_| 0).await.unwrap();
    assert!(b.settle_proven(NOW).await.unwrap().is_empty());

    a.close().await;

    assert_eq!(facts(&b, "a").await.ended, Some(HostEnd::Exit));
    assert_eq!(b.settle_proven(NOW).await.unwrap(), [id("1")]);
}

#[tokio::test]
async fn a_step_in_doubt_that_a_lost_host_had_taken_up_waits_for_both_proofs() {
    let place = Place::new(On::Postgres).await;
    let (a, b, c) = (join(&place, "a").await, join(&place, "b").await, join(&place, "c").await);
    running(&a, "1", "41").await;
    a.begin(begin("1", 1, "server")).await.unwrap();
    for (lost, next, run) in [("a", &b, 1), ("b", &c, 2)] {
        silence(&place, lost).await;
        next.look_at_hosts().await.unwrap();
        assert_eq!(next.rescue(NOW, |_| 0).await.unwrap(), [id("1")]);
        next.claim(&id("1"), run, mark(), NOW).await.unwrap();
    }
    c.end_host(a.host_id().unwrap(), HostEnd::Word, "root").await.unwrap();
    assert!(c.settle_proven(NOW).await.unwrap().is_empty());
    assert_eq!(c.journal(&id("1")).await.unwrap()[0].doubt.unwrap().why, DoubtCause::HostUnproven);

    c.end_host(b.host_id().unwrap(), HostEnd::Word, "root").await.unwrap();

    assert_eq!(c.settle_proven(NOW).await.unwrap(), [id("1")]);
    assert_eq!(state(&c, "1").await, State::Running, "what runs goes on");
}

#[tokio::test]
async fn of_two_that_take_up_at_once_each_operation_goes_to_one() {
    let place = Place::new(On::Postgres).await;
    let life = Life { start: Life::own().start - 1, ..Life::own() };
    let dead = with(&place, "dead", StoreOptions { life: Some(life), ..StoreOptions::default() }).await;
    for n in 0..40 {
        let name = format!("{n:02}");
        running(&dead, &name, &name).await;
    }
    let (b, c) = (join(&place, "b").await, join(&place, "c").await);
    assert_eq!(facts(&b, "dead").await.ended, Some(HostEnd::Dead), "its machine shows it");

    let (of_b, of_c) = tokio::join!(b.rescue(NOW, |_| 0), c.rescue(NOW, |_| 0));

    let (of_b, of_c) = (of_b.unwrap(), of_c.unwrap());
    let all: BTreeSet<_> = of_b.iter().chain(&of_c).map(|id| id.0.clone()).collect();
    assert_eq!((of_b.len() + of_c.len(), all.len()), (40, 40));
    assert!(b.rescue(NOW, |_| 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_stood_still_gives_a_sign_before_it_changes_anything() {
    let place = Place::new(On::Postgres).await;
    let clock = ManualClock::new(0);
    let a = with(&place, "a", StoreOptions { clock: Some(clock.shared()), ..StoreOptions::default() }).await;
    let b = join(&place, "b").await;
    let first = facts(&b, "a").await;

    clock.suspend(LeaseTimes::default().stop);
    assert!(a.may_change().await, "nobody had taken it for dead");
    assert!(facts(&b, "a").await.until >= first.until);
    let second = facts(&b, "a").await;
    assert!(a.may_change().await);
    assert_eq!(facts(&b, "a").await.beat, second.beat, "while its sign is fresh none is given");
    assert_eq!(a.commits(), 0, "a sign is no work");

    silence(&place, "a").await;
    b.look_at_hosts().await.unwrap();
    clock.suspend(LeaseTimes::default().stop);
    assert!(!a.may_change().await);
}

#[tokio::test]
async fn silence_is_measured_by_those_who_were_there() {
    let place = Place::new(On::Postgres).await;
    let a = join(&place, "a").await;
    let clock = ManualClock::new(0);
    let b = with(&place, "b", StoreOptions { clock: Some(clock.shared()), ..StoreOptions::default() }).await;
    // By the server's clock it is over; a clock that jumps proves nothing.
    place.run("", "UPDATE host SET until = 0 WHERE name = 'a'").await;
    b.look_at_hosts().await.unwrap();
    clock.advance(Duration::from_secs(15));
    b.renew().await.unwrap();
    b.look_at_hosts().await.unwrap();
    assert_eq!(facts(&b, "a").await.ended, None);

    clock.advance(Duration::from_secs(15));
    b.renew().await.unwrap();
    b.look_at_hosts().await.unwrap();

    assert_eq!(facts(&b, "a").await.ended, Some(HostEnd::Expired));
    assert!(!a.renew().await.unwrap());
}

#[tokio::test]
async fn what_one_host_commits_the_others_hear() {
    let (_place, a, b) = two().await;
    let (mut all, mut rows) = (b.elsewhere(), b.follow_log());
    let mut follower = b.follow(&id("1"));
    let mut other = b.follow(&id("9"));

    a.accept(new("1", "41")).await.unwrap();

    follower.changed().await;
    assert_eq!(*rows.recv().await.unwrap(), ["op_1".to_owned()]);
    let heard = Heard { told: vec!["op_1".into()], free: vec!["op_1".into()], is_common: false };
    assert_eq!(*all.recv().await.unwrap(), Some(heard));
    assert_eq!(b.services_of(&["op_1".into()]).await.unwrap(), [key("41")]);

    a.claim(&id("1"), 0, mark(), NOW).await.unwrap();
    let heard = Heard { told: vec!["op_1".into()], free: vec![], is_common: false };
    assert_eq!(*all.recv().await.unwrap(), Some(heard), "somebody runs it");
    a.set_pause("vf1", None).await.unwrap();
    assert!(all.recv().await.unwrap().as_ref().as_ref().unwrap().is_common);
    assert!(other.changed().now_or_never().is_none());
    // More than a notice holds.
    let many = (0..400).map(|n| a.accept(new(&format!("many-{n:020}"), &format!("{n}"))));
    futures_util::future::join_all(many).await;
    while all.recv().await.unwrap().is_some() {}
    other.changed().await;
}

#[tokio::test]
async fn a_host_that_is_alone_tells_nobody() {
    let (place, store) = store(On::Postgres).await;
    let mut listener = sqlx::postgres::PgListener::connect(&place.url()).await.unwrap();
    listener.listen("billhook").await.unwrap();
    store.accept(new("1", "41")).await.unwrap();
    place.run("", "NOTIFY billhook, 'end'").await;
    assert_eq!(listener.recv().await.unwrap().payload(), "end");
}

#[tokio::test]
async fn what_was_missed_while_the_connection_was_lost_is_told_as_such() {
    let (place, a, b) = two().await;
    let mut all = b.elsewhere();
    let mut follower = b.follow(&id("1"));
    place
        .run(
            "",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
             AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'",
        )
        .await;
    assert_eq!(*all.recv().await.unwrap(), None);
    follower.changed().await;
    // Once when it is lost, and once when it is there again.
    assert_eq!(*all.recv().await.unwrap(), None);
    a.accept(new("1", "41")).await.unwrap();
    while all.recv().await.unwrap().is_none() {}
}

#[tokio::test]
async fn hosts_of_two_versions_of_the_tables_do_not_mix() {
    let (place, store) = store(On::Postgres).await;
    place.run("", "DROP TABLE host, unproven; DROP INDEX store_one; UPDATE store SET schema = 6").await;
    let refused = Store::open(&place.url(), place.sealer(), StoreOptions::default()).await.unwrap_err();
    let StoreError::InUse { found: 6, known: schema::KNOWN, hosts, .. } = &refused else { panic!("{refused:?}") };
    assert!(hosts.starts_with("billhook "), "{refused}");
    assert!(refused.to_string().contains("stop all such hosts"), "{refused}");

    store.close().await;
    assert_eq!(place.open().await.facts().schema, schema::KNOWN);
}

#[tokio::test]
async fn a_host_of_a_version_that_wants_the_store_alone_is_kept_away_and_keeps_away() {
    let place = Place::new(On::Postgres).await;
    let mut old = place.database().connect().await;
    let take = "SET application_name = 'billhook old'; SELECT pg_advisory_lock(27700462113783810)";
    sqlx::raw_sql(take).execute(&mut old).await.unwrap();
    let refused = Store::open(&place.url(), place.sealer(), StoreOptions::default()).await;
    let Err(StoreError::Locked { holder, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(holder, "billhook old");
}

#[tokio::test]
async fn a_host_with_another_key_is_refused_while_others_work() {
    let (place, store) = store(On::Postgres).await;
    let other = || Sealer::new(HostKey::random().unwrap(), vec![]).unwrap();
    let refused = Store::open(&place.url(), other(), StoreOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("another host key"), "{refused}");
    store.close().await;
    Store::open(&place.url(), other(), StoreOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_poll_that_is_due_goes_to_one() {
    let (_place, a, b) = two().await;
    running(&a, "1", "41").await;
    let change = ServiceChange { poll_at: Some(Some(NOW)), ..ServiceChange::default() };
    a.change_service(&key("41"), 1, change, NOW).await.unwrap();

    let key = key("41");
    let claims = tokio::join!(a.claim_poll(&key, NOW, NOW + 9), b.claim_poll(&key, NOW, NOW + 9));

    assert_ne!(claims.0.unwrap(), claims.1.unwrap());
    assert_eq!(b.due_polls(9).await.unwrap()[0].poll_at, NOW + 9);
}

#[tokio::test]
async fn what_is_due_is_found_in_pages_and_what_is_blocked_is_left_out() {
    let (_place, a, b) = two().await;
    for n in 0..5 {
        a.accept(new(&format!("{n}"), &format!("{n}"))).await.unwrap();
    }
    running(&a, "run", "9").await;
    a.accept(hook("behind", "9", 1, billhook_plugin_api::Hook::Suspend)).await.unwrap();
    let mut page = (0, String::new());
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(b.due_now(NOW, &mut page, 2).await.unwrap().into_iter().map(|due| due.id.0).collect::<Vec<_>>());
    }
    assert_eq!(found, [vec!["op_0", "op_1"], vec!["op_2", "op_3"], vec!["op_4"]]);
    assert_eq!(b.due_now(NOW, &mut page, 2).await.unwrap().len(), 2, "it begins anew");
}

#[tokio::test]
async fn a_release_and_pauses_are_seen_by_all() {
    let place = Place::new(On::Postgres).await;
    place.run("", "UPDATE store SET state = 'recovering'").await;
    let (a, b) = (join(&place, "a").await, join(&place, "b").await);
    assert!(b.is_recovering().await.unwrap());
    assert!(a.release(NOW).await.unwrap());
    assert!(!b.is_recovering().await.unwrap());
    assert!(!b.release(NOW).await.unwrap());
}
