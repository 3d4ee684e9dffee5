//! `billhook log`: the module log.

mod export;
pub(super) mod filter;
mod prune;
mod tail;

use super::answer::{Answer, Exit};
use super::client::{Call, Client};
use super::operation::{self, fault_text};
use super::table::{Table, block, cell, maybe, plain, state_cell, when};
use crate::views::{AttemptView, ExchangeView, LogEntryView, LogRowView, NoteView, Page};
use clap::{Args, Subcommand};
use export::ExportArgs;
use filter::{Filter, Times};
use prune::PruneArgs;
use serde_json::Value;
use std::fmt::Write as _;
use tail::TailArgs;

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// What was run, newest first
    List(ListArgs),
    /// Entries of which all these words were ever said
    Search {
        /// Words of summaries, faults, decisions, names and ids; in any order
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// One entry: attempts, steps, exchanges with the panel
    Show {
        /// op_… or rd_…
        id: String,
        /// With headers and bodies, masked
        #[arg(long)]
        bodies: bool,
    },
    /// Rows as they are committed, until interrupted
    Tail(TailArgs),
    /// Everything that matches, newest first, on stdout
    Export(ExportArgs),
    /// Remove what has lived out its time, or what ended before a time; never what has not ended
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    times: Times,
    /// The page before this id
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Rows at most
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// Carries the command out.
///
/// # Errors
///
/// A daemon that is not there, or refuses.
pub(super) async fn run(client: &Client, command: &LogCommand, json: bool) -> anyhow::Result<Answer> {
    match command {
        LogCommand::List(args) => list(client, args, None).await,
        LogCommand::Search { words, list: args } => list(client, args, Some(words.join(" "))).await,
        LogCommand::Show { id, bodies } => {
            let reply = client.send(Call::get(&["v1", "log", id])).await?;
            let entry: LogEntryView = reply.view()?;
            Ok(Answer::new(entry_text(&entry, *bodies), reply.json, Exit::Done))
        }
        LogCommand::Tail(args) => tail::run(client, args, json).await,
        LogCommand::Export(args) => export::run(client, args).await,
        LogCommand::Prune(args) => prune::run(client, args).await,
    }
}

async fn list(client: &Client, args: &ListArgs, words: Option<String>) -> anyhow::Result<Answer> {
    let now = client.clock().unix_ms();
    let mut before = args.before.clone();
    loop {
        let call = args.filter.ask(Call::get(&["v1", "log"])).query("q", words.as_ref());
        let call = args.times.ask(call, now).query("before", before.as_ref()).query("limit", args.limit);
        let reply = client.send(call).await?;
        let page: Page<LogRowView> = reply.view()?;
        // A page looks at a bounded part of the log: in what it saw there was nothing yet.
        if page.items.is_empty() && page.next.is_some() {
            before = page.next;
            continue;
        }
        let mut text = list_text(&page.items);
        if let Some(next) = &page.next {
            let _ = write!(text, "\nolder: --before {next}\n");
        }
        return Ok(Answer::new(text, reply.json, Exit::Done));
    }
}

fn list_text(rows: &[LogRowView]) -> String {
    let mut table = Table::new(&["started (UTC)", "id", "hook", "service", "server", "state", "summary"]);
    for row in rows {
        table.row([
            cell(when(&row.started_at)),
            cell(&row.id),
            cell(row.hook.as_str()),
            cell(service(row)),
            cell(&row.server),
            state_cell(row.state),
            cell(&row.summary),
        ]);
    }
    table.text("nothing in the log")
}

fn service(row: &LogRowView) -> String {
    match &row.service_id {
        Some(id) => format!("{}/{id}", row.platform),
        None => format!("{}/-", row.platform),
    }
}

/// One entry, attempt by attempt.
fn entry_text(entry: &LogEntryView, bodies: bool) -> String {
    let row = &entry.row;
    let mut out = match &entry.operation {
        Some(operation) => operation::text(operation),
        None => {
            let head = format!(
                "{}  {}  {}  {}\n  on         server {} ({})",
                row.id,
                row.hook,
                service(row),
                row.state,
                row.server,
                row.provider
            );
            format!("{}\n", head.lines().map(plain).collect::<Vec<_>>().join("\n"))
        }
    };
    if bodies && !entry.shown.is_null() {
        let _ = write!(
            out,
            "\nsent by the platform, with the product's settings:\n{}",
            body_text(&entry.shown.to_string())
        );
    }
    for attempt in &entry.attempts {
        out.push('\n');
        out.push_str(&attempt_text(attempt));
        let exchanges: Vec<&ExchangeView> = entry.exchanges.iter().filter(|one| one.run == attempt.run).collect();
        if !exchanges.is_empty() {
            out.push_str(&exchanges_text(&exchanges));
        }
        out.extend(entry.notes.iter().filter(|note| note.run == attempt.run).map(note_text));
        if bodies {
            out.extend(exchanges.iter().map(|exchange| bodies_text(exchange)));
        }
    }
    // A person's decision belongs to no attempt.
    let is_apart = |run: u64| !entry.attempts.iter().any(|attempt| attempt.run == run);
    let apart: String = entry.notes.iter().filter(|note| is_apart(note.run)).map(note_text).collect();
    if !apart.is_empty() {
        let _ = write!(out, "\n{apart}");
    }
    out
}

pub(super) fn attempt_text(attempt: &AttemptView) -> String {
    let end = match (&attempt.ended_at, &attempt.end) {
        (Some(at), Some(end)) => format!("{end} at {}", when(at)),
        (_, Some(end)) => end.clone(),
        (_, None) => "under way".to_owned(),
    };
    let mut out = format!("{}\n", plain(&format!("run {}: {} UTC, {end}", attempt.run, when(&attempt.started_at))));
    if let Some(fault) = &attempt.fault {
        out.push_str(&fault_text(fault));
    }
    out
}

fn exchanges_text(exchanges: &[&ExchangeView]) -> String {
    let mut table = Table::new(&["#", "step", "purpose", "took", "request", "answer"]);
    for exchange in exchanges {
        table.row([
            cell(exchange.seq.to_string()),
            maybe(exchange.step.as_ref()),
            cell(&exchange.purpose),
            cell(took(exchange.duration_us)),
            cell(format!("{} {}", exchange.method, exchange.url)),
            cell(outcome(exchange)),
        ]);
    }
    block(&table.text(""), "  ")
}

/// What is known of the answer. Whether the request can have left decides what it means that there is none.
fn outcome(exchange: &ExchangeView) -> String {
    let left = if exchange.left { "left, no whole answer" } else { "never left" };
    match (exchange.status, &exchange.failure) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(failure)) => format!("{status}; {left}: {failure}"),
        (None, Some(failure)) => format!("{left}: {failure}"),
        (None, None) => left.to_owned(),
    }
}

fn took(duration_us: u64) -> String {
    match duration_us {
        0..1_000 => format!("{duration_us} µs"),
        1_000..10_000_000 => format!("{} ms", duration_us / 1_000),
        _ => format!("{}.{} s", duration_us / 1_000_000, duration_us % 1_000_000 / 100_000),
    }
}

pub(super) fn note_text(note: &NoteView) -> String {
    format!("  {}\n", plain(&format!("{} UTC  {}: {}", when(&note.at), note.kind, note.text)))
}

fn bodies_text(exchange: &ExchangeView) -> String {
    let mut out = format!("\n  {}\n", plain(&format!("#{} {} {}", exchange.seq, exchange.method, exchange.url)));
    let parts = [
        (">", &exchange.request_headers, &exchange.request_body),
        ("<", &exchange.reply_headers, &exchange.reply_body),
    ];
    for (sign, headers, body) in parts {
        if let ("<", Some(status)) = (sign, exchange.status) {
            let _ = writeln!(out, "    < {status}");
        }
        for (name, value) in headers {
            let _ = writeln!(out, "    {sign} {}", plain(&format!("{name}: {value}")));
        }
        if let Some(body) = body {
            out.push_str(&body_text(body));
        }
    }
    out
}

/// A body, set out over lines when it is JSON.
fn body_text(body: &str) -> String {
    let pretty = serde_json::from_str::<Value>(body).map(|json| format!("{json:#}"));
    block(pretty.as_deref().unwrap_or(body), "      ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> LogEntryView {
        serde_json::from_value(json!({
            "row": {
                "id": "rd_1", "platform": "whmcs", "hook": "test", "provider": "virtfusion", "server": "p1", "state": "failed",
                "fault": "auth", "summary": "test: failed", "attempts": 1, "started_at": "2026-11-21T20:05:21.000Z",
            },
            "attempts": [{
                "run": 0, "started_at": "2026-11-21T20:05:21.000Z", "ended_at": "2026-11-21T20:05:23.000Z", "end": "failed",
                "fault": { "class": "auth", "staff": "the panel does not accept the token", "code": "401" },
            }],
            "exchanges": [
                {
                    "run": 0, "seq": 1, "purpose": "read", "method": "GET", "url": "/connect", "left": true, "status": 401,
                    "started_at": "", "duration_us": 12_345, "request_headers": [["accept", "application/json"]],
                    "reply_headers": [["content-type", "application/json"]], "reply_body": "{\"msg\":\"no\"}",
                },
                {
                    "run": 0, "seq": 2, "step": "server", "purpose": "change", "method": "POST", "url": "/servers", "left": true,
                    "failure": "timed out", "started_at": "", "duration_us": 30_050_000, "request_headers": [],
                    "reply_headers": [], "request_body": "a=\u{1b}[2J1",
                },
                {
                    "run": 0, "seq": 3, "purpose": "read", "method": "GET", "url": "/x", "left": false,
                    "failure": "refused", "started_at": "", "duration_us": 90, "request_headers": [], "reply_headers": [],
                },
            ],
            "notes": [
                { "run": 0, "at": "2026-11-21T20:05:22.000Z", "kind": "note", "text": "tried" },
                { "run": 9, "at": "2026-11-21T21:00:00.000Z", "kind": "decision", "text": "uid 0 (root): retry" },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn an_entry_shows_each_exchange_and_whether_it_left() {
        let expected = "\
rd_1  test  whmcs/-  failed
  on         server p1 (virtfusion)

run 0: 2026-11-21 20:05:21 UTC, failed at 2026-11-21 20:05:23
  fault      auth (panel: 401): the panel does not accept the token
  #  step    purpose  took    request        answer
  1  -       read     12 ms   GET /connect   401
  2  server  change   30.0 s  POST /servers  left, no whole answer: timed out
  3  -       read     90 µs   GET /x         never left: refused
  2026-11-21 20:05:22 UTC  note: tried

  2026-11-21 21:00:00 UTC  decision: uid 0 (root): retry
";
        assert_eq!(entry_text(&entry(), false), expected);
    }

    #[test]
    fn bodies_are_set_out_when_they_are_json() {
        let text = entry_text(&entry(), true);

        let first = "
  #1 GET /connect
    > accept: application/json
    < 401
    < content-type: application/json
      {
        \"msg\": \"no\"
      }
";
        assert!(text.contains(first), "{text}");
        assert!(text.contains("\n  #2 POST /servers\n      a=\u{fffd}[2J1\n"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_list_is_one_line_for_each_row() {
        let text = list_text(&[entry().row]);

        let expected = "\
started (UTC)        id    hook  service  server  state   summary
2026-11-21 20:05:21  rd_1  test  whmcs/-  p1      failed  test: failed
";
        assert_eq!(text, expected);
    }
}
