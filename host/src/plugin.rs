//! Loads plugins: from a path to something that opens providers, or a refusal that says why and what to do.
//!
//! No code of a file runs before the file has been read whole, looked through and trusted, and none in this process before
//! it ran in another. The steps, each a file: [`source`] opens and reads it once, [`precheck`] looks at the bytes, the
//! [policy](LoadPolicy) trusts them or not, [`stage`] puts them where nobody else writes, [`probe`] opens that copy in a
//! process of its own unless the [`verdict`] on this content is known, [`open`] hands it to the dynamic linker.
//!
//! A library is never unloaded: statics and thread-locals of it may be in use anywhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use billhook_abi::{CallError, HostObject, PluginModule_Ref, PluginObject, edge::RVec};
use billhook_plugin_api::descriptor::DescriptorView;

mod digest;
mod error;
mod flaw;
mod open;
mod precheck;
pub mod probe;
mod source;
mod stage;
mod verdict;

pub use digest::{BadDigest, Sha256};
pub use error::{LoadError, Refusal, StageProblem};
pub use flaw::Flaw;
pub use probe::Prober;
pub use verdict::Signal;

use probe::Memory;

/// Whom to believe, and where to put what is believed.
#[derive(Debug, Clone)]
pub struct LoadPolicy {
    /// The name that the file stands for. With a name, a plugin that calls itself otherwise is refused.
    pub name: Option<String>,
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
            name: None,
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

/// Loads the plugin at `path`: opens it in this process for good. A content that was never seen is probed first.
///
/// Equal content is mapped once, however often and from wherever it is loaded.
///
/// # Errors
///
/// [`LoadError`], one [`Refusal`] for each way to be wrong.
pub async fn load(path: &Path, policy: &LoadPolicy, prober: &Prober) -> Result<Loaded, LoadError> {
    let steps = async {
        let staged = staged(path, policy).await?;
        staged.open(prober).await
    };
    steps.await.map_err(|refusal| LoadError { path: path.to_owned(), refusal })
}

/// Loads the content that an earlier start staged under `sha256`, as [`load`] does, and beside whatever is loaded.
///
/// It was trusted when it was staged; the folder has been this user's alone since, and pins name what begins now.
///
/// # Errors
///
/// As [`load`]; [`Refusal::NotFound`] when it is not kept.
pub async fn load_kept(sha256: Sha256, policy: &LoadPolicy, prober: &Prober) -> Result<Loaded, LoadError> {
    let reading = policy.clone();
    let steps = async {
        let staged = blocking(move || {
            let (path, bytes) = stage::kept(sha256, &reading)?;
            let descriptor = precheck::descriptor(&bytes)?;
            check_name(&path, &descriptor, reading.name.as_deref())?;
            Ok(Staged { descriptor, sha256, path })
        });
        staged.await?.open(prober).await
    };
    let path = || policy.staging_folder.join(format!("{sha256}.so"));
    steps.await.map_err(|refusal| LoadError { path: path(), refusal })
}

/// What is known of a plugin without its code having run in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The name in its descriptor.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// Of its content.
    pub sha256: Sha256,
}

/// Looks at the plugin at `path` as [`load`] does, short of opening it in this process. With `again`, what is remembered
/// of its content is replaced by what a new probe finds.
///
/// # Errors
///
/// As [`load`].
pub async fn try_out(path: &Path, policy: &LoadPolicy, prober: &Prober, again: bool) -> Result<Probed, LoadError> {
    let memory = if again { Memory::Forget } else { Memory::Use };
    let steps = async {
        let Staged { descriptor, sha256, path } = staged(path, policy).await?;
        prober.judge(&path, sha256, memory).await?;
        Ok(Probed { name: descriptor.name, version: descriptor.version, sha256 })
    };
    steps.await.map_err(|refusal| LoadError { path: path.to_owned(), refusal })
}

/// A content that was looked through, trusted, and put where nobody else writes.
struct Staged {
    descriptor: DescriptorView,
    sha256: Sha256,
    path: PathBuf,
}

impl Staged {
    async fn open(self, prober: &Prober) -> Result<Loaded, Refusal> {
        let Self { descriptor, sha256, path } = self;
        prober.judge(&path, sha256, Memory::Use).await?;
        blocking(move || {
            let module = open::open(&path)?;
            let manifest_json = open::manifest(module)?;
            let DescriptorView { name, version, .. } = descriptor;
            Ok(Loaded { name, version, sha256, staged_path: path, manifest_json, module })
        })
        .await
    }
}

async fn staged(path: &Path, policy: &LoadPolicy) -> Result<Staged, Refusal> {
    let (path, policy) = (path.to_owned(), policy.clone());
    blocking(move || stage_trusted(&path, &policy)).await
}

fn stage_trusted(path: &Path, policy: &LoadPolicy) -> Result<Staged, Refusal> {
    let bytes = source::read(path, &policy.trusted_owner_uids)?;
    let descriptor = precheck::descriptor(&bytes)?;
    check_name(path, &descriptor, policy.name.as_deref())?;
    let sha256 = Sha256::of(&bytes);
    policy.judge(sha256)?;
    let path = stage::stage(&bytes, sha256, policy)?;
    Ok(Staged { descriptor, sha256, path })
}

/// Whether the plugin calls itself what its file stands for. One that has its neighbour's name is told so.
fn check_name(path: &Path, descriptor: &DescriptorView, expected: Option<&str>) -> Result<(), Refusal> {
    let found = &descriptor.name;
    let Some(expected) = expected.filter(|expected| expected != found) else { return Ok(()) };
    let other = path.with_file_name(file_name(found));
    if fs::exists(&other).unwrap_or(false) {
        return Err(Refusal::NameClash { name: found.clone(), other });
    }
    Err(Refusal::WrongName { expected: expected.to_owned(), found: found.clone() })
}

/// The name of the file that stands for a plugin.
pub fn file_name(plugin: &str) -> String {
    format!("lib{plugin}.so")
}

/// Runs what waits for the disk, or for a library's code, where that keeps nobody else waiting.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|join| Err(Refusal::LoaderPanicked { reason: join.to_string() }))
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
            stage_trusted(path, &self.policy).err().unwrap()
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
    fn a_plugin_under_another_name_is_refused_and_the_neighbour_whose_name_it_has_is_named() {
        let bench = Bench::new();
        let path = bench.folder.path().join("libcopy.so");
        let descriptor = DescriptorView {
            abi_major: 1,
            abi_minor: 0,
            unwinds: true,
            name: "panel".to_owned(),
            version: "1.0.0".to_owned(),
        };
        assert!(check_name(&path, &descriptor, None).is_ok());
        assert!(check_name(&path, &descriptor, Some("panel")).is_ok());

        let alone = check_name(&path, &descriptor, Some("copy")).unwrap_err();
        fs::write(bench.folder.path().join("libpanel.so"), b"").unwrap();
        let beside = check_name(&path, &descriptor, Some("copy")).unwrap_err();

        assert_eq!(alone.to_string(), "its descriptor names the plugin panel, and its file the plugin copy");
        assert!(
            matches!(beside, Refusal::NameClash { name, other } if name == "panel" && other.ends_with("libpanel.so"))
        );
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
