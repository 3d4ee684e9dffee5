//! The reads that the hooks share.

use crate::api;
use crate::owner::Relation;
use crate::server::{Resources, Server};
use billhook_plugin_api::{Cx, Fault, FaultClass, Service};

/// The panel's id of a service's server.
pub fn server_id(service: &Service) -> Result<u64, Fault> {
    let id = service.remote_id.as_deref().ok_or_else(|| {
        Fault::not_found("the service has no server id: look for its server on the panel, and enter the id at the service if there is one")
    })?;
    id.parse().map_err(|_| {
        Fault::invalid_input(
            "the service's server id is not a number: enter the number that the panel's admin area shows",
        )
    })
}

/// A server; `None` when the panel says in words that it has none.
pub async fn find_server(cx: &Cx, id: u64) -> Result<Option<Server>, Fault> {
    api::server_reply(&cx.http(api::server(id)).await?, id)
}

/// A server that must be there.
pub async fn server(cx: &Cx, id: u64) -> Result<Server, Fault> {
    find_server(cx, id).await?.ok_or_else(|| no_such_server(id))
}

/// The fault of a server that must be there and is not.
pub fn no_such_server(id: u64) -> Fault {
    Fault::not_found(format!("the panel has no server {id} any more")).with_code("404")
}

/// The user of that relation.
pub async fn find_user(cx: &Cx, relation: &Relation) -> Result<Option<u64>, Fault> {
    api::user_reply(&cx.http(api::user(relation)).await?, relation)
}

/// The ids of a user's servers.
pub async fn servers_of(cx: &Cx, user: u64) -> Result<Vec<u64>, Fault> {
    api::servers_of_reply(&cx.http(api::servers_of(user)).await?)
}

/// What a package holds; `None` when it cannot be read for good, since that is only a help.
pub async fn package(cx: &Cx, id: u64) -> Result<Option<Resources>, Fault> {
    let reply = cx.http(api::package(id)).await?;
    match crate::fault::of(&reply) {
        Some(fault)
            if matches!(fault.class, FaultClass::InDoubt | FaultClass::RateLimited | FaultClass::ConflictBusy) =>
        {
            Err(fault)
        }
        _ => Ok(api::package_resources(&reply)),
    }
}
