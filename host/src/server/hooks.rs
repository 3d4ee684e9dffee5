//! `POST /v1/hooks/{hook}`.

use super::answer;
use super::api::{Api, At, Who};
use super::body;
use super::caller::{Caller, View, may_send};
use super::headers;
use super::refusal::Refusal;
use crate::engine::{ReadAnswer, ReadFailure};
use crate::mask::{Masker, SecretSet};
use crate::problem::{Problem, ProblemType};
use crate::request::HookBody;
use crate::store::{OperationId, ServiceKey};
use crate::views::{HookAnswer, SecretsView, SecretsWord};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use billhook_plugin_api::Hook;
use billhook_plugin_api::protocol::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// Takes a hook, waits for its end as long as the caller wants, and answers with what is known then.
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    At(word): At<String>,
    Who(caller): Who,
    view: View,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let config = api.engine.config();
    let hook = Hook::parse(&word).ok_or_else(no_hook)?;
    let platform = caller.platform(&parts.headers, hook, &config)?;
    if hook != Hook::Action {
        may_send(&caller, hook, None, &config)?;
    }
    let options = headers::hook_options(&parts.headers)?;
    let wait = headers::wait(&parts.headers, config.limits.wait_max)?;
    let bytes = body::json(&api, &parts.headers, body).await?;
    let body = HookBody::parse(&bytes)?;
    may_send(&caller, hook, body.action.as_deref(), &config)?;
    body.check(hook)?;

    if reads(&api, &platform, hook, &body).await? {
        return read(&api, &view, platform, hook, body).await;
    }
    let engine = Arc::clone(&api.engine);
    let placed = api.detached(async move { engine.accept(&platform, hook, body, options).await }).await??;
    let id = placed.id.clone();
    if let Caller::Admin(actor) = &*caller {
        tracing::info!(operation.id = %id, %hook, %actor, "an admin sent a hook");
    }
    let answered = async {
        let operation = answer::wait(&api, placed, wait).await?;
        answer::of_hook(&api, &view, &operation).await
    };
    let response = answered.await.map_err(|problem| unread(problem, &id))?;
    Ok(with_wait(response, wait))
}

/// A store that fails after it has accepted the hook: the caller must not read that nothing was.
fn unread(problem: Problem, id: &OperationId) -> Problem {
    match problem.kind {
        ProblemType::Unavailable => {
            Problem::new(ProblemType::Unavailable, format!("the hook was accepted as {id}, whose state cannot be read"))
                .remedy("send the same request again: it joins this operation")
                .about(id)
        }
        _ => problem.about(id),
    }
}

/// Whether the hook changes nothing: by its nature, or as the action's manifest entry says.
async fn reads(api: &Api, platform: &str, hook: Hook, body: &HookBody) -> Result<bool, Problem> {
    let (Hook::Action, Some(action), Some(service)) = (hook, &body.action, &body.service) else {
        return Ok(hook.is_read());
    };
    let key = ServiceKey { platform: platform.to_owned(), service_id: service.id.clone() };
    let found = api.engine.env().store.service(&key).await.map_err(crate::engine::unavailable)?;
    let in_force = api.engine.in_force();
    let provider = found.and_then(|service| in_force.providers.get(&service.provider));
    // What is not known is refused further on, with the reason.
    Ok(provider.and_then(|provider| provider.action(action)).is_some_and(|action| !action.changes))
}

/// Runs a hook that only reads while the caller waits.
pub(super) async fn read(
    api: &Api,
    view: &View,
    platform: String,
    hook: Hook,
    body: HookBody,
) -> Result<Response, Refusal> {
    let engine = Arc::clone(&api.engine);
    // Outlives its caller, so that its entry in the log is complete. It ends by the attempt's deadline.
    let work = tokio::spawn(async move { engine.read_hook(&platform, hook, body).await });
    let read = tokio::select! {
        read = work => read.map_err(|error| {
            tracing::error!(%error, "a hook that reads ended in a panic");
            super::refusal::internal()
        })?,
        () = api.stopping.cancelled() => return Err(body::going_down().into()),
    };
    match read {
        Ok(ReadAnswer { id, outcome }) => Ok(axum::Json(read_answer(api, view, id, outcome)).into_response()),
        Err(ReadFailure::Problem(problem)) => Err((*problem).into()),
        Err(ReadFailure::Fault { id, fault }) => Ok(answer::failed_read(hook, id, &fault)),
    }
}

fn read_answer(api: &Api, view: &View, id: String, mut outcome: Outcome) -> HookAnswer {
    let values = std::mem::take(&mut outcome.secrets);
    let mut secrets = (!values.is_empty()).then_some(SecretsView::Word(SecretsWord::Withheld));
    if view.is_admin() {
        // An operation's result is masked before it is stored; this one was never stored.
        outcome = masked(api, &outcome, values.values().map(|secret| secret.expose().as_str()));
    } else if secrets.is_some() {
        secrets = Some(SecretsView::Values(values));
    }
    let (result, message) = super::present::result(outcome, secrets);
    HookAnswer { operation: None, result: Some(result), message, log_ref: id }
}

/// The outcome without the values that an admin does not get to see.
fn masked<'a>(api: &Api, outcome: &Outcome, values: impl Iterator<Item = &'a str>) -> Outcome {
    let env = api.engine.env();
    let mut secrets = SecretSet::new();
    for value in values {
        secrets.insert(value);
    }
    let mut value = serde_json::to_value(outcome).unwrap_or_default();
    Masker { secrets: &secrets, rules: &env.rules, prints: &env.prints }.json(&mut value, &[]);
    serde_json::from_value(value).unwrap_or_default()
}

/// Says which wait was kept to.
fn with_wait(mut response: Response, wait: Duration) -> Response {
    if response.status() == StatusCode::ACCEPTED
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        response.headers_mut().insert("preference-applied", applied);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("prefer"));
    response
}

fn no_hook() -> Problem {
    let words: Vec<&str> = Hook::ALL.iter().map(|hook| hook.as_str()).collect();
    Problem::new(ProblemType::NotFound, "no such hook").remedy(format!("one of {}", words.join(", ")))
}
