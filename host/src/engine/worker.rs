//! Claims operations when their service's order and their server's lane allow, runs them, and follows what becomes of them.

use super::agenda::{Busy, Errand};
use super::intake::plugin_service;
use super::lanes::{Permits, Signal, Signals};
use super::{Engine, lock};
use crate::attempt::{self, Conclusion, Subject};
use crate::operation::State;
use crate::order::{self, Claim};
use crate::panel::{Panel, millis};
use crate::store::{
    ClaimMark, Evidence, Finish, Finished, Operation, OperationId, Service, ServiceKey, StoreError, Taken, Traveller,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How long to leave a service alone after the store failed under it.
pub(super) const AFTER_STORE_FAILURE: Duration = Duration::from_secs(5);

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
                    let look = Arc::clone(&self.looking).acquire_owned().await.ok();
                    self.tasks.spawn(async move {
                        engine.advance(key, None, look).await;
                        drop(busy);
                    });
                }
                Errand::Poll(key) => {
                    self.tasks.spawn(async move {
                        engine.poll(key).await;
                        drop(busy);
                    });
                }
                Errand::Reclaim(id, run, key) => {
                    self.tasks.spawn(async move {
                        engine.reclaim(id, run, key).await;
                        drop(busy);
                    });
                }
                Errand::ExpireSecrets => {
                    self.tasks.spawn(async move {
                        engine.expire_secrets().await;
                        drop(busy);
                    });
                }
                Errand::KeepBounds => {
                    self.tasks.spawn(async move {
                        engine.keep_bounds().await;
                        drop(busy);
                    });
                }
                Errand::LookAtLanes => {
                    self.lanes.look();
                    drop(busy);
                }
            }
        }
    }

    /// Does what the lanes ask for, until they are closed.
    pub(super) async fn follow_lanes(self: Arc<Self>, mut signals: Signals) {
        while let Some((signal, busy)) = signals.recv().await {
            match signal {
                Signal::Go(key, permits) => {
                    let engine = Arc::clone(&self);
                    self.tasks.spawn(async move {
                        engine.advance(key, Some(permits), None).await;
                        drop(busy);
                    });
                }
                Signal::LookAt(at) => {
                    let after = at.saturating_sub(self.env.clock.monotonic());
                    self.agenda.put(after, Errand::LookAtLanes);
                    drop(busy);
                }
            }
        }
    }

    /// Runs what may run of a service, on the place that it waited for, if it did; a failure of the store is logged and
    /// tried again.
    async fn advance(self: Arc<Self>, key: ServiceKey, permits: Option<Permits>, look: Option<OwnedSemaphorePermit>) {
        if self.env.is_stopping() {
            return;
        }
        if let Err(error) = self.try_advance(&key, permits, look).await {
            tracing::error!(service = %key, error = %error, "the store failed while a service was looked at");
            self.agenda.put(AFTER_STORE_FAILURE, Errand::Advance(key));
        }
    }

    async fn try_advance(
        self: &Arc<Self>,
        key: &ServiceKey,
        permits: Option<Permits>,
        look: Option<OwnedSemaphorePermit>,
    ) -> Result<(), StoreError> {
        let Some(front) = self.env.store.front(key).await? else {
            self.lanes.withdraw(key);
            return Ok(());
        };
        let lines: Vec<order::Line> = front.operations.iter().map(line).collect();
        for operation in &front.operations {
            if !matches!(operation.state, State::Queued | State::Waiting) {
                continue;
            }
            let Claim::Now { passes } = order::may_claim(&operation.id.0, &lines) else { continue };
            // The first look at it, however long it then has to wait for its place.
            self.env.times.age_ms(operation);
            let due =
                self.env.times.due_in(operation).max(self.unsettled_ms(key, front.unsettled_ms, front.updated_at));
            if due > 0 && !self.take_early(&operation.id) {
                self.agenda.put(Duration::from_millis(due), Errand::Advance(key.clone()));
                continue;
            }
            let passes = passes.into_iter().map(OperationId).collect();
            return self.claim_and_run(operation, passes, permits, look).await;
        }
        self.lanes.withdraw(key);
        Ok(())
    }

    async fn claim_and_run(
        self: &Arc<Self>,
        operation: &Operation,
        passes: Vec<OperationId>,
        permits: Option<Permits>,
        look: Option<OwnedSemaphorePermit>,
    ) -> Result<(), StoreError> {
        let panel = match self.panel_for(operation).await {
            Ok(panel) => panel,
            Err(reason) => return self.hand_to_person(operation, passes, reason).await,
        };
        let provider = &panel.provider;
        let enter = || self.lanes.enter(&panel.name, operation.hook, &operation.id.0, &operation.service);
        let Some(permits) = permits.filter(|permits| permits.is_on(&panel.name)).or_else(enter) else {
            // In line now. If it may run before its time, that holds for when its turn comes.
            if self.env.times.due_in(operation) > 0 {
                lock(&self.early).insert(operation.id.clone());
            }
            return Ok(());
        };
        let mark = ClaimMark {
            library: provider.sha256.clone(),
            journal_version: provider.manifest.journal_version,
            touches: provider.touches(operation.hook, operation.action.as_deref()),
            counts: true,
            passes,
        };
        let traveller = self.env.store.enter();
        let claimed = {
            let _parked = traveller.park();
            self.env.store.claim(&operation.id, operation.run, mark, self.env.clock.unix_ms()).await?
        };
        if claimed.is_none() {
            // It moved meanwhile; whoever moved it woke the service.
            return Ok(());
        }
        let taken = match self.env.store.taken(&operation.id).await {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(()),
            Err(error) => {
                // It stands there as running.
                if let Some(run) = claimed {
                    let errand = Errand::Reclaim(operation.id.clone(), run, operation.service.clone());
                    self.agenda.put(AFTER_STORE_FAILURE, errand);
                }
                return Err(error);
            }
        };
        // From here on it has a place, of which there are not too many.
        drop(look);
        self.run_claimed(taken, panel, permits, traveller).await;
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
            has_steps: operation.has_steps,
            placement: None,
            moves: None,
            end_passed: None,
            now,
        };
        if matches!(self.env.store.finish(finish, Evidence::default()).await?, Finished::Stored { .. }) {
            self.env.metrics.operation(operation.hook, &operation.provider, State::Attention);
        }
        self.changed(&operation.id);
        self.wake(&operation.service);
        Ok(())
    }

    /// Runs an operation that was claimed on acceptance.
    pub(super) fn spawn_claimed(self: &Arc<Self>, taken: Taken, panel: Arc<Panel>, permits: Permits) {
        let engine = Arc::clone(self);
        let busy = Busy::begin(&self.activity);
        let traveller = self.env.store.enter();
        // Ten kilobytes, which the runtime would move about with its task, and once more when it is over.
        let work = Box::pin(async move { engine.run_claimed(taken, panel, permits, traveller).await });
        self.tasks.spawn(async move {
            work.await;
            drop(busy);
        });
    }

    async fn run_claimed(self: &Arc<Self>, taken: Taken, panel: Arc<Panel>, permits: Permits, traveller: Traveller) {
        let (id, key) = (taken.operation.id.clone(), taken.operation.service.clone());
        let run = taken.operation.run;
        let conclusion = match self.attempt(taken, &panel, traveller).await {
            Ok(conclusion) => conclusion,
            Err(error) => {
                tracing::error!(operation.id = %id, error = %error, "the store failed before an attempt");
                Conclusion::Void
            }
        };
        drop(permits);
        self.follow(&id, run, key, &panel, conclusion).await;
    }

    async fn attempt(&self, taken: Taken, panel: &Arc<Panel>, traveller: Traveller) -> Result<Conclusion, StoreError> {
        let Taken { operation, mut call, service } = taken;
        // What the platform said of the service holds for this hook; what the host knows of it is read anew.
        let mut view = plugin_service(&operation.service, Some(&service), operation.epoch);
        if let Some(said) = call.service.take() {
            view.client_id = said.client_id.or(view.client_id);
            view.username = said.username.or(view.username);
            view.domain = said.domain.or(view.domain);
        }
        call.service = Some(view);
        let journal = if operation.has_steps { self.env.store.journal(&operation.id).await? } else { Vec::new() };
        let placing = self.placing(&operation, &service, &journal).await?;
        let subject =
            Subject::Operation { operation: Box::new(operation), service: Box::new(service), journal, placing };
        let deadline = self.config().attempt.deadline;
        Ok(attempt::run(&self.env, panel, subject, &call, deadline, Some(traveller)).await)
    }

    /// Follows what became of an attempt on the panel: the service goes on, those who wait hear of it.
    async fn follow(
        self: &Arc<Self>,
        id: &OperationId,
        run: u64,
        key: ServiceKey,
        panel: &Panel,
        conclusion: Conclusion,
    ) {
        match conclusion {
            Conclusion::Operation { state, last, others, after_ms, poll_at, unsettled, released, blocked_on } => {
                if unsettled {
                    let until = self.env.clock.monotonic().saturating_add(Duration::from_millis(panel.settle_ms()));
                    lock(&self.unsettled).insert(key.clone(), (None, until));
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
                match last {
                    Some(last) => self.ended(id, last),
                    None => self.changed(id),
                }
                match (state, after_ms) {
                    (State::Waiting, Some(after_ms)) => {
                        self.agenda.put(Duration::from_millis(after_ms), Errand::Advance(key.clone()));
                        // Something may be allowed to pass it.
                        self.wake(&key);
                    }
                    // Nothing waits for it; what comes from now on looks for itself.
                    _ if state.is_final() && !others => {}
                    _ => self.wake(&key),
                }
                if let Some(at) = poll_at {
                    self.poll_at(key, at);
                }
            }
            Conclusion::Void => {
                self.changed(id);
                self.agenda.put(AFTER_STORE_FAILURE, Errand::Reclaim(id.clone(), run, key));
            }
            Conclusion::Reading { .. } => {}
        }
    }

    /// Wakes the operations that wait for this scope.
    pub(super) async fn unblock(&self, scope: &str) {
        let keys = lock(&self.blocked).remove(scope).unwrap_or_default();
        for key in keys {
            if let Ok(Some(front)) = self.env.store.front(&key).await {
                for operation in front.operations.into_iter().filter(|operation| operation.state == State::Waiting) {
                    lock(&self.early).insert(operation.id);
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
        service.is_none_or(|service| self.unsettled_ms(key, service.unsettled_ms, service.updated_at) == 0)
    }

    /// Milliseconds for which the service must be left alone, counted only while this host was there.
    fn unsettled_ms(&self, key: &ServiceKey, stored_ms: u64, updated_at: u64) -> u64 {
        if stored_ms == 0 {
            return 0;
        }
        let now = self.env.clock.monotonic();
        let mut unsettled = lock(&self.unsettled);
        let until = match unsettled.get(key) {
            None if !self.has_company() => self.env.started.saturating_add(Duration::from_millis(stored_ms)),
            Some((_, until)) if !self.has_company() => *until,
            Some((Some(seen), until)) if *seen == updated_at => *until,
            // Another host may have written it a moment ago: it counts from the first look.
            _ => {
                let until = now.saturating_add(Duration::from_millis(stored_ms));
                unsettled.insert(key.clone(), (Some(updated_at), until));
                until
            }
        };
        millis(until.saturating_sub(now))
    }

    async fn expire_secrets(&self) {
        if !self.is_first() {
            return self.agenda.put(Duration::from_secs(3_600), Errand::ExpireSecrets);
        }
        let now = self.env.clock.unix_ms();
        let older_than = now.saturating_sub(millis(self.config().secrets.keep));
        match self.env.store.expire_secrets(older_than, now).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "dropped secrets that nobody acknowledged"),
            Err(error) => tracing::error!(error = %error, "old secrets could not be dropped"),
        }
        self.agenda.put(Duration::from_secs(3_600), Errand::ExpireSecrets);
    }
}

fn line(operation: &Operation) -> order::Line {
    order::Line {
        id: operation.id.0.clone(),
        seq: operation.seq,
        hook: operation.hook,
        state: operation.state,
        effects: operation.effects,
    }
}
