//! The one task that writes. It takes whatever waits into one transaction; there is no timer.
//!
//! On SQLite it has a thread, which runs the statements as well: on the host's runtime each transaction would begin when those
//! tasks have had their turns that the last one woke, and neither would work while the other does.

use super::command::{Command, MAX_COMMANDS, Pass};
use super::condition::Condition;
use super::dialect::{Dialect, Text};
use super::hand::postgres::Door;
use super::hand::{Fates, Hand, Transacted, Worker};
use super::model::Evidence;
use super::news::News;
use super::traffic::Traffic;
use super::{CommitTap, Moment, StoreError, evidence, words};
use crate::awake::Awake;
use futures_util::future;
use prometheus_client::metrics::histogram::Histogram;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::{Notify, mpsc, oneshot};

/// Commands that may wait: four full transactions. Beyond that a sender waits for room, and so do its callers.
const WAITING: usize = 4 * MAX_COMMANDS;

/// Evidence that waits for a commit to ride along with; beyond that it gets one of its own.
const RIDERS_BYTES: usize = 1024 * 1024;

/// Evidence that is kept while nothing can be committed; beyond that the newest is dropped, and counted.
const RIDERS_MOST_BYTES: usize = 16 * 1024 * 1024;

/// Upper ends of the time that a commit takes, seconds: from a disk in memory to one that is dying.
const SECONDS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// What the deciding statement said of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// `yes`, or why not.
    pub word: String,
    /// A number, as the kind means it.
    pub a: u64,
    /// Another.
    pub b: u64,
    /// JSON, as the kind means it.
    pub detail: Option<String>,
}

type Reply = oneshot::Sender<Result<Option<Fate>, StoreError>>;

type Tended = oneshot::Sender<Result<(), StoreError>>;

#[derive(Debug)]
enum Message {
    Write(Command, Reply),
    Tend(&'static Text, Tended),
    Close(oneshot::Sender<()>),
}

/// Evidence on its way.
#[derive(Debug, Default)]
struct Riders {
    commands: Vec<Command>,
    size: usize,
    dropped: u64,
}

/// The sending half.
#[derive(Debug)]
pub struct Writer {
    sender: mpsc::Sender<Message>,
    riders: Arc<Mutex<Riders>>,
    crowded: Arc<Notify>,
    commits: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
    news: Arc<News>,
    times: Histogram,
    condition: Condition,
    door: Arc<Door>,
}

/// A connection to a store that nobody serves from yet: makes the tables, and brings them up to date.
pub async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(false)
        .page_size(4096)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0")
        .disable_statement_logging();
    options.connect().await
}

impl Writer {
    /// Starts the task, on a thread of its own if there is a worker to run beside it. It ends when this is dropped, after writing
    /// what waits, or with the runtime that this is called on.
    pub fn start(
        hand: Hand,
        worker: Option<Worker>,
        tap: Option<Arc<dyn CommitTap>>,
        news: Arc<News>,
        awake: Awake,
    ) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writer = Self {
            sender,
            riders: Arc::default(),
            crowded: Arc::default(),
            commits: Arc::default(),
            traffic: Arc::default(),
            news,
            times: Histogram::new(SECONDS),
            condition: Condition::default(),
            door: hand.door(),
        };
        let task = Task {
            hand,
            tap,
            commits: writer.commits.clone(),
            times: writer.times.clone(),
            condition: writer.condition.clone(),
            riders: writer.riders.clone(),
            crowded: writer.crowded.clone(),
            traffic: writer.traffic.clone(),
            news: writer.news.clone(),
            // On the host's runtime it would keep others from what they have to do.
            awake: worker.is_some().then_some(awake),
            queue: VecDeque::new(),
            chores: VecDeque::new(),
            // Whether an earlier opening left words is seen by a move, not worth a question at the start.
            worded: words::WORTH_MOVING / 2,
        };
        // Joined by `close`; dropped handles end it by closing its channel.
        match worker {
            None => drop(tokio::spawn(task.run(receiver))),
            Some(worker) => on_a_thread(task.run(receiver), worker)?,
        }
        Ok(writer)
    }

    /// Writes the command; returns after the commit that holds it.
    pub async fn write(&self, command: Command) -> Result<Option<Fate>, StoreError> {
        if self.door.is_shut() {
            return Err(StoreError::Unavailable("its server is away".to_owned()));
        }
        let (reply, answer) = oneshot::channel();
        self.sender.send(Message::Write(command, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Writes a command that has a fate.
    pub async fn decide(&self, command: Command) -> Result<Fate, StoreError> {
        self.write(command).await?.ok_or_else(|| StoreError::Rejected("the database decided nothing".to_owned()))
    }

    /// Runs statements that tend the database itself, between two commits.
    pub async fn tend(&self, statements: &'static Text) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(Message::Tend(statements, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Leaves it for the next commit.
    pub fn ride(&self, command: Command) {
        if command.is_empty() {
            return;
        }
        let mut riders = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        let size = command.size();
        if riders.size + size > RIDERS_MOST_BYTES {
            riders.dropped += 1;
            if riders.dropped.is_power_of_two() {
                tracing::warn!(dropped = riders.dropped, "evidence is dropped: the store commits nothing");
            }
            return;
        }
        riders.size += size;
        riders.commands.push(command);
        if riders.size > RIDERS_BYTES {
            self.crowded.notify_one();
        }
    }

    /// What the last commit showed.
    pub const fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Who is on the way to a commit.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Where commits are heard of.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// Durable transactions so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// How long they took.
    pub fn commit_times(&self) -> Histogram {
        self.times.clone()
    }

    /// Evidence that was dropped so far.
    pub fn dropped(&self) -> u64 {
        self.riders.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }

    /// Writes what waits, checkpoints, closes. What comes later is refused.
    pub async fn close(&self) {
        self.door.close();
        let (done, closed) = oneshot::channel();
        if self.sender.send(Message::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// Runs the task and the worker that it has its statements run by, until both have ended or the caller's runtime has.
fn on_a_thread(task: impl Future<Output = ()> + Send + 'static, worker: Worker) -> Result<(), StoreError> {
    let (alive, ended) = oneshot::channel::<()>();
    // Never sent: it goes when the runtime drops its tasks.
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(alive);
    });
    let task = async move {
        tokio::select! {
            biased;
            _ = ended => {}
            () = task => {}
        }
    };
    let run = move || match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => drop(runtime.block_on(future::join(task, worker.run()))),
        Err(error) => tracing::error!(%error, "nothing can be written: a thread has no runtime"),
    };
    let thread = std::thread::Builder::new().name("store-writer".into());
    let started = thread.spawn(run);
    started.map_err(|error| StoreError::Unavailable(format!("no thread can be started: {error}")))?;
    Ok(())
}

/// What a closed store answers.
pub fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

struct Pending {
    command: Command,
    reply: Reply,
}

struct Task {
    hand: Hand,
    tap: Option<Arc<dyn CommitTap>>,
    commits: Arc<AtomicU64>,
    times: Histogram,
    condition: Condition,
    riders: Arc<Mutex<Riders>>,
    crowded: Arc<Notify>,
    traffic: Arc<Traffic>,
    news: Arc<News>,
    awake: Option<Awake>,
    queue: VecDeque<Pending>,
    /// What the database itself needs.
    chores: VecDeque<(&'static Text, Tended)>,
    /// About how many rows have words that wait to be indexed.
    worded: usize,
}

impl Task {
    async fn run(mut self, mut receiver: mpsc::Receiver<Message>) {
        let crowded = self.crowded.clone();
        let (mut leaving, mut nudged) = (None, false);
        loop {
            while self.queue.len() < WAITING
                && let Ok(message) = receiver.try_recv()
            {
                self.take(message, &mut leaving);
            }
            if leaving.is_some() {
                receiver.close();
            }
            if self.queue.is_empty() && self.chores.is_empty() && !nudged {
                if self.worded >= words::WORTH_MOVING {
                    self.index().await;
                    continue;
                }
                if leaving.is_some() {
                    break;
                }
                if let Some(awake) = &self.awake {
                    awake.look_out(|| !receiver.is_empty());
                }
                tokio::select! {
                    message = receiver.recv() => match message {
                        Some(message) => self.take(message, &mut leaving),
                        None => break,
                    },
                    () = crowded.notified() => nudged = true,
                }
                continue;
            }
            nudged = false;
            // No timer: on an idle host nobody is on the way.
            self.traffic.gathered(self.queue.len()).await;
            while self.queue.len() < WAITING
                && let Ok(message) = receiver.try_recv()
            {
                self.take(message, &mut leaving);
            }
            self.pass().await;
            while let Some((statements, reply)) = self.chores.pop_front() {
                let done = self.hand.run(statements).await.map_err(|failure| failure.error());
                // A question that changes nothing says nothing of the disk.
                if done.is_err() || statements.of(Dialect::Sqlite).contains("COMMIT") {
                    self.condition.saw(done.as_ref().copied());
                }
                // Whoever asked may be gone.
                let _ = reply.send(done);
            }
            if self.worded >= words::MOST_WAITING {
                self.index().await;
            }
        }
        // What rides along has waited for a commit that does not come any more.
        self.pass().await;
        self.hand.close().await;
        if let Some(done) = leaving {
            let _ = done.send(());
        }
    }

    /// Moves the words that wait into the index. Nobody waits for it, and it may be lost: then they are moved another time.
    async fn index(&mut self) {
        self.worded = 0;
        if let Err(failure) = self.hand.run(&words::MOVE).await {
            tracing::warn!(error = %failure.error(), "words of the log could not be indexed; searches read them where they are");
        }
    }

    fn take(&mut self, message: Message, leaving: &mut Option<oneshot::Sender<()>>) {
        match message {
            Message::Write(command, reply) => self.queue.push_back(Pending { command, reply }),
            Message::Tend(statements, reply) => self.chores.push_back((statements, reply)),
            // Of two that close, the later one learns by its dropped sender.
            Message::Close(done) => *leaving = Some(done),
        }
    }

    /// One transaction with what fits into it, in the order in which it came.
    async fn pass(&mut self) {
        let (mut commands, mut replies) = (Vec::new(), Vec::new());
        let mut pass = Pass::default();
        while let Some(pending) = self.queue.pop_front_if(|pending| pass.admits(&pending.command)) {
            commands.push(pending.command);
            replies.push(Some(pending.reply));
        }
        {
            let mut riders = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
            riders.size = 0;
            commands.append(&mut riders.commands);
        }
        replies.resize_with(commands.len(), || None);
        match self.commit(commands).await {
            (commands, Ok(fates)) => self.deliver(&commands, replies, fates),
            (commands, Err(failure)) if failure.is_local() && commands.len() > 1 => {
                self.each_alone(commands, replies).await;
            }
            (commands, Err(failure)) => {
                let is_local = failure.is_local();
                let mut riders = Vec::new();
                for (command, reply) in commands.into_iter().zip(replies) {
                    match reply {
                        None if !is_local => riders.push(command),
                        reply => answer(reply, Err(failure.error())),
                    }
                }
                self.ride_later(riders);
            }
        }
    }

    fn ride_later(&self, riders: Vec<Command>) {
        if riders.is_empty() {
            return;
        }
        let mut waiting = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        let since = std::mem::replace(&mut waiting.commands, riders);
        waiting.commands.extend(since);
        waiting.size = waiting.commands.iter().map(Command::size).sum();
    }

    /// One of them cannot be stored: it shall not hurt the others.
    async fn each_alone(&mut self, commands: Vec<Command>, replies: Vec<Option<Reply>>) {
        for (command, reply) in commands.into_iter().zip(replies) {
            match self.commit(vec![command]).await {
                (commands, Ok(fates)) => self.deliver(&commands, vec![reply], fates),
                (_, Err(failure)) => answer(reply, Err(failure.error())),
            }
        }
    }

    fn deliver(&mut self, commands: &[Command], replies: Vec<Option<Reply>>, fates: Fates) {
        self.worded += commands.iter().map(Command::worded).sum::<usize>();
        self.news.tell(commands.iter());
        for (reply, fate) in replies.into_iter().zip(fates) {
            answer(reply, Ok(fate));
        }
    }

    async fn commit(&mut self, commands: Vec<Command>) -> Transacted {
        if commands.iter().all(Command::is_empty) {
            let fates = commands.iter().map(|_| None).collect();
            return (commands, Ok(fates));
        }
        // A sign of life by itself is no work: those who count commits count those of hooks.
        let is_work = !commands.iter().all(|command| command.is_sign() || command.is_empty());
        let number = self.commits.load(Ordering::Acquire) + u64::from(is_work);
        if is_work {
            self.tap(Moment::Before, number).await;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the disk does not follow a test's clock; nothing is decided by it"
        )]
        let began = Instant::now();
        let (commands, result) = self.hand.transact(commands).await;
        match &result {
            Ok(_) => self.condition.saw(Ok(())),
            Err(failure) if !failure.is_local() => self.condition.saw(Err(&failure.error())),
            Err(_) => {}
        }
        if result.is_ok() {
            self.times.observe(began.elapsed().as_secs_f64());
            self.commits.store(number, Ordering::Release);
            if is_work {
                self.tap(Moment::After, number).await;
            }
        }
        (commands, result)
    }

    async fn tap(&self, moment: Moment, number: u64) {
        if let Some(tap) = &self.tap {
            tap.commit(moment, number).await;
        }
    }
}

/// Who left evidence to ride along waits for no answer.
fn answer(reply: Option<Reply>, result: Result<Option<Fate>, StoreError>) {
    match (reply, result) {
        // Whoever asked may be gone; what is written is written.
        (Some(reply), result) => drop(reply.send(result)),
        (None, Ok(_)) => {}
        (None, Err(error)) => tracing::warn!(%error, "evidence was not stored"),
    }
}

/// Evidence as a command without guards.
pub fn evidence_command(evidence: &Evidence) -> Command {
    let mut command = Command::default();
    evidence::rows(&mut command, evidence);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::samples::Gate;
    use crate::store::file::{self, Lock};
    use crate::store::model::Note;
    use crate::store::{hand, schema};

    fn notes(text: &str) -> Command {
        let note = Note { owner: "op_1".into(), run: 1, at: 1, kind: "note".into(), text: text.into() };
        evidence_command(&Evidence { notes: vec![note], ..Evidence::default() })
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_all_and_what_fits_is_written_afterwards() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("db");
        file::prepare(&path).unwrap();
        let lock = Lock::take(&path).await.unwrap();
        schema::migrate(&mut connect(&path).await.unwrap()).await.unwrap();
        let db = hand::open(&path).unwrap();
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        db.query_row(&format!("PRAGMA max_page_count = {}", pages + 20), [], |_| Ok(())).unwrap();
        let (hand, worker) = hand::Sqlite::new(db, path.clone(), "host".into(), lock);
        let gate = Arc::<Gate>::default();
        let writer =
            Writer::start(Hand::Sqlite(hand), Some(worker), Some(gate.clone()), Arc::default(), Awake::default())
                .unwrap();

        let long = "x".repeat(1_000_000);
        let both = async {
            gate.holds().await;
            writer.ride(notes("rider"));
            let both = future::join(writer.write(notes(&long)), writer.write(notes("short")));
            future::join(both, async { gate.open() }).await.0
        };
        gate.shut();
        let (held, (first, second)) = future::join(writer.write(notes("earlier")), both).await;
        held.unwrap();

        assert!(matches!(first, Err(StoreError::Full(_))), "{first:?}");
        assert!(matches!(second, Err(StoreError::Full(_))), "{second:?}");
        assert!(writer.condition().failure().is_some());
        assert_eq!(writer.commits(), 1);
        writer.write(notes("short")).await.unwrap();
        assert_eq!(writer.condition().failure(), None);
        writer.close().await;
        let mut db = connect(&path).await.unwrap();
        let kept: Vec<String> =
            sqlx::query_scalar("SELECT text FROM note ORDER BY text").fetch_all(&mut db).await.unwrap();
        assert_eq!(kept, ["earlier", "rider", "short"], "what rode along waited");
    }
}
