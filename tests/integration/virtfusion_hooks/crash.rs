//! Every further hook that changes something, broken at every exchange in every way that the panel knows to break.

use super::*;
use crate::crash::drive::suites;
use billhook::engine::Decision;
use billhook_tests::virtfusion::{Fault, Plan};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;

/// A hook in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    ChangePackage,
    ChangeToParts,
    OrderAddons,
    RootPassword,
    PanelPassword,
    Start,
    Stop,
    Shutdown,
    Reboot,
    Reset,
    Reinstall,
    Rename,
    RemoveAddresses,
    CloseConsole,
}

/// Which effects, and how many of them there may be.
type Limit = (fn(Effect) -> bool, usize);

impl Scene {
    fn hook(self) -> (Hook, Value) {
        match self {
            Self::ChangePackage => (Hook::ChangePackage, package("vps-large")),
            Self::ChangeToParts => (Hook::ChangePackage, package("vps-custom")),
            Self::OrderAddons => (Hook::OrderAddons, addons()),
            Self::RootPassword => (Hook::ChangePassword, password("root")),
            Self::PanelPassword => (Hook::ChangePassword, password("account")),
            Self::Start => (Hook::Power, power(PowerAction::Start)),
            Self::Stop => (Hook::Power, power(PowerAction::Stop)),
            Self::Shutdown => (Hook::Power, power(PowerAction::Shutdown)),
            Self::Reboot => (Hook::Power, power(PowerAction::Reboot)),
            Self::Reset => (Hook::Power, power(PowerAction::Reset)),
            Self::Reinstall => (Hook::Reinstall, reinstall()),
            Self::Rename => (Hook::Action, action("rename", json!({ "name": "web-1" }))),
            Self::RemoveAddresses => {
                (Hook::Action, action("remove_ipv4", json!({ "ips": ["10.40.0.11", "10.40.0.12"] })))
            }
            Self::CloseConsole => (Hook::Action, action("close_console", json!({}))),
        }
    }

    async fn stage(self) -> (Rig, Host) {
        let (rig, host) = started().await;
        match self {
            Self::Start => drop(run(&host, Hook::Power, power(PowerAction::Stop), "before").await),
            Self::RemoveAddresses => drop(run(&host, Hook::OrderAddons, addons(), "before").await),
            Self::CloseConsole => drop(read(&host, Hook::Console, with(Hook::Console, json!({}))).await.unwrap()),
            _ => {}
        }
        (rig, host)
    }

    /// The effects that may happen once, and how often those have that may happen again since they set the same.
    fn limits(self) -> &'static [Limit] {
        const POWER: fn(Effect) -> bool = |effect| matches!(effect, Effect::PowerQueued(_));
        match self {
            Self::ChangePackage => &[(|effect| matches!(effect, Effect::PackageChanged(_)), 1)],
            Self::ChangeToParts => &[
                (|effect| matches!(effect, Effect::PackageChanged(_)), 1),
                (|effect| matches!(effect, Effect::Modified(_)), 2),
                (|effect| matches!(effect, Effect::AddressesAdded(_)), 1),
            ],
            Self::OrderAddons => &[
                (|effect| matches!(effect, Effect::AddressesAdded(_)), 1),
                (|effect| matches!(effect, Effect::TrafficAdded(_)), 1),
            ],
            // A password that was lost is followed by another.
            Self::RootPassword => &[(|effect| matches!(effect, Effect::PasswordReset(_)), 2)],
            Self::PanelPassword => &[(|effect| matches!(effect, Effect::UserChanged(_)), 2)],
            // Beside the stop of the stage.
            Self::Start | Self::Reset => &[(POWER, 2)],
            Self::Stop | Self::Shutdown | Self::Reboot => &[(POWER, 1)],
            // Beside the one of the create.
            Self::Reinstall => &[(|effect| matches!(effect, Effect::BuildQueued(_)), 2)],
            // Beside the one of the create.
            Self::Rename => &[(|effect| matches!(effect, Effect::Renamed(_)), 2)],
            Self::RemoveAddresses => &[(|effect| matches!(effect, Effect::AddressesRemoved(_)), 1)],
            Self::CloseConsole => &[],
        }
    }

    fn assert_at_most(self, rig: &Rig, what: &str) {
        for (wanted, most) in self.limits() {
            let found = rig.panel().count_effects(wanted);
            assert!(found <= *most, "{what}: {found} effects, {most} allowed\n{}", trace(rig));
        }
        assert_eq!(rig.panel().check(), Vec::<String>::new(), "{what}");
        assert_eq!(rig.panel().violations(), Vec::<String>::new(), "{what}");
    }

    /// What must be true of the panel and the service once the hook has succeeded.
    async fn assert_done(self, rig: &Rig, host: &Host, told: bool, what: &str) {
        let panel = rig.panel();
        let server = panel.servers().remove(0);
        let known = async |name: &str| {
            let service = host.service(SERVICE).await.unwrap();
            service.secrets.get(name).map(|secret| secret.expose().clone())
        };
        match self {
            Self::ChangePackage => assert_eq!((server.package_id, server.memory_mb), (2, 4_096), "{what}"),
            Self::ChangeToParts => {
                let found = (server.package_id, server.memory_mb, server.traffic_gb, server.addresses.len());
                assert_eq!(found, (2, 2_048, 700, 3), "{what}");
            }
            Self::OrderAddons => {
                assert_eq!((server.addresses.len(), server.blocks), (3, vec![(1, 100)]), "{what}");
            }
            Self::RootPassword => assert_eq!(panel.guest_password(server.id), known("root_password").await, "{what}"),
            Self::PanelPassword => {
                assert_eq!(panel.login_password(server.owner_id), known("panel_password").await, "{what}");
            }
            Self::Start | Self::Reboot | Self::Reset => assert!(server.running, "{what}"),
            Self::Stop | Self::Shutdown => assert!(!server.running, "{what}"),
            Self::Reinstall => {
                assert_eq!((server.os_id, server.state), (11, "complete"), "{what}");
                if told {
                    assert_eq!(panel.guest_password(server.id), known("root_password").await, "{what}");
                }
            }
            Self::Rename => assert_eq!(server.name, "web-1", "{what}"),
            Self::RemoveAddresses => assert_eq!(server.addresses.len(), 1, "{what}"),
            Self::CloseConsole => assert!(!server.vnc_enabled, "{what}"),
        }
    }
}

fn trace(rig: &Rig) -> String {
    rig.panel().ledger().iter().map(|call| format!("{call:?}\n")).collect()
}

/// States that the operation came to, the last one after the platform's repeats.
async fn case(scene: Scene, call: u32, fault: Fault) -> String {
    let what = format!("{scene:?}, call {call}, {}", fault.name());
    let (rig, host) = scene.stage().await;
    rig.panel().arm(Plan::nth_call(call, fault));
    let (hook, body) = scene.hook();
    let mut states = Vec::new();
    // The platform repeats a hook that failed, as often as a person would press the button.
    for _ in 0..3 {
        let mut ended = send(&host, hook, body.clone(), "event-1").await;
        scene.assert_at_most(&rig, &what);
        if ended.state == State::Attention && scene == Scene::Reboot {
            states.push("attention");
            ended = settle_reboot(&rig, &host, &ended, &what).await;
        }
        states.push(ended.state.as_str());
        match ended.state {
            State::Succeeded => {
                let told = ended.outcome.as_ref().is_some_and(|outcome| outcome["message"]["staff"].is_null());
                scene.assert_done(&rig, &host, told, &what).await;
                break;
            }
            State::Attention => panic!("{what}: {:?} {:?}\n{}", ended.reason, ended.fault, trace(&rig)),
            // What was given up is ended; the next event is another one.
            State::Failed if states.contains(&"attention") => break,
            _ => {}
        }
    }
    let is_given_up = states.ends_with(&["attention", "failed"]);
    assert!(states.last() == Some(&"succeeded") || is_given_up, "{what}: {states:?}\n{}", trace(&rig));
    assert_eq!(rig.panel().unfired(), 0, "{what}: the fault was never met");
    host.stop().await;
    states.join(", then ")
}

/// A person who sees the machine: it was restarted, or it was not.
async fn settle_reboot(rig: &Rig, host: &Host, stuck: &Operation, what: &str) -> Operation {
    let server = rig.panel().servers().remove(0);
    let was_restarted = rig.panel().count_effects(|effect| matches!(effect, Effect::PowerQueued(_))) > 0;
    let decision = match was_restarted {
        true => Decision::Exists { remote_id: server.id.to_string() },
        false => Decision::GiveUp { reason: "it was not restarted".to_owned() },
    };
    if let Err(problem) = host.engine.decide(&stuck.id, &decision, "uid 0").await {
        panic!("{what}: {problem}");
    }
    host.drive(&stuck.id).await
}

/// How many calls the hook makes on a healthy panel.
async fn calls(scene: Scene) -> u32 {
    let (rig, host) = scene.stage().await;
    let before = rig.panel().ledger().len();
    let (hook, body) = scene.hook();
    run(&host, hook, body, "event-1").await;
    scene.assert_done(&rig, &host, true, "healthy").await;
    let count = rig.panel().ledger().len() - before;
    host.stop().await;
    u32::try_from(count).unwrap()
}

async fn suite(scene: Scene) {
    let count = calls(scene).await;
    let cases: Vec<(u32, Fault)> =
        (1..=count).flat_map(|call| Fault::ALL.iter().map(move |&fault| (call, fault))).collect();
    let total = cases.len();
    let endings: Vec<String> = futures_util::stream::iter(cases)
        .map(|(call, fault)| case(scene, call, fault))
        .buffer_unordered(4)
        .collect()
        .await;
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for ending in endings {
        *table.entry(ending).or_default() += 1;
    }
    println!("{scene:?}: {count} calls x {} faults = {total} cases: {table:?}", Fault::ALL.len());
}

suites! {
    a_change_of_package_broken_anywhere_is_made_once: ChangePackage,
    a_change_of_every_part_broken_anywhere_is_made_once: ChangeToParts,
    addons_broken_anywhere_are_added_once: OrderAddons,
    a_root_password_broken_anywhere_is_known: RootPassword,
    a_panel_password_broken_anywhere_is_known: PanelPassword,
    a_start_broken_anywhere_starts: Start,
    a_stop_broken_anywhere_stops: Stop,
    a_shutdown_broken_anywhere_stops: Shutdown,
    a_reboot_broken_anywhere_happens_at_most_once: Reboot,
    a_reset_broken_anywhere_ends_running: Reset,
    a_reinstall_broken_anywhere_builds_once: Reinstall,
    a_rename_broken_anywhere_renames: Rename,
    addresses_taken_away_broken_anywhere_are_gone: RemoveAddresses,
    a_console_closed_broken_anywhere_is_closed: CloseConsole,
}
