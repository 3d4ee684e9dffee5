//! From accept to finish, and what a person or a poll does to it.

use super::samples::*;
use crate::journal::Stage;
use crate::operation::State;
use crate::store::JsonText;
use crate::store::model::*;
use billhook_plugin_api::{Fault, Hook, Secret};
use serde_json::json;

on_both![
    an_accepted_operation_reads_back_whole,
    what_is_accepted_claimed_is_taken_and_ended_without_a_read,
    an_end_tells_whether_others_wait,
    a_name_with_nul_is_refused,
    a_hook_goes_from_claim_over_a_step_to_its_end,
    properties_are_laid_over_and_a_gone_service_begins_anew,
    secrets_of_a_result_go_when_acknowledged_or_old,
    step_secrets_last_as_long_as_the_operation,
    a_failed_operation_is_asked_for_again_with_new_content,
    a_person_settles_what_needs_attention,
    a_running_one_is_asked_to_cancel_and_stays_running,
    a_terminate_passes_a_waiting_renew_and_ends_it,
];

async fn an_accepted_operation_reads_back_whole(on: On) {
    let (_place, store) = store(on).await;
    let new = NewOperation {
        key: Some("order-1".into()),
        username: Some("acme\u{0}\\u0000".into()),
        expires_at: Some(NOW + 9),
        renew_to: Some("2027-01-01".into()),
        ..new("1", "42")
    };

    let accepted = store.accept(new.clone()).await.unwrap();

    assert_eq!(accepted, Accepted::Stored { seq: 1, run: None, cancelled: vec![] });
    let read = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!(store.operation_by_key("whmcs", "order-1").await.unwrap().as_ref(), Some(&read));
    assert_eq!((read.state, read.run, read.attempts, read.active), (State::Queued, 0, 0, false));
    assert_eq!((read.seq, read.epoch, read.effects), (1, 1, NOTHING));
    assert_eq!((&read.shown, read.expires_at, &read.renew_to), (&new.shown, new.expires_at, &new.renew_to));
    let taken = store.taken(&id("1")).await.unwrap().unwrap();
    let service = store.service(&key("42")).await.unwrap().unwrap();
    assert_eq!(taken, Taken { operation: read, call: new.call, service: service.clone() });
    assert_eq!((service.version, service.status, service.epoch), (1, ServiceStatus::Empty, 1));
    assert_eq!((service.client_id.as_deref(), service.panel.as_str()), (Some("77"), "https://vf1"));
    assert_eq!(service.username.as_deref(), Some("acme\u{fffd}\\u0000"), "NUL would have cut it");
}

async fn what_is_accepted_claimed_is_taken_and_ended_without_a_read(on: On) {
    let (_place, store) = store(on).await;
    let (mut before, mut epoch) = (None, 1);
    for (name, what, change) in [
        ("1", Hook::Create, ServiceChange::default()),
        ("2", Hook::Create, ServiceChange { remote_id: Some("7".into()), ..ServiceChange::default() }),
        ("3", Hook::Create, ServiceChange { secrets: secret("root", "s3cret"), ..ServiceChange::default() }),
        ("4", Hook::Suspend, ServiceChange { gone: true, ..ServiceChange::default() }),
        ("5", Hook::Create, ServiceChange::default()),
    ] {
        let new = NewOperation {
            service_version: before.as_ref().map(|service: &Service| service.version),
            epoch,
            hook: what,
            key: (name != "4").then(|| format!("key-{name}")),
            username: (name == "3").then(|| "acme".into()),
            product: format!("vps-{name}"),
            server: format!("server-{name}"),
            panel: format!("https://panel-{name}"),
            renew_to: (name == "2").then(|| "2027-01-01".into()),
            expires_at: (name == "2").then_some(NOW + 9),
            claim: Some(ClaimMark { touches: name == "4", ..mark() }),
            now: NOW + u64::from(epoch),
            ..new(name, "42")
        };
        let accepted = store.accept(new.clone()).await.unwrap();
        let Accepted::Stored { seq, run: Some(run), .. } = accepted else { panic!("{name}: {accepted:?}") };

        let read = store.taken(&id(name)).await.unwrap().unwrap();
        assert_eq!(new.taken(seq, run, before), read, "{name}");

        let end = Finish {
            service: Some((key("42"), change)),
            has_steps: false,
            secrets: if name == "3" { secret("root", "s3cret") } else { [].into() },
            outcome: (name == "2").then(|| json!({ "remote_id": "7", "properties": { "n": [1, 2.5, null] } })),
            fault: (name == "4").then(|| Fault::plugin_bug("odd").for_customer("sorry")),
            reason: (name == "4").then(|| "a person gave it up".into()),
            ..finish(name, run, if name == "4" { State::Failed } else { State::Succeeded })
        };
        let ended = end.ended(&read.operation);
        assert_eq!(store.finish(end, Evidence::default()).await.unwrap(), Finished::Stored { others: false });
        assert_eq!(store.operation(&id(name)).await.unwrap(), Some(ended), "{name}");
        before = store.service(&key("42")).await.unwrap();
        epoch = before.as_ref().unwrap().epoch;
    }
}

async fn an_end_tells_whether_others_wait(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    running(&store, "2", "43").await;
    let suspend = NewOperation { service_version: Some(1), hook: Hook::Suspend, ..new("3", "42") };

    // Also where it arrives in the very commit of the end.
    let (accepted, end) =
        tokio::join!(store.accept(suspend), store.finish(finish("1", 1, State::Succeeded), Evidence::default()));

    assert!(matches!(accepted.unwrap(), Accepted::Stored { run: None, .. }));
    assert_eq!(end.unwrap(), Finished::Stored { others: true });
    let end = store.finish(finish("2", 1, State::Succeeded), Evidence::default()).await.unwrap();
    assert_eq!(end, Finished::Stored { others: false }, "what others have does not count");
}

async fn a_name_with_nul_is_refused(on: On) {
    let (_place, store) = store(on).await;
    let accepted = store.accept(new("1", "42\u{0}x")).await;
    assert!(matches!(accepted, Err(crate::store::StoreError::Rejected(_))), "{accepted:?}");
}

async fn a_hook_goes_from_claim_over_a_step_to_its_end(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;

    assert_eq!(store.begin(begin("1", 1, "server")).await.unwrap(), Begun::Yes);
    assert_eq!(store.operation(&id("1")).await.unwrap().unwrap().effects, DOUBT);
    let mut write = done("1", 1, "server", json!({ "id": 7 }));
    write.remote_id = Some("7".into());
    assert_eq!(store.write_step(write).await.unwrap(), Written::Yes);
    let change = ServiceChange {
        status: Some(ServiceStatus::Active),
        properties: json!({ "ip": "192.0.2.1", "a \"b\".c": { "n": [1, null] }, "gone": 1 })
            .as_object()
            .unwrap()
            .clone(),
        secrets: secret("root", "s3cret-of-the-service"),
        ..ServiceChange::default()
    };
    let end = Finish {
        effects: DONE,
        service: Some((key("42"), change)),
        secrets: secret("password", "s3cret-of-the-result"),
        outcome: Some(json!({ "remote_id": "7" })),
        ..finish("1", 1, State::Succeeded)
    };
    assert_eq!(store.finish(end, Evidence::default()).await.unwrap(), Finished::Stored { others: false });

    let read = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!((read.state, read.active, read.finished_at), (State::Succeeded, false, Some(NOW + 3)));
    assert_eq!((read.secrets_state, read.effects), (SecretsState::Kept, DONE));
    assert_eq!(read.outcome, Some(json!({ "remote_id": "7" })));
    let service = store.service(&key("42")).await.unwrap().unwrap();
    assert_eq!((service.remote_id.as_deref(), service.status, service.version), (Some("7"), ServiceStatus::Active, 2));
    assert_eq!(service.properties["a \"b\".c"], json!({ "n": [1, null] }));
    assert_eq!(service.secrets["root"].expose(), "s3cret-of-the-service");
    assert_eq!(store.result_secrets(&id("1")).await.unwrap(), secret("password", "s3cret-of-the-result"));
    let journal = store.journal(&id("1")).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!((journal[0].stage, &journal[0].result), (Stage::Done, &json!({ "id": 7 })));
    assert_eq!(journal[0].given, json!([1, "é\u{0}"]), "values keep every character");
    assert_eq!(store.owner_of("https://vf1", "7").await.unwrap(), Some(key("42")));
    let ids = ["7".to_owned(), "8".to_owned()];
    assert_eq!(store.claimed("https://vf1", &ids).await.unwrap(), ["7"]);
    assert_eq!(store.claimed("https://vf2", &ids).await.unwrap(), [""; 0]);
}

async fn properties_are_laid_over_and_a_gone_service_begins_anew(on: On) {
    let (_place, store) = store(on).await;
    store.accept(new("1", "42")).await.unwrap();
    let lay = |value: serde_json::Value| ServiceChange {
        properties: value.as_object().unwrap().clone(),
        remote_id: Some("7".into()),
        secrets: secret("root", "x"),
        paid_until: Some("2027-01-01".into()),
        poll_at: Some(Some(NOW)),
        pending: Some(Some("payment".into())),
        unsettled_ms: Some(5),
        ..ServiceChange::default()
    };
    assert!(
        store.change_service(&key("42"), 1, lay(json!({ "a": { "x": 1 }, "b": "1", "c": true })), NOW).await.unwrap()
    );
    assert!(store.change_service(&key("42"), 1, lay(json!({ "a": { "y": 2 }, "b": null })), NOW).await.unwrap());
    let service = store.service(&key("42")).await.unwrap().unwrap();
    assert_eq!(serde_json::Value::from(service.properties), json!({ "a": { "y": 2 }, "c": true }));
    assert_eq!((service.poll_at, service.pending.as_deref(), service.unsettled_ms), (Some(NOW), Some("payment"), 5));
    assert_eq!(store.due_polls(9).await.unwrap(), [DuePoll { service: key("42"), poll_at: NOW }]);

    let gone = ServiceChange { gone: true, ..ServiceChange::default() };
    assert!(store.change_service(&key("42"), 1, gone.clone(), NOW).await.unwrap());

    let service = store.service(&key("42")).await.unwrap().unwrap();
    assert_eq!((service.epoch, service.status, service.remote_id), (2, ServiceStatus::Terminated, None));
    assert!(service.properties.is_empty() && service.secrets.is_empty());
    assert_eq!((service.poll_at, service.pending, service.paid_until), (None, None, None));
    assert_eq!(store.owner_of("https://vf1", "7").await.unwrap(), None);
    assert!(!store.change_service(&key("42"), 1, gone, NOW).await.unwrap(), "of an epoch that is over");
}

async fn secrets_of_a_result_go_when_acknowledged_or_old(on: On) {
    let (_place, store) = store(on).await;
    for (name, service) in [("1", "41"), ("2", "42")] {
        running(&store, name, service).await;
        let end = Finish { secrets: secret("p", "x"), ..finish(name, 1, State::Succeeded) };
        assert_eq!(store.finish(end, Evidence::default()).await.unwrap(), Finished::Stored { others: false });
    }

    assert!(store.acknowledge(&id("1"), NOW).await.unwrap());
    assert!(!store.acknowledge(&id("1"), NOW).await.unwrap());
    assert_eq!(store.expire_secrets(NOW + 3, NOW).await.unwrap(), 0, "not before that time");
    assert_eq!(store.expire_secrets(NOW + 4, NOW).await.unwrap(), 1);

    for (name, left) in [("1", SecretsState::Acknowledged), ("2", SecretsState::Expired)] {
        assert!(store.result_secrets(&id(name)).await.unwrap().is_empty());
        assert_eq!(store.operation(&id(name)).await.unwrap().unwrap().secrets_state, left);
    }
}

async fn step_secrets_last_as_long_as_the_operation(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    let mut write = done("1", 1, "password", json!({ "p": "s3cret" }));
    write.entry.sealed = true;
    store.write_step(write).await.unwrap();
    let end = finish("1", 1, State::Waiting);
    store.finish(end, Evidence::default()).await.unwrap();
    assert_eq!(store.journal(&id("1")).await.unwrap()[0].result, json!({ "p": "s3cret" }));

    assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));
    store.finish(finish("1", 2, State::Succeeded), Evidence::default()).await.unwrap();

    assert_eq!(store.journal(&id("1")).await.unwrap()[0].result, json!(null));
}

async fn a_failed_operation_is_asked_for_again_with_new_content(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    let fault = Fault::invalid_input("bad e-mail");
    let end = Finish { fault: Some(fault.clone()), ..finish("1", 1, State::Failed) };
    store.finish(end, Evidence::default()).await.unwrap();
    let again = Again {
        id: id("1"),
        service_version: 1,
        shown: JsonText::of("new"),
        call: billhook_plugin_api::protocol::HookCall {
            password: Some(Secret::new("other".into())),
            ..Default::default()
        },
        fingerprint: "second".into(),
        product: "vps-big".into(),
        expires_at: None,
        now: NOW + 9,
    };

    assert!(store.again(again.clone()).await.unwrap());
    assert!(!store.again(again.clone()).await.unwrap(), "it is queued now");

    let read = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!((read.state, read.attempts, read.finished_at, read.run), (State::Queued, 0, None, 1));
    assert_eq!(
        (read.shown, read.product.as_str(), read.fingerprint.as_str()),
        (JsonText::of("new"), "vps-big", "second")
    );
    assert_eq!(store.taken(&id("1")).await.unwrap().map(|taken| taken.call), Some(again.call));
    assert_eq!(store.service(&key("42")).await.unwrap().unwrap().version, 2);
    assert_eq!(store.log_detail("op_1").await.unwrap().unwrap().0.state, State::Queued);
}

async fn a_person_settles_what_needs_attention(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    store.begin(begin_in("1", "server", "vf1/user", 0)).await.unwrap();
    let end = Finish { effects: DOUBT, reason: Some("two new".into()), ..finish("1", 1, State::Attention) };
    store.finish(end, Evidence::default()).await.unwrap();
    let settle = Steer {
        entries: vec![(0, crate::journal::Entry { adopt: Some("9".into()), ..entry("server", Stage::Doubted) })],
        release: vec!["vf1/user".into()],
        effects: DOUBT,
        fresh_attempts: true,
        ..steer("1", State::Attention, 1, State::Queued)
    };

    assert!(store.steer(settle.clone()).await.unwrap());
    assert!(!store.steer(settle).await.unwrap(), "it is queued now");

    let read = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!((read.state, read.attempts, read.active, read.effects), (State::Queued, 0, true, DOUBT));
    assert_eq!(store.journal(&id("1")).await.unwrap()[0].adopt.as_deref(), Some("9"));
    assert_eq!(store.scope("vf1/user").await.unwrap(), (2, None));
    let (_, detail) = store.log_detail("op_1").await.unwrap().unwrap();
    assert_eq!((detail.notes[0].kind.as_str(), detail.notes[0].text.as_str()), ("decision", "root: decided"));
}

async fn a_running_one_is_asked_to_cancel_and_stays_running(on: On) {
    let (_place, store) = store(on).await;
    running(&store, "1", "42").await;
    let ask = Steer { cancel_asked: true, ..steer("1", State::Running, 1, State::Running) };

    assert!(store.steer(ask).await.unwrap());

    let read = store.operation(&id("1")).await.unwrap().unwrap();
    assert_eq!((read.state, read.cancel_asked, read.active), (State::Running, true, true));
    assert_eq!(store.begin(begin("1", 1, "server")).await.unwrap(), Begun::CancelAsked);
    assert!(store.journal(&id("1")).await.unwrap().is_empty());
}

async fn a_terminate_passes_a_waiting_renew_and_ends_it(on: On) {
    for ends in [false, true] {
        let (_place, store) = store(on).await;
        let renew = NewOperation { hook: Hook::Renew, claim: Some(mark()), ..new("1", "42") };
        store.accept(renew).await.unwrap();
        store.begin(begin_in("1", "pay", "login", 0)).await.unwrap();
        let wait = Finish { effects: DOUBT, next_at: Some(NOW + 99), ..finish("1", 1, State::Waiting) };
        store.finish(wait, Evidence::default()).await.unwrap();

        let claim = ClaimMark { passes: vec![id("1")], ..mark() };
        let terminate = NewOperation { claim: Some(claim), ..hook("2", "42", 1, Hook::Terminate) };
        let accepted = store.accept(terminate).await.unwrap();

        assert_eq!(accepted, Accepted::Stored { seq: 2, run: Some(1), cancelled: vec![] });
        let passed = store.operation(&id("1")).await.unwrap().unwrap();
        assert_eq!((passed.active, passed.passed_by), (false, Some(id("2"))));
        assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), None);

        let end = Finish {
            end_passed: ends.then(|| Fault::new(billhook_plugin_api::FaultClass::Cancelled, "overtaken")),
            ..finish("2", 1, State::Succeeded)
        };
        store.finish(end, Evidence::default()).await.unwrap();

        let passed = store.operation(&id("1")).await.unwrap().unwrap();
        let scope = store.scope("login").await.unwrap();
        if ends {
            assert_eq!((passed.state, passed.finished_at.is_some()), (State::Failed, true));
            assert_eq!(scope, (2, None), "nobody would ever give it back");
            let row = store.log_detail("op_1").await.unwrap().unwrap().0;
            assert_eq!((row.state, row.fault.as_deref()), (State::Failed, Some("cancelled")));
        } else {
            assert_eq!((passed.state, passed.passed_by), (State::Waiting, None));
            assert_eq!(scope.0, 1);
            assert_eq!(store.claim(&id("1"), 1, mark(), NOW).await.unwrap(), Some(2));
        }
    }
}
