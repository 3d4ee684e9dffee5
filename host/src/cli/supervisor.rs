//! What a service manager is told: that the daemon is ready, reloads, stops, and that its store still answers.
//!
//! Without a `NOTIFY_SOCKET` nobody is told anything.

use crate::clock::SharedClock;
use crate::store::Store;
use sd_notify::NotifyState;
use std::time::Duration;

/// Tells it.
pub(super) struct Supervisor {
    /// How often it wants a sign of life; never when absent.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that started this process, if one did.
    pub(super) fn new() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled() }
    }

    /// Hooks are taken.
    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is read again; ends with [`ready`](Self::ready), whatever came of it.
    pub(super) fn reloading(&self) {
        // Without its time the message would not count.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reads its configuration again")]),
            Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
        }
    }

    /// No hooks are taken any more.
    pub(super) fn stopping(&self) {
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("lets attempts come to a point at which they can go on later"),
        ]);
    }

    /// Gives a sign of life in time, for as long as the store's writer answers. Never ends.
    pub(super) async fn watch(&self, store: &Store, clock: &SharedClock) {
        match self.watchdog {
            Some(limit) => signs(limit, store, clock, || tell(&[NotifyState::Watchdog])).await,
            None => std::future::pending().await,
        }
    }
}

/// A sign at each quarter of the limit. A writer that hangs gets no question behind it answered, and there are no signs any more. One
/// that answers that it cannot write gives a sign: a restart would make no room and bring no server back, and what attempts keep
/// in memory would be lost.
async fn signs(limit: Duration, store: &Store, clock: &SharedClock, sign: impl Fn()) {
    loop {
        if let Err(error) = store.answers().await {
            tracing::error!(error = %error, "the store cannot be written");
        }
        sign();
        clock.sleep(limit / 4).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::store::behaviour::samples;
    use crate::store::{CommitTap, Moment, StoreOptions};
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Its commit never comes to an end, as on a disk that is gone.
    struct Hangs;

    impl CommitTap for Hangs {
        fn commit(&self, moment: Moment, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            match moment {
                Moment::Before => Box::pin(std::future::pending()),
                Moment::After => Box::pin(std::future::ready(())),
            }
        }
    }

    /// Signs of `halves` halves of the limit.
    async fn signs_of(store: &Store, halves: u32) -> u32 {
        let clock = ManualClock::new(0);
        let (shared, signs_given) = (clock.shared(), AtomicU32::new(0));
        let limit = Duration::from_secs(20);
        let sign = || {
            signs_given.fetch_add(1, Ordering::Relaxed);
        };
        let watching = signs(limit, store, &shared, sign);
        let time = async {
            for _ in 0..halves {
                // The question is out, or its answer is there and the next half waited for.
                for _ in 0..10_000 {
                    if clock.sleepers() > 0 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                clock.advance(limit / 2);
            }
        };
        tokio::select! {
            () = watching => {}
            () = time => {}
        }
        signs_given.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn signs_are_given_while_the_writer_answers() {
        let (_place, store) = samples::store(samples::On::Sqlite).await;
        assert!(signs_of(&store, 5).await >= 4);
        assert_eq!(store.commits(), 0, "a sign costs no commit");
    }

    #[tokio::test]
    async fn a_writer_that_hangs_ends_the_signs() {
        let place = samples::Place::new(samples::On::Sqlite).await;
        let options = StoreOptions { tap: Some(Arc::new(Hangs)), ..StoreOptions::default() };
        let store = Store::open(&place.url(), place.sealer(), options).await.unwrap();
        assert!(signs_of(&store, 3).await >= 2);
        let hung = {
            let store = store.clone();
            tokio::spawn(async move { store.accept(samples::new("1", "41")).await })
        };
        // The writer has taken it when nothing more moves.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }

        assert_eq!(signs_of(&store, 3).await, 0);

        hung.abort();
    }

    #[tokio::test]
    async fn a_full_disk_does_not_end_them() {
        let (_place, store) = samples::store(samples::On::Sqlite).await;
        store.tend("PRAGMA query_only = 1").await.unwrap();
        assert!(store.accept(samples::new("1", "41")).await.is_err());
        assert!(signs_of(&store, 3).await >= 2);
    }
}
