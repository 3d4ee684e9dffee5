//! Two versions of a plugin side by side: an operation that has begun goes on with the library that began it.

use super::bench::{Bench, Host};
use super::edit::Plugin;
use billhook::engine::Decision;
use billhook::operation::State;
use billhook::plugin::Sha256;
use billhook::store::{Operation, OperationId};

const SECOND_JOURNAL: u32 = 0x4A0B_0202;

/// Another version, which knows nothing of the first one's journals.
fn second() -> Plugin {
    Plugin::good().second().of_journal(SECOND_JOURNAL)
}

fn sha256(plugin: &Plugin) -> String {
    Sha256::of(&plugin.0).to_string()
}

/// A host on the first version, and a create that has begun when the host is stopped.
async fn begun(bench: &mut Bench) -> OperationId {
    bench.install("fixture", &Plugin::good());
    bench.server("panel", "fixture", "");
    let host = bench.start().await;
    let id = host.create("panel", "1007").await;
    host.rest().await;
    let waiting = host.engine.operation(&id).await.unwrap();
    assert_eq!(waiting.state, State::Waiting, "{waiting:#?}");
    assert!(waiting.effects.touched);
    host.stop().await;
    id
}

fn assert_made_by(operation: &Operation, version: &str, library: &Plugin) {
    assert_eq!(operation.state, State::Succeeded, "{operation:#?}");
    assert_eq!(operation.outcome.as_ref().unwrap()["remote_id"], version);
    assert_eq!(operation.library.as_deref(), Some(sha256(library).as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_library_began_it_ends_and_what_is_new_goes_to_the_new_one() {
    let mut bench = Bench::new();
    let id = begun(&mut bench).await;
    bench.install("fixture", &second());

    let host = bench.start().await;

    assert_eq!(host.configured("fixture"), sha256(&second()));
    let new = host.create("panel", "1008").await;
    assert_made_by(&host.drive(&id).await, "fixture-v1", &Plugin::good());
    assert_made_by(&host.drive(&new).await, "fixture-v2", &second());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_that_continues_the_journal_goes_on_with_what_the_old_one_began() {
    let mut bench = Bench::new();
    let id = begun(&mut bench).await;
    let heir = Plugin::good().of_journal(SECOND_JOURNAL).continuing();
    bench.install("fixture", &heir);

    let host = bench.start().await;

    assert_made_by(&host.drive(&id).await, "fixture-v1", &heir);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_old_library_a_person_decides_and_with_it_back_the_operation_goes_on() {
    let mut bench = Bench::new();
    let id = begun(&mut bench).await;
    bench.install("fixture", &second());
    let copy = bench.staging().join(format!("{}.so", sha256(&Plugin::good())));
    let aside = bench.folder.path().join("aside.so");
    std::fs::rename(&copy, &aside).unwrap();

    let host = bench.start().await;
    let stuck = host.drive(&id).await;
    assert_eq!(stuck.state, State::Attention, "{stuck:#?}");
    let reason = stuck.reason.unwrap();
    for part in ["another library of fixture", copy.to_str().unwrap(), "there is no such file"] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }

    std::fs::rename(&aside, &copy).unwrap();
    host.engine.decide(&id, &Decision::Retry, "uid 0").await.unwrap();
    assert_made_by(&host.drive(&id).await, "fixture-v1", &Plugin::good());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_library_that_was_changed_is_not_opened() {
    let mut bench = Bench::new();
    let id = begun(&mut bench).await;
    bench.install("fixture", &second());
    let copy = bench.staging().join(format!("{}.so", sha256(&Plugin::good())));
    std::fs::remove_file(&copy).unwrap();
    std::fs::write(&copy, second().0).unwrap();

    let host = bench.start().await;

    let stuck = host.drive(&id).await;
    assert_eq!(stuck.state, State::Attention, "{stuck:#?}");
    assert!(stuck.reason.unwrap().contains("its SHA-256 is"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_library_that_is_refused_does_not_strand_what_the_old_one_began() {
    let mut bench = Bench::new();
    let id = begun(&mut bench).await;
    bench.install("fixture", &Plugin(b"text".to_vec()));

    let host: Host = bench.start().await;

    assert!(host.engine.unready().contains_key("panel"));
    assert_made_by(&host.drive(&id).await, "fixture-v1", &Plugin::good());
    host.stop().await;
}
