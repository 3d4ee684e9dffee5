//! `GET /v1/log/tail`: rows of the module log as they are committed.

use super::api::{Api, Who};
use super::caller::Admin;
use super::present;
use super::query::{Query, is_id};
use super::refusal::Refusal;
use super::streams::{self, Source, event, last_event_id};
use crate::engine::unavailable;
use crate::problem::Problem;
use crate::store::{LogFilter, LogRow, ServiceKey};
use crate::views::GapView;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::response::sse::Event;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Rows that are read at once, and the most that a caller who comes back is given of what it missed.
const MOST: u32 = 1_000;

/// Rows that match from now on, whenever they are made or changed; with `Last-Event-ID`, first those that came after that
/// entry.
pub(super) async fn follow(
    State(api): State<Arc<Api>>,
    _: Admin,
    Who(caller): Who,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let filter = query.rows()?;
    query.finish()?;
    let slot = api.streams.open(&caller)?;
    let store = &api.engine.env().store;
    // Before anything is read, so that nothing falls between.
    let commits = store.follow_log();
    let services = match filter.remote_id {
        Some(_) => store.services_of_log(&filter).await.map_err(unavailable)?,
        None => None,
    };
    let missed = match last_event_id(&headers).filter(|id| is_id(id)) {
        Some(id) => store.log_after(id, MOST + 1).await.map_err(unavailable)?,
        None => Vec::new(),
    };
    let tail = Tail { api: Arc::clone(&api), filter, services, commits, heard: Heard::First(missed) };
    Ok(streams::respond(api, slot, tail))
}

struct Tail {
    api: Arc<Api>,
    filter: LogFilter,
    /// That have the id on a panel that is asked for.
    services: Option<Vec<ServiceKey>>,
    commits: Receiver<Arc<[String]>>,
    heard: Heard,
}

/// What is to be told next.
enum Heard {
    /// What came before the stream began.
    First(Vec<LogRow>),
    /// These entries were made or changed.
    Entries(Vec<String>),
    /// The reader was too slow for so many commits.
    Missed(u64),
    /// Nothing comes any more.
    Closed,
}

impl Source for Tail {
    async fn look(&mut self, out: &mut VecDeque<Event>) -> bool {
        let rows = match std::mem::replace(&mut self.heard, Heard::Entries(Vec::new())) {
            Heard::First(mut rows) => {
                if rows.len() > MOST as usize {
                    rows.truncate(MOST as usize);
                    out.push_back(gap("more came since than a tail repeats"));
                }
                rows
            }
            Heard::Entries(ids) if ids.is_empty() => return true,
            Heard::Entries(ids) => match self.api.engine.env().store.log_rows(&ids).await.map_err(unavailable) {
                Ok(rows) => rows,
                // It is in the daemon's log.
                Err(Problem { .. }) => {
                    out.push_back(gap("the store did not answer"));
                    return false;
                }
            },
            Heard::Missed(commits) => {
                out.push_back(gap(&format!("too slow by {commits} commits")));
                return false;
            }
            Heard::Closed => return false,
        };
        let rows = rows.into_iter().filter(|row| self.shows(row)).map(present::log_row);
        out.extend(rows.map(|row| event("row", Some(&row.id), &row)));
        true
    }

    async fn changed(&mut self) {
        let mut ids = match self.commits.recv().await {
            Ok(ids) => ids.to_vec(),
            Err(RecvError::Lagged(commits)) => {
                self.heard = Heard::Missed(commits);
                return;
            }
            Err(RecvError::Closed) => {
                self.heard = Heard::Closed;
                return;
            }
        };
        while ids.len() < MOST as usize {
            match self.commits.try_recv() {
                Ok(more) => ids.extend_from_slice(&more),
                Err(TryRecvError::Lagged(commits)) => {
                    self.heard = Heard::Missed(commits);
                    return;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.heard = Heard::Entries(ids);
    }
}

impl Tail {
    fn shows(&self, row: &LogRow) -> bool {
        let is_of = |key: &ServiceKey| {
            key.platform == row.platform && row.service_id.as_deref() == Some(key.service_id.as_str())
        };
        self.filter.admits(row) && self.services.as_ref().is_none_or(|services| services.iter().any(is_of))
    }
}

/// Rows are missing here: the list has them.
fn gap(reason: &str) -> Event {
    event("gap", None, &GapView { reason: reason.to_owned() })
}
