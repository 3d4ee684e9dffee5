//! The daemon's own command line, as an admin uses it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs `billhook` and returns what it printed.
pub(super) fn run(mut command: Command, args: &[&str]) -> Result<String> {
    let output = command.args(args).output().with_context(|| format!("cannot run billhook {}", args.join(" ")))?;
    if !output.status.success() {
        bail!("billhook {}: {}: {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("billhook {} printed no text", args.join(" ")))
}

/// The command, bound to a configuration and free of what the caller's environment would lay over it.
pub(crate) fn command(billhook: &Path, config: &Path) -> Command {
    let mut command = Command::new(billhook);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BILLHOOK")) {
        command.env_remove(name);
    }
    command.arg("--config").arg(config);
    command
}
