//! Reading of the messages that every plugin reads.

use serde::de::{Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Makes a type readable from an object: members that are absent keep their defaults, unknown ones are passed over, those
/// behind `needs` must be there and not empty.
///
/// A derived reader also takes members by position, knows them by numbers and by bytes, and keeps a place for each until all
/// are there: twice the code, in every plugin.
macro_rules! members {
    ($type:ident { $($member:ident),+ $(,)? } $(needs { $($needed:ident),+ })?) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;

                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object, ", stringify!($type)))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$type, A::Error> {
                        let mut read = $type::default();
                        while let Some(name) = map.next_key::<$crate::members::Name<'de>>()? {
                            match &*name.0 {
                                $(stringify!($member) => read.$member = map.next_value()?,)+
                                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                            }
                        }
                        $($(
                            if read.$needed.is_empty() {
                                return Err(serde::de::Error::missing_field(stringify!($needed)));
                            }
                        )+)?
                        Ok(read)
                    }
                }

                deserializer.deserialize_map(Members)
            }
        }
    };
}

pub(crate) use members;

/// A member's name, as it stands in the text where it has no escapes.
pub(crate) struct Name<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use crate::hook::Service;
    use crate::protocol::HookCall;

    #[test]
    fn members_are_read_in_any_order_and_unknown_ones_passed_over() {
        let text =
            r#"{"reason":"late","new":[{"deep":1}],"service":{"id":"1007","platfor\u006d":"whmcs"},"password":null}"#;

        let call: HookCall = serde_json::from_str(text).unwrap();

        let service = Service { platform: "whmcs".into(), id: "1007".into(), ..Service::default() };
        assert_eq!(call, HookCall { service: Some(service), reason: Some("late".into()), ..HookCall::default() });
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let service = Service { platform: "whmcs".into(), id: "7".into(), epoch: 3, ..Service::default() };
        let call = HookCall { service: Some(service), action: Some("x".into()), ..HookCall::default() };
        assert_eq!(serde_json::from_value::<HookCall>(serde_json::to_value(&call).unwrap()).unwrap(), call);
    }

    #[test]
    fn a_member_that_must_be_there_is_named_and_a_list_is_no_object() {
        for (text, expected) in [
            (r#"{"service":{"id":"1007"}}"#, "missing field `platform`"),
            (r#"{"service":["whmcs","1007"]}"#, "an object, Service"),
            (r#"[]"#, "an object, HookCall"),
            (r#"{"reason":7}"#, "expected a string"),
        ] {
            let error = serde_json::from_str::<HookCall>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
