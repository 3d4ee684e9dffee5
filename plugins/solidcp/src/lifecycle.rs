//! `suspend`, `unsuspend` and `renew`: the space's status, which the machine follows in the background.

use crate::api::packages::{self, ACTIVE, CANCELLED, SUSPENDED};
use crate::panel::{self, Owned};
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Texts};

/// Sets the space's status, if a read says that it is not so already.
///
/// The same status again would do nothing for the machine either, and is not sent.
pub async fn switch(cx: &Cx, owned: Owned<'_>, to: i64) -> Result<Change, Fault> {
    let is_already = cx
        .converge(|send| async move {
            let package = owned.read(cx).await?;
            if package.status == to {
                return Ok(true);
            }
            if package.status == CANCELLED {
                return Err(Fault::invalid_input(format!(
                    "the hosting space {} is cancelled on the panel: a person there must decide what becomes of it",
                    owned.id
                )));
            }
            packages::set_status_reply(&panel::sent(&send, packages::set_status(owned.id, to)).await?)?;
            // The panel answers 0 also where it refused inside.
            if owned.read(cx).await?.status == to {
                return Ok(false);
            }
            Err(Fault::new(
                FaultClass::Permission,
                format!(
                    "the panel accepted the new status of the hosting space {} and did not set it: look at the rights of \
                     the API login",
                    owned.id
                ),
            ))
        })
        .await?;
    Ok(if is_already { Change::noop() } else { Change::done() })
}

/// The panel knows no paid period, so that there is nothing to carry to it; but the space must still be there, and ours.
pub async fn renew(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    if owned.product.unsuspend_on_renew {
        return switch(cx, owned, ACTIVE).await;
    }
    let package = owned.read(cx).await?;
    let staff = (package.status == SUSPENDED).then(|| "the hosting space is suspended on the panel".to_owned());
    Ok(Change { message: Texts { staff, customer: None }, ..Change::noop() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{PaidUntil, Provider, Renew, Service, Suspend, Unsuspend};
    use serde_json::{Map, json};

    fn off(host: &ScriptedHost, service: Service) -> Ended<Change> {
        let request = Suspend { service, product: stage::product(json!({})), reason: None };
        host.run(async |cx| stage::provider().suspend(cx, request).await)
    }

    fn on(host: &ScriptedHost) -> Ended<Change> {
        let request = Unsuspend { service: stage::owned(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().unsuspend(cx, request).await)
    }

    fn renewed(host: &ScriptedHost, more: serde_json::Value) -> Ended<Change> {
        let paid_until = PaidUntil { from: "2026-01-01".into(), to: "2026-02-01".into() };
        let request = Renew { service: stage::owned(), product: stage::product(more), paid_until };
        host.run(async |cx| stage::provider().renew(cx, request).await)
    }

    #[test]
    fn a_switch_is_made_once_and_then_nothing_is_to_change() {
        let stage = Stage::with_machine();
        let host = stage.host();

        assert_eq!(ok(off(&host, stage::owned())), Change::done());
        host.next_operation();
        assert_eq!(ok(off(&host, stage::owned())), Change::noop());
        assert_eq!(stage.world().spaces[&801].status, 2);
        assert_eq!(stage.world().machines[&753].state, "Off");
        host.next_operation();
        assert_eq!(ok(on(&host)), Change::done());
        host.next_operation();
        assert_eq!(ok(on(&host)), Change::noop());
        assert_eq!(stage.world().spaces[&801].status, 1);
        assert_eq!(changes(&host), ["ChangePackageStatus", "ChangePackageStatus"]);
    }

    #[test]
    fn a_switch_that_breaks_in_every_way_is_settled_by_reading() {
        for how in BREAKS {
            let stage = Stage::with_machine();
            stage.breaks("ChangePackageStatus", how);
            let host = stage.host();
            ok(to_end(|| off(&host, stage::owned())));
            assert_eq!(stage.world().spaces[&801].status, 2, "{how:?}");
        }
    }

    #[test]
    fn a_zero_that_did_nothing_is_no_success() {
        let stage = Stage::with_machine();
        stage.world().ignores_status = true;
        assert_eq!(fault(off(&stage.host(), stage::owned())).class, FaultClass::Permission);
    }

    #[test]
    fn codes_below_zero_are_faults() {
        for (code, class) in
            [("-1", FaultClass::NotFound), ("-104", FaultClass::Permission), ("-999", FaultClass::ConflictBusy)]
        {
            let stage = Stage::with_machine();
            let body = match code {
                "-1" => BODY_1,
                "-104" => BODY_104,
                _ => BODY_999,
            };
            stage.breaks("ChangePackageStatus", Break::Says { done: false, status: 200, body });
            assert_eq!(fault(off(&stage.host(), stage::owned())).class, class, "{code}");
        }
    }

    const BODY_1: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><ChangePackageStatusResponse><ChangePackageStatusResult>-1</ChangePackageStatusResult></ChangePackageStatusResponse></s:Body></s:Envelope>"#;
    const BODY_104: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><ChangePackageStatusResponse><ChangePackageStatusResult>-104</ChangePackageStatusResult></ChangePackageStatusResponse></s:Body></s:Envelope>"#;
    const BODY_999: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><ChangePackageStatusResponse><ChangePackageStatusResult>-999</ChangePackageStatusResult></ChangePackageStatusResponse></s:Body></s:Envelope>"#;

    #[test]
    fn somebody_elses_space_is_not_touched() {
        type Case = (fn(&mut stage::Space), fn(&mut Service));
        let unnoted = |service: &mut Service| service.properties = Map::new();
        let cases: [Case; 4] = [
            (|space| space.user = 60, |_| {}),
            (|space| space.parent = 6, |_| {}),
            (|space| space.comments = "billhook:shop:10043:1".into(), unnoted),
            (
                |space| {
                    space.comments = String::new();
                    space.user = 3;
                },
                unnoted,
            ),
        ];
        for (number, (space, service)) in cases.into_iter().enumerate() {
            let stage = Stage::with_machine();
            space(stage.world().spaces.get_mut(&801).unwrap());
            let mut owned = stage::owned();
            service(&mut owned);
            let host = stage.host();
            assert_eq!(fault(off(&host, owned)).class, FaultClass::NotFound, "{number}");
            assert!(changes(&host).is_empty(), "{number}");
        }
    }

    #[test]
    fn a_space_without_a_note_is_ours_by_its_mark_or_its_owner() {
        for comments in ["billhook:shop:10042:3", "made by hand"] {
            let stage = Stage::with_machine();
            stage.world().spaces.get_mut(&801).unwrap().comments = comments.into();
            let service = Service { properties: Map::new(), ..stage::owned() };
            assert_eq!(ok(off(&stage.host(), service)), Change::done(), "{comments}");
        }
    }

    #[test]
    fn an_id_that_is_none_reads_nothing() {
        for (id, class) in [
            (None, FaultClass::NotFound),
            (Some("x"), FaultClass::InvalidInput),
            (Some("1"), FaultClass::InvalidInput),
            (Some("-5"), FaultClass::InvalidInput),
        ] {
            let host = Stage::with_machine().host();
            let service = Service { remote_id: id.map(str::to_owned), ..stage::owned() };
            assert_eq!(fault(off(&host, service)).class, class);
            assert!(host.exchanges().is_empty());
        }
    }

    #[test]
    fn what_is_cancelled_on_the_panel_is_left_to_people() {
        let stage = Stage::with_machine();
        stage.world().spaces.get_mut(&801).unwrap().status = 3;
        assert_eq!(fault(on(&stage.host())).class, FaultClass::InvalidInput);
    }

    #[test]
    fn a_renewal_looks_and_starts_only_where_the_product_says_so() {
        for (status, more, expected) in [
            (1, json!({}), (true, false)),
            (2, json!({}), (true, true)),
            (2, json!({ "unsuspend_on_renew": true }), (false, false)),
            (1, json!({ "unsuspend_on_renew": true }), (true, false)),
        ] {
            let stage = Stage::with_machine();
            stage.world().spaces.get_mut(&801).unwrap().status = status;
            let change = ok(renewed(&stage.host(), more));
            assert_eq!((change.noop, change.message.staff.is_some()), expected);
        }
        let stage = Stage::with_machine();
        stage.world().spaces.get_mut(&801).unwrap().user = 60;
        assert_eq!(fault(renewed(&stage.host(), json!({}))).class, FaultClass::NotFound);
    }
}
