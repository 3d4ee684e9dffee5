//! Between the frozen ABI and the [`Provider`] trait: reads heads, calls the hook, writes the outcome.

use crate::cx::Cx;
use crate::fault::Fault;
use crate::guard::{Guarded, Quiet, report_panics};
use crate::hook::{
    Account, ActionCall, ActionResult, Change, ChangePackage, ChangePassword, Console, ConsoleAccess, Create, Ended,
    Hook, Listing, Login, LoginLink, OptionValue, OrderAddons, Power, Reinstall, Renew, Service, Status, StatusReport,
    Suspend, Terminate, TestReport, Unsuspend, Usage, UsageReport,
};
use crate::manifest::Manifest;
use crate::place::Misfit;
use crate::protocol::{HookCall, Note, Outcome, op};
use crate::provider::Provider;
use crate::secret::Secret;
use billhook_abi::edge::{FfiFuture, FutureExt, RErr, ROk, RStr, RVec, TD_Opaque};
use billhook_abi::{
    CallError, CallMeta, CallResult, HostObject, Message, PluginObject, PluginPort, PluginPort_TO, code,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The manifest as JSON.
#[doc(hidden)]
pub fn manifest_text<P: Provider>() -> String {
    serde_json::to_string(&Manifest::of::<P>()).unwrap_or_default()
}

/// Makes the provider for one server and hides it behind the ABI.
#[doc(hidden)]
pub fn open<P: Provider>(host: HostObject, settings: RVec<u8>) -> CallResult<PluginObject> {
    let reporter = host.clone();
    report_panics(move |panic| {
        let place = panic.place.map(|place| format!(" at {place}")).unwrap_or_default();
        if let Ok(head) = serde_json::to_string(&Note { text: format!("{}{place}", panic.text) }) {
            reporter.emit(panic.call_id, RStr::from(op::PANIC), RStr::from(head.as_str()));
        }
    });
    let opened = read::<P::Server>(&settings, "the server's settings").and_then(P::open);
    match opened {
        Ok(provider) => {
            let adapter = Adapter { provider: Arc::new(Quiet::new(provider)), host };
            ROk(PluginPort_TO::from_value(adapter, TD_Opaque))
        }
        Err(fault) => RErr(error(&fault)),
    }
}

struct Adapter<P> {
    provider: Arc<Quiet<P>>,
    host: HostObject,
}

impl<P: Provider> PluginPort for Adapter<P> {
    fn call(&self, meta: CallMeta, op: RStr<'_>, message: Message) -> FfiFuture<CallResult<Message>> {
        let (provider, host, op) = (Arc::clone(&self.provider), self.host.clone(), op.to_string());
        // No code of the author runs outside of this future's poll, where panics are caught.
        Guarded::new(meta.call_id, async move {
            let cx = Cx::new(host, meta);
            let Some(hook) = Hook::parse(&op) else {
                return RErr(CallError::new(code::UNKNOWN_OPERATION, format!("no operation {op}")));
            };
            let asked = read::<HookCall>(&message.head, "the hook").and_then(|call| asked(hook, call));
            let outcome = match asked {
                Ok(asked) => dispatch(&**provider, &cx, asked).await,
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(outcome) => match serde_json::to_vec(&outcome) {
                    Ok(head) => ROk(Message { head: head.into(), body: RVec::new() }),
                    Err(cause) => RErr(error(&Fault::plugin_bug(format!("the outcome cannot be written: {cause}")))),
                },
                Err(fault) => RErr(error(&fault)),
            }
        })
        .into_ffi()
    }
}

/// A hook with its typed request.
enum Asked<P> {
    Create(Create<P>),
    Suspend(Suspend<P>),
    Unsuspend(Unsuspend<P>),
    Terminate(Terminate<P>),
    Renew(Renew<P>),
    ChangePackage(ChangePackage<P>),
    ChangePassword(ChangePassword<P>),
    OrderAddons(OrderAddons<P>),
    Power(Power<P>),
    Reinstall(Reinstall<P>),
    Console(Console<P>),
    Login(Login<P>),
    Status(Status<P>),
    Usage(Usage<P>),
    List,
    Test,
    Options(String),
    Action(ActionCall<P>),
}

/// Makes the typed request of a hook. Apart from [`dispatch`], so that what a hook has no use for is gone before its
/// function begins: held by a future, each of these would have to be let go of at every place where it can end.
fn asked<P: DeserializeOwned>(hook: Hook, call: HookCall) -> Result<Asked<P>, Fault> {
    let HookCall {
        service,
        client,
        product,
        password,
        paid_until,
        reason,
        action,
        params,
        addons,
        power,
        target,
        field,
    } = call;
    match hook {
        Hook::Test => return Ok(Asked::Test),
        Hook::List => return Ok(Asked::List),
        Hook::Options => {
            let field = field.ok_or_else(|| Fault::invalid_input("options needs the name of a product setting"))?;
            return Ok(Asked::Options(field));
        }
        Hook::Action => {
            let name = action.ok_or_else(|| Fault::invalid_input("an action needs a name"))?;
            let product = if product.is_null() { None } else { Some(self::product(product)?) };
            return Ok(Asked::Action(ActionCall { name, service, product, params }));
        }
        _ => {}
    }
    let service: Service = service.ok_or_else(|| Fault::invalid_input(format!("{hook} needs a service")))?;
    let product = self::product(product)?;
    Ok(match hook {
        Hook::Create => Asked::Create(Create { service, client: client.unwrap_or_default(), product, password }),
        Hook::Suspend => Asked::Suspend(Suspend { service, product, reason }),
        Hook::Unsuspend => Asked::Unsuspend(Unsuspend { service, product }),
        Hook::Terminate => Asked::Terminate(Terminate { service, product }),
        Hook::Renew => {
            let paid_until = paid_until.ok_or_else(|| Fault::invalid_input("renew needs paid_until"))?;
            Asked::Renew(Renew { service, product, paid_until })
        }
        Hook::ChangePackage => Asked::ChangePackage(ChangePackage { service, product }),
        Hook::ChangePassword => Asked::ChangePassword(ChangePassword { service, product, password, target }),
        Hook::OrderAddons if addons.is_empty() => return Err(Fault::invalid_input("order_addons needs addons")),
        Hook::OrderAddons => Asked::OrderAddons(OrderAddons { service, product, addons }),
        Hook::Power => {
            let action = power.ok_or_else(|| Fault::invalid_input("power needs to know what to do"))?;
            Asked::Power(Power { service, product, action })
        }
        Hook::Reinstall => Asked::Reinstall(Reinstall { service, product, password }),
        Hook::Console => Asked::Console(Console { service, product }),
        Hook::Login => Asked::Login(Login { service, product }),
        Hook::Status => Asked::Status(Status { service, product }),
        Hook::Usage => Asked::Usage(Usage { service, product }),
        Hook::List | Hook::Test | Hook::Options | Hook::Action => {
            return Err(Fault::plugin_bug("a hook was sent two ways"));
        }
    })
}

/// Calls the hook's function.
async fn dispatch<P: Provider>(provider: &P, cx: &Cx, asked: Asked<P::Product>) -> Result<Outcome, Fault> {
    // What returns a change does so in one place: each place costs a plugin a copy of the whole outcome.
    let change = match asked {
        Asked::Create(request) => return provider.create(cx, request).await.map(Outcome::from),
        Asked::Terminate(request) => return provider.terminate(cx, request).await.map(Outcome::from),
        Asked::Console(request) => return provider.console(cx, request).await.map(Outcome::from),
        Asked::Login(request) => return provider.login(cx, request).await.map(Outcome::from),
        Asked::Status(request) => return provider.status(cx, request).await.map(Outcome::from),
        Asked::Usage(request) => return provider.usage(cx, request).await.map(Outcome::from),
        Asked::List => return provider.list(cx).await.map(Outcome::from),
        Asked::Test => return provider.test(cx).await.map(Outcome::from),
        Asked::Options(field) => return provider.options(cx, &field).await.map(Outcome::from),
        Asked::Action(request) => return provider.action(cx, request).await.map(Outcome::from),
        Asked::Suspend(request) => provider.suspend(cx, request).await,
        Asked::Unsuspend(request) => provider.unsuspend(cx, request).await,
        Asked::Renew(request) => provider.renew(cx, request).await,
        Asked::ChangePackage(request) => provider.change_package(cx, request).await,
        Asked::ChangePassword(request) => provider.change_password(cx, request).await,
        Asked::OrderAddons(request) => provider.order_addons(cx, request).await,
        Asked::Power(request) => provider.power(cx, request).await,
        Asked::Reinstall(request) => provider.reinstall(cx, request).await,
    };
    change.map(Outcome::from)
}

fn product<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    // As text again, so that settings are read by one deserializer, and what does not fit has a place.
    let text = serde_json::to_vec(&value).unwrap_or_default();
    read(&text, "the product's settings")
}

fn read<T: DeserializeOwned>(text: &[u8], what: &str) -> Result<T, Fault> {
    // The error's own text may quote a value, and settings hold secrets.
    serde_json::from_slice(text)
        .map_err(|error| Fault::invalid_input(format!("{what} do not fit at {}", Misfit::of(text, &error))))
}

fn error(fault: &Fault) -> CallError {
    CallError::new(code::FAULT, fault.staff.clone()).with_details(serde_json::to_vec(fault).unwrap_or_default())
}

impl From<Account> for Outcome {
    fn from(account: Account) -> Self {
        let Account { remote_id, username, ips, properties, secrets, pending, message } = account;
        Self { remote_id: Some(remote_id), username, ips, properties, secrets, pending, message, ..Self::default() }
    }
}

impl From<Change> for Outcome {
    fn from(change: Change) -> Self {
        let Change { noop, properties, secrets, pending, message } = change;
        Self { noop, properties, secrets, pending, message, ..Self::default() }
    }
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Gone => Self { gone: Some(true), ..Self::default() },
            Ended::EndsAt(unix_ms) => Self { gone: Some(false), ends_at: Some(unix_ms), ..Self::default() },
        }
    }
}

impl From<StatusReport> for Outcome {
    fn from(report: StatusReport) -> Self {
        let StatusReport { state, power, pending, properties } = report;
        Self { state: Some(state), power, pending, properties, ..Self::default() }
    }
}

impl From<ConsoleAccess> for Outcome {
    fn from(access: ConsoleAccess) -> Self {
        let ConsoleAccess { url, password, username, kind, expires_at } = access;
        let mut secrets = link_secrets(url);
        if let Some(password) = password {
            secrets.insert("password".to_owned(), password);
        }
        Self { secrets, username, kind: Some(kind), expires_at, ..Self::default() }
    }
}

/// Put in one by one: a map that is made from a list brings a sort of its own into every plugin.
fn link_secrets(url: Secret<String>) -> BTreeMap<String, Secret<String>> {
    let mut secrets = BTreeMap::new();
    secrets.insert("url".to_owned(), url);
    secrets
}

impl From<LoginLink> for Outcome {
    fn from(link: LoginLink) -> Self {
        let LoginLink { url, expires_at } = link;
        Self { secrets: link_secrets(url), expires_at, ..Self::default() }
    }
}

impl From<UsageReport> for Outcome {
    fn from(report: UsageReport) -> Self {
        Self { usage: report.measures, ..Self::default() }
    }
}

impl From<Listing> for Outcome {
    fn from(listing: Listing) -> Self {
        Self { accounts: Some(listing.accounts), ..Self::default() }
    }
}

impl From<Vec<OptionValue>> for Outcome {
    fn from(values: Vec<OptionValue>) -> Self {
        Self { options: Some(values), ..Self::default() }
    }
}

impl From<TestReport> for Outcome {
    fn from(report: TestReport) -> Self {
        Self { findings: report.findings, ..Self::default() }
    }
}

impl From<ActionResult> for Outcome {
    fn from(result: ActionResult) -> Self {
        Self { data: result.data, ..Self::from(result.change) }
    }
}
