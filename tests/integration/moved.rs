//! A store moves to a server while hooks are under way: they go on there, each once.

use billhook::operation::State;
use billhook::store::{CopyError, CopyOptions, StoreError, copy, inspect};
use billhook_plugin_api::Hook;
use billhook_tests::cluster::Database;
use billhook_tests::harness::{Provider, Rig, Setup, StoreOn, artifacts, body};
use std::ops::ControlFlow;
use std::process::{Command, Output};

fn billhook<P: Provider>(rig: &Rig<P>, args: &[&str]) -> Output {
    let config = rig.config_path();
    let program = Command::new(artifacts::path("billhook")).arg("--config").arg(config).args(args).output();
    program.expect("the program runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_that_are_under_way_are_finished_where_the_store_has_moved() {
    let setup = || Setup { store: StoreOn::Sqlite, ..Setup::default() };
    let mut rig = Rig::with(setup(), |_| {});
    let host = rig.host().await;
    assert_eq!(host.run(Hook::Create, "1007").await.state, State::Succeeded);
    // One is being built on the panel, one was accepted and not begun.
    let built = host.send_with(Hook::Create, body(Hook::Create, "1008"), Some("order-1008")).await.unwrap();
    host.rest().await;
    assert_eq!(host.operation(&built).await.state, State::Waiting);
    assert_eq!(rig.panel().servers().len(), 2, "it is ordered");
    host.engine.pause("panel", "root").await.unwrap();
    let held = host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await.unwrap();
    host.rest().await;

    let database = Database::empty();
    let to = database.url();
    let busy = billhook(&rig, &["store", "copy", "--to", &to]);
    assert!(!busy.status.success() && said(&busy).contains("stop the daemon"), "{}", said(&busy));
    let looked = billhook(&rig, &["store", "copy", "--to", &to, "--dry-run"]);
    assert!(looked.status.success() && said(&looked).contains("nothing was changed"), "{}", said(&looked));
    host.stop().await;
    let moved = billhook(&rig, &["store", "copy", "--to", &to]);
    assert!(moved.status.success() && said(&moved).contains("has moved to"), "{}", said(&moved));

    // Whoever starts on the file is told where the store is.
    let file = rig.folder.path().join("billhook.db");
    assert_eq!(inspect(&file, None).unwrap().gone_to, Some(to.clone()));
    let former = billhook(&rig, &["serve"]);
    assert!(!former.status.success() && said(&former).contains("has moved to"), "{}", said(&former));
    let check = billhook(&rig, &["store", "check"]);
    assert!(!check.status.success() && said(&check).contains("retired"), "{}", said(&check));

    rig.database = Some(database);
    rig.reconfigure(setup());
    let host = rig.host().await;
    assert!(host.engine.env().store.facts().engine.starts_with("PostgreSQL"));
    // The repeat of a hook finds what it asked for before the move.
    let again = host.send_with(Hook::Create, body(Hook::Create, "1008"), Some("order-1008")).await.unwrap();
    assert_eq!(again, built);
    for _ in 0..3 {
        host.pass_time().await;
    }
    assert_eq!(host.operation(&held).await.state, State::Queued, "the pause moved along");
    host.engine.resume("panel", "root").await.unwrap();
    for ended in host.drive_all(&[built, held]).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }
    rig.panel().expect_servers("77", 2);
    assert_eq!(host.run(Hook::Create, "1009").await.state, State::Succeeded);
    host.stop().await;
    let again = copy(&file, &to, &CopyOptions::default(), |_| ControlFlow::Continue(())).await;
    assert!(matches!(again, Err(CopyError::Store(StoreError::Retired { .. }))), "{again:?}");
}
