//! `power`: in the customer's name, so that the panel refuses a machine that is blocked or no more his.

use crate::form::Form;
use crate::machine::Row;
use crate::panel::Owned;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, PowerAction, Time, every, within};

/// Switches the machine.
pub async fn run(cx: &Cx, owned: Owned<'_>, action: PowerAction) -> Result<Change, Fault> {
    match action {
        PowerAction::Start => to_state(cx, owned, true).await,
        PowerAction::Stop => to_state(cx, owned, false).await,
        PowerAction::Shutdown => Err(Fault::unsupported(
            "a shutdown: the panel cuts a machine's power and cannot ask its system to go down; use stop",
        )),
        PowerAction::Reboot => reboot(cx, owned).await,
        PowerAction::Reset => reset(cx, owned).await,
    }
}

fn order(is_on: bool) -> &'static str {
    if is_on { "server.poweron" } else { "server.poweroff" }
}

fn is_at(row: &Row, is_on: bool) -> bool {
    if is_on { row.on } else { row.off }
}

/// Refuses what the panel would refuse in worse words.
fn may(row: &Row) -> Result<(), Fault> {
    if row.is_suspended() {
        return Err(Fault::invalid_input(format!("server {} is suspended: unsuspend it first", row.id)));
    }
    if row.installing {
        return Err(Fault::new(FaultClass::ConflictBusy, format!("a system is being installed on server {}", row.id)));
    }
    Ok(())
}

async fn to_state(cx: &Cx, owned: Owned<'_>, is_on: bool) -> Result<Change, Fault> {
    let (panel, id) = (owned.panel, &owned.id()?);
    let is_new = cx
        .converge(|send| async move {
            let (row, _, known) = owned.read(cx).await?;
            if is_at(&row, is_on) {
                return Ok(false);
            }
            may(&row)?;
            panel.change_as(cx, &send, Owned::account(&known)?, Form::order(order(is_on), id).slow()).await?;
            Ok(true)
        })
        .await?;
    if !is_new {
        return Ok(Change::noop());
    }
    cx.progress(50, "the panel has taken it up");
    wait(cx, owned, if is_on { "on" } else { "off" }, is_on).await?;
    Ok(Change::done())
}

async fn wait(cx: &Cx, owned: Owned<'_>, name: &'static str, is_on: bool) -> Result<(), Fault> {
    let (panel, id) = (owned.panel, &owned.id()?);
    cx.wait_until(name, every(5.secs()), within(u64::from(panel.power_limit_s).secs()), || async move {
        let row = panel.row(cx, id).await?;
        if row.power_error {
            return Err(Fault::panel_bug(format!("the panel cannot switch server {id}: check its PDU or IPMI")));
        }
        Ok(is_at(&row, is_on))
    })
    .await
}

/// A machine that was rebooted looks as before: a lost answer is a person's to settle.
async fn reboot(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let (panel, id) = (owned.panel, &owned.id()?);
    cx.step("reboot")
        .once(|send| async move {
            let (row, _, known) = owned.read(cx).await?;
            may(&row)?;
            panel.change_as(cx, &send, Owned::account(&known)?, Form::order("server.reboot", id).slow()).await.map(drop)
        })
        .await?;
    Ok(Change::done())
}

/// Off and on: the panel has no call for it.
async fn reset(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let (panel, id) = (owned.panel, &owned.id()?);
    for (step, name, is_on) in [("power_off", "off", false), ("power_on", "on", true)] {
        cx.step(step)
            .ensure(|send| async move {
                let (row, _, known) = owned.read(cx).await?;
                if is_at(&row, is_on) {
                    return Ok(());
                }
                may(&row)?;
                panel
                    .change_as(cx, &send, Owned::account(&known)?, Form::order(order(is_on), id).slow())
                    .await
                    .map(drop)
            })
            .await?;
        wait(cx, owned, name, is_on).await?;
    }
    Ok(Change::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Machine, Stage, changes, class, ok_of, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{Power, Provider};
    use serde_json::json;

    fn power(host: &ScriptedHost, action: PowerAction) -> Ended<Change> {
        let request = Power { service: stage::service(), product: stage::product(json!({})), action };
        host.run(async |cx| stage::provider().power(cx, request).await)
    }

    #[test]
    fn the_power_is_switched_in_the_customers_name_and_only_where_it_must() {
        for slowness in [0, 3] {
            let stage = Stage::with(Machine::sold());
            stage.world().slowness = slowness;
            let host = stage.host();
            for (action, noop, is_on) in [
                (PowerAction::Start, true, true),
                (PowerAction::Stop, false, false),
                (PowerAction::Stop, true, false),
                (PowerAction::Start, false, true),
                (PowerAction::Reset, false, true),
                (PowerAction::Reboot, false, true),
            ] {
                assert_eq!(ok_of(power(&host, action)).noop, noop, "{action}");
                assert_eq!(stage.world().machines[&42].on, is_on, "{action}");
                host.next_operation();
            }
            assert_eq!(stage.world().machines[&42].reboots, 1);
            assert_eq!(changes(&host).len(), 5);
            let sent = host.exchanges();
            let by_customer = |request| stage::form(request)["auth"].ends_with("-client42");
            assert!(sent.iter().filter(|(_, is_change)| *is_change).all(|(request, _)| by_customer(request)));
            assert!(stage.world().keys.is_empty(), "every key is used up");
        }
        assert_eq!(class(power(&Stage::with(Machine::sold()).host(), PowerAction::Shutdown)), FaultClass::Unsupported);
    }

    #[test]
    fn a_switch_that_breaks_is_made_and_a_reboot_in_doubt_is_a_persons() {
        for how in BREAKS {
            for (action, call) in [(PowerAction::Stop, "server.poweroff"), (PowerAction::Reset, "server.poweron")] {
                // A session that was made for this one call and is refused is the panel's last word.
                if matches!(how, Break::Says { done: false, .. }) {
                    continue;
                }
                let stage = Stage::with(Machine::sold());
                stage.breaks(call, how);
                let host = stage.host();
                ok_of(to_end(|| power(&host, action)));
                assert_eq!(stage.world().machines[&42].on, action == PowerAction::Reset, "{action} {how:?}");
            }
            let stage = Stage::with(Machine::sold());
            stage.breaks("server.reboot", how);
            let host = stage.host();
            let _ = power(&host, PowerAction::Reboot);
            let again = power(&host, PowerAction::Reboot);
            let is_proven = matches!(how, Break::NeverLeft | Break::Says { done: false, .. });
            assert_eq!(again == Ended::Attention("reboot".into()), !is_proven, "{how:?}: {again:?}");
            assert!(stage.world().machines[&42].reboots <= 1);
        }
    }

    #[test]
    fn a_blocked_or_busy_machine_is_refused_here() {
        let host = Stage::with(Machine { disabled: true, ..Machine::sold() }).host();
        for action in [PowerAction::Stop, PowerAction::Reboot, PowerAction::Reset] {
            assert_eq!(class(power(&host, action)), FaultClass::InvalidInput, "{action}");
            host.next_operation();
        }
        assert!(ok_of(power(&host, PowerAction::Start)).noop, "it runs already");
        let mut busy = Machine::sold();
        busy.flags.insert("install_in_progress");
        assert_eq!(class(power(&Stage::with(busy).host(), PowerAction::Reboot)), FaultClass::ConflictBusy);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn the_next_customers_machine_is_never_switched() {
        let next = Machine { owner: Some("60".into()), notes: "[svc:whmcs/2000 op:x]".into(), ..Machine::sold() };
        let host = Stage::with(next).host();
        for action in [PowerAction::Start, PowerAction::Stop, PowerAction::Reboot, PowerAction::Reset] {
            assert_eq!(class(power(&host, action)), FaultClass::NotFound);
            host.next_operation();
        }
        assert!(changes(&host).is_empty());
    }
}
