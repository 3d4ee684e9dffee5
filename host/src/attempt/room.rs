//! Before a create on a server that was chosen out of a group: has its panel room? And afterwards: where to go if not.

use super::conclude::read_fault;
use super::session::{Ended, Inner, Session, Subject};
use crate::clock::Sleep;
use crate::journal;
use crate::placement::{Candidate, Fill, Passed, Placement};
use crate::store::{Move, Service};
use crate::verdict::End;
use billhook_plugin_api::protocol::HookCall;
use billhook_plugin_api::{Fault, FaultClass, Hook};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A choice that this attempt may still change: nothing of the operation has been begun.
#[derive(Debug, Clone)]
pub struct Placing {
    /// As it is stored.
    pub placement: Placement,
    /// The rule of the group.
    pub fill: Fill,
    /// The other servers of the group as they are known now, each with its panel's identity.
    pub others: Vec<(Candidate, String)>,
    /// Why the server cannot take it by what the host knows.
    pub full: Option<String>,
}

/// What a panel last told of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Unix milliseconds.
    pub at: u64,
    /// For which product.
    pub product: String,
    /// So many more; absent when the panel does not tell.
    pub free: Option<u64>,
    /// What was counted, masked.
    pub text: Option<String>,
}

/// What follows from a server that has no room.
pub(super) struct Onward {
    pub end: End,
    pub placement: Option<Placement>,
    pub moves: Option<Move>,
}

/// Asks whether there is room. `None`: there is, or it is not known; whatever else ends the attempt.
pub(super) async fn look(session: &Arc<Session>, call: &HookCall, deadline: &mut Sleep) -> Option<Ended> {
    let placing = session.placing()?;
    if let Some(reason) = &placing.full {
        return Some(Ended::End(End::Fault(Fault::new(FaultClass::Capacity, reason.clone()))));
    }
    if !session.panel.provider.has(Hook::Capacity, None) {
        return None;
    }
    let asked = HookCall { product: call.product.clone(), ..HookCall::default() };
    let mut heard = ask(session, &asked, deadline).await;
    if matches!(&heard, Heard::Nothing(fault) if fault.class == FaultClass::PanelBug) {
        // One answer that cannot be read may be an accident of its own; two are how this panel is.
        heard = ask(session, &asked, deadline).await;
    }
    match heard {
        Heard::Room => None,
        Heard::Ended(ended) => Some(ended),
        Heard::Nothing(fault) => {
            // It says nothing of the room; the create finds out for itself what is wrong, and says it better.
            session.say(format!("whether {} has room could not be read: {fault}", session.panel.name));
            None
        }
    }
}

/// What came of the question.
enum Heard {
    /// There is room, or the panel does not tell.
    Room,
    /// There is none, or the attempt is over.
    Ended(Ended),
    /// Neither is known.
    Nothing(Fault),
}

async fn ask(session: &Arc<Session>, asked: &HookCall, deadline: &mut Sleep) -> Heard {
    session.only_reads.store(true, Ordering::Release);
    let ended = super::drive(session, Hook::Capacity, asked, deadline).await;
    session.only_reads.store(false, Ordering::Release);
    // What the create claims to have read it must have read itself.
    session.inner.lock().await.has_read = false;
    let fault = match ended {
        Ended::End(End::Returned(outcome)) => {
            let found = outcome.capacity.unwrap_or_default();
            session.tell(found.free, found.text.as_deref()).await;
            if !found.is_full() {
                return Heard::Room;
            }
            let counted = found.text.map(|text| format!(": {text}")).unwrap_or_default();
            Fault::new(FaultClass::Capacity, format!("its panel has no room{counted}"))
        }
        Ended::End(End::Fault(fault)) => read_fault(fault),
        Ended::End(End::Panicked(text)) => {
            session.env.metrics.panicked(&session.panel.provider.manifest.name);
            Fault::plugin_bug(format!("the plugin panicked: {text}"))
        }
        other => return Heard::Ended(other),
    };
    if fault.class == FaultClass::Capacity || fault.class.passes_by_itself() {
        return Heard::Ended(Ended::End(End::Fault(fault)));
    }
    Heard::Nothing(fault)
}

impl Session {
    pub(super) fn placing(&self) -> Option<&Placing> {
        match &self.subject {
            Subject::Operation { placing, .. } => placing.as_deref(),
            Subject::Reading { .. } => None,
        }
    }

    async fn tell(&self, free: Option<u64>, text: Option<&str>) {
        let Subject::Operation { operation, .. } = &self.subject else { return };
        let inner = self.inner.lock().await;
        let text = text.map(|text| self.env.masker(&inner.secrets).text(text));
        let told = Told { at: self.env.clock.unix_ms(), product: operation.product.clone(), free, text };
        self.env.told(&self.panel.name, told);
    }

    /// Passes the server over, if it was full and nothing of the operation was begun there.
    pub(super) fn onward(&self, inner: &Inner, end: End, service: &Service) -> Onward {
        let stays = |end| Onward { end, placement: None, moves: None };
        let Some(placing) = self.placing() else { return stays(end) };
        let End::Fault(fault) = &end else { return stays(end) };
        let untouched = !inner.unsettled && !inner.has_converged && journal::is_movable(&inner.journal);
        if fault.class != FaultClass::Capacity || !untouched || service.remote_id.is_some() {
            return stays(end);
        }
        let reason = self.env.masker(&inner.secrets).text(&fault.staff);
        let full = Passed { server: self.panel.name.clone(), reason: reason.clone(), by_panel: true };
        let others: Vec<Candidate> = placing.others.iter().map(|(other, _)| other.clone()).collect();
        let (next, placement) = placing.placement.pass_over(full, &others, placing.fill);
        let found = next.and_then(|next| placing.others.iter().find(|(other, _)| other.server == next));
        match found {
            Some((next, panel)) => {
                self.say(format!(
                    "the server {} is passed over: {reason}; the next one of the group {} is {}",
                    self.panel.name, placement.group, next.server
                ));
                let moves = Move { server: next.server.clone(), panel: panel.clone(), most: next.capacity };
                Onward { end: End::Parked { after_ms: 0, fault: None }, placement: Some(placement), moves: Some(moves) }
            }
            None => {
                self.say(format!("the server {} is passed over: {reason}; no server is left", self.panel.name));
                let fault = placement.none_left(fault.customer.clone());
                Onward { end: End::Fault(fault), placement: Some(placement), moves: None }
            }
        }
    }
}
