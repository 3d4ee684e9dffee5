//! The results as text for a person.

use std::fmt::Write as _;

use super::compare::{BY_EXCHANGES, CALLERS, COMPARED, FLOOR_SQLX, PRODUCT};
use super::databases;
use super::dead_panel;
use super::figures::{Figure, Results, Spread};
use super::medium::Medium;
use super::providers::PROVIDERS;
use super::targets::{Bound, Judgement, Kind, Target};

/// Everything, as tables.
pub(super) fn text(results: &Results, judgement: &Judgement) -> String {
    let mut out = String::new();
    let providers: Vec<String> = PROVIDERS.iter().flat_map(super::providers::Provider::variants).collect();
    for medium in Medium::ALL {
        let compared = COMPARED.iter().chain(&BY_EXCHANGES).map(|name| (*name).to_owned());
        let beside = [dead_panel::ALONE, dead_panel::BESIDE].map(str::to_owned);
        let others = providers.iter().cloned().chain(beside);
        let lines: Vec<String> = compared
            .chain(others)
            .flat_map(|variant| CALLERS.map(|callers| line(results, medium, &variant, callers)))
            .flatten()
            .collect();
        if !lines.is_empty() {
            let _ = writeln!(out, "## {}\n\n{HEAD}\n{}\n", medium.name(), lines.join("\n"));
        }
        stores(results, medium, &mut out);
    }
    resources(results, &mut out);
    targets(judgement, &mut out);
    out
}

const HEAD: &str = "\
| variant | callers | hooks/s (range) | p50 ms | p99 ms | of floor, sqlx | CPU us a hook | of it plugin | syncs a hook |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

fn line(results: &Results, medium: Medium, variant: &str, callers: usize) -> Option<String> {
    let spread = |value: fn(&Figure) -> Option<f64>| results.spread(medium, variant, callers, value);
    let rate = spread(|figure| Some(figure.rate))?;
    let millis = |found: Option<Spread>| found.map_or(String::new(), |found| format!("{:.3}", found.median / 1_000.0));
    let plain =
        |found: Option<Spread>, digits| found.map_or(String::new(), |found| format!("{:.digits$}", found.median));
    let share = if variant == PRODUCT {
        results.paired(medium, [PRODUCT, FLOOR_SQLX], callers, |one, other| one.rate / other.rate)
    } else {
        None
    };
    Some(format!(
        "| {variant} | {callers} | {:.0} ({:.0} to {:.0}) | {} | {} | {} | {} | {} | {} |",
        rate.median,
        rate.least,
        rate.most,
        millis(spread(|figure| Some(figure.p50_us))),
        millis(spread(|figure| Some(figure.p99_us))),
        plain(share, 2),
        plain(spread(|figure| figure.cpu_us), 0),
        plain(spread(|figure| figure.plugins_us), 0),
        plain(spread(|figure| figure.syncs), 3),
    ))
}

const STORES_HEAD: &str = "\
| store | callers | hooks/s (range) | of sqlite | p50 ms | p99 ms | CPU us a hook | server CPU us a hook | syncs a hook |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

/// One store beside the other, each value with its range.
fn stores(results: &Results, medium: Medium, out: &mut String) {
    let mut lines = Vec::new();
    for (variant, callers) in databases::VARIANTS.iter().flat_map(|variant| CALLERS.map(|callers| (*variant, callers)))
    {
        let ranged = |found: Option<Spread>, digits: usize| {
            found.map_or(String::new(), |Spread { median, least, most }| {
                format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
            })
        };
        let spread = |value: fn(&Figure) -> Option<f64>| results.spread(medium, variant, callers, value);
        let Some(rate) = spread(|figure| Some(figure.rate)) else { continue };
        let share = results.paired(medium, [variant, databases::SQLITE], callers, |one, sqlite| one.rate / sqlite.rate);
        lines.push(format!(
            "| {variant} | {callers} | {} | {} | {} | {} | {} | {} | {} |",
            ranged(Some(rate), 0),
            ranged(share.filter(|_| variant != databases::SQLITE), 2),
            ranged(spread(|figure| Some(figure.p50_us / 1_000.0)), 2),
            ranged(spread(|figure| Some(figure.p99_us / 1_000.0)), 2),
            ranged(spread(|figure| figure.cpu_us), 0),
            ranged(spread(|figure| figure.server_us), 0),
            ranged(spread(|figure| figure.syncs), 3),
        ));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "## Stores, {}\n\n{STORES_HEAD}\n{}\n", medium.name(), lines.join("\n"));
    }
}

fn resources(results: &Results, out: &mut String) {
    if !results.memory.is_empty() {
        out.push_str("## Memory\n\n| program | idle MB | at most MB |\n| --- | ---: | ---: |\n");
        for (name, (idle, most)) in &results.memory {
            let megabytes = |kilobytes: &u64| *kilobytes as f64 / 1_024.0;
            let _ = writeln!(out, "| {name} | {:.1} | {:.1} |", megabytes(idle), megabytes(most));
        }
        out.push('\n');
    }
    if let Some(row) = &results.row {
        let _ = writeln!(
            out,
            "## On the disk, a hook ({} hooks): {:.0} B\n\n| table with its indexes | B a hook |\n| --- | ---: |",
            row.hooks, row.bytes
        );
        let mut tables: Vec<_> = row.tables.iter().filter(|(_, bytes)| **bytes >= 1.0).collect();
        tables.sort_by(|one, other| other.1.total_cmp(one.1));
        for (name, bytes) in tables {
            let _ = writeln!(out, "| {name} | {bytes:.0} |");
        }
        out.push('\n');
    }
}

fn targets(judgement: &Judgement, out: &mut String) {
    for (kind, title) in [(Kind::Floor, "The floor"), (Kind::Must, "Must"), (Kind::Goal, "Goals")] {
        let _ = writeln!(out, "## {title}\n\n| what | found (range) | wanted | |\n| --- | ---: | ---: | --- |");
        for target in judgement.targets.iter().filter(|target| target.kind == kind) {
            let _ = writeln!(out, "{}", judged(target));
        }
        out.push('\n');
    }
    if judgement.is_void() {
        out.push_str("VOID: the floor is not the floor that it should be, so that nothing can be said of the daemon beside it.\n");
    }
}

fn judged(target: &Target) -> String {
    let unit = target.unit;
    let found = match target.found {
        None => String::new(),
        Some(Spread { median, least, most }) if least < most => {
            format!("{} ({} to {}) {unit}", number(median), number(least), number(most))
        }
        Some(Spread { median, .. }) => format!("{} {unit}", number(median)),
    };
    let wanted = match target.bound {
        Bound::AtLeast(bound) => format!("at least {} {unit}", number(bound)),
        Bound::AtMost(bound) => format!("at most {} {unit}", number(bound)),
        Bound::Between(least, most) => format!("{} to {}", number(least), number(most)),
    };
    let verdict = match target.is_met() {
        None => "not measured",
        Some(true) => "met",
        Some(false) => "MISSED",
    };
    format!("| {} | {} | {} | {verdict} |", target.name, found.trim_end(), wanted.trim_end())
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        1.0..10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::targets::judge;

    #[test]
    fn a_line_says_what_was_found_what_is_wanted_and_the_verdict() {
        let target = Target {
            name: "added".into(),
            found: Some(Spread { median: 431.7, least: 400.0, most: 512.0 }),
            bound: Bound::AtMost(600.0),
            unit: "us",
            kind: Kind::Must,
        };
        assert_eq!(judged(&target), "| added | 432 (400 to 512) us | at most 600 us | met |");
    }

    #[test]
    fn what_was_not_measured_has_no_table_and_says_so_among_the_targets() {
        let results = Results::default();
        let text = text(&results, &judge(&results));
        assert!(!text.contains("hooks/s") && !text.contains("## Memory") && !text.contains("VOID"), "{text}");
        assert!(text.contains("| memory, idle |  | at most 40.0 MB | not measured |"), "{text}");
    }
}
