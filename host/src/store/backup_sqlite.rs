//! A copy of the store, made while hooks are served.
//!
//! The copy says of itself that it is one: whoever opens it finds a store that is *recovering*, since the panels have gone on
//! since it was made.

use super::{StoreError, hand};
use rusqlite::OpenFlags;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const MARK: &str = "UPDATE store SET state = 'recovering'";

/// It is no source that a copy to a server may go on from.
const DROP_COPY: &str = "UPDATE store SET copy = NULL";

const HAS_COPY: &str = "SELECT count(*) FROM pragma_table_info('store') WHERE name = 'copy'";

/// Where a copy is written until it is whole.
pub fn draft(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".part");
    name.into()
}

/// Copies the store at `source` to `target`, which must not be there: 0600, whole, checked, and on the disk when this returns.
/// Blocks for as long as that takes. Answers with the size, bytes.
///
/// It reads one moment of the store. What is committed meanwhile waits in the write-ahead log, which grows until then.
///
/// # Errors
///
/// [`StoreError::Copy`]; nothing stands at `target` then.
pub fn backup(source: &Path, target: &Path) -> Result<u64, StoreError> {
    let failed = |path: &Path, why: String| StoreError::Copy { path: path.to_owned(), why };
    if target.exists() {
        return Err(failed(target, "a file stands there, and a backup overwrites none".to_owned()));
    }
    let draft = draft(target);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            failed(&draft, "another backup is being written there, or was cut off: then remove it".to_owned())
        }
        _ => failed(&draft, error.to_string()),
    })?;
    let draft = Draft(draft);
    copy(source, &draft.0).map_err(|error| failed(&draft.0, error.to_string()))?;
    let finish = || {
        let file = File::open(&draft.0)?;
        file.sync_all()?;
        // Not over a file that came in meanwhile.
        renameat_with(CWD, &draft.0, CWD, target, RenameFlags::NOREPLACE)?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(file.metadata()?.len())
    };
    finish().map_err(|error: io::Error| failed(target, error.to_string()))
}

fn copy(source: &Path, draft: &Path) -> Result<(), rusqlite::Error> {
    let Some(path) = draft.to_str() else { return Err(rusqlite::Error::InvalidPath(draft.to_owned())) };
    let db = hand::open_for_a_thread(source, OpenFlags::SQLITE_OPEN_READ_ONLY, &[("mmap_size", "0")])?;
    db.execute("VACUUM INTO ?1", [path])?;
    let db = hand::open_for_a_thread(draft, OpenFlags::SQLITE_OPEN_READ_WRITE, &[("synchronous", "FULL")])?;
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(error, Some(format!("the copy is damaged: {found}"))));
    }
    db.execute(MARK, [])?;
    // An older store has no such column.
    if db.query_row(HAS_COPY, [], |row| row.get::<_, i64>(0))? > 0 {
        db.execute(DROP_COPY, [])?;
    }
    db.close().map_err(|(_, error)| error)
}

/// Goes if the copy does not come to its end.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It has its own name by then, if all went well.
        let _ = fs::remove_file(&self.0);
        let mut journal = OsString::from(&self.0);
        journal.push("-journal");
        let _ = fs::remove_file(journal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::State;
    use crate::store::behaviour::samples;
    use crate::store::{Store, StoreOptions};
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_copy_is_whole_and_knows_that_it_is_one() {
        let (place, store) = samples::store(samples::On::Sqlite).await;
        samples::running(&store, "1", "41").await;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("copy.db");

        let size = backup(&place.path(), &target).unwrap();
        samples::running(&store, "2", "42").await;

        let about = fs::metadata(&target).unwrap();
        assert_eq!((about.len(), about.permissions().mode() & 0o777), (size, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside it");
        let url = format!("sqlite://{}", target.display());
        let copy = Store::open(&url, place.sealer(), StoreOptions::default()).await.unwrap();
        assert!(copy.facts().recovering && !store.facts().recovering);
        assert_eq!((&copy.facts().id, copy.facts().generation), (&store.facts().id, 1));
        assert_eq!(samples::state(&copy, "1").await, State::Running);
        assert!(copy.operation(&samples::id("2")).await.unwrap().is_none(), "it came later");
        let rescued = copy.rescue(samples::NOW, |_| 0).await.unwrap();
        assert_eq!(rescued, [samples::id("1")], "who ran it is another host");
    }

    #[tokio::test]
    async fn a_released_copy_is_a_new_generation_and_stays_released() {
        let (place, store) = samples::store(samples::On::Sqlite).await;
        assert!(!store.release(samples::NOW).await.unwrap(), "nothing to release");
        let target = place.path().with_file_name("copy.db");
        backup(&place.path(), &target).unwrap();
        let url = format!("sqlite://{}", target.display());
        let copy = Store::open(&url, place.sealer(), StoreOptions::default()).await.unwrap();

        assert!(copy.release(samples::NOW).await.unwrap());
        assert!(!copy.release(samples::NOW).await.unwrap());

        copy.close().await;
        let copy = Store::open(&url, place.sealer(), StoreOptions::default()).await.unwrap();
        assert_eq!((copy.facts().recovering, copy.facts().generation), (false, 2));
    }

    #[tokio::test]
    async fn nothing_is_overwritten_and_nothing_half_stays() {
        let (place, _store) = samples::store(samples::On::Sqlite).await;
        let folder = tempfile::tempdir().unwrap();
        let (target, other) = (folder.path().join("there"), folder.path().join("other"));
        fs::write(&target, "mine").unwrap();
        fs::write(draft(&other), "half").unwrap();

        for (source, target, expected) in [
            (place.path(), &target, "overwrites none"),
            (place.path(), &other, "another backup"),
            (folder.path().join("none"), &folder.path().join("new"), "unable to open"),
            (place.path(), &folder.path().join("no/folder"), "No such file"),
        ] {
            let error = backup(&source, target).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }

        assert_eq!(fs::read(&target).unwrap(), b"mine");
        assert_eq!(fs::read(draft(&other)).unwrap(), b"half");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
