use crate::fault::{Fault, FaultClass};
use crate::http::{Reply, Request};
use crate::protocol::{
    Answer, Claimed, HttpCall, Note, Now, Progress, Purpose, SecretValue, StepRan, Turn, UndoOpen, WaitLooked,
    WaitOpen, WaitTurn, op,
};
use crate::secret::Secret;
use crate::step::{Driven, Later, Step, StepName, Told};
use billhook_abi::edge::{RResult, RStr};
use billhook_abi::{CallMeta, HostObject, Message, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
type Called<'a> = Later<'a, Result<(Vec<u8>, Vec<u8>), Fault>>;

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
    pub fn http(&self, request: Request) -> impl Future<Output = Result<Reply, Fault>> + Send {
        self.exchange(Purpose::Read, request)
    }

    /// Signs in (a session, a one-time key): repeatable and outside of steps.
    pub fn sign_in(&self, request: Request) -> impl Future<Output = Result<Reply, Fault>> + Send {
        self.exchange(Purpose::SignIn, request)
    }

    /// Begins a step. The name is unique within the hook; in loops it is `("ip", n)`.
    pub fn step(&self, name: impl Into<StepName>) -> Step<'_> {
        Step::new(self, name.into())
    }

    /// Makes a change that sets the same state however often it is repeated.
    ///
    /// Only in hooks that [`Facts::convergent`](crate::Facts::convergent) names. At most one changing exchange per call. After a crash or
    /// a lost answer the whole hook runs again once the settle time has passed.
    pub fn converge<'a, T, F, Fut>(
        &'a self,
        run: F,
    ) -> impl Future<Output = Result<T, Fault>> + Send + use<'a, T, F, Fut>
    where
        T: Serialize + DeserializeOwned + 'a,
        F: FnOnce(SendHandle) -> Fut + Send + 'a,
        Fut: Future<Output = Result<T, Fault>> + Send + 'a,
    {
        Driven::new(self.converged(Box::new(move |send| Box::pin(Told { author: run(send), tell: answer }))))
    }

    /// The conversation, with the types taken off, so that a plugin has it once.
    fn converged<'a>(
        &'a self,
        run: Box<dyn FnOnce(SendHandle) -> Later<'a, Answer> + Send + 'a>,
    ) -> Later<'a, Result<Value, Fault>> {
        Box::pin(async move {
            let mut turn = self.ask::<Turn>(op::CONVERGE_OPEN, &()).await?;
            if let Turn::Run { ticket, .. } = turn {
                let answer = run(SendHandle { cx: self.clone(), ticket }).await;
                turn = self.ask(op::CONVERGE_RAN, &StepRan { name: String::new(), ticket, answer }).await?;
            }
            match turn {
                // It may have been done by an earlier run of this operation, which then waited.
                Turn::Done { result } => Ok(result),
                Turn::Fault { fault } => Err(fault),
                other => Err(unexpected(&other)),
            }
        })
    }

    /// Waits until `look` says `true`. The attempt ends meanwhile, holds nothing, and is taken up again in time.
    ///
    /// `within` counts from the first time that this operation came here, over restarts.
    ///
    /// # Errors
    ///
    /// `timeout` when `within` has passed; a fault of `look`, except those that pass by themselves (`unreachable`,
    /// `rate_limited`, ...), after which it simply looks again.
    pub fn wait_until<'a, N, F, Fut>(
        &'a self,
        name: N,
        every: Every,
        within: Within,
        look: F,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<'a, N, F, Fut>
    where
        N: Into<StepName>,
        F: Fn() -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<bool, Fault>> + Send + 'a,
    {
        let name = name.into().to_string();
        let open = WaitOpen { name, every_ms: millis(every.0), within_ms: millis(within.0), sleep: false };
        self.waited(open, Box::new(move || Box::pin(Told { author: look(), tell: answer })))
    }

    /// The conversation; the same code for every wait.
    fn waited<'a>(
        &'a self,
        open: WaitOpen,
        look: Box<dyn Fn() -> Later<'a, Answer> + Send + Sync + 'a>,
    ) -> Later<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut turn = self.ask::<WaitTurn>(op::WAIT_OPEN, &open).await?;
            loop {
                match turn {
                    WaitTurn::Ready => return Ok(()),
                    WaitTurn::Fault { fault } => return Err(fault),
                    WaitTurn::Look => {
                        let looked = WaitLooked { name: open.name.clone(), answer: look().await };
                        turn = self.ask(op::WAIT_LOOKED, &looked).await?;
                    }
                }
            }
        })
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
    pub fn undo<'a>(&'a self, fault: &Fault) -> impl Future<Output = Result<(), Fault>> + Send + use<'a> {
        self.ask::<()>(op::UNDO, &UndoOpen { fault: fault.clone() })
    }

    /// Which of these ids of the panel belong to services already.
    pub async fn claimed(&self, ids: &[String]) -> Result<Vec<String>, Fault> {
        Ok(self.ask::<Claimed>(op::CLAIMED, &Claimed { ids: ids.to_vec() }).await?.ids)
    }

    /// Makes a value known as secret: from here on it is masked wherever it stands, also in exchanges of this attempt
    /// that are not stored yet. Values shorter than 8 characters are masked by schema and key only.
    pub fn secret<'a>(&'a self, value: &str) -> impl Future<Output = Result<(), Fault>> + Send + use<'a> {
        self.ask::<()>(op::SECRET, &SecretValue { value: Secret::new(value.to_owned()) })
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

    pub(crate) fn exchange(&self, purpose: Purpose, mut request: Request) -> Later<'_, Result<Reply, Fault>> {
        let body = std::mem::take(&mut request.body);
        let called = self.call(op::HTTP, serde_json::to_vec(&HttpCall { purpose, request }), body);
        Box::pin(async move {
            let (head, body) = called.await?;
            let mut reply: Reply = understood(op::HTTP, &head)?;
            reply.body = body;
            Ok(reply)
        })
    }

    pub(crate) fn ask<'a, R: DeserializeOwned>(&'a self, op: &'static str, head: &impl Serialize) -> Asked<'a, R> {
        Asked { op, called: self.call(op, serde_json::to_vec(head), Vec::new()), marker: PhantomData }
    }

    /// The one way to the host. Boxed, so that a plugin holds its code once and not once for each kind of question.
    fn call(&self, op: &'static str, head: serde_json::Result<Vec<u8>>, body: Vec<u8>) -> Called<'_> {
        Box::pin(async move {
            let head =
                head.map_err(|error| Fault::plugin_bug(format!("the head of {op} cannot be written: {error}")))?;
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

/// A question to the host, as it is asked; a future of few parts, since a plugin holds those once for each question in its code.
pub(crate) struct Asked<'a, R> {
    op: &'static str,
    called: Called<'a>,
    marker: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Future for Asked<'_, R> {
    type Output = Result<R, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let op = self.op;
        self.called.as_mut().poll(cx).map(|called| understood(op, &called?.0))
    }
}

fn understood<R: DeserializeOwned>(op: &str, head: &[u8]) -> Result<R, Fault> {
    serde_json::from_slice(head)
        .map_err(|error| Fault::plugin_bug(format!("the host's answer to {op} is not understood: {error}")))
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
    pub fn call(&self, request: Request) -> impl Future<Output = Result<Reply, Fault>> + Send {
        self.cx.exchange(Purpose::Change { ticket: self.ticket }, request)
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

pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
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
