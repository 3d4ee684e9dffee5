//! What goes of the log, and what stays whatever is asked.

use super::samples::*;
use crate::admission::Needed;
use crate::journal::Stage;
use crate::operation::State;
use crate::retention::Plan;
use crate::store::model::*;
use crate::store::{JsonText, PruneOf, Sought, Store, Walk};
use billhook_plugin_api::Hook;
use serde_json::{Value, json};

on_both![
    an_entry_goes_and_its_operation_is_still_known,
    what_has_not_ended_stays,
    secrets_and_scopes_hold_their_entry,
    a_failed_operation_goes_on_from_where_it_was_and_stands_in_the_log_again,
    failures_stay_longer_and_bodies_go_first,
    much_goes_in_many_small_commands,
    words_of_what_went_leave_the_index,
];

/// A name as ids have it: of this time, and told apart by a number.
fn named(ms: u64, n: u128) -> String {
    ulid::Ulid::from_parts(ms, n).to_string()
}

fn exchange(owner: &str, seq: u32) -> Exchange {
    Exchange {
        owner: owner.into(),
        run: 1,
        seq,
        step: None,
        purpose: "read".into(),
        method: "GET".into(),
        url: "/x".into(),
        left: true,
        status: Some(200),
        failure: None,
        started_at: NOW,
        duration_us: 1,
        request_headers: vec![],
        reply_headers: vec![],
        request_body: None,
        reply_body: Some("body".into()),
    }
}

fn seen(store: &Store, owner: &str, exchanges: u32) -> Evidence {
    let attempt = Attempt { owner: owner.into(), run: 1, started_at: NOW, ended_at: Some(NOW), end: None, fault: None };
    let note = Note { owner: owner.into(), run: 1, at: NOW, kind: "note".into(), text: "said".into() };
    let exchanges = (0..exchanges).map(|seq| packed(store, exchange(owner, seq))).collect();
    Evidence { attempts: vec![attempt], exchanges, notes: vec![note] }
}

/// An operation of a service of its own, in a state, with evidence. The answer is its name.
async fn stored(store: &Store, n: u128, state: State) -> String {
    let name = named(NOW, n);
    let accepted = NewOperation { claim: Some(mark()), key: Some(format!("key-{n}")), ..new(&name, &n.to_string()) };
    store.accept(accepted).await.unwrap();
    store.begin(begin(&name, 1, "server")).await.unwrap();
    store.write_step(done(&name, 1, "server", json!(n.to_string()))).await.unwrap();
    let end = Finish { effects: DONE, outcome: Some(json!({ "remote_id": "7" })), ..finish(&name, 1, state) };
    store.finish(end, seen(store, &format!("op_{name}"), 2)).await.unwrap();
    name
}

async fn read(store: &Store, n: u128) -> String {
    let id = format!("rd_{}", named(NOW, n));
    let reading = Reading {
        id: id.clone(),
        platform: "whmcs".into(),
        service_id: None,
        hook: Hook::Test,
        provider: "virtfusion".into(),
        server: "vf1".into(),
        state: State::Succeeded,
        fault: None,
        summary: "test".into(),
        started_at: NOW,
        ended_at: NOW,
    };
    store.read_over(reading, seen(store, &id, 1)).await.unwrap();
    store.flush().await.unwrap();
    id
}

/// Prunes to the end: entries, and exchanges whose bodies went.
async fn prune(store: &Store, plan: &Plan, dry: bool) -> (u64, u64) {
    let (mut entries, mut bodies) = (Walk::default(), 0);
    for of in [PruneOf::Operations, PruneOf::Reads] {
        let mut walk = Walk::default();
        while !walk.is_over {
            store.prune_bodies(plan, of, &mut walk, dry).await.unwrap();
        }
        bodies += walk.gone;
    }
    while !entries.is_over {
        store.prune_entries(plan, &mut entries, dry).await.unwrap();
    }
    (entries.gone, bodies)
}

/// Bodies, exchanges, notes and attempts of an entry; nothing of one that is gone.
async fn left(store: &Store, id: &str) -> Option<(usize, usize, usize, usize)> {
    let (_, detail) = store.log_detail(id).await.unwrap()?;
    let bodies = detail.exchanges.iter().filter(|exchange| exchange.reply_body.is_some()).count();
    Some((bodies, detail.exchanges.len(), detail.notes.len(), detail.attempts.len()))
}

async fn an_entry_goes_and_its_operation_is_still_known(on: On) {
    let (_place, store) = store(on).await;
    let name = stored(&store, 1, State::Succeeded).await;
    let reading = read(&store, 2).await;
    let before = store.operation(&id(&name)).await.unwrap().unwrap();

    assert_eq!(prune(&store, &Plan::before(NOW), false).await, (0, 0), "what ended later");
    assert_eq!(prune(&store, &Plan::before(NOW + 100), true).await, (2, 3));
    assert_eq!(left(&store, &reading).await, Some((1, 1, 1, 1)), "a dry run leaves all");
    assert_eq!(prune(&store, &Plan::before(NOW + 100), false).await, (2, 3));

    assert_eq!((left(&store, &format!("op_{name}")).await, left(&store, &reading).await), (None, None));
    let after = store.operation_by_key("whmcs", "key-1").await.unwrap().unwrap();
    assert_eq!(after, Operation { shown: JsonText::of(&Value::Null), has_steps: false, ..before });
    let (service, by_key, earlier) =
        store.earlier(&key("1"), Some("key-1"), Needed::of(Hook::Create, true)).await.unwrap();
    assert_eq!(service.unwrap().epoch, 1);
    assert_eq!(by_key.unwrap().fingerprint, "print");
    assert_eq!(earlier.len(), 1);
    assert_eq!(prune(&store, &Plan::before(NOW + 100), false).await, (0, 0), "nothing is left to go");
}

async fn what_has_not_ended_stays(on: On) {
    let (_place, store) = store(on).await;
    let mut names = Vec::new();
    for (n, state) in [State::Waiting, State::Attention].into_iter().enumerate() {
        names.push(stored(&store, n as u128, state).await);
    }
    let running_one = named(NOW, 7);
    running(&store, &running_one, "7").await;
    store.record(seen(&store, &format!("op_{running_one}"), 2));
    store.flush().await.unwrap();
    let queued = named(NOW, 8);
    store.accept(new(&queued, "8")).await.unwrap();

    assert_eq!(prune(&store, &Plan::before(u64::MAX >> 8), false).await, (0, 0));

    for name in names.iter().chain([&running_one]) {
        assert_eq!(left(&store, &format!("op_{name}")).await, Some((2, 2, 1, 1)), "{name}");
    }
    assert!(left(&store, &format!("op_{queued}")).await.is_some());
}

async fn secrets_and_scopes_hold_their_entry(on: On) {
    let (_place, store) = store(on).await;
    let with_secret = named(NOW, 1);
    running(&store, &with_secret, "1").await;
    let end = Finish { secrets: secret("p", "root-password"), ..finish(&with_secret, 1, State::Succeeded) };
    store.finish(end, seen(&store, &format!("op_{with_secret}"), 1)).await.unwrap();
    let with_scope = named(NOW, 2);
    running(&store, &with_scope, "2").await;
    store.begin(begin_in(&with_scope, "server", "owner 7", 0)).await.unwrap();
    store.finish(finish(&with_scope, 1, State::Succeeded), Evidence::default()).await.unwrap();

    let (entries, bodies) = prune(&store, &Plan::before(NOW + 100), false).await;

    assert_eq!((entries, bodies), (0, 1));
    assert_eq!(left(&store, &format!("op_{with_secret}")).await, Some((0, 1, 1, 1)));
    assert!(left(&store, &format!("op_{with_scope}")).await.is_some());
    assert_eq!(store.journal(&id(&with_scope)).await.unwrap().len(), 1);
    store.acknowledge(&id(&with_secret), NOW + 5).await.unwrap();
    assert_eq!(prune(&store, &Plan::before(NOW + 100), false).await.0, 1);
}

async fn a_failed_operation_goes_on_from_where_it_was_and_stands_in_the_log_again(on: On) {
    let (_place, store) = store(on).await;
    let name = stored(&store, 1, State::Failed).await;
    let other = stored(&store, 2, State::Failed).await;
    assert_eq!(prune(&store, &Plan::before(NOW + 100), false).await.0, 2);
    assert_eq!(left(&store, &format!("op_{name}")).await, None);

    let version = store.service(&key("1")).await.unwrap().unwrap().version;
    let again = Again {
        id: id(&name),
        service_version: version,
        shown: JsonText::of(&json!({})),
        call: new("x", "1").call,
        fingerprint: "print".into(),
        product: "vps-small".into(),
        expires_at: None,
        now: NOW + 200,
    };
    assert!(store.again(again).await.unwrap());
    let retry = Steer { effects: DONE, ..steer(&other, State::Failed, 1, State::Queued) };
    assert!(store.steer(retry).await.unwrap());

    for name in [name, other] {
        let journal = store.journal(&id(&name)).await.unwrap();
        assert_eq!(journal.iter().map(|entry| entry.stage).collect::<Vec<_>>(), [Stage::Done]);
        assert_eq!(store.claim(&id(&name), 1, mark(), NOW + 300).await.unwrap(), Some(2));
        assert!(store.taken(&id(&name)).await.unwrap().unwrap().call.password.is_some());
        let (row, _) = store.log_detail(&format!("op_{name}")).await.unwrap().unwrap();
        assert_eq!((row.state, row.hook), (State::Running, Hook::Create));
    }
}

async fn failures_stay_longer_and_bodies_go_first(on: On) {
    const DAY: u64 = 86_400_000;
    let (_place, store) = store(on).await;
    let (well, failed) = (stored(&store, 1, State::Succeeded).await, stored(&store, 2, State::Failed).await);
    let days = |days: u64| std::time::Duration::from_millis(days * DAY);
    let retention = crate::retention::Retention {
        bodies: days(1),
        failed_bodies: days(5),
        reads: days(1),
        operations: days(3),
        failures: days(7),
        budget: u64::MAX,
    };
    let (well, failed) = (format!("op_{well}"), format!("op_{failed}"));
    for (day, expected) in [
        (0, (Some((2, 2, 1, 1)), Some((2, 2, 1, 1)))),
        (2, (Some((0, 2, 1, 1)), Some((2, 2, 1, 1)))),
        (4, (None, Some((2, 2, 1, 1)))),
        (6, (None, Some((0, 2, 1, 1)))),
        (8, (None, None)),
    ] {
        prune(&store, &Plan::by_age(&retention, NOW + 10 + day * DAY), false).await;
        assert_eq!((left(&store, &well).await, left(&store, &failed).await), expected, "day {day}");
    }
}

async fn much_goes_in_many_small_commands(on: On) {
    let (_place, store) = store(on).await;
    // One operation that looked at its panel again and again, and many small ones.
    let long = named(NOW, 1);
    running(&store, &long, "1").await;
    store.finish(finish(&long, 1, State::Succeeded), seen(&store, &format!("op_{long}"), 900)).await.unwrap();
    for n in 0..300 {
        read(&store, 1_000 + n).await;
    }
    let before = store.commits();

    let mut walk = Walk::default();
    store.prune_bodies(&Plan::before(NOW + 100), PruneOf::Operations, &mut walk, false).await.unwrap();
    assert_eq!((walk.gone, walk.is_over), (200, false), "one bite");
    let (entries, bodies) = prune(&store, &Plan::before(NOW + 100), false).await;

    assert_eq!((entries, bodies), (301, 1_000));
    assert!(store.commits() - before >= 1 + 6 + 4, "{} commits", store.commits() - before);
}

async fn words_of_what_went_leave_the_index(on: On) {
    let (place, store) = store(on).await;
    let mut names = Vec::new();
    for n in 0..300_u32 {
        // Ids of one time that differ in what the index goes by.
        let id = format!("rd_{}", named(NOW + u64::from(n >= 250) * 1_000, u128::from(n + 1) << 66));
        let reading = Reading {
            id: id.clone(),
            platform: "whmcs".into(),
            service_id: None,
            hook: Hook::Test,
            provider: "virtfusion".into(),
            server: "vf1".into(),
            state: State::Succeeded,
            fault: None,
            summary: format!("test: größe und wort{n}"),
            started_at: NOW + u64::from(n >= 250) * 1_000,
            ended_at: NOW,
        };
        store.read_over(reading, Evidence::default()).await.unwrap();
        store.flush().await.unwrap();
        names.push(id);
    }
    let failed = stored(&store, 900, State::Failed).await;
    let indexed = async || match on {
        On::Sqlite => place.count("SELECT count(DISTINCT doc) FROM log_terms").await,
        On::Postgres => place.count("SELECT count(*) FROM log_words").await,
    };
    let waiting = async || place.count("SELECT count(*) FROM unindexed").await;
    let forgotten = async || place.count("SELECT count(*) FROM forgotten").await;
    let found = async |text: &str| {
        let filter = LogFilter { words: Sought::of(text), limit: 1_000, ..LogFilter::default() };
        store.log(&filter).await.unwrap().rows.len()
    };
    let before = indexed().await + waiting().await;
    assert_eq!((before, forgotten().await), (301, 0));
    assert_eq!((found("größe").await, found("wort7").await, found("wort260").await), (300, 1, 1));

    assert_eq!(prune(&store, &Plan::before(NOW + 100), false).await.0, 251);
    let gathered = forgotten().await;
    assert_eq!(gathered, 251);
    assert!(waiting().await <= 50, "what waits for the index does not come into it");
    assert_eq!(store.forget_words(1_000).await.unwrap(), 0, "it is not worth it yet");
    // Asked for again before its words have gone: they stay.
    let retry = Steer { effects: DONE, ..steer(&failed, State::Failed, 1, State::Queued) };
    assert!(store.steer(retry).await.unwrap());
    assert_eq!(store.forget_words(1).await.unwrap(), 251);

    assert_eq!((forgotten().await, indexed().await + waiting().await), (0, 51));
    assert_eq!((found("größe").await, found("wort7").await, found("wort260").await), (50, 0, 1));
    assert_eq!(store.forget_words(1).await.unwrap(), 0);
    if on == On::Sqlite {
        place.run("INSERT INTO log_words (log_words) VALUES ('integrity-check')", "").await;
        assert_eq!(place.count("SELECT count(*) FROM log_terms WHERE term = 'wort7'").await, 0);
    }
}

#[tokio::test]
async fn room_comes_back() {
    let (_place, store) = store(On::Sqlite).await;
    let name = named(NOW, 1);
    running(&store, &name, "1").await;
    let noise = |seq: u32| -> String {
        let mut state = u64::from(seq) + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{state:016x}")
        };
        (0..3_000).map(|_| next()).collect()
    };
    for part in 0..8 {
        let exchanges = (0..150)
            .map(|n| Exchange {
                reply_body: Some(noise(part * 150 + n)),
                ..exchange(&format!("op_{name}"), part * 150 + n)
            })
            .map(|exchange| packed(&store, exchange))
            .collect();
        store.record(Evidence { exchanges, ..Evidence::default() });
        store.flush().await.unwrap();
    }
    store.finish(finish(&name, 1, State::Succeeded), Evidence::default()).await.unwrap();
    let full = store.extent().await.unwrap();
    assert!(full.used > 20 << 20, "{full:?}");

    prune(&store, &Plan::before(NOW + 100), false).await;
    let empty = store.extent().await.unwrap();
    assert!(empty.used < 2 << 20 && empty.should_shrink(), "{empty:?}");
    store.shrink().await.unwrap();
    let shrunk = store.extent().await.unwrap();

    assert_eq!(empty.free - shrunk.free, 1 << 20, "a bite is a megabyte");
    assert!(shrunk.used <= empty.used, "only the maps of the pages that went may go with them");
}
