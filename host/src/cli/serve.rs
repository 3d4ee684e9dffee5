//! `billhook serve`: the daemon, from its start to its end.

use super::answer::{Answer, Exit};
use super::logging;
use super::place::Place;
use crate::clock::SystemClock;
use crate::engine::{Engine, EngineOptions};
use crate::server::Server;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long attempts may take to come to a place where they can be taken up again.
const GRACE: Duration = Duration::from_secs(30);

/// Serves until it is told to end.
///
/// # Errors
///
/// A configuration that is refused, an engine or a server that does not start.
pub(super) async fn run(place: &Place) -> anyhow::Result<Answer> {
    let config = Arc::new(place.config()?);
    logging::start(&config.log)?;
    // Before anything is opened: a daemon that is told to end while it starts ends in order as well.
    let mut end = End::listen()?;
    match place.file() {
        Some(file) => tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %file.display(), "starting"),
        None => tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting without a configuration file"),
    }
    for warning in &config.warnings {
        tracing::warn!(place = %warning.place, remedy = %warning.remedy, "{}", warning.problem);
    }
    let options =
        EngineOptions { clock: SystemClock::shared(), tap: None, commit_tap: None, staging: None, prober: None };
    let engine = Engine::start(Arc::clone(&config), options).await?;
    let server = match Server::start(Arc::clone(&engine), Arc::clone(&config)).await {
        Ok(server) => server,
        Err(error) => {
            engine.stop(GRACE).await;
            return Err(error.into());
        }
    };
    tracing::info!(
        hook_socket = %config.socket.hook_socket().display(),
        admin_socket = %config.socket.admin_socket().display(),
        servers = engine.panels().len(),
        unready = engine.unready().len(),
        "ready"
    );

    let signal = end.wait().await;
    tracing::info!(signal, grace_s = GRACE.as_secs(), "stopping; a second signal ends it at once");
    let stop = async {
        server.stop().await;
        engine.stop(GRACE).await;
    };
    tokio::select! {
        () = stop => {
            tracing::info!("stopped");
            Ok(Answer::silent(Exit::Done))
        }
        signal = end.wait() => {
            tracing::warn!(signal, "ended at once; the next start settles what was under way");
            Ok(Answer::silent(Exit::Failed))
        }
    }
}

/// The signals that mean the end. A terminal that goes away is one of them.
struct End {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl End {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next one.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
