//! The fake panel's side door: what is really there, and which call is to go wrong.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::clock::wait_for;
use crate::http::{self, Request};

/// A panel that has had ten thousand servers looks at all of them.
const LIMIT: Duration = Duration::from_secs(120);

/// A server on the panel.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: u64,
    pub(crate) state: String,
    pub(crate) suspended: bool,
}

/// Speaks to the panel from outside, without a token.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) address: SocketAddr,
}

impl Panel {
    /// The servers that exist now.
    pub(crate) fn servers(self) -> Result<Vec<Machine>> {
        let list = self.ask("GET", "/_panel/servers", "")?;
        list.as_array().context("the panel's servers are no list")?.iter().map(machine).collect()
    }

    /// How many servers were ever made.
    pub(crate) fn made(self) -> Result<usize> {
        let list = self.ask("GET", "/_panel/servers/all", "")?;
        Ok(list.as_array().context("the panel's servers are no list")?.len())
    }

    /// What the panel has to complain about: requests against its rules, and states that no careful client leaves.
    pub(crate) fn complaints(self) -> Result<Vec<String>> {
        let found = self.ask("GET", "/_panel/check", "")?;
        let texts = |key: &str| -> Result<Vec<String>> {
            let list = found[key].as_array().with_context(|| format!("the panel's check has no {key}"))?;
            Ok(list.iter().map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned)).collect())
        };
        Ok([texts("violations")?, texts("broken")?].concat())
    }

    /// Breaks the next call of this method and path.
    pub(crate) fn break_next(self, method: &str, path: &str, fault: &str) -> Result<()> {
        let plan = json!({ "method": method, "path": path, "fault": fault });
        self.ask("POST", "/_panel/fault", &plan.to_string()).map(drop)
    }

    /// Whether every planned fault has struck.
    pub(crate) fn is_struck(self) -> Result<bool> {
        Ok(self.ask("GET", "/_panel/faults", "")?["unfired"] == 0)
    }

    /// Waits until a call is held.
    pub(crate) fn wait_until_held(self, limit: Duration) -> Result<()> {
        wait_for("the panel to hold the answer", limit, || {
            let stalled = self.ask("GET", "/_panel/stalled", "")?;
            Ok(stalled["stalled"].as_u64().filter(|count| *count > 0).map(drop))
        })
    }

    /// Lets held calls go on.
    pub(crate) fn release(self) -> Result<()> {
        self.ask("POST", "/_panel/release", "").map(drop)
    }

    fn ask(self, method: &str, path: &str, body: &str) -> Result<Value> {
        let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json".to_owned())] };
        let reply = http::over_tcp(self.address, &Request { method, path, headers, body, limit: LIMIT })?;
        ensure!(
            reply.status == 200,
            "the panel's side door answered {} to {method} {path}: {}",
            reply.status,
            reply.body
        );
        Ok(reply.body)
    }
}

fn machine(server: &Value) -> Result<Machine> {
    Ok(Machine {
        id: server["id"].as_u64().context("a server without an id")?,
        state: server["state"].as_str().unwrap_or_default().to_owned(),
        suspended: server["suspended"].as_bool().context("a server that is neither suspended nor not")?,
    })
}
