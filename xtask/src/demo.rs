//! A panel and the daemon on this machine, a customer's whole life, and two accidents in the middle of it.

pub(crate) mod cli;
mod hook;
mod house;
mod panel;
mod story;

pub(crate) use panel::Panel;

use anyhow::{Context, Result};

use crate::args::DemoOptions;
use crate::cargo::{Artifacts, cargo};
use crate::clock::{Stopwatch, in_words};
use crate::needs;
use house::House;

/// Only what the demo runs, as it is shipped but for the profile.
const BUILD: &[&str] =
    &["build", "-p", "billhook", "-p", "billhook-tests", "-p", "billhook-virtfusion", "--bins", "--lib"];

/// Builds, tells the story, and fails unless the panel agrees with every claim in it.
pub(crate) fn run(options: DemoOptions) -> Result<()> {
    let watch = Stopwatch::start();
    needs::compiler()?;
    println!("building the daemon, its VirtFusion plugin and a fake panel (minutes the first time, seconds later) ...");
    let artifacts = Artifacts::build(cargo(BUILD)).context("the demo's programs could not be built")?;
    println!("built in {}", in_words(watch.elapsed()));

    let mut house = House::new(options.folder, &artifacts)?;
    let told = story::tell(&mut house);
    if let Err(error) = told {
        house.keep_files();
        eprintln!("\n{}", house.log_tails());
        return Err(error.context(format!("the demo failed; its files stay in {}", house.folder().display())));
    }
    println!("\nThe demo took {} after the build.", in_words(house.age()));
    if options.keep {
        story::invite(&mut house)?;
        house.leave();
    } else {
        house.clear()?;
    }
    Ok(())
}
