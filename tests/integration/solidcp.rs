//! SolidCP's hooks through the host: a service's life on every version and in every wording, by many callers at once, and
//! the traps that the panel lays.

mod at_once;
mod life;
mod traps;

use billhook::engine::ReadFailure;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::Operation;
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Fault, Hook};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use billhook_tests::solidcp::{Config, Effect, MachineView, SolidCp, SpaceView};
use serde_json::{Value, json};
use std::time::Duration;

/// The service of every test here.
const SERVICE: &str = "1007";

/// A portal and, besides, what a test wants.
fn setup() -> Setup {
    let settings = Some("portal_url = \"https://cp.example.test:9001\"".to_owned());
    Setup { settings, ..Setup::default() }
}

/// The usual product with other settings besides or instead.
fn product(change: &str) -> Setup {
    let own = "cpu_cores = 2\nmemory_mb = 4096\ndisk_gb = 60\nos_template = \"win2022.vhdx\"\n";
    let plans = if change.contains("plans = ") { "" } else { "plans = [11]\n" };
    Setup { product: Some(format!("{plans}{own}{change}\n")), ..setup() }
}

fn rig(setup: Setup, panel: impl FnOnce(&mut Config)) -> Rig<SolidCp> {
    Rig::solidcp_with(setup, panel)
}

/// A created service.
async fn created() -> (Rig<SolidCp>, Host) {
    created_on(setup(), |_| {}).await
}

async fn created_on(setup: Setup, panel: impl FnOnce(&mut Config)) -> (Rig<SolidCp>, Host) {
    let rig = rig(setup, panel);
    let host = rig.host().await;
    run(&host, Hook::Create).await;
    (rig, host)
}

/// The body of a hook on the service with these members besides.
fn with(hook: Hook, more: Value) -> Value {
    let mut body = body(hook, SERVICE);
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn to_large() -> Value {
    with(Hook::ChangePackage, json!({ "product": { "id": "vps-large" } }))
}

fn power(word: &str) -> Value {
    with(Hook::Power, json!({ "power": word }))
}

async fn send(host: &Host, hook: Hook, body: Value) -> Operation {
    match host.send(hook, body).await {
        Ok(id) => host.drive(&id).await,
        Err(problem) => panic!("{hook} is refused: {problem}"),
    }
}

async fn run(host: &Host, hook: Hook) -> Operation {
    succeed(host, hook, body(hook, SERVICE)).await
}

async fn succeed(host: &Host, hook: Hook, body: Value) -> Operation {
    let done = send(host, hook, body).await;
    assert_eq!(done.state, State::Succeeded, "{hook}: {done:#?}");
    done
}

async fn read(host: &Host, hook: Hook, body: Value) -> Result<Outcome, Fault> {
    let body = HookBody::parse(body.to_string().as_bytes()).unwrap();
    match host.engine.read_hook(PLATFORM, hook, body).await {
        Ok(answer) => Ok(answer.outcome),
        Err(ReadFailure::Fault { fault, .. }) => Err(*fault),
        Err(ReadFailure::Problem(problem)) => panic!("{hook}: {problem}"),
    }
}

fn machine(rig: &Rig<SolidCp>) -> MachineView {
    rig.panel().machines().pop().expect("a machine is there")
}

fn space(rig: &Rig<SolidCp>) -> SpaceView {
    rig.panel().spaces().pop().expect("a space is there")
}

fn count(rig: &Rig<SolidCp>, wanted: fn(Effect) -> bool) -> usize {
    rig.panel().count_effects(wanted)
}

/// Lets the panel end what it has begun and nobody waits for: a user goes after the answer.
fn let_the_panel_end(host: &Host) {
    host.advance(Duration::from_secs(10));
}

/// Calls that change something.
fn changes(rig: &Rig<SolidCp>) -> usize {
    count(rig, |effect| effect != Effect::None)
}

/// Besides the panel's own opinion, that of a program that knows only the contract's schemas.
#[track_caller]
fn assert_clean(rig: &Rig<SolidCp>) {
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    assert_eq!(rig.panel().complaints(), Vec::<String>::new());
}
