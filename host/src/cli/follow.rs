//! Waits for an operation and shows meanwhile how far it is.

use super::client::{Call, Client, ClientError, Reply, SOON};
use super::operation::{self, headline, progress};
use super::table::plain;
use crate::operation::State;
use crate::views::OperationView;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How long the daemon may hold one look: short enough for a bar that lives.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Looks at the operation until it is final or needs a person, or `wait` has passed, or the user has seen enough.
///
/// The answer is the last look, or `first` where there was none.
pub(super) async fn until_settled(client: &Client, first: Reply, wait: Duration) -> Result<Reply, ClientError> {
    let deadline = client.clock().monotonic().saturating_add(wait);
    let mut reply = first;
    let mut show = Show::new();
    // What shows no operation is the answer of a hook that only reads.
    while let Ok(operation) = operation::of(&reply.json) {
        if is_settled(operation.state) {
            break;
        }
        let left = deadline.saturating_sub(client.clock().monotonic());
        if left.is_zero() {
            break;
        }
        show.update(&operation);
        let look = Call::get(&["v1", "operations", &operation.id])
            // Whole seconds; the last look is a short one.
            .query("wait", Some(left.min(LOOK).as_secs().max(1)))
            .within(LOOK + SOON);
        tokio::select! {
            next = client.send(look) => reply = next?,
            // The operation does not end with its watcher.
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    show.end();
    Ok(reply)
}

/// Whether looking on is of no use.
fn is_settled(state: State) -> bool {
    state.is_final() || state == State::Attention
}

/// A bar on a terminal, and elsewhere a line for each change; on stderr in both cases.
struct Show {
    bar: ProgressBar,
    last: String,
}

impl Show {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        bar.set_style(style(false));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, last: String::new() }
    }

    fn update(&mut self, operation: &OperationView) {
        let line = line(operation);
        if self.bar.is_hidden() {
            if line != self.last {
                eprintln!("{line}");
            }
            self.last = line;
            return;
        }
        self.bar.set_style(style(operation.percent.is_some()));
        self.bar.set_position(u64::from(operation.percent.unwrap_or(0)));
        self.bar.set_message(line);
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn line(operation: &OperationView) -> String {
    match progress(operation) {
        Some(progress) => plain(&format!("{}: {progress}", headline(operation))),
        None => headline(operation),
    }
}

fn style(has_percent: bool) -> ProgressStyle {
    let template = if has_percent { "{spinner} [{bar:20}] {wide_msg}" } else { "{spinner} {wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_which_operation_and_how_far() {
        let mut json = json!({
            "id": "op_1", "platform": "whmcs", "service_id": "7", "epoch": 1, "hook": "create", "state": "running",
            "attempts": 1, "step": "built", "percent": 40, "progress": "installing", "server": "s", "provider": "p",
            "product": "v", "created_at": "", "updated_at": "", "log_ref": "op_1",
        });
        assert_eq!(line(&operation::of(&json).unwrap()), "op_1  create  whmcs/7  running: built, 40 %, installing");

        json["step"].take();
        json["percent"].take();
        json["progress"].take();
        assert_eq!(line(&operation::of(&json).unwrap()), "op_1  create  whmcs/7  running");
    }

    #[test]
    fn what_needs_a_person_is_not_waited_for() {
        let settled: Vec<State> = State::ALL.into_iter().filter(|state| is_settled(*state)).collect();
        assert_eq!(settled, [State::Attention, State::Succeeded, State::Failed, State::Cancelled]);
    }
}
