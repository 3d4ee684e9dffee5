//! A ROOTPANEL panel to try the daemon on: state in memory, real time, broken on request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use billhook_tests::clock::PanelClock;
use billhook_tests::program;
use billhook_tests::rootpanel::{Config, Knobs, Money, RootPanel, User};
use clap::Parser;

/// Serves a fake ROOTPANEL panel until it is killed.
///
/// Beside `/apih.php`, `/_panel/orders`, `/_panel/charges`, `/_panel/ledger` and `/_panel/check` show the panel from
/// outside, `POST /_panel/fault` breaks a coming call (`{"method":"POST","path":"createOrder","fault":
/// "drop_after_effect"}`; names at `/_panel/faults`), `POST /_panel/release` lets held calls go on, `POST
/// /_panel/top_up` brings money (`{"login":"reseller","amount":"20.00"}`), and `POST /_panel/handle` lets staff carry
/// out what waits for them (`{"order_id":50123}`).
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The user's name in the billing system.
    #[arg(long, default_value = "reseller")]
    login: String,
    /// File that holds the user's API key.
    #[arg(long, conflicts_with = "apikey_env", required_unless_present = "apikey_env")]
    apikey_file: Option<PathBuf>,
    /// Environment variable that holds the user's API key.
    #[arg(long)]
    apikey_env: Option<String>,
    /// What the user has to spend, in EUR.
    #[arg(long, default_value = "500.00")]
    balance: Money,
    /// From a paid order to the start of its installation, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    accept_ms: u64,
    /// How long an installation takes, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    install_ms: u64,
    /// Leaves whatever costs money to staff, as with code 30.
    #[arg(long)]
    by_hand: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::main("fake-rootpanel", run(Args::parse())).await
}

async fn run(args: Args) -> Result<(), String> {
    let user = User {
        apikey: program::secret("key", args.apikey_file.as_deref(), args.apikey_env.as_deref())?,
        balance: args.balance,
        ..User::named(&args.login)
    };
    let Args { accept_ms, install_ms, .. } = args;
    let knobs = Knobs { accept_ms, install_ms, reinstall_ms: install_ms, by_hand: args.by_hand, ..Knobs::default() };
    let config = Config { users: vec![user], clock: PanelClock::Real, knobs, control: true, ..Config::default() };
    program::serve::<RootPanel>(config, args.listen).await
}
