//! What a caller says in headers. Pure.

use crate::engine::HookOptions;
use crate::problem::Problem;
use axum::http::{HeaderMap, header};
use std::time::Duration;

/// How long a caller waits that does not say: less than the 30 seconds after which PHP ends a page.
pub(super) const WAIT_UNLESS_SAID: Duration = Duration::from_secs(25);
/// Names the platform, on `admin.sock`.
pub(super) const PLATFORM: &str = "billhook-platform";

const KEY: &str = "idempotency-key";
const PREFER: &str = "prefer";
const LONGEST_KEY: usize = 255;

/// Key and expiry of a hook.
pub(super) fn hook_options(headers: &HeaderMap) -> Result<HookOptions, Problem> {
    Ok(HookOptions { key: idempotency_key(headers)?, expires_at: expires(headers)? })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let refused = |detail: &str| {
        Problem::at("Idempotency-Key", detail).remedy("send one key of 1 to 255 visible ASCII characters, or none")
    };
    let Some(key) = only(headers, KEY).map_err(|()| refused("given more than once"))? else { return Ok(None) };
    match key {
        [] => Err(refused("empty")),
        key if key.len() > LONGEST_KEY => Err(refused("longer than 255 characters")),
        key if !key.iter().all(u8::is_ascii_graphic) => Err(refused("has a character that is not visible ASCII")),
        key => Ok(Some(String::from_utf8_lossy(key).into_owned())),
    }
}

/// `Expires`, as an HTTP date or RFC 3339, in Unix milliseconds.
fn expires(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let refused = |detail: &str| {
        Problem::at("Expires", detail).remedy("write an HTTP date or RFC 3339, such as 2026-05-01T12:00:00Z")
    };
    let Some(text) = only(headers, header::EXPIRES.as_str()).map_err(|()| refused("given more than once"))? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(text).map_err(|_| refused("not text"))?.trim();
    let instant = text
        .parse::<jiff::Timestamp>()
        .ok()
        .or_else(|| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
    let instant = instant.ok_or_else(|| refused("not an instant"))?;
    // Before 1970 is as expired as 1970.
    Ok(Some(u64::try_from(instant.as_millisecond()).unwrap_or(0)))
}

/// How long the caller waits for the result, at most `longest`. The first wait counts (RFC 7240); preferences that are not
/// known are passed over.
pub(super) fn wait(headers: &HeaderMap, longest: Duration) -> Result<Duration, Problem> {
    let refused = || Problem::at("Prefer", "wait is not a number of seconds").remedy("write `Prefer: wait=25`");
    for line in headers.get_all(PREFER) {
        let line = line.to_str().map_err(|_| Problem::at("Prefer", "not text"))?;
        for preference in line.split(',') {
            // What follows a semicolon are parameters of the preference; `wait` has none.
            let preference = preference.split(';').next().unwrap_or_default().trim();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => return Ok(Duration::ZERO),
                "wait" => {
                    return seconds(value.trim().trim_matches('"')).ok_or_else(refused).map(|wait| wait.min(longest));
                }
                _ => {}
            }
        }
    }
    Ok(WAIT_UNLESS_SAID.min(longest))
}

/// A whole number of seconds.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number holds are a very long wait, which the limit cuts.
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))))
}

/// Whether the body is declared as JSON. A declaration other than UTF-8 is not: JSON has no other.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Ok(Some(declared)) = only(headers, header::CONTENT_TYPE.as_str()) else { return false };
    let declared = String::from_utf8_lossy(declared).to_ascii_lowercase();
    let mut parts = declared.split(';').map(str::trim);
    let is_json = parts.next() == Some("application/json");
    is_json && parts.all(|part| part.strip_prefix("charset=").is_none_or(|set| set.trim_matches('"') == "utf-8"))
}

/// The platform that an admin names.
pub(super) fn platform(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let refused = || Problem::at("Billhook-Platform", "not the name of one platform");
    let name = only(headers, PLATFORM).map_err(|()| refused())?;
    name.map(|name| std::str::from_utf8(name).map(str::to_owned).map_err(|_| refused())).transpose()
}

/// The header's value; `Err` when it is given more than once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first.map(axum::http::HeaderValue::as_bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    const LONGEST: Duration = Duration::from_secs(120);

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_wait_is_read_as_rfc_7240_says() {
        for (lines, secs) in [
            (&[][..], Some(25)),
            (&[("prefer", "wait=10")], Some(10)),
            (&[("prefer", "wait=0")], Some(0)),
            (&[("prefer", "Wait = \"7\"")], Some(7)),
            (&[("prefer", "respond-async")], Some(0)),
            (&[("prefer", "return=minimal, wait=3; foo=bar")], Some(3)),
            (&[("prefer", "return=minimal"), ("prefer", "wait=4")], Some(4)),
            (&[("prefer", "wait=5, wait=6")], Some(5)),
            (&[("prefer", "wait=99999")], Some(120)),
            (&[("prefer", "wait=99999999999999999999999999")], Some(120)),
            (&[("prefer", "handling=lenient")], Some(25)),
            (&[("prefer", "wait")], None),
            (&[("prefer", "wait=-1")], None),
            (&[("prefer", "wait=+1")], None),
            (&[("prefer", "wait=1.5")], None),
            (&[("prefer", "wait=soon")], None),
        ] {
            assert_eq!(wait(&headers(lines), LONGEST).ok().map(|wait| wait.as_secs()), secs, "{lines:?}");
        }
    }

    #[test]
    fn an_expiry_is_an_http_date_or_rfc_3339() {
        for (text, at) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T01:00:01.5+01:00", Some(1_500)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)),
            ("1969-01-01T00:00:00Z", Some(0)),
            ("0", None),
            ("", None),
            ("tomorrow", None),
            ("2026-05-01", None),
            ("2026-05-01T12:00:00", None),
        ] {
            assert_eq!(hook_options(&headers(&[("expires", text)])).ok().map(|o| o.expires_at), at.map(Some), "{text}");
        }
    }

    #[test]
    fn a_key_is_visible_ascii_and_there_is_one() {
        let longest = "k".repeat(255);
        let longer = "k".repeat(256);
        for (lines, key) in [
            (&[][..], Ok(None)),
            (&[("idempotency-key", "whmcs-1:order-881:create")], Ok(Some("whmcs-1:order-881:create"))),
            (&[("idempotency-key", longest.as_str())], Ok(Some(longest.as_str()))),
            (&[("idempotency-key", longer.as_str())], Err(())),
            (&[("idempotency-key", "")], Err(())),
            (&[("idempotency-key", "a b")], Err(())),
            (&[("idempotency-key", "é")], Err(())),
            (&[("idempotency-key", "a"), ("idempotency-key", "a")], Err(())),
        ] {
            let read = hook_options(&headers(lines));
            assert_eq!(read.as_ref().map(|o| o.key.as_deref()).map_err(|_| ()), key, "{lines:?}");
        }
    }

    #[test]
    fn only_json_is_json() {
        for (text, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("text/json", false),
            ("application/json5", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            assert_eq!(is_json(&headers(&[("content-type", text)])), expected, "{text}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
