//! What goes into the store and comes out of it. No SQL here, and no database's types.

use super::json_text::JsonText;
use super::words::Sought;
use crate::body::Packed;
use crate::journal::Entry;
use crate::operation::{Effects, State};
use crate::placement::Placement;
use billhook_plugin_api::protocol::HookCall;
use billhook_plugin_api::{Fault, FaultClass, Hook, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// An operation's id: `op_` and a ULID, so that ids sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub String);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service, as a platform names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The platform's name in the configuration.
    pub platform: String,
    /// The platform's id.
    pub service_id: String,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.platform, self.service_id)
    }
}

/// Where a service stands, in the words that admins read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// Nothing is known to exist on the panel.
    Empty,
    /// Made, or being made: something exists on the panel.
    Active,
    /// Stopped.
    Suspended,
    /// The panel will end it at `ends_at`.
    Ending,
    /// The panel was read as gone; a create begins the next epoch.
    Terminated,
}

impl ServiceStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Empty, Self::Active, Self::Suspended, Self::Ending, Self::Terminated];

    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Ending => "ending",
            Self::Terminated => "terminated",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A service's row. Never pruned.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Whose it is.
    pub key: ServiceKey,
    /// Which life; from 1.
    pub epoch: u32,
    /// Rises with every accepted hook and every finish; guards decisions that were made on an older read.
    pub version: u64,
    /// Where it stands.
    pub status: ServiceStatus,
    /// Which provider has it.
    pub provider: String,
    /// On which configured server.
    pub server: String,
    /// Identity of the panel.
    pub panel: String,
    /// What was sold.
    pub product: String,
    /// The panel's id of it.
    pub remote_id: Option<String>,
    /// The platform's id of the customer.
    pub client_id: Option<String>,
    /// Login.
    pub username: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Kept by its hooks; no secrets.
    pub properties: Map<String, Value>,
    /// Sealed in the database, in clear here.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// `YYYY-MM-DD`.
    pub paid_until: Option<String>,
    /// Unix milliseconds.
    pub ends_at: Option<u64>,
    /// When to read after something pending, Unix milliseconds.
    pub poll_at: Option<u64>,
    /// What is waited for.
    pub pending: Option<String>,
    /// Milliseconds that must still pass, while a host is alive, before the next change; set after a lost answer.
    pub unsettled_ms: u64,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
}

/// What became of a result's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretsState {
    /// The result had none.
    None,
    /// They are kept, sealed.
    Kept,
    /// The platform has them; they are gone here.
    Acknowledged,
    /// Nobody came for them in time.
    Expired,
}

/// An operation's row.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// About what.
    pub service: ServiceKey,
    /// In which life of the service.
    pub epoch: u32,
    /// Order of arrival within the service.
    pub seq: u64,
    /// What it does.
    pub hook: Hook,
    /// Name of the provider's own hook.
    pub action: Option<String>,
    /// The platform's name of the event.
    pub key: Option<String>,
    /// See [`Arriving::fingerprint`](crate::admission::Arriving::fingerprint).
    pub fingerprint: String,
    /// Where it stands.
    pub state: State,
    /// What its journal holds, and whether a convergent change may have left.
    pub effects: Effects,
    /// Whether it holds the service's one place for changes.
    pub active: bool,
    /// The operation that passed it.
    pub passed_by: Option<OperationId>,
    /// Resolved when accepted, and kept to.
    pub provider: String,
    /// Resolved when accepted.
    pub server: String,
    /// Resolved when accepted.
    pub panel: String,
    /// Resolved when accepted.
    pub product: String,
    /// How `server` was chosen out of a group; absent where there was no choice.
    pub placement: Option<Placement>,
    /// For `renew`.
    pub renew_to: Option<String>,
    /// Content hash of the library that began it.
    pub library: Option<String>,
    /// Journal version of that library.
    pub journal_version: u32,
    /// What the platform sent and the product's settings, masked.
    pub shown: JsonText,
    /// Failed attempts and the one under way.
    pub attempts: u32,
    /// Rises with every claim; every write of an attempt names it and is refused when it is another.
    pub run: u64,
    /// When to go on, Unix milliseconds.
    pub next_at: Option<u64>,
    /// A cancel was asked for.
    pub cancel_asked: bool,
    /// No first step after this, Unix milliseconds.
    pub expires_at: Option<u64>,
    /// The last fault.
    pub fault: Option<Fault>,
    /// Why a person must decide, or what a person gave up.
    pub reason: Option<String>,
    /// What it returned, without secrets.
    pub outcome: Option<Value>,
    /// What became of the result's secrets.
    pub secrets_state: SecretsState,
    /// Whether its journal has anything in it.
    pub has_steps: bool,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
    /// Unix milliseconds.
    pub finished_at: Option<u64>,
}

/// An operation to be stored for the first time.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// About what; [`Service::version`] must still be this, or the service must not exist (`None`).
    pub service: ServiceKey,
    /// See `service`.
    pub service_version: Option<u64>,
    /// The service's contact with the platform, stored with the service.
    pub client_id: Option<String>,
    /// As above.
    pub username: Option<String>,
    /// As above.
    pub domain: Option<String>,
    /// In which life.
    pub epoch: u32,
    /// What it does.
    pub hook: Hook,
    /// Name of the provider's own hook.
    pub action: Option<String>,
    /// The platform's name of the event.
    pub key: Option<String>,
    /// Of its content.
    pub fingerprint: String,
    /// Resolved.
    pub provider: String,
    /// Resolved.
    pub server: String,
    /// Resolved.
    pub panel: String,
    /// Resolved.
    pub product: String,
    /// How `server` was chosen out of a group.
    pub placement: Option<Placement>,
    /// The most services that `server` may have with this one; where it has as many already, the operation is not stored.
    pub most: Option<u64>,
    /// For `renew`.
    pub renew_to: Option<String>,
    /// For people and the log: masked.
    pub shown: JsonText,
    /// For the plugin: sealed by the store.
    pub call: HookCall,
    /// No first step after this.
    pub expires_at: Option<u64>,
    /// Insert it claimed, if nothing of the service is active.
    pub claim: Option<ClaimMark>,
    /// Operations of the service that it cancels; only those that have still touched nothing are.
    pub cancels: Vec<OperationId>,
    /// One line for the log's list.
    pub summary: String,
    /// Unix milliseconds.
    pub now: u64,
}

/// What a claim writes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimMark {
    /// Content hash of the library.
    pub library: String,
    /// Its journal version.
    pub journal_version: u32,
    /// The hook may change something without a step: it counts as touched from here on.
    pub touches: bool,
    /// Counts as an attempt (not the wake-up of a wait or settle time).
    pub counts: bool,
    /// Operations that it passes: they lose their place while it works.
    pub passes: Vec<OperationId>,
}

/// What became of [`NewOperation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Stored; `run` is its claim, if it was claimed at once.
    Stored {
        /// Its place.
        seq: u64,
        /// Fencing number of the claim.
        run: Option<u64>,
        /// Which of `cancels` were cancelled at once.
        cancelled: Vec<OperationId>,
    },
    /// The service, the key or the load of the chosen server has moved since it was read: read and decide again.
    Moved,
}

/// All that an attempt begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// As claimed.
    pub operation: Operation,
    /// What its plugin gets, in clear.
    pub call: HookCall,
    /// Its service.
    pub service: Service,
}

/// What became of [`Finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Stored. `others` says whether something else of the service was unfinished in that very commit; what came later has
    /// seen this one's end.
    Stored {
        /// See there.
        others: bool,
    },
    /// Another claim has the operation.
    LeaseLost,
}

/// A failed operation asked for again by the platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// Which; it must be failed, and its service at this version.
    pub id: OperationId,
    /// As read.
    pub service_version: u64,
    /// The new content.
    pub shown: JsonText,
    /// The new content.
    pub call: HookCall,
    /// The new content's.
    pub fingerprint: String,
    /// The new product.
    pub product: String,
    /// No first step after this.
    pub expires_at: Option<u64>,
    /// Unix milliseconds.
    pub now: u64,
}

/// Before a change is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Begin {
    /// Of this operation.
    pub id: OperationId,
    /// Claimed under this.
    pub run: u64,
    /// Place in the journal, from 0.
    pub position: u32,
    /// As it will stand: *begun*.
    pub entry: Entry,
    /// Take the scope, if it is still free and at this count; absent when the entry holds it already, or has none.
    pub take: Option<ScopeCount>,
    /// Unix milliseconds.
    pub now: u64,
}

/// A scope as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeCount {
    /// Panel identity and the plugin's key.
    pub key: String,
    /// How often something of it began or ended.
    pub count: u64,
}

/// What became of [`Begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Durable.
    Yes,
    /// Another claim has the operation, or it is no longer running.
    LeaseLost,
    /// A cancel was asked for, and nothing had begun: nothing is written.
    CancelAsked,
    /// Another step holds the scope: nothing is written.
    ScopeBusy,
    /// Something of the scope began or ended since it was read: nothing is written.
    ScopeMoved,
}

/// A step moves on.
#[derive(Debug, Clone, PartialEq)]
pub struct StepWrite {
    /// Of this operation.
    pub id: OperationId,
    /// Claimed under this.
    pub run: u64,
    /// Place in the journal.
    pub position: u32,
    /// As it stands now.
    pub entry: Entry,
    /// Of the whole journal, with this entry.
    pub effects: Effects,
    /// Give the entry's scope back.
    pub release: bool,
    /// Store this as the service's remote id, in the same commit.
    pub remote_id: Option<String>,
    /// Unix milliseconds.
    pub now: u64,
}

/// What became of [`StepWrite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Durable.
    Yes,
    /// Another claim has the operation.
    LeaseLost,
    /// Durable, but the remote id belongs to this live service already and was not stored on ours.
    RemoteIdTaken(ServiceKey),
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Of this operation.
    pub id: OperationId,
    /// Claimed under this.
    pub run: u64,
    /// The next state.
    pub state: State,
    /// For `waiting`.
    pub next_at: Option<u64>,
    /// Attempts so far.
    pub attempts: u32,
    /// What the journal holds. `touched` false takes back what a claim with `touches` said: it is proven that nothing left.
    pub effects: Effects,
    /// The last fault.
    pub fault: Option<Fault>,
    /// Why a person must decide.
    pub reason: Option<String>,
    /// What it returned, without secrets.
    pub outcome: Option<Value>,
    /// Secrets of the result, to be sealed.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// What becomes of the operation's service.
    pub service: Option<(ServiceKey, ServiceChange)>,
    /// Whether the journal has entries.
    pub has_steps: bool,
    /// How its server was chosen, if that has changed.
    pub placement: Option<Placement>,
    /// Move the operation, and its service, to another server of its group, and drop its journal.
    pub moves: Option<Move>,
    /// End what it passed, with this fault (a terminate succeeded).
    pub end_passed: Option<Fault>,
    /// One line for the log's list.
    pub summary: String,
    /// Unix milliseconds.
    pub now: u64,
}

/// An operation goes to another server. It stays where it is if something of it has touched the panel, if its service has a
/// remote id, or if the other server has filled up since it was chosen; [`Finish::placement`] is not stored then either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where to.
    pub server: String,
    /// Its panel's identity.
    pub panel: String,
    /// See [`NewOperation::most`].
    pub most: Option<u64>,
}

/// What counts against the capacity of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Live services, and creates under way beside the one that asks.
    pub services: u64,
    /// The same without the creates that were accepted after the one that asks.
    pub before: u64,
}

/// What becomes of a service. Absent members stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceChange {
    /// Where it stands.
    pub status: Option<ServiceStatus>,
    /// What it is now.
    pub product: Option<String>,
    /// The panel was read as gone: the epoch rises, the remote id is no longer claimed, properties and secrets go.
    pub gone: bool,
    /// The panel's id.
    pub remote_id: Option<String>,
    /// Login.
    pub username: Option<String>,
    /// Laid over; `null` removes.
    pub properties: Map<String, Value>,
    /// Laid over; sealed.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// `YYYY-MM-DD`.
    pub paid_until: Option<String>,
    /// Unix milliseconds.
    pub ends_at: Option<u64>,
    /// `Some(None)`: no poll any more.
    pub poll_at: Option<Option<u64>>,
    /// `Some(None)`: nothing is pending any more.
    pub pending: Option<Option<String>>,
    /// See [`Service::unsettled_ms`].
    pub unsettled_ms: Option<u64>,
}

/// What a person decides about an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Steer {
    /// Which.
    pub id: OperationId,
    /// It must still be in this state and at this run.
    pub from: State,
    /// See `from`.
    pub run: u64,
    /// The next state; `running` with `cancel_asked` leaves it running and asks for the cancel.
    pub to: State,
    /// Ask a running one to end at its next step.
    pub cancel_asked: bool,
    /// Entries of the journal that change with it, with their places.
    pub entries: Vec<(u32, Entry)>,
    /// Scopes to give back.
    pub release: Vec<String>,
    /// Of the whole journal afterwards.
    pub effects: Effects,
    /// Reset the count of attempts.
    pub fresh_attempts: bool,
    /// Kept with the operation: what was given up, and why.
    pub reason: Option<String>,
    /// Who decided, for the log.
    pub actor: String,
    /// What was decided, for the log.
    pub decision: String,
    /// Unix milliseconds.
    pub now: u64,
}

/// One run of an operation, or one reading hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Operation id, or the id of a reading hook (`rd_…`).
    pub owner: String,
    /// Fencing number of the claim; 0 for a reading hook.
    pub run: u64,
    /// Unix milliseconds.
    pub started_at: u64,
    /// Unix milliseconds.
    pub ended_at: Option<u64>,
    /// `succeeded`, `failed`, `put_off`, `attention`, `cancelled`, `lost`.
    pub end: Option<String>,
    /// Masked.
    pub fault: Option<Fault>,
}

/// One request with its reply, or lack of one; masked. On its way into the log its bodies are packed already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange<B = String> {
    /// Operation id, or the id of a reading hook.
    pub owner: String,
    /// Of this attempt.
    pub run: u64,
    /// Order within the attempt, from 1.
    pub seq: u32,
    /// The step in which it was made.
    pub step: Option<String>,
    /// `read`, `sign_in`, `change`.
    pub purpose: String,
    /// Method.
    pub method: String,
    /// Masked address, with its query.
    pub url: String,
    /// Whether the request can have left.
    pub left: bool,
    /// Status, if one came.
    pub status: Option<u16>,
    /// Why no whole answer came.
    pub failure: Option<String>,
    /// Unix milliseconds.
    pub started_at: u64,
    /// How long it took.
    pub duration_us: u64,
    /// Masked headers of the request.
    pub request_headers: Vec<(String, String)>,
    /// Masked headers of the reply.
    pub reply_headers: Vec<(String, String)>,
    /// Masked body of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<B>,
    /// Masked body of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_body: Option<B>,
}

/// A line of an attempt: a note, a progress, a person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Operation id, or the id of a reading hook.
    pub owner: String,
    /// Of this attempt.
    pub run: u64,
    /// Unix milliseconds.
    pub at: u64,
    /// `note`, `progress`, `panic`, `decision`, `poll`.
    pub kind: String,
    /// Masked.
    pub text: String,
}

/// What rides along with the next commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// Attempts that began or ended; the later one of the same (owner, run) wins.
    pub attempts: Vec<Attempt>,
    /// Exchanges.
    pub exchanges: Vec<Exchange<Packed>>,
    /// Lines.
    pub notes: Vec<Note>,
}

/// A reading hook that is over, for the module log.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// `rd_` and a ULID.
    pub id: String,
    /// Who asked.
    pub platform: String,
    /// About what, if about a service.
    pub service_id: Option<String>,
    /// Which hook.
    pub hook: Hook,
    /// By which provider.
    pub provider: String,
    /// On which server.
    pub server: String,
    /// How it ended.
    pub state: State,
    /// Masked.
    pub fault: Option<Fault>,
    /// One line for the list.
    pub summary: String,
    /// Unix milliseconds.
    pub started_at: u64,
    /// Unix milliseconds.
    pub ended_at: u64,
}

/// One row of the module log's list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// Operation id, or the id of a reading hook.
    pub id: String,
    /// Who asked.
    pub platform: String,
    /// About what.
    pub service_id: Option<String>,
    /// Which hook.
    pub hook: Hook,
    /// By which provider.
    pub provider: String,
    /// On which server.
    pub server: String,
    /// Where it stands.
    pub state: State,
    /// Class of the last fault.
    pub fault: Option<String>,
    /// One line.
    pub summary: String,
    /// Attempts.
    pub attempts: u32,
    /// Unix milliseconds.
    pub started_at: u64,
    /// Unix milliseconds.
    pub ended_at: Option<u64>,
}

/// What decides which operation of a service is next.
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    /// Those that were begun, and the first that is queued, in order of arrival. Who is behind that one has to wait for it.
    pub operations: Vec<Operation>,
    /// How long the service must be left alone, in milliseconds.
    pub unsettled_ms: u64,
    /// When the service was changed last, Unix milliseconds.
    pub updated_at: u64,
}

/// The unfinished operations of one server in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The server's name.
    pub server: String,
    /// Where they stand.
    pub state: State,
    /// How many.
    pub count: u64,
    /// When the oldest was accepted, Unix milliseconds.
    pub oldest_at: u64,
}

/// Which rows of the log. Everything that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this platform.
    pub platform: Option<String>,
    /// About this service.
    pub service_id: Option<String>,
    /// Of this hook.
    pub hook: Option<Hook>,
    /// On this server.
    pub server: Option<String>,
    /// By this provider.
    pub provider: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Whose last fault is of this class.
    pub fault: Option<FaultClass>,
    /// About services that have, or had in an earlier life, this id on a panel.
    pub remote_id: Option<String>,
    /// With all of these words, whenever they were said of it.
    pub words: Option<Sought>,
    /// Not older than this, Unix milliseconds, as its id tells.
    pub from: Option<u64>,
    /// Older than this.
    pub to: Option<u64>,
    /// Before this id, for the next page.
    pub before: Option<String>,
    /// Rows at most.
    pub limit: u32,
}

/// A page of the log, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogPage {
    /// What matched.
    pub rows: Vec<LogRow>,
    /// [`LogFilter::before`] of the next page. It may be there without a full page: a page looks at a bounded part of the log.
    pub next: Option<String>,
}

/// A whole entry of the log, without its list row.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LogDetail {
    /// In order.
    pub attempts: Vec<Attempt>,
    /// In order.
    pub exchanges: Vec<Exchange>,
    /// In order.
    pub notes: Vec<Note>,
}

/// An entry of the log as a service's timeline shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineEntry {
    /// Its row.
    pub row: LogRow,
    /// In which life of the service; an operation's.
    pub epoch: Option<u32>,
    /// Name of the provider's own hook; an operation's.
    pub action: Option<String>,
    /// The platform's name of the event; an operation's.
    pub key: Option<String>,
    /// In order.
    pub attempts: Vec<Attempt>,
    /// Decisions of people, and why the host looked by itself; in order.
    pub notes: Vec<Note>,
}

/// An operation that may be taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub id: OperationId,
    /// Of which service.
    pub service: ServiceKey,
    /// On which server.
    pub server: String,
    /// When, Unix milliseconds; `None` is now.
    pub next_at: Option<u64>,
    /// When that was written.
    pub updated_at: u64,
}

/// Which services. Everything that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceFilter {
    /// Of this platform.
    pub platform: Option<String>,
    /// Where it stands.
    pub status: Option<ServiceStatus>,
    /// Driven by this provider.
    pub provider: Option<String>,
    /// On this server.
    pub server: Option<String>,
    /// Of this product.
    pub product: Option<String>,
    /// With this id on its panel.
    pub remote_id: Option<String>,
    /// Of this customer.
    pub client_id: Option<String>,
    /// With this login.
    pub username: Option<String>,
    /// With this domain.
    pub domain: Option<String>,
    /// Behind this one, for the next page.
    pub after: Option<ServiceKey>,
    /// Rows at most.
    pub limit: u32,
}

/// A page of services, by platform and id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServicePage {
    /// What matched, without secrets.
    pub services: Vec<Service>,
    /// [`ServiceFilter::after`] of the next page, which may be there without a full page.
    pub next: Option<ServiceKey>,
}

/// A service to be read after something pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePoll {
    /// Which.
    pub service: ServiceKey,
    /// When, Unix milliseconds.
    pub poll_at: u64,
}

/// What the store says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreFacts {
    /// Made with the store.
    pub id: String,
    /// Rises when a copy takes over.
    pub generation: u64,
    /// When it was opened, it was a copy that nobody had released.
    pub recovering: bool,
    /// Version of the tables.
    pub schema: u32,
    /// Version of the database library, or server.
    pub engine: String,
}

/// What somebody sees who looks at a database on a server without opening the store in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Version of the server.
    pub engine: String,
    /// What the store says of itself, if there is one.
    pub facts: Option<StoreFacts>,
    /// Which hosts work on it.
    pub holders: Vec<String>,
    /// Whether the role may make what is missing.
    pub may_make: bool,
    /// How safe the way to the server is.
    pub way: Way,
}

/// What goes between the host and its database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It stays on this machine.
    Near,
    /// It can be read on its way.
    InClear,
    /// It is encrypted, and who is at the other end was not verified.
    Unverified,
    /// It is encrypted, and the server has shown that it is the one.
    Verified,
}
