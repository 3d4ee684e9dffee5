//! JSON as text, which most who hold it only hand on.

use crate::mask::{Masker, SecretPath};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A JSON document as it was written; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(Arc<str>);

impl JsonText {
    /// The text of `value`.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Self {
        Self(json_text(value).into())
    }

    /// The text, if it is JSON.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str::<&RawValue>(text).map(|text| Self(text.get().into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same with its secrets masked.
    pub fn masked(&self, masker: &Masker<'_>, paths: &[SecretPath]) -> Self {
        Self(masker.document(&self.0, paths).into())
    }

    /// What it says.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// The text of `value`. Nothing that the host stores has members without names, so this does not fail.
pub fn json_text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_json_and_stays_as_it_was_written() {
        let text = JsonText::read(r#" {"b": 1.0, "a": []} "#).unwrap();
        assert_eq!((text.as_str(), text.value()), (r#"{"b": 1.0, "a": []}"#, json!({ "a": [], "b": 1.0 })));
        assert_eq!(JsonText::of(&json!({ "b": 1, "a": null })).as_str(), r#"{"a":null,"b":1}"#);
        for text in ["", "{", "{} {}", "nul"] {
            assert!(JsonText::read(text).is_err(), "{text}");
        }
    }
}
