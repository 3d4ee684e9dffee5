//! What things cost, and how an order of something is paid, put off, or left to staff.

use super::super::codes::Code;
use super::super::config::{Addon, Tarif};
use super::super::ledger::Effect;
use super::super::money::Money;
use super::super::state::{Job, Stage, What, World};
use super::super::tree::Node;
use super::super::view;
use super::Reply;

/// Of a new server or a renewal: the plan where it stands, with its add-ons, for so many months, less the discount.
pub(super) fn period(plan: &Tarif, location: Option<u64>, addons: &[u64], months: u32) -> Money {
    let place = location.and_then(|id| plan.locations.iter().find(|location| location.id == id));
    let machine = place.map_or(plan.cost, |place| place.cost);
    let monthly = machine + monthly(plan, addons);
    let discount = plan.months.iter().find(|period| period.months == months).map_or(0, |period| period.discount);
    monthly.share(i64::from(months) * (100 - discount), 100)
}

/// Of add-ons for the days that an order has left.
pub(super) fn rest(plan: &Tarif, addons: &[u64], days: i64) -> Money {
    monthly(plan, addons).share(days.max(0), 30)
}

fn monthly(plan: &Tarif, addons: &[u64]) -> Money {
    addons.iter().filter_map(|id| addon(plan, *id)).map(|addon| addon.cost).sum()
}

pub(super) fn addon(plan: &Tarif, id: u64) -> Option<&Addon> {
    plan.addons.iter().find(|addon| addon.id == id)
}

/// Takes an order of something: pays it if the money is there. `members` are what its answer holds besides the money.
pub(super) fn place(
    world: &mut World,
    order_id: u64,
    what: What,
    cost: Money,
    effect: Effect,
    members: Vec<(&'static str, Node)>,
) -> Reply {
    let login = world.order(order_id).map(|order| order.login.clone()).ok_or(Code::UNKNOWN_ORDER)?;
    let user = world.user(&login).ok_or(Code::UNKNOWN_USER)?;
    let cost = cost.share(user.rate, 100);
    let job = world.jobs.len();
    world.jobs.push(Job { order_id, what, cost, stage: Stage::Unpaid, by_hand: world.knobs.by_hand });
    world.pay(job);
    let put_off = match world.jobs[job].stage {
        Stage::Unpaid => Some(Code::AWAITS_PAYMENT),
        Stage::Paid => Some(Code::BY_HAND),
        Stage::Done => None,
    };
    let user = world.user(&login).ok_or(Code::UNKNOWN_USER)?;
    let mut members = members;
    members.extend([
        ("balance", Node::Money(user.balance)),
        ("cost", Node::Money(cost)),
        ("currency", Node::text(&*user.currency)),
    ]);
    if put_off.is_some() && effect == Effect::Ordered(order_id) && !world.knobs.names_put_off_orders {
        members.retain(|(name, _)| *name != "orderid");
    }
    Ok((view::success(put_off, members), effect))
}
