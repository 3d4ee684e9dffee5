//! What the daemon does about its own store: bounds, restored copies, another key.

use super::*;
use crate::seal::ring;
use crate::store::{Reading, backup};
use std::path::Path;

const DAY: Duration = Duration::from_secs(86_400);

impl House {
    async fn stored_read(&self, n: u32) {
        let reading = Reading {
            id: format!("rd_{}", ulid::Ulid::from_parts(START_MS, u128::from(n))),
            platform: "whmcs".into(),
            service_id: None,
            hook: Hook::Test,
            provider: "none".into(),
            server: "nowhere".into(),
            state: State::Succeeded,
            fault: None,
            summary: "test: done".into(),
            started_at: START_MS,
            ended_at: START_MS,
        };
        self.engine.env().store.read_over(reading, Evidence::default()).await.unwrap();
        self.engine.env().store.flush().await.unwrap();
    }

    async fn log_length(&self) -> usize {
        self.get(&admin(), "/v1/log").await.body["items"].as_array().unwrap().len()
    }

    /// Lets the errands of the next hour run.
    async fn hour(&self) {
        self.clock.advance(Duration::from_secs(3_600));
        tokio::task::yield_now().await;
        while !self.engine.is_idle() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_lived_out_its_time_goes_by_itself() {
    let house = House::new().await;
    house.stored_read(1).await;
    house.hour().await;
    assert_eq!(house.log_length().await, 1);
    house.clock.advance(31 * DAY);
    while house.log_length().await > 0 {
        house.hour().await;
    }
    house.engine.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_beyond_its_budget_is_pruned_before_its_time() {
    let house = House::with(|config| config.store.retention.budget = 1).await;
    house.stored_read(1).await;
    house.running("whmcs", 7).await;
    while house.log_length().await > 1 {
        house.hour().await;
    }
    assert_eq!(house.get(&admin(), "/v1/operations").await.body["items"].as_array().unwrap().len(), 1);
    house.engine.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_prunes() {
    let house = House::new().await;
    house.stored_read(1).await;
    house.clock.advance(DAY);
    let prune = "POST /v1/log/prune";
    for (path, dry_run, entries, left) in [
        (prune.to_owned(), false, 0, 1),
        (format!("{prune}?before=2020-01-01T00:00:00Z"), false, 0, 1),
        (format!("{prune}?before=2030-01-01T00:00:00Z&dry_run=true"), true, 1, 1),
        (format!("{prune}?before=2030-01-01T00:00:00Z"), false, 1, 0),
    ] {
        let answer = house.send(&admin(), &path, &[], "").await;
        let expected = json!({ "dry_run": dry_run, "entries": entries, "bodies": 0, "bytes": 0, "more": false });
        assert_eq!(answer.body, expected, "{path}");
        assert_eq!(house.log_length().await, left, "{path}");
    }
    let refused = house.send(&whmcs(), prune, &[], "").await;
    assert_eq!(refused.problem(), (403, "not_allowed", None));
    let refused = house.send(&admin(), &format!("{prune}?before=soon"), &[], "").await;
    assert_eq!(refused.problem(), (400, "invalid_request", Some("?before")));
    house.engine.stop(Duration::ZERO).await;
}

async fn started(config: &Config) -> Arc<Engine> {
    let clock = ManualClock::new(START_MS);
    let options = EngineOptions::by(clock.shared());
    Engine::start(Arc::new(config.clone()), options).await.unwrap()
}

fn database(config: &Config) -> &Path {
    match &config.store.database {
        Database::Sqlite { path } => path,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_copy_holds_back_until_it_is_released() {
    let house = House::new().await;
    house.ended("whmcs", 1, State::Succeeded).await;
    let health = house.get(&admin(), "/healthz").await;
    assert_eq!(health.body["status"], "ok");
    let nothing = house.send(&admin(), "POST /v1/store/release", &[], "").await;
    assert_eq!(nothing.body, json!({ "released": false }));
    let source = database(&house.config).to_owned();
    let copy = source.with_file_name("copy.db");
    backup(&source, &copy).unwrap();

    let mut config = (*house.config).clone();
    config.store.database = Database::Sqlite { path: copy };
    let engine = started(&config).await;
    assert!(engine.is_recovering());
    let restored = House {
        engine,
        config: Arc::new(config.clone()),
        clock: house.clock.clone(),
        _dir: tempfile::tempdir().unwrap(),
    };
    assert_eq!(restored.get(&admin(), "/readyz").await.body["status"], "recovering");
    assert_eq!(restored.send(&whmcs(), "POST /v1/store/release", &[], "").await.problem().0, 403);

    let released = restored.send(&admin(), "POST /v1/store/release", &[], "").await;

    assert_eq!(released.body, json!({ "released": true }));
    assert_eq!(restored.get(&admin(), "/readyz").await.body["status"], "ok");
    restored.engine.stop(Duration::ZERO).await;
    let engine = started(&config).await;
    assert!(!engine.is_recovering());
    assert_eq!(engine.env().store.facts().generation, 2);
    engine.stop(Duration::ZERO).await;
    house.engine.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_the_former_key_goes_when_nothing_is_sealed_with_it() {
    let house = House::new().await;
    let id = house.ended("whmcs", 1, State::Succeeded).await;
    let file = &house.config.seal.key_file;
    let rotated = ring::rotate(file).unwrap();
    assert_eq!(house.engine.env().store.result_secrets(&id).await.unwrap().len(), 1, "who runs goes on");
    house.engine.stop(Duration::ZERO).await;
    assert!(rotated.kept_at.exists());

    let engine = started(&house.config).await;
    while rotated.kept_at.exists() {
        tokio::task::yield_now().await;
    }

    let secrets = engine.env().store.result_secrets(&id).await.unwrap();
    assert_eq!(secrets["root_password"].expose(), "correct horse battery");
    engine.stop(Duration::ZERO).await;
    let engine = started(&house.config).await;
    assert!(!engine.env().store.has_older_keys());
    assert_eq!(engine.env().store.result_secrets(&id).await.unwrap().len(), 1);
    engine.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_new_hooks_are_refused_and_what_is_known_still_answers() {
    let house = House::with(|config| config.store.reserve = u64::MAX).await;
    let id = house.ended("whmcs", 1, State::Succeeded).await;

    let refused = house.post(&whmcs(), "/v1/hooks/create", r#"{"service":{"id":"9"},"product":{"id":"vps"}}"#).await;

    assert_eq!(refused.problem(), (503, "unavailable", None));
    assert_eq!(refused.headers.get("retry-after").unwrap(), "10");
    assert!(refused.body["remedy"].as_str().unwrap().contains("make room"), "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().contains("nothing was accepted"), "{}", refused.body);
    assert_eq!(house.get(&admin(), "/readyz").await.status, 503);
    assert_eq!(house.get(&admin(), "/healthz").await.status, 200);
    assert_eq!(house.get(&whmcs(), &format!("/v1/operations/{id}")).await.status, 200);
    house.engine.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_why_nothing_can_be_stored() {
    let house = House::new().await;
    let store = &house.engine.env().store;
    store.tend("PRAGMA query_only = 1").await.unwrap();
    assert!(
        store
            .change_service(
                &ServiceKey { platform: "whmcs".into(), service_id: "1".into() },
                1,
                ServiceChange::default(),
                START_MS,
            )
            .await
            .is_err()
    );

    let health = house.get(&whmcs(), "/healthz").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("degraded")));
    assert!(health.body["store"].as_str().unwrap().contains("store.url"), "{}", health.body);
    let ready = house.get(&whmcs(), "/readyz").await;
    assert_eq!(ready.problem(), (503, "unavailable", None));
    assert!(ready.body["detail"].as_str().unwrap().contains("cannot be written"), "{}", ready.body);

    store.tend("PRAGMA query_only = 0").await.unwrap();
    assert_eq!(house.get(&whmcs(), "/readyz").await.status, 200, "it is looked at, and nobody has to send a hook");
    assert_eq!(house.get(&whmcs(), "/healthz").await.body["status"], "ok");
    house.engine.stop(Duration::ZERO).await;
}
