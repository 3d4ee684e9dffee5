//! The lanes at work: hands out places on servers, lets exchanges leave in their turn, and sees what became of them.
//!
//! What is decided is decided by [`Places`], under one lock that is never held over an `.await`. Operations that wait are
//! ids in a line, not tasks: a server may be away for a day.

use super::agenda::{Activity, Busy};
use super::lock;
use crate::clock::{SharedClock, Sleep};
use crate::lane::{Entry, Held, LaneLimits, LaneSight, Now, Order, Pause, Places, Sighting, Turned, Unreachable};
use crate::panel::millis;
use crate::store::ServiceKey;
use crate::wire::{Exchange, WireFailure};
use billhook_plugin_api::{Fault, FaultClass, Hook};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What the engine is to do for the lanes.
pub(super) enum Signal {
    /// A place is free for this service's operation.
    Go(ServiceKey, Permits),
    /// Look again at this monotonic time.
    LookAt(Duration),
}

/// Signals with what keeps the engine from being idle meanwhile. Without a bound: there are never more than the host has
/// places, and one look.
pub(super) type Signals = mpsc::UnboundedReceiver<(Signal, Busy)>;

/// All lanes of a host.
pub(crate) struct Lanes {
    clock: SharedClock,
    activity: Arc<Activity>,
    state: Mutex<State>,
}

struct State {
    places: Places<Waiter>,
    /// The bounds of each server, for all hosts together.
    bounds: BTreeMap<String, LaneLimits>,
    /// Among how many hosts they are divided.
    share: u32,
    /// Where a service's operation waits; one at most.
    waiting: HashMap<ServiceKey, (String, Order)>,
    /// The look that was asked for.
    look_at: Option<Duration>,
    /// `None` once closed.
    signals: Option<mpsc::UnboundedSender<(Signal, Busy)>>,
}

enum Waiter {
    Operation(ServiceKey),
    Reading(oneshot::Sender<Permits>),
}

/// The right to run one attempt: a place on the server and one in the host.
pub(crate) struct Permits {
    lanes: Arc<Lanes>,
    server: String,
    entry: Entry,
}

impl Permits {
    /// Whether the place is on this server.
    pub fn is_on(&self, server: &str) -> bool {
        self.server == server
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        let now = self.lanes.now();
        lock(&self.lanes.state).places.leave(&self.server, self.entry, now);
        self.lanes.hand_out();
    }
}

impl Lanes {
    /// For the host's places.
    pub fn new(clock: SharedClock, activity: Arc<Activity>, places: u32) -> (Arc<Self>, Signals) {
        let (sender, signals) = mpsc::unbounded_channel();
        let state = State {
            places: Places::new(places),
            bounds: BTreeMap::new(),
            share: 1,
            waiting: HashMap::new(),
            look_at: None,
            signals: Some(sender),
        };
        (Arc::new(Self { clock, activity, state: Mutex::new(state) }), signals)
    }

    /// A place for an operation, if one is free now.
    pub fn try_enter(self: &Arc<Self>, server: &str) -> Option<Permits> {
        let now = self.now();
        let entry = self.open()?.places.try_enter(server, true, now)?;
        Some(self.permits(server, entry))
    }

    /// A place for an operation of the service; `None`: it stands in line, and [`Signal::Go`] calls it.
    pub fn enter(self: &Arc<Self>, server: &str, hook: Hook, id: &str, key: &ServiceKey) -> Option<Permits> {
        let now = self.now();
        {
            let mut state = self.open()?;
            let order = Order::new(hook, id);
            if state.waiting.get(key).is_none_or(|(_, waits)| *waits != order) {
                state.withdraw(key);
            }
            if let Some(entry) = state.places.try_enter(server, true, now) {
                state.withdraw(key);
                return Some(self.permits(server, entry));
            }
            let who = Waiter::Operation(key.clone());
            if state.places.wait(server, order.clone(), true, who, now).is_ok() {
                state.waiting.insert(key.clone(), (server.to_owned(), order));
            }
        }
        self.hand_out();
        None
    }

    /// No operation of the service may run now.
    pub fn withdraw(&self, key: &ServiceKey) {
        lock(&self.state).withdraw(key);
    }

    /// A place for a reading hook, in turn.
    ///
    /// # Errors
    ///
    /// `unreachable`, at once, while the server is left alone; `timeout` when no place was free within `patience`;
    /// `cancelled` when the host goes down or the server's entry was changed.
    pub async fn enter_reading(
        self: &Arc<Self>,
        server: &str,
        hook: Hook,
        id: &str,
        patience: Duration,
    ) -> Result<Permits, Fault> {
        let (sender, place) = oneshot::channel();
        let order = Order::new(hook, id);
        let now = self.now();
        {
            let mut state = self.open().ok_or_else(going_down)?;
            let entry = state.places.try_enter(server, false, now);
            // Whoever tests a server wants to know how it is now.
            let entry = entry.or_else(|| (hook == Hook::Test).then(|| state.places.probe_early(server)).flatten());
            if let Some(entry) = entry {
                return Ok(self.permits(server, entry));
            }
            if let Some(alone) = state.places.unreachable(server, now) {
                return Err(left_alone(server, alone, now));
            }
            let waits = state.places.wait(server, order.clone(), false, Waiter::Reading(sender), now);
            waits.map_err(|_| Fault::new(FaultClass::Cancelled, format!("the server {server} has no lane")))?;
        }
        let _in_line = InLine { lanes: self, server, order };
        self.hand_out();
        tokio::select! {
            place = place => place.map_err(|_| self.turned_away(server)),
            () = self.clock.sleep(patience) => {
                let text = format!("the server {server} was busy: no place on it within {patience:?}");
                Err(Fault::new(FaultClass::Timeout, text))
            }
        }
    }

    /// Hands out what is free, and asks for a look when there may be more by time alone.
    fn hand_out(self: &Arc<Self>) {
        let now = self.now();
        // Left over: a place that nobody takes comes back through its drop, which needs the lock.
        let (mut readings, mut undelivered) = (Vec::new(), Vec::new());
        {
            let mut state = lock(&self.state);
            let state = &mut *state;
            let Some(signals) = &state.signals else { return };
            let mut signal = |signal| {
                if let Err(mpsc::error::SendError(back)) = signals.send((signal, Busy::begin(&self.activity))) {
                    undelivered.push(back);
                }
            };
            let (grants, later) = state.places.grants(now);
            for grant in grants {
                let permits = self.permits(&grant.server, grant.entry);
                match grant.who {
                    Waiter::Operation(key) => {
                        state.waiting.remove(&key);
                        signal(Signal::Go(key, permits));
                    }
                    Waiter::Reading(reading) => readings.push((reading, permits)),
                }
            }
            if let Some(at) = later
                && state.look_at.is_none_or(|asked| at < asked)
            {
                state.look_at = Some(at);
                signal(Signal::LookAt(at));
            }
            if !undelivered.is_empty() {
                // The engine is gone; nobody is to be called any more.
                state.signals = None;
            }
        }
        drop(undelivered);
        for (reading, permits) in readings {
            let _ = reading.send(permits);
        }
    }

    /// The time of a look has come.
    pub fn look(self: &Arc<Self>) {
        let now = self.now();
        {
            let mut state = lock(&self.state);
            state.look_at = state.look_at.filter(|at| *at > now.monotonic);
        }
        self.hand_out();
    }

    /// Opens lanes, or changes their bounds, and the host's places.
    pub fn set_bounds<'a>(
        self: &Arc<Self>,
        places: u32,
        lanes: impl IntoIterator<Item = (&'a String, &'a LaneLimits)>,
    ) {
        let now = self.now();
        {
            let mut state = lock(&self.state);
            state.places.set_limit(places);
            for (server, limits) in lanes {
                let own = limits.share(state.share);
                state.bounds.insert(server.clone(), limits.clone());
                state.places.set_lane(server, own, now);
            }
        }
        self.hand_out();
    }

    /// So many hosts share what a server takes.
    pub fn set_share(self: &Arc<Self>, hosts: u32) {
        let now = self.now();
        {
            let mut state = lock(&self.state);
            let state = &mut *state;
            if state.share == hosts {
                return;
            }
            state.share = hosts;
            for (server, limits) in &state.bounds {
                state.places.set_lane(server, limits.share(hosts), now);
            }
        }
        tracing::info!(hosts, "what the servers take is shared by the hosts that live");
        self.hand_out();
    }

    /// Among how many hosts what a server takes is divided.
    pub fn share(&self) -> u32 {
        lock(&self.state).share
    }

    /// Whether an operation of the service stands in line.
    pub fn is_waiting(&self, key: &ServiceKey) -> bool {
        lock(&self.state).waiting.contains_key(key)
    }

    /// The server is reached in another way from now on: what was seen of it counts no more. Gives the services whose
    /// operations wait there; they are to be looked at again.
    pub fn renew(&self, server: &str) -> Vec<ServiceKey> {
        let now = self.now();
        let mut state = lock(&self.state);
        state.places.renew(server, now);
        let waiting = state.places.empty(server);
        let mut keys = Vec::new();
        for who in waiting {
            // A reading hook hears of it by losing its sender.
            if let Waiter::Operation(key) = who {
                state.waiting.remove(&key);
                keys.push(key);
            }
        }
        keys
    }

    /// Holds the server's operations back, or lets them go again, in order.
    pub fn set_pause(self: &Arc<Self>, server: &str, pause: Option<Pause>) {
        lock(&self.state).places.set_pause(server, pause);
        self.hand_out();
    }

    /// Holds the operations of all servers back, or lets them go, in order.
    pub fn set_recovering(self: &Arc<Self>, recovering: bool) {
        lock(&self.state).places.set_recovering(recovering);
        self.hand_out();
    }

    /// Whether the operations of all servers are held back.
    pub fn is_recovering(&self) -> bool {
        lock(&self.state).places.is_recovering()
    }

    /// A test of the server ended.
    pub fn tested(&self, server: &str, result: Result<(), String>) {
        let at = self.clock.unix_ms();
        let text = result.as_ref().err().cloned().unwrap_or_else(|| "passed".to_owned());
        lock(&self.state).places.tested(server, Sighting { at, ok: result.is_ok(), text });
    }

    /// Why operations on the server are held back, if they are.
    pub fn held(&self, server: &str) -> Option<Held> {
        lock(&self.state).places.held(server, self.now())
    }

    /// How the lane stands.
    pub fn sight(&self, server: &str) -> Option<LaneSight> {
        let now = self.now();
        lock(&self.state).places.lane(server).map(|lane| lane.sight(now))
    }

    /// Nobody enters any more, and nobody waits.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.signals = None;
        state.waiting.clear();
        let waiting = state.places.empty_all();
        drop(state);
        drop(waiting);
    }

    fn open(&self) -> Option<MutexGuard<'_, State>> {
        Some(lock(&self.state)).filter(|state| state.signals.is_some())
    }

    fn permits(self: &Arc<Self>, server: &str, entry: Entry) -> Permits {
        Permits { lanes: Arc::clone(self), server: server.to_owned(), entry }
    }

    /// Why a reading hook lost its place in the line.
    fn turned_away(&self, server: &str) -> Fault {
        let now = self.now();
        let Some(state) = self.open() else { return going_down() };
        match state.places.unreachable(server, now) {
            Some(alone) => left_alone(server, alone, now),
            None => Fault::new(
                FaultClass::Cancelled,
                format!("the configuration of the server {server} was changed meanwhile"),
            ),
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.clock.monotonic(), unix_ms: self.clock.unix_ms() }
    }
}

impl State {
    fn withdraw(&mut self, key: &ServiceKey) {
        if let Some((server, order)) = self.waiting.remove(key) {
            self.places.withdraw(&server, &order);
        }
    }
}

/// A reading hook in line, until it has a place or is gone.
struct InLine<'a> {
    lanes: &'a Lanes,
    server: &'a str,
    order: Order,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        lock(&self.lanes.state).places.withdraw(self.server, &self.order);
    }
}

/// A server's lane, as its exchanges meet it.
pub struct ServerLane {
    lanes: Arc<Lanes>,
    server: String,
}

impl ServerLane {
    pub(super) fn new(lanes: &Arc<Lanes>, server: &str) -> Self {
        Self { lanes: Arc::clone(lanes), server: server.to_owned() }
    }

    /// Takes the next exchange's turn. It may leave at once, or when the sleep ends.
    pub(crate) fn turn(&self) -> Option<Sleep> {
        let now = self.lanes.now();
        let at = lock(&self.lanes.state).places.turn(&self.server, now);
        (at > now.monotonic).then(|| self.lanes.clock.sleep_until(at))
    }

    /// Takes note of how an exchange ended.
    pub(crate) fn saw(&self, exchange: &Exchange) {
        let answer = match (&exchange.outcome, &exchange.partial) {
            (Ok(reply), _) | (Err(_), Some(reply)) => Ok(reply.status),
            // The host itself refused it.
            (Err(WireFailure::Refused(_)), None) => return,
            (Err(failure), None) => Err(failure.to_string()),
        };
        let why = answer.as_ref().err().cloned().unwrap_or_default();
        let now = self.lanes.now();
        let (turned, readings) = {
            let mut state = lock(&self.lanes.state);
            let turned = state.places.saw(&self.server, answer, now);
            let opened = turned == Some(Turned::Opened);
            let readings = if opened { state.places.empty_reads(&self.server) } else { Vec::new() };
            (turned, readings)
        };
        match turned {
            None => return,
            Some(Turned::Opened) => tracing::warn!(
                server = %self.server, %why,
                "the server does not answer and is left alone; its operations wait, and one tries it now and then"
            ),
            Some(Turned::Closed) => tracing::info!(server = %self.server, "the server answers again"),
        }
        drop(readings);
        self.lanes.hand_out();
    }
}

fn going_down() -> Fault {
    Fault::new(FaultClass::Cancelled, "the host is going down")
}

fn left_alone(server: &str, alone: Unreachable, now: Now) -> Fault {
    let since = now.unix_ms.saturating_sub(alone.since) / 1_000;
    let text =
        format!("the server {server} has not answered for {since} s and is left alone for now; nothing was sent");
    let fault = Fault::new(FaultClass::Unreachable, text);
    match alone.retry_in {
        Some(after) => fault.retry_after_ms(Some(millis(after).max(1_000))),
        None => fault,
    }
}
