//! How a panel is set up: accounts, servers, spaces, plans and addresses, and the knobs that change its manners.

use std::collections::BTreeMap;

use super::schema::Version;
use crate::clock::{ManualClock, PanelClock};

/// What a panel starts with. [`Config::default`] has everything that a lifecycle needs: a reseller with two spaces on two
/// servers, plans and addresses in both, and a second reseller who is nobody's business.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may log in.
    pub accounts: Vec<Account>,
    /// The Hyper-V hosts.
    pub nodes: Vec<Node>,
    /// The resellers' hosting spaces.
    pub spaces: Vec<Space>,
    /// What can be sold: 11 and 12 from space 5, 21 and 22 from space 6, 31 is an add-on, by default.
    pub plans: Vec<Plan>,
    /// The addresses that spaces own.
    pub addresses: Vec<PoolAddress>,
    /// What can be installed.
    pub templates: Vec<Template>,
    /// What it speaks.
    pub version: Version,
    /// What its work is computed from.
    pub clock: PanelClock,
    /// Timings and manners, see also [`super::Panel::tune`].
    pub knobs: Knobs,
    /// Whether `/_panel/…` is served, to look at the panel from outside.
    pub control: bool,
}

/// A user that is there from the start.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's id.
    pub id: i32,
    /// Whose it is; 0 is nobody's.
    pub owner_id: i32,
    /// The login.
    pub username: String,
    /// In clear.
    pub password: String,
    /// 1 administrator, 2 reseller, 3 user.
    pub role: i32,
    /// 1 active, 2 suspended, 3 cancelled, 4 pending.
    pub status: i32,
    /// Whether it acts for its owner.
    pub is_peer: bool,
    /// Whether it may look and not touch.
    pub is_demo: bool,
}

impl Account {
    /// An active reseller.
    pub fn reseller(id: i32, username: &str) -> Self {
        Self {
            id,
            owner_id: 1,
            username: username.into(),
            password: format!("{username}-Pass-51c0"),
            role: 2,
            status: 1,
            is_peer: false,
            is_demo: false,
        }
    }
}

/// A Hyper-V host.
#[derive(Clone, Debug)]
pub struct Node {
    /// What spaces and plans call the server.
    pub id: i32,
    /// Shown in lists.
    pub name: String,
    /// What there is for machines, in MB.
    pub memory_mb: i32,
    /// The most that one machine can have.
    pub cores: i32,
    /// Whether it takes no changes.
    pub in_maintenance: bool,
    /// Whether it cannot be reached.
    pub is_down: bool,
}

/// A reseller's hosting space.
#[derive(Clone, Debug)]
pub struct Space {
    /// The package id.
    pub id: i32,
    /// Whose it is.
    pub user_id: i32,
    /// Where its machines land.
    pub node_id: i32,
    /// Shown in lists.
    pub name: String,
    /// 1 active, 2 suspended.
    pub status: i32,
    /// The plan that it was made from.
    pub plan_id: i32,
}

/// A hosting plan or an add-on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What a package calls `PlanId`.
    pub id: i32,
    /// Who sells it.
    pub user_id: i32,
    /// The space that it sells from.
    pub space_id: i32,
    /// Its server.
    pub node_id: i32,
    /// Shown in lists.
    pub name: String,
    /// Whether it only adds to another plan.
    pub is_addon: bool,
    /// By name; -1 is no limit, and what is not here is 0.
    pub quotas: BTreeMap<String, i32>,
}

/// An address of a space's.
#[derive(Clone, Debug)]
pub struct PoolAddress {
    /// What `AddressID` means.
    pub id: i32,
    /// The space that owns it.
    pub space_id: i32,
    /// The address.
    pub external: String,
    /// Of its network.
    pub gateway: String,
    /// What a machine's network card has to be told.
    pub vlan: i32,
}

/// An installable disk.
#[derive(Clone, Debug)]
pub struct Template {
    /// The file's name.
    pub path: String,
    /// Shown to customers.
    pub name: String,
    /// The least that a disk must have, in GB.
    pub disk_gb: i32,
}

/// What goes wrong with a job that has been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    Spared,
    /// It ends in an error.
    Fails,
    /// The pool is recycled and the job is gone; the record says so only once it is looked at.
    Dies,
    /// It never ends.
    Stalls,
}

/// What may change while a panel runs.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// How long a machine takes to be made or installed anew.
    pub provision_ms: u64,
    /// How long before its end the record says `Error` while the job still runs.
    pub doubtful_ms: u64,
    /// How long a machine takes to go.
    pub delete_ms: u64,
    /// How long a space takes to go.
    pub delete_space_ms: u64,
    /// How long a user takes to go.
    pub delete_user_ms: u64,
    /// How long a machine takes to follow its space's status.
    pub follow_ms: u64,
    /// What befalls the coming installations, the next first.
    pub installations: Vec<Mishap>,
    /// What befalls the coming removals of machines, the next first.
    pub deletions: Vec<Mishap>,
    /// Whether a new space gets the addresses of its plan at once.
    pub assigns_addresses: bool,
    /// Whether a space that sells more than it has is noticed.
    pub checks_space: bool,
    /// How many coming changes of a status are accepted and forgotten.
    pub forgotten_statuses: u32,
    /// Whether a machine that is removed leaves its disk file on the host.
    pub leaves_files: bool,
    /// Whether the hypervisor refuses what a space's removal asks of it.
    pub hypervisor_refuses: bool,
    /// Whether the console's gateway is set up.
    pub has_console: bool,
    /// Traffic of hosting spaces: space, group, bytes sent and received.
    pub traffic: Vec<(i32, String, i64, i64)>,
    /// Disk space of hosting spaces: space, group, bytes.
    pub disk: Vec<(i32, String, i64)>,
    /// How answers are written.
    pub manners: Manners,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            provision_ms: 60_000,
            doubtful_ms: 2_000,
            delete_ms: 20_000,
            delete_space_ms: 10_000,
            delete_user_ms: 2_000,
            follow_ms: 5_000,
            installations: Vec::new(),
            deletions: Vec::new(),
            assigns_addresses: true,
            checks_space: false,
            forgotten_statuses: 0,
            leaves_files: false,
            hypervisor_refuses: false,
            has_console: true,
            traffic: Vec::new(),
            disk: Vec::new(),
            manners: Manners::default(),
        }
    }
}

/// What a reader must not depend on.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Whether elements carry a prefix.
    pub is_prefixed: bool,
    /// Whether what is null is said to be, instead of left out.
    pub says_nil: bool,
    /// Whether addressing headers come with every reply.
    pub reply_headers: bool,
    /// Whether times have a zone.
    pub has_zones: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { is_prefixed: false, says_nil: false, reply_headers: true, has_zones: true }
    }
}

impl Config {
    /// The defaults on a clock that the caller keeps to move.
    pub fn at(clock: &ManualClock) -> Self {
        Self { clock: PanelClock::Manual(clock.clone()), ..Self::default() }
    }

    /// Gives the spaces under test so many addresses each, and hosts and quotas with room for as many machines.
    pub fn add_addresses(&mut self, count: usize) {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.addresses = [(5, 0), (6, 20)]
            .into_iter()
            .flat_map(|(space_id, vlan)| (0..count).map(move |host| (space_id, vlan, host)))
            .map(|(space_id, vlan, host)| PoolAddress {
                id: 100 * space_id + host * 1_000,
                space_id,
                external: format!("10.{space_id}.{}.{}", host / 250, host % 250 + 1),
                gateway: format!("10.{space_id}.255.254"),
                vlan,
            })
            .collect();
        for node in &mut self.nodes {
            node.memory_mb = node.memory_mb.max(count.saturating_mul(8192));
        }
        for plan in self.plans.iter_mut().filter(|plan| plan.space_id == 1) {
            plan.quotas.insert("VPS2012.Ram".into(), -1);
            plan.quotas.insert("VPS2012.Hdd".into(), -1);
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let administrator = Account { owner_id: 0, role: 1, ..Account::reseller(1, "serveradmin") };
        Self {
            accounts: vec![administrator, Account::reseller(2, "reseller"), Account::reseller(3, "neighbour")],
            nodes: vec![node(4, "HV-SSD-1"), node(8, "HV-HDD-1")],
            spaces: vec![
                space(5, 2, 4, "Reseller SSD"),
                space(6, 2, 8, "Reseller HDD"),
                space(7, 3, 4, "Neighbour SSD"),
            ],
            plans: vec![
                Plan { quotas: reseller_quotas(), ..plan(1, (1, 1), 0, "Reseller") },
                Plan { quotas: quotas(2, 4096, 60, 1), ..plan(11, (2, 5), 4, "VM-S") },
                Plan { quotas: quotas(4, 8192, 120, 2), ..plan(12, (2, 5), 4, "VM-M") },
                Plan { quotas: quotas(2, 4096, 60, 1), ..plan(21, (2, 6), 8, "VM-S HDD") },
                Plan { quotas: quotas(4, 8192, 120, 2), ..plan(22, (2, 6), 8, "VM-M HDD") },
                Plan {
                    is_addon: true,
                    quotas: BTreeMap::from([("VPS2012.ExternalIPAddressesNumber".into(), 1)]),
                    ..plan(31, (2, 5), 4, "One more address")
                },
                Plan { quotas: quotas(2, 4096, 60, 1), ..plan(51, (3, 7), 4, "Neighbour VM") },
            ],
            addresses: [(5, 10, 0), (6, 30, 20), (7, 50, 0)]
                .into_iter()
                .flat_map(|(space_id, first, vlan)| (first..first + 8).map(move |host| address(space_id, host, vlan)))
                .collect(),
            templates: vec![
                Template { path: "win2022.vhdx".into(), name: "Windows Server 2022".into(), disk_gb: 40 },
                Template { path: "debian12.vhdx".into(), name: "Debian 12".into(), disk_gb: 10 },
            ],
            version: Version::V1_5_1,
            clock: PanelClock::Manual(ManualClock::default()),
            knobs: Knobs::default(),
            control: false,
        }
    }
}

fn node(id: i32, name: &str) -> Node {
    Node { id, name: name.into(), memory_mb: 65_536, cores: 16, in_maintenance: false, is_down: false }
}

fn space(id: i32, user_id: i32, node_id: i32, name: &str) -> Space {
    Space { id, user_id, node_id, name: name.into(), status: 1, plan_id: 1 }
}

fn plan(id: i32, (user_id, space_id): (i32, i32), node_id: i32, name: &str) -> Plan {
    Plan { id, user_id, space_id, node_id, name: name.into(), is_addon: false, quotas: BTreeMap::new() }
}

fn address(space_id: i32, host: i32, vlan: i32) -> PoolAddress {
    let net = if vlan == 0 { "203.0.113" } else { "198.51.100" };
    PoolAddress { id: host - 4, space_id, external: format!("{net}.{host}"), gateway: format!("{net}.1"), vlan }
}

/// One machine of this size, with all that may be asked of it.
fn quotas(cores: i32, ram_mb: i32, disk_gb: i32, addresses: i32) -> BTreeMap<String, i32> {
    let sizes = [
        ("ServersNumber", 1),
        ("CpuNumber", cores),
        ("Ram", ram_mb),
        ("Hdd", disk_gb),
        ("ExternalIPAddressesNumber", addresses),
        ("SnapshotsNumber", 5),
        ("Bandwidth", -1),
        ("AdditionalVhdCount", 1),
    ];
    let allowed = [
        "ManagingAllowed",
        "ExternalNetworkEnabled",
        "StartShutdownAllowed",
        "PauseResumeAllowed",
        "RebootAllowed",
        "ResetAlowed",
        "ReinstallAllowed",
    ];
    sizes
        .into_iter()
        .chain(allowed.map(|name| (name, 1)))
        .map(|(name, value)| (format!("VPS2012.{name}"), value))
        .collect()
}

fn reseller_quotas() -> BTreeMap<String, i32> {
    let mut quotas = quotas(-1, 65_536, 2_000, -1);
    quotas.insert("VPS2012.ServersNumber".into(), -1);
    quotas
}
