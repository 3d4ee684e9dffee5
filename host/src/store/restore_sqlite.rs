//! A backup is put into the place of the store.

use super::file::{Lock, make_folder};
use super::inspect_sqlite::{Inspected, inspect};
use super::{StoreError, backup_sqlite};
use crate::seal::Sealer;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a backup was not put in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup or the place cannot be read or written, or a daemon has the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something is there that would be lost, or would damage what is restored.
    #[error("{} is there, and a restore overwrites nothing", path.display())]
    Occupied {
        /// A file of the store.
        path: PathBuf,
    },
    /// Its files would not be the daemon's.
    #[error("the folder of the store belongs to user {owner}, and this is user {own}")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who asks.
        own: u32,
    },
    /// Not all of it can be read.
    #[error("the backup is damaged: {why}")]
    Damaged {
        /// The database's words.
        why: String,
    },
    /// It was written by a newer host.
    #[error("the backup has tables of version {found}, this host knows {known}")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest that this host knows.
        known: u32,
    },
    /// It is no backup but a store that has moved.
    #[error("the file is a store that is retired: {gone_to}")]
    Retired {
        /// Where it is now.
        gone_to: String,
    },
    /// What is sealed in it would be lost.
    #[error("the host's keys do not open what is sealed in the backup: {why}")]
    Sealed {
        /// Names the key.
        why: String,
    },
}

impl RestoreError {
    /// What helps.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Store(error) => match error {
                StoreError::Locked { .. } => "stop the daemon",
                _ => "name a backup, and see that there is room on the disk of store.url",
            },
            Self::Occupied { .. } => {
                "stop the daemon and move the database away together with its -wal and -shm, all three"
            }
            Self::Owner { .. } => "restore as the daemon's user",
            Self::Damaged { .. } => "take an earlier backup",
            Self::Newer { .. } => "install the newer Billhook",
            Self::Retired { .. } => "serve it where it is now",
            Self::Sealed { .. } => "put the key that it names beside the host key, as host.key. with its id behind",
        }
    }
}

/// Puts the backup at `source` into the place of the store at `target`, where nothing may be; whole, checked and on the disk when
/// this returns, with its size in bytes. The store is *recovering* then.
///
/// # Errors
///
/// [`RestoreError`]; nothing stands at `target` then.
pub async fn restore(source: &Path, target: &Path, sealer: &Sealer) -> Result<(Inspected, u64), RestoreError> {
    let side = |name: &str| -> PathBuf {
        let mut path = OsString::from(target);
        path.push(name);
        path.into()
    };
    if let Some(folder) = target.parent() {
        make_folder(folder)?;
        let own = rustix::process::geteuid().as_raw();
        let owner = std::fs::metadata(folder).map(|about| about.uid()).unwrap_or(own);
        if owner != own {
            return Err(RestoreError::Owner { owner, own });
        }
    }
    // First: a daemon that runs has its files there as well.
    let _lock = Lock::take(target).await?;
    for path in ["", "-wal", "-shm", "-journal"].map(side) {
        if path.exists() {
            return Err(RestoreError::Occupied { path });
        }
    }
    // What was cut off before is nobody's.
    let _ = std::fs::remove_file(backup_sqlite::draft(target));
    let found = inspect(source, Some(sealer))?;
    if let Some(why) = found.flaws.first() {
        return Err(RestoreError::Damaged { why: why.clone() });
    }
    let (version, known) = found.schema;
    if version > known {
        return Err(RestoreError::Newer { found: version, known });
    }
    if found.state == "retired" {
        let gone_to = found.gone_to.clone().unwrap_or_else(|| "a copy of it has taken over".to_owned());
        return Err(RestoreError::Retired { gone_to });
    }
    if let Some(why) = found.closed.first() {
        return Err(RestoreError::Sealed { why: why.clone() });
    }
    let (source, target) = (source.to_owned(), target.to_owned());
    let copied = tokio::task::spawn_blocking(move || backup_sqlite::backup(&source, &target)).await;
    let size = copied.map_err(|error| StoreError::Unavailable(error.to_string()))??;
    Ok((found, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::State;
    use crate::seal::HostKey;
    use crate::store::backup;
    use crate::store::behaviour::samples::{self, On};

    #[tokio::test]
    async fn a_backup_takes_the_place_of_a_store_that_is_gone_and_is_recovering() {
        let (place, store) = samples::store(On::Sqlite).await;
        samples::running(&store, "1", "41").await;
        let copy = place.path().with_file_name("copy.db");
        backup(&place.path(), &copy).unwrap();
        samples::running(&store, "2", "42").await;

        let busy = restore(&copy, &place.path(), &place.sealer()).await.unwrap_err();
        assert!(matches!(busy, RestoreError::Store(StoreError::Locked { .. })), "{busy:?}");
        store.close().await;
        let there = restore(&copy, &place.path(), &place.sealer()).await.unwrap_err();
        assert!(matches!(&there, RestoreError::Occupied { path } if *path == place.path()), "{there:?}");
        std::fs::remove_file(place.path()).unwrap();
        let log = place.path().with_file_name("store.db-wal");
        std::fs::write(&log, "of another store").unwrap();
        let there = restore(&copy, &place.path(), &place.sealer()).await.unwrap_err();
        assert!(matches!(&there, RestoreError::Occupied { path } if *path == log), "{there:?}");
        std::fs::remove_file(log).unwrap();

        let (found, size) = restore(&copy, &place.path(), &place.sealer()).await.unwrap();

        assert_eq!((found.services, size), (1, std::fs::metadata(place.path()).unwrap().len()));
        let store = place.open().await;
        assert!(store.facts().recovering);
        assert_eq!(samples::state(&store, "1").await, State::Running);
        assert!(store.operation(&samples::id("2")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_would_be_no_store_is_not_put_in_place() {
        let (place, store) = samples::store(On::Sqlite).await;
        for n in 0..50 {
            samples::running(&store, &n.to_string(), &n.to_string()).await;
        }
        let copy = place.path().with_file_name("copy.db");
        backup(&place.path(), &copy).unwrap();
        store.close().await;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("data/billhook.db");
        let changed = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::copy(&copy, &path).unwrap();
            rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
            path
        };
        let newer = changed("newer", "UPDATE store SET schema = 99");
        let retired = changed("retired", "UPDATE store SET state = 'retired', gone_to = 'postgres://u@h/d'");
        let damaged = folder.path().join("damaged");
        let mut bytes = std::fs::read(&copy).unwrap();
        let middle = bytes.len() / 4096 / 2 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(&damaged, bytes).unwrap();
        let stranger = Sealer::new(HostKey::random().unwrap(), vec![]).unwrap();

        for (source, sealer, expected) in [
            (&newer, place.sealer(), "version 99"),
            (&retired, place.sealer(), "postgres://u@h/d"),
            (&damaged, place.sealer(), "damaged"),
            (&copy, stranger, "do not open"),
            (&folder.path().join("none"), place.sealer(), "cannot open"),
        ] {
            let error = restore(source, &target, &sealer).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{expected}: {error}");
            assert!(!target.exists());
        }
        restore(&copy, &target, &place.sealer()).await.unwrap();
    }
}
