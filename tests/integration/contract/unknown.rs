//! A panel of a newer version says more than is known: every answer with unknown members, elements and attributes wherever
//! they may stand, and every hook ends as it does without them.

use super::entry::{Entry, Event, House, Make, plain};
use super::types::difference;
use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::document::Document;
use billhook_tests::panel::{Answer, Body, Meddler, Passing};
use serde_json::{Value, json};

/// Adds to every answer.
struct Newer;

impl Meddler for Newer {
    fn edited(&mut self, _passing: &Passing<'_>, answer: Answer) -> Answer {
        edited(answer, Document::add_unknown)
    }
}

/// An answer whose document is another; one without a document as it is.
pub fn edited(mut answer: Answer, edit: impl FnOnce(&mut Document)) -> Answer {
    let (kind, bytes) = match &answer.body {
        Body::Json(value) => ("application/json", value.to_string().into_bytes()),
        Body::Bytes(kind, bytes) => (*kind, bytes.clone()),
        _ => return answer,
    };
    if let Some(mut document) = Document::parse(&bytes) {
        edit(&mut document);
        answer.body = Body::Bytes(kind, document.write());
    }
    answer
}

pub async fn claim<P: Entry>(rig: Make<P>) {
    let plain = life::<P>(rig, None).await;
    let with_more = life::<P>(rig, Some(Box::new(Newer))).await;
    assert_eq!(plain.len(), with_more.len());
    for ((name, expected), (_, found)) in plain.iter().zip(&with_more) {
        assert_eq!(found, expected, "{} {name}: {}", P::NAME, difference(expected, found));
    }
}

/// Everything that a service's life tells, and what it leaves on the panel.
async fn life<P: Entry>(rig: Make<P>, meddler: Option<Box<dyn Meddler>>) -> Vec<(String, Value)> {
    let house = House::<P>::empty(rig).await;
    house.rig.panel().meddle(meddler);
    let mut told = Vec::new();
    for change in std::iter::once(Event::create()).chain(P::changes()) {
        P::expect(&house.rig, change.name);
        let done = house.send(&change, change.name).await;
        assert!(
            change.hook != Hook::Create || done.state == State::Succeeded,
            "{}: {:?} {:?}\n{}",
            P::NAME,
            done.reason,
            done.fault,
            house.trace()
        );
        let outcome = house.without_chance(done.outcome.clone().unwrap_or_default()).await;
        let fault = done.fault.as_ref().map(ToString::to_string);
        let state = house.without_chance(P::state(&house.rig)).await;
        let known =
            house.service().await.map(|service| json!([service.remote_id, service.username, service.properties]));
        let row = json!([done.state.as_str(), fault, outcome, plain(known.unwrap_or_default()), state]);
        told.push((change.name.to_owned(), row));
        for look in P::looks() {
            let found = match house.look(&look).await {
                Ok(outcome) => house.without_chance(outcome).await,
                Err(fault) => json!(fault.to_string()),
            };
            told.push((format!("{} after {}", look.name, change.name), found));
        }
    }
    let names: Vec<&str> = P::changes().iter().map(|change| change.name).collect();
    let failed = told.iter().filter(|(name, row)| names.contains(&name.as_str()) && row[0] != "succeeded");
    let failed: Vec<String> = failed.map(|(name, row)| format!("{name}: {} {}", row[0], row[1])).collect();
    assert!(failed.is_empty(), "{}: {failed:#?}", P::NAME);
    // What is sent back as it was read has what nobody knows in it.
    let mut violations = house.rig.panel().violations();
    violations.retain(|violation| !violation.contains("Unknown is unknown"));
    assert_eq!(violations, Vec::<String>::new(), "{}", P::NAME);
    assert_eq!(house.rig.panel().check(), Vec::<String>::new(), "{}", P::NAME);
    house.host.stop().await;
    told
}
