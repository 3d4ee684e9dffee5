//! How a panel is set up: its keys, plans and clock, and the knobs that change its manners.

use std::collections::BTreeMap;

use super::value::Value;
use crate::clock::{ManualClock, PanelClock};

/// What a panel starts with. [`Config::default`] has everything that a lifecycle needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The keys of the API; the first is the one under test.
    pub keys: Vec<ApiKey>,
    /// What its time is read from.
    pub clock: PanelClock,
    /// The plans.
    pub plans: Vec<Plan>,
    /// The name of the machine, which is also what an administrator is hijacked by.
    pub hostname: String,
    /// Manners, see also [`super::Panel::tune`].
    pub knobs: Knobs,
    /// Whether `/_panel/…` is served, to look at the panel from outside.
    pub control: bool,
}

/// A key of the API.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// 64 hex digits.
    pub key: String,
    /// The login name of its owner.
    pub owner: String,
    /// `None`: the appliance's administrator. Else the domain of the site whose key it is.
    pub site: Option<String>,
}

/// A plan: what it says of services, by `service.variable`.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As in `siteinfo.plan`.
    pub name: String,
    /// What it does not name comes from [`base`].
    pub values: BTreeMap<String, Value>,
}

impl Default for Config {
    fn default() -> Self {
        let admin = ApiKey {
            key: "3f9a77c0de5b1e42a8d60f1295c7e384b0a1d2c3e4f5061728394a5b6c7d8e9f".into(),
            owner: "admin".into(),
            site: None,
        };
        Self {
            keys: vec![admin],
            clock: PanelClock::Manual(ManualClock::default()),
            plans: vec![plan("basic", 5_120, 100), plan("pro", 20_480, 1_000), plan("bulk", 102_400, 0)],
            hostname: "panel.example.net".into(),
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

fn plan(name: &str, quota_mb: i64, bandwidth_gb: i64) -> Plan {
    let values = [
        ("diskquota.quota", Value::Int(quota_mb)),
        ("diskquota.units", Value::text("MB")),
        ("bandwidth.threshold", Value::Int(bandwidth_gb)),
        ("bandwidth.units", Value::text("GB")),
    ];
    Plan { name: name.into(), values: values.map(|(key, value)| (key.to_owned(), value)).into() }
}

/// Every service variable that the panel knows, with what the default plan says of it.
pub(super) fn base() -> Vec<(&'static str, Value)> {
    let int = Value::Int;
    vec![
        ("siteinfo.enabled", int(1)),
        ("siteinfo.domain", Value::Null),
        ("siteinfo.admin_user", Value::Null),
        ("siteinfo.email", Value::text("blackhole@apiscp.com")),
        ("siteinfo.plan", Value::text("basic")),
        ("auth.tpasswd", Value::Null),
        ("auth.cpasswd", Value::Null),
        ("billing.invoice", Value::Null),
        ("billing.parent_invoice", Value::Null),
        ("billing.ctime", Value::Null),
        ("diskquota.enabled", int(1)),
        ("diskquota.quota", int(5_120)),
        ("diskquota.units", Value::text("MB")),
        ("diskquota.fquota", Value::Null),
        ("diskquota.group", Value::Null),
        ("bandwidth.enabled", int(1)),
        ("bandwidth.threshold", int(100)),
        ("bandwidth.units", Value::text("GB")),
        ("bandwidth.rollover", int(1)),
        ("aliases.enabled", int(1)),
        ("aliases.max", Value::Null),
        ("aliases.aliases", Value::List(Vec::new())),
        ("users.enabled", int(1)),
        ("users.max", Value::Null),
        ("ftp.enabled", int(1)),
        ("mail.enabled", int(1)),
        ("mail.provider", Value::text("builtin")),
        ("mail.key", Value::Null),
        ("ssh.enabled", int(1)),
        ("ssl.enabled", int(1)),
        ("logs.enabled", int(1)),
        ("mysql.enabled", int(1)),
        ("mysql.dbaseadmin", Value::Null),
        ("mysql.dbaseprefix", Value::Null),
        ("mysql.dbasenum", Value::Null),
        ("mysql.passwd", Value::Null),
        ("pgsql.enabled", int(0)),
        ("pgsql.dbaseadmin", Value::Null),
        ("pgsql.dbaseprefix", Value::Null),
        ("pgsql.dbasenum", Value::Null),
        ("dns.enabled", int(1)),
        ("dns.provider", Value::text("builtin")),
        ("dns.key", Value::Null),
        ("ipinfo.enabled", int(1)),
        ("ipinfo.namebased", int(1)),
        ("ipinfo.nbaddrs", Value::List(Vec::new())),
        ("ipinfo.ipaddrs", Value::List(Vec::new())),
        ("cgroup.enabled", int(1)),
        ("cgroup.memory", int(1_024)),
        ("cgroup.cpu", Value::Null),
        ("cgroup.cpuweight", int(100)),
        ("cgroup.proclimit", int(100)),
        ("spamfilter.enabled", int(1)),
        ("spamfilter.provider", Value::text("rspamd")),
        ("rampart.enabled", int(1)),
        ("rampart.max", int(5)),
        ("rampart.whitelist", Value::List(Vec::new())),
        ("apache.jail", int(1)),
        ("apache.webuser", Value::text("apache")),
    ]
}

/// Manners that a test may change at any time. Where the contract does not know what a panel does, each of them is one.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// What rows of `admin_collect` are keyed by when sites were named.
    pub collect_keys: CollectKeys,
    /// Whether a site that is not there makes `admin_collect` fail, instead of leaving it out.
    pub collect_refuses_strangers: bool,
    /// Whether suspending the suspended and activating the active is an error.
    pub refuses_repeats: bool,
    /// Whether suspending takes a reason: since 3.2.5.
    pub has_suspend_flags: bool,
    /// The panels before mid-2019: `auth_change_password` looks at administrators only, whatever the domain.
    pub knows_only_admin_passwords: bool,
    /// Whether a site's administrator may name the address that is asked for or unbanned.
    pub site_may_name_addresses: bool,
    /// Whether a suspended site may be logged in to.
    pub suspended_login: bool,
    /// Whether an administrator may call what changes sites.
    pub admin_api: bool,
    /// Whether there is a SOAP API at all.
    pub soap: bool,
    /// What must stand in `X-Extended-Auth`.
    pub totp: Option<String>,
    /// How a call is refused that its caller may not make.
    pub denial: Denial,
    /// How long a session lives, in milliseconds of panel time.
    pub session_ms: u64,
    /// What a peer gets that has failed to log in too often, whatever it shows.
    pub locked_status: u16,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            collect_keys: CollectKeys::Site,
            collect_refuses_strangers: false,
            refuses_repeats: false,
            has_suspend_flags: true,
            knows_only_admin_passwords: false,
            site_may_name_addresses: true,
            suspended_login: true,
            admin_api: true,
            soap: true,
            totp: None,
            denial: Denial::NoCommand,
            session_ms: 3_600_000,
            locked_status: 401,
        }
    }
}

/// What rows of an answer are keyed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectKeys {
    /// `site12`.
    Site,
    /// Whatever the call named the site by.
    AsNamed,
}

/// How a call is refused that its caller may not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// "command does not exist".
    NoCommand,
    /// "insufficient privileges".
    Privileges,
    /// 403 and a page.
    Forbidden,
}
