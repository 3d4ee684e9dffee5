//! `list` and `options`: what the panel has.

use crate::api::{self, catalog, guest, resources};
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
    for row in pages(cx, catalog::servers_page).await? {
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
    let facts = [
        ("uuid", row.uuid.map(Value::from)),
        ("name", row.name.map(Value::from)),
        ("owner_id", row.owner_id.map(Value::from)),
    ];
    ListedAccount {
        remote_id: row.id.to_string(),
        username: None,
        domain: None,
        email: None,
        package: None,
        ips: Vec::new(),
        state,
        created_at: row.created,
        properties: facts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect::<Map<_, _>>(),
    }
}

/// All rows of a list, page by page.
async fn pages(cx: &Cx, request: fn(u64) -> Request) -> Result<Vec<Value>, Fault> {
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
            let rows = pages(cx, catalog::groups_page).await?;
            let usable = rows.iter().filter(|row| row["enabled"] != json!(false));
            Ok(usable
                .filter_map(|row| {
                    Some(option(row["id"].as_u64()?, row["name"].as_str().unwrap_or_default().to_owned()))
                })
                .collect())
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
