//! What a panel can judge by itself when a test is over.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Call, Outcome};
use super::state::{Server, World};

/// Every broken invariant, as sentences.
pub(super) fn check(world: &World, calls: &[Call]) -> Vec<String> {
    let mut broken = world.broken.clone();
    broken.extend(double_orders(world));
    broken.extend(crowds(world));
    broken.extend(shared_addresses(world));
    broken.extend(reused_ids(world));
    broken.extend(double_users(world));
    broken.extend(calls_to_the_dead(world, calls));
    broken.extend(touched_strangers(world, calls));
    broken
}

/// How many like servers the owner may have at once: one, unless the test said otherwise.
fn allowed(world: &World, owner_id: u64) -> usize {
    if world.expected.is_empty() {
        return 1;
    }
    let owner = world.users.iter().find(|user| user.id == owner_id);
    let mut expected = world.expected.iter();
    let found = expected.find(|(relation, _)| owner.is_some_and(|user| user.has_relation(relation)));
    found.map_or(1, |(_, count)| *count)
}

/// A server ordered while a like one of the same owner was alive.
fn double_orders(world: &World) -> Vec<String> {
    let doubled = world.servers.iter().filter(|new| new.twins > allowed(world, new.owner_id));
    doubled
        .map(|new| {
            format!(
                "call {}: server {} is number {} from one order of owner {}",
                new.created_at_call, new.id, new.twins, new.owner_id
            )
        })
        .collect()
}

/// An owner with an expectation who has more servers than expected, like or not.
fn crowds(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for (relation, count) in &world.expected {
        let owned = world.servers.iter().filter(|server| {
            let mut owners = world.users.iter().filter(|user| user.id == server.owner_id);
            server.is_staying() && owners.any(|user| user.has_relation(relation))
        });
        let owned = owned.count();
        if owned > *count {
            broken.push(format!("owner {relation} has {owned} servers, {count} expected"));
        }
    }
    broken
}

fn live(world: &World) -> impl Iterator<Item = &Server> {
    world.servers.iter().filter(|server| server.is_live())
}

fn shared_addresses(world: &World) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let held = live(world).flat_map(|server| server.addresses.iter().map(|host| (server.id, *host)));
    held.filter(|(_, host)| !seen.insert(*host))
        .map(|(id, host)| format!("server {id} shares address {host} with another one"))
        .collect()
}

fn reused_ids(world: &World) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let ids = world.servers.iter().map(|server| server.id);
    ids.filter(|id| !seen.insert(*id)).map(|id| format!("server id {id} was used twice")).collect()
}

fn double_users(world: &World) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let users = world.users.iter().filter(|user| !user.deleted);
    users
        .filter(|user| {
            let relation = (user.ext_relation_id, user.rel_str.clone());
            relation != (None, None) && !seen.insert(relation)
        })
        .map(|user| format!("user {} shares a relation with another one", user.id))
        .collect()
}

/// Successful calls on a server after its end.
fn calls_to_the_dead(world: &World, calls: &[Call]) -> Vec<String> {
    let ends = world.servers.iter().filter_map(|server| Some((server.id, server.deleted_ms?)));
    let ends: BTreeMap<u64, u64> = ends.collect();
    let late = calls.iter().filter(|call| {
        let on = call.bare_path().strip_prefix("/servers/").and_then(|rest| rest.split('/').next()?.parse().ok());
        let is_late = on.and_then(|id: u64| ends.get(&id)).is_some_and(|end| call.at_ms > *end);
        is_late && call.fault.is_none() && matches!(call.outcome, Outcome::Answered(200..=299))
    });
    late.map(|call| format!("call {}: {asked} after its end", call.number, asked = call.path)).collect()
}

/// Changes to servers that the test put there for somebody else.
fn touched_strangers(world: &World, calls: &[Call]) -> Vec<String> {
    let foreign: BTreeSet<u64> = world.servers.iter().filter(|server| server.foreign).map(|server| server.id).collect();
    calls
        .iter()
        .filter(|call| call.effect.server_id().is_some_and(|id| foreign.contains(&id)))
        .map(|call| format!("call {}: {} {} on a stranger's server", call.number, call.method, call.path))
        .collect()
}
