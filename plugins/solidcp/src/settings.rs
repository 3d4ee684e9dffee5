//! What an operator sets: once per panel ([`Server`]) and once per product ([`Product`]).

use billhook_plugin_api::schemars::JsonSchema;
use billhook_plugin_api::{Fault, Schemas, Secret};
use serde::Deserialize;

/// The schemas of [`Server`] and [`Product`], kept as text to keep the library small.
pub const SCHEMAS: Schemas =
    Schemas { server: include_str!("settings/server.json"), product: include_str!("settings/product.json") };

/// Settings of one Enterprise Server. Its address (usually port 9002), time limits and TLS are the host's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "SolidCP Enterprise Server")]
pub struct Server {
    /// Login of a reseller on the panel, who is no peer. The hosting spaces that it owns are what is sold from.
    #[schemars(title = "Reseller login", length(min = 1, max = 50))]
    pub login: String,
    /// The reseller's password, or the Base64 form of its SHA-1, which the panel takes in its place. A password with a
    /// colon or with letters beyond ASCII works in the second form only.
    #[schemars(title = "Password", length(min = 1))]
    pub password: Secret<String>,
    /// The panel's version. `auto` tells 1.5.2 from the older ones by what they answer.
    #[serde(default)]
    #[schemars(title = "Version")]
    pub version: Version,
    /// Address of the panel's web pages, usually port 9001, for `login` and for links of the staff.
    #[serde(default)]
    #[schemars(title = "Portal address", url)]
    pub portal_url: Option<String>,
    /// Whether each service gets a panel user of its own, or all services of a customer share one.
    #[serde(default)]
    #[schemars(title = "Panel user")]
    pub user_per: UserPer,
    /// Put before the id in the names of panel users, instead of the billing platform's name and a dash. Each billing
    /// platform on a panel needs its own.
    #[serde(default)]
    #[schemars(title = "Prefix of panel users", length(min = 1, max = 20), regex(pattern = "^[a-z][a-z0-9._-]*$"))]
    pub user_prefix: Option<String>,
    /// What the names of machines end in: `vm.example.com` gives `h1007.vm.example.com`.
    #[schemars(title = "Domain of machines", length(min = 1, max = 200), regex(pattern = "^[A-Za-z0-9.-]+$"))]
    pub machine_domain: String,
    /// What the names of machines begin with. Each billing platform on a panel needs its own, or its own domain.
    #[serde(default = "h")]
    #[schemars(title = "Prefix of machines", length(min = 1, max = 5), regex(pattern = "^[a-z][a-z0-9]*$"))]
    pub machine_prefix: String,
}

/// Versions of the panel that differ in what they are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// Found out by asking.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// 1.4.9.
    #[serde(rename = "1.4.9")]
    V149,
    /// 1.5.0.
    #[serde(rename = "1.5.0")]
    V150,
    /// 1.5.1.
    #[serde(rename = "1.5.1")]
    V151,
    /// 1.5.2.
    #[serde(rename = "1.5.2")]
    V152,
}

/// Whose a panel user is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserPer {
    /// One service's; it goes with the service.
    #[default]
    Service,
    /// One customer's.
    Client,
}

/// Settings of one product.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "SolidCP machine")]
pub struct Product {
    /// Ids of the hosting plans that a machine can be sold from, one for each hosting space (hosting server and storage)
    /// of the reseller.
    #[schemars(title = "Hosting plans", length(min = 1, max = 50), inner(range(min = 1)))]
    pub plans: Vec<u32>,
    /// Which of the plans with enough room is taken.
    #[serde(default)]
    #[schemars(title = "Choice of the plan")]
    pub choice: Choice,
    /// CPU cores.
    #[schemars(title = "CPU cores", range(min = 1, max = 512))]
    pub cpu_cores: u32,
    /// Memory in MB.
    #[schemars(title = "Memory (MB)", range(min = 32))]
    pub memory_mb: u32,
    /// System disk in GB. It can grow later, never shrink.
    #[schemars(title = "Disk (GB)", range(min = 1))]
    pub disk_gb: u32,
    /// File of the operating system's template in the panel's library.
    #[schemars(title = "OS template", length(min = 1, max = 255))]
    pub os_template: String,
    /// How many external IPv4 addresses the machine gets.
    #[serde(default = "one")]
    #[schemars(title = "IPv4 addresses", range(min = 1, max = 64))]
    pub ipv4: u32,
    /// Memory in MB that must stay free on a hosting server.
    #[serde(default = "reserve")]
    #[schemars(title = "Reserved memory (MB)")]
    pub memory_reserve_mb: u32,
    /// The most customers' spaces in a hosting space of the reseller; no limit without it.
    #[serde(default)]
    #[schemars(title = "Most machines per space", range(min = 1))]
    pub max_per_space: Option<u32>,
    /// Snapshots that the customer may keep.
    #[serde(default)]
    #[schemars(title = "Snapshots", range(max = 50))]
    pub snapshots: u32,
    /// The customer may install the machine anew on the panel; needed for the hook `reinstall` too.
    #[serde(default = "yes")]
    #[schemars(title = "Reinstallation")]
    pub allow_reinstall: bool,
    /// What happens when the panel fails to make the machine.
    #[serde(default)]
    #[schemars(title = "When provisioning fails")]
    pub on_provisioning_failure: OnFailure,
    /// Minutes that the panel may take to make the machine.
    #[serde(default = "two_hours")]
    #[schemars(title = "Provisioning limit (minutes)", range(min = 5, max = 720))]
    pub provisioning_limit_min: u32,
    /// A renewal starts a suspended service again.
    #[serde(default)]
    #[schemars(title = "Unsuspend on renewal")]
    pub unsuspend_on_renew: bool,
}

/// Which of the plans with enough room is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The one whose hosting server has the most free memory.
    #[default]
    MostFree,
    /// The first in the product's order.
    InOrder,
}

/// What happens to a machine that the panel fails to make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It stays, so that it can be looked into on the panel.
    #[default]
    Keep,
    /// It is deleted with its space, and so is a user that was made for it.
    Delete,
}

fn h() -> String {
    "h".to_owned()
}

const fn one() -> u32 {
    1
}

const fn reserve() -> u32 {
    2_048
}

const fn two_hours() -> u32 {
    120
}

const fn yes() -> bool {
    true
}

impl Server {
    /// Settings that the schema cannot refuse.
    pub fn check(&self) -> Result<(), Fault> {
        if self.login.contains(':') {
            return Err(Fault::invalid_input("login: the panel takes no login with a colon"));
        }
        let password = self.password.expose();
        if password.contains(':') || !password.is_ascii() {
            return Err(Fault::invalid_input(
                "password: the panel cannot take a colon or letters beyond ASCII here: give the Base64 form of the \
                 password's SHA-1 instead, as `printf %s PASSWORD | openssl sha1 -binary | base64` prints it",
            ));
        }
        if !is_domain(&self.machine_domain) {
            return Err(Fault::invalid_input("machine_domain is a domain such as vm.example.com"));
        }
        match self.portal_url.as_deref() {
            Some(url) if !is_web_address(url) => {
                Err(Fault::invalid_input("portal_url is https:// with a host, without login, query or fragment"))
            }
            _ => Ok(()),
        }
    }
}

impl Product {
    /// Settings that the schema cannot refuse.
    pub fn check(&self) -> Result<(), Fault> {
        if self.os_template.contains(['/', '\\']) || !self.os_template.bytes().all(|byte| byte >= b' ') {
            return Err(Fault::invalid_input("os_template is the name of a file, without a folder"));
        }
        // Few: a sort is more code than the comparison.
        if self.plans.iter().enumerate().any(|(at, plan)| self.plans[..at].contains(plan)) {
            return Err(Fault::invalid_input("plans names a plan twice"));
        }
        Ok(())
    }
}

fn is_domain(name: &str) -> bool {
    name.len() <= 200
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_web_address(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty()
        && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '\\' | '"' | '<' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_plugin_api::FaultClass;
    use billhook_plugin_api::schemars::schema_for;
    use serde_json::{Value, json};

    fn laid(over: Value, on: Value) -> Value {
        let (Value::Object(over), Value::Object(mut on)) = (over, on) else { panic!() };
        on.extend(over);
        Value::Object(on)
    }

    fn server(more: Value) -> Result<(), FaultClass> {
        let settings = laid(more, json!({ "login": "r", "password": "p", "machine_domain": "vm.example.test" }));
        serde_json::from_value::<Server>(settings).unwrap().check().map_err(|fault| fault.class)
    }

    #[test]
    fn what_the_panel_cannot_take_as_credentials_is_refused_with_the_way_out() {
        let refused = Err(FaultClass::InvalidInput);
        for (more, expected) in [
            (json!({}), Ok(())),
            (json!({ "login": "a:b" }), refused),
            (json!({ "password": "a:b" }), refused),
            (json!({ "password": "pässword" }), refused),
            (json!({ "password": "W6ph5Mm5Pz8GgiULbPgzG37mj9g=" }), Ok(())),
            (json!({ "machine_domain": "-x.test" }), refused),
            (json!({ "machine_domain": "a..test" }), refused),
            (json!({ "portal_url": "https://cp.example.test:9001" }), Ok(())),
            (json!({ "portal_url": "http://cp.example.test" }), refused),
            (json!({ "portal_url": "https://a@cp.example.test" }), refused),
        ] {
            assert_eq!(server(more.clone()), expected, "{more}");
        }
    }

    #[test]
    fn a_product_names_files_and_each_plan_once() {
        let refused = Err(FaultClass::InvalidInput);
        for (more, expected) in [
            (json!({}), Ok(())),
            (json!({ "plans": [1, 1] }), refused),
            (json!({ "os_template": "..\\x.vhdx" }), refused),
        ] {
            let settings = laid(
                more.clone(),
                json!({ "plans": [1, 2], "cpu_cores": 1, "memory_mb": 512, "disk_gb": 10, "os_template": "w.vhdx" }),
            );
            let product: Product = serde_json::from_value(settings).unwrap();
            assert_eq!(product.check().map_err(|fault| fault.class), expected, "{more}");
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
    fn every_setting_has_a_title_and_a_text() {
        for schema in [schema_for!(Server).to_value(), schema_for!(Product).to_value()] {
            for (name, schema) in schema["properties"].as_object().unwrap() {
                assert!(schema.get("title").is_some() && schema.get("description").is_some(), "{name}");
            }
            assert_eq!(schema["additionalProperties"], json!(false));
        }
    }
}
