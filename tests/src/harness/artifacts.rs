//! What was built: the plugins, the daemon, the crash host. Built once if the caller has not done so.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Names a JSON file that maps an artifact's name to its path; the test command writes it.
pub const VARIABLE: &str = "BILLHOOK_TEST_ARTIFACTS";

static ARTIFACTS: LazyLock<BTreeMap<String, PathBuf>> = LazyLock::new(|| match std::env::var_os(VARIABLE) {
    Some(file) => {
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{VARIABLE}={}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
    None => build(),
});

/// The path of a program (`billhook`, `crash-host`, `fake-` and a panel) or of a provider's library (`libvirtfusion.so` and so on;
/// `libfixture.so`).
pub fn path(name: &str) -> &'static Path {
    ARTIFACTS.get(name).unwrap_or_else(|| panic!("no artifact {name} was built; there are {:?}", ARTIFACTS.keys()))
}

/// `cargo test` leaves no shared libraries behind, so they are asked for by name, and their paths read from cargo.
fn build() -> BTreeMap<String, PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "-p", "billhook", "-p", "billhook-tests", "-p", "billhook-virtfusion"])
        .args(["-p", "billhook-rootpanel", "-p", "billhook-fixture"])
        .args(["-p", "billhook-solidcp"])
        .args(["-p", "billhook-dcimanager"])
        .args(["-p", "billhook-apiscp"])
        .args(["--bins", "--lib", "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the artifacts do not build");
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let files = message["filenames"].as_array().into_iter().flatten().chain(message.get("executable"));
        for file in files.filter_map(Value::as_str).map(PathBuf::from) {
            let is_wanted = file.extension().is_none_or(|kind| kind == "so");
            if let (true, Some(name)) = (is_wanted, file.file_name()) {
                found.insert(name.to_string_lossy().into_owned(), file.clone());
            }
        }
    }
    found
}
