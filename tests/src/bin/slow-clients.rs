//! What slow connections cost the others: a caller that opens a connection for each hook, alone, and beside a thousand
//! connections that send a byte a second. Prints the figures, a JSON object for each way in which the socket is set up; fails
//! when the slow ones more than double its time.
//!
//! The daemon is a process of its own, the panel a fake one in this process.

use billhook_plugin_api::Hook;
use billhook_tests::harness::daemon::{Daemon, answer, exchange, own_uid, request};
use billhook_tests::harness::{Rig, Setup, body};
use clap::Parser;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Measures a working caller beside slow connections.
#[derive(Debug, Parser)]
struct Args {
    /// How many slow connections
    #[arg(long, default_value_t = 1_000)]
    slow: usize,
    /// How many hooks are timed in each round
    #[arg(long, default_value_t = 300)]
    hooks: usize,
    /// How many rounds, alone and beside the slow ones in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Files that a daemon opens when it has more to do: connections of its store and to the panel.
const FEW: usize = 8;

/// Times of hooks.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let index = (self.0.len() as f64 * share) as usize;
        self.0[index.min(self.0.len() - 1)]
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime for the panel");
    let _inside = runtime.enter();
    let mut is_good = true;
    for (name, socket) in [
        // As shipped: the slow ones are more than there are places, and give way.
        ("256 places", String::new()),
        // Room for all: every slow one is kept.
        ("4096 places", "max_connections = 4096\nmax_connections_per_user = 4096".to_owned()),
    ] {
        let rig = Rig::with(Setup { uid: Some(own_uid()), socket, ..Setup::default() }, |_| {});
        rig.panel().tune(|knobs| {
            knobs.build_start_ms = 0;
            knobs.build_ms = 0;
        });
        let daemon = Daemon::start(&rig);
        send(&daemon.hook_socket(), Hook::Create);
        is_good &= measure(name, &args, &daemon);
        daemon.stop();
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Alone and beside, in turns, so that what else the machine does falls on both.
fn measure(name: &str, args: &Args, daemon: &Daemon) -> bool {
    let socket = daemon.hook_socket();
    let (mut alone, mut beside) = (Times::default(), Times::default());
    let mut held = 0;
    run(&socket, args.hooks / 4 + 1);
    let (peak_kib, files) = (daemon.peak_kib(), daemon.open_files());
    for _ in 0..args.rounds {
        alone.0.extend(run(&socket, args.hooks));
        let slow = Slow::start(&socket, args.slow);
        held = held.max(slow.held());
        beside.0.extend(run(&socket, args.hooks));
        slow.stop();
    }
    let mut share = |share: f64| {
        let (alone, beside) = (alone.at(share).as_secs_f64(), beside.at(share).as_secs_f64());
        json!({ "alone_ms": alone * 1e3, "beside_ms": beside * 1e3, "times": beside / alone })
    };
    let (p50, p99) = (share(0.5), share(0.99));
    let is_good = [&p50, &p99].iter().all(|share| share["times"].as_f64().is_some_and(|times| times <= 2.0));
    let added_kib = daemon.peak_kib() - peak_kib;
    // Those who hang up are seen one after the other, while hooks are served.
    let are_gone = (0..1_000).any(|_| {
        send(&socket, Hook::Status);
        daemon.open_files() <= files + FEW
    });
    let files_left = if are_gone { 0 } else { daemon.open_files().saturating_sub(files + FEW) };
    let found = json!({
        "socket": name, "slow": args.slow, "held_at_once": held, "hooks": args.rounds * args.hooks, "p50": p50, "p99": p99,
        "added_kib": added_kib, "files_left": files_left,
    });
    println!("{found}");
    is_good
}

fn run(socket: &Path, hooks: usize) -> Vec<Duration> {
    (0..hooks)
        .map(|_| {
            #[expect(clippy::disallowed_methods, reason = "a benchmark is about real time")]
            let began = Instant::now();
            send(socket, Hook::Status);
            began.elapsed()
        })
        .collect()
}

fn send(socket: &Path, hook: Hook) {
    let body = body(hook, "1007").to_string();
    let headers = [("Content-Type", "application/json"), ("Prefer", "wait=60")];
    let text = exchange(socket, &request(&format!("POST /v1/hooks/{hook}"), &headers, body.as_bytes()));
    assert_eq!(answer(&text).0.status, 200, "{text}");
}

/// Connections that send a byte a second, and come back when they are sent away.
struct Slow {
    stopping: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Slow {
    fn start(socket: &Path, count: usize) -> Self {
        let (stopping, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = std::thread::spawn({
            let (socket, stopping, open) = (socket.to_owned(), Arc::clone(&stopping), Arc::clone(&open));
            move || {
                let mut streams: Vec<Option<UnixStream>> = (0..count).map(|_| None).collect();
                while !stopping.load(Ordering::Relaxed) {
                    for stream in &mut streams {
                        let is_open = stream.as_mut().is_some_and(|stream| stream.write_all(b"X").is_ok());
                        if !is_open {
                            *stream = UnixStream::connect(&socket).ok();
                            let begun = stream.as_mut().map(|stream| stream.write_all(b"GET /healthz HTTP/1.1\r\nX: "));
                            if !matches!(begun, Some(Ok(()))) {
                                *stream = None;
                            }
                        }
                        // A second for all of them.
                        std::thread::park_timeout(Duration::from_secs(1) / u32::try_from(count).unwrap_or(1));
                        if stopping.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                    open.store(streams.iter().flatten().count(), Ordering::Relaxed);
                }
            }
        });
        let slow = Self { stopping, open, thread };
        while slow.held() == 0 {
            std::thread::yield_now();
        }
        slow
    }

    /// How many were open when all had had their turn.
    fn held(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends");
    }
}
