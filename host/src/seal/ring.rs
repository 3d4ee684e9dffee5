//! The host's keys as files: the one that seals, and beside it older ones, which only open.
//!
//! An older key's file has the newest one's name and its own id behind it, `host.key.1a2b3c4d`. A rotation is steps, after each
//! of which everything that was ever sealed still opens: whatever ends the process between two of them.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Sealer;
use super::key::{HostKey, KeyError, KeyId};
use super::private_file::{self, PrivateFileError};

/// Digits of a key's id.
const ID_LEN: usize = 8;

/// The key at `path`, and the older ones beside it.
///
/// # Errors
///
/// As [`HostKey::load`], also for an older one.
pub fn load(path: &Path) -> Result<Sealer, KeyError> {
    let newest = HostKey::load(path)?;
    let mut older = Vec::new();
    for file in files(path)? {
        let key = HostKey::load(&file)?;
        // A rotation that ended before its last step.
        if key.id() != newest.id() {
            older.push(key);
        }
    }
    Sealer::new(newest, older)
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Seals from the next start on.
    pub newest: KeyId,
    /// Sealed until now.
    pub former: KeyId,
    /// Where it is kept until nothing is sealed with it.
    pub kept_at: PathBuf,
}

/// Makes a new key and keeps the one at `path` beside it. A daemon that runs goes on with the keys that it has read.
///
/// # Errors
///
/// [`KeyError`]; everything opens as before then.
pub fn rotate(path: &Path) -> Result<Rotated, KeyError> {
    rotate_for(path, usize::MAX)
}

/// Ends after so many steps, as a process does that is killed.
fn rotate_for(path: &Path, steps: usize) -> Result<Rotated, KeyError> {
    let unwritable =
        |path: &Path, source| KeyError::File(PrivateFileError::Unwritable { path: path.to_owned(), source });
    let owner =
        fs::metadata(path).map_err(|source| PrivateFileError::Unreadable { path: path.to_owned(), source })?.uid();
    let own = rustix::process::geteuid().as_raw();
    if owner != own {
        // The daemon could not read a file of ours.
        return Err(KeyError::File(PrivateFileError::ForeignOwner { path: path.to_owned(), owner, own }));
    }
    let former = HostKey::load(path)?;
    let newest = former.successor()?;
    let (new_file, kept_at) = (beside(path, newest.id()), beside(path, former.id()));
    let rotated = Rotated { newest: newest.id(), former: former.id(), kept_at };
    for step in 0..steps.min(3) {
        match step {
            0 => private_file::create(&new_file, newest.to_text().as_bytes())?,
            1 => match private_file::create(&rotated.kept_at, former.to_text().as_bytes()) {
                // A rotation that ended early kept it already.
                Err(PrivateFileError::Exists { .. }) if HostKey::load(&rotated.kept_at)?.id() == former.id() => {}
                made => made?,
            },
            _ => {
                let moved = fs::rename(&new_file, path).and_then(|()| File::open(folder(path))?.sync_all());
                moved.map_err(|source| unwritable(path, source))?;
            }
        }
    }
    Ok(rotated)
}

/// Removes the older keys beside `path`: nothing is sealed with them any more. Answers with the files that went.
///
/// # Errors
///
/// [`KeyError::File`] for one that cannot be read or removed.
pub fn forget_older(path: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let files = files(path)?;
    for file in &files {
        fs::remove_file(file).map_err(|source| PrivateFileError::Unwritable { path: file.clone(), source })?;
    }
    Ok(files)
}

/// The files of older keys, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let unreadable = |source| PrivateFileError::Unreadable { path: folder(path).to_owned(), source };
    let prefix = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder(path)).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if id.is_some_and(|id| id.len() == ID_LEN && id.bytes().all(|b| b.is_ascii_hexdigit())) {
            files.push(folder(path).join(name));
        }
    }
    files.sort();
    Ok(files)
}

fn beside(path: &Path, id: KeyId) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{id}"));
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::super::Context;
    use super::*;

    const PLACE: Context<'_> = Context { table: "t", column: "c", row: "r" };

    #[test]
    fn wherever_a_rotation_ends_everything_opens_and_the_next_one_goes_through() {
        for steps in 0..=3 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("host.key");
            HostKey::create(&path).unwrap();
            let before = load(&path).unwrap();
            let (sealed, prints) = (before.seal(&PLACE, b"secret").unwrap(), before.prints());

            rotate_for(&path, steps).unwrap();
            let cut_off = load(&path).unwrap();
            assert_eq!(cut_off.open(&PLACE, &sealed).unwrap().as_slice(), b"secret", "{steps} steps");
            assert_eq!(cut_off.is_stale(&sealed), steps == 3, "{steps} steps");
            let later = cut_off.seal(&PLACE, b"later").unwrap();

            let rotated = rotate(&path).unwrap();
            let after = load(&path).unwrap();
            assert_eq!((after.key_id(), after.has_older()), (rotated.newest, true));
            assert_eq!(after.open(&PLACE, &sealed).unwrap().as_slice(), b"secret");
            assert_eq!(after.open(&PLACE, &later).unwrap().as_slice(), b"later");
            assert_eq!(after.prints(), prints, "what a repeat is recognised by stays the same");

            assert!(!forget_older(&path).unwrap().is_empty());
            let alone = load(&path).unwrap();
            assert!(!alone.has_older() && alone.open(&PLACE, &sealed).is_err());
        }
    }

    #[test]
    fn other_files_beside_the_key_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.key");
        HostKey::create(&path).unwrap();
        for name in ["host.key.bak", "host.key.12345", "host.key.1234567x", "other.12345678"] {
            fs::write(folder.path().join(name), "not a key").unwrap();
        }
        assert!(!load(&path).unwrap().has_older());
        assert!(forget_older(&path).unwrap().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[test]
    fn an_older_key_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.key");
        HostKey::create(&path).unwrap();
        let rotated = rotate(&path).unwrap();
        fs::write(&rotated.kept_at, "id: 00000000\n").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains(&rotated.kept_at.display().to_string()), "{error}");
    }
}
