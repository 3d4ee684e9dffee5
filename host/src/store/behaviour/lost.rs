//! A server that goes away, and comes back.

use super::samples::*;
use super::{Store, StoreError, StoreOptions};
use crate::operation::State;
use crate::store::model::*;
use futures_util::FutureExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

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
async fn a_host_that_was_taken_for_dead_while_its_server_was_away_claims_nothing_more() {
    let (place, store) = store(On::Postgres).await;
    running(&store, "1", "42").await;
    place.run("", ENDED).await;
    place.run("", "UPDATE host SET ended = 'expired', ended_by = 'web2'").await;

    let new = NewOperation { claim: Some(mark()), ..new("2", "43") };
    assert_eq!(store.accept(new).await.unwrap(), Accepted::Stored { seq: 1, run: None, cancelled: vec![] });
    assert!(!store.renew().await.unwrap());
    assert_eq!(store.over().as_deref(), Some("web2"));
}

/// Longer than a busy machine needs to send what is then not answered.
const LONG: Duration = Duration::from_secs(2);

/// Stands between a store and its server, and can keep the answers back or let nobody through.
struct Between {
    folder: tempfile::TempDir,
    is_mute: Arc<AtomicBool>,
    is_cut: tokio::sync::watch::Sender<bool>,
}

impl Between {
    fn stand(server: PathBuf) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let is_mute = Arc::<AtomicBool>::default();
        let (is_cut, cut) = tokio::sync::watch::channel(false);
        let mute = Arc::clone(&is_mute);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, mute, mut cut) = (server.clone(), Arc::clone(&mute), cut.clone());
                tokio::spawn(async move {
                    if *cut.borrow() {
                        return;
                    }
                    let server = UnixStream::connect(server).await.unwrap();
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let answers = async {
                        let mut bytes = vec![0; 8192];
                        while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                            if !mute.load(Ordering::Acquire) && to_client.write_all(&bytes[..length]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                        () = answers => {}
                        _ = cut.wait_for(|is_cut| *is_cut) => {}
                    }
                });
            }
        });
        Self { folder, is_mute, is_cut }
    }
}

#[tokio::test]
async fn what_may_have_been_committed_waits_for_its_answer_and_nobody_else_is_let_in_meanwhile() {
    let place = Place::new(On::Postgres).await;
    let between = Between::stand(place.database().socket());
    let url = place.database().url_by(between.folder.path());
    let options = StoreOptions { patience: LONG, ..StoreOptions::default() };
    let store = Store::open(&url, place.sealer(), options).await.unwrap();
    running(&store, "1", "42").await;

    between.is_mute.store(true, Ordering::Release);
    let lost = tokio::spawn({
        let store = store.clone();
        async move { store.accept(new("2", "43")).await }
    });
    while place.count("SELECT count(*) FROM operation").await < 2 {
        tokio::task::yield_now().await;
    }
    between.is_cut.send_replace(true);
    between.is_mute.store(false, Ordering::Release);
    // Whoever comes before the patience is over waits with it; then the door is shut.
    let refused = loop {
        let others = (0..2).map(|n| store.accept(new(&format!("9{n}"), &format!("9{n}"))));
        if let Some(Err(error)) = futures_util::future::join_all(others).now_or_never().and_then(|mut all| all.pop()) {
            break error;
        }
        tokio::task::yield_now().await;
    };

    assert_eq!(refused.to_string(), "the store is unavailable: its server is away");
    assert!(!lost.is_finished(), "nobody knows yet");
    between.is_cut.send_replace(false);
    assert_eq!(lost.await.unwrap().unwrap(), Accepted::Stored { seq: 1, run: None, cancelled: vec![] });
    assert_eq!(state(&store, "2").await, State::Queued);
    assert_eq!(store.service(&key("43")).await.unwrap().unwrap().version, 1, "stored once");
    assert!(matches!(store.accept(new("3", "44")).await, Ok(Accepted::Stored { .. })), "the door is open again");
}

#[tokio::test]
async fn a_store_is_closed_though_nobody_knows_what_was_committed() {
    let place = Place::new(On::Postgres).await;
    let between = Between::stand(place.database().socket());
    let url = place.database().url_by(between.folder.path());
    let options = StoreOptions { patience: LONG, ..StoreOptions::default() };
    let store = Store::open(&url, place.sealer(), options).await.unwrap();
    running(&store, "1", "42").await;
    between.is_mute.store(true, Ordering::Release);
    let lost = tokio::spawn({
        let store = store.clone();
        async move { store.accept(new("2", "43")).await }
    });
    while place.count("SELECT count(*) FROM operation").await < 2 {
        tokio::task::yield_now().await;
    }
    between.is_cut.send_replace(true);

    store.close().await;

    assert!(matches!(lost.await.unwrap(), Err(StoreError::Unavailable(_))));
}
