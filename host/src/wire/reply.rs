//! A reply, and how its body is received: decompressed and bounded as it comes.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method, StatusCode};

/// What a panel answered. Any status: the wire does not judge, and follows no redirect.
///
/// `Debug` shows status and sizes only, since headers and body may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order of arrival for each name; values that are no UTF-8 are read with replacement characters.
    ///
    /// As received: `content-encoding` and `content-length` speak of the body before decompression.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Bytes,
}

impl Reply {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers_len", &self.headers.len())
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// A reply in the making. Keeps what has come so far, whatever happens next.
pub(super) struct Incoming {
    status: StatusCode,
    headers: HeaderMap,
    decoder: Decoder,
    limit: usize,
    raw_bytes: u64,
}

impl Incoming {
    /// Starts with the headers. Neither the compressed nor the decompressed body may exceed `limit` bytes.
    pub(super) fn new(method: &Method, status: StatusCode, headers: HeaderMap, limit: usize) -> Self {
        let has_body = method != Method::HEAD && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
        let decoder = if has_body { Decoder::of(&headers, limit) } else { Decoder::Plain(Sink::new(limit)) };
        Self { status, headers, decoder, limit, raw_bytes: 0 }
    }

    /// Refuses what the headers already show to be unreadable or too large.
    pub(super) fn check(&self, method: &Method) -> Result<(), BodyFault> {
        if let Decoder::Unknown(_) = &self.decoder {
            return Err(BodyFault::Decode("its content-encoding is not one of gzip and deflate".to_owned()));
        }
        let announced =
            self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let is_too_large = announced.is_some_and(|bytes| bytes > self.limit as u64);
        // The answer to HEAD announces a body that never comes.
        if is_too_large && method != Method::HEAD { Err(BodyFault::TooLarge) } else { Ok(()) }
    }

    /// Takes the next piece as it came from the connection.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), BodyFault> {
        self.raw_bytes += piece.len() as u64;
        // A compressed stream can go on for ever without yielding a byte, so both sides are counted.
        if self.raw_bytes > self.limit as u64 && !matches!(self.decoder, Decoder::Plain(_)) {
            return Err(BodyFault::TooLarge);
        }
        self.decoder.push(piece)
    }

    /// Says that the body has ended where it should.
    pub(super) fn finish(&mut self) -> Result<(), BodyFault> {
        // An empty body is empty in every encoding; panels label such replies as gzip all the same.
        if self.raw_bytes == 0 { Ok(()) } else { self.decoder.finish() }
    }

    /// Bytes of body received, before decompression.
    pub(super) fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// What has come, whole or not.
    pub(super) fn into_reply(mut self) -> Reply {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        Reply { status: self.status.as_u16(), headers, body: self.decoder.take() }
    }
}

/// What can be wrong with a body that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    TooLarge,
    Decode(String),
}

enum Decoder {
    Plain(Sink),
    Gzip(MultiGzDecoder<Sink>),
    Deflate(ZlibDecoder<Sink>),
    /// An encoding that was not asked for. The bytes are not collected.
    Unknown(Sink),
}

impl Decoder {
    fn of(headers: &HeaderMap, limit: usize) -> Self {
        let sink = Sink::new(limit);
        let mut encodings = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or("?").split(','))
            .map(|encoding| encoding.trim().to_ascii_lowercase())
            .filter(|encoding| !encoding.is_empty() && encoding != "identity");
        match (encodings.next().as_deref(), encodings.next()) {
            (None, _) => Decoder::Plain(sink),
            (Some("gzip" | "x-gzip"), None) => Decoder::Gzip(MultiGzDecoder::new(sink)),
            (Some("deflate"), None) => Decoder::Deflate(ZlibDecoder::new(sink)),
            _ => Decoder::Unknown(sink),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), BodyFault> {
        let written = match self {
            Decoder::Plain(sink) => sink.write_all(piece),
            Decoder::Gzip(decoder) => decoder.write_all(piece),
            Decoder::Deflate(decoder) => decoder.write_all(piece),
            Decoder::Unknown(_) => Ok(()),
        };
        written.map_err(|error| self.fault(&error))
    }

    fn finish(&mut self) -> Result<(), BodyFault> {
        let finished = match self {
            Decoder::Plain(_) | Decoder::Unknown(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Deflate(decoder) => decoder.try_finish(),
        };
        finished.map_err(|error| self.fault(&error))
    }

    fn fault(&mut self, error: &io::Error) -> BodyFault {
        if self.sink().is_full { BodyFault::TooLarge } else { BodyFault::Decode(error.to_string()) }
    }

    fn take(&mut self) -> Bytes {
        // Brings out what a cut stream still holds inside; that it is cut is known already.
        let _ = match self {
            Decoder::Plain(_) | Decoder::Unknown(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.flush(),
            Decoder::Deflate(decoder) => decoder.flush(),
        };
        std::mem::take(&mut self.sink().bytes).into()
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Decoder::Plain(sink) | Decoder::Unknown(sink) => sink,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Deflate(decoder) => decoder.get_mut(),
        }
    }
}

/// Collects up to a limit and refuses the rest.
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Sink {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, is_full: false }
    }
}

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = self.limit - self.bytes.len();
        if room == 0 && !piece.is_empty() {
            self.is_full = true;
            return Err(io::Error::other("the limit is reached"));
        }
        let taken = &piece[..piece.len().min(room)];
        self.bytes.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    const LIMIT: usize = 64 * 1024;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).expect("into memory");
        encoder.finish().expect("into memory")
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).expect("into memory");
        encoder.finish().expect("into memory")
    }

    /// Receives `body` in pieces; returns the outcome and what was kept.
    fn receive(encoding: &str, body: &[u8], piece: usize) -> (Result<(), BodyFault>, Bytes) {
        let mut headers = HeaderMap::new();
        if !encoding.is_empty() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_str(encoding).expect(encoding));
        }
        let mut incoming = Incoming::new(&Method::GET, StatusCode::OK, headers, LIMIT);
        let outcome = incoming
            .check(&Method::GET)
            .and_then(|()| body.chunks(piece).try_for_each(|piece| incoming.push(piece)))
            .and_then(|()| incoming.finish());
        (outcome, incoming.into_reply().body)
    }

    #[test]
    fn every_known_encoding_gives_the_plain_body_however_it_is_cut_up() {
        let plain = b"{\"data\": [1, 2, 3]}".repeat(500);
        let two_members = [gzip(&plain[..100]), gzip(&plain[100..])].concat();
        for (encoding, body) in [
            ("", plain.clone()),
            ("identity", plain.clone()),
            ("gzip", gzip(&plain)),
            ("X-GZIP", gzip(&plain)),
            ("identity, gzip", gzip(&plain)),
            ("gzip", two_members),
            ("deflate", zlib(&plain)),
        ] {
            for piece in [1, 7, 100_000] {
                let (outcome, kept) = receive(encoding, &body, piece);
                assert_eq!(outcome, Ok(()), "{encoding} by {piece}");
                assert_eq!(kept, plain, "{encoding} by {piece}");
            }
        }
    }

    #[test]
    fn a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        let exact = vec![b'x'; LIMIT];
        let more = vec![b'x'; LIMIT + 1];
        for (encoding, encode) in [("", <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>), ("gzip", gzip), ("deflate", zlib)] {
            assert_eq!(receive(encoding, &encode(&exact), 1000).0, Ok(()), "{encoding}");
            let (outcome, kept) = receive(encoding, &encode(&more), 1000);
            assert_eq!(outcome, Err(BodyFault::TooLarge), "{encoding}");
            assert!(kept.len() <= LIMIT, "{encoding}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![0; 50 * 1024 * 1024]);
        assert!(bomb.len() < LIMIT, "the compressed size alone would pass");

        let (outcome, kept) = receive("gzip", &bomb, 4096);

        assert_eq!(outcome, Err(BodyFault::TooLarge));
        assert!(kept.len() <= LIMIT);
    }

    #[test]
    fn a_stream_that_yields_nothing_is_stopped_at_the_limit() {
        let empty_members = gzip(b"").repeat(LIMIT / 10);
        assert_eq!(receive("gzip", &empty_members, 4096).0, Err(BodyFault::TooLarge));
    }

    #[test]
    fn what_cannot_be_decompressed_is_said_so() {
        let whole = gzip(&b"some text ".repeat(50));
        let mut wrong_sum = whole.clone();
        let sum = wrong_sum.len() - 8;
        wrong_sum[sum] ^= 1;
        for (encoding, body) in [
            ("gzip", b"<html>not compressed</html>".to_vec()),
            ("gzip", whole[..whole.len() - 1].to_vec()),
            ("gzip", whole[..5].to_vec()),
            ("gzip", whole[..1].to_vec()),
            ("gzip", wrong_sum),
            ("deflate", b"not compressed".to_vec()),
            ("br", b"anything".to_vec()),
            ("gzip, gzip", gzip(&whole)),
        ] {
            let outcome = receive(encoding, &body, 16).0;
            assert!(matches!(outcome, Err(BodyFault::Decode(_))), "{encoding} {outcome:?}");
        }
    }

    #[test]
    fn an_empty_body_is_empty_in_every_encoding() {
        for encoding in ["", "gzip", "deflate"] {
            assert_eq!(receive(encoding, b"", 1), (Ok(()), Bytes::new()), "{encoding}");
        }
    }

    #[test]
    fn an_announced_size_is_refused_before_it_comes_except_for_head() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(LIMIT as u64 + 1));
        for (method, expected) in [(Method::GET, Err(BodyFault::TooLarge)), (Method::HEAD, Ok(()))] {
            let incoming = Incoming::new(&method, StatusCode::OK, headers.clone(), LIMIT);
            assert_eq!(incoming.check(&method), expected, "{method}");
        }
    }
}
