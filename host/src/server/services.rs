//! `GET /v1/services/{platform}/{id}`.

use super::api::{Api, At};
use super::caller::View;
use super::present;
use super::query::Query;
use super::refusal::Refusal;
use crate::engine::unavailable;
use crate::problem::{Problem, ProblemType};
use crate::store::ServiceKey;
use crate::views::ServiceView;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use std::sync::Arc;

/// What is known of a service, without asking the panel.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    At((platform, service_id)): At<(String, String)>,
    view: View,
    uri: Uri,
) -> Result<Json<ServiceView>, Refusal> {
    Query::of(&uri).finish()?;
    let unknown = || Problem::new(ProblemType::NotFound, "no such service");
    // Another platform's is as unknown as one that never was.
    if !view.shows(&platform) {
        return Err(unknown().into());
    }
    let key = ServiceKey { platform, service_id };
    let store = &api.engine.env().store;
    let service = store.service(&key).await.map_err(unavailable)?.ok_or_else(unknown)?;
    let unfinished = store.unfinished(&key).await.map_err(unavailable)?;
    Ok(Json(present::service(service, &unfinished, api.now())))
}
