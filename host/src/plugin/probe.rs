//! Opens a never-seen library in a process of its own first, so that one that faults while it is opened faults there.
//!
//! The verdict is remembered by content, so that a start opens what it knows at once. A probe is the host's own program;
//! it gets no environment, no descriptors, no key and no settings, and `open` is not called in it.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdStream, process::ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::UnixStream, process::Command};

use super::{Refusal, Sha256, verdict, verdict::HostBuild, verdict::Verdict};
use crate::clock::SharedClock;

mod child;

pub use child::run;

/// The hidden command that makes this program a probe.
pub const COMMAND: &str = "probe-plugin";

/// What a probe says before it opens anything: from here on the library is to blame.
const READY: &[u8] = b"ready\n";

/// Follows the running program also when its file has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A thousand times what a plugin needs, and short enough for a start to wait.
const LIMIT: Duration = Duration::from_secs(10);

/// More than the longest verdict; the rest would be somebody else's talk.
const MOST_SAID_BYTES: u64 = 64 << 10;

/// Starts probes.
#[derive(Clone)]
pub struct Prober {
    program: PathBuf,
    clock: SharedClock,
}

impl Prober {
    /// Probes are started as `PROGRAM probe-plugin FILE`; without a program, as this very one. Their deadline is on `clock`.
    pub fn new(program: Option<PathBuf>, clock: SharedClock) -> Self {
        Self { program: program.unwrap_or_else(|| PathBuf::from(THIS_PROGRAM)), clock }
    }

    /// Whether the staged content may be opened in this process: as remembered, or else as a probe finds it.
    pub(super) async fn judge(&self, staged: &Path, sha256: Sha256, memory: Memory) -> Result<(), Refusal> {
        let folder = staged.parent().unwrap_or(Path::new("/"));
        let record = verdict::record(folder, sha256);
        let host = HostBuild::of(&self.program)
            .map_err(|error| unable(format!("{} cannot be looked at: {error}", self.program.display())))?;
        match memory {
            Memory::Use => {
                if let Some(known) = verdict::recall(&record, &host) {
                    return known.into_result(record);
                }
            }
            // Now, because what the probe finds may be nothing to remember.
            Memory::Forget => {
                let forgotten = verdict::forget(&record);
                forgotten.map_err(|error| unable(format!("{} cannot be removed: {error}", record.display())))?;
            }
        }
        let found = self.probe(staged).await?;
        tracing::debug!(plugin = %staged.display(), verdict = ?found, "a library was opened in a probe");
        if found.is_lasting() {
            let (record, found) = (record.clone(), found.clone());
            super::blocking(move || {
                if let Err(error) = verdict::remember(&record, host, found) {
                    tracing::warn!(record = %record.display(), %error, "a plugin's verdict is not remembered; it will be probed again");
                }
                Ok(())
            })
            .await?;
        }
        found.into_result(record)
    }

    async fn probe(&self, staged: &Path) -> Result<Verdict, Refusal> {
        let started = self.start(staged);
        let (mut child, answer) = started.map_err(|error| unable(format!("no probe can be started: {error}")))?;
        let mut said = Vec::new();
        let ended = {
            let told = async {
                answer.take(MOST_SAID_BYTES).read_to_end(&mut said).await?;
                child.wait().await
            };
            tokio::select! {
                ended = told => Some(ended),
                () = self.clock.sleep(LIMIT) => None,
            }
        };
        match ended {
            Some(Ok(status)) => verdict_of(&said, status),
            Some(Err(error)) => Err(unable(format!("the probe cannot be followed: {error}"))),
            None => {
                // Killed when it is dropped, should this fail.
                let _ = child.kill().await;
                Err(Refusal::ProbeTimedOut { limit: LIMIT })
            }
        }
    }

    /// The process, and what it says: not on its output, where the library may print.
    fn start(&self, staged: &Path) -> io::Result<(tokio::process::Child, UnixStream)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        let child = Command::new(&self.program)
            .arg(COMMAND)
            .arg(staged)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok((child, ours))
    }
}

/// What is done with a remembered verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Use,
    Forget,
}

fn unable(reason: String) -> Refusal {
    Refusal::Probe { reason }
}

fn verdict_of(said: &[u8], status: ExitStatus) -> Result<Verdict, Refusal> {
    let Some(said) = said.strip_prefix(READY) else {
        let reason = String::from_utf8_lossy(said);
        return Err(unable(format!("the probe did not come to it ({status}) {reason}").trim_end().to_owned()));
    };
    if let Some(number) = status.signal() {
        return Ok(Verdict::Crashed { signal: super::Signal(number) });
    }
    match serde_json::from_slice(said) {
        Ok(verdict) if status.success() => Ok(verdict),
        _ => Ok(Verdict::Exited { code: status.code().unwrap_or_default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Flaw, Signal};

    /// A wait status as the system gives it: a signal below, an exit code above.
    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn an_end_without_a_verdict_is_the_librarys_once_the_probe_was_ready() {
        let good = br#"ready
{"verdict":"good"}"#;
        let flawed = br#"ready
{"verdict":"flawed","flaw":"no_layout"}"#;
        let cases: [(&[u8], ExitStatus, Verdict); 6] = [
            (good, exited(0), Verdict::Good),
            (flawed, exited(0), Verdict::Flawed { flaw: Flaw::NoLayout }),
            (READY, ExitStatus::from_raw(11), Verdict::Crashed { signal: Signal(11) }),
            (READY, exited(0), Verdict::Exited { code: 0 }),
            (READY, exited(3), Verdict::Exited { code: 3 }),
            // Its last breath counts: the host ends as well, some day.
            (good, ExitStatus::from_raw(6), Verdict::Crashed { signal: Signal(6) }),
        ];
        for (said, status, expected) in cases {
            assert_eq!(verdict_of(said, status).unwrap(), expected, "{status}");
        }
    }

    #[test]
    fn an_end_before_the_probe_was_ready_is_no_verdict() {
        let refusal = verdict_of(b"the limit on memory cannot be set", exited(1)).unwrap_err();

        let expected = "it cannot be opened in a probe: the probe did not come to it (exit status: 1) the limit on memory cannot be set";
        assert_eq!(refusal.to_string(), expected);
        assert!(verdict_of(b"", ExitStatus::from_raw(11)).is_err());
    }
}
