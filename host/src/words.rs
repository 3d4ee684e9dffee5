//! The contract's own types as the API's description names them. They are the plugins' as well, who need no description;
//! a test holds these shapes against what the contract's types write.

use billhook_plugin_api as contract;
use serde_json::{Map, Value};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A type whose schema is a closed list of words.
macro_rules! words {
    ($name:ident, $text:literal, $all:expr) => {
        #[doc = $text]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = $all.into_iter().filter_map(|word| serde_json::to_value(word).ok());
                let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
                schema.description(Some($text)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

words!(Hook, "One lifecycle event from billing.", contract::Hook::ALL);
words!(FaultClass, "Why a hook failed.", contract::FaultClass::ALL);
words!(ServiceState, "The billing word for what the panel shows.", SERVICE_STATES);
words!(PowerAction, "What to do with a machine.", contract::PowerAction::ALL);
words!(PasswordTarget, "Whose password.", [contract::PasswordTarget::Account, contract::PasswordTarget::Root]);

const SERVICE_STATES: [contract::ServiceState; 6] = [
    contract::ServiceState::Provisioning,
    contract::ServiceState::Active,
    contract::ServiceState::Suspended,
    contract::ServiceState::Terminated,
    contract::ServiceState::Error,
    contract::ServiceState::Unknown,
];

/// A secret in clear.
pub(crate) struct SecretText;

impl PartialSchema for SecretText {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let schema = schema.format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).read_only(true);
        schema.description(Some("A secret in clear.")).into()
    }
}

impl ToSchema for SecretText {
    fn name() -> Cow<'static, str> {
        "Secret".into()
    }
}

/// One thing that a test looked at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct Finding {
    /// What was looked at.
    name: String,
    /// Whether it is as it should be.
    ok: bool,
    /// What was found and, if not ok, the remedy.
    text: String,
}

/// One thing that is measured.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct Measure {
    /// What: `traffic`, `disk`, `memory`, or the panel's own word.
    name: String,
    /// So much, in `unit`.
    used: u64,
    /// At most so much; absent when there is no limit or it is not known.
    limit: Option<u64>,
    /// `bytes`, `count`, `seconds`, `bits_per_second`.
    unit: String,
    /// Over which time: `month`; absent for what is so now.
    period: Option<String>,
}

/// One thing that a panel has.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct ListedAccount {
    /// The panel's id of it.
    remote_id: String,
    /// Login.
    username: Option<String>,
    /// Domain or host name.
    domain: Option<String>,
    /// The owner's address for mail.
    email: Option<String>,
    /// The panel's name or id of what it is.
    package: Option<String>,
    /// Addresses, the main one first.
    #[schema(required = false)]
    ips: Vec<String>,
    /// In billing words.
    state: ServiceState,
    /// When it was made, as the panel writes it.
    created_at: Option<String>,
    /// Further facts for staff.
    #[schema(value_type = Object, required = false)]
    properties: Map<String, Value>,
}

/// How much room a server has for a product.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct Capacity {
    /// So many more can be made now; absent when the panel does not tell.
    free: Option<u64>,
    /// What was counted.
    text: Option<String>,
}

/// A value that a product setting may take.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct OptionValue {
    /// For the setting.
    value: Value,
    /// For people.
    label: String,
}

/// One of a provider's own hooks.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct Action {
    /// Its name.
    name: String,
    /// For people.
    title: String,
    /// Whether it changes anything.
    changes: bool,
    /// JSON Schema of its parameters.
    params: Value,
}

/// One thing bought on top.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(crate) struct Addon {
    /// The panel's id of it.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    /// How many.
    #[schema(required = false, minimum = 1, default = 1)]
    quantity: u32,
}

/// A schema with a text of its own.
pub(crate) fn described(schema: RefOr<Schema>, text: &str) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.description = Some(text.to_owned());
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde_json::json;

    /// What the shape and a value with every member disagree about.
    fn differences<T: PartialSchema>(value: &impl Serialize) -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let value = serde_json::to_value(value).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let (described, written) = (keys(&schema["properties"]), keys(&value));
        let lacks = |from: &[String], what: &[String], word: &str| {
            what.iter().filter(|name| !from.contains(name)).map(|name| format!("{word} {name}")).collect::<Vec<_>>()
        };
        [lacks(&described, &written, "not described:"), lacks(&written, &described, "not written:")].concat()
    }

    #[test]
    fn the_shapes_are_those_of_the_contract() {
        let finding = contract::Finding { name: "a".into(), ok: true, text: "b".into() };
        assert_eq!(differences::<Finding>(&finding), [""; 0]);
        let measure = json!({ "name": "a", "used": 1, "limit": 2, "unit": "bytes", "period": "month" });
        let measure: contract::Measure = serde_json::from_value(measure).unwrap();
        assert_eq!(differences::<Measure>(&measure), [""; 0]);
        let account: contract::ListedAccount = serde_json::from_value(json!({
            "remote_id": "1", "username": "u", "domain": "d", "email": "e", "package": "p", "ips": ["192.0.2.1"],
            "state": "active", "created_at": "2028-01-01", "properties": { "a": 1 },
        }))
        .unwrap();
        assert_eq!(differences::<ListedAccount>(&account), [""; 0]);
        let option = contract::OptionValue { value: json!(1), label: "one".into() };
        assert_eq!(differences::<OptionValue>(&option), [""; 0]);
        let capacity = contract::Capacity::free(1).told("of 2");
        assert_eq!(differences::<Capacity>(&capacity), [""; 0]);
        let action = contract::Action { name: "a".into(), title: "t".into(), changes: true, params: json!({}) };
        assert_eq!(differences::<Action>(&action), [""; 0]);
        let addon = contract::Addon { id: "a".into(), quantity: 1 };
        assert_eq!(differences::<Addon>(&addon), [""; 0]);
    }

    #[test]
    fn every_billing_word_is_listed() {
        // The compiler counts here: a new word does not pass without a line.
        for state in SERVICE_STATES {
            match state {
                contract::ServiceState::Provisioning
                | contract::ServiceState::Active
                | contract::ServiceState::Suspended
                | contract::ServiceState::Terminated
                | contract::ServiceState::Error
                | contract::ServiceState::Unknown => {}
            }
        }
    }
}
