//! Parts of the module log go: in commands small enough that a hook beside them does not wait, oldest first.
//!
//! The row of an operation stays for ever, with its key, its fingerprint and its outcome: a repeated hook is known by it. Of a
//! failed operation what a repeat or a retry goes on from stays as well: its request and its journal.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::reader::{Cells, Line as Row, Query};
use super::row::row;
use super::{Store, StoreError, logs, words};
use crate::operation::State;
use crate::retention::{Entry, Plan, bites};
use serde_json::json;
use std::collections::HashMap;

/// How many exchanges, with or without their bodies, one command removes; and how many rows in all that belong to entries.
const LINES: u32 = 200;

/// Rows of the log that are looked at together.
const LOOKS_AT: u32 = 500;

/// Bodies, and where `exchanges` says so their exchanges, of what has ended. `a` is how many went.
pub const TRAFFIC: &[&str] = &[
    "{fate}
     SELECT 'yes', count(*), 0,
         {gather {pair line.value ->> 0, CAST(line.value ->> 1 AS BIGINT), CAST(line.value ->> 2 AS BIGINT)}}
     FROM {rows :lines} AS line LEFT JOIN operation o ON o.id = line.value ->> 0
     WHERE o.id IS NULL OR o.state IN ('succeeded', 'failed', 'cancelled')",
    "{won}
     DELETE FROM body WHERE (owner, run, seq) IN (
         SELECT line.value ->> 0, CAST(line.value ->> 1 AS BIGINT), CAST(line.value ->> 2 AS BIGINT)
         FROM {rows :detail} AS line)",
    "{won}
     DELETE FROM exchange WHERE :exchanges AND (owner, run, seq) IN (
         SELECT line.value ->> 0, CAST(line.value ->> 1 AS BIGINT), CAST(line.value ->> 2 AS BIGINT)
         FROM {rows :detail} AS line)",
];

/// Entries of what has ended. Kept are those whose secrets still wait for the platform, and those of which a step holds its
/// scope: its id on the panel is not known yet. `a` is how many went.
pub const ENTRIES: &[&str] = &[
    "{fate}
     SELECT 'yes', count(*), 0, {gather line.value}
     FROM {list :ids} AS line LEFT JOIN operation o ON o.id = line.value
     WHERE o.id IS NULL
        OR (o.state IN ('succeeded', 'failed', 'cancelled') AND o.secrets_state <> 'kept'
            AND NOT EXISTS (SELECT 1 FROM scope WHERE scope.operation_id = o.id))",
    "{won} DELETE FROM body WHERE owner IN (SELECT line.value FROM {list :detail} AS line)",
    "{won} DELETE FROM exchange WHERE owner IN (SELECT line.value FROM {list :detail} AS line)",
    "{won} DELETE FROM note WHERE owner IN (SELECT line.value FROM {list :detail} AS line)",
    "{won} DELETE FROM attempt WHERE owner IN (SELECT line.value FROM {list :detail} AS line)",
    "{won} DELETE FROM log WHERE place IN (SELECT {place line.value} FROM {list :detail} AS line)",
    // Words that no other entry shares; those that wait for the index do not come into it.
    "{won}
     DELETE FROM unindexed WHERE number IN (
         SELECT CAST(line.value ->> 1 AS BIGINT) FROM {rows :lines} AS line
         WHERE line.value ->> 0 IN (SELECT one.value FROM {list :detail} AS one)
           AND NOT EXISTS (SELECT 1 FROM log WHERE place >= line.value ->> 2 AND place < (line.value ->> 2) || '~'))",
    "{won}
     INSERT INTO forgotten (number)
     SELECT CAST(line.value ->> 1 AS BIGINT) FROM {rows :lines} AS line
     WHERE line.value ->> 0 IN (SELECT one.value FROM {list :detail} AS one)
       AND NOT EXISTS (SELECT 1 FROM log WHERE place >= line.value ->> 2 AND place < (line.value ->> 2) || '~')
     ON CONFLICT (number) DO NOTHING",
    "{won}
     DELETE FROM entry WHERE operation_id IN (
         SELECT o.id FROM {list :detail} AS line {join} operation o ON o.id = line.value
         WHERE o.state IN ('succeeded', 'cancelled'))",
    "{won}
     UPDATE request SET shown = 'null', call = @nothing WHERE operation_id IN (
         SELECT o.id FROM {list :detail} AS line {join} operation o ON o.id = line.value
         WHERE o.state IN ('succeeded', 'cancelled'))",
];

/// A failed operation that is asked for again stands in the log again, if its entry had gone.
pub const RESTORE: &str = "
{won}
INSERT INTO log (place, platform, service_id, hook, provider, server, state, summary, attempts, started_at)
SELECT {place :id}, o.platform, o.service_id, o.hook, o.provider, o.server, o.state,
    coalesce(o.action, o.hook) || ' asked for again', o.attempts, o.created_at
FROM operation o WHERE o.id = :id
ON CONFLICT DO NOTHING";

/// Bodies of operations of which some may go, in the order of their owners.
static BODIES: Text = Text::new(
    "SELECT b.owner, b.run, b.seq,
         CAST(coalesce(length(b.request), 0) + coalesce(length(b.reply), 0) AS BIGINT) AS size, o.state, o.finished_at
     FROM body b LEFT JOIN operation o ON o.id = b.owner
     WHERE (b.owner, b.run, b.seq) > ($1, $2, $3) AND b.owner < $4 ORDER BY b.owner, b.run, b.seq LIMIT $5",
);

static ROWS: Text = Text::new(
    "SELECT l.place, l.started_at, o.state, o.finished_at
     FROM log l LEFT JOIN operation o ON o.id = 'op_' || substr(l.place, 1, length(l.place) - 3)
     WHERE l.place > $1 AND l.place < $2 ORDER BY l.place LIMIT $3",
);

/// How many rows belong to entries.
static WEIGHTS: Text = Text::new(
    "SELECT owner, count(*) AS weight FROM (
         SELECT owner FROM exchange WHERE owner IN (SELECT line.value FROM {list $1} AS line)
         UNION ALL SELECT owner FROM note WHERE owner IN (SELECT line.value FROM {list $1} AS line)
         UNION ALL SELECT owner FROM attempt WHERE owner IN (SELECT line.value FROM {list $1} AS line)) AS parts
     GROUP BY owner",
);

static EXCHANGES: Text = Text::new("SELECT owner, run, seq FROM exchange WHERE owner = $1 ORDER BY run, seq LIMIT $2");

/// Whose bodies are looked at: the prefix of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Operations.
    Operations,
    /// Hooks that only read.
    Reads,
}

/// How far a walk is, and what it found on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// The owner of the last body, or the place of the last row.
    at: String,
    /// With an owner: its run and exchange.
    exchange: (i64, i64),
    /// Whether there is nothing behind.
    pub is_over: bool,
    /// Exchanges whose bodies went, or entries that did; in a dry run, those that would.
    pub gone: u64,
    /// Packed bytes of those bodies.
    pub bytes: u64,
}

type Line = (String, i64, i64);

impl Store {
    /// Removes the next bodies that the plan takes, some hundred at most; with `dry` it only counts them.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept); what went before is gone.
    pub async fn prune_bodies(&self, plan: &Plan, of: Of, walk: &mut Walk, dry: bool) -> Result<(), StoreError> {
        let prefix = match of {
            Of::Operations => "op_",
            Of::Reads => "rd_",
        };
        let end = format!("{prefix}{}", words::head_of_time(plan.bodies_end()));
        let from = if walk.at.is_empty() { prefix } else { &walk.at };
        let query = Query::new(&BODIES).bind(from).bind(walk.exchange.0).bind(walk.exchange.1);
        let rows = query.bind(end).bind(LINES).all(&self.inner.reader).await?;
        walk.is_over = rows.len() < LINES as usize;
        let mut lines: Vec<Line> = Vec::new();
        for row in &rows {
            let cells = Cells::new(row, "body", "owner");
            let owner: String = cells.cell("owner")?;
            let line = (owner, cells.cell("run")?, cells.cell("seq")?);
            // The end of the walk is the time of what it takes of readings.
            let entry = ended(&cells)?.unwrap_or(Entry::Read { at: 0 });
            (walk.at, walk.exchange) = (line.0.clone(), (line.1, line.2));
            if plan.takes_bodies(entry) {
                walk.bytes += cells.number::<u64>("size")?;
                lines.push(line);
            }
        }
        walk.gone += match dry {
            true => lines.len() as u64,
            false => self.remove_traffic(&lines, false).await?,
        };
        Ok(())
    }

    /// Removes the next entries that the plan takes, some hundred rows at most at a time; with `dry` it only counts them.
    ///
    /// # Errors
    ///
    /// See [`prune_bodies`](Self::prune_bodies).
    pub async fn prune_entries(&self, plan: &Plan, walk: &mut Walk, dry: bool) -> Result<(), StoreError> {
        let end = words::head_of_time(plan.entries_end());
        let rows = Query::new(&ROWS).bind(&walk.at).bind(end).bind(LOOKS_AT).all(&self.inner.reader).await?;
        walk.is_over = rows.len() < LOOKS_AT as usize;
        let mut ids = Vec::new();
        for row in &rows {
            let cells = Cells::new(row, "log", "place");
            let place: String = cells.cell("place")?;
            let entry = match ended(&cells)? {
                Some(entry) => entry,
                None => Entry::Read { at: cells.number("started_at")? },
            };
            if plan.takes(entry) {
                ids.push(logs::id_of(&place));
            }
            walk.at = place;
        }
        if dry {
            walk.gone += ids.len() as u64;
            return Ok(());
        }
        let weights = self.weights(&ids).await?;
        let weigh = |id: String| {
            let weight = weights.get(&id).copied().unwrap_or(0);
            (id, weight + 1)
        };
        for bite in bites(ids.into_iter().map(weigh).collect(), u64::from(LINES)) {
            if let [one] = bite.as_slice() {
                self.lighten(one).await?;
            }
            let mut command = Command::default();
            let nothing = command.bytes(b"");
            let line = |id: &String| (id.clone(), words::number(id), words::head(words::number(id)));
            let lines: Vec<_> = bite.iter().map(line).collect();
            command.row(Kind::PruneEntries, row!({ "ids": bite, "lines": lines, "nothing": nothing }));
            walk.gone += self.inner.writer.decide(command).await?.a;
        }
        Ok(())
    }

    /// Removes exchanges of an entry until what is left goes in one command.
    async fn lighten(&self, id: &str) -> Result<(), StoreError> {
        loop {
            let rows = Query::new(&EXCHANGES).bind(id).bind(LINES).all(&self.inner.reader).await?;
            if rows.len() < LINES as usize {
                return Ok(());
            }
            let mut lines = Vec::new();
            for row in &rows {
                let cells = Cells::new(row, "exchange", "owner");
                lines.push((cells.cell("owner")?, cells.cell("run")?, cells.cell("seq")?));
            }
            if self.remove_traffic(&lines, true).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn remove_traffic(&self, lines: &[Line], exchanges: bool) -> Result<u64, StoreError> {
        if lines.is_empty() {
            return Ok(0);
        }
        let mut command = Command::default();
        command.row(Kind::PruneTraffic, row!({ "lines": lines, "exchanges": exchanges }));
        Ok(self.inner.writer.decide(command).await?.a)
    }

    async fn weights(&self, ids: &[String]) -> Result<HashMap<String, u64>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = Query::new(&WEIGHTS).bind(json!(ids).to_string()).all(&self.inner.reader).await?;
        let weight = |row: &Row| {
            let cells = Cells::new(row, "exchange", "owner");
            Ok((cells.cell("owner")?, cells.number("weight")?))
        };
        rows.iter().map(weight).collect()
    }
}

/// The operation of a row, or nothing for a hook that only read.
fn ended(cells: &Cells<'_>) -> Result<Option<Entry>, StoreError> {
    if cells.cell::<Option<String>>("state")?.is_none() {
        return Ok(None);
    }
    let (state, ended_at) = (cells.word("state", State::parse)?, cells.some_number("finished_at")?);
    Ok(Some(Entry::Operation { state, ended_at }))
}

/// The statements, for whoever looks at their plans.
#[cfg(test)]
pub fn plans() -> Vec<String> {
    [&BODIES, &ROWS, &WEIGHTS, &EXCHANGES].map(|text| text.of(super::dialect::Dialect::Sqlite).to_owned()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::on_both;
    use crate::store::behaviour::samples::{self, NOW, On, running};
    use crate::store::model::{Evidence, Exchange};

    on_both![the_statements_judge_for_themselves];

    async fn the_statements_judge_for_themselves(on: On) {
        let (_place, store) = samples::store(on).await;
        running(&store, "1", "41").await;
        let exchange = Exchange {
            owner: "op_1".into(),
            run: 1,
            seq: 1,
            step: None,
            purpose: "read".into(),
            method: "GET".into(),
            url: "/x".into(),
            left: true,
            status: Some(200),
            failure: None,
            started_at: NOW,
            duration_us: 1,
            request_headers: vec![],
            reply_headers: vec![],
            request_body: None,
            reply_body: Some("body".into()),
        };
        store.record(Evidence { exchanges: vec![samples::packed(&store, exchange.clone())], ..Evidence::default() });
        store.flush().await.unwrap();

        // As if it had ended when it was looked at, and was asked for again since.
        let traffic = store.remove_traffic(&[("op_1".to_owned(), 1, 1)], true).await.unwrap();
        let mut command = Command::default();
        let nothing = command.bytes(b"");
        command.row(Kind::PruneEntries, row!({ "ids": ["op_1"], "nothing": nothing }));
        let entries = store.inner.writer.decide(command).await.unwrap().a;

        assert_eq!((traffic, entries), (0, 0));
        let (_, detail) = store.log_detail("op_1").await.unwrap().unwrap();
        assert_eq!(detail.exchanges, [exchange]);
        assert!(store.taken(&samples::id("1")).await.unwrap().is_some());
    }
}
