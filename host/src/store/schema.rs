//! The tables, and the steps from older ones to these. Forward only.

pub mod postgres;

use super::StoreError;
use super::model::StoreFacts;
use super::reader::{Cells, Line};
use sqlx::{Connection, Executor, SqliteConnection};

/// The versions that have a text; the first makes the tables.
const MIGRATIONS: [(u32, &str); 9] = [
    (1, include_str!("schema/1.sql")),
    (2, include_str!("schema/2.sql")),
    (3, include_str!("schema/3.sql")),
    (4, include_str!("schema/4.sql")),
    (5, include_str!("schema/5.sql")),
    (6, include_str!("schema/6.sql")),
    (7, include_str!("schema/7.sql")),
    (8, include_str!("schema/8.sql")),
    (9, include_str!("schema/9.sql")),
];

/// The version that this host knows.
pub const KNOWN: u32 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The first SQLite that cannot corrupt a database in WAL mode while one connection writes and another checkpoints.
const LEAST_ENGINE: &str = "3.51.3";

/// Checks the engine and the store, brings the tables up to date, and says what they are.
pub async fn migrate(db: &mut SqliteConnection) -> Result<StoreFacts, StoreError> {
    let of = |error: sqlx::Error| StoreError::of(&error);
    let engine: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *db).await.map_err(of)?;
    if numbers(&engine) < numbers(LEAST_ENGINE) {
        return Err(StoreError::TooOld { found: engine, needed: LEAST_ENGINE });
    }
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'store'")
        .fetch_one(&mut *db)
        .await
        .map_err(of)?;
    let found = if made == 0 { 0 } else { facts(db, &engine).await?.schema };
    if found > KNOWN {
        return Err(StoreError::NewerSchema { found, known: KNOWN });
    }
    bring(db, found, KNOWN).await?;
    facts(db, &engine).await
}

/// What was copied of the store before is not the store any more.
pub async fn drop_copy(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let dropped = db.execute("UPDATE store SET copy = NULL WHERE copy IS NOT NULL").await;
    dropped.map(drop).map_err(|error| StoreError::of(&error))
}

/// Carries out what leads from one version to another.
pub async fn bring(db: &mut SqliteConnection, from: u32, to: u32) -> Result<(), StoreError> {
    let of = |error: sqlx::Error| StoreError::of(&error);
    for (version, text) in MIGRATIONS.into_iter().filter(|(version, _)| (from + 1..=to).contains(version)) {
        let mut change = db.begin_with("BEGIN IMMEDIATE").await.map_err(of)?;
        change.execute(text).await.map_err(of)?;
        if version == 1 {
            let insert = "INSERT INTO store (id, generation, state, schema) VALUES ($1, 1, 'serving', 1)";
            sqlx::query(insert).bind(new_id()?).execute(&mut *change).await.map_err(of)?;
        }
        let update = "UPDATE store SET schema = $1";
        sqlx::query(update).bind(version).execute(&mut *change).await.map_err(of)?;
        change.commit().await.map_err(of)?;
    }
    Ok(())
}

async fn facts(db: &mut SqliteConnection, engine: &str) -> Result<StoreFacts, StoreError> {
    let row = sqlx::query("SELECT id, generation, state, schema FROM store").fetch_one(&mut *db).await;
    let facts = facts_of(&Line::Sqlite(row.map_err(|error| StoreError::of(&error))?), format!("SQLite {engine}"));
    match facts {
        Err(StoreError::Retired { id, .. }) => {
            // An older store has no place for it.
            let gone_to = sqlx::query_scalar("SELECT gone_to FROM store").fetch_one(db).await.unwrap_or_default();
            Err(StoreError::Retired { id, gone_to })
        }
        facts => facts,
    }
}

fn facts_of(row: &Line, engine: String) -> Result<StoreFacts, StoreError> {
    let cells = Cells::new(row, "store", "id");
    let id: String = cells.cell("id")?;
    let state: String = cells.cell("state")?;
    match state.as_str() {
        "retired" => return Err(StoreError::Retired { id, gone_to: None }),
        "copying" => return Err(StoreError::Copying { id }),
        _ => {}
    }
    let recovering = state == "recovering";
    let (generation, schema) = (cells.number("generation")?, cells.number("schema")?);
    Ok(StoreFacts { id, generation, recovering, schema, engine })
}

/// A random name.
pub fn new_id() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new store in which this was then done.
    async fn after(change: &'static str) -> Result<StoreFacts, StoreError> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("db");
        crate::store::file::prepare(&path).unwrap();
        let mut db = crate::store::writer::connect(&path).await.unwrap();
        migrate(&mut db).await.unwrap();
        db.execute(change).await.unwrap();
        migrate(&mut db).await
    }

    #[tokio::test]
    async fn a_store_that_is_not_ours_to_serve_is_refused() {
        assert!(matches!(
            after("UPDATE store SET schema = 99").await,
            Err(StoreError::NewerSchema { found: 99, known: KNOWN })
        ));
        let retired = after("UPDATE store SET state = 'retired', gone_to = 'postgres://u@h/d'").await.unwrap_err();
        assert!(matches!(retired, StoreError::Retired { .. }), "{retired:?}");
        assert!(retired.to_string().contains("moved to postgres://u@h/d"), "{retired}");
        assert!(retired.remedy().contains("store.url"), "{}", retired.remedy());
        assert_eq!(after("UPDATE store SET state = 'recovering', generation = 3").await.unwrap().generation, 3);
    }

    #[tokio::test]
    async fn bodies_of_an_earlier_build_are_kept() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("db");
        crate::store::file::prepare(&path).unwrap();
        let mut db = crate::store::writer::connect(&path).await.unwrap();
        bring(&mut db, 0, 2).await.unwrap();
        db.execute(
            "INSERT INTO body (owner, run, seq, side, codec, bytes, length, sha256, cut) VALUES
                ('op_1', 1, 1, 'request', 0, x'41', 1, x'00', 0), ('op_1', 1, 1, 'reply', 1, x'4243', 9000, x'ab01', 1),
                ('op_1', 1, 2, 'reply', 0, x'44', 1, x'00', 0)",
        )
        .await
        .unwrap();

        migrate(&mut db).await.unwrap();

        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT json_array(seq, request_codec, hex(request), request_cut, reply_codec, hex(reply), reply_cut)
             FROM body ORDER BY seq",
        )
        .fetch_all(&mut db)
        .await
        .unwrap();
        assert_eq!(
            rows,
            [r#"[1,0,"41",null,1,"4243","{\"length\":9000,\"sha256\":\"ab01\"}"]"#, r#"[2,null,"",null,0,"44",null]"#,]
        );
    }

    #[test]
    fn versions_compare_by_number() {
        for (older, newer) in [("3.51.2", "3.51.3"), ("3.9.0", "3.51.3"), ("3.51.3", "3.52"), ("2.99.99", "3.0.0")] {
            assert!(numbers(older) < numbers(newer), "{older} {newer}");
        }
    }
}
