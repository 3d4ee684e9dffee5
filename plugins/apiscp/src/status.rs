//! What is only read: `status`, `usage`, `list`, `options`, `test`.

use crate::call::Caller;
use crate::panel::{self, Doing, Owned, ask};
use crate::site::{LIMITS, Site};
use crate::{ApisCp, api, call, wsdl};
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
            used: used.saturating_mul(1_024),
            limit: limit(storage.get("qhard").or(storage.get("qsoft")), 1_024),
            unit: "bytes".into(),
            period: None,
        });
    }
    if let Some(used) = storage.get("fused") {
        measures.push(Measure {
            name: "files".into(),
            used: *used,
            limit: limit(storage.get("fhard").or(storage.get("fsoft")), 1),
            unit: "count".into(),
            period: None,
        });
    }
    let traffic = numbers(cx, owned, &site, "bandwidth").await?;
    if let Some(used) = traffic.get("sum") {
        measures.push(Measure {
            name: "traffic".into(),
            used: *used,
            limit: limit(traffic.get("threshold"), 1),
            unit: "bytes".into(),
            period: Some("month".into()),
        });
    }
    Ok(UsageReport { measures })
}

/// What the panel measured, in whole units; what is below zero is 0.
type Numbers = BTreeMap<String, u64>;

/// The numbers of one kind of usage; none where the panel has none of this site.
fn numbers<'f>(cx: &'f Cx, owned: Owned<'f>, site: &'f Site, field: &'static str) -> Doing<'f, Numbers> {
    Box::pin(async move {
        let request = owned.panel.caller.usage(field, &site.key);
        let all = match ask(cx, api::USAGE, request, api::figures).await {
            Err(fault) if panel::is_gone(&fault) => return Ok(Numbers::new()),
            other => other?,
        };
        let of_site = |key: &str| {
            let (of, name) = key.rsplit_once('.')?;
            (of == site.key || of == site.domain).then(|| name.to_owned())
        };
        let mut found = Numbers::new();
        for (key, text) in &all {
            let Some(name) = of_site(key) else { continue };
            // Nothing is measured where nothing is said; a word is no measure.
            if text.is_empty() {
                continue;
            }
            let number = whole(text).ok_or_else(|| {
                Fault::panel_bug(format!("the panel's figures have no number at {key}: report this with its version"))
            })?;
            found.insert(name, number);
        }
        Ok(found)
    })
}

/// A number as PHP writes it (`15000000000`, `0.5`, `1.5E+25`), without its fraction. Below zero it is 0, and what is too large is
/// the largest.
fn whole(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    if before.is_empty() || !before.bytes().chain(after.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if is_negative {
        return Some(0);
    }
    let places = i64::try_from(before.len()).ok()? + i64::from(exponent);
    let places = usize::try_from(places).unwrap_or_default().min(40);
    let all = before.bytes().chain(after.bytes()).chain(std::iter::repeat(b'0')).take(places);
    Some(all.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// No limit, 0 and less are no limit.
fn limit(number: Option<&u64>, unit: u64) -> Option<u64> {
    number.map(|number| number.saturating_mul(unit)).filter(|limit| *limit > 0)
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
        version.and_then(|parts| {
            // A part that is not told is none; one that is no number is no version.
            let number = |name: &str| {
                let is_nested = parts.keys().any(|key| key.split_once('.').is_some_and(|(part, _)| part == name));
                match parts.get(name).map(String::as_str) {
                    None if !is_nested => Ok("?"),
                    Some(part) if part.bytes().all(|byte| byte.is_ascii_digit()) => Ok(part),
                    _ => Err(Fault::panel_bug(format!("the panel's version has no number at {name}"))),
                }
            };
            Ok(format!("{}.{}.{}", number("ver_maj")?, number("ver_min")?, number("ver_patch")?))
        }),
    ));
    // Nobody has this invoice: what is tried is whether the question is allowed.
    let sites = panel.billed(cx, "billing.invoice", "billhook-test").await;
    findings.push(found("sites", sites.map(|_| "sites can be looked up".to_owned())));
    findings.push(described(cx).await?);
    Ok(TestReport { findings })
}

/// Holds the panel's own description of its operations against what is sent. A panel without one is none the worse.
fn described(cx: &Cx) -> Doing<'_, Finding> {
    Box::pin(async move {
        let reply = match cx.http(Caller::description()).await {
            Ok(reply) if reply.status == 200 => reply,
            Ok(reply) => {
                let text = format!(
                    "the panel does not show its operations ({}), so that they were not compared",
                    reply.status
                );
                return Ok(Finding { name: "operations".into(), ok: true, text });
            }
            Err(fault) => return Ok(found("operations", Err(fault))),
        };
        let told = match call::LIMITS.read(reply.header("content-type"), &reply.body) {
            Ok(tree) => wsdl::differences(&tree),
            Err(error) => vec![error.to_string()],
        };
        Ok(found(
            "operations",
            if told.is_empty() {
                Ok("the panel's operations take what they are sent".to_owned())
            } else {
                Err(Fault::panel_bug(format!("{}: report this with the panel's version", told.join("; "))))
            },
        ))
    })
}

fn found(name: &str, result: Result<String, Fault>) -> Finding {
    let (ok, text) = match result {
        Ok(text) => (true, text),
        Err(fault) => (false, fault.staff.clone()),
    };
    Finding { name: name.to_owned(), ok, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Stage, calls, changes, fault, ok};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Provider, Status, Usage};

    fn shown(host: &ScriptedHost) -> Ended<StatusReport> {
        let request = Status { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().status(cx, request).await)
    }

    fn measured(host: &ScriptedHost) -> Vec<(String, u64, Option<u64>)> {
        let request = Usage { service: stage::service(), product: stage::product(json!({})) };
        let report = ok(host.run(async |cx| stage::provider().usage(cx, request).await));
        report.measures.into_iter().map(|measure| (measure.name, measure.used, measure.limit)).collect()
    }

    #[test]
    fn the_state_is_what_the_panel_shows() {
        let stage = Stage::with_site();
        let host = stage.host();
        let report = ok(shown(&host));
        assert_eq!((report.state, report.properties["plan"].as_str()), (ServiceState::Active, Some("basic")));
        assert_eq!(report.properties["plan_limits"], json!({ "diskquota.quota": "5000" }));
        assert!(!serde_json::to_string(&report.properties).unwrap().contains("dns-secret"));
        assert!(!calls(&host).contains(&"admin_hijack".to_owned()), "nobody signs in for a site that is in use");

        stage.world().sites.get_mut(&12).unwrap().inactive = Some("overdue [billhook]".into());
        let report = ok(shown(&host));
        assert_eq!(report.state, ServiceState::Suspended);
        assert_eq!(report.properties["suspension_reason"], "overdue [billhook]");

        stage.world().hides_active = true;
        assert_eq!(ok(shown(&host)).state, ServiceState::Suspended);
        stage.world().sites.get_mut(&12).unwrap().inactive = None;
        assert_eq!(ok(shown(&host)).state, ServiceState::Active);

        stage.world().sites.remove(&12);
        assert_eq!(ok(shown(&host)).state, ServiceState::Terminated);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn what_is_only_a_help_fails_alone() {
        let stage = Stage::with_site();
        stage.world().sites.get_mut(&12).unwrap().inactive = Some("x".into());
        stage.breaks("admin_hijack", Break::Fault { done: false, text: "insufficient privileges" });
        stage.breaks("admin_get_plan", Break::Fault { done: false, text: "unknown plan" });
        let host = stage.host();

        assert_eq!(ok(shown(&host)).state, ServiceState::Suspended);
        assert_eq!(host.notes().len(), 2, "{:?}", host.notes());
    }

    #[test]
    fn a_session_goes_out_with_the_one_request_that_needs_it() {
        let stage = Stage::with_site();
        stage.world().sites.get_mut(&12).unwrap().inactive = Some("x".into());
        let host = stage.host();
        ok(shown(&host));

        for (request, _) in host.exchanges() {
            let is_asked_as_site = stage::operation(&request) == "auth_inactive_reason";
            assert_eq!(!request.cookies.is_empty(), is_asked_as_site, "{}", stage::operation(&request));
            assert!(request.query.iter().any(|(name, _)| name == "authkey"), "the key is sent all the same");
        }
    }

    #[test]
    fn numbers_are_read_as_php_writes_them() {
        for (text, expected) in [
            ("15000000000", Some(15_000_000_000)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("12.9", Some(12)),
            ("0.1", Some(0)),
            ("1.5E+3", Some(1_500)),
            ("1.5E+10", Some(15_000_000_000)),
            ("1.2345e2", Some(123)),
            ("5E-1", Some(0)),
            ("1.5E+25", Some(u64::MAX)),
            ("1E+999999999", Some(u64::MAX)),
            ("0E+99", Some(0)),
            ("-7", Some(0)),
            ("", None),
            ("x", None),
            ("1.2.3", None),
            ("INF", None),
            ("1E", None),
            ("E5", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn usage_is_in_bytes_and_no_limit_is_none() {
        let row = |key: &str, numbers: &[(&str, &str)]| {
            let inner: String =
                numbers.iter().map(|(k, v)| format!("<item><key>{k}</key><value>{v}</value></item>")).collect();
            format!("<return><item><key>{key}</key><value>{inner}</value></item></return>")
        };
        let stage = Stage::with_site();
        let host = stage.host();
        for (storage, traffic, expected) in [
            (
                row("site12", &[("qused", "1048576"), ("qhard", "5242880"), ("fused", "1200"), ("fhard", "0")]),
                row("site12", &[("sum", "1.5E+10"), ("threshold", "107374182400")]),
                vec![
                    ("disk", 1_073_741_824, Some(5_368_709_120)),
                    ("files", 1_200, None),
                    ("traffic", 15_000_000_000, Some(107_374_182_400)),
                ],
            ),
            (
                row("a.example", &[("qused", "1"), ("qhard", "-1")]),
                row("site12", &[("sum", "1.5E+25"), ("threshold", "0")]),
                vec![("disk", 1_024, None), ("traffic", u64::MAX, None)],
            ),
            (row("site11", &[("qused", "1")]), row("site11", &[("sum", "2")]), vec![]),
        ] {
            stage.world().usage = [("storage", storage), ("bandwidth", traffic)].into();
            let expected: Vec<_> =
                expected.into_iter().map(|(name, used, limit)| (name.to_owned(), used, limit)).collect();
            assert_eq!(measured(&host), expected);
        }
        stage.world().usage.clear();
        assert_eq!(measured(&host), []);
    }

    #[test]
    fn all_sites_are_listed_by_their_ids() {
        let host = Stage::with_site().host();
        let listing = ok(host.run(async |cx| stage::provider().list(cx).await));
        let ids: Vec<_> = listing.accounts.iter().map(|account| account.remote_id.as_str()).collect();
        assert_eq!(ids, ["site11", "site12"]);
        let own = &listing.accounts[1];
        assert_eq!((own.domain.as_deref(), own.username.as_deref()), (Some("a.example"), Some("auser")));
        assert_eq!((own.package.as_deref(), own.state), (Some("basic"), ServiceState::Active));
        assert_eq!(own.properties["invoice"], "billhook-p-1007");
        let none = Stage::new().host();
        assert!(ok(none.run(async |cx| stage::provider().list(cx).await)).accounts.is_empty());
    }

    #[test]
    fn plans_are_what_the_panel_has() {
        let host = Stage::new().host();
        let plans = ok(host.run(async |cx| stage::provider().options(cx, "plan").await));
        assert_eq!(plans.into_iter().map(|plan| plan.label).collect::<Vec<_>>(), ["basic", "pro"]);
        let refused = fault(host.run(async |cx| stage::provider().options(cx, "disk_gb").await));
        assert_eq!(refused.class, FaultClass::Unsupported);
    }

    #[test]
    fn a_test_tells_what_the_key_lacks() {
        let stage = Stage::new();
        let host = stage.host();
        let report = ok(host.run(async |cx| stage::provider().test(cx).await));
        assert!(report.findings.iter().all(|finding| finding.ok), "{report:?}");
        assert_eq!(report.findings.len(), 5);

        stage.breaks("admin_list_plans", Break::Fault { done: false, text: "command does not exist" });
        let report = ok(host.run(async |cx| stage::provider().test(cx).await));
        let plans = report.findings.iter().find(|finding| finding.name == "plans").unwrap();
        assert!(!plans.ok && plans.text.contains("administrator"), "{plans:?}");

        stage.breaks("common_whoami", Break::Page { done: false, status: 401 });
        assert_eq!(fault(host.run(async |cx| stage::provider().test(cx).await)).class, FaultClass::Auth);
    }
}
