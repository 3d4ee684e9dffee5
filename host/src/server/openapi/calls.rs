//! Every call but the hooks.

use super::super::{metrics, operations};
use super::call::{Call, reference};
use super::hooks::hook_word;
use crate::operation::State;
use crate::problem::ProblemType;
use crate::store::ServiceStatus;
use crate::views::{
    FailureView, GapView, Health, HookAnswer, HostView, LogEntryView, LogRowView, OperationView, ProductView,
    ProgressView, ProviderView, PrunedView, ReleasedView, ServerView, ServiceView, StepView, TimelineEntryView,
};
use crate::words;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub(super) fn calls() -> Vec<Call> {
    let mut calls = operations();
    calls.extend(services());
    calls.extend(log());
    calls.extend(catalog());
    calls.extend(servers());
    calls.extend(daemon());
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
        paged(filtered(Call::get("/v1/operations", "list_operations", "operations", "Operations, newest first")))
            .query("state", "May be given several times.", ArrayBuilder::new().items(state_word()).into())
            .pages::<OperationView>("A page, without steps.")
            .problem(ProblemType::NotAllowed),
        Call::get(ONE, "show_operation", "operations", "One operation, with its result")
            .at("id", ID)
            .query("wait", "How many seconds to wait for the end, or until a person must decide.", u64::schema())
            .answers::<HookAnswer>("The operation, whatever its state.")
            .problems(&[ProblemType::NotAllowed, ProblemType::NotFound]),
        Call::get(format!("{ONE}/events"), "follow_operation", "operations", "One operation as it goes on")
            .at("id", ID)
            .streams(
                "Server-sent events until it is final. The first `state` says how it stands; `end` has the result.",
                &[
                    ("state", OperationView::name()),
                    ("step", StepView::name()),
                    ("progress", ProgressView::name()),
                    ("end", HookAnswer::name()),
                ],
            )
            .knows::<HookAnswer>()
            .knows::<ProgressView>()
            .ends("204", "The caller has seen `end`: nothing more comes.")
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

fn services() -> Vec<Call> {
    const ONE: &str = "/v1/services/{platform}/{id}";
    let list = Call::get("/v1/services", "list_services", "services", "Services, by platform and id")
        .query("status", "Where it stands.", reference(&ServiceStatus::name()))
        .query("after", "`next` of the page before.", String::schema());
    let list = [
        ("platform", "Whose."),
        ("provider", "By which provider."),
        ("server", "On which server."),
        ("product", "Of which product."),
        ("remote_id", "The panel's id."),
        ("client_id", "The platform's id of the customer."),
        ("username", "Login."),
        ("domain", "Domain or host name."),
    ]
    .into_iter()
    .fold(list, |call, (name, text)| call.query(name, text, String::schema()));
    let of_one = |path: String, id: &str, text: &str| {
        Call::get(path, id, "services", text)
            .at("platform", "Whose.")
            .at("id", "The platform's id.")
            .problems(&[ProblemType::NotAllowed, ProblemType::NotFound])
    };
    vec![
        limited(list)
            .pages::<ServiceView>("A page, without properties and operations.")
            .problem(ProblemType::NotAllowed),
        of_one(ONE.to_owned(), "show_service", "What is known of a service")
            .described("The panel is not asked.")
            .answers::<ServiceView>("The service, with its unfinished operations."),
        paged(of_one(
            format!("{ONE}/timeline"),
            "show_timeline",
            "Everything that happened to a service, newest first",
        ))
        .pages::<TimelineEntryView>("A page."),
    ]
}

fn log() -> Vec<Call> {
    let sought = |call: Call| {
        filtered(call)
            .admin()
            .query("provider", "By which provider.", String::schema())
            .query("state", "Where it stands.", state_word())
            .query("fault", "Class of the last fault.", reference(&words::FaultClass::name()))
            .query("remote_id", "About services that have, or had, this id on a panel.", String::schema())
            .query("q", "Words that must all have been said in it.", String::schema())
    };
    let list = Call::get("/v1/log", "list_log", "log", "The module log, newest first");
    let tail = Call::get("/v1/log/tail", "follow_log", "log", "Rows of the module log as they are committed");
    vec![
        paged(sought(list))
            .query("from", "Not older than this instant, RFC 3339.", String::schema())
            .query("to", "Older than this instant, RFC 3339.", String::schema())
            .pages::<LogRowView>("A page."),
        sought(tail)
            .streams(
                "Server-sent events without an end: `row` whenever one is made or changed; after a `gap` rows are missing.",
                &[("row", LogRowView::name()), ("gap", GapView::name())],
            )
            .knows::<LogRowView>()
            .knows::<GapView>(),
        Call::post("/v1/log/prune", "prune_log", "log", "Parts of the module log go")
            .described("A part of it: repeat the call while there is `more`. What has not ended stays, whatever its age.")
            .admin()
            .query("before", "What ended before this instant, RFC 3339; else what has lived out its time.", String::schema())
            .query("dry_run", "Only say how much would go.", bool::schema())
            .answers::<PrunedView>("What went."),
        Call::get("/v1/log/{id}", "show_log_entry", "log", "One entry of the module log, whole and masked")
            .admin()
            .at("id", "`op_…` or `rd_…`")
            .answers::<LogEntryView>("The entry.")
            .problem(ProblemType::NotFound),
    ]
}

fn catalog() -> Vec<Call> {
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
    ]
}

fn servers() -> Vec<Call> {
    const ONE: &str = "/v1/servers/{name}";
    let of_one = |call: Call| call.admin().at("name", "Its name in the configuration.").problem(ProblemType::NotFound);
    let asks = |call: Call| {
        of_one(call)
            .described("A hook that reads: it runs while the caller waits, and stands in the module log.")
            .answers::<HookAnswer>("What was read.")
            .problems(&[ProblemType::NotConfigured, ProblemType::Unsupported])
            .fails::<FailureView>()
    };
    vec![
        of_one(Call::get(ONE, "show_server", "catalog", "One server: its health and its lane"))
            .answers::<ServerView>("The server."),
        asks(Call::get(
            format!("{ONE}/options/{{field}}"),
            "server_options",
            "catalog",
            "Which values a product setting may take there",
        ))
        .at("field", "The setting."),
        asks(Call::get(
            format!("{ONE}/capacity/{{product}}"),
            "server_capacity",
            "catalog",
            "How many more of a product there is room for there",
        ))
        .at("product", "The product."),
        asks(Call::post(format!("{ONE}/test"), "test_server", "catalog", "Tries its address, credentials and rights")),
        of_one(Call::post(format!("{ONE}/pause"), "pause_server", "catalog", "Holds its operations back"))
            .described("May be repeated.")
            .answers::<ServerView>("The server."),
        of_one(Call::post(
            format!("{ONE}/resume"),
            "resume_server",
            "catalog",
            "Lets its operations go again, in order",
        ))
        .described("May be repeated.")
        .answers::<ServerView>("The server."),
    ]
}

fn daemon() -> Vec<Call> {
    let any = || ObjectBuilder::new().schema_type(Type::Object);
    vec![
        Call::get("/v1/openapi.json", "show_openapi", "catalog", "This description").answer(
            "200",
            "An OpenAPI document.",
            "application/json",
            any().into(),
        ),
        Call::get("/v1/hosts", "list_hosts", "health", "Hosts that work, or worked, on the store")
            .described("The oldest first. None where the store is a file, which has one host.")
            .admin()
            .pages::<HostView>("All of them."),
        Call::post("/v1/hosts/{name}/dead", "host_is_dead", "health", "Says that a host has ended")
            .described("What it had begun, and might have sent still, goes on by itself then. May be repeated.")
            .admin()
            .at("name", "Its name, or its id.")
            .answers::<HostView>("The host as it stands afterwards.")
            .problems(&[ProblemType::NotFound, ProblemType::WrongState]),
        Call::post("/v1/store/release", "release_store", "catalog", "Lets go what a restored store holds back")
            .described("May be repeated.")
            .admin()
            .answers::<ReleasedView>("Whether it held anything back."),
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

/// What operations and rows of the log are filtered by.
fn filtered(call: Call) -> Call {
    call.query("platform", "Whose.", String::schema())
        .query("service_id", "The platform's id of the service.", String::schema())
        .query("hook", "Which hook.", hook_word())
        .query("server", "On which server.", String::schema())
}

/// A list by time.
fn paged(call: Call) -> Call {
    limited(call).query("before", "`next` of the page before.", String::schema())
}

fn limited(call: Call) -> Call {
    let rows = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(1_000));
    call.query("limit", "Rows of a page; 50 unless given.", rows.into())
}

fn state_word() -> RefOr<Schema> {
    reference(&State::name())
}
