//! What an operator sets: once per panel ([`Server`]) and once per product ([`Product`]).

use billhook_plugin_api::{Fault, Schemas, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// The schemas of [`Server`] and [`Product`], kept as text to keep the library small.
pub const SCHEMAS: Schemas =
    Schemas { server: include_str!("settings/server.json"), product: include_str!("settings/product.json") };

/// Settings of one VirtFusion panel. Base URL, time limits and TLS are the host's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "VirtFusion panel")]
pub struct Server {
    /// Token of the Global API, made in the admin area under Configuration, API. Not an end user's token.
    #[schemars(title = "API token")]
    pub token: Secret<String>,
    /// Address of the panel's web pages, for example `https://cp.example.com`, without `/api/v1`. Shown to staff with
    /// each service.
    #[serde(default)]
    #[schemars(title = "Panel address", url)]
    pub panel_url: Option<String>,
    /// How a customer is linked to a panel user: by the customer's number, or by a text with a prefix.
    #[serde(default)]
    #[schemars(title = "Customer link")]
    pub user_relation: UserRelation,
    /// Put before the customer's id; with `rel_str` only. Each billing platform on a panel needs a prefix of its own.
    #[serde(default)]
    #[schemars(title = "Prefix of the customer link", length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub relation_prefix: Option<String>,
}

/// How a customer is linked to a panel user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRelation {
    /// The customer's id as the user's external relation id; it must be a positive whole number.
    #[default]
    ExtId,
    /// `relation_prefix` and the customer's id as the user's relation string.
    RelStr,
}

/// Settings of one product.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "VirtFusion server")]
pub struct Product {
    /// Id of the server package.
    #[schemars(title = "Package", range(min = 1))]
    pub package_id: u64,
    /// Id of the hypervisor group that the server is placed in; a group, not a hypervisor.
    #[schemars(title = "Hypervisor group", range(min = 1))]
    pub hypervisor_group_id: u64,
    /// How many IPv4 addresses the server gets.
    #[serde(default = "one")]
    #[schemars(title = "IPv4 addresses", range(min = 0, max = 256))]
    pub default_ipv4: u32,
    /// Id of the operating system's template. Without it nothing is installed, and the customer does so on the panel.
    #[serde(default)]
    #[schemars(title = "OS template", range(min = 1))]
    pub os_template_id: Option<u64>,
    /// Memory in MB instead of the package's.
    #[serde(default)]
    #[schemars(title = "Memory (MB)", range(min = 256))]
    pub memory_mb: Option<u64>,
    /// Primary disk in GB instead of the package's.
    #[serde(default)]
    #[schemars(title = "Disk (GB)", range(min = 1))]
    pub storage_gb: Option<u64>,
    /// Traffic in GB per period instead of the package's; 0 is without limit.
    #[serde(default)]
    #[schemars(title = "Traffic (GB)", range(min = 0, max = 999_999_999))]
    pub traffic_gb: Option<u64>,
    /// CPU cores instead of the package's.
    #[serde(default)]
    #[schemars(title = "CPU cores", range(min = 1, max = 600))]
    pub cpu_cores: Option<u64>,
    /// Inbound network speed in kB/s instead of the package's: 12500 is 100 Mbit/s.
    #[serde(default)]
    #[schemars(title = "Inbound speed (kB/s)", range(min = 0))]
    pub network_speed_inbound_kbs: Option<u64>,
    /// Outbound network speed in kB/s instead of the package's.
    #[serde(default)]
    #[schemars(title = "Outbound speed (kB/s)", range(min = 0))]
    pub network_speed_outbound_kbs: Option<u64>,
    /// Id of the storage profile instead of the package's.
    #[serde(default)]
    #[schemars(title = "Storage profile", range(min = 0))]
    pub storage_profile: Option<u64>,
    /// Id of the network profile instead of the package's.
    #[serde(default)]
    #[schemars(title = "Network profile", range(min = 0))]
    pub network_profile: Option<u64>,
    /// Ids of firewall rule sets instead of the package's; `-1` is none.
    #[serde(default)]
    #[schemars(title = "Firewall rule sets", inner(range(min = -1)))]
    pub firewall_rulesets: Option<Vec<i64>>,
    /// Ids of hypervisor asset groups instead of the package's; `-1` is none.
    #[serde(default)]
    #[schemars(title = "Hypervisor asset groups", inner(range(min = -1)))]
    pub hypervisor_asset_groups: Option<Vec<i64>>,
    /// Assign an IPv6 subnet at the build; it cannot be added later.
    #[serde(default)]
    #[schemars(title = "IPv6")]
    pub build_ipv6: bool,
    /// The panel mails the customer the login when the build is done.
    #[serde(default)]
    #[schemars(title = "Mail from the panel")]
    pub build_email: bool,
    /// Ids of SSH keys on the panel that the build puts into the server.
    #[serde(default)]
    #[schemars(title = "SSH keys", inner(range(min = 1)))]
    pub ssh_keys: Vec<u64>,
    /// What a panel user that is made for a new customer may do by himself.
    #[serde(default)]
    #[schemars(title = "Self service")]
    pub self_service: SelfService,
    /// Id of one panel user who owns every server of this product. All customers then share that owner: none can log
    /// in on the panel. Leave it out for a user per customer.
    #[serde(default)]
    #[schemars(title = "Shared owner", range(min = 1))]
    pub virtfusion_user_id: Option<u64>,
    /// What happens to the server when its first build fails.
    #[serde(default)]
    #[schemars(title = "When the build fails")]
    pub on_build_failure: OnBuildFailure,
    /// Minutes that the panel keeps a terminated server, in which an admin there can undo it.
    #[serde(default)]
    #[schemars(title = "Delay of the deletion (minutes)", range(min = 0, max = 43_799))]
    pub terminate_delay_min: u32,
    /// A renewal starts a suspended server again.
    #[serde(default)]
    #[schemars(title = "Unsuspend on renewal")]
    pub unsuspend_on_renew: bool,
}

/// What a panel user may do by himself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfService {
    /// Nothing.
    #[default]
    Off,
    /// Order by the hour.
    Hourly,
    /// Order from resource packs.
    ResourcePacks,
    /// Both.
    Both,
}

/// What happens to a server whose first build fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBuildFailure {
    /// It stays, so that it can be repaired on the panel.
    #[default]
    Keep,
    /// It is deleted at once.
    Delete,
}

const fn one() -> u32 {
    1
}

/// The most that the panel takes as a delay, in minutes.
const MAX_DELAY_MIN: u32 = 43_799;

impl Server {
    /// Settings that the schema cannot refuse.
    pub fn check(&self) -> Result<(), Fault> {
        match (self.user_relation, self.relation_prefix.as_deref()) {
            (UserRelation::ExtId, None) => {}
            (UserRelation::ExtId, Some(_)) => {
                return Err(Fault::invalid_input(
                    "relation_prefix is for user_relation rel_str; with ext_id it would do nothing",
                ));
            }
            (UserRelation::RelStr, None) => {
                return Err(Fault::invalid_input("user_relation rel_str needs relation_prefix"));
            }
            // A relation of digits alone could be taken for another customer's number.
            (UserRelation::RelStr, Some(prefix))
                if !is_relation(prefix) || prefix.bytes().all(|b| b.is_ascii_digit()) =>
            {
                return Err(Fault::invalid_input(
                    "relation_prefix may hold letters, digits, `-` and `_`, and must hold more than digits",
                ));
            }
            (UserRelation::RelStr, Some(_)) => {}
        }
        match self.panel_url.as_deref() {
            Some(url) if !is_web_address(url) => {
                Err(Fault::invalid_input("panel_url is https:// with a host, without login, query or fragment"))
            }
            _ => Ok(()),
        }
    }
}

impl Product {
    /// Settings that the schema cannot refuse.
    pub fn check(&self) -> Result<(), Fault> {
        if self.os_template_id.is_none() {
            let needless = [
                ("build_ipv6", self.build_ipv6),
                ("build_email", self.build_email),
                ("ssh_keys", !self.ssh_keys.is_empty()),
                ("on_build_failure", self.on_build_failure == OnBuildFailure::Delete),
            ];
            if let Some((name, _)) = needless.into_iter().find(|(_, set)| *set) {
                return Err(Fault::invalid_input(format!("{name} does nothing without os_template_id")));
            }
        }
        if self.virtfusion_user_id.is_some() && self.self_service != SelfService::Off {
            return Err(Fault::invalid_input("self_service does nothing with virtfusion_user_id, which makes no user"));
        }
        if self.terminate_delay_min > MAX_DELAY_MIN {
            return Err(Fault::invalid_input(format!("terminate_delay_min is at most {MAX_DELAY_MIN}")));
        }
        Ok(())
    }
}

impl SelfService {
    /// The panel's number for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Hourly => 1,
            Self::ResourcePacks => 2,
            Self::Both => 3,
        }
    }
}

/// Whether the panel takes this text in a relation.
pub fn is_relation(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
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

    fn server(settings: Value) -> Result<(), FaultClass> {
        serde_json::from_value::<Server>(settings).unwrap().check().map_err(|fault| fault.class)
    }

    fn product(more: Value) -> Result<(), FaultClass> {
        let mut settings = json!({ "package_id": 1, "hypervisor_group_id": 1 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Product>(settings).unwrap().check().map_err(|fault| fault.class)
    }

    #[test]
    fn a_prefix_belongs_to_relation_strings_and_is_never_a_number() {
        let refused = Err(FaultClass::InvalidInput);
        for (settings, expected) in [
            (json!({ "token": "t" }), Ok(())),
            (json!({ "token": "t", "user_relation": "ext_id" }), Ok(())),
            (json!({ "token": "t", "relation_prefix": "a-" }), refused),
            (json!({ "token": "t", "user_relation": "rel_str" }), refused),
            (json!({ "token": "t", "user_relation": "rel_str", "relation_prefix": "" }), refused),
            (json!({ "token": "t", "user_relation": "rel_str", "relation_prefix": "a b" }), refused),
            (json!({ "token": "t", "user_relation": "rel_str", "relation_prefix": "10" }), refused),
            (json!({ "token": "t", "user_relation": "rel_str", "relation_prefix": "shop-" }), Ok(())),
        ] {
            assert_eq!(server(settings.clone()), expected, "{settings}");
        }
    }

    #[test]
    fn a_panel_address_is_plain_https() {
        for (url, is_good) in [
            ("https://cp.example.com", true),
            ("https://cp.example.com:8443/panel", true),
            ("http://cp.example.com", false),
            ("https://", false),
            ("https://user@cp.example.com", false),
            ("https://cp.example.com/?a=b", false),
            ("https://cp.example.com/#a", false),
            ("cp.example.com", false),
        ] {
            assert_eq!(server(json!({ "token": "t", "panel_url": url })).is_ok(), is_good, "{url}");
        }
    }

    #[test]
    fn a_setting_that_would_do_nothing_is_refused() {
        let refused = Err(FaultClass::InvalidInput);
        for (more, expected) in [
            (json!({}), Ok(())),
            (
                json!({ "os_template_id": 10, "build_ipv6": true, "ssh_keys": [1], "on_build_failure": "delete" }),
                Ok(()),
            ),
            (json!({ "build_ipv6": true }), refused),
            (json!({ "build_email": true }), refused),
            (json!({ "ssh_keys": [1] }), refused),
            (json!({ "on_build_failure": "delete" }), refused),
            (json!({ "virtfusion_user_id": 3, "self_service": "both" }), refused),
            (json!({ "terminate_delay_min": 43_800 }), refused),
            (json!({ "terminate_delay_min": 43_799 }), Ok(())),
        ] {
            assert_eq!(product(more.clone()), expected, "{more}");
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
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_value::<Server>(json!({ "token": "t", "verify_tls": false })).is_err());
        assert!(
            serde_json::from_value::<Product>(json!({ "package_id": 1, "hypervisor_group_id": 1, "hypervisor_id": 2 }))
                .is_err()
        );
    }

    #[test]
    fn the_schema_says_what_is_secret_needed_and_in_bounds() {
        let server = schema_for!(Server).to_value();
        let product = schema_for!(Product).to_value();

        assert_eq!(server["properties"]["token"]["x-secret"], json!(true));
        assert_eq!(server["required"], json!(["token"]));
        assert_eq!(server["additionalProperties"], json!(false));
        assert_eq!(product["required"], json!(["package_id", "hypervisor_group_id"]));
        assert_eq!(product["properties"]["terminate_delay_min"]["maximum"], json!(43_799));
        assert_eq!(product["properties"]["default_ipv4"]["default"], json!(1));
        let untold: Vec<&String> = product["properties"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, schema)| schema.get("title").is_none() || schema.get("description").is_none())
            .map(|(name, _)| name)
            .collect();
        assert_eq!(untold, Vec::<&String>::new());
    }
}
