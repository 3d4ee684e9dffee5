//! How a panel is set up: its users, clock and plans, and the knobs that change its manners.

use super::money::Money;
use crate::clock::{ManualClock, PanelClock};

/// What a panel starts with. [`Config::default`] has everything that a lifecycle needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may log in; the first is the one under test.
    pub users: Vec<User>,
    /// What its work is computed from.
    pub clock: PanelClock,
    /// What can be ordered: 12 with add-ons, 13 for a domain, 14 once per client by default.
    pub plans: Vec<Tarif>,
    /// Timings and manners, see also [`super::Panel::tune`].
    pub knobs: Knobs,
    /// Whether `/_panel/…` is served, to look at the panel from outside.
    pub control: bool,
}

/// A user of the billing system.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub login: String,
    /// Taken as `pass`.
    pub pass: String,
    /// Taken as `apikey`.
    pub apikey: String,
    /// What there is to spend.
    pub balance: Money,
    /// What it is counted in.
    pub currency: String,
    /// What 100 of a plan's currency cost in the user's, where they differ.
    pub rate: i64,
    /// Whether API access is switched on.
    pub api_on: bool,
    /// Whether the client's address is on the allow-list.
    pub address_allowed: bool,
}

impl User {
    /// A user with a balance of 500.00 EUR and all rights.
    pub fn named(login: &str) -> Self {
        Self {
            login: login.into(),
            pass: format!("{login}-pass-7d1c"),
            apikey: format!("{login}-apikey-3f9a77"),
            balance: Money::cents(50_000),
            currency: "EUR".into(),
            rate: 100,
            api_on: true,
            address_allowed: true,
        }
    }
}

/// A plan.
#[derive(Clone, Debug)]
pub struct Tarif {
    /// What an order calls `tarifid`.
    pub id: u64,
    /// Shown in lists.
    pub name: String,
    /// Per month.
    pub cost: Money,
    /// Of all prices of the plan.
    pub currency: String,
    /// Whether an order may come without a domain.
    pub without_domain: bool,
    /// Whether a client may order it once only.
    pub once_only: bool,
    /// Whether it can be reinstalled.
    pub can_reinstall: bool,
    /// The periods.
    pub months: Vec<Months>,
    /// The add-ons.
    pub addons: Vec<Addon>,
    /// The locations.
    pub locations: Vec<Location>,
    /// Pairs of add-ons that exclude each other, with the code that says so.
    pub exclusive: Vec<(u64, u64, u16)>,
}

/// A period.
#[derive(Clone, Copy, Debug)]
pub struct Months {
    /// How many.
    pub months: u32,
    /// Percent.
    pub discount: i64,
    /// Whether a new order may have it.
    pub for_new: bool,
    /// Whether a renewal may have it.
    pub for_renew: bool,
}

/// An add-on; operating systems and control panels are add-ons too.
#[derive(Clone, Debug)]
pub struct Addon {
    /// Unique within the panel.
    pub id: u64,
    /// Shown in lists.
    pub name: String,
    /// Per month.
    pub cost: Money,
    /// How many an order may have; 0 is no limit.
    pub most: usize,
    /// Whether only an existing order may have it.
    pub only_if_renew: bool,
    /// What it is.
    pub kind: AddonKind,
}

/// What an add-on is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddonKind {
    /// An operating system: a new order must have one.
    Os,
    /// A control panel, for these operating systems.
    Panel(Vec<u64>),
    /// Anything else.
    Other,
}

/// A location.
#[derive(Clone, Debug)]
pub struct Location {
    /// What an order calls `locationid`.
    pub id: u64,
    /// Shown in lists.
    pub name: String,
    /// Per month; in place of the plan's own price.
    pub cost: Money,
    /// Whether orders are taken now.
    pub is_open: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users: vec![User::named("reseller"), User::named("neighbour")],
            clock: PanelClock::Manual(ManualClock::default()),
            plans: vec![vds_1(), vds_2(), promo()],
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

fn vds_1() -> Tarif {
    let months = |months, discount, for_new, for_renew| Months { months, discount, for_new, for_renew };
    let addon = |id, name: &str, cents, most, kind| Addon {
        id,
        name: name.into(),
        cost: Money::cents(cents),
        most,
        only_if_renew: false,
        kind,
    };
    let location =
        |id, name: &str, cents, is_open| Location { id, name: name.into(), cost: Money::cents(cents), is_open };
    Tarif {
        id: 12,
        name: "VDS-1".into(),
        cost: Money::cents(949),
        currency: "EUR".into(),
        without_domain: true,
        once_only: false,
        can_reinstall: true,
        months: vec![months(1, 0, true, true), months(3, 5, true, true), months(12, 10, true, false)],
        addons: vec![
            addon(7, "Debian 12", 0, 1, AddonKind::Os),
            addon(8, "Ubuntu 24.04", 0, 1, AddonKind::Os),
            addon(9, "IPv4", 200, 0, AddonKind::Other),
            addon(10, "Extra disk", 350, 1, AddonKind::Other),
            addon(11, "Control panel", 500, 1, AddonKind::Panel(vec![8])),
            addon(15, "Weekly backup", 300, 1, AddonKind::Other),
            Addon { only_if_renew: true, ..addon(21, "Extra traffic", 125, 4, AddonKind::Other) },
        ],
        locations: vec![location(3, "NL", 999, true), location(4, "DE", 1_099, false)],
        exclusive: vec![(10, 15, 51)],
    }
}

/// Wants a domain.
fn vds_2() -> Tarif {
    let addons = vec![Addon { id: 17, ..vds_1().addons[0].clone() }];
    let (name, cost) = ("VDS-2".into(), Money::cents(1_990));
    Tarif { id: 13, name, cost, without_domain: false, addons, locations: Vec::new(), exclusive: Vec::new(), ..vds_1() }
}

/// Once per client, as it is.
fn promo() -> Tarif {
    let months = vec![Months { months: 1, discount: 0, for_new: true, for_renew: true }];
    let (name, cost) = ("Promo".into(), Money::cents(100));
    Tarif {
        id: 14,
        name,
        cost,
        once_only: true,
        can_reinstall: false,
        months,
        addons: Vec::new(),
        locations: Vec::new(),
        exclusive: Vec::new(),
        ..vds_1()
    }
}

/// Timings and manners that a test may change at any time. All durations are panel time in milliseconds.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// From a paid order to the start of its installation: its status is 0 until then, 3 after.
    pub accept_ms: u64,
    /// From there to its end, when the status becomes 1 and the paid time begins.
    pub install_ms: u64,
    /// Length of a reinstall; the status is 3 meanwhile.
    pub reinstall_ms: u64,
    /// From the end of the paid time to the panel's own suspend.
    pub grace_ms: u64,
    /// What costs money is answered by 30 and left to staff, see [`super::Panel::handle`].
    pub by_hand: bool,
    /// Whether an order that is put off (30, 31) is answered with its id.
    pub names_put_off_orders: bool,
    /// Whether an order that is put off stands in lists.
    pub lists_put_off_orders: bool,
    /// Whether a reinstall must name a control panel.
    pub demands_panel: bool,
    /// How answers are written.
    pub manners: Manners,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            accept_ms: 2_000,
            install_ms: 60_000,
            reinstall_ms: 60_000,
            grace_ms: 3 * 86_400_000,
            by_hand: false,
            names_put_off_orders: true,
            lists_put_off_orders: true,
            demands_panel: false,
            manners: Manners::default(),
        }
    }
}

/// How answers are written. No client may depend on any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// How numbers are written.
    pub scalars: Scalars,
    /// Whether lists keep the keys that they have in the database, and so become maps.
    pub keyed_lists: bool,
    /// How days are written.
    pub dates: Dates,
    /// What answers are labelled as.
    pub content_type: &'static str,
    /// A byte order mark before and a line break after every answer.
    pub is_wrapped: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            scalars: Scalars::Strings,
            keyed_lists: false,
            dates: Dates::Iso,
            // What PHP says of everything that it is not told about.
            content_type: "text/html; charset=UTF-8",
            is_wrapped: false,
        }
    }
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalars {
    /// `"12"`, `"9.49"`.
    Strings,
    /// `12`, `9.49`; what is missing is null.
    Numbers,
    /// One by one by turns.
    Mixed,
}

/// How days are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// `2026-12-20`.
    Iso,
    /// `2026-12-20 14:05:00`.
    IsoTime,
    /// `20.12.2026`.
    Dotted,
    /// `1797775500`.
    Unix,
}
