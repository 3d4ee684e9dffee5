//! Billhook's sandbox: a provider without a panel. What its hooks do is written in the settings of the product.
//!
//! It is the plugin to read first, to try the daemon with, and to measure the daemon by. `settings` is what an operator
//! sets, `api` the calls to a server that merely answers, `script` what a product's settings make of a hook. The hooks
//! themselves are here.

#![forbid(unsafe_code)]

mod api;
mod script;
mod settings;

use billhook_plugin_api::{
    Account, ActionCall, ActionFacts, ActionResult, Capacity, Change, ChangePackage, ChangePassword, Console,
    ConsoleAccess, Create, Cx, Ended, Facts, Fault, Finding, Hook, Listing, Login, LoginLink, Measure, OptionValue,
    OrderAddons, Power, PowerAction, Provider, Reinstall, Renew, Secret, Status, StatusReport, Suspend, Terminate,
    TestReport, Unsuspend, Usage, UsageReport, export_provider,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;
use settings::{Product, Server};

/// The provider. A real one holds here what `open` made of the server's settings.
pub struct Sandbox;

/// Of the actions: what to say or to note.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

impl Provider for Sandbox {
    const FACTS: Facts = Facts {
        convergent: &[
            Hook::Suspend,
            Hook::Unsuspend,
            Hook::Renew,
            Hook::ChangePackage,
            Hook::ChangePassword,
            // Of its actions those that set a state; the host knows which.
            Hook::Power,
        ],
        actions: &[
            ActionFacts { name: "echo", title: "Say it back", changes: false, params: || schema_for!(Text) },
            ActionFacts { name: "label", title: "Note it on the service", changes: true, params: || schema_for!(Text) },
        ],
        options: &["fail", "state"],
        // One that has not every hook lists those that it has.
        ..Facts::new("sandbox", "Sandbox", &Hook::ALL)
    };
    type Server = Server;
    type Product = Product;

    fn open(_: Server) -> Result<Self, Fault> {
        Ok(Self)
    }

    async fn create(&self, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
        script::create(cx, request).await
    }

    async fn suspend(&self, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
        script::converge(cx, "suspend", &request.service, &request.product).await?;
        script::changed(&request.product, json!({ "state": "suspended", "reason": request.reason }))
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        script::converge(cx, "unsuspend", &request.service, &request.product).await?;
        // `null` removes a property.
        script::changed(&request.product, json!({ "state": "active", "reason": null }))
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        script::terminate(cx, request).await
    }

    async fn renew(&self, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
        script::converge(cx, "renew", &request.service, &request.product).await?;
        script::changed(&request.product, json!({ "paid_until": request.paid_until.to }))
    }

    async fn change_package(&self, cx: &Cx, request: ChangePackage<Product>) -> Result<Change, Fault> {
        // `product` is what the service is to become.
        script::converge(cx, "package", &request.service, &request.product).await?;
        script::changed(&request.product, json!({}))
    }

    async fn change_password(&self, cx: &Cx, request: ChangePassword<Product>) -> Result<Change, Fault> {
        let ChangePassword { service, product, password, .. } = request;
        product.check()?;
        // Chosen before it is sent, so that a repeated change sets the same one.
        let password = script::password(cx, password.as_ref()).await?;
        script::converge(cx, "password", &service, &product).await?;
        Ok(Change { secrets: [("password".to_owned(), password)].into(), ..script::changed(&product, json!({}))? })
    }

    async fn order_addons(&self, cx: &Cx, request: OrderAddons<Product>) -> Result<Change, Fault> {
        script::once(cx, "addons", &request.service, &request.product).await?;
        let addons: Vec<_> = request.addons.iter().map(|addon| format!("{} x {}", addon.quantity, addon.id)).collect();
        script::changed(&request.product, json!({ "addons": addons }))
    }

    async fn power(&self, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
        let Power { service, product, action } = request;
        if action.is_convergent() {
            script::converge(cx, action.as_str(), &service, &product).await?;
        } else {
            script::once(cx, action.as_str(), &service, &product).await?;
        }
        let is_off = matches!(action, PowerAction::Stop | PowerAction::Shutdown);
        script::changed(&product, json!({ "power": if is_off { "stopped" } else { "running" } }))
    }

    async fn reinstall(&self, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
        let Reinstall { service, product, password } = request;
        product.check()?;
        let password = script::password(cx, password.as_ref()).await?;
        script::once(cx, "reinstall", &service, &product).await?;
        Ok(Change { secrets: [("password".to_owned(), password)].into(), ..script::changed(&product, json!({}))? })
    }

    async fn console(&self, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
        script::read(cx, &request.service, &request.product).await?;
        Ok(ConsoleAccess {
            url: Secret::new(script::page(&request.service, "console")?),
            password: Some(Secret::new("sandbox-console".to_owned())),
            username: None,
            kind: "html".to_owned(),
            expires_at: None,
        })
    }

    async fn login(&self, cx: &Cx, request: Login<Product>) -> Result<LoginLink, Fault> {
        script::read(cx, &request.service, &request.product).await?;
        Ok(LoginLink { url: Secret::new(script::page(&request.service, "login")?), expires_at: None })
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        script::status(cx, request).await
    }

    async fn usage(&self, cx: &Cx, request: Usage<Product>) -> Result<UsageReport, Fault> {
        script::read(cx, &request.service, &request.product).await?;
        let gigabyte = 1_000_000_000;
        let traffic = Measure {
            name: "traffic".to_owned(),
            used: 250 * gigabyte,
            limit: Some(1_000 * gigabyte),
            unit: "bytes".to_owned(),
            period: Some("month".to_owned()),
        };
        Ok(UsageReport { measures: vec![traffic] })
    }

    async fn list(&self, _: &Cx) -> Result<Listing, Fault> {
        // What was made here is known to the host alone.
        Ok(Listing::default())
    }

    async fn options(&self, _: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
        // A real provider reads them from its panel; the host asks for fields of `Facts::options` only.
        let words: Vec<&str> = if field == "state" { settings::STATES.into() } else { settings::fault_words().into() };
        Ok(words.into_iter().map(|word| OptionValue { value: json!(word), label: word.replace('_', " ") }).collect())
    }

    async fn capacity(&self, cx: &Cx, product: Product) -> Result<Capacity, Fault> {
        script::capacity(cx, &product).await
    }

    async fn test(&self, _: &Cx) -> Result<TestReport, Fault> {
        let text = "there is no panel behind this server; its products say what happens".to_owned();
        Ok(TestReport { findings: vec![Finding { name: "sandbox".to_owned(), ok: true, text }] })
    }

    async fn action(&self, cx: &Cx, request: ActionCall<Product>) -> Result<ActionResult, Fault> {
        let Text { text } = serde_json::from_value(request.params)
            .map_err(|error| Fault::invalid_input(format!("the params of {} do not fit: {error}", request.name)))?;
        match (request.name.as_str(), request.service, request.product) {
            ("echo", ..) => Ok(ActionResult { data: json!({ "text": text }), change: Change::default() }),
            ("label", Some(service), Some(product)) => {
                script::once(cx, "label", &service, &product).await?;
                Ok(ActionResult { data: json!(null), change: script::changed(&product, json!({ "label": text }))? })
            }
            (other, ..) => Err(Fault::unsupported(&format!("the action {other} here"))),
        }
    }
}

export_provider!(Sandbox);
