//! How a panel is set up: its accounts, machines, pools and clock, and the knobs that change its manners.

mod inventory;

use crate::clock::{ManualClock, PanelClock};

pub use inventory::{Flag, ServerSeed};

/// What a panel starts with. [`Config::default`] has everything that a lifecycle needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which panel answers.
    pub version: Version,
    /// What its work is computed from.
    pub clock: PanelClock,
    /// Who may log in; the first is the administrator under test.
    pub accounts: Vec<Account>,
    /// The machines. By default 42 and 44 can be sold as `E3-1230v6-16-2x1000SATA`, 60 as `E5-2620v4-64-2x480SSD`.
    pub servers: Vec<ServerSeed>,
    /// Server types: the key in a form, and the label in a list.
    pub types: Vec<(u64, String)>,
    /// What can be installed.
    pub templates: Vec<Template>,
    /// What can run after an installation.
    pub recipes: Vec<String>,
    /// Where further addresses come from.
    pub pools: Vec<Pool>,
    /// Timings and manners, see also [`super::Panel::tune`].
    pub knobs: Knobs,
    /// Whether `/_panel/…` is served, to look at the panel from outside.
    pub control: bool,
}

/// The generation of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `dcimgr` on COREmanager.
    Five,
    /// JSON below `/api`, a web page everywhere else. Nothing can be done with it.
    Six,
    /// ISPmanager 4 and its family: the address is right, the errors have numbers.
    Old,
}

/// An account of the panel.
#[derive(Clone, Debug)]
pub struct Account {
    /// Unique.
    pub id: u64,
    /// The login.
    pub name: String,
    /// As it was set last.
    pub password: String,
    /// What it may do.
    pub level: Level,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether it answers every call by asking for a second factor.
    pub second_factor: bool,
    /// Whether the client under test may give machines to it and change it.
    pub ours: bool,
}

impl Account {
    /// An account of somebody else.
    pub fn stranger(id: u64, name: &str, level: Level) -> Self {
        Self {
            id,
            name: name.into(),
            password: format!("{name}-pass-7d1c"),
            level,
            enabled: true,
            second_factor: false,
            ours: false,
        }
    }
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its own machines.
    User,
    /// Everything.
    Administrator,
    /// Everything, and it is in no list of accounts.
    Superuser,
}

impl Level {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::User => 16,
            Self::Administrator => 29,
            Self::Superuser => 30,
        }
    }
}

/// An operating system that can be installed.
#[derive(Clone, Debug)]
pub struct Template {
    /// Repository, two underscores, name.
    pub id: String,
    /// Whether it is on the panel's disk.
    pub installed: bool,
    /// Whether users must not see it.
    pub restricted: bool,
    /// Keys of the server types that may have it; all when empty.
    pub types: Vec<u64>,
}

/// Addresses to give away.
#[derive(Clone, Debug)]
pub struct Pool {
    /// What a call names as `iptype`.
    pub group: String,
    /// Which kind of addresses.
    pub family: Family,
    /// Those that are free; given away from the front.
    pub free: Vec<String>,
}

/// A kind of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `192.0.2.1`.
    Ipv4,
    /// `2001:db8::1`.
    Ipv6,
}

impl Family {
    /// As a call names it.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "ipv4" => Some(Self::Ipv4),
            "ipv6" => Some(Self::Ipv6),
            _ => None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let admin = Account { ours: true, ..Account::stranger(5, "whmcs", Level::Administrator) };
        Self {
            version: Version::Five,
            clock: PanelClock::Manual(ManualClock::default()),
            accounts: vec![
                admin,
                Account::stranger(1, "root", Level::Superuser),
                Account::stranger(6, "operator", Level::Administrator),
                Account::stranger(21, "acme", Level::User),
                Account::stranger(22, "rival", Level::User),
            ],
            servers: inventory::servers(),
            types: vec![(7, "E3-1230 16G 2x1T".into()), (8, "E5-2620 64G 2x480".into())],
            templates: inventory::templates(),
            recipes: vec!["local__cloud-init".into(), "ISPsystem__ISPmanager-Lite".into()],
            pools: inventory::pools(),
            knobs: Knobs::default(),
            control: false,
        }
    }
}

impl Config {
    /// The defaults on this clock.
    pub fn at(clock: &ManualClock) -> Self {
        Self { clock: clock.clone().into(), ..Self::default() }
    }
}

/// Timings and manners that a test may change at any time. All durations are panel time in milliseconds.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// From a power command to the state that it asks for.
    pub power_ms: u64,
    /// What becomes of one.
    pub power_outcome: PowerOutcome,
    /// From enable or disable to the mark.
    pub block_ms: u64,
    /// How long the ports are at work after that.
    pub ports_ms: u64,
    /// From the request for an installation to its mark.
    pub install_gap_ms: u64,
    /// From there to its end.
    pub install_ms: u64,
    /// What becomes of one.
    pub install_outcome: InstallOutcome,
    /// Whether the mark of a failed operation stays through the next one, until that succeeds.
    pub keeps_failed_mark: bool,
    /// Diagnostics start by themselves when a machine is released, and take this long. `None`: no such policy.
    pub diagnostics_ms: Option<u64>,
    /// How long a session lives without a call.
    pub session_idle_ms: u64,
    /// Whether login and password may come with every call.
    pub takes_authinfo: bool,
    /// How answers are written.
    pub manners: Manners,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            power_ms: 20_000,
            power_outcome: PowerOutcome::Works,
            block_ms: 2_000,
            ports_ms: 8_000,
            install_gap_ms: 5_000,
            install_ms: 900_000,
            install_outcome: InstallOutcome::Succeeds,
            keeps_failed_mark: false,
            diagnostics_ms: None,
            session_idle_ms: 3_600_000,
            takes_authinfo: true,
            manners: Manners::default(),
        }
    }
}

/// What becomes of a power command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOutcome {
    /// What it asks for.
    Works,
    /// The state cannot be read any more.
    Fails,
    /// Nothing.
    Ignored,
}

/// What becomes of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallOutcome {
    /// The system is there.
    Succeeds,
    /// It ends with the mark of a failed operation.
    Fails,
    /// It goes on for ever.
    NeverEnds,
}

/// How answers are written. No client may depend on any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// What stands for the owner in a list.
    pub owner: OwnerAs,
    /// Whether the owner's key in a form is empty, and not `no_owner`, where there is none.
    pub empty_owner_key: bool,
    /// Whether host names end with a dot.
    pub trailing_dots: bool,
    /// The status of an answer that is an error.
    pub error_status: u16,
    /// Where the id of a session stands.
    pub session: SessionAs,
    /// A filter that the account has saved: a list of machines shows this rack alone, unless told otherwise.
    pub saved_filter: Option<String>,
    /// A list has no more rows than this, and says how many there are.
    pub page_rows: Option<usize>,
    /// What the address of an IPMI connection is called.
    pub ipmi_field: &'static str,
    /// Whether volumes come with their bytes in an attribute.
    pub exact_volumes: bool,
    /// Whether rows of reports stand deeper.
    pub deep_reports: bool,
    /// Whether `whoami` tells the level.
    pub tells_level: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            owner: OwnerAs::Name,
            empty_owner_key: false,
            trailing_dots: false,
            error_status: 200,
            session: SessionAs::Both,
            saved_filter: None,
            page_rows: None,
            ipmi_field: "ip",
            exact_volumes: true,
            deep_reports: false,
            tells_level: true,
        }
    }
}

/// What stands for the owner in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerAs {
    /// The account's name.
    Name,
    /// Its id.
    Id,
}

/// Where the id of a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAs {
    /// In an attribute and as the text.
    Both,
    /// In an attribute.
    Attribute,
    /// As the text.
    Text,
}
