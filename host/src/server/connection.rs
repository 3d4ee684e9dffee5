//! Connections: accepted within bounds, served one request after another, ended on a stop.

mod farewell;
mod places;
mod progress;
mod stream;

use super::api::{self, Api};
use super::caller::{Caller, Socket};
use super::refusal::{Refusal, internal};
use crate::problem::{Problem, ProblemType};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Version, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use places::{Full, Places, Seat};
use progress::{Late, Overdue, Patience, Phase, Progress};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use stream::Watched;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tower::Service;

/// After a failed accept, which is mostly a lack of file descriptors that passes.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are being told at the same time that there is no place; a further one is closed without a word.
const MOST_REFUSALS: usize = 64;

/// Accepts connections until the stop.
pub(super) async fn accept(listener: UnixListener, socket: Socket, api: Arc<Api>) {
    let line = Arc::new(Line {
        socket,
        places: Places::new(&api.engine.config().socket),
        refusals: Arc::new(Semaphore::new(MOST_REFUSALS)),
        router: api::router(Arc::clone(&api)),
        api,
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = line.api.stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => Line::admit(&line, stream),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                line.api.engine.env().clock.sleep(PAUSE).await;
            }
        }
    }
}

/// What the connections of one socket have in common.
struct Line {
    socket: Socket,
    places: Arc<Places>,
    refusals: Arc<Semaphore>,
    router: Router,
    api: Arc<Api>,
}

/// How a connection came to its end.
enum End {
    Hyper(Result<(), hyper::Error>),
    Late(Late),
    Displaced,
}

impl Line {
    fn admit(line: &Arc<Self>, stream: UnixStream) {
        let metrics = &line.api.engine.env().metrics;
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "a connection without credentials is closed");
                return;
            }
        };
        match line.places.take(uid, &line.api.engine.env().clock) {
            Ok(seat) => {
                metrics.connected(line.socket.line(), line.places.count());
                let caller = Arc::new(Caller::of(line.socket, uid, &line.api.engine.config()));
                let own = Arc::clone(line);
                line.api.tasks.spawn(async move { own.serve(stream, seat, caller).await });
            }
            Err(full) => {
                metrics.turned_away(line.socket.line());
                let Ok(permit) = Arc::clone(&line.refusals).try_acquire_owned() else { return };
                let own = Arc::clone(line);
                line.api.tasks.spawn(async move {
                    own.refuse(stream, &overloaded(full)).await;
                    drop(permit);
                });
            }
        }
    }

    async fn serve(&self, stream: UnixStream, seat: Seat, caller: Arc<Caller>) {
        let config = self.api.engine.config();
        let settings = &config.socket;
        let progress = Arc::clone(&seat.progress);
        let service = service_fn(|request| self.respond(&progress, &caller, request));
        let mut connection = http1::Builder::new()
            // Time is watched over here, on the host's clock, and for the whole connection.
            .header_read_timeout(None)
            .max_buf_size(settings.max_head)
            .max_headers(settings.max_headers as usize)
            .serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&progress))), service);
        let mut overdue = Overdue::new(Arc::clone(&progress), Patience::of(settings));
        let mut is_closing = false;
        let end = loop {
            tokio::select! {
                biased;
                ended = &mut connection => break End::Hyper(ended),
                late = &mut overdue => break End::Late(late),
                () = self.api.stopping.cancelled(), if !is_closing => {}
                () = seat.given_away(), if !is_closing => {
                    if progress.phase() != Phase::Request {
                        break End::Displaced;
                    }
                }
            }
            is_closing = true;
            Pin::new(&mut connection).graceful_shutdown();
        };
        let stream = connection.into_parts().io.into_inner().into_inner();
        self.end(stream, &progress, end).await;
        drop(seat);
        self.api.engine.env().metrics.disconnected(self.socket.line(), self.places.count());
    }

    /// Says the last word, where there is one.
    async fn end(&self, stream: UnixStream, progress: &Progress, end: End) {
        // The HTTP library has said it, or is in the midst of an answer.
        let is_said = !progress.is_quiet();
        let problem = match end {
            End::Hyper(Err(error)) if error.is_parse() => Some(unreadable(&error)),
            End::Hyper(result) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
                None
            }
            End::Late(Late::Head) => Some(slow("the head of the request took too long to arrive")),
            End::Displaced if progress.phase() == Phase::Head => Some(overloaded(Full::Socket)),
            End::Late(Late::Taking) => {
                tracing::debug!("a connection whose other end takes nothing was closed");
                return;
            }
            End::Late(Late::Idle) | End::Displaced => None,
        };
        match problem.filter(|_| !is_said) {
            Some(problem) => self.refuse(stream, &problem).await,
            None => farewell::leave(stream, &*self.api.engine.env().clock, &self.api.stopping).await,
        }
    }

    async fn refuse(&self, stream: UnixStream, problem: &Problem) {
        self.api.engine.env().metrics.refused(self.socket.line(), problem.kind);
        farewell::refuse(stream, problem, &*self.api.engine.env().clock, &self.api.stopping).await;
    }

    /// Answers one request; a panic on the way is an answer too.
    async fn respond(
        &self,
        progress: &Arc<Progress>,
        caller: &Arc<Caller>,
        request: Request<Incoming>,
    ) -> Result<hyper::Response<Counted>, Infallible> {
        progress.begin();
        let under_way = UnderWay(Arc::clone(progress));
        let most = self.api.engine.config().socket.max_head;
        let response = match one_host(&request).and_then(|()| short_head(&request, most)) {
            Ok(()) => answer(self.router.clone(), Arc::clone(caller), request.map(Body::new)).await,
            Err(problem) => finished(Refusal::from(problem).into_response()),
        };
        self.api.engine.env().metrics.answered(
            self.socket.line(),
            response.status().as_u16(),
            response.extensions().get().copied(),
        );
        Ok(response.map(|body| Counted { body, _under_way: under_way }))
    }
}

/// Answers one request, with any body.
pub(super) async fn answer(mut router: Router, caller: Arc<Caller>, mut request: Request<Body>) -> Response {
    request.extensions_mut().insert(caller);
    let answered = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind().await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            tracing::error!("a request ended in a panic");
            Refusal::from(internal()).into_response()
        }
    };
    finished(response)
}

fn finished(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// RFC 9112, 3.2: a request of HTTP/1.1 names its host once. Which one is of no meaning here; none or two mean that what is
/// read was not written by an HTTP client, or not by one alone.
fn one_host(request: &Request<Incoming>) -> Result<(), Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    match hosts {
        1 => Ok(()),
        0 if request.version() < Version::HTTP_11 => Ok(()),
        0 => Err(Problem::at("Host", "missing").remedy("send `Host: billhook`")),
        _ => Err(Problem::at("Host", "given more than once")),
    }
}

/// The parser's limit is one of its buffer, which may hold twice as much when it comes in one piece.
fn short_head(request: &Request<Incoming>, most: usize) -> Result<(), Problem> {
    let uri = request.uri();
    let line = request.method().as_str().len() + uri.path().len() + uri.query().map_or(0, str::len);
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if line + headers <= most { Ok(()) } else { Err(long_head()) }
}

fn long_head() -> Problem {
    Problem::new(ProblemType::HeadTooLarge, "the request's line and headers are too long, or too many")
        .remedy("send less, or raise socket.max_head or socket.max_headers")
}

fn unreadable(error: &hyper::Error) -> Problem {
    if error.is_parse_too_large() {
        return long_head();
    }
    if error.is_parse_version_h2() {
        return Problem::new(ProblemType::InvalidRequest, "HTTP/2 is not spoken here").remedy("use HTTP/1.1");
    }
    // The parser's words name what was wrong, and quote nothing.
    Problem::new(ProblemType::InvalidRequest, format!("not a request of HTTP/1.1: {error}"))
}

fn slow(detail: &str) -> Problem {
    Problem::new(ProblemType::RequestTimeout, detail).remedy("send the request in one go")
}

fn overloaded(full: Full) -> Problem {
    let (detail, key) = match full {
        Full::Socket => ("all connections are taken", "socket.max_connections"),
        Full::User => ("this user has all the connections that one may have", "socket.max_connections_per_user"),
    };
    Problem::new(ProblemType::Overloaded, format!("{detail}; nothing was read"))
        .remedy(format!("try again in a moment; if it stays so, raise {key}"))
}

/// The body of an answer; as long as it lives, its request is under way.
struct Counted {
    body: Body,
    _under_way: UnderWay,
}

struct UnderWay(Arc<Progress>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
