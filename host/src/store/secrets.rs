//! The secrets of results: kept sealed until the platform has them, or nobody came for them.

use super::command::Command;
use super::kind::Kind;
use super::model::OperationId;
use super::row::row;

/// Stored with the end of the operation.
pub const KEEP: &str = "
{won}
INSERT INTO result_secret (operation_id, sealed)
VALUES (:id, @sealed)
ON CONFLICT (operation_id) DO UPDATE SET sealed = excluded.sealed";

/// The platform has them.
pub const ACKNOWLEDGE: &[&str] = &[
    "{fate}
     SELECT CASE WHEN o.secrets_state = 'kept' THEN 'yes' ELSE 'no' END, 0, 0, NULL
     FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id",
    "{won}
     UPDATE operation SET secrets_state = 'acknowledged', updated_at = :now WHERE operation.id = :id",
    "{won} DELETE FROM result_secret WHERE operation_id = :id",
];

/// Nobody came for them. `a` is how many operations that concerns.
pub const EXPIRE: &[&str] = &[
    "{fate}
     SELECT 'yes',
         (SELECT count(*) FROM operation WHERE secrets_state = 'kept' AND finished_at < :older_than), 0, NULL",
    "{won}
     DELETE FROM result_secret WHERE operation_id IN (
         SELECT id FROM operation WHERE secrets_state = 'kept' AND finished_at < :older_than)",
    "{won}
     UPDATE operation SET secrets_state = 'expired', updated_at = :now
     WHERE secrets_state = 'kept' AND finished_at < :older_than",
    "{won}
     UPDATE entry SET secret = NULL WHERE secret IS NOT NULL AND operation_id IN (
         SELECT id FROM operation WHERE state = 'failed' AND finished_at < :older_than)",
];

/// The command that acknowledges.
pub fn acknowledge(id: &OperationId, now: u64) -> Command {
    let mut command = Command::default();
    command.row(Kind::Acknowledge, row!({ "id": id, "now": now }));
    command.tells_of(&id.0);
    command
}

/// The command that expires what finished before `older_than`.
pub fn expire(older_than: u64, now: u64) -> Command {
    let mut command = Command::default();
    command.row(Kind::Expire, row!({ "older_than": older_than, "now": now }));
    command
}
