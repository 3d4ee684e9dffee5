//! Secrets in the configuration: named by file or variable, resolved once, never printed.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::finding::Problem;
use super::reader::Reader;
use crate::seal::private_file;

/// Shorter secrets are not found by value in a module log: too many innocent words would be masked with them.
const SHORT: usize = 8;

const MAX_SECRET_BYTES: usize = 64 * 1024;

/// A secret in memory. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself. Each use is a place that could leak it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

/// A secret and where it stands in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSetting {
    /// JSON pointer, `/token`.
    pub pointer: String,
    /// What stands there.
    pub secret: SecretText,
}

/// What a provider wants to know about a server or a product: free-form, checked by the provider's schema.
#[derive(Clone, PartialEq)]
pub struct Settings {
    value: Value,
    secrets: Vec<SecretSetting>,
}

impl Settings {
    /// The settings as a JSON object, secrets in place. Not to be printed or stored.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The secrets among them.
    pub fn secrets(&self) -> &[SecretSetting] {
        &self.secrets
    }

    /// Those of `declared`, the JSON pointers that a provider's schema marks as secret, that stand in the configuration
    /// in clear. Names that speak for themselves are refused when the configuration is read; these need the schema.
    pub fn literal_secrets<'a>(&self, declared: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let is_literal = |pointer: &&str| {
            self.value.pointer(pointer).is_some_and(|found| !found.is_null())
                && !self.secrets.iter().any(|secret| secret.pointer == **pointer)
        };
        declared.into_iter().filter(is_literal).collect()
    }

    /// Resolves the references in `table`, the settings at `key`.
    pub(super) fn resolve(reader: &Reader<'_>, key: &str, table: Map<String, Value>) -> Self {
        let mut secrets = Vec::new();
        let value = resolve(reader, key, "", Value::Object(table), &mut secrets);
        Self { value, secrets }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { value: Value::Object(Map::new()), secrets: Vec::new() }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.value.clone();
        for secret in &self.secrets {
            if let Some(place) = shown.pointer_mut(&secret.pointer) {
                *place = Value::from("‹secret›");
            }
        }
        write!(f, "Settings({shown})")
    }
}

/// The one secret at `key`, whose name says that it is one.
pub(super) fn one(reader: &Reader<'_>, key: &str, value: Value) -> Option<SecretText> {
    let mut secrets = Vec::new();
    let value = resolve(reader, key, "", value, &mut secrets);
    if secrets.is_empty() && !value.is_null() {
        reader.refuse(key, Problem::new("is no secret", "write { file = \"/path\" } or { env = \"NAME\" }"));
    }
    secrets.pop().map(|setting| setting.secret)
}

fn resolve(reader: &Reader<'_>, key: &str, pointer: &str, value: Value, secrets: &mut Vec<SecretSetting>) -> Value {
    match value {
        Value::Object(table) if is_reference(&table) => match read_reference(reader, &table) {
            Ok(secret) => keep(reader, key, pointer, secret, secrets),
            Err(problem) => {
                reader.refuse(key, problem);
                Value::Null
            }
        },
        Value::Object(table) => table
            .into_iter()
            .map(|(name, inner)| {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let inner = resolve(reader, &format!("{key}.{name}"), &format!("{pointer}/{escaped}"), inner, secrets);
                (name, inner)
            })
            .collect(),
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(n, inner)| resolve(reader, key, &format!("{pointer}/{n}"), inner, secrets))
            .collect(),
        Value::String(text) if reader.is_from_environment(key) => {
            if is_secret_name(key) {
                keep(reader, key, pointer, SecretText::new(text.trim()), secrets)
            } else {
                from_environment(text)
            }
        }
        Value::String(_) | Value::Number(_) if is_secret_name(key) => {
            reader.refuse(key, Problem::new(
                "is a secret written in clear",
                "put it into a file that only its owner can read and write { file = \"/path\" }, or { env = \"NAME\" }; then \
                 change it on the panel, since it may have been seen",
            ));
            Value::Null
        }
        other => other,
    }
}

fn keep(reader: &Reader<'_>, key: &str, pointer: &str, secret: SecretText, secrets: &mut Vec<SecretSetting>) -> Value {
    if secret.expose().is_empty() {
        reader.refuse(key, Problem::new("is an empty secret", "put the secret where this key points to"));
        return Value::Null;
    }
    if secret.expose().chars().count() < SHORT {
        reader.warn(
            key,
            Problem::new(
                format!(
                    "is a secret of fewer than {SHORT} characters, too short to be masked wherever it appears in a log"
                ),
                "use a longer one",
            ),
        );
    }
    let value = Value::from(secret.expose());
    secrets.push(SecretSetting { pointer: pointer.to_owned(), secret });
    value
}

/// `{ file = … }` or `{ env = … }`; both together too, so that the contradiction is told.
fn is_reference(table: &Map<String, Value>) -> bool {
    !table.is_empty() && table.keys().all(|name| name == "file" || name == "env")
}

fn read_reference(reader: &Reader<'_>, table: &Map<String, Value>) -> Result<SecretText, Problem> {
    match (table.get("file"), table.get("env")) {
        (Some(Value::String(path)), None) => read_secret_file(Path::new(path)),
        (None, Some(Value::String(name))) => match reader.variable(name) {
            Some(secret) => Ok(SecretText::new(secret.trim())),
            None => Err(Problem::new(
                format!("names the environment variable {name:?}, which is not set"),
                "set it for the daemon, or use { file = \"/path\" }",
            )),
        },
        (Some(_), Some(_)) => Err(Problem::new("names both a `file` and an `env`", "leave one of the two")),
        _ => Err(Problem::new("names no file and no variable", "write { file = \"/path\" } or { env = \"NAME\" }")),
    }
}

fn read_secret_file(path: &Path) -> Result<SecretText, Problem> {
    if !path.is_absolute() {
        return Err(Problem::new(
            format!("names the file {path:?} by a relative path"),
            "write the whole path, from / on",
        ));
    }
    let bytes = private_file::read(path, MAX_SECRET_BYTES).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Problem::new(
            format!("names a secret file that is not used: {error}{source}"),
            "make it a file of this user or root with mode 0600 that holds the secret alone",
        )
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Problem::new(format!("names the file {path:?}, which is not text"), "let it hold the secret alone")
    })?;
    Ok(SecretText::new(text.trim()))
}

/// Whether a key says by its name that it holds a secret.
fn is_secret_name(key: &str) -> bool {
    const ENDINGS: [&str; 8] =
        ["password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "accesskey"];
    let name = key.rsplit('.').next().unwrap_or(key);
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect();
    plain == "pass" || ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

/// Variables are text; a plain number or truth value is meant as one.
fn from_environment(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            // `007` and `+7` are names, not numbers.
            Ok(number) if number.to_string() == text => Value::from(number),
            _ => Value::String(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_told_by_its_name() {
        for key in
            ["token", "servers.a.settings.api_token", "apiKey", "api-key", "PASS", "root_password", "client_secret"]
        {
            assert!(is_secret_name(key), "{key}");
        }
        for key in ["bypass", "token_url", "passive", "relation_prefix", "settings.token.name", "key"] {
            assert!(!is_secret_name(key), "{key}");
        }
    }

    #[test]
    fn a_variable_means_a_number_only_when_it_is_written_like_one() {
        for (text, expected) in [
            ("7", Value::from(7)),
            ("-7", Value::from(-7)),
            ("true", Value::from(true)),
            ("007", Value::from("007")),
            ("1e5", Value::from("1e5")),
            ("True", Value::from("True")),
            ("", Value::from("")),
        ] {
            assert_eq!(from_environment(text.to_owned()), expected, "{text}");
        }
    }

    #[test]
    fn settings_print_without_their_secrets() {
        let settings = Settings {
            value: serde_json::json!({ "token": "hunter2-hunter2", "a": { "b/c": "hunter2-hunter2" }, "n": 1 }),
            secrets: ["/token", "/a/b~1c"]
                .map(|pointer| SecretSetting { pointer: pointer.into(), secret: SecretText::new("hunter2-hunter2") })
                .into(),
        };
        let shown = format!("{settings:?} {:?}", settings.secrets());
        assert!(!shown.contains("hunter2") && shown.contains("\"n\":1"), "{shown}");
    }

    #[test]
    fn what_a_schema_calls_secret_must_not_stand_in_clear() {
        let settings = Settings {
            value: serde_json::json!({ "hash": "clear", "login": "x", "token": "hidden", "none": null }),
            secrets: vec![SecretSetting { pointer: "/token".into(), secret: SecretText::new("hidden") }],
        };
        assert_eq!(settings.literal_secrets(["/hash", "/token", "/none", "/absent"]), ["/hash"]);
    }
}
