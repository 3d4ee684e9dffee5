//! `power`: the panel's four calls, and a reset out of two of them.

use crate::api::guest::{self, PowerCall};
use crate::panel::{self, Owned};
use crate::server::Server;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Find, PowerAction, SendHandle, Settle, Texts};
use serde::{Deserialize, Serialize};

/// The hypervisor's words for a machine that runs, and for one that is off. Any other word is neither.
const ON: &[&str] = &["running", "idle", "blocked"];
const OFF: &[&str] = &["shutoff", "shut off", "crashed"];

/// Starts, stops, shuts down, reboots or resets the server.
pub async fn run(cx: &Cx, owned: Owned<'_>, action: PowerAction) -> Result<Change, Fault> {
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
            // One look decides, so that it comes late enough for a panel that is slow.
            .settle(Settle { first_ms: 60_000, ..Settle::default() })
            .given(move || async move {
                let server = owned.read(cx).await?;
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
                        "the panel shows no task on server {} since it was asked to restart it: if it was restarted, \
                         say that it exists; if not, give up and reboot it anew",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Machine, Stage, fault, ok, to_end};
    use billhook_plugin_api::Power;
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::json;

    fn power(host: &ScriptedHost, action: PowerAction) -> Ended<Change> {
        let request = Power { service: stage::service(), product: stage::product(json!({})), action };
        host.run(async |cx| stage::provider().power(cx, request).await)
    }

    fn state(stage: &Stage) -> String {
        stage.world().machines[&7_000].remote["state"].as_str().unwrap().to_owned()
    }

    const CALLS: [(PowerAction, &str); 3] = [
        (PowerAction::Start, "POST /servers/7000/power/boot"),
        (PowerAction::Stop, "POST /servers/7000/power/poweroff"),
        (PowerAction::Shutdown, "POST /servers/7000/power/shutdown"),
    ];

    #[test]
    fn a_state_is_set_once_and_then_nothing_is_to_change() {
        for (action, call) in CALLS {
            for slowness in [0, 3] {
                let is_start = action == PowerAction::Start;
                let stage = Stage::with(if is_start { Machine::off(300) } else { Machine::running(300) });
                stage.world().slowness = slowness;
                let host = stage.host();

                assert_eq!(ok(power(&host, action)), Change::done(), "{action}");
                host.next_operation();
                assert_eq!(ok(power(&host, action)), Change::noop(), "{action}");

                assert_eq!(host.changes(), [call]);
                assert_eq!(state(&stage), if is_start { "running" } else { "shutoff" });
            }
        }
    }

    #[test]
    fn a_power_that_is_not_known_is_set() {
        let stage = Stage::with(Machine::complete(300));
        let host = stage.host();
        assert_eq!(ok(power(&host, PowerAction::Start)), Change::done());
        assert_eq!(host.changes().len(), 1);
    }

    #[test]
    fn a_call_that_breaks_anywhere_sets_the_state() {
        for (action, call) in CALLS {
            for how in BREAKS {
                let is_start = action == PowerAction::Start;
                let stage = Stage::with(if is_start { Machine::off(300) } else { Machine::running(300) });
                stage.breaks(call, how);
                let host = stage.host();

                // What the panel refuses for good is repeated by the platform.
                if matches!(to_end(|| power(&host, action)), Ended::Fault(_)) {
                    ok(power(&host, action));
                }

                assert_eq!(state(&stage), if is_start { "running" } else { "shutoff" }, "{action} {how:?}");
            }
        }
    }

    #[test]
    fn a_reboot_is_sent_once() {
        let stage = Stage::with(Machine::running(300));
        let host = stage.host();
        assert_eq!(ok(power(&host, PowerAction::Reboot)), Change::done());
        assert_eq!(ok(power(&host, PowerAction::Reboot)), Change::done());
        assert_eq!(host.changes(), ["POST /servers/7000/power/restart"]);
    }

    #[test]
    fn a_lost_reboot_is_ours_by_a_newer_task_and_a_persons_matter_else() {
        for is_done in [true, false] {
            let stage = Stage::with(Machine { last_task: Some("build".into()), ..Machine::running(300) });
            stage.breaks("POST /servers/7000/power/restart", Break::Lost { done: is_done });
            let host = stage.host();

            let ended = to_end(|| power(&host, PowerAction::Reboot));

            assert_eq!(ended == Ended::Ok(Change::done()), is_done, "{ended:?}");
            assert_eq!(matches!(ended, Ended::Attention(_)), !is_done, "{ended:?}");
            assert_eq!(host.changes().len(), 1, "a second restart is not risked");
        }
    }

    #[test]
    fn a_reset_turns_off_and_on() {
        let stage = Stage::with(Machine::running(300));
        let host = stage.host();
        ok(power(&host, PowerAction::Reset));
        ok(power(&host, PowerAction::Reset));
        assert_eq!(host.changes(), ["POST /servers/7000/power/poweroff", "POST /servers/7000/power/boot"]);
        for call in ["POST /servers/7000/power/poweroff", "POST /servers/7000/power/boot"] {
            for how in BREAKS {
                let stage = Stage::with(Machine::running(300));
                stage.breaks(call, how);
                let host = stage.host();
                ok(to_end(|| power(&host, PowerAction::Reset)));
                assert_eq!(state(&stage), "running", "{call} {how:?}");
                assert!(host.changes().contains(&"POST /servers/7000/power/poweroff".to_owned()), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn what_cannot_run_is_not_started_nor_turned_off_for_a_reset() {
        use FaultClass::{ConflictBusy, InvalidInput};
        let installing = Machine { state: "building", commission: 1, busy: true, ..Machine::running(300) };
        for (machine, class) in [
            (Machine { suspended: true, ..Machine::off(300) }, InvalidInput),
            (Machine::allocated(300), InvalidInput),
            (Machine { state: "failed", commission: 2, ..Machine::complete(300) }, InvalidInput),
            (Machine { remote: json!(false), ..installing }, ConflictBusy),
        ] {
            let host = Stage::with(machine.clone()).host();
            for action in [PowerAction::Start, PowerAction::Reboot] {
                let fault = fault(power(&host, action));
                host.next_operation();
                assert_eq!(fault.class, class, "{action} {machine:?}");
            }
            assert!(host.changes().is_empty(), "{machine:?}");
        }
        let suspended = Machine { suspended: true, ..Machine::running(300) };
        let host = Stage::with(suspended).host();
        assert_eq!(fault(power(&host, PowerAction::Reset)).class, InvalidInput);
        assert!(host.changes().is_empty());
    }

    #[test]
    fn a_task_that_fails_is_told_in_the_panels_words() {
        let stage = Stage::with(Machine::off(300));
        stage.world().task_fails = true;
        let fault = fault(power(&stage.host(), PowerAction::Start));
        assert!(fault.staff.ends_with("no room"), "{fault}");
        assert_eq!(fault.code.as_deref(), Some("task_failed"));
    }
}
