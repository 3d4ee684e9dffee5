//! A log that is older than its index is indexed beside the work, newest first, in parts that nobody has to wait for.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::reader::{Cells, Query};
use super::row::row;
use super::{Inner, Store, StoreError, words};
use std::sync::{Arc, Weak};

/// Rows of one part.
const PART: u32 = 500;

static OLDER: Text = Text::new(
    "
SELECT log.place, log.summary, log.service_id, log.fault, {json o.fault} ->> 'staff' AS staff, {json o.fault} ->> 'code' AS code, o.key,
    o.product, o.reason, s.client_id, s.username, s.domain
FROM log LEFT JOIN operation o ON o.id = 'op_' || substr(log.place, 1, length(log.place) - 3)
    LEFT JOIN service s ON s.platform = log.platform AND s.service_id = log.service_id
WHERE log.place < $1 ORDER BY log.place DESC LIMIT $2",
);

static REACHED: Text = Text::new("SELECT place FROM backlog");

/// Texts of a row of [`OLDER`].
const TEXTS: [&str; 11] =
    ["summary", "service_id", "fault", "staff", "code", "key", "product", "reason", "client_id", "username", "domain"];

/// Goes on until everything is indexed, or the store is closed.
pub async fn index(inner: Weak<Inner>) {
    loop {
        // Held for one part only: the store must be able to go.
        let Some(inner) = inner.upgrade() else { return };
        match part(&Store { inner: Arc::clone(&inner) }).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "the older part of the log is not indexed for now; the next start goes on");
                return;
            }
        }
    }
}

/// Indexes the next part. `false` when there is none.
async fn part(store: &Store) -> Result<bool, StoreError> {
    let reader = &store.inner.reader;
    let Some(reached) = Query::new(&REACHED).first(reader).await? else { return Ok(false) };
    let place: String = Cells::new(&reached, "backlog", "place").cell("place")?;
    let rows = Query::new(&OLDER).bind(place).bind(PART).all(reader).await?;
    let (mut lines, mut reached) = (Vec::new(), None);
    for row in &rows {
        let cells = Cells::new(row, "log", "place");
        let place: String = cells.cell("place")?;
        let texts: Vec<Option<String>> =
            TEXTS.iter().map(|column| cells.cell(column)).collect::<Result<_, StoreError>>()?;
        if let Some(words) = words::words(texts.iter().flatten().map(String::as_str)) {
            lines.push((words::number(&place), words));
        }
        reached = Some(place);
    }
    let mut command = Command::default();
    command.row(Kind::Backlog, row!({ "lines": lines, "reached": reached }));
    for _ in &lines {
        command.has_words();
    }
    store.inner.writer.write(command).await?;
    Ok(reached.is_some())
}
