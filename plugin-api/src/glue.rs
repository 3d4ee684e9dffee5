//! Between the frozen ABI and the [`Provider`] trait: reads heads, calls the hook, writes the outcome.

use crate::cx::Cx;
use crate::fault::Fault;
use crate::guard::{Guarded, Quiet, report_panics};
use crate::hook::{
    Account, ActionCall, ActionResult, Capacity, Change, ChangePackage, ChangePassword, Console, ConsoleAccess, Create,
    Ended, Hook, Listing, Login, LoginLink, OptionValue, OrderAddons, Power, Reinstall, Renew, Service, Status,
    StatusReport, Suspend, Terminate, TestReport, Unsuspend, Usage, UsageReport,
};
use crate::manifest::Manifest;
use crate::place::Misfit;
use crate::protocol::{HookCall, Note, Outcome, op};
use crate::provider::Provider;
use billhook_abi::edge::{FfiFuture, FutureExt, RErr, ROk, RStr, RVec, TD_Opaque};
use billhook_abi::{
    CallError, CallMeta, CallResult, HostObject, Message, PluginObject, PluginPort, PluginPort_TO, code,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
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
            let outcome = match read::<HookCall>(&message.head, "the hook") {
                Ok(call) => dispatch(&**provider, &cx, hook, call).await,
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

/// Calls the hook's function with its typed request.
pub(crate) async fn dispatch<P: Provider>(provider: &P, cx: &Cx, hook: Hook, call: HookCall) -> Result<Outcome, Fault> {
    let mut outcome = Outcome::default();
    carry_out(provider, cx, hook, call, &mut outcome).await.map(|()| outcome)
}

async fn carry_out<P: Provider>(
    provider: &P,
    cx: &Cx,
    hook: Hook,
    call: HookCall,
    outcome: &mut Outcome,
) -> Result<(), Fault> {
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
        Hook::Test => provider.test(cx).await?.tell(outcome),
        Hook::List => provider.list(cx).await?.tell(outcome),
        Hook::Options => {
            let field = field.ok_or_else(|| Fault::invalid_input("options needs the name of a product setting"))?;
            provider.options(cx, &field).await?.tell(outcome)
        }
        Hook::Capacity => provider.capacity(cx, self::product(product)?).await?.tell(outcome),
        Hook::Action => {
            let name = action.ok_or_else(|| Fault::invalid_input("an action needs a name"))?;
            let product = if product.is_null() { None } else { Some(self::product(product)?) };
            provider.action(cx, ActionCall { name, service, product, params }).await?.tell(outcome)
        }
        _ => {
            let service: Service = service.ok_or_else(|| Fault::invalid_input(format!("{hook} needs a service")))?;
            let product = self::product(product)?;
            match hook {
                Hook::Create => {
                    let client = client.unwrap_or_default();
                    provider.create(cx, Create { service, client, product, password }).await?.tell(outcome)
                }
                Hook::Terminate => provider.terminate(cx, Terminate { service, product }).await?.tell(outcome),
                Hook::Console => provider.console(cx, Console { service, product }).await?.tell(outcome),
                Hook::Login => provider.login(cx, Login { service, product }).await?.tell(outcome),
                Hook::Status => provider.status(cx, Status { service, product }).await?.tell(outcome),
                Hook::Usage => provider.usage(cx, Usage { service, product }).await?.tell(outcome),
                Hook::List | Hook::Test | Hook::Options | Hook::Capacity | Hook::Action => {
                    return Err(Fault::plugin_bug("a hook was sent two ways"));
                }
                // What returns a change does so in one place: each place costs a plugin a copy of the whole outcome.
                changing => match changing {
                    Hook::Suspend => provider.suspend(cx, Suspend { service, product, reason }).await,
                    Hook::Unsuspend => provider.unsuspend(cx, Unsuspend { service, product }).await,
                    Hook::Renew => {
                        let paid_until = paid_until.ok_or_else(|| Fault::invalid_input("renew needs paid_until"))?;
                        provider.renew(cx, Renew { service, product, paid_until }).await
                    }
                    Hook::ChangePackage => provider.change_package(cx, ChangePackage { service, product }).await,
                    Hook::ChangePassword => {
                        let request = ChangePassword { service, product, password, target };
                        provider.change_password(cx, request).await
                    }
                    Hook::OrderAddons if addons.is_empty() => Err(Fault::invalid_input("order_addons needs addons")),
                    Hook::OrderAddons => provider.order_addons(cx, OrderAddons { service, product, addons }).await,
                    Hook::Power => {
                        let action = power.ok_or_else(|| Fault::invalid_input("power needs to know what to do"))?;
                        provider.power(cx, Power { service, product, action }).await
                    }
                    Hook::Reinstall => provider.reinstall(cx, Reinstall { service, product, password }).await,
                    other => Err(Fault::plugin_bug(format!("{other} was taken for a change"))),
                }?
                .tell(outcome),
            }
        }
    }
    Ok(())
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

/// What a hook's function returned, put where the host looks for it. Into an outcome that is there already: each outcome that a
/// hook makes and hands on costs a plugin a copy of all its members.
trait Tell {
    fn tell(self, outcome: &mut Outcome);
}

impl Tell for Account {
    fn tell(self, outcome: &mut Outcome) {
        let Self { remote_id, username, ips, properties, secrets, pending, message } = self;
        outcome.remote_id = Some(remote_id);
        outcome.username = username;
        outcome.ips = ips;
        Change { noop: false, properties, secrets, pending, message }.tell(outcome);
    }
}

impl Tell for Change {
    fn tell(self, outcome: &mut Outcome) {
        let Self { noop, properties, secrets, pending, message } = self;
        outcome.noop = noop;
        outcome.properties = properties;
        outcome.secrets = secrets;
        outcome.pending = pending;
        outcome.message = message;
    }
}

impl Tell for Ended {
    fn tell(self, outcome: &mut Outcome) {
        outcome.gone = Some(self == Self::Gone);
        if let Self::EndsAt(unix_ms) = self {
            outcome.ends_at = Some(unix_ms);
        }
    }
}

impl Tell for StatusReport {
    fn tell(self, outcome: &mut Outcome) {
        let Self { state, power, pending, properties } = self;
        outcome.state = Some(state);
        outcome.power = power;
        outcome.pending = pending;
        outcome.properties = properties;
    }
}

impl Tell for ConsoleAccess {
    fn tell(self, outcome: &mut Outcome) {
        let Self { url, password, username, kind, expires_at } = self;
        LoginLink { url, expires_at }.tell(outcome);
        if let Some(password) = password {
            outcome.secrets.insert("password".to_owned(), password);
        }
        outcome.username = username;
        outcome.kind = Some(kind);
    }
}

impl Tell for LoginLink {
    fn tell(self, outcome: &mut Outcome) {
        let Self { url, expires_at } = self;
        outcome.secrets.insert("url".to_owned(), url);
        outcome.expires_at = expires_at;
    }
}

impl Tell for UsageReport {
    fn tell(self, outcome: &mut Outcome) {
        outcome.usage = self.measures;
    }
}

impl Tell for Listing {
    fn tell(self, outcome: &mut Outcome) {
        outcome.accounts = Some(self.accounts);
    }
}

impl Tell for Vec<OptionValue> {
    fn tell(self, outcome: &mut Outcome) {
        outcome.options = Some(self);
    }
}

impl Tell for Capacity {
    fn tell(self, outcome: &mut Outcome) {
        outcome.capacity = Some(self);
    }
}

impl Tell for TestReport {
    fn tell(self, outcome: &mut Outcome) {
        outcome.findings = self.findings;
    }
}

impl Tell for ActionResult {
    fn tell(self, outcome: &mut Outcome) {
        outcome.data = self.data;
        self.change.tell(outcome);
    }
}
