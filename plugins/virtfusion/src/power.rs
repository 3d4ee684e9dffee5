//! `power`: the panel's four calls, and a reset out of two of them.

use crate::VirtFusion;
use crate::api::guest::{self, PowerCall};
use crate::panel::{self, Owned};
use crate::server::Server;
use crate::settings::Product;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Find, Power, PowerAction, SendHandle, Texts};
use serde::{Deserialize, Serialize};

/// The hypervisor's words for a machine that runs, and for one that is off. Any other word is neither.
const ON: &[&str] = &["running", "idle", "blocked"];
const OFF: &[&str] = &["shutoff", "shut off", "crashed"];

/// Starts, stops, shuts down, reboots or resets the server.
pub async fn run(panel: &VirtFusion, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
    let Power { service, product, action } = request;
    let owned = Owned::new(panel, &service, &product)?;
    match action {
        PowerAction::Start => switch(cx, owned, PowerCall::Boot).await,
        PowerAction::Stop => switch(cx, owned, PowerCall::PowerOff).await,
        PowerAction::Shutdown => switch(cx, owned, PowerCall::Shutdown).await,
        PowerAction::Reboot => reboot(cx, owned).await,
        PowerAction::Reset => reset(cx, owned).await,
    }
}

/// What became of a call that sets a state.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Switched {
    /// It was so before.
    Already,
    /// The panel's task for it, if it made one.
    Queued(Option<u64>),
}

/// Brings the server to the state that the call leads to, unless a read shows that.
///
/// As with suspend, everything is read within the convergent change, so that a run that comes back from the wait takes the
/// same way.
async fn switch(cx: &Cx, owned: Owned<'_>, call: PowerCall) -> Result<Change, Fault> {
    match cx.converge(|send| to_state(cx, owned, call, call, send)).await? {
        Switched::Already => Ok(Change::noop()),
        Switched::Queued(task) => {
            cx.progress(50, "the panel has taken it up");
            panel::wait_for_task(cx, "power", task).await?;
            let (server, _) = owned.read_with_power(cx).await?;
            let staff = (call == PowerCall::Shutdown && !is_at(&server, call))
                .then(|| "the system was asked to shut down and has not done so yet; stop turns it off at once".into());
            Ok(Change { message: Texts { staff, customer: None }, ..Change::done() })
        }
    }
}

/// One look and, if need be, one call, on a server that also `next` could be done to.
async fn to_state(
    cx: &Cx,
    owned: Owned<'_>,
    call: PowerCall,
    next: PowerCall,
    send: SendHandle,
) -> Result<Switched, Fault> {
    let (server, _) = owned.read_with_power(cx).await?;
    if is_at(&server, call) {
        return Ok(Switched::Already);
    }
    may(&server, next)?;
    guest::power_reply(&send.call(guest::power(server.id, call)).await?).map(Switched::Queued)
}

/// Whether the server is where the call would bring it.
fn is_at(server: &Server, call: PowerCall) -> bool {
    let words = if call == PowerCall::Boot { ON } else { OFF };
    call != PowerCall::Restart && server.power().is_some_and(|word| words.contains(&word))
}

/// Refuses what the panel would refuse in worse words, or later.
fn may(server: &Server, call: PowerCall) -> Result<(), Fault> {
    let id = server.id;
    if server.is_installing() {
        return Err(Fault::new(FaultClass::ConflictBusy, format!("a system is being installed on server {id}")));
    }
    if !server.is_installed() {
        return Err(Fault::invalid_input(format!("server {id} has no system: reinstall it")));
    }
    if server.suspended && matches!(call, PowerCall::Boot | PowerCall::Restart) {
        return Err(Fault::invalid_input(format!("server {id} is suspended: unsuspend it first")));
    }
    Ok(())
}

/// Asks the system to start again, once.
///
/// A machine that was restarted looks as it did before. What tells is the date of the panel's last task on it: one that
/// is newer than before the call is ours. One that is the same proves nothing, since the panel does not promise that date
/// for every task; a second restart may not be risked on it.
async fn reboot(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let task =
        cx.step("restart")
            .given(move || async move {
                let (server, _) = owned.read_with_power(cx).await?;
                panel::idle(&server)?;
                may(&server, PowerCall::Restart)?;
                Ok(server.last_task)
            })
            .find(move |before: Option<String>| async move {
                let server = owned.read(cx).await?;
                Ok(if server.is_busy || (server.last_task.is_some() && server.last_task != before) {
                    Find::Found(None)
                } else {
                    Find::Unknown(format!(
                        "the panel shows no task on server {} since it was asked to restart it: was it restarted?",
                        owned.id
                    ))
                })
            })
            .adopt(move |_| async move { owned.read(cx).await.map(|_| Find::Found(None)) })
            .run(move |_, send| async move {
                guest::power_reply(&send.call(guest::power(owned.id, PowerCall::Restart)).await?)
            })
            .await?;
    panel::wait_for_task(cx, "restarted", task).await?;
    Ok(Change::done())
}

/// Turns the server off and on. The panel has no call for it.
async fn reset(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    for (percent, step, wait, call) in
        [(10, "power_off", "off", PowerCall::PowerOff), (50, "power_on", "on", PowerCall::Boot)]
    {
        cx.progress(percent, if call == PowerCall::Boot { "turning it on" } else { "turning it off" });
        let switched = cx
            .step(step)
            // What could not be started again is not turned off either.
            .ensure(move |send| to_state(cx, owned, call, PowerCall::Boot, send))
            .await?;
        if let Switched::Queued(task) = switched {
            panel::wait_for_task(cx, wait, task).await?;
        }
    }
    Ok(Change::done())
}
