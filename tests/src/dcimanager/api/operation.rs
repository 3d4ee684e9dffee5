//! What runs on a machine that boots over the network: an installation.

use super::super::errors::Refusal;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Install, Power, Server, World};
use super::super::view;
use super::{Reply, changed, done, named, read};

pub(super) fn form(world: &World, asked: &Accepted) -> Reply {
    read(view::operation_form(world, named(world, asked, asked.elid())?, asked.is_user()))
}

pub(super) fn install(world: &mut World, asked: &Accepted) -> Reply {
    let (id, call) = (asked.elid(), world.call);
    let server = named(world, asked, id)?;
    let password = asked.text("passwd");
    let (template, recipe) = (asked.text("ostemplate"), asked.text("recipe"));
    let can_succeed =
        is_ready(server) && view::templates(world, server, asked.is_user()).any(|known| known.id == template);
    let is_listed = view::templates(world, server, asked.is_user()).any(|known| known.id == template);
    if recipe != "null" && !world.recipes.iter().any(|known| known == recipe) {
        return Err(Refusal::value("recipe", recipe));
    }
    let passwords = [password.to_owned(), asked.text("confirm").to_owned(), asked.text("checkpasswd").to_owned()];
    for password in &passwords {
        world.remember(password);
    }
    if passwords.iter().any(|other| *other != passwords[0]) {
        return Err(Refusal::value("passwd", ""));
    }
    if !is_listed {
        world.breaches.push(format!("call {call}: {template} is not what machine {id} can have"));
    }
    let now_ms = world.now_ms;
    let knobs = world.knobs.clone();
    let mut wanted = Install::asked(now_ms, &knobs, template, recipe, &passwords[0]);
    let server = changed(world, asked, id)?;
    let is_second = server.install.is_some();
    wanted.addresses = server.addresses.iter().map(|address| address.ip.clone()).collect();
    server.begin(wanted, can_succeed, &knobs);
    if is_second {
        world.breaches.push(format!("call {call}: machine {id} was installed while an installation ran"));
    }
    done(Effect::Installed(id))
}

pub(super) fn cancel(world: &mut World, asked: &Accepted) -> Reply {
    let id = asked.elid();
    let server = changed(world, asked, id)?;
    if server.install.take().is_none() {
        return Err(Refusal::missed("operation", id));
    }
    done(Effect::Cancelled(id))
}

/// Whether the machine can boot over the network at all.
fn is_ready(server: &Server) -> bool {
    let has_port = server.connections.iter().all(|connection| connection.is_on);
    server.power == Power::On && !server.mac.is_empty() && !server.addresses.is_empty() && has_port
}
