//! `GET /v1/operations/{id}/events`: an operation as it goes on.

use super::answer;
use super::api::{Api, At, Who};
use super::caller::View;
use super::operations::find;
use super::query::Query;
use super::refusal::Refusal;
use super::streams::{self, Source, event, last_event_id};
use crate::problem::Problem;
use crate::store::{Follower, OperationId};
use crate::views::{OperationView, ProgressView};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use std::collections::VecDeque;
use std::sync::Arc;

/// The id of the last event; a client that comes back with it is told that nothing more comes.
const END: &str = "end";

/// Events until the operation is final. What is stored is what is sent: who comes back begins with how it stands now.
pub(super) async fn of_operation(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    view: View,
    Who(caller): Who,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::of(&uri).finish()?;
    let operation = find(&api, &view, id).await?;
    if operation.state.is_final() && last_event_id(&headers) == Some(END) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let slot = api.streams.open(&caller)?;
    // Before the first look, so that nothing falls between.
    let follower = api.engine.env().store.follow(&operation.id);
    let watch = Watch { api: Arc::clone(&api), view, id: operation.id, follower, shown: None };
    Ok(streams::respond(api, slot, watch))
}

struct Watch {
    api: Arc<Api>,
    view: View,
    id: OperationId,
    follower: Follower,
    /// As the caller knows it.
    shown: Option<OperationView>,
}

impl Source for Watch {
    async fn look(&mut self, out: &mut VecDeque<Event>) -> bool {
        match self.see(out).await {
            Ok(goes_on) => goes_on,
            // The caller comes back, and is then told what is wrong.
            Err(problem) => {
                tracing::warn!(operation.id = %self.id, problem = %problem.detail, "a stream of events ends early");
                false
            }
        }
    }

    async fn changed(&mut self) {
        self.follower.changed().await;
    }
}

impl Watch {
    async fn see(&mut self, out: &mut VecDeque<Event>) -> Result<bool, Problem> {
        let operation = self.api.engine.operation(&self.id).await?;
        let seen = answer::view(&self.api, &self.view, &operation).await?;
        out.extend(events(self.shown.as_ref(), &seen, &operation.updated_at.to_string()));
        self.shown = Some(seen);
        if !operation.state.is_final() {
            return Ok(true);
        }
        let whole = answer::whole(&self.api, &self.view, &operation).await?;
        out.push_back(event("end", Some(END), &whole));
        Ok(false)
    }
}

/// What tells a caller who knows `before` how the operation stands `now`.
fn events(before: Option<&OperationView>, now: &OperationView, id: &str) -> Vec<Event> {
    let Some(before) = before else { return vec![event("state", Some(id), now)] };
    let mut events = Vec::new();
    let steps = now.steps.iter().filter(|step| !before.steps.contains(step));
    events.extend(steps.map(|step| event("step", Some(id), step)));
    let progress = ProgressView::of(now);
    if progress != ProgressView::of(before) {
        events.push(event("progress", Some(id), &progress));
    }
    if state(before) != state(now) {
        events.push(event("state", Some(id), now));
    }
    events
}

/// The operation without what steps and progress tell, and without what moves whenever anything does.
fn state(view: &OperationView) -> OperationView {
    OperationView {
        steps: Vec::new(),
        step: None,
        percent: None,
        progress: None,
        retry_after_ms: None,
        updated_at: String::new(),
        ..view.clone()
    }
}
