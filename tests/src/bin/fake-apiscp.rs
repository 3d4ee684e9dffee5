//! An ApisCP panel to try the daemon on: state in memory, real time, broken on request.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use billhook_tests::apiscp::{ApiKey, ApisCp, Config};
use billhook_tests::clock::PanelClock;
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
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("fake-apiscp: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let admin = ApiKey { key: key(&args)?, owner: "admin".into(), site: None };
    let config = Config { keys: vec![admin], clock: PanelClock::Real, control: true, ..Config::default() };
    let runtime = tokio::runtime::Handle::current();
    let running = ApisCp::start_on(&runtime, config, args.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", running.base_url())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to stdout: {error}"))?;
    std::future::pending().await
}

fn key(args: &Args) -> Result<String, String> {
    let text = match (&args.key_file, &args.key_env) {
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
        }
        (None, Some(name)) => std::env::var(name).map_err(|error| format!("{name}: {error}"))?,
        (None, None) => return Err("no key given".into()),
    };
    match text.trim() {
        "" => Err("the key is empty".into()),
        key => Ok(key.to_owned()),
    }
}
