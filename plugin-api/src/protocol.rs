//! What host and plugin say to each other, as JSON heads of the frozen message type.
//!
//! The host calls the plugin with a hook's word as operation and a [`HookCall`], and gets an [`Outcome`]. While that call
//! runs, the plugin calls the host with the operations of [`op`]. New abilities are new operation names and new
//! optional members; nothing here is ever removed or given another meaning within an ABI major.

use crate::fault::Fault;
use crate::hook::{
    Addon, Capacity, Client, Finding, ListedAccount, Measure, OptionValue, PaidUntil, PasswordTarget, PowerAction,
    Service, ServiceState, Texts,
};
use crate::members::members;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Operations that a plugin asks of the host.
pub mod op {
    /// [`super::HttpCall`] → [`crate::Reply`].
    pub const HTTP: &str = "http";
    /// [`super::StepOpen`] → [`super::Turn`].
    pub const STEP_OPEN: &str = "step.open";
    /// [`super::StepGiven`] → [`super::Turn`].
    pub const STEP_GIVEN: &str = "step.given";
    /// [`super::StepFound`] → [`super::Turn`].
    pub const STEP_FOUND: &str = "step.found";
    /// [`super::StepRan`] → [`super::Turn`].
    pub const STEP_RAN: &str = "step.ran";
    /// [`super::WaitOpen`] → [`super::WaitTurn`].
    pub const WAIT_OPEN: &str = "wait.open";
    /// [`super::WaitLooked`] → [`super::WaitTurn`].
    pub const WAIT_LOOKED: &str = "wait.looked";
    /// Nothing → [`super::Turn`]: `run` or `done`.
    pub const CONVERGE_OPEN: &str = "converge.open";
    /// [`super::StepRan`] with an empty name → [`super::Turn`].
    pub const CONVERGE_RAN: &str = "converge.ran";
    /// [`super::UndoOpen`] → nothing, once it is durable.
    pub const UNDO: &str = "undo";
    /// [`super::Claimed`] → [`super::Claimed`], those of the ids that belong to a service.
    pub const CLAIMED: &str = "claimed";
    /// [`super::SecretValue`] → nothing.
    pub const SECRET: &str = "secret";
    /// Nothing → [`super::Now`].
    pub const NOW: &str = "now";
    /// Emitted: [`super::Progress`].
    pub const PROGRESS: &str = "progress";
    /// Emitted: [`super::Note`].
    pub const NOTE: &str = "note";
    /// Emitted by the glue: [`super::Note`] with the text and place of a panic.
    pub const PANIC: &str = "panic";
}

/// A hook, as the plugin gets it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HookCall {
    /// Absent for hooks on a server.
    pub service: Option<Service>,
    /// Who bought it.
    pub client: Option<Client>,
    /// The product's settings with the order's options laid over them, valid by the manifest's schema.
    pub product: Value,
    /// A password that the customer chose.
    pub password: Option<Secret<String>>,
    /// For `renew`.
    pub paid_until: Option<PaidUntil>,
    /// For `suspend`.
    pub reason: Option<String>,
    /// For `action`: its name.
    pub action: Option<String>,
    /// For `action`.
    pub params: Value,
    /// For `order_addons`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<Addon>,
    /// For `power`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerAction>,
    /// For `change_password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<PasswordTarget>,
    /// For `options`: a product setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

members!(HookCall {
    service,
    client,
    product,
    password,
    paid_until,
    reason,
    action,
    params,
    addons,
    power,
    target,
    field,
});

/// What a hook returned, of every kind; absent members have nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Nothing was to change, as read in this attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noop: bool,
    /// The panel's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// Login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    /// Laid over the service's properties.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret<String>>,
    /// Accepted, to be carried out later; the text says what is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// `terminate`: the panel was read as gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<bool>,
    /// `terminate`: when it will be gone, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ServiceState>,
    /// `status`: power of a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// `console` and `login`: until when the link is good, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// `console`: how to open it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `usage`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Measure>,
    /// `list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<ListedAccount>>,
    /// `options`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<OptionValue>>,
    /// `capacity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// `test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// `action`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// Texts for people.
    #[serde(default)]
    pub message: Texts,
}

/// What an exchange is for. The host refuses a change without a ticket that is good for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Purpose {
    /// Changes nothing.
    Read,
    /// Signs in; repeatable, outside of steps.
    SignIn,
    /// The one changing call of a run.
    Change {
        /// From [`Turn::Run`].
        ticket: u64,
    },
}

/// Asks for one exchange; the request's body is the message's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpCall {
    /// Why.
    pub purpose: Purpose,
    /// What.
    pub request: crate::http::Request,
}

/// The four kinds of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Looks before it makes, by a name or key that only we can have made.
    Ensure,
    /// Settled by the difference between what is and what was.
    Differ,
    /// Nothing can be asked afterwards.
    Once,
    /// A value made here; sends nothing.
    Record,
}

/// How long *absent* must have been true before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// No look before this much time since the doubt.
    pub first_ms: u64,
    /// At least so many looks must have said *absent*.
    pub looks: u32,
    /// At least so much time between two looks.
    pub apart_ms: u64,
    /// The panel itself refuses a late second sending, so that the longest run need not be waited for.
    #[serde(default)]
    pub refuses_twice: bool,
}

impl Default for Settle {
    fn default() -> Self {
        Self { first_ms: 10_000, looks: 1, apart_ms: 30_000, refuses_twice: false }
    }
}

/// Begins a conversation about a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOpen {
    /// Unique within a run of the hook.
    pub name: String,
    /// Its kind.
    pub kind: StepKind,
    /// Key within the panel, see the design's word *scope*.
    #[serde(default)]
    pub scope: Option<String>,
    /// Its settle time.
    #[serde(default)]
    pub settle: Settle,
    /// The result is the service's remote id.
    #[serde(default)]
    pub remote_id: bool,
    /// The result holds a secret.
    #[serde(default)]
    pub sealed: bool,
    /// Whether `find` was given.
    #[serde(default)]
    pub can_find: bool,
    /// Whether `adopt` was given.
    #[serde(default)]
    pub can_adopt: bool,
}

/// What `given` said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepGiven {
    /// The step.
    pub name: String,
    /// Stored with *begun*.
    pub given: Answer,
}

/// A value or a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It went well.
    Ok(Value),
    /// It did not.
    Fault(Fault),
}

/// What `find` (or `adopt`) said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFound {
    /// The step.
    pub name: String,
    /// The verdict.
    pub sight: Sight,
}

/// What a look at the panel says of a step in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// It happened; this is its result.
    Found(Value),
    /// It cannot happen any more.
    Never,
    /// It is not there.
    Absent,
    /// It is not there, and what `given` said no longer holds.
    Gone,
    /// It cannot be told; the text says why.
    Unknown(String),
    /// The look itself failed.
    Fault(Fault),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRan {
    /// The step; empty for a convergent change.
    #[serde(default)]
    pub name: String,
    /// Of this run.
    pub ticket: u64,
    /// Its result.
    pub answer: Answer,
}

/// What the plugin is to do next about a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "turn", try_from = "FlatTurn")]
pub enum Turn {
    /// Return this.
    Done {
        /// The step's result.
        result: Value,
    },
    /// Ask `given`.
    Given,
    /// Ask `find`.
    Find {
        /// As stored.
        given: Value,
    },
    /// Read back what a person named.
    Adopt {
        /// The id that the person gave.
        id: String,
        /// As stored.
        given: Value,
    },
    /// Run.
    Run {
        /// As stored.
        given: Value,
        /// Good for one changing exchange.
        ticket: u64,
    },
    /// Return this fault.
    Fault {
        /// As it is to be returned.
        fault: Fault,
    },
}

/// Begins or continues a wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitOpen {
    /// Unique among steps and waits of the hook.
    pub name: String,
    /// Time between looks.
    pub every_ms: u64,
    /// Longest wait in all; stored when the wait begins.
    pub within_ms: u64,
    /// Do not look, let the time pass.
    #[serde(default)]
    pub sleep: bool,
}

/// What a look said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitLooked {
    /// The wait.
    pub name: String,
    /// Whether it is over, or why the look failed.
    pub answer: Answer,
}

/// What the plugin is to do next about a wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "turn", try_from = "FlatTurn")]
pub enum WaitTurn {
    /// Look.
    Look,
    /// It is over.
    Ready,
    /// Return this fault.
    Fault {
        /// As it is to be returned.
        fault: Fault,
    },
}

/// A turn of either kind as it stands in JSON. Read so, since the derived reader of a tagged type first keeps a copy of
/// everything in a type of its own, at many times the size in code.
#[derive(Default)]
struct FlatTurn {
    turn: String,
    result: Value,
    given: Value,
    id: Option<String>,
    ticket: Option<u64>,
    fault: Option<Fault>,
}

members!(FlatTurn { turn, result, given, id, ticket, fault } needs { turn });

impl TryFrom<FlatTurn> for Turn {
    type Error = String;

    fn try_from(flat: FlatTurn) -> Result<Self, String> {
        let FlatTurn { turn, result, given, id, ticket, fault } = flat;
        match (turn.as_str(), id, ticket, fault) {
            ("done", ..) => Ok(Self::Done { result }),
            ("given", ..) => Ok(Self::Given),
            ("find", ..) => Ok(Self::Find { given }),
            ("adopt", Some(id), ..) => Ok(Self::Adopt { id, given }),
            ("run", _, Some(ticket), _) => Ok(Self::Run { given, ticket }),
            ("fault", .., Some(fault)) => Ok(Self::Fault { fault }),
            _ => Err(format!("the turn {turn} is not known, or something of it is missing")),
        }
    }
}

impl TryFrom<FlatTurn> for WaitTurn {
    type Error = String;

    fn try_from(flat: FlatTurn) -> Result<Self, String> {
        match (flat.turn.as_str(), flat.fault) {
            ("look", _) => Ok(Self::Look),
            ("ready", _) => Ok(Self::Ready),
            ("fault", Some(fault)) => Ok(Self::Fault { fault }),
            (turn, _) => Err(format!("the turn {turn} is not known, or something of it is missing")),
        }
    }
}

/// Begins undoing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoOpen {
    /// With which the hook will end.
    pub fault: Fault,
}

/// Ids of the panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// As text.
    pub ids: Vec<String>,
}

/// A secret that the plugin met, to be masked wherever it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretValue {
    /// The value.
    pub value: Secret<String>,
}

/// The host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Unix time in milliseconds.
    pub unix_ms: u64,
    /// When this attempt will be stopped.
    pub deadline_unix_ms: u64,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// For people.
    pub text: String,
}

/// A line for the module log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// For staff.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_turn_is_read_as_it_is_written() {
        let fault = Fault::not_found("no server 7");
        for turn in [
            Turn::Done { result: json!({ "a": [1] }) },
            Turn::Done { result: Value::Null },
            Turn::Given,
            Turn::Find { given: json!([7]) },
            Turn::Adopt { id: "7".into(), given: Value::Null },
            Turn::Run { given: json!("x"), ticket: 9 },
            Turn::Fault { fault: fault.clone() },
        ] {
            let text = serde_json::to_string(&turn).unwrap();
            assert_eq!(serde_json::from_str::<Turn>(&text).unwrap(), turn, "{text}");
        }
        for turn in [WaitTurn::Look, WaitTurn::Ready, WaitTurn::Fault { fault }] {
            let text = serde_json::to_string(&turn).unwrap();
            assert_eq!(serde_json::from_str::<WaitTurn>(&text).unwrap(), turn, "{text}");
        }
    }

    #[test]
    fn half_a_turn_is_none() {
        for text in
            [r#"{"turn":"run","given":1}"#, r#"{"turn":"adopt"}"#, r#"{"turn":"fault"}"#, r#"{"turn":"x"}"#, "{}"]
        {
            assert!(serde_json::from_str::<Turn>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<WaitTurn>(text).is_err(), "{text}");
        }
    }
}
