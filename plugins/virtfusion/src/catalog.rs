//! `list` and `options`: what the panel has.

use crate::api::{self, catalog, guest, resources};
use crate::member;
use billhook_plugin_api::{Cx, Fault, ListedAccount, Listing, OptionValue, Request, ServiceState};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Product settings whose values the panel can be asked for.
pub const FIELDS: &[&str] = &[PACKAGE, GROUP, TEMPLATE];
const PACKAGE: &str = "package_id";
const GROUP: &str = "hypervisor_group_id";
const TEMPLATE: &str = "os_template_id";

/// More pages than any panel has: a panel that never comes to its last one must not be read for ever.
const MAX_PAGES: u64 = 1_000;

/// Reads every server of the panel, of whomever.
pub async fn list(cx: &Cx) -> Result<Listing, Fault> {
    let mut seen = BTreeSet::new();
    let mut accounts = Vec::new();
    for row in pages(cx, &catalog::servers_page).await? {
        let row = catalog::server_row(&row)?;
        // One that is made or deleted meanwhile moves its neighbours to another page.
        if seen.insert(row.id) {
            accounts.push(account(row));
        }
    }
    Ok(Listing { accounts })
}

fn account(row: catalog::Row) -> ListedAccount {
    let state = match (row.suspended, row.commissioned) {
        (true, _) => ServiceState::Suspended,
        (false, Some(0 | 1)) => ServiceState::Provisioning,
        (false, Some(2)) => ServiceState::Error,
        (false, Some(3)) => ServiceState::Active,
        (false, _) => ServiceState::Unknown,
    };
    let mut properties = Map::new();
    for (name, value) in [
        ("uuid", row.uuid.map(Value::from)),
        ("name", row.name.map(Value::from)),
        ("owner_id", row.owner_id.map(Value::from)),
    ] {
        if let Some(value) = value {
            properties.insert(name.into(), value);
        }
    }
    ListedAccount {
        remote_id: row.id.to_string(),
        username: None,
        domain: None,
        email: None,
        package: None,
        ips: Vec::new(),
        state,
        created_at: row.created,
        properties,
    }
}

/// All rows of a list, page by page.
pub async fn pages(cx: &Cx, request: &(dyn Fn(u64) -> Request + Sync)) -> Result<Vec<Value>, Fault> {
    let mut rows = Vec::new();
    for page in 1..=MAX_PAGES {
        let mut found = catalog::page_reply(&cx.http(request(page)).await?)?;
        rows.append(&mut found.rows);
        if page >= found.last {
            return Ok(rows);
        }
    }
    Err(Fault::panel_bug(format!("the panel's list does not end within {MAX_PAGES} pages")))
}

/// Reads the values that a product setting may take.
pub async fn options(cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
    match field {
        PACKAGE => Ok(packages(cx).await?.into_iter().map(|package| option(package.id, package.name)).collect()),
        GROUP => {
            let rows = pages(cx, &catalog::groups_page).await?;
            let mut usable = Vec::new();
            for row in &rows {
                let label = member::text(row, "name")?.unwrap_or_default().to_owned();
                let id = member::whole(row, "id")?.filter(|_| row["enabled"] != json!(false));
                usable.extend(id.map(|id| option(id, label)));
            }
            Ok(usable)
        }
        TEMPLATE => templates(cx).await,
        other => Err(Fault::invalid_input(format!("the panel has no list of values for {other}"))),
    }
}

async fn packages(cx: &Cx) -> Result<Vec<resources::Package>, Fault> {
    let mut packages = resources::packages_reply(&cx.http(api::packages()).await?)?;
    packages.retain(|package| package.is_enabled);
    Ok(packages)
}

/// The systems of every package that may be ordered: the panel lists them by package only. A system that not all of them
/// can have says so.
async fn templates(cx: &Cx) -> Result<Vec<OptionValue>, Fault> {
    let packages = packages(cx).await?;
    let mut found: BTreeMap<u64, (String, Vec<u64>)> = BTreeMap::new();
    for package in &packages {
        let reply = cx.http(guest::templates_of_package(package.id)).await?;
        for template in guest::templates_reply(&reply)? {
            found.entry(template.id).or_insert((template.label, Vec::new())).1.push(package.id);
        }
    }
    Ok(found
        .into_iter()
        .map(|(id, (label, of))| {
            let is_for_all = of.len() == packages.len();
            let of: Vec<String> = of.iter().map(u64::to_string).collect();
            option(id, if is_for_all { label } else { format!("{label} (package {} only)", of.join(", ")) })
        })
        .collect())
}

fn option(value: u64, label: String) -> OptionValue {
    OptionValue { value: json!(value), label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, fault, ok};
    use billhook_plugin_api::testing::{ScriptedHost, reply};
    use billhook_plugin_api::{FaultClass, Provider};

    /// A panel whose lists have `last` pages of one row each, and which never tells one page from another where it
    /// is asked too often.
    fn host(last: u64) -> ScriptedHost {
        ScriptedHost::new(move |request| {
            let page: u64 =
                request.query.iter().find(|(name, _)| name == "page").map_or(1, |(_, page)| page.parse().unwrap());
            let row = |row: Value| reply(200, json!({ "last_page": last, "data": [row, row] }).to_string());
            match request.path.as_str() {
                "/servers" => {
                    row(json!({ "id": 7000 + page, "uuid": "u", "name": "", "commissioned": page, "owner": 3,
                    "suspended": page == 4, "created": "then" }))
                }
                "/compute/hypervisors/groups" => row(json!({ "id": page, "name": "G", "enabled": page != 2 })),
                "/packages" => reply(
                    200,
                    r#"{"data":[{"id":1,"name":"S","enabled":true},{"id":2,"name":"L","enabled":true},{"id":9,"enabled":false}]}"#,
                ),
                "/media/templates/fromServerPackageSpec/1" => reply(
                    200,
                    r#"{"data":[{"templates":[{"id":10,"name":"Debian","version":"12","variant":"Minimal","eol":true},{"name":"?"}]}]}"#,
                ),
                "/media/templates/fromServerPackageSpec/2" => reply(
                    200,
                    r#"{"data":[{"templates":[{"id":10,"name":"Debian","version":"12","variant":"Minimal","eol":true}]},
                        {"templates":[{"id":11,"name":"Windows","version":"2025","type":"windows"}]}]}"#,
                ),
                other => panic!("{other}"),
            }
        })
    }

    fn options_of(field: &str) -> Vec<(u64, String)> {
        let found = ok(host(3).run(async |cx| stage::provider().options(cx, field).await));
        found.into_iter().map(|option| (option.value.as_u64().unwrap(), option.label)).collect()
    }

    #[test]
    fn a_list_is_read_to_its_last_page_and_each_server_once() {
        use ServiceState::{Active, Error, Provisioning, Suspended};
        let host = host(4);

        let listing = ok(host.run(async |cx| stage::provider().list(cx).await));

        let found: Vec<(&str, ServiceState)> =
            listing.accounts.iter().map(|account| (account.remote_id.as_str(), account.state)).collect();
        assert_eq!(found, [("7001", Provisioning), ("7002", Error), ("7003", Active), ("7004", Suspended)]);
        assert_eq!(listing.accounts[0].properties, *json!({ "uuid": "u", "owner_id": 3 }).as_object().unwrap());
        assert_eq!(host.exchanges().len(), 4);
    }

    #[test]
    fn a_list_without_end_is_left() {
        let host = host(u64::MAX);
        assert_eq!(fault(host.run(async |cx| stage::provider().list(cx).await)).class, FaultClass::PanelBug);
    }

    #[test]
    fn values_of_a_setting_are_what_may_be_ordered() {
        assert_eq!(options_of("package_id"), [(1, "S".to_owned()), (2, "L".to_owned())]);
        assert_eq!(
            options_of("hypervisor_group_id"),
            [(1, "G"), (1, "G"), (3, "G"), (3, "G")].map(|(id, name)| (id, name.to_owned()))
        );
        assert_eq!(
            options_of("os_template_id"),
            [(10, "Debian 12 Minimal (end of life)".to_owned()), (11, "Windows 2025 (package 2 only)".to_owned())]
        );
        let unknown = fault(host(1).run(async |cx| stage::provider().options(cx, "memory_mb").await));
        assert_eq!(unknown.class, FaultClass::InvalidInput);
    }
}
