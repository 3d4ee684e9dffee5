//! What becomes of a service, at the end of an operation or of a poll.

use super::StoreError;
use super::command::{Command, without_nul};
use super::kind::Kind;
use super::model::{ServiceChange, ServiceKey};
use super::seals;
use crate::seal::Sealer;
use serde_json::{Value, json};

/// Guarded by the epoch that the poll was about.
pub const DECIDE: &str = "
{fate}
SELECT CASE WHEN s.epoch = :epoch THEN 'yes' ELSE 'moved' END, 0, 0, NULL
FROM (SELECT 1) AS one LEFT JOIN service s ON s.platform = :platform AND s.service_id = :service_id";

/// Says who polls a service that is due; `at` is as it was read.
pub const CLAIM_POLL: &[&str] = &[
    "{fate}
     SELECT CASE WHEN s.poll_at = :at THEN 'yes' ELSE 'moved' END, 0, 0, NULL
     FROM (SELECT 1) AS one LEFT JOIN service s ON s.platform = :platform AND s.service_id = :service_id",
    "{won} UPDATE service SET poll_at = :next_at WHERE service.platform = :platform AND service.service_id = :service_id",
];

/// The service: named, or that of the operation.
macro_rules! aim {
    () => {
        "WITH aim (platform, service_id) AS MATERIALIZED (
             SELECT coalesce(o.platform, :platform), coalesce(o.service_id, :service_id)
             FROM (SELECT 1) AS one LEFT JOIN operation o ON o.id = :id)
         "
    };
}

/// What an epoch leaves behind when it ends.
pub const GONE: &[&str] = &[
    concat!(
        "{won}
         INSERT INTO former_remote (platform, service_id, epoch, panel, remote_id, gone_at)
         ",
        aim!(),
        "SELECT s.platform, s.service_id, s.epoch, s.panel, s.remote_id, :now
         FROM aim JOIN service s ON s.platform = aim.platform AND s.service_id = aim.service_id
         WHERE :gone AND s.remote_id IS NOT NULL
         ON CONFLICT DO NOTHING"
    ),
    concat!(
        "{won} ",
        aim!(),
        "DELETE FROM service_secret
         WHERE (platform, service_id) IN (SELECT platform, service_id FROM aim WHERE :gone)"
    ),
];

/// The change. Properties are laid over member by member; a remote id of another live service is left to it.
pub const STORE: &str = concat!(
    "{won} ",
    aim!(),
    "UPDATE service
     SET version = version + 1,
         epoch = epoch + CASE WHEN :gone THEN 1 ELSE 0 END,
         status = coalesce(:status, CASE WHEN :gone THEN 'terminated' ELSE status END),
         remote_id = CASE WHEN :gone THEN NULL
                          WHEN EXISTS (SELECT 1 FROM service other
                                       WHERE other.panel = service.panel AND other.remote_id = :remote_id
                                         AND NOT (other.platform = service.platform AND other.service_id = service.service_id)) THEN remote_id
                          ELSE coalesce(:remote_id, remote_id) END,
         username = coalesce(:username, username),
         product = coalesce(:product, product),
         properties = {laid :properties},
         paid_until = coalesce(:paid_until, CASE WHEN NOT :gone THEN paid_until END),
         ends_at = coalesce(:ends_at, CASE WHEN NOT :gone THEN ends_at END),
         poll_at = CASE WHEN :sets_poll OR :gone THEN :poll_at ELSE poll_at END,
         pending = CASE WHEN :sets_pending OR :gone THEN :pending ELSE pending END,
         unsettled_ms = coalesce(:unsettled_ms, unsettled_ms),
         updated_at = :now
     FROM aim WHERE service.platform = aim.platform AND service.service_id = aim.service_id"
);

/// A secret of the service, new or another.
pub const SECRET: &str = "
{won}
INSERT INTO service_secret (platform, service_id, name, sealed)
VALUES (:platform, :service_id, :name, @sealed)
ON CONFLICT (platform, service_id, name) DO UPDATE SET sealed = excluded.sealed";

/// The command of whoever is about to poll.
pub fn claim_poll(key: &ServiceKey, at: u64, next: u64) -> Command {
    let mut command = Command::default();
    let row = json!({ "platform": key.platform, "service_id": key.service_id, "at": at, "next_at": next });
    command.row(Kind::PollClaim, row);
    command
}

/// The members of a row that are the change's.
pub fn row(change: &ServiceChange, now: u64) -> Value {
    json!({
        "gone": change.gone, "status": change.status, "remote_id": change.remote_id, "username": change.username,
        "product": change.product,
        "properties": without_nul(Value::from(change.properties.clone()).to_string()), "paid_until": change.paid_until,
        "ends_at": change.ends_at,
        "sets_poll": change.poll_at.is_some(), "poll_at": change.poll_at.flatten(),
        "sets_pending": change.pending.is_some(), "pending": change.pending.clone().flatten(),
        "unsettled_ms": change.unsettled_ms, "now": now,
    })
}

/// The rows of its secrets.
pub fn secrets(
    command: &mut Command,
    kind: Kind,
    key: &ServiceKey,
    change: &ServiceChange,
    sealer: &Sealer,
) -> Result<(), StoreError> {
    for (name, secret) in &change.secrets {
        let sealed = command.bytes(&seals::service(sealer, key, name, secret)?);
        let row = json!({ "platform": key.platform, "service_id": key.service_id, "name": name, "sealed": sealed });
        command.row(kind, row);
    }
    Ok(())
}

/// The command of a poll.
pub fn command(
    key: &ServiceKey,
    epoch: u32,
    change: &ServiceChange,
    now: u64,
    sealer: &Sealer,
) -> Result<Command, StoreError> {
    let mut command = Command::default();
    let mut row = row(change, now);
    row["platform"] = json!(key.platform);
    row["service_id"] = json!(key.service_id);
    row["epoch"] = json!(epoch);
    command.row(Kind::Change, row);
    secrets(&mut command, Kind::ChangeSecrets, key, change, sealer)?;
    Ok(command)
}
