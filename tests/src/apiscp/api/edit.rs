//! What is said of a site: checked as a whole, then changed as a whole.

use super::super::config::base;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Site, World};
use super::super::value::Value;
use super::{Refusal, Reply, change, done, error};

/// Shorter passwords are weak.
const LEAST_PASSWORD: usize = 7;

/// What a call says of a site.
pub(super) struct Change {
    wanted: Vec<(String, Value)>,
}

impl Change {
    pub(super) fn of(wanted: &[(String, Value)]) -> Result<Self, Refusal> {
        for (key, _) in wanted {
            let Some((service, _)) = key.split_once('.') else {
                return Err(error(format!("unknown service `{key}'")));
            };
            let mut known = base().into_iter().map(|(known, _)| known);
            if !known.clone().any(|known| known.starts_with(&format!("{service}."))) {
                return Err(error(format!("unknown service `{service}'")));
            }
            if !known.any(|known| known == key) {
                return Err(error(format!("unknown option `{key}'")));
            }
            if key == "billing.ctime" {
                return Err(error(format!("`{key}' is read-only")));
            }
        }
        Ok(Self { wanted: wanted.to_vec() })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.wanted.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_str())
    }

    pub(super) fn plan(&self) -> Option<String> {
        self.text("siteinfo.plan").map(str::to_owned)
    }

    /// Whether the panel would have it, for a new site or for this one.
    pub(super) fn check(&self, world: &World, id: Option<u64>) -> Result<(), Refusal> {
        if let Some(domain) = self.text("siteinfo.domain") {
            if !is_domain(domain) {
                return Err(error(format!("invalid domain `{domain}'")));
            }
            if world.has_domain(domain, id) {
                return Err(error(format!("domain `{domain}' already exists or is in use on another account")));
            }
        }
        if let Some(user) = self.text("siteinfo.admin_user") {
            let is_good = user.starts_with(|first: char| first.is_ascii_lowercase())
                && user
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte));
            if !is_good {
                return Err(error(format!("invalid user `{user}'")));
            }
            if world.has_user(user, id) {
                return Err(error(format!("user `{user}' already exists")));
            }
        }
        if self.text("siteinfo.email").is_some_and(|email| email.split('@').count() != 2) {
            return Err(error("invalid email address"));
        }
        if self.text("auth.tpasswd").is_some_and(is_weak) {
            return Err(error("weak password disallowed"));
        }
        match self.plan() {
            Some(plan) if world.plan(&plan).is_none() => Err(error(format!("unknown plan `{plan}'"))),
            _ => Ok(()),
        }
    }

    /// Does it; the plan's own values are another's concern.
    pub(super) fn apply(&self, world: &mut World, site: &mut Site) {
        for (key, value) in &self.wanted {
            match (key.as_str(), value.as_str()) {
                ("auth.tpasswd" | "auth.cpasswd", Some(password)) => {
                    world.secrets.push(password.to_owned());
                    site.password = password.to_owned();
                }
                ("siteinfo.plan", _) => {}
                _ => {
                    if ["dns.key", "mail.key", "mysql.passwd"].contains(&key.as_str()) {
                        world.secrets.extend(value.printed());
                    }
                    // An empty list of options is no map, and "no value" of them is the default.
                    site.values.insert(key.clone(), value.clone());
                    site.customised.insert(key.clone());
                }
            }
        }
    }
}

/// Whether the panel's strength check would refuse it.
pub(super) fn is_weak(password: &str) -> bool {
    let first = password.chars().next();
    password.chars().count() < LEAST_PASSWORD
        || password.chars().all(|letter| Some(letter) == first)
        || password == "password"
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
    };
    domain.contains('.') && domain.split('.').all(is_label)
}

pub(super) fn edit(world: &mut World, asked: &Accepted) -> Reply {
    let opts = asked.value("opts");
    let wanted: Vec<(String, Value)> = opts.members().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    let change = Change::of(&wanted)?;
    if asked.flag("all") {
        let ids: Vec<u64> = world.live().map(|site| site.id).collect();
        world.breaches.push(format!("an edit of the whole server took {} sites", ids.len()));
        on(world, asked, &change, true, &ids)?;
        return done(Effect::ServerWide(ids.len() as u64));
    }
    change::edit_named(world, asked, &change)
}

/// Edits these sites, or none of them.
pub(super) fn on(world: &mut World, asked: &Accepted, change: &Change, is_group: bool, ids: &[u64]) -> Reply {
    let names_one = ["siteinfo.domain", "siteinfo.admin_user"].iter().any(|key| change.text(key).is_some());
    if names_one && ids.len() > 1 {
        return Err(error("user already exists on another site of the group"));
    }
    let plan = change.plan().and_then(|name| world.plan(&name).cloned());
    let mut edited = Vec::new();
    for id in ids {
        change.check(world, Some(*id))?;
        let Some(mut site) = world.site(*id).cloned() else { continue };
        if site.is_half && !asked.flag("force") {
            return Err(error("site is in an inconsistent state"));
        }
        if let Some(plan) = &plan {
            site.put_on(plan, asked.flag("reset"));
        }
        change.apply(world, &mut site);
        let quota_kb = site.quota_kb();
        if quota_kb > 0 && site.usage.storage_kb > quota_kb && !asked.flag("force") {
            return Err(error("diskquota.quota: storage in use exceeds the quota"));
        }
        edited.push(site);
    }
    if asked.flag("dry-run") {
        return done(Effect::None);
    }
    let mut effects = Vec::new();
    for site in edited {
        if let Some(place) = world.sites.iter_mut().find(|place| place.id == site.id) {
            effects.push(difference(place, &site));
            *place = site;
        }
    }
    let changed = effects.iter().filter(|effect| **effect != Effect::None).count() as u64;
    match (changed, is_group) {
        (0, _) => done(Effect::None),
        (_, true) => done(Effect::GroupEdited(changed)),
        (_, false) => done(effects[0]),
    }
}

/// The most telling of what has changed.
fn difference(before: &Site, after: &Site) -> Effect {
    let changed = |key: &str| before.values.get(key) != after.values.get(key);
    let id = before.id;
    if changed("siteinfo.plan") {
        Effect::PlanChanged(id)
    } else if changed("siteinfo.domain") {
        Effect::DomainChanged(id)
    } else if changed("siteinfo.admin_user") {
        Effect::UserChanged(id)
    } else if before.password != after.password {
        Effect::PasswordSet(id)
    } else if before.values != after.values {
        Effect::Edited(id)
    } else {
        Effect::None
    }
}
