//! A person decides about an operation.

use super::batch::{Command, Guard};
use super::kind::Kind;
use super::model::Steer;
use super::{StoreError, step, words};
use crate::operation::State;
use crate::seal::Sealer;
use serde_json::json;

/// The statements. The decision stands in the log in the same commit.
pub const SQL: &[&str] = &[
    "{fate}
     WITH {r}
     SELECT {kind}, v ->> 'n', iif(o.run IS v ->> 'run' AND o.state = v ->> 'from', 'yes', 'no'), 0, 0, NULL
     FROM r LEFT JOIN operation o ON o.id = v ->> 'id'
     WHERE true
     {answer}",
    "WITH {won}
     UPDATE operation SET cancel_asked = 1, updated_at = v ->> 'now'
     FROM won WHERE operation.id = v ->> 'id' AND NOT v ->> 'moves'",
    "WITH {won}
     UPDATE operation
     SET state = v ->> 'to', touched = convergent OR v ->> 'touched', doubted = v ->> 'doubted',
         attempts = iif(v ->> 'fresh_attempts', 0, attempts), reason = coalesce(v ->> 'reason', reason),
         active = active AND NOT v ->> 'final', next_at = NULL, cancel_asked = v ->> 'cancel_asked' AND NOT v ->> 'final',
         passed_by = iif(state = 'failed', NULL, passed_by),
         finished_at = iif(v ->> 'final', v ->> 'now', NULL), updated_at = v ->> 'now'
     FROM won WHERE operation.id = v ->> 'id' AND v ->> 'moves'",
    "WITH {won}
     UPDATE service SET version = version + 1, updated_at = v ->> 'now'
     FROM won JOIN operation o ON o.id = v ->> 'id'
     WHERE v ->> 'moves' AND service.platform = o.platform AND service.service_id = o.service_id",
    "INSERT INTO note (owner, run, at, kind, text)
     WITH {won} SELECT v ->> 'id', v ->> 'run', v ->> 'now', 'decision', v ->> 'decision' FROM won",
    words::GATHER,
];

/// The command.
pub fn command(steer: &Steer, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    let mut row = json!({
        "id": steer.id, "from": steer.from, "run": steer.run, "to": steer.to,
        "moves": !(steer.to == State::Running && steer.cancel_asked), "cancel_asked": steer.cancel_asked,
        "final": steer.to.is_final(), "touched": steer.effects.touched, "doubted": steer.effects.doubted,
        "fresh_attempts": steer.fresh_attempts, "reason": steer.reason,
        "decision": format!("{}: {}", steer.actor, steer.decision), "now": steer.now,
    });
    let said = [Some(&steer.actor), Some(&steer.decision), steer.reason.as_ref()];
    words::add(&mut command, &mut row, &steer.id.0, said.into_iter().flatten().map(String::as_str));
    command.row(Kind::Steer, &row);
    command.moves(&steer.id.0);
    for (position, entry) in &steer.entries {
        let row = step::entry_row(&mut command, sealer, &steer.id, *position, entry)?;
        command.row(Kind::SteerEntry, &row);
    }
    for scope in &steer.release {
        command.guard(Guard::Scope(scope.clone()));
        command.row(Kind::SteerRelease, &json!({ "id": steer.id, "scope": scope, "step": null }));
    }
    Ok(command)
}
