//! Reads that follow something pending: accepted work of staff, a delayed delete.

use super::Engine;
use super::agenda::Errand;
use crate::panel::millis;
use crate::request::{HookBody, ServiceBody};
use crate::store::{Service, ServiceChange, ServiceKey, ServiceStatus};
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Hook, ServiceState};
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Puts the service's next poll on the agenda.
    pub(super) async fn schedule_poll(&self, key: &ServiceKey) {
        if let Ok(Some(Service { poll_at: Some(at), .. })) = self.env.store.service(key).await {
            self.poll_at(key.clone(), at);
        }
    }

    /// Puts a poll on the agenda for then, Unix milliseconds.
    pub(super) fn poll_at(&self, key: ServiceKey, at: u64) {
        let after = self.env.times.poll_in(&key, at);
        self.agenda.put(Duration::from_millis(after), Errand::Poll(key));
    }

    pub(super) async fn poll(self: Arc<Self>, key: ServiceKey) {
        let now = self.env.clock.unix_ms();
        let Ok(Some(service)) = self.env.store.service(&key).await else { return };
        let Some(at) = service.poll_at else { return };
        let left = self.env.times.poll_in(&key, at);
        if left > 0 {
            // Put off since this errand was written down.
            self.agenda.put(Duration::from_millis(left), Errand::Poll(key));
            return;
        }
        self.env.times.polled(&key);
        match self.takes_poll(&key, at, now.saturating_add(millis(self.config().attempt.pending_poll))).await {
            Ok(true) => {}
            Ok(false) => return self.schedule_poll(&key).await,
            Err(error) => {
                tracing::error!(service = %key, error = %error, "a poll could not be taken");
                return self.agenda.put(self.config().attempt.pending_poll, Errand::Poll(key));
            }
        }
        let body = HookBody {
            service: Some(ServiceBody { id: key.service_id.clone(), ..ServiceBody::default() }),
            ..HookBody::default()
        };
        let next = now.saturating_add(millis(self.config().attempt.pending_poll));
        let why = match &service.pending {
            Some(_) => "looked for what is pending".to_owned(),
            None => format!("looked, since the service is {}", service.status.as_str()),
        };
        let change = match self.read_because(&key.platform, Hook::Status, body, Some(why)).await {
            Ok(answer) => seen(&service, &answer.outcome, next),
            // The panel may be away; the poll goes on.
            Err(_) => ServiceChange { poll_at: Some(Some(next)), ..ServiceChange::default() },
        };
        let now = self.env.clock.unix_ms();
        match self.env.store.change_service(&key, service.epoch, change, now).await {
            Ok(_) => self.schedule_poll(&key).await,
            Err(error) => {
                tracing::error!(service = %key, error = %error, "what a poll saw could not be stored");
                self.agenda.put(self.config().attempt.pending_poll, Errand::Poll(key));
            }
        }
    }
}

/// What a poll's reading means for the service. Pure.
fn seen(service: &Service, outcome: &Outcome, next: u64) -> ServiceChange {
    let again = ServiceChange { poll_at: Some(Some(next)), ..ServiceChange::default() };
    match outcome.state {
        Some(ServiceState::Terminated) if service.status == ServiceStatus::Ending => ServiceChange {
            gone: true,
            status: Some(ServiceStatus::Terminated),
            poll_at: Some(None),
            pending: Some(None),
            ..ServiceChange::default()
        },
        // Until it is gone it is looked at.
        _ if service.status == ServiceStatus::Ending => again,
        _ if outcome.pending.is_some() => ServiceChange { pending: Some(outcome.pending.clone()), ..again },
        Some(state) => ServiceChange {
            status: match state {
                ServiceState::Active => Some(ServiceStatus::Active),
                ServiceState::Suspended => Some(ServiceStatus::Suspended),
                _ => None,
            },
            poll_at: Some(None),
            pending: Some(None),
            ..ServiceChange::default()
        },
        None => again,
    }
}
