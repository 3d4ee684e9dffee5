//! Reading a request's body, within bounds of size and time.

use super::api::Api;
use super::headers;
use crate::problem::{Problem, ProblemType};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;

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
    let config = api.engine.config();
    let settings = &config.socket;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // Who asks first, or sends more than would be thrown away, is told before it sends.
    let drained = if headers.contains_key(header::EXPECT) { 1 } else { DRAIN };
    if announced > settings.max_body.saturating_mul(drained) {
        return Err(too_large(settings.max_body));
    }
    let bytes = tokio::select! {
        read = whole(body, settings.max_body) => read?,
        () = api.engine.env().clock.sleep(settings.body_timeout) => {
            return Err(Problem::new(ProblemType::RequestTimeout, "the body took too long to arrive")
                .remedy("send the request in one go"));
        }
        () = api.stopping.cancelled() => return Err(going_down()),
    };
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
        return Err(too_large(most));
    }
    Ok(bytes.into())
}

fn too_large(most: usize) -> Problem {
    Problem::new(ProblemType::TooLarge, format!("the body is longer than {most} bytes"))
        .remedy("send less, or raise socket.max_body")
}

/// What a caller gets whose request was not taken because of a stop.
pub(super) fn going_down() -> Problem {
    Problem::new(ProblemType::Unavailable, "the host is going down; nothing was accepted")
        .remedy("try again in a moment")
}
