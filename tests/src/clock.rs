//! Time as a fake panel sees it: moved by hand in tests, the wall clock in the demo.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands still until it is told to advance. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    unix_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// Starts at `start_unix_ms`, Unix time in milliseconds.
    pub fn new(start_unix_ms: u64) -> Self {
        Self { unix_ms: Arc::new(AtomicU64::new(start_unix_ms)) }
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::SeqCst)
    }

    /// Sets the time, back as well.
    pub fn set(&self, unix_ms: u64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }

    /// Moves the time forward; parts of a millisecond are dropped.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.unix_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// 2026-01-15 12:00:00 UTC.
    fn default() -> Self {
        Self::new(1_768_478_400_000)
    }
}

/// The clock that a panel computes its asynchronous work from.
#[derive(Clone, Debug)]
pub enum PanelClock {
    /// Moved by the test.
    Manual(ManualClock),
    /// The wall clock.
    Real,
}

impl PanelClock {
    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::Manual(clock) => clock.now_ms(),
            Self::Real => u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0),
        }
    }
}

impl From<ManualClock> for PanelClock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_share_the_time() {
        let clock = ManualClock::new(1_000);
        let panel = PanelClock::from(clock.clone());

        clock.advance(Duration::from_secs(2));

        assert_eq!(panel.now_ms(), 3_000);
    }
}
