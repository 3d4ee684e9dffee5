//! On Postgres: which host has the store.
//!
//! An advisory lock of the session that writes. So whoever lost it, with its connection, has also lost what it would write with;
//! after a reconnect it is taken again before anything is written.

use super::StoreError;
use super::address::{self, Server};
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// The number of the lock.
const HOLDER: i64 = 0x0062_696c_6c68_0002;

const TAKE: &str = "SELECT pg_try_advisory_lock($1)";

const HELD_BY: &str = "
SELECT l.pid, coalesce(a.application_name, '') AS name FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = $1 >> 32 AND l.objid::bigint = $1 & 4294967295";

/// The server's process that has it, and for whom.
pub async fn holder(db: &mut PgConnection) -> Result<Option<(i32, String)>, sqlx::Error> {
    let holder: Option<(i32, String)> = sqlx::query_as(HELD_BY).bind(HOLDER).fetch_optional(db).await?;
    Ok(holder.map(|(pid, name)| (pid, if name.is_empty() { "another program".to_owned() } else { name })))
}

/// Takes the store for the session of `db`. `former` is the server's process of a session of ours that was lost.
pub async fn take(db: &mut PgConnection, server: &Server, former: Option<i32>) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| StoreError::of(&error);
    let mut patience = 200;
    loop {
        let taken: bool = sqlx::query_scalar(TAKE).bind(HOLDER).fetch_one(&mut *db).await.map_err(failed)?;
        if taken {
            return Ok(());
        }
        // It may have gone between the two questions.
        let Some((pid, name)) = holder(db).await.map_err(failed)? else { continue };
        if Some(pid) == former {
            // The server has not noticed that the connection is gone.
            sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut *db).await.map_err(failed)?;
        } else if name != address::application() || patience == 0 {
            return Err(StoreError::Locked { path: server.shown().into(), holder: name });
        }
        patience -= 1;
        #[expect(
            clippy::disallowed_methods,
            reason = "it waits for the server to end a session of ours, not for a time"
        )]
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
