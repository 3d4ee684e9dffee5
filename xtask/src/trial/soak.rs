//! Work for hours, with a kill a minute: nothing grows.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::house::{Daemon, House, Programs};
use super::platform::Platform;
use crate::args::TrialOptions;
use crate::clock::Stopwatch;

const CALLERS: usize = 16;
const LIMIT: Duration = Duration::from_secs(900);

/// Between two hooks of a caller: about half of what the machine would do.
const REST: Duration = Duration::from_millis(60);

/// Between two kills.
const LIFE: Duration = Duration::from_secs(60);

/// The log before a checkpoint, in bytes.
const MOST_WAL: u64 = 64 * 1024 * 1024;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    resident_kb: u64,
    files: usize,
    wal: u64,
}

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    let house = House::new(programs, "soak")?;
    let platform = Platform::new(&house, REST);
    let minutes = if options.quick { 1 } else { options.minutes };
    let life = if options.quick { LIFE / 6 } else { LIFE };
    let (held, daemon) = platform.run(CALLERS, LIMIT, || {
        let watch = Stopwatch::start();
        let mut held: Vec<Held> = Vec::new();
        let (mut daemon, _) = house.start(false)?;
        while watch.elapsed() < Duration::from_secs(60 * minutes) {
            thread::sleep(life);
            let now = look(&house, &daemon)?;
            held.push(now);
            println!(
                "  {:.0} min: {} hooks, {} MB, {} files open, WAL {} KB",
                watch.elapsed().as_secs_f64() / 60.0,
                platform.ended(),
                now.resident_kb / 1024,
                now.files,
                now.wal / 1024
            );
            daemon.kill()?;
            (daemon, _) = house.start(false)?;
        }
        Ok((held, daemon))
    })?;
    platform.judge(&house)?;
    daemon.stop()?;
    flat(&held)
}

fn look(house: &House, daemon: &Daemon) -> Result<Held> {
    let files =
        fs::read_dir(format!("/proc/{}/fd", daemon.pid())).context("cannot look at the daemon's files")?.count();
    let wal = fs::metadata(house.data().join("billhook.db-wal")).map_or(0, |it| it.len());
    Ok(Held { resident_kb: daemon.memory_kb("VmRSS")?, files, wal })
}

/// The middle of the last third is not a tenth above that of the first.
fn flat(held: &[Held]) -> Result<()> {
    ensure!(held.iter().all(|held| held.wal <= MOST_WAL), "the WAL grew beyond {MOST_WAL} bytes: {held:?}");
    let third = held.len() / 3;
    if third == 0 {
        return Ok(());
    }
    let middle = |held: &[Held], of: fn(&Held) -> u64| {
        let mut values: Vec<u64> = held.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    for (name, of) in [("memory", (|it| it.resident_kb) as fn(&Held) -> u64), ("open files", |it| it.files as u64)] {
        let (first, last) = (middle(&held[..third], of), middle(&held[held.len() - third..], of));
        println!("  {name}: {first} in the first third, {last} in the last");
        ensure!(last as f64 <= first as f64 * 1.1 + 2.0, "{name} grew from {first} to {last}");
    }
    Ok(())
}
