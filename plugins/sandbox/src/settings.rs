//! What an operator sets. The doc comments are what he reads, and the types become the schema that the host checks.

use billhook_plugin_api::schemars::{Schema, json_schema};
use billhook_plugin_api::{Fault, FaultClass, ServiceState};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use std::time::Duration;

/// Settings of one sandbox. There are none: nobody signs in to a panel that is not there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Sandbox")]
pub struct Server {}

/// Settings of one product: the script of its hooks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Sandbox product")]
pub struct Product {
    /// How many requests a hook sends to the server's base URL. None by default: then nothing has to listen there. The
    /// last of a changing hook is its change, those before it are reads.
    #[schemars(title = "Exchanges", range(max = 100))]
    pub exchanges: u32,
    /// About how long the body of a change is, in bytes.
    #[schemars(title = "Length of a change", range(max = 1_000_000))]
    pub call_bytes: usize,
    /// How many further steps a create has, each of which is written to the journal.
    #[schemars(title = "Steps of a create", range(max = 100))]
    pub steps: u32,
    /// Seconds that a changing hook waits before it ends.
    #[schemars(title = "Delay (s)", range(max = 86_400))]
    pub delay_s: u32,
    /// Every hook ends with a fault of this class, before it sends anything.
    #[schemars(title = "Fail", schema_with = "fault_classes")]
    pub fail: Option<FaultClass>,
    /// What a change still waits for after it was accepted; `status` then says the same.
    #[schemars(title = "Pending")]
    pub pending: Option<String>,
    /// A create returns a password.
    #[schemars(title = "Secrets")]
    pub secrets: bool,
    /// What `status` says, instead of what the hooks before it have made of the service.
    #[schemars(title = "State", schema_with = "states")]
    pub state: Option<ServiceState>,
}

impl Product {
    /// The scripted failure, if there is one.
    pub fn check(&self) -> Result<(), Fault> {
        match self.fail {
            None => Ok(()),
            Some(class) => Err(Fault::new(class, "the product's setting `fail` says so")
                .for_customer("This is a rehearsal; nothing was ordered.")),
        }
    }

    /// How long a changing hook waits; `None` when it does not.
    pub fn delay(&self) -> Option<Duration> {
        (self.delay_s > 0).then(|| Duration::from_secs(self.delay_s.into()))
    }
}

/// The words of [`Product::state`].
pub const STATES: [&str; 6] = ["provisioning", "active", "suspended", "terminated", "error", "unknown"];

/// The words of [`Product::fail`].
pub fn fault_words() -> [&'static str; 17] {
    FaultClass::ALL.map(FaultClass::as_str)
}

fn fault_classes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "enum": nullable(fault_words()) })
}

fn states(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "enum": nullable(STATES) })
}

fn nullable<const N: usize>(words: [&str; N]) -> Vec<Option<&str>> {
    words.into_iter().map(Some).chain([None]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_plugin_api::schemars::schema_for;
    use serde_json::{Value, json};

    #[test]
    fn every_word_of_the_schema_is_understood() {
        let schema = schema_for!(Product).to_value();
        for name in ["fail", "state"] {
            let words = schema["properties"][name]["enum"].as_array().unwrap();
            assert!(words.len() > 5, "{words:?}");
            for word in words {
                let read = serde_json::from_value::<Product>(json!({ name: word }));
                assert!(read.is_ok(), "{name} = {word}: {read:?}");
            }
        }
    }

    #[test]
    fn a_product_without_settings_succeeds_at_once_and_sends_nothing() {
        let product: Product = serde_json::from_value(json!({})).unwrap();
        assert_eq!((product.exchanges, product.check(), product.delay()), (0, Ok(()), None));
        assert!(serde_json::from_value::<Product>(json!({ "exchange": 1 })).is_err(), "a misspelt setting is refused");
        assert_eq!(schema_for!(Product).to_value()["required"], Value::Null);
    }
}
