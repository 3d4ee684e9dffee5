//! Reads typed values out of the merged settings and collects everything that is wrong on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::finding::{Finding, Problem, nearest};
use super::layers::Layers;
use super::secret::{self, SecretText};
use super::units;
use crate::lane::RateLimit;

/// Goes through one configuration.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    env: &'a BTreeMap<String, String>,
    findings: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers, env: &'a BTreeMap<String, String>) -> Self {
        Self {
            layers,
            env,
            findings: RefCell::default(),
            warnings: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Everything at the top.
    pub(super) fn root(&self) -> Section<'_> {
        Section {
            reader: self,
            path: String::new(),
            table: self.layers.tree.clone(),
            known: Vec::new(),
            is_replaced: false,
        }
    }

    pub(super) fn refuse(&self, key: &str, problem: Problem) {
        self.findings.borrow_mut().push(self.finding(self.layers.place(key), problem));
    }

    /// Refuses two settings that cannot both be meant.
    pub(super) fn refuse_both(&self, key: &str, other: &str, problem: Problem) {
        let place = format!("{} and {}", self.layers.place(key), self.layers.place(other));
        self.findings.borrow_mut().push(self.finding(place, problem));
    }

    pub(super) fn warn(&self, key: &str, problem: Problem) {
        self.warnings.borrow_mut().push(self.finding(self.layers.place(key), problem));
    }

    pub(super) fn is_clean(&self) -> bool {
        self.findings.borrow().is_empty()
    }

    pub(super) fn is_from_environment(&self, key: &str) -> bool {
        self.layers.is_from_environment(key)
    }

    pub(super) fn variable(&self, name: &str) -> Option<&'a str> {
        self.env.get(name).map(String::as_str)
    }

    /// Findings, then warnings.
    pub(super) fn into_findings(self) -> (Vec<Finding>, Vec<Finding>) {
        (self.findings.into_inner(), self.warnings.into_inner())
    }

    fn finding(&self, place: String, problem: Problem) -> Finding {
        Finding { place, problem: problem.problem, remedy: problem.remedy }
    }
}

/// One table. Keys that nobody asked for are refused at the end.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    path: String,
    table: Map<String, Value>,
    known: Vec<&'static str>,
    /// Something else stands where the table should be. That is refused once; what it lacks is no news.
    is_replaced: bool,
}

/// One value as it was written.
pub(super) struct Raw {
    value: Value,
    /// From a variable, where everything is text.
    is_text: bool,
}

impl Raw {
    /// A value out of the file.
    pub(super) fn of(value: Value) -> Self {
        Self { value, is_text: false }
    }

    /// Whether it is exactly this text.
    pub(super) fn is(&self, text: &str) -> bool {
        self.value == text
    }
}

type Parse<T> = fn(Raw) -> Result<T, Problem>;

impl<'a> Section<'a> {
    pub(super) fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    /// The whole path of `key`.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether `key` is there and was not read yet.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Counts `key` among those that may stand here, without reading it.
    pub(super) fn knows(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// The names of the tables below `key`, good or bad.
    pub(super) fn names(&self, key: &str) -> BTreeSet<String> {
        self.table.get(key).and_then(Value::as_object).map(|table| table.keys().cloned().collect()).unwrap_or_default()
    }

    /// The value of `key`, or nothing when it is not set. A bad value is refused and counts as not set.
    pub(super) fn optional<T>(&mut self, key: &'static str, parse: Parse<T>) -> Option<T> {
        let path = self.key(key);
        let raw = Raw { value: self.take(key)?, is_text: self.reader.is_from_environment(&path) };
        parse(raw).map_err(|problem| self.reader.refuse(&path, problem)).ok()
    }

    /// The secret that `key` refers to, or nothing when it is not set.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<SecretText> {
        let path = self.key(key);
        secret::one(self.reader, &path, self.take(key)?)
    }

    /// The value of `key`, which must be set.
    pub(super) fn required<T>(&mut self, key: &'static str, parse: Parse<T>) -> Option<T> {
        if !self.table.contains_key(key) && !self.is_replaced {
            self.reader.refuse(&self.key(key), Problem::new(format!("`{key}` is missing"), "set it"));
        }
        self.optional(key, parse)
    }

    /// The value of `key`, for which the shipped file has a default.
    pub(super) fn value<T: Default>(&mut self, key: &'static str, parse: Parse<T>) -> T {
        // A stand-in after a refusal is never seen: the configuration is refused as a whole.
        self.required(key, parse).unwrap_or_default()
    }

    /// The value of `key`, or `default`.
    pub(super) fn value_or<T>(&mut self, key: &'static str, parse: Parse<T>, default: T) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// The table below `key`; empty when there is none.
    pub(super) fn table(&mut self, key: &'static str) -> Section<'a> {
        let path = self.key(key);
        let is_replaced = self.table.get(key).is_some_and(|value| !value.is_object());
        let table = self.take_table(key);
        Section { reader: self.reader, path, table, known: Vec::new(), is_replaced }
    }

    /// The tables below `key`, by the names that the operator gave them.
    pub(super) fn named_tables(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let path = self.key(key);
        let mut tables = Vec::new();
        for (name, value) in self.take_table(key) {
            let path = format!("{path}.{name}");
            if !units::is_name(&name) {
                self.reader.refuse(
                    &path,
                    Problem::new(
                        "is no name",
                        "name it with lower-case letters, digits, \"-\" and \"_\", 64 at most, a letter or digit first",
                    ),
                );
            }
            match value {
                Value::Object(table) => {
                    tables.push((
                        name,
                        Section { reader: self.reader, path, table, known: Vec::new(), is_replaced: false },
                    ));
                }
                _ => self.reader.refuse(&path, not_a_table(&path)),
            }
        }
        tables
    }

    /// The plain table below `key`, unread.
    pub(super) fn take_table(&mut self, key: &'static str) -> Map<String, Value> {
        match self.take(key) {
            Some(Value::Object(table)) => table,
            None => Map::new(),
            Some(_) => {
                let path = self.key(key);
                self.reader.refuse(&path, not_a_table(&path));
                Map::new()
            }
        }
    }

    /// Refuses what was not asked for.
    pub(super) fn finish(self) {
        for name in self.table.keys() {
            let guess = nearest(name, self.known.iter().copied());
            let problem = format!("the key `{name}` is not known");
            let remedy = match guess {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            self.reader.refuse(&self.key(name), Problem::new(problem, remedy));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        #[cfg(test)]
        self.reader.asked.borrow_mut().insert(self.key(key));
        self.table.remove(key)
    }
}

fn not_a_table(path: &str) -> Problem {
    Problem::new("is not a table", format!("write it as [{path}] with its keys below"))
}

pub(super) fn text(raw: Raw) -> Result<String, Problem> {
    match raw.value {
        Value::String(text) if !text.trim().is_empty() => Ok(text),
        Value::String(_) => Err(Problem::new("is empty", "give it a value, or leave it out")),
        _ => Err(Problem::new("is not a text", "write it in quotes")),
    }
}

pub(super) fn flag(raw: Raw) -> Result<bool, Problem> {
    match (&raw.value, raw.is_text) {
        (Value::Bool(flag), _) => Ok(*flag),
        (Value::String(text), true) if text == "true" => Ok(true),
        (Value::String(text), true) if text == "false" => Ok(false),
        _ => Err(Problem::new("is neither true nor false", "write true or false, without quotes")),
    }
}

/// A whole number from one to a million.
pub(super) fn count(raw: Raw) -> Result<u32, Problem> {
    whole(raw)
        .filter(|number| (1..=1_000_000).contains(number))
        .ok_or_else(|| Problem::new("is not a whole number from 1 to 1000000", "write one, without quotes"))
}

/// A number from zero to one.
pub(super) fn share(raw: Raw) -> Result<f64, Problem> {
    let number = match (&raw.value, raw.is_text) {
        (Value::Number(number), _) => number.as_f64(),
        (Value::String(text), true) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| Problem::new("is not a number from 0 to 1", "write one such as 0.2, without quotes"))
}

pub(super) fn duration(raw: Raw) -> Result<Duration, Problem> {
    match &raw.value {
        Value::String(text) => units::duration(text),
        other => units::duration(&other.to_string()),
    }
}

pub(super) fn size(raw: Raw) -> Result<usize, Problem> {
    let bytes = match &raw.value {
        Value::String(text) => units::size(text)?,
        other => units::size(&other.to_string())?,
    };
    usize::try_from(bytes).map_err(|_| Problem::new("is larger than this machine's memory", "write less"))
}

pub(super) fn rate(raw: Raw) -> Result<RateLimit, Problem> {
    units::rate(&text(raw)?)
}

pub(super) fn socket_mode(raw: Raw) -> Result<u32, Problem> {
    units::socket_mode(&text(raw)?)
}

pub(super) fn sha256(raw: Raw) -> Result<[u8; 32], Problem> {
    units::sha256(&text(raw)?)
}

pub(super) fn path(raw: Raw) -> Result<PathBuf, Problem> {
    let path = PathBuf::from(text(raw)?);
    if !path.is_absolute() {
        return Err(Problem::new(format!("{path:?} is a relative path"), "write the whole path, from / on"));
    }
    Ok(path)
}

pub(super) fn texts(raw: Raw) -> Result<Vec<String>, Problem> {
    items(raw)?.into_iter().map(text).collect()
}

pub(super) fn durations(raw: Raw) -> Result<Vec<Duration>, Problem> {
    items(raw)?.into_iter().map(duration).collect()
}

pub(super) fn uids(raw: Raw) -> Result<Vec<u32>, Problem> {
    let numbers = items(raw)?.into_iter().map(whole).collect::<Option<Vec<_>>>();
    numbers.ok_or_else(|| Problem::new("is not a list of user numbers", "write numbers as `id -u` prints them: [33]"))
}

fn whole(raw: Raw) -> Option<u32> {
    match (&raw.value, raw.is_text) {
        (Value::Number(number), _) => number.as_u64().and_then(|number| number.try_into().ok()),
        (Value::String(text), true) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The members of a list that is not empty.
fn items(raw: Raw) -> Result<Vec<Raw>, Problem> {
    let is_text = raw.is_text;
    let values = match raw.value {
        Value::Array(values) => values,
        Value::String(text) if is_text => text.split(',').map(|item| Value::from(item.trim())).collect(),
        _ => return Err(Problem::new("is not a list", "write it in brackets: [\"a\", \"b\"]")),
    };
    if values.is_empty() {
        return Err(Problem::new("is an empty list", "name at least one"));
    }
    Ok(values.into_iter().map(|value| Raw { value, is_text }).collect())
}
