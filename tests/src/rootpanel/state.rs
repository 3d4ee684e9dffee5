//! What the panel holds, and how what it has accepted comes true as time passes.

use std::collections::BTreeMap;

use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use super::config::{Config, Knobs, Tarif, User};
use super::money::Money;

/// Orders are numbered from here, with gaps: a client that guesses the next number is wrong.
const FIRST_ORDER: u64 = 50_123;

pub(super) const DAY_MS: u64 = 86_400_000;

/// A paid or unpaid order of something: a server, a renewal, add-ons.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) order_id: u64,
    pub(super) what: What,
    /// In the user's currency.
    pub(super) cost: Money,
    pub(super) stage: Stage,
    /// Whether staff have to carry it out.
    pub(super) by_hand: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    New,
    Renewal { months: u32 },
    Addons(Vec<u64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its invoice is open.
    Unpaid,
    /// Paid, and waiting for staff.
    Paid,
    /// Carried out.
    Done,
}

/// Money that was taken.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub(super) login: String,
    /// Index of what it was taken for.
    pub(super) job: usize,
    pub(super) amount: Money,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) plan_id: u64,
    pub(super) location_id: Option<u64>,
    pub(super) domain: String,
    pub(super) addons: Vec<u64>,
    pub(super) months: u32,
    pub(super) autorenew: bool,
    pub(super) ordered_ms: u64,
    /// When its installation was let begin; `None` while it waits for money or staff.
    pub(super) accepted_ms: Option<u64>,
    /// Fixed when it is accepted.
    pub(super) install: (u64, u64),
    /// When the paid time began; `None` until it is installed.
    pub(super) started_ms: Option<u64>,
    pub(super) paid_until_ms: Option<u64>,
    pub(super) suspended: bool,
    /// The end of the last reinstall.
    pub(super) reinstalled_ms: Option<u64>,
    pub(super) password: String,
    pub(super) running: bool,
    /// Made by the test, belongs to somebody else.
    pub(super) foreign: bool,
    pub(super) removed: bool,
    /// The number of the call that made it, 0 for a seeded one.
    pub(super) created_at_call: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    New,
    Active,
    Suspended,
    InProcess,
}

impl Status {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::New => 0,
            Self::Active => 1,
            Self::Suspended => 2,
            Self::InProcess => 3,
        }
    }
}

/// A ROOTPANEL panel's whole state.
#[derive(Clone, Debug)]
pub struct World {
    /// Panel time of the look or call that is under way.
    pub(super) now_ms: u64,
    pub(super) knobs: Knobs,
    pub(super) plans: Vec<Tarif>,
    pub(super) users: Vec<User>,
    pub(super) orders: Vec<Order>,
    pub(super) jobs: Vec<Job>,
    pub(super) charges: Vec<Charge>,
    /// What each user was given, at the start and later.
    pub(super) given: BTreeMap<String, Money>,
    /// How many orders of a user are wanted; one where nothing is said.
    pub(super) expected_orders: BTreeMap<String, usize>,
    /// How many renewals of an order are wanted.
    pub(super) expected_renewals: BTreeMap<u64, usize>,
    /// How many orders of add-ons of an order are wanted.
    pub(super) expected_addons: BTreeMap<u64, usize>,
    /// Everything that an answer held and a log must not.
    pub(super) secrets: Vec<String>,
    serial: u64,
}

impl World {
    pub(super) fn new(config: &Config) -> Self {
        let given = config.users.iter().map(|user| (user.login.clone(), user.balance));
        Self {
            now_ms: config.clock.now_ms(),
            knobs: config.knobs.clone(),
            plans: config.plans.clone(),
            users: config.users.clone(),
            orders: Vec::new(),
            jobs: Vec::new(),
            charges: Vec::new(),
            given: given.collect(),
            expected_orders: BTreeMap::new(),
            expected_renewals: BTreeMap::new(),
            expected_addons: BTreeMap::new(),
            secrets: Vec::new(),
            serial: 0,
        }
    }

    /// A secret that is the same in every run and remembered, so that a test can look for leaks.
    pub(super) fn secret(&mut self, kind: &str) -> String {
        self.serial += 1;
        let mixed = self.serial.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(23);
        let secret = format!("{kind}{mixed:016x}Zq");
        self.secrets.push(secret.clone());
        secret
    }

    pub(super) fn next_order_id(&self) -> u64 {
        FIRST_ORDER + 7 * self.orders.len() as u64
    }

    pub(super) fn user(&self, login: &str) -> Option<&User> {
        self.users.iter().find(|user| user.login == login)
    }

    pub(super) fn user_mut(&mut self, login: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.login == login)
    }

    pub(super) fn plan(&self, id: u64) -> Option<&Tarif> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    pub(super) fn order(&self, id: u64) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id && !order.removed)
    }

    pub(super) fn order_mut(&mut self, id: u64) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id && !order.removed)
    }

    /// What of an order is not carried out yet.
    pub(super) fn open_jobs(&self, order_id: u64) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(move |job| job.order_id == order_id && job.stage != Stage::Done)
    }

    /// Whether the order itself waits for money or staff.
    pub(super) fn is_put_off(order: &Order) -> bool {
        order.accepted_ms.is_none()
    }

    pub(super) fn status(&self, order: &Order) -> Status {
        let Some(accepted_ms) = order.accepted_ms else { return Status::New };
        let (wait_ms, install_ms) = order.install;
        if self.now_ms < accepted_ms + wait_ms {
            Status::New
        } else if self.now_ms < accepted_ms + wait_ms + install_ms
            || order.reinstalled_ms.is_some_and(|end_ms| self.now_ms < end_ms)
        {
            Status::InProcess
        } else if order.suspended || self.is_overdue(order) {
            Status::Suspended
        } else {
            Status::Active
        }
    }

    /// Whether the panel has stopped the order because its paid time and the grace after it are over.
    pub(super) fn is_overdue(&self, order: &Order) -> bool {
        order.paid_until_ms.is_some_and(|end_ms| self.now_ms > end_ms + self.knobs.grace_ms)
    }

    /// Whole days, below zero when the paid time is over.
    pub(super) fn days_left(&self, order: &Order) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        order.paid_until_ms.map_or(0, |end_ms| (signed(end_ms) - signed(self.now_ms)).div_euclid(signed(DAY_MS)))
    }

    /// Takes the money for a job, if it is there, and lets it begin.
    pub(super) fn pay(&mut self, job: usize) {
        let Job { order_id, cost, .. } = self.jobs[job];
        let Some(login) = self.order(order_id).map(|order| order.login.clone()) else { return };
        let Some(user) = self.user_mut(&login) else { return };
        if user.balance < cost {
            return;
        }
        user.balance -= cost;
        self.charges.push(Charge { login, job, amount: cost });
        self.jobs[job].stage = Stage::Paid;
        if !self.jobs[job].by_hand {
            self.carry_out(job);
        }
    }

    /// What follows once a job is paid and nobody has to lend a hand.
    pub(super) fn carry_out(&mut self, job: usize) {
        let Job { order_id, what, .. } = self.jobs[job].clone();
        self.jobs[job].stage = Stage::Done;
        let now_ms = self.now_ms;
        let install = (self.knobs.accept_ms, self.knobs.install_ms);
        let Some(order) = self.order_mut(order_id) else { return };
        match what {
            What::New => {
                order.accepted_ms = Some(now_ms);
                order.install = install;
            }
            What::Renewal { months } => {
                order.paid_until_ms = order.paid_until_ms.map(|end_ms| add_months(end_ms, months));
            }
            What::Addons(addons) => order.addons.extend(addons),
        }
    }

    /// Lets the time pass up to `now_ms`: machines that are installed by then begin their paid time.
    pub(super) fn progress(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for order in &mut self.orders {
            let Some(accepted_ms) = order.accepted_ms.filter(|_| order.started_ms.is_none()) else { continue };
            let installed_ms = accepted_ms + order.install.0 + order.install.1;
            if installed_ms <= now_ms {
                order.started_ms = Some(installed_ms);
                order.paid_until_ms = Some(add_months(installed_ms, order.months));
                order.running = true;
            }
        }
    }
}

/// The same day of a later month, or its last one.
pub(super) fn add_months(ms: u64, months: u32) -> u64 {
    let later = || {
        let from = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        let then = Offset::UTC.to_datetime(from).checked_add(i64::from(months).months()).ok()?;
        u64::try_from(Offset::UTC.to_timestamp(then).ok()?.as_millisecond()).ok()
    };
    later().unwrap_or(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_on_the_same_day_or_the_last_one() {
        let ms = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
        for (from, months, to) in [
            ("2028-01-01T00:01:00Z", 1, "2028-02-01T00:01:00Z"),
            ("2028-01-31T12:00:00Z", 1, "2028-02-29T12:00:00Z"),
            ("2026-12-15T00:00:00Z", 12, "2027-12-15T00:00:00Z"),
        ] {
            assert_eq!(add_months(ms(from), months), ms(to), "{from}");
        }
    }
}
