//! From the store's rows to the views of the API. Pure.

use crate::engine::Engine;
use crate::journal::{Entry, Stage};
use crate::operation::{Event, State};
use crate::panel::Provider;
use crate::store::{Attempt, Exchange, LogRow, Note, Operation, Service};
use crate::views::{
    AttemptView, ExchangeView, FaultView, LogRowView, MessageView, NoteView, OperationView, ProductView, ProviderFacts,
    ProviderView, ResultView, SecretsView, ServerView, ServiceView, StepView,
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
        fault: operation.fault.as_ref().map(fault),
        reason: operation.reason.clone(),
        decisions: Vec::new(),
        server: operation.server.clone(),
        provider: operation.provider.clone(),
        product: operation.product.clone(),
        created_at: instant(operation.created_at),
        updated_at: instant(operation.updated_at),
        finished_at: operation.finished_at.map(instant),
        log_ref: operation.id.0.clone(),
    }
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
pub(super) fn with_progress(view: &mut OperationView, run: u64, notes: &[Note]) {
    let Some(last) = notes.iter().rev().find(|note| note.run == run && note.kind == "progress") else { return };
    match last.text.split_once(" % ") {
        Some((percent, text)) if percent.parse::<u8>().is_ok() => {
            view.percent = percent.parse().ok();
            view.progress = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        _ => view.progress = Some(last.text.clone()),
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
    let mut views: BTreeMap<&str, ProviderView> =
        engine.providers().iter().map(|(name, provider)| (name.as_str(), loaded(name, provider))).collect();
    for (name, server) in &engine.config().servers {
        views.entry(&server.provider).or_insert_with(|| ProviderView {
            name: server.provider.clone(),
            loaded: false,
            reason: engine.unready().get(name).cloned(),
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

/// Configured servers.
pub(super) fn servers(engine: &Engine) -> Vec<ServerView> {
    let servers = engine.config().servers.iter();
    servers
        .map(|(name, server)| {
            let panel = engine.panels().get(name);
            ServerView {
                name: name.clone(),
                provider: server.provider.clone(),
                base_url: server.base_url.url().to_string(),
                identity: panel.map(|panel| panel.identity.clone()),
                concurrency: server.concurrency,
                ready: panel.is_some(),
                reason: engine.unready().get(name).cloned(),
            }
        })
        .collect()
}

/// Configured products.
pub(super) fn products(engine: &Engine) -> Vec<ProductView> {
    let config = engine.config();
    let provider =
        |server: &String| config.servers.get(server).map(|server| server.provider.clone()).unwrap_or_default();
    let products = config.products.iter();
    products
        .map(|(id, product)| ProductView {
            id: id.clone(),
            server: product.server.clone(),
            provider: provider(&product.server),
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
