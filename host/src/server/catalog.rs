//! What the daemon has: providers, servers, products; and how it is.

use super::api::{Api, At, Who};
use super::caller::{ADMIN, Admin, Caller, View};
use super::refusal::Refusal;
use super::{body, hooks, present};
use crate::engine::unavailable;
use crate::problem::{Problem, ProblemType};
use crate::request::{HookBody, ProductBody};
use crate::store::OperationId;
use crate::views::{Health, HealthWord, Page, ProductView, ProviderView, ReleasedView, ServerView};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use billhook_plugin_api::Hook;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loaded providers with their manifests, and those that could not be loaded.
pub(super) async fn providers(State(api): State<Arc<Api>>, _: Admin) -> Json<Page<ProviderView>> {
    whole(present::providers(&api.engine))
}

/// Configured servers.
pub(super) async fn servers(State(api): State<Arc<Api>>, _: Admin) -> Result<Json<Page<ServerView>>, Refusal> {
    Ok(whole(views(&api, None).await?))
}

/// One configured server.
pub(super) async fn server(
    State(api): State<Arc<Api>>,
    At(name): At<String>,
    _: Admin,
) -> Result<Json<ServerView>, Refusal> {
    Ok(Json(one_server(&api, &name).await?))
}

/// Tests a server now, also one that is left alone because it did not answer.
pub(super) async fn test(
    State(api): State<Arc<Api>>,
    At(name): At<String>,
    _: Admin,
    view: View,
) -> Result<Response, Refusal> {
    one_server(&api, &name).await?;
    let body = HookBody { server: Some(name), ..HookBody::default() };
    hooks::read(&api, &view, ADMIN.to_owned(), Hook::Test, body).await
}

/// Which values a product setting may take on a server, as its panel says.
pub(super) async fn options(
    State(api): State<Arc<Api>>,
    At((name, field)): At<(String, String)>,
    _: Admin,
    view: View,
) -> Result<Response, Refusal> {
    one_server(&api, &name).await?;
    let body = HookBody { server: Some(name), field: Some(field), ..HookBody::default() };
    hooks::read(&api, &view, ADMIN.to_owned(), Hook::Options, body).await
}

/// How many more of a product a server has room for, as its panel says.
pub(super) async fn capacity(
    State(api): State<Arc<Api>>,
    At((name, product)): At<(String, String)>,
    _: Admin,
    view: View,
) -> Result<Response, Refusal> {
    one_server(&api, &name).await?;
    let product = Some(ProductBody { id: product, ..ProductBody::default() });
    let body = HookBody { server: Some(name), product, ..HookBody::default() };
    hooks::read(&api, &view, ADMIN.to_owned(), Hook::Capacity, body).await
}

/// Holds a server's operations back. Repeating it changes nothing.
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    At(name): At<String>,
    Admin(actor): Admin,
) -> Result<Json<ServerView>, Refusal> {
    let (engine, server) = (Arc::clone(&api.engine), name.clone());
    api.detached(async move { engine.pause(&server, &actor).await }).await??;
    Ok(Json(one_server(&api, &name).await?))
}

/// Lets a server's operations go again, in order. Repeating it changes nothing.
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    At(name): At<String>,
    Admin(actor): Admin,
) -> Result<Json<ServerView>, Refusal> {
    let (engine, server) = (Arc::clone(&api.engine), name.clone());
    api.detached(async move { engine.resume(&server, &actor).await }).await??;
    Ok(Json(one_server(&api, &name).await?))
}

/// Lets go what a restored copy of the store holds back. Repeating it changes nothing.
pub(super) async fn release(State(api): State<Arc<Api>>, Admin(actor): Admin) -> Result<Json<ReleasedView>, Refusal> {
    let engine = Arc::clone(&api.engine);
    let released = api.detached(async move { engine.release(&actor).await }).await??;
    Ok(Json(ReleasedView { released }))
}

async fn one_server(api: &Api, name: &str) -> Result<ServerView, Problem> {
    views(api, Some(name)).await?.pop().ok_or_else(|| {
        Problem::new(ProblemType::NotFound, "no such server").remedy("see `billhook servers list`, or GET /v1/servers")
    })
}

/// Configured servers, or the one of that name.
async fn views(api: &Api, only: Option<&str>) -> Result<Vec<ServerView>, Problem> {
    let in_force = api.engine.in_force();
    let env = api.engine.env();
    let names = in_force.config.servers.keys().filter(|name| only.is_none_or(|only| only == name.as_str()));
    let names: Vec<String> = names.cloned().collect();
    let loads = env.store.loads(&names, None).await.map_err(unavailable)?;
    let view = |name: &String| {
        let load = loads.get(name).copied().unwrap_or_default();
        present::server(&in_force, name, api.engine.lane(name), load, env.last_told(name))
    };
    Ok(names.iter().filter_map(view).collect())
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
    // Any read will do. A commit is tried only where the last one failed.
    env.store.operation(&OperationId("op_0".to_owned())).await.map_err(unavailable)?;
    env.store.answers().await.map_err(unavailable)?;
    api.engine.has_room()?;
    Ok(Json(state(&api, &caller)))
}

fn state(api: &Api, caller: &Caller) -> Health {
    let unready = api.engine.unready();
    Health {
        status: match (api.engine.is_recovering(), unready.is_empty() && api.engine.env().store.failure().is_none()) {
            (true, _) => HealthWord::Recovering,
            (false, true) => HealthWord::Ok,
            (false, false) => HealthWord::Degraded,
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: api.engine.env().store.failure().map(|failure| failure.to_string()),
        unready: if matches!(caller, Caller::Admin(_)) { unready } else { BTreeMap::new() },
    }
}

/// A list that is short enough for one page.
fn whole<T>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page { items, next: None })
}
