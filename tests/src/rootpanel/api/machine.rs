//! What is done to a machine that is there: stopped and started by billing, by power, installed anew, looked at.

use super::super::codes::Code;
use super::super::config::AddonKind;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::World;
use super::super::tree::Node;
use super::super::view;
use super::{Reply, installed, read, spend};

pub(super) fn suspend(world: &mut World, asked: &Accepted) -> Reply {
    let order = installed(world, asked)?;
    if order.suspended || world.is_overdue(order) {
        return Err(Code::SUSPENDED);
    }
    let id = order.id;
    if let Some(order) = world.order_mut(id) {
        order.suspended = true;
        order.running = false;
    }
    done(id, Effect::Suspended(id))
}

pub(super) fn unsuspend(world: &mut World, asked: &Accepted) -> Reply {
    let order = installed(world, asked)?;
    if world.is_overdue(order) {
        return Err(Code::RENEW_FIRST);
    }
    if !order.suspended {
        return Err(Code::RUNNING);
    }
    let id = order.id;
    if let Some(order) = world.order_mut(id) {
        order.suspended = false;
        order.running = true;
    }
    done(id, Effect::Unsuspended(id))
}

/// Leaves the machine running or not; `None` is a reboot, which needs one that runs.
pub(super) fn power(world: &mut World, asked: &Accepted, on: Option<bool>, effect: fn(u64) -> Effect) -> Reply {
    let order = running_order(world, asked)?;
    let (id, running) = (order.0, order.1);
    if on.is_none() && !running {
        return Err(Code::FAILED);
    }
    if let (Some(order), Some(on)) = (world.order_mut(id), on) {
        order.running = on;
    }
    done(id, effect(id))
}

pub(super) fn vnc(world: &mut World, asked: &Accepted) -> Reply {
    let (id, _) = running_order(world, asked)?;
    let token = world.secret("vnc");
    let url = format!("wss://vnc.panel.example/{id}?token={token}");
    let password = world.secret("pw");
    world.secrets.push(url.clone());
    let members = vec![("orderid", Node::id(id)), ("wss_url", Node::Text(url)), ("password", Node::Text(password))];
    read(view::success(None, members))
}

pub(super) fn reinstall(world: &mut World, asked: &Accepted) -> Reply {
    let order = installed(world, asked)?;
    let plan = world.plan(order.plan_id).ok_or(Code::UNKNOWN_PLAN)?;
    if !plan.can_reinstall {
        return Err(Code::UNSUPPORTED);
    }
    let chosen = |name: &str| asked.number(name).and_then(|id| spend::addon(plan, id));
    let system = chosen("osid").filter(|addon| addon.kind == AddonKind::Os).ok_or(Code::UNKNOWN_OS)?;
    match (asked.text("panelid"), chosen("panelid").map(|addon| &addon.kind)) {
        (None, _) if !world.knobs.demands_panel => {}
        (Some(_), Some(AddonKind::Panel(systems))) if systems.contains(&system.id) => {}
        (Some(_), Some(AddonKind::Panel(_))) => return Err(Code::PANEL_NOT_FOR_OS),
        _ => return Err(Code::UNKNOWN_PANEL),
    }
    if world.is_overdue(order) || order.suspended {
        return Err(Code::SUSPENDED);
    }
    let id = order.id;
    let password = world.secret("srv");
    let end_ms = world.now_ms + world.knobs.reinstall_ms;
    if let Some(order) = world.order_mut(id) {
        order.reinstalled_ms = Some(end_ms);
        order.password.clone_from(&password);
        order.running = true;
    }
    let members =
        vec![("orderid", Node::id(id)), ("serverlogin", Node::text("root")), ("serverpassword", Node::Text(password))];
    Ok((view::success(None, members), Effect::Reinstalled(id)))
}

/// The id of the order and whether its machine runs, if billing has not stopped it.
fn running_order(world: &World, asked: &Accepted) -> Result<(u64, bool), Code> {
    let order = installed(world, asked)?;
    if world.is_overdue(order) {
        return Err(Code::OVERDUE);
    }
    if order.suspended {
        return Err(Code::SUSPENDED);
    }
    Ok((order.id, order.running))
}

fn done(id: u64, effect: Effect) -> Reply {
    Ok((view::success(None, vec![("orderid", Node::id(id))]), effect))
}
