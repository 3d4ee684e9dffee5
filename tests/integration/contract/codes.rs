//! Every code by which a panel says no is one class of fault, with a text that tells an operator what to do.

use super::entry::{Entry, Event, House, Make};
use billhook::engine::Decision;
use billhook::operation::State;
use billhook_plugin_api::{Fault, FaultClass};
use billhook_tests::panel::{Answer, Meddler, Passing};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A code, where a panel may say it.
pub struct Coded {
    pub name: String,
    pub at: At,
    pub answer: Answer,
    /// The classes of the provider's table.
    pub class: FaultClass,
}

/// The call that is answered so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The first that reads, of a status.
    Status,
    /// The first of this name, of the event of this name; nothing is done.
    Change(&'static str, &'static str),
}

/// Answers one call so.
struct Says {
    call: Option<&'static str>,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Meddler for Says {
    fn instead(&mut self, passing: &Passing<'_>) -> Option<Answer> {
        let is_it = match self.call {
            Some(call) => billhook_tests::panel::fits(call, passing.path.split('?').next().unwrap_or_default()),
            None => passing.is_read,
        };
        is_it.then(|| self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten()
    }
}

/// Whether a text tells what to do: it names an act, or says that there is nothing to do but to wait.
fn has_remedy(text: &str) -> bool {
    const ACTS: &[&str] = &[
        "check",
        "correct",
        "set ",
        "raise",
        "remove",
        "renew",
        "unsuspend",
        "switch",
        "look",
        "free ",
        "wait",
        "take ",
        "add ",
        "use ",
        "give ",
        "choose",
        "order them",
        "activate",
        "allow",
        "update",
        "see ",
        "ask ",
        "report",
        "tried again",
        "try again",
        "install",
        "pay ",
        "log in",
        "sign in",
        "repeat",
        "start ",
    ];
    let text = text.to_lowercase();
    ACTS.iter().any(|act| text.contains(act))
}

pub async fn claim<P: Entry>(rig: Make<P>) {
    let house = House::<P>::made(rig).await;
    let status = P::looks().remove(0);
    let mut wrong = Vec::new();
    let codes = P::codes();
    let total = codes.len();
    for (n, Coded { name, at, answer, class }) in codes.into_iter().enumerate() {
        let answer = Arc::new(Mutex::new(Some(answer)));
        let call = if let At::Change(_, call) = at { Some(call) } else { None };
        house.rig.panel().meddle(Some(Box::new(Says { call, answer: Arc::clone(&answer) })));
        let fault = match at {
            At::Status => house.look(&status).await.err(),
            At::Change(event, _) => change(&house, event, &format!("{n}")).await,
        };
        house.rig.panel().meddle(None);
        assert!(
            answer.lock().unwrap_or_else(PoisonError::into_inner).is_none(),
            "{} {name}: it was never said",
            P::NAME
        );
        match fault {
            Some(fault) if fault.class != class => wrong.push(format!("{name} {at:?}: not {class}: {fault}")),
            Some(fault) if !has_remedy(&fault.staff) => wrong.push(format!("{name} {at:?}: no remedy: {fault}")),
            Some(_) => {}
            None => wrong.push(format!("{name} {at:?}: it is believed")),
        }
    }
    assert!(wrong.is_empty(), "{}: {} of {total}: {wrong:#?}", P::NAME, wrong.len());
    house.assert_sound("codes");
    house.host.stop().await;
}

/// The first fault of a change, which is then made, and unmade if it is a suspend.
async fn change<P: Entry>(house: &House<P>, name: &str, key: &str) -> Option<Fault> {
    let find = |name: &str| P::changes().into_iter().find(|change| change.name == name).expect("an event of that name");
    // What an earlier event has begun is over by then, and a machine is up for longer than it will be after a restart.
    house.host.advance(Duration::from_secs(3_600));
    let event: Event = find(name);
    let id = house.host.send_with(event.hook, event.body.clone(), Some(key)).await.unwrap();
    house.host.rest().await;
    let fault = house.host.operation(&id).await.fault;
    let mut ended = house.host.drive(&id).await;
    if ended.state == State::Attention {
        // The code does not prove that nothing was done, and the panel does not tell.
        let given_up = Decision::GiveUp { reason: "it was not done".to_owned() };
        house.host.engine.decide(&id, &given_up, "uid 0").await.unwrap();
        ended = house.host.drive(&id).await;
    }
    if ended.state == State::Failed {
        ended = house.send(&event, key).await;
    }
    assert_eq!(ended.state, State::Succeeded, "{} {name} after {fault:?}: {ended:#?}", P::NAME);
    if name == "suspend" {
        house.succeed(&find("unsuspend"), key).await;
    }
    fault
}
