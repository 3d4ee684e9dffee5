//! The panel's memory of every call: what was asked, what it did, how it was answered.

use serde::Serialize;

/// How a call ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An answer with this status was sent, well formed or not (see [`Call::fault`]).
    Answered(u16),
    /// The connection was closed without a byte.
    Closed,
    /// The call is held and not answered yet.
    Held,
    /// The client hung up while the call was held.
    ClientLeft,
}

/// One call that the panel received, with what it changed.
#[derive(Clone, Debug, Serialize)]
pub struct Call<E> {
    /// Counts from 1 over all calls of the panel.
    pub number: u64,
    /// Panel time, Unix milliseconds.
    pub at_ms: u64,
    /// Upper case.
    pub method: String,
    /// Path below the API's address with the query as sent, `/servers/7?remoteState=true`; or the command.
    pub path: String,
    /// Whether such a call changes nothing by its nature.
    pub is_read: bool,
    /// The body as sent, nothing masked unless the kind of panel does; `None` when there was none.
    pub body: Option<String>,
    /// Whether the credentials were the panel's.
    pub is_authentic: bool,
    /// What the call changed; filled in later for a late effect.
    pub effect: E,
    /// The name of the fault that struck the call.
    pub fault: Option<&'static str>,
    /// How the call ended.
    pub outcome: Outcome,
}

impl<E> Call<E> {
    /// The path without its query.
    pub fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

/// All calls in order of arrival.
#[derive(Clone, Debug)]
pub(super) struct Ledger<E> {
    calls: Vec<Call<E>>,
}

impl<E> Ledger<E> {
    pub(super) fn new() -> Self {
        Self { calls: Vec::new() }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.calls.len() as u64 + 1
    }

    pub(super) fn push(&mut self, call: Call<E>) {
        self.calls.push(call);
    }

    pub(super) fn calls(&self) -> &[Call<E>] {
        &self.calls
    }

    pub(super) fn set_effect(&mut self, number: u64, effect: E) {
        if let Some(call) = self.call_mut(number) {
            call.effect = effect;
        }
    }

    pub(super) fn set_outcome(&mut self, number: u64, outcome: Outcome) {
        if let Some(call) = self.call_mut(number) {
            call.outcome = outcome;
        }
    }

    fn call_mut(&mut self, number: u64) -> Option<&mut Call<E>> {
        self.calls.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}
