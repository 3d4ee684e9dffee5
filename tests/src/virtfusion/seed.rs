//! What was on the panel before the client came: users and servers of its own and of strangers.

use serde_json::json;

use super::state::{Phase, Resources, Server, User, World};

/// A user to put on the panel.
#[derive(Clone, Debug, Default)]
pub struct UserSeed {
    /// Full name.
    pub name: String,
    /// Email address.
    pub email: String,
    /// The integer relation.
    pub ext_relation_id: Option<u64>,
    /// The relation text.
    pub rel_str: Option<String>,
}

/// A built, running server to put on the panel.
#[derive(Clone, Debug)]
pub struct ServerSeed {
    /// An existing user.
    pub owner_id: u64,
    /// Its name.
    pub name: String,
    /// Whether the client under test may change it.
    pub ours: bool,
}

impl World {
    pub(super) fn seed_user(&mut self, seed: UserSeed) -> u64 {
        let id = self.next_user_id();
        self.users.push(User {
            id,
            name: seed.name,
            email: seed.email,
            ext_relation_id: seed.ext_relation_id,
            rel_str: seed.rel_str,
            self_service: 0,
            password: None,
            enabled: true,
            deleted: false,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            created_at_call: 0,
        });
        id
    }

    pub(super) fn seed_server(&mut self, seed: ServerSeed) -> u64 {
        let id = self.next_server_id();
        self.servers.push(Server {
            id,
            owner_id: seed.owner_id,
            package_id: 1,
            group_id: 1,
            hypervisor_id: 14,
            order: json!({ "seed": id }),
            twins: 1,
            foreign: !seed.ours,
            name: seed.name,
            hostname: None,
            os_id: 10,
            phase: Phase::Complete,
            rebuild: false,
            built_ms: Some(self.now_ms),
            suspended: false,
            running: true,
            password: None,
            next_password: None,
            resources: Resources { memory_mb: 1_024, storage_gb: 10, traffic_gb: 200, cpu_cores: 1 },
            throttle: 0,
            backup_plan: None,
            vnc_enabled: false,
            vnc_turn: 0,
            ipv6: false,
            addresses: self.free_addresses(1),
            blocks: Vec::new(),
            pending: Vec::new(),
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            created_at_call: 0,
            delete_at_ms: None,
            deleted_ms: None,
        });
        id
    }
}
