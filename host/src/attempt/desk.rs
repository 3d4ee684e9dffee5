use super::{Session, lull};
use billhook_abi::edge::{FfiFuture, FutureExt, RArc, RErr, ROk, RStr, TD_Opaque};
use billhook_abi::{CallError, CallMeta, CallResult, HostObject, HostPort, HostPort_TO, Message, code};
use billhook_plugin_api::guard::{Guarded, catch};
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// The host's side of the ABI: every call of a plugin comes in here and goes to its attempt.
#[derive(Default)]
pub struct Desk {
    sessions: Mutex<HashMap<u64, Arc<Session>>>,
}

impl Desk {
    /// The object that is handed to a plugin when it is opened.
    pub fn host_object(self: &Arc<Self>) -> HostObject {
        HostPort_TO::from_ptr(RArc::new(Port(Arc::clone(self))), TD_Opaque)
    }

    pub(super) fn enter(&self, session: Arc<Session>) {
        self.sessions().insert(session.call_id, session);
    }

    pub(super) fn leave(&self, call_id: u64) {
        self.sessions().remove(&call_id);
    }

    /// Whether hardly more than one attempt is getting on; see [`lull`].
    pub(super) fn is_quiet(&self, now: impl FnOnce() -> Duration) -> bool {
        lull::is_quiet(self.sessions().values().map(|session| &session.lull), now)
    }

    fn find(&self, call_id: u64) -> Option<Arc<Session>> {
        self.sessions().get(&call_id).cloned()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Port(Arc<Desk>);

impl HostPort for Port {
    fn call(&self, meta: CallMeta, op: RStr<'_>, message: Message) -> FfiFuture<CallResult<Message>> {
        let found = self.0.find(meta.call_id);
        let op = op.to_string();
        Guarded::new(meta.call_id, async move {
            let Some(session) = found else {
                return RErr(CallError::new(code::NO_SUCH_CALL, "this attempt has ended"));
            };
            let runtime = session.env.host_runtime.clone();
            let mut work = Box::pin(async move { session.answer(&op, message).await });
            // Most answers are there at once, and a change of threads costs more than they do.
            let at_once = poll_fn(|context| {
                let _host = runtime.enter();
                Poll::Ready(catch(|| work.as_mut().poll(context)).map_err(|panicked| panicked.to_string()))
            });
            let answered = match at_once.await {
                Ok(Poll::Ready(answered)) => Ok(answered),
                // On the host's runtime, so that a plugin that blocks its thread does not hold up a connection. The work
                // ends with the plugin's call: a parked hook asks for nothing more.
                Ok(Poll::Pending) => {
                    let mut work = AbortOnDrop(runtime.spawn(work));
                    (&mut work.0).await.map_err(|join| join.to_string())
                }
                Err(panicked) => Err(panicked),
            };
            match answered {
                Ok(Ok(Some(reply))) => ROk(reply),
                Ok(Ok(None)) => std::future::pending().await,
                Ok(Err(fault)) => RErr(
                    CallError::new(code::FAULT, fault.staff.clone())
                        .with_details(serde_json::to_vec(&fault).unwrap_or_default()),
                ),
                Err(why) => RErr(CallError::new(code::PANICKED, format!("the host failed: {why}"))),
            }
        })
        .into_ffi()
    }

    fn emit(&self, call_id: u64, op: RStr<'_>, head: RStr<'_>) {
        if let Some(session) = self.0.find(call_id) {
            // A panic here would cross into the plugin.
            let _ = catch(|| session.hear(op.as_str(), head.as_str()));
        }
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
