//! The customs office: a request passes only if its caller may make it and every parameter is as documented.
//!
//! The panel itself is lenient (it overlooks what it does not know, and makes a new object where none is named); what
//! shows a bug of the client is a violation all the same, for a test to find at its end. What an operator can get wrong
//! (a wrong password, a machine that is not there) is refused and no more.

use std::collections::BTreeMap;

use super::config::{Level, Version};
use super::errors::Refusal;
use super::functions::{self, COMMON, FUNCTIONS, Form, Function, Need, Op, SECRET};
use super::state::World;
use super::view;
use crate::panel::{Answer, Inspection, Place, Request};

/// The paths that take every function.
const PATHS: [&str; 2] = ["/dcimgr", "/manager/dcimgr"];

/// A request that passed.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub(super) function: &'static Function,
    /// `None` before somebody has logged in.
    pub(super) caller: Option<Caller>,
    pub(super) lang: String,
    /// Parameters that an answer may repeat.
    pub(super) echo: Vec<(String, String)>,
    fields: BTreeMap<String, String>,
}

/// As whom a call is made.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) level: Level,
    /// The session that is alive because of it.
    pub(super) session: Option<String>,
}

impl Accepted {
    pub(super) fn op(&self) -> Op {
        self.function.op
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    /// The id of what is acted on; 0, which is nobody's, when it is none.
    pub(super) fn elid(&self) -> u64 {
        self.number("elid").unwrap_or(0)
    }

    /// Whether a user acts, and not an administrator.
    pub(super) fn is_user(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.level == Level::User)
    }

    /// The account that acts; 0 when nobody does.
    pub(super) fn caller_id(&self) -> u64 {
        self.caller.as_ref().map_or(0, |caller| caller.id)
    }
}

/// The parameters of a request: of two with one name the last.
pub(super) struct Parameters {
    found: BTreeMap<String, String>,
    violations: Vec<String>,
    in_address: Vec<String>,
    is_post: bool,
}

impl Parameters {
    pub(super) fn of(request: &Request) -> Self {
        let is_post = request.method == "POST";
        let mut all = Self { found: BTreeMap::new(), violations: Vec::new(), in_address: Vec::new(), is_post };
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        all.take(query.as_bytes());
        all.in_address = all.found.keys().cloned().collect();
        let kind = request.header("content-type").unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded" {
            all.take(&request.body);
        } else if is_post {
            all.bug("a body that is not labelled as a form");
        }
        all
    }

    fn take(&mut self, text: &[u8]) {
        for (name, value) in url::form_urlencoded::parse(text) {
            if value.contains('\u{fffd}') {
                self.bug(&format!("{name} is not UTF-8"));
            }
            if self.found.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                self.bug(&format!("{name} was given twice"));
            }
        }
    }

    fn bug(&mut self, text: &str) {
        self.violations.push(text.to_owned());
    }

    /// One with at least one character.
    fn get(&self, name: &str) -> Option<&str> {
        self.found.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn func(&self) -> &str {
        self.get("func").unwrap_or_default()
    }

    fn function(&self) -> Option<&'static Function> {
        functions::find(self.func(), self.get("sok").is_some(), self.get("elid").is_some())
    }

    /// A browser that follows a link with a key has its own ways.
    pub(super) fn is_visit(&self) -> bool {
        self.func() == "auth" && self.get("key").is_some() && !self.is_post
    }

    pub(super) fn lang(&self) -> &str {
        self.get("lang").unwrap_or("ru")
    }
}

/// Which call a request is.
pub(super) fn place(request: &Request) -> Option<Place> {
    let path = request.target.split('?').next().unwrap_or_default();
    if !PATHS.contains(&path) {
        return None;
    }
    let given = Parameters::of(request);
    let Some(function) = given.function() else {
        return Some(Place { path: given.func().to_owned(), is_read: true });
    };
    let named = ["elid", "plid"].into_iter();
    let named: Vec<String> = named.filter_map(|name| Some(format!("{name}={}", given.get(name)?))).collect();
    let mark = if named.is_empty() { "" } else { "?" };
    Some(Place { path: format!("{}{mark}{}", function.path(), named.join("&")), is_read: function.is_read })
}

/// Inspects a request.
pub(super) fn inspect(world: &World, request: &Request) -> Inspection<Accepted> {
    let mut given = Parameters::of(request);
    given.inspect_manner();
    let caller = authenticate(world, &mut given);
    let is_authentic = caller.is_ok();
    let user = caller.as_ref().ok().and_then(Option::as_ref).map_or(String::new(), |caller| caller.name.clone());
    let passed = caller.and_then(|caller| pass(&mut given, caller));
    let result = match passed {
        _ if world.version == Version::Old => Err(view::old_refusal(&Refusal::old(3, "func"))),
        // The web interface has a page for everything.
        Ok(_) if given.get("out") != Some("xml") && !given.is_visit() => Err(Answer::html(200)),
        Ok(accepted) => Ok(accepted),
        Err(refusal) => Err(view::refusal(world, &refusal, given.lang(), &user, given.func())),
    };
    Inspection { result, violations: given.violations, is_authentic }
}

impl Parameters {
    /// What shows of a client, whatever it wants.
    fn inspect_manner(&mut self) {
        if self.is_visit() {
            return;
        }
        for name in self.in_address.clone() {
            if SECRET.contains(&name.as_str()) {
                self.bug(&format!("{name} in the address, where logs keep it"));
            }
        }
        if !self.is_post {
            self.bug("not a POST");
        }
        match self.get("out") {
            Some("xml") => {}
            Some(other) => self.bug(&format!("the answer as {other}")),
            None => self.bug("no out: the answer is a web page"),
        }
    }
}

fn authenticate(world: &World, given: &mut Parameters) -> Result<Option<Caller>, Refusal> {
    let (session, authinfo) = (given.get("auth").map(str::to_owned), given.get("authinfo").map(str::to_owned));
    if given.func() == "auth" {
        if session.is_some() || authinfo.is_some() {
            given.bug("a login that is logged in");
        }
        return Ok(None);
    }
    let account = match (&session, authinfo) {
        (Some(_), Some(_)) => {
            given.bug("auth and authinfo together");
            return Err(Refusal::bad_password());
        }
        (None, None) => {
            given.bug("neither auth nor authinfo");
            return Err(Refusal::bad_password());
        }
        (Some(session), None) => {
            let held = world.sessions.get(session).ok_or_else(Refusal::bad_password)?;
            if world.now_ms > held.used_ms + world.knobs.session_idle_ms {
                return Err(Refusal::bad_password());
            }
            if held.address != world.client_address {
                return Err(Refusal::bad_address());
            }
            world.account(held.account).ok_or_else(Refusal::bad_password)?
        }
        (None, Some(authinfo)) => {
            let Some((login, password)) = authinfo.split_once(':') else {
                given.bug("authinfo without a colon");
                return Err(Refusal::bad_password());
            };
            if !world.knobs.takes_authinfo {
                return Err(Refusal::access(given.func()));
            }
            let found = world.account_named(login).filter(|account| account.password == password);
            found.ok_or_else(Refusal::bad_password)?
        }
    };
    if !account.enabled {
        return Err(Refusal::bad_password());
    }
    if account.second_factor {
        return Err(Refusal::second_factor());
    }
    let account = match given.get("su").map(str::to_owned) {
        Some(_) if account.level == Level::User => {
            given.bug("su of a user");
            return Err(Refusal::access("su"));
        }
        Some(name) => world.account_named(&name).ok_or_else(|| Refusal::missed("user", &name))?,
        None => account,
    };
    Ok(Some(Caller { id: account.id, name: account.name.clone(), level: account.level, session }))
}

fn pass(given: &mut Parameters, caller: Option<Caller>) -> Result<Accepted, Refusal> {
    let name = given.func().to_owned();
    let Some(function) = given.function() else {
        let like = FUNCTIONS.iter().find(|function| function.name.eq_ignore_ascii_case(&name));
        given.bug(&match like {
            Some(like) if like.name == name => format!("no such use of {name}"),
            Some(like) => format!("the function is written {}, not {name}", like.name),
            None => format!("no such function as {name:?}"),
        });
        return Err(Refusal::missed("func", &name));
    };
    if !function.for_users && caller.as_ref().is_none_or(|caller| caller.level == Level::User) {
        return Err(Refusal::access(&name));
    }
    let known = |name: &str| COMMON.contains(&name) || function.fields.iter().any(|field| field.name == name);
    for stranger in given.found.keys().filter(|name| !known(name)).cloned().collect::<Vec<_>>() {
        // A form that is committed for nothing makes something: the most expensive slip that there is.
        let is_lost = stranger == "elid" && function.usage == functions::Usage::New;
        given.bug(&if is_lost { "an empty elid".to_owned() } else { format!("unknown parameter {stranger}") });
    }
    if let Some(sok) = given.get("sok").filter(|sok| *sok != "ok") {
        given.bug(&format!("sok is {sok}"));
    }
    if given.get("sok").is_some() && function.usage == functions::Usage::Plain {
        given.bug("a commit of what is no form");
    }
    if given.get("filter").is_some_and(|filter| !["off", "yes"].contains(&filter)) {
        given.bug("no such filter");
    }
    for field in function.fields {
        let value = given.found.get(field.name).cloned();
        match (value, field.need) {
            (Some(value), _) if has_form(field.form, &value) => {}
            (Some(value), Need::Must) => {
                let shown = if SECRET.contains(&field.name) { "" } else { value.as_str() };
                given.bug(&format!("{} is {shown:?}", field.name));
                return Err(Refusal::value(field.name, shown));
            }
            (Some(value), Need::May | Need::Echo) => given.bug(&format!("{} is {value:?}", field.name)),
            (None, Need::Must) => {
                given.bug(&format!("{} is missing", field.name));
                return Err(Refusal::value(field.name, ""));
            }
            (None, Need::Echo) => given.bug(&format!("{} is not repeated, and so cleared", field.name)),
            (None, Need::May) => {}
        }
    }
    let echo = given.found.iter().filter(|(name, _)| !SECRET.contains(&name.as_str()));
    Ok(Accepted {
        function,
        caller,
        lang: given.lang().to_owned(),
        echo: echo.map(|(name, value)| (name.clone(), value.clone())).collect(),
        fields: given.found.clone(),
    })
}

fn has_form(form: Form, value: &str) -> bool {
    let is_id = |text: &str| {
        !text.is_empty() && !text.starts_with('0') && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match form {
        Form::Id => is_id(value),
        Form::Owner => is_id(value) || value == "no_owner",
        Form::Text => !value.is_empty() && value.trim() == value,
        Form::Free => true,
        Form::Empty => value.is_empty(),
        Form::Word(words) => words.contains(&value),
    }
}
