//! The three layers of a configuration (shipped defaults, file, environment) laid over each other, and where each key
//! came from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::{Environment, File, FileFormat};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::finding::Finding;

/// What the program is shipped with.
pub(super) const SHIPPED: &str = include_str!("../../../configs/billhook.toml");

const PREFIX: &str = "BILLHOOK";
const SEPARATOR: &str = "__";

/// The merged settings and the way back to where each was written. May hold secrets, so it does not print.
pub(super) struct Layers {
    pub(super) tree: Map<String, Value>,
    /// The file's name, and the line of each key's path in it.
    file: Option<(String, BTreeMap<String, usize>)>,
    /// The variable's name by the path of the key it sets.
    variables: BTreeMap<String, String>,
}

impl Layers {
    /// Reads `path`, if there is one, and lays it and the variables of `env` over the shipped defaults.
    pub(super) fn read(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, Finding> {
        let mut builder = config::Config::builder().add_source(File::from_str(SHIPPED, FileFormat::Toml));
        let mut file = None;
        if let Some(path) = path {
            let name = path.display().to_string();
            let text = read_file(path, &name)?;
            file = Some((name.clone(), lines(&text).map_err(|error| unreadable(&name, &text, &error))?));
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let variables = variables(env)?;
        let named = variables.values().filter_map(|name| Some((name.clone(), env.get(name)?.clone()))).collect();
        builder = builder.add_source(Environment::with_prefix(PREFIX).separator(SEPARATOR).source(Some(named)));
        let tree = builder.build().and_then(config::Config::try_deserialize).map_err(|error| Finding {
            place: file.as_ref().map_or_else(|| "configuration".to_owned(), |(name, _)| name.clone()),
            problem: error.to_string(),
            remedy: "compare it with the shipped billhook.toml".to_owned(),
        })?;
        Ok(Self { tree, file, variables })
    }

    /// Whether the value of exactly this key came from the environment, where everything is text.
    pub(super) fn is_from_environment(&self, key: &str) -> bool {
        self.variables.contains_key(key)
    }

    /// Where a key was written, for people; of a missing one, the table it should be in.
    pub(super) fn place(&self, key: &str) -> String {
        if let Some(variable) = self.variables.get(key) {
            return format!("environment variable {variable}");
        }
        let Some((name, lines)) = &self.file else {
            return key.to_owned();
        };
        let mut above = key;
        loop {
            if let Some(line) = lines.get(above) {
                return format!("{name}:{line} {key}");
            }
            match above.rsplit_once('.') {
                Some((parent, _)) => above = parent,
                None => return format!("{name} {key}"),
            }
        }
    }
}

fn read_file(path: &Path, name: &str) -> Result<String, Finding> {
    let finding = |problem: String, remedy: String| Finding { place: name.to_owned(), problem, remedy };
    let about = fs::metadata(path)
        .map_err(|error| finding(format!("cannot be read: {error}"), "create it, or name another file".to_owned()))?;
    // It decides which libraries run in this process and where credentials are sent.
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(finding(
            format!("has mode {mode:04o}, so that others can change it"),
            format!("chmod go-w {name}"),
        ));
    }
    fs::read_to_string(path).map_err(|error| {
        finding(format!("cannot be read: {error}"), "make it a text file that this user can read".to_owned())
    })
}

/// The line of every key, by its path.
fn lines(text: &str) -> Result<BTreeMap<String, usize>, toml::de::Error> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, toml::Spanned<DeTable<'_>>)> = vec![(String::new(), DeTable::parse(text)?)];
    while let Some((prefix, table)) = open.pop() {
        for (key, value) in table.into_inner() {
            let path = format!("{prefix}{}", key.get_ref());
            found.insert(path.clone(), line_at(text, key.span().start));
            let span = value.span();
            if let DeValue::Table(inner) = value.into_inner() {
                open.push((format!("{path}."), toml::Spanned::new(span, inner)));
            }
        }
    }
    Ok(found)
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

fn unreadable(name: &str, text: &str, error: &toml::de::Error) -> Finding {
    let line = error.span().map(|span| format!(":{}", line_at(text, span.start))).unwrap_or_default();
    Finding {
        place: format!("{name}{line}"),
        // Only the message: the error's own display quotes the line, which may hold a secret.
        problem: format!("is not valid TOML: {}", error.message().trim().replace('\n', ", ")),
        remedy: "mend that line; a text stands in quotes, and each table and key only once".to_owned(),
    }
}

/// The variables that set a key, by the path of the key.
fn variables(env: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Finding> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for name in env.keys() {
        let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(SEPARATOR)) else { continue };
        let parts: Vec<String> = rest.split(SEPARATOR).map(str::to_lowercase).collect();
        let is_plain = |part: &String| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let refused = |problem: &str| Finding {
            place: format!("environment variable {name}"),
            problem: problem.to_owned(),
            remedy: "write it as BILLHOOK__SECTION__KEY, such as BILLHOOK__RETRY__ATTEMPTS, and each once".to_owned(),
        };
        if !parts.iter().all(is_plain) {
            return Err(refused("names no key"));
        }
        if let Some(other) = found.insert(parts.join("."), name.clone()) {
            return Err(refused(&format!("sets the same key as {other}")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_environment_stands_above_the_file_and_the_file_above_the_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("billhook.toml");
        fs::write(&path, "[retry]\nattempts = 3\nage = \"1h\"\n").expect("written");

        let layers = Layers::read(Some(&path), &env(&[("BILLHOOK__RETRY__AGE", "2h"), ("OTHER", "x")])).expect("read");

        assert_eq!(layers.tree["retry"]["attempts"], 3);
        assert_eq!(layers.tree["retry"]["age"], "2h");
        assert_eq!(layers.tree["retry"]["delays"][0], "10s");
        assert_eq!(layers.place("retry.attempts"), format!("{}:2 retry.attempts", path.display()));
        assert_eq!(layers.place("retry.nothing"), format!("{}:1 retry.nothing", path.display()));
        assert_eq!(layers.place("retry.age"), "environment variable BILLHOOK__RETRY__AGE");
        assert_eq!(layers.place("log.level"), format!("{} log.level", path.display()));
        assert!(layers.is_from_environment("retry.age") && !layers.is_from_environment("retry.attempts"));
    }

    #[test]
    fn names_with_hyphens_and_inline_tables_keep_their_lines() {
        let found =
            lines("[servers.panel-1]\nprovider = \"x\"\n[servers.panel-1.settings]\ntoken = { file = \"/t\" }\n")
                .expect("read");
        for (key, line) in [
            ("servers", 1),
            ("servers.panel-1", 1),
            ("servers.panel-1.provider", 2),
            ("servers.panel-1.settings.token.file", 4),
        ] {
            assert_eq!(found.get(key), Some(&line), "{key}");
        }
    }

    #[test]
    fn a_variable_that_names_no_key_is_refused() {
        for pairs in [
            &[("BILLHOOK__", "x")][..],
            &[("BILLHOOK__RETRY__", "x")],
            &[("BILLHOOK__RETRY____AGE", "x")],
            &[("BILLHOOK__A.B", "x")],
            &[("BILLHOOK__RETRY__AGE", "1h"), ("BILLHOOK__retry__age", "2h")],
        ] {
            assert!(Layers::read(None, &env(pairs)).is_err(), "{pairs:?}");
        }
        assert!(Layers::read(None, &env(&[("BILLHOOK_CONFIG", "/etc/x"), ("BILLHOOK", "x")])).is_ok());
    }
}
