//! A server's lane: how much may work on it at once, how often it may be asked, and when it is left alone.
//!
//! Pure: times come in, decisions go out. [`Places`] holds all lanes, since they share the host's places.

mod breaker;
mod places;
mod rate;

pub use breaker::{Admits, Breaker, BreakerLimits, BreakerState};
pub use places::{Entry, Grant, Held, Places, Turned, Unreachable};
pub use rate::{Rate, RateLimit};

use billhook_plugin_api::Hook;
use std::collections::BTreeMap;
use std::time::Duration;

/// A moment on both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For decisions.
    pub monotonic: Duration,
    /// For people, Unix milliseconds.
    pub unix_ms: u64,
}

/// The bounds of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneLimits {
    /// Attempts at once.
    pub concurrency: u32,
    /// Exchanges; no limit when absent.
    pub rate: Option<RateLimit>,
    /// When the server is left alone.
    pub breaker: BreakerLimits,
}

impl LaneLimits {
    /// One host's share where several work on the server: at least one at a time, and at least one exchange now and then.
    pub fn share(&self, hosts: u32) -> Self {
        let hosts = hosts.max(1);
        let rate = self.rate.map(|RateLimit { count, interval }| match count / hosts {
            0 => RateLimit { count: 1, interval: interval * hosts.div_ceil(count.max(1)) },
            count => RateLimit { count, interval },
        });
        Self { concurrency: (self.concurrency / hosts).max(1), rate, breaker: self.breaker.clone() }
    }
}

/// Who holds a server's operations back, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Unix milliseconds.
    pub at: u64,
}

/// The place of somebody who waits: by rank, then by time of arrival.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    rank: u8,
    id: String,
}

impl Order {
    /// `id` is that of an operation or of a reading hook; both sort by time.
    pub fn new(hook: Hook, id: impl Into<String>) -> Self {
        Self { rank: rank(hook), id: id.into() }
    }
}

/// A customer who has paid waits for nobody; a caller waits for a reading hook; figures can wait.
fn rank(hook: Hook) -> u8 {
    match hook {
        Hook::Unsuspend => 0,
        Hook::Usage => 3,
        hook if hook.is_read() => 1,
        _ => 2,
    }
}

/// What the last exchange or test showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Unix milliseconds.
    pub at: u64,
    /// Whether the server answered, or passed the test.
    pub ok: bool,
    /// What it was; without secrets.
    pub text: String,
}

/// A lane as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSight {
    /// Attempts that have a place.
    pub running: u32,
    /// How many wait for a place.
    pub waiting: usize,
    /// For how long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// Where the breaker stands.
    pub breaker: BreakerState,
    /// Since when, Unix milliseconds.
    pub breaker_since: u64,
    /// Exchanges without an answer since the last answer.
    pub unanswered: u32,
    /// When the next one may try a server that does not answer.
    pub retry_in: Option<Duration>,
    /// Who holds its operations back.
    pub pause: Option<Pause>,
    /// What the last exchange showed, since the start or since the server's entry was changed.
    pub last_exchange: Option<Sighting>,
    /// What the last test showed, likewise.
    pub last_test: Option<Sighting>,
}

/// One server's lane.
#[derive(Debug)]
pub struct Lane<W> {
    limits: LaneLimits,
    /// Attempts that have a place.
    running: u32,
    /// Reading hooks, which a pause lets pass.
    reads: BTreeMap<Order, Waiting<W>>,
    /// Operations.
    changes: BTreeMap<Order, Waiting<W>>,
    breaker: Breaker,
    rate: Rate,
    pause: Option<Pause>,
    /// The host holds back the operations of all servers.
    recovering: bool,
    last_exchange: Option<Sighting>,
    last_test: Option<Sighting>,
}

#[derive(Debug)]
struct Waiting<W> {
    since: Duration,
    who: W,
}

/// Whether somebody may go now.
#[derive(Debug, PartialEq, Eq)]
enum Gate {
    /// Yes.
    Open,
    /// Yes, to see whether the server answers again.
    Probe,
    /// Not before this monotonic time.
    NotBefore(Duration),
    /// Not before something else moves.
    Shut,
}

impl<W> Lane<W> {
    fn new(limits: LaneLimits, now: Now) -> Self {
        Self {
            limits,
            running: 0,
            reads: BTreeMap::new(),
            changes: BTreeMap::new(),
            breaker: Breaker::new(now),
            rate: Rate::default(),
            pause: None,
            recovering: false,
            last_exchange: None,
            last_test: None,
        }
    }

    /// How it stands.
    pub fn sight(&self, now: Now) -> LaneSight {
        let since = self.reads.values().chain(self.changes.values()).map(|waiting| waiting.since).min();
        LaneSight {
            running: self.running,
            waiting: self.reads.len() + self.changes.len(),
            oldest: since.map(|since| now.monotonic.saturating_sub(since)),
            breaker: self.breaker.state(),
            breaker_since: self.breaker.since_unix_ms(),
            unanswered: self.breaker.unanswered(),
            retry_in: match self.breaker.admits(now) {
                Admits::NotBefore(until) => Some(until.saturating_sub(now.monotonic)),
                _ => None,
            },
            pause: self.pause.clone(),
            last_exchange: self.last_exchange.clone(),
            last_test: self.last_test.clone(),
        }
    }

    /// Whether another attempt may begin.
    fn gate(&self, now: Now) -> Gate {
        if self.running >= self.limits.concurrency {
            return Gate::Shut;
        }
        // Attempts that would only wait for their turn to ask would use up their time.
        let turn = self.limits.rate.map_or(Duration::ZERO, |limit| self.rate.free_at(limit));
        match self.breaker.admits(now) {
            Admits::NotBefore(until) => Gate::NotBefore(until.max(turn)),
            Admits::AfterProbe => Gate::Shut,
            _ if turn > now.monotonic => Gate::NotBefore(turn),
            Admits::Probe => Gate::Probe,
            Admits::All => Gate::Open,
        }
    }

    /// Whether operations wait for somebody's word.
    fn holds_changes(&self) -> bool {
        self.recovering || self.pause.is_some()
    }

    /// The first that may go once the gate is open.
    fn first(&self) -> Option<&Order> {
        let read = self.reads.keys().next();
        let change = self.changes.keys().next().filter(|_| !self.holds_changes());
        read.into_iter().chain(change).min()
    }

    fn take(&mut self, order: &Order) -> Option<Waiting<W>> {
        self.reads.remove(order).or_else(|| self.changes.remove(order))
    }

    fn empty(&mut self) -> impl Iterator<Item = W> + use<W> {
        let waiting =
            std::mem::take(&mut self.reads).into_values().chain(std::mem::take(&mut self.changes).into_values());
        waiting.map(|waiting| waiting.who)
    }

    fn enter(&mut self, gate: &Gate) -> bool {
        self.running += 1;
        let is_probe = *gate == Gate::Probe;
        if is_probe {
            self.breaker.probe();
        }
        is_probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_what_a_server_takes_and_each_may_do_something() {
        let limits = |concurrency, rate: Option<(u32, u64)>| LaneLimits {
            concurrency,
            rate: rate.map(|(count, secs)| RateLimit { count, interval: Duration::from_secs(secs) }),
            breaker: BreakerLimits { after: 5, delays: vec![] },
        };
        for (all, hosts, one) in [
            (limits(4, None), 1, limits(4, None)),
            (limits(5, None), 2, limits(2, None)),
            (limits(4, None), 8, limits(1, None)),
            (limits(4, Some((60, 60))), 3, limits(1, Some((20, 60)))),
            (limits(4, Some((2, 10))), 3, limits(1, Some((1, 20)))),
            (limits(4, Some((1, 10))), 3, limits(1, Some((1, 30)))),
        ] {
            assert_eq!(all.share(hosts), one, "{all:?} among {hosts}");
        }
    }
}
