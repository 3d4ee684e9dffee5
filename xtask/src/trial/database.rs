//! A database server that crashes, and one that throws everybody out, while hooks are served from a store on it.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::counts;
use super::house::{House, Programs};
use super::platform::Platform;
use crate::args::TrialOptions;
use crate::clock::{Stopwatch, wait_for};
use crate::{cluster, needs};

const CALLERS: usize = 24;

/// For what is in doubt after the last accident.
const LIMIT: Duration = Duration::from_secs(900);

/// As the daemon has them by default. In their order: sign, stop, lease.
const TIMES: [&str; 3] = ["10s", "20s", "30s"];

/// From the moment at which the server takes connections again to the end of a hook.
const BACK: Duration = Duration::from_secs(5);

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    needs::database()?;
    let house = House::new(programs, "database")?;
    let database = cluster::Database::empty();
    let seat = house.seat("a", &database.url(), TIMES)?;
    let platform = Platform::of_many(vec![seat.socket.clone()]);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let rounds = if options.quick { 2 } else { 25 };
    let ((crashed, cut), daemon) = platform.run(CALLERS, LIMIT, || {
        let mut daemon = house.start_at(&seat)?;
        let (mut crashed, mut cut) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for (accident, times) in [(cluster::crash as fn(), &mut crashed), (cluster::throw_out as fn(), &mut cut)] {
                let ended = platform.ended();
                wait_for("hooks to end", LIMIT, || Ok((platform.ended() > ended + 20).then_some(())))?;
                thread::sleep(Duration::from_millis(random.u64(0..500)));
                accident();
                let (ended, watch) = (platform.ended(), Stopwatch::start());
                wait_for("hooks to end again", LIMIT, || {
                    daemon.check().context("a lost database ended it")?;
                    Ok((platform.ended() > ended).then_some(()))
                })?;
                times.push(watch.elapsed());
            }
        }
        Ok(((crashed, cut), daemon))
    })?;
    let most = daemon.memory_kb("VmHWM")?;
    for (words, mut times) in [("the server crashed and was back", crashed), ("all connections were cut", cut)] {
        let slowest = times.iter().max().copied().unwrap_or_default();
        println!("  {words}: the next hook ended after {}", counts::times(&mut times));
        ensure!(slowest <= BACK, "it took {slowest:?} to go on");
    }
    println!("  the daemon held {most} kB at most");
    platform.judge(&house)?;
    daemon.stop()
}
