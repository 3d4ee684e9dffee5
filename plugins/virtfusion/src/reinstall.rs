//! `reinstall`: the build again, on a server that has a system.

use crate::api::guest;
use crate::create::{BUILD_FAILED, hostname, label};
use crate::panel::{self, Owned};
use crate::server::{Build, ORDER_SETTLE, Server};
use crate::settings::Product;
use crate::{VirtFusion, api};
use billhook_plugin_api::{
    Change, Cx, Fault, FaultClass, Find, Reinstall, Secret, Service, Texts, Time, every, within,
};
use serde::{Deserialize, Serialize};

/// What the server was before it was built again. A build keeps the date of the one before it until it is over, so that
/// a newer date is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    built: Option<String>,
    has_failed: bool,
}

/// What is kept of an accepted build.
#[derive(Serialize, Deserialize)]
struct Rebuilt {
    before: Option<Before>,
    /// Absent when the answer was lost: the panel tells it once.
    root_password: Option<Secret<String>>,
}

/// Installs the product's system, once, and waits until it is installed.
pub async fn run(panel: &VirtFusion, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
    let Reinstall { service, product, password } = request;
    product.check()?;
    let owned = Owned::new(panel, &service, &product)?;
    let os_template =
        product.os_template_id.ok_or_else(|| Fault::invalid_input("the product has no os_template_id to install"))?;
    cx.progress(5, "starting the installation");
    let Rebuilt { before, root_password } = build(cx, owned, os_template, &service, &product).await?;

    cx.progress(20, "the system is being installed");
    wait_until_built(cx, owned.id, before.as_ref()).await?;
    let server = owned.read(cx).await?;
    let mut texts = Vec::new();
    if password.is_some() {
        texts.push("the panel takes no chosen password: it made one itself");
    }
    if root_password.is_none() {
        texts.push("the panel's only answer with the root password was lost: change the password");
    }
    Ok(Change {
        properties: server.properties(),
        secrets: root_password.into_iter().map(|password| ("root_password".to_owned(), password)).collect(),
        message: Texts { staff: (!texts.is_empty()).then(|| texts.join("; ")), customer: None },
        ..Change::done()
    })
}

async fn build(
    cx: &Cx,
    owned: Owned<'_>,
    os_template: u64,
    service: &Service,
    product: &Product,
) -> Result<Rebuilt, Fault> {
    cx.step("rebuild")
        .scope(format!("build:{}", owned.id))
        .settle(ORDER_SETTLE)
        .sealed()
        .given(move || async move {
            let server = owned.read(cx).await?;
            rebuildable(&server)?;
            // A refusal would come too late for a template that is not there: ask before anything is lost.
            let templates = guest::templates_reply(&cx.http(guest::templates(owned.id)).await?)?;
            if !templates.iter().any(|template| template.id == os_template) {
                return Err(Fault::invalid_input(format!(
                    "the panel does not offer the template {os_template} for server {}",
                    owned.id
                )));
            }
            Ok(Before { has_failed: server.has_failed(), built: server.built })
        })
        .find(move |before: Before| async move {
            let server = owned.read(cx).await?;
            Ok(match started(&server, &before)? {
                true => Find::Found(Rebuilt { before: Some(before), root_password: None }),
                false => Find::Absent,
            })
        })
        .adopt(move |_| async move {
            owned.read(cx).await.map(|_| Find::Found(Rebuilt { before: None, root_password: None }))
        })
        .run(move |before, send| async move {
            let label = label(service);
            let request = api::build(owned.id, &label, hostname(service), os_template, product);
            let root_password = api::build_reply(&send.call(request).await?, owned.id)?;
            if let Some(password) = &root_password {
                cx.secret(password.expose()).await?;
            }
            Ok(Rebuilt { before: Some(before), root_password })
        })
        .await
}

/// Refuses a server at which a build of somebody else's could be taken for ours, or that would only be refused.
fn rebuildable(server: &Server) -> Result<(), Fault> {
    if server.is_installing() {
        return Err(Fault::new(
            FaultClass::ConflictBusy,
            format!("a system is being installed on server {}", server.id),
        ));
    }
    panel::idle(server)?;
    if server.suspended {
        return Err(Fault::invalid_input(format!("server {} is suspended: unsuspend it first", server.id)));
    }
    Ok(())
}

/// Whether a build was accepted since. Other work that is under way tells nothing: look again when it is over.
fn started(server: &Server, before: &Before) -> Result<bool, Fault> {
    if server.is_installing() || server.built != before.built || (server.has_failed() && !before.has_failed) {
        return Ok(true);
    }
    panel::idle(server)?;
    // A failed build that failed again looks as it did. Then there is no system to lose, and another build does no harm.
    Ok(false)
}

async fn wait_until_built(cx: &Cx, id: u64, before: Option<&Before>) -> Result<(), Fault> {
    cx.wait_until("rebuilt", every(5.secs()), within(30.mins()), || async move {
        let server = panel::server(cx, id).await?;
        let is_newer = before.is_none_or(|before| server.built != before.built);
        match server.build() {
            Build::Done => Ok(is_newer),
            Build::Awaited | Build::Running => Ok(false),
            Build::Failed => Err(Fault::panel_bug(format!(
                "the installation of server {id} failed on the panel: build it again there, or reinstall it"
            ))
            .with_code(BUILD_FAILED)
            .for_customer("The system could not be installed.")),
        }
    })
    .await
}
