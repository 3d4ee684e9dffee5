//! How long this host may work before it has to show that it lives.
//!
//! Others judge it by the database's clock. The host itself goes by its own, which also counts while the machine sleeps, and
//! stops some time before they may: clocks need not agree, only run about as fast.

use crate::clock::SharedClock;
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;

/// The times of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// After so long without a sign others may take the host for dead.
    pub lease: Duration,
    /// Between two signs.
    pub renew: Duration,
    /// After so long without one the host changes nothing more.
    pub stop: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { lease: Duration::from_secs(30), renew: Duration::from_secs(10), stop: Duration::from_secs(20) }
    }
}

/// What is known here of the own lease.
pub struct Lease {
    clock: SharedClock,
    pub times: LeaseTimes,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
struct State {
    /// Boot time just before the last sign was given that was taken.
    renewed: Duration,
    /// Who said that it is over, and why.
    over: Option<String>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("times", &self.times)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// Of a host that gave its first sign after the boot time `renewed`.
    pub fn new(clock: SharedClock, times: LeaseTimes, renewed: Duration) -> Self {
        Self { clock, times, state: watch::Sender::new(State { renewed, over: None }) }
    }

    pub fn now(&self) -> Duration {
        self.clock.boot_time()
    }

    /// Whether the host may change something now.
    pub fn is_fresh(&self) -> bool {
        let state = self.state.borrow();
        state.over.is_none() && self.clock.boot_time().saturating_sub(state.renewed) < self.times.stop
    }

    /// A sign was taken that was given after `began`.
    pub fn renewed(&self, began: Duration) {
        self.state.send_modify(|state| state.renewed = state.renewed.max(began));
    }

    /// The host was taken for dead, for good.
    pub fn end(&self, why: String) {
        self.state.send_if_modified(|state| {
            let is_new = state.over.is_none();
            state.over.get_or_insert(why);
            is_new
        });
    }

    /// Why the host was taken for dead, if it was.
    pub fn over(&self) -> Option<String> {
        self.state.borrow().over.clone()
    }

    /// Ends when the host was taken for dead.
    pub async fn ended(&self) -> String {
        let mut state = self.state.subscribe();
        // The sender lives as long as `self`.
        let _ = state.wait_for(|state| state.over.is_some()).await;
        self.over().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[tokio::test]
    async fn a_host_that_slept_may_change_nothing_until_it_has_given_a_sign() {
        let clock = ManualClock::new(0);
        let lease = Lease::new(clock.shared(), LeaseTimes::default(), Duration::ZERO);
        clock.advance(Duration::from_secs(19));
        assert!(lease.is_fresh());
        clock.suspend(Duration::from_secs(1));
        assert!(!lease.is_fresh(), "only boot time has passed");

        lease.renewed(clock.boot_time());
        assert!(lease.is_fresh());
        lease.renewed(Duration::ZERO);
        assert!(lease.is_fresh(), "a sign that comes late takes nothing back");

        lease.end("by web2".into());
        lease.end("by web3".into());
        lease.renewed(clock.boot_time());
        assert!(!lease.is_fresh());
        assert_eq!(lease.ended().await, "by web2");
    }
}
