//! A failed operation is asked for again by the platform.

use super::command::Command;
use super::kind::Kind;
use super::model::Again;
use super::row::row;
use super::{StoreError, prune, seals};
use crate::seal::Sealer;

/// The statements. Two of one service cannot both meet the same version.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT CASE WHEN o.state = 'failed' AND s.version = :version THEN 'yes' ELSE 'no' END, 0, 0, NULL
     FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id
          LEFT JOIN service s ON s.platform = o.platform AND s.service_id = o.service_id",
    "{won}
     UPDATE operation
     SET state = 'queued', attempts = 0, fingerprint = :fingerprint, product = :product,
         expires_at = :expires_at, next_at = NULL, finished_at = NULL, cancel_asked = {false}, passed_by = NULL,
         updated_at = :now
     WHERE operation.id = :id",
    "{won}
     UPDATE request SET shown = {text @shown}, call = @call WHERE operation_id = :id",
    "{won}
     UPDATE service
     SET version = version + 1, updated_at = :now,
         product = CASE WHEN o.hook = 'create' THEN o.product ELSE service.product END
     FROM operation o
     WHERE o.id = :id AND service.platform = o.platform AND service.service_id = o.service_id",
    prune::RESTORE,
];

/// The command.
pub fn command(again: &Again, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    let call = command.bytes(&seals::call(sealer, &again.id, &again.call)?);
    let shown = command.bytes(again.shown.as_str().as_bytes());
    let row = row!({
        "id": again.id, "version": again.service_version, "shown": shown, "call": call,
        "fingerprint": again.fingerprint, "product": again.product, "expires_at": again.expires_at, "now": again.now,
    });
    command.row(Kind::Again, row);
    command.moves(&again.id.0);
    Ok(command)
}
