//! The look at its past that every arriving hook takes, on SQLite by a thread of its own.
//!
//! It is the one read of a hook that runs to its end. Whatever waits is read in one moment of the database: a connection that
//! begins to read after a commit has to find every page again, and those who look together find them once.

use super::dialect::Dialect;
use super::error::StoreError;
use super::hand;
use super::model::{Service, ServiceKey};
use super::reader::{Cells, Columns, Pool, Query};
use super::services::{self, EARLIER};
use super::writer::closed;
use crate::admission::{Earlier, Needed};
use crate::awake::Awake;
use crate::seal::Sealer;
use rusqlite::{Connection, OpenFlags, Statement, params};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How the connection is set up. After each commit it begins with an empty cache, and what is large is emptied slowly.
const PRAGMAS: [(&str, &str); 4] =
    [("query_only", "1"), ("cache_size", "-1000"), ("temp_store", "MEMORY"), ("mmap_size", "0")];

/// As many share a moment; those behind them begin another, which is no older than they are.
const TOGETHER: usize = 64;

/// The service, the operation that has the key, and the service's operations that matter; see [`EARLIER`].
pub type Found = (Option<Service>, Option<Earlier>, Vec<Earlier>);

struct Look {
    key: ServiceKey,
    event: Option<String>,
    needed: Needed,
    reply: oneshot::Sender<Result<Found, StoreError>>,
}

/// Whoever looks.
#[derive(Debug)]
pub enum Looker {
    Sqlite(Thread),
    /// Any of the connections that read: a server has found the pages already.
    Postgres(Arc<Pool>, Arc<Sealer>),
}

impl Looker {
    /// What is there of one moment that is not older than this call.
    pub async fn look(&self, key: &ServiceKey, event: Option<&str>, needed: Needed) -> Result<Found, StoreError> {
        match self {
            Self::Sqlite(thread) => thread.look(key, event, needed).await,
            Self::Postgres(pool, sealer) => {
                let query = Query::new(&EARLIER).bind(&key.platform).bind(&key.service_id);
                let query = flags(needed).into_iter().fold(query, Query::bind).bind(event);
                let mut found = Found::default();
                for row in query.all(pool).await? {
                    let service = Cells::prefixed(&row, "service", "s_", "service_id");
                    gather(&mut found, &service, &Cells::new(&row, "operation", "id"), sealer)?;
                }
                Ok(in_order(found))
            }
        }
    }

    /// Answers what was asked before, and closes its connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(thread) => thread.close(),
            Self::Postgres(pool, _) => pool.close().await,
        }
    }
}

/// The asking side of SQLite's thread, which ends with it, or when it is closed.
#[derive(Debug)]
pub struct Thread {
    asked: mpsc::UnboundedSender<Option<Look>>,
}

impl Thread {
    /// Starts the thread with a connection of its own to the file at `path`, which cannot write.
    pub fn start(path: &Path, sealer: Arc<Sealer>, awake: Awake) -> Result<Self, StoreError> {
        let failed = |why: String| StoreError::Open { path: path.to_owned(), why };
        let db = hand::open_for_a_thread(path, OpenFlags::SQLITE_OPEN_READ_ONLY, &PRAGMAS);
        let db = db.map_err(|error| failed(error.to_string()))?;
        let (asked, looks) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("store-looker".into());
        thread.spawn(move || serve(&db, &sealer, &awake, looks)).map_err(|error| failed(error.to_string()))?;
        Ok(Self { asked })
    }

    async fn look(&self, key: &ServiceKey, event: Option<&str>, needed: Needed) -> Result<Found, StoreError> {
        let (reply, answer) = oneshot::channel();
        let look = Look { key: key.clone(), event: event.map(str::to_owned), needed, reply };
        self.asked.send(Some(look)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    fn close(&self) {
        // It may have ended already.
        let _ = self.asked.send(None);
    }
}

fn serve(db: &Connection, sealer: &Sealer, awake: &Awake, mut looks: mpsc::UnboundedReceiver<Option<Look>>) {
    let mut eye = None;
    let mut together = Vec::new();
    while looks.blocking_recv_many(&mut together, TOGETHER) > 0 {
        let is_last = together.iter().any(Option::is_none);
        let mut these = together.drain(..).flatten();
        if let Err(failure) = moment(db, &mut eye, sealer, &mut these) {
            tracing::warn!(error = %failure, "a read of the store failed");
            for look in these {
                let _ = look.reply.send(Err(StoreError::of_hand(&failure)));
            }
            // The statement, and what it holds, may be what is wrong.
            eye = None;
            let _ = db.execute_batch("ROLLBACK");
        }
        if is_last {
            return;
        }
        awake.look_out(|| !looks.is_empty());
    }
}

/// The prepared question, and where its answers stand.
struct Eye<'c> {
    statement: Statement<'c>,
    service: Columns,
    operation: Columns,
}

impl<'c> Eye<'c> {
    fn open(db: &'c Connection) -> rusqlite::Result<Self> {
        let statement = db.prepare(EARLIER.of(Dialect::Sqlite))?;
        let (service, operation) = (Columns::of(&statement, "s_"), Columns::of(&statement, ""));
        Ok(Self { statement, service, operation })
    }
}

/// Looks for all of them in one moment. After a failure those that are left have no answer yet.
fn moment<'c>(
    db: &'c Connection,
    eye: &mut Option<Eye<'c>>,
    sealer: &Sealer,
    looks: impl Iterator<Item = Look>,
) -> rusqlite::Result<()> {
    let eye = match eye {
        Some(eye) => eye,
        empty => empty.insert(Eye::open(db)?),
    };
    db.prepare_cached("BEGIN")?.raw_execute()?;
    for look in looks {
        let (found, failure) = match find(eye, &look, sealer) {
            Ok(found) => (found, None),
            Err(failure) => (Err(StoreError::of_hand(&failure)), Some(failure)),
        };
        // Whoever asked may be gone.
        let _ = look.reply.send(found);
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    db.prepare_cached("COMMIT")?.raw_execute()?;
    Ok(())
}

fn find(eye: &mut Eye<'_>, look: &Look, sealer: &Sealer) -> rusqlite::Result<Result<Found, StoreError>> {
    let Eye { statement, service, operation } = eye;
    let [lives, newest, ended] = flags(look.needed);
    let mut rows =
        statement.query(params![look.key.platform, look.key.service_id, lives, newest, ended, look.event])?;
    let mut found = Found::default();
    while let Some(row) = rows.next()? {
        let service = Cells::of_look(row, service, "service", "service_id");
        let read = gather(&mut found, &service, &Cells::of_look(row, operation, "operation", "id"), sealer);
        if let Err(error) = read {
            return Ok(Err(error));
        }
    }
    Ok(Ok(in_order(found)))
}

/// As they are bound.
fn flags(Needed { lives, newest, ended }: Needed) -> [u32; 3] {
    [lives, newest, ended].map(u32::from)
}

/// Each operation once, the oldest first.
fn in_order((service, named, mut earlier): Found) -> Found {
    earlier.sort_unstable_by_key(|operation| operation.seq);
    earlier.dedup_by_key(|operation| operation.seq);
    (service, named, earlier)
}

/// Adds what a row says: the service, or an operation.
fn gather(found: &mut Found, service: &Cells<'_>, operation: &Cells<'_>, sealer: &Sealer) -> Result<(), StoreError> {
    let (known, named, earlier) = found;
    if known.is_none() && service.cell::<Option<String>>("platform")?.is_some() {
        *known = Some(services::read(service, sealer)?);
    }
    match operation.cell::<Option<i64>>("named")? {
        Some(0) => earlier.push(services::read_earlier(operation)?),
        Some(_) => *named = Some(services::read_earlier(operation)?),
        None => {}
    }
    Ok(())
}
