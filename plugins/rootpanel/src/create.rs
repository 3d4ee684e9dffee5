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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Later, Row, Stage, changes, commands};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::Value;

    fn run(host: &ScriptedHost, more: Value) -> Ended<Account> {
        host.run(async |cx| stage::provider().create(cx, stage::create(more)).await)
    }

    /// Runs again while steps settle or faults pass, as the host does.
    fn run_to_end(host: &ScriptedHost, more: &Value) -> Ended<Account> {
        for _ in 0..8 {
            match run(host, more.clone()) {
                Ended::Settling(_) => {}
                Ended::Fault(fault) if fault.class.passes_by_itself() => {}
                ended => return ended,
            }
        }
        panic!("it never ends");
    }

    fn account(ended: Ended<Account>) -> Account {
        match ended {
            Ended::Ok(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn fault(ended: Ended<Account>) -> Fault {
        match ended {
            Ended::Fault(fault) => fault,
            other => panic!("{other:?}"),
        }
    }

    const LOST: Break = Break::Lost { done: true };

    #[test]
    fn a_create_places_one_order_and_waits_until_it_is_set_up() {
        for format in ["json", "php"] {
            let stage = Stage::new();
            stage.world().slowness = 3;
            let host = stage.host();

            let provider = stage::provider_with(json!({ "format": format }));
            let made = account(host.run(async |cx| provider.create(cx, stage::create(json!({ "addons": [9] }))).await));

            assert_eq!(changes(&host), ["createOrder"], "{format}");
            assert_eq!((made.remote_id.as_str(), made.username.as_deref()), ("50123", Some("root")));
            assert_eq!(made.secrets["root_password"].expose(), "made-for-50123");
            assert_eq!(made.ips, ["192.0.2.10"]);
            assert_eq!(made.properties["addons"], json!(["9", "7"]));
            assert_eq!((made.pending, made.message.staff), (None, None));
            assert!(host.secrets().contains(&"made-for-50123".to_owned()));
            assert_eq!(stage.world().orders[&50_123].addons, ["9", "7"]);
            assert_eq!(stage.world().cents, 5_000 - 1_149);
        }
    }

    #[test]
    fn all_paid_steps_of_a_login_share_one_scope_and_the_order_names_the_service() {
        let stage = Stage::new();
        let host = stage.host();
        account(run(&host, json!({})));

        let steps = host.steps();
        let order = steps.iter().find(|step| step.name == "order").unwrap();
        assert_eq!((order.scope.as_deref(), order.remote_id, order.can_adopt), (Some("paid"), true, true));
        assert_eq!((order.settle.first_ms, order.settle.looks, order.settle.refuses_twice), (30_000, 3, false));
        assert!(order.settle.first_ms + 2 * order.settle.apart_ms <= 300_000);
        assert!(steps.iter().find(|step| step.name == "answer").unwrap().sealed);
    }

    #[test]
    fn a_create_that_runs_twice_orders_once() {
        let stage = Stage::new();
        let host = stage.host();
        let first = account(run(&host, json!({})));
        // What was enough before need not be enough again.
        stage.world().cents = 0;

        let second = account(run(&host, json!({})));

        assert_eq!(first, second);
        assert_eq!(changes(&host), ["createOrder"]);
    }

    #[test]
    fn every_call_that_breaks_in_every_way_leaves_one_order() {
        let says = |done, body| Break::Says { done, body };
        let breaks = [
            Break::NeverLeft,
            Break::Lost { done: false },
            LOST,
            Break::Page { done: false, status: 200 },
            Break::Page { done: true, status: 502 },
            says(false, r#"{"status":"ERROR","errorCode":1}"#),
            says(false, r#"{"status":"ERROR","errorCode":"2"}"#),
            says(true, r#"{"status":"ERROR","errorCode":"2"}"#),
            says(true, r#"{"status":"ERROR","errorCode":45}"#),
            says(false, r#"{"status":"ERROR","errorCode":55}"#),
            says(true, r#"{"status":"ERROR","errorCode":55}"#),
            says(true, r#"{"status":"ERROR","errorCode":14}"#),
            says(true, r#"{"status":"ERROR","errorCode":27}"#),
            says(true, r#"{"status":"ERROR","errorCode":999}"#),
            says(true, r#"{"status":"SUCC"#),
            says(true, "{}"),
            says(true, ""),
        ];
        for call in ["createOrder", "getTarifs", "getBalance", "getOrders"] {
            for how in &breaks {
                let is_refusal = call != "createOrder"
                    && matches!(how, Break::Says { body, .. } if body.contains("14") || body.contains("27") || body.contains("999"));
                if is_refusal {
                    continue;
                }
                let stage = Stage::new();
                stage.breaks(call, how.clone());
                let host = stage.host();

                let made = account(run_to_end(&host, &json!({})));

                assert_eq!(stage.world().orders.len(), 1, "{call} {how:?}");
                assert_eq!(made.remote_id, "50123", "{call} {how:?}");
                assert_eq!(made.secrets["root_password"].expose(), "made-for-50123", "{call} {how:?}");
                assert_eq!(stage.world().cents, 5_000 - 949, "{call} {how:?}");
            }
        }
    }

    #[test]
    fn what_the_panel_refuses_is_corrected_and_ordered_afresh() {
        let stage = Stage::new();
        stage.breaks("createOrder", Break::Says { done: false, body: r#"{"status":"ERROR","errorCode":29}"# });
        let host = stage.host();

        let refused = fault(run(&host, json!({ "osid": null })));
        assert_eq!((refused.class, refused.code.as_deref()), (FaultClass::InvalidInput, Some("29")));
        account(run(&host, json!({ "addons": [9] })));

        assert_eq!(changes(&host), ["createOrder", "createOrder"]);
        assert_eq!(stage.world().orders[&50_123].addons, ["9", "7"]);
    }

    #[test]
    fn ordered_already_is_another_order_unless_a_new_one_is_there() {
        let stage = Stage::new();
        stage.world().without_domain = false;
        stage.world().orders.insert(50_001, Row { domain: Some("vm.example.com".into()), ..Row::active() });
        let host = stage.host();

        assert_eq!(fault(run(&host, json!({}))).class, FaultClass::AlreadyExists);
        assert_eq!(stage.world().orders.len(), 1);
    }

    #[test]
    fn an_order_that_was_paid_for_and_is_not_listed_is_waited_for() {
        let stage = Stage::new();
        // Hidden from the two looks of the first tries.
        stage.world().later = Some(Later { code: 0, names_no_order: false, hides_for: 2 });
        stage.breaks("createOrder", LOST);
        let host = stage.host();

        assert_eq!(run(&host, json!({})), Ended::Settling("order".into()));
        for _ in 0..2 {
            let fault = fault(run(&host, json!({})));
            assert_eq!((fault.class, fault.retry_after_ms), (FaultClass::ConflictBusy, Some(60_000)));
            assert!(fault.staff.contains("50.00 EUR to 40.51 EUR"), "{fault}");
        }
        assert_eq!(account(run(&host, json!({}))).remote_id, "50123");

        assert_eq!(changes(&host), ["createOrder"]);
    }

    #[test]
    fn an_order_that_would_wait_for_payment_is_never_believed_absent() {
        let stage = Stage::new();
        stage.world().cents = 100;
        stage.breaks("createOrder", Break::Lost { done: false });
        let host = stage.host();
        let more = json!({ "allow_unpaid_orders": true });

        assert_eq!(run(&host, more.clone()), Ended::Settling("order".into()));
        assert_eq!(fault(run(&host, more)).class, FaultClass::ConflictBusy);
        assert_eq!(changes(&host), ["createOrder"]);
    }

    #[test]
    fn a_neighbours_order_is_not_taken_for_ours() {
        let neighbour = |id: u64, row: Row| {
            let stage = Stage::new();
            stage.world().orders.insert(49_000, Row::active());
            stage.breaks("createOrder", LOST);
            let host = stage.host();
            assert_eq!(run(&host, json!({})), Ended::Settling("order".into()));
            stage.world().orders.insert(id, row);
            (stage, host)
        };
        // Another plan, or of another service: no candidate.
        let (_, host) = neighbour(60_000, Row { tarifid: 13, ..Row::active() });
        assert_eq!(account(run(&host, json!({}))).remote_id, "50123");
        let (_, host) = neighbour(60_000, Row::active());
        host.claim("60000");
        assert_eq!(account(run(&host, json!({}))).remote_id, "50123");
        // Of the same plan and of nobody: a person decides.
        let (stage, host) = neighbour(60_000, Row::active());
        assert_eq!(run(&host, json!({})), Ended::Attention("order".into()));
        assert_eq!((changes(&host).len(), stage.world().orders.len()), (1, 3));
    }

    #[test]
    fn an_order_for_staff_or_payment_is_pending() {
        for (code, hint) in [(30, "staff"), (31, "payment"), (77, "note 77")] {
            let stage = Stage::new();
            stage.world().later = Some(Later { code, ..Later::default() });
            let host = stage.host();

            let made = account(run(&host, json!({})));

            assert!(made.pending.unwrap().contains(hint), "{code}");
            assert_eq!(made.remote_id, "50123");
            assert_eq!(made.secrets.len(), 0);
        }
    }

    #[test]
    fn an_accepted_order_without_a_name_is_found_when_it_is_listed() {
        for hides_for in [0, 1, 3] {
            let stage = Stage::new();
            stage.world().later = Some(Later { code: 30, names_no_order: true, hides_for });
            let host = stage.host();

            let made = account(run(&host, json!({})));
            let again = account(run(&host, json!({})));

            assert_eq!((made.remote_id.as_str(), &made), ("50123", &again), "{hides_for}");
            assert!(made.pending.is_some());
            assert_eq!(changes(&host), ["createOrder"]);
            let named =
                host.steps().into_iter().filter(|step| step.remote_id).map(|step| step.name).collect::<Vec<_>>();
            let expected: &[&str] = if hides_for == 0 { &["order"] } else { &["order", "id"] };
            assert_eq!(named, expected);
        }
    }

    #[test]
    fn an_answer_with_an_old_order_proves_nothing() {
        let stage = Stage::new();
        stage.world().orders.insert(50_001, Row::active());
        stage.breaks("createOrder", Break::Says { done: true, body: r#"{"status":"SUCCESS","orderid":"50001"}"# });
        let host = stage.host();

        assert_eq!(run(&host, json!({})), Ended::Settling("order".into()));
        assert_eq!(account(run(&host, json!({}))).remote_id, "50123");
    }

    #[test]
    fn nothing_is_ordered_that_the_balance_or_the_settings_do_not_allow() {
        for (cents, more, class) in [
            (948, json!({}), FaultClass::InsufficientFunds),
            (948, json!({ "allow_unpaid_orders": false }), FaultClass::InsufficientFunds),
            (5_000, json!({ "max_price": "9.48" }), FaultClass::InvalidInput),
            (5_000, json!({ "period": 2 }), FaultClass::InvalidInput),
            (5_000, json!({ "locationid": 4 }), FaultClass::InvalidInput),
            (5_000, json!({ "tarifid": 13 }), FaultClass::NotFound),
        ] {
            let stage = Stage::new();
            stage.world().cents = cents;
            let host = stage.host();
            assert_eq!(fault(run(&host, more.clone())).class, class, "{cents} {more}");
            assert_eq!(changes(&host), [""; 0], "{cents} {more}");
        }
        for (cents, more) in [(949, json!({ "max_price": "9.49" })), (0, json!({ "allow_unpaid_orders": true }))] {
            let stage = Stage::new();
            stage.world().cents = cents;
            account(run(&stage.host(), more));
            assert_eq!(stage.world().orders.len(), 1);
        }
    }

    #[test]
    fn other_currencies_are_not_compared() {
        let stage = Stage::new();
        (stage.world().currency, stage.world().cents) = ("UAH", 100);
        let host = stage.host();
        account(run(&host, json!({})));
        assert!(host.notes().iter().any(|note| note.contains("EUR") && note.contains("UAH")), "{:?}", host.notes());
    }

    #[test]
    fn a_cost_that_was_not_expected_is_told() {
        let stage = Stage::new();
        let body = r#"{"status":"SUCCESS","orderid":"50123","cost":"19.49","currency":"EUR","balance":"30.51"}"#;
        stage.breaks("createOrder", Break::Says { done: true, body });
        let made = account(run(&stage.host(), json!({})));
        assert!(made.message.staff.unwrap().contains("19.49 EUR"));
    }

    #[test]
    fn a_domain_is_sent_only_where_the_plan_needs_one() {
        for (without_domain, domain, expected) in [
            (true, Some("vm.example.com"), Ok(None)),
            (false, Some("vm.example.com"), Ok(Some("vm.example.com".to_owned()))),
            (false, Some(" "), Err(FaultClass::InvalidInput)),
            (false, None, Err(FaultClass::InvalidInput)),
        ] {
            let stage = Stage::new();
            stage.world().without_domain = without_domain;
            let mut request = stage::create(json!({}));
            request.service.domain = domain.map(str::to_owned);
            let ended = stage.host().run(async |cx| stage::provider().create(cx, request).await);
            let sent = match ended {
                Ended::Ok(_) => Ok(stage.world().orders[&50_123].domain.clone()),
                other => Err(fault(other).class),
            };
            assert_eq!(sent, expected, "{without_domain} {domain:?}");
        }
    }

    #[test]
    fn the_test_account_is_asked_nothing_after_its_order() {
        for names_no_order in [false, true] {
            let stage = Stage::new();
            stage.world().later = Some(Later { code: 0, names_no_order, hides_for: 9 });
            let host = stage.host();
            let provider = stage::provider_with(json!({ "login": "test" }));

            let made = account(host.run(async |cx| provider.create(cx, stage::create(json!({}))).await));

            assert_eq!(commands(&host).last().map(String::as_str), Some("createOrder"));
            assert!(!made.remote_id.is_empty());
            assert_eq!(made.secrets["root_password"].expose(), "made-for-50123");
        }
    }

    #[test]
    fn an_order_that_is_not_begun_for_long_is_pending() {
        let stage = Stage::new();
        stage.world().slowness = 1_000;
        stage.breaks("createOrder", LOST);
        let host = stage.host();
        assert_eq!(run(&host, json!({})), Ended::Settling("order".into()));
        stage.world().orders.get_mut(&50_123).unwrap().work = None;

        let made = account(run(&host, json!({})));

        assert!(made.pending.unwrap().contains("not begun"));
    }
}
