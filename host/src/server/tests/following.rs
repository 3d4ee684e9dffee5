//! Streams of events, searches, and what happened to a service.

use super::*;
use crate::journal::{Entry, Kind, Stage};
use crate::store::{Finished, Note, Reading, Steer, StepWrite};
use axum::Router;
use std::collections::VecDeque;

/// One event of a stream: its name, its id, its data. A comment has no name.
#[derive(Debug, PartialEq)]
struct Told {
    name: String,
    id: Option<String>,
    data: Value,
}

/// A response that goes on.
struct Stream {
    status: u16,
    body: Body,
    text: String,
    told: VecDeque<Told>,
}

impl Stream {
    /// `None` when the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        while self.told.is_empty() {
            let frame = self.body.frame().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut told = Told { name: String::new(), id: None, data: Value::Null };
                for line in block.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("event", name) => told.name = name.to_owned(),
                        ("id", id) => told.id = Some(id.to_owned()),
                        ("data", data) => told.data = serde_json::from_str(data).unwrap(),
                        (":" | "", _) => {}
                        other => panic!("{other:?}"),
                    }
                }
                self.told.push_back(told);
                self.text = rest.to_owned();
            }
        }
        self.told.pop_front()
    }

    async fn named(&mut self, name: &str) -> Told {
        let told = self.next().await.unwrap();
        assert_eq!(told.name, name, "{told:?}");
        told
    }
}

impl House {
    fn router(&self) -> Router {
        api::router(Arc::new(api::Api::new(Arc::clone(&self.engine))))
    }

    async fn follow_on(&self, router: &Router, caller: &Caller, path: &str, last: Option<&str>) -> Stream {
        let mut request = Request::builder().uri(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = connection::answer(router.clone(), Arc::new(caller.clone()), request).await;
        let status = response.status().as_u16();
        if status == 200 {
            assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
            assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        }
        Stream { status, body: response.into_body(), text: String::new(), told: VecDeque::new() }
    }

    async fn follow(&self, caller: &Caller, path: &str, last: Option<&str>) -> Stream {
        self.follow_on(&self.router(), caller, path, last).await
    }

    /// The log row of a reading hook.
    async fn read(&self, id: &str, platform: &str, service_id: &str, text: &str) {
        let reading = Reading {
            id: id.to_owned(),
            platform: platform.to_owned(),
            service_id: Some(service_id.to_owned()),
            hook: Hook::Status,
            provider: "none".into(),
            server: "nowhere".into(),
            state: State::Succeeded,
            fault: None,
            summary: format!("status: {text}"),
            started_at: START_MS,
            ended_at: START_MS,
        };
        let store = &self.engine.env().store;
        store.read_over(reading, Evidence::default()).await.unwrap();
        store.flush().await.unwrap();
    }

    async fn progress(&self, id: &OperationId, run: u64, text: &str) {
        let note = Note { owner: id.0.clone(), run, at: START_MS, kind: "progress".into(), text: text.into() };
        let store = &self.engine.env().store;
        store.record(Evidence { notes: vec![note], ..Evidence::default() });
        store.flush().await.unwrap();
    }

    async fn step(&self, id: &OperationId, run: u64, stage: Stage) {
        let entry = Entry {
            name: "server".into(),
            kind: Kind::Differ,
            stage,
            scope: None,
            given: Value::Null,
            result: Value::Null,
            sealed: false,
            remote_id: false,
            doubt: None,
            adopt: None,
            evidence: vec![],
            runs: 1,
        };
        let effects = Effects { touched: true, doubted: stage == Stage::Begun };
        let write = StepWrite {
            id: id.clone(),
            run,
            position: 0,
            entry,
            effects,
            release: false,
            remote_id: None,
            now: START_MS + 1,
        };
        self.engine.env().store.write_step(write).await.unwrap();
    }

    async fn succeed(&self, id: &OperationId, run: u64) {
        let finish = Finish {
            id: id.clone(),
            run,
            state: State::Succeeded,
            next_at: None,
            attempts: 1,
            effects: Effects { touched: true, doubted: false },
            fault: None,
            reason: None,
            outcome: Some(json!({ "remote_id": "4711" })),
            secrets: [("root_password".to_owned(), "correct horse battery".to_owned().into())].into(),
            service: None,
            has_steps: true,
            placement: None,
            moves: None,
            end_passed: None,
            summary: "create: done, 4711".into(),
            now: START_MS + 2,
        };
        let end = self.engine.env().store.finish(finish, Evidence::default()).await.unwrap();
        assert!(matches!(end, Finished::Stored { .. }));
    }
}

fn ids(answer: &Answer) -> Vec<&str> {
    answer.body["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_followed_to_its_end() {
    let house = House::new().await;
    let (id, run) = house.running("whmcs", 1).await;
    let path = format!("/v1/operations/{id}/events");
    let mut own = house.follow(&whmcs(), &path, None).await;
    let mut admins = house.follow(&admin(), &path, Some("end")).await;

    for stream in [&mut own, &mut admins] {
        let first = stream.named("state").await;
        assert_eq!((first.data["id"].as_str(), first.data["state"].as_str()), (Some(&*id.0), Some("running")));
        assert!(first.id.is_some());
    }
    house.step(&id, run, Stage::Begun).await;
    assert_eq!(own.named("step").await.data["state"], "begun");
    assert_eq!(own.named("progress").await.data, json!({ "step": "server" }));
    house.progress(&id, run, "40 % installing").await;
    let progress = json!({ "step": "server", "percent": 40, "progress": "installing" });
    assert_eq!(own.named("progress").await.data, progress);
    house.step(&id, run, Stage::Done).await;
    assert_eq!(own.named("step").await.data["state"], "done");
    assert_eq!(own.named("progress").await.data, json!({ "percent": 40, "progress": "installing" }));
    house.succeed(&id, run).await;

    let mut last = own.next().await.unwrap();
    while last.name != "end" {
        last = own.next().await.unwrap();
    }
    assert_eq!(last.data["result"]["secrets"]["root_password"], "correct horse battery");
    assert_eq!(own.next().await, None, "it ends after the final state");
    // Who was slow is told how it stands, and not all that was in between.
    assert_eq!(admins.named("step").await.data["state"], "done");
    assert_eq!(admins.named("state").await.data["state"], "succeeded");
    let last = admins.named("end").await;
    assert_eq!((last.id.as_deref(), &last.data["result"]["secrets"]), (Some("end"), &json!("kept")));

    let mut again = house.follow(&whmcs(), &path, None).await;
    assert_eq!(again.named("state").await.data["state"], "succeeded");
    again.named("end").await;
    assert_eq!(house.follow(&whmcs(), &path, Some("end")).await.status, 204);
    assert_eq!(house.follow(&shop(), &path, None).await.status, 404);
    assert_eq!(house.follow(&Caller::Stranger(99), &path, None).await.status, 403);
    assert_eq!(house.get(&whmcs(), &format!("{path}?wait=1")).await.problem(), (400, "invalid_request", Some("?wait")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_shows_that_it_is_alive_and_looks_again() {
    let house = House::new().await;
    let (id, _) = house.running("whmcs", 1).await;
    let mut stream = house.follow(&whmcs(), &format!("/v1/operations/{id}/events"), None).await;
    stream.named("state").await;
    let silence = Duration::from_secs(15);
    let due = crate::clock::Clock::monotonic(&house.clock) + silence;

    let (told, ()) = tokio::join!(stream.next(), async {
        house.clock.until(|clock| clock.next_deadline().is_some_and(|at| at <= due)).await;
        house.clock.advance(silence);
    });

    assert_eq!(told.unwrap(), Told { name: String::new(), id: None, data: Value::Null });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_shows_rows_as_they_are_committed() {
    let house = House::new().await;
    for caller in [whmcs(), Caller::Stranger(99)] {
        assert_eq!(house.follow(&caller, "/v1/log/tail", None).await.status, 403);
    }
    let first = "rd_01J0000000000000000000000A";
    house.read(first, "whmcs", "1", "before").await;
    let mut all = house.follow(&admin(), "/v1/log/tail", None).await;
    let mut some = house.follow(&admin(), "/v1/log/tail?platform=shop&q=over", None).await;
    let mut late = house.follow(&admin(), "/v1/log/tail", Some("rd_01H00000000000000000000000")).await;

    assert_eq!(late.named("row").await.id.as_deref(), Some(first));
    let (own, _) = house.running("whmcs", 1).await;
    let row = all.named("row").await;
    assert_eq!((row.id.as_deref(), row.data["state"].as_str()), (Some(&*own.0), Some("running")));
    let (other, _) = house.running("shop", 2).await;
    assert_eq!(all.named("row").await.data["id"], json!(other));
    let ended = house.ended("shop", 3, State::Failed).await;
    let row = some.named("row").await;
    assert_eq!((row.data["id"].as_str(), row.data["summary"].as_str()), (Some(&*ended.0), Some("create: over")));

    for path in ["/v1/log/tail?limit=1", "/v1/log/tail?before=rd_01J0000000000000000000000A", "/v1/log/tail?from=x"] {
        assert_eq!(house.get(&admin(), path).await.problem().0, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_that_rows_are_missing_and_dropped() {
    let house = House::new().await;
    let mut slow = house.follow(&admin(), "/v1/log/tail", None).await;
    for n in 0..300_u32 {
        house.read(&format!("rd_01J00000000000000000{n:06}"), "whmcs", "1", "x").await;
    }

    assert!(slow.named("gap").await.data["reason"].as_str().unwrap().contains("too slow"));
    assert_eq!(slow.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_bounded_for_each_caller() {
    let house = House::new().await;
    let (id, _) = house.running("whmcs", 1).await;
    let (router, path) = (house.router(), format!("/v1/operations/{id}/events"));
    let mut open = Vec::new();
    loop {
        let stream = house.follow_on(&router, &whmcs(), &path, None).await;
        if stream.status != 200 {
            assert_eq!(stream.status, 429);
            break;
        }
        open.push(stream);
    }
    assert_eq!(open.len(), 32);
    assert_eq!(house.follow_on(&router, &admin(), &path, None).await.status, 200);
    open.pop();
    assert_eq!(house.follow_on(&router, &whmcs(), &path, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_streams() {
    let house = House::new().await;
    let server = Server::start(Arc::clone(&house.engine), Arc::clone(&house.config)).await.unwrap();
    let mut stream = UnixStream::connect(house.config.socket.admin_socket()).await.unwrap();
    stream.write_all(b"GET /v1/log/tail HTTP/1.1\r\nHost: billhook\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");

    server.stop().await;

    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "whole, though it did not come to an end: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_searched_by_words_and_nothing_that_is_typed_breaks_it() {
    let house = House::new().await;
    house.read("rd_01J0000000000000000000000A", "whmcs", "acme/1", "no room on node 7").await;
    house.read("rd_01J1000000000000000000000A", "shop", "acme/2", "done").await;
    let searched = house.get(&admin(), "/v1/log?q=ROOM,%20node").await;
    assert_eq!(ids(&searched), ["rd_01J0000000000000000000000A"]);
    assert_eq!(ids(&house.get(&admin(), "/v1/log?q=acme").await).len(), 2);
    assert_eq!(ids(&house.get(&admin(), "/v1/log?q=acme&platform=shop&limit=1").await).len(), 1);
    assert_eq!(ids(&house.get(&admin(), "/v1/log?service_id=acme%2F1").await).len(), 1);

    let long = format!("{:0<10000}", "a");
    for typed in [
        "%22",
        "%22%22%22",
        "*",
        "a*",
        "%5Ea",
        "words:a",
        "a%20NEAR%20b",
        "NOT",
        "AND%20OR",
        "(a",
        "a)",
        "%7Ba%7D",
        "-a",
        "%00",
        "a%00b",
        "%ff",
        "%F0%9F%92%A9",
        "';--",
        "%25",
        "%5C",
        &long,
    ] {
        let answer = house.get(&admin(), &format!("/v1/log?q={typed}")).await;
        assert!(matches!(answer.status, 200 | 400), "{typed}: {}", answer.body);
        if answer.status == 400 {
            assert_eq!(answer.problem(), (400, "invalid_request", Some("?q")));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_listed_and_tells_what_happened_to_it() {
    let house = House::new().await;
    let own = house.ended("whmcs", 1, State::Attention).await;
    house.ended("shop", 2, State::Succeeded).await;
    house.read("rd_01J1000000000000000000000A", "whmcs", "svc/1", "done").await;
    let person = Steer {
        id: own.clone(),
        from: State::Attention,
        run: 1,
        to: State::Failed,
        cancel_asked: false,
        entries: vec![],
        release: vec![],
        effects: Effects::default(),
        fresh_attempts: false,
        reason: Some("lost".into()),
        actor: "uid 0 (root)".into(),
        decision: "give_up".into(),
        now: START_MS,
    };
    assert!(house.engine.env().store.steer(person).await.unwrap());

    let keys = |answer: &Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap();
        items.iter().map(|row| format!("{}/{}", row["platform"], row["service_id"]).replace('"', "")).collect()
    };
    assert_eq!(keys(&house.get(&admin(), "/v1/services").await), ["shop/svc/2", "whmcs/svc/1"]);
    let page = house.get(&admin(), "/v1/services?limit=1").await;
    assert_eq!(page.body["next"], "shop/svc/2");
    assert_eq!(keys(&house.get(&admin(), "/v1/services?after=shop%2Fsvc%2F2&status=active").await), ["whmcs/svc/1"]);
    assert_eq!(keys(&house.get(&whmcs(), "/v1/services").await), ["whmcs/svc/1"]);
    assert_eq!(keys(&house.get(&whmcs(), "/v1/services?platform=shop").await), [""; 0]);
    for (path, place) in [("?status=new", "?status"), ("?after=x", "?after"), ("?limit=0", "?limit"), ("?x=1", "?x")] {
        let refused = house.get(&admin(), &format!("/v1/services{path}")).await;
        assert_eq!(refused.problem(), (400, "invalid_request", Some(place)));
    }

    let path = "/v1/services/whmcs/svc%2F1/timeline";
    let told = house.get(&admin(), path).await;
    assert_eq!(ids(&told), ["rd_01J1000000000000000000000A", &own.0]);
    assert_eq!(told.body["items"][1]["notes"][0]["text"], "uid 0 (root): give_up");
    assert_eq!((&told.body["items"][1]["epoch"], &told.body["items"][1]["key"]), (&json!(1), &json!("key-1")));
    let seen = house.get(&whmcs(), &format!("{path}?limit=1&before=rd_01J1000000000000000000000A")).await;
    assert_eq!(seen.body["items"][0]["notes"][0]["text"], "give_up", "who it was is not for platforms");
    assert_eq!(house.get(&whmcs(), "/v1/services/shop/svc%2F2/timeline").await.status, 404);
    assert_eq!(house.get(&admin(), "/v1/services/whmcs/none/timeline").await.status, 404);
}
