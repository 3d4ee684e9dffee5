//! What modules for this panel are known to get wrong, each on a panel that would show it.

use super::*;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use billhook_plugin_api::FaultClass;
use billhook_tests::solidcp::{Customer, Mishap, Power, Version};
use sha1::{Digest as _, Sha1};

fn seed(username: &str, space_name: &str) -> Customer {
    Customer {
        username: username.into(),
        owner_id: 2,
        plan_id: Some(11),
        space_name: space_name.into(),
        machine: Some(format!("{username}.example.test")),
        ours: false,
    }
}

/// The names that a create gives on an empty panel.
async fn names() -> (String, String, String) {
    let (rig, host) = created().await;
    let found = (rig.panel().made_users().remove(0).username, space(&rig).name, machine(&rig).name);
    host.stop().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_the_same_name_that_is_not_ours_is_a_conflict() {
    let (username, ..) = names().await;
    // One that nobody shows us, one that may not work, one with a space of its own.
    for (owner_id, status, plan_id) in [(3, 1, None), (2, 2, None), (2, 1, Some(11))] {
        let rig = rig(setup(), |_| {});
        let host = rig.host().await;
        rig.panel().seed_customer(Customer { owner_id, plan_id, machine: None, ..seed(&username, "theirs") });
        rig.panel().set_user_status(&username, status);

        let refused = host.run(Hook::Create, SERVICE).await;

        assert_eq!(refused.state, State::Failed, "{owner_id} {status}: {refused:#?}");
        assert_eq!(refused.fault.unwrap().class, FaultClass::AlreadyExists, "{owner_id} {status}");
        assert_eq!((changes(&rig), rig.panel().machines().len()), (0, 0), "{owner_id} {status}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_was_there_before_keeps_its_password_and_outlives_the_service() {
    let (username, ..) = names().await;
    let rig = rig(setup(), |_| {});
    let host = rig.host().await;
    rig.panel().seed_customer(Customer { plan_id: None, ours: true, ..seed(&username, "") });
    let before = rig.panel().users();

    run(&host, Hook::Create).await;
    run(&host, Hook::Terminate).await;

    let_the_panel_end(&host);
    assert_eq!(rig.panel().users(), before);
    assert_eq!(count(&rig, |effect| effect.user_id().is_some()), 0);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_came_with_the_space_are_no_error_and_those_that_did_not_are_asked_for() {
    for (assigns_addresses, asked) in [(true, 0), (false, 1)] {
        let (rig, host) = created_on(setup(), |panel| panel.knobs.assigns_addresses = assigns_addresses).await;

        assert_eq!(rig.panel().calls_to("POST", "AllocatePackageIPAddresses").len(), asked);
        assert_eq!((machine(&rig).addresses.len(), space(&rig).addresses.len()), (1, 1));
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_space_is_passed_over_before_anything_is_made() {
    let full: [(&str, fn(&Rig<SolidCp>)); 3] = [
        ("memory", |rig| rig.panel().rewrite(|nodes, _| nodes[0].memory_mb = 5_000)),
        ("addresses", |rig| rig.panel().drain_addresses(5, 0)),
        ("disk", |rig| {
            rig.panel().rewrite(|_, plans| {
                let mut less = plans[0].clone();
                less.id = 2;
                less.quotas.insert("VPS2012.Hdd".into(), 50);
                plans.push(less);
            });
            rig.panel().set_plan(5, 2);
        }),
    ];
    for (what, fill) in full {
        let rig = rig(product("plans = [11, 21]\nchoice = \"in_order\""), |_| {});
        fill(&rig);
        let host = rig.host().await;

        run(&host, Hook::Create).await;

        assert_eq!(space(&rig).plan_id, 21, "{what}");
        assert_eq!(machine(&rig).addresses.len(), 1, "{what}: the network card is told the VLAN of its addresses");
        assert_clean(&rig);
        host.stop().await;

        let rig = super::rig(product("plans = [11]"), |_| {});
        fill(&rig);
        let host = rig.host().await;
        let refused = host.run(Hook::Create, SERVICE).await;
        assert!(matches!(refused.state, State::Failed | State::Attention), "{what}: {refused:#?}");
        let class = refused.fault.unwrap().class;
        assert!(matches!(class, FaultClass::Capacity | FaultClass::Quota), "{what}: {class:?}");
        assert_eq!(changes(&rig), 0, "{what}: nothing was made for what cannot be");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_only_the_panel_knows_of_is_a_refusal_and_not_a_loss() {
    let rig = rig(setup(), |panel| panel.knobs.checks_space = true);
    // The plans that were sold use up the space on paper, and nothing of it in truth.
    rig.panel().seed_customer(Customer { machine: None, ..seed("paper", "sold") });
    rig.panel().rewrite(|_, plans| {
        plans[0].quotas.insert("VPS2012.Ram".into(), 6_000);
    });
    let host = rig.host().await;

    let refused = host.run(Hook::Create, SERVICE).await;

    assert_eq!(refused.state, State::Failed, "{refused:#?}");
    assert_eq!(refused.fault.unwrap().class, FaultClass::Quota);
    assert_eq!((count(&rig, |effect| effect.space_id().is_some()), rig.panel().machines().len()), (0, 0));
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_was_answered_and_forgotten_is_no_success() {
    let (rig, host) = created().await;
    rig.panel().tune(|knobs| knobs.forgotten_statuses = 1);

    let suspended = host.run(Hook::Suspend, SERVICE).await;

    let is_suspended = space(&rig).status == 2;
    assert_eq!(suspended.state == State::Succeeded, is_suspended, "{suspended:#?}");
    rig.panel().tune(|knobs| knobs.forgotten_statuses = 100);
    let unsuspended = host.run(Hook::Unsuspend, SERVICE).await;
    assert_eq!(unsuspended.state == State::Succeeded, space(&rig).status == 1, "{unsuspended:#?}");
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_of_the_suspended_sends_nothing_that_changes() {
    let (rig, host) = created().await;
    run(&host, Hook::Suspend).await;
    rig.panel().set_running(machine(&rig).id, false);
    let before = changes(&rig);

    let again = host.send_with(Hook::Suspend, body(Hook::Suspend, SERVICE), Some("again")).await.unwrap();
    assert_eq!(host.drive(&again).await.state, State::Succeeded);

    assert_eq!(changes(&rig), before);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_of_what_runs_sends_nothing_that_could_reset_it() {
    let (rig, host) = created().await;

    succeed(&host, Hook::Power, power("start")).await;

    assert_eq!(count(&rig, |effect| matches!(effect, Effect::Powered(_, Power::Reset))), 0);
    assert!(machine(&rig).is_running);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_service_is_terminated_whole_and_leaves_no_machine_behind() {
    for refuses in [false, true] {
        let (rig, host) = created().await;
        run(&host, Hook::Suspend).await;
        // Whoever removes the space with the machine in it loses sight of the machine.
        rig.panel().tune(|knobs| knobs.hypervisor_refuses = refuses);

        run(&host, Hook::Terminate).await;

        let_the_panel_end(&host);
        assert!(rig.panel().machines().is_empty() && rig.panel().made_users().is_empty());
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_does_not_go_keeps_its_space_and_somebody_is_told() {
    let (rig, host) = created().await;
    rig.panel().tune(|knobs| knobs.deletions = vec![Mishap::Fails; 50]);

    let ended = host.run(Hook::Terminate, SERVICE).await;

    assert!(matches!(ended.state, State::Failed | State::Attention), "{ended:#?}");
    assert_eq!((rig.panel().machines().len(), rig.panel().spaces().len()), (1, 1));
    assert!(!space(&rig).is_going);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_space_that_is_another_customers_by_now_is_left_alone() {
    let (rig, host) = created().await;
    let (stranger, ..) = rig.panel().seed_customer(Customer { plan_id: None, ..seed("stranger", "") });
    let before = (space(&rig), machine(&rig), changes(&rig));
    rig.panel().move_space(before.0.id, stranger);

    for hook in [Hook::Suspend, Hook::Terminate, Hook::ChangePassword, Hook::Reinstall, Hook::Power] {
        let refused = host.run(hook, SERVICE).await;
        assert!(matches!(refused.state, State::Failed | State::Attention), "{hook}: {refused:#?}");
    }

    assert_eq!((machine(&rig), changes(&rig)), (before.1, before.2));
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_has_another_space_by_now_outlives_the_service() {
    let (rig, host) = created().await;
    let user = rig.panel().made_users().remove(0);
    rig.panel().seed_space(user.id, 12, "by staff");

    run(&host, Hook::Terminate).await;

    let left: Vec<String> = rig.panel().spaces().into_iter().map(|space| space.name).collect();
    assert_eq!(left, ["by staff"]);
    assert!(rig.panel().users().iter().any(|found| found.id == user.id));
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_from_the_panel_is_terminated() {
    let (rig, host) = created().await;
    let remote = (space(&rig).id, rig.panel().made_users()[0].id);
    rig.panel().remove(remote.0, remote.1);

    run(&host, Hook::Terminate).await;

    assert_eq!(count(&rig, |effect| matches!(effect, Effect::SpaceDeleted(_) | Effect::UserDeleted(_))), 0);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_fails_to_be_made_is_told_of_and_kept_or_undone_as_the_product_says() {
    for (mishap, change, kept) in
        [(Mishap::Fails, "", 1), (Mishap::Dies, "", 1), (Mishap::Fails, "on_provisioning_failure = \"delete\"", 0)]
    {
        let rig = rig(product(change), |panel| panel.knobs.installations = vec![mishap]);
        let host = rig.host().await;

        let failed = host.run(Hook::Create, SERVICE).await;

        assert!(matches!(failed.state, State::Failed | State::Attention), "{mishap:?}: {failed:#?}");
        assert_eq!((rig.panel().machines().len(), rig.panel().spaces().len()), (kept, kept), "{mishap:?} {change}");
        assert_eq!(count(&rig, |effect| matches!(effect, Effect::MachineCreated(_))), 1);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_never_made_is_waited_for_so_long_and_no_longer() {
    let rig = rig(product("provisioning_limit_min = 30"), |panel| panel.knobs.installations = vec![Mishap::Stalls]);
    let host = rig.host().await;

    let stuck = host.run(Hook::Create, SERVICE).await;

    assert!(matches!(stuck.state, State::Attention | State::Failed), "{stuck:#?}");
    let waited_ms = rig.panel_clock.now_ms() - 1_830_297_600_000;
    assert!((25 * 60_000..80 * 60_000).contains(&waited_ms), "{waited_ms}");
    assert_eq!(rig.panel().machines().len(), 1);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_file_of_a_former_machine_is_told_to_the_operator() {
    let (.., name) = names().await;
    let rig = rig(setup(), |_| {});
    rig.panel().put_file(4, &name);
    let host = rig.host().await;

    let refused = host.run(Hook::Create, SERVICE).await;

    assert!(matches!(refused.state, State::Failed | State::Attention), "{refused:#?}");
    assert!(format!("{:?}", refused.fault).contains("file"), "{refused:#?}");
    assert!(rig.panel().machines().is_empty());
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_another_space_is_refused_before_anything_changes() {
    let extra = "[products.vps-elsewhere]\nserver = \"panel\"\n[products.vps-elsewhere.settings]\nplans = [22]\n\
                 cpu_cores = 4\nmemory_mb = 8192\ndisk_gb = 120\nos_template = \"win2022.vhdx\"\n";
    let (rig, host) = created_on(Setup { extra: extra.into(), ..setup() }, |_| {}).await;
    let before = (machine(&rig), changes(&rig));

    let body = with(Hook::ChangePackage, json!({ "product": { "id": "vps-elsewhere" } }));
    let refused = send(&host, Hook::ChangePackage, body).await;

    assert_eq!(refused.state, State::Failed, "{refused:#?}");
    assert_eq!((machine(&rig), changes(&rig)), before);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_that_basic_credentials_mangle_work_by_their_digest() {
    for password in ["pa:ss", "gr\u{fc}n"] {
        let rig = rig(setup(), |panel| panel.accounts[1].password = password.into());
        let digest = BASE64_STANDARD.encode(Sha1::digest(password.as_bytes()));
        std::fs::write(rig.folder.path().join("token"), digest).unwrap();
        let host = rig.host().await;

        run(&host, Hook::Create).await;

        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_tells_what_is_wrong_with_the_account_or_the_panel() {
    type Change = fn(&mut Config);
    let cases: [(&str, Change, &[&str]); 6] = [
        ("a reseller", |_| {}, &["reseller"]),
        ("a peer", |panel| panel.accounts[1].is_peer = true, &["peer"]),
        ("a demo", |panel| panel.accounts[1].is_demo = true, &["demo"]),
        ("suspended", |panel| panel.accounts[1].status = 2, &["suspended"]),
        ("version 2", |panel| panel.version = Version::V2_0, &["2."]),
        ("no plan", |panel| panel.plans.retain(|plan| plan.id == 1), &["plan"]),
    ];
    for (what, change, words) in cases {
        let rig = rig(setup(), change);
        let host = rig.host().await;

        let outcome = read(&host, Hook::Test, json!({ "server": "panel" })).await;

        // What keeps it from working is a fault or a finding, and names the reason.
        let text = match outcome {
            Ok(outcome) => serde_json::to_string(&outcome).unwrap(),
            Err(fault) => format!("{fault:?}"),
        };
        assert!(words.iter().all(|word| text.contains(word)), "{what}: {text}");
        assert_eq!(changes(&rig), 0, "{what}");
        host.stop().await;
    }
}
