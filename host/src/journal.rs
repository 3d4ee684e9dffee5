//! The journal of an operation: what each step may do next. Pure; the attempt carries the decisions out.

use crate::operation::Effects;
use billhook_plugin_api::Fault;
use billhook_plugin_api::protocol::{Answer, Settle, Sight, StepKind, StepOpen};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What an entry of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepKind)]
pub enum Kind {
    /// See [`StepKind::Ensure`].
    Ensure,
    /// See [`StepKind::Differ`].
    Differ,
    /// See [`StepKind::Once`].
    Once,
    /// See [`StepKind::Record`].
    Record,
    /// A `wait_until` or `sleep`: `given` holds its deadline.
    Wait,
    /// A convergent change that was answered before a wait began.
    Converge,
    /// The hook has turned to undoing; `given` holds the fault that it will end with.
    Undo,
}

impl From<StepKind> for Kind {
    fn from(kind: StepKind) -> Self {
        match kind {
            StepKind::Ensure => Self::Ensure,
            StepKind::Differ => Self::Differ,
            StepKind::Once => Self::Once,
            StepKind::Record => Self::Record,
        }
    }
}

/// How far an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepState)]
pub enum Stage {
    /// Written before the change is sent.
    Begun,
    /// It may have happened.
    Doubted,
    /// It happened; the result is stored.
    Done,
    /// It is proven that nothing happened.
    Cleared,
}

/// One step of an operation, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Unique within the operation.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How far it is.
    pub stage: Stage,
    /// Whole key of the scope that it holds while unsettled.
    #[serde(default)]
    pub scope: Option<String>,
    /// What was known before the change.
    #[serde(default)]
    pub given: Value,
    /// What it gave; sealed in the store when `sealed`.
    #[serde(default)]
    pub result: Value,
    /// The result holds a secret.
    #[serde(default)]
    pub sealed: bool,
    /// The result is the service's remote id.
    #[serde(default)]
    pub remote_id: bool,
    /// Since the first run that is in doubt.
    #[serde(default)]
    pub doubt: Option<Doubt>,
    /// The id that a person named in attention.
    #[serde(default)]
    pub adopt: Option<String>,
    /// Earlier givens, kept as evidence.
    #[serde(default)]
    pub evidence: Vec<Value>,
    /// How often the change was begun.
    #[serde(default)]
    pub runs: u32,
}

/// How long an entry has been in doubt, counted only while a host was alive to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Doubt {
    /// Milliseconds that had passed when this was written.
    pub waited_ms: u64,
    /// How many looks said *absent*.
    pub looks: u32,
    /// `waited_ms` at the last look.
    pub looked_at_ms: u64,
    /// Why it is in doubt, in one word for the evidence.
    pub why: DoubtCause,
    /// The number of the host that has watched it since this was written; zero where a store has only one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub by: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why an entry is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtCause {
    /// The host ended between *begun* and *done*.
    #[default]
    HostEnded,
    /// The lease of its host is over, and nobody can prove that it has ended: it may send still.
    HostUnproven,
    /// No answer came.
    ReplyLost,
    /// An answer came that proves nothing.
    Unproven,
    /// The last run did nothing, and the one before it is in doubt.
    Earlier,
}

impl Entry {
    /// Begun or doubted.
    pub const fn is_unsettled(&self) -> bool {
        matches!(self.stage, Stage::Begun | Stage::Doubted) && self.is_effect()
    }

    /// Done without the remote id that it should have given: accepted, pending. It keeps its scope until the id is known.
    pub fn waits_for_id(&self) -> bool {
        self.remote_id && self.stage == Stage::Done && self.result.is_null()
    }

    /// Whether the entry gave the service its remote id.
    pub fn gave_id(&self) -> bool {
        self.remote_id && self.stage == Stage::Done && !self.result.is_null()
    }

    /// Whether the entry stands for something on the panel.
    pub const fn is_effect(&self) -> bool {
        !matches!(self.kind, Kind::Wait | Kind::Undo | Kind::Record)
    }
}

/// What a journal says of the operation as a whole.
pub fn effects(entries: &[Entry]) -> Effects {
    Effects {
        touched: entries.iter().any(|entry| entry.is_effect() && entry.stage != Stage::Cleared),
        doubted: entries.iter().any(Entry::is_unsettled),
    }
}

/// Whether the operation may begin anew on another panel: nothing was ever sent that could have changed this one, so that what the
/// journal holds, such as a password made here, may be dropped.
pub fn is_movable(entries: &[Entry]) -> bool {
    let leaves_nothing = |entry: &Entry| match entry.kind {
        Kind::Record => true,
        Kind::Wait | Kind::Undo => false,
        // Evidence is of an earlier doubt: what was looked for in vain might still come.
        _ => entry.stage == Stage::Cleared && entry.doubt.is_none() && entry.evidence.is_empty(),
    };
    entries.iter().all(leaves_nothing)
}

/// How long *absent* must have been true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// As the step declared it.
    pub settle: Settle,
    /// The changing call's full time limit.
    pub call_timeout_ms: u64,
    /// The provider's longest run of the panel.
    pub longest_run_ms: u64,
}

impl Patience {
    /// The least time since the doubt after which *absent* may count.
    pub fn needed_ms(&self) -> u64 {
        if self.settle.refuses_twice {
            self.settle.first_ms
        } else {
            self.settle.first_ms.max(self.call_timeout_ms.saturating_add(self.longest_run_ms))
        }
    }

    /// When the next look is due, in milliseconds since the doubt.
    pub fn next_look_ms(&self, doubt: &Doubt) -> u64 {
        if doubt.looks == 0 {
            return self.settle.first_ms;
        }
        let apart = doubt.looked_at_ms.saturating_add(self.settle.apart_ms);
        // The look that completes the count is of use only once the settle time has passed.
        if doubt.looks + 1 >= self.settle.looks { apart.max(self.needed_ms()) } else { apart }
    }
}

/// What happens next about a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The step's result.
    Done,
    /// Return the fault.
    Fault(Fault),
    /// Reserve the scope and ask `given`.
    AskGiven,
    /// Write *begun* (with no given) and run.
    Begin,
    /// Run again with the same given: write *begun* again first.
    Again,
    /// Run with a handle that sends nothing: no write.
    LookByRunning,
    /// Ask `find`.
    AskFind,
    /// Read back what a person named.
    AskAdopt(String),
    /// A person said that it happened, and nobody can read it back: this is the result.
    Believe(Value),
    /// End the attempt; look again after so many milliseconds.
    Settle(u64),
    /// A person must decide; the text says why.
    Attention(String),
    /// The plugin broke the order of its steps.
    Mismatch(String),
}

/// What an open step meets.
#[derive(Debug, Clone, Copy)]
pub struct Meeting<'a> {
    /// The stored entry of that name.
    pub entry: Option<&'a Entry>,
    /// All journaled entries before it (all of them, for a new one) were asked for in this run, in order.
    pub in_order: bool,
    /// The hook is undoing, and this run has not yet come to its `undo`.
    pub undoing: Option<&'a Fault>,
    /// Milliseconds since the doubt, while a host was alive.
    pub waited_ms: u64,
}

/// What to do when a step is opened.
pub fn on_open(open: &StepOpen, meeting: Meeting<'_>, patience: &Patience) -> Next {
    if !meeting.in_order {
        return Next::Mismatch(format!("the step {} was not reached in the order of the journal", open.name));
    }
    let Some(entry) = meeting.entry else {
        return match meeting.undoing {
            Some(fault) => Next::Fault(fault.clone()),
            None => first(open.kind),
        };
    };
    if entry.kind != Kind::from(open.kind) {
        return Next::Mismatch(format!("the step {} is of another kind in the journal", open.name));
    }
    match (entry.stage, meeting.undoing) {
        (Stage::Done, _) => Next::Done,
        (Stage::Cleared, Some(fault)) => Next::Fault(fault.clone()),
        (Stage::Cleared, None) => first(open.kind),
        (Stage::Begun | Stage::Doubted, _) => in_doubt(open, entry, meeting.waited_ms, patience),
    }
}

fn first(kind: StepKind) -> Next {
    match kind {
        StepKind::Differ => Next::AskGiven,
        StepKind::Ensure | StepKind::Once | StepKind::Record => Next::Begin,
    }
}

fn in_doubt(open: &StepOpen, entry: &Entry, waited_ms: u64, patience: &Patience) -> Next {
    match (&entry.adopt, open.kind) {
        (Some(id), _) if open.can_adopt => return Next::AskAdopt(id.clone()),
        (Some(id), StepKind::Differ) if open.remote_id => return Next::Believe(Value::String(id.clone())),
        (Some(_), StepKind::Once) => return Next::Believe(Value::Null),
        _ => {}
    }
    let doubt = entry.doubt.unwrap_or_default();
    if may_be_sent(&doubt, patience) && matches!(open.kind, StepKind::Ensure) {
        // What is there counts; what is not there may come at any time.
        let first = patience.settle.first_ms;
        return if waited_ms < first { Next::Settle(first - waited_ms) } else { Next::LookByRunning };
    }
    match open.kind {
        // Nothing left the host: a crash before *done* runs it again.
        StepKind::Record => Next::Again,
        StepKind::Once => Next::Attention(format!("the step {} is in doubt, and the panel cannot be asked", open.name)),
        StepKind::Differ if !open.can_find => {
            Next::Attention(format!("the step {} is in doubt and has no way to look", open.name))
        }
        StepKind::Differ => {
            let due = patience.next_look_ms(&doubt);
            if waited_ms < due { Next::Settle(due - waited_ms) } else { Next::AskFind }
        }
        StepKind::Ensure => {
            if waited_ms >= patience.needed_ms() {
                Next::Again
            } else if waited_ms >= patience.settle.first_ms {
                Next::LookByRunning
            } else {
                Next::Settle(patience.settle.first_ms - waited_ms)
            }
        }
    }
}

/// What to do when a gated run ([`Next::LookByRunning`]) wanted to send: it did not find what it looked for.
pub fn on_held_back(name: &str, doubt: Doubt, waited_ms: u64, patience: &Patience) -> Next {
    if may_be_sent(&doubt, patience) && waited_ms >= patience.needed_ms() {
        return Next::Attention(unproven(name));
    }
    Next::Settle(patience.needed_ms().saturating_sub(waited_ms).max(1))
}

/// Whether the change may leave another host still, and the panel would carry it out beside a second one.
const fn may_be_sent(doubt: &Doubt, patience: &Patience) -> bool {
    matches!(doubt.why, DoubtCause::HostUnproven) && !patience.settle.refuses_twice
}

fn unproven(name: &str) -> String {
    format!(
        "the step {name} was begun by a host whose lease is over and whose end is not proven: what it began is not on the panel, and \
         might still come; make sure that the host has ended and say so with `billhook hosts dead`, and it goes on by itself"
    )
}

/// What a look at the step `name` changes in its entry, and what happens next.
pub fn on_sight(name: &str, sight: &Sight, doubt: Doubt, waited_ms: u64, patience: &Patience) -> (Doubt, Next) {
    let looked = Doubt { looks: doubt.looks + 1, looked_at_ms: waited_ms, waited_ms, ..doubt };
    let believed = looked.looks >= patience.settle.looks && waited_ms >= patience.needed_ms();
    let later = |looked: &Doubt| Next::Settle(patience.next_look_ms(looked).saturating_sub(waited_ms).max(1));
    match sight {
        Sight::Found(_) => (looked, Next::Done),
        Sight::Absent | Sight::Gone if believed && may_be_sent(&doubt, patience) => {
            (looked, Next::Attention(unproven(name)))
        }
        Sight::Never if may_be_sent(&doubt, patience) => (looked, Next::Attention(unproven(name))),
        Sight::Never => (looked, Next::AskGiven),
        Sight::Absent if believed => (looked, Next::Again),
        Sight::Gone if believed => (looked, Next::AskGiven),
        Sight::Absent | Sight::Gone => (looked, later(&looked)),
        Sight::Unknown(why) => (doubt, Next::Attention(why.clone())),
        Sight::Fault(fault) => (doubt, Next::Fault(fault.clone())),
    }
}

/// What the wire knows of the one changing exchange of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// None was asked for.
    Nothing,
    /// It certainly did not reach the panel.
    NeverLeft,
    /// It left, and no whole answer came.
    Lost,
    /// An answer came.
    Answered,
}

/// How a run of a step leaves its entry.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// *done* with this result.
    Done(Value),
    /// Proven that nothing happened: the hook gets the fault.
    Cleared(Fault),
    /// It may have happened, now or in an earlier run.
    Doubted(Fault, DoubtCause),
}

/// How a run ended. A proof that *this* run did nothing settles nothing while an earlier run is in doubt.
pub fn on_ran(answer: Answer, sent: Sent, was_in_doubt: bool) -> RunEnd {
    let fault = match answer {
        Answer::Ok(result) => return RunEnd::Done(result),
        Answer::Fault(fault) => fault,
    };
    let proven = match sent {
        Sent::Nothing | Sent::NeverLeft => true,
        Sent::Answered => fault.refused,
        Sent::Lost => false,
    };
    match (proven, was_in_doubt) {
        (true, false) => RunEnd::Cleared(fault),
        (true, true) => RunEnd::Doubted(fault, DoubtCause::Earlier),
        (false, _) => {
            RunEnd::Doubted(fault, if sent == Sent::Lost { DoubtCause::ReplyLost } else { DoubtCause::Unproven })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SETTLE: Settle = Settle { first_ms: 10_000, looks: 2, apart_ms: 30_000, refuses_twice: false };
    const PATIENCE: Patience = Patience { settle: SETTLE, call_timeout_ms: 90_000, longest_run_ms: 60_000 };

    fn open(kind: StepKind) -> StepOpen {
        StepOpen {
            name: "server".into(),
            kind,
            scope: None,
            settle: SETTLE,
            remote_id: false,
            sealed: false,
            can_find: kind == StepKind::Differ,
            can_adopt: false,
        }
    }

    fn entry(kind: StepKind, stage: Stage) -> Entry {
        Entry {
            name: "server".into(),
            kind: kind.into(),
            stage,
            scope: None,
            given: json!([1]),
            result: Value::Null,
            sealed: false,
            remote_id: false,
            doubt: Some(Doubt::default()),
            adopt: None,
            evidence: vec![],
            runs: 1,
        }
    }

    fn meet(entry: Option<&Entry>, waited_ms: u64) -> Meeting<'_> {
        Meeting { entry, in_order: true, undoing: None, waited_ms }
    }

    #[test]
    fn a_step_that_is_opened_does_what_the_journal_says() {
        use StepKind::{Differ, Ensure, Once, Record};
        let rows = [
            (Differ, None, 0, Next::AskGiven),
            (Ensure, None, 0, Next::Begin),
            (Once, None, 0, Next::Begin),
            (Record, None, 0, Next::Begin),
            (Differ, Some(Stage::Done), 0, Next::Done),
            (Differ, Some(Stage::Cleared), 0, Next::AskGiven),
            (Ensure, Some(Stage::Cleared), 0, Next::Begin),
            (Differ, Some(Stage::Doubted), 0, Next::Settle(10_000)),
            (Differ, Some(Stage::Begun), 9_999, Next::Settle(1)),
            (Differ, Some(Stage::Doubted), 10_000, Next::AskFind),
            (Ensure, Some(Stage::Doubted), 4_000, Next::Settle(6_000)),
            (Ensure, Some(Stage::Doubted), 10_000, Next::LookByRunning),
            (Ensure, Some(Stage::Begun), 149_999, Next::LookByRunning),
            (Ensure, Some(Stage::Begun), 150_000, Next::Again),
            (Record, Some(Stage::Begun), 0, Next::Again),
        ];
        for (kind, stage, waited, expected) in rows {
            let entry = stage.map(|stage| entry(kind, stage));
            let next = on_open(&open(kind), meet(entry.as_ref(), waited), &PATIENCE);
            assert_eq!(next, expected, "{kind:?} {stage:?} after {waited} ms");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_shown_to_a_person() {
        for waited in [0, 1_000_000] {
            let entry = entry(StepKind::Once, Stage::Begun);
            let next = on_open(&open(StepKind::Once), meet(Some(&entry), waited), &PATIENCE);
            assert!(matches!(next, Next::Attention(_)), "{next:?}");
        }
    }

    #[test]
    fn a_person_s_word_is_read_back_where_that_can_be_and_believed_where_it_cannot() {
        use StepKind::{Differ, Ensure, Once};
        let rows = [
            (Differ, true, false, Next::AskAdopt("7".into())),
            (Differ, true, true, Next::AskAdopt("7".into())),
            (Differ, false, true, Next::Believe(json!("7"))),
            // Its result is no id, so that the word says too little.
            (Differ, false, false, Next::AskFind),
            (Once, false, false, Next::Believe(Value::Null)),
            (Ensure, false, false, Next::Again),
        ];
        for (kind, can_adopt, remote_id, expected) in rows {
            let entry = Entry { adopt: Some("7".into()), ..entry(kind, Stage::Doubted) };
            let open = StepOpen { can_adopt, remote_id, ..open(kind) };
            let next = on_open(&open, meet(Some(&entry), 1_000_000), &PATIENCE);
            assert_eq!(next, expected, "{kind:?} {can_adopt} {remote_id}");
        }
    }

    #[test]
    fn a_step_without_its_id_waits_for_it() {
        let with = |stage, remote_id, result| {
            let entry = Entry { remote_id, result, ..entry(StepKind::Differ, stage) };
            (entry.waits_for_id(), entry.gave_id())
        };
        assert_eq!(with(Stage::Done, true, Value::Null), (true, false));
        assert_eq!(with(Stage::Done, true, json!("7")), (false, true));
        assert_eq!(with(Stage::Done, false, Value::Null), (false, false));
        assert_eq!(with(Stage::Doubted, true, Value::Null), (false, false));
    }

    #[test]
    fn a_step_out_of_order_stops() {
        let meeting = Meeting { entry: None, in_order: false, undoing: None, waited_ms: 0 };
        assert!(matches!(on_open(&open(StepKind::Ensure), meeting, &PATIENCE), Next::Mismatch(_)));
    }

    #[test]
    fn while_undoing_only_what_is_done_returns_its_result() {
        let fault = Fault::panel_bug("the build failed");
        for (stage, expected) in [
            (None, Next::Fault(fault.clone())),
            (Some(Stage::Cleared), Next::Fault(fault.clone())),
            (Some(Stage::Done), Next::Done),
        ] {
            let entry = stage.map(|stage| entry(StepKind::Ensure, stage));
            let meeting = Meeting { undoing: Some(&fault), ..meet(entry.as_ref(), 0) };
            assert_eq!(on_open(&open(StepKind::Ensure), meeting, &PATIENCE), expected);
        }
    }

    #[test]
    fn absent_counts_after_its_looks_and_its_time() {
        let (first, next) = on_sight("server", &Sight::Absent, Doubt::default(), 10_000, &PATIENCE);
        assert_eq!(next, Next::Settle(140_000));
        assert_eq!(first.looks, 1);

        let (_, next) = on_sight("server", &Sight::Absent, first, 149_999, &PATIENCE);
        assert_eq!(next, Next::Settle(30_000));

        let (_, next) = on_sight("server", &Sight::Absent, first, 150_000, &PATIENCE);
        assert_eq!(next, Next::Again);
    }

    #[test]
    fn each_sight_has_its_consequence() {
        let doubt = Doubt { looks: 1, looked_at_ms: 10_000, ..Doubt::default() };
        let rows = [
            (Sight::Found(json!(7)), 0, Next::Done),
            (Sight::Never, 0, Next::AskGiven),
            (Sight::Gone, 150_000, Next::AskGiven),
            (Sight::Unknown("two new".into()), 150_000, Next::Attention("two new".into())),
        ];
        for (sight, waited, expected) in rows {
            assert_eq!(on_sight("server", &sight, doubt, waited, &PATIENCE).1, expected, "{sight:?}");
        }
        assert!(matches!(on_sight("server", &Sight::Gone, doubt, 149_000, &PATIENCE).1, Next::Settle(_)));
    }

    #[test]
    fn what_a_host_may_send_still_is_believed_when_it_is_there_and_else_goes_to_a_person() {
        use StepKind::{Differ, Ensure, Once, Record};
        let attention = |next: Next| match next {
            Next::Attention(why) => {
                assert!(why.contains("billhook hosts dead") || why.contains("cannot be asked"), "{why}");
                "attention".to_owned()
            }
            next => format!("{next:?}"),
        };
        let doubt = |why| Doubt { why, looks: 1, ..Doubt::default() };
        let strict = Patience { settle: Settle { refuses_twice: true, ..SETTLE }, ..PATIENCE };
        let rows = [
            (Ensure, DoubtCause::HostUnproven, 9_000, PATIENCE, "Settle(1000)"),
            (Ensure, DoubtCause::HostUnproven, 10_000, PATIENCE, "LookByRunning"),
            (Ensure, DoubtCause::HostUnproven, 900_000, PATIENCE, "LookByRunning"),
            (Ensure, DoubtCause::HostEnded, 900_000, PATIENCE, "Again"),
            (Ensure, DoubtCause::HostUnproven, 900_000, strict, "Again"),
            (Differ, DoubtCause::HostUnproven, 900_000, PATIENCE, "AskFind"),
            (Once, DoubtCause::HostUnproven, 900_000, PATIENCE, "attention"),
            (Record, DoubtCause::HostUnproven, 0, PATIENCE, "Again"),
        ];
        for (kind, why, waited, patience, expected) in rows {
            let entry = Entry { doubt: Some(doubt(why)), ..entry(kind, Stage::Doubted) };
            let next = on_open(&open(kind), meet(Some(&entry), waited), &patience);
            assert_eq!(attention(next), expected, "{kind:?} {why:?} after {waited} ms");
        }
        let held_back = |why, waited, patience| attention(on_held_back("server", doubt(why), waited, &patience));
        assert_eq!(held_back(DoubtCause::HostUnproven, 149_000, PATIENCE), "Settle(1000)");
        assert_eq!(held_back(DoubtCause::HostUnproven, 150_000, PATIENCE), "attention");
        assert_eq!(held_back(DoubtCause::HostEnded, 149_000, PATIENCE), "Settle(1000)");
        let rows = [
            (Sight::Found(json!(7)), DoubtCause::HostUnproven, 0, PATIENCE, "Done"),
            (Sight::Absent, DoubtCause::HostUnproven, 149_000, PATIENCE, "Settle(30000)"),
            (Sight::Absent, DoubtCause::HostUnproven, 150_000, PATIENCE, "attention"),
            (Sight::Gone, DoubtCause::HostUnproven, 150_000, PATIENCE, "attention"),
            (Sight::Never, DoubtCause::HostUnproven, 0, PATIENCE, "attention"),
            (Sight::Absent, DoubtCause::HostUnproven, 150_000, strict, "Again"),
            (Sight::Gone, DoubtCause::HostUnproven, 150_000, strict, "AskGiven"),
            (Sight::Absent, DoubtCause::HostEnded, 150_000, PATIENCE, "Again"),
            (Sight::Gone, DoubtCause::ReplyLost, 150_000, PATIENCE, "AskGiven"),
        ];
        for (sight, why, waited, patience, expected) in rows {
            let next = on_sight("server", &sight, doubt(why), waited, &patience).1;
            assert_eq!(attention(next), expected, "{sight:?} {why:?} after {waited} ms");
        }
    }

    #[test]
    fn a_panel_that_refuses_a_second_sending_need_not_be_waited_for() {
        let quick = Patience { settle: Settle { refuses_twice: true, ..SETTLE }, ..PATIENCE };
        assert_eq!(quick.needed_ms(), 10_000);
    }

    #[test]
    fn only_proof_clears_a_run() {
        let refused = || Answer::Fault(Fault::invalid_input("no").refused());
        let failed = || Answer::Fault(Fault::panel_bug("500"));
        let rows = [
            (refused(), Sent::Answered, false, "cleared"),
            (failed(), Sent::Answered, false, "doubted"),
            (failed(), Sent::Nothing, false, "cleared"),
            (failed(), Sent::NeverLeft, false, "cleared"),
            (failed(), Sent::Lost, false, "doubted"),
            // The plugin's mark does not outweigh what the wire knows.
            (refused(), Sent::Lost, false, "doubted"),
            // A refusal of this run proves nothing of the run before.
            (refused(), Sent::Answered, true, "doubted"),
            (failed(), Sent::NeverLeft, true, "doubted"),
            (Answer::Ok(json!(1)), Sent::Answered, true, "done"),
        ];
        for (answer, sent, before, expected) in rows {
            let text = format!("{answer:?} {sent:?} {before}");
            let end = match on_ran(answer, sent, before) {
                RunEnd::Done(_) => "done",
                RunEnd::Cleared(_) => "cleared",
                RunEnd::Doubted(..) => "doubted",
            };
            assert_eq!(end, expected, "{text}");
        }
    }

    proptest! {
        /// Whatever the looks say and whenever they come, a change is sent again only after the settle time, and after
        /// as many looks as were asked for.
        #[test]
        fn absent_is_never_believed_early(times in prop::collection::vec(0u64..400_000, 1..12), looks in 1u32..4) {
            let patience = Patience { settle: Settle { looks, ..SETTLE }, ..PATIENCE };
            let mut times = times;
            times.sort_unstable();
            let mut doubt = Doubt::default();
            for (done, waited) in times.into_iter().enumerate() {
                let (looked, next) = on_sight("server", &Sight::Absent, doubt, waited, &patience);
                if next == Next::Again {
                    prop_assert!(waited >= 150_000);
                    prop_assert!(u32::try_from(done).unwrap() + 1 >= looks);
                }
                if let Next::Settle(more) = next {
                    prop_assert!(more > 0);
                }
                doubt = looked;
            }
        }
    }
}
