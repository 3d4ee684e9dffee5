//! All metrics as one text, with what is read at the moment of asking.

use super::Metrics;
use super::labels::{Build, File, Queued, Server};
use crate::operation::State;
use crate::retention::Extent;
use crate::store::QueueDepth;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;

/// What is read, and not counted.
#[derive(Debug)]
pub struct Moment {
    /// Version of the ABI that plugins are loaded with.
    pub abi: String,
    /// Unfinished operations.
    pub queues: Vec<QueueDepth>,
    /// Configured servers, and whether they are ready.
    pub servers: BTreeMap<String, bool>,
    /// Sizes of the store's files, if they can be read.
    pub size: Option<StoreSize>,
    /// How full the store is.
    pub extent: Extent,
    /// Times of the store's commits.
    pub commits: Histogram,
    /// Rows of the module log that were dropped.
    pub dropped: u64,
    /// Unix milliseconds.
    pub now: u64,
}

/// Sizes of the store's files, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// The database.
    pub database: u64,
    /// Its write-ahead log.
    pub wal: u64,
}

impl Metrics {
    /// Everything, in the text format of OpenMetrics 1.0.
    pub fn text(&self, moment: Moment) -> String {
        let registry = self.registry(moment);
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            // Writing into a string does not fail, and no metric of ours refuses to be written.
            tracing::error!("the metrics cannot be written");
        }
        text
    }

    fn registry(&self, moment: Moment) -> Registry {
        let mut book = Registry::with_prefix("billhook");
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION"), abi: moment.abi });
        book.register("build", "What this program is", build);
        book.register("operations", "Operations that came into a state", self.operations.clone());
        book.register("attempts", "Attempts that ended, those of hooks that only read included", self.attempts.clone());
        book.register("faults", "Faults that attempts ended with", self.faults.clone());
        book.register("plugin_panics", "Panics of plugins", self.panics.clone());
        let help = "Exchanges with panels, and how long they took";
        book.register_with_unit("exchange_duration", help, Unit::Seconds, self.exchanges.clone());
        let help = "Durable commits of the store, and how long they took";
        book.register_with_unit("store_commit_duration", help, Unit::Seconds, moment.commits);
        queues(&mut book, &moment.queues, moment.servers.keys(), moment.now);
        let ready = Family::<Server, Gauge>::default();
        for (server, is_ready) in moment.servers {
            ready.get_or_create(&Server { server }).set(i64::from(is_ready));
        }
        book.register("server_ready", "Whether hooks can be sent to a server", ready);
        if let Some(StoreSize { database, wal }) = moment.size {
            let size = Family::<File, Gauge>::default();
            for (file, bytes) in [("database", database), ("wal", wal)] {
                size.get_or_create(&File { file }).set(signed(bytes));
            }
            book.register_with_unit("store_size", "Size of the store's files", Unit::Bytes, size);
        }
        let used = ConstGauge::new(signed(moment.extent.used));
        book.register_with_unit("store_used", "What the database uses of its size", Unit::Bytes, used);
        let help = "Entries of the module log, and bodies of its exchanges, that were pruned";
        book.register("log_pruned", help, self.pruned.clone());
        let help = "Rows of the module log that were dropped because nothing could be committed";
        book.register("log_dropped", help, ConstCounter::new(moment.dropped));
        book.register("connections", "Open connections", self.connections.clone());
        book.register("connections_accepted", "Connections that got a place", self.accepted.clone());
        let help = "Connections for which there was no place";
        book.register("connections_turned_away", help, self.turned_away.clone());
        book.register("requests", "Answered requests", self.requests.clone());
        book.register("requests_refused", "Refused requests, by type of the problem", self.refused.clone());
        book
    }
}

fn queues<'a>(book: &mut Registry, queues: &[QueueDepth], servers: impl Iterator<Item = &'a String>, now: u64) {
    let depth = Family::<Queued, Gauge>::default();
    let age = Family::<Queued, Gauge>::default();
    let mut attention = 0;
    // A series that comes only with the first operation cannot be alerted on.
    for server in servers {
        for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
            depth.get_or_create(&Queued { server: server.clone(), state: state.as_str() }).set(0);
        }
    }
    for queue in queues {
        let labels = Queued { server: queue.server.clone(), state: queue.state.as_str() };
        depth.get_or_create(&labels).set(signed(queue.count));
        age.get_or_create(&labels).set(signed(now.saturating_sub(queue.oldest_at) / 1_000));
        if queue.state == State::Attention {
            attention += signed(queue.count);
        }
    }
    book.register("queue_operations", "Unfinished operations", depth);
    let help = "Time since the oldest unfinished operation was accepted";
    book.register_with_unit("queue_oldest_age", help, Unit::Seconds, age);
    book.register("attention_operations", "Operations that wait for a person", ConstGauge::new(attention));
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
