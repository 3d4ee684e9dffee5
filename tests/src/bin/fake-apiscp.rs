//! An ApisCP panel to try the daemon on: state in memory, real time, broken on request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use billhook_tests::apiscp::{ApiKey, ApisCp, Config};
use billhook_tests::clock::PanelClock;
use billhook_tests::program;
use clap::Parser;

/// Serves a fake ApisCP panel until it is killed.
///
/// Beside `/soap` and `/apnscp.wsdl`, `/_panel/sites`, `/_panel/ledger` and `/_panel/check` show the panel from outside,
/// `POST /_panel/fault` breaks a coming call (`{"method":"POST","path":"admin_add_site","fault":"drop_after_effect"}`; names
/// at `/_panel/faults`), `POST /_panel/release` lets held calls go on, `POST /_panel/suspend` suspends a site as the panel
/// does by itself (`{"id":12,"reason":"bandwidth exceeded"}`; without a reason it is activated), `POST /_panel/remove`
/// deletes one (`{"id":12}`), and `POST /_panel/ban` bans an address (`{"jail":"ssh","address":"203.0.113.9"}`).
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File that holds the key of the API.
    #[arg(long, conflicts_with = "key_env", required_unless_present = "key_env")]
    key_file: Option<PathBuf>,
    /// Environment variable that holds the key of the API.
    #[arg(long)]
    key_env: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::main("fake-apiscp", run(Args::parse())).await
}

async fn run(args: Args) -> Result<(), String> {
    let admin = ApiKey {
        key: program::secret("key", args.key_file.as_deref(), args.key_env.as_deref())?,
        owner: "admin".into(),
        site: None,
    };
    let config = Config { keys: vec![admin], clock: PanelClock::Real, control: true, ..Config::default() };
    program::serve::<ApisCp>(config, args.listen).await
}
