//! A failed operation is asked for again by the platform.

use super::batch::Command;
use super::kind::Kind;
use super::model::Again;
use super::{StoreError, seals};
use crate::seal::Sealer;
use serde_json::json;

/// The statements. Two of one service cannot both meet the same version: the later one looks again in the next pass.
pub const SQL: &[&str] = &[
    "{fate}
     WITH {r}, judged AS MATERIALIZED (
         SELECT v, s.platform, s.service_id, o.state = 'failed' AND s.version = v ->> 'version' AS fits
         FROM r LEFT JOIN operation o ON o.id = v ->> 'id'
                LEFT JOIN service s ON s.platform = o.platform AND s.service_id = o.service_id)
     SELECT {kind}, v ->> 'n',
         CASE WHEN fits IS NOT 1 THEN 'no'
              WHEN row_number() OVER (PARTITION BY platform, service_id, fits ORDER BY v ->> 'n') > 1 THEN 'later'
              ELSE 'yes' END, 0, 0, NULL
     FROM judged
     WHERE true
     {answer}",
    "WITH {won}
     UPDATE operation
     SET state = 'queued', attempts = 0, fingerprint = v ->> 'fingerprint', product = v ->> 'product',
         expires_at = v ->> 'expires_at', next_at = NULL, finished_at = NULL, cancel_asked = 0, passed_by = NULL,
         updated_at = v ->> 'now'
     FROM won WHERE operation.id = v ->> 'id'",
    "WITH {won}
     UPDATE request SET shown = CAST(substr($1, (v ->> 'b') + (v ->> '$.shown[0]') + 1, v ->> '$.shown[1]') AS TEXT),
         call = substr($1, (v ->> 'b') + (v ->> '$.call[0]') + 1, v ->> '$.call[1]')
     FROM won WHERE operation_id = v ->> 'id'",
    "WITH {won}
     UPDATE service
     SET version = version + 1, product = iif(o.hook = 'create', o.product, service.product), updated_at = v ->> 'now'
     FROM won JOIN operation o ON o.id = v ->> 'id'
     WHERE service.platform = o.platform AND service.service_id = o.service_id",
];

/// The command.
pub fn command(again: &Again, sealer: &Sealer) -> Result<Command, StoreError> {
    let mut command = Command::default();
    let call = command.bytes(&seals::call(sealer, &again.id, &again.call)?);
    let shown = command.bytes(again.shown.to_string().as_bytes());
    let row = json!({
        "id": again.id, "version": again.service_version, "shown": shown, "call": call,
        "fingerprint": again.fingerprint, "product": again.product, "expires_at": again.expires_at, "now": again.now,
    });
    command.row(Kind::Again, &row);
    command.moves(&again.id.0);
    Ok(command)
}
