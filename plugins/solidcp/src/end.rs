//! `terminate`, and the undoing of a create: the machine, then its space, then a user that was made for it.
//!
//! The panel would delete the machine along with the space, but forgets it even if the hypervisor fails: then it lives on,
//! and nobody knows. So the machine goes first, and for that the space must be active.

use crate::SolidCp;
use crate::api::machines::{self, Stage};
use crate::api::packages;
use crate::api::users;
use crate::panel::{self, AT_ONCE, Doing, Look, Owned, USER_ID, USER_MADE, USERNAME};
use crate::settings::{Product, UserPer};
use billhook_plugin_api::{Cx, Ended, Fault, FaultClass, Settle, Terminate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Ends a service.
pub async fn terminate(panel: &SolidCp, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
    let Terminate { service, product } = request;
    let owned = Owned::new(panel, &service, &product)?;
    let id = owned.id;
    cx.progress(5, "looking at the hosting space");
    let Found { items, user } = find(cx, owned).await?;

    if !items.is_empty() {
        cx.progress(10, "activating the space, so that its machine can be deleted");
        activate(cx, owned).await?;
        for &item in &items {
            panel::wait(cx, ("idle", item), 10, 30, item_is(cx, item, false)).await?;
            cx.progress(20, format!("deleting the machine {item}"));
            delete_machine(cx, &format!("machine#{item}"), Some(owned), item).await?;
            wait_until_deleted(cx, &format!("deleted#{item}"), item).await?;
        }
    }

    cx.progress(60, "deleting the hosting space");
    delete_space(cx, "space", Some(owned), id).await?;
    wait_until_gone(cx, "gone", id).await?;

    if let Some((username, id)) = user {
        cx.progress(90, "deleting the panel user");
        let reseller = panel::reseller(cx, panel).await?.id;
        delete_user(cx, "user", Leaver { username: &username, id, reseller }).await?;
    }
    // The waits may have ended in an earlier run, and "gone" is only what this one has read.
    match panel::find_package(cx, id).await? {
        None => Ok(Ended::Gone),
        Some(_) => Err(Fault::panel_bug(format!("the hosting space {id} was gone and is there again"))),
    }
}

/// A user to be deleted.
#[derive(Clone, Copy)]
pub struct Leaver<'a> {
    pub username: &'a str,
    pub id: i64,
    /// Its owner.
    pub reseller: i64,
}

/// Undoes a create whose machine could not be made, and with it a user that was made for it.
pub fn undo<'f>(cx: &'f Cx, space: i64, item: i64, user: Option<Leaver<'f>>) -> Doing<'f, ()> {
    Box::pin(async move {
        delete_machine(cx, "undo_machine", None, item).await?;
        wait_until_deleted(cx, "undo_deleted", item).await?;
        delete_space(cx, "undo_space", None, space).await?;
        wait_until_gone(cx, "undo_gone", space).await?;
        if let Some(user) = user {
            delete_user(cx, "undo_user", user).await?;
        }
        Ok(())
    })
}

/// What is there at the beginning, and is what will be deleted, whatever is read later.
#[derive(Default, Serialize, Deserialize)]
struct Found {
    /// The machines.
    items: Vec<i64>,
    /// Name and id of the user, if it is the service's own.
    user: Option<(String, i64)>,
}

fn find<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, Found> {
    Box::pin(cx.step("found").record(move || async move {
        let items = match owned.find(cx).await? {
            Some(_) => panel::machines_of(cx, owned.id).await?.iter().map(|row| row.item).collect(),
            None => Vec::new(),
        };
        Ok(Found { items, user: own_user(cx, owned).await? })
    }))
}

/// The user that goes with the service. A customer's, who may be ordering something else at this moment, is never deleted.
async fn own_user(cx: &Cx, owned: Owned<'_>) -> Result<Option<(String, i64)>, Fault> {
    let properties = &owned.service.properties;
    if owned.panel.naming.user_per == UserPer::Client {
        return Ok(None);
    }
    let names = owned.panel.naming.names(owned.service)?;
    let username = properties.get(USERNAME).and_then(Value::as_str).unwrap_or(&names.username).to_owned();
    Ok(match (properties.get(USER_MADE).and_then(Value::as_bool), owned.noted(USER_ID)) {
        (Some(true), Some(id)) => Some((username, id)),
        (Some(false), _) => None,
        // A create that did not come to its end left no note, but marked what it made.
        _ => panel::find_user(cx, &username)
            .await?
            .filter(|user| user.comments == names.marker)
            .map(|user| (username, user.id)),
    })
}

fn activate<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, ()> {
    Box::pin(cx.step("activate").settle(AT_ONCE).ensure(move |send| async move {
        let Some(package) = owned.find(cx).await? else { return Ok(()) };
        if package.status == packages::ACTIVE || panel::machines_of(cx, owned.id).await?.is_empty() {
            return Ok(());
        }
        packages::set_status_reply(&panel::sent(&send, packages::set_status(owned.id, packages::ACTIVE)).await?)?;
        // The panel answers 0 also where it refused.
        match owned.find(cx).await? {
            Some(package) if package.status != packages::ACTIVE => Err(Fault::panel_bug(format!(
                "the hosting space {} was not activated, although the panel said so: look at the rights of the API login",
                owned.id
            ))),
            _ => Ok(()),
        }
    }))
}

/// The step that begins to delete a machine. Ids are never given twice: a late second sending meets nothing.
fn delete_machine<'f>(cx: &'f Cx, step: &'f str, owned: Option<Owned<'f>>, item: i64) -> Doing<'f, ()> {
    Box::pin(cx.step(step).settle(AT_ONCE).ensure(move |send| async move {
        let Some(found) = panel::find_item(cx, item).await? else { return Ok(()) };
        if let Some(owned) = owned
            && found.package != owned.id
        {
            return Err(Fault::not_found(format!("the machine {item} is no longer in the hosting space {}", owned.id)));
        }
        match found.stage {
            Stage::Deleting => return Ok(()),
            Stage::Busy => panel::idle(&found)?,
            Stage::Ready | Stage::Failed => {}
        }
        for code in machines::delete_reply(&panel::sent(&send, machines::delete(item)).await?)? {
            cx.note(format!("the machine {item} is deleted with a remark of the panel: {code}"));
        }
        Ok(())
    }))
}

/// Whether nothing is under way at a machine, or whether it is gone, which is both.
fn item_is(cx: &Cx, id: i64, is_to_be_gone: bool) -> Look<'_> {
    Box::new(move || {
        Box::pin(async move {
            let found = panel::find_item(cx, id).await?;
            Ok(found.is_none_or(|item| !is_to_be_gone && item.stage != Stage::Busy))
        })
    })
}

fn wait_until_deleted<'f>(cx: &'f Cx, name: &'f str, item: i64) -> Doing<'f, ()> {
    Box::pin(async move {
        panel::wait(cx, name, 10, 30, item_is(cx, item, true)).await.map_err(|fault| match fault.class {
            FaultClass::Timeout => Fault::new(
                fault.class,
                format!(
                    "the machine {item} is still there after its deletion: the panel's audit log says why; the hosting \
                         space is kept, since the panel would forget the machine with it"
                ),
            ),
            _ => fault,
        })
    })
}

/// The step that begins to delete a space; one that is gone needs no more.
fn delete_space<'f>(cx: &'f Cx, step: &'f str, owned: Option<Owned<'f>>, id: i64) -> Doing<'f, ()> {
    Box::pin(cx.step(step).settle(AT_ONCE).ensure(move |send| async move {
        let found = match owned {
            Some(owned) => owned.find(cx).await?,
            None => panel::find_package(cx, id).await?,
        };
        if found.is_none() {
            return Ok(());
        }
        packages::delete_reply(&panel::sent(&send, packages::delete(id)).await?)
    }))
}

fn wait_until_gone<'f>(cx: &'f Cx, name: &'f str, id: i64) -> Doing<'f, ()> {
    let look: Look<'f> = Box::new(move || Box::pin(async move { Ok(panel::find_package(cx, id).await?.is_none()) }));
    panel::wait(cx, name, 10, 60, look)
}

/// The step that deletes a user who has nothing left. An id that does not exist can take the panel down, so that only one
/// is sent that was just read by its name, and a lost answer waits out the whole settle time before another look.
fn delete_user<'f>(cx: &'f Cx, step: &'f str, leaver: Leaver<'f>) -> Doing<'f, ()> {
    let Leaver { username, id, reseller } = leaver;
    Box::pin(cx.step(step).settle(Settle { looks: 2, ..Settle::default() }).ensure(move |send| async move {
        let Some(user) = panel::find_user(cx, username).await? else { return Ok(()) };
        let why = if (user.id, user.owner) != (id, reseller) || user.role != users::CUSTOMER || user.is_peer {
            Some("it is not the one that was made for the service")
        } else if !panel::packages_of(cx, id).await?.is_empty() {
            Some("it has other hosting spaces")
        } else {
            None
        };
        if let Some(why) = why {
            cx.note(format!("the panel user {username} is left: {why}"));
            return Ok(());
        }
        match users::delete_reply(&panel::sent(&send, users::delete(id)).await?) {
            Err(fault) if fault.code.as_deref() == Some("-102") => {
                cx.note(format!("the panel user {username} is left: it has users of its own"));
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Machine, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended as Run, ScriptedHost};
    use billhook_plugin_api::{Provider, Service};
    use serde_json::json;

    fn end(host: &ScriptedHost) -> Run<Ended> {
        host.run(async |cx| stage::provider().terminate(cx, stage::terminate()).await)
    }

    fn is_empty(stage: &Stage) -> bool {
        let world = stage.world();
        world.machines.is_empty() && world.spaces.len() == 3 && world.users.len() == 2
    }

    #[test]
    fn the_machine_goes_before_its_space_and_its_space_before_its_user() {
        for (status, slowness, first) in [(1, 0, None), (1, 4, None), (2, 2, Some("ChangePackageStatus"))] {
            let stage = Stage::with_machine();
            stage.world().spaces.get_mut(&801).unwrap().status = status;
            stage.world().slowness = slowness;
            let host = stage.host();

            assert_eq!(ok(end(&host)), Ended::Gone);

            let expected: Vec<&str> =
                first.into_iter().chain(["DeleteVirtualMachineAsynchronous", "DeletePackage", "DeleteUser"]).collect();
            assert_eq!(changes(&host), expected);
            assert!(is_empty(&stage));
            assert_eq!(ok(end(&host)), Ended::Gone);
            assert_eq!(changes(&host).len(), expected.len());
        }
    }

    #[test]
    fn every_call_that_breaks_in_every_way_ends_it_all_the_same() {
        for call in ["ChangePackageStatus", "DeleteVirtualMachineAsynchronous", "DeletePackage", "DeleteUser"] {
            for how in BREAKS {
                let stage = Stage::with_machine();
                stage.world().spaces.get_mut(&801).unwrap().status = 2;
                stage.breaks(call, how);
                let host = stage.host();

                assert_eq!(ok(to_end(|| end(&host))), Ended::Gone, "{call} {how:?}");
                assert!(is_empty(&stage), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn what_is_gone_needs_no_deletion_and_a_repeat_never_touches_the_next_customer() {
        let stage = Stage::with_machine();
        let host = stage.host();
        ok(end(&host));
        host.next_operation();
        assert_eq!(ok(end(&host)), Ended::Gone);
        // The panel's ids go over all customers: the next one could stand there after a restore of the panel.
        let mine = stage.world().spaces.get(&5).cloned().unwrap();
        stage.world().spaces.insert(801, stage::Space { user: 60, parent: 5, ..mine });
        host.next_operation();
        let before = changes(&host).len();

        assert_eq!(fault(end(&host)).class, FaultClass::NotFound);
        assert_eq!(changes(&host).len(), before);
    }

    #[test]
    fn a_user_with_other_spaces_or_of_another_id_is_left() {
        type Change = fn(&mut stage::World);
        let cases: [(Change, &str); 3] = [
            (
                |world| {
                    let other = world.spaces[&801].clone();
                    world.spaces.insert(802, other);
                },
                "other hosting spaces",
            ),
            (
                |world| {
                    let user = world.users.remove(&57).unwrap();
                    world.users.insert(58, user);
                },
                "not the one",
            ),
            (|world| world.users.get_mut(&57).unwrap().role = 2, "not the one"),
        ];
        for (change, part) in cases {
            let stage = Stage::with_machine();
            change(&mut stage.world());
            let host = stage.host();

            assert_eq!(ok(end(&host)), Ended::Gone, "{part}");

            assert!(!changes(&host).contains(&"DeleteUser".to_owned()), "{part}");
            assert!(host.notes().iter().any(|note| note.contains(part)), "{part}: {:?}", host.notes());
        }
    }

    #[test]
    fn a_user_that_we_did_not_make_is_never_deleted() {
        for (service, settings) in [
            (
                Service {
                    properties: json!({ "user_id": 57, "space_id": 5, "user_made": false })
                        .as_object()
                        .unwrap()
                        .clone(),
                    ..stage::owned()
                },
                json!({}),
            ),
            (stage::owned(), json!({ "user_per": "client" })),
        ] {
            let stage = Stage::with_machine();
            let host = stage.host();
            let request = Terminate { service, product: stage::product(json!({})) };
            ok(host.run(async |cx| stage::provider_with(settings).terminate(cx, request).await));
            assert!(stage.world().users.contains_key(&57));
            assert_eq!(stage.world().spaces.len(), 3);
        }
    }

    #[test]
    fn a_create_that_stopped_half_way_is_ended_by_its_marks() {
        let stage = Stage::with_machine();
        stage.world().machines.clear();
        let service = Service { properties: serde_json::Map::new(), ..stage::owned() };
        let host = stage.host();
        let request = Terminate { service, product: stage::product(json!({})) };

        let ended = host.run(async |cx| stage::provider().terminate(cx, request).await);

        assert_eq!(ok(ended), Ended::Gone);
        assert_eq!(changes(&host), ["DeletePackage", "DeleteUser"]);
        assert!(is_empty(&stage));
    }

    #[test]
    fn a_machine_that_will_not_go_keeps_its_space() {
        let stage = Stage::with_machine();
        stage.world().slowness = 100_000;
        let host = stage.host();

        let waited = fault(end(&host));

        assert_eq!(waited.class, FaultClass::Timeout);
        assert!(waited.staff.contains("753") && waited.staff.contains("space is kept"), "{waited}");
        assert_eq!(stage.world().spaces.len(), 4);
    }

    #[test]
    fn a_refused_activation_is_not_taken_for_one() {
        let stage = Stage::with_machine();
        stage.world().spaces.get_mut(&801).unwrap().status = 2;
        stage.world().ignores_status = true;
        let host = stage.host();
        assert_eq!(end(&host), Run::Settling("activate".into()));
        assert_eq!(changes(&host), ["ChangePackageStatus"]);
        assert_eq!(stage.world().machines.len(), 1);
    }

    #[test]
    fn a_failed_machine_is_deleted_too() {
        let stage = Stage::with_machine();
        let broken = Machine { provisioning: "Error", ..stage.world().machines[&753].clone() };
        stage.world().machines.insert(753, broken);
        stage.world().slowness = 2;
        assert_eq!(ok(end(&stage.host())), Ended::Gone);
        assert!(is_empty(&stage));
    }

    #[test]
    fn a_web_page_is_never_read_as_gone() {
        for status in [200, 404, 500] {
            let stage = Stage::with_machine();
            stage.breaks("GetPackage", Break::Says { done: false, status, body: "<html><body>x</body></html>" });
            let host = stage.host();
            assert_eq!(fault(end(&host)).class, FaultClass::InDoubt, "{status}");
            assert_eq!(stage.world().spaces.len(), 4);
        }
    }
}
