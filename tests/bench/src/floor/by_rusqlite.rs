//! The writer as a thread of its own, with prepared statements.

use super::write::{self, Job, Jobs, PRAGMAS, Row, SCHEMA, Writer};
use anyhow::{Context, Result};
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use std::time::Duration;

/// Makes the database and starts the thread, which ends with the program.
pub fn start(path: &Path) -> Result<Writer> {
    let db = open(path).with_context(|| format!("cannot make {}", path.display()))?;
    let (writer, jobs) = write::channel();
    std::thread::Builder::new().name("writer".into()).spawn(move || run(db, jobs)).context("cannot start a thread")?;
    Ok(writer)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "page_size", 4096)?;
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.busy_timeout(Duration::from_secs(5))?;
    for (name, value) in PRAGMAS {
        db.pragma_update(None, name, value)?;
    }
    db.execute_batch(SCHEMA)?;
    Ok(db)
}

fn run(mut db: Connection, mut jobs: Jobs) {
    while let Some(first) = jobs.blocking_recv() {
        let batch = write::gather(first, &mut jobs);
        let result = commit(&mut db, &batch).map_err(|error| error.to_string());
        write::answer(batch, &result);
    }
}

fn commit(db: &mut Connection, batch: &[Job]) -> rusqlite::Result<()> {
    // Dropped without a commit, it rolls back.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut intent = transaction.prepare_cached(
            "INSERT INTO log (id, key, hook, service, state, summary) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        )?;
        let mut outcome = transaction.prepare_cached("UPDATE log SET state = 1, duration_us = ?2 WHERE id = ?1")?;
        let mut body = transaction.prepare_cached("INSERT INTO body (log, side, bytes) VALUES (?1, ?2, ?3)")?;
        for job in batch {
            match &job.row {
                Row::Intent(row) => {
                    intent.execute(params![row.id.cast_signed(), row.key, row.hook, row.service, row.summary])?;
                    body.execute(params![row.id.cast_signed(), 0, row.call])?;
                }
                Row::Outcome(row) => {
                    outcome.execute(params![row.id.cast_signed(), row.duration_us.cast_signed()])?;
                    body.execute(params![row.id.cast_signed(), 1, row.reply])?;
                }
            }
        }
    }
    transaction.commit()
}
