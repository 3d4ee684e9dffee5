//! `billhook serve`: the daemon, from its start to its end.

use super::answer::{Answer, Exit};
use super::logging;
use super::place::Place;
use super::supervisor::Supervisor;
use crate::clock::SystemClock;
use crate::config::Finding;
use crate::engine::{Engine, EngineOptions, Reloaded};
use crate::server::Server;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why it ends, where no signal says so.
const TAKEN_FOR_DEAD: &str = "taken for dead";

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
    let mut hang_up = signal(SignalKind::hangup())?;
    match place.file() {
        Some(file) => tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %file.display(), "starting"),
        None => tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting without a configuration file"),
    }
    for warning in &config.warnings {
        tracing::warn!(place = %warning.place, remedy = %warning.remedy, "{}", warning.problem);
    }
    let supervisor = Supervisor::new();
    let engine = Engine::start(Arc::clone(&config), EngineOptions::by(SystemClock::shared())).await?;
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
        servers = engine.in_force().panels.len(),
        unready = engine.unready().len(),
        "ready"
    );

    supervisor.ready(&status(&engine));
    let env = Arc::clone(engine.env());
    tokio::spawn(env.awake.clone().keep());
    let mut signs = std::pin::pin!(supervisor.watch(&env.store, &env.clock));

    let signal = loop {
        tokio::select! {
            signal = end.wait() => break signal,
            by = env.store.is_over() => {
                tracing::error!(
                    %by,
                    "this host gave no sign of life for too long and was taken for dead: its work has gone to other hosts; it ends, \
                     and may be started again"
                );
                break TAKEN_FOR_DEAD;
            }
            _ = hang_up.recv() => {}
            () = &mut signs => {}
        }
        supervisor.reloading();
        // A reload that is cut off by the end has changed nothing yet.
        tokio::select! {
            signal = end.wait() => break signal,
            () = reload(place, &engine) => {}
            // It stays where it is until then.
            () = &mut signs => {}
        }
        supervisor.ready(&status(&engine));
    };
    supervisor.stopping();
    tracing::info!(signal, grace_s = GRACE.as_secs(), "stopping; a second signal ends it at once");
    let stop = async {
        server.stop().await;
        engine.stop(GRACE).await;
    };
    tokio::select! {
        () = stop => {
            tracing::info!("stopped");
            // So that a supervisor starts it again.
            Ok(Answer::silent(if signal == TAKEN_FOR_DEAD { Exit::Failed } else { Exit::Done }))
        }
        signal = end.wait() => {
            tracing::warn!(signal, "ended at once; the next start settles what was under way");
            Ok(Answer::silent(Exit::Failed))
        }
    }
}

/// For `systemctl status`.
fn status(engine: &Engine) -> String {
    let (ready, unready) = (engine.in_force().panels.len(), engine.unready().len());
    let recovering = if engine.is_recovering() { "; a restored store: all changes are held back" } else { "" };
    format!("takes hooks; {ready} servers ready, {unready} not{recovering}")
}

/// Reads the configuration again and puts it in force, or says why not and leaves everything as it is.
async fn reload(place: &Place, engine: &Arc<Engine>) {
    // Reads files.
    let read = tokio::task::block_in_place(|| place.config());
    let config = match read {
        Ok(config) => config,
        Err(refused) => return complain(&refused.findings),
    };
    let warnings = config.warnings.clone();
    match engine.reload(config).await {
        Ok(reloaded) => {
            for warning in &warnings {
                tracing::warn!(place = %warning.place, remedy = %warning.remedy, "{}", warning.problem);
            }
            report(&reloaded);
        }
        Err(findings) => complain(&findings),
    }
}

fn complain(findings: &[Finding]) {
    for finding in findings {
        tracing::error!(place = %finding.place, remedy = %finding.remedy, "{}", finding.problem);
    }
    tracing::error!(findings = findings.len(), "the configuration was not reloaded; the one in force stays");
}

fn report(reloaded: &Reloaded) {
    let Reloaded { added, changed, moved, removed, at_next_start } = reloaded;
    for server in moved {
        tracing::warn!(%server, "the server names another panel now: hooks for what is on the old one are refused");
    }
    for section in at_next_start {
        tracing::warn!(section, "the change takes effect at the next start");
    }
    tracing::info!(?added, ?changed, ?removed, "the configuration was reloaded");
}

/// The signals that mean the end.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
