//! A person holds a server's operations back, and lets them go again.

use super::{Engine, unavailable};
use crate::lane::Pause;
use crate::problem::{Problem, ProblemType};
use std::sync::Arc;

impl Engine {
    /// Holds the server's operations back from now on, also after a restart. Those that run are not disturbed, and
    /// hooks that only read go on. Pausing the paused changes nothing.
    ///
    /// # Errors
    ///
    /// `not_found` for a server that is not configured, `unavailable`.
    pub async fn pause(self: &Arc<Self>, server: &str, actor: &str) -> Result<(), Problem> {
        self.known(server)?;
        let _alone = self.pausing.lock().await;
        if self.lanes.sight(server).is_some_and(|lane| lane.pause.is_some()) {
            return Ok(());
        }
        let pause = Pause { by: actor.to_owned(), at: self.env.clock.unix_ms() };
        self.env.store.set_pause(server, Some(&pause)).await.map_err(unavailable)?;
        self.lanes.set_pause(server, Some(pause));
        tracing::info!(server, actor, "the server is paused: its operations wait");
        Ok(())
    }

    /// Lets the server's operations go again, in the order in which they came. Resuming what is not paused changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// See [`pause`](Self::pause).
    pub async fn resume(self: &Arc<Self>, server: &str, actor: &str) -> Result<(), Problem> {
        self.known(server)?;
        let _alone = self.pausing.lock().await;
        self.env.store.set_pause(server, None).await.map_err(unavailable)?;
        self.lanes.set_pause(server, None);
        tracing::info!(server, actor, "the server is resumed");
        Ok(())
    }

    /// Lets go what a restored copy holds back. `false`: it holds nothing back.
    ///
    /// # Errors
    ///
    /// `unavailable`.
    pub async fn release(self: &Arc<Self>, actor: &str) -> Result<bool, Problem> {
        let _alone = self.pausing.lock().await;
        let released = self.env.store.release(self.env.clock.unix_ms()).await.map_err(unavailable)?;
        self.lanes.set_recovering(false);
        if released {
            tracing::warn!(actor, "the restored store is released: changes go to the panels again");
        }
        Ok(released)
    }

    fn known(&self, server: &str) -> Result<(), Problem> {
        if self.in_force().config.servers.contains_key(server) {
            return Ok(());
        }
        Err(Problem::new(ProblemType::NotFound, format!("no server {server} is configured"))
            .remedy("see `billhook servers list`, or GET /v1/servers, for their names"))
    }
}
