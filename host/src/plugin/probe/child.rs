//! The probe's own side: shut itself in, open the library, say what came of it.

use std::{
    fs,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, RawFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

use super::{READY, Verdict};
use crate::plugin::{Flaw, open};

/// What a library may spend on being opened: far more than a good one needs. Nothing is written, and no core is left.
///
/// The processor's time has a second number, at which the system stops asking.
const LIMITS: [(Resource, u64, u64); 4] =
    [(Resource::Core, 0, 0), (Resource::Fsize, 0, 0), (Resource::Nofile, 64, 64), (Resource::Cpu, 5, 6)];

/// Memory that a library may take, bytes. It comes on top of the addresses that the program has already: its allocator
/// reserves more of them than it ever uses.
const MEMORY: u64 = 1 << 30;

/// The last of the three standard descriptors, which are the probe's own.
const STANDARD_ERROR: RawFd = 2;

/// Makes this process a probe of the library at `staged`, and says on its input, a socket, what it found.
///
/// For the very beginning of a process: it closes descriptors that it does not know, and must be the only thread.
pub fn run(staged: &Path) -> ExitCode {
    match probe(staged) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever started it reads the rest off the exit code and what was said by then.
        Err(_) => ExitCode::FAILURE,
    }
}

fn probe(staged: &Path) -> io::Result<()> {
    let alone = close_inherited();
    let mut answer = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    if let Err(error) = alone.and_then(|()| confine()) {
        return write!(answer, "{error}");
    }
    answer.write_all(READY)?;
    let verdict = match look(staged) {
        Ok(()) => Verdict::Good,
        Err(flaw) => Verdict::Flawed { flaw },
    };
    answer.write_all(&serde_json::to_vec(&verdict)?)
}

/// Everything that the host does with a new library, except for opening a provider: that takes a server's settings.
fn look(staged: &Path) -> Result<(), Flaw> {
    let module = open::open(staged)?;
    open::manifest(module).map(drop)
}

fn confine() -> io::Result<()> {
    // A library that waits for ever must not outlive a host that was killed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let addresses = reserved()?.saturating_add(MEMORY);
    for (resource, soft, hard) in LIMITS.into_iter().chain([(Resource::As, addresses, addresses)]) {
        // A limit that is lower already stays.
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
        setrlimit(resource, limit)
            .map_err(|error| io::Error::other(format!("the limit {resource:?} cannot be set: {error}")))?;
    }
    Ok(())
}

/// The addresses that this process has, bytes.
fn reserved() -> io::Result<u64> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let size = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    pages.map(|pages| pages.saturating_mul(size)).ok_or_else(|| io::Error::other("/proc/self/statm is not understood"))
}

/// Closes whatever was open in a process further up and not marked to be closed: a key, a database, a listening socket.
fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        inherited.extend(number.filter(|number| *number > STANDARD_ERROR));
    }
    // The descriptor of the folder that was read is among them, and is closed by now.
    inherited.retain(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    for number in inherited {
        #[expect(unsafe_code, reason = "nothing in this process owns what it inherited")]
        // SAFETY: the number is open. The process has just begun and has one thread, so none of its values holds a
        // descriptor above the three standard ones, and nobody opens one meanwhile.
        unsafe {
            rustix::io::close(number);
        }
    }
    Ok(())
}
