//! The folder of a daemon on trial, and the panel beside it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::write_private;
use crate::clock::{Stopwatch, wait_for};
use crate::demo::{Panel, cli};
use crate::http::{self, Request};
use crate::process::{self, Process};

/// Until a program that was just started answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What is on trial, and what tries it.
pub(super) struct Programs {
    pub(super) billhook: PathBuf,
    pub(super) panel: PathBuf,
    pub(super) plugin: PathBuf,
    pub(super) preload: PathBuf,
}

/// A folder in memory with everything, and a panel that outlives every daemon.
pub(super) struct House {
    folder: PathBuf,
    billhook: PathBuf,
    preload: PathBuf,
    pub(super) panel: Panel,
    _panel_process: Process,
}

/// A running daemon.
pub(super) struct Daemon(Process);

/// Where one of several hosts on one store is.
pub(super) struct Seat {
    config: PathBuf,
    log: PathBuf,
    pub(super) socket: PathBuf,
}

impl House {
    pub(super) fn new(programs: &Programs, name: &str) -> Result<Self> {
        Self::at_pace(programs, name, 0)
    }

    /// The same with a panel that takes so many milliseconds for a call.
    pub(super) fn at_pace(programs: &Programs, name: &str, answer_ms: u64) -> Result<Self> {
        // Short, since sockets are in it, and the kernel takes 107 bytes for the path of one.
        let folder = Path::new("/dev/shm").join(format!("bt{}-{name}", std::process::id()));
        for part in ["", "run", "data", "kept", "plugins"] {
            let path = folder.join(part);
            DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let plugin = folder.join("plugins").join("libvirtfusion.so");
        fs::copy(&programs.plugin, &plugin).context("cannot copy the plugin")?;
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o644)).context("cannot set the plugin's mode")?;
        write_private(&folder.join("panel.token"), "token-of-the-trial-0123456789")?;
        fs::write(folder.join("fails"), [0; 8]).context("cannot write the count of failing syncs")?;

        let log = folder.join("panel.log");
        let mut command = Command::new(&programs.panel);
        command
            .args(["--listen", "127.0.0.1:0", "--build-ms", "0", "--room", "1000000"])
            .args(["--answer-ms", &answer_ms.to_string()])
            .arg("--token-file")
            .arg(folder.join("panel.token"));
        let mut panel_process = Process::start("the panel", command, &log)?;
        let address = wait_for("the panel to listen", START_LIMIT, || {
            panel_process.check()?;
            // Without its end the line may still be cut in the middle of the port.
            let text = fs::read_to_string(&log).unwrap_or_default();
            let line = text.split_once('\n').and_then(|(line, _)| line.strip_prefix("listening on http://"));
            Ok(line.and_then(|address| address.split('/').next()?.parse().ok()))
        })?;
        let config = config(&folder, &format!("http://{address}/api/v1"));
        fs::write(folder.join("billhook.toml"), config).context("cannot write the configuration")?;
        Ok(Self {
            folder,
            billhook: programs.billhook.clone(),
            preload: programs.preload.clone(),
            panel: Panel { address },
            _panel_process: panel_process,
        })
    }

    /// A place for one of several hosts on the database at `url`; the times are those of its lease: sign, stop, end.
    pub(super) fn seat(&self, name: &str, url: &str, [renew, stop, lease]: [&str; 3]) -> Result<Seat> {
        let own = self.folder.display();
        let text = fs::read_to_string(self.folder.join("billhook.toml")).context("cannot read the configuration")?;
        let text = text.replace(&format!("{own}/run"), &format!("{own}/{name}"));
        let text = text.replace(
            &format!("url = \"sqlite://{own}/data/billhook.db\""),
            &format!(
                "url = \"{url}\"\nhost = \"{name}\"\nlease_renew = \"{renew}\"\nlease_stop = \"{stop}\"\nlease = \"{lease}\""
            ),
        );
        let config = self.folder.join(format!("{name}.toml"));
        fs::write(&config, text).context("cannot write a configuration")?;
        let folder = self.folder.join(name);
        DirBuilder::new().mode(0o700).create(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Seat { config, log: self.folder.join(format!("{name}.log")), socket: folder.join("hook.sock") })
    }

    /// Starts a host and waits until it answers.
    pub(super) fn start_at(&self, seat: &Seat) -> Result<Daemon> {
        let mut command = cli::command(&self.billhook, &seat.config);
        // What it keeps beside the database: copies of plugins.
        command.arg("serve").env("XDG_DATA_HOME", self.data());
        let mut daemon = Daemon(Process::start("a host", command, &seat.log)?);
        self.answers(&mut daemon, &seat.socket, &seat.log)?;
        Ok(daemon)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("run").join("hook.sock")
    }

    /// Where the database is.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where its synced content is.
    pub(super) fn kept(&self) -> PathBuf {
        self.folder.join("kept")
    }

    /// Lets so many of the next syncs fail.
    pub(super) fn fail_syncs(&self, count: i64) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let file = fs::File::options().write(true).open(self.folder.join("fails")).context("cannot open the count")?;
        file.write_at(&count.to_ne_bytes(), 0).context("cannot write the count of failing syncs")?;
        Ok(())
    }

    /// The daemon's command line.
    pub(super) fn command(&self) -> Command {
        cli::command(&self.billhook, &self.folder.join("billhook.toml"))
    }

    /// Starts the daemon and does not wait for it; with the preload library where the part needs it.
    pub(super) fn spawn(&self, preloaded: bool) -> Result<Daemon> {
        let mut command = self.command();
        command.arg("serve");
        if preloaded {
            command
                .env("LD_PRELOAD", &self.preload)
                .env("POWER_FOLDER", self.data())
                .env("POWER_KEPT", self.kept())
                .env("POWER_FAILS", self.folder.join("fails"));
        }
        Ok(Daemon(Process::start("the daemon", command, &self.folder.join("host.log"))?))
    }

    /// Waits until it answers; the time that took.
    pub(super) fn ready(&self, daemon: &mut Daemon) -> Result<Duration> {
        self.answers(daemon, &self.socket(), &self.folder.join("host.log"))
    }

    fn answers(&self, daemon: &mut Daemon, socket: &Path, log: &Path) -> Result<Duration> {
        let watch = Stopwatch::start();
        let request =
            Request { method: "GET", path: "/readyz", headers: &[], body: "", limit: Duration::from_secs(10) };
        loop {
            daemon.0.check().with_context(|| process::tail("the daemon", log))?;
            match http::over_socket(socket, &request) {
                Ok(reply) if reply.status == 200 => return Ok(watch.elapsed()),
                _ => ensure!(watch.elapsed() < START_LIMIT, "the daemon was not ready in time"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Starts the daemon and waits until it answers.
    pub(super) fn start(&self, preloaded: bool) -> Result<(Daemon, Duration)> {
        let mut daemon = self.spawn(preloaded)?;
        let time = self.ready(&mut daemon)?;
        Ok((daemon, time))
    }
}

impl Daemon {
    pub(super) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// See [`Process::memory_kb`].
    pub(super) fn memory_kb(&self, which: &str) -> Result<u64> {
        self.0.memory_kb(which)
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        self.0.check()
    }

    pub(super) fn signal(&mut self, signal: rustix::process::Signal) -> Result<()> {
        self.0.signal(signal)
    }

    /// Waits until it has ended by itself; whether it says that all was well.
    pub(super) fn wait(self) -> Result<bool> {
        self.0.wait()
    }

    pub(super) fn kill(self) -> Result<()> {
        self.0.kill()
    }

    pub(super) fn stop(self) -> Result<()> {
        self.0.stop()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // After a failure its files say why.
        if std::thread::panicking() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

fn config(folder: &Path, panel: &str) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let folder = folder.display();
    format!(
        r#"# Written by `cargo xtask trial`. configs/billhook.toml has every key.

[socket]
folder = "{folder}/run"

[store]
url = "sqlite://{folder}/data/billhook.db"
# Less than a small disk has, so that it comes to be full.
reserve = "1MiB"

[seal]
key_file = "{folder}/host.key"

[plugins]
folder = "{folder}/plugins"

[platforms.trial]
uids = [{uid}]
hooks = "all"

# How long a call that was cut off may go on (attempt.longest_run) is not shortened: "there is no second server" rests on it.
[servers.panel]
provider = "virtfusion"
base_url = "{panel}"
allow_http = true
concurrency = 16

[servers.panel.settings]
token = {{ file = "{folder}/panel.token" }}

[products.vps-small]
server = "panel"

[products.vps-small.settings]
package_id = 1
hypervisor_group_id = 1
os_template_id = 10

[retry]
delays = ["1s", "2s", "5s"]
"#
    )
}
