//! What is read of the panel: states, figures, lists and ways in.

use super::*;
use billhook_plugin_api::ServiceState;
use billhook_tests::dcimanager::{Account, Level};

async fn status(host: &Host) -> Outcome {
    read(host, Hook::Status, body(Hook::Status, SERVICE)).await.unwrap()
}

async fn test(host: &Host) -> Result<Outcome, Fault> {
    read(host, Hook::Test, json!({ "server": "panel" })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_says_what_the_panel_shows() {
    let (rig, host) = created().await;
    let id = machine(&rig, &host, SERVICE).await.id;
    let first = status(&host).await;
    assert_eq!((first.state, first.power.as_deref()), (Some(ServiceState::Active), Some("on")));

    for flag in [Flag::Disabled, Flag::Blocked] {
        rig.panel().mark(id, flag, true);
        assert_eq!(status(&host).await.state, Some(ServiceState::Suspended), "{flag:?}");
        rig.panel().mark(id, flag, false);
    }
    rig.panel().mark(id, Flag::PowerError, true);
    assert_ne!(status(&host).await.power.as_deref(), Some("on"));
    rig.panel().mark(id, Flag::PowerError, false);
    assert_eq!(status(&host).await.power.as_deref(), Some("off"));
    for flag in [Flag::OperationFailed, Flag::HardwareProblem, Flag::Diagnostics] {
        let plain = serde_json::to_string(&status(&host).await).unwrap();
        rig.panel().mark(id, flag, true);
        assert_ne!(serde_json::to_string(&status(&host).await).unwrap(), plain, "{flag:?} shows");
        rig.panel().mark(id, flag, false);
    }
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volume_and_percentile_are_kept_apart() {
    for (settings, names) in [("volume", 1), ("percentile", 1), ("both", 2)] {
        let setup = Setup { settings: Some(format!("usage = \"{settings}\"")), ..Setup::default() };
        for (exact, deep) in [(true, false), (false, true)] {
            let (rig, host) = created_with(setup.clone(), |panel| {
                (panel.knobs.manners.exact_volumes, panel.knobs.manners.deep_reports) = (exact, deep);
            })
            .await;
            let id = machine(&rig, &host, SERVICE).await.id;

            let usage = read(&host, Hook::Usage, body(Hook::Usage, SERVICE)).await.unwrap().usage;

            let mut different: Vec<&str> = usage.iter().map(|measure| measure.name.as_str()).collect();
            different.dedup();
            assert!(different.len() >= names, "{settings}: {usage:?}");
            let total: u64 =
                usage.iter().filter(|measure| measure.unit.contains("byte")).map(|measure| measure.used).sum();
            let has_volume = settings != "percentile";
            assert_eq!(total == rig.panel().volume(id), has_volume, "{settings}: {usage:?}");
            assert_clean(&rig);
            host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_in_open_once_and_for_whom_they_were_made() {
    let (rig, host) = created().await;
    let account = rig.panel().made_accounts().pop().unwrap();

    let link = read(&host, Hook::Login, body(Hook::Login, SERVICE)).await.unwrap();
    let link = link.secrets["url"].expose().clone();
    assert!(link.starts_with("https://dci.example:1500/dcimgr?"), "{link}");
    assert_eq!(rig.panel().visit(&link), Ok(account.name.clone()));
    assert!(rig.panel().visit(&link).is_err(), "a key is used up");

    let console = read(&host, Hook::Console, body(Hook::Console, SERVICE)).await.unwrap();
    assert!(console.secrets["url"].expose().starts_with("https://dci.example:1500/"), "{console:?}");
    let kept = host.service(SERVICE).await.unwrap().secrets;
    assert!(!kept.contains_key("url"), "{kept:?}");
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_names_what_is_wrong() {
    let healthy = Rig::dcimanager();
    let host = healthy.host().await;
    assert!(test(&host).await.is_ok());
    assert_clean(&healthy);
    host.stop().await;

    let cases: [(&str, fn(&mut Config), FaultClass); 4] = [
        ("no such account", |panel| panel.accounts[0].name = "somebody".into(), FaultClass::Auth),
        ("switched off", |panel| panel.accounts[0].enabled = false, FaultClass::Auth),
        ("a second factor", |panel| panel.accounts[0].second_factor = true, FaultClass::Auth),
        ("a user", |panel| panel.accounts[0].level = Level::User, FaultClass::Permission),
    ];
    for (what, change, class) in cases {
        let rig = Rig::dcimanager_with(Setup::default(), |_| {});
        // The configuration names the account as it was; the panel has another one by then.
        let other = Rig::dcimanager_with(Setup::default(), change);
        let mut rig = rig;
        rig.stand_behind(other.running.base_url());
        let host = rig.host().await;

        let refused = test(&host).await;

        let text = format!("{what}: {refused:?}");
        match refused {
            Err(fault) => assert_eq!(fault.class, class, "{text}"),
            Ok(outcome) => {
                let said = serde_json::to_string(&outcome).unwrap();
                assert!(said.contains("\"ok\":false") || said.contains("warning") || said.contains("error"), "{text}");
            }
        }
        assert_eq!(other.panel().violations(), Vec::<String>::new());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_has_the_machines_that_are_somebodys() {
    let (rig, host) = created().await;
    let own = machine(&rig, &host, SERVICE).await;

    let accounts = read(&host, Hook::List, json!({ "server": "panel" })).await.unwrap().accounts.unwrap();

    let ids: Vec<&str> = accounts.iter().map(|account| account.remote_id.as_str()).collect();
    assert!(ids.contains(&&*own.id.to_string()) && ids.contains(&"41"), "{ids:?}");
    assert!(!ids.contains(&"44") || own.id == 44, "nobody has it: {ids:?}");
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_settings_are_read_from_the_panel() {
    let (rig, host) = created().await;
    let values = async |field: &str| -> Vec<Value> {
        let body = json!({ "server": "panel", "field": field });
        let options = read(&host, Hook::Options, body).await.unwrap().options.unwrap();
        options.into_iter().map(|option| option.value).collect()
    };
    let packages = values("package").await;
    for name in ["E3-1230v6-16-2x1000SATA", "E5-2620v4-64-2x480SSD"] {
        assert!(packages.contains(&json!(name)), "{packages:?}");
    }
    let systems = values("os").await;
    assert!(systems.contains(&json!(DEBIAN)) && systems.contains(&json!(CENTOS)), "{systems:?}");
    for hidden in ["ISPsystem__Ubuntu-24.04-amd64", "local__Rescue"] {
        assert!(!systems.contains(&json!(hidden)), "{systems:?}");
    }
    assert_clean(&rig);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_can_name_the_account_that_gets_the_machine() {
    let rig = Rig::dcimanager_with(product("account = \"partner\"\n"), |panel| {
        panel.accounts.push(Account { ours: true, ..Account::stranger(40, "partner", Level::User) });
    });
    let host = rig.host().await;

    run(&host, Hook::Create, body(Hook::Create, SERVICE)).await;

    assert_eq!(machine(&rig, &host, SERVICE).await.owner.as_deref(), Some("partner"));
    assert!(rig.panel().made_accounts().is_empty());
    assert_clean(&rig);
    host.stop().await;
}
