//! Where a machine is made: the first, or the emptiest, of the product's plans whose hosting space has room.

use crate::SolidCp;
use crate::api::addresses::{self, MEMORY};
use crate::api::packages::{self, Package, Plan, Quota};
use crate::api::{machines, users};
use crate::codes::NO_SUCH_OPERATION;
use crate::panel::{self, Doing};
use crate::settings::{Choice, Product, Version};
use billhook_plugin_api::{Cx, Fault, FaultClass};
use serde::{Deserialize, Serialize};

/// The chosen place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The account that sells.
    pub reseller: i64,
    pub plan: i64,
    /// Of the reseller.
    pub space: i64,
}

/// What a hosting space of the reseller has left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Room {
    /// Free addresses.
    addresses: i64,
    /// In MB, on the hosting server.
    memory_mb: i64,
    /// Customers' spaces in it.
    spaces: i64,
    /// Those that have a limit.
    quotas: Vec<Quota>,
    /// The least disk that the template takes; `None` if the library does not have it.
    template_disk_gb: Option<i64>,
}

/// Chooses. Each plan that is passed over is noted with its reason.
pub fn choose<'f>(cx: &'f Cx, panel: &'f SolidCp, product: &'f Product) -> Doing<'f, Place> {
    Box::pin(async move {
        let reseller = panel::reseller(cx, panel).await?.id;
        let plans = packages::plans_reply(&panel::ask(cx, packages::plans(reseller)).await?)?;
        let spaces = panel::packages_of(cx, reseller).await?;
        let mut best: Option<(i64, Place)> = None;
        let mut reasons = Vec::new();
        for &id in &product.plans {
            match look(cx, panel, product, i64::from(id), &plans, &spaces).await? {
                Ok((plan, room)) => {
                    let place = Place { reseller, plan: plan.id, space: plan.space };
                    if product.choice == Choice::InOrder {
                        return Ok(place);
                    }
                    if best.as_ref().is_none_or(|(memory, _)| room.memory_mb > *memory) {
                        best = Some((room.memory_mb, place));
                    }
                }
                Err(reason) => {
                    cx.note(format!("plan {id} is passed over: {reason}"));
                    reasons.push(format!("plan {id}: {reason}"));
                }
            }
        }
        best.map(|(_, place)| place).ok_or_else(|| {
            Fault::new(FaultClass::Capacity, format!("none of the product's plans has room: {}", reasons.join("; ")))
                .for_customer("There is no room for this order at the moment.")
        })
    })
}

/// A plan with the room that it has, or why it is passed over.
async fn look<'p>(
    cx: &Cx,
    panel: &SolidCp,
    product: &Product,
    id: i64,
    plans: &'p [Plan],
    spaces: &[Package],
) -> Result<Result<(&'p Plan, Room), String>, Fault> {
    let Some(plan) = plans.iter().find(|plan| plan.id == id) else {
        return Ok(Err("the reseller has no such plan".to_owned()));
    };
    if !plan.is_available {
        return Ok(Err("it is not available on the panel".to_owned()));
    }
    match spaces.iter().find(|space| space.id == plan.space) {
        None => return Ok(Err(format!("its space {} is not the reseller's", plan.space))),
        Some(space) if space.status != packages::ACTIVE => {
            return Ok(Err(format!("its space {} is not active", space.id)));
        }
        Some(_) => {}
    }
    Ok(match room(cx, panel, product, plan.space).await {
        Ok(room) => shortfall(product, &room).map_or_else(|| Ok((plan, room)), Err),
        // A hosting server that is down is no reason to sell nothing; a login that is wrong is.
        Err(fault) if fault.class == FaultClass::Auth => return Err(fault),
        Err(fault) => Err(format!("its room cannot be read on {}: {}", plan.server, fault.staff)),
    })
}

async fn room(cx: &Cx, panel: &SolidCp, product: &Product, space: i64) -> Result<Room, Fault> {
    let addresses = addresses::unassigned_reply(&panel::ask(cx, addresses::unassigned(space)).await?)?;
    let quotas = packages::context_reply(&panel::ask(cx, packages::context(space)).await?)?;
    let spaces = match product.max_per_space {
        Some(_) => packages::within_reply(&panel::ask(cx, packages::within(space)).await?)?,
        None => Vec::new(),
    };
    let templates = machines::templates_reply(&panel::ask(cx, machines::templates(space)).await?)?;
    let template = templates.iter().find(|template| template.file.eq_ignore_ascii_case(&product.os_template));
    Ok(Room {
        addresses: i64::try_from(addresses.len()).unwrap_or(i64::MAX),
        memory_mb: memory_kb(cx, panel.version, space).await? / 1_024,
        spaces: spaces
            .iter()
            .filter(|space| space.status != packages::CANCELLED)
            .count()
            .try_into()
            .unwrap_or(i64::MAX),
        quotas,
        template_disk_gb: template.map(|template| template.disk_gb),
    })
}

/// Free memory of the hosting server, by the name that this version of the panel has for it.
async fn memory_kb(cx: &Cx, version: Version, space: i64) -> Result<i64, Fault> {
    let names: &[&str] = match version {
        Version::Auto => &MEMORY,
        Version::V152 => &MEMORY[1..],
        Version::V149 | Version::V150 | Version::V151 => &MEMORY[..1],
    };
    for &name in names {
        let reply = panel::ask(cx, addresses::memory(name, space)).await?;
        match addresses::memory_reply(&reply, name) {
            Err(fault) if fault.code.as_deref() == Some(NO_SUCH_OPERATION) && names.len() > 1 => {}
            Err(fault) => return Err(fault),
            Ok(free) => return free.ok_or_else(|| Fault::panel_bug("the panel does not tell the server's memory")),
        }
    }
    Err(Fault::unsupported("reading a server's memory on this version of the panel"))
}

/// Why there is no room, in words; `None` if there is.
///
/// The panel itself mostly does not notice when a space is sold more often than it is there, so that this is the only check.
fn shortfall(product: &Product, room: &Room) -> Option<String> {
    let wanted = |name: &str| match name {
        "VPS2012.ServersNumber" => Some(("machines", 1)),
        "VPS2012.Ram" => Some(("MB of memory", i64::from(product.memory_mb))),
        "VPS2012.Hdd" => Some(("GB of disk", i64::from(product.disk_gb))),
        _ => None,
    };
    let (need, memory) = (i64::from(product.ipv4), i64::from(product.memory_mb) + i64::from(product.memory_reserve_mb));
    if room.addresses < need {
        return Some(format!("{} free addresses, {need} are needed", room.addresses));
    }
    if room.memory_mb < memory {
        return Some(format!("{} MB of memory are free, {memory} are needed with the reserve", room.memory_mb));
    }
    if let Some(most) = product.max_per_space
        && room.spaces >= i64::from(most)
    {
        return Some(format!("it has {} customers' spaces, at most {most} are allowed", room.spaces));
    }
    match room.template_disk_gb {
        None => return Some(format!("its library has no template {}", product.os_template)),
        Some(least) if least > i64::from(product.disk_gb) => {
            return Some(format!("the template takes a disk of {least} GB"));
        }
        Some(_) => {}
    }
    room.quotas.iter().find_map(|quota| {
        let (what, need) = wanted(&quota.name)?;
        let left = quota.left()?;
        (left < need).then(|| format!("its quota has {left} {what} left, {need} are needed"))
    })
}

/// The product's plans in a space of the reseller: a plan of another space does not move a machine.
pub fn plan_in<'f>(cx: &'f Cx, panel: &'f SolidCp, product: &'f Product, package: &'f Package) -> Doing<'f, i64> {
    Box::pin(async move {
        if product.plans.iter().any(|plan| i64::from(*plan) == package.plan) {
            return Ok(package.plan);
        }
        let reseller: users::User = panel::reseller(cx, panel).await?;
        let plans = packages::plans_reply(&panel::ask(cx, packages::plans(reseller.id)).await?)?;
        let found = product
            .plans
            .iter()
            .map(|id| i64::from(*id))
            .find(|id| plans.iter().any(|plan| plan.id == *id && plan.space == package.parent));
        found.ok_or_else(|| {
            Fault::invalid_input(format!(
                "none of the product's plans is sold from space {}, in which the machine is: machines are not moved by a \
                 change of plan; add a plan of that space to the product",
                package.parent
            ))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, product};
    use serde_json::json;

    fn quota(name: &str, allocated: i64, used: i64) -> Quota {
        Quota { name: name.into(), allocated, used }
    }

    fn roomy() -> Room {
        Room { addresses: 5, memory_mb: 64_000, spaces: 3, quotas: Vec::new(), template_disk_gb: Some(30) }
    }

    #[test]
    fn what_is_short_is_named() {
        let product = product(json!({ "max_per_space": 10 }));
        for (room, part) in [
            (Room { addresses: 0, ..roomy() }, Some("0 free addresses")),
            (Room { memory_mb: 6_143, ..roomy() }, Some("6143 MB of memory are free, 6144")),
            (Room { memory_mb: 6_144, ..roomy() }, None),
            (Room { spaces: 10, ..roomy() }, Some("10 customers' spaces")),
            (Room { template_disk_gb: None, ..roomy() }, Some("no template win2022.vhdx")),
            (Room { template_disk_gb: Some(61), ..roomy() }, Some("a disk of 61 GB")),
            (Room { quotas: vec![quota("VPS2012.Hdd", 100, 41)], ..roomy() }, Some("59 GB of disk left, 60")),
            (Room { quotas: vec![quota("VPS2012.Hdd", 100, 40)], ..roomy() }, None),
            (Room { quotas: vec![quota("VPS2012.Hdd", -1, 9_999)], ..roomy() }, None),
            (Room { quotas: vec![quota("VPS2012.ServersNumber", 3, 3)], ..roomy() }, Some("0 machines left")),
            (Room { quotas: vec![quota("VPS2012.CpuNumber", 0, 0)], ..roomy() }, None),
            (roomy(), None),
        ] {
            let found = shortfall(&product, &room);
            assert_eq!(found.is_some(), part.is_some(), "{found:?} {room:?}");
            assert!(found.unwrap_or_default().contains(part.unwrap_or_default()), "{room:?}");
        }
    }

    fn chosen(stage: &stage::Stage, more: serde_json::Value) -> Result<i64, Fault> {
        let product = product(more);
        let host = stage.host();
        match host.run(async |cx| choose(cx, &stage::provider(), &product).await) {
            billhook_plugin_api::testing::Ended::Ok(place) => Ok(place.plan),
            billhook_plugin_api::testing::Ended::Fault(fault) => Err(fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_emptiest_or_the_first_with_room_is_taken() {
        let stage = stage::Stage::new();
        assert_eq!(chosen(&stage, json!({ "plans": [11, 21] })), Ok(21), "more memory is free there");
        assert_eq!(chosen(&stage, json!({ "plans": [11, 21], "choice": "in_order" })), Ok(11));
        stage.world().memory_mb.insert(6, 100);
        assert_eq!(chosen(&stage, json!({ "plans": [11, 21] })), Ok(11));
        stage.world().memory_mb.insert(5, 100);
        let full = chosen(&stage, json!({ "plans": [11, 21] })).unwrap_err();
        assert_eq!(full.class, FaultClass::Capacity);
        assert!(full.staff.contains("plan 11: 100 MB") && full.staff.contains("plan 21: 100 MB"), "{full}");
    }

    #[test]
    fn a_plan_that_cannot_be_sold_is_passed_over_with_its_reason() {
        let stage = stage::Stage::new();
        let host = stage.host();
        stage.world().memory_mb.remove(&6);
        let product = product(json!({ "plans": [99, 21, 31, 11] }));

        let ended = host.run(async |cx| choose(cx, &stage::provider(), &product).await);

        assert!(matches!(ended, billhook_plugin_api::testing::Ended::Ok(Place { plan: 11, .. })), "{ended:?}");
        let notes = host.notes();
        for part in [
            "plan 99 is passed over: the reseller has no such plan",
            "plan 21 is passed over: its room",
            "plan 31 is passed over: its space 7",
        ] {
            assert!(notes.iter().any(|note| note.starts_with(part)), "{part}: {notes:?}");
        }
    }

    #[test]
    fn each_version_is_asked_by_its_own_name_for_the_memory() {
        for (version, has_old) in [("auto", true), ("auto", false), ("1.5.2", false), ("1.4.9", true)] {
            let stage = stage::Stage::new();
            stage.world().is_152 = !has_old;
            let product = product(json!({}));
            let host = stage.host();
            let provider = stage::provider_with(json!({ "version": version }));
            let ended = host.run(async |cx| choose(cx, &provider, &product).await);
            assert!(matches!(ended, billhook_plugin_api::testing::Ended::Ok(_)), "{version} {has_old}: {ended:?}");
        }
    }
}
