//! Reading a request's body, within bounds of size and time.

use super::api::Api;
use super::headers;
use crate::problem::{Problem, ProblemType};
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use http_body_util::BodyExt;

/// How much more than the limit is read and thrown away, in limits: a caller that is cut off while it sends may never
/// come to read why.
const DRAIN: usize = 8;

/// The body of a request that must be a JSON object.
///
/// # Errors
///
/// `unsupported_media_type`, `too_large`, `request_timeout`; `invalid_request` when it breaks off; `unavailable` on a stop.
pub(super) async fn json(api: &Api, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if !headers::is_json(headers) {
        return Err(Problem {
            path: Some("Content-Type".to_owned()),
            ..Problem::new(ProblemType::UnsupportedMediaType, "the body is not declared as JSON")
                .remedy("send `Content-Type: application/json`")
        });
    }
    let settings = &api.engine.config().socket;
    let bytes = tokio::select! {
        read = whole(body, settings.max_body) => read?,
        () = api.engine.env().clock.sleep(settings.body_timeout) => {
            return Err(Problem::new(ProblemType::RequestTimeout, "the body took too long to arrive")
                .remedy("send the request in one go"));
        }
        () = api.stopping.cancelled() => return Err(going_down()),
    };
    // A list would be read as the members in their order, which nobody means.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(
            Problem::at("", "the body is a list, not an object").remedy("compare the body with docs/http-api.md")
        );
    }
    Ok(bytes)
}

async fn whole(mut body: Body, most: usize) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::at("", "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= most {
            bytes.extend_from_slice(&data);
        } else if length > most.saturating_mul(DRAIN) {
            break;
        }
    }
    if length > most {
        return Err(Problem::new(ProblemType::TooLarge, format!("the body is longer than {most} bytes"))
            .remedy("send less, or raise socket.max_body"));
    }
    Ok(bytes.into())
}

/// What a caller gets whose request was not taken because of a stop.
pub(super) fn going_down() -> Problem {
    Problem::new(ProblemType::Unavailable, "the host is going down; nothing was accepted")
        .remedy("try again in a moment")
}
