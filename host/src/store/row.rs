//! A row of a command: members that the statements name, with their values.

mod scalar;

use self::scalar::Scalar;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::ops::Range;

/// Members in the order in which they were given. They are few, and their names are the program's own: no map is made for them. All
/// their texts have one memory, since rows are made on one thread and read and dropped on another.
#[derive(Debug, Clone, Default)]
pub struct Row {
    members: Vec<(&'static str, Cell)>,
    text: Vec<u8>,
}

/// A value; where it is a text, its place among those of the row.
#[derive(Debug, Clone)]
enum Cell {
    Null,
    Truth(bool),
    Number(i64),
    Real(f64),
    Text(Range<u32>),
    /// A list or an object.
    Json(Range<u32>),
}

/// The value of a member, as it is bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Member<'r> {
    Null,
    Number(i64),
    Real(f64),
    /// A text, or the JSON of a list or an object. In UTF-8.
    Text(&'r [u8]),
}

/// Where a member was found in the last row, which most often was made at the same place of the program.
#[derive(Debug, Default)]
pub struct Spot {
    place: usize,
    name: &'static str,
}

/// About how much text a row has.
const TEXT: usize = 256;

impl Row {
    /// One that will have so many members.
    pub fn with_capacity(members: usize) -> Self {
        Self { members: Vec::with_capacity(members), text: Vec::with_capacity(TEXT) }
    }

    /// Adds a member, or gives it another value.
    pub fn put(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        let cell = self.cell(value);
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some(member) => member.1 = cell,
            None => self.members.push((name, cell)),
        }
    }

    /// Adds a member that it does not have yet.
    pub fn add(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        let cell = self.cell(value);
        self.members.push((name, cell));
    }

    fn cell(&mut self, value: &(impl Serialize + ?Sized)) -> Cell {
        let from = self.text.len();
        value.serialize(Scalar(&mut self.text)).unwrap_or_else(|_| {
            self.text.truncate(from);
            // Nothing that the host stores has members without names, the one way in which this could fail.
            let _ = serde_json::to_writer(&mut self.text, value);
            Cell::Json(range(from, &self.text))
        })
    }

    /// The value of a member. `spot` is to be the same one for each row that it is looked up in.
    pub fn get(&self, name: &str, spot: &mut Spot) -> Option<Member<'_>> {
        // The very same text, so that none is compared.
        if self.members.get(spot.place).is_none_or(|(known, _)| !std::ptr::eq(*known, spot.name)) {
            let place = self.members.iter().position(|(known, _)| *known == name)?;
            *spot = Spot { place, name: self.members[place].0 };
        }
        self.members.get(spot.place).map(|(_, cell)| match cell {
            Cell::Null => Member::Null,
            Cell::Truth(yes) => Member::Number(i64::from(*yes)),
            Cell::Number(number) => Member::Number(*number),
            Cell::Real(number) => Member::Real(*number),
            Cell::Text(at) | Cell::Json(at) => Member::Text(self.at(at)),
        })
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        const SMALL: usize = 16;
        self.members.len() * SMALL + self.text.len()
    }

    fn at(&self, at: &Range<u32>) -> &[u8] {
        self.text.get(at.start as usize..at.end as usize).unwrap_or_default()
    }
}

fn range(from: usize, text: &[u8]) -> Range<u32> {
    // No command has 4 GB; one that had would be refused for its size.
    let at = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    at(from)..at(text.len())
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.members.iter().map(|(name, cell)| (name, Shown { row: self, cell })))
    }
}

struct Shown<'r> {
    row: &'r Row,
    cell: &'r Cell,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.cell {
            Cell::Null => serializer.serialize_unit(),
            Cell::Truth(yes) => serializer.serialize_bool(*yes),
            Cell::Number(number) => serializer.serialize_i64(*number),
            Cell::Real(number) => serializer.serialize_f64(*number),
            Cell::Text(at) => {
                serializer.serialize_str(std::str::from_utf8(self.row.at(at)).map_err(serde::ser::Error::custom)?)
            }
            Cell::Json(at) => {
                let json: &RawValue = serde_json::from_slice(self.row.at(at)).map_err(serde::ser::Error::custom)?;
                json.serialize(serializer)
            }
        }
    }
}

/// A [`Row`], written like an object of `json!`.
macro_rules! row {
    ({ $($name:literal: $value:expr),+ $(,)? }) => {{
        const NAMES: &[&str] = &[$($name),+];
        let mut row = $crate::store::row::Row::with_capacity(NAMES.len());
        $(row.add($name, &$value);)+
        row
    }};
}

pub(super) use row;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::State;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[test]
    fn a_member_is_found_by_its_name_and_reads_as_an_object() {
        let mut row = row!({ "a": 1, "b": None::<u8>, "c": ["x"] });
        row.put("b", "later");
        row.put("d", &true);

        let mut spots = BTreeMap::new();
        let later = Some(Member::Text(b"later"));
        for (name, found) in [("d", Some(Member::Number(1))), ("d", Some(Member::Number(1))), ("e", None), ("b", later)]
        {
            assert_eq!(row.get(name, spots.entry(name).or_default()), found);
        }
        let other = row!({ "z": 1, "b": 2 });
        for (name, found) in [("b", Some(Member::Number(2))), ("a", None), ("z", Some(Member::Number(1)))] {
            assert_eq!(other.get(name, spots.entry(name).or_default()), found, "{name} of another row");
        }
        assert_eq!(row.get("b", spots.entry("b").or_default()), later);
        assert_eq!(json!(row), json!({ "a": 1, "b": "later", "c": ["x"], "d": true }));
    }

    /// Also a way to see that both databases are given the same.
    #[test]
    fn a_value_is_bound_as_what_it_is_in_json() {
        let text = |text: &'static str| Member::Text(text.as_bytes());
        let number = Member::Number;
        let mut row = Row::default();
        for (value, bound) in [
            (json!(null), Member::Null),
            (json!(true), number(1)),
            (json!(-7), number(-7)),
            (json!(u64::MAX), Member::Real(u64::MAX as f64)),
            (json!(0.5), Member::Real(0.5)),
            (json!("a\"é"), text("a\"é")),
            (json!(["a", 1]), text(r#"["a",1]"#)),
            (json!({ "a": {} }), text(r#"{"a":{}}"#)),
            (json!([]), text("[]")),
        ] {
            row.put("value", &value);
            assert_eq!(row.get("value", &mut Spot::default()), Some(bound), "{value}");
            if !value.is_u64() {
                assert_eq!(json!(row)["value"], value);
            }
        }
        assert_bound(&Some("x"), text("x"));
        assert_bound(&None::<String>, Member::Null);
        assert_bound(&State::Succeeded, text("succeeded"));
        assert_bound(&(7_u32, 8_usize), text("[7,8]"));
        assert_bound(&'é', text("é"));
        assert_bound(&(), Member::Null);
        assert_bound(&Some(Value::from(3_i8)), number(3));
    }

    fn assert_bound(value: &impl Serialize, bound: Member<'_>) {
        let row = row!({ "value": value });
        assert_eq!(row.get("value", &mut Spot::default()), Some(bound));
        assert_eq!(json!(row), json!({ "value": value }));
    }
}
