//! Connections: accepted within bounds, served one request after another, ended on a stop.

use super::api::{self, Api};
use super::caller::{Caller, Socket};
use super::refusal::{Refusal, internal};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// For the request line and the headers together; the longest key, a page's cookies and more fit in.
const HEADER_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// After a failed accept, which is mostly a lack of file descriptors that passes.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the stop. No more than the configured number at once: further ones wait in the kernel.
pub(super) async fn accept(listener: UnixListener, socket: Socket, api: Arc<Api>) {
    let most = api.engine.config().socket.max_connections as usize;
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let router = api::router(Arc::clone(&api));
    while let Some((stream, place)) = next(&listener, &places, &api).await {
        api.tasks.spawn(serve(stream, place, socket, router.clone(), Arc::clone(&api)));
    }
}

async fn next(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
    api: &Api,
) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let accepted = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    api.engine.env().clock.sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accepted => accepted,
        () = api.stopping.cancelled() => None,
    }
}

async fn serve(stream: UnixStream, _place: OwnedSemaphorePermit, socket: Socket, router: Router, api: Arc<Api>) {
    let config = api.engine.config();
    let caller = match stream.peer_cred() {
        Ok(peer) => Arc::new(Caller::of(socket, peer.uid(), &config)),
        Err(error) => {
            tracing::warn!(%error, "a connection without credentials is closed");
            return;
        }
    };
    let service = service_fn(|request| respond(router.clone(), Arc::clone(&caller), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also runs between two requests of a connection, and so is its idle time-out.
        .header_read_timeout(config.socket.idle_timeout)
        .max_buf_size(HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = api.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers one request; a panic on the way is an answer too.
async fn respond(router: Router, caller: Arc<Caller>, request: Request<Incoming>) -> Result<Response, Infallible> {
    Ok(answer(router, caller, request.map(Body::new)).await)
}

/// [`respond`], with any body.
pub(super) async fn answer(mut router: Router, caller: Arc<Caller>, mut request: Request<Body>) -> Response {
    request.extensions_mut().insert(caller);
    let answered = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind().await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            tracing::error!("a request ended in a panic");
            Refusal::from(internal()).into_response()
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
