//! `suspend`, `unsuspend`, `renew` and `terminate`.

use crate::panel::Owned;
use crate::server::Server;
use crate::settings::Product;
use crate::{VirtFusion, api, fault, panel};
use billhook_plugin_api::{Change, Cx, Ended, Fault, Request, Settle, Terminate, Texts, Time, every, within};
use serde::{Deserialize, Serialize};

/// The two ways to switch a server.
#[derive(Clone, Copy)]
pub enum Switch {
    /// Suspended.
    Off,
    /// In use.
    On,
}

impl Switch {
    fn request(self, id: u64) -> Request {
        match self {
            Self::Off => api::suspend(id),
            Self::On => api::unsuspend(id),
        }
    }

    fn is_so(self, server: &Server) -> bool {
        match self {
            Self::Off => server.suspended,
            Self::On => !server.suspended,
        }
    }

    /// The name of the wait.
    fn wait(self) -> &'static str {
        match self {
            Self::Off => "suspended",
            Self::On => "unsuspended",
        }
    }
}

/// What became of a switch.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Switched {
    /// It was so before.
    Already,
    /// A read shows it.
    Now,
    /// Accepted, behind other work of the panel.
    Later,
}

/// The panel knows no paid period, so that there is nothing to carry to it; but the server must still be there.
pub async fn renew(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    if owned.product.unsuspend_on_renew {
        return switch(cx, owned, Switch::On).await;
    }
    let server = owned.read(cx).await?;
    let staff = server.suspended.then(|| "the server is suspended on the panel".to_owned());
    Ok(Change { message: Texts { staff, customer: None }, ..Change::noop() })
}

/// Deletes the server, at once or after the product's delay.
pub async fn terminate(panel: &VirtFusion, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
    let Terminate { service, product } = request;
    product.check()?;
    let owned = Owned::new(panel, &service, &product)?;
    let id = owned.id;
    cx.progress(10, "deleting the server");
    delete(cx, "delete", id, product.terminate_delay_min, &|server| owned.check(server)).await?;

    if product.terminate_delay_min > 0 {
        let delay_ms = u64::from(product.terminate_delay_min) * 60_000;
        let ends_at = cx.step("ends_at").record(|| async move { Ok(cx.now().await? + delay_ms) }).await?;
        return Ok(match panel::find_server(cx, id).await? {
            None => Ended::Gone,
            Some(_) => Ended::EndsAt(ends_at),
        });
    }
    cx.progress(50, "waiting until the panel has deleted it");
    // Not skipped even if it is gone at once: a later run would then not come to a wait that an earlier one began.
    cx.wait_until("gone", every(5.secs()), within(30.mins()), || async move {
        Ok(panel::find_server(cx, id).await?.is_none())
    })
    .await?;
    // The wait may have ended in an earlier run, and "gone" is only what this one has read.
    match panel::find_server(cx, id).await? {
        None => Ok(Ended::Gone),
        Some(_) => Err(Fault::panel_bug(format!("server {id} was gone and is there again"))),
    }
}

/// May refuse a server that was just read.
pub type Check<'a> = &'a (dyn Fn(&Server) -> Result<(), Fault> + Send + Sync);

/// The step that deletes a server; one that is gone in the panel's words needs no more.
pub async fn delete(cx: &Cx, step: &'static str, id: u64, delay_min: u32, check: Check<'_>) -> Result<(), Fault> {
    // Ids are never given twice: a late second sending meets nothing, and the panel refuses it.
    cx.step(step)
        .settle(Settle { refuses_twice: true, ..Settle::default() })
        .ensure(|send| async move {
            let Some(server) = panel::find_server(cx, id).await? else { return Ok(()) };
            check(&server)?;
            let reply = send.call(api::delete(id, delay_min)).await?;
            if fault::is_gone(&reply) { Ok(()) } else { api::accepted(&reply) }
        })
        .await
}

/// Switches the server, if a read says that it is not so already.
///
/// All is read within the convergent change: its result is stored before a wait, so that a run that comes back from the
/// wait takes the same way, whatever the panel shows by then.
pub async fn switch(cx: &Cx, owned: Owned<'_>, to: Switch) -> Result<Change, Fault> {
    let id = owned.id;
    let switched = cx
        .converge(|send| async move {
            if to.is_so(&owned.read(cx).await?) {
                return Ok(Switched::Already);
            }
            api::accepted(&send.call(to.request(id)).await?)?;
            Ok(if to.is_so(&panel::server(cx, id).await?) { Switched::Now } else { Switched::Later })
        })
        .await?;
    match switched {
        Switched::Already => return Ok(Change::noop()),
        Switched::Now => {}
        Switched::Later => {
            cx.progress(50, "accepted; the panel has other work first");
            cx.wait_until(to.wait(), every(5.secs()), within(10.mins()), || async move {
                Ok(to.is_so(&panel::server(cx, id).await?))
            })
            .await?;
        }
    }
    Ok(Change::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Machine, Stage};
    use billhook_plugin_api::testing::{Ended as Run, ScriptedHost};
    use billhook_plugin_api::{FaultClass, PaidUntil, Provider, Renew, Service, Suspend, Unsuspend};
    use serde_json::json;

    fn off(host: &ScriptedHost) -> Run<Change> {
        let request = Suspend { service: stage::service(), product: stage::product(json!({})), reason: None };
        host.run(async |cx| stage::provider().suspend(cx, request).await)
    }

    fn on(host: &ScriptedHost) -> Run<Change> {
        let request = Unsuspend { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().unsuspend(cx, request).await)
    }

    fn renewed(host: &ScriptedHost, more: serde_json::Value) -> Run<Change> {
        let paid_until = PaidUntil { from: "2026-01-01".into(), to: "2026-02-01".into() };
        let request = Renew { service: stage::service(), product: stage::product(more), paid_until };
        host.run(async |cx| stage::provider().renew(cx, request).await)
    }

    fn ended(host: &ScriptedHost, more: serde_json::Value) -> Run<Ended> {
        host.run(async |cx| stage::provider().terminate(cx, stage::terminate(more)).await)
    }

    fn class<T: std::fmt::Debug>(run: Run<T>) -> FaultClass {
        match run {
            Run::Fault(fault) => fault.class,
            other => panic!("{other:?}"),
        }
    }

    fn active() -> Machine {
        Machine::complete(300)
    }

    fn suspended() -> Machine {
        Machine { suspended: true, ..active() }
    }

    #[test]
    fn a_switch_is_made_once_and_then_nothing_is_to_change() {
        for slowness in [0, 3] {
            let stage = Stage::with(active());
            stage.world().slowness = slowness;
            let host = stage.host();

            assert_eq!(off(&host), Run::Ok(Change::done()));
            host.next_operation();
            assert_eq!(off(&host), Run::Ok(Change::noop()));
            assert!(stage.world().machines[&7_000].suspended);
            host.next_operation();
            assert_eq!(on(&host), Run::Ok(Change::done()));
            host.next_operation();
            assert_eq!(on(&host), Run::Ok(Change::noop()));
            assert!(!stage.world().machines[&7_000].suspended);
            assert_eq!(host.changes(), ["POST /servers/7000/suspend", "POST /servers/7000/unsuspend"]);
        }
    }

    #[test]
    fn a_switch_has_no_body_and_no_content_type() {
        let host = Stage::with(active()).host();
        assert_eq!(off(&host), Run::Ok(Change::done()));

        let (request, _) = host.exchanges().into_iter().find(|(_, is_change)| *is_change).unwrap();

        assert_eq!((request.body.len(), request.headers), (0, vec![("Accept".into(), "application/json".into())]));
    }

    #[test]
    fn a_lost_switch_is_settled_by_reading() {
        for is_done in [false, true] {
            let stage = Stage::with(active());
            stage.breaks("POST /servers/7000/suspend", Break::Lost { done: is_done });
            let host = stage.host();

            assert_eq!(class(off(&host)), FaultClass::InDoubt);
            let expected = if is_done { Change::noop() } else { Change::done() };

            assert_eq!(off(&host), Run::Ok(expected));
            assert!(stage.world().machines[&7_000].suspended);
        }
    }

    #[test]
    fn a_page_is_no_success_of_a_switch() {
        let stage = Stage::with(active());
        stage.breaks("POST /servers/7000/suspend", Break::Page { done: false, status: 200 });
        let host = stage.host();

        assert_eq!(class(off(&host)), FaultClass::InDoubt);
        assert!(!stage.world().machines[&7_000].suspended);
    }

    #[test]
    fn what_the_panel_puts_off_is_busy() {
        for (call, status) in [
            ("POST /servers/7000/unsuspend", 409),
            ("POST /servers/7000/unsuspend", 423),
            ("POST /servers/7000/unsuspend", 503),
        ] {
            let stage = Stage::with(suspended());
            stage.breaks(
                call,
                Break::Says {
                    done: false,
                    status,
                    body: r#"{"msg":"suspend action is currently scheduled or failed"}"#,
                },
            );

            assert_eq!(class(on(&stage.host())), FaultClass::ConflictBusy, "{status}");
        }
    }

    #[test]
    fn somebody_elses_server_is_not_touched() {
        let stranger = Machine { owner: 301, more: json!({ "owner": { "extRelationId": 43 } }), ..active() };
        let stage = Stage::with(stranger);
        let host = stage.host();

        assert_eq!(class(off(&host)), FaultClass::NotFound);
        assert_eq!(class(on(&host)), FaultClass::NotFound);
        assert_eq!(class(ended(&host, json!({}))), FaultClass::NotFound);
        assert_eq!(class(renewed(&host, json!({ "unsuspend_on_renew": true }))), FaultClass::NotFound);
        assert!(host.changes().is_empty());
    }

    #[test]
    fn a_missing_server_cannot_be_switched() {
        let host = Stage::new().host();
        assert_eq!(class(off(&host)), FaultClass::NotFound);
        assert_eq!(class(on(&host)), FaultClass::NotFound);
        assert_eq!(class(renewed(&host, json!({}))), FaultClass::NotFound);
    }

    #[test]
    fn a_service_without_a_server_id_reads_nothing() {
        for (remote_id, expected) in [(None, FaultClass::NotFound), (Some("uuid-7"), FaultClass::InvalidInput)] {
            let host = Stage::new().host();
            let service = Service { remote_id: remote_id.map(str::to_owned), ..stage::service() };
            let request = Terminate { service, product: stage::product(json!({})) };

            let run = host.run(async |cx| stage::provider().terminate(cx, request).await);

            assert_eq!(class(run), expected);
            assert!(host.exchanges().is_empty());
        }
    }

    #[test]
    fn a_renewal_reads_and_switches_only_where_the_product_says_so() {
        let (yes, no) = (json!({ "unsuspend_on_renew": true }), json!({}));
        for (machine, more, expected, changes) in [
            (active(), no.clone(), (true, false), 0),
            (active(), yes.clone(), (true, false), 0),
            (suspended(), no, (true, true), 0),
            (suspended(), yes, (false, false), 1),
        ] {
            let host = Stage::with(machine).host();

            let Run::Ok(change) = renewed(&host, more) else { panic!() };

            assert_eq!((change.noop, change.message.staff.is_some()), expected);
            assert_eq!(host.changes().len(), changes);
        }
    }

    #[test]
    fn a_terminate_ends_when_the_panel_says_gone() {
        for slowness in [0, 4] {
            let stage = Stage::with(active());
            stage.world().slowness = slowness;
            let host = stage.host();

            assert_eq!(ended(&host, json!({})), Run::Ok(Ended::Gone));
            assert!(stage.world().machines.is_empty(), "gone is what the panel says");
            assert_eq!(ended(&host, json!({})), Run::Ok(Ended::Gone));
            assert_eq!(host.changes(), ["DELETE /servers/7000"]);
        }
    }

    #[test]
    fn the_delay_is_always_sent() {
        for (more, expected) in [(json!({}), "0"), (json!({ "terminate_delay_min": 1440 }), "1440")] {
            let host = Stage::with(active()).host();
            ended(&host, more);

            let (request, _) = host.exchanges().into_iter().find(|(request, _)| request.method == "DELETE").unwrap();

            assert_eq!(request.query, [("delay".to_owned(), expected.to_owned())]);
        }
    }

    #[test]
    fn a_delayed_terminate_says_when_and_says_the_same_again() {
        let stage = Stage::with(active());
        stage.world().slowness = 99;
        let host = stage.host();
        let more = json!({ "terminate_delay_min": 60 });

        let first = ended(&host, more.clone());

        assert_eq!(first, Run::Ok(Ended::EndsAt(1_800_000_000_000 + 3_600_000)));
        assert_eq!(ended(&host, more), first);
        assert_eq!(host.changes(), ["DELETE /servers/7000"]);
    }

    #[test]
    fn the_already_gone_needs_no_delete() {
        let host = Stage::new().host();
        assert_eq!(ended(&host, json!({})), Run::Ok(Ended::Gone));
        assert!(host.changes().is_empty());
    }

    #[test]
    fn a_page_is_never_read_as_gone() {
        for status in [200, 302, 404] {
            for at in ["GET /servers/7000", "DELETE /servers/7000"] {
                let stage = Stage::with(active());
                stage.breaks(at, Break::Page { done: false, status });
                let host = stage.host();

                assert!(!matches!(ended(&host, json!({})), Run::Ok(_)), "{at} {status}");
                assert_eq!(stage.world().machines.len(), 1, "{at} {status}");
                assert_eq!(ended(&host, json!({})), Run::Ok(Ended::Gone), "{at} {status}");
            }
        }
    }

    #[test]
    fn a_lost_delete_is_settled_by_reading() {
        for (is_done, deletes) in [(false, 2), (true, 1)] {
            let stage = Stage::with(active());
            stage.breaks("DELETE /servers/7000", Break::Lost { done: is_done });
            let host = stage.host();

            assert_eq!(ended(&host, json!({})), Run::Settling("delete".into()));
            assert_eq!(ended(&host, json!({})), Run::Ok(Ended::Gone));
            assert_eq!(host.changes().len(), deletes);
        }
    }

    #[test]
    fn a_locked_server_is_deleted_later() {
        let stage = Stage::with(active());
        stage.breaks(
            "DELETE /servers/7000",
            Break::Says { done: false, status: 423, body: r#"{"msg":"do not disturb mode is active"}"# },
        );
        let host = stage.host();

        assert_eq!(class(ended(&host, json!({}))), FaultClass::ConflictBusy);
        assert_eq!(ended(&host, json!({})), Run::Ok(Ended::Gone));
    }
}
