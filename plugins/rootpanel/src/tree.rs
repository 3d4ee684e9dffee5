//! An answer of the panel as one tree, whichever of its two formats it came in.
//!
//! The panel is written in PHP, and it shows: numbers may come as text and text as numbers, a list whose keys are not
//! 0, 1, 2, ... comes as a map, and an empty map as an empty list. So a tree has one kind of array, and its members are read by
//! what is wanted, not by what they are.

mod json;
mod php;

use crate::amount::Amount;
use std::fmt;

/// The longest answer that is read.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How deep arrays may stand in each other; the panel's own answers are four deep.
const MAX_DEPTH: usize = 16;
/// How many values an answer may hold. A list of orders of the greatest length has about half as many.
const MAX_VALUES: usize = 262_144;

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// List or map; the keys of a list are its indices. Of a key that comes twice the last one counts.
    Array(Vec<(String, Tree)>),
}

/// Why an answer could not be read. Never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing, or white space.
    Empty,
    /// Markup: something before the panel answered.
    Page,
    /// More bytes than an answer may have.
    TooLong,
    /// More values than an answer may have.
    TooMany,
    /// Deeper than an answer may be.
    TooDeep,
    /// It is neither of the two formats, or breaks its rules, at this byte if known.
    Malformed(Option<usize>),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Page => f.write_str("a web page"),
            Self::TooLong => write!(f, "more than {MAX_BYTES} bytes"),
            Self::TooMany => write!(f, "more than {MAX_VALUES} values"),
            Self::TooDeep => write!(f, "values more than {MAX_DEPTH} deep"),
            Self::Malformed(Some(at)) => write!(f, "what is neither JSON nor serialized PHP, at byte {at}"),
            Self::Malformed(None) => f.write_str("what is neither JSON nor serialized PHP"),
        }
    }
}

impl Tree {
    /// Reads an answer. The first byte tells the format, since the content type is not to be relied on.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MAX_BYTES {
            return Err(Unreadable::TooLong);
        }
        let bytes = bytes.trim_ascii_start();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
        match bytes.first() {
            None => Err(Unreadable::Empty),
            Some(b'{') => json::read(bytes),
            Some(b'a') => php::read(bytes),
            Some(b'<') => Err(Unreadable::Page),
            Some(_) => Err(Unreadable::Malformed(Some(0))),
        }
    }

    /// The member of that name; `None` also for members that say nothing: null and the empty text.
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Self::Array(members) = self else { return None };
        let found = members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)?;
        match found {
            Self::Null => None,
            Self::Text(text) if text.trim().is_empty() => None,
            found => Some(found),
        }
    }

    /// The elements of a list, or of a map that stands for one. `None` if it is neither.
    pub fn elements(&self) -> Option<impl Iterator<Item = &Self>> {
        match self {
            Self::Array(members) => Some(members.iter().map(|(_, value)| value)),
            _ => None,
        }
    }

    /// The elements of the list of that name; none if it is missing or empty.
    pub fn list(&self, name: &str) -> Vec<&Self> {
        self.member(name).and_then(Self::elements).map(Iterator::collect).unwrap_or_default()
    }

    /// A text, or a number as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.member(name)?.as_text()
    }

    /// A scalar as text.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Bool(truth) => Some(u8::from(*truth).to_string()),
            Self::Null | Self::Array(_) => None,
        }
    }

    /// A whole number, or its text.
    pub fn whole(&self, name: &str) -> Option<i64> {
        match self.member(name)? {
            Self::Int(number) => Some(*number),
            Self::Bool(truth) => Some(i64::from(*truth)),
            Self::Text(text) => text.trim().parse().ok(),
            // Exact up to 2^53, beyond which no code, number of days or status goes.
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => number.to_string().parse().ok(),
            _ => None,
        }
    }

    /// An amount of money.
    pub fn amount(&self, name: &str) -> Option<Amount> {
        // The shortest text of a float is the decimal number that PHP had before it made binary of it.
        self.text(name)?.parse().ok()
    }

    /// The first of these members that is there and is no scalar.
    pub fn not_scalar<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| matches!(self.member(name), Some(Self::Array(_))))
    }

    /// The first of these members that is there and is no list.
    pub fn not_list<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.member(name).is_some_and(|member| !matches!(member, Self::Array(_))))
    }

    /// Whether the member is 1, the panel's word for yes.
    pub fn is_set(&self, name: &str) -> bool {
        self.whole(name) == Some(1)
    }
}

/// How many more values an answer may hold.
struct Budget(std::cell::Cell<usize>);

impl Budget {
    fn new() -> Self {
        Self(std::cell::Cell::new(MAX_VALUES))
    }

    fn spend(&self) -> Result<(), Unreadable> {
        self.0.set(self.0.get().checked_sub(1).ok_or(Unreadable::TooMany)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn tree(json: &str) -> Tree {
        Tree::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn both_formats_of_every_sample_are_one_tree() {
        let Some(samples) = samples::all() else { return };
        let mut pairs = 0;
        for (name, json) in samples.iter().filter(|(name, _)| name.ends_with(".json")) {
            let other = name.replace(".json", ".ser");
            assert_eq!(Tree::read(json), Tree::read(&samples[&other]), "{name}");
            assert!(Tree::read(json).is_ok(), "{name}");
            pairs += 1;
        }
        assert_eq!(pairs, 9);
    }

    #[test]
    fn the_first_byte_tells_the_format() {
        for (bytes, expected) in [
            (&b"{}"[..], Ok(Tree::Array(vec![]))),
            (b"a:0:{}", Ok(Tree::Array(vec![]))),
            (b"\xef\xbb\xbf a:0:{}\r\n", Ok(Tree::Array(vec![]))),
            (b"\n\xef\xbb\xbf{}\n", Ok(Tree::Array(vec![]))),
            (b"", Err(Unreadable::Empty)),
            (b" \n", Err(Unreadable::Empty)),
            (b"<html></html>", Err(Unreadable::Page)),
            (b"[]", Err(Unreadable::Malformed(Some(0)))),
            (b"Fatal error", Err(Unreadable::Malformed(Some(0)))),
            (b"b:1;", Err(Unreadable::Malformed(Some(0)))),
        ] {
            assert_eq!(Tree::read(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(Tree::read(&vec![b'{'; MAX_BYTES + 1]), Err(Unreadable::TooLong));
    }

    #[test]
    fn members_are_read_by_what_is_wanted() {
        let tree = tree(
            r#"{"a":"7","b":7,"c":7.0,"d":" 7 ","e":"","f":null,"g":true,"h":[],"i":40.51,"j":"7x","a2":1,"a2":2}"#,
        );

        assert_eq!(
            ["a", "b", "c", "d", "g"].map(|name| tree.whole(name)),
            [Some(7), Some(7), Some(7), Some(7), Some(1)]
        );
        assert_eq!(["e", "f", "h", "i", "j", "none"].map(|name| tree.whole(name)), [None; 6]);
        assert_eq!(["a", "b", "c", "d"].map(|name| tree.text(name).unwrap()), ["7"; 4]);
        assert_eq!(["e", "f", "h"].map(|name| tree.text(name)), [const { None }; 3]);
        assert_eq!(tree.amount("i").unwrap().to_string(), "40.51");
        assert_eq!((tree.is_set("g"), tree.is_set("a")), (true, false));
        assert_eq!(tree.whole("a2"), Some(2));
    }

    #[test]
    fn a_list_and_a_map_have_the_same_elements() {
        for text in [r#"{"l":["x","y"]}"#, r#"{"l":{"0":"x","1":"y"}}"#, r#"{"l":{"7":"x","a":"y"}}"#] {
            let texts: Vec<_> = tree(text).list("l").into_iter().map(|item| item.as_text().unwrap()).collect();
            assert_eq!(texts, ["x", "y"], "{text}");
        }
        for text in [r#"{"l":[]}"#, r#"{"l":""}"#, r#"{"l":null}"#, "{}"] {
            assert!(tree(text).list("l").is_empty(), "{text}");
        }
    }
}
