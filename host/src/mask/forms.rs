//! The encodings in which a known value is looked for.
//!
//! Escapes (percent, JSON, XML) need no patterns of their own in principle, since `views` resolves them; the usual
//! spelling of each is listed nevertheless, because it is what gets encoded once more (base64 of a JSON body).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

/// Bytes to look for.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// How the bytes sit in what is to be covered.
    pub(super) edge: Edge,
}

/// What belongs to a find beside the found bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// Nothing.
    Sharp,
    /// Base64: the characters before and behind also carry bits of the value where marked, and padding tells its length.
    Base64 { before: bool, behind: bool },
}

/// What `rawurlencode` and its kin leave alone.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// All forms of `value`, without repeats.
pub(super) fn of(value: &str) -> Vec<Form> {
    let mut spellings = Vec::new();
    for spelling in [value.to_owned(), value.trim().to_owned(), unbroken(value)] {
        add_spelling(&mut spellings, spelling);
    }
    let percent = utf8_percent_encode(value, UNRESERVED).to_string();
    add_spelling(&mut spellings, percent.replace("%20", "+"));
    add_spelling(&mut spellings, lower_percent(&percent));
    add_spelling(&mut spellings, percent);
    add_spelling(&mut spellings, json_escaped(value, false));
    add_spelling(&mut spellings, json_escaped(value, true));
    add_spelling(&mut spellings, quick_xml::escape::escape(value).into_owned());

    let mut forms = Vec::new();
    for spelling in &spellings {
        add(&mut forms, spelling.as_bytes().to_vec(), Edge::Sharp);
        for skipped in 0..3 {
            add_base64(&mut forms, spelling.as_bytes(), skipped);
        }
    }
    let sha1 = Sha1::digest(value.as_bytes());
    for bytes in [value.as_bytes(), &sha1[..]] {
        add(&mut forms, hex(bytes, false).into_bytes(), Edge::Sharp);
        add(&mut forms, hex(bytes, true).into_bytes(), Edge::Sharp);
    }
    for skipped in 0..3 {
        add_base64(&mut forms, &sha1, skipped);
    }
    forms
}

fn add_spelling(spellings: &mut Vec<Zeroizing<String>>, spelling: String) {
    let spelling = Zeroizing::new(spelling);
    // A trimmed value may be too short to be told from ordinary words.
    if super::secrets::is_searchable(&spelling) && !spellings.contains(&spelling) {
        spellings.push(spelling);
    }
}

fn add(forms: &mut Vec<Form>, bytes: Vec<u8>, edge: Edge) {
    let bytes = Zeroizing::new(bytes);
    if !forms.iter().any(|form| form.bytes == bytes) {
        forms.push(Form { bytes, edge });
    }
}

/// Adds the base64 of `data` as it reads when `skipped` (0 to 2) bytes stand before it in the encoded group: only the
/// characters that depend on `data` alone; the edge says which neighbours depend on it in part.
fn add_base64(forms: &mut Vec<Form>, data: &[u8], skipped: usize) {
    let mut padded = Zeroizing::new(vec![0; skipped]);
    padded.extend_from_slice(data);
    let bits = padded.len() * 8;
    let whole = (skipped * 8).div_ceil(6)..bits / 6;
    let edge = Edge::Base64 { before: !(skipped * 8).is_multiple_of(6), behind: !bits.is_multiple_of(6) };
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        let encoded = Zeroizing::new(engine.encode(&padded));
        add(forms, encoded.as_bytes()[whole.clone()].to_vec(), edge);
    }
}

/// `value` as it reads when line breaks, and the blanks that indent the next line, are taken out: `views` reads a text
/// so as well, to find what was wrapped.
fn unbroken(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut after_break = false;
    for char in value.chars() {
        after_break = matches!(char, '\n' | '\r') || after_break && matches!(char, ' ' | '\t');
        if !after_break {
            out.push(char);
        }
    }
    out
}

fn lower_percent(percent: &str) -> String {
    let mut digits = 0;
    let lower = |char: char| {
        if char == '%' {
            digits = 2;
        } else if digits > 0 {
            digits -= 1;
            return char.to_ascii_lowercase();
        }
        char
    };
    percent.chars().map(lower).collect()
}

/// The inside of a JSON string; `ascii` as PHP writes it: `\/`, and `\u00e9` for all that is not ASCII.
fn json_escaped(value: &str, ascii: bool) -> String {
    use std::fmt::Write;

    let mut out = String::with_capacity(value.len());
    for char in value.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if ascii => out.push_str("\\/"),
            char if char < ' ' || ascii && !char.is_ascii() => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing into a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            char => out.push(char),
        }
    }
    out
}

/// Two digits a byte.
pub(super) fn hex(bytes: &[u8], upper: bool) -> String {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let digit = |nibble: u8| char::from(digits[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        of(value).iter().any(|found| &found.bytes[..] == form.as_bytes())
    }

    #[test]
    fn every_promised_form_is_among_the_forms() {
        let value = "p/ss \"wörd\"&1";
        for form in [
            value,
            "p%2Fss%20%22w%C3%B6rd%22%261",
            "p%2fss%20%22w%c3%b6rd%22%261",
            "p%2Fss+%22w%C3%B6rd%22%261",
            "p/ss \\\"wörd\\\"&1",
            "p\\/ss \\\"w\\u00f6rd\\\"&1",
            "p/ss &quot;wörd&quot;&amp;1",
            &hex(value.as_bytes(), false),
            &hex(value.as_bytes(), true),
            &hex(&Sha1::digest(value), false),
            &hex(&Sha1::digest(value), true),
        ] {
            assert!(has(value, form), "{form}");
        }
    }

    #[test]
    fn base64_is_found_behind_any_number_of_bytes_and_before_any() {
        let value = "pässw0rd?>";
        let forms = of(value);
        for (before, behind) in (0..7).flat_map(|before| (0..7).map(move |behind| (before, behind))) {
            let text = format!("{}{value}{}", "x".repeat(before), "y".repeat(behind));
            for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let found = forms.iter().any(|form| {
                    matches!(form.edge, Edge::Base64 { .. })
                        && encoded.as_bytes().windows(form.bytes.len()).any(|window| window == &form.bytes[..])
                });
                assert!(found, "{before} {behind} {encoded}");
            }
        }
    }

    #[test]
    fn an_ordinary_value_has_few_forms() {
        // Plain, hex twice, SHA-1 in hex twice, and base64 of both in three places; the alphabets differ only for SHA-1.
        assert!(of("abcdefghijkl").len() <= 17, "{}", of("abcdefghijkl").len());
    }
}
