//! The crash suite over SolidCP: users and spaces carry names of ours, machines are one to a space, and every job goes on
//! after its answer, or without one.

use crate::crash::drive::{self, OnPostgres, SERVICE, suite, suites};
use billhook::engine::Decision;
use billhook::store::Service;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup, body};
use billhook_tests::panel::EffectTiming;
use billhook_tests::solidcp::{Call, Effect, Fault, Power, SolidCp};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than the panel takes for what nobody waits for: a user to go, a machine to be up after it was let go on.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Addresses come with the space.
    Create,
    /// Addresses are asked for.
    CreateAllocating,
    Suspend,
    Unsuspend,
    Terminate,
    /// Of a suspended service.
    TerminateSuspended,
    /// Only looks whose it is.
    Renew,
    ChangePackage,
    OrderAddons,
    ChangePassword,
    Reboot,
    Shutdown,
    Reinstall,
}

impl Scene {
    /// What the hook is for, and how often the panel may do that.
    fn limits(self) -> &'static [(fn(Effect) -> bool, usize)] {
        match self {
            Self::Create | Self::CreateAllocating => &[
                (|effect| matches!(effect, Effect::UserAdded(_)), 1),
                (|effect| matches!(effect, Effect::SpaceAdded(_)), 1),
                (|effect| matches!(effect, Effect::AddressesAllocated(_)), 1),
                (|effect| matches!(effect, Effect::MachineCreated(_)), 1),
            ],
            Self::Suspend => &[(|effect| matches!(effect, Effect::SpaceStatus(_, 2)), 1)],
            Self::Unsuspend => &[(|effect| matches!(effect, Effect::SpaceStatus(_, 1)), 1)],
            Self::Terminate | Self::TerminateSuspended => &[
                (|effect| matches!(effect, Effect::SpaceStatus(_, 1)), 1),
                (|effect| matches!(effect, Effect::MachineDeleted(_)), 1),
                (|effect| matches!(effect, Effect::SpaceDeleted(_)), 1),
                (|effect| matches!(effect, Effect::UserDeleted(_)), 1),
            ],
            Self::Renew => &[
                (|effect| matches!(effect, Effect::SpaceStatus(..)), 0),
                // The create's own.
                (|effect| matches!(effect, Effect::SpaceChanged(_)), 1),
                (|effect| matches!(effect, Effect::MachineChanged(_)), 0),
                (|effect| matches!(effect, Effect::MachineCreated(_)), 1),
            ],
            // What sets the same may be set again.
            Self::ChangePackage => &[
                (|effect| matches!(effect, Effect::SpaceChanged(_)), 1 + 3),
                (|effect| matches!(effect, Effect::MachineChanged(_)), 3),
            ],
            Self::OrderAddons => &[(|effect| matches!(effect, Effect::AddonAdded(_)), 1)],
            // What was lost is sent again and sets the same.
            Self::ChangePassword => &[(|effect| matches!(effect, Effect::GuestPassword(_)), 3)],
            Self::Reboot => &[(|effect| matches!(effect, Effect::Powered(..)), 1)],
            Self::Shutdown => &[(|effect| matches!(effect, Effect::Powered(..)), 1)],
            Self::Reinstall => &[(|effect| matches!(effect, Effect::Reinstalled(_)), 1)],
        }
    }

    /// Whether the panel has done what the hook asks for.
    fn is_done(self, rig: &Rig<SolidCp>) -> bool {
        let panel = rig.panel();
        let has = |wanted: fn(Effect) -> bool| panel.count_effects(wanted) > 0;
        match self {
            Self::Create | Self::CreateAllocating => !panel.machines().is_empty(),
            Self::Suspend => panel.spaces().iter().all(|space| space.status == 2),
            Self::Unsuspend => panel.spaces().iter().all(|space| space.status == 1),
            Self::Terminate | Self::TerminateSuspended => panel.spaces().is_empty(),
            Self::Renew => true,
            Self::ChangePackage => panel.machines().iter().all(|machine| machine.ram_mb == 8192),
            Self::OrderAddons => panel.spaces().iter().all(|space| !space.addons.is_empty()),
            Self::ChangePassword => has(|effect| matches!(effect, Effect::GuestPassword(_))),
            Self::Reboot => has(|effect| matches!(effect, Effect::Powered(_, Power::Rebooted))),
            Self::Shutdown => has(|effect| matches!(effect, Effect::Powered(_, Power::ShutDown))),
            Self::Reinstall => has(|effect| matches!(effect, Effect::Reinstalled(_))),
        }
    }
}

impl drive::Scene for Scene {
    type Provider = SolidCp;

    fn hook(self) -> Hook {
        match self {
            Self::Create | Self::CreateAllocating => Hook::Create,
            Self::Suspend => Hook::Suspend,
            Self::Unsuspend => Hook::Unsuspend,
            Self::Terminate | Self::TerminateSuspended => Hook::Terminate,
            Self::Renew => Hook::Renew,
            Self::ChangePackage => Hook::ChangePackage,
            Self::OrderAddons => Hook::OrderAddons,
            Self::ChangePassword => Hook::ChangePassword,
            Self::Reboot | Self::Shutdown => Hook::Power,
            Self::Reinstall => Hook::Reinstall,
        }
    }

    fn body(self) -> Value {
        let mut body = body(self.hook(), SERVICE);
        match self {
            Self::ChangePackage => body["product"] = json!({ "id": "vps-large" }),
            Self::OrderAddons => body["addons"] = json!([{ "id": "31", "quantity": 1 }]),
            Self::Shutdown => body["power"] = json!("shutdown"),
            _ => {}
        }
        body
    }

    fn before(self) -> &'static [Hook] {
        match self {
            Self::Create | Self::CreateAllocating => &[],
            Self::Unsuspend | Self::TerminateSuspended => &[Hook::Create, Hook::Suspend],
            _ => &[Hook::Create],
        }
    }

    fn rig(self) -> Rig<SolidCp> {
        Rig::solidcp_with(Setup::default(), |panel| {
            panel.knobs.assigns_addresses = self != Self::CreateAllocating;
        })
    }

    fn applies(self, call: &Call, fault: Fault) -> bool {
        // A code of the panel's tables is a promise: only what makes a space is known to break it.
        let is_broken_promise = matches!(fault.name(), "refusal_after_effect" | "not_allowed_before_effect")
            && fault.effect() == EffectTiming::Done
            && call.path != "AddPackageWithResources";
        // The reads of these are those of their like.
        let is_variant = matches!(self, Self::CreateAllocating | Self::TerminateSuspended);
        !(is_broken_promise || is_variant && call.is_read)
    }

    fn person(self, rig: &Rig<SolidCp>) -> Option<Decision> {
        Some(if self.is_done(rig) {
            let remote_id = rig.panel().spaces().pop().map(|space| space.id.to_string()).unwrap_or_default();
            Decision::Exists { remote_id }
        } else {
            Decision::GiveUp { reason: "it is not on the panel".to_owned() }
        })
    }

    fn assert_at_most_one(self, rig: &Rig<SolidCp>, what: &str) {
        for (wanted, most) in self.limits() {
            let found = rig.panel().count_effects(wanted);
            assert!(found <= *most, "{what}: {found} effects, {most} allowed");
        }
    }

    fn assert_done(self, rig: &Rig<SolidCp>, service: &Service, what: &str) {
        let panel = rig.panel();
        rig.panel_clock.advance(UNDER_WAY);
        match self {
            Self::Terminate | Self::TerminateSuspended => {
                assert!(panel.machines().is_empty() && panel.spaces().is_empty(), "{what}");
                assert!(panel.made_users().is_empty(), "{what}");
                assert_eq!(panel.free_addresses(5), 8, "{what}");
            }
            _ => {
                let (machine, space) = (panel.machines().remove(0), panel.spaces().remove(0));
                let status = if self == Self::Suspend { 2 } else { 1 };
                assert_eq!((machine.provisioning, space.status), ("OK", status), "{what}");
                assert_eq!((machine.addresses.len(), space.addresses.len()), (1, 1), "{what}");
                assert!(service.remote_id.is_some(), "{what}");
                let known = service.secrets.get("root_password").map(|secret| secret.expose().clone());
                assert_eq!(known.as_ref(), Some(&machine.password), "{what}");
                assert_eq!(machine.is_running, !matches!(self, Self::Suspend | Self::Shutdown), "{what}: {machine:?}");
                let plan = if self == Self::ChangePackage { (12, 4, 8192) } else { (11, 2, 4096) };
                assert_eq!((space.plan_id, machine.cores, machine.ram_mb), plan, "{what}");
                assert!(self.is_done(rig), "{what}");
            }
        }
        assert_eq!(panel.complaints(), Vec::<String>::new(), "{what}");
    }
}

suites! {
    a_create_broken_anywhere_makes_one_of_each: Create,
    a_create_that_asks_for_addresses_broken_anywhere_makes_one_of_each: CreateAllocating,
    a_suspend_broken_anywhere_suspends: Suspend,
    an_unsuspend_broken_anywhere_unsuspends: Unsuspend,
    a_terminate_broken_anywhere_leaves_nothing: Terminate,
    a_terminate_of_the_suspended_broken_anywhere_leaves_nothing: TerminateSuspended,
    a_renew_broken_anywhere_changes_nothing: Renew,
    a_change_of_package_broken_anywhere_changes_space_and_machine: ChangePackage,
    an_add_on_broken_anywhere_is_bought_once: OrderAddons,
    a_password_broken_anywhere_is_the_one_that_is_known: ChangePassword,
    a_reboot_broken_anywhere_boots_once: Reboot,
    a_shutdown_broken_anywhere_is_off: Shutdown,
    a_reinstall_broken_anywhere_installs_once: Reinstall,
    ; on postgres
    a_create_broken_anywhere_makes_one_of_each_on_postgres: Create,
    a_renew_broken_anywhere_changes_nothing_on_postgres: Renew,
}
