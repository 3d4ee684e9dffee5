//! Users of the panel, and how their passwords are tried.

use crate::wire::{self, AUTHENTICATION, USERS};
use billhook_plugin_api::{Client, Fault, Reply, Request};
use billhook_soap::Node;

/// Roles and states, as numbers.
pub const RESELLER: i64 = 2;
pub const ADMINISTRATOR: i64 = 1;
pub const CUSTOMER: i64 = 3;
pub const ACTIVE: i64 = 1;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: i64,
    pub owner: i64,
    pub role: i64,
    pub status: i64,
    pub is_peer: bool,
    pub is_demo: bool,
    pub username: String,
    pub email: String,
    pub comments: String,
}

/// Whether the name is in use, by whomever: unlike the lookups, this sees everybody's.
pub fn exists(username: &str) -> Result<Request, Fault> {
    wire::read(USERS, "UserExists", &|call| _ = call.text("username", username))
}

pub fn exists_reply(reply: &Reply) -> Result<bool, Fault> {
    let tree = wire::tree(reply, "UserExists")?;
    wire::some(&tree, "UserExists")?.bool().map_err(wire::misread)
}

pub fn by_name(username: &str) -> Result<Request, Fault> {
    wire::read(USERS, "GetUserByUsername", &|call| _ = call.text("username", username))
}

pub fn by_name_reply(reply: &Reply) -> Result<Option<User>, Fault> {
    user_reply(reply, "GetUserByUsername")
}

pub fn by_id(id: i64) -> Result<Request, Fault> {
    wire::read(USERS, "GetUserById", &|call| _ = call.int("userId", id))
}

pub fn by_id_reply(reply: &Reply) -> Result<Option<User>, Fault> {
    user_reply(reply, "GetUserById")
}

fn user_reply(reply: &Reply, operation: &str) -> Result<Option<User>, Fault> {
    let tree = wire::tree(reply, operation)?;
    wire::object(&tree, operation)?.map(user).transpose()
}

fn user(node: Node<'_>) -> Result<User, Fault> {
    Ok(User {
        id: wire::int(node, "UserId")?,
        owner: wire::int(node, "OwnerId")?,
        role: wire::int(node, "RoleId")?,
        status: wire::int(node, "StatusId")?,
        is_peer: wire::flag(node, "IsPeer")?,
        is_demo: wire::flag(node, "IsDemo")?,
        username: wire::text(node, "Username")?,
        email: wire::text(node, "Email")?,
        comments: wire::text(node, "Comments")?,
    })
}

/// A user to be made.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    pub owner: i64,
    pub username: &'a str,
    pub client: &'a Client,
    pub password: &'a str,
    pub marker: &'a str,
}

/// Makes a customer. Numbers and names of role and state are two views of one member each, of which the last one read
/// counts: both are sent.
pub fn add(new: NewUser<'_>) -> Result<Request, Fault> {
    let (first, last) = person(&new.client.name);
    let company = short(new.client.company.as_deref().unwrap_or_default(), 100);
    let request = wire::change(USERS, "AddUser", &|call| {
        call.element("user", |user| {
            user.int("RoleId", CUSTOMER).text("Role", "User").int("StatusId", ACTIVE).text("Status", "Active");
            user.int("LoginStatusId", 0).text("LoginStatus", "Enabled").int("FailedLogins", 0).int("UserId", 0);
            user.int("OwnerId", new.owner).bool("IsPeer", false);
            user.text("Created", ANY_DATE).text("Changed", ANY_DATE).bool("IsDemo", false);
            user.text("Comments", new.marker).text("LastName", last).text("Username", new.username);
            user.text("FirstName", first).text("Email", short(&new.client.email, 255));
            user.text("PrimaryPhone", short(new.client.phone.as_deref().unwrap_or_default(), 30));
            for name in EMPTY {
                user.text(name, "");
            }
            user.bool("HtmlMail", true).text("CompanyName", company).bool("EcommerceEnabled", false);
            user.text("SubscriberNumber", "").int("MfaMode", 0);
        });
        call.bool("sendLetter", false).text("password", new.password);
        call.element("notes", |notes| _ = notes.text("string", new.marker));
    })?;
    Ok(request.secret("**.password"))
}

/// The panel sets both dates itself, and wants any.
const ANY_DATE: &str = "2025-01-01T00:00:00";

const EMPTY: [&str; 9] =
    ["Zip", "InstantMessenger", "Fax", "SecondaryPhone", "SecondaryEmail", "Country", "Address", "City", "State"];

/// First and last name, each within the panel's limit: it cuts longer ones in silence.
fn person(name: &str) -> (&str, &str) {
    let name = name.trim();
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    (short(first, 50), short(last.trim(), 50))
}

fn short(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}

pub fn add_reply(reply: &Reply) -> Result<i64, Fault> {
    made(wire::number(reply, "AddUser")?, "AddUser")
}

/// An id is above zero.
pub fn made(id: i64, operation: &str) -> Result<i64, Fault> {
    if id > 0 { Ok(id) } else { Err(Fault::panel_bug(format!("{operation} answered with the id {id}"))) }
}

/// Begins to delete a user, in the background. Only with an id that was just read: an unknown one can take the whole
/// Enterprise Server down.
pub fn delete(id: i64) -> Result<Request, Fault> {
    wire::change(USERS, "DeleteUser", &|call| _ = call.int("userId", id))
}

pub fn delete_reply(reply: &Reply) -> Result<i64, Fault> {
    wire::number(reply, "DeleteUser")
}

/// Answers 0 also where nothing was done for want of rights; so try the password afterwards.
pub fn set_password(id: i64, password: &str) -> Result<Request, Fault> {
    let request =
        wire::change(USERS, "ChangeUserPassword", &|call| _ = call.int("userId", id).text("password", password))?;
    Ok(request.secret("**.password"))
}

pub fn set_password_reply(reply: &Reply) -> Result<i64, Fault> {
    wire::number(reply, "ChangeUserPassword")
}

pub fn authenticate(username: &str, password: &str) -> Result<Request, Fault> {
    let request = wire::read(AUTHENTICATION, "AuthenticateUser", &|call| {
        call.text("username", username).text("password", password).text("ip", "");
    })?;
    Ok(request.secret("**.password"))
}

/// Whether the panel knows the password; of an account that is locked, it does not say.
pub fn authenticate_reply(reply: &Reply) -> Result<bool, Fault> {
    match wire::number(reply, "AuthenticateUser") {
        Ok(_) => Ok(true),
        Err(fault) if matches!(fault.code.as_deref(), Some("-109" | "-110")) => Ok(false),
        // Of an account that is suspended or locked it says only that; which proves nothing against the password.
        Err(fault) if fault.code.as_deref().is_some_and(|code| code.starts_with("-1")) => Ok(true),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{envelope, example, replied, squeezed};

    #[test]
    fn requests_are_those_of_the_contract() {
        let client = Client { name: "Jane Doe".into(), email: "jane@example.test".into(), ..Client::default() };
        let new = NewUser {
            owner: 2,
            username: "svc10042",
            client: &client,
            password: "S3cret-panel",
            marker: "billing service 10042",
        };
        for (file, request) in [
            ("01-GetUserByUsername.request.xml", by_name("svc10042")),
            ("03-UserExists.request.xml", exists("svc10042")),
            ("04-AddUser.request.xml", add(new)),
        ] {
            let Some(expected) = example(file) else { continue };
            let sent = String::from_utf8(request.unwrap().body).unwrap();
            // The contract's example has other dates, another login of the reading, and no comment.
            let expected = squeezed(&expected)
                .replace("2025-01-15T10:00:00", ANY_DATE)
                .replace("<Comments/>", "<Comments>billing service 10042</Comments>");
            let expected = match expected.split_once("<username>") {
                Some((head, rest)) => {
                    let (_, tail) = rest.split_once("</username>").unwrap();
                    format!("{head}<username>svc10042</username>{tail}")
                }
                None => expected,
            };
            assert_eq!(squeezed(&sent), expected, "{file}");
        }
    }

    #[test]
    fn answers_are_those_of_the_contract() {
        if let Some(body) = example("01-GetUserByUsername.response.xml") {
            let user = by_name_reply(&replied(200, &body)).unwrap().unwrap();
            assert!(user.id > 0 && !user.username.is_empty(), "{user:?}");
        }
        if let Some(body) = example("02-GetUserByUsername-none.response.xml") {
            assert_eq!(by_name_reply(&replied(200, &body)), Ok(None));
        }
        if let Some(body) = example("04-AddUser-exists.response.xml") {
            assert_eq!(add_reply(&replied(200, &body)).unwrap_err().code.as_deref(), Some("-100"));
        }
        if let Some(body) = example("04-AddUser.response.xml") {
            assert!(add_reply(&replied(200, &body)).unwrap() > 0);
        }
    }

    #[test]
    fn names_are_cut_where_the_panel_would_cut_them() {
        let long = "x".repeat(80);
        assert_eq!(person("Jane van Doe"), ("Jane", "van Doe"));
        assert_eq!(person(" Acme "), ("Acme", ""));
        assert_eq!(person(&long).0.len(), 50);
    }

    #[test]
    fn a_password_that_is_right_of_an_account_that_is_locked_is_right() {
        for (code, expected) in
            [(0, true), (100, true), (101, true), (-109, false), (-110, false), (-104, true), (-115, true)]
        {
            let body =
                envelope("AuthenticateUser", &format!("<AuthenticateUserResult>{code}</AuthenticateUserResult>"));
            assert_eq!(authenticate_reply(&replied(200, &body)), Ok(expected), "{code}");
        }
    }
}
