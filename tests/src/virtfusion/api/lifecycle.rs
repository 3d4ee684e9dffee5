//! A server's life: ordered, built, suspended, unsuspended, deleted.

use serde_json::{Value, json};

use super::{Reply, locked, missing, read, server, server_mut};
use crate::panel::Answer;
use crate::virtfusion::config::BusySuspend;
use crate::virtfusion::ledger::Effect;
use crate::virtfusion::rules::Accepted;
use crate::virtfusion::state::{Phase, Resources, Server, Work, World};
use crate::virtfusion::view;

pub(super) fn read_server(world: &mut World, asked: &Accepted) -> Reply {
    let found = server(world, asked)?;
    let mut shown = view::server(world, found);
    // The reference's example has the member without being asked, as `false`.
    let remote = match (asked.flag("remoteState"), found.phase, found.running) {
        (true, Phase::Complete, running) => remote_state(running),
        _ => json!(false),
    };
    view::merge(&mut shown, json!({ "remoteState": remote }));
    read(Answer::data(200, shown))
}

fn remote_state(running: bool) -> Value {
    let state = if running { "running" } else { "shutoff" };
    json!({
        "state": state, "running": running, "cpu": if running { "3.5" } else { "0" },
        "memory": { "actual": "1048576", "unused": "524288", "available": "983040", "rss": "734003" },
        "disk": { "vda": { "rd.bytes": "104857600", "wr.bytes": "52428800" } },
        "agent": { "fsinfo": [{ "name": "vda1", "used-bytes": 1_288_490_188_u64,
            "total-bytes": 10_737_418_240_u64 }] },
    })
}

pub(super) fn create(world: &mut World, asked: &Accepted) -> Reply {
    let errors = order_errors(world, asked);
    if !errors.is_empty() {
        return Err(Answer::errors(&errors));
    }
    if asked.flag("dryRun") {
        return read(Answer::data(200, json!({ "dryRun": true })));
    }
    let new = order(world, asked).ok_or_else(|| Answer::refused("invalid order"))?;
    let id = new.id;
    world.servers.push(new);
    let shown = view::server(world, server_of(world, id)?);
    Ok((Answer::data(201, shown), Effect::ServerCreated(id)))
}

fn server_of(world: &World, id: u64) -> Result<&Server, Answer> {
    world.server(id).ok_or_else(|| missing("server"))
}

fn order_errors(world: &World, asked: &Accepted) -> Vec<String> {
    let mut errors = Vec::new();
    if !asked.int("packageId").and_then(|id| world.package(id)).is_some_and(|found| found.enabled) {
        errors.push("Invalid or disabled package".to_owned());
    }
    if asked.int("userId").and_then(|id| world.user(id)).is_none() {
        errors.push("Invalid user".to_owned());
    }
    let group_id = asked.int("hypervisorId");
    match world.groups.iter().find(|group| Some(group.id) == group_id) {
        None => errors.push("Invalid or disabled hypervisor group".to_owned()),
        Some(group) => {
            let live = world.servers.iter().filter(|server| server.is_live());
            if live.filter(|server| server.group_id == group.id).count() >= group.room {
                errors.push("No available hypervisors with enough resources".to_owned());
            }
        }
    }
    errors
}

fn order(world: &mut World, asked: &Accepted) -> Option<Server> {
    let package = world.package(asked.int("packageId")?)?;
    let resources = Resources {
        memory_mb: asked.int("memory").unwrap_or(package.memory_mb),
        storage_gb: asked.int("storage").unwrap_or(package.storage_gb),
        traffic_gb: asked.int("traffic").unwrap_or(package.traffic_gb),
        cpu_cores: asked.int("cpuCores").unwrap_or(package.cpu_cores),
    };
    let group = world.groups.iter().find(|group| Some(group.id) == asked.int("hypervisorId"))?;
    let (package_id, group_id, hypervisor_id) = (package.id, group.id, group.hypervisor_id);
    let owner_id = asked.int("userId")?;
    let order = Value::Object(asked.body.clone());
    let twins = world
        .servers
        .iter()
        .filter(|server| server.is_staying() && server.owner_id == owner_id && server.order == order);
    let twins = twins.count() + 1;
    // Left out, `ipv4` gives a server without an address.
    let count = usize::try_from(asked.int("ipv4").unwrap_or(0)).unwrap_or(0);
    Some(Server {
        id: world.next_server_id(),
        owner_id,
        package_id,
        group_id,
        hypervisor_id,
        order,
        twins,
        foreign: false,
        name: String::new(),
        hostname: None,
        os_id: 0,
        phase: Phase::Allocated,
        rebuild: false,
        built_ms: None,
        suspended: false,
        running: false,
        password: None,
        next_password: None,
        resources,
        throttle: 0,
        backup_plan: None,
        vnc_enabled: false,
        vnc_turn: 0,
        ipv6: false,
        addresses: world.free_addresses(count),
        blocks: Vec::new(),
        pending: Vec::new(),
        created_ms: world.now_ms,
        updated_ms: world.now_ms,
        created_at_call: world.call,
        delete_at_ms: None,
        deleted_ms: None,
    })
}

pub(super) fn build(world: &mut World, asked: &Accepted) -> Reply {
    let found = server(world, asked)?;
    let (id, package_id, is_built) = (found.id, found.package_id, found.built_ms.is_some());
    if world.is_busy(id) {
        return Err(locked());
    }
    if found.suspended {
        return Err(Answer::msg(423, "server is suspended"));
    }
    let os_id = asked.int("operatingSystemId");
    let template = world.templates.iter().find(|template| Some(template.id) == os_id);
    let Some(template) = template.filter(|found| found.packages.contains(&package_id)) else {
        return Err(Answer::refused("Invalid operating system template"));
    };
    let os_id = template.id;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if asked.text("hostname").is_some_and(|name| !name.chars().all(good) || name.len() > 253) {
        return Err(Answer::refused("Invalid hostname"));
    }
    if is_built && !world.knobs.rebuilds_expected {
        let call = world.call;
        world.broken.push(format!("call {call}: a build of server {id}, which was built already"));
    }
    let password = world.secret("root");
    let outcome = world.knobs.build_outcome;
    let server = server_mut(world, asked)?;
    server.next_password = Some(password.clone());
    server.name = asked.text("name").unwrap_or(&server.name).to_owned();
    server.hostname = asked.text("hostname").map(str::to_owned).or(server.hostname.take());
    server.os_id = os_id;
    server.rebuild = is_built;
    server.ipv6 = asked.truth("ipv6").unwrap_or(server.ipv6);
    server.vnc_enabled = asked.truth("vnc").unwrap_or(server.vnc_enabled);
    world.enqueue(id, Work::Build(outcome));
    let mut shown = view::server(world, server_of(world, id)?);
    shown["settings"]["decryptedPassword"] = password.into();
    Ok((Answer::data(200, shown), Effect::BuildQueued(id)))
}

pub(super) fn suspend(world: &mut World, asked: &Accepted) -> Reply {
    let found = server(world, asked)?;
    let (id, is_suspended) = (found.id, found.suspended);
    let has_scheduled = world.open_tasks(id).any(|task| task.work == Work::Suspend);
    if is_suspended || has_scheduled {
        return match world.knobs.repeated_suspend_conflicts {
            true => Err(Answer::msg(409, "server is already suspended")),
            false => read(Answer::empty(204)),
        };
    }
    let is_busy = world.is_busy(id);
    if is_busy && world.knobs.busy_suspend == BusySuspend::Refused {
        return Err(locked());
    }
    if is_busy || world.knobs.suspend_ms > 0 {
        world.enqueue(id, Work::Suspend);
        return Ok((Answer::empty(204), Effect::SuspendQueued(id)));
    }
    server_mut(world, asked)?.suspend();
    Ok((Answer::empty(204), Effect::Suspended(id)))
}

pub(super) fn unsuspend(world: &mut World, asked: &Accepted) -> Reply {
    let found = server(world, asked)?;
    let (id, is_suspended) = (found.id, found.suspended);
    if world.open_tasks(id).any(|task| task.work == Work::Suspend) {
        return Err(Answer::msg(409, "suspend action is currently scheduled or failed"));
    }
    if world.is_busy(id) {
        return Err(locked());
    }
    if !is_suspended {
        return read(Answer::empty(204));
    }
    if world.knobs.suspend_ms > 0 {
        world.enqueue(id, Work::Unsuspend);
        return Ok((Answer::empty(204), Effect::UnsuspendQueued(id)));
    }
    server_mut(world, asked)?.suspended = false;
    Ok((Answer::empty(204), Effect::Unsuspended(id)))
}

pub(super) fn delete(world: &mut World, asked: &Accepted) -> Reply {
    let found = server(world, asked)?;
    let (id, scheduled) = (found.id, found.delete_at_ms);
    if world.knobs.do_not_disturb {
        return Err(Answer::msg(423, "do not disturb mode is active"));
    }
    if world.is_busy(id) {
        return Err(locked());
    }
    let delay_ms = asked.number("delay").unwrap_or(0) * 60_000;
    let at_ms = world.now_ms + delay_ms + world.knobs.delete_ms;
    let shortens = world.knobs.second_delete_shortens;
    if scheduled.is_some_and(|earlier| !shortens || earlier <= at_ms) {
        return read(Answer::empty(204));
    }
    server_mut(world, asked)?.delete_at_ms = Some(at_ms);
    let now_ms = world.now_ms;
    world.progress(now_ms);
    let effect = if at_ms <= now_ms { Effect::Deleted(id) } else { Effect::DeleteScheduled(id) };
    Ok((Answer::empty(204), effect))
}
