//! `GET /metrics`, for admins.

use super::api::Api;
use super::caller::Admin;
use super::refusal::Refusal;
use crate::config::Database;
use crate::engine::{Engine, unavailable};
use crate::metrics::{Moment, StoreSize};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The text format of OpenMetrics, which Prometheus asks for first.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the daemon counts of itself.
pub(super) async fn show(State(api): State<Arc<Api>>, _: Admin) -> Result<impl IntoResponse, Refusal> {
    let engine = &api.engine;
    let env = engine.env();
    let in_force = engine.in_force();
    let moment = Moment {
        abi: format!("{}.{}", billhook_abi::ABI_MAJOR, billhook_abi::ABI_MINOR),
        queues: env.store.depth().await.map_err(unavailable)?,
        servers: in_force
            .config
            .servers
            .keys()
            .map(|name| (name.clone(), in_force.panels.contains_key(name)))
            .collect(),
        size: size(engine).await,
        extent: env.store.extent().await.map_err(unavailable)?,
        commits: env.store.commit_times(),
        dropped: env.store.dropped(),
        now: api.now(),
    };
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], env.metrics.text(moment)))
}

async fn size(engine: &Engine) -> Option<StoreSize> {
    let config = engine.config();
    let Database::Sqlite { path } = &config.store.database else {
        // The log of a server is everybody's.
        return engine.env().store.size().await.ok().flatten().map(|database| StoreSize { database, wal: 0 });
    };
    let mut wal = path.clone().into_os_string();
    wal.push("-wal");
    let wal = length(&PathBuf::from(wal)).await;
    // There is no log when nothing was written since it was folded in.
    length(path).await.map(|database| StoreSize { database, wal: wal.unwrap_or_default() })
}

async fn length(path: &Path) -> Option<u64> {
    tokio::fs::metadata(path).await.ok().map(|found| found.len())
}
