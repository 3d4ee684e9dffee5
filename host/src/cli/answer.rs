//! What a command has to say, and how it ends.

use serde_json::Value;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a command ended; the numbers are part of the interface and stand in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what it was asked.
    Done,
    /// It was refused, or it failed.
    Failed,
    /// The arguments or the configuration are wrong.
    WrongUse,
    /// Accepted, and not finished: it goes on by itself, or waits for a person.
    Unfinished,
}

impl Exit {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::WrongUse => 2,
            Self::Unfinished => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An answer in both forms; one of them is printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// For people, with a line end.
    pub(super) text: String,
    /// For programs.
    pub(super) json: Value,
    pub(super) exit: Exit,
}

impl Answer {
    pub(super) fn new(text: impl Into<String>, json: Value, exit: Exit) -> Self {
        Self { text: text.into(), json, exit }
    }

    /// Nothing to say.
    pub(super) fn silent(exit: Exit) -> Self {
        Self::new("", Value::Null, exit)
    }

    pub(super) fn print(self, as_json: bool) -> Exit {
        let text = match (as_json, &self.json) {
            (true, Value::Null) => String::new(),
            (true, json) => pretty(json),
            (false, _) => self.text,
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            // Whoever read the pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.exit,
            Err(_) => Exit::Failed,
            Ok(()) => self.exit,
        }
    }
}

/// JSON over several lines, with a line end.
pub(super) fn pretty(json: &Value) -> String {
    format!("{json:#}\n")
}
