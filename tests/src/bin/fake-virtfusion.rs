//! A VirtFusion panel to try the daemon on: state in memory, real time, broken on request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use billhook_tests::clock::PanelClock;
use billhook_tests::program;
use billhook_tests::virtfusion::{Config, Knobs, VirtFusion};
use clap::Parser;

/// Serves a fake VirtFusion panel until it is killed.
///
/// Beside the API, `/_panel/servers`, `/_panel/ledger` and `/_panel/check` show the panel from outside, `POST
/// /_panel/fault` breaks a coming call (`{"method":"POST","path":"/servers","fault":"drop_after_effect"}`; names at
/// `/_panel/faults`), and `POST /_panel/release` lets held calls go on.
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File that holds the API token.
    #[arg(long, conflicts_with = "token_env", required_unless_present = "token_env")]
    token_file: Option<PathBuf>,
    /// Environment variable that holds the API token.
    #[arg(long)]
    token_env: Option<String>,
    /// How long a build takes, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    build_ms: u64,
    /// How many servers the first group has room for.
    #[arg(long, default_value_t = 100)]
    room: usize,
    /// How long the panel takes for a call, in milliseconds: half of it before it does anything, half after.
    #[arg(long, default_value_t = 0)]
    answer_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::main("fake-virtfusion", run(Args::parse())).await
}

async fn run(args: Args) -> Result<(), String> {
    let token = program::secret("token", args.token_file.as_deref(), args.token_env.as_deref())?;
    let knobs = Knobs {
        build_start_ms: args.build_ms / 4,
        build_ms: args.build_ms,
        task_ms: args.build_ms / 3,
        ..Knobs::default()
    };
    let mut config = Config { token, clock: PanelClock::Real, knobs, control: true, ..Config::default() };
    if let Some(group) = config.groups.first_mut() {
        group.room = args.room;
    }
    let pace = Duration::from_millis(args.answer_ms);
    program::serve_at_pace::<VirtFusion>(config, args.listen, pace).await
}
