//! One connection that is kept alive, with as little between the load and the daemon as possible.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Where to connect to.
#[derive(Debug, Clone)]
pub enum Target {
    /// `unix:/run/hook.sock`.
    Unix(PathBuf),
    /// `tcp:127.0.0.1:8080`.
    Tcp(SocketAddr),
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) => Ok(Self::Tcp(address.parse().context("not an address")?)),
            _ => bail!("neither unix:PATH nor tcp:ADDRESS"),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection and what was read from it.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(target: &Target) -> Result<Self> {
        let stream: Box<dyn Stream> = match target {
            Target::Unix(path) => Box::new(UnixStream::connect(path).await.context("cannot connect to the socket")?),
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await.context("cannot connect to the panel")?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a whole request and reads its answer: the status, and the body.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await.context("cannot send")?;
        self.buffer.clear();
        let (status, start, end) = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let (status, length) = head(&self.buffer[..at])?;
                break (status, at + 4, at + 4 + length);
            }
            self.more().await?;
        };
        while self.buffer.len() < end {
            self.more().await?;
        }
        Ok((status, &self.buffer[start..end]))
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await.context("cannot read the answer")? {
            0 => bail!("the connection was closed within an answer"),
            _ => Ok(()),
        }
    }
}

/// A `POST` with a JSON body.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: billhook\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Status and length of the body.
fn head(bytes: &[u8]) -> Result<(u16, usize)> {
    let text = std::str::from_utf8(bytes).context("not an HTTP answer")?;
    let status = text.get(9..12).and_then(|word| word.parse().ok()).context("not an HTTP answer")?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.context("an answer without a length")?))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_length() {
        assert_eq!(head(b"HTTP/1.1 202 Accepted\r\nContent-Length: 7").unwrap(), (202, 7));
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
        assert!(head(b"nonsense").is_err());
    }

    #[test]
    fn a_target_is_a_socket_or_an_address() {
        assert!(matches!("unix:/a/b".parse().unwrap(), Target::Unix(path) if path.ends_with("b")));
        assert!(matches!("tcp:127.0.0.1:80".parse().unwrap(), Target::Tcp(address) if address.port() == 80));
        assert!("http://x".parse::<Target>().is_err());
    }
}
