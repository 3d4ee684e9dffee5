use super::json::first_sign;
use super::path::{Reached, SecretPath};
use super::{MASK_END, Masker};

/// What is stored of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedBody {
    /// The text to store.
    pub text: String,
    /// Whether that is the body, or only what is known of it.
    pub form: BodyForm,
}

/// How much of a body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// All of it, with its secrets masked.
    Whole,
    /// Its length in bytes and a keyed hash, by which equal bodies are recognised.
    LengthAndHash,
}

/// What a content type claims of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Json,
    Form,
    Xml,
    Text,
    Nothing,
}

const HASHED_START: &str = "‹body: ";

impl Masker<'_> {
    /// What to store of a body: itself with its secrets masked, if it is read in full as what `content_type` claims.
    ///
    /// `secret_paths` are the places that the plugin declared for this call. JSON, XML and forms are masked by place and
    /// value. Other text is masked by value, unless places are declared, which it then does not show. A body of no
    /// known type is tried as JSON and XML. All else (binary, cut, malformed, or still showing a known secret across
    /// its members) is stored as length and hash.
    pub fn body(&self, content_type: Option<&str>, bytes: &[u8], secret_paths: &[SecretPath]) -> MaskedBody {
        let masked = std::str::from_utf8(bytes).ok().and_then(|text| {
            // Some PHP panels put a byte order mark before their answers.
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            if text.trim().is_empty() || is_hashed(text) {
                return Some(text.to_owned());
            }
            self.claimed(Claim::of(content_type), text, secret_paths)
        });
        // The last word: what was masked by structure is searched once more as it will stand in the log.
        match masked.filter(|masked| self.known(masked).is_none()) {
            Some(text) => {
                let form = if is_hashed(&text) { BodyForm::LengthAndHash } else { BodyForm::Whole };
                MaskedBody { text, form }
            }
            None => MaskedBody { text: self.hashed(bytes), form: BodyForm::LengthAndHash },
        }
    }

    fn claimed(&self, claim: Claim, text: &str, paths: &[SecretPath]) -> Option<String> {
        match claim {
            Claim::Json => self.json_text(text, paths, &Reached::root(paths), 0),
            Claim::Xml => self.xml_text(text, paths, &Reached::root(paths), 0),
            Claim::Form => self.urlencoded(text, paths),
            Claim::Text => self.sniffed(text, paths).or_else(|| paths.is_empty().then(|| self.text(text))),
            Claim::Nothing => self.sniffed(text, paths),
        }
    }

    /// As what the text looks like: panels answer JSON as `text/html`.
    fn sniffed(&self, text: &str, paths: &[SecretPath]) -> Option<String> {
        match first_sign(text)? {
            b'{' | b'[' => self.json_text(text, paths, &Reached::root(paths), 0),
            b'<' => self.xml_text(text, paths, &Reached::root(paths), 0),
            _ => None,
        }
    }

    fn hashed(&self, bytes: &[u8]) -> String {
        format!("{HASHED_START}{} bytes, hash {}{MASK_END}", bytes.len(), self.prints.of_body(bytes))
    }
}

fn is_hashed(text: &str) -> bool {
    let parts =
        text.strip_prefix(HASHED_START).and_then(|rest| rest.strip_suffix(MASK_END)?.split_once(" bytes, hash "));
    parts.is_some_and(|(length, hash)| {
        length.len() <= 20
            && length.bytes().all(|byte| byte.is_ascii_digit())
            && hash.len() == 16
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

impl Claim {
    fn of(content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let (kind, sub) = essence.split_once('/').unwrap_or((essence, ""));
        match (kind, sub) {
            (_, "json") => Self::Json,
            (_, "xml") => Self::Xml,
            (_, "x-www-form-urlencoded") => Self::Form,
            (_, sub) if sub.ends_with("+json") => Self::Json,
            (_, sub) if sub.ends_with("+xml") => Self::Xml,
            ("text", _) => Self::Text,
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::promise::with_masker;
    use super::*;

    #[test]
    fn a_body_is_stored_whole_only_if_it_reads_as_what_it_claims() {
        use BodyForm::{LengthAndHash, Whole};
        for (content_type, body, paths, expected) in [
            (Some("application/json"), &b"{\"a\":1}"[..], &[][..], Whole),
            (Some("application/problem+json; charset=utf-8"), b"{\"a\":1}", &[], Whole),
            (Some("Application/JSON"), b"\xef\xbb\xbf{\"a\":1}", &["a"], Whole),
            (Some("application/json"), b"{\"a\":1", &[], LengthAndHash),
            (Some("application/json"), b"<html>oops</html>", &[], LengthAndHash),
            (Some("application/json"), b"", &["a"], Whole),
            (Some("text/xml"), b"<a/>", &[], Whole),
            (Some("application/soap+xml"), b"<a>", &[], LengthAndHash),
            (Some("text/html"), b"<p>502 <br> Bad Gateway", &[], Whole),
            (Some("text/html"), b"<p>502 <br> Bad Gateway", &["a"], LengthAndHash),
            (Some("text/html"), b"{\"a\":1}", &["a"], Whole),
            (Some("text/plain"), b"caf\xe9", &[], LengthAndHash),
            (None, b"{\"a\":1}", &[], Whole),
            (None, b"plain words", &[], LengthAndHash),
            (Some("application/octet-stream"), b"\x00\x01", &[], LengthAndHash),
            (Some("application/x-www-form-urlencoded"), b"a=1&b=2", &[], Whole),
            (Some("application/x-www-form-urlencoded"), b"{\"a\":1}", &[], LengthAndHash),
        ] {
            let paths: Vec<SecretPath> = paths.iter().map(|path: &&str| path.parse().unwrap()).collect();
            let masked = with_masker(&["kn0wn-value"], |masker| masker.body(content_type, body, &paths));
            assert_eq!(masked.form, expected, "{content_type:?} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_body_that_is_not_stored_tells_its_length_and_whether_it_is_equal() {
        with_masker(&[], |masker| {
            let body = |bytes| masker.body(None, bytes, &[]).text;

            assert!(body(b"abc").starts_with("‹body: 3 bytes, hash "));
            assert_eq!(body(b"abc"), body(b"abc"));
            assert_ne!(body(b"abc"), body(b"abd"));
        });
    }

    #[test]
    fn a_secret_that_spans_members_keeps_the_body_out_of_the_log() {
        with_masker(&["{\"private\":[1,2]}"], |masker| {
            let masked = masker.body(Some("application/json"), b"{\"file\":{\"private\":[1,2]}}", &[]);
            assert_eq!(masked.form, BodyForm::LengthAndHash);
        });
    }

    #[test]
    fn a_secret_cut_by_the_end_of_a_body_is_not_shown() {
        with_masker(&["kn0wn-value"], |masker| {
            let masked = masker.body(Some("application/json"), b"{\"a\":\"kn0wn-val", &[]);
            assert!(!masked.text.contains("kn0wn"), "{}", masked.text);
        });
    }

    #[test]
    fn the_same_value_has_the_same_mask_in_every_kind_of_body() {
        with_masker(&["kn0wn-value"], |masker| {
            let mask = masker.mask("kn0wn-value");
            for (content_type, body) in [
                ("application/json", "{\"password\":\"kn0wn-value\"}"),
                ("text/xml", "<a><password>kn0wn-value</password></a>"),
                ("application/x-www-form-urlencoded", "password=kn0wn%2Dvalue"),
                ("text/plain", "it is kn0wn-value"),
                ("text/plain", "it is a24wd24tdmFsdWU="),
            ] {
                assert!(masker.body(Some(content_type), body.as_bytes(), &[]).text.contains(&mask), "{body}");
            }
        });
    }
}
