//! The statements of a transaction, and their order.
//!
//! Each kind of row has its statements; those run whose rows a command has. A *deciding* statement answers with a fate: a word,
//! two numbers and a text. The statements after it run if that was `yes` (or `taken`, which keeps what is known and not what
//! was asked for). In the constants, the first word says which is which: `{fate}` decides, `{aside}` decides and is nobody's
//! answer, `{won}` runs if it was decided so, and `{won a = 1}` and `{won a > 1}` if the first number is so as well; the others run
//! always.
//!
//! What is bound is named: `:member` and `@member` of the row (a value, and bytes of the command), and of the fate `:word`, `:a`,
//! `:b` and `:detail`; `:host` is this opening of the store, `:ended` the word of the end of the same command's attempt.

use super::dialect::Dialect;
use super::{
    accept, again, begin, change, claim, evidence, finish, forget, hosts, pauses, placing, prune, release, rescue,
    reseal, secrets, steer, step, words,
};
use std::sync::OnceLock;

/// A kind of row. The order is that of the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rescue,
    Steer,
    SteerEntry,
    SteerRelease,
    Again,
    Accept,
    AcceptCreate,
    AcceptCancels,
    AcceptPasses,
    Claim,
    ClaimPasses,
    Step,
    StepRelease,
    StepRemote,
    Begin,
    BeginTake,
    Finish,
    FinishForget,
    FinishSecrets,
    FinishServiceGone,
    FinishService,
    FinishServicePlace,
    FinishServiceSecrets,
    FinishPassed,
    FinishMove,
    Change,
    ChangeGone,
    ChangeStore,
    ChangePlace,
    ChangeSecrets,
    Acknowledge,
    Expire,
    Beat,
    HostEnd,
    Proven,
    PollClaim,
    PruneTraffic,
    PruneEntries,
    Release,
    Reading,
    Attempt,
    Exchange,
    Body,
    Note,
    Pause,
    Reseal,
    Backlog,
    Forget,
}

impl Kind {
    /// Whether its statements are decided by what is stored.
    pub fn is_guarded(self) -> bool {
        self < Self::Reading
    }

    /// Whether all hosts have to know of it.
    pub const fn is_common(self) -> bool {
        matches!(self, Self::HostEnd | Self::Release | Self::Pause)
    }

    /// Whose fate decides about its rows.
    const fn decided_by(self) -> Self {
        use Kind as K;
        match self {
            K::SteerEntry | K::SteerRelease => K::Steer,
            K::AcceptCreate | K::AcceptCancels | K::AcceptPasses => K::Accept,
            K::ClaimPasses => K::Claim,
            K::StepRelease | K::StepRemote => K::Step,
            K::BeginTake => K::Begin,
            K::FinishForget
            | K::FinishSecrets
            | K::FinishServiceGone
            | K::FinishService
            | K::FinishServicePlace
            | K::FinishServiceSecrets
            | K::FinishPassed => K::Finish,
            K::ChangeGone | K::ChangeStore | K::ChangePlace | K::ChangeSecrets => K::Change,
            own => own,
        }
    }
}

/// All statements, in order.
const ORDER: [(Kind, &[&str]); 51] = [
    (Kind::Rescue, rescue::SQL),
    (Kind::Steer, steer::SQL),
    (Kind::SteerEntry, &[step::WRITE_ENTRY]),
    (Kind::SteerRelease, &[step::RELEASE]),
    (Kind::Again, again::SQL),
    (Kind::Accept, &[accept::DECIDE]),
    (Kind::AcceptCancels, accept::CANCEL),
    (Kind::AcceptPasses, &[claim::PASS]),
    (Kind::Accept, accept::STORE),
    (Kind::AcceptCreate, &[accept::PLACE]),
    (Kind::Claim, &[claim::DECIDE]),
    (Kind::ClaimPasses, &[claim::PASS]),
    (Kind::Claim, &[claim::STORE]),
    (Kind::Step, step::SQL),
    (Kind::StepRelease, &[step::RELEASE]),
    (Kind::StepRemote, &[step::REMOTE]),
    (Kind::Begin, begin::SQL),
    (Kind::BeginTake, &[begin::TAKE]),
    (Kind::Finish, finish::SQL),
    (Kind::FinishForget, &[finish::FORGET]),
    (Kind::FinishSecrets, &[secrets::KEEP]),
    (Kind::FinishServiceGone, change::GONE),
    (Kind::FinishService, &[change::STORE]),
    (Kind::FinishServicePlace, &[change::PLACE]),
    (Kind::FinishServiceSecrets, &[change::SECRET]),
    (Kind::FinishPassed, finish::END_PASSED),
    (Kind::Finish, &[finish::LET_PASSED]),
    (Kind::FinishMove, placing::MOVE),
    (Kind::Change, &[change::DECIDE]),
    (Kind::ChangeGone, change::GONE),
    (Kind::ChangeStore, &[change::STORE]),
    (Kind::ChangePlace, &[change::PLACE]),
    (Kind::ChangeSecrets, &[change::SECRET]),
    (Kind::Acknowledge, secrets::ACKNOWLEDGE),
    (Kind::Expire, secrets::EXPIRE),
    (Kind::Beat, hosts::BEAT),
    (Kind::HostEnd, hosts::END),
    (Kind::Proven, hosts::PROVEN),
    (Kind::PollClaim, change::CLAIM_POLL),
    (Kind::PruneTraffic, prune::TRAFFIC),
    (Kind::PruneEntries, prune::ENTRIES),
    (Kind::Release, release::SQL),
    (Kind::Reading, &[evidence::READING, words::GATHER]),
    (Kind::Attempt, &[evidence::ATTEMPT]),
    (Kind::Exchange, &[evidence::EXCHANGE]),
    (Kind::Body, &[evidence::BODY]),
    (Kind::Note, &[evidence::NOTE]),
    (Kind::Pause, pauses::SQL),
    (Kind::Reseal, reseal::SQL),
    (Kind::Backlog, words::BACKLOG),
    (Kind::Forget, forget::SQL),
];

/// What follows the move of an operation: the log's row, and what goes with the end.
// A failed operation may be asked for again and then needs the secrets of its steps; `secrets::EXPIRE` ends that.
const MOVES: [&str; 3] = [
    "UPDATE log SET state = o.state, attempts = o.attempts, fault = {json o.fault} ->> 'class', ended_at = o.finished_at
     FROM operation o WHERE o.id = :id AND log.place = {place :id}",
    "UPDATE entry SET secret = NULL
     WHERE operation_id = :id AND secret IS NOT NULL
       AND (SELECT state FROM operation o WHERE o.id = :id) IN ('succeeded', 'cancelled')",
    "UPDATE operation SET passed_by = NULL
     WHERE passed_by = :id AND {open}
       AND (SELECT o.state FROM operation o WHERE o.id = :id) IN ('succeeded', 'failed', 'cancelled')",
];

/// When a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Always; its fate is the command's answer if it is set.
    Decides {
        /// See there.
        answers: bool,
    },
    /// If the rows of this kind were decided so, and with such a first number.
    Follows(Kind, Number),
    /// Always.
    Writes,
}

/// What the first number of a fate is to be: a statement with nothing to do still costs its preparations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Any,
    One,
    More,
}

impl Number {
    /// Whether it is so.
    pub const fn takes(self, number: u64) -> bool {
        match self {
            Self::Any => true,
            Self::One => number == 1,
            Self::More => number > 1,
        }
    }

    /// The same as a further condition on the column or variable `name`.
    pub fn condition(self, name: &str) -> String {
        match self {
            Self::Any => String::new(),
            Self::One => format!(" AND {name} = 1"),
            Self::More => format!(" AND {name} > 1"),
        }
    }
}

/// A statement of a transaction.
#[derive(Debug)]
pub struct Statement {
    /// For which rows. None: for each moved operation, as `:id`.
    pub kind: Option<Kind>,
    /// When it runs.
    pub role: Role,
    /// What is bound is named, see above.
    pub text: String,
}

/// All of them, in the order in which they run for a command.
pub fn statements(dialect: Dialect) -> &'static [Statement] {
    static STATEMENTS: [OnceLock<Vec<Statement>>; 2] = [const { OnceLock::new() }; 2];
    let of_rows = || ORDER.iter().flat_map(|(kind, texts)| texts.iter().map(|text| (Some(*kind), *text)));
    let all = || of_rows().chain(MOVES.map(|text| (None, text)));
    let made = &STATEMENTS[usize::from(dialect == Dialect::Postgres)];
    made.get_or_init(|| all().map(|(kind, text)| statement(dialect, kind, text)).collect())
}

/// The marks of what runs if it was decided so.
const WON: [(&str, Number); 3] = [("{won}", Number::Any), ("{won a = 1}", Number::One), ("{won a > 1}", Number::More)];

fn statement(dialect: Dialect, kind: Option<Kind>, text: &str) -> Statement {
    let text = text.trim_start();
    let marked = |mark: &str| text.strip_prefix(mark).map(str::trim_start);
    let decider = kind.filter(|kind| kind.is_guarded()).map(Kind::decided_by);
    let (role, text) = if let Some(rest) = marked("{fate}") {
        (Role::Decides { answers: true }, rest)
    } else if let Some(rest) = marked("{aside}") {
        (Role::Decides { answers: false }, rest)
    } else if let Some((number, rest)) = WON.iter().find_map(|(mark, number)| Some((*number, marked(mark)?))) {
        (decider.map_or(Role::Writes, |decider| Role::Follows(decider, number)), rest)
    } else {
        (Role::Writes, text)
    };
    let text = text.replace("{load}", placing::LOAD);
    let text = dialect.text(&text).into_owned();
    Statement { kind, role, text }
}

/// Whether a step of a plan reads all operations that a service ever had.
#[cfg(test)]
pub fn reads_a_history(step: &str) -> bool {
    step.contains("INDEX operation_seq (platform=? AND service_id=?)") && !step.contains("COVERING")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::samples;

    /// Lists of a command and what is derived from its row, and a table of one row; everything else is a table that grows.
    const SMALL: [&str; 15] = [
        "s", "store", "moved", "p", "c", "e", "saved", "line", "layer", "one", "backlog", "host", "h", "unproven", "u",
    ];

    #[tokio::test]
    async fn no_statement_reads_a_whole_table() {
        let (_folder, db) = samples::tables().await;
        for Statement { text, .. } in statements(Dialect::Sqlite) {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let mut plan = explain.raw_query();
            while let Some(row) = plan.next().unwrap() {
                let step: String = row.get("detail").unwrap();
                let scanned = step.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap_or(rest));
                let grows = scanned
                    .is_some_and(|table| !SMALL.contains(&table) && table != "CONSTANT" && !table.starts_with('('));
                assert!(!grows, "{step}\n{text}");
                assert!(!reads_a_history(&step), "{step}\n{text}");
            }
        }
    }

    /// Such a table has pages and a cache of its own. A list of more than two words is one, and so are the rows of an `UPDATE` from others.
    #[tokio::test]
    async fn what_each_hook_writes_needs_no_table_of_its_own() {
        let (_folder, db) = samples::tables().await;
        let (mut made, mut seen) = (Vec::new(), 0);
        for Statement { kind, role, text } in statements(Dialect::Sqlite) {
            let each = [Kind::Accept, Kind::Finish, Kind::FinishService, Kind::Attempt, Kind::Exchange, Kind::Body];
            // What is decided also looks at lists of the hook, which are mostly empty; and few hooks are the first, or have others beside them.
            let is_else = matches!(role, Role::Decides { .. } | Role::Follows(_, Number::One));
            if is_else || !kind.is_some_and(|kind| each.contains(&kind)) {
                continue;
            }
            let mut explain = db.prepare(&format!("EXPLAIN {text}")).unwrap();
            let mut program = explain.raw_query();
            while let Some(row) = program.next().unwrap() {
                seen += 1;
                if row.get::<_, String>("opcode").unwrap() == "OpenEphemeral" {
                    made.push(text);
                }
            }
        }
        assert!(seen > 500, "{seen} instructions");
        assert!(made.is_empty(), "{made:?}");
    }

    /// The last one.
    const LAST: Kind = Kind::Forget;

    #[test]
    fn each_kind_has_statements_and_the_order_is_that_of_the_kinds() {
        let mut deciding = 0;
        for (kind, texts) in ORDER {
            assert!(!texts.is_empty());
            deciding = deciding.max(kind as usize);
            assert!(kind.decided_by() <= kind, "{kind:?} is decided before it is written");
        }
        assert_eq!(deciding, LAST as usize);
        const { assert!((LAST as usize) < 64, "a command's kinds are the bits of a number") };
        let all = [Dialect::Sqlite, Dialect::Postgres].into_iter().flat_map(statements);
        for Statement { kind, role, text } in all {
            assert!(!text.contains("unknown mark"), "{text}");
            assert!(matches!(role, Role::Writes) || kind.is_some_and(Kind::is_guarded), "{text}");
        }
    }
}
