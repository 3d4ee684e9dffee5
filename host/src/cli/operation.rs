//! An operation and what came of it, in words.

use super::answer::Exit;
use super::table::{Table, block, cell, fact, maybe, plain, when};
use crate::journal::{Kind, Stage};
use crate::operation::State;
use crate::views::{FaultView, HeldWord, HookAnswer, OperationView, ResultView, SecretsView, SecretsWord, StepView};
use billhook_plugin_api::Capacity;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// How a command ends that shows an operation in this state as its result.
pub(super) const fn exit(state: State) -> Exit {
    match state {
        State::Succeeded => Exit::Done,
        State::Failed | State::Cancelled => Exit::Failed,
        State::Queued | State::Running | State::Waiting | State::Attention => Exit::Unfinished,
    }
}

/// The operation of an answer, which may be the answer itself.
pub(super) fn of(json: &Value) -> Result<OperationView, serde_json::Error> {
    use serde::Deserialize;
    OperationView::deserialize(json.get("operation").filter(|inner| inner.is_object()).unwrap_or(json))
}

/// Why an operation that could go on does not.
pub(super) fn held(operation: &OperationView) -> Option<String> {
    let why = match operation.held? {
        HeldWord::Paused => "an admin has paused the server",
        HeldWord::Unreachable => "the server does not answer",
        HeldWord::Recovering => "the store is a restored copy; see `billhook store release`",
    };
    Some(why.to_owned())
}

/// Everything about an operation, with what a person may do about it.
pub(super) fn text(operation: &OperationView) -> String {
    let mut out = format!("{}\n", headline(operation));
    fact(
        &mut out,
        "on",
        format!("server {} ({}), product {}", operation.server, operation.provider, operation.product),
    );
    if let Some(group) = &operation.group {
        fact(&mut out, "group", group);
    }
    for passed in &operation.passed_over {
        fact(&mut out, "not on", format!("{}: {}", passed.server, passed.reason));
    }
    if let Some(key) = &operation.key {
        fact(&mut out, "key", key);
    }
    fact(&mut out, "accepted", format!("{} UTC", when(&operation.created_at)));
    match (&operation.finished_at, &operation.next_at) {
        (Some(finished), _) => fact(&mut out, "finished", format!("{} UTC", when(finished))),
        (None, Some(next)) => fact(&mut out, "goes on", format!("{} UTC", when(next))),
        (None, None) => {}
    }
    fact(&mut out, "attempts", operation.attempts.to_string());
    if let Some(progress) = progress(operation) {
        fact(&mut out, "now", progress);
    }
    if operation.cancel_asked {
        fact(&mut out, "cancel", "asked for; it takes effect at the next step, if nothing was begun");
    }
    if let Some(fault) = &operation.fault {
        out.push_str(&fault_text(fault));
    }
    if let Some(held) = held(operation) {
        fact(&mut out, "held", held);
    }
    if let Some(reason) = &operation.reason {
        fact(&mut out, "reason", reason);
    }
    if !operation.steps.is_empty() {
        let _ = write!(out, "\n{}", steps(&operation.steps));
    }
    if !operation.decisions.is_empty() {
        out.push_str("\nwhat may be decided:\n");
        for decision in &operation.decisions {
            let _ = writeln!(out, "  {}", plain(&decision_text(decision, &operation.id)));
        }
    }
    out
}

/// `op_…  create  whmcs/1007  succeeded`.
pub(super) fn headline(operation: &OperationView) -> String {
    let service = format!("{}/{}", operation.platform, operation.service_id);
    plain(&format!("{}  {}  {service}  {}", operation.id, hook_name(operation), operation.state))
}

/// The hook, or the name of the action.
pub(super) fn hook_name(operation: &OperationView) -> String {
    match &operation.action {
        Some(action) => format!("action {action}"),
        None => operation.hook.to_string(),
    }
}

/// Where a running operation is, if it says so.
pub(super) fn progress(operation: &OperationView) -> Option<String> {
    let percent = operation.percent.map(|percent| format!("{percent} %"));
    let parts: Vec<String> =
        [operation.step.clone(), percent, operation.progress.clone()].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Why something failed, as a line or two of a description.
pub(super) fn fault_text(fault: &FaultView) -> String {
    let mut out = String::new();
    let code = fault.code.as_ref().map(|code| format!(" (panel: {code})")).unwrap_or_default();
    fact(&mut out, "fault", format!("{}{code}: {}", fault.class, fault.staff));
    if let Some(customer) = &fault.customer {
        fact(&mut out, "customer", customer);
    }
    out
}

fn steps(steps: &[StepView]) -> String {
    let mut table = Table::new(&["step", "kind", "state", "runs", "notes"]);
    for step in steps {
        let looks = step.looks.filter(|looks| *looks > 0).map(|looks| format!("seen absent {looks} times"));
        let adopt = step.adopt.as_ref().map(|id| format!("named by a person: {id}"));
        let notes: Vec<String> = [looks, adopt].into_iter().flatten().collect();
        table.row([
            cell(&step.name),
            cell(word(&step.kind)),
            cell(stage(step)),
            cell(step.runs.to_string()),
            maybe((!notes.is_empty()).then(|| notes.join("; "))),
        ]);
    }
    block(&table.text(""), "  ")
}

/// A doubt is what one looks for.
fn stage(step: &StepView) -> String {
    match (step.kind, step.state) {
        (Kind::Wait, Stage::Begun) => "waits".to_owned(),
        (_, Stage::Doubted) => "in doubt".to_owned(),
        (_, stage) => word(&stage),
    }
}

/// The word that a value has in JSON.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The command that decides so, and what it says.
fn decision_text(decision: &str, id: &str) -> String {
    match decision {
        "retry" => format!("billhook ops retry {id}  (try again)"),
        "cancel" => format!("billhook ops cancel {id}  (end it; nothing was begun)"),
        "exists" => format!("billhook ops settle {id} exists REMOTE_ID  (it is on the panel, with this id)"),
        "absent" => format!("billhook ops settle {id} absent  (it is not on the panel: run again)"),
        "give_up" => format!("billhook ops settle {id} give-up --reason TEXT  (nobody will settle it)"),
        other => other.to_owned(),
    }
}

/// The answer to a hook in words.
pub(super) fn answer_text(answer: &HookAnswer) -> String {
    let mut out = match &answer.operation {
        Some(operation) if answer.result.is_some() => format!("{}\n", headline(operation)),
        Some(operation) => text(operation),
        None => format!("{}  done\n", plain(&answer.log_ref)),
    };
    if let Some(result) = &answer.result {
        out.push_str(&result_text(result));
    }
    if let Some(staff) = answer.message.as_ref().and_then(|message| message.staff.as_ref()) {
        fact(&mut out, "note", staff);
    }
    out
}

/// What a hook returned in words.
fn result_text(result: &ResultView) -> String {
    let mut out = String::new();
    if result.noop {
        fact(&mut out, "noop", "nothing was to change, as read from the panel");
    }
    let facts = [
        ("pending", result.pending.clone()),
        ("remote id", result.remote_id.clone()),
        ("login", result.username.clone()),
        ("addresses", (!result.ips.is_empty()).then(|| result.ips.join(", "))),
        ("state", result.state.map(|state| word(&state))),
        ("power", result.power.clone()),
        ("gone", result.gone.map(|gone| if gone { "yes, as read from the panel" } else { "not yet" }.to_owned())),
        ("ends at", result.ends_at.as_deref().map(|at| format!("{} UTC", when(at)))),
        ("secrets", result.secrets.as_ref().map(secrets_text)),
        ("room", result.capacity.as_ref().map(room_text)),
    ];
    for (label, text) in facts {
        if let Some(text) = text {
            fact(&mut out, label, text);
        }
    }
    for (name, value) in &result.properties {
        fact(&mut out, "property", format!("{name} = {}", value_text(value)));
    }
    if !result.findings.is_empty() {
        let mut table = Table::new(&["looked at", "", "found"]);
        for finding in &result.findings {
            table.row([cell(&finding.name), cell(if finding.ok { "ok" } else { "NOT OK" }), cell(&finding.text)]);
        }
        out.push_str(&block(&table.text(""), "  "));
    }
    if !result.data.is_null() {
        out.push_str(&block(&format!("{:#}", result.data), "  "));
    }
    out
}

fn room_text(capacity: &Capacity) -> String {
    let count = match capacity.free {
        Some(0) => "none".to_owned(),
        Some(free) => format!("for {free} more"),
        None => "not known".to_owned(),
    };
    capacity.text.as_ref().map_or_else(|| count.clone(), |text| format!("{count} ({text})"))
}

/// Never a value: a terminal keeps what it showed.
fn secrets_text(secrets: &SecretsView) -> String {
    match secrets {
        SecretsView::Values(values) => {
            format!("{}; their values only with --json", values.keys().cloned().collect::<Vec<_>>().join(", "))
        }
        SecretsView::Word(SecretsWord::Kept) => "kept for the platform; not shown on this socket".to_owned(),
        SecretsView::Word(SecretsWord::CredentialsAcknowledged) => "the platform has them".to_owned(),
        SecretsView::Word(SecretsWord::CredentialsExpired) => "gone: nobody came for them in time".to_owned(),
        SecretsView::Word(SecretsWord::Withheld) => "not shown on this socket".to_owned(),
    }
}

fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As the API shows an operation that a person must settle.
    pub(in crate::cli) fn in_attention() -> Value {
        json!({
            "id": "op_1", "platform": "whmcs", "service_id": "1007", "epoch": 1, "hook": "create", "state": "attention",
            "attempts": 2, "step": "server",
            "steps": [
                { "name": "user", "kind": "ensure", "state": "done", "runs": 1 },
                { "name": "server", "kind": "differ", "state": "doubted", "runs": 1, "looks": 3 },
                { "name": "built", "kind": "wait", "state": "begun", "runs": 0 },
            ],
            "fault": { "class": "in_doubt", "staff": "no answer\nfrom the panel", "code": "500" },
            "reason": "the panel does not say whose the newcomer is",
            "decisions": ["exists", "absent", "give_up"],
            "server": "panel-1", "provider": "virtfusion", "product": "vps-small",
            "created_at": "2026-11-21T20:05:21.123Z", "updated_at": "2026-11-21T20:06:21.000Z", "log_ref": "op_1",
        })
    }

    #[test]
    fn an_operation_in_attention_shows_its_doubt_and_what_may_be_decided() {
        let shown = text(&of(&json!({ "operation": in_attention() })).unwrap());

        let expected = "\
op_1  create  whmcs/1007  attention
  on         server panel-1 (virtfusion), product vps-small
  accepted   2026-11-21 20:05:21 UTC
  attempts   2
  now        server
  fault      in_doubt (panel: 500): no answer from the panel
  reason     the panel does not say whose the newcomer is

  step    kind    state     runs  notes
  user    ensure  done      1     -
  server  differ  in doubt  1     seen absent 3 times
  built   wait    waits     0     -

what may be decided:
  billhook ops settle op_1 exists REMOTE_ID  (it is on the panel, with this id)
  billhook ops settle op_1 absent  (it is not on the panel: run again)
  billhook ops settle op_1 give-up --reason TEXT  (nobody will settle it)
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_result_is_told_without_its_secrets() {
        let mut operation = in_attention();
        operation["state"] = json!("succeeded");
        let answer: HookAnswer = serde_json::from_value(json!({
            "operation": operation,
            "result": {
                "remote_id": "4711", "ips": ["192.0.2.7", "192.0.2.8"], "username": "acme",
                "secrets": { "root_password": "hunter2-hunter2" }, "properties": { "node": 3 },
            },
            "log_ref": "op_1",
        }))
        .unwrap();

        let expected = "\
op_1  create  whmcs/1007  succeeded
  remote id  4711
  login      acme
  addresses  192.0.2.7, 192.0.2.8
  secrets    root_password; their values only with --json
  property   node = 3
";
        assert_eq!(answer_text(&answer), expected);
    }

    #[test]
    fn a_test_shows_what_it_looked_at() {
        let answer: HookAnswer = serde_json::from_value(json!({
            "result": { "findings": [
                { "name": "credentials", "ok": true, "text": "accepted" },
                { "name": "rights", "ok": false, "text": "may not delete" },
            ] },
            "log_ref": "rd_1",
        }))
        .unwrap();

        let expected = "\
rd_1  done
  looked at            found
  credentials  ok      accepted
  rights       NOT OK  may not delete
";
        assert_eq!(answer_text(&answer), expected);
    }

    #[test]
    fn a_state_decides_how_the_command_ends() {
        for (state, code) in [
            (State::Succeeded, 0),
            (State::Failed, 1),
            (State::Cancelled, 1),
            (State::Queued, 3),
            (State::Running, 3),
            (State::Waiting, 3),
            (State::Attention, 3),
        ] {
            assert_eq!(exit(state).code(), code, "{state}");
        }
    }
}
