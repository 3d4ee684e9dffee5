//! What the ledger says of a call.

use serde::Serialize;

pub use crate::panel::Outcome;

/// One call that the panel received.
pub type Call = crate::panel::Call<Effect>;

/// What a call changed on the panel. The number is the id of the thing that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing.
    #[default]
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
