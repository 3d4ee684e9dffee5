//! Operations whose server was chosen out of a group.

use super::samples::*;
use crate::journal::{Kind, Stage};
use crate::operation::State;
use crate::placement::{Passed, Placement};
use crate::store::Store;
use crate::store::model::*;
use billhook_plugin_api::Hook;
use futures_util::future::join_all;
use serde_json::json;

on_both![
    a_capacity_holds_for_all_that_arrive_at_once,
    a_service_counts_from_its_create_until_it_is_gone,
    those_that_wait_for_a_place_get_it_in_the_order_in_which_they_came,
    an_operation_that_has_touched_nothing_goes_to_another_server_with_all_that_is_of_it,
    an_operation_stays_where_it_has_touched_something,
    what_was_passed_over_is_kept_where_the_operation_stays,
];

fn placement(passed: &[&str]) -> Placement {
    let one = |server: &&str| Passed { server: (*server).into(), reason: "it is full".into(), by_panel: true };
    Placement { group: "nodes".into(), passed: passed.iter().map(one).collect(), exhausted: false }
}

fn placed(name: &str, service: &str, server: &str, most: Option<u64>) -> NewOperation {
    NewOperation { server: server.into(), placement: Some(placement(&[])), most, ..new(name, service) }
}

fn to_other(name: &str, most: Option<u64>) -> Finish {
    Finish {
        next_at: Some(NOW),
        placement: Some(placement(&["vf1"])),
        moves: Some(Move { server: "vf2".into(), panel: "https://vf2".into(), most }),
        ..finish(name, 1, State::Waiting)
    }
}

async fn load(store: &Store, server: &str) -> u64 {
    store.loads(&[server.to_owned()], None).await.unwrap()[server].services
}

/// Server and panel of the operation and of its service, and how many entries the journal has.
async fn where_is(store: &Store, name: &str, service: &str) -> (String, String, String, usize) {
    let operation = store.operation(&id(name)).await.unwrap().unwrap();
    let service = store.service(&key(service)).await.unwrap().unwrap();
    assert_eq!((&operation.server, &operation.panel), (&service.server, &service.panel));
    let passed = operation.placement.unwrap().passed;
    let passed = passed.into_iter().map(|one| one.server).collect::<Vec<_>>().join(",");
    (operation.server, operation.panel, passed, store.journal(&id(name)).await.unwrap().len())
}

async fn a_capacity_holds_for_all_that_arrive_at_once(on: On) {
    let (_place, store) = store(on).await;
    let all = (0..50).map(|n| store.accept(placed(&format!("{n:02}"), &format!("s{n}"), "vf1", Some(7))));

    let answers = join_all(all).await;

    let stored = answers.iter().filter(|answer| matches!(answer, Ok(Accepted::Stored { .. }))).count();
    assert_eq!((stored, load(&store, "vf1").await), (7, 7));
    // One that says nothing of a capacity is not held to it.
    assert!(matches!(store.accept(new("99", "s99")).await, Ok(Accepted::Stored { .. })));
}

async fn a_service_counts_from_its_create_until_it_is_gone(on: On) {
    let (_place, store) = store(on).await;
    assert_eq!(load(&store, "vf1").await, 0);
    running(&store, "1", "42").await;
    assert_eq!(load(&store, "vf1").await, 1, "it is being made");
    let given = StepWrite {
        remote_id: Some("7".into()),
        entry: crate::journal::Entry { remote_id: true, ..done("1", 1, "order", json!("7")).entry },
        ..done("1", 1, "order", json!("7"))
    };
    store.begin(begin("1", 1, "order")).await.unwrap();
    store.write_step(given).await.unwrap();
    assert_eq!(load(&store, "vf1").await, 1, "it is made, and counts once");
    store.finish(Finish { effects: DONE, ..finish("1", 1, State::Succeeded) }, Evidence::default()).await.unwrap();
    assert_eq!(load(&store, "vf1").await, 1, "it is there");

    let gone = ServiceChange { gone: true, ..ServiceChange::default() };
    assert!(store.change_service(&key("42"), 1, gone, NOW).await.unwrap());
    assert_eq!(load(&store, "vf1").await, 0);

    running(&store, "2", "43").await;
    store.finish(finish("2", 1, State::Failed), Evidence::default()).await.unwrap();
    assert_eq!(load(&store, "vf1").await, 0, "a create that failed made nothing");
}

async fn those_that_wait_for_a_place_get_it_in_the_order_in_which_they_came(on: On) {
    let (_place, store) = store(on).await;
    for n in 1..=3 {
        store.accept(placed(&n.to_string(), &format!("s{n}"), "vf1", None)).await.unwrap();
    }
    for (asking, services, before) in [("1", 2, 0), ("2", 2, 1), ("3", 2, 2), ("9", 3, 3)] {
        let found = store.loads(&["vf1".to_owned()], Some(&id(asking))).await.unwrap()["vf1"];
        assert_eq!(found, Load { services, before }, "{asking}");
    }
}

async fn an_operation_that_has_touched_nothing_goes_to_another_server_with_all_that_is_of_it(on: On) {
    let (_place, store) = store(on).await;
    store.accept(NewOperation { claim: Some(mark()), ..placed("1", "42", "vf1", None) }).await.unwrap();
    // Made here, for the server that is full; and a change that the panel refused.
    let mut record = done("1", 1, "password", json!("x"));
    record.entry.kind = Kind::Record;
    record.effects = NOTHING;
    store.write_step(record).await.unwrap();
    let cleared = StepWrite {
        position: 1,
        entry: crate::journal::Entry { stage: Stage::Cleared, ..entry("order", Stage::Cleared) },
        effects: NOTHING,
        ..done("1", 1, "order", json!(null))
    };
    store.write_step(cleared).await.unwrap();
    store.accept(hook("2", "42", 1, Hook::Renew)).await.unwrap();

    let ended = store.finish(to_other("1", None), Evidence::default()).await.unwrap();

    assert!(matches!(ended, Finished::Stored { .. }));
    assert_eq!(where_is(&store, "1", "42").await, ("vf2".into(), "https://vf2".into(), "vf1".into(), 0));
    let behind = store.operation(&id("2")).await.unwrap().unwrap();
    assert_eq!(
        (behind.server.as_str(), behind.panel.as_str()),
        ("vf2", "https://vf2"),
        "what waits behind it goes along"
    );
    assert_eq!((load(&store, "vf1").await, load(&store, "vf2").await), (0, 1));
    // Whoever decided on the service as it was must look again.
    assert_eq!(store.accept(hook("3", "42", 2, Hook::Suspend)).await.unwrap(), Accepted::Moved);
    assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));
}

async fn an_operation_stays_where_it_has_touched_something(on: On) {
    for what in
        ["a step was begun", "a step is done", "an earlier doubt", "a remote id", "another claim", "a full server"]
    {
        let (_place, store) = store(on).await;
        store.accept(NewOperation { claim: Some(mark()), ..placed("1", "42", "vf1", None) }).await.unwrap();
        let mut to = to_other("1", None);
        match what {
            "a step was begun" => {
                store.begin(begin("1", 1, "order")).await.unwrap();
            }
            "a step is done" => {
                store.write_step(done("1", 1, "order", json!(7))).await.unwrap();
            }
            "an earlier doubt" => {
                let mut looked = done("1", 1, "order", json!(null));
                looked.entry.stage = Stage::Cleared;
                looked.entry.evidence = vec![json!([1])];
                looked.effects = NOTHING;
                store.write_step(looked).await.unwrap();
            }
            "a remote id" => {
                let change = ServiceChange { remote_id: Some("7".into()), ..ServiceChange::default() };
                assert!(store.change_service(&key("42"), 1, change, NOW).await.unwrap());
            }
            "another claim" => to.run = 2,
            _ => {
                store.accept(placed("5", "45", "vf2", None)).await.unwrap();
                to = to_other("1", Some(1));
            }
        }

        let _ = store.finish(to, Evidence::default()).await.unwrap();

        let found = where_is(&store, "1", "42").await;
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.as_str()), ("vf1", "https://vf1", ""), "{what}");
    }
}

async fn what_was_passed_over_is_kept_where_the_operation_stays(on: On) {
    let (_place, store) = store(on).await;
    let first = NewOperation { placement: Some(placement(&["vf0"])), claim: Some(mark()), ..new("1", "42") };
    store.accept(first).await.unwrap();
    assert_eq!(where_is(&store, "1", "42").await.2, "vf0");
    let wait = Finish { placement: Some(placement(&["vf0", "vf1"])), ..finish("1", 1, State::Waiting) };
    store.finish(wait, Evidence::default()).await.unwrap();
    assert_eq!(where_is(&store, "1", "42").await.2, "vf0,vf1");
}
