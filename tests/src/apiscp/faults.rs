//! What can go wrong on this panel besides what can go wrong on all: answers without a word, refusals for reasons of the
//! panel's own, and texts that are meant to hurt whoever reads them.

use super::rules::{self, name_of, xml};
use super::soap;
use super::value::Value;
use crate::panel::special::{self, Special};
use crate::panel::{self, Answer, Body, EffectTiming, Fault, Request};

/// Every kind of fault of this panel.
pub(super) const ALL: &[Fault] = &FAULTS;

const FAULTS: [Fault; special::COMMON + SPECIAL.len()] = Special::after_common(&SPECIAL);

#[derive(Clone, Copy)]
enum Words {
    /// A well-formed answer without a value.
    Null,
    /// An ordinary error that nobody tells of.
    False,
    /// A fault with this text.
    Fault(&'static str),
    /// 401 without a body.
    Unauthorized,
    /// The answer to another operation.
    OtherOperation,
    /// Entities that grow a thousandfold and more.
    Entities,
    /// Elements within elements without end.
    DeepNesting,
    /// Bytes of a charset that the document names.
    OtherCharset,
    /// The true answer with the prefixes, the types and the blanks of another server.
    OtherPrefixes,
}

const SPECIAL: [Special<Words>; 14] = [
    Special::new("null_before_effect", EffectTiming::Never, Words::Null),
    Special::new("null_after_effect", EffectTiming::Done, Words::Null),
    Special::new("false_before_effect", EffectTiming::Never, Words::False),
    Special::new("false_after_effect", EffectTiming::Done, Words::False),
    Special::new("busy_before_effect", EffectTiming::Never, Words::Fault("unable to gain exclusive lock on account")),
    Special::new("fault_before_effect", EffectTiming::Never, Words::Fault("hook `letsencrypt' failed")),
    Special::new("fault_after_effect", EffectTiming::Done, Words::Fault("hook `letsencrypt' failed")),
    Special::new("unread_after_effect", EffectTiming::Done, Words::Fault("failed to read response")),
    Special::new("unauthorized_before_effect", EffectTiming::Never, Words::Unauthorized),
    Special::new("other_operation", EffectTiming::Done, Words::OtherOperation),
    Special::new("entities", EffectTiming::Done, Words::Entities),
    Special::new("deep_nesting", EffectTiming::Done, Words::DeepNesting),
    Special::new("other_charset", EffectTiming::Done, Words::OtherCharset),
    Special::new("other_prefixes", EffectTiming::Done, Words::OtherPrefixes),
];

/// Deeper than any reader that calls itself for every level has room for.
const LEVELS: usize = 100_000;

/// What is sent for a fault.
pub(super) fn broken(fault: Fault, request: &Request, answer: &Answer) -> Answer {
    let Some(special) = SPECIAL.iter().find(|special| special.fault() == fault) else {
        return usual(fault, request, answer);
    };
    let name = name_of(request);
    match special.words {
        Words::Null => xml(200, soap::answer(&name, &Value::Null)),
        Words::False => xml(200, soap::answer(&name, &Value::Bool(false))),
        Words::Fault(text) => rules::fault("Server", text),
        Words::Unauthorized => Answer::empty(401),
        Words::OtherOperation => xml(200, soap::answer("dns_get_records", &Value::Bool(true))),
        Words::Entities => {
            let mut text = String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE a [<!ENTITY e0 \"site\">\n");
            for level in 1..12 {
                let inner = format!("&e{};", level - 1).repeat(10);
                text.push_str(&format!("<!ENTITY e{level} \"{inner}\">\n"));
            }
            text.push_str("]>\n");
            let whole = soap::answer(&name, &Value::text("MANY"));
            text.push_str(whole.split_once('\n').map_or("", |(_, rest)| rest));
            xml(200, text.replace("MANY", "&e11;"))
        }
        Words::DeepNesting => xml(200, soap::envelope(&"<a>".repeat(LEVELS))),
        Words::OtherCharset => {
            let text = soap::answer(&name, &Value::text("prix: 5 EUR")).replace("UTF-8", "ISO-8859-1");
            let bytes = text.into_bytes().into_iter().map(|byte| if byte == b':' { 0xe9 } else { byte });
            Answer {
                status: 200,
                headers: Vec::new(),
                body: Body::Bytes("text/xml; charset=iso-8859-1", bytes.collect()),
            }
        }
        Words::OtherPrefixes => match &answer.body {
            Body::Bytes(kind, bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.replace("SOAP-ENV", "s").replace("SOAP-ENC", "e").replace("ns1:", "m:");
                let text = text.replace("xmlns:ns1", "xmlns:m").replace("ns2", "map").replace("xsi", "i");
                let text = text.replace("xsd:", "x:").replace("xmlns:xsd", "xmlns:x").replace("<item>", "\n  <item>");
                Answer { body: Body::Bytes(kind, text.into_bytes()), ..answer.clone() }
            }
            _ => answer.clone(),
        },
    }
}

fn usual(fault: Fault, request: &Request, answer: &Answer) -> Answer {
    match fault {
        // A success that is none of this operation's.
        Fault::WrongShape => {
            let inner = Value::Object(vec![("unexpected".into(), Value::List(vec![Value::Int(1)]))]);
            xml(200, soap::answer(&name_of(request), &inner))
        }
        Fault::CutOff if matches!(answer.body, Body::Empty) => xml(200, soap::answer(&name_of(request), &Value::Null)),
        _ => panel::usual(fault, answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_that_tells_its_effect() {
        let mut names: Vec<&str> = ALL.iter().map(|fault| fault.name()).collect();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), Fault::ALL.len() + SPECIAL.len());
        for special in &SPECIAL {
            let is_before = special.name.ends_with("_before_effect");
            let expected = if is_before { EffectTiming::Never } else { EffectTiming::Done };
            assert_eq!(special.effect, expected, "{}", special.name);
        }
    }
}
