//! Where the billing modules of today lose sites, take strangers' for their own, leak the key or call a failure a success:
//! each as a test that would fail on them.

use super::*;
use crate::secrets::{contains, forms, left_behind};
use billhook::store::LogFilter;
use billhook_tests::apiscp::{ApiKey, Denial, Plan, SiteSeed, Value as Held};
use billhook_tests::panel::Fault as Broken;

/// One of the panel's own faults by its name.
fn broken(name: &str) -> Broken {
    *ApisCp::FAULTS.iter().find(|fault| fault.name() == name).unwrap_or_else(|| panic!("no fault {name}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_the_panel_already_is_never_adopted_unless_it_is_ours() {
    for (what, seed) in [
        ("the domain", SiteSeed::strange(DOMAIN, "them")),
        ("an add-on domain", SiteSeed { aliases: vec![DOMAIN.into()], ..SiteSeed::strange("them.example", "them") }),
        (
            "our invoice with another domain",
            SiteSeed { invoice: Some(INVOICE.into()), ..SiteSeed::strange("them.example", "them") },
        ),
        (
            "a site of another invoice",
            SiteSeed { invoice: Some("billhook-shop-10071".into()), ..SiteSeed::strange(DOMAIN, "them") },
        ),
        (
            "a subordinate of our invoice",
            SiteSeed { parent_invoice: Some(INVOICE.into()), ..SiteSeed::strange(DOMAIN, "them") },
        ),
    ] {
        let rig = Rig::apiscp();
        let host = rig.host().await;
        rig.panel().seed_site(seed);
        let before = rig.panel().sites();

        let fault = refused(&host, Hook::Create, body(Hook::Create, SERVICE), "a").await;

        assert_eq!(fault.class, FaultClass::AlreadyExists, "{what}: {fault:?}");
        assert_eq!(rig.panel().sites(), before, "{what}");
        assert_eq!(host.service(SERVICE).await.and_then(|service| service.remote_id), None, "{what}");
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_name_that_is_taken_is_a_conflict() {
    let rig = Rig::apiscp();
    let host = rig.host().await;
    rig.panel().seed_site(SiteSeed::strange("them.example", "acme01"));
    let mut order = body(Hook::Create, SERVICE);
    order["service"]["username"] = json!("acme01");

    let fault = refused(&host, Hook::Create, order, "a").await;

    assert_eq!(fault.class, FaultClass::AlreadyExists, "{fault:?}");
    assert_eq!(rig.panel().sites().len(), 1);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_whose_making_was_lost_gets_the_password_that_is_told() {
    let rig = Rig::apiscp();
    let host = rig.host().await;
    let seed = SiteSeed { invoice: Some(INVOICE.into()), ours: true, ..SiteSeed::strange(DOMAIN, "svc1007") };
    rig.panel().seed_site(seed);

    run(&host, Hook::Create, body(Hook::Create, SERVICE), "a").await;

    assert_eq!(site(&rig).password, secret(&host).await);
    assert_eq!((rig.panel().sites().len(), count(&rig, |effect| matches!(effect, Effect::Created(_)))), (1, 0));
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_was_made_halfway_is_no_success_before_a_person_has_looked() {
    for is_whole in [true, false] {
        let rig = Rig::apiscp();
        let host = rig.host().await;
        rig.panel().break_creates(1);

        let fault = refused(&host, Hook::Create, body(Hook::Create, SERVICE), "a").await;

        assert!(fault.staff.contains("mysql") && fault.staff.contains("site12"), "the panel's own words: {fault:?}");
        if !is_whole {
            rig.panel().remove_site(12);
        }
        run(&host, Hook::Create, body(Hook::Create, SERVICE), "a").await;
        assert_eq!((rig.panel().sites().len(), site(&rig).is_half), (1, is_whole));
        assert_eq!(site(&rig).password, secret(&host).await);
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_terminate_never_touches_whoever_has_the_domain_next() {
    for is_add_on in [false, true] {
        let (rig, host) = started().await;
        run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "a").await;
        let next = match is_add_on {
            false => SiteSeed::strange(DOMAIN, "them"),
            true => SiteSeed { aliases: vec![DOMAIN.into()], ..SiteSeed::strange("them.example", "them") },
        };
        rig.panel().seed_site(next);

        let again = send(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "b").await;

        assert!(matches!(again.state, State::Succeeded | State::Failed), "{again:#?}");
        assert_eq!(rig.panel().sites().len(), 1);
        assert_eq!(count(&rig, |effect| matches!(effect, Effect::Deleted(_))), 1);
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_is_no_longer_ours_is_not_touched_by_any_hook() {
    let (rig, host) = started().await;
    // Staff give the site to another service.
    rig.panel().set_value(12, "billing.invoice", Held::text("billhook-shop-9999"));
    let before = rig.panel().sites();
    for (hook, asked) in [
        (Hook::Suspend, body(Hook::Suspend, SERVICE)),
        (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE)),
        (Hook::Renew, body(Hook::Renew, SERVICE)),
        (Hook::ChangePackage, package("vps-large")),
        (Hook::ChangePassword, password()),
        (Hook::Action, action("change_domain", json!({ "domain": "new.example" }))),
        (Hook::Action, action("change_username", json!({ "username": "newname" }))),
        (Hook::Action, action("join_group", json!({ "parent_invoice": "M-1" }))),
        (Hook::Action, action("unban", json!({ "ip": ADDRESS }))),
        (Hook::Terminate, body(Hook::Terminate, SERVICE)),
    ] {
        let what = format!("{hook} {asked}");
        let fault = refused(&host, hook, asked, &what).await;
        assert_eq!(fault.class, FaultClass::NotFound, "{what}: {fault:?}");
    }
    for hook in [Hook::Login, Hook::Usage, Hook::Status] {
        assert_eq!(class(read(&host, hook, body(hook, SERVICE)).await), FaultClass::NotFound, "{hook}");
    }
    assert_eq!((rig.panel().sites(), rig.panel().sessions()), (before, 0));
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminate_without_an_answer_is_no_success_before_the_site_is_gone() {
    // The module of WHMCS takes a connection that times out without a word for a success.
    for fault in [Broken::Hang { effect: false }, Broken::DropBeforeEffect, broken("null_before_effect")] {
        let (rig, host) = started().await;
        rig.panel().arm(Plan::on("POST", "admin_delete_site", fault));

        let ended = run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "a").await;

        assert_eq!(ended["gone"], json!(true), "{}", fault.name());
        assert!(rig.panel().sites().is_empty(), "{}: gone is what was read", fault.name());
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_is_no_success() {
    for (hook, asked, operation) in [
        (Hook::Suspend, body(Hook::Suspend, SERVICE), "admin_deactivate_site"),
        (Hook::ChangePackage, package("vps-large"), "admin_edit_site"),
        (Hook::ChangePassword, password(), "auth_change_password"),
        (Hook::Terminate, body(Hook::Terminate, SERVICE), "admin_delete_site"),
    ] {
        let (rig, host) = started().await;
        let before = rig.panel().sites();
        rig.panel().arm(Plan::on("POST", operation, broken("false_before_effect")).repeat(1_000));

        let ended = send(&host, hook, asked, "a").await;

        assert!(matches!(ended.state, State::Failed | State::Attention), "{hook}: {ended:#?}");
        assert_eq!(rig.panel().sites(), before, "{hook}");
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_asked_again_after_null_and_changes_are_not() {
    let (rig, host) = started().await;
    rig.panel().arm(Plan::on("POST", "admin_collect", broken("null_before_effect")).repeat(4));
    run(&host, Hook::Renew, body(Hook::Renew, SERVICE), "a").await;
    assert_eq!(rig.panel().unfired(), 0);

    rig.panel().arm(Plan::on("POST", "admin_deactivate_site", broken("null_after_effect")));
    run(&host, Hook::Suspend, body(Hook::Suspend, SERVICE), "b").await;
    assert_eq!(rig.panel().calls_to("POST", "admin_deactivate_site").len(), 1, "it was looked up instead");
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_administrators_own_password_is_never_changed() {
    for user in [Held::Null, Held::text("")] {
        let (rig, host) = started().await;
        rig.panel().set_value(12, "siteinfo.admin_user", user);

        let fault = refused(&host, Hook::ChangePassword, password(), "a").await;

        assert_eq!(fault.class, FaultClass::PanelBug, "{fault:?}");
        assert!(rig.panel().calls_to("POST", "auth_change_password").is_empty());
        assert_eq!(count(&rig, |effect| effect == Effect::AdminPasswordSet), 0);
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_panel_is_told_apart_and_its_operator_told_what_to_set() {
    let (rig, host) = started_with(Setup::default(), |panel| panel.knobs.knows_only_admin_passwords = true).await;

    let fault = refused(&host, Hook::ChangePassword, password(), "a").await;

    assert_eq!(fault.class, FaultClass::Unsupported);
    assert!(fault.staff.contains("password_by"), "{fault:?}");
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspending_what_the_panel_has_suspended_keeps_the_panels_reason() {
    let (rig, host) = started().await;
    rig.panel().set_suspended(12, Some("bandwidth exceeded"));

    let ended = run(&host, Hook::Suspend, with(Hook::Suspend, json!({ "reason": "unpaid" })), "a").await;

    assert_eq!(ended["noop"], json!(true));
    assert_eq!(site(&rig).reason.as_deref(), Some("bandwidth exceeded"));
    assert!(rig.panel().calls_to("POST", "admin_deactivate_site").is_empty());
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renew_of_a_site_that_is_gone_is_no_success() {
    let (rig, host) = started().await;
    rig.panel().remove_site(12);

    let fault = refused(&host, Hook::Renew, body(Hook::Renew, SERVICE), "a").await;

    assert_eq!(fault.class, FaultClass::NotFound);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_not_opened_is_no_link() {
    for fault in ["null_before_effect", "false_before_effect", "empty_success", "html_200_after_effect"] {
        let (rig, host) = started().await;
        rig.panel().arm(Plan::on("POST", "admin_hijack", broken(fault)).repeat(100));

        let failed = read(&host, Hook::Login, body(Hook::Login, SERVICE)).await;

        assert!(failed.is_err(), "{fault}: {failed:?}");
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_customers_session_is_never_used_for_anothers_call() {
    let (rig, host) = started().await;
    rig.panel().expect_sites(2);
    run(&host, Hook::Create, body(Hook::Create, "1008"), "other").await;
    rig.panel().ban("ssh", ADDRESS);
    let mut other = action("unban", json!({ "ip": ADDRESS }));
    other["service"] = json!({ "id": "1008" });

    let ids = [
        host.send_with(Hook::Action, action("unban", json!({ "ip": ADDRESS })), Some("a")).await.unwrap(),
        host.send_with(Hook::Action, other, Some("b")).await.unwrap(),
        host.send_with(Hook::Suspend, body(Hook::Suspend, SERVICE), Some("c")).await.unwrap(),
        host.send_with(Hook::Suspend, body(Hook::Suspend, "1008"), Some("d")).await.unwrap(),
    ];
    for ended in host.drive_all(&ids).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }

    assert!(rig.panel().sites().iter().all(|site| site.suspended));
    // A cookie with a call of the administrator's would be a violation.
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_shown_a_few_times_and_not_until_the_panel_locks_us_out() {
    let (rig, host) = started().await;
    let right = rig.running.config().keys.clone();
    rig.panel().set_keys(vec![ApiKey { key: "0".repeat(64), owner: "admin".into(), site: None }]);

    let ended = send(&host, Hook::Suspend, body(Hook::Suspend, SERVICE), "a").await;

    assert!(matches!(ended.state, State::Failed | State::Attention), "{ended:#?}");
    assert_eq!(ended.fault.as_ref().map(|fault| fault.class), Some(FaultClass::Auth), "{ended:#?}");
    assert_eq!(rig.panel().failed_logins(), 1, "a wrong key is not tried again");
    rig.panel().set_keys(right);
    let again = send(&host, Hook::Suspend, body(Hook::Suspend, SERVICE), "a").await;
    assert_eq!(again.state, State::Succeeded, "{again:#?}");
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_the_connection_finds_what_will_not_work() {
    let site_key = "b".repeat(64);
    type Tune = fn(&mut Config);
    let cases: [(&str, Tune, Option<FaultClass>); 6] = [
        ("well", |_| {}, None),
        ("a wrong key", |panel| panel.keys[0].key = "not the key".into(), Some(FaultClass::Auth)),
        ("no SOAP", |panel| panel.knobs.soap = false, Some(FaultClass::InvalidInput)),
        ("a site's key", |panel| panel.keys[0].site = Some("them.example".into()), Some(FaultClass::Permission)),
        (
            "privileges",
            |panel| {
                panel.keys[0].site = Some("them.example".into());
                panel.knobs.denial = Denial::Privileges;
            },
            Some(FaultClass::Permission),
        ),
        (
            "a refused address",
            |panel| {
                panel.keys[0].site = Some("them.example".into());
                panel.knobs.denial = Denial::Forbidden;
            },
            Some(FaultClass::Permission),
        ),
    ];
    for (what, tune, expected) in cases {
        let rig = Rig::apiscp_with(Setup::default(), |panel| {
            panel.keys[0].key.clone_from(&site_key);
            tune(panel);
        });
        rig.panel().seed_site(SiteSeed::strange("them.example", "them"));
        if what == "a wrong key" {
            std::fs::write(rig.folder.path().join("token"), &site_key).unwrap();
        }
        let host = rig.host().await;

        let tested = read(&host, Hook::Test, json!({ "server": "panel" })).await;

        let (found, is_good) = match &tested {
            Ok(outcome) => (None, outcome.findings.iter().all(|finding| finding.ok)),
            Err(fault) => (Some(fault.class), false),
        };
        match expected {
            None => assert!(is_good, "{what}: {tested:?}"),
            Some(class) => assert!(found == Some(class) || found.is_none() && !is_good, "{what}: {tested:?}"),
        }
        assert_eq!(rig.panel().violations(), Vec::<String>::new(), "{what}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_panels_texts_reach_the_staff_with_a_class_of_their_own() {
    let order = |more: Value| {
        let mut order = body(Hook::Create, SERVICE);
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    for (asked, expected, text) in [
        (order(json!({ "product": { "id": "vps", "options": { "plan": "gold" } } })), FaultClass::InvalidInput, "gold"),
        (order(json!({ "password": "short" })), FaultClass::InvalidInput, "weak"),
        (order(json!({ "password": "l0ng-enough\u{1}" })), FaultClass::InvalidInput, ""),
    ] {
        let rig = Rig::apiscp();
        let host = rig.host().await;

        let fault = refused(&host, Hook::Create, asked.clone(), "a").await;

        assert_eq!(fault.class, expected, "{asked}: {fault:?}");
        assert!(fault.staff.to_lowercase().contains(text), "{asked}: {fault:?}");
        assert!(rig.panel().sites().is_empty());
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_panel_is_asked_again() {
    let (rig, host) = started().await;
    rig.panel().arm(Plan::on("POST", "admin_deactivate_site", broken("busy_before_effect")).repeat(3));

    run(&host, Hook::Suspend, body(Hook::Suspend, SERVICE), "a").await;

    assert_eq!((site(&rig).suspended, rig.panel().unfired()), (true, 0));
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_sessions_and_passwords_are_nowhere_in_clear() {
    for key_in in ["query", "header"] {
        let setup = Setup { settings: Some(format!("key_in = \"{key_in}\"")), ..Setup::default() };
        let (rig, host) = started_with(setup, |_| {}).await;
        rig.panel().ban("ssh", ADDRESS);
        let mut ways = Vec::new();
        for fault in ["cut_off", "fault_after_effect", "status_502_after_effect", "drop_after_effect"] {
            rig.panel().arm(Plan::nth_call(2, broken(fault)));
            run(&host, Hook::ChangePassword, password(), fault).await;
        }
        run(&host, Hook::Action, action("unban", json!({ "ip": ADDRESS })), "b").await;
        ways.push(look(&host, Hook::Login, json!({})).await.secrets["url"].expose().clone());
        run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "c").await;
        let store = host.engine.env().store.clone();
        store.flush().await.unwrap();

        let mut secrets = rig.panel().secrets();
        secrets.extend(ways);
        secrets.sort();
        secrets.dedup();
        assert!(secrets.len() >= 4, "the panel plants its own: {}", secrets.len());
        let mut places = left_behind(rig.folder.path());
        let rows = store.log(&LogFilter { limit: 1_000, ..LogFilter::default() }).await.unwrap().rows;
        let mut log = String::new();
        for row in &rows {
            log.push_str(&serde_json::to_string(row).unwrap());
            if let Some((_, detail)) = store.log_detail(&row.id).await.unwrap() {
                log.push_str(&serde_json::to_string(&detail).unwrap());
            }
        }
        assert!(log.contains("admin_delete_site") && log.contains(DOMAIN), "bodies are read");
        places.push(("the log, unpacked".to_owned(), log.into_bytes()));
        for operation in store.list_operations(&LogFilter { limit: 1_000, ..LogFilter::default() }).await.unwrap() {
            places.push((format!("operation {}", operation.id), format!("{operation:?}").into_bytes()));
        }
        for secret in &secrets {
            for (form, needle) in forms(secret) {
                for (place, bytes) in &places {
                    assert!(!contains(bytes, &needle), "key in {key_in}: {secret:?} stands in {place}, as {form}");
                }
            }
        }
        finish(&rig, host).await;
    }
}
