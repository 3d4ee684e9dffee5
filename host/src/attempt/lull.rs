//! Whether an attempt stands still, since its panel takes its time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longer than a panel next door needs for an answer.
const LONG: Duration = Duration::from_millis(5);

/// Hooks that take turns: while one waits for an answer or for the disk, the other may have been taken up.
const FEW: usize = 2;

/// Since when an attempt has been waiting for its panel.
#[derive(Default)]
pub(super) struct Lull {
    /// Microseconds of the host's clock, and one; zero while it does not wait.
    since: AtomicU64,
}

impl Lull {
    pub fn begin(&self, now: Duration) {
        self.since.store(micros(now).saturating_add(1), Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn is_long(&self, now: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != 0 && u128::from(micros(now).saturating_add(1).saturating_sub(since)) >= LONG.as_micros()
    }
}

/// Whether hardly more than one attempt is getting on, with these under way; it is as well where a thousand wait for a panel
/// that does not answer.
pub(super) fn is_quiet<'a>(lulls: impl ExactSizeIterator<Item = &'a Lull>, now: impl FnOnce() -> Duration) -> bool {
    if lulls.len() <= FEW {
        return true;
    }
    let now = now();
    lulls.filter(|lull| !lull.is_long(now)).nth(FEW).is_none()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(3_600);

    fn waiting(since: Duration) -> Lull {
        let lull = Lull::default();
        lull.begin(since);
        lull
    }

    #[test]
    fn a_lull_is_long_after_a_while_and_until_it_ends() {
        let lull = waiting(Duration::ZERO);
        for (now, is_long) in
            [(Duration::ZERO, false), (LONG - Duration::from_micros(1), false), (LONG, true), (NOW, true)]
        {
            assert_eq!(lull.is_long(now), is_long, "{now:?}");
        }
        lull.end();
        assert!(!lull.is_long(NOW));
        assert!(!waiting(NOW).is_long(Duration::ZERO), "a clock that went back");
    }

    #[test]
    fn it_is_quiet_with_few_that_get_on_however_many_wait() {
        for (moving, just_sent, waiting_long, expected) in [
            (0, 0, 0, true),
            (2, 0, 0, true),
            (3, 0, 0, false),
            (2, 0, 1_000, true),
            (2, 1, 1_000, false),
            (0, 2, 1_000, true),
        ] {
            let lulls: Vec<Lull> = (0..waiting_long)
                .map(|_| waiting(Duration::ZERO))
                .chain((0..moving).map(|_| Lull::default()))
                .chain((0..just_sent).map(|_| waiting(NOW)))
                .collect();
            assert_eq!(is_quiet(lulls.iter(), || NOW), expected, "{moving} {just_sent} {waiting_long}");
        }
    }
}
