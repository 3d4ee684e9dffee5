//! What can go wrong on this panel besides what can go wrong on all: exceptions, refusals without a reason, and texts that
//! are meant to hurt whoever reads them.

use super::rules::Asked;
use super::schema::{Kind, NAMESPACE, SCHEMA};
use super::state::World;
use super::value::Data;
use super::write::{Style, raw};
use crate::panel::special::{self, Special};
use crate::panel::{self, Answer, EffectTiming, Fault, Request};

/// Every kind of fault of this panel.
pub(super) const ALL: &[Fault] = &FAULTS;

const FAULTS: [Fault; special::COMMON + SPECIAL.len()] = Special::after_common(&SPECIAL);

#[derive(Clone, Copy)]
enum Words {
    /// An exception with this text.
    Exception(&'static str),
    /// What the operation answers when the service behind it fails: -999, or a failure without a code.
    Refusal,
    /// The credentials are suddenly not the panel's.
    Denied,
    /// An envelope with nothing in it.
    EmptyBody,
    /// The true answer with the envelope of the other SOAP.
    OtherEnvelope,
    /// Elements within elements without end.
    DeepNesting,
    /// A document type that grows when it is read.
    EntityBomb,
    /// The true answer with a byte that is no UTF-8.
    NotUtf8,
}

const SPECIAL: [Special<Words>; 14] = [
    Special::new("deadlock_before_effect", EffectTiming::Never, Words::Exception(DEADLOCK)),
    Special::new("sql_timeout_before_effect", EffectTiming::Never, Words::Exception(TIMEOUT)),
    Special::new("sql_timeout_after_effect", EffectTiming::Done, Words::Exception(TIMEOUT)),
    Special::new("exception_before_effect", EffectTiming::Never, Words::Exception(EXCEPTION)),
    Special::new("exception_after_effect", EffectTiming::Done, Words::Exception(EXCEPTION)),
    Special::new("not_allowed_before_effect", EffectTiming::Never, Words::Exception(super::rights::NO_PACKAGE)),
    Special::new("refusal_before_effect", EffectTiming::Never, Words::Refusal),
    Special::new("refusal_after_effect", EffectTiming::Done, Words::Refusal),
    Special::new("denied_before_effect", EffectTiming::Never, Words::Denied),
    Special::new("empty_body", EffectTiming::Done, Words::EmptyBody),
    Special::new("other_envelope", EffectTiming::Done, Words::OtherEnvelope),
    Special::new("deep_nesting", EffectTiming::Done, Words::DeepNesting),
    Special::new("entity_bomb", EffectTiming::Done, Words::EntityBomb),
    Special::new("not_utf8", EffectTiming::Done, Words::NotUtf8),
];

const DEADLOCK: &str = "Transaction (Process ID 61) was deadlocked on lock resources with another process";
const TIMEOUT: &str = "Execution Timeout Expired.  The timeout period elapsed prior to completion of the operation";
const EXCEPTION: &str = "Exception of type 'System.Exception' was thrown.\r\n   at SolidCP.EnterpriseServer";

/// Deeper than any reader that calls itself for every level has room for.
const LEVELS: usize = 200_000;

/// What is sent for a fault.
pub(super) fn broken(world: &World, fault: Fault, request: &Request, answer: &Answer) -> Answer {
    let asked = super::rules::inspect(world, request).result.ok();
    let asked = asked.and_then(|accepted| match accepted {
        super::rules::Accepted::Call(asked) => Some(asked),
        super::rules::Accepted::Describe(_) => None,
    });
    let is_1_2 = asked.as_ref().is_some_and(|asked| asked.is_1_2);
    let style = Style { manners: &world.knobs.manners, version: world.version, is_1_2 };
    let found = SPECIAL.iter().find(|special| special.fault() == fault);
    let Some(special) = found else { return usual(&style, fault, answer) };
    match special.words {
        Words::Exception(text) => style.fault(text),
        Words::Refusal => refusal(&style, asked.as_ref(), answer),
        Words::Denied => super::rules::unauthorized(),
        Words::EmptyBody => style.envelope(200, "", ""),
        Words::OtherEnvelope => {
            let text = String::from_utf8_lossy(&bytes(answer)).into_owned();
            let (own, other) = if is_1_2 { (OTHER, THIS) } else { (THIS, OTHER) };
            raw(200, is_1_2, text.replace(own, other).into_bytes())
        }
        Words::DeepNesting => raw(200, is_1_2, "<a>".repeat(LEVELS).into_bytes()),
        Words::EntityBomb => raw(200, is_1_2, bomb().into_bytes()),
        Words::NotUtf8 => {
            let mut bytes = bytes(answer);
            let end = bytes.iter().rposition(|byte| *byte == b'<').unwrap_or(0);
            bytes.insert(end, 0xff);
            raw(200, is_1_2, bytes)
        }
    }
}

const THIS: &str = super::write::SOAP_1_1;
const OTHER: &str = super::write::SOAP_1_2;

fn bytes(answer: &Answer) -> Vec<u8> {
    match &answer.body {
        panel::Body::Bytes(_, bytes) => bytes.clone(),
        _ => b"<none />".into(),
    }
}

/// A call without a result of its own in which to refuse gets an exception.
fn refusal(style: &Style<'_>, asked: Option<&Asked>, answer: &Answer) -> Answer {
    let Some(operation) = asked.map(|asked| asked.operation) else { return answer.clone() };
    let is = |name: &str| SCHEMA.members(name).iter().any(|field| field.name == "IsSuccess");
    let result = match operation.result.kind {
        Kind::Whole(_) => Data::from(-999),
        Kind::Object("PackageResult") => super::quotas::package_result(-999, &[]),
        Kind::Object(name) if is(name) => {
            let codes = Data::List(vec![Data::from("")]);
            Data::object([("IsSuccess", Data::from(false)), ("ErrorCodes", codes)])
        }
        _ => return style.fault(EXCEPTION),
    };
    style.response(operation, &result, 1)
}

fn bomb() -> String {
    let mut text = String::from("<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY e0 \"boom\">");
    for level in 1..12 {
        let before = format!("&e{};", level - 1);
        text.push_str(&format!("<!ENTITY e{level} \"{}\">", before.repeat(10)));
    }
    text.push_str("]><a>&e11;</a>");
    text
}

fn usual(style: &Style<'_>, fault: Fault, answer: &Answer) -> Answer {
    match fault {
        // A success that is none of this operation's.
        Fault::WrongShape => style.envelope(
            200,
            "",
            &format!("<OtherResponse xmlns=\"{NAMESPACE}\"><OtherResult><Odd>1</Odd></OtherResult></OtherResponse>"),
        ),
        Fault::Garbage => {
            let noise = panel::usual(fault, answer);
            raw(noise.status, style.is_1_2, bytes(&noise))
        }
        Fault::CutOff if matches!(answer.body, panel::Body::Empty) => style.envelope(200, "", ""),
        _ => panel::usual(fault, answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let mut names: Vec<&str> = ALL.iter().map(|fault| fault.name()).collect();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), Fault::ALL.len() + SPECIAL.len());
    }

    #[test]
    fn the_name_of_a_fault_tells_its_effect() {
        for special in &SPECIAL {
            let expected = match special.name {
                name if name.ends_with("_before_effect") => EffectTiming::Never,
                _ => EffectTiming::Done,
            };
            assert_eq!(special.effect, expected, "{}", special.name);
        }
    }
}
