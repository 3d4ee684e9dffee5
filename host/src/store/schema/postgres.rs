//! The tables on Postgres, and whether the server is one to keep a store on.

use super::{facts_of, new_id};
use crate::store::address::{SCHEMA, Server};
use crate::store::hand::{SERIAL, apply};
use crate::store::model::{Look, StoreFacts, Way};
use crate::store::trust::Trust;
use crate::store::{StoreError, hold, reader};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

/// The first is the fifth of SQLite's: numbers mean the same on both. A text that suits both is one file.
const MIGRATIONS: [(u32, &str); 5] = [
    (5, include_str!("postgres/1.sql")),
    (6, include_str!("postgres/6.sql")),
    (7, include_str!("postgres/7.sql")),
    (8, include_str!("8.sql")),
    (9, include_str!("9.sql")),
];

/// The first server version that this is tried with.
const LEAST: (i32, &str) = (140_000, "14");

/// Settings without which a commit may be lost, or half of one kept.
const DURABLE: [(&str, &str, &str); 4] = [
    ("fsync", "on", "a commit may be lost with the machine"),
    ("full_page_writes", "on", "a page may be torn with the machine"),
    ("server_encoding", "UTF8", "texts cannot be kept as they are: make the database with ENCODING 'UTF8'"),
    ("synchronous_commit", "on", "a commit may be lost with the server"),
];

/// What is copied to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub id: String,
    /// That of the copy.
    pub generation: u64,
    /// What the copy will be when it is whole.
    pub state: String,
}

/// Checks the server and the store, brings the tables up to date, and says what they are.
pub async fn migrate(db: &mut PgConnection, server: &Server) -> Result<StoreFacts, StoreError> {
    let engine = bring(db, server, None).await?;
    facts(db, &engine).await
}

/// Makes the tables for a copy that nobody may open yet, or finds those of one that had begun.
pub async fn receive(db: &mut PgConnection, server: &Server, origin: &Origin) -> Result<(), StoreError> {
    bring(db, server, Some(origin)).await.map(drop)
}

/// Answers with the server's version.
async fn bring(db: &mut PgConnection, server: &Server, origin: Option<&Origin>) -> Result<String, StoreError> {
    let of = |error: sqlx::Error| StoreError::of(&error);
    let engine = check(db, server).await?;
    let mut change = db.begin().await.map_err(of)?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SERIAL);
    lock.execute(&mut *change).await.map_err(of)?;
    let rights = |error: sqlx::Error| {
        let denied = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42501");
        match denied {
            true => server.refused(format!(
                "{error}; grant it, or let the owner of the database make the schema: CREATE SCHEMA {SCHEMA} AUTHORIZATION \
                 the role of this host"
            )),
            false => StoreError::of(&error),
        }
    };
    let schema: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(SCHEMA)
        .fetch_one(&mut *change)
        .await
        .map_err(of)?;
    if !schema {
        change.execute(AssertSqlSafe(format!("CREATE SCHEMA {SCHEMA}"))).await.map_err(rights)?;
    }
    let made: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{SCHEMA}.store"))
        .fetch_one(&mut *change)
        .await
        .map_err(rights)?;
    let found = match (made, origin) {
        (false, _) => 0,
        (true, None) => facts(&mut change, &engine).await?.schema,
        (true, Some(origin)) => begun(&mut change, server, origin).await?,
    };
    if found > super::KNOWN {
        return Err(StoreError::NewerSchema { found, known: super::KNOWN });
    }
    let is_older = found > 0 && found < super::KNOWN;
    if is_older && let Some(hosts) = hold::alone(&mut change).await? {
        return Err(StoreError::InUse { path: server.shown().into(), found, known: super::KNOWN, hosts });
    }
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        change.execute(*text).await.map_err(rights)?;
        if found == 0 && *version == MIGRATIONS[0].0 {
            let insert = "INSERT INTO store (id, generation, state, schema) VALUES ($1, 1, 'serving', 0)";
            sqlx::query(insert).bind(new_id()?).execute(&mut *change).await.map_err(of)?;
        }
        let update = "UPDATE store SET schema = $1";
        sqlx::query(update).bind(i64::from(*version)).execute(&mut *change).await.map_err(of)?;
    }
    let there: bool = sqlx::query_scalar("SELECT to_regproc($1) IS NOT NULL")
        .bind(format!("{SCHEMA}.{}", apply::name()))
        .fetch_one(&mut *change)
        .await
        .map_err(of)?;
    if !there {
        change.execute(AssertSqlSafe(apply::create())).await.map_err(rights)?;
    }
    change.execute("DELETE FROM batch WHERE at < now() - interval '7 days'").await.map_err(rights)?;
    if let Some(origin) = origin.filter(|_| found == 0) {
        let name = "UPDATE store SET id = $1, generation = $2, state = 'copying'";
        let name = sqlx::query(name).bind(&origin.id).bind(i64::try_from(origin.generation).unwrap_or(i64::MAX));
        name.execute(&mut *change).await.map_err(of)?;
        let note = "INSERT INTO copied (part, reached, rows, digest, is_over) VALUES ('store', $1, 1, 0, true)";
        sqlx::query(note).bind(&origin.state).execute(&mut *change).await.map_err(of)?;
    }
    change.commit().await.map_err(of)?;
    if is_older {
        hold::share(db).await?;
    }
    Ok(engine)
}

/// Why no store can be copied there.
pub fn occupied(server: &Server, id: &str) -> StoreError {
    server.refused(format!("the store {id} is there already: name an empty database"))
}

/// The version of the tables, where they are of a copy of that very store which is not whole.
pub async fn begun(db: &mut PgConnection, server: &Server, origin: &Origin) -> Result<u32, StoreError> {
    let row = "SELECT id, generation, state, schema FROM store";
    let row: (String, i64, String, i64) =
        sqlx::query_as(row).fetch_one(&mut *db).await.map_err(|error| StoreError::of(&error))?;
    let (id, generation, state, schema) = row;
    if state != "copying" {
        return Err(occupied(server, &id));
    }
    if id != origin.id || u64::try_from(generation) != Ok(origin.generation) {
        return Err(server.refused(format!(
            "a copy of another store ({id}) has begun there: name an empty database, or drop its schema {SCHEMA}"
        )));
    }
    Ok(u32::try_from(schema).unwrap_or(u32::MAX))
}

/// What is there, without making anything.
pub async fn look(db: &mut PgConnection, server: &Server) -> Result<Look, StoreError> {
    const MAY_MAKE: &str = "SELECT coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'CREATE, USAGE'),
        has_database_privilege(current_database(), 'CREATE'))";
    // No address: a socket of this machine.
    const WAY: &str = "SELECT coalesce(NOT (inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1'
        OR inet_client_addr() = inet_server_addr()), false), coalesce(s.ssl, false)
        FROM (SELECT pg_backend_pid() AS pid) AS own LEFT JOIN pg_stat_ssl s ON s.pid = own.pid";
    let of = |error: sqlx::Error| StoreError::of(&error);
    let engine = check(db, server).await?;
    let table = format!("{SCHEMA}.store");
    let made: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname || '.' || tablename = $1)")
            .bind(&table)
            .fetch_one(&mut *db)
            .await
            .map_err(of)?;
    let facts = if made { Some(facts(db, &engine).await?) } else { None };
    if let Some(facts) = facts.as_ref().filter(|facts| facts.schema > super::KNOWN) {
        return Err(StoreError::NewerSchema { found: facts.schema, known: super::KNOWN });
    }
    let may_make = sqlx::query_scalar(MAY_MAKE).bind(SCHEMA).fetch_one(&mut *db).await.map_err(of)?;
    let (is_far, is_encrypted): (bool, bool) = sqlx::query_as(WAY).fetch_one(&mut *db).await.map_err(of)?;
    let way = match (is_far, is_encrypted, server.trust()) {
        (false, ..) => Way::Near,
        (true, false, _) => Way::InClear,
        (true, true, Trust::Any) => Way::Unverified,
        (true, true, Trust::Verified) => Way::Verified,
    };
    let holders = hold::holders(db).await.map_err(of)?;
    Ok(Look { engine: format!("PostgreSQL {engine}"), facts, holders, may_make, way })
}

/// The version of a server that will do.
async fn check(db: &mut PgConnection, server: &Server) -> Result<String, StoreError> {
    let of = |error: sqlx::Error| StoreError::of(&error);
    let setting = "SELECT current_setting($1)";
    let number: String =
        sqlx::query_scalar(setting).bind("server_version_num").fetch_one(&mut *db).await.map_err(of)?;
    let version: String = sqlx::query_scalar(setting).bind("server_version").fetch_one(&mut *db).await.map_err(of)?;
    if number.parse::<i32>().is_ok_and(|number| number < LEAST.0) {
        return Err(StoreError::ServerTooOld { found: version, needed: LEAST.1 });
    }
    for (name, needed, why) in DURABLE {
        let found: String = sqlx::query_scalar(setting).bind(name).fetch_one(&mut *db).await.map_err(of)?;
        if !found.eq_ignore_ascii_case(needed) {
            return Err(server.refused(format!("{name} is {found} there, and must be {needed}: {why}")));
        }
    }
    let standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut *db).await.map_err(of)?;
    if standby {
        return Err(server.refused("the server is a standby, on which nothing can be written: name the primary"));
    }
    Ok(version)
}

async fn facts(db: &mut PgConnection, engine: &str) -> Result<StoreFacts, StoreError> {
    let row = sqlx::query("SELECT id, generation, state, schema FROM store").fetch_one(db).await;
    let row = row.map_err(|error| StoreError::of(&error))?;
    facts_of(&reader::Line::Postgres(row), format!("PostgreSQL {engine}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::address::Address;
    use crate::store::behaviour::cluster::Database;

    fn server(database: &Database) -> Server {
        match Address::of(&database.url(), None).unwrap() {
            Address::Postgres(server) => *server,
            Address::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    #[tokio::test]
    async fn tables_are_made_once_and_a_store_that_is_not_ours_to_serve_is_refused() {
        let database = Database::empty();
        let server = server(&database);
        let mut db = server.connect().await.unwrap();
        let made = migrate(&mut db, &server).await.unwrap();
        assert_eq!((made.generation, made.schema), (1, super::super::KNOWN));
        assert!(made.engine.starts_with("PostgreSQL "), "{}", made.engine);
        assert_eq!(migrate(&mut db, &server).await.unwrap(), made);

        db.execute("UPDATE store SET schema = 99").await.unwrap();
        let found = migrate(&mut db, &server).await;
        assert!(matches!(found, Err(StoreError::NewerSchema { found: 99, .. })), "{found:?}");
        let retired =
            sqlx::query("UPDATE store SET schema = $1, state = 'retired'").bind(i64::from(super::super::KNOWN));
        retired.execute(&mut db).await.unwrap();
        assert!(matches!(migrate(&mut db, &server).await, Err(StoreError::Retired { .. })));
    }

    #[tokio::test]
    async fn a_role_that_may_not_make_the_schema_is_told_what_to_grant() {
        let database = Database::empty();
        database.run("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN").await;
        let Ok(Address::Postgres(server)) = Address::of(&database.url().replace("user=billhook", "user=guest"), None)
        else {
            panic!("{}", database.url())
        };
        let mut db = server.connect().await.unwrap();

        let refused = migrate(&mut db, &server).await.unwrap_err().to_string();

        assert!(refused.contains("permission denied") && refused.contains("CREATE SCHEMA billhook"), "{refused}");
    }

    #[tokio::test]
    async fn a_database_that_would_not_keep_texts_is_refused() {
        let database = Database::empty();
        database.run("CREATE DATABASE in_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'").await;
        let url = database.url();
        let (_, query) = url.split_once('?').unwrap();
        let Ok(Address::Postgres(server)) = Address::of(&format!("postgres:///in_ascii?{query}"), None) else {
            panic!("{url}")
        };
        let mut db = server.connect().await.unwrap();

        let refused = migrate(&mut db, &server).await.unwrap_err().to_string();

        assert!(refused.contains("server_encoding is SQL_ASCII"), "{refused}");
    }
}
