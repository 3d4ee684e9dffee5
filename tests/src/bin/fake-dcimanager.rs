//! A DCImanager panel to try the daemon on: state in memory, real time, broken on request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use billhook_tests::clock::PanelClock;
use billhook_tests::dcimanager::{Config, DciManager, InstallOutcome, Knobs, ServerSeed, Version};
use billhook_tests::program;
use clap::Parser;

/// Serves a fake DCImanager panel until it is killed.
///
/// Beside `/dcimgr`, `/_panel/servers`, `/_panel/accounts`, `/_panel/ledger` and `/_panel/check` show the panel from
/// outside, `POST /_panel/fault` breaks a coming call (`{"method":"POST","path":"server.edit/ok","fault":
/// "drop_after_effect"}`; names at `/_panel/faults`), `POST /_panel/release` lets held calls go on, and `POST
/// /_panel/hand_to` gives a machine away as staff would (`{"server_id":42,"owner":"acme","hostname":"a.example"}`).
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The administrator's name.
    #[arg(long, default_value = "whmcs")]
    login: String,
    /// File that holds the administrator's password.
    #[arg(long, conflicts_with = "password_env", required_unless_present = "password_env")]
    password_file: Option<PathBuf>,
    /// Environment variable that holds the administrator's password.
    #[arg(long)]
    password_env: Option<String>,
    /// How long an installation takes, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    install_ms: u64,
    /// How long power, ports and the beginning of an installation take, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    step_ms: u64,
    /// Lets every installation fail.
    #[arg(long)]
    install_fails: bool,
    /// Free machines of the first kind, besides those that are always there.
    #[arg(long, default_value_t = 0)]
    machines: u64,
    /// Answers as version 6 does.
    #[arg(long)]
    version_6: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::main("fake-dcimanager", run(Args::parse())).await
}

async fn run(args: Args) -> Result<(), String> {
    let outcome = if args.install_fails { InstallOutcome::Fails } else { InstallOutcome::Succeeds };
    let step_ms = args.step_ms;
    let knobs = Knobs {
        power_ms: step_ms,
        block_ms: step_ms,
        ports_ms: step_ms,
        install_gap_ms: step_ms,
        install_ms: args.install_ms,
        install_outcome: outcome,
        ..Knobs::default()
    };
    let version = if args.version_6 { Version::Six } else { Version::Five };
    let mut config = Config { version, clock: PanelClock::Real, knobs, control: true, ..Config::default() };
    config.accounts[0].password =
        program::secret("password", args.password_file.as_deref(), args.password_env.as_deref())?;
    config.accounts[0].name.clone_from(&args.login);
    config.servers.extend((0..args.machines).map(|number| ServerSeed::free(1_000 + number)));
    program::serve::<DciManager>(config, args.listen).await
}
