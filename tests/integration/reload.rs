//! Another configuration is put in force as a whole or not at all, and disturbs nobody whom it does not concern.

use crate::lanes::{at_once, second_server};
use crate::sockets::{Daemon, call, own_uid};
use billhook::config::{Config, Finding};
use billhook::engine::Reloaded;
use billhook::lane::Held;
use billhook::operation::State;
use billhook::problem::ProblemType;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Host, Rig, Setup, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn reload(rig: &Rig, host: &Host) -> Result<Reloaded, Vec<Finding>> {
    host.engine.reload(Config::clone(&rig.config())).await
}

fn with_extra(extra: String) -> Setup {
    Setup { extra, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_server_and_its_product_are_there_and_the_old_one_keeps_what_it_has() {
    let other = Rig::new();
    at_once(&other);
    let mut rig = Rig::new();
    let host = rig.host().await;
    let before = host.engine.in_force();
    rig.reconfigure(with_extra(second_server(&other)));

    let reloaded = reload(&rig, &host).await.unwrap();

    assert_eq!(reloaded, Reloaded { added: vec!["second".into()], ..Reloaded::default() });
    let after = host.engine.in_force();
    assert!(Arc::ptr_eq(&before.panels["panel"], &after.panels["panel"]), "its connections are kept");
    let mut order = body(Hook::Create, "1007");
    order["product"]["id"] = json!("second");
    let id = host.send(Hook::Create, order).await.unwrap();
    assert_eq!(host.drive(&id).await.state, State::Succeeded);
    assert_eq!((rig.panel().servers().len(), other.panel().servers().len()), (0, 1));

    // Gone again: what is on it cannot be reached, and nobody else notices.
    rig.reconfigure(Setup::default());
    assert_eq!(reload(&rig, &host).await.unwrap().removed, ["second"]);
    let refused = host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await.unwrap_err();
    assert_eq!(refused.kind, ProblemType::NotConfigured);
    assert_eq!(host.run(Hook::Create, "1008").await.state, State::Succeeded);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_when_anything_is_wrong() {
    let other = Rig::new();
    let mut rig = Rig::new();
    let host = rig.host().await;
    let before = host.engine.in_force();
    let good = second_server(&other);
    for (extra, place) in [
        // A provider that is not there, a setting that its schema does not know, a product that fits no schema.
        (good.replace("\"virtfusion\"", "\"nothing\""), "servers.second"),
        (good.replace("settings = { token", "settings = { colour = 1, token"), "servers.second"),
        (good.replace("package_id = 1", "package_id = \"one\""), "products.second.settings.package_id"),
    ] {
        rig.reconfigure(with_extra(extra));

        let findings = reload(&rig, &host).await.unwrap_err();

        let [finding] = findings.as_slice() else { panic!("{place}: {findings:#?}") };
        assert_eq!(finding.place, place);
        assert!(finding.remedy.contains("reload again"), "{finding}");
        assert!(Arc::ptr_eq(&before, &host.engine.in_force()), "{place}");
    }
    assert_eq!(host.run(Hook::Create, "1007").await.state, State::Succeeded);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_names_another_panel_refuses_what_is_on_the_old_one_and_sends_it_nothing() {
    let other = Rig::new();
    let mut rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;
    host.engine.pause("panel", "uid 0").await.unwrap();
    let waiting = host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await.unwrap();
    host.rest().await;

    rig.point_at(&other);
    let reloaded = reload(&rig, &host).await.unwrap();
    assert_eq!(reloaded.moved, ["panel"]);
    // The pause is the server's, and the one who waits under it is told of the other panel all the same.
    assert!(matches!(host.engine.held("panel"), Some(Held::Paused(_))));
    host.rest().await;
    let refused = host.send(Hook::Unsuspend, body(Hook::Unsuspend, "1007")).await.unwrap_err();
    assert_eq!(refused.kind, ProblemType::PanelChanged);
    let stranded = host.operation(&waiting).await;
    assert_eq!(stranded.state, State::Attention, "{stranded:#?}");
    assert!(stranded.reason.unwrap_or_default().contains("nothing was sent"));
    assert!(other.panel().ledger().is_empty(), "no credential reached the other panel");

    rig.point_back();
    reload(&rig, &host).await.unwrap();
    host.engine.resume("panel", "uid 0").await.unwrap();
    host.engine.decide(&waiting, &billhook::engine::Decision::Retry, "uid 0").await.unwrap();
    assert_eq!(host.drive(&waiting).await.state, State::Succeeded);
    assert!(rig.panel().servers()[0].suspended);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_under_way_finishes_with_what_it_has() {
    let mut rig = Rig::new();
    let host = rig.host().await;
    rig.panel().arm(Plan::on("POST", "/servers", Fault::Hang { effect: true }));
    let id = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    rig.panel().wait_stalled().await;

    rig.reconfigure(Setup { server: "timeout = \"20s\"\nconcurrency = 1".to_owned(), ..Setup::default() });
    let reloaded = reload(&rig, &host).await.unwrap();
    assert_eq!(reloaded.changed, ["panel"]);
    rig.panel().release();
    let created = host.drive(&id).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(rig.panel().count_effects(|effect| matches!(effect, Effect::ServerCreated(_))), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bounds_of_a_lane_change_without_touching_its_server() {
    let mut rig = Rig::new();
    let host = rig.host().await;
    let before = host.engine.in_force();
    assert!(host.engine.env().awake.is_wanted());
    rig.reconfigure(Setup {
        server: "concurrency = 1\nrate = \"5 per 1s\"\nbreaker_after = 9".to_owned(),
        extra: "[limits]\nwait_max = \"7s\"\nstay_awake = false\n[retry]\nattempts = 3\n".to_owned(),
        ..Setup::default()
    });

    let reloaded = reload(&rig, &host).await.unwrap();

    assert_eq!(reloaded, Reloaded { at_next_start: vec!["retry"], ..Reloaded::default() });
    let after = host.engine.in_force();
    assert!(Arc::ptr_eq(&before.panels["panel"], &after.panels["panel"]));
    assert_eq!(after.config.limits.wait_max, Duration::from_secs(7));
    assert!(!host.engine.env().awake.is_wanted());
    assert_eq!(after.config.retry, before.config.retry, "what waits for the next start is not in force");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_reloads_on_sighup_and_says_why_not() {
    let other = Rig::new();
    let mut rig = Rig::with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
    let daemon = Daemon::start(&rig);
    let admin = daemon.admin_socket();
    let setup = |extra| Setup { uid: Some(own_uid()), extra, ..Setup::default() };

    rig.reconfigure(setup("[retry]\natempts = 3\n".to_owned()));
    daemon.signal("HUP");
    let log = daemon.log_until("was not reloaded");
    assert!(log.contains("billhook.toml:") && log.contains("did you mean `attempts`?"), "{log}");

    rig.reconfigure(setup(second_server(&other)));
    daemon.signal("HUP");
    daemon.log_until("the configuration was reloaded");
    let servers = call(&admin, "GET", "/v1/servers", &[], None);
    let names: Vec<_> = servers.body["items"].as_array().unwrap().iter().map(|server| &server["name"]).collect();
    assert_eq!(names, ["panel", "second"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_a_servers_health_and_holds_it_back() {
    let rig = Rig::with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
    let daemon = Daemon::start(&rig);
    let (admin, hook) = (daemon.admin_socket(), daemon.hook_socket());

    let tested = call(&admin, "POST", "/v1/servers/panel/test", &[], None);
    assert_eq!(tested.status, 200, "{}", tested.body);
    let paused = call(&admin, "POST", "/v1/servers/panel/pause", &[], None);
    assert_eq!(paused.status, 200, "{}", paused.body);
    let create = body(Hook::Create, "1007").to_string();
    let held = call(&hook, "POST", "/v1/hooks/create", &[("Prefer", "wait=0")], Some(&create));

    assert_eq!((held.status, &held.body["operation"]["held"]), (202, &json!("paused")), "{}", held.body);
    let server = call(&admin, "GET", "/v1/servers/panel", &[], None).body;
    assert_eq!((&server["last_test"]["ok"], &server["last_exchange"]["ok"]), (&json!(true), &json!(true)), "{server}");
    assert_eq!(server["breaker"]["state"], "closed");
    assert!(server["paused"]["by"].as_str().is_some_and(|by| by.contains(&own_uid().to_string())), "{server}");
    assert_eq!(call(&admin, "GET", "/v1/servers", &[], None).body["items"][0]["name"], "panel");

    let resumed = call(&admin, "POST", "/v1/servers/panel/resume", &[], None);
    assert_eq!((resumed.status, &resumed.body["paused"]), (200, &json!(null)), "{}", resumed.body);
    for (socket, method, path, status) in [
        (&hook, "POST", "/v1/servers/panel/pause", 403),
        (&hook, "POST", "/v1/servers/panel/test", 403),
        (&hook, "GET", "/v1/servers/panel", 403),
        (&admin, "POST", "/v1/servers/none/pause", 404),
        (&admin, "POST", "/v1/servers/none/test", 404),
        (&admin, "GET", "/v1/servers/none", 404),
    ] {
        let answer = call(socket, method, path, &[], None);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    // Refused before anything is sent: by the provider's list of settings, or because it has none.
    let options = call(&admin, "GET", "/v1/servers/panel/options/colour", &[], None);
    assert!(matches!(options.status, 400 | 422), "{}", options.body);
    daemon.stop();
}
