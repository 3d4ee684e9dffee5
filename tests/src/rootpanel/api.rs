//! What each command does to the panel and what it answers. Every call here has passed the inspection.

mod machine;
mod order;
mod spend;
mod trial;

use super::codes::Code;
use super::commands::Op;
use super::ledger::Effect;
use super::rules::{self, Accepted, TEST_LOGIN};
use super::state::{Order, Status, World};
use super::tree::Node;
use super::view;
use crate::panel::Answer;

/// What a command did, or the refusal that it got.
type Reply = Result<(Node, Effect), Code>;

/// Carries out a command. `call` is its number in the ledger.
pub(super) fn respond(world: &mut World, call: u64, asked: &Accepted) -> (Answer, Effect) {
    let done = if asked.login == TEST_LOGIN { trial::respond(world, asked) } else { dispatch(world, call, asked) };
    match done {
        Ok((tree, effect)) => (view::answer(&tree, &world.knobs.manners, asked.php), effect),
        Err(code) => (rules::refusal(world, code, asked.php), Effect::None),
    }
}

fn dispatch(world: &mut World, call: u64, asked: &Accepted) -> Reply {
    match asked.op {
        Op::GetBalance => {
            let user = world.user(&asked.login).ok_or(Code::UNKNOWN_USER)?;
            let members = vec![("balance", Node::Money(user.balance)), ("currency", Node::text(&*user.currency))];
            read(view::success(None, members))
        }
        Op::GetTarifs => tarifs(world, asked),
        Op::GetOrders => orders(world, asked),
        Op::CreateOrder => order::create(world, call, asked),
        Op::RenewOrder => order::renew(world, asked),
        Op::AddonsOrder => order::addons(world, asked),
        Op::ReinstallOrder => machine::reinstall(world, asked),
        Op::SuspendOrder => machine::suspend(world, asked),
        Op::UnsuspendOrder => machine::unsuspend(world, asked),
        Op::StartServer => machine::power(world, asked, Some(true), Effect::Started),
        Op::ShutdownServer => machine::power(world, asked, Some(false), Effect::ShutDown),
        Op::RebootServer => machine::power(world, asked, None, Effect::Rebooted),
        Op::ResetServer => machine::power(world, asked, None, Effect::Reset),
        Op::GetVnc => machine::vnc(world, asked),
    }
}

fn read(tree: Node) -> Reply {
    Ok((tree, Effect::None))
}

fn tarifs(world: &World, asked: &Accepted) -> Reply {
    let wanted = asked.text("tarifid").map(|_| asked.number("tarifid").unwrap_or(0));
    let found = world.plans.iter().filter(|plan| wanted.is_none_or(|id| id == plan.id));
    let rows: Vec<(u64, Node)> = found.map(|plan| (plan.id, view::plan(plan))).collect();
    match (rows.is_empty(), wanted) {
        (true, Some(_)) => Err(Code::UNKNOWN_PLAN),
        (true, None) => Err(Code::NO_PLANS),
        _ => read(view::success(None, vec![("tarifs", Node::list(rows))])),
    }
}

fn orders(world: &World, asked: &Accepted) -> Reply {
    let wanted = asked.text("orderid").map(|_| asked.number("orderid").unwrap_or(0));
    let rows: Vec<(u64, Node)> = world
        .orders
        .iter()
        .filter(|order| order.login == asked.login && !order.removed)
        .filter(|order| wanted.is_none_or(|id| id == order.id) && view::is_listed(world, order))
        .map(|order| (order.id, view::order_row(world, order)))
        .collect();
    match (rows.is_empty(), wanted) {
        (true, Some(_)) => Err(Code::UNKNOWN_ORDER),
        (true, None) => Err(Code::NO_ORDERS),
        _ => read(view::success(None, vec![("orders", Node::list(rows))])),
    }
}

/// The order that the call names, if it is the caller's.
fn named<'a>(world: &'a World, asked: &Accepted) -> Result<&'a Order, Code> {
    let order = asked.number("orderid").and_then(|id| world.order(id));
    order.filter(|order| order.login == asked.login).ok_or(Code::UNKNOWN_ORDER)
}

/// The order that the call names, if its machine is there and nobody works on it.
fn installed<'a>(world: &'a World, asked: &Accepted) -> Result<&'a Order, Code> {
    let order = named(world, asked)?;
    match world.status(order) {
        Status::New => Err(Code::OPEN_INVOICE),
        Status::InProcess => Err(Code::INSTALLING),
        Status::Active | Status::Suspended => Ok(order),
    }
}
