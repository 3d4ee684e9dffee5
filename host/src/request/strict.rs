//! Reading JSON so that there is one way to understand it: no member twice, no NUL, no list where an object belongs.

use crate::problem::Problem;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

const REMEDY: &str = "compare the body with docs/http-api.md";

/// Reads a request's body.
///
/// # Errors
///
/// `invalid_request` with the JSON pointer of the first member that does not fit, the empty one for text that is no JSON. No
/// value is quoted.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    look_through(bytes)?;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let text = plain(&error.inner().to_string());
        Problem::at(pointer(error.path()), text).remedy(REMEDY)
    })
}

/// For members that are objects: serde also reads a list as one, by the order of its fields.
///
/// # Errors
///
/// For any other type than an object or `null`.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_option(Object(PhantomData))
}

/// For members that are lists of objects.
///
/// # Errors
///
/// For any other type.
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Objects(PhantomData))
}

struct Objects<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Objects<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(Only(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// An object, and not `null`.
struct Only<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Only<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_map(Object(PhantomData))? {
            Some(item) => Ok(Self(item)),
            None => Err(serde::de::Error::custom("an object was expected")),
        }
    }
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

/// Walks the whole text once, keeping nothing of it.
fn look_through(bytes: &[u8]) -> Result<(), Problem> {
    let mut walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let is_object = match (Step { walk: &mut walk }).deserialize(&mut reader) {
        Ok(is_object) => is_object,
        Err(error) => {
            return Err(match walk.found {
                Some(text) => Problem::at(walk.path.concat(), text),
                None => no_json(&error),
            }
            .remedy(REMEDY));
        }
    };
    reader.end().map_err(|_| Problem::at("", "something follows the JSON body"))?;
    if is_object { Ok(()) } else { Err(Problem::at("", "the body is not an object").remedy(REMEDY)) }
}

fn no_json(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if text.starts_with("recursion limit exceeded") {
        return Problem::at("", "the body is nested too deeply");
    }
    let what = if error.classify() == Category::Eof { "the body ends too early" } else { "the body is not JSON" };
    Problem::at("", format!("{what}: line {} column {}", error.line(), error.column()))
}

#[derive(Default)]
struct Walk {
    /// Where the walk is, as parts of a JSON pointer; stays where it was when something was found.
    path: Vec<String>,
    found: Option<&'static str>,
}

/// One value; the result is whether it is an object.
struct Step<'a> {
    walk: &'a mut Walk,
}

impl Step<'_> {
    fn below<E>(&mut self, part: String, into: impl FnOnce(Step<'_>) -> Result<bool, E>) -> Result<(), E> {
        self.walk.path.push(part);
        into(Step { walk: self.walk })?;
        self.walk.path.pop();
        Ok(())
    }

    fn refuse<E: serde::de::Error>(&mut self, text: &'static str) -> E {
        self.walk.found = Some(text);
        E::custom(text)
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<bool, E> {
        // No panel has use for it, and some databases cannot keep it.
        if text.contains('\0') { Err(self.refuse("has a NUL character")) } else { Ok(false) }
    }
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<bool, E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut index = 0_usize;
        loop {
            let mut is_over = false;
            self.below(format!("/{index}"), |step| {
                let next = list.next_element_seed(step)?;
                is_over = next.is_none();
                Ok::<_, A::Error>(false)
            })?;
            if is_over {
                return Ok(false);
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let part = format!("/{}", escaped(&name));
            let is_twice = names.contains(&name);
            self.below(part, |mut step| {
                if is_twice {
                    return Err(step.refuse("given more than once"));
                }
                step.text::<A::Error>(&name)?;
                map.next_value_seed(step)
            })?;
            names.insert(name);
        }
        Ok(true)
    }
}

/// The JSON pointer of a path; the top is the empty pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|part| match part {
            serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
            serde_path_to_error::Segment::Map { key } => format!("/{}", escaped(key)),
            // Not a place in the text, but a way of reading it.
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => String::new(),
        })
        .collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Serde's own text without the value that it may quote.
fn plain(text: &str) -> String {
    let text = text.split_once(" at line ").map_or(text, |(text, _)| text);
    if text.starts_with("invalid type: ") || text.starts_with("invalid value: ") {
        return match text.split_once(", expected ") {
            Some((_, expected)) => format!("another type was expected: {expected}"),
            None => "another type was expected".to_owned(),
        };
    }
    // A word of a closed list is quoted by serde, and may have been meant as something else.
    match text.strip_prefix("unknown variant ").and_then(|text| text.split_once("`, ")) {
        Some((_, expected)) => format!("not a known word: {expected}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    struct Outer {
        #[serde(default, deserialize_with = "object")]
        inner: Option<Inner>,
        #[serde(default)]
        any: Value,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    struct Inner {
        a: String,
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_with_its_place() {
        let deep = format!(r#"{{"any":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for (text, path, word) in [
            ("", "", "too early"),
            ("{", "", "too early"),
            (r#"{"any":1"#, "", "too early"),
            ("nothing", "", "not JSON"),
            ("{}{}", "", "follows"),
            ("{} x", "", "follows"),
            ("[]", "", "not an object"),
            ("7", "", "not an object"),
            ("null", "", "not an object"),
            (deep.as_str(), "", "deep"),
            (r#"{"any":1,"any":2}"#, "/any", "more than once"),
            (r#"{"any":{"x":[{},{"y/z":1,"y/z":1}]}}"#, "/any/x/1/y~1z", "more than once"),
            (r#"{"any":1,"\u0061ny":2}"#, "/any", "more than once"),
            (r#"{"any":["a","b\u0000"]}"#, "/any/1", "NUL"),
            (r#"{"any":{"a\u0000":1}}"#, "/any/a\0", "NUL"),
            (r#"{"inner":["x"]}"#, "/inner", "an object"),
            (r#"{"inner":"x"}"#, "/inner", "an object"),
            (r#"{"inner":{"a":1}}"#, "/inner/a", "a string"),
            (r#"{"inner":{}}"#, "/inner", "missing field"),
            (r#"{"other":1}"#, "/other", "unknown field"),
            (r#"{"any":1e999}"#, "", "not JSON"),
            (r#"{"any":"\ud800"}"#, "", "not JSON"),
            (r#"{"any":NaN}"#, "", "not JSON"),
            ("{\"any\":\"\n\"}", "", "not JSON"),
        ] {
            let problem = read::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.path.as_deref(), Some(path), "{text:.60}: {problem}");
            assert!(problem.detail.contains(word), "{text:.60}: {problem}");
        }
        assert_eq!(read::<Outer>(b"{\"any\":\"\xff\"}").unwrap_err().path.as_deref(), Some(""));
    }

    #[test]
    fn what_is_plain_is_read() {
        for text in [r#"{}"#, r#"{"inner":null}"#, r#" {"inner":{"a":"b"},"any":[1,{"x":-1.5},true,null]} "#] {
            assert!(read::<Outer>(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn no_value_is_quoted() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Word {
            Known,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "what is read is not looked at")]
        struct Whole {
            word: Option<Word>,
            number: Option<u32>,
        }
        for text in [r#"{"word":"hunter2"}"#, r#"{"number":"hunter2"}"#, r#"{"word":{"hunter2":1}}"#] {
            let problem = read::<Whole>(text.as_bytes()).unwrap_err();
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
    }
}
