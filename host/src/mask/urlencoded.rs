//! Form bodies and query strings.

use percent_encoding::percent_decode_str;

use super::Masker;
use super::edit::Edits;
use super::path::{Reached, SecretPath};

/// A name or value with its encoding resolved; bytes that are no UTF-8 are replaced.
pub(super) fn decoded(encoded: &str) -> String {
    percent_decode_str(&encoded.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Masker<'_> {
    /// A form body; `None` if it is not one: control characters, blanks and markup are encoded in a form.
    pub(super) fn urlencoded(&self, text: &str, paths: &[SecretPath]) -> Option<String> {
        // Masks of an earlier pass are the only thing that need not be encoded.
        if text.chars().any(|char| char.is_control() || matches!(char, ' ' | '"' | '<' | '>' | '{' | '}')) {
            return None;
        }
        let mut edits = Edits::default();
        let mut at = 0;
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain_name = decoded(name);
            if let Some(masked) = self.known(&plain_name) {
                edits.replace(at..at + name.len(), encoded_around_masks(&masked));
            }
            let start = at + pair.len() - value.len();
            let plain = decoded(value);
            let masked = if value.is_empty() {
                None
            } else if self.rules.is_secret_parameter(&plain_name) || names_secret(&plain_name, paths) {
                Some(self.mask(&plain))
            } else {
                self.string(&plain, &[], &Reached::root(&[]), 0)
            };
            if let Some(masked) = masked {
                edits.replace(start..start + value.len(), encoded_around_masks(&masked));
            }
            at += pair.len() + 1;
        }
        Some(edits.apply(text).unwrap_or_else(|| text.to_owned()))
    }
}

/// Whether a path ends at the parameter `a[b][]`, read as `a.b` and an element.
fn names_secret(name: &str, paths: &[SecretPath]) -> bool {
    if paths.is_empty() {
        return false;
    }
    let mut reached = Reached::root(paths);
    for part in name.split(['[', '.']).map(|part| part.trim_end_matches(']')) {
        reached = if part.is_empty() { reached.element(paths) } else { reached.member(paths, part) };
        if reached.is_secret(paths) {
            return true;
        }
    }
    false
}

/// A mask in a form stays readable; what stands beside it is encoded again.
fn encoded_around_masks(text: &str) -> String {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for mask in super::masks_in(text) {
        out.push_str(&encode(&text[from..mask.start]));
        out.push_str(&text[mask.clone()]);
        from = mask.end;
    }
    out.push_str(&encode(&text[from..]));
    out
}

#[cfg(test)]
mod tests {
    use super::super::promise::with_masker;

    fn masked(text: &str, paths: &[&str]) -> Option<String> {
        let paths: Vec<_> = paths.iter().map(|path| path.parse().unwrap()).collect();
        with_masker(&["known v@lue+1"], |masker| {
            let masks = [("P", "hunter2"), ("K", "known v@lue+1")].map(|(short, value)| (short, masker.mask(value)));
            let text = masker.urlencoded(text, &paths)?;
            Some(masks.iter().fold(text, |text, (short, mask)| text.replace(mask, &format!("<{short}>"))))
        })
    }

    #[test]
    fn parameters_are_masked_by_name_path_and_value() {
        for (text, paths, expected) in [
            ("a=1&password=hunter2&b=", &[][..], "a=1&password=<P>&b="),
            ("func=auth&key=hunter2", &[], "func=auth&key=<P>"),
            ("user%5Bpass%5D=hunter2&user[name]=bob", &[], "user%5Bpass%5D=<P>&user[name]=bob"),
            ("password=&token", &[], "password=&token"),
            ("data[x][]=hunter2&data[y]=1", &["data.x"], "data[x][]=<P>&data[y]=1"),
            ("a=x+known+v@lue%2B1+y", &[], "a=x%20<K>%20y"),
            ("a=known%20v%40lue%2b1", &[], "a=<K>"),
            ("known+v@lue%2B1=a", &[], "<K>=a"),
            ("json=%7B%22pwd%22%3A%22hunter2%22%7D", &[], "json=%7B%22pwd%22%3A%22<P>%22%7D"),
            ("&&a=b=c&", &[], "&&a=b=c&"),
        ] {
            assert_eq!(masked(text, paths).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_no_browser_would_encode_so_is_no_form() {
        for text in ["a b", "{\"a\":1}", "<a/>", "a\n=b"] {
            assert_eq!(masked(text, &[]), None, "{text}");
        }
    }
}
