//! `usage`: traffic of the running period, disk and memory.

use crate::api::guest;
use crate::api::resources::{self, Period};
use crate::panel::Owned;
use billhook_plugin_api::{Cx, Fault, Measure, UsageReport};

/// The panel writes GB and MB where it counts in powers of two.
const GB: u64 = 1 << 30;
const MB: u64 = 1 << 20;

/// Reads what the server uses. What the panel does not tell is left out: a zero would be taken for a figure.
pub async fn run(cx: &Cx, owned: Owned<'_>) -> Result<UsageReport, Fault> {
    let (server, reply) = owned.read_with_power(cx).await?;
    let periods = resources::traffic_reply(&cx.http(resources::traffic(owned.id)).await?)?;
    let now = cx.now().await?;
    let (used, limit) = current(&periods, &utc(now)).map_or((0, None), |period| (period.used, period.limit));
    let bytes = |name: &str, used: u64, limit: Option<u64>, period: Option<&str>| Measure {
        name: name.into(),
        used,
        limit,
        unit: "bytes".into(),
        period: period.map(str::to_owned),
    };
    let scaled = |value: Option<u64>, unit: u64| value.and_then(|value| value.checked_mul(unit));
    let mut measures = vec![bytes("traffic", used, scaled(limit, GB), Some("month"))];
    let measured = guest::measured(&reply)?;
    measures.extend(measured.disk.map(|used| bytes("disk", used, scaled(server.resources.storage, GB), None)));
    measures.extend(measured.memory.map(|used| bytes("memory", used, scaled(server.resources.memory, MB), None)));
    Ok(UsageReport { measures })
}

/// The period that holds now, else the newest. Dates of one form compare as texts.
fn current<'a>(periods: &'a [Period], now: &str) -> Option<&'a Period> {
    let holds = |period: &&Period| period.start.as_str() <= now && now <= period.end.as_str();
    periods.iter().find(holds).or(periods.first())
}

/// Unix milliseconds as the panel writes dates, which have no zone: `2025-01-06 00:00:00`.
fn utc(unix_ms: u64) -> String {
    let (days, second) = (unix_ms / 86_400_000, unix_ms / 1_000 % 86_400);
    // Years that begin in March, in eras of 400 of them, so that the leap day comes last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Machine, Stage, ok};
    use billhook_plugin_api::{Provider, Usage};
    use serde_json::{Value, json};

    fn read(remote: Value, traffic: u64) -> Vec<(String, u64, Option<u64>)> {
        let host = Stage::with(Machine { remote, traffic, ..Machine::complete(300) }).host();
        let request = Usage { service: stage::service(), product: stage::product(json!({})) };
        let report = ok(host.run(async |cx| stage::provider().usage(cx, request).await));
        assert!(host.changes().is_empty());
        report.measures.into_iter().map(|measure| (measure.name, measure.used, measure.limit)).collect()
    }

    #[test]
    fn what_the_panel_does_not_tell_is_left_out() {
        let traffic = |limit| ("traffic".to_owned(), 3, limit);
        let disk = ("disk".to_owned(), 700, Some(10 * GB));
        let memory = |used: u64| ("memory".to_owned(), used * 1024, Some(1024 * MB));
        for (remote, traffic_gb, expected) in [
            (json!(false), 0, vec![traffic(None)]),
            (json!(false), 200, vec![traffic(Some(250 * GB))]),
            (json!({ "state": "running", "agent": { "fsinfo": [] }, "memory": {} }), 0, vec![traffic(None)]),
            (
                json!({ "agent": { "fsinfo": [{ "used-bytes": 300 }, { "used-bytes": "400" }] },
                    "memory": { "actual": "1000", "available": "900", "unused": "200" } }),
                0,
                vec![traffic(None), disk, memory(700)],
            ),
            (json!({ "memory": { "memtotal": 1000, "memfree": 400 } }), 0, vec![traffic(None), memory(600)]),
            (json!({ "memory": { "actual": 1, "unused": 2 } }), 0, vec![traffic(None)]),
        ] {
            assert_eq!(read(remote.clone(), traffic_gb), expected, "{remote}");
        }
    }

    #[test]
    fn dates_are_written_as_the_panel_writes_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399_000, "2000-02-28 23:59:59"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (951_868_800_000, "2000-03-01 00:00:00"),
            (1_736_121_600_000, "2025-01-06 00:00:00"),
            (1_830_297_600_000, "2028-01-01 00:00:00"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(unix_ms), text);
        }
    }

    #[test]
    fn the_period_that_holds_now_counts_else_the_newest() {
        let period = |start: &str, end: &str, used| Period { start: start.into(), end: end.into(), used, limit: None };
        let periods = [
            period("2025-02-06 00:00:00", "2025-03-05 23:59:59", 2),
            period("2025-01-06 00:00:00", "2025-02-05 23:59:59", 1),
        ];
        for (now, used) in [
            ("2025-02-05 23:59:59", 1),
            ("2025-02-06 00:00:00", 2),
            ("2025-01-06 00:00:00", 1),
            ("2026-01-01 00:00:00", 2),
            ("2024-01-01 00:00:00", 2),
        ] {
            assert_eq!(current(&periods, now).unwrap().used, used, "{now}");
        }
        assert_eq!(current(&[], "2025-01-06 00:00:00"), None);
    }
}
