//! Who somebody is: sessions, passwords, and addresses that may not come in.

use super::super::ledger::Effect;
use super::super::rules::Accepted;
use super::super::state::{Identity, Session, World};
use super::super::value::Value;
use super::edit::is_weak;
use super::{Refusal, Reply, done, error, own, told};

pub(super) fn hijack(world: &mut World, asked: &Accepted) -> Reply {
    let name = asked.text("site").unwrap_or_default();
    let gate = asked.text("gate").unwrap_or_else(|| "SOAP".into());
    let user = asked.text("user").filter(|user| !user.is_empty());
    let identity = if name == world.hostname {
        match &asked.caller {
            Identity::Admin { owner } if user.as_ref().is_none_or(|user| user == owner) => asked.caller.clone(),
            _ => return told(Value::Null),
        }
    } else {
        let found = world.resolve(&name).and_then(|(_, ids)| world.site(ids[0]));
        let site = found.ok_or_else(|| error(format!("Unknown domain `{name}'")))?;
        if site.suspension.is_some() && !world.knobs.suspended_login {
            return Err(error("account is suspended"));
        }
        let owner = site.text("siteinfo.admin_user").unwrap_or_default().to_owned();
        if user.as_ref().is_some_and(|user| *user != owner) {
            return told(Value::Null);
        }
        Identity::Site { id: site.id, user: owner }
    };
    let effect = match &identity {
        Identity::Site { id, .. } => Effect::SessionOpened(*id),
        Identity::Admin { .. } => Effect::None,
    };
    let sid = world.secret();
    let ends_ms = world.now_ms + world.knobs.session_ms;
    world.sessions.push(Session { sid: sid.clone(), identity, gate, ends_ms });
    Ok((Value::Text(sid), effect))
}

pub(super) fn change_password(world: &mut World, asked: &Accepted) -> Reply {
    let given = |name: &str| asked.text(name).filter(|text| !text.is_empty());
    let password = asked.text("password").unwrap_or_default();
    world.secrets.push(password.clone());
    let (id, user) = match (&asked.caller, given("user")) {
        (Identity::Site { id, user }, _) => (*id, user.clone()),
        (Identity::Admin { .. }, None) => {
            world.breaches.push("the password of the appliance's administrator was changed".into());
            return done(Effect::AdminPasswordSet);
        }
        (Identity::Admin { .. }, Some(user)) => {
            let missing = error(format!("user `{user}' does not exist"));
            if world.knobs.knows_only_admin_passwords {
                return Err(missing);
            }
            let Some(domain) = given("domain") else { return Err(missing) };
            let found = world.resolve(&domain).map(|(_, ids)| ids[0]);
            let id = found.ok_or_else(|| error(format!("Unknown domain `{domain}'")))?;
            if world.site(id).and_then(|site| site.text("siteinfo.admin_user")) != Some(&*user) {
                return Err(missing);
            }
            (id, user)
        }
    };
    if is_weak(&password) {
        return Err(error("weak password disallowed"));
    }
    world.sessions.retain(|session| session.identity != Identity::Site { id, user: user.clone() });
    match world.site_mut(id) {
        Some(site) if site.password == password => done(Effect::None),
        Some(site) => {
            site.password = password;
            done(Effect::PasswordSet(id))
        }
        None => Err(error("site does not exist")),
    }
}

pub(super) fn reason(world: &World, asked: &Accepted) -> Reply {
    let suspension = own(world, asked).and_then(|site| site.suspension.as_ref());
    let lines = suspension.map_or("", |suspension| &suspension.reason).lines();
    let shown: Vec<&str> = lines.filter(|line| !line.starts_with(['#', ';'])).collect();
    told(Value::text(shown.join("\n")))
}

pub(super) fn session_info(world: &World, asked: &Accepted) -> Reply {
    let (user, domain) = match &asked.caller {
        Identity::Admin { owner } => (owner, ""),
        Identity::Site { id, user } => {
            (user, world.site(*id).and_then(|site| site.text("siteinfo.domain")).unwrap_or_default())
        }
    };
    told(Value::map([("username", Value::text(user)), ("domain", Value::text(domain))]))
}

/// The address that is meant, and the jail if one is.
fn meant(world: &World, asked: &Accepted) -> Result<(String, Option<String>), Refusal> {
    let given = |name: &str| asked.text(name).filter(|text| !text.is_empty());
    let is_site = matches!(asked.caller, Identity::Site { .. });
    if is_site && !world.knobs.site_may_name_addresses && (given("ip").is_some() || given("jail").is_some()) {
        return Err(error("IP address may not be specified if site admin"));
    }
    let ip = given("ip").unwrap_or_else(|| world.own_address.clone());
    if ip.parse::<std::net::IpAddr>().is_err() {
        return Err(error(format!("invalid IP address `{ip}'")));
    }
    Ok((ip, given("jail")))
}

pub(super) fn is_banned(world: &World, asked: &Accepted) -> Reply {
    let (ip, jail) = meant(world, asked)?;
    let found =
        world.bans.iter().any(|(place, banned)| *banned == ip && jail.as_ref().is_none_or(|jail| jail == place));
    told(Value::Bool(found))
}

pub(super) fn unban(world: &mut World, asked: &Accepted) -> Reply {
    let (ip, jail) = meant(world, asked)?;
    let before = world.bans.len();
    world.bans.retain(|(place, banned)| *banned != ip || jail.as_ref().is_some_and(|jail| jail != place));
    done(if world.bans.len() < before { Effect::Unbanned } else { Effect::None })
}
