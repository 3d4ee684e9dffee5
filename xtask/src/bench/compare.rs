//! The comparison itself: the raw call, the floor in both forms and the daemon, in turns.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::build::Programs;
use super::figures::{Load, Results, Until};
use super::house::{House, sandbox};
use super::medium::{Medium, Pace};
use super::program::Program;

pub(super) const RAW: &str = "raw call";
pub(super) const FLOOR_SQLX: &str = "floor, sqlx";
pub(super) const FLOOR_RUSQLITE: &str = "floor, rusqlite";
pub(super) const PRODUCT: &str = "billhook";
pub(super) const NO_EXCHANGE: &str = "billhook, no exchange";
pub(super) const THREE_EXCHANGES: &str = "billhook, 3 exchanges";

/// The variants that are compared at every number of callers.
pub(super) const COMPARED: [&str; 4] = [RAW, FLOOR_RUSQLITE, FLOOR_SQLX, PRODUCT];
/// Those that are measured for one caller only, to tell what an exchange costs.
pub(super) const BY_EXCHANGES: [&str; 2] = [NO_EXCHANGE, THREE_EXCHANGES];

pub(super) const CALLERS: [usize; 3] = [1, 8, 64];
const MOST_CALLERS: usize = 64;

/// A program that was just started has not yet given back what it started with.
const SETTLE: Duration = Duration::from_secs(2);

/// The panel that only answers; its speed is no matter of any medium.
pub(super) fn panel(programs: &Programs, folder: &Path) -> Result<(Program, String)> {
    let command = Command::new(programs.program("bench-panel")?);
    let mut panel = Program::start("the panel", command, folder, &programs.preload, Medium::Tmpfs)?;
    let address = panel.listening_on()?;
    Ok((panel, address))
}

/// Measures on one medium.
pub(super) fn run(programs: &Programs, medium: Medium, work: &Path, pace: Pace, results: &mut Results) -> Result<()> {
    let generator = programs.program("bench-load")?;
    let folder = medium.folder(work, "floor")?;
    let (_panel, address) = panel(programs, folder.path())?;
    let floors = [("sqlx", FLOOR_SQLX), ("rusqlite", FLOOR_RUSQLITE)]
        .map(|(store, name)| floor(programs, store, name, medium, folder.path(), &address));
    let [sqlx, rusqlite] = floors;
    let (sqlx, rusqlite) = (sqlx?, rusqlite?);
    let house = House::new(programs, medium, work, "host", &sandbox(&address))?;
    let daemon = house.start()?;
    thread::sleep(SETTLE);
    let idle = [
        (FLOOR_SQLX, sqlx.0.memory_kb("VmRSS")?),
        (FLOOR_RUSQLITE, rusqlite.0.memory_kb("VmRSS")?),
        (PRODUCT, daemon.program.memory_kb("VmRSS")?),
    ];
    for product in ["none", "one", "three"] {
        daemon.create(product, product, MOST_CALLERS, &[])?;
    }

    let raw = format!("tcp:{}", address.trim_start_matches("http://"));
    let lines = [
        (RAW, raw.as_str(), None, &["raw"][..]),
        (FLOOR_RUSQLITE, rusqlite.1.as_str(), Some(&rusqlite.0), &["hooks", "--prefix", "s"]),
        (FLOOR_SQLX, sqlx.1.as_str(), Some(&sqlx.0), &["hooks", "--prefix", "s"]),
        (PRODUCT, daemon.target(), Some(&daemon.program), &["hooks", "--prefix", "one"]),
        (NO_EXCHANGE, daemon.target(), Some(&daemon.program), &["hooks", "--prefix", "none"]),
        (THREE_EXCHANGES, daemon.target(), Some(&daemon.program), &["hooks", "--prefix", "three"]),
    ];
    // Round 0 warms everything up and does not count.
    for round in 0..=pace.rounds {
        for callers in CALLERS {
            for at in 0..lines.len() {
                // Another one begins in every round, so that none always follows the same neighbour.
                let (variant, target, program, work) = lines[(at + round) % lines.len()];
                if BY_EXCHANGES.contains(&variant) && callers > 1 {
                    continue;
                }
                let millis = if round == 0 { pace.millis / 4 } else { pace.millis };
                let run = format!("r{round}c{callers}");
                let load = Load { variant, work, target, program, callers, run, until: Until::Millis(millis) };
                let figure = load.measure(generator, medium, round)?;
                if round > 0 {
                    results.figures.push(figure);
                }
            }
        }
    }
    if medium == Medium::Tmpfs || results.memory.is_empty() {
        let most = [sqlx.0.memory_kb("VmHWM")?, rusqlite.0.memory_kb("VmHWM")?, daemon.program.memory_kb("VmHWM")?];
        results.memory = idle.into_iter().zip(most).map(|((name, idle), most)| (name, (idle, most))).collect();
    }
    daemon.program.stop()
}

fn floor(
    programs: &Programs,
    store: &str,
    name: &'static str,
    medium: Medium,
    folder: &Path,
    panel: &str,
) -> Result<(Program, String)> {
    let place = |end: &str| -> PathBuf { folder.join(format!("{store}.{end}")) };
    let mut command = Command::new(programs.program("bench-floor")?);
    command.args(["--store", store, "--panel", panel]);
    command.arg("--database").arg(place("db")).arg("--socket").arg(place("sock"));
    let mut program = Program::start(name, command, folder, &programs.preload, medium)?;
    let socket = place("sock");
    program
        .wait_until("the floor to listen", || Ok(std::os::unix::net::UnixStream::connect(&socket).ok().map(drop)))
        .with_context(|| format!("the {name} does not start"))?;
    Ok((program, format!("unix:{}", socket.display())))
}
