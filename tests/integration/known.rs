//! What was made is known, whatever became of the hook that made it; and an operation stays on its panel.

use billhook::operation::State;
use billhook::problem::ProblemType;
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::harness::{Rig, Setup, body};
use billhook_tests::virtfusion::{Effect, Fault, Plan};
use serde_json::json;

fn servers_made(rig: &Rig) -> usize {
    rig.panel().count_effects(|effect| matches!(effect, Effect::ServerCreated(_)))
}

/// Template 999 is none: the order succeeds, the build is refused with 422.
fn unknown_template() -> Setup {
    let product = "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 999\n";
    Setup { product: Some(product.to_owned()), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_build_leaves_a_server_that_terminate_knows() {
    let rig = Rig::with(unknown_template(), |_| {});
    let host = rig.host().await;

    let created = host.run(Hook::Create, "1007").await;
    assert_eq!(created.state, State::Failed, "{created:#?}");
    assert_eq!(rig.panel().servers().len(), 1);
    let remote_id = host.service("1007").await.unwrap().remote_id;
    assert_eq!(remote_id, Some(rig.panel().servers()[0].id.to_string()));

    let terminated = host.run(Hook::Terminate, "1007").await;

    assert_eq!(terminated.state, State::Succeeded, "{terminated:#?}");
    assert!(rig.panel().servers().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_build_leaves_a_server_that_a_repeated_create_goes_on_with() {
    let mut rig = Rig::with(unknown_template(), |_| {});
    let host = rig.host().await;
    let refused = host.run(Hook::Create, "1007").await;
    assert_eq!(refused.state, State::Failed);
    assert_eq!(refused.fault.unwrap().class, FaultClass::InvalidInput);
    host.stop().await;
    // The operator corrects the product, the platform sends the create again, under another key even.
    rig.reconfigure(Setup::default());
    let host = rig.host().await;

    let id = host.send_with(Hook::Create, body(Hook::Create, "1007"), Some("another")).await.unwrap();
    let created = host.drive(&id).await;

    assert_eq!(created.id, refused.id);
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(servers_made(&rig), 1);
    assert_eq!(rig.panel().servers()[0].state, "complete");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_build_is_undone_where_the_product_asks_for_it_and_the_next_create_is_new() {
    let product = "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\non_build_failure = \"delete\"\n";
    let rig = Rig::with(Setup { product: Some(product.to_owned()), ..Setup::default() }, |_| {});
    rig.panel().tune(|knobs| knobs.build_outcome = billhook_tests::virtfusion::BuildOutcome::Fails);
    let host = rig.host().await;

    let failed = host.run(Hook::Create, "1007").await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    assert!(rig.panel().servers().is_empty());
    let busy = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap_err();
    assert_eq!(busy.kind, ProblemType::ConflictBusy);

    // The poll that follows reads it as gone.
    while host.service("1007").await.unwrap().epoch == 1 {
        host.pass_time().await;
    }
    rig.panel().tune(|knobs| knobs.build_outcome = billhook_tests::virtfusion::BuildOutcome::Succeeds);
    let created = host.run(Hook::Create, "1007").await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_ne!(created.id, failed.id);
    assert_eq!(rig.panel().servers().len(), 1);
    assert_eq!(rig.panel().check(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_delete_ends_when_the_panel_was_read_as_gone() {
    let product = "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\nterminate_delay_min = 60\n";
    let rig = Rig::with(Setup { product: Some(product.to_owned()), ..Setup::default() }, |_| {});
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;

    let terminated = host.run(Hook::Terminate, "1007").await;

    let outcome = terminated.outcome.unwrap();
    assert_eq!(outcome["gone"], json!(false));
    let service = host.service("1007").await.unwrap();
    assert_eq!(service.epoch, 1);
    assert_eq!(service.ends_at, outcome["ends_at"].as_u64());
    let busy = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap_err();
    assert_eq!(busy.kind, ProblemType::ConflictBusy);
    while host.service("1007").await.unwrap().epoch == 1 {
        host.pass_time().await;
    }
    assert_eq!(host.run(Hook::Create, "1007").await.state, State::Succeeded);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_stays_on_its_panel_when_the_configuration_changes_under_it() {
    let mut rig = Rig::new();
    let other = Rig::new();
    let host = rig.host().await;
    rig.panel().arm(Plan::on("POST", "/servers", Fault::DropAfterEffect));
    let id = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    host.rest().await;
    assert_eq!(host.operation(&id).await.state, State::Waiting);
    host.stop().await;

    // The server's name now means another panel.
    rig.point_at(&other);
    let host = rig.host().await;
    let moved = host.drive(&id).await;
    assert_eq!(moved.state, State::Attention, "{moved:#?}");
    assert!(other.panel().ledger().is_empty(), "no credential was sent to the other panel");
    let refused = host.send(Hook::Suspend, body(Hook::Suspend, "1007")).await;
    assert!(refused.is_err() || other.panel().ledger().is_empty());
    host.stop().await;

    // Set back, a person lets it go on: one server.
    rig.point_back();
    let host = rig.host().await;
    let decision = billhook::engine::Decision::Absent;
    host.engine.decide(&id, &decision, "uid 0").await.unwrap();
    let created = host.drive(&id).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(servers_made(&rig), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_server_names_another_panel_is_refused_and_nothing_is_sent() {
    let mut rig = Rig::new();
    let other = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "1007").await;
    host.stop().await;
    rig.point_at(&other);
    let host = rig.host().await;

    for hook in [Hook::Suspend, Hook::Terminate, Hook::Renew] {
        let problem = host.send(hook, body(hook, "1007")).await.unwrap_err();
        assert_eq!(problem.kind, ProblemType::PanelChanged, "{hook}");
        assert!(problem.remedy.is_some());
    }

    assert!(other.panel().ledger().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_panel_cannot_tell_is_shown_to_a_person_and_settled_by_one() {
    let rig = Rig::new();
    let host = rig.host().await;
    host.run(Hook::Create, "0").await;
    rig.panel().expect_servers("77", 3);
    rig.panel().arm(Plan::on("POST", "/servers", Fault::DropAfterEffect));
    let id = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    host.rest().await;
    // Somebody of the staff orders another one for the same customer by hand: two new servers, no telling which is ours.
    let owner = rig.panel().servers()[0].owner_id;
    let ours = rig.panel().servers().last().unwrap().id;
    let seed = billhook_tests::virtfusion::ServerSeed { owner_id: owner, name: String::new(), ours: false };
    let theirs = rig.panel().seed_server(seed);

    let stuck = host.drive(&id).await;
    assert_eq!(stuck.state, State::Attention, "{stuck:#?}");

    let settle = |remote_id: u64| billhook::engine::Decision::Exists { remote_id: remote_id.to_string() };
    let taken = host.service("0").await.unwrap().remote_id.unwrap();
    let refused = host.engine.decide(&id, &settle(taken.parse().unwrap()), "uid 0").await.unwrap_err();
    assert_eq!(refused.path.as_deref(), Some("/remote_id"), "the neighbour's is refused");
    host.engine.decide(&id, &settle(ours), "uid 0").await.unwrap();
    let created = host.drive(&id).await;

    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(host.service("1007").await.unwrap().remote_id, Some(ours.to_string()));
    assert_ne!(ours, theirs);
    host.stop().await;
}
