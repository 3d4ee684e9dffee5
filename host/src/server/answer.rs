//! What is known of an operation, as an answer.

use super::api::Api;
use super::caller::View;
use super::{present, refusal};
use crate::engine::{Placed, unavailable};
use crate::operation::State;
use crate::problem::{Problem, ProblemType};
use crate::store::{Operation, SecretsState};
use crate::views::{FailureView, HookAnswer, MessageView, OperationView, SecretsView, SecretsWord};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Fault, FaultClass, Hook};
use std::sync::Arc;
use std::time::Duration;

/// The operation once it has ended, needs a person, `wait` has passed, or the host goes down.
pub(super) async fn wait(api: &Api, placed: Placed, wait: Duration) -> Result<Arc<Operation>, Problem> {
    let id = placed.id.clone();
    if wait.is_zero() {
        return api.engine.operation(&id).await.map(Arc::new);
    }
    tokio::select! {
        operation = api.engine.wait(placed, wait) => operation,
        () = api.stopping.cancelled() => api.engine.operation(&id).await.map(Arc::new),
    }
}

/// The operation with all that is known of it.
pub(super) async fn view(api: &Api, view: &View, operation: &Operation) -> Result<OperationView, Problem> {
    let store = &api.engine.env().store;
    let mut shown = present::operation(operation, api.now());
    if operation.has_steps {
        present::with_steps(&mut shown, &store.journal(&operation.id).await.map_err(unavailable)?);
    }
    if matches!(operation.state, State::Running | State::Waiting)
        && let Some(text) = store.last_progress(&operation.id, operation.run).await.map_err(unavailable)?
    {
        present::with_progress(&mut shown, &text);
    }
    shown.held = present::held(&api.engine, operation);
    if view.is_admin() {
        shown.decisions = present::decisions(operation);
    }
    Ok(shown)
}

/// The operation with its result.
pub(super) async fn whole(api: &Api, who: &View, operation: &Operation) -> Result<HookAnswer, Problem> {
    let shown = view(api, who, operation).await?;
    let log_ref = operation.id.0.clone();
    if operation.state != State::Succeeded {
        return Ok(HookAnswer {
            operation: Some(shown),
            result: None,
            message: message(operation.fault.as_ref()),
            log_ref,
        });
    }
    let outcome: Outcome = match &operation.outcome {
        Some(value) => serde_json::from_value(value.clone()).map_err(|error| {
            tracing::error!(operation.id = %operation.id, %error, "a stored result cannot be read");
            refusal::internal()
        })?,
        None => Outcome::default(),
    };
    let (result, message) = present::result(outcome, secrets(api, who, operation).await?);
    Ok(HookAnswer { operation: Some(shown), result: Some(result), message, log_ref })
}

/// The answer to a hook: the result, the operation that is not over yet, or a problem.
pub(super) async fn of_hook(api: &Api, who: &View, operation: &Operation) -> Result<Response, Problem> {
    match operation.state {
        State::Succeeded => Ok(axum::Json(whole(api, who, operation).await?).into_response()),
        State::Failed | State::Cancelled => Ok(refusal::failure(&ended(view(api, who, operation).await?, operation))),
        State::Queued | State::Running | State::Waiting | State::Attention => {
            Ok((StatusCode::ACCEPTED, later(api, who, operation).await?).into_response())
        }
    }
}

/// The operation as a resource: 200 whatever has become of it.
pub(super) async fn of_resource(api: &Api, who: &View, operation: &Operation) -> Result<Response, Problem> {
    if operation.state.is_final() {
        return Ok(axum::Json(whole(api, who, operation).await?).into_response());
    }
    Ok(later(api, who, operation).await?.into_response())
}

/// An operation that is not over, with where and when to ask again.
async fn later(api: &Api, who: &View, operation: &Operation) -> Result<impl IntoResponse + use<>, Problem> {
    let answer = whole(api, who, operation).await?;
    let after = answer.operation.as_ref().and_then(|view| view.retry_after_ms).unwrap_or_default();
    let place = HeaderValue::from_str(&format!("/v1/operations/{}", operation.id)).map_err(|_| refusal::internal())?;
    let headers = [(header::LOCATION, place), (header::RETRY_AFTER, HeaderValue::from(after.div_ceil(1_000)))];
    Ok((headers, axum::Json(answer)))
}

/// The credentials of a result, as this caller may have them.
async fn secrets(api: &Api, who: &View, operation: &Operation) -> Result<Option<SecretsView>, Problem> {
    let word = match operation.secrets_state {
        SecretsState::None => return Ok(None),
        SecretsState::Acknowledged => SecretsWord::CredentialsAcknowledged,
        SecretsState::Expired => SecretsWord::CredentialsExpired,
        SecretsState::Kept if who.is_admin() => SecretsWord::Kept,
        SecretsState::Kept => {
            let values = api.engine.env().store.result_secrets(&operation.id).await.map_err(unavailable)?;
            if !values.is_empty() {
                return Ok(Some(SecretsView::Values(values)));
            }
            // They went between the two reads; which way, the row says now.
            match api.engine.operation(&operation.id).await?.secrets_state {
                SecretsState::Expired => SecretsWord::CredentialsExpired,
                _ => SecretsWord::CredentialsAcknowledged,
            }
        }
    };
    Ok(Some(SecretsView::Word(word)))
}

fn ended(view: OperationView, operation: &Operation) -> FailureView {
    let fault = operation.fault.as_ref();
    let problem = match (operation.state, fault) {
        (State::Cancelled, _) => Problem::new(
            ProblemType::HookCancelled,
            format!("{} was cancelled before anything was done", operation.hook),
        ),
        (_, Some(fault)) => failed(operation.hook, fault),
        (_, None) => {
            let reason = operation.reason.as_deref().unwrap_or("no reason is stored");
            Problem::new(ProblemType::HookFailed, format!("{} failed: {reason}", operation.hook))
        }
    };
    FailureView {
        problem: problem.about(&operation.id).document(),
        log_ref: operation.id.0.clone(),
        fault: fault.map(present::fault),
        message: message(fault),
        operation: Some(view),
    }
}

/// The answer to a hook that only reads and failed.
pub(super) fn failed_read(hook: Hook, id: String, fault: &Fault) -> Response {
    refusal::failure(&FailureView {
        problem: failed(hook, fault).document(),
        operation: None,
        fault: Some(present::fault(fault)),
        message: message(Some(fault)),
        log_ref: id,
    })
}

fn failed(hook: Hook, fault: &Fault) -> Problem {
    let problem = Problem::new(ProblemType::HookFailed, format!("{hook} failed: {fault}"));
    match remedy(fault.class) {
        Some(remedy) => problem.remedy(remedy),
        None => problem,
    }
}

fn message(fault: Option<&Fault>) -> Option<MessageView> {
    fault.map(|fault| MessageView { staff: Some(fault.staff.clone()), customer: fault.customer.clone() })
}

/// What helps against a class of faults, where something does.
const fn remedy(class: FaultClass) -> Option<&'static str> {
    match class {
        FaultClass::InvalidInput => Some("correct the order, then send the hook again"),
        FaultClass::AlreadyExists => Some("look on the panel whose it is; it was not touched"),
        FaultClass::Quota | FaultClass::Capacity => Some("make room on the panel, then send the hook again"),
        FaultClass::InsufficientFunds => Some("top up the account at the panel, then send the hook again"),
        FaultClass::Auth | FaultClass::Permission => {
            Some("check the server's credentials and their rights on the panel")
        }
        FaultClass::Unreachable | FaultClass::Timeout | FaultClass::RateLimited | FaultClass::ConflictBusy => {
            Some("send the hook again later")
        }
        FaultClass::InDoubt => Some("look on the panel whether it happened; see the operation in the module log"),
        FaultClass::PanelBug | FaultClass::PluginBug => Some("see the operation in the module log"),
        FaultClass::NotFound | FaultClass::Unsupported | FaultClass::Cancelled => None,
    }
}
