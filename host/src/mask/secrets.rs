use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use zeroize::Zeroizing;

use super::forms::{self, Edge, Form};
use super::sieve::Sieve;

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
/// The values are wiped from memory on drop. What searches for them, which holds them as transitions and first bytes, is
/// freed but not wiped: its library offers no way to.
#[derive(Default)]
pub struct SecretSet {
    /// What is known beside the own values, with its search made once for all who share it.
    base: Option<Arc<SecretSet>>,
    values: Vec<Zeroizing<String>>,
    short: Vec<Zeroizing<String>>,
    automaton: OnceLock<Automaton>,
}

impl SecretSet {
    /// A set without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set that begins with the values of another. Those of a server never change: their search is made once.
    pub fn beside(base: &Arc<Self>) -> Self {
        Self { base: Some(Arc::clone(base)), ..Self::default() }
    }

    /// Adds a value; one that is known, or empty, changes nothing.
    pub fn insert(&mut self, value: &str) {
        let list = if is_searchable(value) { &mut self.values } else { &mut self.short };
        let base = self.base.as_deref();
        if value.is_empty()
            || list.iter().any(|known| known.as_str() == value)
            || base.is_some_and(|base| base.has(value))
        {
            return;
        }
        list.push(Zeroizing::new(value.to_owned()));
        self.automaton = OnceLock::new();
    }

    /// How many values were added to those that it began with: a larger number says that something was learnt.
    pub fn learnt(&self) -> usize {
        self.values.len() + self.short.len()
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().chain(&self.short).any(|known| known.as_str() == value)
            || self.base.as_deref().is_some_and(|base| base.has(value))
    }

    /// How many values are too short to be looked for, so that a check can warn of them.
    pub fn short(&self) -> usize {
        self.short.len() + self.base.as_deref().map_or(0, Self::short)
    }

    /// Whether no value is known at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.short.is_empty() && self.base.as_deref().is_none_or(Self::is_empty)
    }

    /// Whether no value is looked for.
    pub(super) fn finds_nothing(&self) -> bool {
        self.values.is_empty() && self.base.as_deref().is_none_or(Self::finds_nothing)
    }

    /// Whether `bytes` show a value, in any form that they are written in.
    pub(super) fn shows(&self, bytes: &[u8]) -> bool {
        let mut shows = false;
        if bytes.len() >= MIN_CHARS {
            self.search(bytes, |_, _| shows = true);
        }
        shows
    }

    /// Whether a blank in a value may hide behind a `+`.
    pub(super) fn has_blank(&self) -> bool {
        self.values.iter().any(|value| value.contains(' ')) || self.base.as_deref().is_some_and(Self::has_blank)
    }

    pub(super) fn value(&self, index: usize) -> &str {
        match index.checked_sub(self.values.len()) {
            None => &self.values[index],
            Some(index) => self.base.as_deref().map_or("", |base| base.value(index)),
        }
    }

    /// Calls `found` for each find in `bytes`, overlapping ones included, with the bytes to cover and the value's index.
    pub(super) fn search(&self, bytes: &[u8], mut found: impl FnMut(Range<usize>, usize)) {
        self.search_from(0, bytes, &mut found);
    }

    fn search_from(&self, first: usize, bytes: &[u8], found: &mut dyn FnMut(Range<usize>, usize)) {
        if let Some(base) = self.base.as_deref() {
            base.search_from(first + self.values.len(), bytes, found);
        }
        if self.values.is_empty() {
            return;
        }
        let automaton = self.automaton.get_or_init(|| Automaton::new(&self.values));
        if automaton.rules_out(bytes) {
            return;
        }
        let Some(search) = automaton.search() else {
            // Too many secrets for an automaton: what cannot be searched is covered whole.
            found(0..bytes.len(), first);
            return;
        };
        for hit in search.find_overlapping_iter(bytes) {
            let (value, form) = &automaton.forms[hit.pattern().as_usize()];
            found(covered(bytes, hit.range(), form.edge), first + value);
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
    /// By pattern, with the value's index.
    forms: Vec<(usize, Form)>,
    /// What most texts do not get past.
    sieve: Option<Sieve>,
    /// Made for the first text that does.
    search: OnceLock<Option<AhoCorasick>>,
}

impl Automaton {
    fn new(values: &[Zeroizing<String>]) -> Self {
        let forms: Vec<(usize, Form)> = values
            .iter()
            .enumerate()
            .flat_map(|(index, value)| forms::of(value).into_iter().map(move |form| (index, form)))
            .collect();
        let sieve = Sieve::new(forms.iter().map(|(_, form)| form.bytes.as_slice()));
        Self { forms, sieve, search: OnceLock::new() }
    }

    /// Whether `bytes` certainly show no form.
    fn rules_out(&self, bytes: &[u8]) -> bool {
        self.sieve.as_ref().is_some_and(|sieve| !sieve.holds_back(bytes))
    }

    fn search(&self) -> Option<&AhoCorasick> {
        let make = || {
            // A DFA would be chosen for few patterns, and take megabytes for one private key.
            AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .match_kind(MatchKind::Standard)
                .build(self.forms.iter().map(|(_, form)| form.bytes.as_slice()))
                .ok()
        };
        self.search.get_or_init(make).as_ref()
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
    fn what_is_known_beside_the_own_values_is_found_and_told_apart() {
        let mut base = SecretSet::new();
        base.insert("first-value");
        base.insert("tiny");
        let mut set = SecretSet::beside(&Arc::new(base));
        assert_eq!(finds(&set, "first-value"), [("first-value".into(), 0)]);
        for value in ["first-value", "tiny", "later-value"] {
            set.insert(value);
        }

        let mut found = finds(&set, "first-value later-value");
        found.sort();

        assert_eq!(found, [("first-value".into(), 1), ("later-value".into(), 0)]);
        assert_eq!((set.value(0), set.value(1), set.value(2)), ("later-value", "first-value", ""));
        assert_eq!((set.short(), set.is_empty(), set.finds_nothing()), (1, false, false));
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
