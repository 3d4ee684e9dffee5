use super::Scenario;
use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::solidcp::SolidCp;

/// What every scenario of SolidCP is but for what it says. None may need a person: users and spaces carry names of ours,
/// a space has one machine, and the panel lists all three.
const SPACE: Scenario<SolidCp> = Scenario {
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

pub const SOLIDCP: &[Scenario<SolidCp>] = &[
    Scenario {
        name: "solidcp: create",
        before: &[],
        effects: &["UserAdded", "SpaceAdded", "SpaceChanged", "MachineCreated"],
        repeatable: &["SpaceChanged"],
        holds: |panel| matches!(&panel.machines()[..], [one] if one.provisioning == "OK" && one.is_running),
        ..SPACE
    },
    Scenario {
        name: "solidcp: create, addresses asked for",
        before: &[],
        panel: |panel| panel.knobs.assigns_addresses = false,
        effects: &["UserAdded", "SpaceAdded", "SpaceChanged", "AddressesAllocated", "MachineCreated"],
        repeatable: &["SpaceChanged"],
        holds: |panel| matches!(&panel.machines()[..], [one] if one.addresses.len() == 1),
        ..SPACE
    },
    Scenario {
        name: "solidcp: renew",
        hook: Hook::Renew,
        holds: |panel| panel.spaces().iter().all(|space| space.status == 1),
        ..SPACE
    },
    Scenario {
        name: "solidcp: terminate",
        hook: Hook::Terminate,
        effects: &["MachineDeleted", "SpaceDeleted", "UserDeleted"],
        holds: |panel| panel.machines().is_empty() && panel.spaces().is_empty(),
        ..SPACE
    },
    Scenario {
        name: "solidcp: terminate, of the suspended",
        hook: Hook::Terminate,
        before: &[Hook::Create, Hook::Suspend],
        effects: &["SpaceStatus", "MachineDeleted", "SpaceDeleted", "UserDeleted"],
        holds: |panel| panel.machines().is_empty() && panel.spaces().is_empty(),
        ..SPACE
    },
];
