//! How the panel is asked: one address, one form, the function's name in it.
//!
//! Source: ISPsystem, "Guide to ISPsystem software API" for DCImanager 5. Everything is a `POST`, so that no secret stands
//! in a URL.

use billhook_plugin_api::{Fault, Request, Secret, segment};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Below the base URL, `https://HOST:1500`.
const PATH: &str = "/dcimgr";

/// Secrets of answers: the session, whose id the panel writes as an attribute, as text, or both.
pub const REPLY_SECRETS: &[&str] = &["doc.auth", "doc.auth.id"];

/// Secrets of forms.
const FORM_SECRETS: &[&str] = &["auth", "password", "passwd", "confirm", "checkpasswd", "key"];

/// An id of the panel. Never empty: a change with an empty id would make a new thing. Never a list: a comma would make
/// it two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_id = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_id.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("an id has letters, digits, - and _ only, and at least one of them")
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One call of a function of the panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(&'static str, String)>,
    is_slow: bool,
}

impl Form {
    /// Shows a list or a form.
    pub fn view(func: &'static str) -> Self {
        Self { pairs: vec![("func", func.to_owned())], is_slow: false }
    }

    /// Shows what belongs to an object, or the form of one.
    pub fn view_of(func: &'static str, elid: &Id) -> Self {
        Self::view(func).with("elid", elid)
    }

    /// Changes an object by its form.
    pub fn edit(func: &'static str, elid: &Id) -> Self {
        Self::view_of(func, elid).with("sok", "ok")
    }

    /// Makes an object by the form of its kind: no `elid`.
    pub fn add(func: &'static str) -> Self {
        Self::view(func).with("sok", "ok")
    }

    /// An order to an object, which has no form.
    pub fn order(func: &'static str, elid: &Id) -> Self {
        Self::view_of(func, elid)
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.pairs.push((name, value.to_string()));
        self
    }

    /// The panel asks hardware before it answers.
    #[must_use]
    pub fn slow(mut self) -> Self {
        self.is_slow = true;
        self
    }

    /// The request, in the name of a session, or of nobody to get one.
    pub fn request(&self, session: Option<&Secret<String>>) -> Request {
        let mut body = String::new();
        let fixed = [("out", "xml"), ("lang", "en")];
        let own = self.pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let session = session.map(|session| ("auth", session.expose().as_str()));
        for (name, value) in own.chain(fixed).chain(session) {
            if !body.is_empty() {
                body.push('&');
            }
            body.push_str(name);
            body.push('=');
            body.push_str(&segment(value));
        }
        let mut request = Request::post(PATH).body("application/x-www-form-urlencoded", body.into_bytes());
        for name in FORM_SECRETS {
            request = request.secret(name);
        }
        if self.is_slow { request.slow() } else { request }
    }
}

/// The panel's id of a service's machine.
pub fn machine_id(remote_id: Option<&str>) -> Result<Id, Fault> {
    let id = remote_id.ok_or_else(|| {
        Fault::not_found(
            "the service has no server id: look for its server on the panel, and enter the id at the service if there is one",
        )
    })?;
    Id::new(id).ok_or_else(|| {
        Fault::invalid_input(
            "the service's server id is no id of the panel: enter the number that its server list shows",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(form: &Form) -> String {
        String::from_utf8(form.request(Some(&Secret::new("s&1".into()))).body).unwrap()
    }

    #[test]
    fn everything_is_a_form_with_encoded_values() {
        let id = Id::new(" 42 ").unwrap();
        for (form, expected) in [
            (Form::view("server").with("filter", "off"), "func=server&filter=off"),
            (Form::view_of("server.edit", &id), "func=server.edit&elid=42"),
            (
                Form::edit("server.edit", &id).with("notes", "a b&c=d"),
                "func=server.edit&elid=42&sok=ok&notes=a%20b%26c%3Dd",
            ),
            (Form::add("iplist.edit").with("plid", &id), "func=iplist.edit&sok=ok&plid=42"),
            (Form::order("server.enable", &id), "func=server.enable&elid=42"),
        ] {
            assert_eq!(body(&form), format!("{expected}&out=xml&lang=en&auth=s%261"));
            let request = form.request(None);
            assert_eq!((request.method.as_str(), request.path.as_str(), request.query.len()), ("POST", "/dcimgr", 0));
            assert!(request.request_secrets.iter().any(|name| name == "confirm"));
        }
    }

    #[test]
    fn an_id_is_never_empty_and_never_two() {
        assert_eq!(Id::new(" 7 ").unwrap().as_str(), "7");
        for text in ["", " ", "7, 8", "7,8", "7&elid=8", "\u{fc}"] {
            assert_eq!(Id::new(text), None, "{text}");
        }
        assert!(serde_json::from_str::<Id>("\"\"").is_err());
    }
}
