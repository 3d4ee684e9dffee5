//! Every call but the hooks.

use super::super::{metrics, operations};
use super::call::{Call, reference};
use super::hooks::hook_word;
use crate::operation::State;
use crate::problem::ProblemType;
use crate::views::{
    Health, HookAnswer, LogEntryView, LogRowView, OperationView, ProductView, ProviderView, ServerView, ServiceView,
};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub(super) fn calls() -> Vec<Call> {
    let mut calls = operations();
    calls.extend(services_and_log());
    calls.extend(catalog());
    calls
}

fn operations() -> Vec<Call> {
    const ONE: &str = "/v1/operations/{id}";
    const ID: &str = "`op_…`";
    let decides = |word: &str, text: &str| {
        Call::post(format!("{ONE}/{word}"), &format!("{word}_operation"), "operations", text)
            .admin()
            .at("id", ID)
            .answers::<HookAnswer>("The operation as it stands afterwards.")
            .problems(&[ProblemType::NotFound, ProblemType::WrongState, ProblemType::ConflictBusy])
    };
    vec![
        filtered(Call::get("/v1/operations", "list_operations", "operations", "Operations, newest first"))
            .query("state", "May be given several times.", ArrayBuilder::new().items(state_word()).into())
            .pages::<OperationView>("A page, without steps.")
            .problem(ProblemType::NotAllowed),
        Call::get(ONE, "show_operation", "operations", "One operation, with its result")
            .at("id", ID)
            .query("wait", "How many seconds to wait for the end, or until a person must decide.", u64::schema())
            .answers::<HookAnswer>("The operation, whatever its state.")
            .problems(&[ProblemType::NotAllowed, ProblemType::NotFound]),
        Call::post(format!("{ONE}/acknowledge"), "acknowledge_operation", "operations", "The credentials have arrived")
            .at("id", ID)
            .answers::<HookAnswer>("The operation, without its credentials.")
            .problems(&[ProblemType::NotAllowed, ProblemType::NotFound, ProblemType::WrongState]),
        decides("retry", "Tries it again; nothing is in doubt"),
        decides("cancel", "Ends it, if nothing was begun"),
        decides("settle", "Says what is true of an effect that is in doubt")
            .body("Settlement", operations::Settlement::schema()),
    ]
}

fn services_and_log() -> Vec<Call> {
    vec![
        Call::get("/v1/services/{platform}/{id}", "show_service", "services", "What is known of a service")
            .described("The panel is not asked.")
            .at("platform", "Whose.")
            .at("id", "The platform's id.")
            .answers::<ServiceView>("The service, with its unfinished operations.")
            .problems(&[ProblemType::NotAllowed, ProblemType::NotFound]),
        filtered(Call::get("/v1/log", "list_log", "log", "The module log, newest first"))
            .admin()
            .query("state", "Where it stands.", state_word())
            .pages::<LogRowView>("A page."),
        Call::get("/v1/log/{id}", "show_log_entry", "log", "One entry of the module log, whole and masked")
            .admin()
            .at("id", "`op_…` or `rd_…`")
            .answers::<LogEntryView>("The entry.")
            .problem(ProblemType::NotFound),
    ]
}

fn catalog() -> Vec<Call> {
    let any = || ObjectBuilder::new().schema_type(Type::Object);
    vec![
        Call::get("/v1/providers", "list_providers", "catalog", "Providers, loaded or wanted")
            .admin()
            .pages::<ProviderView>("All of them."),
        Call::get("/v1/servers", "list_servers", "catalog", "Configured servers")
            .admin()
            .pages::<ServerView>("All of them."),
        Call::get("/v1/products", "list_products", "catalog", "Configured products")
            .admin()
            .pages::<ProductView>("All of them."),
        Call::get("/v1/openapi.json", "show_openapi", "catalog", "This description").answer(
            "200",
            "An OpenAPI document.",
            "application/json",
            any().into(),
        ),
        Call::get("/healthz", "health", "health", "Whether the process answers").answers::<Health>("It does."),
        Call::get("/readyz", "ready", "health", "Whether hooks are taken").answers::<Health>("They are."),
        Call::get("/metrics", "metrics", "health", "What the daemon counts of itself").admin().answer(
            "200",
            "OpenMetrics, as text.",
            metrics::MEDIA_TYPE,
            String::schema(),
        ),
    ]
}

/// A list with the parameters that all lists have.
fn filtered(call: Call) -> Call {
    let rows = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(1_000));
    call.query("platform", "Whose.", String::schema())
        .query("service_id", "The platform's id of the service.", String::schema())
        .query("hook", "Which hook.", hook_word())
        .query("server", "On which server.", String::schema())
        .query("limit", "Rows of a page; 50 unless given.", rows.into())
        .query("before", "`next` of the page before.", String::schema())
}

fn state_word() -> RefOr<Schema> {
    reference(&State::name())
}
