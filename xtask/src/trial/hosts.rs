//! Two, and then three, hosts on one Postgres store: one is killed, another stands still for longer than its lease, again and again.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::house::{Daemon, House, Programs, Seat};
use super::platform::Platform;
use crate::args::TrialOptions;
use crate::cluster;
use crate::needs;

/// As many hooks of as many services come at once, to whichever host.
const CALLERS: usize = 24;

/// For what is in doubt after the last accident.
const LIMIT: Duration = Duration::from_secs(900);

/// Short, so that a host need not stand still for long. In their order: sign, stop, lease.
const TIMES: [&str; 3] = ["500ms", "2s", "3s"];

/// Longer than the lease and what it takes to be noticed.
const FROZEN: std::ops::Range<u64> = 4_500..7_000;

#[derive(Default)]
struct Counts {
    kills: usize,
    freezes: usize,
    /// Ended by themselves when they found that they had been taken for dead.
    gave_up: usize,
}

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    needs::database()?;
    let [two, three] = if options.quick { [(3, 60), (6, 140)] } else { [(100, 6_000), (200, 12_000)] };
    company(&["a", "b"], two, programs, options)?;
    company(&["a", "b", "c"], three, programs, options)
}

/// Accidents, and hooks that end, at least.
fn company(
    names: &[&str],
    (accidents, hooks): (usize, usize),
    programs: &Programs,
    options: &TrialOptions,
) -> Result<()> {
    println!("  {} hosts", names.len());
    let house = House::new(programs, "hosts")?;
    let database = cluster::Database::empty();
    let seats = names.iter().map(|name| house.seat(name, &database.url(), TIMES)).collect::<Result<Vec<Seat>>>()?;
    let platform = Platform::of_many(seats.iter().map(|seat| seat.socket.clone()).collect());
    let mut random = fastrand::Rng::with_seed(options.seed);
    let (counts, daemon) = platform.run(CALLERS, LIMIT, || {
        let mut daemons = Vec::new();
        for seat in &seats {
            daemons.push(house.start_at(seat)?);
        }
        let mut counts = Counts::default();
        while counts.kills + counts.freezes < accidents || platform.ended() < hooks {
            thread::sleep(Duration::from_millis(random.u64(200..3_000)));
            let at = random.usize(..seats.len());
            // Every third accident is a freeze.
            if random.u8(0..3) > 0 {
                daemons.remove(at).kill()?;
                counts.kills += 1;
                // For a while there is one less.
                thread::sleep(Duration::from_millis(random.u64(0..1_500)));
                daemons.insert(at, house.start_at(&seats[at])?);
            } else {
                daemons[at].signal(Signal::STOP)?;
                thread::sleep(Duration::from_millis(random.u64(FROZEN)));
                daemons[at].signal(Signal::CONT)?;
                counts.freezes += 1;
                let frozen = daemons.remove(at);
                ensure!(!frozen.wait().context("a host that was frozen")?, "a host that was taken for dead went on");
                counts.gave_up += 1;
                daemons.insert(at, house.start_at(&seats[at])?);
            }
            if (counts.kills + counts.freezes).is_multiple_of(50) {
                println!("  {} kills, {} freezes, {} hooks", counts.kills, counts.freezes, platform.ended());
            }
        }
        let last = daemons.pop().context("there is one")?;
        Ok(((counts, daemons), last))
    })?;
    let (counts, others) = counts;
    println!(
        "  {} hosts killed, {} frozen beyond their leases, of which {} gave up when they woke; hooks that a person would have seen \
         for a while: {}",
        counts.kills,
        counts.freezes,
        counts.gave_up,
        platform.seen_in_attention(),
    );
    platform.judge(&house)?;
    others.into_iter().chain([daemon]).try_for_each(Daemon::stop)
}
