//! A hook's body, as a platform sends it, and what makes it the event that it is.

mod needs;
mod strict;

pub use needs::{Member, Takes, takes};
pub(crate) use strict::read;

use crate::hex::hex;
use crate::mask::Fingerprinter;
use crate::problem::Problem;
use crate::words;
use billhook_plugin_api::{Addon, Client, Hook, PaidUntil, PasswordTarget, PowerAction, Secret};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use utoipa::ToSchema;

/// The body of `POST /v1/hooks/{hook}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HookBody {
    /// What it is about; for all hooks on a service.
    #[serde(default, deserialize_with = "strict::object", skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceBody>,
    /// Name of a configured server; for `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Contact data of the customer.
    #[serde(default, deserialize_with = "client", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ClientBody>)]
    pub client: Option<Client>,
    /// What was bought; needed for `create`.
    #[serde(default, deserialize_with = "strict::object", skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductBody>,
    /// A password that the customer chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub password: Option<Secret<String>>,
    /// For `renew`: old and new end of the paid period.
    #[serde(default, deserialize_with = "paid_until", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PaidUntilBody>)]
    pub paid_until: Option<PaidUntil>,
    /// For `suspend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For `action`: its name in the provider's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// For `action`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
    /// For `order_addons`.
    #[serde(default, deserialize_with = "strict::objects", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<words::Addon>)]
    pub addons: Vec<Addon>,
    /// For `power`: what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::PowerAction>)]
    pub power: Option<PowerAction>,
    /// For `change_password`: whose; the provider's usual one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::PasswordTarget>)]
    pub target: Option<PasswordTarget>,
    /// For `reinstall`: what is on the machine may be lost. Nothing else is accepted there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// For `options`: the product setting whose values are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A service, as the platform names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBody {
    /// The platform's id.
    #[schema(min_length = 1, max_length = 255)]
    pub id: String,
    /// The platform's id of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub client_id: Option<String>,
    /// A login that the platform chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub username: Option<String>,
    /// Domain or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub domain: Option<String>,
}

/// What was bought.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductBody {
    /// Name of a configured product.
    pub id: String,
    /// Laid over the product's settings.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
}

impl HookBody {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// `invalid_request` with the JSON pointer of the first member that does not fit; no value is quoted.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        read(bytes)
    }

    /// Checks what a hook needs and must not have.
    ///
    /// # Errors
    ///
    /// `invalid_request` at the member that is missing, empty, too long, or of another hook.
    pub fn check(&self, hook: Hook) -> Result<(), Problem> {
        takes(hook).check(self, hook)?;
        if let Some(service) = &self.service {
            id("/service/id", &service.id)?;
            for (path, value) in [
                ("/service/client_id", &service.client_id),
                ("/service/username", &service.username),
                ("/service/domain", &service.domain),
            ] {
                if let Some(value) = value {
                    id(path, value)?;
                }
            }
        }
        if let Some(dates) = &self.paid_until {
            date("/paid_until/from", &dates.from)?;
            date("/paid_until/to", &dates.to)?;
            if dates.to <= dates.from {
                return Err(Problem::at("/paid_until/to", "the new date is not after the old one"));
            }
        }
        let mut named = HashSet::new();
        for (index, addon) in self.addons.iter().enumerate() {
            id(&format!("/addons/{index}/id"), &addon.id)?;
            if addon.quantity == 0 {
                return Err(Problem::at(format!("/addons/{index}/quantity"), "at least 1"));
            }
            if !named.insert(&addon.id) {
                return Err(Problem::at(format!("/addons/{index}/id"), "named twice: say it with `quantity`"));
            }
        }
        if let Some(field) = &self.field {
            id("/field", field)?;
        }
        Ok(())
    }

    /// What a hook does beyond its word: the name of an action, or what a `power` does.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref().or(self.power.map(PowerAction::as_str))
    }

    /// Hash of what makes this hook the event that it is: hook, service, product, target, money; neither contact data nor
    /// waits. A password only where it is what the hook is about, and then as the host's keyed fingerprint.
    pub fn fingerprint(&self, hook: Hook, prints: &Fingerprinter) -> String {
        let password = self.password.as_ref().filter(|_| hook == Hook::ChangePassword);
        let mut content = json!({
            "hook": hook,
            "service": self.service.as_ref().map(|service| &service.id),
            "server": self.server,
            "product": self.product,
            "paid_until": self.paid_until,
            "action": self.action,
            "params": self.params,
        });
        // Absent rather than null where they say nothing, so that the events of an older store keep their hashes.
        for (name, value) in [
            ("addons", (!self.addons.is_empty()).then(|| json!(self.addons))),
            ("power", self.power.map(|power| json!(power))),
            ("target", self.target.map(|target| json!(target))),
            ("password", password.map(|password| json!(prints.of_event(password.expose())))),
        ] {
            if let Some(value) = value {
                content[name] = value;
            }
        }
        // serde_json's map is ordered by key, so equal contents give equal texts.
        hex(&Sha256::digest(content.to_string().as_bytes()))
    }
}

/// [`Client`] without members that it does not have. The contract's own type takes any, so that a newer host can tell an
/// older plugin more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClientBody {
    /// Person or company.
    #[serde(default)]
    name: String,
    /// Company, where the platform keeps it apart.
    #[serde(default)]
    company: Option<String>,
    /// Address for mail.
    #[serde(default)]
    email: String,
    /// As the platform has it.
    #[serde(default)]
    phone: Option<String>,
    /// BCP 47, as `en` or `pt-BR`.
    #[serde(default)]
    language: Option<String>,
}

/// [`PaidUntil`], in the same way.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaidUntilBody {
    /// Until when it was paid before.
    #[schema(format = Date)]
    from: String,
    /// Until when it is paid now.
    #[schema(format = Date)]
    to: String,
}

fn client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Client>, D::Error> {
    let body: Option<ClientBody> = strict::object(deserializer)?;
    Ok(body.map(|ClientBody { name, company, email, phone, language }| Client {
        name,
        company,
        email,
        phone,
        language,
    }))
}

fn paid_until<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PaidUntil>, D::Error> {
    let body: Option<PaidUntilBody> = strict::object(deserializer)?;
    Ok(body.map(|PaidUntilBody { from, to }| PaidUntil { from, to }))
}

fn id(path: &str, value: &str) -> Result<(), Problem> {
    // As long as any platform's id or domain is, and short enough for an index.
    const LONGEST: usize = 255;
    if value.trim().is_empty() {
        return Err(Problem::at(path, "empty"));
    }
    if value.len() > LONGEST {
        return Err(Problem::at(path, format!("longer than {LONGEST} bytes")));
    }
    if value.chars().any(char::is_control) {
        return Err(Problem::at(path, "has a control character"));
    }
    Ok(())
}

fn date(path: &str, value: &str) -> Result<(), Problem> {
    value
        .parse::<jiff::civil::Date>()
        .ok()
        .filter(|date| date.to_string() == value)
        .map(|_| ())
        .ok_or_else(|| Problem::at(path, "not a date of the form YYYY-MM-DD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_does_not_fit_is_refused_with_its_place() {
        for (body, path, word) in [
            (r#"{"#, "", "too early"),
            (r#"{"service":{"id":7}}"#, "/service/id", "string"),
            (r#"{"service":["7"]}"#, "/service", "an object"),
            (r#"{"client":["Acme"]}"#, "/client", "an object"),
            (r#"{"client":{"nmae":"Acme"}}"#, "/client/nmae", "unknown field"),
            (r#"{"paid_until":["2026-01-01","2027-01-01"]}"#, "/paid_until", "an object"),
            (r#"{"paid_until":{"from":"2026-01-01","until":"2027-01-01"}}"#, "/paid_until/until", "unknown field"),
            (r#"{"product":["vps"]}"#, "/product", "an object"),
            (r#"{"addons":{"id":"a"}}"#, "/addons", "a list of objects"),
            (r#"{"addons":[{"id":"a"},["b",2]]}"#, "/addons/1", "an object"),
            (r#"{"addons":[{"id":"a"},null]}"#, "/addons/1", "an object"),
            (r#"{"product":{"id":"p","options":{"os":1,"os":2}}}"#, "/product/options/os", "more than once"),
            (r#"{"service":{"id":"7","ip":"x"}}"#, "/service/ip", "unknown field"),
            (r#"{"colour":1}"#, "/colour", "unknown field"),
            (r#"{"product":{"options":{}}}"#, "/product", "missing field"),
            (r#"{} x"#, "", "follows"),
        ] {
            let problem = HookBody::parse(body.as_bytes()).unwrap_err();
            assert_eq!(problem.path.as_deref(), Some(path), "{body}: {problem}");
            assert!(problem.detail.contains(word), "{body}: {problem}");
        }
    }

    #[test]
    fn a_refused_body_does_not_quote_its_values() {
        let problem = HookBody::parse(br#"{"password":["hunter2hunter2"],"server":true}"#).unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        let problem = HookBody::parse(br#"{"product":"hunter2hunter2"}"#).unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn each_hook_says_what_it_needs() {
        for (hook, body, path) in [
            (Hook::Create, r#"{"product":{"id":"p"}}"#, "/service"),
            (Hook::Create, r#"{"service":{"id":"1"}}"#, "/product"),
            (Hook::Create, r#"{"service":{"id":" "},"product":{"id":"p"}}"#, "/service/id"),
            (Hook::Renew, r#"{"service":{"id":"1"}}"#, "/paid_until"),
            (
                Hook::Renew,
                r#"{"service":{"id":"1"},"paid_until":{"from":"2026-13-01","to":"2027-01-01"}}"#,
                "/paid_until/from",
            ),
            (
                Hook::Renew,
                r#"{"service":{"id":"1"},"paid_until":{"from":"2027-01-01","to":"2027-01-01"}}"#,
                "/paid_until/to",
            ),
            (
                Hook::Renew,
                r#"{"service":{"id":"1"},"paid_until":{"from":"2026-01-01","to":"2027-W01-1"}}"#,
                "/paid_until/to",
            ),
            (Hook::Suspend, r#"{"service":{"id":"1"},"server":"s"}"#, "/server"),
            (Hook::Suspend, r#"{"service":{"id":"1"},"action":"a"}"#, "/action"),
            (Hook::Suspend, r#"{"service":{"id":"1"},"product":{"id":"p"}}"#, "/product"),
            (Hook::Status, r#"{"service":{"id":"1"},"password":"x"}"#, "/password"),
            (Hook::Create, r#"{"service":{"id":"1"},"product":{"id":"p"},"reason":"x"}"#, "/reason"),
            (Hook::Action, r#"{"service":{"id":"1"}}"#, "/action"),
            (Hook::Action, r#"{"action":"a"}"#, "/service"),
            (Hook::Test, r#"{}"#, "/server"),
            (Hook::Test, r#"{"service":{"id":"1"},"server":"s"}"#, "/service"),
            (Hook::List, r#"{"service":{"id":"1"}}"#, "/service"),
            (Hook::Options, r#"{"server":"s"}"#, "/field"),
            (Hook::Capacity, r#"{"server":"s"}"#, "/product"),
            (Hook::Test, r#"{"server":"s","field":"plan"}"#, "/field"),
            (Hook::ChangePackage, r#"{"service":{"id":"1"}}"#, "/product"),
            (Hook::Power, r#"{"service":{"id":"1"}}"#, "/power"),
            (Hook::Suspend, r#"{"service":{"id":"1"},"power":"stop"}"#, "/power"),
            (Hook::OrderAddons, r#"{"service":{"id":"1"},"addons":[]}"#, "/addons"),
            (Hook::OrderAddons, r#"{"service":{"id":"1"},"addons":[{"id":"a"},{"id":" "}]}"#, "/addons/1/id"),
            (Hook::OrderAddons, r#"{"service":{"id":"1"},"addons":[{"id":"a"},{"id":"a"}]}"#, "/addons/1/id"),
            (Hook::OrderAddons, r#"{"service":{"id":"1"},"addons":[{"id":"a","quantity":0}]}"#, "/addons/0/quantity"),
            (Hook::Reinstall, r#"{"service":{"id":"1"}}"#, "/confirm"),
            (Hook::Create, r#"{"service":{"id":"1"},"product":{"id":"p"},"confirm":true}"#, "/confirm"),
            (Hook::Create, r#"{"service":{"id":"1"},"product":{"id":"p"},"target":"root"}"#, "/target"),
        ] {
            let problem = HookBody::parse(body.as_bytes()).unwrap().check(hook).unwrap_err();
            assert_eq!(problem.path.as_deref(), Some(path), "{hook} {body}");
        }
    }

    #[test]
    fn what_a_hook_is_about_is_part_of_the_event() {
        let prints = Fingerprinter::new(&[7; 32]);
        for (hook, one, other, same) in [
            (Hook::ChangePassword, r#"{"password":"one-password"}"#, r#"{"password":"two-password"}"#, false),
            (Hook::Reinstall, r#"{"password":"one-password"}"#, r#"{"password":"two-password"}"#, true),
            (Hook::ChangePassword, r#"{"target":"root"}"#, r#"{"target":"account"}"#, false),
            (Hook::Power, r#"{"power":"start"}"#, r#"{"power":"stop"}"#, false),
            (Hook::OrderAddons, r#"{"addons":[{"id":"a"}]}"#, r#"{"addons":[{"id":"a","quantity":1}]}"#, true),
            (Hook::OrderAddons, r#"{"addons":[{"id":"a"}]}"#, r#"{"addons":[{"id":"b"}]}"#, false),
        ] {
            let print = |body: &str| HookBody::parse(body.as_bytes()).unwrap().fingerprint(hook, &prints);
            assert_eq!(print(one) == print(other), same, "{hook} {one} {other}");
        }
    }

    #[test]
    fn contact_data_is_not_part_of_the_event() {
        let prints = Fingerprinter::new(&[7; 32]);
        let print = |body: &str| HookBody::parse(body.as_bytes()).unwrap().fingerprint(Hook::Create, &prints);
        let first = print(r#"{"service":{"id":"1","domain":"a"},"product":{"id":"p"},"client":{"email":"a@x"}}"#);
        assert_eq!(first, print(r#"{"product":{"id":"p"},"client":{"email":"b@x"},"service":{"id":"1"}}"#));
        assert_ne!(first, print(r#"{"service":{"id":"1"},"product":{"id":"q"}}"#));
        assert_ne!(first, print(r#"{"service":{"id":"2"},"product":{"id":"p"}}"#));
    }
}
