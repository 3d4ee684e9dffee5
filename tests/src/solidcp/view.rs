//! What the panel shows of what it holds.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::config::{Plan, Template};
use super::jobs::{OK, RUNNING};
use super::schema::SCHEMA;
use super::state::{Address, Job, Machine, Package, Row, User, World};
use super::value::{Data, Members};

/// The names and numbers of a user that are kept as they come.
pub(super) const DETAILS: [(&str, usize); 16] = [
    ("Comments", 0),
    ("LastName", 50),
    ("FirstName", 50),
    ("Email", 255),
    ("PrimaryPhone", 30),
    ("Zip", 20),
    ("InstantMessenger", 100),
    ("Fax", 30),
    ("SecondaryPhone", 30),
    ("SecondaryEmail", 255),
    ("Country", 50),
    ("Address", 200),
    ("City", 50),
    ("State", 50),
    ("CompanyName", 100),
    ("SubscriberNumber", 32),
];

/// What a machine is sent with and keeps.
pub(super) const FLAGS: [&str; 17] = [
    "DvdDriveInstalled",
    "BootFromCD",
    "NumLockEnabled",
    "StartTurnOffAllowed",
    "PauseResumeAllowed",
    "RebootAllowed",
    "ResetAllowed",
    "ReinstallAllowed",
    "LegacyNetworkAdapter",
    "RemoteDesktopEnabled",
    "ExternalNetworkEnabled",
    "PrivateNetworkEnabled",
    "ManagementNetworkEnabled",
    "DmzNetworkEnabled",
    "EnableSecureBoot",
    "NeedReboot",
    "IsClustered",
];

impl World {
    /// A time of the database.
    pub(super) fn instant(&self, ms: u64) -> String {
        let zone = if self.knobs.manners.has_zones { "+00:00" } else { "" };
        format!("{}{zone}", local(ms, "%Y-%m-%dT%H:%M:%S.337"))
    }

    pub(super) fn user_info(&self, user: &User) -> Data {
        let mut info = Members::default();
        for (number, name, kind, value) in [
            ("RoleId", "Role", "UserRole", user.role),
            ("StatusId", "Status", "UserStatus", user.status),
            ("LoginStatusId", "LoginStatus", "UserLoginStatus", user.login_status),
        ] {
            info.set(number, value);
            info.set(name, SCHEMA.name(kind, value));
        }
        for (name, _) in DETAILS {
            info.set(name, user.details.get(name).map_or("", String::as_str));
        }
        info.set("UserId", user.id);
        info.set("OwnerId", user.owner_id);
        info.set("IsPeer", user.is_peer);
        info.set("IsDemo", user.is_demo);
        info.set("Created", self.instant(user.created_ms));
        info.set("Changed", self.instant(user.created_ms));
        info.set("Username", &*user.username);
        info.set("HtmlMail", user.html_mail);
        info.set("Vlans", Data::List(Vec::new()));
        Data::Object(info)
    }

    /// A space as lists have it, which is without its remarks.
    pub(super) fn package_info(&self, package: &Package) -> Data {
        Data::object([
            ("PackageId", Data::from(package.id)),
            ("UserId", Data::from(package.user_id)),
            ("ParentPackageId", Data::from(package.parent_id)),
            ("StatusId", Data::from(package.status)),
            ("PlanId", Data::from(package.plan_id)),
            ("PurchaseDate", Data::from(&*package.purchased)),
            ("PackageName", Data::from(&*package.name)),
            ("ServerId", Data::from(package.node_id)),
            ("StatusIDchangeDate", Data::from(self.instant(package.changed_ms))),
        ])
    }

    /// A space as it is shown alone.
    pub(super) fn whole_package(&self, package: &Package) -> Data {
        let Data::Object(mut info) = self.package_info(package) else { return Data::Null };
        info.set("PackageComments", &*package.comments);
        info.set("OverrideQuotas", package.overrides_quotas);
        Data::Object(info)
    }

    pub(super) fn plan_info(&self, plan: &Plan) -> Data {
        let quota = |(name, value): (&String, &i32)| {
            let id = super::quotas::QUOTAS.iter().find(|(found, _, _)| found == name).map_or(0, |(_, id, _)| *id);
            Data::object([("QuotaId", Data::from(id)), ("QuotaValue", Data::from(*value))])
        };
        Data::object([
            ("PlanId", Data::from(plan.id)),
            ("PackageId", Data::from(plan.space_id)),
            ("PlanName", Data::from(&*plan.name)),
            ("PlanDescription", Data::from("")),
            ("Available", Data::from(true)),
            ("ServerId", Data::from(plan.node_id)),
            ("IsAddon", Data::from(plan.is_addon)),
            ("RecurrenceUnit", Data::from(2)),
            ("RecurrenceLength", Data::from(1)),
            ("Groups", Data::List(vec![group()])),
            ("Quotas", Data::List(plan.quotas.iter().map(quota).collect())),
            ("UserId", Data::from(plan.user_id)),
        ])
    }

    /// An address that a space owns. Of what no machine has, the list of unassigned ones does not say whose it is.
    pub(super) fn package_address(&self, row: &Row, is_listed: bool) -> Data {
        let Some(address) = self.address(row.address_id) else { return Data::Null };
        let package = self.package(row.package_id).filter(|_| is_listed);
        let user = package.and_then(|package| self.user(package.user_id));
        let machine = self.machine(row.item_id);
        Data::object([
            ("PackageAddressID", Data::from(row.id)),
            ("AddressID", Data::from(row.address_id)),
            ("ExternalIP", Data::from(&*address.external)),
            ("InternalIP", Data::from("")),
            ("SubnetMask", Data::from(MASK)),
            ("DefaultGateway", Data::from(&*address.gateway)),
            ("ItemId", Data::from(row.item_id)),
            ("ItemName", Data::maybe(machine.map(|machine| &*machine.name))),
            ("IsPrimary", Data::from(row.is_primary)),
            ("PackageId", Data::from(package.map_or(0, |package| package.id))),
            ("PackageName", Data::maybe(package.map(|package| &*package.name))),
            ("UserId", Data::from(user.map_or(0, |user| user.id))),
            ("UserName", Data::maybe(user.map(|user| &*user.username))),
            ("VLAN", Data::from(address.vlan)),
        ])
    }

    /// An address that nobody below a space has.
    pub(super) fn unallotted_address(&self, address: &Address) -> Data {
        Data::object([
            ("AddressId", Data::from(address.id)),
            ("ExternalIP", Data::from(&*address.external)),
            ("PoolId", Data::from(3)),
            ("ServerId", Data::from(address.node_id)),
            ("ServerName", Data::maybe(self.node(address.node_id).map(|node| &*node.name))),
            ("SubnetMask", Data::from(MASK)),
            ("DefaultGateway", Data::from(&*address.gateway)),
            ("VLAN", Data::from(address.vlan)),
            ("Pool", Data::from("VpsExternalNetwork")),
        ])
    }

    /// A row of the list of machines.
    pub(super) fn meta_item(&self, machine: &Machine) -> Data {
        let package = self.package(machine.package_id);
        let user = package.and_then(|package| self.user(package.user_id));
        let address = self.addresses_of(machine.id).first().map(|address| address.external.clone());
        Data::object([
            ("ItemID", Data::from(machine.id)),
            ("ItemName", Data::from(&*machine.name)),
            ("PackageId", Data::from(machine.package_id)),
            ("PackageName", Data::maybe(package.map(|package| &*package.name))),
            ("UserId", Data::from(user.map_or(0, |user| user.id))),
            ("Username", Data::maybe(user.map(|user| &*user.username))),
            ("ExternalIP", Data::maybe(address)),
        ])
    }

    /// A machine as the panel has it on record, its password in clear.
    pub(super) fn machine_item(&self, machine: &Machine) -> Data {
        let mut item = self.common(machine);
        item.set("TypeId", 41);
        item.set("PackageId", machine.package_id);
        item.set("GroupName", "VPS2012");
        item.set("State", "Unknown");
        item.set("Heartbeat", "None");
        item.set("CreationTime", local(machine.created_ms, "%-m/%-d/%Y %-I:%M:%S %p"));
        item.set("RootFolderPath", format!("D:\\VMs\\{}", machine.name));
        let paths = machine.disk_paths.iter().map(|path| Data::from(&**path));
        item.set("VirtualHardDrivePath", Data::List(paths.collect()));
        item.set("OperatingSystemTemplate", &*machine.template);
        item.set("OperatingSystemTemplatePath", &*machine.template_path);
        item.set("AdministratorPassword", &*machine.password);
        item.set("CurrentTaskId", Data::maybe(machine.job.as_ref().map(|job| &*job.task_id)));
        item.set("ProvisioningStatus", SCHEMA.name("VirtualMachineProvisioningStatus", self.provisioning(machine)));
        Data::Object(item)
    }

    /// A machine as the hypervisor has it, which knows neither its space nor how its making went.
    pub(super) fn machine_details(&self, machine: &Machine) -> Data {
        let power = self.power(machine);
        let is_running = power == RUNNING;
        let mut item = self.common(machine);
        item.set("PackageId", -1);
        item.set("State", SCHEMA.name("VirtualMachineState", power));
        item.set("Uptime", if is_running { self.now_ms - machine.started_ms } else { 0 });
        item.set("Heartbeat", if is_running { "Ok" } else { "None" });
        item.set("ProvisioningStatus", "Unknown");
        item.set("CpuUsage", if is_running { 3 } else { 0 });
        item.set("RamUsage", if is_running { machine.ram_mb / 2 } else { 0 });
        Data::Object(item)
    }

    fn common(&self, machine: &Machine) -> Members {
        let mut item = Members::default();
        for name in FLAGS {
            item.set(name, machine.flags.get(name).copied().unwrap_or(false));
        }
        item.set("Id", machine.id);
        item.set("ServiceId", 9);
        item.set("Name", &*machine.name);
        item.set("CreatedDate", local(machine.created_ms, "%Y-%m-%dT%H:%M:%S"));
        item.set("VirtualMachineId", Data::filled(&machine.guid));
        item.set("CpuCores", machine.cores);
        item.set("RamSize", machine.ram_mb);
        item.set("HddSize", Data::List(machine.disks_gb.iter().map(|size| Data::from(*size)).collect()));
        if machine.provisioning == OK {
            item.set("ExternalNicMacAddress", format!("00155D0A{:04X}", machine.id));
        }
        item.set("ReplicationState", "Disabled");
        item.set("Generation", 2);
        item.set("defaultaccessvlan", machine.vlan);
        item
    }

    pub(super) fn task(&self, machine: &Machine, job: &Job) -> Data {
        let lasts_ms = (job.end_ms - job.start_ms).max(1);
        let indicator = 100 * (self.now_ms - job.start_ms) / lasts_ms;
        Data::object([
            ("Id", Data::from(machine.id)),
            ("Guid", Data::from(&*job.task_id)),
            ("TaskId", Data::from(&*job.task_id)),
            ("PackageId", Data::from(machine.package_id)),
            ("TaskName", Data::from("CREATE")),
            ("ItemId", Data::from(machine.id)),
            ("ItemName", Data::from(&*machine.name)),
            ("StartDate", Data::from(self.instant(job.start_ms))),
            ("IndicatorCurrent", Data::from(if indicator < 10 { -1 } else { i64::try_from(indicator).unwrap_or(0) })),
            ("IndicatorMaximum", Data::from(100)),
            ("Source", Data::from("VPS2012")),
            ("Status", Data::from("Run")),
            ("Params", Data::List(Vec::new())),
            ("Logs", Data::List(Vec::new())),
        ])
    }
}

const MASK: &str = "255.255.255.0";

/// The resource group of machines.
pub(super) fn group() -> Data {
    Data::object([
        ("GroupId", Data::from(33)),
        ("Enabled", Data::from(true)),
        ("CalculateDiskSpace", Data::from(true)),
        ("CalculateBandwidth", Data::from(true)),
        ("GroupName", Data::from("VPS2012")),
    ])
}

pub(super) fn template(template: &Template) -> Data {
    Data::object([
        ("Path", Data::from(&*template.path)),
        ("Name", Data::from(&*template.name)),
        ("Generation", Data::from(2)),
        ("DiskSize", Data::from(template.disk_gb)),
        ("ProvisionAdministratorPassword", Data::from(true)),
        ("ProvisionComputerName", Data::from(true)),
        ("ProvisionNetworkAdapters", Data::from(true)),
    ])
}

fn local(ms: u64, form: &str) -> String {
    let at = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::UNIX_EPOCH);
    Offset::UTC.to_datetime(at).strftime(form).to_string()
}
