//! A panel that does nothing and answers everything.

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::serve::ListenerExt as _;
use billhook_bench::sample;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Different answers, so that nothing is packed or remembered as one.
const REPLIES: u64 = 64;

struct Replies {
    bodies: Vec<Bytes>,
    next: AtomicUsize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let bodies = (0..REPLIES).map(|seed| sample::reply(seed).into()).collect();
    let replies = Arc::new(Replies { bodies, next: AtomicUsize::new(0) });
    let app = Router::new().fallback(answer).with_state(replies);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    // Without this an answer may wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await.context("the socket broke")
}

async fn answer(State(replies): State<Arc<Replies>>, _: Bytes) -> impl IntoResponse {
    let at = replies.next.fetch_add(1, Ordering::Relaxed) % replies.bodies.len();
    let json: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
    (json, replies.bodies[at].clone())
}
