//! Server-sent events, as the daemon sends them: one after another, until it has nothing more to say.

use super::client::ClientError;
use crate::clock::SharedClock;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Silence after which the daemon is taken for dead; it shows at least every 15 seconds that it lives.
const SILENCE: Duration = Duration::from_secs(60);

/// An event holds at most an operation with its steps and result.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// A stream of events.
pub(super) struct Events {
    body: Incoming,
    unread: Unread,
    clock: SharedClock,
    socket: PathBuf,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: Value,
}

impl Events {
    pub(super) fn new(body: Incoming, clock: SharedClock, socket: PathBuf) -> Self {
        Self { body, unread: Unread::default(), clock, socket }
    }

    /// The next event; `None` when the daemon has ended the stream.
    ///
    /// # Errors
    ///
    /// When it breaks off, falls silent, or is no stream of events.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, ClientError> {
        loop {
            if let Some(told) = self.unread.next()? {
                return Ok(Some(told));
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = self.clock.sleep(SILENCE) => {
                    let (socket, within_s) = (self.socket.clone(), SILENCE.as_secs());
                    return Err(ClientError::Slow { socket, within_s, changes: false });
                }
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => self.unread.push(frame.data_ref().map(|bytes| &bytes[..]).unwrap_or_default())?,
                Some(Err(source)) => return Err(ClientError::Broken { source, changes: false }),
            }
        }
    }
}

/// What has come and is not a whole event yet.
#[derive(Debug, Default)]
struct Unread {
    bytes: Vec<u8>,
    /// Up to here there is no end of an event.
    searched: usize,
}

impl Unread {
    fn push(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > MAX_EVENT_BYTES {
            return Err(ClientError::CutShort { reason: "an event is too long".to_owned(), changes: false });
        }
        Ok(())
    }

    /// The next whole event. Comments are none.
    fn next(&mut self) -> Result<Option<Told>, ClientError> {
        loop {
            let found = self.bytes[self.searched..].windows(2).position(|two| two == b"\n\n");
            let Some(at) = found.map(|at| at + self.searched) else {
                self.searched = self.bytes.len().saturating_sub(1);
                return Ok(None);
            };
            let block: Vec<u8> = self.bytes.drain(..at + 2).collect();
            self.searched = 0;
            if let Some(told) = read(&block)? {
                return Ok(Some(told));
            }
        }
    }
}

fn read(block: &[u8]) -> Result<Option<Told>, ClientError> {
    let (mut name, mut id, mut data) = (String::new(), None, String::new());
    for line in String::from_utf8_lossy(block).lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.to_owned(),
            "id" => id = Some(value.to_owned()),
            "data" => data.push_str(value),
            // A comment, or a field that is not known.
            _ => {}
        }
    }
    if name.is_empty() {
        return Ok(None);
    }
    let data = serde_json::from_str(&data).map_err(ClientError::Shape)?;
    Ok(Some(Told { name, id, data }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream =
            ": \n\nevent: row\nid: op_1\ndata: {\"a\":\ndata: \"é\"}\n\n\n\nevent:gap\ndata:1\nretry: 5\n\nevent: cut";
        let row = Told { name: "row".into(), id: Some("op_1".into()), data: json!({ "a": "é" }) };
        let gap = Told { name: "gap".into(), id: None, data: json!(1) };
        for size in [1, 2, 3, 7, 1_000] {
            let (mut unread, mut told) = (Unread::default(), Vec::new());
            for part in stream.as_bytes().chunks(size) {
                unread.push(part).unwrap();
                while let Some(one) = unread.next().unwrap() {
                    told.push(one);
                }
            }
            assert_eq!(told, [row.clone(), gap.clone()], "{size}");
        }
    }

    #[test]
    fn what_is_no_event_is_an_error_and_not_a_wait_without_end() {
        let mut unread = Unread::default();
        unread.push(b"event: row\ndata: {\n\n").unwrap();
        assert!(matches!(unread.next(), Err(ClientError::Shape(_))));
        assert!(unread.push(&vec![b'x'; MAX_EVENT_BYTES + 1]).is_err());
    }
}
