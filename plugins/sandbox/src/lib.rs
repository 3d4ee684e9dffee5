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
    Account, ActionCall, ActionFacts, ActionResult, Change, Create, Cx, Ended, Facts, Fault, Finding, Hook, Provider,
    Renew, Status, StatusReport, Suspend, Terminate, TestReport, Unsuspend, export_provider,
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
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::Renew],
        actions: &[
            ActionFacts { name: "echo", title: "Say it back", changes: false, params: || schema_for!(Text) },
            ActionFacts { name: "label", title: "Note it on the service", changes: true, params: || schema_for!(Text) },
        ],
        ..Facts::new(
            "sandbox",
            "Sandbox",
            &[
                Hook::Create,
                Hook::Suspend,
                Hook::Unsuspend,
                Hook::Terminate,
                Hook::Renew,
                Hook::Status,
                Hook::Test,
                Hook::Action,
            ],
        )
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

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        script::status(cx, request).await
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
