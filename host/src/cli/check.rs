//! `billhook check`: looks at everything that a start needs, changes nothing, and says what is wrong and what helps.

mod folders;
mod panels;
mod store;
mod target;

use super::answer::{Answer, Exit};
use super::client::{Call, Client};
use super::logging;
use super::place::Place;
use super::table::{Table, cell, coloured};
use crate::config::Config;
use clap::Args;
use comfy_table::Color;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Also try every server's address, credentials and rights, through the running daemon
    #[arg(long, visible_alias = "panels")]
    online: bool,
}

/// For `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is wrong; warnings may have been found
  1  something is wrong: a start, or a part of the daemon, would fail
  2  wrong use";

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Doubtful.
    Warn,
    /// The daemon, or a part of it, cannot work like this.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    level: Level,
    place: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, place: place.into(), text: text.into(), remedy: None }
    }

    pub(super) fn warn(place: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warn, place: place.into(), text: text.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn error(place: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Error, ..Self::warn(place, text, remedy) }
    }
}

/// Looks at everything.
///
/// # Errors
///
/// None so far: whatever is wrong is a finding.
pub(super) async fn run(place: &Place, args: &CheckArgs) -> anyhow::Result<Answer> {
    let mut findings = Vec::new();
    match place.config() {
        Ok(config) => {
            look(place, &config, args, &mut findings).await;
        }
        Err(refused) => {
            findings.extend(refused.findings.into_iter().map(|one| Finding::error(one.place, one.problem, one.remedy)))
        }
    }
    Ok(answer(&findings)?)
}

/// The findings as an answer.
pub(super) fn answer(findings: &[Finding]) -> Result<Answer, serde_json::Error> {
    let exit = if findings.iter().any(|finding| finding.level == Level::Error) { Exit::Failed } else { Exit::Done };
    Ok(Answer::new(text(findings), serde_json::to_value(findings)?, exit))
}

async fn look(place: &Place, config: &Config, args: &CheckArgs, findings: &mut Vec<Finding>) {
    findings.push(configuration(place, config));
    findings.extend(config.warnings.iter().map(|one| Finding::warn(&one.place, &one.problem, &one.remedy)));
    if let Err(refused) = logging::filter(&config.log.level) {
        findings.push(Finding::error("log.level", refused.to_string(), refused.remedy()));
    }
    if config.platforms.is_empty() {
        let remedy = "add a table [platforms.NAME] with the uids of the billing system";
        findings.push(Finding::warn("platforms", "no billing system may send hooks", remedy));
    }
    if config.servers.is_empty() {
        findings.push(Finding::warn("servers", "no panel is configured", "add a table [servers.NAME]"));
    }
    findings.extend(store::user(config));
    findings.extend(folders::look(config));
    findings.push(store::key(config).await);
    findings.extend(store::database(config).await);
    findings.extend(target::look(config).await);

    let client = Client::new(place.socket.clone().unwrap_or_else(|| config.socket.admin_socket()));
    let daemon = daemon(&client).await;
    let runs = daemon.level == Level::Ok;
    findings.push(daemon);
    if args.online && runs {
        findings.extend(panels::look(&client, config).await);
    } else if args.online {
        let remedy = "start it, then check again";
        findings.push(Finding::warn("panels", "not tried: that needs the running daemon", remedy));
    }
}

fn configuration(place: &Place, config: &Config) -> Finding {
    let name = place.file().map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
    let counts =
        [(config.platforms.len(), "platforms"), (config.servers.len(), "servers"), (config.products.len(), "products")];
    let counts = counts.map(|(count, of)| format!("{count} {of}")).join(", ");
    match place.file() {
        Some(_) => Finding::ok(name, counts),
        None => Finding::warn(
            name,
            "there is no configuration file: only the defaults are in force",
            "name it with --config",
        ),
    }
}

/// Whether a daemon runs. That none does is no fault: one checks before the start.
async fn daemon(client: &Client) -> Finding {
    const PLACE: &str = "daemon";
    match client.send(Call::get(&["healthz"])).await {
        Ok(reply) => {
            let said = |name: &str| reply.json[name].as_str().unwrap_or("unknown").to_owned();
            Finding::ok(PLACE, format!("runs, version {}, {}", said("version"), said("status")))
        }
        Err(error) if error.is_absence() => Finding::warn(PLACE, "does not run", "start it with `billhook serve`"),
        Err(error) => {
            let remedy = error.remedy().unwrap_or("see what the daemon writes about itself").to_owned();
            Finding::warn(PLACE, format!("{:#}", anyhow::Error::new(error)), remedy)
        }
    }
}

/// The folder itself, or the first above it that is there.
fn nearest_folder(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| folder.is_dir())
}

/// The owner of a file, if it can be seen.
fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|about| about.uid())
}

fn text(findings: &[Finding]) -> String {
    let mut table = Table::with_texts(&["", "place", "found", "remedy"], 2);
    for finding in findings {
        let level = match finding.level {
            Level::Ok => coloured("ok", Color::Green),
            Level::Warn => coloured("warn", Color::Yellow),
            Level::Error => coloured("error", Color::Red),
        };
        table.row([level, cell(&finding.place), cell(&finding.text), cell(finding.remedy.as_deref().unwrap_or(""))]);
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warn));
    format!("{}\n{errors} errors, {warnings} warnings\n", table.text("nothing was looked at"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration in a folder of its own, and the place that leads to it.
    fn checked(folder: &Path, more: &str) -> Place {
        let at = folder.display();
        let text = format!(
            "[socket]\nfolder = \"{at}/run\"\n[store]\nurl = \"sqlite://{at}/data/billhook.db\"\n[seal]\nkey_file = \
             \"{at}/host.key\"\n[plugins]\nfolder = \"{at}/plugins\"\n{more}"
        );
        let file = folder.join("billhook.toml");
        std::fs::write(&file, text).unwrap();
        Place::new(Some(file), None)
    }

    async fn findings(place: &Place) -> (Exit, Vec<(String, String)>) {
        let answer = run(place, &CheckArgs { online: false }).await.unwrap();
        let findings = answer.json.as_array().unwrap().iter().map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            (text("level"), text("place"))
        });
        (answer.exit, findings.collect())
    }

    #[tokio::test]
    async fn a_fresh_place_has_no_errors_and_stays_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let place = checked(folder.path(), "[platforms.whmcs]\nuids = [33]\nhooks = \"all\"\n");

        let (exit, found) = findings(&place).await;

        assert_eq!(exit, Exit::Done, "{found:?}");
        assert!(found.iter().any(|(level, place)| level == "ok" && place == "seal.key_file"), "{found:?}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["billhook.toml"]);
    }

    #[tokio::test]
    async fn a_server_without_its_plugin_is_an_error_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let server = "provider = \"virtfusion\"\nbase_url = \"https://cp.example.com\"\n";
        let place = checked(folder.path(), &format!("[servers.a]\n{server}[servers.b]\n{server}"));

        let answer = run(&place, &CheckArgs { online: false }).await.unwrap();

        assert_eq!(answer.exit, Exit::Failed);
        assert!(answer.text.contains("there is no such file"), "{}", answer.text);
        let errors: Vec<_> = answer.json.as_array().unwrap().iter().filter(|one| one["level"] == "error").collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0]["place"], "plugin virtfusion");
        assert_eq!(errors[0]["remedy"], "check the path in the configuration");
    }

    #[tokio::test]
    async fn a_refused_configuration_is_shown_finding_by_finding() {
        let folder = tempfile::tempdir().unwrap();
        let place = checked(folder.path(), "[retry]\nattempts = 0\n[log]\nformat = \"xml\"\n");

        let (exit, found) = findings(&place).await;

        assert_eq!(exit, Exit::Failed);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|(level, _)| level == "error"), "{found:?}");
    }
}
