//! Streams of server-sent events: how many a caller may have, and what all of them are made of.
//!
//! A stream is pulled by its connection: it looks at what is stored when the reader has taken what came before, and keeps
//! nothing for a reader that is slow.

use super::api::Api;
use super::caller::Caller;
use crate::problem::{Problem, ProblemType};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Streams of one caller at once. Each holds a connection, of which there are a bounded number for everybody.
const MOST: usize = 32;

/// How long a stream is silent at most: shorter than what a proxy or a client takes for a dead connection.
const SILENCE: Duration = Duration::from_secs(15);

type Counts = Arc<Mutex<HashMap<String, usize>>>;

/// The streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    counts: Counts,
}

impl Streams {
    /// A slot for one more.
    ///
    /// # Errors
    ///
    /// `too_many_streams`.
    pub(super) fn open(&self, caller: &Caller) -> Result<Slot, Problem> {
        let name = match caller {
            Caller::Platform(name) => format!("platform {name}"),
            Caller::Stranger(uid) => format!("stranger {uid}"),
            Caller::Admin(actor) => format!("admin {actor}"),
        };
        let mut counts = lock(&self.counts);
        let count = counts.entry(name.clone()).or_default();
        if *count >= MOST {
            return Err(Problem::new(
                ProblemType::TooManyStreams,
                format!("this caller follows {MOST} streams of events already"),
            )
            .remedy("close one of them, or ask with `?wait=` instead"));
        }
        *count += 1;
        Ok(Slot { name, counts: Arc::clone(&self.counts) })
    }
}

/// Given back when the stream is gone, however it went.
#[derive(Debug)]
pub(super) struct Slot {
    name: String,
    counts: Counts,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}

fn lock(counts: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a stream's events come from.
pub(super) trait Source: Send + 'static {
    /// Looks at what there is now, at the start and after each change. `false`: nothing comes after this.
    fn look(&mut self, out: &mut VecDeque<Event>) -> impl Future<Output = bool> + Send;

    /// Ends when it is worth to look again; may be dropped and asked again.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// The response that sends what the source gives, until it ends, the caller hangs up or the daemon stops.
pub(super) fn respond(api: Arc<Api>, slot: Slot, source: impl Source) -> Response {
    let stream = Stream { api, source, ready: VecDeque::new(), is_first: true, goes_on: true, _slot: slot };
    Sse::new(stream::unfold(stream, Stream::next)).into_response()
}

struct Stream<S> {
    api: Arc<Api>,
    source: S,
    ready: VecDeque<Event>,
    is_first: bool,
    goes_on: bool,
    _slot: Slot,
}

impl<S: Source> Stream<S> {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while self.ready.is_empty() && self.goes_on {
            let mut was_silent = false;
            if !std::mem::take(&mut self.is_first) {
                tokio::select! {
                    () = self.source.changed() => {}
                    // It looks all the same: a change that nobody told of is seen then.
                    () = self.api.engine.env().clock.sleep(SILENCE) => was_silent = true,
                    () = self.api.stopping.cancelled() => return None,
                }
            }
            self.goes_on = self.source.look(&mut self.ready).await;
            if was_silent && self.ready.is_empty() && self.goes_on {
                self.ready.push_back(Event::default().comment(""));
            }
        }
        self.ready.pop_front().map(|event| (Ok(event), self))
    }
}

/// An event with its data.
pub(super) fn event(name: &str, id: Option<&str>, data: &impl Serialize) -> Event {
    let event = match id {
        Some(id) => Event::default().event(name).id(id),
        None => Event::default().event(name),
    };
    event.json_data(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written");
        Event::default().comment("an event could not be written")
    })
}

/// What the caller has seen of an earlier stream.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_so_many_streams_and_gets_slots_back() {
        let streams = Streams::default();
        let caller = Caller::Platform("whmcs".into());
        let mut slots: Vec<Slot> = (0..MOST).map(|_| streams.open(&caller).unwrap()).collect();

        assert_eq!(streams.open(&caller).unwrap_err().kind, ProblemType::TooManyStreams);
        streams.open(&Caller::Platform("shop".into())).unwrap();
        slots.pop();
        slots.push(streams.open(&caller).unwrap());
        slots.clear();
        assert!(lock(&streams.counts).is_empty());
    }
}
