//! The two sockets: HTTP/1.1 and JSON for billing platforms (`hook.sock`) and for admins (`admin.sock`).
//!
//! Both serve the same paths; what a caller may do follows from the socket and the uid of the peer.

mod accounts;
mod answer;
mod api;
mod body;
mod caller;
mod catalog;
mod connection;
mod events;
mod headers;
mod hooks;
mod hosts;
mod log;
mod metrics;
mod openapi;
mod operations;
mod present;
mod query;
mod refusal;
mod services;
mod socket;
mod streams;
mod tail;

#[cfg(test)]
mod tests;

pub use openapi::{document as openapi_document, text as openapi_text};

use crate::config::Config;
use crate::engine::Engine;
use api::Api;
use caller::Socket;
use socket::{Folder, SocketFile};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Whether a socket can be given to this group, by name or number.
pub(crate) fn group_exists(group: &str) -> bool {
    accounts::group_id(group).is_some()
}

/// How long a stop waits for answers that are on their way. Waits for results end at once, so this is for slow readers.
const GRACE: Duration = Duration::from_secs(5);

/// Why the sockets are not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder cannot be made, read or locked.
    #[error("cannot use the socket folder {path}", path = path.display())]
    Folder {
        /// As configured.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else could put sockets of their own there.
    #[error(
        "the socket folder {path} must be a folder of root or of the daemon's user that nobody else may write",
        path = path.display()
    )]
    FolderNotOurs {
        /// As configured.
        path: PathBuf,
    },
    /// Another daemon is serving.
    #[error("another process is serving at {path}; stop it, or set socket.folder to another one", path = path.display())]
    SocketInUse {
        /// The socket, or the folder that the other one holds.
        path: PathBuf,
    },
    /// Something else is in the place of a socket.
    #[error("{path} is not a socket; move it away", path = path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// The configured group does not exist.
    #[error("there is no group {group} in /etc/group; a group of a directory service goes by its number")]
    UnknownGroup {
        /// As configured.
        group: String,
    },
    /// The daemon may not give the socket to the group.
    #[error("cannot give {path} to the group {group}; the daemon's user must be in it", path = path.display())]
    Group {
        /// The socket.
        path: PathBuf,
        /// As configured.
        group: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {path}", path = path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Both sockets, being served.
pub struct Server {
    api: Arc<Api>,
    files: Vec<SocketFile>,
    // Held until the sockets are gone.
    _folder: Folder,
}

impl Server {
    /// Binds both sockets and serves them on the current runtime. Both exist, with their rights, when this returns.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; nothing is served then.
    pub async fn start(engine: Arc<Engine>, config: Arc<Config>) -> Result<Self, ServeError> {
        let settings = &config.socket;
        let folder = Folder::take(&settings.folder)?;
        let hook = folder.listen("hook.sock", settings.hook_mode, settings.group.as_deref())?;
        let admin = folder.listen("admin.sock", settings.admin_mode, settings.admin_group.as_deref())?;
        let api = Arc::new(Api::new(engine));
        let mut files = Vec::new();
        for (socket, (listener, file)) in [(Socket::Hook, hook), (Socket::Admin, admin)] {
            files.push(file);
            api.tasks.spawn(connection::accept(listener, socket, Arc::clone(&api)));
        }
        Ok(Self { api, files, _folder: folder })
    }

    /// Takes no connections any more, answers those who wait with what is known, and takes the sockets away.
    ///
    /// The engine goes on: stop it afterwards.
    pub async fn stop(mut self) {
        self.api.stopping.cancel();
        self.files.clear();
        self.api.tasks.close();
        tokio::select! {
            () = self.api.tasks.wait() => {}
            () = self.api.engine.env().clock.sleep(GRACE) => tracing::warn!("connections are cut off"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.api.stopping.cancel();
    }
}
