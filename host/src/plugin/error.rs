//! Why a plugin was refused, and what an operator does about it.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use billhook_plugin_api::descriptor::DescriptorError;

use super::{Flaw, Sha256, Signal};

/// A plugin that is not loaded: which file, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the plugin {}", path.display())]
pub struct LoadError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub refusal: Refusal,
}

/// One way for a file not to be a plugin that this host runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing at the path.
    #[error("there is no such file")]
    NotFound,
    /// A folder, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file cannot be opened or read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// Somebody besides the trusted owners could exchange the file.
    #[error("{} has owner {owner} and mode {mode:04o}, so others could change the plugin", path.display())]
    Permissions {
        /// The file, or a folder above it.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner's user id.
        owner: u32,
    },
    /// The file is larger than any plugin.
    #[error("it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The file has no content.
    #[error("it is empty")]
    Empty,
    /// The content is of another kind: text, an archive, a library for another system.
    #[error("it is not an ELF file")]
    NotElf,
    /// An executable, an object file, a core dump.
    #[error("it is an ELF file but not a shared object")]
    NotASharedObject,
    /// Built for another processor.
    #[error("it is built for the ELF machine {found}, and this host is {expected}")]
    WrongMachine {
        /// The file's machine number.
        found: u16,
        /// This host's machine number.
        expected: u16,
    },
    /// Built for another word size or byte order.
    #[error("it is built for another word size or byte order")]
    WrongClass,
    /// Something that the file announces lies outside it.
    #[error("it is cut short or damaged: {part} is not within its {size_bytes} bytes")]
    CutShort {
        /// What is not there.
        part: String,
        /// The file's size.
        size_bytes: u64,
    },
    /// A shared object that does not say it is a plugin.
    #[error("it is a shared object but not a Billhook plugin: it has no descriptor")]
    NoDescriptor,
    /// The descriptor cannot be read.
    #[error("its descriptor cannot be read")]
    BadDescriptor(#[source] DescriptorError),
    /// Built for another major of the ABI.
    #[error("it has ABI major {found}, and this host has {host}")]
    AbiMajor {
        /// The plugin's.
        found: u32,
        /// This host's.
        host: u32,
    },
    /// A panic in it would end the host.
    #[error("it is built with panic = \"abort\", so its first panic would end the host")]
    PanicAbort,
    /// Neither pinned nor built with the host.
    #[error("its content, SHA-256 {found}, is neither pinned nor built with the host")]
    NotTrusted {
        /// What a pin would have to say.
        found: Sha256,
    },
    /// Another content than the pinned one.
    #[error("its SHA-256 is {found}, and {expected} is pinned")]
    HashMismatch {
        /// The pin.
        expected: Sha256,
        /// The file's.
        found: Sha256,
    },
    /// The private copy could not be made.
    #[error("its private copy {} cannot be made", path.display())]
    Stage {
        /// The copy, or the folder for it.
        path: PathBuf,
        /// Why.
        #[source]
        source: StageProblem,
    },
    /// It was opened, and is not what it should be.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// Its code ended the probe in which it was opened.
    #[error("opening it in a probe ended that process with {signal}; this is remembered in {}", record.display())]
    ProbeCrashed {
        /// What killed the process.
        signal: Signal,
        /// The file that remembers it.
        record: PathBuf,
    },
    /// Its code ended the probe, and gave an exit code.
    #[error("opening it in a probe ended that process with exit code {code}; this is remembered in {}", record.display())]
    ProbeExited {
        /// The exit code.
        code: i32,
        /// The file that remembers it.
        record: PathBuf,
    },
    /// Opening it in a probe went on for too long.
    #[error("opening it in a probe was not done after {} s", limit.as_secs())]
    ProbeTimedOut {
        /// How long it had.
        limit: Duration,
    },
    /// It could not be opened in a probe, through no fault of its own that is known.
    #[error("it cannot be opened in a probe: {reason}")]
    Probe {
        /// What went wrong.
        reason: String,
    },
    /// The name in the descriptor is not the one that the file stands for.
    #[error("its descriptor names the plugin {found}, and its file the plugin {expected}")]
    WrongName {
        /// The name that was asked for.
        expected: String,
        /// The name in the descriptor.
        found: String,
    },
    /// It calls itself as another plugin beside it does.
    #[error("its name {name} is taken by {}", other.display())]
    NameClash {
        /// The name that both have.
        name: String,
        /// The file that has it by right.
        other: PathBuf,
    },
    /// The loader itself failed.
    #[error("looking at it ended in a panic of the loader: {reason}")]
    LoaderPanicked {
        /// The panic.
        reason: String,
    },
}

/// Why a file could not be put into the staging folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageProblem {
    /// A call to the system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Others than this process's user own the folder or can reach into it.
    #[error("it has owner {owner} and mode {mode:04o}, and must be this user's alone")]
    NotPrivate {
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Something is in the folder's place.
    #[error("it is not a folder")]
    NotAFolder,
}

impl Refusal {
    pub(super) fn stage(path: &Path, problem: impl Into<StageProblem>) -> Self {
        Self::Stage { path: path.to_owned(), source: problem.into() }
    }

    /// What an operator can do about it, one sentence without a full stop.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotFound => "check the path in the configuration",
            Self::NotAFile | Self::Empty | Self::NotElf | Self::NotASharedObject => {
                "name the shared object (.so) that the plugin's build made"
            }
            Self::Unreadable(_) => "let the daemon's user read the file and enter the folders above it",
            Self::Permissions { .. } => {
                "give it to root or to the daemon's user, and take away writing for group and others (chmod go-w)"
            }
            Self::TooLarge { .. } => "build the plugin in release mode and strip it",
            Self::WrongMachine { .. } | Self::WrongClass => "build the plugin for this machine",
            Self::CutShort { .. } => "copy the file again",
            Self::NoDescriptor => "end the plugin's crate with export_provider!",
            Self::BadDescriptor(_) => "build the plugin again with an unchanged billhook-plugin-api",
            Self::AbiMajor { found, host } if found > host => "upgrade the host, or take an older plugin",
            Self::AbiMajor { .. } => "build the plugin with the plugin-api of this host",
            Self::PanicAbort => "build the plugin with panic = \"unwind\" in its profile",
            Self::NotTrusted { .. } => "read the plugin, then pin this SHA-256 in the configuration",
            Self::HashMismatch { .. } => "find out who changed the file; pin the new SHA-256 if it was you",
            Self::Stage { .. } => "make the staging folder the daemon's own, mode 0700, on a disk with room",
            Self::Flaw(flaw) => flaw.remedy(),
            Self::ProbeCrashed { .. } | Self::ProbeExited { .. } => {
                "report it to the plugin's author; if the system was at fault and is mended, have it tried again with \
                 `billhook plugins probe --again FILE`"
            }
            Self::ProbeTimedOut { .. } => {
                "start again if the machine was busy; otherwise report it to the plugin's author: loading must not wait"
            }
            Self::Probe { .. } => "let the daemon's user start processes of the daemon's own program",
            Self::WrongName { .. } => "name the file lib<name>.so after the plugin's crate, and the provider likewise",
            Self::NameClash { .. } => "load only one of the two, or rename one plugin's crate",
            Self::LoaderPanicked { .. } => "report it to the makers of Billhook, with the file",
        }
    }
}

/// An error with everything behind it, since some crates keep the reason in the source alone.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        // Some libraries repeat the source in their own text.
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_each_thing_once() {
        let refusal = Refusal::Unreadable(io::Error::other("disk gone"));
        let error = LoadError { path: "/p.so".into(), refusal };

        assert_eq!(chain(&error), "cannot load the plugin /p.so: it cannot be read: disk gone");
    }

    #[test]
    fn an_owner_and_a_mode_read_as_ls_and_chmod_write_them() {
        let refusal = Refusal::Permissions { path: "/opt/p.so".into(), mode: 0o666, owner: 1000 };

        let expected = "/opt/p.so has owner 1000 and mode 0666, so others could change the plugin";
        assert_eq!(refusal.to_string(), expected);
    }
}
