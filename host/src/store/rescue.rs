//! What a dead host was running is taken up again.

use super::command::Command;
use super::kind::Kind;
use super::model::OperationId;
use super::row::{Row, row};
use crate::journal::{Doubt, DoubtCause};
use serde_json::{Value, json};

/// How many operations go in one command: small enough that a hook beside it does not wait.
pub const LINES: u32 = 200;

/// The statements. A row is one command's; its lines are the operations. The claims of hosts that live are left
/// alone, but for the run that a line names.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT 'yes', 0, 0, (
         SELECT {gather {pair o.id, CAST(line.value ->> 1 AS BIGINT),
                              (SELECT h.id FROM host h WHERE h.id = o.host AND h.ended = 'expired')}}
         FROM {rows :lines} AS line
         {join} operation o ON o.id = line.value ->> 0
         WHERE o.state = 'running' AND (o.run = CAST(line.value ->> 2 AS BIGINT) OR (o.host IS DISTINCT FROM :host
             AND NOT EXISTS (SELECT 1 FROM host h WHERE h.id = o.host AND h.ended IS NULL))))",
    "{won}
     UPDATE entry SET stage = 'doubted', doubt = coalesce(doubt, :doubt)
     FROM {rows :detail} AS saved
     WHERE entry.operation_id = saved.value ->> 0 AND stage = 'begun' AND entry.kind IN ('ensure', 'differ', 'once', 'converge')",
    // That host may send still, whatever was in doubt before: all that was waited counts for nothing.
    "{won}
     UPDATE entry SET doubt = :unproven
     FROM {rows :detail} AS saved
     WHERE entry.operation_id = saved.value ->> 0 AND saved.value ->> 2 IS NOT NULL AND stage = 'doubted'
       AND entry.kind IN ('ensure', 'differ', 'once')",
    "{won}
     INSERT INTO unproven (operation_id, host)
     SELECT saved.value ->> 0, saved.value ->> 2 FROM {rows :detail} AS saved
     WHERE saved.value ->> 2 IS NOT NULL
       AND EXISTS (SELECT 1 FROM entry e WHERE e.operation_id = saved.value ->> 0 AND e.stage = 'doubted'
                   AND e.kind IN ('ensure', 'differ', 'once'))
     ON CONFLICT DO NOTHING",
    "{won}
     INSERT INTO note (owner, run, at, kind, text)
     SELECT o.id, o.run, :now, 'host', 'lost with the host ' || h.name || ' (' || h.id || '), ' || CASE h.ended
         WHEN 'expired' THEN 'whose lease is over; that it has ended is not proven' ELSE 'which has ended' END
     FROM {rows :detail} AS saved
         {join} operation o ON o.id = saved.value ->> 0 JOIN host h ON h.id = o.host",
    // It may have changed something that no step tells of: the service's next change waits out the settle time.
    "{won}
     UPDATE service SET unsettled_ms = {greater unsettled_ms, CAST(saved.value ->> 1 AS BIGINT)}, updated_at = :now
     FROM {rows :detail} AS saved
         JOIN operation o ON o.id = saved.value ->> 0
     WHERE o.touched = {true}
       AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.operation_id = o.id AND e.kind IN ('ensure', 'differ', 'once')
                       AND e.stage <> 'cleared')
       AND service.platform = o.platform AND service.service_id = o.service_id",
    "{won}
     UPDATE attempt SET \"end\" = 'lost', ended_at = :now
     FROM {rows :detail} AS saved
     WHERE attempt.owner = saved.value ->> 0 AND attempt.ended_at IS NULL",
    "{won}
     UPDATE operation SET state = 'queued', next_at = NULL, updated_at = :now,
         doubted = EXISTS (SELECT 1 FROM entry e WHERE e.operation_id = operation.id AND e.stage IN ('begun', 'doubted')
                           AND e.kind IN ('ensure', 'differ', 'once', 'converge'))
     FROM {rows :detail} AS saved
     WHERE operation.id = saved.value ->> 0",
];

/// The command for operations, each with the settle time of its service; `by` is the number of the host that takes them up.
pub fn command(lines: &[(OperationId, u64)], by: u64, now: u64) -> Command {
    let mut command = Command::default();
    command.row(Kind::Rescue, line(json!(lines), by, now));
    for (id, _) in lines {
        command.moves(&id.0);
    }
    command
}

/// The command for a run of this opening that has ended without a word.
pub fn own(id: &OperationId, run: u64, settle_ms: u64, by: u64, now: u64) -> Command {
    let mut command = Command::default();
    command.row(Kind::Rescue, line(json!([(id, settle_ms, run)]), by, now));
    command.moves(&id.0);
    command
}

fn line(lines: Value, by: u64, now: u64) -> Row {
    let doubt = |why| json!(Doubt { why, by, ..Doubt::default() }).to_string();
    let (ended, unproven) = (doubt(DoubtCause::HostEnded), doubt(DoubtCause::HostUnproven));
    row!({ "lines": lines, "doubt": ended, "unproven": unproven, "now": now })
}
