//! A store that moves to a server: all of it, in whatever many tries, and never to be served in two places.

use super::samples::*;
use super::{Store, StoreError, StoreOptions};
use crate::journal::Entry;
use crate::lane::Pause;
use crate::operation::State;
use crate::placement::Placement;
use crate::store::model::*;
use crate::store::{Copied, CopyError, CopyOptions, Copying, Sought, copy, survey, words_number};
use billhook_plugin_api::{Fault, FaultClass, Hook, Secret};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

fn ulid(n: u64) -> String {
    ulid::Ulid::from_parts(NOW + n, u128::from(n) << 70).to_string()
}

fn exchange(owner: &str, seq: u32) -> Exchange {
    Exchange {
        owner: owner.into(),
        run: 1,
        seq,
        step: Some("server".into()),
        purpose: "change".into(),
        method: "POST".into(),
        url: "https://vf1/servers?é=1".into(),
        left: seq % 2 == 1,
        status: Some(201),
        failure: None,
        started_at: NOW,
        duration_us: 1_500,
        request_headers: vec![("accept".into(), "application/json".into())],
        reply_headers: vec![],
        request_body: Some(format!("{{\"n\":{seq},\"text\":\"{}\"}}", "größe ".repeat(200))),
        reply_body: (seq != 2).then(|| "x".repeat(70_000 * usize::from(seq == 3) + 2)),
    }
}

/// A store with rows in every table, and rows of every kind in most.
pub(super) async fn filled() -> (Place, Vec<String>) {
    let (place, store) = store(On::Sqlite).await;
    let mut names = Vec::new();
    let states = [State::Succeeded, State::Failed, State::Cancelled, State::Waiting, State::Attention, State::Running];
    for n in 0..24 {
        let (name, service) = (ulid(n), format!("s{n}"));
        let state = states[usize::try_from(n).unwrap() % states.len()];
        let create = NewOperation {
            claim: Some(mark()),
            key: Some(format!("shop:{n}:create")),
            domain: Some(format!("svc{n}.example.net")),
            placement: Some(Placement { group: "nodes".into(), passed: vec![], exhausted: false }),
            ..new(&name, &service)
        };
        store.accept(create).await.unwrap();
        if state != State::Cancelled {
            store.begin(begin_in(&name, "server", &format!("scope-{n}"), 0)).await.unwrap();
        }
        if matches!(state, State::Succeeded | State::Failed) {
            let write = done(&name, 1, "server", json!({ "id": n, "p": format!("step-secret-{n}") }));
            let entry = Entry { sealed: true, scope: Some(format!("scope-{n}")), ..write.entry };
            store.write_step(StepWrite { entry, release: n % 4 == 0, ..write }).await.unwrap();
        }
        let owner = format!("op_{name}");
        let evidence = Evidence {
            attempts: vec![Attempt {
                owner: owner.clone(),
                run: 1,
                started_at: NOW,
                ended_at: Some(NOW + 5),
                end: Some("failed".into()),
                fault: Some(Fault::panel_bug("500")),
            }],
            exchanges: (1..=3).map(|seq| packed(&store, exchange(&owner, seq))).collect(),
            notes: vec![Note { owner, run: 1, at: NOW, kind: "note".into(), text: format!("said \u{0} {n}") }],
        };
        if state == State::Running {
            store.record(evidence);
            store.flush().await.unwrap();
        } else {
            let change = ServiceChange {
                remote_id: Some(format!("remote-{n}")),
                secrets: secret("root", &format!("service-secret-{n}")),
                properties: json!({ "ip": "192.0.2.7", "n": n }).as_object().unwrap().clone(),
                poll_at: Some(Some(NOW + n)),
                pending: Some(Some("staff".into())),
                ..ServiceChange::default()
            };
            let end = Finish {
                effects: if state == State::Cancelled { NOTHING } else { DONE },
                service: (state == State::Succeeded).then(|| (key(&service), change)),
                secrets: if state == State::Succeeded {
                    secret("p", &format!("result-secret-{n}"))
                } else {
                    BTreeMap::new()
                },
                fault: (state != State::Succeeded).then(|| Fault::new(FaultClass::Quota, "no room on node-9")),
                next_at: (state == State::Waiting).then_some(NOW + 77),
                outcome: Some(json!({ "remote_id": n })),
                ..finish(&name, 1, state)
            };
            store.finish(end, evidence).await.unwrap();
        }
        names.push(name);
    }
    // A former life, a person's decision, a pause, a hook behind another one.
    let gone = ServiceChange { gone: true, ..ServiceChange::default() };
    assert!(store.change_service(&key("s0"), 1, gone, NOW).await.unwrap());
    assert!(store.steer(steer(&names[4], State::Attention, 1, State::Queued)).await.unwrap());
    store.set_pause("vf1", Some(&Pause { by: "root".into(), at: NOW })).await.unwrap();
    let version = store.service(&key("s1")).await.unwrap().unwrap().version;
    store.accept(hook(&ulid(100), "s1", version, Hook::Suspend)).await.unwrap();
    names.push(ulid(100));
    for n in 200..500 {
        let reading = Reading {
            id: format!("rd_{}", ulid(n)),
            platform: "blesta".into(),
            service_id: None,
            hook: Hook::Status,
            provider: "virtfusion".into(),
            server: "vf2".into(),
            state: State::Succeeded,
            fault: None,
            summary: format!("status: größe {}", n % 7),
            started_at: NOW,
            ended_at: NOW,
        };
        store.read_over(reading, Evidence::default()).await.unwrap();
    }
    store.flush().await.unwrap();
    store.close().await;
    // Some words are in the index and some wait.
    assert!(place.count("SELECT count(DISTINCT doc) FROM log_terms").await > 100);
    let number = words_number(&format!("op_{}", names[5]));
    let waits = format!("INSERT INTO unindexed (number, words) VALUES ({number}, 'lately said')");
    place.run(&waits, "").await;
    (place, names)
}

/// What a store says of all that was put there, as it is read.
pub(super) async fn all_answers(store: &Store, names: &[String]) -> String {
    let mut out = String::new();
    let shown = |secrets: BTreeMap<String, Secret<String>>| -> Vec<String> {
        secrets.into_iter().map(|(name, secret)| format!("{name}={}", secret.expose())).collect()
    };
    for name in names {
        let id = id(name);
        let taken = store.taken(&id).await.unwrap().map(|taken| {
            let password = taken.call.password.as_ref().map(|password| password.expose().clone());
            (password, format!("{taken:?}"))
        });
        writeln!(out, "{:?}\n{taken:?}", store.operation(&id).await.unwrap()).unwrap();
        writeln!(out, "{:?}", store.journal(&id).await.unwrap()).unwrap();
        writeln!(out, "{:?}", shown(store.result_secrets(&id).await.unwrap())).unwrap();
        writeln!(out, "{:?}", store.log_detail(&format!("op_{name}")).await.unwrap()).unwrap();
    }
    for n in 0..24 {
        let key = key(&format!("s{n}"));
        let service = store.service(&key).await.unwrap().unwrap();
        writeln!(out, "{service:?} {:?}", shown(service.secrets.clone())).unwrap();
        writeln!(out, "{:?}", store.timeline(&key, None, 100).await.unwrap()).unwrap();
        writeln!(out, "{:?}", store.scope(&format!("scope-{n}")).await.unwrap()).unwrap();
        let event = format!("shop:{n}:create");
        writeln!(out, "{:?}", store.operation_by_key("whmcs", &event).await.unwrap()).unwrap();
    }
    for text in [
        "quota",
        "größe 3",
        "room node 9",
        "example",
        "root decided",
        "staff",
        "nothing",
        "create succeeded",
        "lately quota",
    ] {
        let filter = LogFilter { words: Sought::of(text), limit: 1_000, ..LogFilter::default() };
        writeln!(out, "{text}: {:?}", store.log(&filter).await.unwrap()).unwrap();
    }
    let remote = LogFilter { remote_id: Some("remote-0".into()), limit: 100, ..LogFilter::default() };
    writeln!(out, "{:?}", store.log(&remote).await.unwrap()).unwrap();
    writeln!(out, "pauses {:?}", store.pauses().await.unwrap()).unwrap();
    writeln!(out, "{:?}", store.due(100).await.unwrap()).unwrap();
    writeln!(out, "{:?}", store.due_polls(100).await.unwrap()).unwrap();
    out
}

pub(super) async fn open(url: &str, place: &Place) -> Result<Store, StoreError> {
    Store::open(url, place.sealer(), StoreOptions::default()).await
}

/// Small batches, so that there are many.
fn small() -> CopyOptions {
    CopyOptions { batch_rows: 7, ..CopyOptions::default() }
}

pub(super) async fn moved(
    place: &Place,
    target: &Database,
    tell: impl FnMut(Copied<'_>) -> ControlFlow<()>,
) -> Result<Copying, CopyError> {
    copy(&place.path(), &target.url(), &small(), tell).await
}

pub(super) fn go_on(_: Copied<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[tokio::test]
async fn everything_is_there_and_says_the_same() {
    let (place, names) = filled().await;
    let store = place.open().await;
    let (before, facts) = (all_answers(&store, &names).await, store.facts().clone());
    store.close().await;
    // A part of the log is not indexed yet.
    place.run("INSERT INTO backlog (place) VALUES ('0')", "").await;
    let target = Database::empty();

    let found = survey(&place.path(), &target.url(), &small()).await.unwrap();
    assert!(!found.has_begun && found.parts.iter().any(|part| part.part == "note" && part.rows > 20), "{found:?}");
    let copied = moved(&place, &target, go_on).await.unwrap();

    assert!(copied.parts.iter().all(|part| part.copied == part.rows), "{copied:?}");
    let empty: Vec<_> = copied.parts.iter().filter(|part| part.rows == 0).map(|part| part.part).collect();
    assert!(empty.is_empty(), "nothing of these was tried: {empty:?}");
    let store = open(&target.url(), &place).await.unwrap();
    similar(&before, &all_answers(&store, &names).await);
    let now = store.facts();
    assert_eq!((&now.id, now.generation, now.recovering), (&facts.id, facts.generation + 1, false));
    // What the database counts goes on behind what was copied.
    assert!(store.steer(steer(&names[10], State::Attention, 1, State::Queued)).await.unwrap());
    store.close().await;
    assert_eq!(target.count("SELECT count(*) FROM copied").await, 0);

    let refused = open(&place.url(), &place).await.unwrap_err();
    assert!(matches!(refused, StoreError::Retired { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&target.url()), "{refused}");
    let again = moved(&place, &target, go_on).await.unwrap_err();
    assert!(matches!(again, CopyError::Store(StoreError::Retired { .. })), "{again:?}");
}

/// Texts on a server hold no NUL; all else is the same.
fn similar(before: &str, after: &str) {
    let [before, after] = [before, after].map(|text| text.replace("\\0", "\u{fffd}"));
    for (before, after) in before.lines().zip(after.lines()) {
        assert_eq!(before, after);
    }
    assert_eq!(before.lines().count(), after.lines().count());
}

#[tokio::test]
async fn a_copy_that_is_cut_off_anywhere_is_served_nowhere_until_it_is_ended() {
    let (place, names) = filled().await;
    let store = place.open().await;
    let before = all_answers(&store, &names).await;
    store.close().await;
    let target = Database::empty();

    let (mut cuts, mut rows) = (0, 0);
    let copied = loop {
        let mut told = 0;
        // One more step than the last time, but of what is durable nothing is done twice.
        let step = moved(&place, &target, |one| {
            if let Copied::Rows(_, more) = one {
                rows += more;
            }
            told += u32::from(!matches!(one, Copied::Begun(_) | Copied::Same(..)));
            if told > 3 || matches!(one, Copied::Retired) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match step.await {
            Ok(copied) => break copied,
            Err(CopyError::Stopped) => cuts += 1,
            Err(error) => panic!("{error:?}"),
        }
        let refused = open(&target.url(), &place).await.unwrap_err();
        assert!(matches!(refused, StoreError::Copying { .. }), "{refused:?}");
        let begun = Store::look_at(&target.url(), &StoreOptions::default()).await.unwrap_err();
        assert!(begun.remedy().contains("store copy"), "{begun}");
    };

    assert!(cuts > 30, "{cuts}");
    assert_eq!(rows, copied.parts.iter().map(|part| part.rows).sum::<u64>(), "each row went once");
    assert!(matches!(open(&place.url(), &place).await, Err(StoreError::Retired { .. })));
    let store = open(&target.url(), &place).await.unwrap();
    similar(&before, &all_answers(&store, &names).await);
}

#[tokio::test]
async fn a_copy_begins_anew_where_the_source_has_served_since() {
    let (place, names) = filled().await;
    let target = Database::empty();
    let cut = moved(&place, &target, |one| match one {
        Copied::Rows("exchange", _) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(cut.await, Err(CopyError::Stopped)));
    assert!(survey(&place.path(), &target.url(), &small()).await.unwrap().has_begun);

    let store = place.open().await;
    let waits = &names[3];
    let run = store.claim(&id(waits), 1, mark(), NOW + 80).await.unwrap().unwrap();
    store.finish(finish(waits, run, State::Succeeded), Evidence::default()).await.unwrap();
    let before = all_answers(&store, &names).await;
    store.close().await;

    assert!(!survey(&place.path(), &target.url(), &small()).await.unwrap().has_begun);
    let mut begun = None;
    moved(&place, &target, |one| {
        if let Copied::Begun(copying) = one {
            begun = Some(copying.has_begun);
        }
        ControlFlow::Continue(())
    })
    .await
    .unwrap();

    let store = open(&target.url(), &place).await.unwrap();
    similar(&before, &all_answers(&store, &names).await);
}

#[tokio::test]
async fn what_arrived_otherwise_is_found_and_the_file_stays() {
    let (place, _) = filled().await;
    for change in [
        "UPDATE billhook.body SET reply = 'x' WHERE (owner, seq) = (SELECT owner, seq FROM billhook.body LIMIT 1)",
        "UPDATE billhook.operation SET touched = NOT touched WHERE id = (SELECT max(id) FROM billhook.operation)",
        "DELETE FROM billhook.pause",
        "UPDATE billhook.log_words SET words = words || 'w'::tsvector WHERE number = (SELECT min(number) FROM billhook.log_words)",
    ] {
        let target = Database::empty();
        let cut = moved(&place, &target, |one| match one {
            Copied::Same(..) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert!(matches!(cut.await, Err(CopyError::Stopped)));
        target.run(change).await;

        let found = moved(&place, &target, go_on).await.unwrap_err();

        assert!(matches!(found, CopyError::Differs { .. }), "{change}: {found:?}");
        place.open().await.close().await;
    }
}

#[tokio::test]
async fn a_place_that_is_taken_and_a_store_that_is_in_use_are_refused() {
    let (place, store) = store(On::Sqlite).await;
    let target = Database::empty();
    let busy = moved(&place, &target, go_on).await.unwrap_err();
    assert!(matches!(busy, CopyError::Store(StoreError::Locked { .. })), "{busy:?}");
    assert!(busy.remedy().contains("stop the daemon"));
    assert!(survey(&place.path(), &target.url(), &small()).await.is_ok(), "who only looks disturbs nobody");
    store.close().await;

    let other = Place::new(On::Postgres).await;
    let taken = copy(&place.path(), &other.url(), &small(), go_on).await.unwrap_err();
    assert!(taken.to_string().contains("is there already"), "{taken}");
    let taken = survey(&place.path(), &other.url(), &small()).await.unwrap_err();
    assert!(taken.to_string().contains("is there already"), "{taken}");
    other.open().await;

    let (stranger, stranger_store) = super::samples::store(On::Sqlite).await;
    stranger_store.close().await;
    let cut = moved(&stranger, &target, |_| ControlFlow::Break(()));
    assert!(matches!(cut.await, Err(CopyError::Stopped)));
    let taken = moved(&place, &target, go_on).await.unwrap_err();
    assert!(taken.to_string().contains("another store"), "{taken}");

    let none = copy(&place.path(), "sqlite:///x", &small(), go_on).await.unwrap_err();
    assert!(matches!(none, CopyError::NoServer), "{none:?}");
    let none = place.path().with_file_name("none");
    assert!(copy(&none, &target.url(), &small(), go_on).await.is_err() && !none.exists());
    place.open().await;
}

#[tokio::test]
async fn a_restored_store_is_still_one_where_it_moves() {
    let (place, store) = store(On::Sqlite).await;
    store.close().await;
    place.run("UPDATE store SET state = 'recovering'", "").await;
    let target = Database::empty();
    moved(&place, &target, go_on).await.unwrap();
    let store = open(&target.url(), &place).await.unwrap();
    assert!(store.facts().recovering);
}

#[tokio::test]
async fn words_of_entries_that_share_a_number_move_once() {
    let (place, store) = store(On::Sqlite).await;
    let (one, other) = (format!("{}AA", &ulid(1)[..24]), format!("{}BB", &ulid(1)[..24]));
    assert_eq!(words_number(&format!("op_{one}")), words_number(&format!("op_{other}")));
    for (name, service) in [(&one, "a"), (&other, "b")] {
        store.accept(NewOperation { claim: Some(mark()), ..new(name, service) }).await.unwrap();
    }
    store.close().await;
    let [sqlite] = [crate::store::dialect::Dialect::Sqlite].map(|one| crate::store::words::MOVE.of(one));
    place.run(sqlite, "").await;
    let target = Database::empty();
    moved(&place, &target, go_on).await.unwrap();
    assert_eq!(target.count("SELECT count(*) FROM billhook.log_words").await, 1);
}
