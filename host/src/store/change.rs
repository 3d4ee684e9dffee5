//! What becomes of a service, at the end of an operation or of a poll.

use super::StoreError;
use super::command::{Command, without_nul};
use super::json_text::json_text;
use super::kind::Kind;
use super::model::{ServiceChange, ServiceKey};
use super::row::row;
use super::seals;
use crate::seal::Sealer;

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

/// What an epoch leaves behind when it ends.
pub const GONE: &[&str] = &[
    "{won}
     INSERT INTO former_remote (platform, service_id, epoch, panel, remote_id, gone_at)
     SELECT s.platform, s.service_id, s.epoch, s.panel, s.remote_id, :now
     FROM service s
     WHERE s.platform = :platform AND s.service_id = :service_id AND s.remote_id IS NOT NULL
     ON CONFLICT DO NOTHING",
    "{won} DELETE FROM service_secret WHERE platform = :platform AND service_id = :service_id",
];

/// The change, but for what [`PLACE`] does. Properties are laid over member by member.
pub const STORE: &str = "
{won}
UPDATE service
SET version = version + 1,
    status = coalesce(:status, CASE WHEN :gone THEN 'terminated' ELSE status END),
    username = coalesce(:username, username),
    product = coalesce(:product, product),
    properties = CASE WHEN :properties IS NULL THEN properties ELSE {laid :properties} END,
    paid_until = coalesce(:paid_until, CASE WHEN NOT :gone THEN paid_until END),
    ends_at = coalesce(:ends_at, CASE WHEN NOT :gone THEN ends_at END),
    pending = CASE WHEN :sets_pending OR :gone THEN :pending ELSE pending END,
    unsettled_ms = coalesce(:unsettled_ms, unsettled_ms),
    updated_at = :now
WHERE service.platform = :platform AND service.service_id = :service_id";

/// What services are found by, apart from the rest: whatever an update names is taken out of its indexes and put in again. A
/// remote id of another live service is left to it.
pub const PLACE: &str = "
{won}
UPDATE service
SET epoch = epoch + CASE WHEN :gone THEN 1 ELSE 0 END,
    remote_id = CASE WHEN :gone THEN NULL
                     WHEN EXISTS (SELECT 1 FROM service other
                                  WHERE other.panel = service.panel AND other.remote_id = :remote_id
                                    AND NOT (other.platform = service.platform AND other.service_id = service.service_id)) THEN remote_id
                     ELSE coalesce(:remote_id, remote_id) END,
    poll_at = CASE WHEN :sets_poll OR :gone THEN :poll_at ELSE poll_at END
WHERE service.platform = :platform AND service.service_id = :service_id";

/// A secret of the service, new or another.
pub const SECRET: &str = "
{won}
INSERT INTO service_secret (platform, service_id, name, sealed)
VALUES (:platform, :service_id, :name, @sealed)
ON CONFLICT (platform, service_id, name) DO UPDATE SET sealed = excluded.sealed";

/// The command of whoever is about to poll.
pub fn claim_poll(key: &ServiceKey, at: u64, next: u64) -> Command {
    let mut command = Command::default();
    let row = row!({ "platform": key.platform, "service_id": key.service_id, "at": at, "next_at": next });
    command.row(Kind::PollClaim, row);
    command
}

/// For which kinds a change has rows: its end of an epoch, itself, what it is found by, its secrets.
pub struct Kinds {
    pub gone: Kind,
    pub store: Kind,
    pub place: Kind,
    pub secrets: Kind,
}

/// The rows of a change.
pub fn rows(
    command: &mut Command,
    kinds: &Kinds,
    key: &ServiceKey,
    change: &ServiceChange,
    now: u64,
    sealer: &Sealer,
) -> Result<(), StoreError> {
    if change.gone {
        let row = row!({ "platform": key.platform, "service_id": key.service_id, "now": now });
        command.row(kinds.gone, row);
    }
    let properties = (change.gone || !change.properties.is_empty()).then(|| without_nul(json_text(&change.properties)));
    let row = row!({
        "platform": key.platform, "service_id": key.service_id, "now": now,
        "gone": change.gone, "status": change.status, "username": change.username, "product": change.product,
        "properties": properties, "paid_until": change.paid_until, "ends_at": change.ends_at,
        "sets_pending": change.pending.is_some(), "pending": change.pending.clone().flatten(),
        "unsettled_ms": change.unsettled_ms,
    });
    command.row(kinds.store, row);
    if change.gone || change.remote_id.is_some() || change.poll_at.is_some() {
        let row = row!({
            "platform": key.platform, "service_id": key.service_id,
            "gone": change.gone, "remote_id": change.remote_id,
            "sets_poll": change.poll_at.is_some(), "poll_at": change.poll_at.flatten(),
        });
        command.row(kinds.place, row);
    }
    for (name, secret) in &change.secrets {
        let sealed = command.bytes(&seals::service(sealer, key, name, secret)?);
        let row = row!({ "platform": key.platform, "service_id": key.service_id, "name": name, "sealed": sealed });
        command.row(kinds.secrets, row);
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
    let row = row!({ "platform": key.platform, "service_id": key.service_id, "epoch": epoch });
    command.row(Kind::Change, row);
    let kinds = Kinds {
        gone: Kind::ChangeGone,
        store: Kind::ChangeStore,
        place: Kind::ChangePlace,
        secrets: Kind::ChangeSecrets,
    };
    rows(&mut command, &kinds, key, change, now, sealer)?;
    Ok(command)
}
