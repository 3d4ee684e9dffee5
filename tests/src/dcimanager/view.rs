//! The panel's objects as it shows them.

use super::config::{Account, Level, OwnerAs, Template};
use super::errors::Refusal;
use super::rules::Accepted;
use super::state::{Address, Power, Server, World};
use super::xml::Element;
use crate::panel::{Answer, Body};

const KIND: &str = "text/xml; charset=UTF-8";

/// The true answer to a call.
pub(super) fn answer(asked: &Accepted, children: Vec<Element>) -> Answer {
    let function = asked.function.name;
    let mut doc = root(&asked.lang, function);
    if let Some(caller) = &asked.caller {
        doc = doc.with("user", &caller.name).with("level", caller.level.number());
    }
    doc.children = children;
    // What the call said comes back, where a search that goes too deep takes it for an answer.
    let echo = asked.echo.iter().map(|(name, value)| Element::text(name, value));
    let decoy = Element::text("id", asked.text("elid"));
    doc.children.push(Element::holding("tparams", echo.chain([decoy]).collect()));
    raw(200, doc.document())
}

/// A refusal as a document.
pub(super) fn refusal(world: &World, refusal: &Refusal, lang: &str, user: &str, function: &str) -> Answer {
    let mut doc = root(lang, function);
    doc.children = vec![refusal.element(lang, user, function)];
    raw(world.knobs.manners.error_status, doc.document())
}

/// A refusal in the words of an older panel.
pub(super) fn old_refusal(error: &Element) -> Answer {
    raw(200, Element::holding("doc", vec![error.clone()]).document())
}

/// Bytes labelled as XML.
pub(super) fn raw(status: u16, text: String) -> Answer {
    Answer { status, headers: Vec::new(), body: Body::Bytes(KIND, text.into_bytes()) }
}

fn root(lang: &str, function: &str) -> Element {
    let doc = Element::new("doc").with("lang", lang).with("func", function);
    doc.with("binary", "/dcimgr").with("host", "https://dci.example:1500").with("theme", "/manimg/orion/")
}

/// The rows of a list, cut where the panel shows it in pages.
pub(super) fn page(world: &World, mut rows: Vec<Element>) -> Vec<Element> {
    let all = rows.len();
    if let Some(most) = world.knobs.manners.page_rows {
        rows.truncate(most);
        rows.push(Element::text("p_elems", all));
    }
    rows
}

pub(super) fn account_row(world: &World, account: &Account) -> Element {
    let owned = world.servers.iter().filter(|server| server.owner == Some(account.id)).count();
    let mut row = vec![
        Element::text("id", account.id),
        Element::text("name", &account.name),
        Element::text("level", account.level.number()),
        Element::text("servers", owned),
    ];
    row.push(Element::new(if account.enabled { "enabled" } else { "disabled" }));
    Element::holding("elem", row)
}

pub(super) fn server_row(world: &World, server: &Server) -> Element {
    let now_ms = world.now_ms;
    let owner = server.owner.and_then(|id| world.account(id));
    let owner = owner.map_or(String::new(), |account| match world.knobs.manners.owner {
        OwnerAs::Name => account.name.clone(),
        OwnerAs::Id => account.id.to_string(),
    });
    let kind = world.types.iter().find(|(id, _)| *id == server.type_id).map_or("", |(_, label)| label);
    let mut row = vec![
        Element::text("id", server.id),
        Element::text("name", &server.label),
        Element::text("hostname", domain(world, server.hostname())),
        Element::text("ip", server.addresses.first().map_or("", |address| &address.ip)),
        Element::text("owner", owner),
        Element::text("type", kind),
        Element::text("chassis_templ", &server.chassis),
        Element::text("rack", &server.rack),
        Element::text("ipmi", server.ipmi_label()),
        Element::new(match server.power {
            Power::On => "poweron",
            Power::Off => "poweroff",
            Power::Error => "powererror",
        }),
    ];
    let marks = [
        ("disabled", server.is_disabled),
        ("blocked", server.is_blocked),
        ("hwproblem", server.has_problem),
        ("diag_in_progress", server.is_diagnosed(now_ms)),
        ("install_in_progress", server.is_installing(now_ms)),
        ("operation_failed", server.is_failed),
    ];
    row.extend(marks.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| Element::new(name)));
    Element::holding("elem", row)
}

pub(super) fn server_form(world: &World, server: &Server) -> Vec<Element> {
    let none = if world.knobs.manners.empty_owner_key { "" } else { "no_owner" };
    let owner = server.owner.map_or_else(|| none.to_owned(), |id| id.to_string());
    let key = |key: String, label: &str| Element::text("val", label).with("key", key);
    let nobody = key(none.to_owned(), "-- without owner --");
    let listed = world.accounts.iter().filter(|account| account.level != Level::Superuser);
    let owners = [nobody].into_iter().chain(listed.map(|account| key(account.id.to_string(), &account.name)));
    let types = world.types.iter().map(|(id, label)| key(id.to_string(), label));
    vec![
        Element::text("elid", server.id),
        Element::text("name", &server.label),
        Element::text("mac", &server.mac),
        Element::text("type", server.type_id),
        Element::text("owner", owner),
        Element::text("notes", &server.notes),
        Element::text("disabled", if server.is_disabled { "on" } else { "off" }),
        Element::holding("slist", owners.collect()).with("name", "owner"),
        Element::holding("slist", types.collect()).with("name", "type"),
    ]
}

/// What can be installed on a machine.
pub(super) fn templates<'a>(world: &'a World, server: &Server, is_user: bool) -> impl Iterator<Item = &'a Template> {
    let type_id = server.type_id;
    let fits = move |template: &&Template| {
        let is_of_type = template.types.is_empty() || template.types.contains(&type_id);
        template.installed && is_of_type && !(is_user && template.restricted)
    };
    world.templates.iter().filter(fits)
}

pub(super) fn operation_form(world: &World, server: &Server, is_user: bool) -> Vec<Element> {
    let listed = templates(world, server, is_user);
    let listed = listed.map(|template| Element::text("val", &template.id).with("key", &template.id));
    let current = server.system.as_ref().map_or("", |system| &system.template);
    vec![
        Element::text("elid", server.id),
        Element::text("operation", "ostemplate"),
        Element::text("ostemplate", current),
        Element::text("hostname", domain(world, server.hostname())),
        Element::text("recipe", "null"),
        Element::holding("slist", listed.collect()).with("name", "ostemplate"),
    ]
}

pub(super) fn address_row(world: &World, address: &Address) -> Element {
    Element::holding(
        "elem",
        vec![
            Element::text("id", address.id),
            Element::text("ip", &address.ip),
            Element::text("domain", domain(world, &address.domain)),
            Element::text("type", &address.group),
        ],
    )
}

fn domain(world: &World, name: &str) -> String {
    if world.knobs.manners.trailing_dots && !name.is_empty() { format!("{name}.") } else { name.to_owned() }
}
