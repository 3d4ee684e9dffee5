//! The description of this API in OpenAPI 3.1, made of the types that the API reads and writes.
//!
//! `docs/openapi.json` is a copy, for whoever writes a client; a test fails when it is old.

mod call;
mod calls;
mod hooks;

use axum::http::header;
use axum::response::IntoResponse;
use call::Call;
use serde_json::{Value, json};
use std::sync::LazyLock;
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApiBuilder, PathsBuilder};

const ABOUT: &str = "HTTP/1.1 and JSON over two unix sockets: `hook.sock` for billing platforms, `admin.sock` for \
    admins. `x-sockets` says on which of them a call may be made. Who calls is decided by the uid of the peer: there \
    are no credentials in a request. Every error is a problem document (RFC 9457); decide by its `type`. Members may \
    be added to answers within `v1`; requests are read strictly. `docs/http-api.md` says it all in prose.";

const TAGS: [(&str, &str); 6] = [
    ("hooks", "What a billing platform asks for."),
    ("operations", "What became of it."),
    ("services", "What is known of a service."),
    ("log", "The module log."),
    ("catalog", "What is loaded and configured."),
    ("health", "How the daemon is."),
];

/// The description, as JSON.
pub fn document() -> Value {
    let calls: Vec<Call> = hooks::calls().into_iter().chain(calls::calls()).collect();
    let mut components = ComponentsBuilder::new();
    let mut paths = PathsBuilder::new();
    for call in calls {
        for (name, schema) in call.schemas() {
            components = components.schema(name, schema);
        }
        for (name, response) in call.shared_responses() {
            components = components.response(name, response);
        }
        paths = paths.path(call.path().to_owned(), call.item());
    }
    let info = InfoBuilder::new().title("Billhook").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    let server =
        ServerBuilder::new().url("http://billhook").description(Some("over a unix socket; any host name will do"));
    let tags = TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    let document = OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([server.build()]))
        .tags(Some(tags))
        .paths(paths.build())
        .components(Some(components.build()))
        .build();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    absent_not_null(&mut document);
    document
}

/// The text that is served and checked in.
pub fn text() -> String {
    format!("{:#}\n", document())
}

/// `GET /v1/openapi.json`, for whoever may open the socket.
pub(super) async fn show() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// A member that has nothing to say is left out, and never `null`: the derived schemas allow both.
fn absent_not_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(absent_not_null),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|word| word != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("oneOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                if let [only] = choices.as_slice()
                    && let Value::Object(only) = only.clone()
                {
                    members.remove("oneOf");
                    // What stands beside a reference is about this member, and goes before.
                    for (name, value) in only {
                        members.entry(name).or_insert(value);
                    }
                }
            }
            members.values_mut().for_each(absent_not_null);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::api;
    use super::*;
    use crate::problem::ProblemType;
    use crate::request::takes;
    use billhook_plugin_api::Hook;
    use std::collections::BTreeSet;

    #[test]
    fn the_checked_in_description_is_the_present_one() {
        let checked_in = include_str!("../../../docs/openapi.json");
        assert!(
            checked_in == text(),
            "docs/openapi.json is old; renew it: cargo run -p billhook -- openapi > docs/openapi.json"
        );
    }

    #[test]
    fn every_path_is_described_and_no_other() {
        let document = document();
        let mut described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        // Each hook has a description of its own; for the router they are one path.
        for hook in Hook::ALL {
            assert!(described.remove(&format!("/v1/hooks/{hook}")), "{hook} is not described");
        }
        described.insert("/v1/hooks/{hook}".to_owned());
        let routed: BTreeSet<String> = api::routes().paths().iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Object(members) => {
                    if let Some(Value::String(place)) = members.get("$ref") {
                        found.insert(place.clone());
                    }
                    members.values().for_each(|member| references(member, found));
                }
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for place in &found {
            let pointer = place.strip_prefix('#').unwrap_or_else(|| panic!("{place} leads out of the document"));
            assert!(document.pointer(pointer).is_some(), "{place} leads nowhere");
        }
        let names = document["components"]["schemas"].as_object().unwrap().keys();
        for name in names {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is of no use");
        }
    }

    #[test]
    fn every_call_says_who_may_make_it_and_how_it_fails() {
        let document = document();
        let mut types = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, call) in item.as_object().unwrap() {
                let what = format!("{method} {path}");
                assert!(ids.insert(call["operationId"].as_str().unwrap()), "{what}: its id is taken");
                let sockets = call["x-sockets"].as_array().unwrap_or_else(|| panic!("{what} has no sockets"));
                assert!(!sockets.is_empty() && sockets.last().unwrap() == "admin", "{what}");
                for status in ["400", "408", "431", "500", "503"] {
                    assert!(call["responses"][status].is_object(), "{what} has no {status}");
                }
                types.insert(call["responses"].to_string());
            }
        }
        let all = format!("{types:?}{}", document["components"]["responses"]);
        for kind in ProblemType::ALL {
            // Not of a path that is described.
            if kind != ProblemType::MethodNotAllowed {
                assert!(all.contains(&kind.uri()), "no call answers {}", kind.as_str());
            }
        }
    }

    #[test]
    fn a_hooks_body_is_what_the_hook_takes() {
        let document = document();
        for hook in Hook::ALL {
            let body = &document["paths"][format!("/v1/hooks/{hook}")]["post"]["requestBody"]["content"];
            let place = body["application/json"]["schema"]["$ref"].as_str().unwrap();
            let schema = document.pointer(place.trim_start_matches('#')).unwrap();
            let needs: BTreeSet<&str> = takes(hook).needs.iter().map(|member| member.as_str()).collect();
            let may = takes(hook).may.iter().map(|member| member.as_str());
            let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            assert_eq!(required.collect::<BTreeSet<_>>(), needs, "{hook}");
            let described: BTreeSet<&str> =
                schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(described, needs.into_iter().chain(may).collect(), "{hook}");
            assert_eq!(schema["additionalProperties"], false, "{hook}");
        }
        let password = &document["components"]["schemas"]["CreateHook"]["properties"]["password"];
        assert_eq!((&password["format"], &password["writeOnly"]), (&json!("password"), &json!(true)));
    }

    #[test]
    fn nothing_is_null() {
        fn look(value: &Value, place: &str) {
            match value {
                Value::Array(items) => {
                    assert!(!items.contains(&json!("null")), "{place}");
                    items.iter().for_each(|item| look(item, place));
                }
                Value::Object(members) => {
                    assert_ne!(members.get("type"), Some(&json!("null")), "{place}");
                    members.iter().for_each(|(name, member)| look(member, &format!("{place}/{name}")));
                }
                _ => {}
            }
        }
        look(&document(), "");
    }
}
