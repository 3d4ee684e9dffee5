//! An operation is taken up.

use super::command::Command;
use super::kind::Kind;
use super::model::{ClaimMark, OperationId};
use super::row::row;

/// As read, and nothing else of the service active but what is passed. `a` is the new run.
pub const DECIDE: &str = "
{fate}
SELECT CASE WHEN o.run = :run AND o.state IN ('queued', 'waiting') AND {alive} AND NOT EXISTS (
        SELECT 1 FROM operation other
        WHERE other.platform = o.platform AND other.service_id = o.service_id AND other.active = {true} AND other.id <> o.id
          AND NOT (other.state IN ('waiting', 'attention')
                   AND other.id IN (SELECT p.value FROM {list :passes} AS p))) THEN 'yes' ELSE 'no' END,
    coalesce(o.run, 0) + 1, 1, NULL
FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id";

/// Takes the place from what is passed, before the passing one takes it.
pub const PASS: &str = "
{won}
UPDATE operation SET active = {false}, passed_by = :id, updated_at = :now
WHERE :b = 1 AND id IN (SELECT p.value FROM {list :ids} AS p) AND state IN ('waiting', 'attention')";

/// The claim.
pub const STORE: &str = "
{won}
UPDATE operation
SET state = 'running', active = {true}, run = :a, attempts = attempts + :counts, library = :library,
    journal_version = :journal_version, touched = touched OR :touches,
    convergent = convergent OR :touches, host = :host, next_at = NULL, updated_at = :now
WHERE operation.id = :id";

/// The command.
pub fn command(id: &OperationId, run: u64, mark: &ClaimMark, now: u64) -> Command {
    let mut command = Command::default();
    let row = row!({
        "id": id, "run": run, "library": mark.library, "journal_version": mark.journal_version,
        "touches": mark.touches, "counts": u8::from(mark.counts), "passes": mark.passes, "now": now,
    });
    command.row(Kind::Claim, row);
    command.moves(&id.0);
    if !mark.passes.is_empty() {
        command.row(Kind::ClaimPasses, row!({ "id": id, "ids": mark.passes, "now": now }));
        for passed in &mark.passes {
            command.moves(&passed.0);
        }
    }
    command
}
