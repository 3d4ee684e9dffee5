//! A host that is killed with SIGKILL, at every exchange and every commit of every changing hook of VirtFusion, and at
//! the changing calls of create, renew and terminate of the others; with `BILLHOOK_CRASH_ALL` at every point of theirs too.
//!
//! Each trial has a panel and a folder of its own. A host runs the hook and is killed at its point; the next one, on the
//! same folder, takes up what is left. The platform sends the hook again only if it never heard that it was accepted. At
//! the end the panel has the effect once, whatever the point.

mod report;
mod scenario;
mod trial;

use crate::crash::drive::is_whole;
use billhook_tests::harness::Provider;
use report::Report;
use scenario::Scenario;
use scenario::apiscp::APISCP;
use scenario::dcimanager::DCIMANAGER;
use scenario::rootpanel::ROOTPANEL;
use scenario::solidcp::SOLIDCP;
use scenario::virtfusion::VIRTFUSION;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trial::{Blow, Trial, rehearse};

/// A part of the names of the trials that are to be run, for looking into one of them; all without it.
const ONLY: &str = "BILLHOOK_KILL_ONLY";

/// Trials at once: each has a process that mostly waits for the other side of a pipe.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_at_any_point_leaves_one_effect() {
    kill(VIRTFUSION, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_while_it_spends_money_leaves_one_effect() {
    kill(ROOTPANEL, at_changes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_on_a_machine_of_solidcp_leaves_one_effect() {
    kill(SOLIDCP, at_changes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_while_it_takes_a_machine_leaves_one_effect() {
    kill(DCIMANAGER, at_changes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_on_a_site_leaves_one_effect() {
    kill(APISCP, at_changes).await;
}

/// The engine's own points are covered by the first suite; here it is the provider's changing calls that differ.
fn at_changes(blow: &Blow) -> bool {
    is_whole() || !blow.is_at_read && blow.place.starts_with("exchange")
}

/// Runs every trial of these scenarios at these blows, and reports.
#[expect(clippy::disallowed_methods, reason = "the report tells how long it took; nothing depends on it")]
async fn kill<P: Provider + 'static>(scenarios: &'static [Scenario<P>], is_wanted: fn(&Blow) -> bool) {
    let started = Instant::now();
    let only = std::env::var(ONLY).unwrap_or_default();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for scenario in scenarios {
        let score = rehearse(scenario).await;
        for (number, blow) in Blow::all(&score).into_iter().filter(is_wanted).enumerate() {
            // Between a blow at a read and one at the commits around it, the next host sees no difference.
            let second = (!blow.is_at_read).then(|| Some(Blow::after_restart(number)));
            for second in std::iter::once(None).chain(second) {
                let trial = Trial { scenario, blow: blow.clone(), second };
                let name = trial.to_string();
                if !name.contains(&only) {
                    continue;
                }
                let places = Arc::clone(&places);
                let handle = running.spawn(async move {
                    let _place = places.acquire_owned().await;
                    let ended = trial.run().await;
                    (trial, ended)
                });
                names.insert(handle.id(), name);
            }
        }
    }
    let mut report = Report::default();
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok((trial, ended)) => report.add(&trial, ended),
            // It has said on its way out what was wrong.
            Err(error) => report.broke(names.get(&error.id()).map_or("a trial", String::as_str)),
        }
    }

    report.print(started.elapsed());

    assert_eq!(report.complaints(), Vec::<String>::new());
}
