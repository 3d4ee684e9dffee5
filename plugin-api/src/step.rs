use crate::cx::{Cx, SendHandle, answer, typed, unexpected};
use crate::fault::Fault;
use crate::protocol::{Answer, Settle, Sight, StepFound, StepGiven, StepKind, StepOpen, StepRan, Turn, op};
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::future::ready;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A step's name; `("ip", 3)` is `ip#3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepName(String);

impl From<&str> for StepName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl<N: fmt::Display> From<(&str, N)> for StepName {
    fn from((name, n): (&str, N)) -> Self {
        Self(format!("{name}#{n}"))
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `find` says of a step in doubt.
#[derive(Debug, Clone, PartialEq)]
pub enum Find<T> {
    /// It happened; this is its result. Counts at once.
    Found(T),
    /// It cannot happen any more. Counts at once.
    Never,
    /// It is not there. Counts only after the settle time; then the step runs again with the same `given`.
    Absent,
    /// It is not there, and what `given` said no longer holds: after the settle time `given` is asked anew.
    Gone,
    /// It cannot be told, and the text says why: a person decides.
    Unknown(String),
}

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One effect, journaled before and after. Made by [`Cx::step`]; one of four endings runs it.
#[must_use = "a step does nothing until `ensure`, `run`, `once` or `record`"]
pub struct Step<'a> {
    cx: &'a Cx,
    open: StepOpen,
}

impl<'a> Step<'a> {
    pub(crate) fn new(cx: &'a Cx, name: StepName) -> Self {
        let open = StepOpen {
            name: name.0,
            kind: StepKind::Ensure,
            scope: None,
            settle: Settle::default(),
            remote_id: false,
            sealed: false,
            can_find: false,
            can_adopt: false,
        };
        Self { cx, open }
    }

    /// While this step is unsettled, no second step of this key begins on this panel, in any operation on any host.
    ///
    /// Give one wherever a difference lookup could take the neighbour's order for ours: the owner, the login.
    pub fn scope(mut self, key: impl fmt::Display) -> Self {
        self.open.scope = Some(key.to_string());
        self
    }

    /// How long *absent* must be true; the panel's contract has the numbers.
    pub fn settle(mut self, settle: Settle) -> Self {
        self.open.settle = settle;
        self
    }

    /// The result (a number or a string) is the service's remote id: it is stored on the service with *done*, whatever
    /// becomes of the hook.
    pub fn remote_id(mut self) -> Self {
        self.open.remote_id = true;
        self
    }

    /// The result holds a secret: it is sealed in the journal.
    pub fn sealed(mut self) -> Self {
        self.open.sealed = true;
        self
    }

    /// The panel has a name or key that only we can have made: `run` looks before it makes, and may run again.
    ///
    /// In doubt it first runs with a handle that sends nothing yet: if it finds what it looks for, that is the result; if
    /// it wants to send, it is put off until the settle time has passed.
    pub fn ensure<T, R, Fut>(mut self, run: R) -> impl Future<Output = Result<T, Fault>> + Send + use<'a, T, R, Fut>
    where
        T: Serialize + DeserializeOwned + 'a,
        R: Fn(SendHandle) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, Fault>> + Send + 'a,
    {
        self.open.kind = StepKind::Ensure;
        self.drive(Code::of(run))
    }

    /// Nothing can be asked afterwards: in doubt means that a person decides. Where that person says that it happened, the
    /// result is null; so let `T` be readable from it.
    pub fn once<T, R, Fut>(mut self, run: R) -> impl Future<Output = Result<T, Fault>> + Send + use<'a, T, R, Fut>
    where
        T: Serialize + DeserializeOwned + 'a,
        R: Fn(SendHandle) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, Fault>> + Send + 'a,
    {
        self.open.kind = StepKind::Once;
        self.drive(Code::of(run))
    }

    /// A value made here (a password, a chosen plan), so that later runs have the same one. Sends nothing.
    pub fn record<T, R, Fut>(mut self, make: R) -> impl Future<Output = Result<T, Fault>> + Send + use<'a, T, R, Fut>
    where
        T: Serialize + DeserializeOwned + 'a,
        R: Fn() -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, Fault>> + Send + 'a,
    {
        self.open.kind = StepKind::Record;
        self.drive(Code::of(move |_| make()))
    }

    /// What must be known of the world before the change, to tell afterwards whether it happened. Reads only; stored
    /// before the change is sent.
    pub fn given<G, F, Fut>(self, given: F) -> Differ<'a, G>
    where
        G: Serialize + DeserializeOwned + Send + 'a,
        F: Fn() -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<G, Fault>> + Send + 'a,
    {
        let given: GivenCode<'a> = Box::new(move || Box::pin(Told { author: given(), tell: answer }));
        Differ { step: self, given, marker: PhantomData }
    }

    fn drive<T: DeserializeOwned>(self, code: Code<'a>) -> Driven<'a, T> {
        Driven::new(self.converse(code))
    }

    /// The conversation, to the step's stored result; the same code for every type.
    fn converse(self, code: Code<'a>) -> Later<'a, Result<Value, Fault>> {
        Box::pin(self.exchange(code))
    }

    async fn exchange(self, code: Code<'_>) -> Result<Value, Fault> {
        let Self { cx, open } = self;
        let name = open.name.clone();
        let mut turn = cx.ask::<Turn>(op::STEP_OPEN, &open).await?;
        loop {
            turn = match turn {
                Turn::Done { result } => return Ok(result),
                Turn::Fault { fault } => return Err(fault),
                Turn::Given => {
                    let Some(given) = &code.given else { return Err(unexpected(&Turn::Given)) };
                    let given = given().await;
                    cx.ask(op::STEP_GIVEN, &StepGiven { name: name.clone(), given }).await?
                }
                Turn::Find { given } => {
                    let Some(find) = &code.find else { return Err(unexpected(&Turn::Find { given })) };
                    let sight = find(given).await;
                    cx.ask(op::STEP_FOUND, &StepFound { name: name.clone(), sight }).await?
                }
                Turn::Adopt { id, given } => {
                    let Some(adopt) = &code.adopt else { return Err(unexpected(&Turn::Adopt { id, given })) };
                    let sight = adopt(id).await;
                    cx.ask(op::STEP_FOUND, &StepFound { name: name.clone(), sight }).await?
                }
                Turn::Run { given, ticket } => {
                    let answer = (code.run)(given, SendHandle::new(cx.clone(), ticket)).await;
                    cx.ask(op::STEP_RAN, &StepRan { name: name.clone(), ticket, answer }).await?
                }
            };
        }
    }
}

pin_project! {
    /// The author's code, and how what it returns is told to the host.
    pub(crate) struct Told<F, M> {
        #[pin]
        pub(crate) author: F,
        pub(crate) tell: M,
    }
}

impl<F: Future, A, M: Fn(F::Output) -> A> Future for Told<F, M> {
    type Output = A;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A> {
        let told = self.project();
        told.author.poll(cx).map(told.tell)
    }
}

/// A step under way. A future of few parts, since a plugin has those once for each of its steps.
pub(crate) struct Driven<'a, T> {
    conversation: Later<'a, Result<Value, Fault>>,
    marker: PhantomData<fn() -> T>,
}

impl<'a, T> Driven<'a, T> {
    pub(crate) fn new(conversation: Later<'a, Result<Value, Fault>>) -> Self {
        Self { conversation, marker: PhantomData }
    }
}

impl<T: DeserializeOwned> Future for Driven<'_, T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.conversation.as_mut().poll(cx).map(|result| typed(result?))
    }
}

type GivenCode<'a> = Box<dyn Fn() -> Later<'a, Answer> + Send + Sync + 'a>;
type FindCode<'a> = Box<dyn Fn(Value) -> Later<'a, Sight> + Send + Sync + 'a>;
type AdoptCode<'a> = Box<dyn Fn(String) -> Later<'a, Sight> + Send + Sync + 'a>;
type RunCode<'a> = Box<dyn Fn(Value, SendHandle) -> Later<'a, Answer> + Send + Sync + 'a>;

/// The author's code of one step, with the types taken off, so that one loop serves every step.
struct Code<'a> {
    given: Option<GivenCode<'a>>,
    find: Option<FindCode<'a>>,
    adopt: Option<AdoptCode<'a>>,
    run: RunCode<'a>,
}

impl<'a> Code<'a> {
    /// That of a step which is run and nothing else.
    fn of<T, R, Fut>(run: R) -> Self
    where
        T: Serialize + 'a,
        R: Fn(SendHandle) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, Fault>> + Send + 'a,
    {
        let run: RunCode<'a> = Box::new(move |_, send| Box::pin(Told { author: run(send), tell: answer }));
        Self { given: None, find: None, adopt: None, run }
    }
}

/// A step that is settled by a difference lookup; wants its [`find`](Differ::find).
#[must_use = "a step does nothing until `run`"]
pub struct Differ<'a, G> {
    step: Step<'a>,
    given: GivenCode<'a>,
    marker: PhantomData<fn() -> G>,
}

impl<'a, G: Serialize + DeserializeOwned + Send + 'a> Differ<'a, G> {
    /// Looks, in doubt only, whether the change happened, by what was `given` before it. Reads only.
    pub fn find<T, F, Fut>(mut self, find: F) -> Findable<'a, G, T>
    where
        T: Serialize + DeserializeOwned + 'a,
        F: Fn(G) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<Find<T>, Fault>> + Send + 'a,
    {
        self.step.open.can_find = true;
        let find: FindCode<'a> = Box::new(move |given| match typed::<G>(given) {
            Ok(given) => Box::pin(Told { author: find(given), tell: sight }),
            Err(fault) => Box::pin(ready(Sight::Fault(fault))),
        });
        Findable { differ: self, find, adopt: None, marker: PhantomData }
    }
}

/// A step with `given` and `find`; wants its [`run`](Findable::run).
#[must_use = "a step does nothing until `run`"]
pub struct Findable<'a, G, T> {
    differ: Differ<'a, G>,
    find: FindCode<'a>,
    adopt: Option<AdoptCode<'a>>,
    marker: PhantomData<fn() -> T>,
}

impl<'a, G, T> Findable<'a, G, T>
where
    G: Serialize + DeserializeOwned + Send + 'a,
    T: Serialize + DeserializeOwned + 'a,
{
    /// Reads back the id that a person named in attention and checks that it is ours: [`Find::Found`], or
    /// [`Find::Absent`] when it is not. Without it the id itself becomes the result of a step that gives the
    /// [remote id](Step::remote_id), and a person cannot say of any other step that it happened.
    pub fn adopt<F, Fut>(mut self, adopt: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<Find<T>, Fault>> + Send + 'a,
    {
        self.differ.step.open.can_adopt = true;
        self.adopt = Some(Box::new(move |id| Box::pin(Told { author: adopt(id), tell: sight })));
        self
    }

    /// Makes the one changing call and reads its answer.
    pub fn run<R, Fut>(self, run: R) -> impl Future<Output = Result<T, Fault>> + Send + use<'a, G, T, R, Fut>
    where
        R: Fn(G, SendHandle) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, Fault>> + Send + 'a,
    {
        let Self { differ, find, adopt, .. } = self;
        let Differ { mut step, given, .. } = differ;
        step.open.kind = StepKind::Differ;
        let run: RunCode<'a> = Box::new(move |given, send| match typed::<G>(given) {
            Ok(given) => Box::pin(Told { author: run(given, send), tell: answer }),
            Err(fault) => Box::pin(ready(Answer::Fault(fault))),
        });
        let code = Code { given: Some(given), find: Some(find), adopt, run };
        step.drive(code)
    }
}

fn sight<T: Serialize>(looked: Result<Find<T>, Fault>) -> Sight {
    match looked {
        Ok(Find::Found(value)) => match answer(Ok(value)) {
            Answer::Ok(value) => Sight::Found(value),
            Answer::Fault(fault) => Sight::Fault(fault),
        },
        Ok(Find::Never) => Sight::Never,
        Ok(Find::Absent) => Sight::Absent,
        Ok(Find::Gone) => Sight::Gone,
        Ok(Find::Unknown(why)) => Sight::Unknown(why),
        Err(fault) => Sight::Fault(fault),
    }
}
