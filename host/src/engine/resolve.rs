//! What a hook means on this host: which product, provider and panel, with which settings.

use super::Engine;
use crate::config::{Config, Place, ProductConfig};
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
    /// Resolves product, provider and panel. A service that exists stays where it is; `chosen` is the server of a create
    /// whose product is sold in a group.
    pub(super) fn resolve(
        &self,
        hook: Hook,
        body: &HookBody,
        service: Option<&Service>,
        chosen: Option<&str>,
    ) -> Result<Target, Problem> {
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
        let in_force = self.in_force();
        let configured = in_force.config.products.get(&product).ok_or_else(|| {
            let problem = Problem::new(ProblemType::NotConfigured, format!("no product {product} is configured"))
                .remedy(format!("add [products.{product}] to the configuration"));
            Problem { path: body.product.as_ref().map(|_| "/product/id".to_owned()), ..problem }
        })?;
        let server = match (bound, &configured.place, chosen) {
            (Some(service), ..) => service.server.as_str(),
            (None, Place::Server(server), _) => server,
            (None, Place::Group(_), Some(chosen)) => chosen,
            (None, Place::Group(group), None) => {
                let text = format!("no server of the group {group} was chosen for {hook}");
                return Err(Problem::new(ProblemType::UnknownService, text).remedy("send a create first"));
            }
        };
        if let (Hook::ChangePackage, Some(service)) = (hook, bound) {
            stays(&in_force.config, configured, &product, service)?;
        }
        let panel = self.panel(server)?;
        if let Some(service) = bound
            && service.panel != panel.identity
        {
            return Err(panel_changed(&service.panel, &panel));
        }
        if bound.is_none() {
            is_alike(&in_force.config, configured, &product, &panel)?;
        }
        supports(&panel.provider, hook, body.action.as_deref())?;
        let settings = product_settings(configured, &product, body, &panel.provider)?;
        if hook == Hook::Action
            && let Some(action) = body.action.as_deref().and_then(|name| panel.provider.action(name))
        {
            check_params(&action.params, &body.params)?;
        }
        Ok(Target { panel, product, settings })
    }

    /// What a reading hook on a server is to know of the product that it names.
    pub(super) fn product_on(&self, panel: &Panel, body: &HookBody) -> Result<Value, Problem> {
        let Some(product) = &body.product else { return Ok(Value::Null) };
        let in_force = self.in_force();
        let configured = in_force.config.products.get(&product.id).ok_or_else(|| {
            Problem::at("/product/id", format!("no product {} is configured", product.id))
                .remedy(format!("add [products.{}] to the configuration", product.id))
        })?;
        is_alike(&in_force.config, configured, &product.id, panel)?;
        product_settings(configured, &product.id, body, &panel.provider)
    }

    /// The server of that name.
    pub(super) fn panel(&self, server: &str) -> Result<Arc<Panel>, Problem> {
        let in_force = self.in_force();
        if let Some(panel) = in_force.panels.get(server) {
            return Ok(Arc::clone(panel));
        }
        Err(match in_force.unready.get(server) {
            Some(reason) => {
                Problem::new(ProblemType::NotConfigured, format!("the server {server} is not ready: {reason}"))
                    .remedy("run `billhook check`")
            }
            None => Problem::new(ProblemType::NotConfigured, format!("no server {server} is configured"))
                .remedy(format!("add [servers.{server}] to the configuration")),
        })
    }
}

/// The product's settings with the order's options laid over them, if the provider's schema takes them.
fn product_settings(
    configured: &ProductConfig,
    product: &str,
    body: &HookBody,
    provider: &Provider,
) -> Result<Value, Problem> {
    let mut settings = configured.settings.value().clone();
    if let (Some(product), Value::Object(members)) = (&body.product, &mut settings) {
        for (name, value) in &product.options {
            members.insert(name.clone(), value.clone());
        }
    }
    if let Err(error) = provider.product_schema.validate(&settings) {
        let place = error.instance_path().to_string();
        let from_options = body
            .product
            .as_ref()
            .is_some_and(|product| product.options.keys().any(|name| place.trim_start_matches('/') == name));
        let (path, remedy) = if from_options {
            (format!("/product/options{place}"), "correct the option".to_owned())
        } else if place.is_empty() {
            ("/product/options".to_owned(), format!("see the settings of [products.{product}] and the order's options"))
        } else {
            ("/product".to_owned(), format!("correct {place} in [products.{product}]"))
        };
        return Err(Problem::at(path, schema_text(&error)).remedy(remedy));
    }
    Ok(settings)
}

/// The product's settings are for the provider of its own servers.
fn is_alike(config: &Config, configured: &ProductConfig, product: &str, panel: &Panel) -> Result<(), Problem> {
    let first = config.servers_of(&configured.place).first();
    let provider = first.and_then(|server| config.servers.get(server)).map(|server| &server.provider);
    if provider == Some(&panel.provider.manifest.name) {
        return Ok(());
    }
    let text = format!("the product {product} is of another provider than the server {}", panel.name);
    Err(Problem::at("/product/id", text).remedy("name a product of the server's provider"))
}

/// A change of the package does not move a service: the product must be sold where the service is. One that stays what it
/// is stays there whatever the group says by now.
fn stays(config: &Config, configured: &ProductConfig, product: &str, service: &Service) -> Result<(), Problem> {
    let server = &service.server;
    let place = match &configured.place {
        Place::Server(other) if other != server => format!("on the server {other}"),
        Place::Group(group) if product != service.product && !config.servers_of(&configured.place).contains(server) => {
            format!("in the group {group}")
        }
        _ => return Ok(()),
    };
    let text = format!("the product {product} is {place}, the service on {server}");
    Err(Problem::at("/product/id", text).remedy("a service stays on its server: name a product of that one"))
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
