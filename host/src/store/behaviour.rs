//! What a store does, said against its public methods alone, so that every backend can be held to it.

mod evidence;
mod files;
mod guards;
mod life;
mod placing;
mod reads;
mod recovery;
pub(super) mod samples;
mod search;

use super::{Store, StoreError, StoreOptions};
