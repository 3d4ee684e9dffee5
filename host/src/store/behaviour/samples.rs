//! Stores and values with boring defaults.

pub use super::cluster::Database;
use crate::body::Packed;
use crate::journal::{Entry, Kind, Stage};
use crate::operation::{Effects, State};
use crate::seal::{HostKey, Sealer};
use crate::store::model::*;
use crate::store::{CommitTap, JsonText, Moment, Store, StoreOptions, file, hand, schema, writer};
use billhook_plugin_api::protocol::HookCall;
use billhook_plugin_api::{Hook, Secret};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

pub const NOTHING: Effects = Effects { touched: false, doubted: false };
pub const DONE: Effects = Effects { touched: true, doubted: false };
pub const DOUBT: Effects = Effects { touched: true, doubted: true };
pub const NOW: u64 = 1_700_000_000_000;
pub const CALL_MARK: &str = "mark-of-the-call-0001";

/// Which database a test is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// A folder, and on Postgres a database, that outlive the stores opened in it, and their key.
pub struct Place {
    folder: TempDir,
    database: Option<Database>,
}

impl Place {
    pub async fn new(on: On) -> Self {
        let folder = TempDir::new().unwrap();
        HostKey::create(&folder.path().join("key")).unwrap();
        let database = match on {
            On::Sqlite => None,
            On::Postgres => Some(Database::with_tables().await),
        };
        Self { folder, database }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("data/store.db")
    }

    pub fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    pub fn url(&self) -> String {
        match &self.database {
            None => format!("sqlite://{}", self.path().display()),
            Some(database) => database.url(),
        }
    }

    pub fn sealer(&self) -> Sealer {
        Sealer::new(HostKey::load(&self.folder.path().join("key")).unwrap(), vec![]).unwrap()
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.url(), self.sealer(), StoreOptions::default()).await.unwrap()
    }

    /// Runs statements on the database itself, in the words of either.
    pub async fn run(&self, sqlite: &str, postgres: &str) {
        match &self.database {
            None => {
                let mut db = writer::connect(&self.path()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sqlite.to_owned())).execute(&mut db).await.unwrap();
                db.close().await.unwrap();
            }
            Some(database) => database.run(postgres).await,
        }
    }

    /// A number that the database itself answers.
    pub async fn count(&self, text: &'static str) -> i64 {
        match &self.database {
            None => {
                let mut db = writer::connect(&self.path()).await.unwrap();
                sqlx::query_scalar(text).fetch_one(&mut db).await.unwrap()
            }
            Some(database) => database.count(text).await,
        }
    }
}

pub async fn store(on: On) -> (Place, Store) {
    let place = Place::new(on).await;
    let store = place.open().await;
    (place, store)
}

/// A file with tables, and the connection that writes.
pub async fn tables() -> (TempDir, rusqlite::Connection) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("db");
    file::prepare(&path).unwrap();
    schema::migrate(&mut writer::connect(&path).await.unwrap()).await.unwrap();
    let db = hand::open(&path).unwrap();
    (folder, db)
}

/// Holds up commits for as long as it is shut.
#[derive(Default)]
pub struct Gate {
    is_shut: watch::Sender<bool>,
    holds: Arc<Notify>,
}

impl Gate {
    pub fn shut(&self) {
        self.is_shut.send_replace(true);
    }

    /// Until it holds one.
    pub async fn holds(&self) {
        self.holds.notified().await;
    }

    pub fn open(&self) {
        self.is_shut.send_replace(false);
    }
}

impl CommitTap for Gate {
    fn commit(&self, moment: Moment, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (mut is_shut, holds) = (self.is_shut.subscribe(), Arc::clone(&self.holds));
        Box::pin(async move {
            if moment == Moment::Before && *is_shut.borrow() {
                holds.notify_one();
                let _ = is_shut.wait_for(|is_shut| !*is_shut).await;
            }
        })
    }
}

pub fn id(name: &str) -> OperationId {
    OperationId(format!("op_{name}"))
}

pub fn key(service: &str) -> ServiceKey {
    ServiceKey { platform: "whmcs".into(), service_id: service.into() }
}

/// A create for a service that does not exist yet.
pub fn new(name: &str, service: &str) -> NewOperation {
    NewOperation {
        id: id(name),
        service: key(service),
        service_version: None,
        client_id: Some("77".into()),
        username: None,
        domain: None,
        epoch: 1,
        hook: Hook::Create,
        action: None,
        key: None,
        fingerprint: "print".into(),
        provider: "virtfusion".into(),
        server: "vf1".into(),
        panel: "https://vf1".into(),
        product: "vps-small".into(),
        placement: None,
        most: None,
        renew_to: None,
        shown: JsonText::of(&json!({ "os": "debian" })),
        call: HookCall { password: Some(Secret::new(CALL_MARK.into())), ..HookCall::default() },
        expires_at: None,
        claim: None,
        cancels: vec![],
        summary: format!("create {service}"),
        now: NOW,
    }
}

/// Another hook for a service at this version.
pub fn hook(name: &str, service: &str, version: u64, hook: Hook) -> NewOperation {
    NewOperation { hook, service_version: Some(version), summary: format!("{hook} {service}"), ..new(name, service) }
}

pub fn mark() -> ClaimMark {
    ClaimMark { library: "lib1".into(), journal_version: 1, touches: false, counts: true, passes: vec![] }
}

pub fn entry(name: &str, stage: Stage) -> Entry {
    Entry {
        name: name.into(),
        kind: Kind::Differ,
        stage,
        scope: None,
        given: json!([1, "é\u{0}"]),
        result: Value::Null,
        sealed: false,
        remote_id: false,
        doubt: None,
        adopt: None,
        evidence: vec![],
        runs: 1,
    }
}

pub fn begin(name: &str, run: u64, step: &str) -> Begin {
    Begin { id: id(name), run, position: 0, entry: entry(step, Stage::Begun), take: None, now: NOW + 1 }
}

/// The same with a scope, as it was read.
pub fn begin_in(name: &str, step: &str, scope: &str, count: u64) -> Begin {
    let mut begin = begin(name, 1, step);
    begin.entry.scope = Some(scope.into());
    begin.take = Some(ScopeCount { key: scope.into(), count });
    begin
}

pub fn done(name: &str, run: u64, step: &str, result: Value) -> StepWrite {
    StepWrite {
        id: id(name),
        run,
        position: 0,
        entry: Entry { result, ..entry(step, Stage::Done) },
        effects: DONE,
        release: false,
        remote_id: None,
        now: NOW + 2,
    }
}

/// As the store takes it.
pub fn packed(store: &Store, exchange: Exchange) -> Exchange<Packed> {
    let pack = |text: Option<String>| text.map(|text| store.pack(&text));
    Exchange {
        request_body: pack(exchange.request_body),
        reply_body: pack(exchange.reply_body),
        owner: exchange.owner,
        run: exchange.run,
        seq: exchange.seq,
        step: exchange.step,
        purpose: exchange.purpose,
        method: exchange.method,
        url: exchange.url,
        left: exchange.left,
        status: exchange.status,
        failure: exchange.failure,
        started_at: exchange.started_at,
        duration_us: exchange.duration_us,
        request_headers: exchange.request_headers,
        reply_headers: exchange.reply_headers,
    }
}

pub fn finish(name: &str, run: u64, state: State) -> Finish {
    Finish {
        id: id(name),
        run,
        state,
        next_at: None,
        attempts: 1,
        effects: NOTHING,
        fault: None,
        reason: None,
        outcome: None,
        secrets: Default::default(),
        service: None,
        has_steps: true,
        placement: None,
        moves: None,
        end_passed: None,
        summary: format!("{name} {state}"),
        now: NOW + 3,
    }
}

pub fn steer(name: &str, from: State, run: u64, to: State) -> Steer {
    Steer {
        id: id(name),
        from,
        run,
        to,
        cancel_asked: false,
        entries: vec![],
        release: vec![],
        effects: NOTHING,
        fresh_attempts: false,
        reason: None,
        actor: "root".into(),
        decision: "decided".into(),
        now: NOW + 4,
    }
}

pub fn secret(name: &str, value: &str) -> std::collections::BTreeMap<String, Secret<String>> {
    [(name.to_owned(), Secret::new(value.to_owned()))].into()
}

/// Stores a create of the service, claimed at once.
pub async fn running(store: &Store, name: &str, service: &str) {
    let new = NewOperation { claim: Some(mark()), ..new(name, service) };
    let accepted = store.accept(new).await.unwrap();
    assert_eq!(accepted, Accepted::Stored { seq: 1, run: Some(1), cancelled: vec![] });
}

pub async fn state(store: &Store, name: &str) -> State {
    store.operation(&id(name)).await.unwrap().unwrap().state
}
