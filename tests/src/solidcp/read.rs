//! Reads parameters as the server does, and notes what it drops or fills in without a word.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::schema::{Field, Kind, NAMESPACE, SCHEMA, Version};
use super::value::{Data, Members};
use super::xml::Element;

/// What a reading leaves behind besides the values.
#[derive(Debug)]
pub(super) struct Reading {
    version: Version,
    /// Bugs of the client.
    pub(super) bugs: Vec<String>,
}

impl Reading {
    pub(super) fn new(version: Version) -> Self {
        Self { version, bugs: Vec::new() }
    }

    /// The members of an element; the error is what the serializer says of it.
    pub(super) fn members(&mut self, element: &Element, fields: &'static [Field], at: &str) -> Result<Members, String> {
        let mut members = Members::default();
        let mut seen = BTreeSet::new();
        let mut position = 0;
        if !element.text.trim().is_empty() {
            self.bug(at, "has text beside its members");
        }
        for child in &element.children {
            let path = format!("{at}/{}", child.name);
            let found = fields.iter().position(|field| field.name == child.name && child.space == NAMESPACE);
            let Some(index) = found else {
                self.bug(&path, "is unknown, and dropped in silence");
                continue;
            };
            if !seen.insert(index) {
                self.bug(&path, "was given twice");
            }
            if index < position {
                self.bug(&path, "is out of order");
            }
            position = index;
            let field = &fields[index];
            let data = self.data(child, &field.kind, field.is_optional, &path)?;
            // What only later versions know is dropped by this one, which one shape for all relies on.
            if field.span.has(self.version) {
                members.set(&field.name, data);
            }
        }
        for (index, field) in fields.iter().enumerate() {
            if !field.is_optional && field.span.has(self.version) && !seen.contains(&index) {
                self.bug(&format!("{at}/{}", field.name), "is missing, and read as nothing");
            }
        }
        Ok(members)
    }

    fn data(&mut self, element: &Element, kind: &'static Kind, is_optional: bool, at: &str) -> Result<Data, String> {
        if element.is_nil() {
            if !is_optional {
                self.bug(at, "is nil and must not be");
            }
            return Ok(Data::Null);
        }
        match kind {
            Kind::Object(name) => Ok(Data::Object(self.members(element, SCHEMA.members(name), at)?)),
            Kind::List(item, kind) => self.items(element, item, kind, at),
            Kind::Set | Kind::Any => Ok(Data::Null),
            simple => {
                if !element.children.is_empty() {
                    self.bug(at, "is simple and has members");
                }
                self.simple(&element.text, simple, at)
            }
        }
    }

    fn items(&mut self, element: &Element, item: &'static str, kind: &'static Kind, at: &str) -> Result<Data, String> {
        let mut items = Vec::new();
        for child in &element.children {
            if child.name != item || child.space != NAMESPACE {
                self.bug(&format!("{at}/{}", child.name), &format!("is no {item}, and dropped in silence"));
                continue;
            }
            items.push(self.data(child, kind, false, &format!("{at}/{item}"))?);
        }
        Ok(Data::List(items))
    }

    fn simple(&mut self, text: &str, kind: &Kind, at: &str) -> Result<Data, String> {
        let trimmed = text.trim();
        let is_good = match kind {
            Kind::Whole("int") => trimmed.parse::<i32>().is_ok(),
            Kind::Whole(_) => trimmed.parse::<i64>().is_ok(),
            Kind::Fraction => trimmed.parse::<f64>().is_ok(),
            Kind::Flag => matches!(trimmed, "true" | "false" | "1" | "0"),
            Kind::Instant => trimmed.parse::<Timestamp>().is_ok() || trimmed.parse::<DateTime>().is_ok(),
            Kind::Enum(name) => SCHEMA.values(name).any(|value| value == trimmed),
            _ => return Ok(Data::from(text)),
        };
        if is_good {
            return Ok(Data::from(trimmed));
        }
        self.bug(at, &format!("is {text:?}"));
        Err("There is an error in XML document. ---> Input string was not in a correct format.".into())
    }

    fn bug(&mut self, at: &str, text: &str) {
        self.bugs.push(format!("{} {text}", at.trim_start_matches('/')));
    }
}
