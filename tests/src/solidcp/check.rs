//! What a panel can judge by itself when a test is over.

use std::collections::BTreeMap;

use super::jobs::OK;
use super::ledger::{Call, Effect};
use super::state::World;

/// Every broken invariant, as sentences.
pub(super) fn check(world: &World, calls: &[Call]) -> Vec<String> {
    let mut broken = too_many(world);
    broken.extend(shared_addresses(world));
    broken.extend(crippled_machines(world));
    broken.extend(mixed_plans(world));
    broken.extend(touched_strangers(world, calls));
    broken.extend(world.thefts.iter().cloned());
    broken.extend(world.damage.iter().cloned());
    broken.extend(world.orphans.iter().map(|name| format!("machine {name} lives on, and the panel has forgotten it")));
    if world.letters > 0 {
        broken.push(format!("{} letters were sent to customers", world.letters));
    }
    broken
}

/// One user for a service, one space for a user, one machine for a space.
fn too_many(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    let users = world.users.iter().filter(|user| user.created_at_call > 0 && !user.removed);
    let (made, wanted) = (users.count(), world.expected_services);
    if made > wanted {
        broken.push(format!("{made} users were made, {wanted} wanted"));
    }
    let spaces = world.packages.iter().filter(|package| package.created_at_call > 0 && !package.removed);
    let mut spaces_of: BTreeMap<i32, usize> = BTreeMap::new();
    spaces.for_each(|package| *spaces_of.entry(package.user_id).or_default() += 1);
    let several = spaces_of.iter().filter(|(_, count)| **count > 1);
    broken.extend(several.map(|(user, count)| format!("user {user} has {count} spaces")));
    let mut machines_of: BTreeMap<i32, usize> = BTreeMap::new();
    let machines = world.machines.iter().filter(|machine| !machine.removed);
    machines.for_each(|machine| *machines_of.entry(machine.package_id).or_default() += 1);
    let several = machines_of.iter().filter(|(_, count)| **count > 1);
    broken.extend(several.map(|(space, count)| format!("space {space} has {count} machines")));
    broken
}

fn shared_addresses(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for address in &world.addresses {
        let owners = world.rows.iter().filter(|row| row.address_id == address.id).count();
        if owners > 1 {
            broken.push(format!("{} has {owners} owners", address.external));
        }
    }
    for row in world.rows.iter().filter(|row| row.item_id != 0) {
        let owner = world.machine(row.item_id).map(|machine| machine.package_id);
        if owner != Some(row.package_id) {
            let external = world.address(row.address_id).map_or("", |address| &address.external);
            broken.push(format!("{external} of space {} is on machine {}, of {owner:?}", row.package_id, row.item_id));
        }
    }
    broken
}

/// What a whole object that was sent back by halves takes away.
fn crippled_machines(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    let there = world.machines.iter().filter(|machine| !machine.removed && machine.provisioning == OK);
    for machine in there {
        if machine.disk_paths.is_empty() {
            broken.push(format!("machine {} has lost the record of its disk", machine.id));
        }
        if !machine.flags.get("ExternalNetworkEnabled").copied().unwrap_or(false) {
            broken.push(format!("machine {} has lost its network", machine.id));
        }
    }
    broken
}

/// A plan of another space does not move a machine there.
fn mixed_plans(world: &World) -> Vec<String> {
    let there = world.packages.iter().filter(|package| !package.removed && package.parent_id != 1);
    there
        .filter(|package| world.plan(package.plan_id).is_some_and(|plan| plan.space_id != package.parent_id))
        .map(|package| format!("space {} has plan {} of another space", package.id, package.plan_id))
        .collect()
}

/// Changes to what the test put there for somebody else, or to the reseller himself.
fn touched_strangers(world: &World, calls: &[Call]) -> Vec<String> {
    let is_foreign = |effect: Effect| {
        effect.user_id().is_some_and(|id| world.is_foreign_user(id))
            || effect.space_id().is_some_and(|id| world.is_foreign_package(id))
            || effect.machine_id().is_some_and(|id| world.is_foreign_machine(id))
    };
    let touched = calls.iter().filter(|call| is_foreign(call.effect));
    touched.map(|call| format!("call {}: {} on what is a stranger's", call.number, call.path)).collect()
}
