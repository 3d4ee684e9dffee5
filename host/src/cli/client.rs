//! Talks to the daemon: HTTP/1.1 over its unix socket, one connection for each request.

use super::complaint::WrongUse;
use super::events::Events;
use super::place::Place;
use crate::clock::{SharedClock, SystemClock};
use crate::problem::ProblemDocument;
use crate::views::FailureView;
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// For what the daemon answers without asking a panel.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// For what a panel is asked: an attempt of the daemon ends before, however slow the panel.
pub(super) const PANEL: Duration = Duration::from_secs(300);

/// A whole log entry with its bodies stays below this; more is no answer of a daemon.
const MAX_REPLY_BYTES: usize = 256 << 20;

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The way to one daemon.
pub(super) struct Client {
    socket: PathBuf,
    clock: SharedClock,
}

/// What the daemon said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// As it came.
    pub(super) json: Value,
    /// The hook failed or was cancelled: the rest of the answer stands here. Not an error of the request.
    pub(super) failure: Option<Box<FailureView>>,
}

impl Reply {
    /// The answer as the view that it should be.
    pub(super) fn view<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        T::deserialize(&self.json).map_err(ClientError::Shape)
    }
}

/// One request.
#[derive(Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    within: Duration,
}

impl Call {
    /// `path` is its segments; each may hold any character.
    pub(super) fn get(path: &[&str]) -> Self {
        let path = path.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, SEGMENT))).collect();
        Self { method: Method::GET, path, headers: Vec::new(), body: Vec::new(), within: SOON }
    }

    /// A request that changes something, with its JSON.
    pub(super) fn post(path: &[&str], body: Vec<u8>) -> Self {
        let headers = vec![(CONTENT_TYPE, "application/json".to_owned())];
        Self { method: Method::POST, headers, body, ..Self::get(path) }
    }

    /// Adds a parameter, if there is a value.
    #[must_use]
    pub(super) fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            let sign = if self.path.contains('?') { '&' } else { '?' };
            let value = value.to_string();
            self.path.push_str(&format!("{sign}{name}={}", utf8_percent_encode(&value, SEGMENT)));
        }
        self
    }

    /// Adds a parameter once for each value.
    #[must_use]
    pub(super) fn queries(self, name: &str, values: &[impl ToString]) -> Self {
        values.iter().fold(self, |call, value| call.query(name, Some(value.to_string())))
    }

    /// Adds a header, if there is a value.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.headers.push((HeaderName::from_static(name), value.to_string()));
        }
        self
    }

    /// How long the answer may take.
    #[must_use]
    pub(super) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

impl Client {
    /// A client of the daemon that `place` leads to.
    pub(super) fn of(place: &Place) -> Result<Self, WrongUse> {
        Ok(Self::new(place.socket()?))
    }

    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, clock: SystemClock::shared() }
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// [`ClientError::Problem`] when the daemon refused it; everything else when there is no answer that can be read.
    pub(super) async fn send(&self, call: Call) -> Result<Reply, ClientError> {
        let (within, changes) = (call.within, call.changes());
        let socket = self.socket.clone();
        tokio::select! {
            reply = self.exchange(call) => reply,
            () = self.clock.sleep(within) => Err(ClientError::Slow { socket, within_s: within.as_secs(), changes }),
        }
    }

    /// Asks for events.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub(super) async fn listen(&self, call: Call) -> Result<Events, ClientError> {
        let (within, socket) = (call.within, self.socket.clone());
        tokio::select! {
            events = self.events(call) => events,
            () = self.clock.sleep(within) => Err(ClientError::Slow { socket, within_s: within.as_secs(), changes: false }),
        }
    }

    async fn events(&self, call: Call) -> Result<Events, ClientError> {
        let reply = self.open(call).await?;
        if reply.status() == StatusCode::OK {
            return Ok(Events::new(reply.into_body(), SharedClock::clone(&self.clock), self.socket.clone()));
        }
        let status = reply.status();
        match read(status, &whole(reply, false).await?) {
            Err(error) => Err(error),
            Ok(_) => Err(ClientError::NotJson { status: status.as_u16() }),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Reply, ClientError> {
        let changes = call.changes();
        let reply = self.open(call).await?;
        let status = reply.status();
        read(status, &whole(reply, changes).await?)
    }

    /// Sends the request on a connection of its own, to the head of the answer.
    async fn open(&self, call: Call) -> Result<Response<Incoming>, ClientError> {
        let changes = call.changes();
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreached(&self.socket, error))?;
        let broken = |source| ClientError::Broken { source, changes };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends with the sender; what goes wrong on it is told by the request.
        tokio::spawn(connection);
        let mut request = Request::builder().method(call.method).uri(call.path).header(HOST, "billhook");
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(bytes::Bytes::from(call.body))).map_err(|_| ClientError::NotSendable)?;
        sender.send_request(request).await.map_err(broken)
    }
}

async fn whole(reply: Response<Incoming>, changes: bool) -> Result<bytes::Bytes, ClientError> {
    let body = Limited::new(reply.into_body(), MAX_REPLY_BYTES).collect().await;
    let body = body.map_err(|error| ClientError::CutShort { reason: error.to_string(), changes })?;
    Ok(body.to_bytes())
}

/// An answer by its status and body.
fn read(status: StatusCode, body: &[u8]) -> Result<Reply, ClientError> {
    let json: Value = serde_json::from_slice(body).map_err(|_| ClientError::NotJson { status: status.as_u16() })?;
    if status.is_success() {
        return Ok(Reply { json, failure: None });
    }
    if let Some("urn:billhook:problem:hook_failed" | "urn:billhook:problem:hook_cancelled") = json["type"].as_str() {
        let failure = serde_json::from_value(json.clone()).map_err(ClientError::Shape)?;
        return Ok(Reply { json, failure: Some(failure) });
    }
    match serde_json::from_value::<ProblemDocument>(json.clone()) {
        Ok(document) => Err(ClientError::Problem { document: Box::new(document), json }),
        Err(_) => Err(ClientError::NotJson { status: status.as_u16() }),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The daemon refused the request.
    #[error("{}", document.detail)]
    Problem {
        document: Box<ProblemDocument>,
        /// The same, as it came.
        json: Value,
    },
    /// No socket, or nobody behind it.
    #[error("no daemon answers on {}", socket.display())]
    NoDaemon { socket: PathBuf },
    /// The socket is closed to this user.
    #[error("user {uid} may not use {}{rights}", socket.display())]
    Denied { socket: PathBuf, uid: u32, rights: String },
    /// The system refuses for another reason.
    #[error("cannot connect to {}", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("no answer on {} within {within_s} s", socket.display())]
    Slow { socket: PathBuf, within_s: u64, changes: bool },
    /// The connection ended.
    #[error("the connection to the daemon broke")]
    Broken {
        #[source]
        source: hyper::Error,
        changes: bool,
    },
    /// The answer began and did not end.
    #[error("the daemon's answer is cut short: {reason}")]
    CutShort { reason: String, changes: bool },
    /// A header's value that HTTP cannot carry.
    #[error("a key or platform with characters that a header cannot hold")]
    NotSendable,
    /// Something else listens there.
    #[error("the answer, with status {status}, is not the daemon's")]
    NotJson { status: u16 },
    /// A newer or older daemon.
    #[error("the daemon's answer is not understood")]
    Shape(#[source] serde_json::Error),
}

impl ClientError {
    /// What helps.
    pub(super) fn remedy(&self) -> Option<&str> {
        Some(match self {
            Self::Problem { document, .. } => return document.remedy.as_deref(),
            Self::NoDaemon { .. } => {
                "is `billhook serve` running? name another daemon's configuration with --config, or its socket with --socket"
            }
            Self::Denied { .. } => "run this as the socket's owner or as a member of its group",
            Self::Slow { changes: true, .. }
            | Self::Broken { changes: true, .. }
            | Self::CutShort { changes: true, .. } => {
                "it may have been accepted: look with `billhook ops list`; a repeat with the same --key is the same event"
            }
            Self::Slow { .. } | Self::Broken { .. } | Self::CutShort { .. } => {
                "see what the daemon writes about itself"
            }
            Self::NotJson { .. } => "does another program listen on this socket?",
            Self::Shape(_) => "use the command line of the daemon's version, or --json",
            Self::Connect { .. } | Self::NotSendable => return None,
        })
    }

    /// Whether there is no daemon at all.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::NoDaemon { .. })
    }
}

fn unreached(socket: &Path, error: io::Error) -> ClientError {
    let socket = socket.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoDaemon { socket },
        io::ErrorKind::PermissionDenied => {
            let rights = rights(&socket);
            ClientError::Denied { socket, uid: rustix::process::geteuid().as_raw(), rights }
        }
        _ => ClientError::Connect { socket, source: error },
    }
}

/// Whose the socket is; nothing where even that may not be seen.
fn rights(socket: &Path) -> String {
    let Ok(about) = std::fs::metadata(socket) else {
        return ": its folder is closed to this user".to_owned();
    };
    let named = |file: &str, id: u32| name_in(file, id).map(|name| format!(" ({name})")).unwrap_or_default();
    let (owner, group) = (about.uid(), about.gid());
    format!(
        ": it belongs to user {owner}{} and group {group}{}, mode {:04o}",
        named("/etc/passwd", owner),
        named("/etc/group", group),
        about.mode() & 0o7777
    )
}

/// The name of an id in a file such as `/etc/group`, whose lines begin `name:x:id`.
fn name_in(file: &str, id: u32) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_that_people_type_cannot_leave_their_place_in_the_path() {
        let call = Call::get(&["v1", "operations", "../x?y=1"]).query("wait", Some(2)).query("none", None::<u8>);
        assert_eq!(call.path, "/v1/operations/..%2Fx%3Fy%3D1?wait=2");

        let call = Call::get(&["v1", "log"]).query("service_id", Some("a b&c")).query("limit", Some(5));
        assert_eq!(call.path, "/v1/log?service_id=a%20b%26c&limit=5");
    }

    #[test]
    fn an_answer_is_told_from_a_refusal_and_from_a_strangers_text() {
        let refusal = json!({ "type": "urn:billhook:problem:not_found", "title": "Not found", "status": 404, "detail": "no operation x" });
        let refusal = read(StatusCode::NOT_FOUND, refusal.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refusal, ClientError::Problem { document, .. } if document.detail == "no operation x"));

        assert_eq!(read(StatusCode::OK, b"{\"a\":1}").unwrap().json, json!({ "a": 1 }));
        assert!(matches!(read(StatusCode::OK, b"<html>"), Err(ClientError::NotJson { status: 200 })));
        assert!(matches!(read(StatusCode::BAD_GATEWAY, b"{}"), Err(ClientError::NotJson { status: 502 })));
    }

    #[test]
    fn a_failed_hook_is_an_answer() {
        let failed = json!({
            "type": "urn:billhook:problem:hook_failed", "title": "t", "status": 422, "detail": "no room",
            "fault": { "class": "capacity", "staff": "no room" }, "log_ref": "rd_1",
        });
        let reply = read(StatusCode::UNPROCESSABLE_ENTITY, failed.to_string().as_bytes()).unwrap();
        assert_eq!(reply.failure.unwrap().log_ref, "rd_1");
    }

    #[tokio::test]
    async fn a_socket_without_a_daemon_asks_whether_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let stale = folder.path().join("stale.sock");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        for socket in [folder.path().join("absent.sock"), stale] {
            let error = Client::new(socket.clone()).send(Call::get(&["healthz"])).await.unwrap_err();

            assert!(error.is_absence(), "{error}");
            assert!(error.to_string().contains(&socket.display().to_string()));
            assert!(error.remedy().unwrap().contains("billhook serve"));
        }
    }

    #[test]
    fn a_refused_user_is_told_whose_the_socket_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();

        let text = rights(folder.path());

        assert!(text.contains("user") && text.contains("group") && text.contains("mode 0700"), "{text}");
        assert_eq!(name_in("/etc/passwd", 0).as_deref(), Some("root"));
    }
}
