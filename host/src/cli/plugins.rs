//! `billhook plugins`: what the daemon has loaded, and what it refused.

mod probe;

use super::answer::{Answer, Exit};
use super::client::{Call, Client};
use super::place::Place;
use super::table::{Table, cell, plain};
use crate::views::{Page, ProviderView, ServerView};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Debug, Args)]
pub(super) struct PluginsArgs {
    #[command(subcommand)]
    command: Option<PluginsCommand>,
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// Look at a plugin's file as the daemon does, opening it in a process of its own
    Probe(probe::ProbeArgs),
}

/// Shows what is loaded, or looks at a file.
///
/// # Errors
///
/// A daemon that is not there, or refuses; a plugin that is refused.
pub(super) async fn run(place: &Place, args: &PluginsArgs) -> anyhow::Result<Answer> {
    match &args.command {
        None => list(&Client::of(place)?).await,
        Some(PluginsCommand::Probe(args)) => probe::run(place, args).await,
    }
}

/// Asks for the providers, and the servers that they drive.
async fn list(client: &Client) -> anyhow::Result<Answer> {
    let providers = client.send(Call::get(&["v1", "providers"])).await?.json;
    let servers = client.send(Call::get(&["v1", "servers"])).await?.json;
    let text = text(&items(&providers)?, &items(&servers)?);
    Ok(Answer::new(text, json!({ "providers": providers, "servers": servers }), Exit::Done))
}

fn items<T: DeserializeOwned>(json: &Value) -> Result<Vec<T>, serde_json::Error> {
    Page::<T>::deserialize(json).map(|page| page.items)
}

fn text(providers: &[ProviderView], servers: &[ServerView]) -> String {
    let mut table = Table::new(&["provider", "version", "journal", "SHA-256", "servers", "hooks"]);
    let mut refused = String::new();
    for provider in providers {
        let Some(facts) = &provider.facts else {
            let reason = provider.reason.as_deref().unwrap_or("no reason is known");
            let _ = writeln!(refused, "  {}", plain(&format!("{}: {reason}", provider.name)));
            continue;
        };
        let hooks = facts.hooks.iter().map(ToString::to_string);
        let actions = facts.actions.iter().map(|action| format!("action {}", action.name));
        let driven = servers.iter().filter(|server| server.provider == provider.name).map(|server| server.name.clone());
        table.row([
            cell(&provider.name),
            cell(&facts.version),
            cell(facts.journal_version.to_string()),
            // Enough to compare by eye; --json has all of it.
            cell(facts.sha256.get(..12).unwrap_or(&facts.sha256)),
            cell(driven.collect::<Vec<_>>().join(", ")),
            cell(hooks.chain(actions).collect::<Vec<_>>().join(", ")),
        ]);
    }
    let mut out = table.text("no plugin is loaded");
    if !refused.is_empty() {
        let _ = write!(out, "\nnot loaded:\n{refused}");
    }
    let unready: Vec<&ServerView> = servers.iter().filter(|server| !server.ready).collect();
    if !unready.is_empty() {
        out.push_str("\nservers that are not ready:\n");
        for server in unready {
            let reason = server.reason.as_deref().unwrap_or("no reason is known");
            let _ = writeln!(out, "  {}", plain(&format!("{}: {reason}", server.name)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_and_refused_plugins_are_told_apart() {
        let providers = json!({ "items": [
            {
                "name": "virtfusion", "loaded": true, "title": "VirtFusion", "version": "0.1.0", "sha256": "0123456789abcdef",
                "hooks": ["create", "test"], "convergent": [], "actions": [], "journal_version": 1, "continues": [],
                "longest_run_s": 60, "server_schema": {}, "product_schema": {},
            },
            { "name": "solidcp", "loaded": false, "reason": "it is empty" },
        ] });
        let servers = json!({ "items": [
            { "name": "p1", "provider": "virtfusion", "base_url": "u", "concurrency": 4, "ready": true },
            { "name": "p2", "provider": "solidcp", "base_url": "u", "concurrency": 4, "ready": false, "reason": "no plugin" },
        ] });

        let expected = "\
provider    version  journal  SHA-256       servers  hooks
virtfusion  0.1.0    1        0123456789ab  p1       create, test

not loaded:
  solidcp: it is empty

servers that are not ready:
  p2: no plugin
";
        assert_eq!(text(&items(&providers).unwrap(), &items(&servers).unwrap()), expected);
    }
}
