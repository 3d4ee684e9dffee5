//! The order of one service: one change at a time, with the exceptions that keep it from being stranded.

use crate::operation::{Effects, State};
use billhook_plugin_api::Hook;

/// One unfinished operation of a service, as its order needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Operation id.
    pub id: String,
    /// Order of arrival.
    pub seq: u64,
    /// What it does.
    pub hook: Hook,
    /// Where it stands.
    pub state: State,
    /// What it has done. A convergent hook counts as touched from its claim until it is proven that nothing left.
    pub effects: Effects,
}

/// What the arrival of a hook means for those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrival {
    /// To be cancelled in the commit that accepts the new one; those that run are cancelled at their next step.
    pub cancels: Vec<String>,
}

/// Which earlier operations the arriving hook cancels: never one that has begun anything.
pub fn arrive(hook: Hook, earlier: &[Line]) -> Arrival {
    let cancels = earlier
        .iter()
        .filter(|line| !line.state.is_final() && !line.effects.touched && cancels(hook, line.hook))
        .map(|line| line.id.clone())
        .collect();
    Arrival { cancels }
}

fn cancels(hook: Hook, earlier: Hook) -> bool {
    match hook {
        Hook::Suspend | Hook::Terminate => true,
        Hook::Unsuspend => earlier == Hook::Suspend,
        _ => false,
    }
}

/// Whether a waiting operation of `earlier` may be left behind by `hook`.
fn passes(hook: Hook, earlier: &Line) -> bool {
    matches!(hook, Hook::Suspend | Hook::Terminate)
        && matches!(earlier.hook, Hook::Renew | Hook::Power | Hook::OrderAddons | Hook::ChangePassword)
        && matches!(earlier.state, State::Waiting | State::Attention)
}

/// Whether an operation may be taken up now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Yes; these are left behind by it.
    Now {
        /// Ids of the operations passed.
        passes: Vec<String>,
    },
    /// Not before this one has ended or moved.
    After(String),
}

/// Whether `id` may be claimed among the service's unfinished operations.
pub fn may_claim(id: &str, lines: &[Line]) -> Claim {
    let Some(own) = lines.iter().find(|line| line.id == id) else { return Claim::After(id.to_owned()) };
    let mut passed = Vec::new();
    for other in lines.iter().filter(|line| line.id != id && !line.state.is_final()) {
        if other.seq < own.seq {
            if passes(own.hook, other) {
                passed.push(other.id.clone());
            } else {
                return Claim::After(other.id.clone());
            }
        } else if other.state != State::Queued {
            // It passed us; we go on when it has ended.
            return Claim::After(other.id.clone());
        }
    }
    Claim::Now { passes: passed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Effects = Effects { touched: false, doubted: false };
    const DONE: Effects = Effects { touched: true, doubted: false };
    const DOUBT: Effects = Effects { touched: true, doubted: true };

    fn line(seq: u64, hook: Hook, state: State, effects: Effects) -> Line {
        Line { id: format!("op_{seq}"), seq, hook, state, effects }
    }

    #[test]
    fn who_cancels_whom() {
        use Hook::{Create, Renew, Suspend, Terminate, Unsuspend};
        for (hook, earlier, state, effects, cancelled) in [
            (Suspend, Renew, State::Queued, NOTHING, true),
            (Suspend, Create, State::Running, NOTHING, true),
            (Terminate, Create, State::Waiting, NOTHING, true),
            (Terminate, Create, State::Waiting, DOUBT, false),
            (Terminate, Create, State::Running, DONE, false),
            (Terminate, Suspend, State::Queued, NOTHING, true),
            (Unsuspend, Suspend, State::Queued, NOTHING, true),
            (Unsuspend, Suspend, State::Running, DONE, false),
            (Suspend, Unsuspend, State::Queued, NOTHING, true),
            (Unsuspend, Create, State::Queued, NOTHING, false),
            (Renew, Suspend, State::Queued, NOTHING, false),
            (Create, Renew, State::Queued, NOTHING, false),
        ] {
            let arrival = arrive(hook, &[line(1, earlier, state, effects)]);
            assert_eq!(arrival.cancels == ["op_1"], cancelled, "{hook} after {earlier} {state} {effects:?}");
        }
    }

    #[test]
    fn who_passes_whom() {
        use Hook::{
            ChangePackage, ChangePassword, Create, OrderAddons, Power, Reinstall, Renew, Suspend, Terminate, Unsuspend,
        };
        for (hook, earlier, state, effects, may) in [
            (Terminate, Power, State::Waiting, DOUBT, true),
            (Suspend, OrderAddons, State::Attention, DOUBT, true),
            (Suspend, ChangePassword, State::Attention, DOUBT, true),
            (Power, Power, State::Waiting, DOUBT, false),
            (Suspend, Reinstall, State::Waiting, DOUBT, false),
            (Terminate, ChangePackage, State::Attention, DOUBT, false),
            (Terminate, Renew, State::Waiting, DOUBT, true),
            (Suspend, Renew, State::Attention, DOUBT, true),
            (Suspend, Renew, State::Running, DONE, false),
            (Terminate, Create, State::Waiting, DOUBT, false),
            (Terminate, Create, State::Attention, DOUBT, false),
            (Suspend, Terminate, State::Attention, DOUBT, false),
            (Unsuspend, Renew, State::Waiting, DOUBT, false),
            (Renew, Renew, State::Waiting, DONE, false),
        ] {
            let lines = [line(1, earlier, state, effects), line(2, hook, State::Queued, NOTHING)];
            let claim = may_claim("op_2", &lines);
            let expected = if may { Claim::Now { passes: vec!["op_1".into()] } } else { Claim::After("op_1".into()) };
            assert_eq!(claim, expected, "{hook} past {earlier} {state}");
        }
    }

    #[test]
    fn what_was_passed_goes_on_when_the_passing_one_has_ended() {
        let passed = line(1, Hook::Renew, State::Waiting, DONE);
        let during = [passed.clone(), line(2, Hook::Suspend, State::Waiting, DONE)];
        assert_eq!(may_claim("op_1", &during), Claim::After("op_2".into()));

        let after = [passed, line(2, Hook::Suspend, State::Succeeded, DONE)];
        assert_eq!(may_claim("op_1", &after), Claim::Now { passes: vec![] });
    }

    #[test]
    fn one_at_a_time_in_order_of_arrival() {
        let lines = [
            line(1, Hook::Suspend, State::Running, DONE),
            line(2, Hook::Unsuspend, State::Queued, NOTHING),
            line(3, Hook::Renew, State::Queued, NOTHING),
        ];
        assert_eq!(may_claim("op_2", &lines), Claim::After("op_1".into()));
        assert_eq!(may_claim("op_3", &lines), Claim::After("op_1".into()));
    }

    /// Every service with up to four unfinished operations of kinds that differ in what they may pass.
    #[test]
    fn who_is_queued_behind_the_first_decides_nothing() {
        let kinds: Vec<(Hook, State)> = [Hook::Create, Hook::Suspend, Hook::Renew, Hook::Terminate]
            .into_iter()
            .flat_map(|hook| {
                [State::Queued, State::Running, State::Waiting, State::Attention].map(|state| (hook, state))
            })
            .collect();
        let count = kinds.len();
        for number in 0..count.pow(4) {
            let all: Vec<Line> = (0..4u32)
                .map(|at| (at, kinds[number / count.pow(at) % count]))
                .map(|(at, (hook, state))| line(at.into(), hook, state, NOTHING))
                .collect();
            let first = all.iter().find(|line| line.state == State::Queued).map(|line| line.seq);
            let is_front = |line: &&Line| line.state != State::Queued || Some(line.seq) == first;
            let front: Vec<Line> = all.iter().filter(is_front).cloned().collect();
            for one in &all {
                let among_all = may_claim(&one.id, &all);
                match is_front(&one) {
                    true => assert_eq!(may_claim(&one.id, &front), among_all, "{one:?} of {all:?}"),
                    false => assert!(matches!(among_all, Claim::After(_)), "{one:?} of {all:?}"),
                }
            }
        }
    }
}
