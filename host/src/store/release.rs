//! A restored copy becomes the store that serves.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::reader::{Cells, Query};
use super::row::row;
use super::{Store, StoreError};

/// From now on nothing is held back. A new generation: whoever finds the one before can tell that it is the older.
pub const SQL: &[&str] = &[
    "{fate} SELECT CASE WHEN s.state = 'recovering' THEN 'yes' ELSE 'no' END, s.generation, 0, NULL FROM store s",
    "{won} UPDATE store SET state = 'serving', generation = generation + 1 WHERE state = 'recovering'",
];

impl Store {
    /// Whether it is recovering now; another host may have ended that.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn is_recovering(&self) -> Result<bool, StoreError> {
        static STATE: Text = Text::new("SELECT id, state FROM store");
        let row = Query::new(&STATE).first(&self.inner.reader).await?;
        row.map_or(Ok(false), |row| Ok(Cells::new(&row, "store", "id").cell::<String>("state")? == "recovering"))
    }

    /// Ends that it is recovering. `false`: it is not.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn release(&self, now: u64) -> Result<bool, StoreError> {
        let mut command = Command::default();
        command.row(Kind::Release, row!({ "now": now }));
        self.says_yes(command).await
    }
}
