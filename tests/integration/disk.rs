//! The disk of the store is full while hooks run: nothing is made twice, nothing is lost, and it goes on by itself.

use billhook::attempt::{Moment as ExchangeMoment, Tap, TapFuture};
use billhook::operation::State;
use billhook::store::{CommitTap, Moment};
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Rig, Setup, StoreOn, body};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file system in memory of its own, that a file can fill; gone with this.
struct Disk(PathBuf);

impl Disk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap().keep();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(&folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        std::fs::remove_dir(folder).unwrap();
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Takes all room that is left.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).unwrap();
    for size in [65_536, 4_096, 512, 1] {
        while file.write_all(&vec![0_u8; size]).is_ok() {}
    }
}

/// Fills the disk around the n-th exchange with the panel.
struct Filler {
    moment: ExchangeMoment,
    at: u64,
    seen: AtomicU64,
    ballast: PathBuf,
}

impl Tap for Filler {
    fn exchange(&self, moment: ExchangeMoment, n: u64) -> TapFuture {
        self.seen.fetch_max(n, Ordering::Relaxed);
        if (moment, n) == (self.moment, self.at) {
            fill(&self.ballast);
        }
        Box::pin(std::future::ready(()))
    }
}

impl CommitTap for Filler {
    fn commit(&self, _: Moment, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// What a create went through.
#[derive(Debug, Clone, Copy)]
struct Went {
    /// Exchanges with the panel.
    exchanges: u64,
    /// The store failed under it.
    met: bool,
    /// Runs that it took.
    runs: u64,
}

/// A create, with the disk full from this exchange on until the store has failed for a while. `None` where this user may not mount a
/// disk.
async fn create_with_full_disk(moment: ExchangeMoment, at: u64) -> Option<Went> {
    // More than any of them takes.
    const MOST_STEPS: u32 = 100_000;
    let disk = Disk::mount()?;
    let setup = Setup { store_lines: "reserve = \"1B\"".to_owned(), store: StoreOn::Sqlite, ..Setup::default() };
    let rig = Rig::in_folder(&disk.0, setup);
    let filler = Arc::new(Filler { moment, at, seen: AtomicU64::new(0), ballast: disk.ballast() });
    let host = rig.host_watched(&filler).await;
    let id = host.send(Hook::Create, body(Hook::Create, "1007")).await.unwrap();
    // Until it has come so far that the store failed under it, or, where it never does, to its end.
    let store = &host.engine.env().store;
    let mut steps = 0;
    let mut count = || {
        steps += 1;
        assert!(steps < MOST_STEPS, "{moment:?} {at}: it does not end");
    };
    loop {
        count();
        if store.failure().is_some() {
            break;
        }
        if store.operation(&id).await.unwrap().unwrap().state.is_final() {
            break;
        }
        host.step().await;
    }
    let met = store.failure().is_some();
    if met {
        let refused = host.send(Hook::Create, body(Hook::Create, "2000")).await.unwrap_err();
        assert!(refused.detail.contains("full"), "{refused}");
        for _ in 0..20 {
            host.step().await;
        }
    }

    let _ = std::fs::remove_file(disk.ballast());
    let done = loop {
        count();
        let operation = host.operation(&id).await;
        if operation.state.is_final() || operation.state == State::Attention {
            break operation;
        }
        host.step().await;
    };

    assert_eq!(done.state, State::Succeeded, "{moment:?} {at}: {done:#?}");
    assert_eq!(rig.panel().servers().len(), 1, "{moment:?} {at}");
    store.answers().await.unwrap();
    assert_eq!(store.failure(), None);
    let exchanges = filler.seen.load(Ordering::Relaxed);
    host.stop().await;
    Some(Went { exchanges, met, runs: done.run })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_meets_a_full_disk_at_every_exchange_and_is_made_once() {
    let mut all = Vec::new();
    for at in 1.. {
        let mut last = 0;
        for moment in [ExchangeMoment::Before, ExchangeMoment::After] {
            let Some(went) = create_with_full_disk(moment, at).await else {
                eprintln!("skipped: this user may not mount a file system");
                return;
            };
            last = went.exchanges;
            all.push((moment, at, went));
        }
        // The create had ended before this exchange would have come.
        if at > last {
            break;
        }
    }
    // The last one met nothing. Who took no more runs lost nothing: what its attempt knew was kept until there was room.
    let undisturbed = all.last().map_or(0, |(_, _, went)| went.runs);
    let count = |is: &dyn Fn(&Went) -> bool| all.iter().filter(|(_, _, went)| is(went)).count();
    let (met, kept) = (count(&|went| went.met), count(&|went| went.met && went.runs <= undisturbed));
    println!("{met} of {} met a full disk, {kept} of them lost nothing", all.len());
    // A *begin* that failed takes one more run; nothing was sent then.
    assert!(met >= 10 && kept * 5 >= met * 4, "{undisturbed}: {all:?}");
}
