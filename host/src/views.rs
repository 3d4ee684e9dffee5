//! The answers of the API, as they stand on the wire: shared by the sockets, the command line and the tests.
//!
//! Instants are RFC 3339 text in UTC with milliseconds. Members that have nothing to say are left out. No view holds a
//! secret, except [`SecretsView::Values`] on `hook.sock`. Members may be added within `v1`: readers ignore what they do
//! not know.

use crate::journal::{Kind, Stage};
use crate::operation::State;
use crate::problem::ProblemDocument;
use crate::store::{HostEnd, ServiceStatus};
use crate::words;
use billhook_plugin_api::{
    Action, Capacity, FaultClass, Finding, Hook, ListedAccount, Measure, OptionValue, Secret, ServiceState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// An operation as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView {
    /// `op_…`; sorts by time.
    pub id: String,
    /// Whose.
    pub platform: String,
    /// The platform's id of the service.
    pub service_id: String,
    /// In which life of the service, from 1.
    pub epoch: u32,
    /// What it does.
    #[schema(value_type = words::Hook)]
    pub hook: Hook,
    /// Name of the provider's own hook, for `action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The `Idempotency-Key` that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Failed attempts and the one under way.
    pub attempts: u32,
    /// In the order of the journal. Lists leave them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepView>,
    /// Name of the step that is under way or in doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How far the running attempt is, 0 to 100, as the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What the running attempt does, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// When to ask again; absent once it is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// When it goes on by itself, while it is waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// A cancel was asked for and takes effect at the next step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_asked: bool,
    /// It could go on, and its server holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldWord>,
    /// The last fault, which may be of an attempt that is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultView>,
    /// Why a person must decide, or what a person gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person may decide now: `retry`, `cancel`, `exists`, `absent`, `give_up`. Only on `admin.sock`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
    /// Name of the server.
    pub server: String,
    /// The group that the server was chosen out of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Servers of the group that were passed over, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedView>,
    /// Name of the provider.
    pub provider: String,
    /// Name of the product.
    pub product: String,
    /// When it was accepted.
    pub created_at: String,
    /// When it last moved.
    pub updated_at: String,
    /// When it became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Its id in the module log.
    pub log_ref: String,
}

/// A server that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PassedOver)]
pub struct PassedView {
    /// Its name.
    pub server: String,
    /// Why.
    pub reason: String,
}

/// One step of an operation's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// Unique within the operation.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How far it is.
    pub state: Stage,
    /// How often its change was begun.
    pub runs: u32,
    /// How often *absent* was seen since it came into doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<u32>,
    /// The panel's id that a person named for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
}

/// Why a hook, or an attempt of it, failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultView {
    /// What kind of failure.
    #[schema(value_type = words::FaultClass)]
    pub class: FaultClass,
    /// For the staff.
    pub staff: String,
    /// For the customer; absent: say something general.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The panel's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The answer to a hook, and to `GET /v1/operations/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HookAnswer {
    /// The operation that answers; absent for a hook that only reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    /// What came of it, once it has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultView>,
    /// Texts for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageView>,
    /// Id in the module log.
    pub log_ref: String,
}

/// What a hook returned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Result)]
pub struct ResultView {
    /// The panel's id of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    /// Login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Kept with the service.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub properties: Map<String, Value>,
    /// Credentials, or the word that says where they are; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsView>,
    /// `terminate`: the panel was read as gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<bool>,
    /// `terminate`: when it will be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// Nothing was to change, as read from the panel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noop: bool,
    /// Accepted by the panel and carried out later; says what is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// `status`: the billing word for what the panel shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ServiceState>)]
    pub state: Option<ServiceState>,
    /// `status`: power of a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// `test`: what was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<words::Finding>)]
    pub findings: Vec<Finding>,
    /// `console` and `login`: until when the link in `secrets` is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// `console`: how to open it, as `html` or `vnc_websocket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `usage`: what is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<words::Measure>)]
    pub usage: Vec<Measure>,
    /// `list`: what the server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<words::ListedAccount>>)]
    pub accounts: Option<Vec<ListedAccount>>,
    /// `options`: which values the setting may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<words::OptionValue>>)]
    pub options: Option<Vec<OptionValue>>,
    /// `capacity`: how much room there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Capacity>)]
    pub capacity: Option<Capacity>,
    /// `action`: its own answer.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// Credentials of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SecretsView {
    /// Where they are.
    Word(SecretsWord),
    /// By name, in clear: only on `hook.sock`, to the platform whose service it is.
    Values(BTreeMap<String, Secret<String>>),
}

/// Written by hand: the values are texts that a description must mark.
impl PartialSchema for SecretsView {
    fn schema() -> RefOr<Schema> {
        let values = ObjectBuilder::new()
            .description(Some("By name, in clear: only on `hook.sock`, to the platform whose service it is."))
            .additional_properties(Some(RefOr::Ref(Ref::from_schema_name(words::SecretText::name()))));
        let word = RefOr::Ref(Ref::from_schema_name(SecretsWord::name()));
        OneOfBuilder::new().item(word).item(values).description(Some("Credentials of a result.")).into()
    }
}

impl ToSchema for SecretsView {
    fn name() -> Cow<'static, str> {
        "Secrets".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((SecretsWord::name().into_owned(), SecretsWord::schema()));
        schemas.push((words::SecretText::name().into_owned(), words::SecretText::schema()));
    }
}

/// Where the credentials of a result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretsWord {
    /// Kept for the platform, and not shown on this socket.
    Kept,
    /// The platform has acknowledged them; they are gone here.
    CredentialsAcknowledged,
    /// Nobody came for them in time; they are gone here.
    CredentialsExpired,
    /// Of a hook that only reads: not kept, and not shown on this socket.
    Withheld,
}

/// Texts for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView {
    /// For the staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<String>,
    /// For the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

/// A hook that failed or was cancelled: a problem document with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// Of the type `hook_failed` or `hook_cancelled`.
    #[serde(flatten)]
    pub problem: ProblemDocument,
    /// The operation; absent for a hook that only reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    /// Why; absent when a person ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultView>,
    /// Texts for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageView>,
    /// Id in the module log.
    pub log_ref: String,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// `before` (`after`, for services) of the next page; absent on the last one. A page may be short and have a next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What was pruned of the module log by one call, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Pruned)]
pub struct PrunedView {
    /// Nothing went: this is how much would.
    pub dry_run: bool,
    /// Entries, with all that belongs to them.
    pub entries: u64,
    /// Exchanges of other entries, whose bodies went.
    pub bodies: u64,
    /// Packed bytes of those bodies.
    pub bytes: u64,
    /// There is more to go: call again.
    pub more: bool,
}

/// One row of the module log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LogRow)]
pub struct LogRowView {
    /// `op_…` of an operation, `rd_…` of a hook that only reads.
    pub id: String,
    /// Who asked.
    pub platform: String,
    /// About which service, if about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// Which hook.
    #[schema(value_type = words::Hook)]
    pub hook: Hook,
    /// By which provider.
    pub provider: String,
    /// On which server.
    pub server: String,
    /// Where it stands.
    pub state: State,
    /// Class of the last fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// One line.
    pub summary: String,
    /// How many attempts.
    pub attempts: u32,
    /// When it came.
    pub started_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A whole entry of the module log, masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LogEntry)]
pub struct LogEntryView {
    /// Its row in the list.
    pub row: LogRowView,
    /// The operation with its steps; absent for a hook that only reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    /// What the platform sent (`request`) and the product's settings (`product`), masked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub shown: Value,
    /// In order.
    pub attempts: Vec<AttemptView>,
    /// In order.
    pub exchanges: Vec<ExchangeView>,
    /// In order.
    pub notes: Vec<NoteView>,
}

/// One run of an operation, or the one of a hook that only reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// Rises with every run; 0 for a hook that only reads.
    pub run: u64,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// How it ended: `succeeded`, `failed`, `put_off`, `attention`, `cancelled`, `lost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Why, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultView>,
}

/// One request to a panel with its reply, or lack of one; masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Exchange)]
pub struct ExchangeView {
    /// Of this attempt.
    pub run: u64,
    /// Order within the attempt, from 1.
    pub seq: u32,
    /// The step in which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// `read`, `sign_in`, `change`.
    pub purpose: String,
    /// Method.
    pub method: String,
    /// Address with its query.
    pub url: String,
    /// Whether the request can have left this host.
    pub left: bool,
    /// Status, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why no whole answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it began.
    pub started_at: String,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Pairs of name and value.
    pub request_headers: Vec<(String, String)>,
    /// Pairs of name and value.
    pub reply_headers: Vec<(String, String)>,
    /// Body of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<String>,
    /// Body of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_body: Option<String>,
}

/// A line of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Note)]
pub struct NoteView {
    /// Of this attempt.
    pub run: u64,
    /// When.
    pub at: String,
    /// `note`, `progress`, `panic`, `decision`, `poll`.
    pub kind: String,
    /// Masked.
    pub text: String,
}

/// How far the running attempt is: an event of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressView {
    /// Name of the step that is under way or in doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// 0 to 100, as the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What it does, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

impl ProgressView {
    /// The part of an operation.
    pub fn of(view: &OperationView) -> Self {
        Self { step: view.step.clone(), percent: view.percent, progress: view.progress.clone() }
    }
}

/// Rows are missing from a stream: an event of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Gap)]
pub struct GapView {
    /// Why.
    pub reason: String,
}

/// One entry of a service's timeline: its row of the module log, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub struct TimelineEntryView {
    /// Its row in the log.
    #[serde(flatten)]
    pub row: LogRowView,
    /// In which life of the service; of an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Name of the provider's own hook, for `action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The `Idempotency-Key` that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its attempts in order; the row's `attempts` is how many count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<AttemptView>,
    /// What people decided, and why the host looked by itself; in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<NoteView>,
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceView {
    /// Whose.
    pub platform: String,
    /// The platform's id.
    pub service_id: String,
    /// Which life of it, from 1.
    pub epoch: u32,
    /// Where it stands.
    pub status: ServiceStatus,
    /// Name of the provider.
    pub provider: String,
    /// Name of the server.
    pub server: String,
    /// Identity of the panel.
    pub panel: String,
    /// Name of the product.
    pub product: String,
    /// The panel's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// The platform's id of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Domain or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Kept by its hooks.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub properties: Map<String, Value>,
    /// Names of the secrets that are kept, sealed, for its later hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_names: Vec<String>,
    /// `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_until: Option<String>,
    /// When the panel will end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// What is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// When the panel is read for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_at: Option<String>,
    /// Its unfinished operations in order of arrival, without their steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<OperationView>,
    /// When it first came.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

/// A provider: loaded, or named by a server and not to be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its name.
    pub name: String,
    /// Whether it is loaded.
    pub loaded: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the library says of itself; absent when it is not loaded.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub facts: Option<ProviderFacts>,
}

/// Written by hand: the facts are there as a whole or not at all.
impl PartialSchema for ProviderView {
    fn schema() -> RefOr<Schema> {
        let mut schema = ProviderFacts::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.description = Some("A provider: loaded, or named by a server and not to be had.".to_owned());
            object.required = vec!["name".to_owned(), "loaded".to_owned()];
            for (name, own, text) in [
                ("name", String::schema(), "Its name."),
                ("loaded", bool::schema(), "Whether it is loaded; if it is, all that follows is there."),
                ("reason", String::schema(), "Why it is not."),
            ] {
                object.properties.insert(name.to_owned(), words::described(own, text));
            }
        }
        schema
    }
}

impl ToSchema for ProviderView {
    fn name() -> Cow<'static, str> {
        "Provider".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ProviderFacts::schemas(schemas);
    }
}

/// What a loaded library says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProviderFacts {
    /// For people.
    pub title: String,
    /// Version of its crate.
    pub version: String,
    /// Content hash of the library, in hex.
    pub sha256: String,
    /// Hooks that it has.
    #[schema(value_type = Vec<words::Hook>)]
    pub hooks: Vec<Hook>,
    /// Those that set the same state again when repeated.
    #[schema(value_type = Vec<words::Hook>)]
    pub convergent: Vec<Hook>,
    /// Its own hooks, sent as `action`.
    #[schema(value_type = Vec<words::Action>)]
    pub actions: Vec<Action>,
    /// The journal version that it writes.
    pub journal_version: u32,
    /// Older ones that it can continue.
    pub continues: Vec<u32>,
    /// The longest that the panel may work on after a call was cut off, in seconds.
    pub longest_run_s: u32,
    /// JSON Schema of a server's settings.
    pub server_schema: Value,
    /// JSON Schema of a product's settings.
    pub product_schema: Value,
}

/// A configured server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Server)]
pub struct ServerView {
    /// Its name.
    pub name: String,
    /// Name of its provider.
    pub provider: String,
    /// Where its API is.
    pub base_url: String,
    /// What makes two servers the same panel; absent when it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Operations that may work on it at once.
    pub concurrency: u32,
    /// Groups that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Live services on it, and creates under way.
    #[serde(default)]
    pub services: u64,
    /// The most services that are placed here out of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// What its panel last told of its room, since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomView>,
    /// Whether hooks can be sent to it.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the last exchange showed, since the daemon started or the server's entry was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exchange: Option<SightingView>,
    /// What the last test showed, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_test: Option<SightingView>,
    /// Who works on it and who waits.
    #[serde(default)]
    pub lane: LaneView,
    /// Whether it is left alone because it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerView>,
    /// Who holds its operations back; absent when nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
}

/// What a panel last told of its room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Room)]
pub struct RoomView {
    /// When.
    pub at: String,
    /// For which product.
    pub product: String,
    /// So many more could be made then; absent when the panel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// What was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What was last seen of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Sighting)]
pub struct SightingView {
    /// When.
    pub at: String,
    /// Whether it answered, or passed the test.
    pub ok: bool,
    /// What it said, or why there was no answer.
    pub text: String,
}

/// Who works on a server and who waits. `concurrency` of the server is its limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Lane)]
pub struct LaneView {
    /// Attempts under way.
    pub running: u32,
    /// Operations and reading hooks that could run and wait for a place. Those that wait for their time are not among them.
    pub waiting: usize,
    /// For how long the oldest of these has waited, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// How many exchanges it gets; absent when that is not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateView>,
}

/// So many exchanges in any stretch of time of this length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Rate)]
pub struct RateView {
    /// How many.
    pub count: u32,
    /// In how many milliseconds.
    pub interval_ms: u64,
}

/// A server's circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Breaker)]
pub struct BreakerView {
    /// Where it stands.
    pub state: BreakerWord,
    /// Since when it is closed, or not.
    pub since: String,
    /// Exchanges without any answer since the last answer.
    pub unanswered: u32,
    /// When the next one may try, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

/// Where a breaker stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerWord {
    /// The server is used.
    Closed,
    /// It is left alone: operations wait, reads fail at once.
    Open,
    /// One has gone to see whether it answers.
    HalfOpen,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseView {
    /// Who asked for it.
    pub by: String,
    /// When.
    pub since: String,
}

/// Why an operation that could go on does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldWord {
    /// An admin holds the server's operations back.
    Paused,
    /// The server does not answer.
    Unreachable,
    /// The store is a restored copy that nobody has released.
    Recovering,
}

/// A configured product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductView {
    /// Its name, which billing sends.
    pub id: String,
    /// On which server it is made; absent where that is chosen out of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Out of which group the server is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// By which provider.
    pub provider: String,
}

/// How a daemon is that takes hooks; one that takes none answers with the problem `unavailable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The word.
    pub status: HealthWord,
    /// Version of the daemon.
    pub version: String,
    /// Why nothing can be stored at the moment, and what helps; absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Servers that are not ready, with the reason. Only on `admin.sock`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unready: BTreeMap<String, String>,
}

/// How a host of the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HostState)]
pub enum HostWord {
    /// It gives signs of life.
    Alive,
    /// Its lease is over, and nobody has taken it for dead yet.
    Silent,
    /// It was taken for dead. That it has ended is not proven: what it had begun, and may still send, waits for that.
    Lost,
    /// It has ended.
    Ended,
}

/// A host that works, or worked, on the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Host)]
pub struct HostView {
    /// Of this run of it.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// It is the one that answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// How it is.
    pub state: HostWord,
    /// Of the program.
    pub version: String,
    /// Version of the tables that it works on.
    pub schema: u32,
    /// When it came, by the database's clock.
    pub started_at: String,
    /// Since its last sign of life.
    pub beat_ms: u64,
    /// Operations that it runs.
    pub running: u64,
    /// Operations that wait until it is proven that it has ended.
    pub unproven: u64,
    /// How it is known that it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<HostEnd>,
    /// When that was seen, by the database's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The host that saw it, or the person who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

/// What came of the wish to release the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Released)]
pub struct ReleasedView {
    /// It was a restored copy, and is none any more; else it held nothing back.
    pub released: bool,
}

/// How the daemon is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthWord {
    /// It takes hooks for every server.
    Ok,
    /// It takes hooks, and some server is not ready.
    Degraded,
    /// It takes hooks and holds all changes back: its store is a restored copy that nobody has released.
    Recovering,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_secrets_of_a_result_are_values_or_a_word() {
        for (secrets, text) in [
            (SecretsView::Word(SecretsWord::Kept), json!("kept")),
            (SecretsView::Word(SecretsWord::CredentialsAcknowledged), json!("credentials_acknowledged")),
            (SecretsView::Word(SecretsWord::CredentialsExpired), json!("credentials_expired")),
            (
                SecretsView::Values([("root_password".to_owned(), "s3cret".to_owned().into())].into()),
                json!({ "root_password": "s3cret" }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&secrets).unwrap(), text);
            assert_eq!(serde_json::from_value::<SecretsView>(text).unwrap(), secrets);
        }
    }

    #[test]
    fn a_provider_that_is_not_loaded_reads_back_without_facts() {
        let view = ProviderView { name: "p".into(), loaded: false, reason: Some("cut short".into()), facts: None };

        let text = serde_json::to_value(&view).unwrap();

        assert_eq!(text, json!({ "name": "p", "loaded": false, "reason": "cut short" }));
        assert_eq!(serde_json::from_value::<ProviderView>(text).unwrap(), view);
    }

    #[test]
    fn a_member_that_is_not_known_is_passed_over() {
        let page: Page<ServerView> = serde_json::from_value(json!({
            "items": [{ "name": "a", "provider": "p", "base_url": "u", "concurrency": 1, "ready": true, "colour": 1 }],
            "shape": 1,
        }))
        .unwrap();
        assert_eq!(page.items[0].name, "a");
        assert_eq!(page.next, None);
    }
}
