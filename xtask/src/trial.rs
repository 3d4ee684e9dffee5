//! What becomes of hooks when everything around them breaks: a daemon that is killed again and again, a machine that loses its
//! power, a disk that fails or fills up, and hours of work.
//!
//! A platform sends the whole lives of services, and sends each hook again until it has its end, as a platform does. A fake
//! panel says in the end what there is and what was ever made. What each part promises is in docs/trials.md.

mod backlog;
mod counts;
mod database;
mod disk;
mod hosts;
mod house;
mod kills;
mod platform;
mod power;
mod soak;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::args::{Trial, TrialOptions};
use crate::cargo::{Artifacts, cargo, root, target_folder};
use crate::clock::{Stopwatch, in_words};
use crate::needs;
use crate::test::BUILD;
use house::Programs;

/// Builds, tries, and prints what was found.
pub(crate) fn run(options: &TrialOptions) -> Result<()> {
    let watch = Stopwatch::start();
    let work = target_folder()?.join("xtask").join("trial");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let programs = build(options, &work)?;
    println!("built in {}; the seed is {} (--seed)", in_words(watch.elapsed()), options.seed);
    let mut failures = Vec::new();
    for trial in Trial::ALL.into_iter().filter(|trial| options.wants(*trial)) {
        println!("\n{} ...", trial.name());
        let watch = Stopwatch::start();
        let found = match trial {
            Trial::Kills => kills::run(&programs, options),
            Trial::Power => power::run(&programs, options),
            Trial::Disk => disk::run(&programs, options),
            Trial::Backlog => backlog::run(&programs, options),
            Trial::Soak => soak::run(&programs, options),
            Trial::Hosts => hosts::run(&programs, options),
            Trial::Database => database::run(&programs, options),
        };
        match found {
            Ok(()) => println!("{} held: {}", trial.name(), in_words(watch.elapsed())),
            Err(error) => {
                println!("{} FAILED: {error:#}", trial.name());
                failures.push(trial.name());
            }
        }
    }
    ensure!(failures.is_empty(), "failed: {}", failures.join(", "));
    Ok(())
}

/// As they are shipped, or as the tests have them.
fn build(options: &TrialOptions, work: &std::path::Path) -> Result<Programs> {
    needs::compiler()?;
    let (programs, plugins) = if options.dev {
        let all = Artifacts::build(cargo(BUILD)).context("the workspace could not be built")?;
        (all.clone(), all)
    } else {
        let programs = ["build", "--release", "-p", "billhook", "-p", "billhook-tests", "--bin", "billhook"];
        let programs = Artifacts::build(cargo(&[&programs[..], &["--bin", "fake-virtfusion"]].concat()));
        let plugin = ["build", "--profile", "plugin", "--lib", "-p", "billhook-virtfusion"];
        let plugin = Artifacts::build(cargo(&plugin));
        (programs.context("the programs could not be built")?, plugin.context("the plugin could not be built")?)
    };
    let preload = work.join("power.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&preload)
        .arg(root().join("tests/preload/power.c"))
        .args(["-ldl", "-lpthread"])
        .status()
        .with_context(|| format!("cannot run {compiler}"))?;
    ensure!(status.success(), "tests/preload/power.c does not compile");
    Ok(Programs {
        billhook: programs.path("billhook")?.to_owned(),
        panel: programs.path("fake-virtfusion")?.to_owned(),
        plugin: plugins.path("libvirtfusion.so")?.to_owned(),
        preload,
    })
}
