//! What is asked of the writer.
//!
//! A command is prepared by whoever sends it: rows whose members the statements name, large or sealed values as bytes beside
//! them. Whoever carries it out has nothing left to compute.

use super::kind::Kind;
use super::row::Row;

/// The most commands in one transaction: beyond that the wait of the first costs more than the shared sync saves.
pub const MAX_COMMANDS: usize = 256;

/// The most bytes of rows and bytes beside them in one transaction, for the same reason; one longer command goes alone.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A row of one kind.
#[derive(Debug, Clone)]
pub struct Part {
    /// Which statements it is for.
    pub kind: Kind,
    /// What they name as `:member`. Lists and objects are bound as JSON text; what is not there is NULL.
    pub row: Row,
}

/// What is asked of the writer, prepared.
#[derive(Debug, Clone, Default)]
pub struct Command {
    parts: Vec<Part>,
    bytes: Vec<u8>,
    weight: usize,
    moved: Vec<String>,
    /// Entries of the log that it makes, or changes itself.
    made: Vec<String>,
    /// Operations, and reading hooks, that it is about.
    subjects: Vec<String>,
    /// How many rows of it have words to be indexed.
    worded: usize,
}

/// A place in the bytes of a command; a row's member that holds it is named as `@member` by the statements.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Slice(usize, usize);

impl Command {
    /// Adds a row.
    pub fn row(&mut self, kind: Kind, row: Row) {
        self.weight += row.weight();
        self.parts.push(Part { kind, row });
    }

    /// Adds bytes, for a row to name.
    pub fn bytes(&mut self, bytes: &[u8]) -> Slice {
        let slice = Slice(self.bytes.len(), bytes.len());
        self.bytes.extend_from_slice(bytes);
        slice
    }

    /// The bytes at a place.
    pub fn at(&self, Slice(from, length): Slice) -> &[u8] {
        self.bytes.get(from..from.saturating_add(length)).unwrap_or_default()
    }

    /// The operation may change its state: its log row follows, and what must not outlive its end goes.
    pub fn moves(&mut self, operation: &str) {
        self.moved.push(operation.to_owned());
    }

    /// It ends an attempt of the operation, and writes its log row itself.
    pub fn ends(&mut self, operation: &str) {
        self.made.push(operation.to_owned());
        self.tells_of(operation);
    }

    /// It makes an entry of the log.
    pub fn makes(&mut self, entry: &str) {
        self.made.push(entry.to_owned());
    }

    /// It is about this operation or reading hook.
    pub fn tells_of(&mut self, owner: &str) {
        if self.subjects.last().is_none_or(|last| last != owner) {
            self.subjects.push(owner.to_owned());
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

    /// The rows, as they were added.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// All bytes, where slices are of.
    pub fn all_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The operations whose state may have changed.
    pub fn moved(&self) -> &[String] {
        &self.moved
    }

    /// The entries of the log whose rows it makes or changes.
    pub fn rows_of_log(&self) -> impl Iterator<Item = &str> {
        self.made.iter().chain(&self.moved).map(String::as_str)
    }

    /// The operations that it is about in any way; some more than once.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.moved.iter().chain(&self.subjects).map(String::as_str)
    }

    /// About how much of a transaction it takes, bytes.
    pub const fn size(&self) -> usize {
        self.bytes.len() + self.weight
    }

    /// Whether it says only that this host lives.
    pub fn is_sign(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| part.kind == Kind::Beat)
    }

    /// Whether there is anything to write.
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// The same JSON with something visible where a text in it holds a NUL: neither database keeps that in a text.
pub fn without_nul(json: String) -> String {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) {
        return json;
    }
    let (mut kept, mut rest) = (String::with_capacity(json.len()), json.as_str());
    while let Some(at) = rest.find('\\') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        // A backslash and what it is for, so that one that stands for itself is not taken for the next one's.
        let (escape, length) = if rest.starts_with(NUL) { ("\\ufffd", NUL.len()) } else { (&rest[..2], 2) };
        kept.push_str(escape);
        rest = &rest[length..];
    }
    kept + rest
}

/// How much one transaction holds.
#[derive(Debug, Default)]
pub struct Pass {
    commands: usize,
    size: usize,
}

impl Pass {
    /// Whether `command` goes along with those before it; the first always does.
    pub const fn admits(&mut self, command: &Command) -> bool {
        let size = self.size.saturating_add(command.size());
        let fits = self.commands == 0 || (self.commands < MAX_COMMANDS && size <= MAX_BYTES);
        if fits {
            self.commands += 1;
            self.size = size;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::row;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_pass_is_bounded_and_a_command_beyond_the_bound_goes_alone() {
        let mut long = Command::default();
        long.bytes(&vec![0; MAX_BYTES + 1]);
        let mut pass = Pass::default();
        assert!(pass.admits(&long) && !pass.admits(&Command::default()));

        let mut pass = Pass::default();
        assert_eq!((0..2 * MAX_COMMANDS).filter(|_| pass.admits(&Command::default())).count(), MAX_COMMANDS);
    }

    #[test]
    fn what_a_row_holds_counts_wherever_it_stands() {
        let long = "x".repeat(1_000);
        for value in [json!(long), json!([1, long]), json!({ "b": long })] {
            let row = row!({ "a": value });
            let mut command = Command::default();
            command.row(Kind::Note, row);
            assert!((1_000..1_100).contains(&command.size()), "{}", command.size());
        }
    }

    #[test]
    fn a_nul_becomes_visible_and_nothing_else_changes() {
        let value = json!(["a\u{0}b", "\\u0000", "\\", "\\\u{0}", "é\n", "\u{1}"]);
        let visible: Value = serde_json::from_str(&without_nul(value.to_string())).unwrap();
        assert_eq!(visible, json!(["a\u{fffd}b", "\\u0000", "\\", "\\\u{fffd}", "é\n", "\u{1}"]));
    }

    #[test]
    fn bytes_are_found_where_they_were_put() {
        let mut command = Command::default();
        let (first, second) = (command.bytes(b"12345"), command.bytes(b"678"));
        assert_eq!((command.at(first), command.at(second)), (&b"12345"[..], &b"678"[..]));
        assert_eq!(command.at(Slice(6, 9)), b"", "a place that is none");
    }
}
