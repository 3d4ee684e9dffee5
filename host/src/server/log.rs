//! `/v1/log`: the module log, for admins.

use super::answer;
use super::api::{Api, At};
use super::caller::{Admin, View};
use super::present;
use super::query::{Query, is_id};
use super::refusal::Refusal;
use crate::engine::{Pruned, unavailable};
use crate::problem::{Problem, ProblemType};
use crate::store::OperationId;
use crate::views::{LogEntryView, LogRowView, Page, PrunedView};
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::Value;
use std::sync::Arc;

/// Rows, newest first.
pub(super) async fn list(State(api): State<Arc<Api>>, _: Admin, uri: Uri) -> Result<Json<Page<LogRowView>>, Refusal> {
    let mut query = Query::of(&uri);
    let filter = query.rows()?;
    let filter = query.page(filter)?;
    let filter = query.times(filter)?;
    query.finish()?;
    let page = api.engine.env().store.log(&filter).await.map_err(unavailable)?;
    Ok(Json(Page { items: page.rows.into_iter().map(present::log_row).collect(), next: page.next }))
}

/// Prunes some of what may go.
pub(super) async fn prune(
    State(api): State<Arc<Api>>,
    Admin(actor): Admin,
    uri: Uri,
) -> Result<Json<PrunedView>, Refusal> {
    let mut query = Query::of(&uri);
    let before = query.instant("before")?;
    let dry_run = query.flag("dry_run")?;
    query.finish()?;
    let engine = Arc::clone(&api.engine);
    let pruned = api.detached(async move { engine.prune(before, dry_run, &actor).await }).await??;
    let Pruned { entries, bodies, bytes, more } = pruned;
    Ok(Json(PrunedView { dry_run, entries, bodies, bytes, more }))
}

/// One entry, whole.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    _: Admin,
    uri: Uri,
) -> Result<Json<LogEntryView>, Refusal> {
    Query::of(&uri).finish()?;
    let unknown = || Problem::new(ProblemType::NotFound, "no such entry of the log");
    let store = &api.engine.env().store;
    let found = if is_id(&id) { store.log_detail(&id).await.map_err(unavailable)? } else { None };
    let (row, detail) = found.ok_or_else(unknown)?;
    let (mut operation, mut shown) = (None, Value::Null);
    if let Some(found) = store.operation(&OperationId(id)).await.map_err(unavailable)? {
        operation = Some(answer::view(&api, &View { only: None }, &found).await?);
        shown = found.shown.value();
    }
    Ok(Json(LogEntryView {
        row: present::log_row(row),
        operation,
        shown,
        attempts: detail.attempts.into_iter().map(present::attempt).collect(),
        exchanges: detail.exchanges.into_iter().map(present::exchange).collect(),
        notes: detail.notes.into_iter().map(present::note).collect(),
    }))
}
