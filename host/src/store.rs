//! The store: operations, their journals, services, scopes and the module log, on SQLite or Postgres.
//!
//! One task writes, and takes whatever waits into one transaction. Every guard is judged inside that transaction, by the
//! database. Reads have connections of their own that cannot write: a thread for what every hook asks, a pool for the rest.

mod accept;
mod address;
mod again;
mod backlog;
mod backup_sqlite;
mod begin;
mod change;
mod claim;
mod command;
mod condition;
mod copy;
mod depth;
mod dialect;
mod error;
mod evidence;
mod extent_sqlite;
mod file;
mod finish;
mod forget;
mod growth;
mod hand;
mod hold;
mod hosts;
mod inspect_sqlite;
mod journals;
mod json_text;
mod kind;
mod lease;
mod life;
mod logs;
mod look;
pub mod model;
mod news;
mod notices;
mod operations;
mod pauses;
mod placing;
mod prune;
mod reader;
mod register;
mod release;
mod rescue;
mod reseal;
mod restore_sqlite;
mod room_sqlite;
mod row;
mod schema;
mod seals;
mod search;
mod secrets;
mod services;
mod steer;
mod step;
mod terms_sqlite;
mod timeline;
mod traffic;
mod trust;
mod words;
mod writer;

#[cfg(test)]
pub(crate) mod behaviour;

pub use self::backup_sqlite::{backup, draft};
pub use self::condition::Failure;
pub use self::copy::{Copied, CopiedPart, CopyError, CopyOptions, Copying, copy, survey};
pub use self::error::StoreError;
pub use self::file::make_folder;
pub use self::hosts::{EndSaid, HostEnd, HostFacts, HostWork};
pub use self::inspect_sqlite::{Inspected, inspect};
pub use self::json_text::JsonText;
pub use self::lease::LeaseTimes;
pub use self::life::Life;
pub use self::model::*;
pub use self::news::{Follower, Heard};
pub use self::prune::{Of as PruneOf, Walk};
pub use self::reseal::Resealing;
pub use self::restore_sqlite::{RestoreError, restore};
pub use self::traffic::{Parked, Traveller};
pub use self::words::Sought;

#[cfg(test)]
pub(crate) use self::words::number as words_number;

use self::address::{Address, Server};
use self::command::Command;
use self::dialect::Text;
use self::file::Lock;
use self::hand::Hand;
use self::lease::Lease;
use self::look::Looker;
use self::news::News;
use self::reader::Pool;
use self::writer::Writer;
use crate::awake::Awake;
use crate::body::{self, Packed};
use crate::clock::{SharedClock, SystemClock};
use crate::seal::Sealer;
use billhook_plugin_api::Secret;
use prometheus_client::metrics::histogram::Histogram;
use sqlx::Connection;
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// A commit that changes nothing.
static PROBE: Text =
    Text::twins("BEGIN IMMEDIATE; UPDATE store SET schema = schema; COMMIT", "UPDATE store SET schema = schema");

/// A question to the one that writes.
static QUESTION: Text = Text::new("SELECT 1");

/// When a [`CommitTap`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of the transaction is durable.
    Before,
    /// All of it is, and nobody has been told.
    After,
}

/// Called around every durable commit, so that a test can end the host there. Absent in the product.
pub trait CommitTap: Send + Sync {
    /// `number` counts the commits of this opening, from 1. The commit, or its answers, wait for the future.
    fn commit(&self, moment: Moment, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Longer bodies are cut in the middle, bytes.
    pub body_cap: usize,
    /// Connections that read.
    pub readers: u32,
    /// See [`CommitTap`].
    pub tap: Option<Arc<dyn CommitTap>>,
    /// The password for a server, where the address has none.
    pub password: Option<Secret<String>>,
    /// How long a write waits for a server that is away, before it is answered that the store is unavailable.
    pub patience: Duration,
    /// How people call this host, where a store may have several; its machine's name when absent.
    pub name: Option<String>,
    /// Tells this host from every other; found out when absent. A test may give an earlier one an end that is proven.
    pub life: Option<Life>,
    /// How long the host may work without a sign of life.
    pub lease: LeaseTimes,
    /// How often is looked after what no notice may have told.
    pub poll: Duration,
    /// By which the host knows how long it gave no sign of life; the machine's when absent.
    pub clock: Option<SharedClock>,
    /// Whether its threads stay awake for a moment.
    pub awake: Awake,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            body_cap: 64 * 1024,
            readers: 4,
            tap: None,
            password: None,
            patience: Duration::from_secs(30),
            name: None,
            life: None,
            lease: LeaseTimes::default(),
            poll: Duration::from_secs(1),
            clock: None,
            awake: Awake::default(),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("body_cap", &self.body_cap)
            .field("readers", &self.readers)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// An open store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    reader: Arc<Pool>,
    looker: Looker,
    sealer: Arc<Sealer>,
    body_cap: usize,
    facts: StoreFacts,
    host: String,
    /// As people call it.
    name: String,
    life: Life,
    /// Where a store may have several hosts.
    lease: Option<Lease>,
    /// The numbers of those that had ended before this one came.
    earlier: HashSet<u64>,
    watching: Mutex<hosts::Watching>,
    poll: Duration,
    closed: CancellationToken,
    /// Of the file, where it is one.
    path: Option<PathBuf>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Store {
    /// Opens the store at `url` (`sqlite://` and an absolute path, or `postgres://` and a database), making it if there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] while another process has it; [`StoreError::TooOld`], [`StoreError::ServerTooOld`],
    /// [`StoreError::NewerSchema`], [`StoreError::Retired`], [`StoreError::Open`]: see there.
    pub async fn open(url: &str, sealer: Sealer, options: StoreOptions) -> Result<Self, StoreError> {
        let life = options.life.clone().unwrap_or_else(Life::own);
        let name = options.name.clone().unwrap_or_else(|| life.name.clone());
        let this = This { id: schema::new_id()?, name, life };
        let sealer = Arc::new(sealer);
        let opened = match Address::of(url, options.password.as_ref())? {
            Address::Sqlite(path) => open_file(path, &this, &sealer, &options).await?,
            Address::Postgres(server) => open_server(*server, &this, &sealer, &options).await?,
        };
        let Opened { hand, worker, reader, looker, facts, path, shared } = opened;
        let (news, closed) = (Arc::<News>::default(), CancellationToken::new());
        let writer = Writer::start(hand, worker, options.tap, Arc::clone(&news), options.awake)?;
        let (lease, earlier) = match shared {
            None => (None, HashSet::new()),
            Some(Shared { lease, earlier, listener, server }) => {
                tokio::spawn(notices::tell(listener, server, this.id.clone(), news, closed.clone()));
                (Some(lease), earlier)
            }
        };
        let times = lease.as_ref().map(|lease| lease.times);
        let This { id: host, name, life } = this;
        let inner = Arc::new(Inner {
            writer,
            reader,
            looker,
            sealer,
            body_cap: options.body_cap,
            facts,
            host,
            name,
            life,
            lease,
            earlier,
            watching: Mutex::default(),
            poll: options.poll,
            closed: closed.clone(),
            path,
        });
        // Ends by itself; with the store at the latest.
        tokio::spawn(backlog::index(Arc::downgrade(&inner)));
        if let Some(times) = times {
            tokio::spawn(Self::beat(Arc::downgrade(&inner), times.renew, closed));
        }
        Ok(Self { inner })
    }

    /// What other hosts commit; `None` in it: something may have been missed.
    pub fn elsewhere(&self) -> broadcast::Receiver<Arc<Option<Heard>>> {
        self.inner.writer.news().elsewhere()
    }

    /// Looks at a database on a server, and changes nothing.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open); another host that has it is none.
    pub async fn look_at(url: &str, options: &StoreOptions) -> Result<Look, StoreError> {
        match Address::of(url, options.password.as_ref())? {
            Address::Postgres(server) => {
                let mut db = server.connect().await.map_err(|error| server.unreached(&error))?;
                let look = schema::postgres::look(&mut db, &server).await;
                // Whatever becomes of the connection: nothing was asked of it that could be lost.
                let _ = db.close().await;
                look
            }
            Address::Sqlite(path) => Err(StoreError::Open { path, why: "it is no address of a server".to_owned() }),
        }
    }

    /// What the store takes on its server, bytes; none where it is a file.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.inner.reader.size().await
    }

    /// Follows an operation: hears of each commit that is about it.
    pub fn follow(&self, id: &OperationId) -> Follower {
        self.inner.writer.news().follow(&id.0)
    }

    /// Follows the log: hears which entries' rows were made or changed, commit by commit. Who is too far behind is told so.
    pub fn follow_log(&self) -> broadcast::Receiver<Arc<[String]>> {
        self.inner.writer.news().rows()
    }

    /// Why nothing can be written, as the last commit showed.
    pub fn failure(&self) -> Option<Failure> {
        self.inner.writer.condition().failure()
    }

    /// Lets a test spoil the database.
    #[cfg(test)]
    pub(crate) async fn tend(&self, statements: &'static str) -> Result<(), StoreError> {
        self.inner.writer.tend(Box::leak(Box::new(Text::new(statements)))).await
    }

    /// Whether the writer answers, and a commit goes through where the last one did not.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn answers(&self) -> Result<(), StoreError> {
        let writer = &self.inner.writer;
        writer.tend(if writer.condition().failure().is_some() { &PROBE } else { &QUESTION }).await
    }

    /// Takes up an operation of this host that nobody runs any more, as [`rescue`](Self::rescue) does those of a dead one.
    /// `false`: it has moved.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn reclaim(&self, id: &OperationId, run: u64, settle_ms: u64, now: u64) -> Result<bool, StoreError> {
        let fate = self.inner.writer.decide(rescue::own(id, run, settle_ms, self.host_number(), now)).await?;
        Ok(fate.detail.is_some_and(|detail| detail != "[]"))
    }

    /// What the store says of itself.
    pub fn facts(&self) -> &StoreFacts {
        &self.inner.facts
    }

    /// Says that somebody is at work towards a write, so that the next commit waits for it; see [`Traveller`].
    pub fn enter(&self) -> Traveller {
        self.inner.writer.traffic().enter()
    }

    /// Durable write transactions since it was opened.
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits()
    }

    /// How long those took, in seconds. Shared: it goes on counting.
    pub fn commit_times(&self) -> Histogram {
        self.inner.writer.commit_times()
    }

    /// Parts of the module log that were dropped since it was opened, because nothing could be committed.
    pub fn dropped(&self) -> u64 {
        self.inner.writer.dropped()
    }

    /// Stores a new operation, claimed where [`NewOperation::claim`] asks for it and the service's order allows.
    ///
    /// # Errors
    ///
    /// As every write: [`StoreError::Unavailable`] when nothing can be written now, [`StoreError::Rejected`] when this
    /// cannot be written ever; neither stored anything.
    pub async fn accept(&self, new: NewOperation) -> Result<Accepted, StoreError> {
        self.try_accept(&new).await
    }

    /// The same, for whoever goes on with it.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn try_accept(&self, new: &NewOperation) -> Result<Accepted, StoreError> {
        accept::answer(&self.inner.writer.decide(accept::command(new, &self.inner.sealer)?).await?)
    }

    /// Queues a failed operation again with new content and no attempts. `false`: it, or its service, has moved.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn again(&self, again: Again) -> Result<bool, StoreError> {
        self.says_yes(again::command(&again, &self.inner.sealer)?).await
    }

    /// Takes up a queued or waiting operation that was read with `run`. The answer is the run of the claim.
    ///
    /// `None`: it has moved, or something else of the service is active.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn claim(
        &self,
        id: &OperationId,
        run: u64,
        mark: ClaimMark,
        now: u64,
    ) -> Result<Option<u64>, StoreError> {
        let fate = self.inner.writer.decide(claim::command(id, run, &mark, now)).await?;
        Ok((fate.word == "yes").then_some(fate.a))
    }

    /// Writes *begun* and takes the scope, unless something speaks against it in that very commit.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        Ok(begin::answer(&self.inner.writer.decide(begin::command(&begin, &self.inner.sealer)?).await?))
    }

    /// Writes how far a step is. What a claim said to touch stays touched, whatever the journal's effects say.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn write_step(&self, write: StepWrite) -> Result<Written, StoreError> {
        self.try_write_step(&write).await
    }

    /// The same, for whoever may have to write it again.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn try_write_step(&self, write: &StepWrite) -> Result<Written, StoreError> {
        step::answer(&self.inner.writer.decide(step::command(write, &self.inner.sealer)?).await?)
    }

    /// Ends an attempt. The evidence is kept even where another claim has the operation.
    ///
    /// In a final state the secrets of its steps go, and what it had passed may go on (or ends, with
    /// [`Finish::end_passed`]). A remote id that another live service of the panel has is not stored.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn finish(&self, finish: Finish, evidence: Evidence) -> Result<Finished, StoreError> {
        self.try_finish(&finish, &evidence).await
    }

    /// The same, for whoever may have to do it again.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn try_finish(&self, finish: &Finish, evidence: &Evidence) -> Result<Finished, StoreError> {
        let inner = &self.inner;
        let command = finish::command(finish, evidence, &inner.sealer)?;
        Ok(finish::answer(&inner.writer.decide(command).await?))
    }

    /// Carries out a person's decision, and notes it in the log. `false`: the operation has moved.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn steer(&self, steer: Steer) -> Result<bool, StoreError> {
        self.says_yes(steer::command(&steer, &self.inner.sealer)?).await
    }

    /// A masked body as it is stored. It may be made long before its exchange is, and by any thread.
    pub fn pack(&self, text: &str) -> Packed {
        body::pack(text.as_bytes(), self.inner.body_cap)
    }

    /// Leaves evidence for the next commit, or for [`flush`](Self::flush). It may be lost with the host until then.
    ///
    /// Bounded: a megabyte that waits gets a commit of its own; what cannot be committed for long is dropped and counted
    /// in the daemon's log.
    pub fn record(&self, evidence: Evidence) {
        self.inner.writer.ride(writer::evidence_command(&evidence));
    }

    /// Leaves the log entry of a reading hook for the next commit; returns at once, as [`record`](Self::record).
    ///
    /// # Errors
    ///
    /// None so far.
    #[expect(clippy::unused_async, reason = "another backend may have to wait here")]
    pub async fn read_over(&self, reading: Reading, evidence: Evidence) -> Result<(), StoreError> {
        let mut command = Command::default();
        evidence::reading(&mut command, &reading);
        evidence::rows(&mut command, &evidence);
        self.inner.writer.ride(command);
        Ok(())
    }

    /// Changes a service outside an operation, as a poll does. `false`: it is not in this epoch any more.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn change_service(
        &self,
        key: &ServiceKey,
        epoch: u32,
        change: ServiceChange,
        now: u64,
    ) -> Result<bool, StoreError> {
        self.says_yes(change::command(key, epoch, &change, now, &self.inner.sealer)?).await
    }

    /// The platform has the secrets of the result: they go. `false`: there were none to acknowledge.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn acknowledge(&self, id: &OperationId, now: u64) -> Result<bool, StoreError> {
        self.says_yes(secrets::acknowledge(id, now)).await
    }

    /// Removes the secrets of results that nobody acknowledged and whose operations finished before `older_than` (Unix
    /// milliseconds). The answer is of how many operations.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn expire_secrets(&self, older_than: u64, now: u64) -> Result<u64, StoreError> {
        Ok(self.inner.writer.decide(secrets::expire(older_than, now)).await?.a)
    }

    /// Queues what hosts that have ended were running, in commands of some hundred, so that hooks may be served meanwhile: what
    /// this opening of the store has claimed, or another host that lives, is left alone.
    ///
    /// A step that had begun is doubted from now on; where the end of its host is not proven it says so. Where a convergent hook
    /// may have changed something, the service gets the milliseconds that `settle_ms` gives for the name of its server.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept); what was rescued before stays rescued.
    pub async fn rescue(
        &self,
        now: u64,
        settle_ms: impl Fn(&str) -> u64 + Send,
    ) -> Result<Vec<OperationId>, StoreError> {
        let mut rescued = Vec::new();
        loop {
            let lost = self.lost(rescue::LINES).await?;
            if lost.is_empty() {
                return Ok(rescued);
            }
            let lines: Vec<_> = lost.into_iter().map(|(id, server)| (id, settle_ms(&server))).collect();
            let fate = self.inner.writer.decide(rescue::command(&lines, self.host_number(), now)).await?;
            let lines: Vec<(OperationId, u64, Option<String>)> =
                serde_json::from_str(fate.detail.as_deref().unwrap_or("[]"))
                    .map_err(|error| StoreError::Rejected(error.to_string()))?;
            if lines.is_empty() {
                return Ok(rescued);
            }
            rescued.extend(lines.into_iter().map(|(id, ..)| id));
        }
    }

    /// Commits what waits; everything recorded before is durable afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the store is closed.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.inner.writer.write(Command::default()).await.map(drop)
    }

    /// Writes what waits, checkpoints, and gives the store back. Every clone is closed with it.
    pub async fn close(&self) {
        self.inner.closed.cancel();
        if let Some(lease) = &self.inner.lease {
            // Nothing may leave behind the word that this host has ended.
            lease.end("itself".to_owned());
        }
        self.inner.reader.close().await;
        self.inner.looker.close().await;
        self.inner.writer.close().await;
    }

    async fn says_yes(&self, command: Command) -> Result<bool, StoreError> {
        Ok(self.inner.writer.decide(command).await?.word == "yes")
    }
}

/// What a store is made of, whatever it is on.
struct Opened {
    hand: Hand,
    worker: Option<hand::Worker>,
    reader: Arc<Pool>,
    looker: Looker,
    facts: StoreFacts,
    path: Option<PathBuf>,
    shared: Option<Shared>,
}

/// This host, as it is told from others.
struct This {
    id: String,
    name: String,
    life: Life,
}

/// What a host has of which there may be several.
struct Shared {
    lease: Lease,
    earlier: HashSet<u64>,
    listener: sqlx::postgres::PgListener,
    server: Server,
}

async fn open_file(
    path: PathBuf,
    this: &This,
    sealer: &Arc<Sealer>,
    options: &StoreOptions,
) -> Result<Opened, StoreError> {
    file::prepare(&path)?;
    let lock = Lock::take(&path).await?;
    let failed = |error: sqlx::Error| StoreError::of_open(&path, StoreError::of(&error));
    let mut db = writer::connect(&path).await.map_err(failed)?;
    let facts = schema::migrate(&mut db).await.map_err(|error| StoreError::of_open(&path, error))?;
    schema::drop_copy(&mut db).await.map_err(|error| StoreError::of_open(&path, error))?;
    db.close().await.map_err(failed)?;
    let db = hand::open(&path).map_err(|error| StoreError::of_open(&path, StoreError::of_hand(&error)))?;
    let reader = Arc::new(Pool::of_file(&path, options.readers).await.map_err(failed)?);
    let looker = Looker::Sqlite(look::Thread::start(&path, Arc::clone(sealer), options.awake.clone())?);
    let (hand, worker) = hand::Sqlite::new(db, path.clone(), this.id.clone(), lock);
    Ok(Opened { hand: Hand::Sqlite(hand), worker: Some(worker), reader, looker, facts, path: Some(path), shared: None })
}

async fn open_server(
    server: Server,
    this: &This,
    sealer: &Arc<Sealer>,
    options: &StoreOptions,
) -> Result<Opened, StoreError> {
    let mut db = server.connect().await.map_err(|error| server.unreached(&error))?;
    hold::join(&mut db, &server).await?;
    let facts = schema::postgres::migrate(&mut db, &server).await?;
    // Before others know of this host, so that it hears whatever they tell it.
    let listener = notices::listen(&server).await.map_err(|error| server.refused(error.to_string()))?;
    let clock = options.clock.clone().unwrap_or_else(SystemClock::shared);
    let began = clock.boot_time();
    let key = sealer.key_id().to_string();
    let earlier = register::register(&mut db, &server, this, &key, &options.lease).await?;
    let lease = Lease::new(clock, options.lease, began);
    let reader = Arc::new(Pool::of_server(&server, options.readers));
    let looker = Looker::Postgres(Arc::clone(&reader), Arc::clone(sealer));
    let hand = hand::postgres::Hand::new(db, server.clone(), this.id.clone(), options.patience);
    let shared = Some(Shared { lease, earlier, listener, server });
    Ok(Opened { hand: Hand::Postgres(Box::new(hand)), worker: None, reader, looker, facts, path: None, shared })
}
