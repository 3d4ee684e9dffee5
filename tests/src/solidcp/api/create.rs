//! The order of a machine and its installation anew.

use super::{Reply, failure, read};
use crate::solidcp::config::Template;
use crate::solidcp::jobs::OFF;
use crate::solidcp::ledger::Effect;
use crate::solidcp::quotas::ADDRESSES;
use crate::solidcp::rights::{NO_OBJECT, NO_PACKAGE};
use crate::solidcp::rules::Asked;
use crate::solidcp::schema::Version;
use crate::solidcp::state::{Job, JobKind, Machine, World};
use crate::solidcp::value::{Data, Members};
use crate::solidcp::view::FLAGS;

/// What a flag of a machine needs from its plan.
const ALLOWED_BY: [(&str, &str, &str); 9] = [
    ("DvdDriveInstalled", "VPS2012.DvdEnabled", "VPS_QUOTA_EXCEEDED_DVD_ENABLED"),
    ("BootFromCD", "VPS2012.BootCdAllowed", "VPS_QUOTA_EXCEEDED_CD_ALLOWED"),
    ("StartTurnOffAllowed", "VPS2012.StartShutdownAllowed", "VPS_QUOTA_EXCEEDED_START_SHUTDOWN_ALLOWED"),
    ("PauseResumeAllowed", "VPS2012.PauseResumeAllowed", "VPS_QUOTA_EXCEEDED_PAUSE_RESUME_ALLOWED"),
    ("RebootAllowed", "VPS2012.RebootAllowed", "VPS_QUOTA_EXCEEDED_REBOOT_ALLOWED"),
    ("ResetAllowed", "VPS2012.ResetAlowed", "VPS_QUOTA_EXCEEDED_RESET_ALOWED"),
    ("ReinstallAllowed", "VPS2012.ReinstallAllowed", "VPS_QUOTA_EXCEEDED_REINSTALL_ALLOWED"),
    ("ExternalNetworkEnabled", "VPS2012.ExternalNetworkEnabled", "VPS_QUOTA_EXCEEDED_EXTERNAL_NETWORK_ENABLED"),
    ("PrivateNetworkEnabled", "VPS2012.PrivateNetworkEnabled", "VPS_QUOTA_EXCEEDED_PRIVATE_NETWORK_ENABLED"),
];

/// The least that the hypervisor gives a machine, in MB.
const LEAST_RAM_MB: i32 = 32;

pub(super) fn create(world: &mut World, call: u64, asked: &Asked) -> Reply {
    let given = &asked.given;
    let settings = given.members("VMSettings").ok_or(NO_OBJECT)?;
    let package_id = settings.int("PackageId");
    if !world.may_package(asked.caller, package_id) {
        return Err(NO_PACKAGE.into());
    }
    if let Some(code) = world.refused_write(asked.caller, package_id) {
        return refused([code]);
    }
    // What is missing rather than empty is no list to count.
    let lists = ["externalAddresses", "privateAddresses"].map(|name| given.texts(name).is_some());
    let sizes = settings.ints("HddSize").filter(|sizes| !sizes.is_empty());
    let (true, Some(sizes)) = (lists.iter().all(|is_there| *is_there), sizes) else { return Err(NO_OBJECT.into()) };
    let node = world.package(package_id).and_then(|package| world.node(package.node_id)).ok_or(NO_OBJECT)?;
    if node.in_maintenance {
        return refused(["VPS_MAINTENANCE_MODE_IS_ENABLE"]);
    }
    let mut codes = world.exceeded(package_id, settings, &sizes, None);
    let count = given.int("externalAddressesNumber");
    codes.extend(too_few_addresses(world, package_id, settings, count));
    if !codes.is_empty() {
        return refused(codes);
    }
    let template = match world.template_for(&given.string("osTemplateFile"), sizes[0]) {
        Ok(template) => template.clone(),
        Err(code) => return refused([code]),
    };
    let name = settings.string("Name");
    if world.machines_of(package_id).any(|machine| machine.name == name) {
        return refused(["HOST_NAMER_IS_ALREADY_USED"]);
    }
    if let Some(code) = world.refused_host(node.id, &name, settings.int("RamSize")) {
        return refused([code]);
    }
    let job = world.start_job(JobKind::Install);
    let machine = new_machine(world, call, settings, sizes, template, given.string("password"), job);
    let id = machine.id;
    let vlan = machine.vlan;
    world.machines.push(machine);
    if settings.flag("ExternalNetworkEnabled") {
        let named = given.ints("externalAddresses").filter(|_| !given.flag("randomExternalAddresses"));
        world.attach_addresses(id, package_id, vlan, count, named);
    }
    Ok((int_result(true, Vec::new(), id), Effect::MachineCreated(id)))
}

fn new_machine(
    world: &World,
    call: u64,
    settings: &Members,
    disks_gb: Vec<i32>,
    template: Template,
    password: String,
    job: Job,
) -> Machine {
    Machine {
        id: world.next_machine_id(),
        package_id: settings.int("PackageId"),
        name: settings.string("Name"),
        cores: settings.int("CpuCores"),
        ram_mb: settings.int("RamSize"),
        disks_gb,
        disk_paths: vec![format!("D:\\VMs\\{}\\disk.vhdx", settings.string("Name"))],
        flags: FLAGS.iter().map(|name| (*name, settings.flag(name))).collect(),
        template_path: format!("D:\\Templates\\{}", template.path),
        template: template.name,
        password,
        vlan: settings.int("defaultaccessvlan"),
        job: Some(job),
        provisioning: 0,
        guid: String::new(),
        power: OFF,
        follows: None,
        started_ms: world.now_ms,
        created_ms: world.now_ms,
        reinstalls: 0,
        lost: false,
        removed: false,
        created_at_call: call,
    }
}

fn too_few_addresses(world: &World, package_id: i32, settings: &Members, count: i32) -> Option<String> {
    if !settings.flag("ExternalNetworkEnabled") || count == 0 {
        return None;
    }
    let package = world.package(package_id)?;
    let quota = world.allocated(package, ADDRESSES);
    let free = world.rows_of(package_id).filter(|row| row.item_id == 0).count();
    let free = i32::try_from(free).unwrap_or(i32::MAX);
    let most = if quota == -1 { free } else { quota.min(free) };
    (count > most).then(|| format!("VPS_QUOTA_EXCEEDED_EXTERNAL_ADDRESSES_NUMBER:{most}"))
}

/// The whole object comes back, with another template in it.
pub(super) fn reinstall(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("itemId");
    let visible = world.machine(id).filter(|machine| world.may_package(asked.caller, machine.package_id));
    let Some(machine) = visible else { return refused(["VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM"]) };
    let settings = given.members("VMSettings").ok_or(NO_OBJECT)?;
    if given.texts("privIps").is_none() {
        return Err(NO_OBJECT.into());
    }
    if let Some(code) = world.refused_account(asked.caller).map(super::account_word) {
        return refused([code]);
    }
    // Neither the space's status nor the machine's own flag is asked: whoever calls has to.
    let status = world.package(machine.package_id).map_or(0, |package| package.status);
    let is_allowed = machine.flags.get("ReinstallAllowed").copied().unwrap_or(false);
    let is_busy = machine.job.is_some();
    let own = (machine.template.clone(), machine.template_path.clone());
    let (template, path) = if settings.string("OperatingSystemTemplatePath").is_empty() {
        own
    } else {
        let wanted = settings.string("OperatingSystemTemplate");
        let found = world.templates.iter().find(|template| template.path.eq_ignore_ascii_case(&wanted));
        match found {
            Some(template) => (template.name.clone(), format!("D:\\Templates\\{}", template.path)),
            // Refused without a word.
            None => return refused(Vec::<String>::new()),
        }
    };
    if is_busy {
        return refused(["VPS_CREATE_TASK_START_ERROR"]);
    }
    if status != 1 || !is_allowed {
        world.damage.push(format!("machine {id} was installed anew although its space or its flag forbids that"));
    }
    let job = world.start_job(JobKind::Reinstall);
    let machine = world.machine_mut(id).ok_or(NO_OBJECT)?;
    machine.job = Some(job);
    machine.password = given.string("adminPassword");
    (machine.template, machine.template_path) = (template, path);
    machine.reinstalls += 1;
    Ok((int_result(true, Vec::new(), id), Effect::Reinstalled(id)))
}

fn refused(codes: impl IntoIterator<Item = impl Into<String>>) -> Reply {
    read(int_result(false, codes.into_iter().map(|code| Data::from(code.into())).collect(), 0))
}

fn int_result(is_success: bool, codes: Vec<Data>, value: i32) -> Data {
    Data::object([
        ("IsSuccess", Data::from(is_success)),
        ("ErrorCodes", Data::List(codes)),
        ("Value", Data::from(value)),
    ])
}

impl World {
    /// Every quota that a machine of this size does not keep; `own` is the machine that it replaces.
    pub(super) fn exceeded(
        &self,
        package_id: i32,
        settings: &Members,
        sizes: &[i32],
        own: Option<&Machine>,
    ) -> Vec<String> {
        let Some(package) = self.package(package_id) else { return Vec::new() };
        let allowed = |name: &str| self.allocated(package, name);
        let left = |name: &str, given_back: i32| match allowed(name) {
            -1 => i32::MAX,
            limit => limit - self.used(package_id, name) + given_back,
        };
        let mut codes = Vec::new();
        let mut over = |is_over: bool, code: String| {
            if is_over {
                codes.push(code);
            }
        };
        if own.is_none() {
            let limit = allowed("VPS2012.ServersNumber");
            let is_full = left("VPS2012.ServersNumber", 0) < 1;
            over(is_full, format!("VPS_QUOTA_EXCEEDED_SERVERS_NUMBER:{limit}"));
        }
        let (cores, ram_mb) = (settings.int("CpuCores"), settings.int("RamSize"));
        let most = allowed("VPS2012.CpuNumber");
        over(most != -1 && cores > most || cores < 1, format!("VPS_QUOTA_EXCEEDED_CPU:{most}"));
        let most = left("VPS2012.Ram", own.map_or(0, |own| own.ram_mb));
        over(ram_mb > most, format!("VPS_QUOTA_EXCEEDED_RAM:{}", most.max(0)));
        if self.version >= Version::V1_5_0 {
            over(ram_mb < LEAST_RAM_MB, "VPS_QUOTA_WRONG_RAM_HV".into());
        } else {
            over(ram_mb <= 0, "VPS_QUOTA_WRONG_RAM".into());
        }
        let most = left("VPS2012.Hdd", own.map_or(0, |own| own.disks_gb.iter().sum()));
        over(sizes.iter().sum::<i32>() > most, format!("VPS_QUOTA_EXCEEDED_HDD:{}", most.max(0)));
        over(sizes.iter().any(|size| *size <= 0), "VPS_QUOTA_WRONG_HDD".into());
        let most = allowed("VPS2012.SnapshotsNumber");
        over(most != -1 && settings.int("SnapshotsNumber") > most, format!("VPS_QUOTA_EXCEEDED_SNAPSHOTS:{most}"));
        for (flag, quota, code) in ALLOWED_BY {
            over(settings.flag(flag) && allowed(quota) == 0, code.into());
        }
        codes
    }

    fn template_for(&self, file: &str, disk_gb: i32) -> Result<&Template, String> {
        let found = self.templates.iter().find(|template| template.path.eq_ignore_ascii_case(file));
        let template = found.ok_or("VPS_GET_OS_TEMPLATES_ERROR:Sequence contains no matching element; at SolidCP")?;
        if disk_gb < template.disk_gb {
            return Err(format!("VPS_QUOTA_TEMPLATE_DISK_MINIMAL_SIZE:{}", template.disk_gb));
        }
        Ok(template)
    }

    /// What the host itself says against a machine: a disk of this name, or no memory.
    fn refused_host(&self, node_id: i32, name: &str, ram_mb: i32) -> Option<String> {
        let here = |machine: &&Machine| self.package(machine.package_id).is_some_and(|found| found.node_id == node_id);
        let machines = self.machines.iter().filter(|machine| !machine.removed).filter(here);
        let file = (node_id, name.to_owned());
        if machines.clone().any(|machine| machine.name == name) || self.files.contains(&file) {
            return Some(format!("HDD_VM_FILE_EXIST_ERROR:D:\\VMs\\{name}\\disk.vhdx"));
        }
        (self.free_memory(node_id) < ram_mb).then(|| format!("RAM_VM_RAM_RESERVE_ERROR:{}", self.free_memory(node_id)))
    }

    /// Gives a machine its addresses: those whose network card it has. With none the job reports success all the same.
    fn attach_addresses(&mut self, id: i32, package_id: i32, vlan: i32, count: i32, named: Option<Vec<i32>>) {
        let fits = |row: &&super::super::state::Row| {
            let is_named = named.as_ref().is_none_or(|named| named.contains(&row.id));
            is_named && row.item_id == 0 && self.address(row.address_id).is_some_and(|address| address.vlan == vlan)
        };
        let count = usize::try_from(count).unwrap_or(0);
        let rows: Vec<i32> = self.rows_of(package_id).filter(fits).map(|row| row.id).take(count).collect();
        for row in self.rows.iter_mut().filter(|row| rows.contains(&row.id)) {
            row.item_id = id;
            row.is_primary = rows.first() == Some(&row.id);
        }
    }
}

/// Refusals that are no IntResult.
pub(super) fn resize(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let settings = given.members("vmSettings").ok_or(NO_OBJECT)?;
    let sizes = settings.ints("HddSize").filter(|sizes| !sizes.is_empty()).ok_or(NO_OBJECT)?;
    let machine = world.machine(id).ok_or(NO_OBJECT)?;
    let mut codes = world.exceeded(machine.package_id, settings, &sizes, Some(machine));
    if sizes.iter().zip(&machine.disks_gb).any(|(new, old)| new < old) {
        codes.push("VPS_QUOTA_WRONG_HDD".into());
    }
    if machine.job.is_some() || machine.guid.is_empty() {
        codes.push("VPS_CHANGE_VM_CONFIGURATION".into());
    }
    if !codes.is_empty() {
        return failure(codes);
    }
    let paths = settings.texts("VirtualHardDrivePath").unwrap_or_default();
    let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
    let flags = FLAGS.iter().map(|name| (*name, settings.flag(name))).collect();
    let keeps_addresses = settings.flag("ExternalNetworkEnabled");
    let machine = world.machine_mut(id).ok_or(NO_OBJECT)?;
    machine.cores = settings.int("CpuCores");
    machine.ram_mb = settings.int("RamSize");
    machine.disks_gb = sizes;
    machine.disk_paths = paths;
    machine.flags = flags;
    if !keeps_addresses {
        for row in world.rows.iter_mut().filter(|row| row.item_id == id) {
            (row.item_id, row.is_primary) = (0, false);
        }
    }
    super::success(Effect::MachineChanged(id), &[])
}
