//! The hand on Postgres: one connection, one round trip for a transaction.
//!
//! A connection may be lost before the answer comes, and then nobody knows whether the transaction was committed. So each has a
//! number, which is stored with it, with the answer: on the next connection the same is asked again, and is either answered or
//! carried out. What may have been committed is never called refused: it waits for the server, however long that is away, and
//! meanwhile nobody else is let in.

use super::{Fates, apply};
use crate::store::address::{SCHEMA, Server};
use crate::store::command::{Command, Part, without_nul};
use crate::store::dialect::{Dialect, Text};
use crate::store::error::Failure;
use crate::store::row::Row;
use crate::store::writer::Fate;
use crate::store::{StoreError, hold};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The first wait for a server that is away, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What a hand that waits for its server and those who have something to write know of each other.
#[derive(Debug, Default)]
pub struct Door {
    shut: AtomicBool,
    closing: AtomicBool,
}

impl Door {
    /// Whether nothing can be written for now.
    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// The store is to be closed, whatever its server does. The next one to open it finds out what was written.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

/// The connection that writes, and how to get another one.
pub struct Hand {
    server: Server,
    host: String,
    patience: Duration,
    connection: Option<PgConnection>,
    /// Transactions so far.
    batch: i64,
    text: String,
    door: Arc<Door>,
}

/// What is asked of the server: a transaction, as rows and bytes, or statements that answer nothing.
enum Job<'j> {
    Apply(&'j str, &'j [&'j [u8]]),
    Run(&'static str),
}

/// Why something did not work.
enum Trouble {
    /// The connection is of no use any more, and what was asked was not done.
    Lost(Failure),
    /// There is no connection, and all patience was spent on hearing nothing.
    Silent,
    /// What was asked may have been done.
    Unknown(Failure),
    /// It was not done.
    Refused(Failure),
}

impl Hand {
    /// Over a connection that has the store, see [`hold`]; `host` is this opening of the store. Without a server it waits for
    /// `patience`, and then answers that there is none.
    pub fn new(connection: PgConnection, server: Server, host: String, patience: Duration) -> Self {
        let text = format!("SELECT {SCHEMA}.{}($1, $2, $3::jsonb, $4)", apply::name());
        Self { server, host, patience, connection: Some(connection), batch: 0, text, door: Arc::default() }
    }

    /// See there.
    pub fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// Carries the commands out, one after the other, all of them or none.
    pub async fn transact(&mut self, commands: &[Command]) -> Result<Fates, Failure> {
        let unreadable = |error: serde_json::Error| Failure::unavailable(format!("no answer of the database: {error}"));
        self.batch += 1;
        let rows: Vec<Rows<'_>> = commands.iter().map(Rows).collect();
        let rows = without_nul(serde_json::to_string(&rows).map_err(unreadable)?);
        let bytes: Vec<&[u8]> = commands.iter().map(Command::all_bytes).collect();
        let fates = self.insist(&Job::Apply(&rows, &bytes)).await?;
        let fates: Vec<Option<(String, i64, i64, Option<String>)>> =
            serde_json::from_str(&fates).map_err(unreadable)?;
        let fate = |(word, a, b, detail): (String, i64, i64, Option<String>)| Fate {
            word,
            a: a.unsigned_abs(),
            b: b.unsigned_abs(),
            detail,
        };
        Ok(fates.into_iter().map(|fates| fates.map(fate)).collect())
    }

    /// Runs statements that may as well run twice, as one transaction.
    pub async fn run(&mut self, statements: &'static str) -> Result<(), Failure> {
        self.insist(&Job::Run(statements)).await.map(drop)
    }

    /// Says that this host has ended, so that others need not wait for its lease, and closes the connection.
    pub async fn close(self) {
        // Also one that was taken for dead: from now on its end is proven.
        static GOODBYE: Text = Text::new(
            "UPDATE host SET ended = 'exit', ended_by = name, ended_at = coalesce(ended_at, {clock})
             WHERE id = $1 AND (ended IS NULL OR ended = 'expired')",
        );
        let Some(mut connection) = self.connection else { return };
        let bye = async {
            sqlx::query(GOODBYE.of(Dialect::Postgres)).bind(&self.host).execute(&mut connection).await?;
            connection.close().await
        };
        #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
        let bye = tokio::time::timeout(self.patience, bye).await;
        if !matches!(bye, Ok(Ok(()))) {
            tracing::debug!("the connection to the database was not closed in order");
        }
    }

    /// Does it over, on other connections, until it is known to be done or refused, or the patience is over.
    async fn insist(&mut self, job: &Job<'_>) -> Result<String, Failure> {
        let (mut waited, mut wait, mut silences, mut is_unknown) = (Duration::ZERO, WAITS.0, 0, false);
        loop {
            let failure = match self.attempt(job).await {
                Ok(done) => {
                    self.door.shut.store(false, Ordering::Release);
                    return Ok(done);
                }
                Err(Trouble::Refused(failure)) => {
                    self.door.shut.store(false, Ordering::Release);
                    return Err(failure);
                }
                Err(Trouble::Lost(failure)) => failure,
                Err(Trouble::Silent) => {
                    silences += 1;
                    silent()
                }
                Err(Trouble::Unknown(failure)) => {
                    is_unknown = matches!(job, Job::Apply(..));
                    failure
                }
            };
            // What is left of it must not be read as the next one's answer.
            self.connection = None;
            // After one silence another connection is tried: the old one may have been cut by something between.
            if waited >= self.patience || silences > 1 {
                if !is_unknown || self.door.closing.load(Ordering::Acquire) {
                    return Err(failure);
                }
                self.door.shut.store(true, Ordering::Release);
            }
            if waited.is_zero() {
                tracing::warn!(error = %failure.error(), "the connection to the database is lost");
            }
            #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
            tokio::time::sleep(wait).await;
            waited += wait;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    async fn attempt(&mut self, job: &Job<'_>) -> Result<String, Trouble> {
        if self.connection.is_none() {
            let connect = self.server.connect();
            #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
            let connected = tokio::time::timeout(self.patience, connect).await.map_err(|_| Trouble::Silent)?;
            let mut db = connected.map_err(|error| Trouble::Lost(Failure::of(&error)))?;
            hold::join(&mut db, &self.server).await.map_err(|error| match error {
                StoreError::Locked { holder, .. } => {
                    Trouble::Refused(Failure::unavailable(format!("{holder} has taken the store over")))
                }
                error => Trouble::Lost(Failure::unavailable(error.to_string())),
            })?;
            self.connection = Some(db);
            tracing::info!("connected to the database again");
        }
        let Some(db) = &mut self.connection else { return Err(Trouble::Silent) };
        let (text, host, batch) = (&self.text, &self.host, self.batch);
        let done = async {
            match job {
                Job::Apply(rows, bytes) => {
                    let query = sqlx::query_scalar(AssertSqlSafe(text.clone())).bind(host).bind(batch);
                    query.bind(*rows).bind(*bytes).fetch_one(db).await
                }
                Job::Run(statements) => sqlx::raw_sql(*statements).execute(db).await.map(|_| String::new()),
            }
        };
        #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
        let done = tokio::time::timeout(self.patience, done).await.map_err(|_| Trouble::Unknown(silent()))?;
        done.map_err(|error| trouble(&error))
    }
}

fn silent() -> Failure {
    Failure::unavailable("the database does not answer")
}

fn trouble(error: &sqlx::Error) -> Trouble {
    let failure = Failure::of(error);
    match error {
        // An answer, if only that it was not done.
        sqlx::Error::Database(_) => {}
        // Nobody was there any more to take it.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        error if is_lost(error) => return Trouble::Unknown(failure),
        _ => {}
    }
    match is_lost(error) {
        true => Trouble::Lost(failure),
        false => Trouble::Refused(failure),
    }
}

/// Whether another connection may have an answer.
pub fn is_lost(error: &sqlx::Error) -> bool {
    /// Shut down, crashed, starting, a session ended for being idle; become a standby; serialization, deadlock; too many
    /// connections.
    const PASSING: [&str; 8] = ["57P01", "57P02", "57P03", "57P05", "25006", "40001", "40P01", "53300"];
    match error {
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || PASSING.contains(&&*code))
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// A command as the function takes it: its rows by their kinds, and the operations that it moves.
struct Rows<'c>(&'c Command);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("k", &ByKind(self.0.parts()))?;
        map.serialize_entry("m", self.0.moved())?;
        map.serialize_entry("t", &told(self.0))?;
        map.end()
    }
}

/// What other hosts are told of it.
fn told(command: &Command) -> Vec<&str> {
    let mut told: Vec<&str> = command.rows_of_log().chain(command.subjects()).collect();
    if command.parts().iter().any(|part| part.kind.is_common()) {
        told.push("!");
    }
    told.sort_unstable();
    told.dedup();
    told
}

struct ByKind<'c>(&'c [Part]);

impl Serialize for ByKind<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (at, part) in self.0.iter().enumerate() {
            if self.0[..at].iter().any(|before| before.kind == part.kind) {
                continue;
            }
            let rows: Vec<&Row> =
                self.0[at..].iter().filter(|other| other.kind == part.kind).map(|part| &part.row).collect();
            map.serialize_entry(&format!("{:?}", part.kind), &rows)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::address::Address;
    use crate::store::behaviour::cluster::Database;
    use crate::store::behaviour::samples;
    use crate::store::{accept, claim, finish};
    use serde_json::Value;

    async fn hand(database: &Database) -> Hand {
        let Ok(Address::Postgres(server)) = Address::of(&database.url(), None) else { panic!("{}", database.url()) };
        let mut db = server.connect().await.unwrap();
        hold::join(&mut db, &server).await.unwrap();
        Hand::new(db, *server, "host".into(), Duration::from_secs(5))
    }

    fn words(fates: Fates) -> Vec<Option<String>> {
        fates.into_iter().map(|fate| fate.map(|fate| fate.word)).collect()
    }

    #[tokio::test]
    async fn what_was_committed_without_an_answer_is_answered_and_not_done_again() {
        let place = samples::Place::new(samples::On::Postgres).await;
        let mut hand = hand(place.database()).await;
        let commands = ["1", "2"].map(|name| accept::command(&samples::new(name, "42"), &place.sealer()).unwrap());
        let first = hand.transact(&commands).await.unwrap();
        assert_eq!(
            words(first.clone()),
            [Some("yes".to_owned()), Some("moved".to_owned())],
            "each sees the one before"
        );

        // As if the answer had not come.
        hand.batch -= 1;
        hand.connection = None;
        assert_eq!(hand.transact(&commands).await.unwrap(), first);
        assert_eq!(place.count("SELECT count(*) FROM operation").await, 1);

        // The same asked anew is judged anew.
        let again = hand.transact(&commands).await.unwrap();
        assert_eq!(words(again), [Some("moved".to_owned()), Some("moved".to_owned())]);

        // One that was given up comes too late, whatever it holds.
        hand.batch = 0;
        let late = [accept::command(&samples::new("3", "43"), &place.sealer()).unwrap()];
        let refused = hand.transact(&late).await.unwrap_err();
        assert!(!refused.is_local() && refused.error().to_string().contains("given up"), "{refused:?}");
        assert_eq!(place.count("SELECT count(*) FROM operation").await, 1);
    }

    #[tokio::test]
    async fn a_life_in_one_transaction() {
        let place = samples::Place::new(samples::On::Postgres).await;
        let mut hand = hand(place.database()).await;
        let sealer = place.sealer();
        let end = samples::finish("1", 1, crate::operation::State::Succeeded);
        let commands = [
            accept::command(&samples::new("1", "42"), &sealer).unwrap(),
            claim::command(&samples::id("1"), 0, &samples::mark(), 1),
            crate::store::begin::command(&samples::begin_in("1", "server", "s", 0), &sealer).unwrap(),
            crate::store::step::command(&samples::done("1", 1, "server", Value::from(7)), &sealer).unwrap(),
            finish::command(&end, &crate::store::model::Evidence::default(), &sealer).unwrap(),
        ];
        assert_eq!(words(hand.transact(&commands).await.unwrap()), [(); 5].map(|()| Some("yes".to_owned())));
    }

    #[test]
    fn what_another_connection_may_answer_is_told_from_what_is_refused() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(is_lost(&sqlx::Error::Io(io())));
        assert!(!is_lost(&sqlx::Error::RowNotFound) && !is_lost(&sqlx::Error::PoolClosed));
    }
}
