//! The socket files: made with their final rights, never taken from a live daemon, taken away at the end.

use super::ServeError;
use super::accounts;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Whoever may reach the folder is held off by the rights of the sockets themselves.
const FOLDER_MODE: u32 = 0o755;

/// The folder of the sockets, held by one daemon at a time.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    // Released by the kernel when the daemon ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder if there is none, checks whose it is, and takes its lock.
    pub(super) fn take(path: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Folder { path: path.to_owned(), source };
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(failed)?;
        }
        let found = fs::metadata(path).map_err(failed)?;
        let own = rustix::process::geteuid().as_raw();
        let is_safe = found.is_dir() && (found.uid() == own || found.uid() == 0) && found.mode() & 0o022 == 0;
        if !is_safe {
            return Err(ServeError::FolderNotOurs { path: path.to_owned() });
        }
        let lock = path.join(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(lock)
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                Err(ServeError::SocketInUse { path: path.to_owned() })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Listens on `name`. What a dead daemon left there is replaced; what somebody listens on is not.
    pub(super) fn listen(
        &self,
        name: &str,
        mode: u32,
        group: Option<&str>,
    ) -> Result<(UnixListener, SocketFile), ServeError> {
        let path = self.path.join(name);
        let gid = group
            .map(|group| accounts::group_id(group).ok_or_else(|| ServeError::UnknownGroup { group: group.to_owned() }))
            .transpose()?;
        is_free(&path)?;
        let failed = |source| ServeError::Bind { path: path.clone(), source };
        // A socket takes connections from the moment it is bound, with the rights that the umask gives it. So it is born in
        // a folder that nobody else can enter, gets its rights there, and is then moved to its place in one go.
        let nursery = Nursery::new(self.path.join(format!(".b{}", std::process::id()))).map_err(failed)?;
        let born = nursery.path.join("s");
        let listener = UnixListener::bind(&born).map_err(failed)?;
        fs::set_permissions(&born, Permissions::from_mode(mode)).map_err(failed)?;
        if let Some(gid) = gid {
            chown(&born, None, Some(gid)).map_err(|source| ServeError::Group {
                path: path.clone(),
                group: group.unwrap_or_default().to_owned(),
                source,
            })?;
        }
        fs::rename(&born, &path).map_err(failed)?;
        let made = fs::symlink_metadata(&path).map_err(failed)?;
        Ok((listener, SocketFile { path, place: (made.dev(), made.ino()) }))
    }
}

/// Whether a socket may be put at `path`. The folder's lock is held, so no other Billhook moves it meanwhile.
fn is_free(path: &Path) -> Result<(), ServeError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ServeError::Bind { path: path.to_owned(), source }),
    };
    if !found.file_type().is_socket() {
        return Err(ServeError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // Taken away since it was looked at.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(ServeError::SocketInUse { path: path.to_owned() }),
        // A full backlog or missing rights: somebody is there, or may be.
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
            Err(ServeError::SocketInUse { path: path.to_owned() })
        }
        Err(source) => Err(ServeError::Bind { path: path.to_owned(), source }),
    }
}

/// A folder for the time of a bind.
struct Nursery {
    path: PathBuf,
}

impl Nursery {
    fn new(path: PathBuf) -> io::Result<Self> {
        // Of a daemon that had this process id and was killed between bind and rename.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A socket's file; taken away when dropped, if it is still the one that was made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    place: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.place);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a socket file could not be taken away");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        (dir, path)
    }

    #[tokio::test]
    async fn a_socket_is_born_with_its_rights_and_goes_with_its_owner() {
        let (_dir, path) = folder();
        let folder = Folder::take(&path).unwrap();

        let (_listener, file) = folder.listen("hook.sock", 0o660, None).unwrap();

        assert_eq!(fs::metadata(path.join("hook.sock")).unwrap().mode() & 0o777, 0o660);
        UnixStream::connect(path.join("hook.sock")).unwrap();
        let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "the socket and the lock: {names:?}");
        drop(file);
        assert!(!path.join("hook.sock").exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let (_dir, path) = folder();
        fs::create_dir(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path.join("hook.sock")).unwrap());
        assert!(path.join("hook.sock").exists());

        let made = Folder::take(&path).unwrap().listen("hook.sock", 0o660, None);

        assert!(made.is_ok(), "{made:?}");
        UnixStream::connect(path.join("hook.sock")).unwrap();
    }

    #[tokio::test]
    async fn a_live_socket_is_left_alone() {
        let (_dir, path) = folder();
        fs::create_dir(&path).unwrap();
        let live = std::os::unix::net::UnixListener::bind(path.join("hook.sock")).unwrap();

        let refused = Folder::take(&path).unwrap().listen("hook.sock", 0o660, None);

        assert!(matches!(refused, Err(ServeError::SocketInUse { .. })), "{refused:?}");
        UnixStream::connect(path.join("hook.sock")).unwrap();
        drop(live);
    }

    #[tokio::test]
    async fn a_folder_has_one_daemon() {
        let (_dir, path) = folder();
        let first = Folder::take(&path).unwrap();

        assert!(matches!(Folder::take(&path), Err(ServeError::SocketInUse { .. })));
        drop(first);
        Folder::take(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_refused_and_stays() {
        let (_dir, path) = folder();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("hook.sock"), "notes").unwrap();

        let refused = Folder::take(&path).unwrap().listen("hook.sock", 0o660, None);

        assert!(matches!(refused, Err(ServeError::NotASocket { .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(path.join("hook.sock")).unwrap(), "notes");
    }

    #[tokio::test]
    async fn a_socket_that_another_put_there_is_not_taken_away() {
        let (_dir, path) = folder();
        let folder = Folder::take(&path).unwrap();
        let (_listener, file) = folder.listen("hook.sock", 0o660, None).unwrap();
        fs::remove_file(path.join("hook.sock")).unwrap();
        fs::write(path.join("hook.sock"), "another's").unwrap();

        drop(file);

        assert!(path.join("hook.sock").exists());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let (_dir, path) = folder();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();

        assert!(matches!(Folder::take(&path), Err(ServeError::FolderNotOurs { .. })));
    }

    #[tokio::test]
    async fn an_unknown_group_is_named() {
        let (_dir, path) = folder();
        let refused = Folder::take(&path).unwrap().listen("hook.sock", 0o660, Some("no-such-group"));
        assert!(matches!(refused, Err(ServeError::UnknownGroup { group }) if group == "no-such-group"));
    }
}
