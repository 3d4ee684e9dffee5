//! What rides along, and how it is read.

use super::samples::*;
use crate::body::samples;
use crate::operation::State;
use crate::store::model::*;
use billhook_plugin_api::{Fault, Hook};
use sqlx::Connection as _;

on_both![
    evidence_rides_along_with_the_next_commit,
    a_lone_record_is_durable_after_a_flush,
    much_evidence_does_not_wait,
    a_long_body_is_cut_and_stays_readable,
];

fn exchange(owner: &str, seq: u32) -> Exchange {
    Exchange {
        owner: owner.into(),
        run: 1,
        seq,
        step: Some("server".into()),
        purpose: "change".into(),
        method: "POST".into(),
        url: "https://vf1/servers?x=1".into(),
        left: true,
        status: Some(201),
        failure: None,
        started_at: NOW,
        duration_us: 1500,
        request_headers: vec![("accept".into(), "application/json".into())],
        reply_headers: vec![("x-a".into(), "\"q\"".into())],
        request_body: Some(format!("{{\"n\":{seq},\"text\":\"{}\"}}", "words ".repeat(200))),
        reply_body: (seq != 2).then(|| "ok".into()),
    }
}

fn attempt(owner: &str, end: Option<&str>) -> Attempt {
    Attempt {
        owner: owner.into(),
        run: 1,
        started_at: NOW,
        ended_at: end.map(|_| NOW + 5),
        end: end.map(Into::into),
        fault: end.map(|_| Fault::panel_bug("500")),
    }
}

async fn evidence_rides_along_with_the_next_commit(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    let before = store.commits();
    store.record(Evidence { attempts: vec![attempt("op_1", None)], ..Evidence::default() });
    store.record(Evidence {
        exchanges: vec![packed(&store, exchange("op_1", 1)), packed(&store, exchange("op_1", 2))],
        ..Evidence::default()
    });
    let last = Evidence { attempts: vec![attempt("op_1", Some("failed"))], ..Evidence::default() };

    store.finish(finish("1", 1, State::Failed), last).await.unwrap();

    assert_eq!(store.commits() - before, 1);
    let (row, detail) = store.log_detail("op_1").await.unwrap().unwrap();
    assert_eq!((row.id.as_str(), row.state, row.summary.as_str()), ("op_1", State::Failed, "1 failed"));
    assert_eq!(detail.attempts, [attempt("op_1", Some("failed"))], "the end is not overwritten by the start");
    assert_eq!(detail.exchanges, [exchange("op_1", 1), exchange("op_1", 2)]);
}

async fn a_lone_record_is_durable_after_a_flush(on: On) {
    let (place, store) = store(on).await;
    let reading = Reading {
        id: "rd_9".into(),
        platform: "whmcs".into(),
        service_id: None,
        hook: Hook::Test,
        provider: "virtfusion".into(),
        server: "vf1".into(),
        state: State::Failed,
        fault: Some(Fault::panel_bug("500")),
        summary: "test vf1".into(),
        started_at: NOW,
        ended_at: NOW + 5,
    };
    let seen = Evidence { exchanges: vec![packed(&store, exchange("rd_9", 1))], ..Evidence::default() };
    store.read_over(reading, seen).await.unwrap();

    store.flush().await.unwrap();
    let commits = store.commits();
    store.flush().await.unwrap();
    assert_eq!(store.commits(), commits, "nothing to write is no commit");
    store.close().await;

    let store = place.open().await;
    let (row, detail) = store.log_detail("rd_9").await.unwrap().unwrap();
    assert_eq!((row.id.as_str(), row.fault.as_deref(), row.ended_at), ("rd_9", Some("panel_bug"), Some(NOW + 5)));
    assert_eq!(detail.exchanges, [exchange("rd_9", 1)]);
}

async fn much_evidence_does_not_wait(on: On) {
    let (_place, store) = store(on).await;
    let text = "x".repeat(100_000);
    for n in 0..30 {
        let note = Note { owner: "rd_1".into(), run: 0, at: n, kind: "note".into(), text: text.clone() };
        store.record(Evidence { notes: vec![note], ..Evidence::default() });
        tokio::task::yield_now().await;
    }
    // Without a commit of its own this would not end.
    while store.commits() == 0 {
        tokio::task::yield_now().await;
    }
}

async fn a_long_body_is_cut_and_stays_readable(on: On) {
    let (_place, store) = store(on).await;
    let long = Exchange { reply_body: Some("y".repeat(1_000_000)), ..exchange("op_1", 1) };
    running(&store, "1", "42").await;
    store.record(Evidence { exchanges: vec![packed(&store, long)], ..Evidence::default() });
    store.flush().await.unwrap();

    let (_, detail) = store.log_detail("op_1").await.unwrap().unwrap();

    let body = detail.exchanges[0].reply_body.as_deref().unwrap();
    assert!(body.len() <= 64 * 1024 && body.contains("cut"), "{}", body.len());
}

/// An exchange as a panel's is: bodies of the kind and the lengths that are usual, and ids as long as real ones.
fn usual(owner: &str, seed: u64) -> Exchange {
    let text = |bytes: Vec<u8>| Some(String::from_utf8(bytes).unwrap());
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Exchange {
        url: "https://panel-1.example.net/api/v1/servers/7000/suspend".into(),
        duration_us: 150_000 + seed,
        request_headers: vec![
            header("accept", "application/json"),
            header("authorization", "‹masked:9f2c41d0›"),
            header("content-type", "application/json"),
        ],
        reply_headers: vec![
            header("content-type", "application/json"),
            header("date", "Sat, 01 Jan 2028 00:00:00 GMT"),
            header("x-ratelimit-remaining", "119"),
        ],
        request_body: text(samples::hook_body(seed)),
        reply_body: text(samples::server_body(seed)),
        ..exchange(owner, 1)
    }
}

#[tokio::test]
async fn a_hook_leaves_at_most_two_kilobytes_in_the_log() {
    const HOOKS: u64 = 400;
    let (place, store) = store(On::Sqlite).await;
    for n in 0..HOOKS {
        let name = format!("01J{n:023}");
        running(&store, &name, &n.to_string()).await;
        let owner = format!("op_{name}");
        let evidence = Evidence {
            attempts: vec![attempt(&owner, None)],
            exchanges: vec![packed(&store, usual(&owner, 10_000 + n))],
            ..Evidence::default()
        };
        store.finish(finish(&name, 1, State::Succeeded), evidence).await.unwrap();
    }
    store.close().await;

    let mut connection = sqlx::SqliteConnection::connect(&place.url()).await.unwrap();
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT coalesce(m.tbl_name, s.name), sum(s.pgsize)
         FROM dbstat s LEFT JOIN sqlite_schema m ON m.name = s.name GROUP BY 1 ORDER BY 2 DESC",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();

    let logs = ["log", "attempt", "exchange", "body", "note", "unindexed", "log_words_data"];
    let bytes: i64 = sizes.iter().filter(|(name, _)| logs.contains(&name.as_str())).map(|(_, bytes)| bytes).sum();
    let each = bytes / i64::try_from(HOOKS).unwrap();
    println!("{each} bytes of the log a hook; all tables: {sizes:?}");
    assert!((1_000..=2_000).contains(&each), "{each} bytes: {sizes:?}");
}
