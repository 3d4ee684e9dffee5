//! A look at a file that should be a store: whether it is sound, what is in it, and whether our keys open it.

use super::model::{OperationId, ServiceKey};
use super::{StoreError, hand, schema, seals};
use crate::seal::{KeyId, Sealer};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;

/// Findings of the check that are shown; one is enough to know.
const MOST_FLAWS: u32 = 10;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The store's id.
    pub id: String,
    /// Which generation of it.
    pub generation: u64,
    /// `serving`, `recovering` or `retired`.
    pub state: String,
    /// Where a retired one has gone.
    pub gone_to: Option<String>,
    /// Version of the tables, and the newest that this host knows.
    pub schema: (u32, u32),
    /// What is damaged, in the database's words; nothing when all is sound.
    pub flaws: Vec<String>,
    /// Operations by state.
    pub operations: Vec<(String, u64)>,
    /// Services.
    pub services: u64,
    /// Keys that something is sealed with, and how much.
    pub keys: Vec<(KeyId, u64)>,
    /// Sealed values that were tried and did not open, each with its place and reason; nothing without a sealer.
    pub closed: Vec<String>,
    /// How many were tried.
    pub tried: usize,
}

/// Every sealed value: its table, the columns that name it, and itself.
const SEALED: [(&str, &str); 4] = [
    ("request", "SELECT call AS sealed FROM request WHERE length(call) > 0"),
    ("entry", "SELECT secret AS sealed FROM entry WHERE secret IS NOT NULL"),
    ("result_secret", "SELECT sealed FROM result_secret"),
    ("service_secret", "SELECT sealed FROM service_secret"),
];

/// Looks at the file and changes nothing. Blocks for as long as it takes to read all of it.
///
/// # Errors
///
/// [`StoreError::Open`] when it is no store at all, or cannot be read.
pub fn inspect(path: &Path, sealer: Option<&Sealer>) -> Result<Inspected, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::Open { path: path.to_owned(), why: error.to_string() };
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = hand::open_for_a_thread(path, access, &[("query_only", "1"), ("mmap_size", "0")]).map_err(failed)?;
    look(&db, sealer).map_err(failed)
}

fn look(db: &Connection, sealer: Option<&Sealer>) -> rusqlite::Result<Inspected> {
    let (id, generation, state, schema) =
        db.query_row("SELECT id, generation, state, schema FROM store", [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?, row.get(3)?))
        })?;
    let mut check = db.prepare(&format!("PRAGMA integrity_check({MOST_FLAWS})"))?;
    let said: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let flaws: Vec<String> = said.into_iter().filter(|line| line != "ok").collect();
    // An older store has no place for it.
    let gone_to = db.query_row("SELECT gone_to FROM store", [], |row| row.get(0)).unwrap_or_default();
    let mut found = Inspected {
        id,
        generation,
        state,
        gone_to,
        schema: (schema, schema::KNOWN),
        flaws,
        operations: Vec::new(),
        services: 0,
        keys: Vec::new(),
        closed: Vec::new(),
        tried: 0,
    };
    // Of a damaged file the rest may not be readable, which is said already.
    if found.flaws.is_empty() {
        count(db, &mut found)?;
        if let Some(sealer) = sealer {
            try_keys(db, sealer, &mut found)?;
        }
    }
    Ok(found)
}

fn count(db: &Connection, found: &mut Inspected) -> rusqlite::Result<()> {
    let mut states = db.prepare("SELECT state, count(*) FROM operation GROUP BY state ORDER BY state")?;
    let states = states.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    found.operations = states.collect::<rusqlite::Result<_>>()?;
    found.services = db.query_row("SELECT count(*) FROM service", [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let all = SEALED.map(|(_, text)| text).join(" UNION ALL ");
    let mut keys = db.prepare(&format!("SELECT substr(sealed, 2, 4) AS key, count(*) FROM ({all}) GROUP BY key"))?;
    let keys = keys.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    for key in keys {
        let (id, values) = key?;
        found.keys.extend(KeyId::of(&id).map(|id| (id, values)));
    }
    Ok(())
}

/// One value of each kind and key would do; the newest of each kind are what is needed first.
fn try_keys(db: &Connection, sealer: &Sealer, found: &mut Inspected) -> rusqlite::Result<()> {
    const CALL: &str = "
        SELECT operation_id, '', call FROM request WHERE length(call) > 0
        GROUP BY substr(call, 2, 4) HAVING operation_id = max(operation_id)";
    const STEP: &str = "
        SELECT operation_id, name, secret FROM entry WHERE secret IS NOT NULL
        GROUP BY substr(secret, 2, 4) HAVING operation_id = max(operation_id)";
    const RESULT: &str = "
        SELECT operation_id, '', sealed FROM result_secret
        GROUP BY substr(sealed, 2, 4) HAVING operation_id = max(operation_id)";
    for (text, open) in [
        (CALL, (|sealer, id, _, sealed| seals::open_call(sealer, id, sealed).map(drop)) as Open),
        (STEP, |sealer, id, name, sealed| seals::open_step(sealer, id, name, sealed).map(drop)),
        (RESULT, |sealer, id, _, sealed| seals::open_result(sealer, id, sealed).map(drop)),
    ] {
        let mut rows = db.prepare(text)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (id, name, sealed): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            found.tried += 1;
            if let Err(error) = open(sealer, &OperationId(id), &name, &sealed) {
                found.closed.push(error.to_string());
            }
        }
    }
    let text = "SELECT platform, service_id, name, sealed FROM service_secret LIMIT 1";
    let secret = db.query_row(text, [], |row| {
        let key = ServiceKey { platform: row.get(0)?, service_id: row.get(1)? };
        Ok((key, row.get::<_, String>(2)?, row.get::<_, Vec<u8>>(3)?))
    });
    if let Some((key, name, sealed)) = secret.optional()? {
        found.tried += 1;
        if let Err(error) = seals::open_service(sealer, &key, &name, &sealed) {
            found.closed.push(error.to_string());
        }
    }
    Ok(())
}

type Open = fn(&Sealer, &OperationId, &str, &[u8]) -> Result<(), StoreError>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::State;
    use crate::seal::HostKey;
    use crate::store::Evidence;
    use crate::store::behaviour::samples::{self, finish, running, secret};
    use crate::store::model::Finish;

    #[tokio::test]
    async fn a_sound_store_is_counted_and_its_seals_are_tried() {
        let (place, store) = samples::store(samples::On::Sqlite).await;
        running(&store, "1", "41").await;
        running(&store, "2", "42").await;
        let end = Finish { secrets: secret("p", "root-password"), ..finish("2", 1, State::Succeeded) };
        store.finish(end, Evidence::default()).await.unwrap();
        store.close().await;

        let found = inspect(&place.path(), Some(&place.sealer())).unwrap();

        assert_eq!((found.state.as_str(), found.generation, found.schema.0), ("serving", 1, found.schema.1));
        assert_eq!(found.operations, [("running".to_owned(), 1), ("succeeded".to_owned(), 1)]);
        assert_eq!((found.services, found.tried), (2, 2));
        assert_eq!(found.keys, [(place.sealer().key_id(), 3)]);
        assert!(found.flaws.is_empty() && found.closed.is_empty(), "{found:?}");

        let stranger = Sealer::new(HostKey::random().unwrap(), vec![]).unwrap();
        let found = inspect(&place.path(), Some(&stranger)).unwrap();
        assert_eq!(found.closed.len(), 2);
        let needed = place.sealer().key_id().to_string();
        assert!(found.closed.iter().all(|why| why.contains(&needed)), "{:?}", found.closed);
    }

    #[tokio::test]
    async fn what_is_no_store_is_told_from_one_that_is_damaged() {
        let (place, store) = samples::store(samples::On::Sqlite).await;
        for n in 0..50 {
            running(&store, &n.to_string(), &n.to_string()).await;
        }
        store.close().await;
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no database at all, but long enough to have a head".repeat(100)).unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        for path in [text, empty, folder.path().join("none")] {
            let error = inspect(&path, None).unwrap_err();
            assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
        }

        // A page in the middle.
        let mut bytes = std::fs::read(place.path()).unwrap();
        let middle = bytes.len() / 4096 / 2 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        let damaged = folder.path().join("damaged");
        std::fs::write(&damaged, bytes).unwrap();
        match inspect(&damaged, Some(&place.sealer())) {
            Ok(found) => assert!(!found.flaws.is_empty()),
            Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
        }
    }
}
