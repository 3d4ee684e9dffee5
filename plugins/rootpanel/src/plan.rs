//! A plan as the panel sells it: what may be ordered, and what it should cost.
//!
//! Source: ROOTPANEL.NET API, "getTarifs". The unit of `discount` is not stated; we take it as percent, of add-ons too, so that every
//! price here is an estimate.

use crate::amount::Amount;
use crate::codes;
use crate::command::Command;
use crate::envelope::{self, misfit};
use crate::settings::{Id, Product};
use crate::tree::Tree;
use billhook_plugin_api::{Fault, Reply};
use serde::{Deserialize, Serialize};

/// One plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub id: Id,
    pub name: String,
    pub monthly: Amount,
    pub currency: String,
    pub addons: Vec<AddonOffer>,
    pub locations: Vec<Location>,
    needs_domain: bool,
    periods: Vec<Period>,
}

#[derive(Debug, Clone, PartialEq)]
struct Period {
    months: u32,
    discount: Amount,
    for_new: bool,
    for_renewal: bool,
}

/// An add-on of a plan; operating systems and control panels are such too.
#[derive(Debug, Clone, PartialEq)]
pub struct AddonOffer {
    pub id: Id,
    pub name: String,
    pub monthly: Amount,
    /// The most of an order; 0 is without limit.
    most: u32,
    /// Not in a new order.
    only_later: bool,
}

/// A place where a plan can be had, with the plan's price there.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    pub id: Id,
    pub name: String,
    pub monthly: Amount,
}

/// What something should cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub amount: Amount,
    pub currency: String,
}

impl Plan {
    fn read(row: &Tree) -> Result<Self, Fault> {
        let scalars = ["name", "currency", "allowWithoutDomain"];
        if let Some(name) = row.not_scalar(&scalars).or(row.not_list(&["months", "addons", "locations"])) {
            return Err(misfit(&format!("tarifs[].{name}")));
        }
        Ok(Self {
            id: id(row, "tarifs[]")?,
            name: row.text("name").unwrap_or_default(),
            monthly: row.amount("costMonthly").ok_or_else(|| misfit("tarifs[].costMonthly"))?,
            currency: row.text("currency").ok_or_else(|| misfit("tarifs[].currency"))?,
            needs_domain: !row.is_set("allowWithoutDomain"),
            periods: row.list("months").into_iter().map(Period::read).collect::<Result<_, _>>()?,
            addons: row.list("addons").into_iter().map(AddonOffer::read).collect::<Result<_, _>>()?,
            locations: row.list("locations").into_iter().map(Location::read).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a new order must name a domain.
    pub fn needs_domain(&self) -> bool {
        self.needs_domain
    }

    /// What a new order should cost, if the plan has all that the product wants.
    ///
    /// # Errors
    ///
    /// `invalid_input` with the setting that the plan does not allow. Nothing needs to be sent to know.
    pub fn quote_order(&self, product: &Product) -> Result<Quote, Fault> {
        let period = self.period(product.period, |period| period.for_new).ok_or_else(|| {
            self.refusal(format!("cannot be ordered for {} months: correct `period`", product.period))
        })?;
        let place = match &product.locationid {
            None => self.monthly,
            Some(id) => match self.locations.iter().find(|location| location.id == *id) {
                Some(location) => location.monthly,
                None => return Err(self.refusal(format!("has no location {id}: correct `locationid`"))),
            },
        };
        let mut monthly = place;
        let addons = product.ordered_addons();
        for id in &addons {
            let offer = self.offer(id)?;
            if offer.only_later {
                return Err(self.refusal(format!("sells the add-on {id} to existing orders only: order it afterwards")));
            }
            offer.check_count(&addons).map_err(|text| self.refusal(text))?;
            monthly = monthly.plus(offer.monthly);
        }
        Ok(self.priced(monthly.times(period.months).less_percent(period.discount)))
    }

    /// What a renewal should cost at the least: what is not known of the order is left out.
    pub fn quote_renewal(&self, months: u32, locationid: Option<&Id>, addons: &[Id]) -> Result<Quote, Fault> {
        let period = self
            .period(months, |period| period.for_renewal)
            .ok_or_else(|| self.refusal(format!("cannot be renewed for {months} months")))?;
        let place = locationid.and_then(|id| self.locations.iter().find(|location| location.id == *id));
        let mut monthly = place.map_or(self.monthly, |location| location.monthly);
        for id in addons {
            if let Some(offer) = self.addons.iter().find(|offer| offer.id == *id) {
                monthly = monthly.plus(offer.monthly);
            }
        }
        Ok(self.priced(monthly.times(period.months).less_percent(period.discount)))
    }

    /// What add-ons should cost for the time that an order has left; they are charged for all of it.
    pub fn quote_addons(&self, addons: &[Id], leftdays: u32) -> Result<Quote, Fault> {
        let mut monthly = Amount::ZERO;
        for id in addons {
            let offer = self.offer(id)?;
            offer.check_count(addons).map_err(|text| self.refusal(text))?;
            monthly = monthly.plus(offer.monthly);
        }
        Ok(self.priced(monthly.part(leftdays, 30)))
    }

    fn period(&self, months: u32, allows: impl Fn(&Period) -> bool) -> Option<&Period> {
        self.periods.iter().find(|period| period.months == months && allows(period))
    }

    fn offer(&self, id: &Id) -> Result<&AddonOffer, Fault> {
        self.addons
            .iter()
            .find(|offer| offer.id == *id)
            .ok_or_else(|| self.refusal(format!("has no add-on {id}: correct `addons`, `osid` or `panelid`")))
    }

    fn priced(&self, amount: Amount) -> Quote {
        Quote { amount, currency: self.currency.clone() }
    }

    fn refusal(&self, why: String) -> Fault {
        Fault::invalid_input(format!("the plan {} ({}) {why}", self.id, self.name))
    }
}

impl Period {
    fn read(row: &Tree) -> Result<Self, Fault> {
        Ok(Self {
            months: count(row, "months").ok_or_else(|| misfit("tarifs[].months[].months"))?,
            discount: price(row, "discount", "tarifs[].months[].discount")?,
            for_new: row.is_set("allowForNewOrder"),
            for_renewal: row.is_set("allowForRenew"),
        })
    }
}

impl AddonOffer {
    fn read(row: &Tree) -> Result<Self, Fault> {
        if let Some(name) = row.not_scalar(&["name", "cntforoneorder", "onlyifrenew"]) {
            return Err(misfit(&format!("tarifs[].addons[].{name}")));
        }
        Ok(Self {
            id: id(row, "tarifs[].addons[]")?,
            name: row.text("name").unwrap_or_default(),
            monthly: price(row, "costMonthly", "tarifs[].addons[].costMonthly")?,
            most: count(row, "cntforoneorder").unwrap_or(0),
            only_later: row.is_set("onlyifrenew"),
        })
    }

    fn check_count(&self, wanted: &[Id]) -> Result<(), String> {
        let count = wanted.iter().filter(|id| **id == self.id).count();
        let is_too_many = self.most > 0 && u32::try_from(count).unwrap_or(u32::MAX) > self.most;
        if is_too_many { Err(format!("allows {} of the add-on {} in one order", self.most, self.id)) } else { Ok(()) }
    }
}

impl Location {
    fn read(row: &Tree) -> Result<Self, Fault> {
        Ok(Self {
            id: id(row, "tarifs[].locations[]")?,
            name: row.text("name").unwrap_or_default(),
            monthly: row.amount("costMonthly").ok_or_else(|| misfit("tarifs[].locations[].costMonthly"))?,
        })
    }
}

fn id(row: &Tree, place: &str) -> Result<Id, Fault> {
    row.text("id").and_then(|id| Id::new(&id)).ok_or_else(|| misfit(&format!("{place}.id")))
}

fn count(row: &Tree, name: &str) -> Option<u32> {
    row.whole(name).and_then(|count| u32::try_from(count).ok())
}

/// An amount that may be left out where there is none to pay.
fn price(row: &Tree, name: &str, place: &str) -> Result<Amount, Fault> {
    match row.member(name) {
        None => Ok(Amount::ZERO),
        Some(_) => row.amount(name).ok_or_else(|| misfit(place)),
    }
}

/// All plans; none is an empty list.
pub fn plans_reply(reply: &Reply) -> Result<Vec<Plan>, Fault> {
    match envelope::read(reply, Command::GetTarifs) {
        Ok(answer) => answer.rows("tarifs")?.into_iter().map(Plan::read).collect(),
        Err(fault) if codes::is(&fault, &codes::NO_PLAN) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// What the login has at the panel.
pub fn balance_reply(reply: &Reply) -> Result<Quote, Fault> {
    let answer = envelope::read(reply, Command::GetBalance)?;
    let amount = answer.tree.amount("balance").ok_or_else(|| misfit("balance"))?;
    let currency = answer.tree.text("currency").ok_or_else(|| misfit("currency"))?;
    Ok(Quote { amount, currency })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use billhook_plugin_api::FaultClass;
    use serde_json::{Value, json};

    fn reply(body: &[u8]) -> Reply {
        Reply { status: 200, headers: vec![], body: body.to_vec(), retry_after_ms: None }
    }

    fn row() -> Value {
        json!({
            "id": "12", "vid": "vds", "name": "VDS-1", "costMonthly": "9.49", "currency": "EUR", "allowWithoutDomain": "1",
            "months": [
                { "months": "1", "discount": "0", "allowForNewOrder": "1", "allowForRenew": "1" },
                { "months": "12", "discount": "10", "allowForNewOrder": "1", "allowForRenew": "0" },
                { "months": "3", "discount": 5.5, "allowForNewOrder": "0", "allowForRenew": "1" },
            ],
            "addons": {
                "7": { "id": 7, "name": "Debian 12", "costMonthly": "0", "cntforoneorder": "1", "onlyifrenew": "0" },
                "9": { "id": 9, "name": "IPv4", "costMonthly": 2.0, "cntforoneorder": 0, "onlyifrenew": 0 },
                "10": { "id": 10, "name": "Panel", "costMonthly": "", "cntforoneorder": "", "onlyifrenew": "1" },
            },
            "locations": [{ "id": "3", "name": "NL", "costMonthly": "9.99" }],
        })
    }

    fn plan(row: &Value) -> Result<Plan, Fault> {
        let body = json!({ "status": "SUCCESS", "tarifs": [row] }).to_string();
        plans_reply(&reply(body.as_bytes())).map(|mut plans| plans.remove(0))
    }

    fn product(more: Value) -> Product {
        let mut settings = json!({ "tarifid": 12, "period": 1 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(settings).unwrap()
    }

    fn ids(texts: &[&str]) -> Vec<Id> {
        texts.iter().map(|text| Id::new(text).unwrap()).collect()
    }

    #[test]
    fn a_new_order_is_priced_by_place_add_ons_and_discount() {
        let plan = plan(&row()).unwrap();
        for (more, price) in [
            (json!({}), "9.49"),
            (json!({ "locationid": 3 }), "9.99"),
            (json!({ "osid": 7 }), "9.49"),
            (json!({ "addons": [9] }), "11.49"),
            (json!({ "addons": [9, 9], "osid": 7 }), "13.49"),
            (json!({ "period": 12 }), "102.492"),
            (json!({ "period": 12, "locationid": 3, "addons": [9] }), "129.492"),
        ] {
            let quote = plan.quote_order(&product(more.clone())).unwrap();
            assert_eq!((quote.amount.to_string().as_str(), quote.currency.as_str()), (price, "EUR"), "{more}");
        }
    }

    #[test]
    fn what_the_plan_does_not_allow_is_refused_by_name() {
        let plan = plan(&row()).unwrap();
        for (more, hint) in [
            (json!({ "period": 2 }), "period"),
            (json!({ "period": 3 }), "period"),
            (json!({ "locationid": 4 }), "locationid"),
            (json!({ "addons": [8] }), "add-on 8"),
            (json!({ "osid": 8 }), "add-on 8"),
            (json!({ "addons": [7, 7] }), "allows 1"),
            (json!({ "addons": [10] }), "afterwards"),
        ] {
            let fault = plan.quote_order(&product(more.clone())).unwrap_err();
            assert_eq!(fault.class, FaultClass::InvalidInput, "{more}");
            assert!(fault.staff.contains(hint), "{more}: {fault}");
        }
    }

    #[test]
    fn a_renewal_is_priced_by_what_is_known_of_the_order() {
        let plan = plan(&row()).unwrap();
        let place = Id::new("3").unwrap();
        for (months, place, addons, price) in [
            (1, None, &[][..], Some("9.49")),
            (1, Some(&place), &["9", "9"], Some("13.99")),
            (3, None, &["9"], Some("32.57415")),
            (1, None, &["gone"], Some("9.49")),
            (12, None, &[], None),
        ] {
            let quote = plan.quote_renewal(months, place, &ids(addons)).ok();
            assert_eq!(quote.map(|quote| quote.amount.to_string()).as_deref(), price, "{months} {addons:?}");
        }
    }

    #[test]
    fn add_ons_are_priced_for_the_days_that_are_left() {
        let plan = plan(&row()).unwrap();
        for (addons, days, price) in [
            (&["9"][..], 30, Some("2.00")),
            (&["9", "9"], 15, Some("2.00")),
            (&["9"], 35, Some("2.333333")),
            (&["10"], 35, Some("0.00")),
            (&["8"], 30, None),
            (&["7", "7"], 30, None),
        ] {
            let quote = plan.quote_addons(&ids(addons), days).ok();
            assert_eq!(quote.map(|quote| quote.amount.to_string()).as_deref(), price, "{addons:?} {days}");
        }
    }

    #[test]
    fn a_price_that_cannot_be_read_is_never_taken_for_nothing() {
        for (place, value) in [
            ("/costMonthly", json!("")),
            ("/costMonthly", json!("9,49")),
            ("/currency", json!(null)),
            ("/id", json!("1,2")),
            ("/months/0/discount", json!("ten")),
            ("/months/0/months", json!(-1)),
            ("/addons/9/costMonthly", json!("2 EUR")),
            ("/locations/0/costMonthly", json!("")),
        ] {
            let mut row = row();
            *row.pointer_mut(place).unwrap() = value.clone();
            assert_eq!(plan(&row).unwrap_err().class, FaultClass::PanelBug, "{place} {value}");
        }
    }

    #[test]
    fn the_samples_are_a_plan_and_a_balance() {
        let Some(samples) = samples::all() else { return };
        for ending in ["json", "ser"] {
            let plans = plans_reply(&reply(&samples[&format!("tarifs.{ending}")])).unwrap();
            assert_eq!((plans[0].id.as_str(), plans[0].monthly.to_string().as_str()), ("12", "9.49"));
            assert!(!plans[0].needs_domain());
            let balance = balance_reply(&reply(&samples[&format!("balance.{ending}")])).unwrap();
            assert_eq!((balance.amount.to_string().as_str(), balance.currency.as_str()), ("40.51", "EUR"));
        }
        for code in [10, 12] {
            let body = format!(r#"{{"status":"ERROR","errorCode":{code}}}"#);
            assert_eq!(plans_reply(&reply(body.as_bytes())).unwrap(), []);
        }
    }
}
