//! What a panel can answer that it should not: each with the class of fault that it must end in, over a real connection.
//!
//! A read is never in doubt, and a change always is unless it is proven that the panel did nothing. Whatever was answered,
//! what the host says in the end is true on the panel, and the next hook works.

use billhook::engine::ReadFailure;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook_plugin_api::Hook;
use billhook_tests::harness::front::{Conduct, EXCHANGE_TIMEOUT, Front, Handshake};
use billhook_tests::harness::{Host, PLATFORM, Rig, Setup, body};
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use serde_json::Value;
use std::io::Write as _;
use std::time::Duration;

const SERVICE: &str = "1007";
const JSON: &str = "Content-Type: application/json";

/// What a panel does, and what becomes of a status and of a suspension that meet it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) conduct: Conduct,
    read: &'static str,
    change: &'static str,
}

pub(crate) fn row(name: &'static str, conduct: Conduct, read: &'static str, change: &'static str) -> Row {
    Row { name, conduct, read, change }
}

/// An answer with a length.
pub(crate) fn says(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Conduct {
    Conduct::Says(whole(status, headers, body))
}

fn whole(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn raw(text: impl AsRef<[u8]>) -> Conduct {
    Conduct::Says(text.as_ref().to_vec())
}

pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A hundred million zeros, in a hundred kilobytes. A million is packed, and its blocks come a hundred times: what refers to
/// something before finds zeros there. The sum at the end is wrong, and nobody should come so far.
fn bomb() -> Vec<u8> {
    const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const LAST_BLOCK_AND_SUMS: &[u8] = &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut piece = Vec::with_capacity(1 << 16);
    let mut packer = Compress::new(Compression::best(), false);
    packer.compress_vec(&vec![b'0'; 1 << 20], &mut piece, FlushCompress::Sync).unwrap();
    assert_eq!(packer.total_in(), 1 << 20);
    [HEAD, &piece.repeat(100), LAST_BLOCK_AND_SUMS].concat()
}

const OK_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

/// The connection itself, and HTTP.
pub(crate) fn of_the_wire() -> Vec<Row> {
    let head = |rest: &str| format!("{OK_HEAD}{rest}\r\n\r\n").into_bytes();
    let gzip = |bytes: Vec<u8>| says("200 OK", &format!("{JSON}\r\nContent-Encoding: gzip"), bytes);
    let good = packed(br#"{"data":{}}"#);
    let flood = |head: &[u8], piece: Vec<u8>, times| Conduct::Floods(head.to_vec(), piece, times);
    vec![
        row("reset before it is read", Conduct::Reset, "panel_bug", "in_doubt"),
        row("closed instead of an answer", raw(""), "panel_bug", "in_doubt"),
        row("reset instead of an answer", Conduct::SaysAndResets(vec![]), "panel_bug", "in_doubt"),
        row("closed within the head", raw("HTTP/1.1 200 OK\r\nContent-Le"), "panel_bug", "in_doubt"),
        row(
            "reset within the head",
            Conduct::SaysAndResets(b"HTTP/1.1 200 OK\r\nCo".to_vec()),
            "panel_bug",
            "in_doubt",
        ),
        row("closed within the body", raw(head("Content-Length: 100")), "panel_bug", "in_doubt"),
        row("reset within the body", Conduct::SaysAndResets(head("Content-Length: 100")), "panel_bug", "in_doubt"),
        row("never read", Conduct::Ignored, "timeout", "in_doubt"),
        row("hangs before the head", Conduct::SaysAndHangs(vec![]), "timeout", "in_doubt"),
        row("hangs in the head", Conduct::SaysAndHangs(b"HTTP/1.1 200 OK\r\nConte".to_vec()), "timeout", "in_doubt"),
        row("hangs in the body", Conduct::SaysAndHangs(head("Content-Length: 100")), "timeout", "in_doubt"),
        row("drips its head", Conduct::Drips(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), "timeout", "in_doubt"),
        row("drips its body", Conduct::Drips(head("Content-Length: 1000")), "timeout", "in_doubt"),
        row(
            "endless headers",
            flood(b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n".repeat(1_000), 10_000),
            "panel_bug",
            "in_doubt",
        ),
        row("an endless header", flood(b"HTTP/1.1 200 OK\r\nX: ", vec![b'x'; 1 << 16], 1_600), "panel_bug", "in_doubt"),
        row(
            "two hundred headers",
            raw(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200))),
            "panel_bug",
            "in_doubt",
        ),
        row("a flood of 100", flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100), 1_000), "panel_bug", "in_doubt"),
        row(
            "100 MB, announced",
            flood(&head("Content-Length: 100000000"), vec![b'1'; 1 << 16], 1_600),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "100 MB, in chunks",
            flood(
                &head("Transfer-Encoding: chunked"),
                [b"10000\r\n".to_vec(), vec![b'1'; 1 << 16], b"\r\n".to_vec()].concat(),
                1_600,
            ),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "100 MB, until it closes",
            flood(&head("Connection: close"), vec![b'1'; 1 << 16], 1_600),
            "panel_bug",
            "in_doubt",
        ),
        row("a gzip bomb", gzip(bomb()), "panel_bug", "in_doubt"),
        row("gzip, cut short", gzip(good[..good.len() - 6].to_vec()), "panel_bug", "in_doubt"),
        row("gzip that is none", gzip(b"oops".to_vec()), "panel_bug", "in_doubt"),
        row("gzip with something behind", gzip([good.clone(), b"behind".to_vec()].concat()), "panel_bug", "in_doubt"),
        row("packed twice", says("200 OK", "Content-Encoding: gzip, gzip", packed(&good)), "panel_bug", "in_doubt"),
        row("another encoding", says("200 OK", "Content-Encoding: br", "oops"), "panel_bug", "in_doubt"),
        row("two lengths", raw(head("Content-Length: 2\r\nContent-Length: 3")), "panel_bug", "in_doubt"),
        row("a length below zero", raw(head("Content-Length: -1")), "panel_bug", "in_doubt"),
        row("a length that is none", raw(head("Content-Length: many")), "panel_bug", "in_doubt"),
        row(
            "a chunk that is none",
            raw([head("Transfer-Encoding: chunked"), b"zz\r\n".to_vec()].concat()),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "a chunk beyond all numbers",
            raw([head("Transfer-Encoding: chunked"), b"fffffffffffffffff\r\n".to_vec()].concat()),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "chunks without an end",
            raw([head("Transfer-Encoding: chunked"), b"2\r\n{}\r\n".to_vec()].concat()),
            "panel_bug",
            "in_doubt",
        ),
        row("another protocol", raw("SSH-2.0-OpenSSH_9.6\r\n"), "panel_bug", "in_doubt"),
        row("a page without a head", raw("<html>hello</html>"), "panel_bug", "in_doubt"),
        row("noise", raw([0x16, 0x03, 0x01, 0x00, 0xff, 0x80]), "panel_bug", "in_doubt"),
        row("a status that is none", raw("HTTP/1.1 abc\r\n\r\n"), "panel_bug", "in_doubt"),
        row("another version of HTTP", raw("HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n"), "panel_bug", "in_doubt"),
        row(
            "a change of protocol",
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "a header with a NUL",
            raw("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
            "panel_bug",
            "in_doubt",
        ),
    ]
}

/// Whole answers with a wrong status or a body that is not the API's. `server` is what the panel says of the server.
fn of_the_api(server: &str) -> Vec<Row> {
    let ok = |body: &str| says("200 OK", JSON, body);
    let words = |status: &str| says(status, JSON, r#"{"msg":"no"}"#);
    let page = |status: &str| says(status, "Content-Type: text/html", "<html><h1>an error</h1></html>");
    let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let entities = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><a>&d;</a>"#;
    let utf16: Vec<u8> = server.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin = [br#"{"data":{"name":""#.as_slice(), &[0xfc, 0xdf], br#""}}"#].concat();
    let with_id = |other: &str| {
        let mut marked: Value = serde_json::from_str(server).unwrap();
        marked["data"]["id"] = Value::from("@");
        // As text, since no number of ours holds them all.
        marked.to_string().replacen(r#""@""#, other, 1)
    };
    let twice = format!("{},{}", server.trim_end_matches('}'), r#""data":{"id":1}}"#);
    let to = |status: &str, place: &str| says(status, &format!("Location: {place}"), "");
    vec![
        row("a web page", page("200 OK"), "panel_bug", "in_doubt"),
        row("a web page that says it is JSON", ok("<html></html>"), "panel_bug", "in_doubt"),
        row("text", says("200 OK", "Content-Type: text/plain", "OK"), "panel_bug", "in_doubt"),
        row("nothing", ok(""), "panel_bug", "-"),
        row("null", ok("null"), "panel_bug", "-"),
        row("a list", ok("[]"), "panel_bug", "-"),
        row("an object without data", ok("{}"), "panel_bug", "-"),
        row("data that is null", ok(r#"{"data":null}"#), "panel_bug", "-"),
        row("data that is a list", ok(r#"{"data":[]}"#), "panel_bug", "-"),
        row("words instead of data", ok(r#"{"msg":"an error"}"#), "panel_bug", "panel_bug"),
        row("10,000 levels", ok(&deep), "panel_bug", "in_doubt"),
        row(
            "entities within entities",
            says("200 OK", "Content-Type: application/xml", entities),
            "panel_bug",
            "in_doubt",
        ),
        row("entities that say they are JSON", ok(entities), "panel_bug", "in_doubt"),
        row("UTF-16", says("200 OK", "Content-Type: application/json; charset=utf-16", utf16), "panel_bug", "in_doubt"),
        row(
            "Latin-1",
            says("200 OK", "Content-Type: application/json; charset=iso-8859-1", latin),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "a byte order mark",
            says("200 OK", JSON, [b"\xef\xbb\xbf".as_slice(), server.as_bytes()].concat()),
            "panel_bug",
            "in_doubt",
        ),
        row("NUL bytes", says("200 OK", JSON, [0; 100]), "panel_bug", "in_doubt"),
        row("JSON, cut short", ok(&server[..server.len() / 2]), "panel_bug", "in_doubt"),
        row("JSON with something behind", ok(&format!("{server} x")), "panel_bug", "in_doubt"),
        row("an id that is no number", ok(&with_id("1e999")), "panel_bug", "in_doubt"),
        row("an id beyond all numbers", ok(&with_id(&"9".repeat(60))), "panel_bug", "-"),
        row("an id below zero", ok(&with_id("-1")), "panel_bug", "-"),
        row("another server", ok(&with_id("999999")), "panel_bug", "-"),
        row("a member twice", ok(&twice), "panel_bug", "in_doubt"),
        row(
            "204 with a body",
            raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
            "panel_bug",
            "-",
        ),
        row("304", raw("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"), "panel_bug", "in_doubt"),
        row("a redirect to itself", to("302 Found", "/api/v1/servers/1"), "panel_bug", "in_doubt"),
        row(
            "a redirect elsewhere",
            to("301 Moved Permanently", "http://192.0.2.1/api/v1/servers/1"),
            "panel_bug",
            "in_doubt",
        ),
        row(
            "a redirect that keeps the method",
            to("307 Temporary Redirect", "https://evil.example/"),
            "panel_bug",
            "in_doubt",
        ),
        row("a redirect to nowhere", says("302 Found", "", ""), "panel_bug", "in_doubt"),
        row("400", words("400 Bad Request"), "invalid_input", "invalid_input"),
        row("401", words("401 Unauthorized"), "auth", "auth"),
        row("403", words("403 Forbidden"), "permission", "permission"),
        row("403, a page", page("403 Forbidden"), "permission", "permission"),
        row("404, a page", page("404 Not Found"), "panel_bug", "in_doubt"),
        row("404 without a word", says("404 Not Found", "", ""), "panel_bug", "in_doubt"),
        row("409", words("409 Conflict"), "conflict_busy", "conflict_busy"),
        row("418", words("418 I'm a teapot"), "panel_bug", "panel_bug"),
        row("422", words("422 Unprocessable Content"), "invalid_input", "invalid_input"),
        row("423", words("423 Locked"), "conflict_busy", "conflict_busy"),
        row("429", says("429 Too Many Requests", "Retry-After: 7", ""), "rate_limited", "rate_limited"),
        row(
            "429 with nonsense",
            says("429 Too Many Requests", "Retry-After: soon", ""),
            "rate_limited",
            "rate_limited",
        ),
        row("500", words("500 Internal Server Error"), "panel_bug", "in_doubt"),
        row("502, a page", page("502 Bad Gateway"), "panel_bug", "in_doubt"),
        row("503", words("503 Service Unavailable"), "conflict_busy", "conflict_busy"),
        row("504, a page", page("504 Gateway Timeout"), "panel_bug", "in_doubt"),
        row("599", words("599 Whatever"), "panel_bug", "in_doubt"),
        row("999", words("999 Whatever"), "panel_bug", "in_doubt"),
    ]
}

/// A host whose service is made, and the server that stands before its panel.
struct House {
    rig: Rig,
    front: Front,
    host: Host,
}

impl House {
    async fn new() -> Self {
        let rig = Rig::new();
        let front = Front::before(&rig).await;
        Self::behind(rig, front).await
    }

    async fn behind(mut rig: Rig, front: Front) -> Self {
        rig.panel().tune(|knobs| {
            knobs.build_start_ms = 0;
            knobs.build_ms = 0;
        });
        rig.stand_behind(front.base_url());
        let host = rig.host().await;
        assert_eq!(host.run(Hook::Create, SERVICE).await.state, State::Succeeded);
        Self { rig, front, host }
    }

    fn is_suspended(&self) -> bool {
        self.rig.panel().servers()[0].suspended
    }

    /// What the panel says of the server.
    async fn server_text(&self) -> String {
        let before = self.front.lines().len();
        assert_eq!(self.status().await, "active");
        let line = self.front.lines()[before].clone();
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.rig.running.token()
        );
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.rig.running.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// A status: the billing word, or the class of the fault.
    async fn status(&self) -> String {
        let body = HookBody::parse(body(Hook::Status, SERVICE).to_string().as_bytes()).unwrap();
        match self.host.engine.read_hook(PLATFORM, Hook::Status, body).await {
            Ok(answer) => serde_json::to_value(answer.outcome.state).unwrap().as_str().unwrap_or("-").to_owned(),
            Err(ReadFailure::Fault { fault, .. }) => {
                let text = format!("{fault} {fault:?}");
                assert!(!text.contains(self.rig.running.token()), "the token is told: {text}");
                fault.class.to_string()
            }
            Err(ReadFailure::Problem(problem)) => panic!("refused: {problem}"),
        }
    }

    /// Lets the time of an exchange pass from the moment in which the connection has met what was planned.
    async fn wait_out(&self, before: usize, is_over: impl Fn() -> bool) {
        let mut misbehaved = self.front.misbehaved();
        misbehaved.wait_for(|count| *count > before).await.unwrap();
        // A drip at every second buys no time.
        for second in 1..=EXCHANGE_TIMEOUT.as_secs() {
            assert!(!is_over(), "it ended after {second} seconds");
            self.front.drip();
            tokio::task::yield_now().await;
            self.host.advance(Duration::from_secs(1));
        }
    }
}

fn waits(conduct: &Conduct) -> bool {
    matches!(conduct, Conduct::Ignored | Conduct::SaysAndHangs(_) | Conduct::Drips(_))
}

async fn rows(house: &House) -> Vec<Row> {
    let mut rows = of_the_wire();
    rows.extend(of_the_api(&house.server_text().await));
    assert!(rows.len() >= 40, "{} rows", rows.len());
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_answer_to_a_read_is_a_fault_of_its_class() {
    let house = House::new().await;
    let mut wrong = Vec::new();
    for Row { name, conduct, read, .. } in rows(&house).await {
        let before = *house.front.misbehaved().borrow();
        house.front.plan(0, false, conduct.clone());

        let found = if waits(&conduct) {
            let status = house.status();
            tokio::pin!(status);
            tokio::select! {
                found = &mut status => panic!("{name}: {found} before its time"),
                () = house.wait_out(before, || false) => {}
            }
            status.await
        } else {
            house.status().await
        };

        if found != read {
            wrong.push(format!("{name}: {found}, not {read}"));
        }
        assert!(!house.front.is_pending(), "{name}: it never came to it, and the status is {found}: {wrong:#?}");
        assert_eq!(house.status().await, "active", "after {name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    house.host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_answer_to_a_change_leaves_the_truth() {
    let house = House::new().await;
    let mut wrong = Vec::new();
    for Row { name, conduct, change, .. } in rows(&house).await {
        let is_unread = matches!(conduct, Conduct::Reset | Conduct::Ignored);
        // Where it may have happened, both: it did not, and it did. Who is told of a success believes it.
        let carried_out: &[bool] = match change {
            "in_doubt" if !is_unread => &[false, true],
            "-" => &[true],
            _ => &[false],
        };
        for &is_carried_out in carried_out {
            let what = format!("{name}, {}", if is_carried_out { "carried out" } else { "not carried out" });
            let wanted = !house.is_suspended();
            let hook = if wanted { Hook::Suspend } else { Hook::Unsuspend };
            let before = *house.front.misbehaved().borrow();
            house.front.plan(1, is_carried_out, conduct.clone());

            let id = house.host.send(hook, body(hook, SERVICE)).await.unwrap();
            if waits(&conduct) {
                house.wait_out(before, || house.host.engine.is_idle()).await;
            }
            house.host.rest().await;
            let fault = house.host.operation(&id).await.fault;
            let found = fault.as_ref().map_or("-".to_owned(), |fault| fault.class.to_string());
            if found != change {
                wrong.push(format!("{what}: {found}, not {change}: {fault:?}"));
            }
            assert!(!house.front.is_pending(), "{what}: it never came to it: {fault:?}: {wrong:#?}");
            let line = house.front.lines().last().cloned().unwrap_or_default();

            let ended = house.host.drive(&id).await;
            let truth = house.is_suspended();
            match ended.state {
                State::Succeeded if truth == wanted => {}
                State::Failed if truth != wanted => {}
                state => wrong.push(format!("{what}: {state} ({:?}), and suspended is {truth} ({line})", ended.reason)),
            }
            if ended.state == State::Attention {
                panic!("{wrong:#?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(house.rig.panel().violations(), Vec::<String>::new());
    house.host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_prove_to_be_the_panel_is_not_talked_to() {
    let mut rig = Rig::new();
    let front = Front::before_with_tls(&rig).await;
    let authority = rig.folder.path().join("authority.pem");
    std::fs::write(&authority, front.authority_pem()).unwrap();
    let server = format!("ca_file = \"{}\"", authority.display());
    // Where the panel is comes with the next line of the house.
    rig.stand_behind(front.base_url());
    rig.reconfigure(Setup { server, ..Setup::default() });
    let house = House::behind(rig, front).await;

    for (handshake, class) in [
        (Handshake::Expired, "unreachable"),
        (Handshake::OtherName, "unreachable"),
        (Handshake::SelfSigned, "unreachable"),
        (Handshake::OtherAuthority, "unreachable"),
        (Handshake::Cut, "unreachable"),
        (Handshake::Plain, "unreachable"),
        (Handshake::Silent, "unreachable"),
    ] {
        let lines = house.front.lines().len();
        let before = *house.front.misbehaved().borrow();
        house.front.plan_handshake(handshake);

        let found = if handshake == Handshake::Silent {
            let status = house.status();
            tokio::pin!(status);
            tokio::select! {
                found = &mut status => panic!("{found} before its time"),
                () = house.wait_out(before, || false) => {}
            }
            status.await
        } else {
            house.status().await
        };

        assert_eq!(found, class, "{handshake:?}");
        assert_eq!(house.front.lines().len(), lines, "{handshake:?}: not a byte of the request");
        let truth = if house.is_suspended() { "suspended" } else { "active" };
        assert_eq!(house.status().await, truth, "after {handshake:?}");

        // A change that never left is tried again by itself, and is done once.
        let wanted = !house.is_suspended();
        let hook = if wanted { Hook::Suspend } else { Hook::Unsuspend };
        house.front.plan_handshake(handshake);
        let before = *house.front.misbehaved().borrow();
        let id = house.host.send(hook, body(hook, SERVICE)).await.unwrap();
        if handshake == Handshake::Silent {
            house.wait_out(before, || house.host.engine.is_idle()).await;
        }
        house.host.rest().await;
        let waiting = house.host.operation(&id).await;
        assert_eq!(waiting.fault.map(|fault| fault.class.to_string()).as_deref(), Some(class), "{handshake:?}");
        assert_eq!(house.host.drive(&id).await.state, State::Succeeded, "{handshake:?}");
        assert_eq!(house.is_suspended(), wanted);
    }
    house.host.stop().await;
}
