//! How much is unfinished, for the metrics.

use super::dialect::Text;
use super::reader::{Cells, Query};
use super::{QueueDepth, Store, StoreError};
use crate::operation::State;

/// Over the index of unfinished operations alone; the finished ones are not touched.
static DEPTH: Text = Text::new(
    "
SELECT server, state, count(*) AS count, min(created_at) AS oldest_at FROM operation
WHERE {open} GROUP BY server, state",
);

impl Store {
    /// Unfinished operations by server and state.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn depth(&self) -> Result<Vec<QueueDepth>, StoreError> {
        let rows = Query::new(&DEPTH).all(&self.inner.reader).await?;
        rows.iter()
            .map(|row| {
                let cells = Cells::new(row, "operation", "server");
                Ok(QueueDepth {
                    server: cells.cell("server")?,
                    state: cells.word("state", State::parse)?,
                    count: cells.number("count")?,
                    oldest_at: cells.number("oldest_at")?,
                })
            })
            .collect()
    }
}
