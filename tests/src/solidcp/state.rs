//! What the panel holds.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, Knobs, Node, Plan, Template};
use super::schema::Version;

/// Ids are given from here, with gaps: a client that guesses the next number is wrong.
const FIRST_USER: i32 = 57;
const FIRST_SPACE: i32 = 801;
const FIRST_MACHINE: i32 = 753;
const FIRST_ROW: i32 = 314;

pub(super) const SUSPENDED: i32 = 2;
pub(super) const CANCELLED: i32 = 3;

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: i32,
    pub(super) owner_id: i32,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) role: i32,
    pub(super) status: i32,
    pub(super) login_status: i32,
    pub(super) is_peer: bool,
    pub(super) is_demo: bool,
    /// Names, addresses, numbers, by the name of the member.
    pub(super) details: BTreeMap<&'static str, String>,
    pub(super) html_mail: bool,
    pub(super) created_ms: u64,
    pub(super) deletion: Option<u64>,
    pub(super) removed: bool,
    /// Somebody else's, as the test says.
    pub(super) foreign: bool,
    /// The number of the call that made it, 0 for one that was there before.
    pub(super) created_at_call: u64,
}

/// A hosting space.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) id: i32,
    pub(super) user_id: i32,
    pub(super) parent_id: i32,
    pub(super) node_id: i32,
    pub(super) plan_id: i32,
    pub(super) status: i32,
    pub(super) name: String,
    pub(super) comments: String,
    pub(super) purchased: String,
    pub(super) changed_ms: u64,
    pub(super) overrides_quotas: bool,
    /// When its removal is over.
    pub(super) deletion: Option<u64>,
    pub(super) removed: bool,
    pub(super) created_at_call: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Addon {
    pub(super) id: i32,
    pub(super) package_id: i32,
    pub(super) plan_id: i32,
    pub(super) quantity: i32,
    pub(super) status: i32,
    pub(super) comments: String,
    pub(super) purchased: String,
}

#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) id: i32,
    pub(super) external: String,
    pub(super) gateway: String,
    pub(super) vlan: i32,
    pub(super) node_id: i32,
}

/// That a space owns an address.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i32,
    pub(super) address_id: i32,
    pub(super) package_id: i32,
    /// 0 when no machine has it.
    pub(super) item_id: i32,
    pub(super) is_primary: bool,
    /// The call that moved it here, 0 for the pool.
    pub(super) by_call: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobKind {
    Install,
    Reinstall,
    Delete,
}

/// Work on a machine that goes on after the answer.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) kind: JobKind,
    pub(super) task_id: String,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// When the pool was recycled under it.
    pub(super) dies_ms: Option<u64>,
    pub(super) fails: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) id: i32,
    pub(super) package_id: i32,
    pub(super) name: String,
    pub(super) cores: i32,
    pub(super) ram_mb: i32,
    pub(super) disks_gb: Vec<i32>,
    pub(super) disk_paths: Vec<String>,
    /// Members that are kept as they were sent.
    pub(super) flags: BTreeMap<&'static str, bool>,
    pub(super) template: String,
    pub(super) template_path: String,
    pub(super) password: String,
    pub(super) vlan: i32,
    pub(super) job: Option<Job>,
    /// What the record says while no job runs: 1 OK, 3 Error.
    pub(super) provisioning: i32,
    /// Empty until the hypervisor has made it.
    pub(super) guid: String,
    /// 2 running, 3 off, 32768 paused, 32769 saved.
    pub(super) power: i32,
    /// What it follows its space to, and when.
    pub(super) follows: Option<(i32, u64)>,
    pub(super) started_ms: u64,
    pub(super) created_ms: u64,
    pub(super) reinstalls: u32,
    /// Removed behind the panel's back.
    pub(super) lost: bool,
    pub(super) removed: bool,
    pub(super) created_at_call: u64,
}

/// A SolidCP panel's whole state.
#[derive(Clone, Debug)]
pub struct World {
    /// Panel time of the look or call that is under way.
    pub(super) now_ms: u64,
    pub(super) version: Version,
    pub(super) knobs: Knobs,
    pub(super) nodes: Vec<Node>,
    pub(super) plans: Vec<Plan>,
    pub(super) templates: Vec<Template>,
    pub(super) users: Vec<User>,
    pub(super) packages: Vec<Package>,
    pub(super) addons: Vec<Addon>,
    pub(super) addresses: Vec<Address>,
    pub(super) rows: Vec<Row>,
    pub(super) machines: Vec<Machine>,
    /// Disk files that lie on a node without a machine of ours: node, name.
    pub(super) files: BTreeSet<(i32, String)>,
    /// Machines that live on although the panel has forgotten them.
    pub(super) orphans: Vec<String>,
    /// Addresses that were taken from one space by another.
    pub(super) thefts: Vec<String>,
    /// What the client did that a panel of flesh and blood would not survive or forgive.
    pub(super) damage: Vec<String>,
    /// Letters that customers got.
    pub(super) letters: u32,
    /// Calls that are being held: their work overlaps with that of others.
    pub(super) in_flight: BTreeSet<u64>,
    /// How many services are wanted at a time.
    pub(super) expected_services: usize,
    pub(super) secrets: BTreeSet<String>,
    serial: u64,
    next_addon: i32,
}

impl World {
    pub(super) fn new(config: &Config) -> Self {
        let now_ms = config.clock.now_ms();
        let mut world = Self {
            now_ms,
            version: config.version,
            knobs: config.knobs.clone(),
            nodes: config.nodes.clone(),
            plans: config.plans.clone(),
            templates: config.templates.clone(),
            users: Vec::new(),
            packages: Vec::new(),
            addons: Vec::new(),
            addresses: Vec::new(),
            rows: Vec::new(),
            machines: Vec::new(),
            files: BTreeSet::new(),
            orphans: Vec::new(),
            thefts: Vec::new(),
            damage: Vec::new(),
            letters: 0,
            in_flight: BTreeSet::new(),
            expected_services: 1,
            secrets: BTreeSet::new(),
            serial: 0,
            next_addon: 21,
        };
        for account in &config.accounts {
            world.secrets.insert(account.password.clone());
            world.users.push(User {
                id: account.id,
                owner_id: account.owner_id,
                username: account.username.clone(),
                password: account.password.clone(),
                role: account.role,
                status: account.status,
                login_status: 0,
                is_peer: account.is_peer,
                is_demo: account.is_demo,
                details: BTreeMap::from([("Email", format!("{}@example.test", account.username))]),
                html_mail: true,
                created_ms: now_ms,
                deletion: None,
                removed: false,
                foreign: true,
                created_at_call: 0,
            });
        }
        for space in &config.spaces {
            world.packages.push(Package {
                id: space.id,
                user_id: space.user_id,
                parent_id: 1,
                node_id: space.node_id,
                plan_id: space.plan_id,
                status: space.status,
                name: space.name.clone(),
                comments: String::new(),
                purchased: String::from("2024-03-01T09:30:00"),
                changed_ms: now_ms,
                overrides_quotas: false,
                deletion: None,
                removed: false,
                created_at_call: 0,
            });
        }
        for address in &config.addresses {
            let node_id = world.package(address.space_id).map_or(0, |package| package.node_id);
            world.addresses.push(Address {
                id: address.id,
                external: address.external.clone(),
                gateway: address.gateway.clone(),
                vlan: address.vlan,
                node_id,
            });
            world.give_address(address.id, address.space_id, 0);
        }
        world
    }

    /// A text that is the same in every run and remembered, so that a test can look for leaks.
    pub(super) fn secret(&mut self, kind: &str) -> String {
        self.serial += 1;
        let mixed = self.serial.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(23);
        let secret = format!("{kind}{mixed:016x}Zq");
        self.secrets.insert(secret.clone());
        secret
    }

    /// An id as Windows writes them, the same in every run.
    pub(super) fn guid(&mut self) -> String {
        self.serial += 1;
        let mixed = self.serial.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{:08x}-{:04x}-4a0b-8f57-{:012x}", mixed >> 32, mixed >> 16 & 0xffff, mixed & 0xffff_ffff_ffff)
    }

    pub(super) fn next_user_id(&self) -> i32 {
        FIRST_USER + 3 * count(self.users.len())
    }

    pub(super) fn next_package_id(&self) -> i32 {
        FIRST_SPACE + 7 * count(self.packages.len())
    }

    pub(super) fn next_machine_id(&self) -> i32 {
        FIRST_MACHINE + 5 * count(self.machines.len())
    }

    pub(super) fn next_addon_id(&mut self) -> i32 {
        self.next_addon += 2;
        self.next_addon
    }

    pub(super) fn user(&self, id: i32) -> Option<&User> {
        self.users.iter().find(|user| user.id == id && !user.removed)
    }

    pub(super) fn user_mut(&mut self, id: i32) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id && !user.removed)
    }

    /// Names are compared as the database does, without case.
    pub(super) fn user_named(&self, username: &str) -> Option<&User> {
        self.users.iter().find(|user| user.username.eq_ignore_ascii_case(username) && !user.removed)
    }

    pub(super) fn package(&self, id: i32) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id && !package.removed)
    }

    pub(super) fn package_mut(&mut self, id: i32) -> Option<&mut Package> {
        self.packages.iter_mut().find(|package| package.id == id && !package.removed)
    }

    pub(super) fn packages_of(&self, user_id: i32) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(move |package| package.user_id == user_id && !package.removed)
    }

    pub(super) fn packages_below(&self, parent_id: i32) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(move |package| package.parent_id == parent_id && !package.removed)
    }

    pub(super) fn plan(&self, id: i32) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    pub(super) fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(super) fn machine(&self, id: i32) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == id && !machine.removed)
    }

    pub(super) fn machine_mut(&mut self, id: i32) -> Option<&mut Machine> {
        self.machines.iter_mut().find(|machine| machine.id == id && !machine.removed)
    }

    pub(super) fn machines_of(&self, package_id: i32) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(move |machine| machine.package_id == package_id && !machine.removed)
    }

    /// The host of a machine.
    pub(super) fn node_of(&self, machine: &Machine) -> Option<&Node> {
        self.node(self.package(machine.package_id)?.node_id)
    }

    /// What is left of a host's memory, in MB.
    pub(super) fn free_memory(&self, node_id: i32) -> i32 {
        let total = self.node(node_id).map_or(0, |node| node.memory_mb);
        let here = |machine: &&Machine| self.package(machine.package_id).is_some_and(|found| found.node_id == node_id);
        let machines = self.machines.iter().filter(|machine| !machine.removed);
        total - machines.filter(here).map(|machine| machine.ram_mb).sum::<i32>()
    }

    pub(super) fn address(&self, id: i32) -> Option<&Address> {
        self.addresses.iter().find(|address| address.id == id)
    }

    pub(super) fn rows_of(&self, package_id: i32) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.package_id == package_id)
    }

    /// The addresses of a machine, the primary one first.
    pub(super) fn addresses_of(&self, machine_id: i32) -> Vec<&Address> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.item_id == machine_id).collect();
        rows.sort_by_key(|row| (!row.is_primary, row.id));
        rows.iter().filter_map(|row| self.address(row.address_id)).collect()
    }

    /// Makes a space the owner of an address, whoever owned it before.
    pub(super) fn give_address(&mut self, address_id: i32, package_id: i32, by_call: u64) {
        self.rows.retain(|row| row.address_id != address_id);
        self.serial += 1;
        let id = FIRST_ROW + i32::try_from(self.serial).unwrap_or(0);
        self.rows.push(Row { id, address_id, package_id, item_id: 0, is_primary: false, by_call });
    }

    /// Whether the test says that this user, space or machine is somebody else's.
    pub(super) fn is_foreign_user(&self, id: i32) -> bool {
        self.users.iter().any(|user| user.id == id && user.foreign)
    }

    pub(super) fn is_foreign_package(&self, id: i32) -> bool {
        let found = self.packages.iter().find(|package| package.id == id);
        found.is_some_and(|package| self.is_foreign_user(package.user_id))
    }

    pub(super) fn is_foreign_machine(&self, id: i32) -> bool {
        let found = self.machines.iter().find(|machine| machine.id == id);
        found.is_some_and(|machine| self.is_foreign_package(machine.package_id))
    }
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
