//! Who is on the way to the next commit, so that it can wait for them.
//!
//! A commit that leaves a moment before a neighbour comes costs that neighbour a commit of its own, and so a sync. Those
//! who are at work towards a commit therefore count as travellers; whoever waits for a panel, for the writer, or for
//! a time is none. The writer waits until as many have come, or turned off, as were on the way when it looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long nobody may arrive before the writer takes those who are still missing for hanging.
const PATIENCE: Duration = Duration::from_millis(5);

/// So many share a commit that more would hardly make it cheaper for each: from there on the writer works while others come.
const ENOUGH: usize = 24;

/// What [`Traffic::awaited`] holds while the writer waits for nobody.
const NOBODY: u64 = u64::MAX;

/// The travellers of one store.
#[derive(Debug)]
pub struct Traffic {
    under_way: AtomicUsize,
    arrivals: AtomicU64,
    /// How many arrivals the writer waits for.
    awaited: AtomicU64,
    enough: Notify,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            arrivals: AtomicU64::new(0),
            awaited: AtomicU64::new(NOBODY),
            enough: Notify::new(),
        }
    }
}

impl Traffic {
    /// From now on somebody works towards a commit.
    pub fn enter(self: &Arc<Self>) -> Traveller {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Traveller { traffic: Arc::clone(self), parks: AtomicUsize::new(0) }
    }

    /// Until those who are on the way now have come or turned off, or enough beside the `waiting`, or nobody has for too long.
    pub async fn gathered(&self, waiting: usize) {
        let on_the_way = self.under_way.load(Ordering::SeqCst).min(ENOUGH.saturating_sub(waiting));
        if on_the_way == 0 {
            return;
        }
        let target = self.arrivals.load(Ordering::SeqCst).saturating_add(on_the_way as u64);
        self.awaited.store(target, Ordering::SeqCst);
        // Looked at after `awaited` is set, so that no arrival is missed.
        let mut arrivals = self.arrivals.load(Ordering::SeqCst);
        while self.under_way.load(Ordering::SeqCst) > 0 && arrivals < target {
            #[expect(
                clippy::disallowed_methods,
                reason = "bounds a wait for the processor, whatever clock the host goes by"
            )]
            let is_enough = tokio::time::timeout(PATIENCE, self.enough.notified()).await.is_ok();
            let before = std::mem::replace(&mut arrivals, self.arrivals.load(Ordering::SeqCst));
            if !is_enough && before == arrivals {
                break;
            }
        }
        self.awaited.store(NOBODY, Ordering::SeqCst);
    }

    fn leave(&self) {
        let arrivals = self.arrivals.fetch_add(1, Ordering::SeqCst) + 1;
        let left = self.under_way.fetch_sub(1, Ordering::SeqCst) - 1;
        let awaited = self.awaited.load(Ordering::SeqCst);
        if awaited != NOBODY && (left == 0 || arrivals >= awaited) {
            self.enough.notify_one();
        }
    }
}

/// One who works towards a commit, until dropped.
#[derive(Debug)]
pub struct Traveller {
    traffic: Arc<Traffic>,
    parks: AtomicUsize,
}

impl Traveller {
    /// It waits for something that is not the processor, until the guard is dropped. May be nested.
    pub fn park(&self) -> Parked<'_> {
        if self.parks.fetch_add(1, Ordering::SeqCst) == 0 {
            self.traffic.leave();
        }
        Parked(self)
    }
}

impl Drop for Traveller {
    fn drop(&mut self) {
        if *self.parks.get_mut() == 0 {
            self.traffic.leave();
        }
    }
}

/// A traveller that waits.
#[derive(Debug)]
pub struct Parked<'a>(&'a Traveller);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if self.0.parks.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.traffic.under_way.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn the_writer_waits_for_those_on_the_way_and_for_nobody_else() {
        let traffic = Arc::new(Traffic::default());
        assert!(traffic.gathered(0).now_or_never().is_some(), "nobody is there");

        let (one, other) = (traffic.enter(), traffic.enter());
        {
            let mut gathered = std::pin::pin!(traffic.gathered(0));
            assert!(gathered.as_mut().now_or_never().is_none());
            let parked = one.park();
            assert!(gathered.as_mut().now_or_never().is_none(), "one more is on the way");
            drop(other);
            assert!(gathered.now_or_never().is_some());
            let nested = one.park();
            drop(nested);
            assert!(traffic.gathered(0).now_or_never().is_some(), "who waits twice still waits");
            drop(parked);
        }
        assert!(traffic.gathered(0).now_or_never().is_none(), "it goes on");
        drop(one);
        assert!(traffic.gathered(0).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_traveller_that_came_and_set_out_again_is_not_waited_for_twice() {
        let traffic = Arc::new(Traffic::default());
        let one = traffic.enter();
        let mut gathered = std::pin::pin!(traffic.gathered(0));
        assert!(gathered.as_mut().now_or_never().is_none());

        drop(one.park());

        assert!(gathered.now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_writer_waits_for_no_more_than_are_enough() {
        let traffic = Arc::new(Traffic::default());
        let mut travellers: Vec<_> = (0..ENOUGH + 2).map(|_| traffic.enter()).collect();
        assert!(traffic.gathered(ENOUGH).now_or_never().is_some(), "they are there already");

        let mut gathered = std::pin::pin!(traffic.gathered(1));
        assert!(gathered.as_mut().now_or_never().is_none());
        travellers.truncate(4);
        assert!(gathered.as_mut().now_or_never().is_none(), "one too few");
        travellers.truncate(3);
        assert!(gathered.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_that_hangs_does_not_hold_the_writer() {
        let traffic = Arc::new(Traffic::default());
        let _hangs = traffic.enter();

        traffic.gathered(0).await;
    }
}
