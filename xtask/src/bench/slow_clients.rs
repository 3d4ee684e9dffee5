//! A caller that opens a connection for each hook, alone and beside a thousand connections that send a byte a second.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build::Programs;
use super::medium::Pace;

/// Lets the tests' own program measure, with the daemon and the plugin as they are shipped.
pub(super) fn run(programs: &Programs, work: &Path, pace: Pace) -> Result<Vec<Value>> {
    let artifacts = work.join("artifacts.json");
    fs::write(&artifacts, programs.to_json()).with_context(|| format!("cannot write {}", artifacts.display()))?;
    let output = Command::new(programs.program("slow-clients")?)
        .args(["--rounds", &pace.rounds.to_string()])
        .env("BILLHOOK_TEST_ARTIFACTS", &artifacts)
        .output()
        .context("cannot run slow-clients")?;
    let found: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // A ratio that is too high is judged with the other targets.
    ensure!(found.len() == 2, "slow-clients failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(found)
}
