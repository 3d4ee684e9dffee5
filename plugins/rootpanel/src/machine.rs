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
    Ok(Find::Unknown(format!("{what}: if the system was not installed anew, give this up and send it again")))
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
