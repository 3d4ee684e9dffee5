//! `billhook services`: what is known of services, and what happened to them.

use super::answer::{Answer, Exit};
use super::client::{Call, Client};
use super::log::{attempt_text, note_text};
use super::operation::hook_name;
use super::table::{Table, block, cell, fact, maybe, plain, when};
use crate::store::ServiceStatus;
use crate::views::{Page, ServiceView, TimelineEntryView};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use std::fmt::Write as _;

#[derive(Debug, Subcommand)]
pub(super) enum ServicesCommand {
    /// Services by platform and id
    List(ListArgs),
    /// One service as it is known, without asking the panel
    Show {
        /// As it stands in lists
        #[arg(value_name = "PLATFORM/ID", value_parser = name)]
        service: Name,
    },
    /// Everything that happened to a service, newest first
    Timeline {
        /// As it stands in lists
        #[arg(value_name = "PLATFORM/ID", value_parser = name)]
        service: Name,
        /// The page before this id
        #[arg(long, value_name = "ID")]
        before: Option<String>,
        /// Entries at most
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this platform
    #[arg(long)]
    platform: Option<String>,
    /// Only where it stands so
    #[arg(long, value_parser = PossibleValuesParser::new(ServiceStatus::ALL.map(ServiceStatus::as_str)))]
    status: Option<String>,
    /// Only on this server
    #[arg(long)]
    server: Option<String>,
    /// Only of this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only of this product
    #[arg(long)]
    product: Option<String>,
    /// Only with this id on its panel
    #[arg(long, value_name = "ID")]
    remote_id: Option<String>,
    /// Only of this customer
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Only with this login
    #[arg(long)]
    username: Option<String>,
    /// Only with this domain or host name
    #[arg(long)]
    domain: Option<String>,
    /// The page behind this service
    #[arg(long, value_name = "PLATFORM/ID")]
    after: Option<String>,
    /// Rows at most
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// A service as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    platform: String,
    id: String,
}

/// A platform's name has no slash; the id may have any.
fn name(text: &str) -> Result<Name, String> {
    match text.split_once('/') {
        Some((platform, id)) if !platform.is_empty() && !id.is_empty() => {
            Ok(Name { platform: platform.to_owned(), id: id.to_owned() })
        }
        _ => Err("write it as PLATFORM/ID".to_owned()),
    }
}

/// Carries the command out.
///
/// # Errors
///
/// A daemon that is not there, or refuses.
pub(super) async fn run(client: &Client, command: &ServicesCommand) -> anyhow::Result<Answer> {
    match command {
        ServicesCommand::List(args) => list(client, args).await,
        ServicesCommand::Show { service } => {
            let reply = client.send(Call::get(&["v1", "services", &service.platform, &service.id])).await?;
            Ok(Answer::new(text(&reply.view()?), reply.json, Exit::Done))
        }
        ServicesCommand::Timeline { service, before, limit } => {
            let call = Call::get(&["v1", "services", &service.platform, &service.id, "timeline"]);
            let reply = client.send(call.query("before", before.as_ref()).query("limit", *limit)).await?;
            let page: Page<TimelineEntryView> = reply.view()?;
            let mut text = timeline_text(&page.items);
            if let Some(next) = &page.next {
                let _ = write!(text, "\nolder: --before {next}\n");
            }
            Ok(Answer::new(text, reply.json, Exit::Done))
        }
    }
}

async fn list(client: &Client, args: &ListArgs) -> anyhow::Result<Answer> {
    let mut after = args.after.clone();
    loop {
        let call = Call::get(&["v1", "services"])
            .query("platform", args.platform.as_ref())
            .query("status", args.status.as_ref())
            .query("server", args.server.as_ref())
            .query("provider", args.provider.as_ref())
            .query("product", args.product.as_ref())
            .query("remote_id", args.remote_id.as_ref())
            .query("client_id", args.client_id.as_ref())
            .query("username", args.username.as_ref())
            .query("domain", args.domain.as_ref())
            .query("after", after.as_ref())
            .query("limit", args.limit);
        let reply = client.send(call).await?;
        let page: Page<ServiceView> = reply.view()?;
        // A page looks at a bounded number of services: in what it saw there was nothing yet.
        if page.items.is_empty() && page.next.is_some() {
            after = page.next;
            continue;
        }
        let mut text = list_text(&page.items);
        if let Some(next) = &page.next {
            let _ = write!(text, "\nmore: --after {}\n", plain(next));
        }
        return Ok(Answer::new(text, reply.json, Exit::Done));
    }
}

fn list_text(services: &[ServiceView]) -> String {
    let mut table =
        Table::new(&["service", "status", "server", "remote id", "product", "paid until", "updated (UTC)", "domain"]);
    for service in services {
        table.row([
            cell(format!("{}/{}", service.platform, service.service_id)),
            cell(service.status.as_str()),
            cell(&service.server),
            maybe(service.remote_id.as_ref()),
            cell(&service.product),
            maybe(service.paid_until.as_ref()),
            cell(when(&service.updated_at)),
            maybe(service.domain.as_ref()),
        ]);
    }
    table.text("no services")
}

fn text(service: &ServiceView) -> String {
    let head = format!("{}/{}  {}", service.platform, service.service_id, service.status.as_str());
    let mut out = format!("{}\n", plain(&head));
    let on = format!("server {} ({}), product {}", service.server, service.provider, service.product);
    fact(&mut out, "on", on);
    fact(&mut out, "panel", &service.panel);
    for (label, value) in [
        ("remote id", &service.remote_id),
        ("customer", &service.client_id),
        ("login", &service.username),
        ("domain", &service.domain),
        ("paid until", &service.paid_until),
        ("pending", &service.pending),
    ] {
        if let Some(value) = value {
            fact(&mut out, label, value);
        }
    }
    for (label, instant) in [("ends", &service.ends_at), ("looked at", &service.poll_at)] {
        if let Some(instant) = instant {
            fact(&mut out, label, format!("{} UTC", when(instant)));
        }
    }
    fact(&mut out, "life", service.epoch.to_string());
    fact(&mut out, "since", format!("{} UTC", when(&service.created_at)));
    fact(&mut out, "updated", format!("{} UTC", when(&service.updated_at)));
    if !service.secret_names.is_empty() {
        fact(&mut out, "secrets", service.secret_names.join(", "));
    }
    if !service.properties.is_empty() {
        let properties = serde_json::Value::from(service.properties.clone());
        let _ = write!(out, "\nproperties:\n{}", block(&format!("{properties:#}"), "  "));
    }
    if !service.unfinished.is_empty() {
        out.push_str("\nunder way:\n");
        for operation in &service.unfinished {
            let line = format!("{}  {}  {}", operation.id, hook_name(operation), operation.state);
            let _ = writeln!(out, "  {}", plain(&line));
        }
    }
    out
}

fn timeline_text(entries: &[TimelineEntryView]) -> String {
    if entries.is_empty() {
        return "nothing happened to it\n".to_owned();
    }
    let mut out = String::new();
    for entry in entries {
        let row = &entry.row;
        let hook = entry.action.as_deref().unwrap_or(row.hook.as_str());
        let life = entry.epoch.map(|epoch| format!("  life {epoch}")).unwrap_or_default();
        let key = entry.key.as_ref().map(|key| format!("  key {key}")).unwrap_or_default();
        let head = format!("{} UTC  {hook}  {}  {}{life}{key}", when(&row.started_at), row.state, row.id);
        let _ = writeln!(out, "{}\n  {}", plain(&head), plain(&row.summary));
        // One run that simply ended says nothing that the entry does not.
        if entry.runs.len() > 1 || entry.runs.iter().any(|run| run.fault.is_some()) {
            out.extend(entry.runs.iter().map(|run| block(&attempt_text(run), "  ")));
        }
        out.extend(entry.notes.iter().map(note_text));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_goes_by_the_name_that_lists_show() {
        assert_eq!(name("whmcs/a/b"), Ok(Name { platform: "whmcs".into(), id: "a/b".into() }));
        for text in ["7", "/7", "whmcs/", ""] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_is_shown_with_what_is_known() {
        let view: ServiceView = serde_json::from_value(json!({
            "platform": "whmcs", "service_id": "7", "epoch": 2, "status": "active", "provider": "virtfusion", "server": "p1",
            "panel": "https://p1", "product": "vps", "remote_id": "4711", "domain": "d.example", "properties": { "ip": "192.0.2.7" },
            "secret_names": ["root_password"], "created_at": "2026-11-20T20:05:21.000Z", "updated_at": "2026-11-21T20:05:21.000Z",
        }))
        .unwrap();
        let expected = "\
whmcs/7  active
  on         server p1 (virtfusion), product vps
  panel      https://p1
  remote id  4711
  domain     d.example
  life       2
  since      2026-11-20 20:05:21 UTC
  updated    2026-11-21 20:05:21 UTC
  secrets    root_password

properties:
  {
    \"ip\": \"192.0.2.7\"
  }
";
        assert_eq!(text(&view), expected);
        let expected = "\
service  status  server  remote id  product  paid until  updated (UTC)        domain
whmcs/7  active  p1      4711       vps      -           2026-11-21 20:05:21  d.example
";
        assert_eq!(list_text(&[view]), expected);
    }

    #[test]
    fn a_timeline_says_what_came_of_each_entry_and_who_decided() {
        let entries: Vec<TimelineEntryView> = serde_json::from_value(json!([
            {
                "id": "rd_2", "platform": "whmcs", "service_id": "7", "hook": "status", "provider": "v", "server": "p1",
                "state": "succeeded", "summary": "status: done", "attempts": 1, "started_at": "2026-11-21T20:06:00.000Z",
                "notes": [{ "run": 0, "at": "2026-11-21T20:06:00.000Z", "kind": "poll", "text": "looked for what is pending" }],
            },
            {
                "id": "op_1", "platform": "whmcs", "service_id": "7", "hook": "create", "provider": "v", "server": "p1",
                "state": "failed", "fault": "quota", "summary": "create: failed: quota: no room", "attempts": 1,
                "started_at": "2026-11-21T20:05:21.000Z", "epoch": 1, "key": "order-1",
                "runs": [{
                    "run": 1, "started_at": "2026-11-21T20:05:21.000Z", "ended_at": "2026-11-21T20:05:23.000Z", "end": "attention",
                    "fault": { "class": "quota", "staff": "no room" },
                }],
                "notes": [{ "run": 1, "at": "2026-11-21T20:10:00.000Z", "kind": "decision", "text": "uid 0 (root): give_up" }],
            },
        ]))
        .unwrap();
        let expected = "\
2026-11-21 20:06:00 UTC  status  succeeded  rd_2
  status: done
  2026-11-21 20:06:00 UTC  poll: looked for what is pending
2026-11-21 20:05:21 UTC  create  failed  op_1  life 1  key order-1
  create: failed: quota: no room
  run 1: 2026-11-21 20:05:21 UTC, attention at 2026-11-21 20:05:23
    fault      quota: no room
  2026-11-21 20:10:00 UTC  decision: uid 0 (root): give_up
";
        assert_eq!(timeline_text(&entries), expected);
    }
}
