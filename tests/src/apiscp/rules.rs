//! The customs office: a call passes only if every word of it is as documented.
//!
//! The panel itself is lenient (PHP's server overlooks what it does not know and reads null where nothing fits); what shows a
//! bug of the client is a violation all the same, for a test to find at its end. What an operator can get wrong (a wrong key,
//! a plan that is not there) is refused and no more.

use super::config::{ApiKey, Denial, base};
use super::ops::{self, Form, Op, Operation, Who};
use super::soap::{self, ACTION};
use super::state::{Identity, MOST_FAILURES, World};
use super::value::Value;
use crate::panel::{Answer, Body, Inspection, Request};

/// The path that takes every call.
pub(super) const PATH: &str = "/soap";
/// The path that describes them.
pub(super) const WSDL: &str = "/apnscp.wsdl";

/// A call that passed.
#[derive(Clone, Debug)]
pub enum Asked {
    /// For the description of the API.
    Wsdl,
    /// For an operation.
    Call(Box<Accepted>),
}

/// An operation that passed.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub(super) operation: &'static Operation,
    /// In the order of the operation's parts.
    values: Vec<Value>,
    pub(super) caller: Identity,
    /// Whether an ordinary error ends the call.
    pub(super) aborts: bool,
}

impl Accepted {
    /// The value of a part; null when it did not come.
    pub(super) fn value(&self, name: &str) -> &Value {
        let index = self.operation.parts.iter().position(|part| part.name == name);
        index.and_then(|index| self.values.get(index)).unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).printed()
    }

    /// A flag that is set at all.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.value("flags").get(name).is_some_and(Value::is_truthy)
    }
}

/// The answer of a refusal that aborts.
pub(super) fn fault(code: &str, text: &str) -> Answer {
    xml(500, soap::fault(code, text))
}

/// An XML document as the panel labels it.
pub(super) fn xml(status: u16, text: String) -> Answer {
    Answer { status, headers: Vec::new(), body: Body::Bytes("text/xml; charset=utf-8", text.into_bytes()) }
}

/// The operation's name, as far as it can be read.
pub(super) fn name_of(request: &Request) -> String {
    soap::read(&request.body).map_or_else(|_| "soap".to_owned(), |sent| sent.name)
}

/// Inspects a request.
pub(super) fn inspect(world: &World, request: &Request) -> Inspection<Asked> {
    let mut bugs = Vec::new();
    // Who wants to know what may be asked shows no key for it.
    if request.target.split('?').next() == Some(WSDL) {
        let is_there = world.knobs.soap;
        let result = if is_there { Ok(Asked::Wsdl) } else { Err(Answer::html(404)) };
        return Inspection { result, violations: bugs, is_authentic: false };
    }
    let key = authenticate(world, request, &mut bugs);
    let is_authentic = key.is_ok();
    let result = key.and_then(|key| pass(world, request, &key, &mut bugs));
    Inspection { result, violations: bugs, is_authentic }
}

fn authenticate(world: &World, request: &Request, bugs: &mut Vec<String>) -> Result<ApiKey, Answer> {
    if !world.knobs.soap {
        return Err(Answer::html(404));
    }
    if request.header("authorization").is_some() {
        bugs.push("Authorization, which no panel takes".into());
        return Err(Answer::empty(401));
    }
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let mut shown: Vec<String> = request.header("auth-key").map(str::to_owned).into_iter().collect();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "authkey" => shown.push(value.into_owned()),
            other => bugs.push(format!("unknown parameter {other}")),
        }
    }
    if shown.len() > 1 {
        bugs.push("the key in two places".into());
    }
    if world.failures() >= MOST_FAILURES {
        return Err(Answer::empty(world.knobs.locked_status));
    }
    let plain = |key: &str| key.replace('-', "").split_whitespace().collect::<String>().to_ascii_lowercase();
    let shown = shown.first().map(|key| plain(key));
    let found = world.keys.iter().find(|key| Some(plain(&key.key)) == shown);
    let Some(key) = found else {
        if shown.is_none() {
            bugs.push("no key".into());
        }
        world.note_failure();
        return Err(Answer::empty(401));
    };
    if world.knobs.totp.is_some() && request.header("x-extended-auth") != world.knobs.totp.as_deref() {
        world.note_failure();
        return Err(Answer::empty(401).with_header("www-authorization", "Basic realm=\"panel\", qop=\"auth-int\""));
    }
    Ok(key.clone())
}

fn pass(world: &World, request: &Request, key: &ApiKey, bugs: &mut Vec<String>) -> Result<Asked, Answer> {
    if request.method != "POST" {
        bugs.push("not a POST".into());
        return Err(fault("Client", "Bad Request"));
    }
    let kind = request.header("content-type").unwrap_or_default().to_ascii_lowercase().replace([' ', '"'], "");
    if kind != "text/xml;charset=utf-8" {
        bugs.push(format!("the content type is {kind:?}"));
    }
    let aborts = match request.header("abort-on") {
        Some("error") => true,
        Some(other) => {
            bugs.push(format!("Abort-On: {other}"));
            false
        }
        None => {
            bugs.push("no Abort-On".into());
            false
        }
    };
    let sent = match soap::read(&request.body) {
        Ok(sent) => sent,
        Err(error) => {
            bugs.push(error);
            return Err(fault("Client", "Bad Request"));
        }
    };
    bugs.extend(sent.bugs.iter().cloned());
    let action = format!("\"{ACTION}{}\"", sent.name);
    if request.header("soapaction") != Some(action.as_str()) {
        bugs.push(format!("SOAPAction is {:?}", request.header("soapaction")));
    }
    let Some(operation) = ops::operation(&sent.name) else {
        bugs.push("no such operation".into());
        return Err(fault("Server", &format!("Procedure '{}' not present", sent.name)));
    };
    let caller = caller(world, request, key, operation, bugs)?;
    let values = arguments(operation, &sent.parts, bugs)?;
    let accepted = Accepted { operation, values, caller, aborts };
    manners(&accepted, bugs);
    Ok(Asked::Call(Box::new(accepted)))
}

/// Whom the call runs as, if that one may make it.
fn caller(
    world: &World,
    request: &Request,
    key: &ApiKey,
    operation: &Operation,
    bugs: &mut Vec<String>,
) -> Result<Identity, Answer> {
    let owner = match &key.site {
        None => Some(Identity::Admin { owner: key.owner.clone() }),
        Some(domain) => world
            .live()
            .find(|site| site.text("siteinfo.domain") == Some(domain))
            .map(|site| Identity::Site { id: site.id, user: key.owner.clone() }),
    };
    let Some(mut caller) = owner else { return Err(Answer::empty(401)) };
    let cookies: Vec<&str> = request.header("cookie").into_iter().flat_map(|all| all.split("; ")).collect();
    match cookies.as_slice() {
        [] => {}
        [cookie] => match cookie.strip_prefix("esprit_id=") {
            Some(sid) => match world.sessions.iter().find(|session| session.sid == sid) {
                Some(session) if session.ends_ms > world.now_ms => {
                    if session.gate != "SOAP" {
                        bugs.push(format!("a session of the gate {} over SOAP", session.gate));
                    }
                    if operation.who == Who::Admin {
                        bugs.push("somebody else's session with a call of the administrator's".into());
                    }
                    caller = session.identity.clone();
                }
                Some(_) => {}
                None => bugs.push("a session that was never opened".into()),
            },
            None => bugs.push(format!("the cookie {cookie:?}")),
        },
        _ => bugs.push("more than one cookie".into()),
    }
    let is_admin = matches!(caller, Identity::Admin { .. });
    let changes_sites = matches!(
        operation.op,
        Op::AddSite | Op::EditSite | Op::DeactivateSite | Op::ActivateSite | Op::DeleteSite | Op::Hijack
    );
    let may = match operation.who {
        Who::Any => true,
        Who::Site => !is_admin,
        Who::Admin => is_admin && (world.knobs.admin_api || !changes_sites),
    };
    match (may, world.knobs.denial) {
        (true, _) => Ok(caller),
        (false, Denial::Forbidden) => Err(Answer::html(403)),
        (false, Denial::Privileges) => Err(fault("Server", &format!("{}: insufficient privileges", operation.name))),
        (false, Denial::NoCommand) => Err(fault("Server", &format!("{}: command does not exist", operation.name))),
    }
}

/// The parts as PHP's server hands them to the method: by name; if no name fits, by place.
fn arguments(operation: &Operation, sent: &[(String, Value)], bugs: &mut Vec<String>) -> Result<Vec<Value>, Answer> {
    let known = |name: &str| operation.parts.iter().any(|part| part.name == name);
    let fits = sent.iter().any(|(name, _)| known(name));
    for (index, (name, _)) in sent.iter().enumerate() {
        // Flags may be sent to panels that do not take them yet.
        if !known(name) && name != "flags" {
            bugs.push(format!("unknown part {name}"));
        }
        if sent[..index].iter().any(|(other, _)| other == name) {
            bugs.push(format!("{name} was given twice"));
        }
    }
    let mut values = Vec::new();
    for (index, part) in operation.parts.iter().enumerate() {
        let found = if fits {
            sent.iter().find(|(name, _)| name == part.name).map(|(_, value)| value)
        } else {
            sent.get(index).map(|(_, value)| value)
        };
        if found.is_none() {
            bugs.push(format!("{} is missing", part.name));
        }
        let value = found.cloned().unwrap_or(Value::Null);
        let wanted = match part.form {
            Form::Text => "string",
            Form::Bool => "bool",
            Form::Array => "array",
        };
        let is_good = match (&value, part.form) {
            (Value::Null, _) => part.may_be_null,
            (Value::Text(_), Form::Text)
            | (Value::Bool(_), Form::Bool)
            | (Value::List(_) | Value::Map(_), Form::Array) => true,
            _ => false,
        };
        if !is_good {
            let given = match &value {
                Value::Null => "null",
                Value::Object(_) => "stdClass",
                Value::List(_) | Value::Map(_) => "array",
                Value::Bool(_) => "bool",
                Value::Int(_) => "int",
                Value::Float(_) => "float",
                Value::Text(_) => "string",
            };
            bugs.push(format!("{} is {given}", part.name));
            // What is scalar is made a text in silence; nothing else is made anything.
            if part.form != Form::Text || value.printed().is_none() {
                let text = format!(
                    "{}(): Argument #{} (${}) must be of type {wanted}, {given} given",
                    operation.name,
                    index + 1,
                    part.name
                );
                return Err(fault("Server", &text));
            }
        }
        values.push(value);
    }
    Ok(values)
}

/// What the panel would do, and no careful client asks for.
fn manners(asked: &Accepted, bugs: &mut Vec<String>) {
    let mut bug = |text: String| bugs.push(text);
    let known_flags: &[&str] = match asked.operation.op {
        Op::AddSite => &["force", "notify", "bootstrap"],
        Op::EditSite => &["force", "reset", "dry-run", "backup", "reconfig", "all"],
        Op::DeactivateSite => &["reason", "template"],
        Op::DeleteSite => &["force", "since", "match", "dry-run"],
        _ => &[],
    };
    for (flag, _) in asked.value("flags").members() {
        if !known_flags.contains(&flag) {
            bug(format!("unknown flag {flag}"));
        }
    }
    if asked.flag("all") {
        bug("an edit of every site of the server".into());
    }
    let opts = asked.value("opts");
    for (key, value) in opts.members() {
        if !base().iter().any(|(known, _)| *known == key) {
            bug(format!("unknown option {key}"));
        }
        let is_name = matches!(key, "siteinfo.domain" | "siteinfo.admin_user");
        if is_name && value.as_str().is_none_or(|name| name != name.to_lowercase()) {
            bug(format!("{key} is not in lower case"));
        }
        if key == "billing.ctime" {
            bug("billing.ctime is nobody's to set".into());
        }
    }
    if opts.get("diskquota.quota").is_some() && opts.get("diskquota.units").is_none() {
        bug("a quota without its units".into());
    }
    match asked.operation.op {
        Op::AddSite => {
            let billed = ["billing.invoice", "billing.parent_invoice"];
            if !billed.iter().any(|key| opts.get(key).is_some()) {
                bug("a site that nobody will find by its invoice".into());
            }
            if !["auth.tpasswd", "auth.cpasswd"].iter().any(|key| opts.get(key).is_some()) {
                bug("a site whose password nobody will know".into());
            }
            for key in ["siteinfo.enabled", "siteinfo.domain", "siteinfo.admin_user", "siteinfo.email", "siteinfo.plan"]
            {
                if opts.get(key).is_none() {
                    bug(format!("a site without {key}"));
                }
            }
            for (part, key) in [("domain", "siteinfo.domain"), ("admin", "siteinfo.admin_user")] {
                if opts.get(key).is_some_and(|value| value != asked.value(part)) {
                    bug(format!("{part} and {key} differ"));
                }
            }
        }
        Op::EditSite if opts.get("aliases.aliases").is_some() => {
            bug("an edit of add-on domains, which loses those that it does not name".into());
        }
        Op::DeleteSite if asked.text("site").is_none_or(|site| site.is_empty()) => {
            bug("a delete that names no site".into());
        }
        Op::Collect if asked.value("params").is_null() => bug("every variable of every service".into()),
        Op::ChangePassword => {
            for part in ["user", "domain"] {
                if asked.text(part).is_none_or(|text| text.is_empty()) && matches!(asked.caller, Identity::Admin { .. })
                {
                    bug(format!("a password for no {part}, which is the administrator's own"));
                }
            }
        }
        Op::IsInactive if matches!(asked.caller, Identity::Admin { .. }) => {
            bug("the administrator is asked whether it is suspended".into());
        }
        Op::IsBanned | Op::Unban if asked.text("ip").is_none_or(|ip| ip.is_empty()) => {
            bug("no address, which is the client's own".into());
        }
        Op::GetUsage if asked.value("field").as_str() == Some("cgroup") => {
            bug("usage that takes the panel 45 seconds to count".into());
        }
        _ => {}
    }
}
