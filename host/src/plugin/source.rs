//! Reads a plugin file once, after making sure that only those who are trusted could have written it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::fs::{Mode, OFlags};

use super::Refusal;

/// Ten times the largest plugin seen, debug information included; more is a mistake, and would be held in memory.
const LIMIT_BYTES: u64 = 256 << 20;

const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// The content of the file at `path`. Links are followed first, and it is the folders they lead to that count.
pub(super) fn read(path: &Path, trusted_owner_uids: &[u32]) -> Result<Vec<u8>, Refusal> {
    let path = fs::canonicalize(path).map_err(missing_or_unreadable)?;
    check_folders_above(&path, trusted_owner_uids)?;

    // NOFOLLOW, because there was no link here a moment ago; NONBLOCK, because opening a pipe waits for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| missing_or_unreadable(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(Refusal::Unreadable)?;
    if !metadata.is_file() {
        return Err(Refusal::NotAFile);
    }
    check(&path, &metadata, trusted_owner_uids)?;
    read_up_to(file, metadata.len(), LIMIT_BYTES)
}

/// Whether nobody but the trusted could exchange a folder on the way to `path`, which is absolute and free of links.
pub(super) fn check_folders_above(path: &Path, trusted_owner_uids: &[u32]) -> Result<(), Refusal> {
    for folder in path.ancestors().skip(1) {
        let metadata = fs::symlink_metadata(folder).map_err(missing_or_unreadable)?;
        check(folder, &metadata, trusted_owner_uids)?;
    }
    Ok(())
}

fn read_up_to(file: impl Read, expected_bytes: u64, limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
    if expected_bytes > limit_bytes {
        return Err(Refusal::TooLarge { limit_bytes });
    }
    // The file may have grown since it was asked for its size.
    let mut bytes = Vec::with_capacity(expected_bytes as usize);
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(Refusal::Unreadable)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(Refusal::TooLarge { limit_bytes });
    }
    Ok(bytes)
}

/// Whether nobody but the trusted could put something else at `path`.
///
/// A folder that all may write to is no danger when it is sticky, as `/tmp` is: there only the owner of an entry can
/// move or remove it, and the owner of the next entry is looked at as well.
fn check(path: &Path, metadata: &fs::Metadata, trusted_owner_uids: &[u32]) -> Result<(), Refusal> {
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let is_sticky_folder = metadata.is_dir() && mode & STICKY != 0;
    let is_closed = mode & GROUP_OR_OTHERS_WRITE == 0 || is_sticky_folder;
    if is_closed && trusted_owner_uids.contains(&owner) {
        return Ok(());
    }
    Err(Refusal::Permissions { path: path.to_owned(), mode, owner })
}

fn missing_or_unreadable(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::NotFound,
        _ => Refusal::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit_and_not_past_it() {
        assert_eq!(read_up_to(&b"1234"[..], 4, 4).unwrap(), b"1234");
        let announced = read_up_to(&b"12345"[..], 5, 4);
        assert!(matches!(announced, Err(Refusal::TooLarge { limit_bytes: 4 })));
        let grown = read_up_to(&b"12345"[..], 3, 4);
        assert!(matches!(grown, Err(Refusal::TooLarge { limit_bytes: 4 })));
    }
}
