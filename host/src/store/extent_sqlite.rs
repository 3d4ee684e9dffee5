//! How full the store is, and on SQLite giving back to the disk what it does not use.

use super::dialect::Text;
use super::reader::{Cells, Query};
use super::{Store, StoreError};
use crate::retention::Extent;

static EXTENT: Text = Text::new(
    "SELECT 'all' AS name, (SELECT page_count FROM pragma_page_count()) AS pages,
         (SELECT freelist_count FROM pragma_freelist_count()) AS free, (SELECT page_size FROM pragma_page_size()) AS size",
);

/// A megabyte: some milliseconds of the writer's time. A server vacuums by itself.
static SHRINK: Text = Text::twins("PRAGMA incremental_vacuum(256)", "SELECT 1");

impl Store {
    /// How full it is. On a server all that the tables take counts as used.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn extent(&self) -> Result<Extent, StoreError> {
        if let Some(used) = self.size().await? {
            return Ok(Extent { used, free: 0 });
        }
        let Some(row) = Query::new(&EXTENT).first(&self.inner.reader).await? else { return Ok(Extent::default()) };
        let cells = Cells::new(&row, "database", "name");
        let (pages, free, size): (u64, u64, u64) =
            (cells.number("pages")?, cells.number("free")?, cells.number("size")?);
        Ok(Extent { used: pages.saturating_sub(free) * size, free: free * size })
    }

    /// Gives a bite of what is not used back to the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn shrink(&self) -> Result<(), StoreError> {
        self.inner.writer.tend(&SHRINK).await
    }
}
