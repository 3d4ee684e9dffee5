//! Durations, sizes and other values that are written as text. Pure.

use std::time::Duration;

use super::finding::Problem;
use crate::lane::RateLimit;

/// Reads `"500ms"`, `"30s"`, `"10m"`, `"24h"`, `"7d"`; one whole number and one unit, longer than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let refused = || {
        Problem::new(
            format!("{text:?} is not a duration"),
            "write a whole number above zero and a unit, such as \"500ms\", \"30s\", \"10m\", \"24h\" or \"7d\"",
        )
    };
    let (number, unit) = split_number(text).ok_or_else(refused)?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    match number.checked_mul(unit_ms) {
        // Ten years: longer than anything here lasts, short enough to be added to any time.
        Some(ms @ 1..=315_360_000_000) => Ok(Duration::from_millis(ms)),
        _ => Err(refused()),
    }
}

/// Reads `"60 per 1m"`: so many in any stretch of time of that length.
pub(super) fn rate(text: &str) -> Result<RateLimit, Problem> {
    // Each exchange of an interval is remembered.
    const MOST: u32 = 10_000;
    let refused = || {
        Problem::new(
            format!("{text:?} is not a rate"),
            format!("write a number from 1 to {MOST} and a duration, such as \"60 per 1m\" or \"5 per 1s\""),
        )
    };
    let (count, interval) = text.split_once(" per ").ok_or_else(refused)?;
    let count = count.trim().parse().ok().filter(|count| (1..=MOST).contains(count)).ok_or_else(refused)?;
    let interval = duration(interval.trim()).map_err(|_| refused())?;
    Ok(RateLimit { count, interval })
}

/// Reads `"512B"`, `"256KiB"`, `"1MiB"`, `"2GiB"`, in bytes; more than none.
pub(super) fn size(text: &str) -> Result<u64, Problem> {
    let refused = || {
        Problem::new(
            format!("{text:?} is not a size"),
            "write a whole number above zero and a unit, such as \"512B\", \"256KiB\", \"1MiB\" or \"2GiB\"",
        )
    };
    let (number, unit) = split_number(text).ok_or_else(refused)?;
    let unit_bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(refused()),
    };
    number.checked_mul(unit_bytes).filter(|bytes| *bytes > 0).ok_or_else(refused)
}

/// Reads the octal rights of a socket; others than user and group never get any.
pub(super) fn socket_mode(text: &str) -> Result<u32, Problem> {
    let mode = Some(text)
        .filter(|text| (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| u32::from_str_radix(text, 8).ok())
        .ok_or_else(|| Problem::new(format!("{text:?} is not a mode"), "write octal rights, such as \"0660\""))?;
    if mode & !0o660 != 0 {
        return Err(Problem::new(
            format!("mode {text} gives more than reading and writing to user and group"),
            "write \"0600\" or \"0660\", and name the group",
        ));
    }
    Ok(mode)
}

/// Reads a SHA-256 in hex; colons between the bytes, as openssl prints them, are fine.
pub(super) fn sha256(text: &str) -> Result<[u8; 32], Problem> {
    let refused = || Problem::new("is not a SHA-256", "write 64 hex digits, as sha256sum prints them");
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()
        .ok_or_else(refused)?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() != 64 {
        return Err(refused());
    }
    bytes.try_into().map_err(|_| refused())
}

/// Whether `name` may name a server, a product or a platform.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, ms) in
            [("1ms", 1), ("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("24h", 86_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "30 s",
            "30S",
            "1h30m",
            "5w",
            "99999999999999999999s",
            "99999999d",
            " 30s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        for (text, count, secs) in [("60 per 1m", 60, 60), ("5 per 1s", 5, 1), ("1 per 2h", 1, 7_200)] {
            assert_eq!(rate(text), Ok(RateLimit { count, interval: Duration::from_secs(secs) }), "{text}");
        }
        for text in ["", "60", "60/1m", "0 per 1m", "60 per m", "60 per 0s", "10001 per 1s", "-1 per 1s", "60per1m"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_a_number_and_a_binary_unit() {
        for (text, bytes) in [("1B", 1), ("256KiB", 262_144), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "0B", "1MB", "1 MiB", "1mib", "-1B", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_socket_is_never_open_to_the_world() {
        for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0600", 0o600), ("0400", 0o400)] {
            assert_eq!(socket_mode(text), Ok(mode), "{text}");
        }
        for text in ["", "0666", "0662", "0664", "0770", "1660", "rw", "0x1b0", "06", "+660"] {
            assert!(socket_mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_as_the_usual_tools_print_it() {
        let plain = "00ff".repeat(16);
        let colons =
            plain.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect::<Vec<_>>().join(":");
        assert_eq!(sha256(&plain), Ok([0, 255].repeat(16).try_into().expect("32 bytes")));
        assert_eq!(sha256(&colons), sha256(&plain));
        for text in ["", "00ff", &"00ff".repeat(17), &"00fg".repeat(16), &plain[1..]] {
            assert!(sha256(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_plain() {
        for name in ["a", "panel-1", "vps_small", "1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Panel", "-a", "a.b", "a b", "ü", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
