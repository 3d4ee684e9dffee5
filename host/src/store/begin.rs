//! Before a change is sent: the one commit that decides whether it may be.

use super::StoreError;
use super::command::Command;
use super::kind::Kind;
use super::model::{Begin, Begun};
use super::row::row;
use super::step;
use super::writer::Fate;
use crate::seal::Sealer;

/// The statements. A scope that is said to be held must be held by this very step.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT CASE WHEN o.run IS DISTINCT FROM :run OR o.state <> 'running' OR NOT {alive} THEN 'lease_lost'
              WHEN o.cancel_asked = {true} AND o.touched = {false} THEN 'cancel_asked'
              WHEN :scope IS NULL THEN 'yes'
              WHEN s.operation_id IS NOT NULL AND NOT (s.operation_id = o.id AND s.step = :name) THEN 'scope_busy'
              WHEN :count IS NULL AND s.operation_id IS NULL THEN 'scope_moved'
              WHEN :count IS NOT NULL AND coalesce(s.count, 0) <> :count THEN 'scope_moved'
              ELSE 'yes' END, 0, 0, NULL
     FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id
            LEFT JOIN scope s ON s.key = :scope",
    step::WRITE_ENTRY,
    "{won}
     UPDATE operation SET touched = {true}, doubted = {true}, updated_at = :now
     WHERE operation.id = :id AND :effect",
];

/// The scope is taken.
pub const TAKE: &str = "
{won}
INSERT INTO scope (key, count, operation_id, step)
VALUES (:scope, :count + 1, :id, :step)
ON CONFLICT (key) DO UPDATE
SET count = excluded.count, operation_id = excluded.operation_id, step = excluded.step";

/// The command.
pub fn command(begin: &Begin, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    command.tells_of(&begin.id.0);
    let mut row = step::entry_row(&mut command, sealer, &begin.id, begin.position, &begin.entry)?;
    let scope = begin.take.as_ref().map(|take| &take.key).or(begin.entry.scope.as_ref());
    row.put("run", &begin.run);
    row.put("scope", &scope);
    row.put("count", &begin.take.as_ref().map(|take| take.count));
    row.put("effect", &begin.entry.is_effect());
    row.put("now", &begin.now);
    command.row(Kind::Begin, row);
    if let Some(take) = &begin.take {
        let row = row!({ "id": begin.id, "scope": take.key, "count": take.count, "step": begin.entry.name });
        command.row(Kind::BeginTake, row);
    }
    Ok(command)
}

/// What became of it.
pub fn answer(fate: &Fate) -> Begun {
    match fate.word.as_str() {
        "yes" => Begun::Yes,
        "cancel_asked" => Begun::CancelAsked,
        "scope_busy" => Begun::ScopeBusy,
        "scope_moved" => Begun::ScopeMoved,
        _ => Begun::LeaseLost,
    }
}
