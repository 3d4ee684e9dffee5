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
    panel::effect(cx, "delete", &|send| {
        Box::pin(async move {
            let Some(site) = owned.find(cx, &[]).await? else { return Ok(false) };
            let flags = vec![("force".to_owned(), Param::Bool(true))];
            let reply = send.call(owned.panel.caller.delete(&site.key, flags)?).await?;
            match call::accepted(&reply, api::DELETE) {
                Err(fault) if panel::is_gone(&fault) => Ok(true),
                other => other.map(|()| true),
            }
        })
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
    panel::effect(cx, "hold", &|send| {
        Box::pin(async move {
            let Some(site) = owned.find(cx, &[]).await? else { return Ok(false) };
            let off = Switch::Off(Some("terminated"));
            if off.is_so(&site) {
                return Ok(false);
            }
            let (operation, request) = off.request(owned.panel, &site.key)?;
            call::accepted(&send.call(request).await?, operation)?;
            Ok(true)
        })
    })
    .await?;
    let kept_ms = u64::from(owned.product.retain_days) * DAY_MS;
    let ends_at = cx.step("ends_at").record(|| async move { Ok(cx.now().await? + kept_ms) }).await?;
    Ok(match owned.find(cx, &[]).await? {
        None => Ended::Gone,
        Some(_) => Ended::EndsAt(ends_at),
    })
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Site as Row, Stage, calls, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended as Run, ScriptedHost};
    use billhook_plugin_api::{PaidUntil, Provider, Renew, Service, Suspend, Unsuspend};
    use serde_json::{Value, json};

    fn off(host: &ScriptedHost) -> Run<Change> {
        let request = Suspend {
            service: stage::service(),
            product: stage::product(json!({})),
            reason: Some("# overdue\n".into()),
        };
        host.run(async |cx| stage::provider().suspend(cx, request).await)
    }

    fn on(host: &ScriptedHost) -> Run<Change> {
        let request = Unsuspend { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().unsuspend(cx, request).await)
    }

    fn renewed(host: &ScriptedHost) -> Run<Change> {
        let paid_until = PaidUntil { from: "2026-01-01".into(), to: "2026-02-01".into() };
        let request = Renew { service: stage::service(), product: stage::product(json!({})), paid_until };
        host.run(async |cx| stage::provider().renew(cx, request).await)
    }

    fn ended(host: &ScriptedHost, more: Value) -> Run<Ended> {
        ended_of(host, more, stage::service())
    }

    fn ended_of(host: &ScriptedHost, more: Value, service: Service) -> Run<Ended> {
        let request = Terminate { service, product: stage::product(more) };
        host.run(async |cx| stage::provider().terminate(cx, request).await)
    }

    /// The stranger's site is as it was.
    fn assert_stranger(stage: &Stage) {
        let stranger = Row::of("stranger.example", "stranger", Some("other-1"), None);
        assert_eq!(stage.world().sites.get(&11), Some(&stranger));
    }

    #[test]
    fn a_switch_is_made_once_and_then_nothing_is_to_change() {
        let stage = Stage::with_site();
        let host = stage.host();

        assert!(!ok(off(&host)).noop);
        assert_eq!(stage.site().inactive.as_deref(), Some("overdue [billhook]"));
        host.next_operation();
        assert!(ok(off(&host)).noop);
        host.next_operation();
        assert!(!ok(on(&host)).noop);
        assert_eq!(stage.site().inactive, None);
        host.next_operation();
        assert!(ok(on(&host)).noop);
        assert_eq!(changes(&host), ["admin_deactivate_site", "admin_activate_site"]);
        assert_stranger(&stage);
    }

    #[test]
    fn a_switch_that_breaks_anywhere_is_made() {
        for how in BREAKS {
            let stage = Stage::with_site();
            stage.breaks("admin_deactivate_site", how);
            stage.breaks("admin_activate_site", how);
            let host = stage.host();

            ok(to_end(|| off(&host)));
            assert!(stage.site().inactive.is_some(), "{how:?}");
            host.next_operation();
            ok(to_end(|| on(&host)));
            assert!(stage.site().inactive.is_none(), "{how:?}");
            assert_stranger(&stage);
        }
    }

    #[test]
    fn a_switch_that_the_panel_only_claims_is_no_success() {
        let stage = Stage::with_site();
        stage.world().hides_active = true;
        assert_eq!(fault(off(&stage.host())).class, FaultClass::InDoubt);
    }

    #[test]
    fn a_reason_is_one_line_that_is_shown() {
        let long = "x".repeat(500);
        for (why, expected) in [
            (None, "suspended by billing [billhook]".to_owned()),
            (Some(""), "suspended by billing [billhook]".to_owned()),
            (Some(" ;# a\nb\r\0c "), "a b  c [billhook]".to_owned()),
            (Some(&long), format!("{} [billhook]", "x".repeat(MAX_REASON))),
        ] {
            assert_eq!(reason(why), expected);
        }
    }

    #[test]
    fn a_renewal_looks_and_changes_nothing() {
        let stage = Stage::with_site();
        let host = stage.host();
        assert_eq!(ok(renewed(&host)), Change::noop());
        stage.world().sites.get_mut(&12).unwrap().inactive = Some("x".into());
        assert!(ok(renewed(&host)).message.staff.is_some());
        stage.world().sites.remove(&12);
        assert_eq!(fault(renewed(&host)).class, FaultClass::NotFound);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn a_terminate_ends_when_the_panel_shows_the_site_no_more() {
        for slowness in [0, 4] {
            let stage = Stage::with_site();
            stage.world().slowness = slowness;
            let host = stage.host();

            assert_eq!(ok(ended(&host, json!({}))), Ended::Gone);
            assert_eq!(stage.world().sites.keys().copied().collect::<Vec<_>>(), [11]);
            host.next_operation();
            assert_eq!(ok(ended(&host, json!({}))), Ended::Gone);
            assert_eq!(changes(&host), ["admin_delete_site"]);
            assert!(host.steps().iter().all(|step| !step.settle.refuses_twice));
        }
    }

    #[test]
    fn a_terminate_that_breaks_anywhere_deletes_the_one_site() {
        for how in BREAKS {
            let stage = Stage::with_site();
            stage.breaks("admin_delete_site", how);
            let host = stage.host();

            assert_eq!(ok(to_end(|| ended(&host, json!({})))), Ended::Gone, "{how:?}");
            assert_eq!(stage.world().sites.len(), 1, "{how:?}");
            assert_stranger(&stage);
        }
    }

    #[test]
    fn a_repeated_terminate_never_touches_the_next_customer() {
        let next = |domain: &str, alias: &str, invoice: &str| Row {
            aliases: vec![alias.to_owned()],
            ..Row::of(domain, "next", Some(invoice), None)
        };
        for (id, row, expected) in [
            // The id was given again.
            (12, next("next.example", "x.example", "other-2"), None),
            (12, next("a.example", "x.example", "other-2"), None),
            // The domain was attached to, or ordered by, somebody else.
            (14, next("next.example", "a.example", "other-2"), Some(Ended::Gone)),
            (14, next("a.example", "x.example", "other-2"), Some(Ended::Gone)),
        ] {
            let stage = Stage::new();
            stage.world().sites.insert(id, row.clone());
            let host = stage.host();
            let service = stage::service();

            match (ended_of(&host, json!({}), service.clone()), expected) {
                (Run::Ok(ended), Some(expected)) => assert_eq!(ended, expected),
                (Run::Fault(fault), None) => {
                    assert_eq!(fault.class, FaultClass::NotFound);
                    assert!(fault.staff.contains("not this service's"), "{fault}");
                }
                other => panic!("{id}: {other:?}"),
            }
            let request = Suspend { service, product: stage::product(json!({})), reason: None };
            fault(host.run(async |cx| stage::provider().suspend(cx, request).await));
            assert_eq!((stage.world().sites.get(&id), changes(&host).len()), (Some(&row), 0));
        }
    }

    #[test]
    fn a_page_is_never_read_as_gone() {
        for how in [
            Break::Page { done: false, status: 200 },
            Break::Page { done: false, status: 404 },
            Break::Cut { done: false },
            Break::Null { done: false },
            Break::False { done: false },
        ] {
            let stage = Stage::with_site();
            stage.breaks("admin_collect", how);
            let host = stage.host();
            let first = ended(&host, json!({}));
            assert!(!matches!(first, Run::Ok(Ended::Gone)) || stage.world().sites.len() == 1, "{how:?} {first:?}");
        }
    }

    #[test]
    fn a_site_can_be_held_instead_and_the_end_is_told() {
        for how in BREAKS.map(Some).into_iter().chain([None]) {
            let stage = Stage::with_site();
            if let Some(how) = how {
                stage.breaks("admin_deactivate_site", how);
            }
            let host = stage.host();
            let more = json!({ "terminate": "suspend", "retain_days": 2 });

            let first = ok(to_end(|| ended(&host, more.clone())));

            assert_eq!(first, Ended::EndsAt(1_800_000_000_000 + 2 * DAY_MS), "{how:?}");
            assert_eq!(ok(ended(&host, more.clone())), first);
            assert_eq!(stage.site().inactive.as_deref(), Some("terminated [billhook]"));
            stage.world().sites.remove(&12);
            assert_eq!(ok(ended(&host, more)), Ended::Gone);
        }
    }

    #[test]
    fn a_service_without_a_site_reads_nothing() {
        for (remote, expected) in [
            (None, FaultClass::NotFound),
            (Some("12"), FaultClass::InvalidInput),
            (Some("a.example"), FaultClass::InvalidInput),
        ] {
            let host = Stage::with_site().host();
            let service = Service { remote_id: remote.map(str::to_owned), ..stage::service() };
            assert_eq!(fault(ended_of(&host, json!({}), service)).class, expected);
            assert!(calls(&host).is_empty());
        }
    }

    #[test]
    fn rows_that_are_keyed_by_domain_are_the_same_sites() {
        let stage = Stage::with_site();
        stage.world().keys_by_domain = true;
        let host = stage.host();

        assert_eq!(ok(ended(&host, json!({}))), Ended::Gone);

        let body = host.exchanges().into_iter().find(|(_, is_change)| *is_change).unwrap().0.body;
        assert!(String::from_utf8(body).unwrap().contains("<site xsi:type=\"xsd:string\">site12</site>"));
        assert_eq!(stage.world().sites.len(), 1);
    }
}
