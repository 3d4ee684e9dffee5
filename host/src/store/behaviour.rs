//! What a store does, said against its public methods alone, so that every backend can be held to it.

/// The tests of a file, once for each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::On::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::On::Postgres).await;
            })*
        }
    };
}

pub(super) use on_both;

pub(super) mod cluster;
mod evidence;
mod files;
mod guards;
mod hosts;
mod life;
mod lost;
mod moved;
mod placing;
mod pruning;
mod reads;
mod recovery;
pub(crate) mod samples;
mod search;
mod secured;
mod upgraded;

use super::{Store, StoreError, StoreOptions};
