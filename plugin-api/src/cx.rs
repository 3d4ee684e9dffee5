use crate::fault::{Fault, FaultClass};
use crate::http::{Reply, Request};
use crate::protocol::{
    Answer, Claimed, HttpCall, Note, Now, Progress, Purpose, SecretValue, StepRan, Turn, UndoOpen, WaitLooked,
    WaitOpen, WaitTurn, op,
};
use crate::secret::Secret;
use crate::step::{Step, StepName};
use billhook_abi::edge::{RResult, RStr};
use billhook_abi::{CallMeta, HostObject, Message, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// All that a hook may use: the panel, the journal, the clock, the log.
///
/// Cheap to clone; good for one attempt. Ask for one thing at a time: steps and waits of one hook do not overlap, and the
/// host refuses a second one while one is open.
#[derive(Clone)]
pub struct Cx {
    inner: Arc<Inner>,
}

struct Inner {
    host: HostObject,
    meta: CallMeta,
}

/// A message of the host: its head and its body.
type Called<'a> = Pin<Box<dyn Future<Output = Result<(Vec<u8>, Vec<u8>), Fault>> + Send + 'a>>;

/// Time between two looks of [`Cx::wait_until`].
#[derive(Debug, Clone, Copy)]
pub struct Every(Duration);

/// Longest time of [`Cx::wait_until`].
#[derive(Debug, Clone, Copy)]
pub struct Within(Duration);

/// Reads well in [`Cx::wait_until`].
pub const fn every(time: Duration) -> Every {
    Every(time)
}

/// Reads well in [`Cx::wait_until`].
pub const fn within(time: Duration) -> Within {
    Within(time)
}

/// `5.secs()`, `30.mins()`.
pub trait Time {
    /// Seconds.
    fn secs(self) -> Duration;
    /// Minutes.
    fn mins(self) -> Duration;
}

impl Time for u64 {
    fn secs(self) -> Duration {
        Duration::from_secs(self)
    }

    fn mins(self) -> Duration {
        Duration::from_secs(self * 60)
    }
}

impl Cx {
    /// Used by the export glue and by the scripted host of `testing`.
    #[doc(hidden)]
    pub fn new(host: HostObject, meta: CallMeta) -> Self {
        Self { inner: Arc::new(Inner { host, meta }) }
    }

    /// Reads from the panel.
    ///
    /// The request must be a `GET`, a `HEAD`, or declared [`Request::reading`]; anything else is `plugin_bug`, and
    /// nothing is sent.
    ///
    /// # Errors
    ///
    /// `unreachable` (never left), `in_doubt` (left, no answer), `timeout`; an answer of any status is no error.
    pub async fn http(&self, request: Request) -> Result<Reply, Fault> {
        self.exchange(Purpose::Read, request).await
    }

    /// Signs in (a session, a one-time key): repeatable and outside of steps.
    pub async fn sign_in(&self, request: Request) -> Result<Reply, Fault> {
        self.exchange(Purpose::SignIn, request).await
    }

    /// Begins a step. The name is unique within the hook; in loops it is `("ip", n)`.
    pub fn step(&self, name: impl Into<StepName>) -> Step<'_> {
        Step::new(self, name.into())
    }

    /// Makes a change that sets the same state however often it is repeated.
    ///
    /// Only in hooks that [`Facts::convergent`](crate::Facts::convergent) names. At most one changing exchange per call. After a crash or
    /// a lost answer the whole hook runs again once the settle time has passed.
    pub async fn converge<T, F, Fut>(&self, run: F) -> Result<T, Fault>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(SendHandle) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        match self.ask::<Turn>(op::CONVERGE_OPEN, &()).await? {
            Turn::Run { ticket, .. } => {
                let answer = answer(run(SendHandle { cx: self.clone(), ticket }).await);
                match self.ask::<Turn>(op::CONVERGE_RAN, &StepRan { name: String::new(), ticket, answer }).await? {
                    Turn::Done { result } => typed(result),
                    Turn::Fault { fault } => Err(fault),
                    other => Err(unexpected(&other)),
                }
            }
            // Done by an earlier run of this operation, which then waited.
            Turn::Done { result } => typed(result),
            Turn::Fault { fault } => Err(fault),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until `look` says `true`. The attempt ends meanwhile, holds nothing, and is taken up again in time.
    ///
    /// `within` counts from the first time that this operation came here, over restarts.
    ///
    /// # Errors
    ///
    /// `timeout` when `within` has passed; a fault of `look`, except those that pass by themselves (`unreachable`,
    /// `rate_limited`, ...), after which it simply looks again.
    pub async fn wait_until<F, Fut>(
        &self,
        name: impl Into<StepName>,
        every: Every,
        within: Within,
        look: F,
    ) -> Result<(), Fault>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool, Fault>>,
    {
        let name = name.into().to_string();
        let open =
            WaitOpen { name: name.clone(), every_ms: millis(every.0), within_ms: millis(within.0), sleep: false };
        let mut turn = self.ask::<WaitTurn>(op::WAIT_OPEN, &open).await?;
        loop {
            match turn {
                WaitTurn::Ready => return Ok(()),
                WaitTurn::Fault { fault } => return Err(fault),
                WaitTurn::Look => {
                    let looked = WaitLooked { name: name.clone(), answer: answer(look().await) };
                    turn = self.ask(op::WAIT_LOOKED, &looked).await?;
                }
            }
        }
    }

    /// Lets time pass, durably, as [`Cx::wait_until`] does.
    pub async fn sleep(&self, name: impl Into<StepName>, time: Duration) -> Result<(), Fault> {
        let ms = millis(time);
        let open = WaitOpen { name: name.into().to_string(), every_ms: ms, within_ms: ms, sleep: true };
        match self.ask::<WaitTurn>(op::WAIT_OPEN, &open).await? {
            WaitTurn::Ready => Ok(()),
            WaitTurn::Fault { fault } => Err(fault),
            WaitTurn::Look => Err(Fault::plugin_bug("the host asked a sleep to look")),
        }
    }

    /// Says durably that from here on the hook only undoes, and will end with `fault`.
    ///
    /// Later runs return `fault` from every step that was not done before, so that they come here again and go on with
    /// the undo steps. Return `fault` when those are done.
    pub async fn undo(&self, fault: &Fault) -> Result<(), Fault> {
        self.ask::<()>(op::UNDO, &UndoOpen { fault: fault.clone() }).await
    }

    /// Which of these ids of the panel belong to services already.
    pub async fn claimed(&self, ids: &[String]) -> Result<Vec<String>, Fault> {
        Ok(self.ask::<Claimed>(op::CLAIMED, &Claimed { ids: ids.to_vec() }).await?.ids)
    }

    /// Makes a value known as secret: from here on it is masked wherever it stands, also in exchanges of this attempt
    /// that are not stored yet. Values shorter than 8 characters are masked by schema and key only.
    pub async fn secret(&self, value: &str) -> Result<(), Fault> {
        self.ask::<()>(op::SECRET, &SecretValue { value: Secret::new(value.to_owned()) }).await
    }

    /// The host's clock, Unix time in milliseconds. Not the same in a later run: record what you decide by it.
    pub async fn now(&self) -> Result<u64, Fault> {
        Ok(self.ask::<Now>(op::NOW, &()).await?.unix_ms)
    }

    /// When this attempt will be stopped, Unix time in milliseconds.
    pub fn deadline(&self) -> u64 {
        self.inner.meta.deadline_unix_ms
    }

    /// Shows how far it is. Never blocks; not part of the journal.
    pub fn progress(&self, percent: u8, text: impl Into<String>) {
        self.emit(op::PROGRESS, &Progress { percent: percent.min(100), text: text.into() });
    }

    /// Adds a line to the module log. Never blocks.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(op::NOTE, &Note { text: text.into() });
    }

    pub(crate) async fn exchange(&self, purpose: Purpose, mut request: Request) -> Result<Reply, Fault> {
        let body = std::mem::take(&mut request.body);
        let (mut reply, body) = self.ask_with::<Reply>(op::HTTP, &HttpCall { purpose, request }, body).await?;
        reply.body = body;
        Ok(reply)
    }

    pub(crate) async fn ask<R: DeserializeOwned>(&self, op: &str, head: &impl Serialize) -> Result<R, Fault> {
        Ok(self.ask_with(op, head, Vec::new()).await?.0)
    }

    async fn ask_with<R: DeserializeOwned>(
        &self,
        op: &str,
        head: &impl Serialize,
        body: Vec<u8>,
    ) -> Result<(R, Vec<u8>), Fault> {
        let head = serde_json::to_vec(head)
            .map_err(|error| Fault::plugin_bug(format!("the head of {op} cannot be written: {error}")))?;
        let (head, body) = self.call(op, head, body).await?;
        let head = serde_json::from_slice(&head)
            .map_err(|error| Fault::plugin_bug(format!("the host's answer to {op} is not understood: {error}")))?;
        Ok((head, body))
    }

    /// The one way to the host. Boxed, so that a plugin holds its code once and not once for each kind of question.
    fn call<'a>(&'a self, op: &'a str, head: Vec<u8>, body: Vec<u8>) -> Called<'a> {
        Box::pin(async move {
            let message = Message { head: head.into(), body: body.into() };
            match self.inner.host.call(self.inner.meta, RStr::from(op), message).await {
                RResult::ROk(reply) => Ok((reply.head.into_vec(), reply.body.into_vec())),
                RResult::RErr(error) if error.code == code::FAULT => Err(serde_json::from_slice(&error.details)
                    .unwrap_or_else(|_| Fault::plugin_bug(format!("the host refused {op}: {}", error.message)))),
                RResult::RErr(error) => Err(Fault::new(FaultClass::PluginBug, format!("{op}: {}", error.message))),
            }
        })
    }

    fn emit(&self, op: &str, head: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(head) {
            self.inner.host.emit(self.inner.meta.call_id, RStr::from(op), RStr::from(text.as_str()));
        }
    }
}

/// The right to one changing exchange; only a running step or [`Cx::converge`] hands it out.
#[derive(Clone)]
pub struct SendHandle {
    cx: Cx,
    ticket: u64,
}

impl SendHandle {
    pub(crate) fn new(cx: Cx, ticket: u64) -> Self {
        Self { cx, ticket }
    }

    /// Sends the one changing call of this run. A second one is `plugin_bug`, and nothing leaves.
    ///
    /// # Errors
    ///
    /// As [`Cx::http`]. Return them with `?`: the host knows from the wire what they mean for the step.
    pub async fn call(&self, request: Request) -> Result<Reply, Fault> {
        self.cx.exchange(Purpose::Change { ticket: self.ticket }, request).await
    }
}

pub(crate) fn answer<T: Serialize>(result: Result<T, Fault>) -> Answer {
    match result {
        Ok(value) => match serde_json::to_value(value) {
            Ok(value) => Answer::Ok(value),
            Err(error) => Answer::Fault(Fault::plugin_bug(format!("a result cannot be written as JSON: {error}"))),
        },
        Err(fault) => Answer::Fault(fault),
    }
}

pub(crate) fn typed<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Fault> {
    serde_json::from_value(value)
        .map_err(|error| Fault::plugin_bug(format!("a stored value does not fit this version's type: {error}")))
}

pub(crate) fn unexpected(turn: &Turn) -> Fault {
    let name = match turn {
        Turn::Done { .. } => "done",
        Turn::Given => "given",
        Turn::Find { .. } => "find",
        Turn::Adopt { .. } => "adopt",
        Turn::Run { .. } => "run",
        Turn::Fault { .. } => "fault",
    };
    Fault::plugin_bug(format!("the host asked for {name}, which this step does not have"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
