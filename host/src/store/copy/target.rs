//! The database that a store is copied to.

use super::super::StoreError;
use super::super::address::{SCHEMA, Server};
use super::super::schema::postgres::{self as schema, Origin};
use super::CopyError;
use super::part::{PARTS, Part, WORDS};
use super::row::{Batch, Kind, Reader};
use super::source::Columns;
use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

/// The number of the lock that keeps a second copy away.
const COPIER: i64 = 0x0062_696c_6c68_0003;

/// As which the name of the copy is noted.
const COPY: &str = "copy";

/// How far a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub part: String,
    /// The key of the last row.
    pub reached: Option<String>,
    pub rows: u64,
    digest: i64,
    is_over: bool,
}

/// See [`Target::receive`].
#[derive(Debug)]
pub struct Target {
    db: PgConnection,
    reached: Vec<Reached>,
}

/// How far a copy is there, if one has begun; changes nothing.
pub async fn look(server: &Server, origin: &Origin, copy: Option<&str>) -> Result<Vec<Reached>, CopyError> {
    let mut db = connect(server).await?;
    let found = schema::look(&mut db, server).await;
    let reached = match found {
        Ok(look) => match look.facts {
            None if look.may_make => Ok(Vec::new()),
            None => Err(server.refused(format!(
                "the role may make no tables there; as the database's owner: CREATE SCHEMA {SCHEMA} AUTHORIZATION the role"
            ))),
            Some(facts) => Err(schema::occupied(server, &facts.id)),
        },
        Err(StoreError::Copying { .. }) => match schema::begun(&mut db, server, origin).await {
            Ok(_) => reached(&mut db).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    // Nothing was asked of it that could be lost.
    let _ = db.close().await;
    Ok(Some(reached?).filter(|reached| is_of(reached, copy)).unwrap_or_default())
}

/// Whether what is there came with that copy: since another one the store has served.
fn is_of(reached: &[Reached], copy: Option<&str>) -> bool {
    let name = reached.iter().find(|reached| reached.part == COPY).and_then(|reached| reached.reached.as_deref());
    copy.is_some() && name == copy
}

impl Target {
    /// Makes the tables, or finds those of the copy. What is there of an earlier copy of the same store goes. Nobody else
    /// copies there as long as this lives.
    pub async fn receive(server: &Server, origin: &Origin, copy: &str) -> Result<Self, CopyError> {
        let of = |error: sqlx::Error| StoreError::of(&error);
        let mut db = alone(server).await?;
        schema::receive(&mut db, server, origin).await?;
        let mut found = reached(&mut db).await?;
        if !is_of(&found, Some(copy)) {
            let tables: Vec<&str> = PARTS.iter().chain([&WORDS]).map(|part| part.table).collect();
            let mut change = db.begin().await.map_err(of)?;
            change.execute(AssertSqlSafe(format!("TRUNCATE {}", tables.join(", ")))).await.map_err(of)?;
            change.execute("DELETE FROM copied WHERE part <> 'store'").await.map_err(of)?;
            let name = "INSERT INTO copied (part, reached, rows, digest, is_over) VALUES ($1, $2, 1, 0, true)";
            sqlx::query(name).bind(COPY).bind(copy).execute(&mut *change).await.map_err(of)?;
            change.commit().await.map_err(of)?;
            found = reached(&mut db).await?;
        }
        Ok(Self { db, reached: found })
    }

    /// The copy of that name that had begun there, if there is one.
    pub async fn find(server: &Server, origin: &Origin, copy: Option<&str>) -> Result<Option<Self>, CopyError> {
        let Some(copy) = copy else { return Ok(None) };
        match look(server, origin, Some(copy)).await {
            Ok(reached) if reached.is_empty() => Ok(None),
            Ok(_) => Self::receive(server, origin, copy).await.map(Some),
            Err(CopyError::Store(StoreError::Open { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether every row is there, as far as it was noted.
    pub fn is_whole(&self) -> bool {
        PARTS.iter().chain([&WORDS]).all(|part| self.of(part).is_some_and(|reached| reached.is_over))
    }

    pub fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// The key behind which a part goes on; nothing where it is over.
    pub fn reached_in(&self, part: &Part) -> Option<Option<String>> {
        match self.of(part) {
            Some(reached) if reached.is_over => None,
            Some(reached) => Some(reached.reached.clone()),
            None => Some(None),
        }
    }

    fn of(&self, part: &Part) -> Option<&Reached> {
        self.reached.iter().find(|reached| reached.part == part.table)
    }

    /// The columns of a table, in their order.
    pub async fn columns(&mut self, part: &'static Part) -> Result<Columns, CopyError> {
        const COLUMNS: &str = "
            SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let columns: Vec<(String, String)> = sqlx::query_as(COLUMNS)
            .bind(format!("{SCHEMA}.{}", part.table))
            .fetch_all(&mut self.db)
            .await
            .map_err(|error| StoreError::of(&error))?;
        let columns = columns.into_iter().map(|(name, of)| Some((name, Kind::of(&of)?)));
        let columns: Option<Columns> = columns.collect();
        columns.filter(|columns| !columns.is_empty()).ok_or(CopyError::Columns { part: part.table })
    }

    /// Stores rows, and with them how far the part is.
    pub async fn take(&mut self, part: &'static Part, columns: &Columns, batch: Batch) -> Result<(), CopyError> {
        const NOTE: &str = "
            INSERT INTO copied (part, reached, rows, digest, is_over) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (part) DO UPDATE SET reached = coalesce(excluded.reached, copied.reached), rows = excluded.rows,
                digest = excluded.digest, is_over = excluded.is_over";
        let of = |error: sqlx::Error| StoreError::of(&error);
        let former = self.of(part).map_or((0, 0), |reached| (reached.rows, reached.digest));
        let reached = Reached {
            part: part.table.to_owned(),
            reached: batch.reached.clone(),
            rows: former.0 + batch.rows,
            digest: former.1.wrapping_add(batch.digest),
            is_over: batch.is_last,
        };
        let mut change = self.db.begin().await.map_err(of)?;
        if batch.rows > 0 {
            let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let text = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", part.table, names.join(", "));
            let mut copy = change.copy_in_raw(&text).await.map_err(of)?;
            copy.send(batch.into_bytes()).await.map_err(of)?;
            copy.finish().await.map_err(of)?;
        }
        let note = sqlx::query(NOTE).bind(&reached.part).bind(&reached.reached);
        let note =
            note.bind(i64::try_from(reached.rows).unwrap_or(i64::MAX)).bind(reached.digest).bind(reached.is_over);
        note.execute(&mut *change).await.map_err(of)?;
        change.commit().await.map_err(of)?;
        self.reached.retain(|other| other.part != reached.part);
        self.reached.push(reached);
        Ok(())
    }

    /// Reads a part back, and holds it against what was noted. Answers with its rows.
    pub async fn compare(&mut self, part: &'static Part) -> Result<u64, CopyError> {
        let of = |error: sqlx::Error| StoreError::of(&error);
        let columns = self.columns(part).await?;
        let cell = |(name, kind): &(String, Kind)| match kind {
            Kind::Bytes => format!("sha256(\"{name}\")"),
            _ => format!("\"{name}\""),
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        let text = format!("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)", cells.join(", "), part.table);
        let mut reader = Reader::default();
        let mut pieces = self.db.copy_out_raw(&text).await.map_err(of)?;
        while let Some(piece) = pieces.try_next().await.map_err(of)? {
            reader.read(&piece)?;
        }
        drop(pieces);
        let noted = self.of(part).map_or((0, 0), |reached| (reached.rows, reached.digest));
        match (reader.rows, reader.digest) == noted {
            true => Ok(reader.rows),
            false => Err(CopyError::Differs { part: part.table, here: noted.0, there: reader.rows }),
        }
    }

    /// Lets what the server counts by itself go on behind what was copied, and has it look at the tables.
    pub async fn settle(&mut self) -> Result<(), CopyError> {
        const NUMBERS: &str = "
            SELECT setval(pg_get_serial_sequence('note', 'number'), max(number)) FROM note HAVING max(number) IS NOT NULL";
        let of = |error: sqlx::Error| StoreError::of(&error);
        self.db.execute(NUMBERS).await.map_err(of)?;
        let tables: Vec<&str> = PARTS.iter().chain([&WORDS]).map(|part| part.table).collect();
        self.db.execute(AssertSqlSafe(format!("ANALYZE {}", tables.join(", ")))).await.map_err(of)?;
        Ok(())
    }

    /// It is a store from now on.
    pub async fn open(mut self) -> Result<(), CopyError> {
        let of = |error: sqlx::Error| StoreError::of(&error);
        let mut change = self.db.begin().await.map_err(of)?;
        let state = "UPDATE store SET state = (SELECT reached FROM copied WHERE part = 'store')";
        change.execute(state).await.map_err(of)?;
        change.execute("DELETE FROM copied").await.map_err(of)?;
        change.commit().await.map_err(of)?;
        // The lock goes with it in any case.
        let _ = self.db.close().await;
        Ok(())
    }
}

async fn connect(server: &Server) -> Result<PgConnection, StoreError> {
    server.connect().await.map_err(|error| server.unreached(&error))
}

/// A connection that nobody else copies by.
async fn alone(server: &Server) -> Result<PgConnection, CopyError> {
    let mut db = connect(server).await?;
    let take = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(COPIER);
    match take.fetch_one(&mut db).await.map_err(|error| StoreError::of(&error))? {
        true => Ok(db),
        false => Err(CopyError::Busy { target: server.shown().to_owned() }),
    }
}

async fn reached(db: &mut PgConnection) -> Result<Vec<Reached>, StoreError> {
    let rows = sqlx::query_as("SELECT part, reached, rows, digest, is_over FROM copied").fetch_all(db).await;
    let rows: Vec<(String, Option<String>, i64, i64, bool)> = rows.map_err(|error| StoreError::of(&error))?;
    let reached = rows.into_iter().map(|(part, reached, rows, digest, is_over)| Reached {
        part,
        reached,
        rows: rows.unsigned_abs(),
        digest,
        is_over,
    });
    Ok(reached.collect())
}
