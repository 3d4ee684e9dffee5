//! One run of an operation, or one reading hook: calls the plugin, answers what it asks for, and concludes.
//!
//! The plugin's code runs on threads of its own; what it asks for is done on the host's. The attempt, not the plugin,
//! decides how it ends: when it parks or its deadline passes, the plugin's future is dropped and never polled again.

mod changes;
mod conclude;
mod crew;
mod desk;
mod env;
mod evidence;
mod exchange;
mod hold;
mod lull;
mod room;
mod session;
mod steps;
pub(crate) mod times;
mod waits;

pub use crew::Crew;
pub use desk::Desk;
pub use env::{Env, EnvParts, Moment, Tap, TapFuture};
pub use room::{Placing, Told};
pub use session::{Conclusion, Ended, Session, Subject};

use crate::clock::Sleep;
use crate::operation::State;
use crate::panel::{Panel, millis};
use crate::store::Traveller;
use crate::verdict::End;
use billhook_abi::edge::{RErr, ROk, RStr};
use billhook_abi::{CallMeta, Message, code};
use billhook_plugin_api::guard::Guarded;
use billhook_plugin_api::protocol::{HookCall, Outcome};
use billhook_plugin_api::{Fault, Hook};
use std::sync::Arc;
use std::time::Duration;

/// Runs the plugin once and concludes.
///
/// `deadline` is from now; `traveller` is set for what ends in a commit. Never fails: what goes wrong is part of the conclusion.
pub async fn run(
    env: &Arc<Env>,
    panel: &Arc<Panel>,
    subject: Subject,
    call: &HookCall,
    deadline: Duration,
    traveller: Option<Traveller>,
) -> Conclusion {
    let hook = subject.hook();
    let session = Session::open(env, panel, subject, call, deadline, traveller);
    let mut sleep = env.clock.sleep(deadline);
    let ended = if session.is_overtaken() {
        // Terminating what is gone succeeds, and there is nothing left to ask the panel about.
        Ended::End(End::Returned(Box::new(Outcome { noop: true, gone: Some(true), ..Outcome::default() })))
    } else {
        match room::look(&session, call, &mut sleep).await {
            Some(ended) => ended,
            None => drive(&session, hook, call, &mut sleep).await,
        }
    };
    env.desk.leave(session.call_id);
    if matches!(ended, Ended::End(End::Panicked(_))) {
        env.metrics.panicked(&panel.provider.manifest.name);
    }
    session.conclude(ended).await
}

async fn drive(session: &Arc<Session>, hook: Hook, call: &HookCall, deadline: &mut Sleep) -> Ended {
    let env = &session.env;
    let head = match serde_json::to_vec(call) {
        Ok(head) => head,
        Err(error) => return Ended::End(End::Fault(Fault::plugin_bug(format!("the hook cannot be written: {error}")))),
    };
    env.desk.enter(Arc::clone(session));
    let meta = CallMeta { call_id: session.call_id, deadline_unix_ms: session.deadline_unix_ms, flags: 0 };
    let message = Message { head: head.into(), body: Vec::new().into() };
    let called = session.panel.plugin.call(meta, RStr::from(hook.as_str()), message);
    let asked = Arc::clone(session);
    let work = async move {
        let returned = called.await;
        asked.prepare_all().await;
        returned
    };
    // The plugin guards its own future; the host's guard is for one that does not.
    let plugin = env.crew.run(Guarded::new(session.call_id, work));
    tokio::select! {
        biased;
        ended = session.ended() => ended,
        returned = plugin => match returned {
            Some(ROk(reply)) => match serde_json::from_slice::<Outcome>(&reply.head) {
                Ok(outcome) => Ended::End(End::Returned(Box::new(outcome))),
                Err(error) => Ended::End(End::Fault(Fault::plugin_bug(format!("the outcome is not understood: {error}")))),
            },
            Some(RErr(error)) if error.code == code::FAULT => Ended::End(End::Fault(
                serde_json::from_slice(&error.details).unwrap_or_else(|_| Fault::plugin_bug(error.message.to_string())),
            )),
            Some(RErr(error)) if error.code == code::PANICKED => Ended::End(End::Panicked(error.message.to_string())),
            Some(RErr(error)) => Ended::End(End::Fault(Fault::plugin_bug(error.message.to_string()))),
            // The host is going down, and nobody hears of it any more.
            None => Ended::End(End::Deadline),
        },
        () = deadline => Ended::End(End::Deadline),
    }
}

/// How a state reads as the end of an attempt.
fn end_word(state: State) -> &'static str {
    match state {
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
        State::Attention => "attention",
        State::Queued | State::Waiting | State::Running => "put_off",
    }
}

fn deadline_unix(env: &Env, deadline: Duration) -> u64 {
    env.clock.unix_ms().saturating_add(millis(deadline))
}
