//! A panel behind a port of this machine.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};

use super::World;
use super::handle::{Panel, Reaction};
use super::http::{Connection, Request};
use super::ledger::Outcome;

/// A running panel; it stops when this is dropped.
pub struct Running<W: World> {
    address: SocketAddr,
    config: W::Config,
    panel: Panel<W>,
    /// The panel that the next connection speaks to.
    answering: Arc<Mutex<Panel<W>>>,
    runtime: Handle,
    pace: Duration,
    server: Option<JoinHandle<()>>,
}

impl<W: World> Running<W> {
    /// Starts a panel at an address, on a runtime of choice. A test that blocks its own thread gives another runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn start_on(runtime: &Handle, config: W::Config, listen: SocketAddr) -> io::Result<Self> {
        Self::start_at_pace(runtime, config, listen, Duration::ZERO)
    }

    /// The same with a panel that takes so long for a call, in real time: half of it before it does anything, half after.
    ///
    /// # Errors
    ///
    /// As [`Running::start_on`].
    pub fn start_at_pace(runtime: &Handle, config: W::Config, listen: SocketAddr, pace: Duration) -> io::Result<Self> {
        let panel = Panel::new(&config);
        let answering = Arc::new(Mutex::new(panel.clone()));
        let runtime = runtime.clone();
        let mut running = Self { address: listen, config, panel, answering, runtime, pace, server: None };
        running.go_online()?;
        Ok(running)
    }

    /// Where the panel listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the panel was started with; its state has moved on since.
    pub fn config(&self) -> &W::Config {
        &self.config
    }

    /// The handle for questions and fault plans.
    pub fn panel(&self) -> &Panel<W> {
        &self.panel
    }

    /// Puts another panel behind the port. Connections that there are stay with the one that they found.
    pub fn put(&mut self, panel: Panel<W>) {
        *self.answering.lock().unwrap_or_else(PoisonError::into_inner) = panel.clone();
        self.panel = panel;
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
        self.server = Some(self.runtime.spawn(accept(listener, Arc::clone(&self.answering), self.pace)));
        Ok(())
    }
}

impl<W: World> Drop for Running<W> {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// Owns every connection: when it is aborted, they all end.
async fn accept<W: World>(listener: tokio::net::TcpListener, answering: Arc<Mutex<Panel<W>>>, pace: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let panel = answering.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    connections.spawn(serve(stream, panel, pace));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection until either side ends it. An error means that the client is gone, and there is nobody to tell.
async fn serve<W: World>(stream: tokio::net::TcpStream, panel: Panel<W>, pace: Duration) -> io::Result<()> {
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
        if !answer_request(&mut connection, &panel, &request, pace / 2).await? || closes {
            return Ok(());
        }
    }
}

/// Whether the connection lives on.
async fn answer_request<W: World>(
    connection: &mut Connection,
    panel: &Panel<W>,
    request: &Request,
    pause: Duration,
) -> io::Result<bool> {
    take_time(pause).await;
    let reaction = panel.receive(request);
    take_time(pause).await;
    match reaction {
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

/// A panel that is a program of its own lives in real time.
#[expect(clippy::disallowed_methods, reason = "only where a pace was asked for; no test of the suites does")]
async fn take_time(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}
