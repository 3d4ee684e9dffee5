//! `change_package`: another plan for the space, other resources for its machine.

use crate::api::machines::{self, Item};
use crate::api::packages;
use crate::panel::{self, ADDRESSES, AT_ONCE, Doing, Owned, PLAN_ID};
use crate::place;
use crate::settings::Product;
use billhook_plugin_api::{Addon, Change, Cx, Fault, Find, Texts};
use serde::{Deserialize, Serialize};
use serde_json::json;

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
        properties: [(PLAN_ID.to_owned(), json!(package.plan))].into_iter().collect(),
        message: Texts { staff: (!staff.is_empty()).then(|| staff.join("; ")), customer: None },
        ..Change::done()
    })
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
    // A larger plan can bring addresses with it.
    Box::pin(cx.step("plan").scope(ADDRESSES).settle(AT_ONCE).ensure(move |send| async move {
        let package = owned.read(cx).await?;
        if package.plan == plan {
            return Ok(());
        }
        packages::set_plan_reply(&send.call(packages::set_plan(&package, plan)?).await?).map(|_| ())
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
        machines::resize_reply(&send.call(request).await?)
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
        let list = move || async move { packages::addons_reply(&cx.http(packages::addons(owned.id)?).await?) };
        let _: i64 = cx
            .step(("addon", n))
            .scope(ADDRESSES)
            .given(move || async move {
                owned.active(cx).await?;
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
            .run(move |_, send| async move {
                packages::add_addon_reply(&send.call(packages::add_addon(owned.id, plan, quantity)?).await?)
            })
            .await?;
    }
    Ok(Change::done())
}
