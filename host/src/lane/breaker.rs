//! A circuit breaker: a server that gives no answer is left alone for a while, then tried by one.

use super::Now;
use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Exchanges in a row without an answer.
    pub after: u32,
    /// Before the first, second, … probe; the last one from there on. At least one.
    pub delays: Vec<Duration>,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everybody may go.
    Closed,
    /// Nobody may go before this monotonic time; then one may.
    Open {
        /// When a probe may go.
        until: Duration,
    },
    /// One has gone to see.
    HalfOpen,
}

/// Who may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Everybody.
    All,
    /// One, whose end decides.
    Probe,
    /// Nobody before this monotonic time.
    NotBefore(Duration),
    /// Nobody before the probe has ended.
    AfterProbe,
}

/// One server's breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// Exchanges without an answer since the last answer.
    unanswered: u32,
    /// Times that it has opened since it was last closed.
    openings: u32,
    since_unix_ms: u64,
}

impl Breaker {
    /// A closed one.
    pub const fn new(now: Now) -> Self {
        Self { state: BreakerState::Closed, unanswered: 0, openings: 0, since_unix_ms: now.unix_ms }
    }

    /// Where it stands.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Exchanges without an answer since the last answer.
    pub const fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// Since when it is closed, or not.
    pub const fn since_unix_ms(&self) -> u64 {
        self.since_unix_ms
    }

    /// Who may go now.
    pub fn admits(&self, now: Now) -> Admits {
        match self.state {
            BreakerState::Closed => Admits::All,
            BreakerState::Open { until } if now.monotonic >= until => Admits::Probe,
            BreakerState::Open { until } => Admits::NotBefore(until),
            BreakerState::HalfOpen => Admits::AfterProbe,
        }
    }

    /// A probe goes.
    pub fn probe(&mut self) {
        self.state = BreakerState::HalfOpen;
    }

    /// The probe has ended. If it asked the server nothing, the next one may try at once.
    pub fn probe_over(&mut self, now: Now) {
        if self.state == BreakerState::HalfOpen {
            self.state = BreakerState::Open { until: now.monotonic };
        }
    }

    /// The server answered, whatever it said and whoever asked. True if that closed the breaker.
    pub fn answered(&mut self, now: Now) -> bool {
        self.unanswered = 0;
        if self.state == BreakerState::Closed {
            return false;
        }
        *self = Self::new(now);
        true
    }

    /// An exchange got no answer. True if that opened the breaker.
    pub fn unanswered_one(&mut self, now: Now, limits: &BreakerLimits) -> bool {
        self.unanswered = self.unanswered.saturating_add(1);
        let is_first = match self.state {
            BreakerState::Closed if self.unanswered < limits.after => return false,
            BreakerState::Closed => true,
            BreakerState::HalfOpen => false,
            // Somebody who was under way when it opened.
            BreakerState::Open { .. } => return false,
        };
        let delay = limits.delays.get(self.openings as usize).or(limits.delays.last()).copied().unwrap_or_default();
        self.openings = self.openings.saturating_add(1);
        self.state = BreakerState::Open { until: now.monotonic.saturating_add(delay) };
        if is_first {
            self.since_unix_ms = now.unix_ms;
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Now {
        Now { monotonic: Duration::from_secs(secs), unix_ms: secs * 1_000 }
    }

    fn limits() -> BreakerLimits {
        BreakerLimits { after: 3, delays: vec![Duration::from_secs(10), Duration::from_secs(60)] }
    }

    /// What happens to a breaker: at this second, this.
    #[derive(Debug, Clone, Copy)]
    enum Do {
        Answer,
        Lose,
        Probe,
        ProbeOver,
    }

    fn after(events: &[(u64, Do)]) -> Breaker {
        let mut breaker = Breaker::new(at(0));
        for (secs, event) in events {
            match event {
                Do::Answer => drop(breaker.answered(at(*secs))),
                Do::Lose => drop(breaker.unanswered_one(at(*secs), &limits())),
                Do::Probe => {
                    assert_eq!(breaker.admits(at(*secs)), Admits::Probe, "{events:?}");
                    breaker.probe();
                }
                Do::ProbeOver => breaker.probe_over(at(*secs)),
            }
        }
        breaker
    }

    #[test]
    fn who_may_go_follows_from_what_happened() {
        use Do::{Answer, Lose, Probe, ProbeOver};
        let until = |secs| Admits::NotBefore(Duration::from_secs(secs));
        let open: &[(u64, Do)] = &[(1, Lose), (2, Lose), (3, Lose)];
        let then = |more: &[(u64, Do)]| [open, more].concat();
        for (events, secs, expected) in [
            (vec![], 9, Admits::All),
            (vec![(1, Lose), (2, Lose)], 9, Admits::All),
            (vec![(1, Lose), (2, Lose), (3, Answer), (4, Lose), (5, Lose)], 9, Admits::All),
            (open.to_vec(), 12, until(13)),
            (open.to_vec(), 13, Admits::Probe),
            // Those who were under way neither lengthen it nor keep it open once they are answered.
            (then(&[(5, Lose)]), 12, until(13)),
            (then(&[(5, Answer)]), 6, Admits::All),
            // One goes; the others wait for it.
            (then(&[(13, Probe)]), 99, Admits::AfterProbe),
            (then(&[(13, Probe), (14, Answer)]), 14, Admits::All),
            (then(&[(13, Probe), (14, Answer), (15, ProbeOver)]), 15, Admits::All),
            (then(&[(13, Probe), (14, Lose)]), 73, until(74)),
            (then(&[(13, Probe), (14, Lose), (14, ProbeOver)]), 73, until(74)),
            // The last delay stays.
            (then(&[(13, Probe), (14, Lose), (74, Probe), (75, Lose)]), 76, until(135)),
            // It asked nothing.
            (then(&[(13, Probe), (15, ProbeOver)]), 15, Admits::Probe),
            // Closed is closed: it takes as many again, and the delays begin anew.
            (then(&[(13, Probe), (14, Answer), (15, Lose), (16, Lose)]), 16, Admits::All),
            (then(&[(13, Probe), (14, Answer), (15, Lose), (16, Lose), (17, Lose)]), 18, until(27)),
        ] {
            assert_eq!(after(&events).admits(at(secs)), expected, "{events:?} at {secs}");
        }
    }

    #[test]
    fn opening_and_closing_are_told_once_and_it_knows_since_when() {
        let mut breaker = Breaker::new(at(0));
        let lost: Vec<bool> = (1..=4).map(|secs| breaker.unanswered_one(at(secs), &limits())).collect();
        assert_eq!(lost, [false, false, true, false]);
        assert_eq!((breaker.since_unix_ms(), breaker.unanswered()), (3_000, 4));
        breaker.probe();
        assert!(!breaker.unanswered_one(at(20), &limits()), "it was open all the time");
        assert_eq!(breaker.since_unix_ms(), 3_000);

        assert!(breaker.answered(at(21)) && !breaker.answered(at(22)));

        assert_eq!((breaker.since_unix_ms(), breaker.unanswered()), (21_000, 0));
    }
}
