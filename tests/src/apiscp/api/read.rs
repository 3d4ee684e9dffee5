//! Looks that change nothing: sites by what they are, plans, figures.

use super::super::config::{CollectKeys, base};
use super::super::rules::Accepted;
use super::super::state::{Site, World};
use super::super::value::{Key, Value};
use super::{Reply, error, own, told};

/// What `admin_collect` shows when nothing is named.
const DEFAULT: [&str; 5] =
    ["siteinfo.email", "siteinfo.admin_user", "aliases.aliases", "billing.invoice", "billing.parent_invoice"];

pub(super) fn plan(world: &World, asked: &Accepted) -> Reply {
    let name = asked.text("plan").unwrap_or_default();
    let plan = world.plan(&name).ok_or_else(|| error(format!("unknown plan `{name}'")))?;
    let said = base().into_iter().map(|(key, value)| {
        let value = if key == "siteinfo.plan" { Value::text(&name) } else { value };
        (key, plan.values.get(key).cloned().unwrap_or(value))
    });
    told(by_service(said))
}

pub(super) fn collect(world: &World, asked: &Accepted) -> Reply {
    let params: Vec<String> = asked.value("params").items().iter().filter_map(Value::printed).collect();
    let shown: Vec<&str> = match asked.value("params") {
        Value::Null => base().into_iter().map(|(key, _)| key).collect(),
        _ if params.is_empty() => DEFAULT.to_vec(),
        // A service without a variable means all of its variables.
        _ => {
            let all = params.iter().flat_map(|name| {
                let whole = format!("{name}.");
                let of_service: Vec<&str> =
                    base().into_iter().map(|(key, _)| key).filter(|key| key.starts_with(&whole)).collect();
                if of_service.is_empty() { vec![name.as_str()] } else { of_service }
            });
            all.collect()
        }
    };
    let mut found: Vec<(Key, &Site)> = Vec::new();
    let sites = asked.value("sites").items();
    if sites.is_empty() {
        found.extend(world.live().map(|site| (Key::Text(format!("site{}", site.id)), site)));
    }
    for name in sites.iter().filter_map(Value::printed) {
        match world.resolve(&name) {
            Some((_, ids)) => {
                for site in ids.iter().filter_map(|id| world.site(*id)) {
                    let key = match world.knobs.collect_keys {
                        CollectKeys::Site => format!("site{}", site.id),
                        CollectKeys::AsNamed => name.clone(),
                    };
                    found.push((Key::Text(key), site));
                }
            }
            None if world.knobs.collect_refuses_strangers => return Err(error(format!("Unknown domain `{name}'"))),
            None => {}
        }
    }
    let wanted = conditions(asked.value("query"));
    let rows = found.into_iter().filter(|(_, site)| wanted.iter().all(|(key, value)| meets(site, key, value)));
    let rows: Vec<(Key, Value)> = rows.map(|(key, site)| (key, row(site, &shown))).collect();
    told(if rows.is_empty() { Value::List(Vec::new()) } else { Value::Map(rows) })
}

fn row(site: &Site, shown: &[&str]) -> Value {
    let values = shown.iter().map(|key| (*key, site.values.get(*key).cloned().unwrap_or(Value::Null)));
    let mut members: Vec<(Key, Value)> = match by_service(values) {
        Value::Map(members) => members,
        _ => Vec::new(),
    };
    members.push(("active".into(), Value::Bool(site.suspension.is_none())));
    members.push(("domain".into(), Value::maybe(site.text("siteinfo.domain"))));
    Value::Map(members)
}

/// Services as maps of their variables, both in the order of their first mention.
fn by_service<'a>(values: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut services: Vec<(String, Vec<(String, Value)>)> = Vec::new();
    for (key, value) in values {
        let (service, variable) = key.split_once('.').unwrap_or((key, ""));
        if variable.is_empty() {
            continue;
        }
        match services.iter_mut().find(|(name, _)| name == service) {
            Some((_, variables)) => variables.push((variable.to_owned(), value)),
            None => services.push((service.to_owned(), vec![(variable.to_owned(), value)])),
        }
    }
    Value::map(services.into_iter().map(|(service, variables)| (service, Value::map(variables))))
}

/// The equalities of a query, whichever way they are spelled.
fn conditions(query: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in query.members() {
        match value {
            Value::Map(_) => {
                found.extend(value.members().map(|(inner, value)| (format!("{key}.{inner}"), value.clone())));
            }
            _ => found.push((key.replace(',', "."), value.clone())),
        }
    }
    found
}

fn meets(site: &Site, key: &str, wanted: &Value) -> bool {
    if key == "active" {
        return wanted.is_truthy() == site.suspension.is_none();
    }
    let held = site.values.get(key).unwrap_or(&Value::Null);
    held == wanted || held.printed().is_some_and(|held| Some(held) == wanted.printed())
}

pub(super) fn meta(world: &World, asked: &Accepted) -> Reply {
    let domain = asked.text("domain").unwrap_or_default();
    let site = world.resolve(&domain).and_then(|(_, ids)| world.site(ids[0]));
    let site = site.ok_or_else(|| error(format!("Unknown domain `{domain}'")))?;
    let service = asked.text("service").unwrap_or_default();
    match asked.text("class").filter(|class| !class.is_empty()) {
        Some(class) => told(site.values.get(&format!("{service}.{class}")).cloned().unwrap_or(Value::Null)),
        None => {
            let prefix = format!("{service}.");
            let all = site.values.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value.clone())));
            told(Value::map(all))
        }
    }
}

pub(super) fn usage(world: &World, asked: &Accepted) -> Reply {
    let names: Vec<String> = asked.value("sites").items().iter().filter_map(Value::printed).collect();
    let mut ids: Vec<u64> = names.iter().filter_map(|name| world.resolve(name)).flat_map(|(_, ids)| ids).collect();
    if names.is_empty() {
        ids = world.live().map(|site| site.id).collect();
    }
    let figures: fn(&Site) -> Value = match asked.text("field").as_deref() {
        Some("storage") => storage,
        Some("bandwidth") => |site| {
            let threshold = Value::Int(site.threshold());
            Value::map([("sum", Value::Float(site.usage.bandwidth_bytes)), ("threshold", threshold)])
        },
        Some("cgroup") => |_| Value::map([("memory", Value::Int(0)), ("cpu", Value::Float(0.0))]),
        other => return Err(error(format!("unknown field `{}'", other.unwrap_or_default()))),
    };
    let known = ids.iter().filter_map(|id| world.site(*id)).filter(|site| site.usage.is_known);
    told(Value::map(known.map(|site| (format!("site{}", site.id), figures(site)))))
}

fn storage(site: &Site) -> Value {
    let quota = site.quota_kb();
    Value::map([
        ("qused", Value::Int(site.usage.storage_kb)),
        ("qsoft", Value::Int(quota)),
        ("qhard", Value::Int(quota)),
        ("fused", Value::Int(site.usage.files)),
        ("fsoft", Value::Int(0)),
        ("fhard", Value::Int(0)),
    ])
}

pub(super) fn quota(world: &World, asked: &Accepted) -> Reply {
    own(world, asked).map_or_else(|| Err(error("site does not exist")), |site| told(storage(site)))
}

pub(super) fn bandwidth(world: &World, asked: &Accepted) -> Reply {
    let site = own(world, asked).ok_or_else(|| error("site does not exist"))?;
    // Floats far below where they lose whole numbers.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let total = if site.threshold() > 0 { site.threshold() as f64 } else { -1.0 };
    told(Value::map([("used", Value::Float(site.usage.bandwidth_bytes)), ("total", Value::Float(total))]))
}
