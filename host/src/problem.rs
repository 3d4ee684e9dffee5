//! Refusals as callers see them: RFC 9457 problem documents with a stable type, a place and a remedy.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The closed list of problem types; the word is the last part of the `type` URI and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// The request is not what the API describes.
    InvalidRequest,
    /// The caller's uid speaks for no platform, or the call is not for this socket.
    NotAllowed,
    /// The platform may not send this hook.
    HookNotAllowed,
    /// No such operation, service, server or log entry, or not this caller's.
    NotFound,
    /// The service was never created here.
    UnknownService,
    /// The idempotency key names another event.
    KeyReused,
    /// The service exists with another product.
    AlreadyExists,
    /// Something is under way that must end first.
    ConflictBusy,
    /// The service is on another panel than its server's configuration now names.
    PanelChanged,
    /// The product, server or provider is not configured or could not be loaded.
    NotConfigured,
    /// The provider has no such hook.
    Unsupported,
    /// The operation's state does not allow that.
    WrongState,
    /// The body is longer than the API takes.
    TooLarge,
    /// The head of the request is longer than the API takes, or has more headers.
    HeadTooLarge,
    /// The request came in too slowly.
    RequestTimeout,
    /// The hook expired before it could be taken.
    Expired,
    /// The host is going down or its store does not answer; nothing was accepted.
    Unavailable,
    /// All connections are taken; nothing was read.
    Overloaded,
    /// The hook was carried out and failed.
    HookFailed,
    /// The hook was accepted, and ended before anything was done.
    HookCancelled,
    /// The caller follows as many streams of events as it may.
    TooManyStreams,
    /// The path does not know the method.
    MethodNotAllowed,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The host broke its own contract.
    Internal,
}

impl ProblemType {
    /// Every type.
    pub const ALL: [Self; 24] = [
        Self::InvalidRequest,
        Self::NotAllowed,
        Self::HookNotAllowed,
        Self::NotFound,
        Self::UnknownService,
        Self::KeyReused,
        Self::AlreadyExists,
        Self::ConflictBusy,
        Self::PanelChanged,
        Self::NotConfigured,
        Self::Unsupported,
        Self::WrongState,
        Self::TooLarge,
        Self::HeadTooLarge,
        Self::RequestTimeout,
        Self::Expired,
        Self::Unavailable,
        Self::Overloaded,
        Self::HookFailed,
        Self::HookCancelled,
        Self::TooManyStreams,
        Self::MethodNotAllowed,
        Self::UnsupportedMediaType,
        Self::Internal,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::NotAllowed | Self::HookNotAllowed => 403,
            Self::NotFound | Self::UnknownService => 404,
            Self::KeyReused | Self::NotConfigured | Self::Unsupported | Self::HookFailed => 422,
            Self::AlreadyExists | Self::ConflictBusy | Self::PanelChanged | Self::WrongState | Self::HookCancelled => {
                409
            }
            Self::MethodNotAllowed => 405,
            Self::UnsupportedMediaType => 415,
            Self::Internal => 500,
            Self::RequestTimeout => 408,
            Self::TooLarge => 413,
            Self::HeadTooLarge => 431,
            Self::Expired => 410,
            Self::TooManyStreams => 429,
            Self::Unavailable | Self::Overloaded => 503,
        }
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::NotAllowed => "not_allowed",
            Self::HookNotAllowed => "hook_not_allowed",
            Self::NotFound => "not_found",
            Self::UnknownService => "unknown_service",
            Self::KeyReused => "key_reused",
            Self::AlreadyExists => "already_exists",
            Self::ConflictBusy => "conflict_busy",
            Self::PanelChanged => "panel_changed",
            Self::NotConfigured => "not_configured",
            Self::Unsupported => "unsupported",
            Self::WrongState => "wrong_state",
            Self::TooLarge => "too_large",
            Self::HeadTooLarge => "head_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::Expired => "expired",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::HookFailed => "hook_failed",
            Self::HookCancelled => "hook_cancelled",
            Self::TooManyStreams => "too_many_streams",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Internal => "internal",
        }
    }

    /// The value of `type`.
    pub fn uri(self) -> String {
        format!("urn:billhook:problem:{}", self.as_str())
    }

    /// The same for every problem of the type.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::NotAllowed => "Not allowed for this caller",
            Self::HookNotAllowed => "The platform may not send this hook",
            Self::NotFound => "Not found",
            Self::UnknownService => "The service is not known",
            Self::KeyReused => "The idempotency key names another event",
            Self::AlreadyExists => "The service already exists with another product",
            Self::ConflictBusy => "Something else must end first",
            Self::PanelChanged => "The service is on another panel",
            Self::NotConfigured => "Not configured",
            Self::Unsupported => "The provider does not support this",
            Self::WrongState => "The operation's state does not allow this",
            Self::TooLarge => "The body is too large",
            Self::HeadTooLarge => "The head of the request is too large",
            Self::RequestTimeout => "The request came in too slowly",
            Self::Expired => "The hook has expired",
            Self::Unavailable => "Not available at the moment",
            Self::Overloaded => "Too many connections",
            Self::HookFailed => "The hook failed",
            Self::HookCancelled => "The hook was cancelled",
            Self::TooManyStreams => "Too many streams",
            Self::MethodNotAllowed => "The path does not know this method",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::Internal => "An error of the daemon",
        }
    }
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub kind: ProblemType,
    /// What is wrong here; never a secret.
    pub detail: String,
    /// JSON pointer into the request's body, the name of a header, or `?` and the name of a query parameter.
    pub path: Option<String>,
    /// What helps.
    pub remedy: Option<String>,
    /// The operation it speaks of.
    pub operation: Option<String>,
}

impl Problem {
    /// A problem with its detail.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), path: None, remedy: None, operation: None }
    }

    /// A problem of the request's body at `path`.
    pub fn at(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..Self::new(ProblemType::InvalidRequest, detail) }
    }

    /// Adds what helps.
    #[must_use]
    pub fn remedy(mut self, text: impl Into<String>) -> Self {
        self.remedy = Some(text.into());
        self
    }

    /// Names the operation.
    #[must_use]
    pub fn about(mut self, operation: impl fmt::Display) -> Self {
        self.operation = Some(operation.to_string());
        self
    }

    /// The document, `application/problem+json`.
    pub fn document(&self) -> ProblemDocument {
        ProblemDocument {
            r#type: self.kind.uri(),
            title: self.kind.title().to_owned(),
            status: self.kind.status(),
            detail: self.detail.clone(),
            path: self.path.clone(),
            remedy: self.remedy.clone(),
            operation_id: self.operation.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detail)?;
        if let Some(path) = &self.path {
            write!(f, " (at {path})")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// A problem on the wire (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Stable URI.
    pub r#type: String,
    /// The same for every problem of a type.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This one.
    pub detail: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// About which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_row_in_the_api_page() {
        let page = include_str!("../../docs/http-api.md");
        for kind in ProblemType::ALL {
            let row = format!("| `{}` | {} |", kind.as_str(), kind.status());
            assert!(page.contains(&row), "docs/http-api.md lacks a row that begins {row}");
        }
    }
}
