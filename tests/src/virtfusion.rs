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

mod api;
mod check;
mod config;
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
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::runtime::Handle;

pub use config::{BuildOutcome, BusySuspend, Config, Group, Knobs, Package, Prefix, Relations, Template};
pub use ledger::{Call, Effect, Outcome};
pub use panel::Panel;
pub use schema::{Contract, contract};
pub use seed::{ServerSeed, UserSeed};
pub use sight::{ServerView, UserView};
pub use state::World;

pub use crate::panel::{EffectTiming, Fault, Plan};

/// A running panel; it stops when this is dropped.
pub type Running = crate::panel::Running<World>;

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
        Running::start_on(runtime, config, listen)
    }
}

impl Running {
    /// Where the API is: `http://127.0.0.1:PORT/api/v1`, without the prefix for [`Prefix::Bare`].
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address(), self.config().prefix.as_str())
    }

    /// The bearer token that the panel takes.
    pub fn token(&self) -> &str {
        &self.config().token
    }
}
