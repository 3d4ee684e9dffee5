//! What a panel can judge by itself when a test is over.

use std::collections::BTreeSet;

use super::ledger::Call;
use super::state::{MOST_FAILURES, Site, World};

/// Every broken invariant, as sentences.
pub(super) fn check(world: &World, calls: &[Call]) -> Vec<String> {
    let mut broken = world.breaches.clone();
    broken.extend(too_many_sites(world));
    broken.extend(shared(world, "billing.invoice"));
    broken.extend(shared(world, "siteinfo.domain"));
    broken.extend(shared(world, "siteinfo.admin_user"));
    broken.extend(touched_strangers(world));
    if world.all_failures() >= MOST_FAILURES {
        broken.push(format!("the client has locked itself out with {} wrong logins", world.all_failures()));
    }
    let mut ids = BTreeSet::new();
    let made = calls.iter().filter_map(|call| match call.effect {
        super::Effect::Created(id) => Some(id),
        _ => None,
    });
    broken.extend(made.filter(|id| !ids.insert(*id)).map(|id| format!("site{id} was made twice")));
    broken
}

/// More sites than were wanted: one, unless the test said otherwise. What was deleted again does not count.
fn too_many_sites(world: &World) -> Option<String> {
    let made = world.live().filter(|site| site.created_at_call > 0).count();
    let wanted = world.expected_sites;
    (made > wanted).then(|| format!("{made} sites were made, {wanted} wanted"))
}

fn shared(world: &World, key: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let named = world.live().filter_map(|site| Some((site.id, site.text(key)?)));
    named
        .filter(|(_, value)| !seen.insert(*value))
        .map(|(id, value)| format!("site{id} shares the {key} {value} with another one"))
        .collect()
}

/// Sites that the test put there for somebody else, and that are not as they were.
fn touched_strangers(world: &World) -> Vec<String> {
    let differs = |now: &Site, then: &Site| {
        now.is_deleted
            || now.password != then.password
            || now.suspension != then.suspension
            || now.values != then.values
    };
    let strangers = world.sites.iter().filter_map(|site| Some((site, site.stranger.as_deref()?)));
    strangers
        .filter(|(now, then)| differs(now, then))
        .map(|(now, _)| format!("site{} of a stranger was changed", now.id))
        .collect()
}
