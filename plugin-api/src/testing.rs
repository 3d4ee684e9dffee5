//! A scripted host, so that a plugin's tests need no network, no store and no runtime.
//!
//! ```
//! use billhook_plugin_api::testing::{Ended, ScriptedHost, reply};
//! use billhook_plugin_api::{Request, Time, every, within};
//!
//! let host = ScriptedHost::new(|request| match request.path.as_str() {
//!     "/jobs/1" => reply(200, r#"{"over":true}"#),
//!     _ => reply(404, "{}"),
//! });
//!
//! let ended = host.run(async |cx| {
//!     cx.wait_until("over", every(5.secs()), within(30.mins()), || async {
//!         Ok(cx.http(Request::get("/jobs/1")).await?.status == 200)
//!     })
//!     .await
//! });
//!
//! assert_eq!(ended, Ended::Ok(()));
//! ```

use crate::cx::Cx;
use crate::fault::{Fault, FaultClass};
use crate::guard::Guarded;
use crate::http::{Reply, Request};
use crate::protocol::{
    Answer, Claimed, HttpCall, Note, Now, Purpose, SecretValue, Sight, StepFound, StepGiven, StepKind, StepOpen,
    StepRan, Turn, UndoOpen, WaitLooked, WaitOpen, WaitTurn, op,
};
use billhook_abi::edge::{FfiFuture, FutureExt, RArc, RErr, ROk, RStr, TD_Opaque};
use billhook_abi::{CallError, CallMeta, CallResult, HostPort, HostPort_TO, Message, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What the scripted panel does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Scripted {
    /// It answers.
    Reply(Reply),
    /// Nothing reached it.
    NeverLeft,
    /// The request left, and no answer came.
    Lost,
}

/// A JSON answer.
pub fn reply(status: u16, body: impl Into<String>) -> Scripted {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Scripted::Reply(Reply { status, headers, body: body.into().into_bytes(), retry_after_ms: None })
}

/// An answer of another type.
pub fn reply_as(content_type: &str, status: u16, body: impl Into<Vec<u8>>) -> Scripted {
    let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
    Scripted::Reply(Reply { status, headers, body: body.into(), retry_after_ms: None })
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended<T> {
    /// The hook returned.
    Ok(T),
    /// The hook returned a fault.
    Fault(Fault),
    /// The step is in doubt: the host would wait out its settle time and run the hook again. Run again to go on.
    Settling(String),
    /// The step cannot be settled by looking: a person would decide.
    Attention(String),
}

/// A host that answers from a script and keeps a journal between runs. Clones share both.
#[derive(Clone)]
pub struct ScriptedHost {
    state: Arc<Mutex<State>>,
}

type Panel = Box<dyn FnMut(&Request) -> Scripted + Send>;

struct State {
    panel: Panel,
    journal: Vec<Entry>,
    exchanges: Vec<(Request, bool)>,
    notes: Vec<String>,
    claimed: BTreeSet<String>,
    secrets: Vec<String>,
    undoing: Option<Fault>,
    undo_asked: bool,
    ticket: Option<Ticket>,
    next_ticket: u64,
    parked: Option<Ended<()>>,
    now_ms: u64,
    wait_deadline: Option<u64>,
    /// How many entries this run has come to, in order.
    asked: usize,
}

struct Entry {
    name: String,
    open: StepOpen,
    given: Value,
    stage: Stage,
    doubted_before: bool,
}

#[derive(PartialEq)]
enum Stage {
    Begun,
    /// A wait that is not over.
    Waits,
    Doubted,
    Done(Value),
    Cleared,
}

#[derive(Clone, Copy)]
struct Ticket {
    number: u64,
    sent: Sent,
}

#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Nothing,
    NeverLeft,
    Lost,
    Answered,
}

impl ScriptedHost {
    /// A host whose panel is this function; it may hold state.
    pub fn new(panel: impl FnMut(&Request) -> Scripted + Send + 'static) -> Self {
        let state = State {
            panel: Box::new(panel),
            journal: Vec::new(),
            exchanges: Vec::new(),
            notes: Vec::new(),
            claimed: BTreeSet::new(),
            secrets: Vec::new(),
            undoing: None,
            undo_asked: false,
            ticket: None,
            next_ticket: 1,
            parked: None,
            now_ms: 1_800_000_000_000,
            wait_deadline: None,
            asked: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Another panel from here on; the journal stays.
    pub fn set_panel(&self, panel: impl FnMut(&Request) -> Scripted + Send + 'static) {
        self.lock().panel = Box::new(panel);
    }

    /// Says that the id belongs to another service.
    pub fn claim(&self, id: &str) {
        self.lock().claimed.insert(id.to_owned());
    }

    /// Runs a hook once, from its top, on the journal of the runs before.
    pub fn run<T, F>(&self, hook: F) -> Ended<T>
    where
        F: AsyncFnOnce(&Cx) -> Result<T, Fault>,
    {
        {
            let mut state = self.lock();
            state.parked = None;
            state.undo_asked = false;
            state.ticket = None;
            state.wait_deadline = None;
            state.asked = 0;
            for entry in &mut state.journal {
                if entry.stage == Stage::Begun {
                    entry.stage = Stage::Doubted;
                }
            }
        }
        let meta = CallMeta { call_id: 1, deadline_unix_ms: self.lock().now_ms + 120_000, flags: 0 };
        let cx = Cx::new(HostPort_TO::from_ptr(RArc::new(self.clone()), TD_Opaque), meta);
        let mut future = std::pin::pin!(hook(&cx));
        // Everything the scripted host answers is ready at once; what is not ready has been parked.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(value)) => match self.lock().passed_by() {
                Some(name) => {
                    Ended::Attention(format!("the hook ended without coming to {name}, which is in its journal"))
                }
                None => Ended::Ok(value),
            },
            Poll::Ready(Err(fault)) => Ended::Fault(fault),
            Poll::Pending => match self.lock().parked.take() {
                Some(Ended::Settling(step)) => Ended::Settling(step),
                Some(Ended::Attention(step)) => Ended::Attention(step),
                _ => Ended::Fault(Fault::plugin_bug("the hook waits for something that is not the host")),
            },
        }
    }

    /// The steps of the journal as the hook declared them: scope, settle time, whether the result is sealed or the remote id.
    pub fn steps(&self) -> Vec<StepOpen> {
        self.lock().journal.iter().map(|entry| entry.open.clone()).collect()
    }

    /// From here on another operation runs: the journal is empty, the panel stays.
    pub fn next_operation(&self) {
        let mut state = self.lock();
        state.journal.clear();
        state.undoing = None;
    }

    /// Every request so far with whether it was sent as a change.
    pub fn exchanges(&self) -> Vec<(Request, bool)> {
        self.lock().exchanges.clone()
    }

    /// `METHOD path` of the changes so far.
    pub fn changes(&self) -> Vec<String> {
        let state = self.lock();
        state.exchanges.iter().filter(|(_, change)| *change).map(|(r, _)| format!("{} {}", r.method, r.path)).collect()
    }

    /// Notes and progress texts so far.
    pub fn notes(&self) -> Vec<String> {
        self.lock().notes.clone()
    }

    /// Secrets that the hook made known.
    pub fn secrets(&self) -> Vec<String> {
        self.lock().secrets.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostPort for ScriptedHost {
    fn call(&self, meta: CallMeta, op: RStr<'_>, message: Message) -> FfiFuture<CallResult<Message>> {
        let (host, op) = (self.clone(), op.to_string());
        Guarded::new(meta.call_id, async move {
            let answered = host.lock().answer(&op, &message.head, message.body.into_vec());
            match answered {
                Ok(Some((head, body))) => ROk(Message { head: head.into(), body: body.into() }),
                // The hook is parked: as with the real host, it is never polled to an end.
                Ok(None) => std::future::pending().await,
                Err(fault) => {
                    let details = serde_json::to_vec(&fault).unwrap_or_default();
                    RErr(CallError::new(code::FAULT, fault.staff.clone()).with_details(details))
                }
            }
        })
        .into_ffi()
    }

    fn emit(&self, _call_id: u64, op: RStr<'_>, head: RStr<'_>) {
        if op.as_str() != op::PANIC
            && let Ok(note) = serde_json::from_str::<Note>(head.as_str())
        {
            self.lock().notes.push(note.text);
        }
    }
}

type Answered = Result<Option<(Vec<u8>, Vec<u8>)>, Fault>;

impl State {
    fn answer(&mut self, name: &str, head: &[u8], body: Vec<u8>) -> Answered {
        match name {
            op::HTTP => self.http(read(head)?, body),
            op::STEP_OPEN => self.step_open(read(head)?),
            op::STEP_GIVEN => self.step_given(read(head)?),
            op::STEP_FOUND => self.step_found(read(head)?),
            op::STEP_RAN => self.step_ran(read(head)?),
            op::CONVERGE_OPEN => {
                let ticket = self.issue();
                say(&Turn::Run { given: Value::Null, ticket })
            }
            op::CONVERGE_RAN => {
                let ran: StepRan = read(head)?;
                self.ticket = None;
                say(&match ran.answer {
                    Answer::Ok(result) => Turn::Done { result },
                    Answer::Fault(fault) => Turn::Fault { fault },
                })
            }
            op::WAIT_OPEN => {
                let open: WaitOpen = read(head)?;
                let at = self.reach(&open.name)?;
                let done = at.is_some_and(|at| matches!(self.journal[at].stage, Stage::Done(_)));
                if done {
                    return say(&WaitTurn::Ready);
                }
                if let Some(fault) = self.undoing.clone().filter(|_| !self.undo_asked) {
                    return say(&WaitTurn::Fault { fault });
                }
                if at.is_none() {
                    self.begin_wait(open.name.clone());
                }
                if open.sleep {
                    self.now_ms += open.within_ms;
                    self.end_wait(&open.name);
                    return say(&WaitTurn::Ready);
                }
                self.wait_deadline = Some(self.now_ms + open.within_ms);
                say(&WaitTurn::Look)
            }
            op::WAIT_LOOKED => {
                let looked: WaitLooked = read(head)?;
                self.now_ms += 5_000;
                if looked.answer == Answer::Ok(Value::Bool(true)) {
                    self.end_wait(&looked.name);
                    return say(&WaitTurn::Ready);
                }
                say(&match looked.answer {
                    _ if self.wait_deadline.is_some_and(|deadline| self.now_ms >= deadline) => WaitTurn::Fault {
                        fault: Fault::new(FaultClass::Timeout, format!("waited too long for {}", looked.name)),
                    },
                    Answer::Ok(_) => WaitTurn::Look,
                    Answer::Fault(fault) if fault.class.passes_by_itself() => WaitTurn::Look,
                    Answer::Fault(fault) => WaitTurn::Fault { fault },
                })
            }
            op::UNDO => {
                let undo: UndoOpen = read(head)?;
                self.undoing.get_or_insert(undo.fault);
                self.undo_asked = true;
                say(&())
            }
            op::CLAIMED => {
                let asked: Claimed = read(head)?;
                let ids = asked.ids.into_iter().filter(|id| self.claimed.contains(id)).collect();
                say(&Claimed { ids })
            }
            op::SECRET => {
                let secret: SecretValue = read(head)?;
                self.secrets.push(secret.value.expose().clone());
                say(&())
            }
            op::NOW => say(&Now { unix_ms: self.now_ms, deadline_unix_ms: self.now_ms + 120_000 }),
            other => Err(Fault::plugin_bug(format!("the scripted host has no {other}"))),
        }
    }

    fn http(&mut self, call: HttpCall, body: Vec<u8>) -> Answered {
        let HttpCall { purpose, mut request } = call;
        request.body = body;
        let change = matches!(purpose, Purpose::Change { .. });
        match (purpose, self.ticket) {
            (Purpose::Change { ticket }, Some(open)) if open.number == ticket && open.sent == Sent::Nothing => {}
            (Purpose::Change { .. }, _) => {
                return Err(Fault::plugin_bug("a change without a ticket that is good for it"));
            }
            (Purpose::Read, _) if !request.is_read() => {
                return Err(Fault::plugin_bug(format!("{} {} is not declared to read", request.method, request.path)));
            }
            _ => {}
        }
        self.exchanges.push((request.clone(), change));
        let scripted = (self.panel)(&request);
        let sent = match &scripted {
            Scripted::Reply(_) => Sent::Answered,
            Scripted::NeverLeft => Sent::NeverLeft,
            Scripted::Lost => Sent::Lost,
        };
        if change && let Some(ticket) = &mut self.ticket {
            ticket.sent = sent;
        }
        match scripted {
            Scripted::Reply(mut reply) => {
                let body = std::mem::take(&mut reply.body);
                Ok(Some((write(&reply)?, body)))
            }
            Scripted::NeverLeft => Err(Fault::new(FaultClass::Unreachable, "nothing reached the panel")),
            Scripted::Lost => Err(Fault::new(FaultClass::InDoubt, "no answer came")),
        }
    }

    fn step_open(&mut self, open: StepOpen) -> Answered {
        let undoing = self.undoing.clone().filter(|_| !self.undo_asked);
        let Some(at) = self.reach(&open.name)? else {
            if let Some(fault) = undoing {
                return say(&Turn::Fault { fault });
            }
            let name = open.name.clone();
            self.journal.push(Entry { name, open, given: Value::Null, stage: Stage::Cleared, doubted_before: false });
            self.asked = self.journal.len();
            return self.begin(self.journal.len() - 1);
        };
        let entry = &mut self.journal[at];
        entry.open = open;
        let given = entry.given.clone();
        match (&entry.stage, entry.open.kind) {
            (Stage::Done(result), _) => say(&Turn::Done { result: result.clone() }),
            _ if undoing.is_some() => say(&Turn::Fault { fault: undoing.unwrap_or_else(|| Fault::plugin_bug("")) }),
            (Stage::Cleared, _) => self.begin(at),
            (_, StepKind::Differ) => say(&Turn::Find { given }),
            (_, StepKind::Ensure | StepKind::Record) => self.rerun(at),
            (_, StepKind::Once) => self.park(Ended::Attention(self.journal[at].name.clone())),
        }
    }

    /// The entry of that name, if there is one; like the host, it refuses what is not reached in the journal's order.
    fn reach(&mut self, name: &str) -> Result<Option<usize>, Fault> {
        let at = self.journal.iter().position(|entry| entry.name == name);
        let to = at.unwrap_or(self.journal.len());
        let passed = self.journal.get(self.asked..to).unwrap_or_default();
        if to < self.asked || passed.iter().any(|entry| entry.stage != Stage::Cleared) {
            return Err(Fault::plugin_bug(format!("{name} was not reached in the order of the journal")));
        }
        self.asked = at.map_or(self.asked, |at| at + 1);
        Ok(at)
    }

    /// What the journal holds and this run did not come to.
    fn passed_by(&self) -> Option<String> {
        let rest = self.journal.get(self.asked..).unwrap_or_default();
        rest.iter().find(|entry| entry.stage != Stage::Cleared).map(|entry| entry.name.clone())
    }

    fn begin_wait(&mut self, name: String) {
        let open = StepOpen {
            name: name.clone(),
            kind: StepKind::Record,
            scope: None,
            settle: crate::protocol::Settle::default(),
            remote_id: false,
            sealed: false,
            can_find: false,
            can_adopt: false,
        };
        self.journal.push(Entry { name, open, given: Value::Null, stage: Stage::Waits, doubted_before: false });
        self.asked = self.journal.len();
    }

    fn end_wait(&mut self, name: &str) {
        if let Some(entry) = self.journal.iter_mut().find(|entry| entry.name == name) {
            entry.stage = Stage::Done(Value::Null);
        }
    }

    fn begin(&mut self, at: usize) -> Answered {
        if self.journal[at].open.kind == StepKind::Differ {
            return say(&Turn::Given);
        }
        self.rerun(at)
    }

    fn rerun(&mut self, at: usize) -> Answered {
        self.journal[at].stage = Stage::Begun;
        let ticket = self.issue();
        say(&Turn::Run { given: self.journal[at].given.clone(), ticket })
    }

    fn step_given(&mut self, given: StepGiven) -> Answered {
        let at = self.entry(&given.name)?;
        match given.given {
            Answer::Ok(value) => {
                self.journal[at].given = value;
                self.rerun(at)
            }
            Answer::Fault(fault) => say(&Turn::Fault { fault }),
        }
    }

    fn step_found(&mut self, found: StepFound) -> Answered {
        let at = self.entry(&found.name)?;
        match found.sight {
            Sight::Found(result) => self.done(at, result),
            Sight::Absent => self.rerun(at),
            Sight::Never | Sight::Gone => {
                self.journal[at].doubted_before = false;
                say(&Turn::Given)
            }
            Sight::Unknown(_) => self.park(Ended::Attention(found.name)),
            Sight::Fault(fault) => say(&Turn::Fault { fault }),
        }
    }

    fn step_ran(&mut self, ran: StepRan) -> Answered {
        let at = self.entry(&ran.name)?;
        let sent = self.ticket.take().map_or(Sent::Nothing, |ticket| ticket.sent);
        match ran.answer {
            Answer::Ok(result) => self.done(at, result),
            Answer::Fault(fault) => {
                let entry = &mut self.journal[at];
                let nothing =
                    matches!(sent, Sent::Nothing | Sent::NeverLeft) || (sent == Sent::Answered && fault.refused);
                if nothing && !entry.doubted_before {
                    entry.stage = Stage::Cleared;
                    return say(&Turn::Fault { fault });
                }
                entry.stage = Stage::Doubted;
                entry.doubted_before = true;
                self.park(Ended::Settling(ran.name))
            }
        }
    }

    fn done(&mut self, at: usize, result: Value) -> Answered {
        self.journal[at].stage = Stage::Done(result.clone());
        say(&Turn::Done { result })
    }

    fn entry(&self, name: &str) -> Result<usize, Fault> {
        self.journal
            .iter()
            .position(|entry| entry.name == name)
            .ok_or_else(|| Fault::plugin_bug(format!("no step {name} is open")))
    }

    fn issue(&mut self) -> u64 {
        self.next_ticket += 1;
        self.ticket = Some(Ticket { number: self.next_ticket, sent: Sent::Nothing });
        self.next_ticket
    }

    fn park(&mut self, ended: Ended<()>) -> Answered {
        self.parked = Some(ended);
        Ok(None)
    }
}

fn read<T: DeserializeOwned>(head: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(head).map_err(|error| Fault::plugin_bug(format!("the head is not understood: {error}")))
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| Fault::plugin_bug(format!("the answer cannot be written: {error}")))
}

fn say(value: &impl Serialize) -> Answered {
    Ok(Some((write(value)?, Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cx::{Time as _, every, within};

    #[test]
    fn a_hook_that_passes_a_step_of_its_journal_by_is_shown() {
        let host = ScriptedHost::new(|_| reply(200, "{}"));
        let made = host.run(async |cx| {
            cx.step("plan").record(|| async { Ok(1) }).await?;
            cx.wait_until("ready", every(5.secs()), within(1.mins()), || async { Ok(true) }).await
        });
        assert_eq!(made, Ended::Ok(()));

        let skipped = host.run(async |cx| cx.step("plan").record(|| async { Ok(1) }).await.map(|_: i32| ()));
        assert!(matches!(skipped, Ended::Attention(_)), "{skipped:?}");
        let turned =
            host.run(async |cx| cx.wait_until("ready", every(5.secs()), within(1.mins()), || async { Ok(true) }).await);
        assert!(matches!(turned, Ended::Fault(_)), "{turned:?}");
    }

    #[test]
    fn the_journal_shows_what_a_step_declared() {
        let host = ScriptedHost::new(|_| reply(200, "{}"));
        host.run(async |cx| cx.step("secret").scope("owner").sealed().record(|| async { Ok("x".to_owned()) }).await);
        let steps = host.steps();
        assert_eq!((steps[0].scope.as_deref(), steps[0].sealed), (Some("owner"), true));
    }
}
