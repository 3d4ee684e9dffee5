//! A hook becomes an operation.

use super::command::Command;
use super::kind::Kind;
use super::model::{Accepted, NewOperation, Operation, OperationId, SecretsState, Service, ServiceStatus, Taken};
use super::row::row;
use super::writer::Fate;
use super::{StoreError, seals, words};
use crate::operation::{Effects, State};
use crate::seal::Sealer;
use billhook_plugin_api::Hook;
use serde_json::json;

/// The version, the key, and whether the service's one active place is free. `a` is the sequence number, `b` says that it
/// is claimed, `detail` lists what is cancelled.
pub const DECIDE: &str = "
{fate}
SELECT
    CASE WHEN s.version IS DISTINCT FROM :version THEN 'moved'
         WHEN EXISTS (SELECT 1 FROM operation k WHERE k.platform = :platform AND k.key = :key) THEN 'moved'
         WHEN :most IS NOT NULL AND {load} >= :most THEN 'moved'
         ELSE 'yes' END,
    coalesce(s.version, 0) + 1,
    CASE WHEN :claimed AND {alive} AND NOT EXISTS (
        SELECT 1 FROM operation o
        WHERE o.platform = :platform AND o.service_id = :service_id
          AND {open o.}
          AND NOT (o.touched = {false} AND o.state <> 'running' AND o.id IN (SELECT c.value FROM {list :cancels} AS c))
          AND NOT (o.state IN ('waiting', 'attention') AND o.id IN (SELECT p.value FROM {list :passes} AS p)))
        THEN 1 ELSE 0 END,
    CASE WHEN :cancelling THEN
        (SELECT {gather o.id} FROM {list :cancels} AS c {join} operation o ON o.id = c.value
         WHERE o.platform = :platform AND o.service_id = :service_id
           AND o.touched = {false} AND o.state IN ('queued', 'waiting', 'attention')) END
FROM (SELECT 1) AS one LEFT JOIN service s ON s.platform = :platform AND s.service_id = :service_id";

/// Cancels what has begun nothing; what runs is asked to stop at its next step.
pub const CANCEL: &[&str] = &[
    "{won}
     UPDATE operation SET cancel_asked = {true}, updated_at = :now
     FROM {list :ids} AS c
     WHERE operation.id = c.value AND {plain}operation.platform = :platform AND {plain}operation.service_id = :service_id
       AND touched = {false} AND state = 'running'",
    "{won}
     UPDATE operation
     SET state = 'cancelled', active = {false}, next_at = NULL, finished_at = :now, updated_at = :now
     FROM {list :ids} AS c
     WHERE operation.id = c.value AND {plain}operation.platform = :platform AND {plain}operation.service_id = :service_id
       AND touched = {false} AND state IN ('queued', 'waiting', 'attention')",
];

/// The operation, its request, its service, its log row.
pub const STORE: &[&str] = &[
    "{won}
     INSERT INTO operation (
         id, platform, service_id, epoch, seq, hook, action, key, fingerprint, state, touched, doubted, convergent, active,
         provider, server, panel, product, renew_to, library, journal_version, host, attempts, run, cancel_asked,
         expires_at, secrets_state, placement, created_at, updated_at)
     VALUES (
         :id, :platform, :service_id, :epoch, :a, :hook, :action, :key, :fingerprint,
         CASE WHEN :b = 1 THEN 'running' ELSE 'queued' END, :b = 1 AND :touches, {false}, :b = 1 AND :touches, :b = 1,
         :provider, :server, :panel, :product, :renew_to, CASE WHEN :b = 1 THEN :library END,
         CASE WHEN :b = 1 THEN :journal_version ELSE 0 END, CASE WHEN :b = 1 THEN :host END, :b, :b, {false}, :expires_at,
         'none', :placement, :now, :now)",
    "{won}
     INSERT INTO request (operation_id, shown, call) VALUES (:id, {text @shown}, @call)",
    "{won a = 1}
     INSERT INTO service (
         platform, service_id, epoch, version, status, provider, server, panel, product, client_id, username, domain,
         properties, unsettled_ms, created_at, updated_at)
     VALUES (
         :platform, :service_id, :epoch, :a, 'empty', :provider, :server, :panel, :product, :client_id, :username,
         :domain, '{}', 0, :now, :now)
     ON CONFLICT DO NOTHING",
    "{won a > 1}
     UPDATE service
     SET version = :a, updated_at = :now,
         client_id = coalesce(:client_id, client_id),
         username = coalesce(:username, username),
         domain = coalesce(:domain, domain)
     WHERE service.platform = :platform AND service.service_id = :service_id",
    "{won}
     INSERT INTO log (place, platform, service_id, hook, provider, server, state, summary, attempts, started_at)
     VALUES (
         {place :id}, :platform, :service_id, :hook, :provider, :server,
         CASE WHEN :b = 1 THEN 'running' ELSE 'queued' END, :summary, :b, :now)",
    words::GATHER,
];

/// A create decides anew where the service lives; every other hook goes where it is. By these columns services are found, and
/// whatever an update names is taken out of its indexes and put in again.
pub const PLACE: &str = "
{won a > 1}
UPDATE service
SET provider = :provider, server = :server, product = :product,
    panel = CASE WHEN remote_id IS NULL THEN :panel ELSE panel END
WHERE service.platform = :platform AND service.service_id = :service_id";

/// The command.
pub fn command(new: &NewOperation, sealer: &Sealer) -> Result<Command, StoreError> {
    for (name, text) in [
        ("id", Some(&new.id.0)),
        ("platform", Some(&new.service.platform)),
        ("service_id", Some(&new.service.service_id)),
        ("key", new.key.as_ref()),
    ] {
        // In JSON on its way into a column, NUL is not kept: two names would become one.
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(StoreError::Rejected(format!("{name} holds a NUL character")));
        }
    }
    let mut command = Command::default();
    let key = &new.service;
    let passes: &[OperationId] = new.claim.as_ref().map_or(&[], |claim| &claim.passes);
    let call = command.bytes(&seals::call(sealer, &new.id, &new.call)?);
    // Large, and only stored: beside the row, which is read many times.
    let shown = command.bytes(new.shown.as_str().as_bytes());
    let mut row = row!({
        "id": new.id, "platform": key.platform, "service_id": key.service_id, "version": new.service_version,
        "client_id": new.client_id, "username": new.username, "domain": new.domain, "epoch": new.epoch,
        "hook": new.hook, "action": new.action, "key": new.key, "fingerprint": new.fingerprint,
        "provider": new.provider, "server": new.server, "panel": new.panel, "product": new.product,
        "renew_to": new.renew_to, "shown": shown, "call": call, "expires_at": new.expires_at,
        "placement": new.placement.as_ref().map(|placement| json!(placement).to_string()), "most": new.most,
        "claimed": new.claim.is_some(),
        "library": new.claim.as_ref().map(|claim| &claim.library),
        "journal_version": new.claim.as_ref().map_or(0, |claim| claim.journal_version),
        "touches": new.claim.as_ref().is_some_and(|claim| claim.touches),
        "passes": passes, "cancelling": !new.cancels.is_empty(), "cancels": new.cancels, "summary": new.summary, "now": new.now,
    });
    let said = [&new.summary, &key.service_id, &new.product].into_iter();
    let known = [&new.action, &new.key, &new.client_id, &new.username, &new.domain].into_iter().flatten();
    words::add(&mut command, &mut row, &new.id.0, said.chain(known).map(String::as_str));
    command.row(Kind::Accept, row);
    command.makes(&new.id.0);
    if new.hook == Hook::Create {
        let row = row!({
            "platform": key.platform, "service_id": key.service_id, "provider": new.provider, "server": new.server,
            "panel": new.panel, "product": new.product,
        });
        command.row(Kind::AcceptCreate, row);
    }
    if !new.cancels.is_empty() {
        let row = row!({
            "ids": new.cancels, "platform": key.platform, "service_id": key.service_id, "now": new.now,
        });
        command.row(Kind::AcceptCancels, row);
    }
    if !passes.is_empty() {
        command.row(Kind::AcceptPasses, row!({ "id": new.id, "ids": passes, "now": new.now }));
    }
    for id in new.cancels.iter().chain(passes) {
        command.moves(&id.0);
    }
    Ok(command)
}

/// What became of it.
pub fn answer(fate: &Fate) -> Result<Accepted, StoreError> {
    if fate.word != "yes" {
        return Ok(Accepted::Moved);
    }
    let cancelled = fate.detail.as_deref().map(serde_json::from_str::<Vec<OperationId>>).transpose();
    let cancelled = cancelled.map_err(|error| StoreError::Rejected(error.to_string()))?.unwrap_or_default();
    Ok(Accepted::Stored { seq: fate.a, run: (fate.b != 0).then_some(1), cancelled })
}

impl NewOperation {
    /// What [`Store::taken`](super::Store::taken) reads after this was stored as claimed (`seq`, `run`) and decided on `before`,
    /// so that it need not be read.
    pub fn taken(self, seq: u64, run: u64, before: Option<Service>) -> Taken {
        let is_create = self.hook == Hook::Create;
        let service = match before {
            Some(before) => Service {
                version: seq,
                client_id: self.client_id.or(before.client_id),
                username: self.username.or(before.username),
                domain: self.domain.or(before.domain),
                provider: if is_create { self.provider.clone() } else { before.provider },
                server: if is_create { self.server.clone() } else { before.server },
                panel: if is_create && before.remote_id.is_none() { self.panel.clone() } else { before.panel },
                product: if is_create { self.product.clone() } else { before.product },
                updated_at: self.now,
                ..before
            },
            None => Service {
                key: self.service.clone(),
                epoch: self.epoch,
                version: seq,
                status: ServiceStatus::Empty,
                provider: self.provider.clone(),
                server: self.server.clone(),
                panel: self.panel.clone(),
                product: self.product.clone(),
                remote_id: None,
                client_id: self.client_id,
                username: self.username,
                domain: self.domain,
                properties: serde_json::Map::new(),
                secrets: std::collections::BTreeMap::new(),
                paid_until: None,
                ends_at: None,
                poll_at: None,
                pending: None,
                unsettled_ms: 0,
                created_at: self.now,
                updated_at: self.now,
            },
        };
        let claim = self.claim.as_ref();
        let operation = Operation {
            id: self.id,
            service: self.service,
            epoch: self.epoch,
            seq,
            hook: self.hook,
            action: self.action,
            key: self.key,
            fingerprint: self.fingerprint,
            state: State::Running,
            effects: Effects { touched: claim.is_some_and(|claim| claim.touches), doubted: false },
            active: true,
            passed_by: None,
            provider: self.provider,
            server: self.server,
            panel: self.panel,
            product: self.product,
            placement: self.placement,
            renew_to: self.renew_to,
            library: claim.map(|claim| claim.library.clone()),
            journal_version: claim.map_or(0, |claim| claim.journal_version),
            shown: self.shown,
            attempts: 1,
            run,
            next_at: None,
            cancel_asked: false,
            expires_at: self.expires_at,
            fault: None,
            reason: None,
            outcome: None,
            secrets_state: SecretsState::None,
            has_steps: false,
            created_at: self.now,
            updated_at: self.now,
            finished_at: None,
        };
        Taken { operation, call: self.call, service }
    }
}
