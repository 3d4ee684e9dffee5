//! A daemon under measurement: its folder, its configuration, its services.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::build::{Programs, SANDBOX};
use super::figures::{Load, Until};
use super::medium::{Folder, Medium};
use super::program::Program;
use crate::demo::cli;
use crate::http::{self, Request};

/// A server with its products, as the configuration has it.
pub(super) struct Setup<'a> {
    /// Plugins that are put into its folder, by the names of their files.
    pub(super) plugins: &'a [&'a str],
    /// Servers and products in TOML.
    pub(super) toml: String,
    /// Lines of `[store]`; a file in its own folder unless given.
    pub(super) store: Option<String>,
}

/// The folder of a daemon that may be started more than once.
pub(super) struct House {
    folder: Folder,
    billhook: PathBuf,
    preload: PathBuf,
    generator: PathBuf,
    medium: Medium,
}

/// A running daemon.
pub(super) struct Daemon {
    pub(super) program: Program,
    socket: PathBuf,
    target: String,
    generator: PathBuf,
}

impl House {
    pub(super) fn new(programs: &Programs, medium: Medium, work: &Path, name: &str, setup: &Setup<'_>) -> Result<Self> {
        let folder = medium.folder(work, name)?;
        let path = folder.path();
        for part in ["run", "data", "plugins"] {
            fs::create_dir(path.join(part)).with_context(|| format!("cannot make {}/{part}", path.display()))?;
        }
        for file in setup.plugins {
            let copy = path.join("plugins").join(file);
            fs::copy(programs.plugin(file)?, &copy).with_context(|| format!("cannot copy {file}"))?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).context("cannot set a plugin's mode")?;
        }
        let text = config(path, rustix::process::geteuid().as_raw(), setup);
        fs::write(path.join("billhook.toml"), text).context("cannot write the configuration")?;
        Ok(Self {
            billhook: programs.program("billhook")?.to_owned(),
            preload: programs.preload.clone(),
            generator: programs.program("bench-load")?.to_owned(),
            folder,
            medium,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path().join("data").join("billhook.db")
    }

    /// Where its host key is, made at the first start of a store.
    pub(super) fn key(&self) -> PathBuf {
        self.path().join("host.key")
    }

    /// Starts the daemon and waits until all its servers are ready.
    pub(super) fn start(&self) -> Result<Daemon> {
        let mut daemon = self.spawn()?;
        let socket = daemon.socket.clone();
        let ready = daemon.program.wait_until("the daemon to be ready", || {
            let reply = http::over_socket(&socket, &get("/readyz")).ok();
            Ok(reply.filter(|reply| reply.status == 200).map(|reply| reply.body))
        })?;
        ensure!(ready["status"] == "ok", "the daemon is not well: {ready}; its log is in {}", self.path().display());
        Ok(daemon)
    }

    /// Lets the system have the program in memory.
    pub(super) fn read_program(&self) -> Result<()> {
        let output = Command::new(&self.billhook).arg("--version").output().context("cannot run the daemon")?;
        ensure!(output.status.success(), "the daemon does not tell its version");
        Ok(())
    }

    /// Starts the daemon, and does not wait for anything.
    pub(super) fn spawn(&self) -> Result<Daemon> {
        let path = self.path();
        let mut command = cli::command(&self.billhook, &path.join("billhook.toml"));
        // What it keeps beside a store on a server: copies of plugins.
        command.arg("serve").env("XDG_DATA_HOME", path.join("data"));
        let program = Program::start("the daemon", command, path, &self.preload, self.medium)?;
        let socket = path.join("run").join("hook.sock");
        let target = format!("unix:{}", socket.display());
        Ok(Daemon { program, socket, target, generator: self.generator.clone() })
    }
}

impl Daemon {
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// As the load wants it.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Creates services `prefix-0`, `prefix-1`, ... of a product.
    pub(super) fn create(&self, prefix: &str, product: &str, count: usize, more: &[&str]) -> Result<()> {
        let work = ["creates", "--prefix", prefix, "--product", product];
        let until = Until::Count(count);
        let load = Load {
            variant: "creates",
            work: &work,
            target: &self.target,
            program: None,
            callers: 16.min(count),
            run: format!("{prefix}-made"),
            until,
        };
        load.send(&self.generator, more).map(drop)
    }
}

/// A read that is answered at once.
pub(super) fn get(path: &str) -> Request<'_> {
    Request { method: "GET", path, headers: &[], body: "", limit: Duration::from_secs(5) }
}

/// The sandbox's server and products, before the panel that only answers.
pub(super) fn sandbox(panel: &str) -> Setup<'static> {
    sandbox_of(panel, 64)
}

/// The same with a lane of so many places.
pub(super) fn sandbox_of(panel: &str, places: usize) -> Setup<'static> {
    let product = |name: &str, settings: &str| {
        format!("[products.{name}]\nserver = \"mock\"\n[products.{name}.settings]\n{settings}\n")
    };
    let products = [
        product("none", ""),
        product("one", "exchanges = 1\ncall_bytes = 1600"),
        product("three", "exchanges = 3\ncall_bytes = 1600"),
        product("later", "delay_s = 3600"),
        product("soon", "delay_s = 20"),
    ];
    let toml = format!(
        "[servers.mock]\nprovider = \"sandbox\"\nbase_url = \"{panel}\"\nallow_http = true\nconcurrency = {places}\n\n{}",
        products.join("\n")
    );
    Setup { plugins: &[SANDBOX], toml, store: None }
}

/// Writes a secret where only its owner reads it.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).with_context(|| format!("cannot make {}", path.display()))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn config(folder: &Path, uid: u32, setup: &Setup<'_>) -> String {
    let folder = folder.display();
    let file = || format!("url = \"sqlite://{folder}/data/billhook.db\"");
    let (store, servers) = (setup.store.clone().unwrap_or_else(file), &setup.toml);
    format!(
        r#"# Written by `cargo xtask bench`: nothing but places and a wider lane differs from the defaults.

[socket]
folder = "{folder}/run"

[store]
{store}

[seal]
key_file = "{folder}/host.key"

[plugins]
folder = "{folder}/plugins"

[platforms.bench]
uids = [{uid}]
hooks = "all"

{servers}"#
    )
}
