//! `renew` and `order_addons`: what is paid for an order that is there.

use crate::codes;
use crate::command::Command;
use crate::date;
use crate::envelope::{self, Answer};
use crate::order::Order;
use crate::paid::{self, Again, Purse, SCOPE, SETTLE};
use crate::plan::Quote;
use crate::settings::{Id, Product};
use crate::{RootPanel, panel};
use billhook_plugin_api::{Change, Cx, Fault, Find, OrderAddons, Renew, Request, SendHandle, Service, Texts};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// A month of renewal adds at least so many days, whatever passes meanwhile.
const DAYS_OF_MONTH: i64 = 20;

/// What was known before.
#[derive(Clone, Serialize, Deserialize)]
struct Before {
    todate: Option<String>,
    leftdays: Option<i64>,
    purse: Purse,
}

/// What became of it.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Paid {
    /// Of an answer that is pending.
    code: Option<i64>,
    /// For the staff.
    surprise: Option<String>,
}

/// Renews the order for the months that billing was paid for.
pub async fn renew(panel: &RootPanel, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
    let Renew { service, product, paid_until } = request;
    let id = &panel::order_id(&service)?;
    let product = &product;
    let months = date::months_between(&paid_until.from, &paid_until.to).unwrap_or(product.period);
    cx.progress(10, format!("checking price and balance, then renewing for {months} months"));
    let looked = AtomicBool::new(false);
    let paid: Paid = cx
        .step("renew")
        .scope(SCOPE)
        .settle(SETTLE)
        .given(|| async {
            let order = panel::order(panel, cx, id).await?;
            let quote = renewal_quote(panel, cx, &order, months, &service).await?;
            before(panel, cx, &order, quote, product).await
        })
        .find(|before: Before| {
            looked.store(true, Ordering::Relaxed);
            async move {
                let order = panel::order(panel, cx, id).await?;
                if is_renewed(&before, &order, months) {
                    return Ok(Find::Found(Paid::default()));
                }
                paid::unseen(panel, cx, &before.purse, Again::IsRefused).await
            }
        })
        .adopt(|named| async move { Ok(adopted(id, &named)) })
        .run(|before, send| pay(panel.caller.renew(id, months), Command::RenewOrder, before, product, send, &looked))
        .await?;
    let order = panel::glance(panel, cx, id).await;
    Ok(Change { properties: order.map(|order| order.properties()).unwrap_or_default(), ..change(&paid) })
}

/// Orders add-ons for what is left of the order's time.
pub async fn order_addons(panel: &RootPanel, cx: &Cx, request: OrderAddons<Product>) -> Result<Change, Fault> {
    let OrderAddons { service, product, addons } = request;
    let id = &panel::order_id(&service)?;
    let (addons, product) = (&pieces(&addons)?, &product);
    cx.progress(10, "checking price and balance, then ordering the add-ons");
    let looked = AtomicBool::new(false);
    let paid: Paid = cx
        .step("addons")
        .scope(SCOPE)
        .settle(SETTLE)
        .given(|| async {
            let order = panel::order(panel, cx, id).await?;
            let quote = addons_quote(panel, cx, &order, addons).await?;
            before(panel, cx, &order, quote, product).await
        })
        .find(|before: Before| {
            looked.store(true, Ordering::Relaxed);
            async move { paid::by_balance(panel, cx, &before.purse, Paid::default()).await }
        })
        .adopt(|named| async move { Ok(adopted(id, &named)) })
        .run(|before, send| pay(panel.caller.add(id, addons), Command::AddonsOrder, before, product, send, &looked))
        .await?;
    let mut all = kept_addons(&service);
    all.extend(addons.iter().cloned());
    let mut change = change(&paid);
    change.properties.insert("addons".into(), json!(all));
    Ok(change)
}

/// A person's word that it was paid for: they named the order, which is all that can be compared.
fn adopted(id: &Id, named: &str) -> Find<Paid> {
    if named.trim() == id.as_str() { Find::Found(Paid::default()) } else { Find::Absent }
}

async fn before(
    panel: &RootPanel,
    cx: &Cx,
    order: &Order,
    quote: Option<Quote>,
    product: &Product,
) -> Result<Before, Fault> {
    let purse = paid::check(panel, cx, quote, product).await?;
    Ok(Before { todate: order.todate.clone(), leftdays: order.leftdays, purse })
}

/// Sends what is to be paid and reads the answer.
///
/// `looked` says that an earlier sending is in doubt: an open invoice is then its own, and it waits for payment. Without one it is
/// another's, and nothing was done.
async fn pay(
    request: Request,
    command: Command,
    before: Before,
    product: &Product,
    send: SendHandle,
    looked: &AtomicBool,
) -> Result<Paid, Fault> {
    match envelope::read(&send.call(request).await?, command) {
        Ok(answer) => Ok(paid(&answer, &before, product)),
        Err(fault) if looked.load(Ordering::Relaxed) && codes::is(&fault, &[codes::OPEN_INVOICE]) => {
            Ok(Paid { code: Some(codes::OPEN_INVOICE), surprise: None })
        }
        Err(fault) => Err(fault),
    }
}

fn paid(answer: &Answer, before: &Before, product: &Product) -> Paid {
    Paid { code: answer.code, surprise: before.purse.surprise(paid::cost(answer).as_ref(), product) }
}

fn change(paid: &Paid) -> Change {
    let message = Texts { staff: paid.surprise.clone(), customer: None };
    Change { pending: codes::pending(paid.code), message, ..Change::done() }
}

/// Whether the paid time has grown: by its date, or by its days.
fn is_renewed(before: &Before, order: &Order, months: u32) -> bool {
    let moved = match (&before.todate, &order.todate) {
        (Some(was), Some(is)) => match (date::unix_ms(was), date::unix_ms(is)) {
            (Some(was), Some(is)) => is > was,
            _ => was != is,
        },
        // An order that had no date has begun; that is no renewal.
        (None, _) | (_, None) => false,
    };
    let grown =
        before.leftdays.zip(order.leftdays).is_some_and(|(was, is)| is - was >= DAYS_OF_MONTH * i64::from(months));
    moved || grown
}

/// The price of a renewal, at the least; `None` where the plan is not sold any more, and the panel must know.
async fn renewal_quote(
    panel: &RootPanel,
    cx: &Cx,
    order: &Order,
    months: u32,
    service: &Service,
) -> Result<Option<Quote>, Fault> {
    let Some(tarifid) = &order.tarifid else { return Ok(None) };
    let Some(plan) = panel::find_plan(panel, cx, tarifid).await? else { return Ok(None) };
    let locationid = service.properties.get("locationid").and_then(|id| id.as_str()).and_then(Id::new);
    plan.quote_renewal(months, locationid.as_ref(), &kept_addons(service)).map(Some)
}

async fn addons_quote(panel: &RootPanel, cx: &Cx, order: &Order, addons: &[Id]) -> Result<Option<Quote>, Fault> {
    let Some(tarifid) = &order.tarifid else { return Ok(None) };
    let Some(plan) = panel::find_plan(panel, cx, tarifid).await? else { return Ok(None) };
    let Some(days) = order.leftdays.and_then(|days| u32::try_from(days).ok()) else { return Ok(None) };
    plan.quote_addons(addons, days).map(Some)
}

/// The add-ons that earlier hooks ordered.
fn kept_addons(service: &Service) -> Vec<Id> {
    let kept = service.properties.get("addons").and_then(|addons| addons.as_array());
    kept.into_iter().flatten().filter_map(|id| Id::new(id.as_str()?)).collect()
}

/// One id for each piece.
fn pieces(addons: &[billhook_plugin_api::Addon]) -> Result<Vec<Id>, Fault> {
    const MOST: usize = 100;
    let mut pieces = Vec::new();
    for addon in addons {
        let id = Id::new(&addon.id)
            .ok_or_else(|| Fault::invalid_input("an add-on's id has letters, digits, - and _ only"))?;
        let count = usize::try_from(addon.quantity).unwrap_or(usize::MAX);
        if count == 0 || count > MOST - pieces.len() {
            return Err(Fault::invalid_input(format!("one to {MOST} pieces of add-ons can be ordered at once")));
        }
        pieces.extend(std::iter::repeat_n(id, count));
    }
    if pieces.is_empty() {
        return Err(Fault::invalid_input("no add-ons were named"));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Later, Row, Stage, changes, form};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{Addon, FaultClass, PaidUntil, Provider};
    use serde_json::Value;

    fn renewed_until(host: &ScriptedHost, to: &str, more: Value) -> Ended<Change> {
        let paid_until = PaidUntil { from: "2027-02-01".into(), to: to.into() };
        let request = Renew { service: stage::service(), product: stage::product(more), paid_until };
        host.run(async |cx| stage::provider().renew(cx, request).await)
    }

    fn renewed(host: &ScriptedHost) -> Ended<Change> {
        renewed_until(host, "2027-03-01", json!({}))
    }

    fn added(host: &ScriptedHost, addons: &[(&str, u32)]) -> Ended<Change> {
        let addons = addons.iter().map(|(id, quantity)| Addon { id: (*id).into(), quantity: *quantity }).collect();
        let request = OrderAddons { service: stage::service(), product: stage::product(json!({})), addons };
        host.run(async |cx| stage::provider().order_addons(cx, request).await)
    }

    fn one_added(host: &ScriptedHost) -> Ended<Change> {
        added(host, &[("9", 1)])
    }

    fn change(ended: Ended<Change>) -> Change {
        match ended {
            Ended::Ok(change) => change,
            other => panic!("{other:?}"),
        }
    }

    fn fault(ended: Ended<Change>) -> Fault {
        match ended {
            Ended::Fault(fault) => fault,
            other => panic!("{other:?}"),
        }
    }

    fn says(done: bool, body: &'static str) -> Break {
        Break::Says { done, body }
    }

    fn breaks() -> Vec<Break> {
        vec![
            Break::NeverLeft,
            Break::Lost { done: false },
            Break::Lost { done: true },
            Break::Page { done: true, status: 200 },
            Break::Page { done: false, status: 504 },
            says(false, r#"{"status":"ERROR","errorCode":1}"#),
            says(true, r#"{"status":"ERROR","errorCode":2}"#),
            says(false, r#"{"status":"ERROR","errorCode":"55"}"#),
            says(true, r#"{"status":"ERROR"}"#),
            says(true, "a:0:{"),
        ]
    }

    /// Runs again while the step settles or faults pass, as the host does.
    fn to_end(host: &ScriptedHost, run: impl Fn(&ScriptedHost) -> Ended<Change>) -> Change {
        for _ in 0..6 {
            match run(host) {
                Ended::Settling(_) => {}
                Ended::Fault(fault) if fault.class.passes_by_itself() => {}
                ended => return change(ended),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_renewal_is_paid_once() {
        let stage = Stage::with(Row::active());
        let host = stage.host();

        let first = change(renewed(&host));
        stage.world().cents = 0;
        let again = change(renewed(&host));

        assert_eq!(first, again);
        assert_eq!(first.properties["leftdays"], json!(50));
        assert_eq!((first.pending, first.message.staff), (None, None));
        assert_eq!(changes(&host), ["renewOrder"]);
        let step = &host.steps()[0];
        assert_eq!((step.scope.as_deref(), step.settle), (Some("paid"), SETTLE));
    }

    #[test]
    fn the_months_are_those_that_were_paid_for() {
        for (to, period) in [("2027-03-01", "1"), ("2028-02-01", "12"), ("2027-02-20", "12")] {
            let stage = Stage::with(Row::active());
            stage.world().cents = 100_000;
            let host = stage.host();
            change(renewed_until(&host, to, json!({ "period": 12 })));
            let sent = host.exchanges().into_iter().find(|(_, is_change)| *is_change).unwrap().0;
            assert_eq!(form(&sent)["period"], period, "{to}");
        }
    }

    #[test]
    fn every_break_of_a_renewal_is_paid_once() {
        for call in ["renewOrder", "getOrders", "getTarifs", "getBalance"] {
            for how in breaks() {
                if call != "renewOrder" && matches!(how, Break::Says { body: r#"{"status":"ERROR"}"#, .. }) {
                    continue;
                }
                let stage = Stage::with(Row::active());
                stage.breaks(call, how.clone());
                to_end(&stage.host(), renewed);
                let world = stage.world();
                assert_eq!((world.orders[&50_100].leftdays, world.cents), (50, 5_000 - 949), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn an_open_invoice_is_anothers_unless_our_sending_is_in_doubt() {
        let stage = Stage::with(Row::active());
        stage.world().open_invoice = true;
        let host = stage.host();
        let refused = fault(renewed(&host));
        assert_eq!((refused.class, refused.code.as_deref()), (FaultClass::ConflictBusy, Some("20")));

        stage.breaks("renewOrder", Break::Lost { done: false });
        assert_eq!(renewed(&host), Ended::Settling("renew".into()));
        let pending = change(renewed(&host)).pending.unwrap();
        assert!(pending.contains("invoice"), "{pending}");
        assert_eq!(stage.world().orders[&50_100].leftdays, 20);
    }

    #[test]
    fn a_renewal_for_staff_or_payment_is_pending() {
        for code in [30, 31] {
            let stage = Stage::with(Row::active());
            stage.world().later = Some(Later { code, ..Later::default() });
            assert!(change(renewed(&stage.host())).pending.unwrap().contains(&code.to_string()));
        }
    }

    #[test]
    fn a_renewal_that_was_charged_and_not_carried_out_is_waited_for() {
        let stage = Stage::with(Row::active());
        stage.breaks("renewOrder", Break::Lost { done: false });
        let host = stage.host();
        assert_eq!(renewed(&host), Ended::Settling("renew".into()));
        stage.world().cents -= 949;

        assert_eq!(fault(renewed(&host)).class, FaultClass::ConflictBusy);
        stage.world().orders.get_mut(&50_100).unwrap().leftdays += 30;
        change(renewed(&host));

        assert_eq!(changes(&host), ["renewOrder"]);
    }

    #[test]
    fn nothing_is_paid_that_the_balance_or_the_settings_do_not_allow() {
        for (cents, more, class) in [
            (900, json!({}), FaultClass::InsufficientFunds),
            (5_000, json!({ "max_price": "9" }), FaultClass::InvalidInput),
        ] {
            let stage = Stage::with(Row::active());
            stage.world().cents = cents;
            let host = stage.host();
            assert_eq!(fault(renewed_until(&host, "2027-03-01", more)).class, class);
            assert_eq!(changes(&host), [""; 0]);
        }
        let host = Stage::with(Row::active()).host();
        assert_eq!(fault(renewed_until(&host, "2027-05-01", json!({}))).class, FaultClass::InvalidInput);
    }

    #[test]
    fn an_order_of_a_plan_that_is_no_longer_sold_is_renewed_without_an_estimate() {
        let stage = Stage::with(Row { tarifid: 11, ..Row::active() });
        let host = stage.host();
        change(renewed(&host));
        assert_eq!(stage.world().orders[&50_100].leftdays, 50);
        assert!(host.notes().iter().any(|note| note.contains("no price")));
    }

    #[test]
    fn add_ons_are_paid_once_for_what_is_left() {
        let stage = Stage::with(Row::active());
        let host = stage.host();

        let added = change(added(&host, &[("9", 2), ("7", 1)]));

        assert_eq!(added.properties["addons"], json!(["7", "9", "9", "7"]));
        assert_eq!(stage.world().orders[&50_100].addons, ["9", "9", "7"]);
        assert_eq!(stage.world().cents, 5_000 - 266);
        assert_eq!(changes(&host), ["addonsOrder"]);
        assert_eq!(host.steps()[0].scope.as_deref(), Some("paid"));
    }

    #[test]
    fn every_break_of_add_ons_is_paid_once() {
        for how in breaks() {
            let stage = Stage::with(Row::active());
            stage.breaks("addonsOrder", how.clone());
            to_end(&stage.host(), one_added);
            let world = stage.world();
            assert_eq!((world.orders[&50_100].addons.len(), world.cents), (1, 5_000 - 133), "{how:?}");
        }
    }

    #[test]
    fn a_fall_of_the_balance_that_is_not_the_price_is_no_proof() {
        let stage = Stage::with(Row::active());
        stage.breaks("addonsOrder", Break::Lost { done: false });
        let host = stage.host();
        assert_eq!(one_added(&host), Ended::Settling("addons".into()));
        stage.world().cents -= 700;

        assert_eq!(fault(one_added(&host)).class, FaultClass::ConflictBusy);
        assert_eq!(changes(&host), ["addonsOrder"]);
    }

    #[test]
    fn an_add_on_that_cannot_be_had_is_refused_before_anything_is_sent() {
        for addons in [&[("8", 1)][..], &[("7", 2)], &[("9", 0)], &[("9", 101)], &[("7,9", 1)], &[("9", u32::MAX)]] {
            let host = Stage::with(Row::active()).host();
            assert_eq!(fault(added(&host, addons)).class, FaultClass::InvalidInput, "{addons:?}");
            assert_eq!(changes(&host), [""; 0]);
        }
    }

    #[test]
    fn a_renewal_shows_by_its_date_or_its_days() {
        let order = |todate: &str, leftdays: Value| {
            let body =
                json!({ "status": "SUCCESS", "orders": [{ "orderid": 1, "todate": todate, "leftdays": leftdays }] });
            let body = body.to_string().into_bytes();
            let reply = billhook_plugin_api::Reply { status: 200, headers: vec![], body, retry_after_ms: None };
            crate::order::orders_reply(&reply).unwrap().remove(0)
        };
        let purse = serde_json::from_value::<Purse>(
            json!({ "at_ms": 0, "balance": { "amount": "1", "currency": "EUR" }, "estimate": null }),
        );
        let purse = purse.unwrap();
        for (was, was_days, is, is_days, months, expected) in [
            ("2026-12-20", json!(5), "2027-01-20", json!(36), 1, true),
            ("20.12.2026", json!(null), "20.01.2027", json!(null), 1, true),
            ("2026-12-20", json!(5), "2026-12-20", json!(4), 1, false),
            ("2026-12-20", json!(5), "2026-12-19", json!(4), 1, false),
            ("", json!(5), "", json!(34), 1, true),
            ("", json!(5), "", json!(20), 1, false),
            ("", json!(5), "", json!(34), 12, false),
            ("", json!(null), "2027-01-20", json!(null), 1, false),
            ("20 Dec", json!(null), "20 Jan", json!(null), 1, true),
        ] {
            let old = order(was, was_days);
            let before = Before { todate: old.todate, leftdays: old.leftdays, purse: purse.clone() };
            assert_eq!(is_renewed(&before, &order(is, is_days), months), expected, "{was} to {is}");
        }
    }
}
