//! The JSON format, within the bounds of the other one.

use super::{Budget, MAX_DEPTH, Tree, Unreadable};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

pub(super) fn read(bytes: &[u8]) -> Result<Tree, Unreadable> {
    let limits = Limits { budget: Budget::new(), broken: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Node { limits: &limits, depth: 0 }.deserialize(&mut reader).and_then(|tree| reader.end().map(|()| tree));
    match (read, limits.broken.take()) {
        (_, Some(broken)) => Err(broken),
        (Ok(tree), None) => Ok(tree),
        (Err(_), None) => Err(Unreadable::Malformed(None)),
    }
}

struct Limits {
    budget: Budget,
    /// Set before the reader is stopped with an error of its own type, which cannot carry it.
    broken: Cell<Option<Unreadable>>,
}

impl Limits {
    fn stop<E: Error>(&self, broken: Unreadable) -> E {
        self.broken.set(Some(broken));
        E::custom("a limit is broken")
    }
}

/// One value, so many arrays deep.
#[derive(Clone, Copy)]
struct Node<'l> {
    limits: &'l Limits,
    depth: usize,
}

impl Node<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.limits.stop(Unreadable::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Tree, D::Error> {
        self.limits.budget.spend().map_err(|broken| self.limits.stop(broken))?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        // PHP has no greater whole number either; it makes a float of one.
        Ok(i64::try_from(number).map_or(Tree::Float(number as f64), Tree::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            members.push((members.len().to_string(), element));
        }
        Ok(Tree::Array(members))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            members.push((key, map.next_value_seed(inner)?));
        }
        Ok(Tree::Array(members))
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_VALUES;
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_other_format() {
        let deep = |n: usize| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
        assert!(read(deep(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(read(deep(MAX_DEPTH).as_bytes()), Err(Unreadable::TooDeep));
        assert_eq!(read(deep(200_000).as_bytes()), Err(Unreadable::TooDeep));
        let many = format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_VALUES));
        assert_eq!(read(many.as_bytes()), Err(Unreadable::TooMany));
    }

    #[test]
    fn what_is_cut_or_goes_on_is_malformed() {
        for text in ["{", "{\"a\":1", "{\"a\":1}x", "{\"a\":1}{}", "{a:1}", "{\"a\":01}", "{\"a\":\"\u{1}\"}"] {
            assert_eq!(read(text.as_bytes()), Err(Unreadable::Malformed(None)), "{text}");
        }
    }
}
