//! How much room the disk of the store has left.

use super::{Store, StoreError};
use std::path::Path;

/// Bytes that the daemon's user can still write where the file at `path` is.
///
/// # Errors
///
/// [`StoreError::Unavailable`] when the system does not tell.
pub fn room(path: &Path) -> Result<u64, StoreError> {
    let about = rustix::fs::statvfs(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

impl Store {
    /// Bytes that are left on its disk; more than anybody needs where it is on a server, which looks after its own.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the system does not tell.
    pub fn room(&self) -> Result<u64, StoreError> {
        self.inner.path.as_deref().map_or(Ok(u64::MAX), room)
    }
}
