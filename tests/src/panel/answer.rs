//! What a panel answers: a status, perhaps headers, and a body.

use serde_json::{Value, json};

use super::http::reason;

/// An answer before it is put into bytes.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// Besides those that every answer has.
    pub headers: Vec<(&'static str, String)>,
    /// What follows them.
    pub body: Body,
}

/// What an answer holds.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A document that is labelled as JSON.
    Json(Value),
    /// A web page.
    Html(String),
    /// What the panel itself has put into bytes, labelled as it labels them.
    Bytes(&'static str, Vec<u8>),
}

impl Answer {
    /// Without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// A JSON document.
    pub fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(value) }
    }

    /// The success envelope, `{"data": …}`.
    pub fn data(status: u16, value: Value) -> Self {
        Self::json(status, json!({ "data": value }))
    }

    /// A refusal with one text, `{"msg": …}`.
    pub fn msg(status: u16, text: &str) -> Self {
        Self::json(status, json!({ "msg": text }))
    }

    /// A refused input, 422 with `{"errors": […]}`.
    pub fn errors(texts: &[String]) -> Self {
        Self::json(422, json!({ "errors": texts }))
    }

    /// A refused input with one text.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::errors(&[text.into()])
    }

    /// A web page with the status as its title.
    pub fn html(status: u16) -> Self {
        let title = reason(status);
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>{status} {title}</title></head>\
             <body><h1>{title}</h1></body></html>\n"
        );
        Self { status, headers: Vec::new(), body: Body::Html(page) }
    }

    /// With this header too.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Whether the status says so.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The whole answer as it goes over the wire; the connection stays open.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, body) = self.body.bytes();
        encode(self.status, &self.headers, kind, &body, body.len())
    }
}

impl Body {
    /// Its label and its bytes.
    pub(super) fn bytes(&self) -> (Option<&'static str>, Vec<u8>) {
        match self {
            Self::Empty => (None, Vec::new()),
            Self::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
            Self::Html(page) => (Some("text/html; charset=UTF-8"), page.clone().into_bytes()),
            Self::Bytes(kind, bytes) => (Some(kind), bytes.clone()),
        }
    }
}

/// An answer of which `declared` bytes of body are announced, whatever `body` holds.
pub(super) fn encode(
    status: u16,
    headers: &[(&'static str, String)],
    kind: Option<&str>,
    body: &[u8],
    declared: usize,
) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    head.push_str("server: nginx\r\ncache-control: no-cache, private\r\n");
    if let Some(kind) = kind {
        head.push_str(&format!("content-type: {kind}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        head.push_str(&format!("content-length: {declared}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
