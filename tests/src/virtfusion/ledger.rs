//! The panel's memory of every call: what was asked, what it did, how it was answered.

use serde::Serialize;

/// What a call changed on the panel. The number is the id of the thing that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing.
    None,
    /// A user was made.
    UserCreated(u64),
    /// A user's data or password was changed.
    UserChanged(u64),
    /// A user was removed.
    UserDeleted(u64),
    /// A server was allocated.
    ServerCreated(u64),
    /// A build was queued.
    BuildQueued(u64),
    /// A server was suspended at once.
    Suspended(u64),
    /// A suspend was queued behind other work.
    SuspendQueued(u64),
    /// A server was unsuspended at once.
    Unsuspended(u64),
    /// An unsuspend was queued.
    UnsuspendQueued(u64),
    /// A server was deleted at once.
    Deleted(u64),
    /// A delete was scheduled for later.
    DeleteScheduled(u64),
    /// A server got a name.
    Renamed(u64),
    /// A power action was queued.
    PowerQueued(u64),
    /// A guest password was renewed.
    PasswordReset(u64),
    /// A server's package was changed.
    PackageChanged(u64),
    /// A server's resources, plan or allowance were changed.
    Modified(u64),
    /// A server got addresses.
    AddressesAdded(u64),
    /// Addresses were taken from a server.
    AddressesRemoved(u64),
    /// A server got a block of traffic.
    TrafficAdded(u64),
    /// A server was given to another owner.
    OwnerChanged(u64),
    /// VNC was switched or its token renewed.
    VncChanged(u64),
    /// A login token was issued for a user.
    LoginIssued(u64),
}

impl Effect {
    /// The server that changed, if the effect is on a server.
    pub fn server_id(self) -> Option<u64> {
        match self {
            Self::None | Self::UserCreated(_) | Self::UserChanged(_) | Self::UserDeleted(_) | Self::LoginIssued(_) => {
                None
            }
            Self::ServerCreated(id)
            | Self::BuildQueued(id)
            | Self::Suspended(id)
            | Self::SuspendQueued(id)
            | Self::Unsuspended(id)
            | Self::UnsuspendQueued(id)
            | Self::Deleted(id)
            | Self::DeleteScheduled(id)
            | Self::Renamed(id)
            | Self::PowerQueued(id)
            | Self::PasswordReset(id)
            | Self::PackageChanged(id)
            | Self::Modified(id)
            | Self::AddressesAdded(id)
            | Self::AddressesRemoved(id)
            | Self::TrafficAdded(id)
            | Self::OwnerChanged(id)
            | Self::VncChanged(id) => Some(id),
        }
    }
}

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

/// One call that the panel received.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Counts from 1 over all calls of the panel.
    pub number: u64,
    /// Panel time, Unix milliseconds.
    pub at_ms: u64,
    /// Upper case.
    pub method: String,
    /// Path below the prefix with the query as sent, `/servers/7?remoteState=true`.
    pub path: String,
    /// The body as sent, nothing masked; `None` when there was none.
    pub body: Option<String>,
    /// Whether the bearer token was the panel's.
    pub bearer_ok: bool,
    /// What the call changed; filled in later for a late effect.
    pub effect: Effect,
    /// The name of the fault that struck the call.
    pub fault: Option<&'static str>,
    /// How the call ended.
    pub outcome: Outcome,
}

impl Call {
    /// The path without its query.
    pub fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

/// All calls in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    calls: Vec<Call>,
}

impl Ledger {
    pub(super) fn next_number(&self) -> u64 {
        self.calls.len() as u64 + 1
    }

    pub(super) fn push(&mut self, call: Call) {
        self.calls.push(call);
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(super) fn set_effect(&mut self, number: u64, effect: Effect) {
        if let Some(call) = self.call_mut(number) {
            call.effect = effect;
        }
    }

    pub(super) fn set_outcome(&mut self, number: u64, outcome: Outcome) {
        if let Some(call) = self.call_mut(number) {
            call.outcome = outcome;
        }
    }

    fn call_mut(&mut self, number: u64) -> Option<&mut Call> {
        self.calls.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}
