//! `billhook log export`: the log as lines, page by page, newest first.

use super::filter::{Filter, Times};
use crate::cli::answer::{Answer, Exit};
use crate::cli::client::{Call, Client, ClientError};
use crate::cli::complaint::WrongUse;
use crate::cli::table::when;
use crate::views::Page;
use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Duration;

/// Rows that are asked for at once.
const ROWS: u32 = 500;

/// In the order of the file.
const COLUMNS: [&str; 12] = [
    "id",
    "started_at",
    "ended_at",
    "platform",
    "service_id",
    "hook",
    "provider",
    "server",
    "state",
    "fault",
    "attempts",
    "summary",
];

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    filter: Filter,
    /// Only with these words
    #[arg(long)]
    words: Option<String>,
    #[command(flatten)]
    times: Times,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Whole entries: attempts, steps, exchanges with headers and bodies, masked as stored (jsonl)
    #[arg(long)]
    with_bodies: bool,
    /// Begin before this id, where another export ended
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line
    Jsonl,
    /// A table with a header, for spreadsheets
    Csv,
}

/// Writes everything that matches to stdout.
///
/// # Errors
///
/// A daemon that is not there, refuses or goes away; what was written until then stays.
pub(super) async fn run(client: &Client, args: &ExportArgs) -> anyhow::Result<Answer> {
    if args.format == Format::Csv && args.with_bodies {
        return Err(WrongUse::new("a table has no room for bodies", "use --format jsonl with --with-bodies").into());
    }
    let now = client.clock().unix_ms();
    let mut bar = Bar::new(now, args.times.earliest_ms(now));
    let mut before = args.before.clone();
    if args.format == Format::Csv && !write(&csv(COLUMNS.into_iter()))? {
        return Ok(Answer::silent(Exit::Done));
    }
    loop {
        let call = args.filter.ask(Call::get(&["v1", "log"])).query("q", args.words.as_ref());
        let call = args.times.ask(call, now).query("before", before.as_ref()).query("limit", Some(ROWS));
        let (rows, next) = tokio::select! {
            page = part(client, call, args) => page.with_context(|| going_on(before.as_deref()))?,
            _ = tokio::signal::ctrl_c() => {
                bar.end();
                anyhow::bail!(going_on(before.as_deref()));
            }
        };
        let mut text = String::new();
        for row in &rows {
            text.push_str(&match args.format {
                Format::Jsonl => format!("{row}\n"),
                Format::Csv => csv(COLUMNS.into_iter().map(|name| cell(&row[name])).collect::<Vec<_>>().iter()),
            });
        }
        bar.advance(&rows);
        if !write(&text)? {
            break;
        }
        match next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    bar.end();
    Ok(Answer::silent(Exit::Done))
}

fn going_on(before: Option<&str>) -> String {
    match before {
        Some(id) => format!("the export ended early; go on with --before {id}"),
        None => "the export ended before its first row".to_owned(),
    }
}

/// One page, with whole entries where they are wanted.
async fn part(client: &Client, call: Call, args: &ExportArgs) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let page = Page::<Value>::deserialize(&client.send(call).await?.json)?;
    if !args.with_bodies {
        return Ok((page.items, page.next));
    }
    let mut entries = Vec::new();
    for row in &page.items {
        let id = row["id"].as_str().unwrap_or_default();
        match client.send(Call::get(&["v1", "log", id])).await {
            Ok(reply) => entries.push(reply.json),
            // It was pruned since its row was listed.
            Err(ClientError::Problem { document, .. }) if document.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((entries, page.next))
}

/// `false` when nobody reads any more.
fn write(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A line as RFC 4180 has it. What a spreadsheet would take for a formula is made a text: rows hold texts of strangers.
fn csv(cells: impl Iterator<Item = impl AsRef<str>>) -> String {
    let cells = cells.map(|cell| {
        let cell = cell.as_ref();
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
        match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        }
    });
    format!("{}\r\n", cells.collect::<Vec<_>>().join(","))
}

/// How far it is, on stderr: in rows, and where a beginning is given in the time that was covered.
struct Bar {
    bar: ProgressBar,
    now_ms: i64,
    rows: usize,
}

impl Bar {
    fn new(now_ms: u64, earliest_ms: Option<i64>) -> Self {
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let length = earliest_ms.and_then(|from| u64::try_from(now_ms.saturating_sub(from)).ok());
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        let template = if length.is_some() { "{spinner} [{bar:20}] {wide_msg}" } else { "{spinner} {wide_msg}" };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, now_ms, rows: 0 }
    }

    fn advance(&mut self, rows: &[Value]) {
        self.rows += rows.len();
        // A whole entry has its row within.
        let started = |row: &Value| row.get("row").unwrap_or(row)["started_at"].as_str().map(str::to_owned);
        let Some(oldest) = rows.last().and_then(started) else { return };
        if let Ok(at) = oldest.parse::<Timestamp>() {
            self.bar.set_position(u64::try_from(self.now_ms - at.as_millisecond()).unwrap_or_default());
        }
        self.bar.set_message(format!("{} rows, back to {} UTC", self.rows, when(&oldest)));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_no_formula() {
        for (cells, expected) in [
            (vec!["op_1", "", "create: done"], "op_1,,create: done\r\n"),
            (vec!["a,b", "say \"no\"", "two\nlines"], "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\"\r\n"),
            (vec!["=1+1", "+1", "-1", "@x", "\tx"], "'=1+1,'+1,'-1,'@x,'\tx\r\n"),
            (vec!["=HYPERLINK(\"u\",1)"], "\"'=HYPERLINK(\"\"u\"\",1)\"\r\n"),
        ] {
            assert_eq!(csv(cells.iter()), expected);
        }
        assert_eq!([Value::Null, Value::from("x"), Value::from(3)].map(|value| cell(&value)), ["", "x", "3"]);
    }
}
