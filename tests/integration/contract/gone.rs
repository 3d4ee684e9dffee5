//! What somebody has removed on the panel is gone: every hook says so in words, the end is an end, and nobody else is
//! touched, then or later.

use super::entry::{Entry, Event, House, Make};
use billhook::operation::State;
use billhook_plugin_api::{FaultClass, Hook};
use serde_json::json;

/// Every hook of a service whose goods are gone.
pub async fn claim<P: Entry>(rig: Make<P>) {
    let mut wrong = Vec::new();
    for change in P::changes() {
        let house = House::<P>::before(rig, &change).await;
        let was = P::state(&house.rig);
        P::remove(&house.rig);
        house.rig.panel_clock.advance(std::time::Duration::from_secs(60));
        P::next_customer(&house.rig, &was);
        let (state, effects) = (P::state(&house.rig), house.effects());

        let ended = house.send(&change, "event-1").await;

        let is_right = match change.hook {
            Hook::Terminate => {
                ended.state == State::Succeeded && ended.outcome.as_ref().is_some_and(|o| o["gone"] == json!(true))
            }
            // A renew that only looks may have nothing to say of it.
            _ => ended.fault.as_ref().is_some_and(|fault| {
                fault.class == FaultClass::NotFound && !fault.staff.trim().is_empty() && ended.state == State::Failed
            }),
        };
        if !is_right {
            wrong.push(format!(
                "{}: {} {:?} {:?} {:?}",
                change.name, ended.state, ended.reason, ended.fault, ended.outcome
            ));
        }
        if house.effects() != effects {
            wrong.push(format!("{}: {:?}", change.name, &house.effects()[effects.len()..]));
        }
        if P::state(&house.rig) != state {
            wrong.push(format!("{}: the panel is another", change.name));
        }
        house.assert_sound(change.name);
        house.host.stop().await;
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", P::NAME);
}

/// A service that has ended, whose name or id somebody else has by now.
pub async fn next_customer<P: Entry>(rig: Make<P>) {
    let house = House::<P>::made(rig).await;
    let was = P::state(&house.rig);
    let changes = P::changes();
    let end = changes.last().expect("a life ends");
    let ended = house.succeed(end, "first").await;
    if ended.outcome.is_some_and(|outcome| outcome["gone"] != json!(true)) {
        // What the panel does not remove is removed by hand in the end.
        P::remove(&house.rig);
    }
    house.host.advance(std::time::Duration::from_secs(3_600));
    P::next_customer(&house.rig, &was);
    let (state, effects) = (P::state(&house.rig), house.effects());

    for (event, key) in [(end, format!("first-{}", end.name)), (end, "another".to_owned())].into_iter().chain(
        changes
            .iter()
            .filter(|change| change.hook != Hook::Terminate)
            .map(|change| (change, format!("late-{}", change.name))),
    ) {
        let told = late(&house, event, &key).await;
        assert_eq!(house.effects(), effects, "{} {key}: {told}", P::NAME);
        assert_eq!(P::state(&house.rig), state, "{} {key}: {told}", P::NAME);
    }
    house.assert_sound("the next customer");
    house.host.stop().await;
}

/// A hook that comes too late: refused at the door, failed, or done without doing anything.
async fn late<P: Entry>(house: &House<P>, event: &Event, key: &str) -> String {
    match house.host.send_with(event.hook, event.body.clone(), Some(key)).await {
        Ok(id) => {
            let ended = house.host.drive(&id).await;
            assert!(ended.state.is_final(), "{} {key}: {ended:#?}", P::NAME);
            format!("{} {:?} {:?}", ended.state, ended.fault, ended.outcome)
        }
        Err(problem) => problem.to_string(),
    }
}
