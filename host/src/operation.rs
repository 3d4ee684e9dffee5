//! The life of an operation, as one table.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OperationState)]
pub enum State {
    /// Accepted; nobody works on it.
    Queued,
    /// An attempt is under way.
    Running,
    /// Put off until a stored time.
    Waiting,
    /// A person must decide.
    Attention,
    /// Final: the effect is there.
    Succeeded,
    /// Final unless it is asked for again.
    Failed,
    /// Final: ended before anything was done.
    Cancelled,
}

/// What can happen to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker takes it.
    Claim,
    /// The worker that had it is gone.
    LeaseLost,
    /// The hook returned its result.
    Succeed,
    /// The hook ended with a fault that is not tried again.
    Fail,
    /// Try or look again later.
    PutOff,
    /// It cannot be settled by looking.
    NeedPerson,
    /// A person, or a later hook of the service, wants it ended.
    Cancel,
    /// A person says that the doubted effect exists.
    Exists,
    /// A person says that the doubted effect does not exist.
    Absent,
    /// A person asks for another attempt.
    Retry,
    /// A person gives it up.
    GiveUp,
    /// The platform repeats the hook of a failed operation.
    Repeat,
    /// A terminate that passed it has succeeded.
    Overtaken,
}

/// What the journal of an operation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effects {
    /// A step is begun, doubted or done, or a convergent change may have left.
    pub touched: bool,
    /// A step is begun or doubted.
    pub doubted: bool,
}

/// An event that the table does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not possible while the operation is {state}")]
pub struct IllegalEvent {
    /// The state it is in.
    pub state: State,
    /// The event refused.
    pub event: Event,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Waiting, Self::Attention, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The state after `event`, or the reason there is none.
    ///
    /// # Errors
    ///
    /// [`IllegalEvent`] for every pair that the design's table does not name: an effect that is in doubt is never called
    /// failed or cancelled, and what is final stays so, except a failure that is asked for again.
    pub fn on(self, event: Event, effects: Effects) -> Result<Self, IllegalEvent> {
        use Event as E;
        use State as S;
        Ok(match (self, event) {
            (S::Queued | S::Waiting, E::Claim) => S::Running,
            (S::Running, E::LeaseLost) => S::Queued,
            (S::Running, E::Succeed) if !effects.doubted => S::Succeeded,
            (S::Running, E::Fail) if !effects.doubted => S::Failed,
            (S::Running, E::PutOff) => S::Waiting,
            (S::Running, E::NeedPerson) => S::Attention,
            (S::Queued | S::Running | S::Waiting | S::Attention, E::Cancel) if !effects.touched => S::Cancelled,
            (S::Attention, E::Exists | E::Absent) if effects.doubted => S::Queued,
            (S::Attention, E::Retry) if !effects.doubted => S::Queued,
            (S::Attention, E::GiveUp) => S::Failed,
            (S::Failed, E::Retry | E::Repeat) => S::Queued,
            (S::Waiting | S::Attention, E::Overtaken) => S::Failed,
            (state, event) => return Err(IllegalEvent { state, event }),
        })
    }

    /// Whether nothing happens any more by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The word in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Attention => "attention",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [Event; 13] = [
        Event::Claim,
        Event::LeaseLost,
        Event::Succeed,
        Event::Fail,
        Event::PutOff,
        Event::NeedPerson,
        Event::Cancel,
        Event::Exists,
        Event::Absent,
        Event::Retry,
        Event::GiveUp,
        Event::Repeat,
        Event::Overtaken,
    ];
    const NOTHING: Effects = Effects { touched: false, doubted: false };
    const DONE: Effects = Effects { touched: true, doubted: false };
    const DOUBT: Effects = Effects { touched: true, doubted: true };

    #[test]
    fn the_table_is_the_designs() {
        use Event as E;
        use State as S;
        // state, event, without effects, with a step done, with one in doubt
        let table = [
            (S::Queued, E::Claim, Some(S::Running), Some(S::Running), Some(S::Running)),
            (S::Queued, E::Cancel, Some(S::Cancelled), None, None),
            (S::Running, E::LeaseLost, Some(S::Queued), Some(S::Queued), Some(S::Queued)),
            (S::Running, E::Succeed, Some(S::Succeeded), Some(S::Succeeded), None),
            (S::Running, E::Fail, Some(S::Failed), Some(S::Failed), None),
            (S::Running, E::PutOff, Some(S::Waiting), Some(S::Waiting), Some(S::Waiting)),
            (S::Running, E::NeedPerson, Some(S::Attention), Some(S::Attention), Some(S::Attention)),
            (S::Running, E::Cancel, Some(S::Cancelled), None, None),
            (S::Waiting, E::Claim, Some(S::Running), Some(S::Running), Some(S::Running)),
            (S::Waiting, E::Cancel, Some(S::Cancelled), None, None),
            (S::Waiting, E::Overtaken, Some(S::Failed), Some(S::Failed), Some(S::Failed)),
            (S::Attention, E::Cancel, Some(S::Cancelled), None, None),
            (S::Attention, E::Exists, None, None, Some(S::Queued)),
            (S::Attention, E::Absent, None, None, Some(S::Queued)),
            (S::Attention, E::Retry, Some(S::Queued), Some(S::Queued), None),
            (S::Attention, E::GiveUp, Some(S::Failed), Some(S::Failed), Some(S::Failed)),
            (S::Attention, E::Overtaken, Some(S::Failed), Some(S::Failed), Some(S::Failed)),
            (S::Failed, E::Retry, Some(S::Queued), Some(S::Queued), Some(S::Queued)),
            (S::Failed, E::Repeat, Some(S::Queued), Some(S::Queued), Some(S::Queued)),
        ];
        for state in State::ALL {
            for event in EVENTS {
                let expected = table.iter().find(|row| row.0 == state && row.1 == event);
                for (effects, pick) in [(NOTHING, 0), (DONE, 1), (DOUBT, 2)] {
                    let next = expected.and_then(|row| [row.2, row.3, row.4][pick]);
                    assert_eq!(state.on(event, effects).ok(), next, "{state} {event:?} {effects:?}");
                }
            }
        }
    }

    proptest! {
        /// However events come, doubt never ends as success, or as cancelled, and only a person (or a terminate that
        /// was seen to succeed) turns it into a failure.
        #[test]
        fn doubt_is_never_forgotten(events in prop::collection::vec((0usize..EVENTS.len(), any::<bool>()), 0..60)) {
            let mut state = State::Queued;
            let mut effects = Effects::default();
            for (event, doubted) in events {
                let event = EVENTS[event];
                if state == State::Running {
                    effects.doubted = doubted;
                    effects.touched |= doubted;
                }
                let Ok(next) = state.on(event, effects) else { continue };
                if effects.doubted {
                    prop_assert!(next != State::Succeeded && next != State::Cancelled);
                    if next == State::Failed {
                        prop_assert!(matches!(event, Event::GiveUp | Event::Overtaken));
                    }
                }
                if effects.touched {
                    prop_assert!(next != State::Cancelled);
                }
                if state.is_final() {
                    prop_assert_eq!(state, State::Failed);
                }
                state = next;
            }
        }

        #[test]
        fn every_word_reads_back(index in 0usize..7) {
            let state = State::ALL[index];
            prop_assert_eq!(State::parse(state.as_str()), Some(state));
        }
    }
}
