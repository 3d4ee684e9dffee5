//! What tells the series of a metric apart. Each is a word of a closed list, or a name out of the configuration.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt::{self, Write as _};

/// A socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Line {
    /// `hook.sock`.
    Hook,
    /// `admin.sock`.
    Admin,
}

/// What came of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Result {
    /// A status from 200 on.
    Ok,
    /// A status from 300 on.
    Redirect,
    /// A status from 400 on, except 429.
    ClientError,
    /// The status 429.
    RateLimited,
    /// A status from 500 on.
    ServerError,
    /// Nothing left this machine.
    Unsent,
    /// The time was up after it had left.
    Timeout,
    /// The connection ended before the whole reply had come.
    Lost,
    /// What came is no reply: not HTTP, too large, or not to be unpacked.
    Unreadable,
}

impl EncodeLabelValue for Line {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Hook => "hook",
            Self::Admin => "admin",
        })
    }
}

impl EncodeLabelValue for Result {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Ok => "ok",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Unsent => "unsent",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Unreadable => "unreadable",
        })
    }
}

/// A part of the module log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Part {
    pub part: &'static str,
}

/// An operation that came into a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Moved {
    pub hook: &'static str,
    pub provider: String,
    pub state: &'static str,
}

/// An attempt that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Attempted {
    pub hook: &'static str,
    pub provider: String,
    /// A word of `attempt::end_word`.
    pub end: String,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Faulted {
    pub provider: String,
    pub class: &'static str,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    pub provider: String,
}

/// An exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Exchanged {
    pub provider: String,
    pub result: Result,
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct On {
    pub socket: Line,
}

/// An answered request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Requested {
    pub socket: Line,
    pub status: u16,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refused {
    pub socket: Line,
    pub r#type: &'static str,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Server {
    pub server: String,
}

/// What waits at a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Queued {
    pub server: String,
    pub state: &'static str,
}

/// A file of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct File {
    pub file: &'static str,
}

/// What this program is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Build {
    pub version: &'static str,
    pub abi: String,
}
