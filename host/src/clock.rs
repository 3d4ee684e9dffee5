//! The only place that asks the time.
//!
//! Three times are kept apart. *Wall time* (Unix milliseconds, UTC) is what is stored and shown, and may jump. *Monotonic time*
//! counts from an arbitrary start of one clock, never goes back, and is what every time-out and wait is measured on. *Boot time*
//! also counts while the machine sleeps; what others may have done meanwhile is judged by it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::sync::watch;

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// A pending sleep. Dropping it takes the sleeper away.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Asks the time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Wall time: Unix time in milliseconds, UTC. May jump in both directions.
    fn unix_ms(&self) -> u64;

    /// Monotonic time since an arbitrary start of this clock. Of no meaning to another process or another clock.
    fn monotonic(&self) -> Duration;

    /// Time since the machine was started, or since another arbitrary moment: goes on while the machine is suspended.
    fn boot_time(&self) -> Duration;

    /// Ends once [`monotonic`](Self::monotonic) has reached `monotonic`; at once if it has already.
    fn sleep_until(&self, monotonic: Duration) -> Sleep;

    /// Ends after `duration`, counted from this call and not from the first poll.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.monotonic().saturating_add(duration))
    }
}

/// The machine's clock. Sleeping needs a tokio runtime with timers.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic time at zero.
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are to ask")]
        let start = Instant::now();
        Self { start }
    }

    /// [`new`](Self::new), ready to be handed around.
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        // A machine that believes in a time before 1970 has no time to tell; zero is the least wrong of what can be stored.
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are to ask")]
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        millis(since)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn boot_time(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn sleep_until(&self, monotonic: Duration) -> Sleep {
        let at = self.start.checked_add(monotonic);
        Box::pin(async move {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                // Beyond what the machine can count to: never.
                None => std::future::pending().await,
            }
        })
    }
}

/// A clock that stands still until it is moved. Clones share one time.
///
/// A harness lets the program run until it sleeps, sees until when, and moves there; nothing waits in real time:
///
/// ```text
/// clock.until(|clock| clock.next_deadline().is_some()).await;
/// clock.advance_to_next();
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts what happened to the sleepers, so that a harness can wait for a change instead of looking again and again.
    version: watch::Sender<u64>,
}

struct State {
    unix_ms: u64,
    /// What `unix_ms` lacks, so that many small advances add up.
    wall_rest: Duration,
    monotonic: Duration,
    /// What boot time is ahead of `monotonic`.
    suspended: Duration,
    /// By deadline, then by order of falling asleep.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_sleeper: u64,
}

impl ManualClock {
    /// A clock that shows `start_unix_ms` and a monotonic time of zero.
    pub fn new(start_unix_ms: u64) -> Self {
        let state = State {
            unix_ms: start_unix_ms,
            wall_rest: Duration::ZERO,
            monotonic: Duration::ZERO,
            suspended: Duration::ZERO,
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), version: watch::Sender::new(0) }) }
    }

    /// A clone, ready to be handed around.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }

    /// Moves both times on and wakes every sleeper that is due, the earliest first.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut state = self.shared.lock();
            state.monotonic = state.monotonic.saturating_add(by);
            let wall = state.wall_rest.saturating_add(by);
            state.unix_ms = state.unix_ms.saturating_add(millis(wall));
            state.wall_rest = Duration::from_nanos(u64::from(wall.subsec_nanos() % 1_000_000));
            // A deadline that is reached counts as due: split just behind it.
            let first_later = state.monotonic.saturating_add(Duration::from_nanos(1));
            let later = state.sleepers.split_off(&(first_later, 0));
            std::mem::replace(&mut state.sleepers, later)
        };
        // Outside the lock: a waker may poll right here, and look at this clock.
        due.into_values().for_each(Waker::wake);
        self.shared.changed();
    }

    /// Moves on to the earliest deadline and wakes whoever waits for it. Returns the step made, `None` when nobody sleeps.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let by = self.next_deadline()?.saturating_sub(self.monotonic());
        self.advance(by);
        Some(by)
    }

    /// Lets the machine sleep: wall time and boot time go on, and nobody wakes.
    pub fn suspend(&self, by: Duration) {
        let mut state = self.shared.lock();
        state.suspended = state.suspended.saturating_add(by);
        state.unix_ms = state.unix_ms.saturating_add(millis(by));
    }

    /// Lets the wall time jump, as an administrator or a time server would. Sleepers do not notice.
    pub fn set_wall(&self, unix_ms: u64) {
        let mut state = self.shared.lock();
        state.unix_ms = unix_ms;
        state.wall_rest = Duration::ZERO;
    }

    /// How many sleeps have been polled and are neither due nor dropped.
    pub fn sleepers(&self) -> usize {
        self.shared.lock().sleepers.len()
    }

    /// The monotonic time at which the first sleeper is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.shared.lock().sleepers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// A counter that changes whenever somebody falls asleep, is woken or gives up.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Ends when the sleepers have changed since `seen`, a value of [`version`](Self::version); returns the new value.
    pub async fn until_sleepers_change(&self, seen: u64) -> u64 {
        let mut version = self.version();
        match version.wait_for(|now| *now != seen).await {
            Ok(now) => *now,
            // The sender lives as long as `self`.
            Err(_) => seen,
        }
    }

    /// Ends when `condition` holds; looks at the start and after each change of the sleepers.
    pub async fn until(&self, mut condition: impl FnMut(&Self) -> bool) {
        // Listen before looking: a change between the look and the wait would otherwise be missed.
        let mut version = self.version();
        while !condition(self) {
            if version.changed().await.is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("ManualClock")
            .field("unix_ms", &state.unix_ms)
            .field("monotonic", &state.monotonic)
            .field("sleepers", &state.sleepers.len())
            .finish()
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> u64 {
        self.shared.lock().unix_ms
    }

    fn monotonic(&self) -> Duration {
        self.shared.lock().monotonic
    }

    fn boot_time(&self) -> Duration {
        let state = self.shared.lock();
        state.monotonic.saturating_add(state.suspended)
    }

    fn sleep_until(&self, monotonic: Duration) -> Sleep {
        Box::pin(ManualSleep { shared: Arc::clone(&self.shared), deadline: monotonic, entry: None })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic half-way runs under the lock, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }
}

struct ManualSleep {
    shared: Arc<Shared>,
    deadline: Duration,
    /// Where this sleep stands among the sleepers, once polled.
    entry: Option<u64>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.shared.lock();
        if state.monotonic >= this.deadline {
            return Poll::Ready(());
        }
        let is_new = this.entry.is_none();
        let entry = *this.entry.get_or_insert_with(|| {
            state.next_sleeper += 1;
            state.next_sleeper
        });
        let replaced = state.sleepers.insert((this.deadline, entry), cx.waker().clone());
        drop(state);
        drop(replaced);
        if is_new {
            this.shared.changed();
        }
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        let Some(entry) = self.entry else { return };
        let removed = self.shared.lock().sleepers.remove(&(self.deadline, entry));
        if removed.is_some() {
            self.shared.changed();
        }
    }
}

/// The instant as RFC 3339 in UTC with milliseconds, `2026-01-31T08:15:30.250Z`.
///
/// Beyond the year 9999 it is the last instant of that year: a timestamp is shown, never refused.
pub fn rfc3339(unix_ms: u64) -> String {
    let instant = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", instant.unwrap_or(Timestamp::MAX))
}

/// Reads an RFC 3339 instant, with any offset, as Unix milliseconds. Finer fractions are cut.
///
/// # Errors
///
/// [`TimeError`] when the text is no instant or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Result<u64, TimeError> {
    let instant: Timestamp = text.trim().parse().map_err(|source| TimeError::Unreadable { source })?;
    // Floor, not truncation: a fraction of a millisecond before 1970 must not round up into it.
    u64::try_from(instant.as_nanosecond().div_euclid(1_000_000)).map_err(|_| TimeError::BeforeEpoch)
}

/// Why a text is no instant that can be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not RFC 3339, or no offset given.
    #[error("not an RFC 3339 time such as 2026-01-31T08:15:30Z")]
    Unreadable {
        /// What the reader stumbled over.
        #[source]
        source: jiff::Error,
    },
    /// Stored times start at 1970.
    #[error("the time lies before 1970")]
    BeforeEpoch,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Lets everything that can run do so, on tokio's single-threaded test runtime.
    async fn settle() {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_advance_wakes_exactly_those_who_are_due() {
        let clock = ManualClock::new(1_000);
        let sleepers: Vec<_> = [1, 2, 3].map(|n| tokio::spawn(clock.sleep(SECOND * n))).into();
        clock.until(|clock| clock.sleepers() == 3).await;
        assert_eq!(clock.next_deadline(), Some(SECOND));

        clock.advance(SECOND * 2);
        settle().await;

        assert_eq!(sleepers.iter().map(|task| task.is_finished()).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(clock.sleepers(), 1);
        assert_eq!(clock.next_deadline(), Some(SECOND * 3));
        assert_eq!((clock.unix_ms(), clock.monotonic()), (3_000, SECOND * 2));
    }

    #[tokio::test]
    async fn a_sleep_counts_from_the_call_and_not_from_the_first_poll() {
        let clock = ManualClock::new(0);
        let sleep = clock.sleep(SECOND);
        clock.advance(SECOND);
        sleep.await;
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn a_dropped_sleep_is_no_sleeper() {
        let clock = ManualClock::new(0);
        let task = tokio::spawn(clock.sleep(SECOND));
        clock.until(|clock| clock.sleepers() == 1).await;

        task.abort();
        clock.until(|clock| clock.sleepers() == 0).await;

        assert_eq!(clock.next_deadline(), None);
        assert_eq!(clock.advance_to_next(), None);
    }

    #[tokio::test]
    async fn moving_to_the_next_deadline_runs_a_program_of_sleeps() {
        let clock = ManualClock::new(0);
        let inner = clock.shared();
        let program = tokio::spawn(async move {
            for seconds in [10, 60, 300] {
                inner.sleep(SECOND * seconds).await;
            }
        });

        for seconds in [10, 60, 300] {
            clock.until(|clock| clock.sleepers() == 1).await;
            assert_eq!(clock.advance_to_next(), Some(SECOND * seconds));
        }
        program.await.expect("the program ends");

        assert_eq!(clock.monotonic(), SECOND * 370);
    }

    #[tokio::test]
    async fn a_jump_of_the_wall_wakes_nobody() {
        let clock = ManualClock::new(5_000);
        let task = tokio::spawn(clock.sleep(SECOND));
        clock.until(|clock| clock.sleepers() == 1).await;

        clock.set_wall(9_000_000);
        settle().await;
        assert!(!task.is_finished());
        assert_eq!(clock.monotonic(), Duration::ZERO);

        clock.set_wall(10);
        clock.advance(SECOND);
        task.await.expect("woken");
        assert_eq!(clock.unix_ms(), 1_010);
    }

    #[tokio::test]
    async fn while_the_machine_sleeps_only_boot_time_and_the_wall_go_on() {
        let clock = ManualClock::new(0);
        let task = tokio::spawn(clock.sleep(SECOND));
        clock.until(|clock| clock.sleepers() == 1).await;
        clock.suspend(SECOND * 60);
        settle().await;
        assert!(!task.is_finished());
        assert_eq!((clock.monotonic(), clock.boot_time(), clock.unix_ms()), (Duration::ZERO, SECOND * 60, 60_000));
        clock.advance(SECOND);
        assert_eq!(clock.boot_time(), SECOND * 61);
        task.await.expect("woken");
        let machine = SystemClock::new();
        assert!(machine.boot_time() >= machine.monotonic());
    }

    #[tokio::test]
    async fn a_change_that_was_missed_is_still_seen() {
        let clock = ManualClock::new(0);
        let seen = *clock.version().borrow();
        let task = tokio::spawn(clock.sleep(SECOND));
        settle().await;

        assert_ne!(clock.until_sleepers_change(seen).await, seen);

        task.abort();
    }

    #[test]
    fn fractions_of_a_millisecond_add_up() {
        let clock = ManualClock::new(0);
        for _ in 0..4 {
            clock.advance(Duration::from_micros(250));
        }
        assert_eq!(clock.unix_ms(), 1);
        clock.advance(Duration::new(2, 1_500_000));
        assert_eq!(clock.unix_ms(), 2_002);
    }

    #[tokio::test]
    async fn the_machines_clock_does_not_wait_for_the_past() {
        let clock = SystemClock::new();
        clock.sleep_until(Duration::ZERO).await;
        clock.sleep(Duration::ZERO).await;
        assert!(clock.unix_ms() > 1_600_000_000_000);
        // Further away than the machine can count: made, never ended, no panic.
        drop(clock.sleep(Duration::MAX));
    }

    #[test]
    fn instants_are_written_and_read_in_rfc_3339() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_769_847_330_250, "2026-01-31T08:15:30.250Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
            assert_eq!(parse_rfc3339(text).expect(text), unix_ms);
        }
        assert!(rfc3339(u64::MAX).starts_with("9999-12-30T"));
        assert_eq!(parse_rfc3339("2026-01-31T10:15:30+02:00").expect("an offset"), 1_769_847_330_000);
        assert_eq!(parse_rfc3339("2026-01-31T08:15:30.2509Z").expect("a fraction"), 1_769_847_330_250);
        for bad in ["", "yesterday", "2026-01-31", "2026-13-01T00:00:00Z"] {
            assert!(matches!(parse_rfc3339(bad), Err(TimeError::Unreadable { .. })), "{bad:?}");
        }
        for early in ["1969-12-31T23:59:59Z", "1969-12-31T23:59:59.9999Z"] {
            assert!(matches!(parse_rfc3339(early), Err(TimeError::BeforeEpoch)), "{early}");
        }
    }
}
