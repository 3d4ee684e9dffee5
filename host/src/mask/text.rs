//! Free text: notes, messages, URLs.

use std::borrow::Cow;
use std::ops::Range;

use super::edit::{Edits, Shows, Span, Spans};
use super::{MASK_START, Masker, masks_in, starts_with_mask, urlencoded, views};

/// How far back from `=` or `:` a name may begin.
const NAME_BYTES: usize = 64;

/// A mask may take a sign with it that ended something else, `//` in a password behind `://`; what follows is looked at
/// again, so that masking what is masked changes nothing. More passes than this take a text made for it.
const MAX_PASSES: usize = 4;

/// What stands before a token.
const SCHEME: &str = "bearer ";

/// Headers whose value has blanks in it: in a text, all up to the end of the line is theirs.
const LINE_NAMES: &[&str] = &["authorization", "cookie"];

impl Masker<'_> {
    /// The text with known secrets masked, and the values of `name=value` and `name: value` pairs whose name tells of a
    /// secret, passwords in URLs and bearer tokens.
    pub fn text(&self, text: &str) -> String {
        self.changed(text).unwrap_or_else(|| text.to_owned())
    }

    /// The same; `None` if nothing of it changes.
    pub(super) fn changed(&self, text: &str) -> Option<String> {
        if is_plain(text) && !self.secrets.shows(text.as_bytes()) {
            return None;
        }
        let mut masked = Cow::Borrowed(text);
        for _ in 0..MAX_PASSES {
            match self.pass(&masked) {
                Some(again) if again != masked => masked = Cow::Owned(again),
                _ => break,
            }
        }
        match masked {
            Cow::Owned(masked) if masked != text => Some(masked),
            _ => None,
        }
    }

    fn pass(&self, text: &str) -> Option<String> {
        let mut spans = Spans::default();
        self.find_known(text, &mut spans);
        self.find_pairs(text, &mut spans);
        let signs = signs(text);
        if signs & AT != 0 {
            find_url_passwords(text, &mut spans);
        }
        if signs & BLANK != 0 {
            find_bearers(text, &mut spans);
        }
        self.cover(text, spans)
    }

    /// The text with known secrets masked and nothing else; `None` if it shows none.
    pub(super) fn known(&self, text: &str) -> Option<String> {
        if is_plain(text) && !self.secrets.shows(text.as_bytes()) {
            return None;
        }
        let mut spans = Spans::default();
        self.find_known(text, &mut spans);
        self.cover(text, spans)
    }

    fn find_known(&self, text: &str, spans: &mut Spans) {
        if self.secrets.finds_nothing() {
            return;
        }
        views::each(text.as_bytes(), self.secrets.has_blank(), &mut |bytes, back| {
            self.secrets.search(bytes, |at, value| {
                let at = back(at);
                spans.push(text.floor_char_boundary(at.start)..text.ceil_char_boundary(at.end), Shows::Known(value));
            });
        });
    }

    fn cover(&self, text: &str, mut spans: Spans) -> Option<String> {
        // Masks alone stay as they are.
        if spans.is_empty() {
            return None;
        }
        for mask in masks_in(text) {
            spans.push(mask, Shows::Mask);
        }
        let mut edits = Edits::default();
        for Span { at, shows, .. } in spans.joined() {
            let mask = match &shows {
                Shows::Known(value) => self.mask(self.secrets.value(*value)),
                Shows::Placed(value) => self.mask(value),
                Shows::Mask => continue,
            };
            edits.replace(at, mask);
        }
        edits.apply(text)
    }

    fn find_pairs(&self, text: &str, spans: &mut Spans) {
        // Past the last value that was found, so that no byte is read for two pairs.
        let mut done = 0;
        for (at, sign) in text.match_indices(['=', ':']) {
            if at < done {
                continue;
            }
            let Some(name) = name_before(text, at) else { continue };
            let is_secret = if sign == "=" { self.rules.is_secret_parameter(name) } else { self.rules.is_secret(name) };
            if !is_secret {
                continue;
            }
            let Some(value) = value_behind(text, at + 1, name) else { continue };
            done = value.end;
            spans.push(value.clone(), Shows::Placed(urlencoded::decoded(&text[value])));
        }
    }
}

/// Whether a text has nothing in it that could escape, name, address or announce a secret. Most values of a reply have not,
/// and are only searched as they stand.
pub(super) fn is_plain(text: &str) -> bool {
    shows_nothing(text, signs(text))
}

/// The same of a text whose signs are known.
pub(super) fn shows_nothing(text: &str, signs: u8) -> bool {
    signs & TELLS == 0
        && (signs & BLANK == 0
            || !text.as_bytes().windows(SCHEME.len()).any(|part| part.eq_ignore_ascii_case(SCHEME.as_bytes())))
}

/// What stands in a text, by [`SIGNS`].
pub(super) fn signs(text: &str) -> u8 {
    text.bytes().fold(0, |signs, byte| signs | SIGNS[usize::from(byte)])
}

/// Of a byte: it may escape, name or address something; it is a blank; a password may stand before it.
const TELLS: u8 = 1;
const BLANK: u8 = 2;
const AT: u8 = 4;

/// What each byte is: looked up, since all texts of all bodies come by here.
pub(super) const SIGNS: [u8; 256] = {
    let mut signs = [TELLS; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        if !matches!(byte, b'=' | b':' | b'%' | b'+' | b'\\' | b'&') {
            signs[byte as usize] = 0;
        }
        byte += 1;
    }
    signs[b'\t' as usize] = 0;
    signs[b' ' as usize] = BLANK;
    signs[b'@' as usize] = AT;
    signs
};

/// The name that ends before the sign at `end`, quoted or not.
fn name_before(text: &str, end: usize) -> Option<&str> {
    let begin = text.floor_char_boundary(end.saturating_sub(NAME_BYTES));
    let before = text[begin..end].trim_end_matches([' ', '\t']);
    let before = before.strip_suffix(['"', '\'']).unwrap_or(before);
    let before = before.strip_suffix('\\').unwrap_or(before);
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '[' | ']');
    let name = before.trim_end_matches(is_part);
    let name = &before[name.len()..];
    (!name.is_empty()).then_some(name)
}

/// Where the value stands that follows a sign, without its quotes; `None` if there is nothing to hide.
fn value_behind(text: &str, begin: usize, name: &str) -> Option<Range<usize>> {
    let rest = text[begin..].strip_prefix('>').unwrap_or(&text[begin..]);
    let rest = rest.trim_start_matches([' ', '\t']);
    let start = text.len() - rest.len();
    let of_line = LINE_NAMES.iter().any(|wanted| {
        name.len() >= wanted.len()
            && name.is_char_boundary(name.len() - wanted.len())
            && name[name.len() - wanted.len()..].eq_ignore_ascii_case(wanted)
    });
    let (start, length) = if let Some(quote) = ["\\\"", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote)) {
        (start + quote.len(), quoted_length(&rest[quote.len()..], quote))
    } else if of_line {
        (start, rest.find(['\n', '\r']).unwrap_or(rest.len()))
    } else {
        let ends = |char: char| char.is_whitespace() || matches!(char, '&' | '"' | '\'' | '<' | '>' | '#');
        (start, rest.find(ends).unwrap_or(rest.len()))
    };
    let value = &text[start..start + length];
    if value.is_empty()
        || starts_with_mask(value)
        || matches!(value.trim_end_matches([',', ';', '}']), "null" | "true" | "false")
    {
        return None;
    }
    Some(start..start + length)
}

/// Up to the closing quote, or to the end of a text that was cut.
fn quoted_length(text: &str, quote: &str) -> usize {
    let mut from = 0;
    while let Some(found) = text[from..].find(quote) {
        let at = from + found;
        let escapes = text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if escapes % 2 == 0 {
            return at;
        }
        from = at + quote.len();
    }
    text.len()
}

/// `scheme://user:password@host`.
fn find_url_passwords(text: &str, spans: &mut Spans) {
    for (at, sign) in text.match_indices("://") {
        let begin = at + sign.len();
        let rest = &text[begin..];
        let authority =
            &rest[..rest.find(|char: char| char.is_whitespace() || "/?#\"'<>".contains(char)).unwrap_or(rest.len())];
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        // The colon of a mask separates nothing.
        let colon = user.match_indices(':').map(|(at, _)| at).find(|at| {
            // Before its colon, a mask is the same everywhere.
            let begin = at.checked_sub(MASK_START.len() - 1);
            !begin.and_then(|begin| user.get(begin..)).is_some_and(starts_with_mask)
        });
        let Some((name, password)) = colon.map(|at| (&user[..at], &user[at + 1..])) else { continue };
        if !password.is_empty() && !starts_with_mask(password) {
            let start = begin + name.len() + 1;
            spans.push(start..start + password.len(), Shows::Placed(urlencoded::decoded(password)));
        }
    }
}

/// `Bearer` and a token that is no word.
fn find_bearers(text: &str, spans: &mut Spans) {
    let lower = text.to_ascii_lowercase();
    for (at, _) in lower.match_indices(SCHEME) {
        let begin = at + SCHEME.len();
        let rest = &text[begin..];
        let is_part = |char: char| char.is_ascii_alphanumeric() || "-._~+/=|".contains(char);
        let length = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        if length >= 16 {
            spans.push(begin..begin + length, Shows::Placed(rest[..length].to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::promise::with_masker;

    #[test]
    fn a_word_that_is_a_secret_is_found_and_any_other_is_left() {
        with_masker(&["kn0wn-value"], |masker| {
            for (text, is_masked) in [
                ("kn0wn-value", true),
                ("a.kn0wn-value/b", true),
                ("a24wd24tdmFsdWU", true),
                ("kn0wn", false),
                ("a-long-word-that-is-none", false),
                ("", false),
            ] {
                assert_eq!(masker.changed(text).is_some(), is_masked, "{text}");
                assert_eq!(masker.known(text).is_some(), is_masked, "{text}");
            }
        });
    }

    /// The text masked, with `<P>` for the mask of `hunter2` and `<K>` for that of a known value.
    fn masked(text: &str) -> String {
        with_masker(&["kn0wn-\"välue\\", "kn0wn-\"välue\\ and more"], |masker| {
            let masked = masker.text(text);
            assert_eq!(masker.text(&masked), masked);
            masked.replace(&masker.mask("hunter2"), "<P>").replace(&masker.mask("kn0wn-\"välue\\"), "<K>")
        })
    }

    #[test]
    fn values_of_telling_names_are_masked() {
        for (text, expected) in [
            ("password=hunter2", "password=<P>"),
            ("/auth?user=bob&password=hunter2&x=1#top", "/auth?user=bob&password=<P>&x=1#top"),
            ("?key=hunter2", "?key=<P>"),
            ("key: hunter2", "key: hunter2"),
            ("?password=%68unter2", "?password=<P>"),
            ("Password: hunter2\nUser: bob", "Password: <P>\nUser: bob"),
            ("cut {\"a\": 1, \"api_key\": \"hunter2\", \"b", "cut {\"a\": 1, \"api_key\": \"<P>\", \"b"),
            ("cut {\\\"pwd\\\": \\\"hunter2\\\", \\\"b", "cut {\\\"pwd\\\": \\\"<P>\\\", \\\"b"),
            ("array('passwd' => 'hunter2', 'a' => 'b')", "array('passwd' => '<P>', 'a' => 'b')"),
            ("password = \"hunter2", "password = \"<P>"),
            ("password=null, token: true, pin=", "password=null, token: true, pin="),
            ("Authorization: hunter2\nHost: a", "Authorization: <P>\nHost: a"),
            ("https://bob:hunter2@panel.example:8443/x", "https://bob:<P>@panel.example:8443/x"),
            ("https://panel.example:8443/x@y", "https://panel.example:8443/x@y"),
            ("passwords are fine: no", "passwords are fine: no"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_of_an_authorization_line_or_bearer_token_stays() {
        for text in [
            "Authorization: Digest username=\"hunter\"",
            "sent bearer hunter.hunter.hunter|2",
            "'Cookie': 'a=hunter; b=c'",
        ] {
            assert!(!masked(text).contains("hunter"), "{}", masked(text));
        }
    }

    #[test]
    fn a_known_value_is_masked_however_it_is_spelled() {
        for (text, expected) in [
            ("kn0wn-\"välue\\", "<K>"),
            ("<kn0wn-\"välue\\kn0wn-\"välue\\>", "<<K><K>>"),
            ("k%6E0wn-%22v%c3%A4lue%5c", "<K>"),
            ("kn0wn-%2522v%25C3%25A4lue%255C", "<K>"),
            ("\\u006bn0wn-\\\"v\\u00E4lue\\\\", "<K>"),
            ("kn0wn-&quot;v&#228;lue&#x5C;", "<K>"),
            ("kn0wn-&amp;quot;välue\\", "<K>"),
            ("6B6E30776E2D2276C3A46C75655C.", "<K>."),
            ("a %zz b %6En0wn", "a %zz b %6En0wn"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn base64_is_masked_with_every_character_that_tells_of_the_value() {
        for (before, behind) in [("", ""), ("user:", ""), ("ab", "c"), ("x", "yz"), ("abc", "defg")] {
            let text = format!("<{}>", STANDARD.encode(format!("{before}kn0wn-\"välue\\{behind}")));

            let masked = masked(&text);

            // What is left of the text in front is what is encoded of it alone.
            let left = masked.split_once("<K>").map(|(left, _)| left.len() - 1);
            assert_eq!(left, Some(before.len() * 8 / 6), "{masked}");
        }
    }

    #[test]
    fn of_a_value_within_a_longer_one_the_longer_is_shown() {
        let masked = masked("kn0wn-\"välue\\ and more; kn0wn-\"välue\\ and less");

        assert!(masked.ends_with("; <K> and less") && masked.matches("<K>").count() == 1, "{masked}");
    }

    #[test]
    fn a_secret_that_stands_in_a_mask_is_masked_too() {
        with_masker(&["deadbeef"], |masker| {
            assert_eq!(masker.text("a ‹masked:deadbeef› b"), format!("a {} b", masker.mask("deadbeef")));
        });
    }

    #[test]
    fn a_value_that_overlaps_itself_is_one_mask() {
        with_masker(&["aaaaaaaa"], |masker| assert_eq!(masker.text(&"a".repeat(100_000)), masker.mask("aaaaaaaa")));
    }
}
