//! Words of the log's rows: which there are, how they are stored on the way to the index, and how they are looked for.
//!
//! An insert into a full-text index touches five pages and one into a plain table one, and a hook waits for each of them.
//! So the words of a row are written beside it, in the same commit, and moved into the index many at a time, between
//! commits. A search reads both.
//!
//! A row of the index has the number that the entry's id tells, by which the index is in the order of the log without any
//! column or index of its own for that. The number holds the time of the id and a part of its random digits: two entries of
//! the same millisecond may share one if two hosts gave them out (one pair in 32,768), and are then found by each other's
//! words.

use super::command::Command;
use super::dialect::{Dialect, Text};
use super::row::Row;
use billhook_plugin_api::Fault;

/// Rows whose words wait until they are worth a move into the index.
pub const WORTH_MOVING: usize = 128;

/// As many may wait while the writer has no moment to spare: a search reads all of them.
pub const MOST_WAITING: usize = 2_048;

/// A longer word is cut; so is what is looked for.
const WORD_BYTES: usize = 64;

/// The most words of one write to an entry; a summary and a fault have some dozens.
const MOST_WORDS: usize = 200;

/// The most words that one search looks for.
const MOST_SOUGHT: usize = 16;

/// Crockford's digits, as ids are written with.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Digits of an id that its number holds, behind the first one, which is `0` for a thousand years: nine of the time and
/// three of the random rest.
const HELD: usize = 12;

/// Writes the words of a row that won.
pub const GATHER: &str = "
{won}
INSERT INTO unindexed (number, words) SELECT :number, :words WHERE :words IS NOT NULL
ON CONFLICT (number) DO UPDATE SET words = unindexed.words || ' ' || excluded.words";

/// A part of the log that is older than its index.
pub const BACKLOG: &[&str] = &[
    "INSERT INTO unindexed (number, words)
     SELECT CAST(line.value ->> 0 AS BIGINT), line.value ->> 1 FROM {rows :lines} AS line
     WHERE true
     ON CONFLICT (number) DO UPDATE SET words = unindexed.words || ' ' || excluded.words",
    "UPDATE backlog SET place = :reached WHERE :reached IS NOT NULL",
    "DELETE FROM backlog WHERE :reached IS NULL",
];

/// Moves what waits into the index. In the order of the numbers, which SQLite's index takes in one go; on Postgres serial with
/// the transactions that write words.
pub static MOVE: Text = Text::twins(
    "BEGIN IMMEDIATE;
     INSERT INTO log_words (rowid, words) SELECT number, words FROM unindexed ORDER BY number;
     DELETE FROM unindexed;
     COMMIT",
    "SELECT pg_advisory_xact_lock({serial});
     WITH moved AS (DELETE FROM unindexed RETURNING number, words)
     INSERT INTO log_words (number, words)
     SELECT number, array_to_tsvector(string_to_array(words, ' ')) FROM moved
     ON CONFLICT (number) DO UPDATE SET words = log_words.words || excluded.words",
);

/// Puts the words of `texts` into a row about the entry `id`.
pub fn add<'t>(command: &mut Command, row: &mut Row, id: &str, texts: impl IntoIterator<Item = &'t str>) {
    if let Some(words) = words(texts) {
        row.put("number", &number(id));
        row.put("words", &words);
        command.has_words();
    }
}

/// What of a fault is looked for.
pub fn of_fault(fault: &Fault) -> impl Iterator<Item = &str> {
    [Some(fault.class.as_str()), Some(&*fault.staff), fault.code.as_deref()].into_iter().flatten()
}

/// The words of the texts, each once, with blanks between them; `None` when there is none.
pub fn words<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for word in texts.into_iter().flat_map(split) {
        if found.len() == MOST_WORDS {
            break;
        }
        if !found.contains(&word) {
            found.push(word);
        }
    }
    (!found.is_empty()).then(|| found.join(" "))
}

/// Runs of letters and digits, in lower case. The index only splits at blanks what comes from here, so that both always
/// agree on what a word is.
fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| {
        let mut word = word.to_lowercase();
        if word.len() > WORD_BYTES {
            word.truncate((0..=WORD_BYTES).rev().find(|at| word.is_char_boundary(*at)).unwrap_or_default());
        }
        word
    })
}

/// Words that an entry must have, all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sought(Vec<String>);

impl Sought {
    /// The words of what somebody typed, whatever else stands in it. `None` when there is no word; words beyond the
    /// sixteenth are left out.
    pub fn of(text: &str) -> Option<Self> {
        let mut words: Vec<String> = Vec::new();
        for word in split(text) {
            if words.len() < MOST_SOUGHT && !words.contains(&word) {
                words.push(word);
            }
        }
        (!words.is_empty()).then_some(Self(words))
    }

    /// In the language of the index. A word has neither quotes nor operators.
    pub fn expression(&self, dialect: Dialect) -> String {
        let (quote, and) = match dialect {
            Dialect::Sqlite => ('"', " AND "),
            Dialect::Postgres => ('\'', " & "),
        };
        let quoted: Vec<String> = self.0.iter().map(|word| format!("{quote}{word}{quote}")).collect();
        quoted.join(and)
    }

    /// Those that are not among stored words; `None` when all are.
    pub fn without(&self, words: &str) -> Option<Self> {
        let is_there = |sought: &String| words.split(' ').any(|word| word == sought);
        let rest: Vec<String> = self.0.iter().filter(|sought| !is_there(sought)).cloned().collect();
        (!rest.is_empty()).then_some(Self(rest))
    }

    /// Whether all are words of these texts.
    pub fn are_said_in(&self, texts: &[&str]) -> bool {
        words(texts.iter().copied()).is_some_and(|words| self.without(&words).is_none())
    }
}

/// The number of an entry in the index, by its id or by its place in the log. Never less than that of an earlier entry.
pub fn number(id: &str) -> i64 {
    let ulid = match id.split_once('_') {
        Some((prefix, ulid)) if prefix.len() < ulid.len() => ulid,
        Some((ulid, _)) => ulid,
        None => id,
    };
    let mut digits = ulid.bytes().chain(std::iter::repeat(b'0'));
    if digits.next().is_some_and(|first| first > b'0') {
        return i64::MAX;
    }
    let mut is_none_of_ours = false;
    digits.take(HELD).fold(0, |number, digit| {
        let value = DIGITS.iter().position(|one| *one == digit).filter(|_| !is_none_of_ours);
        // What somebody made up as a bound may be too high and must not be too low.
        is_none_of_ours = value.is_none();
        number << 5 | value.map_or(31, |value| i64::try_from(value).unwrap_or(31))
    })
}

/// How the places in the log begin that have this number.
pub fn head(number: i64) -> String {
    let digit = |at: usize| char::from(DIGITS[usize::try_from(number >> (5 * at) & 31).unwrap_or_default()]);
    std::iter::once('0').chain((0..HELD).rev().map(digit)).collect()
}

/// How the ids of this time begin: all earlier ones are less, all later ones greater.
pub fn head_of_time(unix_ms: u64) -> String {
    const DIGITS_OF_TIME: usize = 10;
    let digit = |at: usize| char::from(DIGITS[usize::try_from(unix_ms >> (5 * at) & 31).unwrap_or_default()]);
    (0..DIGITS_OF_TIME).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_run_of_letters_and_digits() {
        for (text, expected) in [
            ("create: failed: quota: no room on node-7", Some("create failed quota no room on node 7")),
            ("Svc1007.EXAMPLE.net", Some("svc1007 example net")),
            ("‹masked:1a2b3c4d›", Some("masked 1a2b3c4d")),
            ("Größe ÉTAGE größe", Some("größe étage")),
            ("a\u{0}b \"c\" AND * NEAR(d)", Some("a b c and near d")),
            (" .-\u{0}*\"", None),
            ("", None),
        ] {
            assert_eq!(words([text]).as_deref(), expected, "{text:?}");
        }
        let long = "ä".repeat(100);
        assert_eq!(words([long.as_str()]).unwrap(), "ä".repeat(32));
        let many: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        assert_eq!(words(many.iter().map(String::as_str)).unwrap().split(' ').count(), MOST_WORDS);
    }

    #[test]
    fn what_is_sought_is_words_and_nothing_else() {
        for (text, expected) in [
            ("quota room", Some(r#""quota" AND "room""#)),
            (r#"a" OR "b"#, Some(r#""a" AND "or" AND "b""#)),
            ("words: NOT x* ^y {z}", Some(r#""words" AND "not" AND "x" AND "y" AND "z""#)),
            ("same Same SAME", Some(r#""same""#)),
            ("\u{0}\"*", None),
        ] {
            assert_eq!(
                Sought::of(text).map(|sought| sought.expression(Dialect::Sqlite)).as_deref(),
                expected,
                "{text:?}"
            );
        }
        let many = "a b c d e f g h i j k l m n o p q r s";
        assert_eq!(Sought::of(many).unwrap().0.len(), MOST_SOUGHT);
        let sought = Sought::of("room Quota").unwrap();
        assert_eq!(sought.without("quota no room"), None);
        assert_eq!(sought.without("quota no rooms"), Sought::of("room"));
        assert!(sought.are_said_in(&["create: quota", "no room"]));
    }

    #[test]
    fn numbers_are_in_the_order_of_ids() {
        let ids = [
            "op_00000000000000000000000000",
            "op_01J000000000ZZZZZZZZZZZZZZ",
            "op_01JT5M3Z8Q4W6V2X9Y0B7C1D2E",
            "rd_01JT5M3Z8Q4W7V2X9Y0B7C1D2E",
            "op_01JT5M3Z8R00000000000000000",
            "op_0ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "op_10000000000000000000000000",
        ];
        let numbers = ids.map(number);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        for id in &ids[..6] {
            let place = super::super::logs::place(id);
            assert!(place.starts_with(&head(number(id))), "{id} {}", head(number(id)));
            assert_eq!(number(&place), number(id));
        }
        assert!(number("op_01J00000000000000000000000") <= number("op_01Jabc"), "a bound is not too low");
        assert!(head(number("op_1")).as_str() < "1");
    }

    #[test]
    fn a_time_is_where_its_ids_begin() {
        for ms in [0, 1, 1_770_000_000_123, (1 << 48) - 1] {
            let id = ulid::Ulid::from_parts(ms, 0).to_string();
            assert!(id.starts_with(&head_of_time(ms)), "{id}");
        }
    }
}
