//! `power`: the state of the machine. The panel answers when it is reached, or after many minutes.

use crate::api::machines::{self, Item};
use crate::panel::{self, Doing, Owned};
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Find, PowerAction, Settle, Time, every, within};
use serde::{Deserialize, Serialize};

/// Starts, stops, shuts down, reboots or resets the machine.
pub async fn run(cx: &Cx, owned: Owned<'_>, action: PowerAction) -> Result<Change, Fault> {
    match action {
        PowerAction::Start => switch(cx, owned, "Start", "Running").await,
        PowerAction::Stop => switch(cx, owned, "TurnOff", "Off").await,
        PowerAction::Shutdown => switch(cx, owned, "ShutDown", "Off").await,
        PowerAction::Reboot => restart(cx, owned, "Reboot").await,
        PowerAction::Reset => restart(cx, owned, "Reset").await,
    }
}

/// What became of a call that sets a state.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Switched {
    item: i64,
    is_sent: bool,
}

/// Brings the machine to a state, unless a read shows it there.
///
/// All is read within the convergent change, so that a run that comes back from the wait takes the same way.
async fn switch(cx: &Cx, owned: Owned<'_>, call: &'static str, state: &'static str) -> Result<Change, Fault> {
    let switched: Switched = cx
        .converge(|send| async move {
            owned.active(cx).await?;
            let (item, _) = machine(cx, owned).await?;
            let now = panel::find_details(cx, item.id).await?.map(|details| details.state).unwrap_or_default();
            if now == state {
                return Ok(Switched { item: item.id, is_sent: false });
            }
            // A machine that stands still, in memory or on disk, is not started but goes on.
            let call = match (call, now.as_str()) {
                ("Start", "Paused") => "Resume",
                (call, _) => call,
            };
            machines::set_state_reply(&send.call(machines::set_state(item.id, call)?).await?)?;
            Ok(Switched { item: item.id, is_sent: true })
        })
        .await?;
    if !switched.is_sent {
        return Ok(Change::noop());
    }
    cx.progress(60, "the panel has done it; reading the state");
    wait_for(cx, switched.item, state).await?;
    Ok(Change::done())
}

/// The machine, at which nothing else may be under way, with its uptime.
async fn machine(cx: &Cx, owned: Owned<'_>) -> Result<(Item, i64), Fault> {
    let id = owned.item_id(cx).await?;
    let missing = || Fault::not_found(format!("the panel has no machine {id} any more"));
    let item = panel::find_item(cx, id).await?.ok_or_else(missing)?;
    panel::idle(&item)?;
    Ok((item, id))
}

fn wait_for<'f>(cx: &'f Cx, item: i64, state: &'static str) -> Doing<'f, ()> {
    Box::pin(async move {
        cx.wait_until("state", every(5.secs()), within(15.mins()), || async move {
            Ok(panel::find_details(cx, item).await?.is_some_and(|details| details.state == state))
        })
        .await
    })
}

/// The machine before it was restarted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Before {
    item: i64,
    uptime_ms: i64,
}

/// Restarts the machine, once. One that was restarted is up for a shorter time than before; one that is up for longer
/// was perhaps not restarted, and a second restart is not risked on that.
async fn restart(cx: &Cx, owned: Owned<'_>, call: &'static str) -> Result<Change, Fault> {
    let item: i64 = cx
        .step("restart")
        .settle(Settle { first_ms: 60_000, ..Settle::default() })
        .given(move || async move {
            owned.active(cx).await?;
            let (item, _) = machine(cx, owned).await?;
            let is_allowed = if call == "Reboot" { item.may_reboot } else { item.may_reset };
            if !is_allowed {
                return Err(Fault::invalid_input(format!("the plan does not allow this machine a {call}")));
            }
            match panel::find_details(cx, item.id).await? {
                Some(details) if details.state == "Running" => {
                    Ok(Before { item: item.id, uptime_ms: details.uptime_ms })
                }
                _ => Err(Fault::invalid_input("the machine does not run: start it")),
            }
        })
        .find(move |before: Before| async move {
            let details = panel::find_details(cx, before.item).await?;
            Ok(match details {
                Some(details) if details.state == "Running" && details.uptime_ms < before.uptime_ms => {
                    Find::Found(before.item)
                }
                Some(details) if matches!(details.state.as_str(), "Starting" | "Stopping" | "Reset") => {
                    return Err(Fault::new(FaultClass::ConflictBusy, "the machine is on its way down or up"));
                }
                _ => Find::Unknown(format!(
                    "the machine {} is not up for a shorter time than before it was asked to restart: if it was restarted, \
                     say that it exists; if not, give up and send the hook again",
                    before.item
                )),
            })
        })
        .adopt(move |_| async move { owned.item_id(cx).await.map(Find::Found) })
        .run(move |before, send| async move {
            machines::set_state_reply(&send.call(machines::set_state(before.item, call)?).await?)?;
            Ok(before.item)
        })
        .await?;
    cx.progress(60, "the panel has done it; reading the state");
    wait_for(cx, item, "Running").await?;
    Ok(Change::done())
}
