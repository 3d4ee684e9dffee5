//! A fake SolidCP Enterprise Server: users, hosting spaces, addresses and virtual machines with the jobs that make them,
//! strict where the real one drops in silence, and broken exactly where a test wants it to be.
//!
//! A call's name, in the ledger and in fault plans, is its operation; a description that is asked for is
//! `esServers.asmx?WSDL`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use billhook_tests::clock::ManualClock;
//! use billhook_tests::solidcp::{Config, Fault, Plan, SolidCp};
//!
//! let clock = ManualClock::default();
//! let running = SolidCp::start(Config::at(&clock))?;
//! running.panel().arm(Plan::on("POST", "CreateNewVirtualMachine", Fault::DropAfterEffect));
//! // … let the client make a machine at `running.base_url()` as `running.account()` …
//! assert_eq!(running.panel().machines().len(), 1);
//! assert!(running.panel().check().is_empty());
//! # Ok(())
//! # }
//! ```

mod api;
mod check;
mod config;
mod faults;
mod jobs;
mod ledger;
mod panel;
mod quotas;
mod read;
mod rights;
mod rules;
mod schema;
mod sight;
mod state;
mod value;
mod view;
mod write;
mod wsdl;
mod xml;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::runtime::Handle;

pub use config::{Account, Config, Knobs, Manners, Mishap, Node, Plan as HostingPlan, PoolAddress, Space, Template};
pub use ledger::{Call, Effect, Outcome, Power};
pub use panel::Panel;
pub use schema::Version;
pub use sight::{Customer, MachineView, SpaceView, UserView};
pub use state::World;

pub use crate::panel::{EffectTiming, Fault, Plan};

/// A running panel; it stops when this is dropped.
pub type Running = crate::panel::Running<World>;

/// The fake panel's starter.
#[derive(Debug)]
pub struct SolidCp;

impl SolidCp {
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
    /// Where the panel is; its services are files below that.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The reseller under test.
    ///
    /// # Panics
    ///
    /// When the configuration has none.
    pub fn account(&self) -> &Account {
        self.config().accounts.iter().find(|account| account.role == 2).expect("a panel has a reseller")
    }
}
