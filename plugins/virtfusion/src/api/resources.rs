//! What a server has: its package, memory, cores, traffic, addresses.

use super::{Value, body, data, get, json, member, no_data, post};
use crate::fault;
use crate::member::Misfit;
use crate::server::Resources;
use crate::settings::Product;
use billhook_plugin_api::{Fault, Reply, Request};

/// A package as far as the panel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub id: u64,
    pub name: String,
    /// Whether it may be ordered.
    pub is_enabled: bool,
    pub resources: Resources,
}

/// Reads a package; `None` when the panel says in words that it has none.
pub fn package_reply(reply: &Reply) -> Result<Option<Package>, Fault> {
    if fault::is_gone(reply) {
        return Ok(None);
    }
    fault::check(reply, &[200])?;
    package(&data(reply)?).map(Some)
}

/// Reads the answer to [`super::packages`].
pub fn packages_reply(reply: &Reply) -> Result<Vec<Package>, Fault> {
    fault::check(reply, &[200])?;
    let body = body(reply)?;
    let rows = body["data"].as_array().ok_or_else(|| no_data(reply))?;
    rows.iter().map(package).collect()
}

fn package(row: &Value) -> Result<Package, Fault> {
    Ok(Package {
        id: member::needed(member::whole(row, "id"), "id")?,
        name: member::text(row, "name")?.unwrap_or_default().to_owned(),
        is_enabled: member::truth(row, "enabled")?.unwrap_or(true),
        resources: Resources {
            memory: member::whole(row, "memory")?,
            storage: member::whole(row, "primaryStorage")?,
            traffic: member::whole(row, "traffic")?,
            cpu_cores: member::whole(row, "cpuCores")?,
        },
    })
}

fn put(path: String) -> Request {
    Request::put(path).header("Accept", "application/json")
}

/// "Change a server package". A part that is left out is taken from the package, so that those which the product
/// has instead of the package's are named and switched off.
pub fn change_package(id: u64, product: &Product) -> Request {
    let flags = json!({
        "backupPlan": true,
        "cpu": product.cpu_cores.is_none(),
        "memory": product.memory_mb.is_none(),
        "primaryDiskSize": product.storage_gb.is_none(),
        "primaryDiskReadIOPS": true,
        "primaryDiskWriteIOPS": true,
        "primaryDiskReadThroughput": true,
        "primaryDiskWriteThroughput": true,
        "primaryNetworkInboundSpeed": product.network_speed_inbound_kbs.is_none(),
        "primaryNetworkOutboundSpeed": product.network_speed_outbound_kbs.is_none(),
        "primaryNetworkTraffic": product.traffic_gb.is_none(),
    });
    put(format!("/servers/{id}/package/{}", product.package_id)).json(&flags).slow()
}

/// Reads the answer to a change that sets a state. Most have no body; a change of package has `{"info": [..]}`, without
/// `data`, and none on older panels.
pub fn changed(reply: &Reply) -> Result<(), Fault> {
    fault::check(reply, &[200, 201, 202, 204])?;
    match fault::Shape::of(reply) {
        fault::Shape::Words(text) => Err(super::complaint(reply, &text)),
        _ => Ok(()),
    }
}

/// What the panel says of each part of a package.
pub fn info(reply: &Reply) -> Vec<String> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    // Words for staff, and no more.
    let lines = body["info"].as_array().into_iter().flatten();
    lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

/// What a server can be given by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// MB.
    Memory,
    Cores,
    /// GB for each period, 0 is without limit.
    Traffic,
    /// Percent.
    Throttle,
}

/// "Modify memory", "CPU cores", "primary traffic allowance", "throttle a server's CPU". Traffic is sent as a number, as in
/// the reference's example and against its schema.
pub fn modify(id: u64, part: Part, value: u64) -> Request {
    let (path, member) = match part {
        Part::Memory => ("memory", "memory"),
        Part::Cores => ("cpuCores", "cores"),
        Part::Traffic => ("traffic", "traffic"),
        Part::Throttle => ("cpuThrottle", "percent"),
    };
    put(format!("/servers/{id}/modify/{path}")).json(&json!({ member: value }))
}

/// "Add, remove or modify a backup plan"; 0 removes it.
pub fn backup_plan(id: u64, plan: u64) -> Request {
    put(format!("/servers/{id}/backups/plan/{plan}"))
}

/// "Add a quantity of IPv4 addresses".
pub fn add_ipv4(id: u64, quantity: u32) -> Request {
    post(format!("/servers/{id}/ipv4Qty")).json(&json!({ "interface": "primary", "quantity": quantity }))
}

/// Reads which addresses were added.
pub fn add_ipv4_reply(reply: &Reply) -> Result<Vec<String>, Fault> {
    fault::check(reply, &[200, 201])?;
    let body = body(reply)?;
    let added = body["data"].as_array().ok_or_else(|| no_data(reply))?;
    added.iter().map(|ip| ip.as_str().map(str::to_owned).ok_or_else(|| no_data(reply))).collect()
}

/// "Remove an array of IPv4 addresses".
pub fn remove_ipv4(id: u64, ips: &[&String]) -> Request {
    Request::delete(format!("/servers/{id}/ipv4"))
        .header("Accept", "application/json")
        .json(&json!({ "interface": "primary", "ip": ips }))
}

/// "Retrieve a server's traffic blocks".
pub fn blocks(id: u64) -> Request {
    get(format!("/servers/{id}/traffic/blocks"))
}

/// Traffic that was bought on top of the allowance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The period that holds now; counted from the server's start, not a calendar month.
    pub month: u64,
    pub assigned: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub id: u64,
    pub month: u64,
    pub gigabytes: u64,
}

/// Reads the blocks of all periods.
pub fn blocks_reply(reply: &Reply) -> Result<Blocks, Fault> {
    fault::check(reply, &[200])?;
    let data = data(reply)?;
    let whole = |row: &Value, place: &str| member::needed(member::whole(row, place), place);
    if data["assigned"].is_null() {
        return Err(member::misfit("assigned"));
    }
    Ok(Blocks {
        month: whole(&data, "available.current.month")?,
        assigned: member::each(&data, "assigned", |row| {
            Ok(Block { id: whole(row, "id")?, month: whole(row, "month")?, gigabytes: whole(row, "traffic")? })
        })?,
    })
}

/// "Add a traffic block to a server". Not idempotent.
pub fn add_block(id: u64, month: u64, gigabytes: u32) -> Request {
    post(format!("/servers/{id}/traffic/blocks")).json(&json!({ "month": month, "amount": gigabytes }))
}

/// Reads the answer to [`add_block`].
pub fn add_block_reply(reply: &Reply) -> Result<(), Fault> {
    fault::check(reply, &[200, 201])
}

/// "Retrieve a server's traffic statistics".
pub fn traffic(id: u64) -> Request {
    get(format!("/servers/{id}/traffic"))
}

/// Traffic of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// `2025-01-06 00:00:00`, without a zone.
    pub start: String,
    pub end: String,
    /// Bytes, in and out.
    pub used: u64,
    /// GB with what was bought on top; `None` is without limit.
    pub limit: Option<u64>,
}

/// Reads the traffic of all periods, the newest first.
pub fn traffic_reply(reply: &Reply) -> Result<Vec<Period>, Fault> {
    fault::check(reply, &[200])?;
    let data = data(reply)?;
    if data["monthly"].is_null() {
        return Err(member::misfit("monthly"));
    }
    Ok(member::each(&data, "monthly", period)?)
}

fn period(row: &Value) -> Result<Period, Misfit> {
    let whole = |place: &str| member::needed(member::whole(row, place), place);
    let text = |place: &str| Ok::<_, Misfit>(member::needed(member::text(row, place), place)?.to_owned());
    let allowance = whole("limit")?;
    let blocks = member::each(row, "blocks", |block| Ok(member::whole(block, "traffic")?.unwrap_or_default()))?;
    let blocks = blocks.into_iter().fold(0, u64::saturating_add);
    Ok(Period {
        start: text("start")?,
        end: text("end")?,
        used: whole("total")?,
        limit: (allowance > 0).then(|| allowance.saturating_add(blocks)),
    })
}
