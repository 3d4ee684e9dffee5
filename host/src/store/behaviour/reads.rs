//! Lists and their pages.

use super::samples::*;
use crate::admission::Needed;
use crate::operation::State;
use crate::store::Store;
use crate::store::model::*;
use billhook_plugin_api::Hook;

on_both![
    pages_follow_each_other_without_gap_or_overlap,
    a_filter_is_a_conjunction,
    what_is_due_comes_by_its_time,
    admission_sees_what_still_matters,
    of_what_is_queued_the_first_alone_is_next,
    what_is_not_there_is_none,
];

fn reading(name: &str) -> Reading {
    Reading {
        id: format!("rd_{name}"),
        platform: "blesta".into(),
        service_id: Some("41".into()),
        hook: Hook::Status,
        provider: "virtfusion".into(),
        server: "vf2".into(),
        state: State::Succeeded,
        fault: None,
        summary: "status".into(),
        started_at: NOW,
        ended_at: NOW,
    }
}

async fn pages_follow_each_other_without_gap_or_overlap(on: On) {
    let (_place, store) = store(on).await;
    for n in 0..25 {
        // Operations and readings stand in one order of time, whatever their prefix.
        if n % 2 == 0 {
            store.accept(new(&format!("{n:02}"), &format!("{n}"))).await.unwrap();
        } else {
            store.read_over(reading(&format!("{n:02}")), Evidence::default()).await.unwrap();
        }
    }
    store.flush().await.unwrap();

    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let filter = LogFilter { before, limit: 7, ..LogFilter::default() };
        let page = store.log(&filter).await.unwrap().rows;
        let Some(last) = page.last() else { break };
        before = Some(last.id.clone());
        seen.extend(page.into_iter().map(|row| row.id));
    }

    let expected: Vec<String> =
        (0..25).rev().map(|n| format!("{}_{n:02}", if n % 2 == 0 { "op" } else { "rd" })).collect();
    assert_eq!(seen, expected);
    let filter = LogFilter { before: Some("op_10".into()), limit: 3, ..LogFilter::default() };
    let ids: Vec<_> = store.list_operations(&filter).await.unwrap().into_iter().map(|read| read.id).collect();
    assert_eq!(ids, [id("08"), id("06"), id("04")]);
}

async fn a_filter_is_a_conjunction(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "41").await;
    running(&store, "2", "42").await;
    store.finish(finish("2", 1, State::Failed), Evidence::default()).await.unwrap();
    store.read_over(reading("3"), Evidence::default()).await.unwrap();
    store.flush().await.unwrap();
    let all = LogFilter { limit: 50, ..LogFilter::default() };
    let rows = [
        (all.clone(), vec!["rd_3", "op_2", "op_1"]),
        (LogFilter { platform: Some("whmcs".into()), ..all.clone() }, vec!["op_2", "op_1"]),
        (LogFilter { service_id: Some("41".into()), ..all.clone() }, vec!["rd_3", "op_1"]),
        (LogFilter { platform: Some("whmcs".into()), service_id: Some("41".into()), ..all.clone() }, vec!["op_1"]),
        (LogFilter { hook: Some(Hook::Status), ..all.clone() }, vec!["rd_3"]),
        (LogFilter { server: Some("vf2".into()), ..all.clone() }, vec!["rd_3"]),
        (LogFilter { state: Some(State::Failed), ..all.clone() }, vec!["op_2"]),
        (LogFilter { state: Some(State::Succeeded), ..all.clone() }, vec!["rd_3"]),
        (LogFilter { state: Some(State::Running), before: Some("op_2".into()), ..all }, vec!["op_1"]),
    ];
    for (filter, expected) in rows {
        let ids: Vec<_> = store.log(&filter).await.unwrap().rows.into_iter().map(|row| row.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

async fn what_is_due_comes_by_its_time(on: On) {
    let (_place, store) = store(on).await;
    for n in 1..=4 {
        running(&store, &n.to_string(), &n.to_string()).await;
    }
    for (name, next_at) in [("1", 500), ("2", 100)] {
        let wait = Finish { next_at: Some(next_at), ..finish(name, 1, State::Waiting) };
        store.finish(wait, Evidence::default()).await.unwrap();
    }
    store.finish(finish("3", 1, State::Attention), Evidence::default()).await.unwrap();
    store.accept(new("5", "5")).await.unwrap();

    let due: Vec<_> = store.due(10).await.unwrap().into_iter().map(|due| (due.id, due.next_at)).collect();

    assert_eq!(due, [(id("5"), None), (id("2"), Some(100)), (id("1"), Some(500))]);
    assert_eq!(store.due(1).await.unwrap().len(), 1);
    let (mut last, mut paged) = (None, Vec::new());
    while let Some(next) = store.due_after(last.as_ref(), 1).await.unwrap().pop() {
        paged.push((next.id.clone(), next.next_at));
        last = Some(next);
    }
    assert_eq!(paged, due, "page by page, none twice");
    assert_eq!(store.due_of(&key("2")).await.unwrap().len(), 1);
    assert!(store.due_of(&key("3")).await.unwrap().is_empty());
}

async fn admission_sees_what_still_matters(on: On) {
    let (_place, store) = store(on).await;
    let life = [
        ("1", Hook::Create, 1, State::Succeeded),
        ("2", Hook::Suspend, 1, State::Succeeded),
        ("3", Hook::Terminate, 1, State::Succeeded),
        ("4", Hook::Create, 2, State::Failed),
        ("5", Hook::Renew, 2, State::Succeeded),
        ("6", Hook::Suspend, 2, State::Succeeded),
        ("7", Hook::Unsuspend, 2, State::Succeeded),
        ("8", Hook::Suspend, 2, State::Queued),
        ("9", Hook::Unsuspend, 2, State::Queued),
    ];
    for (name, what, epoch, state) in life {
        lived(&store, "42", name, what, epoch, state, (name == "7").then_some("r1")).await;
    }
    // Nothing of these is unfinished, and of the first of them nothing is known on the panel.
    lived(&store, "43", "10", Hook::Create, 1, State::Succeeded, None).await;
    lived(&store, "44", "11", Hook::Create, 1, State::Succeeded, Some("r2")).await;
    lived(&store, "44", "12", Hook::Suspend, 1, State::Succeeded, None).await;

    let needed = |lives, newest, ended| Needed { lives, newest, ended };
    for (service, needed, expected) in [
        ("42", needed(true, true, true), &["op_3", "op_4", "op_5", "op_8", "op_9"][..]),
        ("42", needed(true, false, false), &["op_4", "op_5", "op_8", "op_9"]),
        ("42", needed(false, true, false), &["op_8", "op_9"]),
        ("42", needed(false, false, true), &["op_3", "op_8", "op_9"]),
        ("42", needed(false, false, false), &["op_8", "op_9"]),
        ("43", needed(false, false, false), &["op_10"]),
        ("43", needed(true, true, true), &["op_10"]),
        ("44", needed(false, false, false), &[]),
        ("44", needed(false, true, false), &["op_12"]),
        ("44", needed(true, true, false), &["op_11", "op_12"]),
    ] {
        let (known, named, earlier) = store.earlier(&key(service), Some("event"), needed).await.unwrap();
        assert_eq!(known.unwrap().epoch, if service == "42" { 2 } else { 1 });
        assert_eq!(named.unwrap().id, id("2").0);
        let ids: Vec<_> = earlier.into_iter().map(|read| read.id).collect();
        assert_eq!(ids, expected, "{service} {needed:?}");
    }
    let ids: Vec<_> = store.unfinished(&key("42")).await.unwrap().into_iter().map(|read| read.id.0).collect();
    assert_eq!(ids, ["op_8", "op_9"]);
    let all = needed(true, true, true);
    assert_eq!(store.earlier(&key("none"), None, all).await.unwrap(), (None, None, vec![]));
}

/// Takes an operation of the service to its state; its key is `event` if it is the second one.
async fn lived(
    store: &Store,
    service: &str,
    name: &str,
    what: Hook,
    epoch: u32,
    state: State,
    remote_id: Option<&str>,
) {
    let version = store.service(&key(service)).await.unwrap().map(|service| service.version);
    let new = NewOperation {
        service_version: version,
        hook: what,
        epoch,
        key: (name == "2").then(|| "event".into()),
        claim: Some(mark()),
        ..new(name, service)
    };
    assert!(matches!(store.accept(new).await.unwrap(), Accepted::Stored { .. }), "{name}");
    if state.is_final() {
        let change = ServiceChange {
            gone: what == Hook::Terminate,
            remote_id: remote_id.map(str::to_owned),
            ..ServiceChange::default()
        };
        let end = Finish { service: Some((key(service), change)), ..finish(name, 1, state) };
        assert_eq!(store.finish(end, Evidence::default()).await.unwrap(), Finished::Stored { others: false }, "{name}");
    }
}

async fn of_what_is_queued_the_first_alone_is_next(on: On) {
    let (_place, store) = store(on).await;
    let front = async || {
        let front = store.front(&key("42")).await.unwrap();
        front.map(|front| front.operations.into_iter().map(|one| one.id.0).collect::<Vec<_>>())
    };
    for name in ["1", "2", "3", "4"] {
        let version = store.service(&key("42")).await.unwrap().map(|service| service.version);
        let claim = (name == "1").then(mark);
        store.accept(NewOperation { service_version: version, claim, ..new(name, "42") }).await.unwrap();
        store.accept(new(&format!("other-{name}"), &format!("other-{name}"))).await.unwrap();
    }
    assert_eq!(front().await.unwrap(), ["op_1", "op_2"]);

    let later = Finish { next_at: Some(NOW + 9), ..finish("1", 1, State::Waiting) };
    store.finish(later, Evidence::default()).await.unwrap();
    assert_eq!(front().await.unwrap(), ["op_1", "op_2"]);
    store.claim(&id("1"), 1, mark(), NOW).await.unwrap();
    let settling = ServiceChange { unsettled_ms: Some(7), ..ServiceChange::default() };
    let end = Finish { service: Some((key("42"), settling)), now: NOW + 3, ..finish("1", 2, State::Succeeded) };
    store.finish(end, Evidence::default()).await.unwrap();

    assert_eq!(front().await.unwrap(), ["op_2"]);
    let front = store.front(&key("42")).await.unwrap().unwrap();
    assert_eq!((front.unsettled_ms, front.updated_at), (7, NOW + 3));
    assert_eq!(front.operations, [store.operation(&id("2")).await.unwrap().unwrap()]);
}

async fn what_is_not_there_is_none(on: On) {
    let (_place, store) = store(on).await;
    assert_eq!(store.front(&key("1")).await.unwrap(), None);
    assert_eq!(store.operation(&id("1")).await.unwrap(), None);
    assert_eq!(store.taken(&id("1")).await.unwrap(), None);
    assert_eq!(store.log_detail("op_1").await.unwrap(), None);
    assert_eq!(store.scope("x").await.unwrap(), (0, None));
    assert!(store.journal(&id("1")).await.unwrap().is_empty());
    assert!(!store.acknowledge(&id("1"), NOW).await.unwrap());
    assert!(!store.steer(steer("1", State::Failed, 1, State::Queued)).await.unwrap());
    assert_eq!(store.finish(finish("1", 1, State::Failed), Evidence::default()).await.unwrap(), Finished::LeaseLost);
    assert_eq!(store.begin(begin("1", 1, "x")).await.unwrap(), Begun::LeaseLost);
    assert_eq!(store.write_step(done("1", 1, "x", 1.into())).await.unwrap(), Written::LeaseLost);
    assert!(!store.change_service(&key("1"), 1, ServiceChange::default(), NOW).await.unwrap());
}
