//! Waits: durable, and holding nothing while they last.

use super::session::{Inner, Session, Stop};
use super::steps::{blank, place};
use crate::journal::{Kind, Stage};
use crate::store::OperationId;
use crate::verdict::End;
use billhook_plugin_api::Fault;
use billhook_plugin_api::protocol::{Answer, WaitLooked, WaitOpen, WaitTurn};
use serde_json::{Value, json};

impl Session {
    pub(super) async fn wait_open(&self, open: WaitOpen) -> Result<WaitTurn, Stop> {
        let id = self.operation("waits")?.0.id.clone();
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        if inner.open.is_some() || inner.run.is_some() {
            return Err(Stop::Fault(Fault::plugin_bug(format!("the wait {} began within a step", open.name))));
        }
        let undoing = inner.undoing();
        let (at, in_order) = place(inner, &open.name);
        if !in_order {
            let text = format!("plugin_bug: the wait {} was not reached in the order of the journal", open.name);
            return Err(Stop::from(End::Attention(text)));
        }
        let now = self.env.clock.unix_ms();
        match inner.journal.get(at) {
            Some(entry) if entry.stage == Stage::Done => {
                inner.asked = at + 1;
                return Ok(WaitTurn::Ready);
            }
            _ if undoing.is_some() => {
                inner.asked = (at + 1).min(inner.journal.len());
                return Ok(WaitTurn::Fault { fault: undoing.unwrap_or_else(|| Fault::plugin_bug("undoing")) });
            }
            Some(entry) if entry.stage == Stage::Begun => {}
            _ => self.begin_wait(inner, &open, now).await?,
        }
        let at = inner.journal.iter().position(|entry| entry.name == open.name).unwrap_or(at);
        inner.asked = at;
        if open.sleep {
            return match self.left_ms(&id, inner, at) {
                0 => {
                    self.end_wait(inner, at).await?;
                    Ok(WaitTurn::Ready)
                }
                after_ms => Err(Stop::from(End::Parked { after_ms, fault: None })),
            };
        }
        Ok(WaitTurn::Look)
    }

    pub(super) async fn wait_looked(&self, looked: WaitLooked) -> Result<WaitTurn, Stop> {
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        let at = inner
            .journal
            .iter()
            .position(|entry| entry.name == looked.name && entry.kind == Kind::Wait && entry.stage == Stage::Begun)
            .ok_or_else(|| Fault::plugin_bug(format!("the wait {} is not under way", looked.name)))?;
        let every_ms = inner.journal[at].given.get("every_ms").and_then(Value::as_u64).unwrap_or(5_000).max(1);
        let after_ms = match looked.answer {
            Answer::Ok(Value::Bool(true)) => {
                self.end_wait(inner, at).await?;
                return Ok(WaitTurn::Ready);
            }
            Answer::Ok(_) => every_ms,
            Answer::Fault(fault) if fault.class.passes_by_itself() => every_ms.max(fault.retry_after_ms.unwrap_or(0)),
            Answer::Fault(fault) => return Ok(WaitTurn::Fault { fault }),
        };
        let left_ms = self.left_ms(&self.operation("waits")?.0.id, inner, at);
        if left_ms == 0 {
            // Neither done nor failed: a person looks, and may let it wait again.
            let text = format!("the wait {} ran out: the panel had not got there in time", looked.name);
            return Err(Stop::from(End::Attention(text)));
        }
        Err(Stop::from(End::Parked { after_ms: after_ms.min(left_ms), fault: None }))
    }

    /// Stores the wait's deadline; what converged before it is stored first, so that it is not sent again.
    async fn begin_wait(&self, inner: &mut Inner, open: &WaitOpen, now: u64) -> Result<(), Stop> {
        for (n, result) in std::mem::take(&mut inner.converged).into_iter().enumerate() {
            let name = format!("converge before {}#{n}", open.name);
            let at = match inner.journal.iter().position(|entry| entry.name == name) {
                Some(at) => at,
                None => {
                    inner.journal.push(blank(name, Kind::Converge, Stage::Begun));
                    inner.journal.len() - 1
                }
            };
            inner.journal[at].stage = Stage::Done;
            inner.journal[at].result = result;
            self.write(inner, at, false).await?;
        }
        let until = now.saturating_add(open.within_ms);
        let given = json!({ "until": until, "within_ms": open.within_ms, "every_ms": open.every_ms });
        self.env.times.wait_begun(&self.operation("waits")?.0.id, &open.name, until, open.within_ms);
        match inner.journal.iter_mut().find(|entry| entry.name == open.name) {
            Some(entry) => {
                entry.given = given;
                entry.stage = Stage::Begun;
            }
            None => {
                let mut entry = blank(open.name.clone(), Kind::Wait, Stage::Begun);
                entry.given = given;
                inner.journal.push(entry);
            }
        }
        let at = inner.journal.iter().position(|entry| entry.name == open.name).unwrap_or_default();
        self.write(inner, at, false).await
    }

    /// Milliseconds until the wait is over.
    fn left_ms(&self, id: &OperationId, inner: &Inner, at: usize) -> u64 {
        let entry = &inner.journal[at];
        let within_ms = entry.given.get("within_ms").and_then(Value::as_u64);
        self.env.times.wait_left(id, &entry.name, deadline(&entry.given), within_ms)
    }

    async fn end_wait(&self, inner: &mut Inner, at: usize) -> Result<(), Stop> {
        inner.journal[at].stage = Stage::Done;
        inner.asked = at + 1;
        self.write(inner, at, false).await
    }
}

/// Unix milliseconds; far in the past when the entry is damaged, so that it is looked at.
fn deadline(given: &Value) -> u64 {
    given.get("until").and_then(Value::as_u64).unwrap_or(0)
}
