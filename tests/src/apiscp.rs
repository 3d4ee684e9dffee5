//! A fake ApisCP panel: keeps sites, plans, sessions and bans, reads SOAP as PHP's server does, takes nothing in silence that
//! the contract does not name, and breaks exactly where a test wants it to.
//!
//! A call's name, in the ledger and in fault plans, is its operation.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use billhook_tests::apiscp::{ApisCp, Config, Fault, Plan};
//! use billhook_tests::clock::ManualClock;
//!
//! let clock = ManualClock::default();
//! let running = ApisCp::start(Config::at(&clock))?;
//! running.panel().arm(Plan::on("POST", "admin_add_site", Fault::DropAfterEffect));
//! // … let the client make a site at `running.base_url()` with `running.key()` …
//! assert_eq!(running.panel().sites().len(), 1);
//! assert!(running.panel().check().is_empty());
//! # Ok(())
//! # }
//! ```

mod api;
mod check;
mod config;
mod faults;
mod ledger;
mod ops;
mod panel;
mod rules;
mod sight;
mod soap;
mod state;
mod value;
mod xml;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::runtime::Handle;

pub use config::{ApiKey, CollectKeys, Config, Denial, Knobs, Plan as HostingPlan};
pub use ledger::{Call, Effect, Outcome};
pub use panel::Panel;
pub use sight::{SiteSeed, SiteView};
pub use state::{Usage, World};
pub use value::{Key, Value};

pub use crate::panel::{EffectTiming, Fault, Plan};

/// A running panel; it stops when this is dropped.
pub type Running = crate::panel::Running<World>;

/// The fake panel's starter.
#[derive(Debug)]
pub struct ApisCp;

impl ApisCp {
    /// Every way in which a call can break on this panel.
    pub const FAULTS: &'static [Fault] = faults::ALL;

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

    /// Starts a panel at an address, on a runtime of choice.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn start_on(runtime: &Handle, config: Config, listen: SocketAddr) -> io::Result<Running> {
        Running::start_on(runtime, config, listen)
    }
}

impl Running {
    /// Where the panel is; its API is `/soap` below that.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The key under test.
    ///
    /// # Panics
    ///
    /// When the configuration has none.
    pub fn key(&self) -> &str {
        &self.config().keys.first().expect("a panel has a key").key
    }
}
