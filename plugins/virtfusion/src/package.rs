//! `change_package`: another package, and what the product has instead of the package's parts.
//!
//! The panel does not show which package a server has, only what came of it. So the package that this provider set last
//! is noted with the service, and nothing is to change only where the note and everything that is shown agree.

use crate::api::resources::{self, Package, Part};
use crate::panel::{self, Doing, Owned};
use crate::server::{ORDER_SETTLE, Resources, Server};
use crate::settings::Product;
use crate::{VirtFusion, api};
use billhook_plugin_api::{Change, ChangePackage, Cx, Fault, FaultClass, Find, Service, Texts};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The property that holds the package of the last order or change.
pub const PACKAGE_ID: &str = "package_id";

/// What is to be sent. Recorded before the first of it is, since what a server shows changes with every part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    package: bool,
    /// Whether a server that has the package looks different from what was seen, so that a look tells.
    package_shows: bool,
    memory: Option<u64>,
    cores: Option<u64>,
    traffic: Option<u64>,
    /// Addresses to add.
    ipv4: u32,
}

/// Gives the server what the product says.
pub async fn run(of: &VirtFusion, cx: &Cx, request: ChangePackage<Product>) -> Result<Change, Fault> {
    let ChangePackage { service, product } = request;
    product.check()?;
    let owned = Owned::new(of, &service, &product)?;
    let package = package(cx, product.package_id).await?;
    let server = owned.read(cx).await?;
    let target = Target { product: &product, package: package.resources };
    let planned = target.plan(&server, noted_package(&service));
    let plan: Plan = cx.step("plan").record(|| async move { Ok(planned) }).await?;
    if plan == Plan::default() {
        return Ok(Change { properties: properties(&product, &server), ..Change::noop() });
    }

    if plan.package {
        cx.progress(20, format!("changing to the package {}", package.name));
        panel::adjust(cx, "package", owned, &move |server| {
            let is_seen = plan.package_shows && target.has_package(server);
            Ok((!is_seen).then(|| resources::change_package(server.id, target.product)))
        })
        .await?;
    }
    for (step, part, value) in [
        ("memory", Part::Memory, plan.memory),
        ("cores", Part::Cores, plan.cores),
        ("traffic", Part::Traffic, plan.traffic),
    ] {
        if let Some(value) = value {
            set_part(cx, step, owned, part, value).await?;
        }
    }
    if plan.ipv4 > 0 {
        cx.progress(80, "adding addresses");
        add_ipv4(cx, owned, plan.ipv4).await?;
    }

    cx.progress(95, "reading what the panel made of it");
    let server = owned.read(cx).await?;
    let staff = target.shortfalls(&server);
    Ok(Change {
        properties: properties(&product, &server),
        pending: server.needs_restart().then(|| "changes wait for the next restart of the server".to_owned()),
        message: Texts { staff: (!staff.is_empty()).then(|| staff.join("; ")), customer: None },
        ..Change::done()
    })
}

fn properties(product: &Product, server: &Server) -> Map<String, Value> {
    let mut found = server.properties();
    found.insert(PACKAGE_ID.into(), json!(product.package_id));
    found.insert("ips".into(), json!(server.ips));
    found
}

fn noted_package(service: &Service) -> Option<u64> {
    service.properties.get(PACKAGE_ID).and_then(Value::as_u64)
}

async fn package(cx: &Cx, id: u64) -> Result<Package, Fault> {
    let found = resources::package_reply(&cx.http(api::package(id)).await?)?;
    found
        .ok_or_else(|| Fault::invalid_input(format!("the panel has no package {id}: correct the product's package_id")))
}

/// What a server of the product is like.
#[derive(Clone, Copy)]
struct Target<'a> {
    product: &'a Product,
    package: Resources,
}

impl Target<'_> {
    /// What must be sent to a server that looks so.
    fn plan(self, server: &Server, noted: Option<u64>) -> Plan {
        let package_shows = !self.has_package(server);
        let differs = |wanted: Option<u64>, found: Option<u64>| wanted.filter(|_| wanted != found);
        let addresses = u32::try_from(server.ips.len()).unwrap_or(u32::MAX);
        Plan {
            package: package_shows || noted != Some(self.product.package_id),
            package_shows,
            memory: differs(self.product.memory_mb, server.resources.memory),
            cores: differs(self.product.cpu_cores, server.resources.cpu_cores),
            traffic: differs(self.product.traffic_gb, server.resources.traffic),
            ipv4: self.product.default_ipv4.saturating_sub(addresses),
        }
    }

    /// Whether the server shows what it would have of the package. A disk is never made smaller, so a larger one counts.
    fn has_package(self, server: &Server) -> bool {
        let Resources { memory, storage, traffic, cpu_cores } = self.package;
        let same = |own: Option<u64>, package: Option<u64>, found: Option<u64>| own.is_some() || package == found;
        same(self.product.memory_mb, memory, server.resources.memory)
            && same(self.product.cpu_cores, cpu_cores, server.resources.cpu_cores)
            && same(self.product.traffic_gb, traffic, server.resources.traffic)
            && (self.product.storage_gb.is_some() || server.resources.storage >= storage)
    }

    /// What the product promises and the server does not show, in words.
    fn shortfalls(self, server: &Server) -> Vec<String> {
        let Resources { memory, storage, traffic, cpu_cores } = self.package;
        let (product, found) = (self.product, server.resources);
        let mut texts = Vec::new();
        let mut hold = |what: &str, wanted: Option<u64>, found: Option<u64>| {
            if let (Some(wanted), Some(found)) = (wanted, found)
                && wanted != found
            {
                texts.push(format!("{what} {found}, the product has {wanted}"));
            }
        };
        // What waits for a restart need not show yet.
        if !server.needs_restart() {
            hold("the memory is (MB)", product.memory_mb.or(memory), found.memory);
            hold("the CPU cores are", product.cpu_cores.or(cpu_cores), found.cpu_cores);
        }
        hold("the traffic is (GB)", product.traffic_gb.or(traffic), found.traffic);
        hold(
            "the panel makes no disk smaller and none larger by itself: it is (GB)",
            product.storage_gb.or(storage),
            found.storage,
        );
        hold(
            "addresses are not taken away: there are",
            Some(u64::from(product.default_ipv4)),
            u64::try_from(server.ips.len()).ok(),
        );
        if product.network_speed_inbound_kbs.is_some() || product.network_speed_outbound_kbs.is_some() {
            texts.push(
                "the panel cannot change a network speed that the product has instead of the package's".to_owned(),
            );
        }
        texts
    }
}

/// Sets one part of a server, unless a read shows it so. Whether it had to be.
pub async fn set_part(cx: &Cx, step: &'static str, owned: Owned<'_>, part: Part, value: u64) -> Result<bool, Fault> {
    panel::adjust(cx, step, owned, &move |server| {
        let found = match part {
            Part::Memory => server.resources.memory,
            Part::Cores => server.resources.cpu_cores,
            Part::Traffic => server.resources.traffic,
            Part::Throttle => server.throttle,
        };
        Ok((found != Some(value)).then(|| resources::modify(server.id, part, value)))
    })
    .await
}

/// Adds addresses, once: which ones, the panel chooses. They are told from those that were there before.
pub fn add_ipv4<'f>(cx: &'f Cx, owned: Owned<'f>, count: u32) -> Doing<'f, Vec<String>> {
    let adding = cx
        .step("ipv4")
        .scope(format!("ipv4:{}", owned.id))
        .settle(ORDER_SETTLE)
        .given(move || async move { Ok(owned.read(cx).await?.ips) })
        .find(move |before: Vec<String>| async move {
            let mut ips = owned.read(cx).await?.ips;
            ips.retain(|ip| !before.contains(ip));
            Ok(if ips.is_empty() {
                Find::Absent
            } else if u32::try_from(ips.len()) == Ok(count) {
                Find::Found(ips)
            } else {
                Find::Unknown(format!(
                    "server {} has {} new addresses where {count} were asked for: {}",
                    owned.id,
                    ips.len(),
                    ips.join(", ")
                ))
            })
        })
        .run(move |_, send| async move {
            let added = resources::add_ipv4_reply(&send.call(resources::add_ipv4(owned.id, count)).await?)?;
            if u32::try_from(added.len()) == Ok(count) {
                Ok(added)
            } else {
                Err(Fault::new(
                    FaultClass::PanelBug,
                    format!("the panel was asked for {count} addresses and answered with {}", added.len()),
                ))
            }
        });
    Box::pin(adding)
}
