//! How far a connection is, as its own stream sees it, and when that has taken too long.

use crate::clock::{SharedClock, Sleep};
use crate::config::SocketConfig;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of a request has come.
    Idle,
    /// Part of a request's head has come.
    Head,
    /// A request is being answered.
    Request,
}

/// What a connection was too slow with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// With a next request.
    Idle,
    /// With the head of a request.
    Head,
    /// With taking the answer.
    Taking,
}

/// How long each of them may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    idle: Duration,
    head: Duration,
    taking: Duration,
}

impl Patience {
    pub(super) fn of(settings: &SocketConfig) -> Self {
        Self { idle: settings.idle_timeout, head: settings.head_timeout, taking: settings.write_timeout }
    }
}

/// The progress of one connection; written by its stream and its service, read by whoever watches over it.
#[derive(Debug)]
pub(super) struct Progress {
    clock: Shared,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    /// Since when, on the monotonic clock.
    since: Duration,
    /// Since when the peer has taken nothing of what is to be written.
    stuck_since: Option<Duration>,
    /// No answer is on its way: what is written now is the HTTP library's own.
    is_quiet: bool,
}

impl Progress {
    pub(super) fn new(clock: SharedClock) -> Self {
        let since = clock.monotonic();
        let state = State { phase: Phase::Idle, since, stuck_since: None, is_quiet: true };
        Self { clock: Shared(clock), state: Mutex::new(state) }
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Since when no request has been under way; `None` while one is.
    pub(super) fn unused_since(&self) -> Option<Duration> {
        let state = self.lock();
        (state.phase != Phase::Request).then_some(state.since)
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Idle {
            (state.phase, state.since) = (Phase::Head, self.now());
        }
    }

    /// A request's head is whole.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        (state.phase, state.since, state.is_quiet) = (Phase::Request, self.now(), false);
    }

    /// The last of the answer was handed over to be written.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        (state.phase, state.since) = (Phase::Idle, self.now());
    }

    /// A write was tried.
    pub(super) fn wrote(&self, is_taken: bool) {
        let mut state = self.lock();
        state.stuck_since = if is_taken { None } else { state.stuck_since.or_else(|| Some(self.now())) };
    }

    /// Everything that was to be written is written.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        state.is_quiet = state.phase != Phase::Request;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.lock().is_quiet
    }

    fn deadline(&self, patience: &Patience) -> Option<(Duration, Late)> {
        let State { phase, since, stuck_since, .. } = *self.lock();
        let waiting = match phase {
            Phase::Idle => Some((since.saturating_add(patience.idle), Late::Idle)),
            Phase::Head => Some((since.saturating_add(patience.head), Late::Head)),
            // What a request waits for has limits of its own.
            Phase::Request => None,
        };
        let taking = stuck_since.map(|since| (since.saturating_add(patience.taking), Late::Taking));
        [waiting, taking].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn now(&self) -> Duration {
        self.clock.0.monotonic()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shared(SharedClock);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("clock")
    }
}

/// Ends when the connection has been too slow. Must be polled in the task of its connection, after it: that is how it
/// learns of progress.
pub(super) struct Overdue {
    progress: Arc<Progress>,
    patience: Patience,
    armed: Option<(Duration, Sleep)>,
}

impl Overdue {
    pub(super) fn new(progress: Arc<Progress>, patience: Patience) -> Self {
        Self { progress, patience, armed: None }
    }
}

impl Future for Overdue {
    type Output = Late;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Late> {
        loop {
            let Some((at, late)) = self.progress.deadline(&self.patience) else {
                self.armed = None;
                return Poll::Pending;
            };
            if self.progress.now() >= at {
                return Poll::Ready(late);
            }
            // One that rings too early is wound again when it rings, and not at every step of the connection.
            match &mut self.armed {
                Some((rings, sleep)) if *rings <= at => {
                    ready!(sleep.as_mut().poll(cx));
                    self.armed = None;
                }
                _ => self.armed = Some((at, self.progress.clock.0.sleep_until(at))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const PATIENCE: Patience =
        Patience { idle: Duration::from_secs(60), head: Duration::from_secs(10), taking: Duration::from_secs(30) };

    fn at(secs: u64, late: Late) -> Option<(Duration, Late)> {
        Some((Duration::from_secs(secs), late))
    }

    #[test]
    fn each_phase_has_its_own_patience() {
        let clock = ManualClock::new(0);
        let progress = Progress::new(clock.shared());
        assert_eq!(progress.deadline(&PATIENCE), at(60, Late::Idle));

        clock.advance(Duration::from_secs(5));
        progress.received();
        clock.advance(Duration::from_secs(1));
        progress.received();
        assert_eq!(progress.deadline(&PATIENCE), at(15, Late::Head), "more bytes buy no time");

        progress.begin();
        assert_eq!(progress.deadline(&PATIENCE), None, "a hook may take as long as it is waited for");
        progress.wrote(false);
        clock.advance(Duration::from_secs(1));
        progress.wrote(false);
        assert_eq!(progress.deadline(&PATIENCE), at(36, Late::Taking), "a second try buys no time");
        progress.wrote(true);
        assert_eq!(progress.deadline(&PATIENCE), None);

        progress.end();
        assert_eq!(progress.deadline(&PATIENCE), at(67, Late::Idle));
    }

    #[test]
    fn what_is_written_between_two_requests_is_not_an_answer() {
        let progress = Progress::new(ManualClock::new(0).shared());
        assert!(progress.is_quiet(), "before the first request");
        progress.begin();
        progress.flushed();
        assert!(!progress.is_quiet(), "part of an answer was written");
        progress.end();
        assert!(!progress.is_quiet(), "the rest of it waits to be written");
        progress.flushed();
        assert!(progress.is_quiet());
    }

    #[tokio::test]
    async fn the_watch_follows_the_progress() {
        let clock = ManualClock::new(0);
        let progress = Arc::new(Progress::new(clock.shared()));
        let mut overdue = Overdue::new(Arc::clone(&progress), PATIENCE);
        assert!(futures_util::poll!(&mut overdue).is_pending());

        progress.received();
        assert!(futures_util::poll!(&mut overdue).is_pending());
        clock.advance(Duration::from_secs(9));
        progress.begin();
        clock.advance(Duration::from_secs(1_000));
        assert!(futures_util::poll!(&mut overdue).is_pending());
        assert_eq!(clock.sleepers(), 0, "nothing is waited for while a request is under way");

        progress.end();
        assert!(futures_util::poll!(&mut overdue).is_pending());
        progress.received();
        clock.advance(Duration::from_secs(10));
        assert_eq!(futures_util::poll!(&mut overdue), Poll::Ready(Late::Head));
    }
}
