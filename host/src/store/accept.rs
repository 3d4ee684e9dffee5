//! A hook becomes an operation.

use super::batch::{Command, Guard};
use super::kind::Kind;
use super::model::{Accepted, NewOperation, Operation, OperationId, SecretsState, Service, ServiceStatus, Taken};
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
WITH {r}, judged AS MATERIALIZED (
    SELECT v, s.version,
        CASE WHEN s.version IS NOT v ->> 'version' THEN 'moved'
             WHEN EXISTS (SELECT 1 FROM operation k WHERE k.platform = v ->> 'platform' AND k.key = v ->> 'key') THEN 'moved'
             WHEN v ->> 'most' IS NOT NULL AND {load} >= v ->> 'most' THEN 'moved'
             ELSE 'yes' END AS word
    FROM r LEFT JOIN service s ON s.platform = v ->> 'platform' AND s.service_id = v ->> 'service_id')
SELECT {kind}, v ->> 'n', word, coalesce(version, 0) + 1,
    word = 'yes' AND v ->> 'claimed' AND NOT EXISTS (
        SELECT 1 FROM operation o
        WHERE o.platform = v ->> 'platform' AND o.service_id = v ->> 'service_id'
          AND o.state IN ('queued', 'running', 'waiting', 'attention')
          AND NOT (o.touched = 0 AND o.state <> 'running' AND o.id IN (SELECT value FROM json_each(v, '$.cancels')))
          AND NOT (o.state IN ('waiting', 'attention') AND o.id IN (SELECT value FROM json_each(v, '$.passes')))),
    (SELECT json_group_array(o.id) FROM json_each(v, '$.cancels') AS c CROSS JOIN operation o ON o.id = c.value
     WHERE o.platform = v ->> 'platform' AND o.service_id = v ->> 'service_id'
       AND o.touched = 0 AND o.state IN ('queued', 'waiting', 'attention'))
FROM judged
WHERE true
{answer}";

/// Cancels what has begun nothing; what runs is asked to stop at its next step.
pub const CANCEL: &[&str] = &[
    "WITH {won}
     UPDATE operation SET cancel_asked = 1, updated_at = v ->> 'now'
     FROM won, json_each(v, '$.ids') AS c
     WHERE operation.id = c.value AND +operation.platform = v ->> 'platform' AND +operation.service_id = v ->> 'service_id'
       AND touched = 0 AND state = 'running'",
    "WITH {won}
     UPDATE operation
     SET state = 'cancelled', active = 0, next_at = NULL, finished_at = v ->> 'now', updated_at = v ->> 'now'
     FROM won, json_each(v, '$.ids') AS c
     WHERE operation.id = c.value AND +operation.platform = v ->> 'platform' AND +operation.service_id = v ->> 'service_id'
       AND touched = 0 AND state IN ('queued', 'waiting', 'attention')",
];

/// The operation, its request, its service, its log row.
pub const STORE: &[&str] = &[
    "INSERT INTO operation (
         id, platform, service_id, epoch, seq, hook, action, key, fingerprint, state, touched, doubted, convergent, active,
         provider, server, panel, product, renew_to, library, journal_version, host, attempts, run, cancel_asked,
         expires_at, secrets_state, placement, created_at, updated_at)
     WITH {won}
     SELECT v ->> 'id', v ->> 'platform', v ->> 'service_id', v ->> 'epoch', a, v ->> 'hook', v ->> 'action', v ->> 'key',
         v ->> 'fingerprint', iif(b, 'running', 'queued'), b AND v ->> 'touches', 0, b AND v ->> 'touches', b,
         v ->> 'provider', v ->> 'server', v ->> 'panel', v ->> 'product', v ->> 'renew_to', iif(b, v ->> 'library', NULL),
         iif(b, v ->> 'journal_version', 0), iif(b, $2, NULL), b, b, 0, v ->> 'expires_at', 'none',
         v ->> 'placement', v ->> 'now', v ->> 'now'
     FROM won",
    "INSERT INTO request (operation_id, shown, call)
     WITH {won}
     SELECT v ->> 'id', CAST(substr($1, (v ->> 'b') + (v ->> '$.shown[0]') + 1, v ->> '$.shown[1]') AS TEXT),
         substr($1, (v ->> 'b') + (v ->> '$.call[0]') + 1, v ->> '$.call[1]') FROM won",
    "INSERT INTO service (
         platform, service_id, epoch, version, status, provider, server, panel, product, client_id, username, domain,
         properties, unsettled_ms, created_at, updated_at)
     WITH {won}
     SELECT v ->> 'platform', v ->> 'service_id', v ->> 'epoch', a, 'empty', v ->> 'provider', v ->> 'server', v ->> 'panel',
         v ->> 'product', v ->> 'client_id', v ->> 'username', v ->> 'domain', '{}', 0, v ->> 'now', v ->> 'now'
     FROM won WHERE a = 1
     ON CONFLICT DO NOTHING",
    // A create decides anew where the service lives; every other hook goes where it is.
    "WITH {won}
     UPDATE service
     SET version = a, updated_at = v ->> 'now',
         client_id = coalesce(v ->> 'client_id', client_id),
         username = coalesce(v ->> 'username', username),
         domain = coalesce(v ->> 'domain', domain),
         provider = iif(v ->> 'hook' = 'create', v ->> 'provider', provider),
         server = iif(v ->> 'hook' = 'create', v ->> 'server', server),
         panel = iif(v ->> 'hook' = 'create' AND remote_id IS NULL, v ->> 'panel', panel),
         product = iif(v ->> 'hook' = 'create', v ->> 'product', product)
     FROM won
     WHERE a > 1 AND service.platform = v ->> 'platform' AND service.service_id = v ->> 'service_id'",
    "INSERT INTO log (place, platform, service_id, hook, provider, server, state, summary, attempts, started_at)
     WITH {won}
     SELECT {place id}, v ->> 'platform', v ->> 'service_id', v ->> 'hook', v ->> 'provider', v ->> 'server',
         iif(b, 'running', 'queued'), v ->> 'summary', b, v ->> 'now'
     FROM won",
    words::GATHER,
];

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
    command.guard(Guard::Service(key.platform.clone(), key.service_id.clone()));
    if new.most.is_some() {
        command.guard(Guard::Load(new.server.clone()));
    }
    if let Some(event) = &new.key {
        command.guard(Guard::Key(key.platform.clone(), event.clone()));
    }
    let passes: &[OperationId] = new.claim.as_ref().map_or(&[], |claim| &claim.passes);
    let call = command.bytes(&seals::call(sealer, &new.id, &new.call)?);
    // Large, and only stored: beside the row, which is read many times.
    let shown = command.bytes(new.shown.to_string().as_bytes());
    let mut row = json!({
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
        "passes": passes, "cancels": new.cancels, "summary": new.summary, "now": new.now,
    });
    let said = [&new.summary, &key.service_id, &new.product].into_iter();
    let known = [&new.action, &new.key, &new.client_id, &new.username, &new.domain].into_iter().flatten();
    words::add(&mut command, &mut row, &new.id.0, said.chain(known).map(String::as_str));
    command.row(Kind::Accept, &row);
    command.makes(&new.id.0);
    if !new.cancels.is_empty() {
        let row = json!({
            "ids": new.cancels, "platform": key.platform, "service_id": key.service_id, "now": new.now,
        });
        command.row(Kind::AcceptCancels, &row);
    }
    if !passes.is_empty() {
        command.row(Kind::AcceptPasses, &json!({ "id": new.id, "ids": passes, "now": new.now }));
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
