//! The host key and the database.

use super::{Finding, nearest_folder, owner};
use crate::config::{Config, Database};
use crate::engine::store_options;
use crate::seal::{HostKey, Sealer, ring};
use crate::store::{Store, StoreError, StoreFacts, StoreOptions, Way};
use std::path::Path;

const PLACE: &str = "store.url";

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this user is the one whose daemon has the store: what another user can read says little of what it can.
pub(super) fn user(config: &Config) -> Option<Finding> {
    let Database::Sqlite { path } = &config.store.database else { return None };
    let owner = owner(path).or_else(|| path.parent().and_then(owner))?;
    (owner != own_uid()).then(|| {
        let text = format!("the store belongs to user {owner}, and this is user {}: rights may look wrong", own_uid());
        Finding::warn("user", text, "check as the user that the daemon runs as")
    })
}

/// The host key.
pub(super) async fn key(config: &Config) -> Finding {
    const PLACE: &str = "seal.key_file";
    let file = &config.seal.key_file;
    if file.exists() {
        return match ring::load(file) {
            Ok(keys) if keys.has_older() => {
                let text = format!("key {}; older ones are kept until nothing is sealed with them", keys.key_id());
                Finding::ok(PLACE, text)
            }
            Ok(keys) => Finding::ok(PLACE, format!("key {}; keep a copy apart from the store's", keys.key_id())),
            Err(error) => Finding::error(
                PLACE,
                format!("{:#}", anyhow::Error::new(error)),
                "put it back from its copy, mode 0600",
            ),
        };
    }
    let is_sealed = match &config.store.database {
        Database::Sqlite { path } => path.exists(),
        Database::Postgres { url, .. } => match Store::look_at(url, &store_options(&config.store)).await {
            Ok(look) => look.facts.is_some(),
            // What is wrong is said of the database.
            Err(_) => false,
        },
    };
    if is_sealed {
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
pub(super) async fn database(config: &Config) -> Vec<Finding> {
    match &config.store.database {
        Database::Sqlite { path } => vec![file(config, path).await],
        Database::Postgres { url, .. } => on_server(config, url).await,
    }
}

async fn on_server(config: &Config, url: &str) -> Vec<Finding> {
    let look = match Store::look_at(url, &store_options(&config.store)).await {
        Ok(look) => look,
        Err(error) => {
            let remedy = match &error {
                StoreError::ServerTooOld { .. } => "upgrade the server, or name another one",
                StoreError::NewerSchema { .. } => "install the newer Billhook",
                StoreError::Retired { .. } | StoreError::Copying { .. } => error.remedy(),
                _ => "see docs/postgres.md: the server's state and settings, the address, the role and its password",
            };
            return vec![Finding::error(PLACE, error.to_string(), remedy)];
        }
    };
    let mut findings = vec![match (&look.facts, look.holders.as_slice()) {
        (Some(facts), [_, ..]) => {
            Finding::ok(PLACE, format!("{}, in use by {}", words(facts), look.holders.join(" and ")))
        }
        (Some(facts), []) => Finding::ok(PLACE, words(facts)),
        (None, _) if look.may_make => {
            Finding::ok(PLACE, format!("{}, the tables are made at the first start", look.engine))
        }
        (None, _) => Finding::error(
            PLACE,
            "the role may make no tables there",
            "as the database's owner: CREATE SCHEMA billhook AUTHORIZATION the role",
        ),
    }];
    findings.extend(way(look.way));
    findings
}

/// What is to be said of the way to the server.
fn way(way: Way) -> Option<Finding> {
    match way {
        Way::Near | Way::Verified => None,
        Way::InClear => Some(Finding::warn(
            PLACE,
            "the server is on another machine, and what goes there can be read on its way",
            "let the server speak TLS (ssl = on) and write sslmode=verify-full, or reach it through a tunnel",
        )),
        Way::Unverified => Some(Finding::warn(
            PLACE,
            "the connection is encrypted, but nobody has verified that it leads to the server",
            "write sslmode=verify-full, with sslrootcert=/path where the authority is one of your own",
        )),
    }
}

fn words(facts: &StoreFacts) -> String {
    format!("store {}, generation {}, tables of version {}, {}", facts.id, facts.generation, facts.schema, facts.engine)
}

async fn file(config: &Config, path: &Path) -> Finding {
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
    let options = StoreOptions { readers: 1, ..store_options(&config.store) };
    match Store::open(&config.store.database.url(), sealer, options).await {
        Ok(store) => {
            let facts = store.facts().clone();
            store.close().await;
            Finding::ok(PLACE, words(&facts))
        }
        Err(StoreError::Locked { holder, .. }) => {
            Finding::ok(PLACE, format!("in use by {holder}, so it was not opened"))
        }
        Err(error @ StoreError::Retired { .. }) => Finding::error(PLACE, error.to_string(), error.remedy()),
        Err(error) => Finding::error(PLACE, error.to_string(), "see docs/operations.md, or restore it from a backup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_somebody_could_stand_in_is_a_warning() {
        for (found, expected) in [
            (Way::Near, None),
            (Way::Verified, None),
            (Way::InClear, Some("can be read")),
            (Way::Unverified, Some("nobody has verified")),
        ] {
            let text = way(found).map(|finding| serde_json::to_string(&finding).unwrap());
            assert_eq!(text.is_some(), expected.is_some(), "{found:?}");
            assert!(text.unwrap_or_default().contains(expected.unwrap_or_default()), "{found:?}");
        }
    }
}
