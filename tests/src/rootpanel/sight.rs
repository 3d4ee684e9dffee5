//! Orders and charges as a test sees them, and orders that a test puts there.

use serde::Serialize;

use super::money::Money;
use super::state::{Order, Stage, What, World, add_months};
use super::view;

/// An order as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderView {
    /// The panel's id.
    pub id: u64,
    /// Whose it is.
    pub login: String,
    /// The plan.
    pub plan_id: u64,
    /// `None` when the order named none.
    pub location_id: Option<u64>,
    /// `""` when the order named none.
    pub domain: String,
    /// Ids, in the order of their ordering.
    pub addons: Vec<u64>,
    /// 0 not processed, 1 active, 2 suspended, 3 in processing.
    pub status: u8,
    /// Whether billing has stopped it.
    pub suspended: bool,
    /// Whether the machine runs.
    pub running: bool,
    /// Whether it waits for money or staff.
    pub is_put_off: bool,
    /// The end of the paid time, Unix milliseconds; `None` until it is installed.
    pub paid_until: Option<u64>,
    /// When it was ordered, Unix milliseconds.
    pub ordered_at: u64,
    /// The number of the call that made it, 0 for a seeded one.
    pub created_at_call: u64,
    /// The password of its machine.
    pub password: String,
    /// Its addresses, the main one first.
    pub addresses: Vec<String>,
    /// Renewals that were accepted, carried out or not.
    pub renewals: usize,
    /// Orders of add-ons that were accepted, carried out or not.
    pub addon_orders: usize,
    /// What waits for payment.
    pub unpaid: Money,
}

impl OrderView {
    pub(super) fn of(world: &World, order: &Order) -> Self {
        let jobs = || world.jobs.iter().filter(|job| job.order_id == order.id);
        let (main, extra) = view::addresses(order);
        Self {
            id: order.id,
            login: order.login.clone(),
            plan_id: order.plan_id,
            location_id: order.location_id,
            domain: order.domain.clone(),
            addons: order.addons.clone(),
            status: world.status(order).number(),
            suspended: order.suspended,
            running: order.running,
            is_put_off: World::is_put_off(order),
            paid_until: order.paid_until_ms,
            ordered_at: order.ordered_ms,
            created_at_call: order.created_at_call,
            password: order.password.clone(),
            addresses: [main].into_iter().chain(extra).collect(),
            renewals: jobs().filter(|job| matches!(job.what, What::Renewal { .. })).count(),
            addon_orders: jobs().filter(|job| matches!(job.what, What::Addons(_))).count(),
            unpaid: jobs().filter(|job| job.stage == Stage::Unpaid).map(|job| job.cost).sum(),
        }
    }
}

/// Money that was taken, as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChargeView {
    /// From whom.
    pub login: String,
    /// For which order.
    pub order_id: u64,
    /// In the user's currency.
    pub amount: Money,
}

/// An installed order to put on the panel; it was paid for elsewhere.
#[derive(Clone, Debug)]
pub struct OrderSeed {
    /// Whose it is.
    pub login: String,
    /// An existing plan.
    pub plan_id: u64,
    /// Whether the client under test may change it.
    pub ours: bool,
}

impl World {
    pub(super) fn seed_order(&mut self, seed: OrderSeed) -> u64 {
        let id = self.next_order_id();
        let password = self.secret("srv");
        self.orders.push(Order {
            id,
            login: seed.login,
            plan_id: seed.plan_id,
            location_id: None,
            domain: String::new(),
            addons: Vec::new(),
            months: 1,
            autorenew: false,
            ordered_ms: self.now_ms,
            accepted_ms: Some(self.now_ms),
            install: (0, 0),
            started_ms: Some(self.now_ms),
            paid_until_ms: Some(add_months(self.now_ms, 1)),
            suspended: false,
            reinstalled_ms: None,
            password,
            running: true,
            foreign: !seed.ours,
            removed: false,
            created_at_call: 0,
        });
        id
    }
}
