//! A step moves on: its entry, its scope, the remote id that it gave.

use super::command::{Command, Slice};
use super::kind::Kind;
use super::model::{OperationId, ServiceKey, StepWrite, Written};
use super::row::{Row, row};
use super::writer::Fate;
use super::{StoreError, seals};
use crate::journal::Entry;
use crate::seal::Sealer;
use serde_json::json;

/// One journal entry, new or as it stands now. The rows of three kinds share its members.
pub const WRITE_ENTRY: &str = "
{won}
INSERT INTO entry (operation_id, position, name, kind, stage, scope, given, result, sealed, secret, remote_id, doubt,
    adopt, evidence, runs)
VALUES (:id, :position, :name, :kind, :stage, :scope, :given, :result, :sealed, @secret, :remote_id, :doubt, :adopt,
    :evidence, :runs)
ON CONFLICT (operation_id, position) DO UPDATE
SET name = excluded.name, kind = excluded.kind, stage = excluded.stage, scope = excluded.scope, given = excluded.given,
    result = excluded.result, sealed = excluded.sealed, secret = excluded.secret, remote_id = excluded.remote_id,
    doubt = excluded.doubt, adopt = excluded.adopt, evidence = excluded.evidence, runs = excluded.runs";

/// A scope is given back, if the operation holds it (for `step`, where one is named).
pub const RELEASE: &str = "
{won}
UPDATE scope SET count = count + 1, operation_id = NULL, step = NULL
WHERE scope.key = :scope AND scope.operation_id = :id
  AND (:step IS NULL OR scope.step = :step)";

/// The statements before those two.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT CASE WHEN o.run IS DISTINCT FROM :run OR o.state <> 'running' THEN 'lease_lost'
              WHEN owner.service_id IS NOT NULL THEN 'taken'
              ELSE 'yes' END,
         0, 0, CASE WHEN owner.service_id IS NOT NULL THEN {array owner.platform, owner.service_id} END
     FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id
            LEFT JOIN service owner ON owner.panel = o.panel AND owner.remote_id = :owned
                AND NOT (owner.platform = o.platform AND owner.service_id = o.service_id)",
    WRITE_ENTRY,
    "{won}
     UPDATE operation
     SET touched = convergent OR :touched, doubted = :doubted, updated_at = :now
     WHERE operation.id = :id",
];

/// The remote id on the service, unless it is another one's.
pub const REMOTE: &str = "
{won}
UPDATE service SET remote_id = :owned, updated_at = :now
FROM operation o
WHERE :word = 'yes' AND o.id = :id AND service.platform = o.platform AND service.service_id = o.service_id";

/// The members of a row that are the entry's.
pub fn entry_row(
    command: &mut Command,
    sealer: &Sealer,
    id: &OperationId,
    position: u32,
    entry: &Entry,
) -> Result<Row, StoreError> {
    let hidden = entry.sealed && !entry.result.is_null();
    let secret: Option<Slice> = match hidden {
        true => Some(command.bytes(&seals::step(sealer, id, &entry.name, &entry.result)?)),
        false => None,
    };
    let result = if hidden { "null".to_owned() } else { entry.result.to_string() };
    Ok(row!({
        "id": id, "position": position, "name": entry.name, "kind": entry.kind, "stage": entry.stage,
        "scope": entry.scope, "given": entry.given.to_string(), "result": result, "sealed": entry.sealed,
        "secret": secret, "remote_id": entry.remote_id,
        "doubt": entry.doubt.map(|doubt| json!(doubt).to_string()), "adopt": entry.adopt,
        "evidence": json!(entry.evidence).to_string(), "runs": entry.runs,
    }))
}

/// The command.
pub fn command(write: &StepWrite, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    command.tells_of(&write.id.0);
    let mut row = entry_row(&mut command, sealer, &write.id, write.position, &write.entry)?;
    row.put("run", &write.run);
    row.put("touched", &write.effects.touched);
    row.put("doubted", &write.effects.doubted);
    row.put("owned", &write.remote_id);
    row.put("now", &write.now);
    command.row(Kind::Step, row);
    if let Some(scope) = write.entry.scope.as_ref().filter(|_| write.release) {
        command.row(Kind::StepRelease, row!({ "id": write.id, "scope": scope, "step": write.entry.name }));
    }
    if let Some(remote) = &write.remote_id {
        command.row(Kind::StepRemote, row!({ "id": write.id, "owned": remote, "now": write.now }));
    }
    Ok(command)
}

/// What became of it.
pub fn answer(fate: &Fate) -> Result<Written, StoreError> {
    Ok(match (fate.word.as_str(), &fate.detail) {
        ("yes", _) => Written::Yes,
        ("taken", Some(owner)) => {
            let (platform, service_id) =
                serde_json::from_str(owner).map_err(|error| StoreError::Rejected(error.to_string()))?;
            Written::RemoteIdTaken(ServiceKey { platform, service_id })
        }
        _ => Written::LeaseLost,
    })
}
