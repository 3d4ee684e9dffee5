//! The panel's objects as it shows them.

use jiff::Timestamp;

use super::codes::Code;
use super::config::{Dates, Manners, Tarif};
use super::state::{Order, World};
use super::tree::Node;
use crate::panel::{Answer, Body};

/// The true answer in the form that was asked for.
pub(super) fn answer(tree: &Node, manners: &Manners, php: bool) -> Answer {
    raw(tree.write(manners, php), manners)
}

/// A text as an answer.
pub(super) fn raw(text: String, manners: &Manners) -> Answer {
    let text = if manners.is_wrapped { wrapped(&text) } else { text };
    Answer { status: 200, headers: Vec::new(), body: Body::Bytes(manners.content_type, text.into_bytes()) }
}

/// With what editors and careless templates leave around a text.
pub(super) fn wrapped(text: &str) -> String {
    format!("\u{feff}{text}\n")
}

pub(super) fn error(code: Code) -> Node {
    Node::Map(vec![
        ("status", Node::text("ERROR")),
        ("errorCode", Node::Int(code.0.into())),
        ("errorMsg", Node::text(code.message())),
    ])
}

/// A success, put off where a code says so.
pub(super) fn success(put_off: Option<Code>, members: Vec<(&'static str, Node)>) -> Node {
    let mut all = vec![("status", Node::text("SUCCESS"))];
    if let Some(code) = put_off {
        all.extend([("errorCode", Node::Int(code.0.into())), ("errorMsg", Node::text(code.message()))]);
    }
    all.extend(members);
    Node::Map(all)
}

pub(super) fn ids(ids: &[u64]) -> Node {
    let texts: Vec<String> = ids.iter().map(u64::to_string).collect();
    Node::Text(texts.join(","))
}

fn date(ms: Option<u64>, dates: Dates) -> Node {
    let Some(ms) = ms else { return Node::Missing };
    let at = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::UNIX_EPOCH);
    match dates {
        Dates::Iso => Node::Text(at.strftime("%Y-%m-%d").to_string()),
        Dates::IsoTime => Node::Text(at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        Dates::Dotted => Node::Text(at.strftime("%d.%m.%Y").to_string()),
        Dates::Unix => Node::Int(at.as_second()),
    }
}

fn address(order: &Order, host: u64) -> String {
    let number = order.id + host;
    format!("10.50.{}.{}", number / 256 % 256, number % 256)
}

/// The main address and the further ones of an order.
pub(super) fn addresses(order: &Order) -> (String, Vec<String>) {
    let extra = order.addons.iter().filter(|id| **id == EXTRA_ADDRESS).count();
    (address(order, 0), (1..=extra as u64).map(|host| address(order, host)).collect())
}

/// The add-on that brings an address with it.
const EXTRA_ADDRESS: u64 = 9;

/// A row of a list of orders. Until a machine is installed, nothing is known of it.
pub(super) fn order_row(world: &World, order: &Order) -> Node {
    let dates = world.knobs.manners.dates;
    let status = world.status(order);
    let is_there = order.started_ms.is_some();
    let known = |node: Node| if is_there { node } else { Node::Missing };
    let (main, extra) = addresses(order);
    let extra = if is_there { extra } else { Vec::new() };
    let name = world.plan(order.plan_id).map_or("", |plan| &plan.name);
    Node::Map(vec![
        ("orderid", Node::id(order.id)),
        ("vid", Node::text("vds")),
        ("tarifid", Node::id(order.plan_id)),
        ("tarifname", Node::text(name)),
        ("orderdate", date(Some(order.ordered_ms), dates)),
        ("startdate", date(order.started_ms, dates)),
        ("todate", date(order.paid_until_ms, dates)),
        ("leftdays", Node::Int(world.days_left(order))),
        ("status", Node::Int(status.number().into())),
        ("serverlogin", known(Node::text("root"))),
        ("serverpassword", known(Node::text(&*order.password))),
        ("serveripv4", known(Node::Text(main))),
        ("serveripv6", known(Node::Text(format!("2001:db8::{:x}", order.id)))),
        ("extraips", Node::list((3..).zip(extra.into_iter().map(Node::Text)))),
    ])
}

pub(super) fn plan(plan: &Tarif) -> Node {
    let months = plan.months.iter().map(|period| {
        let row = Node::Map(vec![
            ("months", Node::Int(period.months.into())),
            ("discount", Node::Int(period.discount)),
            ("allowForNewOrder", Node::flag(period.for_new)),
            ("allowForRenew", Node::flag(period.for_renew)),
        ]);
        (u64::from(period.months), row)
    });
    let addons = plan.addons.iter().map(|addon| {
        let row = Node::Map(vec![
            ("id", Node::id(addon.id)),
            ("name", Node::text(&*addon.name)),
            ("costMonthly", Node::Money(addon.cost)),
            ("cntforoneorder", Node::id(addon.most as u64)),
            ("onlyifrenew", Node::flag(addon.only_if_renew)),
        ]);
        (addon.id, row)
    });
    let locations = plan.locations.iter().map(|location| {
        let row = Node::Map(vec![
            ("id", Node::id(location.id)),
            ("name", Node::text(&*location.name)),
            ("costMonthly", Node::Money(location.cost)),
        ]);
        (location.id, row)
    });
    Node::Map(vec![
        ("id", Node::id(plan.id)),
        ("vid", Node::text("vds")),
        ("name", Node::text(&*plan.name)),
        ("costMonthly", Node::Money(plan.cost)),
        ("currency", Node::text(&*plan.currency)),
        ("allowWithoutDomain", Node::flag(plan.without_domain)),
        ("months", Node::list(months)),
        ("addons", Node::list(addons)),
        ("locations", Node::list(locations)),
    ])
}

/// Whether a list of orders has this one.
pub(super) fn is_listed(world: &World, order: &Order) -> bool {
    world.knobs.lists_put_off_orders || !World::is_put_off(order)
}
