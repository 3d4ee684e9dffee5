//! The hosts of a store: their signs of life, and how it is known that one has ended.
//!
//! A host that has ended is marked so once and for good, in the order of all transactions: what is marked may claim and begin
//! nothing more, and only what it was running is taken up by others. So it does not matter who marks it, or how often.

use super::command::Command;
use super::dialect::Text;
use super::kind::Kind;
use super::life::Life;
use super::model::{OperationId, ServiceKey};
use super::reader::{Cells, Line, Query};
use super::row::{Row, row};
use super::{Store, StoreError, change};
use crate::journal::{Doubt, DoubtCause};
use serde_json::json;
use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A sign of life. `a` is the server's time.
pub const BEAT: &[&str] = &[
    "{fate}
     SELECT CASE WHEN h.id IS NULL OR h.ended IS NOT NULL THEN 'over' ELSE 'yes' END, {clock}, 0, h.ended_by
     FROM (SELECT 1) AS one LEFT JOIN host h ON h.id = :host",
    "{won} UPDATE host SET beat = {clock}, until = {clock} + lease_ms WHERE host.id = :host",
];

/// A host has ended. That it is only expired, or a person's word, is taken when its lease is over; what proves more is taken
/// afterwards too.
pub const END: &[&str] = &[
    "{fate}
     SELECT CASE WHEN h.id IS NULL THEN 'unknown'
              WHEN h.ended IS NOT NULL AND (h.ended <> 'expired' OR :how = 'expired') THEN 'ended'
              WHEN h.ended IS NULL AND :how <> 'dead' AND h.until > {clock} THEN 'lives'
              ELSE 'yes' END, 0, 0, NULL
     FROM (SELECT 1) AS one LEFT JOIN host h ON h.id = :id",
    "{won} UPDATE host SET ended = :how, ended_at = coalesce(ended_at, {clock}), ended_by = :by WHERE host.id = :id",
];

/// Of these operations, those of which no host is left whose end is not proven: their steps are in doubt as after any host's end,
/// and those that waited for the proof go on.
pub const PROVEN: &[&str] = &[
    "{fate}
     SELECT 'yes', 0, 0, (
         SELECT {gather c.value} FROM {list :ids} AS c
         WHERE NOT EXISTS (SELECT 1 FROM unproven u JOIN host h ON h.id = u.host
                           WHERE u.operation_id = c.value AND h.ended = 'expired'))",
    "{won}
     UPDATE operation SET state = 'queued', attempts = 0, reason = NULL, next_at = NULL, updated_at = :now
     FROM {list :detail} AS saved
     WHERE operation.id = saved.value AND operation.state = 'attention'
       AND EXISTS (SELECT 1 FROM entry e WHERE e.operation_id = operation.id AND e.stage = 'doubted'
                   AND e.doubt LIKE '%\"host_unproven\"%')",
    // It may have sent it at the last moment: the settle time begins now.
    "{won}
     UPDATE entry SET doubt = :doubt
     FROM {list :detail} AS saved
     WHERE entry.operation_id = saved.value AND entry.stage = 'doubted' AND entry.doubt LIKE '%\"host_unproven\"%'",
    "{won}
     DELETE FROM unproven WHERE operation_id IN (SELECT saved.value FROM {list :detail} AS saved)",
];

macro_rules! hosts {
    ($which:literal) => {
        concat!(
            "SELECT id, name, version, tables, life, started, beat, until, lease_ms, ended, ended_at, ended_by,
                 {clock} AS clock
             FROM host ",
            $which,
            " ORDER BY started, id"
        )
    };
}

static ALL: Text = Text::new(hosts!(""));

/// Those of which anything is to be done still. Who has ended longer ago was seen by then.
static AT_WORK: Text =
    Text::new(hosts!("WHERE ended IS NULL OR ended = 'expired' OR ended_at > {clock} - CAST(600000 AS BIGINT)"));

static IN_HAND: Text = Text::new(
    "SELECT host, count(*) AS running FROM operation {by operation_open}
     WHERE {open} AND state = 'running' AND host IS NOT NULL GROUP BY host",
);

static WAITING_FOR: Text = Text::new("SELECT host, count(*) AS waiting FROM unproven GROUP BY host");

/// Those of whose hosts an end is proven meanwhile.
static TO_SETTLE: Text = Text::new(
    "SELECT DISTINCT u.operation_id FROM unproven u
     WHERE NOT EXISTS (SELECT 1 FROM unproven v JOIN host h ON h.id = v.host
                       WHERE v.operation_id = u.operation_id AND h.ended = 'expired')
     LIMIT 200",
);

/// How it is known that a host has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HostEnd)]
pub enum HostEnd {
    /// It said so itself.
    Exit,
    /// Its machine shows it.
    Dead,
    /// A person said so.
    Word,
    /// Its lease is over. That proves nothing.
    Expired,
}

impl HostEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Dead => "dead",
            Self::Word => "word",
            Self::Expired => "expired",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Exit, Self::Dead, Self::Word, Self::Expired].into_iter().find(|end| end.as_str() == word)
    }
}

/// A host as the store knows it. Times are the server's, Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Of this opening of the store.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Version of the tables that it works on.
    pub schema: u32,
    /// Tells it from every other.
    pub life: Life,
    /// When it came.
    pub started: u64,
    /// Its last sign of life.
    pub beat: u64,
    /// Until when nobody may take it for dead.
    pub until: u64,
    /// How long one sign is good for.
    pub lease_ms: u64,
    /// Whether it has ended, and how that is known.
    pub ended: Option<HostEnd>,
    /// When it was marked so.
    pub ended_at: Option<u64>,
    /// Who marked it.
    pub ended_by: Option<String>,
    /// When this was read.
    pub clock: u64,
}

impl HostFacts {
    /// Whether it works, as far as anybody knows.
    pub const fn is_alive(&self) -> bool {
        self.ended.is_none()
    }

    fn is_over(&self) -> bool {
        self.ended.is_some() || self.until <= self.clock
    }
}

/// Its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostWork {
    /// Operations that it runs.
    pub running: u64,
    /// Operations that wait for a proof that it has ended.
    pub unproven: u64,
}

/// What came of saying that a host has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSaid {
    /// It is marked so.
    Taken,
    /// It was known.
    Known,
    /// Its lease is not over.
    Lives,
    /// There is none.
    Unknown,
}

/// Since when another host's last sign has not changed, by the own clock.
#[derive(Debug, Default)]
pub struct Watching {
    seen: HashMap<String, (u64, Duration)>,
}

impl Watching {
    /// How long the sign of each has not changed. `is_steady`: this host has itself not been away meanwhile; after an absence,
    /// of its own or of the server, others need the time to give a sign again.
    fn look(&mut self, hosts: &[HostFacts], now: Duration, is_steady: bool) {
        if !is_steady {
            self.seen.clear();
        }
        self.seen.retain(|id, _| hosts.iter().any(|host| host.id == *id && host.is_alive()));
        for host in hosts.iter().filter(|host| host.is_alive()) {
            let seen = self.seen.entry(host.id.clone()).or_insert((host.beat, now));
            if seen.0 != host.beat {
                *seen = (host.beat, now);
            }
        }
    }

    fn silent_for(&self, id: &str, now: Duration) -> Duration {
        self.seen.get(id).map_or(Duration::ZERO, |(_, since)| now.saturating_sub(*since))
    }
}

impl Store {
    /// Which host this is; none where a store has only one.
    pub fn host_id(&self) -> Option<&str> {
        self.inner.lease.as_ref().map(|_| self.inner.host.as_str())
    }

    /// Tells this host's doubts from those of others; zero where a store has only one.
    pub fn host_number(&self) -> u64 {
        self.host_id().map_or(0, number)
    }

    /// Whether a host of this number had ended before this one came.
    pub fn came_after(&self, number: u64) -> bool {
        number == 0 || self.inner.earlier.contains(&number)
    }

    /// How often others should be looked after.
    pub fn poll(&self) -> Duration {
        self.inner.poll
    }

    /// Whether a change may be sent now. After a time without a sign of life it gives one first.
    pub async fn may_change(&self) -> bool {
        let Some(lease) = &self.inner.lease else { return true };
        if lease.is_fresh() {
            return true;
        }
        match self.renew().await {
            Ok(is_alive) => is_alive && lease.is_fresh(),
            Err(error) => {
                tracing::warn!(%error, "no sign of life can be given; nothing is changed meanwhile");
                false
            }
        }
    }

    /// Gives a sign of life. `false`: this host was taken for dead.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn renew(&self) -> Result<bool, StoreError> {
        let Some(lease) = &self.inner.lease else { return Ok(true) };
        let began = lease.now();
        let mut command = Command::default();
        command.row(Kind::Beat, Row::default());
        let fate = self.inner.writer.decide(command).await?;
        if fate.word == "yes" {
            lease.renewed(began);
            return Ok(true);
        }
        lease.end(fate.detail.unwrap_or_else(|| "somebody".to_owned()));
        Ok(false)
    }

    /// Why this host was taken for dead, if it was: it can begin nothing more, and should end.
    pub fn over(&self) -> Option<String> {
        self.inner.lease.as_ref()?.over()
    }

    /// Ends when this host was taken for dead.
    pub async fn is_over(&self) -> String {
        match &self.inner.lease {
            Some(lease) => lease.ended().await,
            None => std::future::pending().await,
        }
    }

    /// All hosts that the store knows, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn hosts(&self) -> Result<Vec<HostFacts>, StoreError> {
        let rows = Query::new(&ALL).all(&self.inner.reader).await?;
        rows.iter().map(read).collect()
    }

    /// What each host has to do, by its id.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn work_of_hosts(&self) -> Result<HashMap<String, HostWork>, StoreError> {
        let mut work: HashMap<String, HostWork> = HashMap::new();
        for row in Query::new(&IN_HAND).all(&self.inner.reader).await? {
            let cells = Cells::new(&row, "operation", "host");
            work.entry(cells.cell("host")?).or_default().running = cells.number("running")?;
        }
        for row in Query::new(&WAITING_FOR).all(&self.inner.reader).await? {
            let cells = Cells::new(&row, "unproven", "host");
            work.entry(cells.cell("host")?).or_default().unproven = cells.number("waiting")?;
        }
        Ok(work)
    }

    /// Looks at all hosts that work, or did a moment ago, marks those that have ended, and gives them as they stand then.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn look_at_hosts(&self) -> Result<Vec<HostFacts>, StoreError> {
        let Some(lease) = &self.inner.lease else { return Ok(Vec::new()) };
        let rows = Query::new(&AT_WORK).all(&self.inner.reader).await?;
        let mut hosts: Vec<HostFacts> = rows.iter().map(read).collect::<Result<_, _>>()?;
        let now = lease.now();
        let silent: Vec<Duration> = {
            let mut watching = self.inner.watching.lock().unwrap_or_else(PoisonError::into_inner);
            watching.look(&hosts, now, lease.is_fresh());
            hosts.iter().map(|host| watching.silent_for(&host.id, now)).collect()
        };
        for (host, silent) in hosts.iter_mut().zip(silent) {
            if host.id == self.inner.host || !matches!(host.ended, None | Some(HostEnd::Expired)) {
                continue;
            }
            let end = if self.inner.life.proves_the_end_of(&host.life, host.is_over()) {
                HostEnd::Dead
            } else if host.is_alive() && host.is_over() && silent >= Duration::from_millis(host.lease_ms) {
                HostEnd::Expired
            } else {
                continue;
            };
            if self.end_host(&host.id, end, &self.inner.name).await? == EndSaid::Taken {
                tracing::warn!(host = %host.name, id = %host.id, how = end.as_str(), "a host has ended");
                host.ended = Some(end);
            }
        }
        Ok(hosts)
    }

    /// Marks a host as ended.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn end_host(&self, id: &str, how: HostEnd, by: &str) -> Result<EndSaid, StoreError> {
        let mut command = Command::default();
        command.row(Kind::HostEnd, row!({ "id": id, "how": how.as_str(), "by": by }));
        let fate = self.inner.writer.decide(command).await?;
        Ok(match fate.word.as_str() {
            "yes" => EndSaid::Taken,
            "ended" => EndSaid::Known,
            "lives" => EndSaid::Lives,
            _ => EndSaid::Unknown,
        })
    }

    /// Lets those operations go on of whose hosts an end is proven by now; gives their ids.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn settle_proven(&self, now: u64) -> Result<Vec<OperationId>, StoreError> {
        let rows = Query::new(&TO_SETTLE).all(&self.inner.reader).await?;
        let id = |row: &Line| Cells::new(row, "unproven", "operation_id").cell::<String>("operation_id");
        let ids: Vec<String> = rows.iter().map(id).collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let doubt = Doubt { why: DoubtCause::HostEnded, by: self.host_number() | PROVEN_BY, ..Doubt::default() };
        let mut command = Command::default();
        command.row(Kind::Proven, row!({ "ids": ids, "doubt": json!(doubt).to_string(), "now": now }));
        for id in &ids {
            command.moves(id);
        }
        self.inner.writer.decide(command).await?;
        Ok(ids.into_iter().map(OperationId).collect())
    }

    /// Takes a poll that is due at `at`, as was read; the next is then due at `next`. `false`: another host has it.
    ///
    /// # Errors
    ///
    /// See [`accept`](Self::accept).
    pub async fn claim_poll(&self, key: &ServiceKey, at: u64, next: u64) -> Result<bool, StoreError> {
        self.says_yes(change::claim_poll(key, at, next)).await
    }

    /// Gives signs of life until the store is closed or this host was taken for dead.
    pub(super) async fn beat(inner: std::sync::Weak<super::Inner>, every: Duration, closed: CancellationToken) {
        loop {
            #[expect(
                clippy::disallowed_methods,
                reason = "the server's clock goes on, whatever clock the host goes by"
            )]
            let sleep = tokio::time::sleep(every);
            tokio::select! {
                () = sleep => {}
                () = closed.cancelled() => return,
            }
            let Some(inner) = inner.upgrade() else { return };
            match (Self { inner }).renew().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "no sign of life could be given"),
            }
        }
    }
}

/// Beside the number of the host that saw a proof: tells a doubt that begins anew by it from all that the host wrote otherwise.
const PROVEN_BY: u64 = 1 << 60;

/// The number of a host: sixty bits.
pub fn number(id: &str) -> u64 {
    // Its id is random digits.
    u64::from_str_radix(id.get(..15).unwrap_or(id), 16).unwrap_or(1).max(1)
}

fn read(row: &Line) -> Result<HostFacts, StoreError> {
    let cells = Cells::new(row, "host", "id");
    let ended = cells.cell::<Option<String>>("ended")?;
    Ok(HostFacts {
        id: cells.cell("id")?,
        name: cells.cell("name")?,
        version: cells.cell("version")?,
        schema: cells.number("tables")?,
        life: cells.json("life")?,
        started: cells.number("started")?,
        beat: cells.number("beat")?,
        until: cells.number("until")?,
        lease_ms: cells.number("lease_ms")?,
        ended: ended.as_deref().and_then(HostEnd::parse),
        ended_at: cells.some_number("ended_at")?,
        ended_by: cells.cell("ended_by")?,
        clock: cells.number("clock")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str, beat: u64) -> HostFacts {
        HostFacts {
            id: id.into(),
            name: id.into(),
            version: "1".into(),
            schema: 8,
            life: Life::own(),
            started: 0,
            beat,
            until: 0,
            lease_ms: 30_000,
            ended: None,
            ended_at: None,
            ended_by: None,
            clock: 1,
        }
    }

    #[test]
    fn silence_counts_only_while_the_one_who_listens_was_there() {
        let mut watching = Watching::default();
        let at = Duration::from_secs;
        watching.look(&[host("a", 1)], at(0), true);
        watching.look(&[host("a", 1)], at(20), true);
        assert_eq!(watching.silent_for("a", at(20)), at(20));
        watching.look(&[host("a", 2)], at(25), true);
        assert_eq!(watching.silent_for("a", at(30)), at(5), "it gave a sign");
        watching.look(&[host("a", 2)], at(90), false);
        assert_eq!(watching.silent_for("a", at(90)), at(0), "the server may have been away for both");
        watching.look(&[], at(95), true);
        assert_eq!(watching.silent_for("a", at(200)), at(0));
    }
}
