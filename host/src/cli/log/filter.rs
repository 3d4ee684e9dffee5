//! Which rows of the log: the arguments that all commands about it share.

use crate::cli::client::Call;
use crate::cli::ops::state_parser;
use crate::operation::State;
use billhook_plugin_api::{FaultClass, Hook};
use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// What is known of the entry.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct Filter {
    /// Only of this platform
    #[arg(long)]
    platform: Option<String>,
    /// Only about this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Only of this hook
    #[arg(long, value_parser = PossibleValuesParser::new(Hook::ALL.map(Hook::as_str)), hide_possible_values = true)]
    hook: Option<String>,
    /// Only on this server
    #[arg(long)]
    server: Option<String>,
    /// Only by this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<State>,
    /// Only with this class of the last fault
    #[arg(long, value_parser = PossibleValuesParser::new(FaultClass::ALL.map(FaultClass::as_str)), hide_possible_values = true)]
    fault: Option<String>,
    /// Only about services that have, or had, this id on a panel
    #[arg(long, value_name = "ID")]
    remote_id: Option<String>,
}

impl Filter {
    /// The call with these parameters.
    pub(in crate::cli) fn ask(&self, call: Call) -> Call {
        call.query("platform", self.platform.as_ref())
            .query("service_id", self.service.as_ref())
            .query("hook", self.hook.as_ref())
            .query("server", self.server.as_ref())
            .query("provider", self.provider.as_ref())
            .query("state", self.state)
            .query("fault", self.fault.as_ref())
            .query("remote_id", self.remote_id.as_ref())
    }
}

/// When it came.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct Times {
    /// Not older than this: 2026-05-01, "2026-05-01 12:00" (UTC), RFC 3339, or a time ago like 90m, 12h, 7d
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Option<When>,
    /// Older than this
    #[arg(long, value_name = "WHEN", value_parser = when)]
    to: Option<When>,
}

impl Times {
    /// The call with these parameters.
    pub(in crate::cli) fn ask(&self, call: Call, now_ms: u64) -> Call {
        call.query("from", self.from.map(|when| when.text(now_ms))).query("to", self.to.map(|when| when.text(now_ms)))
    }

    /// Where it begins, Unix milliseconds.
    pub(in crate::cli) fn earliest_ms(&self, now_ms: u64) -> Option<i64> {
        self.from.map(|when| when.at(now_ms).as_millisecond())
    }
}

/// A time as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    At(Timestamp),
    /// Milliseconds before now.
    Ago(i64),
}

impl When {
    fn at(self, now_ms: u64) -> Timestamp {
        let ago = |ms: i64| i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(ms).max(0);
        match self {
            Self::At(at) => at,
            Self::Ago(ms) => Timestamp::from_millisecond(ago(ms)).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    pub(super) fn text(self, now_ms: u64) -> String {
        format!("{:.3}", self.at(now_ms))
    }
}

pub(super) fn when(text: &str) -> Result<When, String> {
    if let Some(at) = text.find(|c: char| !c.is_ascii_digit())
        && let Ok(count) = text[..at].parse::<i64>()
        && let Some(unit) = unit(&text[at..])
    {
        return Ok(When::Ago(count.saturating_mul(unit)));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(When::At(at));
    }
    // A date alone is its midnight.
    let zoned = text.parse::<DateTime>().ok().and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
    zoned.map(|zoned| When::At(zoned.timestamp())).ok_or_else(|| {
        "write it as 2026-05-01, \"2026-05-01 12:00\", 2026-05-01T12:00:00Z, or as a time ago: 90m, 12h, 7d".to_owned()
    })
}

/// In milliseconds.
fn unit(text: &str) -> Option<i64> {
    Some(match text {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_taken_as_people_write_it() {
        let now = 1_777_636_800_000; // 2026-05-01T12:00:00Z
        for (text, expected) in [
            ("2026-04-30", "2026-04-30T00:00:00.000Z"),
            ("2026-04-30 07:30", "2026-04-30T07:30:00.000Z"),
            ("2026-04-30T07:30:05", "2026-04-30T07:30:05.000Z"),
            ("2026-04-30T07:30:05Z", "2026-04-30T07:30:05.000Z"),
            ("2026-04-30T07:30:05.5+02:00", "2026-04-30T05:30:05.500Z"),
            ("90m", "2026-05-01T10:30:00.000Z"),
            ("12h", "2026-05-01T00:00:00.000Z"),
            ("1w", "2026-04-24T12:00:00.000Z"),
            ("999999999999999999d", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(when(text).unwrap().text(now), expected, "{text}");
        }
        for text in ["", "yesterday", "12", "h", "-1h", "1.5h", "2026-13-01", "12y", "99999999999999999999s"] {
            assert!(when(text).is_err(), "{text}");
        }
    }
}
