//! `create`: one order, placed once.
//!
//! The order is one step; its result is the order's id. What else the answer says (access data, cost, whether it is pending) is
//! kept by a step behind it, and read from the list of orders if the answer was lost.

use crate::codes;
use crate::command::{Command, NewOrder};
use crate::envelope::{self, Answer};
use crate::order::{Order, State};
use crate::paid::{self, Again, Purse, SCOPE, SETTLE};
use crate::settings::{Id, Product};
use crate::{RootPanel, panel};
use billhook_plugin_api::{
    Account, Create, Cx, Fault, FaultClass, Find, Secret, SendHandle, Service, Time, every, within,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// How long an order may stand at "not begun" before it is called pending, in milliseconds.
const BEGINS_WITHIN_MS: u64 = 15 * 60_000;

/// More ids than these tell a person no more.
const MAX_SHOWN: usize = 10;

/// What was known before the order.
#[derive(Serialize, Deserialize)]
struct Before {
    orders: Vec<Id>,
    tarifid: Id,
    /// To be sent with the order.
    domain: Option<String>,
    purse: Purse,
}

/// What the answer said besides the id. All absent when it was lost.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Told {
    code: Option<i64>,
    login: Option<String>,
    password: Option<Secret<String>>,
    /// For the staff.
    surprise: Option<String>,
    /// When it was noted, Unix milliseconds.
    at_ms: u64,
}

/// Places the order and waits until it is set up.
pub async fn run(panel: &RootPanel, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
    let Create { service, product, password, .. } = request;
    if password.is_some() {
        cx.note("the panel takes no chosen password; it makes one itself");
    }

    // Orders that were there before anything was sent: the newcomer is told by them if the panel does not name it.
    let known: Vec<Id> = cx.step("known").record(|| async { Ok(ids(&panel::orders(panel, cx).await?)) }).await?;

    cx.progress(10, "checking price and balance, then ordering");
    let slot = Mutex::new(Told::default());
    let ordered = order(panel, cx, &service, &product, &slot).await?;
    let told: Told = cx
        .step("answer")
        .sealed()
        .record(|| async {
            let told = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok(Told { at_ms: cx.now().await?, ..told })
        })
        .await?;
    if let Some(password) = &told.password {
        cx.secret(password.expose()).await?;
    }

    let id = match ordered {
        Some(id) => id,
        None => listed(panel, cx, &product, &known).await?,
    };
    if panel.is_test() {
        // The test account keeps no orders that could be asked for.
        return Ok(account(&id, &product, &told, None, None));
    }
    if let Some(pending) = codes::pending(told.code) {
        let order = panel::glance(panel, cx, &id).await;
        return Ok(account(&id, &product, &told, order.as_ref(), Some(pending)));
    }

    cx.progress(50, format!("order {id} is placed; waiting until the panel has set it up"));
    cx.wait_until("active", every(30.secs()), within(120.mins()), || {
        let id = &id;
        async move {
            Ok(match panel::order(panel, cx, id).await?.state {
                State::Working => false,
                State::Waiting => cx.now().await?.saturating_sub(told.at_ms) > BEGINS_WITHIN_MS,
                State::Active | State::Suspended | State::Unknown => true,
            })
        }
    })
    .await?;

    cx.progress(95, "reading addresses and access data");
    let order = panel::order(panel, cx, &id).await?;
    if let Some(password) = &order.password {
        cx.secret(password.expose()).await?;
    }
    let pending = order.pending().map(str::to_owned);
    Ok(account(&id, &product, &told, Some(&order), pending))
}

/// Orders, once. `None`: the panel accepted it, and neither named nor lists it yet; the scope is kept then.
async fn order(
    panel: &RootPanel,
    cx: &Cx,
    service: &Service,
    product: &Product,
    slot: &Mutex<Told>,
) -> Result<Option<Id>, Fault> {
    cx.step("order")
        .scope(SCOPE)
        .settle(SETTLE)
        .remote_id()
        .given(|| before(panel, cx, service, product))
        .find(|before: Before| async move {
            let new = newcomers(panel, cx, &before.tarifid, &before.orders).await?;
            Ok(match &new[..] {
                [] => return paid::unseen(panel, cx, &before.purse, Again::Orders).await,
                [id] => Find::Found(Some(id.clone())),
                _ => {
                    Find::Unknown(format!("several new orders of the plan: {}; which is this service's?", shown(&new)))
                }
            })
        })
        .adopt(|id| async move {
            let id = Id::new(id.trim()).ok_or_else(|| Fault::invalid_input("this is no id of an order"))?;
            let found = panel::find_order(panel, cx, &id).await?.filter(|order| order.is_of(&product.tarifid));
            Ok(found.map_or(Find::Absent, |order| Find::Found(Some(order.id))))
        })
        .run(|before, send| send_order(panel, cx, product, before, send, slot))
        .await
}

/// Checks plan, price and balance, and notes what orders there are.
async fn before(panel: &RootPanel, cx: &Cx, service: &Service, product: &Product) -> Result<Before, Fault> {
    let Some(plan) = panel::find_plan(panel, cx, &product.tarifid).await? else {
        let text = format!("the panel does not sell the plan {}: correct `tarifid`", product.tarifid);
        return Err(Fault::not_found(text).with_code("12"));
    };
    let quote = plan.quote_order(product)?;
    let domain = match (plan.needs_domain(), service.domain.as_deref().map(str::trim)) {
        (false, _) => None,
        (true, Some(domain)) if !domain.is_empty() => Some(domain.to_owned()),
        (true, _) => {
            return Err(Fault::invalid_input("the plan needs a domain, and the service has none").with_code("13"));
        }
    };
    let purse = paid::check(panel, cx, Some(quote), product).await?;
    Ok(Before { orders: ids(&panel::orders(panel, cx).await?), tarifid: product.tarifid.clone(), domain, purse })
}

async fn send_order(
    panel: &RootPanel,
    cx: &Cx,
    product: &Product,
    before: Before,
    send: SendHandle,
    slot: &Mutex<Told>,
) -> Result<Option<Id>, Fault> {
    let addons = product.ordered_addons();
    let new = NewOrder {
        tarifid: &product.tarifid,
        period: product.period,
        locationid: product.locationid.as_ref(),
        addons: &addons,
        domain: before.domain.as_deref(),
    };
    let reply = send.call(panel.caller.create(new)).await?;
    let answer = match envelope::read(&reply, Command::CreateOrder) {
        Ok(answer) => answer,
        // "Ordered already" may speak of this very order: something on the way may have sent it twice.
        Err(fault) if codes::is(&fault, &codes::ORDERED_BEFORE) => {
            return match &newcomers(panel, cx, &before.tarifid, &before.orders).await?[..] {
                [id] => Ok(Some(id.clone())),
                _ => Err(fault),
            };
        }
        Err(fault) => return Err(fault),
    };
    let told = Told {
        code: answer.code,
        login: answer.tree.text("serverlogin"),
        password: answer.tree.text("serverpassword").map(Secret::new),
        surprise: before.purse.surprise(paid::cost(&answer).as_ref(), product),
        at_ms: 0,
    };
    if let Some(password) = &told.password {
        cx.secret(password.expose()).await?;
    }
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = told;
    match named(&answer, &before)? {
        Some(id) => Ok(Some(id)),
        None if panel.is_test() => Ok(Id::new(&format!("test-{}", cx.now().await?))),
        // From here on the order counts as accepted; a list that cannot be read now is read again later.
        None => Ok(match newcomers(panel, cx, &before.tarifid, &before.orders).await {
            Ok(mut new) if new.len() == 1 => new.pop(),
            _ => None,
        }),
    }
}

/// The id that the answer gives.
fn named(answer: &Answer, before: &Before) -> Result<Option<Id>, Fault> {
    let Some(text) = answer.tree.text("orderid") else { return Ok(None) };
    let id = Id::new(&text).ok_or_else(|| envelope::misfit("orderid"))?;
    if before.orders.contains(&id) {
        return Err(Fault::panel_bug(format!("the panel answered a new order with {id}, which was there before")));
    }
    Ok(Some(id))
}

/// Waits until an accepted order is listed, and makes it the service's.
async fn listed(panel: &RootPanel, cx: &Cx, product: &Product, known: &[Id]) -> Result<Id, Fault> {
    cx.progress(30, "the panel accepted the order without naming it; waiting until it is listed");
    cx.wait_until("listed", every(5.mins()), within((72 * 60).mins()), || async move {
        let new = newcomers(panel, cx, &product.tarifid, known).await?;
        if new.len() > 1 {
            cx.progress(30, format!("several new orders of the plan: {}; which is this service's?", shown(&new)));
        }
        Ok(new.len() == 1)
    })
    .await?;
    cx.step("id")
        .remote_id()
        .record(|| async move {
            match &newcomers(panel, cx, &product.tarifid, known).await?[..] {
                [id] => Ok(id.clone()),
                new => {
                    let text = format!("one new order was listed, and now there are {}", new.len());
                    Err(Fault::new(FaultClass::ConflictBusy, text))
                }
            }
        })
        .await
}

/// Orders of the plan that were not there before and belong to no service.
async fn newcomers(panel: &RootPanel, cx: &Cx, tarifid: &Id, before: &[Id]) -> Result<Vec<Id>, Fault> {
    let mut new = panel::orders(panel, cx).await?;
    new.retain(|order| order.is_of(tarifid) && !before.contains(&order.id));
    let texts: Vec<String> = new.iter().map(|order| order.id.to_string()).collect();
    let claimed = if texts.is_empty() { Vec::new() } else { cx.claimed(&texts).await? };
    Ok(new
        .into_iter()
        .map(|order| order.id)
        .filter(|id| !claimed.iter().any(|claimed| claimed == id.as_str()))
        .collect())
}

fn ids(orders: &[Order]) -> Vec<Id> {
    orders.iter().map(|order| order.id.clone()).collect()
}

fn shown(ids: &[Id]) -> String {
    ids.iter().take(MAX_SHOWN).map(Id::as_str).collect::<Vec<_>>().join(", ")
}

fn account(id: &Id, product: &Product, told: &Told, order: Option<&Order>, pending: Option<String>) -> Account {
    let mut account = Account { remote_id: id.to_string(), pending, ..Account::default() };
    if let Some(order) = order {
        account.properties = order.properties();
        account.ips.clone_from(&order.ips);
    }
    account.properties.insert("tarifid".into(), json!(product.tarifid));
    account.properties.insert("addons".into(), json!(product.ordered_addons()));
    if let Some(locationid) = &product.locationid {
        account.properties.insert("locationid".into(), json!(locationid));
    }
    account.username = told.login.clone().or_else(|| order.and_then(|order| order.login.clone()));
    if let Some(password) = told.password.clone().or_else(|| order.and_then(|order| order.password.clone())) {
        account.secrets.insert("root_password".into(), password);
    }
    account.message.staff.clone_from(&told.surprise);
    account
}
