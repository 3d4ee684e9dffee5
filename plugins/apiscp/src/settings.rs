//! What an operator sets: once per panel ([`Server`]) and once per product ([`Product`]).

use crate::names;
use billhook_plugin_api::{Fault, Schemas, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The schemas of [`Server`] and [`Product`], kept as text to keep the library small.
pub const SCHEMAS: Schemas =
    Schemas { server: include_str!("settings/server.json"), product: include_str!("settings/product.json") };

/// Settings of one panel. The base URL (`https://panel.example.com:2083`), time limits and TLS are the host's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ApisCP panel")]
pub struct Server {
    /// Key of the appliance administrator, made on the panel under Dev, API Keys. A site's key cannot make sites.
    #[schemars(title = "API key", length(min = 1, max = 200))]
    pub api_key: Secret<String>,
    /// Where the key goes. Every version takes the address; keys in headers stay out of the logs of whatever stands before
    /// the panel.
    #[serde(default)]
    #[schemars(title = "Key in")]
    pub key_in: KeyIn,
    /// Address of the panel's pages, for example `https://panel.example.com:2083`. Needed for `login`.
    #[serde(default)]
    #[schemars(title = "Panel address", url)]
    pub panel_url: Option<String>,
    /// First part of the invoices by which sites are found again. Changing it cuts the link to the sites that exist.
    #[serde(default = "billhook")]
    #[schemars(title = "Prefix of invoices", length(min = 1, max = 32), regex(pattern = "^[A-Za-z0-9]+$"))]
    pub invoice_prefix: String,
    /// How a password is set. Panels from before mid-2019 cannot set a site's with the usual call.
    #[serde(default)]
    #[schemars(title = "Passwords by")]
    pub password_by: PasswordBy,
}

fn billhook() -> String {
    "billhook".into()
}

/// Where the key goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyIn {
    /// In the address, as `authkey`.
    #[default]
    Query,
    /// In the header `Auth-Key`.
    Header,
}

/// How a password is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordBy {
    /// `auth_change_password`, which checks the password's strength.
    #[default]
    ChangePassword,
    /// `admin_edit_site`.
    EditSite,
}

/// Settings of one product.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ApisCP site")]
pub struct Product {
    /// Name of the plan.
    #[schemars(title = "Plan", length(min = 1, max = 100))]
    pub plan: String,
    /// Disk space in GB instead of the plan's.
    #[serde(default)]
    #[schemars(title = "Disk (GB)", range(min = 1, max = 1_000_000))]
    pub disk_gb: Option<u32>,
    /// Traffic in GB per month instead of the plan's.
    #[serde(default)]
    #[schemars(title = "Traffic (GB)", range(min = 1, max = 1_000_000))]
    pub traffic_gb: Option<u32>,
    /// How many add-on domains, instead of the plan's.
    #[serde(default)]
    #[schemars(title = "Add-on domains", range(min = 0, max = 100_000))]
    pub addon_domains: Option<u32>,
    /// How many users, instead of the plan's.
    #[serde(default)]
    #[schemars(title = "Users", range(min = 1, max = 100_000))]
    pub users: Option<u32>,
    /// Whether there is a shell, instead of the plan's.
    #[serde(default)]
    #[schemars(title = "Shell")]
    pub ssh: Option<bool>,
    /// A change of plan sets everything that the customer or staff changed back to the new plan's values, except passwords,
    /// add-on domains and the invoice.
    #[serde(default = "yes")]
    #[schemars(title = "Reset on a change of plan")]
    pub reset_on_change: bool,
    /// Invoice of the master account whose group the new site joins.
    #[serde(default)]
    #[schemars(title = "Master invoice", length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub parent_invoice: Option<String>,
    /// The panel asks for a TLS certificate at once.
    #[serde(default)]
    #[schemars(title = "Certificate")]
    pub certificate: bool,
    /// The panel mails a welcome message to the customer.
    #[serde(default)]
    #[schemars(title = "Mail from the panel")]
    pub welcome_mail: bool,
    /// What a termination does.
    #[serde(default)]
    #[schemars(title = "Termination")]
    pub terminate: OnTerminate,
    /// With `terminate = "suspend"`: after how many days the panel's own clean-up deletes a suspended site. It must be set
    /// there too, as `opcenter.account-cleanup`.
    #[serde(default = "thirty")]
    #[schemars(title = "Days kept", range(min = 1, max = 3650))]
    pub retain_days: u32,
    /// The page that a login leads to.
    #[serde(default)]
    #[schemars(title = "Page after login")]
    pub login_app: App,
    /// Domain of a site of the service's group, to sign in to instead of the service's own.
    #[serde(default)]
    #[schemars(title = "Login to the subordinate site", length(min = 3, max = 253))]
    pub login_site: Option<String>,
}

fn yes() -> bool {
    true
}

fn thirty() -> u32 {
    30
}

/// What a termination does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTerminate {
    /// The site is deleted.
    #[default]
    Delete,
    /// The site is suspended, and the panel's own clean-up deletes it later.
    Suspend,
}

/// A page of the panel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum App {
    #[default]
    Dashboard,
    Usermanage,
    Mailboxroutes,
    Vacation,
    Filemanager,
    Domainmanager,
    Bandwidthbd,
    Crontab,
    Subdomains,
    Changemysql,
    Phpmyadmin,
    Webapps,
    Terminal,
    Whitelist,
}

impl App {
    /// Its part of the address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::Usermanage => "usermanage",
            Self::Mailboxroutes => "mailboxroutes",
            Self::Vacation => "vacation",
            Self::Filemanager => "filemanager",
            Self::Domainmanager => "domainmanager",
            Self::Bandwidthbd => "bandwidthbd",
            Self::Crontab => "crontab",
            Self::Subdomains => "subdomains",
            Self::Changemysql => "changemysql",
            Self::Phpmyadmin => "phpmyadmin",
            Self::Webapps => "webapps",
            Self::Terminal => "terminal",
            Self::Whitelist => "whitelist",
        }
    }
}

impl Server {
    /// The key as the panel wants it: pages show it in groups.
    ///
    /// # Errors
    ///
    /// `invalid_input` for settings that cannot work, without quoting the key.
    pub fn checked_key(&self) -> Result<Secret<String>, Fault> {
        let key: String = self.api_key.expose().chars().filter(|char| *char != '-' && !char.is_whitespace()).collect();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Fault::invalid_input(
                "api_key is no key of the panel: it has hexadecimal digits, in groups or not",
            ));
        }
        if self.invoice_prefix.is_empty() || !self.invoice_prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Fault::invalid_input("invoice_prefix has letters and digits only"));
        }
        if let Some(url) = &self.panel_url {
            let host = url.strip_prefix("https://").unwrap_or_default();
            if host.trim_end_matches('/').is_empty() || host.contains(['@', '?', '#', ' ']) {
                return Err(Fault::invalid_input(
                    "panel_url is the https address of the panel's pages and nothing more",
                ));
            }
        }
        Ok(Secret::new(key))
    }
}

impl Product {
    /// Refuses what the schema cannot.
    pub fn check(&self) -> Result<(), Fault> {
        if self.plan.trim() != self.plan || self.plan.is_empty() {
            return Err(Fault::invalid_input("plan is empty or has spaces around it"));
        }
        if let Some(invoice) = &self.parent_invoice {
            names::checked_invoice(invoice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::schema_for;
    use serde_json::{Value, json};

    fn server(settings: Value) -> Result<String, Fault> {
        serde_json::from_value::<Server>(settings).unwrap().checked_key().map(|key| key.expose().clone())
    }

    #[test]
    fn a_key_is_taken_in_groups_or_not() {
        for (settings, expected) in [
            (json!({ "api_key": "0123-ABCD 4567\n" }), Ok("0123ABCD4567")),
            (json!({ "api_key": "abcd", "panel_url": "https://p.example:2083/" }), Ok("abcd")),
            (json!({ "api_key": " - " }), Err("api_key")),
            (json!({ "api_key": "a?b" }), Err("api_key")),
            (json!({ "api_key": "a", "panel_url": "http://p.example" }), Err("panel_url")),
            (json!({ "api_key": "a", "panel_url": "https://u@p.example" }), Err("panel_url")),
            (json!({ "api_key": "a", "panel_url": "https:///" }), Err("panel_url")),
            (json!({ "api_key": "a", "invoice_prefix": "a.b" }), Err("invoice_prefix")),
            (json!({ "api_key": "a", "invoice_prefix": "" }), Err("invoice_prefix")),
        ] {
            match (server(settings.clone()), expected) {
                (Ok(key), Ok(expected)) => assert_eq!(key, expected),
                (Err(fault), Err(said)) => assert!(fault.staff.contains(said), "{fault}"),
                other => panic!("{settings}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_page_is_called_in_settings_as_in_the_address() {
        let schema = schema_for!(App).to_value();
        let names = schema["enum"].as_array().unwrap().clone();
        assert_eq!(names.len(), 14);
        for name in names {
            let app: App = serde_json::from_value(name.clone()).unwrap();
            assert_eq!(name, app.as_str());
        }
    }

    #[test]
    fn a_product_that_cannot_work_is_refused() {
        for (more, is_good) in [
            (json!({ "plan": "basic" }), true),
            (json!({ "plan": "basic", "parent_invoice": "master-1" }), true),
            (json!({ "plan": " " }), false),
            (json!({ "plan": "basic", "parent_invoice": "site7" }), false),
            (json!({ "plan": "basic", "parent_invoice": "a.example" }), false),
        ] {
            assert_eq!(serde_json::from_value::<Product>(more.clone()).unwrap().check().is_ok(), is_good, "{more}");
        }
    }

    #[test]
    fn the_schemas_that_are_kept_are_those_of_the_types() {
        for (kept, schema) in [(SCHEMAS.server, schema_for!(Server)), (SCHEMAS.product, schema_for!(Product))] {
            let schema = serde_json::to_string(&schema).unwrap();
            assert_eq!(kept.trim_end(), schema, "put this into the file beside settings.rs:\n{schema}");
        }
    }
}
