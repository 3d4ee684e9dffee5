//! Accounts of the panel, and which of them is a customer's.

use crate::answer::misfit;
use crate::form::{Form, Id};
use crate::machine::elements;
use crate::mark;
use crate::panel::Panel;
use crate::settings::{Product, is_account_name};
use crate::standing::Account;
use crate::xml::Node;
use billhook_plugin_api::{Cx, Fault, FaultClass, Secret, Service};

/// The level of a customer in lists.
const LEVEL_USER: &str = "16";
/// The level of an administrator in lists. The superuser's is higher, and no row may have it.
pub const LEVEL_ADMIN: u32 = 29;
/// The level of a customer where one is made.
const NEW_LEVEL: &str = "lvUser";
/// Before the customer's number where the operator chose no prefix.
const PREFIX: &str = "client";
/// More machines than these of one account are not looked at for a mark.
const MAX_LOOKS: usize = 50;

/// A row of the list of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: Id,
    pub name: String,
    /// A number or a word; absent when the panel does not tell.
    pub level: Option<String>,
}

impl User {
    pub fn account(&self) -> Account {
        Account { id: self.id.clone(), name: self.name.clone() }
    }

    fn is_customer(&self) -> bool {
        matches!(self.level.as_deref(), Some(LEVEL_USER | NEW_LEVEL))
    }
}

pub fn list() -> Form {
    Form::view("user").with("filter", "off")
}

pub fn rows(doc: &Node) -> Result<Vec<User>, Fault> {
    let read = |row: &Node| {
        if let Some(name) = row.not_text(&["id", "name", "login", "level"]) {
            return Err(misfit(&format!("doc.elem.{name}")));
        }
        let name = row.text("name").or(row.text("login")).ok_or_else(|| misfit("doc.elem.name"))?;
        let id = row.text("id").unwrap_or(name);
        let id = Id::new(id).ok_or_else(|| misfit("doc.elem.id"))?;
        Ok(User { id, name: name.to_owned(), level: row.text("level").map(str::to_owned) })
    };
    elements(doc)?.into_iter().map(read).collect()
}

pub fn find<'u>(users: &'u [User], name: &str) -> Option<&'u User> {
    users.iter().find(|user| user.name == name)
}

/// The administrator that we are.
///
/// # Errors
///
/// `permission` when the list does not show it, as for the superuser: the reservation of a machine would silently do
/// nothing.
pub fn admin(users: &[User], login: &str) -> Result<Account, Fault> {
    find(users, login).map(User::account).ok_or_else(|| {
        Fault::new(
            FaultClass::Permission,
            format!(
                "the account {login} is not in the panel's list of accounts, so that it cannot own a machine: use an \
                 account with the role Administrator that is not the superuser"
            ),
        )
    })
}

/// Makes a customer's account.
pub fn new(name: &str, password: &Secret<String>) -> Form {
    Form::add("user.edit")
        .with("level", NEW_LEVEL)
        .with("name", name)
        .with("passwd", password.expose())
        .with("confirm", password.expose())
}

/// Gives a customer's account another password.
pub fn set_password(account: &Account, password: &Secret<String>) -> Form {
    Form::edit("user.edit", &account.id)
        .with("level", NEW_LEVEL)
        .with("name", &account.name)
        .with("passwd", password.expose())
        .with("confirm", password.expose())
}

/// What the customer's account is called, and whether that name alone proves that it is his.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub proof: Proof,
}

/// Why an account of that name may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The operator named the account itself; it must be there.
    Named,
    /// The operator keeps the prefix for us.
    Prefix,
    /// Nothing, unless a machine of the customer's says so.
    Machine,
}

/// One account for all services of a customer.
pub fn wanted(panel: &Panel, service: &Service, product: &Product) -> Result<Wanted, Fault> {
    let (name, proof) = match (product.account.as_deref(), panel.account_prefix.as_deref()) {
        (Some(name), _) => (name.trim().to_owned(), Proof::Named),
        (None, prefix) => {
            let client = service.client_id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| {
                Fault::invalid_input("the customer's id is needed to name the panel account; none was sent")
            })?;
            let proof = if prefix.is_some() { Proof::Prefix } else { Proof::Machine };
            (format!("{}{client}", prefix.unwrap_or(PREFIX)), proof)
        }
    };
    if !is_account_name(&name) || name == panel.login {
        return Err(Fault::invalid_input(format!(
            "the panel account would be called {name:?}, which cannot be a customer's login: set account at the order"
        )));
    }
    Ok(Wanted { name, proof })
}

/// The account of that name if it is the customer's, nothing if there is none.
///
/// # Errors
///
/// `already_exists` for one that is somebody else's or may be: a machine in it would be in a stranger's hands.
pub async fn claim(
    panel: &Panel,
    cx: &Cx,
    users: &[User],
    wanted: &Wanted,
    service: &Service,
) -> Result<Option<Account>, Fault> {
    let name = &wanted.name;
    let Some(user) = find(users, name) else {
        return match wanted.proof {
            Proof::Named => {
                Err(Fault::invalid_input(format!("the panel has no account {name}: make it, or correct account")))
            }
            Proof::Prefix | Proof::Machine => Ok(None),
        };
    };
    if !user.is_customer() {
        return Err(conflict(name, "which is no customer's (its level is not user)"));
    }
    let is_his = match wanted.proof {
        Proof::Named | Proof::Prefix => true,
        Proof::Machine => is_marked(panel, cx, users, user, service).await?,
    };
    if is_his { Ok(Some(user.account())) } else { Err(conflict(name, "and nothing proves that it is this customer's")) }
}

fn conflict(name: &str, why: &str) -> Fault {
    Fault::new(
        FaultClass::AlreadyExists,
        format!(
            "the panel has an account {name} already, {why}: if it is the customer's, set account to {name} for this \
             order and retry; where nobody else makes names with it, set account_prefix at the server"
        ),
    )
}

/// Whether a machine proves that the account is the customer's: one that it owns or is meant for, marked for him.
async fn is_marked(panel: &Panel, cx: &Cx, users: &[User], user: &User, service: &Service) -> Result<bool, Fault> {
    let client = mark::client_key(service);
    if client.is_empty() {
        return Ok(false);
    }
    let us = find(users, &panel.login).map(User::account);
    let his = user.account();
    let mut looks = 0;
    for row in panel.rows(cx).await? {
        let Some(owner) = &row.owner else { continue };
        // Those in our own name are being prepared, for him perhaps.
        if !his.is(owner) && !us.as_ref().is_some_and(|us| us.is(owner)) {
            continue;
        }
        looks += 1;
        if looks > MAX_LOOKS {
            break;
        }
        let Some(id) = Id::new(&row.id) else { continue };
        let mark = panel.find_view(cx, &id).await?.and_then(|view| view.mark());
        if mark.is_some_and(|mark| mark.client == client && mark.account == user.id.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a customer's account has no machine, and none is being prepared for it.
pub async fn is_idle(panel: &Panel, cx: &Cx, users: &[User], account: &Account) -> Result<bool, Fault> {
    let us = find(users, &panel.login).map(User::account);
    for row in panel.rows(cx).await? {
        let Some(owner) = row.owner.as_deref() else { continue };
        if account.is(owner) {
            return Ok(false);
        }
        if us.as_ref().is_some_and(|us| us.is(owner)) {
            let Some(id) = Id::new(&row.id) else { continue };
            let mark = panel.find_view(cx, &id).await?.and_then(|view| view.mark());
            if mark.is_some_and(|mark| mark.account == account.id.as_str()) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The scope in which an account of that name is made and deleted.
pub fn scope(name: &str) -> String {
    format!("account:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage;
    use serde_json::json;

    #[test]
    fn a_row_needs_a_name() {
        let doc = |text: &str| Node::parse(text.as_bytes()).unwrap();
        let users = rows(&doc("<doc><elem><id>7</id><name>a</name><level>16</level></elem></doc>")).unwrap();
        assert_eq!(find(&users, "a").unwrap().account().id.as_str(), "7");
        assert!(users[0].is_customer());
        assert!(rows(&doc("<doc><elem><id>7</id></elem></doc>")).is_err());
    }

    #[test]
    fn one_name_for_one_customer() {
        for (prefix, more, client, expected) in [
            (None, json!({}), Some("42"), Some(("client42", Proof::Machine))),
            (Some("bh"), json!({}), Some("42"), Some(("bh42", Proof::Prefix))),
            (Some("bh"), json!({ "account": "acme" }), Some("42"), Some(("acme", Proof::Named))),
            (None, json!({ "account": "acme" }), None, Some(("acme", Proof::Named))),
            (None, json!({}), None, None),
            (None, json!({}), Some("4 2"), None),
            (None, json!({ "account": "billhook" }), Some("42"), None),
        ] {
            let provider = stage::provider_with(json!({ "account_prefix": prefix }));
            let service = Service { client_id: client.map(str::to_owned), ..stage::service() };
            let found = wanted(&provider.panel, &service, &stage::product(more));
            let expected = expected.map(|(name, proof)| Wanted { name: name.into(), proof });
            assert_eq!(found.ok(), expected, "{prefix:?} {client:?}");
        }
    }
}
