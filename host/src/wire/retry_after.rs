//! When a panel asks to be left alone for a while.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;

/// The longest wait that is believed. A panel that asks for more is asked again after this.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Reads `Retry-After` as RFC 9110 defines it: seconds, or any of the three forms of an HTTP date.
///
/// At most [`LONGEST`]; zero for a date that has passed. `None` when the header is absent or unreadable, so that the caller's
/// own back-off applies. Of several such headers the first counts.
pub fn retry_after(headers: &[(String, String)], now_unix_ms: u64) -> Option<Duration> {
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that overflow are a number all the same, and too large.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at_unix_ms = u64::try_from(http_date(value)?.as_millisecond()).unwrap_or(0);
        Duration::from_millis(at_unix_ms.saturating_sub(now_unix_ms))
    };
    Some(wait.min(LONGEST))
}

fn http_date(text: &str) -> Option<Timestamp> {
    // A wrong weekday changes nothing about the instant.
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    if let Ok(zoned) = parser.parse_zoned(text) {
        return Some(zoned.timestamp());
    }
    // The two obsolete forms that a recipient still has to read.
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| strtime::parse(form, text).ok()?.to_datetime().ok())
        .and_then(|utc: DateTime| utc.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        // 6 November 1994, 08:49:37 UTC.
        const NOW: u64 = 784_111_777_000;
        for (value, expected_secs) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 30 ", Some(30)),
            ("301", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:49:49 GMT", Some(12)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(300)),
            ("Sunday, 06-Nov-94 08:49:49 GMT", Some(12)),
            ("Sun Nov  6 08:49:49 1994", Some(12)),
            ("", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:49:49 GMT", None),
        ] {
            let headers = [("date".to_owned(), "x".to_owned()), ("Retry-After".to_owned(), value.to_owned())];
            let expected = expected_secs.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, NOW), expected, "{value:?}");
        }
        assert_eq!(retry_after(&[], NOW), None);
    }
}
