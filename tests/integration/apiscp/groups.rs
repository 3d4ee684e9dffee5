//! Groups of sites by their invoice: seen first, then changed, and never more of them than was said.

use super::*;
use billhook_tests::apiscp::SiteSeed;

/// The service's site as the master of two more, beside a stranger.
async fn grouped() -> (Rig<ApisCp>, Host) {
    let (rig, host) = started().await;
    rig.panel().seed_site(SiteSeed::child("one.example", "one", INVOICE));
    rig.panel().seed_site(SiteSeed::child("two.example", "two", INVOICE));
    rig.panel().seed_site(SiteSeed::strange("them.example", "them"));
    rig.panel().expect_group(INVOICE);
    (rig, host)
}

fn ids(rig: &Rig<ApisCp>) -> Vec<u64> {
    rig.panel().sites().iter().map(|site| site.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_named_before_it_is_changed() {
    let (rig, host) = grouped().await;

    let seen = look(&host, Hook::Action, json!({ "action": "group_sites" })).await.data;

    assert_eq!((&seen["count"], &seen["invoice"]), (&json!(3), &json!(INVOICE)));
    let domains: Vec<&str> =
        seen["sites"].as_array().unwrap().iter().filter_map(|site| site["domain"].as_str()).collect();
    assert_eq!(domains, [DOMAIN, "one.example", "two.example"]);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_larger_than_was_said_is_left_alone() {
    let (rig, host) = grouped().await;
    let before = rig.panel().sites();
    for (name, params) in [
        ("group_suspend", json!({ "max_sites": 2 })),
        ("group_edit", json!({ "max_sites": 2, "plan": "pro" })),
        ("group_delete", json!({ "max_sites": 2 })),
    ] {
        let fault = refused(&host, Hook::Action, action(name, params), name).await;
        assert_eq!(fault.class, FaultClass::InvalidInput, "{name}: {fault:?}");
        assert!(fault.staff.contains('3'), "{name}: {fault:?}");
    }
    assert_eq!(rig.panel().sites(), before);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_edited_suspended_activated_and_deleted_as_one() {
    let (rig, host) = grouped().await;
    let go = async |name: &str, more: Value, key: &str| {
        let mut params = json!({ "max_sites": 3 });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&host, Hook::Action, action(name, params), key).await
    };
    let of_group = || -> Vec<SiteView> { rig.panel().sites().into_iter().filter(|site| site.id != 15).collect() };

    go("group_edit", json!({ "plan": "pro", "disk_gb": 7 }), "a").await;
    assert!(of_group().iter().all(|site| site.plan == "pro" && site.quota_kb == 7 << 20), "{:?}", of_group());
    go("group_suspend", json!({ "reason": "unpaid" }), "b").await;
    assert!(of_group().iter().all(|site| site.suspended));
    assert_eq!(go("group_suspend", json!({}), "c").await["noop"], json!(true));
    go("group_activate", json!({}), "d").await;
    assert!(of_group().iter().all(|site| !site.suspended));

    // Only the suspended.
    rig.panel().set_suspended(14, Some("unpaid"));
    go("group_delete", json!({ "since": "now" }), "e").await;
    assert_eq!(ids(&rig), [12, 13, 15]);
    go("group_delete", json!({}), "f").await;
    assert_eq!(ids(&rig), [15]);

    let found: Vec<Effect> =
        rig.panel().ledger().iter().map(|call| call.effect).filter(|effect| *effect != Effect::None).collect();
    assert_eq!(
        found[1..],
        [
            Effect::GroupEdited(3),
            Effect::GroupSuspended(3),
            Effect::GroupActivated(3),
            Effect::GroupDeleted(1),
            Effect::GroupDeleted(2)
        ]
    );
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_moves_from_group_to_group_and_out_of_them() {
    let (rig, host) = started().await;
    for (key, invoice) in [("a", json!("M-1")), ("b", json!("M-2")), ("c", Value::Null)] {
        run(&host, Hook::Action, action("join_group", json!({ "parent_invoice": invoice })), key).await;
        assert_eq!(json!(site(&rig).parent_invoice), invoice);
        let again = action("join_group", json!({ "parent_invoice": invoice }));
        assert_eq!(run(&host, Hook::Action, again, &format!("{key}2")).await["noop"], json!(true), "{invoice}");
    }
    let own = action("join_group", json!({ "parent_invoice": INVOICE }));
    assert_eq!(refused(&host, Hook::Action, own, "d").await.class, FaultClass::InvalidInput);
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_site_joins_the_group_that_its_product_names() {
    let product = "plan = \"basic\"\nparent_invoice = \"M-1\"\n".to_owned();
    let (rig, host) = started_with(Setup { product: Some(product), ..Setup::default() }, |_| {}).await;

    assert_eq!(site(&rig).parent_invoice.as_deref(), Some("M-1"));
    finish(&rig, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_signs_in_to_its_subordinates_and_to_nobody_else() {
    for (domain, expected) in
        [("one.example", Some("site13")), ("them.example", None), ("nobody.example", None), ("add.example", None)]
    {
        let product = format!("plan = \"basic\"\nlogin_site = \"{domain}\"\n");
        let (rig, host) = started_with(Setup { product: Some(product), ..Setup::default() }, |_| {}).await;
        rig.panel().seed_site(SiteSeed::child("one.example", "one", INVOICE));
        let other = SiteSeed { aliases: vec!["add.example".into()], ..SiteSeed::strange("them.example", "them") };
        rig.panel().seed_site(other);

        let signed_in = read(&host, Hook::Login, body(Hook::Login, SERVICE)).await;

        match expected {
            Some(site) => {
                let url = signed_in.unwrap().secrets["url"].expose().clone();
                let sid = url.split_once("esprit_id=").unwrap().1;
                assert_eq!(rig.panel().session(sid), Some((site.into(), "UI".into())));
            }
            None => assert_eq!((class(signed_in), rig.panel().sessions()), (FaultClass::NotFound, 0), "{domain}"),
        }
        finish(&rig, host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_are_found_by_what_they_are() {
    let (rig, host) = grouped().await;
    rig.panel().set_suspended(13, Some("unpaid"));
    for (params, expected) in [
        (json!({ "invoice": INVOICE }), &["site12"][..]),
        (json!({ "parent_invoice": INVOICE }), &["site13", "site14"]),
        (json!({ "parent_invoice": INVOICE, "active": false }), &["site13"]),
        (json!({ "domain": "them.example" }), &["site15"]),
        (json!({ "invoice": "nobody" }), &[]),
        (json!({}), &["site12", "site13", "site14", "site15"]),
    ] {
        let found = look(&host, Hook::Action, json!({ "action": "sites", "params": params.clone() })).await.data;
        let found: Vec<&str> = found.as_array().unwrap().iter().filter_map(|site| site["site"].as_str()).collect();
        assert_eq!(found, expected, "{params}");
    }
    finish(&rig, host).await;
}
