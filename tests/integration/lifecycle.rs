//! The five lifecycle hooks, one after the other, on a healthy panel.

use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lifecycle_of_a_service_reaches_the_panel() {
    let rig = Rig::new();
    let host = rig.host().await;

    let created = host.run(Hook::Create, "1007").await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(rig.panel().servers().len(), 1);

    let suspended = host.run(Hook::Suspend, "1007").await;
    assert_eq!(suspended.state, State::Succeeded, "{suspended:#?}");
    assert!(rig.panel().servers()[0].suspended);

    let unsuspended = host.run(Hook::Unsuspend, "1007").await;
    assert_eq!(unsuspended.state, State::Succeeded, "{unsuspended:#?}");
    assert!(!rig.panel().servers()[0].suspended);

    let renewed = host.run(Hook::Renew, "1007").await;
    assert_eq!(renewed.state, State::Succeeded, "{renewed:#?}");

    let terminated = host.run(Hook::Terminate, "1007").await;
    assert_eq!(terminated.state, State::Succeeded, "{terminated:#?}");
    assert!(rig.panel().servers().is_empty());
    assert_eq!(host.service("1007").await.unwrap().epoch, 2);

    let again = host.send(Hook::Terminate, body(Hook::Terminate, "1007")).await.unwrap();
    assert_eq!(again, terminated.id, "terminating what is gone is answered by the terminate that ended it");

    assert_eq!(rig.panel().violations(), Vec::<String>::new());
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}
