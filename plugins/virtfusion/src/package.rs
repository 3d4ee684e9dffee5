//! `change_package`: another package, and what the product has instead of the package's parts.
//!
//! The panel does not show which package a server has, only what came of it. So the package that this provider set last
//! is noted with the service, and nothing is to change only where the note and everything that is shown agree.

use crate::api;
use crate::api::resources::{self, Package, Part};
use crate::panel::{self, Doing, Owned};
use crate::server::{ORDER_SETTLE, Resources, Server};
use crate::settings::Product;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Find, Service, Texts};
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
pub async fn run(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let product = owned.product;
    product.check()?;
    let package = package(cx, product.package_id).await?;
    let server = owned.read(cx).await?;
    let target = Target { product, package: package.resources };
    let planned = target.plan(&server, noted_package(owned.service));
    let plan: Plan = cx.step("plan").record(|| async move { Ok(planned) }).await?;
    if plan == Plan::default() {
        return Ok(Change { properties: properties(product, &server), ..Change::noop() });
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
        properties: properties(product, &server),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Machine, Stage, fault, ok, to_end};
    use billhook_plugin_api::ChangePackage;
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};

    /// The larger package, of which the stage's panel gives 4 cores, 4096 MB, 40 GB and 800 GB of traffic.
    fn change_of(host: &ScriptedHost, service: Service, more: Value) -> Ended<Change> {
        let mut settings = json!({ "package_id": 2 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = ChangePackage { service, product: stage::product(settings) };
        host.run(async |cx| stage::provider().change_package(cx, request).await)
    }

    fn change(host: &ScriptedHost, more: Value) -> Ended<Change> {
        change_of(host, stage::service(), more)
    }

    fn small() -> Stage {
        let stage = Stage::with(Machine::running(300));
        stage.world().package = (4, 4096, 40, 800);
        stage
    }

    fn held(stage: &Stage) -> (u64, u64, u64, u64, usize) {
        let machine = &stage.world().machines[&7_000];
        (machine.cores, machine.memory, machine.storage, machine.traffic, machine.ips.len())
    }

    #[test]
    fn only_what_differs_is_sent() {
        let package = "PUT /servers/7000/package/2";
        for (more, calls, expected) in [
            (json!({ "default_ipv4": 2 }), vec![package], (4, 4096, 40, 800, 2)),
            (
                json!({ "default_ipv4": 2, "memory_mb": 2048, "cpu_cores": 1, "traffic_gb": 0 }),
                vec![package, "PUT /servers/7000/modify/memory", "PUT /servers/7000/modify/traffic"],
                (1, 2048, 40, 0, 2),
            ),
            (json!({ "default_ipv4": 4 }), vec![package, "POST /servers/7000/ipv4Qty"], (4, 4096, 40, 800, 4)),
        ] {
            let stage = small();
            let host = stage.host();

            let first = ok(change(&host, more.clone()));
            let again = ok(change(&host, more));

            assert_eq!(first, again);
            assert!(!first.noop);
            assert_eq!(first.properties[PACKAGE_ID], json!(2));
            assert_eq!((host.changes(), held(&stage)), (calls.iter().map(|&call| call.to_owned()).collect(), expected));
        }
    }

    #[test]
    fn the_package_that_was_noted_and_shows_is_sent_no_more() {
        let stage = small();
        let host = stage.host();
        let mut service = stage::service();
        service.properties = ok(change_of(&host, service.clone(), json!({ "default_ipv4": 2 }))).properties;
        host.next_operation();

        let again = ok(change_of(&host, service.clone(), json!({ "default_ipv4": 2 })));
        assert!(again.noop);
        assert_eq!(host.changes().len(), 1);

        // Somebody has changed it on the panel.
        stage.world().machines.get_mut(&7_000).unwrap().memory = 512;
        host.next_operation();
        assert!(!ok(change_of(&host, service, json!({ "default_ipv4": 2 }))).noop);
        assert_eq!(held(&stage).1, 4096);
    }

    #[test]
    fn what_the_panel_cannot_do_is_told() {
        let stage = small();
        stage.world().machines.get_mut(&7_000).unwrap().storage = 100;
        let more = json!({ "default_ipv4": 1, "network_speed_inbound_kbs": 100 });

        let staff = ok(change(&stage.host(), more)).message.staff.unwrap();

        for part in ["it is (GB) 100, the product has 40", "there are 2, the product has 1", "network speed"] {
            assert!(staff.contains(part), "{staff}");
        }
        assert_eq!(held(&stage).4, 2, "no address is taken away");
    }

    #[test]
    fn what_waits_for_a_restart_is_pending() {
        let stage = small();
        let pending = json!({ "tasks": { "active": false, "actions": { "pending": [{ "complete": false }] } } });
        stage.world().machines.get_mut(&7_000).unwrap().more = pending;
        assert!(ok(change(&stage.host(), json!({ "default_ipv4": 2 }))).pending.unwrap().contains("restart"));
    }

    #[test]
    fn every_change_that_breaks_in_every_way_ends_as_it_should() {
        let more = json!({ "default_ipv4": 4, "memory_mb": 2048 });
        for call in ["PUT /servers/7000/package/2", "PUT /servers/7000/modify/memory", "POST /servers/7000/ipv4Qty"] {
            for how in BREAKS {
                let stage = small();
                stage.breaks(call, how);
                let host = stage.host();

                ok(to_end(|| change(&host, more.clone())));

                assert_eq!(held(&stage), (4, 2048, 40, 800, 4), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn addresses_that_are_not_ours_alone_are_a_persons_matter() {
        let stage = small();
        stage.breaks("POST /servers/7000/ipv4Qty", Break::Lost { done: false });
        let host = stage.host();
        assert_eq!(change(&host, json!({ "default_ipv4": 4 })), Ended::Settling("ipv4".into()));
        stage.world().machines.get_mut(&7_000).unwrap().ips.push("10.40.9.9".into());

        assert!(matches!(change(&host, json!({ "default_ipv4": 4 })), Ended::Attention(_)));
    }

    #[test]
    fn a_package_that_is_not_there_changes_nothing() {
        let stage = small();
        stage.breaks(
            "GET /packages/2",
            Break::Says { done: false, status: 404, body: r#"{"msg":"package not found"}"# },
        );
        let host = stage.host();
        assert_eq!(fault(change(&host, json!({}))).class, FaultClass::InvalidInput);
        assert!(host.changes().is_empty());
    }
}
