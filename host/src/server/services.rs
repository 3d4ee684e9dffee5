//! `/v1/services`: what is known of services, and what happened to them.

use super::api::{Api, At};
use super::caller::View;
use super::present;
use super::query::Query;
use super::refusal::Refusal;
use crate::engine::unavailable;
use crate::problem::{Problem, ProblemType};
use crate::store::{LogFilter, Service, ServiceFilter, ServiceKey, ServiceStatus};
use crate::views::{Page, ServiceView, TimelineEntryView};
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use std::sync::Arc;

/// Services by platform and id, without their properties and operations.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    view: View,
    uri: Uri,
) -> Result<Json<Page<ServiceView>>, Refusal> {
    let mut query = Query::of(&uri);
    let mut filter = filter(&mut query)?;
    query.finish()?;
    if let Some(only) = &view.only {
        if filter.platform.as_ref().is_some_and(|platform| platform != only) {
            return Ok(Json(Page { items: Vec::new(), next: None }));
        }
        filter.platform = Some(only.clone());
    }
    let page = api.engine.env().store.list_services(&filter).await.map_err(unavailable)?;
    let items = page.services.into_iter().map(|service| {
        let row = Service { properties: serde_json::Map::new(), ..service };
        present::service(row, &[], api.now())
    });
    Ok(Json(Page { items: items.collect(), next: page.next.map(|key| key.to_string()) }))
}

fn filter(query: &mut Query) -> Result<ServiceFilter, Problem> {
    let status = query.one("status")?.map(|word| {
        ServiceStatus::parse(&word).ok_or_else(|| {
            Problem::at("?status", "not a known word")
                .remedy(format!("one of {}", ServiceStatus::ALL.map(ServiceStatus::as_str).join(", ")))
        })
    });
    // A platform's name is a key of the configuration, and has no slash; a service's id may have any.
    let after = query.one("after")?.map(|text| match text.split_once('/') {
        Some((platform, id)) => Ok(ServiceKey { platform: platform.to_owned(), service_id: id.to_owned() }),
        None => Err(Problem::at("?after", "not a service").remedy("take `next` of the page before")),
    });
    Ok(ServiceFilter {
        platform: query.one("platform")?,
        status: status.transpose()?,
        provider: query.one("provider")?,
        server: query.one("server")?,
        product: query.one("product")?,
        remote_id: query.one("remote_id")?,
        client_id: query.one("client_id")?,
        username: query.one("username")?,
        domain: query.one("domain")?,
        after: after.transpose()?,
        limit: query.limit()?,
    })
}

/// Everything that happened to a service, newest first.
pub(super) async fn timeline(
    State(api): State<Arc<Api>>,
    At((platform, service_id)): At<(String, String)>,
    view: View,
    uri: Uri,
) -> Result<Json<Page<TimelineEntryView>>, Refusal> {
    let mut query = Query::of(&uri);
    let page = query.page(LogFilter::default())?;
    query.finish()?;
    let unknown = || Problem::new(ProblemType::NotFound, "no such service");
    if !view.shows(&platform) {
        return Err(unknown().into());
    }
    let key = ServiceKey { platform, service_id };
    let store = &api.engine.env().store;
    store.service(&key).await.map_err(unavailable)?.ok_or_else(unknown)?;
    let entries = store.timeline(&key, page.before, page.limit).await.map_err(unavailable)?;
    let next = entries.last().filter(|_| entries.len() == page.limit as usize).map(|entry| entry.row.id.clone());
    let items = entries.into_iter().map(|entry| present::timeline_entry(entry, view.is_admin()));
    Ok(Json(Page { items: items.collect(), next }))
}

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
