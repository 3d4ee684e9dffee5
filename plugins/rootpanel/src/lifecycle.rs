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
