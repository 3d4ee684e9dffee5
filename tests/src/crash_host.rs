//! A host that a test can end at any point: the engine as a process, steered by lines of JSON.
//!
//! The process takes a [`Request`] per line of its input and writes a [`Line`] per line of its output. Its clock stands
//! still unless it is told to advance. Started with a [`Point`], it says when it has come there and goes no further; what
//! is left to do is to kill it.

mod point;
mod serve;

pub use point::{Point, Side, What};
pub use serve::{Args, serve};

use billhook::operation::State;
use billhook_plugin_api::Hook;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of the input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Given back with the answer.
    pub id: u64,
    /// What is to be done.
    #[serde(flatten)]
    pub command: Command,
}

/// What the process can be asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Accept a hook; answered by [`Answer::Accepted`] or [`Answer::Refused`].
    Accept {
        /// Which hook.
        hook: Hook,
        /// Its body.
        body: Value,
        /// Its idempotency key.
        key: String,
    },
    /// How an operation stands: [`Answer::Operation`].
    State {
        /// Its id.
        operation: String,
    },
    /// All operations of a service, newest first: [`Answer::Operations`].
    Operations {
        /// The service's id at the platform.
        service: String,
    },
    /// Wait until only time, a caller or the panel can move something: [`Answer::Idle`].
    Rest,
    /// Move the clock: [`Answer::Advanced`].
    Advance {
        /// Milliseconds.
        ms: u64,
    },
    /// How much has been done since the start: [`Answer::Counts`].
    Counts,
    /// End in good order: [`Answer::Stopped`], then the end of the output.
    Stop,
}

/// A line of the output.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// Hooks may be sent; recovery may still be under way.
    Ready,
    /// The process has come to its point and goes no further.
    At {
        /// Where it is.
        point: Point,
    },
    /// The answer to a request.
    Answer {
        /// The request's.
        id: u64,
        /// What came of it.
        answer: Answer,
    },
}

/// What came of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The operation that answers for the hook is durable.
    Accepted {
        /// Its id.
        operation: String,
    },
    /// Nothing was accepted.
    Refused {
        /// Why.
        problem: String,
    },
    /// `None`: there is no such operation.
    Operation(Option<Sight>),
    /// Ids and hooks.
    Operations(Vec<(String, Hook)>),
    /// Nothing is under way and nothing is due.
    Idle {
        /// Milliseconds until the engine has something to do by itself.
        next_in_ms: Option<u64>,
    },
    /// Both clocks of the process have moved.
    Advanced,
    /// Since the start of the process.
    Counts {
        /// Exchanges begun.
        exchanges: u64,
        /// Commits made.
        commits: u64,
    },
    /// The store is closed.
    Stopped,
}

/// An operation from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sight {
    /// Where it stands.
    pub state: State,
    /// Whether it may have changed something that no answer has confirmed, in a step or beside one.
    pub is_doubted: bool,
    /// Why a person must decide.
    pub reason: Option<String>,
    /// The last fault.
    pub fault: Option<String>,
    /// What it returned, without secrets.
    pub outcome: Option<Value>,
}
