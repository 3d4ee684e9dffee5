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
