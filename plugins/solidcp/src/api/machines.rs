//! Virtual machines, which the panel calls items.

use crate::wire::{self, MACHINES, TASKS};
use billhook_plugin_api::{Fault, Reply, Request};
use billhook_soap::{Content, Node};

/// A machine in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub item: i64,
    pub name: String,
    pub package: i64,
    pub username: String,
    pub ip: String,
}

/// Whether the panel is done with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Made, and nothing under way.
    Ready,
    /// A task is under way. Also where the panel already says "error": that stands there until the last part stores "OK".
    Busy,
    /// It failed; nothing is under way.
    Failed,
    /// It is being deleted.
    Deleting,
}

/// A machine as the panel keeps it. The password of its administrator, which comes with it, is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: i64,
    pub package: i64,
    pub name: String,
    pub stage: Stage,
    pub task: Option<String>,
    pub cores: i64,
    pub memory_mb: i64,
    /// In GB, the system's first.
    pub disks_gb: Vec<i64>,
    /// The hypervisor's id of it; another one after a reinstallation.
    pub guid: String,
    pub template_path: String,
    pub may_reinstall: bool,
    pub may_reboot: bool,
    pub may_reset: bool,
}

/// A machine as the hypervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The panel's word.
    pub state: String,
    pub cpu_percent: i64,
    pub memory_used_mb: i64,
    pub memory_mb: i64,
    pub uptime_ms: i64,
}

/// The machines of a package, or of all packages within it. Filters go into the panel's SQL as they are: none is sent.
pub fn list(package: i64, recursive: bool) -> Result<Request, Fault> {
    let rows = if recursive { 100_000 } else { 100 };
    wire::read(MACHINES, "GetVirtualMachines", &|call| {
        call.int("packageId", package).text("filterColumn", "").text("filterValue", "").text("sortColumn", "");
        call.int("startRow", 0).int("maximumRows", rows).bool("recursive", recursive);
    })
}

pub fn list_reply(reply: &Reply) -> Result<Vec<Row>, Fault> {
    let tree = wire::tree(reply, "GetVirtualMachines")?;
    let list = wire::list(&tree, "GetVirtualMachines", Some("Items"), "VirtualMachineMetaItem")?;
    let read = |node: Node<'_>| {
        Ok(Row {
            item: wire::int(node, "ItemID")?,
            name: wire::text(node, "ItemName")?,
            package: wire::int_or_zero(node, "PackageId")?,
            username: wire::text(node, "Username")?,
            ip: wire::text(node, "ExternalIP")?,
        })
    };
    list.into_iter().map(read).collect()
}

const ITEM: &str = "GetVirtualMachineItem";

/// A machine. The panel may think about it for 50 seconds.
pub fn item(id: i64) -> Result<Request, Fault> {
    // The answer holds the administrator's password; what is masked of every reply is named in the provider's facts.
    Ok(wire::read(MACHINES, ITEM, &|call| _ = call.int("itemId", id))?.slow())
}

/// `None` for one that is deleted, or not ours to see.
pub fn item_reply(reply: &Reply) -> Result<Option<Item>, Fault> {
    let tree = wire::tree(reply, ITEM)?;
    let Some(node) = wire::object(&tree, ITEM)? else { return Ok(None) };
    let task = Some(wire::text(node, "CurrentTaskId")?).filter(|task| !task.trim().is_empty());
    let Some(stage) = stage(&wire::text(node, "ProvisioningStatus")?, task.is_some()) else { return Ok(None) };
    let disks = node.find("HddSize");
    Ok(Some(Item {
        id: wire::int(node, "Id")?,
        package: wire::int_or_zero(node, "PackageId")?,
        name: wire::text(node, "Name")?,
        stage,
        task,
        cores: wire::int_or_zero(node, "CpuCores")?,
        memory_mb: wire::int_or_zero(node, "RamSize")?,
        disks_gb: disks.iter().flat_map(|list| list.all("int")).filter_map(|size| size.i64().ok()).collect(),
        guid: wire::text(node, "VirtualMachineId")?,
        template_path: wire::text(node, "OperatingSystemTemplatePath")?,
        may_reinstall: wire::flag(node, "ReinstallAllowed")?,
        may_reboot: wire::flag(node, "RebootAllowed")?,
        may_reset: wire::flag(node, "ResetAllowed")?,
    }))
}

fn stage(status: &str, has_task: bool) -> Option<Stage> {
    Some(match (status, has_task) {
        ("Deleted", _) => return None,
        ("DeletionProgress", _) => Stage::Deleting,
        ("OK" | "Warning", false) => Stage::Ready,
        ("Error", false) => Stage::Failed,
        _ => Stage::Busy,
    })
}

/// What the hypervisor says of a machine. Fails while its server is down.
pub fn details(id: i64) -> Result<Request, Fault> {
    Ok(wire::read(MACHINES, "GetVirtualMachineGeneralDetails", &|call| _ = call.int("itemId", id))?.slow())
}

/// `None` while there is no machine on the hypervisor.
pub fn details_reply(reply: &Reply) -> Result<Option<Details>, Fault> {
    let tree = wire::tree(reply, "GetVirtualMachineGeneralDetails")?;
    let Some(node) = wire::object(&tree, "GetVirtualMachineGeneralDetails")? else { return Ok(None) };
    Ok(Some(Details {
        state: wire::text(node, "State")?,
        cpu_percent: wire::int_or_zero(node, "CpuUsage")?,
        memory_used_mb: wire::int_or_zero(node, "RamUsage")?,
        memory_mb: wire::int_or_zero(node, "RamSize")?,
        uptime_ms: wire::int_or_zero(node, "Uptime")?,
    }))
}

/// A template of the panel's library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The file, which is what a machine is made with.
    pub file: String,
    /// For people.
    pub name: String,
    /// The least size of the disk.
    pub disk_gb: i64,
}

pub fn templates(package: i64) -> Result<Request, Fault> {
    wire::read(MACHINES, "GetOperatingSystemTemplates", &|call| _ = call.int("packageId", package))
}

pub fn templates_reply(reply: &Reply) -> Result<Vec<Template>, Fault> {
    let tree = wire::tree(reply, "GetOperatingSystemTemplates")?;
    let list = wire::list(&tree, "GetOperatingSystemTemplates", None, "LibraryItem")?;
    let read = |node: Node<'_>| {
        Ok(Template {
            file: wire::text(node, "Path")?,
            name: wire::text(node, "Name")?,
            disk_gb: wire::int_or_zero(node, "DiskSize")?,
        })
    };
    list.into_iter().map(read).collect()
}

/// A machine to be made.
#[derive(Clone, Copy)]
pub struct NewMachine<'a> {
    pub package: i64,
    pub name: &'a str,
    pub cores: i64,
    pub memory_mb: i64,
    pub disk_gb: i64,
    pub snapshots: i64,
    pub may_start: bool,
    pub may_pause: bool,
    pub may_reboot: bool,
    pub may_reset: bool,
    pub may_reinstall: bool,
    pub template: &'a str,
    pub password: &'a str,
    pub addresses: i64,
    /// Which of the package's, where not all of them are on the machine's VLAN.
    pub chosen: &'a [i64],
    /// Must be that of the addresses, or the machine ends up with none although all seems well.
    pub vlan: i64,
}

/// Begins to make a machine, in the background. What was added in 1.5.0 is passed over by 1.4.9.
pub fn create(new: NewMachine<'_>) -> Result<Request, Fault> {
    let request = wire::change(MACHINES, "CreateNewVirtualMachine", &|call| {
        call.element("VMSettings", |machine| {
            machine.int("Id", 0).int("TypeId", 0).int("PackageId", new.package).int("ServiceId", 0);
            machine.text("Name", new.name).text("CreatedDate", "2025-01-01T00:00:00").text("State", "Unknown");
            machine.int("Uptime", 0).text("Heartbeat", "None").text("ProvisioningStatus", "Unknown");
            machine.int("CpuCores", new.cores).int("CpuUsage", 0).int("RamSize", new.memory_mb).int("RamUsage", 0);
            machine.element("HddSize", |disks| _ = disks.int("int", new.disk_gb));
            machine.int("HddMaximumIOPS", 0).int("HddMinimumIOPS", 0).int("SnapshotsNumber", new.snapshots);
            flags(machine, &[("DvdDriveInstalled", false), ("BootFromCD", false), ("NumLockEnabled", false)]);
            flags(
                machine,
                &[
                    ("StartTurnOffAllowed", new.may_start),
                    ("PauseResumeAllowed", new.may_pause),
                    ("RebootAllowed", new.may_reboot),
                    ("ResetAllowed", new.may_reset),
                    ("ReinstallAllowed", new.may_reinstall),
                    ("LegacyNetworkAdapter", false),
                    ("RemoteDesktopEnabled", false),
                    ("ExternalNetworkEnabled", true),
                    ("PrivateNetworkEnabled", false),
                ],
            );
            machine.int("PrivateNetworkVlan", 0);
            flags(machine, &[("ManagementNetworkEnabled", false), ("DmzNetworkEnabled", false)]);
            machine.int("DmzNetworkVlan", 0).text("ReplicationState", "Disabled").int("Generation", 0);
            machine.bool("EnableSecureBoot", false).int("ProcessorCount", 0).int("defaultaccessvlan", new.vlan);
            flags(machine, &[("NeedReboot", false), ("IsClustered", false)]);
        });
        call.text("osTemplateFile", new.template).text("password", new.password);
        call.int("externalAddressesNumber", new.addresses).bool("randomExternalAddresses", new.chosen.is_empty());
        call.element("externalAddresses", |list| {
            for id in new.chosen {
                list.int("int", *id);
            }
        });
        // An empty list is not a missing one, which the panel stumbles over.
        for (number, random, list) in [
            ("privateAddressesNumber", "randomPrivateAddresses", "privateAddresses"),
            ("dmzAddressesNumber", "randomDmzAddresses", "dmzAddresses"),
        ] {
            call.int(number, 0).bool(random, false).element(list, |_| {});
        }
    })?;
    Ok(request.secret("**.password").slow())
}

fn flags(to: &mut Content<'_>, flags: &[(&str, bool)]) {
    for (name, value) in flags {
        to.bool(name, *value);
    }
}

pub fn create_reply(reply: &Reply) -> Result<i64, Fault> {
    super::users::made(wire::outcome(reply, "CreateNewVirtualMachine")?.value, "CreateNewVirtualMachine")
}

/// Brings a machine to another state; the panel answers when it is there, which may take many minutes.
pub fn set_state(id: i64, state: &str) -> Result<Request, Fault> {
    Ok(wire::change(MACHINES, "ChangeVirtualMachineState", &|call| _ = call.int("itemId", id).text("state", state))?
        .slow())
}

pub fn set_state_reply(reply: &Reply) -> Result<(), Fault> {
    wire::outcome(reply, "ChangeVirtualMachineState").map(|_| ())
}

/// Hands a new password to the system on the machine. Success means handed over, not applied.
pub fn set_password(id: i64, password: &str) -> Result<Request, Fault> {
    let request = wire::change(MACHINES, "ChangeAdministratorPassword", &|call| {
        call.int("itemId", id).text("password", password);
    })?;
    Ok(request.secret("**.password").slow())
}

pub fn set_password_reply(reply: &Reply) -> Result<(), Fault> {
    wire::outcome(reply, "ChangeAdministratorPassword").map(|_| ())
}

/// Gives a machine other resources. All of it is sent back as `item` has it: what is left out counts as off or empty, and
/// a machine with its external network off loses its addresses.
pub fn resize(item: &Reply, id: i64, cores: i64, memory_mb: i64, disk_gb: i64) -> Result<Request, Fault> {
    let tree = wire::tree(item, ITEM)?;
    let machine = wire::some(&tree, ITEM)?;
    let disks: Vec<i64> =
        machine.find("HddSize").iter().flat_map(|list| list.all("int")).filter_map(|size| size.i64().ok()).collect();
    let edit = |to: &mut Content<'_>, name: &str| {
        match name {
            "CpuCores" => _ = to.int(name, cores),
            "RamSize" => _ = to.int(name, memory_mb),
            "HddSize" => {
                to.element(name, |list| {
                    list.int("int", disk_gb);
                    for other in disks.iter().skip(1) {
                        list.int("int", *other);
                    }
                });
            }
            _ => return false,
        }
        true
    };
    let request = wire::change(MACHINES, "UpdateVirtualMachineResource", &|call| {
        call.int("itemId", id).element("vmSettings", |to| wire::copy(to, machine, &edit));
    })?;
    Ok(request.secret("**.AdministratorPassword").slow())
}

pub fn resize_reply(reply: &Reply) -> Result<(), Fault> {
    wire::outcome(reply, "UpdateVirtualMachineResource").map(|_| ())
}

/// Begins to delete a machine with its disks, in the background.
pub fn delete(id: i64) -> Result<Request, Fault> {
    wire::change(MACHINES, "DeleteVirtualMachineAsynchronous", &|call| {
        call.int("itemId", id).bool("saveFiles", false).bool("exportVps", false).text("exportPath", "");
    })
}

/// Codes that came with it, which are worth a note: files may have been left behind. One that is gone is as good as deleted.
pub fn delete_reply(reply: &Reply) -> Result<Vec<String>, Fault> {
    match wire::outcome(reply, "DeleteVirtualMachineAsynchronous") {
        Ok(outcome) => Ok(outcome.codes),
        Err(fault) if fault.code.as_deref() == Some(crate::codes::MACHINE_GONE) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// Begins to install a machine anew, in the background. The rest of it is sent back as `item` has it.
pub fn reinstall(item: &Reply, id: i64, template: &str, password: &str) -> Result<Request, Fault> {
    let tree = wire::tree(item, ITEM)?;
    let machine = wire::some(&tree, ITEM)?;
    let edit = |to: &mut Content<'_>, name: &str| {
        if name != "OperatingSystemTemplate" {
            return false;
        }
        to.text(name, template);
        true
    };
    let request = wire::change(MACHINES, "ReinstallVirtualMachine", &|call| {
        call.int("itemId", id).element("VMSettings", |to| {
            wire::copy(to, machine, &edit);
            if machine.find("OperatingSystemTemplate").is_none() {
                to.text("OperatingSystemTemplate", template);
            }
        });
        call.text("adminPassword", password).element("privIps", |_| {}).element("dmzIps", |_| {});
        call.bool("saveVirtualDisk", false).bool("exportVps", false).text("exportPath", "");
    })?;
    Ok(request.secret("**.adminPassword").secret("**.AdministratorPassword").slow())
}

pub fn reinstall_reply(reply: &Reply) -> Result<(), Fault> {
    wire::outcome(reply, "ReinstallVirtualMachine").map(|_| ())
}

/// The address of the machine's screen; empty where no console is set up.
pub fn console(id: i64) -> Result<Request, Fault> {
    wire::read(MACHINES, "GetVirtualMachineGuacamoleURL", &|call| _ = call.int("itemId", id))
}

pub fn console_reply(reply: &Reply) -> Result<Option<String>, Fault> {
    let tree = wire::tree(reply, "GetVirtualMachineGuacamoleURL")?;
    let url =
        wire::result(&tree, "GetVirtualMachineGuacamoleURL")?.map_or(Ok(""), Node::text).map_err(wire::misread)?;
    Ok(Some(url.trim().to_owned()).filter(|url| !url.is_empty()))
}

pub fn task(id: &str) -> Result<Request, Fault> {
    wire::read(TASKS, "GetTask", &|call| _ = call.text("taskId", id))
}

/// How far a task is, in percent; `None` where the panel does not say. Only for showing.
pub fn task_reply(reply: &Reply) -> Option<u8> {
    let tree = wire::tree(reply, "GetTask").ok()?;
    let task = wire::result(&tree, "GetTask").ok()??;
    let (now, most) = (wire::int(task, "IndicatorCurrent").ok()?, wire::int(task, "IndicatorMaximum").ok()?);
    if now <= 0 || most <= 0 {
        return None;
    }
    u8::try_from(now.min(most).saturating_mul(100) / most).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{envelope, example, replied, squeezed};
    use billhook_plugin_api::FaultClass;

    fn small() -> NewMachine<'static> {
        NewMachine {
            package: 801,
            name: "svc10042.vm.example.test",
            cores: 2,
            memory_mb: 4096,
            disk_gb: 60,
            snapshots: 0,
            may_start: true,
            may_pause: true,
            may_reboot: true,
            may_reset: true,
            may_reinstall: false,
            template: "win2022.vhdx",
            password: "S3cret-vm!",
            addresses: 1,
            chosen: &[],
            vlan: 0,
        }
    }

    #[test]
    fn requests_are_those_of_the_contract() {
        for (file, request) in [
            ("10-CreateNewVirtualMachine.request.xml", create(small())),
            ("11-GetVirtualMachines.request.xml", list(801, false)),
            ("14-ChangeVirtualMachineState.request.xml", set_state(753, "ShutDown")),
        ] {
            let Some(expected) = example(file) else { continue };
            let sent = String::from_utf8(request.unwrap().body).unwrap();
            let expected = squeezed(&expected).replace("2025-01-15T10:00:02", "2025-01-01T00:00:00");
            assert_eq!(squeezed(&sent), expected, "{file}");
        }
    }

    #[test]
    fn the_older_version_finds_all_it_knows_in_the_same_order() {
        let Some(older) = example("10-CreateNewVirtualMachine-1.4.9.request.xml") else { return };
        let sent = String::from_utf8(create(small()).unwrap().body).unwrap();
        let sent = squeezed(&sent);
        let mut rest = sent.as_str();
        for part in squeezed(&older).replace("2025-01-15T10:00:02", "2025-01-01T00:00:00").split_inclusive('>') {
            let at = rest.find(part).unwrap_or_else(|| panic!("{part} is not sent, or not in its place"));
            rest = &rest[at + part.len()..];
        }
    }

    #[test]
    fn answers_are_those_of_the_contract() {
        if let Some(body) = example("10-CreateNewVirtualMachine.response.xml") {
            assert_eq!(create_reply(&replied(200, &body)), Ok(753));
        }
        if let Some(body) = example("10-CreateNewVirtualMachine-quota.response.xml") {
            let fault = create_reply(&replied(200, &body)).unwrap_err();
            assert_eq!((fault.class, fault.refused), (FaultClass::AlreadyExists, true));
            assert!(fault.staff.contains("VPS_QUOTA_EXCEEDED_RAM"), "{fault}");
        }
        if let Some(body) = example("11-GetVirtualMachines.response.xml") {
            let row = list_reply(&replied(200, &body)).unwrap().remove(0);
            assert_eq!((row.item, row.package, row.ip.as_str()), (753, 801, "203.0.113.10"));
        }
        if let Some(body) = example("12-GetVirtualMachineItem-inprogress.response.xml") {
            assert_eq!(item_reply(&replied(200, &body)).unwrap().unwrap().stage, Stage::Busy);
        }
        if let Some(body) = example("12-GetVirtualMachineItem-ok.response.xml") {
            let item = item_reply(&replied(200, &body)).unwrap().unwrap();
            assert_eq!(
                (item.stage, item.cores, item.memory_mb, item.disks_gb.as_slice()),
                (Stage::Ready, 2, 4096, &[60][..])
            );
            assert!(!format!("{item:?}").contains("S3cret"));
        }
        if let Some(body) = example("13-GetVirtualMachineGeneralDetails.response.xml") {
            let details = details_reply(&replied(200, &body)).unwrap().unwrap();
            assert_eq!((details.state.as_str(), details.uptime_ms), ("Running", 86_400_000));
        }
        if let Some(body) = example("14-ChangeVirtualMachineState.response.xml") {
            assert_eq!(set_state_reply(&replied(200, &body)), Ok(()), "JobStarted is a success");
        }
        if let Some(body) = example("14-ChangeVirtualMachineState-suspended.response.xml") {
            assert_eq!(set_state_reply(&replied(200, &body)).unwrap_err().class, FaultClass::InvalidInput);
        }
    }

    #[test]
    fn an_error_with_a_task_is_still_under_way() {
        use Stage::{Busy, Deleting, Failed, Ready};
        for (status, has_task, expected) in [
            ("InProgress", true, Some(Busy)),
            ("Error", true, Some(Busy)),
            ("OK", true, Some(Busy)),
            ("OK", false, Some(Ready)),
            ("Error", false, Some(Failed)),
            ("Unknown", false, Some(Busy)),
            ("InProgress", false, Some(Busy)),
            ("DeletionProgress", true, Some(Deleting)),
            ("Deleted", false, None),
        ] {
            assert_eq!(stage(status, has_task), expected, "{status} {has_task}");
        }
    }

    #[test]
    fn a_machine_is_sent_back_whole() {
        let Some(body) = example("12-GetVirtualMachineItem-ok.response.xml") else { return };
        let body = body.replace("<CpuCores>", "<NewInANewerVersion><x>1</x></NewInANewerVersion><CpuCores>");
        let sent = String::from_utf8(resize(&replied(200, &body), 753, 4, 8192, 80).unwrap().body).unwrap();
        for part in [
            "<CpuCores>4</CpuCores>",
            "<RamSize>8192</RamSize>",
            "<HddSize><int>80</int></HddSize>",
            "<ExternalNetworkEnabled>true</ExternalNetworkEnabled>",
            "<VirtualHardDrivePath><string>D:\\VMs\\svc10042\\disk.vhdx</string></VirtualHardDrivePath>",
            "<NewInANewerVersion><x>1</x></NewInANewerVersion>",
        ] {
            assert!(sent.contains(part), "{part}: {sent}");
        }
        let sent = String::from_utf8(reinstall(&replied(200, &body), 753, "new.vhdx", "pw").unwrap().body).unwrap();
        assert!(sent.contains("<OperatingSystemTemplate>new.vhdx</OperatingSystemTemplate>"), "{sent}");
        assert!(sent.contains("<adminPassword>pw</adminPassword><privIps/><dmzIps/>"), "{sent}");
    }

    #[test]
    fn a_deletion_of_what_is_gone_is_done() {
        for (success, code, expected) in [
            ("true", "", Ok(0)),
            ("true", "<string>VPS_DELETE_VM_FILES_ERROR: x</string>", Ok(1)),
            ("false", "<string>VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM</string>", Ok(0)),
            ("false", "<string>VPS_DELETE_ERROR</string>", Err(FaultClass::ConflictBusy)),
        ] {
            let operation = "DeleteVirtualMachineAsynchronous";
            let inner = format!(
                "<{operation}Result><IsSuccess>{success}</IsSuccess><ErrorCodes>{code}</ErrorCodes></{operation}Result>"
            );
            let read = delete_reply(&replied(200, &envelope(operation, &inner)));
            assert_eq!(read.map(|notes| notes.len()).map_err(|fault| fault.class), expected, "{code}");
        }
    }
}
