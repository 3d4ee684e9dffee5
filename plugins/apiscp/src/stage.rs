//! A panel small enough to read, for the tests of the hooks: it keeps sites and sessions, answers as PHP does, and breaks
//! where it is told to.

use crate::ApisCp;
use crate::settings::{Product, Server};
use billhook_plugin_api::testing::{Ended, Scripted, ScriptedHost, reply_as};
use billhook_plugin_api::{Client, Create, Fault, FaultClass, Provider, Request, Secret, Service};
use billhook_soap::{Limits, Node, entries, items};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

/// How a call breaks. With `done` the work is done all the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Break {
    NeverLeft,
    Lost { done: bool },
    Null { done: bool },
    False { done: bool },
    Fault { done: bool, text: &'static str },
    Page { done: bool, status: u16 },
    Cut { done: bool },
}

/// Every way in which the tests break a change.
pub const BREAKS: [Break; 13] = [
    Break::NeverLeft,
    Break::Lost { done: false },
    Break::Lost { done: true },
    Break::Null { done: false },
    Break::Null { done: true },
    Break::False { done: false },
    Break::False { done: true },
    Break::Fault { done: true, text: "something failed late" },
    Break::Page { done: false, status: 200 },
    Break::Page { done: true, status: 200 },
    Break::Page { done: true, status: 504 },
    Break::Page { done: true, status: 500 },
    Break::Cut { done: true },
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

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Site {
    pub domain: String,
    pub aliases: Vec<String>,
    pub password: String,
    pub inactive: Option<String>,
    /// Options by their dotted names.
    pub options: BTreeMap<String, String>,
}

impl Site {
    pub fn of(domain: &str, user: &str, invoice: Option<&str>, parent: Option<&str>) -> Self {
        let mut options = BTreeMap::new();
        let all = [
            ("siteinfo.domain", Some(domain)),
            ("siteinfo.admin_user", Some(user)),
            ("siteinfo.email", Some("x@example.org")),
            ("siteinfo.plan", Some("basic")),
            ("billing.invoice", invoice),
            ("billing.parent_invoice", parent),
        ];
        for (name, value) in all {
            if let Some(value) = value {
                options.insert(name.to_owned(), value.to_owned());
            }
        }
        Self { domain: domain.to_owned(), password: "first".into(), options, ..Self::default() }
    }

    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }
}

#[derive(Default)]
pub struct World {
    pub sites: BTreeMap<u32, Site>,
    pub next: u32,
    /// Reads of a site after its deletion that still show it.
    pub slowness: u32,
    leaving: BTreeMap<u32, u32>,
    /// Sessions with the site and the gate.
    pub sessions: BTreeMap<String, (u32, String)>,
    pub banned: BTreeSet<String>,
    pub admin_password: String,
    /// The next so many reads are answered with null.
    pub nulls: u32,
    pub breaks: Vec<(&'static str, Break)>,
    /// Rows are keyed by domain where sites are named.
    pub keys_by_domain: bool,
    /// Rows do not say whether they are active.
    pub hides_active: bool,
    /// Answers of usage, ready made.
    pub usage: BTreeMap<&'static str, String>,
}

/// A panel and a handle to look at it.
#[derive(Clone)]
pub struct Stage(Arc<Mutex<World>>);

impl Stage {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(World { next: 12, admin_password: "root".into(), ..World::default() })))
    }

    /// A panel with `site12` of the service, and `site11` of a stranger.
    pub fn with_site() -> Self {
        let stage = Self::new();
        {
            let mut world = stage.world();
            world.sites.insert(12, Site::of("a.example", "auser", Some("billhook-p-1007"), None));
            world.sites.insert(11, Site::of("stranger.example", "stranger", Some("other-1"), None));
            world.next = 13;
        }
        stage
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The site of the service.
    pub fn site(&self) -> Site {
        self.world().sites[&12].clone()
    }

    /// The next call of that operation breaks.
    pub fn breaks(&self, operation: &'static str, how: Break) {
        self.world().breaks.push((operation, how));
    }

    pub fn host(&self) -> ScriptedHost {
        let stage = self.clone();
        ScriptedHost::new(move |request| stage.world().take(request))
    }
}

/// The operations that were sent as changes.
pub fn changes(host: &ScriptedHost) -> Vec<String> {
    host.exchanges().iter().filter(|(_, is_change)| *is_change).map(|(request, _)| operation(request)).collect()
}

/// The operations that were sent.
pub fn calls(host: &ScriptedHost) -> Vec<String> {
    host.exchanges().iter().map(|(request, _)| operation(request)).collect()
}

pub fn operation(request: &Request) -> String {
    let text = String::from_utf8(request.body.clone()).unwrap();
    let (_, rest) = text.split_once("<ns1:").unwrap();
    rest.split(['>', '/', ' ']).next().unwrap().to_owned()
}

pub const PASSWORD: &str = "S3cret-p&w<x>";

pub fn service() -> Service {
    Service {
        platform: "p".into(),
        id: "1007".into(),
        username: Some("auser".into()),
        domain: Some("A.example".into()),
        remote_id: Some("site12".into()),
        ..Service::default()
    }
}

pub fn product(more: Value) -> Product {
    let mut settings = json!({ "plan": "basic" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

pub fn provider() -> ApisCp {
    provider_with(json!({ "api_key": "k", "panel_url": "https://panel.example:2083/" }))
}

pub fn provider_with(settings: Value) -> ApisCp {
    ApisCp::open(serde_json::from_value::<Server>(settings).unwrap()).unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn create(more: Value) -> Create<Product> {
    Create {
        service: Service { remote_id: None, ..service() },
        client: Client { name: "A".into(), email: "x@example.org".into(), ..Client::default() },
        product: product(more),
        password: Some(Secret::new(PASSWORD.to_owned())),
    }
}

fn respond(status: u16, inner: &str) -> Scripted {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><SOAP-ENV:Envelope \
         xmlns:SOAP-ENV='http://schemas.xmlsoap.org/soap/envelope/' xmlns:ns1='urn:net.apnscp.api' \
         xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:xsd='http://www.w3.org/2001/XMLSchema' \
         xmlns:ns2='http://xml.apache.org/xml-soap' xmlns:SOAP-ENC='http://schemas.xmlsoap.org/soap/encoding/'>\
         <SOAP-ENV:Body>{inner}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
    reply_as("text/xml; charset=utf-8", status, body)
}

fn failed(text: &str) -> Scripted {
    let text = text.replace('<', "&lt;");
    respond(
        500,
        &format!(
            "<SOAP-ENV:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>{text}</faultstring></SOAP-ENV:Fault>"
        ),
    )
}

fn returned(operation: &str, inner: &str) -> Scripted {
    respond(200, &format!("<ns1:{operation}Response>{inner}</ns1:{operation}Response>"))
}

const NULL: &str = "<return xsi:nil='true'/>";
const TRUE: &str = "<return xsi:type='xsd:boolean'>true</return>";

fn string(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("<{name} xsi:type='xsd:string'>{value}</{name}>"),
        None => format!("<{name} xsi:nil='true'/>"),
    }
}

fn map(name: &str, entries: &[(String, String)]) -> String {
    if entries.is_empty() {
        return format!("<{name} SOAP-ENC:arrayType='xsd:ur-type[0]' xsi:type='SOAP-ENC:Array'/>");
    }
    let mut out = format!("<{name} xsi:type='ns2:Map'>");
    for (key, value) in entries {
        let _ = write!(out, "<item>{}{value}</item>", string("key", Some(key)));
    }
    out + &format!("</{name}>")
}

/// The answer to a change that was made.
pub fn accepting(operation: &str) -> Scripted {
    returned(operation, TRUE)
}

type Parts = BTreeMap<String, Value>;

/// A part as PHP would see it.
fn decoded(node: Node<'_>) -> Value {
    if node.is_nil() {
        return Value::Null;
    }
    match node.type_name() {
        // As PHP does it: a map without members is null.
        Some((_, "Map")) if node.children().next().is_none() => Value::Null,
        Some((_, "Map")) => {
            entries(node).unwrap().into_iter().map(|(key, value)| (key.to_owned(), decoded(value))).collect()
        }
        Some((_, "Array")) => items(node).unwrap().into_iter().map(decoded).collect(),
        Some((_, "boolean")) => json!(node.bool().unwrap()),
        Some((_, "int" | "long")) => json!(node.i64().unwrap()),
        Some((_, "string")) => json!(node.text().unwrap()),
        other => panic!("{} has the type {other:?}", node.path()),
    }
}

fn is_map(value: &Value) -> bool {
    value.is_object() || value.as_array().is_some_and(Vec::is_empty)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl World {
    pub fn take(&mut self, request: &Request) -> Scripted {
        if request.path == "/apnscp.wsdl" {
            assert!(request.query.is_empty(), "the key is not for this");
            return reply_as("text/html", 404, "<html></html>");
        }
        let operation = operation(request);
        let header = |name: &str| request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/soap"));
        assert_eq!(header("Abort-On"), Some("error"), "{operation}");
        assert_eq!(header("SOAPAction"), Some(format!("\"urn:net.apnscp.soap#{operation}\"").as_str()));
        let Some(at) = self.breaks.iter().position(|(wanted, _)| *wanted == operation) else {
            return self.answer(&operation, request);
        };
        let how = self.breaks.remove(at).1;
        let is_done = match how {
            Break::NeverLeft => false,
            Break::Lost { done }
            | Break::Null { done }
            | Break::False { done }
            | Break::Fault { done, .. }
            | Break::Page { done, .. }
            | Break::Cut { done } => done,
        };
        if is_done {
            self.answer(&operation, request);
        }
        match how {
            Break::NeverLeft => Scripted::NeverLeft,
            Break::Lost { .. } => Scripted::Lost,
            Break::Null { .. } => returned(&operation, NULL),
            Break::False { .. } => returned(&operation, "<return xsi:type='xsd:boolean'>false</return>"),
            Break::Fault { text, .. } => failed(text),
            Break::Page { status, .. } => reply_as("text/html", status, "<html><body>no</body></html>"),
            Break::Cut { .. } => match returned(&operation, TRUE) {
                Scripted::Reply(mut reply) => {
                    reply.body.truncate(reply.body.len() - 20);
                    Scripted::Reply(reply)
                }
                other => other,
            },
        }
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Scripted {
        let tree = Limits::default().read(None, &request.body).unwrap();
        let call = tree.root().child("Body").unwrap().children().next().unwrap();
        assert!(call.is("urn:net.apnscp.api", operation));
        let parts: Parts = call.children().map(|part| (part.name().to_owned(), decoded(part))).collect();
        let session = request.cookies.iter().find(|(name, _)| name == "esprit_id").map(|(_, id)| id.clone());
        if request.is_read() && self.nulls > 0 {
            self.nulls -= 1;
            return returned(operation, NULL);
        }
        let text = |name: &str| parts[name].as_str();
        // A typed array that gets null is an error in PHP.
        for name in ["opts", "flags", "sites"] {
            if parts.get(name).is_some_and(|part| !part.is_array() && !is_map(part)) {
                return failed(&format!("{operation}(): Argument (${name}) must be of type array, null given"));
            }
        }
        if let Some(session) = session {
            return self.as_site(operation, &parts, &session);
        }
        match operation {
            "common_whoami" => returned(operation, &string("return", Some("admin"))),
            "misc_cp_version" => returned(
                operation,
                &map(
                    "return",
                    &[("ver_maj".into(), string("value", Some("3"))), ("ver_min".into(), string("value", Some("2")))],
                ),
            ),
            "admin_list_plans" => returned(
                operation,
                "<return SOAP-ENC:arrayType='xsd:string[2]' xsi:type='SOAP-ENC:Array'><item xsi:type='xsd:string'>basic</item>\
                 <item xsi:type='xsd:string'>pro</item></return>",
            ),
            "admin_get_plan" => {
                let quota = map("value", &[("quota".into(), string("value", Some("5000")))]);
                let dns = map("value", &[("key".into(), string("value", Some("dns-secret")))]);
                returned(operation, &map("return", &[("diskquota".into(), quota), ("dns".into(), dns)]))
            }
            "admin_collect" => self.collect(&parts),
            "admin_get_site_id_from_domain" => {
                let found = self.resolve(text("domain").unwrap()).first().map(u32::to_string);
                returned(operation, &string("return", found.as_deref()))
            }
            "admin_get_usage" => {
                let inner = self.usage.get(text("field").unwrap()).cloned();
                returned(operation, &inner.unwrap_or_else(|| map("return", &[])))
            }
            "admin_hijack" => {
                let Some(site) = self.resolve(text("site").unwrap()).first().copied() else {
                    return failed("Unknown site");
                };
                let id = format!("SESSION{site}n{}x", self.sessions.len());
                self.sessions.insert(id.clone(), (site, text("gate").unwrap_or("SOAP").to_owned()));
                returned(operation, &string("return", Some(&id)))
            }
            "admin_add_site" => self.add(&parts),
            "auth_change_password" => {
                let password = text("password").unwrap().to_owned();
                let (Some(user), Some(domain)) = (text("user"), text("domain")) else {
                    self.admin_password = password;
                    return returned(operation, TRUE);
                };
                let found = self
                    .sites
                    .values_mut()
                    .find(|s| s.domain == domain && s.option("siteinfo.admin_user") == Some(user));
                match found {
                    Some(site) => {
                        site.password = password;
                        returned(operation, TRUE)
                    }
                    None => failed(&format!("user `{user}' does not exist")),
                }
            }
            "admin_edit_site" | "admin_deactivate_site" | "admin_activate_site" | "admin_delete_site" => {
                self.change(operation, &parts)
            }
            other => failed(&format!("Procedure '{other}' not present")),
        }
    }

    /// Site id, primary domain, further domain, invoice: in this order.
    fn resolve(&self, name: &str) -> Vec<u32> {
        if let Some(id) = name.strip_prefix("site").and_then(|id| id.parse::<u32>().ok()) {
            return self.sites.contains_key(&id).then_some(id).into_iter().collect();
        }
        let by = |is: &dyn Fn(&Site) -> bool| -> Vec<u32> {
            self.sites.iter().filter(|(_, site)| is(site)).map(|(id, _)| *id).collect()
        };
        for found in [
            by(&|site| site.domain == name),
            by(&|site| site.aliases.iter().any(|alias| alias == name)),
            by(&|site| {
                ["billing.invoice", "billing.parent_invoice"].iter().any(|field| site.option(field) == Some(name))
            }),
        ] {
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn collect(&mut self, parts: &Parts) -> Scripted {
        let gone: Vec<u32> = self.leaving.iter().filter(|(_, left)| **left == 0).map(|(id, _)| *id).collect();
        for id in gone {
            self.leaving.remove(&id);
            self.sites.remove(&id);
        }
        self.leaving.values_mut().for_each(|left| *left -= 1);
        let named = parts["sites"].as_array().cloned().unwrap_or_default();
        let wanted: Option<Vec<u32>> =
            (!named.is_empty()).then(|| named.iter().flat_map(|name| self.resolve(name.as_str().unwrap())).collect());
        let fields: Vec<&str> =
            parts["params"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
        assert!(!fields.is_empty(), "everything is never asked for");
        let mut rows = Vec::new();
        for (id, site) in &self.sites {
            let is_match = |(key, value): (&String, &Value)| match key.as_str() {
                "active" => value.as_bool() == Some(site.inactive.is_none()),
                key => site.option(key) == value.as_str(),
            };
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(id))
                || !parts["query"].as_object().is_none_or(|query| query.iter().all(is_match))
            {
                continue;
            }
            let mut services: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
            for field in &fields {
                let (service, name) = field.split_once('.').unwrap();
                services.entry(service).or_default().push((name.to_owned(), string("value", site.option(field))));
            }
            let mut row: Vec<(String, String)> =
                services.into_iter().map(|(service, members)| (service.to_owned(), map("value", &members))).collect();
            if !self.hides_active {
                let active = format!("<value xsi:type='xsd:boolean'>{}</value>", site.inactive.is_none());
                row.push(("active".into(), active));
            }
            row.push(("domain".into(), string("value", Some(&site.domain))));
            let key = if self.keys_by_domain && wanted.is_some() { site.domain.clone() } else { format!("site{id}") };
            rows.push((key, map("value", &row)));
        }
        returned("admin_collect", &map("return", &rows))
    }

    fn add(&mut self, parts: &Parts) -> Scripted {
        let Value::Object(options) = &parts["opts"] else { return failed("no options") };
        let domain = parts["domain"].as_str().unwrap();
        let user = parts["admin"].as_str().unwrap();
        let is_taken = self.sites.values().any(|s| s.domain == domain || s.option("siteinfo.admin_user") == Some(user));
        if is_taken {
            return failed(&format!("`{domain}' already exists"));
        }
        let mut site = Site { domain: domain.to_owned(), password: "made up by the panel".into(), ..Site::default() };
        for (name, value) in options {
            match (name.as_str(), plain(value)) {
                ("auth.tpasswd", Some(password)) => site.password = password,
                (_, Some(value)) => _ = site.options.insert(name.clone(), value),
                (_, None) => {}
            }
        }
        if let Value::Object(flags) = &parts["flags"] {
            site.options.extend(flags.iter().map(|(name, value)| (format!("flag.{name}"), value.to_string())));
        }
        self.sites.insert(self.next, site);
        self.next += 1;
        returned("admin_add_site", TRUE)
    }

    fn change(&mut self, operation: &str, parts: &Parts) -> Scripted {
        let name = parts["site"].as_str().expect("a change names its site");
        let flags = parts.get("flags").cloned().unwrap_or_default();
        assert!(flags.get("all").is_none(), "never every site");
        let found = self.resolve(name);
        if found.is_empty() {
            return failed(&format!("Unknown domain `{name}'"));
        }
        for id in found {
            let slowness = self.slowness;
            let site = self.sites.get_mut(&id).unwrap();
            match operation {
                "admin_deactivate_site" => {
                    site.inactive = Some(flags["reason"].as_str().unwrap_or_default().to_owned())
                }
                "admin_activate_site" => site.inactive = None,
                "admin_delete_site" => {
                    if flags.get("since").is_none() || site.inactive.is_some() {
                        self.leaving.insert(id, slowness);
                        if slowness == 0 {
                            self.leaving.remove(&id);
                            self.sites.remove(&id);
                        }
                    }
                }
                _ => {
                    let Value::Object(options) = &parts["opts"] else { return failed("no options") };
                    for (name, value) in options {
                        match (name.as_str(), plain(value)) {
                            ("auth.tpasswd", Some(password)) => site.password = password,
                            ("siteinfo.domain", Some(domain)) => {
                                site.options.insert(name.clone(), domain.clone());
                                site.domain = domain;
                            }
                            (_, Some(value)) => _ = site.options.insert(name.clone(), value),
                            (_, None) => _ = site.options.remove(name),
                        }
                    }
                    if let Value::Object(flags) = &flags {
                        let set = flags.iter().map(|(name, value)| (format!("flag.{name}"), value.to_string()));
                        site.options.extend(set);
                    }
                }
            }
        }
        returned(operation, TRUE)
    }

    /// What is asked within a session.
    fn as_site(&mut self, operation: &str, parts: &Parts, session: &str) -> Scripted {
        let Some((id, gate)) = self.sessions.get(session) else { return failed("invalid session") };
        assert_eq!(gate, "SOAP", "a session of a browser is not for this");
        let site = &self.sites[id];
        match operation {
            "auth_is_inactive" => {
                returned(operation, &format!("<return xsi:type='xsd:boolean'>{}</return>", site.inactive.is_some()))
            }
            "auth_inactive_reason" => returned(operation, &string("return", site.inactive.as_deref())),
            "rampart_is_banned" => {
                let is_banned = self.banned.contains(parts["ip"].as_str().unwrap());
                returned(operation, &format!("<return xsi:type='xsd:boolean'>{is_banned}</return>"))
            }
            "rampart_unban" => {
                self.banned.remove(parts["ip"].as_str().unwrap());
                returned(operation, TRUE)
            }
            other => panic!("{other} is not for a customer's session"),
        }
    }
}
