//! What was measured, and how several rounds become one figure.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::medium::Medium;
use super::program::{Program, Used};

/// One measurement of one variant.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) medium: Medium,
    pub(super) variant: String,
    pub(super) callers: usize,
    pub(super) round: usize,
    pub(super) rate: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// In the program under measurement, for each hook; of the raw call nothing.
    pub(super) cpu_us: Option<f64>,
    /// Of it on the threads that run plugins: building requests, reading answers, and the calls of the ABI around them.
    pub(super) plugins_us: Option<f64>,
    /// In a database server, for each hook.
    pub(super) server_us: Option<f64>,
    pub(super) syncs: Option<f64>,
}

/// Everything of one run.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) figures: Vec<Figure>,
    /// Kilobytes, by program: idle, and the most it ever had.
    pub(super) memory: BTreeMap<&'static str, (u64, u64)>,
    pub(super) sizes: BTreeMap<String, u64>,
    pub(super) row: Option<Row>,
    pub(super) starts: Vec<Start>,
    /// What the program `slow-clients` says of each way in which the socket is set up.
    pub(super) slow: Vec<Value>,
}

/// What a hook with one exchange leaves in the database.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) hooks: usize,
    /// Of the whole file, for each hook.
    pub(super) bytes: f64,
    /// Of each table with its indexes.
    pub(super) tables: BTreeMap<String, f64>,
}

/// A start of the daemon, in milliseconds from the moment at which its process was made.
#[derive(Debug)]
pub(super) struct Start {
    /// In which state its operations were.
    pub(super) pending: &'static str,
    pub(super) ready_ms: f64,
    pub(super) hook_ms: f64,
}

/// The middle of several rounds, and the worst and best of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, most })
    }
}

impl Results {
    /// The rounds of one line, in order.
    pub(super) fn rounds<'a>(
        &'a self,
        medium: Medium,
        variant: &'a str,
        callers: usize,
    ) -> impl Iterator<Item = &'a Figure> {
        let is_it =
            move |figure: &&Figure| figure.medium == medium && figure.variant == variant && figure.callers == callers;
        self.figures.iter().filter(is_it)
    }

    /// One value of a line over its rounds.
    pub(super) fn spread(
        &self,
        medium: Medium,
        variant: &str,
        callers: usize,
        value: impl Fn(&Figure) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.rounds(medium, variant, callers).filter_map(value))
    }

    /// One line over another, round by round: what disturbed one round disturbed both.
    pub(super) fn paired(
        &self,
        medium: Medium,
        [one, other]: [&str; 2],
        callers: usize,
        value: impl Fn(&Figure, &Figure) -> f64,
    ) -> Option<Spread> {
        let others: BTreeMap<usize, &Figure> =
            self.rounds(medium, other, callers).map(|figure| (figure.round, figure)).collect();
        let pairs = self.rounds(medium, one, callers).filter_map(|figure| Some((figure, *others.get(&figure.round)?)));
        Spread::of(pairs.map(|(one, other)| value(one, other)))
    }

    pub(super) fn to_json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| {
            json!({
                "medium": figure.medium.name(), "variant": figure.variant, "callers": figure.callers,
                "round": figure.round, "rate": figure.rate, "p50_us": figure.p50_us, "p99_us": figure.p99_us,
                "cpu_us": figure.cpu_us, "plugins_us": figure.plugins_us, "server_us": figure.server_us,
                "syncs": figure.syncs,
            })
        });
        let memory = self
            .memory
            .iter()
            .map(|(name, (idle, most))| ((*name).to_owned(), json!({ "idle_kb": idle, "most_kb": most })));
        let starts = self
            .starts
            .iter()
            .map(|start| json!({ "pending": start.pending, "ready_ms": start.ready_ms, "hook_ms": start.hook_ms }));
        json!({
            "figures": figures.collect::<Value>(),
            "memory": Value::Object(memory.collect()),
            "sizes": self.sizes,
            "row": self.row.as_ref().map(|row| json!({ "hooks": row.hooks, "bytes": row.bytes, "tables": row.tables })),
            "starts": starts.collect::<Value>(),
            "slow_clients": self.slow,
        })
    }
}

/// A line of the table, to be measured.
pub(super) struct Load<'a> {
    pub(super) variant: &'a str,
    /// After the program's name: what is sent.
    pub(super) work: &'a [&'a str],
    pub(super) target: &'a str,
    /// Whose processor time and syncs count.
    pub(super) program: Option<&'a Program>,
    pub(super) callers: usize,
    /// Makes the keys of this measurement its own.
    pub(super) run: String,
    pub(super) until: Until,
}

/// When a load ends.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Millis(u64),
    Count(usize),
}

impl Load<'_> {
    /// Runs the load, and fails if a single answer was not as it should be.
    pub(super) fn measure(&self, generator: &Path, medium: Medium, round: usize) -> Result<Figure> {
        let used = || self.program.map(Program::used).transpose();
        let before = used()?;
        let found = self.send(generator, &[])?;
        let after = used()?;
        let number = |name: &str| found[name].as_f64().with_context(|| format!("the load says no {name}"));
        let count = number("count")?;
        let each = |value: fn(&Used) -> u64| match (&before, &after) {
            (Some(before), Some(after)) => Some(value(after).saturating_sub(value(before)) as f64 / count),
            _ => None,
        };
        Ok(Figure {
            medium,
            variant: self.variant.to_owned(),
            callers: self.callers,
            round,
            rate: number("rate")?,
            p50_us: number("p50_us")?,
            p99_us: number("p99_us")?,
            cpu_us: each(|used| used.cpu_us),
            plugins_us: each(|used| used.plugins_us).filter(|us| *us > 0.0),
            server_us: None,
            syncs: each(|used| used.syncs),
        })
    }

    /// Runs the load without measuring anything but its answers.
    pub(super) fn send(&self, generator: &Path, more: &[&str]) -> Result<Value> {
        let until = match self.until {
            Until::Millis(millis) => ["--millis".to_owned(), millis.to_string()],
            Until::Count(count) => ["--count".to_owned(), count.to_string()],
        };
        let output = Command::new(generator)
            .args(self.work)
            .args(["--target", self.target, "--callers", &self.callers.to_string(), "--run", &self.run])
            .args(until)
            .args(more)
            .output()
            .context("cannot run the load")?;
        if !output.status.success() {
            bail!("{}: the load failed: {}", self.variant, String::from_utf8_lossy(&output.stderr).trim());
        }
        let found: Value = serde_json::from_slice(&output.stdout).context("the load says no JSON")?;
        ensure!(
            found["failed"] == 0 && found["count"].as_u64().is_some_and(|count| count > 0),
            "{}, {} callers: {} of the answers were not as they should be, the first was {}",
            self.variant,
            self.callers,
            found["failed"],
            found["first_failure"]
        );
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(variant: &str, round: usize, rate: f64) -> Figure {
        let variant = variant.to_owned();
        let medium = Medium::Tmpfs;
        let none = None;
        let (p50_us, p99_us) = (1.0, 1.0);
        let (cpu_us, plugins_us, server_us, syncs) = (none, none, none, none);
        Figure { medium, variant, callers: 1, round, rate, p50_us, p99_us, cpu_us, plugins_us, server_us, syncs }
    }

    #[test]
    fn rounds_become_their_middle_and_their_ends() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
    }

    #[test]
    fn two_lines_are_compared_round_by_round() {
        let figures = [("a", 0, 5.0), ("b", 0, 10.0), ("a", 1, 90.0), ("b", 1, 100.0), ("a", 2, 1.0)];
        let figures = figures.map(|(variant, round, rate)| figure(variant, round, rate)).to_vec();
        let results = Results { figures, ..Results::default() };

        let ratio = results.paired(Medium::Tmpfs, ["a", "b"], 1, |one, other| one.rate / other.rate).unwrap();

        assert_eq!((ratio.least, ratio.most), (0.5, 0.9), "a round without its pair does not count");
        assert_eq!(results.paired(Medium::Disk, ["a", "b"], 1, |one, _| one.rate), None);
    }
}
