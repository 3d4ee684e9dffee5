//! The limits of the sockets, on a clock that is moved by hand: who is too slow, too many or takes nothing is sent away, and
//! nobody else notices.

use billhook::server::Server;
use billhook_plugin_api::Hook;
use billhook_tests::harness::daemon::{Answer, answer, own_uid};
use billhook_tests::harness::front::{Conduct, Front};
use billhook_tests::harness::{Host, Rig, Setup, body};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n";

/// A host that serves its sockets, with a panel that may be made to hang.
struct House {
    rig: Rig,
    front: Front,
    host: Host,
    server: Server,
}

impl House {
    async fn new(socket: &str) -> Self {
        let mut rig = Rig::with(Setup { uid: Some(own_uid()), socket: socket.to_owned(), ..Setup::default() }, |_| {});
        let front = Front::before(&rig).await;
        rig.stand_behind(front.base_url());
        let host = rig.host().await;
        let server = Server::start(host.engine.clone(), host.engine.config()).await.unwrap();
        Self { rig, front, host, server }
    }

    fn hook_socket(&self) -> PathBuf {
        self.host.engine.config().socket.hook_socket()
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.hook_socket()).await.unwrap()
    }

    /// A connection on which part of a request was sent, and read by the host.
    async fn begun(&self, bytes: &str) -> UnixStream {
        let clock = &self.rig.clock;
        let seen = *clock.version().borrow();
        let mut stream = self.connect().await;
        // The host has seen the connection once it waits for it, and the bytes once it waits for something else.
        clock.until_sleepers_change(seen).await;
        let deadline = clock.next_deadline();
        if !bytes.is_empty() {
            stream.write_all(bytes.as_bytes()).await.unwrap();
            clock.until(|clock| clock.next_deadline() != deadline).await;
        }
        stream
    }

    async fn healthy(&self) -> bool {
        let mut stream = self.connect().await;
        stream.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        read(stream).await.is_some_and(|answer| answer.status == 200)
    }

    async fn metric(&self, name: &str) -> f64 {
        let mut stream = UnixStream::connect(self.host.engine.config().socket.admin_socket()).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = read(stream).await.unwrap().text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn stop(self) {
        self.server.stop().await;
        self.host.stop().await;
    }
}

/// What comes until the connection is closed; `None` when that is nothing.
async fn read(mut stream: UnixStream) -> Option<Answer> {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    let text = String::from_utf8(text).unwrap();
    (!text.is_empty()).then(|| answer(&text).0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_head_too_slowly_is_told_so() {
    let house = House::new("").await;
    let slow = house.begun("GET /healthz HT").await;

    house.rig.clock.advance(Duration::from_millis(9_999));
    assert!(house.healthy().await);
    house.rig.clock.advance(Duration::from_millis(1));

    let answer = read(slow).await.expect("a last word");
    assert_eq!(answer.problem(), (408, "request_timeout", None));
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(house.healthy().await);
    assert!(
        (house.metric(r#"billhook_requests_refused_total{socket="hook",type="request_timeout"}"#).await - 1.0).abs()
            < 0.1
    );
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_body_too_slowly_is_told_so() {
    let house = House::new("").await;
    let head =
        "POST /v1/hooks/create HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let slow = house.begun(head).await;

    house.rig.clock.advance(Duration::from_secs(30));

    assert_eq!(read(slow).await.expect("an answer").problem(), (408, "request_timeout", None));
    assert!(house.healthy().await);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed_without_a_word() {
    let house = House::new("").await;
    let idle = house.begun("").await;
    let mut used = house.connect().await;
    used.write_all(GET.as_bytes()).await.unwrap();
    let mut piece = [0; 12];
    used.read_exact(&mut piece).await.unwrap();
    assert_eq!(&piece, b"HTTP/1.1 200");

    house.rig.clock.advance(Duration::from_secs(60));

    assert!(read(idle).await.is_none());
    let mut rest = String::new();
    used.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.contains("HTTP/1.1"), "one answer and no more: {rest}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_an_answer_is_left() {
    let house = House::new("").await;
    let mut stream = house.connect().await;
    // More than the buffers between the two hold.
    let requests = "GET /v1/openapi.json HTTP/1.1\r\nHost: b\r\n\r\n".repeat(50);
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut piece = [0; 12];
    stream.read_exact(&mut piece).await.unwrap();
    assert_eq!(&piece, b"HTTP/1.1 200");

    // When exactly the buffers are full is seen by nobody, so time goes on until the host has had enough.
    let mut turns = 0;
    while house.metric(r#"billhook_connections{socket="hook"}"#).await > 0.5 {
        turns += 1;
        assert!(turns < 10_000, "the host waits for ever");
        house.rig.clock.advance(Duration::from_secs(30));
    }

    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    let answers = String::from_utf8_lossy(&text).matches("HTTP/1.1 200").count();
    assert!(answers < 49, "{answers} further answers");
    assert!(house.healthy().await);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_takes_the_place_of_the_one_that_is_unused_for_longest() {
    let house = House::new("max_connections = 2").await;
    let oldest = house.begun("GET /healthz HT").await;
    house.rig.clock.advance(Duration::from_secs(1));
    let mut newer = house.connect().await;
    newer.write_all(GET.as_bytes()).await.unwrap();
    let mut piece = [0; 12];
    newer.read_exact(&mut piece).await.unwrap();

    assert!(house.healthy().await, "there is a place");

    assert_eq!(read(oldest).await.expect("a last word").problem(), (503, "overloaded", None));
    newer.write_all(GET.as_bytes()).await.unwrap();
    let mut text = piece.to_vec();
    while text.windows(12).filter(|part| *part == b"HTTP/1.1 200").count() < 2 {
        assert!(newer.read_buf(&mut text).await.unwrap() > 0, "the newer one lives on");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_every_connection_is_at_work_a_further_one_is_turned_away() {
    for (limits, word) in [
        ("max_connections = 2", "all connections are taken"),
        ("max_connections = 9\nmax_connections_per_user = 2", "this user has all"),
    ] {
        let house = House::new(limits).await;
        let mut at_work = Vec::new();
        for _ in 0..2 {
            let mut misbehaved = house.front.misbehaved();
            let before = *misbehaved.borrow();
            house.front.plan(0, false, Conduct::SaysAndHangs(Vec::new()));
            let mut stream = house.connect().await;
            let body = body(Hook::Test, "").to_string();
            let head =
                "POST /v1/hooks/test HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Type: application/json\r\n";
            let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(request.as_bytes()).await.unwrap();
            misbehaved.wait_for(|count| *count > before).await.unwrap();
            at_work.push(stream);
        }

        let mut refused = house.connect().await;
        refused.write_all(GET.as_bytes()).await.unwrap();
        let refused = read(refused).await.expect("a last word");

        assert_eq!(refused.problem(), (503, "overloaded", None));
        assert!(refused.text.contains(word), "{}", refused.text);
        assert!(house.metric(r#"billhook_connections_turned_away_total{socket="hook"}"#).await > 0.5);
        // The panel's time is up: the places are free again.
        house.host.advance(Duration::from_secs(30));
        for stream in at_work {
            assert_eq!(read(stream).await.expect("an answer").status, 422);
        }
        assert!(house.healthy().await);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_a_head_are_settings() {
    let house = House::new("max_head = \"32KiB\"\nmax_headers = 100").await;
    for (headers, expected) in [
        (format!("X: {}\r\n", "x".repeat(20_000)), 200),
        (format!("X: {}\r\n", "x".repeat(40_000)), 431),
        ("X: y\r\n".repeat(90), 200),
        ("X: y\r\n".repeat(101), 431),
    ] {
        let mut stream = house.connect().await;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: b\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read(stream).await.expect("an answer");
        assert_eq!(answer.status, expected, "{:.20}… {}", headers, headers.len());
        if expected == 431 {
            assert_eq!(answer.problem(), (431, "head_too_large", None));
        }
    }
    house.stop().await;
}
