//! A client as plain as can be, so that no library's kindness hides what the panel sent.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }
}

/// Sends a request with the given header lines on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: panel\r\nconnection: close\r\n");
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> io::Result<Reply> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned());
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(|| broken("head"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| broken("status"))?;
    let body = bytes[end + 4..].to_vec();
    let declared = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let declared: usize = declared.map_or(0, |length| length.parse().expect("a length"));
    if body.len() < declared {
        return Err(broken("body"));
    }
    Ok(Reply { status, head, body })
}
