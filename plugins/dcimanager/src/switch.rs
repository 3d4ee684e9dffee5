//! `suspend` and `unsuspend`: the panel blocks the customer's actions and switches the machine's ports; the machine itself
//! runs on.

use crate::answer::misfit;
use crate::form::{Form, Id};
use crate::machine::elements;
use crate::panel::{Doing, Owned, Panel};
use crate::standing::Standing;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Time, every, within};

/// Seconds that ports and flags may take.
const LIMIT_S: u32 = 600;

/// A cable to a switch, to IPMI, to a power distribution unit.
pub struct Connection {
    pub id: Id,
    /// The panel's word for what it leads to.
    pub kind: String,
    /// The panel is at work on it.
    pub is_busy: bool,
}

/// A machine's connections.
pub fn connections<'f>(panel: &'f Panel, cx: &'f Cx, machine: &'f Id) -> Doing<'f, Vec<Connection>> {
    Box::pin(async move {
        let doc = panel.read(cx, Form::view_of("server.connection", machine).with("filter", "off")).await?;
        let rows = elements(&doc)?.into_iter().map(|row| {
            Ok(Connection {
                id: row.text("id").and_then(Id::new).ok_or_else(|| misfit("doc.elem.id"))?,
                kind: row.text("type").unwrap_or_default().to_owned(),
                is_busy: row.has("func_in_progress"),
            })
        });
        rows.collect()
    })
}

async fn are_idle(panel: &Panel, cx: &Cx, machine: &Id) -> Result<bool, Fault> {
    Ok(!connections(panel, cx, machine).await?.iter().any(|connection| connection.is_busy))
}

/// Waits until the machine is not blocked and the panel is done with its ports.
pub fn wait_unblocked<'f>(panel: &'f Panel, cx: &'f Cx, machine: &'f Id) -> Doing<'f, ()> {
    Box::pin(async move {
        let what = format!("server {machine} was not unblocked, or its ports not switched,");
        panel
            .wait(cx, "unblocked", 5, LIMIT_S, &what, &|| {
                Box::pin(
                    async move { Ok(!panel.row(cx, machine).await?.disabled && are_idle(panel, cx, machine).await?) },
                )
            })
            .await
    })
}

/// The two ways to switch a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    Off,
    On,
}

/// Blocks or unblocks the machine, unless a read shows that it is so.
///
/// All is read within the convergent change: its result is stored before the wait, so that a run that comes back from the
/// wait takes the same way, whatever the panel shows by then.
pub async fn run(cx: &Cx, owned: Owned<'_>, to: Switch) -> Result<Change, Fault> {
    let (panel, id) = (owned.panel, &owned.id()?);
    let is_new = cx
        .converge(|send| async move {
            let found = owned.find(cx).await?;
            // One that waits for its hand-over can be blocked too.
            match found.standing() {
                Standing::Making => {}
                standing => standing.owned(id)?,
            }
            let Some((row, _)) = &found.machine else { return Err(Fault::plugin_bug("no machine")) };
            if row.disabled == (to == Switch::Off) && are_idle(panel, cx, id).await? {
                return Ok(false);
            }
            if row.disabled == (to == Switch::Off) {
                return Ok(true);
            }
            if row.blocked && to == Switch::On {
                cx.note("the machine is also blocked in another way, which this does not end");
            }
            let func = if to == Switch::Off { "server.disable" } else { "server.enable" };
            panel.change(cx, &send, Form::order(func, id).slow()).await?;
            Ok(true)
        })
        .await?;
    if !is_new {
        return Ok(Change::noop());
    }
    cx.progress(50, "accepted; the panel switches the ports");
    let name = if to == Switch::Off { "suspended" } else { "unsuspended" };
    cx.wait_until(name, every(5.secs()), within(10.mins()), || async move {
        Ok(panel.row(cx, id).await?.disabled == (to == Switch::Off) && are_idle(panel, cx, id).await?)
    })
    .await?;
    Ok(Change::done())
}

/// Switches every port of the machine that leads to a switch.
pub async fn network(cx: &Cx, owned: Owned<'_>, is_on: bool) -> Result<bool, Fault> {
    let (panel, id) = (owned.panel, &owned.id()?);
    let ports = &cx
        .step("ports")
        .record(|| async move {
            let (row, _, _) = owned.read(cx).await?;
            if is_on && row.is_suspended() {
                return Err(Fault::invalid_input(format!("server {id} is suspended: unsuspend it first")));
            }
            let found = connections(panel, cx, id).await?;
            let ports: Vec<Id> =
                found.into_iter().filter(|found| found.kind == "Switch").map(|found| found.id).collect();
            Ok(ports)
        })
        .await?;
    let func = if is_on { "server.connection.on" } else { "server.connection.off" };
    for port in ports {
        panel
            .ensure(cx, ("port", port), &|| {
                Box::pin(async move {
                    owned.read(cx).await?;
                    let found = connections(panel, cx, id).await?.into_iter().find(|found| found.id == *port);
                    match found {
                        None => Ok(None),
                        Some(found) if found.is_busy => {
                            Err(Fault::new(FaultClass::ConflictBusy, format!("the panel is at work on port {port}")))
                        }
                        Some(_) => Ok(Some(Form::order(func, port).with("plid", id).slow())),
                    }
                })
            })
            .await?;
    }
    Ok(!ports.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, ADMIN, BREAKS, Machine, Stage, changes, class, ok_of, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{Provider, Suspend, Unsuspend};
    use serde_json::json;

    fn off(host: &ScriptedHost) -> Ended<Change> {
        let request = Suspend { service: stage::service(), product: stage::product(json!({})), reason: None };
        host.run(async |cx| stage::provider().suspend(cx, request).await)
    }

    fn on(host: &ScriptedHost) -> Ended<Change> {
        let request = Unsuspend { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().unsuspend(cx, request).await)
    }

    #[test]
    fn a_switch_is_made_once_and_waits_for_the_ports() {
        for slowness in [0, 3] {
            let stage = Stage::with(Machine::sold());
            stage.world().slowness = slowness;
            let host = stage.host();

            for (run, noop) in [(off as fn(&ScriptedHost) -> _, false), (off, true), (on, false), (on, true)] {
                let change = ok_of(run(&host));
                assert_eq!(change.noop, noop);
                assert_eq!(stage.world().machines[&42].ports_left, 0);
                host.next_operation();
            }

            assert_eq!(changes(&host), ["server.disable 42", "server.enable 42"]);
            let machine = stage.world().machines[&42].clone();
            assert!(machine.on && !machine.disabled);
        }
    }

    #[test]
    fn a_switch_that_breaks_anywhere_is_made() {
        for how in BREAKS {
            let stage = Stage::with(Machine::sold());
            stage.breaks("server.disable", how);
            let host = stage.host();
            ok_of(to_end(|| off(&host)));
            assert!(stage.world().machines[&42].disabled, "{how:?}");
        }
    }

    #[test]
    fn what_is_not_the_customers_is_never_switched() {
        let stranger =
            |owner: &str, notes: &str| Machine { owner: Some(owner.into()), notes: notes.into(), ..Machine::sold() };
        for machine in [
            Machine::free(42),
            stranger("60", ""),
            stranger("60", "[svc:whmcs/2000 op:x]"),
            stranger("77", "[svc:whmcs/2000 op:x]"),
            stranger(ADMIN, ""),
        ] {
            let host = Stage::with(machine).host();
            assert_eq!(class(off(&host)), FaultClass::NotFound);
            assert_eq!(class(on(&host)), FaultClass::NotFound);
            assert!(changes(&host).is_empty());
        }
        let stage = Stage::with(Machine::sold());
        stage.world().machines.remove(&42);
        assert_eq!(class(off(&stage.host())), FaultClass::NotFound);
    }

    #[test]
    fn a_machine_without_an_id_is_not_asked_for() {
        for (remote_id, expected) in [
            (None, FaultClass::NotFound),
            (Some("1,2"), FaultClass::InvalidInput),
            (Some(""), FaultClass::InvalidInput),
        ] {
            let host = Stage::new().host();
            let service = billhook_plugin_api::Service { remote_id: remote_id.map(str::to_owned), ..stage::service() };
            let request = Suspend { service, product: stage::product(json!({})), reason: None };
            assert_eq!(class(host.run(async |cx| stage::provider().suspend(cx, request).await)), expected);
            assert!(host.exchanges().is_empty());
        }
    }
}
