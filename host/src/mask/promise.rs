//! The promise, as properties: whatever the secret, whatever carries it, none of its forms is found in the output.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use quick_xml::escape::escape;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::forms::{self, hex};
use super::{
    BodyForm, Fingerprinter, MASK_BYTES, MASK_END, MASK_START, MaskedBody, Masker, Rules, SecretPath, SecretSet,
};

/// Runs `check` with a masker that knows `secrets`.
pub(super) fn with_masker<T>(secrets: &[&str], check: impl FnOnce(Masker<'_>) -> T) -> T {
    let mut set = SecretSet::new();
    for secret in secrets {
        set.insert(secret);
    }
    let (rules, prints) = (Rules::new(), Fingerprinter::new(&[42; 32]));
    check(Masker { secrets: &set, rules: &rules, prints: &prints })
}

/// Every text as which a secret is promised to be found.
fn encodings(secret: &str) -> Vec<String> {
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let mut all = vec![
        secret.to_owned(),
        percent.clone(),
        percent.replace("%20", "+"),
        secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
        inner(&Value::from(secret).to_string()),
        inner(&Value::from(inner(&Value::from(secret).to_string())).to_string()),
        secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect(),
        inner(&format!("{secret:?}")),
        escape(secret).into_owned(),
        secret.chars().map(|char| format!("&#{};", u32::from(char))).collect(),
        secret.chars().map(|char| format!("&#x{:x};", u32::from(char))).collect(),
        hex(secret.as_bytes(), false),
        hex(secret.as_bytes(), true),
        hex(&Sha1::digest(secret), false),
        hex(&Sha1::digest(secret), true),
        STANDARD.encode(Sha1::digest(secret)),
        wrapped(&STANDARD.encode(format!("a longer text that is wrapped, with {secret} within, and more behind it"))),
    ];
    for around in [
        secret.to_owned(),
        format!("user:{secret}"),
        format!("ab{secret}c"),
        format!("abc{secret}de"),
        json!({ "p": secret }).to_string(),
    ] {
        all.extend([
            STANDARD.encode(&around),
            STANDARD_NO_PAD.encode(&around),
            URL_SAFE.encode(&around),
            URL_SAFE_NO_PAD.encode(&around),
        ]);
    }
    all
}

fn inner(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].to_owned()
}

fn wrapped(text: &str) -> String {
    text.as_bytes().chunks(20).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n  ")
}

/// Whether a form of the secret can be read in `text` with masks left out.
fn shows(text: &str, secret: &str) -> bool {
    let rest = without_masks(text);
    forms::of(secret)
        .iter()
        .any(|form| rest.as_bytes().windows(form.bytes.len()).any(|window| window == &form.bytes[..]))
}

/// A control character for each mask, so that what stands beside it does not run together.
fn without_masks(text: &str) -> String {
    let mut rest = String::new();
    let mut from = 0;
    for at in super::masks_in(text) {
        rest.push_str(&text[from..at.start]);
        rest.push('\u{1}');
        from = at.end;
    }
    rest + &text[from..]
}

/// Secrets as they come: short and long words, with signs that some encoding escapes, and any unicode.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{8,40}",
        "[a-zA-Z0-9%+/=&\"'<>\\\\ ;:._-]{8,24}",
        "[äöüß€😀a-z\"\\\\/ ]{8,16}",
        proptest::collection::vec(any::<char>(), 8..20).prop_map(String::from_iter),
    ]
    // A value that is part of a mask is in every masked text.
    .prop_filter("readable in a mask", |secret| !format!("{MASK_START}{MASK_END}").contains(secret.trim()))
}

fn whole(masked: &MaskedBody) -> &str {
    assert_eq!(masked.form, BodyForm::Whole, "{}", masked.text);
    &masked.text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_form_is_found_in_masked_text(secret in secret(), before in "[a-z =&\"%\\\\]{0,6}", behind in "[a-z =&\"%\\\\]{0,6}") {
        with_masker(&[&secret], |masker| {
            for encoded in encodings(&secret) {
                let text = format!("{before} {encoded} {behind}");
                let masked = masker.text(&text);

                prop_assert!(!shows(&masked, &secret), "{text:?} became {masked:?}");
                prop_assert_ne!(&masked, &text);
                prop_assert_eq!(masker.text(&masked), masked);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_form_is_found_in_masked_urls_and_headers(secret in secret()) {
        with_masker(&[&secret], |masker| {
            let encoded = utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string();
            let url = masker.text(&format!("https://panel.example/{encoded}/x?a={encoded}&b=1#{encoded}"));
            let basic = STANDARD.encode(format!("user:{secret}"));
            let named = format!("Basic {basic}");
            let headers = masker.headers([("Authorization", named.as_str()), ("X-Note", &secret), ("X-Echo", &basic)]);

            prop_assert!(!shows(&url, &secret), "{url}");
            prop_assert!(url.starts_with("https://panel.example/") && url.contains("b=1"), "{url}");
            for (name, value) in &headers {
                prop_assert!(!shows(value, &secret), "{name}: {value}");
            }
            let again = masker.headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            prop_assert_eq!(again, headers);
            Ok(())
        })?;
    }

    #[test]
    fn no_form_is_found_in_masked_json_and_it_stays_json(secret in secret()) {
        with_masker(&[&secret], |masker| {
            for encoded in encodings(&secret) {
                let document = json!({
                    "note": encoded, "list": [1, encoded, { encoded.clone(): true }], "nested": json!({ "deep": encoded }).to_string(),
                    "xml": format!("<a b=\"1\">{}</a>", escape(&encoded)), "other": "left alone",
                });
                for text in [document.to_string(), ascii_json(&document)] {
                    let masked = masker.body(Some("application/json; charset=utf-8"), text.as_bytes(), &[]);
                    let masked = whole(&masked);

                    prop_assert!(!shows(masked, &secret), "{masked}");
                    let read: Value = serde_json::from_str(masked)?;
                    prop_assert_eq!(&read["other"], "left alone");
                    prop_assert!(!shows(&read.to_string(), &secret));
                    prop_assert_eq!(masker.body(Some("application/json"), masked.as_bytes(), &[]).text, masked);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_form_is_found_in_masked_xml_and_it_stays_xml(secret in secret()) {
        // XML has no way to write most control characters.
        let is_written = |char: char| !char.is_control() && !matches!(char, '\u{fffe}' | '\u{ffff}');
        let secret = secret.replace(|char| !is_written(char), "x");
        with_masker(&[&secret], |masker| {
            for encoded in encodings(&secret) {
                let escaped = escape(&encoded);
                let text = format!("<?xml version=\"1.0\"?>\n<r><a x=\"{escaped}\">{escaped}</a><b>left</b><c>{}</c></r>", cdata(&encoded));
                let masked = masker.body(Some("text/xml"), text.as_bytes(), &[]);
                let masked = whole(&masked);

                prop_assert!(!shows(masked, &secret), "{masked}");
                prop_assert!(masked.contains("<b>left</b>"), "{masked}");
                prop_assert_eq!(masker.body(Some("text/xml"), masked.as_bytes(), &[]).text, masked);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_form_is_found_in_masked_forms(secret in secret()) {
        with_masker(&[&secret], |masker| {
            for encoded in encodings(&secret) {
                let value = utf8_percent_encode(&encoded, NON_ALPHANUMERIC).to_string();
                let text = format!("func=user.edit&note={value}&{value}=x&name=left");
                let masked = masker.body(Some("application/x-www-form-urlencoded"), text.as_bytes(), &[]);
                let masked = whole(&masked);

                prop_assert!(!shows(masked, &secret), "{masked}");
                prop_assert!(masked.starts_with("func=user.edit&") && masked.ends_with("&name=left"), "{masked}");
                prop_assert_eq!(masker.body(Some("application/x-www-form-urlencoded"), masked.as_bytes(), &[]).text, masked);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_value_under_a_secret_name_is_masked_whatever_it_is(secret in secret()) {
        with_masker(&[], |masker| {
            let json = masker.body(Some("application/json"), json!({ "root_password": secret }).to_string().as_bytes(), &[]);
            let form = format!("a=1&user%5Bpassword%5D={}", utf8_percent_encode(&secret, NON_ALPHANUMERIC));
            let form = masker.body(Some("application/x-www-form-urlencoded"), form.as_bytes(), &[]);
            let mask = masker.mask(&secret);

            prop_assert_eq!(json.text, format!("{{\"root_password\":\"{mask}\"}}"));
            prop_assert_eq!(form.text, format!("a=1&user%5Bpassword%5D={mask}"));
            prop_assert_eq!(mask.len(), MASK_BYTES);
            Ok(())
        })?;
    }

    #[test]
    fn nothing_panics_and_masked_is_masked(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}", kind in 0..6_usize, secret in secret()) {
        let kinds = [None, Some("application/json"), Some("text/xml"), Some("text/html"), Some("application/x-www-form-urlencoded"), Some("image/png")];
        with_masker(&[&secret], |masker| {
            for input in [&bytes[..], text.as_bytes()] {
                let once = masker.body(kinds[kind], input, &["a.**.b".parse::<SecretPath>().unwrap()]);
                let twice = masker.body(kinds[kind], once.text.as_bytes(), &["a.**.b".parse::<SecretPath>().unwrap()]);
                prop_assert_eq!(once, twice);
            }
            let once = masker.text(&text);
            prop_assert_eq!(masker.text(&once), once);
            Ok(())
        })?;
    }

    #[test]
    fn hostile_syntax_is_masked_once_and_for_all(text in "(password|token=|key:|Bearer |[a-z:=\"'\\\\&%;<>{}\\[\\], ‹›]|masked:|://|@|%22|&amp;|null){0,30}") {
        with_masker(&["hidden-value"], |masker| {
            let once = masker.text(&text);
            prop_assert_eq!(masker.text(&once), once);
            for kind in ["application/json", "text/xml", "text/plain", "application/x-www-form-urlencoded"] {
                let once = masker.body(Some(kind), text.as_bytes(), &[]);
                prop_assert_eq!(masker.body(Some(kind), once.text.as_bytes(), &[]), once);
            }
            Ok(())
        })?;
    }
}

fn ascii_json(value: &Value) -> String {
    let mut out = String::new();
    for char in value.to_string().chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            out.extend(char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out.replace('/', "\\/")
}

fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}
