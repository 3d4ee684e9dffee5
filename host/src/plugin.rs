//! Loads plugins: from a path to something that opens providers, or a refusal that says why and what to do.
//!
//! No code of a file runs before the file has been read whole, looked through and trusted. The steps, each a file:
//! [`source`] opens and reads it once, [`precheck`] looks at the bytes, the [policy](LoadPolicy) trusts them or not,
//! [`stage`] puts them where nobody else writes, [`open`] hands that copy to the dynamic linker.
//!
//! A library is never unloaded: statics and thread-locals of it may be in use anywhere.

use std::path::{Path, PathBuf};

use billhook_abi::{CallError, HostObject, PluginModule_Ref, PluginObject, edge::RVec};

mod digest;
mod error;
mod open;
mod precheck;
mod source;
mod stage;

pub use digest::{BadDigest, Sha256};
pub use error::{LoadError, Refusal};

/// Whom to believe, and where to put what is believed.
#[derive(Debug, Clone)]
pub struct LoadPolicy {
    /// Private folder for the copies that are opened; made with mode 0700 when absent.
    pub staging_folder: PathBuf,
    /// The content that the operator pinned. With a pin, no other content is opened.
    pub pinned: Option<Sha256>,
    /// Who may own a plugin and the folders above it.
    pub trusted_owner_uids: Vec<u32>,
    /// Whether the file came with the host, which is trusted without a pin.
    pub built_with_host: bool,
}

impl LoadPolicy {
    /// Trusts what root or this process's own user owns, and no content without a pin.
    pub fn new(staging_folder: impl Into<PathBuf>) -> Self {
        Self {
            staging_folder: staging_folder.into(),
            pinned: None,
            trusted_owner_uids: vec![0, rustix::process::geteuid().as_raw()],
            built_with_host: false,
        }
    }

    fn judge(&self, found: Sha256) -> Result<(), Refusal> {
        match self.pinned {
            Some(expected) if expected == found => Ok(()),
            Some(expected) => Err(Refusal::HashMismatch { expected, found }),
            None if self.built_with_host => Ok(()),
            None => Err(Refusal::NotTrusted { found }),
        }
    }
}

/// A plugin in memory, for the rest of the process's life.
#[derive(Clone)]
pub struct Loaded {
    /// The crate name, which is the provider's name in configuration.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// Of the content that was opened.
    pub sha256: Sha256,
    /// The private copy that was opened.
    pub staged_path: PathBuf,
    /// What the plugin says about itself; known to be JSON and no more than that.
    pub manifest_json: String,
    module: PluginModule_Ref,
}

impl Loaded {
    /// Opens a provider for one server, whose `settings` are JSON. `host` is what the provider calls back on.
    ///
    /// # Errors
    ///
    /// [`CallFailure`] as the plugin gave it; a panic in it comes as [`billhook_abi::code::PANICKED`].
    pub fn open(&self, host: HostObject, settings: &[u8]) -> Result<PluginObject, CallFailure> {
        let outcome = (self.module.open())(host, RVec::from(settings));
        outcome.into_result().map_err(CallFailure::from)
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("sha256", &self.sha256)
            .field("staged_path", &self.staged_path)
            .finish_non_exhaustive()
    }
}

/// A [`CallError`] in the host's own memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallFailure {
    /// One of [`billhook_abi::code`].
    pub code: u32,
    /// One line for staff.
    pub message: String,
    /// JSON whose shape the code gives, or empty.
    pub details: Vec<u8>,
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        Self { code: error.code, message: error.message.into_string(), details: error.details.into_vec() }
    }
}

/// Loads the plugin at `path`. Blocks for some milliseconds, and runs the library's constructors.
///
/// Equal content is mapped once, however often and from wherever it is loaded.
///
/// # Errors
///
/// [`LoadError`], one [`Refusal`] for each way to be wrong. Up to and including [`Refusal::Stage`], no code of the
/// file has run.
pub fn load(path: &Path, policy: &LoadPolicy) -> Result<Loaded, LoadError> {
    steps(path, policy).map_err(|refusal| LoadError { path: path.to_owned(), refusal })
}

fn steps(path: &Path, policy: &LoadPolicy) -> Result<Loaded, Refusal> {
    let bytes = source::read(path, &policy.trusted_owner_uids)?;
    let descriptor = precheck::descriptor(&bytes)?;
    let sha256 = Sha256::of(&bytes);
    policy.judge(sha256)?;
    let staged_path = stage::stage(&bytes, sha256, policy)?;
    let module = open::open(&staged_path)?;
    let manifest_json = open::manifest(module)?;
    Ok(Loaded { name: descriptor.name, version: descriptor.version, sha256, staged_path, manifest_json, module })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    /// A folder with a plugin file in it, and a policy that trusts the file.
    struct Bench {
        folder: tempfile::TempDir,
        policy: LoadPolicy,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut policy = LoadPolicy::new(folder.path().join("staged"));
            policy.built_with_host = true;
            Self { folder, policy }
        }

        fn file(&self, bytes: &[u8]) -> PathBuf {
            let path = self.folder.path().join("plugin.so");
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            path
        }

        fn refusal(&self, path: &Path) -> Refusal {
            load(path, &self.policy).unwrap_err().refusal
        }
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let bench = Bench::new();
        let fifo = bench.folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();

        let absent = bench.folder.path().join("absent.so");
        assert!(matches!(bench.refusal(&absent), Refusal::NotFound));
        assert!(matches!(bench.refusal(&fifo), Refusal::NotAFile));
        assert!(matches!(bench.refusal(bench.folder.path()), Refusal::NotAFile));
    }

    #[test]
    fn bytes_that_are_no_plugin_are_refused() {
        let bench = Bench::new();

        assert!(matches!(bench.refusal(&bench.file(b"")), Refusal::Empty));
        assert!(matches!(bench.refusal(&bench.file(b"#!/bin/sh\n")), Refusal::NotElf));
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let bench = Bench::new();
        let path = bench.file(b"text");
        for mode in [0o664, 0o646, 0o1666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let Refusal::Permissions { path: named, mode: found, .. } = bench.refusal(&path) else {
                panic!("{mode:o}");
            };
            assert_eq!((named.file_name(), found), (path.file_name(), mode));
        }

        let open_folder = bench.folder.path().join("open");
        fs::create_dir(&open_folder).unwrap();
        fs::write(open_folder.join("plugin.so"), b"text").unwrap();
        fs::set_permissions(&open_folder, fs::Permissions::from_mode(0o777)).unwrap();
        let refusal = bench.refusal(&open_folder.join("plugin.so"));
        assert!(matches!(refusal, Refusal::Permissions { mode: 0o777, .. }));
    }

    #[test]
    fn what_a_stranger_owns_is_refused() {
        let mut bench = Bench::new();
        let path = bench.file(b"text");
        bench.policy.trusted_owner_uids = vec![rustix::process::geteuid().as_raw() + 1];

        assert!(matches!(bench.refusal(&path), Refusal::Permissions { .. }));
    }

    #[test]
    fn the_folders_that_count_are_those_that_a_link_leads_to() {
        let bench = Bench::new();
        let path = bench.file(b"text");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let link = bench.folder.path().join("link.so");
        symlink(&path, &link).unwrap();

        assert!(matches!(bench.refusal(&link), Refusal::Permissions { .. }));
    }

    #[test]
    fn content_is_trusted_by_pin_or_by_coming_with_the_host() {
        let (ours, other) = (Sha256::of(b"ours"), Sha256::of(b"other"));
        let cases = [
            (None, true, "trusted"),
            (None, false, "not trusted"),
            (Some(ours), false, "trusted"),
            (Some(other), false, "mismatch"),
            (Some(other), true, "mismatch"),
        ];
        for (pinned, built_with_host, expected) in cases {
            let policy = LoadPolicy { pinned, built_with_host, ..LoadPolicy::new("unused") };
            let found = match policy.judge(ours) {
                Ok(()) => "trusted",
                Err(Refusal::NotTrusted { found }) if found == ours => "not trusted",
                Err(Refusal::HashMismatch { .. }) => "mismatch",
                Err(_) => "something else",
            };
            assert_eq!(found, expected, "{pinned:?} {built_with_host}");
        }
    }
}
