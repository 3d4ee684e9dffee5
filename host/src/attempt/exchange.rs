//! Exchanges with the panel, as a plugin asks for them.

use super::session::{Ended, Inner, Session, Stop};
use crate::body::Packed;
use crate::journal::{self, Patience, Sent};
use crate::panel::millis;
use crate::verdict::End;
use crate::wire;
use billhook_plugin_api::protocol::{HttpCall, Purpose, Settle};
use billhook_plugin_api::{Fault, FaultClass, Reply, Request};
use bytes::Bytes;
use std::sync::Arc;

/// An exchange as it happened, secrets and all; masked when its reader has returned.
pub(super) struct RawExchange {
    pub step: Option<String>,
    pub purpose: Purpose,
    /// Without its body.
    pub request: Request,
    /// That is also what the wire has.
    pub sent: Bytes,
    pub url: String,
    pub started_at: u64,
    /// `None` while it is under way.
    pub end: Option<RawEnd>,
    /// Its bodies as the log will have them, if nothing secret is learnt meanwhile.
    pub request_body: Option<Prepared>,
    pub reply_body: Option<Prepared>,
}

/// A body that was masked and packed before its exchange is.
pub(super) struct Prepared {
    /// None where there is no body.
    pub body: Option<Packed>,
    /// How many secrets were known then.
    pub known: usize,
}

pub(super) struct RawEnd {
    pub left: bool,
    pub duration_us: u64,
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
    pub failure: Option<String>,
}

impl Session {
    pub(super) async fn exchange(self: &Arc<Self>, call: HttpCall, body: Vec<u8>) -> Result<(Reply, Vec<u8>), Stop> {
        let HttpCall { purpose, request } = call;
        let body = Bytes::from(body);
        // Before it counts as sent: an attempt that is cut off in the line has sent nothing.
        if let Some(turn) = self.panel.lane.turn() {
            let _parked = self.parked();
            self.lull.begin(self.env.clock.monotonic());
            turn.await;
            self.lull.end();
        }
        let (index, wire_request) = {
            let mut inner = self.inner.lock().await;
            self.permit(&mut inner, purpose, &request)?;
            let url = wire::url_below(&self.panel.base_url, &request.path, &request.query)
                .map_err(|refusal| Fault::plugin_bug(refusal.to_string()))?;
            let wire_request = self.wire_request(&request, body.clone())?;
            let step = inner.open.as_ref().map(|(_, open)| open.name.clone());
            let started_at = self.env.clock.unix_ms();
            inner.exchanges.push(RawExchange {
                step,
                purpose,
                request,
                sent: body,
                url: url.into(),
                started_at,
                end: None,
                request_body: None,
                reply_body: None,
            });
            if let (Purpose::Change { .. }, Some(run)) = (purpose, &mut inner.run) {
                // Until the wire knows better: if this attempt is cut off while the request is out, it may have happened.
                run.sent = Sent::Lost;
            }
            (inner.exchanges.len() - 1, wire_request)
        };

        self.env.stay_awake();
        let parked = self.parked();
        let n = self.env.tap_before().await;
        // The last moment before it leaves: this host may have stood still, and others have taken its work over.
        if matches!(purpose, Purpose::Change { .. }) && !self.env.store.may_change().await {
            return Err(self.held_back(purpose).await);
        }
        // With much to do there is no time that only passes, and whatever breaks in on it costs more than it saves.
        let prepares = self.env.is_quiet();
        let prepare = async {
            if prepares {
                // First it has to leave.
                tokio::task::yield_now().await;
                self.prepare(index).await;
            }
        };
        self.lull.begin(self.env.clock.monotonic());
        let (exchange, ()) = tokio::join!(self.panel.wire.send(wire_request), prepare);
        self.lull.end();
        self.panel.lane.saw(&exchange);
        self.env.tap_after(n).await;
        drop(parked);
        self.env.metrics.exchange(&self.panel.provider.manifest.name, &exchange);

        let mut inner = self.inner.lock().await;
        let left = exchange.sent == wire::Sent::Maybe;
        if let (Purpose::Change { ticket }, Some(run)) = (purpose, &mut inner.run)
            && run.ticket == ticket
        {
            run.sent = match (&exchange.outcome, left) {
                (Ok(_), _) => Sent::Answered,
                (Err(_), true) => Sent::Lost,
                (Err(_), false) => Sent::NeverLeft,
            };
        }
        let partial = exchange.outcome.as_ref().ok().or(exchange.partial.as_ref());
        inner.exchanges[index].end = Some(RawEnd {
            left,
            duration_us: u64::try_from(exchange.duration.as_micros()).unwrap_or(u64::MAX),
            status: partial.map(|reply| reply.status),
            headers: partial.map(|reply| reply.headers.clone()).unwrap_or_default(),
            body: partial.map(|reply| reply.body.clone()),
            failure: exchange.outcome.as_ref().err().map(ToString::to_string),
        });
        if prepares {
            let session = Arc::clone(self);
            self.env.host_runtime.spawn(async move { session.prepare(index).await });
        }
        match exchange.outcome {
            Ok(reply) => {
                if purpose == Purpose::Read {
                    inner.has_read = true;
                }
                let retry_after_ms = wire::retry_after(&reply.headers, self.env.clock.unix_ms()).map(millis);
                let body = reply.body.to_vec();
                Ok((Reply { status: reply.status, headers: reply.headers, body: Vec::new(), retry_after_ms }, body))
            }
            Err(failure) => {
                let class = match (left, &failure, purpose) {
                    (false, wire::WireFailure::Refused(_), _) => FaultClass::PluginBug,
                    (false, ..) => FaultClass::Unreachable,
                    (true, _, Purpose::Change { .. }) => FaultClass::InDoubt,
                    (true, wire::WireFailure::Timeout { .. }, _) => FaultClass::Timeout,
                    (true, ..) => FaultClass::PanelBug,
                };
                Err(Stop::Fault(Fault::new(class, failure.to_string())))
            }
        }
    }

    /// A change that this host may not send any more: it has not left.
    async fn held_back(&self, purpose: Purpose) -> Stop {
        let mut inner = self.inner.lock().await;
        if let (Purpose::Change { ticket }, Some(run)) = (purpose, &mut inner.run)
            && run.ticket == ticket
        {
            run.sent = Sent::NeverLeft;
        }
        match self.env.store.over() {
            Some(by) => {
                let (owner, _) = self.owner();
                tracing::warn!(operation.id = %owner, %by, "a change was held back: this host was taken for dead");
                Stop::End(Ended::Lost)
            }
            None => Stop::End(Ended::StoreFailed),
        }
    }

    /// Refuses what may not leave.
    fn permit(&self, inner: &mut Inner, purpose: Purpose, request: &Request) -> Result<(), Stop> {
        match purpose {
            Purpose::SignIn => Ok(()),
            Purpose::Read if request.is_read() => Ok(()),
            Purpose::Read => Err(Stop::Fault(Fault::plugin_bug(format!(
                "{} {} is neither declared to read nor sent by a step",
                request.method, request.path
            )))),
            Purpose::Change { ticket } => {
                let Some(run) = inner.run.as_ref().filter(|run| run.ticket == ticket) else {
                    return Err(Stop::Fault(Fault::plugin_bug("a change was sent outside of its step's run")));
                };
                if run.gated {
                    let Some(at) = run.at else { return Err(Stop::Fault(Fault::plugin_bug("a look without a step"))) };
                    let patience = self.patience(inner.open.as_ref().map(|(_, open)| open.settle).unwrap_or_default());
                    let waited = self.waited_ms(inner, at);
                    let entry = &inner.journal[at];
                    let next = journal::on_held_back(&entry.name, entry.doubt.unwrap_or_default(), waited, &patience);
                    inner.run = None;
                    return Err(match next {
                        journal::Next::Settle(after_ms) => Stop::from(End::Parked { after_ms, fault: None }),
                        journal::Next::Attention(why) => Stop::from(End::Attention(why)),
                        _ => Stop::End(Ended::StoreFailed),
                    });
                }
                if run.sent != Sent::Nothing {
                    return Err(Stop::Fault(Fault::plugin_bug("a second changing call in one run of a step")));
                }
                Ok(())
            }
        }
    }

    fn wire_request(&self, request: &Request, body: Bytes) -> Result<wire::Request, Stop> {
        let method = http::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Fault::plugin_bug(format!("{:?} is no HTTP method", request.method)))?;
        let mut out = wire::Request::new(method, request.path.clone());
        out.query.clone_from(&request.query);
        out.headers.clone_from(&request.headers);
        out.cookies.clone_from(&request.cookies);
        out.body = Some(body).filter(|body| !body.is_empty());
        out.auth.clone_from(&self.panel.auth);
        out.timeout = if request.slow { self.panel.create_timeout } else { self.panel.timeout };
        Ok(out)
    }

    pub(super) fn patience(&self, settle: Settle) -> Patience {
        Patience {
            settle,
            call_timeout_ms: millis(self.panel.create_timeout.max(self.panel.timeout)),
            longest_run_ms: self.panel.longest_run_ms(),
        }
    }
}
