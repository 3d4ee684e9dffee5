//! A server as the panel shows it, and what its state means.
//!
//! Source: VirtFusion OpenAPI file, "Server". Members that are not needed may be missing, of another type or new.

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
        let whole = |name: &str| data[name].as_u64().ok_or_else(|| misfit(name));
        let truth = |name: &str| data[name].as_bool().ok_or_else(|| misfit(name));
        let text = |name: &str| data[name].as_str().ok_or_else(|| misfit(name));
        let built = match data.get("built") {
            Some(Value::Null) => None,
            Some(Value::String(date)) => Some(date.clone()),
            _ => return Err(misfit("built")),
        };
        let pending = list(&data["tasks"]["actions"]["pending"]);
        let resources = &data["settings"]["resources"];
        let (ips, ipv6_subnets) = addresses(list(&data["network"]["interfaces"]));
        Ok(Self {
            id: whole("id")?,
            owner_id: whole("ownerId")?,
            name: data["name"].as_str().unwrap_or_default().to_owned(),
            suspended: truth("suspended")?,
            os_template: data["settings"]["osTemplateInstallId"].as_u64(),
            is_busy: is_set(&data["tasks"]["active"]),
            owner_relation: data["owner"]["extRelationId"].as_u64(),
            built,
            last_task: data["tasks"]["lastOn"].as_str().map(str::to_owned),
            backup_plan: data["backupPlan"]["id"].as_u64(),
            throttle: data["cpu"]["throttle"].as_u64(),
            uuid: text("uuid")?.to_owned(),
            hostname: data["hostname"].as_str().map(str::to_owned),
            state: text("state")?.to_owned(),
            build_failed: truth("buildFailed")?,
            commission_status: data["commissionStatus"].as_i64().ok_or_else(|| misfit("commissionStatus"))?,
            protected: is_set(&data["protected"]),
            maintenance: is_set(&data["hypervisor"]["maintenance"]),
            needs_restart: pending.iter().any(|change| !is_set(&change["complete"])),
            resources: Resources {
                memory: resources["memory"].as_u64(),
                storage: resources["storage"].as_u64(),
                traffic: resources["traffic"].as_u64(),
                cpu_cores: resources["cpuCores"].as_u64(),
            },
            ips,
            ipv6_subnets,
            // `false` or absent when the hypervisor was not asked or did not answer.
            power: data["remoteState"]["state"].as_str().map(str::to_owned),
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

fn misfit(name: &str) -> Fault {
    Fault::panel_bug(format!("the panel's answer has a member that is missing or of another type, at data.{name}"))
}

// What follows reads members that are good to have and no more: whatever cannot be read counts as absent.

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_set(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// IPv4 addresses in order, and IPv6 subnets with their prefix lengths.
fn addresses(interfaces: &[Value]) -> (Vec<String>, Vec<String>) {
    let (mut ips, mut subnets) = (Vec::new(), Vec::new());
    for interface in interfaces {
        let mut sorted: Vec<&Value> = Vec::new();
        for ip in list(&interface["ipv4"]) {
            let at = sorted.partition_point(|other| other["order"].as_i64() <= ip["order"].as_i64());
            sorted.insert(at, ip);
        }
        ips.extend(sorted.into_iter().filter_map(|ip| ip["address"].as_str().map(str::to_owned)));
        subnets.extend(
            list(&interface["ipv6"])
                .iter()
                .filter_map(|ip| Some(format!("{}/{}", ip["subnet"].as_str()?, ip["cidr"].as_u64()?))),
        );
    }
    (ips, subnets)
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
