//! `/v1/hosts`: who works on the store, and a person's word that one has ended.

use super::api::{Api, At};
use super::caller::Admin;
use super::refusal::Refusal;
use crate::clock::rfc3339;
use crate::store::{HostEnd, HostFacts, HostWork};
use crate::views::{HostView, HostWord, Page};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

/// All of them, the oldest first; none where the store can have only one.
pub(super) async fn list(State(api): State<Arc<Api>>, _: Admin) -> Result<Json<Page<HostView>>, Refusal> {
    let own = api.engine.env().store.host_id();
    let hosts = api.engine.hosts().await?;
    Ok(Json(Page { items: hosts.into_iter().map(|(host, work)| view(host, work, own)).collect(), next: None }))
}

/// A person says that a host has ended. Repeating it changes nothing.
pub(super) async fn dead(
    State(api): State<Arc<Api>>,
    At(name): At<String>,
    Admin(actor): Admin,
) -> Result<Json<HostView>, Refusal> {
    let engine = Arc::clone(&api.engine);
    let (host, work) = api.detached(async move { engine.host_is_dead(&name, &actor).await }).await??;
    Ok(Json(view(host, work, api.engine.env().store.host_id())))
}

fn view(host: HostFacts, work: HostWork, own: Option<&str>) -> HostView {
    let state = match host.ended {
        None if host.until > host.clock => HostWord::Alive,
        None => HostWord::Silent,
        Some(HostEnd::Expired) => HostWord::Lost,
        Some(_) => HostWord::Ended,
    };
    HostView {
        own: own == Some(host.id.as_str()),
        id: host.id,
        name: host.name,
        state,
        version: host.version,
        schema: host.schema,
        started_at: rfc3339(host.started),
        beat_ms: host.clock.saturating_sub(host.beat),
        running: work.running,
        unproven: work.unproven,
        end: host.ended,
        ended_at: host.ended_at.map(rfc3339),
        ended_by: host.ended_by,
    }
}
