//! What is only read: `status`, `usage`, `list`, `options`, `test`.

use crate::panel::{self, Doing, Owned, ask};
use crate::site::{LIMITS, Site};
use crate::{ApisCp, api, call};
use billhook_plugin_api::{
    Cx, Fault, Finding, Listing, Measure, OptionValue, ServiceState, StatusReport, TestReport, UsageReport,
};
use billhook_soap::Node;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The settings whose values the panel can be asked for.
pub const OPTIONS: &[&str] = &["plan"];

/// The site's state, and for the staff why it is suspended and what its plan has.
pub async fn status(cx: &Cx, owned: Owned<'_>) -> Result<StatusReport, Fault> {
    let Some(site) = owned.find(cx, &[]).await? else {
        return Ok(StatusReport {
            state: ServiceState::Terminated,
            power: None,
            pending: None,
            properties: Map::new(),
        });
    };
    let mut state = site.state();
    let mut properties = site.properties();
    match site.active {
        Some(true) => {}
        Some(false) => match as_site(cx, owned, &site, api::REASON, api::text).await {
            Ok(Some(reason)) if !reason.is_empty() => {
                properties.insert("suspension_reason".into(), reason.into());
            }
            Ok(_) => {}
            Err(fault) => cx.note(format!("the reason of the suspension could not be read: {}", fault.staff)),
        },
        None => {
            if let Some(is_inactive) = as_site(cx, owned, &site, api::IS_INACTIVE, api::boolean).await? {
                state = if is_inactive { ServiceState::Suspended } else { ServiceState::Active };
            }
        }
    }
    if let Some(plan) = &site.plan {
        match plan_limits(owned.panel, cx, plan).await {
            Ok(limits) if !limits.is_empty() => {
                properties.insert("plan_limits".into(), Value::Object(limits));
            }
            Ok(_) => {}
            Err(fault) => cx.note(format!("the plan {plan} could not be read: {}", fault.staff)),
        }
    }
    Ok(StatusReport { state, power: None, pending: None, properties })
}

/// Asks as the site's administrator, in a session that only this request names. `None` is null, which is an answer here.
fn as_site<'f, T: Send + 'f>(
    cx: &'f Cx,
    owned: Owned<'f>,
    site: &'f Site,
    operation: &'static str,
    reader: fn(Node<'_>) -> Result<T, billhook_soap::ReadError>,
) -> Doing<'f, Option<T>> {
    Box::pin(async move {
        let session = owned.panel.session(cx, site, "SOAP").await?;
        let request = owned.panel.caller.plain(operation)?.cookie(api::SESSION, session.expose().as_str());
        call::read(&cx.http(request).await?, operation, reader)
    })
}

/// What a plan says of those settings that a product can say too. What it does not say, it has of the panel's default plan.
pub fn plan_limits<'f>(panel: &'f ApisCp, cx: &'f Cx, plan: &'f str) -> Doing<'f, Map<String, Value>> {
    Box::pin(async move {
        let all = ask(cx, api::PLAN, panel.caller.plan(plan), api::values).await?;
        let shown = LIMITS.iter().filter_map(|name| all.get(*name).map(|value| ((*name).to_owned(), json!(value))));
        Ok(shown.collect())
    })
}

/// Disk space now, and traffic of the running month; the panel counts that nightly.
pub async fn usage(cx: &Cx, owned: Owned<'_>) -> Result<UsageReport, Fault> {
    let site = owned.read(cx).await?;
    let mut measures = Vec::new();
    let storage = numbers(cx, owned, &site, "storage").await?;
    if let Some(used) = storage.get("qused") {
        measures.push(Measure {
            name: "disk".into(),
            // The panel counts in units of 1024 bytes.
            used: bytes(*used, 1_024.0),
            limit: limit(storage.get("qhard").or(storage.get("qsoft")), 1_024.0),
            unit: "bytes".into(),
            period: None,
        });
    }
    if let Some(used) = storage.get("fused") {
        measures.push(Measure {
            name: "files".into(),
            used: bytes(*used, 1.0),
            limit: limit(storage.get("fhard").or(storage.get("fsoft")), 1.0),
            unit: "count".into(),
            period: None,
        });
    }
    let traffic = numbers(cx, owned, &site, "bandwidth").await?;
    if let Some(used) = traffic.get("sum") {
        measures.push(Measure {
            name: "traffic".into(),
            used: bytes(*used, 1.0),
            limit: limit(traffic.get("threshold"), 1.0),
            unit: "bytes".into(),
            period: Some("month".into()),
        });
    }
    Ok(UsageReport { measures })
}

type Numbers = BTreeMap<String, f64>;

/// The numbers of one kind of usage; none where the panel has none of this site.
fn numbers<'f>(cx: &'f Cx, owned: Owned<'f>, site: &'f Site, field: &'static str) -> Doing<'f, Numbers> {
    Box::pin(async move {
        let request = owned.panel.caller.usage(field, &site.key);
        let all = match ask(cx, api::USAGE, request, api::values).await {
            Err(fault) if panel::is_gone(&fault) => return Ok(Numbers::new()),
            other => other?,
        };
        let of_site = |key: &str| {
            let (of, name) = key.rsplit_once('.')?;
            (of == site.key || of == site.domain).then(|| name.to_owned())
        };
        let numbers = all.iter().filter_map(|(key, text)| Some((of_site(key)?, text.parse().ok()?)));
        Ok(numbers.filter(|(_, number): &(String, f64)| number.is_finite()).collect())
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast goes to the nearest end")]
fn bytes(number: f64, unit: f64) -> u64 {
    (number * unit) as u64
}

/// No limit, 0 and less are no limit.
fn limit(number: Option<&f64>, unit: f64) -> Option<u64> {
    number.map(|number| bytes(*number, unit)).filter(|limit| *limit > 0)
}

/// All sites of the server.
pub async fn list(panel: &ApisCp, cx: &Cx) -> Result<Listing, Fault> {
    let sites = panel.collect(cx, &[], &[], &[]).await?;
    Ok(Listing { accounts: sites.into_iter().map(Site::listed).collect() })
}

/// The plans.
pub async fn options(panel: &ApisCp, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
    if !OPTIONS.contains(&field) {
        return Err(Fault::unsupported(&format!("options of {field}")));
    }
    let plans = ask(cx, api::PLANS, panel.caller.plans(), api::texts).await?;
    Ok(plans.into_iter().map(|plan| OptionValue { value: json!(plan), label: plan }).collect())
}

/// Whether the key is good, and good enough.
pub async fn test(panel: &ApisCp, cx: &Cx) -> Result<TestReport, Fault> {
    let login = ask(cx, api::WHOAMI, panel.caller.plain(api::WHOAMI), api::text).await?;
    let mut findings = vec![found("key", Ok(format!("the key is {login}'s")))];
    let plans = ask(cx, api::PLANS, panel.caller.plans(), api::texts).await;
    findings.push(found(
        "plans",
        match plans {
            Ok(plans) if plans.is_empty() => Err(Fault::invalid_input("the panel has no plans: make one")),
            other => other.map(|plans| format!("{} plans: {}", plans.len(), plans.join(", "))),
        },
    ));
    let version = ask(cx, api::VERSION, panel.caller.version(), api::values).await;
    findings.push(found(
        "version",
        version.map(|parts| {
            let part = |name: &str| parts.get(name).map_or("?", String::as_str);
            format!("{}.{}.{}", part("ver_maj"), part("ver_min"), part("ver_patch"))
        }),
    ));
    // Nobody has this invoice: what is tried is whether the question is allowed.
    let sites = panel.billed(cx, "billing.invoice", "billhook-test").await;
    findings.push(found("sites", sites.map(|_| "sites can be looked up".to_owned())));
    Ok(TestReport { findings })
}

fn found(name: &str, result: Result<String, Fault>) -> Finding {
    let (ok, text) = match result {
        Ok(text) => (true, text),
        Err(fault) => (false, fault.staff.clone()),
    };
    Finding { name: name.to_owned(), ok, text }
}
