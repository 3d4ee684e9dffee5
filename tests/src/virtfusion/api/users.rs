//! Users, found by the relation that ties them to a billing system.

use serde_json::json;

use super::{Reply, missing, read};
use crate::panel::Answer;
use crate::virtfusion::config::Relations;
use crate::virtfusion::ledger::Effect;
use crate::virtfusion::routes::Op;
use crate::virtfusion::rules::Accepted;
use crate::virtfusion::state::{User, World};
use crate::virtfusion::view;

/// How long a login token holds.
const LOGIN_TTL_S: u64 = 60;

pub(super) fn find(world: &mut World, asked: &Accepted) -> Reply {
    let index = index_of(world, asked)?;
    read(Answer::data(200, view::user(&world.users[index])))
}

pub(super) fn create(world: &mut World, asked: &Accepted) -> Reply {
    let (name, email) = (asked.text("name").unwrap_or(""), asked.text("email").unwrap_or(""));
    if !email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')) {
        return Err(Answer::refused("the email must be a valid email address"));
    }
    let rel_str = asked.text("relStr");
    if rel_str.is_some() && world.knobs.relations == Relations::IdsOnly {
        return Err(Answer::refused("the relStr field is not known"));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if rel_str.is_some_and(|text| text.len() > 200 || !text.chars().all(good)) {
        return Err(Answer::refused("the relStr format is invalid"));
    }
    let ext_relation_id = asked.int("extRelationId");
    let users = || world.users.iter().filter(|user| !user.deleted);
    if users().any(|user| user.email.eq_ignore_ascii_case(email)) {
        return Err(Answer::msg(409, "user with specified email already exists"));
    }
    if users().any(|user| {
        (ext_relation_id.is_some() && user.ext_relation_id == ext_relation_id)
            || (rel_str.is_some() && user.rel_str.as_deref() == rel_str)
    }) {
        return Err(Answer::msg(409, "user with specified relation already exists"));
    }
    let password = world.secret("pw");
    let user = User {
        id: world.next_user_id(),
        name: name.into(),
        email: email.into(),
        ext_relation_id,
        rel_str: rel_str.map(str::to_owned),
        self_service: asked.int("selfService").unwrap_or(0),
        password: Some(password.clone()),
        enabled: true,
        deleted: false,
        created_ms: world.now_ms,
        updated_ms: world.now_ms,
        created_at_call: world.call,
    };
    let id = user.id;
    let mut shown = view::user(&user);
    world.users.push(user);
    view::merge(&mut shown, json!({ "password": password }));
    Ok((Answer::data(201, shown), Effect::UserCreated(id)))
}

pub(super) fn change(world: &mut World, asked: &Accepted) -> Reply {
    let index = index_of(world, asked)?;
    let now_ms = world.now_ms;
    if let Some(email) = asked.text("email") {
        let others = world.users.iter().enumerate().filter(|(other, _)| *other != index);
        if others.filter(|(_, user)| !user.deleted).any(|(_, user)| user.email == email) {
            return Err(Answer::msg(409, "user with specified email already exists"));
        }
    }
    let user = &mut world.users[index];
    user.name = asked.text("name").unwrap_or(&user.name).to_owned();
    user.email = asked.text("email").unwrap_or(&user.email).to_owned();
    user.self_service = asked.int("selfService").unwrap_or(user.self_service);
    user.enabled = asked.truth("enabled").unwrap_or(user.enabled);
    user.updated_ms = now_ms;
    let shown = json!({ "name": user.name, "email": user.email, "selfService": user.self_service,
        "enabled": user.enabled });
    Ok((Answer::data(201, shown), Effect::UserChanged(user.id)))
}

pub(super) fn delete(world: &mut World, asked: &Accepted) -> Reply {
    let index = index_of(world, asked)?;
    let id = world.users[index].id;
    if world.servers.iter().any(|server| server.is_live() && server.owner_id == id) {
        return Err(Answer::msg(409, "user owns servers"));
    }
    world.users[index].deleted = true;
    Ok((Answer::empty(204), Effect::UserDeleted(id)))
}

pub(super) fn reset_password(world: &mut World, asked: &Accepted) -> Reply {
    let index = index_of(world, asked)?;
    let password = world.secret("pw");
    let user = &mut world.users[index];
    user.password = Some(password.clone());
    let shown = json!({ "email": user.email, "password": password });
    Ok((Answer::data(201, shown), Effect::UserChanged(user.id)))
}

/// A one-time login, to the panel or to one server of the user.
pub(super) fn login(world: &mut World, asked: &Accepted) -> Reply {
    let index = index_of(world, asked)?;
    let user_id = world.users[index].id;
    if asked.route.op == Op::ServerLogin {
        let server = world.server(asked.id(0)).filter(|server| server.owner_id == user_id);
        server.ok_or_else(|| missing("server"))?;
    }
    let (first, second) = (world.secret("one"), world.secret("two"));
    let expires = view::precise(world.now_ms + LOGIN_TTL_S * 1_000);
    let shown = json!({ "authentication": {
        "tokens": { "1": first, "2": second },
        "endpoint": "/token_authenticate",
        "endpoint_complete": format!("/token_authenticate/?1={first}&2={second}"),
        "expiry": { "ttl": LOGIN_TTL_S, "expires": expires },
    }});
    Ok((Answer::data(200, shown), Effect::LoginIssued(user_id)))
}

fn index_of(world: &World, asked: &Accepted) -> Result<usize, Answer> {
    if asked.query.contains_key("relStr") && world.knobs.relations == Relations::IdsOnly {
        return Err(Answer::refused("the relStr parameter is not known"));
    }
    let relation = asked.relation.as_str();
    let found = world.users.iter().position(|user| {
        !user.deleted
            && match asked.flag("relStr") {
                true => user.rel_str.as_deref() == Some(relation),
                false => user.ext_relation_id.is_some_and(|id| id.to_string() == relation),
            }
    });
    found.ok_or_else(|| Answer::msg(404, "ext_relation_id not found"))
}
