//! The engine: takes hooks in, runs their operations in order, and lets people steer what cannot go on by itself.

mod agenda;
mod disk;
mod hosts;
mod ids;
mod in_force;
mod intake;
mod keeping;
mod lanes;
mod libraries;
mod pausing;
mod placing;
mod polls;
mod readings;
mod reclaiming;
mod reload;
mod resealing;
mod resolve;
mod start;
mod steering;
mod worker;

pub use in_force::InForce;
pub use intake::HookOptions;
pub use keeping::Pruned;
pub use lanes::ServerLane;
pub(crate) use libraries::{plugin_file, plugin_policy};
pub use readings::{ReadAnswer, ReadFailure};
pub use reload::Reloaded;
pub use start::{EngineOptions, StartError};
pub(crate) use start::{beside, store_options};
pub use steering::Decision;

use crate::attempt::Env;
use crate::config::Config;
use crate::lane::{Held, LaneSight};
use crate::problem::{Problem, ProblemType};
use crate::store::{Operation, OperationId, ServiceKey, StoreError};
use agenda::{Activity, Agenda};
use lanes::Lanes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

/// One running host.
pub struct Engine {
    env: Arc<Env>,
    /// Replaced as a whole by a reload.
    in_force: RwLock<Arc<InForce>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    /// One pause or resume at a time, so that the store and the lanes agree.
    pausing: tokio::sync::Mutex<()>,
    /// One at a time prunes.
    pruning: tokio::sync::Mutex<()>,
    libraries: libraries::Libraries,
    agenda: Agenda,
    lanes: Arc<Lanes>,
    /// Those who wait for a change of an operation.
    watchers: Mutex<HashMap<OperationId, watch::Sender<Sight>>>,
    /// Operations that wait for a scope, by its key.
    blocked: Mutex<HashMap<String, Vec<ServiceKey>>>,
    /// Operations that may run before their time, once.
    early: Mutex<HashSet<OperationId>>,
    ids: Mutex<ids::Ids>,
    /// Looks at services that may go on at once: there may be a hundred thousand that are due.
    looking: Arc<Semaphore>,
    /// Monotonic time until which a service is left alone, and when that was written as it was seen, with other hosts.
    unsettled: Mutex<HashMap<ServiceKey, (Option<u64>, Duration)>>,
    /// Other hosts have worked on the store since this one began.
    company: AtomicBool,
    /// This is the oldest host that lives.
    is_first: AtomicBool,
    disk: Mutex<disk::Disk>,
    tasks: TaskTracker,
    activity: Arc<Activity>,
}

impl Engine {
    /// What every attempt has.
    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// What is in force now. Whoever asks twice may see a reload between.
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.in_force().config)
    }

    /// Servers that are not ready, with the reason.
    pub fn unready(&self) -> BTreeMap<String, String> {
        self.in_force().unready.clone()
    }

    /// How a server's lane stands; `None` for a server that was never configured.
    pub fn lane(&self, server: &str) -> Option<LaneSight> {
        self.lanes.sight(server)
    }

    /// Why operations on a server are held back, if they are.
    pub fn held(&self, server: &str) -> Option<Held> {
        self.lanes.held(server)
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
    pub async fn wait(self: &Arc<Self>, placed: Placed, wait: Duration) -> Result<Arc<Operation>, Problem> {
        let Placed { id, watched } = placed;
        let mut is_new = watched.is_some();
        // Watch before looking: a change between the look and the wait would otherwise be missed.
        let mut watched = watched.unwrap_or_else(|| self.watched(&id));
        let mut sleep = self.env.clock.sleep(wait.min(self.config().limits.wait_max));
        loop {
            // One that was stored a moment ago stands where it stood: its first change is worth the first look.
            if !std::mem::take(&mut is_new) {
                let operation = self.operation(&id).await;
                match &operation {
                    Ok(found) if !found.state.is_final() && found.state != crate::operation::State::Attention => {}
                    _ => return operation.map(Arc::new),
                }
            }
            tokio::select! {
                sight = watched.changed() => {
                    if let Sight(Some(last)) = sight {
                        return Ok(last);
                    }
                }
                () = &mut sleep => return self.operation(&id).await.map(Arc::new),
            }
        }
    }

    fn watched(self: &Arc<Self>, id: &OperationId) -> Watched {
        Watched { engine: Arc::clone(self), id: id.clone(), changes: Some(self.watch(id)) }
    }

    fn watch(&self, id: &OperationId) -> watch::Receiver<Sight> {
        lock(&self.watchers).entry(id.clone()).or_insert_with(|| watch::channel(Sight::default()).0).subscribe()
    }

    /// Sorts by the clock's time.
    fn ulid(&self) -> String {
        let mut random = [0; 16];
        if getrandom::fill(&mut random).is_err() {
            tracing::error!("the system gives no randomness");
        }
        lock(&self.ids).next(self.env.clock.unix_ms(), u128::from_ne_bytes(random)).to_string()
    }

    fn forget_watch(&self, id: &OperationId) {
        let mut watchers = lock(&self.watchers);
        if watchers.get(id).is_some_and(|sender| sender.receiver_count() == 0) {
            watchers.remove(id);
        }
    }

    fn changed(&self, id: &OperationId) {
        if let Some(sender) = lock(&self.watchers).get(id) {
            sender.send_replace(Sight::default());
        }
    }

    /// Its end is durable: those who wait need not read it.
    fn ended(&self, id: &OperationId, last: Arc<Operation>) {
        if let Some(sender) = lock(&self.watchers).get(id) {
            sender.send_replace(Sight(Some(last)));
        }
    }

    /// Whether every change is held back because the store is a restored copy.
    pub fn is_recovering(&self) -> bool {
        self.lanes.is_recovering()
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
        self.lanes.close();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.env.clock.sleep(grace) => {
                tracing::warn!("attempts are cut off; the next start settles them");
            }
        }
        self.env.store.close().await;
        self.env.crew.close();
    }
}

/// The operation that answers for a hook.
pub struct Placed {
    /// Its id.
    pub id: OperationId,
    /// Its changes from its first moment on; none where the operation was there before.
    watched: Option<Watched>,
}

impl From<OperationId> for Placed {
    fn from(id: OperationId) -> Self {
        Self { id, watched: None }
    }
}

/// A watch that is taken away again, also when its caller hangs up.
struct Watched {
    engine: Arc<Engine>,
    id: OperationId,
    changes: Option<watch::Receiver<Sight>>,
}

/// What is seen when an operation changes: how it ended, or that it is worth a look.
#[derive(Clone, Default)]
struct Sight(Option<Arc<Operation>>);

impl Watched {
    async fn changed(&mut self) -> Sight {
        let Some(changes) = &mut self.changes else { return Sight::default() };
        // The sender lives as long as a receiver does.
        let _ = changes.changed().await;
        changes.borrow_and_update().clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.changes = None;
        self.engine.forget_watch(&self.id);
    }
}

/// A store's failure as a caller sees it.
pub(crate) fn unavailable(error: StoreError) -> Problem {
    tracing::error!(error = %error, remedy = error.remedy(), "the store failed");
    let detail = match &error {
        StoreError::Full(_) => "the disk of the store is full; nothing was accepted",
        StoreError::ReadOnly(_) => "the store cannot be written; nothing was accepted",
        StoreError::Damaged(_) => "the store is damaged; nothing was accepted",
        _ => "the store does not answer; nothing was accepted",
    };
    Problem::new(ProblemType::Unavailable, detail).remedy(error.remedy())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
