use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::crash_host::Answer;
use billhook_tests::harness::{Process, Rig, Setup};
use billhook_tests::virtfusion::{Effect, Knobs, Panel};

/// The service that every hook is about.
pub const SERVICE: &str = "1007";

/// A hook, what comes before it, and what the panel holds when it has happened once.
#[derive(Debug)]
pub struct Scenario {
    /// In the report.
    pub name: &'static str,
    /// Which hook is killed.
    pub hook: Hook,
    /// What runs undisturbed before it.
    pub before: &'static [Hook],
    /// Lines of the product's settings.
    pub product: &'static str,
    /// The panel's manners.
    pub knobs: fn(&mut Knobs),
    /// How the hook ends.
    pub ends: State,
    /// Every effect that it has, once each.
    pub effects: &'static [&'static str],
    /// Those that are the same when they come twice, so that the provider does not wait before it sends again.
    pub repeatable: &'static [&'static str],
    /// Whether the panel is as the hook wants it.
    pub holds: fn(&Panel) -> bool,
    /// Where a person must decide, with the reason that the contract gives: a part of a point's name, and why.
    pub attention: &'static [(&'static str, &'static str)],
}

/// What every scenario is but for what it says.
const PLAIN: Scenario = Scenario {
    name: "",
    hook: Hook::Create,
    before: &[],
    product: "",
    knobs: |_| {},
    ends: State::Succeeded,
    effects: &[],
    repeatable: &[],
    holds: |_| false,
    // VirtFusion can be asked about everything that the lifecycle changes: servers and users by lists, all else by reading
    // the server. So no scenario of it may need a person.
    attention: &[],
};

const MADE: &[&str] = &["UserCreated", "ServerCreated", "Renamed", "BuildQueued"];

pub const SCENARIOS: &[Scenario] = &[
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
        knobs: |knobs| knobs.suspend_ms = 8_000,
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
        knobs: |knobs| knobs.delete_ms = 8_000,
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

impl Scenario {
    /// A panel and a folder in which all that comes before the hook has happened.
    pub async fn prepare(&self) -> Rig {
        let product = format!("package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\n{}\n", self.product);
        let setup = Setup { product: Some(product), ..Setup::default() };
        let rig = Rig::with(setup, |panel| (self.knobs)(&mut panel.knobs));
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
pub fn kind(effect: Effect) -> String {
    let text = format!("{effect:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}
