//! Words of pruned entries leave the index.
//!
//! SQLite's index stores no text and takes words out only if it is told all of them. So they are read out of it first, for as
//! many entries at once as have gathered: it is read from its one end to the other for that, beside the work.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::reader::{Cells, Query};
use super::row::row;
use super::{Store, StoreError, hand, terms_sqlite, words};
use rusqlite::OpenFlags;
use std::collections::HashMap;

/// Entries whose words are looked for together.
const ENTRIES: u32 = 20_000;

/// Entries of one command: some thousand words.
const BITE: usize = 100;

/// Words of entries that are still pruned.
pub const SQL: &[&str] = &[
    "{unlearn SELECT CAST(line.value ->> 0 AS BIGINT) AS number, line.value ->> 2 AS words FROM {rows :lines} AS line
     WHERE NOT EXISTS (SELECT 1 FROM log WHERE place >= line.value ->> 1 AND place < (line.value ->> 1) || '~')}",
    "DELETE FROM forgotten WHERE number IN (SELECT CAST(line.value ->> 0 AS BIGINT) FROM {rows :lines} AS line)",
];

static FORGOTTEN: Text = Text::new("SELECT number FROM forgotten ORDER BY number LIMIT $1");

/// What was taken out is only marked so until parts of the index are put together. Some megabytes of it.
static MERGE: Text = Text::twins("INSERT INTO log_words (log_words, rank) VALUES ('merge', -512)", "SELECT 1");

impl Store {
    /// Takes the words of pruned entries out of the index, of some thousand at most; of none where fewer than `least` wait.
    /// Answers with how many are done.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept); what is done stays so.
    pub async fn forget_words(&self, least: usize) -> Result<usize, StoreError> {
        let rows = Query::new(&FORGOTTEN).bind(ENTRIES).all(&self.inner.reader).await?;
        let numbers = rows.iter().map(|row| Cells::new(row, "forgotten", "number").cell("number"));
        let numbers: Vec<i64> = numbers.collect::<Result<_, _>>()?;
        if numbers.is_empty() || numbers.len() < least {
            return Ok(0);
        }
        let known = self.words_of(numbers.clone()).await?;
        for bite in numbers.chunks(BITE) {
            let line = |number: &i64| (*number, words::head(*number), known.get(number));
            let mut command = Command::default();
            command.row(Kind::Forget, row!({ "lines": bite.iter().map(line).collect::<Vec<_>>() }));
            self.inner.writer.write(command).await?;
        }
        self.inner.writer.tend(&MERGE).await?;
        Ok(numbers.len())
    }

    /// What stands in SQLite's index of these entries; a server takes them out by their numbers.
    async fn words_of(&self, numbers: Vec<i64>) -> Result<HashMap<i64, String>, StoreError> {
        let Some(path) = self.inner.path.clone() else { return Ok(HashMap::new()) };
        let read = move || {
            let pragmas = [("query_only", "1"), ("mmap_size", "0")];
            let db = hand::open_for_a_thread(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, &pragmas)?;
            terms_sqlite::words_of(&db, &numbers)
        };
        let known = tokio::task::spawn_blocking(read).await;
        let known = known.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let known = known.map_err(|error| StoreError::of_hand(&error))?;
        Ok(known.into_iter().map(|(number, words)| (number, words.join(" "))).collect())
    }
}
