//! `terminate`: the machine goes back for sale, fenced.
//!
//! First the administrator becomes its owner, so that the customer is out and a crash can be told; last, one write makes it
//! for sale. Whatever happens in between, a repeat looks at owner and mark before each change: a machine that is the next
//! customer's is never touched.

use crate::address::{self, Address};
use crate::form::{Form, Id};
use crate::machine::{FREE_HOST, Row};
use crate::mark::{self, Mark};
use crate::panel::{Owned, Panel};
use crate::settings::Product;
use crate::standing::{Account, Known, Standing};
use crate::{random, stock, switch, user};
use billhook_plugin_api::{Cx, Ended, Fault, FaultClass, Terminate};

/// More machines of ours than these are not looked at for the mark of a service without an id.
const MAX_LOOKS: usize = 100;
/// Seconds that a cancelled installation may take to end.
const CANCEL_LIMIT_S: u32 = 900;

/// Gives the service's machine back.
pub async fn run(panel: &Panel, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
    let Terminate { service, product } = request;
    let owned = Owned { panel, service: &service, product: &product };
    // With a nonce, for a machine that has no mark yet.
    let start = cx.step("machine").record(|| async move { Ok((machine(cx, owned).await?, random::nonce()?)) });
    let (id, new_nonce) = start.await?;
    let Some(id) = &id else {
        panel.rows(cx).await?;
        cx.note("the service has no machine on the panel");
        return Ok(Ended::Gone);
    };
    let mut known = owned.known(cx).await?;

    cx.progress(10, format!("taking server {id} from the customer"));
    let nonce = known.nonce.clone().unwrap_or(new_nonce);
    let fenced = fence(cx, owned, id, &nonce).await?;
    if fenced {
        known.admin = Some(user::admin(&panel.users(cx).await?, &panel.login)?);
        release(panel, cx, id, &known).await?;
    }
    if product.delete_empty_account {
        delete_account(cx, owned, &known).await?;
    }
    // Only what this run has read.
    let machine = panel.machine(cx, id).await?;
    match known.judge(machine.as_ref().map(|(row, view)| (row, view))) {
        Standing::Ours | Standing::Making | Standing::Releasing => {
            Err(Fault::new(FaultClass::ConflictBusy, format!("server {id} was released and is the service's again")))
        }
        Standing::Free | Standing::Gone | Standing::Foreign(_) => Ok(Ended::Gone),
    }
}

/// The service's machine. A service without an id may have one all the same, if its create was given up: its mark tells.
async fn machine(cx: &Cx, owned: Owned<'_>) -> Result<Option<Id>, Fault> {
    if owned.service.remote_id.is_some() {
        return owned.id().map(Some);
    }
    let (panel, key) = (owned.panel, mark::service_key(owned.service));
    let known = owned.known(cx).await?;
    let is_candidate = |row: &&Row| match (row.owner.as_deref(), &known.admin) {
        (Some(owner), Some(admin)) => admin.is(owner),
        _ => false,
    };
    let rows = panel.rows(cx).await?;
    let mut found = Vec::new();
    for row in rows.iter().filter(is_candidate).take(MAX_LOOKS) {
        let Some(id) = Id::new(&row.id) else { continue };
        let mark = panel.find_view(cx, &id).await?.and_then(|view| view.mark());
        if mark.is_some_and(|mark| mark.service == key) {
            found.push(id);
        }
    }
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(Id::as_str).collect();
        return Err(Fault::new(
            FaultClass::AlreadyExists,
            format!(
                "the servers {} are all marked for this service: enter the right id at the service",
                ids.join(", ")
            ),
        ));
    }
    Ok(found.pop())
}

/// Makes the administrator the owner. `false` when the machine is not the service's: then there is nothing to give back.
async fn fence(cx: &Cx, owned: Owned<'_>, id: &Id, nonce: &str) -> Result<bool, Fault> {
    let panel = owned.panel;
    cx.step("fence")
        .ensure(|send| async move {
            let users = panel.users(cx).await?;
            let admin = user::admin(&users, &panel.login)?;
            let known = Known { admin: Some(admin.clone()), ..owned.known(cx).await? };
            let machine = panel.machine(cx, id).await?;
            let why = match known.judge(machine.as_ref().map(|(row, view)| (row, view))) {
                Standing::Making | Standing::Releasing => return Ok(true),
                Standing::Ours => {
                    let Some((_, view)) = &machine else { return Ok(false) };
                    let mark = view.mark().unwrap_or_else(|| Mark {
                        service: known.service.clone(),
                        nonce: nonce.to_owned(),
                        account: known.account.as_ref().map(|account| account.id.to_string()).unwrap_or_default(),
                        client: mark::client_key(owned.service),
                    });
                    panel.change(cx, &send, view.edit(admin.id.as_str(), &mark.put(&view.notes))).await?;
                    return Ok(true);
                }
                // Without any evidence "not ours" is only what we do not know.
                Standing::Foreign(why) if known.account.is_none() => {
                    return Err(Fault::not_found(format!(
                        "server {id} cannot be told to be this service's: {why}; set the service's username to its account on \
                         the panel"
                    )));
                }
                Standing::Foreign(why) => why,
                Standing::Free => "it has no owner".to_owned(),
                Standing::Gone => "the panel has it no more".to_owned(),
            };
            cx.note(format!("server {id} is not touched: {why}"));
            Ok(false)
        })
        .await
}

/// What lies between the fence and the sale.
async fn release(panel: &Panel, cx: &Cx, id: &Id, known: &Known) -> Result<(), Fault> {
    let held = || -> crate::panel::Doing<'_, Option<Row>> {
        Box::pin(async move { Ok(panel.held_for(cx, id, known).await?.map(|(row, _)| row)) })
    };
    let held = &held;
    // A machine that is nobody's or another's by now is not waited for.
    let is_lost_or = move |is_so: fn(&Row) -> bool| async move { Ok(held().await?.is_none_or(|row| is_so(&row))) };
    let is_lost_or = &is_lost_or;

    panel
        .ensure(cx, "unblock", &|| {
            Box::pin(async move {
                Ok(held().await?.filter(|row| row.disabled).map(|_| Form::order("server.enable", id).slow()))
            })
        })
        .await?;
    panel
        .wait(cx, "unblocked", 5, 600, "its ports were not switched", &|| {
            Box::pin(async move {
                Ok(match held().await? {
                    None => true,
                    Some(row) => {
                        !row.disabled && switch::connections(panel, cx, id).await?.iter().all(|it| !it.is_busy)
                    }
                })
            })
        })
        .await?;

    cx.progress(30, "ending what the panel is at");
    end_operation(panel, cx, id, known, ["cancel", "cancelled"]).await?;

    cx.progress(45, "switching it off");
    panel
        .ensure(cx, "power_off", &|| {
            Box::pin(async move {
                Ok(held().await?.filter(|row| !row.off).map(|_| Form::order("server.poweroff", id).slow()))
            })
        })
        .await?;
    let what = format!("server {id} was not switched off");
    panel
        .wait(cx, "off", 5, panel.power_limit_s, &what, &|| Box::pin(is_lost_or(|row| row.off || row.power_error)))
        .await?;

    // What was ordered just before this began shows itself only now.
    end_operation(panel, cx, id, known, ["cancel_late", "cancelled_late"]).await?;

    cx.progress(60, "taking its addresses back");
    let (main, others) = &cx
        .step("addresses")
        .record(|| async move {
            let Some(row) = held().await? else { return Ok((Vec::new(), Vec::new())) };
            if row.power_error {
                cx.note(format!("the panel cannot switch server {id} off; it is given back all the same"));
            }
            let all = address::of(panel, cx, id).await?;
            // The main address stays: the panel needs one to boot the machine over the network.
            let Some(main) = &row.ip else { return Ok((all, Vec::new())) };
            Ok(all.into_iter().partition::<Vec<Address>, _>(|address| address.ip == *main))
        })
        .await?;
    let guard = || -> crate::panel::Doing<'_, bool> { Box::pin(async move { Ok(held().await?.is_some()) }) };
    address::drop_all(panel, cx, "drop", id, others, &guard).await?;
    address::name_all(panel, cx, "rename", id, main, FREE_HOST, &guard).await?;

    cx.progress(90, "giving it back for sale");
    if !stock::publish(panel, cx, "publish", id, known).await? {
        cx.note(format!("server {id} is not the service's any more; it is left as it is"));
    }
    Ok(())
}

/// Ends an installation that the panel shows, and waits until it is over; `names` are those of the step and of the wait.
async fn end_operation(
    panel: &Panel,
    cx: &Cx,
    id: &Id,
    known: &Known,
    [step, wait]: [&'static str; 2],
) -> Result<(), Fault> {
    let is_running = || -> crate::panel::Doing<'_, bool> {
        Box::pin(async move { Ok(panel.held_for(cx, id, known).await?.is_some_and(|(row, _)| row.installing)) })
    };
    let is_running = &is_running;
    let cancel = || -> crate::panel::Doing<'_, Option<Form>> {
        Box::pin(async move { Ok(is_running().await?.then(|| Form::order("server.opercancel", id).slow())) })
    };
    panel.ensure(cx, step, &cancel).await?;
    let what = format!("the installation of server {id} did not end");
    panel.wait(cx, wait, 10, CANCEL_LIMIT_S, &what, &|| Box::pin(async move { Ok(!is_running().await?) })).await
}

/// Deletes the customer's account if it is one that we name and it owns nothing.
async fn delete_account(cx: &Cx, owned: Owned<'_>, known: &Known) -> Result<(), Fault> {
    let panel = owned.panel;
    let name = user::wanted(panel, owned.service, owned.product).map(|wanted| wanted.name).unwrap_or_default();
    let is_named_by_us = |account: &&Account| account.name == name && owned.product.account.is_none();
    let account = known.account.as_ref().filter(is_named_by_us);
    let is_deleted = cx
        .step("account")
        .scope(user::scope(&name))
        .ensure(|send| async move {
            let Some(account) = account else { return Ok(false) };
            let users = panel.users(cx).await?;
            let is_there = users.iter().any(|user| user.account() == *account);
            if !is_there || !user::is_idle(panel, cx, &users, account).await? {
                return Ok(false);
            }
            panel.change(cx, &send, Form::order("user.delete", &account.id)).await?;
            Ok(true)
        })
        .await?;
    if is_deleted {
        cx.note(format!("the account {name} owned nothing any more and is deleted"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, ADMIN, BREAKS, Machine, Stage, changes, fault, ok_of, to_end};
    use billhook_plugin_api::testing::{Ended as Run, ScriptedHost};
    use billhook_plugin_api::{Provider, Service};
    use serde_json::{Map, Value, json};

    fn end_for(host: &ScriptedHost, service: Service, more: Value) -> Run<Ended> {
        let request = Terminate { service, product: stage::product(more) };
        host.run(async |cx| stage::provider().terminate(cx, request).await)
    }

    fn end(host: &ScriptedHost) -> Run<Ended> {
        end_for(host, stage::service(), json!({}))
    }

    fn blocked() -> Machine {
        Machine { disabled: true, ..Machine::sold() }
    }

    #[test]
    fn a_machine_goes_back_for_sale_in_order() {
        for slowness in [0, 3] {
            let stage = Stage::with(blocked());
            stage.world().slowness = slowness;
            let host = stage.host();

            assert_eq!(end(&host), Run::Ok(Ended::Gone));

            let machine = stage.world().machines[&42].clone();
            assert!(machine.is_for_sale() && !machine.on && !machine.disabled, "{machine:?}");
            assert_eq!((machine.addresses.len(), machine.notes.as_str()), (1, "bay 4"));
            assert_eq!(
                changes(&host),
                [
                    "server.edit 42",
                    "server.enable 42",
                    "server.poweroff 42",
                    "iplist.delete 421",
                    "iplist.edit 420",
                    "server.edit 42",
                ]
            );
            assert!(stage.world().users.contains_key(&77), "the account stays");
        }
    }

    #[test]
    fn a_termination_that_breaks_anywhere_ends_the_same() {
        for (skipped, call) in [
            (0, "server.edit ok"),
            (0, "server.enable"),
            (0, "server.poweroff"),
            (0, "iplist.delete"),
            (0, "iplist.edit ok"),
            (1, "server.edit ok"),
            (0, "server"),
        ] {
            for how in BREAKS {
                if call == "server"
                    && matches!(how, stage::Break::Empty { .. } | stage::Break::Says { done: false, .. })
                {
                    continue;
                }
                let stage = Stage::with(blocked());
                stage.breaks_after(skipped, call, how);
                let host = stage.host();
                assert_eq!(to_end(|| end(&host)), Run::Ok(Ended::Gone), "{call} {how:?}");
                assert!(stage.world().machines[&42].is_for_sale(), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn a_repeated_termination_never_touches_the_next_customer() {
        let stage = Stage::with(Machine::sold());
        let host = stage.host();
        ok_of(end(&host));
        // The next customer's, a stranger's, and even the same customer's next machine.
        for (owner, notes) in [
            ("60", "[svc:whmcs/2000 op:x acc:60 client:whmcs/43]"),
            ("60", ""),
            ("77", "[svc:whmcs/2000 op:x acc:77 client:whmcs/42]"),
        ] {
            let next = Machine { owner: Some(owner.into()), notes: notes.into(), ..Machine::sold() };
            stage.world().machines.insert(42, next.clone());
            host.next_operation();
            let before = changes(&host).len();

            assert_eq!(end(&host), Run::Ok(Ended::Gone));

            assert_eq!((changes(&host).len(), &stage.world().machines[&42]), (before, &next), "{owner} {notes}");
            assert!(host.notes().iter().any(|note| note.contains("not touched")));
        }
    }

    #[test]
    fn a_machine_that_is_resold_in_the_middle_is_left_alone() {
        let stage = Stage::with(Machine::sold());
        stage.breaks("server.poweroff", stage::Break::NeverLeft);
        let host = stage.host();
        assert!(matches!(end(&host), Run::Fault(_)));
        let next = Machine { owner: Some("60".into()), notes: String::new(), ..Machine::sold() };
        stage.world().machines.insert(42, next.clone());

        assert_eq!(end(&host), Run::Ok(Ended::Gone));

        assert_eq!(stage.world().machines[&42], next);
    }

    #[test]
    fn the_already_gone_or_free_needs_no_call() {
        for machine in [None, Some(Machine::free(42))] {
            let stage = Stage::with(Machine::sold());
            match machine {
                None => drop(stage.world().machines.remove(&42)),
                Some(machine) => drop(stage.world().machines.insert(42, machine)),
            }
            let host = stage.host();
            assert_eq!(end(&host), Run::Ok(Ended::Gone));
            assert!(changes(&host).is_empty());
        }
    }

    #[test]
    fn what_a_crash_left_half_released_is_released() {
        let half = Machine {
            owner: Some(ADMIN.into()),
            addresses: vec![(420, "192.0.2.42".into(), "free.ds".into())],
            ..Machine::sold()
        };
        let stage = Stage::with(half);
        let host = stage.host();
        assert_eq!(end(&host), Run::Ok(Ended::Gone));
        assert!(stage.world().machines[&42].is_for_sale());
    }

    #[test]
    fn a_running_installation_is_cancelled_first() {
        let stage = Stage::with(Machine { install_left: Some(0), ..Machine::sold() });
        stage.world().slowness = 1_000;
        stage.world().machines.get_mut(&42).unwrap().install_left = Some(900);
        let host = stage.host();
        stage.world().machines.get_mut(&42).unwrap().on = false;
        assert_eq!(end(&host), Run::Ok(Ended::Gone));
        assert!(changes(&host).contains(&"server.opercancel 42".to_owned()));
    }

    #[test]
    fn a_machine_that_cannot_be_switched_off_is_given_back_all_the_same() {
        let mut machine = Machine::sold();
        machine.flags.insert("powererror");
        let stage = Stage::with(machine);
        stage.world().slowness = 1_000;
        stage.world().machines.get_mut(&42).unwrap().ports_left = 0;
        let host = stage.host();
        assert_eq!(end(&host), Run::Ok(Ended::Gone));
        assert!(host.notes().iter().any(|note| note.contains("cannot switch")));
    }

    #[test]
    fn a_service_without_an_id_finds_its_machine_by_the_mark() {
        let bare = || Service { remote_id: None, properties: Map::new(), ..stage::service() };
        let held = Machine { owner: Some(ADMIN.into()), ..Machine::sold() };
        let stage = Stage::with(held.clone());
        assert_eq!(end_for(&stage.host(), bare(), json!({})), Run::Ok(Ended::Gone));
        assert!(stage.world().machines[&42].is_for_sale());

        let stage = Stage::with(held.clone());
        stage.world().machines.insert(43, held);
        let host = stage.host();
        assert_eq!(fault(end_for(&host, bare(), json!({}))).class, FaultClass::AlreadyExists);
        assert!(changes(&host).is_empty());

        let host = Stage::new().host();
        assert_eq!(end_for(&host, bare(), json!({})), Run::Ok(Ended::Gone));
    }

    #[test]
    fn without_any_evidence_a_machine_is_not_taken_for_somebody_elses() {
        let bare = Service { properties: Map::new(), username: None, ..stage::service() };
        let host = Stage::with(Machine { notes: String::new(), ..Machine::sold() }).host();
        let fault = fault(end_for(&host, bare, json!({})));
        assert_eq!((fault.class, changes(&host).len()), (FaultClass::NotFound, 0));
        // The account's name is enough.
        let named = Service { properties: Map::new(), username: Some("client42".into()), ..stage::service() };
        let stage = Stage::with(Machine { notes: String::new(), ..Machine::sold() });
        assert_eq!(end_for(&stage.host(), named, json!({})), Run::Ok(Ended::Gone));
        assert!(stage.world().machines[&42].is_for_sale());
    }

    #[test]
    fn an_account_is_deleted_when_it_owns_nothing_and_the_product_says_so() {
        for (more, others, is_left) in [
            (json!({}), 0, true),
            (json!({ "delete_empty_account": true }), 0, false),
            (json!({ "delete_empty_account": true }), 1, true),
            (json!({ "delete_empty_account": true, "account": "client42" }), 0, true),
        ] {
            let stage = Stage::with(Machine::sold());
            if others > 0 {
                // Being prepared for him.
                let notes = "[svc:whmcs/3000 op:y acc:77 client:whmcs/42]".to_owned();
                stage.world().machines.insert(43, Machine { owner: Some(ADMIN.into()), notes, ..Machine::free(43) });
            }
            let host = stage.host();
            ok_of(end_for(&host, stage::service(), more.clone()));
            assert_eq!(stage.world().users.contains_key(&77), is_left, "{more} {others}");
            assert_eq!(end_for(&host, stage::service(), more.clone()), Run::Ok(Ended::Gone));
        }
    }
}
