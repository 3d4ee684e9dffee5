//! Which server of a group takes a create: what is known of the servers, brought together for the choice.

use super::{Engine, InForce, unavailable};
use crate::attempt::Placing;
use crate::config::{GroupConfig, Place};
use crate::journal::{self, Entry};
use crate::lane::Held;
use crate::placement::{self, Candidate, Fill, Placement, Standing};
use crate::problem::{Problem, ProblemType};
use crate::request::HookBody;
use crate::store::{Operation, OperationId, Service, StoreError};
use billhook_plugin_api::Hook;

/// A server that was chosen for a create.
pub(super) struct Chosen {
    pub server: String,
    pub placement: Placement,
    /// The server's `capacity`, to be held when the operation is stored.
    pub most: Option<u64>,
}

impl Engine {
    /// Chooses a server for a create of a product that is sold in a group; `None` where there is nothing to choose.
    pub(super) async fn choose(
        &self,
        hook: Hook,
        body: &HookBody,
        service: Option<&Service>,
    ) -> Result<Option<Chosen>, Problem> {
        let is_bound = service.is_some_and(|service| service.remote_id.is_some());
        let (Hook::Create, Some(product), false) = (hook, &body.product, is_bound) else { return Ok(None) };
        let in_force = self.in_force();
        let Some(Place::Group(name)) = in_force.config.products.get(&product.id).map(|product| &product.place) else {
            return Ok(None);
        };
        let Some(group) = in_force.config.groups.get(name) else { return Ok(None) };
        let candidates = self.candidates(&in_force, group, None).await.map_err(unavailable)?;
        let choice = placement::choose(group.fill, &candidates);
        if let Some(server) = choice.server {
            let most = candidates.iter().find(|one| one.server == server).and_then(|one| one.capacity);
            let placement = Placement { group: name.clone(), passed: choice.passed, exhausted: false };
            return Ok(Some(Chosen { server, placement, most }));
        }
        // No order is turned away for what may pass: it waits where it can go on soonest, and then all are asked again.
        let Some(place) = placement::waiting_place(group.fill, &candidates) else {
            let reasons = choice.passed.iter().map(|one| format!("{}: {}", one.server, one.reason));
            let text = format!("no server of the group {name} is ready: {}", reasons.collect::<Vec<_>>().join("; "));
            return Err(Problem::new(ProblemType::NotConfigured, text).remedy("run `billhook check`"));
        };
        let placement = Placement { group: name.clone(), passed: choice.passed, exhausted: true };
        Ok(Some(Chosen { server: place.server.clone(), placement, most: None }))
    }

    /// The choice of a create that is about to be attempted, if it may still change.
    pub(super) async fn placing(
        &self,
        operation: &Operation,
        service: &Service,
        journal: &[Entry],
    ) -> Result<Option<Box<Placing>>, StoreError> {
        let Some(placement) = operation.placement.clone().filter(|_| operation.hook == Hook::Create) else {
            return Ok(None);
        };
        if operation.effects.touched || service.remote_id.is_some() || !journal::is_movable(journal) {
            return Ok(None);
        }
        let in_force = self.in_force();
        // Of a group that is not there any more the operation's server is left.
        let group = in_force.config.groups.get(&placement.group);
        let fill = group.map_or(Fill::FillFirst, |group| group.fill);
        let mut others = Vec::new();
        if let Some(group) = group {
            for candidate in self.candidates(&in_force, group, Some(&operation.id)).await? {
                let config = in_force.config.servers.get(&candidate.server);
                let is_alike = config.is_some_and(|server| server.provider == operation.provider);
                if candidate.server != operation.server && is_alike {
                    // One that is not ready has no panel to go to, and its reason is to be told all the same.
                    let panel = in_force.panels.get(&candidate.server);
                    let identity = panel.map(|panel| panel.identity.clone()).unwrap_or_default();
                    others.push((candidate, identity));
                }
            }
        }
        let full = self.full(&in_force, operation).await?;
        Ok(Some(Box::new(Placing { placement, fill, others, full })))
    }

    /// Why the operation's server is full by its own `capacity`: with those that came before, and without those that came after.
    async fn full(&self, in_force: &InForce, operation: &Operation) -> Result<Option<String>, StoreError> {
        let server = &operation.server;
        let Some(most) = in_force.config.servers.get(server).and_then(|server| server.capacity) else {
            return Ok(None);
        };
        let loads = self.env.store.loads(std::slice::from_ref(server), Some(&operation.id)).await?;
        let before = loads.get(server).copied().unwrap_or_default().before;
        Ok((before >= u64::from(most)).then(|| placement::full_text(before, most.into())))
    }

    /// The servers of a group in its order, as they are known now.
    async fn candidates(
        &self,
        in_force: &InForce,
        group: &GroupConfig,
        asking: Option<&OperationId>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let loads = self.env.store.loads(&group.servers, asking).await?;
        let candidate = |server: &String| Candidate {
            server: server.clone(),
            services: loads.get(server).copied().unwrap_or_default().services,
            capacity: in_force.config.servers.get(server).and_then(|server| server.capacity).map(u64::from),
            standing: self.standing(in_force, server),
        };
        Ok(group.servers.iter().map(candidate).collect())
    }

    fn standing(&self, in_force: &InForce, server: &str) -> Standing {
        if !in_force.panels.contains_key(server) {
            let reason = in_force.unready.get(server).map_or("it is not configured", String::as_str);
            return Standing::Unready(format!("it is not ready: {reason}"));
        }
        match self.lanes.held(server) {
            None => Standing::Ready,
            // Who paused it is for admins.
            Some(Held::Paused(_)) => Standing::Held("it is paused".to_owned()),
            Some(Held::Recovering) => {
                Standing::Held("the store is a restored copy, and holds all changes back".to_owned())
            }
            Some(Held::Unreachable(_)) => Standing::Held("it does not answer and is left alone".to_owned()),
        }
    }
}
