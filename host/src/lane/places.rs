//! All lanes together, and the host's places, which they share in turn.

use super::{Admits, Breaker, BreakerState, Gate, Lane, LaneLimits, Now, Order, Pause, Sighting, Waiting};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// A place on a lane and one in the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its end decides about the server's breaker.
    pub is_probe: bool,
}

/// A place for somebody who waited.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant<W> {
    /// On this server.
    pub server: String,
    /// The place.
    pub entry: Entry,
    /// Whose.
    pub who: W,
}

/// Why a server's operations are held back, for those who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Somebody asked for it.
    Paused(Pause),
    /// It does not answer.
    Unreachable(Unreachable),
    /// The store is a restored copy that nobody has released.
    Recovering,
}

/// A server that is left alone because it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable {
    /// Unix milliseconds.
    pub since: u64,
    /// When the next one tries, from now; absent while one does.
    pub retry_in: Option<Duration>,
}

/// Every lane.
#[derive(Debug)]
pub struct Places<W> {
    /// Attempts at once, over all lanes.
    limit: u32,
    running: u32,
    lanes: BTreeMap<String, Lane<W>>,
    /// Whose turn it was last, so that no lane waits for a busier one.
    last: String,
    /// Whether the operations of all servers are held back.
    recovering: bool,
}

impl<W> Places<W> {
    /// No lanes yet.
    pub const fn new(limit: u32) -> Self {
        Self { limit, running: 0, lanes: BTreeMap::new(), last: String::new(), recovering: false }
    }

    /// Changes the host's places. Those who have one keep it.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Opens the lane, or changes the bounds of the one that is there: who runs, waits or holds it back stays.
    pub fn set_lane(&mut self, server: &str, limits: LaneLimits, now: Now) {
        match self.lanes.get_mut(server) {
            Some(lane) => lane.limits = limits,
            None => {
                let lane = Lane { recovering: self.recovering, ..Lane::new(limits, now) };
                self.lanes.insert(server.to_owned(), lane);
            }
        }
    }

    /// What was known of the server is of no value any more: it is reached in another way.
    pub fn renew(&mut self, server: &str, now: Now) {
        if let Some(lane) = self.lanes.get_mut(server) {
            lane.breaker = Breaker::new(now);
            lane.last_exchange = None;
            lane.last_test = None;
        }
    }

    /// Takes out all who wait on a lane, in no order.
    pub fn empty(&mut self, server: &str) -> Vec<W> {
        self.lanes.get_mut(server).map(|lane| lane.empty().collect()).unwrap_or_default()
    }

    /// Takes out all who wait on any lane.
    pub fn empty_all(&mut self) -> Vec<W> {
        self.lanes.values_mut().flat_map(Lane::empty).collect()
    }

    /// Takes out the reading hooks that wait: a caller who waits is better told that the server does not answer.
    pub fn empty_reads(&mut self, server: &str) -> Vec<W> {
        let reads = self.lanes.get_mut(server).map(|lane| std::mem::take(&mut lane.reads)).unwrap_or_default();
        reads.into_values().map(|waiting| waiting.who).collect()
    }

    /// The lane.
    pub fn lane(&self, server: &str) -> Option<&Lane<W>> {
        self.lanes.get(server)
    }

    /// Takes a place if one is free now and nobody waits for it.
    pub fn try_enter(&mut self, server: &str, changes: bool, now: Now) -> Option<Entry> {
        let lane = self.lanes.get_mut(server)?;
        let gate = lane.gate(now);
        let is_held = changes && lane.holds_changes();
        if self.running >= self.limit || is_held || !matches!(gate, Gate::Open | Gate::Probe) || lane.first().is_some()
        {
            return None;
        }
        self.running += 1;
        Some(Entry { is_probe: lane.enter(&gate) })
    }

    /// Takes a place as the probe of a server that is left alone, before its time has come: an admin wants to know.
    pub fn probe_early(&mut self, server: &str) -> Option<Entry> {
        let lane = self.lanes.get_mut(server)?;
        let is_open = matches!(lane.breaker.state(), BreakerState::Open { .. });
        if !is_open || self.running >= self.limit || lane.running >= lane.limits.concurrency {
            return None;
        }
        self.running += 1;
        Some(Entry { is_probe: lane.enter(&Gate::Probe) })
    }

    /// Waits for a place; [`grants`](Self::grants) hands it out. Gives `who` back when there is no such lane.
    ///
    /// # Errors
    ///
    /// `who`.
    pub fn wait(&mut self, server: &str, order: Order, changes: bool, who: W, now: Now) -> Result<(), W> {
        let Some(lane) = self.lanes.get_mut(server) else { return Err(who) };
        let waiting = if changes { &mut lane.changes } else { &mut lane.reads };
        let since = waiting.get(&order).map_or(now.monotonic, |waiting| waiting.since);
        waiting.insert(order, Waiting { since, who });
        Ok(())
    }

    /// Waits no longer.
    pub fn withdraw(&mut self, server: &str, order: &Order) {
        if let Some(lane) = self.lanes.get_mut(server) {
            lane.take(order);
        }
    }

    /// Gives a place back.
    pub fn leave(&mut self, server: &str, entry: Entry, now: Now) {
        self.running = self.running.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(server) else { return };
        lane.running = lane.running.saturating_sub(1);
        if entry.is_probe {
            lane.breaker.probe_over(now);
        }
    }

    /// Hands out the places that are free, and says when there may be more by time alone.
    pub fn grants(&mut self, now: Now) -> (Vec<Grant<W>>, Option<Duration>) {
        let mut grants = Vec::new();
        while self.running < self.limit {
            let Some(server) = self.next_in_turn(now) else { break };
            let Some(lane) = self.lanes.get_mut(&server) else { break };
            let Some(order) = lane.first().cloned() else { break };
            let Some(waiting) = lane.take(&order) else { break };
            let gate = lane.gate(now);
            let entry = Entry { is_probe: lane.enter(&gate) };
            self.running += 1;
            self.last.clone_from(&server);
            grants.push(Grant { server, entry, who: waiting.who });
        }
        let later = self.lanes.values().filter(|lane| lane.first().is_some()).filter_map(|lane| match lane.gate(now) {
            Gate::NotBefore(at) => Some(at),
            _ => None,
        });
        (grants, later.min())
    }

    /// The next lane, from the last one on, that has somebody who may go.
    fn next_in_turn(&self, now: Now) -> Option<String> {
        let may_go = |lane: &Lane<W>| lane.first().is_some() && matches!(lane.gate(now), Gate::Open | Gate::Probe);
        let behind = self.lanes.range::<String, _>((Bound::Excluded(&self.last), Bound::Unbounded));
        let from_start = self.lanes.range::<String, _>(..=&self.last);
        behind.chain(from_start).find(|(_, lane)| may_go(lane)).map(|(server, _)| server.clone())
    }

    /// When an exchange that is asked for now may leave.
    pub fn turn(&mut self, server: &str, now: Now) -> Duration {
        let lane = self.lanes.get_mut(server);
        lane.and_then(|lane| lane.limits.rate.map(|limit| lane.rate.take(now.monotonic, limit)))
            .unwrap_or(now.monotonic)
    }

    /// An exchange ended: answered, or with this text. Tells what became of the breaker.
    pub fn saw(&mut self, server: &str, answer: Result<u16, String>, now: Now) -> Option<Turned> {
        let lane = self.lanes.get_mut(server)?;
        let (turned, text) = match &answer {
            Ok(status) => (lane.breaker.answered(now).then_some(Turned::Closed), format!("HTTP {status}")),
            Err(why) => (lane.breaker.unanswered_one(now, &lane.limits.breaker).then_some(Turned::Opened), why.clone()),
        };
        lane.last_exchange = Some(Sighting { at: now.unix_ms, ok: answer.is_ok(), text });
        turned
    }

    /// A test of the server ended.
    pub fn tested(&mut self, server: &str, sighting: Sighting) {
        if let Some(lane) = self.lanes.get_mut(server) {
            lane.last_test = Some(sighting);
        }
    }

    /// Holds operations back, or lets them go again.
    pub fn set_pause(&mut self, server: &str, pause: Option<Pause>) {
        if let Some(lane) = self.lanes.get_mut(server) {
            lane.pause = pause;
        }
    }

    /// Holds the operations of all servers back, or lets them go.
    pub fn set_recovering(&mut self, recovering: bool) {
        self.recovering = recovering;
        for lane in self.lanes.values_mut() {
            lane.recovering = recovering;
        }
    }

    /// Whether the operations of all servers are held back.
    pub const fn is_recovering(&self) -> bool {
        self.recovering
    }

    /// Why operations on the server are held back, if they are.
    pub fn held(&self, server: &str, now: Now) -> Option<Held> {
        if self.recovering {
            return Some(Held::Recovering);
        }
        let pause = self.lanes.get(server)?.pause.clone();
        pause.map(Held::Paused).or_else(|| self.unreachable(server, now).map(Held::Unreachable))
    }

    /// Whether the server is left alone because it does not answer, and nobody may try it now.
    pub fn unreachable(&self, server: &str, now: Now) -> Option<Unreachable> {
        let breaker = &self.lanes.get(server)?.breaker;
        let since = breaker.since_unix_ms();
        match breaker.admits(now) {
            Admits::NotBefore(until) => {
                Some(Unreachable { since, retry_in: Some(until.saturating_sub(now.monotonic)) })
            }
            Admits::AfterProbe => Some(Unreachable { since, retry_in: None }),
            Admits::All | Admits::Probe => None,
        }
    }
}

/// What became of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// The server is left alone from now on.
    Opened,
    /// The server answers again.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::super::{BreakerLimits, RateLimit};
    use super::*;
    use billhook_plugin_api::Hook;

    fn at(secs: u64) -> Now {
        Now { monotonic: Duration::from_secs(secs), unix_ms: secs * 1_000 }
    }

    fn limits(concurrency: u32) -> LaneLimits {
        let breaker = BreakerLimits { after: 2, delays: vec![Duration::from_secs(10)] };
        LaneLimits { concurrency, rate: None, breaker }
    }

    /// Lanes of these names with this concurrency.
    fn places(limit: u32, lanes: &[(&str, u32)]) -> Places<String> {
        let mut places = Places::new(limit);
        for (server, concurrency) in lanes {
            places.set_lane(server, limits(*concurrency), at(0));
        }
        places
    }

    fn wait(places: &mut Places<String>, server: &str, hook: Hook, id: &str) {
        let waited = places.wait(server, Order::new(hook, id), !hook.is_read(), id.to_owned(), at(0));
        assert_eq!(waited, Ok(()));
    }

    fn granted(places: &mut Places<String>, secs: u64) -> Vec<String> {
        places.grants(at(secs)).0.into_iter().map(|grant| grant.who).collect()
    }

    fn lose(places: &mut Places<String>, server: &str, secs: u64) -> Option<Turned> {
        places.saw(server, Err("no answer".into()), at(secs))
    }

    #[test]
    fn while_the_store_recovers_only_reads_go_on_any_lane() {
        let mut places = places(64, &[("a", 2)]);
        places.set_recovering(true);
        places.set_lane("later", limits(2), at(0));
        for server in ["a", "later"] {
            assert_eq!(places.try_enter(server, true, at(1)), None);
            assert!(places.try_enter(server, false, at(1)).is_some());
            assert_eq!(places.held(server, at(1)), Some(Held::Recovering));
            wait(&mut places, server, Hook::Create, &format!("op_{server}"));
        }
        assert!(granted(&mut places, 2).is_empty());

        places.set_recovering(false);

        assert_eq!(granted(&mut places, 3), ["op_a", "op_later"]);
        assert_eq!(places.held("a", at(3)), None);
    }

    #[test]
    fn places_are_handed_out_by_rank_and_then_in_order_of_arrival() {
        let mut places = places(64, &[("a", 1)]);
        for (hook, id) in [
            (Hook::Usage, "rd_0"),
            (Hook::Create, "op_2"),
            (Hook::Create, "op_1"),
            (Hook::Unsuspend, "op_4"),
            (Hook::Status, "rd_3"),
        ] {
            wait(&mut places, "a", hook, id);
        }

        let mut order = Vec::new();
        for secs in 0..5 {
            let (mut grants, later) = places.grants(at(secs));
            assert_eq!(later, None);
            let grant = grants.pop().expect("the place is free");
            assert!(grants.is_empty(), "there is one place");
            places.leave("a", grant.entry, at(secs));
            order.push(grant.who);
        }

        assert_eq!(order, ["op_4", "rd_3", "op_1", "op_2", "rd_0"]);
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let mut places = places(64, &[("a", 2)]);
        let first = places.try_enter("a", true, at(0)).expect("a free lane");
        assert!(places.try_enter("a", true, at(0)).is_some());
        assert_eq!(places.try_enter("a", true, at(0)), None, "it is full");
        wait(&mut places, "a", Hook::Create, "op_1");
        places.leave("a", first, at(1));

        assert_eq!(places.try_enter("a", true, at(1)), None);
        assert_eq!(granted(&mut places, 1), ["op_1"]);
    }

    #[test]
    fn lanes_share_the_hosts_places_in_turn() {
        let mut places = places(4, &[("a", 64), ("b", 64), ("c", 64)]);
        for n in 0..5 {
            wait(&mut places, "a", Hook::Create, &format!("op_a{n}"));
            wait(&mut places, "b", Hook::Create, &format!("op_b{n}"));
        }
        wait(&mut places, "c", Hook::Create, "op_c0");

        assert_eq!(granted(&mut places, 0), ["op_a0", "op_b0", "op_c0", "op_a1"]);
        assert_eq!(places.try_enter("c", true, at(0)), None, "the host is full");
        places.leave("a", Entry { is_probe: false }, at(1));
        assert_eq!(granted(&mut places, 1), ["op_b1"]);
    }

    #[test]
    fn a_dead_server_holds_its_own_and_nobody_elses() {
        let mut places = places(64, &[("alive", 2), ("dead", 2)]);
        assert_eq!(lose(&mut places, "dead", 1), None);
        assert_eq!(lose(&mut places, "dead", 2), Some(Turned::Opened));
        for n in 0..3 {
            wait(&mut places, "dead", Hook::Create, &format!("op_d{n}"));
        }
        wait(&mut places, "alive", Hook::Create, "op_l");

        let (grants, later) = places.grants(at(3));
        assert_eq!(grants.iter().map(|grant| grant.who.as_str()).collect::<Vec<_>>(), ["op_l"]);
        assert_eq!(later, Some(Duration::from_secs(12)));
        let alone = Unreachable { since: 2_000, retry_in: Some(Duration::from_secs(9)) };
        assert_eq!(places.held("dead", at(3)), Some(Held::Unreachable(alone)));

        // One probe; its answer lets the others go.
        let (grants, later) = places.grants(at(12));
        let [probe] = grants.as_slice() else { panic!("one probe: {grants:?}") };
        assert!(probe.entry.is_probe && later.is_none());
        assert!(granted(&mut places, 13).is_empty());
        assert_eq!(places.saw("dead", Ok(200), at(14)), Some(Turned::Closed));
        assert_eq!(granted(&mut places, 14), ["op_d1"], "beside the probe, which still runs");
        places.leave("dead", Entry { is_probe: true }, at(15));
        assert_eq!(granted(&mut places, 15), ["op_d2"]);
        assert_eq!(places.held("dead", at(15)), None);
    }

    #[test]
    fn a_probe_that_is_not_answered_sends_nobody_after_it() {
        let mut places = places(64, &[("a", 4)]);
        lose(&mut places, "a", 0);
        lose(&mut places, "a", 0);
        wait(&mut places, "a", Hook::Create, "op_1");
        wait(&mut places, "a", Hook::Create, "op_2");
        let (mut grants, _) = places.grants(at(10));
        let probe = grants.remove(0);

        assert_eq!(lose(&mut places, "a", 11), None);
        places.leave("a", probe.entry, at(11));

        assert_eq!(places.grants(at(11)), (vec![], Some(Duration::from_secs(21))));
    }

    #[test]
    fn an_admin_may_try_before_the_time_has_come() {
        let mut places = places(64, &[("a", 1)]);
        assert_eq!(places.probe_early("a"), None, "nothing is held back");
        lose(&mut places, "a", 0);
        lose(&mut places, "a", 0);

        assert_eq!(places.probe_early("a"), Some(Entry { is_probe: true }));
        assert_eq!(places.probe_early("a"), None, "one at a time");
        assert_eq!(places.saw("a", Ok(401), at(1)), Some(Turned::Closed), "an answer is an answer");
    }

    #[test]
    fn a_pause_holds_operations_and_lets_readings_pass() {
        let mut places = places(64, &[("a", 4)]);
        let pause = Pause { by: "uid 0 (root)".into(), at: 5 };
        places.set_pause("a", Some(pause.clone()));
        for (hook, id) in [(Hook::Create, "op_2"), (Hook::Create, "op_1"), (Hook::Status, "rd_3")] {
            wait(&mut places, "a", hook, id);
        }

        assert_eq!(granted(&mut places, 1), ["rd_3"]);
        assert_eq!(places.try_enter("a", true, at(1)), None);
        assert!(places.try_enter("a", false, at(1)).is_some());
        assert_eq!(places.held("a", at(1)), Some(Held::Paused(pause)));
        assert_eq!(places.lane("a").and_then(|lane| lane.sight(at(7)).oldest), Some(Duration::from_secs(7)));

        places.set_pause("a", None);
        assert_eq!(granted(&mut places, 2), ["op_1", "op_2"]);
    }

    #[test]
    fn attempts_do_not_begin_while_exchanges_wait_for_their_turn() {
        let mut places = places(64, &[("a", 4)]);
        let rate = Some(RateLimit { count: 2, interval: Duration::from_secs(10) });
        places.set_lane("a", LaneLimits { rate, ..limits(4) }, at(0));
        let turns: Vec<u64> = (0..3).map(|secs| places.turn("a", at(secs)).as_secs()).collect();
        assert_eq!(turns, [0, 1, 10]);
        wait(&mut places, "a", Hook::Create, "op_1");

        assert_eq!(places.grants(at(5)), (vec![], Some(Duration::from_secs(11))));
        assert_eq!(granted(&mut places, 11), ["op_1"]);
    }

    #[test]
    fn a_lane_that_is_made_narrower_lets_those_finish_who_are_there() {
        let mut places = places(64, &[("a", 2)]);
        let entries: Vec<_> = (0..2).filter_map(|_| places.try_enter("a", true, at(0))).collect();
        wait(&mut places, "a", Hook::Create, "op_1");
        places.set_lane("a", limits(1), at(1));

        places.leave("a", entries[0], at(2));
        assert!(granted(&mut places, 2).is_empty(), "one is there, and there is one place");
        places.leave("a", entries[1], at(3));
        assert_eq!(granted(&mut places, 3), ["op_1"]);
    }

    #[test]
    fn who_withdraws_is_not_granted_a_place() {
        let mut places = places(64, &[("a", 1)]);
        wait(&mut places, "a", Hook::Create, "op_1");
        wait(&mut places, "a", Hook::Status, "rd_2");
        places.withdraw("a", &Order::new(Hook::Create, "op_1"));
        places.withdraw("a", &Order::new(Hook::Status, "rd_2"));

        assert!(granted(&mut places, 1).is_empty());
        assert_eq!(places.wait("b", Order::new(Hook::Create, "op_1"), true, "who".into(), at(1)), Err("who".into()));
    }
}
