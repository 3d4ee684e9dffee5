//! Files that hold a secret: read only when nobody else can read them, made so that nobody else ever could.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Reads a secret file of at most `max_bytes`.
///
/// The file must be regular, belong to root or to the user of this process, and be closed to group and world. What is
/// checked is the opened file, so that nothing can be swapped between the look and the read.
///
/// # Errors
///
/// [`PrivateFileError`], each with its remedy.
pub fn read(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let unreadable = |source| PrivateFileError::Unreadable { path: path.to_owned(), source };
    // Not blocking: opening a pipe that somebody put in the file's place would otherwise wait for ever.
    let mut file = OpenOptions::new().read(true).custom_flags(nonblock()).open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(PrivateFileError::NotAFile { path: path.to_owned() });
    }
    let own = rustix::process::geteuid().as_raw();
    if about.uid() != 0 && about.uid() != own {
        return Err(PrivateFileError::ForeignOwner { path: path.to_owned(), owner: about.uid(), own });
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Open { path: path.to_owned(), mode });
    }
    // Room for all of it at once: a vector that grows leaves copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
    (&mut file).take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > max_bytes {
        return Err(PrivateFileError::TooLong { path: path.to_owned(), max_bytes });
    }
    Ok(bytes)
}

/// Creates `path` with mode 0600 and `bytes`, durably and in one piece; an existing file is never touched.
///
/// # Errors
///
/// [`PrivateFileError::Exists`], or [`PrivateFileError::Unwritable`] when the folder is missing, closed or full.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let unwritable = |source| PrivateFileError::Unwritable { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let draft = folder.join(name);
    let written = write_draft(&draft, bytes).and_then(|()| {
        // A link, not a rename: it fails where a file stands already, and the file appears whole.
        fs::hard_link(&draft, path)
    });
    // Whatever came of it, the draft must not stay; that it is gone already is no news.
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(PrivateFileError::Exists { path: path.to_owned() })
        }
        Err(source) => Err(unwritable(source)),
    }
}

/// Why a secret file was not read or not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// Missing, or closed to this process.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder, pipe, socket or device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else can change what is in it.
    #[error("{} belongs to user {owner}; it must belong to root or to user {own}: chown it", path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who this process is.
        own: u32,
    },
    /// Group or world have rights on it.
    #[error("{path} has mode {mode:04o}, so that others can read the secret: chmod 600 {path}, and change the secret \
        if others may have seen it", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a secret of any kind known here.
    #[error("{} is longer than {max_bytes} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What was expected at most.
        max_bytes: usize,
    },
    /// A file stands there; it was left alone.
    #[error("{} exists already and was left alone", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The folder is missing, closed or full.
    #[error("cannot create {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn write_draft(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    // A draft of a process of the same number that died half-way.
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn nonblock() -> i32 {
    // The bits are those of the system's header, where they are a C int.
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file_with_mode(folder: &Path, mode: u32) -> PathBuf {
        let path = folder.join(format!("{mode:o}"));
        fs::write(&path, "hunter2-hunter2").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        path
    }

    #[test]
    fn only_a_file_closed_to_others_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        for mode in [0o600, 0o400] {
            let path = file_with_mode(folder.path(), mode);
            assert_eq!(read(&path, 64).expect("private").as_slice(), b"hunter2-hunter2", "{mode:o}");
        }
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o610] {
            let path = file_with_mode(folder.path(), mode);
            let error = read(&path, 64).expect_err("open to others");
            assert!(matches!(error, PrivateFileError::Open { mode: found, .. } if found == mode), "{error:?}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_is_no_file_or_too_long_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file_with_mode(folder.path(), 0o600);

        assert!(matches!(read(folder.path(), 64), Err(PrivateFileError::NotAFile { .. })));
        assert!(matches!(read(&path, 14), Err(PrivateFileError::TooLong { max_bytes: 14, .. })));
        assert!(read(&path, 15).is_ok());
        assert!(matches!(read(&folder.path().join("none"), 64), Err(PrivateFileError::Unreadable { .. })));
    }

    #[test]
    fn a_new_file_is_private_whole_and_never_replaces_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host.key");

        create(&path, b"first").expect("created");
        let again = create(&path, b"second").expect_err("it exists");

        assert!(matches!(again, PrivateFileError::Exists { .. }));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        assert_eq!(read(&path, 64).expect("private").as_slice(), b"first");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "no draft stays");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = create(Path::new("/nonexistent/host.key"), b"x").expect_err("no folder");
        assert_eq!(error.to_string(), "cannot create /nonexistent/host.key");
    }
}
