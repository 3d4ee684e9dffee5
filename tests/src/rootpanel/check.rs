//! What a panel can judge by itself when a test is over.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Call;
use super::money::Money;
use super::state::{Job, Stage, What, World};

/// Every broken invariant, as sentences.
pub(super) fn check(world: &World, calls: &[Call]) -> Vec<String> {
    let mut broken = too_many_orders(world);
    broken.extend(too_many_jobs(world, "renewals", &world.expected_renewals, |what| {
        matches!(what, What::Renewal { .. })
    }));
    broken.extend(too_many_jobs(world, "orders of add-ons", &world.expected_addons, |what| {
        matches!(what, What::Addons(_))
    }));
    broken.extend(wrong_books(world));
    broken.extend(unstoppable(world));
    broken.extend(shared_domains(world));
    broken.extend(reused_ids(world));
    broken.extend(touched_strangers(world, calls));
    broken
}

/// A user for whom more servers were ordered than wanted: one, unless the test said otherwise.
fn too_many_orders(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for user in &world.users {
        let made = world.orders.iter().filter(|order| order.login == user.login && order.created_at_call > 0);
        let (made, wanted) = (made.count(), world.expected_orders.get(&user.login).copied().unwrap_or(1));
        if made > wanted {
            broken.push(format!("{} has ordered {made} servers, {wanted} wanted", user.login));
        }
    }
    broken
}

fn too_many_jobs(
    world: &World,
    name: &str,
    wanted: &BTreeMap<u64, usize>,
    is_one: impl Fn(&What) -> bool,
) -> Vec<String> {
    let mut broken = Vec::new();
    for order in &world.orders {
        let made = world.jobs.iter().filter(|job| job.order_id == order.id && is_one(&job.what)).count();
        let wanted = wanted.get(&order.id).copied().unwrap_or(1);
        if made > wanted {
            broken.push(format!("order {} has {made} {name}, {wanted} wanted", order.id));
        }
    }
    broken
}

/// Every paid job has one charge of its cost, no other charge exists, and they make up the balance.
fn wrong_books(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for (index, job) in world.jobs.iter().enumerate() {
        let Job { order_id, cost, stage, .. } = job;
        let charges = world.charges.iter().filter(|charge| charge.job == index);
        let charged: Vec<Money> = charges.map(|charge| charge.amount).collect();
        let due: &[Money] = if *stage == Stage::Unpaid { &[] } else { std::slice::from_ref(cost) };
        if charged != due {
            broken.push(format!("order {order_id}: {charged:?} was charged for {:?}, {due:?} due", job.what));
        }
    }
    for user in &world.users {
        let charges = world.charges.iter().filter(|charge| charge.login == user.login);
        let spent: Money = charges.map(|charge| charge.amount).sum();
        let given = world.given.get(&user.login).copied().unwrap_or_default();
        if given - spent != user.balance {
            broken.push(format!("{} had {given}, spent {spent}, and has {}", user.login, user.balance));
        }
    }
    broken
}

/// Nothing can switch it off again: such an order goes on charging after its customer has left.
fn unstoppable(world: &World) -> Vec<String> {
    let renewing = world.orders.iter().filter(|order| order.autorenew);
    renewing.map(|order| format!("order {} renews itself, and nobody can stop that", order.id)).collect()
}

fn shared_domains(world: &World) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let named = world.orders.iter().filter(|order| !order.removed && !order.domain.is_empty());
    named
        .filter(|order| !seen.insert((&order.login, &order.domain)))
        .map(|order| format!("order {} shares the domain {} with another one", order.id, order.domain))
        .collect()
}

fn reused_ids(world: &World) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let ids = world.orders.iter().map(|order| order.id);
    ids.filter(|id| !seen.insert(*id)).map(|id| format!("order id {id} was used twice")).collect()
}

/// Changes to orders that the test put there for somebody else.
fn touched_strangers(world: &World, calls: &[Call]) -> Vec<String> {
    let foreign: BTreeSet<u64> = world.orders.iter().filter(|order| order.foreign).map(|order| order.id).collect();
    calls
        .iter()
        .filter(|call| call.effect.order_id().is_some_and(|id| foreign.contains(&id)))
        .map(|call| format!("call {}: {} on a stranger's order", call.number, call.path))
        .collect()
}
