//! What is wrong with a configuration: where, what, and what to do about it.

use std::fmt;

/// One thing that is wrong, or in a warning: doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// File with line, or environment variable, and the path of the key: `/etc/billhook/billhook.toml:12 retry.age`.
    pub place: String,
    /// What is wrong. Never holds a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.remedy)
    }
}

/// Why a configuration is refused: everything that was found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one, in the order of the sections.
    pub findings: Vec<Finding>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.as_slice() {
            [only] => write!(f, "the configuration is refused: {only}"),
            several => {
                write!(f, "the configuration is refused for {} reasons:", several.len())?;
                several.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
            }
        }
    }
}

/// What is wrong with one value; the reader adds the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Problem {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// The one of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let measured = known.into_iter().map(|other| (distance(word, other), other));
    measured.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// Levenshtein's distance, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let cost = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        let known = ["timeout", "connect_timeout", "concurrency", "ca_file"];
        for (word, expected) in [
            ("timeuot", Some("timeout")),
            ("time_out", Some("timeout")),
            ("conect_timeout", Some("connect_timeout")),
            ("cafile", Some("ca_file")),
            ("concurency", Some("concurrency")),
            ("verify_tls", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn one_finding_is_a_sentence_and_several_are_a_list() {
        let finding = |n: u8| Finding { place: format!("p{n}"), problem: "is bad".into(), remedy: "mend it".into() };
        let one = ConfigError { findings: vec![finding(1)] };
        assert_eq!(one.to_string(), "the configuration is refused: p1: is bad; mend it");
        let two = ConfigError { findings: vec![finding(1), finding(2)] };
        assert_eq!(
            two.to_string(),
            "the configuration is refused for 2 reasons:\n  p1: is bad; mend it\n  p2: is bad; mend it"
        );
    }
}
