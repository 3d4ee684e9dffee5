//! `status`, `test`, `list` and `options`: what the panel shows.

use crate::order::{Order, State};
use crate::plan::Plan;
use crate::settings::{Id, Product};
use crate::{RootPanel, panel};
use billhook_plugin_api::{
    Cx, Fault, FaultClass, Finding, ListedAccount, Listing, OptionValue, ServiceState, Status, StatusReport, TestReport,
};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Product settings whose values the panel lists.
pub const OPTIONS: &[&str] = &["tarifid", "locationid", "addons", "osid", "panelid"];

/// Reads the order's state.
pub async fn status(panel: &RootPanel, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
    let id = panel::order_id(&request.service)?;
    let Some(order) = panel::find_order(panel, cx, &id).await? else {
        return Ok(StatusReport {
            state: ServiceState::Terminated,
            power: None,
            pending: None,
            properties: Map::new(),
        });
    };
    let mut properties = order.properties();
    if order.state == State::Active && order.is_expired(cx.now().await?) {
        properties.insert("expired".into(), json!(true));
    }
    if !order.ips.is_empty() {
        properties.insert("ips".into(), json!(order.ips));
    }
    let pending = order.pending().map(str::to_owned);
    Ok(StatusReport { state: order.service_state(), power: None, pending, properties })
}

/// Tries address, credentials and allow-list, then whether there are plans.
pub async fn test(panel: &RootPanel, cx: &Cx) -> Result<TestReport, Fault> {
    let balance = panel::balance(panel, cx).await.map_err(address)?;
    let plans = panel::plans(panel, cx).await?;
    let plans_text = match plans.len() {
        0 => "the panel sells no plans to this login".to_owned(),
        count => format!("{count} plans can be ordered"),
    };
    let findings = [
        ("login", true, "the panel accepts the credentials".to_owned()),
        ("balance", true, format!("the balance is {balance}")),
        ("plans", !plans.is_empty(), plans_text),
    ];
    let finding = |(name, ok, text): (&str, bool, String)| Finding { name: name.to_owned(), ok, text };
    Ok(TestReport { findings: findings.map(finding).into() })
}

/// What is a passing trouble in other hooks is in a test most likely the address.
fn address(fault: Fault) -> Fault {
    let is_address = fault.class == FaultClass::InDoubt
        && fault.code.as_deref().is_some_and(|code| matches!(code.as_bytes().first(), Some(b'2' | b'3' | b'4')));
    if is_address { Fault { class: FaultClass::InvalidInput, ..fault } } else { fault }
}

/// Lists the login's orders.
pub async fn list(panel: &RootPanel, cx: &Cx) -> Result<Listing, Fault> {
    let accounts = panel::orders(panel, cx).await?.iter().map(listed).collect();
    Ok(Listing { accounts })
}

fn listed(order: &Order) -> ListedAccount {
    ListedAccount {
        remote_id: order.id.to_string(),
        username: order.login.clone(),
        domain: None,
        email: None,
        package: order.name().or_else(|| order.tarifid.as_ref().map(Id::to_string)),
        ips: order.ips.clone(),
        state: order.service_state(),
        created_at: order.orderdate(),
        properties: order.properties(),
    }
}

/// Lists the values of a setting, over all plans: which plan it is for is not asked, and stands in the label.
pub async fn options(panel: &RootPanel, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
    let plans = panel::plans(panel, cx).await?;
    let mut found: BTreeMap<Id, (String, Vec<String>)> = BTreeMap::new();
    for plan in &plans {
        for (id, label) in values(plan, field)? {
            found.entry(id).or_insert_with(|| (label, Vec::new())).1.push(plan.name.clone());
        }
    }
    let is_plan = field == "tarifid";
    let label =
        |label: String, plans: &[String]| if is_plan { label } else { format!("{label} ({})", plans.join(", ")) };
    Ok(found
        .into_iter()
        .map(|(id, (text, plans))| OptionValue { value: json!(id), label: label(text, &plans) })
        .collect())
}

/// Operating systems and control panels cannot be told from other add-ons.
fn values(plan: &Plan, field: &str) -> Result<Vec<(Id, String)>, Fault> {
    Ok(match field {
        "tarifid" => vec![(plan.id.clone(), format!("{}, {} {} a month", plan.name, plan.monthly, plan.currency))],
        "locationid" => plan
            .locations
            .iter()
            .map(|place| (place.id.clone(), format!("{}, {} {} a month", place.name, place.monthly, plan.currency)))
            .collect(),
        "addons" | "osid" | "panelid" => plan
            .addons
            .iter()
            .map(|addon| (addon.id.clone(), format!("{}, {} {} a month", addon.name, addon.monthly, plan.currency)))
            .collect(),
        other => return Err(Fault::invalid_input(format!("the panel has no list of values for {other}"))),
    })
}
