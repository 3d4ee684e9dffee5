//! The list of machines, and the form that says whose one is.

use super::super::config::ServerSeed;
use super::super::errors::Refusal;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::World;
use super::super::view;
use super::super::xml::Element;
use super::{Reply, changed, done, made, named, read};

pub(super) fn list(world: &World, asked: &Accepted) -> Reply {
    if asked.has("clickstat") {
        let server = named(world, asked, asked.elid())?;
        let is_installing = server.is_installing(world.now_ms);
        let text = if is_installing { "Installing the operating system: 40 %" } else { "" };
        return read(vec![Element::text("value", text)]);
    }
    // With nobody to say otherwise, the account's saved filter applies.
    let rack = world.knobs.manners.saved_filter.as_ref().filter(|_| asked.text("filter") != "off");
    let shown = world.servers.iter().filter(|server| rack.is_none_or(|rack| server.rack.starts_with(rack.as_str())));
    let shown = shown.filter(|server| !asked.is_user() || server.owner == Some(asked.caller_id()));
    read(view::page(world, shown.map(|server| view::server_row(world, server)).collect()))
}

pub(super) fn form(world: &mut World, asked: &Accepted) -> Reply {
    let call = world.call;
    let fields = view::server_form(world, named(world, asked, asked.elid())?);
    if let Some(server) = world.server_mut(asked.elid()) {
        server.looked_at_call = call;
    }
    read(fields)
}

pub(super) fn change(world: &mut World, asked: &Accepted) -> Reply {
    let (id, owner) = (asked.elid(), owner(world, asked)?);
    let type_id = asked.number("type").unwrap_or(0);
    let was_free = named(world, asked, id)?.is_free(world.now_ms);
    if asked.has("type") && !world.types.iter().any(|(known, _)| *known == type_id) {
        return Err(Refusal::value("type", type_id));
    }
    let was = changed(world, asked, id)?.owner;
    let effect = match (was, owner) {
        (was, owner) if was == owner => Effect::Edited(id),
        (None, Some(_)) => Effect::Claimed(id),
        (Some(_), Some(_)) => Effect::HandedOver(id),
        (_, None) => Effect::Released(id),
    };
    let call = world.call;
    if matches!(effect, Effect::Claimed(_)) && !was_free {
        world.breaches.push(format!("call {call}: machine {id} was taken, and was not free"));
    }
    if let Some(owner) = owner.filter(|owner| was != Some(*owner) && !world.is_ours(*owner)) {
        let name = world.account(owner).map_or("nobody", |account| &account.name);
        world.breaches.push(format!("call {call}: machine {id} was given to {name}, who did not order it"));
    }
    let (now_ms, diagnostics_ms) = (world.now_ms, world.knobs.diagnostics_ms);
    let mac = asked.text("mac").to_owned();
    let cleared = world.server(id).is_some_and(|server| !server.mac.is_empty() && mac.is_empty());
    if cleared {
        world.breaches.push(format!("call {call}: the MAC address of machine {id} was cleared"));
    }
    if let Some(server) = world.server_mut(id) {
        server.owner = owner;
        server.mac = mac;
        server.label = asked.text("name").to_owned();
        server.notes = asked.text("notes").to_owned();
        server.type_id = type_id;
        match effect {
            Effect::Claimed(_) => server.installs = 0,
            Effect::Released(_) => {
                server.diagnosed_until_ms = diagnostics_ms.map_or(0, |length_ms| now_ms + length_ms);
            }
            _ => {}
        }
    }
    done(effect)
}

/// A form that is committed for nothing makes a machine that does not exist.
pub(super) fn create(world: &mut World, asked: &Accepted) -> Reply {
    let id = world.servers.iter().map(|server| server.id).max().unwrap_or(0) + 1;
    let call = world.call;
    world.breaches.push(format!("call {call}: a machine was made out of nothing"));
    let label = asked.text("name").to_owned();
    world.seed_server(&ServerSeed { label, mac: String::new(), ip: String::new(), ..ServerSeed::free(id) });
    made(id, Effect::ServerCreated(id))
}

/// The account that a form names; one without an owner has a word for it.
fn owner(world: &World, asked: &Accepted) -> Result<Option<u64>, Refusal> {
    match asked.text("owner") {
        "no_owner" | "" => Ok(None),
        text => {
            let id = text.parse().ok().filter(|id| world.account(*id).is_some());
            id.map(Some).ok_or_else(|| Refusal::value("owner", text))
        }
    }
}
