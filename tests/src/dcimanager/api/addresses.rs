//! The addresses of a machine.

use super::super::config::Family;
use super::super::errors::Refusal;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Address, World};
use super::super::view;
use super::super::xml::Element;
use super::{Reply, changed, done, named, read};

pub(super) fn list(world: &World, asked: &Accepted) -> Reply {
    let server = named(world, asked, asked.elid())?;
    // The groups are headings between the rows.
    let heading = Element::holding(
        "elem",
        vec![Element::text("id", "group_public"), Element::text("ip", "public"), Element::text("type", "group")],
    );
    let rows = server.addresses.iter().map(|address| view::address_row(world, address));
    read([heading].into_iter().chain(rows).collect())
}

pub(super) fn rename(world: &mut World, asked: &Accepted) -> Reply {
    let (id, elid) = (plid(asked), asked.elid());
    let domain = asked.text("domain").trim_end_matches('.').to_owned();
    if !is_domain(&domain) {
        return Err(Refusal::value("domain", domain));
    }
    let server = changed(world, asked, id)?;
    let found = server.addresses.iter_mut().find(|address| address.id == elid);
    found.ok_or_else(|| Refusal::missed("ip", elid))?.domain = domain;
    done(Effect::Named(id))
}

pub(super) fn add(world: &mut World, asked: &Accepted) -> Reply {
    let (id, group) = (plid(asked), asked.text("iptype").to_owned());
    let family = Family::of(asked.text("family")).ok_or_else(|| Refusal::value("family", ""))?;
    let domain = asked.text("domain").trim_end_matches('.').to_owned();
    if !is_domain(&domain) {
        return Err(Refusal::value("domain", domain));
    }
    named(world, asked, id)?;
    if !world.pools.iter().any(|pool| pool.group == group) {
        return Err(Refusal::value("iptype", group));
    }
    let fits = |pool: &&mut super::super::config::Pool| pool.group == group && pool.family == family;
    let Some(pool) = world.pools.iter_mut().find(fits).filter(|pool| !pool.free.is_empty()) else {
        return Err(Refusal::limit("ip"));
    };
    let ip = pool.free.remove(0);
    let address_id = world.next_address_id();
    let address = Address { id: address_id, ip: ip.clone(), family, group, domain };
    changed(world, asked, id)?.addresses.push(address);
    let shown = vec![Element::text("id", address_id), Element::text("ip", ip), Element::new("ok")];
    Ok((shown, Effect::AddressAdded(id)))
}

pub(super) fn delete(world: &mut World, asked: &Accepted) -> Reply {
    let (id, elid, call) = (plid(asked), asked.elid(), world.call);
    let server = changed(world, asked, id)?;
    let at = server.addresses.iter().position(|address| address.id == elid);
    let at = at.ok_or_else(|| Refusal::missed("ip", elid))?;
    let address = server.addresses.remove(at);
    if at == 0 {
        world.breaches.push(format!("call {call}: the main address of machine {id} was deleted"));
    }
    let mut pools = world.pools.iter_mut();
    if let Some(pool) = pools.find(|pool| pool.group == address.group && pool.family == address.family) {
        pool.free.push(address.ip);
    }
    done(Effect::AddressDeleted(id))
}

/// The machine whose addresses they are.
fn plid(asked: &Accepted) -> u64 {
    asked.number("plid").unwrap_or(0)
}

fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let good = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !label.is_empty() && label.len() <= 63 && good && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}
