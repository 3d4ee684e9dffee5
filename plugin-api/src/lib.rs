//! What a Billhook plugin author writes against.
//!
//! A plugin drives one kind of hosting panel. It implements [`Provider`]: one plain async function per hook, and no HTTP
//! client, no runtime, no `unsafe`. For everything it needs it asks the host through [`Cx`]: exchanges with the panel, waiting, the
//! clock, the log. That is why the host can record and mask every exchange, stop and resume a hook at any point, and
//! promise that an effect happens at most once.
//!
//! # Steps
//!
//! A hook's function may run several times for one event. What must happen once is a *step* ([`Cx::step`]), journaled
//! before and after:
//!
//! | ending | the panel has | in doubt |
//! | --- | --- | --- |
//! | [`ensure`](Step::ensure) | a name or key that only we can have made | looks again; makes it after the settle time |
//! | [`given`](Step::given)…[`find`](Differ::find)…[`run`](Findable::run) | none: the difference between before and after tells | `find` decides |
//! | [`once`](Step::once) | nothing that can be asked | a person decides |
//! | [`record`](Step::record) | no part in it: a value made here | made again |
//!
//! A change that sets the same state however often it is sent (suspend) is [`Cx::converge`] instead.
//!
//! # A whole plugin
//!
//! ```
//! use billhook_plugin_api::{
//!     Account, Auth, Change, Create, Cx, Facts, Fault, FaultClass, Find, Hook, Provider, Reply, Request, Secret, Suspend,
//!     Time, every, export_provider, segment, within,
//! };
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! pub struct Toy;
//!
//! #[derive(Deserialize, JsonSchema)]
//! pub struct ToyServer {
//!     /// Made on the panel under Settings, API.
//!     #[allow(dead_code)]
//!     token: Secret<String>,
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! pub struct ToyProduct {
//!     /// Gigabytes.
//!     disk: u32,
//! }
//!
//! #[derive(Deserialize)]
//! struct Machine {
//!     id: u64,
//!     ready: bool,
//!     stopped: bool,
//! }
//!
//! impl Provider for Toy {
//!     const FACTS: Facts = Facts {
//!         convergent: &[Hook::Suspend],
//!         auth: Auth::Bearer { setting: "token" },
//!         ..Facts::new("toy", "Toy panel", &[Hook::Create, Hook::Suspend])
//!     };
//!     type Server = ToyServer;
//!     type Product = ToyProduct;
//!
//!     fn open(_: ToyServer) -> Result<Self, Fault> {
//!         Ok(Self)
//!     }
//!
//!     async fn create(&self, cx: &Cx, request: Create<ToyProduct>) -> Result<Account, Fault> {
//!         let owner = request.service.client_id.clone().unwrap_or_default();
//!         let list = || async {
//!             let reply = cx.http(Request::get("/machines").query("owner", &owner)).await?;
//!             Ok(machines(&reply)?.into_iter().map(|machine| machine.id).collect::<Vec<u64>>())
//!         };
//!         let id: u64 = cx
//!             .step("machine")
//!             .scope(&owner)
//!             .remote_id()
//!             .given(list)
//!             .find(|before: Vec<u64>| async move {
//!                 let fresh: Vec<u64> = list().await?.into_iter().filter(|id| !before.contains(id)).collect();
//!                 Ok(match fresh[..] {
//!                     [] => Find::Absent,
//!                     [id] => Find::Found(id),
//!                     _ => Find::Unknown("more than one new machine".into()),
//!                 })
//!             })
//!             .run(|_, send| {
//!                 let body = json!({ "owner": owner, "disk": request.product.disk });
//!                 async move { Ok(machine(&send.call(Request::post("/machines").json(&body)).await?)?.id) }
//!             })
//!             .await?;
//!         cx.wait_until("ready", every(5.secs()), within(10.mins()), || async { Ok(read(cx, id).await?.ready) }).await?;
//!         Ok(Account { remote_id: id.to_string(), ..Account::default() })
//!     }
//!
//!     async fn suspend(&self, cx: &Cx, request: Suspend<ToyProduct>) -> Result<Change, Fault> {
//!         let id = request.service.remote_id.unwrap_or_default();
//!         if machine(&cx.http(Request::get(format!("/machines/{}", segment(&id)))).await?)?.stopped {
//!             return Ok(Change::noop());
//!         }
//!         cx.converge(|send| async move {
//!             checked(&send.call(Request::post(format!("/machines/{}/stop", segment(&id)))).await?)
//!         })
//!         .await?;
//!         Ok(Change::done())
//!     }
//! }
//!
//! async fn read(cx: &Cx, id: u64) -> Result<Machine, Fault> {
//!     machine(&cx.http(Request::get(format!("/machines/{id}"))).await?)
//! }
//!
//! fn machine(reply: &Reply) -> Result<Machine, Fault> {
//!     checked(reply)?;
//!     reply.json()
//! }
//!
//! fn machines(reply: &Reply) -> Result<Vec<Machine>, Fault> {
//!     checked(reply)?;
//!     reply.json()
//! }
//!
//! /// The one table of the panel's codes. A 422 is refused before anything is done; a 5xx may have done it.
//! fn checked(reply: &Reply) -> Result<(), Fault> {
//!     match reply.status {
//!         200..=299 => Ok(()),
//!         422 => Err(Fault::invalid_input("the panel refused the order").with_code("422").refused()),
//!         404 => Err(Fault::not_found("the panel does not know it").with_code("404").refused()),
//!         code => Err(Fault::new(FaultClass::PanelBug, "the panel failed").with_code(code.to_string())),
//!     }
//! }
//!
//! export_provider!(Toy);
//!
//! // In its tests, against a scripted host: the answer to the order is lost, the machine is found, none is made twice.
//! # fn main() {
//! use billhook_plugin_api::testing::{Ended, ScriptedHost, Scripted, reply};
//!
//! let mut made = 0;
//! let host = ScriptedHost::new(move |request| match (request.method.as_str(), request.path.as_str()) {
//!     ("POST", "/machines") => {
//!         made += 1;
//!         Scripted::Lost
//!     }
//!     ("GET", "/machines") if made == 0 => reply(200, "[]"),
//!     ("GET", "/machines") => reply(200, r#"[{"id":7,"ready":true,"stopped":false}]"#),
//!     _ => reply(200, r#"{"id":7,"ready":true,"stopped":false}"#),
//! });
//! let order = || Create {
//!     service: Default::default(),
//!     client: Default::default(),
//!     product: ToyProduct { disk: 10 },
//!     password: None,
//! };
//!
//! assert_eq!(host.run(async |cx| Toy.create(cx, order()).await), Ended::Settling("machine".into()));
//! let Ended::Ok(account) = host.run(async |cx| Toy.create(cx, order()).await) else { panic!() };
//! assert_eq!(account.remote_id, "7");
//! assert_eq!(host.changes(), ["POST /machines"]);
//! # }
//! ```
//!
//! Build it as `crate-type = ["cdylib"]` under `#![forbid(unsafe_code)]` with `panic = "unwind"`. A plugin must not
//! call `std::process::exit`, set environment variables, install signal handlers, or change the working directory.

#![warn(missing_docs)]

mod cx;
mod fault;
mod hook;
mod http;
mod manifest;
mod members;
mod place;
mod provider;
mod secret;
mod step;

pub mod descriptor;
#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod glue;
pub mod guard;
pub mod protocol;
#[cfg(feature = "testing")]
pub mod testing;

pub use cx::{Cx, Every, SendHandle, Time, Within, every, within};
pub use fault::{Fault, FaultClass, FaultParts};
pub use hook::{
    Account, ActionCall, ActionResult, Addon, Capacity, Change, ChangePackage, ChangePassword, Client, Console,
    ConsoleAccess, Create, Ended, Finding, Hook, ListedAccount, Listing, Login, LoginLink, Measure, OptionValue,
    OrderAddons, PaidUntil, PasswordTarget, Power, PowerAction, Reinstall, Renew, Service, ServiceState, Status,
    StatusReport, Suspend, Terminate, TestReport, Texts, Unsuspend, Usage, UsageReport,
};
pub use http::{Reply, Request, segment};
pub use manifest::{Action, ActionFacts, Auth, AuthScheme, Facts, Manifest, Schemas};
pub use protocol::Settle;
pub use provider::Provider;
pub use schemars;
pub use secret::{SECRET_MARK, Secret};
pub use step::{Differ, Find, Findable, Step, StepName};
