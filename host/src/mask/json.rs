//! JSON, rewritten in place: order, blanks and numbers stay as they were written.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::edit::Edits;
use super::path::{Reached, SecretPath};
use super::text::{self, SIGNS, is_plain, shows_nothing};
use super::{Masker, is_mask};

/// Levels of objects and arrays; what is deeper is refused, as `serde_json` itself would.
const MAX_LEVELS: usize = 128;
/// Documents within strings within documents.
const MAX_NESTED: usize = 4;

impl Masker<'_> {
    /// Masks a value in place, as [`body`](Self::body) masks a JSON body.
    ///
    /// One that cannot be masked member by member, being nested too deeply or showing a known secret across members,
    /// becomes one mask.
    pub fn json(&self, value: &mut Value, paths: &[SecretPath]) {
        let text = value.to_string();
        let masked = self.document(&text, paths);
        // Most have no secret, and need not be read again.
        if masked != text {
            *value = serde_json::from_str(&masked).unwrap_or_else(|_| Value::String(self.mask(&text)));
        }
    }

    /// The same of a value's text.
    pub fn document(&self, text: &str, paths: &[SecretPath]) -> String {
        let masked = self.json_text(text, paths, &Reached::root(paths), 0);
        masked.filter(|masked| self.known(masked).is_none()).unwrap_or_else(|| quoted(&self.mask(text)))
    }

    /// The masked document; `None` if `text` is not JSON, or nested too deeply.
    pub(super) fn json_text(
        &self,
        text: &str,
        paths: &[SecretPath],
        reached: &Reached,
        nested: usize,
    ) -> Option<String> {
        let may_show = text.contains('\\') || self.secrets.shows(text.as_bytes());
        let mut walk = Walk { masker: *self, paths, nested, text, may_show, at: 0, edits: Edits::default() };
        walk.value(reached, false, 0)?;
        walk.skip_blanks();
        if walk.peek().is_some() {
            return None;
        }
        Some(walk.edits.apply(text).unwrap_or_else(|| text.to_owned()))
    }

    /// A decoded string of some document: a document in itself, or free text. `None` if nothing is masked in it.
    pub(super) fn string(&self, text: &str, paths: &[SecretPath], reached: &Reached, nested: usize) -> Option<String> {
        let document = match first_sign(text) {
            Some(b'{' | b'[' | b'<') if nested >= MAX_NESTED => return Some(self.mask(text)),
            Some(b'{' | b'[') => self.json_text(text, paths, reached, nested + 1),
            Some(b'<') => self.xml_text(text, paths, reached, nested + 1),
            _ => None,
        };
        match document {
            // A secret may itself be a document, such as a key file.
            Some(document) => Some(self.known(&document).unwrap_or(document)).filter(|masked| masked != text),
            None => self.changed(text),
        }
    }
}

/// A walk through a document, which ends where that is no JSON.
struct Walk<'w> {
    masker: Masker<'w>,
    paths: &'w [SecretPath],
    nested: usize,
    text: &'w str,
    /// Some part of it may show a known value as it stands: most documents show none, and need not be searched part by part.
    may_show: bool,
    at: usize,
    edits: Edits,
}

/// A value that was walked over.
struct Walked<'w> {
    at: Range<usize>,
    /// What a mask for it would stand for: a string decoded, anything else as written. `None` for what tells nothing:
    /// `null`, `true`, `false`, the empty string.
    plain: Option<Cow<'w, str>>,
}

/// A string, decoded, and the signs of it.
struct Text<'w> {
    plain: Cow<'w, str>,
    signs: u8,
}

impl<'w> Walk<'w> {
    /// Walks over one value; `by_key` says that a name above it tells of a secret.
    fn value(&mut self, reached: &Reached, by_key: bool, level: usize) -> Option<Walked<'w>> {
        if level > MAX_LEVELS {
            return None;
        }
        self.skip_blanks();
        let start = self.at;
        let first = self.peek()?;
        let mut signs = None;
        let plain = match first {
            b'{' => {
                self.object(reached, by_key, level)?;
                Some(Cow::Borrowed(&self.text[start..self.at]))
            }
            b'[' => {
                self.array(reached, by_key, level)?;
                Some(Cow::Borrowed(&self.text[start..self.at]))
            }
            b'"' => {
                let text = self.string()?;
                signs = Some(text.signs);
                Some(text.plain).filter(|plain| !plain.is_empty())
            }
            b't' | b'f' | b'n' => {
                self.word()?;
                None
            }
            _ => Some(Cow::Borrowed(self.number()?)),
        };
        let walked = Walked { at: start..self.at, plain };
        let is_container = matches!(first, b'{' | b'[');
        if reached.is_secret(self.paths) || by_key && !is_container {
            self.mask(&walked);
        } else if let (false, Some(plain)) = (is_container, &walked.plain)
            && (self.may_show
                || !signs.map_or_else(|| is_plain(plain), |signs| shows_nothing(plain, signs))
                || matches!(first_sign(plain), Some(b'{' | b'[' | b'<')))
        {
            if first == b'"' {
                if let Some(masked) = self.masker.string(plain, self.paths, reached, self.nested) {
                    self.edits.replace(walked.at.clone(), quoted(&masked));
                }
            } else if self.masker.known(plain).is_some() {
                self.mask(&walked);
            }
        }
        Some(walked)
    }

    fn object(&mut self, reached: &Reached, by_key: bool, level: usize) -> Option<()> {
        if self.opens_nothing(b'}') {
            return Some(());
        }
        let (mut names_secret, mut holds) = (false, Vec::new());
        loop {
            self.skip_blanks();
            let start = self.at;
            let name = self.string()?.plain;
            let met = self.masker.rules.name(&name);
            if (self.may_show || !met.is_plain)
                && let Some(masked) = self.masker.known(&name)
            {
                self.edits.replace(start..self.at, quoted(&masked));
            }
            self.skip_blanks();
            self.pass(b':')?;
            let walked = self.value(&reached.member(self.paths, &name), by_key || met.is_secret, level + 1)?;
            if met.holds {
                holds.push(walked);
            } else if met.names {
                names_secret |= walked.plain.is_some_and(|named| self.masker.rules.is_secret(&named));
            }
            if self.closes(b'}')? {
                break;
            }
        }
        if names_secret {
            for walked in holds {
                self.mask(&walked);
            }
        }
        Some(())
    }

    fn array(&mut self, reached: &Reached, by_key: bool, level: usize) -> Option<()> {
        if self.opens_nothing(b']') {
            return Some(());
        }
        let reached = reached.element(self.paths);
        loop {
            self.value(&reached, by_key, level + 1)?;
            if self.closes(b']')? {
                return Some(());
            }
        }
    }

    /// Goes into an object or array; if there is nothing in it, out again.
    fn opens_nothing(&mut self, end: u8) -> bool {
        self.at += 1;
        self.skip_blanks();
        self.pass(end).is_some()
    }

    /// Behind a part: whether it was the last one; `None` if neither the end nor another part follows.
    fn closes(&mut self, end: u8) -> Option<bool> {
        self.skip_blanks();
        let is_last = self.peek()? == end;
        self.pass(if is_last { end } else { b',' })?;
        Some(is_last)
    }

    fn pass(&mut self, sign: u8) -> Option<()> {
        (self.peek()? == sign).then(|| self.at += 1)
    }

    fn mask(&mut self, walked: &Walked<'_>) {
        if let Some(plain) = walked.plain.as_ref().filter(|plain| !is_mask(plain)) {
            self.edits.replace(walked.at.clone(), quoted(&self.masker.mask(plain)));
        }
    }

    /// The string that begins here, decoded; `None` if there is none, or it holds half of a surrogate pair.
    fn string(&mut self) -> Option<Text<'w>> {
        let start = self.at;
        self.pass(b'"')?;
        let (bytes, mut at) = (self.text.as_bytes(), self.at);
        let (mut signs, mut is_escaped) = (0, false);
        loop {
            let byte = *bytes.get(at)?;
            let class = CLASSES[usize::from(byte)];
            at += 1;
            match byte {
                _ if class & STOP == 0 => signs |= class,
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    at += 1;
                }
                // JSON has none as they stand.
                _ => return None,
            }
        }
        self.at = at;
        let token = self.text.get(start..at)?;
        if is_escaped {
            let plain: String = serde_json::from_str(token).ok()?;
            let signs = text::signs(&plain);
            return Some(Text { plain: Cow::Owned(plain), signs });
        }
        Some(Text { plain: Cow::Borrowed(&token[1..token.len() - 1]), signs })
    }

    fn word(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word))?;
        self.at += word.len();
        Some(())
    }

    fn number(&mut self) -> Option<&'w str> {
        let start = self.at;
        let _ = self.pass(b'-');
        if self.pass(b'0').is_none() {
            self.digits()?;
        }
        if self.pass(b'.').is_some() {
            self.digits()?;
        }
        if self.pass(b'e').or_else(|| self.pass(b'E')).is_some() {
            let _ = self.pass(b'+').or_else(|| self.pass(b'-'));
            self.digits()?;
        }
        Some(&self.text[start..self.at])
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Of a byte in a string, beside its sign: there is more to it.
const STOP: u8 = 128;

const CLASSES: [u8; 256] = {
    let mut classes = SIGNS;
    let mut byte = 0;
    while byte < b' ' {
        classes[byte as usize] |= STOP;
        byte += 1;
    }
    classes[b'"' as usize] |= STOP;
    classes[b'\\' as usize] |= STOP;
    classes
};

/// What a text begins with tells whether it may be a document.
pub(super) fn first_sign(text: &str) -> Option<u8> {
    text.trim_start().as_bytes().first().copied()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;
    use serde_json::json;

    use super::super::promise::with_masker;
    use super::*;

    /// The document masked, with `P` for the mask of `hunter2` and `K` for that of a known value.
    fn masked(text: &str, paths: &[&str]) -> Option<String> {
        let paths: Vec<_> = paths.iter().map(|path| path.parse().unwrap()).collect();
        with_masker(&["kn0wn-value", "12345678"], |masker| {
            let masked = masker.json_text(text, &paths, &Reached::root(&paths), 0)?;
            assert_eq!(masker.json_text(&masked, &paths, &Reached::root(&paths), 0).as_ref(), Some(&masked));
            serde_json::from_str::<IgnoredAny>(&masked).unwrap();
            let masks = [("P", "hunter2"), ("K", "kn0wn-value"), ("N", "12345678")]
                .map(|(short, value)| (short, masker.mask(value)));
            Some(masks.iter().fold(masked, |text, (short, mask)| text.replace(mask, short)))
        })
    }

    #[test]
    fn members_are_masked_by_name_path_and_value() {
        for (text, paths, expected) in [
            (
                r#"{ "b" : 1.00, "a":1e400, "password": "hunter2" }"#,
                &[][..],
                r#"{ "b" : 1.00, "a":1e400, "password": "P" }"#,
            ),
            (
                r#"{"pin":12345678,"otp":true,"pwd":null,"token":""}"#,
                &[],
                r#"{"pin":"N","otp":true,"pwd":null,"token":""}"#,
            ),
            (
                r#"{"credentials":{"user":"hunter2","on":true},"tokens":["hunter2"]}"#,
                &[],
                r#"{"credentials":{"user":"P","on":true},"tokens":["P"]}"#,
            ),
            (r#"{"data":{"settings":{"x":"hunter2"}}}"#, &["data.settings.x"], r#"{"data":{"settings":{"x":"P"}}}"#),
            (r#"{"data":[{"x":"hunter2"},{"y":"hunter2"}]}"#, &["data[].x"], r#"{"data":[{"x":"P"},{"y":"hunter2"}]}"#),
            (r#"[[{"x":"hunter2"}]]"#, &["**.x"], r#"[[{"x":"P"}]]"#),
            (r#"{"x":null,"y":false}"#, &["x", "y"], r#"{"x":null,"y":false}"#),
            (r#""hunter2""#, &["**"], r#""P""#),
            (r#"{"a":"say kn0wn-value","kn0wn-value":12345678}"#, &[], r#"{"a":"say K","K":"N"}"#),
            (r#"{"a":"\u006b\u006E0wn\u002dvalue"}"#, &[], r#"{"a":"K"}"#),
            (r#"{"\u0070assword":"hunter2"}"#, &[], r#"{"\u0070assword":"P"}"#),
            (r#"{"a":"{\"pwd\":\"hunter2\"}"}"#, &[], r#"{"a":"{\"pwd\":\"P\"}"}"#),
            (r#"{"a":"{\"x\":\"hunter2\"}"}"#, &["a.x"], r#"{"a":"{\"x\":\"P\"}"}"#),
            (r#"{"a":"<x><pwd>hunter2</pwd></x>"}"#, &[], r#"{"a":"<x><pwd>P</pwd></x>"}"#),
            (r#"{"a":"/x?password=hunter2&b=1"}"#, &[], r#"{"a":"/x?password=P&b=1"}"#),
            (r#"{"name":"root_password","value":"hunter2"}"#, &[], r#"{"name":"root_password","value":"P"}"#),
            (r#"[{"value":"hunter2","key":"pwd"}]"#, &[], r#"[{"value":"P","key":"pwd"}]"#),
            (r#"{"name":"os","value":"debian"}"#, &[], r#"{"name":"os","value":"debian"}"#),
            (r#"{"a":{},"b":[],"c":[ ]}"#, &[], r#"{"a":{},"b":[],"c":[ ]}"#),
        ] {
            assert_eq!(masked(text, paths).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_declared_container_becomes_one_mask() {
        let masked =
            masked(r#"{"queue":{"primaryActions":[{"shell":"x"}],"id":7}}"#, &["queue.primaryActions"]).unwrap();

        assert!(
            masked.starts_with(r#"{"queue":{"primaryActions":"‹masked:"#) && masked.ends_with(r#"›","id":7}}"#),
            "{masked}"
        );
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for text in ["", "{", "{\"a\":1", "{\"a\":1}}", "nul", "{'a':1}", "\"\\ud800\"", &"[".repeat(100_000), &deep] {
            assert_eq!(masked(text, &[]), None, "{}", &text[..text.len().min(20)]);
        }
    }

    #[test]
    fn the_walk_takes_what_is_json_and_nothing_else() {
        let text = r#"{"a" :[ -0.5e+7,10, 0,1E9,true,{}, [] ,"x\n\u00e9"] , "b":{"c":null,"d": false}, "":"é"} "#;
        let mut changed = vec![text.as_bytes().to_vec()];
        for at in 0..text.len() {
            changed.push(text.as_bytes()[..at].to_vec());
            let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at..]);
            for byte in *b"{}[],:\"\\+-.0 7aetn\t\0" {
                changed.push([before, &[byte], after].concat());
                changed.push([before, &[byte], &after[1..]].concat());
            }
            changed.push([before, &after[1..]].concat());
        }
        let mut taken = 0;
        for text in changed.iter().filter_map(|bytes| std::str::from_utf8(bytes).ok()) {
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            with_masker(&[], |masker| {
                let found = masker.json_text(text, &[], &Reached::root(&[]), 0);
                assert_eq!(found.is_some(), is_json, "{text}");
            });
            taken += usize::from(is_json);
        }
        assert!((100..changed.len() - 100).contains(&taken), "{taken} of {}", changed.len());
    }

    #[test]
    fn documents_nested_without_end_are_masked_whole() {
        let mut text = r#"{"x":"hunter2"}"#.to_owned();
        for _ in 0..8 {
            text = json!({ "x": text }).to_string();
        }

        let masked = masked(&text, &[]).unwrap();

        assert!(!masked.contains("hunter2") && masked.contains("‹masked:"), "{masked}");
    }

    #[test]
    fn a_value_is_masked_in_place() {
        with_masker(&["kn0wn-value"], |masker| {
            let mut value = json!({ "password": "hunter2", "note": "kn0wn-value", "n": 1.5 });
            masker.json(&mut value, &[]);
            assert_eq!(
                value,
                json!({ "password": masker.mask("hunter2"), "note": masker.mask("kn0wn-value"), "n": 1.5 })
            );
        });
    }

    #[test]
    fn a_secret_that_spans_members_leaves_nothing_of_the_value() {
        with_masker(&[r#""a":"b","c":1"#], |masker| {
            let mut value = json!({ "a": "b", "c": 1 });
            masker.json(&mut value, &[]);
            assert!(value.as_str().is_some_and(is_mask), "{value}");
        });
    }
}
