//! A rate limit: never more than so many exchanges in any stretch of time of this length.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// So many exchanges in any interval of this length. Counted strictly, so that a panel that counts by the clock's minutes
/// never sees more than it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many; at least one.
    pub count: u32,
    /// In how long.
    pub interval: Duration,
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {:?}", self.count, self.interval)
    }
}

/// When the last exchanges left, or will leave; monotonic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rate {
    turns: VecDeque<Duration>,
}

impl Rate {
    /// Takes the next turn: when the exchange that is asked for now may leave.
    pub fn take(&mut self, now: Duration, limit: RateLimit) -> Duration {
        let turn = self.free_at(limit).max(now);
        self.turns.push_back(turn);
        while self.turns.len() > limit.count.max(1) as usize {
            self.turns.pop_front();
        }
        turn
    }

    /// When the next turn is; in the past when it is free.
    pub fn free_at(&self, limit: RateLimit) -> Duration {
        let count = limit.count.max(1) as usize;
        // The turn that lies `count` before the next one.
        match self.turns.len().checked_sub(count).and_then(|at| self.turns.get(at)) {
            Some(turn) => turn.saturating_add(limit.interval),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: RateLimit = RateLimit { count: 2, interval: Duration::from_secs(10) };

    #[test]
    fn turns_are_given_out_in_order() {
        let mut rate = Rate::default();
        let mut take = |secs| rate.take(Duration::from_secs(secs), LIMIT).as_secs();
        for (asked, turn) in [(0, 0), (1, 1), (1, 10), (2, 11), (2, 20), (50, 50), (51, 51), (59, 60), (61, 61)] {
            assert_eq!(take(asked), turn, "asked at {asked}");
        }
    }

    proptest! {
        #[test]
        fn no_interval_ever_holds_more_than_the_limit(gaps in proptest::collection::vec(0_u64..8, 1..60), count in 1_u32..6) {
            let limit = RateLimit { count, interval: Duration::from_secs(10) };
            let mut rate = Rate::default();
            let mut now = Duration::ZERO;
            let mut turns = Vec::new();
            for gap in gaps {
                now += Duration::from_secs(gap);
                turns.push(rate.take(now, limit));
            }
            for window in turns.windows(count as usize + 1) {
                prop_assert!(window[count as usize] - window[0] >= limit.interval);
            }
        }

        #[test]
        fn a_changed_limit_holds_from_then_on(before in 1_u32..6, after in 1_u32..6) {
            let limit = |count| RateLimit { count, interval: Duration::from_secs(10) };
            let mut rate = Rate::default();
            for _ in 0..before {
                rate.take(Duration::ZERO, limit(before));
            }
            let turns: Vec<_> = (0..=after).map(|_| rate.take(Duration::ZERO, limit(after))).collect();
            prop_assert!(turns[after as usize] - turns[0] >= Duration::from_secs(10));
        }
    }
}
