//! What the ledger says of a call.

use serde::Serialize;

pub use crate::panel::Outcome;

/// One call that the panel received; its path is the function with its use.
pub type Call = crate::panel::Call<Effect>;

/// What a call changed on the panel. The number is the machine's or the account's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// Somebody logged in.
    SignedIn(u64),
    /// A one-time key was made.
    KeyMade(u64),
    /// An account was made.
    AccountCreated(u64),
    /// An account was changed.
    AccountChanged(u64),
    /// An account was deleted.
    AccountDeleted(u64),
    /// A machine was made out of nothing.
    ServerCreated(u64),
    /// A machine without an owner was given one.
    Claimed(u64),
    /// A machine changed hands.
    HandedOver(u64),
    /// A machine lost its owner.
    Released(u64),
    /// A machine was changed, but not its owner.
    Edited(u64),
    /// A machine was to be unblocked.
    Enabled(u64),
    /// A machine was to be blocked.
    Disabled(u64),
    /// A machine was to be switched on.
    PoweredOn(u64),
    /// A machine was to be switched off.
    PoweredOff(u64),
    /// A machine was to boot again.
    Rebooted(u64),
    /// An installation was ordered.
    Installed(u64),
    /// What ran on a machine was cancelled.
    Cancelled(u64),
    /// An address of a machine got a name.
    Named(u64),
    /// A machine got an address.
    AddressAdded(u64),
    /// A machine lost an address.
    AddressDeleted(u64),
    /// A port of a machine was switched.
    Switched(u64),
}

impl Effect {
    /// The machine that changed.
    pub fn server_id(self) -> Option<u64> {
        match self {
            Self::None
            | Self::SignedIn(_)
            | Self::KeyMade(_)
            | Self::AccountCreated(_)
            | Self::AccountChanged(_)
            | Self::AccountDeleted(_) => None,
            Self::ServerCreated(id)
            | Self::Claimed(id)
            | Self::HandedOver(id)
            | Self::Released(id)
            | Self::Edited(id)
            | Self::Enabled(id)
            | Self::Disabled(id)
            | Self::PoweredOn(id)
            | Self::PoweredOff(id)
            | Self::Rebooted(id)
            | Self::Installed(id)
            | Self::Cancelled(id)
            | Self::Named(id)
            | Self::AddressAdded(id)
            | Self::AddressDeleted(id)
            | Self::Switched(id) => Some(id),
        }
    }
}
