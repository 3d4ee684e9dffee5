//! Servers whose operations somebody holds back.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::reader::{Cells, Query};
use super::row::row;
use super::{Store, StoreError};
use crate::lane::Pause;

/// A pause begins, or ends where nobody is named.
pub const SQL: &[&str] = &[
    "DELETE FROM pause WHERE server = :server",
    "INSERT INTO pause (server, paused_by, paused_at)
     SELECT :server, :by, :at WHERE :by IS NOT NULL
     ON CONFLICT (server) DO UPDATE SET paused_by = excluded.paused_by, paused_at = excluded.paused_at",
];

static ALL: Text = Text::new("SELECT server, paused_by, paused_at FROM pause ORDER BY server");

impl Store {
    /// Every pause, by its server.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn pauses(&self) -> Result<Vec<(String, Pause)>, StoreError> {
        let rows = Query::new(&ALL).all(&self.inner.reader).await?;
        let read = |row| {
            let cells = Cells::new(row, "pause", "server");
            Ok((cells.cell("server")?, Pause { by: cells.cell("paused_by")?, at: cells.number("paused_at")? }))
        };
        rows.iter().map(read).collect()
    }

    /// Keeps a pause, or with `None` ends it. Returns when that is durable.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn set_pause(&self, server: &str, pause: Option<&Pause>) -> Result<(), StoreError> {
        let row = row!({
            "server": server, "by": pause.map(|pause| &pause.by), "at": pause.map(|pause| pause.at),
        });
        let mut command = Command::default();
        command.row(Kind::Pause, row);
        self.inner.writer.write(command).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::samples;

    use crate::store::behaviour::on_both;
    use samples::On;

    on_both![a_pause_outlives_the_host_until_it_is_ended];

    async fn a_pause_outlives_the_host_until_it_is_ended(on: On) {
        let (place, store) = samples::store(on).await;
        let pause = |at| Pause { by: "uid 0 (root)".into(), at };
        store.set_pause("b", Some(&pause(1))).await.unwrap();
        store.set_pause("a", Some(&pause(2))).await.unwrap();
        store.set_pause("b", Some(&pause(3))).await.unwrap();
        store.close().await;

        let store = place.open().await;
        assert_eq!(store.pauses().await.unwrap(), [("a".to_owned(), pause(2)), ("b".to_owned(), pause(3))]);
        store.set_pause("a", None).await.unwrap();
        store.set_pause("never", None).await.unwrap();
        assert_eq!(store.pauses().await.unwrap(), [("b".to_owned(), pause(3))]);
    }
}
