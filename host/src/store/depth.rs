//! How much is unfinished, for the metrics.

use super::reader::{Cells, unavailable};
use super::{QueueDepth, Store, StoreError};
use crate::operation::State;

/// Over the index of unfinished operations alone; the finished ones are not touched.
const DEPTH: &str = "
SELECT server, state, count(*) AS count, min(created_at) AS oldest_at FROM operation
WHERE state IN ('queued', 'running', 'waiting', 'attention') GROUP BY server, state";

impl Store {
    /// Unfinished operations by server and state.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn depth(&self) -> Result<Vec<QueueDepth>, StoreError> {
        let rows = sqlx::query(DEPTH).fetch_all(&self.inner.reader).await.map_err(unavailable)?;
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
