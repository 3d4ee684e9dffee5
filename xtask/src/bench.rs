//! How fast the daemon is, beside a floor that keeps the same promises of durability and does nothing else.
//!
//! Everything that is compared is measured in turns within one run, since a machine is never twice the same. What each
//! line means is in docs/performance.md.

mod build;
mod compare;
mod databases;
mod dead_panel;
mod figures;
mod house;
mod medium;
mod program;
mod providers;
mod report;
mod row;
mod server;
mod slow_clients;
mod start;
mod targets;

pub(crate) use house::write_private;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::args::{BenchOptions, Part};
use crate::cargo::target_folder;
use crate::clock::{Stopwatch, in_words};
use build::Programs;
use figures::Results;
use medium::{Medium, Pace};

/// Builds, measures, prints, and leaves everything as JSON.
pub(crate) fn run(options: &BenchOptions) -> Result<()> {
    let watch = Stopwatch::start();
    let target = target_folder()?;
    let work = target.join("xtask").join("bench");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let programs = Programs::build(&work, options.dev)?;
    println!("built in {}", in_words(watch.elapsed()));

    let watch = Stopwatch::start();
    let pace = if options.quick { Pace::QUICK } else { Pace::FULL };
    let mut results = Results { sizes: programs.sizes()?, ..Results::default() };
    // A part that fails leaves the others what they found.
    let mut failures = Vec::new();
    for part in Part::ALL.into_iter().filter(|part| options.wants(*part)) {
        println!("measuring {} ...", part.name());
        let measured = match part {
            Part::Tmpfs => compare::run(&programs, Medium::Tmpfs, &work, pace, &mut results),
            Part::Disk => compare::run(&programs, Medium::Disk, &work, pace, &mut results),
            Part::Sync1ms => compare::run(&programs, Medium::Sync1ms, &work, pace, &mut results),
            Part::Start => start::run(&programs, &work, pace).map(|starts| results.starts = starts),
            Part::Row => row::run(&programs, &work, pace).map(|row| results.row = Some(row)),
            Part::Providers => providers::run(&programs, &work, pace, &mut results),
            Part::DeadPanel => dead_panel::run(&programs, &work, pace, &mut results),
            Part::SlowClients => slow_clients::run(&programs, &work, pace).map(|slow| results.slow = slow),
            Part::Databases => databases::run(&programs, &work, pace, &mut results),
        };
        if let Err(error) = measured {
            println!("{} failed: {error:#}", part.name());
            failures.push(part.name());
        }
    }

    let targets = targets::judge(&results);
    println!("\n{}", report::text(&results, &targets));
    leave_json(&target, options, &results, &targets)?;
    println!("measured in {}", in_words(watch.elapsed()));
    if options.quick || options.dev {
        println!("--quick and --dev show that everything runs; their figures are no figures.");
    }
    ensure!(failures.is_empty(), "failed: {}", failures.join(", "));
    Ok(())
}

fn leave_json(target: &Path, options: &BenchOptions, results: &Results, targets: &targets::Judgement) -> Result<()> {
    let path = target.join("xtask").join("bench.json");
    let value = json!({
        "quick": options.quick, "dev": options.dev, "results": results.to_json(), "judgement": targets.to_json(),
    });
    fs::write(&path, format!("{value:#}")).with_context(|| format!("cannot write {}", path.display()))?;
    println!("all figures of all rounds: {}", path.display());
    Ok(())
}
