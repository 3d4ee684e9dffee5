//! What VirtFusion's hooks do beyond a server's life, each against a host and the panel: once, twice, by many, broken.

mod at_once;
mod crash;

use billhook::engine::ReadFailure;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::{Operation, OperationId};
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{FaultClass, Hook, PowerAction, ServiceState};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use billhook_tests::virtfusion::{BuildOutcome, Effect, ServerSeed, UserSeed};
use serde_json::{Value, json};

/// The service of every test here.
const SERVICE: &str = "1007";

/// The body of a hook on the service with these members besides.
fn with(hook: Hook, more: Value) -> Value {
    let mut body = body(hook, SERVICE);
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn package(product: &str) -> Value {
    with(Hook::ChangePackage, json!({ "product": { "id": product } }))
}

fn power(action: PowerAction) -> Value {
    with(Hook::Power, json!({ "power": action }))
}

fn addons() -> Value {
    with(
        Hook::OrderAddons,
        json!({ "addons": [{ "id": "traffic_gb", "quantity": 100 }, { "id": "ipv4", "quantity": 2 }] }),
    )
}

fn password(target: &str) -> Value {
    with(Hook::ChangePassword, json!({ "target": target }))
}

fn reinstall() -> Value {
    with(Hook::Reinstall, json!({ "confirm": true, "product": { "id": "vps", "options": { "os_template_id": 11 } } }))
}

fn action(name: &str, params: Value) -> Value {
    with(Hook::Action, json!({ "action": name, "params": params }))
}

/// Products that a service can be changed to.
fn setup() -> Setup {
    let extra = "
[products.vps-custom]
server = \"panel\"
[products.vps-custom.settings]
package_id = 2
hypervisor_group_id = 1
os_template_id = 10
memory_mb = 2048
traffic_gb = 700
default_ipv4 = 3
";
    Setup { extra: extra.to_owned(), ..Setup::default() }
}

/// A rig whose server knows where the panel's pages are, with the service made and its server running.
async fn started() -> (Rig, Host) {
    let rig = Rig::with(setup(), |_| {});
    let text = std::fs::read_to_string(rig.config_path()).unwrap();
    let text = text.replace("settings = { token", "settings = { panel_url = \"https://cp.example.com\", token");
    std::fs::write(rig.config_path(), text).unwrap();
    rig.panel().tune(|knobs| knobs.rebuilds_expected = true);
    let host = rig.host().await;
    let created = host.run(Hook::Create, SERVICE).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    (rig, host)
}

async fn send(host: &Host, hook: Hook, body: Value, key: &str) -> Operation {
    let id: OperationId = match host.send_with(hook, body, Some(key)).await {
        Ok(id) => id,
        Err(problem) => panic!("{hook} is refused: {problem}"),
    };
    host.drive(&id).await
}

/// Runs a hook that must succeed and gives its outcome.
async fn run(host: &Host, hook: Hook, body: Value, key: &str) -> Value {
    let done = send(host, hook, body, key).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    done.outcome.unwrap_or_default()
}

async fn read(host: &Host, hook: Hook, body: Value) -> Result<Outcome, billhook_plugin_api::Fault> {
    let body = HookBody::parse(body.to_string().as_bytes()).unwrap();
    match host.engine.read_hook(PLATFORM, hook, body).await {
        Ok(answer) => Ok(answer.outcome),
        Err(ReadFailure::Fault { fault, .. }) => Err(*fault),
        Err(ReadFailure::Problem(problem)) => panic!("{hook}: {problem}"),
    }
}

async fn secret(host: &Host, name: &str) -> String {
    host.service(SERVICE).await.unwrap().secrets[name].expose().clone()
}

async fn finish(rig: &Rig, host: Host) {
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

fn count(rig: &Rig, wanted: fn(Effect) -> bool) -> usize {
    rig.panel().count_effects(wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_gets_what_another_product_has() {
    let (rig, host) = started().await;

    let large = run(&host, Hook::ChangePackage, package("vps-large"), "a").await;
    let server = rig.panel().servers().remove(0);
    assert_eq!((server.package_id, server.memory_mb, server.storage_gb, server.cpu_cores), (2, 4_096, 40, 4));
    assert!(large["pending"].as_str().unwrap().contains("restart"), "{large}");
    assert_eq!(host.service(SERVICE).await.unwrap().product, "vps-large");
    assert_eq!(run(&host, Hook::ChangePackage, package("vps-large"), "b").await["noop"], json!(true));

    // The same package, and parts that the product has instead of it.
    run(&host, Hook::ChangePackage, package("vps-custom"), "c").await;
    let server = rig.panel().servers().remove(0);
    assert_eq!((server.memory_mb, server.traffic_gb, server.addresses.len()), (2_048, 700, 3));

    let small = run(&host, Hook::ChangePackage, package("vps"), "d").await;
    let server = rig.panel().servers().remove(0);
    assert_eq!((server.package_id, server.memory_mb, server.storage_gb, server.addresses.len()), (1, 1_024, 40, 3));
    let told = small["message"]["staff"].as_str().unwrap();
    assert!(told.contains("it is (GB) 40") && told.contains("there are 3"), "{told}");
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::PackageChanged(_))), 2);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_a_restart_is_no_longer_pending_after_one() {
    let (rig, host) = started().await;
    run(&host, Hook::ChangePackage, package("vps-large"), "a").await;
    assert!(host.service(SERVICE).await.unwrap().pending.is_some());

    run(&host, Hook::Power, power(PowerAction::Reboot), "b").await;
    while host.service(SERVICE).await.unwrap().pending.is_some() {
        host.pass_time().await;
    }

    assert!(!rig.panel().servers()[0].needs_restart);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addons_are_added_once_for_each_order() {
    let (rig, host) = started().await;
    for (key, orders) in [("a", 1), ("a", 1), ("b", 2)] {
        run(&host, Hook::OrderAddons, addons(), key).await;
        let server = rig.panel().servers().remove(0);
        assert_eq!((server.addresses.len(), server.blocks), (1 + 2 * orders, vec![(1, 100); orders]));
    }
    let refused =
        send(&host, Hook::OrderAddons, with(Hook::OrderAddons, json!({ "addons": [{ "id": "ram" }] })), "c").await;
    assert_eq!(refused.fault.unwrap().class, FaultClass::InvalidInput);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_that_is_told_opens_the_door() {
    let (rig, host) = started().await;
    let server = rig.panel().servers().remove(0);
    assert_eq!(rig.panel().guest_password(server.id), Some(secret(&host, "root_password").await));

    for (target, name) in [("root", "root_password"), ("account", "panel_password"), ("root", "root_password")] {
        run(&host, Hook::ChangePassword, password(target), &format!("{target}{}", rig.panel().ledger().len())).await;
        let opens = match target {
            "root" => rig.panel().guest_password(server.id),
            _ => rig.panel().login_password(server.owner_id),
        };
        assert_eq!(opens, Some(secret(&host, name).await), "{target}");
    }
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::PasswordReset(_))), 2);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_goes_where_it_is_sent_and_stays_there() {
    let (rig, host) = started().await;
    for (key, action, noop, running) in [
        ("a", PowerAction::Start, true, true),
        ("b", PowerAction::Shutdown, false, false),
        ("c", PowerAction::Stop, true, false),
        ("d", PowerAction::Start, false, true),
        ("e", PowerAction::Stop, false, false),
        ("f", PowerAction::Reset, false, true),
        ("g", PowerAction::Reset, false, true),
        ("h", PowerAction::Reboot, false, true),
    ] {
        let outcome = run(&host, Hook::Power, power(action), key).await;
        assert_eq!(outcome["noop"].as_bool().unwrap_or_default(), noop, "{key} {action}");
        assert_eq!(rig.panel().servers()[0].running, running, "{key} {action}");
    }
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::PowerQueued(_))), 3 + 1 + 2 + 1);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_on_the_panel_fails_the_hook() {
    let (rig, host) = started().await;
    rig.panel().tune(|knobs| knobs.tasks_fail = true);
    for (hook, body) in [(Hook::Power, power(PowerAction::Stop)), (Hook::ChangePassword, password("root"))] {
        let failed = send(&host, hook, body, hook.as_str()).await;
        assert_eq!(failed.state, State::Failed, "{failed:#?}");
        assert!(failed.fault.unwrap().staff.contains("could not finish"));
    }
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_server_is_neither_started_nor_installed() {
    let (rig, host) = started().await;
    host.run(Hook::Suspend, SERVICE).await;
    for (hook, body) in [(Hook::Power, power(PowerAction::Start)), (Hook::Reinstall, reinstall())] {
        let refused = send(&host, hook, body, hook.as_str()).await;
        assert_eq!(refused.state, State::Failed, "{refused:#?}");
        assert!(refused.fault.unwrap().staff.contains("unsuspend"));
    }
    assert!(!rig.panel().servers()[0].running);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_installed_anew_and_its_new_password_told() {
    let (rig, host) = started().await;
    let before = rig.panel().servers().remove(0);

    run(&host, Hook::Reinstall, reinstall(), "a").await;

    let after = rig.panel().servers().remove(0);
    assert_eq!((after.id, after.os_id, after.state), (before.id, 11, "complete"));
    assert!(after.built_at > before.built_at);
    assert_eq!(rig.panel().guest_password(after.id), Some(secret(&host, "root_password").await));

    rig.panel().tune(|knobs| knobs.build_outcome = BuildOutcome::Fails);
    let failed = send(&host, Hook::Reinstall, reinstall(), "b").await;
    assert_eq!((failed.state, rig.panel().servers().len()), (State::Failed, 1), "{failed:#?}");
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actions_change_what_they_name() {
    let (rig, host) = started().await;
    run(&host, Hook::OrderAddons, addons(), "addresses").await;
    let extra = rig.panel().servers()[0].addresses[1..].to_vec();
    for (name, params) in [
        ("rename", json!({ "name": "web-1" })),
        ("backup_plan", json!({ "plan_id": 3 })),
        ("cpu_throttle", json!({ "percent": 40 })),
        ("remove_ipv4", json!({ "ips": extra })),
    ] {
        let first = run(&host, Hook::Action, action(name, params.clone()), &format!("{name}-1")).await;
        let again = run(&host, Hook::Action, action(name, params), &format!("{name}-2")).await;
        assert_eq!((&first["data"], &again["noop"]), (&json!({ "changed": true }), &json!(true)), "{name}");
    }
    let server = rig.panel().servers().remove(0);
    assert_eq!((server.name.as_str(), server.backup_plan, server.throttle), ("web-1", Some(3), 40));
    assert_eq!(server.addresses.len(), 1);
    for name in ["templates", "backups", "traffic"] {
        assert!(read(&host, Hook::Action, action(name, json!({}))).await.unwrap().data.is_array(), "{name}");
    }
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_in_are_given_out_and_kept_nowhere() {
    let (rig, host) = started().await;

    let link = read(&host, Hook::Login, with(Hook::Login, json!({}))).await.unwrap();
    let screen = read(&host, Hook::Console, with(Hook::Console, json!({}))).await.unwrap();

    let now = billhook::clock::Clock::unix_ms(&rig.clock);
    assert!(link.secrets["url"].expose().starts_with("https://cp.example.com/token_authenticate/?1="));
    assert_eq!(link.expires_at, Some(now + 60_000));
    assert!(screen.secrets["url"].expose().starts_with("wss://cp.example.com/vnc/?token="));
    assert_eq!(screen.kind.as_deref(), Some("vnc_websocket"));
    assert!(rig.panel().servers()[0].vnc_enabled);
    let kept = host.service(SERVICE).await.unwrap().secrets;
    assert!(!kept.contains_key("url") && !kept.contains_key("password"), "{kept:?}");

    run(&host, Hook::Action, action("close_console", json!({})), "close").await;
    assert!(!rig.panel().servers()[0].vnc_enabled);

    run(&host, Hook::Power, power(PowerAction::Stop), "stop").await;
    assert_eq!(
        read(&host, Hook::Console, with(Hook::Console, json!({}))).await.unwrap_err().class,
        FaultClass::InvalidInput
    );
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_what_the_panel_counts() {
    let (rig, host) = started().await;
    run(&host, Hook::OrderAddons, addons(), "a").await;
    let id = rig.panel().servers()[0].id;

    let usage = read(&host, Hook::Usage, with(Hook::Usage, json!({}))).await.unwrap().usage;

    let found: Vec<(&str, u64, Option<u64>)> =
        usage.iter().map(|measure| (measure.name.as_str(), measure.used, measure.limit)).collect();
    let expected = [
        ("traffic", id * 1_000_003 + id * 7_919, Some(300 << 30)),
        ("disk", 1_288_490_188, Some(10 << 30)),
        ("memory", (983_040 - 524_288) * 1_024, Some(1_024 << 20)),
    ];
    assert_eq!(found, expected);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panel_is_listed_to_its_last_page() {
    let (rig, host) = started().await;
    let owner_id = rig.panel().seed_user(UserSeed { email: "else@example.com".into(), ..UserSeed::default() });
    for n in 0..420 {
        rig.panel().seed_server(ServerSeed { owner_id, name: format!("foreign-{n}"), ours: false });
    }

    let accounts = read(&host, Hook::List, json!({ "server": "panel" })).await.unwrap().accounts.unwrap();

    assert_eq!(accounts.len(), 421);
    assert_eq!(accounts[0].remote_id, rig.panel().servers()[0].id.to_string());
    assert!(accounts.iter().all(|account| account.state == ServiceState::Active));
    assert_eq!(rig.panel().calls_to("GET", "/servers").len(), 3);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_settings_are_read_from_the_panel() {
    let (rig, host) = started().await;
    let values = async |field: &str| -> Vec<Value> {
        let body = json!({ "server": "panel", "field": field });
        let options = read(&host, Hook::Options, body).await.unwrap().options.unwrap();
        options.into_iter().map(|option| option.value).collect()
    };
    assert_eq!(values("package_id").await, [1, 2]);
    assert_eq!(values("hypervisor_group_id").await, [1, 2]);
    assert_eq!(values("os_template_id").await, [10, 11]);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_server_is_not_touched_by_any_hook() {
    let (rig, host) = started().await;
    let id = rig.panel().servers()[0].id;
    // Staff give the server to somebody else.
    let other = rig.panel().seed_user(UserSeed {
        name: "Else".into(),
        email: "else@example.com".into(),
        ext_relation_id: Some(99),
        rel_str: None,
    });
    rig.panel().give(id, other);
    let before = rig.panel().ledger().len();
    for (hook, body) in [
        (Hook::ChangePackage, package("vps-large")),
        (Hook::OrderAddons, addons()),
        (Hook::ChangePassword, password("root")),
        (Hook::ChangePassword, password("account")),
        (Hook::Power, power(PowerAction::Stop)),
        (Hook::Power, power(PowerAction::Reboot)),
        (Hook::Power, power(PowerAction::Reset)),
        (Hook::Reinstall, reinstall()),
        (Hook::Action, action("rename", json!({ "name": "x" }))),
    ] {
        let what = body.to_string();
        let refused = send(&host, hook, body, &what).await;
        assert_eq!(refused.fault.unwrap().class, FaultClass::NotFound, "{what}");
    }
    for hook in [Hook::Login, Hook::Console, Hook::Usage] {
        assert_eq!(read(&host, hook, with(hook, json!({}))).await.unwrap_err().class, FaultClass::NotFound, "{hook}");
    }
    assert!(rig.panel().ledger()[before..].iter().all(|call| call.effect == Effect::None));
    finish(&rig, host).await;
}
