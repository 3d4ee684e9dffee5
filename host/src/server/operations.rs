//! `/v1/operations`: looking at operations, and deciding about them.

use super::answer;
use super::api::{Api, At};
use super::body;
use super::caller::{Admin, View};
use super::present;
use super::query::{Query, is_id};
use super::refusal::Refusal;
use crate::engine::{Decision, unavailable};
use crate::problem::{Problem, ProblemType};
use crate::store::{LogFilter, Operation, OperationId};
use crate::views::{OperationView, Page};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Newest first, without steps.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    view: View,
    uri: Uri,
) -> Result<Json<Page<OperationView>>, Refusal> {
    let mut query = Query::of(&uri);
    let mut filter = query.filter()?;
    let states = query.states()?;
    query.finish()?;
    if let Some(only) = &view.only {
        if filter.platform.as_ref().is_some_and(|platform| platform != only) {
            return Ok(Json(Page { items: Vec::new(), next: None }));
        }
        filter.platform = Some(only.clone());
    }
    let store = &api.engine.env().store;
    let mut found = Vec::new();
    if states.is_empty() {
        found = store.list_operations(&filter).await.map_err(unavailable)?;
    }
    // Each state is a list of its own in the index; the newest of all are among the newest of each.
    for state in states {
        let of_state = LogFilter { state: Some(state), ..filter.clone() };
        found.extend(store.list_operations(&of_state).await.map_err(unavailable)?);
    }
    found.sort_by(|a, b| b.id.cmp(&a.id));
    let rows = filter.limit as usize;
    found.truncate(rows);
    let next = (found.len() == rows).then(|| found.last().map(|last| last.id.0.clone())).flatten();
    let now = api.now();
    let items = found.iter().map(|operation| {
        let mut row = present::operation(operation, now);
        row.held = present::held(&api.engine, operation);
        if view.is_admin() {
            row.decisions = present::decisions(operation);
        }
        row
    });
    Ok(Json(Page { items: items.collect(), next }))
}

/// One operation, at once or when `wait` has passed.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    view: View,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let wait = query.wait(api.engine.config().limits.wait_max)?;
    query.finish()?;
    // Whose it is comes first: another's is not waited for.
    let operation = find(&api, &view, id).await?;
    let operation = answer::wait(&api, operation.id.clone().into(), wait).await?;
    Ok(answer::of_resource(&api, &view, &operation).await?)
}

/// The platform has the credentials: they go. Repeating it changes nothing.
pub(super) async fn acknowledge(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    view: View,
) -> Result<Response, Refusal> {
    let operation = find(&api, &view, id).await?;
    if operation.state != crate::operation::State::Succeeded {
        let detail = format!("{} is {}: it has no result to acknowledge", operation.id, operation.state);
        return Err(Problem::new(ProblemType::WrongState, detail)
            .remedy("acknowledge once it has succeeded")
            .about(&operation.id)
            .into());
    }
    let (engine, id, now) = (Arc::clone(&api.engine), operation.id.clone(), api.now());
    let acknowledged = api.detached(async move { engine.env().store.acknowledge(&id, now).await });
    acknowledged.await?.map_err(unavailable)?;
    let operation = api.engine.operation(&operation.id).await?;
    Ok(answer::of_resource(&api, &view, &operation).await?)
}

/// Tries it again.
pub(super) async fn retry(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    Admin(actor): Admin,
) -> Result<Response, Refusal> {
    decide(&api, id, Decision::Retry, actor).await
}

/// Ends it, if nothing was begun.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    Admin(actor): Admin,
) -> Result<Response, Refusal> {
    decide(&api, id, Decision::Cancel, actor).await
}

/// Says what is true of an effect that is in doubt.
pub(super) async fn settle(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    Admin(actor): Admin,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let bytes = body::json(&api, &parts.headers, body).await?;
    let decision = settlement(&bytes)?;
    decide(&api, id, decision, actor).await
}

async fn decide(api: &Api, id: String, decision: Decision, actor: String) -> Result<Response, Refusal> {
    let view = View { only: None };
    let operation = find(api, &view, id).await?;
    let (engine, id) = (Arc::clone(&api.engine), operation.id);
    let operation = api.detached(async move { engine.decide(&id, &decision, &actor).await }).await??;
    Ok(answer::of_resource(api, &view, &operation).await?)
}

/// The operation, if it exists and the caller may know of it.
pub(super) async fn find(api: &Api, view: &View, id: String) -> Result<Operation, Problem> {
    let unknown = || Problem::new(ProblemType::NotFound, "no such operation");
    if !is_id(&id) {
        return Err(unknown());
    }
    let operation = api.engine.operation(&OperationId(id)).await.map_err(|problem| match problem.kind {
        ProblemType::NotFound => unknown(),
        _ => problem,
    })?;
    // Another platform's is as unknown as one that never was.
    if view.shows(&operation.service.platform) { Ok(operation) } else { Err(unknown()) }
}

/// The body of `settle`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settlement {
    /// What is true.
    #[schema(inline)]
    decision: Word,
    /// For `exists`: its id on the panel.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    remote_id: Option<String>,
    /// For `give_up`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Exists,
    Absent,
    GiveUp,
}

fn settlement(bytes: &[u8]) -> Result<Decision, Problem> {
    // The reason is shown in one line of the log.
    const LONGEST_REASON: usize = 1_000;
    let body: Settlement = crate::request::read(bytes).map_err(|problem| {
        problem
            .remedy(r#"send {"decision":"exists","remote_id":"…"}, {"decision":"absent"} or {"decision":"give_up","reason":"…"}"#)
    })?;
    match (body.decision, body.remote_id, body.reason) {
        (Word::Exists, Some(remote_id), None) => Ok(Decision::Exists { remote_id }),
        (Word::Exists, None, _) => Err(Problem::at("/remote_id", "`exists` needs the id on the panel")),
        (Word::Absent, None, None) => Ok(Decision::Absent),
        (Word::GiveUp, None, Some(reason)) if reason.trim().is_empty() => Err(Problem::at("/reason", "empty")),
        (Word::GiveUp, None, Some(reason)) if reason.len() > LONGEST_REASON => {
            Err(Problem::at("/reason", format!("longer than {LONGEST_REASON} bytes")))
        }
        (Word::GiveUp, None, Some(reason)) => Ok(Decision::GiveUp { reason }),
        (Word::GiveUp, None, None) => Err(Problem::at("/reason", "`give_up` needs a reason")),
        (Word::Exists | Word::Absent, _, Some(_)) => Err(Problem::at("/reason", "only `give_up` has a reason")),
        (Word::Absent | Word::GiveUp, Some(_), _) => Err(Problem::at("/remote_id", "only `exists` names an id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_is_whole_and_no_more() {
        for (body, expected) in [
            (r#"{"decision":"exists","remote_id":"4711"}"#, Ok(Decision::Exists { remote_id: "4711".into() })),
            (r#"{"decision":"absent"}"#, Ok(Decision::Absent)),
            (r#"{"decision":"give_up","reason":"no trace"}"#, Ok(Decision::GiveUp { reason: "no trace".into() })),
            (r#"{"decision":"exists"}"#, Err("/remote_id")),
            (r#"{"decision":"exists","remote_id":"1","reason":"x"}"#, Err("/reason")),
            (r#"{"decision":"absent","remote_id":"1"}"#, Err("/remote_id")),
            (r#"{"decision":"give_up"}"#, Err("/reason")),
            (r#"{"decision":"give_up","reason":" "}"#, Err("/reason")),
            (r#"{"decision":"give_up","remote_id":"1","reason":"x"}"#, Err("/remote_id")),
            (r#"{"decision":"retry"}"#, Err("/decision")),
            (r#"{"decision":"exists","remote_id":7}"#, Err("/remote_id")),
            (r#"{"decision":"absent"} x"#, Err("")),
            (r#"[]"#, Err("")),
            ("", Err("")),
        ] {
            let read = settlement(body.as_bytes());
            assert_eq!(
                read.as_ref().map_err(|problem| problem.path.as_deref().unwrap()),
                expected.as_ref().map_err(|p| *p),
                "{body}"
            );
        }
    }
}
