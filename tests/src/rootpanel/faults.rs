//! What can go wrong on this panel besides what can go wrong on all: codes where none is due, answers with too little
//! in them, and texts that are meant to hurt whoever reads them.

use super::codes::Code;
use super::config::Manners;
use super::rules::{self, Parameters};
use super::state::World;
use super::tree::Node;
use super::view;
use crate::panel::special::{self, Special};
use crate::panel::{self, Answer, Body, EffectTiming, Fault, Request};

/// Every kind of fault of this panel.
pub(super) const ALL: &[Fault] = &FAULTS;

const FAULTS: [Fault; special::COMMON + SPECIAL.len()] = Special::after_common(&SPECIAL);

#[derive(Clone, Copy)]
enum Words {
    /// `ERROR` with this code.
    Error(u16),
    /// `SUCCESS` with this code and nothing else.
    Success(Option<u16>),
    /// The members of the answer without `status`.
    NoStatus,
    /// The true answer with what editors and templates leave around it.
    Wrapped,
    /// A PHP string that claims to be far longer than the answer.
    HugeLength,
    /// Arrays within arrays without end.
    DeepNesting,
    /// A PHP object, which a careless reader would bring to life.
    Object,
}

/// The codes are those of which the contract says that they come when nobody is to blame. 2, 45 and 55 are said of calls
/// that did their work as well.
const SPECIAL: [Special<Words>; 16] = [
    Special::new("code_1_before_effect", EffectTiming::Never, Words::Error(Code::DATABASE.0)),
    Special::new("code_2_before_effect", EffectTiming::Never, Words::Error(Code::NOT_SAVED.0)),
    Special::new("code_2_after_effect", EffectTiming::Done, Words::Error(Code::NOT_SAVED.0)),
    Special::new("code_45_before_effect", EffectTiming::Never, Words::Error(Code::NOT_QUEUED.0)),
    Special::new("code_45_after_effect", EffectTiming::Done, Words::Error(Code::NOT_QUEUED.0)),
    Special::new("code_50_before_effect", EffectTiming::Never, Words::Error(Code::LOCATION_CLOSED.0)),
    Special::new("code_55_before_effect", EffectTiming::Never, Words::Error(Code::FAILED.0)),
    Special::new("code_55_after_effect", EffectTiming::Done, Words::Error(Code::FAILED.0)),
    Special::new("unknown_code_before_effect", EffectTiming::Never, Words::Error(99)),
    Special::new("unknown_code_after_effect", EffectTiming::Done, Words::Success(Some(99))),
    Special::new("bare_success", EffectTiming::Done, Words::Success(None)),
    Special::new("no_status", EffectTiming::Done, Words::NoStatus),
    Special::new("bom_and_line_break", EffectTiming::Done, Words::Wrapped),
    Special::new("huge_length", EffectTiming::Done, Words::HugeLength),
    Special::new("deep_nesting", EffectTiming::Done, Words::DeepNesting),
    Special::new("object", EffectTiming::Done, Words::Object),
];

/// Deeper than any reader that calls itself for every level has room for.
const LEVELS: usize = 200_000;

/// What is sent for a fault.
pub(super) fn broken(world: &World, fault: Fault, request: &Request, answer: &Answer) -> Answer {
    let manners = &world.knobs.manners;
    let php = Parameters::of(request).wants_php();
    let written = |tree: &Node| view::answer(tree, manners, php);
    let found = SPECIAL.iter().find(|special| special.fault() == fault);
    let Some(special) = found else { return usual(manners, fault, answer, php) };
    match special.words {
        Words::Error(code) => rules::refusal(world, Code(code), php),
        Words::Success(code) => written(&view::success(code.map(Code), Vec::new())),
        Words::NoStatus => {
            let order = Node::Map(vec![("orderid", Node::Missing), ("cost", Node::Missing)]);
            written(&order)
        }
        Words::Wrapped => match &answer.body {
            Body::Bytes(kind, bytes) => {
                let text = view::wrapped(&String::from_utf8_lossy(bytes));
                Answer { body: Body::Bytes(kind, text.into_bytes()), ..answer.clone() }
            }
            _ => answer.clone(),
        },
        Words::HugeLength => view::raw("a:1:{s:6:\"status\";s:999999999999:\"SUCCESS\";}".into(), manners),
        Words::DeepNesting => {
            let text = if php { "a:1:{i:0;".repeat(LEVELS) } else { "{\"status\":".repeat(LEVELS) };
            view::raw(text, manners)
        }
        Words::Object => view::raw("O:8:\"stdClass\":1:{s:6:\"status\";s:7:\"SUCCESS\";}".into(), manners),
    }
}

fn usual(manners: &Manners, fault: Fault, answer: &Answer, php: bool) -> Answer {
    match fault {
        // A success that is none of this command's.
        Fault::WrongShape if php => view::raw("a:1:{s:4:\"data\";a:1:{i:0;b:1;}}".into(), manners),
        Fault::CutOff if matches!(answer.body, Body::Empty) => view::raw("{\"status\":\"SUCCESS\"}".into(), manners),
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
    fn the_name_of_a_code_tells_its_effect() {
        for special in &SPECIAL {
            let expected = match special.name {
                name if name.ends_with("_before_effect") => EffectTiming::Never,
                _ => EffectTiming::Done,
            };
            assert_eq!(special.effect, expected, "{}", special.name);
        }
    }
}
