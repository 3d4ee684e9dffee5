//! What a dead host was running is taken up again.

use super::command::Command;
use super::kind::Kind;
use super::model::OperationId;
use crate::journal::{Doubt, DoubtCause};
use serde_json::json;

/// How many operations go in one command: small enough that a hook beside it does not wait.
pub const LINES: u32 = 200;

/// The statements. A row is one command's; its lines are the operations. The claims of this opening are left alone, but for the
/// run that a line names.
pub const SQL: &[&str] = &[
    "{fate}
     SELECT 'yes', 0, 0, (
         SELECT {gather {pair o.id, CAST(line.value ->> 1 AS BIGINT)}} FROM {rows :lines} AS line
         {join} operation o ON o.id = line.value ->> 0
         WHERE o.state = 'running' AND (o.host IS DISTINCT FROM :host OR o.run = CAST(line.value ->> 2 AS BIGINT)))",
    "{won}
     UPDATE entry SET stage = 'doubted', doubt = coalesce(doubt, :doubt)
     FROM {rows :detail} AS saved
     WHERE entry.operation_id = saved.value ->> 0 AND stage = 'begun' AND entry.kind IN ('ensure', 'differ', 'once', 'converge')",
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

/// The command for operations, each with the settle time of its service.
pub fn command(lines: &[(OperationId, u64)], now: u64) -> Command {
    let doubt = Doubt { why: DoubtCause::HostEnded, ..Doubt::default() };
    let mut command = Command::default();
    command.row(Kind::Rescue, json!({ "lines": lines, "doubt": json!(doubt).to_string(), "now": now }));
    for (id, _) in lines {
        command.moves(&id.0);
    }
    command
}

/// The command for a run of this opening that has ended without a word.
pub fn own(id: &OperationId, run: u64, settle_ms: u64, now: u64) -> Command {
    let doubt = Doubt { why: DoubtCause::HostEnded, ..Doubt::default() };
    let mut command = Command::default();
    let row = json!({ "lines": [(id, settle_ms, run)], "doubt": json!(doubt).to_string(), "now": now });
    command.row(Kind::Rescue, row);
    command.moves(&id.0);
    command
}
