//! The store as files: who may open it, and what stands in it.

use super::samples::*;
use super::{Store, StoreError, StoreOptions};
use crate::operation::State;
use crate::store::model::*;
use crate::store::{CommitTap, Moment};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

on_both![
    a_store_keeps_its_name,
    a_closed_store_says_so,
    no_secret_stands_in_the_files,
    the_tap_stands_around_every_commit,
];

#[tokio::test]
async fn a_file_has_one_host() {
    let (place, store) = store(On::Sqlite).await;

    let second = Store::open(&place.url(), place.sealer(), StoreOptions::default()).await;

    let Err(StoreError::Locked { holder, .. }) = second else { panic!("{second:?}") };
    assert_eq!(holder, format!("process {}", std::process::id()));
    store.close().await;
    place.open().await;
}

async fn a_store_keeps_its_name(on: On) {
    let (place, store) = store(on).await;
    let facts = store.facts().clone();
    assert_eq!((facts.generation, facts.schema, facts.id.len()), (1, crate::store::schema::KNOWN, 32));
    store.close().await;
    assert_eq!(place.open().await.facts(), &facts);
}

async fn a_closed_store_says_so(on: On) {
    let (_place, store) = store(on).await;
    store.close().await;
    assert!(matches!(store.accept(new("1", "42")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.operation(&id("1")).await, Err(StoreError::Unavailable(_))));
    store.close().await;
}

#[tokio::test]
async fn addresses_that_name_no_file_are_refused() {
    let place = Place::new(On::Sqlite).await;
    for url in ["store.db", "sqlite://store.db", "sqlite::memory:", "sqlite:///tmp/", "sqlite:///tmp/x.db?mode=ro"] {
        let opened = Store::open(url, place.sealer(), StoreOptions::default()).await;
        assert!(matches!(opened, Err(StoreError::Open { .. })), "{url}: {opened:?}");
    }
}

#[tokio::test]
async fn files_are_closed_to_others() {
    let (place, store) = store(On::Sqlite).await;
    running(&store, "1", "42").await;

    let folder = place.path().parent().unwrap().to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

async fn no_secret_stands_in_the_files(on: On) {
    let (place, store) = store(on).await;
    running(&store, "1", "42").await;
    let marks = [CALL_MARK, "mark-of-the-step-0002", "mark-of-the-result-03", "mark-of-the-service-4"];
    let mut write = done("1", 1, "password", json!({ "p": marks[1] }));
    write.entry.sealed = true;
    store.write_step(write).await.unwrap();
    let change = ServiceChange { secrets: secret("root", marks[3]), ..ServiceChange::default() };
    let end = Finish {
        secrets: secret("p", marks[2]),
        service: Some((key("42"), change)),
        ..finish("1", 1, State::Succeeded)
    };
    assert_eq!(store.finish(end, Evidence::default()).await.unwrap(), Finished::Stored { others: false });

    let files = match on {
        On::Sqlite => place.path().parent().unwrap().to_owned(),
        On::Postgres => place.database().files(),
    };
    let bytes = || -> Vec<u8> {
        // A server's files come and go.
        let files = std::fs::read_dir(&files).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default()).collect()
    };
    let found = |bytes: &[u8], mark: &str| bytes.windows(mark.len()).any(|window| window == mark.as_bytes());

    place.run("", "CHECKPOINT").await;
    let open = bytes();
    assert!(found(&open, "vps-small"), "the search finds what is there");
    store.close().await;
    for bytes in [open, bytes()] {
        for mark in marks {
            assert!(!found(&bytes, mark), "{mark}");
        }
    }
}

#[derive(Default)]
struct Noted(Mutex<Vec<(Moment, u64)>>);

impl CommitTap for Noted {
    fn commit(&self, moment: Moment, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.lock().unwrap().push((moment, number));
        Box::pin(std::future::ready(()))
    }
}

async fn the_tap_stands_around_every_commit(on: On) {
    let place = Place::new(on).await;
    let tap = Arc::new(Noted::default());
    let options = StoreOptions { tap: Some(tap.clone()), ..StoreOptions::default() };
    let store = Store::open(&place.url(), place.sealer(), options).await.unwrap();

    store.accept(new("1", "42")).await.unwrap();
    store.accept(new("2", "43")).await.unwrap();

    let expected = [(Moment::Before, 1), (Moment::After, 1), (Moment::Before, 2), (Moment::After, 2)];
    assert_eq!(*tap.0.lock().unwrap(), expected);
    assert_eq!(store.commits(), 2);
}
