//! How fast the daemon is, beside a floor that keeps the same promises of durability and does nothing else.
//!
//! Everything that is compared is measured in turns within one run, since a machine is never twice the same. What each
//! line means is in docs/performance.md.

mod build;
mod compare;
mod figures;
mod house;
mod medium;
mod program;
mod providers;
mod report;
mod row;
mod start;
mod targets;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
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
    for medium in Medium::ALL {
        if options.wants(medium.part()) {
            println!("measuring on {} ...", medium.name());
            compare::run(&programs, medium, &work, pace, &mut results)
                .with_context(|| format!("the measurement on {} failed", medium.name()))?;
        }
    }
    if options.wants(Part::Providers) {
        println!("measuring the providers ...");
        providers::run(&programs, &work, pace, &mut results).context("the measurement of the providers failed")?;
    }
    if options.wants(Part::Row) {
        println!("measuring the length of a log row ...");
        results.row = Some(row::run(&programs, &work, pace).context("the measurement of a log row failed")?);
    }
    if options.wants(Part::Start) {
        println!("measuring the start with {} pending operations ...", start::PENDING);
        results.starts = start::run(&programs, &work, pace).context("the measurement of the start failed")?;
    }

    let targets = targets::judge(&results);
    println!("\n{}", report::text(&results, &targets));
    leave_json(&target, options, &results, &targets)?;
    println!("measured in {}", in_words(watch.elapsed()));
    if options.quick || options.dev {
        println!("--quick and --dev show that everything runs; their figures are no figures.");
    }
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
