//! What the panel's status codes mean: one table for every hook.
//!
//! Sources: VirtFusion API reference (401, 403, 404, 409, 422, 423, 503) and public clients (texts of 404, 409, 423).

use billhook_plugin_api::{Fault, FaultClass, Reply};
use serde_json::Value;
use std::ops::RangeInclusive;

/// Longest text of the panel that a fault carries.
const MAX_TEXT: usize = 300;

const PREFIX_HINT: &str =
    "check whether the server's base URL should or should not end in /api/v1, and what stands before the panel";

/// What kind of body came with a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Empty,
    /// JSON with `msg` or `errors`: the panel's own words.
    Words(String),
    /// JSON without them; the text is its `message`, if it has one.
    Json(Option<String>),
    /// Anything else: a web page, cut or broken JSON.
    Page,
}

impl Shape {
    /// The shape of a reply's body.
    pub fn of(reply: &Reply) -> Self {
        if reply.body.iter().all(u8::is_ascii_whitespace) {
            return Self::Empty;
        }
        if !reply.is_json() {
            return Self::Page;
        }
        match serde_json::from_slice::<Value>(&reply.body) {
            Ok(body) => match words(&body) {
                Some(text) => Self::Words(text),
                None => Self::Json(body["message"].as_str().map(shortened)),
            },
            Err(_) => Self::Page,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Words(text) | Self::Json(Some(text)) => Some(text),
            Self::Empty | Self::Json(None) | Self::Page => None,
        }
    }
}

/// The panel's own words: the first of `errors` (a list, or a map of lists), else `msg`. `None` when it has neither.
fn words(body: &Value) -> Option<String> {
    let first = |value: &Value| match value {
        Value::String(text) => Some(shortened(text)),
        Value::Array(texts) => texts.iter().find_map(Value::as_str).map(shortened),
        _ => None,
    };
    let errors = match &body["errors"] {
        Value::Array(texts) => texts.iter().find_map(first),
        Value::Object(fields) => fields.values().find_map(first),
        other => first(other),
    };
    errors.or_else(|| body["msg"].as_str().map(shortened)).or_else(|| {
        (body.get("errors").is_some() || body.get("msg").is_some())
            .then(|| body["message"].as_str().map(shortened).unwrap_or_default())
    })
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// When a code proves that nothing was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Whatever came with it.
    Always,
    /// Unless a web page came with it: something before the panel may have put that in the place of the panel's answer.
    NoPage,
    /// Never: it may have been done.
    Never,
}

struct Row {
    codes: RangeInclusive<u16>,
    class: FaultClass,
    proof: Proof,
    text: &'static str,
}

const fn row(codes: RangeInclusive<u16>, class: FaultClass, proof: Proof, text: &'static str) -> Row {
    Row { codes, class, proof, text }
}

/// The first row that holds the code counts. A 404 is looked up only if it is in the panel's words.
const TABLE: &[Row] = &[
    row(
        400..=400,
        FaultClass::InvalidInput,
        Proof::NoPage,
        "the panel refused the input: correct the order or the product's settings",
    ),
    row(
        401..=401,
        FaultClass::Auth,
        Proof::Always,
        "the panel does not accept the API token (wrong, expired, or not of the Global API): set another",
    ),
    row(
        403..=403,
        FaultClass::Permission,
        Proof::NoPage,
        "the API token lacks the permission for this call, or its allow-list lacks this host: add it on the panel",
    ),
    row(
        404..=404,
        FaultClass::NotFound,
        Proof::NoPage,
        "the panel does not know it: look there whether it was removed",
    ),
    row(
        409..=409,
        FaultClass::ConflictBusy,
        Proof::NoPage,
        "it clashes with what the panel has or is doing: look at its tasks; it is tried again",
    ),
    row(
        422..=422,
        FaultClass::InvalidInput,
        Proof::NoPage,
        "the panel refused the input or has no room: correct the product's settings, or free some",
    ),
    row(
        423..=423,
        FaultClass::ConflictBusy,
        Proof::NoPage,
        "the server is locked by pending tasks, a build or Do Not Disturb mode: it is tried again",
    ),
    row(
        408..=408,
        FaultClass::InDoubt,
        Proof::Never,
        "whoever stands before the panel lost patience: check what that is",
    ),
    row(
        429..=429,
        FaultClass::RateLimited,
        Proof::Always,
        "the API token's rate limit is reached: it is tried again; raise it on the panel if it lasts",
    ),
    row(
        503..=503,
        FaultClass::ConflictBusy,
        Proof::Never,
        "the panel or its hypervisor is in maintenance: wait for its end",
    ),
    row(500..=599, FaultClass::InDoubt, Proof::Never, "the panel failed inside: see its log"),
];

/// The fault that an answer stands for; `None` for a success that is not a page.
pub fn of(reply: &Reply) -> Option<Fault> {
    let (status, shape) = (reply.status, Shape::of(reply));
    match (status, &shape) {
        (200..=299, Shape::Page) => return Some(untrusted(status, "what is no readable JSON")),
        (200..=299, _) => return None,
        (300..=399, _) => return Some(untrusted(status, "a redirect")),
        (..200 | 600.., _) => return Some(untrusted(status, &format!("{status}, which is the status of no answer"))),
        // Whoever says so, it is not the API: this must never be read as "the server is gone".
        (404, Shape::Empty | Shape::Json(_) | Shape::Page) => {
            return Some(untrusted(status, "a 404 that is not the API's own"));
        }
        _ => {}
    }
    let Some(row) = TABLE.iter().find(|row| row.codes.contains(&status)) else {
        return Some(coded(
            FaultClass::PanelBug,
            status,
            "the panel answered with a status that its API does not have: check what stands before the panel",
            &shape,
        ));
    };
    let fault = coded(row.class, status, row.text, &shape).retry_after_ms(reply.retry_after_ms);
    let is_refused = match row.proof {
        Proof::Always => true,
        Proof::NoPage => shape != Shape::Page,
        Proof::Never => false,
    };
    Some(if is_refused { fault.refused() } else { fault })
}

/// Passes an answer whose status is one of `expected`; everything else is a fault.
///
/// A 200 of any call that carries the panel's words in place of its data is for the reader of that call to refuse.
pub fn check(reply: &Reply, expected: &[u16]) -> Result<(), Fault> {
    match of(reply) {
        Some(fault) => Err(fault),
        None if expected.contains(&reply.status) => Ok(()),
        None => Err(coded(
            FaultClass::PanelBug,
            reply.status,
            "the panel answered with another success than its API has",
            &Shape::of(reply),
        )),
    }
}

/// Whether the panel says in its own words that it does not have the thing.
pub fn is_gone(reply: &Reply) -> bool {
    reply.status == 404 && matches!(Shape::of(reply), Shape::Words(_))
}

/// An answer without a trustworthy author: it may have been executed.
pub fn untrusted(status: u16, what: &str) -> Fault {
    Fault::new(FaultClass::InDoubt, format!("the panel's address answered with {what}: {PREFIX_HINT}"))
        .with_code(status.to_string())
}

fn coded(class: FaultClass, status: u16, what: &str, shape: &Shape) -> Fault {
    let text = match shape.text() {
        Some(words) if !words.is_empty() => format!("{what} ({status}): {words}"),
        _ => format!("{what} ({status})"),
    };
    Fault::new(class, text).with_code(status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, kind: &str, body: &str) -> Reply {
        Reply {
            status,
            headers: vec![("Content-Type".into(), kind.into())],
            body: body.into(),
            retry_after_ms: (status == 429).then_some(7_000),
        }
    }

    /// One body of each shape: empty, in words, JSON without words, a page.
    fn bodies(status: u16) -> [Reply; 4] {
        [
            reply(status, "application/json", ""),
            reply(status, "application/json", r#"{"msg":"its words"}"#),
            reply(status, "application/json", r#"{"message":"a gateway's words"}"#),
            reply(status, "text/html", "<html></html>"),
        ]
    }

    #[test]
    fn every_code_with_every_shape_has_its_class_and_proof() {
        use FaultClass::{Auth, ConflictBusy, InDoubt, InvalidInput, NotFound, PanelBug, Permission, RateLimited};
        type Expected = [Option<(FaultClass, bool)>; 4];
        let all = |class, refused| -> Expected { [Some((class, refused)); 4] };
        let no_page = |class| -> Expected {
            [Some((class, true)), Some((class, true)), Some((class, true)), Some((class, false))]
        };
        let table: &[(&[u16], Expected)] = &[
            (&[200, 201, 202, 204], [None, None, None, Some((InDoubt, false))]),
            (&[301, 302, 303, 307, 308], all(InDoubt, false)),
            (&[400], no_page(InvalidInput)),
            (&[401], all(Auth, true)),
            (&[403], no_page(Permission)),
            (&[404], [Some((InDoubt, false)), Some((NotFound, true)), Some((InDoubt, false)), Some((InDoubt, false))]),
            (&[405, 406, 413, 419], all(PanelBug, false)),
            (&[101, 199, 408, 600, 999], all(InDoubt, false)),
            (&[409], no_page(ConflictBusy)),
            (&[422], no_page(InvalidInput)),
            (&[423], no_page(ConflictBusy)),
            (&[429], all(RateLimited, true)),
            (&[500, 501, 502, 504, 520, 599], all(InDoubt, false)),
            (&[503], all(ConflictBusy, false)),
        ];
        for (codes, expected) in table {
            for code in *codes {
                for (reply, expected) in bodies(*code).iter().zip(expected) {
                    let found = of(reply).map(|fault| (fault.class, fault.refused));
                    assert_eq!(found, *expected, "{code} with {:?}", Shape::of(reply));
                }
            }
        }
    }

    #[test]
    fn only_a_404_in_the_panels_words_is_gone() {
        let [empty, words, json, page] = bodies(404);
        assert!(is_gone(&words));
        assert!(is_gone(&reply(404, "application/json", r#"{"errors":["server not found"]}"#)));
        for other in [
            empty,
            json,
            page,
            reply(404, "text/html", r#"{"msg":"x"}"#),
            reply(410, "application/json", r#"{"msg":"x"}"#),
        ] {
            assert!(!is_gone(&other), "{other:?}");
        }
    }

    #[test]
    fn the_text_is_taken_in_order_from_errors_msg_and_message() {
        for (body, text) in [
            (r#"{"errors":["first","second"],"msg":"m"}"#, "first"),
            (r#"{"errors":{"a":["of a","more"],"b":["of b"]},"message":"m"}"#, "of a"),
            (r#"{"errors":{"a":"bare"}}"#, "bare"),
            (r#"{"msg":"m","message":"n"}"#, "m"),
            (r#"{"message":"n"}"#, "n"),
            (r#"{"errors":[],"message":"n"}"#, "n"),
        ] {
            let fault = of(&reply(422, "application/json", body)).unwrap();
            assert_eq!(
                fault.staff,
                format!(
                    "the panel refused the input or has no room: correct the product's settings, or free some (422): {text}"
                )
            );
        }
        assert!(of(&reply(422, "application/json", "[]")).unwrap().staff.ends_with("(422)"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let body = format!(r#"{{"msg":"{}"}}"#, "ü".repeat(2 * MAX_TEXT));
        let Shape::Words(text) = Shape::of(&reply(422, "application/json", &body)) else { panic!() };
        assert_eq!(text.chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn the_wait_that_the_panel_asks_for_is_passed_on() {
        assert_eq!(of(&bodies(429)[0]).unwrap().retry_after_ms, Some(7_000));
    }

    #[test]
    fn another_success_than_the_call_has_proves_nothing() {
        let fault = check(&reply(202, "application/json", ""), &[200, 201]).unwrap_err();
        assert_eq!((fault.class, fault.refused), (FaultClass::PanelBug, false));
        assert_eq!(check(&reply(201, "application/json", ""), &[200, 201]), Ok(()));
    }
}
