//! What a hook leaves in the database: with one exchange, whose call has 1.6 KB and whose answer has 3.6.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::build::Programs;
use super::compare;
use super::figures::{Load, Row, Until};
use super::house::{House, sandbox};
use super::medium::{Medium, Pace};

const CALLERS: usize = 16;

/// Measures the file of a stopped daemon before and after.
pub(super) fn run(programs: &Programs, work: &Path, pace: Pace) -> Result<Row> {
    let medium = Medium::Tmpfs;
    let folder = medium.folder(work, "panel")?;
    let (_panel, address) = compare::panel(programs, folder.path())?;
    let house = House::new(programs, medium, work, "row", &sandbox(&address))?;
    let generator = programs.program("bench-load")?;

    let daemon = house.start()?;
    daemon.create("one", "one", CALLERS, &[])?;
    daemon.program.stop()?;
    let before = (length(&house.database())?, tables(generator, &house.database())?);

    let daemon = house.start()?;
    let load = Load {
        variant: "rows",
        work: &["hooks", "--prefix", "one"],
        target: daemon.target(),
        program: None,
        callers: CALLERS,
        run: "rows".to_owned(),
        until: Until::Count(pace.rows),
    };
    load.send(generator, &[])?;
    daemon.program.stop()?;
    let after = (length(&house.database())?, tables(generator, &house.database())?);

    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / pace.rows as f64;
    let grown = |(name, bytes): (&String, &u64)| (name.clone(), each(*bytes, before.1.get(name).copied().unwrap_or(0)));
    Ok(Row { hooks: pace.rows, bytes: each(after.0, before.0), tables: after.1.iter().map(grown).collect() })
}

fn length(database: &Path) -> Result<u64> {
    Ok(fs::metadata(database).with_context(|| format!("cannot look at {}", database.display()))?.len())
}

fn tables(generator: &Path, database: &Path) -> Result<BTreeMap<String, u64>> {
    let output = Command::new(generator).arg("tables").arg(database).output().context("cannot run the load")?;
    ensure!(output.status.success(), "the tables are not told: {}", String::from_utf8_lossy(&output.stderr).trim());
    let found: BTreeMap<String, u64> = serde_json::from_slice(&output.stdout).context("the tables are no JSON")?;
    Ok(found)
}
