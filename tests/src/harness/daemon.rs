//! The real daemon as a process of its own, and requests to its sockets, well formed or not.

use super::{Provider, Rig, artifacts};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than anything takes that is not stuck.
const STUCK: Duration = Duration::from_secs(60);

/// A running `billhook serve`; ended with its test.
pub struct Daemon {
    child: Child,
    folder: PathBuf,
}

/// What a socket answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub text: String,
    /// The body if it is JSON, else `null`.
    pub body: Value,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub fn start<P: Provider>(rig: &Rig<P>) -> Self {
        Self::start_with(rig, &[])
    }

    /// The same, with these variables in its environment.
    pub fn start_with<P: Provider>(rig: &Rig<P>, env: &[(&str, &str)]) -> Self {
        Self::spawn(&rig.config_path(), rig.folder.path(), env)
    }

    /// One of several on the rig's store, see [`Rig::config_path_of`].
    pub fn join<P: Provider>(rig: &Rig<P>, name: &str) -> Self {
        Self::spawn(&rig.config_path_of(name), &rig.folder.path().join(name), &[])
    }

    fn spawn(config: &Path, folder: &Path, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(artifacts::path("billhook"))
            .args(["--config".as_ref(), config.as_os_str(), "serve".as_ref()])
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its log"));
        let mut log = String::new();
        // The log says when it is ready; if it ends before, the log says why.
        loop {
            let from = log.len();
            assert!(lines.read_line(&mut log).expect("the log is read") > 0, "the daemon ended: {log}");
            if log[from..].contains("ready") {
                break;
            }
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { child, folder: folder.to_owned() }
    }

    /// For platforms.
    pub fn hook_socket(&self) -> PathBuf {
        self.folder.join("hook.sock")
    }

    /// For admins.
    pub fn admin_socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// The most memory that it has had resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("a process").count()
    }

    /// Sends it a signal, as `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it has ended by itself; whether it says that this was in order.
    pub fn ends(mut self) -> bool {
        self.child.wait().expect("it ends").success()
    }

    /// Ends it without a word.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "a stop in order ends with success, not {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The user that this process runs as.
pub fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").expect("a process").uid()
}

/// A request with its body, on a connection that is closed after it.
pub fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{line} HTTP/1.1\r\nHost: billhook\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// Sends these bytes on a connection of their own, and reads until the daemon closes it; so the last request must ask for that,
/// or be none. An empty text: it was closed without a word.
///
/// # Panics
///
/// When there is no connection, or no end of it.
pub fn exchange(socket: &Path, bytes: &[u8]) -> String {
    exchange_parts(socket, &mut std::iter::once(bytes.to_vec()))
}

/// The same with bytes that are made while they are sent.
///
/// # Panics
///
/// See [`exchange`].
pub fn exchange_parts(socket: &Path, parts: &mut dyn Iterator<Item = Vec<u8>>) -> String {
    let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream.set_read_timeout(Some(STUCK)).expect("a time-out");
    stream.set_write_timeout(Some(STUCK)).expect("a time-out");
    let mut reader = stream.try_clone().expect("a second handle");
    let answer = std::thread::spawn(move || {
        let mut text = Vec::new();
        match reader.read_to_end(&mut text) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection is stuck after {:?}", String::from_utf8_lossy(&text));
            }
            // A connection that is closed on what was not read ends in an error, after its answer.
            _ => String::from_utf8_lossy(&text).into_owned(),
        }
    });
    let mut writer = &stream;
    for part in parts {
        // Who has seen enough closes.
        if writer.write_all(&part).is_err() {
            break;
        }
    }
    answer.join().expect("an end of it")
}

/// The first answer in a text, and what follows it.
///
/// # Panics
///
/// When it is none.
pub fn answer(text: &str) -> (Answer, &str) {
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let (text, rest) = rest.split_at(length.unwrap_or(rest.len()).min(rest.len()));
    let body = serde_json::from_str(text).unwrap_or(Value::Null);
    (Answer { status, head, text: text.to_owned(), body }, rest)
}

impl Answer {
    /// Status, last word of the problem's type, and its place.
    ///
    /// # Panics
    ///
    /// When it is no problem document.
    pub fn problem(&self) -> (u16, &str, Option<&str>) {
        assert!(self.head.contains("content-type: application/problem+json"), "{} {}", self.head, self.text);
        assert_eq!(self.body["status"], self.status, "{}", self.text);
        let kind = self.body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:billhook:problem:"));
        (self.status, kind.expect("a type"), self.body["path"].as_str())
    }
}
