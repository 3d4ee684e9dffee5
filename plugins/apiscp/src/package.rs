//! `change_package`: another plan, and what the product has instead of the plan's.

use crate::api::{self, Options};
use crate::panel::{self, Owned};
use crate::settings::Product;
use crate::site::{LIMITS, Site};
use billhook_plugin_api::{Change, Cx, Fault};
use billhook_soap::Param;

/// What a product has instead of the plan's, as options.
pub fn limits(product: &Product) -> Options {
    let mut options = Options::new();
    let mut set = |name: &str, value: Option<i64>| {
        if let Some(value) = value {
            options.push((name.to_owned(), Param::Int(value)));
        }
        value.is_some()
    };
    let has_disk = set("diskquota.quota", product.disk_gb.map(i64::from));
    let has_traffic = set("bandwidth.threshold", product.traffic_gb.map(i64::from));
    set("aliases.max", product.addon_domains.map(i64::from));
    set("users.max", product.users.map(i64::from));
    set("ssh.enabled", product.ssh.map(i64::from));
    // Which unit a bare number is in is not documented, so that it is always said.
    for name in [has_disk.then_some("diskquota.units"), has_traffic.then_some("bandwidth.units")].into_iter().flatten()
    {
        options.push((name.to_owned(), Param::text("GB")));
    }
    options
}

/// Whether the site shows these options already. A panel that keeps them in other units is told them again.
pub fn has(site: &Site, options: &Options) -> bool {
    options.iter().all(|(name, value)| {
        let shown = site.limit(name);
        match value {
            Param::Int(wanted) => shown.and_then(|text| text.parse().ok()) == Some(*wanted),
            Param::Text(wanted) => shown == Some(wanted),
            _ => false,
        }
    })
}

/// Sets the plan and the limits. Nothing is sent where the panel shows them so.
pub async fn run(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let product = owned.product;
    let wanted = limits(product);
    let next = |site: &Site| {
        let is_plan = site.plan.as_deref() == Some(&product.plan);
        if is_plan && has(site, &wanted) {
            return Ok(None);
        }
        let mut options = vec![("siteinfo.plan".to_owned(), Param::text(&product.plan))];
        options.extend(wanted.iter().cloned());
        let is_reset = product.reset_on_change && !is_plan;
        let flags = if is_reset { vec![("reset".to_owned(), Param::Bool(true))] } else { Options::new() };
        // The flags are the third part: among the options they would be unknown services.
        owned.panel.caller.edit(&site.key, options, flags).map(Some)
    };
    let is_new = panel::adjust(cx, "package", api::EDIT, owned, LIMITS, &next).await?;
    let site = owned.read(cx).await?;
    if site.plan.as_deref() != Some(&product.plan) {
        return Err(Fault::panel_bug(format!(
            "the panel accepted the plan {}, and {} has {}",
            product.plan,
            site.label(),
            site.plan.as_deref().unwrap_or("none"),
        )));
    }
    let mut change = if is_new { Change::done() } else { Change::noop() };
    change.properties = site.properties();
    Ok(change)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ChangePackage, FaultClass, Provider};
    use serde_json::{Value, json};

    fn changed(host: &ScriptedHost, more: Value) -> Ended<Change> {
        let request = ChangePackage { service: stage::service(), product: stage::product(more) };
        host.run(async |cx| stage::provider().change_package(cx, request).await)
    }

    #[test]
    fn another_plan_is_set_once_with_its_reset() {
        for (more, reset) in [(json!({}), Some("true")), (json!({ "reset_on_change": false }), None)] {
            let stage = Stage::with_site();
            let host = stage.host();
            let mut settings =
                json!({ "plan": "pro", "disk_gb": 7, "traffic_gb": 9, "addon_domains": 0, "users": 3, "ssh": false });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());

            let change = ok(changed(&host, settings.clone()));
            host.next_operation();
            let again = ok(changed(&host, settings));

            assert_eq!((change.noop, again.noop, changes(&host).len()), (false, true, 1));
            assert_eq!(change.properties["plan"], "pro");
            let site = stage.site();
            for (name, value) in [
                ("siteinfo.plan", Some("pro")),
                ("diskquota.quota", Some("7")),
                ("diskquota.units", Some("GB")),
                ("bandwidth.threshold", Some("9")),
                ("bandwidth.units", Some("GB")),
                ("aliases.max", Some("0")),
                ("users.max", Some("3")),
                ("ssh.enabled", Some("0")),
                ("flag.reset", reset),
                ("aliases.aliases", None),
                ("auth.tpasswd", None),
                ("flag.all", None),
            ] {
                assert_eq!(site.option(name), value, "{name}");
            }
        }
    }

    #[test]
    fn the_same_plan_with_another_limit_is_not_reset() {
        let stage = Stage::with_site();
        let host = stage.host();
        assert!(!ok(changed(&host, json!({ "disk_gb": 7 }))).noop);
        assert_eq!((stage.site().option("diskquota.quota"), stage.site().option("flag.reset")), (Some("7"), None));
        host.next_operation();
        assert!(ok(changed(&host, json!({}))).noop, "the plan is as it should be");
    }

    #[test]
    fn a_change_that_breaks_anywhere_is_made() {
        for how in BREAKS {
            let stage = Stage::with_site();
            stage.breaks("admin_edit_site", how);
            let host = stage.host();
            ok(to_end(|| changed(&host, json!({ "plan": "pro" }))));
            assert_eq!(stage.site().option("siteinfo.plan"), Some("pro"), "{how:?}");
        }
    }

    #[test]
    fn an_unknown_plan_and_a_stranger_are_refused() {
        let stage = Stage::with_site();
        stage.breaks("admin_edit_site", Break::Fault { done: false, text: "unknown plan `gold'" });
        let refused = fault(changed(&stage.host(), json!({ "plan": "gold" })));
        assert_eq!((refused.class, refused.refused), (FaultClass::InvalidInput, true));

        stage.world().sites.get_mut(&12).unwrap().options.insert("billing.invoice".into(), "other-2".into());
        let host = stage.host();
        assert_eq!(fault(changed(&host, json!({ "plan": "pro" }))).class, FaultClass::NotFound);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn what_the_panel_accepts_and_does_not_do_is_its_bug() {
        let stage = Stage::with_site();
        let host = stage.host();
        // Answered as if it were done; the step is then taken as done, and the plan that is read differs.
        host.set_panel({
            let stage = stage.clone();
            move |request| {
                if stage::operation(request) == "admin_edit_site" {
                    return stage::accepting("admin_edit_site");
                }
                stage.world().take(request)
            }
        });
        assert_eq!(fault(changed(&host, json!({ "plan": "pro" }))).class, FaultClass::PanelBug);
    }
}
