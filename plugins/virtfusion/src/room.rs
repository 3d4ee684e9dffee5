//! `capacity`: how many more servers of a product a hypervisor group has room for.
//!
//! The panel tells what each hypervisor of the group has left. What it does not tell of is not counted: which storage a
//! profile leads to, and which hypervisors an asset group allows. So the number may be too high and is never too low; an
//! order that finds no room after all is refused by the panel.

use crate::api::{self, catalog};
use crate::catalog::pages;
use crate::member;
use crate::server::Resources;
use crate::settings::Product;
use billhook_plugin_api::{Capacity, Cx, Fault};
use serde_json::Value;

/// Asks the group, and the package where the product does not say itself how large its servers are.
pub async fn run(cx: &Cx, product: &Product) -> Result<Capacity, Fault> {
    let group = product.hypervisor_group_id;
    let rows = pages(cx, &move |page| catalog::group_resources_page(group, page)).await?;
    let mut need =
        Need { memory_mb: product.memory_mb, cpu_cores: product.cpu_cores, addresses: u64::from(product.default_ipv4) };
    if need.memory_mb.is_none() || need.cpu_cores.is_none() {
        let reply = cx.http(api::package(product.package_id)).await?;
        // Without the package's numbers the rest still counts.
        let Resources { memory, cpu_cores, .. } = api::package_resources(&reply).unwrap_or_default();
        need.memory_mb = need.memory_mb.or(memory);
        need.cpu_cores = need.cpu_cores.or(cpu_cores);
    }
    room(group, &rows, &need)
}

/// What one server takes.
struct Need {
    memory_mb: Option<u64>,
    cpu_cores: Option<u64>,
    addresses: u64,
}

fn room(group: u64, rows: &[Value], need: &Need) -> Result<Capacity, Fault> {
    let (mut sum, mut usable) = (Some(0_u64), 0);
    for row in rows {
        if takes_orders(row)? {
            usable += 1;
            // A hypervisor without any bound is a group without one.
            sum = sum.zip(left(row, need)?).map(|(sum, left)| sum.saturating_add(left));
        }
    }
    let counted = format!("hypervisor group {group}: {usable} of {} hypervisors take orders", rows.len());
    let text = match sum {
        Some(free) => format!("{counted}, with room for {free} more"),
        None => format!("{counted}, and not all of them have a limit"),
    };
    Ok(Capacity { free: sum, text: Some(text) })
}

/// Only what the panel says in words keeps a hypervisor out.
fn takes_orders(row: &Value) -> Result<bool, Fault> {
    let says = |place: &str| member::truth(row, &format!("hypervisor.{place}"));
    Ok(says("enabled")? != Some(false) && says("commissioned")? != Some(false) && says("prohibit")? != Some(true))
}

/// For how many servers the scarcest of its resources is enough; `None` when nothing of it has a limit.
fn left(row: &Value, need: &Need) -> Result<Option<u64>, Fault> {
    let mut scarcest: Option<u64> = None;
    for (name, each) in [("servers", Some(1)), ("memory", need.memory_mb), ("cpuCores", need.cpu_cores)] {
        let max = member::whole(row, &format!("resources.{name}.max"))?;
        let free = member::signed(row, &format!("resources.{name}.free"))?;
        // A `max` of 0 is no limit, and `free` is then negative.
        let limit = free.filter(|_| max.is_some_and(|max| max > 0)).zip(each.filter(|each| *each > 0));
        scarcest = scarcest.into_iter().chain(limit.map(|(free, each)| enough(free, each))).min();
    }
    let free = member::signed(row, "resources.network.total.ipv4.free")?.filter(|_| need.addresses > 0);
    Ok(scarcest.into_iter().chain(free.map(|free| enough(free, need.addresses))).min())
}

fn enough(free: i64, each: u64) -> u64 {
    u64::try_from(free).unwrap_or(0) / each
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NEED: Need = Need { memory_mb: Some(2_048), cpu_cores: Some(2), addresses: 1 };

    fn row(hypervisor: Value, resources: Value) -> Value {
        json!({ "hypervisor": hypervisor, "resources": resources })
    }

    fn limit(max: i64, free: i64) -> Value {
        json!({ "max": max, "free": free })
    }

    #[test]
    fn the_scarcest_of_what_has_a_limit_counts_on_each_hypervisor() {
        let open = json!({ "enabled": true, "prohibit": false, "commissioned": true });
        let ipv4 = |free: i64| json!({ "total": { "ipv4": { "free": free } } });
        for (what, resources, expected) in [
            ("servers", json!({ "servers": limit(10, 3), "memory": limit(0, -1) }), Some(3)),
            ("memory", json!({ "servers": limit(10, 3), "memory": limit(8_192, 5_000) }), Some(2)),
            ("cores", json!({ "cpuCores": limit(8, 3) }), Some(1)),
            ("addresses", json!({ "servers": limit(10, 3), "network": ipv4(0) }), Some(0)),
            ("more sold than there is", json!({ "servers": limit(10, -2) }), Some(0)),
            ("no limit", json!({ "servers": limit(0, -7), "memory": limit(0, -1) }), None),
            ("nothing that is told", json!({ "servers": [], "network": [] }), None),
        ] {
            assert_eq!(room(1, &[row(open.clone(), resources)], &NEED).unwrap().free, expected, "{what}");
        }
    }

    #[test]
    fn a_group_has_what_its_open_hypervisors_have_together() {
        let of = |hypervisor: Value, free: i64| row(hypervisor, json!({ "servers": limit(10, free) }));
        let rows = [
            of(json!({}), 2),
            of(json!({ "enabled": false }), 4),
            of(json!({ "prohibit": true }), 4),
            of(json!({ "commissioned": false }), 4),
            of(json!({ "enabled": true }), 1),
        ];
        let found = room(7, &rows, &NEED).unwrap();
        assert_eq!(found.free, Some(3));
        assert_eq!(
            found.text.as_deref(),
            Some("hypervisor group 7: 2 of 5 hypervisors take orders, with room for 3 more")
        );
        assert!(room(7, &rows[1..4], &NEED).unwrap().is_full(), "where none takes orders there is no room");
    }

    #[test]
    fn two_calls_tell_it_and_one_where_the_product_says_how_large_it_is() {
        use billhook_plugin_api::Provider as _;
        use billhook_plugin_api::testing::{ScriptedHost, reply};
        for (more, calls) in [(json!({}), 2), (json!({ "memory_mb": 1_024, "cpu_cores": 1 }), 1)] {
            let host = ScriptedHost::new(|request| match request.path.as_str() {
                "/compute/hypervisors/groups/3/resources" => {
                    let row = row(json!({}), json!({ "memory": limit(8_192, 4_096) }));
                    reply(200, json!({ "last_page": 1, "data": [row] }).to_string())
                }
                "/packages/1" => {
                    reply(200, r#"{"data":{"id":1,"name":"S","memory":2048,"cpuCores":2,"primaryStorage":10}}"#)
                }
                other => panic!("{other}"),
            });
            let mut settings = json!({ "package_id": 1, "hypervisor_group_id": 3 });
            for (name, value) in more.as_object().unwrap() {
                settings[name] = value.clone();
            }
            let product: Product = serde_json::from_value(settings).unwrap();

            let found = host.run(async |cx| crate::stage::provider().capacity(cx, product.clone()).await);

            let free = crate::stage::ok(found).free;
            assert_eq!((free, host.exchanges().len()), (Some(if calls == 2 { 2 } else { 4 }), calls));
        }
    }
}
