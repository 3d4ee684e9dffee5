//! `billhook hook`: sends a hook as a billing platform would, and waits for what comes of it.

use super::answer::{Answer, Exit};
use super::client::{Call, Client, Reply, SOON};
use super::complaint::{WrongUse, failure_text};
use super::follow::{self, LOOK};
use super::operation;
use crate::request::{HookBody, ProductBody, ServiceBody};
use crate::views::HookAnswer;
use billhook_plugin_api::{Addon, Client as Customer, Hook, PaidUntil, PasswordTarget, PowerAction, Secret};
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A body that is longer is refused by the daemon as well.
const MAX_BODY_BYTES: u64 = 16 << 20;

#[derive(Debug, Args)]
pub(super) struct HookArgs {
    /// Which hook
    #[arg(value_name = "NAME", value_parser = hook_parser())]
    name: Hook,
    /// The platform's id of the service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// The platform to speak for; needed where several are configured
    #[arg(long)]
    platform: Option<String>,
    /// What was bought, for create
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// Laid over the product's settings; JSON, or else a text
    #[arg(long = "option", value_name = "NAME=VALUE", requires = "product", value_parser = option)]
    options: Vec<(String, Value)>,
    /// The platform's id of the customer
    #[arg(long, value_name = "ID", requires = "service")]
    client_id: Option<String>,
    /// The customer
    #[arg(long, value_name = "NAME")]
    client_name: Option<String>,
    /// The customer's address for mail
    #[arg(long)]
    email: Option<String>,
    /// Domain or host name of the service
    #[arg(long, requires = "service")]
    domain: Option<String>,
    /// A login that the platform chose
    #[arg(long, requires = "service")]
    username: Option<String>,
    /// For renew: until when it was paid, YYYY-MM-DD
    #[arg(long, value_name = "DATE", requires = "paid_to")]
    paid_from: Option<String>,
    /// For renew: until when it is paid now, YYYY-MM-DD
    #[arg(long, value_name = "DATE", requires = "paid_from")]
    paid_to: Option<String>,
    /// For suspend: why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// For power: what to do
    #[arg(long, value_name = "ACTION", value_parser = power_parser())]
    power: Option<PowerAction>,
    /// For order_addons: the panel's id of one, as often as there are; `ID=2` for two of it
    #[arg(long = "addon", value_name = "ID[=N]", value_parser = addon)]
    addons: Vec<Addon>,
    /// For change_password: whose
    #[arg(long, value_name = "WHOSE", value_parser = target)]
    target: Option<PasswordTarget>,
    /// For create, change_password and reinstall: a file with the new password; `-` is stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// For reinstall: what is on the machine may be lost
    #[arg(long)]
    confirm: bool,
    /// For options: the product setting whose values are asked for
    #[arg(long, value_name = "NAME", requires = "server")]
    field: Option<String>,
    /// For test, list and options: which server
    #[arg(long)]
    server: Option<String>,
    /// For action: its name in the provider's manifest
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// For action: its parameters
    #[arg(long, value_name = "JSON", requires = "action", value_parser = params)]
    params: Option<Value>,
    /// Names the event: a repeat with the same key is answered by the first
    #[arg(long)]
    key: Option<String>,
    /// Send this JSON body instead; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "service", "product", "options", "client_id", "client_name", "email", "domain", "username", "paid_from",
        "paid_to", "reason", "server", "action", "params", "power", "addons", "target", "password_file", "confirm", "field",
    ])]
    body: Option<PathBuf>,
    /// How long to wait for the end; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

fn hook_parser() -> impl TypedValueParser<Value = Hook> {
    // The list is the list of hooks, so every word parses.
    PossibleValuesParser::new(Hook::ALL.map(Hook::as_str)).try_map(|word| Hook::parse(&word).ok_or("no hook"))
}

/// `os=debian-12`, `extra_ipv4=1`, `tags=["a"]`; what is no JSON is a text, so `zip=007` stays one.
fn option(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
        }
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

fn power_parser() -> impl TypedValueParser<Value = PowerAction> {
    PossibleValuesParser::new(PowerAction::ALL.map(PowerAction::as_str))
        .try_map(|word| PowerAction::parse(&word).ok_or("no action"))
}

fn addon(text: &str) -> Result<Addon, String> {
    let (id, quantity) = text.split_once('=').unwrap_or((text, "1"));
    let quantity = quantity.parse().map_err(|_| "the number of it is no number".to_owned())?;
    Ok(Addon { id: id.to_owned(), quantity })
}

fn target(text: &str) -> Result<PasswordTarget, String> {
    serde_json::from_value(Value::from(text)).map_err(|_| "account or root".to_owned())
}

fn params(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// Sends the hook and waits.
///
/// # Errors
///
/// A body that cannot be read, a daemon that is not there or refuses.
pub(super) async fn run(client: &Client, args: &HookArgs) -> anyhow::Result<Answer> {
    let body = match &args.body {
        Some(file) => read_body(file)?,
        None => serde_json::to_vec(&HookBody { password: password(args)?, ..body(args) })?,
    };
    let wait = Duration::from_secs(args.wait);
    let call = Call::post(&["v1", "hooks", args.name.as_str()], body)
        .header("idempotency-key", args.key.as_ref())
        .header("billhook-platform", args.platform.as_ref())
        .header("prefer", Some(format!("wait={}", wait.min(LOOK).as_secs())))
        // A hook that only reads is answered when the panel has answered, however short the wait.
        .within(wait.max(Duration::from_secs(120)) + SOON);
    let reply = client.send(call).await?;
    let reply = follow::until_settled(client, reply, wait).await?;
    answer(reply)
}

/// What came of a hook, as it stands in a reply.
pub(super) fn answer(reply: Reply) -> anyhow::Result<Answer> {
    if let Some(failure) = &reply.failure {
        let text = failure_text(failure);
        return Ok(Answer::new(text, reply.json, Exit::Failed));
    }
    let view: HookAnswer = reply.view()?;
    let exit = view.operation.as_ref().map_or(Exit::Done, |operation| operation::exit(operation.state));
    let is_bad = view.result.as_ref().is_some_and(|result| result.findings.iter().any(|finding| !finding.ok));
    let exit = if is_bad { Exit::Failed } else { exit };
    Ok(Answer::new(operation::answer_text(&view), reply.json, exit))
}

/// The body that the arguments describe. Whether the hook takes it is for the daemon to say.
fn body(args: &HookArgs) -> HookBody {
    let service = args.service.clone().map(|id| ServiceBody {
        id,
        client_id: args.client_id.clone(),
        username: args.username.clone(),
        domain: args.domain.clone(),
    });
    let client = (args.client_name.is_some() || args.email.is_some()).then(|| Customer {
        name: args.client_name.clone().unwrap_or_default(),
        email: args.email.clone().unwrap_or_default(),
        ..Customer::default()
    });
    let options: Map<String, Value> = args.options.iter().cloned().collect();
    let paid_until = args.paid_from.clone().zip(args.paid_to.clone()).map(|(from, to)| PaidUntil { from, to });
    HookBody {
        service,
        server: args.server.clone(),
        client,
        product: args.product.clone().map(|id| ProductBody { id, options }),
        password: None,
        paid_until,
        reason: args.reason.clone(),
        action: args.action.clone(),
        params: args.params.clone().unwrap_or_default(),
        addons: args.addons.clone(),
        power: args.power,
        target: args.target,
        confirm: args.confirm,
        field: args.field.clone(),
    }
}

/// The password in its file, without the line's end.
fn password(args: &HookArgs) -> Result<Option<Secret<String>>, WrongUse> {
    let Some(file) = &args.password_file else { return Ok(None) };
    let text = String::from_utf8(read_body(file)?)
        .map_err(|_| WrongUse::new(format!("the password in {} is not UTF-8", file.display()), "write it as text"))?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

fn read_body(file: &Path) -> Result<Vec<u8>, WrongUse> {
    let read = |source: &mut dyn Read| {
        let mut bytes = Vec::new();
        source.take(MAX_BODY_BYTES).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = if file == Path::new("-") {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(file).and_then(|mut file| read(&mut file))
    };
    bytes.map_err(|error| {
        WrongUse::new(format!("cannot read the body {}: {error}", file.display()), "name a file with JSON, or -")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: HookArgs,
    }

    fn parse(line: &str) -> Result<HookArgs, clap::Error> {
        Line::try_parse_from(std::iter::once("hook").chain(line.split(' '))).map(|line| line.args)
    }

    #[test]
    fn arguments_become_the_body_that_a_platform_would_send() {
        for (line, expected) in [
            (
                "create --service 7 --product vps --option os=debian-12 --option n=2 --option zip=007 --option on=true \
                 --client-id 3 --client-name Acme --email a@x.example --domain d.example --username acme",
                json!({
                    "service": { "id": "7", "client_id": "3", "username": "acme", "domain": "d.example" },
                    "client": { "name": "Acme", "email": "a@x.example" },
                    "product": { "id": "vps", "options": { "os": "debian-12", "n": 2, "zip": "007", "on": true } },
                }),
            ),
            (
                "renew --service 7 --paid-from 2026-01-01 --paid-to 2027-01-01",
                json!({ "service": { "id": "7" }, "paid_until": { "from": "2026-01-01", "to": "2027-01-01" } }),
            ),
            ("suspend --service 7 --reason unpaid", json!({ "service": { "id": "7" }, "reason": "unpaid" })),
            ("test --server a", json!({ "server": "a" })),
            ("options --server a --field plan", json!({ "server": "a", "field": "plan" })),
            ("power --service 7 --power reboot", json!({ "service": { "id": "7" }, "power": "reboot" })),
            (
                "order_addons --service 7 --addon 12 --addon ip=2",
                json!({
                    "service": { "id": "7" }, "addons": [{ "id": "12", "quantity": 1 }, { "id": "ip", "quantity": 2 }],
                }),
            ),
            ("change_password --service 7 --target root", json!({ "service": { "id": "7" }, "target": "root" })),
            ("reinstall --service 7 --confirm", json!({ "service": { "id": "7" }, "confirm": true })),
            (
                r#"action --service 7 --action boot --params {"force":true}"#,
                json!({ "service": { "id": "7" }, "action": "boot", "params": { "force": true } }),
            ),
        ] {
            let sent = body(&parse(line).unwrap());

            let mut json = serde_json::to_value(&sent).unwrap();
            if let Some(client) = json.get_mut("client").and_then(Value::as_object_mut) {
                client.retain(|_, value| !value.is_null());
            }
            assert_eq!(json, expected, "{line}");
            sent.check(parse(line).unwrap().name).unwrap();
        }
    }

    #[test]
    fn arguments_that_contradict_each_other_are_wrong_use() {
        for line in [
            "explode --service 7",
            "create --service 7 --option os=x",
            "create --service 7 --product p --option os",
            "create --service 7 --product p --option =x",
            "renew --service 7 --paid-to 2027-01-01",
            "suspend --domain d",
            "action --service 7 --params {}",
            "action --service 7 --action a --params {",
            "create --body b.json --service 7",
            "power --service 7 --power explode",
            "order_addons --service 7 --addon 12=many",
            "change_password --service 7 --target nobody",
            "create --wait soon --service 7",
            "",
        ] {
            let error = parse(line).err().map(|error| error.exit_code());
            assert_eq!(error, Some(2), "{line}");
        }
    }

    #[test]
    fn what_came_of_it_decides_how_the_command_ends() {
        let reply = |json: Value| Reply { json, failure: None };
        let test =
            |ok: bool| json!({ "result": { "findings": [{ "name": "n", "ok": ok, "text": "t" }] }, "log_ref": "rd_1" });

        assert_eq!(answer(reply(test(true))).unwrap().exit, Exit::Done);
        assert_eq!(answer(reply(test(false))).unwrap().exit, Exit::Failed);
        assert!(answer(reply(json!({ "colour": 1 }))).is_err());
    }
}
