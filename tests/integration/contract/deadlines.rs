//! A panel that takes a call and never answers: a look is over when its exchange has had its time, a change within a day, in
//! an end or with a person. All time is a clock's that is moved by hand.

use super::entry::{Entry, Event, House, Make};
use billhook::clock::{Clock, ManualClock};
use billhook::operation::State;
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::harness::front::EXCHANGE_TIMEOUT;
use billhook_tests::panel::{Fault, Plan};
use std::time::Duration;

/// Attempts go on for so long at most, and each has its own time beyond that.
const A_DAY: Duration = Duration::from_secs(26 * 3_600);

pub async fn claim<P: Entry>(rig: Make<P>) {
    of_looks::<P>(rig).await;
    for (n, change) in std::iter::once(Event::create()).chain(P::changes()).enumerate() {
        let cases = if matches!(change.hook, Hook::Create | Hook::Terminate) { 3 } else { 1 };
        let stride = calls::<P>(rig, &change).await.div_ceil(cases).max(1);
        for case in 0..cases {
            for_ever::<P>(rig, &change, case * stride + n % stride, case % 2 == 0).await;
        }
    }
}

async fn calls<P: Entry>(rig: Make<P>, change: &Event) -> usize {
    let house = House::<P>::before(rig, change).await;
    let before = house.rig.panel().ledger().len();
    house.succeed(change, "healthy").await;
    let calls = house.rig.panel().ledger().len() - before;
    house.host.stop().await;
    calls
}

/// From this call on the panel answers nothing.
async fn for_ever<P: Entry>(rig: Make<P>, change: &Event, call: usize, effect: bool) {
    let what = format!("{} {}, from call {} on", P::NAME, change.name, call + 1);
    let house = House::<P>::before(rig, change).await;
    let nth = u32::try_from(call + 1).unwrap();
    house.rig.panel().arm(Plan::nth_call(nth, Fault::Hang { effect }).repeat(u32::MAX));
    let began = house.rig.clock.monotonic();

    let ended = house.send(change, "event-1").await;

    let took = house.rig.clock.monotonic().saturating_sub(began);
    assert!(took <= A_DAY, "{what}: {took:?}: {ended:#?}");
    // A call beyond the last is none. What is not done says why, to the platform or to the person who is asked.
    let is_done = house.rig.panel().unfired() > 0 && ended.state == State::Succeeded;
    let texts = [ended.fault.as_ref().map(|fault| fault.staff.as_str()), ended.reason.as_deref()];
    let is_told = texts.into_iter().flatten().any(|text| !text.trim().is_empty());
    assert!(is_done || is_told, "{what}: {ended:#?}");
    // Whatever it ended as, the panel is right, and a person or a repeat has something to go on.
    house.assert_sound(&what);
    house.host.stop().await;
}

async fn of_looks<P: Entry>(rig: Make<P>) {
    let house = House::<P>::made(rig).await;
    for look in P::looks() {
        let before = house.rig.panel().ledger().len();
        house.look(&look).await.unwrap_or_else(|fault| panic!("{} {}: {fault}", P::NAME, look.name));
        let calls = house.rig.panel().ledger().len() - before;
        for call in 0..calls {
            let what = format!("{} {}, call {}", P::NAME, look.name, call + 1);
            let nth = u32::try_from(call + 1).unwrap();
            house.rig.panel().arm(Plan::nth_call(nth, Fault::Hang { effect: false }));
            let began = house.rig.clock.monotonic();
            let found = house.look(&look);
            tokio::pin!(found);
            let held = async {
                house.rig.panel().wait_stalled().await;
                // The panel may hold the call before the host has begun to wait for its answer.
                let is_waited_for = |clock: &ManualClock| {
                    clock.next_deadline().is_some_and(|at| at <= clock.monotonic() + EXCHANGE_TIMEOUT)
                };
                house.rig.clock.until(is_waited_for).await;
            };
            let found = tokio::select! {
                found = &mut found => {
                    // A page that is no call of the API is counted, and cannot be held.
                    assert!(house.rig.panel().unfired() > 0, "{what}: {found:?} before its time");
                    house.rig.panel().disarm();
                    continue;
                }
                () = held => {
                    house.host.advance(EXCHANGE_TIMEOUT);
                    found.await
                }
            };
            let took = house.rig.clock.monotonic().saturating_sub(began);
            assert!(took <= EXCHANGE_TIMEOUT, "{what}: {took:?}");
            match found {
                Err(fault) => assert_eq!(fault.class, FaultClass::Timeout, "{what}: {fault}"),
                // A test tells of it, and what a look can do without is left out.
                Ok(told) => assert!(look.hook == Hook::Test || call > 0, "{what}: {told}"),
            }
            assert_eq!(house.rig.panel().unfired(), 0, "{what}: it never came to it");
            // It may hear late that its call was left.
            house.rig.panel().stalled().wait_for(|held| *held == 0).await.unwrap();
            house.rig.panel().disarm();
        }
    }
    house.host.stop().await;
}
