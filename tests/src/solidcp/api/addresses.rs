//! Addresses: who owns which, and the memory of hosts, which the same service tells.

use super::{Reply, failure, read, success};
use crate::solidcp::ledger::Effect;
use crate::solidcp::quotas::ADDRESSES;
use crate::solidcp::rights::{NO_OBJECT, NO_PACKAGE};
use crate::solidcp::rules::Asked;
use crate::solidcp::state::{Row, World};
use crate::solidcp::value::Data;

pub(super) fn respond(world: &mut World, call: u64, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("packageId");
    let is_external = given.text("pool").is_none_or(|pool| pool == "VpsExternalNetwork");
    match asked.operation.name {
        "GetUnallottedIPAddresses" => {
            world.own_package(asked.caller, id)?;
            let free = world.free_for(id, None).into_iter().filter(|_| is_external);
            let addresses = free.filter_map(|address| world.address(address));
            read(Data::List(addresses.map(|address| world.unallotted_address(address)).collect()))
        }
        // Nobody asks who wants to know.
        "GetPackageIPAddresses" => {
            let rows: Vec<&Row> =
                rows(world, id, given.flag("recursive")).into_iter().filter(|_| is_external).collect();
            let page = rows.iter().skip(asked.offset()).take(asked.limit());
            let items = page.map(|row| world.package_address(row, true)).collect();
            read(Data::object([("Items", Data::List(items)), ("Count", Data::from(rows.len()))]))
        }
        "GetPackageIPAddressesCount" => read(rows(world, id, false).len()),
        "GetPackageUnassignedIPAddresses" => {
            world.own_package(asked.caller, id)?;
            let free = world.rows_of(id).filter(|row| row.item_id == 0 && is_external);
            read(Data::List(free.map(|row| world.package_address(row, false)).collect()))
        }
        "AllocatePackageIPAddresses" => {
            let count = if given.flag("allocateRandom") { given.int("addressesNumber") } else { -1 };
            allocate(world, call, asked, count)
        }
        "AllocateMaximumPackageIPAddresses" => {
            let package = world.own_package(asked.caller, id)?;
            let quota = world.allocated(package, ADDRESSES);
            let missing = quota - world.used(id, ADDRESSES);
            allocate(world, call, asked, missing.max(0))
        }
        "DeallocatePackageIPAddresses" => deallocate(world, asked),
        "GetMemoryPackageId" | "GetSystemMemoryInfoPackageId" => {
            let node_id = world.own_package(asked.caller, id)?.node_id;
            memory(world, asked, node_id)
        }
        "GetMemory" | "GetSystemMemoryInfo" => memory(world, asked, given.int("serverId")),
        name => unreachable!("{name} is in no list of servers"),
    }
}

fn rows(world: &World, id: i32, is_recursive: bool) -> Vec<&Row> {
    let is_below = |mut package_id: i32| {
        // Spaces nest no deeper than this.
        for _ in 0..8 {
            match world.package(package_id) {
                _ if package_id == id => return true,
                Some(package) => package_id = package.parent_id,
                None => return false,
            }
        }
        false
    };
    world.rows.iter().filter(|row| row.package_id == id || is_recursive && is_below(row.package_id)).collect()
}

fn memory(world: &World, asked: &Asked, node_id: i32) -> Reply {
    let node = world.node(node_id).ok_or(NO_OBJECT)?;
    if node.is_down {
        return Err("Unable to connect to the remote server".into());
    }
    let kilobytes = |megabytes: i32| Data::from(i64::from(megabytes) * 1024);
    let (free, total) = (world.free_memory(node_id), node.memory_mb);
    let names = if asked.operation.name.starts_with("GetMemory") {
        ["FreePhysicalMemoryKB", "FreeVirtualMemoryKB", "TotalVirtualMemorySizeKB", "TotalVisibleMemorySizeKB"]
    } else {
        ["FreePhysicalKB", "FreeVirtualKB", "TotalVirtualSizeKB", "TotalVisibleSizeKB"]
    };
    let [physical, virtual_free, virtual_total, visible] = names;
    read(Data::object([
        (physical, kilobytes(free)),
        (virtual_free, kilobytes(free)),
        (virtual_total, kilobytes(total)),
        (visible, kilobytes(total)),
    ]))
}

/// `count` of the first free ones, or those that are named when it is negative.
fn allocate(world: &mut World, call: u64, asked: &Asked, count: i32) -> Reply {
    let given = &asked.given;
    let id = given.int("packageId");
    if !world.may_package(asked.caller, id) {
        return Err(NO_PACKAGE.into());
    }
    if let Some(code) = world.refused_write(asked.caller, id) {
        return failure([code]);
    }
    let free = world.free_for(id, Some(call));
    let wanted: Vec<i32> = if count < 0 {
        let named = given.ints("addressId").ok_or(NO_OBJECT)?;
        named.into_iter().filter(|address| free.contains(address)).collect()
    } else {
        let count = usize::try_from(count).unwrap_or(0);
        if free.is_empty() && count > 0 {
            return failure(["IP_ADDRESSES_POOL_IS_EMPTY"]);
        }
        if free.len() < count {
            return failure(["IP_ADDRESSES_POOL_IS_NOT_ENOUGH_IPS"]);
        }
        free.into_iter().take(count).collect()
    };
    let quota = world.package(id).map_or(0, |package| world.allocated(package, ADDRESSES));
    let owned = world.rows_of(id).count() + wanted.len();
    if quota != -1 && owned > usize::try_from(quota).unwrap_or(0) {
        return failure(["IP_ADDRESSES_QUOTA_LIMIT_REACHED"]);
    }
    if wanted.is_empty() {
        return success(Effect::None, &[]);
    }
    for address in wanted {
        world.take_address(address, id, call);
    }
    success(Effect::AddressesAllocated(id), &[])
}

fn deallocate(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("packageId");
    let parent_id = world.own_package(asked.caller, id)?.parent_id;
    if let Some(code) = world.refused_write(asked.caller, id) {
        return failure([code]);
    }
    let named = asked.given.ints("addressId").ok_or(NO_OBJECT)?;
    let free: Vec<i32> =
        world.rows_of(id).filter(|row| named.contains(&row.id) && row.item_id == 0).map(|row| row.address_id).collect();
    for address in &free {
        world.give_address(*address, parent_id, 0);
    }
    success(if free.is_empty() { Effect::None } else { Effect::AddressesReleased(id) }, &[])
}

impl World {
    /// What a space may take, in the order in which the server picks: the addresses of the space above that no machine
    /// has. A call that overlaps with others does not see what they have taken, and picks the same.
    fn free_for(&self, package_id: i32, call: Option<u64>) -> Vec<i32> {
        let parent_id = self.package(package_id).map_or(0, |package| package.parent_id);
        let overlaps = |row: &&Row| {
            call.is_some_and(|call| row.by_call != call) && row.by_call != 0 && self.in_flight.contains(&row.by_call)
        };
        let above = self.rows.iter().filter(|row| row.package_id == parent_id && row.item_id == 0);
        let taken = self.rows.iter().filter(|row| row.package_id != package_id && row.package_id != parent_id);
        let mut free: Vec<i32> = above.chain(taken.filter(overlaps)).map(|row| row.address_id).collect();
        free.sort_unstable();
        free
    }

    fn take_address(&mut self, address_id: i32, package_id: i32, call: u64) {
        let parent_id = self.package(package_id).map_or(0, |package| package.parent_id);
        let owner = self.rows.iter().find(|row| row.address_id == address_id).map(|row| row.package_id);
        if let Some(owner) = owner.filter(|owner| *owner != parent_id) {
            let external = self.address(address_id).map_or("", |address| &address.external);
            self.thefts.push(format!("space {package_id} took {external} from space {owner}"));
        }
        self.give_address(address_id, package_id, call);
    }

    /// What a new space gets without asking: all that its plan allows, or none where the space above has too few.
    pub(in crate::solidcp) fn assign_by_quota(&mut self, package_id: i32, call: u64) {
        let Some(package) = self.package(package_id) else { return };
        let quota = self.allocated(package, ADDRESSES);
        let free = self.free_for(package_id, Some(call));
        let Ok(count) = usize::try_from(quota) else { return };
        if free.len() >= count {
            for address in free.into_iter().take(count) {
                self.take_address(address, package_id, call);
            }
        }
    }
}
