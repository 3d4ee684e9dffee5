//! What the daemon counts of itself, for a monitoring system. Counts since the start of the process.
//!
//! No label holds anything of a customer, a request or a reply: labels are words of closed lists, and the names that the
//! operator gave to servers and that plugins give to providers. So there are as many series as the configuration has
//! servers, times a constant. `docs/operations.md` lists every metric.

mod book;
mod labels;

pub use book::{Moment, StoreSize};
pub use labels::{Line, Result as ExchangeResult};

use crate::operation::State;
use crate::problem::ProblemType;
use crate::wire::{Exchange, Sent, WireFailure};
use billhook_plugin_api::{Fault, FaultClass, Hook};
use labels::{Attempted, Exchanged, Faulted, Moved, Of, On, Part, Refused, Requested};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Upper ends of the time that an exchange takes, seconds: from a panel on the same machine to the longest time-out.
const EXCHANGE_SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0];

/// All counters. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    operations: Family<Moved, Counter>,
    attempts: Family<Attempted, Counter>,
    faults: Family<Faulted, Counter>,
    panics: Family<Of, Counter>,
    exchanges: Family<Exchanged, Histogram, fn() -> Histogram>,
    connections: Family<On, Gauge>,
    accepted: Family<On, Counter>,
    turned_away: Family<On, Counter>,
    requests: Family<Requested, Counter>,
    refused: Family<Refused, Counter>,
    pruned: Family<Part, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            operations: Family::default(),
            attempts: Family::default(),
            faults: Family::default(),
            panics: Family::default(),
            exchanges: Family::new_with_constructor(|| Histogram::new(EXCHANGE_SECONDS)),
            connections: Family::default(),
            accepted: Family::default(),
            turned_away: Family::default(),
            requests: Family::default(),
            refused: Family::default(),
            pruned: Family::default(),
        }
    }
}

impl Metrics {
    /// An operation came into a state.
    pub fn operation(&self, hook: Hook, provider: &str, state: State) {
        let labels = Moved { hook: hook.as_str(), provider: provider.to_owned(), state: state.as_str() };
        self.operations.get_or_create(&labels).inc();
    }

    /// An attempt, or a hook that only reads, has ended.
    pub fn attempt(&self, hook: Hook, provider: &str, end: &str, fault: Option<&Fault>) {
        let labels = Attempted { hook: hook.as_str(), provider: provider.to_owned(), end: end.to_owned() };
        self.attempts.get_or_create(&labels).inc();
        if let Some(fault) = fault {
            self.fault(provider, fault.class);
        }
    }

    /// The plugin panicked. Counted beside the fault that came of it.
    pub fn panicked(&self, provider: &str) {
        self.panics.get_or_create(&Of { provider: provider.to_owned() }).inc();
    }

    /// An exchange has ended.
    pub fn exchange(&self, provider: &str, exchange: &Exchange) {
        let labels = Exchanged { provider: provider.to_owned(), result: result_of(exchange) };
        self.exchanges.get_or_create(&labels).observe(exchange.duration.as_secs_f64());
    }

    /// A connection was accepted, and so many are open now.
    pub fn connected(&self, line: Line, open: usize) {
        self.accepted.get_or_create(&On { socket: line }).inc();
        self.disconnected(line, open);
    }

    /// A connection has ended, and so many are open now.
    pub fn disconnected(&self, line: Line, open: usize) {
        self.connections.get_or_create(&On { socket: line }).set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// There was no place for a connection.
    pub fn turned_away(&self, line: Line) {
        self.turned_away.get_or_create(&On { socket: line }).inc();
    }

    /// A request was answered: with that status, and with that problem if it was refused.
    pub fn answered(&self, line: Line, status: u16, problem: Option<ProblemType>) {
        self.requests.get_or_create(&Requested { socket: line, status }).inc();
        if let Some(problem) = problem {
            self.refused(line, problem);
        }
    }

    /// Something that never became a request was refused.
    pub fn refused(&self, line: Line, problem: ProblemType) {
        self.refused.get_or_create(&Refused { socket: line, r#type: problem.as_str() }).inc();
    }

    /// So many entries of the log, and bodies of exchanges, were pruned.
    pub fn pruned(&self, (entries, bodies): (u64, u64)) {
        for (part, count) in [("entries", entries), ("bodies", bodies)] {
            self.pruned.get_or_create(&Part { part }).inc_by(count);
        }
    }

    fn fault(&self, provider: &str, class: FaultClass) {
        self.faults.get_or_create(&Faulted { provider: provider.to_owned(), class: class.as_str() }).inc();
    }
}

fn result_of(exchange: &Exchange) -> ExchangeResult {
    match (&exchange.outcome, exchange.sent) {
        (Ok(reply), _) => match reply.status {
            429 => ExchangeResult::RateLimited,
            200..=299 => ExchangeResult::Ok,
            300..=399 => ExchangeResult::Redirect,
            400..=499 => ExchangeResult::ClientError,
            _ => ExchangeResult::ServerError,
        },
        (Err(_), Sent::No) => ExchangeResult::Unsent,
        (Err(WireFailure::Timeout { .. }), Sent::Maybe) => ExchangeResult::Timeout,
        (Err(WireFailure::Closed { .. } | WireFailure::Reset { .. } | WireFailure::BodyCut { .. }), Sent::Maybe) => {
            ExchangeResult::Lost
        }
        (Err(_), Sent::Maybe) => ExchangeResult::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::Extent;
    use crate::wire::Reply;
    use std::time::Duration;

    fn exchange(sent: Sent, outcome: Result<u16, WireFailure>) -> Exchange {
        let reply = |status| Reply { status, headers: Vec::new(), body: bytes::Bytes::new() };
        Exchange {
            sent,
            outcome: outcome.map(reply),
            partial: None,
            started_unix_ms: 0,
            duration: Duration::from_millis(30),
            bytes_in: 0,
        }
    }

    #[test]
    fn an_exchange_has_one_result() {
        let host = || "panel.example:443".to_owned();
        let late =
            WireFailure::Timeout { host: host(), limit: Duration::from_secs(1), phase: crate::wire::Phase::Waiting };
        for (sent, outcome, expected) in [
            (Sent::Maybe, Ok(204), ExchangeResult::Ok),
            (Sent::Maybe, Ok(302), ExchangeResult::Redirect),
            (Sent::Maybe, Ok(404), ExchangeResult::ClientError),
            (Sent::Maybe, Ok(429), ExchangeResult::RateLimited),
            (Sent::Maybe, Ok(502), ExchangeResult::ServerError),
            (Sent::No, Err(late.clone()), ExchangeResult::Unsent),
            (Sent::Maybe, Err(late), ExchangeResult::Timeout),
            (Sent::Maybe, Err(WireFailure::Closed { host: host() }), ExchangeResult::Lost),
            (Sent::Maybe, Err(WireFailure::BodyTooLarge { host: host(), limit_bytes: 1 }), ExchangeResult::Unreadable),
        ] {
            assert_eq!(result_of(&exchange(sent, outcome.clone())), expected, "{sent:?} {outcome:?}");
        }
    }

    /// Everything that can be counted, once.
    fn one_of_each() -> (Metrics, Moment) {
        let metrics = Metrics::default();
        let fault = Fault::new(FaultClass::PluginBug, "a text that no label may hold");
        metrics.operation(Hook::Create, "virtfusion", State::Succeeded);
        metrics.attempt(Hook::Create, "virtfusion", "failed", Some(&fault));
        metrics.panicked("virtfusion");
        metrics.exchange("virtfusion", &exchange(Sent::Maybe, Ok(200)));
        metrics.connected(Line::Hook, 1);
        metrics.turned_away(Line::Hook);
        metrics.answered(Line::Admin, 404, Some(ProblemType::NotFound));
        metrics.pruned((3, 5));
        let commits = Histogram::new([0.001, 0.01]);
        commits.observe(0.002);
        let moment = Moment {
            abi: "1.0".to_owned(),
            queues: vec![crate::store::QueueDepth {
                server: "panel-1".into(),
                state: State::Waiting,
                count: 3,
                oldest_at: 1_000,
            }],
            servers: [("panel-1".to_owned(), true), ("panel-2".to_owned(), false)].into(),
            size: Some(StoreSize { database: 4_096, wal: 512 }),
            extent: Extent { used: 3_000, free: 1_096 },
            commits,
            dropped: 2,
            now: 61_000,
        };
        (metrics, moment)
    }

    #[test]
    fn the_text_holds_every_metric_with_its_value() {
        let (metrics, moment) = one_of_each();

        let text = metrics.text(moment);

        for line in [
            r#"billhook_operations_total{hook="create",provider="virtfusion",state="succeeded"} 1"#,
            r#"billhook_attempts_total{hook="create",provider="virtfusion",end="failed"} 1"#,
            r#"billhook_faults_total{provider="virtfusion",class="plugin_bug"} 1"#,
            r#"billhook_plugin_panics_total{provider="virtfusion"} 1"#,
            r#"billhook_exchange_duration_seconds_count{provider="virtfusion",result="ok"} 1"#,
            r#"billhook_exchange_duration_seconds_bucket{le="0.05",provider="virtfusion",result="ok"} 1"#,
            "billhook_store_commit_duration_seconds_count 1",
            r#"billhook_queue_operations{server="panel-1",state="waiting"} 3"#,
            r#"billhook_queue_operations{server="panel-1",state="attention"} 0"#,
            r#"billhook_queue_oldest_age_seconds{server="panel-1",state="waiting"} 60"#,
            r#"billhook_attention_operations 0"#,
            r#"billhook_server_ready{server="panel-1"} 1"#,
            r#"billhook_server_ready{server="panel-2"} 0"#,
            r#"billhook_store_size_bytes{file="wal"} 512"#,
            "billhook_log_dropped_total 2",
            r#"billhook_log_pruned_total{part="bodies"} 5"#,
            "billhook_store_used_bytes 3000",
            r#"billhook_connections{socket="hook"} 1"#,
            r#"billhook_connections_accepted_total{socket="hook"} 1"#,
            r#"billhook_connections_turned_away_total{socket="hook"} 1"#,
            r#"billhook_requests_total{socket="admin",status="404"} 1"#,
            r#"billhook_requests_refused_total{socket="admin",type="not_found"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{text}");
        assert!(!text.contains("a text that"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_runbook_lists_every_metric_and_no_other() {
        let (metrics, moment) = one_of_each();
        let page = include_str!("../../docs/operations.md");
        let listed: std::collections::BTreeSet<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `billhook_")?.split(['`', '{']).next()).collect();

        let text = metrics.text(moment);

        let mut written = std::collections::BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE billhook_")) {
            let (name, kind) = line.split_once(' ').unwrap();
            written.insert(match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            });
        }
        assert_eq!(listed, written.iter().map(String::as_str).collect());
    }
}
