//! Who may do what to whom.

use super::state::{Package, World};

/// Codes by which the calling account itself is refused.
const PENDING: i32 = -103;
const SUSPENDED: i32 = -104;
const CANCELLED: i32 = -105;
const DEMO: i32 = -106;

pub(super) const NO_PACKAGE: &str = "You are not allowed to access this package";
pub(super) const NO_ACCOUNT: &str = "You are not allowed to access this account";
pub(super) const NO_OBJECT: &str = "Object reference not set to an instance of an object.";

impl World {
    /// Whom a caller acts as: a peer acts as its owner.
    pub(super) fn actor(&self, caller: i32) -> i32 {
        self.user(caller).filter(|user| user.is_peer).map_or(caller, |user| user.owner_id)
    }

    /// Whether a caller may act on a user: on himself, and on everybody below.
    pub(super) fn may_user(&self, caller: i32, user_id: i32) -> bool {
        let actor = self.actor(caller);
        let mut next = user_id;
        // A chain of owners has no more links than there are users.
        for _ in 0..=self.users.len() {
            match self.user(next) {
                Some(_) if next == actor => return true,
                Some(user) => next = user.owner_id,
                None => return false,
            }
        }
        false
    }

    /// Whether a caller may act on a package.
    pub(super) fn may_package(&self, caller: i32, package_id: i32) -> bool {
        match package_id {
            0 | 1 => self.user(self.actor(caller)).is_some_and(|user| user.role == 1),
            _ => self.package(package_id).is_some_and(|package| self.may_user(caller, package.user_id)),
        }
    }

    /// The package, if the caller may act on it.
    pub(super) fn own_package(&self, caller: i32, package_id: i32) -> Result<&Package, String> {
        if !self.may_package(caller, package_id) {
            return Err(NO_PACKAGE.into());
        }
        self.package(package_id).ok_or_else(|| NO_OBJECT.into())
    }

    /// Why the calling account may change nothing at all.
    pub(super) fn refused_account(&self, caller: i32) -> Option<i32> {
        let user = self.user(caller)?;
        match user.status {
            4 => Some(PENDING),
            2 => Some(SUSPENDED),
            3 => Some(CANCELLED),
            _ => user.is_demo.then_some(DEMO),
        }
    }

    /// The same and, besides, whether it is a reseller at least.
    pub(super) fn refused_reseller(&self, caller: i32) -> Option<i32> {
        let is_reseller = self.user(caller).is_some_and(|user| user.role <= 2);
        self.refused_account(caller).or((!is_reseller).then_some(-108))
    }
}

/// The word for a refused account.
pub(super) fn account_word(code: i32) -> String {
    match code {
        PENDING => "ERROR_USER_ACCOUNT_PENDING",
        SUSPENDED => "ERROR_USER_ACCOUNT_SUSPENDED",
        CANCELLED => "ERROR_USER_ACCOUNT_CANCELLED",
        DEMO => "ERROR_USER_ACCOUNT_DEMO",
        -107 => "ERROR_USER_ACCOUNT_SHOULD_BE_ADMINISTRATOR",
        -108 => "ERROR_USER_ACCOUNT_SHOULD_BE_RESELLER",
        _ => "",
    }
    .into()
}
