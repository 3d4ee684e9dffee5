//! The floor: a bare program that keeps its promises of durability and does nothing else.
//!
//! A hook comes over a unix socket, is written down, is carried to the panel, is written down again, is answered. One
//! writer takes whatever waits into one transaction; there is no timer.

mod by_rusqlite;
mod by_sqlx;
mod write;

use crate::sample;
use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::UnixListener;
use write::{Intent, Outcome, Writer};

use crate::clock::Stopwatch;

/// Which library writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// A task, one text for each transaction: as the daemon does.
    Sqlx,
    /// A thread, prepared statements: the fastest that was found.
    Rusqlite,
}

/// Serves until it is killed.
///
/// # Errors
///
/// When the database or the socket cannot be made.
pub async fn serve(store: Store, database: &FilePath, socket: &FilePath, panel: String) -> Result<()> {
    let writer = match store {
        Store::Sqlx => by_sqlx::start(database).await?,
        Store::Rusqlite => by_rusqlite::start(database)?,
    };
    let panel_client = reqwest::Client::builder().no_proxy().build().context("cannot make a client")?;
    let floor = Arc::new(Floor { writer, panel, panel_client, next_id: AtomicU64::new(1) });
    let listener = UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    let app = Router::new().route("/v1/hooks/{hook}", post(hook)).with_state(floor);
    axum::serve(listener, app).await.context("the socket broke")
}

struct Floor {
    writer: Writer,
    panel: String,
    panel_client: reqwest::Client,
    next_id: AtomicU64,
}

#[derive(Deserialize)]
struct Body {
    service: Service,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    id: String,
}

type Answer = (StatusCode, Json<Value>);

async fn hook(
    State(floor): State<Arc<Floor>>,
    Path(hook): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Answer {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    match floor.carry(hook, key, body).await {
        Ok(answer) => (StatusCode::OK, Json(answer)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "detail": format!("{error:#}") }))),
    }
}

impl Floor {
    async fn carry(&self, hook: String, key: String, body: Body) -> Result<Value> {
        let watch = Stopwatch::start();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}/services/{}/{hook}", self.panel, body.service.id);
        let call = sample::call(id);
        let summary = format!("{hook} of {}: {:.40}", body.service.id, body.reason.unwrap_or_default());
        let intent = Intent { id, key, hook, service: body.service.id, summary, call: write::pack(&call)? };
        self.writer.intend(intent).await?;
        let reply = self.send(&url, call).await?;
        let duration_us = watch.micros();
        self.writer.conclude(Outcome { id, duration_us, reply: write::pack(&reply)? }).await?;
        Ok(json!({
            "operation": { "id": id, "state": "succeeded", "attempts": 1 },
            "result": {}, "log_ref": id,
        }))
    }

    async fn send(&self, url: &str, body: Vec<u8>) -> Result<Bytes> {
        let request = self.panel_client.post(url).header("content-type", "application/json").body(body);
        let reply = request.send().await.context("the panel cannot be reached")?;
        let reply = reply.error_for_status().context("the panel refuses")?;
        reply.bytes().await.context("the panel's answer breaks")
    }
}
