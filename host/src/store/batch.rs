//! One transaction: what waits, as a few values to bind.
//!
//! A command is prepared by whoever sends it: rows as JSON text, large or sealed values as bytes beside them. Here they
//! are only laid together. A row's members are read by `jsonb_each`, its bytes by `substr` of the one blob at
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
    /// How many services a server has.
    Load(String),
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
    /// Entries of the log that it makes.
    made: Vec<String>,
    /// What its evidence is about.
    owners: Vec<String>,
    /// How many rows of it have words to be indexed.
    worded: usize,
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

    /// It makes an entry of the log.
    pub fn makes(&mut self, entry: &str) {
        self.made.push(entry.to_owned());
    }

    /// Evidence of it is about this operation or reading hook.
    pub fn tells_of(&mut self, owner: &str) {
        if self.owners.last().is_none_or(|last| last != owner) {
            self.owners.push(owner.to_owned());
        }
    }

    /// A row of it has words to be indexed.
    pub fn has_words(&mut self) {
        self.worded += 1;
    }

    /// How many rows have.
    pub const fn worded(&self) -> usize {
        self.worded
    }

    /// The entries of the log whose rows it makes or changes.
    pub fn rows_of_log(&self) -> impl Iterator<Item = &str> {
        self.made.iter().chain(&self.moved).map(String::as_str)
    }

    /// The operations that it is about in any way; some more than once.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        let guarded = self.guards.iter().filter_map(|guard| match guard {
            Guard::Operation(id) => Some(id.as_str()),
            _ => None,
        });
        guarded.chain(self.owners.iter().map(String::as_str))
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

    /// Which statements it needs, by [`needs`](super::kind::Statement::needs).
    pub fn mask(&self) -> u64 {
        let kinds = self.rows.iter().enumerate().filter(|(_, rows)| rows.is_some());
        kinds.map(|(kind, _)| 1 << kind).sum::<u64>() | if self.moved.is_empty() { 0 } else { MOVED }
    }

    /// The values to bind, see [`FIRST_ROWS`](super::kind::FIRST_ROWS): the blob, the moved operations, the rows of each kind.
    pub fn values(self) -> (Vec<u8>, String, Vec<Option<String>>) {
        let moved = serde_json::Value::from(self.moved).to_string();
        let rows = self.rows.into_iter().map(|rows| rows.map(|rows| rows + "]"));
        (self.bytes, moved, rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn command(kind: Kind, scope: &str) -> Command {
        let mut command = Command::default();
        command.row(kind, &json!({ "x": 1 }));
        command.guard(Guard::Scope(scope.into()));
        command
    }

    #[test]
    fn commands_with_a_common_guard_share_a_pass_only_in_the_order_of_the_text() {
        use Kind::{Begin, Finish, Step};
        for (first, second, third, expected) in [
            ((Begin, "a"), (Begin, "a"), (Begin, "b"), [true, false, true]),
            ((Step, "a"), (Begin, "a"), (Finish, "a"), [true, true, true]),
            ((Begin, "a"), (Step, "a"), (Begin, "b"), [true, false, true]),
            // What waits for the next pass is not overtaken.
            ((Begin, "a"), (Step, "a"), (Finish, "a"), [true, false, false]),
        ] {
            let mut pass = Pass::default();
            let admitted = [first, second, third].map(|(kind, scope)| pass.admits(&command(kind, scope)));
            assert_eq!(admitted, expected, "{first:?} {second:?} {third:?}");
        }
    }

    #[test]
    fn a_flush_waits_for_what_was_kept_back() {
        let flush = Command::default();
        let mut pass = Pass::default();
        assert!(pass.admits(&command(Kind::Begin, "a")) && pass.admits(&flush));
        assert!(!pass.admits(&command(Kind::Begin, "a")));
        assert!(!pass.admits(&flush));
    }

    #[test]
    fn a_pass_is_bounded_and_a_command_beyond_the_bound_goes_alone() {
        let mut long = Command::default();
        long.bytes(&vec![0; MAX_BYTES + 1]);
        let mut pass = Pass::default();
        assert!(pass.admits(&long) && pass.is_full());

        let mut pass = Pass::default();
        let admitted = (0..2 * MAX_COMMANDS).filter(|n| pass.admits(&command(Kind::Begin, &n.to_string()))).count();
        assert_eq!(admitted, MAX_COMMANDS);
    }

    #[test]
    fn nul_is_replaced_where_it_is_one() {
        for (given, expected) in [
            (json!("a\u{0}b"), r#""a\ufffdb""#),
            (json!("a\\u0000b"), r#""a\\u0000b""#),
            (json!("\\\u{0}\\"), r#""\\\ufffd\\""#),
            (json!("\"\u{0}"), r#""\"\ufffd""#),
            (json!("plain"), r#""plain""#),
        ] {
            assert_eq!(without_nul(given.to_string()), expected);
        }
    }

    #[test]
    fn rows_know_their_command_and_where_its_bytes_begin() {
        let (mut first, mut second) = (command(Kind::Note, "a"), command(Kind::Note, "b"));
        first.bytes(b"12345");
        assert_eq!(serde_json::to_string(&second.bytes(b"678")).unwrap(), "[0,3]");
        let mut batch = Batch::default();
        batch.add(0, &first);
        batch.add(3, &second);

        assert_eq!(batch.mask(), 1 << Kind::Note as usize);
        let (bytes, _, rows) = batch.values();
        assert_eq!(bytes, b"12345678");
        assert_eq!(rows[Kind::Note as usize].as_deref(), Some(r#"[{"n":0,"b":0,"x":1},{"n":3,"b":5,"x":1}]"#));
    }
}
