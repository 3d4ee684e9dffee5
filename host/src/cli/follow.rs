//! Waits for an operation and shows meanwhile how far it is.

use super::client::{Call, Client, ClientError, Reply, SOON};
use super::events::Told;
use super::operation::{self, headline, progress};
use super::table::plain;
use crate::operation::State;
use crate::views::{OperationView, ProgressView};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use std::time::Duration;

/// How long the daemon may hold one look: short enough for a bar that lives.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Follows the operation until it is final or needs a person, or `wait` has passed, or the user has seen enough.
///
/// The answer is how it stands then, or `first` where there was nothing to wait for.
pub(super) async fn until_settled(client: &Client, first: Reply, wait: Duration) -> Result<Reply, ClientError> {
    // What shows no operation is the answer of a hook that only reads.
    let Ok(operation) = operation::of(&first.json) else { return Ok(first) };
    let deadline = client.clock().monotonic().saturating_add(wait);
    if is_settled(operation.state) || wait.is_zero() {
        return Ok(first);
    }
    let mut show = Show::new();
    let told = follow(client, &operation, deadline, &mut show).await;
    let reply = match told {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) => client.send(Call::get(&["v1", "operations", &operation.id])).await,
        // There may be too many streams, or the connection broke: looking does as well.
        Err(_) => look(client, first, deadline, &mut show).await,
    };
    show.end();
    reply
}

/// Shows what the daemon tells. `None` when there is a reason to stop and the operation is not final.
async fn follow(
    client: &Client,
    operation: &OperationView,
    deadline: Duration,
    show: &mut Show,
) -> Result<Option<Reply>, ClientError> {
    let mut events = client.listen(Call::get(&["v1", "operations", &operation.id, "events"])).await?;
    let mut operation = operation.clone();
    loop {
        show.update(&operation);
        let told = tokio::select! {
            told = events.next() => told?,
            () = client.clock().sleep_until(deadline) => return Ok(None),
            // The operation does not end with its watcher.
            _ = tokio::signal::ctrl_c() => return Ok(None),
        };
        let Some(told) = told else {
            return Err(ClientError::CutShort { reason: "the stream ended".to_owned(), changes: false });
        };
        if told.name == "end" {
            return Ok(Some(Reply { json: told.data, failure: None }));
        }
        operation = after(operation, &told).map_err(ClientError::Shape)?;
        if operation.state == State::Attention {
            return Ok(None);
        }
    }
}

/// The operation with what was told of it.
fn after(operation: OperationView, told: &Told) -> Result<OperationView, serde_json::Error> {
    Ok(match told.name.as_str() {
        "state" => OperationView::deserialize(&told.data)?,
        "progress" => {
            let ProgressView { step, percent, progress } = ProgressView::deserialize(&told.data)?;
            OperationView { step, percent, progress, ..operation }
        }
        // A step shows in the progress; others are not known.
        _ => operation,
    })
}

/// Looks again and again, as long as nobody tells.
async fn look(client: &Client, first: Reply, deadline: Duration, show: &mut Show) -> Result<Reply, ClientError> {
    let mut reply = first;
    while let Ok(operation) = operation::of(&reply.json) {
        let left = deadline.saturating_sub(client.clock().monotonic());
        if is_settled(operation.state) || left.is_zero() {
            break;
        }
        show.update(&operation);
        let look = Call::get(&["v1", "operations", &operation.id])
            // Whole seconds; the last look is a short one.
            .query("wait", Some(left.min(LOOK).as_secs().max(1)))
            .within(LOOK + SOON);
        tokio::select! {
            next = client.send(look) => reply = next?,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
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
    fn what_is_told_is_laid_over_what_is_known() {
        let json = json!({
            "id": "op_1", "platform": "whmcs", "service_id": "7", "epoch": 1, "hook": "create", "state": "running",
            "attempts": 1, "server": "s", "provider": "p", "product": "v", "created_at": "", "updated_at": "", "log_ref": "op_1",
        });
        let told = |name: &str, data: serde_json::Value| Told { name: name.into(), id: None, data };
        let first = operation::of(&json).unwrap();

        let progress = told("progress", json!({ "step": "built", "percent": 40, "progress": "installing" }));
        let then = after(first, &progress).unwrap();
        assert_eq!(line(&then), "op_1  create  whmcs/7  running: built, 40 %, installing");
        assert_eq!(after(then.clone(), &told("step", json!({ "name": "x" }))).unwrap(), then);
        let mut waits = json;
        waits["state"] = json!("waiting");
        assert_eq!(after(then.clone(), &told("state", waits)).unwrap().state, State::Waiting);
        assert!(after(then, &told("state", json!(1))).is_err());
    }

    #[test]
    fn what_needs_a_person_is_not_waited_for() {
        let settled: Vec<State> = State::ALL.into_iter().filter(|state| is_settled(*state)).collect();
        assert_eq!(settled, [State::Attention, State::Succeeded, State::Failed, State::Cancelled]);
    }
}
