//! `billhook store`: copies of the store, and what a restored one needs.

mod copy;

use super::answer::{Answer, Exit};
use super::check::{self, Finding};
use super::client::{Call, Client};
use super::complaint::WrongUse;
use super::place::Place;
use crate::clock::SystemClock;
use crate::config::{Config, Database};
use crate::seal::{Sealer, ring};
use crate::store::{self, Inspected, RestoreError, StoreError};
use crate::views::ReleasedView;
use clap::Subcommand;
use copy::CopyArgs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copy the store, also while the daemon runs; whole, checked, and closed to others
    Backup {
        /// The copy; must not be there
        path: PathBuf,
    },
    /// Look whether a store or a copy of one is sound, what is in it, and whether the host's keys open it
    Check {
        /// The file; the configured store unless given
        path: Option<PathBuf>,
    },
    /// Move the store from its file to a Postgres server; the daemon must not run
    Copy(CopyArgs),
    /// Put a backup into the place of the store, where none is; the daemon must not run
    Restore {
        /// The backup
        path: PathBuf,
    },
    /// Let go what a restored copy holds back, once it was compared with the panels
    Release,
}

/// Carries the command out.
///
/// # Errors
///
/// A configuration, a file or a daemon that is not as it should be.
pub(super) async fn run(place: &Place, command: &StoreCommand) -> anyhow::Result<Answer> {
    match command {
        StoreCommand::Backup { path } => backup(&place.config()?, path).await,
        StoreCommand::Restore { path } => restore(&place.config()?, path).await,
        StoreCommand::Copy(args) => copy::run(&place.config()?, args).await,
        StoreCommand::Check { path } => check(place, path.as_deref()).await,
        StoreCommand::Release => {
            let reply = Client::of(place)?.send(Call::post(&["v1", "store", "release"], Vec::new())).await?;
            let text = match reply.view::<ReleasedView>()?.released {
                true => "released: changes go to the panels again\n",
                false => "nothing was held back: the store is no restored copy\n",
            };
            Ok(Answer::new(text, reply.json, Exit::Done))
        }
    }
}

async fn backup(config: &Config, target: &Path) -> anyhow::Result<Answer> {
    let Database::Sqlite { path: source } = &config.store.database else {
        return Err(on_a_server("backed up with pg_dump").into());
    };
    let target = std::path::absolute(target)?;
    let whole =
        std::fs::metadata(source).map_err(|error| StoreError::Open { path: source.clone(), why: error.to_string() })?;
    let copying = {
        let (source, target) = (source.clone(), target.clone());
        async move { anyhow::Ok(tokio::task::spawn_blocking(move || store::backup(&source, &target)).await??) }
    };
    let size = watched(whole.len(), &store::draft(&target), copying).await?;
    let text = format!(
        "{} ({} KiB)\nsealed values in it need the host key: keep a copy of {} elsewhere\n",
        target.display(),
        size / 1024,
        config.seal.key_file.display()
    );
    Ok(Answer::new(text, json!({ "path": target, "bytes": size }), Exit::Done))
}

/// Shows how a copy grows that is made at `draft`.
async fn watched<T, E>(whole: u64, draft: &Path, copying: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let bar = ProgressBar::with_draw_target(Some(whole), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} [{bar:20}] {bytes} of {total_bytes} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(120));
    let clock = SystemClock::shared();
    let mut copying = std::pin::pin!(copying);
    let copied = loop {
        tokio::select! {
            copied = &mut copying => break copied,
            () = clock.sleep(Duration::from_millis(200)) => {
                bar.set_position(std::fs::metadata(draft).map_or(0, |about| about.len()));
            }
        }
    };
    bar.finish_and_clear();
    copied
}

async fn restore(config: &Config, source: &Path) -> anyhow::Result<Answer> {
    let Database::Sqlite { path: target } = &config.store.database else {
        return Err(on_a_server("restored with the server's own tools").into());
    };
    let source = std::path::absolute(source)?;
    let whole = std::fs::metadata(&source)
        .map_err(|error| StoreError::Open { path: source.clone(), why: error.to_string() })
        .map_err(RestoreError::Store)?;
    let sealer = ring::load(&config.seal.key_file)?;
    let restored = store::restore(&source, target, &sealer);
    let (found, size) = watched(whole.len(), &store::draft(target), restored).await?;
    let text = format!(
        "{} is the store {} again ({} KiB), as it was when it was copied\n\
         the panels have gone on since: the daemon holds all changes back until `billhook store release`; see \
         docs/operations.md\n",
        target.display(),
        found.id,
        size / 1024
    );
    let json = json!({ "path": target, "bytes": size, "store": found.id, "generation": found.generation });
    Ok(Answer::new(text, json, Exit::Done))
}

/// A server has tools of its own.
fn on_a_server(how: &str) -> WrongUse {
    let what = format!("the store is a database on a server, which is {how}");
    WrongUse::new(what, "see docs/operations.md")
}

async fn check(place: &Place, path: Option<&Path>) -> anyhow::Result<Answer> {
    let config = place.config();
    let path = match (path, &config) {
        (Some(path), _) => std::path::absolute(path)?,
        (None, Ok(config)) => match &config.store.database {
            Database::Sqlite { path } => path.clone(),
            _ => return Err(on_a_server("looked at by `billhook check`").into()),
        },
        (None, Err(_)) => return Err(config.err().map_or_else(|| anyhow::anyhow!("no configuration"), Into::into)),
    };
    let sealer = match &config {
        Ok(config) => ring::load(&config.seal.key_file).map_err(|error| format!("{:#}", anyhow::Error::new(error))),
        Err(_) => Err("the configuration is refused, so the keys are not known".to_owned()),
    };
    let findings = tokio::task::spawn_blocking(move || look(&path, sealer)).await?;
    Ok(check::answer(&findings)?)
}

/// What is to be said of the file.
fn look(path: &Path, sealer: Result<Sealer, String>) -> Vec<Finding> {
    const RESTORE: &str = "do not use it: take an earlier backup";
    let found = match store::inspect(path, sealer.as_ref().ok()) {
        Ok(found) => found,
        Err(error) => {
            let remedy = "name a store or a backup of one, as its owner; if it is one, it is damaged: take another";
            return vec![Finding::error("file", error.to_string(), remedy)];
        }
    };
    let mut findings = vec![Finding::ok("file", path.display().to_string())];
    findings.push(match found.flaws.as_slice() {
        [] => Finding::ok("integrity", "sound"),
        flaws => Finding::error("integrity", flaws.join("; "), RESTORE),
    });
    findings.push(tables(&found));
    findings.push(state(&found));
    if found.flaws.is_empty() {
        let operations: Vec<String> =
            found.operations.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let operations = if operations.is_empty() { "none".to_owned() } else { operations.join(", ") };
        findings.push(Finding::ok("content", format!("{} services; operations: {operations}", found.services)));
        findings.push(keys(&found, &sealer));
    }
    findings
}

fn tables(found: &Inspected) -> Finding {
    let (version, known) = found.schema;
    match version.cmp(&known) {
        std::cmp::Ordering::Equal => Finding::ok("tables", format!("version {version}")),
        std::cmp::Ordering::Less => Finding::ok("tables", format!("version {version}; a start brings them to {known}")),
        std::cmp::Ordering::Greater => {
            Finding::error("tables", format!("version {version}, and this host knows {known}"), "run the newer host")
        }
    }
}

fn state(found: &Inspected) -> Finding {
    let text = format!("store {}, generation {}", found.id, found.generation);
    match found.state.as_str() {
        "serving" => Finding::ok("state", text),
        "recovering" => Finding::ok("state", format!("{text}, a copy: a host that opens it holds all changes back")),
        other => {
            let gone_to = found.gone_to.as_ref().map(|place| format!(", moved to {place}")).unwrap_or_default();
            Finding::error("state", format!("{text}, {other}{gone_to}"), "a copy of it has taken over: serve that one")
        }
    }
}

fn keys(found: &Inspected, sealer: &Result<Sealer, String>) -> Finding {
    const PLACE: &str = "host key";
    let needed: Vec<String> = found.keys.iter().map(|(id, count)| format!("{count} values of {id}")).collect();
    let needed = if needed.is_empty() { "nothing is sealed".to_owned() } else { needed.join(", ") };
    match sealer {
        Err(why) => {
            Finding::warn(PLACE, format!("not tried ({needed}): {why}"), "check with the daemon's configuration")
        }
        Ok(_) => match found.closed.first() {
            None => Finding::ok(PLACE, format!("{needed}; {} were tried and open", found.tried)),
            Some(why) => {
                Finding::error(PLACE, format!("{needed}; {why}"), "put the key that it names beside the host key")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::HostKey;
    use crate::store::behaviour::samples;

    fn levels(findings: &[Finding]) -> String {
        serde_json::to_value(findings)
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{}:{} ", one["place"].as_str().unwrap(), one["level"].as_str().unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn a_backup_is_looked_at_and_said_to_be_one() {
        let (place, store) = samples::store(samples::On::Sqlite).await;
        samples::running(&store, "1", "41").await;
        let copy = place.path().with_file_name("copy.db");
        store::backup(&place.path(), &copy).unwrap();

        let found = look(&copy, Ok(place.sealer()));
        assert_eq!(levels(&found), "file:ok integrity:ok tables:ok state:ok content:ok host key:ok ");
        let text = serde_json::to_string(&found).unwrap();
        assert!(text.contains("a copy") && text.contains("1 services; operations: 1 running"), "{text}");

        let stranger = Sealer::new(HostKey::random().unwrap(), vec![]).unwrap();
        let found = look(&copy, Ok(stranger));
        assert_eq!(levels(&found), "file:ok integrity:ok tables:ok state:ok content:ok host key:error ");
        assert_eq!(levels(&look(&copy, Err("no key".into()))).split(' ').nth_back(1), Some("key:warn"));
        assert_eq!(levels(&look(Path::new("/nowhere"), Ok(place.sealer()))), "file:error ");
    }
}
