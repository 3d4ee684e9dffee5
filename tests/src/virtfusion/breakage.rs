//! What a fault makes of an answer on its way to the client.

use serde_json::json;

use super::answer::{self, Answer, Body};
use super::faults::Fault;

/// Bytes that are neither text nor JSON.
const NOISE: &[u8] = b"\x8f\x00\xffpanel\xc3\x28{[\x1b\x07]\xfe";

/// What goes over the wire.
pub(super) enum Wire {
    Send(Vec<u8>),
    SendAndClose(Vec<u8>),
    Close,
    /// Nothing yet; these bytes when the call is released.
    Hold(Vec<u8>),
}

/// The broken form of `answer`, and the status that the client can read in it (0 when it gets none).
pub(super) fn wire(fault: Option<Fault>, answer: &Answer) -> (Wire, u16) {
    // A status that forbids a body cannot carry a broken one.
    let status = if answer.status == 204 { 200 } else { answer.status };
    let broken = |body: &[u8], declared: usize| answer::encode(status, &[], Some("application/json"), body, declared);
    let Some(fault) = fault else { return send(answer) };
    match fault {
        Fault::DropBeforeEffect | Fault::DropAfterEffect | Fault::LateEffect { .. } => (Wire::Close, 0),
        Fault::StatusBeforeEffect(status) | Fault::StatusAfterEffect(status) => send(&faulty(status)),
        Fault::Hang { effect: true } => (Wire::Hold(answer.encode()), answer.status),
        Fault::Hang { effect: false } => (Wire::Hold(Answer::html(504).encode()), 504),
        Fault::Garbage => (Wire::Send(broken(NOISE, NOISE.len())), status),
        Fault::CutOff => {
            let body = match &answer.body {
                Body::Json(value) => value.to_string(),
                _ => r#"{"data":{"id":71,"state":"complete"}}"#.to_owned(),
            };
            let half = &body.as_bytes()[..body.len() / 2];
            (Wire::SendAndClose(broken(half, body.len())), status)
        }
        Fault::CutHead => {
            let head = format!("HTTP/1.1 {status} OK\r\nserver: nginx\r\ncontent-ty");
            (Wire::SendAndClose(head.into_bytes()), status)
        }
        Fault::EmptySuccess => send(&Answer::empty(answer.status)),
        Fault::Html200BeforeEffect | Fault::Html200AfterEffect => send(&Answer::html(200)),
        Fault::TooMany { retry_after_s } => send(&too_many(retry_after_s)),
        Fault::Locked => send(&Answer::msg(423, "pending tasks in queue")),
        Fault::NotFoundHtml => send(&Answer::html(404)),
        Fault::Redirect => send(&Answer::html(302).with_header("location", "/login")),
        Fault::WrongShape => {
            let body = br#"{"data":[{"unexpected":true}],"links":null,"ok":1}"#;
            (Wire::Send(broken(body, body.len())), status)
        }
    }
}

fn send(answer: &Answer) -> (Wire, u16) {
    (Wire::Send(answer.encode()), answer.status)
}

/// A status from somewhere in between: the framework's own 500 in JSON, a proxy's page for the rest.
fn faulty(status: u16) -> Answer {
    match status {
        502..=504 => Answer::html(status),
        _ => Answer::json(status, json!({ "message": "Server Error" })),
    }
}

fn too_many(retry_after_s: Option<u32>) -> Answer {
    let answer = Answer::json(429, json!({ "message": "Too Many Attempts." }))
        .with_header("x-ratelimit-limit", 60)
        .with_header("x-ratelimit-remaining", 0);
    match retry_after_s {
        Some(seconds) => answer.with_header("retry-after", seconds),
        None => answer,
    }
}
