//! Ways in: the panel's login links and a panel user's password.

use super::{data, member, panel_path, post};
use crate::fault;
use crate::owner::Relation;
use billhook_plugin_api::{Fault, Reply, Request, Secret, segment};

fn post_by(relation: &Relation, path: &str) -> Request {
    let request = post(format!("/users/{}/{path}", segment(&relation.to_string())));
    match relation {
        Relation::Id(_) => request,
        Relation::Text(_) => request.query("relStr", "true"),
    }
}

/// "Generate a set of login tokens using a server ID": leads to that server's page.
pub fn login(relation: &Relation, id: u64) -> Request {
    post_by(relation, &format!("serverAuthenticationTokens/{id}"))
}

/// A link that is good once and not for long.
pub struct Link {
    /// A path on the panel's host that holds the keys.
    pub path: String,
    /// Seconds.
    pub ttl_s: Option<u64>,
}

/// Reads the answer to [`login`].
pub fn login_reply(reply: &Reply) -> Result<Link, Fault> {
    fault::check(reply, &[200, 201])?;
    let data = data(reply)?;
    let authentication = &data["authentication"];
    let path = panel_path(&authentication["endpoint_complete"], "data.authentication.endpoint_complete")?;
    Ok(Link { path, ttl_s: member::whole(authentication, "expiry.ttl")? })
}

/// "Change a user password": the panel chooses it.
pub fn reset_login(relation: &Relation) -> Request {
    post_by(relation, "byExtRelation/resetPassword")
}

/// Reads the new password.
pub fn reset_login_reply(reply: &Reply) -> Result<Secret<String>, Fault> {
    fault::check(reply, &[200, 201])?;
    let reset = data(reply)?;
    match reset["password"].as_str() {
        Some(password) if !password.is_empty() => Ok(Secret::new(password.to_owned())),
        _ => Err(member::misfit("password")),
    }
}
