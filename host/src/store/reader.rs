//! Reading connections, what they are asked, and cells of rows as values.

use super::address::Server;
use super::dialect::{Dialect, Text};
use super::hand::postgres::is_lost;
use super::json_text::JsonText;
use super::{StoreError, writer};
use hashbrown::HashMap;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Decode, Postgres, Row, Sqlite, Transaction, Type};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// How often a read is tried again on another connection, and how long it waits before each.
const WAITS: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1)];

/// How long one read may take on a server; lists look at bounded parts, and take some tens of milliseconds.
const LONGEST: Duration = Duration::from_secs(20);

/// The connections that read. They see committed rows only and cannot write.
#[derive(Debug)]
pub enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// Those of the file at `path`.
    pub async fn of_file(path: &Path, readers: u32) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .read_only(true)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
            .pragma("query_only", "1")
            // Each of them: what is read often fits, and the rest is in the system's cache.
            .pragma("cache_size", "-8000")
            .pragma("temp_store", "MEMORY")
            .pragma("mmap_size", "0")
            .statement_cache_capacity(64)
            .thread_name(|number| format!("store-reader-{number}"))
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .connect_with(options);
        pool.await.map(Self::Sqlite)
    }

    /// Those of a server; they are made when they are needed.
    pub fn of_server(server: &Server, readers: u32) -> Self {
        Self::Postgres(server.pool(readers))
    }

    /// A moment: everything that is read in it is of one state of the database.
    pub async fn moment(&self) -> Result<Moment, StoreError> {
        const ONE_STATE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match self {
            Self::Sqlite(pool) => pool.begin().await.map(Moment::Sqlite).map_err(unavailable),
            Self::Postgres(pool) => {
                let mut again = Again::default();
                loop {
                    match bounded(pool.begin_with(ONE_STATE)).await {
                        Ok(moment) => return Ok(Moment::Postgres(moment)),
                        Err(error) => again.after(error).await?,
                    }
                }
            }
        }
    }

    /// How large the tables on a server are, bytes.
    pub async fn size(&self) -> Result<Option<u64>, StoreError> {
        static SIZE: Text = Text::new(
            "SELECT 'all' AS name, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS size FROM pg_class c
             WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace",
        );
        let Self::Postgres(_) = self else { return Ok(None) };
        let row = Query::new(&SIZE).first(self).await?;
        row.map(|row| Cells::new(&row, "pg_class", "name").number("size")).transpose()
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// See [`Pool::moment`]. It ends when it is dropped.
pub enum Moment {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Moment {
    /// Whose language its connection speaks.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Ends it, and keeps its connection ready.
    pub async fn end(self) -> Result<(), StoreError> {
        let ended = match self {
            Self::Sqlite(moment) => moment.commit().await,
            Self::Postgres(moment) => moment.commit().await,
        };
        ended.map_err(unavailable)
    }
}

/// What a parameter is bound to.
#[derive(Debug, Clone)]
pub enum Bind {
    Text(Option<String>),
    Number(i64),
}

impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Bind {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl<T: Into<String>> From<Option<T>> for Bind {
    fn from(text: Option<T>) -> Self {
        Self::Text(text.map(Into::into))
    }
}

impl From<i64> for Bind {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Bind {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

#[derive(Clone)]
enum Words {
    Fixed(&'static Text),
    /// With marks.
    Made(String),
}

/// A question to the database, with what is bound to its parameters in their order.
#[derive(Clone)]
pub struct Query {
    words: Words,
    binds: Vec<Bind>,
    /// Planned anew each time, by what is bound: a server's plan for any value would look for rare words among all rows.
    is_anew: bool,
}

/// Makes the driver's own query.
macro_rules! bound {
    ($query:expr, $dialect:expr) => {{
        let mut bound = match &$query.words {
            Words::Fixed(text) => sqlx::query(text.of($dialect)),
            Words::Made(text) => sqlx::query(AssertSqlSafe($dialect.text(text).into_owned())),
        };
        for bind in &$query.binds {
            bound = match bind {
                Bind::Text(text) => bound.bind(text.as_deref().map(|text| $dialect.value(text).into_owned())),
                Bind::Number(number) => bound.bind(*number),
            };
        }
        // SQLite plans when it prepares.
        bound.persistent($dialect == Dialect::Sqlite || !$query.is_anew)
    }};
}

impl Query {
    /// One that is always the same.
    pub const fn new(text: &'static Text) -> Self {
        Self { words: Words::Fixed(text), binds: Vec::new(), is_anew: false }
    }

    /// One that was put together of constant parts; they may hold marks.
    pub const fn made(text: String) -> Self {
        Self { words: Words::Made(text), binds: Vec::new(), is_anew: true }
    }

    /// It shall be planned by what is bound, where the database can do that.
    pub const fn anew(mut self) -> Self {
        self.is_anew = true;
        self
    }

    /// Binds the next parameter.
    pub fn bind(mut self, bind: impl Into<Bind>) -> Self {
        self.binds.push(bind.into());
        self
    }

    /// All rows.
    pub async fn all(self, pool: &Pool) -> Result<Vec<Line>, StoreError> {
        match pool {
            Pool::Sqlite(pool) => {
                let rows = bound!(self, Dialect::Sqlite).fetch_all(pool).await.map_err(unavailable)?;
                Ok(rows.into_iter().map(Line::Sqlite).collect())
            }
            Pool::Postgres(pool) => {
                let mut again = Again::default();
                loop {
                    match bounded(bound!(self, Dialect::Postgres).fetch_all(pool)).await {
                        Ok(rows) => return Ok(rows.into_iter().map(Line::Postgres).collect()),
                        Err(error) => again.after(error).await?,
                    }
                }
            }
        }
    }

    /// The first row.
    pub async fn first(self, pool: &Pool) -> Result<Option<Line>, StoreError> {
        match pool {
            Pool::Sqlite(pool) => {
                let row = bound!(self, Dialect::Sqlite).fetch_optional(pool).await.map_err(unavailable)?;
                Ok(row.map(Line::Sqlite))
            }
            Pool::Postgres(pool) => {
                let mut again = Again::default();
                loop {
                    match bounded(bound!(self, Dialect::Postgres).fetch_optional(pool)).await {
                        Ok(row) => return Ok(row.map(Line::Postgres)),
                        Err(error) => again.after(error).await?,
                    }
                }
            }
        }
    }

    /// All rows, of that moment.
    pub async fn all_of(self, moment: &mut Moment) -> Result<Vec<Line>, StoreError> {
        match moment {
            Moment::Sqlite(db) => {
                let rows = bound!(self, Dialect::Sqlite).fetch_all(&mut **db).await.map_err(unavailable)?;
                Ok(rows.into_iter().map(Line::Sqlite).collect())
            }
            Moment::Postgres(db) => {
                let rows = bounded(bound!(self, Dialect::Postgres).fetch_all(&mut **db)).await.map_err(unavailable)?;
                Ok(rows.into_iter().map(Line::Postgres).collect())
            }
        }
    }

    /// The first row, of that moment.
    pub async fn first_of(self, moment: &mut Moment) -> Result<Option<Line>, StoreError> {
        match moment {
            Moment::Sqlite(db) => {
                let row = bound!(self, Dialect::Sqlite).fetch_optional(&mut **db).await.map_err(unavailable)?;
                Ok(row.map(Line::Sqlite))
            }
            Moment::Postgres(db) => {
                let row =
                    bounded(bound!(self, Dialect::Postgres).fetch_optional(&mut **db)).await.map_err(unavailable)?;
                Ok(row.map(Line::Postgres))
            }
        }
    }
}

/// A read that may not take forever: a network can swallow an answer without a sign.
async fn bounded<T>(read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
    let read = tokio::time::timeout(LONGEST, read).await;
    read.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// Reads that are tried once more where the connection was lost: nobody need hear that a server was started again.
#[derive(Default)]
struct Again(usize);

impl Again {
    /// Waits for the next try; the error, where there is none.
    async fn after(&mut self, error: sqlx::Error) -> Result<(), StoreError> {
        let Some(wait) = WAITS.get(self.0).filter(|_| is_lost(&error)) else { return Err(unavailable(error)) };
        self.0 += 1;
        #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
        tokio::time::sleep(*wait).await;
        Ok(())
    }
}

/// A failed read.
pub fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolClosed => writer::closed(),
        error => match StoreError::of(&error) {
            // Nothing was asked that it could refuse for good.
            StoreError::Rejected(text) => StoreError::Unavailable(text),
            error => error,
        },
    }
}

/// A row that a query found.
pub enum Line {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A row, whoever read it.
#[derive(Clone, Copy)]
enum Read<'r> {
    Line(&'r Line),
    Look(&'r rusqlite::Row<'r>, &'r Columns),
}

impl<'r> Read<'r> {
    /// The error says why, and never repeats the value.
    fn cell<T: Cell<'r>>(self, column: &str) -> Result<T, String> {
        match self {
            Self::Line(Line::Sqlite(row)) => row.try_get(column).map_err(|error| error.to_string()),
            Self::Line(Line::Postgres(row)) => row.try_get(column).map_err(|error| error.to_string()),
            Self::Look(row, columns) => match columns.0.get(column) {
                Some(place) => row.get(*place).map_err(|error| error.to_string()),
                None => Err("it was not asked for".to_owned()),
            },
        }
    }
}

/// Where the columns of one table are in the rows of a statement: rows that are read often are not searched for names.
pub struct Columns(HashMap<String, usize>);

impl Columns {
    /// Those whose names begin with the prefix, without it.
    pub fn of(statement: &rusqlite::Statement<'_>, prefix: &str) -> Self {
        let names = statement.column_names().into_iter().zip(0..);
        Self(names.filter_map(|(name, place)| Some((name.strip_prefix(prefix)?.to_owned(), place))).collect())
    }
}

/// What a cell can be read as.
pub trait Cell<'r>: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + FromSql {}

impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + FromSql> Cell<'r> for T {}

/// A row of one table, whose cells name themselves when they cannot be read.
pub struct Cells<'r> {
    row: Read<'r>,
    table: &'static str,
    prefix: &'static str,
    key: &'static str,
}

impl<'r> Cells<'r> {
    /// `key` names the column that names the row.
    pub const fn new(row: &'r Line, table: &'static str, key: &'static str) -> Self {
        Self::prefixed(row, table, "", key)
    }

    /// The same for a row that holds rows of several tables, whose columns are told apart by a prefix.
    pub const fn prefixed(row: &'r Line, table: &'static str, prefix: &'static str, key: &'static str) -> Self {
        Self { row: Read::Line(row), table, prefix, key }
    }

    /// The same for a row that [`look`](super::look) found.
    pub const fn of_look(
        row: &'r rusqlite::Row<'r>,
        columns: &'r Columns,
        table: &'static str,
        key: &'static str,
    ) -> Self {
        Self { row: Read::Look(row, columns), table, prefix: "", key }
    }

    /// Any value of the database's own types.
    pub fn cell<T: Cell<'r>>(&self, column: &'static str) -> Result<T, StoreError> {
        self.raw(column).map_err(|error| self.corrupt(column, error))
    }

    fn raw<T: Cell<'r>>(&self, column: &str) -> Result<T, String> {
        match self.prefix {
            "" => self.row.cell(column),
            prefix => self.row.cell(&format!("{prefix}{column}")),
        }
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

    /// JSON in a text, as it was written.
    pub fn json_text(&self, column: &'static str) -> Result<JsonText, StoreError> {
        JsonText::read(&self.cell::<String>(column)?).map_err(|error| self.corrupt(column, not_json(&error)))
    }

    /// JSON, or nothing.
    pub fn some_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let text = self.cell::<Option<String>>(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.corrupt(column, not_json(&error)))).transpose()
    }

    /// The error for a cell. `why` must not repeat the value.
    pub fn corrupt(&self, column: &'static str, why: impl fmt::Display) -> StoreError {
        let row = self.raw(self.key).unwrap_or_else(|_| "?".to_owned());
        StoreError::Corrupt { table: self.table, column, row, why: why.to_string() }
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
        let row = Line::Sqlite(row);
        let cells = Cells::new(&row, "operation", "id");
        let errors = [
            cells.number::<u64>("run").map(drop),
            cells.json_text("shown").map(drop),
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
