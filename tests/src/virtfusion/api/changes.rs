//! Changes to a living server: power, password, package, resources, addresses, traffic, VNC.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{Reply, locked, missing, read, server, server_mut};
use crate::panel::Answer;
use crate::virtfusion::ledger::Effect;
use crate::virtfusion::routes::Op;
use crate::virtfusion::rules::Accepted;
use crate::virtfusion::state::{Block, Pending, Phase, Resources, Server, Work, World};
use crate::virtfusion::view;

pub(super) fn dispatch(world: &mut World, asked: &Accepted) -> Reply {
    let id = server(world, asked)?.id;
    match asked.route.op {
        Op::Boot => power(world, id, Work::Boot),
        Op::Shutdown => power(world, id, Work::Shutdown),
        Op::Restart => power(world, id, Work::Restart),
        Op::PowerOff => power(world, id, Work::PowerOff),
        Op::ResetServerPassword => reset_password(world, id),
        Op::ChangePackage => change_package(world, asked),
        Op::ChangeOwner => {
            let owner_id = world.user(asked.id(1)).ok_or_else(|| missing("user"))?.id;
            server_mut(world, asked)?.owner_id = owner_id;
            Ok((Answer::empty(201), Effect::OwnerChanged(id)))
        }
        Op::ChangeBackupPlan => {
            let plan_id = asked.id(1);
            modified(world, asked, |server| server.backup_plan = (plan_id > 0).then_some(plan_id))
        }
        Op::BackupAccess => modified(world, asked, |_| {}),
        Op::ListBackups => read(Answer::data(200, json!([]))),
        Op::ModifyName => {
            let name = asked.text("name").unwrap_or("").to_owned();
            server_mut(world, asked)?.name = name;
            Ok((Answer::empty(201), Effect::Renamed(id)))
        }
        Op::ModifyMemory => {
            let memory_mb = asked.int("memory").unwrap_or(0);
            postpone(world, id, "Set memory");
            modified(world, asked, |server| server.resources.memory_mb = memory_mb)
        }
        Op::ModifyCores => {
            let cores = asked.int("cores").unwrap_or(0);
            postpone(world, id, "Set CPU cores");
            modified(world, asked, |server| server.resources.cpu_cores = cores)
        }
        Op::ModifyTraffic => {
            let traffic_gb = asked.int("traffic").unwrap_or(0);
            modified(world, asked, |server| server.resources.traffic_gb = traffic_gb)
        }
        Op::ModifyThrottle => {
            let percent = asked.int("percent").unwrap_or(0);
            modified(world, asked, |server| server.throttle = percent)
        }
        Op::AddAddressCount => add_address_count(world, asked),
        Op::AddAddresses => add_addresses(world, asked),
        Op::RemoveAddresses => remove_addresses(world, asked),
        Op::ReadTraffic => read(Answer::data(200, traffic(world, server(world, asked)?))),
        Op::ReadBlocks => read(Answer::data(200, blocks(world, server(world, asked)?))),
        Op::AddBlock => {
            let (month, amount_gb) = (asked.int("month").unwrap_or(0), asked.int("amount").unwrap_or(0));
            let (current, ..) = view::period(server(world, asked)?, world.now_ms);
            if month < current {
                return Err(Answer::refused("the month is over"));
            }
            let block = Block { id: world.next_serial(), month, amount_gb };
            modified(world, asked, |server| server.blocks.push(block))?;
            Ok((Answer::empty(201), Effect::TrafficAdded(id)))
        }
        Op::ReadVnc => {
            let shown = vnc(server(world, asked)?);
            remember_vnc(world, &shown);
            read(Answer::data(200, shown))
        }
        Op::SwitchVnc => switch_vnc(world, asked),
        other => Err(Answer::json(501, json!({ "message": format!("{other:?} is not faked") }))),
    }
}

fn modified(world: &mut World, asked: &Accepted, change: impl FnOnce(&mut Server)) -> Reply {
    let server = server_mut(world, asked)?;
    change(server);
    Ok((Answer::empty(201), Effect::Modified(server.id)))
}

fn power(world: &mut World, id: u64, work: Work) -> Reply {
    let server = world.server(id).ok_or_else(|| missing("server"))?;
    if world.knobs.maintenance {
        return Err(Answer::msg(503, "hypervisor is in maintenance mode"));
    }
    if world.is_busy(id) {
        return Err(locked());
    }
    if server.suspended {
        return Err(Answer::msg(423, "server is suspended"));
    }
    if server.phase != Phase::Complete {
        return Err(Answer::refused("the server is not built"));
    }
    let queue_id = world.enqueue(id, work);
    Ok((Answer::data(200, json!({ "queueId": queue_id })), Effect::PowerQueued(id)))
}

fn reset_password(world: &mut World, id: u64) -> Reply {
    let server = world.server(id).ok_or_else(|| missing("server"))?;
    if world.is_busy(id) {
        return Err(locked());
    }
    if server.phase != Phase::Complete || !server.running {
        return Err(Answer::refused("the server is not running"));
    }
    let queue_id = world.enqueue(id, Work::ResetPassword);
    let password = world.secret("guest");
    if let Some(server) = world.server_mut(id) {
        server.next_password = Some(password.clone());
    }
    let shown = json!({ "queueId": queue_id, "expectedPassword": password });
    Ok((Answer::data(200, shown), Effect::PasswordReset(id)))
}

/// Notes that a change waits for the guest's next start; a guest that is off has nothing to wait for.
fn postpone(world: &mut World, id: u64, action: &str) {
    let (change_id, now_ms) = (world.next_serial(), world.now_ms);
    if let Some(server) = world.server_mut(id).filter(|server| server.running) {
        let action = action.to_owned();
        server.pending.push(Pending { id: change_id, action, created_ms: now_ms });
    }
}

/// Every flag that is left out is true. The disk never shrinks, and no answer but `info` says so.
fn change_package(world: &mut World, asked: &Accepted) -> Reply {
    let id = asked.id(0);
    let package = world.package(asked.id(1)).ok_or_else(|| missing("package"))?.clone();
    if world.is_busy(id) {
        return Err(locked());
    }
    let wants = |flag: &str| asked.truth(flag).unwrap_or(true);
    let old = server(world, asked)?.resources;
    let mut new = old;
    let mut info = Vec::new();
    let mut set = |wanted: bool, what: &str, held: &mut u64, target: u64, grows_only: bool| {
        if wanted && (*held == target || (grows_only && *held > target)) {
            let reason = if grows_only { "either matches or is lower than" } else { "matches" };
            info.push(format!("{what} not updated. It {reason} the current value"));
        } else if wanted {
            *held = target;
            info.push(format!("{what} updated"));
        }
    };
    set(wants("cpu"), "CPU cores", &mut new.cpu_cores, package.cpu_cores, false);
    set(wants("memory"), "memory", &mut new.memory_mb, package.memory_mb, false);
    set(wants("primaryDiskSize"), "primary disk", &mut new.storage_gb, package.storage_gb, true);
    set(wants("primaryNetworkTraffic"), "traffic", &mut new.traffic_gb, package.traffic_gb, false);
    if old.cpu_cores != new.cpu_cores {
        postpone(world, id, "Set CPU cores");
    }
    if old.memory_mb != new.memory_mb {
        postpone(world, id, "Set memory");
    }
    let server = server_mut(world, asked)?;
    server.resources = Resources { ..new };
    server.package_id = package.id;
    if asked.truth("backupPlan").unwrap_or(true) {
        // No package of this panel has a plan, and none is one as well.
        server.backup_plan = None;
    }
    Ok((Answer::json(200, json!({ "info": info })), Effect::PackageChanged(id)))
}

fn add_address_count(world: &mut World, asked: &Accepted) -> Reply {
    let count = usize::try_from(asked.int("quantity").unwrap_or(0)).unwrap_or(0);
    let fresh = world.free_addresses(count);
    let shown: Vec<String> = fresh.iter().map(|host| view::address(*host)).collect();
    let server = server_mut(world, asked)?;
    server.addresses.extend(fresh);
    Ok((Answer::data(200, json!(shown)), Effect::AddressesAdded(server.id)))
}

/// The number of an address in the panel's block.
fn host_of(address: &str) -> Option<u32> {
    let [10, high, middle, low] = address.parse::<Ipv4Addr>().ok()?.octets() else {
        return None;
    };
    Some(u32::from_be_bytes([0, high.checked_sub(40)?, middle, low]))
}

fn add_addresses(world: &mut World, asked: &Accepted) -> Reply {
    let wanted: Option<Vec<u32>> = asked.texts("ip").iter().map(|ip| host_of(ip)).collect();
    let wanted = wanted.ok_or_else(|| Answer::refused("Invalid IPv4 address"))?;
    let live = world.servers.iter().filter(|server| server.is_live());
    if live.flat_map(|server| &server.addresses).any(|taken| wanted.contains(taken)) {
        return Err(Answer::refused("IPv4 address is assigned already"));
    }
    modified(world, asked, |server| server.addresses.extend(wanted))?;
    Ok((Answer::empty(204), Effect::AddressesAdded(asked.id(0))))
}

fn remove_addresses(world: &mut World, asked: &Accepted) -> Reply {
    let gone: Vec<u32> = asked.texts("ip").iter().filter_map(|ip| host_of(ip)).collect();
    let held = &server(world, asked)?.addresses;
    if gone.is_empty() || !gone.iter().all(|host| held.contains(host)) {
        return Err(Answer::refused("IPv4 address is not assigned to the server"));
    }
    modified(world, asked, |server| server.addresses.retain(|host| !gone.contains(host)))?;
    Ok((Answer::empty(204), Effect::AddressesRemoved(asked.id(0))))
}

fn traffic(world: &World, server: &Server) -> Value {
    let (month, start_ms, end_ms) = view::period(server, world.now_ms);
    let blocks: Vec<Value> = server
        .blocks
        .iter()
        .filter(|block| block.month == month)
        .map(|block| json!({ "id": block.id, "traffic": block.amount_gb }))
        .collect();
    let (rx, tx) = (server.id * 1_000_003, server.id * 7_919);
    json!({ "monthly": [{ "month": month, "start": view::plain(start_ms), "end": view::plain(end_ms),
        "rx": rx, "tx": tx, "total": rx + tx, "limit": server.resources.traffic_gb,
        "blocks": blocks }] })
}

fn blocks(world: &World, server: &Server) -> Value {
    let (month, start_ms, end_ms) = view::period(server, world.now_ms);
    let (start, end) = (view::plain(start_ms), view::plain(end_ms));
    let assigned: Vec<Value> = server
        .blocks
        .iter()
        .map(|block| {
            json!({ "id": block.id, "current": block.month == month, "month": block.month,
                "traffic": block.amount_gb, "start": start, "end": end,
                "added": view::precise(server.updated_ms) })
        })
        .collect();
    let current = json!({ "month": month, "start": start, "end": end });
    json!({ "assigned": assigned, "available": { "total": 1, "current": current,
        "months": { month.to_string(): current } } })
}

fn vnc(server: &Server) -> Value {
    let token = format!("69316231-d34a-4d36-{:04x}-{:012x}", server.vnc_turn, server.id);
    json!({ "vnc": { "ip": "10.40.0.2", "hostname": null, "port": 5_900 + server.id % 90,
        "password": format!("vnc{:x}Zq{}", server.id, server.vnc_turn),
        "wss": { "token": token, "url": format!("/vnc/?token={token}") },
        "enabled": server.vnc_enabled } })
}

fn switch_vnc(world: &mut World, asked: &Accepted) -> Reply {
    let enable = asked.text("action") == Some("enable");
    if enable && !server(world, asked)?.running {
        return Err(Answer::refused("the server is not running"));
    }
    let server = server_mut(world, asked)?;
    server.vnc_enabled = enable;
    server.vnc_turn += u64::from(enable);
    let (mut shown, id) = (vnc(server), server.id);
    view::merge(&mut shown, json!({ "queueId": null }));
    remember_vnc(world, &shown);
    Ok((Answer::data(200, shown), Effect::VncChanged(id)))
}

fn remember_vnc(world: &mut World, shown: &Value) {
    let secrets = [&shown["vnc"]["password"], &shown["vnc"]["wss"]["token"]];
    world.secrets.extend(secrets.into_iter().filter_map(|secret| Some(secret.as_str()?.to_owned())));
}
