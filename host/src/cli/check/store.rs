//! The host key and the database.

use super::{Finding, nearest_folder, owner};
use crate::config::{Config, Database};
use crate::seal::{HostKey, Sealer};
use crate::store::{Store, StoreError, StoreOptions};
use std::path::Path;

fn path(config: &Config) -> &Path {
    let Database::Sqlite { path } = &config.store.database;
    path
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this user is the one whose daemon has the store: what another user can read says little of what it can.
pub(super) fn user(config: &Config) -> Option<Finding> {
    let path = path(config);
    let owner = owner(path).or_else(|| path.parent().and_then(owner))?;
    (owner != own_uid()).then(|| {
        let text = format!("the store belongs to user {owner}, and this is user {}: rights may look wrong", own_uid());
        Finding::warn("user", text, "check as the user that the daemon runs as")
    })
}

/// The host key.
pub(super) fn key(config: &Config) -> Finding {
    const PLACE: &str = "seal.key_file";
    let file = &config.seal.key_file;
    if file.exists() {
        return match HostKey::load(file) {
            Ok(key) => Finding::ok(PLACE, format!("key {}; keep a copy apart from the store's", key.id())),
            Err(error) => Finding::error(
                PLACE,
                format!("{:#}", anyhow::Error::new(error)),
                "put it back from its copy, mode 0600",
            ),
        };
    }
    if path(config).exists() {
        let text = format!("{} is missing, and the store is sealed with it", file.display());
        return Finding::error(PLACE, text, "put it back from its copy");
    }
    match file.parent() {
        Some(folder) if folder.is_dir() => Finding::ok(PLACE, format!("{} is made at the first start", file.display())),
        _ => Finding::error(
            PLACE,
            format!("the folder of {} is missing", file.display()),
            "make it, closed to other users",
        ),
    }
}

/// The database, if it is there and nobody has it open.
pub(super) async fn database(config: &Config) -> Finding {
    const PLACE: &str = "store.url";
    let path = path(config);
    if !path.exists() {
        return match nearest_folder(path) {
            Some(_) => Finding::ok(PLACE, format!("{} is made at the first start", path.display())),
            None => Finding::error(PLACE, format!("{} cannot be made", path.display()), "name another place"),
        };
    }
    if owner(path) != Some(own_uid()) {
        // Opening it would leave files behind that its owner cannot write.
        return Finding::warn(PLACE, "not opened: it belongs to another user", "check as that user");
    }
    // The store's own words are not sealed, so any key opens it.
    let sealer = HostKey::random().and_then(|key| Sealer::new(key, Vec::new()));
    let sealer = match sealer {
        Ok(sealer) => sealer,
        Err(error) => return Finding::error(PLACE, error.to_string(), "check the system's random source"),
    };
    let options = StoreOptions { body_cap: config.store.body_cap, readers: 1, ..StoreOptions::default() };
    match Store::open(&format!("sqlite://{}", path.display()), sealer, options).await {
        Ok(store) => {
            let facts = store.facts().clone();
            store.close().await;
            Finding::ok(
                PLACE,
                format!(
                    "store {}, generation {}, tables of version {}, {}",
                    facts.id, facts.generation, facts.schema, facts.engine
                ),
            )
        }
        Err(StoreError::Locked { holder, .. }) => {
            Finding::ok(PLACE, format!("in use by {holder}, so it was not opened"))
        }
        Err(error) => Finding::error(PLACE, error.to_string(), "see docs/operations.md, or restore it from a backup"),
    }
}
