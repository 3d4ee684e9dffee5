//! Keeps a private copy of each plugin content that was trusted, under its hash. Nothing is taken away: an operation that
//! was begun by a content goes on with it.
//!
//! What is opened is this copy, so that an upgrade in place can neither change pages that are mapped nor slip in
//! between the check and the opening. A copy is never written to: a wrong one is replaced by name.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::OFlags;

use super::{LoadPolicy, Refusal, Sha256, error::StageProblem, source};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o500;

/// The path of the copy, made or found. On return it is on the disk.
pub(super) fn stage(bytes: &[u8], sha256: Sha256, policy: &LoadPolicy) -> Result<PathBuf, Refusal> {
    let folder = &policy.staging_folder;
    ensure_private(folder).map_err(|problem| Refusal::stage(folder, problem))?;
    // Absolute, because the dynamic linker looks for a name without a folder in places of its own.
    let folder = &fs::canonicalize(folder).map_err(|error| Refusal::stage(folder, error))?;
    source::check_folders_above(folder, &policy.trusted_owner_uids)?;
    let path = copy(folder, sha256);
    let holds = |path: &Path| holds(path, bytes.len() as u64, sha256);
    if holds(&path).map_err(|error| Refusal::stage(&path, error))? {
        return Ok(path);
    }
    replace(&path, bytes, FILE_MODE).map_err(|error| Refusal::stage(&path, error))?;
    Ok(path)
}

/// The path and the content of a copy that an earlier start made.
pub(super) fn kept(sha256: Sha256, policy: &LoadPolicy) -> Result<(PathBuf, Vec<u8>), Refusal> {
    let folder = &policy.staging_folder;
    // Not made: without the folder nothing was kept.
    let folder = &fs::canonicalize(folder).map_err(|_| Refusal::NotFound)?;
    check_private(folder).map_err(|problem| Refusal::stage(folder, problem))?;
    let path = copy(folder, sha256);
    let bytes = source::read(&path, &policy.trusted_owner_uids)?;
    let found = Sha256::of(&bytes);
    if found != sha256 {
        return Err(Refusal::HashMismatch { expected: sha256, found });
    }
    Ok((path, bytes))
}

fn copy(folder: &Path, sha256: Sha256) -> PathBuf {
    folder.join(format!("{sha256}.so"))
}

fn ensure_private(folder: &Path) -> Result<(), StageProblem> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    check_private(folder)
}

fn check_private(folder: &Path) -> Result<(), StageProblem> {
    let metadata = fs::symlink_metadata(folder)?;
    if !metadata.is_dir() {
        return Err(StageProblem::NotAFolder);
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != own_uid() || mode & 0o077 != 0 {
        return Err(StageProblem::NotPrivate { owner, mode });
    }
    Ok(())
}

/// Whether the file at `path` is the copy: ours, closed to writing, and of this content.
fn holds(path: &Path, size_bytes: u64, sha256: Sha256) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        // A link in its place is not the copy, and is replaced like any other wrong file.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let is_ours = metadata.is_file()
        && metadata.uid() == own_uid()
        && metadata.mode() & 0o7777 == FILE_MODE
        && metadata.len() == size_bytes;
    if !is_ours {
        return Ok(false);
    }
    let mut found = Vec::with_capacity(size_bytes as usize);
    file.read_to_end(&mut found)?;
    Ok(Sha256::of(&found) == sha256)
}

/// Writes beside and renames, so that under its own name a file is whole or absent, whenever the power goes.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // The process id and a counter: nobody else alive has this name, and whoever had it is gone.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!(".{}.{number}.new", std::process::id()));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&beside, bytes, mode).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        // The reason for the failure is worth more than that of this one.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const CONTENT: &[u8] = b"the content";

    fn policy() -> (tempfile::TempDir, LoadPolicy) {
        let folder = tempfile::tempdir().unwrap();
        let policy = LoadPolicy::new(folder.path().join("staged"));
        (folder, policy)
    }

    fn staged(policy: &LoadPolicy) -> PathBuf {
        stage(CONTENT, Sha256::of(CONTENT), policy).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_copy_is_private_read_only_and_alone() {
        let (_folder, policy) = policy();

        let path = staged(&policy);

        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o500);
        assert_eq!(fs::metadata(&policy.staging_folder).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(names(&policy.staging_folder), [format!("{}.so", Sha256::of(CONTENT))]);
    }

    #[test]
    fn a_good_copy_is_used_again() {
        let (_folder, policy) = policy();
        let first = fs::metadata(staged(&policy)).unwrap().ino();

        assert_eq!(fs::metadata(staged(&policy)).unwrap().ino(), first);
    }

    #[test]
    fn whatever_else_stands_in_the_copys_place_is_replaced_and_never_written_to() {
        let (folder, policy) = policy();
        let path = staged(&policy);
        let victim = folder.path().join("victim");
        let spoil: [(&str, &dyn Fn()); 3] = [
            ("other content", &|| {
                fs::remove_file(&path).unwrap();
                write_new(&path, b"the c0ntent", FILE_MODE).unwrap();
            }),
            ("writable", &|| {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("a link", &|| {
                fs::remove_file(&path).unwrap();
                write_new(&victim, CONTENT, FILE_MODE).unwrap();
                symlink(&victim, &path).unwrap();
            }),
        ];
        for (what, spoil) in spoil {
            spoil();
            let before = fs::symlink_metadata(&path).unwrap().ino();

            staged(&policy);

            let after = fs::symlink_metadata(&path).unwrap();
            assert!(after.is_file() && after.ino() != before, "{what}");
            assert_eq!(fs::read(&path).unwrap(), CONTENT, "{what}");
            assert_eq!(after.mode() & 0o7777, 0o500, "{what}");
        }
    }

    #[test]
    fn a_folder_that_others_reach_into_is_refused() {
        let (_folder, policy) = policy();
        staged(&policy);
        fs::set_permissions(&policy.staging_folder, fs::Permissions::from_mode(0o750)).unwrap();

        let refused = stage(CONTENT, Sha256::of(CONTENT), &policy);

        let Err(Refusal::Stage { source: StageProblem::NotPrivate { mode, .. }, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(mode, 0o750);
    }

    #[test]
    fn a_folder_above_that_others_write_to_is_refused() {
        let (folder, policy) = policy();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();

        let refused = stage(CONTENT, Sha256::of(CONTENT), &policy);

        assert!(matches!(refused, Err(Refusal::Permissions { mode: 0o777, .. })));
    }

    #[test]
    fn what_is_left_of_a_crashed_writer_with_our_number_is_no_obstacle() {
        let (_folder, policy) = policy();
        staged(&policy);
        for number in 0..64 {
            let name = format!(".{}.{number}.new", std::process::id());
            fs::write(policy.staging_folder.join(name), b"half").unwrap();
        }

        let path = stage(b"other", Sha256::of(b"other"), &policy).unwrap();

        assert_eq!(fs::read(path).unwrap(), b"other");
    }
}
