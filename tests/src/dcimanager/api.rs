//! What each function does.

mod accounts;
mod addresses;
mod machine;
mod operation;
mod reports;
mod servers;

pub(super) use reports::received;

use super::errors::Refusal;
use super::functions::Op;
use super::ledger::Effect;
use super::rules::Accepted;
use super::state::{Server, World};
use super::view;
use super::xml::Element;
use crate::panel::Answer;

/// The children of the document, and what was changed; or the refusal.
type Reply = Result<(Vec<Element>, Effect), Refusal>;

/// Carries out a call; `number` is its number in the ledger.
pub(super) fn respond(world: &mut World, number: u64, asked: &Accepted) -> (Answer, Effect) {
    world.call = number;
    world.keep_alive(asked);
    let reply = dispatch(world, asked);
    let (answer, effect) = match reply {
        Ok((children, effect)) => (view::answer(asked, children), effect),
        Err(refusal) => {
            let user = asked.caller.as_ref().map_or("", |caller| &caller.name);
            (view::refusal(world, &refusal, &asked.lang, user, asked.function.name), Effect::None)
        }
    };
    world.let_others_act(asked);
    (answer, effect)
}

fn dispatch(world: &mut World, asked: &Accepted) -> Reply {
    match asked.op() {
        Op::Auth => accounts::log_in(world, asked),
        Op::WhoAmI => accounts::who_am_i(world, asked),
        Op::NewKey => accounts::new_key(world, asked),
        Op::Users => accounts::list(world),
        Op::UserForm => accounts::form(world, asked),
        Op::UserChange => accounts::change(world, asked),
        Op::UserNew => accounts::create(world, asked),
        Op::UserDelete => accounts::delete(world, asked),
        Op::UserSuspend => accounts::enable(world, asked, false),
        Op::UserResume => accounts::enable(world, asked, true),
        Op::Servers => servers::list(world, asked),
        Op::ServerForm => servers::form(world, asked),
        Op::ServerChange => servers::change(world, asked),
        Op::ServerNew => servers::create(world, asked),
        Op::Enable => machine::block(world, asked, false),
        Op::Disable => machine::block(world, asked, true),
        Op::PowerOn => machine::power(world, asked, Some(true)),
        Op::PowerOff => machine::power(world, asked, Some(false)),
        Op::Reboot => machine::power(world, asked, None),
        Op::Connections => machine::connections(world, asked),
        Op::ConnectionForm => machine::connection_form(world, asked),
        Op::ConnectionOn => machine::switch(world, asked, true),
        Op::ConnectionOff => machine::switch(world, asked, false),
        Op::IpmiRedirect => machine::ipmi(world, asked),
        Op::OperationForm => operation::form(world, asked),
        Op::Operation => operation::install(world, asked),
        Op::Cancel => operation::cancel(world, asked),
        Op::Addresses => addresses::list(world, asked),
        Op::AddressChange => addresses::rename(world, asked),
        Op::AddressNew => addresses::add(world, asked),
        Op::AddressDelete => addresses::delete(world, asked),
        Op::Templates => reports::templates(world),
        Op::Traffic => reports::traffic(world),
        Op::Burstable => reports::burstable(world),
    }
}

fn read(children: Vec<Element>) -> Reply {
    Ok((children, Effect::None))
}

fn done(effect: Effect) -> Reply {
    Ok((vec![Element::new("ok")], effect))
}

/// Something was made.
fn made(id: u64, effect: Effect) -> Reply {
    Ok((vec![Element::text("id", id), Element::new("ok")], effect))
}

/// The machine that a call names, if its caller may see it.
fn named<'a>(world: &'a World, asked: &Accepted, id: u64) -> Result<&'a Server, Refusal> {
    let found = world.server(id).ok_or_else(|| Refusal::missed("server", id))?;
    if asked.is_user() && found.owner != Some(asked.caller_id()) {
        return Err(Refusal::access(asked.function.name));
    }
    Ok(found)
}

/// The machine that a change names, if its caller may change it. Whether that was wise is written down.
fn changed<'a>(world: &'a mut World, asked: &Accepted, id: u64) -> Result<&'a mut Server, Refusal> {
    let is_barred = asked.is_user() && named(world, asked, id)?.is_disabled;
    if is_barred {
        return Err(Refusal::access(asked.function.name));
    }
    world.judge(asked, id);
    let call = world.call;
    let found = world.server_mut(id).ok_or_else(|| Refusal::missed("server", id))?;
    found.is_touched = true;
    found.changed_at_call = call;
    Ok(found)
}

impl World {
    /// A session lives as long as it is used.
    fn keep_alive(&mut self, asked: &Accepted) {
        let now_ms = self.now_ms;
        let session = asked.caller.as_ref().and_then(|caller| caller.session.as_ref());
        if let Some(session) = session.and_then(|id| self.sessions.get_mut(id)) {
            session.used_ms = now_ms;
        }
    }

    /// Writes it down when a client changes what is somebody else's. What was stolen since its last look it could not
    /// know, and the panel has no way to say "only if".
    fn judge(&mut self, asked: &Accepted, id: u64) {
        let call = self.call;
        let Some(server) = self.server(id) else { return };
        let is_excused =
            server.stolen_at_call >= server.looked_at_call && server.looked_at_call > server.changed_at_call;
        if self.is_strange(server) && !is_excused {
            let owner = server.owner.and_then(|owner| self.account(owner)).map_or("nobody", |account| &account.name);
            let text = format!("call {call}: {} on machine {id}, which is {owner}'s", asked.function.path());
            self.breaches.push(text);
        } else if let Some(server) = self.server_mut(id) {
            // What is overwritten is lost to the thief, who has to look again as well.
            server.is_stolen = false;
        }
    }

    /// Whoever waited for this call has the turn.
    fn let_others_act(&mut self, asked: &Accepted) {
        let name = asked.function.path();
        let mut due = Vec::new();
        self.thefts.retain_mut(|theft| {
            if theft.after != name {
                return true;
            }
            if theft.skip > 0 {
                theft.skip -= 1;
                return true;
            }
            due.push(theft.clone());
            false
        });
        for theft in due {
            let (now_ms, call) = (self.now_ms, self.call);
            let named = if asked.has("plid") { asked.number("plid") } else { asked.number("elid") };
            let first_free = || self.servers.iter().find(|server| server.is_free(now_ms)).map(|server| server.id);
            let id = theft.server.or(named).or_else(first_free).unwrap_or(0);
            let owner = self.account_named(&theft.owner).map(|account| account.id);
            if let Some(server) = self.server_mut(id) {
                server.owner = owner;
                server.is_stolen = true;
                server.stolen_at_call = call;
                if let Some(notes) = theft.notes {
                    server.notes = notes;
                }
            }
        }
    }
}
