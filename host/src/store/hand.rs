//! The hand that writes: on SQLite a worker with the one connection that can, on Postgres a connection.
//!
//! On SQLite a command is some dozens of prepared statements. Here they run one after the other without anyone being told of each:
//! a connection behind a channel would wake its caller for every one of them. The worker shares a thread with the task that
//! hands out what is to be written; see [`Writer::start`](super::writer::Writer::start). Commands that share a transaction run one after
//! the other as well, so that each is judged by what those before it have written.

pub mod apply;
pub mod postgres;

pub use self::apply::SERIAL;

use super::command::{Command, Part, Slice};
use super::dialect::{Dialect, Text};
use super::error::Failure;
use super::file::Lock;
use super::kind::{self, Kind, Role};
use super::row::{Member, Spot};
use super::writer::Fate;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Batch, Connection, OpenFlags, Row, ToSql};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How the connection is set up, beside what the file itself says. Its cache holds the upper levels and the growing ends of all tables; a
/// commit that has balanced one of these looks at every page of it.
const PRAGMAS: [(&str, &str); 7] = [
    ("foreign_keys", "0"),
    ("journal_mode", "WAL"),
    ("synchronous", "FULL"),
    ("cache_size", "-4000"),
    ("temp_store", "MEMORY"),
    ("journal_size_limit", "67108864"),
    ("mmap_size", "0"),
];

/// Pages in the journal from which on they are carried over into the file: a page that was written often goes once. After a crash
/// all of them are read, which takes some milliseconds of a start.
const CARRIED_OVER: i32 = 4_000;

thread_local! {
    /// Pages that the thread's last commit left in the journal.
    static IN_JOURNAL: std::cell::Cell<i32> = const { std::cell::Cell::new(0) };
}

/// What each command of a transaction became, in their order; none for those that nothing decides about.
pub type Fates = Vec<Option<Fate>>;

/// The commands come back with what became of them.
pub type Transacted = (Vec<Command>, Result<Fates, Failure>);

/// Whoever carries the commands out.
pub enum Hand {
    Sqlite(Sqlite),
    Postgres(Box<postgres::Hand>),
}

impl Hand {
    /// Carries the commands out, one after the other, all of them or none.
    pub async fn transact(&mut self, commands: Vec<Command>) -> Transacted {
        match self {
            Self::Sqlite(worker) => worker.transact(commands).await,
            Self::Postgres(hand) => {
                let result = hand.transact(&commands).await;
                (commands, result)
            }
        }
    }

    /// By which those who write know whether it can.
    pub fn door(&self) -> Arc<postgres::Door> {
        match self {
            Self::Sqlite(_) => Arc::default(),
            Self::Postgres(hand) => hand.door(),
        }
    }

    /// Runs statements that answer nothing.
    pub async fn run(&mut self, statements: &'static Text) -> Result<(), Failure> {
        match self {
            Self::Sqlite(worker) => Ok(worker.run(statements.of(Dialect::Sqlite)).await?),
            Self::Postgres(hand) => hand.run(statements.of(Dialect::Postgres)).await,
        }
    }

    /// Gives the store back, and closes the connection.
    pub async fn close(self) {
        match self {
            Self::Sqlite(worker) => worker.close().await,
            Self::Postgres(hand) => hand.close().await,
        }
    }
}

enum Job {
    Transact(Vec<Command>, oneshot::Sender<(Vec<Command>, rusqlite::Result<Fates>)>),
    Run(&'static str, oneshot::Sender<rusqlite::Result<()>>),
    Close(oneshot::Sender<()>),
}

/// The sending side of SQLite's [`Worker`], which ends, and closes its connection, when this is dropped.
pub struct Sqlite {
    jobs: mpsc::UnboundedSender<Job>,
}

/// Opens the connection; the file must be there.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    open_for_a_thread(path, OpenFlags::SQLITE_OPEN_READ_WRITE, &PRAGMAS)
}

/// Opens a connection that only one thread will ever have.
pub fn open_for_a_thread(path: &Path, access: OpenFlags, pragmas: &[(&str, &str)]) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(Duration::from_secs(5))?;
    for (name, value) in pragmas {
        db.pragma_update(None, name, value)?;
    }
    Ok(db)
}

impl Sqlite {
    /// With the connection to the file at `path`; `host` is this opening of the store, and `lock` what holds it.
    pub fn new(db: Connection, path: PathBuf, host: String, lock: Lock) -> (Self, Worker) {
        let (sender, jobs) = mpsc::unbounded_channel();
        (Self { jobs: sender }, Worker { db, path, host, lock, jobs })
    }

    async fn transact(&self, commands: Vec<Command>) -> Transacted {
        let answer = self.ask(|reply| Job::Transact(commands, reply)).await;
        let (commands, result) = answer.unwrap_or_else(|| (Vec::new(), gone()));
        (commands, result.map_err(Failure::from))
    }

    async fn run(&self, statements: &'static str) -> rusqlite::Result<()> {
        self.ask(|reply| Job::Run(statements, reply)).await.unwrap_or_else(gone)
    }

    /// Checkpoints and closes the connection.
    async fn close(&self) {
        let _ = self.ask(Job::Close).await;
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).ok()?;
        answer.await.ok()
    }
}

/// Runs statements to their ends, whatever rows they give: some do their work row by row.
fn run(db: &Connection, statements: &str) -> rusqlite::Result<()> {
    let mut batch = Batch::new(db, statements);
    while let Some(mut statement) = batch.next()? {
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn gone<T>() -> rusqlite::Result<T> {
    Err(rusqlite::Error::InvalidQuery)
}

/// Has the connection. Its statements block whoever runs it.
pub struct Worker {
    db: Connection,
    path: PathBuf,
    host: String,
    /// Given back when the connection is closed.
    lock: Lock,
    jobs: mpsc::UnboundedReceiver<Job>,
}

/// Why a worker stops with its connection.
enum Stop {
    /// Nobody asks any more.
    Left,
    /// It is to close.
    Asked(oneshot::Sender<()>),
    /// The connection is of no use any more.
    Broken,
}

impl Worker {
    /// Works until the sending side is gone, or closes.
    pub async fn run(self) {
        let Self { mut db, path, host, lock, mut jobs } = self;
        loop {
            match serve(&db, &host, &mut jobs).await {
                Stop::Left => break,
                Stop::Asked(reply) => {
                    let _ = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                    drop(db);
                    drop(lock);
                    let _ = reply.send(());
                    return;
                }
                Stop::Broken => match open(&path) {
                    Ok(opened) => db = opened,
                    Err(error) => tracing::error!(%error, "the store cannot be opened again"),
                },
            }
        }
        drop(db);
        drop(lock);
    }
}

async fn serve(db: &Connection, host: &str, jobs: &mut mpsc::UnboundedReceiver<Job>) -> Stop {
    let mut prepared = Prepared::new(db, host);
    db.wal_hook(Some(|_, pages| {
        IN_JOURNAL.set(pages);
        Ok(())
    }));
    while let Some(job) = jobs.recv().await {
        let is_broken = match job {
            Job::Transact(commands, reply) => {
                let result = prepared.transact(&commands);
                let is_broken = settle(db, &result);
                let _ = reply.send((commands, result));
                is_broken
            }
            Job::Run(statements, reply) => {
                let result = run(db, statements);
                let is_broken = settle(db, &result);
                let _ = reply.send(result);
                is_broken
            }
            Job::Close(reply) => return Stop::Asked(reply),
        };
        if is_broken {
            return Stop::Broken;
        }
        carry_over(db);
    }
    Stop::Left
}

/// Left to itself, SQLite does this within the commit that fills the journal, and those who wait for that would wait for two
/// more syncs.
fn carry_over(db: &Connection) {
    if IN_JOURNAL.take() >= CARRIED_OVER
        && let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    {
        // The next commit says so too, and that one somebody waits for.
        tracing::debug!(%error, "the journal stays as it is");
    }
}

/// After a failure: leaves the connection without a transaction. `true` when another one is needed.
fn settle<T>(db: &Connection, result: &rusqlite::Result<T>) -> bool {
    let Err(failure) = result else { return false };
    // The failure may have rolled it back already; that there is nothing to roll back is no news.
    let _ = db.execute_batch("ROLLBACK");
    !matches!(failure, rusqlite::Error::SqliteFailure(..))
}

/// All statements, each prepared when it is first needed, for as long as the connection lives.
struct Prepared<'c> {
    db: &'c Connection,
    host: &'c str,
    statements: Vec<Option<Ready<'c>>>,
}

/// A prepared statement, and what is bound to it in the order of its parameters.
struct Ready<'c> {
    statement: rusqlite::Statement<'c>,
    bound: Vec<Bound>,
}

/// What a parameter stands for; see [`kind`].
enum Bound {
    Member(String, Spot),
    Bytes(String, Spot),
    Host,
    Ended,
    Word,
    A,
    B,
    Detail,
}

impl Bound {
    fn of(name: &str) -> Self {
        match name {
            ":host" => Self::Host,
            ":ended" => Self::Ended,
            ":word" => Self::Word,
            ":a" => Self::A,
            ":b" => Self::B,
            ":detail" => Self::Detail,
            name => match name.strip_prefix('@') {
                Some(bytes) => Self::Bytes(bytes.to_owned(), Spot::default()),
                None => Self::Member(name.trim_start_matches(':').to_owned(), Spot::default()),
            },
        }
    }
}

/// Whose rows a statement is run for.
enum Line<'r> {
    Part(&'r Part),
    Moved(&'r str),
}

impl<'c> Prepared<'c> {
    fn new(db: &'c Connection, host: &'c str) -> Self {
        Self { db, host, statements: kind::statements(Dialect::Sqlite).iter().map(|_| None).collect() }
    }

    fn transact(&mut self, commands: &[Command]) -> rusqlite::Result<Fates> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        let fates = commands.iter().map(|command| self.carry_out(command)).collect::<rusqlite::Result<_>>()?;
        self.db.prepare_cached("COMMIT")?.raw_execute()?;
        Ok(fates)
    }

    /// One command. It sees what those before it have written.
    fn carry_out(&mut self, command: &Command) -> rusqlite::Result<Option<Fate>> {
        let kinds = command.parts().iter().fold(0_u64, |kinds, part| kinds | 1 << part.kind as u32);
        let mut fates: Vec<(Kind, Fate)> = Vec::new();
        let mut answer = None;
        for (number, statement) in kind::statements(Dialect::Sqlite).iter().enumerate() {
            let Some(kind) = statement.kind else {
                for id in command.moved() {
                    self.execute(number, command, &Line::Moved(id), None, None)?;
                }
                continue;
            };
            if kinds & 1 << kind as u32 == 0 {
                continue;
            }
            let fate_of = |decider: Kind| fates.iter().find(|(kind, _)| *kind == decider).map(|(_, fate)| fate);
            let decider = match statement.role {
                Role::Follows(decider, number) => match fate_of(decider) {
                    Some(fate) if matches!(fate.word.as_str(), "yes" | "taken") && number.takes(fate.a) => Some(fate),
                    _ => continue,
                },
                Role::Decides { .. } | Role::Writes => None,
            };
            let ended = fate_of(Kind::Finish).map(|fate| fate.word.as_str());
            let mut decided = None;
            for part in command.parts().iter().filter(|part| part.kind == kind) {
                decided = self.execute(number, command, &Line::Part(part), decider, ended)?;
            }
            if let (Role::Decides { answers }, Some(fate)) = (statement.role, decided) {
                if answers {
                    answer = Some(fate.clone());
                }
                fates.push((kind, fate));
            }
        }
        Ok(answer)
    }

    /// Runs a statement for one line. The fate is that of its first row.
    fn execute(
        &mut self,
        number: usize,
        command: &Command,
        line: &Line<'_>,
        fate: Option<&Fate>,
        ended: Option<&str>,
    ) -> rusqlite::Result<Option<Fate>> {
        let (db, host) = (self.db, self.host);
        let kind::Statement { text, role, .. } = &kind::statements(Dialect::Sqlite)[number];
        let ready = match &mut self.statements[number] {
            Some(ready) => ready,
            empty => {
                let statement = db.prepare(text)?;
                let names = (1..=statement.parameter_count()).map(|index| statement.parameter_name(index));
                let bound = names.map(|name| Bound::of(name.unwrap_or_default())).collect();
                empty.insert(Ready { statement, bound })
            }
        };
        for (index, bound) in (1..).zip(&mut ready.bound) {
            let cell = match bound {
                Bound::Member(name, spot) => match line {
                    Line::Part(part) => member(part.row.get(name, spot)),
                    Line::Moved(id) => Cell::text(id.as_bytes()),
                },
                Bound::Bytes(name, spot) => match line {
                    Line::Part(part) => bytes(command, part.row.get(name, spot)),
                    Line::Moved(_) => Cell::Null,
                },
                Bound::Host => Cell::text(host.as_bytes()),
                Bound::Ended => ended.map_or(Cell::Null, |word| Cell::text(word.as_bytes())),
                Bound::Word => fate.map_or(Cell::Null, |fate| Cell::text(fate.word.as_bytes())),
                Bound::A => fate.map_or(Cell::Null, |fate| Cell::Number(fate.a.cast_signed())),
                Bound::B => fate.map_or(Cell::Null, |fate| Cell::Number(fate.b.cast_signed())),
                Bound::Detail => fate
                    .and_then(|fate| fate.detail.as_deref())
                    .map_or(Cell::Null, |detail| Cell::text(detail.as_bytes())),
            };
            ready.statement.raw_bind_parameter(index, cell)?;
        }
        if matches!(role, Role::Writes | Role::Follows(..)) {
            ready.statement.raw_execute()?;
            return Ok(None);
        }
        ready.statement.raw_query().next()?.map(read).transpose()
    }
}

/// A value on its way into a parameter.
enum Cell<'v> {
    Null,
    Number(i64),
    Real(f64),
    /// In UTF-8.
    Text(Cow<'v, [u8]>),
    Bytes(&'v [u8]),
}

impl<'v> Cell<'v> {
    /// SQLite's functions end a text at NUL: something visible takes its place.
    fn text(text: &'v [u8]) -> Self {
        if !text.contains(&0) {
            return Self::Text(Cow::Borrowed(text));
        }
        let parts: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
        Self::Text(Cow::Owned(parts.join("\u{fffd}".as_bytes())))
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn member(value: Option<Member<'_>>) -> Cell<'_> {
    match value {
        None | Some(Member::Null) => Cell::Null,
        Some(Member::Number(number)) => Cell::Number(number),
        Some(Member::Real(number)) => Cell::Real(number),
        Some(Member::Text(text)) => Cell::text(text),
    }
}

fn bytes<'c>(command: &'c Command, place: Option<Member<'_>>) -> Cell<'c> {
    match place {
        Some(Member::Text(place)) => {
            serde_json::from_slice::<Slice>(place).map_or(Cell::Null, |slice| Cell::Bytes(command.at(slice)))
        }
        _ => Cell::Null,
    }
}

/// A word, two numbers and a text.
fn read(row: &Row<'_>) -> rusqlite::Result<Fate> {
    let (a, b): (i64, i64) = (row.get(1)?, row.get(2)?);
    Ok(Fate { word: row.get(0)?, a: a.unsigned_abs(), b: b.unsigned_abs(), detail: row.get(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::samples;
    use serde_json::json;

    #[tokio::test]
    async fn the_engine_is_set_up_as_measured() {
        let (_folder, db) = samples::tables().await;
        for (pragma, expected) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("auto_vacuum", "2"),
            ("journal_size_limit", "67108864"),
            ("temp_store", "2"),
            ("page_size", "4096"),
            ("cache_size", "-4000"),
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

    #[tokio::test]
    async fn the_journal_is_carried_over_behind_commits() {
        use crate::store::behaviour::samples::{On, new, store};
        let (place, store) = store(On::Sqlite).await;
        for number in 0..600 {
            store.accept(new(&format!("{number:03}"), &number.to_string())).await.unwrap();
        }
        let journal = std::fs::metadata(place.path().with_file_name("store.db-wal")).unwrap().len();
        assert!((4_000 * 4096..5_000 * 4096).contains(&journal), "{journal}");
        store.close().await;
    }

    #[test]
    fn a_value_becomes_what_a_column_of_its_type_takes() {
        use rusqlite::types::Value as Stored;
        let db = Connection::open_in_memory().unwrap();
        let text = |text: &str| Stored::Text(text.to_owned());
        for (value, expected) in [
            (json!(null), Stored::Null),
            (json!(true), Stored::Integer(1)),
            (json!(-7), Stored::Integer(-7)),
            (json!(0.5), Stored::Real(0.5)),
            (json!(["a", 1]), text(r#"["a",1]"#)),
            (json!("plain"), text("plain")),
            (json!("a\u{0}b"), text("a\u{fffd}b")),
        ] {
            let row = crate::store::row::row!({ "value": value });
            let bound = member(row.get("value", &mut Spot::default()));
            let stored: Stored = db.query_row("SELECT ?1", [bound], |row| row.get(0)).unwrap();
            assert_eq!(stored, expected, "{value}");
        }
        let mut command = Command::default();
        let row = crate::store::row::row!({ "value": command.bytes(b"x") });
        let bound = bytes(&command, row.get("value", &mut Spot::default()));
        let stored: Stored = db.query_row("SELECT ?1", [bound], |row| row.get(0)).unwrap();
        assert_eq!(stored, Stored::Blob(b"x".to_vec()));
    }
}
