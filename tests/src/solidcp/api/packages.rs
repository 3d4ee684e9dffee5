//! Hosting spaces: made, renamed, suspended, removed.

use super::{Reply, plans, read, reports, users};
use crate::solidcp::ledger::Effect;
use crate::solidcp::quotas::package_result;
use crate::solidcp::rights::{NO_ACCOUNT, NO_OBJECT, NO_PACKAGE};
use crate::solidcp::rules::Asked;
use crate::solidcp::schema::SCHEMA;
use crate::solidcp::state::{Package, World};
use crate::solidcp::value::{Data, Members};

pub(super) fn respond(world: &mut World, call: u64, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("packageId");
    match asked.operation.name {
        // Nobody asks who wants to know.
        "GetPackage" => read(world.package(id).map_or(Data::Null, |package| world.whole_package(package))),
        "GetPackages" => {
            let there = world.packages_of(given.int("userId")).filter(|package| world.plan(package.plan_id).is_some());
            read(Data::List(there.map(|package| world.package_info(package)).collect()))
        }
        "GetMyPackages" => {
            let user_id = given.int("userId");
            if !world.may_user(asked.caller, user_id) {
                return Err(NO_ACCOUNT.into());
            }
            read(Data::List(world.packages_of(user_id).map(|package| world.package_info(package)).collect()))
        }
        "GetPackagePackages" => {
            world.own_package(asked.caller, id)?;
            read(Data::List(world.packages_below(id).map(|package| world.package_info(package)).collect()))
        }
        "AddPackage" => {
            world.letters += 1;
            let wish = Wish {
                user_id: given.int("userId"),
                plan_id: given.int("planId"),
                name: given.string("packageName"),
                comments: given.string("packageComments"),
                status: given.int("statusId"),
            };
            add(world, call, asked.caller, wish)
        }
        "AddPackageWithResources" => {
            if given.flag("sendLetter") {
                world.letters += 1;
            }
            let wish = Wish {
                user_id: given.int("userId"),
                plan_id: given.int("planId"),
                name: given.string("spaceName"),
                comments: String::new(),
                status: given.int("statusId"),
            };
            add(world, call, asked.caller, wish)
        }
        "CreateUserWizard" => wizard(world, call, asked),
        "UpdatePackage" => match given.members("package") {
            Some(package) => update(world, asked, package, true),
            None => Err(NO_OBJECT.into()),
        },
        "UpdatePackageLiteral" => update(world, asked, &literal(given), false),
        "UpdatePackageName" => rename(world, asked),
        "ChangePackageStatus" => change_status(world, asked),
        "DeletePackage" => delete(world, asked),
        name if name.contains("Plan") || name.contains("Addon") => plans::respond(world, asked),
        _ => reports::respond(world, asked),
    }
}

/// A space that is asked for.
struct Wish {
    user_id: i32,
    plan_id: i32,
    name: String,
    comments: String,
    status: i32,
}

fn add(world: &mut World, call: u64, caller: i32, wish: Wish) -> Reply {
    if let Some(code) = world.refused_reseller(caller) {
        return read(package_result(code, &[]));
    }
    if !world.may_user(caller, wish.user_id) {
        return Err(NO_ACCOUNT.into());
    }
    let plan = world.plan(wish.plan_id).filter(|plan| !plan.is_addon).ok_or(NO_OBJECT)?;
    let (space_id, node_id) = (plan.space_id, plan.node_id);
    match world.own_package(caller, space_id)?.status {
        2 => return read(package_result(-303, &[])),
        3 => return read(package_result(-304, &[])),
        _ => {}
    }
    let over = world.oversold(space_id, wish.plan_id, None);
    if !over.is_empty() {
        return read(package_result(-305, &over));
    }
    let id = world.next_package_id();
    let package = Package {
        id,
        user_id: wish.user_id,
        parent_id: space_id,
        node_id,
        plan_id: wish.plan_id,
        status: wish.status,
        name: wish.name,
        comments: wish.comments,
        purchased: world.instant(world.now_ms),
        changed_ms: world.now_ms,
        overrides_quotas: false,
        deletion: None,
        removed: false,
        created_at_call: call,
    };
    world.packages.push(package);
    if world.knobs.assigns_addresses {
        world.assign_by_quota(id, call);
    }
    Ok((package_result(id, &[]), Effect::SpaceAdded(id)))
}

/// A user with a first space; what fails is taken back.
fn wizard(world: &mut World, call: u64, asked: &Asked) -> Reply {
    let given = &asked.given;
    let parent_id = given.int("parentPackageId");
    let owner_id = world.own_package(asked.caller, parent_id)?.user_id;
    let mut user = Members::default();
    for (member, parameter) in [
        ("Username", "username"),
        ("FirstName", "firstName"),
        ("LastName", "lastName"),
        ("Email", "email"),
        ("SecondaryEmail", "secondaryEmail"),
    ] {
        user.set(member, given.string(parameter));
    }
    user.set("OwnerId", owner_id);
    user.set("RoleId", given.int("roleId"));
    user.set("StatusId", 1);
    user.set("HtmlMail", given.flag("htmlMail"));
    match users::refused_addition(world, asked.caller, &user) {
        Some(-100) => return read(-1100),
        Some(code) => return read(code),
        None => {}
    }
    let letters = ["sendAccountLetter", "sendPackageLetter"].iter().filter(|name| given.flag(name)).count();
    world.letters += u32::try_from(letters).unwrap_or(0);
    let id = users::add_checked(world, call, &user, &given.string("password"));
    if given.flag("createPackage") {
        let plan_id = given.int("planId");
        let name = world.plan(plan_id).map(|plan| plan.name.clone()).unwrap_or_default();
        let wish = Wish { user_id: id, plan_id, name, comments: String::new(), status: 1 };
        let added = add(world, call, asked.caller, wish);
        let is_there = matches!(added, Ok((_, Effect::SpaceAdded(_))));
        if !is_there {
            world.users.pop();
            return match added? {
                (Data::Object(result), _) => read(result.int("Result")),
                _ => Err(NO_OBJECT.into()),
            };
        }
    }
    Ok((Data::from(id), Effect::UserAdded(id)))
}

fn literal(given: &Members) -> Members {
    let mut package = Members::default();
    for (member, parameter) in [("PackageId", "packageId"), ("StatusId", "statusId"), ("PlanId", "planId")] {
        package.set(member, given.int(parameter));
    }
    package.set("PurchaseDate", given.string("purchaseDate"));
    package.set("PackageName", given.string("packageName"));
    package.set("PackageComments", given.string("packageComments"));
    package
}

/// The machine stays what it is. The literal form forgets what it has no parameter for.
fn update(world: &mut World, asked: &Asked, given: &Members, is_whole: bool) -> Reply {
    if let Some(code) = world.refused_account(asked.caller) {
        return read(package_result(code, &[]));
    }
    let (id, plan_id) = (given.int("PackageId"), given.int("PlanId"));
    let parent_id = world.own_package(asked.caller, id)?.parent_id;
    world.plan(plan_id).ok_or(NO_OBJECT)?;
    let over = world.oversold(parent_id, plan_id, Some(id));
    if !over.is_empty() {
        return read(package_result(-305, &over));
    }
    let status = given.int("StatusId");
    if world.package(id).is_some_and(|package| package.status != status) {
        world.set_status(id, status);
    }
    let package = world.package_mut(id).ok_or(NO_OBJECT)?;
    package.plan_id = plan_id;
    package.name = given.string("PackageName");
    package.comments = given.string("PackageComments");
    package.purchased = given.string("PurchaseDate");
    package.overrides_quotas = is_whole && given.flag("OverrideQuotas");
    Ok((package_result(0, &[]), Effect::SpaceChanged(id)))
}

fn rename(world: &mut World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("packageId");
    if let Some(code) = world.refused_account(asked.caller) {
        return read(code);
    }
    world.own_package(asked.caller, id)?;
    let package = world.package_mut(id).ok_or(NO_OBJECT)?;
    (package.name, package.comments) = (given.string("packageName"), given.string("packageComments"));
    Ok((Data::from(0), Effect::SpaceChanged(id)))
}

/// Answers 0 also where nothing came of it.
fn change_status(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("packageId");
    let wanted = asked.given.text("status").and_then(|name| SCHEMA.number("PackageStatus", name)).unwrap_or(0);
    if let Some(code) = world.refused_account(asked.caller) {
        return read(code);
    }
    let Some(package) = world.package(id) else { return read(-1) };
    if !world.may_package(asked.caller, id) || package.status == wanted {
        return read(0);
    }
    if world.knobs.forgotten_statuses > 0 {
        world.knobs.forgotten_statuses -= 1;
        return read(0);
    }
    world.set_status(id, wanted);
    Ok((Data::from(0), Effect::SpaceStatus(id, wanted)))
}

fn delete(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("packageId");
    if world.package(id).is_none() {
        return read(-300);
    }
    match world.refused_reseller(asked.caller) {
        Some(-108) => return read(-112),
        Some(code) => return read(code),
        None => {}
    }
    if !world.may_package(asked.caller, id) {
        return Err(NO_PACKAGE.into());
    }
    if world.packages_below(id).next().is_some() {
        return read(-301);
    }
    let end_ms = world.now_ms + world.knobs.delete_space_ms;
    match world.package_mut(id).filter(|package| package.deletion.is_none()) {
        Some(package) => {
            package.deletion = Some(end_ms);
            Ok((Data::from(0), Effect::SpaceDeleted(id)))
        }
        None => read(0),
    }
}

impl World {
    /// Writes a status; spaces below and machines follow.
    pub(in crate::solidcp) fn set_status(&mut self, id: i32, status: i32) {
        let now_ms = self.now_ms;
        let Some(package) = self.package_mut(id) else { return };
        package.status = status;
        package.changed_ms = now_ms;
        self.follow(id);
        let below: Vec<i32> = self.packages_below(id).map(|package| package.id).collect();
        below.into_iter().for_each(|id| self.set_status(id, status));
    }
}
