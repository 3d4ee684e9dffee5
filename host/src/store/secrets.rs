//! The secrets of results: kept sealed until the platform has them, or nobody came for them.

use super::batch::Command;
use super::kind::Kind;
use super::model::OperationId;
use serde_json::json;

/// Stored with the end of the operation.
pub const KEEP: &str = "
INSERT INTO result_secret (operation_id, sealed)
WITH {won}
SELECT v ->> 'id', substr($1, (v ->> 'b') + (v ->> '$.sealed[0]') + 1, v ->> '$.sealed[1]') FROM won
WHERE true
ON CONFLICT (operation_id) DO UPDATE SET sealed = excluded.sealed";

/// The platform has them.
pub const ACKNOWLEDGE: &[&str] = &[
    "{fate}
     WITH {r}
     SELECT {kind}, v ->> 'n', iif(o.secrets_state IS 'kept', 'yes', 'no'), 0, 0, NULL
     FROM r LEFT JOIN operation o ON o.id = v ->> 'id'
     WHERE true
     {answer}",
    "WITH {won}
     UPDATE operation SET secrets_state = 'acknowledged', updated_at = v ->> 'now' FROM won WHERE operation.id = v ->> 'id'",
    "WITH {won} DELETE FROM result_secret WHERE operation_id IN (SELECT v ->> 'id' FROM won)",
];

/// Nobody came for them. `a` is how many operations that concerns.
pub const EXPIRE: &[&str] = &[
    "{fate}
     WITH {r}
     SELECT {kind}, v ->> 'n', 'yes',
         (SELECT count(*) FROM operation WHERE secrets_state = 'kept' AND finished_at < v ->> 'older_than'), 0, NULL
     FROM r
     WHERE true
     {answer}",
    "WITH {r}
     DELETE FROM result_secret WHERE operation_id IN (
         SELECT id FROM operation JOIN r ON secrets_state = 'kept' AND finished_at < v ->> 'older_than')",
    "WITH {r}
     UPDATE operation SET secrets_state = 'expired', updated_at = v ->> 'now'
     FROM r WHERE secrets_state = 'kept' AND finished_at < v ->> 'older_than'",
    "WITH {r}
     UPDATE entry SET secret = NULL WHERE secret IS NOT NULL AND operation_id IN (
         SELECT id FROM operation JOIN r ON state = 'failed' AND finished_at < v ->> 'older_than')",
];

/// The command that acknowledges.
pub fn acknowledge(id: &OperationId, now: u64) -> Command {
    let mut command = Command::default();
    command.row(Kind::Acknowledge, &json!({ "id": id, "now": now }));
    command.guard(super::batch::Guard::Operation(id.0.clone()));
    command
}

/// The command that expires what finished before `older_than`.
pub fn expire(older_than: u64, now: u64) -> Command {
    let mut command = Command::default();
    command.row(Kind::Expire, &json!({ "older_than": older_than, "now": now }));
    command
}
