//! A server that goes away, and comes back.

use super::samples::*;
use super::{Store, StoreError, StoreOptions};
use crate::operation::State;
use crate::store::model::*;
use crate::store::{address, hold};
use std::time::Duration;

const ENDED: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn with_patience(place: &Place, patience: Duration) -> Store {
    let options = StoreOptions { patience, ..StoreOptions::default() };
    Store::open(&place.url(), place.sealer(), options).await.unwrap()
}

#[tokio::test]
async fn a_lost_connection_is_not_noticed() {
    let (place, store) = store(On::Postgres).await;
    running(&store, "1", "42").await;
    assert_eq!(state(&store, "1").await, State::Running);
    for run in 1..4 {
        place.run("", ENDED).await;
        let wait = finish("1", run, State::Waiting);
        assert!(matches!(store.finish(wait, Evidence::default()).await, Ok(Finished::Stored { .. })), "{run}");
        place.run("", ENDED).await;
        assert_eq!(state(&store, "1").await, State::Waiting, "reads neither");
        assert_eq!(store.log(&LogFilter { limit: 5, ..LogFilter::default() }).await.unwrap().rows.len(), 1);
        assert_eq!(store.claim(&id("1"), run, mark(), NOW).await.unwrap(), Some(run + 1));
    }
}

#[tokio::test]
async fn while_there_is_no_server_nothing_is_stored_and_afterwards_it_goes_on() {
    let place = Place::new(On::Postgres).await;
    let store = with_patience(&place, Duration::from_millis(100)).await;
    running(&store, "1", "42").await;
    let note = Note { owner: "op_1".into(), run: 1, at: NOW, kind: "note".into(), text: "kept".into() };
    store.record(Evidence { notes: vec![note.clone()], ..Evidence::default() });
    let kept = place.database().close_to_all();

    let refused = store.accept(new("2", "43")).await;
    let unread = store.operation(&id("1")).await;

    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(matches!(unread, Err(StoreError::Unavailable(_))), "{unread:?}");
    place.database().open_to_all();
    assert!(matches!(store.accept(new("2", "43")).await, Ok(Accepted::Stored { .. })));
    let (_, detail) = store.log_detail("op_1").await.unwrap().unwrap();
    assert_eq!(detail.notes, [note], "what rode along has waited");
    assert_eq!(kept.count("SELECT count(*) FROM operation").await, 1, "as it was when the server went");
}

#[tokio::test]
async fn a_host_that_another_one_has_replaced_writes_nothing_more() {
    let (place, store) = store(On::Postgres).await;
    running(&store, "1", "42").await;
    place.run("", ENDED).await;
    let address::Address::Postgres(server) = address::Address::of(&place.url(), None).unwrap() else { panic!() };
    let mut other = server.connect().await.unwrap();
    hold::take(&mut other, &server, None).await.unwrap();
    sqlx::raw_sql("SET application_name = 'another host'").execute(&mut other).await.unwrap();

    let refused = store.accept(new("2", "43")).await;

    let Err(StoreError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why, "another host has taken the store over");
    assert_eq!(place.count("SELECT count(*) FROM operation").await, 1);
}
