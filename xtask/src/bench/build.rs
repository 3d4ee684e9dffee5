//! What is measured, built as it is shipped, and what measures it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::providers::PROVIDERS;
use crate::cargo::{Artifacts, cargo, root};
use crate::needs;

/// In one build, so that crates which several of them use are built once and alike.
const PROGRAMS: &[&str] = &["-p", "billhook", "-p", "billhook-bench", "-p", "billhook-tests"];

/// Of these, since each takes minutes to link as it is shipped.
const BINARIES: [&str; 5] = ["billhook", "bench-floor", "bench-load", "bench-panel", "slow-clients"];

/// The plugin that does what its product's settings say.
pub(super) const SANDBOX: &str = "libsandbox.so";

/// Where everything is.
pub(super) struct Programs {
    programs: Artifacts,
    plugins: Artifacts,
    /// Makes syncs longer, and counts them.
    pub(super) preload: PathBuf,
}

impl Programs {
    /// As they are shipped, or with the profile `dev`.
    pub(super) fn build(work: &Path, dev: bool) -> Result<Self> {
        needs::compiler()?;
        let [shipped, small] = if dev { ["dev"; 2] } else { ["release", "plugin"] };
        println!("building with the profiles {shipped} and {small} (many minutes the first time) ...");
        let mut args = vec!["build", "--profile", shipped];
        args.extend(PROGRAMS);
        let panels = PROVIDERS.iter().map(|provider| provider.panel);
        args.extend(BINARIES.into_iter().chain(panels).flat_map(|name| ["--bin", name]));
        let programs = Artifacts::build(cargo(&args)).context("the programs could not be built")?;
        let mut args = vec!["build", "--profile", small, "--lib", "-p", "billhook-sandbox"];
        args.extend(PROVIDERS.iter().flat_map(|provider| ["-p", provider.package]));
        let plugins = Artifacts::build(cargo(&args)).context("the plugins could not be built")?;
        Ok(Self { programs, plugins, preload: preload(work)? })
    }

    pub(super) fn program(&self, name: &str) -> Result<&Path> {
        self.programs.path(name)
    }

    /// As the programs of the tests look things up.
    pub(super) fn to_json(&self) -> String {
        self.programs.joined(&self.plugins).to_json()
    }

    pub(super) fn plugin(&self, file: &str) -> Result<&Path> {
        self.plugins.path(file)
    }

    /// Bytes of what is shipped, by name.
    pub(super) fn sizes(&self) -> Result<BTreeMap<String, u64>> {
        let mut files = vec![self.program("billhook")?, self.plugin(SANDBOX)?];
        for provider in PROVIDERS {
            files.push(self.plugin(provider.library)?);
        }
        let size = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let length = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?.len();
            Ok((name, length))
        };
        files.into_iter().map(size).collect()
    }
}

fn preload(work: &Path) -> Result<PathBuf> {
    let source = root().join("tests/preload/sync_delay.c");
    let library = work.join("sync_delay.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status()
        .with_context(|| format!("cannot run {compiler}"))?;
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(library)
}
