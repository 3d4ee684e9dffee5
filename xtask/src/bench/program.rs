//! A program under measurement, and what the kernel and the preload library know of it.

use std::fs;
use std::iter::Sum;
use std::ops::Add;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::medium::Medium;
use crate::clock::wait_for;
use crate::process::Process;

/// Until a program that was just started answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The name of the daemon's threads on which plugins run.
const PLUGINS: &str = "plugins";

/// Linux counts processor time for programs in hundredths of a second, whatever its own clock.
pub(super) const US_PER_TICK: u64 = 10_000;

/// A running program whose syncs are counted.
pub(super) struct Program {
    process: Process,
    log: PathBuf,
    syncs: PathBuf,
}

/// What a program has used so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Used {
    pub(super) cpu_us: u64,
    /// Of it on the threads that run plugins; nothing where a program has none.
    pub(super) plugins_us: u64,
    pub(super) syncs: u64,
}

impl Sum for Used {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_us: self.cpu_us + other.cpu_us,
            plugins_us: self.plugins_us + other.plugins_us,
            syncs: self.syncs + other.syncs,
        }
    }
}

impl Program {
    /// Starts `command` with the preload library. Its log and its count are in `folder`, under its name.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        preload: &Path,
        medium: Medium,
    ) -> Result<Self> {
        let file = |end: &str| folder.join(format!("{}.{end}", name.replace(' ', "-")));
        let (log, syncs) = (file("log"), file("syncs"));
        if !syncs.exists() {
            fs::write(&syncs, [0; 8]).with_context(|| format!("cannot write {}", syncs.display()))?;
        }
        command
            .env("LD_PRELOAD", preload)
            .env("BENCH_SYNC_COUNT", &syncs)
            .env("BENCH_SYNC_DELAY_US", medium.sync_delay_us().to_string());
        Ok(Self { process: Process::start(name, command, &log)?, log, syncs })
    }

    /// Looks until `look` finds something; an error as soon as the program has ended.
    pub(super) fn wait_until<T>(&mut self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let found = wait_for(what, START_LIMIT, || {
            self.process.check()?;
            look()
        });
        found.with_context(|| crate::process::tail("it", &self.log))
    }

    /// The address in a panel's first line, `listening on http://127.0.0.1:41234/api/v1`.
    pub(super) fn listening_on(&mut self) -> Result<String> {
        let log = self.log.clone();
        self.wait_until("a panel to listen", || {
            let text = fs::read_to_string(&log).context("cannot read a panel's log")?;
            // Without its end the line may still be cut in the middle of the port.
            let line = text.split_once('\n').and_then(|(line, _)| line.strip_prefix("listening on "));
            Ok(line.map(|address| address.trim().to_owned()))
        })
    }

    pub(super) fn used(&self) -> Result<Used> {
        let path = format!("/proc/{}/stat", self.process.pid());
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let ticks = Ticks::read(&stat).with_context(|| format!("{path} is not as expected"))?;
        let plugins_us = self.threads_us(PLUGINS)?;
        Ok(Used { cpu_us: ticks.own * US_PER_TICK, plugins_us, syncs: syncs(&self.syncs)? })
    }

    /// Processor time of the threads of this name, by the scheduler's own account.
    fn threads_us(&self, name: &str) -> Result<u64> {
        let folder = format!("/proc/{}/task", self.process.pid());
        let mut sum_ns = 0;
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder}"))? {
            let task = entry.with_context(|| format!("cannot list {folder}"))?.path();
            // A thread may end in between.
            let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
            if read("comm").trim_end() == name {
                sum_ns += read("schedstat").split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(sum_ns / 1_000)
    }

    /// See [`Process::memory_kb`].
    pub(super) fn memory_kb(&self, which: &str) -> Result<u64> {
        self.process.memory_kb(which)
    }

    pub(super) fn kill(self) -> Result<()> {
        self.process.kill()
    }

    pub(super) fn stop(self) -> Result<()> {
        self.process.stop()
    }
}

/// As the preload library counts them in a file.
pub(super) fn syncs(file: &Path) -> Result<u64> {
    let mut count = [0; 8];
    fs::File::open(file)
        .and_then(|file| file.read_exact_at(&mut count, 0))
        .with_context(|| format!("cannot read {}", file.display()))?;
    Ok(u64::from_ne_bytes(count))
}

/// What `/proc/…/stat` says of a process: user and system time in one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) parent: u32,
    pub(super) own: u64,
    /// Of its children that have ended, and theirs.
    pub(super) ended: u64,
}

impl Ticks {
    /// The program's name, the second field, may hold anything but `)` at its end.
    pub(super) fn read(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: number(11)? + number(12)?,
            ended: number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read_at_its_place() {
        let stat = "77 (a (b) c) S 5 77 77 0 -1 4194560 1 2 3 4 150 25 30 7 20 0 3 0 99 1 1 18446744073709551615";
        assert_eq!(Ticks::read(stat), Some(Ticks { parent: 5, own: 175, ended: 37 }));
        assert_eq!(Ticks::read("77 (x"), None);
    }
}
