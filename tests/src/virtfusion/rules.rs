//! The customs office: a request passes only if every header, parameter and field is as documented.
//!
//! A refusal that shows a bug of the client is also a violation, for a test to find at its end. What an operator can
//! get wrong (a value out of bounds, a wrong token, a wrong prefix) is refused and no more.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::routes::{Body, Field, Kind, Op, ROUTES, Route};
use crate::panel::{Answer, Inspection, Request, fits};

/// A request that passed.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub(super) route: &'static Route,
    /// The numbers of the path, in order; a `{rel}` is not among them.
    pub(super) ids: Vec<u64>,
    /// The `{rel}` of the path, if it has one.
    pub(super) relation: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Map<String, Value>,
}

impl Accepted {
    pub(super) fn id(&self, index: usize) -> u64 {
        self.ids.get(index).copied().unwrap_or(0)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value == "true" || value == "1")
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name)?.parse().ok()
    }

    pub(super) fn int(&self, name: &str) -> Option<u64> {
        self.body.get(name)?.as_u64()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        self.body.get(name)?.as_bool()
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.body.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }
}

/// Inspects a request. `target` is path and query below the prefix.
pub(super) fn inspect(request: &Request, target: &str, token: &str) -> Inspection<Accepted> {
    let mut violations = Vec::new();
    let bearer = request.header("authorization");
    let is_authentic = bearer == Some(format!("Bearer {token}").as_str());
    let result = pass(request, target, bearer, is_authentic, &mut violations);
    Inspection { result, violations, is_authentic }
}

fn pass(
    request: &Request,
    target: &str,
    bearer: Option<&str>,
    is_authentic: bool,
    violations: &mut Vec<String>,
) -> Result<Accepted, Answer> {
    if !request.header("accept").is_some_and(|accept| accept.contains("application/json")) {
        violations.push("no `Accept: application/json`".into());
        return Err(Answer::html(406));
    }
    if bearer.is_none_or(|value| !value.starts_with("Bearer ")) {
        violations.push("no bearer token".into());
    }
    if !is_authentic {
        return Err(Answer::empty(401));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let route = find_route(&request.method, path, violations)?;
    let (ids, relation) = path_values(route, path);

    let mut faults = Faults { violations, errors: Vec::new() };
    let query = read_query(route, query, &mut faults);
    let body = read_body(route, request, &mut faults);
    if route.op == Op::CreateServer && !body.contains_key("ipv4") {
        // The panel takes it and makes a server that nobody can reach.
        faults.violations.push("an order without ipv4".into());
    }
    match faults.errors.is_empty() {
        true => Ok(Accepted { route, ids, relation, query, body }),
        false => Err(Answer::errors(&faults.errors)),
    }
}

/// Gathers what is wrong: every fault is refused, some are violations as well.
struct Faults<'a> {
    violations: &'a mut Vec<String>,
    errors: Vec<String>,
}

impl Faults<'_> {
    fn bug(&mut self, text: String) {
        self.violations.push(text.clone());
        self.errors.push(text);
    }

    fn refuse(&mut self, text: String) {
        self.errors.push(text);
    }

    fn judge(&mut self, verdict: Verdict, name: &str) {
        match verdict {
            Verdict::Good => {}
            Verdict::WrongType => self.bug(format!("the {name} field has the wrong type")),
            Verdict::OutOfBounds => self.refuse(format!("the {name} field is out of bounds")),
        }
    }
}

fn find_route(method: &str, path: &str, violations: &mut Vec<String>) -> Result<&'static Route, Answer> {
    let fitting: Vec<_> = ROUTES.iter().filter(|route| reaches(route.pattern, path)).collect();
    if let Some(route) = fitting.iter().find(|route| route.method == method) {
        return Ok(route);
    }
    // Neither body has a `msg` or an `errors`: no client may read one as "the server is gone".
    if fitting.is_empty() {
        violations.push("no such path".into());
        return Err(Answer::json(404, json!({ "message": "The route could not be found." })));
    }
    violations.push("no such method on this path".into());
    Err(Answer::json(405, json!({ "message": "The method is not supported for this route." })))
}

/// Whether a path has a pattern's form, with numbers where the pattern wants numbers.
fn reaches(pattern: &str, path: &str) -> bool {
    fits(pattern, path)
        && pattern
            .split('/')
            .zip(path.split('/'))
            .all(|(wanted, part)| !wanted.starts_with('{') || wanted == "{rel}" || part.parse::<u64>().is_ok())
}

fn path_values(route: &Route, path: &str) -> (Vec<u64>, String) {
    let mut ids = Vec::new();
    let mut relation = String::new();
    for (wanted, part) in route.pattern.split('/').zip(path.split('/')) {
        match wanted {
            "{rel}" => relation = part.to_owned(),
            _ if wanted.starts_with('{') => ids.extend(part.parse::<u64>()),
            _ => {}
        }
    }
    (ids, relation)
}

fn read_query(route: &Route, query: &str, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some(field) = route.query.iter().find(|field| field.name == name) else {
            faults.bug(format!("unknown query parameter {name}"));
            continue;
        };
        faults.judge(judge_text(field.kind, &value), field.name);
        if found.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            faults.bug(format!("query parameter {name} was given twice"));
        }
    }
    for field in route.query.iter().filter(|field| field.required) {
        if !found.contains_key(field.name) {
            faults.bug(format!("query parameter {} is missing", field.name));
        }
    }
    found
}

fn read_body(route: &Route, request: &Request, faults: &mut Faults) -> Map<String, Value> {
    let fields: &[Field] = match route.body {
        Body::None if request.body.is_empty() => return Map::new(),
        Body::None => {
            faults.bug("a body where none belongs".into());
            return Map::new();
        }
        Body::Optional(_) if request.body.is_empty() => return Map::new(),
        Body::Optional(fields) | Body::Required(fields) => fields,
    };
    if !request.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        faults.bug("no `Content-Type: application/json`".into());
        return Map::new();
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&request.body) else {
        faults.bug("the body is not a JSON object".into());
        return Map::new();
    };
    for (name, value) in &body {
        match fields.iter().find(|field| field.name == name) {
            Some(field) => faults.judge(judge(field.kind, value), field.name),
            None => faults.bug(format!("unknown field {name}")),
        }
    }
    for field in fields.iter().filter(|field| field.required) {
        if !body.contains_key(field.name) {
            faults.bug(format!("the {} field is required", field.name));
        }
    }
    body
}

enum Verdict {
    Good,
    WrongType,
    OutOfBounds,
}

impl Verdict {
    fn bound(good: bool) -> Self {
        if good { Self::Good } else { Self::OutOfBounds }
    }

    fn kind(good: bool) -> Self {
        if good { Self::Good } else { Self::WrongType }
    }
}

fn judge(kind: Kind, value: &Value) -> Verdict {
    match (kind, value) {
        (Kind::Int(min, max), Value::Number(number)) => match number.as_i64() {
            Some(number) => Verdict::bound((min..=max).contains(&number)),
            None => Verdict::WrongType,
        },
        (Kind::Number(known), Value::Number(number)) => {
            Verdict::bound(number.as_f64().is_some_and(|number| known.contains(&number)))
        }
        (Kind::Bool, Value::Bool(_)) => Verdict::Good,
        (Kind::Text(min), Value::String(text)) => Verdict::bound(text.chars().count() >= min),
        (Kind::Word(known), Value::String(text)) => Verdict::bound(known.contains(&text.as_str())),
        (Kind::Ints, Value::Array(items)) => Verdict::kind(items.iter().all(Value::is_i64)),
        (Kind::Texts, Value::Array(items)) => Verdict::kind(items.iter().all(Value::is_string)),
        _ => Verdict::WrongType,
    }
}

fn judge_text(kind: Kind, text: &str) -> Verdict {
    match kind {
        Kind::Int(min, max) => match text.parse::<i64>() {
            Ok(number) => Verdict::bound((min..=max).contains(&number)),
            Err(_) => Verdict::WrongType,
        },
        Kind::Bool => Verdict::kind(["true", "false", "1", "0"].contains(&text)),
        Kind::Word(known) => Verdict::bound(known.contains(&text)),
        Kind::Text(_) | Kind::Number(_) | Kind::Ints | Kind::Texts => Verdict::Good,
    }
}
