//! Servers and users as a test sees them.

use serde::Serialize;
use serde_json::Value;

use super::state::{Server, User, World};
use super::view;

/// A server as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerView {
    /// The panel's id.
    pub id: u64,
    /// The owning user's id.
    pub owner_id: u64,
    /// The package of the order or of the last change.
    pub package_id: u64,
    /// `""` until named.
    pub name: String,
    /// `None` until built with one.
    pub hostname: Option<String>,
    /// `allocated`, `queued`, `building`, `complete` or `failed`.
    pub state: &'static str,
    /// Whether it is suspended; a queued suspend does not count.
    pub suspended: bool,
    /// Whether the guest runs.
    pub running: bool,
    /// When a scheduled delete comes true, Unix milliseconds.
    pub delete_at: Option<u64>,
    /// When it was deleted, Unix milliseconds.
    pub deleted_at: Option<u64>,
    /// The number of the call that made it, 0 for a seeded one.
    pub created_at_call: u64,
    /// When it was made, Unix milliseconds.
    pub created_at: u64,
    /// Its IPv4 addresses.
    pub addresses: Vec<String>,
    /// Its memory in MB.
    pub memory_mb: u64,
    /// Its disk in GB.
    pub storage_gb: u64,
    /// Its traffic in GB for each period, without blocks.
    pub traffic_gb: u64,
    /// Its cores.
    pub cpu_cores: u64,
    /// The template of its last build, 0 before the first.
    pub os_id: u64,
    /// When its last good build ended, Unix milliseconds.
    pub built_at: Option<u64>,
    /// Percent that its CPU is slowed by.
    pub throttle: u64,
    /// Its backup plan.
    pub backup_plan: Option<u64>,
    /// Blocks of traffic: period and GB.
    pub blocks: Vec<(u64, u64)>,
    /// Whether VNC is on.
    pub vnc_enabled: bool,
    /// Whether a change waits for the guest's next start.
    pub needs_restart: bool,
    /// The body of the order.
    pub order: Value,
}

/// A user as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// The panel's id.
    pub id: u64,
    /// Full name.
    pub name: String,
    /// Unique on the panel.
    pub email: String,
    /// The integer relation.
    pub ext_relation_id: Option<u64>,
    /// The relation text.
    pub rel_str: Option<String>,
    /// The number of the call that made it, 0 for a seeded one.
    pub created_at_call: u64,
}

impl ServerView {
    pub(super) fn of(world: &World, server: &Server) -> Self {
        Self {
            id: server.id,
            owner_id: server.owner_id,
            package_id: server.package_id,
            name: server.name.clone(),
            hostname: server.hostname.clone(),
            state: view::build_state(world, server).0,
            suspended: server.suspended,
            running: server.running,
            delete_at: server.delete_at_ms,
            deleted_at: server.deleted_ms,
            created_at_call: server.created_at_call,
            created_at: server.created_ms,
            addresses: server.addresses.iter().map(|host| view::address(*host)).collect(),
            memory_mb: server.resources.memory_mb,
            storage_gb: server.resources.storage_gb,
            traffic_gb: server.resources.traffic_gb,
            cpu_cores: server.resources.cpu_cores,
            os_id: server.os_id,
            built_at: server.built_ms,
            throttle: server.throttle,
            backup_plan: server.backup_plan,
            blocks: server.blocks.iter().map(|block| (block.month, block.amount_gb)).collect(),
            vnc_enabled: server.vnc_enabled,
            needs_restart: !server.pending.is_empty(),
            order: server.order.clone(),
        }
    }
}

impl UserView {
    pub(super) fn of(user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            email: user.email.clone(),
            ext_relation_id: user.ext_relation_id,
            rel_str: user.rel_str.clone(),
            created_at_call: user.created_at_call,
        }
    }
}
