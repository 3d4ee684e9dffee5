//! The crash suite over DCImanager, where nothing is made but taken, everything happens later than it is answered, and a
//! machine that is taken twice is two customers' machine.

use super::*;
use crate::crash::drive::{self, OnPostgres, suite, suites};
use billhook::engine::Decision;
use billhook::store::Service;
use billhook_tests::dcimanager::{Call, Fault as Break};
use billhook_tests::panel::EffectTiming;

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Create,
    CreateWithoutWaiting,
    Suspend,
    Unsuspend,
    Terminate,
    TerminateInstalling,
    Renew,
    Stop,
    Start,
    Reboot,
    Reinstall,
    PanelPassword,
}

impl Scene {
    /// The effects that may happen once, and how often those may that set the same again.
    fn limits(self) -> &'static [(fn(Effect) -> bool, usize)] {
        const INSTALLED: fn(Effect) -> bool = |effect| matches!(effect, Effect::Installed(_));
        match self {
            Self::Create | Self::CreateWithoutWaiting => &[
                (INSTALLED, 1),
                (|effect| matches!(effect, Effect::AccountCreated(_)), 1),
                (|effect| matches!(effect, Effect::AddressAdded(_)), 2),
                (|effect| matches!(effect, Effect::ServerCreated(_)), 0),
            ],
            Self::Reboot => &[(|effect| matches!(effect, Effect::Rebooted(_)), 1)],
            // Beside the one of the create.
            Self::Reinstall => &[(INSTALLED, 2)],
            _ => &[(INSTALLED, 1)],
        }
    }

    /// How often the panel has done what cannot be taken back.
    fn done(self, rig: &Rig<DciManager>) -> usize {
        let count = |wanted: fn(Effect) -> bool| rig.panel().count_effects(wanted);
        match self {
            Self::Reboot => count(|effect| matches!(effect, Effect::Rebooted(_))),
            Self::Reinstall => count(|effect| matches!(effect, Effect::Installed(_))) - 1,
            _ => rig.panel().held().len(),
        }
    }
}

impl drive::Scene for Scene {
    type Provider = DciManager;

    fn hook(self) -> Hook {
        match self {
            Self::Create | Self::CreateWithoutWaiting => Hook::Create,
            Self::Suspend => Hook::Suspend,
            Self::Unsuspend => Hook::Unsuspend,
            Self::Terminate | Self::TerminateInstalling => Hook::Terminate,
            Self::Renew => Hook::Renew,
            Self::Stop | Self::Start | Self::Reboot => Hook::Power,
            Self::Reinstall => Hook::Reinstall,
            Self::PanelPassword => Hook::ChangePassword,
        }
    }

    fn body(self) -> Value {
        match self {
            Self::Stop => power("stop"),
            Self::Start => power("start"),
            Self::Reboot => power("reboot"),
            Self::Reinstall => reinstall(CENTOS),
            Self::PanelPassword => account_password(),
            _ => body(self.hook(), SERVICE),
        }
    }

    fn before(self) -> &'static [Hook] {
        match self {
            Self::Create | Self::CreateWithoutWaiting => &[],
            Self::Unsuspend => &[Hook::Create, Hook::Suspend],
            _ => &[Hook::Create],
        }
    }

    fn rig(self) -> Rig<DciManager> {
        // What is not about the addresses or the waiting does without, in every one of its cases.
        let lines = match self {
            Self::Create | Self::Terminate => "IP = 1\nIPv6 = 1\n",
            Self::CreateWithoutWaiting => "IP = 1\nIPv6 = 1\ndont_wait = true\n",
            Self::Reinstall => "",
            _ => "dont_wait = true\n",
        };
        Rig::dcimanager_with(product(lines), |panel| {
            // Long enough to be seen, short enough to be waited for thousands of times.
            panel.knobs.install_ms = 65_000;
        })
    }

    fn prepare(self, rig: &Rig<DciManager>) {
        // Until the mark of the installation is to be seen, or until it is over.
        let passed_s = if self == Self::TerminateInstalling { 10 } else { 100 };
        rig.panel_clock.advance(Duration::from_secs(passed_s));
        let Some(id) = rig.panel().sold().first().map(|server| server.id) else { return };
        match self {
            Self::Reinstall => rig.panel().expect_installs(id, 2),
            Self::Start => rig.panel().cut_power(id),
            _ => {}
        }
    }

    fn person(self, rig: &Rig<DciManager>) -> Option<Decision> {
        let id = rig.panel().held().first().map(|server| server.id.to_string());
        match (self, id) {
            (Self::Reboot | Self::Reinstall, Some(remote_id)) if self.done(rig) > 0 => {
                Some(Decision::Exists { remote_id })
            }
            (Self::Reboot | Self::Reinstall, _) => Some(Decision::GiveUp { reason: "it did not happen".to_owned() }),
            _ => None,
        }
    }

    fn applies(self, call: &Call, fault: Break) -> bool {
        let name = fault.name();
        // A panel that says in the midst of a create that it is an older one is believed: the machine is given back.
        if self.hook() == Hook::Create && name == "old_error_before_effect" {
            return false;
        }
        if !call.is_read {
            // Only what differs from the hook that waits.
            let is_of_both = self == Self::CreateWithoutWaiting && call.effect.server_id().is_some();
            let is_late = matches!(call.effect, Effect::Installed(_) | Effect::HandedOver(_));
            return name != "rows_twice" && (is_late || !is_of_both);
        }
        // A read has no effect for an answer to come before or after.
        if name.ends_with("_after_effect") || fault.effect() == EffectTiming::Later {
            return false;
        }
        let is_variant = matches!(self, Self::CreateWithoutWaiting | Self::TerminateInstalling);
        drive::is_whole() || !is_variant
    }

    fn assert_at_most_one(self, rig: &Rig<DciManager>, what: &str) {
        for (wanted, most) in self.limits() {
            let found = rig.panel().count_effects(wanted);
            assert!(found <= *most, "{what}: {found} effects, {most} allowed\n{}", trace(rig));
        }
    }

    fn assert_done(self, rig: &Rig<DciManager>, service: &Service, what: &str) {
        let held = rig.panel().held();
        if matches!(self, Self::Terminate | Self::TerminateInstalling) {
            assert!(held.is_empty(), "{what}: {held:?}");
            assert!([42, 44].iter().all(|id| rig.panel().server(*id).is_free), "{what}\n{}", trace(rig));
            assert_eq!(rig.panel().free_addresses(), 28, "{what}");
            return;
        }
        let [server] = &held[..] else { panic!("{what}: {held:?}\n{}", trace(rig)) };
        assert_eq!(service.remote_id, Some(server.id.to_string()), "{what}");
        let account = rig.panel().made_accounts().pop().expect("an account");
        assert_eq!((rig.panel().sold().len(), server.owner.as_deref()), (1, Some(&*account.name)), "{what}");
        let secret = |name: &str| service.secrets.get(name).map(|secret| secret.expose().clone());
        let system = if self == Self::Reinstall { CENTOS } else { DEBIAN };
        match self {
            Self::CreateWithoutWaiting => assert!(server.is_installing || server.system.is_some(), "{what}"),
            _ => assert_eq!(server.system.as_deref(), Some(system), "{what}\n{}", trace(rig)),
        }
        match self {
            Self::Create | Self::CreateWithoutWaiting => {
                let further = (server.further(Family::Ipv4), server.further(Family::Ipv6));
                assert_eq!((further, &*server.hostname), ((1, 1), "svc1007.example.net"), "{what}");
                assert_eq!(secret("panel_password"), Some(account.password), "{what}");
                if let Some(password) = &server.root_password {
                    assert_eq!(secret("root_password").as_ref(), Some(password), "{what}");
                }
            }
            Self::Suspend => assert!(server.is_disabled, "{what}"),
            Self::Unsuspend => assert!(!server.is_disabled && server.is_connected, "{what}"),
            Self::Stop => assert_eq!(server.is_on, Some(false), "{what}"),
            Self::Start => assert_eq!(server.is_on, Some(true), "{what}"),
            Self::Reboot => assert_eq!(self.done(rig), 1, "{what}"),
            Self::Reinstall => assert_eq!(server.root_password, secret("root_password"), "{what}"),
            Self::PanelPassword => assert_eq!(secret("panel_password"), Some(account.password), "{what}"),
            Self::Renew | Self::Terminate | Self::TerminateInstalling => {}
        }
    }
}

suites! {
    a_create_broken_anywhere_sells_one_machine: Create,
    a_create_that_does_not_wait_broken_anywhere_sells_one_machine: CreateWithoutWaiting,
    a_suspend_broken_anywhere_suspends: Suspend,
    an_unsuspend_broken_anywhere_unsuspends: Unsuspend,
    a_terminate_broken_anywhere_releases: Terminate,
    a_terminate_in_an_installation_broken_anywhere_releases: TerminateInstalling,
    a_renew_broken_anywhere_changes_nothing: Renew,
    a_stop_broken_anywhere_stops: Stop,
    a_start_broken_anywhere_starts: Start,
    a_reboot_broken_anywhere_boots_once: Reboot,
    a_reinstall_broken_anywhere_installs_once: Reinstall,
    a_panel_password_broken_anywhere_is_known: PanelPassword,
    ; on postgres
    a_create_broken_anywhere_sells_one_machine_on_postgres: Create,
    a_renew_broken_anywhere_changes_nothing_on_postgres: Renew,
}
