//! `reinstall`: the build again, on a server that has a system.

use crate::api;
use crate::api::guest;
use crate::create::{BUILD_FAILED, hostname, label};
use crate::panel::{self, Owned};
use crate::password::NO_CHOSEN_PASSWORD;
use crate::server::{Build, ORDER_SETTLE, Server};
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Find, Secret, Time, every, within};
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
///
/// `is_chosen` says that the customer had chosen a password.
pub async fn run(cx: &Cx, owned: Owned<'_>, is_chosen: bool) -> Result<Change, Fault> {
    let product = owned.product;
    product.check()?;
    let os_template =
        product.os_template_id.ok_or_else(|| Fault::invalid_input("the product has no os_template_id to install"))?;
    cx.progress(5, "starting the installation");
    let Rebuilt { before, root_password } = build(cx, owned, os_template).await?;

    cx.progress(20, "the system is being installed");
    wait_until_built(cx, owned.id, before.as_ref()).await?;
    let server = owned.read(cx).await?;
    let mut change = Change { properties: server.properties(), ..Change::done() };
    if is_chosen {
        change.message.staff = Some(NO_CHOSEN_PASSWORD.to_owned());
    }
    match root_password {
        Some(password) => {
            change.secrets.insert("root_password".to_owned(), password);
        }
        None => {
            let lost = "the panel's only answer with the root password was lost: change the password";
            change.message.staff = Some(lost.to_owned());
        }
    }
    Ok(change)
}

async fn build(cx: &Cx, owned: Owned<'_>, os_template: u64) -> Result<Rebuilt, Fault> {
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
            let label = label(owned.service);
            let request = api::build(owned.id, &label, hostname(owned.service), os_template, owned.product);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Machine, Stage, fault, ok, to_end};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::Reinstall;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::{Value, json};

    fn reinstall(host: &ScriptedHost, more: Value) -> Ended<Change> {
        let request = Reinstall { service: stage::service(), product: stage::product(more), password: None };
        host.run(async |cx| stage::provider().reinstall(cx, request).await)
    }

    const BUILD: &str = "POST /servers/7000/build";

    #[test]
    fn a_system_is_installed_once_for_one_hook() {
        let stage = Stage::with(Machine::running(300));
        stage.world().slowness = 3;
        let host = stage.host();

        let first = ok(reinstall(&host, json!({ "os_template_id": 11 })));

        assert_eq!(first.secrets["root_password"].expose(), "root-password-1");
        assert_eq!(ok(reinstall(&host, json!({ "os_template_id": 11 }))), first);
        assert_eq!((host.changes(), host.secrets()), (vec![BUILD.to_owned()], vec!["root-password-1".to_owned()]));
        let machine = &stage.world().machines[&7_000];
        assert_eq!((machine.state, machine.os, machine.builds), ("complete", 11, 1));
        assert!(host.steps()[0].sealed && host.steps()[0].scope.is_some());
    }

    #[test]
    fn a_build_that_breaks_in_every_way_happens_once() {
        for slowness in [0, 5] {
            for how in BREAKS {
                let stage = Stage::with(Machine::running(300));
                stage.world().slowness = slowness;
                stage.breaks(BUILD, how);
                let host = stage.host();

                let change = ok(to_end(|| reinstall(&host, json!({}))));

                let machine = &stage.world().machines[&7_000];
                assert_eq!((machine.state, machine.builds), ("complete", 1), "{how:?}");
                let knows = change.secrets.contains_key("root_password");
                assert_eq!(knows, change.message.staff.is_none(), "{how:?}");
            }
        }
    }

    #[test]
    fn nothing_is_lost_for_what_cannot_be_installed() {
        use FaultClass::{ConflictBusy, InvalidInput};
        let machine = Machine::running(300);
        for (machine, more, class) in [
            (machine.clone(), json!({ "os_template_id": null }), InvalidInput),
            (machine.clone(), json!({ "os_template_id": 77 }), InvalidInput),
            (Machine { suspended: true, ..machine.clone() }, json!({}), InvalidInput),
            (Machine { busy: true, ..machine.clone() }, json!({}), ConflictBusy),
            (Machine { state: "queued", commission: 1, ..machine }, json!({}), ConflictBusy),
        ] {
            let host = Stage::with(machine).host();
            assert_eq!(fault(reinstall(&host, more)).class, class);
            assert!(host.changes().is_empty());
        }
    }

    #[test]
    fn a_failed_build_is_told_and_the_server_stays() {
        let stage = Stage::with(Machine::running(300));
        stage.world().build_fails = true;
        let host = stage.host();
        let more = json!({ "on_build_failure": "delete" });
        assert_eq!(fault(reinstall(&host, more)).code.as_deref(), Some(BUILD_FAILED));
        assert_eq!(host.changes(), [BUILD]);
    }

    #[test]
    fn other_work_is_not_taken_for_the_build() {
        let stage = Stage::with(Machine::running(300));
        stage.breaks(BUILD, Break::Lost { done: false });
        let host = stage.host();
        assert_eq!(reinstall(&host, json!({})), Ended::Settling("rebuild".into()));
        stage.world().machines.get_mut(&7_000).unwrap().busy = true;
        assert_eq!(fault(reinstall(&host, json!({}))).class, FaultClass::ConflictBusy);
        stage.world().machines.get_mut(&7_000).unwrap().busy = false;
        ok(reinstall(&host, json!({})));
        assert_eq!(stage.world().machines[&7_000].builds, 1);
    }

    #[test]
    fn a_server_without_a_system_gets_one() {
        for machine in [Machine::allocated(300), Machine { state: "failed", commission: 2, ..Machine::complete(300) }] {
            for how in [Break::Lost { done: true }, Break::Lost { done: false }] {
                let stage = Stage::with(machine.clone());
                stage.world().slowness = 3;
                stage.breaks(BUILD, how);
                let host = stage.host();
                ok(to_end(|| reinstall(&host, json!({}))));
                assert_eq!(stage.world().machines[&7_000].builds, 1, "{machine:?} {how:?}");
            }
        }
    }
}
