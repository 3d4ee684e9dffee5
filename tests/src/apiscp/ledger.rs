//! What the ledger says of a call.

use serde::Serialize;

pub use crate::panel::Outcome;

/// One call that the panel received; its path is the operation.
pub type Call = crate::panel::Call<Effect>;

/// What a call changed on the panel. The number is the site's id, the N of `siteN`; for a group it is how many sites of it
/// were changed.
///
/// Only a change counts: suspending the suspended, or setting the password that is set, is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// A site was made.
    Created(u64),
    /// A site was put on another plan.
    PlanChanged(u64),
    /// A site has another domain.
    DomainChanged(u64),
    /// A site has another administrator's name.
    UserChanged(u64),
    /// A site's administrator has another password.
    PasswordSet(u64),
    /// Anything else of a site was changed.
    Edited(u64),
    /// A site was suspended.
    Suspended(u64),
    /// A site was activated.
    Activated(u64),
    /// A site was deleted.
    Deleted(u64),
    /// Sites were edited by their common invoice.
    GroupEdited(u64),
    /// Sites were suspended by their common invoice.
    GroupSuspended(u64),
    /// Sites were activated by their common invoice.
    GroupActivated(u64),
    /// Sites were deleted by their common invoice.
    GroupDeleted(u64),
    /// A session was opened as a site's administrator.
    SessionOpened(u64),
    /// An address was taken off the firewall's list.
    Unbanned,
    /// The password of the appliance's administrator was changed, which nobody here ever wants.
    AdminPasswordSet,
    /// Sites of the whole server were changed, whoever's they are.
    ServerWide(u64),
}

impl Effect {
    /// The one site that changed.
    pub fn site(self) -> Option<u64> {
        match self {
            Self::Created(id)
            | Self::PlanChanged(id)
            | Self::DomainChanged(id)
            | Self::UserChanged(id)
            | Self::PasswordSet(id)
            | Self::Edited(id)
            | Self::Suspended(id)
            | Self::Activated(id)
            | Self::Deleted(id) => Some(id),
            _ => None,
        }
    }
}
