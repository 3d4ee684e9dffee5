//! After a rotation of the host key: what the older keys sealed is sealed anew, and then they go.

use super::Engine;
use crate::seal::ring;
use crate::store::Resealing;
use std::sync::Arc;

impl Engine {
    /// Goes through everything that is sealed, if there is an older key. What is not done is done by the next start.
    pub(super) async fn reseal(self: Arc<Self>) {
        let store = &self.env.store;
        if !store.has_older_keys() {
            return;
        }
        let mut walk = Resealing::default();
        while !walk.is_over {
            if self.env.is_stopping() {
                return;
            }
            if let Err(error) = store.reseal_some(&mut walk).await {
                tracing::error!(error = %error, "values of the older host key could not be sealed anew; the next start goes on");
                return;
            }
        }
        if let Some(why) = walk.closed.first() {
            tracing::error!(
                values = walk.closed.len(), %why,
                "sealed values do not open with any key, so the older keys stay; put back the key that they name"
            );
            return;
        }
        let key_file = self.config().seal.key_file.clone();
        match tokio::task::spawn_blocking(move || ring::forget_older(&key_file)).await {
            Ok(Ok(files)) => tracing::warn!(
                values = walk.sealed,
                ?files,
                "nothing is sealed with the older host keys any more, and they were removed; backups from before need copies of them"
            ),
            Ok(Err(error)) => {
                tracing::error!(error = %super::start::chain(&error), "the older host keys could not be removed")
            }
            Err(error) => tracing::error!(%error, "the older host keys could not be removed"),
        }
    }
}
