//! A fake VirtFusion panel: keeps state, works in the background, takes nothing that the reference does not name, and
//! breaks exactly where a test wants it to.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use billhook_tests::clock::ManualClock;
//! use billhook_tests::virtfusion::{Config, Fault, Plan, VirtFusion};
//!
//! let clock = ManualClock::default();
//! let running = VirtFusion::start(Config::at(&clock))?;
//! running.panel().arm(Plan::on("POST", "/servers", Fault::DropAfterEffect));
//! // … let the client order a server at `running.base_url()` with `running.token()` …
//! assert_eq!(running.panel().servers().len(), 1);
//! assert!(running.panel().check().is_empty());
//! # Ok(())
//! # }
//! ```

mod answer;
mod api;
mod breakage;
mod check;
mod config;
mod control;
mod faults;
mod http;
mod ledger;
mod panel;
mod routes;
mod rules;
mod schema;
mod seed;
mod sight;
mod state;
mod view;

#[cfg(test)]
mod client;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};

pub use config::{BuildOutcome, BusySuspend, Config, Group, Knobs, Package, Prefix, Relations, Template};
pub use faults::{EffectTiming, Fault, Plan};
pub use ledger::{Call, Effect, Outcome};
pub use panel::Panel;
pub use schema::{Contract, contract};
pub use seed::{ServerSeed, UserSeed};
pub use sight::{ServerView, UserView};

use http::{Connection, Request};
use panel::Reaction;

/// The fake panel's starter.
#[derive(Debug)]
pub struct VirtFusion;

impl VirtFusion {
    /// Starts a panel on a free port of 127.0.0.1, on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn start(config: Config) -> io::Result<Running> {
        Self::start_on(&Handle::current(), config, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts a panel at an address, on a runtime of choice. A test that blocks its own thread gives another runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn start_on(runtime: &Handle, config: Config, listen: SocketAddr) -> io::Result<Running> {
        let panel = Panel::new(&config);
        let mut running = Running {
            address: listen,
            prefix: config.prefix,
            token: config.token,
            panel,
            runtime: runtime.clone(),
            server: None,
        };
        running.go_online()?;
        Ok(running)
    }
}

/// A running panel; it stops when this is dropped.
pub struct Running {
    address: SocketAddr,
    prefix: Prefix,
    token: String,
    panel: Panel,
    runtime: Handle,
    server: Option<JoinHandle<()>>,
}

impl Running {
    /// Where the API is: `http://127.0.0.1:PORT/api/v1`, without the prefix for [`Prefix::Bare`].
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, self.prefix.as_str())
    }

    /// Where the panel listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bearer token that the panel takes.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The handle for questions and fault plans.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// Stops listening and breaks every connection; the state stays. Clients are refused from now on.
    pub async fn go_offline(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // The listener is closed when the task is gone, not when it is told to go.
            let _ = server.await;
        }
    }

    /// Listens again, on the same port. Does nothing when the panel is online.
    ///
    /// # Errors
    ///
    /// When somebody else has taken the port.
    pub fn go_online(&mut self) -> io::Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        self.address = listener.local_addr()?;
        let _runtime = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        self.server = Some(self.runtime.spawn(accept(listener, self.panel.clone())));
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// Owns every connection: when it is aborted, they all end.
async fn accept(listener: tokio::net::TcpListener, panel: Panel) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, panel.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection until either side ends it. An error means that the client is gone, and there is nobody to tell.
async fn serve(stream: tokio::net::TcpStream, panel: Panel) -> io::Result<()> {
    let mut connection = Connection::new(stream)?;
    loop {
        let request = match connection.next_request().await {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    panel.note_malformed(&error);
                }
                return Err(error);
            }
        };
        let closes = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !answer_request(&mut connection, &panel, &request).await? || closes {
            return Ok(());
        }
    }
}

/// Whether the connection lives on.
async fn answer_request(connection: &mut Connection, panel: &Panel, request: &Request) -> io::Result<bool> {
    match panel.receive(request) {
        Reaction::Send(bytes) => connection.send(&bytes).await.map(|()| true),
        Reaction::SendAndClose(bytes) => connection.send(&bytes).await.map(|()| false),
        Reaction::Close => Ok(false),
        Reaction::Hold { mut hold, status, bytes } => {
            tokio::select! {
                _ = hold.released.changed() => {
                    hold.end(Outcome::Answered(status));
                    drop(hold);
                    connection.send(&bytes).await.map(|()| true)
                }
                () = connection.client_gone() => {
                    hold.end(Outcome::ClientLeft);
                    Ok(false)
                }
            }
        }
    }
}
