//! Lists of the module log: filtered, searched by words, and paged by key.
//!
//! A page never looks at more than a bounded part of the log. Where little matches, it ends there, and the next page goes
//! on: the longest request is as long as the log is large only for whoever asks for all of it.

use super::dialect::{Dialect, Text};
use super::logs::{self, Of, Span};
use super::model::{LogFilter, LogPage, LogRow, ServiceKey};
use super::reader::{Cells, Line, Moment, Query};
use super::services::key_of;
use super::words::{self, Sought};
use super::{Store, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Entries that one page looks at: some tens of milliseconds.
const LOOKS_AT: u32 = 20_000;

/// Entries that one page looks up after the index of words has named them, each by its place: about as long.
const LOOKS_UP: usize = 10_000;

/// Numbers that are asked of the index at once, at most. The first time it is as many as make a page, if all match.
const CHUNK: u32 = 1_000;

/// The most services that one id on a panel, or one id of unnamed platforms, leads to.
const MOST_SERVICES: u32 = 50;

/// How far a page may look, and whether there is so much.
const FLOOR: &str =
    "SELECT min(place) AS place, count(*) AS count FROM (SELECT log.place FROM log[conditions]) AS looked";

/// Head by head, on SQLite by the order of the join and on Postgres by what is not joined with what is around it.
const BY_HEADS: [&str; 2] = [
    "
SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at
FROM json_each($11) AS head CROSS JOIN log ON log.place >= head.value AND log.place < head.value || '~'",
    "
SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at
FROM {list $11} AS head CROSS JOIN LATERAL (
    SELECT place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at
    FROM log WHERE log.place >= head.value AND log.place < head.value || '~' OFFSET 0) AS log",
];

static INDEXED: Text = Text::twins(
    "SELECT rowid AS number FROM log_words
     WHERE log_words MATCH $1 AND rowid <= $2 AND rowid >= $3 ORDER BY rowid DESC LIMIT $4",
    "SELECT number FROM log_words
     WHERE words @@ $1::tsquery AND number <= $2 AND number >= $3 ORDER BY number DESC LIMIT $4",
);

static INDEXED_OF: Text = Text::twins(
    "SELECT rowid AS number FROM log_words WHERE log_words MATCH $1 AND rowid IN (SELECT value FROM json_each($2))",
    "SELECT number FROM log_words
     WHERE words @@ $1::tsquery AND number IN (SELECT one.value::bigint FROM {list $2} AS one)",
);

static WAITING: Text = Text::new("SELECT number, words FROM unindexed WHERE number <= $1 AND number >= $2");

static BY_REMOTE_ID: Text = Text::new(
    "
SELECT platform, service_id FROM service WHERE remote_id = $1
UNION SELECT platform, service_id FROM former_remote WHERE remote_id = $1
LIMIT $2",
);

/// Steps from platform to platform along the index of services, of which there are a handful.
static OF_ANY_PLATFORM: Text = Text::new(
    "
WITH RECURSIVE known (platform) AS (
    SELECT min(platform) FROM log
    UNION ALL
    SELECT (SELECT min(log.platform) FROM log WHERE log.platform > known.platform) FROM known
    WHERE known.platform IS NOT NULL)
SELECT platform, $1 AS service_id FROM known WHERE platform IS NOT NULL LIMIT $2",
);

impl Store {
    /// Rows that match, newest first; at most a thousand.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn log(&self, filter: &LogFilter) -> Result<LogPage, StoreError> {
        // One moment: words that are moved into the index meanwhile would be in neither place.
        let mut moment = self.inner.reader.moment().await?;
        let page = match services(&mut moment, filter).await? {
            None => page(&mut moment, filter).await,
            Some(services) => of_services(&mut moment, filter, services).await,
        };
        moment.end().await?;
        page
    }

    /// The services that a filter leads to; `None` when it does not go by what only services know.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn services_of_log(&self, filter: &LogFilter) -> Result<Option<Vec<ServiceKey>>, StoreError> {
        let mut moment = self.inner.reader.moment().await?;
        let found = services(&mut moment, filter).await;
        moment.end().await?;
        found
    }
}

impl LogFilter {
    /// Whether a row matches, as far as the row tells: by times, pages and ids on panels it does not go, and words are
    /// those of the row itself.
    pub fn admits(&self, row: &LogRow) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|one| found == Some(one));
        is(&self.platform, Some(&row.platform))
            && is(&self.service_id, row.service_id.as_deref())
            && self.hook.is_none_or(|hook| hook == row.hook)
            && is(&self.server, Some(&row.server))
            && is(&self.provider, Some(&row.provider))
            && self.state.is_none_or(|state| state == row.state)
            && self.fault.is_none_or(|fault| row.fault.as_deref() == Some(fault.as_str()))
            && self.words.as_ref().is_none_or(|sought| {
                sought.are_said_in(&[
                    &row.summary,
                    row.service_id.as_deref().unwrap_or_default(),
                    row.fault.as_deref().unwrap_or_default(),
                ])
            })
    }

    /// The part of it that one index answers by itself.
    fn leading(&self) -> Self {
        let bounds = Self {
            from: self.from,
            to: self.to,
            before: self.before.clone(),
            limit: self.limit,
            words: self.words.clone(),
            ..Self::default()
        };
        if self.platform.is_some() && self.service_id.is_some() {
            return Self { platform: self.platform.clone(), service_id: self.service_id.clone(), ..bounds };
        }
        if self.fault.is_some() {
            return Self { fault: self.fault, ..bounds };
        }
        if self.state.is_some_and(|state| state != crate::operation::State::Succeeded) {
            return Self { state: self.state, ..bounds };
        }
        if self.server.is_some() {
            return Self { server: self.server.clone(), ..bounds };
        }
        Self { hook: self.hook, ..bounds }
    }
}

async fn services(moment: &mut Moment, filter: &LogFilter) -> Result<Option<Vec<ServiceKey>>, StoreError> {
    let query = match (&filter.remote_id, &filter.service_id) {
        (Some(remote_id), _) => Query::new(&BY_REMOTE_ID).bind(remote_id),
        (None, Some(service_id)) if filter.platform.is_none() => Query::new(&OF_ANY_PLATFORM).bind(service_id),
        _ => return Ok(None),
    };
    let rows = query.bind(MOST_SERVICES).all_of(moment).await?;
    let keys = rows.iter().map(|row| key_of(&Cells::new(row, "service", "service_id")));
    let fits = |key: &ServiceKey| {
        filter.platform.as_ref().is_none_or(|platform| *platform == key.platform)
            && filter.service_id.as_ref().is_none_or(|id| *id == key.service_id)
    };
    let keys: Vec<ServiceKey> = keys.collect::<Result<_, _>>()?;
    Ok(Some(keys.into_iter().filter(fits).collect()))
}

/// The pages of several services as one.
async fn of_services(
    moment: &mut Moment,
    filter: &LogFilter,
    services: Vec<ServiceKey>,
) -> Result<LogPage, StoreError> {
    let mut all = LogPage::default();
    // What every page has seen: below the highest place at which one ended, rows of it may be missing.
    let mut seen: Option<String> = None;
    for key in services {
        let one = LogFilter {
            platform: Some(key.platform),
            service_id: Some(key.service_id),
            remote_id: None,
            ..filter.clone()
        };
        let found = page(moment, &one).await?;
        all.rows.extend(found.rows);
        seen = seen.max(found.next.as_deref().map(logs::place));
    }
    all.rows.sort_by_key(|row| std::cmp::Reverse(logs::place(&row.id)));
    if let Some(seen) = &seen {
        all.rows.retain(|row| logs::place(&row.id) >= *seen);
    }
    let full = all.rows.len() > limit(filter) as usize;
    all.rows.truncate(limit(filter) as usize);
    let last = all.rows.last().map(|row| row.id.clone()).filter(|_| full);
    all.next = last.or(seen.map(|place| logs::id_of(&place)));
    Ok(all)
}

async fn page(moment: &mut Moment, filter: &LogFilter) -> Result<LogPage, StoreError> {
    match &filter.words {
        Some(sought) => by_words(moment, filter, sought).await,
        None => by_filter(moment, filter).await,
    }
}

async fn by_filter(moment: &mut Moment, filter: &LogFilter) -> Result<LogPage, StoreError> {
    let mut span = Span::of(filter);
    let leading = filter.leading();
    // What one index answers ends by itself when the page is full.
    let floor = if leading == *filter { None } else { floor(moment, &leading, &span).await? };
    if let Some(floor) = &floor {
        span.lower = span.lower.max(Some(floor.clone()));
    }
    let text = logs::text(filter, &span, logs::ROW, Of::All);
    let rows = logs::bind(Query::made(text), filter, span, limit(filter)).all_of(moment).await?;
    let rows: Vec<LogRow> = rows.iter().map(logs::read_row).collect::<Result<_, _>>()?;
    let last = rows.last().filter(|_| rows.len() == limit(filter) as usize).map(|row| row.id.clone());
    Ok(LogPage { next: last.or(floor.map(|place| logs::id_of(&place))), rows })
}

/// The last place that a page of this filter may look at; `None` when it may look at all of them.
async fn floor(moment: &mut Moment, leading: &LogFilter, span: &Span) -> Result<Option<String>, StoreError> {
    let text = FLOOR.replace("[conditions]", &logs::text(leading, span, "", Of::All));
    let row = logs::bind(Query::made(text), leading, span.clone(), LOOKS_AT).first_of(moment).await?;
    let Some(row) = row else { return Ok(None) };
    let cells = Cells::new(&row, "log", "place");
    let place: Option<String> = cells.cell("place")?;
    Ok(place.filter(|_| cells.number("count").is_ok_and(|count: u32| count >= LOOKS_AT)))
}

async fn by_words(moment: &mut Moment, filter: &LogFilter, sought: &Sought) -> Result<LogPage, StoreError> {
    let span = Span::of(filter);
    let lowest = span.lower.as_deref().map_or(0, words::number);
    let mut highest = span.upper.as_deref().map_or(i64::MAX, words::number);
    let waiting = waiting(moment, sought, lowest, highest).await?;
    let dialect = moment.dialect();
    let text = by_heads(filter, &span, dialect);
    let mut page = LogPage::default();
    let (mut reached, mut looked_up, mut chunk) = (None, 0, limit(filter).max(1));
    while looked_up < LOOKS_UP {
        let query = Query::new(&INDEXED).anew().bind(sought.expression(dialect)).bind(highest).bind(lowest).bind(chunk);
        let mut numbers = numbers(&query.all_of(moment).await?)?;
        reached = numbers.last().copied().filter(|_| numbers.len() == chunk as usize);
        looked_up += numbers.len();
        chunk = CHUNK;
        let since = reached.unwrap_or(lowest);
        numbers.extend(waiting.iter().filter(|number| (since..=highest).contains(*number)));
        let heads: BTreeSet<String> = numbers.into_iter().map(words::head).collect();
        let missing = limit(filter) - u32::try_from(page.rows.len()).unwrap_or(u32::MAX).min(limit(filter));
        let query = logs::bind(Query::made(text.clone()), filter, span.clone(), missing).bind(json!(heads).to_string());
        for row in query.all_of(moment).await? {
            page.rows.push(logs::read_row(&row)?);
        }
        if page.rows.len() >= limit(filter) as usize {
            page.next = page.rows.last().map(|row| row.id.clone());
            return Ok(page);
        }
        let Some(reached) = reached else { break };
        highest = reached - 1;
    }
    // No entry has this id, and all that were looked at are above it.
    page.next = reached.map(|reached| format!("op_{:0<26}", words::head(reached)));
    Ok(page)
}

/// The rows with the heads that the index gave. The index of places is for them: by the page's own bounds, marked so as not to
/// be looked up, each head would lead through all rows above it.
fn by_heads(filter: &LogFilter, span: &Span, dialect: Dialect) -> String {
    let [sqlite, postgres] = BY_HEADS;
    let text = logs::text(filter, span, if dialect == Dialect::Sqlite { sqlite } else { postgres }, Of::All);
    text.replace("log.place >= $8", "{plain}log.place >= $8").replace("log.place < $9", "{plain}log.place < $9")
}

/// The numbers of entries some of whose words are not in the index yet, and which have all that are sought.
async fn waiting(moment: &mut Moment, sought: &Sought, lowest: i64, highest: i64) -> Result<Vec<i64>, StoreError> {
    let rows = Query::new(&WAITING).bind(highest).bind(lowest).all_of(moment).await?;
    // By what is still to be found in the index: of one entry, older words may be there already.
    let mut by_rest: BTreeMap<Option<Sought>, Vec<i64>> = BTreeMap::new();
    for row in &rows {
        let cells = Cells::new(row, "unindexed", "number");
        let rest = sought.without(&cells.cell::<String>("words")?);
        if rest.as_ref() != Some(sought) {
            by_rest.entry(rest).or_default().push(cells.cell("number")?);
        }
    }
    let mut found = by_rest.remove(&None).unwrap_or_default();
    for (rest, numbers) in by_rest {
        let Some(rest) = rest else { continue };
        let numbers_of = json!(numbers).to_string();
        let query = Query::new(&INDEXED_OF).anew().bind(rest.expression(moment.dialect())).bind(numbers_of);
        found.extend(self::numbers(&query.all_of(moment).await?)?);
    }
    Ok(found)
}

fn numbers(rows: &[Line]) -> Result<Vec<i64>, StoreError> {
    rows.iter().map(|row| Cells::new(row, "log_words", "number").cell("number")).collect()
}

fn limit(filter: &LogFilter) -> u32 {
    filter.limit.min(logs::PAGE_MOST)
}

/// The statements, for whoever looks at their plans.
#[cfg(test)]
pub fn plans() -> Vec<String> {
    let filter = LogFilter {
        hook: Some(billhook_plugin_api::Hook::Create),
        before: Some("op_1".into()),
        ..LogFilter::default()
    };
    let span = Span::of(&filter);
    let list = logs::text(&filter, &span, "", Of::All);
    let fixed = [&INDEXED, &INDEXED_OF, &WAITING, &BY_REMOTE_ID, &OF_ANY_PLATFORM];
    let fixed = fixed.map(|text| text.of(Dialect::Sqlite).to_owned());
    let by_heads = Dialect::Sqlite.text(&by_heads(&filter, &span, Dialect::Sqlite)).into_owned();
    let made = [by_heads, FLOOR.replace("[conditions]", &list)];
    fixed.into_iter().chain(made).collect()
}
