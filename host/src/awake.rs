//! Whoever has just worked looks out for more, for a moment, before it sleeps.
//!
//! On its way a hook changes threads a dozen times. Waking one that sleeps takes a few microseconds where the processor is the
//! machine's own, and 30 to 80 where it is a virtual one: with nothing to do it is given back to the machine below, and has to be
//! asked for again. That is most of what a lone hook waits for. Who looks out gives way to all others that want the processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// As long as a hook's threads wait for what others do for it in between, a commit to a common disk included, but for panels and
/// disks that take their time.
const MOMENT: Duration = Duration::from_micros(1_500);

/// What the threads of a host have in common. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Awake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    moment: Duration,
    is_wanted: AtomicBool,
    /// What [`Shared::last`] counts from.
    began: Instant,
    /// The last call, in microseconds.
    last: AtomicU64,
    /// Somebody keeps awake, or is about to.
    is_up: AtomicBool,
    called: Notify,
}

impl Default for Awake {
    /// Not wanted until somebody says so.
    fn default() -> Self {
        Self::lasting(MOMENT)
    }
}

impl Awake {
    /// With another moment; not wanted either.
    pub(crate) fn lasting(moment: Duration) -> Self {
        let shared = Shared {
            moment,
            is_wanted: AtomicBool::new(false),
            began: now(),
            last: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            called: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether anybody is to stay awake from now on.
    pub fn set(&self, is_wanted: bool) {
        self.shared.is_wanted.store(is_wanted, Ordering::Relaxed);
    }

    /// Whether anybody stays awake.
    pub fn is_wanted(&self) -> bool {
        self.shared.is_wanted.load(Ordering::Relaxed)
    }

    /// For a thread that has worked: returns when `is_there` says so, or after a moment. Blocks.
    pub fn look_out(&self, is_there: impl Fn() -> bool) {
        if !self.is_wanted() || is_there() {
            return;
        }
        let began = now();
        while !is_there() && began.elapsed() < self.shared.moment {
            std::thread::yield_now();
        }
    }

    /// For whoever will soon be answered on the host's runtime: its thread stays awake until a moment from now.
    pub fn call(&self) {
        let shared = &*self.shared;
        if !self.is_wanted() {
            return;
        }
        shared.last.store(shared.micros(), Ordering::Release);
        if !shared.is_up.swap(true, Ordering::AcqRel) {
            shared.called.notify_one();
        }
    }

    /// Keeps the thread awake that runs this, whenever it is called for. Never ends. Between two looks at what is due, its
    /// runtime looks at its sockets and its tasks, and others have the processor.
    pub async fn keep(self) {
        let shared = &*self.shared;
        loop {
            shared.called.notified().await;
            while self.is_wanted() && shared.is_within() {
                tokio::task::yield_now().await;
                std::thread::yield_now();
            }
            // A call that comes between the look and this finds it asleep a little later.
            shared.is_up.store(false, Ordering::Release);
        }
    }
}

impl Shared {
    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether less than a moment has passed since the last call.
    fn is_within(&self) -> bool {
        let since = self.micros().saturating_sub(self.last.load(Ordering::Acquire));
        Duration::from_micros(since) < self.moment
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "bounds a use of the processor, whatever clock the host goes by")]
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn who_looks_out_sees_what_comes() {
        let awake = Awake::lasting(LONG);
        awake.set(true);
        let (there, (looks, looking)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
        let thread = std::thread::spawn({
            let (awake, there) = (awake.clone(), Arc::clone(&there));
            move || {
                awake.look_out(|| {
                    let _ = looks.send(());
                    there.load(Ordering::Acquire)
                });
            }
        });
        // It has looked at least three times in vain.
        assert!(looking.iter().take(3).count() == 3);
        there.store(true, Ordering::Release);
        thread.join().unwrap();
    }

    #[test]
    fn who_need_not_stay_awake_looks_once_at_most() {
        for (moment, is_wanted, looks) in [(LONG, false, 0), (Duration::ZERO, true, 2)] {
            let awake = Awake::lasting(moment);
            awake.set(is_wanted);
            let looked = Cell::new(0);
            awake.look_out(|| {
                looked.set(looked.get() + 1);
                false
            });
            assert_eq!(looked.get(), looks, "{moment:?}");
        }
    }

    #[tokio::test]
    async fn a_runtime_that_is_kept_awake_does_its_work() {
        let awake = Awake::lasting(LONG);
        awake.set(true);
        let kept = tokio::spawn(awake.clone().keep());
        awake.call();
        let (ask, mut asked) = tokio::sync::mpsc::channel(1);
        let thread = std::thread::spawn(move || (0..100).try_for_each(|number| ask.blocking_send(number)));
        for number in 0..100 {
            assert_eq!(asked.recv().await, Some(number));
        }
        assert!(awake.shared.is_up.load(Ordering::Acquire));
        thread.join().unwrap().unwrap();

        awake.set(false);
        while awake.shared.is_up.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        awake.call();
        assert!(!awake.shared.is_up.load(Ordering::Acquire), "nobody wants it any more");
        assert!(!kept.is_finished());
        kept.abort();
    }

    #[tokio::test]
    async fn after_a_moment_it_sleeps_and_can_be_called_again() {
        let awake = Awake::lasting(Duration::from_micros(1));
        awake.set(true);
        let kept = tokio::spawn(awake.clone().keep());
        for _ in 0..3 {
            awake.call();
            assert!(awake.shared.is_up.load(Ordering::Acquire));
            while awake.shared.is_up.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
        }
        kept.abort();
    }
}
