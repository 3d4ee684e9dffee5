//! What the daemon has: providers, servers, products; and how it is.

use super::api::{Api, Who};
use super::body;
use super::caller::{Admin, Caller};
use super::present;
use super::refusal::Refusal;
use crate::engine::unavailable;
use crate::store::OperationId;
use crate::views::{Health, HealthWord, Page, ProductView, ProviderView, ServerView};
use axum::Json;
use axum::extract::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loaded providers with their manifests, and those that could not be loaded.
pub(super) async fn providers(State(api): State<Arc<Api>>, _: Admin) -> Json<Page<ProviderView>> {
    whole(present::providers(&api.engine))
}

/// Configured servers.
pub(super) async fn servers(State(api): State<Arc<Api>>, _: Admin) -> Json<Page<ServerView>> {
    whole(present::servers(&api.engine))
}

/// Configured products.
pub(super) async fn products(State(api): State<Arc<Api>>, _: Admin) -> Json<Page<ProductView>> {
    whole(present::products(&api.engine))
}

/// The process answers. For whoever may open the socket.
pub(super) async fn health(State(api): State<Arc<Api>>, Who(caller): Who) -> Json<Health> {
    Json(state(&api, &caller))
}

/// Hooks are taken: the store answers and the host is not going down. For whoever may open the socket.
pub(super) async fn ready(State(api): State<Arc<Api>>, Who(caller): Who) -> Result<Json<Health>, Refusal> {
    let env = api.engine.env();
    if api.stopping.is_cancelled() || env.is_stopping() {
        return Err(body::going_down().into());
    }
    // Any read will do.
    env.store.operation(&OperationId("op_0".to_owned())).await.map_err(unavailable)?;
    Ok(Json(state(&api, &caller)))
}

fn state(api: &Api, caller: &Caller) -> Health {
    let unready = api.engine.unready();
    Health {
        status: if unready.is_empty() { HealthWord::Ok } else { HealthWord::Degraded },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unready: if matches!(caller, Caller::Admin(_)) { unready.clone() } else { BTreeMap::new() },
    }
}

/// A list that is short enough for one page.
fn whole<T>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page { items, next: None })
}
