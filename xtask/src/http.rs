//! One HTTP exchange on a connection of its own: all that the demo needs, to a unix socket or to an address.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// For a connection to this machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `Null` when the body is empty.
    pub(crate) body: Value,
}

/// A request as its parts.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, String)],
    pub(crate) body: &'a str,
    /// How long each read may take.
    pub(crate) limit: Duration,
}

/// Sends to a unix socket.
pub(crate) fn over_socket(socket: &Path, request: &Request<'_>) -> Result<Reply> {
    let stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(request.limit))?;
    exchange(stream, request)
}

/// Sends to an address.
pub(crate) fn over_tcp(address: SocketAddr, request: &Request<'_>) -> Result<Reply> {
    let stream =
        TcpStream::connect_timeout(&address, CONNECT_LIMIT).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(request.limit))?;
    exchange(stream, request)
}

fn exchange(mut stream: impl Read + Write, request: &Request<'_>) -> Result<Reply> {
    let Request { method, path, headers, body, limit } = request;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: billhook\r\nconnection: close\r\n");
    for (name, value) in *headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let about = || format!("{method} {path}: no answer within {} s", limit.as_secs());
    stream.write_all(text.as_bytes()).with_context(|| format!("{method} {path}: cannot send"))?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).with_context(about)?;
    parse(&bytes).with_context(|| format!("{method} {path}"))
}

fn parse(bytes: &[u8]) -> Result<Reply> {
    ensure!(!bytes.is_empty(), "the connection was closed without an answer");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("the answer was cut short")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("not an HTTP answer")?;
    let body = &bytes[end + 4..];
    if head.contains("\r\ntransfer-encoding:") {
        bail!("an answer in chunks, which this client does not read");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = length {
        let length: usize = length.trim().parse().context("not a length")?;
        ensure!(body.len() == length, "the answer's body was cut short");
    }
    let body = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).context("the answer is not JSON")?,
    };
    Ok(Reply { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_only_when_it_is_whole() {
        let reply = parse(b"HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((reply.status, &reply.body["a"]), (202, &Value::from(1)));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, Value::Null);

        for (bytes, word) in [
            (&b""[..], "without an answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Le", "cut short"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "cut short"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "chunks"),
            (b"HTTP/1.1 200 OK\r\n\r\n<html>", "not JSON"),
        ] {
            assert!(parse(bytes).unwrap_err().to_string().contains(word), "{word}");
        }
    }
}
