//! Convergent changes, and the turn to undoing.

use super::session::{Session, Stop};
use super::steps::blank;
use crate::journal::{Kind, Sent, Stage};
use billhook_plugin_api::Fault;
use billhook_plugin_api::protocol::{Answer, StepRan, Turn, UndoOpen};
use serde_json::Value;

impl Session {
    pub(super) async fn converge_open(&self) -> Result<Turn, Stop> {
        let (operation, _) = self.operation("convergent changes")?;
        if !self.panel.provider.converges(operation.hook, operation.action.as_deref()) {
            let what = operation.action.as_deref().unwrap_or(operation.hook.as_str());
            let text = format!("{what} is not declared convergent");
            return Err(Stop::Fault(Fault::plugin_bug(text)));
        }
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        if inner.open.is_some() || inner.run.is_some() {
            return Err(Stop::Fault(Fault::plugin_bug("a convergent change within a step or another one")));
        }
        if let Some(fault) = inner.undoing() {
            return Ok(Turn::Fault { fault });
        }
        // Answered in an earlier run, which then waited: sending it again would only disturb what is waited for.
        if let Some(entry) = inner.journal.get(inner.asked).filter(|entry| entry.kind == Kind::Converge) {
            let (stage, result) = (entry.stage, entry.result.clone());
            inner.asked += 1;
            if stage == Stage::Done {
                return Ok(Turn::Done { result });
            }
        }
        self.boundary()?;
        let ticket = inner.issue(None, false, false);
        Ok(Turn::Run { given: Value::Null, ticket })
    }

    pub(super) async fn converge_ran(&self, ran: StepRan) -> Result<Turn, Stop> {
        let mut inner = self.inner.lock().await;
        let run = inner
            .run
            .take_if(|run| run.ticket == ran.ticket && run.at.is_none())
            .ok_or_else(|| Fault::plugin_bug("a convergent change ended that is not under way"))?;
        match ran.answer {
            Answer::Ok(result) => {
                inner.has_converged |= run.sent != Sent::Nothing;
                inner.converged.push(result.clone());
                Ok(Turn::Done { result })
            }
            Answer::Fault(fault) => {
                inner.unsettled |= match run.sent {
                    Sent::Lost => true,
                    Sent::Answered => !fault.refused,
                    Sent::Nothing | Sent::NeverLeft => false,
                };
                Ok(Turn::Fault { fault })
            }
        }
    }

    pub(super) async fn undo(&self, open: UndoOpen) -> Result<(), Stop> {
        self.operation("steps")?;
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        if inner.open.is_some() {
            return Err(Stop::Fault(Fault::plugin_bug("undo within a step")));
        }
        inner.undo_reached = true;
        if let Some(at) = inner.journal.iter().position(|entry| entry.kind == Kind::Undo) {
            inner.asked = inner.asked.max(at + 1);
            return Ok(());
        }
        let given = serde_json::to_value(&open.fault).unwrap_or_default();
        let mut entry = blank("undo".to_owned(), Kind::Undo, Stage::Done);
        entry.given = given;
        self.append(inner, entry).await
    }
}
