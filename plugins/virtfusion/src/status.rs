//! `status` and `test`: what the panel shows, and whether we may see it.

use crate::owner::Relation;
use crate::panel::Owned;
use crate::settings::UserRelation;
use crate::{VirtFusion, api, fault};
use billhook_plugin_api::{Cx, Fault, FaultClass, Finding, Reply, Request, ServiceState, StatusReport, TestReport};
use serde_json::{Map, json};

/// A number that no customer has.
const NO_CUSTOMER: u64 = 2_147_483_647;

/// Reads the server's state and power.
pub async fn status(cx: &Cx, owned: Owned<'_>) -> Result<StatusReport, Fault> {
    let reply = cx.http(api::server_with_power(owned.id)).await?;
    let Some(server) = api::server_reply(&reply, owned.id)? else {
        return Ok(StatusReport {
            state: ServiceState::Terminated,
            power: None,
            pending: None,
            properties: Map::new(),
        });
    };
    owned.check(&server)?;
    let mut properties = server.flags();
    if let Some(url) = &owned.panel.panel_url {
        properties.insert("panel_url".into(), json!(url));
    }
    let pending = match (server.is_busy, server.needs_restart()) {
        (true, _) => Some("the panel is at work on the server".to_owned()),
        (false, true) => Some("changes wait for the next restart of the server".to_owned()),
        (false, false) => None,
    };
    Ok(StatusReport { state: server.service_state(), power: server.power().map(str::to_owned), pending, properties })
}

/// Tries the address, the token, and the token's rights to read.
pub async fn test(panel: &VirtFusion, cx: &Cx) -> Result<TestReport, Fault> {
    connected(&cx.http(api::connect()).await?)?;
    let mut findings =
        vec![Finding { name: "connect".into(), ok: true, text: "the panel accepts the API token".into() }];
    let nobody = match (panel.user_relation, panel.relation_prefix.as_deref()) {
        (UserRelation::RelStr, Some(prefix)) => Relation::Text(format!("{prefix}{NO_CUSTOMER}")),
        _ => Relation::Id(NO_CUSTOMER),
    };
    for (name, request) in [
        ("packages", api::packages()),
        ("hypervisor groups", api::groups()),
        ("servers", api::servers()),
        ("users", api::user(&nobody)),
    ] {
        findings.push(probe(cx, name, request).await?);
    }
    Ok(TestReport { findings })
}

/// Tells a wrong prefix of the base URL from a wrong token.
fn connected(reply: &Reply) -> Result<(), Fault> {
    match fault::of(reply) {
        None if fault::Shape::of(reply) == fault::Shape::Empty => {
            Err(fault::untrusted(reply.status, "nothing").in_class(FaultClass::InvalidInput))
        }
        None => Ok(()),
        // What is a passing trouble in other hooks is in a test most likely the address.
        Some(fault) if matches!(reply.status, 200..=399 | 404) => Err(fault.in_class(FaultClass::InvalidInput)),
        Some(fault) => Err(fault),
    }
}

async fn probe(cx: &Cx, name: &str, request: Request) -> Result<Finding, Fault> {
    let reply = cx.http(request).await?;
    let (ok, text) = match fault::of(&reply) {
        None => (true, "may be read".to_owned()),
        // Nobody is there by that relation, and we were allowed to ask.
        Some(_) if fault::is_gone(&reply) => (true, "may be read".to_owned()),
        Some(fault) if fault.class == FaultClass::Permission => {
            (false, format!("no permission to read {name}: give it to the API token on the panel"))
        }
        Some(fault) => return Err(fault),
    };
    Ok(Finding { name: name.to_owned(), ok, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Machine, Stage};
    use billhook_plugin_api::testing::Ended;
    use billhook_plugin_api::{Provider, Status};

    fn shown(machine: Machine) -> StatusReport {
        let host = Stage::with(machine).host();
        let request = Status { service: stage::service(), product: stage::product(json!({})) };
        match host.run(async |cx| stage::provider().status(cx, request).await) {
            Ended::Ok(report) => report,
            other => panic!("{other:?}"),
        }
    }

    fn tested(stage: &Stage) -> Ended<TestReport> {
        stage.host().run(async |cx| stage::provider().test(cx).await)
    }

    #[test]
    fn the_first_row_that_holds_is_the_state() {
        use ServiceState::{Active, Error, Provisioning, Suspended};
        let complete = || Machine::complete(300);
        let allocated = || Machine::allocated(300);
        let running = json!({ "state": "running", "cpu": 2.5 });
        for (machine, state, power) in [
            (Machine { suspended: true, state: "failed", ..complete() }, Suspended, None),
            (Machine { state: "failed", ..complete() }, Error, None),
            (Machine { commission: 2, ..complete() }, Error, None),
            (Machine { build_failed: true, ..complete() }, Error, None),
            (allocated(), Provisioning, None),
            (Machine { state: "queued", commission: 1, ..allocated() }, Provisioning, None),
            (Machine { state: "a new word", ..complete() }, Provisioning, None),
            (complete(), Active, None),
            (Machine { remote: running, ..complete() }, Active, Some("running")),
            (Machine { remote: json!({ "state": "shutoff" }), ..complete() }, Active, Some("shutoff")),
            (Machine { remote: json!({ "cpu": 1 }), ..complete() }, Active, None),
        ] {
            let report = shown(machine.clone());
            assert_eq!((report.state, report.power.as_deref()), (state, power), "{machine:?}");
        }
    }

    #[test]
    fn flags_and_work_in_hand_are_passed_on() {
        let pending =
            json!({ "active": false, "actions": { "pending": [{ "complete": true }, { "complete": false }] } });
        let more = json!({ "tasks": pending, "hypervisor": { "maintenance": true }, "protected": true });

        let report = shown(Machine { more, ..Machine::complete(300) });

        let flags = ["maintenance", "tasks_active", "restart_required", "protected"];
        assert_eq!(
            flags.map(|flag| report.properties[flag].as_bool()),
            [Some(true), Some(false), Some(true), Some(true)]
        );
        assert!(report.pending.unwrap().contains("restart"));
        assert!(shown(Machine { busy: true, ..Machine::complete(300) }).pending.unwrap().contains("at work"));
    }

    #[test]
    fn only_the_panels_words_say_terminated() {
        let request = || Status { service: stage::service(), product: stage::product(json!({})) };
        let stage = Stage::new();
        let host = stage.host();
        let gone = host.run(async |cx| stage::provider().status(cx, request()).await);
        assert!(matches!(gone, Ended::Ok(StatusReport { state: ServiceState::Terminated, .. })));

        stage.breaks("GET /servers/7000", Break::Page { done: false, status: 404 });
        let page = host.run(async |cx| stage::provider().status(cx, request()).await);
        assert!(matches!(page, Ended::Fault(fault) if fault.class == FaultClass::InDoubt));
    }

    #[test]
    fn a_test_tells_a_wrong_prefix_from_a_wrong_token() {
        use FaultClass::{Auth, InDoubt, InvalidInput, Permission};
        let says = |status, body| Break::Says { done: false, status, body };
        let page = |status| Break::Page { done: false, status };
        for (how, class, hints_at_prefix) in [
            (says(401, ""), Auth, false),
            (says(403, r#"{"message":"no"}"#), Permission, false),
            (says(404, r#"{"message":"no route"}"#), InvalidInput, true),
            (says(200, ""), InvalidInput, true),
            (page(404), InvalidInput, true),
            (page(200), InvalidInput, true),
            (page(302), InvalidInput, true),
            (says(500, ""), InDoubt, false),
        ] {
            let stage = Stage::new();
            stage.breaks("GET /connect", how);
            let Ended::Fault(fault) = tested(&stage) else { panic!("{how:?}") };
            assert_eq!((fault.class, fault.staff.contains("/api/v1")), (class, hints_at_prefix), "{how:?}");
        }
    }

    #[test]
    fn a_test_names_the_rights_that_are_missing() {
        let stage = Stage::new();
        stage.breaks("GET /packages", Break::Says { done: false, status: 403, body: "{}" });

        let Ended::Ok(report) = tested(&stage) else { panic!() };

        let found: Vec<(&str, bool)> = report.findings.iter().map(|f| (f.name.as_str(), f.ok)).collect();
        let expected =
            [("connect", true), ("packages", false), ("hypervisor groups", true), ("servers", true), ("users", true)];
        assert_eq!(found, expected);
        assert!(report.findings[1].text.contains("no permission to read packages"));
    }
}
