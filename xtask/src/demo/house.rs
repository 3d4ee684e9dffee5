//! The demo's folder and the two programs that live in it.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cli;
use super::panel::Panel;
use crate::cargo::Artifacts;
use crate::clock::{Stopwatch, wait_for};
use crate::http::{self, Request};
use crate::process::{self, Process};

/// The kernel takes 107 bytes for a socket's path; below this folder comes `/run/admin.sock`.
const LONGEST_FOLDER: usize = 80;

/// Until a program that was just started answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long an installation takes on the fake panel: long enough to be seen, short enough to be waited for.
const BUILD_MS: &str = "2000";

/// Everything that runs.
pub(super) struct House {
    folder: PathBuf,
    billhook: PathBuf,
    panel_process: Process,
    panel: Panel,
    /// `None` between its violent end and its next start.
    host: Option<Process>,
    token: String,
    has_made_folder: bool,
    keeps_files: bool,
    watch: Stopwatch,
}

impl House {
    /// Makes the folder, starts the panel, writes the configuration, starts the daemon.
    pub(super) fn new(folder: Option<PathBuf>, artifacts: &Artifacts) -> Result<Self> {
        let watch = Stopwatch::start();
        let (folder, has_made_folder) = make_folder(folder)?;
        let token = write_token(&folder)?;
        let plugin = folder.join("plugins").join("libvirtfusion.so");
        fs::copy(artifacts.path("libvirtfusion.so")?, &plugin).context("cannot copy the plugin")?;
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o644)).context("cannot set the plugin's mode")?;

        let mut command = Command::new(artifacts.path("fake-virtfusion")?);
        command.args(["--listen", "127.0.0.1:0", "--build-ms", BUILD_MS]).arg("--token-file").arg(token_file(&folder));
        let mut panel_process = Process::start("the panel", command, &folder.join("panel.log"))?;
        let address = wait_for("the panel to listen", START_LIMIT, || {
            panel_process.check()?;
            Ok(address(&panel_process.log()?))
        })?;
        let config = config(&folder, address, rustix::process::geteuid().as_raw());
        fs::write(folder.join("billhook.toml"), config).context("cannot write the configuration")?;

        let mut house = Self {
            folder,
            billhook: artifacts.path("billhook")?.to_owned(),
            panel_process,
            panel: Panel { address },
            host: None,
            token,
            has_made_folder,
            keeps_files: false,
            watch,
        };
        if let Err(error) = house.start_host() {
            house.keep_files();
            return Err(error.context(house.log_tails()));
        }
        Ok(house)
    }

    /// Starts the daemon and waits until it answers.
    pub(super) fn start_host(&mut self) -> Result<()> {
        let mut command = self.command();
        command.arg("serve");
        let mut host = Process::start("the daemon", command, &self.folder.join("host.log"))?;
        let socket = self.hook_socket();
        let ask = Request { method: "GET", path: "/readyz", headers: &[], body: "", limit: Duration::from_secs(5) };
        wait_for("the daemon to be ready", START_LIMIT, || {
            host.check()?;
            let reply = http::over_socket(&socket, &ask).ok();
            Ok(reply.filter(|reply| reply.status == 200).map(drop))
        })?;
        self.host = Some(host);
        Ok(())
    }

    /// SIGKILL: no goodbye, no last write.
    pub(super) fn kill_host(&mut self) -> Result<()> {
        self.host.take().context("the daemon does not run")?.kill()
    }

    pub(super) fn panel(&self) -> Panel {
        self.panel
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn hook_socket(&self) -> PathBuf {
        self.folder.join("run").join("hook.sock")
    }

    /// The panel's API token, which must not be seen anywhere.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn age(&self) -> Duration {
        self.watch.elapsed()
    }

    /// The daemon's command line, bound to this house.
    pub(super) fn command(&self) -> Command {
        cli::command(&self.billhook, &self.folder.join("billhook.toml"))
    }

    /// The command line as one would type it.
    pub(super) fn shown_command(&self) -> String {
        format!("{} --config {}", self.billhook.display(), self.folder.join("billhook.toml").display())
    }

    /// Everything that the daemon writes, by name: its own log and the files of the database.
    pub(super) fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut paths = vec![self.folder.join("host.log")];
        for entry in fs::read_dir(self.folder.join("data")).context("cannot look into the database's folder")? {
            let path = entry.context("cannot look into the database's folder")?.path();
            if path.is_file() {
                paths.push(path);
            }
        }
        let read = |path: PathBuf| {
            let name = path.display().to_string();
            let bytes = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
            Ok((name, bytes))
        };
        paths.into_iter().map(read).collect()
    }

    pub(super) fn log_tails(&self) -> String {
        let tail = |name, file| process::tail(name, &self.folder.join(file));
        format!("{}\n{}", tail("the daemon", "host.log"), tail("the panel", "panel.log"))
    }

    /// The files stay, for whoever wants to know what happened.
    pub(super) fn keep_files(&mut self) {
        self.keeps_files = true;
    }

    /// The numbers of both programs.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.host.iter().map(Process::pid).chain([self.panel_process.pid()]).collect()
    }

    /// Leaves both programs running.
    pub(super) fn leave(mut self) {
        self.keeps_files = true;
        self.panel_process.let_go();
        if let Some(host) = &mut self.host {
            host.let_go();
        }
    }

    /// Stops both programs in good order and removes what was made.
    pub(super) fn clear(mut self) -> Result<()> {
        if let Some(host) = self.host.take() {
            host.stop()?;
        }
        Ok(())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if self.has_made_folder && !self.keeps_files {
            // The daemon, if it still runs, must not write into a folder that is being removed.
            drop(self.host.take());
            if let Err(error) = fs::remove_dir_all(&self.folder) {
                eprintln!("cannot remove {}: {error}", self.folder.display());
            }
        }
    }
}

/// The folder with its parts, and whether it may be removed in the end: only if the demo chose it.
fn make_folder(named: Option<PathBuf>) -> Result<(PathBuf, bool)> {
    let is_ours = named.is_none();
    let folder = match named {
        Some(folder) => std::path::absolute(folder).context("not a folder's path")?,
        None => env::temp_dir().join(format!("billhook-demo-{}", std::process::id())),
    };
    let shown = folder.display().to_string();
    ensure!(
        shown.len() <= LONGEST_FOLDER,
        "{shown} is too long for the path of a socket; name a shorter one: --folder /tmp/demo"
    );
    let mut private = DirBuilder::new();
    private.mode(0o700);
    if is_ours || !folder.exists() {
        private.create(&folder).with_context(|| format!("cannot make {shown}"))?;
    } else {
        let mut content = fs::read_dir(&folder).with_context(|| format!("cannot look into {shown}"))?;
        ensure!(content.next().is_none(), "{shown} is not empty, and the demo starts from nothing");
    }
    for part in ["run", "data", "plugins"] {
        private.create(folder.join(part)).with_context(|| format!("cannot make {shown}/{part}"))?;
    }
    Ok((folder, is_ours))
}

fn token_file(folder: &Path) -> PathBuf {
    folder.join("panel.token")
}

/// A token that the panel and the daemon's configuration share, in a file that nobody else reads.
fn write_token(folder: &Path) -> Result<String> {
    let mut bytes = [0; 20];
    File::open("/dev/urandom").and_then(|mut dice| dice.read_exact(&mut bytes)).context("cannot read /dev/urandom")?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = token_file(folder);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(token.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(token)
}

/// The address in the panel's first line, `listening on http://127.0.0.1:41234/api/v1`.
fn address(log: &str) -> Option<SocketAddr> {
    // Without its end the line may still be cut in the middle of the port.
    let (line, _) = log.split_once('\n')?;
    line.strip_prefix("listening on http://")?.split('/').next()?.parse().ok()
}

fn config(folder: &Path, panel: SocketAddr, uid: u32) -> String {
    let folder = folder.display();
    format!(
        r#"# Written by `cargo xtask demo`. configs/billhook.toml has every key.

[socket]
folder = "{folder}/run"

[store]
url = "sqlite://{folder}/data/billhook.db"

[seal]
key_file = "{folder}/host.key"

[plugins]
folder = "{folder}/plugins"

[platforms.demo]
uids = [{uid}]
hooks = "all"

# Times are short, so that nobody waits long for an accident. What a panel may take after a call was cut off
# (attempt.longest_run) is not shortened: it is what "there is no second server" rests on.
[servers.panel]
provider = "virtfusion"
base_url = "http://{panel}/api/v1"
allow_http = true
connect_timeout = "2s"
timeout = "3s"
create_timeout = "5s"

[servers.panel.settings]
token = {{ file = "{folder}/panel.token" }}

[products.vps-small]
server = "panel"

[products.vps-small.settings]
package_id = 1
hypervisor_group_id = 1
os_template_id = 10

[retry]
delays = ["2s", "5s"]
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panels_address_is_read_from_a_whole_line_only() {
        for (log, expected) in [
            ("", None),
            ("listening on http://127.0.0.1:41", None),
            ("listening on http://127.0.0.1:41234/api/v1\n", Some("127.0.0.1:41234")),
            ("listening on http://127.0.0.1:41234\nmore", Some("127.0.0.1:41234")),
            ("fake-virtfusion: cannot listen\n", None),
        ] {
            assert_eq!(address(log).map(|address| address.to_string()).as_deref(), expected, "{log}");
        }
    }

    #[test]
    fn a_folder_must_be_short_and_empty() {
        let parent = env::temp_dir().join(format!("xtask-house-{}", std::process::id()));
        fs::create_dir_all(&parent).unwrap();

        let long = make_folder(Some(parent.join("x".repeat(90))));
        let (made, is_ours) = make_folder(Some(parent.join("a"))).unwrap();
        let again = make_folder(Some(made.clone()));
        let mode = fs::metadata(made.join("run")).unwrap().permissions().mode() & 0o777;

        fs::remove_dir_all(&parent).unwrap();
        assert!(long.unwrap_err().to_string().contains("too long"));
        assert!(again.unwrap_err().to_string().contains("not empty"));
        assert_eq!((is_ours, mode), (false, 0o700));
    }
}
