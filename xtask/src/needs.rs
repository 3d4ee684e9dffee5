//! What a build needs beside Rust itself, and how it gets there.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;

/// The components of the toolchain that only the tests need.
const COMPONENTS: [&str; 2] = ["fmt", "clippy"];

/// Makes sure of a C compiler: SQLite, zstd and the TLS library are built from source.
pub(crate) fn compiler() -> Result<()> {
    let name = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    if succeeds(Command::new(&name).arg("--version")) {
        return Ok(());
    }
    let hint = "install one; on Debian or Ubuntu: apt-get install gcc libc6-dev";
    if !rustix::process::geteuid().is_root() || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("there is no C compiler ({name}); {hint}");
    }
    println!("there is no C compiler ({name}); installing gcc");
    for args in [&["update"][..], &["install", "--yes", "--no-install-recommends", "gcc", "libc6-dev"]] {
        let status = Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").status();
        if !status.context("cannot run apt-get")?.success() {
            bail!("apt-get {} failed; {hint}", args[0]);
        }
    }
    Ok(())
}

/// Makes sure of rustfmt and clippy.
pub(crate) fn components() -> Result<()> {
    if COMPONENTS.iter().all(|name| succeeds(cargo(&[name, "--version"]).stdin(Stdio::null()))) {
        return Ok(());
    }
    let hint = "install rustfmt and clippy of the toolchain in rust-toolchain.toml";
    println!("rustfmt or clippy is missing; asking rustup for them");
    let mut rustup = Command::new("rustup");
    let status = rustup.args(["component", "add", "rustfmt", "clippy"]).current_dir(crate::cargo::root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("rustup could not add them; {hint}"),
        Err(error) => bail!("there is no rustup ({error}); {hint}"),
    }
}

/// Whether a program is there and content; its output goes nowhere.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
