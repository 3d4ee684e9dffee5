//! `change_password`: of the machine's administrator, or of the customer's panel user. The panel chooses both.

use crate::VirtFusion;
use crate::api::access;
use crate::api::guest::{self, Template};
use crate::owner::Relation;
use crate::panel::{self, Owned};
use crate::server::Server;
use crate::settings::Product;
use billhook_plugin_api::{Change, ChangePassword, Cx, Fault, FaultClass, PasswordTarget, Secret, Texts};

/// Sets a new password and returns it.
pub async fn run(panel: &VirtFusion, cx: &Cx, request: ChangePassword<Product>) -> Result<Change, Fault> {
    let ChangePassword { service, product, password, target } = request;
    let owned = Owned::new(panel, &service, &product)?;
    let (name, relation) = match target.unwrap_or(PasswordTarget::Root) {
        PasswordTarget::Root => ("root_password", None),
        PasswordTarget::Account => ("panel_password", Some(owned.relation("a panel password")?)),
    };
    cx.progress(10, "asking the panel for a new password");
    let (task, new) = reset(cx, owned, relation.as_ref()).await?;
    cx.progress(60, "the panel sets it");
    panel::wait_for_task(cx, "set", task).await?;
    let staff = password.map(|_| "the panel takes no chosen password: it made one itself".to_owned());
    Ok(Change {
        secrets: [(name.to_owned(), new)].into_iter().collect(),
        message: Texts { staff, customer: None },
        ..Change::done()
    })
}

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
