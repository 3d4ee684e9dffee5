//! What is read: `status`, `usage`, `list`, `options`, `console`, `login`.

use crate::SolidCp;
use crate::api::machines::{self, Stage};
use crate::api::packages::{self, CANCELLED, Package, Plan, SUSPENDED};
use crate::panel::{self, Doing, Owned};
use billhook_plugin_api::{
    ConsoleAccess, Cx, Fault, ListedAccount, Listing, LoginLink, Measure, OptionValue, Secret, ServiceState,
    StatusReport, UsageReport,
};
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};

/// The product settings whose values the panel can be asked for.
pub const FIELDS: &[&str] = &["plans", "os_template"];

/// Reads space, machine and power.
pub fn status<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, StatusReport> {
    Box::pin(async move {
        let report = |state| StatusReport { state, power: None, pending: None, properties: Map::new() };
        let Some(package) = owned.find(cx).await? else { return Ok(report(ServiceState::Terminated)) };
        let mut found = report(space_state(package.status));
        if let Some(portal) = &owned.panel.portal_url {
            let link = format!("{portal}/Default.aspx?pid=Home&UserID={}", package.user);
            found.properties.insert("portal_link".to_owned(), json!(link));
        }
        for (name, value) in [("plan_id", package.plan), ("user_id", package.user), ("space_id", package.parent)] {
            found.properties.insert(name.to_owned(), json!(value));
        }
        let Some(row) = owned.machine(cx).await? else {
            if found.state == ServiceState::Active {
                found.state = ServiceState::Error;
                found.pending = Some("the hosting space has no machine".to_owned());
            }
            return Ok(found);
        };
        found.properties.insert("item_id".to_owned(), json!(row.item));
        found.properties.insert("address".to_owned(), json!(row.ip));
        let Some(item) = panel::find_item(cx, row.item).await? else { return Ok(found) };
        let (word, state) = match item.stage {
            Stage::Ready => ("ok", found.state),
            Stage::Busy => ("in progress", ServiceState::Provisioning),
            Stage::Failed => ("error", ServiceState::Error),
            Stage::Deleting => ("being deleted", ServiceState::Provisioning),
        };
        found.properties.insert("provisioning".to_owned(), json!(word));
        if let Some(task) = &item.task {
            let percent = machines::task_reply(&panel::ask(cx, machines::task(task)).await?);
            let far = percent.map(|percent| format!(", {percent}%")).unwrap_or_default();
            found.pending = Some(format!("the panel is at work on the machine{far}"));
        }
        // A suspended service stays one, whatever its machine is like.
        if found.state == ServiceState::Active {
            found.state = state;
        }
        if item.stage == Stage::Ready {
            match panel::find_details(cx, row.item).await {
                Ok(details) => found.power = details.map(|details| power(&details.state).to_owned()),
                Err(fault) => cx.note(format!("the hypervisor does not tell the machine's state: {}", fault.staff)),
            }
        }
        Ok(found)
    })
}

const fn space_state(status: i64) -> ServiceState {
    match status {
        packages::ACTIVE => ServiceState::Active,
        SUSPENDED => ServiceState::Suspended,
        // The panel keeps a cancelled space; whether it is to go is for people.
        CANCELLED => ServiceState::Suspended,
        4 => ServiceState::Provisioning,
        _ => ServiceState::Unknown,
    }
}

/// The hypervisor's states in fewer words.
fn power(state: &str) -> &'static str {
    match state {
        "Running" => "running",
        "Off" | "Saved" | "FastSaved" => "stopped",
        "Paused" => "paused",
        "Starting" | "Resuming" | "Reset" => "starting",
        "Stopping" | "Saving" | "FastSaving" | "Pausing" => "stopping",
        "Snapshotting" | "Migrating" => "busy",
        state if state.ends_with("Critical") => "degraded",
        _ => "unknown",
    }
}

/// Reads what is measured. The panel measures neither traffic nor disks of machines; what is not told is left out.
pub fn usage<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, UsageReport> {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    Box::pin(async move {
        owned.read(cx).await?;
        let mut measures = Vec::new();
        let mut hold = |name: &str, used: i64, limit: Option<i64>, unit: &str, each: u64| {
            let bytes = |value: i64| u64::try_from(value).unwrap_or(0).saturating_mul(each);
            let (name, unit) = (name.to_owned(), unit.to_owned());
            measures.push(Measure { name, used: bytes(used), limit: limit.map(bytes), unit, period: None });
        };
        if let Some(row) = owned.machine(cx).await?
            && let Some(details) = panel::find_details(cx, row.item).await?
        {
            hold("cpu_percent", details.cpu_percent, Some(100), "count", 1);
            hold("memory", details.memory_used_mb, Some(details.memory_mb).filter(|mb| *mb > 0), "bytes", MIB);
            hold("uptime", details.uptime_ms / 1_000, None, "seconds", 1);
        }
        for quota in packages::context_reply(&panel::ask(cx, packages::context(owned.id)).await?)? {
            let limit = (quota.allocated >= 0).then_some(quota.allocated);
            match quota.name.as_str() {
                "VPS2012.Ram" => hold("memory_allocated", quota.used, limit, "bytes", MIB),
                "VPS2012.Hdd" => hold("disk_allocated", quota.used, limit, "bytes", GIB),
                "VPS2012.ExternalIPAddressesNumber" => hold("addresses", quota.used, limit, "count", 1),
                _ => {}
            }
        }
        let (from, to) = month(cx.now().await?);
        if let Some(used) = packages::traffic_reply(&panel::ask(cx, packages::traffic(owned.id, &from, &to)).await?)? {
            let (name, unit, period) = ("traffic".to_owned(), "bytes".to_owned(), Some("month".to_owned()));
            measures.push(Measure { name, used, limit: None, unit, period });
        }
        Ok(UsageReport { measures })
    })
}

/// The first moment of a time's month, and that time's day at its end, as the panel reads dates.
fn month(unix_ms: u64) -> (String, String) {
    // Days to a civil date, in years that begin in March.
    let days = unix_ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (format!("{year:04}-{month:02}-01T00:00:00"), format!("{year:04}-{month:02}-{day:02}T23:59:59"))
}

/// Every customer's space in the reseller's spaces, with its machine.
pub fn list<'f>(cx: &'f Cx, panel: &'f SolidCp) -> Doing<'f, Listing> {
    Box::pin(async move {
        let reseller = panel::reseller(cx, panel).await?;
        let mut accounts = Vec::new();
        for space in panel::packages_of(cx, reseller.id).await? {
            let packages = packages::within_reply(&panel::ask(cx, packages::within(space.id)).await?)?;
            let rows = machines::list_reply(&panel::ask(cx, machines::list(space.id, true)).await?)?;
            let mut by_package: BTreeMap<i64, machines::Row> = BTreeMap::new();
            for row in rows {
                by_package.entry(row.package).or_insert(row);
            }
            accounts.extend(packages.iter().map(|package| listed(package, by_package.get(&package.id))));
        }
        Ok(Listing { accounts })
    })
}

fn listed(package: &Package, row: Option<&machines::Row>) -> ListedAccount {
    let mut properties = Map::new();
    properties.insert("name".to_owned(), json!(package.name));
    properties.insert("user_id".to_owned(), json!(package.user));
    properties.insert("space_id".to_owned(), json!(package.parent));
    if let Some(row) = row {
        properties.insert("item_id".to_owned(), json!(row.item));
    }
    ListedAccount {
        remote_id: package.id.to_string(),
        username: row.map(|row| row.username.clone()).filter(|name| !name.is_empty()),
        domain: row.map(|row| row.name.clone()),
        email: None,
        package: Some(package.plan.to_string()),
        ips: row.map(|row| row.ip.clone()).filter(|ip| !ip.is_empty()).into_iter().collect(),
        state: space_state(package.status),
        created_at: Some(package.purchased.clone()).filter(|date| !date.is_empty()),
        properties,
    }
}

/// Reads the values that a setting may take.
pub fn options<'f>(cx: &'f Cx, panel: &'f SolidCp, field: &'f str) -> Doing<'f, Vec<OptionValue>> {
    Box::pin(async move {
        if !FIELDS.contains(&field) {
            return Err(Fault::invalid_input(format!("the panel has no list of values for {field}")));
        }
        let reseller = panel::reseller(cx, panel).await?.id;
        Ok(match field {
            "plans" => plans(packages::plans_reply(&panel::ask(cx, packages::plans(reseller)).await?)?),
            _ => {
                let mut seen = BTreeSet::new();
                let mut found = Vec::new();
                for space in panel::packages_of(cx, reseller).await? {
                    for template in machines::templates_reply(&panel::ask(cx, machines::templates(space.id)).await?)? {
                        if seen.insert(template.file.to_ascii_lowercase()) {
                            let label = if template.name.is_empty() { template.file.clone() } else { template.name };
                            found.push(OptionValue { value: json!(template.file), label });
                        }
                    }
                }
                found
            }
        })
    })
}

fn plans(plans: Vec<Plan>) -> Vec<OptionValue> {
    let label = |plan: &Plan| match plan.server.as_str() {
        "" => plan.name.clone(),
        server => format!("{} ({server}, space {})", plan.name, plan.space),
    };
    let usable = plans.into_iter().filter(|plan| plan.is_available);
    usable.map(|plan| OptionValue { value: json!(plan.id), label: label(&plan) }).collect()
}

/// The machine's screen in a browser, where the panel has Guacamole.
pub fn console<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, ConsoleAccess> {
    Box::pin(async move {
        owned.active(cx).await?;
        let item = owned.item_id(cx).await?;
        let url = machines::console_reply(&panel::ask(cx, machines::console(item)).await?)?;
        let url = url.ok_or_else(|| {
            Fault::unsupported(
                "a console: the panel has no Guacamole set up for its hosting servers (service settings)",
            )
        })?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(Fault::panel_bug("the panel's console is not at a web address"));
        }
        Ok(ConsoleAccess {
            url: Secret::new(url),
            password: None,
            username: None,
            kind: "html".to_owned(),
            expires_at: None,
        })
    })
}

/// The portal's login page. The panel signs nobody in by a link: the customer enters name and password there.
pub fn login<'f>(cx: &'f Cx, owned: Owned<'f>) -> Doing<'f, LoginLink> {
    Box::pin(async move {
        let portal = owned
            .panel
            .portal_url
            .as_ref()
            .ok_or_else(|| Fault::unsupported("a login link without portal_url in the server's settings"))?;
        owned.read(cx).await?;
        Ok(LoginLink { url: Secret::new(format!("{portal}/Default.aspx?pid=Login")), expires_at: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Stage, fault, ok};
    use billhook_plugin_api::{Console, FaultClass, Login, Provider, Status, Usage};

    fn shown(stage: &Stage) -> StatusReport {
        let request = Status { service: stage::owned(), product: stage::product(json!({})) };
        ok(stage.host().run(async |cx| stage::provider().status(cx, request).await))
    }

    #[test]
    fn the_space_decides_before_the_machine() {
        use ServiceState::{Active, Error, Provisioning, Suspended};
        for (status, provisioning, busy, state, power) in [
            (1, "OK", 0, Active, Some("running")),
            (2, "OK", 0, Suspended, Some("running")),
            (3, "OK", 0, Suspended, Some("running")),
            (4, "OK", 0, Provisioning, Some("running")),
            (1, "InProgress", 9, Provisioning, None),
            (1, "Error", 9, Provisioning, None),
            (1, "Error", 0, Error, None),
            (2, "Error", 0, Suspended, None),
        ] {
            let stage = Stage::with_machine();
            {
                let mut world = stage.world();
                world.spaces.get_mut(&801).unwrap().status = status;
                let machine = world.machines.get_mut(&753).unwrap();
                (machine.provisioning, machine.busy) = (provisioning, busy);
            }
            let report = shown(&stage);
            assert_eq!((report.state, report.power.as_deref()), (state, power), "{status} {provisioning} {busy}");
            assert_eq!(report.pending.is_some(), busy > 0);
        }
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let stage = Stage::with_machine();
        stage.world().machines.clear();
        assert_eq!(shown(&stage).state, ServiceState::Error);
        stage.world().spaces.remove(&801);
        assert_eq!(shown(&stage).state, ServiceState::Terminated);
    }

    #[test]
    fn every_state_of_the_hypervisor_has_a_word() {
        for (state, word) in [
            ("Running", "running"),
            ("Off", "stopped"),
            ("FastSaved", "stopped"),
            ("Paused", "paused"),
            ("Resuming", "starting"),
            ("FastSaving", "stopping"),
            ("Migrating", "busy"),
            ("RunningCritical", "degraded"),
            ("Deleted", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(power(state), word, "{state}");
        }
    }

    #[test]
    fn what_is_not_measured_is_left_out() {
        let stage = Stage::with_machine();
        let usage = || Usage { service: stage::owned(), product: stage::product(json!({})) };
        let report = ok(stage.host().run(async |cx| stage::provider().usage(cx, usage()).await));
        let names: Vec<&str> = report.measures.iter().map(|measure| measure.name.as_str()).collect();
        assert_eq!(names, ["cpu_percent", "memory", "uptime", "memory_allocated"]);
        assert_eq!((report.measures[1].used, report.measures[1].limit), (2_100 << 20, Some(4_096 << 20)));
        assert_eq!(report.measures[3].limit, None, "-1 is without limit");
    }

    #[test]
    fn a_month_begins_on_its_first_day() {
        for (unix_ms, from, to) in [
            (0, "1970-01-01", "1970-01-01"),
            (1_800_000_000_000, "2027-01-01", "2027-01-15"),
            (1_709_164_800_000, "2024-02-01", "2024-02-29"),
            (1_735_689_599_000, "2024-12-01", "2024-12-31"),
        ] {
            assert_eq!(month(unix_ms), (format!("{from}T00:00:00"), format!("{to}T23:59:59")));
        }
    }

    #[test]
    fn a_list_has_every_customers_space_once() {
        let stage = Stage::with_machine();
        let bare = stage::Space { parent: 6, status: 2, ..stage.world().spaces[&801].clone() };
        stage.world().spaces.insert(802, bare);
        let listing = ok(stage.host().run(async |cx| stage::provider().list(cx).await));
        let found: Vec<(&str, usize, ServiceState)> = listing
            .accounts
            .iter()
            .map(|account| (account.remote_id.as_str(), account.ips.len(), account.state))
            .collect();
        assert_eq!(found, [("801", 1, ServiceState::Active), ("802", 0, ServiceState::Suspended)]);
    }

    #[test]
    fn values_of_settings_come_from_the_panel() {
        for (field, first, count) in [("plans", json!(11), 4), ("os_template", json!("WIN2022.vhdx"), 1)] {
            let found = ok(Stage::new().host().run(async |cx| stage::provider().options(cx, field).await));
            assert_eq!((&found[0].value, found.len()), (&first, count), "{field}");
        }
        let unknown = fault(Stage::new().host().run(async |cx| stage::provider().options(cx, "disk_gb").await));
        assert_eq!(unknown.class, FaultClass::InvalidInput);
    }

    #[test]
    fn a_console_and_a_login_are_what_the_panel_has() {
        let console = || Console { service: stage::owned(), product: stage::product(json!({})) };
        let stage = Stage::with_machine();
        let none = fault(stage.host().run(async |cx| stage::provider().console(cx, console()).await));
        assert_eq!(none.class, FaultClass::Unsupported);
        stage.world().console = "https://g.example.test/?t=1";
        let access = ok(stage.host().run(async |cx| stage::provider().console(cx, console()).await));
        assert_eq!((access.url.expose().as_str(), access.kind.as_str()), ("https://g.example.test/?t=1", "html"));

        let login = || Login { service: stage::owned(), product: stage::product(json!({})) };
        let none = fault(stage.host().run(async |cx| stage::provider().login(cx, login()).await));
        assert_eq!(none.class, FaultClass::Unsupported);
        let provider = stage::provider_with(json!({ "portal_url": "https://cp.example.test/" }));
        let link = ok(stage.host().run(async |cx| provider.login(cx, login()).await));
        assert_eq!(link.url.expose(), "https://cp.example.test/Default.aspx?pid=Login");
    }
}
