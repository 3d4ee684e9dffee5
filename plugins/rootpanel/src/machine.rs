//! `power`, `reinstall` and `console`: what is done to the machine of an order.

use crate::codes;
use crate::command::Command;
use crate::envelope::{self, misfit};
use crate::order::State;
use crate::settings::{Id, Product};
use crate::{RootPanel, panel};
use billhook_plugin_api::{
    Change, Console, ConsoleAccess, Cx, Fault, FaultClass, Find, Power, PowerAction, Reinstall, Secret, Settle, Time,
    every, within,
};
use serde::{Deserialize, Serialize};

/// How long a reinstallation may show no sign before a person is asked, in milliseconds.
const SIGN_WITHIN_MS: u64 = 30 * 60_000;

/// Gives the machine a signal. The panel tells no power state, so that nothing can be found to be so already.
pub async fn power(panel: &RootPanel, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
    let id = &panel::order_id(&request.service)?;
    let command = match request.action {
        PowerAction::Start => Command::StartServer,
        PowerAction::Shutdown => Command::ShutdownServer,
        PowerAction::Reboot => Command::RebootServer,
        PowerAction::Reset => Command::ResetServer,
        PowerAction::Stop => {
            return Err(Fault::unsupported("power stop: the panel has no hard power-off; use shutdown, or reset"));
        }
    };
    let signal = |send: billhook_plugin_api::SendHandle| async move {
        let reply = send.call(panel.caller.of_order(command, id)).await?;
        envelope::read(&reply, command).map(|answer| answer.pending(command))
    };
    let pending = if request.action.is_convergent() {
        cx.converge(signal).await?
    } else {
        cx.step(request.action.as_str()).once(signal).await?
    };
    Ok(Change { pending, ..Change::done() })
}

/// What was known before a reinstallation.
#[derive(Serialize, Deserialize)]
struct Before {
    at_ms: u64,
}

/// Access data of before; sealed.
#[derive(Serialize, Deserialize)]
struct Known {
    password: Option<Secret<String>>,
}

/// What became of it; sealed.
#[derive(Default, Serialize, Deserialize)]
struct Reinstalled {
    code: Option<i64>,
    password: Option<Secret<String>>,
}

/// Installs the machine anew.
///
/// It is never sent a second time by itself: what was lost is looked for by its signs, the order at work or a new password.
pub async fn reinstall(panel: &RootPanel, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
    let Reinstall { service, product, password } = request;
    let product = &product;
    let id = &panel::order_id(&service)?;
    let osid =
        product.osid.as_ref().ok_or_else(|| Fault::invalid_input("a reinstallation needs `osid`").with_code("48"))?;
    if password.is_some() {
        cx.note("the panel takes no chosen password; it makes one itself");
    }

    let known: Known = cx
        .step("known")
        .sealed()
        .record(|| async { Ok(Known { password: panel::order(panel, cx, id).await?.password }) })
        .await?;
    let known = &known;
    cx.progress(10, "asking the panel to install the system anew");
    let done: Reinstalled = cx
        .step("reinstall")
        .scope(format!("order:{id}"))
        .settle(Settle { first_ms: 30_000, looks: 3, apart_ms: 120_000, refuses_twice: false })
        .sealed()
        .given(|| async { Ok(Before { at_ms: cx.now().await? }) })
        .find(|before: Before| async move { sign(panel, cx, id, known, &before).await })
        // A person's word that it was installed: they named the order, and its password is read again.
        .adopt(|named| async move {
            if named.trim() != id.as_str() {
                return Ok(Find::Absent);
            }
            let password = fresh(panel::order(panel, cx, id).await?.password, known);
            Ok(Find::Found(Reinstalled { code: None, password }))
        })
        .run(|_, send| async move {
            let reply = send.call(panel.caller.reinstall(id, osid, product.panelid.as_ref())).await?;
            match envelope::read(&reply, Command::ReinstallOrder) {
                Ok(answer) => {
                    let password = answer.tree.text("serverpassword").map(Secret::new);
                    Ok(Reinstalled { code: answer.code, password })
                }
                // One that was queued before is what was asked for; a second one must not be queued.
                Err(fault) if codes::is(&fault, &[codes::QUEUED]) => {
                    Ok(Reinstalled { code: Some(codes::QUEUED), password: None })
                }
                Err(fault) => Err(fault),
            }
        })
        .await?;

    let mut change = Change { pending: codes::pending(done.code), ..Change::done() };
    let mut password = done.password.clone();
    if change.pending.is_none() && !panel.is_test() {
        cx.progress(50, "accepted; waiting until the panel has installed it");
        cx.wait_until("reinstalled", every(30.secs()), within(120.mins()), || async move {
            Ok(!matches!(panel::order(panel, cx, id).await?.state, State::Working | State::Waiting))
        })
        .await?;
        password = password.or(fresh(panel::order(panel, cx, id).await?.password, known));
    }
    if let Some(password) = password {
        cx.secret(password.expose()).await?;
        change.secrets.insert("root_password".into(), password);
    }
    Ok(change)
}

/// Looks for a sign of a reinstallation whose answer was lost.
async fn sign(panel: &RootPanel, cx: &Cx, id: &Id, known: &Known, before: &Before) -> Result<Find<Reinstalled>, Fault> {
    let order = panel::order(panel, cx, id).await?;
    if order.state == State::Working || fresh(order.password.clone(), known).is_some() {
        return Ok(Find::Found(Reinstalled { code: None, password: fresh(order.password, known) }));
    }
    let what = "neither is the panel at work on the order nor has it a new password";
    if cx.now().await?.saturating_sub(before.at_ms) < SIGN_WITHIN_MS {
        return Err(Fault::new(FaultClass::ConflictBusy, what).retry_after_ms(Some(60_000)));
    }
    Ok(Find::Unknown(format!(
        "{what}: if the system was installed anew, settle this with the order's id; if not, give it up and send it again"
    )))
}

/// The password, if it is another than before.
fn fresh(password: Option<Secret<String>>, known: &Known) -> Option<Secret<String>> {
    password.filter(|password| known.password.as_ref() != Some(password))
}

/// Asks for the console. Its address and password are good for each other only.
pub async fn console(panel: &RootPanel, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
    let id = panel::order_id(&request.service)?;
    let reply = cx.http(panel.caller.of_order(Command::GetVnc, &id)).await?;
    let answer = envelope::read(&reply, Command::GetVnc)?;
    let url = answer.tree.text("wss_url").ok_or_else(|| misfit("wss_url"))?;
    if !url.starts_with("wss://") {
        return Err(misfit("wss_url"));
    }
    let password = answer.tree.text("password").map(Secret::new);
    Ok(ConsoleAccess {
        url: Secret::new(url),
        password,
        username: None,
        kind: "vnc_websocket".into(),
        expires_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Later, Row, Stage, changes};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::json;

    fn powered(host: &ScriptedHost, action: PowerAction) -> Ended<Change> {
        let request = Power { service: stage::service(), product: stage::product(json!({})), action };
        host.run(async |cx| stage::provider().power(cx, request).await)
    }

    fn reinstalled(host: &ScriptedHost) -> Ended<Change> {
        let request = Reinstall { service: stage::service(), product: stage::product(json!({})), password: None };
        host.run(async |cx| stage::provider().reinstall(cx, request).await)
    }

    fn console(host: &ScriptedHost) -> Ended<ConsoleAccess> {
        let request = Console { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().console(cx, request).await)
    }

    fn says(done: bool, body: &'static str) -> Break {
        Break::Says { done, body }
    }

    #[test]
    fn every_signal_is_its_command_and_a_hard_stop_is_none() {
        for (action, command) in [
            (PowerAction::Start, "startServer"),
            (PowerAction::Shutdown, "shutdownServer"),
            (PowerAction::Reboot, "rebootServer"),
            (PowerAction::Reset, "resetServer"),
        ] {
            let stage = Stage::with(Row::active());
            assert_eq!(powered(&stage.host(), action), Ended::Ok(Change::done()));
            assert_eq!(stage.world().signals, [command]);
        }
        let host = Stage::with(Row::active()).host();
        let Ended::Fault(fault) = powered(&host, PowerAction::Stop) else { panic!() };
        assert_eq!((fault.class, host.exchanges().len()), (FaultClass::Unsupported, 0));
    }

    #[test]
    fn a_reboot_in_doubt_is_for_a_person_and_a_refused_one_is_sent_again() {
        for (how, doubted) in [
            (Break::Lost { done: true }, true),
            (Break::Page { done: true, status: 200 }, true),
            (Break::NeverLeft, false),
            (says(false, r#"{"status":"ERROR","errorCode":1}"#), false),
            (says(false, r#"{"status":"ERROR","errorCode":55}"#), false),
        ] {
            let stage = Stage::with(Row::active());
            stage.breaks("rebootServer", how.clone());
            let host = stage.host();
            powered(&host, PowerAction::Reboot);
            let second = powered(&host, PowerAction::Reboot);
            assert_eq!(second == Ended::Attention("reboot".into()), doubted, "{how:?}: {second:?}");
            assert_eq!(stage.world().signals.len(), 1, "{how:?}");
        }
    }

    #[test]
    fn a_start_in_doubt_is_sent_again() {
        let stage = Stage::with(Row::active());
        stage.breaks("startServer", Break::Lost { done: true });
        let host = stage.host();
        assert!(matches!(powered(&host, PowerAction::Start), Ended::Fault(_)));
        assert_eq!(powered(&host, PowerAction::Start), Ended::Ok(Change::done()));
    }

    #[test]
    fn an_older_panel_without_the_command_is_not_asked_another_way() {
        let stage = Stage::with(Row::active());
        stage.breaks("rebootServer", says(false, r#"{"status":"ERROR","errorCode":8}"#));
        let host = stage.host();
        let Ended::Fault(fault) = powered(&host, PowerAction::Reboot) else { panic!() };
        assert_eq!((fault.class, changes(&host).len()), (FaultClass::Unsupported, 1));
    }

    #[test]
    fn a_reinstallation_runs_once_and_gives_the_new_password() {
        let stage = Stage::with(Row::active());
        stage.world().slowness = 3;
        let host = stage.host();

        let Ended::Ok(done) = reinstalled(&host) else { panic!() };
        let Ended::Ok(again) = reinstalled(&host) else { panic!() };

        assert_eq!(done.secrets["root_password"].expose(), "made-for-50100-2");
        assert_eq!(done, again);
        assert_eq!(stage.world().orders[&50_100].installs, 2);
        assert!(host.secrets().contains(&"made-for-50100-2".to_owned()));
        assert!(host.steps().iter().filter(|step| step.name != "reinstalled").all(|step| step.sealed));
    }

    #[test]
    fn a_lost_reinstallation_is_found_by_its_signs_and_never_sent_again() {
        for slowness in [0, 3] {
            let stage = Stage::with(Row::active());
            stage.world().slowness = slowness;
            stage.breaks("reinstallOrder", Break::Lost { done: true });
            let host = stage.host();
            assert_eq!(reinstalled(&host), Ended::Settling("reinstall".into()));

            let Ended::Ok(done) = reinstalled(&host) else { panic!("{slowness}") };

            assert_eq!(done.secrets["root_password"].expose(), "made-for-50100-2", "{slowness}");
            assert_eq!(changes(&host), ["reinstallOrder"]);
        }
        let stage = Stage::with(Row::active());
        stage.breaks("reinstallOrder", Break::Lost { done: false });
        let host = stage.host();
        assert_eq!(reinstalled(&host), Ended::Settling("reinstall".into()));
        let Ended::Fault(fault) = reinstalled(&host) else { panic!() };
        assert_eq!((fault.class, changes(&host).len()), (FaultClass::ConflictBusy, 1));
    }

    #[test]
    fn one_that_is_queued_already_is_pending_and_not_queued_twice() {
        let stage = Stage::with(Row { state: 3, work: Some((50, 1)), ..Row::active() });
        let host = stage.host();
        let Ended::Ok(done) = reinstalled(&host) else { panic!() };
        assert!(done.pending.unwrap().contains("44"));
        assert_eq!(stage.world().orders[&50_100].installs, 1);

        let stage = Stage::with(Row::active());
        stage.world().later = Some(Later { code: 30, ..Later::default() });
        let Ended::Ok(done) = reinstalled(&stage.host()) else { panic!() };
        assert!(done.pending.unwrap().contains("staff"));
    }

    #[test]
    fn a_reinstallation_needs_an_operating_system() {
        let host = Stage::with(Row::active()).host();
        let product = stage::product(json!({ "osid": null }));
        let request = Reinstall { service: stage::service(), product, password: None };
        let ended = host.run(async |cx| stage::provider().reinstall(cx, request).await);
        let Ended::Fault(fault) = ended else { panic!() };
        assert_eq!((fault.class, host.exchanges().len()), (FaultClass::InvalidInput, 0));
    }

    #[test]
    fn a_console_is_read_and_nothing_of_it_is_kept() {
        let stage = Stage::with(Row::active());
        let host = stage.host();
        let Ended::Ok(access) = console(&host) else { panic!() };
        assert_eq!(access.url.expose(), "wss://vnc.example/abc?token=t0ken");
        assert_eq!(access.password.unwrap().expose(), "vnc-password");
        assert_eq!((changes(&host).len(), host.steps().len()), (0, 0));

        for body in [r#"{"status":"SUCCESS"}"#, r#"{"status":"SUCCESS","wss_url":"javascript:x"}"#] {
            stage.breaks("getVnc", says(false, body));
            let Ended::Fault(fault) = console(&host) else { panic!() };
            assert_eq!(fault.class, FaultClass::PanelBug);
            assert!(!fault.staff.contains("javascript"));
        }
    }
}
