//! ApisCP's hooks through the host: what each makes of the panel, once, by many at once, broken, and where the billing modules
//! of today go wrong.

mod at_once;
mod crash;
mod defects;
mod groups;
mod life;

use billhook::engine::ReadFailure;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::Operation;
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Fault, FaultClass, Hook};
use billhook_tests::apiscp::{ApisCp, Config, Effect, SiteView};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use serde_json::{Value, json};

/// The service of every test here.
const SERVICE: &str = "1007";
/// The invoice that its site has.
const INVOICE: &str = "billhook-shop-1007";
/// The domain that it is ordered with.
const DOMAIN: &str = "svc1007.example.net";
/// With every character that some form of writing changes.
const PASSWORD: &str = "N3w \"P4ss\" &<w>' \u{fc}]]>";

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

fn password() -> Value {
    with(Hook::ChangePassword, json!({ "password": PASSWORD }))
}

fn action(name: &str, params: Value) -> Value {
    with(Hook::Action, json!({ "action": name, "params": params }))
}

/// A service whose site is there.
async fn started() -> (Rig<ApisCp>, Host) {
    started_with(Setup::default(), |_| {}).await
}

async fn started_with(setup: Setup, panel: impl FnOnce(&mut Config)) -> (Rig<ApisCp>, Host) {
    let rig = Rig::apiscp_with(setup, panel);
    let host = rig.host().await;
    let created = host.run(Hook::Create, SERVICE).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    (rig, host)
}

async fn send(host: &Host, hook: Hook, body: Value, key: &str) -> Operation {
    match host.send_with(hook, body, Some(key)).await {
        Ok(id) => host.drive(&id).await,
        Err(problem) => panic!("{hook} is refused: {problem}"),
    }
}

/// Runs a hook that must succeed and gives its outcome.
async fn run(host: &Host, hook: Hook, body: Value, key: &str) -> Value {
    let done = send(host, hook, body, key).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    done.outcome.unwrap_or_default()
}

/// Runs a hook that must fail and gives its fault.
async fn refused(host: &Host, hook: Hook, body: Value, key: &str) -> Fault {
    let failed = send(host, hook, body, key).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    failed.fault.expect("a failed operation has a fault")
}

async fn read(host: &Host, hook: Hook, body: Value) -> Result<Outcome, Fault> {
    let body = HookBody::parse(body.to_string().as_bytes()).expect("a body");
    match host.engine.read_hook(PLATFORM, hook, body).await {
        Ok(answer) => Ok(answer.outcome),
        Err(ReadFailure::Fault { fault, .. }) => Err(*fault),
        Err(ReadFailure::Problem(problem)) => panic!("{hook}: {problem}"),
    }
}

async fn look(host: &Host, hook: Hook, more: Value) -> Outcome {
    match read(host, hook, with(hook, more)).await {
        Ok(outcome) => outcome,
        Err(fault) => panic!("{hook}: {fault:?}"),
    }
}

/// The service's site.
#[track_caller]
fn site(rig: &Rig<ApisCp>) -> SiteView {
    let found = rig.panel().sites().into_iter().find(|site| site.invoice.as_deref() == Some(INVOICE));
    found.expect("the service has a site")
}

/// What the service keeps as its password.
async fn secret(host: &Host) -> String {
    host.service(SERVICE).await.expect("a service").secrets["password"].expose().clone()
}

fn count(rig: &Rig<ApisCp>, wanted: impl Fn(Effect) -> bool) -> usize {
    rig.panel().count_effects(wanted)
}

#[track_caller]
fn assert_clean(rig: &Rig<ApisCp>) {
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    assert_eq!(rig.panel().complaints(), Vec::<String>::new());
}

async fn finish(rig: &Rig<ApisCp>, host: Host) {
    assert_clean(rig);
    host.stop().await;
}

/// An address that has nothing to do with the host's own.
const ADDRESS: &str = "203.0.113.9";

/// The class of a fault that must have come.
#[track_caller]
fn class<T: std::fmt::Debug>(result: Result<T, Fault>) -> FaultClass {
    result.expect_err("a fault").class
}
