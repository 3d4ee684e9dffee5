//! What a test asks a DCImanager panel, and the panel as a world.

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{Account, Config, Flag, Knobs, Level, ServerSeed, Version};
use super::ledger::{Call, Effect};
use super::rules::{self, Accepted};
use super::sight::{AccountView, ServerView};
use super::state::{Power, World};
use super::theft::Theft;
use super::{api, check, faults, version6};
use crate::clock::PanelClock;
use crate::panel::{self, Answer, Done, Fault, Inspection, Place, Request};

/// A handle on a panel; clones share it. Every look first lets the panel's work come true up to its clock.
pub type Panel = panel::Panel<World>;

impl Panel {
    /// All machines, in the order of their ids in the configuration.
    pub fn servers(&self) -> Vec<ServerView> {
        self.with(|world| world.servers.iter().map(|server| ServerView::of(world, server)).collect())
    }

    /// One machine.
    ///
    /// # Panics
    ///
    /// When there is none of this id.
    pub fn server(&self, id: u64) -> ServerView {
        self.servers().into_iter().find(|server| server.id == id).unwrap_or_else(|| panic!("no machine {id}"))
    }

    /// The machines that customers of the client under test have.
    pub fn sold(&self) -> Vec<ServerView> {
        self.with(|world| {
            let sold = world.servers.iter().filter(|server| world.is_sold(server));
            sold.map(|server| ServerView::of(world, server)).collect()
        })
    }

    /// The machines that the client under test has in hand: sold, or on the way there or back.
    pub fn held(&self) -> Vec<ServerView> {
        self.with(|world| {
            let held = world.servers.iter().filter(|server| world.is_held(server));
            held.map(|server| ServerView::of(world, server)).collect()
        })
    }

    /// All accounts.
    pub fn accounts(&self) -> Vec<AccountView> {
        self.with(|world| world.accounts.iter().map(|account| AccountView::of(world, account)).collect())
    }

    /// The accounts that calls have made.
    pub fn made_accounts(&self) -> Vec<AccountView> {
        self.accounts().into_iter().filter(|account| account.is_made).collect()
    }

    /// How many addresses the pools have left.
    pub fn free_addresses(&self) -> usize {
        self.with(|world| world.pools.iter().map(|pool| pool.free.len()).sum())
    }

    /// Bytes that a machine has moved this month, in and out.
    pub fn volume(&self, id: u64) -> u64 {
        3 * api::received(id)
    }

    /// Says how many machines may be in the client's hand at once; one where nothing is said.
    pub fn expect_servers(&self, count: usize) {
        self.with(|world| world.expected_servers = count);
    }

    /// Says how many accounts are wanted; one where nothing is said.
    pub fn expect_accounts(&self, count: usize) {
        self.with(|world| world.expected_accounts = count);
    }

    /// Says how often a machine shall be installed for one owner.
    pub fn expect_installs(&self, id: u64, count: usize) {
        self.with(|world| world.expected_installs.insert(id, count));
    }

    /// Changes the panel's timings and manners from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        self.with(|world| change(&mut world.knobs));
    }

    /// Lets somebody else take a machine right after a call to come.
    pub fn steal(&self, theft: Theft) {
        self.with(|world| world.thefts.push(theft));
    }

    /// How many planned thefts have not happened.
    pub fn unstolen(&self) -> usize {
        self.with(|world| world.thefts.len())
    }

    /// Puts a machine into the racks.
    pub fn seed_server(&self, seed: &ServerSeed) {
        self.with(|world| world.seed_server(seed));
    }

    /// Puts an account of somebody else there; gives its id.
    pub fn seed_account(&self, name: &str) -> u64 {
        self.with(|world| {
            let id = world.next_account_id();
            world.accounts.push(Account::stranger(id, name, Level::User));
            id
        })
    }

    /// Gives a machine to an account of this name under this host name, behind the client's back, as staff would for the
    /// next customer.
    pub fn hand_to(&self, id: u64, owner: &str, hostname: &str) {
        self.with(|world| {
            let owner = world.account_named(owner).map(|account| account.id);
            let Some(server) = world.server_mut(id) else { return };
            server.owner = owner;
            server.first_notes.clone_from(&server.notes);
            if let Some(main) = server.addresses.first_mut() {
                main.domain = hostname.to_owned();
            }
        });
    }

    /// Writes over a machine's notes behind the client's back.
    pub fn note(&self, id: u64, notes: &str) {
        self.with(|world| {
            if let Some(server) = world.server_mut(id) {
                server.notes = notes.to_owned();
            }
        });
    }

    /// Sets a mark of a machine or takes it away, behind the client's back.
    pub fn mark(&self, id: u64, flag: Flag, is_set: bool) {
        self.with(|world| {
            let Some(server) = world.server_mut(id) else { return };
            match flag {
                Flag::Blocked => server.is_blocked = is_set,
                Flag::Disabled => server.is_disabled = is_set,
                Flag::HardwareProblem => server.has_problem = is_set,
                Flag::Diagnostics => server.diagnosed_until_ms = if is_set { u64::MAX } else { 0 },
                Flag::OperationFailed => server.is_failed = is_set,
                Flag::PowerError => server.power = if is_set { Power::Error } else { Power::Off },
            }
        });
    }

    /// Switches a machine off behind the client's back.
    pub fn cut_power(&self, id: u64) {
        self.with(|world| {
            if let Some(server) = world.server_mut(id) {
                server.power = Power::Off;
            }
        });
    }

    /// Takes a machine out of the racks.
    pub fn remove_server(&self, id: u64) {
        self.with(|world| world.servers.retain(|server| server.id != id));
    }

    /// Empties the pools.
    pub fn drain_pools(&self) {
        self.with(|world| world.pools.iter_mut().for_each(|pool| pool.free.clear()));
    }

    /// Lets the client come from another address: its sessions are bound to the old one.
    pub fn move_client(&self) {
        self.with(|world| world.client_address += 1);
    }

    /// Ends all sessions, as a restart of the panel does.
    pub fn end_sessions(&self) {
        self.with(|world| world.sessions.clear());
    }

    /// Follows a link with a one-time key as a browser would; the name of the account that it logs in.
    ///
    /// # Errors
    ///
    /// Why it does not let anybody in.
    pub fn visit(&self, link: &str) -> Result<String, String> {
        let url = url::Url::parse(link).map_err(|error| format!("{link}: {error}"))?;
        let given =
            |name: &str| url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
        if url.path() != "/dcimgr" || given("func").as_deref() != Some("auth") {
            return Err(format!("{link} is no login"));
        }
        if given("auth").is_some() {
            return Err("a session in a link".to_owned());
        }
        let (name, key) = (given("username").unwrap_or_default(), given("key").unwrap_or_default());
        self.with(|world| match world.keys.remove(&key).and_then(|id| world.account(id)) {
            Some(account) if account.name == name && account.enabled => Ok(account.name.clone()),
            Some(account) => Err(format!("the key is {}'s", account.name)),
            None => Err("there is no such key".to_owned()),
        })
    }
}

/// A machine that staff give away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedOwner {
    server_id: u64,
    owner: String,
    hostname: String,
}

impl panel::World for World {
    type Config = Config;
    type Effect = Effect;
    type Asked = Accepted;

    const FAULTS: &'static [Fault] = faults::ALL;

    fn new(config: &Config) -> Self {
        Self::new(config)
    }

    fn clock(config: &Config) -> PanelClock {
        config.clock.clone()
    }

    fn has_side_door(config: &Config) -> bool {
        config.control
    }

    fn place(&self, request: &Request) -> Option<Place> {
        if self.version == Version::Six { Some(version6::place(request)) } else { rules::place(request) }
    }

    fn inspect(&self, request: &Request, _place: &Place) -> Inspection<Accepted> {
        if self.version == Version::Six {
            let result = Err(version6::answer(request));
            return Inspection { result, violations: Vec::new(), is_authentic: false };
        }
        rules::inspect(self, request)
    }

    fn carry_out(&mut self, number: u64, asked: &Accepted) -> Done<Effect> {
        let (answer, effect) = api::respond(self, number, asked);
        Done { answer, effect, bugs: Vec::new() }
    }

    fn progress(&mut self, now_ms: u64) {
        self.progress(now_ms);
    }

    fn broken(&self, fault: Fault, request: &Request, answer: &Answer) -> Answer {
        faults::broken(self, fault, request, answer)
    }

    fn check(&self, _calls: &[Call]) -> Vec<String> {
        check::check(self)
    }

    fn secrets(&self) -> Vec<String> {
        let passwords = self.accounts.iter().map(|account| account.password.clone());
        self.secrets.iter().cloned().chain(passwords).collect()
    }

    fn side_door(panel: &Panel, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let shown: Result<Value, String> = match (method, path) {
            ("GET", "/servers") => Ok(json!(panel.servers())),
            ("GET", "/accounts") => Ok(json!(panel.accounts())),
            ("POST", "/hand_to") => {
                let posted = serde_json::from_slice(body).map_err(|error| error.to_string());
                posted.map(|PostedOwner { server_id, owner, hostname }| {
                    panel.hand_to(server_id, &owner, &hostname);
                    json!(true)
                })
            }
            _ => return None,
        };
        Some(shown.map_or_else(Answer::refused, |shown| Answer::json(200, shown)))
    }
}
