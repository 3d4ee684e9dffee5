//! The engine: takes hooks in, runs their operations in order, and lets people steer what cannot go on by itself.

mod agenda;
mod intake;
mod polls;
mod readings;
mod resolve;
mod start;
mod steering;
mod worker;

pub use intake::HookOptions;
pub use readings::{ReadAnswer, ReadFailure};
pub use start::{EngineOptions, StartError};
pub use steering::Decision;

use crate::attempt::Env;
use crate::config::Config;
use crate::panel::{Panel, Provider};
use crate::problem::{Problem, ProblemType};
use crate::store::{Operation, OperationId, ServiceKey, StoreError};
use agenda::{Activity, Agenda};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

/// One running host.
pub struct Engine {
    env: Arc<Env>,
    config: Arc<Config>,
    providers: BTreeMap<String, Arc<Provider>>,
    panels: BTreeMap<String, Arc<Panel>>,
    /// Servers that could not be made ready, with the reason.
    unready: BTreeMap<String, String>,
    agenda: Agenda,
    /// Attempts at once, over all servers.
    permits: Arc<Semaphore>,
    /// Those who wait for a change of an operation.
    watchers: Mutex<HashMap<OperationId, watch::Sender<u64>>>,
    /// Operations that wait for a scope, by its key.
    blocked: Mutex<HashMap<String, Vec<ServiceKey>>>,
    /// Operations that may run before their time, once.
    early: Mutex<HashSet<OperationId>>,
    /// Monotonic time until which a service is left alone.
    unsettled: Mutex<HashMap<ServiceKey, Duration>>,
    tasks: TaskTracker,
    activity: Arc<Activity>,
    /// What plugins' code runs on; kept to be shut down.
    plugin_runtime: Mutex<Option<tokio::runtime::Runtime>>,
}

impl Engine {
    /// What every attempt has.
    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Loaded providers by name.
    pub fn providers(&self) -> &BTreeMap<String, Arc<Provider>> {
        &self.providers
    }

    /// Servers that are ready, by name.
    pub fn panels(&self) -> &BTreeMap<String, Arc<Panel>> {
        &self.panels
    }

    /// Servers that are not, with the reason.
    pub fn unready(&self) -> &BTreeMap<String, String> {
        &self.unready
    }

    /// The operation as it stands.
    ///
    /// # Errors
    ///
    /// `not_found`, `unavailable`.
    pub async fn operation(&self, id: &OperationId) -> Result<Operation, Problem> {
        let found = self.env.store.operation(id).await.map_err(unavailable)?;
        found.ok_or_else(|| Problem::new(ProblemType::NotFound, format!("no operation {id}")))
    }

    /// The operation once it is final or needs a person, or as it stands when `wait` has passed.
    pub async fn wait(&self, id: &OperationId, wait: Duration) -> Result<Operation, Problem> {
        // Watch before looking: a change between the look and the wait would otherwise be missed.
        let mut watched = Watched { engine: self, id, changes: Some(self.watch(id)) };
        let mut sleep = self.env.clock.sleep(wait.min(self.config.limits.wait_max));
        loop {
            let operation = self.operation(id).await;
            match &operation {
                Ok(found) if !found.state.is_final() && found.state != crate::operation::State::Attention => {}
                _ => return operation,
            }
            tokio::select! {
                () = watched.changed() => {}
                () = &mut sleep => return self.operation(id).await,
            }
        }
    }

    /// Changes of an operation, as a counter.
    pub fn watch(&self, id: &OperationId) -> watch::Receiver<u64> {
        lock(&self.watchers).entry(id.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Sorts by the clock's time.
    fn ulid(&self) -> String {
        let mut random = [0; 16];
        if getrandom::fill(&mut random).is_err() {
            tracing::error!("the system gives no randomness");
        }
        ulid::Ulid::from_parts(self.env.clock.unix_ms(), u128::from_ne_bytes(random) >> 48).to_string()
    }

    fn forget_watch(&self, id: &OperationId) {
        let mut watchers = lock(&self.watchers);
        if watchers.get(id).is_some_and(|sender| sender.receiver_count() == 0) {
            watchers.remove(id);
        }
    }

    fn changed(&self, id: &OperationId) {
        if let Some(sender) = lock(&self.watchers).get(id) {
            sender.send_modify(|count| *count += 1);
        }
    }

    /// Whether nothing is under way and nothing is due: only time, a caller or a panel can move something now.
    pub fn is_idle(&self) -> bool {
        self.agenda.is_idle()
    }

    /// Monotonic time at which the engine next has something to do by itself.
    pub fn next_due(&self) -> Option<Duration> {
        self.agenda.next_due()
    }

    /// Moves whenever something that was under way has ended.
    pub fn activity(&self) -> watch::Receiver<u64> {
        self.activity.watch()
    }

    /// Stops: no claims any more; attempts end at their next step, or when `grace` has passed, after which the next start
    /// settles them. Then the store is closed.
    pub async fn stop(&self, grace: Duration) {
        self.env.stopping.store(true, Ordering::Relaxed);
        self.agenda.stop();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.env.clock.sleep(grace) => {
                tracing::warn!("attempts are cut off; the next start settles them");
            }
        }
        self.env.store.close().await;
        if let Some(runtime) = lock(&self.plugin_runtime).take() {
            runtime.shutdown_background();
        }
    }
}

/// A watch that is taken away again, also when its caller hangs up.
struct Watched<'a> {
    engine: &'a Engine,
    id: &'a OperationId,
    changes: Option<watch::Receiver<u64>>,
}

impl Watched<'_> {
    async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes {
            // The sender lives as long as a receiver does.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.changes = None;
        self.engine.forget_watch(self.id);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A runtime must not be dropped where blocking is not allowed.
        if let Some(runtime) = lock(&self.plugin_runtime).take() {
            runtime.shutdown_background();
        }
    }
}

/// A store's failure as a caller sees it.
pub(crate) fn unavailable(error: StoreError) -> Problem {
    tracing::error!(error = %error, "the store failed");
    Problem::new(ProblemType::Unavailable, "the store does not answer; nothing was accepted")
        .remedy("try again; if it stays so, see the daemon's log")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
