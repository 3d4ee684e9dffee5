//! The crash suite over ROOTPANEL, where an order carries no mark of ours, money is spent, and what is accepted may be
//! carried out by staff or after payment.
//!
//! So a lost order cannot always be told from one that waits. Then a person is asked, who looks at the panel and says
//! what is true; with that, too, there is one effect in the end.

use crate::crash::drive::{self, OnPostgres, suite, suites};
use billhook::engine::Decision;
use billhook::store::Service;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup};
use billhook_tests::panel::EffectTiming;
use billhook_tests::rootpanel::{Call, Effect, Fault, Money, OrderView, RootPanel};
use std::time::Duration;

/// Longer than the panel takes for an installation.
const UNDER_WAY: Duration = Duration::from_secs(120);

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Create,
    /// The balance is empty: code 31.
    CreateUnpaid,
    /// Left to staff, and answered without an id: code 30.
    CreateByHand,
    Suspend,
    Unsuspend,
    Terminate,
    Renew,
    /// The balance is empty: code 31.
    RenewUnpaid,
    OrderAddons,
    Reboot,
    Reinstall,
}

impl Scene {
    fn is_order(self, effect: Effect) -> bool {
        match self {
            Self::Create | Self::CreateUnpaid | Self::CreateByHand => matches!(effect, Effect::Ordered(_)),
            Self::Suspend | Self::Terminate => matches!(effect, Effect::Suspended(_)),
            Self::Unsuspend => matches!(effect, Effect::Unsuspended(_)),
            Self::Renew | Self::RenewUnpaid => matches!(effect, Effect::Renewed(_)),
            Self::OrderAddons => matches!(effect, Effect::AddonsOrdered(_)),
            Self::Reboot => matches!(effect, Effect::Rebooted(_)),
            Self::Reinstall => matches!(effect, Effect::Reinstalled(_)),
        }
    }

    /// How often the panel has done what the hook asks for.
    fn done(self, rig: &Rig<RootPanel>) -> usize {
        rig.panel().count_effects(|effect| self.is_order(effect))
    }
}

fn order(rig: &Rig<RootPanel>) -> Option<OrderView> {
    rig.panel().orders().pop()
}

impl drive::Scene for Scene {
    type Provider = RootPanel;

    fn hook(self) -> Hook {
        match self {
            Self::Create | Self::CreateUnpaid | Self::CreateByHand => Hook::Create,
            Self::Suspend => Hook::Suspend,
            Self::Unsuspend => Hook::Unsuspend,
            Self::Terminate => Hook::Terminate,
            Self::Renew | Self::RenewUnpaid => Hook::Renew,
            Self::OrderAddons => Hook::OrderAddons,
            Self::Reboot => Hook::Power,
            Self::Reinstall => Hook::Reinstall,
        }
    }

    fn before(self) -> &'static [Hook] {
        match self {
            Self::Create | Self::CreateUnpaid | Self::CreateByHand => &[],
            Self::Unsuspend => &[Hook::Create, Hook::Suspend],
            _ => &[Hook::Create],
        }
    }

    fn rig(self) -> Rig<RootPanel> {
        let mut setup = Setup::default();
        if matches!(self, Self::CreateUnpaid | Self::RenewUnpaid) {
            setup.product = Some("tarifid = 12\nperiod = 1\nosid = 7\nallow_unpaid_orders = true\n".to_owned());
        }
        Rig::rootpanel_with(setup, |panel| match self {
            Self::CreateUnpaid => panel.users[0].balance = Money::ZERO,
            // Enough for the order, and not for a month more.
            Self::RenewUnpaid => panel.users[0].balance = Money::cents(1_000),
            Self::CreateByHand => {
                panel.knobs.by_hand = true;
                panel.knobs.names_put_off_orders = false;
            }
            _ => {}
        })
    }

    fn applies(self, call: &Call, fault: Fault) -> bool {
        // On a power command, a code of the contract's table is a promise that nothing was done.
        let is_broken_promise =
            call.path == "rebootServer" && fault.name().starts_with("code_") && fault.effect() == EffectTiming::Done;
        // The reads of these are those of their like with money and without staff.
        let is_variant = matches!(self, Self::CreateUnpaid | Self::CreateByHand | Self::RenewUnpaid);
        !(is_broken_promise || is_variant && call.is_read)
    }

    fn person(self, rig: &Rig<RootPanel>) -> Option<Decision> {
        Some(match order(rig).filter(|_| self.done(rig) > 0) {
            Some(order) => Decision::Exists { remote_id: order.id.to_string() },
            None => Decision::GiveUp { reason: "it is not on the panel".to_owned() },
        })
    }

    fn assert_at_most_one(self, rig: &Rig<RootPanel>, what: &str) {
        let done = self.done(rig);
        // Suspending the suspended is refused by the panel and changes nothing, so that even these are seen once.
        assert!(done <= 1, "{what}: done {done} times");
    }

    fn assert_done(self, rig: &Rig<RootPanel>, service: &Service, what: &str) {
        assert_eq!(self.done(rig), 1, "{what}");
        // What was accepted with a code that nobody knows is called pending, and is under way.
        rig.panel_clock.advance(UNDER_WAY);
        let order = order(rig).expect("the order is there");
        assert_eq!(service.remote_id, Some(order.id.to_string()), "{what}");
        let status = match self {
            Self::CreateUnpaid | Self::CreateByHand => 0,
            Self::Suspend | Self::Terminate => 2,
            _ => 1,
        };
        assert_eq!(order.status, status, "{what}: {order:?}");
    }
}

suites! {
    a_create_broken_anywhere_orders_once: Create,
    a_create_without_money_broken_anywhere_orders_once: CreateUnpaid,
    a_create_left_to_staff_broken_anywhere_orders_once: CreateByHand,
    a_suspend_broken_anywhere_suspends: Suspend,
    an_unsuspend_broken_anywhere_unsuspends: Unsuspend,
    a_terminate_broken_anywhere_suspends: Terminate,
    a_renew_broken_anywhere_is_paid_once: Renew,
    a_renew_without_money_broken_anywhere_is_ordered_once: RenewUnpaid,
    add_ons_broken_anywhere_are_ordered_once: OrderAddons,
    a_reboot_broken_anywhere_boots_once: Reboot,
    a_reinstall_broken_anywhere_installs_once: Reinstall,
    ; on postgres
    a_create_broken_anywhere_orders_once_on_postgres: Create,
    a_renew_broken_anywhere_is_paid_once_on_postgres: Renew,
}
