//! `change_password`: of the machine's administrator, or of the customer's panel user. The panel chooses both.

use crate::api::access;
use crate::api::guest::{self, Template};
use crate::owner::Relation;
use crate::panel::{self, Owned};
use crate::server::Server;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, PasswordTarget, Secret};

/// Sets a new password and returns it. `is_chosen` says that the customer had chosen one.
pub async fn run(cx: &Cx, owned: Owned<'_>, target: Option<PasswordTarget>, is_chosen: bool) -> Result<Change, Fault> {
    let (name, relation) = match target.unwrap_or(PasswordTarget::Root) {
        PasswordTarget::Root => ("root_password", None),
        PasswordTarget::Account => ("panel_password", Some(owned.relation("a panel password")?)),
    };
    cx.progress(10, "asking the panel for a new password");
    let (task, new) = reset(cx, owned, relation.as_ref()).await?;
    cx.progress(60, "the panel sets it");
    panel::wait_for_task(cx, "set", task).await?;
    let mut change = Change::done();
    change.secrets.insert(name.to_owned(), new);
    change.message.staff = is_chosen.then(|| NO_CHOSEN_PASSWORD.to_owned());
    Ok(change)
}

/// What staff read where a customer had chosen a password.
pub const NO_CHOSEN_PASSWORD: &str = "the panel takes no chosen password: it made one itself";

/// Asks for a new password: of the panel user of that relation, else of the machine's administrator. With it comes the task
/// that sets it on the machine.
///
/// A reset whose answer was lost has set a password that nobody knows. It cannot be seen either, so that another reset
/// follows, once a late first one can no longer overtake it.
async fn reset(cx: &Cx, owned: Owned<'_>, relation: Option<&Relation>) -> Result<(Option<u64>, Secret<String>), Fault> {
    cx.step("reset")
        .sealed()
        .ensure(move |send| async move {
            // The service's own server first, so that no password is made for somebody whose service this is not.
            let server = owned.read(cx).await?;
            let (task, password) = match relation {
                Some(relation) => {
                    let reply = send.call(access::reset_login(relation)).await?;
                    (None, access::reset_login_reply(&reply)?)
                }
                None => {
                    installed(&server)?;
                    panel::idle(&server)?;
                    let templates = cx.http(guest::templates(server.id)).await?;
                    let user = administrator(&server, &guest::templates_reply(&templates)?);
                    let reply = send.call(guest::reset_password(server.id, user)).await?;
                    guest::reset_password_reply(&reply)?
                }
            };
            cx.secret(password.expose()).await?;
            Ok((task, password))
        })
        .await
}

fn installed(server: &Server) -> Result<(), Fault> {
    let id = server.id;
    if server.is_installed() {
        Ok(())
    } else if server.is_installing() {
        Err(Fault::new(FaultClass::ConflictBusy, format!("a system is being installed on server {id}")))
    } else {
        Err(Fault::invalid_input(format!("server {id} has no system, and so no password: reinstall it")))
    }
}

/// The administrator's name by the installed system. One that the panel no longer offers is taken for no Windows.
fn administrator(server: &Server, templates: &[Template]) -> &'static str {
    let is_windows = templates.iter().any(|template| Some(template.id) == server.os_template && template.is_windows);
    if is_windows { "Administrator" } else { "root" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Machine, Stage, fault, ok, to_end};
    use billhook_plugin_api::ChangePassword;
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::{Value, json};

    fn change(host: &ScriptedHost, target: Option<PasswordTarget>, more: Value) -> Ended<Change> {
        let password = Some(Secret::new("chosen-password".to_owned()));
        let request = ChangePassword { service: stage::service(), product: stage::product(more), password, target };
        host.run(async |cx| stage::provider().change_password(cx, request).await)
    }

    fn stage(os: u64) -> Stage {
        let stage = Stage::with(Machine { os, ..Machine::running(300) });
        stage.world().users.insert("42".into(), 300);
        stage
    }

    #[test]
    fn the_panels_own_password_comes_back_once() {
        for (os, target, name, password) in [
            (10, None, "root_password", "root-password-1"),
            (10, Some(PasswordTarget::Root), "root_password", "root-password-1"),
            (11, None, "root_password", "Administrator-password-1"),
            (99, None, "root_password", "root-password-1"),
            (10, Some(PasswordTarget::Account), "panel_password", "login-password-1"),
        ] {
            let stage = stage(os);
            stage.world().slowness = 2;
            let host = stage.host();

            let first = ok(change(&host, target, json!({})));

            assert_eq!(first.secrets[name].expose(), password);
            assert!(first.message.staff.clone().unwrap().contains("no chosen password"));
            assert_eq!(ok(change(&host, target, json!({}))), first);
            assert_eq!((host.changes().len(), host.secrets()), (1, vec![password.to_owned()]));
            assert!(host.steps()[0].sealed);
        }
    }

    #[test]
    fn a_reset_that_breaks_is_followed_by_one_whose_password_is_known() {
        for (target, call) in [
            (PasswordTarget::Root, "POST /servers/7000/resetPassword"),
            (PasswordTarget::Account, "POST /users/42/byExtRelation/resetPassword"),
        ] {
            for how in BREAKS {
                let stage = stage(10);
                stage.breaks(call, how);
                let host = stage.host();

                let change = ok(to_end(|| change(&host, Some(target), json!({}))));

                let passwords = stage.world().passwords;
                let told = change.secrets.values().next().unwrap().expose().clone();
                assert!(told.ends_with(&format!("-{passwords}")), "{how:?}: {told} is not the last of {passwords}");
            }
        }
    }

    #[test]
    fn a_shared_owner_has_no_password_of_the_customers() {
        let host = stage(10).host();
        let more = json!({ "virtfusion_user_id": 300 });
        let fault = fault(change(&host, Some(PasswordTarget::Account), more));
        assert_eq!(fault.class, FaultClass::Unsupported);
        assert!(host.changes().is_empty());
    }

    #[test]
    fn a_server_without_a_system_has_no_password() {
        for (machine, class) in [
            (Machine::allocated(300), FaultClass::InvalidInput),
            (Machine { state: "queued", commission: 1, ..Machine::complete(300) }, FaultClass::ConflictBusy),
            (Machine { busy: true, ..Machine::running(300) }, FaultClass::ConflictBusy),
        ] {
            let host = Stage::with(machine).host();
            assert_eq!(fault(change(&host, None, json!({}))).class, class);
            assert!(host.changes().is_empty());
        }
    }
}
