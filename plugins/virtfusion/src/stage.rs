//! A panel small enough to read, for the tests of the hooks: it keeps users and servers, and breaks where it is told to.

mod guest;

use crate::VirtFusion;
use crate::settings::{Product, Server, UserRelation};
use billhook_plugin_api::testing::{Ended, Scripted, ScriptedHost, reply, reply_as};
use billhook_plugin_api::{Client, Create, Fault, FaultClass, Request, Service, Terminate};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// How a call breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Break {
    NeverLeft,
    /// The answer is lost; the work is done or not.
    Lost {
        done: bool,
    },
    /// This answer instead of the true one; the work is done or not.
    Says {
        done: bool,
        status: u16,
        body: &'static str,
    },
    /// A web page with this status; the work is done or not.
    Page {
        done: bool,
        status: u16,
    },
}

const fn says(done: bool, status: u16, body: &'static str) -> Break {
    Break::Says { done, status, body }
}

/// Every way in which the tests break a change.
pub const BREAKS: [Break; 15] = [
    Break::NeverLeft,
    Break::Lost { done: false },
    Break::Lost { done: true },
    says(false, 500, r#"{"message":"Server Error"}"#),
    says(true, 500, r#"{"message":"Server Error"}"#),
    says(true, 504, ""),
    says(true, 200, ""),
    says(true, 201, r#"{"data":"#),
    says(true, 201, r#"{"data":{"id":"text"}}"#),
    says(true, 200, r#"{"msg":"no"}"#),
    Break::Page { done: false, status: 200 },
    Break::Page { done: true, status: 200 },
    Break::Page { done: true, status: 302 },
    Break::Page { done: false, status: 404 },
    Break::Page { done: true, status: 403 },
];

/// Runs again while steps settle or faults pass, as the host does.
pub fn to_end<T>(mut run: impl FnMut() -> Ended<T>) -> Ended<T> {
    for _ in 0..6 {
        match run() {
            Ended::Settling(_) => {}
            Ended::Fault(fault)
                if matches!(fault.class, FaultClass::Unreachable | FaultClass::InDoubt | FaultClass::PanelBug) => {}
            ended => return ended,
        }
    }
    panic!("it never ends");
}

/// What a run returned.
#[track_caller]
pub fn ok<T: std::fmt::Debug>(ended: Ended<T>) -> T {
    match ended {
        Ended::Ok(value) => value,
        other => panic!("{other:?}"),
    }
}

/// The fault of a run.
#[track_caller]
pub fn fault<T: std::fmt::Debug>(ended: Ended<T>) -> Fault {
    match ended {
        Ended::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[derive(Debug, Clone)]
pub struct Machine {
    pub owner: u64,
    pub name: String,
    pub state: &'static str,
    pub commission: u8,
    pub build_failed: bool,
    pub built: bool,
    pub suspended: bool,
    pub busy: bool,
    pub os: u64,
    pub memory: u64,
    pub cores: u64,
    pub storage: u64,
    pub traffic: u64,
    pub ips: Vec<String>,
    pub blocks: Vec<(u64, u64)>,
    pub backup_plan: Option<u64>,
    pub throttle: u64,
    pub vnc: bool,
    pub built_at: u32,
    pub last_task: Option<String>,
    pub builds: u32,
    pub remote: Value,
    pub more: Value,
}

impl Machine {
    pub fn allocated(owner: u64) -> Self {
        Self {
            owner,
            name: String::new(),
            state: "allocated",
            commission: 0,
            build_failed: false,
            built: false,
            suspended: false,
            busy: false,
            os: 0,
            memory: 1024,
            cores: 1,
            storage: 10,
            traffic: 200,
            ips: vec!["10.40.0.10".into(), "10.40.0.11".into()],
            blocks: Vec::new(),
            backup_plan: None,
            throttle: 0,
            vnc: false,
            built_at: 0,
            last_task: None,
            builds: 0,
            remote: json!(false),
            more: json!({}),
        }
    }

    pub fn complete(owner: u64) -> Self {
        Self { name: "named".into(), state: "complete", commission: 3, built: true, os: 10, ..Self::allocated(owner) }
    }

    fn json(&self, id: u64) -> Value {
        // The last comes first, since the order is told by a member.
        let ips: Vec<Value> =
            self.ips.iter().enumerate().rev().map(|(n, ip)| json!({ "order": n, "address": ip })).collect();
        let built = format!("2026-01-20T14:00:{:02}+00:00", self.built_at);
        let mut object = json!({
            "id": id, "ownerId": self.owner, "uuid": format!("uuid-{id}"), "state": self.state,
            "commissionStatus": self.commission, "buildFailed": self.build_failed, "suspended": self.suspended,
            "built": self.built.then_some(built), "name": self.name, "hostname": null,
            "protected": false, "unknown": [1],
            "settings": { "osTemplateInstallId": self.os, "encryptedPassword": "sealed-by-the-panel",
                "resources": { "memory": self.memory, "storage": self.storage, "traffic": self.traffic, "cpuCores": self.cores } },
            "cpu": { "throttle": self.throttle }, "backupPlan": { "id": self.backup_plan, "name": null },
            "network": { "interfaces": [{
                "ipv4": ips,
                "ipv6": [{ "subnet": "2001:db8:7::", "cidr": 80, "addresses": [] }],
            }] },
            "hypervisor": { "maintenance": false }, "owner": { "id": self.owner, "extRelationId": 42 },
            "tasks": { "active": self.busy, "lastOn": self.last_task, "actions": { "pending": [] } }, "remoteState": self.remote,
        });
        let (Value::Object(object), Value::Object(more)) = (&mut object, &self.more) else { unreachable!() };
        object.extend(more.clone());
        Value::Object(object.clone())
    }
}

pub struct World {
    /// By relation.
    pub users: BTreeMap<String, u64>,
    pub emails: Vec<String>,
    pub machines: BTreeMap<u64, Machine>,
    pub next_user: u64,
    pub next_machine: u64,
    /// Reads that a queued work stays queued for.
    pub slowness: u32,
    pub build_fails: bool,
    pub task_fails: bool,
    /// Cores, memory, storage and traffic of every package.
    pub package: (u64, u64, u64, u64),
    /// How many passwords were made: each is another one.
    pub passwords: u32,
    pub breaks: Vec<(&'static str, Break)>,
    /// Runs once, right after the next order.
    pub after_order: Option<fn(&mut World)>,
    queued: Vec<(u64, u32, Work)>,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Build,
    Suspend(bool),
    Delete,
}

/// A panel and a handle to look at it.
#[derive(Clone)]
pub struct Stage(Arc<Mutex<World>>);

impl Stage {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            users: BTreeMap::new(),
            emails: Vec::new(),
            machines: BTreeMap::new(),
            next_user: 300,
            next_machine: 7_000,
            slowness: 0,
            build_fails: false,
            task_fails: false,
            package: (1, 1024, 10, 200),
            passwords: 0,
            breaks: Vec::new(),
            after_order: None,
            queued: Vec::new(),
        })))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The next call of that method and path breaks.
    pub fn breaks(&self, call: &'static str, how: Break) {
        self.world().breaks.push((call, how));
    }

    /// A panel with one machine, id 7000, of user 300.
    pub fn with(machine: Machine) -> Self {
        let stage = Self::new();
        stage.world().machines.insert(7_000, machine);
        stage
    }

    pub fn host(&self) -> ScriptedHost {
        let stage = self.clone();
        ScriptedHost::new(move |request| {
            let call = format!("{} {}", request.method, request.path);
            assert!(request.headers.contains(&("Accept".into(), "application/json".into())), "{call}");
            let mut world = stage.world();
            let Some(at) = world.breaks.iter().position(|(wanted, _)| *wanted == call) else {
                return world.answer(request);
            };
            match world.breaks.remove(at).1 {
                Break::NeverLeft => Scripted::NeverLeft,
                Break::Lost { done } => {
                    if done {
                        world.answer(request);
                    }
                    Scripted::Lost
                }
                Break::Says { done, status, body } => {
                    if done {
                        world.answer(request);
                    }
                    reply(status, body)
                }
                Break::Page { done, status } => {
                    if done {
                        world.answer(request);
                    }
                    reply_as("text/html", status, "<html></html>")
                }
            }
        })
    }
}

fn data(status: u16, value: Value) -> Scripted {
    reply(status, json!({ "data": value }).to_string())
}

impl World {
    fn answer(&mut self, request: &Request) -> Scripted {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let id = parts.get(1).and_then(|part| part.parse::<u64>().ok()).unwrap_or_default();
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["connect"]) => reply(200, "[]"),
            ("GET", ["packages"] | ["compute", "hypervisors", "groups"] | ["servers"]) => reply(200, r#"{"data":[]}"#),
            ("GET", ["packages", _]) => {
                let (cores, memory, storage, traffic) = self.package;
                data(
                    200,
                    json!({ "id": id, "memory": memory, "primaryStorage": storage, "traffic": traffic, "cpuCores": cores }),
                )
            }
            ("GET", ["users", relation, "byExtRelation"]) => match self.users.get(*relation) {
                Some(user) => data(200, json!({ "id": user, "extRelationId": relation.parse::<u64>().ok() })),
                None => reply(404, r#"{"msg":"ext_relation_id not found"}"#),
            },
            ("POST", ["users"]) => self.new_user(&body),
            ("GET", ["servers", "user", user]) => {
                let user: u64 = user.parse().unwrap();
                let rows: Vec<Value> =
                    self.machines.iter().filter(|(_, m)| m.owner == user).map(|(id, _)| json!({ "id": id })).collect();
                data(200, json!(rows))
            }
            ("POST", ["servers"]) => {
                let id = self.next_machine;
                self.next_machine += 1;
                let mut machine = Machine::allocated(body["userId"].as_u64().unwrap());
                machine.memory = body["memory"].as_u64().unwrap_or(1024);
                let shown = machine.json(id);
                self.machines.insert(id, machine);
                if let Some(then) = self.after_order.take() {
                    then(self);
                }
                data(201, shown)
            }
            (method, ["servers", _, rest @ ..]) => self.with_machine(method, id, rest, &body),
            (method, ["users", relation, rest @ ..]) => self.with_user(method, relation, rest),
            ("GET", ["queue", _]) => self.task(),
            ("GET", ["backups", "server", _]) => data(200, json!([{ "id": 42, "created": "then", "secret": "s" }])),
            _ => reply_as("text/html", 404, "<html></html>"),
        }
    }

    fn new_user(&mut self, body: &Value) -> Scripted {
        let email = body["email"].as_str().unwrap().to_owned();
        if self.emails.contains(&email) {
            return reply(409, r#"{"msg":"user with specified email already exists"}"#);
        }
        let relation = match (&body["extRelationId"], &body["relStr"]) {
            (Value::Number(id), _) => id.to_string(),
            (_, Value::String(text)) => text.clone(),
            _ => panic!("a user without relation"),
        };
        let id = self.next_user;
        self.next_user += 1;
        self.users.insert(relation, id);
        self.emails.push(email);
        data(201, json!({ "id": id, "password": "panel-login-password" }))
    }

    fn with_machine(&mut self, method: &str, id: u64, rest: &[&str], body: &Value) -> Scripted {
        if (method, rest) == ("GET", &[]) {
            self.pass(id);
        }
        let slowness = self.slowness;
        let Some(machine) = self.machines.get_mut(&id) else { return reply(404, r#"{"msg":"server not found"}"#) };
        match (method, rest) {
            ("GET", []) => data(200, machine.json(id)),
            ("PUT", ["modify", "name"]) => {
                machine.name = body["name"].as_str().unwrap().to_owned();
                reply(201, "")
            }
            ("POST", ["build"]) => {
                if machine.busy {
                    return reply(423, r#"{"msg":"pending tasks in queue"}"#);
                }
                (machine.state, machine.commission, machine.busy) = ("queued", 1, true);
                machine.builds += 1;
                machine.os = body["operatingSystemId"].as_u64().unwrap();
                let mut shown = machine.json(id);
                self.passwords += 1;
                shown["settings"]["decryptedPassword"] = json!(format!("root-password-{}", self.passwords));
                self.queued.push((id, slowness, Work::Build));
                data(200, shown)
            }
            ("POST", ["suspend"]) => self.later(id, Work::Suspend(true)),
            ("POST", ["unsuspend"]) => self.later(id, Work::Suspend(false)),
            ("DELETE", []) => self.later(id, Work::Delete),
            _ => self.change(method, id, rest, body),
        }
    }

    fn later(&mut self, id: u64, work: Work) -> Scripted {
        if self.slowness == 0 {
            self.work(id, work);
        } else {
            self.queued.push((id, self.slowness, work));
        }
        reply(204, "")
    }

    /// One read passes.
    fn pass(&mut self, id: u64) {
        let (due, waiting) =
            std::mem::take(&mut self.queued).into_iter().partition(|(at, left, _)| *at == id && *left == 0);
        self.queued = waiting;
        let due: Vec<(u64, u32, Work)> = due;
        for (at, left, _) in &mut self.queued {
            if *at == id {
                *left -= 1;
            }
        }
        for (id, _, work) in due {
            self.work(id, work);
        }
    }

    fn work(&mut self, id: u64, work: Work) {
        let build_fails = self.build_fails;
        let Some(machine) = self.machines.get_mut(&id) else { return };
        match work {
            Work::Build if build_fails => (machine.state, machine.commission, machine.busy) = ("failed", 2, false),
            Work::Build => {
                (machine.state, machine.commission, machine.busy, machine.built) = ("complete", 3, false, true);
                machine.built_at += 1;
            }
            Work::Suspend(suspended) => machine.suspended = suspended,
            Work::Delete => {
                self.machines.remove(&id);
            }
        }
    }
}

pub fn provider() -> VirtFusion {
    VirtFusion { user_relation: UserRelation::ExtId, relation_prefix: None, panel_url: None }
}

pub fn provider_with(settings: Value) -> VirtFusion {
    use billhook_plugin_api::Provider;
    VirtFusion::open(serde_json::from_value::<Server>(settings).unwrap()).unwrap()
}

/// A usual product with `more` laid over it; `null` takes a setting away.
pub fn product(more: Value) -> Product {
    let mut settings = json!({ "package_id": 1, "hypervisor_group_id": 2, "os_template_id": 10 });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

/// Service 55 of client 42, whose server is 7000 of panel user 300.
pub fn service() -> Service {
    Service {
        platform: "shop".into(),
        id: "55".into(),
        client_id: Some("42".into()),
        domain: Some("vm.example.com".into()),
        remote_id: Some("7000".into()),
        properties: json!({ "owner_id": 300 }).as_object().unwrap().clone(),
        ..Service::default()
    }
}

pub fn create(more: Value) -> Create<Product> {
    let service = Service { remote_id: None, properties: Default::default(), ..service() };
    let client = Client { name: "Ann Smith".into(), email: "ann@example.com".into(), ..Client::default() };
    Create { service, client, product: product(more), password: None }
}

pub fn terminate(more: Value) -> Terminate<Product> {
    Terminate { service: service(), product: product(more) }
}
