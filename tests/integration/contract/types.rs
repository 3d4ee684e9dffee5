//! A value of another type than the panel's own description says: a fault that names the place, or, where nobody reads the
//! value, the same result as without it. Never another result, never a panic, never something done twice.

use super::entry::{Entry, Event, House, Make};
use super::unknown::edited;
use billhook::operation::State;
use billhook_plugin_api::{Fault, FaultClass, Hook};
use billhook_tests::document::{Document, Place, Twist};
use billhook_tests::panel::{Answer, Body, Meddler, Passing};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a platform repeats a hook that failed.
const REPEATS: usize = 3;

/// How many values of all answers to a change are tried.
const SAMPLES: usize = 16;

/// Which value of which answer becomes another.
struct Wrong {
    /// Answers with a document to let pass before.
    skip: usize,
    place: usize,
    twist: Twist,
    /// What was made of it.
    met: Arc<Mutex<Option<Met>>>,
}

#[derive(Debug, Clone)]
struct Met {
    call: String,
    place: Place,
    is_other: bool,
}

impl Meddler for Wrong {
    fn edited(&mut self, passing: &Passing<'_>, answer: Answer) -> Answer {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.is_some() || document(&answer).is_none() {
            return answer;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return answer;
        }
        let (place, twist) = (self.place, self.twist);
        edited(answer, |document| {
            let places = document.places();
            let place = place % places.len().max(1);
            let is_other = document.twist(place, twist);
            let name = places.get(place).cloned().unwrap_or(Place { path: Vec::new() });
            *met = Some(Met { call: format!("{} {}", passing.method, passing.path), place: name, is_other });
        })
    }
}

fn document(answer: &Answer) -> Option<Document> {
    match &answer.body {
        Body::Json(value) => Document::parse(value.to_string().as_bytes()),
        Body::Bytes(_, bytes) => Document::parse(bytes),
        _ => None,
    }
}

/// Notes the values of every answer.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<Vec<Vec<Place>>>>);

impl Meddler for Count {
    fn edited(&mut self, _passing: &Passing<'_>, answer: Answer) -> Answer {
        if let Some(document) = document(&answer) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(document.places());
        }
        answer
    }
}

impl Count {
    fn take(&self) -> Vec<Vec<Place>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The first value of each name in an answer: of a list with many rows, one row.
fn of_each_name(places: &[Place]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    (0..places.len()).filter(|index| seen.insert(names(&places[*index]))).collect()
}

/// The way to a place, whichever row of a list it is in.
fn names(place: &Place) -> Vec<String> {
    place.path.iter().map(|part| if part.parse::<u64>().is_ok() { "#" } else { part }.to_owned()).collect()
}

/// Whether a text is about a place: it quotes what stands there, or has its name or that of what it stands in.
fn is_about(text: &str, place: &Place) -> bool {
    let text = text.to_lowercase();
    let mut words = place.path.iter().rev().filter(|part| part.parse::<u64>().is_err()).take(2);
    text.contains("unexpected")
        || words.any(|word| {
            let word = word.trim_end_matches("Response").trim_end_matches("Result").to_lowercase();
            !word.is_empty() && text.contains(&word)
        })
}

/// What is wrong with a fault that a wrong value has made.
fn complaint(fault: &Fault, met: &Met, twist: Twist) -> Option<String> {
    let is_class = match fault.class {
        FaultClass::PanelBug | FaultClass::InDoubt => true,
        // Nothing is what a panel says of something that is not there.
        _ => twist == Twist::Null,
    };
    match (is_class, is_about(&fault.staff, &met.place) || twist == Twist::Null) {
        (true, true) => None,
        _ => Some(format!("{fault}")),
    }
}

/// Every value of every answer to every hook that looks, the kinds of change by turns.
pub async fn of_looks<P: Entry>(rig: Make<P>) {
    let house = House::<P>::made(rig).await;
    let mut complaints = Vec::new();
    let mut tries: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut tried = 0;
    for look in P::looks() {
        let count = Count::default();
        // The first look may sign in, and the others have it.
        let _ = house.look(&look).await;
        house.rig.panel().meddle(Some(Box::new(count.clone())));
        let healthy = match house.look(&look).await {
            Ok(told) => house.without_chance(told).await,
            Err(fault) => panic!("{} {}: {fault}", P::NAME, look.name),
        };
        for (skip, places) in count.take().into_iter().enumerate() {
            for (n, place) in of_each_name(&places).into_iter().enumerate() {
                let round = tries.entry(names(&places[place])).or_insert(0_usize);
                *round += 1;
                // Nothing is a value that any member may have, and what was met in two looks is known.
                let twists = match *round {
                    1 => &Twist::ALL[..2 + usize::from(n % 4 == 0)],
                    2 => &Twist::ALL[..1],
                    _ => &[],
                };
                for &twist in twists {
                    let met = Arc::default();
                    let wrong = Wrong { skip, place, twist, met: Arc::clone(&met) };
                    house.rig.panel().meddle(Some(Box::new(wrong)));
                    let found = house.look(&look).await;
                    let met: Option<Met> = met.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let Some(met) = met.filter(|met| met.is_other) else { continue };
                    tried += 1;
                    let complaint = match found {
                        Ok(_) if twist == Twist::Null => None,
                        Ok(told) => {
                            let told = house.without_chance(told).await;
                            let is_told = is_finding(&told);
                            (told != healthy && !is_told).then(|| format!("believed: {}", difference(&healthy, &told)))
                        }
                        Err(fault) => complaint(&fault, &met, twist),
                    };
                    let is_help = P::HELPS.iter().any(|call| met.call.ends_with(call));
                    let is_word = twist == Twist::Word && P::WORDS.contains(&met.place.name());
                    if let Some(complaint) = complaint.filter(|_| !is_help && !is_word) {
                        let complaint: String = complaint.chars().take(300).collect();
                        let path = met.place.path.join(".");
                        complaints.push(format!("{}: {} {path} {twist:?}: {complaint}", look.name, met.call));
                    }
                }
            }
        }
        house.rig.panel().meddle(None);
        let after = house.look(&look).await.map_err(|fault| fault.to_string());
        assert!(after.is_ok(), "{} {} afterwards: {after:?}", P::NAME, look.name);
    }
    house.assert_sound("looks");
    println!("{}: {tried} looks", P::NAME);
    assert!(complaints.is_empty(), "{}: {} of {tried}: {complaints:#?}", P::NAME, complaints.len());
    assert!(tried > 50, "{tried}");
    house.host.stop().await;
}

/// Whether a test of the panel found something out.
fn is_finding(told: &Value) -> bool {
    told["findings"].as_array().into_iter().flatten().any(|finding| finding["ok"] == false)
}

/// In which members two results differ.
pub fn difference(healthy: &Value, found: &Value) -> String {
    match (healthy, found) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name) && one.contains_key(*name));
            differ
                .map(|name| format!("{name}: {} ", difference(&one[name], other.get(name).unwrap_or(&Value::Null))))
                .collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let differ = one.iter().zip(other).filter(|(one, other)| one != other);
            differ.map(|(one, other)| difference(one, other)).collect()
        }
        (Value::Array(one), Value::Array(other)) => format!("{} rows for {}", other.len(), one.len()),
        _ => format!("{found} for {healthy}"),
    }
}

/// Samples of the values of every answer to a create, a suspend, an unsuspend and a terminate.
pub async fn of_changes<P: Entry>(rig: Make<P>) {
    let mut complaints = Vec::new();
    let mut tried = 0;
    for change in std::iter::once(Event::create()).chain(P::changes()) {
        if !matches!(change.hook, Hook::Create | Hook::Suspend | Hook::Unsuspend | Hook::Terminate) {
            continue;
        }
        let house = House::<P>::before(rig, &change).await;
        let count = Count::default();
        house.rig.panel().meddle(Some(Box::new(count.clone())));
        house.succeed(&change, "healthy").await;
        let healthy = house.settled();
        house.host.stop().await;
        let all: Vec<(usize, usize)> = count
            .take()
            .into_iter()
            .enumerate()
            .flat_map(|(skip, places)| of_each_name(&places).into_iter().map(move |place| (skip, place)))
            .collect();
        // Spread over all answers, and over the values of each.
        let step = (all.len() / SAMPLES).max(1);
        for (n, (skip, place)) in all.into_iter().step_by(step).enumerate() {
            tried += 1;
            complaints.extend(case::<P>(rig, &change, skip, place, Twist::ALL[n % 2], &healthy).await);
        }
    }
    assert!(complaints.is_empty(), "{}: {} of {tried}: {complaints:#?}", P::NAME, complaints.len());
}

async fn case<P: Entry>(
    rig: Make<P>,
    change: &Event,
    skip: usize,
    place: usize,
    twist: Twist,
    healthy: &Value,
) -> Option<String> {
    let house = House::<P>::before(rig, change).await;
    let met = Arc::default();
    house.rig.panel().meddle(Some(Box::new(Wrong { skip, place, twist, met: Arc::clone(&met) })));
    let mut complaint = None;
    let mut states = Vec::new();
    for _ in 0..REPEATS {
        let id = house.host.send_with(change.hook, change.body.clone(), Some("event-1")).await.unwrap();
        house.host.rest().await;
        let met: Option<Met> = met.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(fault), Some(met), None) = (&house.host.operation(&id).await.fault, &met, &complaint) {
            complaint = self::complaint(fault, met, twist).map(|text| (met.clone(), text));
        }
        let ended = house.host.drive(&id).await;
        if let (Some(fault), Some(met), None) = (&ended.fault, &met, &complaint) {
            complaint = self::complaint(fault, met, twist).map(|text| (met.clone(), text));
        }
        states.push(ended.state);
        if ended.state != State::Failed {
            break;
        }
    }
    let met = met.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    let what = format!("{}: {} {} {twist:?}", change.name, met.call, met.place.path.join("."));
    house.assert_sound(&what);
    let found = house.settled();
    house.host.stop().await;
    if let Some((_, text)) = complaint {
        return Some(format!("{what}: {text}"));
    }
    if states.last() != Some(&State::Succeeded) {
        return Some(format!("{what}: {states:?}"));
    }
    (found != *healthy).then(|| format!("{what}: on the panel, {}", difference(healthy, &found)))
}
