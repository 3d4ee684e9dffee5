//! `change_password`: of the machine's administrator, or of the customer's panel user. The panel chooses both.

use crate::VirtFusion;
use crate::api::{access, guest};
use crate::panel::{self, Owned};
use crate::server::Server;
use crate::settings::Product;
use billhook_plugin_api::{Change, ChangePassword, Cx, Fault, FaultClass, PasswordTarget, Secret, Texts};
use serde::{Deserialize, Serialize};

/// Sets a new password and returns it.
pub async fn run(panel: &VirtFusion, cx: &Cx, request: ChangePassword<Product>) -> Result<Change, Fault> {
    let ChangePassword { service, product, password, target } = request;
    let owned = Owned::new(panel, &service, &product)?;
    let (name, new) = match target.unwrap_or(PasswordTarget::Root) {
        PasswordTarget::Root => ("root_password", root(cx, owned).await?),
        PasswordTarget::Account => ("panel_password", login(cx, owned).await?),
    };
    let staff = password.map(|_| "the panel takes no chosen password: it made one itself".to_owned());
    Ok(Change { secrets: [(name.to_owned(), new)].into(), message: Texts { staff, customer: None }, ..Change::done() })
}

/// What is kept of an accepted reset.
#[derive(Serialize, Deserialize)]
struct Reset {
    task: Option<u64>,
    password: Secret<String>,
}

/// The administrator's password on the machine.
///
/// A reset whose answer was lost has set a password that nobody knows. It cannot be seen either, so that another reset
/// follows, once a late first one can no longer overtake it.
async fn root(cx: &Cx, owned: Owned<'_>) -> Result<Secret<String>, Fault> {
    cx.progress(10, "asking the panel for a new password");
    let reset: Reset = cx
        .step("reset")
        .sealed()
        .ensure(move |send| async move {
            let server = owned.read(cx).await?;
            installed(&server)?;
            panel::idle(&server)?;
            let user = administrator(cx, &server).await?;
            let reply = send.call(guest::reset_password(server.id, user)).await?;
            let (task, password) = guest::reset_password_reply(&reply)?;
            cx.secret(password.expose()).await?;
            Ok(Reset { task, password })
        })
        .await?;
    cx.progress(60, "the panel sets it on the machine");
    panel::wait_for_task(cx, "set", reset.task).await?;
    Ok(reset.password)
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
async fn administrator(cx: &Cx, server: &Server) -> Result<&'static str, Fault> {
    let templates = guest::templates_reply(&cx.http(guest::templates(server.id)).await?)?;
    let is_windows = templates.iter().any(|template| Some(template.id) == server.os_template && template.is_windows);
    Ok(if is_windows { "Administrator" } else { "root" })
}

/// The password of the customer's panel user, which opens all of the customer's servers.
async fn login(cx: &Cx, owned: Owned<'_>) -> Result<Secret<String>, Fault> {
    let relation = &owned.relation("a panel password")?;
    cx.progress(10, "asking the panel for a new password");
    let reset: Reset = cx
        .step("login")
        .sealed()
        .ensure(move |send| async move {
            // The service's own server first, so that no password is made for somebody whose service this is not.
            owned.read(cx).await?;
            let (_, password) = access::reset_login_reply(&send.call(access::reset_login(relation)).await?)?;
            cx.secret(password.expose()).await?;
            Ok(Reset { task: None, password })
        })
        .await?;
    Ok(reset.password)
}
