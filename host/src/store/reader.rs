//! Reading connections, and cells of rows as values.

use super::{StoreError, writer};
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{ConnectOptions, Decode, Row, Sqlite, Type};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Opens the pool. Its connections see committed rows only and cannot write.
pub async fn connect(path: &Path, readers: u32) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(5))
        .pragma("query_only", "1")
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0")
        .statement_cache_capacity(64)
        .thread_name(|number| format!("store-reader-{number}"))
        .disable_statement_logging();
    let readers = readers.max(1);
    SqlitePoolOptions::new()
        .max_connections(readers)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

/// A failed read.
pub fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolClosed => writer::closed(),
        error => StoreError::Unavailable(error.to_string()),
    }
}

/// A row, whoever read it.
#[derive(Clone, Copy)]
enum Read<'r> {
    Pool(&'r SqliteRow),
    Look(&'r rusqlite::Row<'r>),
}

impl<'r> Read<'r> {
    /// The error says why, and never repeats the value.
    fn cell<T: Cell<'r>>(self, column: &str) -> Result<T, String> {
        match self {
            Self::Pool(row) => row.try_get(column).map_err(|error| error.to_string()),
            Self::Look(row) => row.get(column).map_err(|error| error.to_string()),
        }
    }
}

/// What a cell can be read as.
pub trait Cell<'r>: Decode<'r, Sqlite> + Type<Sqlite> + FromSql {}

impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite> + FromSql> Cell<'r> for T {}

/// A row of one table, whose cells name themselves when they cannot be read.
pub struct Cells<'r> {
    row: Read<'r>,
    table: &'static str,
    prefix: &'static str,
    key: String,
}

impl<'r> Cells<'r> {
    /// `key` names the column that names the row.
    pub fn new(row: &'r SqliteRow, table: &'static str, key: &str) -> Self {
        Self::prefixed(row, table, "", key)
    }

    /// The same for a row that holds rows of several tables, whose columns are told apart by a prefix.
    pub fn prefixed(row: &'r SqliteRow, table: &'static str, prefix: &'static str, key: &str) -> Self {
        Self::read(Read::Pool(row), table, prefix, key)
    }

    /// The same for a row that [`look`](super::look) found.
    pub fn of_look(row: &'r rusqlite::Row<'r>, table: &'static str, prefix: &'static str, key: &str) -> Self {
        Self::read(Read::Look(row), table, prefix, key)
    }

    fn read(row: Read<'r>, table: &'static str, prefix: &'static str, key: &str) -> Self {
        let key = row.cell(&format!("{prefix}{key}")).unwrap_or_else(|_| "?".to_owned());
        Self { row, table, prefix, key }
    }

    /// Any value of the database's own types.
    pub fn cell<T: Cell<'r>>(&self, column: &'static str) -> Result<T, StoreError> {
        let cell = match self.prefix {
            "" => self.row.cell(column),
            prefix => self.row.cell(&format!("{prefix}{column}")),
        };
        cell.map_err(|error| self.corrupt(column, error))
    }

    /// A number that is never negative.
    pub fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        T::try_from(self.cell::<i64>(column)?).map_err(|_| self.corrupt(column, "it is out of range"))
    }

    /// The same, or nothing.
    pub fn some_number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let number = self.cell::<Option<i64>>(column)?;
        number.map(|number| T::try_from(number).map_err(|_| self.corrupt(column, "it is out of range"))).transpose()
    }

    /// A word of a closed list.
    pub fn word<T>(&self, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        parse(&self.cell::<String>(column)?).ok_or_else(|| self.corrupt(column, "it is none of its words"))
    }

    /// JSON text as a value.
    pub fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.cell::<String>(column)?).map_err(|error| self.corrupt(column, not_json(&error)))
    }

    /// The same, or nothing.
    pub fn some_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let text = self.cell::<Option<String>>(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.corrupt(column, not_json(&error)))).transpose()
    }

    /// The error for a cell. `why` must not repeat the value.
    pub fn corrupt(&self, column: &'static str, why: impl fmt::Display) -> StoreError {
        StoreError::Corrupt { table: self.table, column, row: self.key.clone(), why: why.to_string() }
    }
}

/// Where the text fails, without what it holds.
fn not_json(error: &serde_json::Error) -> String {
    format!("it is not the JSON that belongs there (at {}:{})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection;

    #[tokio::test]
    async fn a_cell_that_cannot_be_read_names_its_place_and_not_its_value() {
        let mut db = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let row = "SELECT 'op_1' AS id, -1 AS run, '{s3cret' AS shown, 'asleep' AS state, x'00' AS seq";
        let row = sqlx::query(row).fetch_one(&mut db).await.unwrap();
        let cells = Cells::new(&row, "operation", "id");
        let errors = [
            cells.number::<u64>("run").map(drop),
            cells.json::<serde_json::Value>("shown").map(drop),
            cells.word("state", crate::operation::State::parse).map(drop),
            cells.number::<u64>("seq").map(drop),
        ];
        for (error, column) in errors.into_iter().zip(["run", "shown", "state", "seq"]) {
            let text = error.unwrap_err().to_string();
            assert!(text.starts_with(&format!("cannot read {column} of row op_1 in table operation: ")), "{text}");
            assert!(!text.contains("s3cret") && !text.contains("asleep"), "{text}");
        }
    }
}
