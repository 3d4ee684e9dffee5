//! The hand that writes: a thread with the one connection that can.
//!
//! A transaction is some dozens of prepared statements. Here they run one after the other without anyone being told of each:
//! a connection behind a channel would wake its caller for every one of them.

use super::StoreError;
use super::batch::Batch;
use super::file::Lock;
use super::kind::{self, Statement};
use super::writer::Fate;
use rusqlite::{Connection, OpenFlags, Row, ToSql};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How the connection is set up, beside what the file itself says.
const PRAGMAS: [(&str, &str); 7] = [
    ("foreign_keys", "0"),
    ("journal_mode", "WAL"),
    ("synchronous", "FULL"),
    ("cache_size", "-16000"),
    ("temp_store", "MEMORY"),
    ("journal_size_limit", "67108864"),
    ("mmap_size", "0"),
];

/// Where deciding statements leave what they decided, for those that follow.
pub const FATES: &str = "CREATE TEMP TABLE IF NOT EXISTS fate (
    kind INTEGER NOT NULL, n INTEGER NOT NULL, word TEXT NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, detail TEXT,
    PRIMARY KEY (kind, n)) STRICT, WITHOUT ROWID";

/// Statements kept prepared: all that there are.
const PREPARED: usize = 96;

/// What commands became of, by their number in the batch.
pub type Fates = HashMap<usize, Fate>;

enum Job {
    Transact(Box<Batch>, oneshot::Sender<rusqlite::Result<Fates>>),
    Run(&'static str, oneshot::Sender<rusqlite::Result<()>>),
    Close(oneshot::Sender<()>),
}

/// The sending side. The thread ends, and closes its connection, when this is dropped.
pub struct Hand {
    jobs: mpsc::UnboundedSender<Job>,
}

/// Opens the connection; the file must be there.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Only this thread ever has it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    for (name, value) in PRAGMAS {
        db.pragma_update(None, name, value)?;
    }
    db.set_prepared_statement_cache_capacity(PREPARED);
    db.execute_batch(FATES)?;
    Ok(db)
}

impl Hand {
    /// Starts the thread with the connection to the file at `path`; `host` is this opening of the store.
    ///
    /// `lock` is given back when the connection is closed.
    pub fn start(db: Connection, path: PathBuf, host: String, lock: Lock) -> Result<Self, StoreError> {
        let (jobs, received) = mpsc::unbounded_channel();
        let worker = Worker { db, path, host };
        let thread = std::thread::Builder::new().name("store-writer".into());
        let started = thread.spawn(move || {
            worker.run(received);
            drop(lock);
        });
        started.map_err(|error| StoreError::Unavailable(format!("no thread can be started: {error}")))?;
        Ok(Self { jobs })
    }

    /// Carries the batch out, all of it or nothing.
    pub async fn transact(&self, batch: Batch) -> rusqlite::Result<Fates> {
        self.ask(|reply| Job::Transact(Box::new(batch), reply)).await.unwrap_or_else(gone)
    }

    /// Runs statements that answer nothing.
    pub async fn run(&self, statements: &'static str) -> rusqlite::Result<()> {
        self.ask(|reply| Job::Run(statements, reply)).await.unwrap_or_else(gone)
    }

    /// Checkpoints and closes the connection.
    pub async fn close(&self) {
        let _ = self.ask(Job::Close).await;
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).ok()?;
        answer.await.ok()
    }
}

fn gone<T>() -> rusqlite::Result<T> {
    Err(rusqlite::Error::InvalidQuery)
}

struct Worker {
    db: Connection,
    path: PathBuf,
    host: String,
}

impl Worker {
    fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            match job {
                Job::Transact(batch, reply) => {
                    let result = self.transact(*batch);
                    self.settle(&result);
                    let _ = reply.send(result);
                }
                Job::Run(statements, reply) => {
                    let result = self.db.execute_batch(statements);
                    self.settle(&result);
                    let _ = reply.send(result);
                }
                Job::Close(reply) => {
                    let _ = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                    drop(self);
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    fn transact(&self, batch: Batch) -> rusqlite::Result<Fates> {
        let mask = batch.mask();
        let (bytes, moved, rows) = batch.values();
        let mut fates = HashMap::new();
        let mut execute = |text: &str| -> rusqlite::Result<()> {
            let mut statement = self.db.prepare_cached(text)?;
            for index in 1..=statement.parameter_count() {
                let number = statement.parameter_name(index).and_then(|name| name[1..].parse::<usize>().ok());
                let value: &dyn ToSql = match number.unwrap_or_default() {
                    1 => &bytes,
                    2 => &self.host,
                    3 => &moved,
                    number => match rows.get(number.wrapping_sub(kind::FIRST_ROWS)) {
                        Some(rows) => rows,
                        None => return Err(rusqlite::Error::InvalidParameterCount(index, number)),
                    },
                };
                statement.raw_bind_parameter(index, value)?;
            }
            let mut answers = statement.raw_query();
            while let Some(row) = answers.next()? {
                let (number, fate) = read(row)?;
                fates.insert(number, fate);
            }
            Ok(())
        };
        execute("DELETE FROM fate")?;
        execute("BEGIN IMMEDIATE")?;
        for Statement { needs, text } in kind::statements() {
            if mask & needs != 0 {
                execute(text)?;
            }
        }
        execute("COMMIT")?;
        Ok(fates)
    }

    /// After a failure: leaves the connection without a transaction, or with a new connection.
    fn settle<T>(&mut self, result: &rusqlite::Result<T>) {
        let Err(failure) = result else { return };
        // The failure may have rolled it back already; that there is nothing to roll back is no news.
        let _ = self.db.execute_batch("ROLLBACK");
        if !matches!(failure, rusqlite::Error::SqliteFailure(..)) {
            match open(&self.path) {
                Ok(db) => self.db = db,
                Err(error) => tracing::error!(%error, "the store cannot be opened again"),
            }
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(usize, Fate)> {
    let number: i64 = row.get(0)?;
    let (a, b): (i64, i64) = (row.get(2)?, row.get(3)?);
    let fate = Fate { word: row.get(1)?, a: a.unsigned_abs(), b: b.unsigned_abs(), detail: row.get(4)? };
    Ok((usize::try_from(number).unwrap_or(usize::MAX), fate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{file, schema, writer};

    #[tokio::test]
    async fn the_engine_is_set_up_as_measured() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("db");
        file::prepare(&path).unwrap();
        schema::migrate(&mut writer::connect(&path).await.unwrap()).await.unwrap();
        let db = open(&path).unwrap();
        for (pragma, expected) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("auto_vacuum", "2"),
            ("journal_size_limit", "67108864"),
            ("temp_store", "2"),
            ("page_size", "4096"),
            ("cache_size", "-16000"),
            ("foreign_keys", "0"),
        ] {
            let found = db.pragma_query_value(None, pragma, |row| {
                row.get::<_, String>(0).or_else(|_| row.get::<_, i64>(0).map(|number| number.to_string()))
            });
            assert_eq!(found.unwrap(), expected, "{pragma}");
        }
        // Without memory mapping there is nothing to answer, or zero.
        let mapped = db.pragma_query_value(None, "mmap_size", |row| row.get::<_, i64>(0)).unwrap_or(0);
        assert_eq!(mapped, 0);
    }

    #[test]
    fn all_statements_stay_prepared() {
        assert!(kind::statements().len() + 3 <= PREPARED);
    }
}
