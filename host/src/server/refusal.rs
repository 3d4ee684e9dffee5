//! Problems as responses.

use crate::problem::{Problem, ProblemDocument, ProblemType};
use crate::views::FailureView;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// When a caller whose hook could not be taken does well to come again. Shorter would only make a queue of those who wait.
const RETRY_AFTER_S: &str = "10";

/// What a handler answers instead of a result.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let document: ProblemDocument = self.0.document();
        let mut response = problem(document.status, &document);
        if self.0.kind == ProblemType::Unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        // For the metrics.
        response.extensions_mut().insert(self.0.kind);
        response
    }
}

/// A hook that failed or was cancelled.
pub(super) fn failure(failure: &FailureView) -> Response {
    problem(failure.problem.status, failure)
}

/// What a caller gets when the daemon broke its own contract; what happened stands in the daemon's log.
pub(super) fn internal() -> Problem {
    Problem::new(ProblemType::Internal, "the daemon failed on this request")
        .remedy("see the daemon's log; a hook may have been accepted, so repeat it with the same key")
}

fn problem(status: u16, body: &impl Serialize) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}
