//! `power`: the state of the machine. The panel answers when it is reached, or after many minutes.

use crate::api::machines::{self, Item};
use crate::panel::{self, Doing, Owned};
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Find, PowerAction, Settle};

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

/// Brings the machine to a state, unless a read shows it there.
///
/// All is read within the convergent change, so that a run that comes back from the wait takes the same way.
async fn switch(cx: &Cx, owned: Owned<'_>, call: &'static str, state: &'static str) -> Result<Change, Fault> {
    let (item, is_sent): (i64, bool) = cx
        .converge(|send| async move {
            owned.active(cx).await?;
            let (item, _) = machine(cx, owned).await?;
            let now = panel::find_details(cx, item.id).await?.map(|details| details.state).unwrap_or_default();
            if now == state {
                return Ok((item.id, false));
            }
            // A machine that stands still, in memory or on disk, is not started but goes on.
            let call = match (call, now.as_str()) {
                ("Start", "Paused") => "Resume",
                (call, _) => call,
            };
            machines::set_state_reply(&panel::sent(&send, machines::set_state(item.id, call)).await?)?;
            Ok((item.id, true))
        })
        .await?;
    if !is_sent {
        return Ok(Change::noop());
    }
    cx.progress(60, "the panel has done it; reading the state");
    wait_for(cx, item, state).await?;
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
    panel::wait(cx, "state", 5, 15, panel::is_at(cx, item, state))
}

/// The machine before it was restarted, and how long it was up then.
type Before = (i64, i64);

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
                    Ok((item.id, details.uptime_ms))
                }
                _ => Err(Fault::invalid_input("the machine does not run: start it")),
            }
        })
        .find(move |(item, uptime_ms): Before| async move {
            let details = panel::find_details(cx, item).await?;
            Ok(match details {
                Some(details) if details.state == "Running" && details.uptime_ms < uptime_ms => {
                    Find::Found(item)
                }
                Some(details) if matches!(details.state.as_str(), "Starting" | "Stopping" | "Reset") => {
                    return Err(Fault::new(FaultClass::ConflictBusy, "the machine is on its way down or up"));
                }
                _ => Find::Unknown(format!(
                    "the machine {} is not up for a shorter time than before it was asked to restart: if it was restarted, \
                     say that it exists; if not, give up and send the hook again",
                    item
                )),
            })
        })
        .adopt(move |_| async move { owned.item_id(cx).await.map(Find::Found) })
        .run(move |(item, _): Before, send| async move {
            machines::set_state_reply(&panel::sent(&send, machines::set_state(item, call)).await?)?;
            Ok(item)
        })
        .await?;
    cx.progress(60, "the panel has done it; reading the state");
    wait_for(cx, item, "Running").await?;
    Ok(Change::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{Power, Provider};
    use serde_json::json;

    fn power(host: &ScriptedHost, action: PowerAction) -> Ended<Change> {
        let request = Power { service: stage::owned(), product: stage::product(json!({})), action };
        host.run(async |cx| stage::provider().power(cx, request).await)
    }

    fn state(stage: &Stage) -> String {
        stage.world().machines[&753].state.clone()
    }

    const STATES: [(PowerAction, &str, &str); 3] = [
        (PowerAction::Start, "Off", "Running"),
        (PowerAction::Stop, "Running", "Off"),
        (PowerAction::Shutdown, "Running", "Off"),
    ];

    #[test]
    fn a_state_is_set_once_and_then_nothing_is_to_change() {
        for (action, before, after) in STATES {
            let stage = Stage::with_machine();
            stage.world().machines.get_mut(&753).unwrap().state = before.into();
            let host = stage.host();

            assert_eq!(ok(power(&host, action)), Change::done(), "{action}");
            host.next_operation();
            assert_eq!(ok(power(&host, action)), Change::noop(), "{action}");

            assert_eq!(state(&stage), after);
            assert_eq!(changes(&host), ["ChangeVirtualMachineState"]);
        }
    }

    #[test]
    fn a_call_that_breaks_in_every_way_sets_the_state() {
        for (action, before, after) in STATES {
            for how in BREAKS {
                let stage = Stage::with_machine();
                stage.world().machines.get_mut(&753).unwrap().state = before.into();
                stage.breaks("ChangeVirtualMachineState", how);
                let host = stage.host();
                ok(to_end(|| power(&host, action)));
                assert_eq!(state(&stage), after, "{action} {how:?}");
            }
        }
    }

    #[test]
    fn a_paused_machine_goes_on() {
        let stage = Stage::with_machine();
        stage.world().machines.get_mut(&753).unwrap().state = "Paused".into();
        let host = stage.host();
        ok(power(&host, PowerAction::Start));
        let sent = host.exchanges().into_iter().find(|(_, change)| *change).unwrap().0.body;
        assert!(String::from_utf8(sent).unwrap().contains("<state>Resume</state>"));
    }

    #[test]
    fn a_machine_that_is_busy_or_in_a_suspended_space_is_left() {
        let stage = Stage::with_machine();
        stage.world().machines.get_mut(&753).unwrap().busy = 9;
        assert_eq!(fault(power(&stage.host(), PowerAction::Stop)).class, FaultClass::ConflictBusy);

        let stage = Stage::with_machine();
        stage.world().spaces.get_mut(&801).unwrap().status = 2;
        for action in PowerAction::ALL {
            let host = stage.host();
            assert_eq!(fault(power(&host, action)).class, FaultClass::InvalidInput, "{action}");
            assert!(changes(&host).is_empty());
        }
    }

    #[test]
    fn a_restart_happens_once() {
        for action in [PowerAction::Reboot, PowerAction::Reset] {
            let stage = Stage::with_machine();
            let host = stage.host();
            assert_eq!(ok(power(&host, action)), Change::done());
            assert_eq!(ok(power(&host, action)), Change::done(), "the same operation again");
            assert_eq!(stage.world().machines[&753].starts, 2, "{action}");
        }
    }

    #[test]
    fn a_lost_restart_is_told_by_the_uptime_or_left_to_a_person() {
        for (done, expected) in [(true, Ended::Ok(Change::done())), (false, Ended::Attention("restart".into()))] {
            let stage = Stage::with_machine();
            stage.breaks("ChangeVirtualMachineState", Break::Lost { done });
            let host = stage.host();
            assert_eq!(power(&host, PowerAction::Reboot), Ended::Settling("restart".into()));
            assert_eq!(power(&host, PowerAction::Reboot), expected);
            assert_eq!(stage.world().machines[&753].starts, if done { 2 } else { 1 });
        }
    }

    #[test]
    fn what_the_plan_forbids_is_not_sent() {
        let stage = Stage::with_machine();
        stage.world().machines.get_mut(&753).unwrap().may_reset = false;
        let host = stage.host();
        assert_eq!(fault(power(&host, PowerAction::Reset)).class, FaultClass::InvalidInput);
        assert!(changes(&host).is_empty());
    }
}
