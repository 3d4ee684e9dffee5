//! Machines: looked at, changed, removed; and the jobs that work on them.

use super::{Reply, create, failure, power, read, success};
use crate::solidcp::jobs::RUNNING;
use crate::solidcp::ledger::Effect;
use crate::solidcp::rights::NO_OBJECT;
use crate::solidcp::rules::Asked;
use crate::solidcp::state::{JobKind, Machine, World};
use crate::solidcp::value::Data;
use crate::solidcp::view;

pub(super) fn respond(world: &mut World, call: u64, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("itemId");
    match asked.operation.name {
        "GetVirtualMachines" => list(world, asked),
        "GetVirtualMachineItem" => {
            // A job that has died is missed only here, after a wait that a manual clock does not take.
            world.bury(id);
            read(visible(world, asked).map_or(Data::Null, |machine| world.machine_item(machine)))
        }
        "GetVirtualMachineGeneralDetails" => match visible(world, asked) {
            Some(machine) if machine.guid.is_empty() => read(Data::Null),
            Some(machine) if machine.lost || world.node_of(machine).is_none_or(|node| node.is_down) => {
                Err("Unable to connect to the remote server".into())
            }
            Some(machine) => read(world.machine_details(machine)),
            None => read(Data::Null),
        },
        "GetOperatingSystemTemplates" => {
            world.own_package(asked.caller, given.int("packageId"))?;
            read(Data::List(world.templates.iter().map(view::template).collect()))
        }
        "GetMaximumCpuCoresNumber" => {
            let node_id = world.own_package(asked.caller, given.int("packageId"))?.node_id;
            read(world.node(node_id).map_or(0, |node| node.cores))
        }
        "CreateNewVirtualMachine" => create::create(world, call, asked),
        "ReinstallVirtualMachine" => create::reinstall(world, asked),
        "UpdateVirtualMachineResource" => create::resize(world, asked),
        "ChangeVirtualMachineState" => power::change(world, asked),
        "ChangeAdministratorPassword" | "ChangeAdministratorPasswordAndCleanResult" => change_password(world, asked),
        "DeleteVirtualMachine" | "DeleteVirtualMachineAsynchronous" => delete(world, asked),
        "UpdateVirtualMachineHostName" => rename(world, asked),
        "GetExternalNetworkAdapterDetails" => {
            read(visible(world, asked).map_or(Data::Null, |machine| adapter(world, machine)))
        }
        "AddVirtualMachineExternalIPAddresses" => attach(world, asked),
        "DeleteVirtualMachineExternalIPAddresses" => detach(world, asked),
        "SetVirtualMachinePrimaryExternalIPAddress" => prefer(world, asked),
        "GenerateMacAddress" => read("00155D0A0B0C"),
        "GetVirtualMachineGuacamoleURL" => {
            let is_there = world.knobs.has_console && visible(world, asked).is_some();
            let token = world.secret("guac");
            read(if is_there { format!("https://console.example.test/?token={token}") } else { String::new() })
        }
        "SendVirtualMachineSummaryLetter" => {
            world.letters += 1;
            success(Effect::None, &[])
        }
        name => unreachable!("{name} is in no list of machines"),
    }
}

/// A job by its id; what has ended or died is not there.
pub(super) fn task(world: &World, asked: &Asked) -> Reply {
    let wanted = asked.given.string("taskId");
    let working = world.machines.iter().filter(|machine| !machine.removed);
    let mut jobs = working.filter_map(|machine| Some((machine, machine.job.as_ref()?)));
    let found = jobs.find(|(_, job)| job.task_id == wanted && world.is_alive(job));
    read(found.map_or(Data::Null, |(machine, job)| world.task(machine, job)))
}

fn visible<'a>(world: &'a World, asked: &Asked) -> Option<&'a Machine> {
    let machine = world.machine(asked.given.int("itemId"))?;
    world.may_package(asked.caller, machine.package_id).then_some(machine)
}

fn list(world: &World, asked: &Asked) -> Reply {
    let id = asked.given.int("packageId");
    world.own_package(asked.caller, id)?;
    let mut found: Vec<&Machine> = world.machines_of(id).collect();
    if asked.given.flag("recursive") {
        found.extend(world.packages_below(id).flat_map(|package| world.machines_of(package.id)));
    }
    let page = found.iter().skip(asked.offset()).take(asked.limit());
    let items = page.map(|machine| world.meta_item(machine)).collect();
    read(Data::object([("Items", Data::List(items)), ("Count", Data::from(found.len()))]))
}

/// Success means that it was handed over.
fn change_password(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let password = asked.given.string("password");
    let is_running = world.machine(id).is_some_and(|machine| world.power(machine) == RUNNING && machine.job.is_none());
    if !is_running {
        return failure(["VPS_CHANGE_ADMIN_PASSWORD_ERROR"]);
    }
    world.machine_mut(id).ok_or(NO_OBJECT)?.password = password;
    success(Effect::GuestPassword(id), &[])
}

fn delete(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let job = world.machine(id).and_then(|machine| machine.job.as_ref());
    if job.is_some_and(|job| job.kind == JobKind::Delete && world.is_alive(job)) {
        return failure(["VPS_DELETE_ERROR"]);
    }
    let mut job = world.start_job(JobKind::Delete);
    let is_synchronous = asked.operation.name == "DeleteVirtualMachine";
    if is_synchronous {
        job.end_ms = world.now_ms;
    }
    world.machine_mut(id).ok_or(NO_OBJECT)?.job = Some(job);
    if is_synchronous {
        world.progress(world.now_ms);
    }
    let notes: &[&str] = match is_synchronous && world.knobs.leaves_files {
        true => &["VPS_DELETE_VM_FILES_ERROR: Access to the path is denied."],
        false => &[],
    };
    success(Effect::MachineDeleted(id), notes)
}

fn rename(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let name = asked.given.string("hostname");
    world.machine_mut(id).ok_or(NO_OBJECT)?.name = name;
    success(Effect::MachineChanged(id), &[])
}

fn adapter(world: &World, machine: &Machine) -> Data {
    let addresses = world.addresses_of(machine.id);
    let rows = addresses.iter().enumerate().map(|(index, address)| {
        Data::object([
            ("AddressId", Data::from(address.id)),
            ("IPAddress", Data::from(&*address.external)),
            ("IsPrimary", Data::from(index == 0)),
            ("SubnetMask", Data::from("255.255.255.0")),
            ("DefaultGateway", Data::from(&*address.gateway)),
        ])
    });
    Data::object([
        ("IsDHCP", Data::from(false)),
        ("NetworkId", Data::from("external")),
        ("VLAN", Data::from(machine.vlan)),
        ("SubnetMask", Data::from("255.255.255.0")),
        ("IPAddresses", Data::List(rows.collect())),
    ])
}

fn attach(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let package_id = world.machine(id).map_or(0, |machine| machine.package_id);
    let free: Vec<i32> = world.rows_of(package_id).filter(|row| row.item_id == 0).map(|row| row.id).collect();
    let wanted: Vec<i32> = if given.flag("selectRandom") {
        let count = usize::try_from(given.int("addressesNumber")).unwrap_or(0);
        if free.len() < count {
            return failure(["VPS_NOT_ENOUGH_PACKAGE_IP_ADDRESSES"]);
        }
        free.into_iter().take(count).collect()
    } else {
        let named = given.ints("addressId").ok_or(NO_OBJECT)?;
        named.into_iter().filter(|row| free.contains(row)).collect()
    };
    let has_primary = world.rows.iter().any(|row| row.item_id == id && row.is_primary);
    for row in world.rows.iter_mut().filter(|row| wanted.contains(&row.id)) {
        row.item_id = id;
        row.is_primary = !has_primary && wanted.first() == Some(&row.id);
    }
    success(if wanted.is_empty() { Effect::None } else { Effect::MachineChanged(id) }, &[])
}

fn detach(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let named = asked.given.ints("addressId").ok_or(NO_OBJECT)?;
    for row in world.rows.iter_mut().filter(|row| row.item_id == id && named.contains(&row.id)) {
        (row.item_id, row.is_primary) = (0, false);
    }
    success(Effect::MachineChanged(id), &[])
}

fn prefer(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let wanted = asked.given.int("addressId");
    for row in world.rows.iter_mut().filter(|row| row.item_id == id) {
        row.is_primary = row.id == wanted;
    }
    success(Effect::MachineChanged(id), &[])
}
