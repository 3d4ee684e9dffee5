//! `billhook servers`: whether they are ready, who works on them, and whether anybody may.

use super::answer::{Answer, Exit};
use super::client::{Call, Client, PANEL};
use super::hook;
use super::table::{Table, cell, coloured, fact, maybe, plain};
use crate::views::{BreakerWord, Page, ServerView};
use clap::Subcommand;
use comfy_table::Color;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(super) enum ServersCommand {
    /// Configured servers
    List,
    /// Everything that is known of one
    Show {
        /// Its name in the configuration
        name: String,
    },
    /// Try its address, credentials and rights now; an answer ends that it is left alone
    Test {
        /// Its name in the configuration
        name: String,
    },
    /// Ask its panel how many more of a product it has room for
    Capacity {
        /// Its name in the configuration
        name: String,
        /// The product's name in the configuration
        product: String,
    },
    /// Hold its operations back, until `resume`; what runs is not disturbed
    Pause {
        /// Its name in the configuration
        name: String,
    },
    /// Let its operations go again, in order
    Resume {
        /// Its name in the configuration
        name: String,
    },
}

/// Carries the command out.
///
/// # Errors
///
/// A daemon that is not there, or refuses.
pub(super) async fn run(client: &Client, command: &ServersCommand) -> anyhow::Result<Answer> {
    match command {
        ServersCommand::List => {
            let reply = client.send(Call::get(&["v1", "servers"])).await?;
            let servers = Page::<Value>::deserialize(&reply.json)?.items;
            Ok(Answer::new(list_text(&servers)?, reply.json, Exit::Done))
        }
        ServersCommand::Show { name } => one(client, Call::get(&["v1", "servers", name])).await,
        ServersCommand::Pause { name } => one(client, Call::post(&["v1", "servers", name, "pause"], Vec::new())).await,
        ServersCommand::Resume { name } => {
            one(client, Call::post(&["v1", "servers", name, "resume"], Vec::new())).await
        }
        ServersCommand::Capacity { name, product } => {
            let call = Call::get(&["v1", "servers", name, "capacity", product]).within(PANEL);
            hook::answer(client.send(call).await?)
        }
        ServersCommand::Test { name } => {
            let call = Call::post(&["v1", "servers", name, "test"], Vec::new()).within(PANEL);
            hook::answer(client.send(call).await?)
        }
    }
}

async fn one(client: &Client, call: Call) -> anyhow::Result<Answer> {
    let reply = client.send(call).await?;
    Ok(Answer::new(text(&reply.json)?, reply.json, Exit::Done))
}

fn list_text(servers: &[Value]) -> Result<String, serde_json::Error> {
    let mut table = Table::new(&["server", "provider", "state", "running", "waiting", "address", "why"]);
    for json in servers {
        let server = ServerView::deserialize(json)?;
        let (word, colour) = state(&server);
        table.row([
            cell(&server.name),
            cell(&server.provider),
            coloured(word, colour),
            cell(format!("{}/{}", server.lane.running, server.concurrency)),
            cell(server.lane.waiting.to_string()),
            cell(&server.base_url),
            maybe(server.reason.as_ref()),
        ]);
    }
    Ok(table.text("no servers are configured"))
}

/// What keeps hooks from it, if anything does.
fn state(server: &ServerView) -> (&'static str, Color) {
    let breaker = server.breaker.as_ref().map_or(BreakerWord::Closed, |breaker| breaker.state);
    match breaker {
        _ if !server.ready => ("not ready", Color::Red),
        _ if server.paused.is_some() => ("paused", Color::Yellow),
        BreakerWord::Open | BreakerWord::HalfOpen => ("unreachable", Color::Red),
        BreakerWord::Closed => ("ready", Color::Green),
    }
}

/// All members, also those that a newer daemon has.
fn text(json: &Value) -> Result<String, serde_json::Error> {
    let server = ServerView::deserialize(json)?;
    let mut out = format!("{}\n", plain(&format!("{}  {}", server.name, state(&server).0)));
    if let Some(members) = json.as_object() {
        for (name, value) in members.iter().filter(|(name, _)| *name != "name") {
            facts(&mut out, &name.replace('_', " "), value);
        }
    }
    Ok(out)
}

fn facts(out: &mut String, label: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                facts(out, &format!("{label} {}", name.replace('_', " ")), value);
            }
        }
        Value::Null => {}
        Value::String(text) => fact(out, &plain(label), text),
        other => fact(out, &plain(label), other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn servers() -> Vec<Value> {
        vec![
            json!({
                "name": "p1", "provider": "v", "base_url": "https://p1", "concurrency": 4, "ready": true,
                "lane": { "running": 2, "waiting": 7, "oldest_ms": 1500 }, "breaker": { "state": "closed", "since": "t", "unanswered": 0 },
            }),
            json!({ "name": "p2", "provider": "v", "base_url": "u", "concurrency": 4, "ready": true, "paused": { "by": "uid 0", "since": "t" } }),
            json!({ "name": "p3", "provider": "v", "base_url": "u", "concurrency": 4, "ready": true, "breaker": { "state": "open", "since": "t", "unanswered": 5 } }),
            json!({ "name": "p4", "provider": "w", "base_url": "u", "concurrency": 4, "ready": false, "reason": "no plugin" }),
        ]
    }

    #[test]
    fn a_server_says_what_keeps_hooks_from_it() {
        let expected = "\
server  provider  state        running  waiting  address     why
p1      v         ready        2/4      7        https://p1  -
p2      v         paused       0/4      0        u           -
p3      v         unreachable  0/4      0        u           -
p4      w         not ready    0/4      0        u           no plugin
";
        assert_eq!(list_text(&servers()).unwrap(), expected);
        assert_eq!(list_text(&[]).unwrap(), "no servers are configured\n");
    }

    #[test]
    fn one_server_is_shown_with_all_that_the_daemon_says() {
        let shown = text(&servers()[0]).unwrap();
        assert!(shown.starts_with("p1  ready\n"), "{shown}");
        for line in ["  provider   v\n", "  lane waiting 7\n", "  lane oldest ms 1500\n", "  ready      true\n"] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(text(&json!({ "name": 1 })).is_err());
    }
}
