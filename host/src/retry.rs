//! When to try again.

use serde::{Deserialize, Serialize};

/// How often, how long, how far apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all; waits and settle looks are none.
    pub attempts: u32,
    /// From acceptance on, in milliseconds.
    pub age_ms: u64,
    /// Back-off before the second, third, ... attempt, in milliseconds; the last one repeats.
    pub delays_ms: Vec<u64>,
    /// Share by which a delay is moved up or down, 0.2 for ±20 %.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 10,
            age_ms: 24 * 3_600_000,
            delays_ms: vec![10_000, 60_000, 300_000, 1_800_000, 7_200_000],
            jitter: 0.2,
        }
    }
}

impl RetryPolicy {
    /// How long to wait after `attempts` attempts. `dice` is uniform in 0..1; `asked_ms` is what the panel asked for, and
    /// is never undercut.
    pub fn delay_ms(&self, attempts: u32, dice: f64, asked_ms: Option<u64>) -> u64 {
        let index = (attempts.max(1) - 1) as usize;
        let base = self.delays_ms.get(index).or(self.delays_ms.last()).copied().unwrap_or(10_000);
        #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^52 milliseconds")]
        let moved = base as f64 * (1.0 + self.jitter * (2.0 * dice - 1.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let moved = moved.clamp(0.0, 1e15) as u64;
        moved.max(asked_ms.unwrap_or(0))
    }

    /// Whether another attempt may follow.
    pub fn allows(&self, attempts: u32, age_ms: u64) -> bool {
        attempts < self.attempts && age_ms < self.age_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_the_last_one_repeats() {
        let policy = RetryPolicy::default();
        let delays: Vec<u64> = (1..=7).map(|attempts| policy.delay_ms(attempts, 0.5, None) / 1000).collect();
        assert_eq!(delays, [10, 60, 300, 1_800, 7_200, 7_200, 7_200]);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay_ms(1, 0.0, None), 8_000);
        assert_eq!(policy.delay_ms(1, 1.0, None), 12_000);
    }

    #[test]
    fn the_panels_own_wait_is_never_undercut() {
        assert_eq!(RetryPolicy::default().delay_ms(1, 0.0, Some(42_000)), 42_000);
        assert_eq!(RetryPolicy::default().delay_ms(1, 0.5, Some(1)), 10_000);
    }

    #[test]
    fn attempts_and_age_are_bounds() {
        let policy = RetryPolicy::default();
        assert!(policy.allows(9, 0));
        assert!(!policy.allows(10, 0));
        assert!(!policy.allows(1, 24 * 3_600_000));
    }
}
