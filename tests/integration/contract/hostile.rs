//! Bodies that are meant to hurt whoever reads them, at a look and at a change: clean faults, and no more memory than an
//! ordinary answer takes. What can be wrong with a connection or an answer in general is the table of `bad_answers`.

use super::entry::{Entry, Event, House, Make};
use crate::bad_answers::{of_the_wire, packed, says};
use billhook::operation::State;
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::harness::daemon::{Daemon, answer, exchange, own_uid, request};
use billhook_tests::harness::front::{Conduct, Front};
use billhook_tests::panel::{Answer, Body, Meddler, Passing};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

/// More than the longest answer that is read, with what lies in the buffers of two sockets.
const MOST_TAKEN: usize = 40 << 20;

/// More than a host needs to read the longest answer that it reads, with what its allocator keeps for a moment, in KiB.
const MOST_GROWN: u64 = 96 << 10;

/// The rows of the common table that are about bodies.
const OF_THE_WIRE: [&str; 6] = [
    "100 MB, announced",
    "100 MB, in chunks",
    "100 MB, until it closes",
    "a gzip bomb",
    "gzip that is none",
    "gzip with something behind",
];

const LEVELS: usize = 10_000;

/// A true answer, as it went out.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<(String, Vec<u8>)>>>);

impl Meddler for Last {
    fn edited(&mut self, _passing: &Passing<'_>, answer: Answer) -> Answer {
        let (kind, bytes) = match &answer.body {
            Body::Json(value) => ("application/json", value.to_string().into_bytes()),
            Body::Bytes(kind, bytes) => (*kind, bytes.clone()),
            _ => return answer,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((kind.to_owned(), bytes));
        answer
    }
}

/// Hostile answers in a panel's own words: `kind` and `text` are what it says when it is well.
fn rows(kind: &str, text: &[u8]) -> Vec<(&'static str, Conduct)> {
    let header = format!("Content-Type: {kind}");
    let ok = |body: Vec<u8>| says("200 OK", &header, body);
    let gzip = |body: Vec<u8>| says("200 OK", &format!("{header}\r\nContent-Encoding: gzip"), body);
    let plain = String::from_utf8_lossy(text).into_owned();
    let charset = |name: &str, bytes: Vec<u8>| {
        let kind = kind.split(';').next().unwrap_or_default();
        says("200 OK", &format!("Content-Type: {kind}; charset={name}"), bytes)
    };
    let entities = |root: &str| {
        let mut bomb = format!("<?xml version=\"1.0\"?><!DOCTYPE {root} [<!ENTITY e0 \"boom\">");
        for level in 1..12 {
            bomb.push_str(&format!("<!ENTITY e{level} \"{}\">", format!("&e{};", level - 1).repeat(10)));
        }
        format!("{bomb}]><{root}>&e11;</{root}>").into_bytes()
    };
    let outside = "<?xml version=\"1.0\"?><!DOCTYPE doc [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><doc>&x;</doc>";
    let utf16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut latin = text.to_vec();
    latin.insert(latin.len() / 2, 0xe9);
    let whole = packed(text);
    let deep = |open: &str, close: &str| [open.repeat(LEVELS), close.repeat(LEVELS)].concat().into_bytes();
    let mut rows = vec![
        ("gzip, cut short", gzip(whole[..whole.len() - 6].to_vec())),
        ("gzip of the half", gzip(packed(&text[..text.len() / 2]))),
        ("the half", ok(text[..text.len() / 2].to_vec())),
        ("UTF-16", charset("utf-16", utf16)),
        ("a byte that is no UTF-8", charset("iso-8859-1", latin)),
        ("NUL bytes", ok(vec![0; 1_000])),
        ("lists in lists", ok(deep("[", "]"))),
        ("objects in objects", ok(deep("{\"data\":", "}"))),
        ("arrays in arrays", ok(deep("a:1:{i:0;", "}"))),
        ("arrays without an end", ok("a:1:{i:0;".repeat(LEVELS).into_bytes())),
        ("an array of a thousand millions", ok(b"a:1000000000:{i:0;i:0;}".to_vec())),
        ("a text of a thousand millions", ok(b"a:1:{s:4:\"data\";s:1000000000:\"x\";}".to_vec())),
        ("elements in elements", ok(deep("<a>", "</a>"))),
        ("elements without an end", ok("<doc>".repeat(LEVELS).into_bytes())),
        ("ten thousand attributes", {
            let attributes: String = (0..LEVELS).map(|n| format!(" a{n}=\"1\"")).collect();
            ok(format!("<doc{attributes}/>").into_bytes())
        }),
        ("entities in entities", ok(entities("doc"))),
        ("entities in an envelope", ok(entities("Envelope"))),
        ("an entity from outside", ok(outside.into())),
    ];
    rows.extend(
        of_the_wire().into_iter().filter(|row| OF_THE_WIRE.contains(&row.name)).map(|row| (row.name, row.conduct)),
    );
    rows
}

/// What the panel says when it is well, at the end of a look.
async fn words<P: Entry>(house: &House<P>, look: &Event) -> (String, Vec<u8>) {
    let last = Last::default();
    house.rig.panel().meddle(Some(Box::new(last.clone())));
    house.look(look).await.unwrap_or_else(|fault| panic!("{} {}: {fault}", P::NAME, look.name));
    house.rig.panel().meddle(None);
    last.0.lock().unwrap_or_else(PoisonError::into_inner).take().expect("an answer with a document")
}

async fn behind_a_front<P: Entry>(rig: Make<P>) -> (House<P>, Front) {
    let mut rig = rig();
    let front = Front::before(&rig).await;
    rig.stand_behind(front.base_url());
    let host = rig.host().await;
    let house = House { rig, host };
    house.succeed(&Event::create(), "made").await;
    (house, front)
}

pub async fn claim<P: Entry>(rig: Make<P>) {
    let (house, front) = behind_a_front::<P>(rig).await;
    let status = P::looks().remove(0);
    let (kind, text) = words(&house, &status).await;
    let before = house.rig.panel().ledger().len();
    house.look(&status).await.unwrap();
    let calls = house.rig.panel().ledger().split_off(before);
    let is_help = |path: &str| P::HELPS.contains(&path);
    let looks: Vec<usize> = (0..calls.len()).filter(|call| !is_help(&calls[*call].path)).collect();
    let mut wrong = Vec::new();

    for (n, (name, conduct)) in rows(&kind, &text).into_iter().enumerate() {
        // Every call of the look by turns.
        front.plan(looks[n % looks.len()], false, conduct);
        let flooded = front.flooded();
        match house.look(&status).await {
            // JSON may be the next generation's of a panel that speaks XML.
            Err(fault) if is_clean(fault.class) && !fault.staff.trim().is_empty() => {}
            found => wrong.push(format!("{name}: {found:?}")),
        }
        assert!(!front.is_pending(), "{} {name}: it never came to it", P::NAME);
        assert!(front.flooded() - flooded < MOST_TAKEN, "{} {name}: it was read to its end", P::NAME);
        let after = house.look(&status).await;
        assert!(after.is_ok(), "{} after {name}: {after:?}", P::NAME);
    }
    assert!(wrong.is_empty(), "{} looks: {wrong:#?}", P::NAME);

    let (suspend, unsuspend) = (change::<P>("suspend"), change::<P>("unsuspend"));
    let mut states: Vec<(&str, serde_json::Value, usize)> = Vec::new();
    for event in [&suspend, &unsuspend] {
        let (lines, calls) = (front.lines().len(), house.rig.panel().ledger().len());
        house.succeed(event, "healthy").await;
        let ledger = house.rig.panel().ledger().split_off(calls);
        assert_eq!(ledger.len(), front.lines().len() - lines, "every call has a connection");
        let changing = ledger.iter().position(|call| call.effect != Default::default()).expect("a change");
        states.push((event.name, house.settled(), changing));
    }
    for (n, (name, conduct)) in rows(&kind, &text).into_iter().enumerate() {
        let event = if n % 2 == 0 { &suspend } else { &unsuspend };
        let (_, wanted, changing) = states.iter().find(|(name, ..)| *name == event.name).expect("both are known");
        // Whether the panel did it, by turns; it cannot be seen in such an answer.
        let is_carried_out = n % 4 < 2;
        front.plan(*changing, is_carried_out, conduct);
        let flooded = front.flooded();
        let id = house.host.send_with(event.hook, event.body.clone(), Some(&format!("event-{n}"))).await.unwrap();
        house.host.rest().await;
        let fault = house.host.operation(&id).await.fault;
        let class = fault.as_ref().map(|fault| fault.class);
        if !class.is_some_and(|class| class == FaultClass::InDoubt || is_clean(class)) {
            wrong.push(format!("{name}: {fault:?}"));
        }
        assert!(!front.is_pending(), "{} {name}: it never came to it: {fault:?}", P::NAME);
        assert!(front.flooded() - flooded < MOST_TAKEN, "{} {name}: it was read to its end", P::NAME);
        let mut ended = house.host.drive(&id).await;
        if ended.state == State::Failed {
            ended = house.send(event, &format!("event-{n}")).await;
        }
        assert_eq!(ended.state, State::Succeeded, "{} {name}: {ended:#?}", P::NAME);
        assert_eq!(house.settled(), *wanted, "{} {name}", P::NAME);
    }
    assert!(wrong.is_empty(), "{} changes: {wrong:#?}", P::NAME);
    house.assert_sound("hostile bodies");
    house.host.stop().await;
}

/// What an answer may end in that nobody can read.
fn is_clean(class: FaultClass) -> bool {
    matches!(class, FaultClass::PanelBug | FaultClass::Unsupported)
}

fn change<P: Entry>(name: &str) -> Event {
    P::changes().into_iter().find(|change| change.name == name).expect("an event of that name")
}

/// The same over a host in a process of its own, whose memory is nobody else's.
pub async fn in_fixed_memory<P: Entry>(rig: Make<P>) {
    let mut rig = rig();
    rig.let_in(own_uid());
    let front = Front::before(&rig).await;
    rig.stand_behind(front.base_url());
    let daemon = Daemon::start(&rig);
    let test = || {
        let body = json!({ "server": "panel" }).to_string();
        let headers = [("Content-Type", "application/json"), ("Prefer", "wait=60")];
        let line = format!("POST /v1/hooks/{}", Hook::Test);
        answer(&exchange(&daemon.hook_socket(), &request(&line, &headers, body.as_bytes()))).0
    };
    let before = front.lines().len();
    assert_eq!(test().status, 200, "{}", test().text);
    let looks = (front.lines().len() - before) / 2;
    let grown_before = daemon.peak_kib();

    for (n, (name, conduct)) in rows("text/plain", b"<doc>a document</doc>").into_iter().enumerate() {
        front.plan(n % looks.max(1), false, conduct);
        let found = test();
        assert!(found.status == 200 || found.head.contains("problem+json"), "{} {name}: {}", P::NAME, found.text);
        assert!(!front.is_pending(), "{} {name}: it never came to it", P::NAME);
    }

    let grown = daemon.peak_kib().saturating_sub(grown_before);
    println!("{}: memory grew by {grown} KiB", P::NAME);
    assert!(grown < MOST_GROWN, "{}: {grown} KiB", P::NAME);
    daemon.stop();
}
