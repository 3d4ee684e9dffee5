//! What a build needs beside Rust itself, and how it gets there.

use std::path::Path;
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
    if !can_install() {
        bail!("there is no C compiler ({name}); {hint}");
    }
    println!("there is no C compiler ({name}); installing gcc");
    install(&["gcc", "libc6-dev"], hint)
}

/// Makes sure of the program that judges requests by their contract's types, where the contracts are at hand.
pub(crate) fn judge() -> Result<()> {
    let contracts = crate::cargo::root().join("../shared/contracts");
    if !contracts.is_dir() {
        println!("there is no {}: no request will be held against its contract's types", contracts.display());
        return Ok(());
    }
    // Debian's own; another one that comes first in the path has libraries of its own.
    let debian = Path::new("/usr/bin/python3");
    let python = if debian.exists() { debian } else { Path::new("python3") };
    if succeeds(Command::new(python).args(["-c", "import lxml"])) {
        return Ok(());
    }
    let hint = "install python3 with lxml; on Debian or Ubuntu: apt-get install python3-lxml";
    if !can_install() {
        bail!("what judges requests by their contract's types is missing; {hint}");
    }
    println!("python3 with lxml is missing; installing it");
    install(&["python3", "python3-lxml"], hint)
}

/// Makes sure of a Postgres server: the tests of the store start one of their own.
pub(crate) fn database() -> Result<()> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| {
        versions.any(|version| version.is_ok_and(|version| version.path().join("bin/initdb").exists()))
    });
    if debian || succeeds(Command::new("initdb").arg("--version")) {
        return Ok(());
    }
    let hint = "install one; on Debian or Ubuntu: apt-get install postgresql";
    if !can_install() {
        bail!("there is no Postgres server to test the store with; {hint}");
    }
    println!("there is no Postgres server; installing postgresql");
    install(&["postgresql"], hint)
}

fn can_install() -> bool {
    rustix::process::geteuid().is_root() && succeeds(Command::new("apt-get").arg("--version"))
}

fn install(packages: &[&str], hint: &str) -> Result<()> {
    for (args, packages) in [(&["update"][..], &[][..]), (&["install", "--yes", "--no-install-recommends"], packages)] {
        let mut command = Command::new("apt-get");
        let status = command.args(args).args(packages).env("DEBIAN_FRONTEND", "noninteractive").status();
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
