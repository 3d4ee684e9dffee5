//! What a hook means on this host: which product, provider and panel, with which settings.

use super::Engine;
use crate::panel::{Panel, Provider};
use crate::problem::{Problem, ProblemType};
use crate::request::HookBody;
use crate::store::Service;
use billhook_plugin_api::Hook;
use serde_json::Value;
use std::sync::Arc;

/// A hook's target.
pub(super) struct Target {
    pub panel: Arc<Panel>,
    pub product: String,
    pub settings: Value,
}

impl Engine {
    /// Resolves product, provider and panel. A service that exists stays where it is.
    pub(super) fn resolve(&self, hook: Hook, body: &HookBody, service: Option<&Service>) -> Result<Target, Problem> {
        let bound = service.filter(|service| hook != Hook::Create || service.remote_id.is_some());
        let product = match (hook, &body.product, bound) {
            (Hook::Create, Some(product), _) | (Hook::ChangePackage, Some(product), Some(_)) => product.id.clone(),
            (_, _, Some(service)) => service.product.clone(),
            (_, Some(product), None) => product.id.clone(),
            (_, None, None) => {
                return Err(Problem::new(
                    ProblemType::UnknownService,
                    "no such service is known: it was never created here",
                )
                .remedy("send a create first"));
            }
        };
        let configured = self.config.products.get(&product).ok_or_else(|| {
            let problem = Problem::new(ProblemType::NotConfigured, format!("no product {product} is configured"))
                .remedy(format!("add [products.{product}] to the configuration"));
            Problem { path: body.product.as_ref().map(|_| "/product/id".to_owned()), ..problem }
        })?;
        let server = bound.map_or(&configured.server, |service| &service.server);
        if hook == Hook::ChangePackage && configured.server != *server {
            let text = format!("the product {product} is on the server {}, the service on {server}", configured.server);
            return Err(
                Problem::at("/product/id", text).remedy("a service stays on its server: name a product of that one")
            );
        }
        let panel = self.panel(server)?;
        if let Some(service) = bound
            && service.panel != panel.identity
        {
            return Err(panel_changed(&service.panel, &panel));
        }
        supports(&panel.provider, hook, body.action.as_deref())?;
        let mut settings = configured.settings.value().clone();
        if let (Some(product), Value::Object(members)) = (&body.product, &mut settings) {
            for (name, value) in &product.options {
                members.insert(name.clone(), value.clone());
            }
        }
        if let Err(error) = panel.provider.product_schema.validate(&settings) {
            let place = error.instance_path().to_string();
            let from_options = body
                .product
                .as_ref()
                .is_some_and(|product| product.options.keys().any(|name| place.trim_start_matches('/') == name));
            let (path, remedy) = if from_options {
                (format!("/product/options{place}"), "correct the option".to_owned())
            } else if place.is_empty() {
                (
                    "/product/options".to_owned(),
                    format!("see the settings of [products.{product}] and the order's options"),
                )
            } else {
                ("/product".to_owned(), format!("correct {place} in [products.{product}]"))
            };
            return Err(Problem::at(path, schema_text(&error)).remedy(remedy));
        }
        if hook == Hook::Action
            && let Some(action) = body.action.as_deref().and_then(|name| panel.provider.action(name))
        {
            check_params(&action.params, &body.params)?;
        }
        Ok(Target { panel, product, settings })
    }

    /// The server of that name.
    pub(super) fn panel(&self, server: &str) -> Result<Arc<Panel>, Problem> {
        if let Some(panel) = self.panels.get(server) {
            return Ok(Arc::clone(panel));
        }
        Err(match self.unready.get(server) {
            Some(reason) => {
                Problem::new(ProblemType::NotConfigured, format!("the server {server} is not ready: {reason}"))
                    .remedy("run `billhook check`")
            }
            None => Problem::new(ProblemType::NotConfigured, format!("no server {server} is configured"))
                .remedy(format!("add [servers.{server}] to the configuration")),
        })
    }
}

pub(super) fn supports(provider: &Provider, hook: Hook, action: Option<&str>) -> Result<(), Problem> {
    if provider.has(hook, action) {
        return Ok(());
    }
    let what = action.map_or_else(|| hook.to_string(), |name| format!("the action {name}"));
    Err(Problem::new(
        ProblemType::Unsupported,
        format!("the provider {} does not support {what}", provider.manifest.name),
    ))
}

pub(super) fn panel_changed(stored: &str, panel: &Panel) -> Problem {
    Problem::new(
        ProblemType::PanelChanged,
        format!("this service is on {stored}, and the server {} now names {}", panel.name, panel.identity),
    )
    .remedy(format!("give the old panel a server entry of its own, or set base_url of [servers.{}] back", panel.name))
}

fn check_params(schema: &Value, params: &Value) -> Result<(), Problem> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|_| Problem::new(ProblemType::NotConfigured, "the action's schema in the plugin is not usable"))?;
    let params = if params.is_null() { &Value::Object(serde_json::Map::new()) } else { params };
    validator
        .validate(params)
        .map_err(|error| Problem::at(format!("/params{}", error.instance_path()), schema_text(&error)))
}

/// What a schema says of a value, without the value: it may be a secret.
pub(crate) fn schema_text(error: &jsonschema::ValidationError<'_>) -> String {
    error.masked().to_string()
}
