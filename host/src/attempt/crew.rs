//! The threads that run plugins.
//!
//! A call that can go on wakes one of them, and no other: threads that look for work among themselves wake each other to look for more,
//! and a change of threads costs more than most plugins do in between. One that is held up by its plugin holds up no other call
//! while there is a second.

use crate::awake::Awake;
use async_task::{FallibleTask, Runnable};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The threads, and what waits for one of them. They end when this is closed or dropped.
pub struct Crew {
    line: Arc<Line>,
}

struct Line {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// There is something in it, or it is closed; for a look without the lock.
    is_stirred: AtomicBool,
    /// One of the threads looks out, and takes what comes: none need be woken for that.
    is_watched: AtomicBool,
    awake: Awake,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<Runnable>,
    is_closed: bool,
}

impl Crew {
    /// Starts `count` threads.
    ///
    /// # Errors
    ///
    /// When the system has none left; those that were started end again.
    pub fn start(count: usize, awake: Awake) -> io::Result<Self> {
        let (waiting, arrived, is_stirred, is_watched) = Default::default();
        let crew = Self { line: Arc::new(Line { waiting, arrived, is_stirred, is_watched, awake }) };
        for _ in 0..count {
            let line = Arc::clone(&crew.line);
            std::thread::Builder::new().name("plugins".into()).spawn(move || line.serve())?;
        }
        Ok(crew)
    }

    /// Runs `call` to its end; what is returned waits for that, and when it is dropped, so is `call`, on one of the threads.
    ///
    /// `call` must not panic. Its end is none where the crew was closed before.
    pub fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> FallibleTask<T> {
        let line = Arc::clone(&self.line);
        let (runnable, task) = async_task::spawn(call, move |runnable| line.put(runnable));
        runnable.schedule();
        task.fallible()
    }

    /// Lets the threads end, and drops what waits for one. Those that are held up by a plugin are left behind.
    pub fn close(&self) {
        let calls = {
            let mut waiting = self.line.waiting();
            waiting.is_closed = true;
            self.line.is_stirred.store(true, Ordering::Release);
            std::mem::take(&mut waiting.calls)
        };
        self.line.arrived.notify_all();
        // What they leave behind may come back to the line.
        drop(calls);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.close();
    }
}

impl Line {
    fn put(&self, call: Runnable) {
        let is_taken = {
            let mut waiting = self.waiting();
            if waiting.is_closed {
                drop(waiting);
                return drop(call);
            }
            waiting.calls.push_back(call);
            self.is_stirred.store(true, Ordering::Release);
            // Whoever looks out looks into the line once more before it sleeps.
            waiting.calls.len() == 1 && self.is_watched.load(Ordering::Acquire)
        };
        if !is_taken {
            self.arrived.notify_one();
        }
    }

    fn serve(&self) {
        while let Some(call) = self.next() {
            call.run();
            self.look_out();
        }
    }

    /// One for all: a second one would only keep others from the processor.
    fn look_out(&self) {
        if self.awake.is_wanted() && !self.is_watched.swap(true, Ordering::AcqRel) {
            self.awake.look_out(|| self.is_stirred.load(Ordering::Acquire));
            self.is_watched.store(false, Ordering::Release);
        }
    }

    /// The one that has waited longest; none when it is closed.
    fn next(&self) -> Option<Runnable> {
        let waiting = self.waiting();
        let is_idle = |waiting: &mut Waiting| waiting.calls.is_empty() && !waiting.is_closed;
        let mut waiting = self.arrived.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
        let call = waiting.calls.pop_front();
        self.is_stirred.store(waiting.is_closed || !waiting.calls.is_empty(), Ordering::Release);
        call
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;
    use tokio::sync::oneshot;

    /// Says so when it is dropped.
    struct Tells(mpsc::Sender<String>);

    impl Drop for Tells {
        fn drop(&mut self) {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            let _ = self.0.send(name);
        }
    }

    /// One whose threads stay awake for ever, if at all.
    fn crew(count: usize, stays_awake: bool) -> Crew {
        let awake = Awake::lasting(Duration::from_secs(3_600));
        awake.set(stays_awake);
        Crew::start(count, awake).unwrap()
    }

    #[tokio::test]
    async fn a_call_that_holds_up_its_thread_holds_up_no_other() {
        holds_up_no_other(false).await;
        holds_up_no_other(true).await;
    }

    async fn holds_up_no_other(stays_awake: bool) {
        let crew = crew(2, stays_awake);
        let (go, held) = mpsc::channel::<()>();
        let slow = crew.run(async move { held.recv().is_ok() });
        for number in 0..100 {
            let (asked, answer) = oneshot::channel();
            let quick = crew.run(async move { answer.await.unwrap_or(0) });
            asked.send(number).unwrap();
            assert_eq!(quick.await, Some(number));
        }
        go.send(()).unwrap();
        assert_eq!(slow.await, Some(true));
    }

    #[tokio::test]
    async fn of_many_calls_at_once_none_is_left_lying() {
        for stays_awake in [false, true] {
            let crew = crew(2, stays_awake);
            for _ in 0..1_000 {
                let calls = [1, 2, 3].map(|number| crew.run(async move { number }));
                for (call, number) in calls.into_iter().zip(1..) {
                    assert_eq!(call.await, Some(number), "{stays_awake}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_dropped_where_plugins_run() {
        let crew = crew(1, true);
        let (tell, told) = mpsc::channel();
        let tells = Tells(tell);
        let parked = crew.run(async move {
            std::future::pending::<()>().await;
            drop(tells);
        });
        assert_eq!(crew.run(async {}).await, Some(()), "the first has begun");
        drop(parked);
        assert_eq!(told.recv().as_deref(), Ok("plugins"));
    }

    #[tokio::test]
    async fn a_closed_crew_drops_what_it_has_and_what_comes() {
        let crew = crew(1, true);
        let (go, held) = mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let slow = crew.run(async move {
            let _ = begun.send(());
            held.recv().is_ok()
        });
        begins.await.unwrap();
        let behind = crew.run(async {});
        crew.close();
        assert_eq!(behind.await, None);
        assert_eq!(crew.run(async {}).await, None);
        go.send(()).unwrap();
        assert_eq!(slow.await, Some(true), "it had begun");
    }
}
