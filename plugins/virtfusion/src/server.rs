//! A server as the panel shows it, and what its state means.
//!
//! Source: VirtFusion OpenAPI file, "Server". Members that are not needed may be missing, of another type or new.

use crate::settings::Product;
use billhook_plugin_api::{ServiceState, Settle};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// How long a server must not be seen after an order whose answer was lost, before it is ordered again.
pub const ORDER_SETTLE: Settle = Settle { first_ms: 10_000, looks: 2, apart_ms: 30_000, refuses_twice: false };

/// One server. The members that have no default are required.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    pub id: u64,
    pub owner_id: u64,
    pub uuid: String,
    pub state: String,
    pub suspended: bool,
    pub build_failed: bool,
    pub commission_status: i64,
    /// When the first good build was over; `null` before. A rebuild keeps the old date.
    #[serde(deserialize_with = "Option::deserialize")]
    pub built: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    #[serde(default, deserialize_with = "lenient")]
    pub hostname: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub protected: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub settings: Settings,
    #[serde(default, deserialize_with = "lenient")]
    pub tasks: Tasks,
    #[serde(default, deserialize_with = "lenient")]
    network: Network,
    #[serde(default, deserialize_with = "lenient")]
    hypervisor: Hypervisor,
    #[serde(default, deserialize_with = "lenient")]
    pub owner: Owner,
    /// `false` or absent when the hypervisor was not asked or did not answer.
    #[serde(default, deserialize_with = "lenient")]
    remote_state: Option<RemoteState>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    #[serde(deserialize_with = "lenient")]
    pub os_template_install_id: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    resources: Resources,
}

/// Memory in MB, storage and traffic in GB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    #[serde(deserialize_with = "lenient")]
    pub memory: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub storage: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub traffic: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub cpu_cores: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Tasks {
    #[serde(deserialize_with = "lenient")]
    pub active: bool,
    #[serde(deserialize_with = "lenient")]
    actions: Actions,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Actions {
    #[serde(deserialize_with = "lenient")]
    pending: Vec<Pending>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Pending {
    #[serde(deserialize_with = "lenient")]
    complete: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(deserialize_with = "lenient")]
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Interface {
    #[serde(deserialize_with = "lenient")]
    ipv4: Vec<Ipv4>,
    #[serde(deserialize_with = "lenient")]
    ipv6: Vec<Ipv6>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Ipv4 {
    #[serde(deserialize_with = "lenient")]
    order: i64,
    #[serde(deserialize_with = "lenient")]
    address: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Ipv6 {
    #[serde(deserialize_with = "lenient")]
    subnet: Option<String>,
    #[serde(deserialize_with = "lenient")]
    cidr: Option<u8>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Hypervisor {
    #[serde(deserialize_with = "lenient")]
    maintenance: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// The customer's number, where the owner was linked by one.
    #[serde(deserialize_with = "lenient")]
    pub ext_relation_id: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
struct RemoteState {
    state: String,
}

/// Reads what it can and takes the default for what it cannot: these members are good to have and nothing more.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
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
    /// How far the first build is.
    pub fn build(&self) -> Build {
        if self.has_failed() {
            return Build::Failed;
        }
        if self.is_complete() && !self.tasks.active && self.built.is_some() {
            return Build::Done;
        }
        if self.is_untouched() { Build::Awaited } else { Build::Running }
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
    pub fn power(&self) -> Option<String> {
        self.remote_state.as_ref().map(|remote| remote.state.clone())
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
        } else if !self.settings.resources.fits(ordered) {
            Some("has other resources than were ordered")
        } else {
            None
        }
    }

    /// IPv4 addresses, the main one first.
    pub fn ips(&self) -> Vec<String> {
        let mut found = Vec::new();
        for interface in &self.network.interfaces {
            let mut sorted: Vec<&Ipv4> = interface.ipv4.iter().collect();
            sorted.sort_by_key(|ip| ip.order);
            found.extend(sorted.into_iter().filter_map(|ip| ip.address.clone()));
        }
        found
    }

    /// What staff may want to see of it. `null` would remove a property that an earlier hook left.
    pub fn properties(&self) -> Map<String, Value> {
        let mut found = Map::new();
        found.insert("uuid".into(), json!(self.uuid));
        found.insert("owner_id".into(), json!(self.owner_id));
        if let Some(hostname) = &self.hostname {
            found.insert("hostname".into(), json!(hostname));
        }
        let subnets = self.network.interfaces.iter().flat_map(|interface| &interface.ipv6);
        let subnets: Vec<String> =
            subnets.filter_map(|ip| Some(format!("{}/{}", ip.subnet.as_deref()?, ip.cidr?))).collect();
        if !subnets.is_empty() {
            found.insert("ipv6_subnets".into(), json!(subnets));
        }
        found
    }

    /// [`Server::properties`] and the flags that only hold now.
    pub fn flags(&self) -> Map<String, Value> {
        let mut found = self.properties();
        found.insert("panel_state".into(), json!(self.state));
        for (name, value) in [
            ("maintenance", self.hypervisor.maintenance),
            ("tasks_active", self.tasks.active),
            ("restart_required", self.needs_restart()),
            ("protected", self.protected),
        ] {
            found.insert(name.into(), json!(value));
        }
        found
    }

    /// Whether a change waits for the next start of the machine.
    pub fn needs_restart(&self) -> bool {
        self.tasks.actions.pending.iter().any(|pending| !pending.complete)
    }

    // Any one of the three is enough: `buildFailed` was seen false while the state was `failed`.
    fn has_failed(&self) -> bool {
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
        serde_json::from_value(object).unwrap()
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
