//! What an attempt knows of a panel is written until it is written: a disk that is full now may have room in a minute, and
//! nobody else will ever know.

use super::Env;
use crate::store::{Evidence, Finish, Finished, StepWrite, StoreError, Written};
use std::time::Duration;

/// Between two tries.
const HOLD: Duration = Duration::from_secs(1);

impl Env {
    /// Writes how far a step is, until that is written, refused for good, or the host stops.
    ///
    /// # Errors
    ///
    /// The store's last one.
    pub(super) async fn write_step(&self, write: &StepWrite) -> Result<Written, StoreError> {
        let mut is_told = false;
        loop {
            match self.store.try_write_step(write).await {
                Err(error) if self.holds(&error, &mut is_told) => self.clock.sleep(HOLD).await,
                written => return written,
            }
        }
    }

    /// Ends an attempt, likewise.
    ///
    /// # Errors
    ///
    /// The store's last one.
    pub(super) async fn finish(&self, finish: &Finish, evidence: &Evidence) -> Result<Finished, StoreError> {
        let mut is_told = false;
        loop {
            match self.store.try_finish(finish, evidence).await {
                Err(error) if self.holds(&error, &mut is_told) => self.clock.sleep(HOLD).await,
                finished => return finished,
            }
        }
    }

    fn holds(&self, error: &StoreError, is_told: &mut bool) -> bool {
        let holds = error.may_pass() && !self.is_stopping();
        if holds && !std::mem::replace(is_told, true) {
            tracing::error!(error = %error, "what an attempt knows cannot be stored; it is kept and tried again every second");
        }
        holds
    }
}
