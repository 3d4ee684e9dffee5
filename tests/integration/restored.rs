//! A host on a restored copy of its store: it looks, and changes nothing until it is released.

use billhook::lane::Held;
use billhook::operation::State;
use billhook::store::{backup, inspect};
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup, StoreOn, artifacts, body};
use std::path::Path;
use std::process::Command;

/// Puts the copy into the place of the store, as the runbook says.
fn restore(rig: &Rig, copy: &Path, store: &Path) {
    let restore = || {
        let mut restore = Command::new(artifacts::path("billhook"));
        let done =
            restore.arg("--config").arg(rig.config_path()).args(["store", "restore"]).arg(copy).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (done, said) = restore();
    assert!(!done && said.contains("overwrites nothing") && said.contains("move the database away"), "{said}");
    for side in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{side}", store.display()));
    }
    assert_eq!(restore(), (true, String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_wait_on_a_restored_copy_until_it_is_released() {
    let rig = Rig::with(Setup { store: StoreOn::Sqlite, ..Setup::default() }, |_| {});
    let (store, copy) = (rig.folder.path().join("billhook.db"), rig.folder.path().join("copy.db"));
    let host = rig.host().await;
    assert_eq!(host.run(Hook::Create, "1007").await.state, State::Succeeded);
    // While it serves.
    backup(&store, &copy).unwrap();
    host.stop().await;
    assert_eq!(inspect(&copy, None).unwrap().state, "recovering");
    restore(&rig, &copy, &store);

    let host = rig.host().await;
    assert!(host.engine.is_recovering());
    let suspend = host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await.unwrap();
    let create = host.send(Hook::Create, body(Hook::Create, "1008")).await.unwrap();
    host.engine.reload((*rig.config()).clone()).await.unwrap();
    for _ in 0..10 {
        host.pass_time().await;
    }
    for id in [&suspend, &create] {
        assert_eq!(host.operation(id).await.state, State::Queued);
    }
    assert_eq!(host.engine.held("panel"), Some(Held::Recovering));
    assert_eq!((rig.panel().servers().len(), rig.panel().servers()[0].suspended), (1, false));
    host.stop().await;

    // It is no more than a pause of the process.
    let host = rig.host().await;
    assert!(host.engine.is_recovering());
    rig.panel().expect_servers("77", 2);
    assert!(host.engine.release("uid 0 (root)").await.unwrap());

    for ended in host.drive_all(&[suspend, create]).await {
        assert_eq!(ended.state, State::Succeeded, "{ended:#?}");
    }
    assert_eq!(rig.panel().servers().len(), 2);
    assert!(rig.panel().servers()[0].suspended);
    assert_eq!(host.engine.held("panel"), None);
    host.stop().await;
}
