//! SIGKILL at any moment, again and again, some of them while the daemon still starts.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::counts;
use super::house::{House, Programs};
use super::platform::Platform;
use crate::args::TrialOptions;

/// As many hooks of as many services come at once.
const CALLERS: usize = 32;

/// Between two hooks of a caller: the daemon is not to be busy with more than it does between two kills.
const REST: Duration = Duration::from_millis(100);

/// For what is in doubt after the last kill.
const LIMIT: Duration = Duration::from_secs(900);

/// What the panel takes for a call, milliseconds: nothing, and as long as many take. With it kills, and hooks that end, at least: beside
/// a slow panel a life is mostly looks at what is in doubt.
const PANELS: [(u64, usize, usize); 2] = [(0, 750, 24_000), (25, 250, 6_000)];

/// From the start to ready, for half of them, and at most.
const READY: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    PANELS.into_iter().try_for_each(|panel| beside(panel, programs, options))
}

fn beside((pace, kills, hooks): (u64, usize, usize), programs: &Programs, options: &TrialOptions) -> Result<()> {
    println!("  the panel takes {pace} ms for a call");
    let house = House::at_pace(programs, "kills", pace)?;
    let platform = Platform::new(&house, REST);
    let mut random = fastrand::Rng::with_seed(options.seed ^ pace);
    let (kills, hooks) = if options.quick { (10, 100) } else { (kills, hooks) };
    let (mut times, daemon) = platform.run(CALLERS, LIMIT, || {
        let mut times = Vec::new();
        let (mut daemon, _) = house.start(false)?;
        while times.len() < kills || platform.ended() < hooks {
            thread::sleep(Duration::from_millis(random.u64(5..1_500)));
            daemon.kill()?;
            // Now and then its successor does not get far either.
            while random.u8(0..5) == 0 {
                let early = house.spawn(false)?;
                thread::sleep(Duration::from_millis(random.u64(0..60)));
                early.kill()?;
            }
            let time;
            (daemon, time) = house.start(false)?;
            times.push(time);
            if times.len() % 100 == 0 {
                println!("  {} kills, {} hooks", times.len(), platform.ended());
            }
        }
        Ok((times, daemon))
    })?;
    println!("  {} kills; from the start to ready: {}", times.len(), counts::times(&mut times));
    let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
    ensure!(
        options.dev || middle <= READY[0] && most <= READY[1],
        "it starts too slowly: {middle:?}, at most {most:?}"
    );
    platform.judge(&house)?;
    daemon.stop()
}
