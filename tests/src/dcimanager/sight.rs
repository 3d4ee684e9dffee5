//! Machines and accounts as a test sees them.

use serde::Serialize;

use super::config::{Account, Family};
use super::state::{Address, Kind, Power, Server, World};

/// A machine as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerView {
    /// The panel's id.
    pub id: u64,
    /// Name of the owner's account.
    pub owner: Option<String>,
    /// Name of the main address.
    pub hostname: String,
    /// What people have noted, and what marks it as a service's.
    pub notes: String,
    /// The main one first.
    pub addresses: Vec<AddressView>,
    /// `None`: it cannot be read.
    pub is_on: Option<bool>,
    /// Whether it is blocked for its owner.
    pub is_disabled: bool,
    /// Whether its switch port is on.
    pub is_connected: bool,
    /// Whether an installation was asked for and is not over.
    pub is_installing: bool,
    /// Whether the last operation failed.
    pub is_failed: bool,
    /// Whether the panel itself would sell it.
    pub is_free: bool,
    /// What runs on it.
    pub system: Option<String>,
    /// The recipe that ran after that was installed.
    pub recipe: Option<String>,
    /// The password that was set with it.
    pub root_password: Option<String>,
    /// The addresses that it was installed with.
    pub configured: Vec<String>,
    /// Installations that were ordered since it was claimed.
    pub installs: usize,
}

/// An address as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressView {
    /// The address.
    pub ip: String,
    /// Its kind.
    pub family: Family,
    /// Its name.
    pub domain: String,
}

/// An account as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// The panel's id.
    pub id: u64,
    /// The login.
    pub name: String,
    /// As it was set last.
    pub password: String,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether a call has made it.
    pub is_made: bool,
}

impl ServerView {
    pub(super) fn of(world: &World, server: &Server) -> Self {
        let system = server.system.as_ref();
        Self {
            id: server.id,
            owner: server.owner.and_then(|id| world.account(id)).map(|account| account.name.clone()),
            hostname: server.hostname().to_owned(),
            notes: server.notes.clone(),
            addresses: server.addresses.iter().map(AddressView::of).collect(),
            is_on: match server.power {
                Power::On => Some(true),
                Power::Off => Some(false),
                Power::Error => None,
            },
            is_disabled: server.is_disabled,
            is_connected: server.connections.iter().any(|port| port.kind == Kind::Switch && port.is_on),
            is_installing: server.install.is_some(),
            is_failed: server.is_failed,
            is_free: server.is_free(world.now_ms),
            system: system.map(|system| system.template.clone()),
            recipe: system.map(|system| system.recipe.clone()),
            root_password: system.map(|system| system.password.clone()),
            configured: system.map_or_else(Vec::new, |system| system.addresses.clone()),
            installs: server.installs,
        }
    }

    /// How many addresses of this kind it has besides the main one.
    pub fn further(&self, family: Family) -> usize {
        self.addresses.iter().skip(1).filter(|address| address.family == family).count()
    }
}

impl AddressView {
    fn of(address: &Address) -> Self {
        Self { ip: address.ip.clone(), family: address.family, domain: address.domain.clone() }
    }
}

impl AccountView {
    pub(super) fn of(world: &World, account: &Account) -> Self {
        Self {
            id: account.id,
            name: account.name.clone(),
            password: account.password.clone(),
            enabled: account.enabled,
            is_made: world.made_accounts.contains(&account.id),
        }
    }
}
