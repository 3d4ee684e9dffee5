//! Requests and answers held against the vendor's OpenAPI file, where that file is at hand.
//!
//! The file's answer schemas say little more than "an object", so answers are also held against the file's examples:
//! every member of an example must be there, with the type that it has in the example.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::panel::{Answer, Body};

/// Where the file lies below the folder of shared contracts.
const FILE: &str = "contracts/virtfusion/openapi.yaml";

/// The compiled file.
pub struct Contract {
    operations: BTreeMap<(String, String), Operation>,
}

struct Operation {
    query: Vec<String>,
    /// `None` when the file declares no body, or when the body is a known deviation.
    body: Option<jsonschema::Validator>,
    answers: BTreeMap<u16, Declared>,
}

struct Declared {
    schema: Option<jsonschema::Validator>,
    example: Option<Value>,
}

/// Where the file is wrong or behind the panel, by the section of the contract that says so.
struct Deviation {
    section: &'static str,
    method: &'static str,
    path: &'static str,
    what: What,
}

enum What {
    /// A body field that the file lacks or mistypes.
    Field(&'static str),
    /// A query parameter that the file lacks.
    Query(&'static str),
    /// A success status that the file lacks.
    Status(u16),
    /// An answer that contradicts its schema.
    Shape,
}

const DEVIATIONS: &[Deviation] = &[
    Deviation { section: "3", method: "GET", path: "/connect", what: What::Shape },
    Deviation { section: "3", method: "GET", path: "/servers", what: What::Query("page") },
    Deviation { section: "6.1", method: "GET", path: "/compute/hypervisors/groups", what: What::Query("page") },
    Deviation {
        section: "6.1",
        method: "GET",
        path: "/compute/hypervisors/groups/{}/resources",
        what: What::Query("page"),
    },
    Deviation { section: "6.3", method: "POST", path: "/servers", what: What::Status(200) },
    Deviation { section: "6.4", method: "POST", path: "/servers/{}/build", what: What::Field("timezone") },
    Deviation { section: "6.5", method: "PUT", path: "/servers/{}/modify/traffic", what: What::Field("traffic") },
    Deviation { section: "9", method: "POST", path: "/users/{}/authenticationTokens", what: What::Field("return_url") },
];

/// Errors that the contract's section 3 lists and the file leaves undeclared, with the framework's own 405 and 406.
const ERRORS: &[u16] = &[401, 403, 404, 405, 406, 409, 422, 423, 429, 500, 501, 503];

/// Members whose content is free or depends on the moment, wherever they stand.
const FREE: &[&str] = &["config", "remoteState", "primaryActions", "months", "ipv6", "pending"];

static CONTRACT: LazyLock<Option<Contract>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(file()?).ok()?;
    let file: Value = serde_yaml_ng::from_str(&text).ok()?;
    Some(Contract::compile(&file))
});

/// The vendor's file, compiled once per process; `None` when it is not at hand, and then nothing is held against it.
pub fn contract() -> Option<&'static Contract> {
    CONTRACT.as_ref()
}

/// `BILLHOOK_SHARED`, or a folder `shared` beside the checkout or one of the folders that it lies in.
fn file() -> Option<PathBuf> {
    if let Some(shared) = std::env::var_os("BILLHOOK_SHARED") {
        return Some(Path::new(&shared).join(FILE)).filter(|path| path.is_file());
    }
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.map(|folder| folder.join("shared").join(FILE)).find(|path| path.is_file())
}

impl Contract {
    fn compile(file: &Value) -> Self {
        let mut operations = BTreeMap::new();
        for (path, methods) in members(&file["paths"]) {
            for (method, operation) in members(methods) {
                let path = nameless(path);
                let method = method.to_ascii_uppercase();
                operations.insert((method, path), Operation::compile(operation));
            }
        }
        Self { operations }
    }

    /// What in a request contradicts the file.
    pub(super) fn check_request(
        &self,
        method: &str,
        pattern: &str,
        query: &BTreeMap<String, String>,
        body: &Map<String, Value>,
    ) -> Vec<String> {
        let path = nameless(pattern);
        let Some(operation) = self.operations.get(&(method.to_owned(), path.clone())) else {
            return vec!["the call is not in the OpenAPI file".into()];
        };
        let known = |wanted: &dyn Fn(&What) -> bool| is_known(method, &path, wanted);
        let mut found: Vec<String> = query
            .keys()
            .filter(|name| !operation.query.contains(name))
            .filter(|name| !known(&|what| matches!(what, What::Query(known) if known == name)))
            .map(|name| format!("query parameter {name} is not in the OpenAPI file"))
            .collect();
        let mut body = body.clone();
        body.retain(|name, _| !known(&|what| matches!(what, What::Field(known) if known == name)));
        if let Some(schema) = operation.body.as_ref().filter(|_| !body.is_empty()) {
            let body = Value::Object(body);
            found.extend(schema.iter_errors(&body).map(|error| {
                format!("body against the OpenAPI file, at {:?}: {error}", error.instance_path().to_string())
            }));
        } else if !body.is_empty() {
            found.push("the OpenAPI file has no body here".into());
        }
        found
    }

    /// What in an answer contradicts the file: a bug of the fake.
    pub(super) fn check_answer(&self, method: &str, pattern: &str, answer: &Answer) -> Vec<String> {
        let path = nameless(pattern);
        if !answer.is_success() {
            let known = ERRORS.contains(&answer.status);
            return (!known).then(|| format!("status {} is not documented", answer.status)).into_iter().collect();
        }
        let Some(operation) = self.operations.get(&(method.to_owned(), path.clone())) else {
            return Vec::new();
        };
        let Some(declared) = operation.answers.get(&answer.status) else {
            let known = is_known(method, &path, &|what| matches!(what, What::Status(known) if *known == answer.status));
            let text = format!("status {} is not in the OpenAPI file", answer.status);
            return (!known).then_some(text).into_iter().collect();
        };
        let mut found = Vec::new();
        let Body::Json(body) = &answer.body else {
            // Bodiless successes are declared as octet streams, section 15.
            return found;
        };
        if is_known(method, &path, &|what| matches!(what, What::Shape)) {
            return found;
        }
        if let Some(schema) = &declared.schema {
            found.extend(schema.iter_errors(body).map(|error| error.to_string()));
        }
        if let Some(example) = &declared.example {
            compare(example, body, "", &mut found);
        }
        found
    }
}

impl Operation {
    fn compile(operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let query = parameters
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned()))
            .collect();
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let mut body = converted(body);
        if let Some(body) = body.as_object_mut() {
            // The file leaves bodies open; a field that it does not name is still a client's mistake.
            body.insert("additionalProperties".into(), false.into());
        }
        let answers = members(&operation["responses"])
            .filter_map(|(status, answer)| Some((status.parse().ok()?, Declared::compile(answer))))
            .collect();
        Self { query, body: validator(&body), answers }
    }
}

impl Declared {
    fn compile(answer: &Value) -> Self {
        let content = &answer["content"]["application/json"];
        let first = || members(&content["examples"]).next().map(|(_, example)| &example["value"]);
        let example = content.get("example").or_else(first).filter(|example| !example.is_null());
        Self { schema: validator(&converted(&content["schema"])), example: example.cloned() }
    }
}

/// `None` for an absent schema. A schema that cannot be compiled is a deviation of its own and checks nothing.
fn validator(schema: &Value) -> Option<jsonschema::Validator> {
    schema.is_object().then(|| jsonschema::draft4::new(schema).ok()).flatten()
}

/// A schema of OpenAPI 3.0 as one of JSON Schema draft 4: `nullable` becomes a type, examples go.
fn converted(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(converted).collect(),
        Value::Object(members) => {
            let mut out = Map::new();
            for (name, value) in members {
                let value = match name.as_str() {
                    "nullable" | "example" | "examples" => continue,
                    "properties" => {
                        let inner = value.as_object().into_iter().flatten();
                        inner.map(|(name, value)| (name.clone(), converted(value))).collect()
                    }
                    "enum" | "required" | "default" => value.clone(),
                    _ => converted(value),
                };
                out.insert(name.clone(), value);
            }
            if schema["nullable"] == true
                && let Some(kind) = out.get("type").cloned()
            {
                out.insert("type".into(), Value::Array(vec![kind, "null".into()]));
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

/// Every member of `example` must be in `found` with the same type. An empty list may stand for an empty map, since
/// the panel's language has one type for both.
fn compare(example: &Value, found: &Value, at: &str, out: &mut Vec<String>) {
    match (example, found) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(wanted), Value::Object(had)) => {
            for (name, wanted) in wanted {
                let at = format!("{at}/{name}");
                match had.get(name) {
                    None if FREE.contains(&name.as_str()) => {}
                    None => out.push(format!("{at} is missing")),
                    Some(_) if FREE.contains(&name.as_str()) => {}
                    Some(had) => compare(wanted, had, &at, out),
                }
            }
        }
        (Value::Array(wanted), Value::Array(had)) => {
            if let (Some(wanted), Some(had)) = (wanted.first(), had.first()) {
                compare(wanted, had, &format!("{at}/0"), out);
            }
        }
        (Value::Array(list), Value::Object(_)) | (Value::Object(_), Value::Array(list)) if list.is_empty() => {}
        (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => {}
        _ => out.push(format!("{at} has another type than in the example")),
    }
}

fn is_known(method: &str, path: &str, wanted: &dyn Fn(&What) -> bool) -> bool {
    DEVIATIONS.iter().any(|known| {
        debug_assert!(!known.section.is_empty());
        known.method == method && known.path == path && wanted(&known.what)
    })
}

/// A path whose parts in braces have lost their names, which differ between the file and our routes.
fn nameless(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::virtfusion::routes::ROUTES;

    #[test]
    fn every_route_is_in_the_openapi_file() {
        let Some(contract) = contract() else {
            eprintln!("skipped: no OpenAPI file at hand");
            return;
        };
        for route in ROUTES {
            let key = (route.method.to_owned(), nameless(route.pattern));
            assert!(contract.operations.contains_key(&key), "{key:?}");
        }
    }

    #[test]
    fn a_request_is_held_against_the_file() {
        let Some(contract) = contract() else {
            eprintln!("skipped: no OpenAPI file at hand");
            return;
        };
        let good = json!({ "packageId": 1, "userId": 2, "hypervisorId": 3 });
        let cases = [
            ("POST", "/servers", good, 0),
            ("POST", "/servers", json!({ "packageId": 1, "userId": 2 }), 1),
            ("POST", "/servers/{server}/build", json!({ "operatingSystemId": "10" }), 1),
            ("POST", "/servers/{server}/build", json!({ "operatingSystemId": 1, "os": 2 }), 1),
            ("PUT", "/servers/{server}/modify/traffic", json!({ "traffic": 5 }), 0),
            ("POST", "/servers/{server}/suspend", json!({ "reason": "unpaid" }), 1),
        ];
        for (method, path, body, count) in cases {
            let body = body.as_object().unwrap().clone();
            let found = contract.check_request(method, path, &BTreeMap::new(), &body);
            assert_eq!(found.len(), count, "{method} {path} {found:?}");
        }
    }

    #[test]
    fn an_answer_lacks_no_member_of_the_example() {
        let mut found = Vec::new();
        let example = json!({ "data": { "id": 1, "name": "x", "list": [{ "a": 1 }], "none": null } });

        compare(&example, &json!({ "data": { "id": "1", "list": [{}], "none": 4 } }), "", &mut found);

        found.sort();
        assert_eq!(
            found,
            ["/data/id has another type than in the example", "/data/list/0/a is missing", "/data/name is missing",]
        );
    }
}
