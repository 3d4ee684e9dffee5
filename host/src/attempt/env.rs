use super::times::Times;
use super::{Crew, Desk, Told};
use crate::awake::Awake;
use crate::clock::SharedClock;
use crate::journal;
use crate::mask::{Fingerprinter, Masker, Rules, SecretSet};
use crate::metrics::Metrics;
use crate::retry::RetryPolicy;
use crate::store::{OperationId, Store};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What every attempt needs.
pub struct Env {
    /// The journal and the log.
    pub store: Store,
    /// The only clock.
    pub clock: SharedClock,
    /// Where plugins' calls find their attempt.
    pub desk: std::sync::Arc<Desk>,
    /// Where plugins' code runs.
    pub crew: Crew,
    /// Whether the threads that carry hooks stay awake for a moment.
    pub awake: Awake,
    /// Where the host's part of a plugin's call runs.
    pub host_runtime: tokio::runtime::Handle,
    /// Makes equal masked values recognisable.
    pub prints: Fingerprinter,
    /// What is counted.
    pub metrics: Metrics,
    /// Which names hold secrets.
    pub rules: Rules,
    /// When to try again.
    pub policy: RetryPolicy,
    /// Time until the read after something pending.
    pub poll_interval: Duration,
    /// Called around each exchange; only tests have one.
    pub tap: Option<std::sync::Arc<dyn Tap>>,
    /// Set once: attempts end at their next step.
    pub stopping: AtomicBool,
    /// Monotonic time when this host began to watch over doubts.
    pub started: Duration,
    /// When what waits goes on.
    pub times: Times,
    /// Since when, and which.
    doubts: Mutex<HashMap<(OperationId, String), (Duration, Tag)>>,
    told: Mutex<HashMap<String, Told>>,
    exchanges: AtomicU64,
    calls: AtomicU64,
}

/// Tells a doubt, as it was written, from any before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    by: u64,
    waited_ms: u64,
    looks: u32,
    runs: u32,
}

impl Tag {
    /// `own` is whose doubt begins where there is none yet.
    fn of(step: &journal::Entry, own: u64) -> Self {
        let doubt = step.doubt.unwrap_or(journal::Doubt { by: own, ..journal::Doubt::default() });
        Self { by: doubt.by, waited_ms: doubt.waited_ms, looks: doubt.looks, runs: step.runs }
    }
}

/// Before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has not happened.
    Before,
    /// It has happened, and nobody knows yet.
    After,
}

/// What a [`Tap`] returns.
pub type TapFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Stands at each exchange with a panel. The crash tests stop or end the process there; the product has none.
pub trait Tap: Send + Sync {
    /// Around the n-th exchange, from 1. The exchange goes on when the future ends.
    fn exchange(&self, moment: Moment, n: u64) -> TapFuture;
}

/// The parts of an [`Env`] that have no default.
pub struct EnvParts {
    /// See [`Env::store`].
    pub store: Store,
    /// See [`Env::clock`].
    pub clock: SharedClock,
    /// See [`Env::desk`].
    pub desk: std::sync::Arc<Desk>,
    /// See [`Env::crew`].
    pub crew: Crew,
    /// See [`Env::awake`].
    pub awake: Awake,
    /// See [`Env::prints`].
    pub prints: Fingerprinter,
    /// See [`Env::policy`].
    pub policy: RetryPolicy,
    /// See [`Env::poll_interval`].
    pub poll_interval: Duration,
    /// See [`Env::tap`].
    pub tap: Option<std::sync::Arc<dyn Tap>>,
}

impl Env {
    /// Must be called on the host's runtime.
    pub fn new(parts: EnvParts) -> Self {
        let EnvParts { store, clock, desk, crew, awake, prints, policy, poll_interval, tap } = parts;
        Self {
            store,
            started: clock.monotonic(),
            times: Times::new(clock.clone()),
            clock,
            desk,
            crew,
            awake,
            host_runtime: tokio::runtime::Handle::current(),
            prints,
            metrics: Metrics::default(),
            rules: Rules::new(),
            policy,
            poll_interval,
            tap,
            stopping: AtomicBool::new(false),
            doubts: Mutex::new(HashMap::new()),
            told: Mutex::new(HashMap::new()),
            exchanges: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }

    /// Masks with these secrets, by this host's rules and fingerprints.
    pub fn masker<'a>(&'a self, secrets: &'a SecretSet) -> Masker<'a> {
        Masker { secrets, rules: &self.rules, prints: &self.prints }
    }

    /// Whether hardly more than one attempt is getting on.
    pub(super) fn is_quiet(&self) -> bool {
        self.desk.is_quiet(|| self.clock.monotonic())
    }

    /// An answer is to come soon, of another thread or of a panel. With much to do, nobody sleeps anyway.
    pub(crate) fn stay_awake(&self) {
        if self.is_quiet() {
            self.awake.call();
        }
    }

    /// Whether attempts are asked to end at their next step.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Notes that from now on this host watches over the doubt of a step.
    pub(crate) fn watch_doubt(&self, id: &OperationId, step: &journal::Entry) {
        let watched = (self.clock.monotonic(), Tag::of(step, self.store.host_number()));
        self.doubts().insert((id.clone(), step.name.clone()), watched);
    }

    /// Milliseconds since the doubt of a step was last written, as far as this host was there to see them pass. A host that lives
    /// beside this one may have written it a moment ago: what it wrote counts from the first look.
    pub(super) fn watched_ms(&self, id: &OperationId, step: &journal::Entry) -> u64 {
        let (now, tag) = (self.clock.monotonic(), Tag::of(step, 0));
        let since = match self.doubts().entry((id.clone(), step.name.clone())) {
            Entry::Occupied(watched) if watched.get().1 == tag => watched.get().0,
            Entry::Vacant(_) if self.store.came_after(tag.by) => self.started,
            unknown => unknown.insert_entry((now, tag)).get().0,
        };
        crate::panel::millis(now.saturating_sub(since))
    }

    pub(super) fn forget_doubt(&self, id: &OperationId, step: &str) {
        self.doubts().remove(&(id.clone(), step.to_owned()));
    }

    /// Notes what a server's panel told of its room.
    pub(crate) fn told(&self, server: &str, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(server.to_owned(), told);
    }

    /// What a server's panel last told of its room, since this host began.
    pub fn last_told(&self, server: &str) -> Option<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(server).cloned()
    }

    pub(super) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) async fn tap_before(&self) -> u64 {
        let n = self.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(tap) = &self.tap {
            tap.exchange(Moment::Before, n).await;
        }
        n
    }

    pub(super) async fn tap_after(&self, n: u64) {
        if let Some(tap) = &self.tap {
            tap.exchange(Moment::After, n).await;
        }
    }

    fn doubts(&self) -> std::sync::MutexGuard<'_, HashMap<(OperationId, String), (Duration, Tag)>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
