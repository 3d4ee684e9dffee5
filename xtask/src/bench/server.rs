//! A Postgres server under measurement.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::medium::Medium;
use super::program::{Ticks, US_PER_TICK, Used, syncs};
use crate::cluster::{self, Cluster};
use crate::needs;

/// The server's defaults, which the tests' own may not have. The daemon refuses a server that does not keep what it says.
const SETTINGS: &str = "-c fsync=on -c full_page_writes=on -c synchronous_commit=on -c shared_buffers=128MB";

/// Its programs count their syncs, and make them longer, as the daemon does.
const ENVIRONMENT: &str = "\
export LD_PRELOAD=$folder/sync_delay.so BENCH_SYNC_COUNT=$folder/syncs BENCH_SYNC_DELAY_US=";

/// The number of its socket; nothing listens on a port.
const PORT: u16 = 5432;

/// A server, gone with this.
pub(super) struct Server {
    cluster: Cluster,
    /// Of the process whose children all others are.
    pid: u32,
}

impl Server {
    /// Starts one with its files on the medium.
    pub(super) fn start(medium: Medium, work: &Path, preload: &Path) -> Result<Self> {
        needs::database()?;
        let library = fs::read(preload).with_context(|| format!("cannot read {}", preload.display()))?;
        let environment = format!("{ENVIRONMENT}{}\n", medium.sync_delay_us()).into_bytes();
        let files = [("environment", environment), ("sync_delay.so", library), ("syncs", vec![0; 8])];
        let parent = medium.parent(work)?;
        // Made for tests, it panics where one fails; what other parts have measured must outlive that.
        let start = AssertUnwindSafe(|| cluster::start_in(parent, &files, |_| SETTINGS.to_owned()));
        let cluster = catch_unwind(start).map_err(|_| {
            anyhow!("there is no database server below {}, which its user must be able to reach", parent.display())
        })?;
        let path = cluster.folder().join("data").join("postmaster.pid");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        let pid = pid.with_context(|| format!("{} is not as expected", path.display()))?;
        Ok(Self { cluster, pid })
    }

    /// Makes an empty database; its address.
    pub(super) fn database(&self, name: &str) -> String {
        self.cluster.administer(PORT, &format!("CREATE DATABASE {name} TEMPLATE template0"));
        format!("postgres:///{name}?host={}&user=billhook", self.cluster.folder().display())
    }

    /// What all its processes have used so far.
    pub(super) fn used(&self) -> Result<Used> {
        let mut ticks = 0;
        for entry in fs::read_dir("/proc").context("cannot list /proc")? {
            let path = entry.context("cannot list /proc")?.path();
            let pid = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
            // A process may end in between.
            let stat = pid.and_then(|_| fs::read_to_string(path.join("stat")).ok());
            match stat.as_deref().and_then(Ticks::read) {
                Some(one) if pid == Some(self.pid) => ticks += one.own + one.ended,
                Some(one) if one.parent == self.pid => ticks += one.own,
                _ => {}
            }
        }
        let syncs = syncs(&self.cluster.folder().join("syncs"))?;
        Ok(Used { cpu_us: ticks * US_PER_TICK, plugins_us: 0, syncs })
    }
}
