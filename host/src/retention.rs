//! What the module log keeps, and what may go: by age, by outcome, and by how much room the store may take. Pure.
//!
//! What a repeated hook is recognised by (keys, fingerprints, outcomes, services, epochs, ids on panels) is no part of the log:
//! it stays for ever, whatever is decided here.

use crate::operation::State;
use std::time::Duration;

/// `[store.retention]`: how long what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Bodies of requests and replies.
    pub bodies: Duration,
    /// The same of operations that failed.
    pub failed_bodies: Duration,
    /// Entries of hooks that only read.
    pub reads: Duration,
    /// Entries of operations that succeeded or were cancelled.
    pub operations: Duration,
    /// Entries of operations that failed.
    pub failures: Duration,
    /// What the database may take, bytes; beyond it the oldest goes before its time.
    pub budget: u64,
}

/// Whose an entry of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Of a hook that only reads, which came at this time.
    Read {
        /// Unix milliseconds.
        at: u64,
    },
    /// Of an operation that stands so.
    Operation {
        /// Where it stands.
        state: State,
        /// Since when, if that is final; Unix milliseconds.
        ended_at: Option<u64>,
    },
}

/// What may go: all that is older than these, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    bodies: u64,
    failed_bodies: u64,
    reads: u64,
    operations: u64,
    failures: u64,
}

impl Plan {
    /// What has lived out its time.
    pub fn by_age(retention: &Retention, now: u64) -> Self {
        let before = |age: Duration| now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Self {
            bodies: before(retention.bodies),
            failed_bodies: before(retention.failed_bodies),
            reads: before(retention.reads),
            operations: before(retention.operations),
            failures: before(retention.failures),
        }
    }

    /// Whatever ended before `at`.
    pub const fn before(at: u64) -> Self {
        Self { bodies: at, failed_bodies: at, reads: at, operations: at, failures: at }
    }

    /// What goes before its time when there is too much, in this order: each is carried out oldest first, and only until there
    /// is room again. Bodies are most of it and least missed; failures are looked for longest.
    pub fn for_room(now: u64) -> [Self; 4] {
        let bodies = Self { bodies: now, failed_bodies: now, ..Self::default() };
        let reads = Self { reads: now, ..bodies };
        let operations = Self { operations: now, ..reads };
        [bodies, reads, operations, Self { failures: now, ..operations }]
    }

    /// Whether the entry goes, all of it.
    pub fn takes(&self, entry: Entry) -> bool {
        match entry {
            Entry::Read { at } => at < self.reads,
            Entry::Operation { state, ended_at } => self.is_past(state, ended_at, self.operations, self.failures),
        }
    }

    /// Whether the bodies of the entry go.
    pub fn takes_bodies(&self, entry: Entry) -> bool {
        match entry {
            Entry::Read { at } => at < self.bodies,
            Entry::Operation { state, ended_at } => self.is_past(state, ended_at, self.bodies, self.failed_bodies),
        }
    }

    /// No entry that came at this time or later goes.
    pub fn entries_end(&self) -> u64 {
        self.reads.max(self.operations).max(self.failures)
    }

    /// No body of an entry that came at this time or later goes.
    pub fn bodies_end(&self) -> u64 {
        self.bodies.max(self.failed_bodies)
    }

    const fn is_past(&self, state: State, ended_at: Option<u64>, well: u64, failed: u64) -> bool {
        let before = match state {
            State::Succeeded | State::Cancelled => well,
            State::Failed => failed,
            // Whatever its age: somebody or something still goes by it.
            State::Queued | State::Running | State::Waiting | State::Attention => return false,
        };
        matches!(ended_at, Some(at) if at < before)
    }
}

/// How full the store is, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// What is in use.
    pub used: u64,
    /// What it has taken of the disk and does not use.
    pub free: u64,
}

/// How much is made free when there is too much, so that it is not too much again at once: a twentieth.
const MARGIN: u64 = 20;

impl Retention {
    /// Whether something must go before its time.
    pub const fn is_exceeded(&self, extent: Extent) -> bool {
        extent.used > self.budget
    }

    /// Whether enough has gone.
    pub const fn has_room(&self, extent: Extent) -> bool {
        extent.used <= self.budget - self.budget / MARGIN
    }
}

impl Extent {
    /// Whether some of what is not used should be given back to the disk. A twentieth is kept, and never less than 16 MiB: it is
    /// used again soon, and taking it anew costs more than keeping it.
    pub fn should_shrink(self) -> bool {
        const LEAST: u64 = 16 << 20;
        self.free > LEAST.max(self.used / MARGIN)
    }
}

/// Splits what goes into bites of at most `most` rows: one that is larger by itself stands alone.
pub fn bites<T>(lines: Vec<(T, u64)>, most: u64) -> Vec<Vec<T>> {
    let mut bites: Vec<Vec<T>> = Vec::new();
    let mut size = u64::MAX;
    for (line, weight) in lines {
        size = size.saturating_add(weight);
        match bites.last_mut() {
            Some(bite) if size <= most => bite.push(line),
            _ => {
                bites.push(vec![line]);
                size = weight;
            }
        }
    }
    bites
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;
    const NOW: u64 = 1_000 * DAY;

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 86_400)
    }

    fn retention() -> Retention {
        Retention {
            bodies: days(30),
            failed_bodies: days(60),
            reads: days(10),
            operations: days(100),
            failures: days(200),
            budget: 1_000,
        }
    }

    fn ended(state: State, ago: u64) -> Entry {
        Entry::Operation { state, ended_at: Some(NOW - ago * DAY) }
    }

    #[test]
    fn each_outcome_has_its_time() {
        let plan = Plan::by_age(&retention(), NOW);
        for (entry, goes, bodies_go) in [
            (Entry::Read { at: NOW - 10 * DAY }, false, false),
            (Entry::Read { at: NOW - 10 * DAY - 1 }, true, false),
            (Entry::Read { at: NOW - 31 * DAY }, true, true),
            (ended(State::Succeeded, 30), false, false),
            (ended(State::Succeeded, 31), false, true),
            (ended(State::Cancelled, 99), false, true),
            (ended(State::Cancelled, 101), true, true),
            (ended(State::Failed, 59), false, false),
            (ended(State::Failed, 101), false, true),
            (ended(State::Failed, 201), true, true),
        ] {
            assert_eq!((plan.takes(entry), plan.takes_bodies(entry)), (goes, bodies_go), "{entry:?}");
        }
        assert_eq!((plan.entries_end(), plan.bodies_end()), (NOW - 10 * DAY, NOW - 30 * DAY));
    }

    #[test]
    fn what_has_not_ended_never_goes() {
        let plans =
            [Plan::by_age(&retention(), NOW), Plan::before(u64::MAX)].into_iter().chain(Plan::for_room(u64::MAX));
        for plan in plans {
            for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
                for ended_at in [None, Some(0)] {
                    let entry = Entry::Operation { state, ended_at };
                    assert!(!plan.takes(entry) && !plan.takes_bodies(entry), "{state}");
                }
            }
            let unknown = Entry::Operation { state: State::Succeeded, ended_at: None };
            assert!(!plan.takes(unknown) && !plan.takes_bodies(unknown));
        }
    }

    #[test]
    fn for_room_bodies_go_first_and_failures_last() {
        let lines = [Entry::Read { at: 1 }, ended(State::Succeeded, 1), ended(State::Failed, 1)];
        let taken = Plan::for_room(NOW).map(|plan| lines.map(|line| plan.takes(line)));
        assert_eq!(taken, [[false, false, false], [true, false, false], [true, true, false], [true, true, true]]);
        for plan in Plan::for_room(NOW) {
            assert!(lines.iter().all(|line| plan.takes_bodies(*line)));
        }
    }

    #[test]
    fn room_is_made_with_a_margin() {
        let retention = retention();
        let at = |used| Extent { used, free: 0 };
        assert!(!retention.is_exceeded(at(1_000)) && retention.is_exceeded(at(1_001)));
        assert!(!retention.has_room(at(951)) && retention.has_room(at(950)));
    }

    #[test]
    fn little_that_is_free_is_kept() {
        const MIB: u64 = 1 << 20;
        for (used, free, expected) in [(0, 16, false), (0, 17, true), (1_000, 50, false), (1_000, 51, true)] {
            assert_eq!(Extent { used: used * MIB, free: free * MIB }.should_shrink(), expected, "{used} {free}");
        }
    }

    #[test]
    fn bites_are_bounded() {
        let lines = vec![("a", 3), ("b", 7), ("c", 1), ("d", 50), ("e", 0), ("f", 10), ("g", 1)];
        assert_eq!(bites(lines, 10), [vec!["a", "b"], vec!["c"], vec!["d"], vec!["e", "f"], vec!["g"]]);
        assert!(bites::<()>(vec![], 10).is_empty());
    }
}
