//! What a server believes of the size of its tables, by which it plans.
//!
//! Its own housekeeper counts the rows once a minute at best. Until then a store that fills quickly is read by plans for an empty
//! one, among whose indexes none is better than another.

use super::dialect::Text;
use super::reader::{Cells, Pool, Query};
use super::{Store, StoreError};
use sqlx::AssertSqlSafe;

/// Tables with four times the rows that the server plans for.
static GROWN: Text = Text::new(
    "
SELECT quote_ident(c.relname) AS name FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
WHERE c.relnamespace = current_schema()::regnamespace AND s.n_live_tup > 500 AND s.n_live_tup > 4 * greatest(c.reltuples, 0)",
);

impl Store {
    /// Lets the server count the rows of what has grown; plans that are kept are made anew then. Which tables those were; none in a
    /// file.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn count_what_grew(&self) -> Result<Vec<String>, StoreError> {
        let Pool::Postgres(pool) = &*self.inner.reader else { return Ok(Vec::new()) };
        let rows = Query::new(&GROWN).all(&self.inner.reader).await?;
        let names = rows.iter().map(|row| Cells::new(row, "pg_class", "name").cell("name"));
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        for name in &names {
            let count = sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE {name}")));
            count.execute(pool).await.map_err(|error| StoreError::of(&error))?;
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::behaviour::samples::*;

    #[tokio::test]
    async fn a_table_that_grew_is_counted_once() {
        let (place, store) = store(On::Postgres).await;
        assert_eq!(store.count_what_grew().await.unwrap(), Vec::<String>::new());
        const MANY: &str = "INSERT INTO note (owner, run, at, kind, text)
            SELECT 'op_' || n, 1, n, 'note', 'x' FROM generate_series(1, 600) AS n;
            SELECT pg_stat_force_next_flush()";
        place.run("", MANY).await;

        assert_eq!(store.count_what_grew().await.unwrap(), ["note"]);

        assert_eq!(store.count_what_grew().await.unwrap(), Vec::<String>::new());
        assert_eq!(place.count("SELECT reltuples::bigint FROM pg_class WHERE oid = 'note'::regclass").await, 600);
        store.close().await;
    }
}
