//! The end of an attempt.

use super::command::Command;
use super::json_text::json_text;
use super::kind::Kind;
use super::model::Evidence;
use super::model::{Finish, Finished, Operation, SecretsState};
use super::row::row;
use super::writer::Fate;
use super::{StoreError, change, evidence, seals, words};
use crate::operation::State;
use crate::seal::Sealer;
use serde_json::json;

/// The statements. What is not final keeps its place among the service's operations. `a` says whether others are unfinished.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT CASE WHEN o.run = :run AND o.state = 'running' THEN 'yes' ELSE 'lease_lost' END,
         CASE WHEN EXISTS (
                 SELECT 1 FROM operation other
                 WHERE other.platform = o.platform AND other.service_id = o.service_id
                   AND {open other.} AND other.id <> o.id)
             THEN 1 ELSE 0 END,
         0, NULL
     FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id",
    "{won}
     UPDATE operation
     SET state = :state, next_at = :next_at, attempts = :attempts, touched = :touched,
         doubted = :doubted, convergent = convergent AND :touched, fault = :fault,
         reason = :reason, outcome = :outcome, placement = coalesce(:placement, placement),
         secrets_state = CASE WHEN :has_secrets THEN 'kept' ELSE secrets_state END,
         active = active AND NOT :final, cancel_asked = cancel_asked AND NOT :final,
         finished_at = CASE WHEN :final THEN :now END, updated_at = :now
     WHERE operation.id = :id",
    "{won}
     UPDATE log
     SET state = :state, attempts = :attempts, fault = :class, summary = :summary,
         ended_at = CASE WHEN :final THEN :now END
     WHERE place = {place :id}",
    words::GATHER,
];

/// Behind what became of those that it had passed: they may go on.
pub const LET_PASSED: &str = "
{won a = 1}
UPDATE operation SET passed_by = NULL
WHERE :final AND passed_by = :id AND {open}";

/// What it went well without needs no secrets of its steps any more.
// A failed operation may be asked for again and then needs them; `secrets::EXPIRE` ends that.
pub const FORGET: &str = "{won} UPDATE entry SET secret = NULL WHERE operation_id = :id AND secret IS NOT NULL";

/// What it passed ends with it; the scopes that this held are free again.
pub const END_PASSED: &[&str] = &[
    "{won}
     UPDATE scope SET count = count + 1, operation_id = NULL, step = NULL
     FROM operation o
     WHERE o.passed_by = :id AND o.state IN ('waiting', 'attention') AND scope.operation_id = o.id",
    "{won}
     UPDATE entry SET secret = NULL
     FROM operation o
     WHERE o.passed_by = :id AND o.state IN ('waiting', 'attention') AND entry.operation_id = o.id AND secret IS NOT NULL",
    "{won}
     UPDATE operation
     SET state = 'failed', active = {false}, next_at = NULL, fault = :fault, finished_at = :now,
         updated_at = :now
     WHERE passed_by = :id AND state IN ('waiting', 'attention')",
    "{won}
     UPDATE log SET state = o.state, fault = {json o.fault} ->> 'class', ended_at = o.finished_at
     FROM operation o
     WHERE o.passed_by = :id AND o.state = 'failed' AND place = {place o.id}",
];

/// The command.
pub fn command(finish: &Finish, evidence: &Evidence, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    let placement = finish.placement.as_ref().map(|placement| json!(placement).to_string());
    let mut row = row!({
        "placement": placement.as_ref().filter(|_| finish.moves.is_none()),
        "id": finish.id, "run": finish.run, "state": finish.state, "final": finish.state.is_final(),
        "next_at": finish.next_at, "attempts": finish.attempts, "touched": finish.effects.touched,
        "doubted": finish.effects.doubted, "fault": finish.fault.as_ref().map(|fault| json!(fault).to_string()),
        "class": finish.fault.as_ref().map(|fault| fault.class),
        "reason": finish.reason, "outcome": finish.outcome.as_ref().map(json_text),
        "has_secrets": !finish.secrets.is_empty(), "summary": finish.summary, "now": finish.now,
    });
    let fault = finish.fault.iter().flat_map(words::of_fault);
    let said = [Some(finish.summary.as_str()), finish.reason.as_deref()].into_iter().flatten();
    words::add(&mut command, &mut row, &finish.id.0, said.chain(fault));
    command.row(Kind::Finish, row);
    command.ends(&finish.id.0);
    if finish.has_steps && matches!(finish.state, State::Succeeded | State::Cancelled) {
        command.row(Kind::FinishForget, row!({ "id": finish.id }));
    }
    if !finish.secrets.is_empty() {
        let sealed = command.bytes(&seals::result(sealer, &finish.id, &finish.secrets)?);
        command.row(Kind::FinishSecrets, row!({ "id": finish.id, "sealed": sealed }));
    }
    if let Some((key, change)) = &finish.service {
        let kinds = change::Kinds {
            gone: Kind::FinishServiceGone,
            store: Kind::FinishService,
            place: Kind::FinishServicePlace,
            secrets: Kind::FinishServiceSecrets,
        };
        change::rows(&mut command, &kinds, key, change, finish.now, sealer)?;
    }
    if let Some(to) = &finish.moves {
        let row = row!({
            "id": finish.id, "server": to.server, "panel": to.panel, "most": to.most, "placement": placement,
            "now": finish.now,
        });
        command.row(Kind::FinishMove, row);
    }
    if let Some(fault) = &finish.end_passed {
        let fault = json!(fault).to_string();
        command.row(Kind::FinishPassed, row!({ "id": finish.id, "fault": fault, "now": finish.now }));
    }
    evidence::rows(&mut command, evidence);
    Ok(command)
}

impl Finish {
    /// The operation as it reads when this has ended it, so that it need not be read.
    pub fn ended(&self, operation: &Operation) -> Operation {
        Operation {
            state: self.state,
            next_at: self.next_at,
            attempts: self.attempts,
            effects: self.effects,
            fault: self.fault.clone(),
            reason: self.reason.clone(),
            outcome: self.outcome.clone(),
            placement: self.placement.clone().or_else(|| operation.placement.clone()),
            secrets_state: if self.secrets.is_empty() { operation.secrets_state } else { SecretsState::Kept },
            has_steps: self.has_steps,
            active: false,
            cancel_asked: false,
            finished_at: Some(self.now),
            updated_at: self.now,
            ..operation.clone()
        }
    }
}

/// What became of it.
pub fn answer(fate: &Fate) -> Finished {
    match fate.word.as_str() {
        "yes" => Finished::Stored { others: fate.a != 0 },
        _ => Finished::LeaseLost,
    }
}
