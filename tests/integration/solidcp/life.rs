//! Every hook once, with what it leaves on the panel.

use super::*;
use billhook_plugin_api::ServiceState;
use billhook_tests::solidcp::{Manners, Power, Version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_service_reaches_the_panel_of_every_version_and_wording() {
    let odd = Manners { is_prefixed: true, says_nil: true, reply_headers: false, has_zones: false };
    for (version, manners, plan) in [
        (Version::V1_4_9, odd.clone(), 11),
        (Version::V1_5_0, Manners::default(), 21),
        (Version::V1_5_1, Manners::default(), 11),
        (Version::V1_5_2, odd, 21),
    ] {
        let rig = rig(product(&format!("plans = [{plan}]")), |panel| {
            panel.version = version;
            panel.knobs.manners = manners;
        });
        let host = rig.host().await;

        run(&host, Hook::Create).await;
        let made = machine(&rig);
        assert!(made.is_running && made.provisioning == "OK", "{made:?}");
        assert_eq!((made.cores, made.ram_mb, &*made.disks_gb, made.addresses.len()), (2, 4096, &[60][..], 1));
        assert_eq!((space(&rig).plan_id, space(&rig).status), (plan, 1));
        let user = rig.panel().made_users().remove(0);
        assert_eq!((user.owner_id, user.role, user.email.as_str()), (2, 3, "ops@acme.example"));
        let service = host.service(SERVICE).await.unwrap();
        assert_eq!(service.secrets["root_password"].expose(), &made.password);
        run(&host, Hook::Suspend).await;
        assert_eq!(space(&rig).status, 2);
        run(&host, Hook::Unsuspend).await;
        assert_eq!(space(&rig).status, 1);
        let before = changes(&rig);
        run(&host, Hook::Renew).await;
        assert_eq!(changes(&rig), before, "a renewal changes nothing");
        run(&host, Hook::ChangePassword).await;
        assert_ne!(machine(&rig).password, made.password);
        for (word, is_running) in [("shutdown", false), ("start", true), ("stop", false), ("start", true)] {
            succeed(&host, Hook::Power, power(word)).await;
            assert_eq!(machine(&rig).is_running, is_running, "{word}");
        }
        succeed(&host, Hook::Power, power("reboot")).await;
        succeed(&host, Hook::Power, power("reset")).await;
        let switched =
            [Power::Started, Power::ShutDown, Power::TurnedOff, Power::Rebooted, Power::Reset].map(|wanted| {
                rig.panel().count_effects(|effect| matches!(effect, Effect::Powered(_, power) if power == wanted))
            });
        assert_eq!(switched, [2, 1, 1, 1, 1]);
        run(&host, Hook::Reinstall).await;
        let anew = machine(&rig);
        assert_eq!((anew.reinstalls, anew.provisioning, anew.is_running), (1, "OK", true));
        assert_eq!((anew.id, &anew.addresses), (made.id, &made.addresses));
        let ended = run(&host, Hook::Terminate).await;
        assert_eq!(ended.outcome.unwrap()["gone"], json!(true));

        let_the_panel_end(&host);
        assert!(rig.panel().machines().is_empty() && rig.panel().spaces().is_empty(), "{version:?}");
        assert!(rig.panel().made_users().is_empty(), "{version:?}");
        assert_eq!(rig.panel().free_addresses(if plan == 11 { 5 } else { 6 }), 8);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_package_changes_the_space_and_the_machine_and_nothing_else() {
    let (rig, host) = created().await;
    let before = (machine(&rig), space(&rig));

    succeed(&host, Hook::ChangePackage, to_large()).await;

    let after = machine(&rig);
    assert_eq!((after.cores, after.ram_mb, &*after.disks_gb), (4, 8192, &[120][..]));
    assert_eq!((after.id, &after.name, &after.addresses), (before.0.id, &before.0.name, &before.0.addresses));
    assert!(after.is_running);
    let changed = space(&rig);
    assert_eq!(changed.plan_id, 12);
    assert_eq!((changed.name, changed.comments), (before.1.name, before.1.comments));
    let again = changes(&rig);
    succeed(&host, Hook::ChangePackage, to_large()).await;
    assert_eq!(changes(&rig), again, "what is so already is not changed again");
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_add_on_is_bought_once_and_one_that_is_none_blocks_nothing() {
    let (rig, host) = created().await;
    let addon = |id: &str| with(Hook::OrderAddons, json!({ "addons": [{ "id": id, "quantity": 1 }] }));

    for unknown in ["9", "12"] {
        let refused = send(&host, Hook::OrderAddons, addon(unknown)).await;
        assert_eq!(refused.state, State::Failed, "{refused:#?}");
        assert_eq!(refused.fault.unwrap().class, billhook_plugin_api::FaultClass::InvalidInput);
    }
    succeed(&host, Hook::OrderAddons, addon("31")).await;

    assert_eq!(space(&rig).addons, [(31, 1)]);
    assert_eq!(count(&rig, |effect| matches!(effect, Effect::AddonAdded(_))), 1);
    run(&host, Hook::Suspend).await;
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_are_the_panels() {
    let (rig, host) = created().await;
    let ask = async |hook: Hook| read(&host, hook, body(hook, SERVICE)).await.unwrap();

    let on = ask(Hook::Status).await;
    assert_eq!((on.state, on.power.as_deref()), (Some(ServiceState::Active), Some("running")));
    rig.panel().set_running(machine(&rig).id, false);
    let off = ask(Hook::Status).await;
    assert_eq!((off.state, off.power.as_deref()), (Some(ServiceState::Active), Some("stopped")));
    rig.panel().set_space_status(space(&rig).id, 2);
    assert_eq!(ask(Hook::Status).await.state, Some(ServiceState::Suspended));
    rig.panel().set_space_status(space(&rig).id, 1);
    let_the_panel_end(&host);
    let usage = serde_json::to_string(&ask(Hook::Usage).await).unwrap();
    assert!(!usage.contains("traffic") && !usage.contains("bandwidth"), "what is not measured is not told: {usage}");
    ask(Hook::Console).await;
    ask(Hook::Login).await;
    for hook in [Hook::List, Hook::Test] {
        let outcome = read(&host, hook, json!({ "server": "panel" })).await;
        assert!(outcome.is_ok(), "{hook}: {outcome:?}");
    }
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_life_follows_a_termination() {
    let (rig, host) = created().await;
    run(&host, Hook::Terminate).await;

    run(&host, Hook::Create).await;

    assert_eq!((rig.panel().machines().len(), rig.panel().made_users().len()), (1, 1));
    assert_eq!(host.service(SERVICE).await.unwrap().epoch, 2);
    assert_clean(&rig);
    host.stop().await;
}
