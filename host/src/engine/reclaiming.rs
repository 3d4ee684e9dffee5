//! The store failed under an attempt: its operation stands there as running, and nobody runs it. It is taken up again as after
//! the end of a host: what had begun is in doubt.

use super::agenda::Errand;
use super::worker::AFTER_STORE_FAILURE;
use super::{Engine, lock};
use crate::journal::Stage;
use crate::store::{OperationId, ServiceKey, StoreError};
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Takes the operation up again if it is still the run that ended so; tries until the store answers.
    pub(super) async fn reclaim(self: Arc<Self>, id: OperationId, run: u64, key: ServiceKey) {
        match self.try_reclaim(&id, run, &key).await {
            Ok(()) => self.wake(&key),
            Err(error) => {
                tracing::error!(operation.id = %id, error = %error, "an operation that the store failed under waits to be taken up");
                self.agenda.put(AFTER_STORE_FAILURE, Errand::Reclaim(id, run, key));
            }
        }
    }

    async fn try_reclaim(&self, id: &OperationId, run: u64, key: &ServiceKey) -> Result<(), StoreError> {
        let Some(operation) = self.env.store.operation(id).await? else { return Ok(()) };
        let settle_ms = self.settle_of_servers()(&operation.server);
        // Before anybody can claim it: from now on this host watches, not from its start.
        for entry in self.env.store.journal(id).await? {
            if matches!(entry.stage, Stage::Begun | Stage::Doubted) {
                self.env.watch_doubt(id, &entry);
            }
        }
        let until = self.env.clock.monotonic().saturating_add(Duration::from_millis(settle_ms));
        lock(&self.unsettled).insert(key.clone(), (None, until));
        if self.env.store.reclaim(id, run, settle_ms, self.env.clock.unix_ms()).await? {
            tracing::warn!(operation.id = %id, "an operation that the store had failed under goes on");
        }
        Ok(())
    }
}
