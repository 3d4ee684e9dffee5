//! From the start of the process to its first answers, with a thousand operations that are not over.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::json;

use super::build::Programs;
use super::compare;
use super::figures::Start;
use super::house::{Daemon, House, get, sandbox};
use super::medium::{Medium, Pace};
use crate::clock::{Stopwatch, wait_for};
use crate::http::{self, Request};

/// How many operations are not over.
pub(super) const PENDING: usize = 1_000;

/// As the product `soon` of the sandbox waits.
const SOON: Duration = Duration::from_secs(20);

/// A daemon that does not answer for so long is counted as one that never does.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two tries to reach the daemon.
const TRY_EVERY: Duration = Duration::from_micros(200);

/// Kills and starts the daemon, on the disk: operations that wait for later, then as many that are all due at once.
pub(super) fn run(programs: &Programs, work: &Path, pace: Pace) -> Result<Vec<Start>> {
    let folder = Medium::Tmpfs.folder(work, "panel")?;
    let (_panel, address) = compare::panel(programs, folder.path())?;
    let house = House::new(programs, Medium::Disk, work, "start", &sandbox(&address))?;
    let mut daemon = house.start()?;
    daemon.create("one", "one", 1, &[])?;
    let mut starts = Vec::new();

    leave_pending(&daemon, "later")?;
    for turn in 0..pace.starts {
        daemon.program.kill()?;
        let start;
        (daemon, start) = measure(&house, "waiting", turn)?;
        starts.push(start);
    }

    let watch = Stopwatch::start();
    leave_pending(&daemon, "soon")?;
    ensure!(watch.elapsed() < SOON, "the machine is too slow: operations fell due before the daemon could be killed");
    daemon.program.kill()?;
    thread::sleep(SOON);
    // Some machines give back what has not been used for so long, and then the disk is measured that the program is read from.
    house.read_program()?;
    let (daemon, start) = measure(&house, "due", pace.starts)?;
    starts.push(start);
    daemon.program.kill()?;
    Ok(starts)
}

/// Creates services that wait, and waits until all of them do.
fn leave_pending(daemon: &Daemon, product: &str) -> Result<()> {
    daemon.create(product, product, PENDING, &["--prefer", "respond-async", "--expect", "202"])?;
    wait_for("the operations to wait", LIMIT, || {
        for state in ["queued", "running"] {
            let path = format!("/v1/operations?state={state}&limit=1");
            let reply = http::over_socket(daemon.socket(), &get(&path))?;
            if reply.body["items"].as_array().is_none_or(|items| !items.is_empty()) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}

/// The first answer is to the question whether it is ready, the second to a hook with one exchange.
fn measure(house: &House, pending: &'static str, turn: usize) -> Result<(Daemon, Start)> {
    let watch = Stopwatch::start();
    let daemon = house.spawn()?;
    let millis = || watch.elapsed().as_secs_f64() * 1_000.0;
    loop {
        match http::over_socket(daemon.socket(), &get("/readyz")) {
            Ok(reply) if reply.status == 200 => break,
            _ if watch.elapsed() > LIMIT => bail!("the daemon was not ready within {} s", LIMIT.as_secs()),
            _ => thread::sleep(TRY_EVERY),
        }
    }
    let ready_ms = millis();
    let body = json!({ "service": { "id": "one-0" } }).to_string();
    let headers =
        [("content-type", "application/json".to_owned()), ("idempotency-key", format!("start-{pending}-{turn}"))];
    let hook = Request { method: "POST", path: "/v1/hooks/suspend", headers: &headers, body: &body, limit: LIMIT };
    let reply = http::over_socket(daemon.socket(), &hook)?;
    ensure!(reply.status == 200, "the first hook after the start ended with {}: {}", reply.status, reply.body);
    Ok((daemon, Start { pending, ready_ms, hook_ms: millis() }))
}
