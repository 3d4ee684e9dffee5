//! What a hook costs the disk.

use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup, body};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_without_steps_costs_two_commits() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;
    for hook in [Hook::Suspend, Hook::Unsuspend, Hook::Renew] {
        host.rest().await;
        let before = host.engine.env().store.commits();

        let done = host.run(hook, "1007").await;

        assert_eq!(done.state, State::Succeeded);
        // A reader may see the commit before the writer has counted it.
        host.rest().await;
        assert_eq!(host.engine.env().store.commits() - before, 2, "{hook}");
    }
    host.stop().await;
}

/// Prints how many commits, and so syncs, a hook costs when 64 callers are served at once. Only the bound that holds
/// whatever the disk's speed is asserted; the figure itself depends on how long a sync takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_share_their_commits() {
    const CALLERS: usize = 64;
    const ROUNDS: usize = 8;
    let rig = Rig::on_disk(Setup { server: "concurrency = 64\n".to_owned(), ..Setup::default() });
    let host = rig.host().await;
    let services: Vec<String> = (1..=CALLERS).map(|n| n.to_string()).collect();
    let mut created = Vec::new();
    for service in &services {
        let mut body = body(Hook::Create, service);
        body["service"]["client_id"] = json!(format!("5{service}"));
        body["client"]["email"] = json!(format!("c{service}@acme.example"));
        created.push(host.send(Hook::Create, body).await.unwrap());
    }
    for operation in host.drive_all(&created).await {
        assert_eq!(operation.state, State::Succeeded, "{operation:#?}");
    }
    host.rest().await;
    let before = host.engine.env().store.commits();

    let callers = services.iter().map(|service| {
        let host = &host;
        async move {
            for _ in 0..ROUNDS {
                for hook in [Hook::Suspend, Hook::Unsuspend] {
                    let id = host.send(hook, body(hook, service)).await.unwrap();
                    let done = host.engine.wait(id.into(), std::time::Duration::from_secs(3_600)).await.unwrap();
                    assert_eq!(done.state, State::Succeeded, "{done:#?}");
                }
            }
        }
    });
    futures_util::future::join_all(callers).await;

    let commits = host.engine.env().store.commits() - before;
    let hooks = CALLERS * ROUNDS * 2;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let share = commits as f64 / hooks as f64;
    println!("{hooks} hooks at concurrency {CALLERS}: {commits} commits, {share:.3} a hook");
    assert!(commits <= 2 * hooks as u64, "more than two commits a hook");
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}
