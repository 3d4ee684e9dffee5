//! Another configuration takes the place of the one in force, as a whole or not at all.

use super::agenda::Busy;
use super::start::{load_providers, make_panel, no_provider};
use super::{Engine, InForce};
use crate::config::{Config, Finding, ServerConfig};
use crate::panel::{Panel, Provider};
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Servers that were not there before, or were not ready.
    pub added: Vec<String>,
    /// Servers that are reached in another way, or with other credentials.
    pub changed: Vec<String>,
    /// Those of them that name another panel now: hooks for what is on the old one are refused.
    pub moved: Vec<String>,
    /// Servers that are not there any more.
    pub removed: Vec<String>,
    /// Sections whose changes wait for the next start.
    pub at_next_start: Vec<&'static str>,
}

impl Engine {
    /// Puts `new` in force: platforms, servers, products, limits, the bounds of attempts. Servers whose entries did not
    /// change keep their connections and what is known of them; attempts under way finish with what they have.
    ///
    /// # Errors
    ///
    /// Everything that speaks against it; nothing was changed then. A server that was not ready before does not count:
    /// it may stay so.
    pub async fn reload(self: &Arc<Self>, new: Config) -> Result<Reloaded, Vec<Finding>> {
        let _alone = self.reloading.lock().await;
        let _busy = Busy::begin(&self.activity);
        let old = self.in_force();
        let (config, at_next_start) = laid_over(&old.config, new);
        let mut next = self.made_of(config, &old).await?;
        let findings = bad_products(&old, &next);
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut reloaded = compare(&old, &next);
        reloaded.at_next_start = at_next_start;
        let _pausing = self.pausing.lock().await;
        let pauses = self.env.store.pauses().await.map_err(|error| vec![unreadable(&error)])?;

        let lanes = next.config.servers.iter().map(|(name, server)| (name, &server.lane));
        self.lanes.set_bounds(next.config.limits.concurrency, lanes);
        self.env.awake.set(next.config.limits.stay_awake);
        for (server, pause) in pauses {
            // A server that comes back may have been paused when it went.
            self.lanes.set_pause(&server, Some(pause));
        }
        std::mem::swap(&mut *self.in_force.write().unwrap_or_else(PoisonError::into_inner), &mut next);
        // Only now: who is woken must find the new ones.
        for server in reloaded.added.iter().chain(&reloaded.changed).chain(&reloaded.removed) {
            self.libraries.forget(server);
            for key in self.lanes.renew(server) {
                self.wake(&key);
            }
        }
        Ok(reloaded)
    }

    /// Makes ready what the configuration names; what did not change is taken over.
    async fn made_of(&self, config: Config, old: &InForce) -> Result<Arc<InForce>, Vec<Finding>> {
        // A library is never unloaded, so one that is loaded serves on.
        let names: BTreeSet<String> = config.servers.values().map(|server| server.provider.clone()).collect();
        let missing = names.into_iter().filter(|name| !old.providers.contains_key(name)).collect();
        let (loaded, failed) = load_providers(&config, &self.libraries, missing).await;
        let mut providers = old.providers.clone();
        providers.extend(loaded);

        let (mut panels, mut unready, mut findings) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (name, server) in &config.servers {
            if let Some(panel) = kept(name, server, &config, old, &providers) {
                panels.insert(name.clone(), Arc::clone(panel));
                continue;
            }
            let made = match providers.get(&server.provider) {
                Some(provider) => make_panel(
                    name,
                    server,
                    provider,
                    &self.env.desk,
                    &self.lanes,
                    &self.env.clock,
                    config.attempt.longest_run,
                ),
                None => Err(no_provider(&server.provider, &failed)),
            };
            match made {
                Ok(panel) => drop(panels.insert(name.clone(), Arc::new(panel))),
                // It was like that before, and others need not wait until somebody mends it.
                Err(reason) if old.unready.contains_key(name) => drop(unready.insert(name.clone(), reason)),
                Err(problem) => findings.push(Finding {
                    place: format!("servers.{name}"),
                    problem,
                    remedy: format!("correct [servers.{name}], run `billhook check`, and reload again"),
                }),
            }
        }
        if findings.is_empty() {
            Ok(Arc::new(InForce { config: Arc::new(config), providers, panels, unready }))
        } else {
            Err(findings)
        }
    }
}

fn unreadable(error: &StoreError) -> Finding {
    Finding {
        place: "store".to_owned(),
        problem: format!("which servers are paused cannot be read: {error}"),
        remedy: "see what the daemon writes about its store, and reload again".to_owned(),
    }
}

/// What is in force after a reload, and the sections whose changes it leaves to the next start.
fn laid_over(old: &Config, new: Config) -> (Config, Vec<&'static str>) {
    let mut waiting = Vec::new();
    let mut wait = |section, differs| {
        if differs {
            waiting.push(section);
        }
    };
    wait("socket", old.socket != new.socket);
    wait("store", old.store != new.store);
    wait("seal", old.seal != new.seal);
    wait("plugins.folder", old.plugins.folder != new.plugins.folder);
    wait("retry", old.retry != new.retry);
    wait("attempt.pending_poll", old.attempt.pending_poll != new.attempt.pending_poll);
    wait("log", old.log != new.log);
    let Config { mut plugins, platforms, servers, groups, products, mut attempt, limits, secrets, warnings, .. } = new;
    plugins.folder.clone_from(&old.plugins.folder);
    attempt.pending_poll = old.attempt.pending_poll;
    let old = old.clone();
    (Config { plugins, platforms, servers, groups, products, attempt, limits, secrets, warnings, ..old }, waiting)
}

/// The panel of a server that is reached as before.
fn kept<'a>(
    name: &str,
    server: &ServerConfig,
    config: &Config,
    old: &'a InForce,
    providers: &BTreeMap<String, Arc<Provider>>,
) -> Option<&'a Arc<Panel>> {
    let panel = old.panels.get(name)?;
    let before = old.config.servers.get(name)?;
    // The lane's bounds are not the panel's, nor is what may be placed there.
    let same_entry = *before == ServerConfig { lane: before.lane.clone(), capacity: before.capacity, ..server.clone() };
    let longest_run = |config: &Config| -> Duration { config.attempt.longest_run };
    let same_provider = providers.get(&server.provider).is_some_and(|provider| Arc::ptr_eq(provider, &panel.provider));
    (same_entry && same_provider && longest_run(&old.config) == longest_run(config)).then_some(panel)
}

/// New or changed products that their provider's schema refuses whatever an order may say.
fn bad_products(old: &InForce, next: &InForce) -> Vec<Finding> {
    let changed =
        next.config.products.iter().filter(|(name, product)| old.config.products.get(*name) != Some(*product));
    let mut findings = Vec::new();
    for (name, product) in changed {
        // All servers of a product are of one provider.
        let mut panels = next.config.servers_of(&product.place).iter().filter_map(|server| next.panels.get(server));
        let Some(panel) = panels.next() else { continue };
        let wrong = panel.provider.wrong_settings(product.settings.value()).into_iter().filter(|one| !one.is_missing);
        findings.extend(wrong.map(|one| Finding {
            place: format!("products.{name}.settings{}", one.place),
            problem: one.problem,
            remedy: format!("correct it in [products.{name}.settings], and reload again"),
        }));
    }
    findings
}

fn compare(old: &InForce, next: &InForce) -> Reloaded {
    let mut reloaded = Reloaded::default();
    for (name, panel) in &next.panels {
        match old.panels.get(name) {
            None => reloaded.added.push(name.clone()),
            Some(before) if Arc::ptr_eq(before, panel) => {}
            Some(before) => {
                reloaded.changed.push(name.clone());
                if before.identity != panel.identity {
                    reloaded.moved.push(name.clone());
                }
            }
        }
    }
    reloaded.removed =
        old.config.servers.keys().filter(|name| !next.config.servers.contains_key(*name)).cloned().collect();
    reloaded
}
