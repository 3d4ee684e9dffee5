//! A person decides about an operation.

use super::command::Command;
use super::kind::Kind;
use super::model::Steer;
use super::row::row;
use super::{StoreError, prune, step, words};
use crate::operation::State;
use crate::seal::Sealer;

/// The statements. The decision stands in the log in the same commit.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT CASE WHEN o.run = :run AND o.state = :from THEN 'yes' ELSE 'no' END, 0, 0, NULL
     FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id",
    "{won}
     UPDATE operation SET cancel_asked = {true}, updated_at = :now
     WHERE operation.id = :id AND NOT :moves",
    "{won}
     UPDATE operation
     SET state = :to, touched = convergent OR :touched, doubted = :doubted,
         attempts = CASE WHEN :fresh_attempts THEN 0 ELSE attempts END, reason = coalesce(:reason, reason),
         active = active AND NOT :final, next_at = NULL, cancel_asked = :cancel_asked AND NOT :final,
         passed_by = CASE WHEN state <> 'failed' THEN passed_by END,
         finished_at = CASE WHEN :final THEN :now END, updated_at = :now
     WHERE operation.id = :id AND :moves",
    "{won}
     UPDATE service SET version = version + 1, updated_at = :now
     FROM operation o
     WHERE :moves AND o.id = :id AND service.platform = o.platform AND service.service_id = o.service_id",
    "{won}
     INSERT INTO note (owner, run, at, kind, text) VALUES (:id, :run, :now, 'decision', :decision)",
    words::GATHER,
    prune::RESTORE,
];

/// The command.
pub fn command(steer: &Steer, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    let mut row = row!({
        "id": steer.id, "from": steer.from, "run": steer.run, "to": steer.to,
        "moves": !(steer.to == State::Running && steer.cancel_asked), "cancel_asked": steer.cancel_asked,
        "final": steer.to.is_final(), "touched": steer.effects.touched, "doubted": steer.effects.doubted,
        "fresh_attempts": steer.fresh_attempts, "reason": steer.reason,
        "decision": format!("{}: {}", steer.actor, steer.decision), "now": steer.now,
    });
    let said = [Some(&steer.actor), Some(&steer.decision), steer.reason.as_ref()];
    words::add(&mut command, &mut row, &steer.id.0, said.into_iter().flatten().map(String::as_str));
    command.row(Kind::Steer, row);
    command.moves(&steer.id.0);
    for (position, entry) in &steer.entries {
        let row = step::entry_row(&mut command, sealer, &steer.id, *position, entry)?;
        command.row(Kind::SteerEntry, row);
    }
    for scope in &steer.release {
        command.row(Kind::SteerRelease, row!({ "id": steer.id, "scope": scope, "step": () }));
    }
    Ok(command)
}
