//! `create`: a user, a hosting space, its addresses, its machine.
//!
//! The panel takes no key with any of them. A user's name is unique there, and a machine's name within its space; a
//! space's name is not, and addresses have none, so that these two are told by what was there before.

use crate::api::addresses::{self, Address};
use crate::api::machines::{self, NewMachine, Stage};
use crate::api::packages::{self, Package, Quota};
use crate::api::users::{self, NewUser, User};
use crate::codes;
use crate::end;
use crate::names::Names;
use crate::panel::{
    self, ADDRESSES, AT_ONCE, Doing, ITEM_ID, Look, PLAN_ID, SPACE_ID, USER_ID, USER_MADE, USERNAME, addresses_of,
    find_package, find_user, machines_of, packages_of,
};
use crate::place::{self, Place};
use crate::settings::{OnFailure, Product, UserPer};
use crate::{SolidCp, secrets};
use billhook_plugin_api::{Account, Client, Create, Cx, Fault, FaultClass, Find, Secret, Service, Texts};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The code of a fault that says that the panel failed to make a machine.
pub const PROVISIONING_FAILED: &str = "provisioning_failed";

/// What a create is about.
#[derive(Clone, Copy)]
struct Order<'a> {
    panel: &'a SolidCp,
    service: &'a Service,
    client: &'a Client,
    product: &'a Product,
    names: &'a Names,
}

/// The passwords of a create, made once.
#[derive(Serialize, Deserialize)]
struct Passwords {
    panel: Secret<String>,
    machine: Secret<String>,
}

/// The user that the space is made for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Owner {
    id: i64,
    /// By us, for this service or its customer.
    is_made: bool,
    /// By this create, so that its password is the one that was made here.
    is_new: bool,
}

/// Makes the machine and waits until it runs and has its address.
pub async fn run(panel: &SolidCp, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
    let Create { service, client, product, password } = request;
    product.check()?;
    if let Some(password) = &password {
        secrets::check(password)?;
    }
    let names = panel.naming.names(&service)?;
    let order = Order { panel, service: &service, client: &client, product: &product, names: &names };

    cx.progress(5, "choosing a hosting plan");
    let place: Place = cx.step("place").record(|| place::choose(cx, panel, &product)).await?;
    let passwords = passwords(cx, password.as_ref()).await?;

    cx.progress(10, "looking for the panel user");
    let owner = ensure_user(cx, order, place.reseller, passwords.panel.expose()).await?;

    cx.progress(20, format!("making a hosting space of plan {}", place.plan));
    let space = make_space(cx, order, &place, owner.id).await?;
    mark(cx, order, &place, owner.id, space).await?;

    cx.progress(30, "allocating addresses");
    allocate(cx, space, product.ipv4).await?;

    cx.progress(35, "ordering the machine");
    let item = make_machine(cx, order, space, passwords.machine.expose()).await?;

    cx.progress(40, "the machine is being made");
    if let Err(fault) = wait_until_made(cx, item, &product).await {
        if product.on_provisioning_failure == OnFailure::Delete && fault.code.as_deref() == Some(PROVISIONING_FAILED) {
            cx.undo(&fault).await?;
            cx.progress(90, "it failed; what was made is being deleted");
            end::undo(cx, space, item, undoable(panel, &names, owner, &place)).await?;
        }
        return Err(fault);
    }

    cx.progress(95, "looking at the machine's state and addresses");
    wait_until_running(cx, item).await?;
    let ips = addresses_of_machine(cx, space, item).await?;
    let staff = (!owner.is_made)
        .then(|| format!("the panel user {} was there before and stays when the service ends", names.username));
    let mut account = Account {
        remote_id: space.to_string(),
        username: Some(names.username.clone()),
        ips,
        message: Texts { staff, customer: None },
        ..Account::default()
    };
    for (name, value) in [
        (USER_ID, json!(owner.id)),
        (USER_MADE, json!(owner.is_made)),
        (SPACE_ID, json!(place.space)),
        (ITEM_ID, json!(item)),
        (PLAN_ID, json!(place.plan)),
        (USERNAME, json!(names.username)),
        ("machine", json!(names.machine)),
    ] {
        account.properties.insert(name.to_owned(), value);
    }
    account.secrets.insert("root_password".to_owned(), passwords.machine);
    if owner.is_new {
        account.secrets.insert("panel_password".to_owned(), passwords.panel);
    }
    Ok(account)
}

/// Whom an undo deletes: a user that was made for this service alone.
fn undoable<'a>(panel: &SolidCp, names: &'a Names, owner: Owner, place: &Place) -> Option<end::Leaver<'a>> {
    let is_ours = owner.is_made && panel.naming.user_per == UserPer::Service;
    is_ours.then_some(end::Leaver { username: &names.username, id: owner.id, reseller: place.reseller })
}

async fn passwords(cx: &Cx, chosen: Option<&Secret<String>>) -> Result<Passwords, Fault> {
    let passwords: Passwords = cx
        .step("passwords")
        .sealed()
        .record(|| async move {
            let machine = chosen.cloned().map_or_else(secrets::password, Ok)?;
            Ok(Passwords { panel: secrets::password()?, machine })
        })
        .await?;
    for password in [&passwords.panel, &passwords.machine] {
        cx.secret(password.expose()).await?;
    }
    Ok(passwords)
}

/// Finds the user by the name that only we give, or makes it. Its name is unique on the panel, which refuses a second one.
fn ensure_user<'f>(cx: &'f Cx, order: Order<'f>, reseller: i64, password: &'f str) -> Doing<'f, Owner> {
    Box::pin(cx.step("user").settle(AT_ONCE).ensure(move |send| async move {
        let username = order.names.username.as_str();
        if users::exists_reply(&panel::ask(cx, users::exists(username)).await?)? {
            return adopt(cx, order, reseller, find_user(cx, username).await?).await;
        }
        let marker = order.user_marker();
        let new = NewUser { owner: reseller, username, client: order.client, password, marker: &marker };
        match users::add_reply(&panel::sent(&send, users::add(new)).await?) {
            Ok(id) => Ok(Owner { id, is_made: true, is_new: true }),
            // Made at the same moment, by an answer that was lost or by a service of the same customer.
            Err(fault) if fault.class == FaultClass::AlreadyExists => {
                adopt(cx, order, reseller, find_user(cx, username).await?).await
            }
            Err(fault) => Err(fault),
        }
    }))
}

impl Order<'_> {
    /// What is noted at a user that we make.
    fn user_marker(&self) -> String {
        match self.panel.naming.user_per {
            UserPer::Service => self.names.marker.clone(),
            UserPer::Client => format!(
                "billhook:{}:client:{}",
                self.service.platform,
                self.service.client_id.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// Takes a user of our name, if it can only be ours.
async fn adopt(cx: &Cx, order: Order<'_>, reseller: i64, found: Option<User>) -> Result<Owner, Fault> {
    let name = &order.names.username;
    let taken = |why: String| {
        Fault::new(
            FaultClass::AlreadyExists,
            format!(
                "the panel user {name} {why}: rename it on the panel, or set another user_prefix; it was not touched"
            ),
        )
        .refused()
    };
    // The name is looked up among everybody's users, the user only among those that we may see.
    let Some(user) = found else { return Err(taken("belongs to somebody else".to_owned())) };
    let marker = order.user_marker();
    let is_marked = user.comments == marker;
    if user.owner != reseller || user.is_peer || user.role != users::CUSTOMER {
        return Err(taken("is no customer of the API login".to_owned()));
    }
    if !is_marked && user.comments.starts_with("billhook:") {
        return Err(taken("was made for another service".to_owned()));
    }
    if user.status != users::ACTIVE {
        return Err(taken("is not active".to_owned()));
    }
    if order.panel.naming.user_per == UserPer::Service && !is_marked && !packages_of(cx, user.id).await?.is_empty() {
        return Err(taken("has hosting spaces, and is not marked as ours".to_owned()));
    }
    // One that is marked was made by a call whose answer was lost, unless it is a customer's, who may have it for long.
    let is_new = is_marked && order.panel.naming.user_per == UserPer::Service;
    Ok(Owner { id: user.id, is_made: is_marked, is_new })
}

/// Makes the space, once. From the commit of its result it is the service's, whatever follows.
///
/// Where the panel assigns addresses by itself, it does so here.
fn make_space<'f>(cx: &'f Cx, order: Order<'f>, place: &'f Place, user: i64) -> Doing<'f, i64> {
    let name = order.names.space.as_str();
    Box::pin(
        cx.step("space")
            .scope(ADDRESSES)
            .remote_id()
            .given(move || async move {
                let packages = packages_of(cx, user).await?;
                if let Some(found) = packages.iter().find(|package| package.name == name) {
                    return Err(Fault::new(
                        FaultClass::AlreadyExists,
                        format!(
                            "the hosting space {} is called {name} already: delete it or rename it on the panel, or enter \
                             its id at the service if it is the service's",
                            found.id
                        ),
                    ));
                }
                Ok(packages.iter().map(|package| package.id).collect::<Vec<i64>>())
            })
            .find(move |before: Vec<i64>| async move {
                let packages = packages_of(cx, user).await?;
                let new: Vec<&Package> = packages
                    .iter()
                    .filter(|package| package.name == name && !before.contains(&package.id))
                    .collect();
                Ok(match new[..] {
                    [] => Find::Absent,
                    [package] => Find::Found(package.id),
                    _ => Find::Unknown(format!(
                        "{} new hosting spaces of user {user} are called {name}: delete all but one on the panel",
                        new.len()
                    )),
                })
            })
            .adopt(move |id| async move {
                let id = id.trim().parse().map_err(|_| Fault::invalid_input("the id of a hosting space is a number"))?;
                let found = find_package(cx, id).await?.filter(|package| package.user == user);
                Ok(found.map_or(Find::Absent, |package| Find::Found(package.id)))
            })
            .run(move |_, send| async move {
                packages::add_reply(&panel::sent(&send, packages::add(user, place.plan, name)).await?)
            }),
    )
}

/// Writes into the space's comments whose it is, for lookups by people and by later hooks.
fn mark<'f>(cx: &'f Cx, order: Order<'f>, place: &'f Place, user: i64, space: i64) -> Doing<'f, ()> {
    Box::pin(cx.step("mark").settle(AT_ONCE).ensure(move |send| async move {
        let package = find_package(cx, space).await?.ok_or_else(|| {
            Fault::not_found(format!("the hosting space {space} vanished while the machine was ordered"))
        })?;
        if (package.user, package.parent) != (user, place.space) {
            return Err(Fault::panel_bug(format!(
                "the hosting space {space} was made for user {} in space {}, not for {user} in {}",
                package.user, package.parent, place.space
            )));
        }
        if package.comments == order.names.marker {
            return Ok(());
        }
        let request = packages::rename(space, &order.names.space, &order.names.marker)?;
        packages::rename_reply(&panel::sent(&send, Ok(request)).await?).map(|_| ())
    }))
}

/// Takes as many addresses as are missing. The panel may have given the space its addresses when it was made, and then
/// refuses more.
fn allocate(cx: &Cx, space: i64, wanted: u32) -> Doing<'_, ()> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    Box::pin(
        cx.step("addresses")
            .scope(ADDRESSES)
            .given(move || async move { Ok(addresses_of(cx, space).await?.len()) })
            .find(move |before: usize| async move {
                let now = addresses_of(cx, space).await?.len();
                Ok(match now {
                    now if now >= wanted => Find::Found(()),
                    now if now == before => Find::Absent,
                    // Some came meanwhile: count again before more are taken.
                    _ => Find::Gone,
                })
            })
            .run(move |before, send| async move {
                let missing = wanted.saturating_sub(before);
                if missing == 0 {
                    return Ok(());
                }
                let missing = i64::try_from(missing).unwrap_or(i64::MAX);
                addresses::allocate_reply(&panel::sent(&send, addresses::allocate(space, missing)).await?)
            }),
    )
}

/// Orders the machine. The panel refuses a second one of its name in the space; but it looks and makes in two parts, so
/// that a lost call is waited out before another one is sent.
fn make_machine<'f>(cx: &'f Cx, order: Order<'f>, space: i64, password: &'f str) -> Doing<'f, i64> {
    Box::pin(cx.step("machine").scope(ADDRESSES).ensure(move |send| async move {
        if let Some(item) = find_ours(cx, order, space).await? {
            return Ok(item);
        }
        let (vlan, chosen) = on_one_vlan(&addresses_of(cx, space).await?, order.product.ipv4)?;
        let quotas = packages::context_reply(&panel::ask(cx, packages::context(space)).await?)?;
        if quotas.iter().any(|quota| quota.name == "VPS2012.ServersNumber" && quota.allocated != 1) {
            cx.note(
                "the plan allows more machines than one, which the customer could make and this service would not know",
            );
        }
        let request = machines::create(new_machine(order, space, &quotas, vlan, &chosen, password))?;
        match machines::create_reply(&panel::sent(&send, Ok(request)).await?) {
            Err(fault) if matches!(fault.code.as_deref(), Some(codes::NAME_IN_USE | codes::SECOND_MACHINE)) => {
                find_ours(cx, order, space).await?.ok_or(fault)
            }
            made => made,
        }
    }))
}

async fn find_ours(cx: &Cx, order: Order<'_>, space: i64) -> Result<Option<i64>, Fault> {
    match machines_of(cx, space).await?.as_slice() {
        [] => Ok(None),
        [row] if row.name == order.names.machine => Ok(Some(row.item)),
        rows => Err(Fault::new(
            FaultClass::AlreadyExists,
            format!(
                "the hosting space {space} has {} machines that are not called {}",
                rows.len(),
                order.names.machine
            ),
        )),
    }
}

/// The VLAN that the machine is put on, and its addresses by id if the space has others too.
fn on_one_vlan(owned: &[Address], wanted: u32) -> Result<(i64, Vec<i64>), Fault> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let free = |vlan: i64| owned.iter().filter(move |address| address.vlan == vlan && address.item == 0);
    let vlan =
        owned.iter().map(|address| address.vlan).find(|vlan| free(*vlan).count() >= wanted).ok_or_else(|| {
            Fault::new(
                FaultClass::Capacity,
                "the hosting space has not enough free addresses on one VLAN, which a machine needs: assign more on the panel",
            )
        })?;
    let is_mixed = owned.iter().any(|address| address.vlan != vlan);
    Ok((vlan, if is_mixed { free(vlan).take(wanted).map(|address| address.id).collect() } else { Vec::new() }))
}

fn new_machine<'a>(
    order: Order<'a>,
    space: i64,
    quotas: &[Quota],
    vlan: i64,
    chosen: &'a [i64],
    password: &'a str,
) -> NewMachine<'a> {
    // What the plan forbids may not be asked for; power actions need the flags later.
    let may = |name: &str| quotas.iter().find(|quota| quota.name == name).is_none_or(|quota| quota.allocated != 0);
    let product = order.product;
    NewMachine {
        package: space,
        name: &order.names.machine,
        cores: product.cpu_cores.into(),
        memory_mb: product.memory_mb.into(),
        disk_gb: product.disk_gb.into(),
        snapshots: product.snapshots.into(),
        may_start: may("VPS2012.StartShutdownAllowed"),
        may_pause: may("VPS2012.PauseResumeAllowed"),
        may_reboot: may("VPS2012.RebootAllowed"),
        // The panel's own spelling.
        may_reset: may("VPS2012.ResetAlowed"),
        may_reinstall: product.allow_reinstall && may("VPS2012.ReinstallAllowed"),
        template: &product.os_template,
        password,
        addresses: product.ipv4.into(),
        chosen,
        vlan,
    }
}

fn wait_until_made<'f>(cx: &'f Cx, item: i64, product: &'f Product) -> Doing<'f, ()> {
    let look: Look<'f> = Box::new(move || made(cx, item, "make", product.on_provisioning_failure));
    panel::wait(cx, "made", 15, product.provisioning_limit_min.into(), look)
}

/// One look at a machine that is being made. A task says how far it is.
pub fn made<'f>(cx: &'f Cx, id: i64, doing: &'static str, then: OnFailure) -> Doing<'f, bool> {
    Box::pin(async move {
        let Some(item) = panel::find_item(cx, id).await? else {
            return Err(Fault::not_found(format!("the machine {id} vanished from the panel")));
        };
        match item.stage {
            Stage::Ready => Ok(true),
            Stage::Busy => {
                if let Some(task) = &item.task
                    && let Some(percent) = machines::task_reply(&panel::ask(cx, machines::task(task)).await?)
                {
                    cx.progress(40 + percent / 2, format!("the panel's task is at {percent}%"));
                }
                Ok(false)
            }
            Stage::Deleting => Err(Fault::not_found(format!("somebody is deleting the machine {id} on the panel"))),
            Stage::Failed => Err(failed(id, doing, then)),
        }
    })
}

fn failed(id: i64, doing: &str, then: OnFailure) -> Fault {
    let remedy = match then {
        OnFailure::Keep => {
            "the panel's audit log says why; repair or reinstall it there and retry, or terminate the service"
        }
        OnFailure::Delete => "it is deleted, as on_provisioning_failure says",
    };
    Fault::panel_bug(format!("the panel failed to {doing} the machine {id}: {remedy}"))
        .with_code(PROVISIONING_FAILED)
        .for_customer("The machine could not be set up.")
}

fn wait_until_running(cx: &Cx, item: i64) -> Doing<'_, ()> {
    Box::pin(async move {
        panel::wait(cx, "running", 10, 10, panel::is_at(cx, item, "Running")).await.map_err(|fault| match fault.class {
            FaultClass::Timeout => Fault::panel_bug(format!(
                "the machine {item} is made and does not run: start it on the panel and retry"
            ))
            .with_code("not_running"),
            _ => fault,
        })
    })
}

/// The machine's addresses, the main one first. A machine without one looks well on the panel, and is of no use.
async fn addresses_of_machine(cx: &Cx, space: i64, item: i64) -> Result<Vec<String>, Fault> {
    let found: Vec<Address> =
        addresses_of(cx, space).await?.into_iter().filter(|address| address.item == item).collect();
    if found.is_empty() {
        return Err(Fault::panel_bug(format!(
            "the machine {item} was made without an address: its addresses' VLAN is not that of its network; assign them on \
             the panel and retry"
        ))
        .with_code("no_address"));
    }
    let (primary, others): (Vec<Address>, Vec<Address>) = found.into_iter().partition(|address| address.is_primary);
    Ok(primary.into_iter().chain(others).map(|address| address.ip).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::Value;

    fn run(host: &ScriptedHost, more: &Value) -> Ended<Account> {
        host.run(async |cx| stage::provider().create(cx, stage::create(more.clone())).await)
    }

    const CHANGES: [&str; 5] = [
        "AddUser",
        "AddPackageWithResources",
        "UpdatePackageName",
        "AllocatePackageIPAddresses",
        "CreateNewVirtualMachine",
    ];

    #[test]
    fn a_create_makes_a_user_a_space_its_addresses_and_its_machine() {
        for slowness in [0, 4] {
            let stage = Stage::new();
            stage.world().slowness = slowness;
            let host = stage.host();

            let account = ok(run(&host, &json!({ "ipv4": 2 })));

            assert_eq!(changes(&host), CHANGES);
            assert_eq!((account.remote_id.as_str(), account.username.as_deref()), ("801", Some("svc10042")));
            assert_eq!(account.ips, ["203.0.113.11", "203.0.113.10"], "the primary one first");
            let expected = json!({
                "user_id": 57, "user_made": true, "panel_user": "svc10042", "space_id": 5, "item_id": 753, "plan_id": 11,
                "machine": "h10042.vm.example.test",
            });
            assert_eq!(Value::Object(account.properties), expected);
            let world = stage.world();
            assert_eq!(world.machines[&753].password, *account.secrets["root_password"].expose());
            assert_eq!(world.users[&57].password, *account.secrets["panel_password"].expose());
            assert_eq!(world.spaces[&801].comments, "billhook:shop:10042:1");
            let secrets = host.secrets();
            assert!(secrets.contains(&world.users[&57].password) && secrets.contains(&world.machines[&753].password));
        }
    }

    #[test]
    fn a_create_that_runs_twice_changes_once() {
        let host = Stage::new().host();
        let first = ok(run(&host, &json!({})));
        assert_eq!(ok(run(&host, &json!({}))), first);
        assert_eq!(changes(&host), CHANGES);
    }

    #[test]
    fn every_change_that_breaks_in_every_way_happens_once() {
        for call in CHANGES {
            for how in BREAKS {
                let stage = Stage::new();
                stage.world().slowness = 2;
                stage.breaks(call, how);
                let host = stage.host();

                let account = ok(to_end(|| run(&host, &json!({}))));

                let world = stage.world();
                let owned = world.addresses.values().filter(|address| address.space == 801).count();
                let found = (world.users.len(), world.spaces.len(), world.machines.len(), owned);
                assert_eq!(found, (3, 4, 1, 1), "{call} {how:?}");
                assert_eq!(world.machines[&753].password, *account.secrets["root_password"].expose(), "{call} {how:?}");
                assert_eq!(world.users[&57].password, *account.secrets["panel_password"].expose(), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn whatever_hands_out_addresses_shares_a_scope() {
        let host = Stage::new().host();
        ok(run(&host, &json!({})));
        let scoped: Vec<String> = host
            .steps()
            .iter()
            .filter(|step| step.scope.as_deref() == Some(ADDRESSES))
            .map(|step| step.name.clone())
            .collect();
        assert_eq!(scoped, ["space", "addresses", "machine"]);
        let sealed: Vec<bool> =
            host.steps().iter().filter(|step| step.name == "passwords").map(|step| step.sealed).collect();
        assert_eq!(sealed, [true]);
    }

    #[test]
    fn addresses_that_came_with_the_space_are_not_taken_twice() {
        for (quota, wanted, allocations) in [(2, 2, 0), (1, 1, 0), (2, 1, 0)] {
            let stage = Stage::new();
            {
                let mut world = stage.world();
                world.assigns_at_once = true;
                world.address_quota = quota;
            }
            let host = stage.host();
            let account = ok(run(&host, &json!({ "ipv4": wanted })));
            assert_eq!(changes(&host).iter().filter(|call| *call == "AllocatePackageIPAddresses").count(), allocations);
            assert_eq!(account.ips.len(), wanted);
        }
    }

    #[test]
    fn a_plan_with_too_few_addresses_fails_before_a_machine_is_made() {
        let stage = Stage::new();
        stage.world().address_quota = 0;
        let host = stage.host();

        let refused = fault(run(&host, &json!({})));
        assert_eq!((refused.class, refused.refused), (FaultClass::Quota, true));
        assert!(stage.world().machines.is_empty());

        stage.world().address_quota = 1;
        ok(run(&host, &json!({})));
        assert_eq!(stage.world().spaces.len(), 4);
    }

    #[test]
    fn a_name_that_is_not_ours_is_never_adopted() {
        type Change = fn(&mut stage::User);
        let cases: [(Change, &str); 6] = [
            (|user| user.owner = 3, "belongs to somebody else"),
            (|user| user.role = 2, "is no customer"),
            (|user| user.is_peer = true, "is no customer"),
            (|user| user.status = 2, "is not active"),
            (|user| user.comments = "billhook:other:1:1".into(), "another service"),
            (|user| user.comments = String::new(), "has hosting spaces"),
        ];
        for (change, part) in cases {
            let stage = Stage::with_machine();
            {
                let mut world = stage.world();
                change(world.users.get_mut(&57).unwrap());
                world.spaces.get_mut(&801).unwrap().name = "by hand".into();
            }
            let host = stage.host();
            let refused = fault(run(&host, &json!({})));
            assert_eq!((refused.class, refused.refused), (FaultClass::AlreadyExists, true), "{part}");
            assert!(refused.staff.contains(part), "{refused}");
            assert!(changes(&host).is_empty(), "{part}");
        }
    }

    #[test]
    fn a_user_that_was_there_before_keeps_its_password_and_stays() {
        let stage = Stage::with_machine();
        {
            let mut world = stage.world();
            world.machines.clear();
            world.spaces.remove(&801);
            world.addresses.get_mut(&10).unwrap().space = 5;
            world.users.get_mut(&57).unwrap().comments = "by hand".into();
        }
        let account = ok(run(&stage.host(), &json!({})));
        assert_eq!(account.properties[USER_MADE], json!(false));
        assert!(!account.secrets.contains_key("panel_password"));
        assert_eq!(stage.world().users[&57].password, "old");
        assert!(account.message.staff.unwrap().contains("stays"));
    }

    #[test]
    fn services_of_a_customer_can_share_a_user() {
        let stage = Stage::new();
        let host = stage.host();
        let provider = || stage::provider_with(json!({ "user_per": "client" }));
        let first = ok(host.run(async |cx| provider().create(cx, stage::create(json!({}))).await));
        stage.world().machines.clear();
        host.next_operation();
        let mut order = stage::create(json!({}));
        order.service.id = "10043".into();

        let second = ok(host.run(async |cx| provider().create(cx, order).await));

        assert_eq!(first.properties[USER_ID], second.properties[USER_ID]);
        assert_eq!((first.username.as_deref(), first.secrets.len(), second.secrets.len()), (Some("svcc77"), 2, 1));
        assert_ne!(first.remote_id, second.remote_id);
    }

    #[test]
    fn a_space_of_the_name_from_before_is_a_conflict() {
        let stage = Stage::with_machine();
        let host = stage.host();
        let fault = fault(run(&host, &json!({})));
        assert_eq!(fault.class, FaultClass::AlreadyExists);
        assert!(fault.staff.contains("801"), "{fault}");
        assert_eq!(stage.world().spaces.len(), 4);
    }

    #[test]
    fn a_lost_space_never_takes_one_that_was_there_or_two() {
        let stage = Stage::new();
        stage.breaks("AddPackageWithResources", Break::Lost { done: true });
        stage.world().after = Some(("AddPackageWithResources", |world| {
            let twin = world.spaces[&801].clone();
            world.spaces.insert(802, twin);
        }));
        let host = stage.host();
        assert_eq!(run(&host, &json!({})), Ended::Settling("space".into()));
        assert_eq!(run(&host, &json!({})), Ended::Attention("space".into()));
    }

    #[test]
    fn addresses_of_another_vlan_are_told_by_id() {
        let stage = Stage::new();
        {
            let mut world = stage.world();
            world.address_quota = 3;
            world.assigns_at_once = true;
            world.addresses.get_mut(&11).unwrap().vlan = 7;
            world.addresses.get_mut(&12).unwrap().vlan = 7;
        }
        let account = ok(run(&stage.host(), &json!({ "ipv4": 2 })));
        assert_eq!(account.ips, ["203.0.113.11", "203.0.113.12"]);

        let stage = Stage::new();
        stage.world().addresses.values_mut().for_each(|address| address.vlan = 9);
        assert_eq!(ok(run(&stage.host(), &json!({}))).ips.len(), 1, "the machine is put on the addresses' VLAN");
    }

    #[test]
    fn an_ok_without_an_address_or_without_power_is_no_success() {
        let stage = Stage::new();
        stage.world().after = Some(("CreateNewVirtualMachine", |world| {
            world.addresses.values_mut().for_each(|address| address.item = 0);
        }));
        let fault_of = |stage: &Stage| fault(run(&stage.host(), &json!({})));
        assert_eq!(fault_of(&stage).code.as_deref(), Some("no_address"));

        let stage = Stage::new();
        stage.world().after =
            Some(("CreateNewVirtualMachine", |world| world.machines.get_mut(&753).unwrap().state = "Off".into()));
        let host = stage.host();
        assert_eq!(fault(run(&host, &json!({}))).code.as_deref(), Some("not_running"));
        stage.world().machines.get_mut(&753).unwrap().state = "Running".into();
        ok(run(&host, &json!({})));
        assert_eq!(changes(&host), CHANGES);
    }

    #[test]
    fn a_machine_that_fails_is_kept_unless_told_otherwise() {
        for (more, is_kept) in [(json!({}), true), (json!({ "on_provisioning_failure": "delete" }), false)] {
            let stage = Stage::new();
            stage.world().outcome = "Error";
            stage.world().slowness = 3;
            let host = stage.host();

            let failed = fault(run(&host, &more));

            assert_eq!((failed.class, failed.code.as_deref()), (FaultClass::PanelBug, Some(PROVISIONING_FAILED)));
            let world = stage.world();
            assert_eq!(world.machines.len() + world.spaces.len() - 3, if is_kept { 2 } else { 0 });
            assert_eq!(world.users.contains_key(&57), is_kept);
            assert_eq!(
                world.addresses.values().filter(|address| address.space == 5).count(),
                if is_kept { 3 } else { 4 }
            );
        }
    }

    #[test]
    fn an_undo_that_breaks_anywhere_goes_on_undoing() {
        for call in ["DeleteVirtualMachineAsynchronous", "DeletePackage", "DeleteUser"] {
            for done in [false, true] {
                let stage = Stage::new();
                stage.world().outcome = "Error";
                stage.breaks(call, Break::Lost { done });
                let host = stage.host();
                let more = json!({ "on_provisioning_failure": "delete" });
                assert!(matches!(run(&host, &more), Ended::Settling(_)), "{call}");

                let failed = fault(run(&host, &more));

                assert_eq!(failed.code.as_deref(), Some(PROVISIONING_FAILED), "{call} {done} {failed}");
                let world = stage.world();
                assert_eq!((world.machines.len(), world.spaces.len(), world.users.len()), (0, 3, 2), "{call}");
            }
        }
    }

    #[test]
    fn a_machine_that_was_repaired_completes_the_order() {
        let stage = Stage::new();
        stage.world().outcome = "Error";
        let host = stage.host();
        fault(run(&host, &json!({})));
        stage.world().machines.get_mut(&753).unwrap().provisioning = "OK";

        assert_eq!(ok(run(&host, &json!({}))).remote_id, "801");
        assert_eq!(changes(&host), CHANGES);
    }

    #[test]
    fn a_chosen_password_is_the_machines_and_what_xml_cannot_carry_is_refused() {
        let order =
            |password: &str| Create { password: Some(Secret::new(password.to_owned())), ..stage::create(json!({})) };
        let stage = Stage::new();
        let host = stage.host();
        let account = ok(host.run(async |cx| stage::provider().create(cx, order("<chosen> & \"own\"")).await));
        assert_eq!(account.secrets["root_password"].expose(), "<chosen> & \"own\"");
        assert_eq!(stage.world().machines[&753].password, "<chosen> & \"own\"");

        for bad in ["", "a\u{1b}b"] {
            let host = Stage::new().host();
            let refused = fault(host.run(async |cx| stage::provider().create(cx, order(bad)).await));
            assert_eq!(refused.class, FaultClass::InvalidInput);
            assert!(host.exchanges().is_empty());
        }
    }

    #[test]
    fn secrets_of_requests_are_declared() {
        let host = Stage::new().host();
        ok(run(&host, &json!({})));
        let exchanges = host.exchanges();
        for (request, _) in &exchanges {
            let body = String::from_utf8(request.body.clone()).unwrap();
            assert_eq!(body.contains("<password>"), request.request_secrets.iter().any(|path| path == "**.password"));
        }
    }
}
