//! `billhook ops`: operations, and what a person decides about them.

use super::answer::{Answer, Exit};
use super::client::{Call, Client, Reply};
use super::follow;
use super::hook;
use super::operation::{self, held, hook_name, progress};
use super::table::{Table, cell, maybe, state_cell, when};
use crate::engine::Decision;
use crate::operation::State;
use crate::views::{OperationView, Page};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum OpsCommand {
    /// Operations, newest first
    List(ListArgs),
    /// One operation: steps, fault, and what may be decided about it
    Show {
        /// op_…
        id: String,
    },
    /// Follow one operation until it is final or needs a person
    Watch {
        /// op_…
        id: String,
        /// How long at most
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        wait: u64,
    },
    /// Settle an operation in attention
    Settle {
        /// op_…
        id: String,
        #[command(subcommand)]
        verdict: Verdict,
    },
    /// Try a failed operation again, or one in attention of which nothing is in doubt
    Retry {
        /// op_…
        id: String,
    },
    /// End an operation of which nothing was begun
    Cancel {
        /// op_…
        id: String,
    },
}

/// What a person found out about a doubted effect.
#[derive(Debug, Subcommand)]
pub(super) enum Verdict {
    /// It is on the panel; the id is read back before it is believed
    Exists {
        /// The panel's id of it
        remote_id: String,
    },
    /// It is not on the panel: run again, after the settle time and another look
    Absent,
    /// Nobody will settle it: it ends as failed, recorded as a possible orphan
    GiveUp {
        /// For those who come later
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only in this state; may be given several times
    #[arg(long = "state", value_name = "STATE", value_parser = state_parser())]
    states: Vec<State>,
    /// Only of this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Only of this platform
    #[arg(long)]
    platform: Option<String>,
    /// The page before this id
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Rows at most
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

pub(super) fn state_parser() -> impl TypedValueParser<Value = State> {
    // The list is the list of states, so every word parses.
    PossibleValuesParser::new(State::ALL.map(State::as_str)).try_map(|word| State::parse(&word).ok_or("no state"))
}

impl Verdict {
    fn decision(&self) -> Decision {
        match self {
            Self::Exists { remote_id } => Decision::Exists { remote_id: remote_id.clone() },
            Self::Absent => Decision::Absent,
            Self::GiveUp { reason } => Decision::GiveUp { reason: reason.clone() },
        }
    }
}

/// Carries the command out.
///
/// # Errors
///
/// A daemon that is not there, or refuses.
pub(super) async fn run(client: &Client, command: &OpsCommand) -> anyhow::Result<Answer> {
    match command {
        OpsCommand::List(args) => list(client, args).await,
        OpsCommand::Show { id } => show(client, id).await,
        OpsCommand::Watch { id, wait } => {
            let first = client.send(Call::get(&["v1", "operations", id])).await?;
            let reply = follow::until_settled(client, first, Duration::from_secs(*wait)).await?;
            let state = operation::of(&reply.json)?.state;
            let mut answer = shown(reply)?;
            answer.exit = operation::exit(state);
            Ok(answer)
        }
        OpsCommand::Settle { id, verdict } => {
            let body = serde_json::to_vec(&verdict.decision())?;
            decide(client, id, "settle", body).await
        }
        OpsCommand::Retry { id } => decide(client, id, "retry", b"{}".to_vec()).await,
        OpsCommand::Cancel { id } => decide(client, id, "cancel", b"{}".to_vec()).await,
    }
}

async fn list(client: &Client, args: &ListArgs) -> anyhow::Result<Answer> {
    let call = Call::get(&["v1", "operations"])
        .queries("state", &args.states)
        .query("service_id", args.service.as_ref())
        .query("platform", args.platform.as_ref())
        .query("before", args.before.as_ref())
        .query("limit", args.limit);
    let reply = client.send(call).await?;
    let page: Page<OperationView> = reply.view()?;
    let mut text = list_text(&page.items);
    if let Some(next) = &page.next {
        text.push_str(&format!("\nolder: --before {next}\n"));
    }
    Ok(Answer::new(text, reply.json, Exit::Done))
}

fn list_text(operations: &[OperationView]) -> String {
    let mut table = Table::new(&["id", "hook", "service", "state", "server", "tries", "updated (UTC)", "now"]);
    for operation in operations {
        let fault = || operation.fault.as_ref().map(|fault| format!("{}: {}", fault.class, fault.staff));
        let now = match operation.state {
            State::Succeeded => None,
            State::Attention => operation.reason.clone().or_else(fault),
            _ => held(operation).or_else(|| progress(operation)).or_else(fault),
        };
        table.row([
            cell(&operation.id),
            cell(hook_name(operation)),
            cell(format!("{}/{}", operation.platform, operation.service_id)),
            state_cell(operation.state),
            cell(&operation.server),
            cell(operation.attempts.to_string()),
            cell(when(&operation.updated_at)),
            maybe(now),
        ]);
    }
    table.text("no operations")
}

/// The operation with what came of it. That it failed is no failure of showing it.
async fn show(client: &Client, id: &str) -> anyhow::Result<Answer> {
    let mut answer = shown(client.send(Call::get(&["v1", "operations", id])).await?)?;
    answer.exit = Exit::Done;
    Ok(answer)
}

fn shown(reply: Reply) -> anyhow::Result<Answer> {
    let operation = operation::of(&reply.json)?;
    let mut answer = hook::answer(reply)?;
    if operation.state == State::Succeeded {
        // The result alone leaves out how it was reached.
        let result = answer.text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        answer.text = operation::text(&operation);
        if !result.is_empty() {
            answer.text.push_str(&format!("\nresult:\n{result}"));
        }
    }
    Ok(answer)
}

async fn decide(client: &Client, id: &str, decision: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
    let reply = client.send(Call::post(&["v1", "operations", id, decision], body)).await?;
    let operation = operation::of(&reply.json)?;
    Ok(Answer::new(operation::text(&operation), reply.json, Exit::Done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: OpsCommand,
    }

    fn parse(line: &str) -> Result<OpsCommand, clap::Error> {
        Line::try_parse_from(std::iter::once("ops").chain(line.split(' '))).map(|line| line.command)
    }

    #[test]
    fn a_verdict_is_sent_as_the_api_takes_it() {
        for (line, expected) in [
            ("settle op_1 exists 4711", json!({ "decision": "exists", "remote_id": "4711" })),
            ("settle op_1 absent", json!({ "decision": "absent" })),
            ("settle op_1 give-up --reason lost", json!({ "decision": "give_up", "reason": "lost" })),
        ] {
            let OpsCommand::Settle { id, verdict } = parse(line).unwrap() else { panic!("{line}") };

            assert_eq!(id, "op_1");
            assert_eq!(serde_json::to_value(verdict.decision()).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn a_verdict_that_says_too_little_is_wrong_use() {
        for line in [
            "settle op_1",
            "settle op_1 exists",
            "settle op_1 give-up",
            "settle op_1 maybe",
            "list --state new",
            "show",
        ] {
            assert_eq!(parse(line).err().map(|error| error.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn a_list_shows_where_each_operation_stands() {
        let row = |id: &str, state: &str, extra: Value| {
            let mut row = json!({
                "id": id, "platform": "whmcs", "service_id": "7", "epoch": 1, "hook": "create", "state": state, "attempts": 1,
                "server": "p1", "provider": "virtfusion", "product": "v", "created_at": "2026-11-21T20:05:21.123Z",
                "updated_at": "2026-11-21T20:05:22.123Z", "log_ref": id,
            });
            for (name, value) in extra.as_object().unwrap() {
                row[name] = value.clone();
            }
            serde_json::from_value::<OperationView>(row).unwrap()
        };

        let text = list_text(&[
            row("op_2", "running", json!({ "step": "built", "percent": 40 })),
            row("op_1", "attention", json!({ "reason": "whose is it?" })),
        ]);

        let expected = "\
id    hook    service  state      server  tries  updated (UTC)        now
op_2  create  whmcs/7  running    p1      1      2026-11-21 20:05:22  built, 40 %
op_1  create  whmcs/7  attention  p1      1      2026-11-21 20:05:22  whose is it?
";
        assert_eq!(text, expected);
        assert_eq!(list_text(&[]), "no operations\n");
    }
}
