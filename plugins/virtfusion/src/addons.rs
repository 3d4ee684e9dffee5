//! `order_addons`: addresses, and traffic for the period that runs.

use crate::api::resources::{self, Blocks};
use crate::package::add_ipv4;
use crate::panel::Owned;
use crate::server::ORDER_SETTLE;
use billhook_plugin_api::{Addon, Change, Cx, Fault, Find, Texts};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An addon that adds so many IPv4 addresses.
const IPV4: &str = "ipv4";
/// An addon that adds so many GB of traffic to the running period.
const TRAFFIC: &str = "traffic_gb";

/// The most addresses that one order may add.
const MAX_IPV4: u32 = 256;

/// Adds what was bought, each once.
pub async fn run(cx: &Cx, owned: Owned<'_>, addons: &[Addon]) -> Result<Change, Fault> {
    // All of them before the first, so that half an order is no usual thing.
    addons.iter().try_for_each(check)?;
    owned.read(cx).await?;
    let mut added = Vec::new();
    for Addon { id, quantity } in addons {
        if id == IPV4 {
            cx.progress(20, "adding addresses");
            added.push(add_ipv4(cx, owned, *quantity).await?.join(", "));
        } else {
            cx.progress(60, "adding traffic");
            let month = add_traffic(cx, owned, *quantity).await?;
            added.push(format!("{quantity} GB of traffic in period {month}"));
        }
    }
    let server = owned.read(cx).await?;
    let mut properties = server.properties();
    properties.insert("ips".into(), json!(server.ips));
    let staff = Some(format!("added: {}", added.join("; ")));
    Ok(Change { properties, message: Texts { staff, customer: None }, ..Change::done() })
}

fn check(addon: &Addon) -> Result<(), Fault> {
    match addon.id.as_str() {
        IPV4 if addon.quantity > MAX_IPV4 => {
            Err(Fault::invalid_input(format!("at most {MAX_IPV4} addresses can be added at a time")))
        }
        IPV4 | TRAFFIC => Ok(()),
        other => Err(Fault::invalid_input(format!("there is no addon {other}: there are {IPV4} and {TRAFFIC}"))),
    }
}

/// What was there before a block of traffic was added.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    month: u64,
    blocks: Vec<u64>,
}

/// Adds a block of traffic and gives the period that it is for. The panel takes it as often as it is sent; the block's id
/// tells whether it was.
async fn add_traffic(cx: &Cx, owned: Owned<'_>, gigabytes: u32) -> Result<u64, Fault> {
    cx.step("traffic")
        .scope(format!("traffic:{}", owned.id))
        .settle(ORDER_SETTLE)
        .given(move || async move {
            let found = blocks(cx, owned.id).await?;
            Ok(Before { month: found.month, blocks: found.assigned.iter().map(|block| block.id).collect() })
        })
        .find(move |before: Before| async move {
            let found = blocks(cx, owned.id).await?;
            let mut new = found.assigned;
            new.retain(|block| !before.blocks.contains(&block.id));
            Ok(match &new[..] {
                // The period that it was meant for is over: the next try is for the one that runs by then.
                [] if found.month != before.month => Find::Gone,
                [] => Find::Absent,
                [block] if block.month == before.month && block.gigabytes == u64::from(gigabytes) => {
                    Find::Found(before.month)
                }
                _ => Find::Unknown(format!(
                    "server {} has new blocks of traffic that are not the one of {gigabytes} GB for period {} alone",
                    owned.id, before.month
                )),
            })
        })
        .run(move |before, send| async move {
            let request = resources::add_block(owned.id, before.month, gigabytes);
            resources::add_block_reply(&send.call(request).await?)?;
            Ok(before.month)
        })
        .await
}

async fn blocks(cx: &Cx, id: u64) -> Result<Blocks, Fault> {
    resources::blocks_reply(&cx.http(resources::blocks(id)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Machine, Stage, fault, ok, to_end};
    use billhook_plugin_api::OrderAddons;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Provider};

    fn order(host: &ScriptedHost, addons: &[(&str, u32)]) -> Ended<Change> {
        let addons = addons.iter().map(|&(id, quantity)| Addon { id: id.into(), quantity }).collect();
        let request = OrderAddons { service: stage::service(), product: stage::product(json!({})), addons };
        host.run(async |cx| stage::provider().order_addons(cx, request).await)
    }

    const BOTH: &[(&str, u32)] = &[("traffic_gb", 100), ("ipv4", 2)];

    #[test]
    fn each_is_added_once_for_one_order_and_again_for_the_next() {
        let stage = Stage::with(Machine::running(300));
        let host = stage.host();
        for orders in 1..=2 {
            let first = ok(order(&host, BOTH));
            assert_eq!(ok(order(&host, BOTH)), first);
            host.next_operation();
            let world = stage.world();
            assert_eq!(world.machines[&7_000].ips.len(), 2 + 2 * orders);
            assert_eq!(world.machines[&7_000].blocks, vec![(2, 100); orders]);
            assert!(first.message.staff.unwrap().contains("100 GB of traffic in period 2"));
        }
    }

    #[test]
    fn an_order_that_breaks_anywhere_adds_once() {
        for call in ["POST /servers/7000/traffic/blocks", "POST /servers/7000/ipv4Qty"] {
            for how in BREAKS {
                let stage = Stage::with(Machine::running(300));
                stage.breaks(call, how);
                let host = stage.host();

                ok(to_end(|| order(&host, BOTH)));

                let world = stage.world();
                assert_eq!(world.machines[&7_000].ips.len(), 4, "{call} {how:?}");
                assert_eq!(world.machines[&7_000].blocks, [(2, 100)], "{call} {how:?}");
            }
        }
    }

    #[test]
    fn an_addon_that_is_not_known_lets_nothing_be_added() {
        let host = Stage::with(Machine::running(300)).host();
        for addons in [&[("ipv4", 1), ("ram", 1)][..], &[("ipv4", 257)]] {
            assert_eq!(fault(order(&host, addons)).class, FaultClass::InvalidInput);
        }
        assert!(host.changes().is_empty());
    }
}
