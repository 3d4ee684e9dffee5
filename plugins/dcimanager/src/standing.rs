//! Whether a machine is a service's own, asked before every change of it.
//!
//! A machine outlives the service: after a release it is the next customer's, under the same id.

use crate::form::Id;
use crate::machine::{FREE_HOST, Row, View};
use crate::mark::{self, Mark};
use billhook_plugin_api::{Fault, Service};
use serde::{Deserialize, Serialize};

/// What we know of a service's accounts.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Platform and service, as in marks.
    pub service: String,
    /// What `create` kept of its mark.
    pub nonce: Option<String>,
    /// The customer's account.
    pub account: Option<Account>,
    /// The account that we use.
    pub admin: Option<Account>,
}

/// An account of the panel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: Id,
    pub name: String,
}

impl Account {
    /// Whether it is the owner that the panel shows, by whichever of the two.
    pub fn is(&self, owner: &str) -> bool {
        owner == self.id.as_str() || owner == self.name
    }
}

/// What the panel says of a service's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The customer's.
    Ours,
    /// Ours, and still or again with the administrator: being prepared, or stuck in it.
    Making,
    /// Ours, and on its way back.
    Releasing,
    /// Nobody's.
    Free,
    /// The panel has no such machine.
    Gone,
    /// Somebody else's; the text says by what.
    Foreign(String),
}

impl Known {
    pub fn of(service: &Service) -> Self {
        let text = |name: &str| service.properties.get(name).and_then(serde_json::Value::as_str);
        let account = text("account_id").and_then(Id::new).zip(text("account"));
        Self {
            service: mark::service_key(service),
            nonce: text("mark").map(str::to_owned),
            account: account.map(|(id, name)| Account { id, name: name.to_owned() }),
            admin: None,
        }
    }

    /// Whether a mark is this service's, of this life.
    pub fn is_marked(&self, mark: &Mark) -> bool {
        mark.service == self.service && self.nonce.as_ref().is_none_or(|nonce| *nonce == mark.nonce)
    }

    /// Judges a machine by its row and its form, both of which are absent when the panel says that it has none.
    pub fn judge(&self, machine: Option<(&Row, &View)>) -> Standing {
        let Some((row, view)) = machine else { return Standing::Gone };
        let Some(owner) = view.owner.as_deref() else { return Standing::Free };
        let mark = view.mark();
        let is_marked = match &mark {
            Some(mark) if !self.is_marked(mark) => {
                return Standing::Foreign(format!("it is marked for the service {}", mark.service));
            }
            mark => mark.is_some(),
        };
        let is_free_name = row.hostname == FREE_HOST;
        if self.admin.as_ref().is_some_and(|admin| admin.is(owner)) {
            return match (is_marked, is_free_name) {
                (true, false) => Standing::Making,
                (true, true) => Standing::Releasing,
                (false, _) => Standing::Foreign("it is the administrator's, without a mark of this service".to_owned()),
            };
        }
        match &self.account {
            Some(account) if account.is(owner) => {
                // A customer may name his machine as he likes; the mark says that it is his.
                if is_free_name && !is_marked {
                    Standing::Foreign(format!("it is called {FREE_HOST}, as machines that are for sale"))
                } else {
                    Standing::Ours
                }
            }
            Some(account) => Standing::Foreign(format!(
                "it belongs to the account {}, and the service's is {}",
                row.owner.as_deref().unwrap_or(owner),
                account.name
            )),
            None if is_marked => Standing::Ours,
            None => Standing::Foreign(
                "nothing tells that it is this service's: it has no mark, and the service no account".into(),
            ),
        }
    }
}

impl Standing {
    /// Refuses all but the customer's own machine.
    pub fn owned(self, id: &Id) -> Result<(), Fault> {
        let why = match self {
            Self::Ours => return Ok(()),
            Self::Making => {
                return Err(Fault::invalid_input(format!(
                    "server {id} is not handed over yet: retry the create, or terminate the service"
                )));
            }
            Self::Releasing => "it is being given back".to_owned(),
            Self::Free => "it has no owner".to_owned(),
            Self::Gone => return Err(Fault::not_found(format!("the panel has no server {id} any more"))),
            Self::Foreign(why) => why,
        };
        Err(Fault::not_found(format!(
            "server {id} is not this service's: {why}; check the service's id, or give the server back to its customer on \
             the panel"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    fn known(has_account: bool, nonce: Option<&str>) -> Known {
        Known {
            service: "whmcs/1007".into(),
            nonce: nonce.map(str::to_owned),
            account: has_account.then(|| Account { id: id("77"), name: "c42".into() }),
            admin: Some(Account { id: id("5"), name: "billhook".into() }),
        }
    }

    fn judged(known: &Known, owner: Option<&str>, hostname: &str, notes: &str) -> Standing {
        let row = Row { id: "42".into(), hostname: hostname.into(), owner: owner.map(str::to_owned), ..Row::default() };
        let view = View {
            id: id("42"),
            mac: String::new(),
            name: String::new(),
            notes: notes.into(),
            kind: String::new(),
            owner: owner.map(str::to_owned),
        };
        known.judge(Some((&row, &view)))
    }

    #[test]
    fn owner_mark_and_name_together_tell_whose_it_is() {
        const OURS: &str = "[svc:whmcs/1007 op:k3]";
        const OLDER: &str = "[svc:whmcs/1007 op:old]";
        const NEXT: &str = "[svc:whmcs/2000 op:k4]";
        let foreign = || Standing::Foreign(String::new());
        for (has_account, owner, host, notes, expected) in [
            (true, Some("77"), "a.b", OURS, Standing::Ours),
            (true, Some("c42"), "a.b", OURS, Standing::Ours),
            (true, Some("77"), "a.b", "", Standing::Ours),
            (true, Some("77"), "free.ds", OURS, Standing::Ours),
            (true, Some("77"), "free.ds", "", foreign()),
            // The same customer's next service took the same machine.
            (true, Some("77"), "a.b", NEXT, foreign()),
            (true, Some("77"), "a.b", OLDER, foreign()),
            (true, Some("78"), "a.b", "", foreign()),
            (true, Some("78"), "a.b", OURS, foreign()),
            (true, Some("5"), "a.b", OURS, Standing::Making),
            (true, Some("5"), "free.ds", OURS, Standing::Releasing),
            (true, Some("billhook"), "a.b", OURS, Standing::Making),
            (true, Some("5"), "a.b", "", foreign()),
            (true, Some("5"), "a.b", NEXT, foreign()),
            (true, None, "free.ds", "", Standing::Free),
            (true, None, "a.b", OURS, Standing::Free),
            (false, Some("78"), "a.b", OURS, Standing::Ours),
            (false, Some("78"), "a.b", "", foreign()),
        ] {
            let mut found = judged(&known(has_account, Some("k3")), owner, host, notes);
            if let Standing::Foreign(why) = &mut found {
                why.clear();
            }
            assert_eq!(found, expected, "{has_account} {owner:?} {host} {notes}");
        }
        assert_eq!(known(true, None).judge(None), Standing::Gone);
        // Without its own record a service knows its mark by the service alone.
        assert_eq!(judged(&known(true, None), Some("77"), "a.b", OLDER), Standing::Ours);
    }

    #[test]
    fn only_the_customers_own_is_touched() {
        assert!(Standing::Ours.owned(&id("42")).is_ok());
        for standing in
            [Standing::Making, Standing::Releasing, Standing::Free, Standing::Gone, Standing::Foreign("x".into())]
        {
            let fault = standing.clone().owned(&id("42")).unwrap_err();
            assert!(!billhook_plugin_api::FaultClass::passes_by_itself(fault.class), "{standing:?}");
        }
    }
}
