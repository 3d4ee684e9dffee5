//! DCImanager's hooks through the host: what they leave on the panel, and what they tell.

mod at_once;
mod crash;
mod defects;
mod readings;

use billhook::engine::ReadFailure;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::Operation;
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Fault, FaultClass, Hook};
use billhook_tests::dcimanager::{
    Config, DciManager, Effect, Family, Flag, InstallOutcome, Manners, OwnerAs, PowerOutcome, ServerView, SessionAs,
};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use serde_json::{Value, json};
use std::time::Duration;

/// The service of most tests.
const SERVICE: &str = "1007";
/// What the product of the tests installs, and what else there is.
const DEBIAN: &str = "ISPsystem__Debian-11-x86_64";
const CENTOS: &str = "ISPsystem__CentOS-7-amd64";
/// The notes that staff have left at machine 42.
const NOTES: &str = "disk 2 swapped <2025-11> & tested";

/// The product with these lines besides.
fn product(more: &str) -> Setup {
    let lines = format!("package = \"E3-1230v6-16-2x1000SATA\"\nos = \"{DEBIAN}\"\n{more}");
    Setup { product: Some(lines), ..Setup::default() }
}

/// A server where the names of accounts are ours alone, so that a name proves whose account it is.
fn prefixed() -> Setup {
    Setup { settings: Some("account_prefix = \"bh\"".to_owned()), ..Setup::default() }
}

/// The body of a hook on a service with these members besides.
fn with(hook: Hook, service: &str, more: Value) -> Value {
    let mut body = body(hook, service);
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn reinstall(template: &str) -> Value {
    let product = json!({ "id": "vps", "options": { "os": template } });
    with(Hook::Reinstall, SERVICE, json!({ "confirm": true, "password": "New-Root-Pass-77", "product": product }))
}

fn power(action: &str) -> Value {
    with(Hook::Power, SERVICE, json!({ "power": action }))
}

fn account_password() -> Value {
    with(Hook::ChangePassword, SERVICE, json!({ "target": "account", "password": "New-Panel-Pass-77" }))
}

/// Sends a hook and drives it to its end.
async fn send(host: &Host, hook: Hook, body: Value) -> Operation {
    match host.send(hook, body).await {
        Ok(id) => host.drive(&id).await,
        Err(problem) => panic!("{hook} is refused: {problem}"),
    }
}

/// The same for one that must succeed; its outcome.
async fn run(host: &Host, hook: Hook, body: Value) -> Value {
    let done = send(host, hook, body).await;
    assert_eq!(done.state, State::Succeeded, "{hook}: {done:#?}");
    done.outcome.unwrap_or_default()
}

/// The same for one that must fail; its fault.
async fn fail(host: &Host, hook: Hook, body: Value) -> Fault {
    let done = send(host, hook, body).await;
    assert_eq!(done.state, State::Failed, "{hook}: {done:#?}");
    done.fault.expect("a failure has a fault")
}

/// The same for one that is tried until a person has to look at it; its fault.
async fn stick(host: &Host, hook: Hook, body: Value) -> Fault {
    let done = send(host, hook, body).await;
    assert_eq!(done.state, State::Attention, "{hook}: {done:#?}");
    done.fault.expect("what sticks has a fault")
}

async fn read(host: &Host, hook: Hook, body: Value) -> Result<Outcome, Fault> {
    let body = HookBody::parse(body.to_string().as_bytes()).unwrap();
    match host.engine.read_hook(PLATFORM, hook, body).await {
        Ok(answer) => Ok(answer.outcome),
        Err(ReadFailure::Fault { fault, .. }) => Err(*fault),
        Err(ReadFailure::Problem(problem)) => panic!("{hook}: {problem}"),
    }
}

/// A created service.
async fn created() -> (Rig<DciManager>, Host) {
    created_with(Setup::default(), |_| {}).await
}

async fn created_with(setup: Setup, panel: impl FnOnce(&mut Config)) -> (Rig<DciManager>, Host) {
    let rig = Rig::dcimanager_with(setup, panel);
    let host = rig.host().await;
    run(&host, Hook::Create, body(Hook::Create, SERVICE)).await;
    (rig, host)
}

async fn secret(host: &Host, service: &str, name: &str) -> Option<String> {
    let service = host.service(service).await.unwrap();
    service.secrets.get(name).map(|secret| secret.expose().clone())
}

/// The machine of a service.
async fn machine(rig: &Rig<DciManager>, host: &Host, service: &str) -> ServerView {
    let id = host.service(service).await.unwrap().remote_id.expect("it has a machine");
    rig.panel().server(id.parse().unwrap())
}

/// What was changed on machines since the ledger was so long.
fn effects(rig: &Rig<DciManager>, since: usize) -> Vec<Effect> {
    let calls = rig.panel().ledger().split_off(since);
    calls.into_iter().map(|call| call.effect).filter(|effect| effect.server_id().is_some()).collect()
}

#[track_caller]
fn assert_clean(rig: &Rig<DciManager>) {
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    assert_eq!(rig.panel().check(), Vec::<String>::new(), "{}", trace(rig));
}

fn trace(rig: &Rig<DciManager>) -> String {
    let calls = rig.panel().ledger();
    calls.iter().map(|call| format!("{} {} {:?} {:?}\n", call.number, call.path, call.effect, call.outcome)).collect()
}

/// Machine 42 as if nobody had ever bought it.
#[track_caller]
fn assert_untouched(rig: &Rig<DciManager>, id: u64) {
    let server = rig.panel().server(id);
    let notes = if id == 42 { NOTES } else { "" };
    assert_eq!((server.owner, &*server.hostname, &*server.notes), (None, "free.ds", notes));
    assert!(!server.is_disabled && !server.is_installing);
    assert_eq!(server.addresses.len(), 1);
}

/// What was decided beside the passwords is no secret with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_of_a_machine_is_told_and_its_passwords_are_not() {
    let rig = Rig::dcimanager_with(product(""), |_| {});
    let host = rig.host().await;

    let told = run(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    assert_eq!(told["properties"]["domain"], "svc1007.example.net", "{told}");
    assert!(told["properties"]["mark"].as_str().is_some_and(|mark| !mark.contains("masked")), "{told}");
    let password = secret(&host, SERVICE, "root_password").await.unwrap();
    assert!(!told.to_string().contains(&password), "{told}");
    host.stop().await;
}

/// Every changing hook once, in every way in which a panel may write its answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_service_reaches_the_panel_whatever_its_answers_look_like() {
    let other = Manners {
        owner: OwnerAs::Id,
        empty_owner_key: true,
        trailing_dots: true,
        error_status: 500,
        session: SessionAs::Text,
        saved_filter: Some("R9".into()),
        ipmi_field: "ipmiip",
        exact_volumes: false,
        deep_reports: true,
        tells_level: false,
        ..Manners::default()
    };
    let attribute = Manners { session: SessionAs::Attribute, ..Manners::default() };
    for manners in [Manners::default(), other, attribute] {
        let setup = product("IP = 2\nIPv6 = 1\nrecipe = \"local__cloud-init\"\n");
        let (rig, host) = created_with(setup, |panel| panel.knobs.manners = manners).await;
        let pool = rig.panel().free_addresses();
        let server = async || machine(&rig, &host, SERVICE).await;

        let made = server().await;
        let account = rig.panel().made_accounts().pop().unwrap();
        let service = host.service(SERVICE).await.unwrap();
        assert_eq!((made.owner.as_deref(), &*made.hostname), (Some(&*account.name), "svc1007.example.net"));
        assert_eq!((made.system.as_deref(), made.recipe.as_deref()), (Some(DEBIAN), Some("local__cloud-init")));
        assert_eq!(made.root_password, secret(&host, SERVICE, "root_password").await);
        assert_eq!(Some(account.password), secret(&host, SERVICE, "panel_password").await);
        assert_eq!((made.further(Family::Ipv4), made.further(Family::Ipv6), made.is_on), (2, 1, Some(true)));
        assert_eq!(made.configured.len(), 4, "addresses were there before the installation");
        assert!(made.addresses.iter().all(|address| address.domain == "svc1007.example.net"), "{made:#?}");
        assert_eq!(service.username.as_deref(), Some(&*account.name));

        run(&host, Hook::Suspend, body(Hook::Suspend, SERVICE)).await;
        assert!(server().await.is_disabled && !server().await.is_connected, "done means done on the panel");
        run(&host, Hook::Unsuspend, body(Hook::Unsuspend, SERVICE)).await;
        assert!(!server().await.is_disabled && server().await.is_connected);

        let before = rig.panel().ledger().len();
        run(&host, Hook::Renew, body(Hook::Renew, SERVICE)).await;
        assert_eq!(effects(&rig, before), []);

        run(&host, Hook::Power, power("stop")).await;
        assert_eq!(server().await.is_on, Some(false));
        run(&host, Hook::Power, power("start")).await;
        assert_eq!(server().await.is_on, Some(true));
        run(&host, Hook::Power, power("reboot")).await;
        assert_eq!(rig.panel().count_effects(|effect| matches!(effect, Effect::Rebooted(_))), 1);

        run(&host, Hook::ChangePassword, account_password()).await;
        let account = rig.panel().made_accounts().pop().unwrap();
        assert_eq!(Some(&account.password), secret(&host, SERVICE, "panel_password").await.as_ref());
        assert_eq!(account.password, "New-Panel-Pass-77");

        rig.panel().expect_installs(made.id, 2);
        run(&host, Hook::Reinstall, reinstall(CENTOS)).await;
        let anew = server().await;
        assert_eq!((anew.system.as_deref(), anew.recipe.as_deref()), (Some(CENTOS), Some("local__cloud-init")));
        assert_eq!(anew.root_password, secret(&host, SERVICE, "root_password").await);
        assert_eq!((anew.owner, anew.addresses), (made.owner, made.addresses));

        let ended = run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;
        assert_eq!(ended["gone"], json!(true), "{ended}");
        assert_untouched(&rig, made.id);
        assert_eq!(rig.panel().server(made.id).is_on, Some(false));
        assert!(rig.panel().server(made.id).is_free);
        assert_eq!(rig.panel().free_addresses(), pool + 3);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_wait_hands_the_machine_over_while_it_is_installed() {
    let rig = Rig::dcimanager_with(product("dont_wait = true\n"), |_| {});
    let host = rig.host().await;

    run(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    let made = machine(&rig, &host, SERVICE).await;
    assert!(made.is_installing && made.owner.is_some_and(|owner| owner != "whmcs"));
    host.advance(Duration::from_secs(1_000));
    assert_eq!(machine(&rig, &host, SERVICE).await.system.as_deref(), Some(DEBIAN));
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_one_customer_share_an_account_and_have_passwords_of_their_own() {
    let rig = Rig::dcimanager();
    rig.panel().expect_servers(2);
    let host = rig.host().await;

    run(&host, Hook::Create, body(Hook::Create, "1")).await;
    run(&host, Hook::Create, body(Hook::Create, "2")).await;

    let (one, two) = (machine(&rig, &host, "1").await, machine(&rig, &host, "2").await);
    assert_eq!((one.owner.clone(), one.id == two.id), (two.owner.clone(), false));
    assert_eq!(rig.panel().made_accounts().len(), 1);
    assert_ne!(one.root_password, two.root_password);
    assert_eq!(two.root_password, secret(&host, "2", "root_password").await);
    assert_eq!(secret(&host, "2", "panel_password").await, None, "the account keeps the first one's");

    // What ends with one service does not end with the other.
    run(&host, Hook::Suspend, body(Hook::Suspend, "1")).await;
    assert!(rig.panel().made_accounts()[0].enabled);
    assert!(!machine(&rig, &host, "2").await.is_disabled);
    run(&host, Hook::Terminate, body(Hook::Terminate, "1")).await;
    assert_untouched(&rig, one.id);
    assert_eq!(machine(&rig, &host, "2").await.owner, two.owner);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_machine_can_be_sold_again_once_the_panel_has_looked_at_it() {
    let (rig, host) = created_with(prefixed(), |panel| {
        panel.servers.retain(|server| server.id == 42);
        panel.knobs.diagnostics_ms = Some(3_600_000);
    })
    .await;
    run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;

    let next = host.send(Hook::Create, body(Hook::Create, "2")).await.unwrap();
    host.rest().await;
    let waiting = host.operation(&next).await;
    let fault = waiting.fault.expect("a reason to wait");
    assert_eq!((waiting.state, fault.class), (State::Waiting, FaultClass::Capacity));
    assert!(fault.staff.contains("diagnostics"), "{fault}");
    assert_eq!(host.drive(&next).await.state, State::Succeeded);

    assert_eq!(machine(&rig, &host, "2").await.id, 42);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_session_is_renewed_and_nothing_happens_twice() {
    let (rig, host) = created().await;
    for (hook, body) in [
        (Hook::Suspend, body(Hook::Suspend, SERVICE)),
        (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE)),
        (Hook::Power, power("reboot")),
        (Hook::Terminate, body(Hook::Terminate, SERVICE)),
    ] {
        match hook {
            Hook::Suspend => rig.panel().end_sessions(),
            Hook::Unsuspend => rig.panel().move_client(),
            _ => host.advance(Duration::from_secs(4_000)),
        }
        run(&host, hook, body).await;
    }
    assert_eq!(rig.panel().count_effects(|effect| matches!(effect, Effect::Rebooted(_))), 1);
    assert_clean(&rig);
    host.stop().await;
}
