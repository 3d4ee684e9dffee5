//! When which service is to be looked at again. Monotonic time only: a jump of the wall clock moves nothing.

use crate::clock::SharedClock;
use crate::store::{OperationId, ServiceKey};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// Look which operation of the service may run.
    Advance(ServiceKey),
    /// Read the service after something pending.
    Poll(ServiceKey),
    /// Take up a run that the store failed under.
    Reclaim(OperationId, u64, ServiceKey),
    /// Drop secrets that nobody came for.
    ExpireSecrets,
    /// Keep the module log within its bounds.
    KeepBounds,
    /// Look whether a lane lets somebody go by now.
    LookAtLanes,
}

/// How much is under way: errands taken up and attempts running.
#[derive(Default)]
pub(super) struct Activity {
    count: AtomicUsize,
    moved: watch::Sender<u64>,
}

impl Activity {
    fn begin(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub fn under_way(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// One thing under way, until it is dropped.
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub fn begin(activity: &Arc<Activity>) -> Self {
        activity.begin();
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.moved.send_modify(|count| *count += 1);
    }
}

pub(super) struct Agenda {
    clock: SharedClock,
    activity: Arc<Activity>,
    heap: Mutex<BinaryHeap<Reverse<(Duration, Errand)>>>,
    moved: Notify,
    stopped: AtomicBool,
}

impl Agenda {
    pub fn new(clock: SharedClock, activity: Arc<Activity>) -> Self {
        Self {
            clock,
            activity,
            heap: Mutex::new(BinaryHeap::new()),
            moved: Notify::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Puts an errand down for `after` from now.
    pub fn put(&self, after: Duration, errand: Errand) {
        let at = self.clock.monotonic().saturating_add(after);
        self.lock().push(Reverse((at, errand)));
        self.moved.notify_one();
    }

    /// Whether nothing is due and nothing is under way.
    pub fn is_idle(&self) -> bool {
        // Under the lock, which an attempt that ends needs to put its last errand down: otherwise that errand could be
        // put down behind the look at the heap, and the attempt be over before the look at the count.
        let heap = self.lock();
        let is_due = heap.peek().is_some_and(|Reverse((at, _))| *at <= self.clock.monotonic());
        !is_due && self.activity.under_way() == 0
    }

    /// When the next errand is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.lock().peek().map(|Reverse((at, _))| *at)
    }

    /// The next errand, when it is due; `None` once stopped.
    pub async fn next(&self) -> Option<(Errand, Busy)> {
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let moved = self.moved.notified();
            let due = self.lock().peek().map(|Reverse((at, _))| *at);
            match due {
                Some(at) if at <= self.clock.monotonic() => {
                    let mut heap = self.lock();
                    // Under the lock, so that at no moment an errand is neither due nor under way.
                    return heap.pop().map(|Reverse((_, errand))| (errand, Busy::begin(&self.activity)));
                }
                Some(at) => {
                    tokio::select! {
                        () = self.clock.sleep_until(at) => {}
                        () = moved => {}
                    }
                }
                None => moved.await,
            }
        }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.moved.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<(Duration, Errand)>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn advance(id: &str) -> Errand {
        Errand::Advance(ServiceKey { platform: "p".into(), service_id: id.into() })
    }

    #[tokio::test]
    async fn errands_come_in_the_order_of_their_time() {
        let clock = ManualClock::new(0);
        let agenda = Agenda::new(clock.shared(), Arc::default());
        agenda.put(Duration::from_secs(5), advance("late"));
        agenda.put(Duration::ZERO, advance("now"));

        assert_eq!(agenda.next().await.map(|(errand, _)| errand), Some(advance("now")));
        clock.advance(Duration::from_secs(5));
        assert_eq!(agenda.next().await.map(|(errand, _)| errand), Some(advance("late")));
    }
}
