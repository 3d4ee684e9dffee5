//! `suspend`, `unsuspend` and `terminate`.

use crate::codes;
use crate::command::Command;
use crate::envelope;
use crate::order::{Order, State};
use crate::settings::{Id, OnTerminate, Product};
use crate::{RootPanel, panel};
use billhook_plugin_api::{Change, Cx, Ended, Fault, Suspend, Terminate, Time, Unsuspend, every, within};
use serde::{Deserialize, Serialize};

/// The two ways to switch an order.
#[derive(Clone, Copy)]
enum Switch {
    Off,
    On,
}

impl Switch {
    const fn command(self) -> Command {
        match self {
            Self::Off => Command::SuspendOrder,
            Self::On => Command::UnSuspendOrder,
        }
    }

    fn is_so(self, order: &Order) -> bool {
        match self {
            Self::Off => order.state == State::Suspended,
            Self::On => order.state == State::Active,
        }
    }

    /// The code that says that it is so already.
    const fn already(self) -> i64 {
        match self {
            Self::Off => codes::SUSPENDED,
            Self::On => codes::RUNNING,
        }
    }

    /// The name of the wait.
    const fn wait(self) -> &'static str {
        match self {
            Self::Off => "suspended",
            Self::On => "unsuspended",
        }
    }
}

/// What became of a switch.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Switched {
    /// It was so before.
    Already,
    /// A read shows it.
    Now,
    /// Accepted, and no read shows it yet.
    Later,
    /// Accepted, for somebody to carry out.
    Pending(String),
}

/// Suspends the order.
pub async fn suspend(panel: &RootPanel, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
    let id = panel::order_id(&request.service)?;
    switch(panel, cx, &id, Switch::Off).await
}

/// Starts the order again.
pub async fn unsuspend(panel: &RootPanel, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
    let id = panel::order_id(&request.service)?;
    switch(panel, cx, &id, Switch::On).await
}

/// Suspends the order, which then ends by itself: the panel has no command that deletes one, and it is never renewed by itself.
pub async fn terminate(panel: &RootPanel, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
    if request.product.terminate == OnTerminate::Unsupported {
        return Err(Fault::unsupported(
            "terminate: the panel deletes no orders, and the product has `terminate` unsupported",
        ));
    }
    let id = panel::order_id(&request.service)?;
    // All is read within the change, as with a switch, so that a run that comes back from the wait takes the same way.
    let is_there = cx
        .converge(|send| async {
            match panel::find_order(panel, cx, &id).await? {
                None => Ok(None),
                Some(order) => match switch_once(panel, cx, &order, Switch::Off, send).await {
                    // What is overdue ends without being suspended.
                    Err(fault) if codes::is(&fault, &codes::OVERDUE) => Ok(Some(Switched::Now)),
                    switched => switched.map(Some),
                },
            }
        })
        .await?;
    if let Some(Switched::Later) = is_there {
        wait(panel, cx, &id, Switch::Off).await?;
    }
    let Some(order) = panel::find_order(panel, cx, &id).await? else { return Ok(Ended::Gone) };
    let now = cx.now().await?;
    Ok(Ended::EndsAt(order.ends_at(now).unwrap_or_else(|| {
        cx.note(format!("the panel does not say until when the order {id} is paid; it is looked at from now on"));
        now
    })))
}

async fn switch(panel: &RootPanel, cx: &Cx, id: &Id, to: Switch) -> Result<Change, Fault> {
    let switched = cx
        .converge(|send| async { switch_once(panel, cx, &panel::order(panel, cx, id).await?, to, send).await })
        .await?;
    match switched {
        Switched::Already => return Ok(Change::noop()),
        Switched::Now => {}
        Switched::Later => wait(panel, cx, id, to).await?,
        Switched::Pending(pending) => return Ok(Change { pending: Some(pending), ..Change::done() }),
    }
    Ok(Change::done())
}

/// Switches the order, if it is not so already.
async fn switch_once(
    panel: &RootPanel,
    cx: &Cx,
    order: &Order,
    to: Switch,
    send: billhook_plugin_api::SendHandle,
) -> Result<Switched, Fault> {
    if to.is_so(order) {
        return Ok(Switched::Already);
    }
    let reply = send.call(panel.caller.of_order(to.command(), &order.id)).await?;
    match envelope::read(&reply, to.command()) {
        Ok(answer) => {
            if let Some(pending) = answer.pending(to.command()) {
                return Ok(Switched::Pending(pending));
            }
        }
        Err(fault) if codes::is(&fault, &[to.already()]) => {}
        Err(fault) => return Err(fault),
    }
    Ok(if to.is_so(&panel::order(panel, cx, &order.id).await?) { Switched::Now } else { Switched::Later })
}

async fn wait(panel: &RootPanel, cx: &Cx, id: &Id, to: Switch) -> Result<(), Fault> {
    cx.progress(50, "accepted; the panel has not carried it out yet");
    cx.wait_until(to.wait(), every(15.secs()), within(10.mins()), || async move {
        Ok(to.is_so(&panel::order(panel, cx, id).await?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Later, Row, Stage, changes};
    use billhook_plugin_api::testing::{Ended as Run, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Provider};
    use serde_json::{Value, json};

    fn off(host: &ScriptedHost) -> Run<Change> {
        let request = Suspend { service: stage::service(), product: stage::product(json!({})), reason: None };
        host.run(async |cx| stage::provider().suspend(cx, request).await)
    }

    fn on(host: &ScriptedHost) -> Run<Change> {
        let request = Unsuspend { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().unsuspend(cx, request).await)
    }

    fn ended(host: &ScriptedHost, more: Value) -> Run<Ended> {
        let request = Terminate { service: stage::service(), product: stage::product(more) };
        host.run(async |cx| stage::provider().terminate(cx, request).await)
    }

    fn row(state: i64) -> Row {
        Row { state, ..Row::active() }
    }

    fn error(code: &'static str) -> Break {
        Break::Says { done: false, body: code }
    }

    #[test]
    fn a_switch_is_sent_once_and_the_already_so_is_read() {
        let stage = Stage::with(row(1));
        let host = stage.host();
        assert_eq!(off(&host), Run::Ok(Change::done()));
        assert_eq!(off(&host), Run::Ok(Change::noop()));
        assert_eq!(stage.world().orders[&50_100].state, 2);
        assert_eq!(on(&host), Run::Ok(Change::done()));
        assert_eq!(on(&host), Run::Ok(Change::noop()));
        assert_eq!(stage.world().orders[&50_100].state, 1);
        assert_eq!(changes(&host), ["suspendOrder", "unSuspendOrder"]);
    }

    #[test]
    fn a_slow_switch_is_waited_for_and_not_sent_again() {
        let stage = Stage::with(row(1));
        stage.world().slowness = 4;
        let host = stage.host();
        assert_eq!(off(&host), Run::Ok(Change::done()));
        assert_eq!(stage.world().orders[&50_100].state, 2);
        assert_eq!(changes(&host), ["suspendOrder"]);
    }

    #[test]
    fn a_switch_that_somebody_else_made_meanwhile_is_done() {
        let stage = Stage::with(row(1));
        stage.breaks("suspendOrder", Break::Says { done: true, body: r#"{"status":"ERROR","errorCode":21}"# });
        assert_eq!(off(&stage.host()), Run::Ok(Change::done()));

        let stage = Stage::with(row(2));
        stage.breaks("unSuspendOrder", Break::Says { done: true, body: r#"{"status":"ERROR","errorCode":"22"}"# });
        assert_eq!(on(&stage.host()), Run::Ok(Change::done()));
    }

    #[test]
    fn every_break_of_a_switch_ends_in_the_state_that_was_asked_for() {
        for how in [
            Break::NeverLeft,
            Break::Lost { done: false },
            Break::Lost { done: true },
            Break::Page { done: true, status: 200 },
            Break::Page { done: false, status: 500 },
            error(r#"{"status":"ERROR","errorCode":1}"#),
            error(r#"{"status":"ERROR","errorCode":55}"#),
        ] {
            for call in ["suspendOrder", "getOrders"] {
                let stage = Stage::with(row(1));
                stage.breaks(call, how.clone());
                let host = stage.host();

                let Run::Fault(fault) = off(&host) else { panic!("{call} {how:?}") };
                assert!(fault.class.passes_by_itself(), "{call} {how:?}: {fault}");
                assert!(matches!(off(&host), Run::Ok(_)), "{call} {how:?}");
                assert_eq!(stage.world().orders[&50_100].state, 2);
            }
        }
    }

    #[test]
    fn what_must_be_renewed_first_says_so_to_the_customer() {
        for body in [r#"{"status":"ERROR","errorCode":23}"#, r#"{"status":"ERROR","errorCode":53}"#] {
            let stage = Stage::with(row(2));
            stage.breaks("unSuspendOrder", error(body));
            let Run::Fault(fault) = on(&stage.host()) else { panic!() };
            assert_eq!((fault.class, fault.refused), (FaultClass::InvalidInput, true));
            assert!(fault.customer.as_ref().unwrap().contains("renewed"));
        }
    }

    #[test]
    fn a_switch_for_staff_is_pending() {
        let stage = Stage::with(row(1));
        stage.world().later = Some(Later { code: 30, ..Later::default() });
        let Run::Ok(change) = off(&stage.host()) else { panic!() };
        assert!(change.pending.unwrap().contains("staff"));
    }

    #[test]
    fn a_terminate_suspends_and_names_the_end() {
        let ends_at = 1_000 * (1_800_000_000 + 20 * 86_400);
        for (state, sent) in [(1, &["suspendOrder"][..]), (2, &[])] {
            let stage = Stage::with(row(state));
            let host = stage.host();
            assert_eq!(ended(&host, json!({})), Run::Ok(Ended::EndsAt(ends_at)));
            assert_eq!(ended(&host, json!({})), Run::Ok(Ended::EndsAt(ends_at)));
            assert_eq!(changes(&host), sent);
        }
    }

    #[test]
    fn a_terminate_of_what_is_gone_is_gone_and_of_what_is_overdue_goes_on() {
        assert_eq!(ended(&Stage::new().host(), json!({})), Run::Ok(Ended::Gone));

        let stage = Stage::with(row(1));
        stage.breaks("suspendOrder", error(r#"{"status":"ERROR","errorCode":23}"#));
        assert!(matches!(ended(&stage.host(), json!({})), Run::Ok(Ended::EndsAt(_))));
    }

    #[test]
    fn a_terminate_is_refused_where_the_product_says_so() {
        let stage = Stage::with(row(1));
        let host = stage.host();
        let Run::Fault(fault) = ended(&host, json!({ "terminate": "unsupported" })) else { panic!() };
        assert_eq!(fault.class, FaultClass::Unsupported);
        assert_eq!(host.exchanges().len(), 0);
    }

    #[test]
    fn a_page_never_says_that_an_order_is_gone() {
        let stage = Stage::with(row(1));
        stage.breaks("getOrders", Break::Page { done: false, status: 404 });
        let Run::Fault(fault) = ended(&stage.host(), json!({})) else { panic!() };
        assert_eq!(fault.class, FaultClass::InDoubt);
    }

    #[test]
    fn an_order_that_is_not_there_cannot_be_switched() {
        let host = Stage::new().host();
        let Run::Fault(fault) = off(&host) else { panic!() };
        assert_eq!((fault.class, changes(&host).len()), (FaultClass::NotFound, 0));
    }
}
