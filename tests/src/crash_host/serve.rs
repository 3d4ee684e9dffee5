use super::{Answer, Command, Line, Point, Request, Side, Sight, What};
use crate::harness::PLATFORM;
use billhook::attempt::{self, Tap, TapFuture};
use billhook::clock::{Clock, ManualClock};
use billhook::config::Config;
use billhook::engine::{Engine, EngineOptions, HookOptions};
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::{self, CommitTap, LogFilter, OperationId};
use clap::Parser;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// How a crash host is started.
#[derive(Debug, Parser)]
pub struct Args {
    /// The configuration file.
    #[arg(long)]
    pub config: PathBuf,
    /// Where plugins are staged.
    #[arg(long)]
    pub staging: PathBuf,
    /// The program that opens never-seen plugins first: a `billhook`.
    #[arg(long)]
    pub prober: PathBuf,
    /// Wall time at the start, Unix milliseconds. The monotonic time starts at zero, as after a reboot.
    #[arg(long)]
    pub wall_ms: u64,
    /// Where to stop for good.
    #[arg(long)]
    pub stop_at: Option<Point>,
}

/// Runs until told to stop, or until the input ends.
///
/// # Errors
///
/// When the engine cannot be started, a server is not ready, or the input is not understood.
pub async fn serve(args: Args) -> Result<(), String> {
    let config = Config::load(Some(&args.config), std::iter::empty()).map_err(|error| error.to_string())?;
    let clock = ManualClock::new(args.wall_ms);
    let watch = Arc::new(Watch { stop_at: args.stop_at, exchanges: AtomicU64::new(0), commits: AtomicU64::new(0) });
    let options = EngineOptions {
        tap: Some(watch.clone()),
        commit_tap: Some(watch.clone()),
        staging: Some(args.staging),
        prober: Some(args.prober),
        ..EngineOptions::by(clock.shared())
    };
    let engine = Engine::start(Arc::new(config), options).await.map_err(|error| format!("{error:?}"))?;
    if !engine.unready().is_empty() {
        return Err(format!("not ready: {:?}", engine.unready()));
    }
    let host = Arc::new(Host { engine, clock, watch });
    write(&Line::Ready);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? {
        let Request { id, command } = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        if matches!(command, Command::Stop) {
            host.engine.stop(Duration::from_secs(5)).await;
            write(&Line::Answer { id, answer: Answer::Stopped });
            return Ok(());
        }
        // Beside one another: what has come to the point never answers.
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            match host.answer(command).await {
                Ok(answer) => write(&Line::Answer { id, answer }),
                Err(text) => {
                    // Half an answer would only hide it.
                    eprintln!("crash-host: {text}");
                    std::process::exit(1);
                }
            }
        });
    }
    Ok(())
}

fn write(line: &Line) {
    let text = serde_json::to_string(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    let mut out = std::io::stdout().lock();
    // Whoever started this process may be gone; then there is nobody to tell.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Counts what passes by, and holds on at its point.
struct Watch {
    stop_at: Option<Point>,
    exchanges: AtomicU64,
    commits: AtomicU64,
}

impl Watch {
    fn pass(&self, what: What, side: Side, n: u64) -> TapFuture {
        let counter = match what {
            What::Exchange => &self.exchanges,
            What::Commit => &self.commits,
        };
        counter.fetch_max(n, Ordering::SeqCst);
        let point = Point { what, side, n };
        let stops = self.stop_at == Some(point);
        Box::pin(async move {
            if stops {
                write(&Line::At { point });
                std::future::pending().await
            }
        })
    }
}

impl Tap for Watch {
    fn exchange(&self, moment: attempt::Moment, n: u64) -> TapFuture {
        let side = match moment {
            attempt::Moment::Before => Side::Before,
            attempt::Moment::After => Side::After,
        };
        self.pass(What::Exchange, side, n)
    }
}

impl CommitTap for Watch {
    fn commit(&self, moment: store::Moment, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let side = match moment {
            store::Moment::Before => Side::Before,
            store::Moment::After => Side::After,
        };
        self.pass(What::Commit, side, number)
    }
}

struct Host {
    engine: Arc<Engine>,
    clock: ManualClock,
    watch: Arc<Watch>,
}

impl Host {
    async fn answer(&self, command: Command) -> Result<Answer, String> {
        Ok(match command {
            Command::Accept { hook, body, key } => {
                let options = HookOptions { key: Some(key), expires_at: None };
                let accepted = match HookBody::parse(body.to_string().as_bytes()) {
                    Ok(body) => self.engine.accept(PLATFORM, hook, body, options).await,
                    Err(problem) => Err(problem),
                };
                match accepted {
                    Ok(placed) => Answer::Accepted { operation: placed.id.0 },
                    Err(problem) => Answer::Refused { problem: problem.to_string() },
                }
            }
            Command::State { operation } => Answer::Operation(self.sight(&OperationId(operation)).await?),
            Command::Operations { service } => {
                let filter = LogFilter {
                    platform: Some(PLATFORM.to_owned()),
                    service_id: Some(service),
                    limit: 100,
                    ..LogFilter::default()
                };
                let rows = self.engine.env().store.log(&filter).await.map_err(|error| error.to_string())?.rows;
                let changing = rows.into_iter().filter(|row| row.id.starts_with("op_"));
                Answer::Operations(changing.map(|row| (row.id, row.hook)).collect())
            }
            Command::Rest => self.rest().await,
            Command::Advance { ms } => {
                self.clock.advance(Duration::from_millis(ms));
                Answer::Advanced
            }
            Command::Counts => Answer::Counts {
                exchanges: self.watch.exchanges.load(Ordering::SeqCst),
                commits: self.watch.commits.load(Ordering::SeqCst),
            },
            Command::Stop => Answer::Stopped,
        })
    }

    async fn sight(&self, id: &OperationId) -> Result<Option<Sight>, String> {
        let store = &self.engine.env().store;
        let Some(operation) = store.operation(id).await.map_err(|error| error.to_string())? else { return Ok(None) };
        let service = store.service(&operation.service).await.map_err(|error| error.to_string())?;
        let is_unsettled = operation.state != State::Running && service.is_some_and(|service| service.unsettled_ms > 0);
        Ok(Some(Sight {
            state: operation.state,
            is_doubted: operation.effects.doubted || is_unsettled,
            reason: operation.reason,
            fault: operation.fault.map(|fault| fault.to_string()),
            outcome: operation.outcome,
        }))
    }

    async fn rest(&self) -> Answer {
        let mut activity = self.engine.activity();
        loop {
            // Marked as seen before the look, so that what ends after it wakes this.
            activity.mark_unchanged();
            if self.engine.is_idle() {
                break;
            }
            if activity.changed().await.is_err() {
                break;
            }
        }
        let now = self.clock.monotonic();
        let next = self.engine.next_due().map(|at| at.saturating_sub(now));
        // A part of a millisecond is rounded up: it must not be due still after the step.
        let next_in_ms = next.map(|wait| u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX));
        Answer::Idle { next_in_ms }
    }
}
