//! A SolidCP Enterprise Server to try the daemon on: state in memory, real time, broken on request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use billhook_tests::clock::PanelClock;
use billhook_tests::program;
use billhook_tests::solidcp::{Account, Config, Knobs, SolidCp, Version};
use clap::{Parser, ValueEnum};

/// Serves a fake SolidCP panel until it is killed.
///
/// Beside the services, `/_panel/users`, `/_panel/spaces`, `/_panel/machines`, `/_panel/ledger` and `/_panel/check` show
/// the panel from outside, `POST /_panel/fault` breaks a coming call (`{"method":"POST","path":
/// "CreateNewVirtualMachine","fault":"drop_after_effect"}`; names at `/_panel/faults`), and `POST /_panel/release` lets
/// held calls go on.
///
/// The reseller sells plans 11 and 12 from space 5, 21 and 22 from space 6, with the templates `win2022.vhdx` and
/// `debian12.vhdx`.
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The reseller's login.
    #[arg(long, default_value = "reseller")]
    username: String,
    /// File that holds the reseller's password.
    #[arg(long, conflicts_with = "password_env", required_unless_present = "password_env")]
    password_file: Option<PathBuf>,
    /// Environment variable that holds the reseller's password.
    #[arg(long)]
    password_env: Option<String>,
    /// How long a machine takes to be made, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    provision_ms: u64,
    /// How many addresses each space of the reseller's has.
    #[arg(long, default_value_t = 8)]
    addresses: usize,
    /// What the server speaks.
    #[arg(long, value_enum, default_value_t = Speaks::V1_5_1)]
    version: Speaks,
}

#[derive(Clone, Copy, ValueEnum)]
enum Speaks {
    #[value(name = "1.4.9")]
    V1_4_9,
    #[value(name = "1.5.0")]
    V1_5_0,
    #[value(name = "1.5.1")]
    V1_5_1,
    #[value(name = "1.5.2")]
    V1_5_2,
    #[value(name = "2.0")]
    V2_0,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::main("fake-solidcp", run(Args::parse())).await
}

async fn run(args: Args) -> Result<(), String> {
    let version = match args.version {
        Speaks::V1_4_9 => Version::V1_4_9,
        Speaks::V1_5_0 => Version::V1_5_0,
        Speaks::V1_5_1 => Version::V1_5_1,
        Speaks::V1_5_2 => Version::V1_5_2,
        Speaks::V2_0 => Version::V2_0,
    };
    let mut config = Config { version, clock: PanelClock::Real, control: true, ..Config::default() };
    config.accounts[1] = Account {
        password: program::secret("password", args.password_file.as_deref(), args.password_env.as_deref())?,
        ..Account::reseller(2, &args.username)
    };
    let step_ms = args.provision_ms / 4;
    config.knobs = Knobs {
        provision_ms: args.provision_ms,
        doubtful_ms: step_ms.min(2_000),
        delete_ms: step_ms,
        delete_space_ms: step_ms,
        delete_user_ms: step_ms,
        follow_ms: step_ms,
        ..Knobs::default()
    };
    config.add_addresses(args.addresses);
    program::serve::<SolidCp>(config, args.listen).await
}
