//! The shared handle: takes requests on one side, answers a test's questions on the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::World;
use super::answer::Answer;
use super::breakage::{self, Wire};
use super::control;
use super::faults::{EffectTiming, Fault, Plan, Plans, fits};
use super::http::Request;
use super::ledger::{Call, Ledger, Outcome};
use super::meddler::{Meddler, Passing};
use crate::clock::PanelClock;

/// How long a test may wait for a call that hangs; a call that comes at all comes within milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handle on a panel; clones share it. Every look first lets the panel's queued work come true up to its clock.
pub struct Panel<W: World> {
    shared: Arc<Shared<W>>,
}

impl<W: World> Clone for Panel<W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<W: World> {
    clock: PanelClock,
    has_side_door: bool,
    inner: Mutex<Inner<W>>,
    /// How many calls are held.
    stalled: watch::Sender<usize>,
    /// Rises with every release.
    released: watch::Sender<u64>,
}

struct Inner<W: World> {
    world: W,
    ledger: Ledger<W::Effect>,
    plans: Plans,
    meddler: Option<Box<dyn Meddler>>,
    late: Vec<Late<W::Asked>>,
    violations: Vec<String>,
}

/// A call whose effect is still to come.
#[derive(Clone)]
struct Late<A> {
    due_ms: u64,
    number: u64,
    asked: A,
}

/// What the connection has to do with a call.
pub(super) enum Reaction<W: World> {
    Send(Vec<u8>),
    SendAndClose(Vec<u8>),
    Close,
    /// Hold until `released` changes, then send the bytes.
    Hold {
        hold: Hold<W>,
        status: u16,
        bytes: Vec<u8>,
    },
}

/// A call that is being held; counts as stalled until it is dropped.
pub(super) struct Hold<W: World> {
    panel: Panel<W>,
    number: u64,
    pub(super) released: watch::Receiver<u64>,
}

impl<W: World> Hold<W> {
    pub(super) fn end(&self, outcome: Outcome) {
        self.panel.lock().ledger.set_outcome(self.number, outcome);
    }
}

impl<W: World> Drop for Hold<W> {
    fn drop(&mut self) {
        self.panel.lock().world.held(self.number, false);
        self.panel.shared.stalled.send_modify(|count| *count -= 1);
    }
}

impl<W: World> Panel<W> {
    pub(super) fn new(config: &W::Config) -> Self {
        let inner = Inner {
            world: W::new(config),
            ledger: Ledger::new(),
            plans: Plans::default(),
            meddler: None,
            late: Vec::new(),
            violations: Vec::new(),
        };
        let shared = Shared {
            clock: W::clock(config),
            has_side_door: W::has_side_door(config),
            inner: Mutex::new(inner),
            stalled: watch::Sender::new(0),
            released: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A panel in the same state, fault plans and effects to come included; what happens to one is unknown to the other.
    /// Calls that are held stay with this one, and so does whoever meddles.
    pub fn twin(&self) -> Self {
        let now = self.look();
        let inner = Inner {
            world: now.world.clone(),
            ledger: now.ledger.clone(),
            plans: now.plans.clone(),
            late: now.late.clone(),
            meddler: None,
            violations: now.violations.clone(),
        };
        let shared = Shared {
            clock: self.shared.clock.clone(),
            has_side_door: self.shared.has_side_door,
            inner: Mutex::new(inner),
            stalled: watch::Sender::new(0),
            released: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Every call so far, in order of arrival.
    pub fn ledger(&self) -> Vec<Call<W::Effect>> {
        self.look().ledger.calls().to_vec()
    }

    /// The calls of this method and path so far; the path is written as for [`Plan::on`].
    pub fn calls_to(&self, method: &str, path: &str) -> Vec<Call<W::Effect>> {
        let inner = self.look();
        let calls = inner.ledger.calls().iter();
        let fitting = calls.filter(|call| call.method == method && fits(path, call.bare_path()));
        fitting.cloned().collect()
    }

    /// How many calls have had an effect of this kind.
    pub fn count_effects(&self, wanted: impl Fn(W::Effect) -> bool) -> usize {
        self.look().ledger.calls().iter().filter(|call| wanted(call.effect)).count()
    }

    /// Bugs of the client (and of the fake, marked as such) that calls have shown.
    pub fn violations(&self) -> Vec<String> {
        self.look().violations.clone()
    }

    /// Broken invariants, as sentences; the kind of panel says which there are.
    pub fn check(&self) -> Vec<String> {
        let inner = self.look();
        inner.world.check(inner.ledger.calls())
    }

    /// Every password and token that a call or an answer has held or may hold: what must appear in no log.
    pub fn secrets(&self) -> Vec<String> {
        self.look().world.secrets()
    }

    /// Adds a fault plan; it counts calls from now on.
    pub fn arm(&self, plan: Plan) {
        self.look().plans.arm(plan);
    }

    /// Drops all fault plans. Held calls stay held, late effects still come.
    pub fn disarm(&self) {
        self.look().plans.clear();
    }

    /// Lets every call from now on pass through this, until there is another or none.
    pub fn meddle(&self, meddler: Option<Box<dyn Meddler>>) {
        self.look().meddler = meddler;
    }

    /// How many armed plans have not struck as often as they shall.
    pub fn unfired(&self) -> usize {
        self.look().plans.unfired()
    }

    /// Effects that were promised by [`Fault::LateEffect`] and have not come yet.
    pub fn late_effects(&self) -> usize {
        self.look().late.len()
    }

    /// How many calls are held now; the receiver sees every change.
    pub fn stalled(&self) -> watch::Receiver<usize> {
        self.shared.stalled.subscribe()
    }

    /// Completes when a call is held.
    ///
    /// # Panics
    ///
    /// When none is held within half a minute of real time: the call that the test waits for did not come.
    pub async fn wait_stalled(&self) {
        let mut stalled = self.stalled();
        let held = stalled.wait_for(|count| *count > 0);
        #[expect(clippy::disallowed_methods, reason = "a deadline that only fails, for a call that did not come")]
        let came = tokio::time::timeout(PATIENCE, held).await.is_ok();
        assert!(came, "no call was held within {PATIENCE:?}");
    }

    /// Lets every held call go on.
    pub fn release(&self) {
        self.shared.released.send_modify(|turn| *turn += 1);
    }

    /// Looks at the world as it is now, or changes it behind the client's back.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut W) -> R) -> R {
        look(&mut self.look().world)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<W>> {
        // A test that failed while it held the lock must not hide what it has to say.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The panel as it is now.
    fn look(&self) -> MutexGuard<'_, Inner<W>> {
        let mut inner = self.lock();
        inner.settle(self.shared.clock.now_ms());
        inner
    }

    /// Notes bytes that are no HTTP request; they make no call.
    pub(super) fn note_malformed(&self, error: &std::io::Error) {
        self.lock().violations.push(error.to_string());
    }

    /// Takes a call: inspects it, does its work or what a fault makes of it, and writes it down.
    pub(super) fn receive(&self, request: &Request) -> Reaction<W> {
        if self.shared.has_side_door
            && let Some(path) = request.target.strip_prefix("/_panel").filter(|rest| rest.starts_with('/'))
        {
            return Reaction::Send(control::respond(self, &request.method, path, &request.body).encode());
        }
        let mut inner = self.lock();
        let at_ms = self.shared.clock.now_ms();
        inner.settle(at_ms);
        let number = inner.ledger.next_number();
        let place = inner.world.place(request);
        let mut call = Call {
            number,
            at_ms,
            method: request.method.clone(),
            path: place.as_ref().map_or(&request.target, |place| &place.path).clone(),
            is_read: place.as_ref().is_some_and(|place| place.is_read),
            body: (!request.body.is_empty()).then(|| inner.world.written(&String::from_utf8_lossy(&request.body))),
            is_authentic: false,
            effect: W::Effect::default(),
            fault: None,
            outcome: Outcome::Answered(404),
        };
        let Some(place) = place else {
            inner.ledger.push(call);
            return Reaction::Send(Answer::html(404).encode());
        };
        let inspection = inner.world.inspect(request, &place);
        call.is_authentic = inspection.is_authentic;
        let named =
            inspection.violations.iter().map(|text| format!("call {number} {} {}: {text}", call.method, call.path));
        inner.violations.extend(named);

        let passing = Passing { method: &call.method, path: &call.path, is_read: call.is_read };
        let instead = inner.meddler.as_mut().and_then(|meddler| meddler.instead(&passing));
        if let Some(answer) = instead {
            call.outcome = Outcome::Answered(answer.status);
            inner.ledger.push(call);
            return Reaction::Send(answer.encode());
        }
        let fault = inner.plans.strike(&call.method, call.bare_path());
        let timing = fault.map_or(EffectTiming::Done, Fault::effect);
        let (answer, effect) = match (timing, inspection.result) {
            (EffectTiming::Done, Ok(asked)) => inner.carry_out(number, &asked),
            (EffectTiming::Later, Ok(asked)) => {
                let after_ms = match fault {
                    Some(Fault::LateEffect { after_ms }) => after_ms,
                    _ => 0,
                };
                inner.late.push(Late { due_ms: at_ms + after_ms, number, asked });
                (Answer::empty(204), W::Effect::default())
            }
            (_, Err(refusal)) => (refusal, W::Effect::default()),
            (EffectTiming::Never, Ok(_)) => (Answer::empty(204), W::Effect::default()),
        };
        let passing = Passing { method: &call.method, path: &call.path, is_read: call.is_read };
        let answer = match &mut inner.meddler {
            Some(meddler) => meddler.edited(&passing, answer),
            None => answer,
        };
        call.effect = effect;
        call.fault = fault.map(Fault::name);
        let (wire, status) = breakage::wire(&inner.world, fault, request, &answer);
        let (reaction, outcome) = match wire {
            Wire::Send(bytes) => (Reaction::Send(bytes), Outcome::Answered(status)),
            Wire::SendAndClose(bytes) => (Reaction::SendAndClose(bytes), Outcome::Answered(status)),
            Wire::Close => (Reaction::Close, Outcome::Closed),
            Wire::Hold(bytes) => {
                inner.world.held(number, true);
                let hold = self.hold(number);
                (Reaction::Hold { hold, status, bytes }, Outcome::Held)
            }
        };
        call.outcome = outcome;
        inner.ledger.push(call);
        reaction
    }

    fn hold(&self, number: u64) -> Hold<W> {
        let released = self.shared.released.subscribe();
        self.shared.stalled.send_modify(|count| *count += 1);
        Hold { panel: self.clone(), number, released }
    }
}

impl<W: World> Inner<W> {
    /// Lets time pass: queued work and late calls take effect in order, each at its own time.
    fn settle(&mut self, now_ms: u64) {
        loop {
            let due = self.late.iter().enumerate().filter(|(_, late)| late.due_ms <= now_ms);
            let Some(index) = due.min_by_key(|(_, late)| (late.due_ms, late.number)).map(|(index, _)| index) else {
                break;
            };
            let late = self.late.remove(index);
            self.world.progress(late.due_ms);
            let (_, effect) = self.carry_out(late.number, &late.asked);
            self.ledger.set_effect(late.number, effect);
        }
        self.world.progress(now_ms);
    }

    fn carry_out(&mut self, number: u64, asked: &W::Asked) -> (Answer, W::Effect) {
        let done = self.world.carry_out(number, asked);
        self.violations.extend(done.bugs.iter().map(|text| format!("call {number}: the fake's own answer: {text}")));
        (done.answer, done.effect)
    }
}
