//! A host comes to a store that others may work on.

use super::address::Server;
use super::dialect::{Dialect, Text};
use super::hand::SERIAL;
use super::lease::LeaseTimes;
use super::life::Life;
use super::notices::CHANNEL;
use super::{StoreError, This, hosts, schema};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use std::collections::HashSet;

static KNOWN: Text = Text::new("SELECT id, name, key_id, life, ended, until <= {clock} AS is_over FROM host");

static PROVEN: Text =
    Text::new("UPDATE host SET ended = 'dead', ended_by = $2, ended_at = coalesce(ended_at, {clock}) WHERE id = $1");

static COME: Text = Text::new(
    "
INSERT INTO host (id, name, version, tables, key_id, life, started, beat, until, lease_ms)
SELECT $1, $2, $3, $4, $5, $6, now.ms, now.ms, now.ms + $7, $7
FROM (SELECT {clock} AS ms) AS now",
);

/// Those of which nothing is left to be known.
static FORGET: Text = Text::new(
    "
DELETE FROM host WHERE ended IS NOT NULL AND ended <> 'expired'
  AND ended_at < {clock} - CAST(604800000 AS BIGINT)
  AND NOT EXISTS (SELECT 1 FROM unproven u WHERE u.host = host.id)
  AND NOT EXISTS (SELECT 1 FROM operation o
                  WHERE {open o.} AND o.state = 'running' AND o.host = host.id)",
);

/// Registers this host, marks those as ended whose end it can prove, and gives the numbers of all that had ended before it came.
pub(super) async fn register(
    db: &mut PgConnection,
    server: &Server,
    this: &This,
    key: &str,
    times: &LeaseTimes,
) -> Result<HashSet<u64>, StoreError> {
    let of = |error: sqlx::Error| StoreError::of(&error);
    let mut change = db.begin().await.map_err(of)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SERIAL).execute(&mut *change).await.map_err(of)?;
    sqlx::query(FORGET.of(Dialect::Postgres)).execute(&mut *change).await.map_err(of)?;
    let mut earlier = HashSet::new();
    for row in sqlx::query(KNOWN.of(Dialect::Postgres)).fetch_all(&mut *change).await.map_err(of)? {
        let cell = |name: &str| row.try_get::<String, _>(name).map_err(of);
        let (id, name, life) = (cell("id")?, cell("name")?, cell("life")?);
        let ended: Option<String> = row.try_get("ended").map_err(of)?;
        let is_over: bool = row.try_get("is_over").map_err(of)?;
        let life: Option<Life> = serde_json::from_str(&life).ok();
        let is_lost = ended.as_deref() == Some("expired");
        let mut has_ended = ended.is_some() && !is_lost;
        if !has_ended && life.is_some_and(|life| this.life.proves_the_end_of(&life, is_over || is_lost)) {
            sqlx::query(PROVEN.of(Dialect::Postgres))
                .bind(&id)
                .bind(&this.name)
                .execute(&mut *change)
                .await
                .map_err(of)?;
            has_ended = true;
        }
        // Of a lost one something may come still.
        if has_ended {
            earlier.insert(hosts::number(&id));
        } else if !is_lost && !is_over && cell("key_id")? != key {
            return Err(server.refused(format!(
                "the host {name} works there with another host key: all hosts of a store have the same; copy its key file here, \
                 or stop all hosts to change the key"
            )));
        }
    }
    let lease_ms = i64::try_from(times.lease.as_millis()).unwrap_or(i64::MAX);
    let come = sqlx::query(COME.of(Dialect::Postgres)).bind(&this.id).bind(&this.name).bind(env!("CARGO_PKG_VERSION"));
    let come = come.bind(i64::from(schema::KNOWN)).bind(key);
    let life = serde_json::to_string(&this.life).map_err(|error| StoreError::Rejected(error.to_string()))?;
    come.bind(life).bind(lease_ms).execute(&mut *change).await.map_err(of)?;
    let notice = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(format!("{} !", this.id));
    notice.execute(&mut *change).await.map_err(of)?;
    change.commit().await.map_err(of)?;
    Ok(earlier)
}
