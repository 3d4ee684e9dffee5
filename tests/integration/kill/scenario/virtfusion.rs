use super::Scenario;
use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::virtfusion::VirtFusion;

/// What every scenario is but for what it says.
const PLAIN: Scenario<VirtFusion> = Scenario {
    name: "",
    hook: Hook::Create,
    before: &[],
    product: "",
    panel: |_| {},
    ends: State::Succeeded,
    effects: &[],
    repeatable: &[],
    holds: |_| false,
    // VirtFusion can be asked about everything that the lifecycle changes: servers and users by lists, all else by reading
    // the server. So no scenario of it may need a person.
    attention: &[],
};

const MADE: &[&str] = &["UserCreated", "ServerCreated", "Renamed", "BuildQueued"];

pub const VIRTFUSION: &[Scenario<VirtFusion>] = &[
    Scenario {
        name: "create",
        effects: MADE,
        repeatable: &["Renamed"],
        holds: |panel| matches!(&panel.servers()[..], [one] if one.state == "complete" && one.name == "billhook-shop-1007"),
        ..PLAIN
    },
    Scenario {
        name: "suspend",
        hook: Hook::Suspend,
        before: &[Hook::Create],
        effects: &["Suspended"],
        holds: |panel| panel.servers()[0].suspended,
        ..PLAIN
    },
    Scenario {
        name: "suspend, queued on the panel",
        hook: Hook::Suspend,
        before: &[Hook::Create],
        panel: |panel| panel.knobs.suspend_ms = 8_000,
        effects: &["SuspendQueued"],
        holds: |panel| panel.servers()[0].suspended,
        ..PLAIN
    },
    Scenario {
        name: "unsuspend",
        hook: Hook::Unsuspend,
        before: &[Hook::Create, Hook::Suspend],
        effects: &["Unsuspended"],
        holds: |panel| !panel.servers()[0].suspended,
        ..PLAIN
    },
    Scenario {
        name: "renew",
        hook: Hook::Renew,
        before: &[Hook::Create],
        holds: |panel| !panel.servers()[0].suspended,
        ..PLAIN
    },
    Scenario {
        name: "renew, which unsuspends",
        hook: Hook::Renew,
        before: &[Hook::Create, Hook::Suspend],
        product: "unsuspend_on_renew = true",
        effects: &["Unsuspended"],
        holds: |panel| !panel.servers()[0].suspended,
        ..PLAIN
    },
    Scenario {
        name: "terminate",
        hook: Hook::Terminate,
        before: &[Hook::Create],
        panel: |panel| panel.knobs.delete_ms = 8_000,
        effects: &["DeleteScheduled"],
        holds: |panel| panel.servers().is_empty(),
        ..PLAIN
    },
    Scenario {
        name: "terminate, gone at once",
        hook: Hook::Terminate,
        before: &[Hook::Create],
        effects: &["Deleted"],
        holds: |panel| panel.servers().is_empty(),
        ..PLAIN
    },
    Scenario {
        name: "terminate, with a delay",
        hook: Hook::Terminate,
        before: &[Hook::Create],
        product: "terminate_delay_min = 60",
        effects: &["DeleteScheduled"],
        holds: |panel| panel.servers()[0].delete_at.is_some(),
        ..PLAIN
    },
];
