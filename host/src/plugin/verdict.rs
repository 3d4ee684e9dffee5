//! What opening a library in a probe showed, and the memory of it.
//!
//! Each content has one small file beside its staged copy. It counts for the host that wrote it only: another build of the
//! host has other types, another linker, other checks, and probes again.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Flaw, Refusal, Sha256, stage};

/// What a probe found out about a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub(super) enum Verdict {
    /// It was opened, and is a plugin of this ABI.
    Good,
    /// It was opened, and is not.
    Flawed {
        #[serde(flatten)]
        flaw: Flaw,
    },
    /// Its code killed the probe.
    Crashed { signal: Signal },
    /// Its code ended the probe.
    Exited { code: i32 },
}

impl Verdict {
    /// Whether the next probe of the same content would find the same.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Good | Self::Exited { .. } => true,
            Self::Flawed { flaw } => flaw.is_lasting(),
            Self::Crashed { signal } => signal.is_own_doing(),
        }
    }

    /// The verdict as the loader's answer; `record` is where it is remembered.
    pub(super) fn into_result(self, record: PathBuf) -> Result<(), Refusal> {
        match self {
            Self::Good => Ok(()),
            Self::Flawed { flaw } => Err(Refusal::Flaw(flaw)),
            Self::Crashed { signal } if signal.is_own_doing() => Err(Refusal::ProbeCrashed { signal, record }),
            Self::Crashed { signal } => Err(Refusal::Probe { reason: format!("the probe was ended by {signal}") }),
            Self::Exited { code } => Err(Refusal::ProbeExited { code, record }),
        }
    }
}

/// A signal's number, shown by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(pub i32);

/// The signals that a process brings upon itself, by a fault or by spending more than its limits allow. Their numbers are
/// those of the machines that this host is built for.
const OWN_DOING: [(i32, &str); 9] = [
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (11, "SIGSEGV"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (31, "SIGSYS"),
];

impl Signal {
    /// Whether the process itself is the cause, and not somebody who ended it.
    pub(super) fn is_own_doing(self) -> bool {
        OWN_DOING.iter().any(|(number, _)| *number == self.0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OWN_DOING.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// Which build of the host a verdict counts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostBuild {
    version: String,
    size_bytes: u64,
    inode: u64,
    changed_at_s: i64,
    changed_at_ns: i64,
}

impl HostBuild {
    /// Of the program at `path`. Whatever replaces or rewrites the file changes this: nobody can set a change time.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let about = fs::metadata(path)?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            size_bytes: about.size(),
            inode: about.ino(),
            changed_at_s: about.ctime(),
            changed_at_ns: about.ctime_nsec(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    host: HostBuild,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Where the verdict on a content is remembered.
pub(super) fn record(staging_folder: &Path, sha256: Sha256) -> PathBuf {
    staging_folder.join(format!("{sha256}.probe.json"))
}

/// The verdict of this build of the host. What cannot be read or understood was never said.
pub(super) fn recall(record: &Path, host: &HostBuild) -> Option<Verdict> {
    let text = fs::read(record).ok()?;
    let found: Record = serde_json::from_slice(&text).ok()?;
    (found.host == *host).then_some(found.verdict)
}

/// Writes a verdict over whatever was remembered before.
pub(super) fn remember(record: &Path, host: HostBuild, verdict: Verdict) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(&Record { host, verdict })?;
    text.push(b'\n');
    stage::replace(record, &text, RECORD_MODE)
}

/// Takes back whatever was remembered.
pub(super) fn forget(record: &Path) -> io::Result<()> {
    match fs::remove_file(record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const RECORD_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(size_bytes: u64) -> HostBuild {
        HostBuild { version: "1.0.0".to_owned(), size_bytes, inode: 2, changed_at_s: 3, changed_at_ns: 4 }
    }

    #[test]
    fn a_verdict_counts_for_the_build_that_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let record = record(folder.path(), Sha256::of(b"x"));
        for verdict in [
            Verdict::Good,
            Verdict::Flawed { flaw: Flaw::NoLayout },
            Verdict::Flawed { flaw: Flaw::Layout { reason: "too many fields".to_owned() } },
            Verdict::Crashed { signal: Signal(11) },
            Verdict::Exited { code: 3 },
        ] {
            remember(&record, host(1), verdict.clone()).unwrap();

            assert_eq!(recall(&record, &host(1)), Some(verdict.clone()));
            assert_eq!(recall(&record, &host(9)), None, "{verdict:?}");
        }
    }

    #[test]
    fn what_is_not_a_record_was_never_said() {
        let folder = tempfile::tempdir().unwrap();
        let record = record(folder.path(), Sha256::of(b"x"));
        assert_eq!(recall(&record, &host(1)), None);

        for text in ["", "{", r#"{"verdict":"good"}"#, r#"{"host":{},"verdict":"good"}"#] {
            fs::write(&record, text).unwrap();
            assert_eq!(recall(&record, &host(1)), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_the_contents_doing_is_not_held_against_it() {
        let linking = Flaw::Linking { reason: "libssl.so.1: no such file".to_owned() };
        for (verdict, is_lasting) in [
            (Verdict::Good, true),
            (Verdict::Exited { code: 0 }, true),
            (Verdict::Flawed { flaw: Flaw::NoLayout }, true),
            (Verdict::Flawed { flaw: linking }, false),
            (Verdict::Crashed { signal: Signal(11) }, true),
            // The out-of-memory killer, or an administrator.
            (Verdict::Crashed { signal: Signal(9) }, false),
        ] {
            assert_eq!(verdict.is_lasting(), is_lasting, "{verdict:?}");
        }
    }

    #[test]
    fn a_crash_names_its_signal_and_where_it_is_remembered() {
        let verdict = Verdict::Crashed { signal: Signal(11) };

        let refusal = verdict.into_result("/data/plugins/ab.probe.json".into()).unwrap_err();

        let expected = "opening it in a probe ended that process with SIGSEGV; this is remembered in \
                        /data/plugins/ab.probe.json";
        assert_eq!(refusal.to_string(), expected);
        assert!(refusal.remedy().contains("probe --again"));
    }
}
