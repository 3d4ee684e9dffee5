//! Which server of a group takes a new service. Pure: what is known of the servers comes in, a choice goes out.
//!
//! The choice is part of the operation and stored with it. It is made when the hook is accepted, out of what the host knows, and
//! made again for as long as nothing was begun and the chosen server turns out to be full.

use billhook_plugin_api::{Fault, FaultClass};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The rule by which a group is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The server with the fewest services, for its capacity where every server of the group has one.
    LeastUsed,
    /// The first server that is not full.
    FillFirst,
}

impl Fill {
    /// Both.
    pub const ALL: [Self; 2] = [Self::LeastUsed, Self::FillFirst];

    /// The word in the configuration and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeastUsed => "least_used",
            Self::FillFirst => "fill_first",
        }
    }

    /// The rule of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fill| fill.as_str() == word)
    }
}

/// What the host knows of one server of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub server: String,
    /// Live services on it, and creates under way.
    pub services: u64,
    /// The most that may be placed there.
    pub capacity: Option<u64>,
    /// Whether it can be used.
    pub standing: Standing,
}

/// Whether a server can be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Ready,
    /// Its operations are held back for a time: paused, or it does not answer. The reason, as a clause.
    Held(String),
    /// It cannot be used at all until somebody mends it. The reason, as a clause.
    Unready(String),
}

/// A server that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its name.
    pub server: String,
    /// Why, as a clause.
    pub reason: String,
    /// Its panel said so, and need not be asked again in this round. What the host knows itself is looked at anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_panel: bool,
}

/// The choice as it is stored with its operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The group's name.
    pub group: String,
    /// What was passed over before the operation's server, in that order.
    #[serde(default)]
    pub passed: Vec<Passed>,
    /// No server had room: every one of the group stands in `passed`, and the next attempt asks all of them again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exhausted: bool,
}

impl Placement {
    /// The servers whose panels need not be asked again in this round.
    fn asked(&self) -> impl Iterator<Item = &Passed> {
        self.passed.iter().filter(|one| one.by_panel && !self.exhausted)
    }

    /// What is left to do when the server that was chosen turns out to be full: where to go, and what to store.
    pub fn pass_over(&self, full: Passed, others: &[Candidate], fill: Fill) -> (Option<String>, Self) {
        let mut passed: Vec<Passed> = self.asked().filter(|one| one.server != full.server).cloned().collect();
        passed.push(full);
        let rest: Vec<Candidate> =
            others.iter().filter(|other| passed.iter().all(|one| one.server != other.server)).cloned().collect();
        let choice = choose(fill, &rest);
        passed.extend(choice.passed);
        let exhausted = choice.server.is_none();
        (choice.server, Self { group: self.group.clone(), passed, exhausted })
    }

    /// The fault of a create for which no server of the group has room.
    pub fn none_left(&self, customer: Option<String>) -> Fault {
        let reasons: Vec<String> = self.passed.iter().map(|one| format!("{}: {}", one.server, one.reason)).collect();
        let text = format!(
            "no server of the group {} can take it: {}; make room, or add a server to the group",
            self.group,
            reasons.join("; ")
        );
        let fault = Fault::new(FaultClass::Capacity, text);
        fault.for_customer(customer.unwrap_or_else(|| "There is no room for this order at the moment.".to_owned()))
    }
}

/// What was chosen out of candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The server that takes it; `None` when none can.
    pub server: Option<String>,
    /// Those that would have gone before it and cannot take it, in the order of the rule; all of them when none can.
    pub passed: Vec<Passed>,
}

/// Chooses the best candidate that can take a service now. The candidates are in the order of the group.
pub fn choose(fill: Fill, candidates: &[Candidate]) -> Choice {
    let mut passed = Vec::new();
    for candidate in in_order(fill, candidates) {
        match obstacle(candidate) {
            None => return Choice { server: Some(candidate.server.clone()), passed },
            Some(reason) => passed.push(Passed { server: candidate.server.clone(), reason, by_panel: false }),
        }
    }
    Choice { server: None, passed }
}

/// Where an operation waits for which there is no server now: where it can go on by itself soonest. `None` when no server of the
/// group can be used at all.
pub fn waiting_place(fill: Fill, candidates: &[Candidate]) -> Option<&Candidate> {
    let ordered = || in_order(fill, candidates).into_iter();
    let usable = || ordered().filter(|candidate| !matches!(candidate.standing, Standing::Unready(_)));
    let held = usable().find(|candidate| !is_full(candidate));
    held.or_else(|| usable().find(|candidate| candidate.standing == Standing::Ready)).or_else(|| usable().next())
}

/// Why a candidate cannot take a service now.
fn obstacle(candidate: &Candidate) -> Option<String> {
    match &candidate.standing {
        Standing::Held(reason) | Standing::Unready(reason) => Some(reason.clone()),
        Standing::Ready if is_full(candidate) => Some(full_text(candidate.services, candidate.capacity.unwrap_or(0))),
        Standing::Ready => None,
    }
}

/// The reason of a server that has as many services as its `capacity` allows.
pub fn full_text(services: u64, capacity: u64) -> String {
    format!("it has {services} services, and its `capacity` is {capacity}")
}

fn is_full(candidate: &Candidate) -> bool {
    candidate.capacity.is_some_and(|capacity| candidate.services >= capacity)
}

fn in_order(fill: Fill, candidates: &[Candidate]) -> Vec<&Candidate> {
    let mut ordered: Vec<&Candidate> = candidates.iter().collect();
    if fill == Fill::LeastUsed {
        // A share of a capacity and a bare count cannot be compared, so one of the two holds for the whole group.
        let all_limited = candidates.iter().all(|candidate| candidate.capacity.is_some());
        // Stable: among equals the order of the group.
        ordered.sort_by(
            |left, right| if all_limited { by_share(left, right) } else { left.services.cmp(&right.services) },
        );
    }
    ordered
}

/// By how much of their capacity is used, without rounding.
fn by_share(left: &Candidate, right: &Candidate) -> Ordering {
    let cross = |one: &Candidate, other: &Candidate| u128::from(one.services) * u128::from(other.capacity.unwrap_or(1));
    cross(left, right).cmp(&cross(right, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name services/capacity`, with `!` for one that is held and `?` for one that is not ready.
    fn candidates(text: &str) -> Vec<Candidate> {
        let one = |word: &str| {
            let (name, load) = word.split_once('=').unwrap();
            let (services, capacity) = load.trim_end_matches(['!', '?']).split_once('/').unwrap();
            let standing = match load.chars().last() {
                Some('!') => Standing::Held("it is paused".into()),
                Some('?') => Standing::Unready("it is not ready".into()),
                _ => Standing::Ready,
            };
            Candidate {
                server: name.into(),
                services: services.parse().unwrap(),
                capacity: capacity.parse().ok(),
                standing,
            }
        };
        text.split(' ').map(one).collect()
    }

    #[test]
    fn a_group_is_filled_by_its_rule() {
        use Fill::{FillFirst, LeastUsed};
        for (fill, servers, chosen, passed) in [
            (FillFirst, "a=0/- b=0/-", Some("a"), &[][..]),
            (FillFirst, "a=90/- b=0/-", Some("a"), &[]),
            (FillFirst, "a=9/10 b=0/10", Some("a"), &[]),
            (FillFirst, "a=10/10 b=0/10", Some("b"), &["a"]),
            (FillFirst, "a=11/10 b=10/10 c=3/-", Some("c"), &["a", "b"]),
            (FillFirst, "a=0/-! b=0/-? c=0/-", Some("c"), &["a", "b"]),
            (FillFirst, "a=1/1 b=0/-!", None, &["a", "b"]),
            (LeastUsed, "a=0/- b=0/-", Some("a"), &[]),
            (LeastUsed, "a=2/- b=1/-", Some("b"), &[]),
            (LeastUsed, "a=2/- b=2/- c=1/-", Some("c"), &[]),
            // By the share of what they can hold, and without rounding: 1/3 is less than 34/100.
            (LeastUsed, "a=34/100 b=1/3", Some("b"), &[]),
            (LeastUsed, "a=50/100 b=5/10", Some("a"), &[]),
            (LeastUsed, "a=99/100 b=10/10", Some("a"), &[]),
            // One without a limit: all are compared by their services.
            (LeastUsed, "a=34/100 b=1/3 c=40/-", Some("b"), &[]),
            (LeastUsed, "a=5/5 b=9/-", Some("b"), &["a"]),
            (LeastUsed, "a=0/-! b=3/-", Some("b"), &["a"]),
            // Those that would not have been chosen were not passed over.
            (LeastUsed, "a=0/- b=9/-! c=5/5", Some("a"), &[]),
            (LeastUsed, "a=1/1 b=0/-! c=0/-?", None, &["b", "c", "a"]),
        ] {
            let found = choose(fill, &candidates(servers));
            let names: Vec<&str> = found.passed.iter().map(|one| one.server.as_str()).collect();
            assert_eq!((found.server.as_deref(), names.as_slice()), (chosen, passed), "{fill:?} {servers}");
        }
    }

    #[test]
    fn a_reason_says_what_is_in_the_way() {
        let found = choose(Fill::FillFirst, &candidates("a=7/7 b=0/-! c=0/-?"));
        let reasons: Vec<&str> = found.passed.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(reasons, ["it has 7 services, and its `capacity` is 7", "it is paused", "it is not ready"]);
    }

    #[test]
    fn an_order_without_a_server_waits_where_it_can_go_on_soonest() {
        for (servers, place) in [
            ("a=1/1 b=0/-! c=0/-?", Some("b")),
            ("a=1/1! b=1/1 c=0/-?", Some("b")),
            ("a=1/1! b=0/-?", Some("a")),
            ("a=0/-? b=0/-?", None),
        ] {
            let servers_of = candidates(servers);
            let found = waiting_place(Fill::FillFirst, &servers_of).map(|one| one.server.as_str());
            assert_eq!(found, place, "{servers}");
        }
    }

    #[test]
    fn a_full_server_is_followed_by_the_next_until_none_is_left_and_then_all_are_asked_again() {
        let all = candidates("a=0/- b=9/9 c=0/- d=0/-!");
        let reason = "the panel has no room";
        let full = |server: &str| Passed { server: server.into(), reason: reason.into(), by_panel: true };
        let first = Placement { group: "g".into(), passed: Vec::new(), exhausted: false };
        let names = |placement: &Placement| placement.passed.iter().map(|one| one.server.clone()).collect::<Vec<_>>();

        let (next, second) = first.pass_over(full("a"), &all, Fill::FillFirst);
        assert_eq!((next.as_deref(), names(&second)), (Some("c"), vec!["a".to_owned(), "b".into()]));

        let (next, last) = second.pass_over(full("c"), &all, Fill::FillFirst);
        assert_eq!((next, last.exhausted), (None, true));
        assert_eq!(names(&last), ["a", "c", "b", "d"]);
        let text = last.none_left(None).staff.clone();
        for reason in
            ["a: the panel has no room", "b: it has 9 services", "c: the panel has no room", "d: it is paused"]
        {
            assert!(text.contains(reason), "{text}");
        }

        // What only the host said holds no longer than it is so.
        let resumed = candidates("a=0/- b=9/9 c=0/- d=0/-");
        assert_eq!(second.pass_over(full("c"), &resumed, Fill::FillFirst).0.as_deref(), Some("d"));

        // The next attempt begins anew, where the operation is.
        let (next, again) = last.pass_over(full("c"), &all, Fill::FillFirst);
        assert_eq!((next.as_deref(), names(&again)), (Some("a"), vec!["c".to_owned()]));
        assert!(!again.exhausted);
    }
}
