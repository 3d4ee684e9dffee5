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
        .run(|before, send| pay(panel.caller.add(id, addons), Command::AddonsOrder, before, product, send, &looked))
        .await?;
    let mut all = kept_addons(&service);
    all.extend(addons.iter().cloned());
    let mut change = change(&paid);
    change.properties.insert("addons".into(), json!(all));
    Ok(change)
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
