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
    if is_address { fault.in_class(FaultClass::InvalidInput) } else { fault }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Row, Stage, commands};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};

    fn shown(row: Row) -> StatusReport {
        match read(&Stage::with(row).host()) {
            Ended::Ok(report) => report,
            other => panic!("{other:?}"),
        }
    }

    fn read(host: &ScriptedHost) -> Ended<StatusReport> {
        let request = Status { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().status(cx, request).await)
    }

    fn tested(stage: &Stage) -> Ended<TestReport> {
        stage.host().run(async |cx| stage::provider().test(cx).await)
    }

    #[test]
    fn the_state_is_in_billing_words_and_what_waits_is_pending() {
        use ServiceState::{Active, Provisioning, Suspended, Unknown};
        for (state, word, waits) in [
            (0, Provisioning, true),
            (1, Active, false),
            (2, Suspended, false),
            (3, Provisioning, true),
            (9, Unknown, false),
        ] {
            let report = shown(Row { state, ..Row::active() });
            assert_eq!((report.state, report.pending.is_some()), (word, waits), "{state}");
        }
        assert_eq!(shown(Row { leftdays: -1, ..Row::active() }).properties["expired"], json!(true));
        assert!(!shown(Row::active()).properties.contains_key("expired"));
    }

    #[test]
    fn only_the_panels_words_say_terminated() {
        let stage = Stage::new();
        let Ended::Ok(report) = read(&stage.host()) else { panic!() };
        assert_eq!(report.state, ServiceState::Terminated);
        stage.breaks("getOrders", Break::Page { done: false, status: 404 });
        assert!(matches!(read(&stage.host()), Ended::Fault(fault) if fault.class == FaultClass::InDoubt));
    }

    #[test]
    fn no_secret_is_among_what_is_shown() {
        let stage = Stage::with(Row::active());
        let Ended::Ok(report) = read(&stage.host()) else { panic!() };
        let Ended::Ok(listing) = stage.host().run(async |cx| stage::provider().list(cx).await) else { panic!() };
        let shown = format!("{:?} {}", report.properties, serde_json::to_string(&listing.accounts).unwrap());
        assert!(shown.contains("50100") && !shown.contains("made-for"), "{shown}");
    }

    #[test]
    fn a_test_asks_for_the_balance_and_then_for_plans() {
        let stage = Stage::new();
        let host = stage.host();
        let Ended::Ok(report) = host.run(async |cx| stage::provider().test(cx).await) else { panic!() };
        assert_eq!(commands(&host), ["getBalance", "getTarifs"]);
        let found: Vec<(&str, bool)> = report.findings.iter().map(|f| (f.name.as_str(), f.ok)).collect();
        assert_eq!(found, [("login", true), ("balance", true), ("plans", true)]);
        assert!(report.findings[1].text.contains("50.00 EUR"));

        stage.breaks("getTarifs", Break::Says { done: false, body: r#"{"status":"ERROR","errorCode":10}"# });
        let Ended::Ok(report) = tested(&stage) else { panic!() };
        assert!(!report.findings[2].ok);
    }

    #[test]
    fn a_test_tells_a_wrong_address_from_wrong_credentials() {
        use FaultClass::{Auth, InDoubt, InvalidInput};
        for (how, class) in [
            (Break::Page { done: false, status: 200 }, InvalidInput),
            (Break::Page { done: false, status: 302 }, InvalidInput),
            (Break::Page { done: false, status: 404 }, InvalidInput),
            (Break::Page { done: false, status: 500 }, InDoubt),
            (Break::Page { done: false, status: 403 }, Auth),
            (Break::Lost { done: false }, InDoubt),
            (Break::Says { done: false, body: r#"{"status":"ERROR","errorCode":54}"# }, Auth),
        ] {
            let stage = Stage::new();
            stage.breaks("getBalance", how.clone());
            let Ended::Fault(fault) = tested(&stage) else { panic!("{how:?}") };
            assert_eq!(fault.class, class, "{how:?}");
        }
    }

    #[test]
    fn a_list_of_nothing_is_empty() {
        let Ended::Ok(listing) = Stage::new().host().run(async |cx| stage::provider().list(cx).await) else { panic!() };
        assert_eq!(listing.accounts, []);
    }

    #[test]
    fn every_option_that_is_declared_can_be_asked_for() {
        let host = Stage::new().host();
        let values = |field: &'static str| {
            let Ended::Ok(found) = host.run(async |cx| stage::provider().options(cx, field).await) else {
                panic!("{field}")
            };
            found.into_iter().map(|option| format!("{} {}", option.value, option.label)).collect::<Vec<_>>()
        };
        assert_eq!(values("tarifid"), ["\"12\" VDS-1, 9.49 EUR a month"]);
        assert_eq!(values("locationid"), ["\"3\" NL, 9.99 EUR a month (VDS-1)"]);
        for field in ["addons", "osid", "panelid"] {
            assert_eq!(
                values(field),
                ["\"7\" Debian 12, 0.00 EUR a month (VDS-1)", "\"9\" IPv4, 2.00 EUR a month (VDS-1)"]
            );
        }
        assert_eq!(OPTIONS.len(), 5);
        let other = host.run(async |cx| stage::provider().options(cx, "period").await);
        assert!(matches!(other, Ended::Fault(fault) if fault.class == FaultClass::InvalidInput));
    }
}
