//! The customs office: a request passes only if every parameter is as documented.
//!
//! The panel itself is lenient (it overlooks what it does not know); what shows a bug of the client is a violation all
//! the same, for a test to find at its end. What an operator can get wrong (a wrong password, a plan that is not there)
//! is refused and no more.

use std::collections::BTreeMap;

use super::codes::Code;
use super::commands::{COMMANDS, COMMON, Command, Form, Op};
use super::config::User;
use super::state::World;
use super::view;
use crate::panel::{Answer, Inspection, Request};

/// The path that takes every command.
pub(super) const PATH: &str = "/apih.php";

/// Whose name belongs to the panel's own account for trying out: nothing is charged, nothing is done.
pub(super) const TEST_LOGIN: &str = "test";

/// A request that passed.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub(super) op: Op,
    pub(super) login: String,
    /// Whether the answer is serialized by PHP instead of JSON.
    pub(super) php: bool,
    fields: BTreeMap<&'static str, String>,
}

impl Accepted {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The ids of a list; one that is no number is 0, which is nobody's.
    pub(super) fn numbers(&self, name: &str) -> Vec<u64> {
        let list = self.text(name).into_iter().flat_map(|list| list.split(','));
        list.map(|part| part.trim().parse().unwrap_or(0)).collect()
    }
}

/// The parameters of a request, as PHP would see them: of two with one name the last.
pub(super) struct Parameters {
    found: BTreeMap<String, String>,
    violations: Vec<String>,
}

impl Parameters {
    pub(super) fn of(request: &Request) -> Self {
        let mut all = Self { found: BTreeMap::new(), violations: Vec::new() };
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        if !query.is_empty() {
            all.bug("parameters in the address, where logs keep them");
        }
        if request.method != "POST" {
            all.bug("not a POST");
        }
        all.take(query.as_bytes());
        let kind = request.header("content-type").unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded" {
            all.take(&request.body);
        } else if request.method == "POST" {
            // PHP does not look into it.
            all.bug("a body that is not labelled as a form");
        }
        all
    }

    fn take(&mut self, text: &[u8]) {
        for (name, value) in url::form_urlencoded::parse(text) {
            if value.contains('\u{fffd}') {
                self.bug(&format!("{name} is not UTF-8"));
            }
            if value.is_empty() {
                self.bug(&format!("{name} is empty"));
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
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.found.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn wants_php(&self) -> bool {
        self.get("json") != Some("1")
    }
}

/// The command of this name, as it is spelled.
pub(super) fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Inspects a request.
pub(super) fn inspect(world: &World, request: &Request) -> Inspection<Accepted> {
    let mut given = Parameters::of(request);
    let php = given.wants_php();
    let user = authenticate(world, &mut given);
    let is_authentic = user.is_ok();
    let passed = user.and_then(|login| pass(&mut given, login));
    let result = passed.map_err(|code| refusal(world, code, php));
    Inspection { result, violations: given.violations, is_authentic }
}

/// The envelope of a refusal.
pub(super) fn refusal(world: &World, code: Code, php: bool) -> Answer {
    view::answer(&view::error(code), &world.knobs.manners, php)
}

fn authenticate(world: &World, given: &mut Parameters) -> Result<String, Code> {
    let (pass, apikey) = (given.get("pass").map(str::to_owned), given.get("apikey").map(str::to_owned));
    let Some(login) = given.get("login").map(str::to_owned) else {
        given.bug("no login");
        return Err(Code::NO_LOGIN);
    };
    match (&pass, &apikey) {
        (Some(_), Some(_)) => {
            given.bug("pass and apikey together");
            return Err(Code::TWO_KEYS);
        }
        (None, None) => {
            given.bug("neither pass nor apikey");
            return Err(Code::NO_KEY);
        }
        _ => {}
    }
    if login == TEST_LOGIN {
        return if pass.as_deref() == Some(TEST_LOGIN) { Ok(login) } else { Err(Code::WRONG_KEY) };
    }
    let user: &User = world.user(&login).ok_or(Code::UNKNOWN_USER)?;
    if !user.api_on {
        return Err(Code::API_OFF);
    }
    if !user.address_allowed {
        return Err(Code::ADDRESS);
    }
    let fits = pass.is_some_and(|pass| pass == user.pass) || apikey.is_some_and(|key| key == user.apikey);
    if fits { Ok(login) } else { Err(Code::WRONG_KEY) }
}

fn pass(given: &mut Parameters, login: String) -> Result<Accepted, Code> {
    let php = given.wants_php();
    if let Some(json) = given.get("json").filter(|json| *json != "1") {
        let text = format!("json is {json}");
        given.bug(&text);
    }
    let name = given.get("command").unwrap_or_default().to_owned();
    let Some(command) = command(&name) else {
        let like = COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(&name));
        given.bug(&match like {
            Some(like) => format!("the command is written {}, not {name}", like.name),
            None => format!("no such command as {name:?}"),
        });
        return Err(Code::UNKNOWN_COMMAND);
    };
    let known = |name: &str| COMMON.contains(&name) || command.fields.iter().any(|field| field.name == name);
    let strangers: Vec<String> = given.found.keys().filter(|name| !known(name)).cloned().collect();
    for stranger in strangers {
        given.bug(&format!("unknown parameter {stranger}"));
    }
    let mut fields = BTreeMap::new();
    for field in command.fields {
        let value = given.get(field.name).map(str::to_owned);
        match (value, field.missing) {
            (Some(value), missing) => {
                let is_good = has_form(field.form, &value);
                if !is_good {
                    given.bug(&format!("{} is {value:?}", field.name));
                }
                // An id of another form is one that the panel does not find; any other kind of plan is refused.
                if field.form == Form::Vid && !is_good {
                    return Err(missing.unwrap_or(Code::WRONG_KIND));
                }
                fields.insert(field.name, value);
            }
            (None, Some(code)) => {
                given.bug(&format!("{} is missing", field.name));
                return Err(code);
            }
            (None, None) => {}
        }
    }
    Ok(Accepted { op: command.op, login, php, fields })
}

fn has_form(form: Form, value: &str) -> bool {
    let is_number = |text: &str| {
        !text.is_empty() && !text.starts_with('0') && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match form {
        Form::Number => is_number(value),
        Form::Numbers => value.split(',').all(is_number),
        Form::Flag => ["0", "1"].contains(&value),
        Form::Vid => value == "vds",
        Form::Text => value.trim() == value,
    }
}
