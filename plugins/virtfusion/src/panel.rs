//! What the hooks share: reads of the panel, and the wait for one of its tasks.

use crate::api::guest::Task;
use crate::owner::{self, Relation};
use crate::server::{Resources, Server};
use crate::settings::Product;
use crate::{VirtFusion, api};
use billhook_plugin_api::{Cx, Fault, FaultClass, Reply, Request, Service, Time, every, within};
use std::pin::Pin;

/// The code of a fault that says that a task failed on the panel.
const TASK_FAILED: &str = "task_failed";

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
pub fn find_server(cx: &Cx, id: u64) -> Doing<'_, Option<Server>> {
    Box::pin(async move { api::server_reply(&cx.http(api::server(id)).await?, id) })
}

/// A server that must be there.
pub fn server(cx: &Cx, id: u64) -> Doing<'_, Server> {
    Box::pin(async move { find_server(cx, id).await?.ok_or_else(|| no_such_server(id)) })
}

/// The fault of a server that must be there and is not.
pub fn no_such_server(id: u64) -> Fault {
    Fault::not_found(format!("the panel has no server {id} any more")).with_code("404")
}

/// Something under way that hides what it is. What many hooks await is compiled once this way, and not into each of
/// them.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// A service whose server a hook is about.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    pub panel: &'a VirtFusion,
    pub service: &'a Service,
    pub product: &'a Product,
    /// The panel's id of it.
    pub id: u64,
}

impl<'a> Owned<'a> {
    /// Nothing is read yet.
    pub fn new(panel: &'a VirtFusion, service: &'a Service, product: &'a Product) -> Result<Self, Fault> {
        Ok(Self { panel, service, product, id: server_id(service)? })
    }

    /// The server, read now, which must be there and be the service's.
    pub fn read<'f>(self, cx: &'f Cx) -> Doing<'f, Server>
    where
        'a: 'f,
    {
        Box::pin(async move { self.checked(&cx.http(api::server(self.id)).await?) })
    }

    /// As [`Owned::read`], with what the hypervisor says of it, and with the reply for further reading.
    pub fn read_with_power<'f>(self, cx: &'f Cx) -> Doing<'f, (Server, Reply)>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let reply = cx.http(api::server_with_power(self.id)).await?;
            Ok((self.checked(&reply)?, reply))
        })
    }

    /// Refuses a server that is somebody else's.
    pub fn check(self, server: &Server) -> Result<(), Fault> {
        owner::check(server, self.service, self.product, self.panel.user_relation)
    }

    /// The customer's link to a panel user. There is none where all customers share one.
    pub fn relation(self, what: &str) -> Result<Relation, Fault> {
        if self.product.virtfusion_user_id.is_some() {
            return Err(Fault::unsupported(&format!(
                "{what} of a product with virtfusion_user_id: its servers have one owner, who is not the customer"
            )));
        }
        Relation::of(self.service, self.panel.user_relation, self.panel.relation_prefix.as_deref())
    }

    fn checked(self, reply: &Reply) -> Result<Server, Fault> {
        let server = api::server_reply(reply, self.id)?.ok_or_else(|| no_such_server(self.id))?;
        self.check(&server)?;
        Ok(server)
    }
}

/// A server that must be idle now, so that what is under way later is ours.
pub fn idle(server: &Server) -> Result<(), Fault> {
    if server.is_busy {
        return Err(Fault::new(FaultClass::ConflictBusy, format!("the panel is at work on server {}", server.id)));
    }
    Ok(())
}

/// The user of that relation.
pub fn find_user<'f>(cx: &'f Cx, relation: &'f Relation) -> Doing<'f, Option<u64>> {
    Box::pin(async move { api::user_reply(&cx.http(api::user(relation)).await?, relation) })
}

/// The ids of a user's servers.
pub fn servers_of(cx: &Cx, user: u64) -> Doing<'_, Vec<u64>> {
    Box::pin(async move { api::servers_of_reply(&cx.http(api::servers_of(user)).await?) })
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

/// Waits until a task of the panel is over, if there is one.
pub fn wait_for_task<'f>(cx: &'f Cx, name: &'static str, task: Option<u64>) -> Doing<'f, ()> {
    Box::pin(async move {
        let Some(task) = task else { return Ok(()) };
        cx.wait_until(name, every(3.secs()), within(5.mins()), || async move {
            match api::guest::task_reply(&cx.http(api::guest::task(task)).await?)? {
                Task::Over => Ok(true),
                Task::Running => Ok(false),
                Task::Failed(why) => {
                    let why = why.unwrap_or_else(|| "it does not say why".to_owned());
                    Err(Fault::panel_bug(format!("task {task} failed on the panel: {why}")).with_code(TASK_FAILED))
                }
            }
        })
        .await
    })
}

/// What a look at the server says is to be sent; nothing, if it is so already.
pub type Next<'a> = &'a (dyn Fn(&Server) -> Result<Option<Request>, Fault> + Send + Sync);

/// The step of a change that sets a state of the server: it looks, and sends what is needed for it. In doubt it looks
/// again, and what is sent a second time sets the same. Whether anything was sent.
pub fn adjust<'f>(cx: &'f Cx, step: &'static str, owned: Owned<'f>, next: Next<'f>) -> Doing<'f, bool> {
    Box::pin(cx.step(step).ensure(move |send| async move {
        let Some(request) = next(&owned.read(cx).await?)? else { return Ok(false) };
        let reply = send.call(request).await?;
        api::resources::changed(&reply)?;
        for line in api::resources::info(&reply) {
            cx.note(line);
        }
        Ok(true)
    }))
}
