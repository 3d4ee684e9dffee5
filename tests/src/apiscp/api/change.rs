//! A site's making and its end, and what is between: suspended and active.

use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Named, Site, Suspension, World};
use super::super::value::Value;
use super::edit::{self, Change};
use super::{Refusal, Reply, done, error};

const DAY_MS: u64 = 86_400_000;

pub(super) fn add(world: &mut World, number: u64, asked: &Accepted) -> Reply {
    let mut site = Site::new(world.next_site_id());
    let domain = asked.text("domain").unwrap_or_default();
    let user = asked.text("admin").unwrap_or_default();
    site.values.insert("siteinfo.domain".into(), Value::text(&domain));
    site.values.insert("siteinfo.admin_user".into(), Value::text(&user));
    let opts = asked.value("opts");
    let named = |key: &str, value: &str| {
        let own = Value::text(value);
        let is_named = opts.get(key).is_some();
        (!is_named).then(|| (key.to_owned(), own))
    };
    let mut wanted: Vec<(String, Value)> = opts.members().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    wanted.extend(named("siteinfo.domain", &domain));
    wanted.extend(named("siteinfo.admin_user", &user));
    let change = Change::of(&wanted)?;
    change.check(world, None)?;
    let plan = change.plan().unwrap_or_else(|| "basic".into());
    let plan = world.plan(&plan).cloned().ok_or_else(|| error(format!("unknown plan `{plan}'")))?;
    site.put_on(&plan, false);
    change.apply(world, &mut site);
    let ctime = i64::try_from(world.now_ms / 1_000).unwrap_or(i64::MAX);
    site.values.insert("billing.ctime".into(), Value::Int(ctime));
    if site.password.is_empty() {
        site.password = world.secret();
    }
    site.created_at_call = number;
    let id = site.id;
    if world.half_creates > 0 && !asked.flag("force") {
        world.half_creates -= 1;
        site.is_half = true;
        world.sites.push(site);
        let text = "failed to create site: hook `mysql' failed".to_owned();
        return Err(Refusal { text, is_fatal: false, effect: Effect::Created(id) });
    }
    world.sites.push(site);
    done(Effect::Created(id))
}

pub(super) fn suspend(world: &mut World, asked: &Accepted) -> Reply {
    let flag = |name: &str| asked.value("flags").get(name).and_then(Value::printed);
    let reason = flag("reason").filter(|_| world.knobs.has_suspend_flags).unwrap_or_default();
    let at_ms = world.now_ms;
    switch(world, asked, "suspended", Effect::Suspended, Effect::GroupSuspended, |site| {
        let is_change = site.suspension.is_none();
        if is_change {
            site.suspension = Some(Suspension { at_ms, reason: reason.clone() });
        }
        is_change
    })
}

pub(super) fn activate(world: &mut World, asked: &Accepted) -> Reply {
    if let Some((_, ids)) = asked.text("site").and_then(|name| world.resolve(&name))
        && ids.iter().any(|id| world.site(*id).is_some_and(|site| site.is_half))
    {
        return Err(error("site is in an inconsistent state"));
    }
    switch(world, asked, "active", Effect::Activated, Effect::GroupActivated, |site| site.suspension.take().is_some())
}

fn switch(
    world: &mut World,
    asked: &Accepted,
    state: &str,
    one: fn(u64) -> Effect,
    many: fn(u64) -> Effect,
    change: impl Fn(&mut Site) -> bool,
) -> Reply {
    let (named, ids) = target(world, asked)?;
    let mut changed = Vec::new();
    for id in &ids {
        if let Some(site) = world.site_mut(*id)
            && change(site)
        {
            changed.push(*id);
        }
    }
    match (changed.as_slice(), named) {
        ([], _) if world.knobs.refuses_repeats => Err(error(format!("site is already {state}"))),
        ([], _) => done(Effect::None),
        (all, Named::Invoice) => done(many(all.len() as u64)),
        ([id, ..], _) => done(one(*id)),
    }
}

pub(super) fn delete(world: &mut World, asked: &Accepted) -> Reply {
    let flags = asked.value("flags");
    let since_ms = match flags.get("since").and_then(Value::printed) {
        Some(text) => Some(moment(&text, world.now_ms).ok_or_else(|| error(format!("unknown time `{text}'")))?),
        None => None,
    };
    // The expressions that are needed here are plain words with anchors.
    let wanted = flags.get("match").and_then(Value::printed).map(|text| text.replace(['^', '$', '/', '\\'], ""));
    let fits = |site: &Site| match (&site.suspension, since_ms) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(suspension), Some(since_ms)) => {
            suspension.at_ms <= since_ms
                && wanted.as_ref().is_none_or(|words| suspension.reason.contains(words.as_str()))
        }
    };
    let name = asked.text("site").filter(|name| !name.is_empty());
    let (named, ids) = match (&name, since_ms) {
        (Some(_), _) => {
            let (named, ids) = target(world, asked)?;
            (Some(named), ids)
        }
        (None, Some(_)) => (None, world.live().map(|site| site.id).collect()),
        (None, None) => return Err(error("neither a site nor a time is given")),
    };
    let doomed: Vec<u64> = ids.into_iter().filter(|id| world.site(*id).is_some_and(&fits)).collect();
    if asked.flag("dry-run") {
        return done(Effect::None);
    }
    if !asked.flag("force") && doomed.iter().any(|id| world.site(*id).is_some_and(|site| site.is_half)) {
        return Err(error("failed to delete site: hook `mysql' failed"));
    }
    for id in &doomed {
        if let Some(site) = world.site_mut(*id) {
            site.is_deleted = true;
        }
    }
    match (doomed.as_slice(), named) {
        ([], _) => done(Effect::None),
        (all, None) => {
            world.breaches.push(format!("a delete of the whole server took {} sites", all.len()));
            done(Effect::ServerWide(all.len() as u64))
        }
        (all, Some(Named::Invoice)) => done(Effect::GroupDeleted(all.len() as u64)),
        ([id, ..], Some(_)) => done(Effect::Deleted(*id)),
    }
}

/// The sites that a change names, after noting how it should not have named them.
pub(super) fn target(world: &mut World, asked: &Accepted) -> Result<(Named, Vec<u64>), Refusal> {
    let name = asked.text("site").unwrap_or_default();
    let (named, ids) = world.resolve(&name).ok_or_else(|| error(format!("Unknown domain `{name}'")))?;
    let operation = asked.operation.name;
    match named {
        Named::Id => {}
        Named::Domain | Named::Alias => {
            let text = format!("{operation} names a site by the domain {name}, which may be an add-on of another's");
            world.breaches.push(text);
        }
        Named::Invoice if world.expected_groups.contains(&name) => {}
        Named::Invoice => {
            world.breaches.push(format!("{operation} by the invoice {name} hits {} sites unasked", ids.len()));
        }
    }
    Ok((named, ids))
}

/// A point in time as the panel reads it, in Unix milliseconds.
fn moment(text: &str, now_ms: u64) -> Option<u64> {
    let back = |days: u64| now_ms.saturating_sub(days * DAY_MS);
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["now"] => Some(now_ms),
        ["last", "month"] => Some(back(30)),
        [count, "day" | "days", "ago"] => Some(back(count.parse().ok()?)),
        [count, "week" | "weeks", "ago"] => Some(back(7 * count.parse::<u64>().ok()?)),
        [number] => number.parse::<u64>().ok()?.checked_mul(1_000),
        _ => None,
    }
}

/// Edits are in a file of their own.
pub(super) fn edit_named(world: &mut World, asked: &Accepted, change: &Change) -> Reply {
    let (named, ids) = target(world, asked)?;
    edit::on(world, asked, change, named == Named::Invoice, &ids)
}
