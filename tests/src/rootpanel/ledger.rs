//! What the ledger says of a call.

use serde::Serialize;

pub use crate::panel::Outcome;

/// One call that the panel received; its path is the command.
pub type Call = crate::panel::Call<Effect>;

/// What a call changed on the panel. The number is the order's id.
///
/// What is accepted counts, also when it is carried out later, by staff or after payment: it can be neither taken back
/// nor told apart from a second one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// A server was ordered.
    Ordered(u64),
    /// A renewal was ordered.
    Renewed(u64),
    /// Add-ons were ordered.
    AddonsOrdered(u64),
    /// An order was suspended.
    Suspended(u64),
    /// An order was unsuspended.
    Unsuspended(u64),
    /// A reinstall was queued.
    Reinstalled(u64),
    /// The machine was switched on.
    Started(u64),
    /// The machine was told to shut down.
    ShutDown(u64),
    /// The machine was told to boot again.
    Rebooted(u64),
    /// The machine was reset.
    Reset(u64),
}

impl Effect {
    /// The order that changed.
    pub fn order_id(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Ordered(id)
            | Self::Renewed(id)
            | Self::AddonsOrdered(id)
            | Self::Suspended(id)
            | Self::Unsuspended(id)
            | Self::Reinstalled(id)
            | Self::Started(id)
            | Self::ShutDown(id)
            | Self::Rebooted(id)
            | Self::Reset(id) => Some(id),
        }
    }
}
