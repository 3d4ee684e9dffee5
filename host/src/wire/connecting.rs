//! Proves, where it can be proven, that a cut-off exchange was still connecting.
//!
//! The HTTP client races an idle connection against a new one. When the idle one wins, it hands the half-made connection to a
//! task of its own and sends the request; when a time-out ends the exchange first, the half-made connection is dropped together
//! with the exchange. So a connection that is dropped unfinished *inside the exchange's own future* says that the request was
//! never handed to any connection, while "a connection was being made" alone says nothing. A task-local that only the
//! exchange's future carries, also while it is dropped, tells the two apart without a race.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tower::{Layer, Service};

tokio::task_local! {
    static EXCHANGE: Arc<Witness>;
}

/// Sees whether one exchange ended while it was connecting.
#[derive(Debug, Default)]
pub(super) struct Witness {
    was_connecting: AtomicBool,
}

impl Witness {
    /// Runs `exchange` under this witness, until it ends or is dropped.
    pub(super) fn watch<F: Future>(self: &Arc<Self>, exchange: F) -> impl Future<Output = F::Output> {
        EXCHANGE.scope(Arc::clone(self), exchange)
    }

    /// True if the watched future was dropped while its connection was being made: nothing has left. Ask after the drop.
    pub(super) fn was_connecting(&self) -> bool {
        self.was_connecting.load(Ordering::Acquire)
    }
}

/// Puts a witness on every connection that the client makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct WitnessLayer;

impl<S> Layer<S> for WitnessLayer {
    type Service = WitnessedConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WitnessedConnector { inner }
    }
}

/// A connector whose attempts report being dropped.
#[derive(Debug, Clone)]
pub(super) struct WitnessedConnector<S> {
    inner: S,
}

impl<S, R> Service<R> for WitnessedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let attempt = Attempt { witness: current(), is_finished: false };
        if let Some(witness) = &attempt.witness {
            witness.was_connecting.store(false, Ordering::Release);
        }
        let connecting = self.inner.call(destination);
        Box::pin(async move {
            let connection = connecting.await;
            attempt.finish();
            connection
        })
    }
}

struct Attempt {
    witness: Option<Arc<Witness>>,
    is_finished: bool,
}

impl Attempt {
    fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(witness) = &self.witness else { return };
        let is_own_exchange = current().is_some_and(|here| Arc::ptr_eq(&here, witness));
        if !self.is_finished && is_own_exchange {
            witness.was_connecting.store(true, Ordering::Release);
        }
    }
}

fn current() -> Option<Arc<Witness>> {
    EXCHANGE.try_with(Arc::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Never connects.
    #[derive(Clone)]
    struct Stuck;

    impl Service<()> for Stuck {
        type Response = ();
        type Error = Infallible;
        type Future = std::future::Pending<Result<(), Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test]
    async fn only_a_connection_dropped_with_its_exchange_counts() {
        let connecting = Arc::new(Witness::default());
        let mut exchange = Box::pin(connecting.watch(async {
            let _ = WitnessLayer.layer(Stuck).call(()).await;
        }));
        assert!(poll_once(exchange.as_mut()).await.is_pending());
        drop(exchange);
        assert!(connecting.was_connecting());

        // Another connection won, and the half-made one was handed to a task that ends later.
        let sent = Arc::new(Witness::default());
        let (hand_over, mut background) = tokio::sync::mpsc::unbounded_channel();
        let mut exchange = Box::pin(sent.watch(async move {
            let half_made = WitnessLayer.layer(Stuck).call(());
            hand_over.send(half_made).unwrap_or_else(|_| panic!("received below"));
            std::future::pending::<()>().await;
        }));
        assert!(poll_once(exchange.as_mut()).await.is_pending());
        let half_made = background.recv().await;
        drop(exchange);
        drop(half_made);
        assert!(!sent.was_connecting());
    }

    async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }
}
