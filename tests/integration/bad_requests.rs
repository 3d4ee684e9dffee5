//! What a caller can send that it should not, over a real socket: each is refused with the status, the type and the place that
//! fit, nothing is stored or sent for it, and the next good hook works as before.

use billhook_plugin_api::Hook;
use billhook_tests::harness::daemon::{Answer, Daemon, answer, exchange, exchange_parts, own_uid, request};
use billhook_tests::harness::description::Description;
use billhook_tests::harness::{Rig, Setup, body};
use serde_json::json;

const SERVICE: &str = "1007";
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Hook,
    Admin,
}

/// Bytes on a socket, and the status, type and place that they are answered with.
struct Row {
    name: String,
    on: On,
    bytes: Vec<u8>,
    expected: (u16, &'static str, Option<&'static str>),
}

const fn invalid(place: &'static str) -> (u16, &'static str, Option<&'static str>) {
    (400, "invalid_request", Some(place))
}

const BAD_HTTP: (u16, &str, Option<&str>) = (400, "invalid_request", None);
const NOT_FOUND: (u16, &str, Option<&str>) = (404, "not_found", None);
const TOO_LONG: (u16, &str, Option<&str>) = (431, "head_too_large", None);

/// A hook with this body.
fn hook(word: &str, body: impl AsRef<[u8]>, expected: (u16, &'static str, Option<&'static str>)) -> Row {
    let shown: String = String::from_utf8_lossy(body.as_ref()).chars().take(80).collect();
    let bytes = request(&format!("POST /v1/hooks/{word}"), &[JSON], body.as_ref());
    Row { name: format!("{word} {shown}"), on: On::Hook, bytes, expected }
}

/// A good create but for its headers.
fn headed(headers: &[(&str, &str)], expected: (u16, &'static str, Option<&'static str>)) -> Row {
    let body = body(Hook::Create, "2000").to_string();
    let bytes = request("POST /v1/hooks/create", headers, body.as_bytes());
    let name = format!("{:.80}", format!("{headers:?}"));
    Row { name, on: On::Hook, bytes, expected }
}

fn line(on: On, line: &str, expected: (u16, &'static str, Option<&'static str>)) -> Row {
    Row { name: line.to_owned(), on, bytes: request(line, &[], b""), expected }
}

fn raw(name: &str, bytes: impl AsRef<[u8]>, expected: (u16, &'static str, Option<&'static str>)) -> Row {
    Row { name: name.to_owned(), on: On::Hook, bytes: bytes.as_ref().to_vec(), expected }
}

fn of_the_body() -> Vec<Row> {
    let deep = |open: &str, close: &str| {
        let inner = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        format!(r#"{{"service":{{"id":"1007"}},"action":"a","params":{inner}}}"#)
    };
    let create = |rest: &str| format!(r#"{{"service":{{"id":"2000"}},"product":{{"id":"vps"}}{rest}}}"#);
    let options =
        |options: &str| format!(r#"{{"service":{{"id":"2000"}},"product":{{"id":"vps","options":{options}}}}}"#);
    let utf16: Vec<u8> = create("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = "i".repeat(256);
    vec![
        hook("create", "", invalid("")),
        hook("create", " ", invalid("")),
        hook("create", "{", invalid("")),
        hook("create", r#"{"service":{"id":"20"#, invalid("")),
        hook("create", create(","), invalid("")),
        hook("create", "{'service':1}", invalid("")),
        hook("create", "service=2000&product=vps", invalid("")),
        hook("create", "<create/>", invalid("")),
        hook("create", format!("{} x", create("")), invalid("")),
        hook("create", create("").repeat(2), invalid("")),
        hook("create", "[]", invalid("")),
        hook("create", r#"["2000","vps"]"#, invalid("")),
        hook("create", "null", invalid("")),
        hook("create", r#""create""#, invalid("")),
        hook("create", utf16, invalid("")),
        hook("create", [b"\xef\xbb\xbf".as_slice(), create("").as_bytes()].concat(), invalid("")),
        hook("create", b"{\"service\":{\"id\":\"\xff\xfe\"}}", invalid("")),
        hook("create", "{\"service\":{\"id\":\"a\nb\"}}", invalid("")),
        hook("create", r#"{"service":{"id":"\ud800"}}"#, invalid("")),
        hook("create", options("{\"memory\":1e999}"), invalid("")),
        hook("create", options("{\"memory\":NaN}"), invalid("")),
        hook("action", deep("[", "]"), invalid("")),
        hook("action", deep("{\"a\":", "}"), invalid("")),
        hook("create", create(r#","service":{"id":"2001"}"#), invalid("/service")),
        hook("create", r#"{"service":{"id":"2000","id":"2001"},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook(
            "create",
            options(r#"{"default_ipv4":true,"default_ipv4":false}"#),
            invalid("/product/options/default_ipv4"),
        ),
        hook("create", options(r#"{"name":"a\u0000b"}"#), invalid("/product/options/name")),
        hook("create", create(r#","colour":1"#), invalid("/colour")),
        hook("create", create(r#","Service":1"#), invalid("/Service")),
        hook("create", r#"{"service":{"id":"2000","ip":"192.0.2.1"},"product":{"id":"vps"}}"#, invalid("/service/ip")),
        hook("create", r#"{"service":{"id":"2000"},"product":{"id":"vps","plan":1}}"#, invalid("/product/plan")),
        hook("create", create(r#","client":{"mail":"x"}"#), invalid("/client/mail")),
        hook("create", r#"{"service":["2000"],"product":{"id":"vps"}}"#, invalid("/service")),
        hook("create", r#"{"service":{"id":"2000"},"product":["vps",{}]}"#, invalid("/product")),
        hook("create", create(r#","client":["Acme"]"#), invalid("/client")),
        hook("create", options("[1]"), invalid("/product/options")),
        hook("create", r#"{"service":{"id":2000},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook("create", r#"{"service":{"id":null},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook("create", r#"{"service":{"id":["2000"]},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook("create", r#"{"service":{},"product":{"id":"vps"}}"#, invalid("/service")),
        hook("create", r#"{"product":{"id":"vps"}}"#, invalid("/service")),
        hook("create", r#"{"service":null,"product":{"id":"vps"}}"#, invalid("/service")),
        hook("create", r#"{"service":{"id":"2000"}}"#, invalid("/product")),
        hook("create", r#"{"service":{"id":""},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook("create", r#"{"service":{"id":"  "},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook("create", r#"{"service":{"id":"a\u0007"},"product":{"id":"vps"}}"#, invalid("/service/id")),
        hook("create", format!(r#"{{"service":{{"id":"{long}"}},"product":{{"id":"vps"}}}}"#), invalid("/service/id")),
        hook("create", r#"{"service":{"id":"2000","domain":""},"product":{"id":"vps"}}"#, invalid("/service/domain")),
        hook("create", create(r#","password":7"#), invalid("/password")),
        hook("create", create(r#","reason":"x""#), invalid("/reason")),
        hook("create", create(r#","server":"panel""#), invalid("/server")),
        hook("create", create(r#","paid_until":{"from":"2028-01-01","to":"2028-02-01"}"#), invalid("/paid_until")),
        hook(
            "create",
            r#"{"service":{"id":"2000"},"product":{"id":"none"}}"#,
            (422, "not_configured", Some("/product/id")),
        ),
        hook("create", options(r#"{"default_ipv4":"two"}"#), invalid("/product/options/default_ipv4")),
        hook("create", options(r#"{"colour":1}"#), invalid("/product/options")),
        hook("suspend", r#"{"service":{"id":"1007"},"product":{"id":"vps"}}"#, invalid("/product")),
        hook("suspend", r#"{"service":{"id":"1007"},"confirm":"yes"}"#, invalid("/confirm")),
        hook("suspend", r#"{"service":{"id":"unknown"}}"#, (404, "unknown_service", None)),
        hook("status", r#"{"service":{"id":"unknown"}}"#, (404, "unknown_service", None)),
        hook("status", r#"{"service":{"id":"1007"},"password":"x"}"#, invalid("/password")),
        hook("renew", r#"{"service":{"id":"1007"}}"#, invalid("/paid_until")),
        hook("renew", r#"{"service":{"id":"1007"},"paid_until":["2028-01-01","2028-02-01"]}"#, invalid("/paid_until")),
        hook("renew", r#"{"service":{"id":"1007"},"paid_until":{"from":"2028-01-01"}}"#, invalid("/paid_until")),
        hook(
            "renew",
            r#"{"service":{"id":"1007"},"paid_until":{"from":"2028-02-30","to":"2028-03-01"}}"#,
            invalid("/paid_until/from"),
        ),
        hook(
            "renew",
            r#"{"service":{"id":"1007"},"paid_until":{"from":"2028-01-01","to":"01.02.2028"}}"#,
            invalid("/paid_until/to"),
        ),
        hook(
            "renew",
            r#"{"service":{"id":"1007"},"paid_until":{"from":"2028-01-01","to":"2028-01-01T00:00:00Z"}}"#,
            invalid("/paid_until/to"),
        ),
        hook(
            "renew",
            r#"{"service":{"id":"1007"},"paid_until":{"from":"2028-02-01","to":"2028-01-01"}}"#,
            invalid("/paid_until/to"),
        ),
        hook("power", r#"{"service":{"id":"1007"}}"#, invalid("/power")),
        hook("power", r#"{"service":{"id":"1007"},"power":"explode"}"#, invalid("/power")),
        hook("reinstall", r#"{"service":{"id":"1007"}}"#, invalid("/confirm")),
        hook("reinstall", r#"{"service":{"id":"1007"},"confirm":false}"#, invalid("/confirm")),
        hook("change_password", r#"{"service":{"id":"1007"},"target":"nobody"}"#, invalid("/target")),
        hook("change_package", r#"{"service":{"id":"1007"}}"#, invalid("/product")),
        hook("order_addons", r#"{"service":{"id":"1007"},"addons":[]}"#, invalid("/addons")),
        hook("order_addons", r#"{"service":{"id":"1007"},"addons":{"id":"ip"}}"#, invalid("/addons")),
        hook("order_addons", r#"{"service":{"id":"1007"},"addons":[["ip",1]]}"#, invalid("/addons/0")),
        hook(
            "order_addons",
            r#"{"service":{"id":"1007"},"addons":[{"id":"ip","quantity":0}]}"#,
            invalid("/addons/0/quantity"),
        ),
        hook(
            "order_addons",
            r#"{"service":{"id":"1007"},"addons":[{"id":"ip","quantity":-1}]}"#,
            invalid("/addons/0/quantity"),
        ),
        hook(
            "order_addons",
            r#"{"service":{"id":"1007"},"addons":[{"id":"ip","quantity":1.5}]}"#,
            invalid("/addons/0/quantity"),
        ),
        hook(
            "order_addons",
            r#"{"service":{"id":"1007"},"addons":[{"id":"ip"},{"id":"ip"}]}"#,
            invalid("/addons/1/id"),
        ),
        hook("test", r#"{}"#, invalid("/server")),
        hook("test", r#"{"server":"none"}"#, (422, "not_configured", None)),
        hook("test", r#"{"server":"panel","service":{"id":"1007"}}"#, invalid("/service")),
        hook("options", r#"{"server":"panel"}"#, invalid("/field")),
        hook("action", r#"{"service":{"id":"1007"}}"#, invalid("/action")),
        hook("action", r#"{"service":{"id":"1007"},"action":"dance"}"#, (422, "unsupported", None)),
        hook("terminate", r#"{"service":{"id":"1007"}}"#, (403, "hook_not_allowed", None)),
        hook("dance", r#"{"service":{"id":"1007"}}"#, NOT_FOUND),
    ]
}

fn of_the_headers() -> Vec<Row> {
    let long_key = "k".repeat(256);
    let long_value = "v".repeat(20_000);
    let many: Vec<(String, &str)> = (0..100).map(|number| (format!("X-{number}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let media = |value| headed(&[("Content-Type", value)], (415, "unsupported_media_type", Some("Content-Type")));
    let with = |name, value, expected| headed(&[JSON, (name, value)], expected);
    let key = invalid("Idempotency-Key");
    vec![
        headed(&[], (415, "unsupported_media_type", Some("Content-Type"))),
        media("text/plain"),
        media("application/x-www-form-urlencoded"),
        media("multipart/form-data; boundary=x"),
        media("application/json; charset=iso-8859-1"),
        media("application/jsonp"),
        headed(&[JSON, JSON], (415, "unsupported_media_type", Some("Content-Type"))),
        with("Idempotency-Key", "", key),
        with("Idempotency-Key", &long_key, key),
        with("Idempotency-Key", "two words", key),
        with("Idempotency-Key", "schl\u{fc}ssel", key),
        headed(&[JSON, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")], key),
        with("Prefer", "wait=soon", invalid("Prefer")),
        with("Prefer", "wait=-1", invalid("Prefer")),
        with("Prefer", "wait=1.5", invalid("Prefer")),
        with("Prefer", "wait", invalid("Prefer")),
        with("Expires", "tomorrow", invalid("Expires")),
        with("Expires", "2028-13-01T00:00:00Z", invalid("Expires")),
        with("Expires", "1700000000", invalid("Expires")),
        with("Expires", "2020-01-01T00:00:00Z", (410, "expired", None)),
        with("Expires", "Wed, 01 Jan 2020 00:00:00 GMT", (410, "expired", None)),
        headed(&[JSON, ("Expires", "2099-01-01T00:00:00Z"), ("Expires", "2099-01-01T00:00:00Z")], invalid("Expires")),
        with("Billhook-Platform", "whmcs", (403, "not_allowed", None)),
        headed(&[JSON, ("Billhook-Platform", "shop"), ("Billhook-Platform", "shop")], invalid("Billhook-Platform")),
        with("X-Long", &long_value, TOO_LONG),
        headed(&[&[JSON], many.as_slice()].concat(), TOO_LONG),
        with("Host", "another", invalid("Host")),
    ]
}

fn of_the_line() -> Vec<Row> {
    const ID: &str = "op_01J00000000000000000000000";
    vec![
        line(On::Hook, "GET /", NOT_FOUND),
        line(On::Hook, "GET /v2/operations", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/", NOT_FOUND),
        line(On::Hook, "GET //v1/operations", NOT_FOUND),
        line(On::Hook, "GET /v1/../v1/operations", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/../../../etc/passwd", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/%2e%2e%2flog", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/..%5c..%5cetc", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/%00", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/%ff", NOT_FOUND),
        line(On::Hook, "GET /v1/operations/op_1", NOT_FOUND),
        line(On::Hook, &format!("GET /v1/operations/{ID}"), NOT_FOUND),
        line(On::Hook, &format!("POST /v1/operations/{ID}/acknowledge"), NOT_FOUND),
        line(On::Hook, "GET /v1/services/other/1007", NOT_FOUND),
        line(On::Hook, "GET /v1/services/shop/%2e%2e", NOT_FOUND),
        line(On::Hook, "GET /v1/services/other/1007/timeline", NOT_FOUND),
        line(On::Hook, "GET /v1/services?status=broken", invalid("?status")),
        line(On::Hook, "GET /v1/services?after=1007", invalid("?after")),
        line(On::Hook, "GET /v1/services/shop/1007/timeline?before=yesterday", invalid("?before")),
        line(On::Hook, &format!("GET /v1/operations/{ID}/events"), NOT_FOUND),
        line(On::Hook, &format!("GET /v1/operations/{ID}/events?wait=1"), invalid("?wait")),
        line(On::Hook, "GET /v1/hooks/create", (405, "method_not_allowed", None)),
        line(On::Hook, "DELETE /v1/operations", (405, "method_not_allowed", None)),
        line(On::Hook, "TRACE /healthz", (405, "method_not_allowed", None)),
        line(On::Hook, "DANCE /healthz", (405, "method_not_allowed", None)),
        line(On::Hook, "OPTIONS *", NOT_FOUND),
        line(On::Hook, "GET /v1/operations?state=broken", invalid("?state")),
        line(On::Hook, "GET /v1/operations?limit=0", invalid("?limit")),
        line(On::Hook, "GET /v1/operations?limit=1001", invalid("?limit")),
        line(On::Hook, "GET /v1/operations?limit=-1", invalid("?limit")),
        line(On::Hook, "GET /v1/operations?limit=99999999999999999999", invalid("?limit")),
        line(On::Hook, "GET /v1/operations?before=yesterday", invalid("?before")),
        line(On::Hook, "GET /v1/operations?hook=dance", invalid("?hook")),
        line(On::Hook, "GET /v1/operations?hook=create&hook=create", invalid("?hook")),
        line(On::Hook, "GET /v1/operations?colour=red", invalid("?colour")),
        line(On::Hook, "GET /v1/log", (403, "not_allowed", None)),
        line(On::Hook, "GET /metrics", (403, "not_allowed", None)),
        line(On::Hook, "GET /v1/servers", (403, "not_allowed", None)),
        line(On::Hook, "GET /v1/servers/panel", (403, "not_allowed", None)),
        line(On::Hook, "GET /v1/servers/panel/options/vcpus", (403, "not_allowed", None)),
        line(On::Hook, "POST /v1/servers/panel/test", (403, "not_allowed", None)),
        line(On::Hook, "POST /v1/servers/panel/pause", (403, "not_allowed", None)),
        line(On::Hook, "GET /v1/log/tail", (403, "not_allowed", None)),
        line(On::Hook, &format!("POST /v1/operations/{ID}/retry"), (403, "not_allowed", None)),
        line(On::Admin, &format!("POST /v1/operations/{ID}/retry"), NOT_FOUND),
        line(
            On::Admin,
            &format!("POST /v1/operations/{ID}/settle"),
            (415, "unsupported_media_type", Some("Content-Type")),
        ),
        line(On::Admin, "GET /v1/log?state=failed&state=waiting", invalid("?state")),
        line(On::Admin, "GET /v1/log?from=today", invalid("?from")),
        line(On::Admin, "GET /v1/log?q=*", invalid("?q")),
        line(On::Admin, "GET /v1/log?fault=bad", invalid("?fault")),
        line(On::Admin, "GET /v1/log/tail?limit=1", invalid("?limit")),
        line(On::Admin, "GET /v1/log/op_1", NOT_FOUND),
        line(On::Admin, "GET /v1/servers/none", NOT_FOUND),
        line(On::Admin, "POST /v1/servers/none/test", NOT_FOUND),
        line(On::Admin, "POST /v1/servers/none/resume", NOT_FOUND),
        line(On::Admin, "GET /v1/servers/panel/options/nothing", invalid("/field")),
        line(On::Admin, "GET /v1/servers/panel/pause", (405, "method_not_allowed", None)),
        Row {
            name: "a decision that is none".to_owned(),
            on: On::Admin,
            bytes: request(&format!("POST /v1/operations/{ID}/settle"), &[JSON], br#"{"decision":"perhaps"}"#),
            expected: invalid("/decision"),
        },
        Row {
            name: "a platform that is none".to_owned(),
            on: On::Admin,
            bytes: request(
                "POST /v1/hooks/status",
                &[JSON, ("Billhook-Platform", "none")],
                body(Hook::Status, SERVICE).to_string().as_bytes(),
            ),
            expected: (422, "not_configured", Some("Billhook-Platform")),
        },
    ]
}

/// What is not HTTP/1.1, or could be read as two different requests.
fn of_http() -> Vec<Row> {
    let post = |headers: &str, rest: &str| {
        let head =
            "POST /v1/hooks/create HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Type: application/json\r\n";
        format!("{head}{headers}\r\n{rest}")
    };
    let chunked = |rest: &str| post("Transfer-Encoding: chunked\r\n", rest);
    vec![
        raw("noise", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0d, 0x0a], BAD_HTTP),
        raw("HTTP/0.9", "GET /healthz\r\n\r\n", BAD_HTTP),
        raw("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD_HTTP),
        raw("HTTP/3", "GET /healthz HTTP/3.0\r\nHost: b\r\n\r\n", BAD_HTTP),
        raw("another protocol", "SSH-2.0-OpenSSH_9.6\r\n", BAD_HTTP),
        raw("no host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", invalid("Host")),
        raw("a path with a space", "GET /health z HTTP/1.1\r\nHost: b\r\n\r\n", BAD_HTTP),
        raw("a path with a NUL", "GET /healthz\0 HTTP/1.1\r\nHost: b\r\n\r\n", BAD_HTTP),
        raw("a header without a colon", "GET /healthz HTTP/1.1\r\nHost: b\r\nnothing\r\n\r\n", BAD_HTTP),
        raw("a header with a NUL", "GET /healthz HTTP/1.1\r\nHost: b\r\nX: a\0b\r\n\r\n", BAD_HTTP),
        raw("a name with a space", "GET /healthz HTTP/1.1\r\nHost: b\r\nContent-Length : 0\r\n\r\n", BAD_HTTP),
        raw("a folded header", "GET /healthz HTTP/1.1\r\nHost: b\r\nX: a\r\n b\r\n\r\n", BAD_HTTP),
        raw("a name that is empty", "GET /healthz HTTP/1.1\r\nHost: b\r\n: a\r\n\r\n", BAD_HTTP),
        raw("a line of 1 MB", format!("GET /{} HTTP/1.1\r\nHost: b\r\n\r\n", "x".repeat(1 << 20)), TOO_LONG),
        raw("a header of 1 MB", format!("GET / HTTP/1.1\r\nHost: b\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)), TOO_LONG),
        raw("endless headers", format!("GET / HTTP/1.1\r\nHost: b\r\n{}", "X: y\r\n".repeat(100_000)), TOO_LONG),
        raw("two lengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), BAD_HTTP),
        raw("a list of lengths", post("Content-Length: 2, 2\r\n", "{}"), BAD_HTTP),
        raw("a length with a sign", post("Content-Length: +2\r\n", "{}"), BAD_HTTP),
        raw("a length below zero", post("Content-Length: -2\r\n", "{}"), BAD_HTTP),
        raw("a length in hex", post("Content-Length: 0x2\r\n", "{}"), BAD_HTTP),
        raw("a length beyond all numbers", post("Content-Length: 99999999999999999999\r\n", "{}"), BAD_HTTP),
        raw("another coding", post("Transfer-Encoding: gzip\r\n", "{}"), BAD_HTTP),
        raw("chunks within another coding", post("Transfer-Encoding: chunked, gzip\r\n", "{}"), BAD_HTTP),
        raw("a coding that looks like chunks", post("Transfer-Encoding: xchunked\r\n", "{}"), BAD_HTTP),
        raw(
            "chunks in HTTP/1.0",
            "POST /v1/hooks/create HTTP/1.0\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD_HTTP,
        ),
        raw("a chunk that is none", chunked("zz\r\n{}\r\n0\r\n\r\n"), invalid("")),
        raw("a chunk below zero", chunked("-1\r\n{}\r\n0\r\n\r\n"), invalid("")),
        raw("a chunk beyond all numbers", chunked("fffffffffffffffff\r\n"), invalid("")),
        raw("a chunk with more in it", chunked("2\r\n{}{}\r\n0\r\n\r\n"), invalid("")),
        raw("a chunk without its end", chunked("2\r\n{}xx0\r\n\r\n"), invalid("")),
        raw("an empty body in chunks", chunked("0\r\n\r\n"), invalid("")),
        raw("2 MB", post(&format!("Content-Length: {}\r\n", 2 << 20), &" ".repeat(2 << 20)), (413, "too_large", None)),
        raw(
            "2 MB after asking",
            post("Expect: 100-continue\r\nContent-Length: 2097152\r\n", ""),
            (413, "too_large", None),
        ),
    ]
}

/// A daemon for whose platform this process speaks; it may send everything but a terminate.
fn house() -> (Rig, Daemon) {
    let allowed: Vec<&str> =
        Hook::ALL.iter().filter(|hook| **hook != Hook::Terminate).map(|hook| hook.as_str()).collect();
    let hooks = Some(json!(allowed).to_string());
    let rig = Rig::with(Setup { uid: Some(own_uid()), hooks, ..Setup::default() }, |_| {});
    rig.panel().tune(|knobs| {
        knobs.build_start_ms = 0;
        knobs.build_ms = 0;
    });
    let daemon = Daemon::start(&rig);
    let created = post(&daemon, Hook::Create);
    assert_eq!(created.status, 200, "{}", created.text);
    (rig, daemon)
}

fn post(daemon: &Daemon, hook: Hook) -> Answer {
    let body = body(hook, SERVICE).to_string();
    let line = format!("POST /v1/hooks/{hook}");
    let text = exchange(&daemon.hook_socket(), &request(&line, &[JSON, ("Prefer", "wait=60")], body.as_bytes()));
    let answer = answer(&text).0;
    let media = "application/json";
    assert_eq!(
        Description::checked_in().complaint("POST", &format!("/v1/hooks/{hook}"), answer.status, media, &answer.body),
        None
    );
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_has_its_answer_and_hurts_nobody() {
    let (rig, daemon) = house();
    let rows: Vec<Row> = [of_the_body(), of_the_headers(), of_the_line(), of_http()].into_iter().flatten().collect();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let changes = || rig.panel().ledger().iter().filter(|call| call.method != "GET").count();
    let (before, files, memory) = (changes(), daemon.open_files(), daemon.peak_kib());
    let mut wrong = Vec::new();

    for Row { name, on, bytes, expected } in rows {
        let socket = if on == On::Hook { daemon.hook_socket() } else { daemon.admin_socket() };
        let text = exchange(&socket, &bytes);
        if text.is_empty() {
            wrong.push(format!("{name}: no answer"));
            continue;
        }
        let (answer, rest) = answer(&text);
        if answer.problem() != expected {
            wrong.push(format!("{name}: {:?}, not {expected:?}: {}", answer.problem(), answer.text));
        }
        assert_eq!(rest, "", "{name}: one answer to one request");
        assert!(answer.head.contains("cache-control: no-store"), "{name}: {}", answer.head);
        // What can be read as a request is described.
        let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        if let [method, path, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..]
            && path.starts_with("/v1/")
            && !path.contains("..")
        {
            let complaint = Description::checked_in().complaint(
                method,
                path,
                answer.status,
                "application/problem+json",
                &answer.body,
            );
            wrong.extend(complaint.map(|complaint| format!("{name}: {complaint}")));
        }
        assert_eq!(post(&daemon, Hook::Status).body["result"]["state"], "active", "after {name}");
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(changes(), before, "nothing was sent for them");
    let log = answer(&exchange(&daemon.admin_socket(), &request("GET /v1/operations", &[], b""))).0;
    assert_eq!(log.body["items"].as_array().map(Vec::len), Some(1), "nothing was stored for them");
    let grown = daemon.peak_kib().saturating_sub(memory);
    println!("memory grew by {grown} KiB");
    assert!(grown < 32 << 10, "{grown} KiB");
    assert!(daemon.open_files() <= files + 8, "descriptors come back: {} and {files}", daemon.open_files());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_are_refused_and_not_kept() {
    let (_rig, daemon) = house();
    let memory = daemon.peak_kib();
    let piece = vec![b' '; 1 << 20];
    for (name, headers, framed) in [
        ("with a length", "Content-Length: 104857600\r\n", false),
        ("in chunks", "Transfer-Encoding: chunked\r\n", true),
    ] {
        for path in ["/v1/hooks/create", "/v1/nothing"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}\r\n"
            );
            let chunk = || if framed { [b"100000\r\n", piece.as_slice(), b"\r\n"].concat() } else { piece.clone() };
            let mut parts = std::iter::once(head.into_bytes()).chain(std::iter::repeat_with(chunk).take(100));

            let text = exchange_parts(&daemon.hook_socket(), &mut parts);

            let expected = if path == "/v1/nothing" { NOT_FOUND } else { (413, "too_large", None) };
            assert_eq!(answer(&text).0.problem(), expected, "{name} to {path}");
            assert_eq!(post(&daemon, Hook::Status).status, 200, "after {name} to {path}");
        }
    }
    let grown = daemon.peak_kib().saturating_sub(memory);
    println!("memory grew by {grown} KiB");
    assert!(grown < 32 << 10, "{grown} KiB");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_request_is_a_request_of_its_own_or_nothing() {
    let (_rig, daemon) = house();
    let get = "GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    let statuses = |bytes: &str| {
        let text = exchange(&daemon.hook_socket(), bytes.as_bytes());
        let mut rest = text.as_str();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (answer, following) = answer(rest);
            found.push(answer.status);
            rest = following;
        }
        found
    };
    let post = |headers: &str, body: &str| {
        format!("POST /v1/hooks/test HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
    };
    let good = r#"{"server":"panel"}"#;
    let chunks = format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len());
    let length = format!("Content-Length: {}\r\n", good.len());
    // Answered 403, if it is taken for a request.
    let hidden = "GET /v1/log HTTP/1.1\r\nHost: b\r\n\r\n";
    let hiding = |line: &str| format!("{line} HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
    for (name, bytes, expected) in [
        ("pipelined", get.repeat(2) + last, vec![200, 200, 200]),
        ("pipelined behind a body", post(&length, good) + last, vec![200, 200]),
        ("HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n".to_owned() + last, vec![200]),
        ("behind the last one", last.to_owned() + hidden, vec![200]),
        ("nonsense behind a good one", get.to_owned() + "nonsense\r\n\r\n", vec![200, 400]),
        ("the same length twice", post(&length.repeat(2), good) + last, vec![200, 200]),
        // Chunks count, and the connection ends: whoever counted the length sees no second request answered.
        ("length and chunks", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &chunks) + hidden, vec![200]),
        ("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &chunks) + hidden, vec![200]),
        // A body that nobody reads is no request.
        ("a body that is not wanted", hiding("POST /v1/nothing") + last, vec![404, 200]),
        ("a body on a GET", hiding("GET /healthz") + last, vec![200, 200]),
    ] {
        assert_eq!(statuses(&bytes), expected, "{name}");
    }
    daemon.stop();
}
