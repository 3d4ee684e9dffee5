//! Finding entries: by filters, by words, in bounded pages; and what follows the log.

use super::samples::*;
use crate::operation::State;
use crate::store::dialect::Dialect;
use crate::store::model::*;
use crate::store::{Sought, Store, StoreOptions, schema, writer};
use billhook_plugin_api::{Fault, FaultClass, Hook};
use sqlx::{AssertSqlSafe, Connection};
use std::collections::BTreeSet;

on_both![
    an_entry_is_found_by_whatever_was_said_of_it,
    words_are_found_before_and_after_they_are_indexed_and_in_between,
    whatever_is_typed_is_words_or_nothing,
    filters_and_words_are_one_conjunction,
    an_id_on_a_panel_leads_to_all_that_had_it,
    a_page_looks_at_a_bounded_part_of_the_log_and_the_next_one_goes_on,
    followers_hear_of_what_was_committed,
    a_timeline_holds_what_was_done_and_who_decided,
    services_are_listed_by_their_key,
];

/// An id like those of the engine: the n-th millisecond of a day in 2026.
fn ulid(n: u64) -> String {
    ulid::Ulid::from_parts(NOW + n, u128::from(n) << 70).to_string()
}

fn reading(n: u64, summary: &str) -> Reading {
    Reading {
        id: format!("rd_{}", ulid(n)),
        platform: "blesta".into(),
        service_id: Some(format!("s{n}")),
        hook: Hook::Status,
        provider: "virtfusion".into(),
        server: "vf2".into(),
        state: State::Succeeded,
        fault: None,
        summary: summary.into(),
        started_at: NOW,
        ended_at: NOW,
    }
}

fn failed(class: FaultClass, staff: &str, reading: Reading) -> Reading {
    Reading { state: State::Failed, fault: Some(Fault::new(class, staff)), ..reading }
}

async fn read(store: &Store, readings: impl IntoIterator<Item = Reading>) {
    for reading in readings {
        store.read_over(reading, Evidence::default()).await.unwrap();
    }
    store.flush().await.unwrap();
}

fn words(text: &str) -> LogFilter {
    LogFilter { words: Sought::of(text), limit: 1_000, ..LogFilter::default() }
}

/// What matches, by the number in the id, page by page.
async fn found(store: &Store, filter: LogFilter) -> Vec<u64> {
    let (mut ids, mut before) = (Vec::new(), filter.before.clone());
    loop {
        let page = store.log(&LogFilter { before, ..filter.clone() }).await.unwrap();
        assert!(page.rows.len() <= filter.limit as usize);
        ids.extend(page.rows.iter().map(|row| ulid::Ulid::from_string(&row.id[3..]).unwrap().timestamp_ms() - NOW));
        let Some(next) = page.next else { break };
        before = Some(next);
    }
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, none twice: {ids:?}");
    ids
}

async fn an_entry_is_found_by_whatever_was_said_of_it(on: On) {
    let (_place, store) = store(on).await;
    let name = ulid(1);
    let create = NewOperation {
        id: OperationId(format!("op_{name}")),
        claim: Some(mark()),
        key: Some("shop-1:order-881:create".into()),
        domain: Some("svc7.Example.net".into()),
        username: Some("acme01".into()),
        ..new(&name, "a/7")
    };
    store.accept(create).await.unwrap();
    let fault = Fault::new(FaultClass::Quota, "no room on node-9").with_code("E17");
    let end = Finish { fault: Some(fault), summary: "create: failed".into(), ..finish(&name, 1, State::Failed) };
    store.finish(end, Evidence::default()).await.unwrap();
    let person =
        Steer { reason: Some("the disk was enlarged".into()), ..steer(&name, State::Failed, 1, State::Queued) };
    assert!(store.steer(person).await.unwrap());
    read(&store, [reading(2, "status: done")]).await;

    for (text, expected) in [
        ("svc7.example.net", vec![1]),
        ("EXAMPLE acme01", vec![1]),
        ("order 881", vec![1]),
        ("a/7", vec![1]),
        ("quota", vec![1]),
        ("room node 9 e17", vec![1]),
        ("root: enlarged", vec![1]),
        ("status", vec![2]),
        ("s2", vec![2]),
        ("nothing", vec![]),
        ("quota status", vec![]),
        ("quot", vec![]),
    ] {
        assert_eq!(found(&store, words(text)).await, expected, "{text}");
    }
}

async fn words_are_found_before_and_after_they_are_indexed_and_in_between(on: On) {
    let (place, store) = store(on).await;
    let (name, many) = (ulid(0), crate::store::words::WORTH_MOVING as u64);
    let create = NewOperation { id: OperationId(format!("op_{name}")), claim: Some(mark()), ..new(&name, "early") };
    store.accept(create).await.unwrap();
    for n in 1..=3 * many {
        let text = if n % 3 == 0 { "status: third, even if late" } else { "status: other" };
        read(&store, [reading(n, text)]).await;
    }
    let end = Finish { summary: "create: late".into(), ..finish(&name, 1, State::Succeeded) };
    store.finish(end, Evidence::default()).await.unwrap();

    let thirds: Vec<u64> = (1..=3 * many).filter(|n| n % 3 == 0).rev().collect();
    let check = async |store: &Store| {
        for limit in [1, 7, 1_000] {
            assert_eq!(found(store, LogFilter { limit, ..words("third") }).await, thirds);
            assert_eq!(found(store, LogFilter { limit, ..words("status third late") }).await, thirds);
        }
        let mut late = thirds.clone();
        late.push(0);
        assert_eq!(found(store, words("late")).await, late);
        assert_eq!(found(store, words("early late")).await, [0], "one word is indexed, the other waits");
    };
    check(&store).await;
    store.close().await;
    // Those before may all have been moved by now; one is not worth it.
    let store = place.open().await;
    read(&store, [reading(3 * many + 1, "status: other")]).await;
    store.close().await;

    let waiting = place.count("SELECT count(*) FROM unindexed").await;
    assert!(waiting > 0 && waiting < 3 * many as i64, "some are indexed and some wait: {waiting}");
    let [sqlite, postgres] = [Dialect::Sqlite, Dialect::Postgres].map(|one| crate::store::words::MOVE.of(one));
    let merge = "INSERT INTO log_words (log_words) VALUES ('optimize')";
    place.run(&format!("{sqlite}; {merge}"), postgres).await;
    check(&place.open().await).await;
}

async fn whatever_is_typed_is_words_or_nothing(on: On) {
    let (_place, store) = store(on).await;
    read(&store, [reading(1, "status: done \"quoted\" (and) near")]).await;
    let long = "x\" OR * ".repeat(2_000);
    for text in [
        "\"",
        "\"\"",
        "*",
        "done*",
        "^done",
        "words:done",
        "done NEAR near",
        "NOT done",
        "(done",
        "done AND",
        "{done}",
        "-done",
        "done\0",
        "\0",
        "'; DROP TABLE log; --",
        "\u{feff}done",
        "done\u{301}",
        "%",
        "_",
        "é",
        &long,
    ] {
        match Sought::of(text) {
            Some(sought) => {
                let filter = LogFilter { words: Some(sought), limit: 10, ..LogFilter::default() };
                store.log(&filter).await.unwrap();
            }
            None => assert!(!text.contains(char::is_alphanumeric), "{text}"),
        }
    }
    assert_eq!(found(&store, words("(done\" AND \"quoted")).await, [1]);
}

async fn filters_and_words_are_one_conjunction(on: On) {
    let (_place, store) = store(on).await;
    read(
        &store,
        [
            failed(FaultClass::Quota, "no room", reading(1, "status: failed: no room")),
            failed(
                FaultClass::Timeout,
                "no room in time",
                Reading { server: "vf1".into(), ..reading(2, "status: failed: no room in time") },
            ),
            Reading { provider: "rootpanel".into(), platform: "whmcs".into(), ..reading(3, "status: done") },
            Reading { service_id: None, hook: Hook::Test, ..reading(4, "test: done") },
            Reading { platform: "whmcs".into(), service_id: Some("s3".into()), ..reading(5, "status: done") },
        ],
    )
    .await;
    let all = LogFilter { limit: 2, ..LogFilter::default() };
    let rows = [
        (all.clone(), vec![5, 4, 3, 2, 1]),
        (LogFilter { fault: Some(FaultClass::Quota), ..all.clone() }, vec![1]),
        (LogFilter { provider: Some("rootpanel".into()), ..all.clone() }, vec![3]),
        (LogFilter { from: Some(NOW + 2), to: Some(NOW + 4), ..all.clone() }, vec![3, 2]),
        (LogFilter { from: Some(NOW + 2), state: Some(State::Failed), ..all.clone() }, vec![2]),
        (LogFilter { hook: Some(Hook::Status), state: Some(State::Succeeded), ..all.clone() }, vec![5, 3]),
        (LogFilter { limit: 2, ..words("room") }, vec![2, 1]),
        (LogFilter { limit: 2, server: Some("vf1".into()), ..words("room") }, vec![2]),
        (LogFilter { limit: 2, to: Some(NOW + 2), ..words("room") }, vec![1]),
        (LogFilter { limit: 2, from: Some(NOW + 2), ..words("room") }, vec![2]),
        (
            LogFilter { limit: 1, platform: Some("whmcs".into()), service_id: Some("s3".into()), ..words("done") },
            vec![5, 3],
        ),
        (LogFilter { service_id: Some("s3".into()), platform: Some("blesta".into()), ..all }, vec![]),
    ];
    for (filter, expected) in rows {
        assert_eq!(found(&store, filter.clone()).await, expected, "{filter:?}");
        for row in store.log(&LogFilter { limit: 1_000, ..filter.clone() }).await.unwrap().rows {
            assert!(filter.admits(&row), "{filter:?} {row:?}");
        }
        let rows = store.log(&LogFilter { limit: 1_000, ..LogFilter::default() }).await.unwrap().rows;
        let admitted = rows.iter().filter(|row| filter.admits(row)).count();
        assert!(admitted >= expected.len(), "a tail shows no less than the list");
    }
}

async fn an_id_on_a_panel_leads_to_all_that_had_it(on: On) {
    let (_place, store) = store(on).await;
    for (n, service) in [(1, "41"), (2, "42"), (3, "43")] {
        let name = ulid(n);
        let create = NewOperation {
            id: OperationId(format!("op_{name}")),
            claim: Some(mark()),
            panel: format!("https://vf{n}"),
            ..new(&name, service)
        };
        store.accept(create).await.unwrap();
        let remote = (n < 3).then(|| "4711".to_owned());
        let change =
            ServiceChange { remote_id: remote, status: Some(ServiceStatus::Active), ..ServiceChange::default() };
        let end = Finish { service: Some((key(service), change)), ..finish(&name, 1, State::Succeeded) };
        store.finish(end, Evidence::default()).await.unwrap();
    }
    let gone = ServiceChange { gone: true, ..ServiceChange::default() };
    assert!(store.change_service(&key("41"), 1, gone, NOW).await.unwrap());
    read(&store, [Reading { platform: "whmcs".into(), service_id: Some("41".into()), ..reading(4, "status: done") }])
        .await;

    let by_id = LogFilter { remote_id: Some("4711".into()), limit: 1, ..LogFilter::default() };
    assert_eq!(found(&store, by_id.clone()).await, [4, 2, 1]);
    assert_eq!(found(&store, LogFilter { hook: Some(Hook::Status), ..by_id.clone() }).await, [4]);
    assert_eq!(found(&store, LogFilter { service_id: Some("42".into()), ..by_id.clone() }).await, [2]);
    assert_eq!(found(&store, LogFilter { remote_id: Some("none".into()), ..by_id }).await, [0; 0]);
    let of_any = LogFilter { service_id: Some("41".into()), limit: 1, ..LogFilter::default() };
    assert_eq!(found(&store, of_any).await, [4, 1], "the platform need not be named");
}

async fn a_page_looks_at_a_bounded_part_of_the_log_and_the_next_one_goes_on(on: On) {
    let (place, store) = store(on).await;
    read(&store, [Reading { provider: "rare".into(), ..reading(1, "status: needle common") }]).await;
    store.close().await;
    let columns = "
        INSERT INTO log (place, platform, hook, provider, server, state, summary, attempts, started_at)";
    let sqlite = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 21000)
        SELECT '01J' || printf('%010d', n) || '0000000000000_rd', 'p', 'status', 'usual', 's', 'succeeded', 'status: common', 1, 1 FROM n";
    let postgres = "
        SELECT '01J' || lpad(n::text, 10, '0') || '0000000000000_rd', 'p', 'status', 'usual', 's', 'succeeded',
            'status: common', 1, 1 FROM generate_series(1, 21000) AS n";
    let backlog = "INSERT INTO backlog (place) VALUES ('~')";
    place.run(&format!("{columns} {sqlite}; {backlog}"), &format!("{columns} {postgres}; {backlog}")).await;
    let store = place.open().await;
    crate::store::backlog::index(std::sync::Arc::downgrade(&store.inner)).await;

    let rare = LogFilter { provider: Some("rare".into()), limit: 10, ..LogFilter::default() };
    for filter in [rare.clone(), LogFilter { words: Sought::of("common"), ..rare }] {
        let (mut pages, mut before, mut rows) = (0, None, Vec::new());
        loop {
            let page = store.log(&LogFilter { before, ..filter.clone() }).await.unwrap();
            pages += 1;
            rows.extend(page.rows);
            let Some(next) = page.next else { break };
            assert!(rows.is_empty(), "it is the oldest of all");
            before = Some(next);
        }
        assert_eq!((pages > 1, rows.len()), (true, 1), "{filter:?}");
    }
    assert_eq!(found(&store, words("needle")).await, [1]);
}

#[tokio::test]
async fn a_log_that_is_older_than_its_index_is_indexed() {
    let place = Place::new(On::Sqlite).await;
    std::fs::create_dir_all(place.path().parent().unwrap()).unwrap();
    crate::store::file::prepare(&place.path()).unwrap();
    let mut db = writer::connect(&place.path()).await.unwrap();
    sqlx::raw_sql(include_str!("../schema/1.sql")).execute(&mut db).await.unwrap();
    let first = format!(
        "INSERT INTO store (id, generation, state, schema) VALUES ('{:032}', 1, 'serving', 1);
         INSERT INTO service (platform, service_id, epoch, version, status, provider, server, panel, product, domain,
             properties, unsettled_ms, created_at, updated_at)
         VALUES ('whmcs', '7', 1, 1, 'active', 'v', 's', 'p', 'vps', 'old.example', '{{}}', 0, 1, 1);",
        7
    );
    sqlx::raw_sql(AssertSqlSafe(first)).execute(&mut db).await.unwrap();
    for n in 1..=1_200 {
        let row = "INSERT INTO log (place, platform, service_id, hook, provider, server, state, summary, attempts, started_at)
            VALUES ($1, 'whmcs', '7', 'status', 'v', 's', 'succeeded', $2, 1, 1)";
        let place = crate::store::logs::place(&format!("rd_{}", ulid(n)));
        sqlx::query(row).bind(place).bind(format!("status: number {n}")).execute(&mut db).await.unwrap();
    }
    db.close().await.unwrap();

    let store = place.open().await;
    assert_eq!(store.facts().schema, crate::store::schema::KNOWN);
    // Beside the one that opening has started, which may be anywhere.
    crate::store::backlog::index(std::sync::Arc::downgrade(&store.inner)).await;

    for n in [1, 600, 1_200] {
        assert_eq!(found(&store, words(&format!("number {n}"))).await, [n]);
    }
    assert_eq!(found(&store, words("old.example")).await.len(), 1_200);
    read(&store, [reading(2_000, "status: number 1")]).await;
    assert_eq!(found(&store, words("number 1")).await, [2_000, 1]);
}

async fn followers_hear_of_what_was_committed(on: On) {
    let (_place, store) = store(on).await;
    let mut rows = store.follow_log();
    let mut follower = store.follow(&id("1"));
    running(&store, "1", "41").await;
    assert_eq!(*rows.recv().await.unwrap(), ["op_1".to_owned()]);

    assert!(store.write_step(done("1", 1, "x", 1.into())).await.is_ok());
    follower.changed().await;
    let note = Note { owner: "op_1".into(), run: 1, at: NOW, kind: "progress".into(), text: "40 % half".into() };
    let other = Note { text: "41 % of another run".into(), run: 2, ..note.clone() };
    store.record(Evidence { notes: vec![other, note], ..Evidence::default() });
    store.flush().await.unwrap();
    follower.changed().await;

    assert_eq!(store.last_progress(&id("1"), 1).await.unwrap().as_deref(), Some("40 % half"));
    assert_eq!(store.last_progress(&id("1"), 3).await.unwrap(), None);
    store.finish(finish("1", 1, State::Succeeded), Evidence::default()).await.unwrap();
    follower.changed().await;
    assert_eq!(*rows.recv().await.unwrap(), ["op_1".to_owned()], "a step and a note are no rows of the log");
    let of: Vec<State> =
        store.log_rows(&["op_1".into(), "op_9".into()]).await.unwrap().iter().map(|row| row.state).collect();
    assert_eq!(of, [State::Succeeded]);
    assert_eq!(store.log_after("op_0", 5).await.unwrap().len(), 1);
    assert!(store.log_after("op_1", 5).await.unwrap().is_empty());
}

async fn a_timeline_holds_what_was_done_and_who_decided(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "41").await;
    let attempt = Attempt {
        owner: "op_1".into(),
        run: 1,
        started_at: NOW,
        ended_at: Some(NOW),
        end: Some("attention".into()),
        fault: None,
    };
    let remark = Note { owner: "op_1".into(), run: 1, at: NOW, kind: "note".into(), text: "a remark".into() };
    let evidence = Evidence { attempts: vec![attempt], notes: vec![remark], ..Evidence::default() };
    store.finish(finish("1", 1, State::Attention), evidence).await.unwrap();
    assert!(store.steer(steer("1", State::Attention, 1, State::Queued)).await.unwrap());
    read(
        &store,
        [Reading { id: "rd_2".into(), platform: "whmcs".into(), service_id: Some("41".into()), ..reading(2, "x") }],
    )
    .await;
    running(&store, "3", "42").await;

    let entries = store.timeline(&key("41"), None, 10).await.unwrap();

    let ids: Vec<&str> = entries.iter().map(|entry| entry.row.id.as_str()).collect();
    assert_eq!(ids, ["rd_2", "op_1"]);
    assert_eq!((entries[0].epoch, entries[1].epoch), (None, Some(1)));
    let notes: Vec<&str> = entries[1].notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!((notes, entries[1].attempts.len()), (vec!["root: decided"], 1));
    let rest = store.timeline(&key("41"), Some("rd_2".into()), 10).await.unwrap();
    assert_eq!(rest.len(), 1);
}

async fn services_are_listed_by_their_key(on: On) {
    let (_place, store) = store(on).await;
    for n in 0..25 {
        let mut create =
            NewOperation { domain: Some(format!("d{}.example", n % 5)), ..new(&format!("{n}"), &format!("s/{n:02}")) };
        create.service.platform = if n % 2 == 0 { "blesta".into() } else { "whmcs".into() };
        store.accept(create).await.unwrap();
    }
    let all = async |filter: ServiceFilter| {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = store.list_services(&ServiceFilter { after, ..filter.clone() }).await.unwrap();
            keys.extend(page.services.into_iter().map(|service| service.key));
            let Some(next) = page.next else { return keys };
            after = Some(next);
        }
    };
    let every = ServiceFilter { limit: 7, ..ServiceFilter::default() };
    let keys = all(every.clone()).await;
    assert!(keys.is_sorted() && keys.iter().collect::<BTreeSet<_>>().len() == 25);
    assert_eq!(all(ServiceFilter { platform: Some("whmcs".into()), ..every.clone() }).await.len(), 12);
    assert_eq!(all(ServiceFilter { domain: Some("d3.example".into()), ..every.clone() }).await.len(), 5);
    let none = ServiceFilter { status: Some(ServiceStatus::Suspended), ..every.clone() };
    assert_eq!(all(none).await, []);
    assert_eq!(all(ServiceFilter { remote_id: Some("1".into()), ..every }).await, []);
}

#[tokio::test]
async fn lists_and_searches_go_by_an_index() {
    let place = Place::new(On::Sqlite).await;
    let store = Store::open(&place.url(), place.sealer(), StoreOptions::default()).await.unwrap();
    store.close().await;
    let mut db = writer::connect(&place.path()).await.unwrap();
    schema::migrate(&mut db).await.unwrap();
    for text in crate::store::search::plans()
        .into_iter()
        .chain(crate::store::services::plans())
        .chain(crate::store::prune::plans())
    {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&mut db).await.unwrap();
        for row in plan {
            let step: String = sqlx::Row::get(&row, "detail");
            let scans = step.strip_prefix("SCAN ").is_some_and(|rest| {
                let is_index = rest.starts_with("log_words VIRTUAL") || rest.contains("USING");
                !is_index
                    && !["head", "known", "way", "looked", "line", "parts", "(", "json_each", "CONSTANT"]
                        .iter()
                        .any(|small| rest.starts_with(small))
            });
            assert!(!scans, "{step}\n{text}");
        }
    }
}
