//! Reading an operation's journal.

use super::dialect::Text;
use super::model::OperationId;
use super::reader::{Cells, Line, Query};
use super::{Store, StoreError, seals};
use crate::journal::{Entry, Kind, Stage};
use crate::seal::Sealer;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use serde_json::Value;

static JOURNAL: Text = Text::new(
    "
SELECT operation_id || '/' || name AS row, name, kind, stage, scope, given, result, sealed, secret, remote_id, doubt, adopt,
    evidence, runs
FROM entry WHERE operation_id = $1 ORDER BY position",
);

impl Store {
    /// The journal in order. A sealed result is in clear; once the operation has ended it is `null`.
    ///
    /// # Errors
    ///
    /// See [`taken`](Self::taken).
    pub async fn journal(&self, id: &OperationId) -> Result<Vec<Entry>, StoreError> {
        let rows = Query::new(&JOURNAL).bind(&id.0).all(&self.inner.reader).await?;
        rows.iter().map(|row| read(row, id, &self.inner.sealer)).collect()
    }
}

fn read(row: &Line, id: &OperationId, sealer: &Sealer) -> Result<Entry, StoreError> {
    let cells = Cells::new(row, "entry", "row");
    let name: String = cells.cell("name")?;
    let secret: Option<Vec<u8>> = cells.cell("secret")?;
    let result: Value = match secret {
        Some(secret) => seals::open_step(sealer, id, &name, &secret)?,
        None => cells.json("result")?,
    };
    Ok(Entry {
        name,
        kind: cells.word("kind", word::<Kind>)?,
        stage: cells.word("stage", word::<Stage>)?,
        scope: cells.cell("scope")?,
        given: cells.json("given")?,
        result,
        sealed: cells.cell("sealed")?,
        remote_id: cells.cell("remote_id")?,
        doubt: cells.some_json("doubt")?,
        adopt: cells.cell("adopt")?,
        evidence: cells.json("evidence")?,
        runs: cells.number("runs")?,
    })
}

/// The member of that word in JSON, which is its word in SQL too.
fn word<T: DeserializeOwned>(word: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<Error>::new(word)).ok()
}
