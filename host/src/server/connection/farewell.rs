//! The last words on a connection that the HTTP library has no part in.

use super::super::refusal;
use crate::clock::Clock;
use crate::problem::Problem;
use axum::http::StatusCode;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

/// How long a peer may go on sending after the last word.
const LINGER: Duration = Duration::from_secs(2);
/// And how much: what a socket's buffer holds, and then some.
const MOST: usize = 1 << 20;

/// Answers with a problem, and closes.
pub(super) async fn refuse(stream: UnixStream, problem: &Problem, clock: &dyn Clock, stopping: &CancellationToken) {
    let text = response(problem);
    close(stream, text.as_bytes(), clock, stopping).await;
}

/// Closes so that the peer can read what was said: with unread bytes left behind, the kernel would tell it of a reset, and
/// many clients then throw the answer away.
pub(super) async fn leave(stream: UnixStream, clock: &dyn Clock, stopping: &CancellationToken) {
    let mut piece = [0; 1];
    match stream.try_read(&mut piece) {
        Ok(length) if length > 0 => close(stream, &[], clock, stopping).await,
        // It has closed as well, or everything that it sent was read.
        _ => {}
    }
}

async fn close(mut stream: UnixStream, words: &[u8], clock: &dyn Clock, stopping: &CancellationToken) {
    let closing = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let mut read = 0;
        let mut piece = vec![0; 8 << 10];
        while read < MOST {
            match stream.read(&mut piece).await? {
                0 => break,
                length => read += length,
            }
        }
        io::Result::Ok(())
    };
    tokio::select! {
        // A peer that is gone needs no last word.
        _ = closing => {}
        () = clock.sleep(LINGER) => {}
        () = stopping.cancelled() => {}
    }
}

/// A whole response, written without the HTTP library.
fn response(problem: &Problem) -> String {
    let document = problem.document();
    let reason = StatusCode::from_u16(document.status).ok().and_then(|status| status.canonical_reason());
    let body = serde_json::to_string(&document).unwrap_or_default();
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncache-control: no-store\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        document.status,
        reason.unwrap_or_default(),
        refusal::MEDIA_TYPE,
        body.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemType;

    #[test]
    fn the_last_word_is_a_whole_answer() {
        let text = response(&Problem::new(ProblemType::RequestTimeout, "too slow"));

        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert!(body.contains("urn:billhook:problem:request_timeout"), "{body}");
    }
}
