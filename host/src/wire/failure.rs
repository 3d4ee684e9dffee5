//! Why an exchange gave no whole reply, and what that says about the request.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::confine::Refusal;

/// Why there is no whole reply.
///
/// The texts name host and port and what a person can do, where there is something. They hold no path, no query, no header and
/// no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireFailure {
    /// The request broke a rule and was not sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client for this server cannot be made, for instance for want of its `ca_file`. Tried again at the next request.
    #[error("cannot set up the connection to {host}: {reason}")]
    Setup {
        /// Host and port.
        host: String,
        /// What is missing.
        reason: String,
    },
    /// The host name has no address.
    #[error("cannot resolve {host}: {reason}; check the host name in base_url and this machine's DNS")]
    Resolve {
        /// Host and port.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No connection, refused or not made in time.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// The system's words.
        reason: String,
    },
    /// A connection, but no trust.
    #[error("cannot trust {host}: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong with the other end, and the setting that helps.
        reason: String,
    },
    /// The exchange did not end in time.
    #[error("{host} took longer than {limit:?} while {phase}")]
    Timeout {
        /// Host and port.
        host: String,
        /// The request's time-out.
        limit: Duration,
        /// How far the exchange had come.
        phase: Phase,
    },
    /// The connection was closed in good order, without a reply.
    #[error("{host} closed the connection without a reply")]
    Closed {
        /// Host and port.
        host: String,
    },
    /// The connection broke before a reply.
    #[error("the connection to {host} broke before a reply: {reason}")]
    Reset {
        /// Host and port.
        host: String,
        /// The system's words.
        reason: String,
    },
    /// The body exceeds the limit, as it came or decompressed.
    #[error("the reply of {host} is larger than {limit_bytes} bytes")]
    BodyTooLarge {
        /// Host and port.
        host: String,
        /// The target's limit.
        limit_bytes: usize,
    },
    /// The body ended early.
    #[error("the reply of {host} was cut off: {reason}")]
    BodyCut {
        /// Host and port.
        host: String,
        /// How it ended.
        reason: String,
    },
    /// The body cannot be decompressed.
    #[error("the reply of {host} cannot be decompressed: {reason}")]
    Decode {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What came is not HTTP, or goes beyond its limits.
    #[error("{host} did not answer in HTTP: {reason}; check the port in base_url")]
    InvalidReply {
        /// Host and port.
        host: String,
        /// The parser's words.
        reason: String,
    },
}

/// How far an exchange had come when its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Setting up, resolving, connecting or shaking hands.
    Connecting,
    /// Sending, or waiting for the reply's headers.
    Waiting,
    /// Receiving the body.
    Receiving,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Connecting => "connecting",
            Phase::Waiting => "waiting for its reply",
            Phase::Receiving => "sending its reply",
        })
    }
}

/// Reads an error that came before any reply. True if it is certain that nothing reached the panel.
pub(super) fn before_reply(host: &str, connect_timeout: Duration, error: &reqwest::Error) -> (bool, WireFailure) {
    let host = host.to_owned();
    let reason = root_cause(error);
    if error.is_connect() {
        let failure = if error.is_dns() {
            WireFailure::Resolve { host, reason }
        } else if let Some(tls) = find::<rustls::Error>(error) {
            WireFailure::Tls { host, reason: distrust(tls) }
        } else if error.is_timeout() && find::<io::Error>(error).is_none() {
            let reason = format!("no connection within {connect_timeout:?}");
            WireFailure::Connect { host, reason }
        } else {
            WireFailure::Connect { host, reason }
        };
        return (true, failure);
    }
    let failure = match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_parse() => WireFailure::InvalidReply { host, reason },
        Some(hyper) if hyper.is_incomplete_message() => WireFailure::Closed { host },
        _ if error.is_builder() => {
            return (true, WireFailure::Setup { host, reason });
        }
        _ if is_end_of_file(error) => WireFailure::Closed { host },
        _ => WireFailure::Reset { host, reason },
    };
    (false, failure)
}

/// Reads an error that came after the reply's headers.
pub(super) fn within_body(host: &str, error: &reqwest::Error) -> WireFailure {
    let host = host.to_owned();
    let reason = root_cause(error);
    let is_garbage = find::<io::Error>(error).is_some_and(|io| {
        // What the chunk parser says of bytes that are no chunk.
        matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
    });
    if is_garbage && find::<rustls::Error>(error).is_none() {
        WireFailure::InvalidReply { host, reason }
    } else {
        WireFailure::BodyCut { host, reason }
    }
}

fn is_end_of_file(error: &(dyn Error + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof)
}

/// What to tell a person about a handshake that failed.
fn distrust(error: &rustls::Error) -> String {
    use rustls::CertificateError as C;
    let remedy = match error {
        rustls::Error::InvalidCertificate(fault) => match fault {
            // A bad signature: an authority of the same name with another key, as a reinstalled panel makes it.
            C::UnknownIssuer | C::BadSignature => "; set ca_file or pin_sha256 if it is the panel's own",
            C::Expired | C::ExpiredContext { .. } => "; renew it on the panel, and check this machine's clock",
            C::NotValidYet | C::NotValidYetContext { .. } => "; check this machine's clock",
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "; use the name it was made for in base_url, or set pin_sha256"
            }
            // The pin's own error, which says it all.
            C::Other(other) => return bounded(&other.0.to_string()),
            _ => "",
        },
        rustls::Error::InvalidMessage(_) => "; the port in base_url may not be a TLS port",
        _ => "",
    };
    format!("{}{remedy}", bounded(&error.to_string()))
}

/// The innermost cause, which says what happened; the layers around it say which library noticed.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(String::new, |cause| {
        // The client's own error would name the whole URL.
        cause
            .downcast_ref::<reqwest::Error>()
            .map_or_else(|| bounded(&cause.to_string()), |_| "no reason given".to_owned())
    })
}

/// One line of bounded length, for a text that the other end may have had a hand in.
fn bounded(text: &str) -> String {
    const MOST_CHARS: usize = 300;
    text.chars().take(MOST_CHARS).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref::<T>())
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error's source skips the error that it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
