//! The store's files: who may read them, and who has them open.

use super::StoreError;
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The database file that `url` names: `sqlite://` and an absolute path.
pub fn path_of(url: &str) -> Result<PathBuf, StoreError> {
    let refused = |why: &str| StoreError::Open { path: url.into(), why: why.to_owned() };
    let path = url.strip_prefix("sqlite://").ok_or_else(|| refused("the address must begin with sqlite://"))?;
    if !path.starts_with('/') || path.ends_with('/') || path.contains(['?', '\0']) {
        return Err(refused("the address must be sqlite:// and the absolute path of a file, without options"));
    }
    Ok(path.into())
}

/// Makes the folder (0700) and the file (0600) if they are missing; closes the file to others in any case.
///
/// SQLite gives its side files the mode of the database file, whatever the umask.
pub fn prepare(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Open { path: path.to_owned(), why: error.to_string() };
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.and_then(|file| file.set_permissions(Permissions::from_mode(0o600))).map_err(failed)
}

/// Makes the folder (0700) if it is missing.
///
/// # Errors
///
/// [`StoreError::Open`] where it cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Open { path: folder.to_owned(), why: error.to_string() };
    if folder.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)
}

/// The store is ours for as long as this lives, also against a process that is killed: the system gives it back.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the store at `path`.
    pub async fn take(path: &Path) -> Result<Self, StoreError> {
        let mut name = OsString::from(path);
        name.push(".lock");
        let mut patience = 200;
        loop {
            match Self::attempt(path, Path::new(&name)) {
                // Our own store, dropped a moment ago: its last transaction is still being written.
                Err(StoreError::Locked { holder, .. }) if patience > 0 && holder == own() => {
                    patience -= 1;
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "it waits for another thread of this process, not for a time"
                    )]
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other => return other,
            }
        }
    }

    fn attempt(path: &Path, name: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Open { path: name.to_owned(), why: error.to_string() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(name)
            .map_err(failed)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(error.into()));
            }
            let mut holder = String::new();
            let read = file.take(100).read_to_string(&mut holder);
            let holder = holder.trim().to_owned();
            let holder = if read.is_err() || holder.is_empty() { "another process".to_owned() } else { holder };
            return Err(StoreError::Locked { path: path.to_owned(), holder });
        }
        let written = file
            .set_permissions(Permissions::from_mode(0o600))
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", own()));
        written.map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked a moment ago holds the same open file until it has become
        // another program.
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(error = %error, "the store's lock could not be given back");
        }
    }
}

fn own() -> String {
    format!("process {}", std::process::id())
}
