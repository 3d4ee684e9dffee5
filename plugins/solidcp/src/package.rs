//! `change_package`: another plan for the space, other resources for its machine.

use crate::api::machines::{self, Item};
use crate::api::packages;
use crate::panel::{self, ADDRESSES, Doing, Owned, PLAN_ID};
use crate::place;
use crate::settings::Product;
use billhook_plugin_api::{Addon, Change, Cx, Fault, Find, Texts};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What is to be sent. Recorded before the first of it is, since what is read changes with every part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Target {
    item: i64,
    plan: Option<i64>,
    size: Option<Size>,
    /// A smaller plan comes after the machine is smaller, a larger one before it is larger.
    is_machine_first: bool,
    /// The plan's quotas were overridden for this space, which ends with the change.
    had_own_quotas: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Size {
    cores: i64,
    memory_mb: i64,
    disk_gb: i64,
}

impl Size {
    fn of(item: &Item) -> Self {
        Self {
            cores: item.cores,
            memory_mb: item.memory_mb,
            disk_gb: item.disks_gb.first().copied().unwrap_or_default(),
        }
    }

    /// What the product asks for; a disk grows only.
    fn wanted(product: &Product, now: Self) -> Self {
        Self {
            cores: product.cpu_cores.into(),
            memory_mb: product.memory_mb.into(),
            disk_gb: i64::from(product.disk_gb).max(now.disk_gb),
        }
    }

    fn is_smaller_than(self, now: Self) -> bool {
        self != now && self.cores <= now.cores && self.memory_mb <= now.memory_mb && self.disk_gb <= now.disk_gb
    }
}

/// Gives the space and its machine what the product says.
pub async fn run(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let product = owned.product;
    product.check()?;
    let target: Target = cx.step("target").record(move || target(cx, owned)).await?;
    // Read in this run too: "nothing to change" may not come out of the journal alone.
    let package = owned.read(cx).await?;
    if target.plan.is_none() && target.size.is_none() {
        let properties = [(PLAN_ID.to_owned(), json!(package.plan))].into_iter().collect();
        let staff = shortfall(product, panel::find_item(cx, target.item).await?.as_ref());
        return Ok(Change { properties, message: Texts { staff, customer: None }, ..Change::noop() });
    }
    for is_machine in [target.is_machine_first, !target.is_machine_first] {
        match (is_machine, target.size, target.plan) {
            (true, Some(size), _) => {
                cx.progress(50, "changing the machine; it may be shut down for it");
                resize(cx, owned, target.item, size).await?;
            }
            (false, _, Some(plan)) => {
                cx.progress(20, format!("changing to plan {plan}"));
                set_plan(cx, owned, plan).await?;
            }
            _ => {}
        }
    }
    cx.progress(95, "reading what the panel made of it");
    let (package, item) = (owned.read(cx).await?, panel::find_item(cx, target.item).await?);
    let mut staff: Vec<String> = shortfall(product, item.as_ref()).into_iter().collect();
    if target.plan.is_some_and(|plan| plan != package.plan) {
        staff.push(format!("the space still has plan {}", package.plan));
    }
    if target.had_own_quotas {
        staff.push("the space had quotas of its own, which the new plan's replace".to_owned());
    }
    Ok(Change {
        properties: plan_property(package.plan),
        message: Texts { staff: (!staff.is_empty()).then(|| staff.join("; ")), customer: None },
        ..Change::done()
    })
}

/// Put in, not collected: a map that is made from a list brings a sort of its own.
fn plan_property(plan: i64) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert(PLAN_ID.to_owned(), json!(plan));
    properties
}

fn target<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, Target> {
    Box::pin(async move {
        let package = owned.active(cx).await?;
        let plan = place::plan_in(cx, owned.panel, owned.product, &package).await?;
        let id = owned.item_id(cx).await?;
        let item = panel::find_item(cx, id)
            .await?
            .ok_or_else(|| Fault::not_found(format!("the panel has no machine {id} any more")))?;
        panel::idle(&item)?;
        let now = Size::of(&item);
        let wanted = Size::wanted(owned.product, now);
        Ok(Target {
            item: id,
            plan: (plan != package.plan).then_some(plan),
            size: (wanted != now).then_some(wanted),
            is_machine_first: wanted.is_smaller_than(now),
            had_own_quotas: package.overrides && plan != package.plan,
        })
    })
}

fn set_plan<'f>(cx: &'f Cx, owned: Owned<'f>, plan: i64) -> Doing<'f, ()> {
    // A larger plan can bring addresses with it. The call carries the space's status too: one that comes late would undo
    // a suspension, so that a lost one is waited out.
    Box::pin(cx.step("plan").scope(ADDRESSES).ensure(move |send| async move {
        let package = owned.read(cx).await?;
        if package.plan == plan {
            return Ok(());
        }
        packages::set_plan_reply(&panel::sent(&send, packages::set_plan(&package, plan)).await?).map(|_| ())
    }))
}

/// Sends the whole machine back with its new size. Not sent again before the panel can no longer be at work on the first.
fn resize<'f>(cx: &'f Cx, owned: Owned<'f>, id: i64, size: Size) -> Doing<'f, ()> {
    Box::pin(cx.step("machine").ensure(move |send| async move {
        owned.active(cx).await?;
        let (reply, item) = panel::read_item(cx, id).await?;
        let item = item.ok_or_else(|| Fault::not_found(format!("the panel has no machine {id} any more")))?;
        if Size::of(&item) == size {
            return Ok(());
        }
        panel::idle(&item)?;
        let request = machines::resize(&reply, id, size.cores, size.memory_mb, size.disk_gb)?;
        machines::resize_reply(&panel::sent(&send, Ok(request)).await?)
    }))
}

/// What the product promises and the machine does not have.
fn shortfall(product: &Product, item: Option<&Item>) -> Option<String> {
    let now = Size::of(item?);
    let (cores, memory, disk) =
        (i64::from(product.cpu_cores), i64::from(product.memory_mb), i64::from(product.disk_gb));
    let mut texts = Vec::new();
    if now.disk_gb > disk {
        texts.push(format!("the disk stays at {} GB: the panel makes none smaller", now.disk_gb));
    }
    if (now.cores, now.memory_mb) != (cores, memory) || now.disk_gb < disk {
        texts.push(format!("the panel still shows {} cores, {} MB, {} GB", now.cores, now.memory_mb, now.disk_gb));
    }
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// `order_addons`: add-on plans of the panel, which raise the space's quotas. They have no key: which is new, the list
/// before tells.
pub async fn order_addons(cx: &Cx, owned: Owned<'_>, addons: &[Addon]) -> Result<Change, Fault> {
    let mut wanted = Vec::new();
    for addon in addons {
        let plan: i64 = addon.id.trim().parse().ok().filter(|plan| *plan > 0).ok_or_else(|| {
            Fault::invalid_input(format!("addon {}: the id of an add-on plan of the panel is a number", addon.id))
        })?;
        wanted.push((plan, i64::from(addon.quantity)));
    }
    for (n, (plan, quantity)) in wanted.into_iter().enumerate() {
        cx.progress(10, format!("adding {quantity} of add-on plan {plan}"));
        let list = move || async move { packages::addons_reply(&panel::ask(cx, packages::addons(owned.id)).await?) };
        let _: i64 = cx
            .step(("addon", n))
            .scope(ADDRESSES)
            .given(move || async move {
                owned.active(cx).await?;
                // The panel answers to an unknown one with an exception, which says nothing of what was done.
                let found = packages::is_addon_reply(&panel::ask(cx, packages::is_addon(plan)).await?)?;
                if found != Some(true) {
                    return Err(Fault::invalid_input(format!("the panel has no add-on plan {plan}")));
                }
                Ok(list().await?.iter().map(|addon| addon.id).collect::<Vec<i64>>())
            })
            .find(move |before: Vec<i64>| async move {
                let mut new = list().await?;
                new.retain(|addon| !before.contains(&addon.id) && addon.plan == plan);
                Ok(match new.as_slice() {
                    [] => Find::Absent,
                    [addon] if addon.quantity == quantity => Find::Found(addon.id),
                    _ => Find::Unknown(format!(
                        "add-ons of plan {plan} are new at space {}: is one of them ours?",
                        owned.id
                    )),
                })
            })
            .adopt(move |id| async move {
                let id: i64 =
                    id.trim().parse().map_err(|_| Fault::invalid_input("the id of a space's add-on is a number"))?;
                let is_there = list().await?.iter().any(|addon| addon.id == id && addon.plan == plan);
                Ok(if is_there { Find::Found(id) } else { Find::Absent })
            })
            .run(move |_, send| async move {
                packages::add_addon_reply(&panel::sent(&send, packages::add_addon(owned.id, plan, quantity)).await?)
            })
            .await?;
    }
    Ok(Change::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ChangePackage, FaultClass, OrderAddons, Provider};
    use serde_json::Value;

    fn run(host: &ScriptedHost, more: &Value) -> Ended<Change> {
        let request = ChangePackage { service: stage::owned(), product: stage::product(more.clone()) };
        host.run(async |cx| stage::provider().change_package(cx, request).await)
    }

    fn larger() -> Value {
        json!({ "plans": [21, 12], "cpu_cores": 4, "memory_mb": 8192, "disk_gb": 80 })
    }

    #[test]
    fn a_larger_plan_comes_before_the_machine_and_a_smaller_one_after_it() {
        let smaller = json!({ "plans": [12], "cpu_cores": 1, "memory_mb": 2048, "disk_gb": 60 });
        for (more, order) in [
            (larger(), ["UpdatePackageLiteral", "UpdateVirtualMachineResource"]),
            (smaller, ["UpdateVirtualMachineResource", "UpdatePackageLiteral"]),
        ] {
            let stage = Stage::with_machine();
            let host = stage.host();

            let change = ok(run(&host, &more));

            assert_eq!(changes(&host), order);
            assert_eq!(change.properties[PLAN_ID], json!(12), "the plan of the machine's own space");
            assert_eq!(change.message.staff, None);
            let world = stage.world();
            assert_eq!((world.spaces[&801].plan, world.spaces[&801].comments.as_str()), (12, "billhook:shop:10042:1"));
            assert_eq!(json!(world.machines[&753].memory), more["memory_mb"]);
            assert_eq!(json!(world.machines[&753].cores), more["cpu_cores"]);
        }
    }

    #[test]
    fn what_is_so_already_is_not_sent() {
        let host = Stage::with_machine().host();
        let change = ok(run(&host, &json!({})));
        assert!(change.noop && changes(&host).is_empty());
    }

    #[test]
    fn every_change_that_breaks_in_every_way_is_settled_by_reading() {
        for call in ["UpdatePackageLiteral", "UpdateVirtualMachineResource"] {
            for how in BREAKS {
                let stage = Stage::with_machine();
                stage.breaks(call, how);
                let host = stage.host();
                ok(to_end(|| run(&host, &larger())));
                let world = stage.world();
                assert_eq!((world.spaces[&801].plan, world.machines[&753].memory), (12, 8192), "{call} {how:?}");
                assert_eq!(world.machines[&753].disks, [80]);
            }
        }
    }

    #[test]
    fn a_disk_never_shrinks_and_further_disks_stay() {
        let stage = Stage::with_machine();
        stage.world().machines.get_mut(&753).unwrap().disks = vec![60, 500];
        let change = ok(run(&stage.host(), &json!({ "disk_gb": 40, "memory_mb": 8192 })));
        assert_eq!(stage.world().machines[&753].disks, [60, 500]);
        assert!(change.message.staff.unwrap().contains("none smaller"));
    }

    #[test]
    fn a_plan_of_another_space_does_not_move_the_machine() {
        let host = Stage::with_machine().host();
        let refused = fault(run(&host, &json!({ "plans": [21] })));
        assert_eq!(refused.class, FaultClass::InvalidInput);
        assert!(refused.staff.contains("space 5") && changes(&host).is_empty(), "{refused}");
    }

    #[test]
    fn a_plan_that_does_not_fit_changes_nothing_and_says_what_is_missing() {
        const BODY: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><UpdatePackageLiteralResponse><UpdatePackageLiteralResult><Result>-305</Result></UpdatePackageLiteralResult></UpdatePackageLiteralResponse></s:Body></s:Envelope>"#;
        let stage = Stage::with_machine();
        stage.breaks("UpdatePackageLiteral", Break::Says { done: false, status: 200, body: BODY });
        let host = stage.host();
        let refused = fault(run(&host, &larger()));
        assert_eq!((refused.class, refused.refused), (FaultClass::Quota, true));
        assert_eq!(changes(&host), ["UpdatePackageLiteral"]);
    }

    fn order(host: &ScriptedHost, id: &str) -> Ended<Change> {
        let addons = vec![Addon { id: id.into(), quantity: 2 }];
        let request = OrderAddons { service: stage::owned(), product: stage::product(json!({})), addons };
        host.run(async |cx| stage::provider().order_addons(cx, request).await)
    }

    #[test]
    fn an_addon_is_added_once_however_its_call_breaks() {
        for how in BREAKS {
            let stage = Stage::with_machine();
            stage.world().addons.push((39, 90, 2));
            stage.breaks("AddPackageAddonById", how);
            let host = stage.host();
            assert_eq!(ok(to_end(|| order(&host, "90"))), Change::done());
            assert_eq!(stage.world().addons.len(), 2, "{how:?}");
        }
        for unknown in ["disk", "91"] {
            let host = Stage::with_machine().host();
            assert_eq!(fault(order(&host, unknown)).class, FaultClass::InvalidInput, "{unknown}");
            assert!(changes(&host).is_empty(), "{unknown}");
        }
    }
}
