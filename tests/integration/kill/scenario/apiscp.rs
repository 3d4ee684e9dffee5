use super::Scenario;
use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::apiscp::ApisCp;

/// What every scenario of ApisCP is but for what it says. None may need a person: a site carries the invoice of its
/// service, and the panel finds it by that.
const SITE: Scenario<ApisCp> = Scenario {
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

pub const APISCP: &[Scenario<ApisCp>] = &[
    Scenario {
        name: "apiscp: create",
        before: &[],
        effects: &["Created"],
        holds: |panel| matches!(&panel.sites()[..], [one] if !one.suspended),
        ..SITE
    },
    Scenario {
        name: "apiscp: renew",
        hook: Hook::Renew,
        holds: |panel| matches!(&panel.sites()[..], [one] if !one.suspended),
        ..SITE
    },
    Scenario {
        name: "apiscp: terminate",
        hook: Hook::Terminate,
        effects: &["Deleted"],
        holds: |panel| panel.sites().is_empty(),
        ..SITE
    },
];
