//! Every hook and action that changes something, broken at every exchange in every way that the panel knows to break.
//!
//! Whatever breaks, the panel ends with at most one effect, and with exactly one once the hook has succeeded. No hook waits
//! for a person: the panel can always be asked.

use super::*;
use crate::crash::drive::{self, OnPostgres, suite, suites};
use billhook::store::Service;
use billhook_tests::apiscp::{Call, SiteSeed};
use billhook_tests::panel::Fault;

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Create,
    Suspend,
    Unsuspend,
    Terminate,
    /// Suspends, for the panel to delete it later.
    Hold,
    Renew,
    ChangePackage,
    ChangePassword,
    /// By an edit of the site, as on old panels.
    EditPassword,
    ChangeDomain,
    ChangeUsername,
    JoinGroup,
    Unban,
    GroupEdit,
    GroupSuspend,
    GroupActivate,
    GroupDelete,
    /// Of the suspended alone.
    GroupDeleteSuspended,
}

impl Scene {
    /// Whether this is what the hook asks for.
    fn is_wanted(self, effect: Effect) -> bool {
        match self {
            Self::Create => matches!(effect, Effect::Created(_)),
            Self::Suspend | Self::Hold => matches!(effect, Effect::Suspended(_)),
            Self::Unsuspend => matches!(effect, Effect::Activated(_)),
            Self::Terminate => matches!(effect, Effect::Deleted(_)),
            Self::Renew => false,
            Self::ChangePackage => matches!(effect, Effect::PlanChanged(_)),
            Self::ChangePassword | Self::EditPassword => matches!(effect, Effect::PasswordSet(_)),
            Self::ChangeDomain => matches!(effect, Effect::DomainChanged(_)),
            Self::ChangeUsername => matches!(effect, Effect::UserChanged(_)),
            Self::JoinGroup => matches!(effect, Effect::Edited(_)),
            Self::Unban => matches!(effect, Effect::Unbanned),
            Self::GroupEdit => matches!(effect, Effect::GroupEdited(_)),
            Self::GroupSuspend => matches!(effect, Effect::GroupSuspended(_)),
            Self::GroupActivate => matches!(effect, Effect::GroupActivated(_)),
            Self::GroupDelete | Self::GroupDeleteSuspended => matches!(effect, Effect::GroupDeleted(_)),
        }
    }

    fn done(self, rig: &Rig<ApisCp>) -> usize {
        count(rig, |effect| self.is_wanted(effect))
    }

    fn group(self) -> bool {
        matches!(
            self,
            Self::GroupEdit | Self::GroupSuspend | Self::GroupActivate | Self::GroupDelete | Self::GroupDeleteSuspended
        )
    }
}

impl drive::Scene for Scene {
    type Provider = ApisCp;

    fn hook(self) -> Hook {
        match self {
            Self::Create => Hook::Create,
            Self::Suspend => Hook::Suspend,
            Self::Unsuspend => Hook::Unsuspend,
            Self::Terminate | Self::Hold => Hook::Terminate,
            Self::Renew => Hook::Renew,
            Self::ChangePackage => Hook::ChangePackage,
            Self::ChangePassword | Self::EditPassword => Hook::ChangePassword,
            _ => Hook::Action,
        }
    }

    fn body(self) -> Value {
        match self {
            Self::ChangePackage => package("vps-large"),
            Self::ChangePassword | Self::EditPassword => password(),
            Self::ChangeDomain => action("change_domain", json!({ "domain": "new.example" })),
            Self::ChangeUsername => action("change_username", json!({ "username": "newname" })),
            Self::JoinGroup => action("join_group", json!({ "parent_invoice": "M-1" })),
            Self::Unban => action("unban", json!({ "ip": ADDRESS })),
            Self::GroupEdit => action("group_edit", json!({ "max_sites": 2, "plan": "pro" })),
            Self::GroupSuspend => action("group_suspend", json!({ "max_sites": 2 })),
            Self::GroupActivate => action("group_activate", json!({ "max_sites": 2 })),
            Self::GroupDelete => action("group_delete", json!({ "max_sites": 2 })),
            Self::GroupDeleteSuspended => action("group_delete", json!({ "max_sites": 2, "since": "now" })),
            _ => body(self.hook(), SERVICE),
        }
    }

    fn before(self) -> &'static [Hook] {
        match self {
            Self::Create => &[],
            Self::Unsuspend => &[Hook::Create, Hook::Suspend],
            _ => &[Hook::Create],
        }
    }

    fn rig(self) -> Rig<ApisCp> {
        let mut setup = Setup::default();
        match self {
            Self::Hold => setup.product = Some("plan = \"basic\"\nterminate = \"suspend\"\n".to_owned()),
            Self::EditPassword => setup.settings = Some("password_by = \"edit_site\"".to_owned()),
            _ => {}
        }
        Rig::apiscp_with(setup, |_| {})
    }

    fn prepare(self, rig: &Rig<ApisCp>) {
        rig.panel().seed_site(SiteSeed::strange("them.example", "them"));
        if self.group() {
            let suspended = matches!(self, Self::GroupActivate | Self::GroupDeleteSuspended);
            let suspended = suspended.then(|| (0, "unpaid".to_owned()));
            rig.panel().seed_site(SiteSeed { suspended, ..SiteSeed::child("one.example", "one", INVOICE) });
            rig.panel().expect_group(INVOICE);
        }
        if self == Self::Unban {
            rig.panel().ban("ssh", ADDRESS);
        }
    }

    fn applies(self, call: &Call, fault: Fault) -> bool {
        // There, false is an answer, and no failure that nobody tells of.
        !(call.path == "rampart_is_banned" && fault.name().starts_with("false_"))
    }

    fn assert_at_most_one(self, rig: &Rig<ApisCp>, what: &str) {
        let done = self.done(rig);
        assert!(done <= 1, "{what}: done {done} times");
        assert_eq!(rig.panel().complaints(), Vec::<String>::new(), "{what}");
    }

    fn assert_done(self, rig: &Rig<ApisCp>, service: &Service, what: &str) {
        if self != Self::Renew {
            assert_eq!(self.done(rig), 1, "{what}");
        }
        let sites = rig.panel().sites();
        let own = sites.iter().find(|site| site.invoice.as_deref() == Some(INVOICE));
        let group: Vec<&SiteView> =
            sites.iter().filter(|site| own == Some(site) || site.parent_invoice.as_deref() == Some(INVOICE)).collect();
        match self {
            Self::Terminate => assert_eq!(own, None, "{what}"),
            Self::GroupDelete => assert!(group.is_empty(), "{what}: {group:?}"),
            Self::GroupDeleteSuspended => assert_eq!(group.len(), 1, "{what}"),
            _ => {
                let own = own.unwrap_or_else(|| panic!("{what}: the site is gone"));
                assert_eq!(service.remote_id, Some(own.name()), "{what}");
                let known = service.secrets.get("password").map(|password| password.expose().as_str());
                assert_eq!(known, Some(own.password.as_str()), "{what}: what is told opens the door");
                assert_eq!(own.suspended, matches!(self, Self::Suspend | Self::Hold | Self::GroupSuspend), "{what}");
                assert_eq!(own.plan == "pro", matches!(self, Self::ChangePackage | Self::GroupEdit), "{what}");
                assert_eq!(own.domain == "new.example", self == Self::ChangeDomain, "{what}");
                assert_eq!(own.user == "newname", self == Self::ChangeUsername, "{what}");
                assert_eq!(own.parent_invoice.is_some(), self == Self::JoinGroup, "{what}");
                assert!(group.iter().all(|site| site.suspended == own.suspended && site.plan == own.plan), "{what}");
            }
        }
        if self == Self::Unban {
            assert!(rig.panel().jails(ADDRESS).is_empty(), "{what}");
        }
    }
}

suites! {
    a_create_broken_anywhere_makes_one_site: Create,
    a_suspend_broken_anywhere_suspends: Suspend,
    an_unsuspend_broken_anywhere_activates: Unsuspend,
    a_terminate_broken_anywhere_deletes_one_site: Terminate,
    a_terminate_that_keeps_broken_anywhere_suspends: Hold,
    a_renew_broken_anywhere_changes_nothing: Renew,
    a_change_of_package_broken_anywhere_is_made_once: ChangePackage,
    a_password_broken_anywhere_is_set: ChangePassword,
    a_password_by_edit_broken_anywhere_is_set: EditPassword,
    a_new_domain_broken_anywhere_is_given_once: ChangeDomain,
    a_new_name_broken_anywhere_is_given_once: ChangeUsername,
    a_move_to_a_group_broken_anywhere_is_made_once: JoinGroup,
    a_ban_broken_anywhere_is_lifted: Unban,
    a_group_edited_broken_anywhere_is_edited_once: GroupEdit,
    a_group_suspended_broken_anywhere_is_suspended_once: GroupSuspend,
    a_group_activated_broken_anywhere_is_activated_once: GroupActivate,
    a_group_deleted_broken_anywhere_is_deleted_once: GroupDelete,
    the_suspended_of_a_group_deleted_broken_anywhere_are_gone: GroupDeleteSuspended,
    ; on postgres
    a_create_broken_anywhere_makes_one_site_on_postgres: Create,
    a_renew_broken_anywhere_changes_nothing_on_postgres: Renew,
}
