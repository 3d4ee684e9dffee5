//! What every paid step has in common: one scope, a price asked before, and money as a witness afterwards.
//!
//! The panel takes no key with an order, and orders show nothing of ours, so that a lost answer is settled by the difference
//! between before and after. An order that waits for its payment or for staff may not be listed at all, so that "it is not
//! there" alone proves nothing: it counts only where the balance, which would have paid for it, is still the same.

use crate::RootPanel;
use crate::amount::Amount;
use crate::envelope::Answer;
use crate::panel;
use crate::plan::Quote;
use crate::settings::Product;
use billhook_plugin_api::{Cx, Fault, FaultClass, Find, Settle};
use serde::{Deserialize, Serialize};

/// All paid steps of a login are one after the other: they share its list of orders and its balance.
pub const SCOPE: &str = "paid";

/// Three looks within five minutes, the first after half a minute.
pub const SETTLE: Settle = Settle { first_ms: 30_000, looks: 3, apart_ms: 120_000, refuses_twice: false };

/// How long what is paid for may remain unseen before a person is asked, in milliseconds.
const PATIENCE_MS: u64 = 10 * 60_000;

/// Time between two looks while something was paid for and is not seen, in milliseconds.
const LOOK_AGAIN_MS: u64 = 60_000;

/// A cost that is further off than this is worth a word, in percent of the estimate.
const TOLERANCE: u32 = 20;

/// What was known of the money before a paid step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Purse {
    /// Unix milliseconds.
    at_ms: u64,
    balance: Quote,
    /// Absent when no price could be found.
    estimate: Option<Quote>,
}

/// Whether the panel refuses a second sending while the first one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would order a second time.
    Orders,
    /// It refuses with code 20, since an invoice is open.
    IsRefused,
}

/// Asks for the balance and holds it against the price.
///
/// # Errors
///
/// `insufficient_funds`, unless the product allows unpaid orders; `invalid_input` above the product's highest price.
pub async fn check(panel: &RootPanel, cx: &Cx, estimate: Option<Quote>, product: &Product) -> Result<Purse, Fault> {
    if let (Some(price), Some(most)) = (&estimate, product.max_price)
        && price.amount > most
    {
        let text = format!("it would cost about {price}, and `max_price` is {most}");
        return Err(Fault::invalid_input(text));
    }
    let balance = panel::balance(panel, cx).await?;
    let purse = Purse { at_ms: cx.now().await?, balance, estimate };
    match &purse.estimate {
        None => cx.note("no price could be found: the balance was not compared"),
        Some(price) if price.currency != purse.balance.currency => cx.note(format!(
            "the price is in {} and the balance in {}: they were not compared",
            price.currency, purse.balance.currency
        )),
        Some(price) if price.amount > purse.balance.amount => {
            let short = format!("the balance of {} does not cover about {price}", purse.balance);
            if !product.allow_unpaid_orders {
                let remedy = "top it up on the panel, or set `allow_unpaid_orders`";
                return Err(Fault::new(FaultClass::InsufficientFunds, format!("{short}: {remedy}")));
            }
            cx.note(format!("{short}; it is sent all the same, as `allow_unpaid_orders` says"));
        }
        Some(_) => {}
    }
    Ok(purse)
}

impl Purse {
    /// Whether the balance would have paid for it at once, so that it shows whether it did.
    fn is_witness(&self) -> bool {
        self.estimate.as_ref().is_some_and(|price| {
            price.currency == self.balance.currency
                && price.amount > Amount::ZERO
                && price.amount <= self.balance.amount
        })
    }

    fn is_free(&self) -> bool {
        self.estimate.as_ref().is_some_and(|price| price.amount == Amount::ZERO)
    }

    /// Whether the balance fell by just about the price.
    fn fell_by_price(&self, now: &Quote) -> bool {
        let fallen = self.balance.amount.minus(now.amount);
        now.currency == self.balance.currency
            && self.is_witness()
            && self.estimate.as_ref().is_some_and(|price| fallen.is_about(price.amount, 5))
    }

    /// Something to tell the staff of what it cost in the end.
    pub fn surprise(&self, cost: Option<&Quote>, product: &Product) -> Option<String> {
        let cost = cost?;
        if product.max_price.is_some_and(|most| cost.amount > most) {
            return Some(format!("it cost {cost}, which is above `max_price`"));
        }
        let price = self.estimate.as_ref().filter(|price| price.currency == cost.currency)?;
        let is_off = !cost.amount.is_about(price.amount, TOLERANCE);
        is_off.then(|| format!("it cost {cost}, and about {price} was expected"))
    }
}

/// What it means that nothing is seen of a paid step whose answer was lost.
///
/// # Errors
///
/// `conflict_busy` for a while, when it may have been paid for and just not be shown yet.
pub async fn unseen<T>(panel: &RootPanel, cx: &Cx, before: &Purse, again: Again) -> Result<Find<T>, Fault> {
    let now = panel::balance(panel, cx).await?;
    let is_untouched = now == before.balance;
    if is_untouched && (again == Again::IsRefused || before.is_witness()) {
        return Ok(Find::Absent);
    }
    let what = if is_untouched {
        format!("nothing new is seen, and the balance of {now} cannot tell: it may wait for payment or staff")
    } else {
        format!("nothing new is seen, but the balance went from {} to {now}", before.balance)
    };
    wait_or_ask(cx, before, what).await
}

/// The same where only the balance can tell: add-ons are shown nowhere.
pub async fn by_balance<T>(panel: &RootPanel, cx: &Cx, before: &Purse, found: T) -> Result<Find<T>, Fault> {
    let now = panel::balance(panel, cx).await?;
    if before.fell_by_price(&now) {
        return Ok(Find::Found(found));
    }
    let what = match now == before.balance {
        true if !before.is_free() => return Ok(Find::Absent),
        true => "what costs nothing leaves no trace".to_owned(),
        false => format!("the balance went from {} to {now}, which is not the price", before.balance),
    };
    wait_or_ask(cx, before, what).await
}

async fn wait_or_ask<T>(cx: &Cx, before: &Purse, what: String) -> Result<Find<T>, Fault> {
    if cx.now().await?.saturating_sub(before.at_ms) < PATIENCE_MS {
        return Err(Fault::new(FaultClass::ConflictBusy, what).retry_after_ms(Some(LOOK_AGAIN_MS)));
    }
    Ok(Find::Unknown(format!(
        "{what}: look for it on the panel; if it is there, settle this with the order's id, and if not, give this up and send it again"
    )))
}

/// What an answer says of the money.
pub fn cost(answer: &Answer) -> Option<Quote> {
    Some(Quote { amount: answer.tree.amount("cost")?, currency: answer.tree.text("currency")? })
}

impl std::fmt::Display for Quote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn quote(amount: &str, currency: &str) -> Quote {
        Quote { amount: amount.parse().unwrap(), currency: currency.into() }
    }

    fn purse(balance: &str, estimate: Option<Quote>) -> Purse {
        Purse { at_ms: 0, balance: quote(balance, "EUR"), estimate }
    }

    #[test]
    fn the_balance_is_a_witness_only_if_it_would_have_paid() {
        for (balance, estimate, is_witness) in [
            ("50", Some(quote("9.49", "EUR")), true),
            ("9.49", Some(quote("9.49", "EUR")), true),
            ("9.48", Some(quote("9.49", "EUR")), false),
            ("50", Some(quote("0", "EUR")), false),
            ("50", Some(quote("9.49", "USD")), false),
            ("50", None, false),
        ] {
            assert_eq!(purse(balance, estimate.clone()).is_witness(), is_witness, "{balance} {estimate:?}");
        }
    }

    #[test]
    fn a_fall_by_the_price_is_told_from_another() {
        let before = purse("50", Some(quote("2.00", "EUR")));
        for (now, is_it) in
            [("48", true), ("47.95", true), ("48.09", true), ("47", false), ("48.2", false), ("52", false)]
        {
            assert_eq!(before.fell_by_price(&quote(now, "EUR")), is_it, "{now}");
        }
        assert!(!before.fell_by_price(&quote("48", "USD")));
    }

    #[test]
    fn a_cost_far_from_the_estimate_is_told() {
        let product = |more: serde_json::Value| {
            let mut settings = json!({ "tarifid": 1, "period": 1 });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Product>(settings).unwrap()
        };
        let purse = purse("50", Some(quote("10", "EUR")));
        let capped = product(json!({ "max_price": "11.00" }));
        let free = product(json!({}));
        assert_eq!(purse.surprise(Some(&quote("10.50", "EUR")), &capped), None);
        assert!(purse.surprise(Some(&quote("11.01", "EUR")), &capped).unwrap().contains("max_price"));
        assert_eq!(purse.surprise(Some(&quote("12", "EUR")), &free), None);
        assert!(purse.surprise(Some(&quote("12.01", "EUR")), &free).unwrap().contains("10.00 EUR"));
        assert_eq!(purse.surprise(Some(&quote("99", "USD")), &free), None);
        assert_eq!(purse.surprise(None, &capped), None);
    }

    #[test]
    fn a_person_is_asked_once_patience_is_over() {
        use crate::stage::{self, Stage};
        use billhook_plugin_api::testing::Ended;
        let stage = Stage::new();
        stage.world().cents = 4_000;
        for (minutes, is_asked) in [(0, false), (9, false), (10, true)] {
            let looked = stage.host().run(async |cx| {
                let before = Purse { at_ms: cx.now().await?, ..purse("50", Some(quote("9.49", "EUR"))) };
                cx.sleep("time", std::time::Duration::from_secs(minutes * 60)).await?;
                unseen::<()>(&stage::provider(), cx, &before, Again::Orders).await
            });
            match looked {
                Ended::Ok(Find::Unknown(why)) => assert!(is_asked && why.contains("give this up"), "{why}"),
                Ended::Fault(fault) => assert!(!is_asked && fault.class == FaultClass::ConflictBusy, "{fault}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
