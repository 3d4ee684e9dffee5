//! The writer as a task, with one text for each transaction: rows as JSON, bodies as one blob.

use super::write::{self, Job, Jobs, PRAGMAS, Row, SCHEMA, Writer};
use anyhow::{Context, Result};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, SqliteConnection};
use std::path::Path;
use std::time::Duration;

/// `$1` intents, `$2` outcomes, `$3` bodies; a body is where its row says, counted from 1.
const COMMIT: &str = "
BEGIN IMMEDIATE;
INSERT INTO log (id, key, hook, service, state, summary)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 0, value ->> 4 FROM json_each($1);
INSERT INTO body (log, side, bytes)
    SELECT value ->> 0, 0, substr($3, value ->> 5, value ->> 6) FROM json_each($1);
UPDATE log SET state = 1, duration_us = row.value ->> 1 FROM json_each($2) AS row WHERE log.id = row.value ->> 0;
INSERT INTO body (log, side, bytes)
    SELECT value ->> 0, 1, substr($3, value ->> 2, value ->> 3) FROM json_each($2);
COMMIT";

/// Makes the database and starts the task, which ends with the program.
pub async fn start(path: &Path) -> Result<Writer> {
    let mut options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(4096)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    for (name, value) in PRAGMAS {
        options = options.pragma(name, value);
    }
    let mut db = options.connect().await.with_context(|| format!("cannot make {}", path.display()))?;
    sqlx::raw_sql(SCHEMA).execute(&mut db).await.context("cannot make the tables")?;
    let (writer, jobs) = write::channel();
    tokio::spawn(run(db, jobs));
    Ok(writer)
}

async fn run(mut db: SqliteConnection, mut jobs: Jobs) {
    while let Some(first) = jobs.recv().await {
        // Lets those who are ready come along, as the daemon's writer does.
        tokio::task::yield_now().await;
        let batch = write::gather(first, &mut jobs);
        let result = commit(&mut db, &batch).await;
        if result.is_err() {
            // The failure may have rolled it back already.
            let _ = sqlx::query("ROLLBACK").execute(&mut db).await;
        }
        write::answer(batch, &result.map_err(|error| error.to_string()));
    }
}

async fn commit(db: &mut SqliteConnection, batch: &[Job]) -> Result<(), sqlx::Error> {
    let (intents, outcomes, bytes) = rows(batch);
    let query = sqlx::query(COMMIT).bind(intents.to_string()).bind(outcomes.to_string()).bind(bytes);
    #[expect(deprecated, reason = "the only way to run several statements with bound values as one text")]
    let mut results = query.fetch_many(db);
    while results.try_next().await?.is_some() {}
    Ok(())
}

fn rows(batch: &[Job]) -> (Value, Value, Vec<u8>) {
    let (mut intents, mut outcomes, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for job in batch {
        let start = bytes.len() + 1;
        match &job.row {
            Row::Intent(row) => {
                bytes.extend_from_slice(&row.call);
                intents.push(json!([row.id, row.key, row.hook, row.service, row.summary, start, row.call.len()]));
            }
            Row::Outcome(row) => {
                bytes.extend_from_slice(&row.reply);
                outcomes.push(json!([row.id, row.duration_us, start, row.reply.len()]));
            }
        }
    }
    (intents.into(), outcomes.into(), bytes)
}
