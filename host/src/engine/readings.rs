//! Hooks that only read: run while the caller waits, and logged.

use super::intake::plugin_service;
use super::resolve::{panel_changed, supports};
use super::{Engine, unavailable};
use crate::attempt::{self, Conclusion, Subject, Told};
use crate::operation::State;
use crate::panel::Panel;
use crate::problem::{Problem, ProblemType};
use crate::request::HookBody;
use crate::store::{Evidence, Note, Reading, Service, ServiceKey};
use billhook_plugin_api::protocol::{HookCall, Outcome};
use billhook_plugin_api::{Fault, Hook, Manifest};
use std::sync::Arc;

/// What a reading hook found.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadAnswer {
    /// Its id in the module log.
    pub id: String,
    /// Its result.
    pub outcome: Outcome,
}

/// Why a reading hook found nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadFailure {
    /// It was not run.
    Problem(Box<Problem>),
    /// It was run and failed.
    Fault {
        /// Its id in the module log.
        id: String,
        /// Why.
        fault: Box<Fault>,
    },
}

impl From<Problem> for ReadFailure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Engine {
    /// Runs a hook that only reads, on a server or on a service; a reading action is one of them.
    ///
    /// # Errors
    ///
    /// A problem when it cannot be run, a fault when it failed.
    pub async fn read_hook(
        self: &Arc<Self>,
        platform: &str,
        hook: Hook,
        body: HookBody,
    ) -> Result<ReadAnswer, ReadFailure> {
        self.read_because(platform, hook, body, None).await
    }

    /// [`read_hook`](Self::read_hook), with what the log shall say of why the host does so by itself.
    pub(super) async fn read_because(
        self: &Arc<Self>,
        platform: &str,
        hook: Hook,
        body: HookBody,
        why: Option<String>,
    ) -> Result<ReadAnswer, ReadFailure> {
        body.check(hook)?;
        let (panel, call, service_id) = match (&body.service, &body.server) {
            (None, Some(server)) => {
                let panel = self.panel(server)?;
                supports(&panel.provider, hook, body.action.as_deref())?;
                can_be_asked(&panel.provider.manifest, body.field.as_deref())?;
                let product = self.product_on(&panel, &body)?;
                (
                    panel,
                    HookCall {
                        product,
                        action: body.action.clone(),
                        params: body.params.clone(),
                        field: body.field.clone(),
                        ..HookCall::default()
                    },
                    None,
                )
            }
            (Some(service), _) => {
                let key = ServiceKey { platform: platform.to_owned(), service_id: service.id.clone() };
                let found = self.env.store.service(&key).await.map_err(unavailable)?.ok_or_else(|| {
                    Problem::new(ProblemType::UnknownService, "no such service is known: it was never created here")
                })?;
                let (panel, call) = self.reading_call(hook, &body, &found)?;
                (panel, call, Some(service.id.clone()))
            }
            (None, None) => return Err(Problem::at("/service", format!("{hook} needs a service")).into()),
        };
        let id = format!("rd_{}", self.ulid());
        if let Some(text) = why {
            let at = self.env.clock.unix_ms();
            let note = Note { owner: id.clone(), run: 0, at, kind: "poll".to_owned(), text };
            self.env.store.record(Evidence { notes: vec![note], ..Evidence::default() });
        }
        let result = self.read(platform, service_id, id.clone(), hook, &panel, &call).await;
        if let (Ok(Outcome { capacity: Some(found), .. }), Some(product)) = (&result, &body.product) {
            let told = Told {
                at: self.env.clock.unix_ms(),
                product: product.id.clone(),
                free: found.free,
                text: found.text.clone(),
            };
            self.env.told(&panel.name, told);
        }
        match result {
            Ok(outcome) => Ok(ReadAnswer { id, outcome }),
            Err(fault) => Err(ReadFailure::Fault { id, fault: Box::new(fault) }),
        }
    }

    fn reading_call(&self, hook: Hook, body: &HookBody, service: &Service) -> Result<(Arc<Panel>, HookCall), Problem> {
        let target = self.resolve(hook, body, Some(service), None)?;
        if target.panel.identity != service.panel {
            return Err(panel_changed(&service.panel, &target.panel));
        }
        let call = HookCall {
            service: Some(plugin_service(&service.key, Some(service), service.epoch)),
            product: target.settings,
            action: body.action.clone(),
            params: body.params.clone(),
            ..HookCall::default()
        };
        Ok((target.panel, call))
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        platform: &str,
        service_id: Option<String>,
        id: String,
        hook: Hook,
        panel: &Arc<Panel>,
        call: &HookCall,
    ) -> Result<Outcome, Fault> {
        let started_at = self.env.clock.unix_ms();
        let deadline = self.config().attempt.deadline;
        let (result, evidence) = match self.lanes.enter_reading(&panel.name, hook, &id, deadline).await {
            Ok(permits) => {
                let subject = Subject::Reading { id: id.clone(), hook };
                let conclusion = attempt::run(&self.env, panel, subject, call, deadline, None).await;
                drop(permits);
                let Conclusion::Reading { result, evidence } = conclusion else {
                    return Err(Fault::plugin_bug("a reading hook ended as an operation"));
                };
                (*result, evidence)
            }
            Err(fault) => (Err(fault), Evidence::default()),
        };
        if hook == Hook::Test {
            self.lanes.tested(&panel.name, passed(&result));
        }
        let state = if result.is_ok() { State::Succeeded } else { State::Failed };
        let fault = result.as_ref().err().cloned();
        let summary = match &fault {
            Some(fault) => format!("{hook}: failed: {fault}"),
            None => format!("{hook}: done"),
        };
        let reading = Reading {
            id,
            platform: platform.to_owned(),
            service_id,
            hook,
            provider: panel.provider.manifest.name.clone(),
            server: panel.name.clone(),
            state,
            fault,
            summary,
            started_at,
            ended_at: self.env.clock.unix_ms(),
        };
        if let Err(error) = self.env.store.read_over(reading, evidence).await {
            tracing::error!(error = %error, "a reading hook could not be logged");
        }
        // Nobody waits for the log's commit, and nobody should have to wait long to see it.
        let store = self.env.store.clone();
        self.tasks.spawn(async move {
            if let Err(error) = store.flush().await {
                tracing::error!(error = %error, "a reading hook could not be logged");
            }
        });
        result
    }
}

/// Whether the provider can tell the values of that setting.
fn can_be_asked(manifest: &Manifest, field: Option<&str>) -> Result<(), Problem> {
    match field {
        Some(field) if !manifest.options.iter().any(|known| known == field) => {
            let text = format!("the provider {} cannot tell the values of {field:?}", manifest.name);
            Err(Problem::at("/field", text).remedy(format!("it can of: {}", manifest.options.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Whether a test found nothing wrong, else what it found.
fn passed(result: &Result<Outcome, Fault>) -> Result<(), String> {
    let outcome = result.as_ref().map_err(ToString::to_string)?;
    match outcome.findings.iter().find(|finding| !finding.ok) {
        Some(finding) => Err(format!("{}: {}", finding.name, finding.text)),
        None => Ok(()),
    }
}
