//! What today's module for this panel gets wrong, each as a test that it would fail.

use super::*;
use crate::secrets::{contains, forms, left_behind};
use billhook_tests::dcimanager::{Fault as Break, Plan, ServerSeed, Version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_the_same_name_that_is_not_ours_is_a_conflict() {
    let (rig, host) = created().await;
    let name = rig.panel().made_accounts()[0].name.clone();
    host.stop().await;

    // The same customer on a panel where somebody else has that name, with a machine of his own.
    for owns in [false, true] {
        let rig = Rig::dcimanager();
        rig.panel().seed_account(&name);
        if owns {
            rig.panel().hand_to(44, &name, "shop.example");
        }
        let host = rig.host().await;

        let fault = fail(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

        assert_eq!(fault.class, FaultClass::AlreadyExists);
        assert!(fault.staff.contains(&name) && fault.staff.contains("account"), "{fault}");
        assert!(rig.panel().sold().is_empty() && rig.panel().held().is_empty());
        assert_untouched(&rig, 42);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_name_is_no_customers() {
    let setup = Setup { settings: Some("account_prefix = \"oper\"".to_owned()), ..Setup::default() };
    let rig = Rig::dcimanager_with(setup, |_| {});
    let host = rig.host().await;
    let mut order = body(Hook::Create, SERVICE);
    order["service"]["client_id"] = json!("ator");

    let fault = fail(&host, Hook::Create, order).await;

    assert_eq!(fault.class, FaultClass::AlreadyExists, "{fault}");
    assert_untouched(&rig, 42);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_cannot_own_a_machine_reserves_none() {
    // It is no row of the list of accounts, as the superuser is none.
    let rig = Rig::dcimanager_with(Setup::default(), |panel| {
        panel.accounts[0].level = billhook_tests::dcimanager::Level::Superuser;
    });
    let host = rig.host().await;

    let fault = fail(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    assert_eq!(fault.class, FaultClass::Permission, "{fault}");
    assert_eq!(effects(&rig, 0), []);
    assert_clean(&rig);
    host.stop().await;
}

/// The module never forgets the id of a machine, and asks nobody whose it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_comes_late_touches_the_next_customer() {
    let (rig, host) = created().await;
    let id = machine(&rig, &host, SERVICE).await.id;
    run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;
    rig.panel().hand_to(id, "acme", "next.acme.example");
    let next = rig.panel().server(id);
    let before = rig.panel().ledger().len();

    for (hook, body) in [
        (Hook::Terminate, body(Hook::Terminate, SERVICE)),
        (Hook::Suspend, body(Hook::Suspend, SERVICE)),
        (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE)),
        (Hook::Power, power("reboot")),
        (Hook::Reinstall, reinstall(CENTOS)),
        (Hook::Terminate, body(Hook::Terminate, SERVICE)),
    ] {
        if let Ok(id) = host.send(hook, body).await {
            host.drive(&id).await;
        }
    }

    assert_eq!(effects(&rig, before), []);
    assert_eq!(rig.panel().server(id), next);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_staff_gave_to_somebody_else_is_a_strangers_for_every_hook() {
    for hostname in ["next.acme.example", "free.ds", "svc1007.example.net"] {
        let (rig, host) = created().await;
        let id = machine(&rig, &host, SERVICE).await.id;
        rig.panel().hand_to(id, "acme", hostname);
        let next = rig.panel().server(id);
        let before = rig.panel().ledger().len();

        for (hook, body) in [
            (Hook::Suspend, body(Hook::Suspend, SERVICE)),
            (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE)),
            (Hook::Renew, body(Hook::Renew, SERVICE)),
            (Hook::Power, power("stop")),
            (Hook::Power, power("reboot")),
            (Hook::Reinstall, reinstall(CENTOS)),
        ] {
            let what = body.to_string();
            let done = send(&host, hook, body).await;
            assert_eq!(done.state, State::Failed, "{what}: {done:#?}");
            assert!(done.fault.is_some_and(|fault| fault.staff.contains("acme")), "{what}");
        }
        for hook in [Hook::Console, Hook::Usage] {
            assert!(read(&host, hook, body(hook, SERVICE)).await.is_err(), "{hook}");
        }
        // Only here there is nothing left to do.
        let ended = run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;

        assert_eq!(ended["gone"], json!(true), "{ended}");
        assert_eq!(effects(&rig, before), [], "{hostname}");
        assert_eq!(rig.panel().server(id), next);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_gone_is_neither_unblocked_nor_installed() {
    let (rig, host) = created().await;
    let id = machine(&rig, &host, SERVICE).await.id;
    rig.panel().remove_server(id);

    for hook in [Hook::Suspend, Hook::Unsuspend] {
        assert_eq!(fail(&host, hook, body(hook, SERVICE)).await.class, FaultClass::NotFound, "{hook}");
    }
    let ended = run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;

    assert_eq!(ended["gone"], json!(true));
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspend_of_the_suspended_and_the_like_send_nothing() {
    let (rig, host) = created().await;
    for (hook, sent) in [
        (Hook::Unsuspend, body(Hook::Unsuspend, SERVICE)),
        (Hook::Power, power("start")),
        (Hook::Suspend, body(Hook::Suspend, SERVICE)),
        (Hook::Suspend, body(Hook::Suspend, SERVICE)),
    ] {
        let already = hook != Hook::Suspend || machine(&rig, &host, SERVICE).await.is_disabled;
        let before = rig.panel().ledger().len();
        let outcome = run(&host, hook, sent).await;
        if already {
            assert_eq!((effects(&rig, before), &outcome["noop"]), (vec![], &json!(true)), "{hook}");
        }
    }
    // While it is blocked, what would be refused by the panel is not even asked for.
    let before = rig.panel().ledger().len();
    for (hook, sent) in
        [(Hook::Power, power("reboot")), (Hook::Power, power("stop")), (Hook::Reinstall, reinstall(CENTOS))]
    {
        let what = sent.to_string();
        let fault = fail(&host, hook, sent).await;
        assert!(["suspended", "blocked"].iter().any(|word| fault.staff.contains(word)), "{what}: {fault}");
    }
    assert_eq!(effects(&rig, before), []);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_installation_keeps_the_machine_reserved_and_says_so() {
    for outcome in [InstallOutcome::Fails, InstallOutcome::NeverEnds] {
        for ends_by in [Hook::Create, Hook::Terminate] {
            let what = format!("{outcome:?}, then {ends_by}");
            let setup = Setup { settings: Some("install_limit_s = 1200".to_owned()), ..product("IP = 1\n") };
            let rig = Rig::dcimanager_with(setup, |panel| panel.knobs.install_outcome = outcome);
            let host = rig.host().await;

            let id = host.send(Hook::Create, body(Hook::Create, SERVICE)).await.unwrap();
            let stuck = host.drive(&id).await;

            let said = stuck.fault.as_ref().map(|fault| fault.staff.clone()).unwrap_or_default();
            assert_ne!(stuck.state, State::Succeeded, "{what}");
            let held = rig.panel().held().pop().expect("it is reserved still");
            assert_eq!((held.owner.as_deref(), held.further(Family::Ipv4)), (Some("whmcs"), 1), "{what}");
            assert!(said.contains(&held.id.to_string()) && said.contains("terminate"), "{what}: {said}");
            assert!(!rig.panel().servers().iter().any(|server| server.is_free && server.id == held.id));
            assert_eq!(host.service(SERVICE).await.unwrap().remote_id, Some(held.id.to_string()), "{what}");
            assert_clean(&rig);

            rig.panel().tune(|knobs| knobs.install_outcome = InstallOutcome::Succeeds);
            rig.panel().expect_installs(held.id, 2);
            if ends_by == Hook::Terminate {
                run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;
                assert_untouched(&rig, held.id);
            } else if outcome == InstallOutcome::Fails {
                let ended = send(&host, Hook::Create, body(Hook::Create, SERVICE)).await;
                assert_eq!((ended.id, ended.state), (stuck.id, State::Succeeded), "{what}: {:?}", ended.fault);
                assert_eq!(rig.panel().sold()[0].id, held.id, "{what}");
                assert_eq!(rig.panel().server(held.id).system.as_deref(), Some(DEBIAN));
            }
            assert_clean(&rig);
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_of_an_installation_is_the_settings() {
    for (limit_s, install_s, ends_well) in [(720, 800, false), (7_200, 6_900, true)] {
        let settings = Some(format!("install_limit_s = {limit_s}"));
        let rig = Rig::dcimanager_with(Setup { settings, ..Setup::default() }, |panel| {
            panel.knobs.install_ms = install_s * 1_000;
        });
        let host = rig.host().await;

        let ended = send(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

        assert_eq!(ended.state == State::Succeeded, ends_well, "{ended:#?}");
        if !ends_well {
            let fault = ended.fault.unwrap();
            assert!(fault.staff.contains("720"), "{fault}");
            assert_eq!(rig.panel().held().len(), 1);
        }
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_before_the_installation_gives_the_machine_back_as_it_was() {
    let no_template = "os = \"ISPsystem__Ubuntu-24.04-amd64\"\n";
    let package = "package = \"E3-1230v6-16-2x1000SATA\"\n";
    let cases: [(&str, String, fn(&mut Config)); 5] = [
        ("no addresses", format!("{package}os = \"{DEBIAN}\"\nIP = 17\n"), |_| {}),
        ("no group", format!("{package}os = \"{DEBIAN}\"\nIP = 1\nip_group = \"none\"\n"), |_| {}),
        ("no template", format!("{package}{no_template}IP = 2\nIPv6 = 1\n"), |_| {}),
        ("no recipe", format!("{package}os = \"{DEBIAN}\"\nIP = 2\nrecipe = \"local__none\"\n"), |_| {}),
        ("no power", format!("{package}os = \"{DEBIAN}\"\nIP = 2\n"), |panel| {
            panel.knobs.power_outcome = PowerOutcome::Fails;
        }),
    ];
    for (what, product, change) in cases {
        let rig = Rig::dcimanager_with(Setup { product: Some(product), ..Setup::default() }, |panel| {
            panel.servers.retain(|server| server.id == 42);
            change(panel);
        });
        let pool = rig.panel().free_addresses();
        let host = rig.host().await;

        let fault = fail(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

        assert_untouched(&rig, 42);
        assert!(rig.panel().held().is_empty(), "{what}: {fault}");
        assert_eq!(rig.panel().free_addresses(), pool, "{what}");
        assert_eq!(rig.panel().count_effects(|effect| matches!(effect, Effect::Installed(_))), 0, "{what}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_not_switched_on_in_time_is_given_back() {
    let rig = Rig::dcimanager_with(Setup::default(), |panel| panel.knobs.power_outcome = PowerOutcome::Ignored);
    let host = rig.host().await;

    let fault = fail(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    assert!(fault.staff.contains("600"), "{fault}");
    assert!(rig.panel().held().is_empty());
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_power_cannot_be_cut_is_released_all_the_same() {
    let (rig, host) = created().await;
    let id = machine(&rig, &host, SERVICE).await.id;
    rig.panel().tune(|knobs| knobs.power_outcome = PowerOutcome::Fails);

    run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;

    assert_untouched(&rig, id);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_finds_no_machine_says_how_many_fell_out_and_why() {
    let rig = Rig::dcimanager_with(Setup::default(), |panel| {
        panel.servers.retain(|server| ![42, 44].contains(&server.id));
    });
    let host = rig.host().await;

    let fault = stick(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    assert_eq!(fault.class, FaultClass::Capacity);
    for part in ["E3-1230v6-16-2x1000SATA", "8", "owned", "blocked", "hardware", "diagnostics"] {
        assert!(fault.staff.to_lowercase().contains(&part.to_lowercase()), "{part}: {fault}");
    }
    assert_eq!(effects(&rig, 0), []);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_machine_that_is_free_in_every_respect_is_sold() {
    // All others come first in the list, and each would do but for one thing.
    let rig = Rig::dcimanager_with(Setup::default(), |panel| {
        panel.servers.retain(|server| ![42, 44].contains(&server.id));
        panel.servers.push(ServerSeed { mac: String::new(), ..ServerSeed::free(51) });
        panel.servers.push(ServerSeed { ip: String::new(), ..ServerSeed::free(52) });
        panel.servers.push(ServerSeed::free(53));
    });
    let host = rig.host().await;

    run(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    assert_eq!(machine(&rig, &host, SERVICE).await.id, 53);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_is_a_name_and_nothing_else() {
    for (package, is_sold) in [
        ("E3-1230 16G 2x1T", true),
        (" E3-1230v6-16-2x1000SATA ", true),
        ("E3-1230V6-16-2X1000sata", false),
        ("x' or '1'='1", false),
        ("x\\\" or \\\"1\\\"=\\\"1", false),
        ("E3-1230v6", false),
    ] {
        let product = format!("package = \"{package}\"\nos = \"{DEBIAN}\"\n");
        let rig = Rig::dcimanager_with(Setup { product: Some(product), ..Setup::default() }, |_| {});
        let host = rig.host().await;

        let ended = send(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

        assert_eq!(ended.state == State::Succeeded, is_sold, "{package}: {:?}", ended.fault);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_cut_is_never_taken_for_the_whole() {
    let (rig, host) = created().await;
    let id = machine(&rig, &host, SERVICE).await.id;
    let before = rig.panel().ledger().len();
    rig.panel().tune(|knobs| knobs.manners.page_rows = Some(1));

    for hook in [Hook::Suspend, Hook::Terminate] {
        let done = send(&host, hook, body(hook, SERVICE)).await;
        assert_ne!(done.state, State::Succeeded, "{hook}: {done:#?}");
    }

    assert_eq!(effects(&rig, before), []);
    assert_eq!(rig.panel().sold()[0].id, id);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_an_earlier_failure_is_not_taken_for_this_ones() {
    for keeps in [false, true] {
        let (rig, host) = created_with(Setup::default(), |panel| panel.knobs.keeps_failed_mark = keeps).await;
        let id = machine(&rig, &host, SERVICE).await.id;
        rig.panel().mark(id, Flag::OperationFailed, true);
        rig.panel().expect_installs(id, 2);

        run(&host, Hook::Reinstall, reinstall(CENTOS)).await;

        assert_eq!(machine(&rig, &host, SERVICE).await.system.as_deref(), Some(CENTOS), "{keeps}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reinstallation_that_fails_leaves_the_machine_with_its_customer() {
    let (rig, host) = created().await;
    let made = machine(&rig, &host, SERVICE).await;
    rig.panel().expect_installs(made.id, 2);
    rig.panel().tune(|knobs| knobs.install_outcome = InstallOutcome::Fails);

    let fault = fail(&host, Hook::Reinstall, reinstall(CENTOS)).await;

    assert!(fault.staff.contains("fail"), "{fault}");
    assert_eq!(machine(&rig, &host, SERVICE).await.owner, made.owner);
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_termination_in_the_midst_of_an_installation_cancels_it_first() {
    // Also where the panel does not show it yet when the termination begins.
    for after_s in [60, 0] {
        let (rig, host) = created_with(product("dont_wait = true\n"), |_| {}).await;
        let made = machine(&rig, &host, SERVICE).await;
        assert!(made.is_installing);
        host.advance(Duration::from_secs(after_s));

        run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;

        assert_eq!(rig.panel().count_effects(|effect| effect == Effect::Cancelled(made.id)), 1, "{after_s}");
        assert_untouched(&rig, made.id);
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_of_the_order_go_before_the_products_settings() {
    let rig = Rig::dcimanager();
    let host = rig.host().await;
    let options = json!({ "os": "nothing", "OS": format!("{CENTOS}|CentOS 7"), "IP": "2|Two", "IPv6": 1,
                          "recipe": "ISPsystem__ISPmanager-Lite|Panel" });
    let order = with(Hook::Create, SERVICE, json!({ "product": { "id": "vps", "options": options } }));

    run(&host, Hook::Create, order).await;

    let made = machine(&rig, &host, SERVICE).await;
    assert_eq!((made.system.as_deref(), made.recipe.as_deref()), (Some(CENTOS), Some("ISPsystem__ISPmanager-Lite")));
    assert_eq!((made.further(Family::Ipv4), made.further(Family::Ipv6)), (2, 1));
    for count in [json!(-1), json!("-1"), json!("two"), json!(1.5)] {
        let options = json!({ "IP": count });
        let order = with(Hook::Create, "2", json!({ "product": { "id": "vps", "options": options } }));
        assert!(host.send(Hook::Create, order).await.is_err(), "{count}");
    }
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_is_made_by_the_template_and_is_never_that_of_a_free_machine() {
    for (template, domain, expected) in [
        ("", Some("Shop.Example.net."), Ok("shop.example.net")),
        ("ds-@ID@.hosting.example", Some("shop.example"), Ok("ds-1007.hosting.example")),
        ("@ID@-@DOMAIN@", Some("shop.example"), Ok("1007-shop.example")),
        ("", None, Ok("1007.domain")),
        ("", Some("web.acme.example"), Ok("web-2.acme.example")),
        ("", Some("free.ds"), Err(())),
        ("", Some("not a name"), Err(())),
    ] {
        let setup = match template {
            "" => Setup::default(),
            template => product(&format!("domain_template = \"{template}\"\n")),
        };
        let rig = Rig::dcimanager_with(setup, |_| {});
        let host = rig.host().await;
        let mut order = body(Hook::Create, SERVICE);
        order["service"]["domain"] = json!(domain);

        match host.send(Hook::Create, order).await {
            Ok(id) => {
                let ended = host.drive(&id).await;
                assert_eq!(ended.state == State::Succeeded, expected.is_ok(), "{domain:?}: {:?}", ended.fault);
            }
            Err(problem) => assert!(expected.is_err(), "{domain:?}: {problem}"),
        }

        assert_eq!(rig.panel().sold().pop().map(|sold| sold.hostname).as_deref(), expected.ok(), "{domain:?}");
        assert_clean(&rig);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_that_staff_overwrote_are_theirs_and_the_machine_stays_its_customers() {
    let (rig, host) = created_with(Setup::default(), |panel| panel.servers.retain(|server| server.id == 42)).await;
    assert!(machine(&rig, &host, SERVICE).await.notes.starts_with(NOTES));
    rig.panel().note(42, "swapped again");

    run(&host, Hook::Suspend, body(Hook::Suspend, SERVICE)).await;

    assert!(rig.panel().server(42).is_disabled);
    assert_eq!(rig.panel().server(42).notes, "swapped again");
    run(&host, Hook::Terminate, body(Hook::Terminate, SERVICE)).await;
    let released = rig.panel().server(42);
    assert_eq!((released.owner, &*released.hostname, &*released.notes), (None, "free.ds", "swapped again"));
    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_generations_of_the_panel_are_called_by_their_names() {
    for (version, word) in [(Version::Six, "DCImanager 6"), (Version::Old, "generation before")] {
        let rig = Rig::dcimanager_with(Setup::default(), |panel| panel.version = version);
        let host = rig.host().await;

        let created = send(&host, Hook::Create, body(Hook::Create, SERVICE)).await;
        let tested = read(&host, Hook::Test, json!({ "server": "panel" })).await;

        let tested = match tested {
            Ok(outcome) => serde_json::to_string(&outcome).unwrap(),
            Err(fault) => fault.staff.clone(),
        };
        let created = format!("{} {:?}", created.state, created.fault.map(|fault| fault.staff.clone()));
        assert!(tested.contains(word), "{version:?}: {tested}");
        assert!(!created.contains("succeeded") && created.contains(word), "{version:?}: {created}");
        assert_eq!(rig.panel().violations(), Vec::<String>::new());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_the_panel_is_left_anywhere() {
    let (rig, host) = created().await;
    let own = rig.panel().server(machine(&rig, &host, SERVICE).await.id);
    rig.panel().expect_installs(own.id, 2);
    rig.panel().arm(Plan::on("POST", "server.operations/ok", Break::CutOff));
    run(&host, Hook::Reinstall, reinstall(CENTOS)).await;
    run(&host, Hook::ChangePassword, account_password()).await;
    for hook in [Hook::Login, Hook::Console] {
        read(&host, hook, body(hook, SERVICE)).await.unwrap();
    }
    host.rest().await;
    host.stop().await;

    // Those of strangers were never sent.
    let secrets = rig.panel().secrets();
    let secrets: Vec<&String> = secrets.iter().filter(|secret| secret.len() >= 8).collect();
    assert!(secrets.len() > 8, "{secrets:?}");
    for (file, bytes) in left_behind(rig.folder.path()) {
        for secret in &secrets {
            for (form, needle) in forms(secret) {
                assert!(!contains(&bytes, &needle), "{secret} as {form} in {file}");
            }
        }
    }
    assert_clean(&rig);
}
