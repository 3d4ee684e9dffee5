//! A store that an older host left, with operations in every state: the next host opens it, and finds all of it.

use super::cluster::Database;
use super::moved::{all_answers, filled, go_on, moved, open};
use super::samples::*;
use super::{Store, StoreOptions};
use crate::operation::State;
use crate::store::{file, schema, writer};
use sqlx::Connection as _;
use std::path::Path;

/// Its tables at this version, with what stands in the store at `from`, as far as they have a place for it.
async fn older(version: u32, from: &Path, path: &Path) {
    file::prepare(path).unwrap();
    let mut db = writer::connect(path).await.unwrap();
    schema::bring(&mut db, 0, version).await.unwrap();
    db.close().await.unwrap();
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute("ATTACH ?1 AS newer", [from.to_str().unwrap()]).unwrap();
    let names = |text: &str| -> Vec<String> {
        let mut found = db.prepare(text).unwrap();
        found.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for table in
        names("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'log\\_%' ESCAPE '\\'")
    {
        if table == "store" || table == "backlog" || (table == "body" && version < 3) {
            continue;
        }
        let columns =
            names(&format!("SELECT '\"' || name || '\"' FROM pragma_table_info('{table}', 'main')")).join(", ");
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}");
        db.execute(&copy, []).unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    db.execute_batch("UPDATE main.store SET (id, state) = (SELECT id, state FROM newer.store)").unwrap();
    if version < 3 {
        for side in ["request", "reply"] {
            db.execute_batch(&format!(
                "INSERT INTO main.body (owner, run, seq, side, codec, bytes, length, sha256, cut)
                 SELECT owner, run, seq, '{side}', {side}_codec, {side},
                     coalesce({side}_cut ->> 'length', length({side})), coalesce(unhex({side}_cut ->> 'sha256'), x''),
                     {side}_cut IS NOT NULL
                 FROM newer.body WHERE {side} IS NOT NULL"
            ))
            .unwrap();
        }
    }
    match version {
        1 => {}
        _ => db
            .execute_batch(
                "INSERT INTO main.log_words (rowid, words)
                 SELECT doc, group_concat(term, ' ') FROM newer.log_terms GROUP BY doc",
            )
            .unwrap(),
    }
}

#[tokio::test]
async fn a_store_of_each_older_version_is_carried_over_with_operations_in_every_state() {
    let (place, names) = filled().await;
    place.run("UPDATE operation SET placement = NULL", "").await;
    let store = place.open().await;
    let now = all_answers(&store, &names).await;
    store.close().await;

    for version in 1..schema::KNOWN {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/store.db");
        older(version, &place.path(), &path).await;

        let url = format!("sqlite://{}", path.display());
        let store = Store::open(&url, place.sealer(), StoreOptions::default()).await.unwrap();

        assert_eq!(store.facts().schema, schema::KNOWN);
        let then = all_answers(&store, &names).await;
        assert_eq!(now.lines().count(), then.lines().count(), "version {version}");
        for (now, then) in now.lines().zip(then.lines()) {
            // The first had neither pauses nor an index of words: that is made anew, of what stands there.
            if version > 1 || !(now.contains("LogPage") || now.starts_with("pauses")) {
                assert_eq!(now, then, "version {version}");
            }
        }
        // And it goes on.
        let rescued = store.rescue(NOW + 100, |_| 0).await.unwrap();
        assert_eq!(rescued.len(), 4, "version {version}: those that were running");
        assert_eq!(store.claim(&rescued[0], 1, mark(), NOW + 101).await.unwrap(), Some(2));
        let retry = steer(&names[10], State::Attention, 1, State::Queued);
        assert!(store.steer(retry).await.unwrap(), "version {version}");
        store.accept(new("new", "new")).await.unwrap();
        store.close().await;
    }
}

/// What versions of the tables on a server have added, taken away again: so an older host left them.
const TAKEN_AWAY: [(u32, &str); 4] = [
    (
        8,
        "DROP INDEX operation_open, operation_placing;
         CREATE INDEX operation_open ON operation (platform, service_id, state, seq)
             WHERE state IN ('queued', 'running', 'waiting', 'attention');
         CREATE INDEX operation_placing ON operation (server)
             WHERE hook = 'create' AND state IN ('queued', 'running', 'waiting', 'attention')",
    ),
    (
        7,
        "DROP INDEX operation_open; CREATE INDEX operation_open ON operation (platform, service_id)
             WHERE state IN ('queued', 'running', 'waiting', 'attention')",
    ),
    (6, "DROP TABLE host, unproven; DROP INDEX store_one"),
    (
        5,
        "DROP TABLE host, unproven, copied, forgotten; DROP INDEX store_one;
         ALTER TABLE store DROP CONSTRAINT store_state_check;
         ALTER TABLE store ADD CONSTRAINT store_state_check CHECK (state IN ('serving', 'retired', 'recovering'))",
    ),
];

#[tokio::test]
async fn a_store_of_each_older_version_on_a_server_is_carried_over_with_operations_in_every_state() {
    for (version, away) in TAKEN_AWAY {
        let (place, names) = filled().await;
        let target = Database::empty();
        moved(&place, &target, go_on).await.unwrap();
        let store = open(&target.url(), &place).await.unwrap();
        let now = all_answers(&store, &names).await;
        store.close().await;
        target.run(&format!("{away}; UPDATE store SET schema = {version}")).await;

        let store = open(&target.url(), &place).await.unwrap();

        assert_eq!(store.facts().schema, schema::KNOWN);
        assert_eq!(now, all_answers(&store, &names).await, "version {version}");
        let rescued = store.rescue(NOW + 100, |_| 0).await.unwrap();
        assert_eq!(rescued.len(), 4, "version {version}: those that were running");
        assert_eq!(store.claim(&rescued[0], 1, mark(), NOW + 101).await.unwrap(), Some(2));
        store.accept(new("new", "new")).await.unwrap();
        store.close().await;
    }
}
