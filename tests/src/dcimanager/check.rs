//! What a panel can judge by itself when a test is over.

use super::config::Level;
use super::state::World;

/// Every broken invariant, as sentences.
pub(super) fn check(world: &World) -> Vec<String> {
    let mut broken = world.breaches.clone();
    broken.extend(too_many_servers(world));
    broken.extend(too_many_accounts(world));
    broken.extend(too_many_installs(world));
    broken.extend(dirty_releases(world));
    broken.extend(shared_addresses(world));
    broken.extend(shared_names(world));
    broken
}

/// Machines that the client under test holds, for its customers or on the way to them or back.
fn too_many_servers(world: &World) -> Option<String> {
    let held: Vec<u64> = world.servers.iter().filter(|server| world.is_held(server)).map(|server| server.id).collect();
    let wanted = world.expected_servers;
    (held.len() > wanted).then(|| format!("the machines {held:?} are held, {wanted} wanted"))
}

fn too_many_accounts(world: &World) -> Option<String> {
    let (made, wanted) = (world.made_accounts.len(), world.expected_accounts);
    (made > wanted).then(|| format!("{made} accounts were made, {wanted} wanted"))
}

fn too_many_installs(world: &World) -> Vec<String> {
    let wanted = |id| world.expected_installs.get(&id).copied().unwrap_or(1);
    let often = world.servers.iter().filter(|server| server.installs > wanted(server.id));
    often.map(|server| format!("machine {} was installed {} times for one owner", server.id, server.installs)).collect()
}

/// A machine without an owner that is not as the next customer should find it, or that nobody can buy.
fn dirty_releases(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    let released = world.servers.iter().filter(|server| server.is_touched && server.owner.is_none());
    for server in released {
        let mut say = |what: &str| broken.push(format!("machine {} has no owner and {what}", server.id));
        if !server.is_called_free() {
            say("is not called free: nobody can buy it");
        }
        if server.install.is_some() {
            say("is being installed");
        }
        if server.is_disabled || server.block_to.is_some_and(|block| block.is_disabled) {
            say("is blocked");
        }
        if server.addresses.len() > 1 {
            say("keeps further addresses");
        }
        if server.notes != server.first_notes {
            say("its notes are not what they were");
        }
    }
    broken
}

fn shared_addresses(world: &World) -> Vec<String> {
    let used = || world.servers.iter().flat_map(|server| &server.addresses).map(|address| &address.ip);
    let twice = used().filter(|ip| used().filter(|other| other == ip).count() > 1);
    let pooled = world.pools.iter().flat_map(|pool| &pool.free).filter(|ip| used().any(|other| other == *ip));
    let twice = twice.map(|ip| format!("{ip} is used twice"));
    twice.chain(pooled.map(|ip| format!("{ip} is used and free"))).collect()
}

/// The domain of an account's machine must be unique among all that are sold.
fn shared_names(world: &World) -> Vec<String> {
    let sold = || world.servers.iter().filter(|server| server.owner.is_some() && !server.is_called_free());
    let shared =
        sold().filter(|server| sold().any(|other| other.id != server.id && other.hostname() == server.hostname()));
    shared.map(|server| format!("machine {} shares the name {}", server.id, server.hostname())).collect()
}

impl World {
    /// Whether the client under test has this machine in hand.
    pub(super) fn is_held(&self, server: &super::state::Server) -> bool {
        server.is_touched && !server.is_stolen && server.owner.is_some_and(|owner| self.is_ours(owner))
    }

    /// Whether a customer of the client under test has this machine.
    pub(super) fn is_sold(&self, server: &super::state::Server) -> bool {
        let owner = server.owner.and_then(|owner| self.account(owner));
        self.is_held(server) && owner.is_some_and(|owner| owner.level == Level::User)
    }
}
