//! The shared handle: takes requests on one side, answers a test's questions on the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::answer::Answer;
use super::breakage::{self, Wire};
use super::config::{Config, Knobs, Prefix};
use super::faults::{EffectTiming, Fault, Plan, Plans, fits};
use super::http::Request;
use super::ledger::{Call, Effect, Ledger, Outcome};
use super::rules::{self, Accepted};
use super::seed::{ServerSeed, UserSeed};
use super::sight::{ServerView, UserView};
use super::state::World;
use super::{api, check, control, schema, view};
use crate::clock::PanelClock;

/// How long a test may wait for a call that hangs; a call that comes at all comes within milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handle on a panel; clones share it. Every look first lets the panel's queued work come true up to its clock.
#[derive(Clone)]
pub struct Panel {
    shared: Arc<Shared>,
}

struct Shared {
    token: String,
    clock: PanelClock,
    prefix: Prefix,
    control: bool,
    inner: Mutex<Inner>,
    /// How many calls are held.
    stalled: watch::Sender<usize>,
    /// Rises with every release.
    released: watch::Sender<u64>,
}

struct Inner {
    world: World,
    ledger: Ledger,
    plans: Plans,
    late: Vec<Late>,
    violations: Vec<String>,
}

/// A call whose effect is still to come.
struct Late {
    due_ms: u64,
    number: u64,
    accepted: Accepted,
}

/// What the connection has to do with a call.
pub(super) enum Reaction {
    Send(Vec<u8>),
    SendAndClose(Vec<u8>),
    Close,
    /// Hold until `released` changes, then send the bytes.
    Hold {
        hold: Hold,
        status: u16,
        bytes: Vec<u8>,
    },
}

/// A call that is being held; counts as stalled until it is dropped.
pub(super) struct Hold {
    panel: Panel,
    number: u64,
    pub(super) released: watch::Receiver<u64>,
}

impl Hold {
    pub(super) fn end(&self, outcome: Outcome) {
        self.panel.lock().ledger.set_outcome(self.number, outcome);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.panel.shared.stalled.send_modify(|count| *count -= 1);
    }
}

impl Panel {
    pub(super) fn new(config: &Config) -> Self {
        let inner = Inner {
            world: World::new(config),
            ledger: Ledger::default(),
            plans: Plans::default(),
            late: Vec::new(),
            violations: Vec::new(),
        };
        let shared = Shared {
            token: config.token.clone(),
            clock: config.clock.clone(),
            prefix: config.prefix,
            control: config.control,
            inner: Mutex::new(inner),
            stalled: watch::Sender::new(0),
            released: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The live servers, in order of creation.
    pub fn servers(&self) -> Vec<ServerView> {
        self.all_servers_ever().into_iter().filter(|server| server.deleted_at.is_none()).collect()
    }

    /// All servers, deleted ones too, in order of creation.
    pub fn all_servers_ever(&self) -> Vec<ServerView> {
        let inner = self.look();
        let world = &inner.world;
        world.servers.iter().map(|server| ServerView::of(world, server)).collect()
    }

    /// The users that exist, in order of creation.
    pub fn users(&self) -> Vec<UserView> {
        let inner = self.look();
        let users = inner.world.users.iter().filter(|user| !user.deleted);
        users.map(UserView::of).collect()
    }

    /// Every call so far, in order of arrival.
    pub fn ledger(&self) -> Vec<Call> {
        self.look().ledger.calls().to_vec()
    }

    /// The calls of this method and path so far; the path is written as for [`Plan::on`].
    pub fn calls_to(&self, method: &str, path: &str) -> Vec<Call> {
        let inner = self.look();
        let calls = inner.ledger.calls().iter();
        let fitting = calls.filter(|call| call.method == method && fits(path, call.bare_path()));
        fitting.cloned().collect()
    }

    /// How many calls have had an effect of this kind.
    pub fn count_effects(&self, wanted: impl Fn(Effect) -> bool) -> usize {
        self.look().ledger.calls().iter().filter(|call| wanted(call.effect)).count()
    }

    /// Bugs of the client (and of the fake, marked as such) that calls have shown.
    pub fn violations(&self) -> Vec<String> {
        self.look().violations.clone()
    }

    /// Broken invariants: two live servers from one order, a build of a built server, shared addresses, a call that
    /// succeeded on a deleted server, a stranger's server touched.
    pub fn check(&self) -> Vec<String> {
        let inner = self.look();
        check::check(&inner.world, inner.ledger.calls())
    }

    /// Says that the owner with this relation (integer or text) may have `count` servers at once, like or not.
    pub fn expect_servers(&self, relation: &str, count: usize) {
        self.look().world.expected.insert(relation.into(), count);
    }

    /// Every password and token that an answer has held: what must appear in no log.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = self.look().world.secrets.clone();
        secrets.push(self.shared.token.clone());
        secrets.extend(view::CONSTANT_SECRETS.iter().map(|&secret| secret.to_owned()));
        secrets
    }

    /// What opens the guest of a server now; `None` when it was never built.
    pub fn guest_password(&self, server: u64) -> Option<String> {
        self.look().world.server(server)?.password.clone()
    }

    /// What opens the panel's pages for a user now.
    pub fn login_password(&self, user: u64) -> Option<String> {
        self.look().world.user(user)?.password.clone()
    }

    /// Changes the panel's timings and manners from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.look().world.knobs);
    }

    /// Puts a user there without a call; gives its id.
    pub fn seed_user(&self, seed: UserSeed) -> u64 {
        self.look().world.seed_user(seed)
    }

    /// Puts a built, running server there without a call; gives its id. [`Panel::check`] reports a change to it unless
    /// the seed says that it is ours.
    pub fn seed_server(&self, seed: ServerSeed) -> u64 {
        self.look().world.seed_server(seed)
    }

    /// Deletes a server behind the client's back, as an admin would.
    pub fn remove_server(&self, id: u64) {
        let mut inner = self.look();
        let now_ms = inner.world.now_ms;
        if let Some(server) = inner.world.server_mut(id) {
            server.delete_at_ms = Some(now_ms);
        }
        inner.world.progress(now_ms);
    }

    /// Gives a server to another user behind the client's back.
    pub fn give(&self, id: u64, owner_id: u64) {
        if let Some(server) = self.look().world.server_mut(id) {
            server.owner_id = owner_id;
        }
    }

    /// Suspends or unsuspends a server behind the client's back.
    pub fn set_suspended(&self, id: u64, suspended: bool) {
        if let Some(server) = self.look().world.server_mut(id) {
            server.suspended = suspended;
        }
    }

    /// Adds a fault plan; it counts calls from now on.
    pub fn arm(&self, plan: Plan) {
        self.look().plans.arm(plan);
    }

    /// Drops all fault plans. Held calls stay held, late effects still come.
    pub fn disarm(&self) {
        self.look().plans.clear();
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that failed while it held the lock must not hide what it has to say.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The panel as it is now.
    fn look(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.settle(self.shared.clock.now_ms());
        inner
    }

    /// Notes bytes that are no HTTP request; they make no call.
    pub(super) fn note_malformed(&self, error: &std::io::Error) {
        self.lock().violations.push(error.to_string());
    }

    /// Takes a call: inspects it, does its work or what a fault makes of it, and writes it down.
    pub(super) fn receive(&self, request: &Request) -> Reaction {
        let below = |prefix| request.target.strip_prefix(prefix).filter(|rest: &&str| rest.starts_with('/'));
        if self.shared.control
            && let Some(path) = below("/_panel")
        {
            return Reaction::Send(control::respond(self, &request.method, path, &request.body).encode());
        }
        let target = match self.shared.prefix {
            Prefix::Bare if below(Prefix::ApiV1.as_str()).is_some() => None,
            prefix => below(prefix.as_str()),
        };
        let mut inner = self.look();
        let at_ms = inner.world.now_ms;
        let number = inner.ledger.next_number();
        let mut call = Call {
            number,
            at_ms,
            method: request.method.clone(),
            path: target.unwrap_or(&request.target).to_owned(),
            body: (!request.body.is_empty()).then(|| String::from_utf8_lossy(&request.body).into_owned()),
            bearer_ok: false,
            effect: Effect::None,
            fault: None,
            outcome: Outcome::Answered(404),
        };
        let Some(target) = target else {
            inner.ledger.push(call);
            return Reaction::Send(Answer::html(404).encode());
        };
        let inspection = rules::inspect(request, target, &self.shared.token);
        call.bearer_ok = inspection.bearer_ok;
        inner.note_violations(&call, &inspection.violations, inspection.result.as_ref().ok());

        let fault = inner.plans.strike(&call.method, call.bare_path());
        let timing = fault.map_or(EffectTiming::Done, Fault::effect);
        let (answer, effect) = match (timing, inspection.result) {
            (EffectTiming::Done, Ok(accepted)) => inner.carry_out(number, &accepted),
            (EffectTiming::Later, Ok(accepted)) => {
                let after_ms = match fault {
                    Some(Fault::LateEffect { after_ms }) => after_ms,
                    _ => 0,
                };
                inner.late.push(Late { due_ms: at_ms + after_ms, number, accepted });
                (Answer::empty(204), Effect::None)
            }
            (_, Err(refusal)) => (refusal, Effect::None),
            (EffectTiming::Never, Ok(_)) => (Answer::empty(204), Effect::None),
        };
        call.effect = effect;
        call.fault = fault.map(Fault::name);
        let (wire, status) = breakage::wire(fault, &answer);
        let (reaction, outcome) = match wire {
            Wire::Send(bytes) => (Reaction::Send(bytes), Outcome::Answered(status)),
            Wire::SendAndClose(bytes) => (Reaction::SendAndClose(bytes), Outcome::Answered(status)),
            Wire::Close => (Reaction::Close, Outcome::Closed),
            Wire::Hold(bytes) => {
                let hold = self.hold(number);
                (Reaction::Hold { hold, status, bytes }, Outcome::Held)
            }
        };
        call.outcome = outcome;
        inner.ledger.push(call);
        reaction
    }

    fn hold(&self, number: u64) -> Hold {
        let released = self.shared.released.subscribe();
        self.shared.stalled.send_modify(|count| *count += 1);
        Hold { panel: self.clone(), number, released }
    }
}

impl Inner {
    /// Lets time pass: queued work and late calls take effect in order, each at its own time.
    fn settle(&mut self, now_ms: u64) {
        loop {
            let due = self.late.iter().enumerate().filter(|(_, late)| late.due_ms <= now_ms);
            let Some(index) = due.min_by_key(|(_, late)| (late.due_ms, late.number)).map(|(index, _)| index) else {
                break;
            };
            let late = self.late.remove(index);
            self.world.progress(late.due_ms);
            let (_, effect) = self.carry_out(late.number, &late.accepted);
            self.ledger.set_effect(late.number, effect);
        }
        self.world.progress(now_ms);
    }

    fn carry_out(&mut self, number: u64, accepted: &Accepted) -> (Answer, Effect) {
        self.world.call = number;
        let (answer, effect) = api::respond(&mut self.world, accepted);
        self.world.call = 0;
        let route = accepted.route;
        if let Some(contract) = schema::contract() {
            let found = contract.check_answer(route.method, route.pattern, &answer);
            let bugs = found
                .iter()
                .map(|text| format!("call {number} {} {}: the fake's own answer: {text}", route.method, route.pattern));
            self.violations.extend(bugs);
        }
        (answer, effect)
    }

    fn note_violations(&mut self, call: &Call, found: &[String], accepted: Option<&Accepted>) {
        let mut found = found.to_vec();
        if let (Some(accepted), Some(contract)) = (accepted, schema::contract()) {
            let route = accepted.route;
            found.extend(contract.check_request(route.method, route.pattern, &accepted.query, &accepted.body));
        }
        let named = found.iter().map(|text| format!("call {} {} {}: {text}", call.number, call.method, call.path));
        self.violations.extend(named);
    }
}
