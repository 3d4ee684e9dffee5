//! A machine's power.

use super::{Reply, failure, success};
use crate::solidcp::jobs::{OFF, PAUSED, RUNNING, SAVED};
use crate::solidcp::ledger::{Effect, Power};
use crate::solidcp::rights::NO_OBJECT;
use crate::solidcp::rules::Asked;
use crate::solidcp::state::World;

/// What comes with many a success.
const STARTED: &str = "VPS_JOB_START_ERROR:JobStarted";

pub(super) fn change(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("itemId");
    if let Some(code) = world.refused_machine(asked.caller, id) {
        return failure([code]);
    }
    let machine = world.machine(id).ok_or(NO_OBJECT)?;
    if machine.guid.is_empty() || machine.lost || world.node_of(machine).is_none_or(|node| node.is_down) {
        return failure(["VPS_CHANGE_VIRTUAL_MACHINE_STATE_GENERAL_ERROR:Unable to connect; at SolidCP.Server"]);
    }
    let wanted = asked.given.string("state");
    let (flag, code) = match wanted.as_str() {
        "Start" | "TurnOff" | "ShutDown" => ("StartTurnOffAllowed", "VPS_QUOTA_EXCEEDED_START_SHUTDOWN_ALLOWED"),
        "Pause" | "Resume" | "Save" => ("PauseResumeAllowed", "VPS_QUOTA_EXCEEDED_PAUSE_RESUME_ALLOWED"),
        "Reboot" => ("RebootAllowed", "VPS_QUOTA_EXCEEDED_REBOOT_ALLOWED"),
        _ => ("ResetAllowed", "VPS_QUOTA_EXCEEDED_RESET_ALOWED"),
    };
    if !machine.flags.get(flag).copied().unwrap_or(false) {
        return failure([code]);
    }
    let before = world.power(machine);
    let is_on = before == RUNNING;
    let (after, done) = match wanted.as_str() {
        // A start of what runs can end in a reset.
        "Start" if is_on => (RUNNING, Some(Power::Reset)),
        "Start" => (RUNNING, Some(Power::Started)),
        "ShutDown" | "TurnOff" if before == OFF => (OFF, None),
        "ShutDown" => (OFF, Some(Power::ShutDown)),
        "TurnOff" => (OFF, Some(Power::TurnedOff)),
        "Reboot" if is_on => (RUNNING, Some(Power::Rebooted)),
        "Reset" if is_on => (RUNNING, Some(Power::Reset)),
        "Pause" if is_on => (PAUSED, Some(Power::Paused)),
        "Save" if is_on => (SAVED, Some(Power::Saved)),
        "Resume" if matches!(before, PAUSED | SAVED) => (RUNNING, Some(Power::Resumed)),
        _ => return failure(["VPS_CANNOT_CHANGE_VIRTUAL_SERVER_STATE"]),
    };
    let now_ms = world.now_ms;
    let machine = world.machine_mut(id).ok_or(NO_OBJECT)?;
    (machine.power, machine.follows) = (after, None);
    if after == RUNNING {
        machine.started_ms = now_ms;
    }
    // What the hypervisor has taken on is no error, whatever it is called.
    let notes: &[&str] = if matches!(wanted.as_str(), "ShutDown" | "Reboot") { &[] } else { &[STARTED] };
    success(done.map_or(Effect::None, |done| Effect::Powered(id, done)), notes)
}
