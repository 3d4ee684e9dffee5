use super::Scenario;
use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::dcimanager::DciManager;

/// What every scenario of DCImanager is but for what it says. None may need a person: a machine says whose it is, and how
/// far its installation has come.
const MACHINE: Scenario<DciManager> = Scenario {
    name: "",
    hook: Hook::Create,
    before: &[Hook::Create],
    product: "IP = 1\nIPv6 = 1\n",
    panel: |panel| panel.knobs.install_ms = 65_000,
    ends: State::Succeeded,
    effects: &[],
    repeatable: &["SignedIn", "Named"],
    holds: |_| false,
    attention: &[],
};

pub const DCIMANAGER: &[Scenario<DciManager>] = &[
    Scenario {
        name: "dcimanager: create",
        before: &[],
        effects: &[
            "SignedIn",
            "AccountCreated",
            "Claimed",
            "PoweredOn",
            "Named",
            "AddressAdded",
            "AddressAdded",
            "Installed",
            "HandedOver",
        ],
        holds: |panel| matches!(&panel.held()[..], [one] if one.system.is_some()),
        ..MACHINE
    },
    Scenario {
        name: "dcimanager: renew",
        hook: Hook::Renew,
        effects: &["SignedIn"],
        holds: |panel| matches!(&panel.held()[..], [one] if !one.is_disabled),
        ..MACHINE
    },
    Scenario {
        name: "dcimanager: terminate",
        hook: Hook::Terminate,
        // It is handed to the administrator before anything is taken away.
        effects: &["SignedIn", "HandedOver", "PoweredOff", "AddressDeleted", "AddressDeleted", "Named", "Released"],
        holds: |panel| panel.held().is_empty() && panel.free_addresses() == 28,
        ..MACHINE
    },
];
