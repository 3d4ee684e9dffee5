//! What the figures must be, and whether the comparison holds at all.

use serde_json::{Value, json};

use super::compare::{CALLERS, FLOOR_RUSQLITE, FLOOR_SQLX, NO_EXCHANGE, PRODUCT, RAW, THREE_EXCHANGES};
use super::dead_panel::{ALONE, BESIDE};
use super::figures::{Results, Row, Spread};
use super::medium::Medium;

/// A claim, and what was measured of it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    /// `None` when it was not measured.
    pub(super) found: Option<Spread>,
    pub(super) bound: Bound,
    pub(super) unit: &'static str,
    pub(super) kind: Kind,
}

/// On which side of its number a good figure is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Between(f64, f64),
}

/// What follows from a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The daemon is too slow or too big.
    Must,
    /// Nothing; good to know.
    Goal,
    /// The floor is not the floor that was measured before, and nothing can be said of the daemon beside it.
    Floor,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) targets: Vec<Target>,
}

impl Target {
    /// Whether the middle of the rounds is on the good side; `None` when nothing was measured.
    pub(super) fn is_met(&self) -> Option<bool> {
        let found = self.found?.median;
        Some(match self.bound {
            Bound::AtLeast(bound) => found >= bound,
            Bound::AtMost(bound) => found <= bound,
            Bound::Between(least, most) => (least..=most).contains(&found),
        })
    }
}

impl Judgement {
    /// Whether the floor is as slow and as fast beside the raw call as it should be.
    pub(super) fn is_void(&self) -> bool {
        self.targets.iter().any(|target| target.kind == Kind::Floor && target.is_met() == Some(false))
    }

    pub(super) fn to_json(&self) -> Value {
        let targets = self.targets.iter().map(|target| {
            let bound = match target.bound {
                Bound::AtLeast(bound) => json!({ "at_least": bound }),
                Bound::AtMost(bound) => json!({ "at_most": bound }),
                Bound::Between(least, most) => json!({ "at_least": least, "at_most": most }),
            };
            json!({
                "name": target.name, "unit": target.unit, "bound": bound, "kind": format!("{:?}", target.kind),
                "median": target.found.map(|found| found.median), "least": target.found.map(|found| found.least),
                "most": target.found.map(|found| found.most), "is_met": target.is_met(),
            })
        });
        json!({ "is_void": self.is_void(), "targets": targets.collect::<Value>() })
    }
}

/// Rates of the floor over those of the raw call, as measured on a quiet machine when the floor was first written; for
/// 1, 8 and 64 callers.
const FLOOR_OVER_RAW: [(Medium, [f64; 3]); 2] =
    [(Medium::Tmpfs, [0.317, 0.135, 0.159]), (Medium::Sync1ms, [0.044, 0.0232, 0.0952])];
/// How far a machine may be from that one. A single caller's time has two modes, by whether cores must be woken.
const TOLERANCE: (f64, f64) = (0.6, 1.7);
/// The slower library is known to be up to half as fast where a sync costs nothing.
const SQLX_OVER_RUSQLITE: f64 = 0.5;

/// What stands in the module log alone; the operation with its request is also what is worked on.
const LOG_TABLES: [&str; 5] = ["log", "attempt", "exchange", "body", "note"];

/// Holds the results against everything that is wanted of them.
pub(super) fn judge(results: &Results) -> Judgement {
    let mut targets = Vec::new();
    floors(results, &mut targets);
    speed(results, &mut targets);
    resources(results, &mut targets);
    Judgement { targets }
}

fn ratio(results: &Results, medium: Medium, pair: [&str; 2], callers: usize) -> Option<Spread> {
    results.paired(medium, pair, callers, |one, other| one.rate / other.rate)
}

fn floors(results: &Results, targets: &mut Vec<Target>) {
    for (medium, expected) in FLOOR_OVER_RAW {
        for (callers, expected) in CALLERS.into_iter().zip(expected) {
            targets.push(Target {
                name: format!("{}: floor (rusqlite) / raw call, {callers} callers", medium.name()),
                found: ratio(results, medium, [FLOOR_RUSQLITE, RAW], callers),
                bound: Bound::Between(expected * TOLERANCE.0, expected * TOLERANCE.1),
                unit: "",
                kind: Kind::Floor,
            });
        }
    }
    for medium in Medium::ALL {
        for callers in CALLERS {
            targets.push(Target {
                name: format!("{}: floor (sqlx) / floor (rusqlite), {callers} callers", medium.name()),
                found: ratio(results, medium, [FLOOR_SQLX, FLOOR_RUSQLITE], callers),
                bound: Bound::AtLeast(SQLX_OVER_RUSQLITE),
                unit: "",
                kind: Kind::Floor,
            });
        }
        for floor in [FLOOR_RUSQLITE, FLOOR_SQLX] {
            targets.push(Target {
                name: format!("{}: syncs a hook of the {floor}, 1 caller", medium.name()),
                found: results.spread(medium, floor, 1, |figure| figure.syncs),
                // Two, and now and then a checkpoint's.
                bound: Bound::Between(1.99, 2.2),
                unit: "",
                kind: Kind::Floor,
            });
        }
    }
}

fn speed(results: &Results, targets: &mut Vec<Target>) {
    let wanted = [
        (Medium::Sync1ms, 1, 0.85),
        (Medium::Sync1ms, 8, 0.65),
        (Medium::Sync1ms, 64, 0.65),
        (Medium::Tmpfs, 64, 0.45),
    ];
    for (medium, callers, bound) in wanted {
        targets.push(Target {
            name: format!("{}: billhook / floor (sqlx), {callers} callers", medium.name()),
            found: ratio(results, medium, [PRODUCT, FLOOR_SQLX], callers),
            bound: Bound::AtLeast(bound),
            unit: "",
            kind: Kind::Must,
        });
    }
    let tmpfs = Medium::Tmpfs;
    targets.push(Target {
        name: "tmpfs: added to the raw call by one exchange, 1 caller, p50".to_owned(),
        found: results.paired(tmpfs, [PRODUCT, RAW], 1, |product, raw| product.p50_us - raw.p50_us),
        bound: Bound::AtMost(600.0),
        unit: "us",
        kind: Kind::Must,
    });
    let raw = results.spread(tmpfs, RAW, 1, |figure| Some(figure.p50_us)).map_or(0.0, |raw| raw.median);
    targets.push(Target {
        name: "tmpfs: added to the raw call by each further exchange, 1 caller, p50".to_owned(),
        found: results
            .paired(tmpfs, [THREE_EXCHANGES, PRODUCT], 1, |three, one| (three.p50_us - one.p50_us) / 2.0 - raw),
        bound: Bound::AtMost(200.0),
        unit: "us",
        kind: Kind::Must,
    });
    targets.push(Target {
        name: "tmpfs: the first exchange itself, 1 caller, p50".to_owned(),
        found: results.paired(tmpfs, [PRODUCT, NO_EXCHANGE], 1, |one, none| one.p50_us - none.p50_us - raw),
        bound: Bound::AtMost(200.0),
        unit: "us",
        kind: Kind::Goal,
    });
    for callers in [1, 8] {
        targets.push(Target {
            name: format!("create beside a panel that hangs / alone, {callers} callers, p50"),
            found: results.paired(tmpfs, [BESIDE, ALONE], callers, |beside, alone| beside.p50_us / alone.p50_us),
            bound: Bound::AtMost(1.2),
            unit: "",
            kind: Kind::Must,
        });
    }
    for slow in &results.slow {
        for share in ["p50", "p99"] {
            let times = slow[share]["times"].as_f64();
            targets.push(Target {
                name: format!(
                    "a status beside {} slow connections / alone, {}, {share}",
                    slow["slow"],
                    slow["socket"].as_str().unwrap_or_default()
                ),
                found: Spread::of(times),
                bound: Bound::AtMost(2.0),
                unit: "",
                kind: Kind::Must,
            });
        }
        for (member, words, bound, unit, scale) in
            [("added_kib", "memory", 32.0, "MB", 1_024.0), ("files_left", "files left open", 0.0, "", 1.0)]
        {
            targets.push(Target {
                name: format!(
                    "{words} of {} slow connections, {}",
                    slow["slow"],
                    slow["socket"].as_str().unwrap_or_default()
                ),
                found: Spread::of(slow[member].as_f64().map(|found| found / scale)),
                bound: Bound::AtMost(bound),
                unit,
                kind: Kind::Must,
            });
        }
    }
    for (callers, bound) in [(1, 2.1), (64, 0.15)] {
        targets.push(Target {
            name: format!("sync1ms: syncs a hook, {callers} callers"),
            found: results.spread(Medium::Sync1ms, PRODUCT, callers, |figure| figure.syncs),
            bound: Bound::AtMost(bound),
            unit: "",
            kind: Kind::Goal,
        });
    }
    targets.push(Target {
        name: "tmpfs: processor time a hook, billhook / floor (sqlx), 64 callers".to_owned(),
        found: results.paired(tmpfs, [PRODUCT, FLOOR_SQLX], 64, |product, floor| {
            product.cpu_us.unwrap_or(f64::NAN) / floor.cpu_us.unwrap_or(f64::NAN)
        }),
        bound: Bound::AtMost(2.5),
        unit: "",
        kind: Kind::Goal,
    });
}

fn resources(results: &Results, targets: &mut Vec<Target>) {
    let one = |value: f64| Spread { median: value, least: value, most: value };
    let mut add = |name: String, found, bound: f64, unit, kind| {
        targets.push(Target { name, found, bound: Bound::AtMost(bound), unit, kind });
    };
    let memory = results.memory.get(PRODUCT);
    let megabytes = |kilobytes: u64| one(kilobytes as f64 / 1_024.0);
    add("memory, idle".into(), memory.map(|(idle, _)| megabytes(*idle)), 40.0, "MB", Kind::Must);
    add("memory, idle (stretch)".into(), memory.map(|(idle, _)| megabytes(*idle)), 25.0, "MB", Kind::Goal);
    add("memory, at most, after 64 callers".into(), memory.map(|(_, most)| megabytes(*most)), 100.0, "MB", Kind::Must);
    for (pending, words) in [("waiting", "1000 operations wait"), ("due", "1000 operations are due at once")] {
        let starts = || results.starts.iter().filter(move |start| start.pending == pending);
        let ready = Spread::of(starts().map(|start| start.ready_ms));
        let hook = Spread::of(starts().map(|start| start.hook_ms));
        add(format!("start to ready, {words}"), ready, 200.0, "ms", Kind::Must);
        add(format!("start to the first hook's answer, {words}"), hook, 200.0, "ms", Kind::Must);
        add(format!("start to ready, {words} (stretch)"), ready, 50.0, "ms", Kind::Goal);
    }
    for (name, bytes) in &results.sizes {
        let bound = if name.ends_with(".so") { 1.0 } else { 25.0 };
        add(format!("size of {name}, stripped"), Some(one(*bytes as f64 / 1e6)), bound, "MB", Kind::Must);
    }
    let row = results.row.as_ref();
    let log = |row: &Row| LOG_TABLES.iter().filter_map(|name| row.tables.get(*name)).sum();
    let name = "disk for a hook with bodies of 1.6 + 3.6 KB that the dictionary does not know";
    add(name.into(), row.map(|row| one(row.bytes)), 4_500.0, "B", Kind::Goal);
    add(format!("{name}: of it the log's tables"), row.map(|row| one(log(row))), 2_700.0, "B", Kind::Goal);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::{Figure, Start};

    fn figure(medium: Medium, variant: &str, callers: usize, rate: f64) -> Figure {
        let variant = variant.to_owned();
        Figure {
            medium,
            variant,
            callers,
            round: 1,
            rate,
            p50_us: 1e6 / rate,
            p99_us: 0.0,
            cpu_us: None,
            plugins_us: None,
            server_us: None,
            syncs: Some(2.0),
        }
    }

    fn target<'a>(judgement: &'a Judgement, name: &str) -> &'a Target {
        judgement.targets.iter().find(|target| target.name == name).unwrap()
    }

    #[test]
    fn a_figure_is_held_against_its_bound() {
        let figures = vec![
            figure(Medium::Tmpfs, FLOOR_SQLX, 64, 10_000.0),
            figure(Medium::Tmpfs, PRODUCT, 64, 4_000.0),
            figure(Medium::Tmpfs, RAW, 1, 10_000.0),
            figure(Medium::Tmpfs, PRODUCT, 1, 2_000.0),
        ];
        let starts = vec![Start { pending: "waiting", ready_ms: 30.0, hook_ms: 250.0 }];
        let judgement = judge(&Results { figures, starts, ..Results::default() });

        for (name, expected) in [
            ("tmpfs: billhook / floor (sqlx), 64 callers", Some(false)),
            ("tmpfs: added to the raw call by one exchange, 1 caller, p50", Some(true)),
            ("sync1ms: billhook / floor (sqlx), 8 callers", None),
            ("start to ready, 1000 operations wait", Some(true)),
            ("start to the first hook's answer, 1000 operations wait", Some(false)),
            ("memory, idle", None),
        ] {
            assert_eq!(target(&judgement, name).is_met(), expected, "{name}");
        }
    }

    #[test]
    fn a_floor_that_is_another_floor_voids_the_run() {
        let run = |floor| {
            let figures =
                vec![figure(Medium::Tmpfs, RAW, 1, 10_000.0), figure(Medium::Tmpfs, FLOOR_RUSQLITE, 1, floor)];
            judge(&Results { figures, ..Results::default() }).is_void()
        };
        assert_eq!([1_000.0, 3_000.0, 9_000.0].map(run), [true, false, true]);
    }

    #[test]
    fn a_floor_that_does_not_sync_voids_the_run() {
        let honest = figure(Medium::Disk, FLOOR_SQLX, 1, 1.0);
        let results = |figure| Results { figures: vec![figure], ..Results::default() };
        assert!(!judge(&results(honest.clone())).is_void());
        assert!(judge(&results(Figure { syncs: Some(0.0), ..honest })).is_void());
    }
}
