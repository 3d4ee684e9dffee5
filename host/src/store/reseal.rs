//! What was sealed with an older key is sealed with the newest one: beside the work, some rows at a time.
//!
//! A value is replaced only if it is still the one that was opened. What is written meanwhile is sealed with the newest key anyway.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::model::{OperationId, ServiceKey};
use super::reader::{Cells, Query};
use super::row::row;
use super::seals::{self, Sealed};
use super::{Store, StoreError};

/// Values of one command.
const VALUES: u32 = 100;

/// One of these is meant, by the table of the row.
pub const SQL: &[&str] = &[
    "UPDATE request SET call = @sealed WHERE :table = 'request' AND operation_id = :owner AND call = @was",
    "UPDATE entry SET secret = @sealed
     WHERE :table = 'entry' AND operation_id = :owner AND position = :position AND secret = @was",
    "UPDATE result_secret SET sealed = @sealed WHERE :table = 'result_secret' AND operation_id = :owner AND sealed = @was",
    "UPDATE service_secret SET sealed = @sealed
     WHERE :table = 'service_secret' AND platform = :owner AND service_id = :service AND name = :name AND sealed = @was",
];

/// The next values of each table that are sealed with another key than `$5`.
static TABLES: [(&str, Text); 4] = [
    (
        "request",
        Text::new(
            "SELECT operation_id AS a, '' AS b, '' AS c, CAST(0 AS BIGINT) AS n, call AS sealed FROM request
             WHERE operation_id > $1 AND length(call) > 0 AND lower({hex substr(call, 2, 4)}) <> $5
             ORDER BY operation_id LIMIT $6",
        ),
    ),
    (
        "entry",
        Text::new(
            "SELECT operation_id AS a, '' AS b, name AS c, position AS n, secret AS sealed FROM entry
             WHERE (operation_id, position) > ($1, $4) AND secret IS NOT NULL AND lower({hex substr(secret, 2, 4)}) <> $5
             ORDER BY operation_id, position LIMIT $6",
        ),
    ),
    (
        "result_secret",
        Text::new(
            "SELECT operation_id AS a, '' AS b, '' AS c, CAST(0 AS BIGINT) AS n, sealed FROM result_secret
             WHERE operation_id > $1 AND lower({hex substr(sealed, 2, 4)}) <> $5 ORDER BY operation_id LIMIT $6",
        ),
    ),
    (
        "service_secret",
        Text::new(
            "SELECT platform AS a, service_id AS b, name AS c, CAST(0 AS BIGINT) AS n, sealed FROM service_secret
             WHERE (platform, service_id, name) > ($1, $2, $3) AND lower({hex substr(sealed, 2, 4)}) <> $5
             ORDER BY platform, service_id, name LIMIT $6",
        ),
    ),
];

/// How far it is.
#[derive(Debug, Clone, Default)]
pub struct Resealing {
    table: usize,
    at: (String, String, String, i64),
    /// Values that were sealed anew.
    pub sealed: u64,
    /// Why values could not be opened; they stay as they are, and need the key that they name.
    pub closed: Vec<String>,
    /// Whether all tables were gone through.
    pub is_over: bool,
}

impl Store {
    /// Whether there are older keys to get rid of.
    pub fn has_older_keys(&self) -> bool {
        self.inner.sealer.has_older()
    }

    /// Seals the next values anew.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept); what was sealed anew stays so.
    pub async fn reseal_some(&self, walk: &mut Resealing) -> Result<(), StoreError> {
        let Some((table, text)) = TABLES.get(walk.table) else {
            walk.is_over = true;
            return Ok(());
        };
        let sealer = &self.inner.sealer;
        let (a, b, c, n) = walk.at.clone();
        let query = Query::new(text).bind(a).bind(b).bind(c).bind(n).bind(sealer.key_id().to_string());
        let rows = query.bind(VALUES).all(&self.inner.reader).await?;
        let mut command = Command::default();
        for row in &rows {
            let cells = Cells::new(row, table, "a");
            let (a, b, c): (String, String, String) = (cells.cell("a")?, cells.cell("b")?, cells.cell("c")?);
            let (n, was): (i64, Vec<u8>) = (cells.cell("n")?, cells.cell("sealed")?);
            let (id, key) = (OperationId(a.clone()), ServiceKey { platform: a.clone(), service_id: b.clone() });
            let place = match *table {
                "request" => Sealed::Call(&id),
                "entry" => Sealed::Step(&id, &c),
                "result_secret" => Sealed::Result(&id),
                _ => Sealed::Service(&key, &c),
            };
            match seals::reseal(sealer, place, &was) {
                Ok(sealed) => {
                    let (was, sealed) = (command.bytes(&was), command.bytes(&sealed));
                    let row = row!({
                        "table": table, "owner": a, "service": b, "name": c, "position": n, "was": was, "sealed": sealed,
                    });
                    command.row(Kind::Reseal, row);
                    walk.sealed += 1;
                }
                Err(error) => walk.closed.push(error.to_string()),
            }
            walk.at = (a, b, c, n);
        }
        if rows.len() < VALUES as usize {
            (walk.table, walk.at) = (walk.table + 1, Default::default());
            walk.is_over = walk.table == TABLES.len();
        }
        if !command.is_empty() {
            self.inner.writer.write(command).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Entry, Stage};
    use crate::operation::State;
    use crate::seal::{HostKey, Sealer};
    use crate::store::behaviour::samples::*;
    use crate::store::model::*;
    use crate::store::{StoreOptions, inspect};
    use serde_json::json;

    fn copy(key: &HostKey) -> HostKey {
        HostKey::from_text(key.to_text().as_bytes()).unwrap()
    }

    /// An operation under way with a sealed step, and a service with a secret.
    async fn fill(store: &Store, n: usize) {
        let name = format!("{n:04}");
        running(store, &name, &name).await;
        store.begin(begin(&name, 1, "password")).await.unwrap();
        let mut write = done(&name, 1, "password", json!({ "p": format!("step-secret-{n}") }));
        write.entry = Entry { sealed: true, ..write.entry };
        store.write_step(write).await.unwrap();
    }

    async fn check(store: &Store, n: usize) {
        let name = format!("{n:04}");
        let taken = store.taken(&id(&name)).await.unwrap().unwrap();
        assert_eq!(taken.call.password.unwrap().expose(), CALL_MARK);
        let journal = store.journal(&id(&name)).await.unwrap();
        assert_eq!((journal[0].stage, &journal[0].result), (Stage::Done, &json!({ "p": format!("step-secret-{n}") })));
    }

    #[tokio::test]
    async fn everything_opens_at_every_point_and_in_the_end_with_the_new_key_alone() {
        let place = Place::new(On::Sqlite).await;
        let (old, new) = (HostKey::random().unwrap(), HostKey::random().unwrap());
        let open = async |newest: &HostKey, older: Vec<HostKey>| {
            let sealer = Sealer::new(copy(newest), older).unwrap();
            Store::open(&place.url(), sealer, StoreOptions::default()).await.unwrap()
        };
        let store = open(&old, vec![]).await;
        for n in 0..130 {
            fill(&store, n).await;
        }
        let change = ServiceChange { secrets: secret("root", "service-secret"), ..ServiceChange::default() };
        store.change_service(&key("0001"), 1, change, NOW).await.unwrap();
        let end = Finish { secrets: secret("p", "result-secret"), ..finish("0002", 1, State::Succeeded) };
        store.finish(end, Evidence::default()).await.unwrap();
        store.close().await;

        // The host is killed after one command, and starts again.
        let store = open(&new, vec![copy(&old)]).await;
        let mut walk = Resealing::default();
        store.reseal_some(&mut walk).await.unwrap();
        assert_eq!((walk.sealed, walk.is_over), (100, false));
        for n in [0, 1, 99, 100, 129] {
            check(&store, n).await;
        }
        drop(store);

        let store = open(&new, vec![copy(&old)]).await;
        let mut walk = Resealing::default();
        while !walk.is_over {
            store.reseal_some(&mut walk).await.unwrap();
        }
        // Steps of an operation that succeeded have none left.
        assert_eq!((walk.sealed, walk.closed.len()), (30 + 129 + 1 + 1, 0));
        let mut again = Resealing::default();
        while !again.is_over {
            store.reseal_some(&mut again).await.unwrap();
        }
        assert_eq!(again.sealed, 0);
        store.close().await;

        let found = inspect(&place.path(), None).unwrap();
        assert_eq!(found.keys.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [new.id()]);
        let store = open(&new, vec![]).await;
        for n in [0, 1, 99, 100, 129] {
            check(&store, n).await;
        }
        let service = store.service(&key("0001")).await.unwrap().unwrap();
        assert_eq!(service.secrets["root"].expose(), "service-secret");
        assert_eq!(store.result_secrets(&id("0002")).await.unwrap()["p"].expose(), "result-secret");
    }

    #[tokio::test]
    async fn what_no_key_opens_is_told_and_left_alone() {
        let place = Place::new(On::Sqlite).await;
        let (lost, new) = (HostKey::random().unwrap(), HostKey::random().unwrap());
        let store = Store::open(&place.url(), Sealer::new(copy(&lost), vec![]).unwrap(), StoreOptions::default())
            .await
            .unwrap();
        fill(&store, 1).await;
        store.close().await;
        let sealer = Sealer::new(copy(&new), vec![HostKey::random().unwrap()]).unwrap();
        let store = Store::open(&place.url(), sealer, StoreOptions::default()).await.unwrap();

        let mut walk = Resealing::default();
        while !walk.is_over {
            store.reseal_some(&mut walk).await.unwrap();
        }

        assert_eq!((walk.sealed, walk.closed.len()), (0, 2));
        assert!(walk.closed.iter().all(|why| why.contains(&lost.id().to_string())), "{:?}", walk.closed);
        assert_eq!(inspect(&place.path(), None).unwrap().keys, [(lost.id(), 2)]);
    }
}
