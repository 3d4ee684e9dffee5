use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use zeroize::Zeroizing;

use super::forms::{self, Edge};

/// Shorter values are not looked for: they occur by chance.
const MIN_CHARS: usize = 8;

pub(super) fn is_searchable(value: &str) -> bool {
    value.chars().nth(MIN_CHARS - 1).is_some()
}

/// The secret values known in one attempt: of its server, service and operation, and those a plugin announced.
///
/// Each is looked for as it is, percent-encoded, in base64 at any place of a longer text (which covers basic
/// authentication), in hex, as SHA-1 in hex and base64, and with JSON or XML escapes. Values of fewer than 8 characters
/// are kept apart: only schema and key rules mask them.
///
/// The values are wiped from memory on drop. The search automaton, which holds them as transitions, is freed but not
/// wiped: its library offers no way to.
#[derive(Default)]
pub struct SecretSet {
    values: Vec<Zeroizing<String>>,
    short: Vec<Zeroizing<String>>,
    automaton: OnceLock<Automaton>,
}

impl SecretSet {
    /// A set without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; one that is known, or empty, changes nothing.
    pub fn insert(&mut self, value: &str) {
        let list = if is_searchable(value) { &mut self.values } else { &mut self.short };
        if value.is_empty() || list.iter().any(|known| known.as_str() == value) {
            return;
        }
        list.push(Zeroizing::new(value.to_owned()));
        self.automaton = OnceLock::new();
    }

    /// How many values are too short to be looked for, so that a check can warn of them.
    pub fn short(&self) -> usize {
        self.short.len()
    }

    /// Whether no value is known at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.short.is_empty()
    }

    /// Whether no value is looked for.
    pub(super) fn finds_nothing(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether a blank in a value may hide behind a `+`.
    pub(super) fn has_blank(&self) -> bool {
        self.values.iter().any(|value| value.contains(' '))
    }

    pub(super) fn value(&self, index: usize) -> &str {
        self.values.get(index).map_or("", |value| value.as_str())
    }

    /// Calls `found` for each find in `bytes`, overlapping ones included, with the bytes to cover and the value's index.
    pub(super) fn search(&self, bytes: &[u8], mut found: impl FnMut(Range<usize>, usize)) {
        if self.values.is_empty() {
            return;
        }
        let automaton = self.automaton.get_or_init(|| Automaton::new(&self.values));
        let Some(search) = &automaton.search else {
            // Too many secrets for an automaton: what cannot be searched is covered whole.
            found(0..bytes.len(), 0);
            return;
        };
        for hit in search.find_overlapping_iter(bytes) {
            let (value, edge) = automaton.forms[hit.pattern().as_usize()];
            found(covered(bytes, hit.range(), edge), value);
        }
    }
}

/// Tells how many values there are, and none of them.
impl std::fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretSet({} values, {} short)", self.values.len(), self.short.len())
    }
}

/// All forms of all values, searched in one pass.
struct Automaton {
    search: Option<AhoCorasick>,
    /// By pattern: the value's index, and the edge of the form.
    forms: Vec<(usize, Edge)>,
}

impl Automaton {
    fn new(values: &[Zeroizing<String>]) -> Self {
        let mut forms = Vec::new();
        let mut patterns = Vec::new();
        for (index, value) in values.iter().enumerate() {
            for form in forms::of(value) {
                forms.push((index, form.edge));
                patterns.push(form.bytes);
            }
        }
        // A DFA would be chosen for few patterns, and take megabytes for one private key.
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .build(patterns.iter().map(|pattern| pattern.as_slice()))
            .ok();
        Self { search, forms }
    }
}

fn covered(bytes: &[u8], hit: Range<usize>, edge: Edge) -> Range<usize> {
    let Edge::Base64 { before, behind } = edge else {
        return hit;
    };
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let mut covered = hit;
    if before && covered.start > 0 && is_base64(&bytes[covered.start - 1]) {
        covered.start -= 1;
    }
    if behind && bytes.get(covered.end).is_some_and(is_base64) {
        covered.end += 1;
    }
    let padding = bytes[covered.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
    covered.end += padding;
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(set: &SecretSet, text: &str) -> Vec<(String, usize)> {
        let mut finds = Vec::new();
        set.search(text.as_bytes(), |at, value| finds.push((text[at].to_owned(), value)));
        finds
    }

    #[test]
    fn a_short_value_is_counted_and_not_looked_for() {
        let mut set = SecretSet::new();
        set.insert("1234567");
        set.insert("1234567");
        set.insert("");
        set.insert("ööööööö");

        assert_eq!((set.short(), set.is_empty()), (2, false));
        assert!(finds(&set, "1234567 ööööööö").is_empty());
    }

    #[test]
    fn a_value_added_later_is_found_too() {
        let mut set = SecretSet::new();
        set.insert("first-value");
        assert_eq!(finds(&set, "first-value later-value").len(), 1);

        set.insert("later-value");

        assert_eq!(finds(&set, "first-value later-value").len(), 2);
    }

    #[test]
    fn overlapping_and_nested_values_are_all_found() {
        let mut set = SecretSet::new();
        for value in ["abcdefgh", "efghijkl", "abcdefghij"] {
            set.insert(value);
        }

        let mut found = finds(&set, "abcdefghijkl");
        found.sort();

        assert_eq!(found, [("abcdefgh".into(), 0), ("abcdefghij".into(), 2), ("efghijkl".into(), 1)]);
    }

    #[test]
    fn base64_is_covered_with_its_partial_neighbours_and_padding() {
        let mut set = SecretSet::new();
        set.insert("s3cret-value");

        // "user:s3cret-value" and "x:s3cret-value!"
        assert_eq!(finds(&set, "dXNlcjpzM2NyZXQtdmFsdWU=")[0].0, "pzM2NyZXQtdmFsdWU=");
        assert_eq!(finds(&set, "eDpzM2NyZXQtdmFsdWUh")[0].0, "pzM2NyZXQtdmFsdWU");
    }

    #[test]
    fn debug_output_shows_no_value() {
        let mut set = SecretSet::new();
        set.insert("s3cret-value");

        assert_eq!(format!("{set:?}"), "SecretSet(1 values, 0 short)");
    }
}
