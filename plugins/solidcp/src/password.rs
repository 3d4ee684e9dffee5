//! `change_password`: of the machine's administrator, or of the panel user.

use crate::api::{machines, users};
use crate::panel::{self, Owned, USER_ID};
use crate::secrets;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, PasswordTarget, Secret, Texts};

/// Sets the chosen password, or one that is made here. Setting the same again does no harm.
pub async fn run(
    cx: &Cx,
    owned: Owned<'_>,
    target: Option<PasswordTarget>,
    chosen: Option<&Secret<String>>,
) -> Result<Change, Fault> {
    if let Some(chosen) = chosen {
        secrets::check(chosen)?;
    }
    let new: Secret<String> = cx
        .step("password")
        .sealed()
        .record(|| async move { chosen.cloned().map_or_else(secrets::password, Ok) })
        .await?;
    cx.secret(new.expose()).await?;
    let password = new.expose().as_str();
    let mut change = Change::done();
    let name = match target.unwrap_or(PasswordTarget::Root) {
        PasswordTarget::Root => {
            change.message = Texts {
                staff: Some("handed to the system on the machine, which sets it if its guest tools run".to_owned()),
                customer: None,
            };
            cx.step("set")
                .ensure(move |send| async move {
                    owned.active(cx).await?;
                    let item = owned.item_id(cx).await?;
                    machines::set_password_reply(&panel::sent(&send, machines::set_password(item, password)).await?)
                })
                .await?;
            "root_password"
        }
        PasswordTarget::Account => {
            cx.step("set")
                .ensure(move |send| async move {
                    let user = owned.read(cx).await?.user;
                    users::set_password_reply(&panel::sent(&send, users::set_password(user, password)).await?)
                        .map(|_| ())
                })
                .await?;
            verify(cx, owned, password).await?;
            "panel_password"
        }
    };
    change.secrets.insert(name.to_owned(), new);
    Ok(change)
}

/// The panel says 0 also where it did nothing for want of rights: so the password is tried, once.
async fn verify(cx: &Cx, owned: Owned<'_>, password: &str) -> Result<(), Fault> {
    let id = owned.noted(USER_ID).unwrap_or(owned.read(cx).await?.user);
    let Some(user) = users::by_id_reply(&panel::ask(cx, users::by_id(id)).await?)? else {
        return Err(Fault::not_found(format!("the panel does not show user {id}")));
    };
    if users::authenticate_reply(&panel::ask(cx, users::authenticate(&user.username, password)).await?)? {
        return Ok(());
    }
    Err(Fault::new(
        FaultClass::Permission,
        format!(
            "the panel said that it set the password of {}, and does not accept it: look at the rights of the API login",
            user.username
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ChangePassword, Provider};
    use serde_json::json;

    fn set(host: &ScriptedHost, target: PasswordTarget, password: Option<&str>) -> Ended<Change> {
        let password = password.map(|text| Secret::new(text.to_owned()));
        let request = ChangePassword {
            service: stage::owned(),
            product: stage::product(json!({})),
            password,
            target: Some(target),
        };
        host.run(async |cx| stage::provider().change_password(cx, request).await)
    }

    #[test]
    fn the_password_that_is_told_is_the_one_that_is_set() {
        for chosen in [None, Some("pass:wörd<&>")] {
            for (target, name) in [(PasswordTarget::Root, "root_password"), (PasswordTarget::Account, "panel_password")]
            {
                let stage = Stage::with_machine();
                let host = stage.host();
                let change = ok(set(&host, target, chosen));
                let told = change.secrets[name].expose().clone();
                assert_eq!(chosen.unwrap_or(&told), told);
                let world = stage.world();
                let is_root = target == PasswordTarget::Root;
                let found = if is_root { &world.machines[&753].password } else { &world.users[&57].password };
                assert_eq!(*found, told);
                assert!(host.secrets().contains(&told));
            }
        }
    }

    #[test]
    fn a_call_that_breaks_in_every_way_sets_the_same_again() {
        for (target, call) in
            [(PasswordTarget::Root, "ChangeAdministratorPassword"), (PasswordTarget::Account, "ChangeUserPassword")]
        {
            for how in BREAKS {
                let stage = Stage::with_machine();
                stage.breaks(call, how);
                let host = stage.host();
                let change = ok(to_end(|| set(&host, target, None)));
                let told = change.secrets.values().next().unwrap().expose().clone();
                let world = stage.world();
                let is_root = target == PasswordTarget::Root;
                let found = if is_root { &world.machines[&753].password } else { &world.users[&57].password };
                assert_eq!(*found, told, "{call} {how:?}");
            }
        }
    }

    #[test]
    fn a_zero_that_did_nothing_is_no_success() {
        let stage = Stage::with_machine();
        stage.world().ignores_password = true;
        let refused = fault(set(&stage.host(), PasswordTarget::Account, Some("a-new-password")));
        assert_eq!(refused.class, FaultClass::Permission);
        assert!(!refused.staff.contains("a-new-password"));
    }

    #[test]
    fn a_machine_in_a_suspended_space_takes_no_password() {
        let stage = Stage::with_machine();
        stage.world().spaces.get_mut(&801).unwrap().status = 2;
        let host = stage.host();
        assert_eq!(fault(set(&host, PasswordTarget::Root, None)).class, FaultClass::InvalidInput);
        assert!(changes(&host).is_empty());
    }
}
