//! The power goes at every commit and every exchange of a create that has to pass a full server over.

use super::{Cluster, Plans, order};
use billhook::attempt::{Moment, Tap, TapFuture};
use billhook::operation::State;
use billhook::store::{self, CommitTap};
use billhook_plugin_api::Hook;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Where the host stands still for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    BeforeCommit(u64),
    AfterCommit(u64),
    BeforeExchange(u64),
    AfterExchange(u64),
}

struct Cut {
    at: Point,
    commits: AtomicU64,
    reached: Notify,
}

impl Cut {
    fn here(&self, point: Point) -> TapFuture {
        if point != self.at {
            return Box::pin(std::future::ready(()));
        }
        self.reached.notify_one();
        Box::pin(std::future::pending())
    }
}

impl Tap for Cut {
    fn exchange(&self, moment: Moment, n: u64) -> TapFuture {
        self.here(match moment {
            Moment::Before => Point::BeforeExchange(n),
            Moment::After => Point::AfterExchange(n),
        })
    }
}

impl CommitTap for Cut {
    fn commit(&self, moment: store::Moment, n: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.commits.fetch_max(n, Ordering::Relaxed);
        self.here(match moment {
            store::Moment::Before => Point::BeforeCommit(n),
            store::Moment::After => Point::AfterCommit(n),
        })
    }
}

/// Cuts the power there; `false` when the create was over before.
async fn cut_at(point: Point) -> bool {
    let cluster = Cluster::new(Plans { rooms: [0, 5, 5], ..Plans::default() });
    let watch = Arc::new(Cut { at: point, commits: AtomicU64::new(0), reached: Notify::new() });
    let host = cluster.rig.host_watched(&watch).await;
    let create = async {
        let id = host.send_with(Hook::Create, order("1"), Some("event-1")).await.unwrap();
        host.drive(&id).await
    };
    let is_cut = tokio::select! {
        biased;
        () = watch.reached.notified() => true,
        done = create => {
            assert_eq!(done.state, State::Succeeded, "{point:?}: {done:#?}");
            false
        }
    };
    if !is_cut {
        host.stop().await;
        return false;
    }

    let (_folder, after) = cluster.rig.host_after_cut().await;
    // The platform heard nothing, and asks again.
    let id = after.send_with(Hook::Create, order("1"), Some("event-1")).await.unwrap();
    let done = after.drive(&id).await;

    assert_eq!((done.state, done.server.as_str()), (State::Succeeded, "second"), "{point:?}: {done:#?}");
    assert_eq!(cluster.servers(), [0, 1, 0], "{point:?}");
    assert_eq!(cluster.changes()[0], 0, "{point:?}: nothing was changed on the full server");
    cluster.assert_sound();
    let service = after.service("1").await.unwrap();
    assert_eq!((service.server.as_str(), service.remote_id.is_some()), ("second", true), "{point:?}");
    after.stop().await;
    true
}

async fn cut_everywhere(point: impl Fn(u64) -> Point, least: u64) {
    let mut n = 1;
    while cut_at(point(n)).await {
        n += 1;
        assert!(n < 100, "it never ends");
    }
    assert!(n > least, "{n} points were cut at");
    println!("{:?}: {} points", point(0), n - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_goes_before_a_commit() {
    cut_everywhere(Point::BeforeCommit, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_goes_after_a_commit() {
    cut_everywhere(Point::AfterCommit, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_goes_before_an_exchange() {
    cut_everywhere(Point::BeforeExchange, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_goes_after_an_exchange() {
    cut_everywhere(Point::AfterExchange, 5).await;
}
