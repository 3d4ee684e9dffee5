//! The power goes: of what was written since the last sync of each file, any part may be there.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::counts;
use super::house::{House, Programs};
use super::platform::Platform;
use crate::args::TrialOptions;

const CALLERS: usize = 16;
const LIMIT: Duration = Duration::from_secs(900);

/// What a disk writes as a whole.
const BLOCK: usize = 4096;

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    let house = House::new(programs, "power")?;
    // What is there before the first cut was synced long ago.
    let (daemon, _) = house.start(true)?;
    daemon.stop()?;
    let platform = Platform::new(&house, Duration::ZERO);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let cuts = if options.quick { 10 } else { 200 };
    let ((mut times, changed), daemon) = platform.run(CALLERS, LIMIT, || {
        let (mut times, mut changed) = (Vec::new(), 0_u64);
        let (mut daemon, _) = house.start(true)?;
        while times.len() < cuts {
            thread::sleep(Duration::from_millis(random.u64(50..1_200)));
            daemon.kill()?;
            changed += cut(&house, &mut random)?;
            let time;
            (daemon, time) = house.start(true)?;
            times.push(time);
            // The newest, and some of the others.
            platform.ask_for(|index, count| index + 200 > count || index % 97 == 0)?;
            if times.len() % 50 == 0 {
                println!("  {} cuts, {} hooks", times.len(), platform.ended());
            }
        }
        Ok(((times, changed), daemon))
    })?;
    println!(
        "  {} cuts, which took {changed} blocks back; from the start to ready: {}",
        times.len(),
        counts::times(&mut times)
    );
    ensure!(changed > 0, "no cut took anything back: the preload library is not there");
    platform.judge(&house)?;
    daemon.stop()?;
    whole(&house)
}

/// Leaves in the daemon's folder what a disk may hold. How many blocks differ from what was written.
fn cut(house: &House, random: &mut fastrand::Rng) -> Result<u64> {
    let (data, kept) = (house.data(), house.kept());
    let mut changed = 0;
    for entry in fs::read_dir(&data).with_context(|| format!("cannot list {}", data.display()))? {
        let path = entry.context("cannot list the database's folder")?.path();
        let name = path.file_name().unwrap_or_default().to_owned();
        if name.to_string_lossy().ends_with("-shm") {
            // Shared memory, which nobody syncs.
            fs::remove_file(&path).context("cannot remove the shared memory")?;
            continue;
        }
        let synced = kept.join(&name);
        // Never synced, and not the database's: a lock, whose content is of no account.
        if !synced.exists() {
            continue;
        }
        let written = read(&path)?;
        let left = mixed(&read(&synced)?, &written, random);
        changed += blocks_changed(&written, &left);
        fs::write(&path, &left).with_context(|| format!("cannot write {}", path.display()))?;
        // It is what the disk has now.
        fs::write(&synced, &left).with_context(|| format!("cannot write {}", synced.display()))?;
    }
    Ok(changed)
}

/// The synced content, the written one, or blocks of both.
fn mixed(synced: &[u8], written: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(0..4) {
        0 => written.to_vec(),
        1 | 2 => synced.to_vec(),
        _ => {
            // A longer file may have kept its old length.
            let length = if random.bool() { synced.len() } else { written.len() };
            let mut left = vec![0; length];
            for from in (0..length).step_by(BLOCK) {
                let to = (from + BLOCK).min(length);
                // Nothing but zeros where a file was made longer and its blocks were not written.
                let sources = [synced, written];
                for source in &sources[..random.usize(1..=2)] {
                    // The last block of a file is rarely whole.
                    let part = source.get(from..to.min(source.len())).unwrap_or_default();
                    left[from..from + part.len()].copy_from_slice(part);
                }
            }
            left
        }
    }
}

fn blocks_changed(written: &[u8], left: &[u8]) -> u64 {
    let length = written.len().max(left.len());
    let block = |bytes: &[u8], from: usize| bytes.get(from..(from + BLOCK).min(bytes.len())).map(<[u8]>::to_vec);
    (0..length).step_by(BLOCK).filter(|from| block(written, *from) != block(left, *from)).count() as u64
}

/// The database is sound.
fn whole(house: &House) -> Result<()> {
    let database = house.data().join("billhook.db");
    let output = house.command().args(["store", "check"]).arg(&database).output().context("cannot run billhook")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the database is not sound: {text}");
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal that grew by half a block behind its last sync.
    #[test]
    fn a_cut_takes_nothing_back_of_a_last_block_that_was_synced_in_part() {
        let (synced, written) = (vec![1; 2 * BLOCK + 100], vec![1; 2 * BLOCK + 2_000]);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let left = mixed(&synced, &written, &mut random);
            assert!(left[..synced.len()].iter().all(|byte| *byte == 1));
        }
    }

    #[test]
    fn a_cut_leaves_nothing_but_what_was_synced_or_written() {
        let (synced, written) = (vec![1; 3 * BLOCK], [vec![1; BLOCK], vec![2; 3 * BLOCK + 10]].concat());
        let mut random = fastrand::Rng::with_seed(7);
        let mut lost = 0;
        for _ in 0..200 {
            let left = mixed(&synced, &written, &mut random);
            assert!(left.len() == synced.len() || left.len() == written.len());
            assert!(left[..BLOCK].iter().all(|byte| *byte == 1), "what both have stays");
            for block in left.chunks(BLOCK) {
                assert!(block.iter().all(|byte| *byte == block[0]), "a block is of one of them");
            }
            lost += blocks_changed(&written, &left);
        }
        assert!(lost > 0);
    }
}
