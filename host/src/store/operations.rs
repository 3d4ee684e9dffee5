//! Reading operations.

use super::dialect::Text;
use super::model::{Due, Front, LogFilter, Operation, OperationId, SecretsState, ServiceKey, Taken};
use super::reader::{Cells, Line, Query};
use super::services::{key_of, service_columns};
use super::{Store, StoreError, logs, seals, services};
use crate::operation::{Effects, State};
use billhook_plugin_api::{Hook, Secret};
use std::collections::BTreeMap;

macro_rules! operations {
    (columns) => {
        "SELECT o.id, o.platform, o.service_id, o.epoch, o.seq, o.hook, o.action, o.key, o.fingerprint, o.state,
                 o.touched, o.doubted, o.active, o.passed_by, o.provider, o.server, o.panel, o.product, o.placement, o.renew_to, o.library,
                 o.journal_version, request.shown, o.attempts, o.run, o.next_at, o.cancel_asked, o.expires_at, o.fault,
                 o.reason, o.outcome, o.secrets_state, o.created_at, o.updated_at, o.finished_at,
                 EXISTS (SELECT 1 FROM entry WHERE entry.operation_id = o.id) AS has_steps"
    };
    (by $index:literal, $($rest:literal),* $(,)?) => {
        concat!(
            operations!(columns), " FROM operation o {by ", $index,
            "} JOIN request ON request.operation_id = o.id ", $($rest),*
        )
    };
    ($($rest:literal),* $(,)?) => {
        concat!(operations!(columns), " FROM operation o JOIN request ON request.operation_id = o.id ", $($rest),*)
    };
}

static BY_ID: Text = Text::new(operations!("WHERE o.id = $1"));
static BY_KEY: Text = Text::new(operations!("WHERE o.platform = $1 AND o.key = $2"));
/// Through the small index of what is unfinished: the planner prefers the one that is in the order asked for, and
/// would read all that the service ever had.
static UNFINISHED: Text = Text::new(operations!(
    by "operation_open",
    "WHERE o.platform = $1 AND o.service_id = $2 AND {open o.}
     ORDER BY o.seq"
));
/// Of what is queued only the first, however many those are.
static FRONT: Text = Text::new(concat!(
    "WITH front (id) AS (
         SELECT id FROM operation {by operation_open}
         WHERE platform = $1 AND service_id = $2 AND {open}
           AND state IN ('running', 'waiting', 'attention')
         UNION ALL
         SELECT id FROM (
             SELECT id FROM operation {by operation_open}
             WHERE platform = $1 AND service_id = $2 AND {open}
               AND state = 'queued'
             ORDER BY seq LIMIT 1) AS first)
     ",
    operations!(columns),
    ", s.unsettled_ms, s.updated_at AS service_updated_at
     FROM front {join} operation o ON o.id = front.id JOIN request ON request.operation_id = o.id
     JOIN service s ON s.platform = o.platform AND s.service_id = o.service_id
     ORDER BY o.seq"
));
/// An operation with what an attempt needs beside it, in one read.
static TAKEN: Text = Text::new(concat!(
    operations!(columns),
    ", request.call, ",
    service_columns!(),
    " FROM operation o JOIN request ON request.operation_id = o.id
      JOIN service s ON s.platform = o.platform AND s.service_id = o.service_id
      WHERE o.id = $1"
));

const LISTED: &str = operations!("JOIN log ON o.id = 'op_' || substr(log.place, 1, length(log.place) - 3)");

static DUE: Text = Text::new(
    "
SELECT id, platform, service_id, server, next_at, updated_at FROM operation
WHERE state IN ('queued', 'waiting') AND coalesce(next_at, 0) >= $1 AND (coalesce(next_at, 0), id) > ($1, $2)
ORDER BY coalesce(next_at, 0), id LIMIT $3",
);
static DUE_OF: Text = Text::new(
    "
SELECT id, platform, service_id, server, next_at, updated_at FROM operation {by operation_open}
WHERE platform = $1 AND service_id = $2 AND {open}
  AND state IN ('queued', 'waiting') ORDER BY seq",
);

/// A page of what may be claimed now: nothing else of its service is active.
static DUE_NOW: Text = Text::new(
    "
SELECT id, platform, service_id, server, next_at, updated_at FROM operation
WHERE state IN ('queued', 'waiting') AND coalesce(next_at, 0) <= $1 AND (coalesce(next_at, 0), id) > ($2, $3)
  AND NOT EXISTS (SELECT 1 FROM operation other WHERE other.platform = operation.platform
                  AND other.service_id = operation.service_id AND other.active = {true} AND other.id <> operation.id
                  AND other.state = 'running')
ORDER BY coalesce(next_at, 0), id LIMIT $4",
);

/// Through the small index of what is unfinished, so that a start does not read every operation there ever was.
static LOST: Text = Text::new(
    "
SELECT id, server FROM operation {by operation_open}
WHERE {open} AND state = 'running' AND host IS DISTINCT FROM $1
  AND NOT EXISTS (SELECT 1 FROM host h WHERE h.id = operation.host AND h.ended IS NULL) LIMIT $2",
);

impl Store {
    /// The operation of that id.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        let row = Query::new(&BY_ID).bind(&id.0).first(&self.inner.reader).await?;
        row.as_ref().map(read).transpose()
    }

    /// The operation that the platform's key names.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn operation_by_key(&self, platform: &str, key: &str) -> Result<Option<Operation>, StoreError> {
        let row = Query::new(&BY_KEY).bind(platform).bind(key).first(&self.inner.reader).await?;
        row.as_ref().map(read).transpose()
    }

    /// The operation, what its plugin gets, in clear, and its service: all that an attempt begins with.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service); a value that was sealed with a key that the host does not have is corrupt.
    pub async fn taken(&self, id: &OperationId) -> Result<Option<Taken>, StoreError> {
        let row = Query::new(&TAKEN).bind(&id.0).first(&self.inner.reader).await?;
        row.map(|row| {
            let call: Vec<u8> = Cells::new(&row, "request", "id").cell("call")?;
            let service = services::read(&Cells::prefixed(&row, "service", "s_", "service_id"), &self.inner.sealer)?;
            Ok(Taken { operation: read(&row)?, call: seals::open_call(&self.inner.sealer, id, &call)?, service })
        })
        .transpose()
    }

    /// The secrets of the result, in clear; none once they are acknowledged or expired.
    ///
    /// # Errors
    ///
    /// See [`taken`](Self::taken).
    pub async fn result_secrets(&self, id: &OperationId) -> Result<BTreeMap<String, Secret<String>>, StoreError> {
        static SECRETS: Text = Text::new("SELECT operation_id, sealed FROM result_secret WHERE operation_id = $1");
        let Some(row) = Query::new(&SECRETS).bind(&id.0).first(&self.inner.reader).await? else {
            return Ok(BTreeMap::new());
        };
        let cells = Cells::new(&row, "result_secret", "operation_id");
        seals::open_result(&self.inner.sealer, id, &cells.cell::<Vec<u8>>("sealed")?)
    }

    /// The service's unfinished operations in order of arrival.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn unfinished(&self, key: &ServiceKey) -> Result<Vec<Operation>, StoreError> {
        let query = Query::new(&UNFINISHED).bind(&key.platform).bind(&key.service_id);
        let rows = query.all(&self.inner.reader).await?;
        rows.iter().map(read).collect()
    }

    /// What decides which operation of the service is next; none if nothing of it is unfinished.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn front(&self, key: &ServiceKey) -> Result<Option<Front>, StoreError> {
        let query = Query::new(&FRONT).bind(&key.platform).bind(&key.service_id);
        let rows = query.all(&self.inner.reader).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let service = Cells::new(first, "service", "service_id");
        Ok(Some(Front {
            unsettled_ms: service.number("unsettled_ms")?,
            updated_at: service.number("service_updated_at")?,
            operations: rows.iter().map(read).collect::<Result<_, _>>()?,
        }))
    }

    /// What is queued or waits, by its time and then by age; what has no time is due now and comes first.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn due(&self, limit: u32) -> Result<Vec<Due>, StoreError> {
        self.due_after(None, limit).await
    }

    /// The same behind one of them, for whoever reads all in pages.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn due_after(&self, last: Option<&Due>, limit: u32) -> Result<Vec<Due>, StoreError> {
        let at = last.map_or(-1, |due| i64::try_from(due.next_at.unwrap_or(0)).unwrap_or(i64::MAX));
        let query = Query::new(&DUE).bind(at).bind(last.map_or("", |due| &due.id.0)).bind(limit);
        let rows = query.all(&self.inner.reader).await?;
        rows.iter().map(read_due).collect()
    }

    /// What is due now and may run, in pages: behind `after`, which is moved on, and begins anew behind the last page.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn due_now(&self, now: u64, after: &mut (i64, String), limit: u32) -> Result<Vec<Due>, StoreError> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let query = Query::new(&DUE_NOW).bind(now).bind(after.0).bind(&after.1).bind(limit);
        let rows = query.all(&self.inner.reader).await?;
        let due: Vec<Due> = rows.iter().map(read_due).collect::<Result<_, _>>()?;
        *after = match due.last() {
            Some(last) if due.len() == limit as usize => (last.next_at.map_or(0, u64::cast_signed), last.id.0.clone()),
            _ => (0, String::new()),
        };
        Ok(due)
    }

    /// The services of operations that are queued or wait.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn services_of(&self, ids: &[String]) -> Result<Vec<ServiceKey>, StoreError> {
        static SERVICES: Text = Text::new(
            "SELECT DISTINCT o.platform, o.service_id FROM {list $1} AS c {join} operation o ON o.id = c.value
             WHERE o.state IN ('queued', 'waiting')",
        );
        let rows = Query::new(&SERVICES).bind(serde_json::json!(ids).to_string()).all(&self.inner.reader).await?;
        rows.iter().map(|row| key_of(&Cells::new(row, "operation", "service_id"))).collect()
    }

    /// What is queued or waits of one service, in order of arrival.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn due_of(&self, key: &ServiceKey) -> Result<Vec<Due>, StoreError> {
        let query = Query::new(&DUE_OF).bind(&key.platform).bind(&key.service_id);
        let rows = query.all(&self.inner.reader).await?;
        rows.iter().map(read_due).collect()
    }

    /// Operations that match, newest first; pages by [`LogFilter::before`].
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn list_operations(&self, filter: &LogFilter) -> Result<Vec<Operation>, StoreError> {
        let span = logs::Span::of(filter);
        let text = logs::text(filter, &span, LISTED, logs::Of::Operations);
        let limit = filter.limit.min(logs::PAGE_MOST);
        let query = logs::bind(Query::made(text), filter, span, limit);
        query.all(&self.inner.reader).await?.iter().map(read).collect()
    }

    /// What a dead host was running, with the names of the servers.
    pub(super) async fn lost(&self, limit: u32) -> Result<Vec<(OperationId, String)>, StoreError> {
        let rows = Query::new(&LOST).bind(&self.inner.host).bind(limit).all(&self.inner.reader).await?;
        rows.iter()
            .map(|row| {
                let cells = Cells::new(row, "operation", "id");
                Ok((OperationId(cells.cell("id")?), cells.cell("server")?))
            })
            .collect()
    }
}

fn read_due(row: &Line) -> Result<Due, StoreError> {
    let cells = Cells::new(row, "operation", "id");
    Ok(Due {
        id: OperationId(cells.cell("id")?),
        service: key_of(&cells)?,
        server: cells.cell("server")?,
        next_at: cells.some_number("next_at")?,
        updated_at: cells.number("updated_at")?,
    })
}

fn read(row: &Line) -> Result<Operation, StoreError> {
    let cells = Cells::new(row, "operation", "id");
    Ok(Operation {
        id: OperationId(cells.cell("id")?),
        service: key_of(&cells)?,
        epoch: cells.number("epoch")?,
        seq: cells.number("seq")?,
        hook: cells.word("hook", Hook::parse)?,
        action: cells.cell("action")?,
        key: cells.cell("key")?,
        fingerprint: cells.cell("fingerprint")?,
        state: cells.word("state", State::parse)?,
        effects: Effects { touched: cells.cell("touched")?, doubted: cells.cell("doubted")? },
        active: cells.cell("active")?,
        passed_by: cells.cell::<Option<String>>("passed_by")?.map(OperationId),
        provider: cells.cell("provider")?,
        server: cells.cell("server")?,
        panel: cells.cell("panel")?,
        product: cells.cell("product")?,
        placement: cells.some_json("placement")?,
        renew_to: cells.cell("renew_to")?,
        library: cells.cell("library")?,
        journal_version: cells.number("journal_version")?,
        shown: cells.json_text("shown")?,
        attempts: cells.number("attempts")?,
        run: cells.number("run")?,
        next_at: cells.some_number("next_at")?,
        cancel_asked: cells.cell("cancel_asked")?,
        expires_at: cells.some_number("expires_at")?,
        fault: cells.some_json("fault")?,
        reason: cells.cell("reason")?,
        outcome: cells.some_json("outcome")?,
        secrets_state: cells.word("secrets_state", secrets_state)?,
        has_steps: cells.cell("has_steps")?,
        created_at: cells.number("created_at")?,
        updated_at: cells.number("updated_at")?,
        finished_at: cells.some_number("finished_at")?,
    })
}

fn secrets_state(word: &str) -> Option<SecretsState> {
    Some(match word {
        "none" => SecretsState::None,
        "kept" => SecretsState::Kept,
        "acknowledged" => SecretsState::Acknowledged,
        "expired" => SecretsState::Expired,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::cluster::Database;
    use crate::store::dialect::Dialect;
    use crate::store::{address, file, kind, placing, schema, writer};
    use sqlx::{AssertSqlSafe, Executor, Row};

    /// What is read with each hook, at a start, and by whoever looks at the log.
    fn texts(dialect: Dialect) -> Vec<String> {
        let all = LogFilter { limit: 50, ..LogFilter::default() };
        let failed = LogFilter { state: Some(State::Failed), before: Some("op_1".into()), ..all.clone() };
        let of_service = LogFilter { platform: Some("p".into()), service_id: Some("1".into()), ..all.clone() };
        let of_hook = LogFilter { hook: Some(Hook::Create), ..all.clone() };
        let mut texts: Vec<String> =
            [&BY_ID, &BY_KEY, &UNFINISHED, &FRONT, &TAKEN, &services::SERVICE, &services::EARLIER, &DUE, &DUE_OF]
                .map(|text| text.of(dialect).to_owned())
                .into();
        texts.push(placing::plan(dialect).to_owned());
        let of_fault = LogFilter { fault: Some(billhook_plugin_api::FaultClass::Quota), from: Some(1), ..all.clone() };
        for filter in [failed, of_service, of_hook, of_fault] {
            let span = logs::Span::of(&filter);
            texts.push(logs::text(&filter, &span, logs::ROW, logs::Of::All));
            texts.push(logs::text(&filter, &span, LISTED, logs::Of::Operations));
        }
        texts
    }

    #[tokio::test]
    async fn reads_go_by_an_index_and_sort_nothing_large() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("db");
        file::prepare(&path).unwrap();
        let mut db = writer::connect(&path).await.unwrap();
        schema::migrate(&mut db).await.unwrap();
        for text in texts(Dialect::Sqlite) {
            let text = Dialect::Sqlite.text(&text).into_owned();
            let plan =
                sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&mut db).await.unwrap();
            let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            println!("{text}\n{steps:#?}");
            assert!(!steps.iter().any(|step| kind::reads_a_history(step)), "{text}\n{steps:#?}");
            let due = steps.iter().all(|step| step.contains("operation_due"));
            // A row of nothing, and what a part of the statement has found.
            let small = ["CONSTANT ROW", "first", "found", "wanted", "one", "newest", "ended", "(subquery"];
            let is_whole = |step: &String| {
                step.strip_prefix("SCAN ").is_some_and(|table| !small.iter().any(|small| table.starts_with(small)))
            };
            assert!(due || !steps.iter().any(is_whole), "{text}\n{steps:#?}");
            let sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(!sorted || !text.contains("LIMIT $"), "{text}\n{steps:#?}");
        }
    }

    /// Its connections keep the plans that they make while there is nothing: those must do for a busy year.
    #[tokio::test]
    async fn reads_of_a_server_go_by_an_index_before_it_knows_what_is_there() {
        let database = Database::with_tables().await;
        let mut db = database.connect().await;
        for (name, value) in address::SETTINGS.into_iter().chain([("plan_cache_mode", "force_generic_plan")]) {
            db.execute(sqlx::raw_sql(AssertSqlSafe(format!("SET {name} = '{value}'")))).await.unwrap();
        }
        for text in texts(Dialect::Postgres) {
            let text = Dialect::Postgres.text(&text).into_owned();
            let most = (1..20).rev().find(|number| text.contains(&format!("${number}"))).unwrap_or(0);
            let nothing = if most == 0 { String::new() } else { format!("({})", vec!["NULL"; most].join(", ")) };
            // A parameter of which nothing tells its type is a text here.
            let mut types = vec!["unknown"; most];
            while let Err(error) = {
                let list = if most == 0 { String::new() } else { format!("({})", types.join(", ")) };
                let prepare = format!("DEALLOCATE ALL; PREPARE one {list} AS {text}");
                db.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await
            } {
                let error = error.to_string();
                let open = (1..=most).rev().find(|number| error.contains(&format!("type of parameter ${number} ")));
                types[open.unwrap_or_else(|| panic!("{error}\n{text}")) - 1] = "text";
            }
            let plan = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE one {nothing}"))).fetch_all(&mut db).await;
            let plan: Vec<String> = plan.unwrap().iter().map(|step| step.get(0)).collect();
            let steps = plan.join("\n");
            for step in steps.split("->") {
                let (what, more) = step.split_once('\n').unwrap_or((step, ""));
                let is_by_index = more.contains("Index Cond") || text.contains("LIMIT");
                let is_whole = what.contains("Seq Scan") || what.contains("Index") && !is_by_index;
                assert!(!is_whole, "{what}\n{steps}\n{text}");
            }
        }
    }
}
