//! Users, spaces and machines as a test sees them, and those that a test puts there.

use serde::Serialize;

use super::jobs::{OK, RUNNING};
use super::schema::SCHEMA;
use super::state::{Machine, Package, User, World};
use super::value::Members;

/// A user as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// The panel's id.
    pub id: i32,
    /// Whose it is.
    pub owner_id: i32,
    /// The login.
    pub username: String,
    /// In clear.
    pub password: String,
    /// 1 administrator, 2 reseller, 3 user.
    pub role: i32,
    /// 1 active, 2 suspended, 3 cancelled, 4 pending.
    pub status: i32,
    /// The address for letters.
    pub email: String,
    /// First and last name.
    pub name: (String, String),
    /// The number of the call that made it, 0 for one that was there before.
    pub created_at_call: u64,
}

/// A hosting space as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpaceView {
    /// The package id.
    pub id: i32,
    /// Whose it is.
    pub user_id: i32,
    /// The reseller's space that it was sold from.
    pub parent_id: i32,
    /// Its plan.
    pub plan_id: i32,
    /// 1 active, 2 suspended, 3 cancelled, 4 new.
    pub status: i32,
    /// Shown to customers.
    pub name: String,
    /// Shown to staff.
    pub comments: String,
    /// Its addresses, in the order of their ids.
    pub addresses: Vec<String>,
    /// Add-on plans and quantities.
    pub addons: Vec<(i32, i32)>,
    /// Whether it is being removed.
    pub is_going: bool,
    /// The number of the call that made it, 0 for one that was there before.
    pub created_at_call: u64,
}

/// A machine as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineView {
    /// The item id.
    pub id: i32,
    /// Its space.
    pub space_id: i32,
    /// Its name.
    pub name: String,
    /// Cores.
    pub cores: i32,
    /// MB.
    pub ram_mb: i32,
    /// GB of each disk.
    pub disks_gb: Vec<i32>,
    /// What is installed, by its name.
    pub template: String,
    /// Of its administrator, in clear.
    pub password: String,
    /// As the record says: `OK`, `Error`, `InProgress`, `DeletionProgress`.
    pub provisioning: &'static str,
    /// Whether a job works on it.
    pub is_busy: bool,
    /// Whether it runs.
    pub is_running: bool,
    /// As the hypervisor says.
    pub state: &'static str,
    /// Its addresses, the primary one first.
    pub addresses: Vec<String>,
    /// How often it was installed anew.
    pub reinstalls: u32,
    /// The number of the call that made it, 0 for one that was there before.
    pub created_at_call: u64,
}

/// A user with a space and a running machine to put on the panel.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The login.
    pub username: String,
    /// The reseller whose customer it is.
    pub owner_id: i32,
    /// The plan of the space; `None` for a user without one.
    pub plan_id: Option<i32>,
    /// The space's name.
    pub space_name: String,
    /// The machine's name; `None` for a space without one.
    pub machine: Option<String>,
    /// Whether the client under test may change them.
    pub ours: bool,
}

impl UserView {
    pub(super) fn of(user: &User) -> Self {
        let detail = |name| user.details.get(name).cloned().unwrap_or_default();
        Self {
            id: user.id,
            owner_id: user.owner_id,
            username: user.username.clone(),
            password: user.password.clone(),
            role: user.role,
            status: user.status,
            email: detail("Email"),
            name: (detail("FirstName"), detail("LastName")),
            created_at_call: user.created_at_call,
        }
    }
}

impl SpaceView {
    pub(super) fn of(world: &World, package: &Package) -> Self {
        let mut owned: Vec<i32> = world.rows_of(package.id).map(|row| row.address_id).collect();
        owned.sort_unstable();
        let addresses = owned.iter().filter_map(|id| world.address(*id));
        let addons = world.addons.iter().filter(|addon| addon.package_id == package.id);
        Self {
            id: package.id,
            user_id: package.user_id,
            parent_id: package.parent_id,
            plan_id: package.plan_id,
            status: package.status,
            name: package.name.clone(),
            comments: package.comments.clone(),
            addresses: addresses.map(|address| address.external.clone()).collect(),
            addons: addons.map(|addon| (addon.plan_id, addon.quantity)).collect(),
            is_going: package.deletion.is_some(),
            created_at_call: package.created_at_call,
        }
    }
}

impl MachineView {
    pub(super) fn of(world: &World, machine: &Machine) -> Self {
        let power = world.power(machine);
        let is_there = !machine.guid.is_empty();
        Self {
            id: machine.id,
            space_id: machine.package_id,
            name: machine.name.clone(),
            cores: machine.cores,
            ram_mb: machine.ram_mb,
            disks_gb: machine.disks_gb.clone(),
            template: machine.template.clone(),
            password: machine.password.clone(),
            provisioning: SCHEMA.name("VirtualMachineProvisioningStatus", world.provisioning(machine)),
            is_busy: machine.job.is_some(),
            is_running: is_there && power == RUNNING,
            state: SCHEMA.name("VirtualMachineState", power),
            addresses: world.addresses_of(machine.id).iter().map(|address| address.external.clone()).collect(),
            reinstalls: machine.reinstalls,
            created_at_call: machine.created_at_call,
        }
    }
}

impl World {
    /// The ids of user, space and machine; 0 for what is not there.
    pub(super) fn seed_customer(&mut self, seed: Customer) -> (i32, i32, i32) {
        let user_id = self.next_user_id();
        let password = self.secret("seed");
        self.users.push(User {
            id: user_id,
            owner_id: seed.owner_id,
            username: seed.username,
            password,
            role: 3,
            status: 1,
            login_status: 0,
            is_peer: false,
            is_demo: false,
            details: Default::default(),
            html_mail: true,
            created_ms: self.now_ms,
            deletion: None,
            removed: false,
            foreign: !seed.ours,
            created_at_call: 0,
        });
        let Some(plan_id) = seed.plan_id else { return (user_id, 0, 0) };
        let id = self.seed_space(user_id, plan_id, seed.space_name);
        let Some(name) = seed.machine else { return (user_id, id, 0) };
        (user_id, id, self.seed_machine(id, name))
    }

    pub(super) fn seed_space(&mut self, user_id: i32, plan_id: i32, name: String) -> i32 {
        let (parent_id, node_id) = self.plan(plan_id).map_or((0, 0), |plan| (plan.space_id, plan.node_id));
        let id = self.next_package_id();
        self.packages.push(Package {
            id,
            user_id,
            parent_id,
            node_id,
            plan_id,
            status: 1,
            name,
            comments: String::new(),
            purchased: self.instant(self.now_ms),
            changed_ms: self.now_ms,
            overrides_quotas: false,
            deletion: None,
            removed: false,
            created_at_call: 0,
        });
        self.assign_by_quota(id, 0);
        id
    }

    fn seed_machine(&mut self, package_id: i32, name: String) -> i32 {
        let id = self.next_machine_id();
        let (guid, password) = (self.guid(), self.secret("vm"));
        let allowed =
            ["StartTurnOffAllowed", "PauseResumeAllowed", "RebootAllowed", "ResetAllowed", "ReinstallAllowed"];
        let mut flags: std::collections::BTreeMap<_, _> = allowed.map(|flag| (flag, true)).into();
        flags.insert("ExternalNetworkEnabled", true);
        let vlan = self.rows_of(package_id).find_map(|row| Some(self.address(row.address_id)?.vlan));
        self.machines.push(Machine {
            id,
            package_id,
            disk_paths: vec![format!("D:\\VMs\\{name}\\disk.vhdx")],
            name,
            cores: 2,
            ram_mb: 4096,
            disks_gb: vec![60],
            flags,
            template: self.templates[0].name.clone(),
            template_path: format!("D:\\Templates\\{}", self.templates[0].path),
            password,
            vlan: vlan.unwrap_or(0),
            job: None,
            provisioning: OK,
            guid,
            power: RUNNING,
            follows: None,
            started_ms: self.now_ms,
            created_ms: self.now_ms,
            reinstalls: 0,
            lost: false,
            removed: false,
            created_at_call: 0,
        });
        for row in self.rows.iter_mut().filter(|row| row.package_id == package_id) {
            (row.item_id, row.is_primary) = (id, true);
        }
        id
    }
}

/// The parameters that hold a password.
pub(super) fn is_secret(name: &str) -> bool {
    matches!(name, "password" | "adminPassword" | "AdministratorPassword")
}

/// Every password of a call.
pub(super) fn passwords(given: &Members) -> Vec<String> {
    let mut found = Vec::new();
    given.each_text(&mut |name, text| {
        if is_secret(name) && !text.is_empty() {
            found.push(text.to_owned());
        }
    });
    found
}

/// A request's body as the ledger has it: the texts of passwords are stars.
pub(super) fn written(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>').map(|end| at + end + 1) else { break };
        let tag = &rest[at..end];
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        let name = tag.trim_start_matches('<').split([' ', '>', '/', '\n', '\r', '\t']).next().unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or_default();
        if is_secret(name) && !tag.ends_with("/>") {
            out.push_str("***");
            // Up to the end tag, whatever a careless client has put between.
            let close = rest.find("</").unwrap_or(rest.len());
            rest = &rest[close..];
        }
    }
    out.push_str(rest);
    out
}

/// A request's body without the elements of these names, none of which has others of its own name within.
pub(super) fn without<'a>(body: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut body = body.to_owned();
    for name in names {
        let (open, close) = (format!("<{name}"), format!("</{name}>"));
        let mut from = 0;
        while let Some(at) = body[from..].find(&open).map(|at| from + at) {
            let rest = &body[at + open.len()..];
            let Some(end) = rest.find('>').filter(|_| rest.starts_with([' ', '>', '/'])) else {
                from = at + open.len();
                continue;
            };
            let length = match rest[..end].ends_with('/') {
                true => end + 1,
                false => rest.find(&close).map_or(rest.len(), |at| at + close.len()),
            };
            body.replace_range(at..at + open.len() + length, "");
            from = at;
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_has_no_password() {
        for (body, expected) in [
            ("<a><password>x</password><b>y</b></a>", "<a><password>***</password><b>y</b></a>"),
            ("<n:password a=\"1\">x&lt;</n:password>", "<n:password a=\"1\">***</n:password>"),
            ("<adminPassword><![CDATA[x<y>]]></adminPassword>", "<adminPassword>***</adminPassword>"),
            ("<password /><passwords>x</passwords>", "<password /><passwords>x</passwords>"),
            ("<AdministratorPassword>x", "<AdministratorPassword>***"),
        ] {
            assert_eq!(written(body), expected);
        }
    }

    #[test]
    fn what_a_version_does_not_know_is_cut_out_before_it_is_judged() {
        let body = "<a><x>1</x><xy>2</xy><x /><x/><b><x><c>3</c></x></b><y>4</y></a>";

        assert_eq!(without(body, ["x", "y"].into_iter()), "<a><xy>2</xy><b></b></a>");
    }
}
