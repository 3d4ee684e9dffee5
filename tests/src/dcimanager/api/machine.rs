//! What is done to a machine from outside: its power, its block, its ports.

use super::super::errors::Refusal;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Kind, Power, World};
use super::super::xml::Element;
use super::{Reply, changed, done, named, read};

/// Leads to the machine running or not; `None` boots it again.
pub(super) fn power(world: &mut World, asked: &Accepted, on: Option<bool>) -> Reply {
    let id = asked.elid();
    let (now_ms, knobs) = (world.now_ms, world.knobs.clone());
    let server = changed(world, asked, id)?;
    let effect = match on {
        Some(true) => Effect::PoweredOn(id),
        Some(false) => Effect::PoweredOff(id),
        None => Effect::Rebooted(id),
    };
    server.switch(if on == Some(false) { Power::Off } else { Power::On }, now_ms, &knobs);
    let is_cut = server.is_installing(now_ms) && on != Some(true);
    if is_cut {
        let call = world.call;
        world.breaches.push(format!("call {call}: the power of machine {id} was cut in an installation"));
    }
    done(effect)
}

pub(super) fn block(world: &mut World, asked: &Accepted, is_disabled: bool) -> Reply {
    let id = asked.elid();
    let (now_ms, knobs) = (world.now_ms, world.knobs.clone());
    changed(world, asked, id)?.block(is_disabled, now_ms, &knobs);
    done(if is_disabled { Effect::Disabled(id) } else { Effect::Enabled(id) })
}

pub(super) fn connections(world: &World, asked: &Accepted) -> Reply {
    let server = named(world, asked, asked.elid())?;
    let row = |connection: &super::super::state::Connection| {
        let kind = match connection.kind {
            Kind::Switch => "Switch",
            Kind::Ipmi => "IPMI",
        };
        let mut row = vec![Element::text("id", connection.id), Element::text("type", kind)];
        if connection.busy_until_ms > world.now_ms {
            row.push(Element::new("func_in_progress"));
        }
        Element::holding("elem", row)
    };
    read(server.connections.iter().map(row).collect())
}

pub(super) fn connection_form(world: &World, asked: &Accepted) -> Reply {
    let (id, server) = (asked.elid(), named(world, asked, asked.number("plid").unwrap_or(0))?);
    let found = server.connections.iter().find(|connection| connection.id == id);
    let connection = found.ok_or_else(|| Refusal::missed("connection", id))?;
    let shown = match connection.kind {
        Kind::Switch => Element::text("port", format!("sw1 Gi0/{}", server.id)),
        Kind::Ipmi => Element::text(world.knobs.manners.ipmi_field, format!("10.0.0.{}", server.id)),
    };
    read(vec![Element::text("elid", id), Element::text("plid", server.id), shown])
}

pub(super) fn switch(world: &mut World, asked: &Accepted, on: bool) -> Reply {
    let (id, elid) = (asked.number("plid").unwrap_or(0), asked.elid());
    let until_ms = world.now_ms + world.knobs.ports_ms;
    if on && named(world, asked, id)?.is_disabled {
        return Err(Refusal::access(asked.function.name));
    }
    let server = changed(world, asked, id)?;
    let mut ports = server.connections.iter_mut().filter(|connection| connection.kind == Kind::Switch);
    let port = ports.find(|port| port.id == elid).ok_or_else(|| Refusal::missed("connection", elid))?;
    port.is_on = on;
    port.busy_until_ms = until_ms;
    done(Effect::Switched(id))
}

pub(super) fn ipmi(world: &mut World, asked: &Accepted) -> Reply {
    let server = named(world, asked, asked.elid())?;
    if asked.text("value") != server.ipmi_label() {
        return Err(Refusal::missed("ipmi", asked.text("value")));
    }
    let token = world.secret("ipmi");
    read(vec![Element::text("ok", format!("/ipmi/{}/console?token={token}", asked.elid()))])
}
