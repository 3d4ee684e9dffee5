//! Every mutating hook, broken at every exchange in every way that the panel knows to break, on a manual clock.
//!
//! Whatever breaks, the panel ends with at most one effect, and with exactly one once the hook has succeeded.

pub mod drive;

use billhook::store::Service;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup};
use billhook_tests::virtfusion::{Effect, VirtFusion};
use drive::{OnPostgres, suite, suites};

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    Create,
    Suspend,
    Unsuspend,
    Terminate,
    TerminateLater,
    Renew,
    RenewSuspended,
}

impl Scene {
    const ALL: [Self; 7] = [
        Self::Create,
        Self::Suspend,
        Self::Unsuspend,
        Self::Terminate,
        Self::TerminateLater,
        Self::Renew,
        Self::RenewSuspended,
    ];

    fn setup(self) -> Setup {
        let product = "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\n";
        let more = match self {
            Self::TerminateLater => "terminate_delay_min = 60\n",
            Self::RenewSuspended => "unsuspend_on_renew = true\n",
            _ => "",
        };
        Setup { product: Some(format!("{product}{more}")), ..Setup::default() }
    }
}

impl drive::Scene for Scene {
    type Provider = VirtFusion;

    fn hook(self) -> Hook {
        match self {
            Self::Create => Hook::Create,
            Self::Suspend => Hook::Suspend,
            Self::Unsuspend => Hook::Unsuspend,
            Self::Terminate | Self::TerminateLater => Hook::Terminate,
            Self::Renew | Self::RenewSuspended => Hook::Renew,
        }
    }

    fn before(self) -> &'static [Hook] {
        match self {
            Self::Create => &[],
            Self::Suspend | Self::Terminate | Self::TerminateLater | Self::Renew => &[Hook::Create],
            Self::Unsuspend | Self::RenewSuspended => &[Hook::Create, Hook::Suspend],
        }
    }

    fn rig(self) -> Rig {
        Rig::with(self.setup(), |_| {})
    }

    fn assert_done(self, rig: &Rig, _service: &Service, what: &str) {
        let servers = rig.panel().servers();
        match self {
            Self::Create => {
                assert_eq!(servers.len(), 1, "{what}");
                assert_eq!(servers[0].state, "complete", "{what}");
            }
            Self::Suspend => assert!(servers.len() == 1 && servers[0].suspended, "{what}: {servers:?}"),
            Self::Unsuspend | Self::RenewSuspended => {
                assert!(servers.len() == 1 && !servers[0].suspended, "{what}: {servers:?}");
            }
            Self::Terminate => assert!(servers.is_empty(), "{what}: {servers:?}"),
            Self::TerminateLater => {
                assert!(servers.is_empty() || servers[0].delete_at.is_some(), "{what}: {servers:?}");
            }
            Self::Renew => assert!(servers.len() == 1 && !servers[0].suspended, "{what}: {servers:?}"),
        }
    }

    fn assert_at_most_one(self, rig: &Rig, what: &str) {
        let panel = rig.panel();
        let made = panel.count_effects(|effect| matches!(effect, Effect::ServerCreated(_)));
        let users = panel.count_effects(|effect| matches!(effect, Effect::UserCreated(_)));
        assert!(made <= 1, "{what}: {made} servers were made");
        assert!(users <= 1, "{what}: {users} users were made");
    }
}

suites! {
    a_create_broken_anywhere_makes_one_server: Create,
    a_suspend_broken_anywhere_suspends: Suspend,
    an_unsuspend_broken_anywhere_unsuspends: Unsuspend,
    a_terminate_broken_anywhere_ends_it: Terminate,
    a_delayed_terminate_broken_anywhere_ends_it: TerminateLater,
    a_renew_broken_anywhere_is_kept: Renew,
    a_renew_that_unsuspends_broken_anywhere_does_so: RenewSuspended,
    ; on postgres
    a_create_broken_anywhere_makes_one_server_on_postgres: Create,
    a_renew_broken_anywhere_is_kept_on_postgres: Renew,
}

#[test]
fn every_scene_has_its_suite() {
    assert_eq!(Scene::ALL.len(), 7);
}
