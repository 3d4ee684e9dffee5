//! The wire against raw TCP servers on loopback that misbehave in one way each.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::clock::ManualClock;

const LIMIT: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A loopback server whose connections are handled one by one, in order, by the test.
struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        Self { listener, address }
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.expect("a connection").0
    }

    fn target(&self) -> Target {
        Target {
            base_url: format!("http://{}/api", self.address).parse().expect("a URL"),
            allow_http: true,
            ca_file: None,
            pin_sha256: None,
            connect_timeout: TIMEOUT,
            max_reply_bytes: LIMIT,
            idle_connections: 8,
            user_agent: "billhook-test".to_owned(),
        }
    }

    fn tls_target(&self) -> Target {
        let base_url = format!("https://localhost:{}/api", self.address.port());
        Target { base_url: base_url.parse().expect("a URL"), ..self.target() }
    }
}

fn wire(target: Target) -> (Arc<Wire>, ManualClock) {
    let clock = ManualClock::new(1_000);
    let wire = Wire::new(target, clock.shared()).expect("a good target");
    (Arc::new(wire), clock)
}

fn post() -> Request {
    let mut request = Request::new(Method::POST, "/servers");
    request.query.push(("authkey".into(), "s3cret".into()));
    request.body = Some(Bytes::from_static(b"{\"name\":\"s3cret\"}"));
    request.timeout = TIMEOUT;
    request
}

fn start(wire: &Arc<Wire>, request: Request) -> JoinHandle<Exchange> {
    let wire = Arc::clone(wire);
    tokio::spawn(async move { wire.send(request).await })
}

/// Reads one request, headers and body; returns it as text. Empty if the connection was closed instead.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.expect("the wire reads");
    stream.flush().await.expect("the wire reads");
}

/// One exchange in which the server reads the request, writes `reply` and closes.
async fn answered(request: Request, reply: impl AsRef<[u8]>) -> Exchange {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let exchange = start(&wire, request);
    let mut stream = server.accept().await;
    read_request(&mut stream).await;
    // A wire that has seen enough may close before all is written.
    let _ = stream.write_all(reply.as_ref()).await;
    drop(stream);
    finished(exchange).await
}

async fn finished<T>(task: JoinHandle<T>) -> T {
    task.await.expect("no panic")
}

/// Checks what holds for every failure: named host, no secret; returns it.
fn failure(exchange: &Exchange) -> WireFailure {
    let failure = exchange.outcome.clone().expect_err("no whole reply");
    let text = format!("{failure} {failure:?} {exchange:?}");
    assert!(!text.contains("s3cret") && !text.contains("authkey"), "{text}");
    let is_named = failure.to_string().contains("127.0.0.1:") || failure.to_string().contains("localhost:");
    assert!(is_named || matches!(failure, WireFailure::Refused(_)), "{failure}");
    failure
}

fn reply(exchange: Exchange) -> Reply {
    assert_eq!(exchange.sent, Sent::Maybe);
    assert!(exchange.partial.is_none());
    exchange.outcome.expect("a whole reply")
}

#[tokio::test]
async fn a_request_arrives_as_it_was_written_and_its_reply_comes_back() {
    let server = Server::bind().await;
    let (wire, clock) = wire(server.target());
    let mut request = post();
    request.headers.push(("Accept".into(), "application/json".into()));
    request.auth = Some(Auth::Bearer("t0ken".to_owned().into()));
    let exchange = start(&wire, request);
    let mut stream = server.accept().await;

    let seen = read_request(&mut stream).await;
    clock.advance(Duration::from_millis(250));
    write(&mut stream, "HTTP/1.1 201 Created\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\nbody").await;
    let exchange = finished(exchange).await;

    assert!(seen.starts_with("POST /api/servers?authkey=s3cret HTTP/1.1\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"name\":\"s3cret\"}"), "{seen}");
    for line in [
        format!("host: {}", server.address).as_str(),
        "accept: application/json",
        "authorization: Bearer t0ken",
        "accept-encoding: gzip",
        "user-agent: billhook-test",
        "content-length: 17",
    ] {
        assert_eq!(seen.lines().filter(|found| *found == line).count(), 1, "{line} in {seen}");
    }
    assert!(!seen.contains("cookie") && !seen.contains("referer"), "{seen}");
    assert_eq!((exchange.started_unix_ms, exchange.duration.as_millis(), exchange.bytes_in), (1_000, 250, 4));
    let reply = reply(exchange);
    assert_eq!((reply.status, &reply.body[..]), (201, &b"body"[..]));
    assert_eq!(reply.headers[..2], [("x-a".into(), "1".into()), ("x-a".into(), "2".into())]);
    assert_eq!(reply.header("X-A"), Some("1"));
}

#[tokio::test]
async fn a_refused_request_never_leaves() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());

    let exchange = wire.send(Request::new(Method::POST, "/../admin")).await;

    assert_eq!(exchange.sent, Sent::No);
    assert_eq!(failure(&exchange), WireFailure::Refused(Refusal::DotSegment));
}

#[tokio::test]
async fn a_refused_port_is_a_connection_that_never_was() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    drop(server);

    let exchange = wire.send(post()).await;

    assert_eq!(exchange.sent, Sent::No);
    assert!(matches!(failure(&exchange), WireFailure::Connect { .. }), "{exchange:?}");
}

#[tokio::test]
async fn a_reply_of_any_status_is_a_reply() {
    for (raw, status, body) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n", 302, ""),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\n\r\n<h1>502</h1>\n", 502, "<h1>502</h1>\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, "abc"),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the close", 200, "until the close"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 200, ""),
    ] {
        let reply = reply(answered(post(), raw).await);
        assert_eq!((reply.status, &reply.body[..]), (status, body.as_bytes()), "{raw}");
    }
}

#[tokio::test]
async fn a_compressed_reply_is_read_and_its_raw_size_is_kept() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&b"x".repeat(10_000)).expect("into memory");
    let body = encoder.finish().expect("into memory");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());

    let exchange = answered(post(), [head.as_bytes(), &body].concat()).await;

    assert_eq!(exchange.bytes_in, body.len() as u64);
    let reply = reply(exchange);
    assert_eq!(reply.body, b"x".repeat(10_000));
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn without_a_usable_reply_the_request_may_have_been_executed() {
    type Expected = fn(&WireFailure) -> bool;
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let huge_header = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1_000_000));
    let is_closed: Expected = |failure| matches!(failure, WireFailure::Closed { .. });
    let is_invalid: Expected = |failure| matches!(failure, WireFailure::InvalidReply { .. });
    for (raw, is_expected) in [
        ("", is_closed),
        ("HTTP/1.1 200 OK\r\nContent-Le", is_closed),
        ("SSH-2.0-OpenSSH_9.6\r\n", is_invalid),
        ("<html>hello</html>", is_invalid),
        ("HTTP/1.1 abc\r\n\r\n", is_invalid),
        ("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", is_invalid),
        (many_headers.as_str(), is_invalid),
        (huge_header.as_str(), is_invalid),
    ] {
        let exchange = answered(post(), raw).await;
        let failure = failure(&exchange);
        let start: String = raw.chars().take(40).collect();
        assert!(is_expected(&failure), "{start:?}: {failure:?}");
        assert_eq!(exchange.sent, Sent::Maybe, "{start:?}");
        assert!(exchange.partial.is_none(), "{start:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_request_is_read_counts_as_maybe() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let exchange = start(&wire, post());

    drop(server.accept().await);
    let exchange = finished(exchange).await;

    assert_eq!(exchange.sent, Sent::Maybe);
    let failure = failure(&exchange);
    assert!(matches!(failure, WireFailure::Closed { .. } | WireFailure::Reset { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_reply_whose_body_fails_keeps_status_and_headers() {
    type Expected = fn(&WireFailure) -> bool;
    let bomb = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 20 * 1024 * 1024]).expect("into memory");
        encoder.finish().expect("into memory")
    };
    let is_cut: Expected = |failure| matches!(failure, WireFailure::BodyCut { .. });
    let is_invalid: Expected = |failure| matches!(failure, WireFailure::InvalidReply { .. });
    let is_too_large: Expected = |failure| matches!(failure, WireFailure::BodyTooLarge { limit_bytes: LIMIT, .. });
    let is_undecodable: Expected = |failure| matches!(failure, WireFailure::Decode { .. });
    for (headers, body, is_expected, kept) in [
        ("Content-Length: 10", b"{\"id\"".to_vec(), is_cut, &b"{\"id\""[..]),
        ("Content-Length: 10", vec![], is_cut, b""),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n".to_vec(), is_cut, b"abc"),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\nzz\r\n".to_vec(), is_invalid, b"abc"),
        ("Transfer-Encoding: chunked", b"fffffffffffffffffff\r\n".to_vec(), is_invalid, b""),
        ("Content-Length: 65537", b"x".repeat(65_537), is_too_large, b""),
        ("Content-Encoding: gzip\r\nConnection: close", bomb, is_too_large, &[0; LIMIT]),
        ("Content-Encoding: gzip\r\nContent-Length: 4", b"oops".to_vec(), is_undecodable, b""),
        ("Content-Encoding: br\r\nContent-Length: 4", b"oops".to_vec(), is_undecodable, b""),
    ] {
        let head = format!("HTTP/1.1 201 Created\r\nX-Id: 7\r\n{headers}\r\n\r\n");
        let exchange = answered(post(), [head.as_bytes(), &body].concat()).await;
        let failure = failure(&exchange);
        assert!(is_expected(&failure), "{headers}: {failure:?}");
        assert_eq!(exchange.sent, Sent::Maybe, "{headers}");
        let partial = exchange.partial.expect(headers);
        assert_eq!((partial.status, partial.header("x-id")), (201, Some("7")), "{headers}");
        assert!(partial.body == kept, "{headers}: {} bytes kept", partial.body.len());
    }
}

#[tokio::test]
async fn an_endless_body_without_a_length_stops_at_the_limit() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let exchange = start(&wire, post());
    let mut stream = server.accept().await;
    read_request(&mut stream).await;

    write(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    while stream.write_all(b"400\r\n").await.is_ok()
        && stream.write_all(&[b'x'; 0x400]).await.is_ok()
        && stream.write_all(b"\r\n").await.is_ok()
    {}
    let exchange = finished(exchange).await;

    assert!(matches!(failure(&exchange), WireFailure::BodyTooLarge { .. }));
    assert_eq!(exchange.partial.map(|partial| partial.body.len()), Some(LIMIT));
}

#[tokio::test]
async fn a_panel_that_never_answers_is_left_when_the_time_is_up() {
    let server = Server::bind().await;
    let (wire, clock) = wire(server.target());
    let exchange = start(&wire, post());
    let mut stream = server.accept().await;
    read_request(&mut stream).await;

    clock.advance(TIMEOUT - Duration::from_millis(1));
    tokio::task::yield_now().await;
    assert!(!exchange.is_finished());
    clock.advance(Duration::from_millis(1));
    let exchange = finished(exchange).await;

    assert_eq!(exchange.sent, Sent::Maybe);
    assert_eq!(exchange.duration, TIMEOUT);
    assert!(matches!(failure(&exchange), WireFailure::Timeout { limit: TIMEOUT, phase: Phase::Waiting, .. }));
    assert_eq!(read_request(&mut stream).await, "", "the connection is closed");
}

#[tokio::test]
async fn a_dripping_body_does_not_buy_time() {
    let server = Server::bind().await;
    let (wire, clock) = wire(server.target());
    let exchange = start(&wire, post());
    let mut stream = server.accept().await;
    read_request(&mut stream).await;

    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    let mut drips = 0;
    while !exchange.is_finished() {
        drips += 1;
        // The wire closes in the middle of a drip, once its time is up.
        let _ = stream.write_all(b"x").await;
        clock.advance(TIMEOUT / 10);
        tokio::task::yield_now().await;
        assert!(drips < 1000, "no end of it");
    }
    let exchange = finished(exchange).await;

    assert_eq!(exchange.sent, Sent::Maybe);
    assert!(matches!(failure(&exchange), WireFailure::Timeout { .. }), "{exchange:?}");
}

#[tokio::test]
async fn a_time_out_within_the_body_keeps_what_has_come() {
    let server = Server::bind().await;
    let (wire, clock) = wire(server.target());
    let exchange = Box::pin(wire.send(post()));
    tokio::pin!(exchange);
    let serve = async {
        let mut stream = server.accept().await;
        read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc").await;
        stream
    };
    let _stream = until(&mut exchange, serve).await;
    // Let the client's own task hand over what it has read.
    for _ in 0..100 {
        until(&mut exchange, tokio::task::yield_now()).await;
    }

    clock.advance(TIMEOUT);
    let exchange = exchange.await;

    assert!(matches!(failure(&exchange), WireFailure::Timeout { phase: Phase::Receiving, .. }));
    assert_eq!(exchange.partial.map(|partial| (partial.status, partial.body)), Some((200, Bytes::from("abc"))));
    assert_eq!(exchange.bytes_in, 3);
}

/// Runs `other` to its end while `exchange` is driven beside it and does not end.
async fn until<T>(exchange: &mut (impl Future<Output = Exchange> + Unpin), other: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        exchange = exchange => panic!("ended early: {exchange:?}"),
        value = other => value,
    }
}

#[tokio::test]
async fn dropping_an_exchange_closes_its_connection() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    for half_a_reply in ["", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"] {
        let exchange = start(&wire, post());
        let mut stream = server.accept().await;
        read_request(&mut stream).await;
        write(&mut stream, half_a_reply).await;

        exchange.abort();

        assert_eq!(read_request(&mut stream).await, "", "after {half_a_reply:?}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let serve = tokio::spawn(async move {
        let mut stream = server.accept().await;
        for _ in 0..3 {
            read_request(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    });

    for _ in 0..3 {
        assert_eq!(reply(wire.send(post()).await).status, 200);
    }
    finished(serve).await;
}

/// Answers one request on each connection and then closes it, though it promised to keep it. Counts the requests.
async fn serve_once_each(server: Server, seen: Arc<AtomicUsize>) {
    loop {
        let mut stream = server.accept().await;
        if !read_request(&mut stream).await.is_empty() {
            seen.fetch_add(1, Ordering::SeqCst);
            write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_was_seen_to_close_while_idle_is_replaced_unnoticed() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let seen = Arc::new(AtomicUsize::new(0));
    let serve = tokio::spawn(serve_once_each(server, Arc::clone(&seen)));

    for _ in 0..5 {
        assert_eq!(reply(wire.send(post()).await).status, 200);
        // On this one thread, enough turns for the server to close and for the client to see it.
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
    }

    assert_eq!(seen.load(Ordering::SeqCst), 5);
    serve.abort();
}

#[tokio::test]
async fn a_connection_that_closes_just_as_it_is_taken_costs_a_doubt_and_never_a_second_request() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let seen = Arc::new(AtomicUsize::new(0));
    let serve = tokio::spawn(serve_once_each(server, Arc::clone(&seen)));
    let mut answered = 0;

    for turns in 0..60 {
        let exchange = wire.send(post()).await;
        assert_eq!(exchange.sent, Sent::Maybe, "{exchange:?}");
        match &exchange.outcome {
            Ok(_) => answered += 1,
            Err(WireFailure::Closed { .. } | WireFailure::Reset { .. }) => {}
            Err(_) => panic!("{exchange:?}"),
        }
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    assert!(answered > 0);
    assert_eq!(seen.load(Ordering::SeqCst), answered);
    serve.abort();
}

#[tokio::test]
async fn a_request_written_to_a_stale_connection_is_not_sent_again() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let first = start(&wire, post());
    let mut stream = server.accept().await;
    read_request(&mut stream).await;
    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(reply(finished(first).await).status, 200);

    // The panel takes the second request on the same connection and goes away without an answer.
    let second = start(&wire, post());
    assert!(!read_request(&mut stream).await.is_empty());
    drop(stream);
    let second = finished(second).await;

    assert_eq!(second.sent, Sent::Maybe);
    assert!(matches!(failure(&second), WireFailure::Closed { .. } | WireFailure::Reset { .. }));
    // Nobody knocks a second time: the next connection is that of the next request.
    let mut probe = Request::new(Method::GET, "/probe");
    probe.timeout = TIMEOUT;
    let probe = start(&wire, probe);
    let mut stream = server.accept().await;
    assert!(read_request(&mut stream).await.starts_with("GET /api/probe "));
    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(reply(finished(probe).await).status, 200);
}

/// A certificate for `localhost`, its authority's PEM file, and an acceptor that presents it.
struct Identity {
    acceptor: TlsAcceptor,
    ca_pem: String,
    leaf_sha256: [u8; 32],
}

impl Identity {
    fn for_name(name: &str) -> Self {
        let ca_key = rcgen::KeyPair::generate().expect("a key");
        let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        // Authorities of one name and different keys would fail later, at the signature.
        let own_name: String = ca_key.public_key_raw().iter().map(|byte| format!("{byte:02x}")).collect();
        ca.distinguished_name.push(rcgen::DnType::CommonName, own_name);
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("an authority").pem();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()])
            .expect("a name")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        let leaf_sha256 = Sha256::digest(leaf.der()).into();
        let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("the key fits");
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem, leaf_sha256 }
    }
}

/// One exchange over TLS with a server that presents `identity` and answers 200.
async fn over_tls(identity: &Identity, trust: impl FnOnce(Target) -> Target) -> Exchange {
    let server = Server::bind().await;
    let (wire, _clock) = wire(trust(server.tls_target()));
    let exchange = start(&wire, post());
    let acceptor = identity.acceptor.clone();
    let serve = tokio::spawn(async move {
        if let Ok(mut stream) = acceptor.accept(server.accept().await).await
            && !read_request(&mut stream).await.is_empty()
        {
            write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    });
    let exchange = finished(exchange).await;
    serve.abort();
    exchange
}

fn ca_file(folder: &tempfile::TempDir, pem: &str) -> Option<std::path::PathBuf> {
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).expect("a file");
    Some(path)
}

#[tokio::test]
async fn a_panel_is_trusted_by_its_authority_or_by_its_pin() {
    let identity = Identity::for_name("localhost");
    let folder = tempfile::tempdir().expect("a folder");

    let by_ca = over_tls(&identity, |target| Target { ca_file: ca_file(&folder, &identity.ca_pem), ..target }).await;
    let by_pin = over_tls(&identity, |target| Target { pin_sha256: Some(identity.leaf_sha256), ..target }).await;

    assert_eq!(reply(by_ca).status, 200);
    assert_eq!(reply(by_pin).status, 200);
}

#[tokio::test]
async fn a_panel_that_is_not_trusted_is_told_nothing() {
    let identity = Identity::for_name("localhost");
    let elsewhere = Identity::for_name("elsewhere.example");
    let folder = tempfile::tempdir().expect("a folder");
    let other_folder = tempfile::tempdir().expect("a folder");
    let other_ca = ca_file(&folder, &Identity::for_name("localhost").ca_pem);
    let elsewhere_ca = ca_file(&other_folder, &elsewhere.ca_pem);

    let unknown = over_tls(&identity, |target| Target { ca_file: other_ca, ..target }).await;
    let wrong_name = over_tls(&elsewhere, |target| Target { ca_file: elsewhere_ca, ..target }).await;
    let wrong_pin = over_tls(&identity, |target| Target { pin_sha256: Some([7; 32]), ..target }).await;

    let found_pin: String = identity.leaf_sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    for (exchange, expected) in [
        (unknown, "set ca_file or pin_sha256"),
        (wrong_name, "use the name it was made for"),
        (wrong_pin, found_pin.as_str()),
    ] {
        assert_eq!(exchange.sent, Sent::No, "{expected}");
        let failure = failure(&exchange);
        assert!(matches!(failure, WireFailure::Tls { .. }), "{failure:?}");
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_is_not_trusted() {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate").cert;
    let leaf_sha256 = Sha256::digest(certificate.der()).into();
    let other_key = rcgen::KeyPair::generate().expect("a key").serialize_der();
    let other_key = rustls_pki_types::PrivateKeyDer::try_from(other_key).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let signer = provider.key_provider.load_private_key(other_key).expect("a key");
    let stolen = rustls::sign::CertifiedKey::new(vec![certificate.der().clone()], signer);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
    let impostor = Identity { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: String::new(), leaf_sha256 };

    let exchange = over_tls(&impostor, |target| Target { pin_sha256: Some(leaf_sha256), ..target }).await;

    assert_eq!(exchange.sent, Sent::No);
    assert!(matches!(failure(&exchange), WireFailure::Tls { .. }));
}

#[tokio::test]
async fn the_systems_authorities_do_not_know_a_homemade_certificate() {
    let exchange = over_tls(&Identity::for_name("localhost"), |target| target).await;

    assert_eq!(exchange.sent, Sent::No);
    // A machine without any authorities says so instead.
    assert!(matches!(failure(&exchange), WireFailure::Tls { .. } | WireFailure::Setup { .. }));
}

#[tokio::test]
async fn a_port_without_tls_is_named_as_such() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(Target { pin_sha256: Some([7; 32]), ..server.tls_target() });
    let exchange = start(&wire, post());
    let mut stream = server.accept().await;
    // Nothing of the request is in what a plain server gets to read.
    let mut hello = vec![0; 16];
    stream.read_exact(&mut hello).await.expect("a hello");
    write(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let exchange = finished(exchange).await;

    assert_eq!(exchange.sent, Sent::No);
    let failure = failure(&exchange);
    assert!(failure.to_string().contains("may not be a TLS port"), "{failure}");
}

#[tokio::test]
async fn a_tls_connection_that_ends_without_a_farewell_is_no_end_of_a_reply() {
    let identity = Identity::for_name("localhost");
    for (half_a_reply, partial) in [("", None), ("HTTP/1.0 200 OK\r\n\r\nabc", Some(Bytes::from("abc")))] {
        let server = Server::bind().await;
        let (wire, _clock) = wire(Target { pin_sha256: Some(identity.leaf_sha256), ..server.tls_target() });
        let exchange = start(&wire, post());
        let mut stream = identity.acceptor.accept(server.accept().await).await.expect("trusted");
        read_request(&mut stream).await;
        write(&mut stream, half_a_reply).await;
        // The TCP connection closes, and no TLS alert announces it.
        drop(stream);
        let exchange = finished(exchange).await;

        assert_eq!(exchange.sent, Sent::Maybe);
        let failure = failure(&exchange);
        let is_expected = match &partial {
            None => matches!(failure, WireFailure::Closed { .. }),
            Some(_) => matches!(failure, WireFailure::BodyCut { .. }),
        };
        assert!(is_expected, "{half_a_reply:?}: {failure:?}");
        assert_eq!(exchange.partial.map(|partial| partial.body), partial);
    }
}

#[tokio::test]
async fn a_missing_ca_file_fails_this_request_and_is_looked_for_again() {
    let identity = Identity::for_name("localhost");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::bind().await;
    let path = folder.path().join("ca.pem");
    let (wire, _clock) = wire(Target { ca_file: Some(path), ..server.tls_target() });

    let without = wire.send(post()).await;
    ca_file(&folder, &identity.ca_pem);
    let with = start(&wire, post());
    let mut stream = identity.acceptor.accept(server.accept().await).await.expect("trusted");
    read_request(&mut stream).await;
    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;

    assert_eq!(without.sent, Sent::No);
    assert!(matches!(failure(&without), WireFailure::Setup { .. }));
    assert_eq!(reply(finished(with).await).status, 200);
}

#[tokio::test]
async fn time_that_runs_out_while_connecting_proves_that_nothing_was_sent() {
    let server = Server::bind().await;
    let (wire, clock) = wire(Target { pin_sha256: Some([7; 32]), ..server.tls_target() });
    let exchange = start(&wire, post());

    // Accepted, and no handshake ever.
    let _stream = server.accept().await;
    clock.advance(TIMEOUT);
    let exchange = finished(exchange).await;

    assert_eq!(exchange.sent, Sent::No);
    assert!(matches!(failure(&exchange), WireFailure::Timeout { phase: Phase::Connecting, .. }), "{exchange:?}");
}

#[tokio::test]
async fn a_connection_under_way_proves_nothing_when_another_one_was_taken() {
    let identity = Identity::for_name("localhost");
    let server = Server::bind().await;
    let (wire, clock) = wire(Target { pin_sha256: Some(identity.leaf_sha256), ..server.tls_target() });
    let first = start(&wire, post());
    let mut connection = identity.acceptor.accept(server.accept().await).await.expect("trusted");
    read_request(&mut connection).await;

    // The second exchange begins a connection of its own, which hangs; the first one's becomes free meanwhile and is taken.
    let second = start(&wire, post());
    let _hanging = server.accept().await;
    write(&mut connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(reply(finished(first).await).status, 200);
    assert!(!read_request(&mut connection).await.is_empty());
    clock.advance(TIMEOUT);
    let second = finished(second).await;

    assert_eq!(second.sent, Sent::Maybe);
    assert!(matches!(failure(&second), WireFailure::Timeout { phase: Phase::Waiting, .. }));
}

#[tokio::test]
async fn many_exchanges_at_once_get_their_own_replies() {
    let server = Server::bind().await;
    let (wire, _clock) = wire(server.target());
    let (done, mut all_done) = mpsc::channel::<()>(1);
    let serve = tokio::spawn(async move {
        loop {
            let mut stream = server.accept().await;
            let done = done.clone();
            tokio::spawn(async move {
                loop {
                    let seen = read_request(&mut stream).await;
                    let Some(path) = seen.split(' ').nth(1) else { break };
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                    write(&mut stream, answer).await;
                }
                drop(done);
            });
        }
    });

    let exchanges: Vec<_> = (0..32).map(|n| start(&wire, Request::new(Method::GET, format!("/n/{n}")))).collect();
    for (n, exchange) in exchanges.into_iter().enumerate() {
        assert_eq!(reply(finished(exchange).await).body, format!("/api/n/{n}"));
    }
    serve.abort();
    drop(wire);
    assert!(all_done.recv().await.is_none());
}
