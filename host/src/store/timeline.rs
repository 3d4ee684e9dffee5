//! Everything that happened to one service, newest first.

use super::dialect::Text;
use super::logs;
use super::model::{Attempt, LogFilter, Note, ServiceKey, TimelineEntry};
use super::reader::{Cells, Line, Pool, Query};
use super::{Store, StoreError};
use serde_json::json;

static OPERATIONS: Text =
    Text::new("SELECT id, epoch, action, key FROM operation WHERE id IN (SELECT one.value FROM {list $1} AS one)");

static ATTEMPTS: Text = Text::new(
    "
SELECT owner, run, started_at, ended_at, \"end\", fault FROM attempt
WHERE owner IN (SELECT one.value FROM {list $1} AS one) ORDER BY owner, run",
);

/// What people decided and why the host looked: not what plugins remark, which is for the entry itself.
static NOTES: Text = Text::new(
    "
SELECT owner, run, at, kind, text FROM note
WHERE owner IN (SELECT one.value FROM {list $1} AS one) AND kind IN ('decision', 'poll') ORDER BY number",
);

impl Store {
    /// The entries about the service before the id `before`, newest first; at most a thousand. The last one's id is the next
    /// page's `before`.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn timeline(
        &self,
        key: &ServiceKey,
        before: Option<String>,
        limit: u32,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let filter = LogFilter {
            platform: Some(key.platform.clone()),
            service_id: Some(key.service_id.clone()),
            before,
            limit,
            ..LogFilter::default()
        };
        let rows = self.log(&filter).await?.rows;
        let ids = json!(rows.iter().map(|row| &row.id).collect::<Vec<_>>()).to_string();
        let db = &self.inner.reader;
        let operations = of(db, &OPERATIONS, &ids, read_operation).await?;
        let attempts: Vec<Attempt> = of(db, &ATTEMPTS, &ids, logs::read_attempt).await?;
        let notes: Vec<Note> = of(db, &NOTES, &ids, logs::read_note).await?;
        let entries = rows.into_iter().map(|row| {
            let operation = operations.iter().find(|operation| operation.id == row.id);
            TimelineEntry {
                epoch: operation.map(|operation| operation.epoch),
                action: operation.and_then(|operation| operation.action.clone()),
                key: operation.and_then(|operation| operation.key.clone()),
                attempts: attempts.iter().filter(|attempt| attempt.owner == row.id).cloned().collect(),
                notes: notes.iter().filter(|note| note.owner == row.id).cloned().collect(),
                row,
            }
        });
        Ok(entries.collect())
    }
}

/// What a timeline says of an operation beside its row.
struct Accepted {
    id: String,
    epoch: u32,
    action: Option<String>,
    key: Option<String>,
}

fn read_operation(row: &Line) -> Result<Accepted, StoreError> {
    let cells = Cells::new(row, "operation", "id");
    Ok(Accepted {
        id: cells.cell("id")?,
        epoch: cells.number("epoch")?,
        action: cells.cell("action")?,
        key: cells.cell("key")?,
    })
}

async fn of<T>(
    db: &Pool,
    text: &'static Text,
    ids: &str,
    read: impl Fn(&Line) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = Query::new(text).bind(ids).all(db).await?;
    rows.iter().map(read).collect()
}
