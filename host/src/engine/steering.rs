//! What a person may decide about an operation.

use super::{Engine, unavailable};
use crate::journal::{self, Doubt, DoubtCause, Entry, Kind, Stage};
use crate::mask::SecretSet;
use crate::operation::{Effects, Event, State};
use crate::problem::{Problem, ProblemType};
use crate::store::{Operation, OperationId, Steer};
use serde::{Deserialize, Serialize};

/// Beside the number of a host: tells a doubt that begins anew with a person's word from what the host wrote.
const SAID: u64 = 1 << 61;

/// A decision, with who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision", deny_unknown_fields)]
pub enum Decision {
    /// Try again; nothing is in doubt.
    Retry,
    /// End it; nothing was begun.
    Cancel,
    /// The doubted effect exists: here is its id on the panel. It is read back before it is believed.
    Exists {
        /// The panel's id.
        remote_id: String,
    },
    /// The doubted effect does not exist: run again. The settle time is waited out and the panel asked all the same.
    Absent,
    /// Nobody will settle it: failed, and recorded as a possible orphan.
    GiveUp {
        /// Why, for those who come later.
        reason: String,
    },
}

impl Decision {
    fn event(&self) -> Event {
        match self {
            Self::Retry => Event::Retry,
            Self::Cancel => Event::Cancel,
            Self::Exists { .. } => Event::Exists,
            Self::Absent => Event::Absent,
            Self::GiveUp { .. } => Event::GiveUp,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Retry => "retry".to_owned(),
            Self::Cancel => "cancel".to_owned(),
            Self::Exists { remote_id } => format!("it exists, as {remote_id}"),
            Self::Absent => "it does not exist, run again".to_owned(),
            Self::GiveUp { reason } => format!("give up: {reason}"),
        }
    }
}

impl Engine {
    /// Carries a decision out. `actor` is who decided, as the socket knows.
    ///
    /// # Errors
    ///
    /// `wrong_state` when the table does not allow it, with what it does allow; `conflict_busy` when the operation moved
    /// meanwhile; `invalid_request` when the id belongs to another service.
    pub async fn decide(&self, id: &OperationId, decision: &Decision, actor: &str) -> Result<Operation, Problem> {
        let operation = self.operation(id).await?;
        let entries = self.env.store.journal(id).await.map_err(unavailable)?;
        let mut effects = operation.effects;
        if operation.state == State::Running && *decision == Decision::Cancel {
            // The step boundary decides; the table is asked there again.
            effects = Effects { doubted: effects.doubted, touched: effects.touched };
        }
        let to = operation.state.on(decision.event(), effects).map_err(|_| wrong_state(&operation, decision))?;
        if let Decision::Exists { remote_id } = decision {
            self.check_owner(&operation, remote_id).await?;
        }
        let changed = change_entries(decision, &entries);
        let mut after = entries;
        for (at, entry) in &changed {
            if let Some(slot) = after.get_mut(*at as usize) {
                *slot = entry.clone();
            }
        }
        let release = changed
            .iter()
            .filter(|(_, entry)| entry.stage == Stage::Cleared)
            .filter_map(|(_, entry)| entry.scope.clone())
            .collect::<Vec<_>>();
        let is_running = operation.state == State::Running;
        let steer = Steer {
            id: id.clone(),
            from: operation.state,
            run: operation.run,
            to: if is_running { State::Running } else { to },
            cancel_asked: is_running,
            entries: changed,
            release: release.clone(),
            effects: if is_running { operation.effects } else { journal::effects(&after) },
            fresh_attempts: matches!(decision, Decision::Retry | Decision::Absent | Decision::Exists { .. }),
            reason: match decision {
                Decision::GiveUp { reason } => Some(format!("given up, a possible orphan: {}", self.masked(reason))),
                _ => None,
            },
            actor: actor.to_owned(),
            decision: self.masked(&decision.text()),
            now: self.env.clock.unix_ms(),
        };
        if !self.env.store.steer(steer).await.map_err(unavailable)? {
            return Err(Problem::new(ProblemType::ConflictBusy, format!("{id} moved while this was decided"))
                .remedy("look at it again, then decide")
                .about(id));
        }
        if !is_running {
            self.env.metrics.operation(operation.hook, &operation.provider, to);
        }
        for scope in &release {
            self.unblock(scope).await;
        }
        self.changed(id);
        self.wake(&operation.service);
        self.operation(id).await
    }

    async fn check_owner(&self, operation: &Operation, remote_id: &str) -> Result<(), Problem> {
        if remote_id.trim().is_empty() || remote_id.len() > 255 || remote_id.chars().any(char::is_control) {
            return Err(Problem::at("/remote_id", "not an id of a panel"));
        }
        let owner = self.env.store.owner_of(&operation.panel, remote_id).await.map_err(unavailable)?;
        match owner {
            Some(owner) if owner != operation.service => {
                Err(Problem::at("/remote_id", format!("{remote_id} belongs to the service {owner} already")))
            }
            _ => Ok(()),
        }
    }

    fn masked(&self, text: &str) -> String {
        self.env.masker(&SecretSet::new()).text(text)
    }
}

/// The entries that a decision changes, with their places. Pure.
fn change_entries(decision: &Decision, entries: &[Entry]) -> Vec<(u32, Entry)> {
    let places = entries.iter().enumerate().filter_map(|(at, entry)| Some((u32::try_from(at).ok()?, entry.clone())));
    // What waits for an id that no later step gave; given up like a doubt, or it would keep its scope for ever.
    let unnamed = (!entries.iter().any(Entry::gave_id)).then(|| entries.iter().position(Entry::waits_for_id)).flatten();
    match decision {
        Decision::Exists { remote_id } => places
            .filter(|(_, entry)| entry.is_unsettled())
            .map(|(at, mut entry)| {
                entry.adopt = Some(remote_id.clone());
                (at, entry)
            })
            .collect(),
        // A wait that ran out begins anew, and so does the change before it.
        Decision::Retry => places
            .filter(|(_, entry)| {
                (entry.kind == Kind::Wait && entry.stage == Stage::Begun) || entry.kind == Kind::Converge
            })
            .map(|(at, mut entry)| {
                entry.stage = Stage::Cleared;
                (at, entry)
            })
            .collect(),
        Decision::GiveUp { .. } => places
            .filter(|(at, entry)| entry.is_unsettled() || is_of_unnamed(*at, entry, unnamed))
            .map(|(at, mut entry)| {
                let given = std::mem::take(&mut entry.given);
                entry.evidence.push(given);
                entry.stage = Stage::Cleared;
                entry.doubt = None;
                (at, entry)
            })
            .collect(),
        // Who says that it is not there says that nothing of it comes any more.
        Decision::Absent => places
            .filter(|(_, entry)| entry.is_unsettled())
            .filter_map(|(at, mut entry)| {
                let doubt = entry.doubt.as_mut().filter(|doubt| doubt.why == DoubtCause::HostUnproven)?;
                *doubt = Doubt { why: DoubtCause::HostEnded, by: doubt.by | SAID, ..Doubt::default() };
                Some((at, entry))
            })
            .collect(),
        Decision::Cancel => Vec::new(),
    }
}

/// Whether the entry is the step without an id, or a value or wait that came after it and means nothing without it.
fn is_of_unnamed(at: u32, entry: &Entry, unnamed: Option<usize>) -> bool {
    unnamed.is_some_and(|unnamed| at as usize == unnamed || (at as usize > unnamed && !entry.is_effect()))
}

fn wrong_state(operation: &Operation, decision: &Decision) -> Problem {
    let events = [
        ("retry", Event::Retry),
        ("cancel", Event::Cancel),
        ("exists", Event::Exists),
        ("absent", Event::Absent),
        ("give_up", Event::GiveUp),
    ];
    let allowed: Vec<&str> = events
        .iter()
        .filter(|(_, event)| operation.state.on(*event, operation.effects).is_ok())
        .map(|(word, _)| *word)
        .collect();
    let remedy = if allowed.is_empty() {
        "nothing is to be decided about it".to_owned()
    } else {
        format!("possible now: {}", allowed.join(", "))
    };
    Problem::new(
        ProblemType::WrongState,
        format!("{} is not possible: {} is {}", decision.text(), operation.id, operation.state),
    )
    .remedy(remedy)
    .about(&operation.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry(name: &str, kind: Kind, stage: Stage, result: Value) -> Entry {
        let is_id = kind != Kind::Wait;
        serde_json::from_value(
            json!({ "name": name, "kind": kind, "stage": stage, "result": result, "remote_id": is_id, "scope": "p|paid" }),
        )
        .expect("an entry")
    }

    #[test]
    fn who_says_that_it_is_absent_says_so_of_a_lost_host_too() {
        let doubt = |why| Some(Doubt { why, by: 7, waited_ms: 9, looks: 2, ..Doubt::default() });
        let lost = Entry {
            doubt: doubt(DoubtCause::HostUnproven),
            ..entry("order", Kind::Differ, Stage::Doubted, Value::Null)
        };
        let changed = change_entries(&Decision::Absent, std::slice::from_ref(&lost));
        let after = changed[0].1.doubt.expect("a doubt");
        assert_eq!((changed[0].0, after.why, after.waited_ms, after.looks), (0, DoubtCause::HostEnded, 0, 0));
        assert_ne!(after.by, 7, "it is another doubt than the one before");
        let other = Entry { doubt: doubt(DoubtCause::ReplyLost), ..lost };
        assert!(change_entries(&Decision::Absent, &[other]).is_empty());
    }

    #[test]
    fn what_is_given_up_keeps_no_scope_and_what_is_known_stays_done() {
        let give_up = Decision::GiveUp { reason: "gone".into() };
        let unnamed = || entry("order", Kind::Differ, Stage::Done, Value::Null);
        let wait = || entry("listed", Kind::Wait, Stage::Begun, Value::Null);
        let cleared = |entries: &[Entry]| {
            let changed = change_entries(&give_up, entries);
            assert!(changed.iter().all(|(_, entry)| entry.stage == Stage::Cleared && entry.scope.is_some()));
            changed.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
        };

        let known = || Entry { remote_id: false, ..entry("known", Kind::Record, Stage::Done, json!([])) };
        assert_eq!(cleared(&[known(), unnamed(), known(), wait()]), [1, 2, 3]);
        assert_eq!(cleared(&[unnamed(), wait(), entry("id", Kind::Record, Stage::Done, json!("7"))]), [0; 0]);
        assert_eq!(cleared(&[known(), entry("order", Kind::Differ, Stage::Doubted, Value::Null)]), [1]);
    }
}
