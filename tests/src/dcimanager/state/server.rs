//! A machine: what it is, whose it is, and what is going on with it.

use super::super::config::{Family, Flag, InstallOutcome, Knobs, PowerOutcome, ServerSeed};
use super::FREE;

/// The switch port and the IPMI connection of a machine have numbers made out of its own.
const CONNECTIONS: u64 = 10;

#[derive(Clone, Debug)]
pub(in super::super) struct Server {
    pub(in super::super) id: u64,
    pub(in super::super) label: String,
    pub(in super::super) rack: String,
    pub(in super::super) mac: String,
    pub(in super::super) notes: String,
    pub(in super::super) type_id: u64,
    pub(in super::super) chassis: String,
    pub(in super::super) owner: Option<u64>,
    /// The main one first.
    pub(in super::super) addresses: Vec<Address>,
    pub(in super::super) connections: Vec<Connection>,
    pub(in super::super) power: Power,
    /// A power command under way: what it leads to, and when.
    pub(in super::super) power_to: Option<(Power, u64)>,
    pub(in super::super) is_disabled: bool,
    pub(in super::super) block_to: Option<Block>,
    pub(in super::super) is_blocked: bool,
    pub(in super::super) has_problem: bool,
    /// The end of diagnostics.
    pub(in super::super) diagnosed_until_ms: u64,
    pub(in super::super) is_failed: bool,
    pub(in super::super) install: Option<Install>,
    /// What runs on it.
    pub(in super::super) system: Option<Install>,
    /// What people had noted before anybody sold it.
    pub(in super::super) first_notes: String,
    /// Whether a call has changed it.
    pub(in super::super) is_touched: bool,
    /// How many installations were ordered since it was claimed.
    pub(in super::super) installs: usize,
    /// Calls that show what the client could know: its last look at the form, its last change, the last theft.
    pub(in super::super) looked_at_call: u64,
    pub(in super::super) changed_at_call: u64,
    pub(in super::super) stolen_at_call: u64,
    /// Whether somebody else has it whatever its owner's name, as another client of the same administrator has.
    pub(in super::super) is_stolen: bool,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Address {
    pub(in super::super) id: u64,
    pub(in super::super) ip: String,
    pub(in super::super) family: Family,
    pub(in super::super) group: String,
    pub(in super::super) domain: String,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Connection {
    pub(in super::super) id: u64,
    pub(in super::super) kind: Kind,
    pub(in super::super) is_on: bool,
    pub(in super::super) busy_until_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Switch,
    Ipmi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Power {
    On,
    Off,
    Error,
}

/// A change of the block under way.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Block {
    pub(in super::super) is_disabled: bool,
    pub(in super::super) at_ms: u64,
}

/// An installation that was asked for.
#[derive(Clone, Debug)]
pub(in super::super) struct Install {
    /// When its mark appears.
    pub(in super::super) starts_ms: u64,
    /// When it is over; never when it goes on for ever.
    pub(in super::super) ends_ms: Option<u64>,
    pub(in super::super) succeeds: bool,
    pub(in super::super) template: String,
    pub(in super::super) recipe: String,
    pub(in super::super) password: String,
    /// The addresses that it configures.
    pub(in super::super) addresses: Vec<String>,
    has_begun: bool,
}

impl Server {
    pub(super) fn of(seed: &ServerSeed, owner: Option<u64>, address: u64) -> Self {
        let has = |flag| seed.flags.contains(&flag);
        let connection =
            |number, kind| Connection { id: seed.id * CONNECTIONS + number, kind, is_on: true, busy_until_ms: 0 };
        let main = Address {
            id: address,
            ip: seed.ip.clone(),
            family: Family::Ipv4,
            group: "public".into(),
            domain: seed.hostname.clone(),
        };
        Self {
            id: seed.id,
            label: seed.label.clone(),
            rack: seed.rack.clone(),
            mac: seed.mac.clone(),
            notes: seed.notes.clone(),
            type_id: seed.type_id,
            chassis: seed.chassis.clone(),
            owner,
            addresses: if seed.ip.is_empty() { Vec::new() } else { vec![main] },
            connections: vec![connection(1, Kind::Switch), connection(2, Kind::Ipmi)],
            power: match seed.powered_on {
                _ if has(Flag::PowerError) => Power::Error,
                true => Power::On,
                false => Power::Off,
            },
            power_to: None,
            is_disabled: has(Flag::Disabled),
            block_to: None,
            is_blocked: has(Flag::Blocked),
            has_problem: has(Flag::HardwareProblem),
            diagnosed_until_ms: if has(Flag::Diagnostics) { u64::MAX } else { 0 },
            is_failed: has(Flag::OperationFailed),
            install: None,
            system: None,
            first_notes: seed.notes.clone(),
            is_touched: false,
            installs: 0,
            looked_at_call: 0,
            changed_at_call: 0,
            stolen_at_call: 0,
            is_stolen: false,
        }
    }

    /// The name of the main address.
    pub(in super::super) fn hostname(&self) -> &str {
        self.addresses.first().map_or("", |address| &address.domain)
    }

    pub(in super::super) fn is_called_free(&self) -> bool {
        self.hostname().trim_end_matches('.') == FREE
    }

    /// Whether the mark of an installation is to be seen.
    pub(in super::super) fn is_installing(&self, now_ms: u64) -> bool {
        self.install.as_ref().is_some_and(|install| now_ms >= install.starts_ms)
    }

    pub(in super::super) fn is_diagnosed(&self, now_ms: u64) -> bool {
        now_ms < self.diagnosed_until_ms
    }

    /// Whether the panel itself would call it free.
    pub(in super::super) fn is_free(&self, now_ms: u64) -> bool {
        self.owner.is_none()
            && self.is_called_free()
            && !self.is_blocked
            && !self.has_problem
            && !self.is_diagnosed(now_ms)
    }

    /// What the operator calls its IPMI connection.
    pub(in super::super) fn ipmi_label(&self) -> String {
        format!("ipmi-{}", self.label)
    }

    /// Lets a power command begin.
    pub(in super::super) fn switch(&mut self, to: Power, now_ms: u64, knobs: &Knobs) {
        let outcome = match knobs.power_outcome {
            PowerOutcome::Works => to,
            PowerOutcome::Fails => Power::Error,
            PowerOutcome::Ignored => return,
        };
        self.power_to = Some((outcome, now_ms + knobs.power_ms));
    }

    /// Lets blocking or unblocking begin, with the work on the ports that belongs to it.
    pub(in super::super) fn block(&mut self, is_disabled: bool, now_ms: u64, knobs: &Knobs) {
        self.block_to = Some(Block { is_disabled, at_ms: now_ms + knobs.block_ms });
        for connection in self.connections.iter_mut().filter(|connection| connection.kind == Kind::Switch) {
            connection.is_on = !is_disabled;
            connection.busy_until_ms = now_ms + knobs.ports_ms;
        }
    }

    /// Lets an installation begin. One that can only fail does so late, as on the panel.
    pub(in super::super) fn begin(&mut self, mut install: Install, can_succeed: bool, knobs: &Knobs) {
        install.succeeds = can_succeed && knobs.install_outcome == InstallOutcome::Succeeds;
        if knobs.install_outcome == InstallOutcome::NeverEnds {
            install.ends_ms = None;
        }
        self.installs += 1;
        self.install = Some(install);
    }

    pub(super) fn progress(&mut self, now_ms: u64, knobs: &Knobs) {
        if let Some((power, _)) = self.power_to.filter(|(_, at_ms)| *at_ms <= now_ms) {
            self.power = power;
            self.power_to = None;
        }
        if let Some(block) = self.block_to.filter(|block| block.at_ms <= now_ms) {
            self.is_disabled = block.is_disabled;
            self.block_to = None;
        }
        let Some(install) = &mut self.install else { return };
        if now_ms >= install.starts_ms && !install.has_begun {
            install.has_begun = true;
            self.is_failed &= knobs.keeps_failed_mark;
            // What was there is overwritten from here on.
            self.system = None;
        }
        if install.ends_ms.is_some_and(|ends_ms| now_ms >= ends_ms) {
            self.is_failed = !install.succeeds;
            self.system = self.install.take().filter(|install| install.succeeds);
        }
    }
}

impl Install {
    /// One that is asked for now.
    pub(in super::super) fn asked(now_ms: u64, knobs: &Knobs, template: &str, recipe: &str, password: &str) -> Self {
        let starts_ms = now_ms + knobs.install_gap_ms;
        Self {
            starts_ms,
            ends_ms: Some(starts_ms + knobs.install_ms),
            succeeds: true,
            template: template.to_owned(),
            recipe: recipe.to_owned(),
            password: password.to_owned(),
            addresses: Vec::new(),
            has_begun: false,
        }
    }
}
