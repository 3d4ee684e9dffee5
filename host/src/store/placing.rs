//! Which server an operation is on, where that is chosen out of a group, and what counts against a server's capacity.

use super::dialect::Text;
use super::model::{Load, OperationId};
use super::reader::{Cells, Query};
use super::{Store, StoreError};
use std::collections::BTreeMap;

/// Live services and creates under way on the server of a row. A service that is being made counts once.
pub const LOAD: &str = "(
    (SELECT count(*) FROM service live {by service_placed}
     WHERE live.server = :server AND live.remote_id IS NOT NULL)
  + (SELECT count(*) FROM operation made {by operation_placing}
         JOIN service owner ON owner.platform = made.platform AND owner.service_id = made.service_id
     WHERE made.server = :server AND made.hook = 'create'
       AND {open made.} AND owner.remote_id IS NULL))";

/// The same as a read, for a list of servers.
static LOADS: Text = Text::new(
    "
SELECT wanted.value AS server,
    (SELECT count(*) FROM service live {by service_placed}
     WHERE live.server = wanted.value AND live.remote_id IS NOT NULL) AS live,
    (SELECT {array count(*) FILTER (WHERE made.id <> $2), count(*) FILTER (WHERE made.id < $2)}
     FROM operation made {by operation_placing}
         JOIN service owner ON owner.platform = made.platform AND owner.service_id = made.service_id
     WHERE made.server = wanted.value AND made.hook = 'create'
       AND {open made.} AND owner.remote_id IS NULL) AS made
FROM {list $1} AS wanted",
);

/// The move. Decided after the end of the attempt, in the same transaction, and only if that counted: nothing of the
/// operation has touched a panel, and the other server still has room. Its fate is nobody's answer.
pub const MOVE: &[&str] = &[
    "{aside}
     SELECT CASE WHEN :ended IS DISTINCT FROM 'yes' OR o.state <> 'waiting' OR o.touched = {true} OR s.remote_id IS NOT NULL THEN 'no'
              WHEN EXISTS (SELECT 1 FROM entry e WHERE e.operation_id = o.id
                           AND NOT (e.kind = 'record' OR (e.stage = 'cleared' AND e.doubt IS NULL AND e.evidence = '[]')))
              THEN 'no'
              WHEN :most IS NOT NULL AND {load} >= :most THEN 'no'
              ELSE 'yes' END, 0, 0, NULL
     FROM operation o JOIN service s ON s.platform = o.platform AND s.service_id = o.service_id
     WHERE o.id = :id",
    "{won} DELETE FROM entry WHERE operation_id = :id",
    "{won}
     UPDATE operation
     SET server = :server, panel = :panel, placement = :placement, library = NULL, journal_version = 0
     WHERE operation.id = :id",
    "{won}
     UPDATE service
     SET version = version + 1, server = :server, panel = :panel, updated_at = :now
     FROM operation o
     WHERE o.id = :id AND service.platform = o.platform AND service.service_id = o.service_id AND service.remote_id IS NULL",
    // What came in behind it was meant for the service, wherever that is made.
    "{won}
     WITH moved (id) AS MATERIALIZED (
         SELECT behind.id
         FROM operation o {join} operation behind {by operation_open}
             ON behind.platform = o.platform AND behind.service_id = o.service_id
         WHERE o.id = :id AND {open behind.} AND behind.state <> 'running'
           AND behind.epoch = o.epoch AND behind.touched = {false})
     UPDATE operation SET server = :server, panel = :panel, updated_at = :now
     FROM moved WHERE operation.id = moved.id",
    "{won}
     UPDATE log SET server = :server WHERE place = {place :id}",
];

impl Store {
    /// What counts against the capacity of each of these servers, as a create sees it that is stored as `asking`, or is to be.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn loads(
        &self,
        servers: &[String],
        asking: Option<&OperationId>,
    ) -> Result<BTreeMap<String, Load>, StoreError> {
        let wanted = serde_json::Value::from(servers).to_string();
        // No id is empty, and none is greater than this.
        let asking = asking.map_or("~", |id| id.0.as_str());
        let rows = Query::new(&LOADS).bind(wanted).bind(asking).all(&self.inner.reader).await?;
        rows.iter()
            .map(|row| {
                let cells = Cells::new(row, "service", "server");
                let live: u64 = cells.number("live")?;
                let (others, before): (u64, u64) = cells.json("made")?;
                let load = Load { services: live.saturating_add(others), before: live.saturating_add(before) };
                Ok((cells.cell("server")?, load))
            })
            .collect()
    }
}

/// The statement, for whoever looks at its plan.
#[cfg(test)]
pub fn plan(dialect: super::dialect::Dialect) -> &'static str {
    LOADS.of(dialect)
}
