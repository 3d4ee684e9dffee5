//! What a test asks a ROOTPANEL panel, and the panel as a world.

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{Config, Knobs};
use super::ledger::{Call, Effect};
use super::money::Money;
use super::rules::{self, Accepted, Parameters};
use super::sight::{ChargeView, OrderSeed, OrderView};
use super::state::{Stage, World};
use super::{api, check, faults};
use crate::clock::PanelClock;
use crate::panel::{self, Answer, Done, Fault, Inspection, Place, Request};

/// A handle on a panel; clones share it. Every look first lets the panel's work come true up to its clock.
pub type Panel = panel::Panel<World>;

impl Panel {
    /// The orders of all users, in the order of their ordering.
    pub fn orders(&self) -> Vec<OrderView> {
        self.with(|world| {
            let there = world.orders.iter().filter(|order| !order.removed);
            there.map(|order| OrderView::of(world, order)).collect()
        })
    }

    /// All money that was taken, in order.
    pub fn charges(&self) -> Vec<ChargeView> {
        self.with(|world| {
            let view = |charge: &super::state::Charge| ChargeView {
                login: charge.login.clone(),
                order_id: world.jobs[charge.job].order_id,
                amount: charge.amount,
            };
            world.charges.iter().map(view).collect()
        })
    }

    /// What a user has left; nothing for one that is not there.
    pub fn balance(&self, login: &str) -> Money {
        self.with(|world| world.user(login).map_or(Money::ZERO, |user| user.balance))
    }

    /// Gives a user money. Open invoices are paid from it, the oldest first.
    pub fn top_up(&self, login: &str, amount: Money) {
        self.with(|world| {
            if let Some(user) = world.user_mut(login) {
                user.balance += amount;
                *world.given.entry(login.to_owned()).or_default() += amount;
            }
            for job in 0..world.jobs.len() {
                if world.jobs[job].stage == Stage::Unpaid {
                    world.pay(job);
                }
            }
        });
    }

    /// Lets staff carry out what is paid and waits for them, on this order.
    pub fn handle(&self, order_id: u64) {
        self.with(|world| {
            for job in 0..world.jobs.len() {
                if world.jobs[job].order_id == order_id && world.jobs[job].stage == Stage::Paid {
                    world.carry_out(job);
                }
            }
        });
    }

    /// Says that a user wants this many orders in all.
    pub fn expect_orders(&self, login: &str, count: usize) {
        self.with(|world| world.expected_orders.insert(login.to_owned(), count));
    }

    /// Says that an order shall have this many renewals in all.
    pub fn expect_renewals(&self, order_id: u64, count: usize) {
        self.with(|world| world.expected_renewals.insert(order_id, count));
    }

    /// Says that add-ons shall be ordered this many times for an order.
    pub fn expect_addons(&self, order_id: u64, count: usize) {
        self.with(|world| world.expected_addons.insert(order_id, count));
    }

    /// Changes the panel's timings and manners from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        self.with(|world| change(&mut world.knobs));
    }

    /// Changes users, plans and prices from now on.
    pub fn rewrite(&self, change: impl FnOnce(&mut Vec<super::User>, &mut Vec<super::Tarif>)) {
        self.with(|world| change(&mut world.users, &mut world.plans));
    }

    /// Puts an installed order there without a call; gives its id. [`Panel::check`] reports a change to it unless the
    /// seed says that it is ours.
    pub fn seed_order(&self, seed: OrderSeed) -> u64 {
        self.with(|world| world.seed_order(seed))
    }

    /// Removes an order behind the client's back, as staff would.
    pub fn remove_order(&self, id: u64) {
        self.with(|world| {
            if let Some(order) = world.order_mut(id) {
                order.removed = true;
            }
        });
    }

    /// Suspends or unsuspends an order behind the client's back.
    pub fn set_suspended(&self, id: u64, suspended: bool) {
        self.with(|world| {
            if let Some(order) = world.order_mut(id) {
                order.suspended = suspended;
            }
        });
    }
}

/// Money from outside.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedMoney {
    login: String,
    amount: String,
}

/// An order that staff shall look after.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedOrder {
    order_id: u64,
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
        let path = request.target.split('?').next().unwrap_or_default();
        if path != rules::PATH {
            return None;
        }
        let parameters = Parameters::of(request);
        let name = parameters.get("command").unwrap_or_default();
        Some(Place { path: name.to_owned(), is_read: rules::command(name).is_none_or(|command| command.is_read) })
    }

    fn inspect(&self, request: &Request, _place: &Place) -> Inspection<Accepted> {
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

    fn check(&self, calls: &[Call]) -> Vec<String> {
        check::check(self, calls)
    }

    fn secrets(&self) -> Vec<String> {
        let keys = self.users.iter().flat_map(|user| [user.pass.clone(), user.apikey.clone()]);
        self.secrets.iter().cloned().chain(keys).collect()
    }

    fn side_door(panel: &Panel, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let shown: Result<Value, String> = match (method, path) {
            ("GET", "/orders") => Ok(json!(panel.orders())),
            ("GET", "/charges") => Ok(json!(panel.charges())),
            ("POST", "/top_up") => top_up(panel, body).map(|()| json!(true)),
            ("POST", "/handle") => {
                let posted = serde_json::from_slice(body).map_err(|error| error.to_string());
                posted.map(|PostedOrder { order_id }| panel.handle(order_id)).map(|()| json!(true))
            }
            _ => return None,
        };
        Some(shown.map_or_else(Answer::refused, |shown| Answer::json(200, shown)))
    }
}

fn top_up(panel: &Panel, body: &[u8]) -> Result<(), String> {
    let PostedMoney { login, amount } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    panel.top_up(&login, amount.parse()?);
    Ok(())
}
