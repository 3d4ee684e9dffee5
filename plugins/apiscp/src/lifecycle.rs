//! `suspend`, `unsuspend`, `renew` and `terminate`.

use crate::panel::Owned;
use crate::settings::{OnTerminate, Product};
use crate::site::Site;
use crate::{ApisCp, api, call, panel};
use billhook_plugin_api::{Change, Cx, Ended, Fault, FaultClass, Request, Terminate, Texts, Time, every, within};
use billhook_soap::Param;

/// What tells our suspensions from the panel's own, such as those for too much traffic.
const MARK: &str = "[billhook]";

/// Longest reason that is passed on.
const MAX_REASON: usize = 200;

const DAY_MS: u64 = 86_400_000;

/// The two ways to switch a site.
#[derive(Clone, Copy)]
pub enum Switch<'a> {
    /// Suspended, with the reason that the customer is shown.
    Off(Option<&'a str>),
    /// In use.
    On,
}

impl Switch<'_> {
    pub fn is_so(self, site: &Site) -> bool {
        site.active == Some(matches!(self, Self::On))
    }

    /// The operation, and its request for a site id or the invoice of a group.
    pub fn request(self, panel: &ApisCp, site: &str) -> Result<(&'static str, Request), Fault> {
        Ok(match self {
            Self::Off(why) => (api::SUSPEND, panel.caller.suspend(site, &reason(why))?),
            Self::On => (api::ACTIVATE, panel.caller.activate(site)?),
        })
    }
}

/// The reason as the panel is to keep it, on one line: the panel hides lines that begin with `#` or `;`.
fn reason(why: Option<&str>) -> String {
    let why: String = why.unwrap_or_default().chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let why: String = why.trim_start_matches([' ', '#', ';']).trim_end().chars().take(MAX_REASON).collect();
    if why.is_empty() { format!("suspended by billing {MARK}") } else { format!("{why} {MARK}") }
}

/// Switches the site, if a read says that it is not so already.
pub async fn switch(cx: &Cx, owned: Owned<'_>, to: Switch<'_>) -> Result<Change, Fault> {
    let is_new = cx
        .converge(|send| async move {
            let site = owned.read(cx).await?;
            if to.is_so(&site) {
                return Ok(false);
            }
            let (operation, request) = to.request(owned.panel, &site.key)?;
            call::accepted(&send.call(request).await?, operation)?;
            if !to.is_so(&owned.read(cx).await?) {
                return Err(Fault::new(
                    FaultClass::InDoubt,
                    format!("the panel accepted {operation}, and {} is as before", site.label()),
                ));
            }
            Ok(true)
        })
        .await?;
    Ok(if is_new { Change::done() } else { Change::noop() })
}

/// The panel knows no paid period, so that there is nothing to carry to it; but the site must still be there.
pub async fn renew(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let site = owned.read(cx).await?;
    let staff = (site.active == Some(false)).then(|| "the site is suspended on the panel".to_owned());
    Ok(Change { message: Texts { staff, customer: None }, ..Change::noop() })
}

/// Deletes the site, or suspends it for the panel's clean-up. Only ever by the id of a site that was read as ours.
pub async fn terminate(panel: &ApisCp, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
    let Terminate { service, product } = request;
    let owned = Owned::new(panel, &service, &product)?;
    if product.terminate == OnTerminate::Suspend {
        return hold(cx, owned).await;
    }
    cx.progress(10, "deleting the site");
    // Ids may be given again, so that a late second sending could meet a stranger: the whole settle time is waited out.
    cx.step("delete")
        .ensure(|send| async move {
            let Some(site) = owned.find(cx, &[]).await? else { return Ok(()) };
            let flags = vec![("force".to_owned(), Param::Bool(true))];
            let reply = send.call(owned.panel.caller.delete(&site.key, flags)?).await?;
            match call::accepted(&reply, api::DELETE) {
                Err(fault) if panel::is_gone(&fault) => Ok(()),
                other => other,
            }
        })
        .await?;

    cx.progress(50, "waiting until the panel has deleted it");
    // Not skipped even if it is gone at once: a later run would then not come to a wait that an earlier one began.
    cx.wait_until(
        "gone",
        every(5.secs()),
        within(30.mins()),
        || async move { Ok(owned.find(cx, &[]).await?.is_none()) },
    )
    .await?;
    // The wait may have ended in an earlier run, and "gone" is only what this one has read.
    match owned.find(cx, &[]).await? {
        None => Ok(Ended::Gone),
        Some(site) => Err(Fault::panel_bug(format!("{} was gone and is there again", site.label()))),
    }
}

/// Suspends the site and says when the panel's own clean-up will delete it.
async fn hold(cx: &Cx, owned: Owned<'_>) -> Result<Ended, Fault> {
    cx.progress(10, "suspending the site until the panel deletes it");
    cx.step("hold")
        .ensure(|send| async move {
            let Some(site) = owned.find(cx, &[]).await? else { return Ok(()) };
            let off = Switch::Off(Some("terminated"));
            if off.is_so(&site) {
                return Ok(());
            }
            let (operation, request) = off.request(owned.panel, &site.key)?;
            call::accepted(&send.call(request).await?, operation)
        })
        .await?;
    let kept_ms = u64::from(owned.product.retain_days) * DAY_MS;
    let ends_at = cx.step("ends_at").record(|| async move { Ok(cx.now().await? + kept_ms) }).await?;
    Ok(match owned.find(cx, &[]).await? {
        None => Ended::Gone,
        Some(_) => Ended::EndsAt(ends_at),
    })
}
