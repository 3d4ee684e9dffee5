//! `billhook key`: the key that seals what the store holds of passwords.

use super::answer::{Answer, Exit};
use super::place::Place;
use crate::seal::ring;
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new key; from its next start on the daemon seals with it, and seals anew what the former one sealed
    Rotate,
}

/// Carries the command out. The daemon need not run, and is not disturbed.
///
/// # Errors
///
/// A configuration that is refused, or a key that cannot be read or made.
pub(super) fn run(place: &Place, command: &KeyCommand) -> anyhow::Result<Answer> {
    let KeyCommand::Rotate = command;
    let config = place.config()?;
    let file = &config.seal.key_file;
    let rotated = ring::rotate(file)?;
    let (newest, former, kept_at) = (rotated.newest, rotated.former, rotated.kept_at.display());
    let text = format!(
        "the host key is {newest} from the daemon's next start on\n\
         {former} is kept at {kept_at} until nothing is sealed with it, and goes by itself\n\
         restart the daemon, and copy {} to where the backups' keys are; backups from before need {former}\n",
        file.display()
    );
    let json = json!({
        "newest": newest.to_string(), "former": former.to_string(), "kept_at": rotated.kept_at,
    });
    Ok(Answer::new(text, json, Exit::Done))
}
