//! What a fault makes of an answer on its way to the client.

use super::World;
use super::answer::{self, Answer, Body};
use super::faults::Fault;
use super::http::Request;

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
pub(super) fn wire<W: World>(world: &W, fault: Option<Fault>, request: &Request, answer: &Answer) -> (Wire, u16) {
    let Some(fault) = fault else { return send(answer) };
    match fault {
        Fault::DropBeforeEffect | Fault::DropAfterEffect | Fault::LateEffect { .. } => (Wire::Close, 0),
        Fault::Hang { effect: true } => (Wire::Hold(answer.encode()), answer.status),
        Fault::Hang { effect: false } => (Wire::Hold(Answer::html(504).encode()), 504),
        Fault::CutOff => {
            let whole = world.broken(fault, request, answer);
            let (kind, body) = whole.body.bytes();
            let status = with_body(whole.status);
            let half = answer::encode(status, &whole.headers, kind, &body[..body.len() / 2], body.len());
            (Wire::SendAndClose(half), status)
        }
        Fault::CutHead => {
            let status = with_body(answer.status);
            let head = format!("HTTP/1.1 {status} OK\r\nserver: nginx\r\ncontent-ty");
            (Wire::SendAndClose(head.into_bytes()), status)
        }
        _ => send(&world.broken(fault, request, answer)),
    }
}

fn send(answer: &Answer) -> (Wire, u16) {
    (Wire::Send(answer.encode()), answer.status)
}

/// A status that forbids a body cannot carry a broken one.
fn with_body(status: u16) -> u16 {
    if status == 204 { 200 } else { status }
}

/// What most web servers and the proxies before them send for a fault in place of `answer`.
pub fn usual(fault: Fault, answer: &Answer) -> Answer {
    let status = with_body(answer.status);
    match fault {
        Fault::StatusBeforeEffect(status) | Fault::StatusAfterEffect(status) => Answer::html(status),
        Fault::Garbage => Answer { status, headers: Vec::new(), body: Body::Bytes("application/json", NOISE.into()) },
        Fault::EmptySuccess => Answer::empty(answer.status),
        Fault::Html200BeforeEffect | Fault::Html200AfterEffect => Answer::html(200),
        Fault::TooMany { retry_after_s: Some(seconds) } => Answer::html(429).with_header("retry-after", seconds),
        Fault::TooMany { retry_after_s: None } => Answer::html(429),
        Fault::Locked => Answer::html(423),
        Fault::NotFoundHtml => Answer::html(404),
        Fault::Redirect => Answer::html(302).with_header("location", "/login"),
        Fault::WrongShape => {
            let body = br#"{"data":[{"unexpected":true}],"links":null,"ok":1}"#;
            Answer { status, headers: Vec::new(), body: Body::Bytes("application/json", body.into()) }
        }
        Fault::DropBeforeEffect
        | Fault::DropAfterEffect
        | Fault::LateEffect { .. }
        | Fault::Hang { .. }
        | Fault::CutOff
        | Fault::CutHead
        | Fault::Special { .. } => answer.clone(),
    }
}
