use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::crash_host::Answer;
use billhook_tests::harness::{PanelOf, Process, Provider, Rig, Setup};
use billhook_tests::panel::World;
use billhook_tests::rootpanel::{Money, RootPanel};
use billhook_tests::virtfusion::VirtFusion;
use std::fmt::Debug;

/// The service that every hook is about.
pub const SERVICE: &str = "1007";

/// A hook, what comes before it, and what the panel holds when it has happened once.
pub struct Scenario<P: Provider> {
    /// In the report.
    pub name: &'static str,
    /// Which hook is killed.
    pub hook: Hook,
    /// What runs undisturbed before it.
    pub before: &'static [Hook],
    /// Lines of the product's settings.
    pub product: &'static str,
    /// The panel's manners.
    pub panel: fn(&mut <P::World as World>::Config),
    /// How the hook ends.
    pub ends: State,
    /// Every effect that it has, once each.
    pub effects: &'static [&'static str],
    /// Those that are the same when they come twice, so that the provider does not wait before it sends again.
    pub repeatable: &'static [&'static str],
    /// Whether the panel is as the hook wants it.
    pub holds: fn(&PanelOf<P>) -> bool,
    /// Where a person must decide, with the reason that the contract gives: a part of a point's name, and why.
    pub attention: &'static [(&'static str, &'static str)],
}

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

impl<P: Provider> Scenario<P> {
    /// A panel and a folder in which all that comes before the hook has happened.
    pub async fn prepare(&self) -> Rig<P> {
        let product = format!("{}{}\n", P::PRODUCT, self.product);
        let setup = Setup { product: Some(product), ..Setup::default() };
        let rig = Rig::beside(setup, self.panel);
        if !self.before.is_empty() {
            // By a process as well: a host within this one would hand its lock on to what is started beside it.
            let mut process = Process::start(&rig, None).await;
            for (number, hook) in self.before.iter().enumerate() {
                let accepted = process.ask(Process::hook(*hook, SERVICE, &format!("before-{number}"))).await;
                let Ok(Answer::Accepted { operation }) = accepted else {
                    panic!("{hook} before {}: {accepted:?}", self.name);
                };
                let ended = process.drive(&operation, |_| {}).await;
                assert!(matches!(&ended, Ok(sight) if sight.state == State::Succeeded), "{hook}: {ended:?}");
            }
            process.stop().await;
        }
        rig
    }
}

/// The kind of an effect, without the id of what changed.
pub fn kind(effect: impl Debug) -> String {
    let text = format!("{effect:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}
