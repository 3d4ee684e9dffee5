//! A fake ROOTPANEL panel: keeps orders, money and time, takes nothing that the contract does not name, and breaks
//! exactly where a test wants it to.
//!
//! A call's name, in the ledger and in fault plans, is its command.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use billhook_tests::clock::ManualClock;
//! use billhook_tests::rootpanel::{Config, Fault, Plan, RootPanel};
//!
//! let clock = ManualClock::default();
//! let running = RootPanel::start(Config::at(&clock))?;
//! running.panel().arm(Plan::on("POST", "createOrder", Fault::DropAfterEffect));
//! // … let the client order a server at `running.base_url()` as `running.user()` …
//! assert_eq!(running.panel().orders().len(), 1);
//! assert!(running.panel().check().is_empty());
//! # Ok(())
//! # }
//! ```

mod api;
mod check;
mod codes;
mod commands;
mod config;
mod faults;
mod ledger;
mod money;
mod panel;
mod rules;
mod sight;
mod state;
mod tree;
mod view;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::runtime::Handle;

pub use config::{Addon, AddonKind, Config, Dates, Knobs, Location, Manners, Months, Scalars, Tarif, User};
pub use ledger::{Call, Effect, Outcome};
pub use money::Money;
pub use panel::Panel;
pub use sight::{ChargeView, OrderSeed, OrderView};
pub use state::World;

pub use crate::panel::{EffectTiming, Fault, Plan};

/// A running panel; it stops when this is dropped.
pub type Running = crate::panel::Running<World>;

/// The fake panel's starter.
#[derive(Debug)]
pub struct RootPanel;

impl RootPanel {
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
    /// Where the panel is; its API is the one address `/apih.php` below that.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The user under test.
    ///
    /// # Panics
    ///
    /// When the configuration has none.
    pub fn user(&self) -> &User {
        self.config().users.first().expect("a panel has a user")
    }
}
