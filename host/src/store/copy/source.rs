//! The file that is copied.

use super::super::schema::postgres::Origin;
use super::super::{StoreError, hand, schema, terms_sqlite, words, writer};
use super::CopyOptions;
use super::part::{PARTS, Part, WORDS};
use super::row::{Batch, Kind, Row};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};
use sqlx::Connection as _;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Entries whose words are gathered together: all of the index is read for them.
const ENTRIES: u32 = 200_000;

/// Who the store is.
#[derive(Debug)]
pub struct About {
    pub id: String,
    pub schema: u32,
    generation: u64,
    state: String,
    gone_to: Option<String>,
    /// The copy under way.
    pub copy: Option<String>,
}

impl About {
    pub fn is_retired(&self) -> bool {
        self.state == "retired"
    }

    pub fn retired(&self) -> StoreError {
        StoreError::Retired { id: self.id.clone(), gone_to: self.gone_to.clone() }
    }

    /// What its copy will be.
    pub fn origin(&self) -> Origin {
        Origin { id: self.id.clone(), generation: self.generation + 1, state: self.state.clone() }
    }
}

/// A reading connection.
pub struct Source {
    db: Connection,
    path: PathBuf,
}

impl Source {
    pub fn look(path: &Path) -> Result<Self, StoreError> {
        let access = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let pragmas = [("query_only", "1"), ("mmap_size", "0"), ("temp_store", "MEMORY"), ("cache_size", "-16000")];
        let db = hand::open_for_a_thread(path, access, &pragmas)
            .map_err(|error| StoreError::Open { path: path.to_owned(), why: error.to_string() })?;
        Ok(Self { db, path: path.to_owned() })
    }

    pub fn about(&self) -> Result<About, StoreError> {
        let row = self.db.query_row("SELECT id, generation, state, schema FROM store", [], |row| {
            let (generation, state) = (row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?);
            Ok(About { id: row.get(0)?, generation, state, schema: row.get(3)?, gone_to: None, copy: None })
        });
        let mut about = row.map_err(|error| self.failed(&error))?;
        // An older store has no place for them.
        if let Ok(Some((gone_to, copy))) =
            self.db.query_row("SELECT gone_to, copy FROM store", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        {
            (about.gone_to, about.copy) = (gone_to, copy);
        }
        Ok(about)
    }

    /// Rows of each part. Of the words it is the entries of the log, of which not every one has words there.
    pub fn counts(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let of = |part: &Part, table: &str| {
            let text = format!("SELECT count(*) FROM {table}");
            match self.db.query_row(&text, [], |row| row.get::<_, i64>(0)) {
                Ok(rows) => Ok((part.table, rows.unsigned_abs())),
                Err(error) => Err(self.failed(&error)),
            }
        };
        PARTS.iter().map(|part| of(part, part.table)).chain([of(&WORDS, "log")]).collect()
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::of_open(&self.path, StoreError::of_hand(error))
    }

    fn send_table(&self, part: &'static Part, columns: &Columns, out: &mut Out) -> Result<(), Ended> {
        let failed = |error: rusqlite::Error| Ended::Failed(self.failed(&error));
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let key: Vec<String> = part.key.iter().map(|name| format!("\"{name}\"")).collect();
        let (names, key) = (names.join(", "), key.join(", "));
        let marks = vec!["?"; part.key.len()].join(", ");
        let behind = match out.reached {
            Some(_) => format!("WHERE ({key}) > ({marks})"),
            None => String::new(),
        };
        let text = format!("SELECT {names} FROM {} {behind} ORDER BY {key}", part.table);
        let mut statement = self.db.prepare(&text).map_err(failed)?;
        let from = out.reached.take().unwrap_or_default();
        let mut rows = statement.query(params_from_iter(from)).map_err(failed)?;
        let has_bytes = columns.iter().any(|(_, kind)| *kind == Kind::Bytes);
        let place = |name: &str| columns.iter().position(|(column, _)| column == name).unwrap_or_default();
        let key: Vec<usize> = part.key.iter().map(|name| place(name)).collect();
        let key_of = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            let cells = key.iter().map(|at| match row.get_ref(*at)? {
                ValueRef::Integer(number) => Ok(number.into()),
                cell => Ok(serde_json::Value::from(cell.as_str()?)),
            });
            Ok(serde_json::Value::Array(cells.collect::<rusqlite::Result<_>>()?).to_string())
        };
        while let Some(row) = rows.next().map_err(failed)? {
            let mut sent = Row::new(columns.len(), has_bytes);
            for (at, (name, kind)) in columns.iter().enumerate() {
                let cell = row.get_ref(at).map_err(failed)?;
                if let Err(why) = sent.push(*kind, cell) {
                    let row = key_of(row).unwrap_or_else(|_| "?".to_owned());
                    let why = format!("{name}: {why}");
                    return Err(Ended::Failed(StoreError::Corrupt { table: part.table, column: "one", row, why }));
                }
            }
            out.batch.push(&sent);
            if out.is_full() {
                out.batch.reached = Some(key_of(row).map_err(failed)?);
                out.send(false)?;
            }
        }
        out.send(true)
    }

    /// The words of the index by entry, which it does not hold in that order: all of it is read for many entries at once.
    fn send_words(&self, out: &mut Out) -> Result<(), Ended> {
        const PLACES: &str = "SELECT place FROM log WHERE place > ?1 ORDER BY place LIMIT ?2";
        let failed = |error: rusqlite::Error| Ended::Failed(self.failed(&error));
        let mut from = match out.reached.take().as_deref() {
            Some([Value::Integer(number)]) => behind(*number),
            _ => String::new(),
        };
        loop {
            let mut places = self.db.prepare(PLACES).map_err(failed)?;
            let places = places.query_map((&from, ENTRIES), |row| row.get::<_, String>(0)).map_err(failed)?;
            let places: Vec<String> = places.collect::<rusqlite::Result<_>>().map_err(failed)?;
            let Some(last) = places.last() else { return out.send(true) };
            let mut numbers: Vec<i64> = places.iter().map(|place| words::number(place)).collect();
            numbers.dedup();
            // All entries that share the last number are dealt with.
            from = behind(words::number(last)).max(last.clone());
            for (number, words) in terms_sqlite::words_of(&self.db, &numbers).map_err(failed)? {
                let mut row = Row::new(2, false);
                row.push_number(number);
                row.push_words(words.iter().map(String::as_str));
                out.batch.push(&row);
                if out.is_full() {
                    out.batch.reached = Some(serde_json::json!([number]).to_string());
                    out.send(false)?;
                }
            }
        }
    }
}

/// What is greater than all places with this number.
fn behind(number: i64) -> String {
    words::head(number) + "~"
}

/// Names of a table's columns, and what they hold.
pub type Columns = Vec<(String, Kind)>;

/// Why the rows end early.
enum Ended {
    Failed(StoreError),
    /// Nobody takes them any more.
    Dropped,
}

struct Out {
    to: mpsc::Sender<Result<Batch, StoreError>>,
    reached: Option<Vec<Value>>,
    batch: Batch,
    rows: u64,
    bytes: usize,
}

impl Out {
    fn is_full(&self) -> bool {
        self.batch.rows >= self.rows || self.batch.len() >= self.bytes
    }

    fn send(&mut self, is_last: bool) -> Result<(), Ended> {
        let mut batch = std::mem::replace(&mut self.batch, Batch::new());
        batch.is_last = is_last;
        self.to.blocking_send(Ok(batch)).map_err(|_| Ended::Dropped)
    }
}

/// The rows of a part behind `reached`, from a thread of its own. Nothing where the part is over.
pub fn stream(
    path: &Path,
    part: &'static Part,
    columns: Columns,
    reached: Option<Option<String>>,
    options: &CopyOptions,
) -> mpsc::Receiver<Result<Batch, StoreError>> {
    let (to, batches) = mpsc::channel(2);
    let Some(reached) = reached else { return batches };
    let mut out = Out {
        to,
        reached: reached.and_then(|key| values(&key)),
        batch: Batch::new(),
        rows: options.batch_rows as u64,
        bytes: options.batch_bytes,
    };
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let sent = Source::look(&path).map_err(Ended::Failed).and_then(|source| match part.table {
            table if table == WORDS.table => source.send_words(&mut out),
            _ => source.send_table(part, &columns, &mut out),
        });
        if let Err(Ended::Failed(error)) = sent {
            // Whoever does not listen any more has failed before.
            let _ = out.to.blocking_send(Err(error));
        }
    });
    batches
}

/// A key as it was noted.
fn values(key: &str) -> Option<Vec<Value>> {
    let key: Vec<serde_json::Value> = serde_json::from_str(key).ok()?;
    let value = |cell: serde_json::Value| match cell {
        serde_json::Value::Number(number) => number.as_i64().map(Value::Integer),
        serde_json::Value::String(text) => Some(Value::Text(text)),
        _ => None,
    };
    key.into_iter().map(value).collect()
}

/// Brings the tables up to date, as a start would; answers with the version that was found. The lock is held by whoever asks.
pub async fn upgrade(path: &Path) -> Result<u32, StoreError> {
    let failed = |error: StoreError| StoreError::of_open(path, error);
    let mut db = writer::connect(path).await.map_err(|error| failed(StoreError::of(&error)))?;
    let found = sqlx::query_scalar("SELECT schema FROM store").fetch_one(&mut db).await;
    let found: u32 = found.map_err(|error| failed(StoreError::of(&error)))?;
    match schema::migrate(&mut db).await {
        // That is for whoever asks to judge.
        Ok(_) | Err(StoreError::Retired { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    db.close().await.map_err(|error| failed(StoreError::of(&error)))?;
    Ok(found)
}

/// Gives the copy that begins a name.
pub fn name_copy(path: &Path, name: &str) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError::of_open(path, StoreError::of_hand(&error));
    let db = hand::open(path).map_err(failed)?;
    db.execute("UPDATE store SET copy = ?1", [name]).map_err(failed)?;
    db.close().map_err(|(_, error)| failed(error))
}

/// From now on nobody opens it.
pub fn retire(path: &Path, gone_to: &str) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError::of_open(path, StoreError::of_hand(&error));
    let db = hand::open(path).map_err(failed)?;
    db.execute("UPDATE store SET state = 'retired', gone_to = ?1", [gone_to]).map_err(failed)?;
    // It stands in the file itself, whoever looks at that alone.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    db.close().map_err(|(_, error)| failed(error))
}
