//! A hook arrives: it is one that is known, a new operation, or refused.

use super::placing::Chosen;
use super::resolve::Target;
use super::{Engine, Placed, lock, unavailable};
use crate::admission::{self, Admission, Arriving, Earlier, Known, Life, Needed, Refusal};
use crate::mask::SecretSet;
use crate::operation::State;
use crate::order;
use crate::problem::{Problem, ProblemType};
use crate::request::HookBody;
use crate::store::{
    Accepted, Again, ClaimMark, JsonText, NewOperation, Operation, OperationId, Service, ServiceKey, ServiceStatus,
    Traveller,
};
use billhook_plugin_api::Hook;
use billhook_plugin_api::protocol::HookCall;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// How often a decision is made again because the service moved meanwhile; far more than can move at once.
const MOST_ROUNDS: u32 = 1_000;

/// What comes beside a hook's body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookOptions {
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// `Expires`, Unix milliseconds.
    pub expires_at: Option<u64>,
}

impl Engine {
    /// Accepts a mutating hook: the operation that answers for it is durable when this returns.
    ///
    /// # Errors
    ///
    /// A problem; nothing was stored then.
    pub async fn accept(
        self: &Arc<Self>,
        platform: &str,
        hook: Hook,
        body: HookBody,
        options: HookOptions,
    ) -> Result<Placed, Problem> {
        let Some(password) = body.password.clone() else {
            return self.place(platform, hook, body, options).await;
        };
        let placed = self.place(platform, hook, body, options).await;
        // Who puts the password into another member as well must not read it in what is said of that: platforms log it.
        placed.map_err(|problem| {
            let mut secrets = SecretSet::new();
            secrets.insert(password.expose());
            let masker = self.env.masker(&secrets);
            let remedy = problem.remedy.map(|text| masker.text(&text));
            let path = problem.path.map(|text| masker.text(&text));
            Problem { detail: masker.text(&problem.detail), remedy, path, ..problem }
        })
    }

    async fn place(
        self: &Arc<Self>,
        platform: &str,
        hook: Hook,
        body: HookBody,
        options: HookOptions,
    ) -> Result<Placed, Problem> {
        body.check(hook)?;
        let service_id = match &body.service {
            Some(service) => service.id.clone(),
            None => return Err(Problem::at("/service", format!("{hook} needs a service"))),
        };
        let key = ServiceKey { platform: platform.to_owned(), service_id };
        if self.env.is_stopping() {
            return Err(Problem::new(ProblemType::Unavailable, "the host is going down; nothing was accepted"));
        }
        if options.expires_at.is_some_and(|at| self.env.clock.unix_ms() >= at) {
            return Err(Problem::new(ProblemType::Expired, "the hook had expired when it arrived"));
        }
        self.env.stay_awake();
        let fingerprint = body.fingerprint(hook, &self.env.prints);
        let traveller = self.env.store.enter();
        let needed = Needed::of(hook, options.key.is_some());
        for _ in 0..MOST_ROUNDS {
            let (service, by_key, earlier) =
                self.env.store.earlier(&key, options.key.as_deref(), needed).await.map_err(unavailable)?;
            let admission = admit(hook, &body, &options, &fingerprint, service.as_ref(), by_key.as_ref(), &earlier);
            match admission {
                Admission::Join(id) => return Ok(OperationId(id).into()),
                Admission::Refuse(refusal) => return Err(refused(&refusal)),
                Admission::Repeat(id) => {
                    self.has_room()?;
                    let kept = self.operation(&OperationId(id.clone())).await?;
                    let target = self.resolve(hook, &body, service.as_ref(), Some(&kept.server))?;
                    if self.repeat(kept, hook, &body, &options, &fingerprint, service.as_ref(), &target).await? {
                        self.wake(&key);
                        return Ok(OperationId(id).into());
                    }
                }
                Admission::New => {
                    self.has_room()?;
                    let chosen = self.choose(hook, &body, service.as_ref()).await?;
                    let server = chosen.as_ref().map(|chosen| chosen.server.as_str());
                    let target = self.resolve(hook, &body, service.as_ref(), server)?;
                    let target = (target, chosen);
                    let new = (hook, &body, &options, fingerprint.as_str());
                    if let Some(placed) = self.insert(&key, new, service.as_ref(), &earlier, target, &traveller).await?
                    {
                        return Ok(placed);
                    }
                }
            }
        }
        Err(Problem::new(ProblemType::Unavailable, "the service changed faster than this hook could be placed"))
    }

    /// Refuses what is new while the disk has no more room than the outcomes of what runs may need.
    pub(crate) fn has_room(&self) -> Result<(), Problem> {
        let (reserve, now) = (self.config().store.reserve, self.env.clock.monotonic());
        if lock(&self.disk).is_roomy(now, reserve) {
            return Ok(());
        }
        let room = self.env.store.room().map_err(unavailable)?;
        lock(&self.disk).looked(now, room);
        if room >= reserve {
            return Ok(());
        }
        tracing::error!(free = room, reserve, "a hook was refused: the disk of the store has only its reserve left");
        let detail = "the disk of the store is nearly full, and what is left is kept for what is under way; nothing was accepted";
        Err(Problem::new(ProblemType::Unavailable, detail)
            .remedy("make room on the disk of store.url, and send it again"))
    }

    async fn insert(
        self: &Arc<Self>,
        key: &ServiceKey,
        (hook, body, options, fingerprint): (Hook, &HookBody, &HookOptions, &str),
        service: Option<&Service>,
        earlier: &[Earlier],
        (target, chosen): (Target, Option<Chosen>),
        traveller: &Traveller,
    ) -> Result<Option<Placed>, Problem> {
        let Target { panel, product, settings } = target;
        let id = OperationId(format!("op_{}", self.ulid()));
        let epoch = next_epoch(service);
        let lines: Vec<order::Line> = earlier.iter().map(line).collect();
        let arrival = order::arrive(hook, &lines);
        let remaining: Vec<order::Line> =
            lines.into_iter().filter(|line| !line.state.is_final() && !arrival.cancels.contains(&line.id)).collect();
        let own = order::Line {
            id: id.0.clone(),
            seq: u64::MAX,
            hook,
            state: State::Queued,
            effects: crate::operation::Effects::default(),
        };
        let may_claim = order::may_claim(&id.0, &[remaining, vec![own]].concat());
        let action = body.action();
        let touches = panel.provider.touches(hook, action);
        // The row is inserted claimed when its lane is free, which spares a commit.
        let permits = match may_claim {
            order::Claim::Now { passes } if self.is_settled(key, service) => {
                self.lanes.try_enter(&panel.name).map(|p| (p, passes))
            }
            _ => None,
        };
        let claim = permits.as_ref().map(|(_, passes)| ClaimMark {
            library: panel.provider.sha256.clone(),
            journal_version: panel.provider.manifest.journal_version,
            touches,
            counts: true,
            passes: passes.iter().cloned().map(OperationId).collect(),
        });
        let call = hook_call(key, body, settings, service, epoch);
        let shown = self.shown(body, &call, &panel);
        let contact = body.service.clone().unwrap_or_default();
        let new = NewOperation {
            id: id.clone(),
            service: key.clone(),
            service_version: service.map(|service| service.version),
            client_id: contact.client_id,
            username: contact.username,
            domain: contact.domain,
            epoch,
            hook,
            action: action.map(str::to_owned),
            key: options.key.clone(),
            fingerprint: fingerprint.to_owned(),
            provider: panel.provider.manifest.name.clone(),
            server: panel.name.clone(),
            panel: panel.identity.clone(),
            product,
            most: chosen.as_ref().and_then(|chosen| chosen.most),
            placement: chosen.map(|chosen| chosen.placement),
            renew_to: body.paid_until.as_ref().map(|dates| dates.to.clone()),
            shown,
            call,
            expires_at: options.expires_at,
            claim,
            cancels: arrival.cancels.into_iter().map(OperationId).collect(),
            summary: format!("{}: accepted", action.unwrap_or(hook.as_str())),
            now: self.env.clock.unix_ms(),
        };
        let accepted = {
            let _parked = traveller.park();
            self.env.store.try_accept(&new).await.map_err(unavailable)?
        };
        match accepted {
            Accepted::Moved => Ok(None),
            Accepted::Stored { seq, run, cancelled } => {
                self.env.metrics.operation(hook, &panel.provider.manifest.name, State::Queued);
                self.env.times.accepted(&id);
                for id in &cancelled {
                    self.env.times.ended(id);
                    // What is unfinished is of the provider that the service was on when this hook came.
                    if let (Some(ended), Some(service)) = (earlier.iter().find(|earlier| earlier.id == id.0), service) {
                        self.env.metrics.operation(ended.hook, &service.provider, State::Cancelled);
                    }
                    self.changed(id);
                }
                let watched = Some(self.watched(&id));
                match (run, permits) {
                    (Some(run), Some((permits, _))) => {
                        self.spawn_claimed(new.taken(seq, run, service.cloned()), panel, permits);
                    }
                    _ => self.wake(key),
                }
                Ok(Some(Placed { id, watched }))
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one arrival")]
    async fn repeat(
        &self,
        operation: Operation,
        hook: Hook,
        body: &HookBody,
        options: &HookOptions,
        fingerprint: &str,
        service: Option<&Service>,
        target: &Target,
    ) -> Result<bool, Problem> {
        let Some(service) = service else { return Ok(false) };
        if operation.panel != target.panel.identity {
            return Err(super::resolve::panel_changed(&operation.panel, &target.panel));
        }
        let call = hook_call(&service.key, body, target.settings.clone(), Some(service), operation.epoch);
        debug_assert_eq!(operation.hook, hook);
        let again = Again {
            id: operation.id,
            service_version: service.version,
            shown: self.shown(body, &call, &target.panel),
            call,
            fingerprint: fingerprint.to_owned(),
            product: target.product.clone(),
            expires_at: options.expires_at,
            now: self.env.clock.unix_ms(),
        };
        self.env.store.again(again).await.map_err(unavailable)
    }

    /// What people and the log may see of a hook.
    fn shown(&self, body: &HookBody, call: &HookCall, panel: &crate::panel::Panel) -> JsonText {
        let mut secrets = SecretSet::beside(&panel.secrets);
        if let Some(password) = &body.password {
            secrets.insert(password.expose());
        }
        let shown = JsonText::of(&Shown { product: &call.product, request: body });
        let paths = ["request.password".parse().ok()].into_iter().flatten().collect::<Vec<_>>();
        shown.masked(&self.env.masker(&secrets), &paths)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    product: &'a Value,
    request: &'a HookBody,
}

fn admit(
    hook: Hook,
    body: &HookBody,
    options: &HookOptions,
    fingerprint: &str,
    service: Option<&Service>,
    by_key: Option<&Earlier>,
    earlier: &[Earlier],
) -> Admission {
    let bound_product = service.map(|service| service.product.as_str()).unwrap_or_default();
    let arriving = Arriving {
        key: options.key.as_deref(),
        hook,
        fingerprint,
        product: body.product.as_ref().map_or(bound_product, |product| &product.id),
        renew_to: body.paid_until.as_ref().map(|dates| dates.to.as_str()),
    };
    let known = Known { by_key, life: life(service), epoch: next_epoch(service), earlier };
    admission::admit(&arriving, &known)
}

/// In which life a hook that arrives now belongs.
fn next_epoch(service: Option<&Service>) -> u32 {
    service.map_or(1, |service| service.epoch)
}

fn life(service: Option<&Service>) -> Life {
    match service {
        None => Life::Unknown,
        Some(service) if service.status == ServiceStatus::Ending => Life::Ending,
        Some(service) if service.remote_id.is_some() => Life::Live,
        Some(service) if matches!(service.status, ServiceStatus::Active | ServiceStatus::Suspended) => Life::Live,
        Some(_) => Life::Empty,
    }
}

/// The service's operation, as its order needs it.
fn line(earlier: &Earlier) -> order::Line {
    order::Line {
        id: earlier.id.clone(),
        seq: earlier.seq,
        hook: earlier.hook,
        state: earlier.state,
        effects: earlier.effects,
    }
}

/// The plugin's view of a service.
pub(super) fn plugin_service(key: &ServiceKey, service: Option<&Service>, epoch: u32) -> billhook_plugin_api::Service {
    billhook_plugin_api::Service {
        platform: key.platform.clone(),
        id: key.service_id.clone(),
        client_id: service.and_then(|service| service.client_id.clone()),
        username: service.and_then(|service| service.username.clone()),
        domain: service.and_then(|service| service.domain.clone()),
        remote_id: service.and_then(|service| service.remote_id.clone()),
        epoch,
        properties: service.map(|service| service.properties.clone()).unwrap_or_default(),
        secrets: service.map(|service| service.secrets.clone()).unwrap_or_default(),
    }
}

fn hook_call(key: &ServiceKey, body: &HookBody, product: Value, service: Option<&Service>, epoch: u32) -> HookCall {
    let mut view = plugin_service(key, service, epoch);
    if let Some(contact) = &body.service {
        view.client_id = contact.client_id.clone().or(view.client_id);
        view.username = contact.username.clone().or(view.username);
        view.domain = contact.domain.clone().or(view.domain);
    }
    HookCall {
        service: Some(view),
        client: body.client.clone(),
        product,
        password: body.password.clone(),
        paid_until: body.paid_until.clone(),
        reason: body.reason.clone(),
        action: body.action.clone(),
        params: body.params.clone(),
        addons: body.addons.clone(),
        power: body.power,
        target: body.target,
        field: None,
    }
}

fn refused(refusal: &Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::KeyReused { operation } => Problem::new(ProblemType::KeyReused, detail)
            .remedy("use one key for one event; a corrected event needs a key of its own")
            .about(operation),
        Refusal::AlreadyExists { .. } => Problem::new(ProblemType::AlreadyExists, detail)
            .remedy("terminate the service first, or change its package"),
        Refusal::ConflictBusy { .. } => Problem::new(ProblemType::ConflictBusy, detail),
        Refusal::UnknownService => Problem::new(ProblemType::UnknownService, detail).remedy("send a create first"),
    }
}
