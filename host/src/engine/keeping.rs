//! The module log is kept within its bounds: what has lived out its time goes, and more where there is too much.

use super::agenda::Errand;
use super::{Engine, unavailable};
use crate::problem::Problem;
use crate::retention::{Extent, Plan};
use crate::store::{PruneOf, StoreError, Walk};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3_600);

/// So many entries must have been pruned before the index is read through for their words.
const WORTH_FORGETTING: usize = 1_000;

/// Bites that a person's request takes before it answers; they ask again for more.
const BITES: usize = 200;

/// What went, or in a dry run would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Entries of the log.
    pub entries: u64,
    /// Exchanges of other entries whose bodies went.
    pub bodies: u64,
    /// Packed bytes of those.
    pub bytes: u64,
    /// There is more to go.
    pub more: bool,
}

/// When a walk ends before there is nothing left.
enum Until {
    /// Never.
    Over,
    /// After some work.
    Bites,
    /// As soon as there is room.
    Room,
}

impl Engine {
    /// Prunes by `[store.retention]`, now and again every hour.
    pub(super) async fn keep_bounds(self: Arc<Self>) {
        if let Err(error) = self.within_bounds().await {
            tracing::error!(error = %error, "the module log could not be pruned; it is tried again in an hour");
        }
        self.agenda.put(EVERY, Errand::KeepBounds);
    }

    async fn within_bounds(&self) -> Result<(), StoreError> {
        if !self.is_first() {
            return Ok(());
        }
        // Somebody prunes by hand.
        let Ok(_alone) = self.pruning.try_lock() else { return Ok(()) };
        let (store, now) = (&self.env.store, self.env.clock.unix_ms());
        let retention = self.config().store.retention.clone();
        let mut pruned = self.carry_out(&Plan::by_age(&retention, now), &Until::Over, false).await?;
        let before = store.extent().await?;
        if retention.is_exceeded(before) {
            for plan in Plan::for_room(now) {
                let part = self.carry_out(&plan, &Until::Room, false).await?;
                pruned.entries += part.entries;
                pruned.bodies += part.bodies;
                if retention.has_room(store.extent().await?) {
                    break;
                }
            }
            let Extent { used, .. } = store.extent().await?;
            if retention.has_room(Extent { used, free: 0 }) {
                tracing::warn!(
                    used = before.used,
                    budget = retention.budget,
                    "the store was too large: parts of the log went before their time"
                );
            } else {
                tracing::warn!(
                    used,
                    budget = retention.budget,
                    "the store is larger than its budget, and nothing more of it may go"
                );
            }
        }
        self.forget(WORTH_FORGETTING).await?;
        self.give_back().await?;
        if pruned.entries + pruned.bodies > 0 {
            tracing::info!(entries = pruned.entries, bodies = pruned.bodies, "parts of the module log were pruned");
        }
        Ok(())
    }

    /// Prunes because a person says so: what ended before `before`, or what has lived out its time. Some of it; whoever wants
    /// all asks again while there is more. With `dry` nothing goes, and all of it is counted.
    ///
    /// # Errors
    ///
    /// `unavailable`.
    pub async fn prune(&self, before: Option<u64>, dry: bool, actor: &str) -> Result<Pruned, Problem> {
        let _alone = self.pruning.lock().await;
        let now = self.env.clock.unix_ms();
        let plan = match before {
            Some(at) => Plan::before(at.min(now)),
            None => Plan::by_age(&self.config().store.retention, now),
        };
        let until = if dry { Until::Over } else { Until::Bites };
        let pruned = self.carry_out(&plan, &until, dry).await.map_err(unavailable)?;
        if !dry {
            if !pruned.more {
                self.forget(1).await.map_err(unavailable)?;
            }
            self.give_back().await.map_err(unavailable)?;
            tracing::info!(
                actor,
                entries = pruned.entries,
                bodies = pruned.bodies,
                "the module log was pruned by hand"
            );
        }
        Ok(pruned)
    }

    /// Bodies first, then whole entries; both oldest first.
    async fn carry_out(&self, plan: &Plan, until: &Until, dry: bool) -> Result<Pruned, StoreError> {
        let (store, mut pruned, mut bites) = (&self.env.store, Pruned::default(), 0);
        for part in [Some(PruneOf::Operations), Some(PruneOf::Reads), None] {
            let mut walk = Walk::default();
            while !walk.is_over && !pruned.more && !self.env.is_stopping() {
                match part {
                    Some(of) => store.prune_bodies(plan, of, &mut walk, dry).await?,
                    None => store.prune_entries(plan, &mut walk, dry).await?,
                }
                bites += 1;
                pruned.more = !dry && self.is_enough(until, bites).await?;
            }
            match part {
                Some(_) => (pruned.bodies, pruned.bytes) = (pruned.bodies + walk.gone, pruned.bytes + walk.bytes),
                None => pruned.entries += walk.gone,
            }
        }
        self.env.metrics.pruned(if dry { (0, 0) } else { (pruned.entries, pruned.bodies) });
        Ok(pruned)
    }

    /// Takes the words of what was pruned out of the index.
    async fn forget(&self, least: usize) -> Result<(), StoreError> {
        while !self.env.is_stopping() && self.env.store.forget_words(least).await? > 0 {}
        Ok(())
    }

    async fn is_enough(&self, until: &Until, bites: usize) -> Result<bool, StoreError> {
        Ok(match until {
            Until::Over => false,
            Until::Bites => bites >= BITES,
            Until::Room => self.config().store.retention.has_room(self.env.store.extent().await?),
        })
    }

    /// Gives back to the disk what the store does not use, in bites between which hooks are served.
    async fn give_back(&self) -> Result<(), StoreError> {
        let store = &self.env.store;
        let mut extent = store.extent().await?;
        while extent.should_shrink() && !self.env.is_stopping() {
            store.shrink().await?;
            let next = store.extent().await?;
            if next.free >= extent.free {
                break;
            }
            extent = next;
        }
        Ok(())
    }
}
