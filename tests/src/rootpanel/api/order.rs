//! What costs money: a new server, a renewal, add-ons.

use super::super::codes::Code;
use super::super::config::{AddonKind, Months, Tarif};
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Order, What, World};
use super::super::tree::Node;
use super::super::view;
use super::{Reply, named, spend};

pub(super) fn create(world: &mut World, call: u64, asked: &Accepted) -> Reply {
    let plan = asked.number("tarifid").and_then(|id| world.plan(id)).cloned().ok_or(Code::UNKNOWN_PLAN)?;
    let months = period(&plan, asked, |period| period.for_new)?;
    let location_id = location(&plan, asked)?;
    let addons = asked.numbers("addons");
    check_addons(&plan, &[], &addons, true)?;
    let domain = asked.text("domain").unwrap_or_default().to_owned();
    if domain.is_empty() && !plan.without_domain {
        return Err(Code::DOMAIN_MISSING);
    }
    let mut own = world.orders.iter().filter(|order| order.login == asked.login && !order.removed);
    if own.any(|order| !domain.is_empty() && order.domain == domain && order.plan_id == plan.id) {
        return Err(Code::DOMAIN_TAKEN);
    }
    let mut ever = world.orders.iter().filter(|order| order.login == asked.login);
    if plan.once_only && ever.any(|order| order.plan_id == plan.id) {
        return Err(Code::ONCE_ONLY);
    }
    let autorenew = autorenew(&plan, asked)?;

    let id = world.next_order_id();
    let password = world.secret("srv");
    let cost = spend::period(&plan, location_id, &addons, months);
    let mut members = vec![
        ("orderid", Node::id(id)),
        ("vid", Node::text("vds")),
        ("tarifid", Node::id(plan.id)),
        ("domain", Node::text(&*domain)),
        ("period", Node::Int(months.into())),
        ("addons", view::ids(&addons)),
    ];
    let access = [("serverlogin", Node::text("root")), ("serverpassword", Node::text(&*password))];
    world.orders.push(Order {
        id,
        login: asked.login.clone(),
        plan_id: plan.id,
        location_id,
        domain,
        addons,
        months,
        autorenew,
        ordered_ms: world.now_ms,
        accepted_ms: None,
        install: (0, 0),
        started_ms: None,
        paid_until_ms: None,
        suspended: false,
        reinstalled_ms: None,
        password,
        running: false,
        foreign: false,
        removed: false,
        created_at_call: call,
    });
    // Access data are told at once only where the order goes through at once.
    if !world.knobs.by_hand && world.user(&asked.login).is_some_and(|user| user.balance >= cost.share(user.rate, 100)) {
        members.extend(access);
    }
    spend::place(world, id, What::New, cost, Effect::Ordered(id), members)
}

pub(super) fn renew(world: &mut World, asked: &Accepted) -> Reply {
    let order = named(world, asked)?;
    let plan = world.plan(order.plan_id).ok_or(Code::UNKNOWN_PLAN)?;
    let months = period(plan, asked, |period| period.for_renew)?;
    let id = settled(world, order)?;
    let cost = spend::period(plan, order.location_id, &order.addons, months);
    let members = vec![("orderid", Node::id(id)), ("period", Node::Int(months.into()))];
    spend::place(world, id, What::Renewal { months }, cost, Effect::Renewed(id), members)
}

pub(super) fn addons(world: &mut World, asked: &Accepted) -> Reply {
    let order = named(world, asked)?;
    let plan = world.plan(order.plan_id).ok_or(Code::UNKNOWN_PLAN)?;
    let addons = asked.numbers("addons");
    check_addons(plan, &order.addons, &addons, false)?;
    let id = settled(world, order)?;
    if world.days_left(order) < 0 {
        return Err(Code::OVERDUE);
    }
    let cost = spend::rest(plan, &addons, world.days_left(order));
    let members = vec![("orderid", Node::id(id)), ("addons", view::ids(&addons))];
    spend::place(world, id, What::Addons(addons), cost, Effect::AddonsOrdered(id), members)
}

/// An order with an open invoice, or one that is not carried out yet, takes no further one.
fn settled(world: &World, order: &Order) -> Result<u64, Code> {
    let is_open = world.open_jobs(order.id).next().is_some() || order.started_ms.is_none();
    if is_open { Err(Code::OPEN_INVOICE) } else { Ok(order.id) }
}

fn period(plan: &Tarif, asked: &Accepted, allows: impl Fn(&Months) -> bool) -> Result<u32, Code> {
    let wanted = asked.number("period").ok_or(Code::PERIOD_REFUSED)?;
    let mut fitting = plan.months.iter().filter(|period| u64::from(period.months) == wanted && allows(period));
    fitting.next().map(|period| period.months).ok_or(Code::PERIOD_REFUSED)
}

fn location(plan: &Tarif, asked: &Accepted) -> Result<Option<u64>, Code> {
    if asked.text("locationid").is_none() {
        return Ok(None);
    }
    let wanted = asked.number("locationid");
    let found = plan.locations.iter().find(|location| Some(location.id) == wanted).ok_or(Code::LOCATION_REFUSED)?;
    if found.is_open { Ok(Some(found.id)) } else { Err(Code::LOCATION_CLOSED) }
}

/// Whether an order that has some add-ons may have these too.
fn check_addons(plan: &Tarif, have: &[u64], wanted: &[u64], is_new: bool) -> Result<(), Code> {
    let all: Vec<u64> = have.iter().chain(wanted).copied().collect();
    for id in wanted {
        let addon = spend::addon(plan, *id).ok_or(Code::ADDON_REFUSED)?;
        if is_new && addon.only_if_renew {
            return Err(Code::ADDON_REFUSED);
        }
        if addon.most > 0 && all.iter().filter(|other| *other == id).count() > addon.most {
            return Err(Code::QUANTITY);
        }
        if let AddonKind::Panel(systems) = &addon.kind
            && !all.iter().any(|id| systems.contains(id))
        {
            return Err(Code::PANEL_NOT_FOR_OS);
        }
    }
    for (one, other, code) in &plan.exclusive {
        if all.contains(one) && all.contains(other) {
            return Err(Code(*code));
        }
    }
    let is_system = |id: &u64| spend::addon(plan, *id).is_some_and(|addon| addon.kind == AddonKind::Os);
    let must_choose = is_new && plan.addons.iter().any(|addon| addon.kind == AddonKind::Os);
    if must_choose && !all.iter().any(is_system) {
        return Err(Code::GROUP);
    }
    if all.iter().filter(|id| is_system(id)).count() > 1 {
        return Err(Code::QUANTITY);
    }
    Ok(())
}

fn autorenew(plan: &Tarif, asked: &Accepted) -> Result<bool, Code> {
    match asked.text("autorenew") {
        None | Some("0") => Ok(false),
        Some("1") if asked.text("autorenewperiod").is_none() => Err(Code::AUTORENEW_PERIOD_MISSING),
        Some("1") => {
            let wanted = asked.number("autorenewperiod");
            let mut fitting = plan.months.iter().filter(|period| Some(u64::from(period.months)) == wanted);
            if fitting.any(|period| period.for_renew) { Ok(true) } else { Err(Code::AUTORENEW_PERIOD_REFUSED) }
        }
        Some(_) => Err(Code::AUTORENEW),
    }
}
