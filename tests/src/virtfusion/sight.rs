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
