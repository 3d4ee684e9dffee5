//! What is only read: `status`, `usage`, `list`, `options`, `test`.

use crate::answer::{self, misfit};
use crate::form::Form;
use crate::machine::{self, Row};
use crate::panel::{Owned, Panel};
use crate::settings::UsageKind;
use crate::standing::Standing;
use crate::stock;
use crate::user::{self, LEVEL_ADMIN};
use crate::xml::Node;
use billhook_plugin_api::{
    Cx, Fault, FaultClass, Finding, ListedAccount, Listing, Measure, OptionValue, Request, ServiceState, StatusReport,
    TestReport, UsageReport,
};
use serde_json::{Map, Value, json};

/// Product settings whose values the panel can be asked for. It has no list of recipes.
pub const OPTIONS: &[&str] = &["package", "os", "OS", "ostemplate"];

const GIB: f64 = 1_073_741_824.0;

/// What the panel shows of the machine, in billing words.
pub async fn status(cx: &Cx, owned: Owned<'_>) -> Result<StatusReport, Fault> {
    let found = owned.find(cx).await?;
    let standing = found.standing();
    let mut properties = Map::new();
    let (state, power) = match (&standing, &found.machine) {
        (Standing::Ours, Some((row, _))) => {
            properties = row.properties();
            (state(row), row.power())
        }
        (Standing::Making, Some((row, _))) => {
            properties = row.properties();
            properties.insert("note".into(), json!("not handed over yet"));
            let state = if row.failed { ServiceState::Error } else { ServiceState::Provisioning };
            (state, row.power())
        }
        (Standing::Releasing, _) => {
            properties.insert("note".into(), json!("being given back: terminate the service again"));
            (ServiceState::Error, None)
        }
        (Standing::Foreign(why), _) => {
            properties.insert("note".into(), json!(why));
            (ServiceState::Terminated, None)
        }
        _ => (ServiceState::Terminated, None),
    };
    let pending = found.machine.as_ref().filter(|(row, _)| standing == Standing::Ours && row.installing);
    Ok(StatusReport {
        state,
        power: power.map(str::to_owned),
        pending: pending.map(|_| "a system is being installed".to_owned()),
        properties,
    })
}

fn state(row: &Row) -> ServiceState {
    let found = [
        (row.is_suspended(), ServiceState::Suspended),
        (row.installing, ServiceState::Provisioning),
        (row.failed || row.hardware, ServiceState::Error),
        (row.diagnostics, ServiceState::Provisioning),
    ];
    found.into_iter().find(|(holds, _)| *holds).map_or(ServiceState::Active, |(_, state)| state)
}

/// How much traffic the machine had. What the report does not name is not known, and never nothing.
pub async fn usage(cx: &Cx, owned: Owned<'_>) -> Result<UsageReport, Fault> {
    let (row, _, _) = owned.read(cx).await?;
    let panel = owned.panel;
    let mut measures = Vec::new();
    if panel.usage != UsageKind::Percentile {
        let form = Form::view("traffic").with("sok", "ok").with("period", "currentmonth").slow();
        let doc = panel.read(cx, form).await?;
        if let Some(row) = report_row(&doc, &row.id) {
            for (name, word) in [("traffic_in", "rx"), ("traffic_out", "tx")] {
                if let Some(used) = row.child(word).and_then(bytes) {
                    measures.push(measure(name, used, "bytes"));
                }
            }
        }
    }
    if panel.usage != UsageKind::Volume {
        let doc = panel.read(cx, Form::view("trafficburstable").slow()).await?;
        // The report's column is in Mbit/s.
        if let Some(used) = report_row(&doc, &row.id).and_then(|row| scaled(row.text("burst")?, 1_000_000.0)) {
            measures.push(measure("bandwidth_95th", used, "bits_per_second"));
        }
    }
    Ok(UsageReport { measures })
}

fn measure(name: &str, used: u64, unit: &str) -> Measure {
    Measure { name: name.to_owned(), used, limit: None, unit: unit.to_owned(), period: Some("month".to_owned()) }
}

/// A machine's row, wherever the report has it.
fn report_row<'d>(doc: &'d Node, id: &str) -> Option<&'d Node> {
    let mut rows = Vec::new();
    doc.child("reportdata")?.deep("elem", &mut rows);
    rows.into_iter().find(|row| row.text("id") == Some(id))
}

/// Bytes: exactly from the attribute `orig`, else from GiB in the text.
fn bytes(cell: &Node) -> Option<u64> {
    match cell.attribute("orig") {
        Some(exact) => scaled(exact, 1.0),
        None => scaled(cell.own_text(), GIB),
    }
}

fn scaled(text: &str, factor: f64) -> Option<u64> {
    let text = text.trim();
    // The reader of JSON numbers is there already; another one would be a good part of this library.
    let number = serde_json::from_str::<f64>(text.split_whitespace().next()?).ok()?;
    let scaled = number * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was just looked at")]
    (scaled.is_finite() && (0.0..9.0e18).contains(&scaled)).then(|| scaled.round() as u64)
}

/// Every machine that has an owner.
pub async fn list(panel: &Panel, cx: &Cx) -> Result<Listing, Fault> {
    let rows = panel.rows(cx).await?;
    let accounts = rows.into_iter().filter(|row| row.owner.is_some()).map(|row| ListedAccount {
        remote_id: row.id.clone(),
        username: row.owner.clone(),
        domain: Some(row.hostname.clone()).filter(|name| !name.is_empty()),
        email: None,
        package: row.chassis.clone().or(row.kind.clone()),
        ips: row.ip.iter().cloned().collect(),
        state: state(&row),
        created_at: None,
        properties: row.properties(),
    });
    Ok(Listing { accounts: accounts.collect() })
}

/// The values that a product setting may take.
pub async fn options(panel: &Panel, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
    match field {
        "package" => Ok(packages(&panel.rows(cx).await?)),
        "os" | "OS" | "ostemplate" => templates(&panel.read(cx, Form::view("osmgr").with("filter", "off")).await?),
        other => Err(Fault::invalid_input(format!("the panel has no list of values for {other}"))),
    }
}

fn packages(rows: &[Row]) -> Vec<OptionValue> {
    let mut found: Vec<(&str, u32, u32)> = Vec::new();
    for row in rows {
        let names = [row.chassis.as_deref(), row.kind.as_deref().filter(|kind| row.chassis.as_deref() != Some(kind))];
        for name in names.into_iter().flatten() {
            let at = match found.binary_search_by(|(other, ..)| (*other).cmp(name)) {
                Ok(at) => at,
                Err(at) => {
                    found.insert(at, (name, 0, 0));
                    at
                }
            };
            found[at].1 += 1;
            found[at].2 += u32::from(stock::is_free(row));
        }
    }
    let option = |(name, all, free): (&str, u32, u32)| OptionValue {
        value: json!(name),
        label: format!("{name} ({free} of {all} free)"),
    };
    found.into_iter().map(option).collect()
}

/// Templates that are installed and that customers may use.
fn templates(doc: &Node) -> Result<Vec<OptionValue>, Fault> {
    let is_usable = |row: &&&Node| {
        // Where the panel does not tell, it shows the usable ones only.
        let installed = row.child("installed").is_none_or(|flag| flag.own_text() != "off");
        installed && row.child("restrict").is_none_or(|flag| flag.own_text() == "off")
    };
    let rows = machine::elements(doc)?;
    // A mark that is there in another shape is no mark, and would hide the template.
    if let Some(name) = rows.iter().find_map(|row| row.not_text(&["name", "installed", "restrict"])) {
        return Err(misfit(&format!("doc.elem.{name}")));
    }
    let option = |row: &&Node| {
        let id = row.text("id").ok_or_else(|| misfit("doc.elem.id"))?;
        let label = row.text("name").unwrap_or(id);
        Ok(OptionValue { value: json!(id), label: label.to_owned() })
    };
    rows.iter().filter(is_usable).map(option).collect()
}

/// Tries address, credentials and rights.
pub async fn test(panel: &Panel, cx: &Cx) -> Result<TestReport, Fault> {
    if let Err(fault) = panel.sign_in(cx).await {
        // A page where the panel should be may be the next generation's.
        if fault.class == FaultClass::InDoubt
            && let Ok(reply) = cx.http(Request::get("/api/dci/v3/server")).await
            && reply.body.trim_ascii_start().starts_with(b"{")
        {
            return Err(answer::version_6("the server answers calls of another generation"));
        }
        return Err(fault);
    }
    let mut findings = vec![finding("sign in", true, format!("signed in as {}", panel.login))];
    let who = panel.read(cx, Form::view("whoami")).await;
    findings.push(version(&who));
    let users = panel.users(cx).await?;
    findings.push(match user::admin(&users, &panel.login) {
        Ok(_) => finding("account", true, "the account is an ordinary one and can own machines".into()),
        Err(fault) => finding("account", false, fault.staff.clone()),
    });
    let level = level(&who).or_else(|| user::find(&users, &panel.login)?.level.clone());
    findings.push(match level.as_deref().map(str::parse::<u32>) {
        Some(Ok(level)) if level < LEVEL_ADMIN => {
            finding("rights", false, format!("the account has the level {level}: give it the role Administrator"))
        }
        Some(Ok(level)) if level > LEVEL_ADMIN => {
            finding("rights", false, "the account is a superuser: use one with the role Administrator".into())
        }
        Some(Ok(_)) => finding("rights", true, "the account is an administrator".into()),
        _ => finding("rights", true, "the panel does not tell the account's level; it sees all accounts".into()),
    });
    let rows = panel.rows(cx).await?;
    let free = rows.iter().filter(|row| stock::is_free(row)).count();
    findings.push(finding(
        "machines",
        !rows.is_empty(),
        match rows.len() {
            0 => "the account sees no machines: give it the role Administrator, or add machines".to_owned(),
            all => format!("{all} machines, {free} of them free"),
        },
    ));
    let templates = options(panel, cx, "os").await?;
    findings.push(finding(
        "templates",
        !templates.is_empty(),
        match templates.len() {
            0 => "no template can be installed: install some on the panel".to_owned(),
            all => format!("{all} templates"),
        },
    ));
    Ok(TestReport { findings })
}

fn finding(name: &str, ok: bool, text: String) -> Finding {
    Finding { name: name.to_owned(), ok, text }
}

/// What the panel says of its version; where it says so is not documented.
fn version(who: &Result<Node, Fault>) -> Finding {
    let told = who.as_ref().ok().and_then(|doc| {
        let manager = doc.child("mgr")?;
        let told = ["version", "ver"].iter().find_map(|name| manager.attribute(name).or(manager.text(name)));
        told.filter(|version| !version.is_empty()).map(str::to_owned)
    });
    match told {
        Some(version)
            if version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|it| it != 5) =>
        {
            finding("version", false, format!("the panel says version {version}: this provider speaks version 5"))
        }
        Some(version) => finding("version", true, format!("DCImanager {version}")),
        None => finding("version", true, "the panel answers as version 5 does, and does not tell its version".into()),
    }
}

fn level(who: &Result<Node, Fault>) -> Option<String> {
    let user = who.as_ref().ok()?.child("user")?;
    user.attribute("level").or(user.text("level")).map(str::to_owned)
}

/// Facts of a listed machine for actions.
pub fn shown(row: &Row) -> Value {
    json!({ "power": row.power(), "installing": row.installing, "failed": row.failed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, ADMIN, Break, Machine, Stage, fault, ok_of};
    use billhook_plugin_api::testing::{Ended, ScriptedHost, reply};
    use billhook_plugin_api::{Provider, Status, Usage};

    fn seen(machine: Machine) -> StatusReport {
        let request = Status { service: stage::service(), product: stage::product(json!({})) };
        ok_of(Stage::with(machine).host().run(async |cx| stage::provider().status(cx, request).await))
    }

    fn flagged(flag: &'static str) -> Machine {
        Machine { flags: [flag].into(), ..Machine::sold() }
    }

    #[test]
    fn the_first_of_the_panels_words_that_holds_is_the_status() {
        use ServiceState::{Active, Error, Provisioning, Suspended, Terminated};
        for (machine, expected, power) in [
            (Machine::sold(), Active, Some("on")),
            (Machine { on: false, ..Machine::sold() }, Active, Some("off")),
            (Machine { disabled: true, ..Machine::sold() }, Suspended, Some("on")),
            (flagged("blocked"), Suspended, Some("on")),
            (flagged("install_in_progress"), Provisioning, Some("on")),
            (flagged("operation_failed"), Error, Some("on")),
            (flagged("hwproblem"), Error, Some("on")),
            (flagged("diag_in_progress"), Provisioning, Some("on")),
            (flagged("powererror"), Active, Some("error")),
            (Machine { owner: Some(ADMIN.into()), ..Machine::sold() }, Provisioning, Some("on")),
            (Machine { owner: Some(ADMIN.into()), ..flagged("operation_failed") }, Error, Some("on")),
            (Machine::free(42), Terminated, None),
            (Machine { owner: Some("60".into()), notes: String::new(), ..Machine::sold() }, Terminated, None),
            (Machine { notes: "[svc:whmcs/2 op:x]".into(), ..Machine::sold() }, Terminated, None),
        ] {
            let report = seen(machine.clone());
            assert_eq!((report.state, report.power.as_deref()), (expected, power), "{machine:?}");
        }
        assert!(seen(flagged("install_in_progress")).pending.is_some());
    }

    const REPORT: &str = "<reportdata><band><elem><id>42</id><rx orig='1024'>0.1</rx><tx>1.5 GiB</tx><burst>12.5</burst></elem>\
         <elem><id>43</id><rx>9</rx><tx>9</tx><burst>9</burst></elem></band></reportdata>";

    fn used(kind: &str, report: &'static str) -> Vec<(String, u64, String)> {
        let stage = Stage::with(Machine::sold());
        stage.world().report = report;
        let provider = stage::provider_with(json!({ "usage": kind }));
        let request = Usage { service: stage::service(), product: stage::product(json!({})) };
        let report: UsageReport = ok_of(stage.host().run(async |cx| provider.usage(cx, request).await));
        report.measures.into_iter().map(|measure| (measure.name, measure.used, measure.unit)).collect()
    }

    #[test]
    fn volume_and_percentile_are_never_one_number() {
        let row = |name: &str, used: u64, unit: &str| (name.to_owned(), used, unit.to_owned());
        let volume = [row("traffic_in", 1_024, "bytes"), row("traffic_out", 1_610_612_736, "bytes")];
        let percentile = [row("bandwidth_95th", 12_500_000, "bits_per_second")];
        assert_eq!(used("volume", REPORT), volume);
        assert_eq!(used("percentile", REPORT), percentile);
        assert_eq!(used("both", REPORT), [&volume[..], &percentile[..]].concat());
    }

    #[test]
    fn what_is_not_told_is_not_nothing() {
        for report in [
            "",
            "<reportdata><elem><id>43</id><rx>1</rx></elem></reportdata>",
            "<reportdata><elem><id>42</id><rx>-1</rx><tx>x</tx></elem></reportdata>",
            "<elem><id>42</id><rx>1</rx></elem>",
        ] {
            assert_eq!(used("both", report), [], "{report}");
        }
    }

    #[test]
    fn a_list_is_what_has_an_owner() {
        let host = Stage::with(Machine { disabled: true, ..Machine::sold() }).host();
        let listing = ok_of(host.run(async |cx| stage::provider().list(cx).await));
        assert_eq!(listing.accounts.len(), 1);
        let account = &listing.accounts[0];
        assert_eq!((account.remote_id.as_str(), account.username.as_deref()), ("42", Some("client42")));
        assert_eq!((account.state, account.ips.as_slice()), (ServiceState::Suspended, &["192.0.2.42".to_owned()][..]));
    }

    #[test]
    fn options_are_what_the_panel_has() {
        let stage = Stage::with(Machine::sold());
        let ask = |field: &str| stage.host().run(async |cx| stage::provider().options(cx, field).await);
        let packages = ok_of(ask("package"));
        assert_eq!(packages[0].label, "E3 (2 of 3 free)");
        let values = |field: &str| ok_of(ask(field)).into_iter().map(|option| option.value).collect::<Vec<_>>();
        for field in ["os", "OS", "ostemplate"] {
            assert_eq!(values(field), [json!("ISP__Debian-12"), json!("ISP__Alma-9")]);
        }
        assert!(matches!(ask("recipe"), Ended::Fault(_)));
    }

    #[test]
    fn the_room_is_what_is_for_sale_of_the_package() {
        let stage = Stage::with(Machine::sold());
        let ask = |more: serde_json::Value| {
            ok_of(stage.host().run(async |cx| stage::provider().capacity(cx, stage::product(more.clone())).await))
        };
        let found = ask(json!({}));
        assert_eq!(found.free, Some(2));
        assert!(found.text.is_some_and(|text| text.contains("3 machines, 2 free, 1 owned")));
        assert!(ask(json!({ "package": "E9" })).is_full(), "what there is none of, none is free of");

        stage.world().machines.retain(|_, machine| !machine.is_for_sale());
        assert!(ask(json!({})).is_full());
        assert!(stage.host().steps().is_empty());
    }

    fn tested(host: &ScriptedHost) -> Ended<TestReport> {
        host.run(async |cx| stage::provider().test(cx).await)
    }

    #[test]
    fn a_test_looks_at_account_rights_and_what_there_is() {
        let report = ok_of(tested(&Stage::new().host()));
        assert!(report.findings.iter().all(|finding| finding.ok), "{report:?}");
        assert!(report.findings.iter().any(|finding| finding.text == "DCImanager 5.250"));
        for (who, bad) in [
            ("<doc><user level='16'/><mgr version='5.1'/></doc>", vec!["rights"]),
            ("<doc><user level='30'/></doc>", vec!["rights"]),
            ("<doc><user level='29'/><mgr version='6.2'/></doc>", vec!["version"]),
            ("<doc><error type='access'/></doc>", vec![]),
        ] {
            let stage = Stage::new();
            stage.breaks("whoami", Break::Says { done: false, body: who });
            if bad.is_empty() {
                // Asked again with a new session.
                stage.breaks("whoami", Break::Says { done: false, body: who });
            }
            let report = ok_of(tested(&stage.host()));
            let found: Vec<&str> =
                report.findings.iter().filter(|finding| !finding.ok).map(|finding| finding.name.as_str()).collect();
            assert_eq!(found, bad, "{who}");
        }
        let stage = Stage::new();
        stage.world().users.remove(&5);
        stage.world().machines.clear();
        let report = ok_of(tested(&stage.host()));
        assert_eq!(report.findings.iter().filter(|finding| !finding.ok).count(), 2, "{report:?}");
    }

    #[test]
    fn version_6_is_recognised_and_said() {
        for body in ["<html>", r#"{"error":{"code":1}}"#] {
            let host = ScriptedHost::new(move |request| match request.path.as_str() {
                "/api/dci/v3/server" => reply(401, r#"{"error":{"code":3000,"msg":"no"}}"#),
                _ => reply_as(body),
            });
            let fault = fault(tested(&host));
            assert_eq!(fault.class, FaultClass::Unsupported, "{body}");
            assert!(fault.staff.contains("version 6"), "{fault}");
        }
        let host = ScriptedHost::new(|_| reply_as("<html>"));
        assert_eq!(fault(tested(&host)).class, FaultClass::InDoubt);
    }

    fn reply_as(body: &str) -> billhook_plugin_api::testing::Scripted {
        billhook_plugin_api::testing::reply_as("text/html", 200, body)
    }
}
