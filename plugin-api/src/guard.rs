//! Keeps panics on the side where they happen: what leaves either side is a value.
//!
//! A panic that reaches an `extern "C"` edge ends the process, and so does one in the drop of a future that crossed.
//! Hence every future goes out as [`Guarded`], every other entry runs inside [`catch`], and what an author's type
//! leaves behind is held in [`Quiet`]. Used by the plugin's glue and by the host alike.
//!
//! Not containable: a panic while panicking, `abort`, `exit`, stack overflow, failed allocation.

use std::{
    any::Any,
    cell::Cell,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Once,
    task::{Context, Poll},
};

use billhook_abi::{
    CallError, CallResult, code,
    edge::{RErr, RResult},
};

/// A panic that was caught, with its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {text}")]
pub struct Panicked {
    /// What `panic!` was given, or a stand-in when that was not text.
    pub text: String,
}

impl From<Panicked> for CallError {
    fn from(panic: Panicked) -> Self {
        CallError::new(code::PANICKED, panic.text)
    }
}

/// Runs `work` and turns a panic into a value.
///
/// Whatever `work` borrowed mutably may be half changed after a panic; give it only what is thrown away then.
///
/// # Errors
///
/// [`Panicked`] when `work` panicked.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = text_of(&*payload);
        drop_quietly(payload);
        Panicked { text }
    })
}

/// Drops `value`; a panic in its drop ends there.
pub fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The payload's own drop may panic too, and so on without end. A few bytes leak instead.
        std::mem::forget(payload);
    }
}

/// A future whose panics, in poll and in drop, become error values or end quietly.
///
/// After a panic the future inside is dropped at once. Polling again after the end gives an error value.
#[must_use = "a future does nothing unless it is polled"]
pub struct Guarded<F: Future> {
    call_id: u64,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Guarded<F> {
    /// Guards `future`, which works for the attempt `call_id`; `0` when it works for none.
    pub fn new(call_id: u64, future: F) -> Self {
        Self { call_id, future: Some(Box::pin(future)) }
    }
}

impl<T, F: Future<Output = CallResult<T>>> Future for Guarded<F> {
    type Output = CallResult<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let _current = CurrentCall::enter(self.call_id);
        let Some(future) = self.future.as_mut() else {
            return Poll::Ready(RErr(CallError::new(code::PANICKED, "polled after its end")));
        };
        let outcome = match catch(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => RErr(panic.into()),
        };
        drop_quietly(self.future.take());
        Poll::Ready(outcome)
    }
}

impl<F: Future> Drop for Guarded<F> {
    fn drop(&mut self) {
        let _current = CurrentCall::enter(self.call_id);
        drop_quietly(self.future.take());
    }
}

/// Runs `work`, which may fail by itself, and turns a panic into one more failure.
pub fn catch_call<T>(work: impl FnOnce() -> CallResult<T>) -> CallResult<T> {
    match catch(work) {
        Ok(outcome) => outcome,
        Err(panic) => RResult::RErr(panic.into()),
    }
}

/// Holds a value whose drop may panic, and keeps that panic in.
pub struct Quiet<T>(Option<T>);

impl<T> Quiet<T> {
    /// Takes charge of the drop of `value`.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Quiet<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the value is taken out in drop only")
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

/// The text that a panic was raised with.
pub fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is not text".to_owned()
    }
}

/// One panic as the hook of [`report_panics`] sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicReport {
    /// The attempt that was being polled or dropped on the thread, `0` when none was.
    pub call_id: u64,
    /// What `panic!` was given.
    pub text: String,
    /// `file:line:column`, where known.
    pub place: Option<String>,
}

/// Sends every panic of this library to `report` instead of to standard error. Only the first call counts.
///
/// Each shared library has a panic hook of its own, so a plugin's glue calls this in its `open`; a process that links
/// this crate the ordinary way loses its messages on standard error by calling it.
///
/// `report` runs while the thread is panicking: it must not panic, since a panic in a hook ends the process.
pub fn report_panics(report: impl Fn(PanicReport) + Send + Sync + 'static) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(move |info| {
            report(PanicReport {
                call_id: CURRENT.try_with(Cell::get).unwrap_or(0),
                text: text_of(info.payload()),
                place: info.location().map(ToString::to_string),
            });
        }));
    });
}

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// Names the attempt at work on this thread for as long as it lives. One may be polled inside another's poll.
struct CurrentCall {
    outer: u64,
}

impl CurrentCall {
    fn enter(call_id: u64) -> Self {
        Self { outer: CURRENT.try_with(|current| current.replace(call_id)).unwrap_or(0) }
    }
}

impl Drop for CurrentCall {
    fn drop(&mut self) {
        // A future may be dropped while the thread's own storage is going away; then nobody asks any more.
        let _ = CURRENT.try_with(|current| current.set(self.outer));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Mutex,
            atomic::{AtomicU32, Ordering},
        },
        task::Waker,
    };

    use billhook_abi::edge::ROk;

    use super::*;

    /// Panics when dropped, and counts that it was.
    struct Bomb(Arc<AtomicU32>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("bomb");
        }
    }

    /// A payload whose drop panics with a payload whose drop panics, down to `0`.
    struct Nested(u32);

    impl Drop for Nested {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Nested(self.0 - 1));
            }
        }
    }

    /// Pending once, then ready.
    async fn pause() {
        let mut is_paused = false;
        std::future::poll_fn(|_| if std::mem::replace(&mut is_paused, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }

    fn poll<F: Future>(future: &mut Guarded<F>) -> Poll<F::Output>
    where
        Guarded<F>: Future<Output = F::Output>,
    {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn panicked(text: &str) -> Poll<CallResult<u32>> {
        Poll::Ready(RErr(CallError::new(code::PANICKED, text)))
    }

    #[test]
    fn a_panic_in_the_first_poll_is_an_error_value() {
        let mut future = Guarded::new(1, async { panic!("first {}", 1) });

        assert_eq!(poll(&mut future), panicked("first 1"));
    }

    #[test]
    fn a_panic_in_a_later_poll_is_an_error_value() {
        let mut future = Guarded::new(1, async {
            pause().await;
            panic!("later")
        });

        assert_eq!(poll(&mut future), Poll::Pending);
        assert_eq!(poll(&mut future), panicked("later"));
    }

    #[test]
    fn a_future_that_ended_is_not_polled_again() {
        let mut returned = Guarded::new(1, async { ROk(7_u32) });
        let mut blown = Guarded::new(1, async { panic!("once") });

        assert_eq!(poll(&mut returned), Poll::Ready(ROk(7)));
        assert_eq!(poll(&mut returned), panicked("polled after its end"));
        assert_eq!(poll(&mut blown), panicked("once"));
        assert_eq!(poll(&mut blown), panicked("polled after its end"));
    }

    #[test]
    fn a_panic_in_the_drop_of_a_finished_futures_locals_is_an_error_value() {
        let drops = Arc::new(AtomicU32::new(0));
        let bomb = Bomb(drops.clone());
        let mut future = Guarded::new(1, async move {
            let _bomb = bomb;
            pause().await;
            ROk(7_u32)
        });

        assert_eq!(poll(&mut future), Poll::Pending);
        assert_eq!(poll(&mut future), panicked("bomb"));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_in_the_drop_of_a_finished_future_is_swallowed() {
        struct Ready(#[expect(dead_code, reason = "held for its drop")] Bomb);
        impl Future for Ready {
            type Output = CallResult<u32>;
            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
                Poll::Ready(ROk(7))
            }
        }
        let drops = Arc::new(AtomicU32::new(0));
        let mut future = Guarded::new(1, Ready(Bomb(drops.clone())));

        assert_eq!(poll(&mut future), Poll::Ready(ROk(7)));
        assert_eq!(drops.load(Ordering::Relaxed), 1, "dropped when it ended, not later");
    }

    #[test]
    fn a_panic_in_the_drop_of_a_cancelled_future_is_swallowed() {
        let drops = Arc::new(AtomicU32::new(0));
        let bomb = Bomb(drops.clone());
        let mut future = Guarded::new(1, async move {
            let _bomb = bomb;
            pause().await;
            ROk(7_u32)
        });
        assert_eq!(poll(&mut future), Poll::Pending);

        drop(future);

        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_payload_whose_drop_panics_is_contained() {
        let mut future = Guarded::new(1, async { std::panic::panic_any(Nested(3)) });

        assert_eq!(poll(&mut future), panicked("a panic whose payload is not text"));
        assert!(catch(|| std::panic::panic_any(Nested(3))).is_err());
    }

    #[test]
    fn a_panic_in_the_drop_of_a_quiet_value_is_swallowed() {
        let drops = Arc::new(AtomicU32::new(0));
        let quiet = Quiet::new(Bomb(drops.clone()));
        assert_eq!((*quiet).0.load(Ordering::Relaxed), 0);

        drop(quiet);

        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_call_that_panics_fails_and_one_that_fails_keeps_its_error() {
        let failed = catch_call::<u32>(|| RErr(CallError::new(code::FAULT, "no")));
        let blown = catch_call::<u32>(|| panic!("{}", String::from("owned")));

        assert_eq!(failed, RErr(CallError::new(code::FAULT, "no")));
        assert_eq!(Poll::Ready(blown), panicked("owned"));
    }

    #[test]
    fn the_attempt_on_the_thread_is_known_within_poll_and_drop_and_restored_after() {
        struct Seen(Arc<Mutex<Vec<u64>>>);
        impl Drop for Seen {
            fn drop(&mut self) {
                self.0.lock().unwrap().push(CURRENT.get());
            }
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let in_drop = Seen(seen.clone());
        let mut outer = Guarded::new(5, async move {
            let _in_drop = in_drop;
            let mut inner = Guarded::new(6, async { ROk(CURRENT.get()) });
            let inner = poll(&mut inner);
            assert_eq!((inner, CURRENT.get()), (Poll::Ready(ROk(6)), 5));
            pause().await;
            ROk(0_u64)
        });

        assert_eq!(poll(&mut outer), Poll::Pending);
        assert_eq!(CURRENT.get(), 0);
        drop(outer);

        assert_eq!(*seen.lock().unwrap(), [5]);
        assert_eq!(CURRENT.get(), 0);
    }
}
