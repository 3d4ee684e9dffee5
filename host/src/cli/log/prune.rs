//! `billhook log prune`: parts of the log go, until nothing is left that may.

use super::filter::{When, when};
use crate::cli::answer::{Answer, Exit};
use crate::cli::client::{Call, Client, PANEL};
use crate::views::PrunedView;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

#[derive(Debug, Args)]
pub(in crate::cli) struct PruneArgs {
    /// Whatever ended before this; without it, what has lived out its time by [store.retention]
    #[arg(long, value_name = "WHEN", value_parser = when)]
    before: Option<When>,
    /// Only say how much would go
    #[arg(long)]
    dry_run: bool,
}

/// Carries the command out.
///
/// # Errors
///
/// A daemon that is not there, or refuses; what went before is gone.
pub(super) async fn run(client: &Client, args: &PruneArgs) -> anyhow::Result<Answer> {
    // One time for all parts: "7d" must not move on.
    let before = args.before.map(|before| before.text(client.clock().unix_ms()));
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut all = PrunedView { dry_run: args.dry_run, ..PrunedView::default() };
    loop {
        let call = Call::post(&["v1", "log", "prune"], Vec::new()).query("before", before.as_ref());
        let call = call.query("dry_run", args.dry_run.then_some("true")).within(PANEL);
        let part: PrunedView = client.send(call).await?.view()?;
        all.entries += part.entries;
        all.bodies += part.bodies;
        all.bytes += part.bytes;
        bar.set_message(text(&all));
        if !part.more {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(Answer::new(format!("{}\n", text(&all)), serde_json::to_value(&all)?, Exit::Done))
}

fn text(pruned: &PrunedView) -> String {
    let PrunedView { dry_run, entries, bodies, bytes, .. } = pruned;
    let verb = if *dry_run { "would go" } else { "went" };
    format!("{entries} entries and the bodies of {bodies} exchanges ({} KiB) {verb}", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_said_in_a_line() {
        let pruned = PrunedView { dry_run: false, entries: 3, bodies: 7, bytes: 5_000, more: false };
        assert_eq!(text(&pruned), "3 entries and the bodies of 7 exchanges (4 KiB) went");
        assert!(text(&PrunedView { dry_run: true, ..pruned }).ends_with("would go"));
    }
}
