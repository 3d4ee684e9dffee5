//! One transaction: what waits, as one query text and a few bound values.
//!
//! A command is prepared by whoever sends it: rows as JSON text, large or sealed values as bytes beside them. Here they
//! are only laid together. A row's members are read by `json_each`, its bytes by `substr` of the one blob at
//! the offset of its command plus its own.

use super::kind::{Kind, MOVED};
use std::collections::HashMap;

/// The most commands in one transaction: beyond that the wait of the first costs more than the shared sync saves.
pub const MAX_COMMANDS: usize = 256;

/// The most bytes of rows and blobs in one transaction, for the same reason; one longer command goes alone.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What two commands must not both be judged by in one pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Guard {
    /// A service's version and its one active place.
    Service(String, String),
    /// An idempotency key of a platform.
    Key(String, String),
    /// An operation's row.
    Operation(String),
    /// A scope.
    Scope(String),
    /// A remote id, of whatever panel.
    Remote(String),
}

/// A row of one kind.
#[derive(Debug, Clone)]
struct Part {
    kind: Kind,
    /// A JSON object; offsets in it count from the start of the bytes of its command.
    row: String,
}

/// What is asked of the writer, prepared.
#[derive(Debug, Clone, Default)]
pub struct Command {
    parts: Vec<Part>,
    bytes: Vec<u8>,
    guards: Vec<Guard>,
    moved: Vec<String>,
}

/// A place in the blob of a command, as rows name it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Slice(usize, usize);

impl Command {
    /// Adds a row.
    pub fn row(&mut self, kind: Kind, row: &serde_json::Value) {
        self.parts.push(Part { kind, row: without_nul(row.to_string()) });
    }

    /// Adds bytes, for a row to name.
    pub fn bytes(&mut self, bytes: &[u8]) -> Slice {
        let slice = Slice(self.bytes.len(), bytes.len());
        self.bytes.extend_from_slice(bytes);
        slice
    }

    /// No other command with this guard shares a pass with this one.
    pub fn guard(&mut self, guard: Guard) {
        self.guards.push(guard);
    }

    /// The operation may change its state: its log row follows, and what must not outlive its end goes.
    pub fn moves(&mut self, operation: &str) {
        self.moved.push(operation.to_owned());
        self.guards.push(Guard::Operation(operation.to_owned()));
    }

    /// About how much of a transaction it takes.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.parts.iter().map(|part| part.row.len()).sum::<usize>()
    }

    /// Whether there is anything to write.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The range of its guarded statements in the order of the text.
    fn span(&self) -> Option<(Kind, Kind)> {
        let guarded = || self.parts.iter().map(|part| part.kind).filter(|kind| kind.is_guarded());
        guarded().min().zip(guarded().max())
    }
}

/// JSON text ends a value at NUL on its way into a column: something visible takes its place.
fn without_nul(row: String) -> String {
    const NUL: &str = "\\u0000";
    if !row.contains(NUL) {
        return row;
    }
    let mut out = String::with_capacity(row.len());
    let mut rest = row.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = if rest[at..].starts_with(NUL) { NUL.len() } else { 2 };
        out.push_str(if escape == 2 { &rest[at..at + 2] } else { "\\ufffd" });
        rest = &rest[at + escape..];
    }
    out + rest
}

/// Which commands share a pass.
///
/// Commands with a common guard do only where the text runs all statements of the earlier one before those of the later
/// one, which is as if each had its own transaction. Otherwise the later one stays for the next pass, and so does
/// whatever shares a guard with it: the order of arrival is kept.
#[derive(Debug, Default)]
pub struct Pass {
    held: HashMap<Guard, Kind>,
    commands: usize,
    size: usize,
    kept_back: bool,
}

impl Pass {
    /// Whether `command` goes along; otherwise it is noted as kept back.
    pub fn admits(&mut self, command: &Command) -> bool {
        let fits = self.commands == 0 || (self.commands < MAX_COMMANDS && self.size + command.size() <= MAX_BYTES);
        let span = command.span();
        let first = span.map_or(Kind::LAST, |(first, _)| first);
        let free = command.guards.iter().all(|guard| self.held.get(guard).is_none_or(|last| *last < first));
        // Nothing to write: it asks that all before it be written.
        let barred = command.is_empty() && self.kept_back;
        let admitted = fits && free && !barred;
        let last = if admitted { span.map_or(Kind::LAST, |(_, last)| last) } else { Kind::LAST };
        for guard in &command.guards {
            self.held.insert(guard.clone(), last);
        }
        if admitted {
            self.commands += 1;
            self.size += command.size();
        } else {
            self.kept_back = true;
        }
        admitted
    }

    /// Whether nothing more can go along.
    pub const fn is_full(&self) -> bool {
        self.commands >= MAX_COMMANDS || self.size >= MAX_BYTES
    }
}

/// The values of one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    rows: [Option<String>; Kind::COUNT],
    bytes: Vec<u8>,
    moved: Vec<String>,
}

impl Batch {
    /// Lays the command in; `number` is what its fate will be known by.
    pub fn add(&mut self, number: usize, command: &Command) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&command.bytes);
        self.moved.extend_from_slice(&command.moved);
        for part in &command.parts {
            let rows = self.rows[part.kind as usize].get_or_insert_with(|| "[".to_owned());
            if rows.len() > 1 {
                rows.push(',');
            }
            // The row is an object of at least one member.
            rows.push_str(&format!("{{\"n\":{number},\"b\":{base},"));
            rows.push_str(&part.row[1..]);
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(Option::is_none)
    }

    /// Which statements it needs, as [`text`](super::kind::text) takes it.
    pub fn mask(&self) -> u64 {
        let kinds = self.rows.iter().enumerate().filter(|(_, rows)| rows.is_some());
        kinds.map(|(kind, _)| 1 << kind).sum::<u64>() | if self.moved.is_empty() { 0 } else { MOVED }
    }

    /// The values to bind, in the order of [`text`](super::kind::text): the blob, the moved operations, the rows of each kind.
    pub fn values(self) -> (Vec<u8>, String, Vec<Option<String>>) {
        let moved = serde_json::Value::from(self.moved).to_string();
        let rows = self.rows.into_iter().map(|rows| rows.map(|rows| rows + "]"));
        (self.bytes, moved, rows.collect())
    }
}
