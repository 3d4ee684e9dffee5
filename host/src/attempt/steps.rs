//! The conversation about a step.

use super::session::{Ended, Inner, Session, Stop, insert_all};
use crate::journal::{self, Doubt, Entry, Kind, Meeting, Next, RunEnd, Stage};
use crate::store::{Begin, Begun, ScopeCount, StepWrite};
use crate::verdict::End;
use billhook_plugin_api::protocol::{Answer, Sight, StepFound, StepGiven, StepKind, StepOpen, StepRan, Turn};
use billhook_plugin_api::{Fault, FaultClass};
use serde_json::Value;
use std::sync::Arc;

/// How long an operation that waits for another's scope sleeps at most; it is woken when the scope is given back.
const SCOPE_PATIENCE_MS: u64 = 30_000;

impl Session {
    pub(super) async fn step_open(&self, open: StepOpen) -> Result<Turn, Stop> {
        self.operation("steps")?;
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        if let Some((_, other)) = &inner.open {
            let text = format!("the step {} was opened while {} is open", open.name, other.name);
            return Err(Stop::Fault(Fault::plugin_bug(text)));
        }
        self.boundary()?;
        let (at, in_order) = place(inner, &open.name);
        let patience = self.patience(open.settle);
        let undoing = inner.undoing();
        let entry = inner.journal.get(at);
        let waited_ms = entry.map_or(0, |_| self.waited_ms(inner, at));
        let meeting = Meeting { entry, in_order, undoing: undoing.as_ref(), waited_ms };
        let next = journal::on_open(&open, meeting, &patience);
        inner.asked = inner.asked.max(at);
        inner.open = Some((at, open));
        self.follow(inner, next).await
    }

    pub(super) async fn step_given(&self, said: StepGiven) -> Result<Turn, Stop> {
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        self.opened(inner, &said.name)?;
        match said.given {
            Answer::Ok(given) => self.begin(inner, given).await,
            Answer::Fault(fault) => {
                inner.reserved = None;
                let at = inner.open.take().map_or(0, |(at, _)| at);
                if inner.journal.get(at).is_some_and(Entry::is_unsettled) {
                    // Asked anew after *gone*: the step is still in doubt, and only the host ends that.
                    return Err(Stop::from(End::Fault(fault)));
                }
                Ok(Turn::Fault { fault })
            }
        }
    }

    pub(super) async fn step_found(&self, said: StepFound) -> Result<Turn, Stop> {
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        let (at, open) = self.opened(inner, &said.name)?;
        let waited_ms = self.waited_ms(inner, at);
        if let Some(id) = inner.journal[at].adopt.clone() {
            inner.journal[at].adopt = None;
            return match said.sight {
                Sight::Found(result) => self.done(inner, at, result).await,
                Sight::Fault(fault) => {
                    inner.journal[at].adopt = Some(id);
                    Err(Stop::from(End::Fault(fault)))
                }
                _ => {
                    self.write(inner, at, false).await?;
                    Err(Stop::from(End::Attention(format!(
                        "{id} was read back and is not what this step would have made"
                    ))))
                }
            };
        }
        let doubt = inner.journal[at].doubt.unwrap_or_default();
        let (looked, next) = journal::on_sight(&said.name, &said.sight, doubt, waited_ms, &self.patience(open.settle));
        if let (Sight::Found(result), Next::Done) = (said.sight, &next) {
            return self.done(inner, at, result).await;
        }
        self.set_doubt(inner, at, looked);
        match next {
            Next::AskGiven => {
                let entry = &mut inner.journal[at];
                let old = std::mem::take(&mut entry.given);
                entry.evidence.push(old);
                Ok(Turn::Given)
            }
            next @ (Next::Settle(_) | Next::Attention(_)) => {
                self.write(inner, at, false).await?;
                self.follow(inner, next).await
            }
            next => self.follow(inner, next).await,
        }
    }

    pub(super) async fn step_ran(&self, ran: StepRan) -> Result<Turn, Stop> {
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        let (at, _) = self.opened(inner, &ran.name)?;
        let run = inner
            .run
            .take_if(|run| run.ticket == ran.ticket)
            .ok_or_else(|| Fault::plugin_bug(format!("{} ended a run that is not under way", ran.name)))?;
        if run.gated {
            return match ran.answer {
                Answer::Ok(result) => self.done(inner, at, result).await,
                // The look failed; the doubt stays.
                Answer::Fault(fault) => Err(Stop::from(End::Fault(fault))),
            };
        }
        match journal::on_ran(ran.answer, run.sent, run.was_in_doubt) {
            RunEnd::Done(result) => self.done(inner, at, result).await,
            end => self.undone(inner, at, end).await,
        }
    }

    /// Writes how a run without a result leaves its step.
    pub(super) async fn undone(&self, inner: &mut Inner, at: usize, end: RunEnd) -> Result<Turn, Stop> {
        match end {
            RunEnd::Done(result) => self.done(inner, at, result).await,
            RunEnd::Cleared(fault) => {
                inner.journal[at].stage = Stage::Cleared;
                inner.journal[at].doubt = None;
                self.write(inner, at, true).await?;
                inner.open = None;
                inner.asked = at + 1;
                Ok(Turn::Fault { fault })
            }
            RunEnd::Doubted(fault, why) => {
                let settle = inner.open.as_ref().map(|(_, open)| open.settle).unwrap_or_default();
                let was = inner.journal[at].doubt;
                // A later run that may have left begins the settle time anew; one that proved to have done nothing does
                // not lengthen the doubt of the run before it.
                let doubt = match was {
                    Some(was) if why == journal::DoubtCause::Earlier => {
                        Doubt { waited_ms: self.waited_ms(inner, at), ..was }
                    }
                    _ => Doubt { why, ..Doubt::default() },
                };
                inner.journal[at].stage = Stage::Doubted;
                self.set_doubt(inner, at, doubt);
                self.write(inner, at, false).await?;
                let due = self.patience(settle).next_look_ms(&doubt);
                let after_ms = due.saturating_sub(doubt.waited_ms).max(fault.retry_after_ms.unwrap_or(0)).max(1);
                Err(Stop::from(End::Parked { after_ms, fault: Some(fault) }))
            }
        }
    }

    /// Adds a finished entry that stands for no effect, and waits until it is durable.
    pub(super) async fn append(&self, inner: &mut Inner, entry: Entry) -> Result<(), Stop> {
        inner.journal.push(entry);
        let at = inner.journal.len() - 1;
        inner.asked = at + 1;
        self.write(inner, at, false).await
    }

    async fn follow(&self, inner: &mut Inner, next: Next) -> Result<Turn, Stop> {
        let Some((at, open)) = inner.open.clone() else {
            return Err(Stop::Fault(Fault::plugin_bug("no step is open")));
        };
        match next {
            Next::Done => {
                if inner.journal[at].gave_id() {
                    self.release_kept(inner).await?;
                }
                inner.open = None;
                inner.asked = at + 1;
                Ok(Turn::Done { result: inner.journal[at].result.clone() })
            }
            Next::Fault(fault) => {
                if inner.journal.get(at).is_some_and(Entry::is_unsettled) {
                    return Err(Stop::from(End::Fault(fault)));
                }
                inner.open = None;
                inner.asked = (at + 1).min(inner.journal.len());
                Ok(Turn::Fault { fault })
            }
            Next::AskGiven => {
                self.reserve(inner, &open).await?;
                Ok(Turn::Given)
            }
            Next::Begin => {
                self.reserve(inner, &open).await?;
                self.begin(inner, Value::Null).await
            }
            Next::Again => {
                if open.kind != StepKind::Record && inner.journal[at].runs >= self.env.policy.attempts {
                    let text = format!("the step {} was run as often as the policy allows", open.name);
                    return Err(Stop::from(End::Attention(text)));
                }
                let given = inner.journal[at].given.clone();
                self.begin(inner, given).await
            }
            Next::LookByRunning => {
                let ticket = inner.issue(Some(at), true, true);
                Ok(Turn::Run { given: inner.journal[at].given.clone(), ticket })
            }
            Next::AskFind => Ok(Turn::Find { given: inner.journal[at].given.clone() }),
            Next::Believe(result) => {
                inner.journal[at].adopt = None;
                self.done(inner, at, result).await
            }
            Next::AskAdopt(id) => Ok(Turn::Adopt { id, given: inner.journal[at].given.clone() }),
            Next::Settle(after_ms) => Err(Stop::from(End::Parked { after_ms, fault: None })),
            Next::Attention(why) => Err(Stop::from(End::Attention(why))),
            Next::Mismatch(why) => Err(Stop::from(End::Attention(format!("plugin_bug: {why}")))),
        }
    }

    /// Reads the scope's count before `given` is asked, so that a begin can tell whether anything came between.
    async fn reserve(&self, inner: &mut Inner, open: &StepOpen) -> Result<(), Stop> {
        let Some(scope) = &open.scope else { return Ok(()) };
        let key = format!("{}|{scope}", self.panel.identity);
        let (operation, _) = self.operation("steps")?;
        let (count, holder) = self.env.store.scope(&key).await?;
        match holder {
            Some((id, step)) if id == operation.id && step == open.name => inner.reserved = None,
            Some(_) => {
                inner.blocked_on = Some(key);
                return Err(Stop::from(End::Parked { after_ms: SCOPE_PATIENCE_MS, fault: None }));
            }
            None => inner.reserved = Some(ScopeCount { key, count }),
        }
        Ok(())
    }

    /// Writes *begun* durably and hands out the right to send.
    async fn begin(&self, inner: &mut Inner, given: Value) -> Result<Turn, Stop> {
        let (operation, _) = self.operation("steps")?;
        let Some((at, open)) = inner.open.clone() else {
            return Err(Stop::Fault(Fault::plugin_bug("no step is open")));
        };
        self.written(inner).await?;
        self.flush(inner);
        let now = self.env.clock.unix_ms();
        if operation.expires_at.is_some_and(|at| now >= at) && !inner.effects().touched {
            let fault = Fault::new(FaultClass::Cancelled, "the hook expired before anything was begun");
            return Err(Stop::from(End::Fault(fault)));
        }
        let before = inner.journal.get(at).cloned();
        let was_in_doubt = before.as_ref().is_some_and(|entry| entry.doubt.is_some() && entry.is_unsettled());
        let mut entry = before.clone().unwrap_or_else(|| blank(open.name.clone(), open.kind.into(), Stage::Begun));
        entry.stage = if was_in_doubt { Stage::Doubted } else { Stage::Begun };
        entry.kind = open.kind.into();
        entry.scope = open.scope.as_ref().map(|scope| format!("{}|{scope}", self.panel.identity));
        entry.given = given.clone();
        entry.sealed = open.sealed;
        entry.remote_id = open.remote_id;
        entry.runs += 1;
        // In memory first: if this attempt is cut off while the write is out, the step counts as begun.
        match inner.journal.get_mut(at) {
            Some(slot) => *slot = entry.clone(),
            None => inner.journal.push(entry.clone()),
        }
        let begin = Begin {
            id: operation.id.clone(),
            run: operation.run,
            position: position(at),
            entry,
            take: inner.reserved.clone(),
            now,
        };
        let parked = self.parked();
        let begun = match self.env.store.begin(begin).await {
            Ok(begun) => begun,
            Err(error) => {
                // Nobody may send. Should it be durable all the same, the next run finds it in doubt.
                match before {
                    Some(before) => inner.journal[at] = before,
                    None => inner.journal.truncate(at),
                }
                return Err(error.into());
            }
        };
        drop(parked);
        if begun == Begun::Yes {
            inner.reserved = None;
            let ticket = inner.issue(Some(at), false, was_in_doubt);
            return Ok(Turn::Run { given, ticket });
        }
        match before {
            Some(before) => inner.journal[at] = before,
            None => inner.journal.truncate(at),
        }
        match begun {
            Begun::Yes | Begun::LeaseLost => Err(Stop::End(Ended::Lost)),
            Begun::CancelAsked => Err(Stop::from(End::Cancelled)),
            Begun::ScopeBusy => {
                inner.blocked_on = inner.reserved.take().map(|scope| scope.key);
                Err(Stop::from(End::Parked { after_ms: SCOPE_PATIENCE_MS, fault: None }))
            }
            Begun::ScopeMoved if open.kind == StepKind::Differ => {
                self.reserve(inner, &open).await?;
                Ok(Turn::Given)
            }
            // Nothing was asked of the world before: it is enough to try again with the new count.
            Begun::ScopeMoved => {
                self.reserve(inner, &open).await?;
                Box::pin(self.begin(inner, given)).await
            }
        }
    }

    async fn done(&self, inner: &mut Inner, at: usize, result: Value) -> Result<Turn, Stop> {
        let (operation, _) = self.operation("steps")?;
        let remote_id = if inner.journal[at].remote_id {
            match &result {
                Value::Null => None,
                Value::String(id) => Some(id.clone()),
                Value::Number(id) => Some(id.to_string()),
                _ => {
                    let text = format!(
                        "the result of {} is declared a remote id and is neither text nor number",
                        inner.journal[at].name
                    );
                    return Err(Stop::from(End::Attention(format!("plugin_bug: {text}"))));
                }
            }
        } else {
            None
        };
        let entry = &mut inner.journal[at];
        entry.stage = Stage::Done;
        entry.result.clone_from(&result);
        entry.doubt = None;
        let release = entry.scope.is_some() && !entry.waits_for_id();
        let (name, sealed) = (entry.name.clone(), entry.sealed);
        if sealed {
            insert_all(&mut inner.secrets, &result);
        }
        if release && let Some(scope) = &inner.journal[at].scope {
            inner.released.push(scope.clone());
        }
        self.env.forget_doubt(&operation.id, &name);
        self.written(inner).await?;
        self.flush(inner);
        let write = self.step_write(inner, at, release, remote_id.clone())?;
        // Awaited by whatever comes next, so that neighbours share its commit.
        self.send_off(inner, write);
        if remote_id.is_some() {
            self.written(inner).await?;
            self.release_kept(inner).await?;
        }
        inner.open = None;
        inner.asked = at + 1;
        Ok(Turn::Done { result })
    }

    /// Gives back the scopes that earlier steps kept because they had no remote id, now that it is the service's.
    async fn release_kept(&self, inner: &mut Inner) -> Result<(), Stop> {
        let kept = inner.journal.iter().enumerate().filter(|(_, entry)| entry.waits_for_id() && entry.scope.is_some());
        for at in kept.map(|(at, _)| at).collect::<Vec<_>>() {
            self.write(inner, at, true).await?;
        }
        Ok(())
    }

    /// Writes an entry as it stands and waits until it is durable.
    pub(super) async fn write(&self, inner: &mut Inner, at: usize, release: bool) -> Result<(), Stop> {
        self.written(inner).await?;
        self.flush(inner);
        if release && let Some(scope) = &inner.journal[at].scope {
            inner.released.push(scope.clone());
        }
        let write = self.step_write(inner, at, release && inner.journal[at].scope.is_some(), None)?;
        self.send_off(inner, write);
        self.written(inner).await
    }

    /// Writes beside the attempt, until it is written: it may be cut off, and what it knows must not go with it.
    fn send_off(&self, inner: &mut Inner, write: StepWrite) {
        let env = Arc::clone(&self.env);
        inner.writing = Some(tokio::spawn(async move { env.write_step(&write).await }));
    }

    pub(super) fn step_write(
        &self,
        inner: &Inner,
        at: usize,
        release: bool,
        remote_id: Option<String>,
    ) -> Result<StepWrite, Stop> {
        let (operation, _) = self.operation("steps")?;
        Ok(StepWrite {
            id: operation.id.clone(),
            run: operation.run,
            position: position(at),
            entry: inner.journal[at].clone(),
            effects: inner.effects(),
            release,
            remote_id,
            now: self.env.clock.unix_ms(),
        })
    }

    /// Milliseconds since the doubt of an entry, as far as live hosts saw them pass.
    pub(super) fn waited_ms(&self, inner: &Inner, at: usize) -> u64 {
        let entry = &inner.journal[at];
        let (Some(doubt), super::Subject::Operation { operation, .. }) = (entry.doubt, &self.subject) else { return 0 };
        doubt.waited_ms.saturating_add(self.env.watched_ms(&operation.id, entry))
    }

    fn set_doubt(&self, inner: &mut Inner, at: usize, doubt: Doubt) {
        inner.journal[at].doubt = Some(Doubt { by: self.env.store.host_number(), ..doubt });
        if let super::Subject::Operation { operation, .. } = &self.subject {
            self.env.watch_doubt(&operation.id, &inner.journal[at]);
        }
    }

    fn opened(&self, inner: &Inner, name: &str) -> Result<(usize, StepOpen), Stop> {
        inner
            .open
            .clone()
            .filter(|(_, open)| open.name == name)
            .ok_or_else(|| Stop::Fault(Fault::plugin_bug(format!("the step {name} is not open"))))
    }

    /// Where an attempt may be ended without leaving anything behind.
    pub(super) fn boundary(&self) -> Result<(), Stop> {
        if self.env.is_stopping() { Err(Stop::End(Ended::Stopped)) } else { Ok(()) }
    }
}

/// The entry's place, and whether this run reached it in the order of the journal. A new one comes last. What was
/// cleared left nothing behind, so a run may pass it by.
pub(super) fn place(inner: &Inner, name: &str) -> (usize, bool) {
    let at = inner
        .journal
        .iter()
        .position(|entry| entry.name == name && entry.kind != Kind::Undo)
        .unwrap_or(inner.journal.len());
    let skipped = inner.journal.get(inner.asked..at).unwrap_or_default();
    let in_order = at >= inner.asked && skipped.iter().all(|entry| entry.stage == Stage::Cleared);
    (at, in_order)
}

pub(super) fn blank(name: String, kind: Kind, stage: Stage) -> Entry {
    Entry {
        name,
        kind,
        stage,
        scope: None,
        given: Value::Null,
        result: Value::Null,
        sealed: false,
        remote_id: false,
        doubt: None,
        adopt: None,
        evidence: Vec::new(),
        runs: 0,
    }
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
