//! Times of what waits, on the clock that does not jump.
//!
//! What is stored are wall times, since only those mean something to the next host. While this one lives, an administrator or a
//! time server may set the wall clock by an hour or a day: nothing may be early, late or too old for that. So each wait that
//! began here is remembered with the monotonic time of its end. Of one that began under an earlier host no more is believed
//! to be left than it was to be at first, whatever the clock says.

use crate::clock::SharedClock;
use crate::panel::millis;
use crate::store::{Operation, OperationId, ServiceKey};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many operations are remembered. Some that end elsewhere, as by a person's word, are not taken out; whoever is forgotten is
/// known by the stored times again.
const MOST: usize = 200_000;

/// See above.
pub struct Times {
    clock: SharedClock,
    known: Mutex<Known>,
}

/// Each end with the wall time that is stored for it: another one is another wait.
#[derive(Default)]
struct Known {
    due: HashMap<OperationId, (u64, Duration)>,
    waits: HashMap<OperationId, HashMap<String, (u64, Duration)>>,
    polls: HashMap<ServiceKey, (u64, Duration)>,
    /// Age at a monotonic time, milliseconds.
    ages: HashMap<OperationId, (u64, Duration)>,
}

impl Times {
    /// Knows nothing yet.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, known: Mutex::default() }
    }

    /// An operation was accepted now.
    pub fn accepted(&self, id: &OperationId) {
        let mut known = self.lock();
        if known.ages.len() >= MOST {
            *known = Known::default();
        }
        known.ages.insert(id.clone(), (0, self.clock.monotonic()));
    }

    /// Milliseconds since it was accepted, of which those count that a host was there to see.
    pub fn age_ms(&self, operation: &Operation) -> u64 {
        let (now, monotonic) = (self.clock.unix_ms(), self.clock.monotonic());
        let seen = || (now.saturating_sub(operation.created_at), monotonic);
        let (age, at) = *self.lock().ages.entry(operation.id.clone()).or_insert_with(seen);
        age.saturating_add(millis(monotonic.saturating_sub(at)))
    }

    /// An operation was put off until `next_at`, which is so far from now.
    pub fn put_off(&self, id: &OperationId, next_at: u64, after_ms: u64) {
        let end = self.end(after_ms);
        self.lock().due.insert(id.clone(), (next_at, end));
    }

    /// Milliseconds until an operation may go on.
    pub fn due_in(&self, operation: &Operation) -> u64 {
        let Some(next_at) = operation.next_at else { return 0 };
        let left = left(next_at, self.clock.unix_ms(), next_at.saturating_sub(operation.updated_at));
        let end = self.end(left);
        let mut known = self.lock();
        let entry = known.due.entry(operation.id.clone()).or_insert((next_at, end));
        if entry.0 != next_at {
            *entry = (next_at, end);
        }
        millis(entry.1.saturating_sub(self.clock.monotonic()))
    }

    /// A wait within an operation began; it ends at `until`, which is so far from now.
    pub fn wait_begun(&self, id: &OperationId, name: &str, until: u64, within_ms: u64) {
        let end = self.end(within_ms);
        self.lock().waits.entry(id.clone()).or_default().insert(name.to_owned(), (until, end));
    }

    /// Milliseconds that are left of it; `within_ms` is what it was to last, if that is known.
    pub fn wait_left(&self, id: &OperationId, name: &str, until: u64, within_ms: Option<u64>) -> u64 {
        let end = self.end(left(until, self.clock.unix_ms(), within_ms.unwrap_or(u64::MAX)));
        let mut known = self.lock();
        let entry = known.waits.entry(id.clone()).or_default().entry(name.to_owned()).or_insert((until, end));
        if entry.0 != until {
            *entry = (until, end);
        }
        millis(entry.1.saturating_sub(self.clock.monotonic()))
    }

    /// Milliseconds until a service is to be read that is to be read at `at`, at the latest so long after the read before.
    pub fn poll_in(&self, key: &ServiceKey, at: u64) -> u64 {
        let end = self.end(at.saturating_sub(self.clock.unix_ms()));
        let mut known = self.lock();
        let entry = known.polls.entry(key.clone()).or_insert((at, end));
        if entry.0 != at {
            *entry = (at, end);
        }
        millis(entry.1.saturating_sub(self.clock.monotonic()))
    }

    /// A service is read now, or need not be any more.
    pub fn polled(&self, key: &ServiceKey) {
        self.lock().polls.remove(key);
    }

    /// It is final: nothing of it waits.
    pub fn ended(&self, id: &OperationId) {
        let mut known = self.lock();
        known.due.remove(id);
        known.ages.remove(id);
        known.waits.remove(id);
    }

    fn end(&self, after_ms: u64) -> Duration {
        self.clock.monotonic().saturating_add(Duration::from_millis(after_ms))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left until a wall time, and no more than it was at first.
pub fn left(until: u64, now: u64, at_first: u64) -> u64 {
    until.saturating_sub(now).min(at_first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const HOUR: u64 = 3_600_000;
    const START: u64 = 1_830_297_600_000;

    #[test]
    fn what_waits_does_not_notice_that_the_wall_clock_is_set() {
        let clock = ManualClock::new(START);
        let times = Times::new(clock.shared());
        let (id, key) = (OperationId("op_1".into()), ServiceKey { platform: "p".into(), service_id: "1".into() });
        times.wait_begun(&id, "built", START + HOUR, HOUR);
        assert_eq!(times.poll_in(&key, START + HOUR), HOUR);

        for wall in [START + 25 * HOUR, START - 24 * HOUR, START] {
            clock.set_wall(wall);
            assert_eq!(times.wait_left(&id, "built", START + HOUR, Some(HOUR)), HOUR);
            assert_eq!(times.poll_in(&key, START + HOUR), HOUR);
        }
        clock.advance(Duration::from_millis(HOUR / 2));
        clock.set_wall(START - 24 * HOUR);
        assert_eq!(times.wait_left(&id, "built", START + HOUR, Some(HOUR)), HOUR / 2);
        // Another one of that name is another wait.
        assert_eq!(times.wait_left(&id, "built", START - 24 * HOUR + 7, Some(HOUR)), 7);
        times.polled(&key);
        assert_eq!(times.poll_in(&key, START - 24 * HOUR + 9), 9);
        times.ended(&id);
        assert!(times.lock().waits.is_empty());
    }

    #[test]
    fn of_an_earlier_hosts_wait_no_more_is_left_than_it_was_at_first() {
        for (until, now, at_first, expected) in [
            (START + 10, START, 10, 10),
            (START + 10, START + 4, 10, 6),
            (START + 10, START + HOUR, 10, 0),
            (START + 10, START - 24 * HOUR, 10, 10),
        ] {
            assert_eq!(left(until, now, at_first), expected);
        }
    }
}
