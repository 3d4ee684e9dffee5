//! A server as the panel shows it, and what its state means.
//!
//! Source: VirtFusion OpenAPI file, "Server". Members that are not needed may be missing or new.

use crate::member::{self, Misfit};
use crate::settings::Product;
use billhook_plugin_api::{Fault, ServiceState, Settle};
use serde_json::{Map, Value, json};

/// How long a server must not be seen after an order whose answer was lost, before it is ordered again.
pub const ORDER_SETTLE: Settle = Settle { first_ms: 10_000, looks: 2, apart_ms: 30_000, refuses_twice: false };

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    pub id: u64,
    pub owner_id: u64,
    /// Empty before the first build.
    pub name: String,
    pub suspended: bool,
    /// The template of the last build; 0 or absent before the first.
    pub os_template: Option<u64>,
    /// Whether the panel is at work on it.
    pub is_busy: bool,
    /// The customer's number, where the owner was linked by one.
    pub owner_relation: Option<u64>,
    /// The date of the last good build; a build that is under way leaves the old one.
    pub built: Option<String>,
    /// When the panel last ended a task on it.
    pub last_task: Option<String>,
    pub resources: Resources,
    /// IPv4 addresses, the main one first.
    pub ips: Vec<String>,
    pub backup_plan: Option<u64>,
    /// Percent that the CPU is slowed by.
    pub throttle: Option<u64>,
    uuid: String,
    hostname: Option<String>,
    state: String,
    build_failed: bool,
    commission_status: i64,
    protected: bool,
    maintenance: bool,
    needs_restart: bool,
    ipv6_subnets: Vec<String>,
    power: Option<String>,
}

/// Memory in MB, storage and traffic in GB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    pub memory: Option<u64>,
    pub storage: Option<u64>,
    pub traffic: Option<u64>,
    pub cpu_cores: Option<u64>,
}

/// How far the first build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// No build was accepted yet.
    Awaited,
    /// Accepted and not over.
    Running,
    /// Over, and nothing is at work any more.
    Done,
    /// Over without a system.
    Failed,
}

impl Server {
    /// Reads the `data` of an answer.
    ///
    /// # Errors
    ///
    /// `panel_bug` with the place of the first needed member that is missing or of another type.
    pub fn read(data: &Value) -> Result<Self, Fault> {
        let whole = |place: &str| member::needed(member::whole(data, place), place);
        let flag = |place: &str| member::needed(member::truth(data, place), place);
        let is_set = |place: &str| Ok::<_, Misfit>(member::truth(data, place)?.unwrap_or_default());
        let text = |place: &str| Ok::<_, Misfit>(member::text(data, place)?.map(str::to_owned));
        let needed = |place: &str| member::needed(text(place), place);
        if data.get("built").is_none() {
            return Err(member::misfit("built"));
        }
        let pending = |change: &Value| Ok(!member::truth(change, "complete")?.unwrap_or_default());
        let pending = member::each(data, "tasks.actions.pending", pending)?;
        let resource = |place: &str| member::whole(data, &format!("settings.resources.{place}"));
        let (ips, subnets): (Vec<_>, Vec<_>) = member::each(data, "network.interfaces", addresses)?.into_iter().unzip();
        Ok(Self {
            id: whole("id")?,
            owner_id: whole("ownerId")?,
            name: text("name")?.unwrap_or_default(),
            suspended: flag("suspended")?,
            os_template: member::whole(data, "settings.osTemplateInstallId")?,
            is_busy: is_set("tasks.active")?,
            owner_relation: member::whole(data, "owner.extRelationId")?,
            built: text("built")?,
            last_task: text("tasks.lastOn")?,
            backup_plan: member::whole(data, "backupPlan.id")?,
            throttle: member::whole(data, "cpu.throttle")?,
            uuid: needed("uuid")?,
            hostname: text("hostname")?,
            state: needed("state")?,
            build_failed: flag("buildFailed")?,
            commission_status: member::needed(member::signed(data, "commissionStatus"), "commissionStatus")?,
            protected: is_set("protected")?,
            maintenance: is_set("hypervisor.maintenance")?,
            needs_restart: pending.contains(&true),
            resources: Resources {
                memory: resource("memory")?,
                storage: resource("storage")?,
                traffic: resource("traffic")?,
                cpu_cores: resource("cpuCores")?,
            },
            ips: ips.concat(),
            ipv6_subnets: subnets.concat(),
            // Without state when the hypervisor was not asked or did not answer.
            power: text("remoteState.state")?,
        })
    }

    /// How far the first build is.
    pub fn build(&self) -> Build {
        if self.has_failed() {
            return Build::Failed;
        }
        if self.is_complete() && !self.is_busy && self.built.is_some() {
            return Build::Done;
        }
        if self.is_untouched() { Build::Awaited } else { Build::Running }
    }

    /// Whether a build was accepted and is not over. Other work on a complete server is none.
    pub fn is_installing(&self) -> bool {
        !self.has_failed() && !self.is_complete() && !self.is_untouched()
    }

    /// Whether a system is installed on it.
    pub fn is_installed(&self) -> bool {
        self.is_complete() && !self.has_failed()
    }

    /// In billing words.
    pub fn service_state(&self) -> ServiceState {
        if self.suspended {
            ServiceState::Suspended
        } else if self.has_failed() {
            ServiceState::Error
        } else if self.is_complete() {
            ServiceState::Active
        } else {
            ServiceState::Provisioning
        }
    }

    /// The machine's power in the hypervisor's word; `None` when that is unknown.
    pub fn power(&self) -> Option<&str> {
        self.power.as_deref()
    }

    /// Why this cannot be taken for the fresh server of an order; `None` if it can.
    ///
    /// `package` is what the ordered package holds, where that could be read.
    pub fn differs_from_order(&self, user: u64, product: &Product, package: Option<Resources>) -> Option<&'static str> {
        let ordered = ordered_resources(product, package.unwrap_or_default());
        if self.owner_id != user {
            Some("belongs to another user")
        } else if !self.name.is_empty() {
            Some("has a name")
        } else if self.built.is_some() || !self.is_untouched() || self.has_failed() {
            Some("was built")
        } else if !self.resources.fits(ordered) {
            Some("has other resources than were ordered")
        } else {
            None
        }
    }

    /// What staff may want to see of it. `null` would remove a property that an earlier hook left.
    pub fn properties(&self) -> Map<String, Value> {
        let mut found = Map::new();
        found.insert("uuid".into(), json!(self.uuid));
        found.insert("owner_id".into(), json!(self.owner_id));
        if let Some(hostname) = &self.hostname {
            found.insert("hostname".into(), json!(hostname));
        }
        if !self.ipv6_subnets.is_empty() {
            found.insert("ipv6_subnets".into(), json!(self.ipv6_subnets));
        }
        found
    }

    /// [`Server::properties`] and the flags that only hold now.
    pub fn flags(&self) -> Map<String, Value> {
        let mut found = self.properties();
        found.insert("panel_state".into(), json!(self.state));
        for (name, value) in [
            ("maintenance", self.maintenance),
            ("tasks_active", self.is_busy),
            ("restart_required", self.needs_restart),
            ("protected", self.protected),
        ] {
            found.insert(name.into(), json!(value));
        }
        found
    }

    /// Whether a change waits for the next start of the machine.
    pub fn needs_restart(&self) -> bool {
        self.needs_restart
    }

    // Any one of the three is enough: `buildFailed` was seen false while the state was `failed`.
    pub fn has_failed(&self) -> bool {
        self.build_failed || self.state == "failed" || self.commission_status == 2
    }

    fn is_complete(&self) -> bool {
        self.state == "complete" && self.commission_status == 3
    }

    fn is_untouched(&self) -> bool {
        self.state == "allocated" && self.commission_status == 0
    }
}

impl Resources {
    /// Whether nothing that both sides tell is different.
    fn fits(self, ordered: Self) -> bool {
        [
            (self.memory, ordered.memory),
            (self.storage, ordered.storage),
            (self.traffic, ordered.traffic),
            (self.cpu_cores, ordered.cpu_cores),
        ]
        .iter()
        .all(|(found, ordered)| found.is_none() || ordered.is_none() || found == ordered)
    }
}

/// An interface's IPv4 addresses in order, and its IPv6 subnets with their prefix lengths.
fn addresses(interface: &Value) -> Result<(Vec<String>, Vec<String>), Misfit> {
    let mut ips = member::each(interface, "ipv4", |ip| {
        Ok((member::signed(ip, "order")?, member::text(ip, "address")?.map(str::to_owned)))
    })?;
    ips.sort_by_key(|(order, _)| *order);
    let subnets = member::each(interface, "ipv6", |ip| {
        let subnet = member::text(ip, "subnet")?.zip(member::whole(ip, "cidr")?);
        Ok(subnet.map(|(subnet, length)| format!("{subnet}/{length}")))
    })?;
    Ok((ips.into_iter().filter_map(|(_, address)| address).collect(), subnets.into_iter().flatten().collect()))
}

fn ordered_resources(product: &Product, package: Resources) -> Resources {
    Resources {
        memory: product.memory_mb.or(package.memory),
        storage: product.storage_gb.or(package.storage),
        traffic: product.traffic_gb.or(package.traffic),
        cpu_cores: product.cpu_cores.or(package.cpu_cores),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(more: Value) -> Server {
        let mut object = json!({
            "id": 7, "ownerId": 300, "uuid": "u", "state": "complete", "suspended": false, "buildFailed": false,
            "commissionStatus": 3, "built": "2026-01-20T14:00:47+00:00", "tasks": { "active": false },
        });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Server::read(&object).unwrap()
    }

    #[test]
    fn a_build_is_over_only_when_everything_says_so() {
        use Build::{Awaited, Done, Failed, Running};
        for (more, expected) in [
            (json!({}), Done),
            (json!({ "tasks": null }), Done),
            (json!({ "tasks": { "active": true } }), Running),
            (json!({ "built": null }), Running),
            (json!({ "commissionStatus": 1 }), Running),
            (json!({ "state": "queued" }), Running),
            (json!({ "state": "a new word" }), Running),
            (json!({ "state": "queued", "commissionStatus": 1, "built": null }), Running),
            (json!({ "state": "allocated", "commissionStatus": 0, "built": null }), Awaited),
            // The two do not agree, and a build that is sent twice would erase a system.
            (json!({ "state": "allocated", "commissionStatus": 1 }), Running),
            (json!({ "state": "queued", "commissionStatus": 0 }), Running),
            (json!({ "buildFailed": true }), Failed),
            (json!({ "state": "failed" }), Failed),
            (json!({ "commissionStatus": 2 }), Failed),
        ] {
            assert_eq!(server(more.clone()).build(), expected, "{more}");
        }
    }

    #[test]
    fn resources_differ_only_where_both_sides_tell() {
        let some = |memory, traffic| Resources { memory, traffic, ..Resources::default() };
        for (found, ordered, fits) in [
            (some(Some(1024), None), some(Some(1024), Some(5)), true),
            (some(Some(1024), None), some(None, None), true),
            (some(Some(1024), Some(5)), some(Some(1024), Some(6)), false),
            (some(Some(1024), None), some(Some(2048), None), false),
        ] {
            assert_eq!(found.fits(ordered), fits, "{found:?} {ordered:?}");
        }
    }
}
