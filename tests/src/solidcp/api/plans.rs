//! Plans and add-ons.

use super::{Reply, read};
use crate::solidcp::config::Plan;
use crate::solidcp::ledger::Effect;
use crate::solidcp::quotas::package_result;
use crate::solidcp::rights::{NO_ACCOUNT, NO_OBJECT, NO_PACKAGE};
use crate::solidcp::rules::Asked;
use crate::solidcp::state::{Addon, World};
use crate::solidcp::value::{Data, Table};

/// `PackageID` is in the query twice.
const PLANS: &[(&str, &str)] = &[
    ("PlanID", "int"),
    ("UserID", "int"),
    ("PackageID", "int"),
    ("PlanName", "string"),
    ("PlanDescription", "string"),
    ("Available", "boolean"),
    ("SetupPrice", "decimal"),
    ("RecurringPrice", "decimal"),
    ("RecurrenceLength", "int"),
    ("RecurrenceUnit", "int"),
    ("IsAddon", "boolean"),
    ("PackagesNumber", "int"),
    ("ServerID", "int"),
    ("ServerName", "string"),
    ("ServerComments", "string"),
    ("VirtualServer", "boolean"),
    ("PackageID1", "int"),
    ("PackageName", "string"),
];

const ADDONS: &[(&str, &str)] = &[
    ("PackageAddonID", "int"),
    ("PackageID", "int"),
    ("PlanID", "int"),
    ("Quantity", "int"),
    ("PurchaseDate", "dateTime"),
    ("StatusID", "int"),
    ("Comments", "string"),
    ("PlanName", "string"),
    ("PlanDescription", "string"),
];

pub(super) fn respond(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    match asked.operation.name {
        "GetHostingPlans" => list(world, asked, false),
        "GetHostingAddons" => list(world, asked, true),
        "GetHostingPlan" => read(world.plan(given.int("planId")).map_or(Data::Null, |plan| world.plan_info(plan))),
        "GetUserAvailableHostingPlans" => {
            let plans = sold_by(world, asked, given.int("userId"), false)?;
            read(Data::List(plans.into_iter().map(|plan| world.plan_info(plan)).collect()))
        }
        "GetPackageAddons" => {
            let id = given.int("packageId");
            world.own_package(asked.caller, id)?;
            let rows = world.addons.iter().filter(|addon| addon.package_id == id).map(|addon| row(world, addon));
            read(Data::Set(vec![Table { columns: ADDONS, rows: rows.collect() }]))
        }
        "AddPackageAddonById" => add(world, asked),
        "UpdatePackageAddonLiteral" => update(world, asked),
        "DeletePackageAddon" => {
            let id = given.int("packageAddonId");
            let package_id = owned(world, asked, id)?;
            world.addons.retain(|addon| addon.id != id);
            Ok((Data::from(0), Effect::AddonChanged(package_id)))
        }
        name => unreachable!("{name} is in no list of plans"),
    }
}

fn sold_by<'a>(world: &'a World, asked: &Asked, user_id: i32, is_addon: bool) -> Result<Vec<&'a Plan>, String> {
    if !world.may_user(asked.caller, user_id) {
        return Err(NO_ACCOUNT.into());
    }
    Ok(world.plans.iter().filter(|plan| plan.user_id == user_id && plan.is_addon == is_addon).collect())
}

fn list(world: &World, asked: &Asked, is_addon: bool) -> Reply {
    let plans = sold_by(world, asked, asked.given.int("userId"), is_addon)?;
    let row = |plan: &&Plan| {
        let node = world.node(plan.node_id);
        let space = world.package(plan.space_id);
        let used = world.packages.iter().filter(|package| package.plan_id == plan.id && !package.removed).count();
        vec![
            Data::from(plan.id),
            Data::from(plan.user_id),
            Data::from(plan.space_id),
            Data::from(&*plan.name),
            Data::Null,
            Data::from(true),
            Data::from("0.0000"),
            Data::from("0.0000"),
            Data::from(1),
            Data::from(2),
            Data::from(plan.is_addon),
            Data::from(used),
            Data::maybe(node.map(|node| node.id.to_string())),
            Data::maybe(node.map(|node| &*node.name)),
            Data::from(""),
            Data::from(false),
            Data::maybe(space.map(|space| space.id.to_string())),
            Data::maybe(space.map(|space| &*space.name)),
        ]
    };
    read(Data::Set(vec![Table { columns: PLANS, rows: plans.iter().map(row).collect() }]))
}

fn row(world: &World, addon: &Addon) -> Vec<Data> {
    vec![
        Data::from(addon.id),
        Data::from(addon.package_id),
        Data::from(addon.plan_id),
        Data::from(addon.quantity),
        Data::from(&*addon.purchased),
        Data::from(addon.status),
        Data::filled(&addon.comments),
        Data::maybe(world.plan(addon.plan_id).map(|plan| &*plan.name)),
        Data::Null,
    ]
}

fn add(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let (package_id, plan_id) = (given.int("packageId"), given.int("addonPlanId"));
    if let Some(code) = world.refused_account(asked.caller) {
        return read(package_result(code, &[]));
    }
    let parent_id = world.own_package(asked.caller, package_id)?.parent_id;
    world.plan(plan_id).filter(|plan| plan.is_addon).ok_or(NO_OBJECT)?;
    let over = world.oversold(parent_id, plan_id, None);
    if !over.is_empty() {
        return read(package_result(-305, &over));
    }
    let id = world.next_addon_id();
    let purchased = world.instant(world.now_ms);
    let quantity = given.int("quantity");
    world.addons.push(Addon { id, package_id, plan_id, quantity, status: 1, comments: String::new(), purchased });
    Ok((package_result(id, &[]), Effect::AddonAdded(package_id)))
}

fn update(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("packageAddonId");
    let package_id = owned(world, asked, id)?;
    for addon in world.addons.iter_mut().filter(|addon| addon.id == id) {
        addon.plan_id = given.int("planId");
        addon.quantity = given.int("quantity");
        addon.status = given.int("statusId");
        addon.purchased = given.string("purchaseDate");
        addon.comments = given.string("comments");
    }
    Ok((package_result(0, &[]), Effect::AddonChanged(package_id)))
}

/// The space of an add-on that the caller may change.
fn owned(world: &World, asked: &Asked, id: i32) -> Result<i32, String> {
    let addon = world.addons.iter().find(|addon| addon.id == id).ok_or(NO_OBJECT)?;
    if !world.may_package(asked.caller, addon.package_id) {
        return Err(NO_PACKAGE.into());
    }
    Ok(addon.package_id)
}
