//! Every hook on a panel that is well, in each of the manners that panels have.

use super::*;
use billhook_plugin_api::ServiceState;
use billhook_tests::apiscp::{CollectKeys, SiteSeed, Usage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_service_reaches_the_panel_whatever_the_panels_manners() {
    for (settings, keys, refuses, repeats, flags) in [
        (None, CollectKeys::Site, false, false, true),
        (Some("key_in = \"header\""), CollectKeys::AsNamed, true, true, true),
        (Some("password_by = \"edit_site\""), CollectKeys::Site, true, true, false),
        (Some("key_in = \"query\""), CollectKeys::AsNamed, false, false, false),
    ] {
        let setup = Setup { settings: settings.map(str::to_owned), ..Setup::default() };
        let (rig, host) = started_with(setup, |panel| {
            panel.knobs.collect_keys = keys;
            panel.knobs.collect_refuses_strangers = refuses;
            panel.knobs.refuses_repeats = repeats;
            panel.knobs.has_suspend_flags = flags;
            panel.knobs.knows_only_admin_passwords = settings == Some("password_by = \"edit_site\"");
        })
        .await;

        let made = site(&rig);
        assert_eq!((&*made.domain, &*made.plan, &*made.email), (DOMAIN, "basic", "ops@acme.example"));
        let service = host.service(SERVICE).await.unwrap();
        assert_eq!(service.remote_id, Some(made.name()), "{settings:?}");
        assert_eq!(made.password, secret(&host).await);
        assert!(!made.is_half);

        run(&host, Hook::Suspend, with(Hook::Suspend, json!({ "reason": "unpaid" })), "a").await;
        let suspended = site(&rig);
        assert!(suspended.suspended);
        assert_eq!(suspended.reason.is_some_and(|reason| reason.contains("unpaid")), flags);
        assert_eq!(run(&host, Hook::Suspend, body(Hook::Suspend, SERVICE), "b").await["noop"], json!(true));
        run(&host, Hook::Unsuspend, body(Hook::Unsuspend, SERVICE), "c").await;
        assert!(!site(&rig).suspended);
        assert_eq!(run(&host, Hook::Unsuspend, body(Hook::Unsuspend, SERVICE), "d").await["noop"], json!(true));

        run(&host, Hook::Renew, body(Hook::Renew, SERVICE), "e").await;
        run(&host, Hook::ChangePackage, package("vps-large"), "f").await;
        assert_eq!((&*site(&rig).plan, site(&rig).quota_kb), ("pro", 20_971_520));
        assert_eq!(run(&host, Hook::ChangePackage, package("vps-large"), "g").await["noop"], json!(true));
        run(&host, Hook::ChangePassword, password(), "h").await;
        assert_eq!((&*site(&rig).password, &*secret(&host).await), (PASSWORD, PASSWORD), "{settings:?}");

        let ended = run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "i").await;
        assert_eq!(ended["gone"], json!(true));
        assert!(rig.panel().sites().is_empty());

        for (wanted, times) in [
            (Effect::Created(12), 1),
            (Effect::Suspended(12), 1),
            (Effect::Activated(12), 1),
            (Effect::PlanChanged(12), 1),
            (Effect::PasswordSet(12), 1),
            (Effect::Deleted(12), 1),
        ] {
            assert_eq!(count(&rig, |effect| effect == wanted), times, "{settings:?} {wanted:?}");
        }
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_product_has_instead_of_the_plans_reaches_the_site() {
    let extra = "[products.vps-own]\nserver = \"panel\"\n[products.vps-own.settings]\nplan = \"pro\"\ndisk_gb = 7\n\
                 traffic_gb = 300\naddon_domains = 4\nusers = 9\nssh = false\n";
    let (rig, host) = started_with(Setup { extra: extra.into(), ..Setup::default() }, |_| {}).await;

    run(&host, Hook::ChangePackage, package("vps-own"), "a").await;

    assert_eq!((&*site(&rig).plan, site(&rig).quota_kb), ("pro", 7 << 20));
    let usage = look(&host, Hook::Usage, json!({})).await.usage;
    assert!(usage.iter().any(|measure| measure.name == "traffic" && measure.limit == Some(300 << 30)), "{usage:?}");
    assert_eq!(run(&host, Hook::ChangePackage, package("vps-own"), "b").await["noop"], json!(true));
    // Back to the plan alone: what was set is reset.
    run(&host, Hook::ChangePackage, package("vps"), "c").await;
    assert_eq!((&*site(&rig).plan, site(&rig).quota_kb), ("basic", 5_242_880));
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_termination_that_keeps_the_site_suspends_it_and_says_until_when() {
    let product = "plan = \"basic\"\nterminate = \"suspend\"\nretain_days = 10\n".to_owned();
    let (rig, host) = started_with(Setup { product: Some(product), ..Setup::default() }, |_| {}).await;

    let ended = run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "a").await;

    let now = billhook::clock::Clock::unix_ms(&rig.clock);
    assert!(site(&rig).suspended);
    assert_eq!(ended["gone"], json!(false), "{ended}");
    let ends_at = ended["ends_at"].as_u64().unwrap();
    assert!(ends_at <= now + 10 * 86_400_000 && ends_at + 3_600_000 > now + 10 * 86_400_000, "{ended}");
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::Deleted(_))), 0);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_seen_as_it_is() {
    let (rig, host) = started().await;
    let id = site(&rig).id;
    let seen = look(&host, Hook::Status, json!({})).await;
    assert_eq!(seen.state, Some(ServiceState::Active), "{seen:?}");

    rig.panel().set_suspended(id, Some("bandwidth exceeded\n# internal"));
    let seen = look(&host, Hook::Status, json!({})).await;
    assert_eq!(seen.state, Some(ServiceState::Suspended));
    assert_eq!(seen.properties["suspension_reason"], "bandwidth exceeded");

    rig.panel().remove_site(id);
    let seen = look(&host, Hook::Status, json!({})).await;
    assert_eq!(seen.state, Some(ServiceState::Terminated));
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_counted_in_the_panels_units_and_no_limit_is_none() {
    for (threshold, expected) in [
        (billhook_tests::apiscp::Value::Int(100), Some(100 << 30)),
        (billhook_tests::apiscp::Value::Int(0), None),
        (billhook_tests::apiscp::Value::Int(-1), None),
        (billhook_tests::apiscp::Value::Null, None),
    ] {
        let (rig, host) = started().await;
        rig.panel().set_value(12, "bandwidth.threshold", threshold);
        let stranger = rig.panel().seed_site(SiteSeed::strange("them.example", "them"));
        rig.panel().set_usage(stranger, Usage { storage_kb: 7, ..Usage::default() });

        let usage = look(&host, Hook::Usage, json!({})).await.usage;

        let found: Vec<(&str, u64, Option<u64>)> =
            usage.iter().map(|measure| (measure.name.as_str(), measure.used, measure.limit)).collect();
        let wanted = [("disk", 1 << 30, Some(5 << 30)), ("files", 1_200, None), ("traffic", 15_000_000_000, expected)];
        assert_eq!(found, wanted);
        rig.panel().set_usage(12, Usage { is_known: false, ..Usage::default() });
        assert!(look(&host, Hook::Usage, json!({})).await.usage.is_empty(), "no figures are no failure");
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sites_are_listed_and_none_is_an_empty_list() {
    let rig = Rig::apiscp();
    let host = rig.host().await;
    let listed = async || read(&host, Hook::List, json!({ "server": "panel" })).await.unwrap().accounts.unwrap();
    assert!(listed().await.is_empty());

    run(&host, Hook::Create, body(Hook::Create, SERVICE), "a").await;
    rig.panel()
        .seed_site(SiteSeed { suspended: Some((0, String::new())), ..SiteSeed::strange("them.example", "them") });

    let accounts = listed().await;
    let found: Vec<_> = accounts.iter().map(|account| (account.remote_id.as_str(), account.state)).collect();
    assert_eq!(found, [("site12", ServiceState::Active), ("site13", ServiceState::Suspended)]);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_are_read_from_the_panel() {
    let rig = Rig::apiscp();
    let host = rig.host().await;

    let options = read(&host, Hook::Options, json!({ "server": "panel", "field": "plan" })).await.unwrap();

    let values: Vec<Value> = options.options.unwrap().into_iter().map(|option| option.value).collect();
    assert_eq!(values, ["basic", "pro", "bulk"]);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_opens_a_session_for_a_browser_that_is_kept_nowhere() {
    let product = "plan = \"basic\"\nlogin_app = \"filemanager\"\n".to_owned();
    let (rig, host) = started_with(Setup { product: Some(product), ..Setup::default() }, |_| {}).await;

    let link = look(&host, Hook::Login, json!({})).await;

    let url = link.secrets["url"].expose().clone();
    let sid = url.strip_prefix("https://panel.example.net:2083/apps/filemanager?esprit_id=").unwrap();
    assert_eq!(rig.panel().session(sid), Some(("site12".into(), "UI".into())));
    assert!(!format!("{:?}", host.service(SERVICE).await.unwrap()).contains(sid));
    // Whatever comes next is the administrator's again.
    run(&host, Hook::Suspend, body(Hook::Suspend, SERVICE), "a").await;
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domain_and_name_are_changed_and_the_service_goes_on_with_them() {
    let (rig, host) = started().await;
    rig.panel()
        .seed_site(SiteSeed { aliases: vec!["add.example".into()], ..SiteSeed::strange("them.example", "them") });

    let domain = json!({ "domain": "new.example" });
    run(&host, Hook::Action, action("change_domain", domain.clone()), "a").await;
    assert_eq!(site(&rig).domain, "new.example");
    assert_eq!(run(&host, Hook::Action, action("change_domain", domain), "b").await["noop"], json!(true));
    run(&host, Hook::Action, action("change_username", json!({ "username": "newname" })), "c").await;
    assert_eq!(site(&rig).user, "newname");
    for (name, params) in [
        ("change_domain", json!({ "domain": "them.example" })),
        ("change_domain", json!({ "domain": "add.example" })),
        ("change_username", json!({ "username": "them" })),
    ] {
        let what = params.to_string();
        let fault = refused(&host, Hook::Action, action(name, params), &what).await;
        assert_eq!(fault.class, FaultClass::AlreadyExists, "{what}: {fault:?}");
    }

    run(&host, Hook::ChangePassword, password(), "d").await;
    assert_eq!(site(&rig).password, PASSWORD);
    look(&host, Hook::Login, json!({})).await;
    run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE), "e").await;
    assert_eq!(rig.panel().sites().len(), 1);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_is_found_and_lifted_for_the_address_that_is_named() {
    let (rig, host) = started().await;
    rig.panel().ban("ssh", ADDRESS);
    rig.panel().ban("ssh", "203.0.113.10");
    let asked =
        async || look(&host, Hook::Action, json!({ "action": "is_banned", "params": { "ip": ADDRESS } })).await.data;
    assert_eq!(asked().await["banned"], json!(true));

    let freed = run(&host, Hook::Action, action("unban", json!({ "ip": ADDRESS })), "a").await;

    assert_eq!((&freed["data"]["changed"], asked().await["banned"].clone()), (&json!(true), json!(false)));
    assert_eq!(rig.panel().jails("203.0.113.10"), ["ssh"]);
    assert_eq!(run(&host, Hook::Action, action("unban", json!({ "ip": ADDRESS })), "b").await["noop"], json!(true));
    let fault = refused(&host, Hook::Action, action("unban", json!({ "ip": "nobody" })), "c").await;
    assert_eq!(fault.class, FaultClass::InvalidInput);
    finish(&rig, host).await;
}
