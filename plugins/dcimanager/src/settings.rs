//! What an operator sets: once per panel ([`Server`]) and once per product ([`Product`]).

use crate::form::Id;
use billhook_plugin_api::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use billhook_plugin_api::{Fault, Schemas, Secret};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::fmt;

/// The schemas of [`Server`] and [`Product`], kept as text to keep the library small.
pub const SCHEMAS: Schemas =
    Schemas { server: include_str!("settings/server.json"), product: include_str!("settings/product.json") };

/// Settings of one DCImanager 5 panel. The base URL (`https://dci.example.com:1500`), time limits and TLS are the host's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "DCImanager 5 panel")]
pub struct Server {
    /// Account on the panel with the role Administrator, made for Billhook alone; not `root`, and without a second
    /// factor. It owns a machine while that is being prepared or given back.
    #[schemars(title = "Login", length(min = 1, max = 100))]
    pub login: String,
    /// Its password.
    #[schemars(title = "Password")]
    pub password: Secret<String>,
    /// Address at which customers open the panel, for example `https://dci.example.com:1500`, without `/dcimgr`. Needed
    /// for login links and consoles.
    #[serde(default)]
    #[schemars(title = "Panel address", url)]
    pub panel_url: Option<String>,
    /// Accounts are named by this and the customer's id, and whatever account has such a name is that customer's: let
    /// nobody else make such names, and give each billing platform a prefix of its own. Without it an account that is
    /// there already is taken only if one of the customer's machines proves that it is his.
    #[serde(default)]
    #[schemars(title = "Prefix of accounts", length(min = 2, max = 20), regex(pattern = "^[a-z][a-z0-9_-]*$"))]
    pub account_prefix: Option<String>,
    /// Seconds that an installation may take. The panel's own integration documents 720 and waits 7200.
    #[serde(default = "install_limit_s")]
    #[schemars(title = "Longest installation (s)", range(min = 60, max = 86_400))]
    pub install_limit_s: u32,
    /// Seconds that a machine may take to be switched on or off.
    #[serde(default = "power_limit_s")]
    #[schemars(title = "Longest switch of power (s)", range(min = 30, max = 7_200))]
    pub power_limit_s: u32,
    /// What the usage of a machine is.
    #[serde(default)]
    #[schemars(title = "Usage")]
    pub usage: UsageKind,
}

/// What the usage of a machine is. The two cannot be converted into each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageKind {
    /// Bytes in and out in this month.
    #[default]
    Volume,
    /// The 95th percentile of its speed.
    Percentile,
    /// Both, each by its own name.
    Both,
}

/// Settings of one product.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "DCImanager machine")]
pub struct Product {
    /// Configuration or server type that a machine must have, as the panel's server list shows it.
    #[schemars(title = "Package", length(min = 1, max = 255))]
    pub package: String,
    /// Template of the operating system. `OS` goes before it, and `ostemplate` before both.
    #[serde(default)]
    #[schemars(title = "Operating system")]
    pub os: Option<Choice>,
    /// As `os`; the name that some orders have it by.
    #[serde(default, rename = "OS")]
    #[schemars(title = "Operating system (OS)")]
    pub os_capital: Option<Choice>,
    /// As `os`; the name that some orders have it by.
    #[serde(default)]
    #[schemars(title = "Operating system (ostemplate)")]
    pub ostemplate: Option<Choice>,
    /// Recipe that runs after the installation, for example `local__web`; none if it is empty or `null`.
    #[serde(default)]
    #[schemars(title = "Recipe")]
    pub recipe: Option<Choice>,
    /// Hand the machine over as soon as the installation has begun.
    #[serde(default)]
    #[schemars(title = "Do not wait for the installation")]
    pub dont_wait: bool,
    /// Domain of the machine: `@ID@` is the service's id, `@DOMAIN@` the ordered domain. Without it the ordered domain,
    /// and without that `@ID@.domain`.
    #[serde(default)]
    #[schemars(title = "Domain", length(min = 1, max = 253))]
    pub domain_template: Option<String>,
    /// Group of addresses that additional ones are taken from.
    #[serde(default = "public")]
    #[schemars(title = "Address group", length(min = 1, max = 100))]
    pub ip_group: String,
    /// How many IPv4 addresses beside the main one.
    #[serde(default, rename = "IP")]
    #[schemars(title = "Additional IPv4 addresses")]
    pub ipv4: Count,
    /// How many IPv6 addresses.
    #[serde(default, rename = "IPv6")]
    #[schemars(title = "Additional IPv6 addresses")]
    pub ipv6: Count,
    /// Account on the panel that gets the machine, instead of the customer's own. By setting it you say that it is the
    /// customer's, or that all customers of the product share it.
    #[serde(default)]
    #[schemars(title = "Account", length(min = 1, max = 100))]
    pub account: Option<String>,
    /// Id of the one machine to sell, whatever its package; it must be free. For a single order.
    #[serde(default)]
    #[schemars(title = "Machine", length(min = 1, max = 64))]
    pub server_id: Option<String>,
    /// A termination deletes the customer's account when it owns no machine any more. Only accounts whose names
    /// Billhook made are deleted.
    #[serde(default)]
    #[schemars(title = "Delete empty accounts")]
    pub delete_empty_account: bool,
}

const fn install_limit_s() -> u32 {
    7_200
}

const fn power_limit_s() -> u32 {
    600
}

fn public() -> String {
    "public".to_owned()
}

/// A value of an order's option; of `value|label` the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(String);

impl Choice {
    fn new(text: &str) -> Self {
        Self(text.split('|').next().unwrap_or_default().trim().to_owned())
    }

    /// `None` if it is empty.
    fn value(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|value| !value.is_empty())
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let choice = Self::new(&text);
        if choice.0.len() > 255 || choice.0.chars().any(char::is_control) {
            return Err(de::Error::custom("a name has at most 255 characters, and no control characters"));
        }
        Ok(choice)
    }
}

impl JsonSchema for Choice {
    fn schema_name() -> Cow<'static, str> {
        "Choice".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 512 })
    }
}

/// A number of things: a number, its digits, or `digits|label` as orders have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count(pub u32);

/// More addresses than a machine gets.
const MAX_COUNT: u32 = 256;

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(CountReader)
    }
}

struct CountReader;

impl de::Visitor<'_> for CountReader {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {MAX_COUNT}")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
        match u32::try_from(number) {
            Ok(count @ 0..=MAX_COUNT) => Ok(Count(count)),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
        let digits = text.split('|').next().unwrap_or_default().trim();
        if digits.is_empty() {
            return Ok(Count(0));
        }
        // `parse` would take a plus sign.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(E::invalid_value(de::Unexpected::Str(text), &self));
        }
        digits.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self)).and_then(|n| self.visit_u64(n))
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": MAX_COUNT },
                { "type": "string", "pattern": "^ *([0-9]{1,3})? *([|].*)?$" }
            ]
        })
    }
}

impl Server {
    /// Settings that the schema cannot refuse.
    pub fn check(&self) -> Result<(), Fault> {
        if self.login.trim() != self.login || self.login.is_empty() {
            return Err(Fault::invalid_input("login is empty or has blanks around it"));
        }
        if self.login == "root" {
            return Err(Fault::invalid_input(
                "login is root, which the panel cannot make the owner of a machine: make an account with the role \
                 Administrator",
            ));
        }
        match self.panel_url.as_deref() {
            Some(url) if !is_web_address(url) => Err(Fault::invalid_input(
                "panel_url is https:// with a host and a port, without path, login, query or fragment",
            )),
            _ => Ok(()),
        }
    }
}

impl Product {
    /// The template to install.
    pub fn template(&self) -> Result<&str, Fault> {
        [&self.ostemplate, &self.os_capital, &self.os]
            .into_iter()
            .flatten()
            .find_map(Choice::value)
            .ok_or_else(|| Fault::invalid_input("no operating system: set os at the product, or let the order have it"))
    }

    /// The recipe as the panel wants it: `null` is none.
    pub fn recipe(&self) -> &str {
        self.recipe.as_ref().and_then(Choice::value).unwrap_or("null")
    }

    /// The one machine that may be sold.
    pub fn forced(&self) -> Result<Option<Id>, Fault> {
        match self.server_id.as_deref() {
            None => Ok(None),
            Some(id) => Id::new(id)
                .map(Some)
                .ok_or_else(|| Fault::invalid_input("server_id is no id of the panel: take it from its server list")),
        }
    }
}

/// What an account on the panel may be called.
pub fn is_account_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'))
}

fn is_web_address(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.trim_end_matches('/');
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_plugin_api::schemars::schema_for;
    use serde_json::{Value, json};

    fn server(more: Value) -> Result<(), Fault> {
        let mut settings = json!({ "login": "billhook", "password": "p" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Server>(settings).unwrap().check()
    }

    fn product(more: Value) -> Result<Product, serde_json::Error> {
        let mut settings = json!({ "package": "E3" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(settings)
    }

    #[test]
    fn a_login_that_cannot_own_and_an_address_with_more_are_refused() {
        for (more, hint) in [
            (json!({ "login": "root" }), "root"),
            (json!({ "login": " x" }), "blanks"),
            (json!({ "panel_url": "http://x" }), "https"),
            (json!({ "panel_url": "https://x/dcimgr" }), "path"),
            (json!({ "panel_url": "https://u@x" }), "login"),
        ] {
            assert!(server(more.clone()).unwrap_err().staff.contains(hint), "{more}");
        }
        for url in ["https://dci.example.com:1500", "https://dci.example.com/", "https://[2001:db8::1]:1500"] {
            assert!(server(json!({ "panel_url": url })).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_later_name_of_a_template_wins_and_labels_are_cut_off() {
        for (more, expected) in [
            (json!({}), None),
            (json!({ "os": "a" }), Some("a")),
            (json!({ "os": "a", "OS": "b|Debian" }), Some("b")),
            (json!({ "os": "a", "OS": "b", "ostemplate": " c |x|y" }), Some("c")),
            (json!({ "os": "a", "ostemplate": "" }), Some("a")),
            (json!({ "ostemplate": "|none" }), None),
        ] {
            assert_eq!(product(more.clone()).unwrap().template().ok(), expected, "{more}");
        }
    }

    #[test]
    fn no_recipe_is_the_word_null() {
        for (more, expected) in [
            (json!({}), "null"),
            (json!({ "recipe": "" }), "null"),
            (json!({ "recipe": "null" }), "null"),
            (json!({ "recipe": "local__web|Web" }), "local__web"),
        ] {
            assert_eq!(product(more).unwrap().recipe(), expected);
        }
    }

    #[test]
    fn a_count_is_a_number_in_any_dress_and_never_negative() {
        for (count, expected) in [
            (json!(2), 2),
            (json!("2"), 2),
            (json!("2|Two"), 2),
            (json!(""), 0),
            (json!("0|None"), 0),
            (json!(256), 256),
        ] {
            assert_eq!(product(json!({ "IP": count })).unwrap().ipv4, Count(expected));
        }
        for count in
            [json!(-1), json!("-1"), json!("+1"), json!("two"), json!(257), json!("999"), json!(1.5), json!(null)]
        {
            assert!(product(json!({ "IPv6": count.clone() })).is_err(), "{count}");
        }
    }

    #[test]
    fn the_schemas_that_are_kept_are_those_of_the_types() {
        for (kept, schema) in [(SCHEMAS.server, schema_for!(Server)), (SCHEMAS.product, schema_for!(Product))] {
            let schema = serde_json::to_string(&schema).unwrap();
            assert_eq!(kept.trim_end(), schema, "put this into the file beside settings.rs:\n{schema}");
        }
    }

    #[test]
    fn everything_has_a_title_and_a_text_and_the_password_is_secret() {
        let (server, product) = (schema_for!(Server).to_value(), schema_for!(Product).to_value());
        assert_eq!(server["properties"]["password"]["x-secret"], json!(true));
        assert_eq!(server["required"], json!(["login", "password"]));
        assert_eq!(server["properties"]["install_limit_s"]["default"], json!(7_200));
        for schema in [&server, &product] {
            assert_eq!(schema["additionalProperties"], json!(false));
            for (name, member) in schema["properties"].as_object().unwrap() {
                assert!(member.get("title").is_some() && member.get("description").is_some(), "{name}");
            }
        }
    }
}
