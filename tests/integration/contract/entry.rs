//! What the suite has to know of a provider, and a service of it to hold the claims against.

use super::codes::Coded;
use billhook::engine::ReadFailure;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::{Operation, Service};
use billhook_plugin_api::{Fault, Hook};
use billhook_tests::harness::{Host, PLATFORM, Provider, Rig, body};
use billhook_tests::panel::World;
use serde_json::{Value, json};
use std::time::Duration;

/// The service of every claim.
pub const SERVICE: &str = "1007";

/// Makes a panel and a configuration beside it.
pub type Make<P> = fn() -> Rig<P>;

/// A provider in the suite's table.
pub trait Entry: Provider + Sized + 'static {
    /// Calls that a look can do without: what they say is added where it can be read.
    const HELPS: &'static [&'static str] = &[];

    /// Members that may be any word, so that another word is another value and no other type.
    const WORDS: &'static [&'static str] = &[];

    /// A panel that is quick, and a configuration by which every hook can be sent.
    fn rig() -> Rig<Self>;

    /// What happens to a service after its create, in the order of a life; the last one is its end.
    fn changes() -> Vec<Event>;

    /// The hooks that only look.
    fn looks() -> Vec<Event>;

    /// Tells the fake that an event of this name is wanted, where it would take that for a mistake.
    fn expect(rig: &Rig<Self>, event: &str) {
        let _ = (rig, event);
    }

    /// Everything on the panel that a customer could miss or be charged for, without passwords and times.
    fn state(rig: &Rig<Self>) -> Value;

    /// The codes of the panel's contract, each as the panel says it.
    fn codes() -> Vec<Coded>;

    /// Somebody removes what the service has, on the panel and by hand.
    fn remove(rig: &Rig<Self>);

    /// The next customer gets what the service had when the panel was in this state: the same id, address or name, as far
    /// as the panel gives it again.
    fn next_customer(rig: &Rig<Self>, was: &Value);
}

/// A hook as a platform sends it.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name here.
    pub name: &'static str,
    /// Which hook.
    pub hook: Hook,
    /// What is sent.
    pub body: Value,
    /// Whether it has one effect under whatever key it comes again.
    pub is_one: bool,
    /// Events that must have been before it.
    pub after: &'static [&'static str],
}

impl Event {
    /// A hook with these members besides the usual ones.
    pub fn new(name: &'static str, hook: Hook, more: Value) -> Self {
        let mut body = match hook {
            Hook::List => json!({ "server": "panel" }),
            Hook::Options => json!({ "server": "panel" }),
            _ => body(hook, SERVICE),
        };
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        Self { name, hook, body, is_one: false, after: &[] }
    }

    /// A hook as it usually is.
    pub fn plain(name: &'static str, hook: Hook) -> Self {
        Self::new(name, hook, json!({}))
    }

    /// The first of every life.
    pub fn create() -> Self {
        Self::plain("create", Hook::Create).one()
    }

    pub fn one(mut self) -> Self {
        self.is_one = true;
        self
    }

    pub fn after(mut self, names: &'static [&'static str]) -> Self {
        self.after = names;
        self
    }
}

/// A host beside a panel.
pub struct House<P: Provider> {
    pub rig: Rig<P>,
    pub host: Host,
}

impl<P: Entry> House<P> {
    /// Without a service.
    pub async fn empty(rig: Make<P>) -> Self {
        let rig = rig();
        let host = rig.host().await;
        Self { rig, host }
    }

    /// With a service.
    pub async fn made(rig: Make<P>) -> Self {
        let house = Self::empty(rig).await;
        house.succeed(&Event::create(), "made").await;
        house
    }

    /// With all that must have been before an event.
    pub async fn before(rig: Make<P>, event: &Event) -> Self {
        if event.hook == Hook::Create {
            return Self::empty(rig).await;
        }
        let house = Self::made(rig).await;
        for name in event.after {
            let earlier = P::changes().into_iter().find(|change| change.name == *name).expect("an event of that name");
            house.succeed(&earlier, "before").await;
        }
        P::expect(&house.rig, event.name);
        // Nothing happens in the second of what was before.
        house.host.advance(Duration::from_secs(60));
        house
    }

    /// Sends an event under a key and drives it to its end.
    pub async fn send(&self, event: &Event, key: &str) -> Operation {
        match self.host.send_with(event.hook, event.body.clone(), Some(key)).await {
            Ok(id) => self.host.drive(&id).await,
            Err(problem) => panic!("{} {} is refused: {problem}", P::NAME, event.name),
        }
    }

    /// The same for one that must succeed.
    pub async fn succeed(&self, event: &Event, key: &str) -> Operation {
        let done = self.send(event, &format!("{key}-{}", event.name)).await;
        let why = (&done.reason, &done.fault);
        assert_eq!(done.state, State::Succeeded, "{} {}: {why:?}\n{}", P::NAME, event.name, self.trace());
        done
    }

    /// Sends a hook that only looks.
    pub async fn look(&self, event: &Event) -> Result<Value, Fault> {
        let body = HookBody::parse(event.body.to_string().as_bytes()).unwrap();
        match self.host.engine.read_hook(PLATFORM, event.hook, body).await {
            Ok(answer) => Ok(serde_json::to_value(answer.outcome).unwrap()),
            Err(ReadFailure::Fault { fault, .. }) => Err(*fault),
            Err(ReadFailure::Problem(problem)) => panic!("{} {}: {problem}", P::NAME, event.name),
        }
    }

    pub async fn service(&self) -> Option<Service> {
        self.host.service(SERVICE).await
    }

    /// The panel's state once what it has begun has come to its end.
    pub fn settled(&self) -> Value {
        self.host.advance(Duration::from_secs(60));
        P::state(&self.rig)
    }

    /// What was changed on the panel, in order; that somebody has signed in changes nothing for anybody.
    pub fn effects(&self) -> Vec<String> {
        let nothing = <P::World as World>::Effect::default();
        let calls = self.rig.panel().ledger();
        let effects = calls.iter().filter(|call| call.effect != nothing).map(|call| format!("{:?}", call.effect));
        effects
            .filter(|effect| !["SignedIn", "KeyMade", "SessionOpened"].iter().any(|s| effect.starts_with(s)))
            .collect()
    }

    #[track_caller]
    pub fn assert_sound(&self, what: &str) {
        assert_eq!(self.rig.panel().check(), Vec::<String>::new(), "{} {what}\n{}", P::NAME, self.trace());
        assert_eq!(self.rig.panel().violations(), Vec::<String>::new(), "{} {what}\n{}", P::NAME, self.trace());
    }

    pub fn trace(&self) -> String {
        let calls = self.rig.panel().ledger();
        let line = |call: &billhook_tests::panel::Call<_>| {
            let billhook_tests::panel::Call { number, method, path, effect, outcome, .. } = call;
            format!("{number} {method} {path} {effect:?} {outcome:?}\n")
        };
        calls.iter().map(line).collect()
    }

    /// What is told without what differs from run to run: passwords that were made, and times.
    pub async fn without_chance(&self, told: Value) -> Value {
        let mut secrets = self.rig.panel().secrets();
        if let Some(service) = self.service().await {
            secrets.extend(service.secrets.values().map(|secret| secret.expose().clone()));
        }
        secrets.retain(|secret| secret.len() >= 8);
        let mut told = plain(told);
        hide(&mut told, &secrets);
        told
    }
}

fn hide(value: &mut Value, secrets: &[String]) {
    match value {
        Value::String(text) => {
            if text.starts_with("\u{2039}masked") {
                *text = "(secret)".to_owned();
            }
            for secret in secrets.iter().filter(|secret| text.contains(secret.as_str())).collect::<Vec<_>>() {
                *text = text.replace(secret.as_str(), "(secret)");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        Value::Object(members) => members.values_mut().for_each(|member| hide(member, secrets)),
        _ => {}
    }
}

/// A value without the members that hold passwords and times.
pub fn plain(mut value: Value) -> Value {
    const CHANCE: &[&str] = &[
        "password",
        "mark",
        "root_password",
        "panel_password",
        "secrets",
        "created_at",
        "created_at_call",
        "built_at",
        "deleted_at",
        "delete_at",
        "paid_until",
        "ordered_at",
        "order",
        "expires_at",
        "ends_at",
        "updated_at",
    ];
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = plain(item.take())),
        Value::Object(members) => {
            members.retain(|name, _| !CHANCE.contains(&name.as_str()));
            members.values_mut().for_each(|member| *member = plain(member.take()));
        }
        _ => {}
    }
    value
}
