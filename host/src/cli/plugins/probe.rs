//! `billhook plugins probe`: what the daemon would find out about a plugin's file, or has found out.

use super::super::answer::{Answer, Exit};
use super::super::complaint::WrongUse;
use super::super::place::Place;
use crate::clock::SystemClock;
use crate::engine::{beside, plugin_policy};
use crate::plugin::{self, Prober};
use clap::Args;
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(in super::super) struct ProbeArgs {
    /// Forget what is remembered of this content, and open it in a probe again
    #[arg(long)]
    again: bool,
    /// The plugin's library, libNAME.so
    file: PathBuf,
}

/// Looks at the file as the daemon would at its start, with the daemon's memory, short of opening it in this process.
///
/// # Errors
///
/// [`plugin::LoadError`] for a plugin that is refused; [`WrongUse`] where the answer would not be the daemon's.
pub(super) async fn run(place: &Place, args: &ProbeArgs) -> anyhow::Result<Answer> {
    let config = place.config()?;
    let Some(name) = provider(&args.file) else {
        let what = format!("{} is not called lib<name>.so, so the daemon would not look at it", args.file.display());
        return Err(WrongUse::new(what, "name the plugin's library").into());
    };
    let staging = beside(config.store.database.folder());
    check_user(&staging)?;
    let policy = plugin_policy(&config, name, &staging);
    let prober = Prober::new(None, SystemClock::shared());
    let probed = plugin::try_out(&args.file, &policy, &prober, args.again).await?;
    let text = format!("{} {} can be loaded, SHA-256 {}\n", probed.name, probed.version, probed.sha256);
    let json = json!({ "name": probed.name, "version": probed.version, "sha256": probed.sha256.to_string() });
    Ok(Answer::new(text, json, Exit::Done))
}

/// The provider that a file stands for.
fn provider(file: &Path) -> Option<&str> {
    file.file_name()?.to_str()?.strip_prefix("lib")?.strip_suffix(".so")
}

/// Copies and verdicts are the daemon's user's; another one's would be in its way.
fn check_user(staging: &Path) -> Result<(), WrongUse> {
    let own = rustix::process::geteuid().as_raw();
    let owner = staging.ancestors().find_map(|folder| Some((folder, std::fs::metadata(folder).ok()?.uid())));
    match owner {
        Some((folder, owner)) if owner != own => Err(WrongUse::new(
            format!("{} belongs to user {owner}, and this is user {own}", folder.display()),
            "ask as the user that the daemon runs as",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_for_the_provider_that_it_is_named_after() {
        for (file, expected) in [
            ("/usr/lib/billhook/plugins/libvirtfusion.so", Some("virtfusion")),
            ("libx.so", Some("x")),
            ("virtfusion.so", None),
            ("libvirtfusion", None),
            ("/", None),
        ] {
            assert_eq!(provider(Path::new(file)), expected, "{file}");
        }
    }

    #[test]
    fn a_folder_of_another_user_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_user(&folder.path().join("plugins")).is_ok());

        // The root folder is root's; whoever runs this test as root has no other user's at hand.
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(check_user(Path::new("/plugins-that-are-not-there")).is_ok(), is_root);
    }
}
