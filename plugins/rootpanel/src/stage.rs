//! A panel for the tests of the hooks: it keeps orders and money, and breaks where a test wants it to.

use crate::RootPanel;
use crate::settings::{Product, Server};
use billhook_plugin_api::testing::{Scripted, ScriptedHost, reply, reply_as};
use billhook_plugin_api::{Client, Create, Provider, Request, Secret, Service};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The scripted host's clock at its start, in seconds.
const NOW_S: i64 = 1_800_000_000;

/// How a call breaks.
#[derive(Debug, Clone)]
pub enum Break {
    NeverLeft,
    Lost { done: bool },
    Says { done: bool, body: &'static str },
    Page { done: bool, status: u16 },
}

/// One order.
#[derive(Debug, Clone)]
pub struct Row {
    pub tarifid: u64,
    pub state: i64,
    pub leftdays: i64,
    pub password: String,
    pub addons: Vec<String>,
    pub domain: Option<String>,
    pub installs: u32,
    /// Not listed before so many more reads of all orders.
    pub hidden: u32,
    /// At work for so many more reads of it; then it is in the state beside.
    pub work: Option<(u32, i64)>,
}

/// What the panel says beside `SUCCESS` to the next orders of anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Later {
    pub code: i64,
    pub names_no_order: bool,
    pub hides_for: u32,
}

pub struct World {
    pub orders: BTreeMap<u64, Row>,
    pub cents: i64,
    pub currency: &'static str,
    /// Allowed without a domain.
    pub without_domain: bool,
    pub later: Option<Later>,
    /// Reads for which a new order, a switch or an installation is at work.
    pub slowness: u32,
    /// An invoice is open at every order.
    pub open_invoice: bool,
    pub php: bool,
    pub signals: Vec<String>,
    next: u64,
    breaks: Vec<(&'static str, Break)>,
}

#[derive(Clone)]
pub struct Stage(Arc<Mutex<World>>);

impl Stage {
    /// No orders, 50 euros, and the plan of the samples.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            orders: BTreeMap::new(),
            cents: 5_000,
            currency: "EUR",
            without_domain: true,
            later: None,
            slowness: 0,
            open_invoice: false,
            php: false,
            signals: Vec::new(),
            next: 50_123,
            breaks: Vec::new(),
        })))
    }

    /// With the service's order, 50100.
    pub fn with(row: Row) -> Self {
        let stage = Self::new();
        stage.world().orders.insert(50_100, row);
        stage
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The next call of that command breaks.
    pub fn breaks(&self, command: &'static str, how: Break) {
        self.world().breaks.push((command, how));
    }

    pub fn host(&self) -> ScriptedHost {
        let stage = self.clone();
        ScriptedHost::new(move |request| {
            let form = form(request);
            let mut world = stage.world();
            let Some(at) = world.breaks.iter().position(|(command, _)| *command == form["command"]) else {
                return world.scripted(&form);
            };
            let how = world.breaks.remove(at).1;
            if let Break::Lost { done: true } | Break::Says { done: true, .. } | Break::Page { done: true, .. } = how {
                world.answer(&form);
            }
            match how {
                Break::NeverLeft => Scripted::NeverLeft,
                Break::Lost { .. } => Scripted::Lost,
                Break::Says { body, .. } => reply(200, body),
                Break::Page { status, .. } => reply_as("text/html", status, "<html></html>"),
            }
        })
    }
}

/// The commands that were sent as changes so far.
pub fn changes(host: &ScriptedHost) -> Vec<String> {
    let sent = host.exchanges();
    sent.iter().filter(|(_, is_change)| *is_change).map(|(request, _)| form(request)["command"].clone()).collect()
}

/// All commands that were sent so far.
pub fn commands(host: &ScriptedHost) -> Vec<String> {
    host.exchanges().iter().map(|(request, _)| form(request)["command"].clone()).collect()
}

/// The fields of a request; insists on what the panel insists on.
pub fn form(request: &Request) -> BTreeMap<String, String> {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/apih.php"));
    let text = String::from_utf8(request.body.clone()).unwrap();
    let mut form = BTreeMap::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        assert!(!value.is_empty(), "{name} is empty");
        let value = value.replace("%2C", ",").replace("%20", " ").replace("%40", "@");
        assert!(form.insert(name.to_owned(), value).is_none(), "{name} comes twice");
    }
    form
}

fn error(code: i64) -> Value {
    json!({ "status": "ERROR", "errorCode": code.to_string(), "errorMsg": "\u{41e}\u{448}\u{438}\u{431}\u{43a}\u{430}" })
}

type Form = BTreeMap<String, String>;

impl World {
    fn scripted(&mut self, form: &Form) -> Scripted {
        let answer = self.answer(form);
        match (form.contains_key("json"), self.php) {
            (true, false) => reply_as("text/html; charset=utf-8", 200, format!("\u{feff}{answer}\n")),
            _ => reply_as("text/plain", 200, format!("{}\n", php(&answer))),
        }
    }

    fn answer(&mut self, form: &Form) -> Value {
        if form.get("apikey").is_none_or(|key| key != "key-of-the-shop") {
            return error(7);
        }
        let mut answer = match form["command"].as_str() {
            "getBalance" => self.money(None),
            "getTarifs" => self.plans(form),
            "getOrders" => self.list(form),
            "createOrder" => self.create(form),
            command => {
                match form.get("orderid").and_then(|id| id.parse().ok()).filter(|id| self.orders.contains_key(id)) {
                    Some(id) => self.with_order(command, id, form),
                    None => error(19),
                }
            }
        };
        if answer.get("status").is_none() {
            answer["status"] = json!("SUCCESS");
        }
        answer
    }

    fn money(&self, cost: Option<i64>) -> Value {
        let text = |cents: i64| json!(format!("{}.{:02}", cents / 100, cents % 100));
        let mut said = json!({ "balance": text(self.cents), "currency": self.currency });
        if let Some(cost) = cost {
            said["cost"] = text(cost);
        }
        said
    }

    fn plans(&self, form: &Form) -> Value {
        assert_eq!(form["vid"], "vds");
        if form.get("tarifid").is_some_and(|id| id != "12") {
            return error(12);
        }
        json!({ "tarifs": { "12": {
            "id": 12, "vid": "vds", "name": "VDS-1", "costMonthly": "9.49", "currency": "EUR",
            "allowWithoutDomain": u8::from(self.without_domain),
            "months": [
                { "months": "1", "discount": "0", "allowForNewOrder": "1", "allowForRenew": "1" },
                { "months": "12", "discount": "10", "allowForNewOrder": "1", "allowForRenew": "1" },
            ],
            "addons": [
                { "id": "7", "name": "Debian 12", "costMonthly": "0", "cntforoneorder": "1", "onlyifrenew": "0" },
                { "id": "9", "name": "IPv4", "costMonthly": "2.00", "cntforoneorder": "0", "onlyifrenew": "0" },
            ],
            "locations": [{ "id": "3", "name": "NL", "costMonthly": "9.99" }],
        } } })
    }

    fn list(&mut self, form: &Form) -> Value {
        let wanted: Option<u64> = form.get("orderid").map(|id| id.parse().unwrap_or(0));
        if wanted.is_some_and(|id| !self.orders.contains_key(&id)) {
            return error(19);
        }
        let mut rows = Map::new();
        for (id, row) in self.orders.iter_mut().filter(|(id, _)| wanted.is_none_or(|wanted| wanted == **id)) {
            if row.hidden > 0 && wanted.is_none() {
                row.hidden -= 1;
                continue;
            }
            rows.insert(id.to_string(), shown(*id, row));
            if wanted.is_some() {
                row.pass();
            }
        }
        if rows.is_empty() { error(26) } else { json!({ "orders": rows }) }
    }

    fn create(&mut self, form: &Form) -> Value {
        assert_eq!((form["vid"].as_str(), form["autorenew"].as_str()), ("vds", "0"));
        if form.get("domain").is_some_and(|domain| self.orders.values().any(|row| row.domain.as_ref() == Some(domain)))
        {
            return error(14);
        }
        let addons: Vec<String> =
            form.get("addons").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let later = self.later.take().unwrap_or_default();
        let id = self.next;
        self.next += 1;
        let months: i64 = form["period"].parse().unwrap();
        let cost = months * (949 + 200 * i64::try_from(addons.iter().filter(|id| *id == "9").count()).unwrap());
        let row = Row {
            tarifid: form["tarifid"].parse().unwrap(),
            state: if later.code == 0 && self.slowness == 0 { 1 } else { 0 },
            leftdays: months * 30,
            password: format!("made-for-{id}"),
            addons,
            domain: form.get("domain").cloned(),
            installs: 1,
            hidden: later.hides_for,
            work: (later.code == 0 && self.slowness > 0).then_some((self.slowness, 1)),
        };
        if later.code != 31 {
            self.cents -= cost;
        }
        let mut answer = self.money(Some(cost));
        if later.code != 0 {
            answer["errorCode"] = json!(later.code.to_string());
        } else {
            answer["serverlogin"] = json!("root");
            answer["serverpassword"] = json!(row.password);
        }
        if !later.names_no_order {
            answer["orderid"] = json!(id.to_string());
        }
        self.orders.insert(id, row);
        answer
    }

    fn with_order(&mut self, command: &str, id: u64, form: &Form) -> Value {
        let (slowness, open, later) = (self.slowness, self.open_invoice, self.later.take().unwrap_or_default());
        let row = self.orders.get_mut(&id).unwrap();
        let mut answer = json!({ "orderid": id });
        if later.code != 0 {
            answer["errorCode"] = json!(later.code);
            return answer;
        }
        match command {
            "suspendOrder" if row.state == 2 => return error(21),
            "unSuspendOrder" if row.state == 1 => return error(22),
            "suspendOrder" => row.turn(2, slowness),
            "unSuspendOrder" => row.turn(1, slowness),
            "renewOrder" | "addonsOrder" if open => return error(20),
            "renewOrder" => {
                let months: i64 = form["period"].parse().unwrap();
                row.leftdays += months * 30;
                self.cents -= months * 949;
                return self.money(Some(months * 949));
            }
            "addonsOrder" => {
                let wanted: Vec<String> = form["addons"].split(',').map(str::to_owned).collect();
                let count = i64::try_from(wanted.iter().filter(|id| *id == "9").count()).unwrap();
                let cost = 200 * count * row.leftdays / 30;
                row.addons.extend(wanted);
                self.cents -= cost;
                return self.money(Some(cost));
            }
            "reinstallOrder" if row.state == 3 => return error(44),
            "reinstallOrder" => {
                assert_eq!(form["osid"], "7");
                row.installs += 1;
                row.password = format!("made-for-{id}-{}", row.installs);
                answer["serverpassword"] = json!(row.password);
                row.turn(1, slowness);
            }
            "getVnc" => {
                answer["wss_url"] = json!("wss://vnc.example/abc?token=t0ken");
                answer["password"] = json!("vnc-password");
            }
            "startServer" | "shutdownServer" | "rebootServer" | "resetServer" => self.signals.push(command.to_owned()),
            _ => return error(8),
        }
        answer
    }
}

impl Row {
    /// An order that is set up, with 20 days left.
    pub fn active() -> Self {
        Self {
            tarifid: 12,
            state: 1,
            leftdays: 20,
            password: "made-for-50100".into(),
            addons: Vec::new(),
            domain: None,
            installs: 1,
            hidden: 0,
            work: None,
        }
    }

    fn turn(&mut self, state: i64, slowness: u32) {
        (self.state, self.work) = if slowness > 0 { (3, Some((slowness, state))) } else { (state, None) };
    }

    /// One read of it passes: a new order goes 0, 3, 1.
    fn pass(&mut self) {
        (self.state, self.work) = match self.work {
            None => (self.state, None),
            Some((0 | 1, state)) => (state, None),
            Some((left, state)) => (3, Some((left - 1, state))),
        };
    }
}

fn shown(id: u64, row: &Row) -> Value {
    let is_ready = !matches!(row.state, 0);
    json!({
        "orderid": id, "vid": "vds", "tarifid": row.tarifid.to_string(), "tarifname": "VDS-1", "orderdate": "2027-01-01",
        "todate": if is_ready { (NOW_S + row.leftdays * 86_400).to_string() } else { String::new() },
        "leftdays": row.leftdays, "status": row.state.to_string(),
        "serverlogin": if is_ready { "root" } else { "" },
        "serverpassword": if is_ready { row.password.as_str() } else { "" },
        "serveripv4": if is_ready { "192.0.2.10" } else { "" }, "serveripv6": null, "extraips": [],
    })
}

/// As PHP writes it.
fn php(value: &Value) -> String {
    let text = |text: &str| format!("s:{}:\"{text}\";", text.len());
    let array = |members: Vec<(String, &Value)>| {
        let count = members.len();
        let members: String = members.into_iter().map(|(key, value)| key + &php(value)).collect();
        format!("a:{count}:{{{members}}}")
    };
    match value {
        Value::Null => "N;".into(),
        Value::Bool(truth) => format!("b:{};", u8::from(*truth)),
        Value::Number(number) if number.is_i64() => format!("i:{number};"),
        Value::Number(number) => format!("d:{number};"),
        Value::String(value) => text(value),
        Value::Array(items) => array(items.iter().enumerate().map(|(n, item)| (format!("i:{n};"), item)).collect()),
        Value::Object(items) => array(
            items
                .iter()
                .map(|(key, item)| (if key.parse::<i64>().is_ok() { format!("i:{key};") } else { text(key) }, item))
                .collect(),
        ),
    }
}

pub fn provider() -> RootPanel {
    provider_with(json!({}))
}

pub fn provider_with(more: Value) -> RootPanel {
    let settings = over(json!({ "login": "shop", "apikey": "key-of-the-shop" }), more);
    RootPanel::open(serde_json::from_value::<Server>(settings).unwrap()).unwrap()
}

/// The plan of the samples with an operating system, and `more` laid over it.
pub fn product(more: Value) -> Product {
    serde_json::from_value(over(json!({ "tarifid": 12, "period": 1, "osid": 7 }), more)).unwrap()
}

fn over(mut settings: Value, more: Value) -> Value {
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

/// Service 55, whose order is 50100.
pub fn service() -> Service {
    Service {
        platform: "shop".into(),
        id: "55".into(),
        client_id: Some("42".into()),
        domain: Some("vm.example.com".into()),
        remote_id: Some("50100".into()),
        properties: json!({ "tarifid": "12", "addons": ["7"] }).as_object().unwrap().clone(),
        ..Service::default()
    }
}

pub fn create(more: Value) -> Create<Product> {
    let service = Service { remote_id: None, properties: Map::new(), ..service() };
    let client = Client { name: "Ann Smith".into(), email: "ann@example.com".into(), ..Client::default() };
    Create { service, client, product: product(more), password: Some(Secret::new("chosen-by-ann".into())) }
}
