//! An event has one effect, however often it is told: under its key always, and under any other where what is asked for is a
//! state.

use super::entry::{Entry, Event, House, Make};
use billhook::operation::State;

pub async fn claim<P: Entry>(rig: Make<P>) {
    for change in std::iter::once(Event::create()).chain(P::changes()) {
        let what = format!("{} {}", P::NAME, change.name);
        let house = House::<P>::before(rig, &change).await;
        let first = house.succeed(&change, "first").await;
        let (state, effects, calls) = (P::state(&house.rig), house.effects(), house.rig.panel().ledger().len());

        let again = house.succeed(&change, "first").await;
        assert_eq!((&again.id, &again.outcome), (&first.id, &first.outcome), "{what}: one event is one operation");
        assert_eq!(house.rig.panel().ledger().len(), calls, "{what}: a repeat asks nobody");

        if change.is_one {
            let id = match house.host.send_with(change.hook, change.body.clone(), Some("another key")).await {
                Ok(id) => id,
                Err(problem) => panic!("{what} under another key: {problem}"),
            };
            let other = house.host.drive(&id).await;
            assert_eq!(other.state, State::Succeeded, "{what}: {other:#?}\n{}", house.trace());
        }
        assert_eq!(house.effects(), effects, "{what}");
        assert_eq!(P::state(&house.rig), state, "{what}");
        house.assert_sound(change.name);
        house.host.stop().await;
    }
}
