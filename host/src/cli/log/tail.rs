//! `billhook log tail`: rows as they are committed.

use super::filter::Filter;
use super::service;
use crate::cli::answer::{Answer, Exit};
use crate::cli::client::{Call, Client, ClientError};
use crate::cli::events::Told;
use crate::cli::table::{plain, when};
use crate::views::{LogRowView, Page};
use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Duration;

/// Between two tries to reach a daemon that went away.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(in crate::cli) struct TailArgs {
    #[command(flatten)]
    filter: Filter,
    /// Only with these words in the row
    #[arg(long)]
    words: Option<String>,
    /// First the last N rows that match
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u32,
}

/// Shows rows until the user has seen enough.
///
/// # Errors
///
/// A daemon that was never there, or refuses.
pub(super) async fn run(client: &Client, args: &TailArgs, json: bool) -> anyhow::Result<Answer> {
    let mut last = None;
    if args.lines > 0 {
        let call = args.filter.ask(Call::get(&["v1", "log"])).query("q", args.words.as_ref());
        let reply = client.send(call.query("limit", Some(args.lines))).await?;
        let rows = Page::<Value>::deserialize(&reply.json)?.items;
        for row in rows.iter().rev() {
            last = row["id"].as_str().map(str::to_owned);
            if !show(row, json)? {
                return Ok(Answer::silent(Exit::Done));
            }
        }
    }
    let mut was_there = false;
    loop {
        let call = args.filter.ask(Call::get(&["v1", "log", "tail"])).query("q", args.words.as_ref());
        let ended = match client.listen(call.header("last-event-id", last.as_ref())).await {
            Ok(mut events) => {
                was_there = true;
                loop {
                    let told = tokio::select! {
                        told = events.next() => told,
                        _ = tokio::signal::ctrl_c() => return Ok(Answer::silent(Exit::Done)),
                    };
                    match told {
                        Ok(Some(told)) => {
                            if let Some(row) = heard(told, &mut last)
                                && !show(&row, json)?
                            {
                                return Ok(Answer::silent(Exit::Done));
                            }
                        }
                        Ok(None) => break "the daemon ended the stream".to_owned(),
                        Err(error) => break error.to_string(),
                    }
                }
            }
            // What it refuses it refuses again.
            Err(error @ ClientError::Problem { .. }) => return Err(error.into()),
            Err(error) if !was_there => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        eprintln!("{}; trying again", plain(&ended));
        tokio::select! {
            () = client.clock().sleep(PAUSE) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Answer::silent(Exit::Done)),
        }
    }
}

/// The row that was told, if it is one.
fn heard(told: Told, last: &mut Option<String>) -> Option<Value> {
    match told.name.as_str() {
        "row" => {
            // A row that changes is told again; the newest entry is what a new stream begins behind.
            if told.id.as_ref().is_some_and(|id| last.as_ref().is_none_or(|last| time(id) > time(last))) {
                last.clone_from(&told.id);
            }
            Some(told.data)
        }
        "gap" => {
            let reason = told.data["reason"].as_str().unwrap_or("no reason is known");
            eprintln!("rows are missing here ({}): see `billhook log list`", plain(reason));
            None
        }
        _ => None,
    }
}

/// The part of an id that sorts by time.
fn time(id: &str) -> &str {
    id.split_once('_').map_or(id, |(_, time)| time)
}

/// `false` when nobody reads any more.
fn show(row: &Value, json: bool) -> anyhow::Result<bool> {
    let line = if json { row.to_string() } else { line(&LogRowView::deserialize(row)?) };
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Columns of a fixed width: what comes later is not known.
fn line(row: &LogRowView) -> String {
    plain(&format!(
        "{}  {:<29}  {:<15}  {:<20}  {:<12}  {:<9}  {}",
        when(&row.started_at),
        row.id,
        row.hook.as_str(),
        service(row),
        row.server,
        row.state.as_str(),
        row.summary
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_a_line_and_the_newest_entry_is_remembered() {
        let row = |id: &str| {
            let data = json!({
                "id": id, "platform": "whmcs", "service_id": "7", "hook": "create", "provider": "virtfusion", "server": "p1",
                "state": "running", "summary": "create:\naccepted", "attempts": 1, "started_at": "2026-11-21T20:05:21.000Z",
            });
            Told { name: "row".into(), id: Some(id.into()), data }
        };
        let expected = "2026-11-21 20:05:21  op_1                           create           whmcs/7               p1            running    create: accepted";
        assert_eq!(line(&serde_json::from_value(row("op_1").data).unwrap()), expected);

        let mut last = None;
        for (id, expected) in [("op_2", "op_2"), ("rd_3", "rd_3"), ("op_1", "rd_3")] {
            assert_eq!(heard(row(id), &mut last).unwrap()["id"], id);
            assert_eq!(last.as_deref(), Some(expected));
        }
    }
}
