//! Where the databases are, and how long measurements take.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::args::Part;

/// What a sync costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Medium {
    /// Nothing: memory.
    Tmpfs,
    /// Whatever the disk takes below the build folder.
    Disk,
    /// A millisecond, always: memory, and a preload library that waits. Stands for a consumer's SSD without its moods.
    Sync1ms,
}

impl Medium {
    pub(super) const ALL: [Self; 3] = [Self::Tmpfs, Self::Disk, Self::Sync1ms];

    pub(super) const fn name(self) -> &'static str {
        self.part().name()
    }

    pub(super) const fn part(self) -> Part {
        match self {
            Self::Tmpfs => Part::Tmpfs,
            Self::Disk => Part::Disk,
            Self::Sync1ms => Part::Sync1ms,
        }
    }

    pub(super) const fn sync_delay_us(self) -> u32 {
        match self {
            Self::Sync1ms => 1_000,
            _ => 0,
        }
    }

    /// Below which everything on it is; `work` is on the disk.
    pub(super) fn parent(self, work: &Path) -> Result<&Path> {
        let parent = match self {
            Self::Disk => work,
            _ => Path::new("/dev/shm"),
        };
        ensure!(parent.is_dir(), "there is no {} to keep databases in", parent.display());
        Ok(parent)
    }

    /// Makes an empty folder on it; `work` is on the disk.
    pub(super) fn folder(self, work: &Path, name: &str) -> Result<Folder> {
        let parent = self.parent(work)?;
        // Short, since sockets are in it, and the kernel takes 107 bytes for the path of one.
        let path = parent.join(format!("bb{}-{name}", std::process::id()));
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder(path))
    }
}

/// A folder that goes when it is dropped. What runs in it must be dropped before.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) rounds: usize,
    /// Of one measurement.
    pub(super) millis: u64,
    /// Hooks whose bytes are counted.
    pub(super) rows: usize,
    /// How often the start is measured.
    pub(super) starts: usize,
}

impl Pace {
    pub(super) const FULL: Self = Self { rounds: 5, millis: 2_000, rows: 3_000, starts: 5 };
    pub(super) const QUICK: Self = Self { rounds: 1, millis: 500, rows: 300, starts: 1 };
}
