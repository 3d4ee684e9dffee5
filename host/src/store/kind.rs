//! The statements of a transaction, and their order.
//!
//! Each kind of row has its statements; those run whose rows are there. Deciding statements write a *fate* for
//! each command into a table of the connection, and the statements after them work on the rows that won.
//! In the constants, `{r}` is the table of the rows, `{won}` that of the rows that won, `{fate}` the head of a
//! deciding statement and `{answer}` its end.

use super::{
    accept, again, begin, change, claim, evidence, finish, pauses, placing, rescue, secrets, steer, step, words,
};
use std::sync::LazyLock;

/// A kind of row. The order is that of the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rescue,
    Steer,
    SteerEntry,
    SteerRelease,
    Again,
    Accept,
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
    FinishSecrets,
    FinishService,
    FinishServiceSecrets,
    FinishPassed,
    FinishMove,
    Change,
    ChangeSecrets,
    Acknowledge,
    Expire,
    Reading,
    Attempt,
    Exchange,
    Body,
    Note,
    Pause,
    Backlog,
}

/// The bit of a mask that asks for the statements about moved operations.
pub const MOVED: u64 = 1 << 63;

impl Kind {
    /// The last one.
    pub const LAST: Self = Self::Backlog;
    /// How many there are.
    pub const COUNT: usize = Self::LAST as usize + 1;

    /// Whether its statements are decided by what is stored.
    pub fn is_guarded(self) -> bool {
        self < Self::Reading
    }

    /// Whose fate decides about its rows.
    const fn decided_by(self) -> Self {
        use Kind as K;
        match self {
            K::SteerEntry | K::SteerRelease => K::Steer,
            K::AcceptCancels | K::AcceptPasses => K::Accept,
            K::ClaimPasses => K::Claim,
            K::StepRelease | K::StepRemote => K::Step,
            K::BeginTake => K::Begin,
            K::FinishSecrets | K::FinishService | K::FinishServiceSecrets | K::FinishPassed => K::Finish,
            K::ChangeSecrets => K::Change,
            own => own,
        }
    }
}

/// All statements, in order.
const ORDER: [(Kind, &[&str]); 37] = [
    (Kind::Rescue, rescue::SQL),
    (Kind::Steer, steer::SQL),
    (Kind::SteerEntry, &[step::WRITE_ENTRY]),
    (Kind::SteerRelease, &[step::RELEASE]),
    (Kind::Again, again::SQL),
    (Kind::Accept, &[accept::DECIDE]),
    (Kind::AcceptCancels, accept::CANCEL),
    (Kind::AcceptPasses, &[claim::PASS]),
    (Kind::Accept, accept::STORE),
    (Kind::Claim, &[claim::DECIDE]),
    (Kind::ClaimPasses, &[claim::PASS]),
    (Kind::Claim, &[claim::STORE]),
    (Kind::Step, step::SQL),
    (Kind::StepRelease, &[step::RELEASE]),
    (Kind::StepRemote, &[step::REMOTE]),
    (Kind::Begin, begin::SQL),
    (Kind::BeginTake, &[begin::TAKE]),
    (Kind::Finish, finish::SQL),
    (Kind::FinishSecrets, &[secrets::KEEP]),
    (Kind::FinishService, change::GONE),
    (Kind::FinishService, &[change::STORE]),
    (Kind::FinishServiceSecrets, &[change::SECRET]),
    (Kind::FinishPassed, finish::END_PASSED),
    (Kind::FinishMove, placing::MOVE),
    (Kind::Change, &[change::DECIDE]),
    (Kind::Change, change::GONE),
    (Kind::Change, &[change::STORE]),
    (Kind::ChangeSecrets, &[change::SECRET]),
    (Kind::Acknowledge, secrets::ACKNOWLEDGE),
    (Kind::Expire, secrets::EXPIRE),
    (Kind::Reading, &[evidence::READING, words::GATHER_ALL]),
    (Kind::Attempt, &[evidence::ATTEMPT]),
    (Kind::Exchange, &[evidence::EXCHANGE]),
    (Kind::Body, &[evidence::BODY]),
    (Kind::Note, &[evidence::NOTE]),
    (Kind::Pause, pauses::SQL),
    (Kind::Backlog, words::BACKLOG),
];

/// The place of a log row, from the id in the expression that takes the place of `{id}`.
pub const PLACE: &str = "(substr({id}, instr({id}, '_') + 1) || '_' || substr({id}, 1, instr({id}, '_') - 1))";

/// What follows the moves of operations: the log's row, and what goes with the end.
// A failed operation may be asked for again and then needs the secrets of its steps; `secrets::EXPIRE` ends that.
const MOVES: [&str; 3] = [
    "WITH moved (id, place) AS MATERIALIZED (SELECT value, {place value} FROM json_each($3))
     UPDATE log SET state = o.state, attempts = o.attempts, fault = o.fault ->> 'class', ended_at = o.finished_at
     FROM moved JOIN operation o ON o.id = moved.id WHERE log.place = moved.place",
    "UPDATE entry SET secret = NULL WHERE secret IS NOT NULL AND operation_id IN (
         SELECT o.id FROM json_each($3) m JOIN operation o ON o.id = m.value
         WHERE o.state IN ('succeeded', 'cancelled'))",
    "UPDATE operation SET passed_by = NULL
     WHERE state IN ('queued', 'running', 'waiting', 'attention') AND passed_by IN (
         SELECT o.id FROM json_each($3) m JOIN operation o ON o.id = m.value
         WHERE o.state IN ('succeeded', 'failed', 'cancelled'))",
];

/// The first parameter of rows. Before it: `$1` the blob, `$2` this opening of the store, `$3` the moved operations.
pub const FIRST_ROWS: usize = 4;

/// A statement of a transaction.
pub struct Statement {
    /// It runs when the batch has one of these; see [`Batch::mask`](super::batch::Batch::mask).
    pub needs: u64,
    /// What is bound is named by number, see [`FIRST_ROWS`].
    pub text: String,
}

/// All of them, in the order in which they run.
pub fn statements() -> &'static [Statement] {
    static STATEMENTS: LazyLock<Vec<Statement>> = LazyLock::new(|| {
        let ordered = ORDER.iter().flat_map(|(kind, texts)| {
            texts.iter().map(|text| Statement { needs: 1 << *kind as usize, text: filled(*kind, text) })
        });
        let moves = MOVES.iter().map(|text| {
            let text = text.replace("{place value}", &PLACE.replace("{id}", "value"));
            Statement { needs: MOVED, text }
        });
        ordered.chain(moves).collect()
    });
    &STATEMENTS
}

fn filled(kind: Kind, statement: &str) -> String {
    let rows = FIRST_ROWS + kind as usize;
    let of = kind.decided_by() as usize;
    // In SQLite's own form of JSON, so that a row's members are found without reading its text again for each of them.
    statement
        .replace("{r}", &format!("r (v) AS MATERIALIZED (SELECT value FROM jsonb_each(${rows}))"))
        // A cross join keeps its order in SQLite: for each row its fate, never for each fate all rows.
        .replace(
            "{won}",
            &format!(
                "won (v, a, b) AS MATERIALIZED (SELECT value, a, b FROM jsonb_each(${rows}) CROSS JOIN fate
                 ON fate.kind = {of} AND fate.n = value ->> 'n' WHERE word IN ('yes', 'taken'))"
            ),
        )
        .replace("{fate}", "INSERT INTO fate (kind, n, word, a, b, detail)")
        .replace("{kind}", &(kind as usize).to_string())
        .replace("{answer}", "RETURNING n, word, a, b, detail")
        .replace("{of}", &of.to_string())
        .replace("{finish}", &(Kind::Finish as usize).to_string())
        .replace("{load}", placing::LOAD)
        .replace("{place id}", &PLACE.replace("{id}", "(v ->> 'id')"))
        .replace("{place passed}", &PLACE.replace("{id}", "o.id"))
}

/// Whether a step of a plan reads all operations that a service ever had.
#[cfg(test)]
pub fn reads_a_history(step: &str) -> bool {
    step.contains("INDEX operation_seq (platform=? AND service_id=?)") && !step.contains("COVERING")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{file, schema, writer};
    use sqlx::{AssertSqlSafe, Row};

    /// Rows of a command and what is derived from them, and a table of one row; everything else is a table that grows.
    const SMALL: [&str; 16] = [
        "r",
        "won",
        "judged",
        "fate",
        "aim",
        "moved",
        "m",
        "p",
        "c",
        "e",
        "saved",
        "line",
        "layer",
        "json_each",
        "jsonb_each",
        "backlog",
    ];

    #[tokio::test]
    async fn no_statement_reads_a_whole_table() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("db");
        file::prepare(&path).unwrap();
        let mut db = writer::connect(&path).await.unwrap();
        schema::migrate(&mut db).await.unwrap();
        for Statement { text, .. } in statements() {
            let plan =
                sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&mut db).await.unwrap();
            for row in plan {
                let step: String = row.get("detail");
                let scanned = step.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap_or(rest));
                let grows = scanned
                    .is_some_and(|table| !SMALL.contains(&table) && table != "CONSTANT" && !table.starts_with('('));
                assert!(!grows, "{step}\n{text}");
                assert!(!reads_a_history(&step), "{step}\n{text}");
            }
        }
    }

    #[test]
    fn each_kind_has_statements_and_the_order_is_that_of_the_kinds() {
        let mut deciding = 0;
        for (kind, texts) in ORDER {
            assert!(!texts.is_empty());
            deciding = deciding.max(kind as usize);
            assert!(kind.decided_by() <= kind, "{kind:?} is decided before it is written");
        }
        assert_eq!(deciding, Kind::COUNT - 1);
        const { assert!(Kind::COUNT < 63, "a mask has a bit for each, and one for moves") };
    }
}
