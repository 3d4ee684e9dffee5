//! `POST /v1/hooks/{hook}`: for the router one path, for a caller as many calls as there are hooks.

use super::call::{Call, reference};
use crate::problem::ProblemType;
use crate::request::{HookBody, Member, Takes, takes};
use crate::views::{FailureView, HookAnswer};
use billhook_plugin_api::Hook;
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

const KEY: &str = "Names the event, unique within the platform for ever. The same key with the same content is the same \
    operation, however often it comes.";
const PREFER: &str = "`wait=N`: how many seconds to wait for the end, 25 unless given, at most `limits.wait_max`. \
    `respond-async` does not wait.";
const EXPIRES: &str = "An HTTP date or RFC 3339: nothing is begun on the panel after it.";
const PLATFORM: &str = "On `admin.sock`: for which platform. May be left out when one is configured, and for hooks on a \
    server.";

/// What a hook can be refused for, beside what any request can.
const REFUSALS: [ProblemType; 9] = [
    ProblemType::NotAllowed,
    ProblemType::HookNotAllowed,
    ProblemType::UnknownService,
    ProblemType::ConflictBusy,
    ProblemType::PanelChanged,
    ProblemType::NotConfigured,
    ProblemType::Unsupported,
    ProblemType::KeyReused,
    ProblemType::Expired,
];

pub(super) fn calls() -> Vec<Call> {
    Hook::ALL.into_iter().map(call).collect()
}

fn call(hook: Hook) -> Call {
    let mut call = Call::post(format!("/v1/hooks/{hook}"), hook.as_str(), "hooks", summary(hook))
        .body(&format!("{}Hook", camel(hook)), body(hook))
        .made_of::<HookBody>()
        .header("Billhook-Platform", PLATFORM, String::schema())
        .problems(&REFUSALS)
        .fails::<FailureView>();
    if hook == Hook::Create {
        call = call.problem(ProblemType::AlreadyExists);
    }
    if hook.is_read() {
        return call.described("Changes nothing. Runs while the caller waits.").answers::<HookAnswer>("What was read.");
    }
    let key = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    call = call
        .header("Idempotency-Key", KEY, key.pattern(Some("^[!-~]+$")).into())
        .header("Prefer", PREFER, String::schema())
        .header("Expires", EXPIRES, String::schema())
        .answers::<HookAnswer>("It succeeded.")
        .later::<HookAnswer>("It is not over, or needs a person.");
    match hook {
        Hook::Action => call.described("An action that its provider declares as reading runs while the caller waits."),
        _ => call,
    }
}

/// The members that the hook takes, out of the whole body.
fn body(hook: Hook) -> RefOr<Schema> {
    let Takes { needs, may } = takes(hook);
    let RefOr::T(Schema::Object(whole)) = HookBody::schema() else { return HookBody::schema() };
    let mut body = ObjectBuilder::new()
        .description(Some(format!("The body of the hook `{hook}`.")))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for member in needs.iter().chain(may) {
        if let Some(schema) = whole.properties.get(member.as_str()) {
            body = body.property(member.as_str(), narrowed(*member, schema.clone()));
        }
    }
    needs.iter().fold(body, |body, member| body.required(member.as_str())).into()
}

/// What a member must be where it is there.
fn narrowed(member: Member, schema: RefOr<Schema>) -> RefOr<Schema> {
    match (member, schema) {
        (Member::Confirm, RefOr::T(Schema::Object(mut object))) => {
            object.enum_values = Some(vec![json!(true)]);
            RefOr::T(Schema::Object(object))
        }
        (_, schema) => schema,
    }
}

const fn summary(hook: Hook) -> &'static str {
    match hook {
        Hook::Create => "Makes what was bought",
        Hook::Suspend => "Stops it, keeps it",
        Hook::Unsuspend => "Starts it again",
        Hook::Terminate => "Ends it",
        Hook::Renew => "It is paid for another period",
        Hook::ChangePackage => "Makes it what another product promises",
        Hook::ChangePassword => "Sets a new password",
        Hook::OrderAddons => "Adds what was bought on top",
        Hook::Power => "Starts, stops or restarts a machine",
        Hook::Reinstall => "Installs a machine anew; what is on it is lost",
        Hook::Console => "A way to the machine's screen",
        Hook::Login => "A link that signs the customer in to the panel",
        Hook::Status => "Reads what the panel shows",
        Hook::Usage => "Reads how much of its limits it uses",
        Hook::List => "Reads what a server has",
        Hook::Test => "Tries a server's address, credentials and rights",
        Hook::Options => "Reads which values a product setting may take",
        Hook::Capacity => "Reads how many more of a product a server has room for",
        Hook::Action => "One of the provider's own hooks",
    }
}

fn camel(hook: Hook) -> String {
    let words = hook.as_str().split('_');
    words
        .map(|word| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>())
        .collect()
}

/// For the calls beside the hooks.
pub(super) fn hook_word() -> RefOr<Schema> {
    reference(&crate::words::Hook::name())
}
