//! From the store's rows to the views of the API. Pure.

use crate::attempt::Told;
use crate::config::Place;
use crate::engine::{Engine, InForce};
use crate::journal::{Entry, Stage};
use crate::lane::{BreakerState, Held, LaneSight, Sighting};
use crate::operation::{Event, State};
use crate::panel::{Provider, millis};
use crate::placement::Placement;
use crate::store::{Attempt, Exchange, Load, LogRow, Note, Operation, Service, TimelineEntry};
use crate::views::{
    AttemptView, BreakerView, BreakerWord, ExchangeView, FaultView, HeldWord, LaneView, LogRowView, MessageView,
    NoteView, OperationView, PassedView, PauseView, ProductView, ProviderFacts, ProviderView, RateView, ResultView,
    RoomView, SecretsView, ServerView, ServiceView, SightingView, StepView, TimelineEntryView,
};
use billhook_plugin_api::protocol::Outcome;
use billhook_plugin_api::{Fault, Texts};
use std::collections::BTreeMap;

/// RFC 3339 in UTC, with milliseconds.
pub(super) fn instant(unix_ms: u64) -> String {
    let instant = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    // What no calendar holds is shown as its last moment.
    format!("{:.3}", instant.unwrap_or(jiff::Timestamp::MAX))
}

/// An operation without its steps.
pub(super) fn operation(operation: &Operation, now: u64) -> OperationView {
    OperationView {
        id: operation.id.0.clone(),
        platform: operation.service.platform.clone(),
        service_id: operation.service.service_id.clone(),
        epoch: operation.epoch,
        hook: operation.hook,
        action: operation.action.clone(),
        key: operation.key.clone(),
        state: operation.state,
        attempts: operation.attempts,
        steps: Vec::new(),
        step: None,
        percent: None,
        progress: None,
        retry_after_ms: retry_after_ms(operation, now),
        next_at: operation.next_at.filter(|_| operation.state == State::Waiting).map(instant),
        cancel_asked: operation.cancel_asked && !operation.state.is_final(),
        held: None,
        fault: operation.fault.as_ref().map(fault),
        reason: operation.reason.clone(),
        decisions: Vec::new(),
        server: operation.server.clone(),
        group: operation.placement.as_ref().map(|placement| placement.group.clone()),
        passed_over: operation.placement.iter().flat_map(|placement| passed_over(placement, operation)).collect(),
        provider: operation.provider.clone(),
        product: operation.product.clone(),
        created_at: instant(operation.created_at),
        updated_at: instant(operation.updated_at),
        finished_at: operation.finished_at.map(instant),
        log_ref: operation.id.0.clone(),
    }
}

/// The servers that were passed over before the one that took it; while none does, that one is among them.
fn passed_over(placement: &Placement, operation: &Operation) -> Vec<PassedView> {
    let is_taken = operation.effects.touched || !placement.exhausted;
    let passed = placement.passed.iter().filter(|one| !is_taken || one.server != operation.server);
    passed.map(|one| PassedView { server: one.server.clone(), reason: one.reason.clone() }).collect()
}

/// When a caller does well to ask again.
fn retry_after_ms(operation: &Operation, now: u64) -> Option<u64> {
    const SOON_MS: u64 = 1_000;
    // Longer waits can be cut short by a person at any time.
    const LATE_MS: u64 = 300_000;
    match operation.state {
        State::Queued | State::Running => Some(2 * SOON_MS),
        State::Waiting => Some(operation.next_at.unwrap_or(now).saturating_sub(now).clamp(SOON_MS, LATE_MS)),
        State::Attention => Some(60 * SOON_MS),
        State::Succeeded | State::Failed | State::Cancelled => None,
    }
}

/// Lays the journal over an operation's view.
pub(super) fn with_steps(view: &mut OperationView, entries: &[Entry]) {
    let open = |entry: &&Entry| matches!(entry.stage, Stage::Begun | Stage::Doubted);
    view.step = entries.iter().rev().find(open).map(|entry| entry.name.clone());
    view.steps = entries
        .iter()
        .map(|entry| StepView {
            name: entry.name.clone(),
            kind: entry.kind,
            state: entry.stage,
            runs: entry.runs,
            looks: entry.doubt.filter(|_| entry.stage == Stage::Doubted).map(|doubt| doubt.looks),
            adopt: entry.adopt.clone(),
        })
        .collect();
}

/// Lays the newest progress of the attempt under way over an operation's view: `40 % text`, as attempts write it.
pub(super) fn with_progress(view: &mut OperationView, text: &str) {
    match text.split_once(" % ") {
        Some((percent, text)) if percent.parse::<u8>().is_ok() => {
            view.percent = percent.parse().ok();
            view.progress = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        _ => view.progress = Some(text.to_owned()),
    }
}

/// What a person may decide now, in the words of the API.
pub(super) fn decisions(operation: &Operation) -> Vec<String> {
    let decisions = [
        ("retry", Event::Retry),
        ("cancel", Event::Cancel),
        ("exists", Event::Exists),
        ("absent", Event::Absent),
        ("give_up", Event::GiveUp),
    ];
    let possible = decisions.into_iter().filter(|(_, event)| operation.state.on(*event, operation.effects).is_ok());
    possible.map(|(word, _)| word.to_owned()).collect()
}

/// A fault.
pub(super) fn fault(fault: &Fault) -> FaultView {
    FaultView {
        class: fault.class,
        staff: fault.staff.clone(),
        customer: fault.customer.clone(),
        code: fault.code.clone(),
    }
}

/// What a hook returned; its secrets are the caller's to decide about.
pub(super) fn result(outcome: Outcome, secrets: Option<SecretsView>) -> (ResultView, Option<MessageView>) {
    let Texts { staff, customer } = outcome.message;
    let message = (staff.is_some() || customer.is_some()).then_some(MessageView { staff, customer });
    let view = ResultView {
        remote_id: outcome.remote_id,
        ips: outcome.ips,
        username: outcome.username,
        properties: outcome.properties,
        secrets,
        gone: outcome.gone,
        ends_at: outcome.ends_at.map(instant),
        noop: outcome.noop,
        pending: outcome.pending,
        state: outcome.state,
        power: outcome.power,
        findings: outcome.findings,
        expires_at: outcome.expires_at.map(instant),
        kind: outcome.kind,
        usage: outcome.usage,
        accounts: outcome.accounts,
        options: outcome.options,
        capacity: outcome.capacity,
        data: outcome.data,
    };
    (view, message)
}

/// A service with what is unfinished of it.
pub(super) fn service(service: Service, unfinished: &[Operation], now: u64) -> ServiceView {
    ServiceView {
        platform: service.key.platform,
        service_id: service.key.service_id,
        epoch: service.epoch,
        status: service.status,
        provider: service.provider,
        server: service.server,
        panel: service.panel,
        product: service.product,
        remote_id: service.remote_id,
        client_id: service.client_id,
        username: service.username,
        domain: service.domain,
        properties: service.properties,
        secret_names: service.secrets.into_keys().collect(),
        paid_until: service.paid_until,
        ends_at: service.ends_at.map(instant),
        pending: service.pending,
        poll_at: service.poll_at.map(instant),
        unfinished: unfinished.iter().map(|one| operation(one, now)).collect(),
        created_at: instant(service.created_at),
        updated_at: instant(service.updated_at),
    }
}

/// A row of the log.
pub(super) fn log_row(row: LogRow) -> LogRowView {
    LogRowView {
        id: row.id,
        platform: row.platform,
        service_id: row.service_id,
        hook: row.hook,
        provider: row.provider,
        server: row.server,
        state: row.state,
        fault: row.fault,
        summary: row.summary,
        attempts: row.attempts,
        started_at: instant(row.started_at),
        ended_at: row.ended_at.map(instant),
    }
}

/// An entry of a service's timeline. Who decided is for admins: a platform learns what was decided.
pub(super) fn timeline_entry(entry: TimelineEntry, is_admin: bool) -> TimelineEntryView {
    let notes = entry.notes.into_iter().map(|mut one| {
        if !is_admin
            && one.kind == "decision"
            && let Some((_, decision)) = one.text.split_once(": ")
        {
            one.text = decision.to_owned();
        }
        note(one)
    });
    TimelineEntryView {
        row: log_row(entry.row),
        epoch: entry.epoch,
        action: entry.action,
        key: entry.key,
        runs: entry.attempts.into_iter().map(attempt).collect(),
        notes: notes.collect(),
    }
}

/// An attempt.
pub(super) fn attempt(attempt: Attempt) -> AttemptView {
    AttemptView {
        run: attempt.run,
        started_at: instant(attempt.started_at),
        ended_at: attempt.ended_at.map(instant),
        end: attempt.end,
        fault: attempt.fault.as_ref().map(fault),
    }
}

/// An exchange.
pub(super) fn exchange(exchange: Exchange) -> ExchangeView {
    ExchangeView {
        run: exchange.run,
        seq: exchange.seq,
        step: exchange.step,
        purpose: exchange.purpose,
        method: exchange.method,
        url: exchange.url,
        left: exchange.left,
        status: exchange.status,
        failure: exchange.failure,
        started_at: instant(exchange.started_at),
        duration_us: exchange.duration_us,
        request_headers: exchange.request_headers,
        reply_headers: exchange.reply_headers,
        request_body: exchange.request_body,
        reply_body: exchange.reply_body,
    }
}

/// A line.
pub(super) fn note(note: Note) -> NoteView {
    NoteView { run: note.run, at: instant(note.at), kind: note.kind, text: note.text }
}

/// Loaded providers, and those that servers name and that are not loaded.
pub(super) fn providers(engine: &Engine) -> Vec<ProviderView> {
    let in_force = engine.in_force();
    let mut views: BTreeMap<&str, ProviderView> =
        in_force.providers.iter().map(|(name, provider)| (name.as_str(), loaded(name, provider))).collect();
    for (name, server) in &in_force.config.servers {
        views.entry(&server.provider).or_insert_with(|| ProviderView {
            name: server.provider.clone(),
            loaded: false,
            reason: in_force.unready.get(name).cloned(),
            facts: None,
        });
    }
    views.into_values().collect()
}

fn loaded(name: &str, provider: &Provider) -> ProviderView {
    let manifest = &provider.manifest;
    let facts = ProviderFacts {
        title: manifest.title.clone(),
        version: manifest.version.clone(),
        sha256: provider.sha256.clone(),
        hooks: manifest.hooks.clone(),
        convergent: manifest.convergent.clone(),
        actions: manifest.actions.clone(),
        journal_version: manifest.journal_version,
        continues: manifest.continues.clone(),
        longest_run_s: manifest.longest_run_s,
        server_schema: manifest.server_schema.clone(),
        product_schema: manifest.product_schema.clone(),
    };
    ProviderView { name: name.to_owned(), loaded: true, reason: None, facts: Some(facts) }
}

/// One configured server.
pub(super) fn server(
    in_force: &InForce,
    name: &str,
    lane: Option<LaneSight>,
    load: Load,
    told: Option<Told>,
) -> Option<ServerView> {
    let server = in_force.config.servers.get(name)?;
    let panel = in_force.panels.get(name);
    let sighting = |seen: Sighting| SightingView { at: instant(seen.at), ok: seen.ok, text: seen.text };
    let rate = server.lane.rate.map(|rate| RateView { count: rate.count, interval_ms: millis(rate.interval) });
    let mut view = ServerView {
        name: name.to_owned(),
        provider: server.provider.clone(),
        base_url: server.base_url.url().to_string(),
        identity: panel.map(|panel| panel.identity.clone()),
        concurrency: server.lane.concurrency,
        groups: groups(in_force, name),
        services: load.services,
        capacity: server.capacity,
        room: told.map(|told| RoomView {
            at: instant(told.at),
            product: told.product,
            free: told.free,
            text: told.text,
        }),
        ready: panel.is_some(),
        reason: in_force.unready.get(name).cloned(),
        last_exchange: None,
        last_test: None,
        lane: LaneView { running: 0, waiting: 0, oldest_ms: None, rate },
        breaker: None,
        paused: None,
    };
    if let Some(lane) = lane {
        view.last_exchange = lane.last_exchange.map(sighting);
        view.last_test = lane.last_test.map(sighting);
        view.lane.running = lane.running;
        view.lane.waiting = lane.waiting;
        view.lane.oldest_ms = lane.oldest.map(millis);
        view.breaker = Some(BreakerView {
            state: match lane.breaker {
                BreakerState::Closed => BreakerWord::Closed,
                BreakerState::Open { .. } => BreakerWord::Open,
                BreakerState::HalfOpen => BreakerWord::HalfOpen,
            },
            since: instant(lane.breaker_since),
            unanswered: lane.unanswered,
            retry_in_ms: lane.retry_in.map(millis),
        });
        view.paused = lane.pause.map(|pause| PauseView { by: pause.by, since: instant(pause.at) });
    }
    Some(view)
}

fn groups(in_force: &InForce, server: &str) -> Vec<String> {
    let groups = in_force.config.groups.iter().filter(|(_, group)| group.servers.iter().any(|name| name == server));
    groups.map(|(name, _)| name.clone()).collect()
}

/// Why an operation that could go on does not.
pub(super) fn held(engine: &Engine, operation: &Operation) -> Option<HeldWord> {
    if !matches!(operation.state, State::Queued | State::Waiting) {
        return None;
    }
    engine.held(&operation.server).map(|held| match held {
        Held::Paused(_) => HeldWord::Paused,
        Held::Unreachable(_) => HeldWord::Unreachable,
        Held::Recovering => HeldWord::Recovering,
    })
}

/// Configured products.
pub(super) fn products(engine: &Engine) -> Vec<ProductView> {
    let config = engine.config();
    let products = config.products.iter();
    products
        .map(|(id, product)| {
            let (server, group) = match &product.place {
                Place::Server(name) => (Some(name.clone()), None),
                Place::Group(name) => (None, Some(name.clone())),
            };
            let first = config.servers_of(&product.place).first().and_then(|name| config.servers.get(name));
            let provider = first.map(|server| server.provider.clone()).unwrap_or_default();
            ProductView { id: id.clone(), server, group, provider }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_milliseconds_and_is_utc() {
        assert_eq!(instant(1_767_225_600_007), "2026-01-01T00:00:00.007Z");
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert!(instant(u64::MAX).starts_with("9999-12-3"));
    }
}
