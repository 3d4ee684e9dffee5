//! Every mutating hook, broken at every exchange in every way that the panel knows to break, on a manual clock.
//!
//! Whatever breaks, the panel ends with at most one effect, and with exactly one once the hook has succeeded.

use billhook::operation::State;
use billhook::store::Operation;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Host, Rig, Setup, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    Create,
    Suspend,
    Unsuspend,
    Terminate,
    TerminateLater,
    Renew,
    RenewSuspended,
}

impl Scene {
    const ALL: [Self; 7] = [
        Self::Create,
        Self::Suspend,
        Self::Unsuspend,
        Self::Terminate,
        Self::TerminateLater,
        Self::Renew,
        Self::RenewSuspended,
    ];

    fn hook(self) -> Hook {
        match self {
            Self::Create => Hook::Create,
            Self::Suspend => Hook::Suspend,
            Self::Unsuspend => Hook::Unsuspend,
            Self::Terminate | Self::TerminateLater => Hook::Terminate,
            Self::Renew | Self::RenewSuspended => Hook::Renew,
        }
    }

    fn before(self) -> &'static [Hook] {
        match self {
            Self::Create => &[],
            Self::Suspend | Self::Terminate | Self::TerminateLater | Self::Renew => &[Hook::Create],
            Self::Unsuspend | Self::RenewSuspended => &[Hook::Create, Hook::Suspend],
        }
    }

    fn setup(self) -> Setup {
        let product = "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\n";
        let more = match self {
            Self::TerminateLater => "terminate_delay_min = 60\n",
            Self::RenewSuspended => "unsuspend_on_renew = true\n",
            _ => "",
        };
        Setup { product: Some(format!("{product}{more}")), ..Setup::default() }
    }

    async fn stage(self) -> (Rig, Host) {
        let rig = Rig::with(self.setup(), |_| {});
        let host = rig.host().await;
        for &hook in self.before() {
            let done = host.run(hook, "1007").await;
            assert_eq!(done.state, State::Succeeded, "{hook}: {done:#?}");
        }
        (rig, host)
    }

    /// What must be true of the panel once the hook has succeeded.
    fn assert_done(self, rig: &Rig, what: &str) {
        let servers = rig.panel().servers();
        match self {
            Self::Create => {
                assert_eq!(servers.len(), 1, "{what}");
                assert_eq!(servers[0].state, "complete", "{what}");
            }
            Self::Suspend => assert!(servers.len() == 1 && servers[0].suspended, "{what}: {servers:?}"),
            Self::Unsuspend | Self::RenewSuspended => {
                assert!(servers.len() == 1 && !servers[0].suspended, "{what}: {servers:?}");
            }
            Self::Terminate => assert!(servers.is_empty(), "{what}: {servers:?}"),
            Self::TerminateLater => {
                assert!(servers.is_empty() || servers[0].delete_at.is_some(), "{what}: {servers:?}");
            }
            Self::Renew => assert!(servers.len() == 1 && !servers[0].suspended, "{what}: {servers:?}"),
        }
    }
}

/// What is true of the panel at every moment.
fn assert_at_most_one(rig: &Rig, what: &str) {
    let panel = rig.panel();
    let made = panel.count_effects(|effect| matches!(effect, Effect::ServerCreated(_)));
    let users = panel.count_effects(|effect| matches!(effect, Effect::UserCreated(_)));
    assert!(made <= 1, "{what}: {made} servers were made");
    assert!(users <= 1, "{what}: {users} users were made");
    assert_eq!(panel.check(), Vec::<String>::new(), "{what}");
    assert_eq!(panel.violations(), Vec::<String>::new(), "{what}");
}

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Ending {
    /// States that the operation ended in, the last one after the platform's repeats.
    states: Vec<State2>,
}

type State2 = &'static str;

async fn case(scene: Scene, call: u32, fault: Fault) -> Ending {
    let what = format!("{scene:?}, call {call}, {}", fault.name());
    let (rig, host) = scene.stage().await;
    rig.panel().arm(Plan::nth_call(call, fault));
    let hook = scene.hook();
    let mut states = Vec::new();
    // The platform repeats a hook that failed, as often as a person would press the button.
    for _ in 0..3 {
        let id = match host.send_with(hook, body(hook, "1007"), Some("event-1")).await {
            Ok(id) => id,
            Err(problem) => panic!("{what}: refused: {problem}"),
        };
        let ended: Operation = host.drive(&id).await;
        states.push(ended.state.as_str());
        assert_at_most_one(&rig, &what);
        match ended.state {
            State::Succeeded => {
                scene.assert_done(&rig, &what);
                break;
            }
            State::Attention => panic!("{what}: {:?} {:?}\n{}", ended.reason, ended.fault, trace(&rig)),
            _ => {}
        }
    }
    assert_eq!(states.last(), Some(&"succeeded"), "{what}: {states:?}\n{}", trace(&rig));
    assert_eq!(rig.panel().unfired(), 0, "{what}: the fault was never met");
    host.stop().await;
    Ending { states }
}

fn trace(rig: &Rig) -> String {
    let ledger = rig.panel().ledger();
    ledger.iter().map(|call| format!("{call:?}\n")).collect()
}

/// How many calls the hook makes on a healthy panel.
async fn calls(scene: Scene) -> u32 {
    let (rig, host) = scene.stage().await;
    let before = rig.panel().ledger().len();
    let done = host.run(scene.hook(), "1007").await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    scene.assert_done(&rig, "healthy");
    let count = rig.panel().ledger().len() - before;
    host.stop().await;
    u32::try_from(count).unwrap()
}

async fn suite(scene: Scene) {
    let count = calls(scene).await;
    let cases: Vec<(u32, Fault)> =
        (1..=count).flat_map(|call| Fault::ALL.iter().map(move |&fault| (call, fault))).collect();
    let total = cases.len();
    let endings: Vec<Ending> = futures_util::stream::iter(cases)
        .map(|(call, fault)| case(scene, call, fault))
        .buffer_unordered(4)
        .collect()
        .await;
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for ending in endings {
        *table.entry(ending.states.join(", then ")).or_default() += 1;
    }
    println!("{scene:?}: {count} calls x {} faults = {total} cases: {table:?}", Fault::ALL.len());
}

macro_rules! suites {
    ($($name:ident: $scene:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            suite(Scene::$scene).await;
        }
    )*};
}

suites! {
    a_create_broken_anywhere_makes_one_server: Create,
    a_suspend_broken_anywhere_suspends: Suspend,
    an_unsuspend_broken_anywhere_unsuspends: Unsuspend,
    a_terminate_broken_anywhere_ends_it: Terminate,
    a_delayed_terminate_broken_anywhere_ends_it: TerminateLater,
    a_renew_broken_anywhere_is_kept: Renew,
    a_renew_that_unsuspends_broken_anywhere_does_so: RenewSuspended,
}

#[test]
fn every_scene_has_its_suite() {
    assert_eq!(Scene::ALL.len(), 7);
}
