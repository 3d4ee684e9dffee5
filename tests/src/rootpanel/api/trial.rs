//! The account for trying out: it answers as if, charges nothing, does nothing, and has no orders of its own.

use super::super::codes::Code;
use super::super::commands::Op;
use super::super::money::Money;
use super::super::rules::Accepted;
use super::super::state::World;
use super::super::tree::Node;
use super::super::view;
use super::{Reply, read, tarifs};

/// What its answers call an order.
const ORDER: u64 = 1;

pub(super) fn respond(world: &World, asked: &Accepted) -> Reply {
    let text = |name: &str| Node::text(asked.text(name).unwrap_or_default());
    let money = |cents| {
        let (balance, cost) = (Node::Money(Money::cents(100_000)), Node::Money(Money::cents(cents)));
        [("balance", balance), ("cost", cost), ("currency", Node::text("EUR"))]
    };
    let access = || [("serverlogin", Node::text("root")), ("serverpassword", Node::text("test-password"))];
    let order_id = if asked.op == Op::CreateOrder { Node::id(ORDER) } else { text("orderid") };
    let mut members = vec![("orderid", order_id)];
    match asked.op {
        Op::GetTarifs => return tarifs(world, asked),
        Op::GetOrders if asked.text("orderid").is_some() => return Err(Code::UNKNOWN_ORDER),
        Op::GetOrders => return Err(Code::NO_ORDERS),
        Op::GetBalance => {
            let [balance, _, currency] = money(0);
            members = vec![balance, currency];
        }
        Op::CreateOrder => {
            let plan = asked.number("tarifid").and_then(|id| world.plan(id)).ok_or(Code::UNKNOWN_PLAN)?;
            members.extend([("vid", text("vid")), ("tarifid", Node::id(plan.id)), ("domain", text("domain"))]);
            members.extend([("period", text("period")), ("addons", text("addons"))]);
            members.extend(money(949));
            members.extend(access());
        }
        Op::RenewOrder => {
            members.push(("period", text("period")));
            members.extend(money(949));
        }
        Op::AddonsOrder => {
            members.push(("addons", text("addons")));
            members.extend(money(200));
        }
        Op::ReinstallOrder => members.extend(access()),
        Op::GetVnc => {
            members.extend([("wss_url", Node::text("wss://vnc.panel.example/test")), ("password", text("orderid"))]);
        }
        Op::SuspendOrder
        | Op::UnsuspendOrder
        | Op::StartServer
        | Op::ShutdownServer
        | Op::RebootServer
        | Op::ResetServer => {}
    }
    read(view::success(None, members))
}
