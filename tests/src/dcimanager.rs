//! A fake DCImanager panel: keeps accounts, machines and their addresses, takes nothing that the contract does not name,
//! and breaks exactly where a test wants it to.
//!
//! A call's name, in the ledger and in fault plans, is its function: `server` for a list, `server.edit` for the view of a
//! form, `server.edit/ok` for its commit, `iplist.edit/new` for a commit that makes something.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use billhook_tests::clock::ManualClock;
//! use billhook_tests::dcimanager::{Config, DciManager, Fault, Plan, Theft};
//!
//! let clock = ManualClock::default();
//! let running = DciManager::start(Config::at(&clock))?;
//! running.panel().arm(Plan::on("POST", "server.operations/ok", Fault::DropAfterEffect));
//! running.panel().steal(Theft::after("server", 1));
//! // … let the client sell a machine at `running.base_url()` as `running.admin()` …
//! assert_eq!(running.panel().sold().len(), 1);
//! assert!(running.panel().check().is_empty());
//! # Ok(())
//! # }
//! ```

mod api;
mod check;
mod config;
mod errors;
mod faults;
mod functions;
mod ledger;
mod panel;
mod rules;
mod sight;
mod state;
mod theft;
mod version6;
mod view;
mod xml;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::runtime::Handle;

pub use config::{
    Account, Config, Family, Flag, InstallOutcome, Knobs, Level, Manners, OwnerAs, Pool, PowerOutcome, ServerSeed,
    SessionAs, Template, Version,
};
pub use ledger::{Call, Effect, Outcome};
pub use panel::Panel;
pub use sight::{AccountView, AddressView, ServerView};
pub use state::World;
pub use theft::Theft;

pub use crate::panel::{EffectTiming, Fault, Plan};

/// A running panel; it stops when this is dropped.
pub type Running = crate::panel::Running<World>;

/// The fake panel's starter.
#[derive(Debug)]
pub struct DciManager;

impl DciManager {
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
    /// Where the panel is; its API is the one address `/dcimgr` below that.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The administrator under test.
    ///
    /// # Panics
    ///
    /// When the configuration has no account.
    pub fn admin(&self) -> &Account {
        self.config().accounts.first().expect("a panel has an administrator")
    }
}
