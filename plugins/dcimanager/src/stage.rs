//! A panel for the tests of the hooks: it keeps accounts and machines, is as slow as a test wants, and breaks where it
//! wants.

use crate::DciManager;
use crate::settings::{Product, Server};
use billhook_plugin_api::testing::{Ended, Scripted, ScriptedHost, reply_as};
use billhook_plugin_api::{Client, Create, Fault, FaultClass, Provider, Request, Service};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};

/// The administrator that the server entry has.
pub const ADMIN: &str = "5";

/// How a call breaks.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    NeverLeft,
    Lost {
        done: bool,
    },
    /// Says so, with status 200.
    Says {
        done: bool,
        body: &'static str,
    },
    /// A document without `ok` or `error`.
    Empty {
        done: bool,
    },
    Page {
        done: bool,
    },
}

/// Every way in which an answer tells nothing.
pub const BREAKS: [Break; 8] = [
    Break::NeverLeft,
    Break::Lost { done: false },
    Break::Lost { done: true },
    Break::Empty { done: false },
    Break::Empty { done: true },
    Break::Page { done: true },
    Break::Says { done: false, body: "<doc><error type='auth'/></doc>" },
    Break::Says { done: true, body: "<doc><error type='db'><msg>deadlock</msg></error></doc>" },
];

#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub owner: Option<String>,
    pub package: &'static str,
    pub kind: &'static str,
    pub ip: Option<&'static str>,
    pub mac: &'static str,
    pub notes: String,
    pub on: bool,
    pub disabled: bool,
    /// Further flags of its row.
    pub flags: BTreeSet<&'static str>,
    /// Id, address and domain; the main one is that of `ip`.
    pub addresses: Vec<(u64, String, String)>,
    /// Template, account and password of each.
    pub installs: Vec<(String, String, String)>,
    pub reboots: u32,
    pub ipmi: Option<&'static str>,
    /// Ports that are on.
    pub ports: BTreeMap<u64, bool>,
    /// Reads until the installation is over, once it was begun.
    pub install_left: Option<u32>,
    /// Reads until the power is as was asked.
    pub power_left: Option<(u32, bool)>,
    pub ports_left: u32,
    pub template: Option<String>,
}

impl Machine {
    /// Off and for sale.
    pub fn free(n: u64) -> Self {
        let ip: &'static str = Box::leak(format!("192.0.2.{n}").into_boxed_str());
        Self {
            owner: None,
            package: "E3",
            kind: "E3 old",
            ip: Some(ip),
            mac: "52:54:00:aa:00:2a",
            notes: "bay 4".into(),
            on: false,
            disabled: false,
            flags: BTreeSet::new(),
            addresses: vec![(n * 10, ip.to_owned(), "free.ds".to_owned())],
            installs: Vec::new(),
            reboots: 0,
            ipmi: Some("ipmi1"),
            ports: BTreeMap::from([(n * 100, true)]),
            install_left: None,
            power_left: None,
            ports_left: 0,
            template: None,
        }
    }

    /// The service's own, as `create` left it.
    pub fn sold() -> Self {
        let mut machine = Self::free(42);
        machine.owner = Some("77".into());
        machine.notes = "bay 4 [svc:whmcs/1007 op:nonce acc:77 client:whmcs/42]".into();
        machine.on = true;
        machine.addresses[0].2 = "svc1007.example.net".into();
        machine.addresses.push((421, "192.0.2.142".into(), "svc1007.example.net".into()));
        machine
    }

    pub fn hostname(&self) -> &str {
        let main = self.addresses.iter().find(|(_, ip, _)| Some(ip.as_str()) == self.ip);
        main.map_or("", |(_, _, domain)| domain)
    }

    pub fn is_for_sale(&self) -> bool {
        self.owner.is_none() && self.hostname() == "free.ds" && !self.notes.contains("svc:")
    }
}

pub struct World {
    pub machines: BTreeMap<u64, Machine>,
    /// Id, name, level, password.
    pub users: BTreeMap<u64, (String, u32, String)>,
    /// Addresses that are left to be given.
    pub pool: u32,
    /// Reads until anything asynchronous is so.
    pub slowness: u32,
    /// An installation fails.
    pub install_fails: bool,
    pub templates: Vec<&'static str>,
    /// Notes are shown and not kept.
    pub forgets_notes: bool,
    /// Overwrites owner and mark right after we wrote them, so many times.
    pub rival: u32,
    /// Keys that were not used yet, with their accounts.
    pub keys: BTreeMap<String, String>,
    pub report: &'static str,
    sessions: BTreeMap<String, String>,
    next: u64,
    breaks: Vec<(&'static str, u32, Break)>,
}

#[derive(Clone)]
pub struct Stage(Arc<Mutex<World>>);

impl Stage {
    /// Three free machines, our administrator, the superuser left out of the list, and a stranger.
    pub fn new() -> Self {
        let user = |name: &str, level| (name.to_owned(), level, "x".to_owned());
        Self(Arc::new(Mutex::new(World {
            machines: (41..=43).map(|n| (n, Machine::free(n))).collect(),
            users: BTreeMap::from([(5, user("billhook", 29)), (60, user("stranger", 16))]),
            pool: 10,
            slowness: 1,
            install_fails: false,
            templates: vec!["ISP__Debian-12", "ISP__Alma-9"],
            forgets_notes: false,
            rival: 0,
            keys: BTreeMap::new(),
            report: "",
            sessions: BTreeMap::new(),
            next: 500,
            breaks: Vec::new(),
        })))
    }

    /// With the customer's account, 77, and the service's machine, 42.
    pub fn with(machine: Machine) -> Self {
        let stage = Self::new();
        stage.world().users.insert(77, ("client42".into(), 16, "old".into()));
        stage.world().machines.insert(42, machine);
        stage
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The next call of that name breaks; a form that is committed is `name ok`.
    pub fn breaks(&self, call: &'static str, how: Break) {
        self.breaks_after(0, call, how);
    }

    /// As [`Stage::breaks`], but so many of them go well first.
    pub fn breaks_after(&self, skipped: u32, call: &'static str, how: Break) {
        self.world().breaks.push((call, skipped, how));
    }

    pub fn host(&self) -> ScriptedHost {
        let stage = self.clone();
        ScriptedHost::new(move |request| stage.scripted(request))
    }

    pub fn scripted(&self, request: &Request) -> Scripted {
        if request.method == "GET" {
            return reply_as("text/html", 404, "<html></html>");
        }
        let form = form(request);
        let mut world = self.world();
        let name = name(&form);
        let Some(at) = world.breaks.iter().position(|(call, _, _)| *call == name) else {
            return xml(world.answer(&form));
        };
        if world.breaks[at].1 > 0 {
            world.breaks[at].1 -= 1;
            return xml(world.answer(&form));
        }
        let how = world.breaks.remove(at).2;
        let (done, answer) = match how {
            Break::NeverLeft => (false, Scripted::NeverLeft),
            Break::Lost { done } => (done, Scripted::Lost),
            Break::Says { done, body } => (done, xml(body.to_owned())),
            Break::Empty { done } => (done, xml("<doc/>".to_owned())),
            Break::Page { done } => (done, reply_as("text/html", 502, "<html></html>")),
        };
        if done {
            world.answer(&form);
        }
        answer
    }
}

fn xml(body: String) -> Scripted {
    reply_as("text/xml", 200, body)
}

type Fields = BTreeMap<String, String>;

fn name(form: &Fields) -> String {
    if form.contains_key("sok") { format!("{} ok", form["func"]) } else { form["func"].clone() }
}

/// The fields of a request; insists on what the panel insists on.
pub fn form(request: &Request) -> Fields {
    assert_eq!((request.method.as_str(), request.path.as_str(), request.query.len()), ("POST", "/dcimgr", 0));
    let text = String::from_utf8(request.body.clone()).unwrap();
    let mut form = Fields::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        assert!(form.insert(name.to_owned(), decoded(value)).is_none(), "{name} stands twice");
    }
    assert_eq!((form["out"].as_str(), form["lang"].as_str()), ("xml", "en"));
    // An empty id with `sok` makes a new object.
    assert!(form.get("elid").is_none_or(|id| !id.is_empty()), "an empty id");
    form
}

fn decoded(value: &str) -> String {
    let mut bytes = value.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let pair = [bytes.next().unwrap(), bytes.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(out).unwrap()
}

/// `name elid` of the changes so far.
pub fn changes(host: &ScriptedHost) -> Vec<String> {
    let sent = host.exchanges();
    let sent = sent.iter().filter(|(_, is_change)| *is_change);
    sent.map(|(request, _)| {
        let form = form(request);
        let id = form.get("elid").or(form.get("plid")).cloned().unwrap_or_default();
        format!("{} {id}", form["func"])
    })
    .collect()
}

fn error(kind: &str, object: &str) -> String {
    format!("<doc><tparams><id>1</id></tparams><error type='{kind}' object='{object}'><msg>no</msg></error></doc>")
}

fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

impl World {
    fn answer(&mut self, form: &Fields) -> String {
        let func = form["func"].clone();
        if func == "auth" {
            return self.sign_in(form);
        }
        let Some(who) = form.get("auth").and_then(|session| self.sessions.get(session)).cloned() else {
            return error("auth", "");
        };
        let is_admin = who == "billhook";
        let id = form.get("elid").and_then(|id| id.parse::<u64>().ok());
        if !is_admin {
            const CUSTOMERS: [&str; 5] =
                ["server.poweron", "server.poweroff", "server.reboot", "server.operations", "ipmiredirect"];
            let owner = id.and_then(|id| self.machines.get(&id)).filter(|machine| !machine.disabled);
            let owner = owner.and_then(|machine| machine.owner.clone());
            let name = owner.and_then(|owner| self.users.get(&owner.parse().ok()?)).map(|user| user.0.clone());
            if !CUSTOMERS.contains(&func.as_str()) || name.as_ref() != Some(&who) {
                return error("access", &func);
            }
        }
        match name(form).as_str() {
            "whoami" => format!("<doc><user name='{who}' level='29'/><mgr version='5.250'/></doc>"),
            "session.newkey" => {
                assert!(form["key"].len() >= 16);
                self.keys.insert(form["key"].clone(), form["username"].clone());
                ok("")
            }
            "user" => {
                let rows = self.users.iter().map(|(id, (name, level, _))| {
                    format!("<elem><id>{id}</id><name>{name}</name><level>{level}</level></elem>")
                });
                format!("<doc>{}</doc>", rows.collect::<String>())
            }
            "user.edit ok" => self.edit_user(form, id),
            "user.delete" => {
                self.users.remove(&id.unwrap());
                ok("")
            }
            "server" => {
                self.tick();
                assert!(id.is_some() || form["filter"] == "off");
                if id.is_some() {
                    return "<doc><value>54%</value></doc>".into();
                }
                let rows: String = self.machines.iter().map(|(id, machine)| self.row(*id, machine)).collect();
                format!("<doc lang='en'><tparams><elem><id>1</id></elem></tparams>{rows}</doc>")
            }
            "osmgr" => {
                let rows = self.templates.iter().map(|id| {
                    format!(
                        "<elem><id>{id}</id><name>{id}</name><installed>on</installed><restrict>off</restrict></elem>"
                    )
                });
                let hidden = "<elem><id>ISP__Old</id><installed>off</installed></elem>";
                format!("<doc>{}{hidden}</doc>", rows.collect::<String>())
            }
            "traffic ok" | "trafficburstable" => format!("<doc>{}</doc>", self.report),
            func => self.of_machine(func, form, id, &who),
        }
    }

    fn sign_in(&mut self, form: &Fields) -> String {
        let name = form["username"].clone();
        let is_known = match form.get("key") {
            Some(key) => self.keys.remove(key).as_ref() == Some(&name),
            None => name == "billhook" && form["password"] == "admin-password",
        };
        if !is_known {
            return error("auth", "badpassword");
        }
        self.next += 1;
        let session = format!("session-{}-{name}", self.next);
        self.sessions.insert(session.clone(), name);
        format!("<doc><auth id='{session}' level='29'>{session}</auth></doc>")
    }

    /// Every session is over.
    pub fn sign_out(&mut self) {
        self.sessions.clear();
    }

    fn edit_user(&mut self, form: &Fields, id: Option<u64>) -> String {
        assert_eq!((&form["passwd"], form["level"].as_str()), (&form["confirm"], "lvUser"));
        let (name, password) = (form["name"].clone(), form["passwd"].clone());
        if let Some(id) = id {
            let Some(user) = self.users.get_mut(&id) else { return error("missed", "user") };
            assert_eq!(user.0, name);
            user.2 = password;
            return ok("");
        }
        if self.users.values().any(|user| user.0 == name) {
            return error("exists", "user");
        }
        // The first is the one that the tests' machines have.
        let id = if self.users.contains_key(&77) { self.fresh() } else { 77 };
        self.users.insert(id, (name, 16, password));
        ok(&format!("<id>{id}</id>"))
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn tick(&mut self) {
        let fails = self.install_fails;
        for machine in self.machines.values_mut() {
            match machine.power_left {
                Some((0, on)) => {
                    machine.on = on;
                    machine.power_left = None;
                }
                Some((left, on)) => machine.power_left = Some((left - 1, on)),
                None => {}
            }
            machine.ports_left = machine.ports_left.saturating_sub(1);
            match machine.install_left {
                Some(0) => {
                    machine.install_left = None;
                    if fails {
                        machine.flags.insert("operation_failed");
                    }
                }
                Some(left) => machine.install_left = Some(left - 1),
                None => {}
            }
        }
    }

    fn row(&self, id: u64, machine: &Machine) -> String {
        let owner = machine.owner.as_ref().map(|owner| match self.users.get(&owner.parse().unwrap_or(0)) {
            Some(user) => user.0.clone(),
            None => owner.clone(),
        });
        let mut flags: String = machine.flags.iter().map(|flag| format!("<{flag}/>")).collect();
        flags.push_str(if machine.on { "<poweron/>" } else { "<poweroff/>" });
        if machine.disabled {
            flags.push_str("<disabled/>");
        }
        // Not in its first moment.
        if machine.install_left.is_some_and(|left| left < self.slowness) {
            flags.push_str("<install_in_progress/>");
        }
        let ipmi = machine.ipmi.map(|label| format!("<ipmi>{label}</ipmi>")).unwrap_or_default();
        format!(
            "<elem><id>{id}</id><hostname>{}.</hostname><ip>{}</ip><owner>{}</owner><type>{}</type>\
             <chassis_templ>{}</chassis_templ>{ipmi}{flags}</elem>",
            machine.hostname(),
            machine.ip.unwrap_or_default(),
            owner.unwrap_or_default(),
            escaped(machine.kind),
            escaped(machine.package),
        )
    }

    fn of_machine(&mut self, func: &str, form: &Fields, id: Option<u64>, who: &str) -> String {
        let parent = form.get("plid").and_then(|id| id.parse::<u64>().ok());
        let Some(number) = parent.or(id) else { panic!("{func} without an id") };
        let (slowness, next, is_rival) = (self.slowness, self.fresh(), self.rival > 0);
        let forgets = self.forgets_notes;
        let Some(machine) = self.machines.get_mut(&number) else { return error("missed", "server") };
        match func {
            "server.edit" => format!(
                "<doc><elid>{number}</elid><name>R{number}</name><mac>{}</mac><type>7</type><owner>{}</owner><notes>{}</notes>\
                 <slist name='owner'><val key='no_owner'>none</val></slist></doc>",
                machine.mac,
                machine.owner.as_deref().unwrap_or("no_owner"),
                escaped(&machine.notes),
            ),
            "server.edit ok" => {
                assert_eq!((form["mac"].as_str(), form["type"].as_str()), (machine.mac, "7"), "the form is echoed");
                assert_eq!(form["name"], format!("R{number}"));
                if !forgets {
                    machine.notes = form["notes"].clone();
                }
                machine.owner = Some(form["owner"].clone()).filter(|owner| owner != "no_owner");
                if is_rival && machine.owner.as_deref() == Some(ADMIN) {
                    self.rival -= 1;
                    machine.notes = "[svc:other/9 op:zz acc:60 client:other/1]".into();
                    machine.owner = Some("60".into());
                }
                ok("")
            }
            "server.enable" | "server.disable" => {
                machine.disabled = func == "server.disable";
                machine.ports_left = slowness;
                ok("")
            }
            "server.poweron" | "server.poweroff" => {
                machine.power_left = Some((slowness, func == "server.poweron"));
                ok("")
            }
            "server.reboot" => {
                machine.reboots += 1;
                ok("")
            }
            "server.opercancel" => {
                machine.install_left = None;
                ok("")
            }
            "server.connection" => {
                let busy = if machine.ports_left > 0 { "<func_in_progress/>" } else { "" };
                let rows =
                    machine.ports.keys().map(|id| format!("<elem><id>{id}</id><type>Switch</type>{busy}</elem>"));
                format!("<doc>{}<elem><id>1</id><type>IPMI</type></elem></doc>", rows.collect::<String>())
            }
            "server.connection.edit" if form["elid"] == "1" => "<doc><ip>198.51.100.9</ip></doc>".into(),
            "server.connection.edit" => "<doc><port>ge-0/0/7</port></doc>".into(),
            "server.connection.on" | "server.connection.off" => {
                machine.ports.insert(id.unwrap(), func == "server.connection.on");
                ok("")
            }
            "server.operations" => {
                let list: String = self.templates.iter().map(|key| format!("<val key='{key}'>{key}</val>")).collect();
                let current = machine.template.clone().unwrap_or_default();
                format!("<doc><ostemplate>{current}</ostemplate><slist name='ostemplate'>{list}</slist></doc>")
            }
            "server.operations ok" => {
                assert_eq!(form["operation"], "ostemplate");
                assert_eq!((&form["passwd"], &form["passwd"]), (&form["confirm"], &form["checkpasswd"]));
                if !machine.on || !self.templates.contains(&form["ostemplate"].as_str()) {
                    return error("value", "ostemplate");
                }
                machine.installs.push((form["ostemplate"].clone(), who.to_owned(), form["passwd"].clone()));
                machine.flags.remove("operation_failed");
                machine.install_left = Some(slowness);
                ok("")
            }
            "ipmiredirect" => {
                assert_eq!(Some(form["value"].as_str()), machine.ipmi);
                "<doc><ok>/ipmi?auth=x</ok></doc>".into()
            }
            "iplist" => {
                let rows = machine.addresses.iter().map(|(id, ip, domain)| {
                    format!("<elem><id>{id}</id><ip>{ip}</ip><domain>{domain}.</domain><type>ip</type></elem>")
                });
                let heading = "<elem><id>1</id><name>public</name><type>group</type></elem>";
                format!("<doc>{heading}{}</doc>", rows.collect::<String>())
            }
            "iplist.edit ok" => match id {
                Some(id) => {
                    let Some(address) = machine.addresses.iter_mut().find(|address| address.0 == id) else {
                        return error("missed", "ip");
                    };
                    address.2 = form["domain"].clone();
                    ok("")
                }
                None => {
                    assert_eq!((form["ip"].as_str(), form["iptype"].as_str()), ("", "public"));
                    if self.pool == 0 {
                        return error("limit", "ip");
                    }
                    self.pool -= 1;
                    let ip =
                        if form["family"] == "ipv6" { format!("2001:db8::{next}") } else { format!("10.0.0.{next}") };
                    machine.addresses.push((next, ip.clone(), form["domain"].clone()));
                    ok(&format!("<id>{next}</id><ip>{ip}</ip>"))
                }
            },
            "iplist.delete" => {
                let before = machine.addresses.len();
                machine.addresses.retain(|address| Some(address.0) != id);
                if machine.addresses.len() == before { error("missed", "ip") } else { ok("") }
            }
            other => panic!("the panel has no {other}"),
        }
    }
}

fn ok(more: &str) -> String {
    format!("<doc>{more}<ok/></doc>")
}

pub fn provider() -> DciManager {
    provider_with(json!({}))
}

/// With further server settings; `null` is none.
pub fn provider_with(more: Value) -> DciManager {
    let mut settings = json!({
        "login": "billhook", "password": "admin-password", "panel_url": "https://dci.example.com:1500/",
    });
    lay(&mut settings, more);
    DciManager::open(serde_json::from_value::<Server>(settings).unwrap()).unwrap()
}

pub fn product(more: Value) -> Product {
    let mut settings = json!({ "package": "E3", "os": "ISP__Debian-12" });
    lay(&mut settings, more);
    serde_json::from_value(settings).unwrap()
}

fn lay(below: &mut Value, above: Value) {
    let below = below.as_object_mut().unwrap();
    below.extend(above.as_object().unwrap().clone());
    below.retain(|_, value| !value.is_null());
}

/// As the host knows it after a create.
pub fn service() -> Service {
    let mut properties = Map::new();
    for (name, value) in [("account", "client42"), ("account_id", "77"), ("mark", "nonce")] {
        properties.insert(name.into(), json!(value));
    }
    Service {
        platform: "whmcs".into(),
        id: "1007".into(),
        client_id: Some("42".into()),
        username: Some("acme01".into()),
        domain: Some("svc1007.example.net".into()),
        remote_id: Some("42".into()),
        epoch: 1,
        properties,
        ..Service::default()
    }
}

/// Before its create.
pub fn new_service(id: &str) -> Service {
    Service { id: id.into(), remote_id: None, properties: Map::new(), ..service() }
}

pub fn create(more: Value) -> Create<Product> {
    Create { service: new_service("1007"), client: Client::default(), product: product(more), password: None }
}

/// Runs again while steps settle or faults pass, as the host does.
pub fn to_end<T: Debug>(mut run: impl FnMut() -> Ended<T>) -> Ended<T> {
    for _ in 0..8 {
        match run() {
            Ended::Settling(_) => {}
            Ended::Fault(fault) if fault.class.passes_by_itself() => {}
            ended => return ended,
        }
    }
    panic!("it never ends");
}

pub fn ok_of<T: Debug>(ended: Ended<T>) -> T {
    match ended {
        Ended::Ok(value) => value,
        other => panic!("{other:?}"),
    }
}

pub fn fault<T: Debug>(ended: Ended<T>) -> Fault {
    match ended {
        Ended::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

pub fn class<T: Debug>(ended: Ended<T>) -> FaultClass {
    fault(ended).class
}
