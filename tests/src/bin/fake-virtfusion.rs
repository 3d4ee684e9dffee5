//! A VirtFusion panel to try the daemon on: state in memory, real time, broken on request.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use billhook_tests::clock::PanelClock;
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
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("fake-virtfusion: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let token = token(&args)?;
    let knobs = Knobs {
        build_start_ms: args.build_ms / 4,
        build_ms: args.build_ms,
        task_ms: args.build_ms / 3,
        ..Knobs::default()
    };
    let config = Config { token, clock: PanelClock::Real, knobs, control: true, ..Config::default() };
    let runtime = tokio::runtime::Handle::current();
    let running = VirtFusion::start_on(&runtime, config, args.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", running.base_url())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to stdout: {error}"))?;
    std::future::pending().await
}

fn token(args: &Args) -> Result<String, String> {
    let text = match (&args.token_file, &args.token_env) {
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
        }
        (None, Some(name)) => std::env::var(name).map_err(|error| format!("{name}: {error}"))?,
        (None, None) => return Err("no token given".into()),
    };
    match text.trim() {
        "" => Err("the token is empty".into()),
        token => Ok(token.to_owned()),
    }
}
