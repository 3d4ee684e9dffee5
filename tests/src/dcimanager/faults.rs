//! What can go wrong on this panel besides what can go wrong on all: errors where none is due, answers with too little in
//! them, and documents that are meant to hurt whoever reads them.

use super::errors::Refusal;
use super::rules::{self, Parameters};
use super::state::World;
use super::view;
use super::xml::Element;
use crate::panel::special::{self, Special};
use crate::panel::{self, Answer, Body, EffectTiming, Fault, Request};

/// Every kind of fault of this panel.
pub(super) const ALL: &[Fault] = &FAULTS;

const FAULTS: [Fault; special::COMMON + SPECIAL.len()] = Special::after_common(&SPECIAL);

#[derive(Clone, Copy)]
enum Words {
    /// An error of this type and object.
    Error(&'static str, &'static str),
    /// A document that says neither yes nor no: the panel has died at work.
    Neither,
    /// An error that is no element of the document, as an old panel writes it.
    OldError,
    /// Every row twice.
    RowsTwice,
    /// Elements within elements without end.
    Deep,
    /// Text that grows a billionfold for whoever believes it.
    Bomb,
    /// Another encoding than the one that is named.
    Charset,
}

/// What the panel says of itself when it is in trouble can come before the work or after it; what it says of the caller
/// comes before.
const SPECIAL: [Special<Words>; 15] = [
    Special::new("auth_before_effect", EffectTiming::Never, Words::Error("auth", "badpassword")),
    Special::new("badip_before_effect", EffectTiming::Never, Words::Error("auth", "badip")),
    Special::new("license_before_effect", EffectTiming::Never, Words::Error("license", "")),
    Special::new("db_before_effect", EffectTiming::Never, Words::Error("db", "query")),
    Special::new("db_after_effect", EffectTiming::Done, Words::Error("db", "query")),
    Special::new("xml_after_effect", EffectTiming::Done, Words::Error("xml", "")),
    Special::new("unknown_error_before_effect", EffectTiming::Never, Words::Error("moon_phase", "waning")),
    Special::new("unknown_error_after_effect", EffectTiming::Done, Words::Error("moon_phase", "waning")),
    Special::new("neither_before_effect", EffectTiming::Never, Words::Neither),
    Special::new("neither_after_effect", EffectTiming::Done, Words::Neither),
    Special::new("old_error_before_effect", EffectTiming::Never, Words::OldError),
    Special::new("rows_twice", EffectTiming::Done, Words::RowsTwice),
    Special::new("deep_nesting", EffectTiming::Done, Words::Deep),
    Special::new("entity_bomb", EffectTiming::Done, Words::Bomb),
    Special::new("wrong_charset", EffectTiming::Done, Words::Charset),
];

/// Deeper than any reader that calls itself for every level has room for.
const LEVELS: usize = 200_000;

/// What is sent for a fault.
pub(super) fn broken(world: &World, fault: Fault, request: &Request, answer: &Answer) -> Answer {
    let given = Parameters::of(request);
    let place = rules::place(request);
    let function = place.as_ref().map_or("", |place| place.path.split('/').next().unwrap_or_default());
    let refused = |kind, object| view::refusal(world, &Refusal::other(kind, object), given.lang(), "", function);
    let found = SPECIAL.iter().find(|special| special.fault() == fault);
    let Some(special) = found else { return usual(fault, answer) };
    match special.words {
        Words::Error(kind, object) => refused(kind, object),
        // A list has no word for yes; without rows it would be an empty one, which nobody can tell from the truth.
        Words::Neither if place.as_ref().is_some_and(|place| place.is_read) => refused("db", "query"),
        Words::Neither => view::raw(200, Element::new("doc").with("func", function).document()),
        Words::OldError => view::old_refusal(&Refusal::old(1, "internal")),
        Words::RowsTwice => match &answer.body {
            Body::Bytes(_, bytes) => view::raw(answer.status, twice(&String::from_utf8_lossy(bytes))),
            _ => answer.clone(),
        },
        Words::Deep => view::raw(200, format!("<?xml version=\"1.0\"?>\n<doc>{}", "<elem>".repeat(LEVELS))),
        Words::Bomb => view::raw(200, bomb()),
        Words::Charset => {
            let mut bytes = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<doc><msg>".to_vec();
            bytes.extend([0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2]);
            bytes.extend(b"</msg><ok/></doc>\n");
            Answer { status: 200, headers: Vec::new(), body: Body::Bytes("text/xml; charset=UTF-8", bytes) }
        }
    }
}

fn usual(fault: Fault, answer: &Answer) -> Answer {
    match fault {
        // A document that is none of this panel's.
        Fault::WrongShape => view::raw(200, "<?xml version=\"1.0\"?>\n<answer><ok/><id>1</id></answer>\n".to_owned()),
        Fault::Garbage => {
            let Answer { body, .. } = panel::usual(fault, answer);
            let bytes = match body {
                Body::Bytes(_, bytes) => bytes,
                _ => Vec::new(),
            };
            Answer { status: 200, headers: Vec::new(), body: Body::Bytes("text/xml; charset=UTF-8", bytes) }
        }
        Fault::CutOff if matches!(answer.body, Body::Empty) => view::raw(200, "<doc><ok/></doc>".to_owned()),
        _ => panel::usual(fault, answer),
    }
}

/// All rows of a list a second time.
fn twice(text: &str) -> String {
    match (text.find("<elem>"), text.rfind("</elem>")) {
        (Some(from), Some(to)) => {
            let to = to + "</elem>".len();
            format!("{}{}{}", &text[..to], &text[from..to], &text[to..])
        }
        _ => text.to_owned(),
    }
}

fn bomb() -> String {
    let mut text = "<?xml version=\"1.0\"?>\n<!DOCTYPE doc [\n<!ENTITY e0 \"panel\">\n".to_owned();
    for level in 1..10 {
        let inner = format!("&e{};", level - 1).repeat(10);
        text.push_str(&format!("<!ENTITY e{level} \"{inner}\">\n"));
    }
    text.push_str("]>\n<doc><ok>&e9;</ok><id>&e9;</id></doc>\n");
    text
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
