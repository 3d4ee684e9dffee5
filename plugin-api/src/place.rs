//! Where in a JSON text a reader gave up: the member's path, found by reading the text once more up to that point.
//!
//! Only a failure pays for it, and it knows nothing of types. Deserializers that keep count of the path as they go
//! are compiled anew for every type that they read, which was a twentieth of a plugin's size.

use serde_json::Error;

/// What went wrong while reading a JSON text, without any of its values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// As `data.items[2].id`; `.` is the whole text.
    pub(crate) place: String,
    /// The name of the member that is missing or not known, where that is what is wrong. It is a name of ours, or one
    /// that somebody misspelt, and never a value.
    pub(crate) member: Option<String>,
}

impl Misfit {
    /// Finds the place of an error that reading all of `text` gave.
    pub(crate) fn of(text: &[u8], error: &Error) -> Self {
        let mut place = String::new();
        for part in path_at(text, offset(text, error.line(), error.column())) {
            match part {
                Part::Member(name) if place.is_empty() => place.push_str(&name),
                Part::Member(name) => {
                    place.push('.');
                    place.push_str(&name);
                }
                Part::Item(n) => place.push_str(&format!("[{n}]")),
            }
        }
        if place.is_empty() {
            place.push('.');
        }
        Self { place, member: member(&error.to_string()) }
    }
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)?;
        match &self.member {
            Some(member) => write!(f, " ({member})"),
            None => Ok(()),
        }
    }
}

/// `missing field x` or `unknown field x` of an error's text. Everything else that it says may quote a value.
fn member(text: &str) -> Option<String> {
    let kind = ["missing field", "unknown field"].into_iter().find(|kind| text.starts_with(kind))?;
    Some(format!("{kind} {}", text.split('`').nth(1)?))
}

/// How many bytes of the text were read: lines and columns count from 1 and 0.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive(|&byte| byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    before.saturating_add(column).min(text.len())
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Member(String),
    Item(usize),
}

/// The path of what stands just before `end`. The text up to there has been read once, so that its form is right.
fn path_at(text: &[u8], end: usize) -> Vec<Part> {
    let mut path: Vec<Part> = Vec::new();
    // For each object or array that is open: whether a member's name comes next, or has come.
    let mut open: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at).filter(|_| at < end) {
        match byte {
            b'"' => {
                let from = at;
                at = string_end(text, at);
                // A name in an object that has none yet for this member.
                if open.last() == Some(&true) {
                    path.push(Part::Member(name(text.get(from..=at).unwrap_or_default())));
                    if let Some(awaits_name) = open.last_mut() {
                        *awaits_name = false;
                    }
                }
            }
            b'{' => open.push(true),
            b'[' => {
                open.push(false);
                path.push(Part::Item(0));
            }
            b',' => match path.pop() {
                Some(Part::Item(n)) => path.push(Part::Item(n + 1)),
                _ => {
                    if let Some(awaits_name) = open.last_mut() {
                        *awaits_name = true;
                    }
                }
            },
            b'}' | b']' => {
                let has_member = open.pop() == Some(false);
                // An empty object has added nothing to the path.
                path.truncate(path.len() - usize::from(has_member && !path.is_empty()));
            }
            _ => {}
        }
        at += 1;
    }
    path
}

/// The place of the quote that ends the string which begins at `at`, or the last byte.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(&byte) = text.get(end) {
        match byte {
            b'"' => return end,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    text.len().saturating_sub(1)
}

fn name(quoted: &[u8]) -> String {
    serde_json::from_slice(quoted).unwrap_or_else(|_| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Sample {
        id: u64,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        map: BTreeMap<String, bool>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Inner {
        name: String,
    }

    fn misfit(text: &str) -> String {
        Misfit::of(text.as_bytes(), &serde_json::from_str::<Sample>(text).unwrap_err()).to_string()
    }

    #[test]
    fn the_place_of_what_does_not_fit_is_named() {
        for (text, expected) in [
            (r#"{"id":"x"}"#, "id"),
            (r#"{"id":-1}"#, "id"),
            (r#"{"id":{"a":1}}"#, "id"),
            (r#"{"id":1,"list":{}}"#, "list"),
            (r#"{"id":1,"list":[{"name":"a"},{"name":5}]}"#, "list[1].name"),
            (r#"{"id":1,"list":[{"name":"a"},7]}"#, "list[1]"),
            (r#"{"id":1,"list":[{"name":"a"},{}]}"#, "list[1] (missing field name)"),
            (r#"{"id":1,"map":{"a":true,"b":null}}"#, "map.b"),
            (r#"{"id":1,"map":{"a\"},[":3}}"#, r#"map.a"},["#),
            ("{\n  \"id\": 1,\n  \"list\": [\n    {\"name\": null}\n  ]\n}", "list[0].name"),
            (r#"{"list":[]}"#, ". (missing field id)"),
            (r#"{"id":1,"idd":2}"#, "idd (unknown field idd)"),
            ("[]", "."),
            ("7", "."),
        ] {
            assert_eq!(misfit(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_json_has_a_place_too() {
        for (text, expected) in [
            ("", "."),
            (r#"{"id":1,"list":[{"name":"a"#, "list[0].name"),
            (r#"{"id":1,"li"#, "?"),
            (r#"{"id":tru}"#, "."),
            ("\u{fffd}{", "."),
            (r#"{"id":1}}"#, "."),
        ] {
            assert_eq!(misfit(text), expected, "{text}");
        }
    }

    #[test]
    fn no_value_is_quoted() {
        for text in [r#"{"id":"hunter2hunter2"}"#, r#"{"id":1,"list":[{"name":"a"},"hunter2hunter2"]}"#] {
            assert!(!misfit(text).contains("hunter2"), "{text}");
        }
    }
}
