//! The provider's own actions: what staff want now and then, and billing has no word for.

use crate::api::resources::{self, Part};
use crate::api::{self, catalog, guest};
use crate::member;
use crate::package::set_part;
use crate::panel::{self, Owned};
use crate::server::Server;
use billhook_plugin_api::schemars::{Schema, json_schema};
use billhook_plugin_api::{ActionFacts, ActionResult, Change, Cx, Fault};
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
pub async fn run(cx: &Cx, owned: Owned<'_>, name: &str, params: &Value) -> Result<ActionResult, Fault> {
    let number = |member: &str| params[member].as_u64().ok_or_else(|| missing(member));
    let id = owned.id;
    let is_new = match name {
        "templates" | "backups" | "traffic" => {
            owned.read(cx).await?;
            return Ok(ActionResult { data: read(cx, name, id).await?, change: Change::done() });
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
            let unwanted: Vec<&str> =
                params["ips"].as_array().ok_or_else(|| missing("ips"))?.iter().filter_map(Value::as_str).collect();
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
                Ok(json!({
                    "id": member::whole(backup, "id")?, "created": member::text(backup, "created")?,
                    "complete": member::truth(backup, "complete")?, "storage": member::text(backup, "storage.name")?,
                }))
            };
            backups.iter().map(shown).collect::<Result<_, Fault>>()?
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Machine, Stage, fault, ok, to_end};
    use billhook_plugin_api::ActionCall;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Provider};

    fn act(host: &ScriptedHost, name: &str, params: Value) -> Ended<ActionResult> {
        let (service, product) = (Some(stage::service()), Some(stage::product(json!({}))));
        let request = ActionCall { name: name.into(), service, product, params };
        host.run(async |cx| stage::provider().action(cx, request).await)
    }

    /// Each changing action with its call and what it leaves behind.
    /// Name, parameters, path, and what shows on the machine that it was carried out.
    type Changing = (&'static str, Value, &'static str, fn(&Machine) -> bool);

    fn changing() -> [Changing; 5] {
        [
            ("rename", json!({ "name": "new" }), "PUT /servers/7000/modify/name", |m| m.name == "new"),
            ("backup_plan", json!({ "plan_id": 3 }), "PUT /servers/7000/backups/plan/3", |m| m.backup_plan == Some(3)),
            ("cpu_throttle", json!({ "percent": 50 }), "PUT /servers/7000/modify/cpuThrottle", |m| m.throttle == 50),
            ("remove_ipv4", json!({ "ips": ["10.40.0.11", "10.9.9.9"] }), "DELETE /servers/7000/ipv4", |m| {
                m.ips == ["10.40.0.10"]
            }),
            ("close_console", json!({}), "POST /servers/7000/vnc", |m| !m.vnc),
        ]
    }

    fn stage() -> Stage {
        Stage::with(Machine { vnc: true, ..Machine::running(300) })
    }

    #[test]
    fn a_change_is_made_once_and_then_nothing_is_to_change() {
        for (name, params, call, is_so) in changing() {
            let stage = stage();
            let host = stage.host();

            let first = ok(act(&host, name, params.clone()));
            assert!(!ok(act(&host, name, params.clone())).change.noop, "{name}: the same operation");
            host.next_operation();
            let again = ok(act(&host, name, params));

            assert_eq!((first.data, first.change.noop), (json!({ "changed": true }), false), "{name}");
            assert!(is_so(&stage.world().machines[&7_000]), "{name}");
            // What the panel shows of VNC is not to be relied on.
            let is_blind = name == "close_console";
            assert_eq!(again.change.noop, !is_blind, "{name}");
            assert_eq!(host.changes(), vec![call; if is_blind { 2 } else { 1 }], "{name}");
        }
    }

    #[test]
    fn a_change_that_breaks_anywhere_is_made() {
        for (name, params, call, is_so) in changing() {
            for how in BREAKS {
                let stage = stage();
                stage.breaks(call, how);
                let host = stage.host();
                ok(to_end(|| act(&host, name, params.clone())));
                assert!(is_so(&stage.world().machines[&7_000]), "{name} {how:?}");
            }
        }
    }

    #[test]
    fn the_main_address_stays() {
        let host = stage().host();
        let refused = fault(act(&host, "remove_ipv4", json!({ "ips": ["10.40.0.11", "10.40.0.10"] })));
        assert_eq!(refused.class, FaultClass::InvalidInput);
        assert!(host.changes().is_empty());
    }

    #[test]
    fn reading_actions_show_what_they_are_for() {
        for (name, expected) in [
            ("templates", json!([{ "id": 10, "label": "OS 10" }, { "id": 11, "label": "OS 11" }])),
            ("backups", json!([{ "id": 42, "created": "then", "complete": null, "storage": null }])),
            (
                "traffic",
                json!([
                    { "start": "2027-01-01 00:00:00", "end": "2027-01-31 23:59:59", "used_bytes": 3, "limit_gb": 250 },
                    { "start": "2026-12-01 00:00:00", "end": "2026-12-31 23:59:59", "used_bytes": 1, "limit_gb": null },
                ]),
            ),
        ] {
            let host = stage().host();
            assert_eq!(ok(act(&host, name, json!({}))).data, expected, "{name}");
            assert!(host.changes().is_empty());
        }
    }

    #[test]
    fn every_action_has_a_schema_and_is_known() {
        for facts in ACTIONS {
            assert_eq!((facts.params)().get("additionalProperties"), Some(&json!(false)), "{}", facts.name);
            let host = stage().host();
            let ended = act(&host, facts.name, json!({}));
            assert!(!matches!(ended, Ended::Fault(fault) if fault.class == FaultClass::Unsupported), "{}", facts.name);
        }
    }
}
