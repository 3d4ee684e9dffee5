//! The HTTP edge to panels: sends one request, and says what is known of it afterwards.
//!
//! Knows nothing of plugins, steps or the store. What it must never do is lose evidence: [`Wire::send`] always answers with an
//! [`Exchange`], which holds whether the request can have left ([`Sent`]) and whatever came back.
//!
//! # What may reach the panel
//!
//! `Sent::No` is claimed only where it is proven: the request was refused here, no client could be made, resolving, connecting
//! or the TLS handshake failed, or the time was up while the exchange was still connecting. Everything else is `Sent::Maybe`,
//! also when the panel closed the connection at once.
//!
//! # Connections that have gone stale
//!
//! Idle connections are kept for a short while. If the panel closes one just as it is taken for a request, hyper does one of
//! two things. When it sees the closing before it has taken up the request, nothing has been written; the request comes
//! back whole and is sent on another connection, without anybody noticing. When it sees the closing only afterwards, writing has
//! begun, and the exchange ends as [`WireFailure::Closed`] or [`WireFailure::Reset`] with `Sent::Maybe`. A request that has
//! begun to be written is never sent again here, whatever its method.
//!
//! # Limits
//!
//! A reply may have 100 headers and about 400 KiB of them (hyper's limits); more is [`WireFailure::InvalidReply`]. The body is
//! bounded by the target. A reply in the old style, without a length and ended by the close of the connection, cannot be told
//! from a cut one over plain http; over TLS it can.

mod confine;
mod connecting;
mod failure;
mod reply;
mod request;
mod retry_after;
mod target;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use tokio::sync::OnceCell;

use crate::clock::Clock;

pub use confine::{Refusal, url_below};
pub use failure::{Phase, WireFailure};
pub use reply::Reply;
pub use request::{Auth, Request};
pub use retry_after::{LONGEST as LONGEST_RETRY_AFTER, retry_after};
pub use target::{Target, TargetError};

use confine::{Confined, confine};
use connecting::{Witness, WitnessLayer};
use reply::{BodyFault, Incoming};

/// How long an idle connection is kept. Shorter than the shortest limit in common use (5 s), so that the panel rarely closes a
/// connection in the moment in which it is taken again.
const IDLE: Duration = Duration::from_secs(4);

/// The way to one panel. Cheap to keep, made once per server.
pub struct Wire {
    target: Target,
    host: String,
    clock: Arc<dyn Clock>,
    client: OnceCell<reqwest::Client>,
}

/// Whether a request can have reached the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not: nothing has been executed.
    No,
    /// It may have, in whole or in part.
    Maybe,
}

/// One request with its reply, or with the reason why there is none.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Whether the request can have reached the panel.
    pub sent: Sent,
    /// The whole reply, or why there is none.
    pub outcome: Result<Reply, WireFailure>,
    /// What came of a reply whose headers arrived and whose body failed: status, headers, and as much of the body as there is.
    pub partial: Option<Reply>,
    /// When the exchange began, in Unix milliseconds.
    pub started_unix_ms: u64,
    /// From the call to the last byte, or to the failure.
    pub duration: Duration,
    /// Bytes of the body as received, before decompression; headers are not counted.
    pub bytes_in: u64,
}

/// What is known of an exchange under way. Outlives the future that fills it in.
struct Evidence {
    sent: Sent,
    phase: Phase,
    incoming: Option<Incoming>,
}

impl Wire {
    /// The way to `target`. Neither connects nor reads a file: that is left to the first request.
    ///
    /// # Errors
    ///
    /// When the target's settings break a rule or fight each other.
    pub fn new(target: Target, clock: Arc<dyn Clock>) -> Result<Self, TargetError> {
        target.check()?;
        let host = target.host();
        Ok(Self { target, host, clock, client: OnceCell::new() })
    }

    /// Sends `request` and receives its reply, within the request's time-out on the wire's clock.
    ///
    /// Dropping the future closes the connection of this exchange; the request counts as [`Sent::Maybe`] then, since nobody
    /// is left to say more.
    pub async fn send(&self, request: Request) -> Exchange {
        let started_unix_ms = self.clock.unix_ms();
        let began = self.clock.monotonic();
        let mut evidence = Evidence { sent: Sent::No, phase: Phase::Connecting, incoming: None };

        let outcome = match confine(&self.target.base_url, &request) {
            Ok(confined) => self.within_time(request, confined, began, &mut evidence).await,
            Err(refusal) => Err(refusal.into()),
        };

        let bytes_in = evidence.incoming.as_ref().map_or(0, Incoming::raw_bytes);
        let received = evidence.incoming.map(Incoming::into_reply);
        let (outcome, partial) = match (outcome, received) {
            (Ok(()), Some(reply)) => (Ok(reply), None),
            // `exchange` succeeds only with a reply; if that ever changes, it is a reply lost and not a panic.
            (Ok(()), None) => (Err(WireFailure::Closed { host: self.host.clone() }), None),
            (Err(failure), partial) => (Err(failure), partial),
        };
        let duration = self.clock.monotonic().saturating_sub(began);
        Exchange { sent: evidence.sent, outcome, partial, started_unix_ms, duration, bytes_in }
    }

    async fn within_time(
        &self,
        request: Request,
        confined: Confined,
        began: Duration,
        evidence: &mut Evidence,
    ) -> Result<(), WireFailure> {
        let limit = request.timeout;
        let witness = Arc::new(Witness::default());
        let mut exchange = Box::pin(witness.watch(self.exchange(request, confined, evidence)));
        let time_is_up = self.clock.sleep_until(began.saturating_add(limit));
        tokio::select! {
            biased;
            outcome = &mut exchange => return outcome,
            () = time_is_up => {}
        }
        // The witness speaks only once the exchange is gone, and nothing can be sent any more.
        drop(exchange);
        if witness.was_connecting() {
            evidence.sent = Sent::No;
        } else if evidence.sent == Sent::Maybe && evidence.incoming.is_none() {
            evidence.phase = Phase::Waiting;
        }
        Err(WireFailure::Timeout { host: self.host.clone(), limit, phase: evidence.phase })
    }

    /// Fills in `evidence` as it goes; succeeds when a whole reply is in it.
    async fn exchange(&self, request: Request, confined: Confined, evidence: &mut Evidence) -> Result<(), WireFailure> {
        let client = self.client.get_or_try_init(|| self.build_client()).await?;
        let method = confined.method.clone();

        evidence.sent = Sent::Maybe;
        let mut response = match client.execute(outgoing(request, confined)).await {
            Ok(response) => response,
            Err(error) => {
                let (is_unsent, failure) = failure::before_reply(&self.host, self.target.connect_timeout, &error);
                if is_unsent {
                    evidence.sent = Sent::No;
                }
                return Err(failure);
            }
        };

        evidence.phase = Phase::Receiving;
        let headers = std::mem::take(response.headers_mut());
        let limit = self.target.max_reply_bytes;
        let incoming = evidence.incoming.insert(Incoming::new(&method, response.status(), headers, limit));
        incoming.check(&method).map_err(|fault| self.body_failure(fault))?;
        while let Some(piece) = response.chunk().await.map_err(|error| failure::within_body(&self.host, &error))? {
            incoming.push(&piece).map_err(|fault| self.body_failure(fault))?;
        }
        incoming.finish().map_err(|fault| self.body_failure(fault))
    }

    fn body_failure(&self, fault: BodyFault) -> WireFailure {
        let host = self.host.clone();
        match fault {
            BodyFault::TooLarge => WireFailure::BodyTooLarge { host, limit_bytes: self.target.max_reply_bytes },
            BodyFault::Decode(reason) => WireFailure::Decode { host, reason },
        }
    }

    async fn build_client(&self) -> Result<reqwest::Client, WireFailure> {
        let target = self.target.clone();
        // Reads files: the CA file, or the system's authorities.
        let built = tokio::task::spawn_blocking(move || client(&target)).await;
        let reason = match built {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(reason)) => reason,
            Err(_) => "the runtime is shutting down".to_owned(),
        };
        Err(WireFailure::Setup { host: self.host.clone(), reason })
    }
}

fn outgoing(request: Request, confined: Confined) -> reqwest::Request {
    let mut outgoing = reqwest::Request::new(confined.method, confined.url);
    *outgoing.headers_mut() = confined.headers;
    // Decompressed here and not by the client, which would hide how much has come. A caller may ask for less.
    outgoing.headers_mut().entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
    *outgoing.body_mut() = request.body.map(Into::into);
    outgoing
}

/// A client for one target. The error is a text for people.
fn client(target: &Target) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .user_agent(&target.user_agent)
        .connect_timeout(target.connect_timeout)
        .connector_layer(WitnessLayer)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .no_deflate()
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(target.idle_connections);
    let tls = match (&target.ca_file, target.pin_sha256) {
        (Some(path), _) => Some(tls::with_ca_file(path)),
        (None, Some(sha256)) => Some(tls::with_pin(sha256)),
        (None, None) if target.base_url.scheme() == "http" => Some(tls::without_trust()),
        (None, None) => None,
    };
    let builder = match tls {
        Some(config) => builder.tls_backend_preconfigured(config.map_err(|error| error.to_string())?),
        None => builder.tls_backend_rustls(),
    };
    builder.build().map_err(|error| {
        let cause = failure::root_cause(&error);
        format!("{cause}; install the system's CA certificates, or set ca_file or pin_sha256")
    })
}
