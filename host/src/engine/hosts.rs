//! Other hosts on the same store: what they have done is seen here, and what they leave behind is taken up.
//!
//! Notices make it quick and are not relied upon: a look every second finds what they did not tell.

use super::agenda::Errand;
use super::{Engine, lock, unavailable};
use crate::problem::{Problem, ProblemType};
use crate::store::{EndSaid, Heard, HostEnd, HostFacts, HostWork, OperationId, ServiceKey, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

/// What is due and what is to be polled, at one look.
const PAGE: u32 = 200;

/// So often a host writes before it asks what has grown.
const MANY_COMMITS: u64 = 100;

/// What is known of the other hosts.
#[derive(Default)]
pub(super) struct Company {
    /// Ended, and all that they were running is taken up.
    taken_up: BTreeSet<String>,
    /// How far the look for what is due has come.
    page: (i64, String),
    /// How often this host had written when the server last looked at what grew.
    commits: u64,
}

impl Engine {
    /// Keeps company with other hosts until the engine stops.
    pub(super) async fn keep_company(self: Arc<Self>, mut elsewhere: Receiver<Arc<Option<Heard>>>) {
        let mut ticks = tokio::time::interval(self.env.store.poll());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut company = Company::default();
        while !self.env.is_stopping() {
            let looked = tokio::select! {
                heard = elsewhere.recv() => match heard.as_deref() {
                    Ok(Some(heard)) => self.hear(heard).await,
                    Ok(None) | Err(RecvError::Lagged(_)) => {
                        self.all_changed();
                        self.look_around(&mut company).await
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = ticks.tick() => self.look_around(&mut company).await,
                _ = self.env.store.is_over() => return,
            };
            if let Err(error) = looked
                && !self.env.is_stopping()
            {
                tracing::warn!(%error, "other hosts cannot be looked after for now");
            }
        }
    }

    async fn hear(self: &Arc<Self>, heard: &Heard) -> Result<(), StoreError> {
        if heard.is_common {
            self.see_what_is_common().await?;
            self.see_hosts().await?;
        }
        for id in &heard.told {
            self.changed(&OperationId(id.clone()));
        }
        if !heard.free.is_empty() {
            for key in self.env.store.services_of(&heard.free).await? {
                self.wake(&key);
            }
        }
        Ok(())
    }

    async fn look_around(self: &Arc<Self>, company: &mut Company) -> Result<(), StoreError> {
        self.see_what_is_common().await?;
        let hosts = self.see_hosts().await?;
        let ended: BTreeSet<String> =
            hosts.iter().filter(|host| !host.is_alive()).map(|host| host.id.clone()).collect();
        if !ended.is_subset(&company.taken_up) {
            self.take_up().await?;
            company.taken_up = ended;
        }
        let commits = self.env.store.commits();
        if commits >= company.commits + MANY_COMMITS {
            company.commits = commits;
            self.env.store.count_what_grew().await?;
        }
        let now = self.env.clock.unix_ms();
        let settled = self.env.store.settle_proven(now).await?;
        self.go_on(&settled).await?;
        if !self.has_company() {
            return Ok(());
        }
        for due in self.env.store.due_now(now, &mut company.page, PAGE).await? {
            if !self.lanes.is_waiting(&due.service) {
                self.wake(&due.service);
            }
        }
        for due in self.env.store.due_polls(PAGE).await?.into_iter().filter(|due| due.poll_at <= now) {
            self.agenda.put(std::time::Duration::ZERO, Errand::Poll(due.service));
        }
        let blocked: Vec<String> = lock(&self.blocked).keys().cloned().collect();
        for scope in blocked {
            if let (_, None) = self.env.store.scope(&scope).await? {
                self.unblock(&scope).await;
            }
        }
        Ok(())
    }

    /// Takes up what hosts that have ended were running.
    async fn take_up(self: &Arc<Self>) -> Result<(), StoreError> {
        let rescued = self.env.store.rescue(self.env.clock.unix_ms(), self.settle_of_servers()).await?;
        if !rescued.is_empty() {
            tracing::warn!(count = rescued.len(), "operations of a host that has ended go on here");
        }
        self.go_on(&rescued).await
    }

    async fn go_on(&self, ids: &[OperationId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = ids.iter().map(|id| id.0.clone()).collect();
        for id in ids {
            self.changed(id);
        }
        for key in self.env.store.services_of(&names).await? {
            self.wake(&key);
        }
        Ok(())
    }

    /// Pauses, and whether the store recovers: a person may have changed them on any host.
    async fn see_what_is_common(self: &Arc<Self>) -> Result<(), StoreError> {
        let _alone = self.pausing.lock().await;
        let pauses: BTreeMap<_, _> = self.env.store.pauses().await?.into_iter().collect();
        let servers: Vec<String> = self.in_force().config.servers.keys().cloned().collect();
        for server in servers {
            let there = pauses.get(&server).cloned();
            if self.lanes.sight(&server).is_some_and(|lane| lane.pause != there) {
                self.lanes.set_pause(&server, there);
            }
        }
        let recovering = self.env.store.is_recovering().await?;
        if self.lanes.is_recovering() != recovering {
            self.lanes.set_recovering(recovering);
        }
        Ok(())
    }

    /// Looks at the hosts, and takes this one's share of what all may do.
    pub(super) async fn see_hosts(self: &Arc<Self>) -> Result<Vec<HostFacts>, StoreError> {
        let hosts = self.env.store.look_at_hosts().await?;
        let alive = hosts.iter().filter(|host| host.is_alive()).count();
        if alive > 1 {
            self.company.store(true, Ordering::Relaxed);
        }
        let first = hosts.iter().find(|host| host.is_alive()).map(|host| host.id.as_str());
        self.is_first.store(first == self.env.store.host_id(), Ordering::Relaxed);
        self.lanes.set_share(u32::try_from(alive).unwrap_or(u32::MAX).max(1));
        Ok(hosts)
    }

    /// Among how many hosts, as far as this one knows, what a server takes is divided.
    pub fn share(&self) -> u32 {
        self.lanes.share()
    }

    /// Whether other hosts have worked on the store since this one began.
    pub(super) fn has_company(&self) -> bool {
        self.company.load(Ordering::Relaxed)
    }

    /// Whether what one host does for all is this one's: the oldest that lives.
    pub(super) fn is_first(&self) -> bool {
        self.is_first.load(Ordering::Relaxed)
    }

    /// How long the panel of each server may work on after a call was cut off. A server that is not configured any more may have
    /// been any: twice the defaults is longer than all of them.
    pub(super) fn settle_of_servers(&self) -> impl Fn(&str) -> u64 + Send + use<> {
        let in_force = self.in_force();
        move |server| in_force.panels.get(server).map_or(300_000, |panel| panel.settle_ms())
    }

    fn all_changed(&self) {
        let ids: Vec<OperationId> = lock(&self.watchers).keys().cloned().collect();
        for id in ids {
            self.changed(&id);
        }
    }

    /// All hosts with their work, the oldest first.
    ///
    /// # Errors
    ///
    /// `unavailable`.
    pub async fn hosts(&self) -> Result<Vec<(HostFacts, HostWork)>, Problem> {
        let hosts = self.env.store.hosts().await.map_err(unavailable)?;
        let work = self.env.store.work_of_hosts().await.map_err(unavailable)?;
        let with_work = |host: HostFacts| {
            let work = work.get(&host.id).copied().unwrap_or_default();
            (host, work)
        };
        Ok(hosts.into_iter().map(with_work).collect())
    }

    /// A person says that a host has ended: what waited for that goes on.
    ///
    /// # Errors
    ///
    /// `not_found`, `wrong_state` while its lease holds or where several have the name, `unavailable`.
    pub async fn host_is_dead(self: &Arc<Self>, name: &str, actor: &str) -> Result<(HostFacts, HostWork), Problem> {
        let hosts = self.hosts().await?;
        let unproven = |host: &HostFacts| matches!(host.ended, None | Some(HostEnd::Expired));
        let by_id = hosts.iter().find(|(host, _)| host.id == name);
        let mut by_name = hosts.iter().filter(|(host, _)| host.name == name && unproven(host));
        let found = match (by_id, by_name.next(), by_name.next()) {
            (Some(found), ..) | (None, Some(found), None) => found,
            (None, Some(_), Some(_)) => {
                return Err(Problem::new(ProblemType::WrongState, format!("several hosts are called {name}"))
                    .remedy("name it by its id; see `billhook hosts`"));
            }
            (None, None, _) => match hosts.iter().rfind(|(host, _)| host.name == name) {
                Some(known) => known,
                None => {
                    return Err(Problem::new(ProblemType::NotFound, format!("no host is called {name}"))
                        .remedy("see `billhook hosts` for their names and ids"));
                }
            },
        };
        let id = found.0.id.clone();
        match self.env.store.end_host(&id, HostEnd::Word, actor).await.map_err(unavailable)? {
            EndSaid::Taken => tracing::warn!(host = name, %id, actor, "a person says that a host has ended"),
            EndSaid::Known => {}
            EndSaid::Lives => {
                let detail = format!("{name} gives signs of life, or did so a moment ago: its lease is not over");
                return Err(Problem::new(ProblemType::WrongState, detail)
                    .remedy("stop it, or wait until its lease is over; see `billhook hosts`"));
            }
            EndSaid::Unknown => {
                return Err(Problem::new(ProblemType::NotFound, format!("there is no host {name} any more")));
            }
        }
        self.take_up().await.map_err(unavailable)?;
        let settled = self.env.store.settle_proven(self.env.clock.unix_ms()).await.map_err(unavailable)?;
        self.go_on(&settled).await.map_err(unavailable)?;
        let hosts = self.hosts().await?;
        hosts
            .into_iter()
            .find(|(host, _)| host.id == id)
            .ok_or_else(|| Problem::new(ProblemType::NotFound, format!("there is no host {name} any more")))
    }

    /// Takes a poll that is due for this host; `false`: another one has it.
    pub(super) async fn takes_poll(&self, key: &ServiceKey, at: u64, next: u64) -> Result<bool, StoreError> {
        if !self.has_company() {
            return Ok(true);
        }
        self.env.store.claim_poll(key, at, next).await
    }
}
