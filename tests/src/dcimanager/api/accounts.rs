//! Who may log in, and how.

use super::super::config::{Account, Level, SessionAs};
use super::super::errors::Refusal;
use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Session, World};
use super::super::view;
use super::super::xml::Element;
use super::{Reply, done, made, read};

/// Shorter keys are refused.
const KEY_LETTERS: usize = 16;

pub(super) fn log_in(world: &mut World, asked: &Accepted) -> Reply {
    let (name, password, key) = (asked.text("username"), asked.text("password"), asked.text("key"));
    let account = world.account_named(name).cloned().ok_or_else(Refusal::bad_password)?;
    world.remember(password);
    world.remember(key);
    // A key is used up by whoever shows it first.
    let is_right = match (password, key) {
        ("", "") => false,
        (password, "") => account.password == password,
        (_, key) => world.keys.remove(key) == Some(account.id),
    };
    if !is_right || !account.enabled {
        return Err(Refusal::bad_password());
    }
    let session = world.secret("ses");
    let held = Session { account: account.id, address: world.client_address, used_ms: world.now_ms };
    world.sessions.insert(session.clone(), held);
    let shown = Element::new("auth").with("level", account.level.number());
    let shown = match world.knobs.manners.session {
        SessionAs::Both => Element { text: session.clone(), ..shown.with("id", &session) },
        SessionAs::Attribute => shown.with("id", &session),
        SessionAs::Text => Element { text: session.clone(), ..shown },
    };
    Ok((vec![shown], Effect::SignedIn(account.id)))
}

pub(super) fn who_am_i(world: &World, asked: &Accepted) -> Reply {
    let account = named(world, asked.caller_id())?;
    let mut user = Element::new("user").with("id", account.id).with("name", &account.name);
    if world.knobs.manners.tells_level {
        user = user.with("level", account.level.number());
    }
    read(vec![user, Element::text("mgr", "dcimgr").with("version", "5.250.2").with("name", "DCImanager")])
}

pub(super) fn new_key(world: &mut World, asked: &Accepted) -> Reply {
    let (name, key) = (asked.text("username"), asked.text("key"));
    world.remember(key);
    if key.len() < KEY_LETTERS {
        return Err(Refusal::value("key", ""));
    }
    let id = world.account_named(name).ok_or_else(|| Refusal::missed("user", name))?.id;
    world.keys.insert(key.to_owned(), id);
    done(Effect::KeyMade(id))
}

pub(super) fn list(world: &World) -> Reply {
    let listed = world.accounts.iter().filter(|account| account.level != Level::Superuser);
    read(view::page(world, listed.map(|account| view::account_row(world, account)).collect()))
}

pub(super) fn form(world: &World, asked: &Accepted) -> Reply {
    let account = named(world, asked.elid())?;
    read(vec![
        Element::text("elid", account.id),
        Element::text("name", &account.name),
        Element::text("level", account.level.number()),
        Element::new("passwd"),
        Element::new("confirm"),
    ])
}

pub(super) fn create(world: &mut World, asked: &Accepted) -> Reply {
    let name = asked.text("name");
    let password = new_password(world, asked)?;
    if !is_name(name) {
        return Err(Refusal::value("name", name));
    }
    if world.account_named(name).is_some() {
        return Err(Refusal::exists("user", name));
    }
    let id = world.next_account_id();
    let made_now = Account { password, ours: true, ..Account::stranger(id, name, Level::User) };
    world.accounts.push(made_now);
    world.made_accounts.insert(id);
    made(id, Effect::AccountCreated(id))
}

pub(super) fn change(world: &mut World, asked: &Accepted) -> Reply {
    let (id, name) = (asked.elid(), asked.text("name").to_owned());
    let account = named(world, id)?.clone();
    let password = new_password(world, asked)?;
    if !is_name(&name) {
        return Err(Refusal::value("name", name));
    }
    if world.account_named(&name).is_some_and(|other| other.id != id) {
        return Err(Refusal::exists("user", name));
    }
    // The form has one level to give away, and an administrator who gets it is none any more.
    let is_demoted = account.level != Level::User;
    if !account.ours || is_demoted || account.name != name {
        let call = world.call;
        let was = &account.name;
        world.breaches.push(format!("call {call}: the account {was} was changed, and is {name} now"));
    }
    if let Some(account) = world.account_mut(id) {
        account.password = password;
        account.name = name;
        account.level = Level::User;
    }
    done(Effect::AccountChanged(id))
}

pub(super) fn delete(world: &mut World, asked: &Accepted) -> Reply {
    let id = asked.elid();
    let account = named(world, id)?.clone();
    if world.servers.iter().any(|server| server.owner == Some(id)) {
        return Err(Refusal::other("in_use", "user"));
    }
    if !account.ours {
        let call = world.call;
        world.breaches.push(format!("call {call}: the account {} was deleted", account.name));
    }
    world.accounts.retain(|account| account.id != id);
    done(Effect::AccountDeleted(id))
}

pub(super) fn enable(world: &mut World, asked: &Accepted, enabled: bool) -> Reply {
    let id = asked.elid();
    let account = named(world, id)?.clone();
    if !account.ours {
        let call = world.call;
        world.breaches.push(format!("call {call}: the account {} was switched", account.name));
    }
    if let Some(account) = world.account_mut(id) {
        account.enabled = enabled;
    }
    done(Effect::AccountChanged(id))
}

fn named(world: &World, id: u64) -> Result<&Account, Refusal> {
    world.account(id).ok_or_else(|| Refusal::missed("user", id))
}

/// The password of a form, which has it twice.
fn new_password(world: &mut World, asked: &Accepted) -> Result<String, Refusal> {
    let password = asked.text("passwd").to_owned();
    world.remember(&password);
    world.remember(asked.text("confirm"));
    if password == asked.text("confirm") { Ok(password) } else { Err(Refusal::value("confirm", "")) }
}

fn is_name(name: &str) -> bool {
    let is_good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-.@".contains(letter);
    name.len() <= 64 && name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(is_good)
}
