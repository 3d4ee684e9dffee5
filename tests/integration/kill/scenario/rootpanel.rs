use super::Scenario;
use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::rootpanel::{Money, RootPanel};

/// What every scenario of ROOTPANEL is but for what it says. None may need a person: whether something that costs money
/// happened is seen by the balance, and a reinstall by the password, as long as nobody else works on the same order.
const ORDER: Scenario<RootPanel> = Scenario {
    name: "",
    hook: Hook::Create,
    before: &[Hook::Create],
    product: "",
    panel: |_| {},
    ends: State::Succeeded,
    effects: &[],
    repeatable: &[],
    holds: |_| false,
    attention: &[],
};

pub const ROOTPANEL: &[Scenario<RootPanel>] = &[
    Scenario {
        name: "rootpanel: create",
        before: &[],
        effects: &["Ordered"],
        holds: |panel| matches!(&panel.orders()[..], [one] if one.status == 1),
        ..ORDER
    },
    Scenario {
        name: "rootpanel: create, left to staff",
        before: &[],
        panel: |panel| panel.knobs.by_hand = true,
        effects: &["Ordered"],
        holds: |panel| matches!(&panel.orders()[..], [one] if one.is_put_off && one.unpaid == Money::ZERO),
        ..ORDER
    },
    Scenario {
        name: "rootpanel: renew",
        hook: Hook::Renew,
        effects: &["Renewed"],
        holds: |panel| panel.orders()[0].renewals == 1,
        ..ORDER
    },
    Scenario {
        name: "rootpanel: order add-ons",
        hook: Hook::OrderAddons,
        effects: &["AddonsOrdered"],
        holds: |panel| panel.orders()[0].addons == [7, 9],
        ..ORDER
    },
    Scenario {
        name: "rootpanel: suspend",
        hook: Hook::Suspend,
        effects: &["Suspended"],
        holds: |panel| panel.orders()[0].suspended,
        ..ORDER
    },
    // The panel has no end of an order but its date.
    Scenario {
        name: "rootpanel: terminate",
        hook: Hook::Terminate,
        effects: &["Suspended"],
        holds: |panel| panel.orders()[0].suspended,
        ..ORDER
    },
    Scenario {
        name: "rootpanel: reboot",
        hook: Hook::Power,
        effects: &["Rebooted"],
        holds: |panel| panel.orders()[0].running,
        // The panel does not tell when a machine was booted.
        attention: &[("rebootServer", "nothing of a reboot can be read back"), ("commit", "the same")],
        ..ORDER
    },
    Scenario {
        name: "rootpanel: reinstall",
        hook: Hook::Reinstall,
        effects: &["Reinstalled"],
        holds: |panel| panel.orders()[0].status == 1,
        // Without a sign of it, nothing proves that it will not begin yet.
        attention: &[("reinstallOrder", "a reinstall that waits shows no sign"), ("commit", "the same")],
        ..ORDER
    },
];
