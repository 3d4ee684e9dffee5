//! A program in the background, its output in a file, its end with ours.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::wait_for;

/// Longer than the daemon takes to let its callers go.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// How much of a log is shown after a failure.
const TAIL_LINES: usize = 40;

/// A running program. Dropping it kills it, unless it was let go.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    is_ours: bool,
}

impl Process {
    /// Starts `command`; what it writes is appended to `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let open = || File::options().create(true).append(true).open(log);
        let out = open().with_context(|| format!("cannot write {}", log.display()))?;
        let err = out.try_clone().context("cannot share a log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned(), is_ours: true })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kilobytes in memory: `VmRSS` now, `VmHWM` at most so far.
    pub(crate) fn memory_kb(&self, which: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        kilobytes(&status, which).with_context(|| format!("{path} has no {which}"))
    }

    /// An error if it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("cannot ask for {}", self.name))? {
            Some(status) => bail!("{} ended by itself ({status})", self.name),
            None => Ok(()),
        }
    }

    /// Ends it at once, without giving it a chance to tidy up: SIGKILL.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.check()?;
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        let status = self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        match status.signal() {
            Some(9) => Ok(()),
            _ => bail!("{} ended by itself ({status}) before it could be killed", self.name),
        }
    }

    /// Sends it a signal, as `STOP`.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.check()?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process without a number")?;
        kill_process(pid, signal).with_context(|| format!("cannot send a signal to {}", self.name))
    }

    /// Waits until it has ended by itself; whether it says that all was well.
    pub(crate) fn wait(mut self) -> Result<bool> {
        Ok(self.ended()?.success())
    }

    fn ended(&mut self) -> Result<ExitStatus> {
        wait_for(&format!("{} to end", self.name), STOP_LIMIT, || Ok(self.child.try_wait()?))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.ended()?;
        // A program that does not handle the signal ends by it, which is as good.
        if status.success() || status.signal() == Some(15) {
            return Ok(());
        }
        bail!("{} ended with {status}", self.name)
    }

    /// Lets it outlive us.
    pub(crate) fn let_go(&mut self) {
        self.is_ours = false;
    }

    /// Everything that it wrote.
    pub(crate) fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_ours {
            // It may be gone already, and then there is nothing left to do.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn kilobytes(status: &str, which: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The end of a log with a headline, for after a failure.
pub(crate) fn tail(name: &str, log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_else(|error| format!("({error})"));
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("--- the end of {name}'s log ---\n{}\n", shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_memory_is_read_at_its_place() {
        let status = "Name:\tx\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!((kilobytes(status, "VmRSS"), kilobytes(status, "VmHWM")), (Some(10_240), Some(20_480)));
        assert_eq!(kilobytes(status, "VmSwap"), None);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_shown() {
        let folder = std::env::temp_dir().join(format!("xtask-tail-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        fs::write(&log, text).unwrap();

        let shown = tail("it", &log);

        fs::remove_dir_all(&folder).unwrap();
        assert!(shown.contains("line 99") && shown.contains("line 60") && !shown.contains("line 59"), "{shown}");
        assert!(tail("it", &log).contains("No such file"));
    }
}
