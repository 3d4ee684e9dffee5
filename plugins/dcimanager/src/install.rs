//! An operating system's installation: asked for once, waited for, judged.

use crate::answer::misfit;
use crate::form::{Form, Id};
use crate::machine::Row;
use crate::panel::{Doing, Panel};
use crate::xml::Node;
use billhook_plugin_api::{Cx, Fault, FaultClass, Find, Secret, Settle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The code of a fault that says that an installation failed.
pub const FAILED: &str = "install_failed";

/// Right after it was asked for, the panel may not show an installation yet.
const START_GAP_MS: u64 = 60_000;
/// No installation is over sooner; what is absent after longer may have come and gone.
const SHORTEST_MS: u64 = 5 * 60_000;

/// What an operator checks when the panel will not install.
pub const PRECONDITIONS: &str = "it needs a MAC and an IP address, a PDU or IPMI connection, network boot, the template \
     installed, and a DHCP interface";

/// What is installed, and in whose name.
pub struct Install<'a> {
    pub panel: &'a Panel,
    pub machine: &'a Id,
    pub template: &'a str,
    pub recipe: &'a str,
    pub password: &'a Secret<String>,
    /// The customer's account, where the machine is his already; the panel then refuses what is not his to do.
    pub account: Option<&'a str>,
    /// Refuses a machine that is not, or no more, the service's.
    pub check: &'a (dyn Fn() -> Doing<'a, Row> + Send + Sync),
}

/// When an installation was accepted, and whether the machine showed a failure before: that flag may stand until the panel
/// begins.
pub type Started = (u64, bool);

/// When it was, whether the machine showed a failure, and the template that was chosen there.
type Before = (u64, bool, Option<String>);

/// Templates that the panel lets be installed on a machine, and the one that is chosen there.
pub struct Templates {
    pub offered: Vec<(String, String)>,
    pub current: Option<String>,
}

pub fn templates(doc: &Node) -> Result<Templates, Fault> {
    let list = doc.all("slist").find(|list| list.attribute("name") == Some("ostemplate"));
    let list = list.ok_or_else(|| misfit("doc.slist[ostemplate]"))?;
    let offered = list
        .all("val")
        .map(|val| {
            let key = val.attribute("key").filter(|key| !key.is_empty()).unwrap_or(val.own_text());
            (key.to_owned(), val.own_text().to_owned())
        })
        .collect();
    Ok(Templates { offered, current: doc.text("ostemplate").map(str::to_owned) })
}

impl<'a> Install<'a> {
    /// Asks for it, once.
    pub async fn start(&self, cx: &Cx, n: u32) -> Result<Started, Fault> {
        let Self { panel, machine, template, .. } = *self;
        cx.step(("install", n))
            .scope(format!("install:{machine}"))
            .settle(Settle { looks: 3, ..Settle::default() })
            .sealed()
            .given(|| async move {
                let row = (self.check)().await?;
                if row.installing {
                    return Err(Fault::new(FaultClass::ConflictBusy, format!("a system is being installed on server {machine}")));
                }
                let templates = self.templates(cx).await?;
                if !templates.offered.iter().any(|(key, _)| key == template) {
                    return Err(Fault::invalid_input(format!(
                        "the panel does not offer the template {template:?} for server {machine}: install it on the panel, or allow \
                         it for the server's type"
                    )));
                }
                Ok((cx.now().await?, row.failed, templates.current))
            })
            .find(|(at, had_failed, before): Before| async move {
                let row = panel.row(cx, machine).await?;
                let started = (at, had_failed);
                if row.installing || (row.failed && !had_failed) {
                    return Ok(Find::Found(started));
                }
                let current = self.templates(cx).await?.current;
                if before.as_deref() != Some(template) && current.as_deref() == Some(template) {
                    return Ok(Find::Found(started));
                }
                // Nobody uses a machine that is not handed over: installing it again is safe.
                if self.account.is_some() && cx.now().await?.saturating_sub(at) > SHORTEST_MS {
                    return Ok(Find::Unknown(format!(
                        "it cannot be told any more whether server {machine} was installed: look at it, say that it exists if it \
                         was, else give up and reinstall anew"
                    )));
                }
                Ok(Find::Absent)
            })
            .adopt(|_| async move { Ok(Find::Found((cx.now().await?, false))) })
            .run(|(_, had_failed, _), send| async move {
                // Once more, right before what cannot be taken back.
                (self.check)().await?;
                match self.account {
                    Some(account) => panel.change_as(cx, &send, account, self.form()).await?,
                    None => panel.change(cx, &send, self.form()).await?,
                };
                Ok((cx.now().await?, had_failed))
            })
            .await
    }

    async fn templates(&self, cx: &Cx) -> Result<Templates, Fault> {
        templates(&self.panel.read(cx, Form::view_of("server.operations", self.machine)).await?)
    }

    fn form(&self) -> Form {
        let password = self.password.expose();
        Form::edit("server.operations", self.machine)
            .with("operation", "ostemplate")
            .with("ostemplate", self.template)
            .with("passwd", password)
            .with("confirm", password)
            .with("checkpasswd", password)
            .with("recipe", self.recipe)
            .slow()
    }
}

/// Waits until the installation is over, and says whether it went well. `is_fresh` tells whether this run found that out.
///
/// # Errors
///
/// `panel_bug` when it takes longer than the server's setting allows. The wait goes on when the hook is tried again.
pub async fn finished(
    cx: &Cx,
    panel: &Panel,
    machine: &Id,
    started: &Started,
    n: u32,
    is_fresh: &Mutex<bool>,
) -> Result<bool, Fault> {
    let name = format!("installed#{n}");
    let was_seen = &AtomicBool::new(false);
    let what = format!(
        "look at server {machine} on the panel, where it stays as it is, then retry, which goes on waiting, or terminate the \
         service: its installation was not over"
    );
    panel
        .wait(cx, &name, 30, panel.install_limit_s, &what, &|| {
            Box::pin(async move {
                let row = panel.row(cx, machine).await?;
                was_seen.fetch_or(row.installing, Ordering::Relaxed);
                let age = cx.now().await?.saturating_sub(started.0);
                Ok(is_over(&row, started, age, was_seen.load(Ordering::Relaxed)))
            })
        })
        .await?;
    verdict(cx, panel, machine, n, is_fresh).await
}

/// Whether the panel shows no failure. It is kept, so that a retry knows that this one failed.
pub async fn verdict(cx: &Cx, panel: &Panel, machine: &Id, n: u32, is_fresh: &Mutex<bool>) -> Result<bool, Fault> {
    cx.step(("verdict", n))
        .record(|| async move {
            let row = panel.row(cx, machine).await?;
            *is_fresh.lock().unwrap_or_else(PoisonError::into_inner) = true;
            Ok(!row.failed)
        })
        .await
}

/// Whether an installation is over, by what the panel shows and how long ago it was asked for.
fn is_over(row: &Row, started: &Started, age_ms: u64, was_seen: bool) -> bool {
    if row.installing {
        return false;
    }
    if row.failed && !started.1 {
        return true;
    }
    was_seen || age_ms >= START_GAP_MS
}

/// The fault of an installation that failed.
pub fn failed(machine: &Id, remedy: &str) -> Fault {
    Fault::panel_bug(format!("the installation of server {machine} failed on the panel: {remedy}; {PRECONDITIONS}"))
        .with_code(FAILED)
        .for_customer("The system could not be installed.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_over_when_it_was_seen_or_is_old_enough() {
        let row = |installing: bool, failed: bool| Row { installing, failed, ..Row::default() };
        for (row, had_failed, age_ms, was_seen, expected) in [
            (row(true, false), false, 900_000, true, false),
            (row(true, true), false, 900_000, true, false),
            (row(false, false), false, 5_000, false, false),
            (row(false, false), false, 5_000, true, true),
            (row(false, false), false, 60_000, false, true),
            (row(false, true), false, 5_000, false, true),
            // The flag of an earlier failure.
            (row(false, true), true, 5_000, false, false),
            (row(false, true), true, 60_000, false, true),
        ] {
            assert_eq!(
                is_over(&row, &(0, had_failed), age_ms, was_seen),
                expected,
                "{row:?} {had_failed} {age_ms} {was_seen}"
            );
        }
    }

    #[test]
    fn templates_are_the_machines_own() {
        let doc = "<doc><ostemplate>a</ostemplate><slist name='recipe'><val key='r'>R</val></slist>\
             <slist name='ostemplate'><val key='a'>A</val><val>b</val></slist></doc>";
        let found = templates(&Node::parse(doc.as_bytes()).unwrap()).unwrap();
        assert_eq!(found.offered, [("a".into(), "A".into()), ("b".to_owned(), "b".to_owned())]);
        assert_eq!(found.current.as_deref(), Some("a"));
        assert!(templates(&Node::parse(b"<doc/>").unwrap()).is_err());
    }
}
