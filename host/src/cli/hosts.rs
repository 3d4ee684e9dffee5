//! `billhook hosts`: who works on the store, and the word that one has ended.

use super::answer::{Answer, Exit};
use super::client::{Call, Client};
use super::table::{Table, cell, coloured, maybe};
use crate::views::{HostView, HostWord, Page};
use clap::{Args, Subcommand};
use comfy_table::Color;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct HostsArgs {
    #[command(subcommand)]
    command: Option<HostsCommand>,
}

#[derive(Debug, Subcommand)]
enum HostsCommand {
    /// All hosts of the store
    List,
    /// Say that a host has ended, so that what it may have sent still is run by others
    ///
    /// Make sure first: its process is gone, or its machine is off or cannot reach the panels. A host that still runs might order
    /// a second time.
    Dead {
        /// Its name, or its id
        name: String,
    },
}

/// Carries the command out.
///
/// # Errors
///
/// A daemon that is not there, or refuses.
pub(super) async fn run(client: &Client, args: &HostsArgs) -> anyhow::Result<Answer> {
    match &args.command {
        None | Some(HostsCommand::List) => {
            let reply = client.send(Call::get(&["v1", "hosts"])).await?;
            let hosts = Page::<Value>::deserialize(&reply.json)?.items;
            Ok(Answer::new(text(&hosts)?, reply.json, Exit::Done))
        }
        Some(HostsCommand::Dead { name }) => {
            let reply = client.send(Call::post(&["v1", "hosts", name, "dead"], Vec::new())).await?;
            Ok(Answer::new(text(std::slice::from_ref(&reply.json))?, reply.json, Exit::Done))
        }
    }
}

fn text(hosts: &[Value]) -> Result<String, serde_json::Error> {
    let mut table = Table::new(&["host", "state", "version", "last sign", "running", "unproven", "since", "id"]);
    for json in hosts {
        let host = HostView::deserialize(json)?;
        let (word, colour) = match host.state {
            HostWord::Alive => ("alive", Color::Green),
            HostWord::Silent => ("silent", Color::Yellow),
            HostWord::Lost => ("lost", Color::Red),
            HostWord::Ended => ("ended", Color::Grey),
        };
        table.row([
            cell(if host.own { format!("{} (this one)", host.name) } else { host.name }),
            coloured(word, colour),
            cell(&host.version),
            cell(format!("{} s ago", host.beat_ms / 1_000)),
            cell(host.running.to_string()),
            cell(host.unproven.to_string()),
            maybe(host.ended_at.as_ref().or(Some(&host.started_at))),
            cell(&host.id),
        ]);
    }
    Ok(table.text("the store is a file, which has one host"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hosts_are_listed_with_what_waits_for_them() {
        let host = |name: &str, state: &str, unproven: u64| {
            json!({ "id": format!("id-{name}"), "name": name, "own": name == "web1", "state": state, "version": "0.1.0",
                "schema": 8, "started_at": "2026-01-01T00:00:00.000Z", "beat_ms": 41_200, "running": 3, "unproven": unproven,
                "end": if state == "lost" { json!("expired") } else { Value::Null } })
        };
        let shown = text(&[host("web1", "alive", 0), host("web2", "lost", 2)]).unwrap();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].starts_with("web1 (this one)") && lines[1].contains("alive"), "{shown}");
        assert!(lines[2].contains("lost") && lines[2].contains("41 s ago") && lines[2].contains("id-web2"), "{shown}");
        assert_eq!(text(&[]).unwrap(), "the store is a file, which has one host\n");
    }
}
