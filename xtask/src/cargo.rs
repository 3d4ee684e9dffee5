//! Runs the cargo that runs this, and finds what it built.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// The repository: the parent of this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo, at the root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// What a build left: programs by name, libraries by file name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Artifacts(BTreeMap<String, PathBuf>);

impl Artifacts {
    /// Builds, with cargo's own progress on stderr, and reads from its messages where everything is.
    pub(crate) fn build(mut command: Command) -> Result<Self> {
        let mut child = command
            .arg("--message-format=json-render-diagnostics")
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run cargo")?;
        let mut artifacts = Self::default();
        if let Some(messages) = child.stdout.take() {
            for line in BufReader::new(messages).lines() {
                artifacts.add(&line.context("cannot read cargo's messages")?);
            }
        }
        let status = child.wait().context("cannot wait for cargo")?;
        if !status.success() {
            bail!("the build failed");
        }
        for path in artifacts.0.values().filter(|path| path.extension().is_some_and(|end| end == "so")) {
            // An earlier build may have run under another umask.
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot change the mode of {}", path.display()))?;
        }
        Ok(artifacts)
    }

    fn add(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] == true {
            return;
        }
        // Of dependencies, only proc-macros are shared objects, and those are of another kind.
        let is_kind =
            |kind: &str| message["target"]["kind"].as_array().is_some_and(|kinds| kinds.contains(&kind.into()));
        if is_kind("bin")
            && let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            self.0.insert(name.to_owned(), path.into());
        }
        if is_kind("cdylib") {
            for path in message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let path = PathBuf::from(path);
                if path.extension().is_some_and(|end| end == "so")
                    && let Some(name) = path.file_name().and_then(|name| name.to_str())
                {
                    self.0.insert(name.to_owned(), path.clone());
                }
            }
        }
    }

    /// Where the artifact of this name is.
    pub(crate) fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).ok_or_else(|| anyhow!("the build left no {name}"))
    }

    /// These and others; of two that are called the same, the other.
    pub(crate) fn joined(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).map(|(name, path)| (name.clone(), path.clone())).collect())
    }

    /// A JSON object from name to path.
    pub(crate) fn to_json(&self) -> String {
        let map = self.0.iter().map(|(name, path)| (name.clone(), path.display().to_string().into()));
        Value::Object(map.collect()).to_string()
    }
}

/// Where cargo builds to.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let output = cargo(&["metadata", "--no-deps", "--format-version=1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed");
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_plugins_are_found_and_nothing_else() {
        let mut artifacts = Artifacts::default();
        for line in [
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"billhook"},"profile":{"test":false},"filenames":["/t/billhook"],"executable":"/t/billhook"}"#,
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"billhook"},"profile":{"test":true},"filenames":["/t/deps/billhook-1"],"executable":"/t/deps/billhook-1"}"#,
            r#"{"reason":"compiler-artifact","target":{"kind":["cdylib"],"name":"virtfusion"},"profile":{"test":false},"filenames":["/t/libvirtfusion.so"],"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"kind":["proc-macro"],"name":"derive"},"profile":{"test":false},"filenames":["/t/deps/libderive.so"],"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"billhook"},"profile":{"test":false},"filenames":["/t/libbillhook.rlib"],"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
        ] {
            artifacts.add(line);
        }

        assert_eq!(artifacts.to_json(), r#"{"billhook":"/t/billhook","libvirtfusion.so":"/t/libvirtfusion.so"}"#);
        assert_eq!(artifacts.path("billhook").unwrap(), Path::new("/t/billhook"));
        assert!(artifacts.path("fake-virtfusion").is_err());
    }
}
