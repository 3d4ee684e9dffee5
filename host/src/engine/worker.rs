//! Claims operations when their service's order and their server's lane allow, runs them, and follows what becomes of them.

use super::agenda::{Busy, Errand};
use super::intake::{lines, plugin_service};
use super::{Engine, lock};
use crate::attempt::{self, Conclusion, Subject};
use crate::operation::State;
use crate::order::{self, Claim};
use crate::panel::{Panel, millis};
use crate::store::{ClaimMark, Evidence, Finish, Operation, OperationId, Service, ServiceKey, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};

/// The right to run one attempt: a place on the server and one in the host.
pub(super) struct Permits {
    _server: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

/// How long to leave a service alone after the store failed under it.
const AFTER_STORE_FAILURE: Duration = Duration::from_secs(5);

impl Engine {
    /// Looks at a service again, now.
    pub(super) fn wake(&self, key: &ServiceKey) {
        self.agenda.put(Duration::ZERO, Errand::Advance(key.clone()));
    }

    /// Takes up errands until the engine stops.
    pub(super) async fn work(self: Arc<Self>) {
        while let Some((errand, busy)) = self.agenda.next().await {
            let engine = Arc::clone(&self);
            match errand {
                Errand::Advance(key) => {
                    self.tasks.spawn(async move {
                        engine.advance(key).await;
                        drop(busy);
                    });
                }
                Errand::Poll(key) => {
                    self.tasks.spawn(async move {
                        engine.poll(key).await;
                        drop(busy);
                    });
                }
                Errand::ExpireSecrets => {
                    self.tasks.spawn(async move {
                        engine.expire_secrets().await;
                        drop(busy);
                    });
                }
            }
        }
    }

    /// Runs what may run of a service; a failure of the store is logged and tried again.
    async fn advance(self: Arc<Self>, key: ServiceKey) {
        if self.env.is_stopping() {
            return;
        }
        if let Err(error) = self.try_advance(&key).await {
            tracing::error!(service = %key, error = %error, "the store failed while a service was looked at");
            self.agenda.put(AFTER_STORE_FAILURE, Errand::Advance(key));
        }
    }

    async fn try_advance(self: &Arc<Self>, key: &ServiceKey) -> Result<(), StoreError> {
        let operations = self.env.store.unfinished(key).await?;
        let Some(service) = self.env.store.service(key).await? else { return Ok(()) };
        let lines = lines(&operations);
        let now = self.env.clock.unix_ms();
        for operation in &operations {
            if !matches!(operation.state, State::Queued | State::Waiting) {
                continue;
            }
            let Claim::Now { passes } = order::may_claim(&operation.id.0, &lines) else { continue };
            let due = operation.next_at.unwrap_or(0).saturating_sub(now);
            let due = due.max(self.unsettled_ms(key, &service));
            if due > 0 && !self.take_early(&operation.id) {
                self.agenda.put(Duration::from_millis(due), Errand::Advance(key.clone()));
                continue;
            }
            let passes = passes.into_iter().map(OperationId).collect();
            return self.claim_and_run(operation, passes).await;
        }
        Ok(())
    }

    async fn claim_and_run(
        self: &Arc<Self>,
        operation: &Operation,
        passes: Vec<OperationId>,
    ) -> Result<(), StoreError> {
        let Some(panel) = self.panels.get(&operation.server).cloned() else {
            let reason =
                self.unready.get(&operation.server).cloned().unwrap_or_else(|| "it is not configured".to_owned());
            return self
                .hand_to_person(operation, passes, format!("the server {} cannot be used: {reason}", operation.server))
                .await;
        };
        if panel.identity != operation.panel {
            let reason = format!(
                "this operation is on {}, and the server {} now names {}; nothing was sent",
                operation.panel, panel.name, panel.identity
            );
            return self.hand_to_person(operation, passes, reason).await;
        }
        let provider = &panel.provider;
        if operation.effects.touched
            && operation.library.as_ref().is_some_and(|library| *library != provider.sha256)
            && !provider.manifest.can_continue(operation.journal_version)
        {
            let reason = format!(
                "it was begun by another library of {} (journal version {}), which this one does not continue",
                provider.manifest.name, operation.journal_version
            );
            return self.hand_to_person(operation, passes, reason).await;
        }
        let Some(permits) = self.permits(&panel).await else { return Ok(()) };
        let mark = ClaimMark {
            library: provider.sha256.clone(),
            journal_version: provider.manifest.journal_version,
            touches: provider.touches(operation.hook, operation.action.as_deref()),
            counts: true,
            passes,
        };
        let claimed = self.env.store.claim(&operation.id, operation.run, mark, self.env.clock.unix_ms()).await?;
        if claimed.is_none() {
            // It moved meanwhile; whoever moved it woke the service.
            return Ok(());
        }
        self.run_claimed(operation.id.clone(), panel, permits).await;
        Ok(())
    }

    /// Claims it only to say durably that a person must decide.
    async fn hand_to_person(
        &self,
        operation: &Operation,
        passes: Vec<OperationId>,
        reason: String,
    ) -> Result<(), StoreError> {
        let now = self.env.clock.unix_ms();
        let mark = ClaimMark {
            library: operation.library.clone().unwrap_or_default(),
            journal_version: operation.journal_version,
            touches: false,
            counts: false,
            passes,
        };
        let Some(run) = self.env.store.claim(&operation.id, operation.run, mark, now).await? else { return Ok(()) };
        let finish = Finish {
            id: operation.id.clone(),
            run,
            state: State::Attention,
            next_at: None,
            attempts: operation.attempts,
            effects: operation.effects,
            fault: operation.fault.clone(),
            summary: format!("{}: needs attention: {reason}", operation.hook),
            reason: Some(reason),
            outcome: None,
            secrets: std::collections::BTreeMap::new(),
            service: None,
            end_passed: None,
            now,
        };
        if self.env.store.finish(finish, Evidence::default()).await? {
            self.env.metrics.operation(operation.hook, &operation.provider, State::Attention);
        }
        self.changed(&operation.id);
        self.wake(&operation.service);
        Ok(())
    }

    /// Runs an operation that was claimed on acceptance.
    pub(super) fn spawn_claimed(self: &Arc<Self>, id: OperationId, panel: Arc<Panel>, permits: Permits) {
        let engine = Arc::clone(self);
        let busy = Busy::begin(&self.activity);
        self.tasks.spawn(async move {
            engine.run_claimed(id, panel, permits).await;
            drop(busy);
        });
    }

    async fn run_claimed(self: &Arc<Self>, id: OperationId, panel: Arc<Panel>, permits: Permits) {
        let conclusion = match self.attempt(&id, &panel).await {
            Ok(conclusion) => conclusion,
            Err(error) => {
                tracing::error!(operation.id = %id, error = %error, "the store failed before an attempt");
                Conclusion::Void
            }
        };
        drop(permits);
        self.follow(&id, conclusion).await;
    }

    async fn attempt(&self, id: &OperationId, panel: &Arc<Panel>) -> Result<Conclusion, StoreError> {
        let store = &self.env.store;
        let Some(operation) = store.operation(id).await? else { return Ok(Conclusion::Void) };
        let Some(mut call) = store.call(id).await? else { return Ok(Conclusion::Void) };
        let Some(service) = store.service(&operation.service).await? else { return Ok(Conclusion::Void) };
        // What the platform said of the service holds for this hook; what the host knows of it is read anew.
        let mut view = plugin_service(&operation.service, Some(&service), operation.epoch);
        if let Some(said) = call.service.take() {
            view.client_id = said.client_id.or(view.client_id);
            view.username = said.username.or(view.username);
            view.domain = said.domain.or(view.domain);
        }
        call.service = Some(view);
        let journal = if operation.run > 1 { store.journal(id).await? } else { Vec::new() };
        let subject = Subject::Operation { operation: Box::new(operation), service: Box::new(service), journal };
        Ok(attempt::run(&self.env, panel, subject, &call, self.config.attempt.deadline).await)
    }

    /// Follows what became of an attempt: the service goes on, those who wait hear of it.
    async fn follow(self: &Arc<Self>, id: &OperationId, conclusion: Conclusion) {
        let Ok(Some(operation)) = self.env.store.operation(id).await else { return };
        let key = operation.service.clone();
        match conclusion {
            Conclusion::Operation { state, after_ms, unsettled, released, blocked_on } => {
                if unsettled && let Some(panel) = self.panels.get(&operation.server) {
                    let until = self.env.clock.monotonic().saturating_add(Duration::from_millis(panel.settle_ms()));
                    lock(&self.unsettled).insert(key.clone(), until);
                }
                if let Some(scope) = blocked_on {
                    lock(&self.blocked).entry(scope.clone()).or_default().push(key.clone());
                    // It may have been given back between the look and now.
                    if let Ok((_, None)) = self.env.store.scope(&scope).await {
                        self.unblock(&scope).await;
                    }
                }
                for scope in released {
                    self.unblock(&scope).await;
                }
                self.changed(id);
                match (state, after_ms) {
                    (State::Waiting, Some(after_ms)) => {
                        self.agenda.put(Duration::from_millis(after_ms), Errand::Advance(key.clone()));
                        // Something may be allowed to pass it.
                        self.wake(&key);
                    }
                    _ => self.wake(&key),
                }
                if state.is_final() {
                    self.schedule_poll(&key).await;
                }
            }
            Conclusion::Void => {
                self.changed(id);
                self.agenda.put(AFTER_STORE_FAILURE, Errand::Advance(key));
            }
            Conclusion::Reading { .. } => {}
        }
    }

    /// Wakes the operations that wait for this scope.
    pub(super) async fn unblock(&self, scope: &str) {
        let keys = lock(&self.blocked).remove(scope).unwrap_or_default();
        for key in keys {
            if let Ok(operations) = self.env.store.unfinished(&key).await {
                for operation in operations.iter().filter(|operation| operation.state == State::Waiting) {
                    lock(&self.early).insert(operation.id.clone());
                }
            }
            self.wake(&key);
        }
    }

    /// Whether the operation may run before its time, once.
    fn take_early(&self, id: &OperationId) -> bool {
        lock(&self.early).remove(id)
    }

    /// Whether no settle time of the service is running.
    pub(super) fn is_settled(&self, key: &ServiceKey, service: Option<&Service>) -> bool {
        service.is_none_or(|service| self.unsettled_ms(key, service) == 0)
    }

    /// Milliseconds for which the service must be left alone, counted only while this host was there.
    fn unsettled_ms(&self, key: &ServiceKey, service: &Service) -> u64 {
        if service.unsettled_ms == 0 {
            return 0;
        }
        let until = lock(&self.unsettled).get(key).copied();
        let until =
            until.unwrap_or_else(|| self.env.started.saturating_add(Duration::from_millis(service.unsettled_ms)));
        millis(until.saturating_sub(self.env.clock.monotonic()))
    }

    /// Places for one attempt, if both are free now.
    pub(super) fn try_permits(&self, panel: &Panel) -> Option<Permits> {
        let taken = |result: Result<OwnedSemaphorePermit, TryAcquireError>| result.ok();
        let server = taken(Arc::clone(&panel.permits).try_acquire_owned())?;
        let host = taken(Arc::clone(&self.permits).try_acquire_owned())?;
        Some(Permits { _server: server, _host: host })
    }

    /// Places for one attempt, in turn; `None` when the host is going down. The server's first, so that one slow panel
    /// keeps no place of the host while it waits.
    pub(super) async fn permits(&self, panel: &Panel) -> Option<Permits> {
        let server = Arc::clone(&panel.permits).acquire_owned().await.ok()?;
        let host = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        (!self.env.is_stopping()).then_some(Permits { _server: server, _host: host })
    }

    async fn expire_secrets(&self) {
        let now = self.env.clock.unix_ms();
        let older_than = now.saturating_sub(millis(self.config.secrets.keep));
        match self.env.store.expire_secrets(older_than, now).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "dropped secrets that nobody acknowledged"),
            Err(error) => tracing::error!(error = %error, "old secrets could not be dropped"),
        }
        self.agenda.put(Duration::from_secs(3_600), Errand::ExpireSecrets);
    }
}
