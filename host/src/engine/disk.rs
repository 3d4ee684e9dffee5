//! What is known of the room on the store's disk.

use std::time::Duration;

/// For how long a look at a disk with plenty of room holds: asking the system takes longer than most of what a hook does, and
/// nobody fills [`PLENTY`] in this time.
const HOLDS: Duration = Duration::from_millis(100);
const PLENTY: u64 = 1 << 30;

/// The last look: when, by the monotonic clock, and how many bytes were left.
#[derive(Debug, Default)]
pub(super) struct Disk(Option<(Duration, u64)>);

impl Disk {
    /// Notes what was found.
    pub(super) fn looked(&mut self, now: Duration, room: u64) {
        self.0 = Some((now, room));
    }

    /// Whether there is surely more left than `reserve`, so that nobody need look.
    pub(super) fn is_roomy(&self, now: Duration, reserve: u64) -> bool {
        self.0.is_some_and(|(at, room)| now.saturating_sub(at) < HOLDS && room.saturating_sub(reserve) > PLENTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_holds_for_a_moment_and_only_where_there_is_plenty() {
        let now = Duration::from_secs(9);
        assert!(!Disk::default().is_roomy(now, 0), "nobody has looked");
        let mut disk = Disk::default();
        disk.looked(now, 3 * PLENTY);
        for (later, reserve, is_roomy) in [
            (Duration::ZERO, 0, true),
            (HOLDS - Duration::from_millis(1), PLENTY, true),
            (HOLDS, 0, false),
            (Duration::ZERO, 2 * PLENTY, false),
            (Duration::ZERO, u64::MAX, false),
        ] {
            assert_eq!(disk.is_roomy(now + later, reserve), is_roomy, "{later:?} {reserve}");
        }
    }
}
