//! An operation is taken up.

use super::batch::Command;
use super::kind::Kind;
use super::model::{ClaimMark, OperationId};
use serde_json::json;

/// As read, and nothing else of the service active but what is passed. Of two of one service the later one looks again in
/// the next pass. `a` is the new run.
pub const DECIDE: &str = "
{fate}
WITH {r}, judged AS MATERIALIZED (
    SELECT v, o.platform, o.service_id, o.run,
        o.run = v ->> 'run' AND o.state IN ('queued', 'waiting') AND NOT EXISTS (
            SELECT 1 FROM operation other
            WHERE other.platform = o.platform AND other.service_id = o.service_id AND other.active = 1 AND other.id <> o.id
              AND NOT (other.state IN ('waiting', 'attention')
                       AND other.id IN (SELECT value FROM json_each(v, '$.passes')))) AS fits
    FROM r LEFT JOIN operation o ON o.id = v ->> 'id')
SELECT {kind}, v ->> 'n',
    CASE WHEN fits IS NOT 1 THEN 'no'
         WHEN row_number() OVER (PARTITION BY platform, service_id, fits ORDER BY v ->> 'n') > 1 THEN 'later'
         ELSE 'yes' END, coalesce(run, 0) + 1, 1, NULL
FROM judged
WHERE true
{answer}";

/// Takes the place from what is passed, before the passing one takes it.
pub const PASS: &str = "
WITH {won}
UPDATE operation SET active = 0, passed_by = v ->> 'id', updated_at = v ->> 'now'
FROM won, json_each(v, '$.ids') AS p
WHERE b = 1 AND operation.id = p.value AND state IN ('waiting', 'attention')";

/// The claim.
pub const STORE: &str = "
WITH {won}
UPDATE operation
SET state = 'running', active = 1, run = a, attempts = attempts + (v ->> 'counts'), library = v ->> 'library',
    journal_version = v ->> 'journal_version', touched = touched OR v ->> 'touches',
    convergent = convergent OR v ->> 'touches', host = $2, next_at = NULL, updated_at = v ->> 'now'
FROM won WHERE operation.id = v ->> 'id'";

/// The command.
pub fn command(id: &OperationId, run: u64, mark: &ClaimMark, now: u64) -> Command {
    let mut command = Command::default();
    let row = json!({
        "id": id, "run": run, "library": mark.library, "journal_version": mark.journal_version,
        "touches": mark.touches, "counts": u8::from(mark.counts), "passes": mark.passes, "now": now,
    });
    command.row(Kind::Claim, &row);
    command.moves(&id.0);
    if !mark.passes.is_empty() {
        command.row(Kind::ClaimPasses, &json!({ "id": id, "ids": mark.passes, "now": now }));
        for passed in &mark.passes {
            command.moves(&passed.0);
        }
    }
    command
}
