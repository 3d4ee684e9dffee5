//! What the programs that serve a fake panel have in common.

use std::fs;
use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::harness::Provider;
use crate::panel::{Running, World};

/// Runs a program, and says on stderr under its name why it ended.
pub async fn main(name: &str, run: impl Future<Output = Result<(), String>>) -> ExitCode {
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{name}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Serves a panel until the program is killed. Its first line on stdout says where.
///
/// # Errors
///
/// When the address cannot be had or nobody can be told of it.
pub async fn serve<P: Provider>(config: <P::World as World>::Config, listen: SocketAddr) -> Result<(), String> {
    serve_at_pace::<P>(config, listen, Duration::ZERO).await
}

/// The same, with so much time for each call.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_at_pace<P: Provider>(
    config: <P::World as World>::Config,
    listen: SocketAddr,
    pace: Duration,
) -> Result<(), String> {
    let running = Running::<P::World>::start_at_pace(&Handle::current(), config, listen, pace)
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", P::base_url(&running))
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to stdout: {error}"))?;
    std::future::pending().await
}

/// A credential of the panel, from a file or else from a variable of the environment, without the space around it. `what` it
/// is called stands in the errors.
///
/// # Errors
///
/// When there is none, it is empty or it cannot be read.
pub fn secret(what: &str, file: Option<&Path>, env: Option<&str>) -> Result<String, String> {
    let text = match (file, env) {
        (Some(path), _) => {
            fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
        }
        (None, Some(name)) => std::env::var(name).map_err(|error| format!("{name}: {error}"))?,
        (None, None) => return Err(format!("no {what} given")),
    };
    match text.trim() {
        "" => Err(format!("the {what} is empty")),
        secret => Ok(secret.to_owned()),
    }
}
