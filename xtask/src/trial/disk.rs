//! A disk that fails now and then, and one that is full for a while.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::house::{House, Programs};
use super::platform::Platform;
use crate::args::TrialOptions;
use crate::clock::{Stopwatch, wait_for};

const CALLERS: usize = 16;
const LIMIT: Duration = Duration::from_secs(600);

/// Of the small disk. It must hold what the services of the trial leave.
const SIZE: &str = "64m";

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    failing(programs, options)?;
    if rustix::process::geteuid().is_root() {
        full(programs, options)
    } else {
        println!("  a full disk: skipped, since only root can mount a small one");
        Ok(())
    }
}

/// Some syncs fail with EIO, singly and in a row.
fn failing(programs: &Programs, options: &TrialOptions) -> Result<()> {
    let house = House::new(programs, "fails")?;
    let platform = Platform::new(&house, Duration::ZERO);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let rounds = if options.quick { 10 } else { 200 };
    let (failed, daemon) = platform.run(CALLERS, LIMIT, || {
        let (mut daemon, _) = house.start(true)?;
        let mut failed = 0;
        for _ in 0..rounds {
            thread::sleep(Duration::from_millis(random.u64(1..200)));
            let count = if random.bool() { 1 } else { random.i64(1..20) };
            failed += count;
            house.fail_syncs(count)?;
            daemon.check().context("a failing sync ended it")?;
        }
        Ok((failed, daemon))
    })?;
    println!("  {failed} syncs failed");
    platform.judge(&house)?;
    daemon.stop()
}

/// A mounted file system of its own, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Result<Self> {
        let size = format!("size={SIZE},mode=0700");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "billhook-trial"]).arg(at).status();
        ensure!(status.context("cannot run mount")?.success(), "cannot mount a file system at {}", at.display());
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk is full for some seconds, and has room again.
fn full(programs: &Programs, options: &TrialOptions) -> Result<()> {
    let house = House::new(programs, "full")?;
    let small = Small::mount(&house.data())?;
    let platform = Platform::new(&house, Duration::ZERO);
    let rounds = if options.quick { 1 } else { 5 };
    let (mut back, daemon) = platform.run(CALLERS, LIMIT, || {
        let (mut daemon, _) = house.start(false)?;
        let mut back = Vec::new();
        let ballast = house.data().join("ballast");
        for _ in 0..rounds {
            let ended = platform.ended();
            wait_for("hooks to end", LIMIT, || Ok((platform.ended() > ended + 20).then_some(())))?;
            fill(&ballast)?;
            let refused = platform.refused();
            // It goes on as long as what it has room for lasts.
            wait_for("hooks to be refused", LIMIT, || {
                daemon.check().context("a full disk ended it")?;
                fill(&ballast)?;
                Ok((platform.refused() > refused + 20).then_some(()))
            })?;
            thread::sleep(Duration::from_secs(2));
            let ended = platform.ended();
            fs::remove_file(&ballast).context("cannot make room")?;
            let watch = Stopwatch::start();
            wait_for("hooks to end again", LIMIT, || Ok((platform.ended() > ended).then_some(())))?;
            back.push(watch.elapsed());
        }
        Ok((back, daemon))
    })?;
    println!(
        "  {} times full; once there was room, the first hook ended after {}",
        back.len(),
        super::counts::times(&mut back)
    );
    ensure!(back.iter().all(|time| *time <= Duration::from_secs(5)), "it took more than five seconds to go on");
    platform.judge(&house)?;
    daemon.stop()?;
    drop(small);
    Ok(())
}

/// Takes all room that is left.
fn fill(ballast: &Path) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(ballast).context("cannot make the ballast")?;
    for size in [1 << 20, 4096, 1] {
        let block = vec![0xab; size];
        while file.write_all(&block).is_ok() {}
    }
    Ok(())
}
