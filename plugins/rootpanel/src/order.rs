//! An order as the panel lists it, and what its state means.
//!
//! Source: ROOTPANEL.NET API, "getOrders". No domain, location, add-ons, price or power is told.

use crate::codes;
use crate::command::{Command, VID};
use crate::date;
use crate::envelope::{self, misfit};
use crate::settings::Id;
use crate::tree::Tree;
use billhook_plugin_api::{Fault, Reply, Secret, ServiceState};
use serde_json::{Map, Value, json};

const DAY_MS: u64 = 86_400_000;

const SCALARS: &[&str] = &[
    "vid",
    "tarifid",
    "tarifname",
    "status",
    "orderdate",
    "todate",
    "leftdays",
    "serverlogin",
    "serverpassword",
    "serveripv4",
    "serveripv6",
];

/// One order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: Id,
    pub vid: Option<String>,
    pub tarifid: Option<Id>,
    pub state: State,
    /// Until when it is paid, as the panel writes it.
    pub todate: Option<String>,
    pub leftdays: Option<i64>,
    pub login: Option<String>,
    pub password: Option<Secret<String>>,
    /// The main one first.
    pub ips: Vec<String>,
    name: Option<String>,
    orderdate: Option<String>,
}

/// What the panel says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// 0: accepted, and nothing done yet.
    Waiting,
    /// 1: set up.
    Active,
    /// 2
    Suspended,
    /// 3: at work on it.
    Working,
    /// A number that the documentation does not have, or none.
    Unknown,
}

impl Order {
    fn read(row: &Tree) -> Result<Self, Fault> {
        // Whatever is left out is not known; what is there in another shape is a panel that is not understood.
        if let Some(name) = row.not_scalar(SCALARS).or(row.not_list(&["extraips"])) {
            return Err(misfit(&format!("orders[].{name}")));
        }
        let id = row.text("orderid").and_then(|id| Id::new(&id)).ok_or_else(|| misfit("orders[].orderid"))?;
        let extra = row.list("extraips").into_iter().filter_map(Tree::as_text);
        let ips = [row.text("serveripv4"), row.text("serveripv6")].into_iter().flatten().chain(extra);
        Ok(Self {
            id,
            vid: row.text("vid"),
            tarifid: row.text("tarifid").and_then(|id| Id::new(&id)),
            state: match row.whole("status") {
                Some(0) => State::Waiting,
                Some(1) => State::Active,
                Some(2) => State::Suspended,
                Some(3) => State::Working,
                _ => State::Unknown,
            },
            todate: row.text("todate"),
            leftdays: row.whole("leftdays"),
            login: row.text("serverlogin"),
            password: row.text("serverpassword").map(Secret::new),
            ips: ips.filter(|ip| !ip.is_empty()).collect(),
            name: row.text("tarifname"),
            orderdate: row.text("orderdate"),
        })
    }

    /// Whether it may be what was ordered as this plan.
    pub fn is_of(&self, tarifid: &Id) -> bool {
        self.vid.as_deref().is_none_or(|vid| vid == VID) && self.tarifid.as_ref().is_none_or(|id| id == tarifid)
    }

    /// In billing words.
    pub fn service_state(&self) -> ServiceState {
        match self.state {
            State::Waiting | State::Working => ServiceState::Provisioning,
            State::Active => ServiceState::Active,
            State::Suspended => ServiceState::Suspended,
            State::Unknown => ServiceState::Unknown,
        }
    }

    /// What is still waited for.
    pub fn pending(&self) -> Option<&'static str> {
        match self.state {
            State::Waiting => Some("the panel has the order and has not begun with it: it waits for payment or staff"),
            State::Working => Some("the panel is at work on the order"),
            State::Active | State::Suspended | State::Unknown => None,
        }
    }

    /// When the paid time is over, Unix milliseconds; `None` when the panel does not say.
    pub fn ends_at(&self, now: u64) -> Option<u64> {
        let by_days = || Some(now + u64::try_from(self.leftdays?.max(0)).ok()?.checked_mul(DAY_MS)?);
        self.todate.as_deref().and_then(date::unix_ms).or_else(by_days)
    }

    /// Whether its paid time is over.
    pub fn is_expired(&self, now: u64) -> bool {
        // A date without a time is the last day that is paid for.
        let by_date = || Some(date::unix_ms(self.todate.as_deref()?)?.saturating_add(DAY_MS) <= now);
        self.leftdays.map(|days| days < 0).or_else(by_date).unwrap_or(false)
    }

    /// Facts for staff.
    pub fn properties(&self) -> Map<String, Value> {
        let facts = [
            ("tarifid", json!(self.tarifid)),
            ("tarifname", json!(self.name)),
            ("orderdate", json!(self.orderdate)),
            ("todate", json!(self.todate)),
            ("leftdays", json!(self.leftdays)),
        ];
        facts.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub fn name(&self) -> Option<String> {
        self.name.clone()
    }

    pub fn orderdate(&self) -> Option<String> {
        self.orderdate.clone()
    }
}

/// All orders. A row that cannot be read is a fault: an order that is passed over could be made twice.
pub fn orders_reply(reply: &Reply) -> Result<Vec<Order>, Fault> {
    match rows(reply) {
        Err(fault) if codes::is(&fault, &[codes::NO_ORDERS]) => Ok(Vec::new()),
        read => read,
    }
}

/// One order; `None` when the panel says in its own words that it has none.
pub fn order_reply(reply: &Reply, id: &Id) -> Result<Option<Order>, Fault> {
    match rows(reply) {
        Ok(orders) => match orders.into_iter().find(|order| order.id == *id) {
            Some(order) => Ok(Some(order)),
            None => Err(Fault::panel_bug(format!("asked for the order {id}, the panel answered without it"))),
        },
        Err(fault) if codes::is(&fault, &codes::NO_ORDER) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn rows(reply: &Reply) -> Result<Vec<Order>, Fault> {
    envelope::read(reply, Command::GetOrders)?.rows("orders")?.into_iter().map(Order::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use billhook_plugin_api::FaultClass;

    fn reply(body: &[u8]) -> Reply {
        Reply { status: 200, headers: vec![], body: body.to_vec(), retry_after_ms: None }
    }

    fn orders(rows: &str) -> Result<Vec<Order>, Fault> {
        orders_reply(&reply(format!(r#"{{"status":"SUCCESS","orders":{rows}}}"#).as_bytes()))
    }

    fn one(row: &str) -> Order {
        orders(&format!("[{row}]")).unwrap().remove(0)
    }

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    #[test]
    fn both_samples_are_orders() {
        let Some(samples) = samples::all() else { return };
        for ending in ["json", "ser"] {
            let list = orders_reply(&reply(&samples[&format!("orders_list.{ending}")])).unwrap();
            let ids: Vec<&str> = list.iter().map(|order| order.id.as_str()).collect();
            assert_eq!(ids, ["50123", "50124"]);
            assert_eq!((list[0].state, list[1].state), (State::Active, State::Working));
            assert_eq!(list[0].ips, ["192.0.2.10"]);
            assert_eq!(list[1].ips, ["192.0.2.20", "192.0.2.21"]);
            assert_eq!((list[0].leftdays, list[1].todate.as_deref()), (Some(29), None));
            assert_eq!(list[1].password, None);

            let keyed = orders_reply(&reply(&samples[&format!("orders_keyed_by_id.{ending}")])).unwrap();
            assert_eq!((keyed[0].id.as_str(), keyed[0].state), ("50123", State::Active));
            assert_eq!(keyed[0].ips, ["192.0.2.10", "192.0.2.20"]);
            assert_eq!(keyed[0].password.as_ref().unwrap().expose(), "Zq9-example");
        }
    }

    #[test]
    fn an_order_that_cannot_be_read_is_never_passed_over() {
        for rows in [r#"[{"vid":"vds"}]"#, r#"[{"orderid":""}]"#, r#"[{"orderid":"1"},7]"#, "7", "null", r#""""#] {
            assert_eq!(orders(rows).unwrap_err().class, FaultClass::PanelBug, "{rows}");
        }
        assert_eq!(orders("[]").unwrap(), []);
        assert_eq!(orders("{}").unwrap(), []);
    }

    #[test]
    fn only_the_panels_words_say_that_an_order_is_gone() {
        let asked = |body: &str| order_reply(&reply(body.as_bytes()), &id("7"));
        for code in [19, 26] {
            assert_eq!(asked(&format!(r#"{{"status":"ERROR","errorCode":{code}}}"#)).unwrap(), None);
        }
        let row = r#"{"status":"SUCCESS","orders":{"8":{"orderid":8},"7":{"orderid":7}}}"#;
        assert_eq!(asked(row).unwrap().unwrap().id, id("7"));
        for (body, class) in [
            (r#"{"status":"SUCCESS","orders":[]}"#, FaultClass::PanelBug),
            (r#"{"status":"SUCCESS","orders":[{"orderid":8}]}"#, FaultClass::PanelBug),
            (r#"{"status":"ERROR","errorCode":7}"#, FaultClass::Auth),
            ("<html>", FaultClass::InDoubt),
        ] {
            assert_eq!(asked(body).unwrap_err().class, class, "{body}");
        }
    }

    #[test]
    fn a_state_has_its_billing_word() {
        use ServiceState as S;
        for (status, word, waits) in [
            ("0", S::Provisioning, true),
            ("\"1\"", S::Active, false),
            ("2", S::Suspended, false),
            ("\"3\"", S::Provisioning, true),
            ("4", S::Unknown, false),
            ("\"x\"", S::Unknown, false),
            ("null", S::Unknown, false),
        ] {
            let order = one(&format!(r#"{{"orderid":1,"status":{status}}}"#));
            assert_eq!((order.service_state(), order.pending().is_some()), (word, waits), "{status}");
        }
    }

    #[test]
    fn the_end_is_the_date_or_else_the_days() {
        const NOW: u64 = 1_797_724_800_000; // 2026-12-20
        for (row, ends_at, is_expired) in [
            (r#"{"orderid":1,"todate":"2026-12-25","leftdays":5}"#, Some(NOW + 5 * DAY_MS), false),
            (r#"{"orderid":1,"todate":"soon","leftdays":"3"}"#, Some(NOW + 3 * DAY_MS), false),
            (r#"{"orderid":1,"todate":"2026-12-10","leftdays":-10}"#, Some(NOW - 10 * DAY_MS), true),
            (r#"{"orderid":1,"todate":"2026-12-20"}"#, Some(NOW), false),
            (r#"{"orderid":1,"todate":"2026-12-19"}"#, Some(NOW - DAY_MS), true),
            (r#"{"orderid":1,"leftdays":-1}"#, Some(NOW), true),
            (r#"{"orderid":1}"#, None, false),
        ] {
            let order = one(row);
            assert_eq!((order.ends_at(NOW), order.is_expired(NOW)), (ends_at, is_expired), "{row}");
        }
    }
}
