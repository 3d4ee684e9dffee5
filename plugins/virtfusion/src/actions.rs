//! The provider's own actions: what staff want now and then, and billing has no word for.

use crate::VirtFusion;
use crate::api::resources::{self, Part};
use crate::api::{self, catalog, guest};
use crate::package::set_part;
use crate::panel::{self, Owned};
use crate::server::{Server, list};
use crate::settings::Product;
use billhook_plugin_api::schemars::{Schema, json_schema};
use billhook_plugin_api::{ActionCall, ActionFacts, ActionResult, Change, Cx, Fault};
use serde_json::{Value, json};

/// All of them are about a service.
pub const ACTIONS: &[ActionFacts] = &[
    reading("templates", "Systems that can be installed"),
    reading("backups", "Backups of the server"),
    reading("traffic", "Traffic of all periods"),
    changing("rename", "Give the server another name", rename_params),
    changing("backup_plan", "Set the backup plan", backup_plan_params),
    changing("cpu_throttle", "Slow the CPU down", throttle_params),
    changing("remove_ipv4", "Take IPv4 addresses away", remove_ipv4_params),
    changing("close_console", "Switch VNC off", no_params),
];

const fn reading(name: &'static str, title: &'static str) -> ActionFacts {
    ActionFacts { name, title, changes: false, params: no_params }
}

const fn changing(name: &'static str, title: &'static str, params: fn() -> Schema) -> ActionFacts {
    ActionFacts { name, title, changes: true, params }
}

fn no_params() -> Schema {
    json_schema!({ "type": ["object", "null"], "additionalProperties": false })
}

/// An object of one member, which is needed.
fn one(name: &str, member: Value) -> Schema {
    json_schema!({
        "type": "object", "additionalProperties": false, "required": [name], "properties": { name: member },
    })
}

fn rename_params() -> Schema {
    one("name", json!({ "type": "string", "minLength": 1, "maxLength": 100 }))
}

fn backup_plan_params() -> Schema {
    one("plan_id", json!({ "type": "integer", "minimum": 0, "description": "0 is no plan." }))
}

fn throttle_params() -> Schema {
    one("percent", json!({ "type": "integer", "minimum": 0, "maximum": 99, "description": "0 is full speed." }))
}

fn remove_ipv4_params() -> Schema {
    one("ips", json!({ "type": "array", "minItems": 1, "maxItems": 256, "items": { "type": "string" } }))
}

/// Runs an action on a service's server.
pub async fn run(of: &VirtFusion, cx: &Cx, request: ActionCall<Product>) -> Result<ActionResult, Fault> {
    let ActionCall { name, service, product, params } = request;
    let (Some(service), Some(product)) = (service, product) else {
        return Err(Fault::invalid_input(format!("{name} needs a service")));
    };
    let owned = Owned::new(of, &service, &product)?;
    let number = |member: &str| params[member].as_u64().ok_or_else(|| missing(member));
    let id = owned.id;
    let is_new = match name.as_str() {
        "templates" | "backups" | "traffic" => {
            owned.read(cx).await?;
            return Ok(ActionResult { data: read(cx, &name, id).await?, change: Change::done() });
        }
        "rename" => {
            let wanted = params["name"].as_str().ok_or_else(|| missing("name"))?;
            let next = |server: &Server| Ok((server.name != wanted).then(|| api::rename(id, wanted)));
            panel::adjust(cx, "rename", owned, &next).await?
        }
        "backup_plan" => {
            let plan = number("plan_id")?;
            let next = |server: &Server| {
                Ok((server.backup_plan.unwrap_or_default() != plan).then(|| resources::backup_plan(id, plan)))
            };
            panel::adjust(cx, "backup_plan", owned, &next).await?
        }
        "cpu_throttle" => set_part(cx, "throttle", owned, Part::Throttle, number("percent")?).await?,
        "remove_ipv4" => {
            let unwanted: Vec<&str> = list(&params["ips"]).iter().filter_map(Value::as_str).collect();
            let next = |server: &Server| {
                // Without its main address nobody reaches the server.
                if server.ips.first().is_some_and(|main| unwanted.contains(&main.as_str())) {
                    return Err(Fault::invalid_input("the main address cannot be taken away"));
                }
                let there: Vec<&String> = server.ips.iter().filter(|ip| unwanted.contains(&ip.as_str())).collect();
                Ok((!there.is_empty()).then(|| resources::remove_ipv4(id, &there)))
            };
            panel::adjust(cx, "remove_ipv4", owned, &next).await?
        }
        // Sent whatever the panel shows: its member `enabled` cannot be relied on.
        "close_console" => panel::adjust(cx, "close_console", owned, &|_| Ok(Some(guest::vnc(id, false)))).await?,
        other => return Err(Fault::unsupported(&format!("the action {other}"))),
    };
    // Read once more: a run whose step was done by an earlier one has not read anything yet.
    let server = owned.read(cx).await?;
    let mut change = if is_new { Change::done() } else { Change::noop() };
    change.properties = server.properties();
    change.properties.insert("ips".into(), json!(server.ips));
    Ok(ActionResult { data: json!({ "changed": is_new }), change })
}

fn missing(member: &str) -> Fault {
    Fault::invalid_input(format!("the parameter {member} is missing or of another type"))
}

async fn read(cx: &Cx, name: &str, id: u64) -> Result<Value, Fault> {
    Ok(match name {
        "templates" => {
            let templates = guest::templates_reply(&cx.http(guest::templates(id)).await?)?;
            templates.into_iter().map(|template| json!({ "id": template.id, "label": template.label })).collect()
        }
        "backups" => {
            let backups = catalog::list_reply(&cx.http(catalog::backups(id)).await?)?;
            let shown = |backup: &Value| {
                json!({
                    "id": backup["id"], "created": backup["created"], "complete": backup["complete"],
                    "storage": backup["storage"]["name"],
                })
            };
            backups.iter().map(shown).collect()
        }
        _ => {
            let periods = resources::traffic_reply(&cx.http(resources::traffic(id)).await?)?;
            let shown = |period: resources::Period| {
                json!({
                    "start": period.start, "end": period.end, "used_bytes": period.used, "limit_gb": period.limit,
                })
            };
            periods.into_iter().map(shown).collect()
        }
    })
}
