//! What an operator sets: once per login ([`Server`]) and once per product ([`Product`]).

use crate::amount::Amount;
use billhook_plugin_api::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use billhook_plugin_api::{Fault, Secret};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use std::fmt;

/// Settings of one login at the panel. The base URL (`https://my.friendhosting.net`), time limits and TLS are the host's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ROOTPANEL login")]
pub struct Server {
    /// User name in the panel's billing. Orders belong to it.
    #[schemars(title = "Login", length(min = 1, max = 255))]
    pub login: String,
    /// Key for the API. Either this or `pass`.
    #[serde(default)]
    #[schemars(title = "API key")]
    pub apikey: Option<Secret<String>>,
    /// The user's password. Either this or `apikey`; the panel's test account has a password only.
    #[serde(default)]
    #[schemars(title = "Password")]
    pub pass: Option<Secret<String>>,
    /// The form in which the panel answers. With `php` the log keeps no bodies of answers, since only JSON can be masked in part.
    #[serde(default)]
    #[schemars(title = "Answer format")]
    pub format: Format,
}

/// The form in which the panel answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// PHP's own, for a panel that knows no other.
    Php,
}

/// Settings of one product.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ROOTPANEL order")]
pub struct Product {
    /// Id of the plan.
    #[schemars(title = "Plan")]
    pub tarifid: Id,
    /// Months that are ordered at once, one of the plan's periods. A renewal takes the months that were paid for in billing;
    /// only if these are not whole, it takes this number too.
    #[schemars(title = "Period (months)", range(min = 1, max = 120))]
    pub period: u32,
    /// Id of the location; without it the plan's own.
    #[serde(default)]
    #[schemars(title = "Location")]
    pub locationid: Option<Id>,
    /// Ids of add-ons, once for each piece. The operating system and the control panel have settings of their own.
    #[serde(default)]
    #[schemars(title = "Add-ons", length(max = 100))]
    pub addons: Vec<Id>,
    /// Id of the add-on that is the operating system, for the order and for a reinstallation.
    #[serde(default)]
    #[schemars(title = "Operating system")]
    pub osid: Option<Id>,
    /// Id of the add-on that is the control panel, for the order and for a reinstallation.
    #[serde(default)]
    #[schemars(title = "Control panel")]
    pub panelid: Option<Id>,
    /// The most that one order or renewal may cost, in the currency of the login, such as `"12.50"`. One that would cost more is
    /// not sent.
    #[serde(default)]
    #[schemars(title = "Highest price")]
    pub max_price: Option<Amount>,
    /// Orders although the balance does not cover it; the panel then waits until its invoice is paid.
    #[serde(default)]
    #[schemars(title = "Order without balance")]
    pub allow_unpaid_orders: bool,
    /// What a termination does, since the panel deletes nothing by its API.
    #[serde(default)]
    #[schemars(title = "Termination")]
    pub terminate: OnTerminate,
}

/// What a termination does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTerminate {
    /// The order is suspended and ends by itself when its paid time is over.
    #[default]
    Suspend,
    /// It is refused.
    Unsupported,
}

/// An id of the panel: text, or a number. Never holds what could end it in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// `None` if it is empty or holds other characters than letters, digits, `-` and `_`.
    pub fn new(text: &str) -> Option<Self> {
        let is_id = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_id.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(IdReader)
    }
}

struct IdReader;

impl de::Visitor<'_> for IdReader {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id of letters, digits, - and _, or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        Id::new(text).ok_or_else(|| E::custom("an id has letters, digits, - and _ only"))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
        Ok(Id(number.to_string()))
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" },
                { "type": "integer", "minimum": 0 }
            ]
        })
    }
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    ApiKey(Secret<String>),
    Pass(Secret<String>),
}

/// The panel's account for trying its API: nothing is charged, made or kept.
pub const TEST_LOGIN: &str = "test";

impl Server {
    /// The one credential.
    ///
    /// # Errors
    ///
    /// `invalid_input` for two or none, which the panel would refuse with codes 9 and 6, and for what cannot be a login.
    pub fn credential(&self) -> Result<Credential, Fault> {
        if self.login.trim() != self.login || self.login.is_empty() {
            return Err(Fault::invalid_input("login is empty or has spaces around it"));
        }
        let credential = match (&self.apikey, &self.pass) {
            (Some(_), Some(_)) => {
                return Err(Fault::invalid_input(
                    "apikey and pass are both set, and the panel takes one: remove one of them",
                ));
            }
            (None, None) => {
                return Err(Fault::invalid_input("neither apikey nor pass is set: the panel wants one of them"));
            }
            (Some(key), None) => Credential::ApiKey(key.clone()),
            (None, Some(pass)) => Credential::Pass(pass.clone()),
        };
        let (Credential::ApiKey(value) | Credential::Pass(value)) = &credential;
        if value.expose().trim().is_empty() {
            return Err(Fault::invalid_input("the credential is empty"));
        }
        Ok(credential)
    }
}

impl Product {
    /// Add-ons of a new order, with the operating system and the control panel, which are add-ons too.
    pub fn ordered_addons(&self) -> Vec<Id> {
        let mut addons = self.addons.clone();
        for id in [&self.osid, &self.panelid].into_iter().flatten() {
            if !addons.contains(id) {
                addons.push(id.clone());
            }
        }
        addons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_plugin_api::schemars::schema_for;
    use serde_json::{Value, json};

    fn credential(settings: Value) -> Result<Credential, Fault> {
        serde_json::from_value::<Server>(settings).unwrap().credential()
    }

    #[test]
    fn there_is_exactly_one_credential() {
        let key = |text: &str| Ok(Credential::ApiKey(Secret::new(text.to_owned())));
        assert_eq!(credential(json!({ "login": "u", "apikey": "k" })), key("k"));
        assert!(matches!(credential(json!({ "login": "u", "pass": "p" })), Ok(Credential::Pass(_))));
        for (settings, hint) in [
            (json!({ "login": "u", "apikey": "k", "pass": "p" }), "both"),
            (json!({ "login": "u" }), "neither"),
            (json!({ "login": "u", "apikey": " " }), "empty"),
            (json!({ "login": "", "apikey": "k" }), "login"),
            (json!({ "login": " u", "apikey": "k" }), "login"),
        ] {
            let fault = credential(settings.clone()).unwrap_err();
            assert!(fault.staff.contains(hint), "{settings}: {fault}");
        }
    }

    #[test]
    fn an_id_is_a_text_or_a_number_that_ends_no_list() {
        for (id, expected) in [(json!(12), Some("12")), (json!("12"), Some("12")), (json!("a-b_c"), Some("a-b_c"))] {
            assert_eq!(serde_json::from_value::<Id>(id).ok().as_ref().map(Id::as_str), expected);
        }
        for id in [json!(""), json!("7,9"), json!("7&x=1"), json!(-1), json!(1.5), json!(null), json!("ü")] {
            assert!(serde_json::from_value::<Id>(id.clone()).is_err(), "{id}");
        }
    }

    #[test]
    fn the_system_and_the_panel_are_ordered_once() {
        let product = json!({ "tarifid": 12, "period": 1, "addons": [9, 9, "7"], "osid": "7", "panelid": 30 });
        let product: Product = serde_json::from_value(product).unwrap();
        let ids: Vec<String> = product.ordered_addons().iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["9", "9", "7", "30"]);
    }

    #[test]
    fn unknown_settings_are_refused_and_secrets_are_marked() {
        assert!(serde_json::from_value::<Server>(json!({ "login": "u", "apikey": "k", "x": 1 })).is_err());
        assert!(serde_json::from_value::<Product>(json!({ "tarifid": 1, "period": 1, "x": 1 })).is_err());
        let schema = serde_json::to_string(&schema_for!(Server)).unwrap();
        assert_eq!(schema.matches("x-secret").count(), 2, "{schema}");
    }
}
