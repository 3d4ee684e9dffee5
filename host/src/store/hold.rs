//! On Postgres: a place among the hosts of a store.
//!
//! Each has the advisory lock for itself and others (shared) in the session that writes. Whoever changes the tables needs it
//! alone, and so did the hosts before version 7, which are kept away by it and keep others away.

use super::StoreError;
use super::address::{self, Server};
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// The number of the lock.
const HOLDER: i64 = 0x0062_696c_6c68_0002;

const SHARE: &str = "SELECT pg_try_advisory_lock_shared($1)";
const TAKE: &str = "SELECT pg_try_advisory_lock($1)";
const GIVE_BACK: &str = "SELECT pg_advisory_unlock($1)";

const HELD_BY: &str = "
SELECT l.pid, coalesce(a.application_name, '') AS name FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = $1 >> 32 AND l.objid::bigint = $1 & 4294967295
ORDER BY name";

/// For whom other sessions have it.
pub async fn holders(db: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let holders: Vec<(i32, String)> = sqlx::query_as(HELD_BY).bind(HOLDER).fetch_all(db).await?;
    Ok(holders.into_iter().map(|(_, name)| if name.is_empty() { "another program".to_owned() } else { name }).collect())
}

/// Takes a place for the session of `db`.
pub async fn join(db: &mut PgConnection, server: &Server) -> Result<(), StoreError> {
    match wait(db, SHARE).await? {
        None => Ok(()),
        Some(holder) => Err(StoreError::Locked { path: server.shown().into(), holder }),
    }
}

/// Takes all places, to change the tables. The names of others, where there are some.
pub async fn alone(db: &mut PgConnection) -> Result<Option<String>, StoreError> {
    wait(db, TAKE).await
}

/// Lets others come again.
pub async fn share(db: &mut PgConnection) -> Result<(), StoreError> {
    let given = sqlx::query(GIVE_BACK).bind(HOLDER).execute(db).await;
    given.map(drop).map_err(|error| StoreError::of(&error))
}

async fn wait(db: &mut PgConnection, how: &str) -> Result<Option<String>, StoreError> {
    let failed = |error: sqlx::Error| StoreError::of(&error);
    let mut patience = 200;
    loop {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(how.to_owned())).bind(HOLDER);
        let taken: bool = query.fetch_one(&mut *db).await.map_err(failed)?;
        if taken {
            return Ok(None);
        }
        let others = holders(db).await.map_err(failed)?;
        // A session of this machine may be gone, and the server not know it yet.
        let is_soon = others.iter().all(|name| *name == address::application());
        if !is_soon || patience == 0 {
            return Ok(Some(others.join(", ")));
        }
        patience -= 1;
        #[expect(
            clippy::disallowed_methods,
            reason = "it waits for the server to end a session of ours, not for a time"
        )]
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
