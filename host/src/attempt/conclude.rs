//! How an attempt ends: its open run is settled, the verdict asked, and everything written in one commit.

use super::end_word;
use super::room::Onward;
use super::session::{Conclusion, Ended, Inner, Session, Stop, Subject, undo_fault};
use crate::journal::{self, Sent};
use crate::operation::{Effects, State};
use crate::panel::millis;
use crate::store::{Attempt, Evidence, Finish, Finished, Operation, Service, ServiceChange, ServiceStatus, StoreError};
use crate::verdict::{self, Circumstances, End, Verdict};
use billhook_plugin_api::protocol::{Answer, Outcome};
use billhook_plugin_api::{Fault, FaultClass, Hook, Secret};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Session {
    pub(super) async fn conclude(&self, ended: Ended) -> Conclusion {
        self.close();
        let mut inner = self.inner.lock().await;
        let inner = &mut *inner;
        let ended = match self.settle_open_run(inner, ended).await {
            Ok(ended) => ended,
            Err(Stop::End(ended)) => ended,
            Err(Stop::Fault(fault)) => Ended::End(End::Fault(fault)),
        };
        match &self.subject {
            Subject::Reading { .. } => self.conclude_reading(inner, ended),
            Subject::Operation { operation, service, .. } => {
                self.conclude_operation(inner, ended, operation, service).await
            }
        }
    }

    /// A run that was cut off leaves its step cleared or doubted, by what the wire knows.
    async fn settle_open_run(&self, inner: &mut Inner, ended: Ended) -> Result<Ended, Stop> {
        // First what was done: it must be durable whatever comes.
        self.written(inner).await?;
        let Some(run) = inner.run.take() else { return Ok(ended) };
        let Some(at) = run.at else {
            inner.unsettled |= matches!(run.sent, Sent::Lost | Sent::Answered);
            return Ok(ended);
        };
        if run.gated || ended == Ended::Lost {
            return Ok(ended);
        }
        let fault = match &ended {
            Ended::End(End::Fault(fault)) => fault.clone(),
            Ended::End(End::Panicked(text)) => Fault::plugin_bug(format!("the plugin panicked: {text}")),
            Ended::End(End::Deadline) => Fault::new(FaultClass::InDoubt, "the attempt outlived its deadline"),
            _ => Fault::new(FaultClass::InDoubt, "the attempt ended while the step ran"),
        };
        // A mark on a fault that did not come from the run itself proves nothing of the run.
        let fault = fault.unproven();
        let end = journal::on_ran(Answer::Fault(fault), run.sent, run.was_in_doubt);
        match self.undone(inner, at, end).await {
            // Proven that nothing left: the attempt ends as it ended.
            Ok(_) => Ok(ended),
            Err(Stop::End(Ended::End(End::Parked { after_ms, fault }))) => match ended {
                // What the person must know outweighs the time of the next look.
                Ended::End(End::Attention(_)) | Ended::Stopped => Ok(ended),
                _ => Ok(Ended::End(End::Parked { after_ms, fault })),
            },
            Err(stop) => Err(stop),
        }
    }

    fn conclude_reading(&self, inner: &mut Inner, ended: Ended) -> Conclusion {
        let result = match ended {
            Ended::End(End::Returned(outcome)) => Ok(*outcome),
            Ended::End(End::Fault(fault)) => Err(fault),
            Ended::End(End::Panicked(text)) => Err(Fault::plugin_bug(format!("the plugin panicked: {text}"))),
            Ended::End(End::Deadline) => Err(Fault::new(FaultClass::Timeout, "the panel did not answer in time")),
            other => Err(Fault::plugin_bug(format!("a reading hook ended in another way: {other:?}"))),
        };
        if let Ok(outcome) = &result {
            for secret in outcome.secrets.values() {
                inner.secrets.insert(secret.expose());
            }
        }
        let result = result.map_err(|fault| self.masked_fault(inner, read_fault(fault)));
        let state = if result.is_ok() { State::Succeeded } else { State::Failed };
        let attempt = self.attempt(state, result.as_ref().err().cloned());
        self.count(self.subject.hook(), &attempt);
        let evidence = self.evidence(inner, Some(attempt));
        Conclusion::Reading { result: Box::new(result), evidence }
    }

    async fn conclude_operation(
        &self,
        inner: &mut Inner,
        ended: Ended,
        operation: &Operation,
        service: &Service,
    ) -> Conclusion {
        let end = match ended {
            Ended::End(end) => end,
            Ended::Stopped => End::Parked { after_ms: 0, fault: None },
            Ended::Lost | Ended::StoreFailed => return Conclusion::Void,
        };
        let end = self.checked(inner, end);
        let Onward { end, placement, moves } = self.onward(inner, end, service);
        let now = self.env.clock.unix_ms();
        let mut effects = inner.effects();
        effects.touched |= inner.unsettled || inner.has_converged;
        let undoing = undo_fault(&inner.journal);
        let circumstances = Circumstances {
            effects,
            unsettled_change: inner.unsettled,
            attempts: operation.attempts,
            age_ms: self.env.times.age_ms(operation),
            dice: dice(),
            settle_ms: self.panel.settle_ms(),
            policy: &self.env.policy,
            undoing: undoing.as_ref(),
        };
        // A wait or settle look is no attempt: the claim that follows counts this one again.
        let attempts = match &end {
            End::Parked { .. } => operation.attempts.saturating_sub(1),
            _ => operation.attempts,
        };
        let verdict = verdict::decide(end, &circumstances);
        let finish = self.finish(inner, verdict, operation, service, effects, attempts, now);
        let finish = Finish { placement, moves, ..finish };
        let state = finish.state;
        let after_ms = finish.next_at.map(|at| at.saturating_sub(now));
        match (finish.next_at, after_ms) {
            (Some(next_at), Some(after_ms)) => self.env.times.put_off(&operation.id, next_at, after_ms),
            _ if state.is_final() => self.env.times.ended(&operation.id),
            _ => {}
        }
        let poll_at = finish.service.as_ref().and_then(|(_, change)| change.poll_at.flatten());
        let attempt = self.attempt(state, finish.fault.clone());
        self.count(operation.hook, &attempt);
        let evidence = self.evidence(inner, Some(attempt));
        let last = state.is_final().then(|| Arc::new(finish.ended(operation)));
        self.env.stay_awake();
        let _parked = self.parked();
        match self.env.finish(&finish, &evidence).await {
            Ok(Finished::Stored { others }) => {
                self.env.metrics.operation(operation.hook, &operation.provider, state);
                Conclusion::Operation {
                    state,
                    last,
                    others,
                    after_ms,
                    poll_at,
                    unsettled: inner.unsettled,
                    released: std::mem::take(&mut inner.released),
                    blocked_on: inner.blocked_on.take(),
                }
            }
            Ok(Finished::LeaseLost) => Conclusion::Void,
            Err(error) if !error.may_pass() => self.hand_over(&finish, &error).await,
            Err(error) => {
                tracing::error!(operation.id = %operation.id, error = %error, "the outcome could not be stored");
                Conclusion::Void
            }
        }
    }

    /// The store refuses the outcome for good: a person must know, with as little as can be stored.
    async fn hand_over(&self, finish: &Finish, error: &StoreError) -> Conclusion {
        tracing::error!(operation.id = %finish.id, error = %error, "the outcome is refused by the store");
        let reason = format!("the outcome ({}) could not be stored", finish.state);
        let bare = Finish {
            state: State::Attention,
            next_at: None,
            fault: None,
            summary: format!("needs attention: {reason}"),
            reason: Some(reason),
            outcome: None,
            secrets: BTreeMap::new(),
            service: None,
            placement: None,
            moves: None,
            end_passed: None,
            ..finish.clone()
        };
        match self.env.store.finish(bare, Evidence::default()).await {
            Ok(Finished::Stored { others }) => Conclusion::Operation {
                state: State::Attention,
                last: None,
                others,
                after_ms: None,
                poll_at: None,
                unsettled: false,
                released: Vec::new(),
                blocked_on: None,
            },
            _ => Conclusion::Void,
        }
    }

    /// Holds a result against what the host saw in this attempt.
    fn checked(&self, inner: &Inner, end: End) -> End {
        let End::Returned(outcome) = &end else { return end };
        let skipped =
            inner.journal.iter().skip(inner.asked).filter(|entry| entry.stage != journal::Stage::Cleared).count();
        if skipped > 0 {
            return End::Attention(format!(
                "plugin_bug: the hook ended without coming to {skipped} step(s) of its journal"
            ));
        }
        if inner.open.is_some() || inner.run.is_some() {
            return End::Fault(Fault::plugin_bug("the hook ended within a step"));
        }
        if (outcome.noop || outcome.gone == Some(true)) && !inner.has_read && !self.is_overtaken() {
            return End::Fault(Fault::plugin_bug(
                "the hook claims a state of the panel that it has not read in this attempt",
            ));
        }
        end
    }

    #[expect(clippy::too_many_arguments, reason = "one call, and each is a different kind of thing")]
    fn finish(
        &self,
        inner: &mut Inner,
        verdict: Verdict,
        operation: &Operation,
        service: &Service,
        mut effects: Effects,
        attempts: u32,
        now: u64,
    ) -> Finish {
        let mut change = ServiceChange::default();
        let mut outcome_value = None;
        let mut secrets: BTreeMap<String, Secret<String>> = BTreeMap::new();
        let mut end_passed = None;
        let (state, next_at, fault, reason) = match verdict {
            Verdict::Succeed(outcome) => {
                let mut outcome = *outcome;
                // What the operation has done is no longer its own to take back.
                effects.touched = true;
                for secret in outcome.secrets.values() {
                    inner.secrets.insert(secret.expose());
                }
                secrets = std::mem::take(&mut outcome.secrets);
                if operation.hook == Hook::Terminate && outcome.gone == Some(true) {
                    end_passed =
                        Some(Fault::new(FaultClass::Cancelled, format!("overtaken by the terminate {}", operation.id)));
                }
                // What is true of the service is of another life.
                if !self.is_overtaken() {
                    self.change_service(operation, service, &outcome, &secrets, &mut change, now);
                }
                outcome_value = serde_json::to_value(&outcome).ok();
                if let Some(value) = &mut outcome_value {
                    self.env.masker(&inner.secrets).json(value, &[]);
                }
                (State::Succeeded, None, None, None)
            }
            Verdict::Fail(fault) => {
                if undo_fault(&inner.journal).is_some() && service.remote_id.is_some() {
                    // What was made was undone; the panel is read until it is gone, and only then a create is new.
                    change.status = Some(ServiceStatus::Ending);
                    change.poll_at = Some(Some(now.saturating_add(millis(self.env.poll_interval))));
                }
                (State::Failed, None, Some(fault), None)
            }
            Verdict::PutOff { after_ms, fault } => (State::Waiting, Some(now.saturating_add(after_ms)), fault, None),
            Verdict::Attention { reason, fault } => (State::Attention, None, fault, Some(reason)),
            Verdict::Cancel => (State::Cancelled, None, None, None),
        };
        if inner.unsettled {
            change.unsettled_ms = Some(self.panel.settle_ms());
        } else if service.unsettled_ms > 0 {
            // It was waited out before this attempt was claimed.
            change.unsettled_ms = Some(0);
        }
        let fault = fault.map(|fault| self.masked_fault(inner, fault));
        let masker = self.env.masker(&inner.secrets);
        let reason = reason.map(|text| masker.text(&text));
        let summary = summary(operation, state, fault.as_ref(), reason.as_deref(), outcome_value.as_ref());
        Finish {
            id: operation.id.clone(),
            run: operation.run,
            state,
            next_at,
            attempts,
            effects,
            fault,
            reason,
            outcome: outcome_value,
            secrets,
            service: (change != ServiceChange::default()).then(|| (operation.service.clone(), change)),
            has_steps: operation.has_steps || !inner.journal.is_empty(),
            placement: None,
            moves: None,
            end_passed,
            summary,
            now,
        }
    }

    fn change_service(
        &self,
        operation: &Operation,
        service: &Service,
        outcome: &Outcome,
        secrets: &BTreeMap<String, Secret<String>>,
        change: &mut ServiceChange,
        now: u64,
    ) {
        change.properties.clone_from(&outcome.properties);
        change.username.clone_from(&outcome.username);
        change.remote_id = outcome.remote_id.clone().filter(|id| service.remote_id.as_ref() != Some(id));
        if let Some(pending) = &outcome.pending {
            change.pending = Some(Some(pending.clone()));
            change.poll_at = Some(Some(now.saturating_add(millis(self.env.poll_interval))));
        }
        match operation.hook {
            Hook::Create => {
                change.status = Some(ServiceStatus::Active);
                change.secrets.clone_from(secrets);
            }
            Hook::Suspend if outcome.pending.is_none() => change.status = Some(ServiceStatus::Suspended),
            Hook::Unsuspend if outcome.pending.is_none() => change.status = Some(ServiceStatus::Active),
            Hook::Renew => {
                change.paid_until = operation.renew_to.clone();
            }
            Hook::ChangePackage => change.product = Some(operation.product.clone()),
            Hook::ChangePassword | Hook::Reinstall => change.secrets.clone_from(secrets),
            Hook::Terminate if outcome.gone == Some(true) => {
                change.gone = true;
                change.status = Some(ServiceStatus::Terminated);
            }
            Hook::Terminate => {
                change.status = Some(ServiceStatus::Ending);
                change.ends_at = outcome.ends_at;
                let read_at = outcome.ends_at.unwrap_or(now).max(now).saturating_add(60_000);
                change.poll_at = Some(Some(read_at));
            }
            _ => {}
        }
    }

    fn masked_fault(&self, inner: &Inner, mut fault: Fault) -> Fault {
        let masker = self.env.masker(&inner.secrets);
        fault.staff = masker.text(&fault.staff);
        fault.customer = fault.customer.as_deref().map(|text| masker.text(text));
        fault.code = fault.code.as_deref().map(|text| masker.text(text));
        fault
    }

    fn count(&self, hook: Hook, attempt: &Attempt) {
        let end = attempt.end.as_deref().unwrap_or_default();
        self.env.metrics.attempt(hook, &self.panel.provider.manifest.name, end, attempt.fault.as_ref());
    }

    fn attempt(&self, state: State, fault: Option<Fault>) -> Attempt {
        let (owner, run) = self.owner();
        Attempt {
            owner: owner.to_owned(),
            run,
            started_at: self.started_at,
            ended_at: Some(self.env.clock.unix_ms()),
            end: Some(end_word(state).to_owned()),
            fault,
        }
    }
}

/// A read has changed nothing, whatever was answered: what a plugin's table of codes holds to be in doubt is here no more
/// than an answer that cannot be used.
pub(super) fn read_fault(mut fault: Fault) -> Fault {
    if fault.class == FaultClass::InDoubt {
        fault.class = FaultClass::PanelBug;
    }
    fault
}

/// One line for the log's list.
fn summary(
    operation: &Operation,
    state: State,
    fault: Option<&Fault>,
    reason: Option<&str>,
    outcome: Option<&serde_json::Value>,
) -> String {
    let hook = operation.action.as_deref().unwrap_or(operation.hook.as_str());
    let id = outcome.and_then(|value| value.get("remote_id")).and_then(|id| id.as_str());
    let noop = outcome.and_then(|value| value.get("noop")).is_some_and(|noop| noop == true);
    let tail = match (state, reason, fault) {
        (State::Attention, Some(reason), _) => format!("needs attention: {reason}"),
        (_, _, Some(fault)) => format!("{state}: {fault}"),
        (State::Succeeded, ..) if noop => "nothing to change".to_owned(),
        (State::Succeeded, ..) => id.map_or_else(|| "done".to_owned(), |id| format!("done, {id}")),
        (state, ..) => state.to_string(),
    };
    let mut text = format!("{hook}: {tail}");
    // A list's line, not a report.
    if let Some((cut, _)) = text.char_indices().nth(200) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// Uniform in 0..1, for jitter only.
fn dice() -> f64 {
    let n = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(n) / (f64::from(u32::MAX) + 1.0)
}
