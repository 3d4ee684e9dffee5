//! One text for both databases, with marks where they differ.
//!
//! Statements are written so that both take them. What is left is marked with `{name argument}`, and here is what stands in the
//! place of each mark. A mark may stand within the argument of another one.

use super::hand;
use std::borrow::Cow;
use std::sync::OnceLock;

/// Whose language a statement is to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// A mark, and what it means to SQLite and to Postgres. A question mark is the argument.
const MARKS: [(&str, &str, &str); 19] = [
    // A truth, as a column holds it: SQLite's partial indexes are found by the number alone.
    ("true", "1", "TRUE"),
    ("false", "0", "FALSE"),
    // An operation is unfinished, in the words of the indexes that hold only those. (A list of more than two words would be a table
    // of its own to SQLite, made and dropped with each row that such an index looks at.)
    ("open", OPEN, OPEN),
    // A JSON list of texts, and one of lists, as rows with the column `value`.
    ("list", "json_each(?)", "jsonb_array_elements_text((?)::jsonb)"),
    ("rows", "json_each(?)", "jsonb_array_elements((?)::jsonb)"),
    // Values as a JSON list in a text; the same within another list; one of each row; names and values of each row as an object.
    ("array", "json_array(?)", "json_build_array(?)::text"),
    ("pair", "json_array(?)", "json_build_array(?)"),
    ("gather", "json_group_array(?)", "coalesce(json_agg(?)::text, '[]')"),
    ("object", "json_group_object(?)", "coalesce(json_object_agg(?)::text, '{}')"),
    ("hex", "hex(?)", "encode(?, 'hex')"),
    // A text that is JSON, to take a member from. Postgres finds no member beside one that holds a NUL.
    ("json", "?", r"replace(?, '\u0000', '\ufffd')::json"),
    // Bytes that are a text.
    ("text", "CAST(? AS TEXT)", "convert_from(?, 'UTF8')"),
    ("greater", "max(?)", "greatest(?)"),
    // The database's time, Unix milliseconds; and whether nobody has taken this host for dead, which a file's never is.
    ("clock", "CAST(unixepoch('subsec') * 1000 AS INTEGER)", "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"),
    ("alive", "1", "NOT EXISTS (SELECT 1 FROM host gone WHERE gone.id = :host AND gone.ended IS NOT NULL)"),
    // Entries leave the index of words: SQLite's must be told their words.
    (
        "unlearn",
        "INSERT INTO log_words (log_words, rowid, words)
         SELECT 'delete', s.number, s.words FROM (?) AS s WHERE s.words IS NOT NULL",
        "DELETE FROM log_words WHERE number IN (SELECT s.number FROM (?) AS s)",
    ),
    // The index that SQLite's planner is to use, a column that it is not to use one for, and the order in which it is to join.
    ("by", "INDEXED BY ?", ""),
    ("plain", "+", ""),
    ("join", "CROSS JOIN", "JOIN"),
];

/// See the mark `open`; a question mark is the table's name with a dot, or nothing.
const OPEN: &str = "?state <> 'succeeded' AND ?state <> 'failed' AND ?state <> 'cancelled'";

/// The place of a log row, from the id of its entry.
const PLACE: (&str, &str) = (
    "(substr(?, instr(?, '_') + 1) || '_' || substr(?, 1, instr(?, '_') - 1))",
    "(substr(?, strpos(?, '_') + 1) || '_' || left(?, greatest(strpos(?, '_') - 1, 0)))",
);

/// The members of a JSON object laid over a service's properties; what is null there goes.
const LAID: (&str, &str) = (
    "(SELECT json_group_object(e.key, json(layer.document -> e.fullkey))
      FROM (SELECT CASE WHEN :gone THEN '{}' ELSE service.properties END AS document, 0 AS upper
            UNION ALL SELECT ?, 1) AS layer, json_each(layer.document) AS e
      WHERE NOT (upper AND e.type = 'null')
        AND (upper OR NOT EXISTS (SELECT 1 FROM json_each(?) AS p WHERE p.key = e.key)))",
    "(SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}')::text
      FROM jsonb_each(CASE WHEN :gone THEN '{}' ELSE service.properties::jsonb END || (?)::jsonb) AS e
      WHERE NOT ((?)::jsonb ? e.key AND e.value = 'null'))",
);

impl Dialect {
    /// The text with each mark replaced.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        let mut text = Cow::Borrowed(text);
        // The last one to open holds no other.
        while let Some((from, to)) = innermost(&text) {
            let (name, argument) = text[from + 1..to].split_once(' ').unwrap_or((&text[from + 1..to], ""));
            let meaning = self.meaning(name, argument);
            text = Cow::Owned(format!("{}{meaning}{}", &text[..from], &text[to + 1..]));
        }
        text
    }

    /// A text as it can be bound: what Postgres cannot keep is in none of its rows.
    pub fn value(self, text: &str) -> Cow<'_, str> {
        match self == Self::Postgres && text.contains('\0') {
            true => Cow::Owned(text.replace('\0', "\u{fffd}")),
            false => Cow::Borrowed(text),
        }
    }

    fn meaning(self, name: &str, argument: &str) -> String {
        let of = |sqlite: &'static str, postgres: &'static str| match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        };
        match name {
            "serial" => hand::SERIAL.to_string(),
            "place" => of(PLACE.0, PLACE.1).replace('?', argument),
            // The one operator that is a question mark itself.
            "laid" => {
                of(LAID.0, LAID.1).replace(" ? e.key", " \u{1} e.key").replace('?', argument).replace('\u{1}', "?")
            }
            name => match MARKS.iter().find(|(mark, ..)| *mark == name) {
                Some((_, sqlite, postgres)) => of(sqlite, postgres).replace('?', argument),
                // Said by the database, and by the tests.
                None => format!("<unknown mark {name}>"),
            },
        }
    }
}

/// Where the last mark opens, and where it closes.
fn innermost(text: &str) -> Option<(usize, usize)> {
    let opens = |at: &usize| text[at + 1..].starts_with(|c: char| c.is_ascii_lowercase());
    let from = text.rmatch_indices('{').map(|(at, _)| at).find(opens)?;
    Some((from, from + text[from..].find('}')?))
}

/// A statement that is always the same, or its twins.
#[derive(Debug)]
pub struct Text {
    sqlite: &'static str,
    postgres: &'static str,
    expanded: [OnceLock<String>; 2],
}

impl Text {
    /// One text, with marks.
    pub const fn new(text: &'static str) -> Self {
        Self::twins(text, text)
    }

    /// What SQLite and Postgres are asked where they have little in common.
    pub const fn twins(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres, expanded: [OnceLock::new(), OnceLock::new()] }
    }

    /// As this database takes it.
    pub fn of(&self, dialect: Dialect) -> &str {
        let (text, expanded) = match dialect {
            Dialect::Sqlite => (self.sqlite, &self.expanded[0]),
            Dialect::Postgres => (self.postgres, &self.expanded[1]),
        };
        expanded.get_or_init(|| dialect.text(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_what_each_database_takes() {
        for (text, sqlite, postgres) in [
            ("SELECT '{}'", "SELECT '{}'", "SELECT '{}'"),
            ("a = {true} AND {plain}b", "a = 1 AND +b", "a = TRUE AND b"),
            ("FROM t {by i} WHERE", "FROM t INDEXED BY i WHERE", "FROM t  WHERE"),
            (
                "{gather {pair o.id, 1}}",
                "json_group_array(json_array(o.id, 1))",
                "coalesce(json_agg(json_build_array(o.id, 1))::text, '[]')",
            ),
            (
                "{object name, {hex sealed}}",
                "json_group_object(name, hex(sealed))",
                "coalesce(json_object_agg(name, encode(sealed, 'hex'))::text, '{}')",
            ),
        ] {
            assert_eq!(Dialect::Sqlite.text(text), sqlite);
            assert_eq!(Dialect::Postgres.text(text), postgres);
        }
        let (sqlite, postgres) = (Dialect::Sqlite.text("{laid :p}"), Dialect::Postgres.text("{laid :p}"));
        assert!(sqlite.contains("SELECT :p, 1)") && sqlite.contains("json_each(:p)"), "{sqlite}");
        assert!(postgres.contains("(:p)::jsonb ? e.key") && postgres.contains("|| (:p)::jsonb"), "{postgres}");
    }
}
