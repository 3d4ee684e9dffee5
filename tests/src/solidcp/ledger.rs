//! What the ledger says of a call.

use serde::Serialize;

pub use crate::panel::Outcome;

/// One call that the panel received; its path is the operation.
pub type Call = crate::panel::Call<Effect>;

/// What a call changed on the panel: whose status or password, which hosting space, which machine.
///
/// What is accepted counts, also while its job is still running, and also when the job fails. What is answered with
/// success and changes nothing is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// A user was made, perhaps with a first hosting space.
    UserAdded(i32),
    /// What is known of a user changed.
    UserChanged(i32),
    /// A user's status changed, and that of all his spaces.
    UserStatus(i32, i32),
    /// A user's password was set.
    UserPassword(i32),
    /// A user's removal began.
    UserDeleted(i32),
    /// A hosting space was made.
    SpaceAdded(i32),
    /// The name, remarks or plan of a space changed.
    SpaceChanged(i32),
    /// A space's status changed to this number.
    SpaceStatus(i32, i32),
    /// A space's removal began.
    SpaceDeleted(i32),
    /// A space got addresses.
    AddressesAllocated(i32),
    /// A space gave addresses back, or a machine lost one.
    AddressesReleased(i32),
    /// A space got an add-on.
    AddonAdded(i32),
    /// An add-on of a space changed or went.
    AddonChanged(i32),
    /// A machine was ordered.
    MachineCreated(i32),
    /// A machine's size, name or network changed.
    MachineChanged(i32),
    /// A machine's removal began.
    MachineDeleted(i32),
    /// A machine is being installed anew.
    Reinstalled(i32),
    /// A machine's administrator got another password.
    GuestPassword(i32),
    /// A machine was switched.
    Powered(i32, Power),
}

/// What became of a machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It was off and runs.
    Started,
    /// It was told to shut down.
    ShutDown,
    /// It was switched off.
    TurnedOff,
    /// It shut down and booted.
    Rebooted,
    /// It was reset, which a start of a running one does too.
    Reset,
    /// It is paused.
    Paused,
    /// It was paused or saved and runs again.
    Resumed,
    /// It is saved to disk.
    Saved,
}

impl Effect {
    /// The user that changed.
    pub fn user_id(self) -> Option<i32> {
        match self {
            Self::UserAdded(id)
            | Self::UserChanged(id)
            | Self::UserStatus(id, _)
            | Self::UserPassword(id)
            | Self::UserDeleted(id) => Some(id),
            _ => None,
        }
    }

    /// The hosting space that changed.
    pub fn space_id(self) -> Option<i32> {
        match self {
            Self::SpaceAdded(id)
            | Self::SpaceChanged(id)
            | Self::SpaceStatus(id, _)
            | Self::SpaceDeleted(id)
            | Self::AddressesAllocated(id)
            | Self::AddressesReleased(id)
            | Self::AddonAdded(id)
            | Self::AddonChanged(id) => Some(id),
            _ => None,
        }
    }

    /// The machine that changed.
    pub fn machine_id(self) -> Option<i32> {
        match self {
            Self::MachineCreated(id)
            | Self::MachineChanged(id)
            | Self::MachineDeleted(id)
            | Self::Reinstalled(id)
            | Self::GuestPassword(id)
            | Self::Powered(id, _) => Some(id),
            _ => None,
        }
    }
}
