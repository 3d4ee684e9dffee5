//! Reading the module log: its rows, and whole entries. Lists never touch bodies.

use super::dialect::Text;
use super::model::{Attempt, Exchange, LogDetail, LogFilter, LogRow, Note, OperationId};
use super::reader::{Cells, Line, Moment, Query};
use super::{Store, StoreError, words};
use crate::body;
use crate::operation::State;
use billhook_plugin_api::{FaultClass, Hook};

/// The most rows of one page.
pub const PAGE_MOST: u32 = 1000;

/// The columns of a row of the list.
pub const ROW: &str = "
SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at FROM log";
static ATTEMPTS: Text = Text::new(
    "
SELECT owner, run, started_at, ended_at, \"end\", fault FROM attempt WHERE owner = $1 ORDER BY run",
);
static EXCHANGES: Text = Text::new(
    "
SELECT e.owner, e.run, e.seq, step, purpose, method, url, \"left\", status, failure, started_at, duration_us, request_headers,
    reply_headers, request_codec, request AS request_body, reply_codec, reply AS reply_body
FROM exchange e
    LEFT JOIN body b ON b.owner = e.owner AND b.run = e.run AND b.seq = e.seq
WHERE e.owner = $1 ORDER BY e.run, e.seq",
);
static NOTES: Text = Text::new("SELECT owner, run, at, kind, text FROM note WHERE owner = $1 ORDER BY number");

/// Which rows a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All.
    All,
    /// Those of operations.
    Operations,
}

impl Store {
    /// The rows of these entries, oldest first; what is none has no row.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn log_rows(&self, ids: &[String]) -> Result<Vec<LogRow>, StoreError> {
        static BY_PLACES: Text = Text::new(
            "
            SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at
            FROM log WHERE place IN (SELECT one.value FROM {list $1} AS one) ORDER BY place",
        );
        let places: Vec<String> = ids.iter().map(|id| place(id)).collect();
        let query = Query::new(&BY_PLACES).bind(serde_json::Value::from(places).to_string());
        query.all(&self.inner.reader).await?.iter().map(read_row).collect()
    }

    /// The rows that came after this id, oldest first; at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn log_after(&self, id: &str, limit: u32) -> Result<Vec<LogRow>, StoreError> {
        static AFTER: Text = Text::new(
            "
            SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at
            FROM log WHERE place > $1 ORDER BY place LIMIT $2",
        );
        let query = Query::new(&AFTER).bind(place(id)).bind(limit);
        query.all(&self.inner.reader).await?.iter().map(read_row).collect()
    }

    /// What the run last said of its progress.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn last_progress(&self, id: &OperationId, run: u64) -> Result<Option<String>, StoreError> {
        // From the newest line back, which is a progress while anything is said of it.
        static LAST: Text = Text::new(
            "SELECT owner, text FROM note WHERE owner = $1 AND run = $2 AND kind = 'progress' ORDER BY number DESC LIMIT 1",
        );
        let row = Query::new(&LAST).bind(&id.0).bind(run.cast_signed()).first(&self.inner.reader).await?;
        row.map(|row| Cells::new(&row, "note", "owner").cell("text")).transpose()
    }

    /// A whole entry of the log, by the id of an operation or of a reading hook.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn log_detail(&self, id: &str) -> Result<Option<(LogRow, LogDetail)>, StoreError> {
        static BY_PLACE: Text = Text::new(
            "
            SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at
            FROM log WHERE place = $1",
        );
        let mut moment = self.inner.reader.moment().await?;
        let row = Query::new(&BY_PLACE).bind(place(id)).first_of(&mut moment).await?;
        let Some(row) = row else { return Ok(None) };
        let detail = LogDetail {
            attempts: all(&mut moment, &ATTEMPTS, id, read_attempt).await?,
            exchanges: all(&mut moment, &EXCHANGES, id, read_exchange).await?,
            notes: all(&mut moment, &NOTES, id, read_note).await?,
        };
        moment.end().await?;
        Ok(Some((read_row(&row)?, detail)))
    }
}

/// The row's key in the log: the part of the id that sorts by time comes first.
pub fn place(id: &str) -> String {
    match id.split_once('_') {
        Some((prefix, ulid)) => format!("{ulid}_{prefix}"),
        None => id.to_owned(),
    }
}

/// The id of a row.
pub fn id_of(place: &str) -> String {
    match place.rsplit_once('_') {
        Some((ulid, prefix)) => format!("{prefix}_{ulid}"),
        None => place.to_owned(),
    }
}

/// The places between which a page looks: those of its times, of the page before it, and of how far it may look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// The first place that counts.
    pub lower: Option<String>,
    /// The first place that does not count any more.
    pub upper: Option<String>,
}

impl Span {
    /// What the filter itself says.
    pub fn of(filter: &LogFilter) -> Self {
        let before = filter.before.as_deref().map(place);
        let to = filter.to.map(words::head_of_time);
        Self {
            lower: filter.from.map(words::head_of_time),
            upper: match (before, to) {
                (Some(before), Some(to)) => Some(before.min(to)),
                (before, to) => before.or(to),
            },
        }
    }
}

/// The query for a page: constant conditions, for what is set. Words, and ids on panels, are not a matter of this table.
pub fn text(filter: &LogFilter, span: &Span, select: &str, of: Of) -> String {
    let conditions = [
        (filter.platform.is_some(), "log.platform = $1"),
        (filter.service_id.is_some(), "log.service_id = $2"),
        (filter.hook.is_some(), "log.hook = $3"),
        (filter.server.is_some(), "log.server = $4"),
        (filter.state.is_some(), "log.state = $5"),
        // Named apart, since the index leaves out most of the log.
        (filter.state.is_some_and(|state| state != State::Succeeded), "log.state <> 'succeeded'"),
        (filter.provider.is_some(), "log.provider = $6"),
        (filter.fault.is_some(), "log.fault = $7"),
        (span.lower.is_some(), "log.place >= $8"),
        (span.upper.is_some(), "log.place < $9"),
        (of == Of::Operations, "log.place LIKE '%\\_op' ESCAPE '\\'"),
    ];
    let mut text = select.to_owned();
    let mut joint = " WHERE ";
    for (_, condition) in conditions.iter().filter(|(wanted, _)| *wanted) {
        text.push_str(joint);
        text.push_str(condition);
        joint = " AND ";
    }
    text + " ORDER BY log.place DESC LIMIT $10"
}

/// Binds what [`text`] names.
pub fn bind(query: Query, filter: &LogFilter, span: Span, limit: u32) -> Query {
    query
        .bind(filter.platform.clone())
        .bind(filter.service_id.clone())
        .bind(filter.hook.map(Hook::as_str))
        .bind(filter.server.clone())
        .bind(filter.state.map(State::as_str))
        .bind(filter.provider.clone())
        .bind(filter.fault.map(FaultClass::as_str))
        .bind(span.lower)
        .bind(span.upper)
        .bind(limit)
}

async fn all<T>(
    moment: &mut Moment,
    text: &'static Text,
    owner: &str,
    read: impl Fn(&Line) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = Query::new(text).bind(owner).all_of(moment).await?;
    rows.iter().map(read).collect()
}

/// A row of [`ROW`].
pub fn read_row(row: &Line) -> Result<LogRow, StoreError> {
    let cells = Cells::new(row, "log", "place");
    Ok(LogRow {
        id: id_of(&cells.cell::<String>("place")?),
        platform: cells.cell("platform")?,
        service_id: cells.cell("service_id")?,
        hook: cells.word("hook", Hook::parse)?,
        provider: cells.cell("provider")?,
        server: cells.cell("server")?,
        state: cells.word("state", State::parse)?,
        fault: cells.cell("fault")?,
        summary: cells.cell("summary")?,
        attempts: cells.number("attempts")?,
        started_at: cells.number("started_at")?,
        ended_at: cells.some_number("ended_at")?,
    })
}

/// A row of attempts.
pub fn read_attempt(row: &Line) -> Result<Attempt, StoreError> {
    let cells = Cells::new(row, "attempt", "owner");
    Ok(Attempt {
        owner: cells.cell("owner")?,
        run: cells.number("run")?,
        started_at: cells.number("started_at")?,
        ended_at: cells.some_number("ended_at")?,
        end: cells.cell("end")?,
        fault: cells.some_json("fault")?,
    })
}

fn read_exchange(row: &Line) -> Result<Exchange, StoreError> {
    let cells = Cells::new(row, "exchange", "owner");
    let body = |codec: &'static str, bytes: &'static str| -> Result<Option<String>, StoreError> {
        let Some(codec) = cells.some_number::<u8>(codec)? else { return Ok(None) };
        let text = body::unpack(codec, &cells.cell::<Vec<u8>>(bytes)?).map_err(|error| cells.corrupt(bytes, error))?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    };
    Ok(Exchange {
        owner: cells.cell("owner")?,
        run: cells.number("run")?,
        seq: cells.number("seq")?,
        step: cells.cell("step")?,
        purpose: cells.cell("purpose")?,
        method: cells.cell("method")?,
        url: cells.cell("url")?,
        left: cells.cell("left")?,
        status: cells.some_number("status")?,
        failure: cells.cell("failure")?,
        started_at: cells.number("started_at")?,
        duration_us: cells.number("duration_us")?,
        request_headers: cells.json("request_headers")?,
        reply_headers: cells.json("reply_headers")?,
        request_body: body("request_codec", "request_body")?,
        reply_body: body("reply_codec", "reply_body")?,
    })
}

/// A row of notes.
pub fn read_note(row: &Line) -> Result<Note, StoreError> {
    let cells = Cells::new(row, "note", "owner");
    Ok(Note {
        owner: cells.cell("owner")?,
        run: cells.number("run")?,
        at: cells.number("at")?,
        kind: cells.cell("kind")?,
        text: cells.cell("text")?,
    })
}
