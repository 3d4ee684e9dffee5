//! A Postgres of our own: one server for the process, on a socket, gone with it. The host's own tests include this file.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A server's own user: it refuses to run as root.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Makes the cluster, runs it until its own input ends, which it does with this process, and leaves nothing behind. Lines of a
/// shell in the file `environment` come first.
const KEEPER: &str = r#"
folder=$1 bin=$2 more=$3; shift 3
if [ -f "$folder/environment" ]; then . "$folder/environment"; fi
stop() { "$@" "$bin/pg_ctl" -D "$folder/data" -m immediate stop; rm -rf "$folder"; }
"$@" "$bin/initdb" -D "$folder/data" -U billhook -A trust -E UTF8 --locale=C.UTF-8 --no-sync &&
if [ -f "$folder/pg_hba.conf" ]; then "$@" cp "$folder/pg_hba.conf" "$folder/data/"; fi &&
"$@" "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w start \
    -o "-c listen_addresses='' -c unix_socket_directories='$folder' -c max_connections=300 -c shared_buffers=64MB $more" ||
    { cat "$folder/log"; stop "$@"; echo failed; exit 1; }
echo ready
cat > /dev/null
stop "$@"
"#;

/// A server, gone with this.
pub struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    /// What a command begins with that is to run as the server's user.
    runner: Vec<String>,
    /// Held open: its end is the keeper's sign.
    _keeper: std::process::Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| start::<&str>(&[], |_| String::new()))
}

/// One with these files in its folder, and further settings, which may name them.
pub fn start<T: AsRef<[u8]>>(files: &[(&str, T)], settings: impl FnOnce(&Path) -> String) -> Cluster {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    start_in(&parent, files, settings)
}

/// The same, its folder below another one, which the server's user must be able to reach.
pub fn start_in<T: AsRef<[u8]>>(parent: &Path, files: &[(&str, T)], settings: impl FnOnce(&Path) -> String) -> Cluster {
    let bin = programs();
    let folder = tempfile::Builder::new().prefix("billhook-pg-").tempdir_in(parent).expect("a folder").keep();
    for (name, content) in files {
        let mut file = std::fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(folder.join(name));
        file.and_then(|mut file| file.write_all(content.as_ref())).expect("the file is written");
    }
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "sh"]).arg(&folder).arg(&bin).arg(settings(&folder));
    let mut runner = vec!["env".to_owned()];
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        let user = |user: &&&str| Command::new("id").arg(user).output().is_ok_and(|found| found.status.success());
        let user =
            USERS.iter().find(user).expect("there is no user to run a database server as: add the user postgres");
        let owned = Command::new("chown").arg("-R").arg(user).arg(&folder).status();
        assert!(owned.expect("chown runs").success(), "the folder is not given to {user}");
        runner = vec!["setpriv".to_owned(), format!("--reuid={user}"), "--clear-groups".to_owned()];
    }
    command.args(&runner);
    // Of its own group: what ends this process from a terminal must not end the keeper before it has cleaned up.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut keeper = command.spawn().expect("a shell runs");
    let said: Vec<String> = BufReader::new(keeper.stdout.take().expect("its output is a pipe"))
        .lines()
        .map_while(Result::ok)
        .take_while(|line| line != "ready")
        .collect();
    assert!(said.last().is_none_or(|line| line != "failed"), "no database server can be started: {said:#?}");
    Cluster { folder, bin, runner, _keeper: keeper }
}

impl Cluster {
    /// Where its socket is, and its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has it do something, as its administrator; the port names the socket.
    pub fn administer(&self, port: u16, text: &str) {
        let done = self.psql(port, "postgres", text);
        assert!(done.status.success(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Ends it as a crash would, and starts it again. Returns when it takes connections.
    pub fn crash(&self) {
        let mut command = Command::new(&self.runner[0]);
        command
            .args(&self.runner[1..])
            .arg(self.bin.join("pg_ctl"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-l")
            .arg(self.folder.join("log"));
        let done = command.args(["-m", "immediate", "-w", "restart"]).stdin(Stdio::null()).stdout(Stdio::null());
        assert!(done.status().expect("pg_ctl runs").success(), "the server does not start again");
    }

    fn psql(&self, port: u16, database: &str, text: &str) -> std::process::Output {
        let mut psql = Command::new(self.bin.join("psql"));
        let (host, port) = (format!("--host={}", self.folder.display()), format!("--port={port}"));
        let fixed = ["--quiet", "--tuples-only", "--no-psqlrc", "--username=billhook"];
        let psql = psql.args(fixed).args([&host, &port, "--command", text, database]);
        psql.stdin(Stdio::null()).output().expect("psql runs")
    }
}

/// Where the server's programs are: Debian keeps them out of the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).find(|bin| bin.join("initdb").exists());
    found.pop().map(|(_, bin)| bin).or_else(in_path).expect(
        "there is no Postgres server to test with; on Debian or Ubuntu: apt-get install postgresql (cargo xtask test does)",
    )
}

/// A database that goes with this.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// One without anything in it.
    pub fn empty() -> Self {
        Self::copy_of("template0")
    }

    /// Its twin, as it is now; nobody may be connected.
    pub fn twin(&self) -> Self {
        Self::copy_of(&self.name)
    }

    /// Its twin, as it is now; whoever is connected is thrown out, and let in no more.
    pub fn twin_after_cut(&self) -> Self {
        let name = &self.name;
        administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
        self.twin()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("postgres:///{}?host={}&user=billhook", self.name, cluster().folder.display())
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's files.
    pub fn data(&self) -> PathBuf {
        cluster().folder.join("data")
    }

    /// By which the server names the folder of its files, below `base`.
    pub fn number(&self) -> String {
        let found = run(&format!("SELECT oid FROM pg_database WHERE datname = '{}'", self.name));
        String::from_utf8_lossy(&found.stdout).trim().to_owned()
    }

    /// Changes something in it by hand.
    pub fn change(&self, text: &str) {
        let done = cluster().psql(5432, &self.name, text);
        assert!(done.status.success(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn copy_of(template: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        administer(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self { name }
    }
}

/// Has the server do something, from a database that is nobody's.
pub fn administer(text: &str) {
    let done = run(text);
    assert!(done.status.success(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Ends the server as a crash would, and starts it again; see [`Cluster::crash`].
pub fn crash() {
    cluster().crash();
}

/// Throws everybody out who is connected to a database of a test.
pub fn throw_out() {
    administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test\\_%'");
}

fn run(text: &str) -> std::process::Output {
    cluster().psql(5432, "postgres", text)
}

impl Drop for Database {
    fn drop(&mut self) {
        // What is left goes with the cluster.
        run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
