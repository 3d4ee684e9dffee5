//! What the panel holds, and how what it has accepted comes true as time passes.

mod server;

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Account, Config, Knobs, Pool, ServerSeed, Template, Version};
use super::theft::Theft;

pub(super) use server::{Address, Connection, Install, Kind, Power, Server};

/// What a machine is called that belongs to nobody.
pub(super) const FREE: &str = "free.ds";

/// Accounts and addresses are numbered from here, with gaps: a client that guesses the next number is wrong.
const FIRST_ACCOUNT: u64 = 71;
const FIRST_ADDRESS: u64 = 311;

/// A DCImanager panel's whole state.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) version: Version,
    /// Panel time of the look or call that is under way.
    pub(super) now_ms: u64,
    /// The number of the call that is under way, or of the last one.
    pub(super) call: u64,
    pub(super) knobs: Knobs,
    pub(super) accounts: Vec<Account>,
    /// Accounts that calls have made.
    pub(super) made_accounts: BTreeSet<u64>,
    pub(super) servers: Vec<Server>,
    pub(super) types: Vec<(u64, String)>,
    pub(super) templates: Vec<Template>,
    pub(super) recipes: Vec<String>,
    pub(super) pools: Vec<Pool>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// One-time keys, and whose they are.
    pub(super) keys: BTreeMap<String, u64>,
    /// Where the panel sees its client; changed by a test that moves it.
    pub(super) client_address: u32,
    pub(super) thefts: Vec<Theft>,
    /// What must never have happened, as sentences.
    pub(super) breaches: Vec<String>,
    /// How many machines may be with clients of ours at once.
    pub(super) expected_servers: usize,
    /// How many accounts may be made.
    pub(super) expected_accounts: usize,
    /// How often a machine may be installed for one owner; once where nothing is said.
    pub(super) expected_installs: BTreeMap<u64, usize>,
    /// Everything that a call or an answer held and a log must not.
    pub(super) secrets: Vec<String>,
    serial: u64,
    next_account: u64,
    next_address: u64,
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) account: u64,
    /// Where it was opened from.
    pub(super) address: u32,
    pub(super) used_ms: u64,
}

impl World {
    pub(super) fn new(config: &Config) -> Self {
        let mut world = Self {
            version: config.version,
            now_ms: config.clock.now_ms(),
            call: 0,
            knobs: config.knobs.clone(),
            accounts: config.accounts.clone(),
            made_accounts: BTreeSet::new(),
            servers: Vec::new(),
            types: config.types.clone(),
            templates: config.templates.clone(),
            recipes: config.recipes.clone(),
            pools: config.pools.clone(),
            sessions: BTreeMap::new(),
            keys: BTreeMap::new(),
            client_address: 1,
            thefts: Vec::new(),
            breaches: Vec::new(),
            expected_servers: 1,
            expected_accounts: 1,
            expected_installs: BTreeMap::new(),
            secrets: Vec::new(),
            serial: 0,
            next_account: FIRST_ACCOUNT,
            next_address: FIRST_ADDRESS,
        };
        for seed in &config.servers {
            world.seed_server(seed);
        }
        world
    }

    pub(super) fn seed_server(&mut self, seed: &ServerSeed) {
        let owner = seed.owner.as_deref().and_then(|name| self.account_named(name)).map(|account| account.id);
        let address = self.next_address_id();
        self.servers.push(Server::of(seed, owner, address));
    }

    /// A secret that is the same in every run and remembered, so that a test can look for leaks.
    pub(super) fn secret(&mut self, kind: &str) -> String {
        self.serial += 1;
        let mixed = self.serial.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(23);
        let secret = format!("{kind}{mixed:016x}Zq");
        self.remember(&secret);
        secret
    }

    pub(super) fn remember(&mut self, secret: &str) {
        if !secret.is_empty() && !self.secrets.iter().any(|known| known == secret) {
            self.secrets.push(secret.to_owned());
        }
    }

    pub(super) fn next_account_id(&mut self) -> u64 {
        self.next_account += 6;
        self.next_account
    }

    pub(super) fn next_address_id(&mut self) -> u64 {
        self.next_address += 3;
        self.next_address
    }

    pub(super) fn account(&self, id: u64) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    pub(super) fn account_mut(&mut self, id: u64) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.id == id)
    }

    pub(super) fn account_named(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    pub(super) fn server(&self, id: u64) -> Option<&Server> {
        self.servers.iter().find(|server| server.id == id)
    }

    pub(super) fn server_mut(&mut self, id: u64) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.id == id)
    }

    /// Whether the client under test may have this account's machines in hand.
    pub(super) fn is_ours(&self, account: u64) -> bool {
        self.account(account).is_some_and(|account| account.ours)
    }

    /// Whether a machine is somebody else's: it has a strange owner, or none and is not for sale either.
    pub(super) fn is_strange(&self, server: &Server) -> bool {
        match server.owner {
            _ if server.is_stolen => true,
            Some(owner) => !self.is_ours(owner),
            None => !server.is_called_free() && !server.is_touched,
        }
    }

    /// Lets the time pass up to `now_ms`.
    pub(super) fn progress(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for server in &mut self.servers {
            server.progress(self.now_ms, &self.knobs);
        }
    }
}
