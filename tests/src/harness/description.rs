//! Holds real answers against the API's description.

use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

static CHECKED_IN: LazyLock<Description> = LazyLock::new(|| {
    let text = include_str!("../../../docs/openapi.json");
    Description::new(serde_json::from_str(text).expect("docs/openapi.json is JSON"))
});

/// An OpenAPI document, read strictly: a member of an answer that it does not have is a difference.
pub struct Description {
    document: Value,
    components: Value,
    validators: Mutex<HashMap<String, Arc<jsonschema::Validator>>>,
}

impl Description {
    /// `docs/openapi.json`.
    pub fn checked_in() -> &'static Self {
        &CHECKED_IN
    }

    fn new(document: Value) -> Self {
        let mut parts = BTreeSet::new();
        parts_of(&document, &mut parts);
        let mut components = document["components"].clone();
        if let Some(Value::Object(schemas)) = components.get_mut("schemas") {
            for (name, schema) in schemas {
                let is_part = parts.contains(&format!("#/components/schemas/{name}"));
                close(schema, is_part);
            }
        }
        Self { document, components, validators: Mutex::default() }
    }

    /// What is wrong with an answer; `None` when it is as described. `media_type` may be empty for one without a body.
    pub fn complaint(&self, method: &str, path: &str, status: u16, media_type: &str, body: &Value) -> Option<String> {
        let path = path.split('?').next().unwrap_or_default();
        let what = format!("{status} to {method} {path}");
        let Some((template, item)) = self.find(path) else {
            return (status != 404).then(|| format!("{what}: the path is not described"));
        };
        let Some(call) = item.get(&method.to_ascii_lowercase()) else {
            return (status != 405).then(|| format!("{what}: the method is not described"));
        };
        let response = self.followed(&call["responses"][status.to_string()]);
        if response.is_null() {
            return Some(format!("{what}: the status is not described"));
        }
        let content = &response["content"];
        let Some((described, content)) = content.as_object().and_then(|content| content.iter().next()) else {
            return (!body.is_null()).then(|| format!("{what}: a body that is not described"));
        };
        if media_type != described {
            return Some(format!("{what}: {media_type} instead of {described}"));
        }
        if !described.ends_with("json") {
            return None;
        }
        let validator = self.validator(&format!("{template} {method} {status}"), &content["schema"]);
        let errors: Vec<String> =
            validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        (!errors.is_empty()).then(|| format!("{what}: {}\n{body:#}", errors.join("; ")))
    }

    /// What is wrong with an event of a stream.
    pub fn event_complaint(&self, path: &str, event: &str, data: &Value) -> Option<String> {
        let what = format!("the event {event} of {path}");
        let (template, item) = self.find(path)?;
        let schema = &item["get"]["responses"]["200"]["x-events"][event];
        if schema.is_null() {
            return Some(format!("{what} is not described"));
        }
        let validator = self.validator(&format!("{template} {event}"), schema);
        let errors: Vec<String> =
            validator.iter_errors(data).map(|error| format!("{}: {error}", error.instance_path())).collect();
        (!errors.is_empty()).then(|| format!("{what}: {}\n{data:#}", errors.join("; ")))
    }

    /// The name of a call.
    pub fn call(&self, method: &str, path: &str) -> Option<String> {
        let (_, item) = self.find(path.split('?').next().unwrap_or_default())?;
        item.get(&method.to_ascii_lowercase())?["operationId"].as_str().map(str::to_owned)
    }

    /// The names of all calls.
    pub fn calls(&self) -> BTreeSet<String> {
        let items = self.document["paths"].as_object().into_iter().flat_map(Map::values);
        let calls = items.filter_map(Value::as_object).flat_map(Map::values);
        calls.filter_map(|call| call["operationId"].as_str().map(str::to_owned)).collect()
    }

    /// The path of the document that a request's path is: the one with the most literal parts.
    fn find(&self, path: &str) -> Option<(&str, &Map<String, Value>)> {
        let parts: Vec<&str> = path.split('/').collect();
        let is_part = |part: &str| part.starts_with('{');
        let fits = |template: &str| {
            let own: Vec<&str> = template.split('/').collect();
            own.len() == parts.len() && own.iter().zip(&parts).all(|(own, part)| own == part || is_part(own))
        };
        let paths = self.document["paths"].as_object()?;
        let found = paths.iter().filter(|(template, _)| fits(template));
        let found = found.min_by_key(|(template, _)| template.split('/').filter(|part| is_part(part)).count());
        found.and_then(|(template, item)| Some((template.as_str(), item.as_object()?)))
    }

    fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(place) => self.document.pointer(place.trim_start_matches('#')).unwrap_or(&Value::Null),
            None => value,
        }
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<jsonschema::Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let found = validators.entry(name.to_owned()).or_insert_with(|| {
            let mut schema = schema.clone();
            close(&mut schema, false);
            let whole = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema", "components": self.components, "allOf": [schema],
            });
            Arc::new(jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{name}: {error}")))
        });
        Arc::clone(found)
    }
}

/// The components that are parts of others, which alone do not know all members of the whole.
fn parts_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| parts_of(item, found)),
        Value::Object(members) => {
            if let Some(Value::Array(parts)) = members.get("allOf") {
                found.extend(parts.iter().filter_map(|part| part["$ref"].as_str()).map(str::to_owned));
            }
            members.values().for_each(|member| parts_of(member, found));
        }
        _ => {}
    }
}

/// Refuses members that are not described.
fn close(schema: &mut Value, is_part: bool) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, is_part)),
        Value::Object(members) => {
            let knows_members = members.contains_key("properties") && !members.contains_key("additionalProperties");
            if !is_part && (knows_members || members.contains_key("allOf")) {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            for (name, member) in members {
                match name.as_str() {
                    "allOf" => close(member, true),
                    "anyOf" | "oneOf" => close(member, is_part),
                    "items" | "additionalProperties" => close(member, false),
                    "properties" => {
                        if let Value::Object(properties) = member {
                            properties.values_mut().for_each(|property| close(property, false));
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_as_described_is_told() {
        let description = Description::checked_in();
        let health = json!({ "status": "ok", "version": "1" });
        let complaint = |path: &str, status: u16, media: &str, body: &Value| {
            description.complaint("GET", path, status, media, body).unwrap_or_default()
        };
        assert_eq!(complaint("/healthz", 200, "application/json", &health), "");
        assert_eq!(complaint("/healthz?x=1", 200, "application/json", &health), "");
        for (path, status, media, body, word) in [
            ("/healthz", 200, "application/json", json!({ "status": "fine", "version": "1" }), "/status"),
            ("/healthz", 200, "application/json", json!({ "status": "ok" }), "version"),
            ("/healthz", 200, "application/json", json!({ "status": "ok", "version": "1", "mood": 1 }), "mood"),
            ("/healthz", 200, "text/plain", health.clone(), "instead of"),
            ("/healthz", 299, "application/json", health.clone(), "status is not described"),
            ("/v1/mood", 200, "application/json", health.clone(), "path is not described"),
            ("/v1/hooks/create", 200, "application/json", health.clone(), "method is not described"),
        ] {
            let found = complaint(path, status, media, &body);
            assert!(found.contains(word), "{path} {status} {body}: {found:?}");
        }
        let problem = json!({ "type": "urn:billhook:problem:key_reused", "title": "t", "status": 400, "detail": "d" });
        let found = complaint("/healthz", 400, "application/problem+json", &problem);
        assert!(found.contains("/type"), "a type that this call never answers: {found:?}");
    }
}
