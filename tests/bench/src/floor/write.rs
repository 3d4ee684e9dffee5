//! What is written, and how it is handed to the one that writes.

use anyhow::{Context, Result, anyhow};
use std::cell::RefCell;
use tokio::sync::{mpsc, oneshot};

/// A narrow row that lists read, and bodies apart from it.
pub const SCHEMA: &str = "
CREATE TABLE log (
    id          INTEGER PRIMARY KEY,
    key         TEXT    NOT NULL UNIQUE,
    hook        TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    state       INTEGER NOT NULL,
    duration_us INTEGER,
    summary     TEXT    NOT NULL
) STRICT;
CREATE INDEX log_service ON log (service, id);
CREATE INDEX log_hook ON log (hook, id);
CREATE INDEX log_unwell ON log (id) WHERE state <> 1;
CREATE TABLE body (
    log   INTEGER NOT NULL,
    side  INTEGER NOT NULL,
    bytes BLOB    NOT NULL,
    PRIMARY KEY (log, side)
) STRICT;";

/// As in the daemon's store.
pub const PRAGMAS: [(&str, &str); 5] = [
    ("cache_size", "-16000"),
    ("temp_store", "MEMORY"),
    ("journal_size_limit", "67108864"),
    ("mmap_size", "0"),
    ("synchronous", "FULL"),
];

/// Rows that may wait.
const WAITING: usize = 4_096;
/// The most rows of one transaction.
const MOST_ROWS: usize = 256;
/// The most bytes of one transaction.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Written before the call.
#[derive(Debug)]
pub struct Intent {
    pub id: u64,
    pub key: String,
    pub hook: String,
    pub service: String,
    pub summary: String,
    pub call: Vec<u8>,
}

/// Written after it.
#[derive(Debug)]
pub struct Outcome {
    pub id: u64,
    pub duration_us: u64,
    pub reply: Vec<u8>,
}

/// One of both.
#[derive(Debug)]
pub enum Row {
    Intent(Intent),
    Outcome(Outcome),
}

impl Row {
    fn bytes(&self) -> usize {
        match self {
            Self::Intent(intent) => intent.call.len(),
            Self::Outcome(outcome) => outcome.reply.len(),
        }
    }
}

/// A row, and who waits for it.
pub struct Job {
    pub row: Row,
    pub done: oneshot::Sender<Result<(), String>>,
}

/// The sending half.
pub struct Writer(mpsc::Sender<Job>);

/// The other half, and what it is given.
pub type Jobs = mpsc::Receiver<Job>;

/// Both halves.
pub fn channel() -> (Writer, Jobs) {
    let (sender, jobs) = mpsc::channel(WAITING);
    (Writer(sender), jobs)
}

impl Writer {
    /// Returns when it is durable.
    pub async fn intend(&self, intent: Intent) -> Result<()> {
        self.write(Row::Intent(intent)).await
    }

    /// Returns when it is durable.
    pub async fn conclude(&self, outcome: Outcome) -> Result<()> {
        self.write(Row::Outcome(outcome)).await
    }

    async fn write(&self, row: Row) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.0.send(Job { row, done }).await.ok().context("the writer is gone")?;
        answer.await.context("the writer is gone")?.map_err(|error| anyhow!(error))
    }
}

/// Takes along what waits behind `first`, as much as one transaction holds.
pub fn gather(first: Job, jobs: &mut Jobs) -> Vec<Job> {
    let mut bytes = first.row.bytes();
    let mut batch = vec![first];
    while batch.len() < MOST_ROWS
        && bytes < MOST_BYTES
        && let Ok(job) = jobs.try_recv()
    {
        bytes += job.row.bytes();
        batch.push(job);
    }
    batch
}

/// Tells all who wait.
pub fn answer(batch: Vec<Job>, result: &Result<(), String>) {
    for job in batch {
        // Whoever asked may be gone.
        let _ = job.done.send(result.clone());
    }
}

/// A body as it is stored.
pub fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    const LEVEL: i32 = 3;
    thread_local! {
        static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    PACKER.with_borrow_mut(|packer| {
        let packer = match packer {
            Some(packer) => packer,
            none => none.insert(zstd::bulk::Compressor::new(LEVEL).context("cannot pack")?),
        };
        packer.compress(bytes).context("cannot pack")
    })
}
